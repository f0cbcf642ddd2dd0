//! Doors that must stay shut: what probes met there, and what that says.
//!
//! A door is shut if somebody was refused who must be, as it was expected, while the same was let in with all that is right (the
//! control) and another user's run went on undisturbed. Whatever of this is missing leaves the door open to doubt.

use std::collections::BTreeMap;

use super::conclude::Verdict;
use crate::expect::{DoorRule, Doors};
use crate::identity::{Iteration, UserNumber};
use crate::probe::{Door, Probe};
use crate::time::Stamp;

/// What probes met.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DoorLog {
    /// By probe and door.
    knocks: BTreeMap<(Probe, Door), Knocks>,
    /// Probes that were left out, and why.
    spared: BTreeMap<Probe, String>,
    /// The iterations beside which probes knocked.
    beside: BTreeMap<(UserNumber, Iteration), Beside>,
}

/// One probe and its control.
#[derive(Debug, Clone, Default, PartialEq)]
struct Knocks {
    knock: Option<Knock>,
    control: Option<Knock>,
}

/// One knock at a door.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Knock {
    /// What came of it; `None`: what came of the iteration beside it, which did the same.
    pub met: Option<Met>,
    /// When it began.
    pub at: Stamp,
    /// What it brought, in words.
    pub with: String,
    /// That was wrong in more than it was meant to be.
    pub weak: bool,
    /// Whose iteration went on meanwhile.
    pub beside: Option<(UserNumber, Iteration)>,
}

/// What came of a knock, the best first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Met {
    /// A refusal as expected.
    Refused(String),
    /// Neither; nothing says which.
    Unclear(String),
    /// Not let in, by what is no expected refusal.
    Odd(String),
    /// Let in.
    In(String),
}

/// An iteration beside which a probe knocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Beside {
    /// When its first run was asked for, and its last one over.
    asked: Stamp,
    over: Stamp,
    /// Every run ended well.
    good: bool,
    /// Its steps after the run went well, if it had any.
    read: Option<bool>,
}

/// What one probe has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorRow {
    /// Which.
    pub probe: Probe,
    /// Where it knocked.
    pub door: Door,
    /// What it brought, in words.
    pub with: String,
    /// What counts as a refusal of it.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// What came of the same with all that is right.
    pub control: String,
    /// What became of the other user's run meanwhile.
    pub beside: String,
    /// What it brought was wrong in more than it was meant to be, so that a refusal does not say in which.
    pub weak: bool,
    /// Whether the door is shut; `None` if nothing knocked at it on purpose.
    pub verdict: Option<Verdict>,
    /// For what is neither shut nor open: what is missing.
    pub missing: Option<String>,
}

impl Met {
    /// What was seen, in words.
    pub fn by(&self) -> &str {
        match self {
            Met::Refused(by) | Met::Unclear(by) | Met::Odd(by) | Met::In(by) => by,
        }
    }
}

impl std::fmt::Display for Met {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Met::Refused(by) => write!(f, "refused: {by}"),
            Met::Unclear(by) => write!(f, "unclear: {by}"),
            Met::Odd(by) => write!(f, "no refusal: {by}"),
            Met::In(by) => write!(f, "let in: {by}"),
        }
    }
}

impl DoorLog {
    /// Somebody knocked, as the control or not.
    pub(super) fn knocked(&mut self, at: (Probe, Door), control: bool, knock: Knock) {
        let knocks = self.knocks.entry(at).or_default();
        let place = if control { &mut knocks.control } else { &mut knocks.knock };
        worse(place, knock);
    }

    /// A probe was left out.
    pub(super) fn spared(&mut self, probe: Probe, why: &str) {
        let spared = self.spared.entry(probe).or_insert_with(|| why.to_owned());
        if why < spared.as_str() {
            why.clone_into(spared);
        }
    }

    /// A run of an iteration that is no part of the load is over.
    pub(super) fn ran(&mut self, user: UserNumber, iteration: Iteration, (asked, over): (Stamp, Stamp), good: bool) {
        let new = Beside { asked, over, good, read: None };
        let beside = self.beside.entry((user, iteration)).or_insert(new);
        *beside = Beside {
            asked: beside.asked.min(asked),
            over: beside.over.max(over),
            good: beside.good && good,
            read: beside.read,
        };
    }

    /// A step after the runs of such an iteration went well, or not.
    pub(super) fn read(&mut self, user: UserNumber, iteration: Iteration, good: bool) {
        if let Some(beside) = self.beside.get_mut(&(user, iteration)) {
            beside.read = Some(beside.read.unwrap_or(true) && good);
        }
    }

    pub(super) fn merge(&mut self, other: DoorLog) {
        for (at, theirs) in other.knocks {
            let mine = self.knocks.entry(at).or_default();
            for (mine, theirs) in [(&mut mine.knock, theirs.knock), (&mut mine.control, theirs.control)] {
                theirs.into_iter().for_each(|theirs| worse(mine, theirs));
            }
        }
        other.spared.iter().for_each(|(probe, why)| self.spared(*probe, why));
        // Each iteration is one user's, and each user one thread's.
        self.beside.extend(other.beside);
    }

