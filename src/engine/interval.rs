//! What happened between two looks at an execution, for somebody who watches it for hours.
//!
//! Differences of counters that only grow, so nothing is kept per user or per run, and intervals add up to the whole.

use std::collections::BTreeMap;

use super::progress::{Counts, Progress};
use crate::rule::Rule;
use crate::stats::{coarse, rank};
use crate::time::Micros;

/// Everything that was counted up to one time.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    counts: Counts,
    found: Vec<u64>,
    /// By bucket.
    took: Vec<u64>,
    fared: Fared,
}

/// What threads of the harness showed of themselves, all together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fared {
    /// How long they were observed.
    pub observed: Micros,
    /// How much of that they were overdue by more than a timer's error.
    pub late: Micros,
    /// How long they were computing.
    pub computing: Micros,
    /// The most that a timer was overdue.
    pub latest: Micros,
    /// The longest that a frame had waited when it was read.
    pub lag: Micros,
}

/// What happened between two times.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Interval {
    /// How much of what happened.
    pub counts: Counts,
    /// Agents asked whose run was not over at its end.
    pub in_flight: u64,
    /// Findings by rule; what only the whole shows is not among them.
    pub found: BTreeMap<Rule, u64>,
    /// How many runs ended well, and how long they took.
    pub good: u64,
    /// The median: never less than the truth and at most an eighth more.
    pub p50: Option<Micros>,
    /// The 95th percentile likewise; `None` with fewer than 20 runs, which have none.
    pub p95: Option<Micros>,
    /// The 99th percentile likewise; `None` with fewer than 100 runs, which have none.
    pub p99: Option<Micros>,
    /// The largest likewise.
    pub max: Option<Micros>,
    /// What the harness showed of itself.
    pub fared: Fared,
}

impl Progress {
    /// What happened since `marks`, which move up to now.
    pub fn since(&self, marks: &mut Marks) -> Interval {
        let now = Marks { counts: self.counts(), found: self.found(), took: self.times(), fared: self.fared() };
        let in_flight = now.counts.asking();
        let before = std::mem::replace(marks, now);
        let less = |now: &[u64], before: &[u64]| -> Vec<u64> {
            let before = before.iter().copied().chain(std::iter::repeat(0));
            now.iter().zip(before).map(|(now, before)| now.saturating_sub(before)).collect()
        };
        let found = Rule::ALL.iter().copied().zip(less(&marks.found, &before.found));
        let took = less(&marks.took, &before.took);
        let good = took.iter().sum();
        let value = |rank: Option<u64>| {
            let counts = (0..).zip(took.iter().copied());
            coarse::value_at_rank(counts, rank?).map(Micros)
        };
        let tail = |q, least| value(rank(good, q).filter(|_| good >= least));
        Interval {
            counts: marks.counts.less(before.counts),
            in_flight,
            found: found.filter(|(_, count)| *count > 0).collect(),
            good,
            p50: tail(0.5, 1),
            p95: tail(0.95, 20),
            p99: tail(0.99, 100),
            max: value((good > 0).then_some(good)),
            // What is largest was set back when it was looked at.
            fared: Fared {
                observed: marks.fared.observed - before.fared.observed,
                late: marks.fared.late - before.fared.late,
                computing: marks.fared.computing - before.fared.computing,
                ..marks.fared
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Stage;
    use super::*;
    use crate::identity::UserNumber;
    use crate::time::Stamp;

    #[test]
    fn intervals_add_up_to_the_whole_and_each_has_its_own_latencies() {
        let (progress, mut marks) = (Progress::new(), Marks::default());
        (1..=100).for_each(|ms| progress.took(Micros::from_millis(ms)));
        progress.add(Stage::Iteration, 100);
        progress.asked(UserNumber(1), Stamp(1));
        progress.findings(Rule::Stalled, 2);
        let first = progress.since(&mut marks);
        assert_eq!((first.counts.iterations, first.good, first.in_flight), (100, 100, 1));
        assert_eq!(first.found, BTreeMap::from([(Rule::Stalled, 2)]));
        let about = |found: Option<Micros>, ms: u64| (ms * 1_000..=ms * 1_125).contains(&found.expect("a figure").0);
        assert!(about(first.p50, 50) && about(first.p95, 95) && about(first.p99, 99) && about(first.max, 100));
        (1..=19).for_each(|_| progress.took(Micros::from_secs(9)));
        progress.findings(Rule::MissingEvent, 1);
        let second = progress.since(&mut marks);
        assert_eq!((second.counts.iterations, second.good, second.p95), (0, 19, None));
        assert!(about(second.p50, 9_000), "{second:?}");
        assert_eq!(second.found, BTreeMap::from([(Rule::MissingEvent, 1)]));
        let nothing = Interval { in_flight: 1, ..Interval::default() };
        assert_eq!(progress.since(&mut marks), nothing);
    }

    #[test]
    fn what_is_largest_is_that_of_its_interval() {
        let (progress, mut marks) = (Progress::new(), Marks::default());
        let felt = |late| Fared {
            observed: Micros(1_000),
            late: Micros(late),
            computing: Micros(30),
            latest: Micros(late),
            lag: Micros(late / 2),
        };
        progress.felt(felt(500));
        progress.felt(felt(20));
        let both = Fared {
            observed: Micros(2_000),
            late: Micros(520),
            computing: Micros(60),
            latest: Micros(500),
            lag: Micros(250),
        };
        assert_eq!(progress.since(&mut marks).fared, both);
        progress.felt(felt(20));
        assert_eq!(progress.since(&mut marks).fared, felt(20));
    }
}
