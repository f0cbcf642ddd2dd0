//! What happened around a finding: whose it was, how long nothing came, where a connection was cut, what other users did
//! meanwhile. Data for swim lanes; nothing is drawn here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tree::Mark;
use crate::finding::Deviation;
use crate::identity::{Iteration, UserNumber};
use crate::time::Micros;

/// A run of another user at the time of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Beside {
    /// Whose run.
    pub user: UserNumber,
    /// The user's iteration.
    pub iteration: Iteration,
    /// When it was asked for, in microseconds since the execution began.
    pub asked_us: u64,
    /// When it was over, in microseconds since the execution began.
    pub over_us: u64,
    /// Its last events, in order of arrival.
    pub marks: Vec<Mark>,
}

/// Whose the thing was that came to the wrong user.
pub(super) fn owner(deviation: &Deviation) -> Option<UserNumber> {
    match deviation {
        Deviation::ForeignCanary { owner, .. } | Deviation::ForeignIdentity { owner, .. } => Some(*owner),
        _ => None,
    }
}

/// How long nothing came before the finding was certain.
pub(super) fn silence(deviation: &Deviation) -> Option<Micros> {
    match deviation {
        Deviation::NeverStarted { waited, .. }
        | Deviation::Stalled { waited, .. }
        | Deviation::UpgradeHung { waited }
        | Deviation::GreetingMissing { waited, frames: 0 } => Some(*waited),
        _ => None,
    }
}

/// How a connection ended that should have lasted.
pub(super) fn cut(deviation: &Deviation) -> Option<String> {
    match deviation {
        Deviation::ClosedEarly { code, .. } => Some(format!("closed {code}")),
        Deviation::ConnectionLost { .. } => Some("lost".to_owned()),
        Deviation::UpgradeRefused { status } => Some(format!("refused with HTTP {status}")),
        Deviation::GreetingRefused { .. } => Some("refused".to_owned()),
        Deviation::FrameTooLarge { .. } | Deviation::ProtocolViolation { .. } => Some("given up".to_owned()),
        _ => None,
    }
}