    /// What each probe has shown that was to knock.
    pub fn rows(&self, doors: &Doors) -> Vec<DoorRow> {
        let rows = |rule: &DoorRule| {
            let at = |door| self.knocks.contains_key(&(rule.probe, door));
            let mut doors: Vec<Door> = [Door::Socket, Door::Http].into_iter().filter(|door| at(*door)).collect();
            if doors.is_empty() {
                doors.push(if rule.probe.connects() { Door::Socket } else { Door::Http });
            }
            doors.into_iter().map(|door| self.row(rule, door)).collect::<Vec<_>>()
        };
        doors.probes.iter().flat_map(rows).collect()
    }

    fn row(&self, rule: &DoorRule, door: Door) -> DoorRow {
        let probe = rule.probe;
        let none = Knocks::default();
        let Knocks { knock, control } = self.knocks.get(&(probe, door)).unwrap_or(&none);
        let beside = knock.as_ref().and_then(|knock| Some((knock, knock.beside?)));
        let row = |seen: String, verdict, missing: Option<String>| DoorRow {
            probe,
            door,
            with: knock.as_ref().map_or_else(|| probe.comes().to_owned(), |knock| knock.with.clone()),
            expected: rule.refusals.to_string(),
            seen,
            control: control.as_ref().map_or_else(|| "none".to_owned(), |control| self.control(door, control).1),
            beside: beside.map_or_else(|| "none".to_owned(), |(knock, beside)| self.beside(door, knock, beside).1),
            weak: knock.as_ref().is_some_and(|knock| knock.weak),
            verdict,
            missing,
        };
        let open = Some(Verdict::Inconclusive);
        let Some(Knock { met: Some(met), .. }) = knock else {
            return match self.spared.get(&probe) {
                // Who names a probe counts on it.
                Some(why) if rule.named => {
                    let missing = format!("{probe} was spared: {why}; take it out of `probes` if that is well");
                    row("spared".to_owned(), open, Some(missing))
                }
                Some(why) => row("spared".to_owned(), None, Some(why.clone())),
                None => row("it never knocked".to_owned(), open, Some(format!("{probe} never knocked"))),
            };
        };
        let seen = met.to_string();
        match met {
            Met::In(_) => return row(seen, Some(Verdict::Fail), None),
            Met::Odd(by) => {
                let missing = format!("{probe} met with what is no refusal: {by}; if it is one, name it in `refused`");
                return row(seen, open, Some(missing));
            }
            Met::Unclear(by) => return row(seen, open, Some(format!("{probe} shows nothing: {by}"))),
            Met::Refused(_) => {}
        }
        match control.as_ref().map(|control| self.control(door, control)) {
            Some((true, _)) => {}
            Some((false, told)) => {
                let missing =
                    format!("{probe} was refused, and so was the same with all that is right ({told}); make that work");
                return row(seen, open, Some(missing));
            }
            None => return row(seen, open, Some(format!("{probe} was refused, and the control was not tried"))),
        }
        match beside.map(|(knock, beside)| self.beside(door, knock, beside)) {
            Some((true, _)) => row(seen, Some(Verdict::Pass), None),
            Some((false, told)) => {
                let missing = format!("{probe} was refused; the run of another user meanwhile: {told}");
                row(seen, open, Some(missing))
            }
            None => row(seen, open, Some(format!("{probe} was refused; no run of another user went on meanwhile"))),
        }
    }

    /// Whether the same was let in with all that is right, and by what that was seen.
    fn control(&self, door: Door, control: &Knock) -> (bool, String) {
        let beside = control.beside.and_then(|beside| self.beside.get(&beside));
        match (&control.met, beside) {
            (Some(Met::In(by)), _) => (true, format!("let in: {by}")),
            (Some(met), _) => (false, met.to_string()),
            (None, Some(Beside { read: Some(true), .. })) if door == Door::Http => {
                (true, "let in: its owner read it".to_owned())
            }
            (None, _) if door == Door::Http => (false, "its owner could not read it".to_owned()),
            (None, Some(Beside { good: true, .. })) => (true, "let in: its own run ended well".to_owned()),
            (None, _) => (false, "its own run did not end well".to_owned()),
        }
    }

    /// Whether the run of another user was in flight when the knock came and ended well, and what became of it.
    fn beside(&self, door: Door, knock: &Knock, beside: (UserNumber, Iteration)) -> (bool, String) {
        let (user, _) = beside;
        match self.beside.get(&beside) {
            None => (false, format!("user {user} had no run")),
            Some(beside) if !beside.good => (false, format!("that of user {user} did not end well")),
            Some(beside) if knock.at < beside.asked || knock.at > beside.over && door != Door::Http => {
                (false, format!("that of user {user} was not in flight"))
            }
            Some(_) => (true, format!("that of user {user} ended well")),
        }
    }
}

/// Keeps the worse of two knocks, so that it does not matter who told first.
fn worse(mine: &mut Option<Knock>, theirs: Knock) {
    if mine.as_ref().is_none_or(|mine| *mine < theirs) {
        *mine = Some(theirs);
    }
}
