//! Limits on the time between two milestones, and on the share of iterations that fail.
//!
//! What a budget's figures prove is `stats`; whether an execution kept it is `check`.

use std::fmt;

use super::Origin;
use crate::time::Micros;

/// The time between two milestones of an iteration. Quiet time, clean-up and waits for rate limits belong to none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// Login sent to logged in.
    Login,
    /// TCP connect begun to upgraded.
    Connect,
    /// Upgraded to greeted.
    Greeting,
    /// Asked to the first event of the run.
    FirstEvent,
    /// The largest gap between two signs of progress of a run; heartbeats do not count.
    Silence,
    /// A tool's call to its result.
    Tool,
    /// Asked to good end.
    Run,
    /// Login sent to good end, less the time a user waited for the others before the first ask; fresh sessions only.
    GoldenPath,
    /// Under open load: from when the iteration was meant to begin to good end, whatever kept it from beginning.
    Response,
}

impl Segment {
    /// All segments, in the order in which an iteration passes them.
    pub const ALL: [Segment; 9] = [
        Segment::Login,
        Segment::Connect,
        Segment::Greeting,
        Segment::FirstEvent,
        Segment::Silence,
        Segment::Tool,
        Segment::Run,
        Segment::GoldenPath,
        Segment::Response,
    ];

    /// Its name in scenarios and reports.
    pub fn name(self) -> &'static str {
        match self {
            Segment::Login => "login",
            Segment::Connect => "connect",
            Segment::Greeting => "greeting",
            Segment::FirstEvent => "first_event",
            Segment::Silence => "silence",
            Segment::Tool => "tool",
            Segment::Run => "run",
            Segment::GoldenPath => "golden_path",
            Segment::Response => "response",
        }
    }
}

/// A `T` for each segment that has one.
#[derive(Debug, Clone, PartialEq)]
pub struct PerSegment<T>([Option<T>; Segment::ALL.len()]);

impl<T> Default for PerSegment<T> {
    fn default() -> PerSegment<T> {
        PerSegment(Default::default())
    }
}

impl<T> PerSegment<T> {
    /// That of `segment`, if it has one.
    pub fn get(&self, segment: Segment) -> Option<&T> {
        self.0[segment as usize].as_ref()
    }

    /// That of `segment`, which has one from now on.
    pub fn of(&mut self, segment: Segment) -> &mut T
    where
        T: Default,
    {
        self.0[segment as usize].get_or_insert_default()
    }

    /// All there are.
    pub fn all(self) -> impl Iterator<Item = (Segment, T)> {
        Segment::ALL.into_iter().zip(self.0).filter_map(|(segment, one)| Some((segment, one?)))
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Which figure of a segment a budget limits.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub enum Statistic {
    /// A quantile, above 0 and below 1.
    Quantile(f64),
    /// The arithmetic mean.
    Mean,
    /// The largest.
    Max,
    /// The smallest: what is faster than its limit was not real work.
    Min,
}

impl fmt::Display for Statistic {
    /// `p95`, `p99.9`, `mean`, `max`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Rounded to a thousandth of a percent: 0.999 * 100 is 99.9, not 99.90000000000001.
            Statistic::Quantile(q) => f.pad(&format!("p{}", (q * 1e5).round() / 1e3)),
            Statistic::Mean => f.pad("mean"),
            Statistic::Max => f.pad("max"),
            Statistic::Min => f.pad("min"),
        }
    }
}

/// One limit on one figure of one segment. Each is a claim of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// What is limited.
    pub segment: Segment,
    /// Which figure of it.
    pub statistic: Statistic,
    /// The largest allowed value; of [`Statistic::Min`] the smallest.
    pub limit: Micros,
    /// What it means to break it.
    pub level: Level,
    /// Each window of this length is judged by itself; an iteration belongs to the window in which it began.
    pub per: Option<Micros>,
    /// The bound must be within the limit, too.
    pub proven: bool,
    /// Counts for the exit code.
    pub required: bool,
    /// Where it was written.
    pub origin: Origin,
}

/// What it means to break a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The claim fails.
    Fail,
    /// It is reported, and never changes the exit code.
    Warn,
}

/// What a budget is called.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BudgetName {
    /// See [`Budget`].
    pub segment: Segment,
    /// See [`Budget`].
    pub statistic: Statistic,
    /// See [`Budget`].
    pub level: Level,
    /// See [`Budget`].
    pub per: Option<Micros>,
}

impl Budget {
    /// What it is called.
    pub fn name(&self) -> BudgetName {
        let Budget { segment, statistic, level, per, .. } = *self;
        BudgetName { segment, statistic, level, per }
    }
}

impl fmt::Display for BudgetName {
    /// `run p95`, `run p95 per 5 min`, `run p95 warning`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{} {}", self.segment, self.statistic);
        if let Some(per) = self.per {
            text.push_str(&format!(" per {per}"));
        }
        if self.level == Level::Warn {
            text.push_str(" warning");
        }
        f.pad(&text)
    }
}

/// The share of iterations that must succeed.
#[derive(Debug, Clone, PartialEq)]
pub struct Reliability {
    /// Of what.
    pub of: ReliabilityOf,
    /// The share, above 0 and below 1.
    pub at_least: f64,
    /// The confidence of the bound, above 0.5 and below 1.
    pub confidence: f64,
    /// Counts for the exit code.
    pub required: bool,
    /// Where it was written.
    pub origin: Origin,
}

/// What is judged as a proportion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReliabilityOf {
    /// Iterations from login to a good end without any failing finding.
    GoldenPath,
    /// Connects that reached the greeting and were not lost.
    Connection,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_print_as_written() {
        for (statistic, text) in [
            (Statistic::Quantile(0.5), "p50"),
            (Statistic::Quantile(0.95), "p95"),
            (Statistic::Quantile(0.999), "p99.9"),
            (Statistic::Max, "max"),
        ] {
            assert_eq!(statistic.to_string(), text);
        }
    }
}
