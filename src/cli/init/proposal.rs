//! A profile and a scenario proposed from a browser's network export, each line with what it is believed for.
//!
//! A proposal is a guess from one sample: what could not be told says so, with what to do. Nothing that looks like a secret is
//! written; what was carried becomes a reference to where it came from.

mod events;
mod steps;
mod talk;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use self::steps::Steps;
use super::carried::{self, Captured, Carried, Origin, Place, Stage, escaped};
use super::course::{Asked, Course, Part, texts};
use super::frames::{Document, Form, key, leaves, plain};
use super::har::{Body, Entry, Export, Refused};
use super::page::{Page, flow};
use crate::secret::Scrubber;

/// What is proposed.
#[derive(Debug)]
pub struct Proposal {
    /// The profile.
    pub target: String,
    /// The scenario.
    pub scenario: String,
    /// A file of users, where they bring along what no request of the export told.
    pub users: Option<String>,
    /// What was found, for whoever typed the command.
    pub told: Vec<String>,
}

/// What is known while the proposal is made.
struct Case<'a> {
    export: &'a Export,
    socket: &'a Entry,
    course: Course,
    carried: Carried,
    /// The index of the entry that carried the password.
    login: Option<usize>,
    /// The export was made without cookies and authorization headers.
    sanitised: bool,
}

/// Proposes from an export, which comments call `file`.
pub fn propose(export: &Export, file: &str) -> Result<Proposal, Refused> {
    let sockets: Vec<&Entry> = export.entries.iter().filter(|entry| entry.messages.is_some()).collect();
    // Of equal ones the first.
    let Some(socket) = sockets.iter().rev().max_by_key(|entry| spoken(entry)).copied() else {
        return Err(Refused {
            cause: format!("has no WebSocket among its {} entries", export.entries.len()),
            remedy: "open the developer tools first, then load the page, so that the socket's opening is recorded",
        });
    };
    let mut case = Case {
        export,
        socket,
        course: Course::read(export, socket),
        carried: Carried::default(),
        login: None,
        sanitised: is_sanitised(export),
    };
    case.learn();
    let sent = case.weave_socket();
    let kept = case.keep(&sent);
    let steps = case.weave_steps();
    let scrubber = case.scrubber();
    let mut page = Page::new(scrubber.clone());
    case.head(&mut page, file, &sockets, &steps);
    case.addresses(&mut page, &steps, &sent);
    case.steps(&mut page, &steps);
    case.connect(&mut page, &sent);
    case.beside(&mut page, &sent);
    case.ask(&mut page, &sent, &steps);
    case.events_of(&mut page, &kept);
    let told = case.told(&steps).into_iter().map(|line| scrubber.scrub(&line).into_owned()).collect();
    Ok(Proposal { target: page.finish(), scenario: case.scenario(file, scrubber), users: case.users(), told })
}

/// How many messages an entry holds.
fn spoken(entry: &Entry) -> usize {
    entry.messages.as_ref().map_or(0, Vec::len)
}

/// Whether anything in the export could carry a login.
fn is_sanitised(export: &Export) -> bool {
    export.entries.iter().all(|entry| {
        entry.cookies.is_empty() && entry.set_cookies.is_empty() && entry.header("authorization").is_none()
    })
}

/// What is sent on the socket, with references.
struct Sent {
    /// The upgrade's subprotocols.
    subprotocols: Vec<String>,
    /// Headers of the upgrade that a browser would not send by itself.
    headers: Vec<(String, String)>,
    /// Its query.
    query: Vec<(String, String)>,
    /// Its path.
    path: String,
    /// Messages by the index of their document.
    messages: BTreeMap<usize, Json>,
    /// What replies take from the frame they answer: names with pointers, by the index of the reply.
    local: BTreeMap<usize, Vec<(String, String)>>,
}

