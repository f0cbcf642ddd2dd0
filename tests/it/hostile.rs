//! Targets that misbehave, each in one way, against the whole binary: the right verdict, exit code, finding and report,
//! and no other finding.
//!
//! The targets are written by hand (`support::site`). Only the one timeout that must expire is short, so that a busy machine
//! adds no finding of its own.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::support::process::{Backend, Ended, Place};
use crate::support::report::Report;
use crate::support::site::{Ask, Served, Site, Talk, Upgrade, framed, login, user_of};

const SCENARIO: &str = r#"
version: 1
name: hostile
target: target.yaml
users: { count: 2, email: "qa${user.number}@example.com", password: { env: PASSWORD, on_loopback: golden-path } }
ask: { prompt: "Which services drive our cloud bill? (ref ${canary})" }
timeouts: { quiet: 50ms }
"#;

/// What came of an execution against a hostile target.
struct Met {
    report: Report,
    ended: Ended,
}

impl Met {
    /// The exit code, the outcome in the report and on stdout, and every finding that is no note.
    #[track_caller]
    fn is(self, exit: i32, findings: &[(&str, u64)]) -> Met {
        let ended = self.ended.exits(exit);
        let (outcome, word) = match exit {
            0 => ("pass", "PASS"),
            1 => ("fail", "FAIL"),
            3 => ("blocked", "BLOCKED"),
            _ => ("inconclusive", "INCONCLUSIVE"),
        };
        assert_eq!(self.report.failures(), findings, "\n{}", ended.stdout);
        assert_eq!(self.report.outcome(), outcome);
        assert_eq!(self.report.0["verdict"]["exit_code"], exit);
        assert!(ended.stdout.starts_with(word), "{}", ended.stdout);
        for (code, _) in findings {
            assert!(ended.stdout.contains(code), "{code} is not in\n{}", ended.stdout);
        }
        assert!(!ended.stdout.contains('\x1b') && !ended.stderr.contains('\x1b'));
        assert_eq!(ended.stderr, "");
        Met { report: self.report, ended }
    }

    #[track_caller]
    fn shows(self, code: &str, texts: &[&str]) -> Met {
        let witness = self.report.witness(code);
        for text in texts {
            assert!(witness.contains(text), "{text:?} is not in {witness}");
        }
        self
    }
}

/// The shipped profile on this place, with little patience for a target that does not become ready.
fn prepare(place: &Place) {
    let profile = include_str!("../../scenarios/targets/netra.yaml");
    let hasty = profile.replace("within: 60s", "within: 300ms");
    assert_ne!(profile, hasty, "the profile waits for readiness");
    place.write("target.yaml", &hasty);
    place.write("hostile.yaml", SCENARIO);
}

fn meet_with(url: &str, more: &[&str]) -> Met {
    let place = Place::new();
    prepare(&place);
    let ended = place.run(&[&["run", "hostile.yaml", "--quiet", "--out", "out", "--url", url], more].concat());
    let report = Report::in_folder(&place.path().join("out"));
    Met { report, ended }
}

fn meet_at(url: &str, settings: &[&str]) -> Met {
    meet_with(url, &settings.iter().flat_map(|set| ["--set", set]).collect::<Vec<_>>())
}

fn meet(site: Site, settings: &[&str]) -> Met {
    meet_served(&site.serve(), settings)
}

fn meet_served(site: &Served, settings: &[&str]) -> Met {
    meet_at(&site.url(), settings)
}

/// How many requests began with `text`.
fn requests(site: &Served, text: &str) -> usize {
    site.requests().iter().filter(|request| request.starts_with(text)).count()
}

/// A site whose agent works until `then` takes over in the middle of a run.
fn in_mid_run(then: impl Fn(&mut Talk, &Ask) -> std::io::Result<()> + Send + Sync + 'static) -> Site {
    Site::new().talking(move |talk| {
        talk.greet()?;
        let ask = talk.ask()?;
        talk.together(2);
        talk.event("agent_started", &ask, json!({}))?;
        then(talk, &ask)
    })
}

