//! What changed from one report to the next: latencies, reliability, claims, findings, kinds of events.
//!
//! | file | what for |
//! |---|---|
//! | `mod.rs` | the tree of a comparison, and the verdict over it |
//! | `render.rs` | the tree as text, Markdown and JSON; as a page it is `html`'s |
//!
//! The statistics are `stats::change`'s. All comparisons of latencies and shares together err in 5 % of all cases at most when
//! nothing changed: each takes an equal part of it (Bonferroni), so that a report with many segments cries wolf no more often
//! than one with few.
//!
//! Worse is what got worse beyond doubt; unclear is what may have, or could not be seen; better and same need that nothing is
//! either. Events, envelopes and ends of connections that come or stay away are shown and change no verdict: whether they must come is the scenario's to say.

mod render;

pub use render::{comparison_markdown, comparison_text, comparison_to_json};
pub(super) use render::{figures, said, share as told_share};

use std::collections::BTreeSet;

use serde::Serialize;

use super::tree::{Claim, FindingGroup, Report, Segment, Word};
use crate::finding::counted;
use crate::rule::{Concern, Severity};
use crate::stats::{Change, Floor, QuantileChange, Sample, Share, quantile_change, share_change};

/// The chance that anything is called worse although nothing changed.
const ALPHA: f64 = 0.05;

/// A change of latency that nobody notices is no news: a tenth, and 5 ms, which is what schedulers and networks do by
/// themselves.
const FLOOR: Floor = Floor { share: 0.1, us: 5_000 };

/// Which quantiles are compared.
const QUANTILES: [(&str, f64); 2] = [("p50", 0.5), ("p95", 0.95)];

/// Why two reports cannot be held against each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Incomparable {
    /// They are of different scenarios.
    #[error("the base is of scenario {base:?} and the new one of {new:?}; compare two executions of one scenario")]
    Scenario {
        /// The base's.
        base: String,
        /// The new one's.
        new: String,
    },
    /// One is of the embedded backend, the other is not.
    #[error("one of them is of the embedded backend, which is not your system; compare two executions of one target")]
    Embedded,
}

/// How a report stands to its base, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    /// Nothing that was seen speaks for a change.
    Same,
    /// Something got better, and nothing worse.
    Better,
    /// Something got worse.
    Worse,
    /// Something may have got worse, or too little was seen.
    Unclear,
}

/// What changed from one report to the next.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Version of this format, 1.
    pub version: u32,
    /// The verdict.
    pub trend: Trend,
    /// The verdict in one line.
    pub sentence: String,
    /// What was compared with.
    pub base: Side,
    /// What was compared.
    pub new: Side,
    /// In what the two differ that a comparison takes to be equal; one sentence each.
    pub warnings: Vec<String>,
    /// Claims whose verdict differs.
    pub claims: Vec<ClaimChange>,
    /// Shares of failures.
    pub reliability: Vec<ShareRow>,
    /// Quantiles of the segments that both measured.
    pub latencies: Vec<LatencyRow>,
    /// Findings of the new report alone.
    pub new_findings: Vec<FindingRow>,
    /// Findings of the base alone.
    pub gone_findings: Vec<FindingRow>,
    /// Findings of both.
    pub known_findings: Vec<FindingRow>,
    /// Events of the new report alone, by name.
    pub new_events: Vec<String>,
    /// Events of the base alone, by name.
    pub lost_events: Vec<String>,
    /// Envelopes in which an event of both came in the new report alone, as `EVENT: ENVELOPE`.
    pub new_envelopes: Vec<String>,
    /// Envelopes in which an event of both came in the base alone.
    pub lost_envelopes: Vec<String>,
    /// Ways in which connections ended early in the new report alone: `closed 1011`, `lost`.
    pub new_ends: Vec<String>,
    /// Ways in which connections ended early in the base alone.
    pub lost_ends: Vec<String>,
    /// How it was compared.
    pub method: String,
}

/// One of the two reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Its execution.
    pub execution: String,
    /// When it began, RFC 3339.
    pub began: String,
    /// The build that the target named.
    pub build: Option<String>,
    /// How it ended.
    pub outcome: Word,
    /// Runs judged.
    pub runs: u64,
}

