//! The facts of a session: what the harness itself did and was answered outside the socket.
//!
//! The judge learns of logins, upgrades and asks only through these, so a recording that holds them can be judged again.
//! Texts are free of secrets before they get here.

use serde::{Deserialize, Serialize};

use crate::identity::{Connection, Iteration, UserNumber};
use crate::probe::{Door, Probe};
use crate::time::{Micros, Stamp};

/// Something the harness did, or was answered outside the socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// An iteration begins.
    Began {
        /// Which.
        iteration: Iteration,
        /// When it was meant to begin.
        scheduled: Stamp,
        /// When it did.
        at: Stamp,
        /// It logs in and connects; otherwise it goes on with the session of the one before.
        fresh: bool,
        /// It is no part of the load: probes knock beside it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        apart: bool,
    },
    /// One HTTP step, with its retries.
    Step {
        /// The phase it belongs to.
        phase: Phase,
        /// Method and path as the profile writes them: `POST /auth/login`.
        name: String,
        /// Just before the first byte was written.
        sent: Stamp,
        /// When its body was read, or it was given up.
        done: Stamp,
        /// How it went.
        outcome: StepOutcome,
    },
    /// The user belongs to a group within which nothing is another's.
    Grouped {
        /// Its name.
        group: String,
        /// When that was told.
        at: Stamp,
    },
    /// The user is a persona in this iteration.
    Plays {
        /// Its name.
        persona: String,
        /// When that was told.
        at: Stamp,
    },
    /// The user only listens: it connects and never asks.
    Listens {
        /// It is a further connection of this user; otherwise it is a user of its own.
        of: Option<UserNumber>,
        /// When that was told.
        at: Stamp,
    },
    /// A value was captured. Secrets are not told.
    Captured {
        /// The profile's name for it.
        name: String,
        /// Its text form.
        value: String,
        /// When.
        at: Stamp,
    },
    /// Marks of prompts that are not this user's own stood in the answer to a step, whether it was as expected or not.
    Marked {
        /// The step, as in `Step`.
        name: String,
        /// The marks, the first few.
        marks: Vec<String>,
        /// When the answer was read.
        at: Stamp,
    },
    /// Words made like identities stood in the answer to a step that was as expected.
    Named {
        /// The step, as in `Step`.
        name: String,
        /// The words, each once, the first few.
        words: Vec<String>,
        /// When the answer was read.
        at: Stamp,
    },
    /// A connection was tried.
    Dialed {
        /// Which.
        connection: Connection,
        /// When the TCP connect began.
        begun: Stamp,
        /// When the upgrade was answered, or given up.
        done: Stamp,
        /// How it went.
        outcome: Dial,
    },
    /// The agent is about to be asked; the frame or request follows.
    Asked {
        /// Counted from 0 in its iteration.
        turn: u32,
        /// Just before the write.
        at: Stamp,
        /// The run id that the harness chose, where the profile sends one.
        run: Option<String>,
        /// The thread id that the harness chose, where the profile sends one.
        thread: Option<String>,
        /// The prompt as sent, mark included.
        prompt: String,
    },
    /// The harness closed the connection.
    Closed {
        /// Which.
        connection: Connection,
        /// When.
        at: Stamp,
    },
    /// The execution was interrupted; what was in flight is not judged as missing.
    Interrupted {
        /// When.
        at: Stamp,
    },
    /// The iteration is over, clean-up included.
    Ended {
        /// When.
        at: Stamp,
    },
    /// The user goes to a door; until it leaves, what it does and hears there is no part of an iteration.
    Knocked {
        /// As who must not get in; or, as the control, with all that is right.
        probe: Probe,
        /// Which door.
        door: Door,
        /// With all that is right.
        control: bool,
        /// What it brings, in words.
        with: String,
        /// Ids of others that it brings, so that it hears them again is no wonder.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        brought: Vec<String>,
        /// What it brings is wrong in more than it is meant to be, so that a refusal does not say in which.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        weak: bool,
        /// Whose iteration goes on meanwhile.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        beside: Option<(UserNumber, Iteration)>,
        /// When.
        at: Stamp,
    },
    /// The user has left the door.
    Left {
        /// When.
        at: Stamp,
    },
    /// A probe was left out.
    Spared {
        /// Which.
        probe: Probe,
        /// Why.
        why: String,
        /// When that was told.
        at: Stamp,
    },
    /// An iteration that was to begin by the clock found no free user. It concerns nobody in particular.
    Dropped {
        /// When it was meant to begin.
        scheduled: Stamp,
        /// When that was noticed.
        at: Stamp,
    },
    /// What a thread of the harness showed of itself for a while. It concerns nobody in particular.
    Pulse {
        /// When the while was over.
        at: Stamp,
        /// How long it was.
        lasted: Micros,
        /// How much of it the thread was overdue by more than a timer's error.
        late: Micros,
        /// The most it was overdue.
        latest: Micros,
        /// How long it was computing, where the system says so.
        cpu: Option<Micros>,
    },
    /// The execution's deadline passed before everything was over. It concerns nobody in particular.
    Overdue {
        /// When.
        at: Stamp,
    },
}

