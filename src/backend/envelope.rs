//! From a typed event to JSON on the wire.
//!
//! One function per direction of thought: [`Envelope::event`] for what an agent run says, [`Envelope::control`] for
//! what the connection says. A further dialect is a further variant here and nothing elsewhere. It neither sends nor
//! decides who gets what.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// How the fields of events are wrapped. Greetings and heartbeats follow `Data` and `Payload` and are flat elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Envelope {
    /// Everything beside `type` at the root; `timestamp` in float seconds.
    #[default]
    Flat,
    /// Everything in `data`; `timestamp` as ISO 8601 text.
    Data,
    /// Everything in `payload`; `timestamp` in float seconds.
    Payload,
    /// Ids, agent and ISO `timestamp` at the root, the rest in `data`; no thread.
    Bridge,
    /// Flat, with `critical`, `attempt: null`, `request_id` and `metadata`; thoughts as `reasoning`.
    Emitter,
    /// Flat, with the name in `type` and in `event`; no run and no event id.
    Fallback,
    /// `agent`, `run_id` and a text in `message`; a naive ISO `timestamp`; no user.
    Demo,
    /// Flat, with the name in `event_name`.
    Named,
    /// `data` with all fields between `timestamp`, `server_id` and `correlation_id`.
    Wrapped,
    /// `data` with the agent or the tool, and what it says.
    Nested,
    /// Started and tools as `Bridge`, thinking and completion as `Emitter`.
    Mixed,
}

/// One event of an agent run, before it has a shape.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) user_id: Arc<str>,
    pub(super) thread_id: Arc<str>,
    pub(super) run_id: Arc<str>,
    pub(super) agent_name: Arc<str>,
    pub(super) event_id: String,
    pub(super) at: Timestamp,
    pub(super) body: Body,
    /// A name in place of the body's own.
    pub(super) name: Option<&'static str>,
    /// Fields to set, or (none) to leave out, after all others.
    pub(super) patch: Vec<(&'static str, Option<Value>)>,
}

impl Event {
    /// The name on the wire.
    pub(super) fn kind(&self) -> &'static str {
        self.name.unwrap_or_else(|| self.body.kind())
    }
}

/// What happened in the run.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    Started,
    Thinking { thought: String, step_number: usize, total_steps: usize },
    ToolExecuting { tool_name: String, call_id: String, parameters: Value },
    ToolCompleted { tool_name: String, call_id: String, results: Value, duration_ms: u64 },
    Completed { final_response: String, duration_ms: u64 },
    Stopped { reason: &'static str },
    Error { error: String },
}

impl Body {
    /// The name on the wire.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Body::Started => "agent_started",
            Body::Thinking { .. } => "agent_thinking",
            Body::ToolExecuting { .. } => "tool_executing",
            Body::ToolCompleted { .. } => "tool_completed",
            Body::Completed { .. } => "agent_completed",
            Body::Stopped { .. } => "agent_stopped",
            Body::Error { .. } => "agent_error",
        }
    }

    pub(super) fn ends_run(&self) -> bool {
        matches!(self, Body::Completed { .. } | Body::Stopped { .. } | Body::Error { .. })
    }

    fn fields(&self) -> Map<String, Value> {
        match self {
            Body::Started => object(json!({ "message": "working on it" })),
            Body::Thinking { thought, step_number, total_steps } => {
                object(json!({ "thought": thought, "step_number": step_number, "total_steps": total_steps }))
            }
            Body::ToolExecuting { tool_name, call_id, parameters } => {
                object(json!({ "tool_name": tool_name, "call_id": call_id, "parameters": parameters }))
            }
            Body::ToolCompleted { tool_name, call_id, results, duration_ms } => object(json!({
                "tool_name": tool_name, "call_id": call_id, "results": results, "duration_ms": duration_ms,
                "success": true,
            })),
            Body::Completed { final_response, duration_ms } => {
                object(json!({ "final_response": final_response, "duration_ms": duration_ms, "success": true }))
            }
            Body::Stopped { reason } => object(json!({ "reason": reason })),
            Body::Error { error } => object(json!({ "error": error, "error_code": "AGENT_FAILED" })),
        }
    }
}

