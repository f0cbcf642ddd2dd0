//! `goldenpath run`: scenarios one after the other, each with its verdict and report.
//!
//! Everything that can be wrong in any of them is said before the first packet. What happens then is `execute`'s.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;

use super::choice::{Choice, Chosen};
use super::compare::{self, FailOn};
use super::execute::{self, Executed, Invocation};
use super::exit::Exit;
use super::github::Runner;
use super::load::{Loaded, RunOptions};
use super::machine::{Machine, Needs};
use super::output;
use super::plan;
use super::record::{RECORDING, Record};
use super::show;
use super::signals::Signals;
use super::trust::TrustArgs;
use super::way::WayArgs;
use crate::document::diagnostic::quote;
use crate::document::values::duration;
use crate::engine::Level;
use crate::identity::ExecutionId;
use crate::report::{self, Comparison, Page, Report, Word};
use crate::scenario::load::SHORTEST_INTERVAL as SHORTEST;
use crate::time::Micros;

/// What `run` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    way: WayArgs,
    /// Show what would be done, with every value and where it is from, and send nothing, as `goldenpath plan` does
    #[arg(long, conflicts_with = "format")]
    dry_run: bool,
    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Repeat the ids and marks of this execution
    #[arg(long, value_name = "ID")]
    execution: Option<ExecutionId>,
    /// What to keep of what the users did and received, for `judge`
    #[arg(long, value_enum, default_value_t = Record::Auto)]
    record: Record,
    /// Print no progress
    #[arg(long, short)]
    quiet: bool,
    /// Sum up what went on so often while it goes on, on stderr and in `intervals.jsonl`; in place of `load.intervals`
    #[arg(long, value_name = "TIME", value_parser = between)]
    every: Option<Micros>,
    /// Execute each scenario so often, each time with a verdict and a report
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeat: u32,
    /// Repeat no further once an execution has failed
    #[arg(long, requires = "repeat")]
    until_fail: bool,
    /// Keep so many folders below `reports`, and delete the oldest beyond
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Compare with this report: its folder, or its report.json
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// What fails in comparison with the baseline
    #[arg(long, value_enum, default_value_t = FailOn::Worse, requires = "baseline")]
    fail_on: FailOn,
}

