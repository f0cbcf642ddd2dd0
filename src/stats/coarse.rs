//! Values told apart to an eighth of an octave, for pictures: 496 buckets hold any number, each known by its own.

/// How many buckets there are.
pub const BUCKETS: usize = 496;

/// The bucket of a value: eight per octave; up to 15 each value has its own.
pub fn bucket(value: u64) -> u16 {
    let Some(octave) = value.checked_ilog2().filter(|octave| *octave >= 3) else { return value as u16 };
    let eighth = (value >> (octave - 3)) & 7;
    (octave as u16 - 2) * 8 + eighth as u16
}

/// The largest value of a bucket: never less than a value in it, and at most an eighth more.
pub fn top(bucket: u16) -> u64 {
    let (octave, eighth) = (bucket / 8, u64::from(bucket % 8));
    match octave {
        0 => eighth,
        _ => (8 + eighth) << (octave - 1) | ((1 << (octave - 1)) - 1),
    }
}

/// The value at `rank` (from 1) of what `counts` says by bucket, in order; `None` if there are not so many.
pub fn value_at_rank(counts: impl IntoIterator<Item = (u16, u64)>, rank: u64) -> Option<u64> {
    let mut below = 0;
    let found = counts.into_iter().find(|(_, count)| {
        below += count;
        below >= rank
    });
    found.map(|(bucket, _)| top(bucket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_an_eighth_wide_and_without_gaps() {
        for value in (0..10_000).chain([u64::MAX / 3, u64::MAX]) {
            let (bucket, next) = (bucket(value), bucket(value.saturating_add(1)));
            assert!(
                top(bucket) >= value && top(bucket) - value <= value / 8,
                "{value} in {bucket} up to {}",
                top(bucket)
            );
            assert!(next == bucket || next == bucket + 1, "{value}");
            assert!(usize::from(bucket) < BUCKETS);
        }
    }

    #[test]
    fn ranks_count_across_buckets() {
        let counts = [(3, 2), (5, 1)];
        assert_eq!([1, 2, 3, 4].map(|rank| value_at_rank(counts, rank)), [Some(3), Some(3), Some(5), None]);
    }
}
