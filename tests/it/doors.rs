//! Doors that must stay shut, over real sockets: the shipped scenario, each way to carry a token, origins, and what is spared.
//!
//! That a recording judged again tells the same is held for every report that is read here.

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use goldenpath::backend::{self, Options};
use serde_json::{Value, json};

use crate::support::process::{Place, shipped};
use crate::support::report::Report;
use crate::support::site::{Ask, Site, TOKEN, Upgrade, user_of};

const SCENARIO: &str = r#"
version: 1
name: doors
target: target.yaml
users: { count: 2, email: "qa${user.number}@example.com", password: { env: PASSWORD, on_loopback: golden-path } }
ask: { prompt: "Which services drive our cloud bill? (ref ${canary})" }
timeouts: { quiet: 50ms }
"#;

/// How a token gets to the socket; `PROFILE` is the connection of the shipped profile.
const CARRIERS: [(&str, &str); 4] = [
    ("a header", "  headers: { Authorization: \"Bearer ${token}\" }\n  script:"),
    ("the query", "  query: { token: \"${token}\" }\n  script:"),
    ("a subprotocol", "  subprotocols: [jwt-auth, \"jwt.${token | base64url}\"]\n  script:"),
    (
        "the first message",
        "  script:\n    - send: { type: auth, token: \"${token}\" }\n    - wait: { when: { event: [auth_success, \
         authentication_success] }, refused: [{ event: auth_error }, { event: authentication_error }] }",
    ),
];

const SHIPPED: &str = "  subprotocols: [jwt-auth, \"jwt.${token | base64url}\"]\n  echo: lenient\n  script:";

fn profile() -> String {
    std::fs::read_to_string(shipped("scenarios/targets/netra.yaml")).expect("the shipped profile")
}

/// Every row of a report: what was seen, and the verdict.
fn rows(report: &Report) -> BTreeMap<String, (String, Option<String>)> {
    let rows = report.0["doors"].as_array().expect("rows").iter().map(|row| {
        let text = |key: &str| row[key].as_str().map(str::to_owned);
        let name = format!("{} {}", text("probe").unwrap_or_default(), text("at").unwrap_or_default());
        (name, (text("seen").unwrap_or_default(), text("verdict")))
    });
    rows.collect()
}

fn run(place: &Place, scenario: &str, more: &[&str]) -> (i32, Report) {
    let ended = place.run(&[&["run", scenario, "-q", "--out", "out"], more].concat());
    let code = ended.status.code().unwrap_or_else(|| panic!("{}", ended.stderr));
    assert!(place.path().join("out/report.json").exists(), "{}\n{}", ended.stdout, ended.stderr);
    (code, Report::in_folder(&place.path().join("out")))
}

#[test]
fn every_door_of_a_healthy_target_is_shut_and_the_shipped_scenario_says_so() {
    let place = Place::new();
    let (code, report) = run(&place, &shipped("scenarios/doors.yaml"), &["--set", "timeouts.quiet=100ms"]);
    assert_eq!((code, report.claim("doors")), (0, Some("pass")));
    let rows = rows(&report);
    for (name, seen) in [
        ("malformed-token socket", "refused: HTTP 401"),
        ("forged-token socket", "refused: HTTP 401"),
        ("forged-token http", "refused: HTTP 401"),
        ("no-token http", "refused: HTTP 401"),
        ("logged-out-token socket", "refused: HTTP 401"),
        ("refreshed-twice http", "refused: HTTP 401"),
        ("foreign-thread socket", "refused: error_message"),
        ("foreign-run socket", "refused: agent_started came, of a run of its own under that id"),
        ("foreign-history http", "refused: HTTP 404"),
    ] {
        assert_eq!(rows[name], (seen.to_owned(), Some("pass".to_owned())), "{name}");
    }
    assert_eq!(rows["no-origin socket"], ("spared".to_owned(), None));
    // Bent tokens are secrets as well: some differ from real ones by one field.
    let text = std::fs::read_to_string(place.path().join("out/report.json")).expect("a report");
    assert!(!text.contains("eyJ"), "a token stands in the report");
}

