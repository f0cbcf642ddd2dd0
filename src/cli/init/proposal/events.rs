//! How events are read: names, ids, ends, answers, and the scenario's grammar.

use super::*;
use crate::cli::init::course::looks_final;
use crate::cli::init::frames::pattern_of;

/// The events of a good run as `golden-path` names them.
const GOLDEN: [&str; 5] = ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"];

/// Keys of an answer, the surest first.
const ANSWER_KEYS: [&str; 14] = [
    "final_response",
    "answer",
    "response",
    "result",
    "speech",
    "output",
    "completion",
    "reply",
    "content",
    "text",
    "delta",
    "message",
    "body",
    "data",
];

/// Why an id is captured.
const HELD: &str = "Nothing sends it back; events are held against it.";

/// Whose id stands where.
#[derive(Debug)]
struct Id {
    /// The rest of the rule: `is`, `source` or `unique`.
    rule: (&'static str, String),
    at: Vec<String>,
    why: String,
}

/// What is held against the frames.
#[derive(Debug, Default)]
pub(super) struct Kept {
    user: Option<Id>,
    thread: Option<Id>,
    run: Option<Id>,
    /// What could not be told, in words.
    unknown: Vec<String>,
}

impl Case<'_> {
    /// Finds the ids, and has captured what they are compared with.
    pub(super) fn keep(&mut self, sent: &Sent) -> Kept {
        let mut kept = Kept { user: self.user_id(), ..Kept::default() };
        let events: Vec<Document> = self.events().into_iter().cloned().collect();
        let chosen = self.carried.chosen();
        for (value, name) in chosen {
            let at = pointers_of(&events, &value);
            if at.is_empty() {
                continue;
            }
            let rule = ("source", "chosen".to_owned());
            let why = format!(
                "{} of {} events hold the id that the client sent with the ask.",
                holding(&events, &value),
                events.len()
            );
            let id = Some(Id { rule, at, why });
            match name {
                "thread_id" => kept.thread = id,
                _ => kept.run = id,
            }
        }
        if kept.thread.is_none() {
            kept.thread = self.told_id(&events, carried::is_thread_key, "a request before the ask");
        }
        if kept.run.is_none() {
            kept.run = self.told_id(&events, carried::is_run_key, "the answer to a request");
        }
        if kept.run.is_none() {
            kept.run = self.counted(&events, sent).or_else(|| learned(&events));
        }
        if kept.user.is_none() {
            kept.unknown.push(
                "TODO: No event holds a value that says whose it is, or nothing told the client its own. Isolation is judged by \
                 the marks in prompts alone; if events do say it, write `user: { at: /PLACE, is: NAME }` here."
                    .to_owned(),
            );
        }
        kept
    }

    /// Where events say whose they are, and by what name the user's own is known.
    fn user_id(&mut self) -> Option<Id> {
        let mut documents: Vec<Document> = self.events().into_iter().cloned().collect();
        let count = documents.len();
        documents.extend(self.course.of(Part::Greeting).into_iter().map(|index| self.course.documents[index].clone()));
        let user_like = |at: &str| {
            let at = at.to_lowercase();
            ["user", "account", "member", "owner", "customer", "/sub", "/uid"].iter().any(|word| at.contains(word))
        };
        let mut values: Vec<(String, String)> = Vec::new();
        for document in &documents[..count] {
            let found = leaves(&document.value).into_iter().filter(|(at, _)| user_like(at));
            values.extend(found.filter_map(|(at, leaf)| Some((at, plain(leaf)?))));
        }
        for (at, value) in values {
            let typed = self.login.and_then(|login| {
                let fields = fields(&self.export.entries[login]);
                carried::login_among(&fields).map(|(_, name)| name.clone())
            });
            let events = &documents[..count];
            let why =
                |source: &str| format!("{} of {count} events hold what {source} at {at}.", holding(events, &value));
            if typed.as_deref() == Some(value.as_str()) {
                let why = why("the user logged in with,");
                return Some(Id { rule: ("is", "user.email".to_owned()), at: pointers_of(&documents, &value), why });
            }
            if self.carried.is_chosen(&value) {
                continue;
            }
            let source = match self.carried.origin(&value, f64::INFINITY) {
                Some(Origin::Answer(index, pointer)) => {
                    format!("{} answered at {pointer},", self.export.entries[index].told())
                }
                Some(Origin::Frame(frame, pointer)) => format!("frame {frame} told at {pointer},"),
                _ => continue,
            };
            let name = self.carried.capture_as(&value, f64::INFINITY, HELD, false)?;
            let why = why(&source);
            return Some(Id { rule: ("is", name), at: pointers_of(&documents, &value), why });
        }
        None
    }