/// What a connection says for itself.
#[derive(Debug, Clone)]
pub(super) enum Control<'a> {
    Greeting {
        user_id: &'a str,
        connection_id: &'a str,
        heartbeat_s: f64,
        message_bytes: usize,
    },
    Ping,
    Pong {
        user_id: &'a str,
    },
    HeartbeatAck,
    /// To a message of a type nobody handles.
    Ack {
        user_id: &'a str,
        received_type: &'a str,
    },
    AuthSuccess {
        user_id: &'a str,
    },
    AuthError {
        code: &'static str,
        error: &'a str,
    },
    Error {
        code: &'static str,
        message: &'a str,
    },
}

impl Control<'_> {
    /// The name on the wire.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Control::Greeting { .. } => "connection_established",
            Control::Ping => "ping",
            Control::Pong { .. } => "pong",
            Control::HeartbeatAck => "heartbeat_ack",
            Control::Ack { .. } => "ack",
            Control::AuthSuccess { .. } => "authentication_success",
            Control::AuthError { .. } => "authentication_error",
            Control::Error { .. } => "error_message",
        }
    }
}

impl Envelope {
    /// An event as text.
    pub(super) fn event(self, event: &Event) -> String {
        let mut fields = Map::new();
        fields.insert("timestamp".to_owned(), self.time(event.at));
        for (name, id) in [
            ("event_id", event.event_id.as_str()),
            ("user_id", &event.user_id),
            ("thread_id", &event.thread_id),
            ("run_id", &event.run_id),
            ("agent_name", &event.agent_name),
        ] {
            fields.insert(name.to_owned(), id.into());
        }
        fields.extend(event.body.fields());
        for (name, value) in &event.patch {
            match value {
                Some(value) => drop(fields.insert((*name).to_owned(), value.clone())),
                None => drop(fields.remove(*name)),
            }
        }
        match self {
            Envelope::Flat | Envelope::Data | Envelope::Payload => self.wrap(event.kind(), fields),
            Envelope::Mixed => match event.body {
                Body::Thinking { .. } | Body::Completed { .. } => Envelope::Emitter.dress(event, fields),
                _ => Envelope::Bridge.dress(event, fields),
            },
            other => other.dress(event, fields),
        }
        .to_string()
    }