// ---------------------------------------------------------------------------------------------------------------------
// One that does not misbehave

#[test]
fn a_target_written_by_hand_that_behaves_passes() {
    let site = Site::new()
        .talking(|talk| {
            talk.greet()?;
            let ask = talk.ask()?;
            talk.work(&ask)?;
            talk.together(2);
            talk.complete(&ask)
        })
        .serve();
    let met = meet_served(&site, &[]).is(0, &[]);
    assert_eq!((met.report.count("runs_good"), met.report.count("canaries")), (2, 2));
    assert_eq!(met.report.0["target"]["build"], "by hand");
    // One readiness; per user login, upgrade, history, clean-up.
    assert_eq!(site.requests().len(), 1 + 2 * 4);
}

#[test]
fn a_session_that_is_kept_logs_in_and_connects_once() {
    let site = Site::new()
        .talking(|talk| {
            talk.greet()?;
            while let Ok(ask) = talk.ask() {
                talk.work(&ask)?;
                talk.together(2);
                talk.complete(&ask)?;
            }
            Ok(())
        })
        .serve();
    let met = meet_served(&site, &["users.session=keep", "load.closed.iterations=3"]).is(0, &[]);
    assert_eq!((met.report.count("runs_good"), met.report.count("connections")), (6, 2));
    let counted = ["POST /auth/login", "GET /ws", "DELETE /api/threads/"].map(|text| requests(&site, text));
    assert_eq!(counted, [2, 2, 6]);
}

#[test]
fn the_targets_own_pings_are_answered_before_and_in_a_run() {
    let site = Site::new().talking(|talk| {
        talk.ping()?;
        talk.greet()?;
        let ask = talk.ask()?;
        talk.work(&ask)?;
        talk.together(2);
        talk.ping()?;
        talk.complete(&ask)
    });
    let met = meet(site, &[]).is(0, &[]);
    assert_eq!(met.report.count("heartbeats"), 4);
}

// ---------------------------------------------------------------------------------------------------------------------
// Set-up

#[test]
fn a_target_that_is_down_is_unreachable() {
    // The port was just given back, so that nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let met = meet_at(&format!("http://{address}"), &[]).is(3, &[("GP401", 1)]);
    met.shows("GP401", &["refused", &address.to_string()]);
}

#[test]
fn a_target_without_tls_behind_a_secure_address_is_unreachable() {
    let site = Site::new().serve();
    let met = meet_at(&site.url().replace("http", "https"), &[]).is(3, &[("GP401", 1)]);
    assert_eq!(met.report.count("users"), 0);
}

#[test]
fn a_target_that_never_gets_ready_is_not_ready() {
    let site = Site::new().ready(|_| (503, json!({"status": "starting", "waits_for": "database"}).to_string())).serve();
    let met = meet_served(&site, &[]).is(3, &[("GP402", 1)]);
    met.shows("GP402", &["HTTP 503", "database"]);
    assert!(site.requests().iter().all(|request| request.starts_with("GET /health/ready")));
}

#[test]
fn a_target_that_says_ready_without_meaning_it_is_not_ready() {
    let site = Site::new().ready(|_| (200, json!({"status": "degraded"}).to_string()));
    meet(site, &[]).is(3, &[("GP402", 1)]).shows("GP402", &["degraded"]);
}

#[test]
fn a_wrong_password_is_a_refused_login() {
    let place = Place::new();
    let backend = Backend::serve(&place, &["--password", "another-one"]);
    let met = meet_at(&backend.url, &[]).is(3, &[("GP403", 2)]);
    let met = met.shows("GP403", &["HTTP 401", "/auth/login"]);
    // Who never logged in has nothing to clean up, and is not told to.
    assert_eq!(met.report.0["leftovers"], json!([]));
    backend.stop();
}

