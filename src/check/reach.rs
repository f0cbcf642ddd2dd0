//! How often a plan passes each segment at best, so that claims it cannot settle are refused before any traffic.
//!
//! How many passes a claim needs is `stats`; where the claim was written is known at the edge.

use crate::expect::Segment;

/// How much a plan intends to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// Users.
    pub users: u64,
    /// Iterations of all users together.
    pub iterations: u64,
    /// Set-ups of all users together.
    pub setups: u64,
    /// New connections within iterations, of all users together.
    pub reconnects: u64,
    /// Runs of all users together.
    pub runs: u64,
}

impl Planned {
    /// How many times a segment is passed if all goes well. Of tools at least one per run is expected.
    pub fn passes(&self, segment: Segment) -> u64 {
        match segment {
            Segment::Login => self.setups,
            Segment::Connect | Segment::Greeting => self.setups + self.reconnects,
            Segment::FirstEvent | Segment::Silence | Segment::Tool | Segment::Run => self.runs,
            Segment::GoldenPath | Segment::Response => self.iterations,
        }
    }
}