/// A claim whose verdict differs; `None` where it was not claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClaimChange {
    /// Its name.
    pub name: String,
    /// It counts for the outcome of the new report, or did for the base's.
    pub required: bool,
    /// Its verdict before.
    pub base: Option<Word>,
    /// Its verdict now.
    pub new: Option<Word>,
}

/// A share of failures before and now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShareRow {
    /// Of what: `iterations`, `set-ups`, `connections`.
    pub of: &'static str,
    /// Failures before.
    pub base_failures: u64,
    /// Of how many.
    pub base_trials: u64,
    /// Failures now.
    pub new_failures: u64,
    /// Of how many.
    pub new_trials: u64,
    /// What that means.
    pub trend: Trend,
}

/// A quantile of a segment before and now, in microseconds. Bounds are null where too few runs give none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LatencyRow {
    /// The segment.
    pub segment: String,
    /// Which quantile: `p50`, `p95`.
    pub statistic: &'static str,
    /// Observed before.
    pub base_us: Option<u64>,
    /// Not below this before.
    pub base_lower_us: Option<u64>,
    /// Not above this before.
    pub base_upper_us: Option<u64>,
    /// Observed now.
    pub new_us: Option<u64>,
    /// Not below this now.
    pub new_lower_us: Option<u64>,
    /// Not above this now.
    pub new_upper_us: Option<u64>,
    /// What that means; null where too few runs leave it open.
    pub trend: Option<Trend>,
    /// Runs that each side needs.
    pub runs_needed: u64,
}

/// The findings of a rule, before and now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingRow {
    /// The rule's code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// It failed a required claim of the report it stands in; of the new one where it stands in both.
    pub blamed: bool,
    /// It is about isolation.
    pub isolation: bool,
    /// How many before.
    pub base: u64,
    /// How many now.
    pub new: u64,
    /// What it means.
    pub meaning: String,
    /// The first of them in one sentence; of the new report where it stands there.
    pub first: String,
}

impl Comparison {
    /// What came or stayed away, by kind; kinds without a difference are left out.
    pub(super) fn differences(&self) -> impl Iterator<Item = (&'static str, &'static str, &[String])> {
        let all: [(&str, &str, &[String]); 6] = [
            ("new", "events", &self.new_events),
            ("lost", "events", &self.lost_events),
            ("new", "envelopes", &self.new_envelopes),
            ("lost", "envelopes", &self.lost_envelopes),
            ("new", "ends of connections", &self.new_ends),
            ("lost", "ends of connections", &self.lost_ends),
        ];
        all.into_iter().filter(|(.., names)| !names.is_empty())
    }

    /// Whether the new report has a failure that its base has not: a rule or a claim. A leak counts whether it is known or not,
    /// for nobody should get used to one.
    pub fn has_new_failures(&self) -> bool {
        let known = self.known_findings.iter().filter(|row| row.isolation);
        let rows = self.new_findings.iter().chain(known);
        rows.into_iter().any(|row| row.blamed) || self.claims.iter().any(ClaimChange::is_new_failure)
    }
}

impl ClaimChange {
    fn is_new_failure(&self) -> bool {
        self.required && self.new == Some(Word::Fail)
    }
}

