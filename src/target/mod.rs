//! The target profile: how one backend is reached, logged into, asked and understood, as data.
//!
//! ```text
//! Node -> format (what stood in the file) -> compile -> Profile
//!                                                        |- steps, connection, ask: what `session` does
//!                                                        '- reads: what `check` expects of frames
//! ```
//!
//! Nothing here sends anything, reads a variable or knows a scenario. What differs between backends is a line in a profile,
//! never a line here; a key that this build cannot execute or judge is refused.

mod compile;
mod doors;
pub mod format;
mod money;
mod names;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::sync::Arc;

pub use compile::compile;
pub use format::{Echo, Held};

pub use money::{Cost, Money};
use regex::Regex;

use crate::document::text::{JsonText, Text};
use crate::document::values::Rate;
use crate::document::{Span, Spanned};
use crate::event::SlotId;
use crate::expect::{AnswerSource, Asking, Dialect, Ends, Heartbeat, IdRule, Matcher, Signs, Test, Trie};
use crate::time::Micros;

/// The profile of the backend this harness was founded for, which the embedded backend speaks as well: what
/// `target: embedded` means.
pub const NETRA: &str = include_str!("../../scenarios/targets/netra.yaml");

/// Everything known about a target. Texts are filled in by `session`; which names have a value when was checked.
#[derive(Debug, Clone)]
pub struct Profile {
    /// What reports call it.
    pub name: String,
    /// The HTTP side; `None` where no step needs one.
    pub http: Option<Http>,
    /// The address of the WebSocket; what `--url` derives replaces it as a whole.
    pub socket: Text,
    /// How much the target may be loaded with off loopback.
    pub limits: Limits,
    /// What runs cost, if the profile says so.
    pub cost: Option<Cost>,
    /// Once, before any user.
    pub ready: Vec<Step>,
    /// Per session.
    pub login: Vec<Step>,
    /// By a probe that comes with a token that was logged out.
    pub logout: Vec<Step>,
    /// Before a session ends by itself.
    pub refresh: Option<Refresh>,
    /// Per iteration, before connecting.
    pub prepare: Vec<Step>,
    /// Per iteration, after its runs; judged.
    pub after: Vec<Step>,
    /// Per iteration, always; never judged. A step whose names have no value is left out.
    pub finally: Vec<Step>,
    /// The connection.
    pub connect: Connect,
    /// What to answer to a frame of the heartbeat rule with the same index in `reads`.
    pub replies: Vec<Option<Reply>>,
    /// How to ask the agent.
    pub ask: Ask,
    /// What to send before the connection is closed. A message whose names have no value is left out.
    pub leave: Vec<Message>,
    /// How frames are understood.
    pub reads: Reads,
    /// Texts that matchers and ids compare frames with, by the names under which the judge is told what they are for a user, as soon
    /// as their names have values and whenever these change.
    pub own: Vec<(String, Text)>,
    /// Columns beside `email` and `password` that a list of users must have: the names behind `user.`, each with a place that
    /// asks for it; sorted.
    pub columns: Vec<(String, Span)>,
}

/// How a session is kept alive that ends by itself.
#[derive(Debug, Clone)]
pub struct Refresh {
    /// What says when it ends.
    pub expires: Expires,
    /// How long before that it is refreshed, if it lives more than twice as long.
    pub before: Micros,
    /// What is done; what it captures takes the place of what was captured before.
    pub steps: Vec<Step>,
    /// A connection is replaced by another one afterwards.
    pub reconnects: bool,
}

/// What says when a session ends: a captured value, by its name, or nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expires {
    /// A JSON Web Token by its `exp`.
    Jwt(String),
    /// Seconds that are left.
    Seconds(String),
    /// Seconds since 1970.
    UnixS(String),
    /// Milliseconds since 1970.
    UnixMs(String),
    /// An instant as RFC 3339 writes it.
    Iso(String),
    /// It lives so long.
    After(Micros),
}

