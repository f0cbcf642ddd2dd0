//! `goldenpath selftest --scenario FILE`: what somebody's own scenario would not notice, and what to add so that it does.
//!
//! The users of the scenario meet the embedded backend, healthy first, then with each of its faults alone. Where a fault goes
//! unnoticed, what could be asked in addition is tried in turn, so that no advice is given which was not seen to help. A
//! profile that the embedded backend does not speak cannot be tried; that is said, and nothing is made up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::fate::{Fate, Fates, Tried, as_options};
use super::late::Lateness;
use super::side_by_side;
use super::table::{Expected, Row};
use super::trial::{Observed, Play, misbehaving, times};
use crate::backend::{Envelope, Fault, Spec};
use crate::cli::exit::Exit;
use crate::cli::load::{self, Loaded, Loader, Overrides, Unset, Variables};
use crate::cli::show;
use crate::cli::signals::Signals;
use crate::finding::counted;
use crate::report::{Word, wrap};
use crate::scenario::load::Work;

/// Users and iterations that suffice for every fault: somebody to leak to, and a connection after the first.
const USERS: u32 = 4;
const ITERATIONS: u32 = 2;

/// More runs than this are not made for each fault.
const MOST_RUNS: u64 = 500;

/// Time before each event of a healthy run.
const DELAY: Duration = Duration::from_millis(8);

/// What a scenario could expect in addition, as `--set` takes it; the least first.
pub const ASKS: [&str; 4] = [
    "expect.events=golden-path",
    "expect.answer=business-value",
    "expect.answer={\"canary\":\"echoed\"}",
    "expect.answer={\"distinct\":true}",
];

/// A scenario on trial.
pub struct Mine {
    path: PathBuf,
    variables: Variables,
    /// What is laid over it so that one execution is short.
    cut: Vec<String>,
    /// What was cut, for people.
    told: String,
    /// There is nobody to leak to.
    alone: bool,
    /// What could be asked in addition.
    additions: Vec<Addition>,
    pace: u32,
}

/// What could be asked in addition.
struct Addition {
    /// As `--set` takes it.
    set: Vec<String>,
    /// Whether a healthy backend passes with it, once that was tried.
    healthy: OnceLock<bool>,
}

impl Addition {
    fn new(set: Vec<String>) -> Addition {
        Addition { set, healthy: OnceLock::new() }
    }
}

impl Mine {
    /// The scenario at `path`, if it can be executed; else its mistakes are shown.
    ///
    /// # Errors
    ///
    /// When stderr cannot be written.
    pub fn load(path: &Path, pace: u32) -> anyhow::Result<Option<Mine>> {
        let variables = load::variables();
        let mut loader = Loader::new(&Overrides::default(), variables.clone(), Unset::Refuse);
        let loaded = match loader.load(path) {
            Ok(loaded) => loaded,
            Err(mistakes) => {
                show::to_stderr(&mistakes, loader.sources())?;
                return Ok(None);
            }
        };
        let (users, iterations) = (loaded.scenario.users.count, iterations(&loaded));
        let less = [
            format!("users.count={}", users.min(USERS)),
            format!("load={{\"closed\":{{\"iterations\":{}}}}}", iterations.min(ITERATIONS)),
        ];
        let cut_down = Overrides { set: less.to_vec(), ..Overrides::default() };
        // A claim that so few runs cannot settle keeps the load that it needs.
        let fits = Loader::new(&cut_down, variables.clone(), Unset::Refuse).load(path).is_ok();
        let (cut, told) = if fits {
            (less.to_vec(), size(users.min(USERS), iterations.min(ITERATIONS)))
        } else if u64::from(users) * u64::from(iterations) <= MOST_RUNS {
            (Vec::new(), format!("{}, all of which its claims need", size(users, iterations)))
        } else {
            eprintln!(
                "goldenpath: {}: its claims need more than {MOST_RUNS} runs, too many to try with each fault; pass a scenario \
                 with less load",
                path.display()
            );
            return Ok(None);
        };
        let additions = additions(&loaded, users, iterations).into_iter().map(|set| Addition::new(vec![set])).collect();
        Ok(Some(Mine { path: path.to_owned(), variables, cut, told, alone: users < 2, additions, pace }))
    }