/// Holds a report against its base.
///
/// # Errors
///
/// When they are of different scenarios, or one is of the embedded backend and the other is not.
pub fn compare(base: &Report, new: &Report) -> Result<Comparison, Incomparable> {
    comparable(base, new)?;
    let shared: Vec<(&Segment, &Segment)> = base
        .segments
        .iter()
        .filter_map(|before| Some((before, new.segments.iter().find(|after| after.name == before.name)?)))
        .collect();
    let shares = shares(base, new);
    let tests = shared.len() * QUANTILES.len() + shares.len();
    let alpha = ALPHA / tests.max(1) as f64;
    let latencies: Vec<LatencyRow> = shared
        .iter()
        .flat_map(|(before, after)| QUANTILES.map(|(statistic, q)| latency(before, after, statistic, q, alpha)))
        .collect();
    let reliability: Vec<ShareRow> = shares.into_iter().map(|(of, a, b)| share(of, a, b, alpha)).collect();
    let (mut new_findings, mut gone_findings, mut known_findings) = (Vec::new(), Vec::new(), Vec::new());
    for group in &new.findings {
        match base.findings.iter().find(|before| before.code == group.code) {
            Some(before) => known_findings.push(finding(group, before.count, group.count)),
            None => new_findings.push(finding(group, 0, group.count)),
        }
    }
    for group in base.findings.iter().filter(|group| new.findings.iter().all(|now| now.code != group.code)) {
        gone_findings.push(finding(group, group.count, 0));
    }
    let names = |report: &Report| -> BTreeSet<String> {
        report
            .events
            .iter()
            .chain(&report.unknown_events)
            .filter(|(_, count)| **count > 0)
            .map(|(name, _)| name.clone())
            .collect()
    };
    let (events_before, events_now) = (names(base), names(new));
    // What came in no envelope before was no event before.
    let shared = |event: &str| [base, new].iter().all(|report| report.census.iter().any(|row| row.event == event));
    let envelopes = |report: &Report| -> BTreeSet<String> {
        let rows = report.census.iter().filter(|row| shared(&row.event));
        rows.map(|row| format!("{}: {}", row.event, row.envelope)).collect()
    };
    let (envelopes_before, envelopes_now) = (envelopes(base), envelopes(new));
    let ends = |report: &Report| -> BTreeSet<String> { report.ends.keys().cloned().collect() };
    let (ends_before, ends_now) = (ends(base), ends(new));
    let only = |some: &BTreeSet<String>, others: &BTreeSet<String>| some.difference(others).cloned().collect();
    let mut comparison = Comparison {
        version: 1,
        trend: Trend::Same,
        sentence: String::new(),
        base: side(base),
        new: side(new),
        warnings: warnings(base, new),
        claims: claims(base, new),
        reliability,
        latencies,
        new_findings,
        gone_findings,
        known_findings,
        new_events: only(&events_now, &events_before),
        lost_events: only(&events_before, &events_now),
        new_envelopes: only(&envelopes_now, &envelopes_before),
        lost_envelopes: only(&envelopes_before, &envelopes_now),
        new_ends: only(&ends_now, &ends_before),
        lost_ends: only(&ends_before, &ends_now),
        method: method(tests),
    };
    (comparison.trend, comparison.sentence) = conclude(&comparison);
    Ok(comparison)
}

fn comparable(base: &Report, new: &Report) -> Result<(), Incomparable> {
    if base.scenario.name != new.scenario.name {
        let (base, new) = (base.scenario.name.clone(), new.scenario.name.clone());
        return Err(Incomparable::Scenario { base, new });
    }
    if base.target.embedded != new.target.embedded {
        return Err(Incomparable::Embedded);
    }
    Ok(())
}

/// The verdict, and why.
fn conclude(comparison: &Comparison) -> (Trend, String) {
    let mut worse = Vec::new();
    let mut unclear = Vec::new();
    let mut better = Vec::new();
    let measured = |side: &Side| matches!(side.outcome, Word::Pass | Word::Fail | Word::Inconclusive);
    for (name, side) in [("base", &comparison.base), ("new one", &comparison.new)] {
        if !measured(side) {
            unclear.push(format!("the {name} was {}", outcome(side.outcome)));
        }
    }
    // What a base that was not measured lacks is not new, and a target that could not be tested shows no change. What was seen
    // until an interruption was seen.
    let silent = matches!(comparison.new.outcome, Word::Blocked | Word::Broke);
    let shows = measured(&comparison.base) && !silent;
    for row in comparison.new_findings.iter().filter(|row| row.blamed) {
        let text = format!("new: {} {}", row.code, row.name);
        if shows { worse.push(text) } else { unclear.push(text) }
    }
    for claim in comparison.claims.iter().filter(|claim| claim.required) {
        let text = format!("{} {}", claim.name, claim.new.map_or("is not claimed any more", outcome));
        match (claim.base, claim.new) {
            (_, Some(Word::Fail)) if shows => worse.push(text),
            (Some(Word::Fail), Some(Word::Pass)) => better.push(format!("{} holds", claim.name)),
            (Some(Word::Inconclusive | Word::Blocked) | None, Some(Word::Pass)) => {}
            _ => unclear.push(text),
        }
    }
    for row in comparison.reliability.iter().filter(|_| shows) {
        sort(Some(row.trend), format!("{} failing", row.of), &mut worse, &mut better, &mut unclear);
    }
    for row in comparison.latencies.iter().filter(|_| shows) {
        sort(row.trend, format!("{} {}", row.segment, row.statistic), &mut worse, &mut better, &mut unclear);
    }
    if comparison.latencies.iter().all(|row| row.trend.is_none()) {
        unclear.push("too few runs to compare any latency".to_owned());
    }
    better.extend(
        comparison.gone_findings.iter().filter(|row| row.blamed).map(|row| format!("gone: {} {}", row.code, row.name)),
    );
    match () {
        () if !worse.is_empty() => (Trend::Worse, listed(&worse)),
        () if !unclear.is_empty() => (Trend::Unclear, listed(&unclear)),
        () if !better.is_empty() => (Trend::Better, listed(&better)),
        () => (Trend::Same, "nothing that was seen speaks for a change".to_owned()),
    }
}

