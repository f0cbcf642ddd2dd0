//! How good the instrument was: how late the harness read, woke and began, and at which load.
//!
//! Lateness only ever adds to a latency, so what is within its limit all the same is within it; what is beyond may be the
//! harness's own. Order, isolation and content do not depend on it.

use std::collections::BTreeMap;

use crate::expect::Segment;
use crate::stats::{Histogram, Join, Timeline, coarse};
use crate::time::{Micros, Stamp};

/// What one thread's own timers showed for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// When the while was over.
    pub at: Stamp,
    /// How long.
    pub lasted: Micros,
    /// How much of it the thread was overdue by more than a timer's error.
    pub late: Micros,
    /// The most it was overdue.
    pub latest: Micros,
    /// How long it was computing, where the system says so.
    pub cpu: Option<Micros>,
    /// Frames received meanwhile.
    pub frames: u64,
}

/// How the instrument fared in a slice of time, or since its last pulse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fared {
    /// How long all threads together were observed.
    pub time: Micros,
    /// How much of it they were overdue.
    pub late: Micros,
    /// The most that one was.
    pub latest: Micros,
    /// How long all together were computing.
    pub cpu: Micros,
    /// Frames received.
    pub frames: u64,
    /// The longest that a frame waited between arrival and read.
    pub lag: Micros,
    /// The latest that an iteration began that was to begin by the clock.
    pub start: Micros,
    /// Arrivals that found no free user.
    pub dropped: u64,
}

impl Join for Fared {
    fn join(&mut self, other: Fared) {
        self.time += other.time;
        self.late += other.late;
        self.latest = self.latest.max(other.latest);
        self.cpu += other.cpu;
        self.frames += other.frames;
        self.lag = self.lag.max(other.lag);
        self.start = self.start.max(other.start);
        self.dropped += other.dropped;
    }
}

/// The width of a slice of time at first: pulses are told once a second.
const FIRST_WIDTH: Micros = Micros::from_secs(1);

/// What is known of the instrument, of any part of an execution.
#[derive(Debug, Clone, PartialEq)]
pub struct Instrument {
    /// How long all threads together were observed.
    pub time: Micros,
    /// How much of it they were overdue.
    pub late: Micros,
    /// The most that one was.
    pub latest: Micros,
    /// How long all together were computing.
    pub cpu: Micros,
    /// How long frames waited between arrival and read, as far as arrivals are known.
    pub lag: Histogram,
    /// How late iterations began that were to begin by the clock.
    pub starts: Histogram,
    /// Whiles with so many frames a second and thread, to an eighth of an octave: in how many it kept up, in how many not.
    loads: BTreeMap<u16, (u64, u64)>,
    /// How it fared over time, for people.
    pub over_time: Timeline<Fared>,
    /// What was noticed since the last pulse.
    since: Fared,
}

impl Default for Instrument {
    /// Nothing is known.
    fn default() -> Instrument {
        Instrument {
            time: Micros::ZERO,
            late: Micros::ZERO,
            latest: Micros::ZERO,
            cpu: Micros::ZERO,
            lag: Histogram::default(),
            starts: Histogram::default(),
            loads: BTreeMap::new(),
            over_time: Timeline::new(FIRST_WIDTH.0),
            since: Fared::default(),
        }
    }
}

/// With more than this share of its time overdue a thread is overloaded: its 99th percentile of lateness is more than a timer's
/// error then.
const OVERLOADED: f64 = 0.01;

impl Instrument {
    /// A frame waited so long between arrival and read.
    pub fn read(&mut self, lag: Micros) {
        self.lag.record(lag.0);
        self.since.lag = self.since.lag.max(lag);
    }

    /// An iteration that was to begin by the clock began so late.
    pub fn began(&mut self, late: Micros) {
        self.starts.record(late.0);
        self.since.start = self.since.start.max(late);
    }

    /// An arrival found no free user.
    pub fn dropped(&mut self) {
        self.since.dropped += 1;
    }

    /// What was noticed since the last pulse.
    pub fn since_pulse(&self) -> Fared {
        self.since
    }

    /// Counts what a thread's timers showed.
    pub fn pulse(&mut self, pulse: Pulse) {
        let Pulse { at, lasted, late, latest, cpu, frames } = pulse;
        let cpu_known = cpu.unwrap_or(Micros::ZERO);
        let fared = Fared { time: lasted, late, latest, cpu: cpu_known, frames, ..std::mem::take(&mut self.since) };
        // Most of it was in the slice of its middle.
        self.over_time.at((at - Micros(lasted.0 / 2)).0).join(fared);
        self.time += pulse.lasted;
        self.late += pulse.late;
        self.latest = self.latest.max(pulse.latest);
        self.cpu += pulse.cpu.unwrap_or(Micros::ZERO);
        let rate = u128::from(pulse.frames) * 1_000_000 / u128::from(pulse.lasted.0.max(1));
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        let (kept_up, not) = self.loads.entry(coarse::bucket(rate)).or_default();
        *if overloaded(pulse.late, pulse.lasted) { not } else { kept_up } += 1;
    }

