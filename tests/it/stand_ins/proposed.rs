//! `goldenpath init --from`: what is proposed from a browser's export of each stand-in drives it, with no more than the edits that
//! the proposal itself asks for.

use std::fs;
use std::time::Duration;

use super::{Together, gateway, healthy_gateway, home, kernel};
use crate::support::har::{self, Export};
use crate::support::process::{Ended, Place, Process};
use crate::support::report::Report;
use crate::support::site::{Served, Site, TOKEN};

/// Nobody waits for the second user while an export is made.
fn alone() -> Together {
    Together { patience: Duration::ZERO, ..Together::default() }
}

/// What one user's visit to a site leaves in an export, driven by a profile written by hand.
fn recorded(place: &Place, site: &Served, profile: &str, scenario: &str, export: Export) {
    let (http, socket) = (site.url(), site.url().replace("http", "ws"));
    place.write("by-hand.yaml", &profile.replace("HTTP", &http).replace("WS", &socket));
    place.write(
        "visit.yaml",
        &scenario.replace("profile.yaml", "by-hand.yaml").replace("iterations: 2", "iterations: 1"),
    );
    place.run(&["run", "visit.yaml", "-q", "--users", "1", "--out", "visit"]).exits(0);
    place.write("chat.har", &har::of(site, export));
}

/// Has a proposal made in `mine`, in which no secret stands.
#[track_caller]
fn proposed(place: &Place, secrets: &[&str]) -> (String, String) {
    let ended = place.run(&["init", "--from", "chat.har", "mine"]).exits(0);
    let read = |name: &str| fs::read_to_string(place.path().join("mine").join(name)).expect("a file");
    let (target, scenario) = (read("target.yaml"), read("first.yaml"));
    if std::env::var_os("GOLDENPATH_SHOW").is_some() {
        eprintln!("{}\n{target}\n{scenario}", ended.stdout);
    }
    for secret in secrets {
        for text in [&target, &scenario, &ended.stdout, &ended.stderr] {
            assert!(!text.contains(secret), "{secret} stands in:\n{text}");
        }
    }
    assert!(ended.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ended.stdout);
    place.run(&["validate", "mine/first.yaml", "mine/target.yaml"]).exits(0);
    (target, scenario)
}

/// Runs what was proposed against another site of the same kind.
#[track_caller]
fn runs(place: &Place, site: &Served, code: i32) -> Ended {
    let mut command = place.goldenpath(&["run", "mine/first.yaml", "--out", "out"]);
    command.env("CHAT_HTTP", site.url()).env("CHAT_SOCKET", site.url().replace("http", "ws"));
    command.env("GOLDENPATH_PASSWORD", "golden-path");
    Process::start(command).end().exits(code)
}

/// Replaces what a comment of the proposal asks to be replaced.
#[track_caller]
fn edit(place: &Place, name: &str, from: &str, to: &str) {
    let path = place.path().join("mine").join(name);
    let text = fs::read_to_string(&path).expect("a file");
    assert_eq!(text.matches(from).count(), 1, "{from} in:\n{text}");
    fs::write(path, text.replace(from, to)).expect("a file");
}

const SITE: &str = r#"
version: 1
name: by-hand
http: { base: "HTTP" }
socket: "WS/ws"
login:
  - { post: /auth/login, json: { email: "${user.email}", password: "${user.password}" }, capture: { token: { secret: /access_token } } }
connect:
  subprotocols: [jwt-auth, "jwt.${token | base64url}"]
  script: [{ wait: { when: { event: connection_established } } }]
heartbeats: [{ when: { event: ping }, reply: { type: pong } }]
ask: { send: { type: start_agent, payload: { user_request: "${prompt}", thread_id: "${thread_id}", run_id: "${run_id}" } } }
"#;

const VISIT: &str = r#"
version: 1
name: visit
target: profile.yaml
users: { count: 2, email: "qa${user.number}@example.com", password: { env: PASSWORD, on_loopback: golden-path } }
ask: { prompt: "Which services drive our cloud bill? (ref ${canary})" }
timeouts: { quiet: 50ms }
"#;

fn site() -> Served {
    Site::new()
        .talking(|talk| {
            talk.greet()?;
            talk.ping()?;
            let ask = talk.ask()?;
            talk.answer(&ask)
        })
        .serve()
}

#[test]
fn a_backend_with_tokens_in_the_subprotocol_is_understood() {
    let place = Place::new();
    recorded(&place, &site(), SITE, VISIT, Export::default());
    let (target, scenario) = proposed(&place, &[TOKEN, "qa1@"]);
    for part in [
        "subprotocols: [jwt-auth, \"jwt.${access_token | base64url}\"]",
        "user: { at: [/user_id], is: user_id }",
        "thread: { at: [/thread_id], source: chosen }",
        "run: { at: [/run_id], source: chosen }",
    ] {
        assert!(target.contains(part), "{part}:\n{target}");
    }
    assert!(scenario.contains("events: golden-path"), "{scenario}");
    runs(&place, &site(), 0);
    let report = Report::in_folder(&place.path().join("out"));
    assert_eq!((report.failures(), report.claim("isolation")), (vec![], Some("pass")));
}