impl Case<'_> {
    /// Learns what was told and what was typed.
    fn learn(&mut self) {
        for (index, entry) in self.export.entries.iter().enumerate() {
            if entry.messages.is_none() {
                self.carried.hear(index, entry);
            }
            if self.sanitised && entry.method == "GET" && entry.messages.is_none() && !entry.url.path().contains('.') {
                self.carried.may_set_cookies(index, entry);
            }
            let fields = fields(entry);
            let good = entry.at <= self.socket.at && entry.status < 400 && entry.method != "GET";
            if let (true, Some((_, password))) = (good, carried::password_among(&fields)) {
                self.carried.hide(password);
                self.login = Some(index);
            }
            for (_, value) in &entry.cookies {
                self.carried.hide(value);
            }
            if let Some(value) = entry.header("authorization") {
                self.carried.hide(value.rsplit(' ').next().unwrap_or(value));
            }
        }
        if let Some(login) = self.login {
            let fields = fields(&self.export.entries[login]);
            if let Some((_, password)) = carried::password_among(&fields) {
                self.carried.typed(password, "user.password");
            }
            if let Some((_, name)) = carried::login_among(&fields) {
                self.carried.typed(name, "user.email");
                if name.contains('@') {
                    self.carried.hide(name);
                }
            }
        }
        for index in self.course.of(Part::Greeting) {
            self.carried.hear_frame(&self.course.documents[index]);
        }
        self.choose();
    }

    /// Finds what the client made for the ask: ids of the thread and the run.
    fn choose(&mut self) {
        let asked: Vec<(String, String, f64)> = match &self.course.asked {
            Some(Asked::Message(index, prompt)) => {
                let document = &self.course.documents[*index];
                let sent = texts(document).into_iter().filter(|(at, _)| at != prompt);
                sent.map(|(at, text)| (at, text, document.at)).collect()
            }
            Some(Asked::Request(index, prompt)) => {
                let entry = &self.export.entries[*index];
                let sent = fields(entry).into_iter().filter(|(at, _)| at != prompt);
                sent.map(|(at, text)| (at, text, entry.at)).collect()
            }
            None => Vec::new(),
        };
        let events: Vec<Document> = self.events().into_iter().cloned().collect();
        let came_back = |value: &str| {
            events.iter().flat_map(|event| leaves(&event.value)).any(|(_, leaf)| leaf.as_str() == Some(value))
        };
        let (mut run, mut thread) = (false, false);
        for (at, value, when) in asked {
            let key = key(&at);
            let made = self.carried.origin(&value, when).is_none() && carried::is_rare(&value);
            if !made || !(came_back(&value) || key.to_lowercase().ends_with("id")) {
                continue;
            }
            if carried::is_thread_key(&key) && !thread {
                self.carried.choose(&value, "thread_id");
                thread = true;
            } else if !run && (came_back(&value) || carried::is_run_key(&key)) {
                self.carried.choose(&value, "run_id");
                run = true;
            }
        }
    }

    /// The events of the run.
    fn events(&self) -> Vec<&Document> {
        self.course.of(Part::Event).into_iter().map(|index| &self.course.documents[index]).collect()
    }

    /// References for everything that was sent on the socket, its opening included.
    fn weave_socket(&mut self) -> Sent {
        let socket = self.socket;
        let told = format!("the socket's opening ({})", socket.told());
        let place = Place { told: &told, at: socket.at, stage: Stage::Before, ordinal: 0, early: false };
        let offered = socket.header("sec-websocket-protocol").unwrap_or_default();
        let offered = offered.split(',').map(str::trim).filter(|offer| !offer.is_empty());
        let subprotocols = offered.map(|offer| self.carried.text(offer, "token", &place)).collect();
        let extra = socket.headers.iter().filter(|(name, _)| is_own_header(name));
        let headers = extra.map(|(name, value)| (name.clone(), self.carried.text(value, name, &place))).collect();
        let query = socket.url.query_pairs();
        let query = query.map(|(name, value)| (name.to_string(), self.carried.text(&value, &name, &place))).collect();
        let path = self.path(socket, &place);
        let mut sent = Sent { subprotocols, headers, query, path, messages: BTreeMap::new(), local: BTreeMap::new() };
        let (mut ordinal, mut last_frame) = (0, None);
        let count = |document: &Document| {
            if document.sent && last_frame != Some(document.frame) {
                ordinal += 1;
                last_frame = Some(document.frame);
            }
            ordinal
        };
        let ordinals: Vec<u64> = self.course.documents.iter().map(count).collect();
        for (index, ordinal) in ordinals.into_iter().enumerate() {
            let part = self.course.parts[index];
            let (stage, answers) = match part {
                Part::Sent => (Stage::Before, None),
                Part::Beat(answered) | Part::Reply(answered) => (Stage::Before, Some(answered)),
                Part::Ask => (Stage::Ask, None),
                _ => continue,
            };
            let local = answers.map(|answered| self.taken(answered, index)).unwrap_or_default();
            let document = self.course.documents[index].clone();
            let told = format!("frame {}", document.frame);
            let early = matches!(part, Part::Beat(_));
            let place = Place { told: &told, at: document.at, stage, ordinal, early };
            let known: Vec<(Json, String)> =
                local.iter().map(|(name, _, value)| (value.clone(), name.clone())).collect();
            let mut value = match &document.value {
                Json::String(text) if document.form == Form::Plain => {
                    Json::from(self.carried.text(text, "token", &place))
                }
                value => self.carried.json(value, "", &place, &known),
            };
            if let (Part::Ask, Some(Asked::Message(_, prompt))) = (part, &self.course.asked)
                && let Some(leaf) = value.pointer_mut(prompt)
            {
                *leaf = Json::from("${prompt}");
            }
            sent.messages.insert(index, value);
            sent.local.insert(index, local.into_iter().map(|(name, at, _)| (name, at)).collect());
        }
        sent
    }

    /// What the reply took from the frame it answers: name, pointer and value.
    fn taken(&self, answered: usize, reply: usize) -> Vec<(String, String, Json)> {
        let (from, to) = (&self.course.documents[answered].value, &self.course.documents[reply].value);
        let mut taken: Vec<(String, String, Json)> = Vec::new();
        let Some(members) = to.as_object() else { return taken };
        for (name, value) in members {
            let words =
                value.as_str().is_some_and(|text| !carried::is_rare(text)) || value.is_boolean() || value.is_null();
            let found = places(from).into_iter().find(|(at, known)| *known == value && (!words || key(at) == *name));
            // The kind of a message is no part of what it answers.
            if let (Some((at, _)), false) = (found, self.course.naming.places.contains(&format!("/{name}"))) {
                let wished = carried::wished_name(&at);
                if !taken.iter().any(|(known, ..)| *known == wished) {
                    taken.push((wished, at, value.clone()));
                }
            }
        }
        taken
    }

    /// The path of an entry, with references for its parts.
    fn path(&mut self, entry: &Entry, place: &Place<'_>) -> String {
        let path = entry.url.path().to_owned();
        let mut before = "id";
        let mut woven = Vec::new();
        for part in path.split('/') {
            woven.push(if part.is_empty() { String::new() } else { self.carried.text(part, before, place) });
            before = part;
        }
        woven.join("/")
    }

    /// A scrubber that knows everything that must stand nowhere.
    fn scrubber(&self) -> Scrubber {
        let mut scrubber = Scrubber::new();
        for hidden in self.carried.hidden() {
            scrubber.learn(hidden, "of the export", None);
        }
        scrubber
    }

    fn head(&self, page: &mut Page, file: &str, sockets: &[&Entry], steps: &Steps) {
        page.line(0, "# yaml-language-server: $schema=./target.schema.json");
        page.line(0, "#");
        page.comment(
            0,
            &format!(
                "Proposed by `goldenpath init --from` from {file}: {} entries, of which entry {} is the socket ({} frames). Entries \
                 and frames are counted from 1, as they stand in the export. What stands here was seen once; read it, \
                 and let `goldenpath doctor` on this file say how far one user comes.",
                self.export.entries.len(),
                self.socket.number,
                spoken(self.socket),
            ),
        );
        for flaw in &self.export.flaws {
            page.comment(0, &format!("Of the export, {flaw}."));
        }
        for other in sockets.iter().filter(|other| !std::ptr::eq(**other, self.socket)) {
            let (told, frames) = (other.told(), spoken(other));
            page.comment(
                0,
                &format!("Another socket was passed over, as less was said there: {told} ({frames} frames)."),
            );
        }
        if self.sanitised
            && (steps.authorization.is_some() || self.carried.guessed() || !self.carried.shows_a_carrier())
        {
            page.comment(
                0,
                "The export shows no cookie and no authorization header: it was made without (\"sanitized\"), or the login is \
                 not in it. Cookies that answers set are brought along all the same; what else carried the login had to be guessed.",
            );
        }
        if self.course.documents.is_empty() {
            page.comment(
                0,
                "TODO: The export holds no WebSocket messages: not every browser writes them. Export with Chrome or Edge after an \
                 answer came, or fill in `connect.script`, `ask` and `events` by hand.",
            );
        }
        page.line(0, "version: 1");
        let host = self.socket.url.host_str().unwrap_or("mine");
        page.put(0, "name:", &Json::from(host));
    }

    fn addresses(&self, page: &mut Page, steps: &Steps, sent: &Sent) {
        page.gap();
        if let Some(base) = &steps.base {
            page.line(0, "http:");
            page.put(2, "base:", &Json::from(format!("${{env.CHAT_HTTP:-{base}}}")));
            if let Some((value, why)) = &steps.authorization {
                page.comment(2, why);
                page.put(2, "headers:", &json!({ "Authorization": value }));
            }
        }
        let scheme = match self.socket.url.scheme() {
            "https" | "wss" => "wss",
            _ => "ws",
        };
        let (origin, path) = (authority(self.socket), &sent.path);
        page.put(0, "socket:", &Json::from(format!("${{env.CHAT_SOCKET:-{scheme}://{origin}}}{path}")));
        page.gap();
        page.comment(0, "Off this machine not more than this, whatever a scenario asks for. No flag raises it.");
        page.line(0, "limits: { users: 10, rate: 2/s, runs: 100, duration: 10m }");
    }

    fn scenario(&self, file: &str, scrubber: Scrubber) -> String {
        let mut page = Page::new(scrubber);
        page.line(0, "# yaml-language-server: $schema=./scenario.schema.json");
        page.line(0, "#");
        page.comment(
            0,
            &format!("Proposed by `goldenpath init --from` from {file}: who asks what, and what must hold."),
        );
        page.line(0, "version: 1");
        page.line(0, "name: first");
        page.line(0, "target: target.yaml");
        page.gap();
        page.line(0, "users:");
        page.line(2, "count: 2 # with one, nothing can be said of isolation");
        let columns = self.carried.columns();
        if columns.is_empty() {
            self.accounts(&mut page);
        } else {
            let columns = columns.into_iter().collect::<Vec<_>>().join("`, `");
            page.comment(
                2,
                &format!(
                    "TODO: Nothing in the export told where `{columns}` came from, so each user brings it along: fill in \
                     the file, a row for each user, and keep it out of version control.",
                ),
            );
            page.line(2, "file: users.csv");
        }
        if self.login.is_some() {
            page.line(2, "# From a variable, never from this file.");
            page.line(2, "password: { env: GOLDENPATH_PASSWORD }");
        }
        page.gap();
        page.line(0, "load:");
        page.line(2, "closed: { iterations: 1 } # of each user; p95 needs 20 runs, p99 needs 100");
        page.gap();
        page.line(0, "ask:");
        let asked = self.course.prompt(self.export);
        match &asked {
            Some(_) => page.comment(2, "What was asked when the export was made. The canary is a mark of its user: keep it in every prompt."),
            None => page.comment(2, "TODO: ask something that your backend answers. Keep the canary in every prompt: it is a mark of its user."),
        }
        let prompt = asked.unwrap_or_else(|| "Which services drive our cloud bill?".to_owned());
        page.put(2, "prompt:", &Json::from(format!("{} (ref ${{canary}})", escaped(prompt.trim()))));
        page.gap();
        page.line(0, "expect:");
        self.grammar(&mut page);
        page.line(2, "answer: { min_chars: 20 } # add all_of, any_of, none_of: what a good answer has and what not");
        page.finish()
    }

    /// Who logs in.
    fn accounts(&self, page: &mut Page) {
        let login = self.login.and_then(|login| {
            carried::login_among(&fields(&self.export.entries[login])).map(|(_, value)| value.clone())
        });
        let (account, domain) = match login.as_deref().map(|login| login.split_once('@').unwrap_or((login, ""))) {
            Some((account, domain)) => (account.to_owned(), domain.to_owned()),
            None => ("qa1".to_owned(), "example.com".to_owned()),
        };
        let stem = account.trim_end_matches(|c: char| c.is_ascii_digit());
        let at = if domain.is_empty() { String::new() } else { format!("@{domain}") };
        let email = if stem.len() < account.len() {
            format!("{}${{user.number}}{at}", escaped(stem))
        } else {
            page.comment(
                2,
                "TODO: name accounts that exist: ${user.number} counts from 1. Or list them: file: users.csv",
            );
            format!("qa${{user.number}}{at}")
        };
        page.put(2, "email:", &Json::from(email));
    }

    /// A file for what users bring along.
    fn users(&self) -> Option<String> {
        let columns = self.carried.columns();
        if columns.is_empty() {
            return None;
        }
        let names: Vec<&str> = std::iter::once("email").chain(columns.iter().copied()).collect();
        let row = |user: &str| {
            let values = columns.iter().map(|column| format!(",{column}-of-{user}-goes-here"));
            format!("{user}@example.com{}\n", values.collect::<String>())
        };
        Some(format!("{}\n{}{}", names.join(","), row("one"), row("two")))
    }

    /// What was found, line by line.
    fn told(&self, steps: &Steps) -> Vec<String> {
        let course = &self.course;
        let count = |entries: usize, one: &str| format!("{entries} {one}{}", if entries == 1 { "" } else { "s" });
        let mut told = vec![format!(
            "{} and {} read; the socket is entry {}",
            count(self.export.entries.len(), "entry").replace("entrys", "entries"),
            count(course.documents.len(), "message"),
            self.socket.number
        )];
        told.push(match self.login {
            Some(login) => format!("login: {}", self.export.entries[login].told()),
            None => "login: no request with a password was found".to_owned(),
        });
        let more = steps.login.len() + steps.prepare.len();
        told.push(format!("steps before the socket: {more}"));
        told.push(match &course.asked {
            Some(Asked::Message(index, _)) => format!("asked by frame {}", course.documents[*index].frame),
            Some(Asked::Request(index, _)) => format!("asked by {}", self.export.entries[*index].told()),
            None => "asked: not found; `ask` has to be written by hand".to_owned(),
        });
        if let Some(end) = course.end {
            let events = course.of(Part::Event).len();
            told.push(format!("run: {}, the last of them `{}`", count(events, "event"), course.called(end)));
        }
        told
    }
}

