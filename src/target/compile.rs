//! From the decoded file to the [`Profile`]: rules between several keys, names, defaults.
//!
//! Matchers, pointers and single values were checked when they were decoded; what is reported here concerns more than one
//! of them.

mod events;
mod steps;

use super::format::{self, File};
use super::names::{Moment, Scope};
use super::{Connect, Echo, Http, Limits, Profile, Reads, ScriptStep, begins_with};
use crate::document::decode::decode;
use crate::document::diagnostic::quote;
use crate::document::merge::merge;
use crate::document::text::{Segment, Template, Text};
use crate::document::values::Table;
use crate::document::{Context, Diagnostic, Node, Span, Spanned};
use crate::event::SlotId;
use crate::expect::{Dialect, Heartbeat};
use crate::matcher::not_yet;
use crate::time::Micros;

/// The largest frame where the profile does not say: what browsers' peers commonly allow, 1 MiB.
const MAX_FRAME: u64 = 1 << 20;

/// Compiles a profile. Mistakes and warnings go to `cx`; `None` after mistakes.
///
/// `greeting_default` is how long a `wait` lasts that does not say. Every block under `environments` is tried over the file,
/// so that its mistakes show as well; which one is chosen was merged into `tree` before.
pub fn compile(tree: &Node, greeting_default: Micros, cx: &mut Context) -> Option<Profile> {
    let blocks = tree.get("environments").and_then(Node::entries).unwrap_or_default();
    let mut clean = true;
    for block in blocks {
        if let Some(entry) =
            block.value.entries().and_then(|keys| keys.iter().find(|key| key.key.text == "environments"))
        {
            let mistake = Diagnostic::mistake(entry.key.span, "an environment cannot hold further environments");
            cx.report(mistake.help("write them beside each other"));
            clean = false;
            continue;
        }
        let mut variant = tree.clone();
        merge(&mut variant, block.value.clone());
        clean &= compile_one(&variant, greeting_default, cx).is_some();
    }
    compile_one(tree, greeting_default, cx).filter(|_| clean)
}

fn compile_one(tree: &Node, greeting_default: Micros, cx: &mut Context) -> Option<Profile> {
    let file: File = decode(tree, cx)?;
    let captured = steps::captured(&file);
    let redirects = file.http.as_ref().and_then(|http| http.redirects);
    let follows = redirects == Some(format::Redirects::Follow);
    let mut compiler =
        Compiler { cx, clean: true, scope: Scope::new(captured), greeting_default, follows, prefixes: false };
    let profile = compiler.profile(file);
    compiler.clean.then_some(profile)
}

struct Compiler<'c> {
    cx: &'c mut Context,
    clean: bool,
    scope: Scope,
    greeting_default: Micros,
    /// Redirects are gone after where a step does not say.
    follows: bool,
    /// Something may stand before the document of a frame.
    prefixes: bool,
}

