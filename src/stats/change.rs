//! What changed between two samples: quantiles of latencies, shares of failures.
//!
//! **Quantiles.** Each side has its exact order-statistic bounds (`quantile.rs`). A quantile rose if its lower bound now lies
//! above its upper bound before. Were the true quantile the same on both sides, one of two bounds would have to be wrong for
//! that, so the chance of it is at most twice that of a single one (union bound); no shape of the latencies is assumed.
//! Beside that a change must be worth speaking of: a floor, relative and absolute.
//!
//! **Shares.** Fisher's exact test, one-sided: given all failures of both sides together, how likely is it that so many fall to
//! this one? Source: R. A. Fisher, "The Design of Experiments" (1935), section 21.
//!
//! Deliberately absent: tests of means, normal approximations, and any claim that two samples are the same. Runs are taken as
//! independent; what a target does in bursts is not, and makes both sides surer than they should be.

use statrs::function::factorial::ln_binomial;

use super::histogram::Histogram;
use super::quantile::{lower_rank, minimum_runs, rank, runs_to_prove, upper_rank};

/// Latencies of one side.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// The longest times that fit what was seen.
    pub histogram: &'a Histogram,
    /// How far each may lie below, in microseconds.
    pub uncertainty_us: u64,
}

/// The smallest change that is worth speaking of: both must be reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Floor {
    /// As a share of the value before, 0.1 for a tenth.
    pub share: f64,
    /// In microseconds.
    pub us: u64,
}

/// The answer to "did it change?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It rose, by more than the floor and not by luck.
    Higher,
    /// It fell, by more than the floor and not by luck.
    Lower,
    /// What was observed differs by less than the floor.
    Negligible,
    /// What was observed differs by more than the floor, and may be luck.
    Unsettled,
    /// Too few runs to have an answer.
    TooFewRuns,
}

/// A quantile before and after. All times are microseconds; a bound is `None` where too few runs give none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuantileChange {
    /// Observed before; `None` with too few runs to have such a quantile.
    pub base_us: Option<u64>,
    /// The bounds before.
    pub base_bounds_us: (Option<u64>, Option<u64>),
    /// Observed after.
    pub new_us: Option<u64>,
    /// The bounds after.
    pub new_bounds_us: (Option<u64>, Option<u64>),
    /// The answer.
    pub change: Change,
    /// Runs that each side needs to have both bounds.
    pub runs_needed: u64,
}

/// Compares the q-quantile (`q` from 0.5, below 1) of two samples; each bound holds at `confidence`.
pub fn quantile_change(base: Sample<'_>, new: Sample<'_>, q: f64, confidence: f64, floor: Floor) -> QuantileChange {
    let (before, after) = (Sides::of(base, q, confidence), Sides::of(new, q, confidence));
    // Without bounds even what looks the same shows nothing.
    let runs_needed = minimum_runs(q).max(runs_to_prove(q, confidence));
    let enough = [base, new].iter().all(|side| side.histogram.len() >= runs_needed);
    let change = match (before.observed, after.observed) {
        (Some(old), Some(now)) if enough => {
            let least = floor.us.max((old as f64 * floor.share).ceil() as u64);
            let beyond = |low: Option<u64>, high: Option<u64>| Some(low? > high?);
            let settled = if now > old { beyond(after.low, before.high) } else { beyond(before.low, after.high) };
            match settled {
                _ if now.abs_diff(old) < least => Change::Negligible,
                None => Change::TooFewRuns,
                Some(false) => Change::Unsettled,
                Some(true) if now > old => Change::Higher,
                Some(true) => Change::Lower,
            }
        }
        _ => Change::TooFewRuns,
    };
    QuantileChange {
        base_us: before.observed,
        base_bounds_us: (before.low, before.high),
        new_us: after.observed,
        new_bounds_us: (after.low, after.high),
        change,
        runs_needed,
    }
}

struct Sides {
    observed: Option<u64>,
    low: Option<u64>,
    high: Option<u64>,
}

