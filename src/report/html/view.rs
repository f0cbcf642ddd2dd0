//! What a page shows of a report, ready for its template: texts put together, lists cut to their bounds and saying so.
//!
//! Nothing is escaped here; that is done where text is written.

use std::collections::BTreeSet;

use minijinja::value::{Serde, Value};
use serde::Serialize;

use super::super::tree::{
    ChangedRule, Claim, FindingGroup, KnownIssue, Leak, Report, Segment, Wait, Witness, Word, only_users,
};
use super::super::witness::{Lane, hunt, sentence};
use super::courses::{self, Course};
use super::lanes::{self, Drawing};
use super::{Limits, chart};
use crate::finding::counted;
use crate::rule::Severity;
use crate::time::Micros;

/// A report's page.
#[derive(Debug, Serialize)]
pub(super) struct Page<'r> {
    title: String,
    word: Look,
    users: String,
    counts: Value,
    report: Head<'r>,
    claims: Vec<ClaimView<'r>>,
    findings: Vec<FindingView<'r>>,
    known: Vec<&'r KnownIssue>,
    rules: Vec<&'r ChangedRule>,
    segments: Vec<SegmentView<'r>>,
    leftovers: Vec<&'r String>,
    census: Vec<CensusView<'r>>,
    events: Vec<(&'r String, u64)>,
    unknown: Vec<(&'r String, u64)>,
    waits: Vec<&'r Wait>,
    notes: Vec<&'r String>,
    unsure: Option<String>,
    /// Users wait for their answers before they ask again.
    closed_load: bool,
    matrix: Matrix<'r>,
    /// Runs in flight over time, and how many there were at once.
    in_flight: Option<(Value, u64)>,
    courses: Vec<Course>,
    doors: Vec<(Option<Look>, &'r super::super::Door)>,
    ends: Vec<(&'r String, u64)>,
    value: &'r super::super::Value,
    limits: Vec<&'r super::super::Within>,
    deliverables: Vec<(Option<Look>, &'r super::super::Deliverable, &'static str)>,
    facts: Vec<(&'static str, String)>,
    commands: Vec<(&'static str, String)>,
    /// What was left out, one phrase each.
    cut: Vec<String>,
}

/// The parts of a report that a page shows as they are.
#[derive(Debug, Serialize)]
struct Head<'r> {
    verdict: &'r super::super::tree::Verdict,
    target: &'r super::super::tree::Target,
    execution: &'r super::super::tree::Execution,
    scenario: &'r super::super::tree::Scenario,
    clock: &'r super::super::tree::Clock,
    instrument: Option<String>,
    tool: &'r super::super::tree::Tool,
    unclaimed: &'r [String],
}

/// A verdict as it looks.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Look {
    pub(super) symbol: &'static str,
    pub(super) word: &'static str,
    /// The class of its colour: `good`, `bad`, `open`.
    pub(super) class: &'static str,
}

#[derive(Debug, Serialize)]
struct ClaimView<'r> {
    look: Look,
    claim: &'r Claim,
    origin: Option<String>,
}

#[derive(Debug, Serialize)]
struct FindingView<'r> {
    group: &'r FindingGroup,
    class: &'static str,
    symbol: &'static str,
    weight: &'static str,
    count: String,
    witnesses: Vec<WitnessView<'r>>,
    /// How many findings are not shown.
    more: u64,
    hunt: Option<String>,
    drawings: Vec<Drawing>,
    drawings_left_out: usize,
}

#[derive(Debug, Serialize)]
struct WitnessView<'r> {
    sentence: String,
    user: Option<u32>,
    run: Option<&'r str>,
    at: String,
    rows: Vec<(String, String)>,
    texts: Vec<(String, &'r str, &'r str)>,
}

#[derive(Debug, Serialize)]
struct SegmentView<'r> {
    segment: &'r Segment,
    p50: String,
    p95: String,
    p99: String,
    max: String,
    mean: String,
    chart: Option<Value>,
    over_time: Option<Value>,
}

/// Who got something of whom.
#[derive(Debug, Serialize)]
struct Matrix<'r> {
    receivers: Vec<u32>,
    /// Owners, each with a count per receiver.
    rows: Vec<(u32, Vec<u64>)>,
    list: Vec<&'r Leak>,
}

#[derive(Debug, Serialize)]
struct CensusView<'r> {
    event: &'r str,
    envelopes: Vec<(&'r str, u64)>,
}

/// Owners and receivers that a matrix shows at most; beyond there are only rows.
const SIDE: usize = 16;

/// Where the deliverables stand on the page, in their order.
const DELIVERED: [&str; 7] = ["verdict", "claims", "matrix", "latency", "value", "census", "do"];

/// Lists cut to a bound, and what was cut of them.
#[derive(Debug, Default)]
pub(super) struct Cutter(Vec<String>);

impl Cutter {
    /// At most `most` of all.
    pub(super) fn first<T>(&mut self, what: &str, most: usize, all: impl IntoIterator<Item = T>) -> Vec<T> {
        let mut all = all.into_iter();
        let shown: Vec<T> = all.by_ref().take(most).collect();
        let more = all.count();
        if more > 0 {
            self.0.push(format!("{more} of {} {what}", more + shown.len()));
        }
        shown
    }