    /// An id that some answer told the client before events held it.
    fn told_id(&mut self, events: &[Document], fits: fn(&str) -> bool, by: &str) -> Option<Id> {
        for (at, leaf) in events.iter().flat_map(|event| leaves(&event.value)) {
            let Some(value) = plain(leaf).filter(|value| carried::is_rare(value)) else { continue };
            let told = matches!(self.carried.origin(&value, f64::INFINITY), Some(Origin::Answer(..)));
            if !fits(&key(&at)) || !told || self.carried.is_typed(&value) || self.carried.is_chosen(&value) {
                continue;
            }
            let name = self.carried.capture_as(&value, f64::INFINITY, HELD, false)?;
            let why = format!("{} of {} events hold what {by} told.", holding(events, &value), events.len());
            return Some(Id { rule: ("is", name), at: pointers_of(events, &value), why });
        }
        None
    }

    /// A small number that the ask carried and events repeat.
    fn counted(&self, events: &[Document], sent: &Sent) -> Option<Id> {
        let Some(Asked::Message(index, _)) = &self.course.asked else { return None };
        let woven = sent.messages.get(index)?;
        let (at, _) = leaves(woven).into_iter().find(|(_, leaf)| leaf.as_str() == Some("${counter}"))?;
        let number = plain(self.course.documents[*index].value.pointer(&at)?)?;
        let place = key(&at);
        let at: Vec<String> =
            pointers_of(events, &number).into_iter().filter(|pointer| key(pointer) == place).collect();
        let why = "Events repeat the number of the message that asked; other users have the same numbers.".to_owned();
        (!at.is_empty()).then_some(Id { rule: ("unique", "user".to_owned()), at, why })
    }

    /// How events are read.
    pub(super) fn events_of(&self, page: &mut Page, kept: &Kept) {
        page.gap();
        page.line(0, "events:");
        self.decoding(page);
        self.naming(page);
        self.fields(page);
        self.ids(page, kept);
        self.ends(page);
        self.answer(page);
    }

    fn decoding(&self, page: &mut Page) {
        let came = || self.course.documents.iter().filter(|document| !document.sent);
        let count = |form: Form| came().filter(|document| document.form == form).count();
        let mut words: Vec<Json> = Vec::new();
        let mut prefixes: Vec<String> = Vec::new();
        for document in came().filter(|document| document.form == Form::Prefixed) {
            let pattern = pattern_of(document.mark.as_deref().unwrap_or_default());
            if !prefixes.contains(&pattern) {
                prefixes.push(pattern);
            }
        }
        if !prefixes.is_empty() {
            words.push(json!({ "prefixed": prefixes.join("|") }));
        }
        for (form, word) in [(Form::Sse, "sse"), (Form::Json, "json"), (Form::JsonString, "json_string")] {
            if count(form) > 0 {
                words.push(Json::from(word));
            }
        }
        if came().any(|document| document.binary && document.form != Form::Plain) {
            words.push(Json::from("binary"));
        }
        if !words.is_empty() && words != [Json::from("json")] {
            let forms = [
                (Form::Prefixed, "behind a prefix"),
                (Form::Sse, "records"),
                (Form::Json, "JSON"),
                (Form::JsonString, "JSON in a text"),
            ];
            let told = forms.into_iter().filter(|(form, _)| count(*form) > 0);
            let told: Vec<String> = told.map(|(form, word)| format!("{} {word}", count(form))).collect();
            page.comment(2, &format!("Of what came: {}.", told.join(", ")));
            page.put(2, "decode:", &Json::Array(words));
        }
        let unread = (0..self.course.parts.len()).filter(|index| {
            let document = &self.course.documents[*index];
            document.form == Form::Plain && !document.sent && self.course.parts[*index] == Part::Event
        });
        let unread: Vec<String> = unread.map(|index| self.course.documents[index].frame.to_string()).collect();
        if !unread.is_empty() {
            page.comment(
                2,
                &format!(
                    "TODO: no JSON stands in these frames: {}. If they mean nothing, name them under `heartbeats`: {{ when: {{ \
                     text: {{ matches: PATTERN }} }} }}",
                    unread.join(", "),
                ),
            );
        }
        let mut listed = came().filter(|document| document.listed);
        if let Some(first) = listed.next() {
            page.comment(2, &format!("Frame {} is a list of events.", first.frame));
            page.line(2, "split: { at: '' }");
        }
    }

