//! Matchers: one small language for greetings, refusals, heartbeats, ends, success of a step.
//!
//! A matcher is a list of conditions that must all hold of a decoded frame. It reads and never changes anything, and it
//! has no loops and no arithmetic: what needs more belongs into the profile as another matcher.

use regex::Regex;

use crate::event::{Extract, Found, Kind, KindId, Number, SlotId};

/// Conditions that must all hold. The empty matcher holds always; the decoder refuses it where that makes no sense.
#[derive(Debug, Clone, Default)]
pub struct Matcher {
    /// All must hold.
    pub all: Vec<Condition>,
}

/// One condition on a frame.
#[derive(Debug, Clone)]
pub enum Condition {
    /// The event's kind is one of these.
    Event(Vec<KindId>),
    /// What stands at a place.
    At(SlotId, Test),
    /// The frame's text as a whole.
    Text(Test),
    /// The matcher does not hold.
    Not(Matcher),
    /// At least one of the matchers holds.
    Any(Vec<Matcher>),
}

/// A test of one value.
#[derive(Debug, Clone)]
pub enum Test {
    /// `null`, or absent.
    IsNull,
    /// Equal with its type: the text "1" is not the number 1.
    Bool(bool),
    /// See `Bool`.
    Number(Number),
    /// See `Bool`.
    Text(String),
    /// One of the tests holds.
    OneOf(Vec<Test>),
    /// All of the tests hold.
    AllOf(Vec<Test>),
    /// The text form matches.
    Matches(Regex),
    /// The text form contains this.
    Contains(String),
    /// Present and not null, or (false) absent or null.
    Exists(bool),
    /// The test does not hold.
    Not(Box<Test>),
}

impl Matcher {
    /// Whether every condition holds of the frame `text` that decoded to `extract`.
    pub fn holds(&self, extract: &Extract<'_>, text: &str) -> bool {
        self.all.iter().all(|condition| condition.holds(extract, text))
    }

    /// Whether it can hold of an event of this kind (`None`: one whose name nothing mentions) at all, whatever else stands in it.
    pub fn can_hold(&self, kind: Option<KindId>) -> bool {
        self.all.iter().all(|condition| match condition {
            Condition::Event(kinds) => kind.is_some_and(|kind| kinds.contains(&kind)),
            Condition::Any(matchers) => matchers.iter().any(|matcher| matcher.can_hold(kind)),
            Condition::At(..) | Condition::Text(_) | Condition::Not(_) => true,
        })
    }

    /// Places of which at least one must exist in a frame of which it holds; `None` if it may hold without any.
    pub fn needs(&self) -> Option<Vec<SlotId>> {
        self.all.iter().find_map(|condition| match condition {
            Condition::At(slot, test) => (!test.holds(&Found::Absent)).then(|| vec![*slot]),
            Condition::Any(matchers) => {
                matchers.iter().map(Matcher::needs).collect::<Option<Vec<_>>>().map(|all| all.concat())
            }
            Condition::Event(_) | Condition::Text(_) | Condition::Not(_) => None,
        })
    }

    /// Every kind that an `event:` condition names, wherever it stands.
    pub fn kinds(&self) -> Vec<KindId> {
        let mut kinds = Vec::new();
        for condition in &self.all {
            match condition {
                Condition::Event(named) => kinds.extend(named),
                Condition::Not(inner) => kinds.extend(inner.kinds()),
                Condition::Any(inner) => kinds.extend(inner.iter().flat_map(Matcher::kinds)),
                Condition::At(..) | Condition::Text(_) => {}
            }
        }
        kinds
    }
}

impl Condition {
    fn holds(&self, extract: &Extract<'_>, text: &str) -> bool {
        match self {
            Condition::Event(kinds) => matches!(extract.kind, Kind::Known(kind) if kinds.contains(&kind)),
            Condition::At(slot, test) => test.holds(extract.at(*slot)),
            Condition::Text(test) => test.holds(&Found::Text(text.into())),
            Condition::Not(matcher) => !matcher.holds(extract, text),
            Condition::Any(matchers) => matchers.iter().any(|matcher| matcher.holds(extract, text)),
        }
    }
}

