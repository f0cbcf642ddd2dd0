//! How far an execution has come, for somebody who watches.
//!
//! Numbers to look at while it runs. Nothing is judged from them: what counts is in what the threads bring back.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::FixedState;

use super::interval::Fared;
use crate::identity::UserNumber;
use crate::rule::Rule;
use crate::stats::{coarse, rank};
use crate::time::{Micros, Stamp};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// A session was logged in.
    LoggedIn,
    /// A socket was upgraded.
    Connected,
    /// An agent was asked.
    Asked,
    /// A run ended, or was given up.
    Settled,
    /// A deviation was found.
    Finding,
    /// An iteration is over.
    Iteration,
    /// A frame was received.
    Frame,
    /// An arrival found no free user.
    Dropped,
}

/// Counters that all threads add to. One is made per execution and lent to the threads, or shared in an `Arc`.
#[derive(Debug)]
pub struct Progress {
    counters: [AtomicU64; STAGES],
    /// Deviations found, by their rule's place in the catalogue.
    found: [AtomicU64; Rule::ALL.len()],
    /// How long good runs took, by bucket.
    took: [AtomicU64; coarse::BUCKETS],
    /// What threads showed of themselves, in microseconds: observed, overdue, computing; and since they were last looked at the
    /// latest timer and the longest wait of a frame.
    fared: [AtomicU64; 5],
    /// Locked once per ask and once per end.
    asking: Mutex<InFlight>,
}

/// Users with runs in flight: when the last of them was asked for, and how many.
type InFlight = HashMap<UserNumber, (Stamp, u64), FixedState>;

impl Default for Progress {
    fn default() -> Progress {
        let zeros = || AtomicU64::new(0);
        Progress {
            counters: std::array::from_fn(|_| zeros()),
            found: std::array::from_fn(|_| zeros()),
            took: std::array::from_fn(|_| zeros()),
            fared: std::array::from_fn(|_| zeros()),
            asking: Mutex::default(),
        }
    }
}

/// The counters at one time. They are read one after the other, so they may disagree by what happened meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Sessions logged in.
    pub logged_in: u64,
    /// Sockets upgraded.
    pub connected: u64,
    /// Agents asked.
    pub asked: u64,
    /// Runs ended or given up.
    pub settled: u64,
    /// Deviations found.
    pub findings: u64,
    /// Iterations that are over.
    pub iterations: u64,
    /// Frames received.
    pub frames: u64,
    /// Arrivals that found no free user.
    pub dropped: u64,
}

const STAGES: usize = 8;

impl Progress {
    /// Nothing has happened.
    pub fn new() -> Progress {
        Progress::default()
    }

    /// It happened once.
    pub fn note(&self, stage: Stage) {
        self.add(stage, 1);
    }

    /// It happened `times` times.
    pub fn add(&self, stage: Stage, times: u64) {
        self.counters[stage as usize].fetch_add(times, Ordering::Relaxed);
    }

    /// A user asked.
    pub fn asked(&self, user: UserNumber, at: Stamp) {
        self.note(Stage::Asked);
        self.in_flight(|asking| {
            // The end of a run is told once its quiet time is over; the next turn may have been asked by then.
            let (since, runs) = asking.entry(user).or_default();
            (*since, *runs) = (at, *runs + 1);
        });
    }

    /// So many runs of a user are over.
    pub fn settled(&self, user: UserNumber, runs: u64) {
        if runs > 0 {
            self.add(Stage::Settled, runs);
            self.in_flight(|asking| {
                let Some((_, left)) = asking.get_mut(&user) else { return };
                *left = left.saturating_sub(runs);
                if *left == 0 {
                    asking.remove(&user);
                }
            });
        }
    }

    /// An iteration of a user is over, however its runs ended.
    pub fn iterated(&self, user: UserNumber) {
        self.note(Stage::Iteration);
        self.in_flight(|asking| asking.remove(&user));
    }

    /// So many deviations of one rule were found.
    pub fn findings(&self, rule: Rule, times: u64) {
        self.add(Stage::Finding, times);
        if let Some(place) = Rule::ALL.iter().position(|known| *known == rule) {
            self.found[place].fetch_add(times, Ordering::Relaxed);
        }
    }

    /// A thread showed so much of itself.
    pub fn felt(&self, fared: Fared) {
        let [observed, late, computing, latest, lag] = &self.fared;
        for (sum, more) in [(observed, fared.observed), (late, fared.late), (computing, fared.computing)] {
            sum.fetch_add(more.0, Ordering::Relaxed);
        }
        latest.fetch_max(fared.latest.0, Ordering::Relaxed);
        lag.fetch_max(fared.lag.0, Ordering::Relaxed);
    }

    /// What threads showed of themselves: sums of all the time, and what was largest since this was last asked.
    pub(super) fn fared(&self) -> Fared {
        let [observed, late, computing, latest, lag] = &self.fared;
        let sum = |of: &AtomicU64| Micros(of.load(Ordering::Relaxed));
        let largest = |of: &AtomicU64| Micros(of.swap(0, Ordering::Relaxed));
        Fared {
            observed: sum(observed),
            late: sum(late),
            computing: sum(computing),
            latest: largest(latest),
            lag: largest(lag),
        }
    }

