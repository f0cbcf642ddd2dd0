//! `goldenpath selftest --from RECORDING`: what a scenario would not notice if a stream that was well had not been.
//!
//! For backends that the embedded one does not speak like. A complete recording that passes is bent in one way after the other,
//! once and then in every run, and judged offline, by the recorded scenario or another one. What was recorded of logins, upgrades
//! and HTTP steps stays as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::fate::{Fate, Fates, Tried, as_options};
use super::mine::ASKS;
use super::side_by_side;
use super::stream::{self, StreamFault};
use super::tape::{Change, Run, Scene, Tape, judged};
use crate::check::{Conclusion, Judgement, Outcome, conclude};
use crate::cli::execute;
use crate::cli::exit::Exit;
use crate::cli::load::{Loader, Overrides, Unset, Variables};
use crate::cli::replay::{Anew, Everything, Measure, Recorded};
use crate::cli::resolved::Header;
use crate::cli::show;
use crate::cli::signals::Signals;
use crate::expect::{Expectations, Segment};
use crate::finding::counted;
use crate::identity::{ExecutionId, UserNumber};
use crate::report::{escape, wrap};
use crate::time::Micros;

/// A recording to be bent, and what it is judged by.
pub struct From {
    /// Whose eyes are tried.
    whose: String,
    /// What they are tried on.
    what: String,
    taped: Taped,
    scene: Scene,
    expect: Arc<Expectations>,
    /// What was found in the recording as it is, and how often.
    healthy: BTreeMap<String, u64>,
    /// What could be expected in addition so that the recording as it is still passes.
    additions: Vec<(String, Arc<Expectations>)>,
    faults: Vec<StreamFault>,
}

/// A complete recording in memory.
struct Taped {
    header: Header,
    tapes: Vec<Tape>,
}

/// Why nothing can be tried.
pub struct Refused {
    /// For people.
    pub text: String,
    /// What that means.
    pub exit: Exit,
}

impl From {
    /// The recording at `path`, judged by the scenario at `scenario` or by its own.
    ///
    /// # Errors
    ///
    /// It cannot be read, is not complete, or does not pass.
    pub fn load(path: &Path, scenario: Option<&Path>) -> Result<From, Refused> {
        let refused = |why: &str, exit: Exit| {
            let text = wrap(&format!("goldenpath: {}: {}", path.display(), escape(why)), show::width());
            Refused { text: text.join("\n") + "\n", exit }
        };
        let mut recorded = Recorded::open(path).map_err(|why| refused(&why, Exit::Usage))?;
        let Everything { tapes, live, left_out } = recorded.everything().map_err(|why| refused(&why, Exit::Usage))?;
        if live.is_none() || left_out > 0 {
            let why = "it is not complete, so it cannot be bent; record with `run --record all`";
            return Err(refused(why, Exit::Usage));
        }
        let taped = Taped { header: recorded.header, tapes };
        let expect = taped.measure(scenario, None).map_err(|text| Refused { text, exit: Exit::Usage })?;
        let (scene, judgement) = Scene::of(&taped.tapes, &expect, taped.execution());
        let slowest = judgement.segments.get(Segment::Run).and_then(|run| run.slowest);
        let slowest = slowest.map(|slowest| slowest.took).unwrap_or_default();
        let conclusion = taped.concluded(judgement, &expect);
        let healthy = codes(&conclusion);
        if conclusion.outcome != Outcome::Pass {
            let found: Vec<&str> = healthy.keys().map(String::as_str).collect();
            let why = format!(
                "nothing can be tried: as it is, the verdict is {:?} ({}); a healthy recording is needed",
                conclusion.outcome,
                if found.is_empty() { "no finding".to_owned() } else { found.join(", ") }
            );
            return Err(refused(&why, Exit::Inconclusive));
        }
        let users: BTreeSet<UserNumber> = scene.standing.iter().map(|standing| standing.user).collect();
        let what = format!(
            "faults of a stream, each applied to {} ({}, {}) and judged offline.",
            recorded.file.display(),
            counted(users.len() as u64, "user"),
            counted(scene.runs.len() as u64, "run")
        );
        let asks = ASKS.map(str::to_owned).into_iter().chain([format!("expect.budgets.run.max={}", twice(slowest))]);
        let additions = asks.filter_map(|set| {
            let expect = taped.measure(scenario, Some(&set)).ok()?;
            (taped.bent(&Change::default(), &expect).outcome == Outcome::Pass).then_some((set, expect))
        });
        Ok(From {
            whose: scenario.map_or_else(|| "The recorded scenario".to_owned(), |path| path.display().to_string()),
            what,
            additions: additions.collect(),
            faults: stream::faults(&scene, &expect, slowest),
            taped,
            scene,
            expect,
            healthy,
        })
    }

