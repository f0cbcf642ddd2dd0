//! A finding: one judged deviation of the target, with the smallest evidence a person needs to agree.
//!
//! Findings are typed; their sentences are made here from their fields, once, so that every report says the same. A finding is
//! never a mistake of the user (that is a diagnostic) and never a failure of the harness (that is an error).

use serde::{Deserialize, Serialize};

use crate::identity::{Connection, Iteration, UserNumber};
use crate::probe::Probe;
use crate::rule::Rule;
use crate::time::{Micros, Stamp};

/// One judged deviation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// When it was certain: a frame's arrival, or the deadline that passed.
    pub at: Stamp,
    /// Whom it concerns.
    pub subject: Subject,
    /// What was wrong.
    pub deviation: Deviation,
    /// What shows it.
    pub evidence: Evidence,
}

/// Whom a finding concerns. A set-up step before all users has no user.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Subject {
    /// The user at whom it was seen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user: Option<UserNumber>,
    /// The user's iteration.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub iteration: Option<Iteration>,
    /// The user's connection.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub connection: Option<Connection>,
    /// The run's id as sent or first received.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run: Option<String>,
}

/// The smallest part of what was seen that shows a finding.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Evidence {
    /// The last events of the run, in order of arrival.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub marks: Vec<Mark>,
    /// Frames, answers and requests, shortened and without secrets.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub excerpts: Vec<Excerpt>,
}

/// One event on a user's time line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Mark {
    /// When it arrived or was sent.
    pub at: Stamp,
    /// What it was: an event's name, `asked`, `closed 1011`.
    pub label: String,
}

/// A piece of text that was received or sent, at most `Excerpt::LIMIT` characters of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Excerpt {
    /// When.
    pub at: Stamp,
    /// What it is: `frame`, `answer`, `HTTP 403`.
    pub label: String,
    /// The text, ending in ` ... (N bytes)` when it was shortened.
    pub text: String,
}

impl Excerpt {
    /// Characters kept of a text.
    pub const LIMIT: usize = 400;

    /// Shortens `text` at a character boundary.
    pub fn new(at: Stamp, label: impl Into<String>, text: &str) -> Excerpt {
        let text = match text.char_indices().nth(Excerpt::LIMIT) {
            None => text.to_owned(),
            Some((cut, _)) => format!("{} ... ({} bytes)", &text[..cut], text.len()),
        };
        Excerpt { at, label: label.into(), text }
    }
}

/// How something of one user came to another, by what the owner's side tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeakClass {
    /// Several users got the same frame, its owner among them or not.
    Broadcast,
    /// It came in place of coming to its owner.
    Misrouted,
    /// Its owner got it, too.
    Copied,
    /// Each of two users got what was the other's.
    Swapped,
    /// Its owner's run was over when it came: the connection, or a session behind it, still was the owner's.
    StaleSession,
    /// What it stood in was its receiver's by ids or by place.
    ContentOnly,
    /// The same, and its owner had got it before.
    CachedAnswer,
    /// Several users are one to the target.
    IdentityCollapse,
    /// It is of another execution.
    ForeignExecution,
    /// Whether its owner got it is not known: it is no event of a run, or the owner's run was not seen.
    Unsettled,
}

impl std::fmt::Display for LeakClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            LeakClass::Broadcast => "broadcast",
            LeakClass::Misrouted => "misrouted",
            LeakClass::Copied => "copied",
            LeakClass::Swapped => "swapped",
            LeakClass::StaleSession => "stale session",
            LeakClass::ContentOnly => "content only",
            LeakClass::CachedAnswer => "cached answer",
            LeakClass::IdentityCollapse => "identity collapse",
            LeakClass::ForeignExecution => "foreign execution",
            LeakClass::Unsettled => "unsettled",
        })
    }
}

/// What came of one user's run to another user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Leak {
    /// How it came there.
    pub class: LeakClass,
    /// The owner's ids that told it: `run id r-2`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ids: Vec<String>,
    /// In how many frames and answers.
    pub frames: u64,
    /// Of what was misrouted: the events that the owner never got.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub lacks: Vec<String>,
    /// Of what was broadcast: who else got it, the first few.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub others: Vec<UserNumber>,
    /// There are more of them.
    #[serde(default)]
    pub more: bool,
}

/// Whether the target said that an ask arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acknowledged {
    /// The profile does not know how it would.
    #[default]
    NotAsked,
    /// It did not.
    Never,
    /// So long after the ask.
    After(Micros),
}

