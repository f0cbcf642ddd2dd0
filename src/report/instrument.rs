//! How good the harness was as an instrument, as reports hold and say it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check;
use crate::finding::counted;
use crate::time::Micros;

/// How good the harness was as an instrument. Its lateness only adds to latencies; all else does not depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Instrument {
    /// It was late for so much of its time that latencies beyond their limits may be its own.
    pub overloaded: bool,
    /// How long its threads were observed, all together, in microseconds.
    pub observed_us: u64,
    /// How much of that they were overdue by more than a timer's error, in microseconds.
    pub late_us: u64,
    /// The most that a timer was overdue, in microseconds.
    pub timer_max_us: u64,
    /// How long its threads were computing, all together, in microseconds; those of the embedded backend are not among them.
    pub computing_us: u64,
    /// How long frames had waited when they were read, 99th percentile, in microseconds; null without frames.
    pub lag_p99_us: Option<u64>,
    /// The longest that a frame had waited, in microseconds; null without frames.
    pub lag_max_us: Option<u64>,
    /// How late iterations began that were to begin by the clock, 99th percentile, in microseconds; null without such.
    pub start_p99_us: Option<u64>,
    /// The latest that one began, in microseconds; null without such.
    pub start_max_us: Option<u64>,
    /// Frames a second and thread up to which it kept up, to an eighth; null if at no load that was seen.
    pub kept_up_to: Option<u64>,
    /// The same over time: slices of equal length in which threads were observed, in order.
    #[serde(default)]
    #[schemars(length(max = 60))]
    pub over_time: Vec<Fared>,
    /// What the process took of its machine.
    pub machine: Machine,
}

/// How good the harness was as an instrument in a slice of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fared {
    /// When it begins, in microseconds since the execution began.
    pub from_us: u64,
    /// How long it is, in microseconds.
    pub width_us: u64,
    /// How long threads were observed, all together, in microseconds.
    pub observed_us: u64,
    /// How much of that they were overdue by more than a timer's error, in microseconds.
    pub late_us: u64,
    /// The most that a timer was overdue, in microseconds.
    pub timer_max_us: u64,
    /// The longest that a frame had waited when it was read, in microseconds.
    pub lag_max_us: u64,
    /// The latest that an iteration began that was to begin by the clock, in microseconds.
    pub start_max_us: u64,
    /// Arrivals that found no free user.
    pub dropped: u64,
    /// How long threads were computing, all together, in microseconds.
    pub computing_us: u64,
    /// Frames received.
    pub frames: u64,
}

/// What the process held and took in a slice of time, as sampled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Taken {
    /// When it begins, in microseconds since the execution began.
    pub from_us: u64,
    /// How long it is, in microseconds.
    pub width_us: u64,
    /// The most memory it held, in bytes; null where the system does not say.
    pub memory_bytes: Option<u64>,
    /// The most files it had open; null where that is not known.
    pub files: Option<u64>,
    /// How long it was computing, all its threads together, in microseconds; null where the system does not say.
    pub computing_us: Option<u64>,
}

/// What the process took of its machine, the embedded backend included; null where the system does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// The most memory it held, in bytes.
    pub memory_max_bytes: Option<u64>,
    /// The most files it had open, as sampled; each socket is one.
    pub files_max: Option<u64>,
    /// How many it may open.
    pub files_limit: Option<u64>,
    /// Cores it may use.
    pub cores: Option<u64>,
    /// The same over time: slices of equal length in which it was sampled, in order.
    #[serde(default)]
    #[schemars(length(max = 60))]
    pub over_time: Vec<Taken>,
}

impl Instrument {
    pub(super) fn new(seen: &check::Instrument, machine: Machine) -> Instrument {
        Instrument {
            overloaded: seen.overloaded(),
            observed_us: seen.time.0,
            late_us: seen.late.0,
            timer_max_us: seen.latest.0,
            computing_us: seen.cpu.0,
            lag_p99_us: seen.lag.quantile(0.99),
            lag_max_us: seen.lag.max(),
            start_p99_us: seen.starts.quantile(0.99),
            start_max_us: seen.starts.max(),
            kept_up_to: seen.kept_up_to(),
            over_time: seen.over_time.slices().map(fared).collect(),
            machine,
        }
    }

    /// All of it in one line.
    pub(super) fn line(&self) -> String {
        let us = |us: Option<u64>| us.map(Micros).unwrap_or_default();
        let mut parts = Vec::new();
        if self.lag_max_us.is_some() {
            parts.push(format!("frames read up to {} late (p99 {})", us(self.lag_max_us), us(self.lag_p99_us)));
        }
        if self.start_max_us.is_some() {
            parts.push(format!("iterations begun up to {} late", us(self.start_max_us)));
        }
        parts.push(format!("timers up to {} late", Micros(self.timer_max_us)));
        if self.overloaded {
            let share = self.late_us as f64 * 100.0 / self.observed_us.max(1) as f64;
            parts.push(format!("overdue {share:.1} % of its time"));
        }
        let busy = self.computing_us as f64 * 100.0 / self.observed_us.max(1) as f64;
        parts.push(format!("{busy:.0} % of a core per thread"));
        parts.extend(self.machine.memory_max_bytes.map(|bytes| format!("{} MB at most", bytes.div_ceil(1_000_000))));
        if let (Some(files), Some(limit)) = (self.machine.files_max, self.machine.files_limit) {
            parts.push(format!("{} of {limit} open", counted(files, "file")));
        }
        parts.join(", ")
    }
}

fn fared((from_us, width_us, fared): (u64, u64, &check::Fared)) -> Fared {
    let check::Fared { time, late, latest, cpu, frames, lag, start, dropped } = *fared;
    Fared {
        from_us,
        width_us,
        observed_us: time.0,
        late_us: late.0,
        timer_max_us: latest.0,
        lag_max_us: lag.0,
        start_max_us: start.0,
        dropped,
        computing_us: cpu.0,
        frames,
    }
}
