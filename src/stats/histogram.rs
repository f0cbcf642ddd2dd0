//! Latencies of many runs, in whole microseconds, that shards can merge in any order.
//!
//! Up to [`EXACT_UP_TO`] values are kept as they are; beyond that they live in an HDR histogram with three
//! significant digits (buckets at most 0.1 % wide). Which of the two it is depends on the number of values alone, and both
//! are functions of the values regardless of their order, so merging stays associative and commutative to the bit.
//! Count, sum, smallest and largest value are always exact.
//!
//! Deliberately absent: percentiles by interpolation (a quantile here is one of the observed values, the one the exact
//! bounds speak of), standard deviations, and correction for coordinated omission (latencies count from the
//! intended start, so nothing was omitted).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::quantile::rank;

/// Up to so many values are kept exactly: 8 KiB at most, and more than a check in a pipeline ever measures.
pub const EXACT_UP_TO: usize = 1_024;

/// The largest latency that is told apart from longer ones once values live in buckets: one hour.
pub const HIGHEST_US: u64 = 3_600_000_000;

/// Latencies in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "HistogramForm", into = "HistogramForm")]
pub struct Histogram {
    values: Values,
    len: u64,
    sum_us: u64,
    min_us: u64,
    max_us: u64,
    saturated: u64,
}

#[derive(Debug, Clone, PartialEq)]
enum Values {
    /// Sorted, at most [`EXACT_UP_TO`].
    Exact(Vec<u64>),
    /// All of them, those above [`HIGHEST_US`] in the last bucket. Boxed: its counters take some 190 kB.
    Buckets(Box<hdrhistogram::Histogram<u64>>),
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// One without values.
    pub fn new() -> Self {
        Self { values: Values::Exact(Vec::new()), len: 0, sum_us: 0, min_us: u64::MAX, max_us: 0, saturated: 0 }
    }

    /// Counts one latency. Anything longer than [`HIGHEST_US`] counts as [saturated](Self::saturated) too.
    pub fn record(&mut self, us: u64) {
        self.len += 1;
        self.sum_us = self.sum_us.saturating_add(us);
        self.min_us = self.min_us.min(us);
        self.max_us = self.max_us.max(us);
        self.saturated += u64::from(us > HIGHEST_US);
        match &mut self.values {
            Values::Exact(sorted) if sorted.len() < EXACT_UP_TO => match sorted.last() {
                Some(&longest) if longest > us => {
                    let at = sorted.partition_point(|&other| other <= us);
                    sorted.insert(at, us);
                }
                _ => sorted.push(us),
            },
            Values::Exact(sorted) => {
                let mut buckets = into_buckets(sorted);
                record_clamped(&mut buckets, us);
                self.values = Values::Buckets(buckets);
            }
            Values::Buckets(buckets) => record_clamped(&mut *buckets, us),
        }
    }

    /// Adds what another one holds. The order in which any number of them are merged never matters.
    pub fn merge(&mut self, other: &Self) {
        self.len += other.len;
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        self.min_us = self.min_us.min(other.min_us);
        self.max_us = self.max_us.max(other.max_us);
        self.saturated += other.saturated;
        match (&mut self.values, &other.values) {
            (Values::Exact(mine), Values::Exact(theirs)) if mine.len() + theirs.len() <= EXACT_UP_TO => {
                mine.extend_from_slice(theirs);
                mine.sort_unstable();
            }
            (Values::Exact(mine), Values::Exact(theirs)) => {
                let mut buckets = into_buckets(mine);
                record_all(&mut buckets, theirs);
                self.values = Values::Buckets(buckets);
            }
            (Values::Exact(mine), Values::Buckets(theirs)) => {
                let mut buckets = theirs.clone();
                record_all(&mut buckets, mine);
                self.values = Values::Buckets(buckets);
            }
            (Values::Buckets(mine), Values::Exact(theirs)) => record_all(mine, theirs),
            (Values::Buckets(mine), Values::Buckets(theirs)) => {
                mine.add(&**theirs).expect("all histograms have the same bounds");
            }
        }
    }

    /// How many values were recorded.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The smallest value, exactly.
    pub fn min(&self) -> Option<u64> {
        (self.len > 0).then_some(self.min_us)
    }

    /// The largest value, exactly, however large.
    pub fn max(&self) -> Option<u64> {
        (self.len > 0).then_some(self.max_us)
    }

