//! How far an execution has come, for somebody who watches.
//!
//! Numbers to look at while it runs. Nothing is judged from them: what counts is in what the threads bring back.

use std::sync::atomic::{AtomicU64, Ordering};

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
}

/// Counters that all threads add to. One is made per execution and lent to the threads, or shared in an `Arc`.
#[derive(Debug, Default)]
pub struct Progress {
    counters: [AtomicU64; STAGES],
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
}

const STAGES: usize = 7;

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
        }
    }
}

impl Counts {
    /// Agents asked whose run is not over.
    pub fn asking(&self) -> u64 {
        self.asked.saturating_sub(self.settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
                    progress.add(Stage::Finding, 5);
                    progress.add(Stage::Iteration, 6);
                    progress.add(Stage::Frame, 7);
                });
            }
        });
        let counts = progress.counts();
        let expected =
            Counts { logged_in: 3, connected: 6, asked: 9, settled: 3, findings: 15, iterations: 18, frames: 21 };
        assert_eq!(counts, expected);
        assert_eq!(counts.asking(), 6);
    }
}