fn sort(
    trend: Option<Trend>,
    text: String,
    worse: &mut Vec<String>,
    better: &mut Vec<String>,
    unclear: &mut Vec<String>,
) {
    match trend {
        Some(Trend::Worse) => worse.push(text),
        Some(Trend::Better) => better.push(text),
        Some(Trend::Unclear) => unclear.push(format!("{text} may have changed")),
        Some(Trend::Same) | None => {}
    }
}

fn listed(items: &[String]) -> String {
    const LISTED: usize = 4;
    let more = items.len().saturating_sub(LISTED);
    let more = if more > 0 { format!("; {more} more") } else { String::new() };
    format!("{}{more}", items[..items.len().min(LISTED)].join("; "))
}

pub(super) fn outcome(word: Word) -> &'static str {
    match word {
        Word::Pass => "passed",
        Word::Fail => "failed",
        Word::Blocked => "blocked",
        Word::Inconclusive => "inconclusive",
        Word::Interrupted => "interrupted",
        Word::Broke => "broken",
    }
}

fn side(report: &Report) -> Side {
    Side {
        execution: report.execution.id.to_string(),
        began: report.execution.began.clone(),
        build: report.target.build.clone(),
        outcome: report.verdict.outcome,
        runs: report.counts.runs,
    }
}

/// In what two executions of a scenario differ that moves figures by itself.
fn warnings(base: &Report, new: &Report) -> Vec<String> {
    let mut all = Vec::new();
    let mut differ = |what: &str, before: String, now: String| {
        if before != now {
            all.push(format!("{what} differ: {before} before, {now} now"));
        }
    };
    let place = |report: &Report| {
        let address = report.target.http.as_ref().or(report.target.socket.as_ref());
        format!("{} at {}", report.target.name, address.map_or("no address", String::as_str))
    };
    // The embedded backend gets another port each time.
    if !base.target.embedded {
        differ("targets", place(base), place(new));
    }
    let users = |report: &Report| match report.scenario.only_users.len() {
        0 => counted(report.scenario.users, "user"),
        some => format!("{some} of {}", counted(report.scenario.users, "user")),
    };
    differ("users", users(base), users(new));
    let iterations =
        |report: &Report| report.scenario.iterations.map_or("open load".to_owned(), |n| format!("{n} each"));
    differ("iterations", iterations(base), iterations(new));
    let session = |report: &Report| format!("{:?}", report.scenario.session).to_lowercase();
    differ("sessions", session(base), session(new));
    let clock = |report: &Report| format!("{:?}", report.clock.kind).to_lowercase();
    differ("clocks", clock(base), clock(new));
    let machine = |report: &Report| format!("{} on {}", report.tool.os, report.tool.arch);
    differ("machines", machine(base), machine(new));
    let threads = |report: &Report| report.execution.threads.to_string();
    differ("threads", threads(base), threads(new));
    let version = |report: &Report| report.tool.version.clone();
    differ("versions of goldenpath", version(base), version(new));
    all
}

