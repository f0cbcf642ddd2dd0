//! The requests without which the socket would not have opened, as steps.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Requests as steps.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// Where their paths begin.
    pub(super) base: Option<String>,
    /// The header that all of them carried, with why.
    pub(super) authorization: Option<(String, String)>,
    /// Those of the login.
    pub(super) login: Vec<Step>,
    /// Those of each iteration.
    pub(super) prepare: Vec<Step>,
    /// The one that asks.
    pub(super) ask: Option<Step>,
    /// Requests that were left out, as comments name them.
    left_out: Vec<String>,
}

/// One request.
#[derive(Debug)]
pub(super) struct Step {
    /// Its entry's index.
    pub(super) index: usize,
    method: String,
    origin: String,
    path: String,
    /// Its parts in the order of the profile's keys.
    parts: Map<String, Json>,
    authorization: Option<String>,
}

impl Case<'_> {
    /// The requests that told something that was sent back, and the login.
    pub(super) fn weave_steps(&mut self) -> Steps {
        let mut woven: BTreeMap<usize, Step> = BTreeMap::new();
        let asks = match &self.course.asked {
            Some(Asked::Request(index, _)) => Some(*index),
            _ => None,
        };
        let mut cookies: BTreeSet<usize> = BTreeSet::new();
        let carried = self.cookies_of(self.socket, &format!("the socket's opening ({})", self.socket.told()));
        cookies.extend(carried);
        loop {
            let told = self.carried.captured().into_iter().filter_map(|captured| entry_of(&captured.origin));
            let needed: BTreeSet<usize> = told.chain(self.login).chain(asks).chain(cookies.iter().copied()).collect();
            let Some(index) = needed.into_iter().find(|index| !woven.contains_key(index)) else { break };
            let stage = match (Some(index) == asks, self.login.is_some_and(|login| index > login)) {
                (true, _) => Stage::Ask,
                (false, true) => Stage::Prepare,
                (false, false) => Stage::Before,
            };
            woven.insert(index, self.weave_entry(index, stage));
            let entry = &self.export.entries[index];
            let carried = self.cookies_of(entry, &entry.told());
            cookies.extend(carried);
        }
        let later = woven.keys().any(|index| self.login.is_some_and(|login| *index > login));
        let guess = self.guess_token(later);
        self.sorted(woven, asks, guess)
    }

    /// The entries that set the cookies which this one brought along.
    fn cookies_of(&mut self, entry: &Entry, told: &str) -> Vec<usize> {
        let mut set = Vec::new();
        for (_, value) in &entry.cookies {
            if let Some(Origin::Cookie(index, _)) = self.carried.origin(value, entry.at) {
                self.carried.capture_as(value, entry.at, &format!("Sent back by {told}."), true);
                set.push(index);
            }
        }
        set
    }

    /// In an export without headers nothing shows what the token of the login is for: requests after it may carry it.
    fn guess_token(&mut self, later: bool) -> Option<String> {
        let login = self.login.filter(|_| self.sanitised)?;
        let captured = self.carried.captured();
        let told = |captured: &&&Captured| {
            captured.secret && matches!(captured.origin, Origin::Answer(index, _) if index == login)
        };
        if let Some(known) = captured.iter().find(told) {
            return later.then(|| known.name.clone());
        }
        let body = self.export.entries[login].answer_json()?;
        let token = leaves(&body).into_iter().find_map(|(at, leaf)| {
            let value = leaf.as_str().filter(|value| value.len() >= 6)?;
            key(&at).to_lowercase().contains("token").then(|| value.to_owned())
        })?;
        self.carried.capture_as(&token, f64::INFINITY, "Nothing in the export shows what it is for.", true)
    }

    fn weave_entry(&mut self, index: usize, stage: Stage) -> Step {
        let entry = &self.export.entries[index];
        let told = entry.told();
        let place = Place { told: &told, at: entry.at, stage, ordinal: 0, early: false };
        let path = self.path(entry, &place);
        let mut parts = Map::new();
        let (mut headers, mut authorization) = (Map::new(), None);
        for (name, value) in entry.headers.iter().filter(|(name, _)| is_own_header(name)) {
            let value = self.carried.text(value, name, &place);
            match name.eq_ignore_ascii_case("authorization") {
                true => authorization = Some(value),
                false => drop(headers.insert(name.clone(), Json::from(value))),
            }
        }
        if let Some(Body::Text(kind, _)) = &entry.body {
            headers.insert("Content-Type".to_owned(), Json::from(escaped(kind)));
        }
        let query = entry.url.query_pairs();
        let query: Map<String, Json> = query
            .map(|(name, value)| (name.to_string(), Json::from(self.carried.text(&value, &name, &place))))
            .collect();
        if !headers.is_empty() {
            parts.insert("headers".to_owned(), Json::Object(headers));
        }
        if !query.is_empty() {
            parts.insert("query".to_owned(), Json::Object(query));
        }
        let prompt = match &self.course.asked {
            Some(Asked::Request(asks, at)) if *asks == index => Some(at.clone()),
            _ => None,
        };
        match &entry.body {
            Some(Body::Json(value)) => {
                let mut value = self.carried.json(value, "", &place, &[]);
                if let Some(leaf) = prompt.as_ref().and_then(|at| value.pointer_mut(at)) {
                    *leaf = Json::from("${prompt}");
                }
                parts.insert("json".to_owned(), value);
            }
            Some(Body::Form(fields)) => {
                let field = |(name, value): &(String, String)| {
                    let value = match prompt.as_ref() == Some(name) {
                        true => "${prompt}".to_owned(),
                        false => self.carried.text(value, name, &place),
                    };
                    (name.clone(), Json::from(value))
                };
                parts.insert("form".to_owned(), Json::Object(fields.iter().map(field).collect()));
            }
            Some(Body::Text(_, text)) => {
                parts.insert("body".to_owned(), Json::from(self.carried.text(text, "body", &place)));
            }
            None => {}
        }
        if !(200..300).contains(&entry.status) && entry.status != 0 {
            parts.insert("expect".to_owned(), json!({ "status": entry.status }));
        }
        let scheme = if matches!(entry.url.scheme(), "https" | "wss") { "https" } else { "http" };
        Step {
            index,
            method: entry.method.to_lowercase(),
            origin: format!("{scheme}://{}", authority(entry)),
            path,
            parts,
            authorization,
        }
    }

    /// What is done when, and what is common to all.
    fn sorted(&self, mut woven: BTreeMap<usize, Step>, asks: Option<usize>, guess: Option<String>) -> Steps {
        let mut origins: BTreeMap<&str, usize> = BTreeMap::new();
        for step in woven.values() {
            *origins.entry(&step.origin).or_default() += 1;
        }
        let base = origins.into_iter().rev().max_by_key(|(_, times)| *times).map(|(origin, _)| origin.to_owned());
        let mut common: Vec<&String> = woven.values().filter_map(|step| step.authorization.as_ref()).collect();
        common.dedup();
        let authorization = match common[..] {
            [value] => {
                Some((value.clone(), "Of every request; left out where its names have no value yet.".to_owned()))
            }
            _ => None,
        };
        for step in woven.values_mut() {
            step.away_from(base.as_deref().unwrap_or_default());
        }
        let mut steps = Steps { base, authorization, ..Steps::default() };
        if let Some(token) = guess {
            let why = format!(
                "TODO: A guess, as the export shows no such header: the login's answer holds `{token}`. Remove it if cookies \
                 carry the login.",
            );
            steps.authorization = Some((format!("Bearer ${{{token}}}"), why));
        }
        let used: BTreeSet<usize> = woven.keys().copied().collect();
        for (index, mut step) in woven {
            let own = step
                .authorization
                .clone()
                .filter(|own| Some(own) != steps.authorization.as_ref().map(|(value, _)| value));
            if let Some(own) = own {
                let headers = step.parts.entry("headers").or_insert_with(|| json!({}));
                headers["Authorization"] = Json::from(own);
            }
            if Some(index) == asks {
                steps.ask = Some(step);
            } else if self.login.is_some_and(|login| index > login) && step.method != "get" {
                steps.prepare.push(step);
            } else {
                steps.login.push(step);
            }
        }
        let idle = self.export.entries.iter().enumerate().filter(|(index, entry)| {
            entry.messages.is_none()
                && !used.contains(index)
                && !matches!(entry.method.as_str(), "GET" | "OPTIONS" | "HEAD")
        });
        steps.left_out = idle.map(|(_, entry)| entry.told()).collect();
        steps
    }

    /// `login` and `prepare`.
    pub(super) fn steps(&self, page: &mut Page, steps: &Steps) {
        page.gap();
        if self.login.is_none() {
            page.comment(
                0,
                match steps.login.is_empty() {
                    true => "No request of the export carried a password: users bring along what they need, or nothing is needed.",
                    false => "No request of the export carried a password; what follows is told what is sent back later.",
                },
            );
        }
        for (list, title, steps) in [
            ("login", "Per iteration (session: fresh) or once per user (session: keep).", &steps.login),
            ("prepare", "Per iteration, before connecting.", &steps.prepare),
        ] {
            if steps.is_empty() {
                continue;
            }
            page.line(0, &format!("{list}: # {title}"));
            for step in steps {
                let entry = &self.export.entries[step.index];
                let password = if self.login == Some(step.index) { ", with the password" } else { "" };
                page.comment(2, &format!("Entry {}: answered with {}{password}.", entry.number, status(entry)));
                self.step(page, 2, "- ", step);
            }
        }
        if !steps.left_out.is_empty() {
            let shown = steps.left_out.iter().take(5).cloned().collect::<Vec<_>>().join("; ");
            let more = steps.left_out.len().saturating_sub(5);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            page.comment(0, &format!("Left out, as nothing that they told was sent back: {shown}{more}."));
        }
    }

    /// One step, its first line behind `lead`.
    pub(super) fn step(&self, page: &mut Page, indent: usize, lead: &str, step: &Step) {
        let inner = indent + lead.len();
        page.put(indent, &format!("{lead}{}:", step.method), &Json::from(step.address()));
        for (name, value) in &step.parts {
            page.put(inner, &format!("{name}:"), value);
        }
        let captured = self.carried.captured();
        let own: Vec<&Captured> =
            captured.into_iter().filter(|captured| entry_of(&captured.origin) == Some(step.index)).collect();
        if !own.is_empty() {
            page.line(inner, "capture:");
        }
        for captured in own {
            page.comment(inner + 2, &captured.why);
            page.put(inner + 2, &format!("{}:", captured.name), &place_of(captured));
        }
    }
}

impl Step {
    fn address(&self) -> String {
        if self.path.is_empty() { "/".to_owned() } else { self.path.clone() }
    }

    /// Names its host, where that is not the common one.
    fn away_from(&mut self, base: &str) {
        if self.origin != base {
            self.path = format!("{}{}", self.origin, self.path);
        }
    }
}

/// What an answer's status was, in words.
fn status(entry: &Entry) -> String {
    if entry.status == 0 { "nothing that was recorded".to_owned() } else { entry.status.to_string() }
}

fn entry_of(origin: &Origin) -> Option<usize> {
    match origin {
        Origin::Answer(index, _) | Origin::Header(index, _) | Origin::Cookie(index, _) => Some(*index),
        Origin::Frame(..) => None,
    }
}

/// Where a captured value stands, as the profile says it.
fn place_of(captured: &Captured) -> Json {
    let place = match &captured.origin {
        Origin::Answer(_, pointer) | Origin::Frame(_, pointer) => Json::from(pointer.as_str()),
        Origin::Header(_, name) => json!({ "header": name }),
        Origin::Cookie(_, name) => json!({ "cookie": name }),
    };
    if captured.secret { json!({ "secret": place }) } else { place }
}
