//! The catalogue of faults: what each does, which real failure it stands for, how users would notice.
//!
//! Written from what backends were seen to do and from the protocol alone. What a judge makes of any of it is not known here.

use super::Strikes;

macro_rules! catalogue {
    ($($fault:ident, $name:literal, $strikes:ident, $does:literal, $stands_for:literal, $noticed:literal;)*) => {
        /// A deliberate misbehaviour, or a healthy variant, in the order of the golden path; the variants come last.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $(#[doc = $does] $fault,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &'static [Fault] = &[$(Fault::$fault),*];

            /// What it is called on the command line.
            pub const fn name(self) -> &'static str {
                match self { $(Fault::$fault => $name,)* }
            }

            /// Where it strikes.
            pub const fn strikes(self) -> Strikes {
                match self { $(Fault::$fault => Strikes::$strikes,)* }
            }

            /// What the backend does.
            pub const fn does(self) -> &'static str {
                match self { $(Fault::$fault => $does,)* }
            }

            /// The real failure it stands for.
            pub const fn stands_for(self) -> &'static str {
                match self { $(Fault::$fault => $stands_for,)* }
            }

            /// How users would notice.
            pub const fn noticed(self) -> &'static str {
                match self { $(Fault::$fault => $noticed,)* }
            }
        }
    };
}