impl Test {
    /// Whether the test holds of `found`.
    pub fn holds(&self, found: &Found<'_>) -> bool {
        match self {
            Test::IsNull => !found.exists(),
            Test::Bool(expected) => matches!(found, Found::Bool(value) if value == expected),
            Test::Number(expected) => matches!(found, Found::Number(value) if value == expected),
            Test::Text(expected) => matches!(found, Found::Text(value) if value == expected),
            Test::OneOf(tests) => tests.iter().any(|test| test.holds(found)),
            Test::AllOf(tests) => tests.iter().all(|test| test.holds(found)),
            Test::Matches(pattern) => found.as_text().is_some_and(|text| pattern.is_match(&text)),
            Test::Contains(part) => found.as_text().is_some_and(|text| text.contains(part.as_str())),
            Test::Exists(expected) => found.exists() == *expected,
            Test::Not(test) => !test.holds(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Envelope;

    fn extract(slots: Vec<Found<'_>>) -> Extract<'_> {
        Extract { kind: Kind::Known(KindId(3)), name: None, envelope: Envelope::default(), slots: slots.into() }
    }

    #[test]
    fn a_scalar_is_equal_with_its_type() {
        let one = Found::Number(Number::Unsigned(1));
        assert!(Test::Number(Number::Unsigned(1)).holds(&one));
        assert!(!Test::Text("1".into()).holds(&one));
        assert!(!Test::Bool(true).holds(&one));
    }

    #[test]
    fn exists_means_present_and_not_null() {
        assert!(!Test::Exists(true).holds(&Found::Null));
        assert!(Test::Exists(false).holds(&Found::Absent));
        assert!(Test::Exists(true).holds(&Found::Bool(false)));
    }

    #[test]
    fn all_conditions_must_hold() {
        let matcher = Matcher {
            all: vec![
                Condition::Event(vec![KindId(2), KindId(3)]),
                Condition::Not(Matcher { all: vec![Condition::At(SlotId(0), Test::Text("failed".into()))] }),
            ],
        };
        assert!(matcher.holds(&extract(vec![Found::Text("ok".into())]), ""));
        assert!(matcher.holds(&extract(vec![Found::Absent]), ""));
        assert!(!matcher.holds(&extract(vec![Found::Text("failed".into())]), ""));
        assert_eq!(matcher.kinds(), [KindId(2), KindId(3)]);
    }

    #[test]
    fn a_matcher_is_ruled_out_only_by_the_kinds_it_names() {
        let event = |kind| Matcher { all: vec![Condition::Event(vec![KindId(kind)])] };
        let place = Condition::At(SlotId(0), Test::Exists(true));
        let here = Matcher { all: vec![place] };
        for (matcher, of_one, of_none) in [
            (event(1), true, false),
            (event(2), false, false),
            (here.clone(), true, true),
            (Matcher { all: vec![Condition::Not(event(1))] }, true, true),
            (Matcher { all: vec![Condition::Any(vec![event(2), here])] }, true, true),
            (Matcher { all: vec![Condition::Any(vec![event(2), event(1)])] }, true, false),
            (Matcher { all: vec![Condition::Any(vec![event(2)])] }, false, false),
        ] {
            assert_eq!((matcher.can_hold(Some(KindId(1))), matcher.can_hold(None)), (of_one, of_none), "{matcher:?}");
        }
    }

    #[test]
    fn a_matcher_needs_the_places_without_which_it_cannot_hold() {
        let at = |slot, test| Matcher { all: vec![Condition::At(SlotId(slot), test)] };
        let (yes, gone) = (|| Test::Bool(true), || Test::Exists(false));
        let any = |matchers| Matcher { all: vec![Condition::Event(vec![KindId(3)]), Condition::Any(matchers)] };
        for (matcher, needs) in [
            (at(1, yes()), Some(vec![SlotId(1)])),
            (at(1, gone()), None),
            (any(vec![at(1, yes()), at(2, yes())]), Some(vec![SlotId(1), SlotId(2)])),
            (any(vec![at(1, yes()), at(2, gone())]), None),
            (Matcher { all: vec![Condition::Not(at(1, gone()))] }, None),
        ] {
            assert_eq!(matcher.needs(), needs, "{matcher:?}");
            assert!(needs.is_none() || !matcher.holds(&extract(vec![]), ""), "{matcher:?} holds of nothing");
        }
    }

    #[test]
    fn any_needs_one() {
        let text = |part: &str| Matcher { all: vec![Condition::Text(Test::Contains(part.into()))] };
        let matcher = Matcher { all: vec![Condition::Any(vec![text("ab"), text("cd")])] };
        assert!(matcher.holds(&extract(vec![]), "xcdx"));
        assert!(!matcher.holds(&extract(vec![]), "x"));
    }
}
