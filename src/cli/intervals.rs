//! What went on in each stretch of an execution that takes hours: a line on stderr, and one of JSON in a file.
//!
//! Each line is written at once and whole, so a process that is killed leaves all stretches that were over. Sums are those of
//! the counters that progress shows; verdicts come from the judge alone, and from the whole.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;

use super::progress::clock;
use super::sampled::Sample;
use super::unix;
use crate::engine::{Interval, Marks, Progress};
use crate::finding::counted;
use crate::time::Micros;

/// The file of the summaries, in the folder of the execution.
pub const INTERVALS: &str = "intervals.jsonl";

/// Summaries of an execution that goes on.
pub struct Intervals {
    every: Micros,
    path: PathBuf,
    file: File,
    marks: Marks,
    /// Where the stretch began that goes on, counted from the beginning of all.
    from: Micros,
    /// What the process computed in it, and the most it held.
    sampled: Sample,
    nth: u64,
    failed: Option<std::io::Error>,
}

/// A line of the file: JSON Lines, one object per stretch. Times are in microseconds.
#[derive(Debug, Serialize)]
struct Line {
    /// Which, from 1.
    interval: u64,
    /// Where it began and ended, counted from the beginning of the execution.
    from_us: u64,
    to_us: u64,
    iterations: u64,
    /// Runs that were over with their quiet time, or given up; and those that ended well, whose quiet time may follow.
    runs: u64,
    runs_good: u64,
    /// Runs in flight at its end, and those in their quiet time.
    in_flight: u64,
    frames: u64,
    arrivals_dropped: u64,
    /// Findings by the code of their rule; what only the whole shows is not among them.
    findings: BTreeMap<&'static str, u64>,
    /// How long good runs took; at most an eighth more than the truth; null with too few.
    run_p50_us: Option<u64>,
    run_p95_us: Option<u64>,
    run_p99_us: Option<u64>,
    run_max_us: Option<u64>,
    /// How long the engine's threads were observed, and how much of that they were overdue, all together.
    observed_us: u64,
    late_us: u64,
    /// The most that a timer was overdue, and the longest that a frame had waited.
    timer_max_us: u64,
    lag_max_us: u64,
    /// How long the engine's threads were computing, and the whole process with an embedded backend.
    computing_us: u64,
    process_us: Option<u64>,
    /// The most memory that was held, and the most files that were open, as sampled.
    memory_bytes: Option<u64>,
    files: Option<u64>,
}

impl Intervals {
    /// Makes the file, in place of an older one.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn create(folder: &Path, every: Micros) -> anyhow::Result<Intervals> {
        let path = folder.join(INTERVALS);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        unix::private(&mut options);
        let file = fs::create_dir_all(folder).and_then(|()| options.open(&path));
        let file = file.with_context(|| format!("failed to write {}", path.display()))?;
        let (marks, from, sampled) = (Marks::default(), Micros::ZERO, Sample::default());
        Ok(Intervals { every, path, file, marks, from, sampled, nth: 0, failed: None })
    }

    /// Looks whether a stretch is over, and sums it up then. `last`: nothing follows, so what began is over as well.
    pub fn look(&mut self, now: Micros, last: bool, progress: &Progress, sample: Sample) -> Option<String> {
        crate::stats::Join::join(&mut self.sampled, sample);
        let over = now >= self.from + self.every;
        if !over && !last {
            return None;
        }
        self.nth += 1;
        let interval = progress.since(&mut self.marks);
        let sampled = std::mem::take(&mut self.sampled);
        let from = std::mem::replace(&mut self.from, now);
        self.write(&line(self.nth, (from, now), &interval, sampled));
        Some(summary((from, now), &interval, sampled))
    }

    /// Says whether everything was written.
    ///
    /// # Errors
    ///
    /// The first failure.
    pub fn end(self) -> anyhow::Result<()> {
        let path = self.path;
        self.failed.map_or(Ok(()), Err).with_context(|| format!("failed to write {}", path.display()))
    }

    fn write(&mut self, line: &Line) {
        let mut text = serde_json::to_vec(line).expect("numbers and names can be spelled");
        text.push(b'\n');
        if let Err(error) = self.file.write_all(&text) {
            // The first is the one to tell.
            self.failed.get_or_insert(error);
        }
    }
}