    /// What was cut.
    pub(super) fn into_phrases(self) -> Vec<String> {
        self.0
    }
}

pub(super) fn page(report: &Report, limits: Limits) -> Page<'_> {
    let mut cut = Cutter::default();
    let rows = limits.rows;
    let claims = cut.first("claims", rows, &report.claims);
    let groups = cut.first("rules with findings", limits.findings, &report.findings);
    let findings = groups.iter().enumerate().map(|(index, group)| finding(report, group, index == 0, limits)).collect();
    let known = cut.first("known issues", rows, &report.known);
    let rules = cut.first("changed rules", rows, &report.rules);
    let segments = cut.first("segments", rows, &report.segments).into_iter().map(segment).collect();
    let events = report.census.chunk_by(|a, b| a.event == b.event).map(|rows| CensusView {
        event: &rows[0].event,
        envelopes: rows.iter().take(limits.rows).map(|row| (row.envelope.as_str(), row.count)).collect(),
    });
    let census = cut.first("events with an envelope", rows, events);
    let leftovers = cut.first("left-overs", rows, &report.leftovers);
    let unknown = cut.first("unknown events", rows, report.unknown_events.iter().map(|(name, count)| (name, *count)));
    let events = cut.first("events", rows, report.events.iter().map(|(name, count)| (name, *count)));
    let matrix = matrix(report, &mut cut);
    let doors = cut.first("doors", rows, &report.doors);
    let doors = doors.into_iter().map(|door| (door.verdict.map(look), door)).collect();
    let ends = cut.first("kinds of ends", rows, report.ends.iter().map(|(how, count)| (how, *count)));
    let limits = cut.first("limits", rows, &report.value.limits);
    let waits = cut.first("waits", rows, &report.waits);
    let notes = cut.first("notes", rows, &report.notes);
    Page {
        title: format!("{}: {}", look(report.verdict.outcome).word, report.scenario.name),
        word: look(report.verdict.outcome),
        users: match report.scenario.only_users.is_empty() {
            true => counted(report.scenario.users, "user"),
            false => format!("only {} of {}", only_users(&report.scenario), report.scenario.users),
        },
        counts: Value::from(Serde(report.counts)),
        report: Head {
            verdict: &report.verdict,
            target: &report.target,
            execution: &report.execution,
            scenario: &report.scenario,
            clock: &report.clock,
            instrument: report.instrument.as_ref().map(super::super::Instrument::line),
            tool: &report.tool,
            unclaimed: &report.unclaimed,
        },
        claims: claims.into_iter().map(claim).collect(),
        findings,
        known,
        rules,
        segments,
        leftovers,
        census,
        events,
        unknown,
        waits,
        notes,
        unsure: report
            .segments
            .iter()
            .map(|segment| segment.uncertainty_us)
            .max()
            .filter(|us| *us > 0)
            .map(|us| Micros(us).to_string()),
        closed_load: report.scenario.iterations.is_some(),
        matrix,
        in_flight: report.power.as_ref().and_then(|power| Some((courses::in_flight(power)?, power.most_in_flight))),
        courses: report.instrument.as_ref().map(courses::instrument).unwrap_or_default(),
        doors,
        ends,
        value: &report.value,
        limits,
        deliverables: report
            .deliverables
            .iter()
            .zip(DELIVERED)
            .map(|(deliverable, at)| (deliverable.verdict.map(look), deliverable, at))
            .collect(),
        facts: facts(report),
        commands: commands(report),
        cut: cut.into_phrases(),
    }
}

fn matrix<'r>(report: &'r Report, cut: &mut Cutter) -> Matrix<'r> {
    let side =
        |of: fn(&Leak) -> u32| -> Vec<u32> { BTreeSet::from_iter(report.leaks.iter().map(of)).into_iter().collect() };
    let (owners, receivers) = (side(|leak| leak.owner.0), side(|leak| leak.user.0));
    let list = cut.first("pairs of users", 100, &report.leaks);
    if owners.len() > SIDE || receivers.len() > SIDE {
        return Matrix { receivers: Vec::new(), rows: Vec::new(), list };
    }
    let count = |owner: u32, user: u32| {
        report.leaks.iter().filter(|leak| (leak.owner.0, leak.user.0) == (owner, user)).map(|leak| leak.count).sum()
    };
    let row = |owner: u32| (owner, receivers.iter().map(|user| count(owner, *user)).collect());
    Matrix { rows: owners.into_iter().map(row).collect(), list, receivers }
}

pub(super) fn look(word: Word) -> Look {
    let (symbol, word, class) = match word {
        Word::Pass => ("✓", "pass", "good"),
        Word::Fail => ("✗", "fail", "bad"),
        Word::Blocked => ("⊘", "blocked", "open"),
        Word::Inconclusive => ("?", "inconclusive", "open"),
        Word::Interrupted => ("!", "interrupted", "open"),
        Word::Broke => ("!", "broke", "bad"),
    };
    Look { symbol, word, class }
}

