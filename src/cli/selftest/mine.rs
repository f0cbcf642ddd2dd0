//! `goldenpath selftest --scenario FILE`: what somebody's own scenario would not notice, and what to add so that it does.
//!
//! The users of the scenario meet the embedded backend, healthy first, then with each of its faults alone. Where a fault goes
//! unnoticed, what could be asked in addition is tried in turn, so that no advice is given which was not seen to help. A
//! profile that the embedded backend does not speak cannot be tried; that is said, and nothing is made up. Doors that a fault
//! leaves open are tried only where the scenario has probes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::late::Lateness;
use super::side_by_side;
use super::table::{Expected, Row};
use super::trial::{Observed, Play, misbehaving, times};
use crate::backend::{Envelope, Spec};
use crate::cli::execute::quoted;
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

/// A scenario on trial.
pub struct Mine {
    path: PathBuf,
    variables: Variables,
    /// What is laid over it so that one execution is short.
    cut: Vec<String>,
    /// What was cut, for people.
    told: String,
    /// What could be asked in addition.
    additions: Vec<Addition>,
    /// Somebody knocks at doors.
    knocks: bool,
    pace: u32,
}

/// What could be asked in addition.
struct Addition {
    /// As `--set` takes it.
    set: String,
    /// Whether a healthy backend passes with it, once that was tried.
    healthy: OnceLock<bool>,
}

