//! `goldenpath selftest`: who tests the tester.
//!
//! ```text
//! table      what must come of every fault, written by hand
//! trial      one fault, one envelope, one seed: a whole execution over loopback
//! late       how late this machine was meanwhile
//! verdict    what trials say of a row of the table
//! told       what was found, as text, Markdown and JSON
//! mine       somebody's own scenario against the same faults
//! from       somebody's own scenario against a recording that is bent
//! stream     in which ways
//! tape       what is recorded, judged with something changed on the way
//! fate       what became of faults that somebody's own scenario met
//! ```
//!
//! Nothing is retried, and nothing is forgiven: a fault that is missed, misnamed, or raised without cause fails.

mod fate;
mod from;
mod late;
mod mine;
mod stream;
mod table;
mod tape;
mod told;
mod trial;
mod verdict;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::ValueEnum;

use super::exit::Exit;
use super::signals::Signals;
use super::{show, unix};
use crate::backend::{Envelope, Fault, Spec};
use crate::engine::Level;
use from::From;
use late::Lateness;
use mine::Mine;
use table::{Expected, Row};
use told::Told;
use trial::Trial;
use verdict::Tally;

/// What `selftest` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0    every fault is caught by its name, and nothing else alarms anybody
  1    a fault is missed, misnamed, or raised without cause
  2    usage
  4    inconclusive: the machine was too busy to tell
  130  interrupted")]
pub struct Args {
    /// Try only these faults; `leak-*` are all that begin so [default: all]
    #[arg(value_name = "FAULT")]
    faults: Vec<String>,
    /// Try only these envelopes [default: all]
    #[arg(long, value_enum, value_name = "ENVELOPE", value_delimiter = ',', hide_possible_values = true)]
    envelope: Vec<Envelope>,
    /// Try each fault in each envelope so often, each time with another seed
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Let so many users ask at once [default: 4]
    #[arg(long, value_name = "N", conflicts_with = "scenario", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    users: Option<u32>,
    /// Execute so often without any misbehaviour, in all healthy variants and envelopes, in place of the faults
    #[arg(long, value_name = "N", conflicts_with_all = ["faults", "seeds"],
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    clean: Option<u64>,
    /// Say which faults this scenario would not notice, and what to add so that it does
    #[arg(long, value_name = "FILE", conflicts_with_all = ["envelope", "seeds", "clean", "format"])]
    scenario: Option<PathBuf>,
    /// Bend a healthy recording in place of a backend, and say what the scenario, or the one recorded, would not notice
    #[arg(long, value_name = "RECORDING", conflicts_with_all = ["faults", "envelope", "seeds", "clean", "pace", "format"])]
    from: Option<PathBuf>,
    /// Trials at the same time [default: 12 for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Multiply all times by this, for a slow machine
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pace: u32,
    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For a page of documentation
    Markdown,
    /// For programs
    Json,
}

/// Tries everything that is asked for.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    if let Some(recording) = &args.from {
        return bend(recording, args);
    }
    for written in &args.faults {
        if written.ends_with('*') && Fault::ALL.iter().any(|fault| meant(written, *fault)) {
            continue;
        }
        let mistake = match written.parse::<Spec>() {
            Err(stranger) => stranger.to_string(),
            Ok(spec) if spec.fault.name() != written => {
                let name = spec.fault.name();
                format!("`{written}`: a selftest has settings of its own for each fault; write `{name}`")
            }
            Ok(_) => continue,
        };
        eprintln!("goldenpath: {mistake}");
        return Ok(Exit::Usage);
    }
    let mut rows = table::rows().map_err(|why| anyhow::anyhow!("the table of what must come of faults: {why}"))?;
    if let Some(path) = &args.scenario {
        return try_mine(path, &rows, args);
    }
    if args.clean.is_some() {
        rows.retain(|row| row.spec.fault.is_variant() && row.expected == Expected::Legal);
    }
    let trials = match args.clean {
        Some(count) => clean_trials(&rows, count, args),
        None => trials_of(&rows, args),
    };
    if trials.is_empty() {
        eprintln!("goldenpath: there is nothing to try: none of these faults is about events in such an envelope");
        return Ok(Exit::Usage);
    }
    unix::raise_open_files();
    let signals = Signals::catch()?;
    let begun = Instant::now();
    let tallies = try_all(&rows, &trials, args, &signals);
    let told = Told {
        tallies: tallies.into_iter().filter(|tally| tally.tried + tally.starved > 0).collect(),
        clean: args.clean.is_some(),
        interrupted: signals.signalled(),
        took: begun.elapsed(),
    };
    let mut stdout = std::io::stdout().lock();
    let text = match args.format {
        Format::Text => told.text(show::width(), show::color(stdout.is_terminal())),
        Format::Markdown => told.markdown(),
        Format::Json => told.json(),
    };
    stdout.write_all(text.as_bytes()).context("failed to print what was found")?;
    Ok(told.exit())
}

