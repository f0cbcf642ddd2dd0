//! HTTP steps of a profile: filled in, sent, retried, held against what the profile expects, captured from.
//!
//! Says what happened as a fact. Whether that fact is a finding, and whose, is `check`'s.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value as Json;
use tokio::time::sleep_until;

use super::Net;
use super::cookies::Jar;
use super::http::{Http, HttpAnswer, HttpRequest};
use super::urls::Urls;
use super::values::Values;
use crate::canary::{self, Canary};
use crate::check::{decode, escapes};
use crate::document::text::{Missing, Text};
use crate::event::{Envelope, Extract, Found, Kind, Number, Slots};
use crate::secret::Scrubber;
use crate::target::{Body, Capture, Held, Method, Place, Profile, Step, TextOf, absolute, is_full};
use crate::time::{Micros, Stamp};
use crate::trace::{Fact, NetFailure, Phase, StepOutcome};

/// How much of a refusing answer is kept, in bytes.
const BODY_KEPT: usize = 4 * 1024;

/// How many foreign marks of one answer are told.
const MARKS_KEPT: usize = 8;
/// How many words of one answer that are made like identities are told.
const WORDS_KEPT: usize = 256;
/// How many redirects of one request are gone after (Fetch standard, HTTP-redirect fetch, step 7).
const REDIRECTS: usize = 20;

/// How many characters of an answer must stand in history: targets shorten and format what they store.
const HELD_OF_ANSWER: usize = 40;

/// The name under which the last run's answer stands among a user's values; no capture can be called so.
pub(super) const ANSWER: &str = "run.answer";

/// What a step is done with.
pub(super) struct Requester<'a> {
    pub net: &'a Net,
    pub http: &'a Http,
    pub urls: &'a Urls,
    pub profile: &'a Profile,
    /// Where paths begin.
    pub base: &'a str,
    /// Names and values that every request carries.
    pub headers: &'a [(String, String)],
    /// The cookies of whoever does it.
    pub jar: &'a Jar,
    /// How long one try may take where the step does not say.
    pub timeout: Micros,
}

/// What came of a step.
pub(super) struct Performed {
    /// For the judge; its texts may still hold secrets.
    pub fact: Fact,
    /// What was captured, if it succeeded.
    pub captured: Vec<Captured>,
    /// Marks that stood in its answers.
    pub marks: BTreeSet<Canary>,
    /// Words made like identities that stood in the answer, if it was as expected; with secrets perhaps.
    pub words: Vec<String>,
    /// Time spent waiting because the target asked for it.
    pub waited: Micros,
    /// What time it was by the target's clock when it answered as expected, in seconds since 1970, if it said so.
    pub date_s: Option<u64>,
}

/// A captured value.
pub(super) struct Captured {
    pub name: String,
    pub value: Json,
    pub secret: bool,
}

/// One try.
enum Tried {
    Good { status: u16, captured: Vec<Captured>, words: Vec<String>, date_s: Option<u64> },
    Refused { status: u16, why: String, body: String, retry_after: Option<Micros> },
    Failed(NetFailure),
}

/// Whether every text of `step` can be filled in.
pub fn can(step: &Step, values: &Values) -> bool {
    step.texts().iter().all(|text| text.render(&|name| values.get(name)).is_ok())
}

