//! The backend as clients meet it: raw HTTP and WebSockets over loopback, on ports the system picks.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::journal::{Entry, Outcome};
use super::*;

const FIVE: [&str; 5] = ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"];

/// No answer for so long means there will be none.
const PATIENCE: Duration = Duration::from_secs(20);

// ---------------------------------------------------------------------------------------------------------------------
// HTTP

#[tokio::test]
async fn a_login_gives_tokens_and_the_same_user_each_time() {
    let running = start(quick()).unwrap();
    let (status, bundle) = post(&running, "/auth/login", &credentials("a@example.com", DEFAULT_PASSWORD)).await;
    assert_eq!(status, 200);
    assert_eq!((&bundle["token_type"], &bundle["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert_eq!(bundle["user"]["email"], "a@example.com");
    assert!(bundle["access_token"].is_string() && bundle["refresh_token"].is_string());
    let (_, again) = post(&running, "/auth/login", &credentials("a@example.com", DEFAULT_PASSWORD)).await;
    assert_eq!(again["user"], bundle["user"]);
    assert_ne!(again["access_token"], bundle["access_token"]);
}

#[tokio::test]
async fn a_wrong_password_is_401_and_a_missing_field_422() {
    let running = start(quick()).unwrap();
    let (status, problem) = post(&running, "/auth/login", &credentials("a@example.com", "wrong")).await;
    assert_eq!((status, problem), (401, json!({"detail": "Invalid credentials"})));
    let (status, problem) = post(&running, "/auth/login", &json!({"email": "a@example.com"})).await;
    assert_eq!((status, &problem["detail"][0]["loc"]), (422, &json!(["body", "password"])));
    assert_eq!(post(&running, "/auth/login", &json!([])).await.0, 422);
    assert_eq!(request(&running, "POST", "/auth/login", None, Some("{broken".to_owned())).await.0, 422);
    assert_eq!(get(&running, "/auth/login", None).await.0, 405);
    assert_eq!(get(&running, "/nowhere", None).await, (404, json!({"detail": "Not Found"})));
}

#[tokio::test]
async fn an_account_can_be_registered_once() {
    let running = start(quick()).unwrap();
    let form = json!({"email": "a@example.com", "password": "mine", "name": "Ann"});
    let (status, bundle) = post(&running, "/auth/register", &form).await;
    assert_eq!((status, &bundle["user"]["name"]), (200, &json!("Ann")));
    assert_eq!(post(&running, "/auth/register", &form).await.0, 409);
    assert_eq!(post(&running, "/auth/register", &credentials("nobody", "x")).await.0, 422);
    assert_eq!(post(&running, "/auth/login", &credentials("a@example.com", "mine")).await.0, 200);
    assert_eq!(post(&running, "/auth/login", &credentials("a@example.com", DEFAULT_PASSWORD)).await.0, 401);
}

#[tokio::test]
async fn an_expired_token_is_refused_over_http_and_at_the_upgrade() {
    let running = start(Options { token_lifetime: Duration::ZERO, ..quick() }).unwrap();
    let user = login(&running, "a@example.com").await;
    let (status, problem) = get(&running, "/api/threads", Some(&user.token)).await;
    assert_eq!((status, &problem["error_code"]), (401, &json!("TOKEN_EXPIRED")));
    let refused = upgrade(&running, "/ws", &bearer_header(&user.token)).await.unwrap_err();
    assert_eq!((refused.0, &refused.1["error_code"]), (401, &json!("TOKEN_EXPIRED")));
}

#[tokio::test]
async fn a_refresh_token_works_once() {
    let running = start(quick()).unwrap();
    let (_, bundle) = post(&running, "/auth/login", &credentials("a@example.com", DEFAULT_PASSWORD)).await;
    let form = json!({"refresh_token": bundle["refresh_token"]});
    let (status, fresh) = post(&running, "/auth/refresh", &form).await;
    assert_eq!((status, fresh.get("user")), (200, None));
    let token = fresh["access_token"].as_str().unwrap();
    assert_eq!(get(&running, "/api/threads", Some(token)).await.0, 200);
    assert_eq!(post(&running, "/auth/refresh", &form).await.0, 401);
    assert_eq!(post(&running, "/auth/refresh", &json!({})).await.0, 422);
}

#[tokio::test]
async fn a_logged_out_token_is_refused() {
    let running = start(quick()).unwrap();
    let user = login(&running, "a@example.com").await;
    assert_eq!(request(&running, "POST", "/auth/logout", Some(&user.token), None).await.0, 200);
    assert_eq!(get(&running, "/api/threads", Some(&user.token)).await.0, 401);
    assert_eq!(request(&running, "POST", "/auth/logout", None, None).await.0, 200);
}

#[tokio::test]
async fn health_names_the_version() {
    let running = start(Options { version: "9.8.7".to_owned(), ..quick() }).unwrap();
    assert_eq!(get(&running, "/health/ready", None).await, (200, json!({"status": "ready", "version": "9.8.7"})));
    assert_eq!(get(&running, "/health/live", None).await.0, 200);
    assert_eq!(get(&running, "/health", None).await.1["status"], "healthy");
}

#[tokio::test]
async fn threads_belong_to_one_user() {
    let running = start(quick()).unwrap();
    let ann = login(&running, "ann@example.com").await;
    let bob = login(&running, "bob@example.com").await;
    let form = json!({"title": "Bills", "metadata": {"k": 1}}).to_string();
    let (status, thread) = request(&running, "POST", "/api/threads", Some(&ann.token), Some(form)).await;
    assert_eq!((status, &thread["title"], &thread["message_count"]), (200, &json!("Bills"), &json!(0)));
    let path = format!("/api/threads/{}", thread["id"].as_str().unwrap());
    let messages = format!("{path}/messages");
    assert_eq!(get(&running, &path, Some(&ann.token)).await, (200, thread));
    assert_eq!(get(&running, "/api/threads", Some(&ann.token)).await.1["total"], 1);
    assert_eq!(get(&running, "/api/threads", Some(&bob.token)).await.1["total"], 0);
    assert_eq!(get(&running, &messages, Some(&ann.token)).await.0, 200);
    for path in [&path, &messages] {
        assert_eq!(get(&running, path, Some(&bob.token)).await.0, 404);
        assert_eq!(get(&running, path, None).await.0, 401);
    }
    assert_eq!(request(&running, "DELETE", &path, Some(&bob.token), None).await.0, 404);
    assert_eq!(request(&running, "DELETE", &path, Some(&ann.token), None).await.0, 200);
    assert_eq!(get(&running, &path, Some(&ann.token)).await.0, 404);
    assert_eq!(get(&running, "/api/threads?limit=0", Some(&ann.token)).await.0, 422);
}

// ---------------------------------------------------------------------------------------------------------------------
// The way to a socket

#[tokio::test]
async fn every_carrier_brings_the_token() {
    let running = start(quick()).unwrap();
    let user = login(&running, "a@example.com").await;
    let token = &user.token;
    let encoded = URL_SAFE_NO_PAD.encode(token);
    let (status, ticket) = request(&running, "POST", "/websocket/ticket", Some(token), None).await;
    assert_eq!((status, &ticket["single_use"]), (200, &json!(true)));
    let ticket = ticket["ticket_id"].as_str().unwrap();

    let protocol = |offer: &str| format!("sec-websocket-protocol: {offer}\r\n");
    for (path, headers, echoed) in [
        ("/ws".to_owned(), bearer_header(token), None),
        ("/ws".to_owned(), protocol(&format!("jwt-auth, jwt.{encoded}")), Some("jwt-auth".to_owned())),
        ("/ws".to_owned(), protocol(&format!("jwt.{token}")), Some(format!("jwt.{token}"))),
        ("/ws".to_owned(), protocol(&format!("bearer, bearer.{token}")), Some("bearer".to_owned())),
        (format!("/ws?token={token}"), String::new(), None),
        (format!("/ws?ticket={ticket}"), String::new(), None),
    ] {
        let (mut client, protocol) = upgrade(&running, &path, &headers).await.unwrap();
        assert_eq!(protocol, echoed, "{path} {headers}");
        let greeting = client.receive().await;
        assert_eq!((&greeting["type"], &greeting["user_id"]), (&json!("connection_established"), &json!(user.id)));
    }
    let refused = upgrade(&running, &format!("/ws?ticket={ticket}"), "").await.unwrap_err();
    assert_eq!(refused.0, 401);
}

#[tokio::test]
async fn a_bad_token_is_refused_before_the_upgrade_with_a_reason() {
    let running = start(quick()).unwrap();
    for (path, headers, code) in [
        ("/ws", bearer_header("not-a-token"), "INVALID_FORMAT"),
        ("/ws", "sec-websocket-protocol: jwt-auth, jwt.!!!\r\n".to_owned(), "INVALID_FORMAT"),
        ("/ws?ticket=tk_unknown", String::new(), "VALIDATION_FAILED"),
    ] {
        let (status, problem) = upgrade(&running, path, &headers).await.unwrap_err();
        assert_eq!((status, &problem["error_code"]), (401, &json!(code)), "{path} {headers}");
    }
    assert_eq!(get(&running, "/ws", None).await.0, 426);
}

#[tokio::test]
async fn a_first_message_can_bring_the_token() {
    let running = start(quick()).unwrap();
    let user = login(&running, "a@example.com").await;
    let (mut client, _) = upgrade(&running, "/ws", "").await.unwrap();
    client.send(&json!({"type": "auth", "token": user.token})).await;
    let confirmed = client.receive().await;
    assert_eq!((&confirmed["type"], &confirmed["user_id"]), (&json!("authentication_success"), &json!(user.id)));
    assert_eq!(client.receive().await["type"], "connection_established");
    client.ask("Cut it", "t-1", "r-1").await;
    assert_eq!(client.run().await, FIVE);
}

#[tokio::test]
async fn a_connection_that_does_not_authenticate_is_told_and_closed() {
    let limits = Limits { auth: Duration::from_millis(30), ..Limits::default() };
    let running = start(Options { limits, ..quick() }).unwrap();
    for first in [Some(json!({"type": "auth", "token": "x"})), Some(json!({"type": "ping"})), None] {
        let (mut client, _) = upgrade(&running, "/ws", "").await.unwrap();
        if let Some(first) = &first {
            client.send(first).await;
        }
        assert_eq!(client.receive().await["type"], "authentication_error", "{first:?}");
        assert_eq!(client.closed().await, (1008, "Authentication failed".to_owned()));
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// On the socket

#[tokio::test]
async fn five_events_come_in_order_in_every_envelope() {
    for envelope in [Envelope::Flat, Envelope::Data, Envelope::Payload] {
        let running = start(Options { envelope, ..quick() }).unwrap();
        let user = login(&running, "a@example.com").await;
        let (mut client, _) = upgrade(&running, "/ws", &bearer_header(&user.token)).await.unwrap();
        let inside = |frame: &Value| match envelope {
            Envelope::Data => frame["data"].clone(),
            Envelope::Payload => frame["payload"].clone(),
            _ => frame.clone(),
        };
        let greeting = client.receive().await;
        assert_eq!(greeting["type"], "connection_established");
        assert_eq!(inside(&greeting)["user_id"], json!(user.id));
        assert_eq!(inside(&greeting)["config"]["max_message_size"], 8192);

        client.ask("Which services should we cut first? (ref gp7x9k)", "t-1", "r-1").await;
        let mut seen = Vec::new();
        for kind in FIVE {
            let frame = client.receive().await;
            assert_eq!(frame["type"], kind);
            let event = inside(&frame);
            let ids =
                ["user_id", "thread_id", "run_id", "agent_name"].map(|name| event[name].as_str().unwrap().to_owned());
            assert_eq!(ids, [&*user.id, "t-1", "r-1", "advisor"]);
            assert_eq!(event["timestamp"].is_string(), envelope == Envelope::Data);
            seen.push(event);
        }
        let event_ids: BTreeSet<&str> = seen.iter().map(|event| event["event_id"].as_str().unwrap()).collect();
        assert_eq!(event_ids.len(), 5);
        assert!(seen[1]["thought"].as_str().unwrap().len() > 20);
        assert_eq!((&seen[2]["tool_name"], &seen[2]["call_id"]), (&seen[3]["tool_name"], &seen[3]["call_id"]));
        assert!(seen[2]["parameters"].is_object() && seen[3]["results"].is_object());
        let answer = seen[4]["final_response"].as_str().unwrap();
        assert!(answer.len() >= 200 && answer.ends_with("Reference: gp7x9k"), "{answer}");
        assert_eq!((&seen[4]["success"], seen[4]["duration_ms"].is_u64()), (&json!(true), true));
    }
}

#[tokio::test]
async fn every_way_to_ask_starts_a_run() {
    let running = start(quick()).unwrap();
    let mut client = connected(&running, "a@example.com").await.1;
    for message in [
        json!({"type": "start_agent", "payload": {"user_request": "Cut it"}}),
        json!({"type": "user_message", "payload": {"content": "Cut it", "thread_id": "t-1"}}),
        json!({"type": "chat", "payload": {"message": "Cut it"}}),
        json!({"type": "agent_request", "payload": {"message": "Cut it", "turn_id": "1"}}),
        json!({"type": "chat_message", "content": "Cut it", "run_id": "r-2"}),
        json!({"type": "user_message", "text": "Cut it"}),
    ] {
        client.send(&message).await;
        assert_eq!(client.run().await, FIVE, "{message}");
    }
}

#[tokio::test]
async fn what_is_not_a_request_is_answered_without_a_run() {
    let running = start(quick()).unwrap();
    let (user, mut client) = connected(&running, "a@example.com").await;
    // Who is logged in does not become somebody else, so `auth` is unknown here as well.
    for kind in ["foo", "auth"] {
        client.send(&json!({"type": kind, "token": "x"})).await;
        let ack = client.receive().await;
        assert_eq!((&ack["type"], &ack["received_type"]), (&json!("ack"), &json!(kind)));
    }
    client.send(&json!({"type": "ping", "timestamp": 1})).await;
    let pong = client.receive().await;
    assert_eq!((&pong["type"], &pong["user_id"]), (&json!("pong"), &json!(user.id)));
    client.send(&json!({"type": "heartbeat"})).await;
    assert_eq!(client.receive().await["type"], "heartbeat_ack");
    for (text, code) in [
        ("{broken".to_owned(), "FORMAT_ERROR"),
        ("{\"kind\":1}".to_owned(), "FORMAT_ERROR"),
        (json!({"type": "chat", "payload": {"message": " "}}).to_string(), "VALIDATION_ERROR"),
        (json!({"type": "chat", "message": "x".repeat(8192)}).to_string(), "MESSAGE_TOO_LARGE"),
        (json!({"type": "stop_agent", "payload": {"run_id": "none"}}).to_string(), "RUN_NOT_FOUND"),
    ] {
        client.socket.send(Message::Text(text.into())).await.unwrap();
        let error = client.receive().await;
        assert_eq!((&error["type"], &error["error_code"]), (&json!("error_message"), &json!(code)));
    }
    client.socket.send(Message::Ping(vec![1, 2].into())).await.unwrap();
    assert_eq!(client.message().await, Message::Pong(vec![1, 2].into()));
    client.send(&json!({"type": "disconnect"})).await;
    assert_eq!(client.closed().await, (1000, "client disconnect".to_owned()));
}

#[tokio::test]
async fn a_message_beyond_all_limits_ends_the_connection_with_1009() {
    let running = start(quick()).unwrap();
    let mut client = connected(&running, "a@example.com").await.1;
    // The head of a masked text frame of 2 MiB; what follows it is never read.
    let head = [0x81, 0xff, 0, 0, 0, 0, 0, 0x20, 0, 0, 1, 2, 3, 4];
    client.socket.get_mut().write_all(&head).await.unwrap();
    assert_eq!(client.receive().await["error_code"], "MESSAGE_TOO_LARGE");
    assert_eq!(client.closed().await.0, 1009);
}

#[tokio::test]
async fn pings_come_until_one_is_not_answered() {
    let limits = Limits { pong_grace: Duration::from_millis(480), ..Limits::default() };
    let running = start(Options { heartbeat: Duration::from_millis(20), limits, ..quick() }).unwrap();
    let mut client = connected(&running, "a@example.com").await.1;
    // Thirty intervals, all answered, are longer than interval and grace together.
    for _ in 0..30 {
        assert_eq!(client.receive().await["type"], "ping");
        client.send(&json!({"type": "pong"})).await;
    }
    assert_eq!(client.closed().await, (1008, "heartbeat timeout".to_owned()));
}

#[tokio::test]
async fn every_connection_of_a_user_gets_all_events_and_no_other_user_any() {
    let running = start(Options { threads: 2, ..quick() }).unwrap();
    let (ann, mut first) = connected(&running, "ann@example.com").await;
    let mut second = connect(&running, &ann).await;
    let (bob, mut other) = connected(&running, "bob@example.com").await;
    first.ask("Cut storage (ref ann1)", "t-ann", "r-ann").await;
    other.ask("Cut egress (ref bob1)", "t-bob", "r-bob").await;
    let mut got = [Vec::new(), Vec::new(), Vec::new()];
    for (client, frames) in [&mut first, &mut second, &mut other].into_iter().zip(&mut got) {
        for _ in FIVE {
            frames.push(client.receive().await);
        }
        // Whatever else had been sent by now would come before the answer to this.
        client.send(&json!({"type": "marker"})).await;
        assert_eq!(client.receive().await["received_type"], "marker");
    }
    assert_eq!(got[0], got[1]);
    let owners = |frames: &[Value]| frames.iter().map(|frame| frame["user_id"].clone()).collect::<Vec<_>>();
    assert_eq!(owners(&got[0]), vec![json!(ann.id); 5]);
    assert_eq!(owners(&got[2]), vec![json!(bob.id); 5]);
    assert!(!json!(got[0]).to_string().contains("bob") && !json!(got[2]).to_string().contains("ann"));
}

#[tokio::test]
async fn runs_on_one_connection_interleave_and_each_stays_in_order() {
    // Long enough that the first run is in flight when it is asked for again, however busy the machine is.
    let script = Script { delays: Delays::every(Duration::from_millis(150)), ..Script::default() };
    let running = start(Options { script, ..quick() }).unwrap();
    let mut client = connected(&running, "a@example.com").await.1;
    for run in ["r-1", "r-2", "r-3"] {
        client.ask("Cut it", "t-1", run).await;
    }
    client.ask("Cut it", "t-1", "r-1").await;
    let mut per_run = std::collections::BTreeMap::<String, Vec<String>>::new();
    let mut refused = 0;
    while per_run.values().map(Vec::len).sum::<usize>() < 15 || refused == 0 {
        let frame = client.receive().await;
        match frame["run_id"].as_str() {
            Some(run) => per_run.entry(run.to_owned()).or_default().push(text_of(&frame, "type")),
            None => {
                assert_eq!(frame["error_code"], "RUN_IN_PROGRESS");
                refused += 1;
            }
        }
    }
    assert_eq!(
        per_run.into_iter().collect::<Vec<_>>(),
        ["r-1", "r-2", "r-3"].map(|run| { (run.to_owned(), FIVE.map(str::to_owned).to_vec()) })
    );
}

#[tokio::test]
async fn a_run_can_be_stopped() {
    let running = start(Options { script: endless(), ..quick() }).unwrap();
    let mut client = connected(&running, "a@example.com").await.1;
    client.ask("Cut it", "t-1", "r-1").await;
    assert_eq!(client.receive().await["type"], "agent_started");
    client.send(&json!({"type": "stop_agent", "payload": {"run_id": "r-1"}})).await;
    let stopped = client.receive().await;
    assert_eq!((&stopped["type"], &stopped["run_id"]), (&json!("agent_stopped"), &json!("r-1")));
}

#[tokio::test]
async fn a_thread_remembers_and_its_history_is_complete_when_the_run_is() {
    let running = start(quick()).unwrap();
    let (user, mut client) = connected(&running, "a@example.com").await;
    let mut answers = Vec::new();
    for (prompt, run) in [("Our storage budget is tight (ref one1)", "r-1"), ("And what next? (ref two2)", "r-2")] {
        client.ask(prompt, "t-1", run).await;
        for _ in 0..4 {
            client.receive().await;
        }
        answers.push(text_of(&client.receive().await, "final_response"));
    }
    assert!(answers[1].starts_with("This is turn 2 of our conversation; before, you asked about storage"));
    assert!(answers[1].contains("reference one1") && answers[1].ends_with("Reference: two2"), "{}", answers[1]);

    let (_, history) = get(&running, "/api/threads/t-1/messages", Some(&user.token)).await;
    let messages: Vec<(String, String)> = history["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| (text_of(message, "role"), text_of(&message["content"][0]["text"], "value")))
        .collect();
    let expected = [
        ("user", "Our storage budget is tight (ref one1)"),
        ("assistant", &*answers[0]),
        ("user", "And what next? (ref two2)"),
        ("assistant", &*answers[1]),
    ];
    assert_eq!(messages, expected.map(|(role, text)| (role.to_owned(), text.to_owned())));
    assert_eq!((&history["total"], &history["thread_id"]), (&json!(4), &json!("t-1")));

    let (other, mut intruder) = connected(&running, "b@example.com").await;
    intruder.ask("Tell me more", "t-1", "r-3").await;
    let denied = intruder.receive().await;
    assert_eq!(
        (&denied["error_code"], &denied["error_message"]),
        (&json!("ACCESS_DENIED"), &json!("Access denied to thread"))
    );
    assert_eq!(get(&running, "/api/threads/t-1/messages", Some(&other.token)).await.0, 404);
}

#[tokio::test]
async fn a_reader_that_comes_late_holds_the_run_up_and_loses_nothing() {
    // More than the buffers of both kernel sides hold.
    const THOUGHTS: usize = 40_000;
    let script = Script { thinking_steps: THOUGHTS, delays: Delays::every(Duration::ZERO), ..Script::default() };
    let limits = Limits { outbox_frames: 1, ..Limits::default() };
    let running = start(Options { script, limits, journal: false, ..quick() }).unwrap();
    let (user, mut late) = connected(&running, "a@example.com").await;
    let mut prompt = connect(&running, &user).await;
    late.ask("Cut it", "t-1", "r-1").await;
    let mut ahead = 0;
    while let Ok(frame) = tokio::time::timeout(Duration::from_millis(300), prompt.socket.next()).await {
        assert!(frame.expect("an open connection").unwrap().is_text());
        ahead += 1;
    }
    assert!(ahead < THOUGHTS, "nothing held the run up");
    assert_eq!(late.receive().await["type"], "agent_started");
    for step in 1..=THOUGHTS {
        assert_eq!(late.receive().await["step_number"], step);
        if step >= ahead {
            prompt.receive().await;
        }
    }
    for kind in &FIVE[2..] {
        assert_eq!(late.receive().await["type"], *kind);
    }
}

#[tokio::test]
async fn a_run_goes_on_without_its_connection_and_the_answer_is_in_the_history() {
    let script = Script { delays: Delays::every(Duration::from_millis(5)), ..Script::default() };
    let running = start(Options { script, ..quick() }).unwrap();
    let (user, mut client) = connected(&running, "a@example.com").await;
    client.ask("Cut it", "t-1", "r-1").await;
    assert_eq!(client.receive().await["type"], "agent_started");
    drop(client);
    let history =
        async { while get(&running, "/api/threads/t-1/messages", Some(&user.token)).await.1["total"] != 2 {} };
    tokio::time::timeout(PATIENCE, history).await.expect("an answer in the history");
    let journal = stop(running).await;
    let of_run = |entry: &&Entry| entry.run_id.as_deref() == Some("r-1");
    assert_eq!(journal.iter().filter(of_run).map(|entry| entry.kind).collect::<Vec<_>>(), FIVE);
}

#[tokio::test]
async fn a_hundred_users_at_once_get_their_own_five_events() {
    let running = start(Options { threads: 2, ..quick() }).unwrap();
    let running = std::sync::Arc::new(running);
    let mut users = tokio::task::JoinSet::new();
    for number in 0..100 {
        let running = std::sync::Arc::clone(&running);
        users.spawn(async move {
            let (user, mut client) = connected(&running, &format!("u{number}@example.com")).await;
            let (thread, run) = (format!("t-{number}"), format!("r-{number}"));
            client.ask(&format!("Cut it (ref {number})"), &thread, &run).await;
            for kind in FIVE {
                let event = client.receive().await;
                assert_eq!((&event["type"], &event["user_id"]), (&json!(kind), &json!(user.id)));
                assert_eq!((&event["thread_id"], &event["run_id"]), (&json!(thread), &json!(run)));
            }
        });
    }
    while let Some(user) = users.join_next().await {
        user.unwrap();
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The end, and the journal

#[tokio::test]
async fn stopping_lets_the_run_end_and_closes_with_1001() {
    let script = Script { delays: Delays::every(Duration::from_millis(10)), ..Script::default() };
    let running = start(Options { script, ..quick() }).unwrap();
    let mut client = connected(&running, "a@example.com").await.1;
    client.ask("Cut it", "t-1", "r-1").await;
    assert_eq!(client.receive().await["type"], "agent_started");
    running.drain();
    for kind in &FIVE[1..] {
        assert_eq!(client.receive().await["type"], *kind);
    }
    assert_eq!(client.closed().await, (1001, "server shutdown".to_owned()));
    let address = running.address();
    stop(running).await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn nothing_new_begins_while_the_backend_drains() {
    let running = start(Options { script: endless(), ..quick() }).unwrap();
    let mut client = connected(&running, "a@example.com").await.1;
    client.ask("Cut it", "t-1", "r-1").await;
    assert_eq!(client.receive().await["type"], "agent_started");
    running.drain();
    client.ask("Cut it", "t-1", "r-2").await;
    assert_eq!(client.receive().await["error_code"], "SHUTTING_DOWN");
    client.send(&json!({"type": "stop_agent"})).await;
    assert_eq!(client.receive().await["type"], "agent_stopped");
    assert_eq!(client.closed().await.0, 1001);
}

#[tokio::test]
async fn a_run_that_outlasts_the_drain_is_stopped() {
    let limits = Limits { drain: Duration::from_millis(20), ..Limits::default() };
    let running = start(Options { script: endless(), limits, ..quick() }).unwrap();
    let (_, mut client) = connected(&running, "a@example.com").await;
    client.ask("Cut it", "t-1", "r-1").await;
    assert_eq!(client.receive().await["type"], "agent_started");
    running.drain();
    let stopped = client.receive().await;
    assert_eq!((&stopped["type"], &stopped["reason"]), (&json!("agent_stopped"), &json!("server shutdown")));
    assert_eq!(client.closed().await.0, 1001);
    stop(running).await;
}

#[tokio::test]
async fn the_journal_says_exactly_what_the_clients_received() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let running = start(Options { journal_file: Some(path.clone()), ..quick() }).unwrap();
    let mut received = Vec::new();
    let mut users = Vec::new();
    for number in 0..3 {
        let (user, mut client) = connected_with_greeting(&running, number, &mut received).await;
        let run = format!("r-{number}");
        client.ask("Cut it", &format!("t-{number}"), &run).await;
        client.send(&json!({"type": "ping"})).await;
        for _ in 0..6 {
            received.push((number + 1, client.text().await));
        }
        users.push((user, client));
    }
    // Frames that a client has seen are in the journal before it stops.
    let early = running.journal();
    assert_eq!(early.iter().filter(|entry| entry.connection.is_some()).count(), received.len());

    // The file is brought up to date at the end of every run, for other processes.
    let flushed = async {
        while std::fs::read_to_string(&path).unwrap().matches("\"kind\":\"agent_completed\"").count() < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, flushed).await.expect("three ends of runs in the file");

    let stopping = tokio::task::spawn_blocking(move || running.stop());
    for (_, client) in &mut users {
        assert_eq!(client.closed().await.0, 1001);
    }
    let journal = stopping.await.unwrap();
    assert!(journal.iter().all(|entry| entry.outcome == Outcome::Sent));
    let logins: Vec<_> = journal.iter().filter(|entry| entry.connection.is_none()).map(|entry| entry.kind).collect();
    assert_eq!(logins, ["login"; 3]);
    let of = |connection: u64| -> Vec<&str> {
        journal.iter().filter(|entry| entry.connection == Some(connection)).map(|entry| entry.text.as_str()).collect()
    };
    for (number, (user, _)) in users.iter().enumerate() {
        let connection = number as u64 + 1;
        let seen: Vec<&str> =
            received.iter().filter(|(of, _)| *of == connection).map(|(_, text)| text.as_str()).collect();
        assert_eq!(of(connection), seen);
        let owned = |entry: &&Entry| entry.user_id.as_deref() == Some(&*user.id);
        assert_eq!(journal.iter().filter(owned).count(), seen.len() + 1);
    }

    let lines = std::fs::read_to_string(&path).unwrap();
    let mut written: Vec<String> =
        lines.lines().map(|line| text_of(&serde_json::from_str(line).unwrap(), "text")).collect();
    let mut kept: Vec<String> = journal.iter().map(|entry| entry.text.to_string()).collect();
    written.sort();
    kept.sort();
    assert_eq!(written, kept);
}

#[tokio::test]
async fn without_a_journal_nothing_is_kept() {
    let running = start(Options { journal: false, ..quick() }).unwrap();
    let mut client = connected(&running, "a@example.com").await.1;
    client.ask("Cut it", "t-1", "r-1").await;
    assert_eq!(client.run().await, FIVE);
    drop(client);
    assert_eq!(stop(running).await, []);
}

#[test]
fn a_taken_address_is_an_error() {
    let running = start(quick()).unwrap();
    assert!(start(Options { address: running.address(), ..quick() }).is_err());
    assert!(running.http_url().starts_with("http://127.0.0.1:") && running.socket_url().ends_with("/ws"));
}

#[test]
fn ids_never_repeat_and_keep_their_prefix() {
    let ids = Ids { seed: 7, made: AtomicU64::new(0) };
    let made: BTreeSet<String> = (0..10_000).map(|_| ids.next("e-")).collect();
    assert_eq!(made.len(), 10_000);
    assert!(made.iter().all(|id| id.len() == 18 && id.starts_with("e-")));
}

#[test]
fn hex_keeps_leading_zeros() {
    assert_eq!(hex(&[0, 10, 255]), "000aff");
}

// ---------------------------------------------------------------------------------------------------------------------
// A client of our own, so that nothing of the harness is needed

/// No waits, and a journal.
fn quick() -> Options {
    let script = Script { delays: Delays::every(Duration::ZERO), ..Script::default() };
    Options { script, journal: true, ..Options::default() }
}

/// Starts at once and thinks for ever.
fn endless() -> Script {
    let delays = Delays { thinking: Duration::from_secs(3600), ..Delays::every(Duration::ZERO) };
    Script { delays, ..Script::default() }
}

struct LoggedIn {
    id: String,
    token: String,
}

async fn login(running: &Running, email: &str) -> LoggedIn {
    let (status, bundle) = post(running, "/auth/login", &credentials(email, DEFAULT_PASSWORD)).await;
    assert_eq!(status, 200, "{bundle}");
    LoggedIn { id: text_of(&bundle["user"], "id"), token: text_of(&bundle, "access_token") }
}

async fn connected(running: &Running, email: &str) -> (LoggedIn, Client) {
    let user = login(running, email).await;
    let client = connect(running, &user).await;
    (user, client)
}

async fn connect(running: &Running, user: &LoggedIn) -> Client {
    let (mut client, _) = upgrade(running, "/ws", &bearer_header(&user.token)).await.unwrap();
    client.receive().await;
    client
}

async fn connected_with_greeting(
    running: &Running,
    number: u64,
    received: &mut Vec<(u64, String)>,
) -> (LoggedIn, Client) {
    let user = login(running, &format!("u{number}@example.com")).await;
    let (mut client, _) = upgrade(running, "/ws", &bearer_header(&user.token)).await.unwrap();
    received.push((number + 1, client.text().await));
    (user, client)
}

/// Stopping blocks, and the clients of a test live on the thread it would block.
async fn stop(running: Running) -> Vec<Entry> {
    tokio::task::spawn_blocking(move || running.stop()).await.unwrap()
}

fn credentials(email: &str, password: &str) -> Value {
    json!({ "email": email, "password": password })
}

fn bearer_header(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

fn text_of(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

async fn get(running: &Running, path: &str, token: Option<&str>) -> (u16, Value) {
    request(running, "GET", path, token, None).await
}

async fn post(running: &Running, path: &str, body: &Value) -> (u16, Value) {
    request(running, "POST", path, None, Some(body.to_string())).await
}

async fn request(
    running: &Running,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<String>,
) -> (u16, Value) {
    let authorization = token.map(bearer_header).unwrap_or_default();
    let body = body.unwrap_or_default();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: backend\r\nconnection: close\r\ncontent-length: {}\r\n{authorization}\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(running.address()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let (status, _) = response_head(&mut stream).await;
    (status, response_body(&mut stream).await)
}

struct Client {
    socket: WebSocketStream<TcpStream>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// The client and the subprotocol selected, or status and body of the refusal.
async fn upgrade(running: &Running, path: &str, headers: &str) -> Result<(Client, Option<String>), (u16, Value)> {
    let text = format!(
        "GET {path} HTTP/1.1\r\nhost: backend\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    let mut stream = TcpStream::connect(running.address()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let (status, head) = response_head(&mut stream).await;
    if status != 101 {
        stream.shutdown().await.unwrap();
        return Err((status, response_body(&mut stream).await));
    }
    let header = |name: &str| {
        head.lines().filter_map(|line| line.split_once(": ")).find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    assert_eq!(header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    let protocol = header("sec-websocket-protocol").map(str::to_owned);
    let socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    Ok((Client { socket }, protocol))
}

/// Status and text, read byte by byte so that nothing behind the head is taken.
async fn response_head(stream: &mut TcpStream) -> (u16, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tokio::time::timeout(PATIENCE, stream.read_u8()).await.expect("a response").unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    (head[9..12].parse().unwrap(), head)
}

async fn response_body(stream: &mut TcpStream) -> Value {
    let mut body = Vec::new();
    stream.read_to_end(&mut body).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

impl Client {
    async fn message(&mut self) -> Message {
        let message = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("a message in time");
        message.expect("an open connection").unwrap()
    }

    async fn text(&mut self) -> String {
        match self.message().await {
            Message::Text(text) => text.to_string(),
            other => panic!("not text: {other:?}"),
        }
    }

    async fn receive(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    async fn send(&mut self, message: &Value) {
        self.socket.send(Message::Text(message.to_string().into())).await.unwrap();
    }

    async fn ask(&mut self, prompt: &str, thread_id: &str, run_id: &str) {
        let payload = json!({ "user_request": prompt, "thread_id": thread_id, "run_id": run_id });
        self.send(&json!({ "type": "start_agent", "payload": payload })).await;
    }

    /// The types of the next five frames.
    async fn run(&mut self) -> Vec<String> {
        let mut kinds = Vec::new();
        for _ in FIVE {
            kinds.push(text_of(&self.receive().await, "type"));
        }
        kinds
    }

    /// Code and reason of the close that comes after nothing but heartbeats.
    async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.message().await {
                Message::Close(Some(close)) => {
                    // The reply to it leaves with the next read, which then ends.
                    let _ = tokio::time::timeout(PATIENCE, self.socket.next()).await;
                    return (close.code.into(), close.reason.to_string());
                }
                Message::Text(text) if text.contains("\"ping\"") => {}
                other => panic!("not a close: {other:?}"),
            }
        }
    }
}