#[test]
fn a_refresh_token_is_used_twice_only_where_that_shows_something() {
    let refused = ("refused: HTTP 401", Some("pass"), 0);
    let in_again = ("let in: HTTP 200 with a session", Some("fail"), 1);
    let spared = ("spared", None, 0);
    let takes_none = ("        refresh_token: { secret: /refresh_token }\n", "");
    let keeps =
        ("        refresh_token: { secret: /refresh_token }", "        refresh_token: { secret: [/token_type] }");
    // Another login is told to take the same, so that nothing new comes of a refresh.
    let same = ("      refresh_token: { secret: /refresh_token }", "      refresh_token: { secret: [/token_type] }");
    for (fault, replaced, (seen, verdict, code)) in [
        (None, vec![], refused),
        (Some("open-door-refresh"), vec![], in_again),
        (None, vec![takes_none], spared),
        (None, vec![keeps, same], ("it never knocked", Some("inconclusive"), 4)),
    ] {
        let place = Place::new();
        let profile = replaced.iter().fold(profile(), |profile, (old, new)| {
            assert!(profile.contains(old), "{old}");
            profile.replace(old, new)
        });
        place.write("target.yaml", &profile);
        let probes = if verdict.is_none() { "probes: all" } else { "probes: [refreshed-twice]" };
        place.write("scenario.yaml", &format!("{SCENARIO}{probes}\n"));
        let faults = fault.map(|fault| fault.parse().expect("a fault")).into_iter().collect();
        let backend = backend::start(Options { faults, journal: true, ..Options::default() }).expect("a backend");
        let (exit, report) = run(&place, "scenario.yaml", &["--url", &backend.http_url()]);
        let rows = rows(&report);
        let row = (seen.to_owned(), verdict.map(str::to_owned));
        assert_eq!((exit, &rows["refreshed-twice http"]), (code, &row), "{rows:?}");
        let journal = backend.stop();
        let journaled = |kind: &str| journal.iter().filter(|entry| entry.kind == kind).count();
        let used = match (fault, verdict) {
            (None, Some("pass")) => (1, 1),
            (Some(_), _) => (2, 0),
            (None, None) => (0, 0),
            (None, Some(_)) => (0, 1),
        };
        assert_eq!((journaled("refresh"), journaled("refresh_refused")), used, "{rows:?}");
        if code == 1 {
            let told = "the target let in somebody with a refresh token that was used before";
            assert!(report.witness("GP208").contains(told), "{}", report.witness("GP208"));
        }
    }
}

#[test]
fn runs_beside_probes_are_judged_and_belong_to_no_figure_of_the_load() {
    let place = Place::new();
    place.write("scenario.yaml", &format!("{SCENARIO}probes: [malformed-token, foreign-thread]\n"));
    place.write("target.yaml", &profile());
    let backend = backend::start(Options::default()).expect("a backend");
    let (code, report) = run(&place, "scenario.yaml", &["--url", &backend.http_url()]);
    assert_eq!((code, report.claim("doors")), (0, Some("pass")));
    // Two of the load, one beside each probe, and the control of the one that asks.
    assert_eq!((report.count("runs"), report.count("iterations"), report.count("setups")), (5, 2, 2));
    let runs = |name: &str| {
        let segments = report.0["segments"].as_array().expect("segments");
        segments.iter().find(|segment| segment["name"] == name).map(|segment| segment["runs"].as_u64())
    };
    assert_eq!((runs("run"), runs("login"), runs("golden_path")), (Some(Some(2)), Some(Some(2)), Some(Some(2))));
}

#[test]
fn a_token_is_bent_wherever_it_is_carried() {
    for (carrier, connect) in CARRIERS {
        let place = Place::new();
        place.write("target.yaml", &profile().replace(SHIPPED, connect));
        let probes = "probes: [no-token, malformed-token, forged-token, { probe: misplaced-token, in: cookie }]";
        place.write("scenario.yaml", &format!("{SCENARIO}{probes}\nexpect: {{ doors: {{ within: 1s }} }}\n"));
        let mut options = Options::default();
        options.limits.auth = std::time::Duration::from_millis(300);
        let backend = backend::start(options).expect("a backend");
        let (code, report) = run(&place, "scenario.yaml", &["--url", &backend.http_url()]);
        let rows = rows(&report);
        assert_eq!((code, report.claim("doors")), (0, Some("pass")), "{carrier}: {rows:?}");
        assert!(rows["forged-token socket"].0.starts_with("refused: "), "{carrier}: {rows:?}");
    }
}

#[test]
fn a_token_that_is_taken_at_a_second_place_is_an_open_door() {
    let place = Place::new();
    place.write("target.yaml", &profile());
    place.write("scenario.yaml", &format!("{SCENARIO}probes: [misplaced-token]\n"));
    let backend = backend::start(Options::default()).expect("a backend");
    let (code, report) = run(&place, "scenario.yaml", &["--url", &backend.http_url()]);
    assert_eq!((code, report.claim("doors")), (1, Some("fail")));
    assert_eq!(report.failures(), [("GP208", 1)]);
    let told = "the target let in somebody with the token at a wrong place: it was greeted";
    assert!(report.witness("GP208").contains(told), "{}", report.witness("GP208"));
}

