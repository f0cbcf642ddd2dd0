//! A notebook kernel: a browser's login, and messages that say by header, channel and content together what they are.

use std::io;

use serde_json::{Value, json};

use super::{Together, bent, run};
use crate::support::site::{Site, Talk, Upgrade};

pub(super) const PROFILE: &str = r#"
version: 1
name: kernel
http: { base: "HTTP" }
socket: "WS/api/kernels/${kernel}/channels"
login:
  - get: /login
    capture: { xsrf: { cookie: _xsrf } }
  - post: /login
    form: { user: "${user.email}", password: "${user.password}", _xsrf: "${xsrf}" }
    expect: { status: 302, headers: { Location: /tree } }
prepare:
  - post: /api/sessions
    headers: { X-XSRFToken: "${xsrf}" }
    json: { name: "${thread_id}", type: notebook }
    expect: { status: 201, when: { /kernel/owner: "${user.email}" } }
    capture: { kernel: /kernel/id, session: [/session/id, /id] }
connect:
  script:
    - wait: { when: { event: kernel_ready } }
ask:
  send:
    channel: shell
    header: { msg_id: "${run_id}", msg_type: execute_request, session: "${session}" }
    parent_header: {}
    content: { code: "${prompt}", silent: false }
heartbeats:
  - { when: { /header/msg_type: [execute_input, comm_open] } }
events:
  name:
    kernel_ready: { /header/msg_type: status, /content/execution_state: starting }
    run_started: { /header/msg_type: status, /content/execution_state: busy, /channel: iopub }
    run_output:
      - { /header/msg_type: stream, /content/name: stdout }
      - { /header/msg_type: [execute_result, display_data] }
    run_idle: { /header/msg_type: status, /content/execution_state: idle }
    run_replied: { /channel: shell, /header/msg_type: { matches: '_reply$' } }
  ids:
    user: { at: /metadata/user, is: user.email }
    run: { at: /parent_header/msg_id, source: chosen }
  ends:
    good: [{ event: run_replied, /content/status: ok }, { event: run_idle }]
    bad: [{ event: kernel_died }]
  failed: [{ /header/msg_type: error }]
  answer:
    - { when: { event: run_output }, at: [/content/text, /content/data/text~1plain], append: true }
finally:
  - { delete: "/api/sessions/${session}", headers: { X-XSRFToken: "${xsrf}" }, expect: { status: 204 } }
"#;

pub(super) const SCENARIO: &str = r#"
version: 1
name: kernel
target: profile.yaml
users: { count: 2, email: "qa${user.number}@example.com", password: { env: PASSWORD, on_loopback: golden-path } }
ask: { prompt: "Which services drive our cloud bill? (ref ${canary})" }
expect:
  events: { start: run_started, steps: { run_output: { min: 2 } }, end: [run_idle, run_replied], order: strict }
  answer: { min_chars: 20, all_of: ['1200', 'dollars'] }
timeouts: { quiet: 50ms, stall: 300ms, first_event: 2s }
"#;

/// What the kernel does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// It forgets the mark of its form.
    NoMark,
    NeverIdle,
    /// It replies that the code failed, and becomes idle all the same.
    ReplyFails,
    /// It tells of an error within, and replies that all is well.
    ErrorWithin,
    /// Its messages are answers to somebody else's, and say so.
    Misrouted,
    /// Output of one run comes after both ends.
    Late,
}

const XSRF: &str = "2|4d\"f0|x+y/z==";

/// One that works.
pub(super) fn healthy() -> crate::support::site::Served {
    healthy_for(Together::default())
}

/// One that works, where those who ask wait for one another like this.
pub(super) fn healthy_for(together: Together) -> crate::support::site::Served {
    for_those(Fault::None, together).serve()
}

fn kernel(fault: Fault) -> Site {
    for_those(fault, Together::default())
}

fn for_those(fault: Fault, together: Together) -> Site {
    let answers = move |head: &str, body: &str| {
        let cookie = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix("cookie: ").or(line.strip_prefix("Cookie: ")))?;
            line.split("; ").find_map(|pair| pair.strip_prefix(&format!("{name}="))).map(str::to_owned)
        };
        let marked = |given: Option<&str>| cookie("_xsrf").as_deref() == Some(XSRF) && given == Some(XSRF);
        let header = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("x-xsrftoken").then_some(value)
        });
        let refused = || Some((403, String::new(), json!({"message": "'_xsrf' argument missing"}).to_string()));
        let user = cookie("session").and_then(|session| session.strip_prefix("as:").map(str::to_owned));
        let mut line = head.split(' ');
        match (line.next()?, line.next()?) {
            ("GET", "/login") if fault == Fault::NoMark => Some((200, String::new(), "<form>".to_owned())),
            ("GET", "/login") => Some((200, format!("Set-Cookie: _xsrf={XSRF}; Path=/\r\n"), "<form>".to_owned())),
            ("POST", "/login") => {
                let fields: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
                let field =
                    |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
                if !marked(field("_xsrf")) || field("password") != Some("golden-path") {
                    return refused();
                }
                let session = format!("Set-Cookie: session=as:{}; HttpOnly\r\n", field("user")?);
                Some((302, format!("{session}Location: /tree\r\n"), String::new()))
            }
            ("POST", "/api/sessions") => {
                let (Some(user), true) = (user, marked(header)) else { return refused() };
                let kernel = json!({"id": format!("k-{}", user.split('@').next()?), "owner": user});
                Some((201, String::new(), json!({"id": format!("s-{user}"), "kernel": kernel}).to_string()))
            }
            ("DELETE", _) => marked(header).then_some((204, String::new(), String::new())),
            _ => None,
        }
    };
    Site::new().upgrade(Upgrade::AcceptNoSubprotocol).answers(answers).talking(move |talk| chat(talk, fault, &together))
}

