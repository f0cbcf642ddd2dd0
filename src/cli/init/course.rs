//! What was said on the socket, part by part: what came before the ask, the ask, its run, and what lies beside.
//!
//! Read from one sample. What a part is believed for stands with it, so that whoever reads the proposal can judge it.

use std::collections::BTreeMap;

use super::frames::{Document, Form, documents, key, leaves};
use super::har::{Body, Entry, Export};
use super::naming::Naming;

/// Where somebody asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// By the message that is this document; the prompt stands at the pointer.
    Message(usize, String),
    /// By the request that is the entry with this index; the prompt stands at the pointer or field.
    Request(usize, String),
}

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It keeps the connection alive, or says something beside the run.
    Beside,
    /// It answers the document with this index, which came beside the run.
    Beat(usize),
    /// It was sent before the ask.
    Sent,
    /// It came before the ask and was waited for.
    Greeting,
    /// It is the ask.
    Ask,
    /// It says that the ask arrived.
    Accepted,
    /// It is an event of the run.
    Event,
    /// It answers the event with this index.
    Reply(usize),
    /// It belongs to a later run, or to nothing.
    Later,
}

/// The whole course of one socket.
#[derive(Debug)]
pub struct Course {
    /// What was said.
    pub documents: Vec<Document>,
    /// What each is called; of those that came.
    pub names: Vec<Option<String>>,
    /// What each is.
    pub parts: Vec<Part>,
    /// Where names stand.
    pub naming: Naming,
    /// Where somebody asked.
    pub asked: Option<Asked>,
    /// The last event of the run.
    last: Option<usize>,
    /// The event by which the run ended: the last one that looks like an end.
    pub end: Option<usize>,
    /// Its name is one that an end would have.
    pub sure_of_end: bool,
}

patterns! {
    BEAT = r"(?i)^(ping|pong|heart_?-?beat(_ack)?|hb|keep_?-?alive|ka|noop|acks?|h)$";
    ANSWER_TO_BEAT = r"(?i)pong|ack";
    READY = r"(?i)connect|ready|welcome|hello|auth|open|init|start|establish|session|join";
    ACCEPTED = r"(?i)(^|[_.:/-])(ack|acknowledged?|accepted|received|queued|result|response|ok)$";
    END = r"(?i)complet|finish|(^|[_.:/-])(done|end|ended|stop|stopped|idle|final|closed?|result|answer|reply)$";
    PROMPT_KEY = r"(?i)prompt|message|text|content|query|question|input|request|code|utterance";
}

impl Course {
    /// Reads the course of `socket`.
    pub fn read(export: &Export, socket: &Entry) -> Course {
        let documents = documents(socket.messages.as_deref().unwrap_or_default());
        let came: Vec<&Document> = documents.iter().filter(|document| !document.sent).collect();
        let naming = Naming::find(&came);
        let names = names(&naming, &documents);
        let parts = vec![Part::Later; documents.len()];
        let mut course =
            Course { documents, names, parts, naming, asked: None, last: None, end: None, sure_of_end: false };
        course.asked = course.find_ask(export, socket);
        course.divide(export);
        if course.one_name_for_several() {
            course.names = names_of(&course);
            course.divide(export);
        }
        course
    }

    /// Indices of the documents that are this part.
    pub fn of(&self, part: Part) -> Vec<usize> {
        (0..self.parts.len()).filter(|index| self.parts[*index] == part).collect()
    }

    /// What a document is called, or its text.
    pub fn called(&self, index: usize) -> &str {
        self.names[index]
            .as_deref()
            .or_else(|| self.documents[index].value.as_str())
            .unwrap_or("a frame without a name")
    }

    /// The prompt as it was typed.
    pub fn prompt(&self, export: &Export) -> Option<String> {
        match self.asked.as_ref()? {
            Asked::Message(index, at) => self.documents[*index].value.pointer(at)?.as_str().map(str::to_owned),
            Asked::Request(index, at) => prompts_of(export.entries[*index].body.as_ref()?)
                .into_iter()
                .find_map(|(pointer, text)| (pointer == *at).then_some(text)),
        }
    }

