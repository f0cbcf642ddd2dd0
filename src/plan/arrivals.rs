//! When users of an open workload are meant to begin, from the seed.
//!
//! An arrival is due when the area under the rate reaches the next mark: every whole one (and a half, so that no count is ever
//! further than half an arrival from the area) where gaps are even, and after gaps as chance draws them where they are not
//! (a Poisson process of that rate, by the time-rescaling theorem). Nothing is kept: a schedule of a day costs no memory.

use rand::rngs::ChaCha8Rng;

use crate::scenario::load::{Open, Stage};
use crate::time::Micros;

/// The arrivals of an open workload in order, counted from its beginning.
#[derive(Debug)]
pub struct Arrivals<'a> {
    stages: &'a [Stage],
    /// What gaps are drawn from, where they are not even.
    chance: Option<ChaCha8Rng>,
    /// The area at which the next arrival is due.
    due: f64,
    /// When the first of `stages` begins.
    began: Micros,
    /// The area before it.
    before: f64,
}

/// Areas are sums of decimal rates, which binary fractions meet only nearly; no arrival is due this little before an end.
const ROUNDING: f64 = 1e-9;

impl<'a> Arrivals<'a> {
    pub(super) fn new(open: &'a Open, chance: ChaCha8Rng) -> Arrivals<'a> {
        let chance = open.poisson.then_some(chance);
        let mut arrivals = Arrivals { stages: &open.stages, chance, due: 0.0, began: Micros::ZERO, before: 0.0 };
        arrivals.due = arrivals.gap(0.5);
        arrivals
    }

    /// `even`, or as chance draws it: exponential with mean 1.
    fn gap(&mut self, even: f64) -> f64 {
        let Some(chance) = &mut self.chance else { return even };
        -(1.0 - super::fraction(chance)).ln()
    }
}

impl Iterator for Arrivals<'_> {
    type Item = Micros;

    fn next(&mut self) -> Option<Micros> {
        loop {
            let (stage, later) = self.stages.split_first()?;
            let area = stage.arrivals();
            if self.due + ROUNDING < self.before + area {
                let at = self.began + Micros((reaches(stage, self.due - self.before) * 1e6) as u64);
                self.due += self.gap(1.0);
                return Some(at);
            }
            self.before += area;
            self.began += stage.lasts;
            self.stages = later;
        }
    }
}

/// The second of the stage in which the area under its rate reaches `area`, which it does.
fn reaches(stage: &Stage, area: f64) -> f64 {
    let lasts = stage.lasts.0 as f64 / 1e6;
    let slope = (stage.to - stage.from) / lasts;
    // Of from*t + slope*t*t/2 = area the smaller solution, in the form that loses no digits; below zero only by rounding.
    let root = (stage.from * stage.from + 2.0 * slope * area).max(0.0).sqrt();
    if area <= 0.0 { 0.0 } else { (2.0 * area / (stage.from + root)).min(lasts) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    fn open(stages: &[(u32, u32, u32)], poisson: bool) -> Open {
        let stage = |(from, to, secs): &(u32, u32, u32)| Stage {
            from: f64::from(*from) / 10.0,
            to: f64::from(*to) / 10.0,
            lasts: Micros::from_secs((*secs).into()),
        };
        Open { stages: stages.iter().map(stage).collect(), poisson, dropped_at_most: 0.0, takes: None }
    }

    fn arrivals(open: &Open, seed: u64) -> Vec<u64> {
        Arrivals::new(open, ChaCha8Rng::seed_from_u64(seed)).map(|at| at.0).collect()
    }

    /// The area under the rate up to a time.
    fn area(open: &Open, at_us: u64) -> f64 {
        let (mut began, mut sum) = (0.0, 0.0);
        for stage in &open.stages {
            let lasts = stage.lasts.0 as f64 / 1e6;
            let within = (at_us as f64 / 1e6 - began).clamp(0.0, lasts);
            sum += stage.from * within + (stage.to - stage.from) / lasts * within * within / 2.0;
            began += lasts;
        }
        sum
    }

    #[test]
    fn a_steady_rate_is_evenly_spaced() {
        assert_eq!(arrivals(&open(&[(20, 20, 2)], false), 1), [250_000, 750_000, 1_250_000, 1_750_000]);
    }

    #[test]
    fn a_spike_stands_where_it_was_put() {
        let spike = arrivals(&open(&[(10, 10, 10), (1_000, 1_000, 1), (10, 10, 10)], false), 1);
        let within = |from: u64, to: u64| spike.iter().filter(|at| (from..to).contains(*at)).count();
        assert_eq!((within(0, 10_000_000), within(10_000_000, 11_000_000), spike.len()), (10, 100, 120));
    }

    #[test]
    fn chance_is_the_seeds() {
        let open = open(&[(100, 100, 60)], true);
        assert_eq!(arrivals(&open, 1), arrivals(&open, 1));
        assert_ne!(arrivals(&open, 1), arrivals(&open, 2));
    }

    #[test]
    fn gaps_drawn_by_chance_are_exponential() {
        let open = open(&[(10_000, 10_000, 100)], true);
        let all = arrivals(&open, 7);
        let gaps: Vec<f64> = all.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // 100,000 gaps of a millisecond: their mean strays by 0.3 % (one deviation), their deviation equals it.
        assert!((mean / 1_000.0 - 1.0).abs() < 0.015, "{mean}");
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.02, "{} {mean}", variance.sqrt());
    }

    fn stages() -> impl Strategy<Value = Vec<(u32, u32, u32)>> {
        prop::collection::vec((0..200_u32, 0..200_u32, 1..20_u32), 1..5)
    }

    proptest! {
        #[test]
        fn even_arrivals_never_stray_from_the_area_by_more_than_half_of_one(stages in stages()) {
            let open = open(&stages, false);
            let all = arrivals(&open, 1);
            prop_assert!(all.is_sorted());
            // Instants are rounded to a microsecond, in which the area grows by less than this.
            let slack = 0.5 + 1e-4;
            for (before, at) in all.iter().enumerate() {
                let area = area(&open, *at);
                prop_assert!((area - before as f64).abs() <= slack, "arrival {before} at {at} us: area {area}");
            }
            let end = open.lasts().0;
            prop_assert!((area(&open, end) - all.len() as f64).abs() <= slack);
            prop_assert!(all.iter().all(|at| *at <= end));
        }

        #[test]
        fn arrivals_by_chance_hit_the_area_on_average(stages in stages(), seed in any::<u64>()) {
            let open = open(&stages, true);
            let all = arrivals(&open, seed);
            prop_assert!(all.is_sorted());
            let (expected, seen) = (open.arrivals(), all.len() as f64);
            // A Poisson variable strays by six deviations once in a billion times.
            prop_assert!((seen - expected).abs() <= 6.0 * expected.sqrt() + 6.0, "{seen} of {expected}");
        }
    }
}
