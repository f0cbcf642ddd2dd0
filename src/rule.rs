//! The catalogue of rules: code, name, severity, what a deviation means, what usually causes it, what to do.
//!
//! Codes are never reused. A rule says nothing about how it is detected (`check`) or how it is printed (`report`).

use serde::{Deserialize, Serialize};

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Fails its claim.
    Failure,
    /// Makes its claim inconclusive: what was seen cannot be told apart from something harmless.
    Doubt,
    /// Reported, and changes no verdict.
    Note,
}

/// What a rule is about; each is a claim of its own, except that budgets are one claim each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Concern {
    /// Readiness, login, upgrade, greeting.
    Setup,
    /// Connections and frames.
    Transport,
    /// Events complete and in order.
    Events,
    /// Answers worth having.
    Answer,
    /// Nothing of one user at another.
    Isolation,
    /// Latency within its budget.
    Budget,
    /// One envelope for each kind of event; only where it is asked for.
    Envelope,
    /// Doors that must stay shut; only where probes knock at them.
    Doors,
}

impl Concern {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Concern::Setup => "setup",
            Concern::Transport => "transport",
            Concern::Events => "events",
            Concern::Answer => "answer",
            Concern::Isolation => "isolation",
            Concern::Budget => "budget",
            Concern::Envelope => "uniform envelope",
            Concern::Doors => "doors",
        }
    }
}

macro_rules! rules {
    ($( $(#[doc = $doc:literal])+ $rule:ident = $code:literal $name:literal $severity:ident $concern:ident
        causes $causes:literal advice $advice:literal; )+) => {
        /// One kind of deviation.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
        )]
        pub enum Rule {
            $( $(#[doc = $doc])+ #[serde(rename = $code)] $rule, )+
        }

        impl Rule {
            /// All rules, by code.
            pub const ALL: &'static [Rule] = &[$(Rule::$rule),+];

            /// The stable code, `GP` and three digits.
            pub fn code(self) -> &'static str {
                match self { $( Rule::$rule => $code, )+ }
            }

            /// The name people use in files.
            pub fn name(self) -> &'static str {
                match self { $( Rule::$rule => $name, )+ }
            }

            /// How much a finding of this rule weighs.
            pub fn severity(self) -> Severity {
                match self { $( Rule::$rule => Severity::$severity, )+ }
            }

            /// What the rule is about.
            pub fn concern(self) -> Concern {
                match self { $( Rule::$rule => Concern::$concern, )+ }
            }

            /// What a finding means.
            pub fn meaning(self) -> &'static str {
                match self { $( Rule::$rule => concat!($($doc),+).trim_ascii(), )+ }
            }

            /// What usually causes it.
            pub fn causes(self) -> &'static str {
                match self { $( Rule::$rule => $causes, )+ }
            }

            /// What to do about it.
            pub fn advice(self) -> &'static str {
                match self { $( Rule::$rule => $advice, )+ }
            }
        }
    };
}