    /// The message or request that most looks like a question; of equal ones the first.
    fn find_ask(&self, export: &Export, socket: &Entry) -> Option<Asked> {
        let mut best: Option<(u32, Asked)> = None;
        let mut offer = |worth: u32, asked: Asked| {
            if worth >= 3 && best.as_ref().is_none_or(|(known, _)| worth > *known) {
                best = Some((worth, asked));
            }
        };
        for (index, document) in self.documents.iter().enumerate().filter(|(_, document)| document.sent) {
            let followed = self.documents[index + 1..].iter().any(|later| !later.sent);
            // A sentence that is no document is asked with only where nothing else is.
            let texts = match document.form {
                Form::Plain => Vec::new(),
                _ => texts(document),
            };
            for (at, text) in texts {
                offer(worth(&at, &text) + u32::from(followed), Asked::Message(index, at));
            }
        }
        let during = |entry: &&Entry| entry.messages.is_none() && entry.at >= socket.at && entry.method != "GET";
        for entry in export.entries.iter().filter(during) {
            let followed = self.documents.iter().any(|later| !later.sent && later.at >= entry.at);
            let index = export.entries.iter().position(|other| std::ptr::eq(other, entry)).expect("one of them");
            for (at, text) in entry.body.as_ref().map(prompts_of).unwrap_or_default() {
                if followed {
                    offer(worth(&at, &text) + 1, Asked::Request(index, at));
                }
            }
        }
        best.map(|(_, asked)| asked)
    }

    /// Says of every document what it is.
    fn divide(&mut self, export: &Export) {
        self.parts.fill(Part::Later);
        let begin = self.begin(export);
        let run_ends = self.next_ask(export, begin);
        let mut last: Option<usize> = None;
        for index in 0..self.documents.len() {
            let asks =
                self.asked.as_ref().is_some_and(|asked| matches!(asked, Asked::Message(ask, _) if *ask == index));
            let beat = !self.documents[index].sent && self.is_beat(index);
            let after_beat =
                last.filter(|last| matches!(self.parts[*last], Part::Beside) && self.may_be_answered(*last));
            self.parts[index] = match (self.documents[index].sent, index < begin) {
                _ if asks => Part::Ask,
                _ if beat => Part::Beside,
                (true, _) if let Some(last) = after_beat.or_else(|| self.beat_answered_by(index)) => Part::Beat(last),
                (true, true) => Part::Sent,
                (false, true) => Part::Greeting,
                _ if index >= run_ends => Part::Later,
                (false, false) => Part::Event,
                (true, false) => match last.filter(|last| self.parts[*last] == Part::Event) {
                    Some(last) => Part::Reply(last),
                    None => Part::Later,
                },
            };
            last = Some(index);
        }
        self.settle_greetings(begin);
        self.settle_run();
    }

    /// The index of the first document after the ask; everything lies before it if nobody asked.
    fn begin(&self, export: &Export) -> usize {
        match &self.asked {
            Some(Asked::Message(index, _)) => index + 1,
            Some(Asked::Request(index, _)) => {
                let at = export.entries[*index].at;
                self.documents.iter().position(|document| document.at >= at).unwrap_or(self.documents.len())
            }
            None => self.documents.len(),
        }
    }

    /// The index of the document by which somebody asked again, or behind the last.
    fn next_ask(&self, export: &Export, begin: usize) -> usize {
        let again = match &self.asked {
            Some(Asked::Message(first, at)) => {
                let shape = |index: usize| {
                    let document = &self.documents[index];
                    let places: Vec<String> = leaves(&document.value).into_iter().map(|(place, _)| place).collect();
                    (document.form, places)
                };
                let similar = |index: &usize| {
                    self.documents[*index].sent
                        && self.documents[*index].value.pointer(at).is_some_and(serde_json::Value::is_string)
                        && shape(*index) == shape(*first)
                };
                (begin..self.documents.len()).find(similar)
            }
            Some(Asked::Request(first, _)) => {
                let ask = &export.entries[*first];
                let similar = |entry: &&Entry| {
                    entry.at > ask.at && entry.method == ask.method && entry.url.path() == ask.url.path()
                };
                let at = export.entries.iter().find(similar).map(|entry| entry.at);
                at.and_then(|at| self.documents.iter().position(|document| document.at >= at))
            }
            None => None,
        };
        again.unwrap_or(self.documents.len())
    }

    fn is_beat(&self, index: usize) -> bool {
        match &self.names[index] {
            Some(name) => BEAT.is_match(name),
            // A few letters that are no document.
            None => self.documents[index].value.as_str().is_some_and(|text| text.len() <= 10),
        }
    }

    /// The last frame beside the run that this one answers by its words, though others lie between them.
    fn beat_answered_by(&self, index: usize) -> Option<usize> {
        let answers = texts(&self.documents[index])
            .iter()
            .any(|(at, text)| at.len() < 20 && ANSWER_TO_BEAT.is_match(text) && text.len() < 20);
        let open = |other: &usize| {
            self.parts[*other] == Part::Beside
                && self.may_be_answered(*other)
                && !self.parts[..index].contains(&Part::Beat(*other))
        };
        (0..index).rev().find(open).filter(|_| answers)
    }

