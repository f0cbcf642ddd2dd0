//! What went on in slices of time, however long it goes on: slices double in width when there are too many of them.
//!
//! Which slice something belongs to depends on its time alone, so merging is associative and commutative to the bit wherever
//! joining is.

/// Slices at most.
const SLICES: u64 = 60;

/// Something of which two parts make one. The order of any number of joins must not matter.
pub trait Join {
    /// Adds what the other one holds.
    fn join(&mut self, other: Self);
}

/// One `T` for each slice of time in which there is something.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline<T> {
    width_us: u64,
    /// From the beginning of all to the last in which there is something.
    slices: Vec<Option<T>>,
}

impl<T: Join + Default> Timeline<T> {
    /// Nothing yet, in slices of `width_us` at first, which is above zero. Timelines that are merged begin with the same.
    pub fn new(width_us: u64) -> Timeline<T> {
        Timeline { width_us, slices: Vec::new() }
    }

    /// The slice of what happened `at_us` after the beginning of all.
    pub fn at(&mut self, at_us: u64) -> &mut T {
        let mut index = at_us / self.width_us;
        while index >= SLICES {
            self.widen();
            index = at_us / self.width_us;
        }
        self.slice(index as usize)
    }

    fn slice(&mut self, index: usize) -> &mut T {
        if self.slices.len() <= index {
            self.slices.resize_with(index + 1, || None);
        }
        self.slices[index].get_or_insert_default()
    }

    /// Adds what another one holds. The order in which any number of them are merged never matters.
    pub fn merge(&mut self, mut other: Timeline<T>) {
        while self.width_us < other.width_us {
            self.widen();
        }
        while other.width_us < self.width_us {
            other.widen();
        }
        for (index, theirs) in other.slices.into_iter().enumerate() {
            theirs.into_iter().for_each(|theirs| self.slice(index).join(theirs));
        }
    }

    /// Beginning and length in microseconds, and what there is, by time.
    pub fn slices(&self) -> impl Iterator<Item = (u64, u64, &T)> {
        let all = (0..).zip(&self.slices);
        all.filter_map(|(index, slice)| Some((index * self.width_us, self.width_us, slice.as_ref()?)))
    }

    fn widen(&mut self) {
        // What begins later than half of all time stays in the last slice.
        self.width_us = self.width_us.saturating_mul(2);
        for (index, slice) in std::mem::take(&mut self.slices).into_iter().enumerate() {
            slice.into_iter().for_each(|slice| self.slice(index / 2).join(slice));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, Default, PartialEq)]
    struct Sum(u64);

    impl Join for Sum {
        fn join(&mut self, other: Sum) {
            self.0 += other.0;
        }
    }

    fn of(times: &[u64]) -> Timeline<Sum> {
        let mut line: Timeline<Sum> = Timeline::new(1_000);
        times.iter().for_each(|at| line.at(*at).0 += 1);
        line
    }

    #[test]
    fn slices_double_until_there_are_few_enough() {
        let mut line = of(&[0, 999, 1_000, 59_999]);
        let seen =
            |line: &Timeline<Sum>| line.slices().map(|(from, width, sum)| (from, width, sum.0)).collect::<Vec<_>>();
        assert_eq!(seen(&line), [(0, 1_000, 2), (1_000, 1_000, 1), (59_000, 1_000, 1)]);
        line.at(60_000).0 += 1;
        assert_eq!(seen(&line), [(0, 2_000, 3), (58_000, 2_000, 1), (60_000, 2_000, 1)]);
        line.at(u64::MAX / 2).0 += 1;
        assert_eq!(line.slices().map(|(.., sum)| sum.0).sum::<u64>(), 6);
    }

    proptest! {
        #[test]
        fn merging_is_counting_in_any_order(times in prop::collection::vec(0..20_000_000_u64, 0..40), cut in 0..40_usize) {
            let (one, other) = times.split_at(cut.min(times.len()));
            let (mut left, mut right) = (of(one), of(other));
            left.merge(of(other));
            right.merge(of(one));
            prop_assert_eq!(&left, &of(&times));
            prop_assert_eq!(left, right);
        }
    }
}
