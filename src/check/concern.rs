//! What can concern an event. Most of what a profile says of events is about those of some kinds in which some places exist; so
//! it is gone through once for each kind and set of places that come, and not again for each event.
//!
//! What stands at the places is not known here: whatever depends on that is left to whoever holds the event.

use std::collections::BTreeMap;
use std::ops::Index;

use crate::event::{Envelope, Extract, Kind, KindId, SlotId, SlotSet};
use crate::expect::{Expectations, Matcher, Rest, ScriptStep};

/// How many kinds and sets of places are known at once (some 2 KiB each). Senders have a few dozen; whoever fills places at
/// random makes the judge slower and nothing else.
const KEPT: usize = 512;

/// How many mixtures of kind and places there are.
const MIXTURES: usize = 512;
/// No concern has this index.
const NONE: usize = usize::MAX;

/// The concerns of all events that came.
#[derive(Debug, Default)]
pub struct Concerns {
    /// By a mixture of kind and places, where in `concerns` the search for an event begins.
    begin: Vec<usize>,
    concerns: Vec<Concern>,
    /// How often events came of concerns that are no longer known.
    census: Envelopes,
}

/// How often each event of the grammar came in which envelope.
pub type Envelopes = BTreeMap<(KindId, Envelope), u64>;

/// Which of the concerns; good until the next one is asked for.
#[derive(Debug, Clone, Copy)]
pub struct ConcernId(usize);

/// What can concern events of one kind in which the same places exist, in the order of the expectations.
#[derive(Debug)]
pub struct Concern {
    kind: Kind,
    envelope: Envelope,
    /// The places that exist; `None` if they cannot be told apart.
    filled: Option<SlotSet>,
    /// The next one of the same mixture.
    next: usize,
    /// Which of the grammar's symbols it is.
    pub symbol: Option<usize>,
    /// The grammar forbids it.
    pub forbidden: bool,
    /// The grammar ends a run as failed with it.
    pub bad: bool,
    /// Kind and envelope of an event of the grammar, and how many of them came.
    row: Option<((KindId, Envelope), u64)>,
    /// It is no heartbeat and refuses nothing.
    pub calm: bool,
    /// It may carry a part of an answer that comes in parts.
    pub appends: bool,
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
        let (kind, envelope, filled) = (extract.kind, extract.envelope, extract.slots.filled());
        let number = if let Kind::Known(KindId(kind)) = kind { u64::from(kind) } else { u64::MAX };
        let at = filled.map_or(0, |filled| ((filled.mixed() >> 32) ^ number) as usize % MIXTURES);
        let mut next = self.begin.get(at).copied().unwrap_or(NONE);
        while let Some(known) = self.concerns.get(next) {
            // Field by field: none of them is copied.
            if known.kind == kind && known.envelope == envelope && filled.is_some() && known.filled.as_ref() == filled {
                return ConcernId(next);
            }
            next = known.next;
        }
        if filled.is_none() || self.concerns.len() >= KEPT {
            self.forget();
        }
        let new = self.concerns.len();
        self.begin.resize(MIXTURES, NONE);
        let next = std::mem::replace(&mut self.begin[at], new);
        self.concerns.push(Concern { next, ..Concern::new(expect, extract) });
        ConcernId(new)
    }

    /// Another event of the grammar came that is one of these.
    #[inline]
    pub fn note(&mut self, ConcernId(index): ConcernId) {
        if let Some((_, times)) = &mut self.concerns[index].row {
            *times += 1;
        }
    }

    /// How often each event came that was noted.
    pub fn take_census(&mut self) -> Envelopes {
        self.forget();
        std::mem::take(&mut self.census)
    }

    fn forget(&mut self) {
        self.begin.clear();
        for (row, times) in self.concerns.drain(..).filter_map(|concern| concern.row).filter(|(_, times)| *times > 0) {
            *self.census.entry(row).or_default() += times;
        }
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
        let heartbeats: Vec<_> = heartbeats.filter_map(may).collect();
        let answers = expect.answers.iter().map(|source| given(&source.when)).enumerate();
        let answers: Vec<_> = answers.filter_map(may).collect();
        let (refused, ask_refused) = (any(&refusals), any(&expect.asking.refused));
        let symbol = kind.and_then(|kind| expect.grammar.symbol_of(kind));
        Concern {
            kind: extract.kind,
            envelope: extract.envelope,
            filled: extract.slots.filled().copied(),
            next: NONE,
            symbol,
            row: symbol.and(kind).map(|kind| ((kind, extract.envelope), 0)),
            calm: !refused.can_hold() && !ask_refused.can_hold() && heartbeats.is_empty(),
            appends: answers.iter().any(|(index, _)| expect.answers[*index].append),
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
            heartbeats,
            answers,
            refused,
            ask_refused,
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