rules! {
    /// The run ended well, but events that every run must have never came.
    MissingEvent = "GP101" "missing-event" Failure Events
        causes "an emitter that is not wired to this agent, a tool dispatcher that is not wrapped, a batch lost on a failed send"
        advice "compare the events seen with the agent's code path; if the event is optional here, say so in the scenario's grammar";
    /// An event came before one that must precede it.
    OutOfOrder = "GP102" "out-of-order" Failure Events
        causes "events sent by several managers or tasks without a common queue, retries that overtake"
        advice "send the events of one run through one ordered queue";
    /// The same event came twice.
    DuplicateEvent = "GP103" "duplicate-event" Failure Events
        causes "two managers delivering the same event, an at-least-once retry without an id to recognise it"
        advice "look for a second delivery path for this event; retries need an event id and a receiver that drops repeats";
    /// An event of a run came after the run was over.
    LateEvent = "GP104" "late-event" Failure Events
        causes "a completion sent before the work behind it finished, a queue flushed after the end"
        advice "send the completion last; whatever the interface shows after it will be lost";
    /// A tool call without its result, or a result without its call.
    UnpairedTool = "GP105" "unpaired-tool" Failure Events
        causes "a tool that died or timed out without telling, a result sent under another call id"
        advice "send a completion for every call, also for one that failed";
    /// The target ended the run as failed.
    FailedRun = "GP106" "failed-run" Failure Events
        causes "an agent that raised, a model or tool that was not reachable, an empty agent registry"
        advice "look up the run in the target's logs by its id and time";
    /// An event came although no run was in flight on this connection.
    UnaskedRun = "GP107" "unasked-run" Failure Events
        causes "a run of another connection or user delivered here, a replay after a reconnect"
        advice "find out whose run it was by the ids in the frame";
    /// Events of one kind came in several envelopes, where one was asked for.
    MixedEnvelopes = "GP108" "mixed-envelopes" Failure Envelope
        causes "several managers or emitters that send the same event, a migration that stopped halfway"
        advice "look up which code path sends each of the envelopes shown, and let one of them send all";
    /// The target answered by a fallback in place of its agent, or said that it works in a degraded mode.
    DegradedRun = "GP109" "degraded-run" Failure Events
        causes "a dependency of the agent that is down, a fallback handler that took over, a start that is not finished"
        advice "find out from the target's logs why it degraded; users get a canned answer until then";
    /// An event came fewer or more times than the grammar allows.
    WrongCount = "GP110" "wrong-count" Failure Events
        causes "sub-agents that were not run, an agent in a loop, a count that was meant for another flow"
        advice "compare the run shown with `min`, `max` and `min_agents` in the scenario's grammar";
    /// An event came that the grammar forbids.
    ForbiddenEvent = "GP111" "forbidden-event" Failure Events
        causes "a fallback or an old code path that is still reached"
        advice "look at the frame shown and at what sent it";
    /// Nothing came for long, and then the whole run at once, so that users saw no progress.
    BurstAtEnd = "GP112" "burst-at-end" Failure Events
        causes "a proxy that buffers the stream, events queued until the run is over, a lock held for the whole run"
        advice "send events as they happen; look for a queue or buffer between agent and socket that is flushed at the end";
    /// An event came again under its own event id; a receiver that knows ids drops it.
    RedeliveredEvent = "GP113" "redelivered-event" Note Events
        causes "an at-least-once retry whose first delivery did arrive"
        advice "nothing is wrong; many of them mean that deliveries time out";
    /// An event was delivered later than it happened, as the target itself says.
    ReplayedEvent = "GP114" "replayed-event" Note Events
        causes "a recovery queue that was flushed after a connection had failed"
        advice "nothing is wrong if the connection was cut; else find out why the first delivery failed";
    /// A tool failed within a run that went on.
    FailedTool = "GP115" "failed-tool" Note Events
        causes "a tool or its backend that is not available, wrong arguments from the model"
        advice "an agent may try another way; look at the tool if its failures are many";
    /// The target's timestamps went backwards within one run.
    ClockBackwards = "GP116" "clock-backwards" Note Events
        causes "several machines with clocks of their own, a naive local time beside a universal one"
        advice "order is judged by arrival and nothing else; correct the clocks if your own tools sort by them";
    /// A JSON text stood where an object is due, or a whole frame was one; it was read through.
    EncodedTwice = "GP117" "encoded-twice" Note Events
        causes "a value that is serialized once by its maker and once more by the sender"
        advice "serialize once; browsers that expect an object there see a text";
    /// The target refused the ask, by a frame or by its answer to the request that asks.
    AskRefused = "GP118" "ask-refused" Failure Events
        causes "a limit on runs or messages, a user without a right or a budget, a message that lacks what this version asks for"
        advice "read the frame or answer shown; if it is a limit, plan fewer asks per user";
    /// Another user's mark stood in a frame of this user.
    ForeignCanary = "GP201" "foreign-canary" Failure Isolation
        causes "shared state between concurrent runs, an answer cached without the user in its key, a broadcast"
        advice "treat it as a data leak: both users and the frame are named; look for state shared by their runs";
    /// Another known user's id stood in a frame of this user.
    ForeignIdentity = "GP202" "foreign-identity" Failure Isolation
        causes "events routed by a key that two users share, an identity cached across connections"
        advice "treat it as a data leak: both users and the frame are named; look at how the socket is chosen for an event";
    /// Several users are one to the target: it called them the same at their logins, or at their sockets in place of their own.
    IdentityCollapse = "GP203" "identity-collapse" Failure Isolation
        causes "a development login that returns one constant user, a demo mode, a cached authentication result"
        advice "log in with distinct accounts, and switch off bypasses on the target; isolation cannot be judged before";
    /// The user id in a frame is nobody's that this execution knows.
    MalformedIdentity = "GP204" "malformed-identity" Note Isolation
        causes "a thread id or prompt put where the user id belongs, an id truncated for display"
        advice "correct the field on the target, or drop the place from the profile's `ids`";
    /// A mark of another execution stood in a frame.
    ForeignExecution = "GP205" "foreign-execution" Doubt Isolation
        causes "another pipeline drives the same users, or the agent remembers an earlier execution"
        advice "give each pipeline its own users with `users.first`, or clear the users' history";
    /// An event of one user's run was sent to several users: one of them had no place for it, or they got one event id.
    Broadcast = "GP206" "broadcast" Failure Isolation
        causes "a broadcast where a send to one user was meant, a sender that lost track of whose event it is"
        advice "treat it as a data leak: look at how the event shown finds its sockets, and send it to its user's alone";
    /// A refusal or a frame that reports an error holds a secret: a token, a password, a key.
    SecretTold = "GP207" "secret-told" Failure Isolation
        causes "an error handler that prints the request or its state, a debug mode that was left on"
        advice "errors end up in logs and on screens: leave the secret out, and renew what was shown";
    /// A probe got in: the target served somebody whom it must refuse.
    OpenDoor = "GP208" "open-door" Failure Doors
        causes "a check that is missing on one route or carrier, a decoder used in place of a verifier, a demo or test mode left on"
        advice "repeat the probe that is named and make the target refuse it; the scenario can say what counts as a refusal";
    /// A probe was not let in, but by something that is no refusal: an error, a lost connection, another status than expected.
    OddRefusal = "GP209" "odd-refusal" Doubt Doors
        causes "a check that fails with an exception, a limit or circuit breaker that struck first, an outage in that moment"
        advice "look at what is shown; if the target refuses in this way, write it into `refused` of the probe";
    /// No event of the run came after the ask.
    NeverStarted = "GP301" "never-started" Failure Events
        causes "a message type without a handler, a run routed to another thread's connection, an empty agent registry"
        advice "look for the ask in the target's logs by time and run id; an acknowledgement alone proves only that it was read";
    /// Events came, then nothing more before the end.
    Stalled = "GP302" "stalled" Failure Events
        causes "an agent that hangs on a model or tool, events routed to a connection that is gone"
        advice "look at what the target did after the last event that arrived";
    /// The run went on beyond its time limit.
    RunTooLong = "GP303" "run-too-long" Failure Events
        causes "an agent in a loop, a target under more load than it carries"
        advice "raise `timeouts.run` if such runs are legitimate";
    /// A segment took longer than its budget.
    OverBudget = "GP304" "over-budget" Failure Budget
        causes "load, cold starts, slow models or tools"
        advice "see which segment grew; a budget without `proven` fails only when its bound is over, too";
    /// A segment was faster than real work can be.
    TooFast = "GP305" "too-fast" Failure Budget
        causes "a canned or cached answer, a simulator or fallback handler in front of the agent"
        advice "read the answer of the run named here; if such times are real, lower the floor `min` of the budget";
    /// A segment broke the warning level of its budget.
    OverWarning = "GP306" "over-warning" Note Budget
        causes "load, cold starts, slow models or tools"
        advice "see which segment grew before it reaches the limit that fails";
    /// The target could not be reached.
    Unreachable = "GP401" "unreachable" Failure Setup
        causes "a wrong address, a target that is down, a firewall, a certificate that is not trusted"
        advice "check the address in the profile and whether the target runs";
    /// The target did not become ready in time.
    NotReady = "GP402" "not-ready" Failure Setup
        causes "a deployment still starting, a dependency that is down"
        advice "raise `within` of the `ready` step if starts take longer, or look at the target's readiness answer";
    /// A user could not log in, or its session could not be refreshed.
    LoginRefused = "GP403" "login-refused" Failure Setup
        causes "a wrong password, an account that does not exist, a rate limit on logins, a refresh token that was used before"
        advice "repeat the step that is named here with the credentials of this user";
    /// A step before the connection failed.
    StepFailed = "GP404" "step-failed" Failure Setup
        causes "a changed route, an answer without the captured value"
        advice "repeat the request that is shown, and correct the step in the profile";
    /// The target refused the upgrade to a WebSocket.
    UpgradeRefused = "GP405" "upgrade-refused" Failure Setup
        causes "a token the socket does not accept, a secret that differs between services, a load balancer that strips headers"
        advice "look at the status and body shown; try another token carrier in the profile";
    /// The upgrade was sent and never answered.
    UpgradeHung = "GP406" "upgrade-hung" Failure Setup
        causes "a load balancer in front of a container that is dead or starting"
        advice "look at the target behind the load balancer";
    /// The target refused the user by a frame or close after the upgrade.
    GreetingRefused = "GP407" "greeting-refused" Failure Setup
        causes "a token that expired or was revoked, a service that is not ready, a connection limit"
        advice "look at the frame or close code shown";
    /// The expected greeting did not come.
    GreetingMissing = "GP408" "greeting-missing" Failure Setup
        causes "a handshake race on the target, a greeting under another name than the profile says"
        advice "compare the frames that came with the profile's `connect.script`";
    /// The target did not select an offered subprotocol as the profile demands.
    SubprotocolMismatch = "GP409" "subprotocol-mismatch" Failure Setup
        causes "a server or proxy that authenticates by subprotocol and accepts without selecting one"
        advice "make the server select one that was offered (RFC 6455, section 4.2.2), or set `echo: lenient`";
    /// The upgrade was answered by something that is no WebSocket handshake.
    UpgradeInvalid = "GP410" "upgrade-invalid" Failure Setup
        causes "a proxy that answers upgrades by itself or from a cache, an address where no WebSocket server is"
        advice "look at what listens at this address, and at the proxies in between (RFC 6455, section 4.1)";
    /// A frame could not be read as the profile says.
    MalformedFrame = "GP411" "malformed-frame" Failure Transport
        causes "text that is not JSON, a serializer that failed halfway, a proxy's error page"
        advice "look at the frame shown; if such frames are legitimate, the profile must know them";
    /// A frame was larger than the limit.
    FrameTooLarge = "GP412" "frame-too-large" Failure Transport
        causes "an answer or tool result sent whole"
        advice "raise `connect.max_frame` if such frames are legitimate; browsers and proxies have limits, too";
    /// The target closed the connection before the run was over.
    ClosedEarly = "GP413" "closed-early" Failure Transport
        causes "a connection limit, a message loop that died, a restart, an expired token"
        advice "look up the close code shown";
    /// The connection ended without a close frame.
    ConnectionLost = "GP414" "connection-lost" Failure Transport
        causes "a process that was killed, a proxy's idle timeout, a network that failed"
        advice "look at what stands between harness and target, and at the target's restarts";
    /// A frame broke the WebSocket protocol.
    ProtocolViolation = "GP415" "protocol-violation" Failure Transport
        causes "a broken proxy, a server that writes to the socket from two places"
        advice "look at the bytes with a network trace";
    /// The target closed the connection before the run was over, and said that the user's token had expired.
    TokenExpired = "GP416" "token-expired" Failure Transport
        causes "a token that lives shorter than a conversation and is not refreshed, clocks of two services that differ"
        advice "compare the token's lifetime with the length of runs; a token checked at the upgrade need not be checked in mid-run";
    /// The target selected a subprotocol that was not offered; the connection is used all the same.
    SubprotocolNotOffered = "GP417" "subprotocol-not-offered" Note Setup
        causes "a server that answers with the name of its authentication scheme whatever was offered"
        advice "browsers refuse such a connection; offer the name as well, and write `echo: strict` once it fits";
    /// What was asked right after the upgrade, without waiting for the greeting, was lost: the connection stood and nothing came of
    /// it.
    FirstMessageLost = "GP418" "first-message-lost" Failure Setup
        causes "messages that are read before their handler is registered, services that start after the socket was accepted"
        advice "accept the socket only when its messages are handled, or keep those that come before; clients may wait for the greeting until then";
    /// The run ended well and carried no answer.
    EmptyAnswer = "GP501" "empty-answer" Failure Answer
        causes "an agent without a model, an answer at another place than the profile says"
        advice "check the profile's `events.answer` against the frame shown";
    /// The run ended as completed, with a failure inside.
    FailureInside = "GP502" "failure-inside" Failure Answer
        causes "an error caught and returned as a result"
        advice "make the target end such runs as failed; users see this as an answer";
    /// The answer is shorter than asked.
    ShortAnswer = "GP503" "short-answer" Failure Answer
        causes "a fallback text, an answer that was cut"
        advice "read the answer shown";
    /// The answer lacks a pattern it must have.
    PatternMissing = "GP504" "pattern-missing" Failure Answer
        causes "a canned or degraded answer, a prompt that the agent understood differently"
        advice "read the answer shown, and whether the pattern asks for what matters";
    /// The answer holds a pattern it must not have.
    PatternForbidden = "GP505" "pattern-forbidden" Failure Answer
        causes "a placeholder, a mock, an apology in place of an answer"
        advice "read the answer shown";
    /// No event that ends the run says that it succeeded, as the scenario asks.
    SuccessNotSaid = "GP506" "success-not-said" Failure Answer
        causes "an end that is sent whatever came before it, a status that the front end reads and the harness's users do not"
        advice "compare the event shown with `expect.answer.success`";
    /// The answer is a text that stands in for one, such as `Task completed`.
    PlaceholderAnswer = "GP510" "placeholder-answer" Failure Answer
        causes "a default text where no result was made, a stream cut before its content, a mock in place of an agent"
        advice "find the code that sends this text; if it is a legitimate answer here, set `no_placeholder: false` or a list of your own";
    /// The answer is the prompt quoted back with little else.
    EchoedAnswer = "GP511" "echoed-answer" Failure Answer
        causes "a fallback handler or simulator that answers without an agent, a model that was not reached"
        advice "look for a fallback in front of the agent; if users ask to have their words repeated, set `not_echo: false`";
    /// The answer does not carry the mark of its prompt, as the scenario asks.
    MarkNotEchoed = "GP512" "mark-not-echoed" Failure Answer
        causes "an answer made for another prompt or from a cache, an agent that leaves references out"
        advice "ask the agent in the prompt to repeat the reference; if it will not, remove `canary: echoed`";
    /// Prompts that differ got the same answer.
    SameAnswer = "GP513" "same-answer" Failure Answer
        causes "an answer cached without the prompt in its key, a canned text, a simulator"
        advice "compare the prompts of the users named here; where the same answer is right, remove `distinct`";
    /// The answer names no figure, no money or nothing to do.
    NoBusinessValue = "GP514" "no-business-value" Failure Answer
        causes "a degraded or canned answer, an agent whose tools found nothing, an answer in another language than English"
        advice "read the answer shown; for other languages or subjects write patterns in `all_of` instead of the preset";
    /// A step after the run did not find what it must.
    AfterFailed = "GP601" "after-failed" Failure Events
        causes "history that was not stored, or is stored late"
        advice "repeat the request that is shown; allow for delay with `retry`";
    /// Too many iterations that were to begin by the clock found no free user, so the target got less load than asked for.
    ArrivalsDropped = "GP901" "arrivals-dropped" Doubt Budget
        causes "too few users for the rate, a target that takes longer than expected, a machine that cannot keep up"
        advice "raise `users.count`, or write `count: auto` and what an iteration `takes`; latencies are those of a smaller load";
    /// The harness itself was late for so much of its time that latencies beyond their limits may be its own.
    HarnessLate = "GP902" "harness-late" Doubt Budget
        causes "more load than this machine can drive and measure, other work on it, too few cores in a container"
        advice "lower the load to where it kept up, use `--threads`, or a machine of its own; all but latencies is valid";
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_sorted() {
        let codes: Vec<_> = Rule::ALL.iter().map(|rule| rule.code()).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
        let mut names: Vec<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Rule::ALL.len());
    }

    #[test]
    fn every_rule_explains_itself() {
        for rule in Rule::ALL {
            for text in [rule.meaning(), rule.causes(), rule.advice()] {
                assert!(text.len() > 20, "{rule} says too little: {text}");
            }
        }
    }
}