    fn naming(&self, page: &mut Page) {
        let naming = &self.course.naming;
        let came =
            self.course.documents.iter().filter(|document| !document.sent && document.form != Form::Plain).count();
        for place in &naming.places {
            let held = naming.held.get(place).copied().unwrap_or_default();
            page.comment(2, &format!("At {place} stands a name in {held} of the {came} documents that came."));
        }
        let places: Vec<Json> = naming.places.iter().map(|place| Json::from(place.as_str())).collect();
        if naming.rules.is_empty() {
            if naming.places.is_empty() {
                page.comment(2, "TODO: no place of names was seen. These are common ones.");
            }
            let places = if places.is_empty() { vec![Json::from("/type"), Json::from("/event")] } else { places };
            page.put(2, "name:", &Json::Array(places));
            return;
        }
        page.comment(2, "One name stood for several things, which another place tells apart.");
        page.line(2, "name:");
        for (index, rule) in naming.rules.iter().enumerate() {
            let when: Map<String, Json> = rule.when.iter().cloned().collect();
            let lead = if index == 0 { "- " } else { "  " };
            page.put(4, &format!("{lead}{}:", super::super::page::scalar(&rule.name)), &Json::Object(when));
        }
        for place in places {
            page.put(4, "-", &place);
        }
    }

    /// Parts of an event that stand where no profile looks by itself.
    fn fields(&self, page: &mut Page) {
        let events = self.events();
        let mut fields = Map::new();
        for (field, keys) in [
            ("agent", &["agent_name", "agent", "agent_id"][..]),
            ("tool", &["tool_name", "tool"]),
            ("call", &["call_id", "tool_call_id"]),
            ("event_id", &["event_id"]),
        ] {
            let usual = |at: &str| {
                at.matches('/').count() == 1
                    || ((at.starts_with("/data/") || at.starts_with("/payload/")) && at.matches('/').count() == 2)
            };
            let mut places: Vec<String> = Vec::new();
            for (at, leaf) in events.iter().flat_map(|event| leaves(&event.value)) {
                if leaf.is_string() && keys.contains(&key(&at).as_str()) && !places.contains(&at) {
                    places.push(at);
                }
            }
            if places.iter().any(|at| !usual(at)) {
                fields.insert(field.to_owned(), Json::from(places));
            }
        }
        if !fields.is_empty() {
            page.put(2, "fields:", &Json::Object(fields));
        }
    }

    fn ids(&self, page: &mut Page, kept: &Kept) {
        let ids = [("user", &kept.user), ("thread", &kept.thread), ("run", &kept.run)];
        for unknown in &kept.unknown {
            page.comment(2, unknown);
        }
        if ids.iter().all(|(_, id)| id.is_none()) {
            return;
        }
        page.line(2, "ids:");
        for (name, id) in ids {
            let Some(id) = id else { continue };
            page.comment(4, &id.why);
            let mut rule = Map::new();
            rule.insert("at".to_owned(), Json::from(id.at.clone()));
            rule.insert(id.rule.0.to_owned(), Json::from(id.rule.1.as_str()));
            page.put(4, &format!("{name}:"), &Json::Object(rule));
        }
    }

