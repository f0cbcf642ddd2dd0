//! The steps of a profile: requests, their success and what is captured from their answers.

use std::sync::Arc;

use super::super::format::{self, Elsewhere, File, Marked};
use super::super::names::{Captured, Moment, capture_problem};
use super::super::{Attached, Body, Capture, Method, Part, Place, Retry, Step, Success, TextOf};
use super::events::slots;
use super::{Compiler, REQUEST_HEADERS, lead};
use crate::document::diagnostic::quote;
use crate::document::text::Text;
use crate::document::values::Table;
use crate::document::{Diagnostic, Spanned};
use crate::expect::Trie;
use crate::time::Micros;

/// How often `ready` steps with `within` are tried.
const READY_EVERY: Micros = Micros::from_millis(500);
/// How often a step with `retry` is tried that does not say.
const RETRY_EVERY: Micros = Micros::from_millis(200);

/// What is captured, in the order in which it is done.
pub(super) fn captured(file: &File) -> Vec<Captured> {
    let mut all = Vec::new();
    let mut steps = |moment: Moment, steps: &[Spanned<format::Step>]| {
        all.extend(steps.iter().flat_map(|step| captured_by(&step.value, moment)));
    };
    steps(Moment::Ready, &file.ready);
    steps(Moment::Login, &file.login);
    steps(Moment::Prepare, &file.prepare);
    let script = file.connect.iter().flat_map(|connect| &connect.script);
    let waits = script.filter_map(|step| if let format::ScriptStep::Wait(wait) = step { Some(wait) } else { None });
    all.extend(waits.flat_map(|wait| &wait.capture.0).map(|(key, capture)| Captured {
        name: key.value.clone(),
        span: key.span,
        from: "a frame that the script waits for".to_owned(),
        moment: Moment::Message,
        secret: matches!(capture, format::FrameCapture::Secret(_)),
        guarded: matches!(capture, format::FrameCapture::Secret(_)),
    }));
    if let format::Ask::Step(step) = &file.ask.value {
        all.extend(captured_by(&step.value, Moment::Ask));
    }
    for (moment, steps) in [(Moment::After, &file.after), (Moment::Finally, &file.finally)] {
        all.extend(steps.iter().flat_map(|step| captured_by(&step.value, moment)));
    }
    all.extend(super::refresh::steps(file).iter().flat_map(|step| captured_by(&step.value, Moment::Refresh)));
    all
}

fn captured_by(step: &format::Step, moment: Moment) -> impl Iterator<Item = Captured> {
    let name = methods(step).first().map_or_else(String::new, |(method, address)| step_name(*method, address));
    step.capture.0.iter().map(move |(key, capture)| Captured {
        name: key.value.clone(),
        span: key.span,
        from: format!("the answer to `{name}`"),
        moment,
        secret: is_secret(capture),
        guarded: matches!(
            capture,
            format::Capture::Marked(Marked::Secret(format::Place::Elsewhere(Elsewhere::Cookie(_))))
        ),
    })
}

fn methods(step: &format::Step) -> Vec<(Method, &format::Address)> {
    let all = [
        (Method::Get, &step.get),
        (Method::Post, &step.post),
        (Method::Put, &step.put),
        (Method::Patch, &step.patch),
        (Method::Delete, &step.delete),
    ];
    all.into_iter().filter_map(|(method, address)| Some((method, address.as_ref()?))).collect()
}

fn step_name(method: Method, address: &format::Address) -> String {
    format!("{} {}", method.as_str(), address.written)
}

fn is_secret(capture: &format::Capture) -> bool {
    matches!(capture, format::Capture::Marked(Marked::Secret(_)))
}