/// The HTTP side of a target.
#[derive(Debug, Clone)]
pub struct Http {
    /// Where paths begin; what `--url` says replaces it as a whole.
    pub base: Text,
    /// Headers of every request below `base`. One whose names have no value yet is left out.
    pub headers: Vec<(String, Text)>,
}

/// How much a target off loopback may be loaded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Users at once.
    pub users: u64,
    /// Iterations begun per time.
    pub rate: Rate,
    /// Runs of one execution.
    pub runs: u64,
    /// Length of one execution.
    pub duration: Micros,
}

/// One HTTP request with its success condition.
#[derive(Debug, Clone)]
pub struct Step {
    /// What reports call it: `POST /auth/login`, as the profile writes it.
    pub name: String,
    /// The method.
    pub method: Method,
    /// A path, which goes below the base, or a full URL; see [`absolute`].
    pub url: Text,
    /// Headers of this request. Over those of [`Http`], which a full URL does not get.
    pub headers: Vec<(String, Text)>,
    /// Appended to the address as a query, to be percent-encoded.
    pub query: Vec<(String, Text)>,
    /// The body.
    pub body: Option<Body>,
    /// Redirects are gone after; else they are answers.
    pub follows: bool,
    /// Its answer is meant for everybody: whom it names is held against nobody.
    pub public: bool,
    /// How long one try may take, if the profile says.
    pub timeout: Option<Micros>,
    /// How it is repeated until it succeeds.
    pub retry: Option<Retry>,
    /// When it succeeded.
    pub expect: Success,
    /// What is taken from the answer.
    pub captures: Vec<Capture>,
    /// What `expect.when` compares with, by the names in `trie`.
    pub own: Vec<(String, Text)>,
    /// Where in the answer `expect.when` and `captures` look. Without places the body need not be JSON.
    pub trie: Trie,
}

/// The body of a request.
#[derive(Debug, Clone)]
pub enum Body {
    /// As `application/json`.
    Json(JsonText),
    /// As `application/x-www-form-urlencoded`.
    Form(Vec<(String, Text)>),
    /// As `text/plain`.
    Text(Text),
    /// As `application/octet-stream`.
    File(Attached),
}

/// A file that a step sends.
#[derive(Debug, Clone)]
pub struct Attached {
    /// As the profile names it, relative to itself.
    pub path: Spanned<String>,
    /// What it holds; filled in by whoever reads files.
    pub bytes: Arc<[u8]>,
}

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
}

/// How a step is repeated until it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Time between the begins of two tries; above zero.
    pub every: Micros,
    /// How long after the first try another one may begin.
    pub limit: Micros,
}

/// When a step succeeded.
#[derive(Debug, Clone)]
pub struct Success {
    /// The status is within one of these.
    pub status: Vec<RangeInclusive<u16>>,
    /// And these headers are there, and this holds of them. Names in lower case.
    pub headers: Vec<(String, Test)>,
    /// And this holds of the body. It never names an event.
    pub when: Option<Matcher>,
    /// And its texts hold these.
    pub holds: Vec<Held>,
}

/// A named part of an answer, which keeps its JSON type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// Its name in texts.
    pub name: String,
    /// It must not be shown anywhere.
    pub secret: bool,
    /// The step fails without it: a text without a default or an id rule asks for it.
    pub needed: bool,
    /// Where it stands.
    pub at: Place,
}

/// Where in an answer a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the body: places in the step's trie, first that exists.
    Body(Vec<SlotId>),
    /// In the header of this name, in lower case.
    Header(String),
    /// In the user's cookie of this name.
    Cookie(String),
    /// In a part of a text.
    Part(TextOf, Part),
}

/// A text of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextOf {
    /// The body.
    Body,
    /// The header of this name, in lower case.
    Header(String),
    /// The user's cookie of this name.
    Cookie(String),
}

/// The part of a text that a pattern points at: its first group that has a name, else its first group, else all that it matches.
#[derive(Debug, Clone)]
pub struct Part(pub Regex);

