//! One-sided exact (Clopper-Pearson) bounds for a proportion.
//!
//! "Twenty of twenty runs were clean" does not show that every run is: it shows, at 95 %, that at least 86 % are.
//! The bounds never promise more than the confidence asked for; with few trials they promise less than that, which
//! is the price of being exact. Two-sided intervals are deliberately absent: every claim has one direction.
//!
//! Source: C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
//! binomial", Biometrika 26 (1934), 404-413.

use super::binomial::{at_least, at_most};

/// The proportion that at least holds, given `successes` of `trials`, at `confidence` (between 0 and 1, exclusive).
///
/// The smallest proportion under which so many successes are not too lucky: the `p` with
/// P(X >= successes | p) = 1 - confidence. No trial or no success shows nothing: 0. More successes than trials
/// count as all of them.
pub fn lower_bound(successes: u64, trials: u64, confidence: f64) -> f64 {
    let successes = successes.min(trials);
    if successes == 0 {
        return 0.0;
    }
    let alpha = 1.0 - confidence;
    if successes == trials {
        return alpha.powf(1.0 / trials as f64);
    }
    crossing(|p| at_least(successes, trials, p) < alpha)
}

/// The proportion that at most holds, given `successes` of `trials`, at `confidence` (between 0 and 1, exclusive).
///
/// The largest proportion under which so few successes are not too unlucky: the `p` with
/// P(X <= successes | p) = 1 - confidence. No trial, or nothing but successes, excludes nothing: 1.
pub fn upper_bound(successes: u64, trials: u64, confidence: f64) -> f64 {
    let successes = successes.min(trials);
    if successes == trials {
        return 1.0;
    }
    let alpha = 1.0 - confidence;
    if successes == 0 {
        // 1 - alpha^(1/n), written so that large n do not cancel.
        return -(alpha.ln() / trials as f64).exp_m1();
    }
    crossing(|p| at_most(successes, trials, p) > alpha)
}

/// How many runs, all of them clean, show that at least the share `at_least` of all runs is, at `confidence`.
///
/// Both lie between 0 and 1, exclusive. The smallest n with `at_least`^n <= 1 - confidence: 2,995 for 99.9 % at 95 %.
/// A share of 0 needs no run; a share of 1 cannot be shown by any number and gives `u64::MAX`.
pub fn trials_needed_clean(at_least: f64, confidence: f64) -> u64 {
    if at_least <= 0.0 {
        return 0;
    }
    if at_least >= 1.0 {
        return u64::MAX;
    }
    let estimate = ((1.0 - confidence).ln() / at_least.ln()).ceil() as u64;
    // The quotient of two rounded logarithms may land on the wrong side of an integer.
    let shows = |n: u64| n > 0 && lower_bound(n, n, confidence) >= at_least;
    let mut trials = estimate.max(1);
    while trials > 1 && shows(trials - 1) {
        trials -= 1;
    }
    while !shows(trials) {
        trials += 1;
    }
    trials
}

/// Where `below` turns from true to false between 0 and 1, by bisection to the resolution of a double.
fn crossing(below: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high || high - low < 1e-15 {
            return middle;
        }
        if below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use statrs::distribution::{Beta, ContinuousCDF};

    use super::*;

    fn close(actual: f64, expected: f64, tolerance: f64) {
        assert!((actual - expected).abs() < tolerance, "{actual} is not {expected}");
    }

    #[test]
    fn twenty_clean_runs_show_86_percent() {
        close(lower_bound(20, 20, 0.95), 0.8609, 5e-5);
    }

    #[test]
    fn three_nines_need_2995_clean_runs() {
        assert_eq!(trials_needed_clean(0.999, 0.95), 2_995);
        assert!(lower_bound(2_995, 2_995, 0.95) >= 0.999);
        assert!(lower_bound(2_994, 2_994, 0.95) < 0.999);
    }

    #[test]
    fn clean_runs_needed_match_the_closed_form_for_common_shares() {
        assert_eq!(trials_needed_clean(0.90, 0.95), 29);
        assert_eq!(trials_needed_clean(0.95, 0.95), 59);
        assert_eq!(trials_needed_clean(0.99, 0.95), 299);
        assert_eq!(trials_needed_clean(0.0, 0.95), 0);
        assert_eq!(trials_needed_clean(1.0, 0.95), u64::MAX);
    }

    #[test]
    fn no_failure_in_n_is_the_rule_of_three() {
        for n in [1_u64, 7, 100, 2_995] {
            close(upper_bound(0, n, 0.95), 1.0 - 0.05_f64.powf(1.0 / n as f64), 1e-14);
        }
    }

    #[test]
    fn nothing_tried_shows_nothing() {
        assert_eq!(lower_bound(0, 0, 0.95), 0.0);
        assert_eq!(upper_bound(0, 0, 0.95), 1.0);
    }

    #[test]
    fn published_two_sided_limits_are_met() {
        // Two-sided 95 % for 10 of 100 is (4.90 %, 17.62 %), so each side is one-sided 97.5 %.
        close(lower_bound(10, 100, 0.975), 0.0490, 5e-5);
        close(upper_bound(10, 100, 0.975), 0.1762, 5e-5);
    }

    #[test]
    fn bounds_agree_with_the_inverse_beta_distribution() {
        for (s, n) in [(1_u64, 2_u64), (3, 10), (19, 20), (50, 100), (990, 1_000)] {
            let lower = Beta::new(s as f64, (n - s + 1) as f64).expect("shape").inverse_cdf(0.05);
            let upper = Beta::new((s + 1) as f64, (n - s) as f64).expect("shape").inverse_cdf(0.95);
            close(lower_bound(s, n, 0.95), lower, 1e-9);
            close(upper_bound(s, n, 0.95), upper, 1e-9);
        }
    }

    #[test]
    fn a_million_runs_have_bounds_close_to_the_observed_share() {
        close(lower_bound(999_000, 1_000_000, 0.95), 0.998_946, 2e-6);
        close(upper_bound(999_000, 1_000_000, 0.95), 0.999_051, 2e-6);
    }

    proptest! {
        #[test]
        fn bounds_enclose_the_observed_share(n in 1_u64..3_000, share in 0.0_f64..=1.0) {
            let s = (n as f64 * share) as u64;
            let observed = s as f64 / n as f64;
            prop_assert!(lower_bound(s, n, 0.95) <= observed);
            prop_assert!(upper_bound(s, n, 0.95) >= observed);
        }

        #[test]
        fn one_more_success_raises_both_bounds(n in 2_u64..2_000, share in 0.0_f64..1.0) {
            let s = (n as f64 * share) as u64;
            prop_assert!(lower_bound(s + 1, n, 0.95) > lower_bound(s, n, 0.95));
            prop_assert!(upper_bound(s + 1, n, 0.95) >= upper_bound(s, n, 0.95));
        }
    }
}
