//! What the backend really handed to which socket: the witness that a test holds against what clients say.
//!
//! An entry is made before the write begins and settled when it has returned, so a frame that any client can have
//! seen is always in the journal, and in the order of its connection. Logins are journaled as well, without
//! their secrets. Control frames of the WebSocket protocol (ping, pong, close) are not.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::fault::Spec;
use super::lock;

/// One frame, or one login or refresh over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When the write began, counted from the start of the backend. No client can have seen the frame earlier.
    pub at: Duration,
    /// Number of the connection, counted from 1 in the order of upgrades; none for a login over HTTP, and for an
    /// event whose user had no connection.
    pub connection: Option<u64>,
    /// The user the connection belongs to; none before authentication and for a refused login.
    pub user_id: Option<Arc<str>>,
    /// The agent run, for events.
    pub run_id: Option<Arc<str>>,
    /// The name of the event or message as in its `type`; `login`, `refresh` and either with `_refused` for HTTP, `fault` for a
    /// fault that struck.
    pub kind: &'static str,
    /// What became of it.
    pub outcome: Outcome,
    /// The whole text frame; for a login `{"email": ...}`, for a refresh nothing, for a fault `{"fault": ...}`.
    pub text: Utf8Bytes,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The write has begun and not returned yet.
    Writing,
    /// Handed to the operating system completely.
    Sent,
    /// Not known to be handed over: the connection was gone, going or too slow. A part may have left.
    Failed,
}

/// Collects entries; shared by all threads.
#[derive(Debug)]
pub(super) struct Journal {
    started: Instant,
    memory: Option<Mutex<Vec<Entry>>>,
    file: Option<Mutex<BufWriter<File>>>,
}

/// An entry whose write has begun.
#[must_use]
pub(super) struct Pending {
    entry: Entry,
    index: usize,
}

impl Journal {
    /// A journal in memory, in a file, in both; `None` if neither is wanted.
    pub(super) fn open(in_memory: bool, file: Option<&Path>) -> io::Result<Option<Journal>> {
        if !in_memory && file.is_none() {
            return Ok(None);
        }
        let file = file.map(File::create).transpose()?;
        Ok(Some(Journal {
            started: Instant::now(),
            memory: in_memory.then(Mutex::default),
            file: file.map(|file| Mutex::new(BufWriter::new(file))),
        }))
    }

    /// Notes that a write begins.
    pub(super) fn begin(
        &self,
        connection: Option<u64>,
        user_id: Option<Arc<str>>,
        run_id: Option<Arc<str>>,
        kind: &'static str,
        text: Utf8Bytes,
    ) -> Pending {
        let mut entry =
            Entry { at: Duration::ZERO, connection, user_id, run_id, kind, outcome: Outcome::Writing, text };
        let mut index = 0;
        match &self.memory {
            Some(memory) => {
                let mut entries = lock(memory);
                // Under the lock, so that times rise with the index.
                entry.at = self.started.elapsed();
                index = entries.len();
                entries.push(entry.clone());
            }
            None => entry.at = self.started.elapsed(),
        }
        Pending { entry, index }
    }

    /// Notes how the write ended, and appends the line to the file.
    pub(super) fn settle(&self, pending: Pending, outcome: Outcome) {
        let Pending { mut entry, index } = pending;
        entry.outcome = outcome;
        if let Some(memory) = &self.memory {
            lock(memory)[index].outcome = outcome;
        }
        if let Some(file) = &self.file {
            // A full disk must not take the backend down; the missing lines say it to whoever reads the file.
            let _ = writeln!(lock(file), "{}", line(&entry));
        }
    }

    /// Notes that a fault struck, so that what was done on purpose can be told from what went wrong.
    pub(super) fn struck(&self, spec: &Spec, user_id: Option<&Arc<str>>, run_id: Option<&Arc<str>>) {
        let text = json!({ "fault": spec.fault.name() }).to_string().into();
        let pending = self.begin(None, user_id.cloned(), run_id.cloned(), "fault", text);
        self.settle(pending, Outcome::Sent);
    }

    /// Makes what is settled visible to readers of the file.
    pub(super) fn flush(&self) {
        if let Some(file) = &self.file {
            let _ = lock(file).flush();
        }
    }

    /// For the end, when no writer is left: what still is [`Outcome::Writing`] never finished.
    pub(super) fn finish(&self) {
        if let Some(memory) = &self.memory {
            for entry in lock(memory).iter_mut().filter(|entry| entry.outcome == Outcome::Writing) {
                entry.outcome = Outcome::Failed;
                if let Some(file) = &self.file {
                    let _ = writeln!(lock(file), "{}", line(entry));
                }
            }
        }
        self.flush();
    }

    pub(super) fn snapshot(&self) -> Vec<Entry> {
        self.memory.as_ref().map(|memory| lock(memory).clone()).unwrap_or_default()
    }
}

/// One line of the journal file: `at_us` (microseconds since start), `connection`, `user_id`, `run_id`, `kind`,
/// `sent`, `text`.
fn line(entry: &Entry) -> String {
    json!({
        "at_us": u64::try_from(entry.at.as_micros()).unwrap_or(u64::MAX),
        "connection": entry.connection,
        "user_id": entry.user_id.as_deref(),
        "run_id": entry.run_id.as_deref(),
        "kind": entry.kind,
        "sent": entry.outcome == Outcome::Sent,
        "text": entry.text.as_str(),
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(journal: &Journal, text: &'static str) -> Pending {
        journal.begin(Some(3), Some("u-1".into()), None, "pong", Utf8Bytes::from_static(text))
    }

    #[test]
    fn nothing_wanted_is_no_journal() {
        assert!(Journal::open(false, None).unwrap().is_none());
    }

    #[test]
    fn a_frame_is_listed_before_its_write_returned() {
        let journal = Journal::open(true, None).unwrap().unwrap();
        let first = begin(&journal, "a");
        let second = begin(&journal, "b");
        journal.settle(second, Outcome::Sent);
        journal.settle(first, Outcome::Failed);
        let _never_settled = begin(&journal, "c");
        let outcomes = |journal: &Journal| journal.snapshot().iter().map(|entry| entry.outcome).collect::<Vec<_>>();
        assert_eq!(outcomes(&journal), [Outcome::Failed, Outcome::Sent, Outcome::Writing]);
        journal.finish();
        assert_eq!(outcomes(&journal), [Outcome::Failed, Outcome::Sent, Outcome::Failed]);
        assert!(journal.snapshot().is_sorted_by_key(|entry| entry.at));
    }

    #[test]
    fn the_file_holds_settled_frames_as_json_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let journal = Journal::open(false, Some(&path)).unwrap().unwrap();
        journal.settle(begin(&journal, "{\"a\":\"\n\"}"), Outcome::Sent);
        journal.flush();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1);
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value["at_us"] = json!(0);
        assert_eq!(
            value,
            json!({"at_us": 0, "connection": 3, "user_id": "u-1", "run_id": null, "kind": "pong", "sent": true,
                   "text": "{\"a\":\"\n\"}"})
        );
        assert!(journal.snapshot().is_empty());
    }

    #[test]
    fn a_file_that_cannot_be_made_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Journal::open(false, Some(&folder.path().join("no/such/folder"))).is_err());
    }
}