/// What was wrong, with what a sentence about it needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Deviation {
    /// See `Rule::MissingEvent`.
    MissingEvent {
        /// The names that never came.
        names: Vec<String>,
        /// Names that did come and that nothing mentions, the first few: one of them may be what is missing.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        instead: Vec<String>,
    },
    /// See `Rule::OutOfOrder`.
    OutOfOrder {
        /// What came too early.
        event: String,
        /// What it came before.
        before: String,
    },
    /// See `Rule::DuplicateEvent`.
    DuplicateEvent {
        /// The event that came again.
        event: String,
        /// The agent, call or event id by which it was recognised.
        of: String,
    },
    /// See `Rule::LateEvent`.
    LateEvent {
        /// The event.
        event: String,
        /// How long after the end.
        after: Micros,
    },
    /// See `Rule::UnpairedTool`.
    UnpairedTool {
        /// The tool's name or call id.
        tool: String,
        /// Its call came and its result did not; otherwise the reverse.
        called: bool,
        /// The event that did not come, where the pair is not that of a tool.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        lacks: Option<String>,
    },
    /// See `Rule::FailedRun`.
    FailedRun {
        /// The event that ended it.
        event: String,
        /// The run was completed nevertheless, by this event.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        completed: Option<String>,
    },
    /// See `Rule::UnaskedRun`.
    UnaskedRun {
        /// The event.
        event: String,
    },
    /// See `Rule::MixedEnvelopes`.
    MixedEnvelopes {
        /// The kind of event.
        event: String,
        /// Its envelopes, each with how often it came.
        envelopes: Vec<String>,
    },
    /// See `Rule::DegradedRun`.
    DegradedRun {
        /// The event that said so.
        event: String,
        /// The run did not end well besides.
        unanswered: bool,
    },
    /// See `Rule::WrongCount`.
    WrongCount {
        /// The event.
        event: String,
        /// How often it came; if there are too many, at least.
        count: u64,
        /// The limit.
        limit: u64,
        /// There are too few, and the limit is the least; otherwise it is the most.
        few: bool,
    },
    /// See `Rule::ForbiddenEvent`.
    ForbiddenEvent {
        /// The event.
        event: String,
    },
    /// See `Rule::BurstAtEnd`.
    BurstAtEnd {
        /// How long nothing came, at least.
        silent: Micros,
        /// How many events came then.
        events: u64,
        /// Within which time they came, at most.
        within: Micros,
    },
    /// See `Rule::RedeliveredEvent`.
    RedeliveredEvent {
        /// The event.
        event: String,
        /// Its event id.
        id: String,
    },
    /// See `Rule::ReplayedEvent`.
    ReplayedEvent {
        /// The event.
        event: String,
    },
    /// See `Rule::FailedTool`.
    FailedTool {
        /// The tool's name, if it told one.
        tool: Option<String>,
    },
    /// See `Rule::ClockBackwards`.
    ClockBackwards {
        /// The event whose time lies before that of an earlier one.
        event: String,
        /// By how much.
        by: Micros,
    },
    /// See `Rule::AskRefused`.
    AskRefused {
        /// The frame's name, or the step and why it failed.
        by: String,
    },
    /// See `Rule::EncodedTwice`.
    EncodedTwice,
    /// See `Rule::ForeignCanary`.
    ForeignCanary {
        /// Whose mark it was.
        owner: UserNumber,
        /// The iteration the mark was made for.
        iteration: Iteration,
        /// How it came there.
        leak: Leak,
    },
    /// See `Rule::ForeignIdentity`.
    ForeignIdentity {
        /// Whose id it was.
        owner: UserNumber,
        /// How it came there.
        leak: Leak,
    },
    /// See `Rule::ForeignIdentity`: an answer to nobody in particular names a user.
    ToldToAnybody {
        /// The step.
        step: String,
        /// The identity.
        id: String,
        /// Whose it is.
        owner: UserNumber,
    },
    /// See `Rule::IdentityCollapse`.
    IdentityCollapse {
        /// The identity that several users got.
        value: String,
        /// The users, the first few.
        users: Vec<UserNumber>,
        /// How many users in all.
        count: u64,
    },
    /// See `Rule::MalformedIdentity`.
    MalformedIdentity {
        /// What the profile calls the id.
        id: String,
        /// The value.
        value: String,
        /// How many frames carried it.
        frames: u64,
    },
    /// See `Rule::ForeignExecution`.
    ForeignExecution {
        /// The user number in the mark.
        owner: UserNumber,
    },
    /// See `Rule::Broadcast`.
    Broadcast {
        /// What it was.
        event: String,
        /// Whose it was, where only one user had a place for it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        owner: Option<UserNumber>,
        /// Who got it, the first few.
        users: Vec<UserNumber>,
        /// There are more of them.
        more: bool,
        /// Who had no place for it, the first few; nobody: its event id tells that it is the same event.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        without: Vec<UserNumber>,
    },
    /// See `Rule::SecretTold`.
    SecretTold {
        /// What the profile calls it.
        name: String,
        /// Whose it is, if it is one other user's.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        owner: Option<UserNumber>,
    },
    /// See `Rule::OpenDoor`.
    OpenDoor {
        /// How somebody came who must not get in.
        probe: Probe,
        /// By what it showed that he was in.
        by: String,
    },
    /// See `Rule::OddRefusal`.
    OddRefusal {
        /// How somebody came who must not get in.
        probe: Probe,
        /// What came in place of a refusal.
        by: String,
    },
    /// See `Rule::NeverStarted`.
    NeverStarted {
        /// How long was waited.
        waited: Micros,
        /// The last frame that did come, if any: an acknowledgement, a heartbeat.
        last: Option<String>,
        /// Whether the target said that the ask arrived.
        #[serde(default)]
        acknowledged: Acknowledged,
    },
    /// See `Rule::FirstMessageLost`.
    FirstMessageLost {
        /// How long after the upgrade it was sent.
        after: Micros,
        /// How long was waited.
        waited: Micros,
        /// The last frame that did come, if any: the greeting, a heartbeat.
        last: Option<String>,
    },
    /// See `Rule::Stalled`.
    Stalled {
        /// The last event that came.
        last: String,
        /// How long was waited after it.
        waited: Micros,
        /// What had not come by then.
        missing: Vec<String>,
    },
    /// See `Rule::RunTooLong`.
    RunTooLong {
        /// The limit.
        limit: Micros,
        /// The last event that came.
        last: String,
    },
    /// See `Rule::OverBudget`.
    OverBudget {
        /// The claim: segment and statistic.
        budget: String,
        /// The limit.
        limit: Micros,
        /// The figure.
        observed: Micros,
        /// The lower bound of the figure, where it has one.
        bound: Option<Micros>,
    },
    /// See `Rule::TooFast`.
    TooFast {
        /// The claim: segment and statistic.
        budget: String,
        /// The floor.
        limit: Micros,
        /// The figure, at the latest.
        observed: Micros,
    },
    /// See `Rule::OverWarning`.
    OverWarning {
        /// The claim: segment and statistic.
        budget: String,
        /// The level.
        limit: Micros,
        /// The figure.
        observed: Micros,
    },
    /// See `Rule::ArrivalsDropped`.
    ArrivalsDropped {
        /// How many.
        dropped: u64,
        /// Of how many.
        arrivals: u64,
        /// The share that may be dropped, for people.
        allowed: String,
    },
    /// See `Rule::HarnessLate`.
    HarnessLate {
        /// In which share of its time, for people.
        share: String,
        /// By how much at most.
        latest: Micros,
        /// Frames a second and thread up to which it kept up, if at any load.
        kept_up_to: Option<u64>,
    },
    /// See `Rule::Unreachable`.
    Unreachable {
        /// What was being done: `connecting to 127.0.0.1:8000`.
        doing: String,
        /// What went wrong.
        error: String,
    },
    /// See `Rule::NotReady`.
    NotReady {
        /// The step.
        step: String,
        /// How long was waited.
        waited: Micros,
        /// The last answer or error.
        last: String,
    },
    /// See `Rule::LoginRefused`.
    LoginRefused {
        /// The step.
        step: String,
        /// What was answered, or missing in the answer.
        why: String,
    },
    /// See `Rule::StepFailed`.
    StepFailed {
        /// The step.
        step: String,
        /// What was answered, or missing in the answer.
        why: String,
    },
    /// See `Rule::UpgradeRefused`.
    UpgradeRefused {
        /// The HTTP status.
        status: u16,
    },
    /// See `Rule::UpgradeInvalid`.
    UpgradeInvalid {
        /// What was wrong with the answer.
        why: String,
    },
    /// See `Rule::UpgradeHung`.
    UpgradeHung {
        /// How long was waited.
        waited: Micros,
    },
    /// See `Rule::GreetingRefused`.
    GreetingRefused {
        /// The frame or close.
        by: String,
    },
    /// See `Rule::GreetingMissing`.
    GreetingMissing {
        /// How long was waited.
        waited: Micros,
        /// How many frames came in that time.
        frames: u64,
    },
    /// See `Rule::SubprotocolNotOffered`.
    SubprotocolNotOffered {
        /// What the target selected.
        selected: String,
    },
    /// See `Rule::SubprotocolMismatch`.
    SubprotocolMismatch {
        /// What was selected, if anything.
        selected: Option<String>,
    },
    /// See `Rule::MalformedFrame`.
    MalformedFrame {
        /// What is wrong with it.
        why: String,
    },
    /// See `Rule::FrameTooLarge`.
    FrameTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// See `Rule::ClosedEarly`.
    ClosedEarly {
        /// The close code (RFC 6455, section 7.4); 1005 stands for none.
        code: u16,
        /// The reason given.
        reason: String,
        /// What had not come by then.
        missing: Vec<String>,
    },
    /// See `Rule::TokenExpired`.
    TokenExpired {
        /// The close code (RFC 6455, section 7.4).
        code: u16,
        /// The reason given, which says so.
        reason: String,
        /// What had not come by then.
        missing: Vec<String>,
    },
    /// See `Rule::ConnectionLost`.
    ConnectionLost {
        /// The system's word for it.
        error: String,
        /// What had not come by then.
        missing: Vec<String>,
    },
    /// See `Rule::ProtocolViolation`.
    ProtocolViolation {
        /// What was violated.
        why: String,
    },
    /// See `Rule::EmptyAnswer`.
    EmptyAnswer,
    /// See `Rule::FailureInside`.
    FailureInside {
        /// The event that said so.
        event: String,
    },
    /// See `Rule::ShortAnswer`.
    ShortAnswer {
        /// Characters it has.
        chars: u64,
        /// Characters it must have.
        min: u64,
    },
    /// See `Rule::PatternMissing`.
    PatternMissing {
        /// The pattern, or the alternatives of which none occurred.
        patterns: Vec<String>,
    },
    /// See `Rule::PatternForbidden`.
    PatternForbidden {
        /// The pattern.
        pattern: String,
        /// What matched it.
        matched: String,
    },
    /// See `Rule::SuccessNotSaid`.
    SuccessNotSaid {
        /// The event that ended the run.
        event: String,
    },
    /// See `Rule::PlaceholderAnswer`.
    PlaceholderAnswer {
        /// The answer, which is short.
        answer: String,
    },
    /// See `Rule::EchoedAnswer`.
    EchoedAnswer {
        /// The share of its words that are the prompt's, in percent.
        percent: u64,
    },
    /// See `Rule::MarkNotEchoed`.
    MarkNotEchoed,
    /// See `Rule::SameAnswer`.
    SameAnswer {
        /// How many answers are the same.
        answers: u64,
        /// To how many different prompts at least.
        prompts: u64,
        /// Users who got it, the first few.
        users: Vec<UserNumber>,
    },
    /// See `Rule::NoBusinessValue`.
    NoBusinessValue {
        /// What it does not name.
        lacks: Vec<String>,
    },
    /// See `Rule::AfterFailed`.
    AfterFailed {
        /// The step.
        step: String,
        /// What was answered, or missing in the answer.
        why: String,
    },
}

