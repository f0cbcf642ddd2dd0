//! Streams as text: each file of `tests/trace_cases` is judged line by line, and must show the findings written on its
//! lines and no others. The README there describes the notation; adding a case is adding a file.
//!
//! `GOLDENPATH_BLESS=1 cargo test --test it trace_cases` writes the findings of cases that are not pending anew; read
//! the difference like code.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use goldenpath::check::Outcome;
use goldenpath::expect::Expectations;
use goldenpath::rule::{Rule, Severity};

use super::envelope::Wrap;
use super::notation::{self, Case, apart, code};
use super::play::{Judged, Looks, expectations, judge};

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| files().iter().map(|file| notation::read(file)).collect());

// ---------------------------------------------------------------------------------------------------------------------
// The claims

#[test]
fn every_case_shows_the_findings_on_its_lines_and_no_others() {
    let bless = std::env::var_os("GOLDENPATH_BLESS").is_some();
    let mut wrong = String::new();
    for (case, file) in CASES.iter().zip(files()) {
        let expect = expectations(case);
        if bless && case.pending.is_none() {
            let found = judge(case, &expect, case.envelopes[0], Looks::Rarely).findings;
            std::fs::write(&file, case.with_findings(&found)).expect("the folder can be written");
            continue;
        }
        let told: String = case.envelopes.iter().map(|wrap| difference(case, &expect, *wrap)).collect();
        match (&case.pending, told.is_empty()) {
            (None, _) => wrong += &told,
            (Some(_), false) => {}
            (Some(reason), true) => {
                wrong += &format!("{}: holds, and is marked pending: {reason}\n", case.name);
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "\n{wrong}\nwrite the findings anew: GOLDENPATH_BLESS=1 cargo test --test it trace_cases"
    );
}

#[test]
fn there_are_cases_of_every_kind() {
    assert!(CASES.len() >= 150, "there are only {} cases", CASES.len());
    for wrap in Wrap::ALL {
        let judged = CASES.iter().filter(|case| case.envelopes.contains(&wrap)).count();
        assert!(judged >= 10, "only {judged} cases are judged in envelope {wrap}");
    }
}

#[test]
fn how_often_anybody_looks_changes_nothing() {
    for case in CASES.iter() {
        let expect = expectations(case);
        let wrap = case.envelopes[0];
        let (rarely, often) = (judge(case, &expect, wrap, Looks::Rarely), judge(case, &expect, wrap, Looks::Often));
        assert_eq!(rarely.judgement, often.judgement, "{}", case.name);
    }
}

#[test]
fn every_rule_is_fired_by_a_case_and_silent_in_another() {
    let settled = || CASES.iter().filter(|case| case.pending.is_none());
    let fired: BTreeSet<&str> =
        settled().flat_map(|case| &case.lines).flat_map(|line| &line.findings).map(code).collect();
    let legal: Vec<&Case> = settled().filter(|case| case.lines.iter().all(|line| line.findings.is_empty())).collect();
    let mut wrong = String::new();
    for rule in Rule::ALL {
        if !fired.contains(rule.code()) {
            let _ = writeln!(wrong, "no case shows {rule} {}", rule.name());
        }
        let feature = switched_on_by(*rule);
        let on = |case: &&Case| feature.is_none_or(|pointer| case.scenario.pointer(pointer).is_some());
        if !legal.iter().any(on) {
            let _ = writeln!(wrong, "no legal case has {feature:?}, so that {rule} {} might be silent", rule.name());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// What a scenario must say for a rule to be judged at all; `None`: it is judged of every stream.
fn switched_on_by(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::MixedEnvelopes => "/expect/uniform_envelope",
        Rule::WrongCount => "/expect/events/steps/agent_thinking/max",
        Rule::ForbiddenEvent => "/expect/events/forbidden",
        Rule::OverBudget => "/expect/budgets/run/max/fail",
        Rule::OverWarning => "/expect/budgets/run/max/warn",
        Rule::TooFast => "/expect/budgets/run/min",
        Rule::ShortAnswer => "/expect/answer/min_chars",
        Rule::PatternMissing => "/expect/answer/all_of",
        Rule::PatternForbidden => "/expect/answer/none_of",
        Rule::SuccessNotSaid => "/expect/answer/success",
        Rule::MarkNotEchoed => "/expect/answer/canary",
        Rule::SameAnswer => "/expect/answer/distinct",
        Rule::ArrivalsDropped => "/load/open",
        Rule::OpenDoor | Rule::OddRefusal => "/probes",
        Rule::NoBusinessValue => "/expect/answer/preset",
        _ => return None,
    })
}

// ---------------------------------------------------------------------------------------------------------------------
// Comparing

/// What a case shows other than it says, in one envelope.
fn difference(case: &Case, expect: &Arc<Expectations>, wrap: Wrap) -> String {
    let judged = judge(case, expect, wrap, Looks::Rarely);
    let mut told = String::new();
    for (line, found) in case.lines.iter().zip(&judged.findings) {
        let (lacking, more) = apart(&line.findings, found);
        if !lacking.is_empty() || !more.is_empty() {
            let _ = writeln!(told, "  {:>3} {}", line.number, line.source);
            lacking.iter().for_each(|finding| told += &format!("    - {finding}\n"));
            more.iter().for_each(|finding| told += &format!("    + {finding}\n"));
        }
    }
    if told.is_empty() {
        told = verdicts(case, expect, &judged);
    }
    if told.is_empty() { told } else { format!("tests/trace_cases/{}.txt in envelope {wrap}\n{told}", case.name) }
}

/// The verdicts that are other than the case says, or than follows from its findings.
fn verdicts(case: &Case, expect: &Expectations, judged: &Judged) -> String {
    let (mut told, conclusion) = (String::new(), &judged.conclusion);
    let outcome = spelled(&conclusion.outcome);
    let exceptions = &expect.claims.exceptions;
    let mut rules = conclusion.judgement.findings.rules();
    let weighs = rules.any(|(rule, ..)| exceptions.severity(rule).is_some_and(|weight| weight != Severity::Note));
    let passes = conclusion.outcome == Outcome::Pass;
    match &case.verdict {
        Some(verdict) if *verdict != outcome => told += &format!("  the verdict is {outcome}, not {verdict}\n"),
        None if weighs == passes => told += &format!("  the verdict is {outcome}\n"),
        _ => {}
    }
    let counts = &conclusion.judgement.counts;
    if passes && counts.runs_good != judged.asked {
        told += &format!("  {} of {} runs ended well, and the verdict is pass\n", counts.runs_good, judged.asked);
    }
    for (name, verdict) in &case.claims {
        let claim = conclusion.claims.iter().find(|claim| claim.kind.to_string() == *name);
        let found = claim.map_or("not claimed".to_owned(), |claim| spelled(&claim.verdict));
        if found != *verdict {
            told += &format!("  {name} is {found}, not {verdict}\n");
        }
    }
    told
}

fn spelled(verdict: &impl std::fmt::Debug) -> String {
    format!("{verdict:?}").to_lowercase()
}

// ---------------------------------------------------------------------------------------------------------------------

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trace_cases");
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}
