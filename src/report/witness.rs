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
    let alone = !matches!(group.concern, Concern::Isolation | Concern::Budget)
        && !users.is_empty()
        && users.len() <= HUNTED
        && (users.len() as u64) < report.scenario.users
        && report.scenario.only_users.is_empty();
    let only = users.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let only = if alone { format!(" --only-users {only}") } else { String::new() };
    Some(format!("{}{only} --repeat {HUNTS} --until-fail", group.repeat))
}