catalogue! {
    NotReady, "not-ready", Ready, "answers readiness with 503",
        "a container that is routed to before it has started", "errors for some seconds after each deploy";
    LoginError, "login-error", Login, "answers a login with 500",
        "an auth service that lost its database", "nobody can log in";
    LoginRefused, "login-refused", Login, "refuses the right password with 401",
        "two services that hash passwords differently", "nobody can log in";
    LoginInside, "login-inside", Login, "answers a login with 200 and an error in place of the token",
        "a gateway that wraps errors", "a page that loads for ever after logging in";
    LoginSlow, "login-slow", Login, "answers a login late (`by`, 1 s)",
        "password hashing on an overloaded machine", "a spinner at the login";
    LoginHang, "login-hang", Login, "never answers a login",
        "a pool of connections that ran dry", "a spinner that never ends";
    LoginLimited, "login-limited", Login, "answers a login with 429 and Retry-After: 1",
        "a rate limit sized for one office", "some cannot log in at nine o'clock";
    TokenExpired, "token-expired", Login, "gives out tokens that have expired already",
        "clocks of two services that differ", "logged in, and logged out at once";
    TokenForeign, "token-foreign", Login, "gives out tokens that the socket does not accept",
        "services with different signing secrets", "login works, chat does not";
    IdentityCollapse, "identity-collapse", Login, "logs every user in as the same one",
        "a demo or cache path that is on in production", "everybody sees everybody's conversation";
    HistoryLost, "history-lost", History, "says that a thread has no messages",
        "answers that were streamed and never stored", "an empty page after a reload";
    OpenDoorHistory, "open-door-history", History, "shows a thread's messages to whoever asks",
        "a route without an ownership check", "nobody, until somebody guesses an address";
    ErrorTells, "error-tells", History, "answers reading messages with 500 and the caller's token in the text",
        "an error handler that prints the request", "a token in a screenshot";

    UpgradeForbidden, "upgrade-403", Upgrade, "refuses the upgrade with 403",
        "a load balancer that strips the Authorization header", "`connecting ...`";
    UpgradeUnavailable, "upgrade-503", Upgrade, "refuses the upgrade with 503",
        "a gateway without a healthy backend", "`connecting ...`";
    UpgradeBreaker, "upgrade-breaker", Upgrade, "refuses every upgrade with 503 for a while (`by`, 1 s)",
        "a circuit breaker around the auth service", "nobody can connect for a quarter of a minute";
    UpgradeHang, "upgrade-hang", Upgrade, "accepts the connection and never answers the upgrade",
        "a load balancer before a dead container", "`connecting ...` for ever";
    UpgradeSlow, "upgrade-slow", Upgrade, "answers the upgrade late (`by`, 1 s)",
        "a cold start", "a chat that takes a while to appear";
    UpgradeWrongKey, "upgrade-wrong-key", Upgrade, "answers the upgrade with an accept key of no request",
        "a proxy that caches upgrades", "`connecting ...`";
    NoSubprotocol, "no-subprotocol", Upgrade, "selects none of the subprotocols offered",
        "a framework that drops the header", "browsers give up, command lines work";
    LeakUpgrade, "leak-upgrade", Upgrade, "names whoever came before in a header of the answer to the upgrade",
        "an answer that a proxy kept for somebody else", "somebody else's session, if it is a cookie";
    OtherSubprotocol, "other-subprotocol", Upgrade, "selects a subprotocol that was not offered",
        "a proxy that answers for another service", "browsers give up, command lines work";
    OpenDoorMissing, "open-door-missing", Door, "lets in whoever brings no token, as a demo user",
        "authentication that is permissive when it is unsure", "nobody, until somebody tries";
    OpenDoorMalformed, "open-door-malformed", Door, "lets in whoever brings a text that is no token, as a demo user",
        "a relaxed mode that makes up a user where it cannot read one", "nobody, until somebody tries";
    OpenDoorExpired, "open-door-expired", Door, "lets in expired tokens; its own live for `by` (1 s)",
        "a verifier that does not look at `exp`", "nobody, until a token leaks";
    OpenDoorForged, "open-door-forged", Door, "lets in tokens whose signature is wrong",
        "a decoder used in place of a verifier", "nobody, until somebody tries";
    OpenDoorRevoked, "open-door-revoked", Door, "lets in tokens that were logged out",
        "a list of revoked tokens that one instance keeps for itself", "nobody, until a token leaks";
    OpenDoorRefresh, "open-door-refresh", Door, "takes refresh tokens that were used before",
        "refresh tokens that are good until they expire", "nobody, until a token leaks";
    OpenDoorUnsigned, "open-door-unsigned", Door, "lets in tokens that say they need no signature",
        "a library that believes the algorithm in the token", "nobody, until somebody tries";
    OpenDoorAudience, "open-door-audience", Door, "lets in tokens for another service, whatever their signature",
        "a verifier that finds its key by the audience, and checks nothing where it has none", "nobody, until somebody tries";
    OpenDoorOrigin, "open-door-origin", Door, "lets in pages of any site, where only some may come",
        "a check of the origin that is switched off for tests", "nobody, until a page misuses their session";
    OpenDoorThread, "open-door-thread", Door, "lets users ask on threads of others",
        "a thread id that is taken as it comes", "somebody else's question in one's own conversation";
    RefusalTells, "refusal-tells", Door, "refuses tokens with a text that holds them",
        "an error message that quotes what it was given", "a token in a log";
    RefusalDisturbs, "refusal-disturbs", Door, "closes the oldest connection with 1008 when it refuses a token",
        "a circuit breaker that one user's failures trip for all", "answers that stop when somebody else mistypes";

    NoGreeting, "no-greeting", Connection, "does not greet",
        "a handler that never got ready", "a chat that stays grey";
    GreetingSlow, "greeting-slow", Connection, "greets late (`by`, 1 s)",
        "services that are started on the first connection", "a chat that stays grey for a while";
    GreetingRefused, "greeting-refused", Connection,
        "greets with `authentication_error` and leaves the connection open",
        "authentication after accepting", "a chat that stays grey";
    GreetingForeign, "greeting-foreign", Connection, "greets with another user's id",
        "a connection object shared through a factory", "somebody else's name in the corner";
    CloseAtOnce, "close-at-once", Connection, "closes after the upgrade, with `code` (1011)",
        "a socket that is accepted before its services are up", "a chat that connects and disconnects";
    Evict, "evict", Connection, "closes the oldest connection with 1000 when there are more than `limit` (2)",
        "a limit of connections per process", "answers that stop in the middle under load";
    Ghosts, "ghosts", Connection, "counts closed connections as open, and refuses with 1008 beyond `limit` (2)",
        "connections that are never taken off the list", "a chat that stops working after some reloads";
    DeafToPongs, "deaf-to-pongs", Connection, "closes with 1008 as if pongs had not come",
        "a heartbeat that listens to another name", "a chat that disconnects every minute";
    UnaskedRun, "unasked-run", Connection, "begins a run that nobody asked for before it greets",
        "a job queue that survived a deploy", "an agent that works on nothing";
    LateReconnect, "late-reconnect", Connection, "sends the end of the run before again after a reconnect",
        "an outbox that is emptied into the next connection", "an old answer below a new question";
    ReplayDoubled, "replay-doubled", Connection, "sends all events of the run before again after a reconnect",
        "a replay that does not know what was delivered", "yesterday's conversation once more";
    LeakOnReconnect, "leak-on-reconnect", Connection, "replays another user's last run after a reconnect",
        "a replay buffer that is kept by connection number", "somebody else's conversation";
    ReplayGap, "replay-gap", Connection,
        "replays the run before after a reconnect, marked, but for one event",
        "a buffer for what may not have arrived that overflowed", "a hole, if the client relies on it";

    EarlyLost, "early-lost", Connection, "greets late (`by`, 1 s), and loses what it is sent before",
        "messages read before their handler is registered", "a first question that nobody answers";
    EarlyCloses, "early-closes", Connection,
        "greets late (`by`, 1 s), and closes with `code` (1011) if it is spoken to before",
        "a socket that is used before it was accepted", "a chat that disconnects whoever types too soon";

    AckOnly, "ack-only", Request, "acknowledges a request and starts no run",
        "a bridge that is missing between router and agent", "`message received`, and nothing else";
    Silent, "silent", Request, "takes a request and says nothing",
        "a rate limit or a router that drops silently", "nothing happens";
    RequestError, "request-error", Request, "answers a request with an error frame",
        "a registry of agents that is empty", "an error where the answer should be";
    Garbage, "garbage", Request, "sends a text that is no JSON before the run",
        "a debug line on the wrong stream", "a chat that breaks in some browsers";
    Binary, "binary", Request, "sends a binary frame before the run",
        "a codec that was switched on on one side", "a chat that breaks in some browsers";
    BrokenText, "broken-text", Request, "sends a text frame that is not UTF-8",
        "a text cut in the middle of a character", "a connection that the browser ends";
    Giant, "giant", Request, "sends a frame of 2 MiB before the run",
        "a whole state dumped into an event", "a browser that stalls";
    StrayRun, "stray-run", Request, "sends an event of a run that nobody asked for",
        "work that is left over from another deployment", "words that belong to nothing";

    Forgetful, "forgetful", Request, "answers as if the thread had never been spoken on",
        "a memory that one instance keeps for itself", "an agent that asks again what it was told";

    DropStarted, "drop-started", Run, "never sends `agent_started`",
        "an event sent before the connection was registered", "no sign that anything began";
    DropThinking, "drop-thinking", Run, "never sends `agent_thinking`",
        "a wrapper that one code path forgets", "no sign of progress";
    DropToolExecuting, "drop-tool-executing", Run, "never sends `tool_executing`",
        "a dispatcher that is not wrapped on one path", "results out of nowhere";
    DropToolCompleted, "drop-tool-completed", Run, "never sends `tool_completed`",
        "a tool that raises after its work", "a tool that spins for ever";
    DropTools, "drop-tools", Run, "never sends an event of a tool",
        "a dispatcher that is not wrapped at all", "no sign of work";
    DropCompleted, "drop-completed", Run, "never sends `agent_completed`",
        "an exception after the last step", "an answer that never ends";
    OnlyStarted, "only-started", Run, "sends `agent_started` and nothing more",
        "routing by run id where connections are known by thread id", "a chat that hangs";
    OnlyEnds, "only-ends", Run, "sends `agent_started` and `agent_completed` and nothing between",
        "batches that are lost when one send fails", "an answer without any progress";
    Renamed, "renamed", Run, "sends thinking under the name `reasoning`",
        "an emitter whose type is overwritten", "no sign of progress";
    StartedLate, "started-late", Run, "sends `agent_started` after the first `agent_thinking`",
        "events sent from two tasks", "a chat that flickers";
    ToolBackwards, "tool-backwards", Run, "sends `tool_completed` before its `tool_executing`",
        "events sent from two tasks", "a tool that spins for ever";
    CompletedEarly, "completed-early", Run, "sends `agent_completed` before the last tool has ended",
        "a final answer that does not wait", "an answer, and then more work";
    DoubleStarted, "double-started", Run, "sends `agent_started` twice, as two events",
        "two managers for one connection", "an agent that seems to begin twice";
    DoubleCompleted, "double-completed", Run, "sends `agent_completed` twice, as two events",
        "two managers for one connection", "the answer twice";
    DoubleAll, "double-all", Run, "sends every event twice, as two events",
        "two managers for one connection", "everything twice";
    LateEvent, "late-event", Run, "sends `agent_thinking` after the end",
        "a task that is not awaited", "an agent that thinks after it answered";
    AgentError, "agent-error", Run, "ends the run with `agent_error` after thinking",
        "a model that cannot be reached", "an error in place of the answer";
    AgentDeath, "agent-death", Run, "ends in the middle with `agent_death`",
        "a supervisor that notices that its worker is gone", "an error in place of an answer";
    ErrorThenCompleted, "error-then-completed", Run, "sends `agent_error`, and then completes",
        "a handler that reports and then falls through", "an error and an answer";
    CompletedFailed, "completed-failed", Run, "completes with `status: failed` inside",
        "a failure that is reported as a result", "an empty answer that looks finished";
    Stall, "stall", Run, "stops after `tool_executing` and says nothing more",
        "a tool without a time limit", "a tool that spins for ever";
    Cut, "cut", Run, "ends the TCP connection in mid-run without a close frame",
        "a container that is killed", "an answer that stops in the middle";
    Close, "close", Run, "closes the connection in mid-run with `code` (1000)",
        "a limit, a restart, or a handler that thinks it is done", "an answer that stops in the middle";
    ExpireInRun, "expire-in-run", Run, "closes in mid-run with 1008 `Token expired`",
        "a token that lives shorter than a conversation", "an answer that stops after a quarter of an hour";

    AnswerEmpty, "answer-empty", Run, "answers with an empty text",
        "a result that is read under another name", "an empty bubble";
    AnswerNull, "answer-null", Run, "answers with null",
        "a result that was never set", "an empty bubble";
    AnswerHollow, "answer-hollow", Run, "answers with an object that holds nothing",
        "a result that is wrapped and never filled", "`[object Object]`";
    AnswerPlaceholder, "answer-placeholder", Run, "answers `Task completed`",
        "a fallback text", "a reply without an answer";
    AnswerEcho, "answer-echo", Run, "answers with the prompt",
        "a mock that is on in production", "one's own words";
    AnswerMock, "answer-mock", Run, "answers `Mock response` at once",
        "a bypass for tests that real users hit", "an answer that is no answer";
    AnswerApology, "answer-apology", Run, "answers with an apology",
        "a fallback after every model failed", "an apology in place of an answer";
    LeakCachedAnswer, "leak-cached-answer", Run, "answers with what another user was told before",
        "a cache whose key lacks the user", "somebody else's figures";
    Synthetic, "synthetic", Run, "plays the five events without any work, with a canned text",
        "a fallback handler that pretends", "an answer that is too quick and says nothing";
    Burst, "burst", Run, "holds all events back and sends them at the end, after `by` (1 s)",
        "a proxy that buffers", "nothing for long, then everything";
    Degraded, "degraded", Run, "answers by `agent_response` of a fallback, with a degradation level",
        "services that are down behind the agent", "a thinner answer than usual";
    SubAgentsLost, "sub-agents-lost", Run, "sends no event of sub-agents",
        "sub-agents that are given no run id", "long silences";
    SlowFirst, "slow-first", Run, "starts the run late (`by`, 1 s)",
        "a queue before the agents", "nothing happens for a while";
    SlowTool, "slow-tool", Run, "lets a tool take long (`by`, 1 s)",
        "a database without an index", "a tool that spins for long";

    LeakBroadcast, "leak-broadcast", Run, "sends an event without ids to everybody",
        "a broadcast where a send was meant", "words of somebody else";
    LeakCopy, "leak-copy", Run, "sends all events to another user as well",
        "a handler that was registered for the first connection", "somebody else's conversation";
    LeakMisroute, "leak-misroute", Run, "sends all events to another user, and none to the owner",
        "a router whose handler belongs to whoever came last", "nothing, or somebody else's conversation";
    LeakAnswer, "leak-answer", Run, "sends the end to another user as well",
        "a callback kept in a shared object", "somebody else's answer";
    LeakContent, "leak-content", Run, "works on another user's request under the own ids",
        "a supervisor that is shared between users", "thoughts and figures of somebody else";
    LeakLate, "leak-late", Run, "sends the last event again, to another user, after the end",
        "a queue that outlives its connection", "words of somebody else, later";
    ForeignUser, "foreign-user", Run, "names another user in its own events",
        "an identity taken from shared state", "nobody; audit logs are wrong";
    MalformedUser, "malformed-user", Run, "names the thread as the user",
        "arguments in the wrong order", "nobody; audit logs are wrong";

    AckFirst, "ack-first", Request, "acknowledges a request before the run",
        "a router that confirms", "`message received`";
    Supervised, "supervised", Run, "lets two sub-agents do the work, each with events of its own",
        "a supervisor with agents below it", "more steps than usual";
    UnknownKinds, "unknown-kinds", Run, "sends events of kinds that nobody knows",
        "a newer version", "nothing";
    PingFirst, "ping-first", Connection, "sends a ping before the greeting",
        "a heartbeat that starts early", "nothing";
    Redelivered, "redelivered", Run, "sends an event twice under one event id",
        "at least once delivery", "nothing; ids tell";
    FailedTool, "failed-tool", Run, "lets a tool fail in a run that goes on",
        "a source that is down", "an answer that says so";
    CloseAfterEnd, "close-after-end", Run, "closes with 1000 right after the end",
        "one connection a question", "nothing";
    SkewedClock, "skewed-clock", Run, "lets its timestamps run backwards",
        "two machines", "nothing";
    DoubleEncoded, "double-encoded", Run, "sends events as JSON texts within JSON",
        "a serializer that runs twice", "nothing, if the client knows";
    Batched, "batched", Run, "sends the events of a tool in one frame",
        "a queue that is flushed at times", "nothing";
    NullFields, "null-fields", Run, "sends nulls for what an event has no value for",
        "a schema that lists every field", "nothing";
    OverlappingTools, "overlapping-tools", Run, "calls each tool again before its first call has completed",
        "an agent that asks several sources at once", "two steps that turn side by side";
    PingedInRun, "pinged-in-run", Run, "sends a ping before each event of a run",
        "a heartbeat that takes no account of runs", "nothing";
    AnswerObject, "answer-object", Run, "answers with an object that holds the text",
        "an agent whose results have parts", "nothing, if the client knows";
    QuietEnd, "quiet-end", Run, "says nothing for a while (`by`, 1 s) before the end",
        "a model that thinks before it writes", "a wait before the answer";
    CutUserInGreeting, "cut-user-in-greeting", Connection, "shortens the user id in the greeting",
        "a log format that got onto the wire", "nothing";
    Replayed, "replayed", Connection, "sends the events of the run before again after a reconnect, marked as recovered",
        "a buffer for what may not have arrived", "nothing, if the client knows";
    OwnThread, "own-thread", Run, "answers on a thread of its own choice",
        "a thread that is made anew", "nothing";
}
