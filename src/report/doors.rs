//! Doors that must stay shut, a row for each probe: what came of it, and what that counts for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tree::Word;
use crate::check::{Conclusion, DoorRow};
use crate::probe;

/// What one probe has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Door {
    /// The probe's name: `no-token`, `foreign-thread`.
    pub probe: String,
    /// Where it knocked.
    pub at: probe::Door,
    /// What it brought, in words.
    pub with: String,
    /// What counts as a refusal of it.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// What came of the same with all that is right.
    pub control: String,
    /// What became of another user's run meanwhile.
    pub beside: String,
    /// What it brought was wrong in more than it was meant to be, so that a refusal does not say in which.
    pub weak: bool,
    /// Whether the door is shut; null if it was spared, for the reason in `missing`.
    pub verdict: Option<Word>,
    /// Of what is not shut: what is missing for a verdict, or why it was spared; null otherwise.
    pub missing: Option<String>,
}

impl Door {
    pub(super) fn all(conclusion: &Conclusion) -> Vec<Door> {
        conclusion.doors.iter().map(Door::new).collect()
    }

    fn new(row: &DoorRow) -> Door {
        Door {
            probe: row.probe.to_string(),
            at: row.door,
            with: row.with.clone(),
            expected: row.expected.clone(),
            seen: row.seen.clone(),
            control: row.control.clone(),
            beside: row.beside.clone(),
            weak: row.weak,
            verdict: row.verdict.map(Word::from),
            missing: row.missing.clone(),
        }
    }

    /// The probe, and the door where it is not the socket.
    pub(super) fn name(&self) -> String {
        match self.at {
            probe::Door::Socket => self.probe.clone(),
            probe::Door::Http => format!("{} over HTTP", self.probe),
        }
    }

    /// Somebody stood at it.
    pub(super) fn knocked(&self) -> bool {
        self.beside != "none"
    }

    /// In one line: what was seen, and of what is not shut what more a reader needs.
    pub(super) fn line(&self) -> String {
        match (self.verdict, &self.missing) {
            (None, Some(why)) => format!("{}: {why}", self.seen),
            (Some(Word::Pass), _) if self.weak => {
                format!("{}, perhaps for its signature, which did not fit", self.seen)
            }
            (Some(Word::Fail), _) => format!("{}; it brought {}", self.seen, self.with),
            _ => self.seen.clone(),
        }
    }
}
