//! JUnit XML, as pipelines read it: a case per claim and per stage of the set-up, with stable names.
//!
//! Fail is a `failure`; blocked and inconclusive are an `error` with type and reason; what is not claimed is absent. A claim
//! that is not required never turns a pipeline red: its case passes and says what it found. Nothing is `skipped`: there is no
//! rule in this build that could be switched off.
//!
//! Shape: the schema that Jenkins and Surefire share (`testsuites`, `testsuite`, `testcase`, `failure`, `error`), with `file`
//! and `line` of the scenario on cases, which GitLab, CircleCI and others show.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report as Suites, TestCase, TestCaseStatus, TestSuite};

use super::text::bounded;
use super::tree::{Claim, FindingGroup, Report, Witness, Word};
use super::witness::{lines, sentence};
use crate::rule::{Concern, Rule};

/// Bytes of a text that are shown at most.
const LONGEST: usize = 2_000;

/// Stages of the set-up: the segment that measures it, and the rules that say it failed.
const STAGES: [(&str, &[Rule]); 3] = [
    ("login", &[Rule::LoginRefused, Rule::StepFailed]),
    ("connect", &[Rule::UpgradeRefused, Rule::UpgradeHung, Rule::SubprotocolMismatch]),
    ("greeting", &[Rule::GreetingRefused, Rule::GreetingMissing]),
];

/// The report as JUnit XML with a final newline.
pub fn junit(report: &Report) -> String {
    let mut suite = TestSuite::new(shown(&report.scenario.name));
    suite.set_time(Duration::from_micros(report.execution.duration_us));
    suite.extra.insert("timestamp".into(), shown(timestamp(&report.execution.began)).into());
    let target = &report.target;
    for (name, value) in [
        ("execution", Some(report.execution.id.to_string())),
        ("seed", Some(report.execution.seed.to_string())),
        (
            "target",
            Some(if target.embedded { "embedded backend: not your system".into() } else { target.name.clone() }),
        ),
        ("build", target.build.clone()),
        ("verdict", Some(report.verdict.sentence.clone())),
        ("repeat", Some(report.execution.command.clone())),
        ("judge", report.recording.as_ref().map(|recording| recording.command.clone())),
    ] {
        suite.add_properties(value.map(|value| Property::new(name, shown(&value))));
    }
    suite.add_test_case(case(report, "execution", None, execution(report)));
    let setup = report.claims.iter().find(|claim| claim.name == "setup");
    for claim in &report.claims {
        suite.add_test_case(claimed(report, claim));
        if setup.is_some_and(|setup| std::ptr::eq(setup, claim)) {
            suite.add_test_cases(STAGES.iter().filter_map(|(stage, rules)| self::stage(report, claim, stage, rules)));
        }
    }
    let mut suites = Suites::new("goldenpath");
    suites.set_time(Duration::from_micros(report.execution.duration_us));
    suites.add_test_suite(suite);
    suites.to_string().expect("text is written to memory")
}

/// XSD's `dateTime` of the common schema has neither zone nor fraction.
fn timestamp(began: &str) -> &str {
    began.get(..19).unwrap_or(began)
}

fn shown(text: &str) -> String {
    bounded(text, LONGEST).into_owned()
}

fn case(report: &Report, name: &str, claim: Option<&Claim>, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(shown(name), status);
    case.set_classname(shown(&format!("goldenpath.{}", report.scenario.name)));
    let origin = claim.and_then(|claim| claim.origin.as_ref());
    let file = origin.map(|origin| origin.file.as_str()).or(report.scenario.file.as_deref());
    if let Some(file) = file {
        let line = origin.map_or(1, |origin| origin.line);
        case.extra.insert("file".into(), shown(file).into());
        case.extra.insert("line".into(), line.to_string().into());
    }
    case
}

/// Whether the execution itself came to its end.
fn execution(report: &Report) -> TestCaseStatus {
    match report.verdict.outcome {
        Word::Broke => {
            let notes: Vec<String> = report.notes.iter().map(|note| shown(note)).collect();
            error("broke", &report.verdict.sentence, &notes.join("\n"))
        }
        Word::Interrupted => error("interrupted", &report.verdict.sentence, ""),
        _ => TestCaseStatus::success(),
    }
}

