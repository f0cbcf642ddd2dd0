//! The file format of a target profile: every key, what it means and what it is when left out.
//!
//! The doc comments here are the descriptions in the JSON Schema. These types are what stood in the file; rules between
//! several keys, and what a key makes `session` do or `check` expect, are `compile`'s business.

pub mod refresh;

use serde_json::{Value as Json, json};

use super::money::Money;
use crate::document::decode::{Decode, Definitions, by_shape, one_of, record, words};
use crate::document::text::{Template, Text};
use crate::document::values::{OneOrMany, Pattern, Rate, Status, Table, Whole};
use crate::document::{Context, Node, Spanned};
use crate::matcher::{BodyWhen, NameWhen, Pointer, TextTest, When};
use crate::time::Micros;

record! {
    /// How to reach one target: its addresses, login, connection and dialect. Texts may hold `${...}`.
    pub struct File {
        /// Version of this format: 1.
        pub version: Whole<1, 1> = required,
        /// What reports call the target.
        pub name: Spanned<String> = required,
        /// The HTTP side: where paths of steps begin, and headers for all of them.
        pub http: Option<Http>,
        /// Address of the WebSocket, `ws://` or `wss://`. `--url` replaces it as a whole, so a token in the query belongs into
        /// `connect.query`.
        pub socket: Text = required,
        /// How much this target may be loaded with when it is not on this machine. Only this file raises these limits.
        pub limits: Option<Limits>,
        /// Steps done once, before any user; if they do not succeed the target could not be tested. What they capture is shown
        /// in reports.
        pub ready: Vec<Spanned<Step>> = default(Vec::new()),
        /// Steps that log a user in, per iteration or once per user.
        pub login: Vec<Spanned<Step>> = default(Vec::new()),
        /// Steps that log a user out, done by the probe `logged-out-token` alone. They capture nothing.
        pub logout: Vec<Spanned<Step>> = default(Vec::new()),
        /// How a session is kept alive that ends by itself. Left out: it is taken to outlive the execution.
        pub refresh: Option<Spanned<refresh::Refresh>>,
        /// Steps of each iteration before it connects.
        pub prepare: Vec<Spanned<Step>> = default(Vec::new()),
        /// The connection. Left out: a plain WebSocket, on which the user may ask at once.
        pub connect: Option<Connect>,
        /// Frames that keep the connection alive or say something beside the run: known, answered perhaps, never progress. The
        /// first rule that holds counts.
        pub heartbeats: Vec<Spanned<Heartbeat>> = default(Vec::new()),
        /// Events of a run that are answered: the agent asks back. They are judged as any others; the first rule that holds counts.
        pub replies: Vec<Spanned<Heartbeat>> = default(Vec::new()),
        /// How the agent is asked.
        pub ask: Spanned<Ask> = required,
        /// What to send before the harness closes a connection. A message is left out while a name in it has no value.
        pub leave: Vec<Leave> = default(Vec::new()),
        /// How the target spells its events. Every key left out is read as the common envelopes have it: at the root, in `data`
        /// or in `payload`.
        pub events: Option<Events>,
        /// Steps of each iteration after its runs, judged: history, continuity.
        pub after: Vec<Spanned<Step>> = default(Vec::new()),
        /// Steps always done at the end of an iteration, also of a failed one. They never change the verdict; what they could
        /// not clean up is listed. A step is left out while a name in it has no value.
        pub finally: Vec<Spanned<Step>> = default(Vec::new()),
        /// Named blocks that `--env NAME` lays over this file: maps merge, lists replace.
        pub environments: Option<Table<Node>>,
    }
    not_yet {
        "let" => ("generate values", "use `${uuid}`, `${nonce}` or `${counter}` in their place"),
        "redact" => ("keep parts of frames out of recordings", "remove it; what steps capture as `secret` is kept out"),
        "probes" => ("watch the target between runs", "remove it"),
    }
}

record! {
    /// The HTTP side of a target.
    pub struct Http {
        /// What paths of steps are appended to, `http://` or `https://`. `--url` replaces it.
        pub base: Text = required,
        /// Headers of every request to `base`; a step that names a full URL sends its own only. A header whose names have no
        /// value yet (the token, before login) is not sent.
        pub headers: Table<Text> = default(Table(Vec::new())),
        /// What to make of redirects where a step does not say. Default stop.
        pub redirects: Option<Redirects>,
    }
    not_yet {
        "proxy" => ("use a proxy", "remove it"),
        "tls" => ("change how certificates are checked", "remove it"),
    }
}

