//! Who watches while the threads of an execution work: shows progress, keeps limits of time, samples the machine, sums up.
//!
//! On a thread of its own that wakes a few times a second. It measures nothing of the target and decides no verdict.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::intervals::Intervals;
use super::progress::{Progress, Show, Snapshot};
use super::sampled::Sampled;
use super::show;
use super::signals::end_drain_after;
use crate::engine::Level;
use crate::report;
use crate::session::clock::Clock;
use crate::session::user::Mission;
use crate::time::{Micros, Stamp};

/// What is watched.
pub struct Watch<'a> {
    /// Whose work.
    pub mission: &'a Mission,
    /// Its clock.
    pub clock: Clock,
    /// The target is on this machine, and its limits of time do not hold.
    pub local: bool,
    /// Show nothing.
    pub quiet: bool,
}

/// What was seen besides.
pub struct Seen {
    /// What the process took of its machine.
    pub machine: report::Machine,
    /// Whether everything was written that was to be summed up.
    pub told: anyhow::Result<()>,
}

/// Between two looks.
const LOOKS: Duration = Duration::from_millis(200);

impl Watch<'_> {
    /// Watches while `work` goes on.
    pub fn while_working<T>(&self, intervals: Option<Intervals>, work: impl FnOnce() -> T) -> (T, Seen) {
        let over = AtomicBool::new(false);
        let terminal = std::io::stderr().is_terminal();
        let show = Show::choose(self.quiet, terminal, show::is_ci(), show::color(terminal));
        std::thread::scope(|scope| {
            let watching = scope.spawn(|| {
                let (mut progress, mut sampled) = (Progress::new(show), Sampled::default());
                let (mut draining, mut intervals) = (false, intervals);
                loop {
                    let last = over.load(Ordering::Acquire);
                    progress.update(&self.snapshot());
                    let now = self.now();
                    sampled.look(now);
                    if let Some(summary) =
                        intervals.as_mut().and_then(|all| all.look(now, last, &self.mission.progress, sampled.now))
                    {
                        progress.say(&summary);
                    }
                    if last {
                        break;
                    }
                    self.keep_time(&mut draining);
                    std::thread::park_timeout(LOOKS);
                }
                Seen { machine: sampled.machine(), told: intervals.map_or(Ok(()), Intervals::end) }
            });
            let result = work();
            over.store(true, Ordering::Release);
            watching.thread().unpark();
            let broke = || Seen { machine: report::Machine::default(), told: Ok(()) };
            (result, watching.join().unwrap_or_else(|_| broke()))
        })
    }

    fn now(&self) -> Micros {
        self.clock.now().since(Stamp::ZERO)
    }

    /// Ends an execution that takes longer than its target allows, and a drain that takes longer than the scenario allows.
    fn keep_time(&self, draining: &mut bool) {
        let mission = self.mission;
        let now = self.now();
        if !self.local && now > mission.profile.limits.duration {
            mission.stop.raise_to(Level::Drain);
        }
        let load = &mission.plan.load;
        if let Some(after) = load.ends.after.filter(|after| now > *after) {
            mission.end_early(&format!("{after} were to end it"));
        }
        if load.deadline.as_ref().is_some_and(|deadline| now > deadline.after) {
            mission.stop.raise_to(Level::Cut);
        }
        if mission.stop.level() > Level::Run && !std::mem::replace(draining, true) {
            end_drain_after(&mission.stop, mission.expect.timeouts.drain);
        }
    }

    fn snapshot(&self) -> Snapshot {
        let (mission, now) = (self.mission, self.clock.now());
        let counts = mission.progress.counts();
        let users = u64::from(mission.plan.participants());
        let iterations = mission.plan.iterations().map_or(1, u64::from);
        Snapshot {
            users,
            logged_in: counts.logged_in.min(users),
            connected: counts.connected.min(users),
            asking: counts.asking().min(users),
            settled: counts.iterations / iterations.max(1),
            iterations_done: counts.iterations,
            iterations_total: Some(mission.plan.all_iterations()),
            findings: counts.findings,
            p95: mission.progress.p95(),
            longest: mission.progress.longest(now),
            elapsed: now.since(Stamp::ZERO),
        }
    }
}
