//! Values that were told to the client and that it brought back: tokens, tickets, ids. Where one is sent it becomes a
//! reference to where it came from, so that no secret of the export reaches a proposal.
//!
//! A value counts as carried only if chance would hardly have made it twice; words and small numbers stay as they are.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value as Json;

use super::frames::{Document, key, leaves, plain};
use super::har::Entry;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The body of an entry's answer, at a pointer; the entry by its index.
    Answer(usize, String),
    /// A header of an entry's answer.
    Header(usize, String),
    /// A cookie that an entry's answer set.
    Cookie(usize, String),
    /// A frame by its number, at a pointer.
    Frame(usize, String),
}

/// A value that the client was told.
#[derive(Debug)]
struct Told {
    value: String,
    /// As a subprotocol would carry it; empty if it is too short for that.
    encoded: String,
    at: f64,
    origin: Origin,
}

/// A value that is captured, because something sent it back.
#[derive(Debug, Clone)]
pub struct Captured {
    /// How texts refer to it.
    pub name: String,
    /// Where it came from.
    pub origin: Origin,
    /// It must not be shown.
    pub secret: bool,
    /// What it is captured for, as a sentence.
    pub why: String,
    /// Something in the export sent it back.
    pub sent_back: bool,
}

/// Which names have a value where a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Steps of the login, the upgrade and what is sent before the ask.
    Before,
    /// Steps of an iteration before it connects.
    Prepare,
    /// The ask.
    Ask,
}

/// Where a text was sent: for evidence, and for what its values may be.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// As a comment says it.
    pub told: &'a str,
    /// When, in milliseconds since 1970.
    pub at: f64,
    /// Which names have a value there.
    pub stage: Stage,
    /// How many messages the client had sent on the socket, this one included; 0 where it is none.
    pub ordinal: u64,
    /// Captured names may have no value yet.
    pub early: bool,
}

/// All that was told, and what of it was brought back.
#[derive(Debug, Default)]
pub struct Carried {
    told: Vec<Told>,
    /// Indices in `told`, by value.
    by_value: BTreeMap<String, usize>,
    /// Indices of those that are searched for in longer texts.
    rare: Vec<usize>,
    /// What an entry's answer is about, by its path.
    about: BTreeMap<usize, String>,
    /// What somebody types: the user's own names.
    typed: Vec<(String, &'static str)>,
    /// By its value.
    captured: BTreeMap<String, Captured>,
    /// Values that the client made, with the names that stand for them.
    chosen: BTreeMap<String, &'static str>,
    /// Secrets that nobody told: a column of the users' file by value.
    columns: BTreeMap<String, String>,
    /// Variables that stand for secrets of the application.
    variables: BTreeMap<String, String>,
    /// Answers that may have set cookies which the export lacks: index and time.
    pages: Vec<(usize, f64)>,
    /// A cookie was guessed.
    guessed: bool,
    /// Secrets that must stand nowhere.
    hidden: BTreeSet<String>,
}

patterns! {
    SECRET_KEY = r"(?ix) token | secret | passw | pwd | api[_-]?key | auth | jwt | bearer | session | cookie | ticket | signature
        | credential | xsrf | csrf | nonce | ^key$ | ^sid$ | ^pin$ | ^otp$";
    MARK_KEY = r"(?i)[xc]srf";
    APPLICATION_KEY = r"(?i)api[_-]?key|client[_-]?(id|secret)";
    PASSWORD_KEY = r"(?i)passw|^pwd$|passphrase|passcode";
    LOGIN_KEY = r"(?i)e-?mail|user|login|account|identifier|^name$";
    UUID = r"(?i)^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
    THREAD_KEY = r"(?i)thread|conversation|session|chat|room|dialog";
    RUN_KEY = r"(?i)(run|request|message|msg|turn|task|job|execution|generation)_?-?id$|^(id|run)$";
    COUNT_KEY = r"(?i)id$|seq|count|num|^[ni]$";
    ISO = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d";
}

/// Names that mean something of their own, or nothing at all.
const RESERVED: [&str; 14] = [
    "user",
    "env",
    "target",
    "now",
    "let",
    "uuid",
    "nonce",
    "counter",
    "prompt",
    "canary",
    "thread_id",
    "run_id",
    "iteration",
    "id",
];

/// Values within a longer text must be so long to be told from chance, in bytes.
const SHORTEST_WITHIN: usize = 6;

/// A value under this key is to be kept secret.
pub fn is_secret_key(key: &str) -> bool {
    SECRET_KEY.is_match(key)
}

/// A value under this key is a thread's rather than a run's.
pub fn is_thread_key(key: &str) -> bool {
    THREAD_KEY.is_match(key)
}

/// A value under this key is a run's.
pub fn is_run_key(key: &str) -> bool {
    RUN_KEY.is_match(key)
}

/// Whether one of the fields holds a password.
pub fn password_among(fields: &[(String, String)]) -> Option<&(String, String)> {
    fields.iter().find(|(name, value)| PASSWORD_KEY.is_match(&key(name)) && !value.is_empty())
}

/// The user's own name among the fields of a login.
pub fn login_among(fields: &[(String, String)]) -> Option<&(String, String)> {
    let named =
        |field: &&(String, String)| LOGIN_KEY.is_match(&key(&field.0)) && !PASSWORD_KEY.is_match(&key(&field.0));
    let address = fields.iter().find(|(_, value)| value.contains('@'));
    address.or_else(|| fields.iter().find(named))
}

impl Carried {
    /// Learns what an entry's answer told the client.
    pub fn hear(&mut self, index: usize, entry: &Entry) {
        let nouns = entry
            .url
            .path()
            .rsplit('/')
            .find(|part| part.bytes().all(|byte| byte.is_ascii_alphabetic()) && part.len() > 2);
        self.about.insert(index, identifier(nouns.unwrap_or("answer").trim_end_matches('s')));
        if let Some(body) = entry.answer_json() {
            for (pointer, leaf) in leaves(&body) {
                self.tell(plain(leaf), entry.done, Origin::Answer(index, pointer));
            }
        }
        for (name, value) in &entry.answer_headers {
            self.tell(Some(value.clone()), entry.done, Origin::Header(index, name.clone()));
        }
        for (name, value) in &entry.set_cookies {
            self.hide(value);
            self.tell(Some(value.clone()), entry.done, Origin::Cookie(index, name.clone()));
        }
    }

