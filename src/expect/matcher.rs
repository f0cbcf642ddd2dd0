//! Matchers: one small language for greetings, refusals, heartbeats, ends, success of a step.
//!
//! A matcher is a list of conditions that must all hold of a decoded frame. It reads and never changes anything, and it
//! has no loops and no arithmetic: what needs more belongs into the profile as another matcher.

use std::borrow::Cow;

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

/// A test of one value. `O` says where a value stands that differs from user to user: at a slot of the event, once the matcher
/// is compiled.
#[derive(Debug, Clone)]
pub enum Test<O = SlotId> {
    /// `null`, or absent.
    IsNull,
    /// Equal with its type: the text "1" is not the number 1.
    Bool(bool),
    /// See `Bool`.
    Number(Number),
    /// See `Bool`.
    Text(String),
    /// One of the tests holds.
    OneOf(Vec<Test<O>>),
    /// All of the tests hold.
    AllOf(Vec<Test<O>>),
    /// The text form matches.
    Matches(Regex),
    /// The text form contains this.
    Contains(String),
    /// Present and not null, or (false) absent or null.
    Exists(bool),
    /// The test does not hold.
    Not(Box<Test<O>>),
    /// The text form is that of a value of the user's own; never, while it has none.
    Own(O),
    /// The text form contains that of a value of the user's own; never, while it has none.
    ContainsOwn(O),
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
    /// Whether it holds of the frame `text` that decoded to `extract`.
    pub fn holds(&self, extract: &Extract<'_>, text: &str) -> bool {
        match self {
            Condition::Event(kinds) => matches!(extract.kind, Kind::Known(kind) if kinds.contains(&kind)),
            Condition::At(slot, test) => test.holds_among(extract.at(*slot), extract),
            Condition::Text(test) => test.holds_among(&Found::Text(text.into()), extract),
            Condition::Not(matcher) => !matcher.holds(extract, text),
            Condition::Any(matchers) => matchers.iter().any(|matcher| matcher.holds(extract, text)),
        }
    }
}

impl<O> Test<O> {
    /// The same test with each own value somewhere else.
    pub fn map<P>(&self, place: &mut impl FnMut(&O) -> P) -> Test<P> {
        let all = |tests: &[Test<O>], place: &mut _| tests.iter().map(|test| test.map(place)).collect();
        match self {
            Test::IsNull => Test::IsNull,
            Test::Bool(value) => Test::Bool(*value),
            Test::Number(number) => Test::Number(*number),
            Test::Text(text) => Test::Text(text.clone()),
            Test::OneOf(tests) => Test::OneOf(all(tests, place)),
            Test::AllOf(tests) => Test::AllOf(all(tests, place)),
            Test::Matches(pattern) => Test::Matches(pattern.clone()),
            Test::Contains(part) => Test::Contains(part.clone()),
            Test::Exists(expected) => Test::Exists(*expected),
            Test::Not(test) => Test::Not(Box::new(test.map(place))),
            Test::Own(own) => Test::Own(place(own)),
            Test::ContainsOwn(own) => Test::ContainsOwn(place(own)),
        }
    }
}

impl Test {
    /// Whether the test holds of `found`, where no value of a user's own is known.
    pub fn holds(&self, found: &Found<'_>) -> bool {
        self.holds_of(found, &|_| None)
    }

    /// Whether the test holds of `found` in an event that says what the user's own values are.
    fn holds_among(&self, found: &Found<'_>, extract: &Extract<'_>) -> bool {
        self.holds_of(found, &|slot| extract.at(slot).as_text())
    }

    fn holds_of<'o>(&self, found: &Found<'_>, own: &dyn Fn(SlotId) -> Option<Cow<'o, str>>) -> bool {
        match self {
            Test::IsNull => !found.exists(),
            Test::Bool(expected) => matches!(found, Found::Bool(value) if value == expected),
            Test::Number(expected) => matches!(found, Found::Number(value) if value == expected),
            Test::Text(expected) => matches!(found, Found::Text(value) if value == expected),
            Test::OneOf(tests) => tests.iter().any(|test| test.holds_of(found, own)),
            Test::AllOf(tests) => tests.iter().all(|test| test.holds_of(found, own)),
            Test::Matches(pattern) => found.as_text().is_some_and(|text| pattern.is_match(&text)),
            Test::Contains(part) => found.as_text().is_some_and(|text| text.contains(part.as_str())),
            Test::Exists(expected) => found.exists() == *expected,
            Test::Not(test) => !test.holds_of(found, own),
            Test::Own(slot) => own(*slot).is_some_and(|own| found.as_text().is_some_and(|text| text == own)),
            Test::ContainsOwn(slot) => {
                own(*slot).is_some_and(|own| found.as_text().is_some_and(|text| text.contains(&*own)))
            }
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
    fn an_own_value_is_compared_as_text_and_never_while_there_is_none() {
        let own = |test| Matcher { all: vec![Condition::At(SlotId(0), test)] };
        let seven = || Found::Number(Number::Unsigned(7));
        let text = |text: &str| Found::Text(text.to_owned().into());
        for (test, found, mine, holds) in [
            (Test::Own(SlotId(1)), seven(), text("7"), true),
            (Test::Own(SlotId(1)), seven(), text("77"), false),
            (Test::Own(SlotId(1)), seven(), Found::Absent, false),
            (Test::Own(SlotId(1)), Found::Absent, Found::Absent, false),
            (Test::ContainsOwn(SlotId(1)), text("of u-7."), text("u-7"), true),
            (Test::ContainsOwn(SlotId(1)), text("of u-8."), text("u-7"), false),
            (Test::Not(Box::new(Test::Own(SlotId(1)))), seven(), text("8"), true),
            (Test::OneOf(vec![Test::Bool(true), Test::Own(SlotId(1))]), seven(), text("7"), true),
        ] {
            let told = format!("{test:?} of {found:?} with {mine:?}");
            assert_eq!(own(test).holds(&extract(vec![found, mine]), ""), holds, "{told}");
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
