//! What can concern an event of each kind. Most matchers name the kinds that they are about; sorted by kind beforehand, they are
//! not tried on events of any other, nor on frames without any of the places that they need.

use std::sync::Arc;

use crate::event::{Extract, Kind, KindId, SlotId, SlotSet};
use crate::expect::{AnswerSource, Condition, Expectations, Heartbeat, Matcher};

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
    pub heartbeats: Vec<(usize, Arc<Heartbeat>)>,
    /// See `Expectations::failed`.
    pub failed: Sieve,
    /// See `Expectations::answers`.
    pub answers: Vec<Arc<Source>>,
    /// See `Ends::good`.
    pub good_ends: Sieve,
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

/// Matchers, and the places that they need.
#[derive(Debug)]
pub struct Sieve {
    matchers: Vec<Arc<Sieved>>,
    /// Of all of them; `None` if one may hold without any.
    needs: Option<SlotSet>,
}

/// A place where answers stand, and when.
#[derive(Debug)]
pub struct Source {
    /// When they stand there.
    when: Sieved,
    /// See `AnswerSource::at`.
    pub at: Vec<SlotId>,
    /// See `AnswerSource::append`.
    pub append: bool,
}

impl Source {
    /// Whether the frame `text` that decoded to `extract` carries it.
    pub fn holds(&self, extract: &Extract<'_>, text: &str) -> bool {
        self.when.holds(extract, text)
    }
}

/// A matcher, each part of it with the places that it needs: most parts of most matchers are about places that few frames fill.
#[derive(Debug)]
struct Sieved {
    matcher: Matcher,
    /// `None` if it may hold without any.
    needs: Option<SlotSet>,
    /// The conditions that matchers are part of.
    parts: Vec<Part>,
    /// The others.
    plain: Vec<Condition>,
}

#[derive(Debug)]
enum Part {
    Not(Sieved),
    Any(Vec<Sieved>),
}

impl Sieved {
    fn new(matcher: &Matcher) -> Sieved {
        let (mut parts, mut plain) = (Vec::new(), Vec::new());
        for condition in &matcher.all {
            match condition {
                Condition::Not(inner) => parts.push(Part::Not(Sieved::new(inner))),
                Condition::Any(inner) => parts.push(Part::Any(inner.iter().map(Sieved::new).collect())),
                Condition::Event(_) | Condition::At(..) | Condition::Text(_) => plain.push(condition.clone()),
            }
        }
        let needs = matcher.needs().map(|needs| needs.into_iter().collect());
        Sieved { matcher: matcher.clone(), needs, parts, plain }
    }

    /// As `Matcher::holds`.
    #[inline]
    fn holds(&self, extract: &Extract<'_>, text: &str) -> bool {
        may_hold(&self.needs, extract) && self.all_hold(extract, text)
    }

    fn all_hold(&self, extract: &Extract<'_>, text: &str) -> bool {
        self.plain.iter().all(|condition| condition.holds(extract, text))
            && self.parts.iter().all(|part| match part {
                Part::Not(inner) => !inner.holds(extract, text),
                Part::Any(inner) => inner.iter().any(|inner| inner.holds(extract, text)),
            })
    }
}

#[inline]
fn may_hold(needs: &Option<SlotSet>, extract: &Extract<'_>) -> bool {
    needs.as_ref().is_none_or(|needs| extract.slots.may_hold(needs))
}

impl Sieve {
    /// Whether one of the matchers holds of the frame `text` that decoded to `extract`.
    pub fn any(&self, extract: &Extract<'_>, text: &str) -> bool {
        may_hold(&self.needs, extract) && self.matchers.iter().any(|sieved| sieved.holds(extract, text))
    }

    /// Those of `matchers` that can hold of an event of this kind.
    fn of(matchers: &[Arc<Sieved>], kind: Option<KindId>) -> Sieve {
        let can_hold = |sieved: &&Arc<Sieved>| sieved.matcher.can_hold(kind);
        let matchers: Vec<_> = matchers.iter().filter(can_hold).cloned().collect();
        let needs = matchers.iter().try_fold(SlotSet::default(), |all, sieved| Some(all.union(sieved.needs?)));
        Sieve { matchers, needs }
    }
}

/// All that is sorted, each of which many kinds share.
struct Shared {
    heartbeats: Vec<Arc<Heartbeat>>,
    answers: Vec<Arc<Source>>,
    good_ends: Vec<Arc<Sieved>>,
    failed: Vec<Arc<Sieved>>,
    degraded: Vec<Arc<Sieved>>,
    replayed: Vec<Arc<Sieved>>,
    failed_tool: Vec<Arc<Sieved>>,
    bad_ends: Vec<Arc<Sieved>>,
    public: Vec<Arc<Sieved>>,
}

impl Shared {
    fn new(expect: &Expectations) -> Shared {
        let all = |matchers: &[Matcher]| matchers.iter().map(|matcher| Arc::new(Sieved::new(matcher))).collect();
        let source = |AnswerSource { when, at, append }: &AnswerSource| {
            Arc::new(Source { when: Sieved::new(when), at: at.clone(), append: *append })
        };
        Shared {
            heartbeats: expect.heartbeats.iter().cloned().map(Arc::new).collect(),
            answers: expect.answers.iter().map(source).collect(),
            good_ends: all(&expect.ends.good),
            failed: all(&expect.failed),
            degraded: all(&expect.signs.degraded),
            replayed: all(&expect.signs.replayed),
            failed_tool: all(&expect.signs.failed_tool),
            bad_ends: all(&expect.ends.bad),
            public: all(&expect.public),
        }
    }
}

impl Concerns {
    /// Sorts what is expected.
    pub fn new(expect: &Expectations) -> Concerns {
        let shared = Shared::new(expect);
        let kinds = (0..expect.dialect.names.iter().count()).map(|kind| Some(KindId(kind as u16)));
        let concern = |kind| Concern::new(expect, &shared, kind);
        Concerns { kinds: kinds.map(concern).collect(), others: concern(None) }
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
    fn new(expect: &Expectations, shared: &Shared, kind: Option<KindId>) -> Concern {
        let among = |kinds: &[KindId]| kind.is_some_and(|kind| kinds.contains(&kind));
        let heartbeats = shared.heartbeats.iter().cloned().enumerate();
        Concern {
            symbol: kind.and_then(|kind| expect.grammar.symbol_of(kind)),
            forbidden: among(&expect.grammar.forbidden),
            bad: among(&expect.grammar.bad),
            heartbeats: heartbeats.filter(|(_, heartbeat)| heartbeat.when.can_hold(kind)).collect(),
            failed: Sieve::of(&shared.failed, kind),
            answers: shared.answers.iter().filter(|source| source.when.matcher.can_hold(kind)).cloned().collect(),
            good_ends: Sieve::of(&shared.good_ends, kind),
            public: Sieve::of(&shared.public, kind),
            degraded: Sieve::of(&shared.degraded, kind),
            replayed: Sieve::of(&shared.replayed, kind),
            failed_tool: Sieve::of(&shared.failed_tool, kind),
            bad_ends: Sieve::of(&shared.bad_ends, kind),
        }
    }
}
