//! How an execution went, for people who look at it: latencies over time, the first runs of each user event by event, how
//! connections ended. Merges like the rest of a judgement; no verdict comes from it.

use std::collections::BTreeMap;

use crate::expect::{PerSegment, Segment};
use crate::finding::Mark;
use crate::identity::{Iteration, UserNumber};
use crate::stats::Series;
use crate::time::{Micros, Stamp};

/// How many runs of a user are kept with their events: for ten thousand users some 15 MB where a run has six events, and 40 MB
/// at most, since evidence holds 16 of them.
const RUNS_KEPT: usize = 4;

/// How an execution went.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Course {
    /// Latencies per segment by the time at which their iteration began.
    pub over_time: PerSegment<Series>,
    /// The first runs of each user, in order of time.
    pub runs: BTreeMap<UserNumber, Vec<PassedRun>>,
    /// How connections ended that the harness had not closed: `closed 1011`, `lost`. Codes are 16 bits, so they are few.
    pub ends: BTreeMap<String, u64>,
}

/// A run that is over, with its last events.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PassedRun {
    /// When it was asked for.
    pub asked: Stamp,
    /// When it was over.
    pub over: Stamp,
    /// The user's iteration.
    pub iteration: Iteration,
    /// Its last events, in order of arrival.
    pub marks: Vec<Mark>,
}

impl Course {
    pub(super) fn measured(&mut self, segment: Segment, began: Stamp, took: Micros) {
        self.over_time.of(segment).record(began.0, took.0);
    }

    /// Keeps a run, which is made only if there is room.
    pub(super) fn passed(&mut self, user: UserNumber, run: impl FnOnce() -> PassedRun) {
        let runs = self.runs.entry(user).or_default();
        if runs.len() < RUNS_KEPT {
            runs.push(run());
        }
    }

    pub(super) fn ended(&mut self, how: String) {
        *self.ends.entry(how).or_default() += 1;
    }

    pub(super) fn merge(&mut self, other: Course) {
        for (segment, series) in other.over_time.all() {
            self.over_time.of(segment).merge(series);
        }
        for (user, runs) in other.runs {
            let mine = self.runs.entry(user).or_default();
            mine.extend(runs);
            mine.sort();
            mine.truncate(RUNS_KEPT);
        }
        for (how, count) in other.ends {
            *self.ends.entry(how).or_default() += count;
        }
    }
}