fn line(nth: u64, (from, to): (Micros, Micros), interval: &Interval, sampled: Sample) -> Line {
    let Interval { counts, in_flight, found, good, p50, p95, p99, max, fared } = interval;
    let us = |figure: &Option<Micros>| figure.map(|figure| figure.0);
    Line {
        interval: nth,
        from_us: from.0,
        to_us: to.0,
        iterations: counts.iterations,
        runs: counts.settled,
        runs_good: *good,
        in_flight: *in_flight,
        frames: counts.frames,
        arrivals_dropped: counts.dropped,
        findings: found.iter().map(|(rule, count)| (rule.code(), *count)).collect(),
        run_p50_us: us(p50),
        run_p95_us: us(p95),
        run_p99_us: us(p99),
        run_max_us: us(max),
        observed_us: fared.observed.0,
        late_us: fared.late.0,
        timer_max_us: fared.latest.0,
        lag_max_us: fared.lag.0,
        computing_us: fared.computing.0,
        process_us: us(&sampled.computing),
        memory_bytes: sampled.memory,
        files: sampled.files,
    }
}

/// The same for people, in one line.
fn summary((from, to): (Micros, Micros), interval: &Interval, sampled: Sample) -> String {
    let Interval { counts, in_flight, found, good, p50, p95, p99, fared, .. } = interval;
    let mut parts =
        vec![counted(counts.iterations, "iteration"), counted(*good, "good run"), format!("{in_flight} in flight")];
    let found: Vec<String> = found.iter().map(|(rule, count)| format!("{} {count}", rule.code())).collect();
    parts.push(if found.is_empty() { "no finding".to_owned() } else { format!("findings: {}", found.join(" ")) });
    let named = [("p50", p50), ("p95", p95), ("p99", p99)];
    let figures = named.into_iter().filter_map(|(name, figure)| Some(format!("{name} {}", (*figure)?)));
    let figures: Vec<String> = figures.collect();
    if !figures.is_empty() {
        parts.push(figures.join(" "));
    }
    if counts.dropped > 0 {
        parts.push(format!("{} dropped", counted(counts.dropped, "arrival")));
    }
    parts.push(format!("frames {} late, timers {}", fared.lag, fared.latest));
    let busy = fared.computing.0 as f64 * 100.0 / fared.observed.0.max(1) as f64;
    parts.push(format!("{busy:.0} % of a core per thread"));
    parts.extend(sampled.memory.map(|bytes| format!("{} MB", bytes.div_ceil(1_000_000))));
    parts.extend(sampled.files.map(|files| counted(files, "file")));
    format!("{:>6} to {}: {}", clock(from), clock(to), parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Stage;
    use crate::rule::Rule;

    #[test]
    fn a_stretch_is_summed_up_when_it_is_over_and_what_began_at_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let (progress, minute) = (Progress::new(), Micros::from_secs(60));
        let mut all = Intervals::create(folder.path(), minute).expect("a file");
        let sample = |memory| Sample { memory: Some(memory), files: Some(12), computing: Some(Micros(5)) };
        progress.add(Stage::Iteration, 3);
        progress.add(Stage::Settled, 4);
        progress.findings(Rule::Stalled, 2);
        (0..3).for_each(|_| progress.took(Micros::from_millis(15)));
        assert_eq!(all.look(Micros::from_secs(59), false, &progress, sample(9_000_000)), None);
        let told = all.look(Micros::from_secs(60), false, &progress, sample(7_000_000)).expect("a summary");
        assert_eq!(
            told,
            "  0:00 to 1:00: 3 iterations; 3 good runs; 0 in flight; findings: GP302 2; p50 15.4 ms; frames 0 ms late, \
             timers 0 ms; 0 % of a core per thread; 9 MB; 12 files"
        );
        let read = || fs::read_to_string(folder.path().join(INTERVALS)).expect("text");
        // It is there while the execution goes on.
        assert_eq!(read().lines().count(), 1);
        assert_eq!(all.look(Micros::from_secs(61), false, &progress, sample(1)), None);
        progress.add(Stage::Iteration, 4);
        assert!(all.look(Micros::from_secs(62), true, &progress, sample(1)).is_some());
        all.end().expect("all was written");
        let lines: Vec<serde_json::Value> =
            read().lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        let of = |field: &str| lines.iter().map(|line| line[field].as_u64().expect("a number")).collect::<Vec<_>>();
        assert_eq!((of("interval"), of("iterations")), (vec![1, 2], vec![3, 4]));
        assert_eq!((of("from_us"), of("to_us")), (vec![0, 60_000_000], vec![60_000_000, 62_000_000]));
        assert_eq!((of("memory_bytes"), of("process_us")), (vec![9_000_000, 1], vec![10, 10]));
        assert_eq!(lines[0]["findings"], serde_json::json!({ "GP302": 2 }));
        assert_eq!(
            (&lines[1]["findings"], &lines[1]["run_p50_us"]),
            (&serde_json::json!({}), &serde_json::Value::Null)
        );
    }
}