    /// Learns what a frame told the client.
    pub fn hear_frame(&mut self, document: &Document) {
        for (pointer, leaf) in leaves(&document.value) {
            self.tell(plain(leaf), document.at, Origin::Frame(document.frame, pointer));
        }
    }

    /// Learns what the user typed: what texts call `user.email` or `user.password`.
    pub fn typed(&mut self, value: &str, name: &'static str) {
        if !self.typed.iter().any(|(known, _)| known == value) {
            self.typed.push((value.to_owned(), name));
        }
    }

    /// Learns that the client made a value, which a name stands for.
    pub fn choose(&mut self, value: &str, name: &'static str) {
        self.chosen.entry(value.to_owned()).or_insert(name);
    }

    /// Values that the client made, with the names that stand for them.
    pub fn chosen(&self) -> Vec<(String, &'static str)> {
        self.chosen.iter().map(|(value, name)| (value.clone(), *name)).collect()
    }

    /// Whether the client made a value.
    pub fn is_chosen(&self, value: &str) -> bool {
        self.chosen.contains_key(value)
    }

    /// Whether the user typed a value.
    pub fn is_typed(&self, value: &str) -> bool {
        self.typed.iter().any(|(known, _)| known == value)
    }

    /// Keeps a value out of everything that is written.
    pub fn hide(&mut self, value: &str) {
        self.hidden.insert(value.to_owned());
    }

    /// What must stand nowhere.
    pub fn hidden(&self) -> impl Iterator<Item = &str> {
        self.hidden.iter().map(String::as_str)
    }

    /// What is captured, by name.
    pub fn captured(&self) -> Vec<&Captured> {
        let mut captured: Vec<_> = self.captured.values().collect();
        captured.sort_by(|a, b| (&a.origin, &a.name).cmp(&(&b.origin, &b.name)));
        captured
    }

    /// Learns that an answer may have set cookies which the export lacks.
    pub fn may_set_cookies(&mut self, index: usize, entry: &Entry) {
        self.pages.push((index, entry.done));
    }

    /// Whether a cookie was guessed.
    pub fn guessed(&self) -> bool {
        self.guessed
    }

    /// Whether something that was sent says who comes.
    pub fn shows_a_carrier(&self) -> bool {
        !self.columns.is_empty() || self.captured.values().any(|captured| captured.secret && captured.sent_back)
    }

