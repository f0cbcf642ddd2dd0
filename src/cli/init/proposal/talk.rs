//! What is said on the socket, as the profile's words: its opening, the script, heartbeats and replies, the ask.

use super::*;

impl Case<'_> {
    /// What happens between the opening of the socket and the ask.
    pub(super) fn connect(&self, page: &mut Page, sent: &Sent) {
        page.gap();
        page.line(0, "connect:");
        let entry = self.socket.number;
        let carries = [
            ("subprotocols", !sent.subprotocols.is_empty()),
            ("headers", !sent.headers.is_empty()),
            ("query", !sent.query.is_empty()),
            ("cookies", !self.socket.cookies.is_empty()),
        ];
        let carries: Vec<&str> = carries.into_iter().filter(|(_, any)| *any).map(|(name, _)| name).collect();
        match carries.is_empty() {
            true => page.comment(2, &format!("Entry {entry} carried nothing that says who comes.")),
            false => page.comment(2, &format!("Entry {entry} opened the socket with {}.", carries.join(" and "))),
        }
        if !self.socket.cookies.is_empty() {
            let names: Vec<&str> = self.socket.cookies.iter().map(|(name, _)| name.as_str()).collect();
            page.comment(2, &format!("Each user brings along the cookies ({}) by itself.", names.join(", ")));
        }
        if !sent.subprotocols.is_empty() {
            page.put(2, "subprotocols:", &Json::from(sent.subprotocols.clone()));
        }
        for (name, pairs) in [("headers", &sent.headers), ("query", &sent.query)] {
            if !pairs.is_empty() {
                let pairs: Map<String, Json> =
                    pairs.iter().map(|(name, value)| (name.clone(), Json::from(value.as_str()))).collect();
                page.put(2, &format!("{name}:"), &Json::Object(pairs));
            }
        }
        if let Some(origin) = self.socket.header("origin") {
            page.put(2, "origin:", &Json::from(escaped(origin)));
        }
        let mut script = Vec::new();
        for index in 0..self.course.parts.len() {
            if matches!(self.course.parts[index], Part::Sent | Part::Greeting) {
                script.push(index);
            }
        }
        if script.is_empty() {
            page.comment(
                2,
                "Nothing that looks like a greeting came before the ask: users ask as soon as the socket is open.",
            );
            // A map without keys would be none.
            page.line(2, "kind: websocket");
            return;
        }
        page.line(2, "script:");
        for index in script {
            let document = &self.course.documents[index];
            if document.sent {
                page.comment(4, &format!("Frame {}, sent.", document.frame));
                self.send(page, 4, "- ", document, &sent.messages[&index]);
                continue;
            }
            let gap = document.at - self.socket.at;
            page.comment(4, &format!("Frame {}, {} after the opening began.", document.frame, millis(gap)));
            page.line(4, "- wait:");
            page.put(8, "when:", &self.matcher(index));
            let captured = self.carried.captured();
            let own = captured.into_iter().filter_map(|captured| match &captured.origin {
                Origin::Frame(frame, pointer) if *frame == document.frame => {
                    let place = Json::from(pointer.as_str());
                    Some((captured.name.clone(), if captured.secret { json!({ "secret": place }) } else { place }))
                }
                _ => None,
            });
            let own: Map<String, Json> = own.collect();
            if !own.is_empty() {
                page.put(8, "capture:", &Json::Object(own));
            }
        }
        page.comment(
            4,
            "TODO: nobody was refused in the export: name the frame that says so, `refused: { event: NAME }` beside `when`.",
        );
    }

    /// `send` or `send_text`.
    fn send(&self, page: &mut Page, indent: usize, lead: &str, document: &Document, woven: &Json) {
        let key = if document.form == Form::Plain { "send_text" } else { "send" };
        page.put(indent, &format!("{lead}{key}:"), woven);
    }

    /// What a document is known by: its name, or its text.
    pub(super) fn matcher(&self, index: usize) -> Json {
        match &self.course.names[index] {
            Some(name) => json!({ "event": name }),
            None => match self.course.documents[index].value.as_str() {
                Some(text) => json!({ "text": escaped(text) }),
                // A document without a name is known by what is simple in it.
                None => {
                    let document = &self.course.documents[index];
                    let simple =
                        leaves(&document.value).into_iter().find(|(_, leaf)| leaf.is_string() || leaf.is_boolean());
                    simple.map_or_else(
                        || json!({ "text": { "contains": "{" } }),
                        |(at, _)| json!({ at: { "exists": true } }),
                    )
                }
            },
        }
    }

    /// Heartbeats, other frames that are no part of a run, and questions of the agent.
    pub(super) fn beside(&self, page: &mut Page, sent: &Sent) {
        let course = &self.course;
        let mut known: Vec<Json> = Vec::new();
        let in_run: BTreeSet<&Option<String>> = course
            .parts
            .iter()
            .zip(&course.names)
            .filter(|(part, _)| **part == Part::Event)
            .map(|(_, name)| name)
            .collect();
        let mut begun = false;
        let mut begin = |page: &mut Page| {
            if !std::mem::replace(&mut begun, true) {
                page.gap();
                page.line(0, "heartbeats:");
            }
        };
        for part in [Part::Beside, Part::Accepted] {
            for index in course.of(part) {
                let when = self.matcher(index);
                // What is an event of a run elsewhere must stay one.
                let event = course.names[index].is_some() && in_run.contains(&course.names[index]);
                if known.contains(&when) || event {
                    continue;
                }
                begin(page);
                let document = &course.documents[index];
                let answer = (0..course.parts.len()).find(|other| course.parts[*other] == Part::Beat(index));
                let why = match (answer, part) {
                    (Some(answer), _) => {
                        format!("Frame {} was answered by frame {}.", document.frame, course.documents[answer].frame)
                    }
                    (None, Part::Accepted) => {
                        format!("Frame {} came first after the ask, and says only that it arrived.", document.frame)
                    }
                    (None, _) => format!("Frame {} came beside the run, and nothing answered it.", document.frame),
                };
                page.comment(2, &why);
                page.put(2, "- when:", &when);
                if let Some(answer) = answer {
                    self.reply(page, answer, sent);
                }
                known.push(when);
            }
        }
        let mut begun = false;
        for index in 0..course.parts.len() {
            let Part::Reply(question) = course.parts[index] else { continue };
            let when = self.matcher(question);
            if known.contains(&when) {
                continue;
            }
            if !std::mem::replace(&mut begun, true) {
                page.gap();
                page.line(0, "replies:");
            }
            let (asked, answered) = (course.documents[question].frame, course.documents[index].frame);
            page.comment(2, &format!("The agent asked back in frame {asked}, and frame {answered} answered."));
            page.put(2, "- when:", &when);
            self.reply(page, index, sent);
            known.push(when);
        }
    }

    /// `capture` and `reply` of a message that answers another.
    fn reply(&self, page: &mut Page, index: usize, sent: &Sent) {
        let local = &sent.local[&index];
        if !local.is_empty() {
            let capture = local.iter().map(|(name, at)| (name.clone(), Json::from(at.as_str()))).collect();
            page.put(4, "capture:", &Json::Object(capture));
        }
        let key = if self.course.documents[index].form == Form::Plain { "reply_text:" } else { "reply:" };
        page.put(4, key, &sent.messages[&index]);
    }

    /// How the agent is asked.
    pub(super) fn ask(&self, page: &mut Page, sent: &Sent, steps: &Steps) {
        page.gap();
        page.line(0, "ask:");
        match (&self.course.asked, &steps.ask) {
            (Some(Asked::Message(index, prompt)), _) => {
                let document = &self.course.documents[*index];
                let events = self.course.of(Part::Event).len();
                page.comment(
                    2,
                    &format!(
                        "Frame {}: what was typed stands at {prompt}, and {events} events followed.",
                        document.frame,
                    ),
                );
                self.send(page, 2, "", document, &sent.messages[index]);
            }
            (Some(Asked::Request(..)), Some(step)) => {
                let entry = &self.export.entries[step.index];
                let events = self.course.of(Part::Event).len();
                page.comment(2, &format!(
                    "Entry {}, answered with {}, carried what was typed, and {events} events followed on the socket.",
                    entry.number, entry.status,
                ));
                self.step(page, 2, "", step);
            }
            _ => {
                page.comment(2, "TODO: no message and no request of the export looks like a question. Write what your client sends.");
                page.line(2, "send: { type: message, text: \"${prompt}\" }");
            }
        }
        page.comment(
            2,
            "TODO: no ask was refused in the export: name the frame that says so, refused: { event: NAME }",
        );
    }
}

/// A time as people say it.
fn millis(gap: f64) -> String {
    format!("{} ms", gap.max(0.0).round())
}
