//! A legal execution as a judge is told it: several users at once, each in an envelope of its own, run after run.
//!
//! Every run is a supervisor with three sub-agents, their thoughts and tool calls, twenty-two frames with texts and figures of the
//! length that targets send. Nothing in it deviates: it is the common case, which must be cheap. The benchmark of the judge and the
//! test that counts its allocations read the same one.

use std::path::Path;
use std::sync::Arc;

use goldenpath::canary::Canary;
use goldenpath::cli::load::{Loader, Overrides, Unset, Variables};
use goldenpath::expect::Expectations;
use goldenpath::identity::{Connection, ExecutionId, Iteration, UserNumber};
use goldenpath::time::{Micros, Stamp};
use goldenpath::trace::{Content, Dial, Direction, Entry, Fact, Frame, Observed, Phase, StepOutcome};
use serde_json::{Map, Value, json};

/// The execution whose marks the prompts hold.
pub const EXECUTION: ExecutionId = ExecutionId(0x00c0_ffee);

/// What `scenarios/golden_path.yaml` demands of the target `scenarios/targets/netra.yaml`, isolation included.
pub fn expectations() -> Arc<Expectations> {
    let mut loader = Loader::new(&Overrides::default(), Variables::new(), Unset::Warn);
    let loaded = loader.load(Path::new("scenarios/golden_path.yaml")).expect("a scenario without mistakes");
    Arc::new(loaded.expectations())
}

/// How a sender wraps an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// Everything at the root.
    Flat,
    /// Ids at the root, the rest in `data`.
    Split,
    /// At the root, with nulls and metadata, and time as text.
    Nulls,
    /// Everything in `payload`, without the user's id.
    Payload,
    /// Everything in `data`.
    Data,
}

/// Users take them in turn.
pub const ENVELOPES: [Envelope; 5] =
    [Envelope::Flat, Envelope::Split, Envelope::Nulls, Envelope::Payload, Envelope::Data];

/// One user of the execution.
#[derive(Debug, Clone)]
pub struct Sender {
    pub user: UserNumber,
    pub envelope: Envelope,
    run: String,
    thread: String,
    now: Stamp,
    events: u32,
}

/// The whole execution: `users` users, each of whom logs in once and then asks `runs` times.
pub fn entries(users: u32, runs: u32) -> Vec<Entry<'static>> {
    let mut streams: Vec<_> = (1..=users).map(|user| Sender::new(user).stream(runs).into_iter()).collect();
    // One entry of each user after the other, as they come when all are busy at once.
    let mut entries = Vec::new();
    loop {
        let before = entries.len();
        entries.extend(streams.iter_mut().filter_map(Iterator::next));
        if entries.len() == before {
            return entries;
        }
    }
}