    /// The sum of all values, exactly (it stays at `u64::MAX` should it ever get there).
    pub fn sum(&self) -> u64 {
        self.sum_us
    }

    /// The mean in microseconds.
    pub fn mean(&self) -> Option<f64> {
        (self.len > 0).then(|| self.sum_us as f64 / self.len as f64)
    }

    /// How many values were longer than [`HIGHEST_US`].
    pub fn saturated(&self) -> u64 {
        self.saturated
    }

    /// The `rank`-th smallest value (from 1), or `None` if there are not so many.
    ///
    /// Beyond [`EXACT_UP_TO`] values it is the upper end of its bucket: never less than the truth, and at most 0.1 %
    /// more.
    pub fn value_at_rank(&self, rank: u64) -> Option<u64> {
        self.range_at_rank(rank).map(|(_, high)| high)
    }

    /// Between which two values, inclusive, the `rank`-th smallest lies; both are the same while values are exact.
    pub fn range_at_rank(&self, rank: u64) -> Option<(u64, u64)> {
        if rank == 0 || rank > self.len {
            return None;
        }
        // The two ends are known exactly whatever the buckets say.
        if rank == 1 {
            return Some((self.min_us, self.min_us));
        }
        if rank == self.len {
            return Some((self.max_us, self.max_us));
        }
        match &self.values {
            Values::Exact(sorted) => {
                let value = sorted[usize::try_from(rank - 1).expect("there are at most EXACT_UP_TO")];
                Some((value, value))
            }
            Values::Buckets(_) if rank > self.len - self.saturated => Some((HIGHEST_US + 1, self.max_us)),
            Values::Buckets(buckets) => {
                let mut below = 0;
                let value = buckets
                    .iter_recorded()
                    .find(|step| {
                        below += step.count_since_last_iteration();
                        below >= rank
                    })
                    .expect("the counts add up to the number of values")
                    .value_iterated_to();
                let low = buckets.lowest_equivalent(value).max(self.min_us);
                let high = buckets.highest_equivalent(value).min(self.max_us);
                Some((low, high))
            }
        }
    }

    /// The q-quantile: the value at rank ceil(q n). `q` between 0 and 1.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        self.value_at_rank(rank(self.len, q)?)
    }

    /// How many values are at most `us`. Beyond [`EXACT_UP_TO`] values those within 0.1 % of it may be counted or not.
    pub fn count_up_to(&self, us: u64) -> u64 {
        match &self.values {
            _ if us >= self.max_us => self.len,
            _ if us < self.min_us => 0,
            Values::Exact(sorted) => sorted.partition_point(|value| *value <= us) as u64,
            Values::Buckets(buckets) => buckets.count_between(0, us.min(HIGHEST_US)),
        }
    }

    /// The values as an HDR V2 histogram in base64, which the HDR tools of other languages read.
    ///
    /// Values longer than [`HIGHEST_US`] stand in the last bucket, exact values in theirs. To keep everything, serialize
    /// the histogram itself.
    pub fn to_base64(&self) -> String {
        match &self.values {
            Values::Exact(sorted) => encode(&into_buckets(sorted)),
            Values::Buckets(buckets) => encode(buckets),
        }
    }
}

/// How a [`Histogram`] stands in a report: nothing of it is lost, and reports can be merged.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Histogram")]
pub struct HistogramForm {
    /// Number of values.
    pub count: u64,
    /// Sum of all values in microseconds.
    pub sum_us: u64,
    /// Smallest value in microseconds; 0 without values.
    pub min_us: u64,
    /// Largest value in microseconds; 0 without values.
    pub max_us: u64,
    /// Values longer than one hour.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub saturated: u64,
    /// All values in microseconds, sorted, as long as they are few (up to 1,024).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values_us: Option<Vec<u64>>,
    /// All values as an HDR V2 histogram (1 us to 1 h, three significant digits) in base64, once they are many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hdr: Option<String>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Why something is not a histogram of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedHistogram {
    /// Neither or both of the two forms are there.
    #[error("a histogram has either values_us or hdr")]
    Form,
    /// Not base64, or not an HDR V2 histogram.
    #[error("not an HDR V2 histogram in base64: {0}")]
    Encoding(String),
    /// An HDR histogram with other bounds or precision; such ones cannot be merged.
    #[error("an HDR histogram from 1 us to 1 h with three significant digits is needed")]
    Bounds,
    /// Count, sum, smallest, largest or saturated contradict the values.
    #[error("the histogram's {0} contradicts its values")]
    Contradiction(&'static str),
}

impl From<Histogram> for HistogramForm {
    fn from(histogram: Histogram) -> Self {
        let (values_us, hdr) = match histogram.values {
            Values::Exact(sorted) => (Some(sorted), None),
            Values::Buckets(buckets) => (None, Some(encode(&buckets))),
        };
        Self {
            count: histogram.len,
            sum_us: histogram.sum_us,
            min_us: if histogram.len == 0 { 0 } else { histogram.min_us },
            max_us: histogram.max_us,
            saturated: histogram.saturated,
            values_us,
            hdr,
        }
    }
}

impl TryFrom<HistogramForm> for Histogram {
    type Error = MalformedHistogram;

