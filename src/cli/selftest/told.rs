//! What a selftest found: as text for a terminal, as Markdown for a page, as JSON for programs.
//!
//! All three say the same figures. Bounds are one-sided and exact (Clopper-Pearson) at 95 % confidence.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::table::{self, Expected, name_of};
use super::verdict::{Said, Tally, Wrong};
use crate::backend::Fault;
use crate::cli::exit::Exit;
use crate::cli::{execute, faults};
use crate::document::values::grouped;
use crate::report::{Tool, wrap};
use crate::rule::Rule;
use crate::stats::{lower_bound, upper_bound};

/// What was found.
#[derive(Debug)]
pub struct Told {
    /// Rows of which something was tried, in the order of the table.
    pub tallies: Vec<Tally>,
    /// Nothing misbehaved: false alarms are counted.
    pub clean: bool,
    /// A signal ended it.
    pub interrupted: bool,
    /// How long it took.
    pub took: Duration,
}

/// Columns of the first two columns of the table on a terminal.
const NAME: usize = 28;
const CODES: usize = 18;

impl Told {
    /// How the process ends.
    pub fn exit(&self) -> Exit {
        match () {
            () if self.tallies.iter().any(Tally::failed) => Exit::Failed,
            () if self.interrupted => Exit::Interrupted,
            () if self.tallies.is_empty() || self.tallies.iter().any(Tally::unsettled) => Exit::Inconclusive,
            () => Exit::Pass,
        }
    }

