//! How late the harness itself was.
//!
//! A start that is late by the harness's own fault makes the target look slow; a report that does not say so blames the
//! wrong one. Whether it was too late is judged elsewhere.

use crate::time::{Micros, Stamp};

/// Starts of one thread compared with the times they were meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lateness {
    /// Starts.
    pub starts: u64,
    /// Starts later than [`Lateness::TOLERATED`].
    pub late: u64,
    /// The latest.
    pub max: Micros,
}

impl Lateness {
    /// Timers of the runtime are exact to a millisecond, and a thread that serves others may be busy for a few.
    pub const TOLERATED: Micros = Micros::from_millis(10);

    /// A start that was meant for `scheduled` and began at `actual`.
    pub fn note(&mut self, scheduled: Stamp, actual: Stamp) {
        let lateness = actual.since(scheduled);
        self.starts += 1;
        self.late += u64::from(lateness > Lateness::TOLERATED);
        self.max = self.max.max(lateness);
    }

    /// Both threads together; order does not matter.
    pub fn merge(self, other: Lateness) -> Lateness {
        Lateness { starts: self.starts + other.starts, late: self.late + other.late, max: self.max.max(other.max) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_within_the_tolerance_is_not_late() {
        let mut lateness = Lateness::default();
        lateness.note(Stamp(1_000), Stamp(500));
        lateness.note(Stamp(1_000), Stamp(11_000));
        assert_eq!(lateness, Lateness { starts: 2, late: 0, max: Micros(10_000) });
        lateness.note(Stamp(1_000), Stamp(11_001));
        assert_eq!(lateness, Lateness { starts: 3, late: 1, max: Micros(10_001) });
    }

    #[test]
    fn merging_is_counting_together() {
        let (mut one, mut two, mut both) = (Lateness::default(), Lateness::default(), Lateness::default());
        for us in [0, 5_000, 20_000, 70_000] {
            if us % 10_000 == 0 { &mut one } else { &mut two }.note(Stamp(0), Stamp(us));
            both.note(Stamp(0), Stamp(us));
        }
        assert_eq!(one.merge(two), both);
        assert_eq!(two.merge(one), both);
    }
}