impl Sides {
    fn of(sample: Sample<'_>, q: f64, confidence: f64) -> Sides {
        let histogram = sample.histogram;
        let runs = histogram.len();
        let range = |rank: Option<u64>| rank.and_then(|rank| histogram.range_at_rank(rank));
        Sides {
            observed: range(rank(runs, q).filter(|_| runs >= minimum_runs(q))).map(|(_, high)| high),
            low: range(lower_rank(runs, q, confidence)).map(|(low, _)| low.saturating_sub(sample.uncertainty_us)),
            high: range(upper_rank(runs, q, confidence)).map(|(_, high)| high),
        }
    }
}

/// Failures of a number of trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// How many failed; more than `trials` count as all.
    pub failures: u64,
    /// Of how many.
    pub trials: u64,
}

/// Compares two shares of failures. `alpha` is the chance of a wrong answer in either direction, 0.05 for 5 %.
///
/// `Negligible` where nothing differs; there is no floor, since every failure is somebody's.
pub fn share_change(base: Share, new: Share, alpha: f64) -> Change {
    if base.trials == 0 || new.trials == 0 {
        return Change::TooFewRuns;
    }
    let (a, b) = (base.failures.min(base.trials), new.failures.min(new.trials));
    let share = |failures: u64, of: Share| failures as f64 / of.trials as f64;
    if chance_of_more(a, base.trials, b, new.trials) < alpha {
        Change::Higher
    } else if chance_of_more(b, new.trials, a, base.trials) < alpha {
        Change::Lower
    } else if share(a, base) == share(b, new) {
        Change::Negligible
    } else {
        Change::Unsettled
    }
}