fn claims(base: &Report, new: &Report) -> Vec<ClaimChange> {
    let before = |name: &str| base.claims.iter().find(|claim| claim.name == name);
    let now = |name: &str| new.claims.iter().find(|claim| claim.name == name);
    let gone = base.claims.iter().filter(|claim| now(&claim.name).is_none());
    let all = new.claims.iter().chain(gone).map(|claim| (claim.name.as_str(), before(&claim.name), now(&claim.name)));
    let verdict = |claim: Option<&Claim>| claim.map(|claim| claim.verdict);
    all.filter(|(_, before, now)| verdict(*before) != verdict(*now))
        .map(|(name, before, now)| ClaimChange {
            name: name.to_owned(),
            required: now.or(before).is_some_and(|claim| claim.required),
            base: verdict(before),
            new: verdict(now),
        })
        .collect()
}

fn shares(base: &Report, new: &Report) -> [(&'static str, Share, Share); 3] {
    let (a, b) = (&base.counts, &new.counts);
    let share = |failures, trials| Share { failures, trials };
    [
        ("iterations", share(a.iterations_failed, a.iterations), share(b.iterations_failed, b.iterations)),
        ("set-ups", share(a.setups_failed, a.setups), share(b.setups_failed, b.setups)),
        ("connections", share(a.connections_failed, a.connections), share(b.connections_failed, b.connections)),
    ]
}

fn share(of: &'static str, base: Share, new: Share, alpha: f64) -> ShareRow {
    let trend = match share_change(base, new, alpha) {
        Change::Higher => Trend::Worse,
        Change::Lower => Trend::Better,
        // Which failures are bearable is the claims' to say; a share that may have moved is no news beside them.
        Change::Negligible | Change::Unsettled | Change::TooFewRuns => Trend::Same,
    };
    ShareRow {
        of,
        base_failures: base.failures,
        base_trials: base.trials,
        new_failures: new.failures,
        new_trials: new.trials,
        trend,
    }
}

fn latency(before: &Segment, after: &Segment, statistic: &'static str, q: f64, alpha: f64) -> LatencyRow {
    let base = Sample { histogram: &before.histogram, uncertainty_us: before.uncertainty_us };
    let new = Sample { histogram: &after.histogram, uncertainty_us: after.uncertainty_us };
    // Two bounds take part in each comparison; see `stats::change`.
    let QuantileChange { base_us, base_bounds_us, new_us, new_bounds_us, change, runs_needed } =
        quantile_change(base, new, q, 1.0 - alpha / 2.0, FLOOR);
    LatencyRow {
        segment: before.name.clone(),
        statistic,
        base_us,
        base_lower_us: base_bounds_us.0,
        base_upper_us: base_bounds_us.1,
        new_us,
        new_lower_us: new_bounds_us.0,
        new_upper_us: new_bounds_us.1,
        trend: match change {
            Change::Higher => Some(Trend::Worse),
            Change::Lower => Some(Trend::Better),
            Change::Negligible => Some(Trend::Same),
            Change::Unsettled => Some(Trend::Unclear),
            Change::TooFewRuns => None,
        },
        runs_needed,
    }
}

fn finding(group: &FindingGroup, base: u64, new: u64) -> FindingRow {
    FindingRow {
        code: group.code.clone(),
        name: group.name.clone(),
        blamed: group.blamed && group.severity == Severity::Failure,
        isolation: group.concern == Concern::Isolation,
        base,
        new,
        meaning: group.meaning.clone(),
        first: group.witnesses.first().map(super::witness::sentence).unwrap_or_default(),
    }
}

fn method(tests: usize) -> String {
    format!(
        "p50 and p95 changed where their exact order-statistic bounds do not overlap and the figures differ by {} % and {} ms \
         at least; shares by Fisher's exact test; all {tests} comparisons together call something worse in {} % of all cases \
         at most where nothing changed; runs are taken as independent",
        FLOOR.share * 100.0,
        FLOOR.us / 1_000,
        ALPHA * 100.0,
    )
}