    /// Joins what is known of two parts; order does not matter.
    pub fn merge(&mut self, other: Instrument) {
        self.time += other.time;
        self.late += other.late;
        self.latest = self.latest.max(other.latest);
        self.cpu += other.cpu;
        self.lag.merge(&other.lag);
        self.starts.merge(&other.starts);
        self.over_time.merge(other.over_time);
        self.since.join(other.since);
        for (rate, (kept_up, not)) in other.loads {
            let mine = self.loads.entry(rate).or_default();
            *mine = (mine.0 + kept_up, mine.1 + not);
        }
    }

    /// The share of their time in which threads were overdue, 0 to 1.
    pub fn share_late(&self) -> f64 {
        if self.time == Micros::ZERO { 0.0 } else { self.late.0 as f64 / self.time.0 as f64 }
    }

    /// Figures beyond their limits may be the harness's own.
    pub fn overloaded(&self) -> bool {
        overloaded(self.late, self.time)
    }

    /// Frames a second and thread, to an eighth, up to which it kept up, most of the time at least; `None` if at no load.
    pub fn kept_up_to(&self) -> Option<u64> {
        let kept_up = self.loads.iter().take_while(|(_, (kept_up, not))| kept_up > not);
        kept_up.last().map(|(rate, _)| coarse::top(*rate))
    }

    /// By how much a figure of this segment may be too large at most: each of its ends that our own clock tells, and each step
    /// in between that waits for the thread, may have been that late.
    pub fn excess(&self, segment: Segment) -> Micros {
        let turns = match segment {
            // The answer to the login, the beginning of the connect, the ask.
            Segment::GoldenPath | Segment::Response => 3,
            Segment::Login
            | Segment::Connect
            | Segment::Greeting
            | Segment::FirstEvent
            | Segment::Silence
            | Segment::Tool
            | Segment::Run => 1,
        };
        Micros(self.latest.0.saturating_mul(turns))
    }
}

fn overloaded(late: Micros, time: Micros) -> bool {
    late.0 as f64 > OVERLOADED * time.0 as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pulse(frames: u64, late_ms: u64) -> Pulse {
        let late = Micros::from_millis(late_ms);
        let at = Stamp::ZERO + Micros::from_secs(frames);
        Pulse { at, lasted: Micros::from_secs(1), late, latest: late, cpu: Some(Micros(7)), frames }
    }

    fn of(pulses: &[Pulse]) -> Instrument {
        let mut instrument = Instrument::default();
        pulses.iter().for_each(|pulse| instrument.pulse(*pulse));
        instrument
    }

    #[test]
    fn a_thread_is_overloaded_with_more_than_a_hundredth_of_its_time_overdue() {
        assert!(!of(&[pulse(5, 10), pulse(5, 10)]).overloaded());
        assert!(of(&[pulse(5, 11), pulse(5, 10)]).overloaded());
        assert!(!Instrument::default().overloaded(), "nothing is known of it");
    }

    #[test]
    fn the_load_up_to_which_it_kept_up_is_the_largest_below_the_first_at_which_it_did_not() {
        let within_an_eighth =
            |found: Option<u64>, rate: u64| found.is_some_and(|found| (rate..=rate * 9 / 8).contains(&found));
        let rising = [pulse(100, 0), pulse(1_000, 0), pulse(5_000, 0), pulse(9_000, 300), pulse(10_000, 0)];
        assert!(within_an_eighth(of(&rising).kept_up_to(), 5_000), "{:?}", of(&rising).kept_up_to());
        // One pause of the whole machine is not the load's.
        let once = [pulse(100, 0), pulse(100, 250), pulse(100, 0), pulse(900, 0)];
        assert!(within_an_eighth(of(&once).kept_up_to(), 900));
        assert_eq!(of(&[pulse(3, 500)]).kept_up_to(), None);
    }

    #[test]
    fn what_was_noticed_stands_in_the_slice_of_the_pulse_after_it() {
        let mut instrument = Instrument::default();
        instrument.read(Micros(70));
        instrument.read(Micros(30));
        instrument.dropped();
        instrument.pulse(pulse(1, 0));
        instrument.began(Micros(9));
        instrument.pulse(pulse(3, 40));
        let seen: Vec<_> = instrument
            .over_time
            .slices()
            .map(|(from, _, fared)| (from, fared.lag.0, fared.start.0, fared.dropped, fared.late.0, fared.frames))
            .collect();
        assert_eq!(seen, [(0, 70, 0, 1, 0, 1), (2_000_000, 0, 9, 0, 40_000, 3)]);
        assert_eq!(instrument.since_pulse(), Fared::default());
    }

    proptest! {
        #[test]
        fn merging_is_counting_in_any_order(pulses in prop::collection::vec((0..50_000_u64, 0..900_u64), 0..30), cut in 0..30_usize) {
            let pulses: Vec<Pulse> = pulses.into_iter().map(|(frames, late)| pulse(frames, late)).collect();
            let (one, other) = pulses.split_at(cut.min(pulses.len()));
            let (mut left, mut right) = (of(one), of(other));
            left.merge(of(other));
            right.merge(of(one));
            prop_assert_eq!(&left, &of(&pulses));
            prop_assert_eq!(left, right);
        }
    }
}