impl Requester<'_> {
    /// Does `step`, with its retries. A target that answers 429 or 503 with `Retry-After` (RFC 9110, section 10.2.3) is waited
    /// for as long as one try may take; the fact tells the last try only, so such waits belong to no latency.
    pub async fn perform(&self, step: &Step, phase: Phase, values: &Values) -> Performed {
        let begun = self.net.clock.now();
        let limit = step.timeout.unwrap_or(self.timeout);
        let mut waited = Micros::ZERO;
        let mut marks = BTreeSet::new();
        loop {
            let sent = self.net.clock.now();
            let tried = self.attempt(step, values, limit, &mut marks).await;
            let done = self.net.clock.now();
            let again = match (&tried, &step.retry) {
                (Tried::Good { .. }, _) => None,
                // Whoever asks waits for the run, and would find that wait in no figure.
                (Tried::Refused { retry_after: Some(pause), .. }, _)
                    if waited + *pause <= limit && phase != Phase::Ask =>
                {
                    waited += *pause;
                    Some(done + *pause)
                }
                (_, Some(retry)) if done.since(begun) < retry.limit => Some(sent + retry.every),
                _ => None,
            };
            if let Some(again) = again {
                sleep_until(self.net.clock.instant_of(again)).await;
                continue;
            }
            // A step that was repeated in vain took all that time.
            let sent = if matches!(tried, Tried::Good { .. }) || step.retry.is_none() { sent } else { begun };
            let (outcome, captured, words, date_s) = match tried {
                Tried::Good { status, captured, words, date_s } => {
                    (StepOutcome::Good { status }, captured, words, date_s)
                }
                Tried::Refused { status, why, body, .. } => {
                    (StepOutcome::Refused { status, why, body }, Vec::new(), Vec::new(), None)
                }
                Tried::Failed(failure) => (StepOutcome::Failed(failure), Vec::new(), Vec::new(), None),
            };
            let fact = Fact::Step { phase, name: step.name.clone(), sent, done, outcome };
            return Performed { fact, captured, marks, words, waited, date_s };
        }
    }

    async fn attempt(&self, step: &Step, values: &Values, timeout: Micros, marks: &mut BTreeSet<Canary>) -> Tried {
        let until = self.net.clock.now() + timeout;
        let mut request = match self.request(step, values, timeout) {
            Ok(request) => request,
            Err(error) => {
                return Tried::Failed(NetFailure { doing: format!("preparing {}", step.name), error, hung: false });
            }
        };
        let mut followed = 0;
        loop {
            let answer = match self.http.send(&self.with_cookies(&request)).await {
                Ok(answer) => answer,
                Err(failure) => return Tried::Failed(failure),
            };
            marks.extend(marks_of(&answer.headers, &answer.body));
            self.jar.keep(&request.url, &answer.headers);
            let next = if step.follows { self.redirected(&request, &answer) } else { None };
            let Some(next) = next else {
                return judged(step, &answer, values, |name| self.jar.value(name, &request.url));
            };
            followed += 1;
            if followed > REDIRECTS {
                let why = format!("redirected more than {REDIRECTS} times");
                return Tried::Refused { status: answer.status, why, body: String::new(), retry_after: None };
            }
            request = HttpRequest { timeout: until.since(self.net.clock.now()), ..next };
        }
    }

    /// The same request with the cookies that belong to its address, unless it brings its own.
    fn with_cookies<'r>(&self, request: &'r HttpRequest) -> Cow<'r, HttpRequest> {
        let given = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("cookie"));
        let own = if given { None } else { self.jar.header(&request.url) };
        let mut request = Cow::Borrowed(request);
        if let Some(cookies) = own {
            request.to_mut().headers.push(("Cookie".to_owned(), cookies));
        }
        request
    }

    /// The request that a redirect asks for (RFC 9110, section 15.4): a GET after 303, and in place of a POST after 301 and
    /// 302, as browsers do. What the profile says of headers was meant for the host it named, and so was a body: with passwords in it,
    /// perhaps, it goes nowhere else. `None` if there is none to be gone after.
    fn redirected(&self, request: &HttpRequest, answer: &HttpAnswer) -> Option<HttpRequest> {
        let again = match answer.status {
            301 | 302 => request.method != hyper::Method::POST,
            303 => request.method == hyper::Method::GET,
            307 | 308 => true,
            _ => return None,
        };
        let (_, location) = answer.headers.iter().find(|(name, _)| name == "location")?;
        let url = request.url.join(location).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let mut next = HttpRequest { url, ..request.clone() };
        if !again {
            next.method = hyper::Method::GET;
            next.body = None;
            next.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        }
        if next.url.origin() != request.url.origin() {
            if next.body.is_some() {
                return None;
            }
            next.headers = self.headers.to_vec();
        }
        Some(next)
    }

    fn request(&self, step: &Step, values: &Values, timeout: Micros) -> Result<HttpRequest, String> {
        let lookup = |name: &str| values.get(name);
        let missing = |missing: Missing| format!("${{{}}} has no value", missing.name);
        let render = |text: &Text| text.render(&lookup).map_err(missing);
        let written = render(&step.url)?;
        let url = absolute(self.base, &written);
        let mut url = self.urls.parse(&url).map_err(|error| format!("{url} is not a URL: {error}"))?;
        for (name, text) in &step.query {
            let value = render(text)?;
            url.query_pairs_mut().append_pair(name, &value);
        }
        let mut headers: Vec<(String, String)> = Vec::new();
        if !is_full(&written) {
            let common = self.profile.http.iter().flat_map(|http| &http.headers);
            // A header whose names have no value yet (the token, before login) is not sent.
            headers.extend(common.filter_map(|(name, text)| Some((name.clone(), text.render(&lookup).ok()?))));
        }
        for (name, text) in &step.headers {
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            headers.push((name.clone(), render(text)?));
        }
        let given = |name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        let more: Vec<_> = self.headers.iter().filter(|(name, _)| !given(name)).cloned().collect();
        headers.extend(more);
        let body = match &step.body {
            Some(Body::Json(body)) => {
                Some(("application/json".to_owned(), body.render(&lookup).map_err(missing)?.into_bytes()))
            }
            Some(Body::Form(fields)) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                for (name, text) in fields {
                    form.append_pair(name, &render(text)?);
                }
                Some(("application/x-www-form-urlencoded".to_owned(), form.finish().into_bytes()))
            }
            Some(Body::Text(text)) => Some(("text/plain; charset=utf-8".to_owned(), render(text)?.into_bytes())),
            Some(Body::File(file)) => Some(("application/octet-stream".to_owned(), file.bytes.to_vec())),
            None => None,
        };
        let method = match step.method {
            Method::Get => hyper::Method::GET,
            Method::Post => hyper::Method::POST,
            Method::Put => hyper::Method::PUT,
            Method::Patch => hyper::Method::PATCH,
            Method::Delete => hyper::Method::DELETE,
        };
        Ok(HttpRequest { method, url, headers, body, timeout })
    }
}