fn chat(talk: &mut Talk, fault: Fault, together: &Together) -> io::Result<()> {
    let own = talk.head.split(' ').nth(1).unwrap_or_default().to_owned();
    let user = own.split(['/', '-']).nth(4).map(|name| format!("{name}@example.com")).unwrap_or_default();
    assert!(talk.head.contains(&format!("session=as:{user}")), "the handshake brings the cookies: {}", talk.head);
    let message = |parent: &Value, channel: &str, kind: &str, content: Value| {
        json!({
            "channel": channel, "header": {"msg_id": "m", "msg_type": kind}, "parent_header": parent,
            "metadata": {"user": user}, "content": content,
        })
    };
    talk.json(&message(&json!({}), "iopub", "status", json!({"execution_state": "starting"})))?;
    let Some(asked) = talk.hear()? else { return Ok(()) };
    let asked: Value = serde_json::from_str(&asked)?;
    together.ask();
    let prompt = asked["content"]["code"].as_str().unwrap_or_default().to_owned();
    let mut parent = asked["header"].clone();
    let mut user = user.clone();
    if fault == Fault::Misrouted {
        let other = if user.starts_with("qa1") { "qa2" } else { "qa1" };
        user = format!("{other}@example.com");
        parent["msg_id"] = json!("lost");
    }
    let message = |channel: &str, kind: &str, content: Value| {
        let mut message = message(&parent, channel, kind, content);
        message["metadata"]["user"] = json!(user);
        message
    };
    let status = |state: &str| message("iopub", "status", json!({"execution_state": state}));
    let stream = |text: &str| message("iopub", "stream", json!({"name": "stdout", "text": text}));
    talk.json(&status("busy"))?;
    talk.json(&message("iopub", "execute_input", json!({"code": prompt})))?;
    talk.json(&stream("Compute costs 1200 "))?;
    if fault == Fault::ErrorWithin {
        talk.json(&message("iopub", "error", json!({"ename": "KeyError"})))?;
    }
    let plain = format!("dollars a month. You asked: {prompt}");
    talk.json(&message("iopub", "execute_result", json!({"data": {"text/plain": plain}})))?;
    // The two ends come in any order.
    let reply = message(
        "shell",
        "execute_reply",
        match fault {
            Fault::ReplyFails => json!({"status": "error"}),
            _ => json!({"status": "ok"}),
        },
    );
    let ends = if user.starts_with("qa1") { [reply, status("idle")] } else { [status("idle"), reply] };
    for end in ends {
        if fault != Fault::NeverIdle || end["channel"] == "shell" {
            talk.json(&end)?;
        }
    }
    if fault == Fault::Late {
        talk.json(&stream("and more"))?;
    }
    Ok(())
}

#[test]
fn a_kernel_passes_by_its_profile_alone() {
    let site = kernel(Fault::None).serve();
    let report = run(&site, PROFILE, SCENARIO, &[], 0);
    assert_eq!(report.failures(), []);
    assert_eq!(report.claim("isolation"), Some("pass"));
    assert_eq!((report.events()["run_output"], report.count("runs_good")), (4, 2));
    let deleted = site.requests().iter().filter(|request| request.starts_with("DELETE /api/sessions/s-qa")).count();
    assert_eq!(deleted, 2);
}

#[test]
fn a_kernel_that_misbehaves_fails_for_that_reason() {
    for (fault, code, failures) in [
        (Fault::NoMark, 3, vec![("GP403", 2)]),
        (Fault::NeverIdle, 1, vec![("GP302", 2)]),
        (Fault::ReplyFails, 1, vec![("GP502", 2)]),
        (Fault::ErrorWithin, 1, vec![("GP502", 2)]),
        (Fault::Late, 1, vec![("GP104", 2)]),
    ] {
        let report = run(&kernel(fault).serve(), PROFILE, SCENARIO, &[], code);
        assert_eq!(report.failures(), failures);
    }
    let report = run(&kernel(Fault::Misrouted).serve(), PROFILE, SCENARIO, &[], 1);
    assert_eq!(report.finding("GP202")["count"], 1, "each got what was the other's: {:?}", report.failures());
}

#[test]
fn a_recording_of_a_kernel_is_bent() {
    let told = bent(&kernel(Fault::None).serve(), PROFILE, SCENARIO, &[], 1);
    assert!(told.starts_with("The recorded scenario notices 26 of 30 faults of a stream"), "{told}");
    // Both ends must come, in any order.
    assert!(told.contains("sends `run_idle` before `run_output` (swap-run_output-run_idle)"), "{told}");
    for part in ["by GP202: misroute-end, copy-end", "rename-run_idle: no name of it stands in its frames"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
