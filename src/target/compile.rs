//! From the decoded file to the [`Profile`]: rules between several keys, names, defaults.
//!
//! Matchers, pointers and single values were checked when they were decoded; what is reported here concerns more than one
//! of them.

mod events;
mod refresh;
mod steps;

use super::format::{self, File};
use super::names::{Moment, Scope};
use super::{
    Ask, Capture, Connect, Cost, Echo, Http, Limits, Message, Place, Profile, Reads, Reply, ScriptStep, Step,
    begins_with,
};
use crate::document::decode::decode;
use crate::document::diagnostic::quote;
use crate::document::merge::merge;
use crate::document::text::{JsonText, Segment, Template, Text};
use crate::document::values::Table;
use crate::document::{Context, Diagnostic, Node, Spanned};
use crate::event::SlotId;
use crate::expect::{Asking, Condition, Dialect, Heartbeat, Matcher, Means, Test};
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
    let mut compiler = Compiler {
        cx,
        clean: true,
        scope: Scope::new(captured),
        greeting_default,
        follows,
        prefixes: false,
        own: Vec::new(),
    };
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
    /// See `Profile::own`.
    own: Vec<(String, Text)>,
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
        let cost = self.cost(file.limits.as_ref());
        let limits = limits(file.limits);

        let ready = self.steps(file.ready, Moment::Ready, has_base);
        let login = self.steps(file.login, Moment::Login, has_base);
        let logout = self.logout(file.logout, has_base);
        let prepare = self.steps(file.prepare, Moment::Prepare, has_base);

        // In the order in which a profile lists them, so that slots are stable under changes further down.
        let mut dialect = Dialect::default();
        let events = file.events.unwrap_or_default();
        self.encodings(&mut dialect, events.decode);
        self.fields(&mut dialect, events.name, events.fields);
        self.spellings(&mut dialect, &events.split.0, &events.aliases);

        self.check(&file.socket, Moment::Upgrade);
        let reached = self.scope.reached();
        let (connect, script) = self.connect(file.connect.unwrap_or_default(), &mut dialect);
        // A heartbeat may come before what the script waits for.
        let reached = self.scope.reach(reached);
        let mut rules: Vec<_> =
            file.heartbeats.into_iter().map(|rule| self.heartbeat(rule, Means::Beat, &mut dialect)).collect();
        self.scope.reach(reached);
        rules.extend(file.replies.into_iter().map(|rule| self.heartbeat(rule, Means::Question, &mut dialect)));
        let silent = |when, means| (None, Heartbeat { when, answered: false, means });
        let (ask, asking, accepted) = self.ask(file.ask, has_base, &mut dialect);
        rules.extend(accepted.into_iter().map(|when| silent(when, Means::Acknowledgement)));
        let ignored = self.matchers(&events.ignore.0, &mut dialect);
        rules.extend(ignored.into_iter().map(|when| silent(when, Means::Ignored)));
        let (replies, heartbeats) = rules.into_iter().unzip();
        let leave = file.leave.into_iter().map(|message| match message {
            format::Leave::Send(template) => Message::Json(self.json_text(template, Moment::Message)),
            format::Leave::SendText(text) => {
                self.check(&text, Moment::Message);
                Message::Text(text)
            }
        });
        let leave = leave.collect();
        let after = self.steps(file.after, Moment::After, has_base);
        let finally = self.steps(file.finally, Moment::Finally, has_base);
        let refresh = file.refresh.and_then(|refresh| self.refresh(refresh, &login, has_base));

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
        let reads = Reads { dialect, script, heartbeats, asking, ends, failed, signs, answers, ids };

        let mut profile = Profile {
            name: file.name.value,
            http,
            socket: file.socket,
            limits,
            cost,
            ready,
            login,
            logout,
            refresh,
            prepare,
            after,
            finally,
            connect,
            replies,
            ask,
            leave,
            reads,
            own: std::mem::take(&mut self.own),
            columns: Vec::new(),
        };
        self.captures(&mut profile);
        profile.columns = std::mem::take(&mut self.scope).into_columns();
        profile
    }

    /// What runs cost, where that is said as a whole.
    fn cost(&mut self, limits: Option<&format::Limits>) -> Option<Cost> {
        let limits = limits?;
        let (per_run, at_most) = (limits.cost_per_run.as_ref(), limits.cost.as_ref());
        if let (None, Some(cost)) = (per_run, at_most) {
            let mistake = Diagnostic::mistake(cost.span, "nothing says what a run costs");
            self.mistake(mistake.help("add `cost_per_run`, for example `0.05 USD`"));
        }
        if let (Some(one), Some(all)) = (per_run, at_most)
            && one.value.exceeds(&all.value).is_none()
        {
            let mistake = Diagnostic::mistake(all.span, "two currencies cannot be compared");
            self.mistake(mistake.also(one.span, "the other stands here").help("write both in one currency"));
        }
        Some(Cost { per_run: per_run?.value.clone(), at_most: at_most.map(|cost| cost.value.clone()) })
    }

    /// Nothing follows that could use what these captured.
    fn logout(&mut self, steps: Vec<Spanned<format::Step>>, has_base: bool) -> Vec<Step> {
        for (name, _) in steps.iter().flat_map(|step| &step.value.capture.0) {
            let mistake = Diagnostic::mistake(name.span, "`logout` captures nothing");
            self.mistake(mistake.help("remove it: nobody goes on after logging out"));
        }
        let reached = self.scope.reached();
        let steps = self.steps(steps, Moment::Login, has_base);
        self.scope.reach(reached);
        steps
    }

    fn http(&mut self, http: format::Http) -> Http {
        self.check_address(&http.base, &["http://", "https://"]);
        self.check(&http.base, Moment::Base);
        let headers = self.headers(http.headers, Moment::Headers, &REQUEST_HEADERS);
        Http { base: http.base, headers }
    }

    /// What can be said of captures only when every text was seen.
    fn captures(&mut self, profile: &mut Profile) {
        let Profile { ready, login, refresh, prepare, after, finally, ask, .. } = profile;
        let asks = if let Ask::Step(step) = ask { Some(&mut **step) } else { None };
        let refreshing = refresh.iter_mut().flat_map(|refresh| &mut refresh.steps);
        let steps = [ready, login, prepare, after, finally].into_iter().flatten();
        for step in steps.chain(asks).chain(refreshing) {
            for capture in &mut step.captures {
                capture.needed = self.scope.is_needed(&capture.name);
            }
        }
        for (step, expected) in profile.connect.script.iter_mut().zip(&mut profile.reads.script) {
            if let (ScriptStep::Wait(captures), crate::expect::ScriptStep::Wait { when, .. }) = (step, expected) {
                let needed = captures.iter().filter(|capture| self.scope.is_needed(&capture.name));
                when.all.extend(needed.filter_map(exists));
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
        let send = |message| (ScriptStep::Send(message), crate::expect::ScriptStep::Send);
        match step {
            format::ScriptStep::Wait(wait) => {
                let within = wait.within.and_then(|within| self.above_zero(within, "within"));
                let expectation = crate::expect::ScriptStep::Wait {
                    when: self.matcher(&wait.when, dialect),
                    refused: wait.refused.0.iter().map(|when| self.matcher(when, dialect)).collect(),
                    within: within.unwrap_or(self.greeting_default),
                    optional: wait.optional.unwrap_or(false),
                };
                let count = wait.capture.0.len();
                let captures = self.frame_captures(wait.capture, &mut dialect.trie);
                self.scope.advance(count);
                (ScriptStep::Wait(captures), expectation)
            }
            format::ScriptStep::Send(template) => send(Message::Json(self.json_text(template, Moment::Message))),
            format::ScriptStep::SendText(text) => {
                self.check(&text, Moment::Message);
                send(Message::Text(text))
            }
        }
    }

    fn heartbeat(
        &mut self,
        rule: Spanned<format::Heartbeat>,
        means: Means,
        dialect: &mut Dialect,
    ) -> (Option<Reply>, Heartbeat) {
        let Spanned { value: rule, span } = rule;
        let mut when = self.matcher(&rule.when, dialect);
        let names: Vec<Spanned<String>> = rule.capture.0.iter().map(|(name, _)| name.clone()).collect();
        let captures = self.frame_captures(rule.capture, &mut dialect.trie);
        self.scope.set_local(names.iter().map(|name| name.value.clone()).collect());
        let reply = rule.reply.map(|reply| (reply.span, Message::Json(self.json_text(reply, Moment::Message))));
        let reply_text = rule.reply_text.map(|text| {
            self.check(&text, Moment::Message);
            (text.span, Message::Text(text))
        });
        self.scope.set_local(Vec::new());
        if means == Means::Question && reply.is_none() && reply_text.is_none() {
            let mistake = Diagnostic::mistake(span, "this reply says nothing");
            self.mistake(mistake.help("write `reply` or `reply_text`; what is not answered needs no rule here"));
        }
        let message = match (reply, reply_text) {
            (Some((span, _)), Some((other, _))) => {
                let mistake = Diagnostic::mistake(other, "`reply` and `reply_text` exclude each other");
                self.mistake(mistake.also(span, "the other stands here").help("a frame has one answer"));
                None
            }
            (one, other) => one.or(other).map(|(_, message)| message),
        };
        for name in &names {
            let asks =
                |message: &Message| message.texts().iter().any(|text| text.holes().any(|hole| hole.name == name.value));
            if !message.as_ref().is_some_and(asks) && self.clean {
                let warning = Diagnostic::warning(name.span, format!("the answer does not use {}", quote(&name.value)));
                self.cx.report(warning.help("remove it, or use it in the answer"));
            }
        }
        let needs = |name: &str| {
            let texts = message.iter().flat_map(Message::texts);
            texts.flat_map(Text::holes).any(|hole| hole.name == name && hole.default.is_none())
        };
        when.all.extend(captures.iter().filter(|capture| needs(&capture.name)).filter_map(exists));
        let answered = message.is_some();
        (message.map(|message| Reply { message, captures }), Heartbeat { when, answered, means })
    }

    /// What asks, how that is refused, and how it is acknowledged.
    fn ask(&mut self, ask: Spanned<format::Ask>, has_base: bool, dialect: &mut Dialect) -> (Ask, Asking, Vec<Matcher>) {
        let whole = ask.span;
        let accepted = match &ask.value {
            format::Ask::Send(send) => self.matchers(&send.accepted.0, dialect),
            format::Ask::Step(_) => Vec::new(),
        };
        let json = if let format::Ask::Send(send) = &ask.value { send.send.as_ref() } else { None };
        let unread = json.is_some_and(|json| refers_to_a_file(&json.value));
        let (ask, span, refused) = match ask.value {
            format::Ask::Step(step) => {
                let span = step.span;
                let refused = step.value.refused.clone().map_or_else(Vec::new, |refused| refused.value.0);
                (self.step(*step, Moment::Ask, has_base).map(Box::new).map(Ask::Step), span, refused)
            }
            format::Ask::Send(format::AskBySocket { send: Some(send), send_text: None, refused, .. }) => {
                let span = send.span;
                (Some(Ask::Send(Message::Json(self.json_text(send, Moment::Ask)))), span, refused.0)
            }
            format::Ask::Send(format::AskBySocket { send: None, send_text: Some(text), refused, .. }) => {
                self.check(&text, Moment::Ask);
                let span = text.span;
                (Some(Ask::Send(Message::Text(text))), span, refused.0)
            }
            format::Ask::Send(format::AskBySocket { send: Some(send), send_text: Some(text), .. }) => {
                let mistake = Diagnostic::mistake(text.span, "`send` and `send_text` exclude each other");
                self.mistake(mistake.also(send.span, "the other stands here").help("a question is one message"));
                (None, send.span, Vec::new())
            }
            format::Ask::Send(_) => {
                let mistake = Diagnostic::mistake(whole, "the ask says neither what to send nor where");
                self.mistake(mistake.help("write `send: ...`, `send_text: ...`, or a method such as `post: /runs`"));
                (None, whole, Vec::new())
            }
        };
        let by_request = matches!(ask, Some(Ask::Step(_)));
        let refused = refused.iter().map(|when| self.matcher(when, dialect)).collect();
        let asking = Asking { by_request, refused, acknowledged: !accepted.is_empty() };
        let Some(ask) = ask else {
            // After a mistake nobody asks.
            return (Ask::Send(Message::Text(Text::literal("", span))), asking, accepted);
        };
        if !unread && !ask.texts().iter().any(|text| text.holes().any(|hole| hole.name == "prompt")) {
            let mistake = Diagnostic::mistake(span, "the ask does not send `${prompt}`");
            self.mistake(mistake.help("put it where the target reads the user's text"));
        }
        (ask, asking, accepted)
    }

    /// Names with texts that may hold anything.
    fn pairs(&mut self, pairs: Table<Text>, moment: Moment) -> Vec<(String, Text)> {
        let checked = pairs.0.into_iter().map(|(name, text)| {
            self.check(&text, moment);
            (name.value, text)
        });
        checked.collect()
    }

    fn json_text(&mut self, template: Spanned<Template>, moment: Moment) -> JsonText {
        for text in template.value.texts() {
            self.check(text, moment);
        }
        // What a file holds stands in its place by now; why it could not be read was told.
        self.clean &= !refers_to_a_file(&template.value);
        template.value.compile()
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

/// That what is captured from a frame stands there.
fn exists(capture: &Capture) -> Option<Condition> {
    let Place::Body(places) = &capture.at else { return None };
    let there = |slot| Matcher { all: vec![Condition::At(slot, Test::Exists(true))] };
    Some(Condition::Any(places.iter().copied().map(there).collect()))
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

/// Whether a template holds `{ file: ... }`, which stands for what a file holds.
fn refers_to_a_file(template: &Template) -> bool {
    match template {
        Template::Fixed(_) | Template::Text(_) => false,
        Template::List(items) => items.iter().any(refers_to_a_file),
        Template::Map(entries) => {
            let only = entries.iter().all(|(key, _)| key == "file" || key == "set");
            let file = entries.iter().find(|(key, _)| only && key == "file");
            matches!(file, Some((_, Template::Text(_)))) || entries.iter().any(|(_, value)| refers_to_a_file(value))
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