/// Holds an answer against what the step expects. `cookie` gives the value of a cookie.
fn judged(step: &Step, answer: &HttpAnswer, values: &Values, cookie: impl Fn(&str) -> Option<String>) -> Tried {
    let status = answer.status;
    let text = String::from_utf8_lossy(&answer.body);
    let refused = |why: String| {
        // A gateway's statuses are a proxy's own as often as a target's.
        let why = match answer.by.as_ref().filter(|_| matches!(status, 403 | 502..=504)) {
            Some(proxy) => format!("{why}; it came through the proxy {proxy}, whose answer it may be"),
            None => why,
        };
        let kept = text.floor_char_boundary(BODY_KEPT);
        let retry_after = (status == 429 || status == 503).then(|| retry_after(answer)).flatten();
        Tried::Refused { status, why, body: text[..kept].to_owned(), retry_after }
    };
    if !step.expect.status.iter().any(|range| range.contains(&status)) {
        return refused("the status is not the expected one".to_owned());
    }
    for (name, test) in &step.expect.headers {
        let lines: Vec<_> = header(answer, name).collect();
        if lines.is_empty() {
            return refused(format!("the answer has no header {name}"));
        }
        // RFC 9110, section 5.3: several lines of one name are one list.
        if !test.holds(&Found::Text(lines.join(", ").into())) {
            return refused(format!("the header {name} is not the expected one"));
        }
    }
    for held in &step.expect.holds {
        let (wanted, chars) = match held {
            Held::Prompt => (values.get("prompt"), usize::MAX),
            Held::Answer => (values.get(ANSWER), HELD_OF_ANSWER),
        };
        // A run without an answer is a finding of its own.
        let wanted = wanted.as_ref().and_then(|wanted| wanted.as_str());
        if !wanted.is_none_or(|wanted| stands_in(wanted, chars, &text)) {
            return refused(format!("no text of the body holds the {}", held.as_str()));
        }
    }
    // Without a place that is asked for the body may be anything.
    let places = step.trie.slots() > step.trie.own().len();
    let mut slots = Slots::default();
    slots.reset(step.trie.slots());
    if places {
        slots = match decode::read(&step.trie, &text) {
            Ok(places) => places.slots,
            Err(_) if answer.truncated => return refused("the body is too long to be read".to_owned()),
            Err(error) => return refused(format!("the body is not JSON: {error}")),
        };
    }
    for (name, slot) in step.trie.own() {
        let text = step.own.iter().find(|(known, _)| **known == **name).map(|(_, text)| text);
        if let Some(Ok(value)) = text.map(|text| text.render(&|name| values.get(name))) {
            slots.put(*slot, Found::Text(value.into()));
        }
    }
    let extract = Extract { kind: Kind::Unnamed, name: None, envelope: Envelope::default(), slots };
    if step.expect.when.as_ref().is_some_and(|when| !when.holds(&extract, &text)) {
        return refused("the body is not the expected one".to_owned());
    }
    let mut captured = Vec::new();
    for Capture { name, secret, needed, at } in &step.captures {
        let value = match at {
            Place::Body(at) => extract.first(at).and_then(json_of),
            Place::Header(header_name) => header(answer, header_name).next().map(Json::from),
            Place::Cookie(cookie_name) => cookie(cookie_name).map(Json::from),
            Place::Part(within, part) => match within {
                TextOf::Body => part.of(&text).map(Json::from),
                TextOf::Header(header_name) => {
                    header(answer, header_name).next().and_then(|value| part.of(value)).map(Json::from)
                }
                TextOf::Cookie(cookie_name) => cookie(cookie_name).and_then(|value| part.of(&value).map(Json::from)),
            },
        };
        let missing = || match at {
            Place::Body(_) => format!("the body has no {name} where the profile looks for it"),
            Place::Header(header_name) => format!("the answer has no header {header_name}, which holds {name}"),
            Place::Cookie(cookie_name) => format!("the user has no cookie {cookie_name}, which holds {name}"),
            Place::Part(within, _) => {
                let text = match within {
                    TextOf::Body => "the body".to_owned(),
                    TextOf::Header(header_name) => format!("the header {header_name}"),
                    TextOf::Cookie(cookie_name) => format!("the cookie {cookie_name}"),
                };
                format!("nothing in {text} matches the pattern of {name}")
            }
        };
        match value {
            Some(value) => captured.push(Captured { name: name.clone(), value, secret: *secret }),
            None if *needed => return refused(missing()),
            None => {}
        }
    }
    let words = if step.public { Vec::new() } else { words_of(&answer.headers, &text) };
    let date_s = header(answer, "date").next().and_then(seconds_of);
    Tried::Good { status, captured, words, date_s }
}