    fn try_from(form: HistogramForm) -> Result<Self, MalformedHistogram> {
        match (&form.values_us, &form.hdr) {
            (Some(values), None) if values.len() <= EXACT_UP_TO => {
                let mut histogram = Self::new();
                for &value in values {
                    histogram.record(value);
                }
                let same = HistogramForm::from(histogram.clone());
                let contradiction = [
                    ("count", same.count == form.count),
                    ("sum", same.sum_us == form.sum_us),
                    ("smallest value", same.min_us == form.min_us),
                    ("largest value", same.max_us == form.max_us),
                    ("number of saturated values", same.saturated == form.saturated),
                ]
                .into_iter()
                .find(|(_, agrees)| !agrees);
                match contradiction {
                    Some((what, _)) => Err(MalformedHistogram::Contradiction(what)),
                    None => Ok(histogram),
                }
            }
            (Some(_), None) => Err(MalformedHistogram::Contradiction("count")),
            (None, Some(text)) => Self::from_buckets(&form, decode(text)?),
            _ => Err(MalformedHistogram::Form),
        }
    }
}

impl Histogram {
    fn from_buckets(form: &HistogramForm, buckets: hdrhistogram::Histogram<u64>) -> Result<Self, MalformedHistogram> {
        let clamped = |us: u64| us.min(HIGHEST_US);
        let highest = buckets.highest_equivalent(HIGHEST_US);
        let saturated_fit = form.saturated <= buckets.count_between(HIGHEST_US, highest);
        if form.count != buckets.len() || form.count <= EXACT_UP_TO as u64 {
            return Err(MalformedHistogram::Contradiction("count"));
        }
        if !buckets.equivalent(clamped(form.min_us), buckets.min()) {
            return Err(MalformedHistogram::Contradiction("smallest value"));
        }
        if !buckets.equivalent(clamped(form.max_us), buckets.max()) || form.min_us > form.max_us {
            return Err(MalformedHistogram::Contradiction("largest value"));
        }
        if !saturated_fit || (form.saturated > 0) != (form.max_us > HIGHEST_US) {
            return Err(MalformedHistogram::Contradiction("number of saturated values"));
        }
        let mean = u128::from(form.sum_us) / u128::from(form.count);
        if !(u128::from(form.min_us)..=u128::from(form.max_us)).contains(&mean) {
            return Err(MalformedHistogram::Contradiction("sum"));
        }
        Ok(Self {
            values: Values::Buckets(Box::new(buckets)),
            len: form.count,
            sum_us: form.sum_us,
            min_us: form.min_us,
            max_us: form.max_us,
            saturated: form.saturated,
        })
    }
}

fn empty_buckets() -> hdrhistogram::Histogram<u64> {
    hdrhistogram::Histogram::new_with_bounds(1, HIGHEST_US, 3).expect("the bounds are valid")
}

fn into_buckets(values: &[u64]) -> Box<hdrhistogram::Histogram<u64>> {
    let mut buckets = Box::new(empty_buckets());
    record_all(&mut buckets, values);
    buckets
}

fn record_all(buckets: &mut hdrhistogram::Histogram<u64>, values: &[u64]) {
    for &value in values {
        record_clamped(buckets, value);
    }
}

fn record_clamped(buckets: &mut hdrhistogram::Histogram<u64>, us: u64) {
    buckets.record(us.min(HIGHEST_US)).expect("the value lies within the bounds");
}

fn encode(buckets: &hdrhistogram::Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2Serializer::new()
        .serialize(buckets, &mut bytes)
        .expect("writing to memory does not fail and the counts are far below the format's limit");
    STANDARD.encode(bytes)
}

fn decode(text: &str) -> Result<hdrhistogram::Histogram<u64>, MalformedHistogram> {
    let bytes = STANDARD.decode(text).map_err(|error| MalformedHistogram::Encoding(error.to_string()))?;
    let read: hdrhistogram::Histogram<u64> = Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|error| MalformedHistogram::Encoding(error.to_string()))?;
    if (read.low(), read.high(), read.sigfig()) != (1, HIGHEST_US, 3) {
        return Err(MalformedHistogram::Bounds);
    }
    // What is read takes only as much room as its values need; ours all have room for an hour, so that equality
    // does not depend on where a histogram comes from.
    let mut full = empty_buckets();
    full.add(&read).map_err(|_| MalformedHistogram::Bounds)?;
    Ok(full)
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

