//! What a recording holds, and how it is divided.
//!
//! A recording is a header and a sequence of self-contained blocks: each can be read without the ones before it, so a file
//! that was cut in the middle of a write is good up to its last whole block. Reading and writing files is `cli`'s.

use serde::{Deserialize, Serialize};

use super::{Fact, Frame};
use crate::identity::{ExecutionId, UserNumber};
use crate::time::Stamp;

/// What stands once at the beginning of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of this format, 1.
    pub version: u32,
    /// The execution that was recorded.
    pub execution: ExecutionId,
    /// The seed of its plan.
    pub seed: u64,
    /// When it began, in microseconds since the Unix epoch.
    pub began_unix_us: u64,
    /// The resolved scenario, as YAML text.
    pub scenario: String,
    /// The resolved profile, as YAML text.
    pub profile: String,
    /// Whether frames carry the kernel's arrival stamps.
    pub kernel_stamps: bool,
}

/// Consecutive entries of one thread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Block<'a> {
    /// The thread that wrote it, from 0.
    pub thread: u32,
    /// Counted from 0 per thread; a gap means a lost block.
    pub sequence: u64,
    /// Entries left out because they did not fit into memory before their iteration was settled.
    pub dropped: u64,
    /// In the order in which the judge was fed.
    #[serde(borrow)]
    pub entries: Vec<Entry<'a>>,
}

/// One observation of one user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// The user; absent for the readiness of the target.
    pub user: Option<UserNumber>,
    /// What was observed.
    #[serde(borrow)]
    pub observed: Observed<'a>,
}

/// What an entry holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observed<'a> {
    /// A frame on the socket.
    Frame(#[serde(borrow)] Frame<'a>),
    /// Something the harness did or was answered.
    Fact(Fact),
    /// Nothing more had arrived by then: the judge's deadlines up to this stamp have passed.
    Quiet(Stamp),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Connection, Iteration};
    use crate::trace::{Content, Direction};

    #[test]
    fn a_block_reads_back_as_written() {
        let frame = Frame {
            connection: Connection(1),
            direction: Direction::Received,
            at: Stamp(7),
            read_at: Stamp(8),
            not_before: Stamp(6),
            content: Content::Text("{\"type\":\"agent_started\"} \u{1f680}".into()),
        };
        let began = Fact::Began { iteration: Iteration(1), scheduled: Stamp(0), at: Stamp(1), fresh: true };
        let entry = |observed| Entry { user: Some(UserNumber(101)), observed };
        let block = Block {
            thread: 0,
            sequence: 3,
            dropped: 0,
            entries: vec![
                entry(Observed::Fact(began)),
                entry(Observed::Frame(frame)),
                Entry { user: None, observed: Observed::Quiet(Stamp(9)) },
            ],
        };
        let text = serde_json::to_string(&block).unwrap();
        assert_eq!(serde_json::from_str::<Block<'_>>(&text).unwrap(), block);
    }
}
