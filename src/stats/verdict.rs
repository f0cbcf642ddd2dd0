//! A histogram of latencies held against a limit.
//!
//! The three answers of a budget: within, over, or not enough seen to say. Whether an unsettled answer
//! fails a pipeline is not decided here.

use super::CONFIDENCE;
use super::histogram::Histogram;
use super::quantile::{lower_rank, minimum_runs, rank, runs_to_prove, upper_rank};

/// What of the latencies a limit is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistic {
    /// The q-quantile, `q` between 0 and 1.
    Quantile(f64),
    /// Each single latency.
    Max,
    /// The arithmetic mean of those observed; no claim is made about those that were not.
    Mean,
}

/// The answer to "is it within the limit?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// Observed within the limit (and shown to be, where proof was asked for).
    Within,
    /// Over the limit, and not by bad luck.
    Over,
    /// What was observed does not settle it.
    Unclear(Doubt),
}

/// Why a limit could not be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Fewer runs than the statistic needs; [`LimitJudgement::runs_needed`] says how many.
    TooFewRuns,
    /// Observed over the limit, but the lower bound is not: more runs would tell.
    MaybeLuck,
    /// Observed within the limit, but the upper bound is not, and proof was asked for: more runs would tell.
    NotProven,
    /// The limit lies inside the bucket (0.1 % wide) that holds the observed value.
    Resolution,
}

/// What a limit was held against, and what came of it. All times are microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LimitJudgement {
    /// What was judged.
    pub of: Statistic,
    /// The limit; a value equal to it is within.
    pub limit_us: u64,
    /// What was observed; `None` without runs. A mean is rounded up.
    pub observed_us: Option<u64>,
    /// The lower 95 % bound of a quantile; `None` where too few runs give none.
    pub lower_us: Option<u64>,
    /// The upper 95 % bound of a quantile; `None` where too few runs give none.
    pub upper_us: Option<u64>,
    /// The answer.
    pub verdict: Judged,
    /// How many runs were observed.
    pub runs: u64,
    /// How many are needed for an answer other than [`Doubt::TooFewRuns`].
    pub runs_needed: u64,
}

/// Holds the q-quantile (`q` between 0 and 1) against `limit_us`.
///
/// Fewer than 1/(1-q) runs settle nothing, nor do fewer than [`runs_to_prove`] if it is to be `proven`. Observed within the
/// limit passes, or with `proven` only if the upper 95 % bound is within as well. Observed over it fails if the lower 95 %
/// bound is over as well.
pub fn judge_quantile(histogram: &Histogram, q: f64, limit_us: u64, proven: bool) -> LimitJudgement {
    let runs = histogram.len();
    let runs_needed = if proven { minimum_runs(q).max(runs_to_prove(q, CONFIDENCE)) } else { minimum_runs(q) };
    let range = |rank: Option<u64>| rank.and_then(|rank| histogram.range_at_rank(rank));
    let observed = range(rank(runs, q));
    let lower = range(lower_rank(runs, q, CONFIDENCE));
    let upper = range(upper_rank(runs, q, CONFIDENCE));
    let within = |range: Option<(u64, u64)>| range.is_some_and(|(_, high)| high <= limit_us);
    let over = |range: Option<(u64, u64)>| range.is_some_and(|(low, _)| low > limit_us);

    let verdict = if runs < runs_needed {
        Judged::Unclear(Doubt::TooFewRuns)
    } else if within(observed) {
        if proven && !within(upper) { Judged::Unclear(Doubt::NotProven) } else { Judged::Within }
    } else if !over(observed) {
        Judged::Unclear(Doubt::Resolution)
    } else if over(lower) {
        Judged::Over
    } else {
        Judged::Unclear(Doubt::MaybeLuck)
    };
    LimitJudgement {
        of: Statistic::Quantile(q),
        limit_us,
        observed_us: observed.map(|(_, high)| high),
        lower_us: lower.map(|(low, _)| low),
        upper_us: upper.map(|(_, high)| high),
        verdict,
        runs,
        runs_needed,
    }
}

/// Holds every single latency against `limit_us`: one over it is over. One run is enough.
pub fn judge_max(histogram: &Histogram, limit_us: u64) -> LimitJudgement {
    plain(Statistic::Max, histogram, limit_us, histogram.max())
}

/// Holds the mean of what was observed against `limit_us`, as it stands, without bounds. One run is enough.
pub fn judge_mean(histogram: &Histogram, limit_us: u64) -> LimitJudgement {
    let mean_rounded_up = (!histogram.is_empty()).then(|| histogram.sum().div_ceil(histogram.len()));
    plain(Statistic::Mean, histogram, limit_us, mean_rounded_up)
}