/// A length of time between two summaries.
fn between(text: &str) -> Result<Micros, String> {
    let every = duration(text)?;
    if every < SHORTEST { Err(format!("{} is too often; {SHORTEST} is the shortest", quote(text))) } else { Ok(every) }
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
    let Some(chosen) = args.choice.load("run")? else { return Ok(Exit::Usage) };
    let Chosen { variables, options, loader, scenarios: selected, threads, only } = &chosen;
    let threads = *threads;
    if args.keep.is_some() && options.out.is_some() {
        return usage("--keep is about the folders below `reports`, and --out names another");
    }
    if args.execution.is_some() && args.repeat > 1 {
        return usage("--execution repeats the ids of one execution, and --repeat asks for several");
    }
    let baseline = match args.baseline.as_deref().map(|path| baseline(path, selected)).transpose() {
        Ok(baseline) => baseline,
        Err(error) => return usage(&format!("{error:#}")),
    };
    let tls = match args.trust.tls() {
        Ok(tls) => tls,
        Err(mistake) => return usage(&mistake),
    };
    let way = match args.way.way(variables, selected.iter().all(|loaded| loaded.target.loopback)) {
        Ok(way) => way,
        Err(mistake) => return usage(&mistake),
    };
    if args.dry_run {
        plan::print(&chosen)?;
        return Ok(Exit::Pass);
    }
    let refusals: Vec<String> = selected.iter().filter_map(|loaded| execute::refusal(loaded, threads)).collect();
    if !refusals.is_empty() {
        refusals.iter().for_each(|refusal| eprintln!("goldenpath: {refusal}"));
        return Ok(Exit::Usage);
    }

    for loaded in selected {
        let doubts = Machine::here().doubts(Needs::of(loaded, threads), threads);
        doubts.iter().for_each(|doubt| eprintln!("goldenpath: {}: {doubt}", loaded.path.display()));
    }

    let signals = Signals::catch()?;
    let course = Course {
        args: &args,
        options,
        several: selected.len() > 1,
        baseline: baseline.as_ref(),
        runner: Runner::listening(variables),
    };
    let mut done = Done::default();
    for loaded in selected {
        let mut outcomes = Vec::new();
        for nth in 1..=args.repeat {
            if signals.stop.level() > Level::Run {
                done.exit = done.exit.worse(Exit::Interrupted);
                break;
            }
            let invocation = Invocation {
                options,
                sources: loader.sources(),
                variables,
                threads,
                tls: &tls,
                trust: &args.trust,
                way: &way,
                only,
                execution: args.execution,
                quiet: args.quiet,
                every: args.every,
                signals: &signals,
                record: args.record,
                visit: None,
                folder: &|scenario, execution| course.folder(scenario, execution, nth),
            };
            let executed = execute::execute(loaded, &invocation)?;
            outcomes.push(executed.report.verdict.outcome);
            course.conclude(executed, &mut done)?;
            // Nothing is to be expected of a target that cannot be tested, or of a harness that broke.
            let hopeless = matches!(outcomes.last(), Some(Word::Fail | Word::Blocked | Word::Broke));
            if args.until_fail && hopeless {
                break;
            }
        }
        if args.repeat > 1 && !outcomes.is_empty() {
            let text = repeated(&loaded.scenario.name, &outcomes, args.repeat);
            match args.format {
                Format::Text => writeln!(std::io::stdout().lock(), "\n{text}")?,
                Format::Json => eprintln!("{text}"),
            }
        }
    }
    if let Some(keep) = args.keep {
        let deleted = output::delete_oldest(keep as usize, &done.folders);
        done.note(deleted);
    }
    if let (Some(runner), Some((_, verdict, folder))) = (&course.runner, &done.worst) {
        let told = runner.conclude(*verdict, done.exit.code(), folder);
        done.note(told);
    }
    if args.format == Format::Json {
        let text = match done.reports.as_slice() {
            [one] if selected.len() == 1 && args.repeat == 1 => report::to_json(one),
            // Also when a signal left only one of several, so that a reader need not look first.
            all => report::all_to_json(all),
        };
        std::io::stdout().lock().write_all(text.as_bytes()).context("failed to print the report")?;
    }
    Ok(done.exit)
}

fn usage(mistake: &str) -> anyhow::Result<Exit> {
    eprintln!("goldenpath: {mistake}");
    Ok(Exit::Usage)
}

/// What holds for every execution of an invocation.
struct Course<'a> {
    args: &'a Args,
    options: &'a RunOptions,
    several: bool,
    baseline: Option<&'a Report>,
    runner: Option<Runner>,
}

/// What became of all executions so far.
struct Done {
    reports: Vec<Report>,
    folders: Vec<PathBuf>,
    exit: Exit,
    /// The execution that the exit code is about.
    worst: Option<(Exit, Word, PathBuf)>,
}

impl Default for Done {
    fn default() -> Done {
        Done { reports: Vec::new(), folders: Vec::new(), exit: Exit::Pass, worst: None }
    }
}

impl Done {
    /// An error of writing is told, and the verdict stands beside it.
    fn note(&mut self, result: anyhow::Result<()>) {
        if let Err(error) = result {
            eprintln!("goldenpath: {error:#}");
            self.exit = self.exit.worse(Exit::Broke);
        }
    }
}