record! {
    /// How much a target that is not on this machine may be loaded with.
    pub struct Limits {
        /// Users at once. Default 50.
        pub users: Option<Whole<1, 1_000_000>>,
        /// Iterations begun per time. Default 5/s.
        pub rate: Option<Rate>,
        /// Runs of one execution. Default 500.
        pub runs: Option<Whole<1, 1_000_000_000>>,
        /// Length of one execution. Default 15m.
        pub duration: Option<Micros>,
        /// What one run costs, in a currency: `0.05 USD`. Plans and reports say what all of them cost.
        pub cost_per_run: Option<Spanned<Money>>,
        /// What one execution may cost, in the same currency. Needs `cost_per_run`.
        pub cost: Option<Spanned<Money>>,
    }
}

record! {
    /// One HTTP request with its success condition: exactly one of the methods, everything else optional.
    pub struct Step {
        /// A path below `http.base`, or a full URL.
        pub get: Option<Address>,
        /// See `get`.
        pub post: Option<Address>,
        /// See `get`.
        pub put: Option<Address>,
        /// See `get`.
        pub patch: Option<Address>,
        /// See `get`.
        pub delete: Option<Address>,
        /// Headers of this request, over those of `http`.
        pub headers: Table<Text> = default(Table(Vec::new())),
        /// Appended to the address, percent-encoded.
        pub query: Table<Text> = default(Table(Vec::new())),
        /// A JSON body. A text that is exactly one `${x}` takes x with its type. As in every JSON that is sent `{ file: PATH,
        /// set: { POINTER: value } }` stands for what a file holds, relative to this one, with these values put into it.
        pub json: Option<Spanned<Template>>,
        /// A body as an HTML form sends it (`application/x-www-form-urlencoded`), in this order.
        pub form: Option<Spanned<Table<Text>>>,
        /// A body of plain text; a header Content-Type says what else it is.
        pub body: Option<Spanned<Text>>,
        /// A file to send as the body, relative to this file, at most 1 MiB; a header Content-Type says what it is.
        pub file: Option<Spanned<String>>,
        /// What to make of a redirect. Default: that of `http`.
        pub redirects: Option<Redirects>,
        /// Its answer is meant for everybody, so that whom it names is held against nobody. Default: false.
        pub public: bool = default(false),
        /// How long one request may take. Default: the scenario's `timeouts.connect`.
        pub timeout: Option<Spanned<Micros>>,
        /// In `ready` only: repeated every 500ms until it succeeds, at most this long.
        pub within: Option<Spanned<Micros>>,
        /// Repeated until it succeeds.
        pub retry: Option<Spanned<Retry>>,
        /// When the step succeeded. Default: status 200-299.
        pub expect: Option<Expect>,
        /// Names for parts of the answer, for later texts. Names that nothing needs may be absent in the answer.
        pub capture: Table<Capture> = default(Table(Vec::new())),
        /// In `ask` only: frames by which the target refuses to answer, until the first event of the run.
        pub refused: Option<Spanned<OneOrMany<When>>>,
    }
}

words! {
    /// What to make of a redirect (301, 302, 303, 307, 308 with a `Location`).
    pub enum Redirects {
        /// it is gone after, at most 20 times; headers of the profile are sent to the first host only
        Follow = "follow",
        /// it is an answer like any other
        Stop = "stop",
    }
}

/// Where a step goes: a text, kept also as it was written, which names the step in reports.
#[derive(Debug, Clone)]
pub struct Address {
    /// The path or URL.
    pub text: Text,
    /// As written.
    pub written: String,
}

record! {
    /// How a step is repeated until it succeeds.
    pub struct Retry {
        /// Time between the begins of two tries. Default 200ms.
        pub every: Option<Spanned<Micros>>,
        /// How long after the first try another one may begin.
        pub limit as "for": Micros = required,
    }
}

record! {
    /// When a step succeeded: all of it must hold.
    pub struct Expect {
        /// A status (`200`), a range of them (`200-299`) or a list of both. Default 200-299.
        pub status: Option<OneOrMany<Status>>,
        /// What must hold of headers, each of which must be there. Several of one name count as one, joined by `, `.
        pub headers: Table<TextTest> = default(Table(Vec::new())),
        /// What must hold of the body.
        pub when: Option<BodyWhen>,
        /// In `after` only: what of the iteration's last run must stand in the texts of the body, as history holds it.
        pub holds: Option<OneOrMany<Spanned<Held>>>,
    }
}

