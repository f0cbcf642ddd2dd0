//! From a typed event to JSON on the wire.
//!
//! One function per direction of thought: [`Envelope::event`] for what an agent run says, [`Envelope::control`] for
//! what the connection says. A further dialect is a further variant here and nothing elsewhere. It neither sends nor
//! decides who gets what.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// How the fields of events, greetings and heartbeats are wrapped. Their names are the same in all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Envelope {
    /// Everything beside `type` at the root; `timestamp` in float seconds.
    #[default]
    Flat,
    /// Everything in `data`; `timestamp` as ISO 8601 text.
    Data,
    /// Everything in `payload`; `timestamp` in float seconds.
    Payload,
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
        }
    }

    pub(super) fn ends_run(&self) -> bool {
        matches!(self, Body::Completed { .. } | Body::Stopped { .. })
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
        self.wrap(event.body.kind(), fields)
    }

    /// A message of the connection itself as text. Acknowledgements, errors and the results of authentication stay
    /// flat whatever the envelope, as backends have it that wrap their events.
    pub(super) fn control(self, control: &Control<'_>, now: Timestamp) -> String {
        let flat = |fields: Value| Envelope::Flat.wrap(control.kind(), object(fields));
        let wrapped = |fields: Value| self.wrap(control.kind(), object(fields));
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

    fn wrap(self, kind: &str, fields: Map<String, Value>) -> String {
        let mut root = Map::with_capacity(fields.len() + 1);
        root.insert("type".to_owned(), kind.into());
        match self {
            Envelope::Flat => root.extend(fields),
            Envelope::Data => drop(root.insert("data".to_owned(), fields.into())),
            Envelope::Payload => drop(root.insert("payload".to_owned(), fields.into())),
        }
        Value::Object(root).to_string()
    }

    fn time(self, at: Timestamp) -> Value {
        match self {
            Envelope::Data => format!("{at:.6}").into(),
            // Microseconds of this century fit a float exactly enough: 2^53 µs are 285 years.
            Envelope::Flat | Envelope::Payload => (at.as_microsecond() as f64 / 1e6).into(),
        }
    }
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
