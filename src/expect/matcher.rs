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

/// What a matcher comes to once it is known of what kind an event is and which places exist in it; most matchers are decided then.
#[derive(Debug, Clone)]
pub enum Rest {
    /// It holds of every such event.
    Holds,
    /// It holds of none.
    Fails,
    /// It holds of those of which this one does.
    Depends(Matcher),
}

impl Rest {
    /// Whether the matcher holds of the frame `text` that decoded to `extract`, which is such an event.
    #[inline]
    pub fn holds(&self, extract: &Extract<'_>, text: &str) -> bool {
        match self {
            Rest::Holds => true,
            Rest::Fails => false,
            Rest::Depends(rest) => rest.holds(extract, text),
        }
    }

    /// It may hold of such an event.
    pub fn can_hold(&self) -> bool {
        !matches!(self, Rest::Fails)
    }
}

impl Matcher {
    /// Whether every condition holds of the frame `text` that decoded to `extract`.
    pub fn holds(&self, extract: &Extract<'_>, text: &str) -> bool {
        self.all.iter().all(|condition| condition.holds(extract, text))
    }

    /// What is left of it for an event of this kind (`None`: one whose name nothing mentions) in which the places exist of which
    /// `exists` says so.
    pub fn given(&self, kind: Option<KindId>, exists: &dyn Fn(SlotId) -> bool) -> Rest {
        let mut all = Vec::new();
        for condition in &self.all {
            match condition.given(kind, exists) {
                Rest::Holds => {}
                Rest::Fails => return Rest::Fails,
                Rest::Depends(rest) => all.extend(rest.all),
            }
        }
        if all.is_empty() { Rest::Holds } else { Rest::Depends(Matcher { all }) }
    }