fn claimed(report: &Report, claim: &Claim) -> TestCase {
    let groups: Vec<&FindingGroup> = report.findings.iter().filter(|group| concerns(group, claim)).collect();
    let body = body(&groups, Some(claim));
    let missing = claim.missing.as_deref().unwrap_or(&claim.figures);
    let (status, told) = match claim.verdict {
        Word::Pass => (TestCaseStatus::success(), None),
        verdict if !claim.required => {
            let head = shown(&format!("not required; {}: {}", word(verdict), claim.figures));
            (TestCaseStatus::success(), Some(format!("{head}\n{body}")))
        }
        Word::Fail => (failure(kind(&groups), &claim.figures, &body), None),
        verdict => (error(word(verdict), missing, &body), None),
    };
    let mut case = case(report, &claim.name, Some(claim), status);
    if let Some(told) = told {
        case.set_system_out(told.trim_end());
    }
    case
}

/// A stage of the set-up; absent where nothing was seen of it.
fn stage(report: &Report, setup: &Claim, stage: &str, rules: &[Rule]) -> Option<TestCase> {
    let of_stage = |group: &&FindingGroup| rules.iter().any(|rule| rule.code() == group.code);
    let groups: Vec<&FindingGroup> = report.findings.iter().filter(of_stage).collect();
    let failed = groups.iter().any(|group| group.blamed);
    let passed = report.segments.iter().any(|segment| segment.name == stage && segment.runs > 0);
    let blocked = setup.verdict == Word::Blocked && setup.required;
    if !failed && !passed && !blocked {
        return None;
    }
    let missing = setup.missing.as_deref().unwrap_or_default();
    let status = match () {
        () if blocked && (failed || !passed) => error("blocked", missing, &body(&groups, None)),
        () if failed => failure(kind(&groups), &setup.figures, &body(&groups, None)),
        () => TestCaseStatus::success(),
    };
    Some(case(report, &format!("setup: {stage}"), Some(setup), status))
}

/// Whether findings of a rule are part of why a claim is as it is.
fn concerns(group: &FindingGroup, claim: &Claim) -> bool {
    let name = match group.concern {
        Concern::Setup => "setup",
        Concern::Transport => "transport",
        Concern::Events => "events",
        Concern::Answer => "answer",
        Concern::Isolation => "isolation",
        Concern::Envelope => "uniform envelope",
        Concern::Doors => "doors",
        Concern::Budget => return group.witnesses.iter().any(|witness| is_of(group, witness, claim)),
    };
    name == claim.name
}

/// All budgets share a rule; the sentence of a finding begins with the claim it is about.
fn is_of(group: &FindingGroup, witness: &Witness, claim: &Claim) -> bool {
    let about = |rest: &str| rest.starts_with(" is ");
    group.concern != Concern::Budget || witness.message.strip_prefix(claim.name.as_str()).is_some_and(about)
}

fn kind(groups: &[&FindingGroup]) -> &'static str {
    let rule = groups.iter().find(|group| group.blamed).or(groups.first());
    let known = rule.and_then(|group| Rule::ALL.iter().find(|rule| rule.code() == group.code));
    known.map_or("failed", |rule| rule.name())
}

fn word(word: Word) -> &'static str {
    match word {
        Word::Pass => "pass",
        Word::Fail => "fail",
        Word::Blocked => "blocked",
        Word::Inconclusive => "inconclusive",
        Word::Interrupted => "interrupted",
        Word::Broke => "broke",
    }
}

fn failure(kind: &str, message: &str, body: &str) -> TestCaseStatus {
    with(TestCaseStatus::non_success(NonSuccessKind::Failure), kind, message, body)
}

fn error(kind: &str, message: &str, body: &str) -> TestCaseStatus {
    with(TestCaseStatus::non_success(NonSuccessKind::Error), kind, message, body)
}

fn with(mut status: TestCaseStatus, kind: &str, message: &str, body: &str) -> TestCaseStatus {
    status.set_type(kind).set_message(shown(message));
    if !body.trim().is_empty() {
        status.set_description(body);
    }
    status
}

/// What is missing, then every rule with what it means, its first witness in full and the others' sentences. Escaped line by
/// line, so that a line break of the target's does not look like one of ours.
fn body(groups: &[&FindingGroup], claim: Option<&Claim>) -> String {
    let mut out: Vec<String> = claim.and_then(|claim| claim.missing.clone()).into_iter().collect();
    for group in groups {
        out.push(format!("{} {} ({} x): {}", group.code, group.name, group.count, group.meaning));
        let witnesses = group.witnesses.iter().filter(|witness| claim.is_none_or(|claim| is_of(group, witness, claim)));
        for (index, witness) in witnesses.enumerate() {
            match index {
                0 => out.extend(lines(witness)),
                _ => out.push(sentence(witness)),
            }
        }
        out.push(format!("cause: {}", group.causes));
        out.push(format!("do: {}", group.advice));
        out.push(format!("repeat: {}", group.repeat));
    }
    out.iter().map(|line| shown(line)).collect::<Vec<_>>().join("\n")
}