    fn merged(parts: &[&Histogram]) -> Histogram {
        let mut all = Histogram::new();
        for part in parts {
            all.merge(part);
        }
        all
    }

    #[test]
    fn few_values_are_exact() {
        let histogram = of([1_234_567, 7, 1_234_568]);
        assert_eq!(histogram.value_at_rank(1), Some(7));
        assert_eq!(histogram.value_at_rank(2), Some(1_234_567));
        assert_eq!(histogram.value_at_rank(3), Some(1_234_568));
        assert_eq!(histogram.value_at_rank(4), None);
        assert_eq!(histogram.value_at_rank(0), None);
        assert_eq!(histogram.quantile(0.5), Some(1_234_567));
    }

    #[test]
    fn values_up_to_one_are_counted() {
        let few = of([0, 5, 5, 70]);
        let counted = [0, 4, 5, 69, 70, u64::MAX].map(|us| few.count_up_to(us));
        assert_eq!(counted, [1, 1, 3, 3, 4, 4]);
        let many = of((0..3_000).map(|n| n * 1_000).chain([2 * HIGHEST_US]));
        assert_eq!(many.count_up_to(0), 1);
        let half = many.count_up_to(1_500_000);
        assert!((1_499..=1_503).contains(&half), "{half}");
        assert_eq!(many.count_up_to(2 * HIGHEST_US), 3_001);
        assert_eq!(of([]).count_up_to(5), 0);
    }

    #[test]
    fn an_empty_one_has_no_values() {
        let histogram = Histogram::new();
        assert!(histogram.is_empty());
        assert_eq!((histogram.min(), histogram.max(), histogram.mean()), (None, None, None));
        assert_eq!(histogram.quantile(0.5), None);
    }

    #[test]
    fn many_values_lie_in_buckets_of_a_thousandth() {
        let histogram = of((1..=10_000).map(|i| i * 1_000));
        for rank in [1, 2, 5_000, 9_500, 9_999, 10_000] {
            let truth = rank * 1_000;
            let (low, high) = histogram.range_at_rank(rank).expect("rank exists");
            assert!(low <= truth && truth <= high, "{low}..={high} does not hold {truth}");
            assert!(high - low <= truth / 1_000, "{low}..={high} is wider than 0.1 %");
        }
        assert_eq!(histogram.mean(), Some(5_000_500.0));
    }

    #[test]
    fn the_ends_stay_exact_in_buckets() {
        let histogram = of((0..5_000).map(|i| 1_000_003 + i));
        assert_eq!(histogram.value_at_rank(1), Some(1_000_003));
        assert_eq!(histogram.value_at_rank(5_000), Some(1_005_002));
    }

    #[test]
    fn longer_than_an_hour_is_counted_and_never_reported_shorter() {
        let beyond = HIGHEST_US + 5;
        let few = of([1, beyond]);
        assert_eq!((few.saturated(), few.max()), (1, Some(beyond)));
        let many = of((0..2_000).map(|i| if i < 1_990 { i } else { beyond + i }));
        assert_eq!(many.saturated(), 10);
        let (low, high) = many.range_at_rank(1_995).expect("rank exists");
        assert!(low > HIGHEST_US && high == beyond + 1_999);
    }

    #[test]
    fn spilling_by_record_and_by_merge_is_the_same() {
        let one_by_one = of(0..2_000);
        let halves = merged(&[&of(0..1_000), &of(1_000..2_000)]);
        assert_eq!(one_by_one, halves);
    }