words! {
    /// What of a run history holds.
    pub enum Held {
        /// the prompt as it was sent
        Prompt = "prompt",
        /// the beginning of the answer
        Answer = "answer",
    }
}

by_shape! {
    /// Where a named value stands in the answer.
    pub enum Capture {
        /// A JSON Pointer.
        One(Pointer) = text,
        /// JSON Pointers, of which the first that exists counts.
        Several(OneOrMany<Pointer>) = list,
        /// Not in the body, or not to be shown.
        Marked(Marked) = map,
    }
    expected "a JSON Pointer, a list of them, `{ header: ... }`, `{ cookie: ... }`, `{ matches: ... }` or `{ secret: ... }`"
}

one_of! {
    /// A captured value that does not stand in the body, or must not be shown.
    pub enum Marked {
        /// Where the value stands; it is kept out of recordings, reports and logs.
        Secret(Place) = "secret",
        /// The header that holds it; of several the first.
        Header(Spanned<String>) = "header",
        /// The cookie that holds it, of those the user has for this address after the answer.
        Cookie(Spanned<String>) = "cookie",
        /// A part of a text, by a regular expression.
        Matches(Matches) = "matches",
    }
}

by_shape! {
    /// Where a secret stands in the answer.
    pub enum Place {
        /// A JSON Pointer.
        One(Pointer) = text,
        /// JSON Pointers, of which the first that exists counts.
        Several(OneOrMany<Pointer>) = list,
        /// Not in the body.
        Elsewhere(Elsewhere) = map,
    }
    expected "a JSON Pointer, a list of them, `{ header: ... }`, `{ cookie: ... }` or `{ matches: ... }`"
}

by_shape! {
    /// A part of a text. Of the pattern's groups the first that has a name counts, else the first, else the whole match.
    pub enum Matches {
        /// A regular expression, searched for in the body.
        Body(Pattern) = text,
        /// Searched for elsewhere.
        Of(MatchesOf) = map,
    }
    expected "a regular expression, or `{ header: ..., pattern: ... }`"
}

record! {
    /// A part of a header or a cookie.
    pub struct MatchesOf {
        /// The header; of several the first.
        pub header: Option<Spanned<String>>,
        /// The cookie, of those the user has for this address after the answer.
        pub cookie: Option<Spanned<String>>,
        /// A regular expression, searched for in it.
        pub pattern: Spanned<Pattern> = required,
    }
}

one_of! {
    /// A place in an answer that is not a JSON Pointer of its body.
    pub enum Elsewhere {
        /// The header that holds the value; of several the first.
        Header(Spanned<String>) = "header",
        /// The cookie that holds the value, of those the user has for this address after the answer.
        Cookie(Spanned<String>) = "cookie",
        /// A part of a text, by a regular expression.
        Matches(Matches) = "matches",
    }
}

record! {
    /// The connection.
    pub struct Connect {
        /// What is opened. Default websocket.
        pub kind: Option<Kind>,
        /// Subprotocols offered, in this order. `jwt.${token | base64url}` carries a token.
        pub subprotocols: Vec<Text> = default(Vec::new()),
        /// Headers of the upgrade; those of `http` are not sent with it.
        pub headers: Table<Text> = default(Table(Vec::new())),
        /// Appended to the address of the socket, percent-encoded. `token: "${token}"` carries a token.
        pub query: Table<Text> = default(Table(Vec::new())),
        /// The `Origin` header that a browser would send. Default: none.
        pub origin: Option<Text>,
        /// What to make of the subprotocol the target selects. Default lenient.
        pub echo: Option<Echo>,
        /// What happens on the fresh connection until the user may ask. Default: nothing.
        pub script: Vec<ScriptStep> = default(Vec::new()),
        /// The largest frame that is read, in bytes; a larger one ends its connection. Default 1048576.
        pub max_frame: Option<Whole<1_024, 67_108_864>>,
    }
    not_yet {
        "compression" => ("negotiate permessage-deflate", "remove it"),
        "ping" => ("send protocol pings", "remove it; pings of the target are answered"),
    }
}

words! {
    /// What is opened.
    pub enum Kind {
        /// RFC 6455
        Websocket = "websocket",
    }
    not_yet {
        "sse" => ("read server-sent events", "use `websocket`"),
        "http" => ("read a streamed answer", "use `websocket`"),
        "socketio" => ("speak Socket.IO", "use `websocket`"),
    }
}