    /// The fields as the less regular envelopes have them.
    fn dress(self, event: &Event, mut fields: Map<String, Value>) -> Value {
        let kind = event.kind();
        let mut root = Map::new();
        let mut take = |names: &[&str]| -> Map<String, Value> {
            names.iter().filter_map(|name| Some(((*name).to_owned(), fields.remove(*name)?))).collect()
        };
        root.insert(if self == Envelope::Named { "event_name" } else { "type" }.to_owned(), kind.into());
        match self {
            Envelope::Bridge => {
                root.extend(take(&["run_id", "user_id", "agent_name", "timestamp"]));
                drop(take(&["thread_id", "event_id"]));
                root.insert("data".to_owned(), fields.into());
            }
            Envelope::Emitter => {
                drop(take(&["event_id"]));
                if let Some(thought) = take(&["thought"]).remove("thought") {
                    fields.insert("reasoning".to_owned(), thought);
                }
                root.extend(fields);
                let request_id = format!("req-{}", event.run_id);
                root.extend(object(json!({
                    "critical": true, "attempt": null, "request_id": request_id, "metadata": { "user_tier": "free" },
                })));
            }
            Envelope::Fallback => {
                root.insert("event".to_owned(), kind.into());
                drop(take(&["run_id", "event_id"]));
                root.extend(fields);
            }
            Envelope::Demo => {
                let mut agent = take(&["agent_name"]);
                root.extend(agent.remove("agent_name").map(|name| ("agent".to_owned(), name)));
                root.extend(take(&["timestamp", "run_id", "tool_name", "success", "status"]));
                let mut said = take(&["final_response", "thought", "message"]);
                let text = ["final_response", "thought", "message"].iter().find_map(|name| said.remove(*name));
                root.extend(text.map(|text| ("message".to_owned(), text)));
            }
            Envelope::Wrapped => {
                root.extend(take(&["timestamp"]));
                root.insert("data".to_owned(), fields.into());
                root.insert("server_id".to_owned(), "backend-1".into());
                root.insert("correlation_id".to_owned(), event.event_id.as_str().into());
            }
            Envelope::Nested => {
                let who = take(&["tool_name", "agent_name"]);
                let of_tool = who.contains_key("tool_name");
                let name = who.into_iter().find(|(name, _)| !of_tool || name == "tool_name");
                root.extend(take(&["user_id", "timestamp"]));
                drop(take(&["thread_id", "event_id"]));
                let key = if of_tool { "tool" } else { "agent" };
                fields.extend(name.map(|(_, name)| (key.to_owned(), name)));
                root.insert("data".to_owned(), fields.into());
            }
            _ => root.extend(fields),
        }
        root.into()
    }

    /// A message of the connection itself as text. Acknowledgements, errors and the results of authentication stay
    /// flat whatever the envelope, as backends have it that wrap their events.
    pub(super) fn control(self, control: &Control<'_>, now: Timestamp) -> String {
        let flat = |fields: Value| Envelope::Flat.wrap(control.kind(), object(fields)).to_string();
        let wrapped = |fields: Value| self.wrap(control.kind(), object(fields)).to_string();
        let time = self.time(now);
        let flat_time = Envelope::Flat.time(now);
        match control {
            Control::Greeting { user_id, connection_id, heartbeat_s, message_bytes } => wrapped(json!({
                "user_id": user_id, "connection_id": connection_id, "timestamp": time,
                "config": { "heartbeat_interval": heartbeat_s, "max_message_size": message_bytes },
            })),
            Control::Ping | Control::HeartbeatAck => wrapped(json!({ "timestamp": time })),
            Control::Pong { user_id } => wrapped(json!({ "timestamp": time, "user_id": user_id })),
            Control::Ack { user_id, received_type } => flat(json!({
                "received_type": received_type, "timestamp": flat_time, "user_id": user_id, "status": "acknowledged",
            })),
            Control::AuthSuccess { user_id } => {
                flat(json!({ "event": "auth_success", "user_id": user_id, "timestamp": flat_time }))
            }
            Control::AuthError { code, error } => flat(json!({
                "event": "auth_failed", "error": error, "error_code": code, "timestamp": flat_time,
                "retry_allowed": true,
            })),
            Control::Error { code, message } => flat(json!({
                "error_code": code, "error_message": message, "details": {}, "timestamp": flat_time,
                "recovery_suggestions": [],
            })),
        }
    }

    fn wrap(self, kind: &str, fields: Map<String, Value>) -> Value {
        let mut root = Map::with_capacity(fields.len() + 1);
        root.insert("type".to_owned(), kind.into());
        match self {
            Envelope::Data => drop(root.insert("data".to_owned(), fields.into())),
            Envelope::Payload => drop(root.insert("payload".to_owned(), fields.into())),
            _ => root.extend(fields),
        }
        root.into()
    }

    fn time(self, at: Timestamp) -> Value {
        match self {
            Envelope::Data | Envelope::Bridge | Envelope::Emitter | Envelope::Mixed | Envelope::Wrapped => {
                format!("{at:.6}").into()
            }
            Envelope::Demo => format!("{at:.6}").trim_end_matches('Z').into(),
            // Microseconds of this century fit a float exactly enough: 2^53 µs are 285 years.
            _ => (at.as_microsecond() as f64 / 1e6).into(),
        }
    }
}