/// The texts among `entries` that a target sent.
pub fn texts<'e>(entries: &'e [Entry<'static>]) -> impl Iterator<Item = &'e str> {
    entries.iter().filter_map(|entry| match &entry.observed {
        Observed::Frame(Frame { direction: Direction::Received, content: Content::Text(text), .. }) => Some(&**text),
        _ => None,
    })
}

impl Sender {
    pub fn new(user: u32) -> Sender {
        let envelope = ENVELOPES[user as usize % ENVELOPES.len()];
        let (run, thread, now) = (String::new(), String::new(), Stamp::ZERO);
        Sender { user: UserNumber(user), envelope, run, thread, now, events: 0 }
    }

    /// Login, greeting and `runs` runs, each in an iteration of its own.
    fn stream(mut self, runs: u32) -> Vec<Entry<'static>> {
        let mut entries = self.begin();
        for run in 1..=runs {
            entries.extend(self.ask(run));
            entries.extend(self.events(run));
            self.now = self.now + Micros::from_secs(5);
            entries.push(self.entry(Observed::Quiet(self.now)));
            entries.push(self.fact(Fact::Ended { at: self.now }));
        }
        entries
    }

    /// The first iteration up to the greeting.
    pub fn begin(&mut self) -> Vec<Entry<'static>> {
        let at = self.now;
        let upgraded = Dial::Upgraded { subprotocol: None, echo_fits: true, echo_strict: false };
        let (name, outcome) = ("POST /auth/login".to_owned(), StepOutcome::Good { status: 200 });
        let mut entries: Vec<_> = [
            Fact::Began { iteration: Iteration(1), scheduled: at, at, fresh: true, apart: false },
            Fact::Step { phase: Phase::Login, name, sent: at, done: at, outcome },
            Fact::Captured { name: "user_id".to_owned(), value: self.user_id(), at },
            Fact::Dialed { connection: Connection(1), begun: at, done: at, outcome: upgraded },
        ]
        .map(|fact| self.fact(fact))
        .into();
        let greeting =
            json!({ "type": "connection_established", "user_id": self.user_id(), "connection_id": "c-7f3a" });
        entries.push(self.text(&greeting));
        entries
    }

    /// A further iteration on the same connection, if it is not the first, and its ask.
    pub fn ask(&mut self, run: u32) -> Vec<Entry<'static>> {
        let at = self.now;
        let iteration = Iteration(run);
        let began = (run > 1).then_some(Fact::Began { iteration, scheduled: at, at, fresh: false, apart: false });
        let mark = Canary { execution: EXECUTION.0, user: self.user.0, iteration: run }.encode();
        self.run = format!("run-{:08x}-{run:04}", self.user.0);
        self.thread = format!("7c9e6679-7425-40de-944b-{:08x}{run:04}", self.user.0);
        let asked = Fact::Asked {
            turn: 0,
            at,
            run: Some(self.run.clone()),
            thread: Some(self.thread.clone()),
            prompt: format!("Which services drive our cloud bill, and what should we cut first? (ref {mark})"),
        };
        let ask = json!({ "type": "start_agent" }).to_string();
        let mut entries: Vec<_> = began.into_iter().chain([asked]).map(|fact| self.fact(fact)).collect();
        entries.push(self.frame(Direction::Sent, ask));
        entries
    }

    /// What the target sends of a run.
    fn events(&mut self, run: u32) -> Vec<Entry<'static>> {
        let mark = Canary { execution: EXECUTION.0, user: self.user.0, iteration: run }.encode();
        let mut entries = vec![
            self.text(&json!({ "type": "ack", "received_type": "start_agent", "user_id": self.user_id() })),
            self.event("agent_started", "supervisor", json!({ "message": format!("working on it (ref {mark})") })),
            self.thought("supervisor", 0),
        ];
        for (agent, tools) in [("triage", 0), ("data", 2), ("report", 1)] {
            entries.push(self.event("agent_started", agent, json!({ "message": "handed over by the supervisor" })));
            entries.push(self.thought(agent, 1));
            for tool in 0..tools {
                entries.extend(self.tool(agent, ["cost_lookup", "usage_report"][tool], tool));
                entries.push(self.thought(agent, 2 + tool));
            }
            let result = json!({ "status": "done", "items": 4, "confidence": 0.87 });
            entries.push(self.event("agent_completed", agent, json!({ "result": result, "duration_ms": 1840 })));
        }
        entries.push(self.thought("supervisor", 3));
        let answer = format!(
            "Compute drives your bill: **$1,240 of $2,310** a month, most of it on three idle clusters.\n\n1. Stop \
             `etl-old` at night: saves $310.\n2. Move `search` to smaller nodes: saves $180.\n3. Buy commitments for \
             the rest: saves 22 % of $750.\n\nCut the idle clusters first. (ref {mark})"
        );
        entries.push(self.event("agent_completed", "supervisor", json!({ "final_response": answer, "success": true })));
        entries
    }

    /// One more thought of `agent`.
    pub fn thought(&mut self, agent: &str, step: usize) -> Entry<'static> {
        let thoughts = [
            "The question is about cost, so the bill of the last three months is needed before anything else.",
            "Looking for the services with the largest share, and for those that grew since last quarter.",
            "Compute takes 54 % of the bill; storage and traffic are small beside it. Checking which clusters run idle at \
             night, and whether anything depends on them.",
            "Three clusters run at 4 % load between 20:00 and 06:00. Stopping them saves most; \"etl-old\" has no readers.",
        ];
        let more = json!({ "thought": thoughts[step % 4], "step_number": step + 1, "total_steps": 4 });
        self.event("agent_thinking", agent, more)
    }

    /// A call of `tool` and its result.
    pub fn tool(&mut self, agent: &str, tool: &str, number: usize) -> [Entry<'static>; 2] {
        let call = format!("call-{}-{agent}-{number}", self.run);
        let parameters = json!({ "days": 30, "group_by": ["service", "region"], "currency": "USD" });
        let rows: Vec<Value> = ["compute", "storage", "traffic"]
            .map(|service| json!({ "service": service, "usd": 1240.55, "share": 0.54, "trend": [1190, 1204, 1240] }))
            .into();
        let called = json!({ "tool_name": tool, "call_id": call, "parameters": parameters });
        let done = json!({ "tool_name": tool, "call_id": call, "result": { "rows": rows }, "execution_time_ms": 340 });
        [self.event("tool_executing", agent, called), self.event("tool_completed", agent, done)]
    }

    fn event(&mut self, kind: &str, agent: &str, more: Value) -> Entry<'static> {
        self.events += 1;
        let micros = 1_757_239_200_000_000 + self.now.0;
        let (seconds, iso) = (json!(micros as f64 / 1e6), json!(format!("2025-09-07T10:00:{:09.6}Z", 0.0)));
        let mut ids = Map::new();
        if self.envelope != Envelope::Payload {
            ids.insert("user_id".to_owned(), self.user_id().into());
            ids.insert("thread_id".to_owned(), self.thread.clone().into());
        }
        ids.insert("run_id".to_owned(), self.run.clone().into());
        ids.insert("agent_name".to_owned(), agent.into());
        let mut rest = Map::new();
        let Value::Object(more) = more else { unreachable!("events are objects") };
        if matches!(self.envelope, Envelope::Flat | Envelope::Data) {
            rest.insert("event_id".to_owned(), format!("evt-{:08x}-{:06}", self.user.0, self.events).into());
        }
        rest.extend(more);
        let mut root = Map::new();
        root.insert("type".to_owned(), kind.into());
        match self.envelope {
            Envelope::Flat => {
                root.insert("timestamp".to_owned(), seconds);
                root.extend(ids.into_iter().chain(rest));
            }
            Envelope::Split => {
                root.extend(ids);
                root.insert("timestamp".to_owned(), iso);
                root.insert("data".to_owned(), rest.into());
            }
            Envelope::Nulls => {
                root.insert("timestamp".to_owned(), iso);
                root.extend([("critical".to_owned(), json!(true)), ("attempt".to_owned(), Value::Null)]);
                root.extend(rest.into_iter().chain(ids));
                root.insert("request_id".to_owned(), "req-5f0c1d".into());
                root.insert("metadata".to_owned(), json!({ "user_tier": "free", "region": null }));
            }
            Envelope::Payload | Envelope::Data => {
                let name = if self.envelope == Envelope::Data { "data" } else { "payload" };
                ids.extend(rest);
                ids.insert("timestamp".to_owned(), seconds);
                root.insert(name.to_owned(), ids.into());
            }
        }
        self.text(&root.into())
    }

    fn user_id(&self) -> String {
        format!("3fa85f64-5717-4562-b3fc-{:012x}", self.user.0)
    }

    fn text(&mut self, value: &Value) -> Entry<'static> {
        self.frame(Direction::Received, value.to_string())
    }

    fn frame(&mut self, direction: Direction, text: String) -> Entry<'static> {
        let not_before = self.now;
        self.now = self.now + Micros::from_millis(20);
        let (connection, at, content) = (Connection(1), self.now, Content::Text(text.into()));
        self.entry(Observed::Frame(Frame { connection, direction, at, read_at: at, not_before, content }))
    }

    fn fact(&self, fact: Fact) -> Entry<'static> {
        self.entry(Observed::Fact(fact))
    }

    fn entry(&self, observed: Observed<'static>) -> Entry<'static> {
        Entry { user: Some(self.user), observed }
    }
}
