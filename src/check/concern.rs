//! What can concern an event of each kind. Most matchers name the kinds that they are about; sorted by kind beforehand, they are
//! not tried on events of any other, nor on frames without any of the places that they need.

use crate::event::{Extract, Found, Kind, KindId, SlotId};
use crate::expect::{AnswerSource, Expectations, Heartbeat, Matcher};

/// The expectations of an execution, sorted by kind of event.
#[derive(Debug)]
pub struct Concerns {
    kinds: Vec<Concern>,
    /// Events whose name nothing mentions, or that have none.
    others: Concern,
}

/// What can concern an event of one kind, in the order of the expectations.
#[derive(Debug)]
pub struct Concern {
    /// Which of the grammar's symbols it is.
    pub symbol: Option<usize>,
    /// The grammar forbids it.
    pub forbidden: bool,
    /// The grammar ends a run as failed with it.
    pub bad: bool,
    /// Each with its index.
    pub heartbeats: Vec<(usize, Heartbeat)>,
    /// See `Expectations::failed`.
    pub failed: Vec<Sieved>,
    /// See `Expectations::answers`.
    pub answers: Vec<AnswerSource>,
    /// See `Signs::degraded`.
    pub degraded: Vec<Sieved>,
    /// See `Signs::replayed`.
    pub replayed: Vec<Sieved>,
    /// See `Signs::failed_tool`.
    pub failed_tool: Vec<Sieved>,
    /// See `Ends::bad`.
    pub bad_ends: Vec<Sieved>,
}

/// A matcher with the places that it needs.
#[derive(Debug)]
pub struct Sieved {
    matcher: Matcher,
    needs: Option<Vec<SlotId>>,
}

impl Concerns {
    /// Sorts what is expected.
    pub fn new(expect: &Expectations) -> Concerns {
        let kinds = (0..expect.dialect.names.iter().count()).map(|kind| Some(KindId(kind as u16)));
        Concerns { kinds: kinds.map(|kind| Concern::new(expect, kind)).collect(), others: Concern::new(expect, None) }
    }

    /// What can concern an event of this kind.
    pub fn of(&self, kind: Kind) -> &Concern {
        match kind {
            Kind::Known(kind) => self.kinds.get(usize::from(kind.0)).unwrap_or(&self.others),
            Kind::Unknown | Kind::Unnamed => &self.others,
        }
    }
}

impl Concern {
    fn new(expect: &Expectations, kind: Option<KindId>) -> Concern {
        let can = |matchers: &[Matcher]| {
            let can_hold = matchers.iter().filter(|matcher| matcher.can_hold(kind));
            can_hold.map(|matcher| Sieved { needs: matcher.needs(), matcher: matcher.clone() }).collect()
        };
        let heartbeats = expect.heartbeats.iter().cloned().enumerate();
        let answers = expect.answers.iter().cloned();
        let among = |kinds: &[KindId]| kind.is_some_and(|kind| kinds.contains(&kind));
        Concern {
            symbol: kind.and_then(|kind| expect.grammar.symbol_of(kind)),
            forbidden: among(&expect.grammar.forbidden),
            bad: among(&expect.grammar.bad),
            heartbeats: heartbeats.filter(|(_, heartbeat)| heartbeat.when.can_hold(kind)).collect(),
            failed: can(&expect.failed),
            answers: answers.filter(|source| source.when.can_hold(kind)).collect(),
            degraded: can(&expect.signs.degraded),
            replayed: can(&expect.signs.replayed),
            failed_tool: can(&expect.signs.failed_tool),
            bad_ends: can(&expect.ends.bad),
        }
    }
}

/// Whether one of `matchers` holds of the frame `text` that decoded to `extract`.
pub fn any(matchers: &[Sieved], extract: &Extract<'_>, text: &str) -> bool {
    let there = |slot: &SlotId| !matches!(extract.at(*slot), Found::Absent);
    let may_hold = |sieved: &Sieved| sieved.needs.as_ref().is_none_or(|needs| needs.iter().any(there));
    matchers.iter().any(|sieved| may_hold(sieved) && sieved.matcher.holds(extract, text))
}
