//! One logical event in each of the ten envelopes that one backend was seen to use, so that one case is judged in
//! several.
//!
//! What an event says (its kind, agent, tool, ids, answer) is one thing, where a sender puts it another. The envelopes
//! are those of the dossier on netra, with invented values; what an envelope has no place for it leaves out, unless a
//! case asks for it by name, which is a mistake in the case.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value, json};

/// How a sender wraps an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrap {
    /// Flat, with an id of the event and float seconds.
    A,
    /// Ids at the root, the rest in `data`, no thread.
    B,
    /// Flat, with nulls and a request's id.
    C,
    /// All in `payload`, no user.
    D,
    /// All in `data`, with an id of the event.
    E,
    /// Flat, named twice, no run.
    F,
    /// The demo's: short names, what is said in `message`, no user and no thread.
    G,
    /// Named by `event`, no run and no thread.
    H,
    /// A generic wrapper around `data`.
    I,
    /// Short names in `data`, and no id of anything.
    J,
}

/// What an event can say beside its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Agent,
    Tool,
    Call,
    EventId,
    User,
    Thread,
    Run,
    Time,
    Answer,
    Text,
}

/// An event, whoever sends it.
#[derive(Debug, Clone)]
pub struct Logical {
    pub kind: String,
    /// What the case says, which must have a place; `None`: left out.
    pub given: BTreeMap<Part, Option<Value>>,
    /// What is said unless the case says otherwise, where there is a place for it.
    pub usual: BTreeMap<Part, Value>,
    /// Further members, beside what the event is about.
    pub more: Vec<(String, Value)>,
    /// Milliseconds since the case began.
    pub at_ms: u64,
}

impl Wrap {
    pub const ALL: [Wrap; 10] =
        [Wrap::A, Wrap::B, Wrap::C, Wrap::D, Wrap::E, Wrap::F, Wrap::G, Wrap::H, Wrap::I, Wrap::J];

    /// Where a part stands in this envelope: at the root or in the object that holds the rest.
    fn place(self, part: Part) -> Option<(Holder, &'static str)> {
        use Holder::{Inner, Root};
        use Part::*;
        let ids_at_root = matches!(self, Wrap::A | Wrap::B | Wrap::C | Wrap::F | Wrap::G | Wrap::H);
        let ids = if ids_at_root { Root } else { Inner };
        let name = match (self, part) {
            (Wrap::G | Wrap::J, Agent) => "agent",
            (Wrap::H, Agent) => "agent_id",
            (_, Agent) => "agent_name",
            (Wrap::G | Wrap::J, Tool) => "tool",
            (_, Tool) => "tool_name",
            (Wrap::G | Wrap::H | Wrap::J, Call) => return None,
            (_, Call) => "call_id",
            (Wrap::A | Wrap::E, EventId) => "event_id",
            (_, EventId) => return None,
            (Wrap::D | Wrap::G | Wrap::J, User) => return None,
            (_, User) => "user_id",
            (Wrap::B | Wrap::G | Wrap::H | Wrap::J, Thread) => return None,
            (_, Thread) => "thread_id",
            (Wrap::F | Wrap::H | Wrap::J, Run) => return None,
            (_, Run) => "run_id",
            (Wrap::J, Time) => return None,
            (Wrap::I, Time) => return Some((Root, "timestamp")),
            (_, Time) => "timestamp",
            (Wrap::A | Wrap::E | Wrap::F, Answer) => "final_response",
            (Wrap::G | Wrap::H, Answer) => "message",
            (Wrap::I, Answer) => "response",
            (_, Answer) => "result",
            (Wrap::A | Wrap::D, Text) => "thought",
            (Wrap::C, Text) => "reasoning",
            (_, Text) => "message",
        };
        let holder = match (self, part) {
            // The bridge has names and ids at the root, and what the event is about in `data`.
            (Wrap::B, Tool | Call | Answer | Text) => Inner,
            _ => ids,
        };
        Some((holder, name))
    }