#[test]
fn pages_of_other_sites_stay_outside_where_a_target_knows_its_own() {
    const OWN: &str = "https://chat.example.com";
    for (origins, code, verdict) in [(vec![OWN.to_owned()], 0, "pass"), (vec![], 1, "fail")] {
        let place = Place::new();
        place.write("target.yaml", &profile().replace(SHIPPED, &format!("  origin: {OWN}\n{SHIPPED}")));
        place.write("scenario.yaml", &format!("{SCENARIO}probes: [no-origin, foreign-origin]\n"));
        let backend = backend::start(Options { origins, ..Options::default() }).expect("a backend");
        let (exit, report) = run(&place, "scenario.yaml", &["--url", &backend.http_url()]);
        assert_eq!((exit, report.claim("doors")), (code, Some(verdict)));
        let seen = if code == 0 { "refused: HTTP 403" } else { "let in: it was greeted" };
        assert!(rows(&report).values().all(|(told, _)| told == seen), "{:?}", rows(&report));
    }
}

#[test]
fn a_probe_that_nothing_stands_beside_proves_nothing() {
    let place = Place::new();
    place.write("target.yaml", &profile());
    place.write("scenario.yaml", &format!("{SCENARIO}probes: [malformed-token]\n"));
    let backend = backend::start(Options::default()).expect("a backend");
    let (code, report) = run(&place, "scenario.yaml", &["--url", &backend.http_url(), "--only-users", "1"]);
    assert_eq!((code, report.claim("doors")), (4, Some("inconclusive")));
    assert_eq!(
        rows(&report)["malformed-token socket"],
        ("it never knocked".to_owned(), Some("inconclusive".to_owned()))
    );
}

#[test]
fn what_may_lock_an_account_out_knocks_off_this_machine_only_where_that_is_allowed() {
    let place = Place::new();
    let remote = profile().replace("http://127.0.0.1:8000", "https://chat.example.com");
    place.write("target.yaml", &remote.replace("ws://127.0.0.1:8000", "wss://chat.example.com"));
    let scenario = SCENARIO.replace("{ env: PASSWORD, on_loopback: golden-path }", "{ command: [echo, x] }");
    place.write("scenario.yaml", &format!("{scenario}probes: all\n"));
    let plan = |more: &[&str]| {
        let told = place.run(&[&["run", "scenario.yaml", "--dry-run"], more].concat()).exits(0).stdout;
        told.lines()
            .filter(|line| line.starts_with("probes") || line.starts_with("spared"))
            .map(str::to_owned)
            .collect()
    };
    let spared: Vec<String> = plan(&[]);
    assert_eq!(
        spared[..2],
        [
            "probes     8 probes, at most 12 runs more: no-token, malformed-token, expired-token, logged-out-token, \
             refreshed-twice, foreign-thread, foreign-run, foreign-history",
            "spared     forged-token: it may lock the account out; --allow-lockout lets it knock",
        ]
    );
    let allowed: Vec<String> = plan(&["--allow-lockout"]);
    assert!(allowed[0].starts_with("probes     11 probes, at most 15 runs more"), "{allowed:?}");
    assert_eq!(allowed.len(), 3, "{allowed:?}");
}

#[test]
fn where_nobody_is_greeted_a_run_shows_who_was_let_in() {
    let shipped = profile();
    let (head, rest) = shipped.split_once("  script:\n").expect("a script");
    let (_, rest) = rest.split_once("\n# Known frames").expect("what follows it");
    let place = Place::new();
    place.write("target.yaml", &format!("{head}\n# Known frames{rest}"));
    let probes = "probes: [no-token, forged-token, { probe: misplaced-token, in: query }]";
    place.write("scenario.yaml", &format!("{SCENARIO}{probes}\n"));
    let mut options = Options::default();
    options.limits.auth = std::time::Duration::from_millis(300);
    let backend = backend::start(options).expect("a backend");
    let (code, report) = run(&place, "scenario.yaml", &["--url", &backend.http_url()]);
    let rows = rows(&report);
    assert_eq!((code, report.claim("doors")), (1, Some("fail")), "{rows:?}");
    let verdict = |name: &str| rows[name].1.clone().unwrap_or_default();
    assert_eq!((verdict("no-token socket"), verdict("forged-token socket")), ("pass".to_owned(), "pass".to_owned()));
    assert_eq!(rows["misplaced-token socket"].0, "let in: agent_started came", "the query is a second place");
}