impl Fact {
    /// Moves it to a later time.
    pub fn delay(&mut self, by: Micros) {
        let (first, last) = match self {
            Fact::Step { sent, done, .. } => (Some(sent), done),
            Fact::Dialed { begun, done, .. } => (Some(begun), done),
            Fact::Began { scheduled, at, .. } | Fact::Dropped { scheduled, at } => (Some(scheduled), at),
            Fact::Grouped { at, .. }
            | Fact::Plays { at, .. }
            | Fact::Listens { at, .. }
            | Fact::Captured { at, .. }
            | Fact::Marked { at, .. }
            | Fact::Named { at, .. }
            | Fact::Asked { at, .. }
            | Fact::Closed { at, .. }
            | Fact::Interrupted { at }
            | Fact::Ended { at }
            | Fact::Pulse { at, .. }
            | Fact::Knocked { at, .. }
            | Fact::Left { at }
            | Fact::Spared { at, .. }
            | Fact::Overdue { at } => (None, at),
        };
        first.into_iter().chain([last]).for_each(|stamp| *stamp = *stamp + by);
    }

    /// When it was over.
    pub fn at(&self) -> Stamp {
        match self {
            Fact::Step { done, .. } | Fact::Dialed { done, .. } => *done,
            Fact::Began { at, .. }
            | Fact::Grouped { at, .. }
            | Fact::Plays { at, .. }
            | Fact::Listens { at, .. }
            | Fact::Captured { at, .. }
            | Fact::Marked { at, .. }
            | Fact::Named { at, .. }
            | Fact::Asked { at, .. }
            | Fact::Closed { at, .. }
            | Fact::Interrupted { at }
            | Fact::Ended { at }
            | Fact::Knocked { at, .. }
            | Fact::Left { at }
            | Fact::Spared { at, .. }
            | Fact::Dropped { at, .. }
            | Fact::Pulse { at, .. }
            | Fact::Overdue { at } => *at,
        }
    }
}

/// When a step is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Once, before any user.
    Ready,
    /// Per session.
    Login,
    /// Before a session ends by itself.
    Refresh,
    /// Per iteration, before connecting.
    Prepare,
    /// Per turn: the request that asks.
    Ask,
    /// Per iteration, after the runs; judged.
    After,
    /// Per iteration, always; never judged.
    Finally,
    /// At a door that must stay shut.
    Probe,
}

/// How an HTTP step went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum StepOutcome {
    /// As the profile expects.
    Good {
        /// The HTTP status.
        status: u16,
    },
    /// Answered, and not as the profile expects.
    Refused {
        /// The HTTP status.
        status: u16,
        /// What was expected and not found.
        why: String,
        /// The body's beginning, at most 4 KiB.
        body: String,
    },
    /// Not answered.
    Failed(NetFailure),
}

/// How a connect and upgrade went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "dial", rename_all = "snake_case")]
pub enum Dial {
    /// A WebSocket.
    Upgraded {
        /// The selected subprotocol.
        subprotocol: Option<String>,
        /// It is one that was offered, or none was offered and none selected.
        echo_fits: bool,
        /// The profile demands that it fits.
        echo_strict: bool,
    },
    /// Answered, and not with 101.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The head's other lines.
        headers: String,
        /// The body's beginning, at most 4 KiB.
        body: String,
    },
    /// Answered with 101 and a handshake that RFC 6455, section 4.1 tells a client to fail.
    Invalid {
        /// What is wrong.
        why: String,
    },
    /// Not answered.
    Failed(NetFailure),
}

/// A request that was not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetFailure {
    /// What was being done: `connecting to 127.0.0.1:8000`.
    pub doing: String,
    /// The system's words, causes included.
    pub error: String,
    /// The connection stood and the answer did not come in time.
    pub hung: bool,
}

impl std::fmt::Display for NetFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.doing, self.error)
    }
}
