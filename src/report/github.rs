//! Annotations, as GitHub's runner reads them from a log: one line each, at the scenario's line.
//!
//! Source: "Workflow commands for GitHub Actions", which escapes `%`, CR and LF in data, and `:` and `,` as well in
//! properties. The runner shows at most ten errors, ten warnings and ten notices of a step; what is beyond is counted in the
//! last. Nothing here knows whether a runner listens.

use super::text::bounded;
use super::tree::{Claim, FindingGroup, Report, Word};
use super::witness::sentence;
use crate::finding::counted;
use crate::rule::Severity;

/// Annotations of a level that the runner shows of a step.
const SHOWN: usize = 10;
/// Bytes of a message that are kept.
const LONGEST: usize = 1_000;

/// One line per annotation, without line breaks: claims that do not hold, then findings.
pub fn annotations(report: &Report) -> Vec<String> {
    let claims = report.claims.iter().filter(|claim| claim.verdict != Word::Pass).map(|claim| of_claim(report, claim));
    let findings =
        report.findings.iter().filter(|group| group.severity != Severity::Note).map(|group| of_rule(report, group));
    let all: Vec<Annotation> = execution(report).into_iter().chain(claims).chain(findings).collect();
    let mut lines = Vec::new();
    for level in ["error", "warning", "notice"] {
        let of_level: Vec<&Annotation> = all.iter().filter(|annotation| annotation.level == level).collect();
        let kept = if of_level.len() > SHOWN { SHOWN - 1 } else { of_level.len() };
        lines.extend(of_level.iter().take(kept).map(|annotation| annotation.line()));
        if kept < of_level.len() {
            let more = of_level.len() - kept;
            lines.push(format!("::{level} title=goldenpath::{more} more; all of them stand in the report"));
        }
    }
    lines
}

struct Annotation {
    level: &'static str,
    title: String,
    message: String,
    place: Option<(String, u32)>,
}

impl Annotation {
    fn line(&self) -> String {
        let place = self.place.as_ref();
        let place = place.map(|(file, line)| format!("file={},line={line},", property(file))).unwrap_or_default();
        format!("::{} {place}title={}::{}", self.level, property(&self.title), data(&self.message))
    }
}

/// What is said of the whole where no claim says it.
fn execution(report: &Report) -> Option<Annotation> {
    let outcome = report.verdict.outcome;
    let level = match outcome {
        Word::Broke => "error",
        Word::Interrupted => "warning",
        _ => return None,
    };
    let title = format!("{}: {}", report.scenario.name, if level == "error" { "broke" } else { "interrupted" });
    Some(Annotation { level, title, message: report.verdict.sentence.clone(), place: place(report, None) })
}

fn of_claim(report: &Report, claim: &Claim) -> Annotation {
    let (level, word) = match claim.verdict {
        _ if !claim.required => ("notice", "not required, and not passed"),
        Word::Fail => ("error", "failed"),
        Word::Blocked => ("error", "blocked"),
        _ => ("warning", "inconclusive"),
    };
    let missing = claim.missing.as_ref().map(|missing| format!("; {missing}")).unwrap_or_default();
    Annotation {
        level,
        title: format!("{}: {} {word}", report.scenario.name, claim.name),
        message: format!("{}{missing}", claim.figures),
        place: place(report, Some(claim)),
    }
}

fn of_rule(report: &Report, group: &FindingGroup) -> Annotation {
    let level = match group.severity {
        Severity::Failure if group.blamed => "error",
        Severity::Failure | Severity::Note => "notice",
        Severity::Doubt => "warning",
    };
    let first = group.witnesses.first().map(|witness| format!("; first: {}", sentence(witness))).unwrap_or_default();
    Annotation {
        level,
        title: format!("{} {}", group.code, group.name),
        message: format!("{}{first}; {}", counted(group.count, "finding"), group.advice),
        place: place(report, None),
    }
}

fn place(report: &Report, claim: Option<&Claim>) -> Option<(String, u32)> {
    let origin = claim.and_then(|claim| claim.origin.as_ref()).map(|origin| (origin.file.clone(), origin.line));
    origin.or_else(|| report.scenario.file.clone().map(|file| (file, 1)))
}

fn data(text: &str) -> String {
    bounded(text, LONGEST).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
