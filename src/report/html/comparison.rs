//! What a page shows of a comparison: figures beside one another, and their bounds as places on a drawing.

use serde::Serialize;

use super::super::compare::{
    ClaimChange, Comparison, FindingRow, LatencyRow, Side, Trend, figures, outcome, said, told_share,
};
use super::super::tree::Word;
use super::Limits;
use super::view::{Cutter, Look, look};
use crate::finding::counted;

/// A comparison's page.
#[derive(Debug, Serialize)]
pub(super) struct Page<'c> {
    title: String,
    word: Look,
    comparison: Told<'c>,
    sides: Vec<(&'static str, &'c Side, String)>,
    claims: Vec<(&'c str, bool, Option<Look>, Option<Look>)>,
    latencies: Vec<Latency<'c>>,
    shares: Vec<(String, &'static str)>,
    findings: Vec<(&'static str, &'static str, Vec<&'c FindingRow>)>,
    differences: Vec<(&'static str, &'static str, Vec<&'c String>)>,
    cut: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Told<'c> {
    sentence: &'c str,
    warnings: Vec<&'c String>,
    method: &'c str,
}

#[derive(Debug, Serialize)]
struct Latency<'c> {
    row: &'c LatencyRow,
    base: String,
    new: String,
    change: String,
    said: String,
    class: &'static str,
    drawn: Option<[Interval; 2]>,
}

/// A figure with its bounds, as shares of the width.
#[derive(Debug, Serialize)]
struct Interval {
    from: String,
    to: String,
    at: String,
}

pub(super) fn page(comparison: &Comparison, limits: Limits) -> Page<'_> {
    let mut cut = Cutter::default();
    let rows = limits.rows;
    let claims = cut.first("claims", rows, &comparison.claims);
    let latencies = cut.first("latencies", rows, &comparison.latencies);
    let findings = [
        ("New findings", "bad", &comparison.new_findings),
        ("Gone findings", "good", &comparison.gone_findings),
        ("Known findings", "faint", &comparison.known_findings),
    ];
    let findings = findings.map(|(title, class, all)| (title, class, cut.first("findings", limits.findings, all)));
    let differences = comparison.differences().map(|(title, what, names)| (title, what, cut.first(what, rows, names)));
    let differences = differences.collect();
    Page {
        title: format!("{}: compared with the base", trend(comparison.trend).word),
        word: trend(comparison.trend),
        sides: vec![
            ("Base", &comparison.base, side(&comparison.base)),
            ("New", &comparison.new, side(&comparison.new)),
        ],
        claims: claims.into_iter().map(claim).collect(),
        latencies: latencies.into_iter().map(latency).collect(),
        shares: comparison.reliability.iter().map(|row| (told_share(row), class(Some(row.trend)))).collect(),
        findings: findings.into_iter().filter(|(.., rows)| !rows.is_empty()).collect(),
        differences,
        comparison: Told {
            sentence: &comparison.sentence,
            warnings: cut.first("warnings", rows, &comparison.warnings),
            method: &comparison.method,
        },
        cut: cut.into_phrases(),
    }
}

fn trend(trend: Trend) -> Look {
    let (symbol, word) = match trend {
        Trend::Same => ("✓", "same"),
        Trend::Better => ("✓", "better"),
        Trend::Worse => ("✗", "worse"),
        Trend::Unclear => ("?", "unclear"),
    };
    let class = if trend == Trend::Same { "good" } else { class(Some(trend)) };
    Look { symbol, word, class }
}

fn class(trend: Option<Trend>) -> &'static str {
    match trend {
        Some(Trend::Better) => "good",
        Some(Trend::Worse) => "bad",
        Some(Trend::Unclear) => "open",
        Some(Trend::Same) | None => "faint",
    }
}

fn side(side: &Side) -> String {
    format!("{}, {}", outcome(side.outcome), counted(side.runs, "run"))
}

fn claim(change: &ClaimChange) -> (&str, bool, Option<Look>, Option<Look>) {
    let of = |word: Option<Word>| word.map(look);
    (&change.name, change.required, of(change.base), of(change.new))
}

fn latency(row: &LatencyRow) -> Latency<'_> {
    let [base, new, change] = figures(row);
    let most = [row.base_us, row.base_upper_us, row.new_us, row.new_upper_us].into_iter().flatten().max();
    let place = |us: u64| format!("{:.2}%", 2.0 + 96.0 * us as f64 / most.unwrap_or(1).max(1) as f64);
    // A bound that too few runs give is open; the line ends at the figure then, and the words beside it say so.
    let interval = |at: Option<u64>, lower: Option<u64>, upper: Option<u64>| {
        let at = at?;
        Some(Interval { from: place(lower.unwrap_or(at)), to: place(upper.unwrap_or(at)), at: place(at) })
    };
    let drawn = interval(row.base_us, row.base_lower_us, row.base_upper_us).zip(interval(
        row.new_us,
        row.new_lower_us,
        row.new_upper_us,
    ));
    let (said, class) = (said(row), class(row.trend));
    Latency { row, base, new, change, said, class, drawn: drawn.map(|(base, new)| [base, new]) }
}
