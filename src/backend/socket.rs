//! One connection from its first frame to its close.
//!
//! One task reads and writes; it is the only writer, so the order of an outbox is the order on the wire. It decides
//! nothing about runs beyond starting and stopping them.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{self, Instant};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::agent::{Asker, Ending, Run};
use super::auth::User;
use super::delivery::{Form, Frame, Out};
use super::envelope::Control;
use super::fault::{Chance, Fault, Spec, Strikes};
use super::jwt::Refusal;
use super::threads::Turn;
use super::{Backend, Phase, reached};

/// Time the other side has to answer our close.
pub(super) const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// Longest thread or run id that a client may choose, in bytes.
const LONGEST_ID: usize = 128;

/// Where the text of a request may stand, in its payload; the first that holds text is taken.
const TEXT_POINTERS: [&str; 7] =
    ["/user_request", "/content", "/text", "/message", "/query", "/request/query", "/request/user_request"];

/// Serves a connection until it ends. Without a user the first message must authenticate one.
pub(super) async fn converse(backend: Arc<Backend>, socket: WebSocketStream<TcpStream>, user: Option<User>) {
    let number = backend.delivery.number();
    let mut line = Line { backend, socket, number, user_id: None };
    let user = match user {
        Some(user) => user,
        None => match line.authenticate().await {
            Some(user) => user,
            None => return,
        },
    };
    line.user_id = Some(Arc::clone(&user.id));
    let connection = line.backend.faults.connected(&user.id);
    let mut asker = Asker { user, connection, turn: 0 };
    let user = asker.user.clone();
    let mut outbox = line.backend.delivery.join(&user.id, number);
    let goodbye = line.serve(&mut asker, &mut outbox).await;
    line.backend.delivery.leave(&user.id, number);
    // What came before the end still goes out, unless the other side is gone.
    outbox.close();
    let mut writable = goodbye.is_ok();
    while let Some(out) = outbox.recv().await {
        let Out::Frame(frame) = out else { continue };
        if writable {
            writable = line.send(frame).await.is_ok();
        } else {
            line.backend.delivery.lost(Some(number), &user.id, frame);
        }
    }
    if let (true, Ok(goodbye)) = (writable, goodbye) {
        line.close(goodbye).await;
    }
}

/// The other side cannot be written to any more.
#[derive(Debug)]
struct Gone;

/// How we end a connection ourselves.
#[derive(Debug)]
struct Goodbye {
    code: CloseCode,
    reason: &'static str,
}

struct Line {
    backend: Arc<Backend>,
    socket: WebSocketStream<TcpStream>,
    number: u64,
    user_id: Option<Arc<str>>,
}

/// A request for an agent run.
#[derive(Debug, PartialEq, Eq)]
struct Ask {
    prompt: String,
    thread_id: Option<String>,
    run_id: Option<String>,
}

impl Line {
    /// Waits for the `auth` message and answers it; refuses and closes otherwise.
    async fn authenticate(&mut self) -> Option<User> {
        let patience = self.backend.options.limits.auth;
        let mut phase = self.backend.phase.subscribe();
        let first = tokio::select! {
            first = time::timeout(patience, self.first_text()) => first.unwrap_or(Some(String::new())),
            () = reached(&mut phase, Phase::Closing) => {
                self.close(Goodbye { code: CloseCode::Away, reason: "server shutdown" }).await;
                return None;
            }
        }?;
        let message: Value = serde_json::from_str(&first).unwrap_or_default();
        let admitted = match message.pointer("/token").or_else(|| message.pointer("/payload/token")) {
            Some(Value::String(token)) if message["type"] == "auth" => self.backend.admit(token),
            _ => Err(Refusal::Missing),
        };
        match admitted {
            Ok(user) => {
                self.user_id = Some(Arc::clone(&user.id));
                self.control(&Control::AuthSuccess { user_id: &user.id }).await.ok()?;
                Some(user)
            }
            Err(refusal) => {
                let error = Control::AuthError { code: refusal.code(), error: &refusal.to_string() };
                if self.control(&error).await.is_ok() {
                    self.close(Goodbye { code: CloseCode::Policy, reason: "Authentication failed" }).await;
                }
                None
            }
        }
    }