    /// Tries every fault, so many at the same time, and says what became of each.
    pub fn run(&self, jobs: usize, signals: &Signals) -> (String, Exit) {
        let results: Mutex<BTreeMap<usize, Result<Fate, &'static str>>> = Mutex::default();
        let numbered: Vec<(usize, &StreamFault)> = self.faults.iter().enumerate().collect();
        side_by_side(&numbered, jobs, signals, |(index, fault), _| {
            let result = self.fate(fault);
            results.lock().unwrap_or_else(PoisonError::into_inner).insert(*index, result);
        });
        let (mut tried, mut untried) = (Vec::new(), Vec::new());
        for (index, result) in results.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let StreamFault { name, does, stands_for, noticed, .. } = self.faults[index].clone();
            match result {
                Ok(fate) => tried.push(Tried { name, does, stands_for, noticed, fate }),
                Err(why) => untried.push((name, why.to_owned())),
            }
        }
        let beyond = "a recorded stream shows nothing of them; `selftest` and `selftest --scenario` try them where the embedded \
                      backend speaks the profile";
        untried.push(("logins, upgrades, HTTP steps, reconnects, load".to_owned(), beyond.to_owned()));
        let fates = Fates { whose: self.whose.clone(), what: self.what.clone(), tried, untried };
        let exit = if signals.signalled() { Exit::Interrupted } else { fates.exit() };
        (fates.text(show::width()), exit)
    }

    /// What becomes of a fault.
    ///
    /// # Errors
    ///
    /// Why there is no occasion for it.
    fn fate(&self, fault: &StreamFault) -> Result<Fate, &'static str> {
        let runs = &self.scene.runs;
        let strike = |run: &Run| fault.strike(&self.taped.tapes, &self.scene, run);
        // From the middle on: the first and the last run of all may be special.
        let (before, after) = runs.split_at(runs.len() / 2);
        let Some(once) = after.iter().chain(before).find_map(|run| strike(run).ok()) else {
            return Err(runs.iter().find_map(|run| strike(run).err()).unwrap_or("there is no run"));
        };
        if let Some(codes) = self.noticed(&once, &self.expect) {
            return Ok(Fate::Noticed(codes));
        }
        // What a scenario bears once, such as a slow run beside a limit for most of them, it bears on purpose.
        let everywhere = runs.iter().filter_map(|run| strike(run).ok()).reduce(|mut all, change| {
            all.and(change);
            all
        });
        let everywhere = everywhere.and_then(|change| self.noticed(&change, &self.expect));
        let helps = |(set, expect): &(String, Arc<Expectations>)| {
            Some((as_options(std::slice::from_ref(set)), self.noticed(&once, expect)?))
        };
        Ok(everywhere.map_or_else(|| Fate::Unnoticed(self.additions.iter().find_map(helps)), Fate::Everywhere))
    }

    /// The rules over which the verdict is no pass once the stream was changed; `None` if it passes.
    fn noticed(&self, change: &Change, expect: &Arc<Expectations>) -> Option<Vec<String>> {
        let conclusion = self.taped.bent(change, expect);
        let new = |(code, count): &(String, u64)| self.healthy.get(code) != Some(count);
        (conclusion.outcome != Outcome::Pass)
            .then(|| codes(&conclusion).into_iter().filter(new).map(|(code, _)| code).collect())
    }
}

impl Taped {
    fn execution(&self) -> ExecutionId {
        self.header.circumstances.execution.id
    }

    /// What is judged by, with something laid over it.
    fn measure(&self, scenario: Option<&Path>, set: Option<&str>) -> Result<Arc<Expectations>, String> {
        let set: Vec<String> = set.map(str::to_owned).into_iter().collect();
        let overrides = Overrides { set: set.clone(), ..Overrides::default() };
        let mut loader = Loader::new(&overrides, Variables::new(), Unset::Warn);
        let named = Anew { scenario, target: None, env: None, set: &set };
        Measure::of(&self.header, named, &mut loader).map(|measure| measure.expect)
    }

    fn bent(&self, change: &Change, expect: &Arc<Expectations>) -> Conclusion {
        let judgement = judged(&self.tapes, change, expect, self.execution(), &mut |_, _, _| {});
        self.concluded(judgement, expect)
    }

    fn concluded(&self, judgement: Judgement, expect: &Expectations) -> Conclusion {
        conclude(judgement, expect, false, execute::day(self.header.circumstances.execution.began_unix_us))
    }
}

/// How often each rule found something.
fn codes(conclusion: &Conclusion) -> BTreeMap<String, u64> {
    conclusion.judgement.findings.rules().map(|(rule, count, ..)| (rule.to_string(), count)).collect()
}

/// A limit that twice the time keeps, as scenarios spell it.
fn twice(slowest: Micros) -> String {
    let ms = (slowest.0 * 2).div_ceil(1_000);
    if ms < 1_000 { format!("{}ms", ms.next_multiple_of(100)) } else { format!("{}s", ms.div_ceil(1_000)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_twice_the_time_rounded_up() {
        for (us, limit) in [(0, "0ms"), (1, "100ms"), (50_000, "100ms"), (420_000, "900ms"), (2_100_000, "5s")] {
            assert_eq!(twice(Micros(us)), limit);
        }
    }
}
