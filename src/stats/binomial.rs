//! Exact tails of the binomial distribution, by summation.
//!
//! The incomplete beta function would give the same numbers, but `statrs` stops its continued fraction after
//! 140 terms without a word, which is too early for a few hundred thousand runs. Here the terms are added up from
//! the largest one outwards, each from its neighbour; the number of terms that matter grows with the square root
//! of the number of trials, so a million trials cost a few thousand multiplications.

use statrs::function::factorial::ln_binomial;

/// The chance of at most `successes` in `trials` when each succeeds with `probability` (0 to 1).
///
/// The relative error is that of the logarithm of a factorial: about 1e-15 times `trials`.
pub(super) fn at_most(successes: u64, trials: u64, probability: f64) -> f64 {
    if successes >= trials {
        return 1.0;
    }
    if probability <= 0.0 {
        return 1.0;
    }
    if probability >= 1.0 {
        return 0.0;
    }
    // Of the two tails the one that leads away from the mode is summed: its terms only shrink.
    let mode = (trials as f64 + 1.0) * probability;
    if (successes as f64) < mode {
        downwards(successes, trials, probability)
    } else {
        1.0 - upwards(successes + 1, trials, probability)
    }
}

/// The chance of at least `successes` in `trials` when each succeeds with `probability` (0 to 1).
pub(super) fn at_least(successes: u64, trials: u64, probability: f64) -> f64 {
    // A success is a failure seen from the other side; so small chances stay exact instead of `1 - large`.
    if successes > trials {
        return 0.0;
    }
    at_most(trials - successes, trials, 1.0 - probability)
}

/// P(X = successes) + P(X = successes - 1) + ... + P(X = 0), for `successes` below the mode.
fn downwards(successes: u64, trials: u64, probability: f64) -> f64 {
    let odds = (1.0 - probability) / probability;
    let mut term = exactly(successes, trials, probability);
    let mut sum = term;
    for k in (1..=successes).rev() {
        term *= k as f64 / (trials - k + 1) as f64 * odds;
        if term <= sum * f64::EPSILON / 16.0 {
            break;
        }
        sum += term;
    }
    sum.min(1.0)
}

/// P(X = successes) + P(X = successes + 1) + ... + P(X = trials), for `successes` above the mode.
fn upwards(successes: u64, trials: u64, probability: f64) -> f64 {
    let odds = probability / (1.0 - probability);
    let mut term = exactly(successes, trials, probability);
    let mut sum = term;
    for k in successes..trials {
        term *= (trials - k) as f64 / (k + 1) as f64 * odds;
        if term <= sum * f64::EPSILON / 16.0 {
            break;
        }
        sum += term;
    }
    sum.min(1.0)
}

fn exactly(successes: u64, trials: u64, probability: f64) -> f64 {
    let failures = trials - successes;
    (ln_binomial(trials, successes) + successes as f64 * probability.ln() + failures as f64 * (-probability).ln_1p())
        .exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_distribution_matches_pascals_triangle() {
        // Five tosses of a coin: 1, 5, 10, 10, 5, 1 of 32.
        let expected = [1.0, 6.0, 16.0, 26.0, 31.0, 32.0];
        for (k, ways) in expected.iter().enumerate() {
            assert!((at_most(k as u64, 5, 0.5) - ways / 32.0).abs() < 1e-14, "{k}");
        }
    }

    #[test]
    fn the_two_tails_add_up_to_one() {
        for (k, n, p) in [(3, 10, 0.2), (950, 1000, 0.95), (999_100, 1_000_000, 0.999)] {
            let both = at_most(k, n, p) + at_least(k + 1, n, p);
            assert!((both - 1.0).abs() < 1e-8, "{k} of {n}: {both}");
        }
    }

    #[test]
    fn a_million_trials_agree_with_the_normal_limit() {
        // Half of a symmetric distribution, plus half the central term: 0.5 + 1 / (2 sqrt(pi n / 2)).
        let n = 1_000_000_u64;
        let expected = 0.5 + 0.5 / (std::f64::consts::PI * n as f64 / 2.0).sqrt();
        assert!((at_most(n / 2, n, 0.5) - expected).abs() < 1e-8);
    }

    #[test]
    fn impossible_and_certain_successes_have_certain_tails() {
        assert_eq!(at_most(3, 10, 0.0), 1.0);
        assert_eq!(at_most(3, 10, 1.0), 0.0);
        assert_eq!(at_least(3, 10, 0.0), 0.0);
        assert_eq!(at_least(3, 10, 1.0), 1.0);
        assert_eq!(at_least(0, 10, 0.3), 1.0);
        assert_eq!(at_least(11, 10, 0.3), 0.0);
    }
}