/// The marks in an answer's header lines and body.
pub(super) fn marks_of<'a>(headers: &'a [(String, String)], body: &'a [u8]) -> impl Iterator<Item = Canary> + 'a {
    let texts = headers.iter().map(|(_, value)| value.as_bytes()).chain([body]);
    texts.flat_map(canary::find_in).filter_map(|found| found.canary.ok())
}

/// The words of an answer that are made like identities, the first of its body and then of its header lines, each once.
pub(super) fn words_of(headers: &[(String, String)], body: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for text in std::iter::once(body).chain(headers.iter().map(|(_, value)| value.as_str())) {
        for word in escapes::words(&escapes::plain(text)).take(WORDS_KEPT - words.len()) {
            if !words.iter().any(|known| known == word) {
                words.push(word.to_owned());
            }
        }
    }
    words
}

/// The header `Date` (RFC 9110, section 5.6.7) in seconds since 1970.
fn seconds_of(date: &str) -> Option<u64> {
    let at = httpdate::parse_http_date(date).ok()?;
    Some(at.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs())
}

/// The lines of the header `name`, which is in lower case.
fn header<'a>(answer: &'a HttpAnswer, name: &'a str) -> impl Iterator<Item = &'a str> {
    answer.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Whether some text of the JSON `body` holds the first `chars` of `wanted`. An object counts wherever it stands as a whole.
fn stands_in(wanted: &str, chars: usize, body: &str) -> bool {
    let Ok(body) = serde_json::from_str::<Json>(body) else { return false };
    let wanted = wanted.trim();
    let object = serde_json::from_str::<Json>(wanted).ok().filter(|json| json.is_object() || json.is_array());
    let beginning = &wanted[..wanted.char_indices().nth(chars).map_or(wanted.len(), |(at, _)| at)];
    holds(&body, &|json| match json {
        Json::String(text) => text.contains(beginning),
        other => object.as_ref() == Some(other),
    })
}

fn holds(json: &Json, wanted: &impl Fn(&Json) -> bool) -> bool {
    wanted(json)
        || match json {
            Json::Array(items) => items.iter().any(|item| holds(item, wanted)),
            Json::Object(members) => members.values().any(|member| holds(member, wanted)),
            _ => false,
        }
}

/// A value with its JSON type.
pub(super) fn json_of(found: &Found<'_>) -> Option<Json> {
    match found {
        Found::Absent | Found::Null => None,
        Found::Bool(value) => Some(Json::from(*value)),
        Found::Number(Number::Unsigned(n)) => Some(Json::from(*n)),
        Found::Number(Number::Signed(n)) => Some(Json::from(*n)),
        Found::Number(Number::Float(n)) => Some(Json::from(*n)),
        Found::Text(text) => Some(Json::from(&**text)),
        Found::Composite { raw, .. } => raw.and_then(|raw| serde_json::from_str(raw).ok()),
    }
}

/// The delay form only, in seconds; a date would need the target's clock. No time at all counts as the shortest there is, or a
/// target that says so every time would be asked without a pause and without an end.
fn retry_after(answer: &HttpAnswer) -> Option<Micros> {
    let seconds: u32 = header(answer, "retry-after").next()?.trim().parse().ok()?;
    Some(Micros::from_secs(seconds.max(1).into()))
}

/// The same fact without secrets.
pub(super) fn scrubbed(fact: Fact, scrubber: &Scrubber) -> Fact {
    let clean = |text: String| match scrubber.scrub(&text) {
        std::borrow::Cow::Borrowed(_) => text,
        std::borrow::Cow::Owned(clean) => clean,
    };
    let clean_failure = |failure: NetFailure| NetFailure {
        doing: clean(failure.doing),
        error: clean(failure.error),
        hung: failure.hung,
    };
    match fact {
        Fact::Step { phase, name, sent, done, outcome } => {
            let outcome = match outcome {
                StepOutcome::Good { status } => StepOutcome::Good { status },
                StepOutcome::Refused { status, why, body } => {
                    StepOutcome::Refused { status, why: clean(why), body: clean(body) }
                }
                StepOutcome::Failed(failure) => StepOutcome::Failed(clean_failure(failure)),
            };
            Fact::Step { phase, name, sent, done, outcome }
        }
        other => other,
    }
}

/// Marks in the answers to `step` as the judge is told them: all but those of the user whose `own` mark is given.
fn foreign(step: &str, marks: &BTreeSet<Canary>, own: Canary, at: Stamp) -> Option<Fact> {
    let foreign = marks.iter().filter(|mark| (mark.execution, mark.user) != (own.execution, own.user));
    let marks: Vec<String> = foreign.take(MARKS_KEPT).map(|mark| mark.encode()).collect();
    (!marks.is_empty()).then(|| Fact::Marked { name: step.to_owned(), marks, at })
}

/// Words in the answer to `step` as the judge is told them: without those that hold a secret.
fn named(step: &str, words: Vec<String>, scrubber: &Scrubber, at: Stamp) -> Option<Fact> {
    let open = |word: &String| matches!(scrubber.scrub(word), std::borrow::Cow::Borrowed(_));
    let words: Vec<String> = words.into_iter().filter(open).collect();
    (!words.is_empty()).then(|| Fact::Named { name: step.to_owned(), words, at })
}

/// What of others may stand in the answer to `step`, as the judge is told it: marks and words. `own` is a mark of whoever asked.
pub(super) fn found(
    step: &str,
    (marks, words): (&BTreeSet<Canary>, Vec<String>),
    own: Canary,
    scrubber: &Scrubber,
    at: Stamp,
) -> impl Iterator<Item = Fact> + use<> {
    foreign(step, marks, own, at).into_iter().chain(named(step, words, scrubber, at))
}

/// Captured values as the judge is told them: all but secrets, spelled as frames that hold them will be.
pub(super) fn told(captured: &[Captured], scrubber: &Scrubber, at: Stamp) -> Vec<Fact> {
    let open = captured.iter().filter(|captured| !captured.secret);
    let told = open.map(|Captured { name, value, .. }| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Fact::Captured { name: name.clone(), value: scrubber.scrub(&text).into_owned(), at }
    });
    told.collect()
}

