//! What can concern an event. Most of what a profile says of events is about those of some kinds in which some places exist; so
//! it is gone through once for each kind and set of places that come, and not again for each event.
//!
//! What stands at the places is not known here: whatever depends on that is left to whoever holds the event.

use std::collections::HashMap;
use std::ops::Index;

use foldhash::fast::FixedState;

use crate::event::{Extract, Kind, KindId, SlotId, SlotSet};
use crate::expect::{Expectations, Matcher, Rest, ScriptStep};

/// How many kinds and sets of places are known at once (some 2 KiB each). Senders have a few dozen; whoever fills places at
/// random makes the judge slower and nothing else.
const KEPT: usize = 512;

/// The concerns of all events that came.
#[derive(Debug, Default)]
pub struct Concerns {
    known: HashMap<(Kind, SlotSet), usize, FixedState>,
    concerns: Vec<Concern>,
}

/// Which of the concerns; good until the next one is asked for.
#[derive(Debug, Clone, Copy)]
pub struct ConcernId(usize);

/// What can concern events of one kind in which the same places exist, in the order of the expectations.
#[derive(Debug)]
pub struct Concern {
    /// Which of the grammar's symbols it is.
    pub symbol: Option<usize>,
    /// The grammar forbids it.
    pub forbidden: bool,
    /// The grammar ends a run as failed with it.
    pub bad: bool,
    /// Where the parts of an event stand in it.
    pub parts: Parts,
    /// Where the ids stand in it: those of `Expectations::ids` that it has, by their index.
    pub ids: Vec<(usize, SlotId)>,
    /// Of `Expectations::heartbeats` those that may hold, each with its index.
    pub heartbeats: Vec<(usize, Rest)>,
    /// Of `Expectations::answers` likewise.
    pub answers: Vec<(usize, Rest)>,
    /// What refuses the asker, whichever step of the script waits.
    pub refused: Rest,
    /// See `Asking::refused`.
    pub ask_refused: Rest,
    /// See `Expectations::failed`.
    pub failed: Rest,
    /// See `Ends::good`.
    pub good_ends: Rest,
    /// See `Ends::bad`.
    pub bad_ends: Rest,
    /// See `Expectations::public`.
    pub public: Rest,
    /// See `Signs::degraded`.
    pub degraded: Rest,
    /// See `Signs::replayed`.
    pub replayed: Rest,
    /// See `Signs::failed_tool`.
    pub failed_tool: Rest,
}

/// Of each part of an event the first of its places that exists; see `Fields`.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    pub agent: Option<SlotId>,
    pub tool: Option<SlotId>,
    pub call: Option<SlotId>,
    pub event_id: Option<SlotId>,
    pub time: Option<SlotId>,
}

impl Concerns {
    /// What can concern the event `extract`.
    pub fn of(&mut self, expect: &Expectations, extract: &Extract<'_>) -> ConcernId {
        let key = extract.slots.filled().map(|filled| (extract.kind, *filled));
        if let Some(known) = key.and_then(|key| self.known.get(&key)) {
            return ConcernId(*known);
        }
        if key.is_none() || self.concerns.len() >= KEPT {
            self.known.clear();
            self.concerns.clear();
        }
        let new = self.concerns.len();
        self.concerns.push(Concern::new(expect, extract));
        self.known.extend(key.map(|key| (key, new)));
        ConcernId(new)
    }
}

impl Index<ConcernId> for Concerns {
    type Output = Concern;

    fn index(&self, ConcernId(index): ConcernId) -> &Concern {
        &self.concerns[index]
    }
}

impl Concern {
    fn new(expect: &Expectations, extract: &Extract<'_>) -> Concern {
        let kind = match extract.kind {
            Kind::Known(kind) => Some(kind),
            Kind::Unknown | Kind::Unnamed => None,
        };
        let exists = |slot| extract.at(slot).exists();
        let given = |matcher: &Matcher| matcher.given(kind, &exists);
        let any = |matchers: &[Matcher]| Matcher::any_given(matchers, kind, &exists);
        let among = |kinds: &[KindId]| kind.is_some_and(|kind| kinds.contains(&kind));
        let first = |slots: &[SlotId]| slots.iter().copied().find(|slot| exists(*slot));
        let may = |(index, rest): (usize, Rest)| rest.can_hold().then_some((index, rest));
        let fields = &expect.dialect.fields;
        let refusals: Vec<Matcher> = expect.script.iter().flat_map(refusals).cloned().collect();
        let ids = expect.ids.iter().enumerate().filter_map(|(index, rule)| Some((index, first(&rule.at)?)));
        let heartbeats = expect.heartbeats.iter().map(|heartbeat| given(&heartbeat.when)).enumerate();
        let answers = expect.answers.iter().map(|source| given(&source.when)).enumerate();
        Concern {
            symbol: kind.and_then(|kind| expect.grammar.symbol_of(kind)),
            forbidden: among(&expect.grammar.forbidden),
            bad: among(&expect.grammar.bad),
            parts: Parts {
                agent: first(&fields.agent),
                tool: first(&fields.tool),
                call: first(&fields.call),
                event_id: first(&fields.event_id),
                time: first(&fields.time),
            },
            ids: ids.collect(),
            heartbeats: heartbeats.filter_map(may).collect(),
            answers: answers.filter_map(may).collect(),
            refused: any(&refusals),
            ask_refused: any(&expect.asking.refused),
            failed: any(&expect.failed),
            good_ends: any(&expect.ends.good),
            bad_ends: any(&expect.ends.bad),
            public: any(&expect.public),
            degraded: any(&expect.signs.degraded),
            replayed: any(&expect.signs.replayed),
            failed_tool: any(&expect.signs.failed_tool),
        }
    }
}

fn refusals(step: &ScriptStep) -> &[Matcher] {
    match step {
        ScriptStep::Wait { refused, .. } => refused,
        ScriptStep::Send => &[],
    }
}