    fn word(&self) -> &'static str {
        match self.exit() {
            Exit::Failed => "FAIL",
            Exit::Interrupted => "INTERRUPTED",
            Exit::Inconclusive => "INCONCLUSIVE",
            _ => "PASS",
        }
    }

    /// For people, with a final newline; no line is wider than `width`, unless a name is.
    pub fn text(&self, width: usize, color: bool) -> String {
        let mut out = format!("{}\n", self.title());
        let mut headed = None;
        if !self.clean {
            let (fault, by) = ("fault", "must be found");
            write!(out, "\n{fault:<NAME$}{by:<CODES$}{:>10}{:>12}{:>11}\n", "executions", "as expected", "at least")
                .ok();
        }
        for tally in self.tallies.iter().filter(|tally| !self.clean || tally.failed()) {
            let heading = faults::heading(tally.row.spec.fault);
            if headed.replace(heading) != Some(heading) {
                writeln!(out, "{heading}").ok();
            }
            self.line(&mut out, tally, width);
        }
        out.push('\n');
        let word = match (color, self.exit()) {
            (true, Exit::Pass) => format!("\x1b[1;32m{}\x1b[0m", self.word()),
            (true, _) => format!("\x1b[1;31m{}\x1b[0m", self.word()),
            (false, _) => self.word().to_owned(),
        };
        let mut sentences = self.sentences();
        sentences.push(format!("It took {:.1} s.", self.took.as_secs_f64()));
        let indent = " ".repeat(self.word().len() + 2);
        for (index, line) in sentences.iter().flat_map(|text| wrap(text, width - indent.len())).enumerate() {
            writeln!(out, "{}{line}", if index == 0 { format!("{word}  ") } else { indent.clone() }).ok();
        }
        out
    }

    fn line(&self, out: &mut String, tally: &Tally, width: usize) {
        let name = tally.row.name();
        // The envelopes of a row that is about some of them stand on lines of their own.
        let (fault, envelopes) = name.split_once(' ').unwrap_or((&name, ""));
        let figures = match tally.rate() {
            None => format!("{:>10}{:>12}{:>11}", 0, "-", "-"),
            Some((share, bound)) => format!("{:>10}{:>12}{:>11}", tally.tried, percent(share), percent(bound)),
        };
        let found = found(tally);
        // A name that fills its column keeps a line of its own.
        let rest = NAME - 2;
        let fault = if fault.len() < rest { fault.to_owned() } else { format!("{fault}\n{:NAME$}", "") };
        writeln!(out, "  {fault:<rest$}{found:<CODES$}{figures}").ok();
        let mut note = |first: &str, text: &str| {
            for (index, line) in wrap(text, width - 6 - first.len()).iter().enumerate() {
                let lead = if index == 0 { first.to_owned() } else { " ".repeat(first.len()) };
                writeln!(out, "      {lead}{line}").ok();
            }
        };
        if !envelopes.is_empty() {
            note("", envelopes);
        }
        if let Expected::Unseen(why) = &tally.row.expected {
            note("cannot be noticed: ", why);
        }
        if let Expected::Perhaps(_, why) = &tally.row.expected {
            note(&format!("found {} of {} times: ", tally.found, tally.tried), why);
        }
        if tally.starved > 0 {
            note("", &format!("{} told nothing, as this machine was late", counted(tally.starved, "execution")));
        }
        for wrong in tally.wrong.iter().take(SHOWN) {
            note(&format!("{}: ", heading_of(&wrong.said)), &wrong_in_words(tally, wrong));
        }
        if tally.wrong.len() > SHOWN {
            note("", &format!("and {} more", tally.wrong.len() - SHOWN));
        }
    }

    fn title(&self) -> String {
        let executions = self.tallies.iter().map(|tally| tally.tried + tally.starved).sum();
        let of = counted(executions, "execution");
        if self.clean {
            return format!("Healthy variants of the embedded backend against the judge: {of}");
        }
        format!("Faults of the embedded backend against the judge: {of}")
    }

    /// What it comes to, a sentence each.
    fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        let sums = |of: &dyn Fn(&&Tally) -> bool| {
            let rows: Vec<&Tally> = self.tallies.iter().filter(of).collect();
            let tried: u64 = rows.iter().map(|tally| tally.tried).sum();
            let fine: u64 = rows.iter().map(|tally| tally.as_expected).sum();
            // Some are tried in several ways.
            let fault = |tally: &&Tally| tally.row.spec.fault;
            let all: BTreeSet<Fault> = rows.iter().map(fault).collect();
            let failed: BTreeSet<Fault> =
                rows.iter().filter(|tally| tally.failed() || tally.tried == 0).map(fault).collect();
            (all.len(), all.len() - failed.len(), tried, fine)
        };
        let (rows, whole, tried, fine) = sums(&|tally| tally.row.must_be_caught());
        if rows > 0 {
            sentences.push(format!(
                "{whole} of {rows} faults were caught under their names and blamed for nothing else: {} of {}, so at least {} of \
                 such executions at 95 % confidence.",
                grouped(fine.into()),
                counted(tried, "execution"),
                percent(lower_bound(fine, tried, 0.95)),
            ));
        }
        let (rows, whole, tried, fine) =
            sums(&|tally| matches!(tally.row.expected, Expected::Legal | Expected::Noted(_)));
        if rows > 0 {
            sentences.push(format!(
                "{whole} of {rows} healthy variants alarmed nobody: {} of {}, so at most {} of such executions are false \
                 alarms.",
                grouped(fine.into()),
                counted(tried, "execution"),
                at_most(upper_bound(tried - fine, tried, 0.95)),
            ));
        }
        let (rows, _, _, _) = sums(&|tally| matches!(tally.row.expected, Expected::Unseen(_)));
        if rows > 0 {
            sentences.push(format!(
                "{rows} cannot be noticed by users who do nothing but ask; each says why, and that it raised nothing."
            ));
        }
        let unsettled = self.tallies.iter().filter(|tally| tally.unsettled()).count();
        if unsettled > 0 {
            sentences.push(format!(
                "Of {unsettled} too little can be said, as this machine was late; let it rest, or pass `--jobs 4` or `--pace 3`."
            ));
        }
        sentences
    }

    /// As Markdown, without anything that differs between two selftests that found the same.
    pub fn markdown(&self) -> String {
        let mut out = String::from("| fault | stands for | found | executions | as expected | at least |\n");
        out.push_str("|---|---|---|---:|---:|---:|\n");
        for tally in &self.tallies {
            let (share, bound) = tally
                .rate()
                .map_or(("-".to_owned(), "-".to_owned()), |(share, bound)| (percent(share), percent(bound)));
            let mut found = match &tally.row.expected {
                Expected::Unseen(why) => format!("not to be noticed: {why}"),
                Expected::Perhaps(_, why) => format!("{}: {why}", found(tally)),
                _ => found(tally),
            };
            for wrong in tally.wrong.iter().take(SHOWN) {
                write!(found, "<br>**{}**: {}", heading_of(&wrong.said), wrong_in_words(tally, wrong)).ok();
            }
            let beginning = beginning(&tally.row);
            writeln!(out, "{beginning} {found} | {} | {share} | {bound} |", tally.tried).ok();
        }
        write!(out, "\n{}: {}\n", self.word(), self.sentences().join(" ")).ok();
        out
    }

    /// As one JSON document.
    pub fn json(&self) -> String {
        let rows = self.tallies.iter().map(|tally| Row {
            fault: tally.row.spec.to_string(),
            healthy: tally.row.spec.fault.is_variant(),
            envelopes: tally.row.envelopes.iter().map(|envelope| name_of(*envelope)).collect(),
            expected: match tally.row.expected {
                Expected::Caught(_) => "caught",
                Expected::Noted(_) => "noted",
                Expected::Legal => "legal",
                Expected::Unseen(_) => "unseen",
                Expected::Perhaps(..) => "perhaps",
            },
            rules: tally.row.codes(),
            reason: match &tally.row.expected {
                Expected::Unseen(why) | Expected::Perhaps(_, why) => Some(why),
                _ => None,
            },
            executions: tally.tried,
            as_expected: tally.as_expected,
            found: tally.found,
            sent: tally.sent,
            received: tally.received,
            at_least: tally.rate().map(|(_, bound)| bound),
            starved: tally.starved,
            without_cause: tally.without_cause.iter().map(|(code, count)| (code.as_str(), *count)).collect(),
            wrong: tally.wrong.iter().map(|wrong| wrong_in_words(tally, wrong)).collect(),
        });
        let document = Document {
            version: 1,
            tool: execute::tool(),
            outcome: self.word().to_lowercase(),
            took_ms: u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            rows: rows.collect(),
        };
        serde_json::to_string_pretty(&document).expect("plain data") + "\n"
    }
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    tool: Tool,
    outcome: String,
    took_ms: u64,
    rows: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    fault: String,
    healthy: bool,
    envelopes: Vec<String>,
    expected: &'static str,
    rules: &'a [String],
    reason: Option<&'a str>,
    executions: u64,
    as_expected: u64,
    found: u64,
    sent: u64,
    received: u64,
    at_least: Option<f64>,
    starved: u64,
    without_cause: std::collections::BTreeMap<&'a str, u64>,
    wrong: Vec<String>,
}