/// A site to which a cookie is the token, beside another cookie that is none; `open` lets in whoever comes.
fn by_cookie(open: bool) -> Site {
    Site::new().upgrade(Upgrade::AcceptNoSubprotocol).answers(move |head, body| {
        let own = |email: &str| format!("session=\"2|{TOKEN}{email}\"");
        if head.starts_with("POST /auth/login") {
            let body: Value = serde_json::from_str(body).ok()?;
            let email = body["email"].as_str()?;
            let lines = format!("Set-Cookie: a=1; Path=/\r\nSet-Cookie: {}; Path=/\r\n", own(email));
            return Some((200, lines, json!({ "user": { "id": user_of(email) } }).to_string()));
        }
        let brings = ["qa1@example.com", "qa2@example.com"].iter().any(|email| head.contains(&own(email)));
        (head.starts_with("GET /ws") && !brings && !open)
            .then(|| (401, String::new(), json!({ "error": "no session" }).to_string()))
    })
}

const COOKIE_PROFILE: &str = r#"
version: 1
name: by cookie
http: { base: "http://127.0.0.1:1" }
socket: "ws://127.0.0.1:1/ws"
login:
  - post: /auth/login
    json: { email: "${user.email}", password: "${user.password}" }
    capture: { user_id: /user/id, session: { secret: { cookie: session } } }
connect: { script: [{ wait: { when: { event: connection_established } } }] }
ask:
  send: { type: start_agent, payload: { user_request: "${prompt}", thread_id: "${thread_id}", run_id: "${run_id}" } }
"#;

#[test]
fn a_token_in_a_cookie_is_bent_and_the_other_cookies_are_not() {
    let unknown = COOKIE_PROFILE.replace(", session: { secret: { cookie: session } }", "");
    let shut = (0, Some("pass"), "refused: HTTP 401");
    let wide = (1, Some("fail"), "let in: it was greeted");
    for (profile, open, malformed, none) in [
        (COOKIE_PROFILE, false, shut, shut),
        (COOKIE_PROFILE, true, wide, wide),
        // Without any cookie nobody needs to know which is the token.
        (unknown.as_str(), false, (4, Some("inconclusive"), "spared"), shut),
    ] {
        for (probe, (code, verdict, seen)) in [("malformed-token", malformed), ("no-token", none)] {
            let site = by_cookie(open).serve();
            let place = Place::new();
            place.write("target.yaml", profile);
            place.write(
                "scenario.yaml",
                &format!("{SCENARIO}expect: {{ isolation: {{ required: false }} }}\nprobes: [{probe}]\n"),
            );
            let (exit, report) = run(&place, "scenario.yaml", &["--url", &site.url()]);
            assert_eq!(rows(&report)[&format!("{probe} socket")].0, seen, "{probe}, open: {open}");
            assert_eq!((exit, report.claim("doors")), (code, verdict), "{probe}, open: {open}");
        }
    }
}

/// A site that is asked by request and answers on the socket; threads belong to whoever asked on them first, unless `open`.
fn by_request(open: bool) -> Site {
    type Sockets = Arc<Mutex<BTreeMap<String, Sender<Ask>>>>;
    let (sockets, threads) = (Sockets::default(), Arc::new(Mutex::new(BTreeMap::<String, String>::new())));
    let asking = Arc::clone(&sockets);
    let answers = move |head: &str, body: &str| {
        if !head.starts_with("POST /ask") {
            return None;
        }
        let token = head.lines().find_map(|line| line.strip_prefix("authorization: Bearer "))?;
        let email = token.strip_prefix(TOKEN)?.to_owned();
        let body: Value = serde_json::from_str(body).ok()?;
        let field = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let ask = Ask { prompt: field("text"), thread: field("thread"), run: field("run") };
        let owner = threads.lock().unwrap().entry(ask.thread.clone()).or_insert_with(|| email.clone()).clone();
        if owner != email && !open {
            return Some((403, String::new(), json!({ "error": "not your thread" }).to_string()));
        }
        let _ = asking.lock().unwrap().get(&email)?.send(ask);
        Some((202, String::new(), "{}".to_owned()))
    };
    Site::new().answers(answers).talking(move |talk| {
        let (sender, asks) = channel();
        sockets.lock().unwrap().insert(talk.email.clone(), sender);
        talk.greet()?;
        // Whoever connects again, or the end of the site, takes the other end away.
        let Ok(ask) = asks.recv() else { return Ok(()) };
        talk.answer(&ask)
    })
}