words! {
    /// What to make of the subprotocol that the target selects.
    pub enum Echo {
        /// it must be one of those offered, and none only if none was offered
        Strict = "strict",
        /// whatever it is, the connection is used
        Lenient = "lenient",
    }
}

one_of! {
    /// One step of the socket script.
    pub enum ScriptStep {
        /// Wait for a frame.
        Wait(Wait) = "wait",
        /// Send a JSON value.
        Send(Spanned<Template>) = "send",
        /// Send a text as it is.
        SendText(Text) = "send_text",
    }
}

one_of! {
    /// A message before the connection is closed.
    pub enum Leave {
        /// A JSON value.
        Send(Spanned<Template>) = "send",
        /// A text as it is.
        SendText(Text) = "send_text",
    }
}

record! {
    /// A frame to wait for.
    pub struct Wait {
        /// The frame that ends the wait.
        pub when: When = required,
        /// How long. Default: the scenario's `timeouts.greeting`.
        pub within: Option<Spanned<Micros>>,
        /// Frames by which the target refuses the user, here and until the first event of a run.
        pub refused: OneOrMany<When> = default(OneOrMany(Vec::new())),
        /// Go on without the frame when the time is over: for targets that say something only if they refuse. Default false.
        pub optional: Option<bool>,
        /// Names for parts of the frame, for later texts. A frame that lacks one which something needs is not the one waited for.
        pub capture: Table<FrameCapture> = default(Table(Vec::new())),
    }
}

by_shape! {
    /// Where a named value stands in the frame.
    pub enum FrameCapture {
        /// A JSON Pointer.
        One(Pointer) = text,
        /// JSON Pointers, of which the first that exists counts.
        Several(OneOrMany<Pointer>) = list,
        /// Not to be shown.
        Secret(FrameSecret) = map,
    }
    expected "a JSON Pointer, a list of them or `{ secret: ... }`"
}

one_of! {
    /// A captured value that must not be shown.
    pub enum FrameSecret {
        /// JSON Pointers, of which the first that exists counts; the value is kept out of recordings, reports and logs.
        Secret(OneOrMany<Pointer>) = "secret",
    }
}

record! {
    /// Frames that are known and never progress.
    pub struct Heartbeat {
        /// Which frames.
        pub when: When = required,
        /// The JSON value to answer them with. Default: no answer.
        pub reply: Option<Spanned<Template>>,
        /// A text to answer them with as it is.
        pub reply_text: Option<Text>,
        /// Names for parts of the frame, for its answer alone. A frame that lacks one which the answer needs is none of these.
        pub capture: Table<FrameCapture> = default(Table(Vec::new())),
    }
    not_yet {
        "every" => ("send heartbeats of our own", "remove it; those of the target are answered"),
    }
}

/// How the agent is asked.
#[derive(Debug, Clone)]
pub enum Ask {
    /// By a message on the socket.
    Send(AskBySocket),
    /// By a request, whose run comes on the socket all the same.
    Step(Box<Spanned<Step>>),
}

record! {
    /// How the agent is asked on the socket: one of `send` and `send_text`, which must hold `${prompt}`. With a method (`post: /runs`)
    /// it is asked by a request.
    pub struct AskBySocket {
        /// The JSON value to send.
        pub send: Option<Spanned<Template>>,
        /// A text to send as it is.
        pub send_text: Option<Text>,
        /// Frames by which the target says that the ask arrived: known and no progress, so that a run which never started is
        /// told from an ask that nobody heard.
        pub accepted: OneOrMany<When> = default(OneOrMany(Vec::new())),
        /// Frames by which the target refuses to answer, until the first event of the run.
        pub refused: OneOrMany<When> = default(OneOrMany(Vec::new())),
    }
    not_yet {
        "steps" => ("ask by several requests", "ask by one, and do the others under `prepare`"),
    }
}

