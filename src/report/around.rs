//! What happened around a finding: how long nothing came, where a connection was cut, what users did meanwhile. Data for swim
//! lanes; nothing is drawn here.

use std::cmp::Reverse;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tree::Mark;
use crate::check::{Course, PassedRun};
use crate::finding::{self, Deviation, Finding};
use crate::identity::{Iteration, UserNumber};
use crate::rule::{Concern, Severity};
use crate::time::Micros;

/// How many runs beside a finding a report holds.
const BESIDE: usize = 3;

/// A run at the time of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Beside {
    /// Whose run.
    pub user: UserNumber,
    /// The user's iteration.
    pub iteration: Iteration,
    /// When it was asked for, in microseconds since the execution began.
    pub asked_us: u64,
    /// When it was over, in microseconds since the execution began.
    pub over_us: u64,
    /// Its last events, in order of arrival.
    pub marks: Vec<Mark>,
}

/// How long nothing came before the finding was certain.
pub(super) fn silence(deviation: &Deviation) -> Option<Micros> {
    match deviation {
        Deviation::NeverStarted { waited, .. }
        | Deviation::FirstMessageLost { waited, .. }
        | Deviation::Stalled { waited, .. }
        | Deviation::UpgradeHung { waited }
        | Deviation::GreetingMissing { waited, frames: 0 } => Some(*waited),
        _ => None,
    }
}

/// How a connection ended that should have lasted.
pub(super) fn cut(deviation: &Deviation) -> Option<String> {
    match deviation {
        Deviation::ClosedEarly { code, .. } | Deviation::TokenExpired { code, .. } => Some(format!("closed {code}")),
        Deviation::ConnectionLost { .. } => Some("lost".to_owned()),
        Deviation::UpgradeRefused { status } => Some(format!("refused with HTTP {status}")),
        Deviation::GreetingRefused { .. } => Some("refused".to_owned()),
        Deviation::FrameTooLarge { .. } | Deviation::ProtocolViolation { .. } => Some("given up".to_owned()),
        _ => None,
    }
}

/// Runs at the time of a finding, as far as they were kept: its own where its evidence tells no events, then that of whose it
/// was, then those of other users that overlapped it longest. What only informs needs no company, nor does what is slow.
pub(super) fn beside(finding: &Finding, severity: Severity, course: &Course) -> Vec<Beside> {
    let Some(user) = finding.subject.user.filter(|_| severity != Severity::Note) else { return Vec::new() };
    let own = |run: &&PassedRun| Some(run.iteration) == finding.subject.iteration;
    let own = course.runs.get(&user).and_then(|runs| runs.iter().find(own));
    let alone = finding.evidence.marks.is_empty();
    let Some((from, to)) = window(finding).or(own.map(|run| (run.asked.0, run.over.0))) else { return Vec::new() };
    let common = |run: &PassedRun| run.over.0.min(to).checked_sub(run.asked.0.max(from));
    let owner = finding.deviation.owner();
    let company = finding.deviation.rule().concern() != Concern::Budget;
    let mut others: Vec<(u64, UserNumber, &PassedRun)> = course
        .runs
        .iter()
        .filter(|(other, _)| company && **other != user)
        .filter_map(|(other, runs)| {
            let longest = runs.iter().filter_map(|run| Some((common(run)?, run))).max_by_key(|(common, _)| *common);
            longest.map(|(common, run)| (common, *other, run))
        })
        .collect();
    others.sort_by_key(|(common, other, _)| (Some(*other) != owner, Reverse(*common), *other));
    let others = others.into_iter().map(|(_, other, run)| (other, run));
    let own = own.filter(|_| alone).map(|run| (user, run));
    own.into_iter().chain(others).take(BESIDE).map(|(user, run)| told(user, run)).collect()
}

fn told(user: UserNumber, run: &PassedRun) -> Beside {
    let mark = |mark: &finding::Mark| Mark { at_us: mark.at.0, label: mark.label.clone() };
    Beside {
        user,
        iteration: run.iteration,
        asked_us: run.asked.0,
        over_us: run.over.0,
        marks: run.marks.iter().map(mark).collect(),
    }
}

/// From the first to the last moment that a finding tells of; `None` for what has no time.
fn window(finding: &Finding) -> Option<(u64, u64)> {
    let marks = finding.evidence.marks.iter().map(|mark| mark.at.0);
    let excerpts = finding.evidence.excerpts.iter().map(|excerpt| excerpt.at.0);
    let silence = silence(&finding.deviation).map(|silence| finding.at.0.saturating_sub(silence.0));
    let times = marks.chain(excerpts).chain(silence).chain(Some(finding.at.0)).filter(|at| *at > 0);
    let (from, to) = times.fold((u64::MAX, 0), |(from, to), at| (from.min(at), to.max(at)));
    (from <= to).then_some((from, to))
}
