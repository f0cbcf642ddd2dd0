//! Exact statistics for verdicts: what a number of runs has shown, and what it has not.
//!
//! | file | what for |
//! |---|---|
//! | `binomial.rs` | exact binomial tails, which both kinds of bounds rest on |
//! | `proportion.rs` | Clopper-Pearson bounds for "at least 99.9 % of the runs" |
//! | `quantile.rs` | order-statistic bounds for "95 % of the runs within 2 s" |
//! | `histogram.rs` | latencies in microseconds, merged from any number of shards |
//! | `coarse.rs` | values in few buckets, for pictures |
//! | `timeline.rs` | anything over time, in few slices |
//! | `series.rs` | latencies over time, coarse, for a picture |
//! | `verdict.rs` | a histogram held against a limit |
//! | `change.rs` | two samples held against each other |
//!
//! Everything is pure: no clock, no I/O, no randomness. Nothing is approximated by a normal distribution,
//! because the interesting cases are the ones with few runs and rare failures. There is no averaging of
//! percentiles anywhere: what several shards measured is merged as histograms and judged once.

mod binomial;
mod change;
pub mod coarse;
mod histogram;
mod proportion;
mod quantile;
mod series;
mod timeline;
mod verdict;

pub use change::{Change, Floor, QuantileChange, Sample, Share, quantile_change, share_change};
pub use histogram::{EXACT_UP_TO, HIGHEST_US, Histogram, HistogramForm, MalformedHistogram};
pub use proportion::{lower_bound, trials_needed_clean, upper_bound};
pub use quantile::{lower_rank, minimum_runs, rank, runs_to_prove, upper_rank};
pub use series::{Series, Slice};
pub use timeline::{Join, Timeline};
pub use verdict::{Doubt, Judged, LimitJudgement, Statistic, judge_max, judge_mean, judge_quantile};

/// The confidence of every bound the reports print, one-sided.
pub const CONFIDENCE: f64 = 0.95;