impl Deviation {
    /// The rule that was broken.
    pub fn rule(&self) -> Rule {
        match self {
            Deviation::MissingEvent { .. } => Rule::MissingEvent,
            Deviation::OutOfOrder { .. } => Rule::OutOfOrder,
            Deviation::DuplicateEvent { .. } => Rule::DuplicateEvent,
            Deviation::LateEvent { .. } => Rule::LateEvent,
            Deviation::UnpairedTool { .. } => Rule::UnpairedTool,
            Deviation::FailedRun { .. } => Rule::FailedRun,
            Deviation::UnaskedRun { .. } => Rule::UnaskedRun,
            Deviation::MixedEnvelopes { .. } => Rule::MixedEnvelopes,
            Deviation::DegradedRun { .. } => Rule::DegradedRun,
            Deviation::WrongCount { .. } => Rule::WrongCount,
            Deviation::ForbiddenEvent { .. } => Rule::ForbiddenEvent,
            Deviation::BurstAtEnd { .. } => Rule::BurstAtEnd,
            Deviation::RedeliveredEvent { .. } => Rule::RedeliveredEvent,
            Deviation::ReplayedEvent { .. } => Rule::ReplayedEvent,
            Deviation::FailedTool { .. } => Rule::FailedTool,
            Deviation::ClockBackwards { .. } => Rule::ClockBackwards,
            Deviation::EncodedTwice => Rule::EncodedTwice,
            Deviation::AskRefused { .. } => Rule::AskRefused,
            Deviation::SubprotocolNotOffered { .. } => Rule::SubprotocolNotOffered,
            Deviation::ForeignCanary { .. } => Rule::ForeignCanary,
            Deviation::ForeignIdentity { .. } | Deviation::ToldToAnybody { .. } => Rule::ForeignIdentity,
            Deviation::IdentityCollapse { .. } => Rule::IdentityCollapse,
            Deviation::MalformedIdentity { .. } => Rule::MalformedIdentity,
            Deviation::ForeignExecution { .. } => Rule::ForeignExecution,
            Deviation::Broadcast { .. } => Rule::Broadcast,
            Deviation::SecretTold { .. } => Rule::SecretTold,
            Deviation::OpenDoor { .. } => Rule::OpenDoor,
            Deviation::OddRefusal { .. } => Rule::OddRefusal,
            Deviation::NeverStarted { .. } => Rule::NeverStarted,
            Deviation::FirstMessageLost { .. } => Rule::FirstMessageLost,
            Deviation::Stalled { .. } => Rule::Stalled,
            Deviation::RunTooLong { .. } => Rule::RunTooLong,
            Deviation::OverBudget { .. } => Rule::OverBudget,
            Deviation::TooFast { .. } => Rule::TooFast,
            Deviation::OverWarning { .. } => Rule::OverWarning,
            Deviation::ArrivalsDropped { .. } => Rule::ArrivalsDropped,
            Deviation::HarnessLate { .. } => Rule::HarnessLate,
            Deviation::Unreachable { .. } => Rule::Unreachable,
            Deviation::NotReady { .. } => Rule::NotReady,
            Deviation::LoginRefused { .. } => Rule::LoginRefused,
            Deviation::StepFailed { .. } => Rule::StepFailed,
            Deviation::UpgradeRefused { .. } => Rule::UpgradeRefused,
            Deviation::UpgradeInvalid { .. } => Rule::UpgradeInvalid,
            Deviation::UpgradeHung { .. } => Rule::UpgradeHung,
            Deviation::GreetingRefused { .. } => Rule::GreetingRefused,
            Deviation::GreetingMissing { .. } => Rule::GreetingMissing,
            Deviation::SubprotocolMismatch { .. } => Rule::SubprotocolMismatch,
            Deviation::MalformedFrame { .. } => Rule::MalformedFrame,
            Deviation::FrameTooLarge { .. } => Rule::FrameTooLarge,
            Deviation::ClosedEarly { .. } => Rule::ClosedEarly,
            Deviation::TokenExpired { .. } => Rule::TokenExpired,
            Deviation::ConnectionLost { .. } => Rule::ConnectionLost,
            Deviation::ProtocolViolation { .. } => Rule::ProtocolViolation,
            Deviation::EmptyAnswer => Rule::EmptyAnswer,
            Deviation::FailureInside { .. } => Rule::FailureInside,
            Deviation::ShortAnswer { .. } => Rule::ShortAnswer,
            Deviation::PatternMissing { .. } => Rule::PatternMissing,
            Deviation::PatternForbidden { .. } => Rule::PatternForbidden,
            Deviation::SuccessNotSaid { .. } => Rule::SuccessNotSaid,
            Deviation::PlaceholderAnswer { .. } => Rule::PlaceholderAnswer,
            Deviation::EchoedAnswer { .. } => Rule::EchoedAnswer,
            Deviation::MarkNotEchoed => Rule::MarkNotEchoed,
            Deviation::SameAnswer { .. } => Rule::SameAnswer,
            Deviation::NoBusinessValue { .. } => Rule::NoBusinessValue,
            Deviation::AfterFailed { .. } => Rule::AfterFailed,
        }
    }