impl Compiler<'_> {
    fn profile(&mut self, file: File) -> Profile {
        if file.name.value.trim().is_empty() {
            self.mistake(
                Diagnostic::mistake(file.name.span, "the name is empty").help("reports show it; name the target"),
            );
        }
        let has_base = file.http.is_some();
        let http = file.http.map(|http| self.http(http));
        self.check_address(&file.socket, &["ws://", "wss://"]);
        let limits = limits(file.limits);

        let ready = self.steps(file.ready, Moment::Ready, has_base);
        let login = self.steps(file.login, Moment::Login, has_base);
        let prepare = self.steps(file.prepare, Moment::Prepare, has_base);

        // In the order in which a profile lists them, so that slots are stable under changes further down.
        let mut dialect = Dialect::default();
        let events = file.events.unwrap_or_default();
        self.fields(&mut dialect, events.name, events.fields);
        self.spellings(&mut dialect, events.decode, &events.split.0, &events.aliases);

        self.check(&file.socket, Moment::Upgrade);
        let (connect, script) = self.connect(file.connect.unwrap_or_default(), &mut dialect);
        let (replies, heartbeats) = self.heartbeats(file.heartbeats, &mut dialect);
        let ask = self.ask(file.ask);
        let after = self.steps(file.after, Moment::After, has_base);
        let finally = self.steps(file.finally, Moment::Finally, has_base);

        let ids = match events.ids {
            Some(ids) => ids.0.into_iter().filter_map(|(name, id)| self.id(name, id, &mut dialect.trie)).collect(),
            None => self.default_ids(&mut dialect.trie),
        };
        let (ends, failed, answers) = (
            self.ends(events.ends, &mut dialect),
            self.failed(events.failed.as_deref(), &mut dialect),
            self.answers(events.answer, &mut dialect),
        );
        let signs = self.signs(events.degraded, events.replayed, events.failed_tool, &mut dialect);
        let places: Vec<SlotId> = ids.iter().flat_map(|rule| rule.at.iter().copied()).collect();
        dialect.settle_envelopes(&places);
        let reads = Reads { dialect, script, heartbeats, ends, failed, signs, answers, ids };

        let mut profile = Profile {
            name: file.name.value,
            http,
            socket: file.socket,
            limits,
            ready,
            login,
            prepare,
            after,
            finally,
            connect,
            replies,
            ask,
            reads,
            columns: Vec::new(),
        };
        self.captures(&mut profile);
        profile.columns = std::mem::take(&mut self.scope).into_columns();
        profile
    }

    fn http(&mut self, http: format::Http) -> Http {
        self.check_address(&http.base, &["http://", "https://"]);
        self.check(&http.base, Moment::Base);
        let headers = self.headers(http.headers, Moment::Headers, &REQUEST_HEADERS);
        Http { base: http.base, headers }
    }

    /// What can be said of captures only when every text was seen.
    fn captures(&mut self, profile: &mut Profile) {
        let Profile { ready, login, prepare, after, finally, .. } = profile;
        for step in [ready, login, prepare, after, finally].into_iter().flatten() {
            for capture in &mut step.captures {
                capture.needed = self.scope.is_needed(&capture.name);
            }
        }
        let all = self.scope.captured().to_vec();
        for (index, captured) in all.iter().enumerate() {
            let name = quote(&captured.name);
            let earlier = all[..index].iter().rev().find(|earlier| earlier.name == captured.name);
            if let Some(earlier) = earlier.filter(|earlier| earlier.secret != captured.secret) {
                let mistake = Diagnostic::mistake(captured.span, format!("{name} is a secret in one place only"));
                let mistake = mistake.also(earlier.span, "captured here as well");
                self.mistake(mistake.help("write `{ secret: [...] }` in both"));
            } else if let Some(earlier) = earlier.filter(|earlier| earlier.moment == captured.moment) {
                let warning = Diagnostic::warning(captured.span, format!("{name} is captured twice"));
                let warning = warning.also(earlier.span, "captured here as well");
                self.cx.report(warning.help("the later value replaces the earlier one; give one of them another name"));
            }
            // After a mistake the use may be what is misspelt.
            let ours = captured.moment == Moment::Ready || captured.guarded;
            let unused = !ours && !self.scope.is_used(&captured.name);
            if earlier.is_none() && unused && self.clean {
                let warning = Diagnostic::warning(captured.span, format!("nothing uses {name}"));
                self.cx.report(warning.help("remove it, or use it in a text or as `is` of an id"));
            }
        }
    }

    fn headers(&mut self, headers: Table<Text>, moment: Moment, reserved: &[(&str, &str)]) -> Vec<(String, Text)> {
        let checked = headers.0.into_iter().map(|(name, text)| {
            let lower = name.value.to_ascii_lowercase();
            if let Some((_, help)) = reserved.iter().find(|(reserved, _)| lower == *reserved) {
                let mistake = Diagnostic::mistake(name.span, format!("the header {} is not free", quote(&name.value)));
                self.mistake(mistake.help(*help));
            } else {
                self.check_token(&name, "header");
            }
            // RFC 9110, section 5.5: no control characters in a value, least of all line breaks.
            if literals(&text).any(|literal| literal.chars().any(|c| c.is_control() && c != '\t')) {
                let mistake = Diagnostic::mistake(text.span, "a header cannot hold line breaks or control characters");
                self.mistake(mistake.help("write the value on one line"));
            }
            self.check(&text, moment);
            (name.value, text)
        });
        checked.collect()
    }

    fn connect(
        &mut self,
        connect: format::Connect,
        dialect: &mut Dialect,
    ) -> (Connect, Vec<crate::expect::ScriptStep>) {
        let mut headers = self.headers(connect.headers, Moment::Upgrade, &UPGRADE_HEADERS);
        if let Some(origin) = connect.origin {
            self.check(&origin, Moment::Upgrade);
            headers.push(("Origin".to_owned(), origin));
        }
        for subprotocol in &connect.subprotocols {
            // RFC 6455, section 4.1 (10): each is a token.
            if literals(subprotocol).any(|literal| !literal.bytes().all(is_token)) || subprotocol.segments.is_empty() {
                let mistake = Diagnostic::mistake(subprotocol.span, "this is not a subprotocol");
                self.mistake(mistake.help("write a name without spaces, commas and quotes; several as a list"));
            }
            self.check(subprotocol, Moment::Upgrade);
        }
        let query = self.pairs(connect.query, Moment::Upgrade);
        let mut expected = Vec::new();
        let mut script = Vec::new();
        for step in connect.script {
            let (step, expectation) = self.script_step(step, dialect);
            script.push(step);
            expected.push(expectation);
        }
        let connect = Connect {
            subprotocols: connect.subprotocols,
            headers,
            query,
            echo: connect.echo.unwrap_or(Echo::Lenient),
            script,
            max_frame: connect.max_frame.map_or(MAX_FRAME, |bytes| bytes.get()),
        };
        (connect, expected)
    }

    fn script_step(
        &mut self,
        step: format::ScriptStep,
        dialect: &mut Dialect,
    ) -> (ScriptStep, crate::expect::ScriptStep) {
        match step {
            format::ScriptStep::Wait(wait) => {
                let within = wait.within.and_then(|within| self.above_zero(within, "within"));
                let expectation = crate::expect::ScriptStep::Wait {
                    when: self.matcher(&wait.when, dialect),
                    refused: wait.refused.0.iter().map(|when| self.matcher(when, dialect)).collect(),
                    within: within.unwrap_or(self.greeting_default),
                };
                (ScriptStep::Wait, expectation)
            }
            format::ScriptStep::Send(template) => {
                (ScriptStep::Send(self.template(template, Moment::Message)), crate::expect::ScriptStep::Send)
            }
            format::ScriptStep::SendText(text) => {
                self.check(&text, Moment::Message);
                (ScriptStep::SendText(text), crate::expect::ScriptStep::Send)
            }
        }
    }

    fn heartbeats(
        &mut self,
        heartbeats: Vec<format::Heartbeat>,
        dialect: &mut Dialect,
    ) -> (Vec<Option<Template>>, Vec<Heartbeat>) {
        let compiled = heartbeats.into_iter().map(|heartbeat| {
            let reply = heartbeat.reply.map(|reply| self.template(reply, Moment::Message));
            let when = self.matcher(&heartbeat.when, dialect);
            let answered = reply.is_some();
            (reply, Heartbeat { when, answered })
        });
        compiled.unzip()
    }

    fn ask(&mut self, ask: format::Ask) -> Template {
        let span = ask.send.span;
        let template = self.template(ask.send, Moment::Ask);
        if !template.texts().iter().any(|text| text.holes().any(|hole| hole.name == "prompt")) {
            let mistake = Diagnostic::mistake(span, "the ask does not send `${prompt}`");
            self.mistake(mistake.help("put it where the target reads the user's text"));
        }
        template
    }

    /// Names with texts that may hold anything.
    fn pairs(&mut self, pairs: Table<Text>, moment: Moment) -> Vec<(String, Text)> {
        let checked = pairs.0.into_iter().map(|(name, text)| {
            self.check(&text, moment);
            (name.value, text)
        });
        checked.collect()
    }

    fn template(&mut self, template: Spanned<Template>, moment: Moment) -> Template {
        for text in template.value.texts() {
            self.check(text, moment);
        }
        if let Some(span) = file_reference(&template.value) {
            let remedy = "write the JSON in place";
            self.mistake(not_yet(span, "`file: ...`", "read the JSON from a file", remedy));
        }
        template.value
    }

    fn above_zero(&mut self, length: Spanned<Micros>, key: &str) -> Option<Micros> {
        if length.value == Micros::ZERO {
            self.mistake(Diagnostic::mistake(length.span, format!("`{key}` is zero")).help("write a time above zero"));
            return None;
        }
        Some(length.value)
    }

    /// An address that must begin with one of two schemes, as far as that can be seen.
    fn check_address(&mut self, text: &Text, schemes: &[&str; 2]) {
        let Some(lead) = lead(text) else { return };
        if schemes.iter().any(|scheme| begins_with(&lead, scheme)) {
            return;
        }
        let title = format!("the address begins with neither `{}` nor `{}`", schemes[0], schemes[1]);
        let rest = lead.split_once("://").map_or(lead.as_str(), |(_, rest)| rest);
        let help = format!("write for example {}", quote(&format!("{}{rest}", schemes[0])));
        self.mistake(Diagnostic::mistake(text.span, title).help(help));
    }

    /// Names of headers (RFC 9110, section 5.6.2) and cookies (RFC 6265, section 4.1.1) are tokens.
    fn check_token(&mut self, name: &Spanned<String>, what: &str) {
        if name.value.is_empty() || !name.value.bytes().all(is_token) {
            let title = format!("{} is not the name of a {what}", quote(&name.value));
            self.mistake(Diagnostic::mistake(name.span, title).help("write letters, digits, `-` and `_`"));
        }
    }

    fn check(&mut self, text: &Text, moment: Moment) {
        self.clean &= self.scope.check(text, moment, self.cx);
    }

    fn mistake(&mut self, diagnostic: Diagnostic) {
        self.clean = false;
        self.cx.report(diagnostic);
    }
}