    fn ends(&self, page: &mut Page) {
        let Some(end) = self.course.end else {
            page.comment(
                2,
                "TODO: no run was seen. Write how one ends: ends: { good: { event: NAME }, bad: { event: NAME } }",
            );
            return;
        };
        let frame = self.course.documents[end].frame;
        let name = self.course.called(end);
        let sure = match self.course.sure_of_end {
            true => "",
            false => {
                " TODO: its name says nothing of an end: check that the export was not made in the middle of a run."
            }
        };
        page.comment(2, &format!("Frame {frame} was the last event of the run.{sure}"));
        let before = self.course.of(Part::Event).into_iter().rfind(|index| *index < end);
        let may_end = |index: usize| {
            let other = self.course.called(index);
            self.once(index) && other != name && !GOLDEN.contains(&other) && looks_final(other)
        };
        if let Some(before) = before.filter(|before| may_end(*before)) {
            let other = self.course.called(before);
            page.comment(2, &format!(
                "Right before it came `{other}`, once. If both must come, in any order, write \
                 ends: {{ good: [{{ event: {other} }}, {{ event: {name} }}] }} and, in the scenario, end: [{other}, {name}].",
            ));
        }
        page.put(2, "ends:", &json!({ "good": self.matcher(end) }));
        page.comment(2, "TODO: no run failed in the export: say how one does, bad: { event: NAME } beside `good`. Default agent_error.");
    }

    /// Whether an event's name came once in the run.
    fn once(&self, index: usize) -> bool {
        let events = self.course.of(Part::Event);
        events.into_iter().filter(|other| self.course.names[*other] == self.course.names[index]).count() == 1
    }

    fn answer(&self, page: &mut Page) {
        let Some((index, at, append)) = self.answer_place() else {
            if self.course.end.is_some() {
                page.comment(2, "TODO: no event holds a text that looks like an answer: answer: [{ when: { event: NAME }, at: /PLACE }]");
            }
            return;
        };
        let document = &self.course.documents[index];
        let length = document.value.pointer(&at[0]).and_then(Json::as_str).map_or(0, |text| text.chars().count());
        let why = match append {
            true => format!(
                "Each `{}` holds a part of the answer; frame {} the first of them.",
                self.course.called(index),
                document.frame
            ),
            false => format!("Frame {} holds {length} characters of text there.", document.frame),
        };
        page.comment(2, &why);
        page.line(2, "answer:");
        let mut rule = Map::new();
        rule.insert("when".to_owned(), self.matcher(index));
        rule.insert("at".to_owned(), Json::from(at));
        if append {
            rule.insert("append".to_owned(), Json::from(true));
        }
        page.line(4, &format!("- {}", flow(&Json::Object(rule))));
    }

    /// An event that holds the answer, where it stands, and whether it is one of several parts.
    fn answer_place(&self) -> Option<(usize, Vec<String>, bool)> {
        let prompt = self.course.prompt(self.export);
        let text_of = |index: usize| -> Option<(String, String)> {
            let texts = texts(&self.course.documents[index]).into_iter();
            let real = texts.filter(|(at, text)| {
                let known = ANSWER_KEYS.contains(&key(at).as_str()) || at.is_empty();
                Some(text) != prompt.as_ref() && !text.is_empty() && (known || text.split_whitespace().count() >= 3)
            });
            real.max_by_key(|(at, text)| {
                let worth =
                    ANSWER_KEYS.iter().position(|known| *known == key(at)).map_or(0, |place| ANSWER_KEYS.len() - place);
                (text.split_whitespace().count() >= 2, worth, text.len())
            })
        };
        let end = self.course.end?;
        if let Some((at, _)) = text_of(end).filter(|(_, text)| text.split_whitespace().count() >= 2) {
            return Some((end, vec![at], false));
        }
        let mut groups: BTreeMap<&str, (usize, usize, Vec<String>, usize)> = BTreeMap::new();
        for index in self.course.of(Part::Event) {
            let Some((at, text)) = text_of(index) else { continue };
            let group = groups.entry(self.course.called(index)).or_insert((index, 0, Vec::new(), 0));
            group.1 += text.len();
            group.3 += 1;
            if !group.2.contains(&at) {
                group.2.push(at);
            }
        }
        let (first, _, at, times) = groups.into_values().max_by_key(|(_, length, ..)| *length)?;
        Some((first, at, times > 1))
    }