    /// Whose the thing was that came to the wrong user.
    pub fn owner(&self) -> Option<UserNumber> {
        match self {
            Deviation::ForeignCanary { owner, .. }
            | Deviation::ForeignIdentity { owner, .. }
            | Deviation::ToldToAnybody { owner, .. } => Some(*owner),
            Deviation::Broadcast { owner, .. } | Deviation::SecretTold { owner, .. } => *owner,
            _ => None,
        }
    }

    /// How something of one user came to another, of what is wrong between users.
    pub fn leak_class(&self) -> Option<LeakClass> {
        match self {
            Deviation::ForeignCanary { leak, .. } | Deviation::ForeignIdentity { leak, .. } => Some(leak.class),
            Deviation::Broadcast { .. } => Some(LeakClass::Broadcast),
            Deviation::SecretTold { owner: Some(_), .. } => Some(LeakClass::ContentOnly),
            Deviation::IdentityCollapse { .. } => Some(LeakClass::IdentityCollapse),
            Deviation::ForeignExecution { .. } => Some(LeakClass::ForeignExecution),
            _ => None,
        }
    }

    /// One sentence, lower case, without a period.
    pub fn message(&self) -> String {
        match self {
            Deviation::MissingEvent { names, instead } if instead.is_empty() => {
                format!("the run ended without {}", listed(names))
            }
            Deviation::MissingEvent { names, instead } => {
                format!("the run ended without {}; {} came, which nothing mentions", listed(names), listed(instead))
            }
            Deviation::OutOfOrder { event, before } => format!("{event} came before {before}"),
            Deviation::DuplicateEvent { event, of } if of.is_empty() => format!("{event} came twice"),
            Deviation::DuplicateEvent { event, of } => format!("{event} of {of} came twice"),
            Deviation::LateEvent { event, after } => format!("{event} came {after} after the run was over"),
            Deviation::UnpairedTool { tool, lacks: Some(lacks), .. } => format!("{tool} never had its {lacks}"),
            Deviation::UnpairedTool { tool, called: true, lacks: None } => {
                format!("tool {tool} was called and never completed")
            }
            Deviation::UnpairedTool { tool, called: false, lacks: None } => {
                format!("tool {tool} completed and was never called")
            }
            Deviation::FailedRun { event, completed: None } => format!("the run ended with {event}"),
            Deviation::FailedRun { event, completed: Some(completed) } => {
                format!("the run ended with {event}, and {completed} came after it all the same")
            }
            Deviation::UnaskedRun { event } => format!("{event} came although no run was in flight"),
            Deviation::MixedEnvelopes { event, envelopes } => {
                format!("{event} came in {}: {}", counted(envelopes.len() as u64, "envelope"), listed(envelopes))
            }
            Deviation::DegradedRun { event, unanswered: false } => format!("{event} says that the target is degraded"),
            Deviation::DegradedRun { event, unanswered: true } => {
                format!("{event} came in place of a run: the target is degraded")
            }
            Deviation::WrongCount { event, count, limit, few: true } => {
                format!("{event} came {}; at least {limit} were asked", counted(*count, "time"))
            }
            Deviation::WrongCount { event, count, limit, few: false } => {
                format!("{event} came at least {}; at most {limit} may", counted(*count, "time"))
            }
            Deviation::ForbiddenEvent { event } => format!("{event} came, which is forbidden"),
            Deviation::BurstAtEnd { silent, events, within } => {
                format!("nothing came for {silent}, then all of {} within {within}", counted(*events, "event"))
            }
            Deviation::RedeliveredEvent { event, id } => format!("{event} of event {id} was delivered again"),
            Deviation::ReplayedEvent { event } => format!("{event} was replayed"),
            Deviation::FailedTool { tool: None } => "a tool failed".to_owned(),
            Deviation::FailedTool { tool: Some(tool) } => format!("the tool {tool} failed"),
            Deviation::ClockBackwards { event, by } => {
                format!("the time in {event} lies {by} before that of an earlier event")
            }
            Deviation::AskRefused { by } => format!("the ask was refused by {by}"),
            Deviation::SubprotocolNotOffered { selected } => {
                format!("the subprotocol {selected:?} was selected, which was not offered")
            }
            Deviation::EncodedTwice => "JSON stood in a text where an object is due".to_owned(),
            Deviation::ForeignCanary { owner, iteration, leak } => {
                let ids = match &leak.ids[..] {
                    [] => String::new(),
                    ids => format!(" with the {}", listed(ids)),
                };
                format!("the mark of user {owner} (iteration {iteration}) came to this user{ids}{}", leak.told(*owner))
            }
            Deviation::ForeignIdentity { owner, leak } => {
                let (ids, frames) = (listed(&leak.ids), counted(leak.frames, "frame"));
                format!("the {ids} of user {owner} came to this user in {frames}{}", leak.told(*owner))
            }
            Deviation::IdentityCollapse { value, users, count } => {
                let users: Vec<_> = users.iter().map(|user| user.to_string()).collect();
                let more = if *count > users.len() as u64 { ", ..." } else { "" };
                format!("{count} users are all {value} to the target: {}{more}", users.join(", "))
            }
            Deviation::ToldToAnybody { step, id, owner } => {
                format!("the answer to {step}, which nobody logged in for, names the user id {id} of user {owner}")
            }
            Deviation::MalformedIdentity { id, value, frames } => {
                format!("the {id} id {value} in {} is no known user's", counted(*frames, "frame"))
            }
            Deviation::ForeignExecution { owner } => {
                format!("a mark of another execution (its user {owner}) came to this user")
            }
            Deviation::Broadcast { event, users, more, without, .. } => {
                let more = if *more { ", among others" } else { "" };
                let why = match &without[..] {
                    [] => "with one event id".to_owned(),
                    [one] => format!("and user {one} had no place for it"),
                    several => format!("and users {} had no place for it", named(several)),
                };
                format!("the same {event} came to users {}{more}, {why}", named(users))
            }
            Deviation::SecretTold { name, owner: None } => format!("a refusal or an error holds the user's {name}"),
            Deviation::SecretTold { name, owner: Some(owner) } => {
                format!("a refusal or an error holds the {name} of user {owner}")
            }
            Deviation::FirstMessageLost { after, waited, last } => {
                let last = last.as_ref().map(|last| format!("; the last frame was {last}")).unwrap_or_default();
                format!(
                    "what was asked {after} after the upgrade, before the greeting, came to nothing within {waited}{last}"
                )
            }
            Deviation::OpenDoor { probe, by } => format!("the target let in somebody {}: {by}", probe.comes()),
            Deviation::OddRefusal { probe, by } => {
                format!("somebody {} met with what is no refusal: {by}", probe.comes())
            }
            Deviation::NeverStarted { waited, acknowledged: Acknowledged::After(after), .. } => {
                format!("acknowledged {after} after the ask, and no event came within {waited}")
            }
            Deviation::NeverStarted { waited, last, acknowledged } => {
                let nor = if *acknowledged == Acknowledged::Never { ", and no acknowledgement" } else { "" };
                match last {
                    None => format!("nothing came within {waited} of the ask"),
                    Some(last) => format!("no event came within {waited} of the ask{nor}; the last frame was {last}"),
                }
            }
            Deviation::Stalled { last, waited, missing } => {
                format!("nothing came for {waited} after {last}; missing: {}", listed(missing))
            }
            Deviation::RunTooLong { limit, last } => format!("the run was not over after {limit}; last came {last}"),
            Deviation::OverBudget { budget, limit, observed, bound } => {
                let bound = bound.map(|bound| format!(", at least {bound} at 95 %")).unwrap_or_default();
                format!("{budget} is {observed}{bound}; the budget is {limit}")
            }
            Deviation::TooFast { budget, limit, observed } => {
                format!("{budget} is {observed}; real work takes at least {limit}")
            }
            Deviation::OverWarning { budget, limit, observed } => {
                format!("{budget} is {observed}; the level is {limit}")
            }
            Deviation::ArrivalsDropped { dropped, arrivals, allowed } => {
                let of = counted(*arrivals, "arrival");
                format!("{dropped} of {of} found no free user, and {allowed} may")
            }
            Deviation::HarnessLate { share, latest, kept_up_to } => {
                let clean = match kept_up_to {
                    Some(rate) => format!("it kept up to about {rate} frames a second and thread"),
                    None => "it kept up at no load".to_owned(),
                };
                format!("the harness was late in {share} of its time, by up to {latest}; {clean}")
            }
            Deviation::Unreachable { doing, error } => format!("{doing}: {error}"),
            Deviation::NotReady { step, waited, last } => format!("{step} was not ready within {waited}: {last}"),
            Deviation::LoginRefused { step, why }
            | Deviation::StepFailed { step, why }
            | Deviation::AfterFailed { step, why } => format!("{step}: {why}"),
            Deviation::UpgradeRefused { status } => format!("the upgrade was answered with HTTP {status}"),
            Deviation::UpgradeInvalid { why } => format!("the upgrade was answered wrongly: {why}"),
            Deviation::UpgradeHung { waited } => format!("the upgrade was not answered within {waited}"),
            Deviation::GreetingRefused { by } => format!("refused after the upgrade by {by}"),
            Deviation::GreetingMissing { waited, frames: 0 } => format!("no frame came within {waited} of the upgrade"),
            Deviation::GreetingMissing { waited, frames } => {
                format!("{} came within {waited}, and none was the greeting", counted(*frames, "frame"))
            }
            Deviation::SubprotocolMismatch { selected: None } => "no offered subprotocol was selected".to_owned(),
            Deviation::SubprotocolMismatch { selected: Some(selected) } => {
                format!("the subprotocol {selected} was selected and never offered")
            }
            Deviation::MalformedFrame { why } => why.clone(),
            Deviation::FrameTooLarge { limit } => format!("a frame is larger than {limit} bytes"),
            Deviation::ClosedEarly { code, reason, missing } => {
                let reason = if reason.is_empty() { String::new() } else { format!(" \"{reason}\"") };
                format!("the target closed with {code}{reason} before the run was over{}", lacking(missing))
            }
            Deviation::TokenExpired { code, reason, missing } => {
                format!("the target closed with {code} \"{reason}\" before the run was over{}", lacking(missing))
            }
            Deviation::ConnectionLost { error, missing } => {
                format!("the connection ended without a close frame ({error}){}", lacking(missing))
            }
            Deviation::ProtocolViolation { why } => why.clone(),
            Deviation::EmptyAnswer => "the run ended well and carried no answer".to_owned(),
            Deviation::FailureInside { event } => format!("{event} says that the run failed"),
            Deviation::ShortAnswer { chars, min } => {
                format!("the answer has {}; at least {min} were asked", counted(*chars, "character"))
            }
            Deviation::PatternMissing { patterns } if patterns.len() == 1 => {
                format!("the answer does not match {}", patterns[0])
            }
            Deviation::PatternMissing { patterns } => format!("the answer matches none of {}", patterns.join(", ")),
            Deviation::PatternForbidden { pattern, matched } => {
                format!("the answer holds {matched:?}, which {pattern} forbids")
            }
            Deviation::SuccessNotSaid { event } => {
                format!("{event} does not say what `expect.answer.success` asks for")
            }
            Deviation::PlaceholderAnswer { answer } => format!("the answer {answer:?} stands in for one"),
            Deviation::EchoedAnswer { percent } => {
                format!("the answer is the prompt quoted back: {percent} % of its words")
            }
            Deviation::MarkNotEchoed => "the answer does not carry the mark of its prompt".to_owned(),
            Deviation::SameAnswer { answers, prompts, users } => {
                let users: Vec<_> = users.iter().map(|user| user.to_string()).collect();
                let whose = if users.len() == 1 { "user" } else { "users" };
                format!("{answers} answers to {prompts} different prompts are the same: {whose} {}", users.join(", "))
            }
            Deviation::NoBusinessValue { lacks } => {
                format!("beside the prompt's words the answer names no {}", lacks.join(", no "))
            }
        }
    }
}