    fn may_be_answered(&self, index: usize) -> bool {
        !self.names[index].as_deref().is_some_and(|name| ANSWER_TO_BEAT.is_match(name))
    }

    /// Of what came before the ask, waits only for what something followed or what says that all is ready.
    fn settle_greetings(&mut self, begin: usize) {
        let greetings = self.of(Part::Greeting);
        let mut runs: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for index in greetings {
            let sent_before = self.parts[..index].iter().filter(|part| **part == Part::Sent).count();
            runs.entry(sent_before).or_default().push(index);
        }
        let last_run = runs.keys().next_back().copied();
        for (run, indices) in runs {
            let followed = self.parts[..begin].iter().filter(|part| **part == Part::Sent).count() > run;
            let ready = |index: &&usize| self.names[**index].as_deref().is_some_and(|name| READY.is_match(name));
            let awaited = match (followed, Some(run) == last_run) {
                (true, _) => indices.last(),
                (false, true) => indices.iter().find(ready).or(indices.first()),
                (false, false) => None,
            };
            let awaited = awaited.copied();
            for index in indices {
                if Some(index) != awaited {
                    self.parts[index] = Part::Beside;
                }
            }
        }
    }

    /// Finds the end of the run, and what of it is no event.
    fn settle_run(&mut self) {
        let events = self.of(Part::Event);
        if let [first, rest @ ..] = &events[..] {
            let name = &self.names[*first];
            let alone = rest.iter().all(|index| self.names[*index] != *name);
            let accepted = name.as_deref().is_some_and(|name| ACCEPTED.is_match(name));
            if accepted && alone && rest.len() >= 2 && self.longest_text(*first) < 40 {
                self.parts[*first] = Part::Accepted;
            }
        }
        let events = self.of(Part::Event);
        self.last = events.last().copied();
        let named = |index: &&usize| self.names[**index].as_deref().is_some_and(|name| END.is_match(name));
        let end = events.iter().rev().find(named);
        self.sure_of_end = end.is_some();
        self.end = end.or(events.last()).copied();
        for index in events.into_iter().filter(|index| Some(*index) > self.end) {
            self.parts[index] = Part::Beside;
        }
    }

    fn longest_text(&self, index: usize) -> usize {
        texts(&self.documents[index]).iter().map(|(_, text)| text.len()).max().unwrap_or_default()
    }

    /// Where the name of the run's last event also stands for its first one or for something beside it, tells them apart.
    fn one_name_for_several(&mut self) -> bool {
        let Some(last) = self.last else { return false };
        let Some(name) = self.names[last].clone() else { return false };
        let first = self.of(Part::Event).first().copied();
        // Events within the run may share it: agents below another end as well.
        let other = |index: usize| {
            let apart = matches!(self.parts[index], Part::Greeting | Part::Beside) || Some(index) == first;
            index != last && apart && self.names[index].as_ref() == Some(&name)
        };
        if !(0..self.documents.len()).any(other) {
            return false;
        }
        let came: Vec<Document> = self.documents.iter().filter(|document| !document.sent).cloned().collect();
        self.naming.divide(&name, &came.iter().collect::<Vec<_>>())
    }
}

fn names(naming: &Naming, documents: &[Document]) -> Vec<Option<String>> {
    documents.iter().map(|document| if document.sent { None } else { naming.name(document) }).collect()
}

fn names_of(course: &Course) -> Vec<Option<String>> {
    names(&course.naming, &course.documents)
}

/// Whether an event of this name may end a run.
pub fn looks_final(name: &str) -> bool {
    END.is_match(name)
}

/// Every text of a document.
pub fn texts(document: &Document) -> Vec<(String, String)> {
    let leaves = leaves(&document.value).into_iter();
    leaves.filter_map(|(at, leaf)| Some((at, leaf.as_str()?.to_owned()))).collect()
}

/// Every text that a body carries, with its pointer or field.
fn prompts_of(body: &Body) -> Vec<(String, String)> {
    match body {
        Body::Json(value) => {
            leaves(value).into_iter().filter_map(|(at, leaf)| Some((at, leaf.as_str()?.to_owned()))).collect()
        }
        Body::Form(fields) => fields.clone(),
        Body::Text(..) => Vec::new(),
    }
}

/// How much a text looks like a question: from 3 on it may be one.
fn worth(at: &str, text: &str) -> u32 {
    let words = text.split_whitespace().count();
    let named = PROMPT_KEY.is_match(&key(at));
    match (words, named) {
        (0, _) => 0,
        (1, false) => 0,
        // One word under such a key may as well be the name of something.
        (1, true) => u32::from(text.len() > 1) * 2,
        (2.., _) => 3 + u32::from(named) * 3 + u32::from(words > 3),
    }
}
