//! `goldenpath judge`: recordings judged again, without any traffic, as they were or by something else.
//!
//! The same judge is told the same things in the same order, so a complete recording yields the judgement that was made live.
//! What was left out is not made up: such claims are repeated as they were judged live, or said to be unknown.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::ValueEnum;

use super::execute;
use super::exit::Exit;
use super::load::{self, Loader, Overrides, Unset, Variables};
use super::output;
use super::record::RECORDING;
use super::resolved::{End, Header};
use super::show;
use crate::check::{ClaimKind, Judge, Judgement, Outcome, conclude, conclude_part};
use crate::document::tree::{Entry as Member, Value};
use crate::document::{Context, Node};
use crate::expect::Expectations;
use crate::identity::{ExecutionId, UserNumber};
use crate::report::{self, Judged, Page, Report, Word};
use crate::rule::Severity;
use crate::scenario::{self, Scenario, defaults};
use crate::target;
use crate::time::Stamp;
use crate::trace::recording::{Line, Part, Reader, Tail};
use crate::trace::{Entry, Fact, Observed};

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
    let file = if path.is_dir() { path.join(RECORDING) } else { path.to_path_buf() };
    let unreadable = |error: &dyn std::fmt::Display| Refused::Recording(error.to_string());
    let size = std::fs::metadata(&file).map(|metadata| metadata.len()).unwrap_or_default();
    let opened = File::open(&file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Refused::Recording(format!(
            "there is no recording; name a `{RECORDING}`, or a folder that `run --record` wrote into"
        )),
        _ => unreadable(&error),
    })?;
    let mut reader = Reader::open(BufReader::new(opened)).map_err(|error| unreadable(&error))?;
    let Some(Part::Header(header)) = reader.next_part().map_err(|error| unreadable(&error))? else {
        return Err(Refused::Recording("there is no header".to_owned()));
    };
    let header: Header = serde_json::from_slice(&header).map_err(|error| {
        Refused::Recording(format!(
            "the header is not one that this build can read ({error}); use the build that wrote it"
        ))
    })?;
    let measure = Measure::of(&header, args, loader)?;
    let execution = header.circumstances.execution.id;
    let mut replayed = replay(&mut reader, &measure.expect, execution).map_err(Refused::Recording)?;
    // What is left out is counted at the end; without one, the size tells whether something can have been.
    replayed.partial =
        replayed.left_out > 0 || replayed.live.is_none() && header.everything_up_to.is_some_and(|most| size >= most);
    Ok(report(&file, &header, &measure, replayed))
}

// ---------------------------------------------------------------------------------------------------------------------
// By what

/// What a recording is judged by.
struct Measure {
    expect: Arc<Expectations>,
    /// What was named in place of what was recorded.
    anew: Vec<String>,
}

impl Measure {
    fn of(header: &Header, args: &Args, loader: &mut Loader) -> Result<Measure, Refused> {
        let mut cx = Context::new();
        let compiled = compile(header, args, loader, &mut cx);
        let mistakes = cx.has_mistakes();
        let diagnostics = cx.finish();
        let Some(expect) = compiled.filter(|_| !mistakes) else {
            return Err(Refused::Files(show::to_text(&diagnostics, loader.sources())));
        };
        let mut anew = Vec::new();
        anew.extend(args.scenario.as_ref().map(|path| format!("--scenario {}", path.display())));
        anew.extend(args.target.as_ref().map(|name| format!("--target {name}")));
        anew.extend(args.env.as_ref().map(|name| format!("--env {name}")));
        anew.extend(args.set.iter().map(|set| format!("--set {}", execute::without_password(set))));
        Ok(Measure { expect: Arc::new(load::among(expect, header.participants)), anew })
    }
}