#[test]
fn a_login_that_answers_200_with_an_error_is_refused() {
    let site = Site::new().login(|_| (200, json!({"error": "account locked"}).to_string()));
    meet(site, &[]).is(3, &[("GP403", 2)]).shows("GP403", &["account locked"]);
}

#[test]
fn a_refused_upgrade_shows_status_and_body() {
    let site = Site::new().upgrade(Upgrade::Refuse(403, r#"{"error": "origin not allowed"}"#));
    meet(site, &[]).is(3, &[("GP405", 2)]).shows("GP405", &["403", "origin not allowed"]);
}

#[test]
fn an_upgrade_that_is_never_answered_ends_with_its_timeout() {
    let site = Site::new().upgrade(Upgrade::Nothing);
    meet(site, &["timeouts.connect=600ms"]).is(3, &[("GP406", 2)]);
}

#[test]
fn an_accept_key_of_another_request_is_no_handshake() {
    let site = Site::new().upgrade(Upgrade::AcceptAnother);
    meet(site, &[]).is(3, &[("GP410", 2)]).shows("GP410", &["Sec-WebSocket-Accept"]);
}

#[test]
fn no_subprotocol_is_a_mismatch_where_the_profile_is_strict() {
    let place = Place::new();
    prepare(&place);
    let profile = std::fs::read_to_string(place.path().join("target.yaml")).unwrap();
    place.write("strict.yaml", &profile.replace("echo: lenient", "echo: strict"));
    for (target, exit, findings) in [("strict.yaml", 3, &[("GP409", 2)][..]), ("target.yaml", 1, &[("GP301", 2)])] {
        let site = Site::new().upgrade(Upgrade::AcceptNoSubprotocol).talking(|talk| talk.greet()).serve();
        let sets = ["--set", "timeouts.first_event=300ms", "--target", target];
        let ended =
            place.run(&[&["run", "hostile.yaml", "-q", "--out", "out", "--url", &site.url()], &sets[..]].concat());
        Met { report: Report::in_folder(&place.path().join("out")), ended }.is(exit, findings);
    }
}

#[test]
fn a_target_that_accepts_and_never_speaks_did_not_greet() {
    let site = Site::new().talking(|_| Ok(()));
    let met = meet(site, &["timeouts.greeting=300ms"]).is(3, &[("GP408", 2)]);
    assert_eq!(met.report.0["waits"], json!([]), "nobody got so far as to wait for late frames");
}

#[test]
fn a_refusal_by_frame_is_a_refused_greeting() {
    let site = Site::new().talking(|talk| talk.json(&json!({"type": "auth_error", "message": "token revoked"})));
    meet(site, &[]).is(3, &[("GP407", 2)]).shows("GP407", &["token revoked"]);
}

#[test]
fn a_close_in_place_of_a_greeting_is_a_refused_greeting() {
    let site = Site::new().talking(|talk| talk.close(4401, "no such session"));
    meet(site, &[]).is(3, &[("GP407", 2)]).shows("GP407", &["4401", "no such session"]);
}

#[test]
fn an_answer_to_the_upgrade_that_is_not_http_is_no_handshake() {
    meet(Site::new().upgrade(Upgrade::Raw(b"SSH-2.0-OpenSSH_9.6\r\n")), &[]).is(3, &[("GP410", 2)]);
}

#[test]
fn an_upgrade_that_drips_ends_with_its_timeout() {
    let met = meet(Site::new().upgrade(Upgrade::Drip), &["timeouts.connect=600ms"]);
    met.is(3, &[("GP406", 2)]);
}

#[test]
fn a_login_that_redirects_takes_no_password_elsewhere() {
    let elsewhere = Site::new().serve();
    let there = format!("{}/auth/login", elsewhere.url());
    let site = Site::new().login(move |_| (307, there.clone())).serve();
    meet_served(&site, &[]).is(3, &[("GP403", 2)]).shows("GP403", &["HTTP 307"]);
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn a_login_that_asks_for_a_moment_gets_it_and_the_wait_is_told() {
    let asked = AtomicUsize::new(0);
    let site = Site::new()
        .login(move |email| match asked.fetch_add(1, Ordering::AcqRel) {
            0 => (429, "1".to_owned()),
            _ => (200, login(email, &user_of(email))),
        })
        .talking(|talk| {
            talk.greet()?;
            let ask = talk.ask()?;
            talk.work(&ask)?;
            talk.together(2);
            talk.complete(&ask)
        });
    let met = meet(site, &[]).is(0, &[]);
    let waits = met.report.0["waits"].to_string();
    assert!(waits.contains("Retry-After") && waits.contains("1000000"), "{waits}");
}

#[test]
fn a_login_that_always_asks_for_no_time_at_all_is_refused() {
    let site = Site::new().login(|_| (429, "0".to_owned())).serve();
    meet_at(&site.url(), &["timeouts.connect=1s"]).is(3, &[("GP403", 2)]).shows("GP403", &["HTTP 429"]);
    // Once again after the shortest pause there is.
    assert_eq!(requests(&site, "POST /auth/login"), 2 * 2);
}

#[test]
fn a_login_that_asks_for_too_much_time_is_refused_at_once() {
    for seconds in ["86400", "18446744073709551615", "-1", "soon"] {
        let site = Site::new().login(|_| (429, seconds.to_owned())).serve();
        meet_at(&site.url(), &[]).is(3, &[("GP403", 2)]);
        assert_eq!(requests(&site, "POST /auth/login"), 2, "{seconds}");
    }
}

#[test]
fn a_login_without_an_end_is_cut_off() {
    let site = Site::new().login(|_| (200, "x".repeat(8 << 20)));
    meet(site, &[]).is(3, &[("GP403", 2)]);
}

/// Three users, of whom the second cannot log in.
fn one_is_refused() -> Site {
    let refuses = |email: &str| match email {
        "qa2@example.com" => (401, json!({"error": "no such account"}).to_string()),
        email => (200, login(email, &user_of(email))),
    };
    Site::new().login(refuses).talking(|talk| {
        talk.greet()?;
        let ask = talk.ask()?;
        talk.work(&ask)?;
        talk.together(2);
        talk.complete(&ask)
    })
}

#[test]
fn one_refused_user_of_several_fails_the_set_up_claim_only() {
    let met = meet(one_is_refused(), &["users.count=3"]).is(1, &[("GP403", 1)]);
    assert_eq!(met.report.claim("setup"), Some("fail"));
    for claim in ["transport", "events", "answer", "isolation"] {
        assert_eq!(met.report.claim(claim), Some("pass"), "{claim}");
    }
    met.shows("GP403", &["no such account", r#""user":2"#]);
}

#[test]
fn one_refused_user_of_several_can_be_allowed() {
    let met = meet(one_is_refused(), &["users.count=3", "expect.setup.at_most=40%"]).is(0, &[("GP403", 1)]);
    assert_eq!(met.report.claim("setup"), Some("pass"));
    assert_eq!(met.report.finding("GP403")["blamed"], false);
}

// ---------------------------------------------------------------------------------------------------------------------
// Silence

#[test]
fn silence_after_the_ask_is_a_run_that_never_started() {
    let site = Site::new().talking(|talk| talk.greet());
    meet(site, &["timeouts.first_event=300ms"]).is(1, &[("GP301", 2)]);
}

#[test]
fn an_acknowledgement_alone_is_a_run_that_never_started() {
    let site = Site::new().talking(|talk| {
        talk.greet()?;
        talk.ask()?;
        talk.json(&json!({"type": "ack", "of": "start_agent"}))
    });
    meet(site, &["timeouts.first_event=300ms"]).is(1, &[("GP301", 2)]).shows("GP301", &["ack"]);
}

#[test]
fn silence_in_mid_run_is_a_stall() {
    let met = meet(in_mid_run(|_, _| Ok(())), &["timeouts.stall=300ms"]).is(1, &[("GP302", 2)]);
    met.shows("GP302", &["agent_started", "agent_completed"]);
}

#[test]
fn a_run_that_goes_on_for_ever_is_too_long() {
    // Works as long as somebody listens.
    let site = in_mid_run(|talk, ask| {
        loop {
            talk.event("agent_thinking", ask, json!({"thought": "x".repeat(4096)}))?;
        }
    });
    meet(site, &["timeouts.run=300ms"]).is(1, &[("GP303", 2)]);
}

/// Speaks as long as somebody listens, and hears nothing.
fn for_ever(talk: &mut Talk, frame: &[u8]) -> std::io::Result<()> {
    let many = frame.repeat(64);
    loop {
        talk.raw(&many)?;
    }
}

#[test]
fn a_flood_in_place_of_a_greeting_is_a_missing_greeting() {
    let site = Site::new().talking(|talk| for_ever(talk, &framed(0x81, br#"{"type": "ack"}"#)));
    meet(site, &["timeouts.greeting=300ms"]).is(3, &[("GP408", 2)]);
}

#[test]
fn a_flood_of_protocol_pings_is_no_progress() {
    let site = Site::new().talking(|talk| {
        talk.greet()?;
        talk.ask()?;
        for_ever(talk, &framed(0x89, b"are you there?"))
    });
    meet(site, &["timeouts.first_event=300ms"]).is(1, &[("GP301", 2)]);
}

#[test]
fn a_flood_of_pings_whose_answers_nobody_reads_is_no_progress() {
    let site = Site::new().talking(|talk| {
        talk.greet()?;
        talk.ask()?;
        for_ever(talk, &framed(0x81, br#"{"type": "ping"}"#))
    });
    meet(site, &["timeouts.first_event=3s"]).is(1, &[("GP301", 2)]);
}

// ---------------------------------------------------------------------------------------------------------------------
// Frames and connections

#[test]
fn text_that_is_not_json_is_a_malformed_frame() {
    let site = in_mid_run(|talk, ask| {
        talk.text("<html>502 Bad Gateway</html>")?;
        rest(talk, ask)
    });
    let met = meet(site, &[]).is(1, &[("GP411", 2)]).shows("GP411", &["502 Bad Gateway"]);
    assert_eq!(met.report.claim("transport"), Some("fail"));
    assert_eq!(met.report.claim("events"), Some("pass"));
}

#[test]
fn a_binary_frame_is_a_malformed_frame() {
    let site = in_mid_run(|talk, ask| {
        talk.frame(0x82, &[0, 159, 146, 150])?;
        rest(talk, ask)
    });
    meet(site, &[]).is(1, &[("GP411", 2)]).shows("GP411", &["binary"]);
}

#[test]
fn nothing_but_garbage_is_named_as_garbage() {
    let site = Site::new().talking(|talk| {
        talk.greet()?;
        talk.ask()?;
        talk.text("\u{1b}[31m not json")?;
        talk.text("")?;
        talk.text("{")
    });
    let met = meet(site, &["timeouts.first_event=300ms"]).is(1, &[("GP301", 2), ("GP411", 2)]);
    met.shows("GP411", &["not json"]);
}

#[test]
fn a_frame_over_the_limit_ends_its_connection() {
    let site =
        in_mid_run(|talk, ask| talk.event("agent_completed", ask, json!({"final_response": "x".repeat(2_000_000)})));
    let met = meet(site, &[]).is(1, &[("GP412", 2)]);
    met.shows("GP412", &["agent_started"]);
}

#[test]
fn a_length_without_its_frame_is_not_waited_for() {
    // A header that announces 2^62 bytes (RFC 6455, section 5.2), and nothing behind it.
    let site = in_mid_run(|talk, _| talk.raw(&[0x81, 127, 0x40, 0, 0, 0, 0, 0, 0, 0]));
    meet(site, &[]).is(1, &[("GP412", 2)]);
}

#[test]
fn text_that_is_not_utf_8_is_a_protocol_violation() {
    let site = in_mid_run(|talk, _| talk.frame(0x81, b"{\"type\": \"agent_thinking\", \"thought\": \"\xff\xfe\"}"));
    meet(site, &[]).is(1, &[("GP415", 2)]);
}

#[test]
fn a_masked_frame_of_a_server_is_a_protocol_violation() {
    // RFC 6455, section 5.1: a server must not mask, and a client must close when one does.
    let site = in_mid_run(|talk, _| talk.raw(&[0x81, 0x82, 1, 2, 3, 4, b'{' ^ 1, b'}' ^ 2]));
    meet(site, &[]).is(1, &[("GP415", 2)]);
}

#[test]
fn a_compressed_frame_that_nobody_offered_is_a_protocol_violation() {
    // RSV1 without an extension that gives it a meaning (RFC 6455, section 5.2).
    let site = in_mid_run(|talk, _| talk.frame(0xc1, b"{}"));
    meet(site, &[]).is(1, &[("GP415", 2)]);
}

#[test]
fn a_message_in_many_pieces_with_pings_between_is_one_frame() {
    let site = Site::new()
        .talking(|talk| {
            talk.greet()?;
            let ask = talk.ask()?;
            talk.work(&ask)?;
            talk.together(2);
            let answer = format!("Compute is 61 %. You asked: {}", ask.prompt);
            let text = json!({"type": "agent_completed", "run_id": ask.run, "final_response": answer}).to_string();
            let (first, rest) = text.as_bytes().split_at(7);
            talk.frame(0x01, first)?;
            for byte in rest {
                talk.frame(0x89, b"are you there?")?;
                talk.frame(0x00, &[*byte])?;
            }
            talk.frame(0x80, b"")
        })
        .serve();
    let met = meet_served(&site, &[]).is(0, &[]);
    assert_eq!(met.report.events()["agent_completed"], 2);
}

#[test]
fn a_close_in_mid_run_shows_code_and_reason() {
    let site = in_mid_run(|talk, _| talk.close(1011, "worker died"));
    let met = meet(site, &[]).is(1, &[("GP413", 2)]);
    met.shows("GP413", &["1011", "worker died", "agent_completed"]);
}

#[test]
fn a_connection_that_ends_without_a_close_is_lost() {
    meet(in_mid_run(|talk, _| talk.hang_up()), &[]).is(1, &[("GP414", 2)]);
}

// ---------------------------------------------------------------------------------------------------------------------
// Runs that end badly

#[test]
fn an_error_event_is_one_finding_whatever_follows() {
    let site = in_mid_run(|talk, ask| {
        talk.event("agent_error", ask, json!({"error": "model not reachable"}))?;
        talk.complete(ask)
    });
    meet(site, &[]).is(1, &[("GP106", 2)]).shows("GP106", &["model not reachable"]);
}

#[test]
fn a_completion_without_an_answer_is_an_empty_answer() {
    let site = Site::new().talking(|talk| {
        talk.greet()?;
        let ask = talk.ask()?;
        talk.work(&ask)?;
        talk.together(2);
        talk.event("agent_completed", &ask, json!({"final_response": " \n"}))
    });
    let met = meet(site, &[]).is(1, &[("GP501", 2)]);
    assert_eq!(met.report.claim("answer"), Some("fail"));
    assert_eq!(met.report.claim("events"), Some("pass"));
}

#[test]
fn a_completion_that_hides_a_failure_is_found() {
    let site = in_mid_run(|talk, ask| {
        talk.event("agent_thinking", ask, json!({}))?;
        talk.event("tool_executing", ask, json!({"tool_name": "cost_lookup"}))?;
        talk.event("tool_completed", ask, json!({"tool_name": "cost_lookup"}))?;
        talk.event("agent_completed", ask, json!({"status": "failed", "final_response": "I am sorry"}))
    });
    meet(site, &[]).is(1, &[("GP502", 2)]);
}

/// Everything of a run but its first event, for `in_mid_run`.
fn rest(talk: &mut Talk, ask: &Ask) -> std::io::Result<()> {
    talk.event("agent_thinking", ask, json!({}))?;
    talk.event("tool_executing", ask, json!({"tool_name": "cost_lookup"}))?;
    talk.event("tool_completed", ask, json!({"tool_name": "cost_lookup"}))?;
    talk.complete(ask)
}

#[test]
fn an_event_that_comes_twice_is_a_duplicate() {
    let site = in_mid_run(|talk, ask| {
        talk.event("agent_started", ask, json!({}))?;
        rest(talk, ask)
    });
    meet(site, &[]).is(1, &[("GP103", 2)]);
}

#[test]
fn an_event_after_the_end_is_late() {
    let site = in_mid_run(|talk, ask| {
        rest(talk, ask)?;
        talk.event("agent_thinking", ask, json!({"thought": "one more thing"}))
    });
    // Long enough for the frame behind the last.
    meet(site, &["timeouts.quiet=500ms"]).is(1, &[("GP104", 2)]).shows("GP104", &["one more thing"]);
}

#[test]
fn a_tool_without_its_result_is_unpaired() {
    let site = in_mid_run(|talk, ask| {
        talk.event("agent_thinking", ask, json!({}))?;
        talk.event("tool_executing", ask, json!({"tool_name": "price_lookup"}))?;
        talk.event("tool_executing", ask, json!({"tool_name": "cost_lookup"}))?;
        talk.event("tool_completed", ask, json!({"tool_name": "cost_lookup"}))?;
        talk.complete(ask)
    });
    meet(site, &[]).is(1, &[("GP105", 2)]).shows("GP105", &["price_lookup"]);
}

#[test]
fn a_run_that_nobody_asked_for_is_found() {
    // In one piece with the greeting, so that it was there before the ask.
    let site = Site::new().talking(|talk| {
        let greeting = json!({"type": "connection_established", "user_id": talk.user}).to_string();
        let event = json!({"type": "agent_started", "run_id": "run-of-nobody", "user_id": talk.user}).to_string();
        talk.raw(&[framed(0x81, greeting.as_bytes()), framed(0x81, event.as_bytes())].concat())?;
        let ask = talk.ask()?;
        talk.work(&ask)?;
        talk.together(2);
        talk.complete(&ask)
    });
    meet(site, &[]).is(1, &[("GP107", 2)]).shows("GP107", &["run-of-nobody"]);
}

#[test]
fn a_missing_event_is_named() {
    let site = in_mid_run(|talk, ask| {
        talk.event("tool_executing", ask, json!({"tool_name": "cost_lookup"}))?;
        talk.event("tool_completed", ask, json!({"tool_name": "cost_lookup"}))?;
        talk.complete(ask)
    });
    let met = meet(site, &[]);
    let codes: BTreeMap<&str, u64> = met.report.failures().into_iter().collect();
    assert!(codes.keys().all(|code| ["GP101", "GP102"].contains(code)), "{codes:?}");
    assert_eq!(codes.values().sum::<u64>(), 2, "one cause, one finding: {codes:?}");
    met.ended.exits(1);
}

// ---------------------------------------------------------------------------------------------------------------------
// Isolation

#[test]
fn another_users_mark_is_a_leak() {
    let site = || {
        Site::new().talking(|talk| {
            talk.greet()?;
            let ask = talk.ask()?;
            let asks = talk.together(2);
            talk.work(&ask)?;
            match asks.get(&user_of("qa2@example.com")) {
                Some(foreign) if talk.user == user_of("qa1@example.com") => {
                    let answer = format!("Compute is 61 % of it. You asked: {}", foreign.prompt);
                    talk.event("agent_completed", &ask, json!({"final_response": answer}))
                }
                _ => talk.complete(&ask),
            }
        })
    };
    // Also where mark and owner are on different threads.
    for threads in ["1", "2"] {
        let met = meet_with(&site().serve().url(), &["--threads", threads]).is(1, &[("GP201", 1)]);
        met.shows("GP201", &[r#""user":1"#, "user 2", "61 %"]);
    }
}

#[test]
fn a_frame_for_another_user_is_a_leak() {
    let site = || {
        Site::new().talking(|talk| {
            talk.greet()?;
            let ask = talk.ask()?;
            let asks = talk.together(2);
            talk.work(&ask)?;
            if talk.user == user_of("qa1@example.com") {
                let foreign = &asks[&user_of("qa2@example.com")];
                talk.json(&json!({
                    "type": "agent_thinking", "thought": "what is next?", "user_id": user_of("qa2@example.com"),
                    "run_id": foreign.run, "thread_id": foreign.thread,
                }))?;
            }
            talk.complete(&ask)
        })
    };
    for threads in ["1", "2"] {
        let met = meet_with(&site().serve().url(), &["--threads", threads]);
        let failures: Vec<&str> = met.report.failures().into_iter().map(|(code, _)| code).collect();
        assert_eq!(failures, ["GP202"]);
        let witnesses = met.report.finding("GP202")["witnesses"].as_array().expect("a list");
        assert!(witnesses.iter().all(|witness| witness["subject"]["user"] == 1), "{witnesses:#?}");
        met.ended.exits(1);
    }
}

#[test]
fn another_users_prompt_in_a_history_is_a_leak_and_ones_own_is_not() {
    for (shown, code, failures) in [("all", 1, &[("GP201", 2)][..]), ("own", 0, &[])] {
        let prompts: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
        let told = Arc::clone(&prompts);
        let site = Site::new().talking(move |talk| {
            talk.greet()?;
            let ask = talk.ask()?;
            told.lock().unwrap().insert(ask.thread.clone(), ask.prompt.clone());
            talk.together(2);
            talk.answer(&ask)
        });
        let site = site.answers(move |head, _| {
            let thread = head.strip_prefix("GET /api/threads/")?.split('/').next()?;
            let mut prompts = prompts.lock().unwrap().clone();
            prompts.retain(|of, _| shown == "all" || of == thread);
            let messages: Vec<&String> = prompts.values().chain([&prompts[thread]]).collect();
            Some((200, String::new(), json!({ "messages": messages }).to_string()))
        });
        let met = meet(site, &[]).is(code, failures);
        if code == 1 {
            met.shows("GP201", &["/api/threads/", "content only"]);
        }
    }
}

#[test]
fn one_identity_for_all_logins_is_found() {
    let site = Site::new().login(|email| (200, login(email, "dev-user-0001"))).talking(|talk| {
        talk.user = "dev-user-0001".to_owned();
        talk.greet()?;
        let ask = talk.ask()?;
        talk.answer(&ask)
    });
    meet(site, &[]).is(1, &[("GP203", 1)]).shows("GP203", &["dev-user-0001"]);
}

// ---------------------------------------------------------------------------------------------------------------------
// Some of many

#[test]
fn one_broken_connection_of_several_is_one_finding() {
    let closed = AtomicUsize::new(0);
    let site = Site::new().talking(move |talk| {
        talk.greet()?;
        let ask = talk.ask()?;
        talk.work(&ask)?;
        talk.together(4);
        match closed.fetch_add(1, Ordering::AcqRel) {
            0 => talk.close(1012, "restart"),
            _ => talk.complete(&ask),
        }
    });
    let met = meet(site, &["users.count=4"]).is(1, &[("GP413", 1)]);
    assert_eq!((met.report.count("runs"), met.report.count("runs_good")), (4, 3));
    assert_eq!(met.report.finding("GP413")["users"], 1);
}
