//! Points and lengths of time, in whole microseconds.
//!
//! Everything that is measured is an integer of microseconds: floats drift when they are merged, milliseconds hide what
//! a loopback target does. Nothing here reads a clock; stamps are made in `session` and are data everywhere else.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// A length of time in microseconds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Micros(pub u64);

/// A point on the execution's monotonic clock: microseconds since the execution began.
///
/// Stamps of different machines are comparable only after `report` has aligned their starts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Stamp(pub u64);

impl Micros {
    /// No time at all.
    pub const ZERO: Micros = Micros(0);

    /// A length given in milliseconds.
    pub const fn from_millis(millis: u64) -> Micros {
        Micros(millis.saturating_mul(1_000))
    }

    /// A length given in seconds.
    pub const fn from_secs(secs: u64) -> Micros {
        Micros(secs.saturating_mul(1_000_000))
    }

    /// The same length for the standard library's timers.
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_micros(self.0)
    }
}

impl From<std::time::Duration> for Micros {
    /// Saturates after about 584,000 years.
    fn from(duration: std::time::Duration) -> Micros {
        Micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }
}

impl Stamp {
    /// The beginning of the execution.
    pub const ZERO: Stamp = Stamp(0);

    /// The time from `earlier` to `self`; zero when `earlier` is later.
    pub const fn since(self, earlier: Stamp) -> Micros {
        Micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Micros> for Stamp {
    type Output = Stamp;
    fn add(self, length: Micros) -> Stamp {
        Stamp(self.0.saturating_add(length.0))
    }
}

impl Sub<Micros> for Stamp {
    type Output = Stamp;
    fn sub(self, length: Micros) -> Stamp {
        Stamp(self.0.saturating_sub(length.0))
    }
}

impl Add for Micros {
    type Output = Micros;
    fn add(self, other: Micros) -> Micros {
        Micros(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Micros {
    fn add_assign(&mut self, other: Micros) {
        *self = *self + other;
    }
}

impl Sub for Micros {
    type Output = Micros;
    /// Saturates at zero.
    fn sub(self, other: Micros) -> Micros {
        Micros(self.0.saturating_sub(other.0))
    }
}

/// Three significant digits in the unit a person would choose: `870 us`, `12.4 ms`, `1.95 s`, `2 min 5 s`.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = self.0;
        let text = match us {
            0 => "0 ms".to_owned(),
            1..1_000 => format!("{us} us"),
            1_000..60_000_000 => {
                let (value, unit) = if us < 999_500 { (us as f64 / 1e3, "ms") } else { (us as f64 / 1e6, "s") };
                let digits = match value {
                    v if v < 9.995 => 2,
                    v if v < 99.95 => 1,
                    _ => 0,
                };
                let number = format!("{value:.digits$}");
                let number =
                    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { &number };
                format!("{number} {unit}")
            }
            _ => {
                let seconds = us / 1_000_000;
                let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
                match (hours, minutes, rest) {
                    (0, m, 0) => format!("{m} min"),
                    (0, m, s) => format!("{m} min {s} s"),
                    (h, 0, _) => format!("{h} h"),
                    (h, m, _) => format!("{h} h {m} min"),
                }
            }
        };
        f.pad(&text)
    }
}

/// Seconds since the start with microseconds: `+3.004512s`.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("+{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_print_in_the_unit_a_person_would_choose() {
        for (us, text) in [
            (0, "0 ms"),
            (870, "870 us"),
            (1_000, "1 ms"),
            (1_240, "1.24 ms"),
            (12_400, "12.4 ms"),
            (999_600, "1 s"),
            (1_950_000, "1.95 s"),
            (59_900_000, "59.9 s"),
            (60_000_000, "1 min"),
            (125_000_000, "2 min 5 s"),
            (3_600_000_000, "1 h"),
            (5_400_000_000, "1 h 30 min"),
        ] {
            assert_eq!(Micros(us).to_string(), text);
        }
    }

    #[test]
    fn time_before_the_start_does_not_wrap() {
        assert_eq!(Stamp(5).since(Stamp(9)), Micros::ZERO);
        assert_eq!(Stamp(5) - Micros(9), Stamp::ZERO);
    }
}