#[test]
fn a_kernel_is_understood() {
    let place = Place::new();
    recorded(&place, &kernel::healthy_for(alone()), kernel::PROFILE, kernel::SCENARIO, Export::default());
    let (target, _) = proposed(&place, &["golden-path", "x+y/z", "as:qa1", "qa1@"]);
    assert!(target.contains("status_idle: { /header/msg_type: status, /content/execution_state: idle }"), "{target}");
    // As the comment at `ends` says, where the two come in any order.
    edit(
        &place,
        "target.yaml",
        "\n  ends: { good: { event: status_idle } }",
        "\n  ends: { good: [{ event: execute_reply }, { event: status_idle }] }",
    );
    edit(&place, "first.yaml", "execute_reply: { min: 1 } }\n", "}\n");
    edit(&place, "first.yaml", "end: status_idle", "end: [execute_reply, status_idle]");
    runs(&place, &kernel::healthy(), 0);
}

#[test]
fn a_home_is_understood() {
    let place = Place::new();
    place.write("users.csv", home::USERS);
    recorded(&place, &home::healthy_for(alone()), home::PROFILE, home::SCENARIO, Export::default());
    proposed(&place, &["llat-one", "session-of"]);
    // The file of users is to be filled in.
    place.write("mine/users.csv", "email,token\none@home,llat-one-4711\ntwo@home,llat-two-4712\n");
    runs(&place, &home::healthy(), 0);
}

#[test]
fn a_gateway_is_understood() {
    let place = Place::new();
    recorded(&place, &healthy_gateway(Duration::ZERO), gateway::PROFILE, gateway::SCENARIO, Export::default());
    proposed(&place, &["golden-path", "tok-qa", "tick-", "qa1@"]);
    runs(&place, &healthy_gateway(Duration::from_secs(5)), 0);
}

#[test]
fn an_export_without_cookies_says_what_had_to_be_guessed() {
    let place = Place::new();
    let sanitised = Export { sanitised: true, ..Export::default() };
    recorded(&place, &kernel::healthy_for(alone()), kernel::PROFILE, kernel::SCENARIO, sanitised);
    let (target, _) = proposed(&place, &["golden-path", "x+y/z", "qa1@"]);
    for part in ["it was made without (\"sanitized\")", "xsrf: { secret: { cookie: _xsrf } }", "TODO: A guess"] {
        assert!(target.contains(part), "{part}:\n{target}");
    }
    recorded(&place, &healthy_gateway(Duration::ZERO), gateway::PROFILE, gateway::SCENARIO, sanitised);
    fs::remove_dir_all(place.path().join("mine")).expect("the first proposal");
    proposed(&place, &["golden-path", "tok-qa", "tick-", "qa1@"]);
    runs(&place, &healthy_gateway(Duration::from_secs(5)), 0);
}

#[test]
fn a_token_for_a_header_that_the_export_hides_is_guessed() {
    let place = Place::new();
    let profile = SITE.replace(
        "http: { base: \"HTTP\" }",
        "http: { base: \"HTTP\", headers: { Authorization: \"Bearer ${token}\" } }",
    );
    let profile = profile.replace(
        "subprotocols: [jwt-auth, \"jwt.${token | base64url}\"]",
        "headers: { Authorization: \"Bearer ${token}\" }",
    );
    recorded(&place, &site(), &profile, VISIT, Export { sanitised: true, ..Export::default() });
    let (target, _) = proposed(&place, &[TOKEN, "qa1@"]);
    assert!(target.contains("TODO: A guess"), "{target}");
    assert!(target.contains("headers: { Authorization: \"Bearer ${access_token}\" }"), "{target}");
    assert!(target.contains("Nothing in the export shows what it is for."), "{target}");
}

#[test]
fn an_export_without_messages_says_what_to_do() {
    let place = Place::new();
    recorded(&place, &site(), SITE, VISIT, Export { silent: true, ..Export::default() });
    let (target, scenario) = proposed(&place, &[TOKEN, "qa1@"]);
    for part in ["The export holds no WebSocket messages", "jwt.${access_token | base64url}", "- post: /auth/login"] {
        assert!(target.contains(part), "{part}:\n{target}");
    }
    assert!(scenario.contains("TODO: ask something"), "{scenario}");
}

#[test]
fn binary_frames_are_read_as_text() {
    let place = Place::new();
    recorded(&place, &site(), SITE, VISIT, Export { binary: true, ..Export::default() });
    let (target, _) = proposed(&place, &[TOKEN, "qa1@"]);
    assert!(target.contains("decode: [json, binary]"), "{target}");
}