impl Course<'_> {
    /// Writes, prints and counts one report.
    fn conclude(&self, executed: Executed, done: &mut Done) -> anyhow::Result<()> {
        let Executed { report, folder, recorded } = executed;
        let comparison = self.baseline.map(|base| report::compare(base, &report)).transpose()?;
        let mut saved = output::save(&folder, &report, comparison.as_ref());
        if saved.is_err() && recorded.is_err() && std::fs::remove_file(folder.join(RECORDING)).is_ok() {
            // The disk is full of the recording, and the report is worth more.
            saved = output::save(&folder, &report, comparison.as_ref());
        }
        if self.args.format == Format::Text {
            if !done.reports.is_empty() {
                writeln!(std::io::stdout().lock())?;
            }
            print(&report, saved.is_ok().then_some(folder.as_path()), comparison.as_ref())?;
        }
        let mut exit = Exit::from(report.verdict.outcome);
        if let Some(comparison) = &comparison {
            exit = compare::exit_of_run(exit, comparison, self.args.fail_on);
        }
        done.exit = done.exit.worse(exit);
        if done.worst.as_ref().is_none_or(|(worst, ..)| worst.worse(exit) != *worst) {
            done.worst = Some((exit, report.verdict.outcome, folder.clone()));
        }
        let pointed = match (&saved, &self.options.out) {
            (Ok(()), None) => output::point_latest_to(&folder),
            _ => Ok(()),
        };
        done.note(saved);
        done.note(recorded);
        done.note(pointed);
        if let Some(runner) = &self.runner {
            done.note(runner.tell(&report, comparison.as_ref()));
        }
        done.folders.push(folder);
        done.reports.push(report);
        Ok(())
    }

    /// Exactly the folder that was asked for, one below it per scenario and repetition if there are several, or one of its own.
    fn folder(&self, scenario: &str, execution: &report::Execution, nth: u32) -> PathBuf {
        let Some(out) = &self.options.out else { return output::default_folder(scenario, execution) };
        let mut folder = out.clone();
        if self.several {
            folder.push(scenario);
        }
        if self.args.repeat > 1 {
            folder.push(nth.to_string());
        }
        folder
    }
}

/// The baseline, if it can be compared with what is about to be run.
fn baseline(path: &Path, selected: &[Loaded]) -> anyhow::Result<Report> {
    let base = output::read(path)?;
    let [loaded] = selected else {
        anyhow::bail!("--baseline is a report of one scenario, and {} are to be run", selected.len());
    };
    if base.scenario.name != loaded.scenario.name {
        let (base, new) = (base.scenario.name, loaded.scenario.name.clone());
        return Err(report::Incomparable::Scenario { base, new }.into());
    }
    if base.target.embedded != loaded.target.embedded {
        return Err(report::Incomparable::Embedded.into());
    }
    Ok(base)
}

/// How a scenario fared that was executed several times, in one line.
fn repeated(name: &str, outcomes: &[Word], planned: u32) -> String {
    let at = |wanted: Word| {
        let which = outcomes.iter().enumerate().filter(|(_, outcome)| **outcome == wanted);
        which.map(|(index, _)| (index + 1).to_string()).collect::<Vec<_>>()
    };
    let said = |word: Word, name: &str| {
        let which = at(word);
        (!which.is_empty()).then(|| format!("{name} at {}", which.join(", ")))
    };
    let bad = [
        said(Word::Fail, "failed"),
        said(Word::Blocked, "blocked"),
        said(Word::Inconclusive, "inconclusive"),
        said(Word::Interrupted, "interrupted"),
        said(Word::Broke, "broke"),
    ];
    let passed = at(Word::Pass).len();
    let mut parts: Vec<String> = bad.into_iter().flatten().collect();
    match parts.last_mut() {
        Some(last) => last.push_str(&format!(" of {planned}")),
        None => return format!("{name}: passed {passed} of {planned} times"),
    }
    parts.push(format!("passed {passed} of {} executed", outcomes.len()));
    format!("{name}: {}", parts.join("; "))
}

fn print(report: &Report, saved: Option<&Path>, comparison: Option<&Comparison>) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let color = show::color(stdout.is_terminal());
    let saved = saved.map(|folder| folder.join(output::REPORT).display().to_string());
    let mut text = report::render(report, &Page { width: show::width(), color, saved: saved.as_deref() });
    if let Some(comparison) = comparison {
        text.push('\n');
        text.push_str(&compare::text(comparison, stdout.is_terminal()));
    }
    stdout.write_all(text.as_bytes()).context("failed to print the verdict")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_summed_up_in_one_line() {
        use Word::{Fail, Inconclusive, Pass};
        for (outcomes, text) in [
            (vec![Pass; 10], "s: passed 10 of 10 times"),
            (vec![Pass, Pass, Fail], "s: failed at 3 of 10; passed 2 of 3 executed"),
            (
                vec![Fail, Pass, Inconclusive, Fail],
                "s: failed at 1, 4; inconclusive at 3 of 10; passed 1 of 4 executed",
            ),
        ] {
            assert_eq!(repeated("s", &outcomes, 10), text);
        }
    }
}