impl Captured {
    /// Every text by which a secret could be recognized: of an object or list its JSON, and each text and number in it.
    pub fn spellings(&self) -> Vec<String> {
        let mut spellings = Vec::new();
        let mut rest = vec![&self.value];
        while let Some(json) = rest.pop() {
            match json {
                Json::Null | Json::Bool(_) => {}
                Json::String(text) => spellings.push(text.clone()),
                Json::Number(number) => spellings.push(number.to_string()),
                Json::Array(items) => rest.extend(items),
                Json::Object(members) => rest.extend(members.values()),
            }
            if json.is_array() || json.is_object() {
                spellings.push(json.to_string());
            }
        }
        spellings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_an_answer_are_those_of_its_body_and_then_of_its_head() {
        let headers = [("set-cookie", "sid=user_4a1; Path=/"), ("x-user", "qa1@example.com"), ("via", "proxy")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let body = r#"{"id":"user_4a1","name":"\u0071a2@example.com"}"#;
        assert_eq!(words_of(&headers, body), ["user_4a1", "qa2@example.com", "qa1@example.com"]);
        let many: Vec<String> = (0..WORDS_KEPT).map(|index| format!("user_{index:04}")).collect();
        assert_eq!(words_of(&headers, &many.join(" ")), many);
    }

    #[test]
    fn foreign_marks_in_an_answer_are_told_and_own_ones_are_not() {
        let mark = |execution, user, iteration| Canary { execution, user, iteration };
        let (own, other, elsewhere) = (mark(1, 3, 2), mark(1, 4, 1), mark(2, 3, 1));
        let body = format!(r#"["{}", "{}", "{}"]"#, own.encode(), other.encode(), other.encode());
        let headers = [("x-last".to_owned(), elsewhere.encode()), ("x-own".to_owned(), own.encode())];
        let marks: BTreeSet<Canary> = marks_of(&headers, body.as_bytes()).collect();
        let told = foreign("GET /messages", &marks, mark(1, 3, 0), Stamp(5));
        let (name, marks) = ("GET /messages".to_owned(), vec![other.encode(), elsewhere.encode()]);
        assert_eq!(told, Some(Fact::Marked { name, marks, at: Stamp(5) }));
        assert_eq!(foreign("GET /messages", &BTreeSet::from([own]), mark(1, 3, 0), Stamp(5)), None);
    }

    #[test]
    fn history_holds_a_text_by_its_beginning_and_an_object_as_a_whole() {
        let long = "Cut the \"idle\" nodes of the development machines first, then move the nightly jobs.";
        let body = |content: Json| serde_json::json!({ "messages": [{ "id": 1 }, { "content": content }] }).to_string();
        assert!(stands_in(long, 40, &body(Json::from(long))));
        assert!(
            stands_in(long, 40, &body(Json::from(format!("<p>{}", &long[..50])))),
            "what is stored may be shortened"
        );
        assert!(!stands_in(long, 40, &body(Json::from(&long[..20]))));
        assert!(!stands_in(long, usize::MAX, &body(Json::from(&long[..50]))), "a prompt stands there as a whole");
        assert!(!stands_in(long, 40, &body(Json::Null)));
        assert!(!stands_in(long, 40, long), "a body that is not JSON is no history");
        let object = serde_json::json!({ "usd": 12, "why": ["idle"] });
        assert!(stands_in(&object.to_string(), 40, &body(object.clone())));
        assert!(stands_in(&object.to_string(), 40, &body(Json::from(object.to_string()))));
        assert!(!stands_in(&object.to_string(), 40, &body(serde_json::json!({ "usd": 13 }))));
    }
}