impl Part {
    /// The part of `text`, if the pattern matches.
    pub fn of<'t>(&self, text: &'t str) -> Option<&'t str> {
        let found = self.0.captures(text)?;
        let named = self.0.capture_names().flatten().next();
        let part = named.and_then(|name| found.name(name)).or_else(|| found.get(1));
        part.or_else(|| found.get(0).filter(|_| self.0.captures_len() == 1)).map(|part| part.as_str())
    }
}

/// Equal if they are written the same.
impl PartialEq for Part {
    fn eq(&self, other: &Part) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Part {}

/// The connection.
#[derive(Debug, Clone)]
pub struct Connect {
    /// Offered, in this order.
    pub subprotocols: Vec<Text>,
    /// Headers of the upgrade, `origin` included.
    pub headers: Vec<(String, Text)>,
    /// Appended to the address as a query, to be percent-encoded.
    pub query: Vec<(String, Text)>,
    /// What to make of the subprotocol the target selects.
    pub echo: Echo,
    /// What to do on the fresh connection, step by step along the script in `reads`.
    pub script: Vec<ScriptStep>,
    /// The largest frame that is read, in bytes.
    pub max_frame: u64,
}

/// What to do in a step of the socket script.
#[derive(Debug, Clone)]
pub enum ScriptStep {
    /// Wait, for what is said in `reads`; and take this from the frame.
    Wait(Vec<Capture>),
    /// Send this.
    Send(Message),
}

/// A message on the socket.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// As JSON.
    Json(JsonText),
    /// As it is.
    Text(Text),
}

/// The answer to a frame.
#[derive(Debug, Clone)]
pub struct Reply {
    /// What to send.
    pub message: Message,
    /// What it takes from the frame, for itself alone.
    pub captures: Vec<Capture>,
}

/// How the agent is asked.
#[derive(Debug, Clone)]
pub enum Ask {
    /// On the socket.
    Send(Message),
    /// By a request; its events come on the socket all the same.
    Step(Box<Step>),
}

/// How frames are understood: what a profile contributes to [`Expectations`](crate::expect::Expectations). All places and
/// names are in `dialect`.
#[derive(Debug, Clone)]
pub struct Reads {
    /// Where what stands in a frame.
    pub dialect: Dialect,
    /// What must happen on a fresh connection.
    pub script: Vec<crate::expect::ScriptStep>,
    /// Frames that are known and are not progress.
    pub heartbeats: Vec<Heartbeat>,
    /// How asks are sent and refused.
    pub asking: Asking,
    /// How a run ends.
    pub ends: Ends,
    /// Frames that mark a run as failed.
    pub failed: Vec<Matcher>,
    /// What else events say of themselves.
    pub signs: Signs,
    /// Where the answer stands.
    pub answers: Vec<AnswerSource>,
    /// Whose ids stand where.
    pub ids: Vec<IdRule>,
}

/// The JSON Schema (2020-12) of a profile.
pub fn schema() -> serde_json::Value {
    crate::document::decode::schema::<format::File>("goldenpath target profile")
}

/// The URL that a step's filled-in `url` means below `base`: itself if it is a full URL, else appended with one slash
/// between them.
pub fn absolute(base: &str, url: &str) -> String {
    match is_full(url) {
        true => url.to_owned(),
        false => format!("{}/{}", base.trim_end_matches('/'), url.trim_start_matches('/')),
    }
}

/// Whether `url` names a host of its own, so that headers meant for the base stay away from it.
pub fn is_full(url: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| begins_with(url, scheme))
}