    /// As `given`, of several of which one must hold.
    pub fn any_given(matchers: &[Matcher], kind: Option<KindId>, exists: &dyn Fn(SlotId) -> bool) -> Rest {
        let mut any = Vec::new();
        for matcher in matchers {
            match matcher.given(kind, exists) {
                Rest::Holds => return Rest::Holds,
                Rest::Fails => {}
                Rest::Depends(rest) => any.push(rest),
            }
        }
        match any.len() {
            0 => Rest::Fails,
            1 => Rest::Depends(any.remove(0)),
            _ => Rest::Depends(Matcher { all: vec![Condition::Any(any)] }),
        }
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

    /// As `Matcher::given`.
    fn given(&self, kind: Option<KindId>, exists: &dyn Fn(SlotId) -> bool) -> Rest {
        let decided = match self {
            Condition::Event(kinds) => Some(kind.is_some_and(|kind| kinds.contains(&kind))),
            Condition::At(slot, test) => test.given(exists(*slot)),
            Condition::Text(_) => None,
            Condition::Not(matcher) => match matcher.given(kind, exists) {
                Rest::Holds => Some(false),
                Rest::Fails => Some(true),
                Rest::Depends(rest) => return Rest::Depends(Matcher { all: vec![Condition::Not(rest)] }),
            },
            Condition::Any(matchers) => return Matcher::any_given(matchers, kind, exists),
        };
        match decided {
            Some(true) => Rest::Holds,
            Some(false) => Rest::Fails,
            None => Rest::Depends(Matcher { all: vec![self.clone()] }),
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

    /// Whether it holds of whatever stands at a place that exists, or that does not; `None` if it depends on what stands there.
    fn given(&self, exists: bool) -> Option<bool> {
        if !exists {
            return Some(self.holds(&Found::Absent));
        }
        match self {
            Test::IsNull => Some(false),
            Test::Exists(expected) => Some(*expected),
            Test::Not(test) => test.given(exists).map(|holds| !holds),
            Test::OneOf(tests) => tests
                .iter()
                .map(|test| test.given(exists))
                .reduce(|one, other| if one == Some(true) || other == Some(true) { Some(true) } else { one.and(other) })
                .unwrap_or(Some(false)),
            Test::AllOf(tests) => tests
                .iter()
                .map(|test| test.given(exists))
                .reduce(
                    |one, other| if one == Some(false) || other == Some(false) { Some(false) } else { one.and(other) },
                )
                .unwrap_or(Some(true)),
            _ => None,
        }
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
    fn kind_and_places_decide_what_depends_on_nothing_else() {
        let event = |kind| Matcher { all: vec![Condition::Event(vec![KindId(kind)])] };
        let at = |slot, test| Matcher { all: vec![Condition::At(SlotId(slot), test)] };
        let not = |matcher| Matcher { all: vec![Condition::Not(matcher)] };
        let any = |matchers| Matcher { all: vec![Condition::Any(matchers)] };
        let both = |one: Matcher, other: Matcher| Matcher { all: [one.all, other.all].concat() };
        let yes = || Test::Bool(true);
        // Of kind 3, and slot 1 exists.
        for (matcher, rest) in [
            (event(3), "Holds"),
            (event(4), "Fails"),
            (at(1, Test::Exists(true)), "Holds"),
            (at(2, Test::Exists(true)), "Fails"),
            (at(1, Test::IsNull), "Fails"),
            (at(2, Test::IsNull), "Holds"),
            (at(1, yes()), "Depends"),
            (at(2, yes()), "Fails"),
            (at(2, Test::Not(Box::new(yes()))), "Holds"),
            (at(1, Test::OneOf(vec![yes(), Test::Exists(true)])), "Holds"),
            (at(1, Test::OneOf(vec![yes(), Test::IsNull])), "Depends"),
            (at(1, Test::AllOf(vec![yes(), Test::IsNull])), "Fails"),
            (at(1, Test::AllOf(vec![Test::Exists(true), yes()])), "Depends"),
            (not(at(1, yes())), "Depends"),
            (not(at(2, yes())), "Holds"),
            (any(vec![at(2, yes()), at(1, yes())]), "Depends"),
            (any(vec![at(2, yes()), event(3)]), "Holds"),
            (any(vec![at(2, yes()), event(4)]), "Fails"),
            (both(event(3), at(1, yes())), "Depends"),
            (both(event(4), at(1, yes())), "Fails"),
            (Matcher { all: vec![Condition::Text(Test::Contains("x".into()))] }, "Depends"),
            (Matcher::default(), "Holds"),
        ] {
            let given = matcher.given(Some(KindId(3)), &|slot| slot == SlotId(1));
            assert!(format!("{given:?}").starts_with(rest), "{matcher:?}: {given:?}");
        }
        assert!(!event(3).given(None, &|_| true).can_hold());
    }

    fn matchers() -> impl proptest::strategy::Strategy<Value = Matcher> {
        use proptest::prelude::*;
        let test = prop_oneof![
            Just(Test::IsNull),
            any::<bool>().prop_map(Test::Bool),
            Just(Test::Text("a".into())),
            Just(Test::Contains("a".into())),
            any::<bool>().prop_map(Test::Exists),
            (0..3_u16).prop_map(|slot| Test::Own(SlotId(slot))),
        ];
        let test = test.prop_recursive(2, 8, 3, |inner| {
            let several = || proptest::collection::vec(inner.clone(), 0..3);
            prop_oneof![
                several().prop_map(Test::OneOf),
                several().prop_map(Test::AllOf),
                inner.clone().prop_map(|test| Test::Not(Box::new(test))),
            ]
        });
        let condition = prop_oneof![
            proptest::collection::vec((2..5_u16).prop_map(KindId), 0..3).prop_map(Condition::Event),
            (0..3_u16, test.clone()).prop_map(|(slot, test)| Condition::At(SlotId(slot), test)),
            test.prop_map(Condition::Text),
        ];
        let matcher = proptest::collection::vec(condition, 0..3).prop_map(|all| Matcher { all });
        matcher.prop_recursive(3, 16, 3, |inner| {
            let condition = prop_oneof![
                inner.clone().prop_map(Condition::Not),
                proptest::collection::vec(inner, 0..3).prop_map(Condition::Any),
            ];
            proptest::collection::vec(condition, 0..3).prop_map(|all| Matcher { all })
        })
    }

    proptest::proptest! {
        #[test]
        fn what_is_left_holds_whenever_the_whole_does(
            matcher in matchers(),
            slots in proptest::collection::vec(0..5_usize, 3),
            known in proptest::bool::ANY,
        ) {
            let text = |text: &'static str| Found::Text(text.into());
            let found = [Found::Absent, Found::Null, Found::Bool(true), text("a"), text("b")];
            let mut event = extract(slots.into_iter().map(|which| found[which].clone()).collect());
            if !known {
                event.kind = Kind::Unknown;
            }
            let rest = matcher.given(known.then_some(KindId(3)), &|slot| event.at(slot).exists());
            proptest::prop_assert_eq!(rest.holds(&event, "a"), matcher.holds(&event, "a"), "{:?}", rest);
            let (one, other) = (matcher.clone(), Matcher { all: vec![Condition::Not(matcher)] });
            let rest = Matcher::any_given(&[one, other], known.then_some(KindId(3)), &|slot| event.at(slot).exists());
            proptest::prop_assert!(rest.holds(&event, "a"), "one of the two holds: {:?}", rest);
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
