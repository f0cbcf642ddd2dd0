//! A home automation: tokens that users brought along, authentication by the first message, commands and their results numbered
//! by the client, and events batched into lists.

use std::io;

use serde_json::{Value, json};

use super::{Together, bent, run};
use crate::support::site::{Site, Talk, Upgrade};

pub(super) const PROFILE: &str = r#"
version: 1
name: home
socket: "WS/api/websocket"
connect:
  script:
    - wait: { when: { event: auth_required }, refused: { event: auth_invalid } }
    - send: { type: auth, access_token: "${user.token}" }
    - wait: { when: { event: auth_ok, /user: "${user.id}" }, capture: { session: { secret: /session } } }
heartbeats:
  - { when: { event: ping }, reply: { id: "${counter}", type: pong, session: "${session:-}" } }
  - { when: { event: result, /success: true } }
ask:
  send: { id: "${counter}", type: assist_pipeline/run, session: "${session}", input: { text: "${prompt}" } }
  refused: { event: result, /success: false }
events:
  split: { at: '' }
  name:
    - run_started: { /event/type: run-start }
      run_step: { /event/type: { matches: '^intent-' } }
      run_ended: { /event/type: run-end }
    - /type
  fields: { agent: /event/data/engine, event_id: /event/seq }
  ids:
    user: { at: /event/context/user_id, is: user.id }
    run: { at: /id, unique: user }
  answer:
    - { when: { event: run_step, /event/type: intent-end }, at: /event/data/response/speech }
"#;

pub(super) const SCENARIO: &str = r#"
version: 1
name: home
target: profile.yaml
users: { count: 2, file: users.csv }
load: { closed: { iterations: 2 } }
ask: { prompt: "Which lamps are on? (ref ${canary})" }
expect:
  events: { start: run_started, steps: { run_step: { min: 2, max: 2 } }, end: run_ended }
  answer: { min_chars: 10, canary: echoed }
timeouts: { quiet: 50ms, stall: 300ms, first_event: 2s, greeting: 300ms }
"#;

pub(super) const USERS: &str = "email,id,token\none@home,u-1,llat-one-4711\ntwo@home,u-2,llat-two-4712\n";

/// What the home does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// It knows nobody's token, and says so while the socket stays open.
    RefusesAll,
    /// It greets everybody as the first user.
    GreetsAnother,
    /// It has no agent, and says so in place of a run.
    NoAgent,
    /// Its list lacks the last event.
    CutList,
    /// The same list comes twice.
    TwiceList,
}

/// One that works.
pub(super) fn healthy() -> crate::support::site::Served {
    healthy_for(Together::default())
}

/// One that works, where those who ask wait for one another like this.
pub(super) fn healthy_for(together: Together) -> crate::support::site::Served {
    for_those(Fault::None, together).serve()
}

fn home(fault: Fault) -> Site {
    for_those(fault, Together::default())
}

fn for_those(fault: Fault, together: Together) -> Site {
    Site::new().upgrade(Upgrade::AcceptNoSubprotocol).talking(move |talk| chat(talk, fault, &together))
}

