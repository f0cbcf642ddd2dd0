//! How much work there is: who begins when, how long it goes on, and what ends it early.
//!
//! Plain data with its arithmetic. Which instants come of it is `plan`'s, who waits for them `engine`'s.

use super::defaults;
use crate::expect::Deadline;
use crate::rule::Concern;
use crate::time::Micros;

/// How much work there is.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// When users begin.
    pub work: Work,
    /// How many iterations of each user come before the others, and are not judged.
    pub warm_up: u32,
    /// How long users stay connected before they ask for the first time, those that warm up aside, counted from when all are
    /// greeted.
    pub hold: Micros,
    /// When all of it must be over, counted from the execution's beginning.
    pub deadline: Option<Deadline>,
    /// What ends it early.
    pub ends: Ends,
    /// How often what went on is summed up while it goes on.
    pub intervals: Option<Micros>,
    /// How users meet.
    pub exposure: Exposure,
}

/// What goes on is not summed up more often than this.
pub const SHORTEST_INTERVAL: Micros = Micros::from_secs(1);

/// How users meet, so that what is mixed up among them shows. By default they ask all at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exposure {
    /// How long after the pair before it each pair of users begins.
    pub pairs: Micros,
    /// Of each pair of users one is connected at a time, the one right when the other has hung up.
    pub switch: bool,
    /// How often a user connects and hangs up before it connects to ask.
    pub reconnects: u32,
    /// How many further connections of each user listen.
    pub further: u32,
    /// How long after the upgrade users ask without waiting for the greeting, taken in turn; empty: they wait for it.
    pub send_after: Vec<Micros>,
}

/// When users begin.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Each as soon as it is done, and has thought.
    Closed {
        /// How often, from 1.
        iterations: u32,
        /// How long each user pauses between two iterations.
        think: Think,
        /// Whether first asks start together, once all users are greeted.
        together: bool,
    },
    /// By the clock, whoever is free.
    Open(Open),
}

/// How long a user pauses: drawn evenly between the two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Think {
    /// At least.
    pub from: Micros,
    /// At most.
    pub to: Micros,
}

/// Arrivals by the clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Open {
    /// One after the other; at least one.
    pub stages: Vec<Stage>,
    /// Gaps as chance makes them (a Poisson process), not even ones.
    pub poisson: bool,
    /// The share of arrivals that may find no free user, 0 to 1.
    pub dropped_at_most: f64,
    /// How long an iteration is expected to keep its user busy.
    pub takes: Option<Micros>,
}

/// A part of an open workload: its rate goes evenly from one to the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// Arrivals per second at its beginning.
    pub from: f64,
    /// Arrivals per second at its end.
    pub to: f64,
    /// How long it lasts.
    pub lasts: Micros,
}

/// What ends the work early. What is in flight then may end within `timeouts.drain`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ends {
    /// Failing findings of these concerns.
    pub on: Vec<Concern>,
    /// So many failing findings.
    pub findings: Option<u64>,
    /// So much time.
    pub after: Option<Micros>,
}

impl Default for Load {
    /// One iteration of each user.
    fn default() -> Load {
        let (iterations, think, together) = (defaults::ITERATIONS, Think::default(), defaults::TOGETHER);
        let work = Work::Closed { iterations, think, together };
        let (hold, ends, exposure) = (Micros::ZERO, Ends::default(), Exposure::default());
        Load { work, warm_up: 0, hold, deadline: None, ends, intervals: None, exposure }
    }
}

impl Stage {
    /// Arrivals expected in it.
    pub fn arrivals(&self) -> f64 {
        (self.from + self.to) / 2.0 * seconds(self.lasts)
    }
}

impl Open {
    /// Arrivals expected in all.
    pub fn arrivals(&self) -> f64 {
        self.stages.iter().map(Stage::arrivals).sum()
    }

    /// The largest rate, in arrivals per second.
    pub fn peak(&self) -> f64 {
        self.stages.iter().flat_map(|stage| [stage.from, stage.to]).fold(0.0, f64::max)
    }

    /// When the last stage ends.
    pub fn lasts(&self) -> Micros {
        self.stages.iter().fold(Micros::ZERO, |sum, stage| sum + stage.lasts)
    }

    /// How many users are busy at the peak if an iteration takes `takes` (Little's law), with room for chance: three standard
    /// deviations of the number busy, which is a Poisson variable where arrivals are.
    pub fn users_needed(&self, takes: Micros) -> u32 {
        let busy = self.peak() * seconds(takes);
        let room = if self.poisson { 3.0 * busy.sqrt() } else { 0.0 };
        // Saturates: more users than there are numbers for is told as such.
        ((busy + room).ceil() as u32).max(1)
    }
}

impl Load {
    /// Whether users wait for one another before they ask for the first time.
    pub fn starts_together(&self) -> bool {
        matches!(self.work, Work::Closed { together: true, .. })
    }

    /// Iterations of `users` users together, as far as they are known beforehand, without those that warm up.
    pub fn iterations(&self, users: u32) -> u64 {
        match &self.work {
            Work::Closed { iterations, .. } => u64::from(users) * u64::from(*iterations),
            Work::Open(open) => open.arrivals().round() as u64,
        }
    }

    /// The open workload, if it is one.
    pub fn open(&self) -> Option<&Open> {
        match &self.work {
            Work::Closed { .. } => None,
            Work::Open(open) => Some(open),
        }
    }
}

fn seconds(length: Micros) -> f64 {
    length.0 as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(stages: &[(f64, f64, u64)], poisson: bool) -> Open {
        let stage =
            |(from, to, secs): &(f64, f64, u64)| Stage { from: *from, to: *to, lasts: Micros::from_secs(*secs) };
        Open { stages: stages.iter().map(stage).collect(), poisson, dropped_at_most: 0.0, takes: None }
    }

    #[test]
    fn arrivals_are_the_area_under_the_rate() {
        let ramp = open(&[(0.0, 10.0, 10), (10.0, 10.0, 6), (50.0, 50.0, 2)], false);
        assert_eq!((ramp.arrivals(), ramp.peak(), ramp.lasts()), (50.0 + 60.0 + 100.0, 50.0, Micros::from_secs(18)));
        let load = Load { work: Work::Open(ramp), ..Load::default() };
        assert_eq!(load.iterations(3), 210);
    }

    #[test]
    fn users_follow_from_rate_and_time_with_room_for_chance() {
        let takes = Micros::from_secs(4);
        assert_eq!(open(&[(5.0, 5.0, 60)], false).users_needed(takes), 20);
        // 20 busy on average, give or take 4.5: with 34 the 99.8th percentile is served.
        assert_eq!(open(&[(5.0, 5.0, 60)], true).users_needed(takes), 34);
        assert_eq!(open(&[(0.1, 0.1, 60)], false).users_needed(takes), 1);
    }
}