    /// How often each rule was found, in the catalogue's order.
    pub(super) fn found(&self) -> Vec<u64> {
        self.found.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// How many good runs there are in each bucket of how long they took.
    pub(super) fn times(&self) -> Vec<u64> {
        self.took.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// A good run took so long.
    pub fn took(&self, took: Micros) {
        self.took[usize::from(coarse::bucket(took.0))].fetch_add(1, Ordering::Relaxed);
    }

    /// The 95th percentile of good runs so far, at most an eighth more than the truth; `None` with fewer than 20, which have
    /// none.
    pub fn p95(&self) -> Option<Micros> {
        let counts: Vec<(u16, u64)> = (0..).zip(self.times()).filter(|(_, count)| *count > 0).collect();
        let runs = counts.iter().map(|(_, count)| count).sum();
        let rank = rank(runs, 0.95).filter(|_| runs >= 20)?;
        coarse::value_at_rank(counts, rank).map(Micros)
    }

    /// Who has waited longest for a run that is still in flight, and for how long.
    pub fn longest(&self, now: Stamp) -> Option<(UserNumber, Micros)> {
        let first = self.in_flight(|asking| asking.iter().map(|(user, (since, _))| (*since, *user)).min());
        first.map(|(since, user)| (user, now.since(since)))
    }

    fn in_flight<T>(&self, look: impl FnOnce(&mut InFlight) -> T) -> T {
        // Whoever panicked with it left a whole map behind.
        look(&mut self.asking.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// The counters now.
    pub fn counts(&self) -> Counts {
        let count = |stage: Stage| self.counters[stage as usize].load(Ordering::Relaxed);
        Counts {
            logged_in: count(Stage::LoggedIn),
            connected: count(Stage::Connected),
            // Settled first: what is settled was asked, so there are never more of them.
            settled: count(Stage::Settled),
            asked: count(Stage::Asked),
            findings: count(Stage::Finding),
            iterations: count(Stage::Iteration),
            frames: count(Stage::Frame),
            dropped: count(Stage::Dropped),
        }
    }
}

impl Counts {
    /// What was counted since `before`.
    pub(super) fn less(&self, before: Counts) -> Counts {
        Counts {
            logged_in: self.logged_in - before.logged_in,
            connected: self.connected - before.connected,
            asked: self.asked - before.asked,
            settled: self.settled - before.settled,
            findings: self.findings - before.findings,
            iterations: self.iterations - before.iterations,
            frames: self.frames - before.frames,
            dropped: self.dropped - before.dropped,
        }
    }

    /// Agents asked whose run is not over.
    pub fn asking(&self) -> u64 {
        self.asked.saturating_sub(self.settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_needs_twenty_runs() {
        let progress = Progress::new();
        (1..=19).for_each(|n| progress.took(Micros::from_millis(n)));
        assert_eq!(progress.p95(), None);
        progress.took(Micros::from_millis(20));
        let p95 = progress.p95().expect("twenty runs").0;
        assert!((19_000..=19_000 + 19_000 / 8).contains(&p95), "{p95}");
    }

    #[test]
    fn who_waits_longest_is_who_asked_first_and_has_no_end() {
        let progress = Progress::new();
        let (now, second) = (Stamp(9_000_000), Stamp(2_000_000));
        assert_eq!(progress.longest(now), None);
        progress.asked(UserNumber(3), second);
        progress.asked(UserNumber(1), Stamp(1_000_000));
        progress.asked(UserNumber(2), second);
        assert_eq!(progress.longest(now), Some((UserNumber(1), Micros::from_secs(8))));
        progress.settled(UserNumber(1), 1);
        assert_eq!(progress.longest(now), Some((UserNumber(2), Micros::from_secs(7))));
        progress.asked(UserNumber(2), Stamp(3_000_000));
        progress.settled(UserNumber(2), 1);
        assert_eq!(progress.longest(Stamp(2_500_000)), Some((UserNumber(3), Micros(500_000))));
        progress.settled(UserNumber(2), 0);
        progress.iterated(UserNumber(2));
        assert_eq!(progress.longest(now), Some((UserNumber(3), Micros::from_secs(7))));
        let counts = progress.counts();
        assert_eq!((counts.asked, counts.settled, counts.iterations), (4, 2, 1));
    }

    #[test]
    fn each_stage_has_its_own_counter_across_threads() {
        let progress = Progress::new();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    progress.note(Stage::LoggedIn);
                    progress.add(Stage::Connected, 2);
                    progress.add(Stage::Asked, 3);
                    progress.note(Stage::Settled);
                    progress.findings(Rule::Stalled, 5);
                    progress.add(Stage::Iteration, 6);
                    progress.add(Stage::Frame, 7);
                    progress.add(Stage::Dropped, 8);
                });
            }
        });
        let counts = progress.counts();
        let expected = Counts {
            logged_in: 3,
            connected: 6,
            asked: 9,
            settled: 3,
            findings: 15,
            iterations: 18,
            frames: 21,
            dropped: 24,
        };
        assert_eq!(counts, expected);
        assert_eq!(counts.asking(), 6);
    }
}
