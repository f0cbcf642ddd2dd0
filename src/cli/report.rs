//! `goldenpath report DIR|FILE`: a report rendered again from its `report.json`, in any format.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::ValueEnum;

use super::exit::Exit;
use super::output;
use super::show;
use crate::report::{self, Page};

/// What `report` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A report's folder, or its report.json
    #[arg(value_name = "DIR|FILE")]
    report: PathBuf,
    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The verdict for people
    Text,
    /// For a step summary or a pull request comment
    Markdown,
    /// For pipelines that list tests
    Junit,
    /// One page for a browser, charts and time lines included
    Html,
    /// The report itself
    Json,
    /// Annotations for GitHub's runner
    Github,
}

/// Prints the report. The exit code says only whether there was one; its verdict stands in it.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let report = match output::read(&args.report) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("goldenpath: {error:#}");
            return Ok(Exit::Usage);
        }
    };
    let mut stdout = std::io::stdout().lock();
    let text = match args.format {
        Format::Text => {
            let saved = output::file(&args.report).display().to_string();
            let page = Page { width: show::width(), color: show::color(stdout.is_terminal()), saved: Some(&saved) };
            report::render(&report, &page)
        }
        Format::Markdown => report::markdown(&report, report::SUMMARY_BYTES),
        Format::Junit => report::junit(&report),
        Format::Html => report::html(&report),
        Format::Json => report::to_json(&report),
        Format::Github => report::annotations(&report).iter().map(|line| format!("{line}\n")).collect(),
    };
    stdout.write_all(text.as_bytes())?;
    Ok(Exit::Pass)
}
