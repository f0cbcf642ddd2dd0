//! A comparison as text, Markdown and JSON. Decides nothing.

use super::super::json::document;
use super::super::markdown::{code, look, prose};
use super::super::terminal::{Ink, Page, Sheet};
use super::super::tree::Word;
use super::{ClaimChange, Comparison, FindingRow, LatencyRow, ShareRow, Side, Trend, outcome};
use crate::finding::counted;
use crate::time::Micros;

/// Findings, events and claims beyond so many are counted.
const LISTED: usize = 20;

/// The comparison as one indented JSON document with a final newline.
pub fn comparison_to_json(comparison: &Comparison) -> String {
    document(comparison)
}

/// The comparison for a person, with a final newline.
pub fn comparison_text(comparison: &Comparison, page: &Page<'_>) -> String {
    let mut sheet = Sheet::new(page);
    let (word, ink) = match comparison.trend {
        Trend::Same => ("SAME", Ink::Good),
        Trend::Better => ("BETTER", Ink::Good),
        Trend::Worse => ("WORSE", Ink::Bad),
        Trend::Unclear => ("UNCLEAR", Ink::Open),
    };
    sheet.hang(&[(ink.bold(), word), (Ink::Plain, "  ")], &comparison.sentence, Ink::Bold);
    sheet.blank();
    sheet.field("base", &told(&comparison.base), Ink::Plain);
    sheet.field("new", &told(&comparison.new), Ink::Plain);
    for warning in &comparison.warnings {
        sheet.field("warning", warning, Ink::Open);
    }
    if !comparison.claims.is_empty() {
        sheet.blank();
        for change in comparison.claims.iter().take(LISTED) {
            sheet.hang(&[(Ink::Faint, "  claim  ")], &claim(change), Ink::Plain);
        }
    }
    if !comparison.latencies.is_empty() {
        sheet.blank();
        let head = ["segment", "", "base", "new", "change", ""].map(str::to_owned);
        let rows = comparison.latencies.iter().map(|row| {
            let [base, new, change] = figures(row);
            [row.segment.clone(), row.statistic.to_owned(), base, new, change, said(row)]
        });
        sheet.table(std::iter::once(head).chain(rows).map(Vec::from), 2..5);
    }
    sheet.blank();
    for row in &comparison.reliability {
        sheet.hang(&[(Ink::Faint, "  failed  ")], &share(row), Ink::Plain);
    }
    for (title, rows, ink) in [
        ("new", &comparison.new_findings, Ink::Bad),
        ("gone", &comparison.gone_findings, Ink::Good),
        ("known", &comparison.known_findings, Ink::Plain),
    ] {
        for row in rows {
            sheet.hang(&[(ink, &format!("  {title:<6}  "))], &finding(row), Ink::Plain);
        }
    }
    for (title, what, names) in comparison.differences() {
        sheet.hang(&[(Ink::Faint, &format!("  {title:<6}  "))], &format!("{what} {}", listed(names)), Ink::Plain);
    }
    sheet.blank();
    sheet.field("method", &comparison.method, Ink::Faint);
    sheet.into_text()
}

