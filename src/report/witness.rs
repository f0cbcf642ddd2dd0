//! What several formats say of a finding in the same words: whom it concerns, when things happened, how to hunt it.
//!
//! Texts are as they came; whoever prints them escapes them.

use super::tree::{Excerpt, FindingGroup, Mark, Report, Witness};
use crate::finding::Subject;
use crate::rule::Concern;
use crate::time::Micros;

/// How often a command that hunts a finding repeats the execution at most.
const HUNTS: u32 = 10;
/// Users that a command which hunts a finding names at most.
const HUNTED: usize = 8;

/// Whom a finding concerns, as a short list; empty for what precedes all users.
pub(super) fn whom(subject: &Subject) -> String {
    let parts = [
        subject.user.map(|user| format!("user {user}")),
        subject.iteration.map(|iteration| format!("iteration {iteration}")),
        subject.connection.filter(|connection| connection.0 > 1).map(|connection| format!("connection {connection}")),
        subject.run.as_ref().map(|run| format!("run {run}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A finding in one sentence, beginning with whom it concerns.
pub(super) fn sentence(witness: &Witness) -> String {
    let whom = whom(&witness.subject);
    let colon = if whom.is_empty() { "" } else { ": " };
    format!("{whom}{colon}{}", witness.message)
}

/// Times of a witness as they are told: from the ask, or from the first event that is known when the ask lies too far back.
/// Without a run there are none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lane {
    zero: Option<u64>,
}

impl Lane {
    pub(super) fn of(marks: &[Mark]) -> Lane {
        let zero = marks.iter().find(|mark| mark.label == "asked").or(marks.first());
        Lane { zero: zero.map(|mark| mark.at_us) }
    }

    pub(super) fn timeless(self) -> bool {
        self.zero.is_none()
    }

    /// `0`, `+15.4 ms`, `-3 ms`; empty without a run.
    pub(super) fn time(self, at_us: u64) -> String {
        match self.zero {
            None => String::new(),
            Some(zero) if at_us == zero => "0".to_owned(),
            Some(zero) if at_us > zero => format!("+{}", Micros(at_us - zero)),
            Some(zero) => format!("-{}", Micros(zero - at_us)),
        }
    }

    /// Marks as rows of a time and a label; repeated ones are one row.
    pub(super) fn rows(self, marks: &[Mark]) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        for repeated in marks.chunk_by(|a, b| a.label == b.label) {
            let [first, .., last] = repeated else {
                rows.extend(repeated.iter().map(|mark| (self.time(mark.at_us), mark.label.clone())));
                continue;
            };
            let label = format!("{}, {} x until {}", first.label, repeated.len(), self.time(last.at_us));
            rows.push((self.time(first.at_us), label));
        }
        rows
    }
}

/// What two users did side by side, up to the moment at which something of one came to the other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SideBySide {
    /// Whose it was, and to whom it came.
    pub(super) heads: [String; 2],
    /// Time, what the one did, what the other did.
    pub(super) rows: Vec<(String, [String; 2])>,
    /// When it came from the one to the other.
    pub(super) came: String,
}

/// Rows beside one another that are told: the first, and so many of the last.
const LAST_PAIRS: usize = 8;

/// The runs of the two users of a leak; `None` where it is none, or the owner's run was not kept.
pub(super) fn side_by_side(witness: &Witness) -> Option<SideBySide> {
    let owner = witness.owner?;
    let user = witness.subject.user?;
    let theirs = witness.beside.iter().find(|run| run.user == owner)?;
    let lane = Lane::of(&witness.marks);
    if lane.timeless() {
        return None;
    }
    let before = |mark: &&Mark| mark.at_us <= witness.at_us;
    let one = |mark: &Mark| (mark.at_us, [mark.label.clone(), String::new()]);
    let other = |mark: &Mark| (mark.at_us, [String::new(), mark.label.clone()]);
    let mut all: Vec<(u64, [String; 2])> = theirs.marks.iter().filter(before).map(one).collect();
    all.extend(witness.marks.iter().filter(before).map(other));
    all.sort_by_key(|(at, _)| *at);
    let mut rows: Vec<_> = all.into_iter().map(|(at, pair)| (lane.time(at), pair)).collect();
    let skipped = rows.len().saturating_sub(1 + LAST_PAIRS);
    if skipped > 1 {
        rows.splice(1..=skipped, [("...".to_owned(), [format!("{skipped} more"), String::new()])]);
    }
    let heads = [format!("user {owner}, whose it was"), format!("user {user}")];
    Some(SideBySide { heads, rows, came: lane.time(witness.at_us) })
}

/// A witness as lines of plain text, not yet escaped: its sentence, its time line, its texts.
pub(super) fn lines(witness: &Witness) -> Vec<String> {
    let lane = Lane::of(&witness.marks);
    let mut rows = lane.rows(&witness.marks);
    let label = |excerpt: &Excerpt| format!("{}: {}", excerpt.label, excerpt.text);
    rows.extend(witness.excerpts.iter().map(|excerpt| (lane.time(excerpt.at_us), label(excerpt))));
    let widest = rows.iter().map(|(time, _)| time.len()).max().unwrap_or_default();
    let rows = rows.into_iter().map(|(time, label)| match lane.timeless() {
        true => format!("  {label}"),
        false => format!("  {time:>widest$}  {label}"),
    });
    std::iter::once(sentence(witness)).chain(rows).collect()
}

/// The command that looks for a finding until it shows again; `None` where the report knows no command, or repeating it would
/// not show it. Only its own users take part where others do not matter; what users do to one another and latencies under load
/// need them all.
pub(super) fn hunt(report: &Report, group: &FindingGroup) -> Option<String> {
    if !group.repeat.starts_with("goldenpath run ") || group.concern == Concern::Setup {
        return None;
    }
    let mut users: Vec<u32> =
        group.witnesses.iter().filter_map(|witness| witness.subject.user).map(|user| user.0).collect();
    users.sort_unstable();
    users.dedup();
    let alone = !matches!(group.concern, Concern::Isolation | Concern::Doors | Concern::Budget)
        && !users.is_empty()
        && users.len() <= HUNTED
        && (users.len() as u64) < report.scenario.users
        && report.scenario.only_users.is_empty();
    let only = users.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let only = if alone { format!(" --only-users {only}") } else { String::new() };
    Some(format!("{}{only} --repeat {HUNTS} --until-fail", group.repeat))
}

#[cfg(test)]
mod tests {
    use super::super::around::Beside;
    use super::*;
    use crate::identity::{Iteration, UserNumber};

    fn leaked() -> Witness {
        let mark = |at_us: u64, label: &str| Mark { at_us, label: label.to_owned() };
        Witness {
            at_us: 900,
            subject: Subject { user: Some(UserNumber(2)), ..Subject::default() },
            message: String::new(),
            marks: vec![mark(100, "asked"), mark(800, "b")],
            excerpts: vec![],
            owner: Some(UserNumber(7)),
            class: None,
            silence_us: None,
            cut: None,
            beside: vec![Beside {
                user: UserNumber(7),
                iteration: Iteration(1),
                asked_us: 50,
                over_us: 5_000,
                marks: (0..20).map(|n| mark(50 + n * 50, "c")).collect(),
            }],
        }
    }

    #[test]
    fn two_users_stand_side_by_side_until_it_came() {
        let told = side_by_side(&leaked()).expect("both runs are known");
        assert_eq!((told.heads[0].as_str(), told.came.as_str()), ("user 7, whose it was", "+800 us"));
        let row = |time: &str, left: &str, right: &str| (time.to_owned(), [left.to_owned(), right.to_owned()]);
        assert_eq!(told.rows[0], row("-50 us", "c", ""));
        assert_eq!(told.rows[1], row("...", "11 more", ""), "18 of the one by then, and 2 of the other");
        assert!(told.rows.contains(&row("+700 us", "", "b")), "{told:?}");
        assert_eq!(told.rows.last(), Some(&row("+800 us", "c", "")), "what came later is not told");
    }

    #[test]
    fn one_user_alone_is_no_pair() {
        for change in [
            |witness: &mut Witness| witness.owner = None,
            |witness: &mut Witness| witness.beside.clear(),
            |witness: &mut Witness| witness.marks.clear(),
        ] {
            let mut witness = leaked();
            change(&mut witness);
            assert_eq!(side_by_side(&witness), None);
        }
    }
}