    fn inner(self) -> Option<&'static str> {
        match self {
            Wrap::A | Wrap::C | Wrap::F | Wrap::G | Wrap::H => None,
            Wrap::D => Some("payload"),
            Wrap::B | Wrap::E | Wrap::I | Wrap::J => Some("data"),
        }
    }

    /// The target's time as this sender writes it.
    fn time(self, at_ms: u64) -> Value {
        let (second, milli) = (at_ms / 1_000, at_ms % 1_000);
        let clock = format!("2025-09-07T{:02}:{:02}:{:02}", 10 + second / 3_600, second / 60 % 60, second % 60);
        match self {
            Wrap::B => json!(format!("{clock}.{milli:03}+00:00")),
            Wrap::C | Wrap::E => json!(format!("{clock}.{milli:03}Z")),
            Wrap::G | Wrap::H => json!(format!("{clock}.{milli:03}000")),
            _ => json!(1_757_239_200.0 + at_ms as f64 / 1_000.0),
        }
    }

    /// The frame's text.
    ///
    /// # Errors
    /// What the event is given to say and this envelope has no place for.
    pub fn render(self, event: &Logical) -> Result<String, String> {
        let (mut root, mut inner) = (Map::new(), Map::new());
        let name = if self == Wrap::H { "event" } else { "type" };
        root.insert(name.to_owned(), json!(event.kind));
        match self {
            Wrap::C => root.extend([("critical".to_owned(), json!(true)), ("attempt".to_owned(), Value::Null)]),
            Wrap::F => drop(root.insert("event".to_owned(), json!(event.kind))),
            Wrap::I => drop(root.insert("server_id".to_owned(), Value::Null)),
            _ => {}
        }
        let mut put = |part: Part, value: Value| match self.place(part) {
            None => false,
            Some((Holder::Root, name)) => root.insert(name.to_owned(), value).is_none(),
            Some((Holder::Inner, name)) => inner.insert(name.to_owned(), value).is_none(),
        };
        for (part, value) in &event.usual {
            if !event.given.contains_key(part) {
                put(*part, value.clone());
            }
        }
        if !event.given.contains_key(&Part::Time) {
            put(Part::Time, self.time(event.at_ms));
        }
        for (part, value) in &event.given {
            if let Some(value) = value
                && !put(*part, value.clone())
            {
                return Err(format!("envelope {self} has no place for {part:?} of its own"));
            }
        }
        let rest = if self.inner().is_some() { &mut inner } else { &mut root };
        rest.extend(event.more.iter().cloned());
        if self == Wrap::C {
            root.insert("metadata".to_owned(), json!({ "user_tier": "free" }));
        }
        if let Some(name) = self.inner() {
            root.insert(name.to_owned(), Value::Object(inner));
        }
        Ok(Value::Object(root).to_string())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Root,
    Inner,
}

impl fmt::Display for Wrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

#[test]
fn each_envelope_says_what_it_has_a_place_for() {
    let all = [Part::Agent, Part::Tool, Part::Call, Part::EventId, Part::User, Part::Thread, Part::Run, Part::Answer];
    let usual: BTreeMap<Part, Value> = all.iter().map(|part| (*part, json!(format!("{part:?}")))).collect();
    let event = Logical { kind: "k".into(), given: BTreeMap::new(), usual, more: vec![], at_ms: 61_250 };
    let shown: Vec<String> =
        Wrap::ALL.iter().map(|wrap| format!("{wrap} {}", wrap.render(&event).expect("a place"))).collect();
    insta::assert_snapshot!(shown.join("\n"));
    let mut foreign = event.clone();
    foreign.given.insert(Part::User, Some(json!("u-2")));
    assert_eq!(Wrap::D.render(&foreign), Err("envelope D has no place for User of its own".to_owned()));
    foreign.given.insert(Part::User, None);
    assert!(!Wrap::A.render(&foreign).expect("a place").contains("user_id"), "left out where the case says so");
}
