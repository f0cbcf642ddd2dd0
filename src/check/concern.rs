//! What can concern an event of each kind. Most matchers name the kinds that they are about; sorted by kind beforehand, they are
//! not tried on events of any other, nor on frames without any of the places that they need.

use crate::event::{Extract, Kind, KindId, SlotId, SlotSet};
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
    pub failed: Sieve,
    /// See `Expectations::answers`.
    pub answers: Vec<AnswerSource>,
    /// See `Expectations::public`.
    pub public: Sieve,
    /// See `Signs::degraded`.
    pub degraded: Sieve,
    /// See `Signs::replayed`.
    pub replayed: Sieve,
    /// See `Signs::failed_tool`.
    pub failed_tool: Sieve,
    /// See `Ends::bad`.
    pub bad_ends: Sieve,
}

/// Matchers with the places that they need; `None` where one may hold without any.
#[derive(Debug)]
pub struct Sieve {
    matchers: Vec<(Matcher, Option<SlotSet>)>,
    /// Of all of them.
    needs: Option<SlotSet>,
}

impl Sieve {
    /// Whether one of the matchers holds of the frame `text` that decoded to `extract`.
    pub fn any(&self, extract: &Extract<'_>, text: &str) -> bool {
        let may_hold = |needs: &Option<SlotSet>| needs.as_ref().is_none_or(|needs| extract.slots.may_hold(needs));
        let mut matchers = self.matchers.iter();
        may_hold(&self.needs) && matchers.any(|(matcher, needs)| may_hold(needs) && matcher.holds(extract, text))
    }
}

impl<'m> FromIterator<&'m Matcher> for Sieve {
    fn from_iter<I: IntoIterator<Item = &'m Matcher>>(matchers: I) -> Sieve {
        let set = |needs: Vec<SlotId>| needs.into_iter().collect();
        let matchers: Vec<&Matcher> = matchers.into_iter().collect();
        let needs: Option<Vec<_>> = matchers.iter().map(|matcher| matcher.needs()).collect();
        let sieved = matchers.into_iter().map(|matcher| (matcher.clone(), matcher.needs().map(set)));
        Sieve { matchers: sieved.collect(), needs: needs.map(|needs| set(needs.concat())) }
    }
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
        let can = |matchers: &[Matcher]| matchers.iter().filter(|matcher| matcher.can_hold(kind)).collect();
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
            public: can(&expect.public),
            degraded: can(&expect.signs.degraded),
            replayed: can(&expect.signs.replayed),
            failed_tool: can(&expect.signs.failed_tool),
            bad_ends: can(&expect.ends.bad),
        }
    }
}