    #[test]
    fn both_forms_survive_json() {
        for histogram in [Histogram::new(), of([5, 3, HIGHEST_US + 9]), of(0..5_000)] {
            let json = serde_json::to_string(&histogram).expect("serializes");
            let back: Histogram = serde_json::from_str(&json).expect("deserializes");
            assert_eq!(back, histogram);
        }
    }

    #[test]
    fn base64_is_readable_as_an_hdr_histogram() {
        let read = decode(&of([10, 20, 30]).to_base64()).expect("decodes");
        assert_eq!((read.len(), read.max()), (3, 30));
    }

    #[test]
    fn contradictory_forms_are_refused() {
        let few = HistogramForm::from(of([5, 3]));
        let many = HistogramForm::from(of(0..5_000));
        let refused = |form: HistogramForm| Histogram::try_from(form).expect_err("is refused");
        assert_eq!(refused(HistogramForm { count: 3, ..few.clone() }), MalformedHistogram::Contradiction("count"));
        assert_eq!(
            refused(HistogramForm { max_us: 4, ..few.clone() }),
            MalformedHistogram::Contradiction("largest value")
        );
        assert_eq!(
            refused(HistogramForm { saturated: 1, ..many.clone() }),
            MalformedHistogram::Contradiction("number of saturated values")
        );
        assert_eq!(
            refused(HistogramForm { sum_us: u64::MAX, ..many.clone() }),
            MalformedHistogram::Contradiction("sum")
        );
        assert_eq!(refused(HistogramForm { values_us: Some(vec![1]), ..many }), MalformedHistogram::Form);
        assert_eq!(refused(HistogramForm { values_us: None, ..few }), MalformedHistogram::Form);
    }

    #[test]
    fn noise_is_not_a_histogram() {
        assert!(matches!(decode("%%"), Err(MalformedHistogram::Encoding(_))));
        assert!(matches!(decode("AAAA"), Err(MalformedHistogram::Encoding(_))));
        let mut other = hdrhistogram::Histogram::<u64>::new_with_bounds(1, 1_000, 2).expect("valid");
        other.record(5).expect("fits");
        assert_eq!(decode(&encode(&other)), Err(MalformedHistogram::Bounds));
    }

    /// Sizes around the spill, so that merging meets every combination of forms.
    fn some() -> impl Strategy<Value = Histogram> {
        (0_usize..1_500, any::<u64>()).prop_map(|(size, seed)| {
            let mut state = seed | 1;
            of((0..size).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // Mostly seconds, now and then more than an hour.
                (state >> 33) % if state >> 60 == 0 { 2 * HIGHEST_US } else { 5_000_000 }
            }))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn merging_is_associative_and_commutative(a in some(), b in some(), c in some()) {
            let left = merged(&[&merged(&[&a, &b]), &c]);
            let right = merged(&[&a, &merged(&[&b, &c])]);
            let other = merged(&[&c, &b, &a]);
            prop_assert_eq!(&left, &right);
            prop_assert_eq!(&left, &other);
        }

        #[test]
        fn any_division_of_the_values_merges_to_the_whole(
            values in prop::collection::vec((0..2 * HIGHEST_US, 0_usize..7), 0..3_000)
        ) {
            let mut shards = vec![Histogram::new(); 7];
            values.iter().for_each(|(value, shard)| shards[*shard].record(*value));
            let whole = of(values.iter().map(|(value, _)| *value));
            prop_assert_eq!(&merged(&shards.iter().collect::<Vec<_>>()), &whole);
            // Those without values change nothing, and any of them may be the first.
            shards.rotate_left(3);
            shards.retain(|shard| !shard.is_empty());
            prop_assert_eq!(&merged(&shards.iter().collect::<Vec<_>>()), &whole);
        }

        #[test]
        fn any_histogram_survives_json(a in some()) {
            let json = serde_json::to_string(&a).expect("serializes");
            prop_assert_eq!(serde_json::from_str::<Histogram>(&json).expect("deserializes"), a);
        }

        #[test]
        fn ranks_enclose_the_true_order_statistic(values in prop::collection::vec(0_u64..10_000_000, 1..1_500)) {
            let histogram = of(values.iter().copied());
            let mut sorted = values;
            sorted.sort_unstable();
            for (i, &truth) in sorted.iter().enumerate().step_by(37) {
                let (low, high) = histogram.range_at_rank(i as u64 + 1).expect("rank exists");
                prop_assert!(low <= truth && truth <= high);
            }
        }
    }
}