/// Headers of an application: of the rest a browser adds most by itself.
fn is_own_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let known = ["authorization", "apikey", "api-key"].contains(&name.as_str());
    known || (name.starts_with("x-") && !name.starts_with("x-client-data") && !name.starts_with("x-forwarded"))
}

/// Host and port of an entry.
fn authority(entry: &Entry) -> String {
    let host = entry.url.host_str().unwrap_or_default();
    entry.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// What a request carried, as names with values: of JSON its texts with pointers.
fn fields(entry: &Entry) -> Vec<(String, String)> {
    match &entry.body {
        Some(Body::Json(value)) => {
            leaves(value).into_iter().filter_map(|(at, leaf)| Some((at, plain(leaf)?))).collect()
        }
        Some(Body::Form(fields)) => fields.clone(),
        Some(Body::Text(..)) | None => Vec::new(),
    }
}

/// Every place of a value, the whole left out.
fn places(value: &Json) -> Vec<(String, &Json)> {
    let mut places = Vec::new();
    let mut open = vec![(String::new(), value)];
    while let Some((at, value)) = open.pop() {
        if !at.is_empty() {
            places.push((at.clone(), value));
        }
        match value {
            Json::Object(members) => {
                open.extend(
                    members
                        .iter()
                        .map(|(key, value)| (format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), value)),
                );
            }
            Json::Array(elements) => {
                open.extend(elements.iter().enumerate().map(|(index, value)| (format!("{at}/{index}"), value)));
            }
            _ => {}
        }
    }
    places
}
