//! What went on over time beside latencies, as drawings: runs in flight, and how the instrument fared.

use minijinja::value::Value;
use serde::Serialize;

use super::super::{Instrument, Power};
use super::chart;
use crate::time::Micros;

/// A drawing with what its lines are.
#[derive(Debug, Serialize)]
pub(super) struct Course {
    title: &'static str,
    /// What the thick line is.
    thick: &'static str,
    /// What the thin one is, where there is one.
    thin: Option<&'static str>,
    chart: Value,
}

/// Runs in flight at once, at most, in each part of the time.
pub(super) fn in_flight(power: &Power) -> Option<Value> {
    let parts = power.in_flight.iter();
    let steps = parts.flat_map(|part| {
        let (from, to, most) = (part.from_us as f64, (part.from_us + part.width_us) as f64, part.most as f64);
        [(from, most), (to, most)]
    });
    chart::lines(&[steps.collect()], |count| format!("{count:.0}")).map(Value::from_safe_string)
}

/// How the instrument fared, as far as there is a course to show.
pub(super) fn instrument(instrument: &Instrument) -> Vec<Course> {
    let slices = &instrument.over_time;
    let over_time = |figure: fn(&super::super::Fared) -> f64| -> Vec<(f64, f64)> {
        slices.iter().map(|slice| (middle(slice.from_us, slice.width_us), figure(slice))).collect()
    };
    let taken = &instrument.machine.over_time;
    let held = taken
        .iter()
        .filter_map(|slice| Some((middle(slice.from_us, slice.width_us), slice.memory_bytes? as f64 / 1e6)));
    let process = taken.iter().filter_map(|slice| {
        Some((middle(slice.from_us, slice.width_us), slice.computing_us? as f64 * 100.0 / slice.width_us.max(1) as f64))
    });
    let time: fn(&f64) -> String = |us| Micros(us.round() as u64).to_string();
    let number: fn(&f64) -> String = |number| format!("{number:.0}");
    let share = |part: u64, of: u64| part as f64 * 100.0 / of.max(1) as f64;
    let threads = slices
        .iter()
        .map(|slice| (middle(slice.from_us, slice.width_us), share(slice.computing_us, slice.observed_us)));
    let drawn = [
        (
            "Late by",
            ("timers", Some("frames, when read")),
            vec![over_time(|slice| slice.timer_max_us as f64), over_time(|slice| slice.lag_max_us as f64)],
            time,
        ),
        (
            "Frames a second",
            ("all threads", None),
            vec![over_time(|slice| slice.frames as f64 * 1e6 / slice.width_us.max(1) as f64)],
            number,
        ),
        (
            "Computing, % of a core",
            ("each thread of the engine", Some("the whole process")),
            vec![threads.collect(), process.collect()],
            number,
        ),
        ("Memory, MB", ("held by the process", None), vec![held.collect()], number),
    ];
    let course = |(title, (thick, thin), lines, label): (_, _, Vec<_>, _)| {
        let chart = chart::lines(&lines, label).map(Value::from_safe_string)?;
        Some(Course { title, thick, thin, chart })
    };
    drawn.into_iter().filter_map(course).collect()
}

fn middle(from_us: u64, width_us: u64) -> f64 {
    (from_us + width_us / 2) as f64
}