    /// Columns of the users' file that stand for secrets nobody told.
    pub fn columns(&self) -> BTreeSet<&str> {
        self.columns.values().map(String::as_str).collect()
    }

    /// The origin of a value that the client was told before `at`; of several the first.
    pub fn origin(&self, value: &str, at: f64) -> Option<Origin> {
        let told = &self.told[*self.by_value.get(value)?];
        (told.at <= at).then(|| told.origin.clone())
    }

    /// Has a value captured where it came from, as a secret or as an id that frames are held against.
    pub fn capture_as(&mut self, value: &str, at: f64, why: &str, secret: bool) -> Option<String> {
        let origin = self.origin(value, at)?;
        let name = self.capture(value, origin, why, false);
        if secret {
            self.hide(value);
        } else {
            self.hidden.remove(value);
        }
        let captured = self.captured.get_mut(value).expect("captured above");
        captured.secret = secret;
        Some(name)
    }

    /// The JSON value with references for what was carried.
    pub fn json(&mut self, value: &Json, at: &str, place: &Place<'_>, local: &[(Json, String)]) -> Json {
        if let Some((_, name)) = local.iter().find(|(known, _)| known == value) {
            return Json::from(format!("${{{name}}}"));
        }
        match value {
            Json::Object(members) => {
                let member = |(name, value): (&String, &Json)| {
                    let at = format!("{at}/{name}");
                    (name.clone(), self.json(value, &at, place, local))
                };
                Json::Object(members.iter().map(member).collect())
            }
            Json::Array(elements) => elements.iter().map(|value| self.json(value, at, place, local)).collect(),
            Json::String(text) => Json::from(self.text(text, &key(at), place)),
            Json::Number(number) => {
                let key = key(at);
                let whole = number.as_u64();
                if place.ordinal > 0 && whole == Some(place.ordinal) && COUNT_KEY.is_match(&key) {
                    return Json::from("${counter}");
                }
                // Within a day of when it was sent.
                if number.as_f64().is_some_and(|number| number > 1e12 && (number - place.at).abs() < 86_400_000.0) {
                    return Json::from("${now.ms}");
                }
                match self.whole(&number.to_string(), place) {
                    Some(reference) => Json::from(reference),
                    None => value.clone(),
                }
            }
            Json::Bool(_) | Json::Null => value.clone(),
        }
    }

    /// The text with references for what was carried; what it is called decides what a secret of unknown origin becomes.
    pub fn text(&mut self, text: &str, key: &str, place: &Place<'_>) -> String {
        if let Some(whole) = self.whole(text, place) {
            return whole;
        }
        if place.ordinal > 0 && !text.starts_with("${") {
            // `k 3`, the third message.
            let digits = text.len() - text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
            let (before, number) = text.split_at(text.len() - digits);
            if !before.is_empty() && before.len() < 20 && number == place.ordinal.to_string() {
                return format!("{}${{counter}}", escaped(before));
            }
        }
        if ISO.is_match(text) {
            return "${now.iso}".to_owned();
        }
        if UUID.is_match(text) {
            return "${uuid}".to_owned();
        }
        let (woven, any) = self.within(text, place);
        if any || !looks_secret(key, text) {
            return woven;
        }
        self.unknown_secret(text, key, place)
    }

    /// A secret that no answer told: the user brought it along, or it is the application's.
    fn unknown_secret(&mut self, text: &str, key: &str, place: &Place<'_>) -> String {
        // A scheme word stays: `Bearer x`.
        let (scheme, secret) = match text.split_once(' ') {
            Some((scheme, secret)) if scheme.bytes().all(|byte| byte.is_ascii_alphabetic()) => (scheme, secret),
            _ => ("", text),
        };
        self.hide(secret);
        let page = self.pages.iter().rev().find(|(_, done)| *done <= place.at).map(|(index, _)| *index);
        if let (true, Some(page)) = (MARK_KEY.is_match(key), page) {
            self.guessed = true;
            let why =
                "TODO: A guess, as the export is without cookies: the cookie of this name is sent back as a mark.";
            let origin = Origin::Cookie(page, key.to_owned());
            self.tell(Some(secret.to_owned()), 0.0, origin.clone());
            return format!("${{{}}}", self.capture(secret, origin, why, true));
        }
        let reference = if APPLICATION_KEY.is_match(key) || place.stage == Stage::Prepare {
            let name = format!("CHAT_{}", identifier(key).to_uppercase());
            let name = self.variables.entry(secret.to_owned()).or_insert(name);
            format!("${{env.{name}}}")
        } else {
            let named = if key.to_lowercase().contains("token") || key.eq_ignore_ascii_case("authorization") {
                "token".to_owned()
            } else {
                identifier(key)
            };
            let column = self.columns.entry(secret.to_owned()).or_insert(named);
            format!("${{user.{column}}}")
        };
        if scheme.is_empty() { reference } else { format!("{scheme} {reference}") }
    }