/// The first cells of a row of Markdown.
fn beginning(row: &table::Row) -> String {
    format!("| `{}` | {} |", row.name(), row.spec.fault.stands_for())
}

/// Trials of a row that are told, where not all ended as expected.
const SHOWN: usize = 3;

fn found(tally: &Tally) -> String {
    match &tally.row.expected {
        Expected::Caught(codes) if tally.row.beside.is_empty() => codes.join(" "),
        Expected::Caught(codes) => format!("{} ({})", codes.join(" "), tally.row.beside.join(" ")),
        Expected::Perhaps(codes, _) => format!("{}, or nothing", codes.join(" ")),
        Expected::Noted(codes) => format!("{} (a note)", codes.join(" ")),
        Expected::Legal | Expected::Unseen(_) => "nothing".to_owned(),
    }
}

fn heading_of(said: &Said) -> &'static str {
    match said {
        Said::AsExpected => "as expected",
        Said::Missed => "MISSED",
        Said::Misnamed => "MISNAMED",
        Said::Sprayed => "WITHOUT CAUSE",
        Said::Idle => "NEVER STRUCK",
        Said::Starved => "late",
        Said::Broke(_) => "BROKE",
    }
}

fn wrong_in_words(tally: &Tally, wrong: &Wrong) -> String {
    let Wrong { said, told, outcome, envelope, seed } = wrong;
    let what = match (said, outcome) {
        (Said::Broke(why), _) => why.clone(),
        (Said::Idle, _) => "the backend had no occasion for it".to_owned(),
        (_, None) => "nothing is known".to_owned(),
        (_, Some(outcome)) if told.is_empty() => format!("nothing was found, and the verdict was {outcome:?}"),
        (_, Some(outcome)) => {
            let named: Vec<String> = told.iter().map(|code| named(code)).collect();
            format!("found {}; the verdict was {outcome:?}", named.join(", "))
        }
    };
    let name = tally.row.spec.fault.name();
    format!("{what} (envelope {envelope}, seed {seed}; `goldenpath selftest {name} --envelope {envelope}` repeats it)")
}