/// The chance that at least `new` of all failures fall to the new side if both fail alike: the upper tail of the
/// hypergeometric distribution, summed from its largest term outwards.
fn chance_of_more(base: u64, base_trials: u64, new: u64, new_trials: u64) -> f64 {
    let (failures, trials) = (base + new, base_trials + new_trials);
    let most = failures.min(new_trials);
    let least = failures.saturating_sub(base_trials);
    if new <= least {
        return 1.0;
    }
    let all = ln_binomial(trials, new_trials);
    let exactly = |x: u64| (ln_binomial(failures, x) + ln_binomial(trials - failures, new_trials - x) - all).exp();
    let mean = failures as f64 * new_trials as f64 / trials as f64;
    let sum = |terms: &mut dyn Iterator<Item = u64>| {
        let mut sum = 0.0_f64;
        for term in terms.map(exactly) {
            sum += term;
            // Beyond the mode terms only shrink.
            if term <= sum * f64::EPSILON / 16.0 {
                break;
            }
        }
        sum.min(1.0)
    };
    if new as f64 > mean { sum(&mut (new..=most)) } else { 1.0 - sum(&mut (least..new).rev()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FLOOR: Floor = Floor { share: 0.1, us: 100 };

    fn of(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::new();
        values.into_iter().for_each(|value| histogram.record(value));
        histogram
    }

    fn changed(base: &Histogram, new: &Histogram, q: f64) -> Change {
        let side = |histogram| Sample { histogram, uncertainty_us: 0 };
        quantile_change(side(base), side(new), q, 0.95, FLOOR).change
    }

    #[test]
    fn the_tea_tasting_lady_is_met() {
        // Fisher's own example: three of four cups named rightly has the chance 17/70, four of four 1/70.
        assert!((chance_of_more(1, 4, 3, 4) - 17.0 / 70.0).abs() < 1e-12);
        assert!((chance_of_more(0, 4, 4, 4) - 1.0 / 70.0).abs() < 1e-12);
        assert_eq!(chance_of_more(4, 4, 0, 4), 1.0);
    }

    #[test]
    fn both_tails_of_all_splits_add_up() {
        for (base, new) in [(0, 5), (2, 3), (5, 0), (17, 40)] {
            let more = chance_of_more(base, 60, new, 80);
            let fewer = chance_of_more(new, 80, base, 60);
            let (all, x) = (base + new, new);
            let exactly = (ln_binomial(all, x) + ln_binomial(140 - all, 80 - x) - ln_binomial(140, 80)).exp();
            assert!((more + fewer - exactly - 1.0).abs() < 1e-9, "{base} {new}: {more} {fewer}");
        }
    }

    #[test]
    fn one_failure_more_of_twenty_is_not_yet_worse() {
        let share = |failures, trials| Share { failures, trials };
        assert_eq!(share_change(share(0, 20), share(1, 20), 0.05), Change::Unsettled);
        assert_eq!(share_change(share(0, 20), share(5, 20), 0.05), Change::Higher);
        assert_eq!(share_change(share(5, 20), share(0, 20), 0.05), Change::Lower);
        assert_eq!(share_change(share(1, 20), share(2, 40), 0.05), Change::Negligible);
        assert_eq!(share_change(share(0, 0), share(2, 40), 0.05), Change::TooFewRuns);
    }

    #[test]
    fn the_same_sample_did_not_change() {
        let runs = of(1_000..1_100);
        assert_eq!(changed(&runs, &runs, 0.5), Change::Negligible);
        assert_eq!(changed(&runs, &runs, 0.95), Change::Negligible);
    }

    #[test]
    fn a_shift_of_all_runs_is_seen_in_both_directions() {
        let (fast, slow) = (of(1_000..1_100), of(2_000..2_100));
        for q in [0.5, 0.95] {
            assert_eq!(changed(&fast, &slow, q), Change::Higher);
            assert_eq!(changed(&slow, &fast, q), Change::Lower);
        }
    }

    #[test]
    fn a_sure_change_below_the_floor_is_not_spoken_of() {
        assert_eq!(changed(&of([10_000; 100]), &of([10_900; 100]), 0.5), Change::Negligible);
        assert_eq!(changed(&of([10_000; 100]), &of([11_000; 100]), 0.5), Change::Higher);
        assert_eq!(changed(&of([10; 100]), &of([99; 100]), 0.5), Change::Negligible);
    }

    #[test]
    fn few_runs_have_no_answer_and_say_how_many_are_needed() {
        let (fast, slow) = (of(1_000..1_030), of(2_000..2_030));
        let side = |histogram| Sample { histogram, uncertainty_us: 0 };
        let p95 = quantile_change(side(&fast), side(&slow), 0.95, 0.95, FLOOR);
        assert_eq!((p95.change, p95.runs_needed), (Change::TooFewRuns, 59));
        assert_eq!(changed(&fast, &slow, 0.5), Change::Higher);
        assert_eq!(changed(&of([1; 4]), &of([1; 4]), 0.5), Change::TooFewRuns);
        assert_eq!(changed(&Histogram::new(), &slow, 0.5), Change::TooFewRuns);
    }

    #[test]
    fn times_known_only_up_to_a_read_may_be_the_same() {
        let (fast, slow) = (of([1_000; 100]), of([1_400; 100]));
        let sample = |histogram, uncertainty_us| Sample { histogram, uncertainty_us };
        let answer = |unsure| quantile_change(sample(&fast, 0), sample(&slow, unsure), 0.5, 0.95, FLOOR).change;
        assert_eq!((answer(399), answer(400)), (Change::Higher, Change::Unsettled));
    }

    proptest! {
        #[test]
        fn exchanging_the_sides_exchanges_the_answer(
            base in prop::collection::vec(1_000_u64..5_000, 1..150),
            new in prop::collection::vec(1_000_u64..5_000, 1..150),
        ) {
            let (base, new) = (of(base), of(new));
            let floor = Floor { share: 0.0, us: 1 };
            let side = |histogram| Sample { histogram, uncertainty_us: 0 };
            let there = quantile_change(side(&base), side(&new), 0.5, 0.95, floor).change;
            let back = quantile_change(side(&new), side(&base), 0.5, 0.95, floor).change;
            let mirrored = match back {
                Change::Higher => Change::Lower,
                Change::Lower => Change::Higher,
                other => other,
            };
            prop_assert_eq!(there, mirrored);
        }

        #[test]
        fn a_chance_is_one(a in 0_u64..200, more_a in 0_u64..200, b in 0_u64..200, more_b in 0_u64..200) {
            let chance = chance_of_more(a, a + more_a, b, b + more_b);
            prop_assert!((0.0..=1.0).contains(&chance), "{}", chance);
        }
    }
}
