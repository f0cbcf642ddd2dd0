//! Latencies over the time of an execution, for a picture: in few slices, each with a coarse distribution.
//!
//! Values are told apart to an eighth of an octave, slices are those of a timeline, so merging is associative and commutative
//! to the bit. Verdicts never come from here.

use std::collections::BTreeMap;

use super::coarse::{bucket, value_at_rank};
use super::quantile::rank;
use super::timeline::{Join, Timeline};

/// The width of a slice at first, in microseconds.
const FIRST_WIDTH_US: u64 = 100_000;

/// Latencies by the time at which they began. Each slice takes some 16 bytes for each eighth of an octave that has values,
/// 4 KiB at most.
#[derive(Debug, Clone, PartialEq)]
pub struct Series(Timeline<Counts>);

#[derive(Debug, Clone, Default, PartialEq)]
struct Counts {
    /// How many by bucket.
    buckets: BTreeMap<u16, u64>,
    max_us: u64,
}

/// What was measured in one slice of time, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Its beginning, from the beginning of all.
    pub from_us: u64,
    /// Its length.
    pub width_us: u64,
    /// How many values.
    pub count: u64,
    /// The median: never less than the truth, and at most an eighth more.
    pub p50_us: u64,
    /// The 95th percentile likewise; `None` with fewer than 20 values, which have none.
    pub p95_us: Option<u64>,
    /// The largest, exactly.
    pub max_us: u64,
}

impl Default for Series {
    fn default() -> Series {
        Series(Timeline::new(FIRST_WIDTH_US))
    }
}

impl Series {
    /// Counts a latency that began `at_us` after the beginning of all.
    pub fn record(&mut self, at_us: u64, us: u64) {
        let slice = self.0.at(at_us);
        *slice.buckets.entry(bucket(us)).or_default() += 1;
        slice.max_us = slice.max_us.max(us);
    }

    /// Adds what another one holds. The order in which any number of them are merged never matters.
    pub fn merge(&mut self, other: Series) {
        self.0.merge(other.0);
    }

    /// Slices that have values, by time.
    pub fn slices(&self) -> impl Iterator<Item = Slice> {
        self.0.slices().map(|(from_us, width_us, counts)| {
            let count = counts.buckets.values().sum();
            Slice {
                from_us,
                width_us,
                count,
                p50_us: counts.quantile(count, 0.5),
                p95_us: (count >= 20).then(|| counts.quantile(count, 0.95)),
                max_us: counts.max_us,
            }
        })
    }
}

impl Join for Counts {
    fn join(&mut self, other: Counts) {
        for (bucket, count) in other.buckets {
            *self.buckets.entry(bucket).or_default() += count;
        }
        self.max_us = self.max_us.max(other.max_us);
    }
}

impl Counts {
    fn quantile(&self, count: u64, q: f64) -> u64 {
        let buckets = self.buckets.iter().map(|(bucket, count)| (*bucket, *count));
        let found = rank(count, q).and_then(|rank| value_at_rank(buckets, rank));
        found.unwrap_or(self.max_us).min(self.max_us)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[(u64, u64)]) -> Series {
        let mut series = Series::default();
        for (at, us) in values {
            series.record(*at, *us);
        }
        series
    }

    #[test]
    fn slices_widen_as_time_goes_on() {
        let mut series = of(&[(0, 10), (150_000, 20)]);
        assert_eq!(series.slices().map(|slice| slice.from_us).collect::<Vec<_>>(), [0, 100_000]);
        series.record(6_000_000, 30);
        let slices: Vec<Slice> = series.slices().collect();
        assert_eq!(slices[0], Slice { from_us: 0, width_us: 200_000, count: 2, p50_us: 10, p95_us: None, max_us: 20 });
        assert_eq!(slices[1].from_us, 6_000_000);
        series.record(24 * 3_600_000_000, 5);
        assert_eq!(series.slices().map(|slice| slice.count).collect::<Vec<_>>(), [3, 1]);
    }

    #[test]
    fn a_few_values_have_no_tail() {
        let tail = |count| of(&(1..=count).map(|n| (0, n * 1_000)).collect::<Vec<_>>()).slices().next().unwrap().p95_us;
        assert_eq!(tail(19), None);
        assert!((19_000..=20_000).contains(&tail(20).unwrap()), "{:?}", tail(20));
    }

    proptest! {
        #[test]
        fn merging_is_counting_in_any_order(
            parts in prop::collection::vec(prop::collection::vec((0..20_000_000_000_u64, any::<u64>()), 0..20), 3)
        ) {
            let [a, b, c] = [0, 1, 2].map(|part| of(&parts[part]));
            let joined = |parts: [&Series; 3]| {
                let mut all = Series::default();
                parts.into_iter().for_each(|part| all.merge(part.clone()));
                all
            };
            let whole = of(&parts.concat());
            prop_assert_eq!(&joined([&a, &b, &c]), &whole);
            prop_assert_eq!(&joined([&c, &a, &b]), &whole);
            let mut right = b.clone();
            right.merge(c);
            let mut left = a;
            left.merge(right);
            prop_assert_eq!(left, whole);
        }
    }
}