/// What became of a fault.
enum Fate {
    /// The verdict was no pass, over these rules.
    Noticed(Vec<String>),
    /// It passed; what was added for it to be noticed, and the rules then.
    Unnoticed(Option<(String, Vec<String>)>),
    /// Nothing can be said.
    Untold(String),
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
        let asked = additions(&loaded, users, iterations).into_iter();
        let additions = asked.map(|set| Addition { set, healthy: OnceLock::new() }).collect();
        let knocks = loaded.scenario.expect.claims.doors.is_some();
        Ok(Some(Mine { path: path.to_owned(), variables, cut, told, additions, knocks, pace }))
    }

    fn play(&self, fault: Option<Spec>, waits: bool, addition: Option<&str>) -> anyhow::Result<Observed> {
        let mut set = self.cut.clone();
        set.extend(times(waits, self.pace));
        set.extend(addition.map(str::to_owned));
        let overrides = Overrides { set, ..Overrides::default() };
        let play = Play { held: None, path: &self.path, overrides, variables: self.variables.clone() };
        play.against(misbehaving(fault, DELAY * self.pace))
    }

    fn fate(&self, row: &Row, lateness: &Lateness) -> Fate {
        let spec = row.fault(self.pace);
        let begun = Instant::now();
        let observed = match self.play(Some(spec.clone()), row.waits, None) {
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
        let of_doors = row.probes().is_some();
        let helped = self.additions.iter().filter(|_| !of_doors).find_map(|addition| {
            let with = self.play(Some(spec.clone()), row.waits, Some(&addition.set)).ok()?;
            let helps = with.outcome == Word::Fail && self.is_healthy_with(addition);
            helps.then(|| (addition.set.clone(), codes(&with)))
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
        let passes = || self.play(None, false, Some(&addition.set)).is_ok_and(|seen| seen.outcome == Word::Pass);
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
    let asks = [
        "expect.events=golden-path",
        "expect.answer=business-value",
        "expect.answer={\"canary\":\"echoed\"}",
        "expect.answer={\"distinct\":true}",
        "expect.budgets.run.max=500ms",
    ];
    additions.extend(asks.map(str::to_owned));
    additions
}

/// Tries the scenario against every fault that can be noticed by asking, and says what became of each.
///
/// # Errors
///
/// When stdout cannot be written.
pub fn run(mine: &Mine, rows: &[Row], jobs: usize, signals: &Signals) -> anyhow::Result<(String, Exit)> {
    let healthy = match mine.play(None, false, None) {
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
    let (tried, untried): (Vec<&Row>, Vec<&Row>) = rows
        .iter()
        .filter(|row| {
            (row.asks.is_empty() || row.probes().is_some())
                && !row.spec.fault.is_variant()
                && row.envelopes.contains(&Envelope::Flat)
        })
        .partition(|row| row.must_be_caught() && (mine.knocks || row.probes().is_none()));
    let fates: Mutex<BTreeMap<usize, Fate>> = Mutex::default();
    let numbered: Vec<(usize, &Row)> = tried.iter().copied().enumerate().collect();
    side_by_side(&numbered, jobs, signals, |(index, row), lateness| {
        let fate = mine.fate(row, lateness);
        fates.lock().unwrap_or_else(PoisonError::into_inner).insert(*index, fate);
    });
    let fates = fates.into_inner().unwrap_or_else(PoisonError::into_inner);
    let told = Told { mine, tried: &tried, untried: &untried, fates: &fates };
    let exit = match () {
        () if signals.signalled() => Exit::Interrupted,
        () if fates.values().any(|fate| matches!(fate, Fate::Unnoticed(_))) => Exit::Failed,
        // Where nothing was tried, nothing was noticed.
        () if fates.is_empty() || fates.values().any(|fate| matches!(fate, Fate::Untold(_))) => Exit::Inconclusive,
        () => Exit::Pass,
    };
    Ok((told.text(show::width()), exit))
}

/// What became of all faults.
struct Told<'a> {
    mine: &'a Mine,
    tried: &'a [&'a Row],
    untried: &'a [&'a Row],
    fates: &'a BTreeMap<usize, Fate>,
}

impl Told<'_> {
    fn text(&self, width: usize) -> String {
        let mut out = String::new();
        let of = |wanted: fn(&Fate) -> bool| {
            self.fates.iter().filter(move |(_, fate)| wanted(fate)).map(|(index, fate)| (self.tried[*index], fate))
        };
        let noticed: Vec<_> = of(|fate| matches!(fate, Fate::Noticed(_))).collect();
        let paragraph = |out: &mut String, indent: usize, text: &str| {
            for line in wrap(text, width.saturating_sub(indent)) {
                writeln!(out, "{}{line}", " ".repeat(indent)).ok();
            }
        };
        let mine = self.mine;
        let head = format!(
            "{} notices {} of {} faults of the embedded backend, tried one by one with {}, and with little patience where \
             something does not come.",
            mine.path.display(),
            noticed.len(),
            self.fates.len(),
            mine.told
        );
        paragraph(&mut out, 0, &head);
        let mut unnoticed: BTreeMap<Option<&str>, Vec<(&Row, &[String])>> = BTreeMap::new();
        for (row, fate) in of(|fate| matches!(fate, Fate::Unnoticed(_))) {
            let Fate::Unnoticed(helped) = fate else { continue };
            let (addition, codes) =
                helped.as_ref().map_or((None, &[][..]), |(with, codes)| (Some(&**with), &codes[..]));
            unnoticed.entry(addition).or_default().push((row, codes));
        }
        for (addition, rows) in unnoticed {
            let head = match addition {
                Some(addition) => {
                    format!("It would pass, but would not with --set {}, although the backend", quoted(addition))
                }
                None => "It would pass, and nothing that was tried helps, although the backend".to_owned(),
            };
            out.push('\n');
            paragraph(&mut out, 0, &head);
            for (row, codes) in rows {
                let fault = row.spec.fault;
                let by = if codes.is_empty() { String::new() } else { format!(", {} then", codes.join(" ")) };
                paragraph(&mut out, 2, &format!("{} ({}{by})", fault.does(), row.spec));
                paragraph(&mut out, 6, &format!("in life: {}; users see: {}", fault.stands_for(), fault.noticed()));
            }
        }
        if !noticed.is_empty() {
            writeln!(out, "\nIt notices").ok();
        }
        let mut by_rules: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (row, fate) in noticed {
            if let Fate::Noticed(codes) = fate {
                by_rules.entry(codes.join(" ")).or_default().push(row.spec.to_string());
            }
        }
        for (codes, names) in by_rules {
            let by = if codes.is_empty() { "by what was missing".to_owned() } else { format!("by {codes}") };
            paragraph(&mut out, 2, &format!("{by}: {}", names.join(", ")));
        }
        let untold: Vec<_> = of(|fate| matches!(fate, Fate::Untold(_))).collect();
        if !(untold.is_empty() && self.untried.is_empty()) {
            writeln!(out, "\nNot tried").ok();
        }
        for (row, fate) in untold {
            if let Fate::Untold(why) = fate {
                paragraph(&mut out, 2, &format!("{}: {why}", row.spec));
            }
        }
        for row in self.untried {
            let why = match (&row.expected, row.probes()) {
                (Expected::Unseen(why) | Expected::Perhaps(_, why), _) => why.clone(),
                (_, Some(probes)) => format!("nobody knocks at doors without --set {}", quoted(probes)),
                _ => "it is no failure".to_owned(),
            };
            paragraph(&mut out, 2, &format!("{}: {why}", row.spec));
        }
        out
    }
}