fn compile(header: &Header, args: &Args, loader: &mut Loader, cx: &mut Context) -> Option<Expectations> {
    let recorded = loader.recorded("the recorded scenario", &header.scenario, cx);
    let profile = loader.recorded("the recorded profile", &header.profile, cx);
    let (recorded, mut profile) = (recorded?, profile?);
    let named = args.scenario.as_ref().map(|path| loader.scenario_alone(path, cx));
    let read_by = args.target.as_ref().map(|name| loader.profile_alone(name, cx));
    let (named, read_by) = (all_or_none(named)?, all_or_none(read_by)?);
    let trees = [&named, &read_by].map(Option::as_ref);
    if args.env.is_some() && !trees.iter().flatten().any(|(_, knows)| *knows) {
        trees.iter().flatten().for_each(|(tree, _)| loader.miss_environment(tree, cx));
        return None;
    }
    let mut scenario = match named {
        Some((mut tree, _)) => {
            // Who did what how often was done already.
            ["users", "load", "target"].into_iter().for_each(|key| put(&mut tree, &recorded, key));
            tree
        }
        None => recorded,
    };
    loader.set(&mut scenario, cx);
    let scenario: Scenario = scenario::compile(&scenario, loader.sources(), cx)?;
    if let Some((tree, _)) = &read_by {
        // What is wrong with it is told as of any profile.
        target::compile(tree, defaults::GREETING, cx)?;
        ["name", "events"].into_iter().for_each(|key| put(&mut profile, tree, key));
    }
    let profile = target::compile(&profile, scenario.timeouts.greeting, cx)?;
    Some(load::expectations(&scenario, &profile))
}

/// `None` if something was named and is not there.
fn all_or_none<T>(named: Option<Option<T>>) -> Option<Option<T>> {
    match named {
        None => Some(None),
        Some(tree) => tree.map(Some),
    }
}