record! {
    /// How the target spells its events.
    pub struct Events {
        /// How frames are read: of json, sse and prefixed the first that fits a frame; binary and json_string go with all of them.
        /// Default json, then json_string.
        pub decode: Option<OneOrMany<Spanned<Encoding>>>,
        /// Frames that carry several events.
        pub split: OneOrMany<Split> = default(OneOrMany(Vec::new())),
        /// Where an event's name stands, first that is a text, or rules that give names. Default /type, /event, /event_name,
        /// /event_type.
        pub name: Option<EventName>,
        /// Other names of events: `agentStarted: agent_started`. Matchers and the scenario name them by the second.
        pub aliases: Table<Spanned<String>> = default(Table(Vec::new())),
        /// Where the parts of an event stand.
        pub fields: Option<EventFields>,
        /// Whose ids stand where; the names `user`, `thread` and `run` say what they identify. Default: all three at the root,
        /// in `data` and in `payload`; the user's if a step captures `user_id`, the others chosen where the ask sends them.
        pub ids: Option<Table<Id>>,
        /// How a run ends. Default: good with every end of the scenario's grammar, bad with agent_error.
        pub ends: Option<Ends>,
        /// Frames that mark a run as failed without ending it. Default: agent_completed with `success: false`.
        pub failed: Option<Vec<When>>,
        /// Frames by which the target says that it answers without its agent, or only in part. Default: agent_response with
        /// `type: fallback_response`, and any event with `degradation_level`.
        pub degraded: Option<Vec<When>>,
        /// Events delivered later than they happened, after a connection had failed; their order means nothing. Default:
        /// `recovered: true`.
        pub replayed: Option<Vec<When>>,
        /// Results of tools that failed, which is a note on a run that goes on. Default: `success: false`, `status: failed` or
        /// `error`.
        pub failed_tool: Option<Vec<When>>,
        /// Where the answer stands. In a frame the first rule that holds counts; of several frames the last one. Default: of
        /// agent_completed, final_response, result, response or message.
        pub answer: Option<Vec<Answer>>,
        /// Known noise: counted, and never an event that nothing mentions. Other users' data are looked for in it all the same.
        pub ignore: OneOrMany<When> = default(OneOrMany(Vec::new())),
    }
}

by_shape! {
    /// How frames are read.
    pub enum Encoding {
        /// By a rule that has a name.
        Named(Decoding) = text,
        /// Behind a prefix that is told by a pattern.
        Behind(Behind) = map,
    }
    expected "`json`, `sse`, `prefixed`, `json_string`, `binary` or `{ prefixed: PATTERN }`"
}

words! {
    /// How frames are read.
    pub enum Decoding {
        /// a frame is one JSON document
        Json = "json",
        /// a text frame holds records of server-sent events, each with a JSON document, or a text that its `event` line names
        Sse = "sse",
        /// a JSON object or list stands behind a prefix that ends where it begins; matchers test it as `prefix`
        Prefixed = "prefixed",
        /// JSON within a text is read as well, once: a frame that is one text, or a text where a place leads further; noted in
        /// the report
        JsonString = "json_string",
        /// binary frames are read as if they were text
        Binary = "binary",
    }
}

one_of! {
    /// A prefix that is told by a pattern.
    pub enum Behind {
        /// A regular expression of what stands before the JSON document, from the frame's beginning. A frame may be a prefix alone.
        Prefixed(Pattern) = "prefixed",
    }
}

record! {
    /// Frames that carry several events. Each is read as if it were a frame of its own; what it lacks it has from the frame
    /// around it.
    pub struct Split {
        /// Where the events stand, as a list or an object.
        pub at: Pointer = required,
        /// How the events there are named. Default own.
        pub by: SplitBy = default(SplitBy::Own),
    }
}

words! {
    /// How the events of a frame with several are named.
    pub enum SplitBy {
        /// a list of events, each with its own name, in their order
        Own = "own",
        /// an object with the names as keys and the events, or lists of them, as values; their order means nothing
        Type = "type",
    }
}

by_shape! {
    /// What gives an event its name.
    pub enum EventName {
        /// A JSON Pointer of a text.
        At(Pointer) = text,
        /// First rules, then JSON Pointers, of which the first that is a text counts.
        Several(OneOrMany<NameSource>) = list,
        /// Rules, and where none holds what is the default.
        Rules(Table<OneOrMany<NameWhen>>) = map,
    }
    expected "a JSON Pointer, a map of rules, or a list of them"
}

by_shape! {
    /// Where an event has its name from.
    pub enum NameSource {
        /// A JSON Pointer of a text.
        At(Pointer) = text,
        /// Names, each with matchers of which one must hold. The first rule that holds counts; what a rule names nothing else names.
        Rules(Table<OneOrMany<NameWhen>>) = map,
    }
    expected "a JSON Pointer or a map of rules"
}