fn chat(talk: &mut Talk, fault: Fault, together: &Together) -> io::Result<()> {
    talk.json(&json!({"type": "auth_required", "ha_version": "2025.1"}))?;
    let Some(first) = talk.hear()? else { return Ok(()) };
    let first: Value = serde_json::from_str(&first)?;
    let user = match first["access_token"].as_str() {
        Some("llat-one-4711") => "u-1",
        Some("llat-two-4712") => "u-2",
        _ => "",
    };
    if first["type"] != "auth" || user.is_empty() || fault == Fault::RefusesAll {
        return talk.json(&json!({"type": "auth_invalid", "message": "Invalid access token or password"}));
    }
    let greeted = if fault == Fault::GreetsAnother { "u-1" } else { user };
    let session = format!("session-of-{user}");
    talk.json(&json!({"type": "auth_ok", "user": greeted, "session": session}))?;
    talk.json(&json!({"id": 0, "type": "ping"}))?;
    let mut last = 0;
    while let Some(text) = talk.hear()? {
        let command: Value = serde_json::from_str(&text)?;
        // Numbers grow, and each command brings the session it was given.
        let id = command["id"].as_u64().unwrap_or_default();
        if id <= last || (command["session"] != session.as_str() && command["type"] != "pong") {
            talk.json(&json!({"id": id, "type": "result", "success": false, "error": {"code": "id_reuse"}}))?;
            continue;
        }
        last = id;
        if command["type"] != "assist_pipeline/run" {
            continue;
        }
        if fault == Fault::None {
            together.ask();
        }
        if fault == Fault::NoAgent {
            talk.json(&json!({"id": id, "type": "result", "success": false, "error": {"code": "no_agent"}}))?;
            continue;
        }
        let prompt = command["input"]["text"].as_str().unwrap_or_default();
        let event = |seq: u64, kind: &str, data: Value| {
            let event = json!({"type": kind, "seq": seq, "data": data, "context": {"user_id": user}});
            json!({"id": id, "type": "event", "event": event})
        };
        let speech = json!({"response": {"speech": format!("The lamp in the hall is on. You asked: {prompt}")}});
        let mut list = vec![
            event(id * 10 + 2, "intent-start", json!({"engine": "assist"})),
            event(id * 10 + 3, "intent-end", speech),
            event(id * 10 + 4, "run-end", json!({"engine": "assist"})),
        ];
        if fault == Fault::CutList {
            list.pop();
        }
        // What the client asked for is acknowledged together with what it caused.
        let result = json!({"id": id, "type": "result", "success": true});
        talk.json(&json!([result, event(id * 10 + 1, "run-start", json!({"engine": "assist"}))]))?;
        talk.json(&Value::from(list.clone()))?;
        if fault == Fault::TwiceList {
            for event in &mut list {
                event["event"]["seq"] = Value::Null;
            }
            talk.json(&Value::from(list))?;
        }
    }
    Ok(())
}

#[test]
fn a_home_passes_by_its_profile_alone() {
    let report = run(&home(Fault::None).serve(), PROFILE, SCENARIO, &[("users.csv", USERS)], 0);
    assert_eq!(report.failures(), []);
    assert_eq!(report.claim("isolation"), Some("pass"));
    assert_eq!((report.events()["run_step"], report.count("runs_good"), report.count("unread")), (8, 4, 0));
}

#[test]
fn a_home_that_misbehaves_fails_for_that_reason() {
    for (fault, code, failures) in [
        (Fault::RefusesAll, 3, vec![("GP407", 4)]),
        (Fault::GreetsAnother, 1, vec![("GP408", 2)]),
        (Fault::NoAgent, 1, vec![("GP118", 4)]),
        (Fault::CutList, 1, vec![("GP302", 4)]),
        (Fault::TwiceList, 1, vec![("GP103", 4), ("GP104", 8)]),
    ] {
        let report = run(&home(fault).serve(), PROFILE, SCENARIO, &[("users.csv", USERS)], code);
        assert_eq!(report.failures(), failures);
    }
}

#[test]
fn the_session_of_a_frame_stays_out_of_what_is_written() {
    let site = home(Fault::NoAgent).serve();
    let place = crate::support::process::Place::new();
    place.write("profile.yaml", &PROFILE.replace("WS", &site.url().replace("http", "ws")));
    place.write("scenario.yaml", SCENARIO);
    place.write("users.csv", USERS);
    place.run(&["run", "scenario.yaml", "-q", "--out", "out"]).exits(1);
    for file in std::fs::read_dir(place.path().join("out")).expect("a folder") {
        let path = file.expect("a file").path();
        let bytes = std::fs::read(&path).expect("it can be read");
        for secret in ["session-of-u", "llat-one"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} stands in {}", path.display());
        }
    }
}

#[test]
fn a_recording_of_a_home_is_bent() {
    let told = bent(&home(Fault::None).serve(), PROFILE, SCENARIO, &[("users.csv", USERS)], 0);
    assert!(told.starts_with("The recorded scenario notices 26 of 26 faults of a stream"), "{told}");
    // Its lists carry several events, and its ids are small numbers that stand for other things as well.
    for part in ["by GP103: double-run_started", "by GP201: misroute, misroute-end, copy, copy-end", "GP411: garble"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
