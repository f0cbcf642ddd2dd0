//! `goldenpath run`: scenarios one after the other, each with its verdict and report.
//!
//! Everything that can be wrong in any of them is said before the first packet. What happens then is `execute`'s.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;

use super::execute::{self, Invocation};
use super::exit::Exit;
use super::load::{self, Loaded, Loader, RunOptions, Unset};
use super::output;
use super::plan;
use super::show;
use super::signals::Signals;
use crate::engine::Level;
use crate::identity::ExecutionId;
use crate::report::{self, Page, Report};

/// What `run` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scenario files
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<PathBuf>,
    #[command(flatten)]
    options: RunOptions,
    /// Show what would be done, with every value and where it is from, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Threads that users are divided among
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: u32,
    /// Repeat the ids and marks of this execution
    #[arg(long, value_name = "ID")]
    execution: Option<ExecutionId>,
    /// Print no progress
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A verdict for people
    Text,
    /// One JSON document: the report, or an array of reports for several scenarios
    Json,
}

/// Runs every scenario that is named and selected.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    let variables = load::variables();
    let options = match args.options.with_variables(&variables) {
        Ok(options) => options,
        Err(mistake) => {
            eprintln!("goldenpath: {mistake}");
            return Ok(Exit::Usage);
        }
    };
    if args.scenarios.is_empty() {
        eprintln!("goldenpath: no scenario is named; name a file, for example: goldenpath run scenarios/smoke.yaml");
        return Ok(Exit::Usage);
    }
    let mut loader = Loader::new(&options.overrides, variables.clone(), Unset::Refuse);
    let Some(loaded) = load_all(&mut loader, &args.scenarios)? else { return Ok(Exit::Usage) };
    let selected: Vec<&Loaded> = loaded.iter().filter(|loaded| options.selects(&loaded.scenario)).collect();
    if selected.is_empty() {
        let tags = loaded.iter().flat_map(|loaded| &loaded.scenario.tags).map(String::as_str);
        let mut tags: Vec<&str> = tags.collect();
        tags.sort_unstable();
        tags.dedup();
        let known =
            if tags.is_empty() { "none has a tag".to_owned() } else { format!("they have: {}", tags.join(", ")) };
        eprintln!("goldenpath: no scenario has the tag {}; {known}", options.tag.join(" or "));
        return Ok(Exit::Usage);
    }
    if args.dry_run {
        for loaded in selected {
            let text = plan::describe(loaded, &loader, &options, args.threads);
            std::io::stdout().lock().write_all(text.as_bytes())?;
        }
        return Ok(Exit::Pass);
    }
    let refusals: Vec<String> = selected.iter().filter_map(|loaded| execute::refusal(loaded)).collect();
    if !refusals.is_empty() {
        refusals.iter().for_each(|refusal| eprintln!("goldenpath: {refusal}"));
        return Ok(Exit::Usage);
    }

    let signals = Signals::catch()?;
    let mut reports = Vec::new();
    let mut exit = Exit::Pass;
    for loaded in &selected {
        if signals.stop.level() > Level::Run {
            break;
        }
        let invocation = Invocation {
            options: &options,
            sources: loader.sources(),
            variables: &variables,
            threads: args.threads,
            execution: args.execution,
            quiet: args.quiet,
            signals: &signals,
        };
        let report = execute::execute(loaded, &invocation)?;
        let folder = folder(&options, &report, selected.len() > 1);
        let saved = output::save(&folder, &report);
        if args.format == Format::Text {
            print(&report, saved.as_ref().ok().map(PathBuf::as_path))?;
        }
        exit = exit.worse(report.verdict.outcome.into());
        if let Err(error) = saved {
            eprintln!("goldenpath: {error:#}");
            exit = exit.worse(Exit::Broke);
        }
        reports.push(report);
    }
    if reports.len() < selected.len() {
        exit = exit.worse(Exit::Interrupted);
    }
    if args.format == Format::Json {
        let text = match reports.as_slice() {
            [one] if selected.len() == 1 => report::to_json(one),
            // Also when a signal left only one of several, so that a reader need not look first.
            all => report::all_to_json(all),
        };
        std::io::stdout().lock().write_all(text.as_bytes()).context("failed to print the report")?;
    }
    Ok(exit)
}

/// Loads every scenario and shows what is wrong or doubtful in any of them; nothing when something is wrong.
fn load_all(loader: &mut Loader, paths: &[PathBuf]) -> anyhow::Result<Option<Vec<Loaded>>> {
    let mut diagnostics = Vec::new();
    let mut all = Vec::new();
    for path in paths {
        match loader.load(path) {
            Ok(mut loaded) => {
                diagnostics.append(&mut loaded.warnings);
                all.push(loaded);
            }
            Err(mut mistakes) => diagnostics.append(&mut mistakes),
        }
    }
    show::to_stderr(&diagnostics, loader.sources())?;
    Ok((all.len() == paths.len()).then_some(all))
}

/// Exactly the folder that was asked for, one below it per scenario if there are several, or one of its own.
fn folder(options: &RunOptions, report: &Report, several: bool) -> PathBuf {
    match &options.out {
        Some(out) if several => out.join(&report.scenario.name),
        Some(out) => out.clone(),
        None => {
            let stamp: String = report.execution.began.chars().filter(|c| c.is_ascii_alphanumeric()).take(15).collect();
            Path::new("reports").join(format!("{stamp}Z-{}-{}", report.scenario.name, report.execution.id))
        }
    }
}

fn print(report: &Report, saved: Option<&Path>) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let color = show::color(stdout.is_terminal());
    let saved = saved.map(|path| path.display().to_string());
    let text = report::render(report, &Page { width: show::width(), color, saved: saved.as_deref() });
    stdout.write_all(text.as_bytes()).context("failed to print the verdict")
}
