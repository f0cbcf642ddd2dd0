//! `goldenpath judge`: recordings judged again, without any traffic, as they were or by something else.
//!
//! The same judge is told the same things in the same order, so a complete recording yields the judgement that was made live.
//! What was left out is not made up: such claims are repeated as they were judged live, or said to be unknown.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;

use super::execute;
use super::exit::Exit;
use super::load::{Loader, Overrides, Unset, Variables};
use super::output;
use super::replay::{Anew, Measure, Recorded, Replayed};
use super::resolved::Header;
use super::show;
use crate::check::{ClaimKind, Outcome, conclude, conclude_part};
use crate::report::{self, Judged, Page, Report, Word};
use crate::rule::Severity;

/// What `judge` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Recordings, or the folders they stand in
    #[arg(value_name = "FILE", required = true)]
    recordings: Vec<PathBuf>,
    /// Judge by this scenario; users, load and target stay as recorded
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Read frames by the `events` of this target profile; login and connect stay as recorded
    #[arg(long, value_name = "FILE|embedded")]
    target: Option<String>,
    /// Lay this environment block over the scenario and the profile that are named
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// Lay a value over the scenario, for example `expect.budgets.run.max=2s`; repeatable
    #[arg(long, value_name = "PATH.TO.KEY=VALUE")]
    set: Vec<String>,
    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Write reports to this folder, below it one per recording if there are several
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A verdict for people
    Text,
    /// One JSON document: the report, or an array of reports for several recordings
    Json,
}

/// Judges every recording that is named.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let overrides = Overrides { env: args.env.clone(), set: args.set.clone(), ..Overrides::default() };
    // Nothing is asked of the machine: what was run elsewhere is judged here as it was.
    let mut loader = Loader::new(&overrides, Variables::new(), Unset::Warn);
    if args.env.is_some() && args.scenario.is_none() && args.target.is_none() {
        eprintln!("goldenpath: --env is about files, and a recording has its environment; name --scenario or --target");
        return Ok(Exit::Usage);
    }
    let mut exit = Exit::Pass;
    let mut reports = Vec::new();
    for path in &args.recordings {
        let report = match judge(path, args, &mut loader) {
            Ok(report) => report,
            Err(Refused::Recording(why)) => {
                eprintln!("goldenpath: {}: {}", path.display(), report::escape(&why));
                exit = exit.worse(Exit::Usage);
                continue;
            }
            Err(Refused::Files(told)) => {
                // They are the same for every further recording.
                eprint!("{told}");
                return Ok(Exit::Usage);
            }
        };
        exit = exit.worse(report.verdict.outcome.into());
        if args.format == Format::Text {
            if !reports.is_empty() {
                writeln!(std::io::stdout().lock())?;
            }
            print(&report)?;
        }
        reports.push(report);
    }
    if let Some(out) = &args.out {
        for report in &reports {
            let several = args.recordings.len() > 1;
            let folder = if several { out.join(report.execution.id.to_string()) } else { out.clone() };
            if let Err(error) = output::save(&folder, report, None) {
                eprintln!("goldenpath: {error:#}");
                exit = exit.worse(Exit::Broke);
            }
        }
    }
    if args.format == Format::Json && !reports.is_empty() {
        let text = match reports.as_slice() {
            [one] if args.recordings.len() == 1 => report::to_json(one),
            all => report::all_to_json(all),
        };
        std::io::stdout().lock().write_all(text.as_bytes()).context("failed to print the report")?;
    }
    Ok(exit)
}

fn print(report: &Report) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let page = Page { width: show::width(), color: show::color(stdout.is_terminal()), saved: None };
    stdout.write_all(report::render(report, &page).as_bytes()).context("failed to print the verdict")
}

/// Why there is no verdict.
enum Refused {
    /// The recording cannot be judged.
    Recording(String),
    /// What it should be judged by is wrong; shown as diagnostics.
    Files(String),
}

fn judge(path: &Path, args: &Args, loader: &mut Loader) -> Result<Report, Refused> {
    let mut recorded = Recorded::open(path).map_err(Refused::Recording)?;
    let (scenario, target, env) = (args.scenario.as_deref(), args.target.as_deref(), args.env.as_deref());
    let named = Anew { scenario, target, env, set: &args.set };
    let measure = Measure::of(&recorded.header, named, loader).map_err(Refused::Files)?;
    let replayed = recorded.replay(&measure.expect).map_err(Refused::Recording)?;
    Ok(report(&recorded.file, &recorded.header, &measure, replayed))
}

// ---------------------------------------------------------------------------------------------------------------------
// The report

fn report(file: &Path, header: &Header, measure: &Measure, replayed: Replayed) -> Report {
    let Replayed { judgement, live, torn, left_out, partial, last } = replayed;
    let mut circumstances = live.as_ref().map_or_else(|| header.circumstances.clone(), Report::context);
    circumstances.tool = execute::tool();
    if live.is_none() {
        circumstances.execution.interrupted = true;
        circumstances.execution.duration_us = last.0;
        let torn = torn.map(|at| format!("; its last block, at byte {at}, is torn")).unwrap_or_default();
        circumstances.notes.push(format!(
            "the recording has no end{torn}: the execution was killed, is still going on, or could not write on"
        ));
    }
    circumstances.recording = Some(recording_of(file, left_out));
    let interrupted = circumstances.execution.interrupted;
    let today = execute::day(circumstances.execution.began_unix_us);
    let broke = live.as_ref().is_some_and(|live| live.verdict.outcome == Word::Broke);
    let complete = live.is_some() && !partial && !broke;
    let mut judged = Judged {
        file: file.display().to_string(),
        complete,
        anew: measure.anew.clone(),
        recomputed: Vec::new(),
        repeated: Vec::new(),
        unknown: Vec::new(),
    };
    let conclude = if partial { conclude_part } else { conclude };
    let mut conclusion = conclude(judgement, &measure.expect, interrupted, today);
    if broke {
        conclusion.outcome = Outcome::Broke;
    }
    let anew = Report::new(&conclusion, circumstances);
    let mut report = match live {
        // Nothing can be said that was not said live; what is there agrees, or it is not called recomputed.
        Some(live) if partial && measure.anew.is_empty() => {
            for claim in &live.claims {
                let shown = shows_the_same(&live, &anew, &claim.name);
                if shown { &mut judged.recomputed } else { &mut judged.repeated }.push(claim.name.clone());
            }
            Report { recording: anew.recording, tool: anew.tool, ..live }
        }
        _ => {
            for claim in &anew.claims {
                let known = !partial || claim.verdict == Word::Fail;
                if known { &mut judged.recomputed } else { &mut judged.unknown }.push(claim.name.clone());
            }
            anew
        }
    };
    report.judged = Some(judged);
    report
}

/// Whether the claim failed live, and every failing finding about it is there again.
fn shows_the_same(live: &Report, again: &Report, claim: &str) -> bool {
    let failing = |report: &Report| {
        let groups = report.findings.iter().filter(|group| {
            group.severity == Severity::Failure && ClaimKind::About(group.concern).to_string() == claim
        });
        let mut counts: Vec<(String, u64)> = groups.map(|group| (group.code.clone(), group.count)).collect();
        counts.sort_unstable();
        counts
    };
    let found = failing(live);
    !found.is_empty() && found == failing(again)
}

/// What a report says of a recording.
pub fn recording_of(file: &Path, left_out: u64) -> report::Recording {
    let file = file.display().to_string();
    let command = format!("goldenpath judge {}", execute::quoted(&file));
    report::Recording { file, left_out, command }
}