/// Makes `key` of the map `to` what it is in `from`.
fn put(to: &mut Node, from: &Node, key: &str) {
    let (Value::Map(members), Some(others)) = (&mut to.value, from.entries()) else { return };
    let other: Option<&Member> = others.iter().find(|member| member.key.text == key);
    match (members.iter_mut().find(|member| member.key.text == key), other) {
        (Some(member), Some(other)) => *member = other.clone(),
        (None, Some(other)) => members.push(other.clone()),
        (_, None) => members.retain(|member| member.key.text != key),
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Once more

/// What a recording shows.
struct Replayed {
    judgement: Judgement,
    /// The report that was made live; none if the execution did not come so far.
    live: Option<Report>,
    torn: Option<u64>,
    left_out: u64,
    /// Not every user is there.
    partial: bool,
    /// The latest stamp.
    last: Stamp,
}

fn replay<R: std::io::Read>(
    reader: &mut Reader<R>,
    expect: &Arc<Expectations>,
    execution: ExecutionId,
) -> Result<Replayed, String> {
    let mut judges: BTreeMap<u32, Replay> = BTreeMap::new();
    let (mut live, mut left_out, mut last) = (None, 0_u64, Stamp::ZERO);
    let mut nth = 0_u64;
    while let Some(part) = reader.next_part().map_err(|error| error.to_string())? {
        nth += 1;
        match part {
            Part::Header(_) => {}
            Part::Tape(head, lines) => {
                let judge = judges.entry(head.tape).or_insert_with(|| Replay {
                    judge: Judge::new(Arc::clone(expect), execution),
                    open: BTreeMap::new(),
                });
                for text in lines.split(|byte| *byte == b'\n').filter(|text| !text.is_empty()) {
                    let line = Line::read(text)
                        .map_err(|why| format!("block {nth} holds a line that this build cannot read ({why})"))?;
                    match line {
                        Line::Entry(entry) => last = last.max(judge.tell(&entry)),
                        Line::LeftOut { user, entries } => {
                            left_out = left_out.saturating_add(entries);
                            judge.skip(user);
                        }
                    }
                }
            }
            Part::End(end) => {
                let end: End = serde_json::from_slice(&end)
                    .map_err(|error| format!("the end is not one that this build can read ({error})"))?;
                live = Some(end.report);
            }
        }
    }
    let torn = match reader.tail() {
        Some(Tail::Torn { at }) => Some(at),
        Some(Tail::Ended | Tail::Open) | None => None,
    };
    let parts = judges.into_values().map(|replay| replay.judge.finish());
    let judgement = parts.fold(Judgement::default(), Judgement::merge);
    Ok(Replayed { judgement, live, torn, left_out, partial: left_out > 0, last })
}

/// One judge that is told a tape.
struct Replay {
    judge: Judge,
    /// Users in the middle of an iteration: until when they were heard, and whether the rest of it is missing.
    open: BTreeMap<UserNumber, Open>,
}

struct Open {
    last: Stamp,
    missing: bool,
}

impl Replay {
    /// Returns when it was.
    fn tell(&mut self, entry: &Entry<'_>) -> Stamp {
        let at = time_of(&entry.observed);
        if let Some(user) = entry.user {
            match &entry.observed {
                Observed::Fact(Fact::Began { .. }) => drop(self.open.insert(user, Open { last: at, missing: false })),
                Observed::Fact(Fact::Ended { .. }) if !self.open.get(&user).is_some_and(|open| open.missing) => {
                    self.open.remove(&user);
                }
                _ => {}
            }
            if let Some(open) = self.open.get_mut(&user) {
                open.last = open.last.max(at);
                if open.missing {
                    return at;
                }
            }
        }
        self.judge.replay(entry);
        at
    }

    /// Entries of a user are missing here. An iteration that is in flight cannot be judged any further.
    fn skip(&mut self, user: UserNumber) {
        let Some(open) = self.open.get_mut(&user) else { return };
        if !std::mem::replace(&mut open.missing, true) {
            self.judge.fact(user, &Fact::Interrupted { at: open.last });
            self.judge.fact(user, &Fact::Ended { at: open.last });
        }
    }
}

fn time_of(observed: &Observed<'_>) -> Stamp {
    match observed {
        Observed::Frame(frame) => frame.read_at,
        Observed::Quiet(until) => *until,
        Observed::Fact(fact) => fact.at(),
    }
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

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::trace::recording::tests::{line, write_line};
    use crate::trace::recording::{Head, Kind, encode, preface, write_head};

    static EXPECT: LazyLock<Arc<Expectations>> = LazyLock::new(|| {
        let mut loader = Loader::new(&Overrides::default(), Variables::new(), Unset::Warn);
        Arc::new(loader.load(Path::new("scenarios/smoke.yaml")).expect("a scenario").expectations())
    });

    /// A recording of anything that a tape can hold, in any order.
    fn recording(tapes: &[Vec<Line<'static>>]) -> Vec<u8> {
        let mut bytes = preface();
        bytes.extend(encode(Kind::Header, b"{}").expect("a block"));
        for (tape, lines) in tapes.iter().enumerate() {
            let mut content = Vec::new();
            write_head(&mut content, Head { tape: tape as u32, sequence: 0 });
            lines.iter().for_each(|line| write_line(&mut content, line));
            bytes.extend(encode(Kind::Tape, &content).expect("a block"));
        }
        bytes
    }

    /// The same lines, but of few users, so that they meet.
    fn crowded(line: Line<'static>) -> Line<'static> {
        let few = |user: UserNumber| UserNumber(user.0 % 3);
        match line {
            Line::Entry(Entry { user, observed }) => Line::Entry(Entry { user: user.map(few), observed }),
            Line::LeftOut { user, entries } => Line::LeftOut { user: few(user), entries },
        }
    }

    proptest! {
        #[test]
        fn whatever_a_recording_tells_is_judged_without_a_panic(
            tapes in prop::collection::vec(prop::collection::vec(line().prop_map(crowded), 0..40), 0..3),
        ) {
            let expect = Arc::clone(&EXPECT);
            let bytes = recording(&tapes);
            let mut reader = Reader::open(&bytes[..]).expect("a recording");
            let Ok(Replayed { judgement, left_out, live, .. }) = replay(&mut reader, &expect, ExecutionId(7)) else {
                return Err(TestCaseError::fail("it can be read"));
            };
            let told = tapes.iter().flatten().map(|line| if let Line::LeftOut { entries, .. } = line { *entries } else { 0 });
            prop_assert_eq!(left_out, told.fold(0, u64::saturating_add));
            prop_assert!(live.is_none());
            conclude(judgement, &expect, true, None);
        }
    }
}