fn named(code: &str) -> String {
    let rule = Rule::ALL.iter().find(|rule| rule.code() == code);
    rule.map_or_else(|| code.to_owned(), |rule| format!("{code} {}", rule.name()))
}

fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(count.into()), if count == 1 { "" } else { "s" })
}

/// Rounded down, so that nothing is said that was not shown.
fn percent(share: f64) -> String {
    let tenths = (share * 1000.0).floor() / 10.0;
    if tenths >= 100.0 { "100 %".to_owned() } else { format!("{tenths:.1} %") }
}

/// Rounded up, for the same reason.
fn at_most(share: f64) -> String {
    format!("{:.2} %", (share * 10_000.0).ceil() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    /// Made by `goldenpath selftest --format markdown`, below words by hand.
    const PAGE: &str = include_str!("../../../docs/detection.md");

    fn told(tallies: Vec<Tally>) -> Told {
        Told { tallies, clean: false, interrupted: false, took: Duration::from_millis(1500) }
    }

    #[test]
    fn the_page_knows_every_row_of_the_table_and_no_other() {
        let rows = table::rows().unwrap();
        for row in &rows {
            let tally = Tally::new(row.clone());
            let line = told(vec![tally]).markdown().lines().nth(2).unwrap_or_default().to_owned();
            // Figures are those of the selftest that made the page.
            let beginning = line.trim_end_matches(" 0 | - | - |");
            assert!(PAGE.contains(beginning), "make the page again, it lacks {beginning}");
        }
        assert_eq!(PAGE.lines().filter(|line| line.starts_with("| `")).count(), rows.len());
    }

    #[test]
    fn shares_are_rounded_against_us() {
        assert_eq!([percent(1.0), percent(0.99999), percent(0.5)], ["100 %", "99.9 %", "50.0 %"]);
        assert_eq!([at_most(0.0), at_most(0.002_991), at_most(1.0)], ["0.00 %", "0.30 %", "100.00 %"]);
    }

    #[test]
    fn nothing_tried_passes_nothing_and_an_interruption_is_said() {
        let rows = table::rows().unwrap();
        let mut starved = Tally::new(rows[0].clone());
        starved.starved = 1;
        assert_eq!(told(vec![starved]).exit(), Exit::Inconclusive);
        let mut tally = Tally::new(rows[0].clone());
        (tally.tried, tally.as_expected) = (2, 2);
        assert_eq!(told(vec![tally.clone()]).exit(), Exit::Pass);
        assert_eq!(Told { interrupted: true, ..told(vec![tally]) }.exit(), Exit::Interrupted);
        assert_eq!(told(Vec::new()).exit(), Exit::Inconclusive);
    }
}
