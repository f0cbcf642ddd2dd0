//! The file of a recording: made before the first packet, appended to by every thread, ended with the report.
//!
//! What is recorded is decided elsewhere (`session::recorder`), and how it is spelled too (`trace::recording`). A write that
//! fails ends the recording and nothing else: the execution goes on, and the error is told beside its verdict.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use clap::ValueEnum;

use super::resolved::{End, Header};
use super::unix;
use crate::report::Report;
use crate::session::recorder::{Keep, Tapes};
use crate::trace::recording::{self, Kind};

/// The name of a recording in the folder of its report.
pub const RECORDING: &str = "recording.gpr";

/// Up to which size everything is kept unless told otherwise, in bytes.
const AUTO: u64 = 64 * 1024 * 1024;

/// What is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Record {
    /// Everything up to 64 MiB, then users with failures and both sides of leaks
    Auto,
    /// Everything
    All,
    /// Users with failures and both sides of leaks
    Failures,
    /// Nothing
    None,
}

impl Record {
    /// What a recorder is to keep.
    pub fn keep(self) -> Option<Keep> {
        match self {
            Record::Auto => Some(Keep::AllUpTo(AUTO)),
            Record::All => Some(Keep::All),
            Record::Failures => Some(Keep::Failures),
            Record::None => None,
        }
    }
}

/// A recording that is being written.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    sink: Arc<Mutex<Sink>>,
    tapes: Arc<Tapes>,
}

/// Where blocks go.
#[derive(Debug)]
struct Sink {
    file: File,
    /// Bytes of whole blocks.
    whole: u64,
    failed: Option<std::io::Error>,
}

impl Sink {
    /// Appends one block, whole or not at all; nothing after a failure, for a recording with a hole would be none.
    fn append(&mut self, block: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        match self.file.write_all(block) {
            Ok(()) => self.whole += block.len() as u64,
            Err(error) => {
                // The first error is the one to tell; a torn end is read as such.
                let _ = self.file.set_len(self.whole);
                let _ = self.file.seek(SeekFrom::Start(self.whole));
                self.failed = Some(error);
            }
        }
    }
}

impl Recording {
    /// Makes the file, in place of an older one, with its header.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn create(folder: &Path, keep: Keep, header: &Header) -> anyhow::Result<Recording> {
        let path = folder.join(RECORDING);
        let file = create(folder, &path).with_context(|| format!("failed to record into {}", path.display()))?;
        let mut sink = Sink { file, whole: 0, failed: None };
        let header = serde_json::to_vec(header).context("failed to spell the header of the recording")?;
        let block = recording::encode(Kind::Header, &header).context("the header of the recording is too large")?;
        sink.append(&[recording::preface(), block].concat());
        let sink = Arc::new(Mutex::new(sink));
        let shared = Arc::clone(&sink);
        let append = move |block: &[u8]| shared.lock().unwrap_or_else(PoisonError::into_inner).append(block);
        Ok(Recording { path, sink, tapes: Arc::new(Tapes::new(keep, append)) })
    }

    /// What the threads record to.
    pub fn tapes(&self) -> Arc<Tapes> {
        Arc::clone(&self.tapes)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends the recording with the report.
    ///
    /// # Errors
    ///
    /// When this or an earlier write failed: the recording is good up to there.
    pub fn end(self, report: &Report) -> anyhow::Result<()> {
        let end = serde_json::to_vec(&End { report: report.clone() }).context("failed to spell the report")?;
        let block = recording::encode(Kind::End, &end).context("the report is too large to be recorded")?;
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.append(&block);
        let result = match sink.failed.take() {
            Some(error) => Err(error),
            None => sink.file.sync_all(),
        };
        result.with_context(|| format!("failed to record into {}; it is good up to there", self.path.display()))
    }
}

fn create(folder: &Path, path: &Path) -> std::io::Result<File> {
    fs::create_dir_all(folder)?;
    // An older one may be open elsewhere, or have other rights.
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    unix::private(&mut options);
    options.open(path)
}