/// Events in one frame, grouped by their kinds as queues do that are flushed at times.
pub(super) fn batch(user_id: &str, batch_id: String, events: &[(&'static str, String)]) -> String {
    let mut grouped = Map::new();
    for (kind, event) in events {
        let event: Value = serde_json::from_str(event).unwrap_or_default();
        let group = grouped.entry(*kind).or_insert_with(|| json!([]));
        if let Value::Array(group) = group {
            group.push(event);
        }
    }
    let size = events.len();
    let batch = json!({
        "type": "event_batch", "user_id": user_id, "batch_id": batch_id, "events": grouped, "batch_size": size,
    });
    batch.to_string()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => unreachable!("fields are written as objects, not {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(body: Body) -> Event {
        Event {
            user_id: "u-1".into(),
            thread_id: "t-1".into(),
            run_id: "r-1".into(),
            agent_name: "advisor".into(),
            event_id: "e-1".to_owned(),
            at: Timestamp::from_microsecond(1_757_239_201_250_000).unwrap(),
            body,
            name: None,
            patch: Vec::new(),
        }
    }

    #[test]
    fn a_flat_event_has_everything_at_the_root() {
        let call = Body::ToolExecuting {
            tool_name: "cost_lookup".to_owned(),
            call_id: "c-1".to_owned(),
            parameters: json!({ "days": 30 }),
        };
        assert_eq!(
            Envelope::Flat.event(&event(call)),
            r#"{"type":"tool_executing","timestamp":1757239201.25,"event_id":"e-1","user_id":"u-1","thread_id":"t-1","run_id":"r-1","agent_name":"advisor","tool_name":"cost_lookup","call_id":"c-1","parameters":{"days":30}}"#
        );
    }

    #[test]
    fn a_data_event_has_everything_in_data_and_iso_time() {
        let done = Body::Completed { final_response: "cut \"it\"".to_owned(), duration_ms: 80 };
        assert_eq!(
            Envelope::Data.event(&event(done)),
            r#"{"type":"agent_completed","data":{"timestamp":"2025-09-07T10:00:01.250000Z","event_id":"e-1","user_id":"u-1","thread_id":"t-1","run_id":"r-1","agent_name":"advisor","final_response":"cut \"it\"","duration_ms":80,"success":true}}"#
        );
    }

    #[test]
    fn a_payload_event_has_everything_in_payload() {
        let thought = Body::Thinking { thought: "hm".to_owned(), step_number: 1, total_steps: 2 };
        assert_eq!(
            Envelope::Payload.event(&event(thought)),
            r#"{"type":"agent_thinking","payload":{"timestamp":1757239201.25,"event_id":"e-1","user_id":"u-1","thread_id":"t-1","run_id":"r-1","agent_name":"advisor","thought":"hm","step_number":1,"total_steps":2}}"#
        );
    }

    #[test]
    fn the_less_regular_envelopes_have_their_fields_where_they_belong() {
        let call = || Body::ToolExecuting {
            tool_name: "cost_lookup".to_owned(),
            call_id: "c-1".to_owned(),
            parameters: json!({}),
        };
        let done = || Body::Completed { final_response: "cut it".to_owned(), duration_ms: 80 };
        for (envelope, body, expected) in [
            (
                Envelope::Bridge,
                call(),
                r#"{"type":"tool_executing","run_id":"r-1","user_id":"u-1","agent_name":"advisor","timestamp":"2025-09-07T10:00:01.250000Z","data":{"tool_name":"cost_lookup","call_id":"c-1","parameters":{}}}"#,
            ),
            (
                Envelope::Emitter,
                done(),
                r#"{"type":"agent_completed","timestamp":"2025-09-07T10:00:01.250000Z","user_id":"u-1","thread_id":"t-1","run_id":"r-1","agent_name":"advisor","final_response":"cut it","duration_ms":80,"success":true,"critical":true,"attempt":null,"request_id":"req-r-1","metadata":{"user_tier":"free"}}"#,
            ),
            (
                Envelope::Fallback,
                Body::Started,
                r#"{"type":"agent_started","event":"agent_started","timestamp":1757239201.25,"user_id":"u-1","thread_id":"t-1","agent_name":"advisor","message":"working on it"}"#,
            ),
            (
                Envelope::Demo,
                done(),
                r#"{"type":"agent_completed","agent":"advisor","timestamp":"2025-09-07T10:00:01.250000","run_id":"r-1","success":true,"message":"cut it"}"#,
            ),
            (
                Envelope::Named,
                Body::Started,
                r#"{"event_name":"agent_started","timestamp":1757239201.25,"event_id":"e-1","user_id":"u-1","thread_id":"t-1","run_id":"r-1","agent_name":"advisor","message":"working on it"}"#,
            ),
            (
                Envelope::Wrapped,
                Body::Started,
                r#"{"type":"agent_started","timestamp":"2025-09-07T10:00:01.250000Z","data":{"event_id":"e-1","user_id":"u-1","thread_id":"t-1","run_id":"r-1","agent_name":"advisor","message":"working on it"},"server_id":"backend-1","correlation_id":"e-1"}"#,
            ),
            (
                Envelope::Nested,
                call(),
                r#"{"type":"tool_executing","user_id":"u-1","timestamp":1757239201.25,"data":{"run_id":"r-1","call_id":"c-1","parameters":{},"tool":"cost_lookup"}}"#,
            ),
        ] {
            let found: Value = serde_json::from_str(&envelope.event(&event(body))).unwrap();
            let expected: Value = serde_json::from_str(expected).unwrap();
            assert_eq!(found, expected, "{envelope:?}");
        }
        assert_eq!(Envelope::Mixed.event(&event(call())), Envelope::Bridge.event(&event(call())));
        assert_eq!(Envelope::Mixed.event(&event(done())), Envelope::Emitter.event(&event(done())));
    }

    #[test]
    fn a_patch_comes_last_and_a_name_beats_the_bodys() {
        let mut event = event(Body::Started);
        event.name = Some("reasoning");
        event.patch = vec![("user_id", None), ("message", Some(Value::Null)), ("level", Some(3.into()))];
        let text = Envelope::Flat.event(&event);
        let found: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&found["type"], &found["message"], &found["level"]),
            (&json!("reasoning"), &Value::Null, &json!(3))
        );
        assert!(found.get("user_id").is_none());
    }

    #[test]
    fn an_ack_stays_flat_in_every_envelope() {
        let now = Timestamp::from_second(1_757_239_201).unwrap();
        let ack = Control::Ack { user_id: "u-1", received_type: "foo" };
        let text = Envelope::Flat.control(&ack, now);
        assert_eq!(
            text,
            r#"{"type":"ack","received_type":"foo","timestamp":1757239201.0,"user_id":"u-1","status":"acknowledged"}"#
        );
        assert_eq!(Envelope::Data.control(&ack, now), text);
        assert_eq!(Envelope::Payload.control(&ack, now), text);
    }

    #[test]
    fn a_greeting_follows_the_envelope() {
        let now = Timestamp::from_second(1_757_239_201).unwrap();
        let greeting =
            Control::Greeting { user_id: "u-1", connection_id: "conn_1", heartbeat_s: 25.0, message_bytes: 8192 };
        assert_eq!(
            Envelope::Data.control(&greeting, now),
            r#"{"type":"connection_established","data":{"user_id":"u-1","connection_id":"conn_1","timestamp":"2025-09-07T10:00:01.000000Z","config":{"heartbeat_interval":25.0,"max_message_size":8192}}}"#
        );
    }
}