const REQUEST_PROFILE: &str = r#"
version: 1
name: by request
http: { base: "http://127.0.0.1:1", headers: { Authorization: "Bearer ${token}" } }
socket: "ws://127.0.0.1:1/ws"
login:
  - post: /auth/login
    json: { email: "${user.email}", password: "${user.password}" }
    capture: { user_id: [/user/id, /user_id], token: { secret: [/access_token, /token] } }
connect:
  subprotocols: [jwt-auth, "jwt.${token | base64url}"]
  script: [{ wait: { when: { event: connection_established } } }]
ask: { post: /ask, json: { text: "${prompt}", thread: "${thread_id}", run: "${run_id}" }, expect: { status: 202 } }
"#;

#[test]
fn a_thread_of_another_is_asked_for_by_request() {
    for (open, code, verdict, seen) in [
        (false, 0, "pass", "refused: HTTP 403"),
        (true, 1, "fail", "let in: agent_started came, of the other user's thread"),
    ] {
        let site = by_request(open).serve();
        let place = Place::new();
        place.write("target.yaml", REQUEST_PROFILE);
        let isolation = "expect: { isolation: { required: false } }";
        place.write("scenario.yaml", &format!("{SCENARIO}{isolation}\nprobes: [foreign-thread]\n"));
        let (exit, report) = run(&place, "scenario.yaml", &["--url", &site.url()]);
        assert_eq!(rows(&report)["foreign-thread socket"].0, seen, "open: {open}");
        assert_eq!((exit, report.claim("doors")), (code, Some(verdict)), "open: {open}");
    }
}

#[test]
fn doors_are_knocked_at_whatever_way_the_users_met_before() {
    for exposure in ["{ reconnects: 1 }", "{ switch: true }", "{ sockets: 2 }", "{ send_after: [0ms, 50ms] }"] {
        let place = Place::new();
        place.write("target.yaml", &profile());
        let load = format!("load: {{ exposure: {exposure} }}");
        let scenario = SCENARIO.replace("count: 2", "count: 4");
        place.write("scenario.yaml", &format!("{scenario}{load}\nprobes: [malformed-token, foreign-thread]\n"));
        let backend = backend::start(Options::default()).expect("a backend");
        let (code, report) = run(&place, "scenario.yaml", &["--url", &backend.http_url()]);
        assert_eq!((report.claim("doors"), report.failures()), (Some("pass"), vec![]), "{exposure}");
        assert_eq!(code, 0, "{exposure}: {}", report.0["outcome"]);
    }
}

#[test]
fn an_open_door_that_need_not_be_shut_is_told_and_fails_nothing() {
    for (required, code) in
        [("expect: { doors: { required: true } }", 1), ("expect: { doors: { required: false } }", 0)]
    {
        let place = Place::new();
        place.write("target.yaml", &profile());
        place.write("scenario.yaml", &format!("{SCENARIO}{required}\nprobes: [misplaced-token]\n"));
        let backend = backend::start(Options::default()).expect("a backend");
        let (exit, report) = run(&place, "scenario.yaml", &["--url", &backend.http_url()]);
        assert_eq!((exit, report.claim("doors")), (code, Some("fail")), "{required}");
        assert_eq!(report.failures(), [("GP208", 1)], "{required}");
    }
}

#[test]
fn a_token_is_outlived_where_there_is_time_to_wait_for_its_end() {
    let brought = |probes: &str| {
        let place = Place::new();
        place.write("target.yaml", &profile());
        place.write("scenario.yaml", &format!("{SCENARIO}{probes}\n"));
        let token_lifetime = std::time::Duration::from_secs(2);
        let backend = backend::start(Options { token_lifetime, ..Options::default() }).expect("a backend");
        let (code, report) = run(&place, "scenario.yaml", &["--url", &backend.http_url()]);
        assert_eq!((code, report.claim("doors")), (0, Some("pass")), "{probes}: {:?}", rows(&report));
        report.0["doors"][0]["with"].as_str().expect("what was brought").to_owned()
    };
    assert_eq!(brought("probes: [{ probe: expired-token, wait: 10s }]"), "its own token, which has expired meanwhile");
    let bent = brought("probes: [{ probe: expired-token }]");
    assert!(bent.starts_with("a token with an `exp` an hour back"), "{bent}");
}