    /// What a row asks of a scenario, as an addition.
    fn asked_by(&self, row: &Row) -> Addition {
        let others = self.alone.then(|| format!("users.count={USERS}"));
        Addition::new(others.into_iter().chain(row.asks.clone()).collect())
    }

    fn play(&self, fault: Option<Spec>, waits: bool, addition: &[String]) -> anyhow::Result<Observed> {
        let mut set = self.cut.clone();
        set.extend(times(waits, self.pace));
        set.extend_from_slice(addition);
        let overrides = Overrides { set, ..Overrides::default() };
        let play = Play { held: None, path: &self.path, overrides, variables: self.variables.clone() };
        play.against(misbehaving(fault, DELAY * self.pace))
    }

    /// What becomes of a fault; `own` may help against it and against no other.
    fn fate(&self, row: &Row, own: Option<&Addition>, lateness: &Lateness) -> Fate {
        let spec = row.fault(self.pace);
        let begun = Instant::now();
        let observed = match self.play(Some(spec.clone()), row.waits, &[]) {
            Ok(observed) => observed,
            Err(error) => return Fate::Untold(format!("{error:#}")),
        };
        if lateness.between(begun, Instant::now()) > Duration::from_millis(250) * self.pace {
            return Fate::Untold("this machine was too late".to_owned());
        }
        let codes = |observed: &Observed| observed.findings.keys().cloned().collect::<Vec<_>>();
        match observed.outcome {
            Word::Pass => {}
            Word::Broke | Word::Interrupted => return Fate::Untold("the harness did not get through".to_owned()),
            Word::Fail | Word::Blocked | Word::Inconclusive => return Fate::Noticed(codes(&observed)),
        }
        let helped = own.into_iter().chain(&self.additions).find_map(|addition| {
            let with = self.play(Some(spec.clone()), row.waits, &addition.set).ok()?;
            let helps = with.outcome == Word::Fail && self.is_healthy_with(addition);
            helps.then(|| (as_options(&addition.set), codes(&with)))
        });
        match helped {
            None if !observed.struck.contains_key(spec.fault.name()) => {
                Fate::Untold("there was no occasion for it".to_owned())
            }
            helped => Fate::Unnoticed(helped),
        }
    }

    /// What makes a healthy backend fail as well would help nobody.
    fn is_healthy_with(&self, addition: &Addition) -> bool {
        let passes = || self.play(None, false, &addition.set).is_ok_and(|seen| seen.outcome == Word::Pass);
        *addition.healthy.get_or_init(passes)
    }
}

fn size(users: u32, iterations: u32) -> String {
    format!("{} x {}", counted(users.into(), "user"), counted(iterations.into(), "iteration"))
}

/// How often each user asks at least; an open load counts as more than is needed.
fn iterations(loaded: &Loaded) -> u32 {
    match &loaded.scenario.load.work {
        Work::Closed { iterations, .. } => *iterations,
        Work::Open(_) => ITERATIONS,
    }
}

/// What could be asked in addition, as `--set` takes it; the least first.
fn additions(loaded: &Loaded, users: u32, iterations: u32) -> Vec<String> {
    let mut additions = Vec::new();
    if iterations < ITERATIONS {
        additions.push(format!("load={{\"closed\":{{\"iterations\":{ITERATIONS}}}}}"));
    }
    if users < 2 {
        additions.push(format!("users.count={USERS}"));
    }
    if let [turn] = loaded.scenario.turns.as_slice()
        && turn.prompt.holes().all(|hole| hole.name != "canary")
        && let Some(prompt) = turn.prompt.as_literal()
    {
        additions.push(format!("ask.prompt={prompt} (ref ${{canary}})"));
    }
    additions.extend(ASKS.map(str::to_owned));
    additions.push("expect.budgets.run.max=500ms".to_owned());
    additions
}