/// Headers that the sending of a request decides.
const REQUEST_HEADERS: [(&str, &str); 3] = [
    ("connection", "remove it; connections are the harness's business"),
    ("content-length", "remove it; it follows from the body"),
    ("transfer-encoding", "remove it; it follows from the body"),
];

/// Headers that the handshake decides (RFC 6455, section 4.1).
const UPGRADE_HEADERS: [(&str, &str); 7] = [
    ("connection", "remove it; the handshake sets it"),
    ("upgrade", "remove it; the handshake sets it"),
    ("sec-websocket-key", "remove it; the handshake sets it"),
    ("sec-websocket-version", "remove it; the handshake sets it"),
    ("sec-websocket-extensions", "remove it; no extension is negotiated"),
    ("sec-websocket-protocol", "write the list under `connect.subprotocols`"),
    ("origin", "write it under `connect.origin`"),
];

/// A character of a token (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn literals(text: &Text) -> impl Iterator<Item = &str> {
    text.segments.iter().filter_map(|segment| match segment {
        Segment::Literal(literal) => Some(literal.as_str()),
        Segment::Hole(_) => None,
    })
}

/// What a text begins with if nothing is set: its first literal, or the default of a hole before it. `None` if only running
/// will tell.
fn lead(text: &Text) -> Option<String> {
    let mut lead = String::new();
    for segment in &text.segments {
        match segment {
            Segment::Literal(literal) => lead.push_str(literal),
            Segment::Hole(hole) if hole.filters.is_empty() && hole.default.is_some() => {
                lead.push_str(hole.default.as_deref().unwrap_or_default());
            }
            Segment::Hole(_) if lead.is_empty() => return None,
            Segment::Hole(_) => break,
        }
    }
    Some(lead)
}

/// Where a template holds `{ file: ... }`, which the format reserves.
fn file_reference(template: &Template) -> Option<Span> {
    match template {
        Template::Fixed(_) | Template::Text(_) => None,
        Template::List(items) => items.iter().find_map(file_reference),
        Template::Map(entries) => {
            let only = entries.iter().all(|(key, _)| key == "file" || key == "set");
            let file = entries.iter().find(|(key, _)| only && key == "file");
            match file {
                Some((_, Template::Text(text))) => Some(text.span),
                _ => entries.iter().find_map(|(_, value)| file_reference(value)),
            }
        }
    }
}

fn limits(given: Option<format::Limits>) -> Limits {
    let default = Limits::default();
    let Some(given) = given else { return default };
    Limits {
        users: given.users.map_or(default.users, |users| users.get()),
        rate: given.rate.unwrap_or(default.rate),
        runs: given.runs.map_or(default.runs, |runs| runs.get()),
        duration: given.duration.unwrap_or(default.duration),
    }
}