fn plain(of: Statistic, histogram: &Histogram, limit_us: u64, observed_us: Option<u64>) -> LimitJudgement {
    let verdict = match observed_us {
        None => Judged::Unclear(Doubt::TooFewRuns),
        Some(observed) if observed > limit_us => Judged::Over,
        Some(_) => Judged::Within,
    };
    LimitJudgement {
        of,
        limit_us,
        observed_us,
        lower_us: None,
        upper_us: None,
        verdict,
        runs: histogram.len(),
        runs_needed: 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::new();
        for value in values {
            histogram.record(value);
        }
        histogram
    }

    #[test]
    fn nineteen_runs_do_not_make_a_p95() {
        let judged = judge_quantile(&of(1..=19), 0.95, 1_000, false);
        assert_eq!(judged.verdict, Judged::Unclear(Doubt::TooFewRuns));
        assert_eq!((judged.runs, judged.runs_needed), (19, 20));
    }

    #[test]
    fn twenty_runs_within_the_limit_pass_but_prove_nothing() {
        let runs = of(1..=20);
        let judged = judge_quantile(&runs, 0.95, 19, false);
        assert_eq!((judged.verdict, judged.observed_us), (Judged::Within, Some(19)));
        assert_eq!(judged.upper_us, None);
        let proven = judge_quantile(&runs, 0.95, 19, true);
        assert_eq!(proven.verdict, Judged::Unclear(Doubt::TooFewRuns));
        assert_eq!(proven.runs_needed, 59);
    }

    #[test]
    fn fifty_nine_runs_prove_a_p95_when_all_are_within() {
        let judged = judge_quantile(&of(1..=59), 0.95, 59, true);
        assert_eq!((judged.verdict, judged.upper_us), (Judged::Within, Some(59)));
        let one_over = judge_quantile(&of(1..=59), 0.95, 58, true);
        assert_eq!(one_over.verdict, Judged::Unclear(Doubt::NotProven));
    }

    #[test]
    fn a_few_slow_runs_of_twenty_may_be_luck() {
        // Two of twenty over: the p95 is over, yet a target with 5 % slow runs does that every fourth time.
        let judged = judge_quantile(&of((1..=18).chain([5_000, 5_001])), 0.95, 100, false);
        assert_eq!(judged.observed_us, Some(5_000));
        assert_eq!(judged.verdict, Judged::Unclear(Doubt::MaybeLuck));
    }

    #[test]
    fn many_slow_runs_of_twenty_are_over() {
        let judged = judge_quantile(&of((1..=10).chain(5_000..5_010)), 0.95, 100, false);
        assert_eq!(judged.verdict, Judged::Over);
        assert!(judged.lower_us > Some(100));
    }

    #[test]
    fn a_limit_inside_a_bucket_is_not_guessed_at() {
        // 2,000,001 us and the limit of 2,000,000 us share a bucket once there are many values.
        let runs = of((0..3_000).map(|i| if i < 100 { 1_000 + i } else { 2_000_001 + i % 5 }));
        let judged = judge_quantile(&runs, 0.95, 2_000_000, false);
        assert_eq!(judged.verdict, Judged::Unclear(Doubt::Resolution));
    }

    #[test]
    fn a_value_equal_to_the_limit_is_within() {
        assert_eq!(judge_quantile(&of([7; 20]), 0.95, 7, false).verdict, Judged::Within);
        assert_eq!(judge_quantile(&of([2_000_000; 5_000]), 0.95, 2_000_000, true).verdict, Judged::Within);
        assert_eq!(judge_max(&of([7]), 7).verdict, Judged::Within);
        assert_eq!(judge_mean(&of([7]), 7).verdict, Judged::Within);
    }

    #[test]
    fn one_run_over_the_maximum_is_over() {
        assert_eq!(judge_max(&of((1..=100).chain([101])), 100).verdict, Judged::Over);
    }

    #[test]
    fn the_mean_is_rounded_up_before_it_is_judged() {
        let judged = judge_mean(&of([1, 2]), 1);
        assert_eq!((judged.observed_us, judged.verdict), (Some(2), Judged::Over));
    }

    #[test]
    fn without_runs_nothing_is_within() {
        let none = Histogram::new();
        let too_few = Judged::Unclear(Doubt::TooFewRuns);
        assert_eq!(judge_quantile(&none, 0.5, 1, false).verdict, too_few);
        assert_eq!(judge_max(&none, 1).verdict, too_few);
        assert_eq!(judge_mean(&none, 1).verdict, too_few);
    }

    proptest! {
        #[test]
        fn a_higher_limit_is_never_judged_worse(
            values in prop::collection::vec(0_u64..1_000, 20..200),
            limit in 0_u64..1_000,
            more in 0_u64..500,
        ) {
            let runs = of(values);
            let goodness = |limit| match judge_quantile(&runs, 0.95, limit, false).verdict {
                Judged::Over => 0,
                Judged::Unclear(_) => 1,
                Judged::Within => 2,
            };
            prop_assert!(goodness(limit) <= goodness(limit + more));
        }

        #[test]
        fn whatever_is_proven_passes_unproven(values in prop::collection::vec(0_u64..1_000, 0..200), limit in 0_u64..1_000) {
            let runs = of(values);
            if judge_quantile(&runs, 0.95, limit, true).verdict == Judged::Within {
                prop_assert_eq!(judge_quantile(&runs, 0.95, limit, false).verdict, Judged::Within);
            }
        }
    }
}
