//! What a report says of the recording beside it, and of having been judged from one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where what the judge was told is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recording {
    /// The file, as the user would name it.
    pub file: String,
    /// How many entries (frames, facts, passed deadlines) were left out; with 0 everything can be judged again.
    pub left_out: u64,
    /// The command line that judges it again.
    pub command: String,
}

/// How a report came from a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// The file, as the user named it.
    pub file: String,
    /// It holds everything from the beginning to the end, so every claim was judged again.
    pub complete: bool,
    /// What was judged by in place of what was recorded: `--scenario new.yaml`; empty if nothing.
    pub anew: Vec<String>,
    /// Claims that were judged again from frames.
    pub recomputed: Vec<String>,
    /// Claims that are repeated as they were judged live, for what they need was left out.
    pub repeated: Vec<String>,
    /// Claims that can be neither judged again nor repeated; they are inconclusive.
    pub unknown: Vec<String>,
}
