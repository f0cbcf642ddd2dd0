//! `goldenpath compare BASE NEW`, and what `run --baseline` makes of the same comparison.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::ValueEnum;

use super::exit::Exit;
use super::output;
use super::show;
use crate::report::{self, Comparison, Page, Trend};

/// What `compare` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0    same or better
  1    worse; with --fail-on new: a failure that the base has not
  2    usage, or reports that cannot be compared
  4    unclear: something may have got worse, or too little was seen")]
pub struct Args {
    /// The report to compare with: its folder, or its report.json
    #[arg(value_name = "BASE")]
    base: PathBuf,
    /// The report to compare
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// What fails
    #[arg(long, value_enum, default_value_t = FailOn::Worse)]
    fail_on: FailOn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For a step summary or a pull request comment
    Markdown,
    /// One page for a browser
    Html,
    /// For programs
    Json,
}

/// What makes a comparison fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Whatever got worse; what is unclear exits with 4
    Worse,
    /// Failures that the base has not, and leaks; nothing else
    New,
}

/// Prints what changed.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let compared = output::read(&args.base)
        .and_then(|base| Ok((base, output::read(&args.new)?)))
        .and_then(|(base, new)| Ok(report::compare(&base, &new)?));
    let comparison = match compared {
        Ok(comparison) => comparison,
        Err(error) => {
            eprintln!("goldenpath: {error:#}");
            return Ok(Exit::Usage);
        }
    };
    let mut stdout = std::io::stdout().lock();
    let text = match args.format {
        Format::Text => text(&comparison, stdout.is_terminal()),
        Format::Markdown => report::comparison_markdown(&comparison),
        Format::Html => report::comparison_html(&comparison),
        Format::Json => report::comparison_to_json(&comparison),
    };
    stdout.write_all(text.as_bytes())?;
    Ok(exit(&comparison, args.fail_on))
}

/// A comparison as it is shown on a stream.
pub fn text(comparison: &Comparison, terminal: bool) -> String {
    let page = Page { width: show::width(), color: show::color(terminal), saved: None };
    report::comparison_text(comparison, &page)
}

fn exit(comparison: &Comparison, fail_on: FailOn) -> Exit {
    match (fail_on, comparison.trend) {
        (FailOn::New, _) if comparison.has_new_failures() => Exit::Failed,
        (FailOn::New, _) => Exit::Pass,
        (FailOn::Worse, Trend::Worse) => Exit::Failed,
        (FailOn::Worse, Trend::Unclear) => Exit::Inconclusive,
        (FailOn::Worse, Trend::Same | Trend::Better) => Exit::Pass,
    }
}

/// The exit of an execution that was compared with a base. Failures that the base has as well are forgiven with `--fail-on
/// new`; what kept the execution from being judged never is.
pub fn exit_of_run(own: Exit, comparison: &Comparison, fail_on: FailOn) -> Exit {
    let compared = exit(comparison, fail_on);
    match (fail_on, own) {
        (FailOn::New, Exit::Failed) => compared,
        _ => own.worse(compared),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Comparison;

    fn comparison(trend: Trend) -> Comparison {
        let side = || report::Side {
            execution: "00c0ffee".into(),
            began: String::new(),
            build: None,
            outcome: report::Word::Pass,
            runs: 20,
        };
        Comparison {
            version: 1,
            trend,
            sentence: String::new(),
            base: side(),
            new: side(),
            warnings: vec![],
            claims: vec![],
            reliability: vec![],
            latencies: vec![],
            new_findings: vec![],
            gone_findings: vec![],
            known_findings: vec![],
            new_events: vec![],
            lost_events: vec![],
            new_envelopes: vec![],
            lost_envelopes: vec![],
            new_ends: vec![],
            lost_ends: vec![],
            method: String::new(),
        }
    }

    #[test]
    fn a_comparison_never_betters_what_kept_an_execution_from_being_judged() {
        for own in [Exit::Broke, Exit::Interrupted, Exit::Blocked, Exit::Inconclusive] {
            for fail_on in [FailOn::Worse, FailOn::New] {
                assert_eq!(exit_of_run(own, &comparison(Trend::Same), fail_on), own);
            }
        }
    }

    #[test]
    fn failures_of_the_base_are_forgiven_only_where_that_was_asked_for() {
        assert_eq!(exit_of_run(Exit::Failed, &comparison(Trend::Same), FailOn::New), Exit::Pass);
        assert_eq!(exit_of_run(Exit::Failed, &comparison(Trend::Better), FailOn::Worse), Exit::Failed);
        assert_eq!(exit_of_run(Exit::Pass, &comparison(Trend::Worse), FailOn::Worse), Exit::Failed);
        assert_eq!(exit_of_run(Exit::Pass, &comparison(Trend::Unclear), FailOn::Worse), Exit::Inconclusive);
        assert_eq!(exit_of_run(Exit::Pass, &comparison(Trend::Worse), FailOn::New), Exit::Pass);
    }
}