/// Tries the scenario against every fault that can be noticed by asking, and says what became of each.
///
/// # Errors
///
/// When stdout cannot be written.
pub fn run(mine: &Mine, rows: &[Row], jobs: usize, signals: &Signals) -> anyhow::Result<(String, Exit)> {
    let healthy = match mine.play(None, false, &[]) {
        Ok(observed) => observed,
        Err(error) => return Ok((format!("{error:#}\n"), Exit::Usage)),
    };
    if healthy.outcome != Word::Pass {
        let codes: Vec<&str> = healthy.findings.keys().map(String::as_str).collect();
        let text = format!(
            "{}: nothing can be tried: with the healthy embedded backend the verdict is {:?} ({}). Either the backend does not \
             speak the profile, or the scenario asks for what it does not do.",
            mine.path.display(),
            healthy.outcome,
            if codes.is_empty() { "no finding".to_owned() } else { codes.join(", ") },
        );
        return Ok((wrap(&text, show::width()).join("\n") + "\n", Exit::Inconclusive));
    }
    let (tried, untried): (Vec<&Row>, Vec<&Row>) = on_trial(rows).into_iter().partition(|row| row.must_be_caught());
    let fates: Mutex<BTreeMap<usize, Fate>> = Mutex::default();
    let own = |row: &&Row| (!row.asks.is_empty()).then(|| mine.asked_by(row));
    let numbered: Vec<(usize, &Row, Option<Addition>)> =
        tried.iter().enumerate().map(|(index, row)| (index, *row, own(row))).collect();
    side_by_side(&numbered, jobs, signals, |(index, row, own), lateness| {
        let fate = mine.fate(row, own.as_ref(), lateness);
        fates.lock().unwrap_or_else(PoisonError::into_inner).insert(*index, fate);
    });
    let fates = fates.into_inner().unwrap_or_else(PoisonError::into_inner);
    let fates = Fates {
        whose: mine.path.display().to_string(),
        what: format!(
            "faults of the embedded backend, tried one by one with {}, and with little patience where something does not come.",
            mine.told
        ),
        tried: fates.into_iter().map(|(index, fate)| told(tried[index], fate)).collect(),
        untried: untried.into_iter().map(|row| (row.spec.to_string(), why_not(row))).collect(),
    };
    let exit = if signals.signalled() { Exit::Interrupted } else { fates.exit() };
    Ok((fates.text(show::width()), exit))
}

/// Of every fault the rows that must be caught from any scenario; else the one that says what a scenario must ask for; else the
/// first.
fn on_trial<'r>(rows: &'r [Row]) -> Vec<&'r Row> {
    let fits = |row: &&'r Row| {
        row.sub_agents.is_empty() && !row.spec.fault.is_variant() && row.envelopes.contains(&Envelope::Flat)
    };
    let mut faults: BTreeMap<Fault, Vec<&'r Row>> = BTreeMap::new();
    rows.iter().filter(fits).for_each(|row| faults.entry(row.spec.fault).or_default().push(row));
    let best = |rows: Vec<&'r Row>| -> Vec<&'r Row> {
        let caught: Vec<&Row> = rows.iter().copied().filter(|row| row.must_be_caught()).collect();
        if caught.iter().any(|row| row.asks.is_empty()) {
            return caught.into_iter().filter(|row| row.asks.is_empty()).collect();
        }
        caught.first().or(rows.first()).into_iter().copied().collect()
    };
    faults.into_values().flat_map(best).collect()
}

fn told(row: &Row, fate: Fate) -> Tried {
    let fault = row.spec.fault;
    Tried {
        name: row.spec.to_string(),
        does: fault.does().to_owned(),
        stands_for: fault.stands_for(),
        noticed: fault.noticed(),
        fate,
    }
}

fn why_not(row: &Row) -> String {
    match &row.expected {
        Expected::Unseen(why) | Expected::Perhaps(_, why) => why.clone(),
        _ => "it is no failure".to_owned(),
    }
}