/// Schemes have no case (RFC 3986, section 3.1).
fn begins_with(url: &str, scheme: &str) -> bool {
    url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

impl Profile {
    /// Every text of the profile, in no particular order: for what must be known of all of them, such as the variables that
    /// they ask for.
    pub fn texts(&self) -> Vec<&Text> {
        let http = self.http.iter().flat_map(|http| std::iter::once(&http.base).chain(values(&http.headers)));
        let mut texts: Vec<&Text> = http.chain([&self.socket]).collect();
        let steps = [&self.ready, &self.login, &self.logout, &self.prepare, &self.after, &self.finally];
        for step in steps.into_iter().flatten().chain(self.refreshing()) {
            texts.extend(step.texts());
        }
        texts.extend(&self.connect.subprotocols);
        texts.extend(values(&self.connect.headers).chain(values(&self.connect.query)));
        for step in &self.connect.script {
            if let ScriptStep::Send(message) = step {
                texts.extend(message.texts());
            }
        }
        texts.extend(values(&self.own));
        texts.extend(self.replies.iter().flatten().flat_map(|reply| reply.message.texts()));
        texts.extend(self.ask.texts());
        texts.extend(self.leave.iter().flat_map(Message::texts));
        texts
    }

    /// Every file that a step sends.
    pub fn files(&mut self) -> Vec<&mut Attached> {
        let Profile { ready, login, logout, refresh, prepare, after, finally, ask, .. } = self;
        let asks = if let Ask::Step(step) = ask { Some(&mut **step) } else { None };
        let steps = [ready, login, logout, prepare, after, finally].into_iter().flatten().chain(asks);
        let steps = steps.chain(refresh.iter_mut().flat_map(|refresh| &mut refresh.steps));
        steps.filter_map(|step| if let Some(Body::File(file)) = &mut step.body { Some(file) } else { None }).collect()
    }

    /// The steps that refresh a session; none where nothing does.
    pub fn refreshing(&self) -> &[Step] {
        self.refresh.as_ref().map_or(&[], |refresh| &refresh.steps)
    }

    /// Whether the ask itself sends the value of a name, for example `run_id`.
    pub fn asks_with(&self, name: &str) -> bool {
        self.ask.texts().iter().any(|text| text.holes().any(|hole| hole.name == name))
    }

    /// Whether anything is taken from frames.
    pub fn takes_from_frames(&self) -> bool {
        let waits = self.connect.script.iter().any(|step| matches!(step, ScriptStep::Wait(taken) if !taken.is_empty()));
        waits || self.replies.iter().flatten().any(|reply| !reply.captures.is_empty())
    }
}

impl Expires {
    /// The captured value that says it, if one does.
    pub fn name(&self) -> Option<&str> {
        match self {
            Expires::Jwt(name)
            | Expires::Seconds(name)
            | Expires::UnixS(name)
            | Expires::UnixMs(name)
            | Expires::Iso(name) => Some(name),
            Expires::After(_) => None,
        }
    }
}

impl Message {
    /// Every text of the message.
    pub fn texts(&self) -> Vec<&Text> {
        match self {
            Message::Json(json) => json.texts(),
            Message::Text(text) => vec![text],
        }
    }
}

impl Ask {
    /// Every text of what is sent.
    pub fn texts(&self) -> Vec<&Text> {
        match self {
            Ask::Send(message) => message.texts(),
            Ask::Step(step) => step.texts(),
        }
    }
}

impl Step {
    /// Every text of the step, in no particular order.
    pub fn texts(&self) -> Vec<&Text> {
        let mut texts: Vec<&Text> = vec![&self.url];
        texts.extend(values(&self.own));
        texts.extend(values(&self.headers).chain(values(&self.query)));
        match &self.body {
            None => {}
            Some(Body::Json(json)) => texts.extend(json.texts()),
            Some(Body::Form(fields)) => texts.extend(values(fields)),
            Some(Body::Text(text)) => texts.push(text),
            Some(Body::File(_)) => {}
        }
        texts
    }
}

fn values(pairs: &[(String, Text)]) -> impl Iterator<Item = &Text> {
    pairs.iter().map(|(_, text)| text)
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { users: 50, rate: Rate::parse("5/s").expect("a rate"), runs: 500, duration: Micros::from_secs(15 * 60) }
    }
}

impl Method {
    /// As it stands in a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}