/// Tries somebody's own scenario.
fn try_mine(path: &Path, rows: &[Row], args: &Args) -> anyhow::Result<Exit> {
    let Some(mine) = Mine::load(path, args.pace)? else { return Ok(Exit::Usage) };
    let wanted = |row: &&Row| asked_for(args, row.spec.fault);
    let rows: Vec<Row> = rows.iter().filter(wanted).cloned().collect();
    unix::raise_open_files();
    let (text, exit) = mine::run(&mine, &rows, jobs(args), &Signals::catch()?)?;
    std::io::stdout().lock().write_all(text.as_bytes()).context("failed to print what was found")?;
    Ok(exit)
}

/// Bends a recording.
fn bend(recording: &Path, args: &Args) -> anyhow::Result<Exit> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.map_or(cores, usize::from);
    let (text, exit) = match From::load(recording, args.scenario.as_deref()) {
        Ok(from) => from.run(jobs, &Signals::catch()?),
        Err(refused) => {
            eprint!("{}", refused.text);
            return Ok(refused.exit);
        }
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("failed to print what was found")?;
    Ok(exit)
}

fn asked_for(args: &Args, fault: Fault) -> bool {
    args.faults.is_empty() || args.faults.iter().any(|written| meant(written, fault))
}

/// Whether `written` is the fault's name, or with a `*` behind it how that begins.
fn meant(written: &str, fault: Fault) -> bool {
    written.strip_suffix('*').map_or(written == fault.name(), |beginning| fault.name().starts_with(beginning))
}

fn jobs(args: &Args) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    args.jobs.map_or(12 * cores, usize::from)
}

/// Which row a trial is about, and what is tried.
type Planned<'a> = (usize, Trial<'a>);

fn trials_of<'a>(rows: &'a [Row], args: &Args) -> Vec<Planned<'a>> {
    let mut trials = Vec::new();
    for (index, row) in rows.iter().enumerate().filter(|(_, row)| asked_for(args, row.spec.fault)) {
        for envelope in chosen(row, args) {
            trials.extend(
                (1..=args.seeds).map(|seed| (index, Trial { row, envelope, seed, pace: args.pace, users: args.users })),
            );
        }
    }
    // What takes longest begins first, so that nobody waits for it at the end.
    trials.sort_by_key(|(_, trial)| std::cmp::Reverse((trial.longest(), trial.row.waits)));
    trials
}

/// So many executions, dealt to all healthy variants and envelopes in turn.
fn clean_trials<'a>(rows: &'a [Row], count: u64, args: &Args) -> Vec<Planned<'a>> {
    let each: Vec<(usize, Envelope)> = rows
        .iter()
        .enumerate()
        .flat_map(|(index, row)| chosen(row, args).map(move |envelope| (index, envelope)))
        .collect();
    let dealt = each.iter().cycle().zip(1..=if each.is_empty() { 0 } else { count });
    dealt
        .map(|((index, envelope), seed)| {
            let (pace, users) = (args.pace, args.users);
            (*index, Trial { row: &rows[*index], envelope: *envelope, seed, pace, users })
        })
        .collect()
}

fn chosen<'a>(row: &'a Row, args: &'a Args) -> impl Iterator<Item = Envelope> + 'a {
    row.envelopes.iter().copied().filter(|envelope| args.envelope.is_empty() || args.envelope.contains(envelope))
}

/// Tries everything.
fn try_all(rows: &[Row], trials: &[Planned<'_>], args: &Args, signals: &Signals) -> Vec<Tally> {
    // A healthy event may be as late as this without being taken for a missing one.
    let bearable = Duration::from_millis(20) * args.pace;
    let tallies: Mutex<Vec<Tally>> = Mutex::new(rows.iter().cloned().map(Tally::new).collect());
    side_by_side(trials, jobs(args), signals, |(row, trial), lateness| {
        let begun = Instant::now();
        let observed = trial.execute();
        let late = lateness.between(begun, Instant::now()) > bearable;
        tallies.lock().unwrap_or_else(PoisonError::into_inner)[*row].add(trial, &observed, late);
    });
    let mut tallies = tallies.into_inner().unwrap_or_else(PoisonError::into_inner);
    tallies.iter_mut().for_each(Tally::sort);
    tallies
}

/// Does `each` to all of `items` in their order, so many at a time, as most of the time is spent waiting, and watches how late
/// this machine is meanwhile. What a signal keeps from beginning is left out.
fn side_by_side<T: Sync>(items: &[T], jobs: usize, signals: &Signals, each: impl Fn(&T, &Lateness) + Sync) {
    let (next, lateness) = (AtomicUsize::new(0), Lateness::default());
    std::thread::scope(|scope| {
        scope.spawn(|| lateness.watch());
        let work = || {
            while signals.stop.level() == Level::Run
                && let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed))
            {
                each(item, &lateness);
            }
        };
        let working: Vec<_> = (0..jobs.min(items.len())).map(|_| scope.spawn(work)).collect();
        let ended: Vec<_> = working.into_iter().map(ScopedJoinHandle::join).collect();
        lateness.end();
        if let Some(panic) = ended.into_iter().find_map(Result::err) {
            std::panic::resume_unwind(panic);
        }
    });
}