    /// The reference that stands for the whole of a text.
    fn whole(&mut self, text: &str, place: &Place<'_>) -> Option<String> {
        if let Some((_, name)) = self.typed.iter().find(|(value, _)| value == text) {
            return Some(format!("${{{name}}}"));
        }
        if let Some(name) = self.chosen.get(text) {
            let known = match place.stage {
                Stage::Before => false,
                Stage::Prepare => *name == "thread_id",
                Stage::Ask => true,
            };
            return Some(if known { format!("${{{name}}}") } else { "${uuid}".to_owned() });
        }
        if !is_rare(text) {
            return None;
        }
        let origin = self.origin(text, place.at)?;
        let name = self.capture(text, origin, &format!("Sent back by {}.", place.told), true);
        Some(if place.early { format!("${{{name}:-}}") } else { format!("${{{name}}}") })
    }

    /// The text with references for values within it, and whether there was one.
    fn within(&mut self, text: &str, place: &Place<'_>) -> (String, bool) {
        struct Hit {
            start: usize,
            length: usize,
            reference: String,
            capture: Option<(String, Origin)>,
        }
        let mut best: Option<Hit> = None;
        let mut offer =
            |start: usize, length: usize, reference: &dyn Fn() -> String, capture: Option<(&str, &Origin)>| {
                if best.as_ref().is_none_or(|best| length > best.length) {
                    let capture = capture.map(|(value, origin)| (value.to_owned(), origin.clone()));
                    best = Some(Hit { start, length, reference: reference(), capture });
                }
            };
        for (value, name) in self.typed.iter().filter(|(value, _)| value.len() >= SHORTEST_WITHIN) {
            if let Some(start) = bounded(text, value) {
                offer(start, value.len(), &|| format!("${{{name}}}"), None);
            }
        }
        for told in self.rare.iter().map(|index| &self.told[*index]).filter(|told| told.at <= place.at) {
            if let Some(start) = bounded(text, &told.value) {
                offer(start, told.value.len(), &String::new, Some((&told.value, &told.origin)));
            }
            if let (false, Some(start)) = (told.encoded.is_empty(), bounded(text, &told.encoded)) {
                offer(start, told.encoded.len(), &|| "base64url".to_owned(), Some((&told.value, &told.origin)));
            }
        }
        let Some(hit) = best else { return (escaped(text), false) };
        let reference = match hit.capture {
            None => hit.reference,
            Some((value, origin)) => {
                let name = self.capture(&value, origin, &format!("Sent back by {}.", place.told), true);
                match (hit.reference.as_str(), place.early) {
                    ("", false) => format!("${{{name}}}"),
                    ("", true) => format!("${{{name}:-}}"),
                    (filter, _) => format!("${{{name} | {filter}}}"),
                }
            }
        };
        let (before, after) = (&text[..hit.start], &text[hit.start + hit.length..]);
        let (before, after) = (self.within(before, place).0, self.within(after, place).0);
        (format!("{before}{reference}{after}"), true)
    }

    fn tell(&mut self, value: Option<String>, at: f64, origin: Origin) {
        let Some(value) = value else { return };
        if self.by_value.contains_key(&value) {
            return;
        }
        self.by_value.insert(value.clone(), self.told.len());
        if value.len() >= SHORTEST_WITHIN && is_rare(&value) {
            self.rare.push(self.told.len());
        }
        let encoded = if value.len() >= 16 { URL_SAFE_NO_PAD.encode(&value) } else { String::new() };
        self.told.push(Told { value, encoded, at, origin });
    }