fn claim(claim: &Claim) -> ClaimView<'_> {
    let origin = claim.origin.as_ref().map(|origin| format!("{}:{}", origin.file, origin.line));
    ClaimView { look: look(claim.verdict), claim, origin }
}

fn finding<'r>(report: &'r Report, group: &'r FindingGroup, first: bool, limits: Limits) -> FindingView<'r> {
    let (symbol, class, weight) = match group.severity {
        Severity::Failure if group.blamed => ("✗", "bad", ""),
        Severity::Failure => ("✗", "open", "failing no required claim"),
        Severity::Doubt => ("?", "open", "in doubt"),
        Severity::Note => ("–", "faint", "a note"),
    };
    let at = if group.users == 0 { String::new() } else { format!(" at {}", counted(group.users, "user")) };
    let witnesses: Vec<&Witness> = group.witnesses.iter().take(limits.witnesses).collect();
    let (drawings, drawings_left_out) = lanes::drawings(group, &witnesses);
    FindingView {
        group,
        class,
        symbol,
        weight,
        count: format!("{}{at}", counted(group.count, "finding")),
        more: group.count.saturating_sub(witnesses.len() as u64),
        witnesses: witnesses.into_iter().map(witness).collect(),
        hunt: hunt(report, group).filter(|_| first && group.blamed),
        drawings,
        drawings_left_out,
    }
}

fn witness(witness: &Witness) -> WitnessView<'_> {
    let lane = Lane::of(&witness.marks);
    let texts = witness.excerpts.iter();
    WitnessView {
        sentence: sentence(witness),
        user: witness.subject.user.map(|user| user.0),
        run: witness.subject.run.as_deref(),
        at: Micros(witness.at_us).to_string(),
        rows: lane.rows(&witness.marks),
        texts: texts.map(|excerpt| (lane.time(excerpt.at_us), excerpt.label.as_str(), excerpt.text.as_str())).collect(),
    }
}

fn segment(segment: &Segment) -> SegmentView<'_> {
    let figure = |us: Option<u64>| us.map_or("–".to_owned(), |us| Micros(us).to_string());
    SegmentView {
        segment,
        p50: figure(segment.p50_us),
        p95: figure(segment.p95_us),
        p99: figure(segment.p99_us),
        max: figure(segment.max_us),
        mean: figure(segment.mean_us),
        chart: chart::distribution(&segment.histogram, segment.p50_us, segment.p95_us).map(Value::from_safe_string),
        over_time: chart::over_time(&segment.over_time).map(Value::from_safe_string),
    }
}

/// Where, with what and when.
fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let (execution, scenario, target, tool) = (&report.execution, &report.scenario, &report.target, &report.tool);
    let none = || "none".to_owned();
    let load = match scenario.iterations {
        Some(iterations) => format!("{}, {} each", counted(scenario.users, "user"), counted(iterations, "iteration")),
        None => format!("{}, open load", counted(scenario.users, "user")),
    };
    let session = format!(
        "{:?} per {}",
        scenario.session,
        match scenario.session {
            super::super::tree::Session::Fresh => "iteration",
            super::super::tree::Session::Keep => "user",
        }
    );
    let mut facts = vec![
        ("Scenario", format!("{} ({})", scenario.name, scenario.file.clone().unwrap_or_else(|| "no file".to_owned()))),
        ("Load", format!("{load}, first user {}", scenario.first)),
        ("Sessions", session.to_lowercase()),
        ("Tags", if scenario.tags.is_empty() { none() } else { scenario.tags.join(", ") }),
        ("Target", format!("{} ({})", target.name, target.profile)),
        ("HTTP", target.http.clone().unwrap_or_else(none)),
        ("Socket", target.socket.clone().unwrap_or_else(none)),
        ("Build of the target", target.build.clone().unwrap_or_else(|| "not told".to_owned())),
        ("Began", execution.began.clone()),
        ("Took", Micros(execution.duration_us).to_string()),
        ("Execution", execution.id.to_string()),
        ("Seed", execution.seed.to_string()),
        ("Threads", execution.threads.to_string()),
        ("Made by", format!("{} {} on {}, {}", tool.name, tool.version, tool.os, tool.arch)),
    ];
    if let Some(line) = super::super::personas::line(&report.personas) {
        facts.insert(2, ("Personas", line));
    }
    if !scenario.only_users.is_empty() {
        facts.insert(2, ("Only", only_users(scenario)));
    }
    facts
}

fn commands(report: &Report) -> Vec<(&'static str, String)> {
    let again = report.recording.iter().map(|recording| ("Judge it again, without traffic", recording.command.clone()));
    let mut commands = vec![("Repeat it", report.execution.command.clone())];
    commands.extend(again);
    commands.extend([
        ("Render this report again, from its folder", "goldenpath report . --format html".to_owned()),
        ("Hold the next one against it, from its folder", "goldenpath compare . NEW --format html".to_owned()),
    ]);
    commands
}