    /// `expect.events` of the scenario.
    pub(super) fn grammar(&self, page: &mut Page) {
        let named = |index: &usize| self.course.names[*index].is_some();
        let events: Vec<&str> =
            self.course.of(Part::Event).into_iter().filter(named).map(|index| self.course.called(index)).collect();
        let end = self.course.end.filter(named).map(|end| self.course.called(end));
        let Some(end) = end.filter(|end| events.iter().any(|name| name != end)) else {
            page.comment(
                2,
                "TODO: no run of several named events was seen. events: { start: NAME, steps: { NAME: { min: 1 } }, end: NAME }",
            );
            page.line(2, "events: golden-path");
            return;
        };
        let has = |name: &&str| events.contains(name);
        let seen: Vec<String> = distinct(&events)
            .into_iter()
            .map(|name| {
                let times = events.iter().filter(|other| **other == name).count();
                if times == 1 { name.to_owned() } else { format!("{name} ({times} times)") }
            })
            .collect();
        page.comment(2, &format!("One run, as it was seen: {}.", seen.join(", ")));
        if end == GOLDEN[4] && GOLDEN.iter().all(has) {
            page.line(2, "events: golden-path");
            return;
        }
        if end == GOLDEN[4] && has(&GOLDEN[0]) && has(&GOLDEN[1]) {
            page.line(2, "events: golden-path-tools-optional");
            return;
        }
        let start = events[0];
        let questions: BTreeSet<&str> = self
            .course
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::Reply(question) => Some(self.course.called(*question)),
                _ => None,
            })
            .collect();
        let mut map = Map::new();
        if start != end {
            map.insert("start".to_owned(), Json::from(start));
        }
        let between: Vec<&str> = distinct(&events).into_iter().filter(|name| *name != start && *name != end).collect();
        let (optional, steps): (Vec<&str>, Vec<&str>) = between.into_iter().partition(|name| questions.contains(name));
        if !steps.is_empty() {
            let steps = steps.into_iter().map(|name| (name.to_owned(), json!({ "min": 1 }))).collect();
            map.insert("steps".to_owned(), Json::Object(steps));
        }
        map.insert("end".to_owned(), Json::from(end));
        if !optional.is_empty() {
            map.insert("optional".to_owned(), Json::from(optional));
        }
        page.put(2, "events:", &Json::Object(map));
    }
}

/// Names in the order in which they came first.
fn distinct<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut distinct = Vec::new();
    for name in names {
        if !distinct.contains(name) {
            distinct.push(*name);
        }
    }
    distinct
}

/// Where a value stands in these documents.
fn pointers_of(documents: &[Document], value: &str) -> Vec<String> {
    let mut pointers = Vec::new();
    for (at, leaf) in documents.iter().flat_map(|document| leaves(&document.value)) {
        if plain(leaf).as_deref() == Some(value) && !pointers.contains(&at) {
            pointers.push(at);
        }
    }
    pointers
}

/// How many of these documents hold a value.
fn holding(documents: &[Document], value: &str) -> usize {
    let holds =
        |document: &&Document| leaves(&document.value).iter().any(|(_, leaf)| plain(leaf).as_deref() == Some(value));
    documents.iter().filter(holds).count()
}

/// An id under a key for runs that all events which have it share.
fn learned(events: &[Document]) -> Option<Id> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (at, leaf) in events.iter().flat_map(|event| leaves(&event.value)) {
        let name = key(&at).to_lowercase();
        if let (true, Some(value)) = (name.contains("run") && name.ends_with("id"), plain(leaf)) {
            found.entry(at).or_default().push(value);
        }
    }
    let at: Vec<String> = found
        .into_iter()
        .filter(|(_, values)| values.len() >= 2 && values.iter().all(|value| value == &values[0]))
        .map(|(at, _)| at)
        .collect();
    let why = "One id in all events of the run, which the client did not send: made by the target.".to_owned();
    (!at.is_empty()).then_some(Id { rule: ("source", "learned".to_owned()), at, why })
}