    /// The name of a captured value, which it has from now on.
    fn capture(&mut self, value: &str, origin: Origin, why: &str, sent_back: bool) -> String {
        if let Some(known) = self.captured.get_mut(value) {
            known.sent_back |= sent_back;
            return known.name.clone();
        }
        let (pointer, secret) = match &origin {
            Origin::Cookie(_, name) => (name.clone(), true),
            Origin::Header(_, name) => (name.clone(), is_secret_key(name)),
            Origin::Answer(_, pointer) | Origin::Frame(_, pointer) => (pointer.clone(), is_secret_pointer(pointer)),
        };
        let secret = secret || is_token(value);
        if secret {
            self.hide(value);
        }
        let wished = match &origin {
            Origin::Answer(entry, pointer) if pointer == "/id" => format!("{}_id", self.about[entry]),
            _ => wished_name(&pointer),
        };
        let wished = if RESERVED.contains(&wished.as_str()) { format!("its_{wished}") } else { wished };
        let taken = |name: &str| self.captured.values().any(|captured| captured.name == name);
        let mut name = wished.clone();
        let mut number = 2;
        while taken(&name) {
            name = format!("{wished}_{number}");
            number += 1;
        }
        let captured = Captured { name: name.clone(), origin, secret, why: why.to_owned(), sent_back };
        self.captured.insert(value.to_owned(), captured);
        name
    }
}

/// `${` as it is written where it is meant.
pub fn escaped(text: &str) -> String {
    text.replace("${", "$${")
}

/// What a value at a place is called: its key, or what stands around an `id`.
pub fn wished_name(pointer: &str) -> String {
    let mut keys =
        pointer.rsplit('/').filter(|part| !part.is_empty() && !part.bytes().all(|byte| byte.is_ascii_digit()));
    let last = identifier(keys.next().unwrap_or("value"));
    let last = match (last.as_str(), keys.next()) {
        ("id" | "value", Some(parent)) => identifier(parent),
        _ => last,
    };
    if last == "user" {
        return "user_id".to_owned();
    }
    if RESERVED.contains(&last.as_str()) {
        return format!("its_{last}");
    }
    last
}

/// Letters, digits and `_`, in small letters.
fn identifier(text: &str) -> String {
    let spaced: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    let trimmed = spaced.trim_matches('_');
    let trimmed = trimmed.strip_prefix("x_").unwrap_or(trimmed);
    match trimmed.chars().next() {
        Some(first) if first.is_ascii_alphabetic() => trimmed.to_owned(),
        _ => format!("value_{trimmed}").trim_end_matches('_').to_owned(),
    }
}

/// Whether chance would hardly make it twice.
pub fn is_rare(value: &str) -> bool {
    if value.len() < 3 || value.contains(char::is_whitespace) || ISO.is_match(value) || value.contains("://") {
        return false;
    }
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    if digits == value.len() {
        return digits >= 5;
    }
    digits > 0 || value.len() >= 16
}

/// A JSON Web Token by its beginning.
fn is_token(value: &str) -> bool {
    value.starts_with("eyJ") && value.len() >= 20
}

fn is_secret_pointer(pointer: &str) -> bool {
    let keys: Vec<&str> = pointer.rsplit('/').take(2).collect();
    match keys[..] {
        ["id" | "value", parent] => is_secret_key(parent),
        [last, ..] => is_secret_key(last),
        [] => false,
    }
}

/// What nobody told and nobody but its owner should know.
fn looks_secret(key: &str, text: &str) -> bool {
    let last = text.rsplit(' ').next().unwrap_or(text);
    if is_token(last) {
        return true;
    }
    let words = text.contains(char::is_whitespace) && last.len() < 16;
    if words || text.len() < SHORTEST_WITHIN {
        return false;
    }
    let mixed = text.bytes().any(|byte| byte.is_ascii_digit()) && text.bytes().any(|byte| byte.is_ascii_alphabetic());
    let long = last.len() >= 24 && mixed && !text.contains(['/', ' ']);
    (is_secret_key(key) && mixed) || long
}

/// Where `value` stands in `text` with neither a letter nor a digit beside it.
fn bounded(text: &str, value: &str) -> Option<usize> {
    text.match_indices(value).map(|(start, _)| start).find(|start| {
        let before = text[..*start].chars().next_back();
        let after = text[start + value.len()..].chars().next();
        [before, after].into_iter().flatten().all(|c| !c.is_alphanumeric())
    })
}