/// The comparison as Markdown with a final newline.
pub fn comparison_markdown(comparison: &Comparison) -> String {
    let (symbol, word) = match comparison.trend {
        Trend::Same => ("✅", "same"),
        Trend::Better => ("✅", "better"),
        Trend::Worse => ("❌", "**worse**"),
        Trend::Unclear => ("❔", "**unclear**"),
    };
    let mut out = format!("## {symbol} Compared with the base: {word}\n\n{}\n\n", prose(&comparison.sentence));
    for (name, side) in [("Base", &comparison.base), ("New", &comparison.new)] {
        let build = side.build.as_ref().map(|build| format!(", build {}", code(build, 200))).unwrap_or_default();
        out.push_str(&format!(
            "- {name}: execution {} of {}, {}, {}{build}\n",
            prose(&side.execution),
            prose(&side.began),
            outcome(side.outcome),
            counted(side.runs, "run")
        ));
    }
    for warning in &comparison.warnings {
        out.push_str(&format!("- ⚠️ {}\n", prose(warning)));
    }
    if !comparison.claims.is_empty() {
        out.push_str("\n| claim | base | new |\n|---|---|---|\n");
        for change in comparison.claims.iter().take(LISTED) {
            let verdict = |word: Option<Word>| word.map_or("not claimed".to_owned(), |word| look(word).1.to_owned());
            out.push_str(&format!(
                "| {} | {} | {} |\n",
                prose(&change.name),
                verdict(change.base),
                verdict(change.new)
            ));
        }
    }
    if !comparison.latencies.is_empty() {
        out.push_str("\n| segment | | base | new | change | |\n|---|---|---:|---:|---:|---|\n");
        for row in comparison.latencies.iter().take(LISTED) {
            let [base, new, change] = figures(row);
            let (segment, said) = (prose(&row.segment), said(row));
            out.push_str(&format!("| {segment} | {} | {base} | {new} | {change} | {said} |\n", row.statistic));
        }
    }
    out.push('\n');
    for row in &comparison.reliability {
        out.push_str(&format!("- Failed {}\n", prose(&share(row))));
    }
    for (title, rows) in
        [("New", &comparison.new_findings), ("Gone", &comparison.gone_findings), ("Known", &comparison.known_findings)]
    {
        for row in rows.iter().take(LISTED) {
            let FindingRow { base, new, .. } = row;
            let name = prose(&format!("{} {}", row.code, row.name));
            out.push_str(&format!("- **{title}**: {name}, {base} before, {new} now; {}\n", code(&row.first, 400)));
        }
    }
    for (title, what, names) in comparison.differences() {
        let title = if title == "new" { "New" } else { "Lost" };
        let more = names.len().saturating_sub(LISTED);
        let more = if more > 0 { format!(", {more} more") } else { String::new() };
        let names: Vec<String> = names.iter().take(LISTED).map(|name| code(name, 100)).collect();
        out.push_str(&format!("- **{title}** {what}: {}{more}\n", names.join(", ")));
    }
    out.push_str(&format!("\nMethod: {}.\n", prose(&comparison.method)));
    out
}

fn told(side: &Side) -> String {
    let build = side.build.as_ref().map(|build| format!(", build {build}")).unwrap_or_default();
    let Side { execution, began, runs, .. } = side;
    format!("execution {execution} of {began}, {}, {}{build}", outcome(side.outcome), counted(*runs, "run"))
}

fn claim(change: &ClaimChange) -> String {
    let verdict = |word: Option<Word>| word.map_or("not claimed", outcome);
    let not = if change.required { "" } else { " (not required)" };
    format!("{}: {} before, {} now{not}", change.name, verdict(change.base), verdict(change.new))
}

/// Before, now and the difference as a share.
pub(in super::super) fn figures(row: &LatencyRow) -> [String; 3] {
    let figure = |us: Option<u64>| us.map_or("-".to_owned(), |us| Micros(us).to_string());
    let change = match (row.base_us, row.new_us) {
        (Some(base), Some(new)) if base > 0 => format!("{:+.0} %", (new as f64 / base as f64 - 1.0) * 100.0),
        _ => "-".to_owned(),
    };
    [figure(row.base_us), figure(row.new_us), change]
}

/// What a difference means, with the two bounds that decide it.
pub(in super::super) fn said(row: &LatencyRow) -> String {
    let bound = |us: Option<u64>| us.map_or("-".to_owned(), |us| Micros(us).to_string());
    let rose = row.new_us > row.base_us;
    let bounds = match rose {
        true => format!("was <= {}, is >= {}", bound(row.base_upper_us), bound(row.new_lower_us)),
        false => format!("was >= {}, is <= {}", bound(row.base_lower_us), bound(row.new_upper_us)),
    };
    match row.trend {
        Some(Trend::Worse) => format!("worse: {bounds}"),
        Some(Trend::Better) => format!("better: {bounds}"),
        Some(Trend::Unclear) => "unclear".to_owned(),
        Some(Trend::Same) => "same".to_owned(),
        None => format!("needs {} runs each", row.runs_needed),
    }
}

pub(in super::super) fn share(row: &ShareRow) -> String {
    let ShareRow { of, base_failures, base_trials, new_failures, new_trials, .. } = row;
    let said = match row.trend {
        Trend::Worse => ": worse",
        Trend::Better => ": better",
        Trend::Same | Trend::Unclear => "",
    };
    format!("{of}: {base_failures} of {base_trials} before, {new_failures} of {new_trials} now{said}")
}

fn finding(row: &FindingRow) -> String {
    let FindingRow { code, name, base, new, first, .. } = row;
    format!("{code} {name}: {base} before, {new} now; {first}")
}

fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(LISTED);
    let more = if more > 0 { format!(", {more} more") } else { String::new() };
    format!("{}{more}", names[..names.len().min(LISTED)].join(", "))
}