impl Compiler<'_> {
    pub(super) fn steps(&mut self, steps: Vec<Spanned<format::Step>>, moment: Moment, has_base: bool) -> Vec<Step> {
        steps.into_iter().filter_map(|step| self.step(step, moment, has_base)).collect()
    }

    pub(super) fn step(&mut self, step: Spanned<format::Step>, moment: Moment, has_base: bool) -> Option<Step> {
        let Spanned { value: mut step, span } = step;
        let count = step.capture.0.len();
        let (method, address) = match methods(&step)[..] {
            [(method, address)] => (method, address.clone()),
            [] => {
                let mistake = Diagnostic::mistake(span, "the step has no method");
                self.mistake(mistake.help("write `get`, `post`, `put`, `patch` or `delete` with a path"));
                self.scope.advance(count);
                return None;
            }
            [(first, one), (second, other), ..] => {
                let [first, second] = [first, second].map(|method| method.as_str().to_lowercase());
                let title = format!("`{first}` and `{second}` exclude each other");
                let mistake = Diagnostic::mistake(other.text.span, title).also(one.text.span, "the other stands here");
                self.mistake(mistake.help("a step is one request; write two steps"));
                self.scope.advance(count);
                return None;
            }
        };
        self.check_step_address(&address.text, has_base);
        self.check(&address.text, moment);
        let body = self.body(&mut step, moment);
        let headers = self.headers(step.headers, moment, &REQUEST_HEADERS);
        let query = self.pairs(step.query, moment);
        let follows = step.redirects.map_or(self.follows, |redirects| redirects == format::Redirects::Follow);
        let timeout = step.timeout.and_then(|timeout| self.above_zero(timeout, "timeout"));
        if let Some(refused) = step.refused.as_ref().filter(|_| moment != Moment::Ask) {
            let mistake = Diagnostic::mistake(refused.span, "`refused` is for the step under `ask`");
            self.mistake(mistake.help("say with `expect` when this step succeeded"));
        }
        if let Some(retry) = step.retry.as_ref().filter(|_| moment == Moment::Ask) {
            let mistake = Diagnostic::mistake(retry.span, "an ask is never repeated");
            self.mistake(mistake.help("remove `retry`: a question that fails is evidence"));
        }
        let retry = self.retry(step.within, step.retry, moment);
        let mut trie = Trie::default();
        if let Some(held) = step.expect.iter().find_map(|expect| expect.holds.as_ref()?.0.first())
            && moment != Moment::After
        {
            let mistake = Diagnostic::mistake(held.span, "there is no run yet whose history could be looked for");
            self.mistake(mistake.help("`holds` belongs to steps under `after`"));
        }
        let own = step.expect.iter().filter_map(|expect| expect.when.as_ref()).flat_map(|when| when.own());
        let own = own.map(|own| {
            self.check(&own.text, moment);
            (own.written, own.text)
        });
        let own = own.collect();
        let expect = self.success(step.expect, &mut trie);
        let captures =
            step.capture.0.into_iter().map(|(name, capture)| self.capture(name, capture, &mut trie)).collect();
        self.scope.advance(count);
        let name = step_name(method, &address);
        let url = address.text;
        let public = step.public;
        Some(Step {
            name,
            method,
            url,
            headers,
            query,
            body,
            follows,
            public,
            timeout,
            retry,
            expect,
            captures,
            own,
            trie,
        })
    }

    fn body(&mut self, step: &mut format::Step, moment: Moment) -> Option<Body> {
        let (json, form) = (step.json.take(), step.form.take());
        let (text, file) = (step.body.take(), step.file.take());
        let spans = [
            ("json", json.as_ref().map(|json| json.span)),
            ("form", form.as_ref().map(|form| form.span)),
            ("body", text.as_ref().map(|text| text.span)),
            ("file", file.as_ref().map(|file| file.span)),
        ];
        let given: Vec<_> = spans.into_iter().filter_map(|(key, span)| Some((key, span?))).collect();
        if let [(one, span), (other, place), ..] = given[..] {
            let mistake = Diagnostic::mistake(place, format!("`{one}` and `{other}` exclude each other"));
            self.mistake(mistake.also(span, "the other stands here").help("a request has one body"));
        }
        let json = json.map(|json| Body::Json(self.json_text(json, moment)));
        let form = form.map(|form| Body::Form(self.pairs(form.value, moment)));
        let text = text.map(|text| {
            self.check(&text.value, moment);
            Body::Text(text.value)
        });
        json.or(form).or(text).or(file.map(|path| Body::File(Attached { path, bytes: Arc::default() })))
    }

    fn retry(
        &mut self,
        within: Option<Spanned<Micros>>,
        retry: Option<Spanned<format::Retry>>,
        moment: Moment,
    ) -> Option<Retry> {
        if let Some(within) = within
            && moment != Moment::Ready
        {
            let mistake = Diagnostic::mistake(within.span, "`within` is for steps of `ready`");
            self.mistake(mistake.help("write `retry: { every: 200ms, for: 2s }`"));
            return None;
        }
        match (within, retry) {
            (Some(within), Some(retry)) => {
                let mistake = Diagnostic::mistake(retry.span, "`within` and `retry` exclude each other");
                let mistake = mistake.also(within.span, "the other stands here");
                self.mistake(mistake.help("`within` alone tries every 500ms"));
                None
            }
            (Some(within), None) => Some(Retry { every: READY_EVERY, limit: within.value }),
            (None, Some(Spanned { value: retry, .. })) => {
                let every = retry.every.and_then(|every| self.above_zero(every, "every")).unwrap_or(RETRY_EVERY);
                Some(Retry { every, limit: retry.limit })
            }
            (None, None) => None,
        }
    }

    fn capture(&mut self, name: Spanned<String>, capture: format::Capture, trie: &mut Trie) -> Capture {
        self.check_capture(&name);
        let secret = is_secret(&capture);
        let at = match capture {
            format::Capture::One(pointer) | format::Capture::Marked(Marked::Secret(format::Place::One(pointer))) => {
                Place::Body(slots(&[pointer], trie, true))
            }
            format::Capture::Several(pointers)
            | format::Capture::Marked(Marked::Secret(format::Place::Several(pointers))) => {
                Place::Body(slots(&pointers.0, trie, true))
            }
            format::Capture::Marked(Marked::Header(name))
            | format::Capture::Marked(Marked::Secret(format::Place::Elsewhere(Elsewhere::Header(name)))) => {
                self.check_token(&name, "header");
                Place::Header(name.value.to_ascii_lowercase())
            }
            format::Capture::Marked(Marked::Cookie(name))
            | format::Capture::Marked(Marked::Secret(format::Place::Elsewhere(Elsewhere::Cookie(name)))) => {
                self.check_token(&name, "cookie");
                Place::Cookie(name.value)
            }
            format::Capture::Marked(Marked::Matches(matches))
            | format::Capture::Marked(Marked::Secret(format::Place::Elsewhere(Elsewhere::Matches(matches)))) => {
                self.part(matches)
            }
        };
        Capture { name: name.value, secret, needed: false, at }
    }

    /// A part of a text of the answer.
    fn part(&mut self, matches: format::Matches) -> Place {
        let (header, cookie, pattern) = match matches {
            format::Matches::Body(pattern) => return Place::Part(TextOf::Body, Part(pattern.0)),
            format::Matches::Of(format::MatchesOf { header, cookie, pattern }) => (header, cookie, pattern),
        };
        let within = match (header, cookie) {
            (Some(name), None) => {
                self.check_token(&name, "header");
                TextOf::Header(name.value.to_ascii_lowercase())
            }
            (None, Some(name)) => {
                self.check_token(&name, "cookie");
                TextOf::Cookie(name.value)
            }
            (Some(one), Some(other)) => {
                let mistake = Diagnostic::mistake(other.span, "`header` and `cookie` exclude each other");
                let mistake = mistake.also(one.span, "the other stands here");
                self.mistake(mistake.help("a value is a part of one text"));
                TextOf::Body
            }
            (None, None) => {
                let mistake = Diagnostic::mistake(pattern.span, "this pattern has nothing to be searched for in");
                self.mistake(
                    mistake.help("add `header: NAME` or `cookie: NAME`; for the body write `matches: PATTERN`"),
                );
                TextOf::Body
            }
        };
        Place::Part(within, Part(pattern.value.0))
    }

    /// What is taken from a frame, whose places are in `trie`.
    pub(super) fn frame_captures(&mut self, captures: Table<format::FrameCapture>, trie: &mut Trie) -> Vec<Capture> {
        let captures = captures.0.into_iter().map(|(name, capture)| {
            self.check_capture(&name);
            let (pointers, secret) = match capture {
                format::FrameCapture::One(pointer) => (vec![pointer], false),
                format::FrameCapture::Several(pointers) => (pointers.0, false),
                format::FrameCapture::Secret(format::FrameSecret::Secret(pointers)) => (pointers.0, true),
            };
            Capture { name: name.value, secret, needed: false, at: Place::Body(slots(&pointers, trie, true)) }
        });
        captures.collect()
    }

    fn check_capture(&mut self, name: &Spanned<String>) {
        if let Some((problem, help)) = capture_problem(&name.value) {
            let mistake = Diagnostic::mistake(name.span, format!("{} {problem}", quote(&name.value)));
            self.mistake(mistake.help(help));
        }
    }

    fn success(&mut self, expect: Option<format::Expect>, trie: &mut Trie) -> Success {
        let Some(expect) = expect else {
            return Success { status: vec![200..=299], headers: Vec::new(), when: None, holds: Vec::new() };
        };
        let status =
            expect.status.map_or_else(|| vec![200..=299], |status| status.0.iter().map(|s| s.from..=s.to).collect());
        let headers = expect.headers.0.into_iter().map(|(name, test)| {
            self.check_token(&name, "header");
            (name.value.to_ascii_lowercase(), test.0)
        });
        let headers = headers.collect();
        let holds = expect.holds.map_or_else(Vec::new, |holds| holds.0.into_iter().map(|held| held.value).collect());
        Success { status, headers, when: expect.when.map(|when| when.compile(trie)), holds }
    }

    fn check_step_address(&mut self, text: &Text, has_base: bool) {
        let Some(lead) = lead(text) else { return };
        if crate::target::is_full(&lead) {
            return;
        }
        if !lead.starts_with('/') {
            let mistake = Diagnostic::mistake(text.span, "this is neither a path nor a full URL");
            self.mistake(
                mistake.help(format!("write {}, or begin with `http://` or `https://`", quote(&format!("/{lead}")))),
            );
        } else if !has_base {
            let mistake = Diagnostic::mistake(text.span, "there is no `http.base` for this path");
            self.mistake(mistake.help("add `http: { base: ... }`, or write the full URL"));
        }
    }
}