record! {
    /// Where the parts of an event stand, each a JSON Pointer or a list of which the first that exists counts.
    pub struct EventFields {
        /// The agent that speaks. Default /agent_name, /agent, /agent_id, at the root and in `data` and `payload`.
        pub agent: Option<OneOrMany<Pointer>>,
        /// The tool's name. Default /tool_name, /tool, at the root and in `data` and `payload`.
        pub tool: Option<OneOrMany<Pointer>>,
        /// The id that pairs a tool's result with its call. Default /call_id, /tool_call_id, at the root and in `data` and
        /// `payload`.
        pub call: Option<OneOrMany<Pointer>>,
        /// The id of the event itself. Default /event_id, at the root and in `data` and `payload`.
        pub event_id: Option<OneOrMany<Pointer>>,
        /// When the target says it was sent; only to note clocks that run backwards. Default /timestamp, at the root and in
        /// `data` and `payload`.
        pub time: Option<OneOrMany<Pointer>>,
    }
    not_yet {
        "text" => ("judge streamed text", "remove it; the answer's places stand under `events.answer`"),
    }
}

record! {
    /// Whose id stands where.
    pub struct Id {
        /// JSON Pointers, of which the first that exists counts.
        pub at: OneOrMany<Pointer> = required,
        /// The captured name that holds the receiver's own value.
        pub is: Option<Spanned<String>>,
        /// Where the value comes from if no step captures it.
        pub source: Option<Spanned<Source>>,
        /// How values are compared. Default exact.
        pub compare: Comparison = default(Comparison::Exact),
        /// Among whom a value has one owner. Default target.
        pub unique: Uniqueness = default(Uniqueness::Target),
    }
}

words! {
    /// Where the value of an id comes from.
    pub enum Source {
        /// made by the harness and sent as `${thread_id}` or `${run_id}`
        Chosen = "chosen",
        /// made by the target; of runs only, which it tells apart. One that no chance makes twice is whose who got it first
        Learned = "learned",
    }
}

words! {
    /// How two values of an id are compared.
    pub enum Comparison {
        /// equal texts
        Exact = "exact",
        /// one is the beginning of the other
        Prefix = "prefix",
    }
}

words! {
    /// Among whom a value has one owner.
    pub enum Uniqueness {
        /// the whole target
        Target = "target",
        /// one user only: small or repeated numbers, which identify nobody
        User = "user",
    }
}

record! {
    /// How a run ends. Frames that nothing here matches are no ends.
    pub struct Ends {
        /// The run went well. Default: every end of the scenario's grammar.
        pub good: Option<OneOrMany<When>>,
        /// The run failed, and nothing more is to be waited for. Default agent_error.
        pub bad: Option<OneOrMany<When>>,
    }
}

record! {
    /// Where the answer stands in which frames.
    pub struct Answer {
        /// The frames that carry it.
        pub when: When = required,
        /// JSON Pointers, of which the first that exists counts. An object or list is taken as its JSON text.
        pub at: OneOrMany<Pointer> = required,
        /// Each frame holds a part of the answer, to be joined with those before it. Default: the last one holds it whole.
        pub append: Option<bool>,
    }
}

/// Every key left out.
impl Default for Connect {
    fn default() -> Connect {
        Connect {
            kind: None,
            subprotocols: Vec::new(),
            headers: Table(Vec::new()),
            query: Table(Vec::new()),
            origin: None,
            echo: None,
            script: Vec::new(),
            max_frame: None,
        }
    }
}

/// Every key left out.
impl Default for Events {
    fn default() -> Events {
        Events {
            decode: None,
            split: OneOrMany(Vec::new()),
            name: None,
            aliases: Table(Vec::new()),
            fields: None,
            ids: None,
            ends: None,
            failed: None,
            degraded: None,
            replayed: None,
            failed_tool: None,
            answer: None,
            ignore: OneOrMany(Vec::new()),
        }
    }
}

/// Every key left out.
impl Default for EventFields {
    fn default() -> EventFields {
        EventFields { agent: None, tool: None, call: None, event_id: None, time: None }
    }
}

impl Decode for Address {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = Text::decode(node, cx)?;
        Some(Self { text, written: node.text().unwrap_or_default().to_owned() })
    }

    fn schema(definitions: &mut Definitions) -> Json {
        Text::schema(definitions)
    }
}

impl Decode for Ask {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let by_request = METHODS.iter().any(|method| node.get(method).is_some());
        if by_request {
            return Spanned::decode(node, cx).map(|step| Ask::Step(Box::new(step)));
        }
        AskBySocket::decode(node, cx).map(Ask::Send)
    }

    fn schema(definitions: &mut Definitions) -> Json {
        json!({ "anyOf": [AskBySocket::schema(definitions), Step::schema(definitions)] })
    }
}

/// The keys of a step of which exactly one must stand.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
