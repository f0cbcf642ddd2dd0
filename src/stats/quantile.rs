//! Distribution-free bounds for a quantile: which of the sorted observations encloses it.
//!
//! The r-th smallest of n observations is at or above the true q-quantile exactly when fewer than r of them fall
//! below it, and how many fall below it is binomial with n and q. So the bounds are ranks, and need no assumption about
//! the shape of the latencies. Ranks are 1-based: rank 1 is the smallest observation, rank n the largest.
//!
//! Source: H. A. David and H. N. Nagaraja, "Order Statistics", 3rd edition (2003), section 7.1.

use super::binomial::{at_least, at_most};
use super::proportion::trials_needed_clean;

/// The rank that *is* the q-quantile of n observations: the smallest one with at least the share `q` at or below it.
///
/// ceil(q n), at least 1. `q` between 0 and 1. No observation has no rank.
pub fn rank(runs: u64, q: f64) -> Option<u64> {
    (runs > 0).then(|| ceil_exact(q * runs as f64).clamp(1, runs))
}

/// The smallest rank that is at or above the true q-quantile at `confidence`, or `None` if even the largest
/// observation is not (59 are needed for p95, 299 for p99, at 95 %).
pub fn upper_rank(runs: u64, q: f64, confidence: f64) -> Option<u64> {
    smallest(runs, |rank| at_most(rank - 1, runs, q) >= confidence)
}

/// The largest rank that is at or below the true q-quantile at `confidence`, or `None` if even the smallest
/// observation is not.
pub fn lower_rank(runs: u64, q: f64, confidence: f64) -> Option<u64> {
    match smallest(runs, |rank| at_least(rank, runs, q) < confidence) {
        Some(first_too_high) => (first_too_high > 1).then(|| first_too_high - 1),
        None => (runs > 0).then_some(runs),
    }
}

/// How many runs a quantile needs before it is one: 1 / (1 - q), rounded up (20 for p95, 100 for p99).
///
/// With fewer, the q-quantile is the maximum under another name. `q` between 0 and 1; at 1 no number is enough and
/// `u64::MAX` is returned.
pub fn minimum_runs(q: f64) -> u64 {
    if q >= 1.0 {
        return u64::MAX;
    }
    ceil_exact(1.0 / (1.0 - q)).max(1)
}

/// How many runs it takes at least until an upper bound for the q-quantile exists at `confidence`: 59 for p95 and
/// 299 for p99 at 95 %.
///
/// The largest of n observations lies above the quantile unless all n fall below it, which has the chance q^n: the
/// same number as for clean runs that are to show a share of q.
pub fn runs_to_prove(q: f64, confidence: f64) -> u64 {
    trials_needed_clean(q, confidence).max(1)
}

/// The smallest rank from 1 to `runs` for which `holds`, which once true stays true.
fn smallest(runs: u64, holds: impl Fn(u64) -> bool) -> Option<u64> {
    if runs == 0 || !holds(runs) {
        return None;
    }
    let (mut low, mut high) = (1, runs);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(low)
}

/// Rounds up, but takes 19.000000000000004 (0.95 of 20 in doubles is close to such things) for the 19 it stands for.
fn ceil_exact(value: f64) -> u64 {
    let nearest = value.round();
    if (value - nearest).abs() <= nearest.abs() * 1e-12 { nearest as u64 } else { value.ceil() as u64 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn common_quantiles_need_the_documented_runs() {
        assert_eq!([0.5, 0.9, 0.95, 0.99, 0.999].map(minimum_runs), [2, 10, 20, 100, 1_000]);
        assert_eq!(minimum_runs(1.0), u64::MAX);
    }

    #[test]
    fn proving_needs_59_runs_for_p95_and_299_for_p99() {
        assert_eq!(runs_to_prove(0.95, 0.95), 59);
        assert_eq!(runs_to_prove(0.99, 0.95), 299);
    }

    #[test]
    fn the_upper_bound_appears_exactly_at_the_runs_to_prove() {
        for q in [0.5, 0.9, 0.95, 0.99] {
            let n = runs_to_prove(q, 0.95);
            assert_eq!(upper_rank(n, q, 0.95), Some(n), "p{q}");
            assert_eq!(upper_rank(n - 1, q, 0.95), None, "p{q}");
        }
    }

    #[test]
    fn ranks_match_the_published_table_for_the_median() {
        // Of 20: P(X <= 5) = 0.0207 leaves 97.9 % for ranks 6 and 15, P(X <= 6) = 0.0577 is too much for the next.
        assert_eq!(lower_rank(20, 0.5, 0.95), Some(6));
        assert_eq!(upper_rank(20, 0.5, 0.95), Some(15));
    }

    #[test]
    fn the_rank_of_p95_of_twenty_is_nineteen() {
        assert_eq!(rank(20, 0.95), Some(19));
        assert_eq!(rank(100, 0.99), Some(99));
        assert_eq!(rank(1_000, 0.999), Some(999));
        assert_eq!(rank(21, 0.95), Some(20));
        assert_eq!(rank(1, 0.5), Some(1));
        assert_eq!(rank(0, 0.5), None);
    }

    #[test]
    fn no_run_bounds_nothing() {
        assert_eq!(lower_rank(0, 0.95, 0.95), None);
        assert_eq!(upper_rank(0, 0.95, 0.95), None);
        // One observation is at or below the median only half of the time.
        assert_eq!(lower_rank(1, 0.5, 0.95), None);
    }

    proptest! {
        #[test]
        fn bounds_enclose_the_rank_itself(n in 1_u64..5_000, q in 0.01_f64..0.999) {
            let at = rank(n, q).expect("n is positive");
            if let Some(low) = lower_rank(n, q, 0.95) {
                prop_assert!(low <= at);
            }
            if let Some(high) = upper_rank(n, q, 0.95) {
                prop_assert!((at..=n).contains(&high));
            }
        }

        #[test]
        fn bounds_rise_with_the_quantile(n in 1_u64..5_000, q in 0.01_f64..0.99, more in 0.0_f64..0.009) {
            // `None` below stands for "under the smallest", above for "over the largest".
            let low = |q| lower_rank(n, q, 0.95).unwrap_or(0);
            let high = |q| upper_rank(n, q, 0.95).unwrap_or(u64::MAX);
            prop_assert!(low(q) <= low(q + more));
            prop_assert!(high(q) <= high(q + more));
        }

        #[test]
        fn more_confidence_widens_the_bounds(n in 1_u64..5_000, q in 0.01_f64..0.999) {
            let low = |c| lower_rank(n, q, c).unwrap_or(0);
            let high = |c| upper_rank(n, q, c).unwrap_or(u64::MAX);
            prop_assert!(low(0.99) <= low(0.95));
            prop_assert!(high(0.99) >= high(0.95));
        }
    }
}