impl Leak {
    /// Of which nothing is known but that it is one.
    pub fn unsettled() -> Leak {
        let (ids, lacks, others) = (Vec::new(), Vec::new(), Vec::new());
        Leak { class: LeakClass::Unsettled, ids, frames: 1, lacks, others, more: false }
    }

    /// The part of a sentence that says how it came there.
    fn told(&self, owner: UserNumber) -> String {
        match self.class {
            LeakClass::Broadcast => {
                let more = if self.more { ", among others" } else { "" };
                format!("; broadcast: so it did to {}{more}", users(&self.others))
            }
            LeakClass::Misrouted => format!("; misrouted: user {owner} never got {}", listed(&self.lacks)),
            LeakClass::Copied => format!("; copied: user {owner} got it as well"),
            LeakClass::Swapped => format!("; swapped: user {owner} got what was this user's"),
            LeakClass::StaleSession => format!("; stale session: the run of user {owner} was over by then"),
            LeakClass::ContentOnly => "; content only: what it stood in was this user's".to_owned(),
            LeakClass::CachedAnswer => {
                format!("; cached: the run of user {owner} was over by then, and what it stood in was this user's")
            }
            LeakClass::Unsettled => format!("; whether user {owner} got it is not known"),
            LeakClass::IdentityCollapse | LeakClass::ForeignExecution => String::new(),
        }
    }
}

