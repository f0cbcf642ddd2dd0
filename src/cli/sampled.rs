//! What the process takes of its machine while an execution goes on: memory, files, computing. The embedded backend is a part
//! of the process.
//!
//! Sampled a few times a second by who watches; nothing is judged from it.

use super::unix;
use crate::report;
use crate::session::kernel;
use crate::stats::{Join, Timeline};
use crate::time::Micros;

/// What was sampled so far.
pub struct Sampled {
    over_time: Timeline<Sample>,
    /// The last of each.
    pub now: Sample,
    most_files: Option<u64>,
    looks: u64,
    /// How long the process had been computing at the last look.
    computed: Option<Micros>,
}

/// What was held, and taken since the sample before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    /// Memory, in bytes.
    pub memory: Option<u64>,
    /// Open files.
    pub files: Option<u64>,
    /// Computing, of all threads.
    pub computing: Option<Micros>,
}

impl Join for Sample {
    fn join(&mut self, other: Sample) {
        self.memory = self.memory.max(other.memory);
        self.files = self.files.max(other.files);
        self.computing = match (self.computing, other.computing) {
            (Some(mine), Some(more)) => Some(mine + more),
            (mine, more) => mine.or(more),
        };
    }
}

/// Counting files takes some microseconds for each.
const FEW_FILES: u64 = 2_000;
/// Of this many times they are counted only once where they are many.
const SELDOM: u64 = 25;
/// The width of a slice of time at first.
const FIRST_WIDTH: Micros = Micros::from_secs(1);

impl Default for Sampled {
    /// Nothing yet. What was computed before does not count.
    fn default() -> Sampled {
        Sampled {
            over_time: Timeline::new(FIRST_WIDTH.0),
            now: Sample::default(),
            most_files: None,
            looks: 0,
            computed: kernel::computed(kernel::Of::Process),
        }
    }
}

impl Sampled {
    /// Takes a sample; `at` counts from the beginning of the execution.
    pub fn look(&mut self, at: Micros) {
        if self.most_files < Some(FEW_FILES) || self.looks.is_multiple_of(SELDOM) {
            self.now.files = unix::open_files();
            self.most_files = self.most_files.max(self.now.files);
        }
        self.looks += 1;
        let computed = kernel::computed(kernel::Of::Process);
        self.now.memory = unix::memory_now();
        self.now.computing = computed.zip(self.computed).map(|(now, before)| now - before);
        self.computed = computed;
        self.over_time.at(at.0).join(self.now);
    }

    /// All of it, as reports hold it.
    pub fn machine(&self) -> report::Machine {
        let slice = |(from_us, width_us, sample): (u64, u64, &Sample)| report::Taken {
            from_us,
            width_us,
            memory_bytes: sample.memory,
            files: sample.files,
            computing_us: sample.computing.map(|computing| computing.0),
        };
        report::Machine {
            memory_max_bytes: unix::memory_max(),
            files_max: self.most_files,
            files_limit: unix::raise_open_files(),
            cores: std::thread::available_parallelism().ok().map(|cores| cores.get() as u64),
            over_time: self.over_time.slices().map(slice).collect(),
        }
    }
}