    /// The first text message; `None` if the connection ended before.
    async fn first_text(&mut self) -> Option<String> {
        while let Some(Ok(message)) = self.socket.next().await {
            match message {
                Message::Text(text) => return Some(text.to_string()),
                Message::Binary(_) => return Some(String::new()),
                _ => {}
            }
        }
        None
    }

    /// Greets, then reads and writes until one side has had enough.
    async fn serve(&mut self, asker: &mut Asker, outbox: &mut mpsc::Receiver<Out>) -> Result<Goodbye, Gone> {
        let backend = Arc::clone(&self.backend);
        let (heartbeat, limits) = (backend.options.heartbeat, &backend.options.limits);
        let mut phase: watch::Receiver<Phase> = backend.phase.subscribe();
        let mut deaf_until = None;
        if backend.faults.any() {
            match self.greet_badly(asker).await? {
                ControlFlow::Break(goodbye) => return Ok(goodbye),
                ControlFlow::Continue(until) => deaf_until = until,
            }
        } else {
            self.greet(&asker.user.id).await?;
        }
        let mut next_ping = Instant::now() + heartbeat;
        let mut pong_due: Option<Instant> = None;
        loop {
            tokio::select! {
                Some(out) = outbox.recv() => match out {
                    Out::Frame(frame) => self.send(frame).await?,
                    Out::End(Ending::Close { code, reason }) => return Ok(Goodbye { code: code.into(), reason }),
                    Out::End(Ending::Cut) => return Err(Gone),
                },
                message = self.socket.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        if let ControlFlow::Break(goodbye) = self.handle(asker, &text, &mut pong_due).await? {
                            return Ok(goodbye);
                        }
                    }
                    Some(Ok(Message::Binary(_))) => self.error("FORMAT_ERROR", "text frames only").await?,
                    // tungstenite answers pings itself, and a close at the next read.
                    Some(Ok(_)) => {}
                    Some(Err(Error::Capacity(_))) => {
                        self.too_large().await?;
                        return Ok(Goodbye { code: CloseCode::Size, reason: "message too large" });
                    }
                    Some(Err(_)) | None => return Err(Gone),
                },
                () = time::sleep_until(next_ping), if !heartbeat.is_zero() => {
                    self.control(&Control::Ping).await?;
                    let now = Instant::now();
                    next_ping = now + heartbeat;
                    pong_due = pong_due.or(Some(now + heartbeat + limits.pong_grace));
                }
                () = time::sleep_until(pong_due.unwrap_or(next_ping)), if pong_due.is_some() => {
                    return Ok(Goodbye { code: CloseCode::Policy, reason: "heartbeat timeout" });
                }
                () = time::sleep_until(deaf_until.unwrap_or(next_ping)), if deaf_until.is_some() => {
                    return Ok(Goodbye { code: CloseCode::Policy, reason: "heartbeat timeout" });
                }
                () = reached(&mut phase, Phase::Closing) => {
                    return Ok(Goodbye { code: CloseCode::Away, reason: "server shutdown" });
                }
            }
        }
    }

    async fn greet(&mut self, user_id: &str) -> Result<(), Gone> {
        let backend = Arc::clone(&self.backend);
        let (heartbeat, limits) = (backend.options.heartbeat, &backend.options.limits);
        self.control(&Control::Greeting {
            user_id,
            connection_id: &backend.ids.next("conn_"),
            heartbeat_s: heartbeat.as_secs_f64(),
            message_bytes: limits.message_bytes,
        })
        .await
    }

    /// Greets as the faults say that strike this connection: the end of it, or until when pongs are not heard.
    async fn greet_badly(&mut self, asker: &Asker) -> Result<ControlFlow<Goodbye, Option<Instant>>, Gone> {
        let backend = Arc::clone(&self.backend);
        let chance = chance(asker);
        let mut greeted_as = asker.user.id.to_string();
        let mut greets = true;
        let mut deaf_until = None;
        let mut again = Vec::new();
        for spec in backend.faults.strike_all(Strikes::Connection, &chance) {
            match spec.fault {
                Fault::NoGreeting => greets = false,
                Fault::GreetingSlow => {
                    self.struck(spec);
                    time::sleep(spec.by).await;
                    continue;
                }
                Fault::GreetingRefused => {
                    greets = false;
                    let error = Control::AuthError { code: "VALIDATION_FAILED", error: "the token was not accepted" };
                    self.control(&error).await?;
                }
                Fault::GreetingForeign => match backend.delivery.another(&asker.user.id) {
                    Some(other) => greeted_as = other.to_string(),
                    None => continue,
                },
                Fault::CloseAtOnce => {
                    self.struck(spec);
                    let code = spec.code.unwrap_or(1011).into();
                    return Ok(ControlFlow::Break(Goodbye { code, reason: "Service not ready" }));
                }
                Fault::Evict => {
                    let ending = Ending::Close { code: 1000, reason: "connection limit" };
                    if !backend.delivery.evict(spec.limit, ending).await {
                        continue;
                    }
                }
                Fault::Ghosts if asker.connection > spec.limit as u64 => {
                    self.struck(spec);
                    let goodbye = Goodbye { code: CloseCode::Policy, reason: "too many connections" };
                    return Ok(ControlFlow::Break(goodbye));
                }
                Fault::DeafToPongs => {
                    self.control(&Control::Ping).await?;
                    deaf_until = Some(Instant::now() + spec.by);
                }
                Fault::UnaskedRun => {
                    let (run, thread) = (backend.ids.next("run_"), backend.ids.next("thread_"));
                    let begun = serde_json::json!({
                        "type": "agent_started", "user_id": greeted_as, "run_id": run, "thread_id": thread,
                        "agent_name": "advisor",
                    });
                    let text = begun.to_string().into();
                    self.send(Frame { kind: "odd", run_id: None, ends_run: false, form: Form::Text, text }).await?;
                }
                Fault::LateReconnect
                | Fault::ReplayDoubled
                | Fault::LeakOnReconnect
                | Fault::ReplayGap
                | Fault::Replayed => {
                    let replayed = self.replay(spec.fault, asker);
                    if replayed.is_empty() {
                        continue;
                    }
                    again.extend(replayed);
                }
                Fault::EarlyLost => while self.spoken_to(spec.by).await? {},
                Fault::EarlyCloses => {
                    if self.spoken_to(spec.by).await? {
                        self.struck(spec);
                        let code = spec.code.unwrap_or(1011).into();
                        return Ok(ControlFlow::Break(Goodbye { code, reason: "need to call accept first" }));
                    }
                }
                Fault::PingFirst => self.control(&Control::Ping).await?,
                Fault::CutUserInGreeting => greeted_as = format!("{}...", &greeted_as[..8.min(greeted_as.len())]),
                Fault::Ghosts => continue,
                other => unreachable!("{other:?} does not strike a connection"),
            }
            self.struck(spec);
        }
        if greets {
            self.greet(&greeted_as).await?;
        }
        for text in again {
            self.send(Frame { kind: "replay", run_id: None, ends_run: false, form: Form::Text, text }).await?;
        }
        Ok(ControlFlow::Continue(deaf_until))
    }

    /// Takes one message within `by` and makes nothing of it; says whether there was one.
    async fn spoken_to(&mut self, by: Duration) -> Result<bool, Gone> {
        match time::timeout(by, self.first_text()).await {
            Ok(Some(_)) => Ok(true),
            Ok(None) => Err(Gone),
            Err(_) => Ok(false),
        }
    }

    /// What a connection after the first hears of runs before it.
    fn replay(&self, fault: Fault, asker: &Asker) -> Vec<Utf8Bytes> {
        let faults = &self.backend.faults;
        if asker.connection < 2 {
            return Vec::new();
        }
        let marked = || faults.said(&asker.user.id).iter().filter_map(|text| recovered(text)).collect();
        match fault {
            Fault::LeakOnReconnect => faults.said_by_another(&asker.user.id),
            Fault::LateReconnect => faults.said(&asker.user.id).pop().into_iter().collect(),
            Fault::Replayed => marked(),
            Fault::ReplayGap => {
                let mut marked: Vec<Utf8Bytes> = marked();
                if marked.len() > 1 {
                    marked.remove(marked.len() / 2);
                }
                marked
            }
            _ => faults.said(&asker.user.id),
        }
    }

    fn struck(&self, spec: &Spec) {
        if let Some(journal) = &self.backend.journal {
            journal.struck(spec, self.user_id.as_ref(), None);
        }
    }

    /// One message of the client.
    async fn handle(
        &mut self,
        asker: &mut Asker,
        text: &str,
        pong_due: &mut Option<Instant>,
    ) -> Result<ControlFlow<Goodbye>, Gone> {
        let user_id = &Arc::clone(&asker.user.id);
        if text.len() > self.backend.options.limits.message_bytes {
            self.too_large().await?;
            return Ok(ControlFlow::Continue(()));
        }
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            self.error("FORMAT_ERROR", "the message is not JSON").await?;
            return Ok(ControlFlow::Continue(()));
        };
        let Some(kind) = message.get("type").and_then(Value::as_str) else {
            self.error("FORMAT_ERROR", "the message has no type").await?;
            return Ok(ControlFlow::Continue(()));
        };
        let payload = message.get("payload").filter(|payload| payload.is_object()).unwrap_or(&message);
        match kind {
            "start_agent" | "execute_agent" | "user_message" | "user" | "user_input" | "message" | "chat_message"
            | "chat" | "agent_request" | "agent" => self.start(asker, payload).await?,
            "stop_agent" => {
                let run_id = payload.get("run_id").and_then(Value::as_str);
                if !self.backend.runs.stop(user_id, run_id, "stopped by the user") {
                    self.error("RUN_NOT_FOUND", "no such run in flight").await?;
                }
            }
            "ping" => self.control(&Control::Pong { user_id }).await?,
            "heartbeat" => self.control(&Control::HeartbeatAck).await?,
            "pong" | "heartbeat_ack" => *pong_due = None,
            "disconnect" => {
                return Ok(ControlFlow::Break(Goodbye { code: CloseCode::Normal, reason: "client disconnect" }));
            }
            received_type => self.control(&Control::Ack { user_id, received_type }).await?,
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Starts a run, or says why not.
    async fn start(&mut self, asker: &mut Asker, payload: &Value) -> Result<(), Gone> {
        let Ask { prompt, thread_id, run_id } = match ask(payload) {
            Ok(ask) => ask,
            Err(advice) => return self.error("VALIDATION_ERROR", advice).await,
        };
        let backend = Arc::clone(&self.backend);
        asker.turn += 1;
        let mut forgets = false;
        if backend.faults.any() {
            match self.mistake(asker).await? {
                ControlFlow::Break(()) => return Ok(()),
                ControlFlow::Continue(forgetful) => forgets = forgetful,
            }
        }
        let user_id = &asker.user.id;
        if !backend.is_serving() {
            return self.error("SHUTTING_DOWN", "server is shutting down").await;
        }
        let thread_id: Arc<str> = thread_id.unwrap_or_else(|| backend.ids.next("thread_")).into();
        let run_id: Arc<str> = run_id.unwrap_or_else(|| backend.ids.next("run_")).into();
        let run = Run::enter(Arc::clone(&backend), Arc::clone(user_id), Arc::clone(&thread_id), Arc::clone(&run_id));
        let Some(run) = run else {
            return self.error("RUN_IN_PROGRESS", "a run of this id is in flight").await;
        };
        let ask = |owner: &Arc<str>| backend.threads.ask(&thread_id, owner, backend.ids.next("msg_"), &run_id, &prompt);
        let turn = ask(user_id).or_else(|denied| {
            let owner = backend.threads.owner(&thread_id).filter(|_| backend.faults.any()).ok_or(denied)?;
            backend.refuses_badly(Fault::OpenDoorThread).ok_or(super::threads::Denied)?;
            ask(&owner)
        });
        match turn {
            Ok(mut turn) => {
                if forgets {
                    turn = Turn { number: 1, earlier: Vec::new() };
                }
                tokio::spawn(run.play(prompt, turn, asker.clone()));
                Ok(())
            }
            Err(super::threads::Denied) => self.error("ACCESS_DENIED", "Access denied to thread").await,
        }
    }

    /// What goes wrong with a request before there is a run: a break if there will be none, else whether the thread is forgotten.
    async fn mistake(&mut self, asker: &Asker) -> Result<ControlFlow<(), bool>, Gone> {
        let backend = Arc::clone(&self.backend);
        let chance = chance(asker);
        let ack = Control::Ack { user_id: &asker.user.id, received_type: "start_agent" };
        let mut forgets = false;
        for spec in backend.faults.strike_all(Strikes::Request, &chance) {
            self.struck(spec);
            let odd =
                |form, text: String| Frame { kind: "odd", run_id: None, ends_run: false, form, text: text.into() };
            match spec.fault {
                Fault::AckFirst => self.control(&ack).await?,
                Fault::AckOnly => {
                    self.control(&ack).await?;
                    return Ok(ControlFlow::Break(()));
                }
                Fault::Silent => return Ok(ControlFlow::Break(())),
                Fault::RequestError => {
                    self.error("AGENT_NOT_FOUND", "no agent is registered").await?;
                    return Ok(ControlFlow::Break(()));
                }
                Fault::Forgetful => forgets = true,
                Fault::Garbage => self.send(odd(Form::Text, "DEBUG run about to start".to_owned())).await?,
                Fault::Binary => self.send(odd(Form::Binary, r#"{"type":"agent_thinking"}"#.to_owned())).await?,
                Fault::BrokenText => self.send(odd(Form::Broken, r#"{"type":"agent_thinking"}"#.to_owned())).await?,
                Fault::Giant => {
                    let text = format!(r#"{{"type":"agent_thinking","state":"{}"}}"#, "x".repeat(2 << 20));
                    self.send(odd(Form::Text, text)).await?;
                }
                Fault::StrayRun => {
                    let (user, run, thread) = (&asker.user.id, backend.ids.next("run_"), backend.ids.next("thread_"));
                    let stray = serde_json::json!({
                        "type": "agent_thinking", "user_id": &**user, "run_id": run, "thread_id": thread,
                        "agent_name": "advisor", "thought": "Where was I?",
                    });
                    self.send(odd(Form::Text, stray.to_string())).await?;
                }
                other => unreachable!("{other:?} does not strike a request"),
            }
        }
        Ok(ControlFlow::Continue(forgets))
    }

    async fn too_large(&mut self) -> Result<(), Gone> {
        self.error("MESSAGE_TOO_LARGE", "the message exceeds the limit").await
    }

    async fn error(&mut self, code: &'static str, message: &str) -> Result<(), Gone> {
        self.control(&Control::Error { code, message }).await
    }

    async fn control(&mut self, control: &Control<'_>) -> Result<(), Gone> {
        let text = self.backend.options.envelope.control(control, Timestamp::now()).into();
        self.send(Frame { kind: control.kind(), run_id: None, ends_run: false, form: Form::Text, text }).await
    }

    /// Writes one frame, with its entries in the journal.
    async fn send(&mut self, frame: Frame) -> Result<(), Gone> {
        let Frame { kind, run_id, ends_run, form, text } = frame;
        let journal = self.backend.journal.as_deref();
        let pending =
            journal.map(|journal| journal.begin(Some(self.number), self.user_id.clone(), run_id, kind, text.clone()));
        let socket = &mut self.socket;
        let write = async {
            match form {
                Form::Text => socket.send(Message::Text(text)).await,
                Form::Binary => socket.send(Message::Binary(text.into())).await,
                Form::Broken => Ok(socket.get_mut().write_all(&broken(&text)).await?),
            }
        };
        let sent = matches!(time::timeout(self.backend.options.limits.write, write).await, Ok(Ok(())));
        if let (Some(journal), Some(pending)) = (journal, pending) {
            journal.settle(pending, if sent { super::journal::Outcome::Sent } else { super::journal::Outcome::Failed });
            if ends_run {
                journal.flush();
            }
        }
        if sent { Ok(()) } else { Err(Gone) }
    }

    /// Closes and gives the other side a moment to agree.
    async fn close(&mut self, goodbye: Goodbye) {
        let Goodbye { code, reason } = goodbye;
        let frame = CloseFrame { code, reason: reason.into() };
        let farewell = async {
            if self.socket.close(Some(frame)).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        };
        // Whoever does not agree in time is left behind.
        let _ = time::timeout(CLOSE_WAIT, farewell).await;
    }
}

/// An unmasked final text frame (RFC 6455 section 5.2) of fewer than 126 bytes, whose last one is not UTF-8.
fn broken(text: &str) -> Vec<u8> {
    let mut payload = text.as_bytes()[..text.len().min(125)].to_vec();
    if let Some(last) = payload.last_mut() {
        *last = 0xff;
    }
    [&[0x81, payload.len() as u8], &payload[..]].concat()
}

/// An event marked as delivered later than it happened.
fn recovered(text: &str) -> Option<Utf8Bytes> {
    let mut event: Value = serde_json::from_str(text).ok()?;
    event.as_object_mut()?.insert("recovered".to_owned(), true.into());
    Some(event.to_string().into())
}

fn chance(asker: &Asker) -> Chance<'_> {
    Chance { email: Some(&asker.user.email), connection: asker.connection, turn: asker.turn, ..Chance::default() }
}

/// What a request asks for, wherever its text stands.
fn ask(payload: &Value) -> Result<Ask, &'static str> {
    let prompt = TEXT_POINTERS
        .iter()
        .filter_map(|pointer| payload.pointer(pointer).and_then(Value::as_str))
        .find(|text| !text.trim().is_empty())
        .ok_or("Please enter a message")?;
    Ok(Ask { prompt: prompt.to_owned(), thread_id: id(payload, "thread_id")?, run_id: id(payload, "run_id")? })
}

fn id(payload: &Value, name: &str) -> Result<Option<String>, &'static str> {
    match payload.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) if id.is_empty() => Ok(None),
        Some(Value::String(id)) if id.len() <= LONGEST_ID => Ok(Some(id.clone())),
        Some(_) => Err("thread_id and run_id must be strings of at most 128 bytes"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_text_of_a_request_is_found_under_every_key() {
        for payload in [
            json!({"user_request": "x"}),
            json!({"content": "x"}),
            json!({"text": "x"}),
            json!({"message": "x"}),
            json!({"content": " ", "text": "x"}),
            json!({"request": {"query": "x"}}),
            json!({"request": {"user_request": "x"}}),
        ] {
            assert_eq!(ask(&payload).map(|ask| ask.prompt).as_deref(), Ok("x"), "{payload}");
        }
        assert_eq!(ask(&json!({"content": 5})), Err("Please enter a message"));
    }

    #[test]
    fn ids_may_be_missing_but_not_of_another_type_or_too_long() {
        let given = ask(&json!({"text": "x", "thread_id": "t", "run_id": null})).unwrap();
        assert_eq!((given.thread_id.as_deref(), given.run_id), (Some("t"), None));
        assert!(ask(&json!({"text": "x", "run_id": 7})).is_err());
        assert!(ask(&json!({"text": "x", "run_id": "r".repeat(129)})).is_err());
    }
}