/// `user 3`, `users 3 and 4`.
fn users(users: &[UserNumber]) -> String {
    format!("user{} {}", if users.len() == 1 { "" } else { "s" }, named(users))
}

fn named(users: &[UserNumber]) -> String {
    listed(&users.iter().map(|user| user.to_string()).collect::<Vec<_>>())
}

/// `1 frame`, `3 frames`.
pub fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

fn lacking(missing: &[String]) -> String {
    if missing.is_empty() { String::new() } else { format!("; missing: {}", listed(missing)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_cut_between_characters() {
        let long = "é".repeat(Excerpt::LIMIT + 1);
        let excerpt = Excerpt::new(Stamp::ZERO, "frame", &long);
        assert!(excerpt.text.ends_with("é ... (802 bytes)"), "{}", excerpt.text);
        assert_eq!(Excerpt::new(Stamp::ZERO, "frame", "short").text, "short");
    }

    #[test]
    fn sentences_read_well() {
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        for (deviation, sentence) in [
            (
                Deviation::MissingEvent { names: names(&["tool_executing", "tool_completed"]), instead: vec![] },
                "the run ended without tool_executing and tool_completed",
            ),
            (
                Deviation::ClosedEarly {
                    code: 1000,
                    reason: "main cleanup".into(),
                    missing: names(&["agent_completed"]),
                },
                "the target closed with 1000 \"main cleanup\" before the run was over; missing: agent_completed",
            ),
            (
                Deviation::NeverStarted {
                    waited: Micros::from_secs(30),
                    last: None,
                    acknowledged: Acknowledged::Never,
                },
                "nothing came within 30 s of the ask",
            ),
        ] {
            assert_eq!(deviation.message(), sentence);
        }
    }
}
