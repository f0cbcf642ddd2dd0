//! `goldenpath doctor`: it finds the rung that is broken, says why and what to do, and calls nothing broken that is not.

use serde_json::Value;

use crate::support::process::{Ended, Place, Process, shipped};
use crate::support::relay::{Conduct, HttpProxy, over_tls, stripping};
use crate::support::site::{Site, Upgrade};

/// A folder with a profile, in which these are replaced.
fn place(replaced: &[(&str, &str)]) -> Place {
    let place = Place::new();
    let mut profile = std::fs::read_to_string(shipped("scenarios/targets/netra.yaml")).expect("a profile");
    // Nobody waits for a target to become ready.
    for (old, new) in [("within: 60s", "within: 100ms")].iter().chain(replaced) {
        assert!(profile.contains(old), "{old}");
        profile = profile.replace(old, new);
    }
    place.write("profile.yaml", &profile);
    place
}

fn start(place: &Place, url: &str, flags: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = place.goldenpath(&[&["doctor", "profile.yaml", "--url", url], flags].concat());
    command.envs(variables.iter().copied());
    Process::start(command).end()
}

/// What the doctor says, as data and as the page for people, which says the same.
struct Said {
    json: Value,
    page: String,
}

#[track_caller]
fn doctor(place: &Place, url: &str, flags: &[&str], code: i32) -> Said {
    with_variables(place, url, flags, &[], code)
}

#[track_caller]
fn with_variables(place: &Place, url: &str, flags: &[&str], variables: &[(&str, &str)], code: i32) -> Said {
    let json = start(place, url, &[flags, &["--format", "json"]].concat(), variables).exits(code).stdout;
    let page = start(place, url, flags, variables).exits(code).stdout;
    assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
    Said { json: serde_json::from_str(&json).expect("one document"), page }
}

impl Said {
    /// Names of the rungs in this state.
    fn rungs(&self, state: &str) -> Vec<&str> {
        let rungs = self.json["rungs"].as_array().expect("a list").iter();
        rungs.filter(|rung| rung["state"] == state).filter_map(|rung| rung["rung"].as_str()).collect()
    }

    /// The one broken rung, which is `name`; all behind it are not reached.
    #[track_caller]
    fn broken(&self, name: &str) -> &Value {
        assert_eq!(self.rungs("broken"), [name], "{}", self.page);
        let rungs = self.json["rungs"].as_array().expect("a list");
        let at = rungs.iter().position(|rung| rung["rung"] == name).expect("it is there");
        if name != "clock" {
            assert!(rungs[at + 1..].iter().all(|rung| rung["state"] == "not_reached"), "{}", self.page);
        }
        assert!(rungs[..at].iter().all(|rung| rung["state"] != "not_reached"), "{}", self.page);
        let rung = &rungs[at];
        for part in ["cause", "remedy"] {
            let text = rung[part].as_str().expect("a text");
            assert!(self.page.contains(&text[..20]), "{part}: {}", self.page);
        }
        rung
    }
}

const LADDER: [&str; 14] = [
    "name", "tcp", "proxy", "tls", "http", "clock", "ready", "login", "prepare", "upgrade", "echo", "greeting", "ask",
    "refresh",
];

#[test]
fn troubleshooting_names_rungs_that_exist() {
    let page = std::fs::read_to_string(shipped("docs/troubleshooting.md")).expect("the page");
    let rungs = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").nth(1)?.strip_prefix('`'));
    let rungs: std::collections::BTreeSet<&str> = rungs.map(|rung| rung.trim_end_matches('`')).collect();
    assert!(rungs.iter().all(|rung| LADDER.contains(rung)), "{rungs:?}");
    assert!(rungs.len() > 8, "{rungs:?}");
}

#[test]
fn more_threads_than_cores_are_told_with_the_plan() {
    let place = Place::new();
    place.write("scenario.yaml", &std::fs::read_to_string(shipped("scenarios/smoke.yaml")).expect("a scenario"));
    let plan = place.run(&["run", "scenario.yaml", "--dry-run", "--threads", "256"]).exits(0).stdout;
    assert!(plan.contains("doubtful   256 threads share "), "{plan}");
    let plan = place.run(&["run", "scenario.yaml", "--dry-run"]).exits(0).stdout;
    assert!(!plan.contains("doubtful"), "{plan}");
}

#[test]
fn a_target_that_works_has_no_broken_rung() {
    let place = Place::new();
    let json = place.run(&["doctor", "embedded", "--format", "json"]).exits(0).stdout;
    let said = Said { json: serde_json::from_str(&json).expect("one document"), page: json };
    let rungs: Vec<_> =
        said.json["rungs"].as_array().unwrap().iter().filter_map(|rung| rung["rung"].as_str()).collect();
    assert_eq!(rungs, LADDER);
    let good = ["tcp", "http", "clock", "ready", "login", "upgrade", "echo", "greeting", "ask", "refresh"];
    assert_eq!(said.rungs("good"), good);
    let event = |name: &str| {
        let events = said.json["events"].as_array().expect("a list");
        let event = events.iter().find(|event| event["event"] == name).unwrap_or_else(|| panic!("{events:#?}"));
        (event["meaning"].as_str().expect("a text").to_owned(), event["times"].as_u64().expect("a number"))
    };
    assert_eq!(event("connection_established"), ("what the script waits for".to_owned(), 1));
    assert_eq!(event("agent_thinking").0, "part of a run");
    assert_eq!(event("agent_completed").0, "a good end");
    let ids = said.json["ids"].as_array().expect("a list");
    assert!(ids.iter().all(|id| id["meaning"] == "the user's own"), "{ids:#?}");
    assert_eq!(said.json["carriers"], serde_json::json!([]), "nothing is tried where nothing is broken");
    assert_eq!(place.names(), Vec::<String>::new(), "nothing is written");
}

#[test]
fn every_carrier_is_tried_when_somebody_asks_and_nobody_asks_the_agent() {
    let site = Site::new().upgrade(Upgrade::AcceptNoSubprotocol).talking(|talk| {
        let header = talk.head.to_ascii_lowercase().contains("authorization: bearer eyj");
        if header || !talk.email.is_empty() { talk.greet() } else { talk.close(1008, "Authentication failed") }
    });
    let said = doctor(&place(&[]), &site.serve().url(), &["--carriers", "--no-ask"], 0);
    let tried: Vec<_> = said.json["carriers"].as_array().unwrap().iter().map(|tried| &tried["state"]).collect();
    assert_eq!(tried, ["good", "broken"], "{}", said.page);
    assert!(said.rungs("absent").contains(&"ask"));
    assert!(said.page.contains("1008"), "{}", said.page);
    let upgrade = said.json["rungs"].as_array().unwrap().iter().find(|rung| rung["rung"] == "upgrade").unwrap();
    assert_eq!(upgrade["said"], "the target speaks WebSocket; the token is carried by subprotocol");
}

#[test]
fn a_wrong_password_breaks_the_login() {
    let site = Site::new().login(|_| (401, r#"{"detail":"Invalid credentials"}"#.to_owned())).serve();
    let place = place(&[]);
    let said = with_variables(&place, &site.url(), &[], &[("GOLDENPATH_PASSWORD", "not-this-one")], 3);
    let rung = said.broken("login");
    assert!(rung["cause"].as_str().unwrap().contains("a password that is wrong"), "{rung}");
    let wire = rung["wire"].to_string();
    assert!(wire.contains("POST ") && wire.contains("HTTP 401") && wire.contains("Invalid credentials"), "{wire}");
    assert!(said.page.contains("qa1@example.com"), "{}", said.page);
    assert!(!said.page.contains("not-this-one") && !said.json.to_string().contains("not-this-one"));
}

#[test]
fn a_wrong_path_breaks_its_step_or_the_upgrade() {
    let site = Site::new().serve();
    let said = doctor(&place(&[("/auth/login\"", "/auth/signin\"")]), &site.url(), &[], 3);
    assert!(said.broken("login")["remedy"].as_str().unwrap().contains("correct the path"), "{}", said.page);
    let site = Site::new().upgrade(Upgrade::Refuse(404, r#"{"no":"/ws"}"#)).serve();
    let said = doctor(&place(&[]), &site.url(), &[], 3);
    let rung = said.broken("upgrade");
    assert_eq!(rung["remedy"], "correct the path of `socket` in the profile");
    assert!(rung["wire"].to_string().contains("/ws"), "{rung}");
}

#[test]
fn a_proxy_that_strips_the_subprotocol_is_found_by_what_works_instead() {
    let site = Site::new().upgrade(Upgrade::AcceptNoSubprotocol).talking(|talk| {
        let header = talk.head.to_ascii_lowercase().contains("authorization: bearer eyj");
        if header || !talk.email.is_empty() { talk.greet() } else { talk.close(1008, "Authentication failed") }
    });
    let site = site.serve();
    let front = stripping(site.address(), "Sec-WebSocket-Protocol");
    let said = doctor(&place(&[]), &format!("http://{}", front.address), &[], 3);
    let rung = said.broken("greeting");
    assert!(rung["wire"].to_string().contains("close 1008 Authentication failed"), "{rung}");
    let carriers = said.json["carriers"].as_array().unwrap();
    let state = |tried: &Value| ["carrier", "state"].map(|key| tried[key].as_str().expect("a word").to_owned());
    let states: Vec<_> = carriers.iter().map(state).collect();
    assert_eq!(states, [["header", "good"], ["query", "broken"]], "{}", said.page);
    assert!(said.page.contains(r#"Authorization: "Bearer ${token}""#), "{}", said.page);
    // Selecting none is the profile's to allow or not.
    let strict = place(&[("echo: lenient", "echo: strict")]);
    let said = doctor(&strict, &site.url(), &[], 3);
    assert!(said.broken("echo")["cause"].as_str().unwrap().contains("strips the header"), "{}", said.page);
}

#[test]
fn a_certificate_that_is_not_trusted_is_shown() {
    let site = Site::new().serve();
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let front = over_tls(site.address(), &own, None);
    let url = format!("https://localhost:{}", front.address.port());
    let place = place(&[]);
    place.write("ca.pem", &own.cert.pem());
    let said = doctor(&place, &url, &[], 3);
    let rung = said.broken("tls");
    assert!(rung["wire"].to_string().contains("for localhost, by itself, "), "{rung}");
    assert!(rung["remedy"].as_str().unwrap().contains("--cacert"), "{rung}");
    let said = doctor(&place, &url, &["--cacert", "ca.pem"], 0);
    assert!(said.json["rungs"][3]["said"].as_str().unwrap().contains("1 given roots"), "{}", said.page);
    let said = doctor(&place, &url, &["--insecure"], 0);
    assert!(said.json["rungs"][3]["said"].as_str().unwrap().contains("NOT CHECKED"), "{}", said.page);
    let other = url.replace("localhost", "127.0.0.1");
    let said = doctor(&place, &other, &["--cacert", "ca.pem"], 3);
    assert_eq!(said.broken("tls")["cause"], "a certificate for another name");
}

#[test]
fn a_server_that_greets_and_stays_silent_breaks_the_ask() {
    let site = Site::new().talking(|talk| {
        talk.greet()?;
        talk.ask().map(drop)
    });
    let said = doctor(&place(&[]), &site.serve().url(), &["--set", "timeouts.first_event=200ms"], 3);
    let rung = said.broken("ask");
    let wire = rung["wire"].to_string();
    assert!(rung["said"].as_str().unwrap().starts_with("GP301 never-started"), "{rung}");
    assert!(wire.contains("< {\\\"type\\\":\\\"connection_established") && wire.contains("> {"), "{wire}");
    assert!(!wire.contains("eyJ"), "{wire}");
}

#[test]
fn a_server_that_does_not_greet_breaks_the_greeting() {
    let site = Site::new().talking(|_| Ok(()));
    let flags = ["--set", "timeouts.greeting=200ms"];
    let said = doctor(&place(&[]), &site.serve().url(), &flags, 3);
    assert!(said.broken("greeting")["said"].as_str().unwrap().starts_with("GP408"), "{}", said.page);
}

#[test]
fn a_clock_an_hour_off_is_broken_and_keeps_nobody_from_climbing_on() {
    let hour = std::time::Duration::from_secs(3600);
    for (behind, told) in [(true, " behind this machine's"), (false, "ahead of this machine's")] {
        let now = std::time::SystemTime::now();
        let date = httpdate::fmt_http_date(if behind { now - hour } else { now + hour });
        let site = Site::new().answers(move |head, _| {
            head.starts_with("GET / ").then(|| (404, format!("Date: {date}\r\n"), String::new()))
        });
        let said = doctor(&place(&[]), &site.serve().url(), &[], 3);
        let rung = said.broken("clock");
        assert!(rung["said"].as_str().unwrap().contains(told), "{rung}");
        assert!(said.rungs("good").contains(&"ask"), "{}", said.page);
    }
}

#[test]
fn where_nobody_listens_nothing_above_is_reached() {
    let url = Site::new().serve().url();
    let said = doctor(&place(&[]), &url, &[], 3);
    assert!(said.broken("tcp")["said"].as_str().unwrap().contains("connection refused"), "{}", said.page);
    // A socket elsewhere is reached by a user who has logged in.
    let site = Site::new().serve();
    let place = place(&[("${env.NETRA_WS:-ws://127.0.0.1:8000}", &url.replace("http", "ws"))]);
    let mut command = place.goldenpath(&["doctor", "profile.yaml", "--format", "json"]);
    command.env("NETRA_URL", site.url());
    let json = Process::start(command).end().exits(3).stdout;
    let said = Said { json: serde_json::from_str(&json).expect("one document"), page: json };
    assert_eq!(said.rungs("broken"), ["socket tcp"]);
    assert_eq!(
        said.rungs("not_reached"),
        ["socket proxy", "socket tls", "upgrade", "echo", "greeting", "ask", "refresh"]
    );
    assert!(said.rungs("good").contains(&"login"), "{}", said.page);
}

#[test]
fn a_proxy_that_does_not_lead_is_the_broken_rung() {
    let site = Site::new().serve();
    let own = rcgen::generate_simple_self_signed(vec!["chat.example".to_owned()]).expect("a certificate");
    let front = over_tls(site.address(), &own, None);
    let place = place(&[]);
    place.write("ca.pem", &own.cert.pem());
    let url = format!("https://chat.example:{}", front.address.port());
    let flags = ["--cacert", "ca.pem"];
    for (conduct, code) in [(Conduct::Leads(None), 0), (Conduct::Refuses(407), 3)] {
        let proxy = HttpProxy::serve(front.address, conduct);
        let variables = [("HTTPS_PROXY", proxy.address()), ("GOLDENPATH_PASSWORD", "golden-path".to_owned())];
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let said = with_variables(&place, &url, &flags, &variables, code);
        assert!(said.page.contains(&proxy.address()), "{}", said.page);
        if code == 3 {
            assert!(said.broken("proxy")["said"].as_str().unwrap().contains("407"), "{}", said.page);
        }
    }
}

#[test]
fn each_fault_breaks_the_rung_where_it_strikes() {
    let place = Place::new();
    for (fault, rung, carriers) in [
        ("login-inside", "login", 0),
        ("upgrade-403", "upgrade", 2),
        ("upgrade-503", "upgrade", 0),
        ("upgrade-wrong-key", "upgrade", 0),
        ("token-foreign", "upgrade", 2),
        ("greeting-refused", "greeting", 2),
        ("history-lost", "ask", 0),
        ("drop-completed", "ask", 0),
    ] {
        let patience = ["--set", "timeouts.stall=1s", "--set", "timeouts.greeting=5s"];
        let arguments = [&["doctor", "embedded", "--fault", fault, "--format", "json"][..], &patience].concat();
        let ended = place.run(&arguments).exits(3);
        let said = Said { json: serde_json::from_str(&ended.stdout).expect("one document"), page: ended.stdout };
        assert_eq!(said.rungs("broken"), [rung], "{fault}: {}", said.page);
        assert_eq!(said.json["carriers"].as_array().map(Vec::len), Some(carriers), "{fault}: {}", said.page);
    }
    let page = place.run(&["doctor", "embedded", "--fault", "token-foreign"]).exits(3).stdout;
    assert!(page.contains("it is the token that is not accepted"), "{page}");
}

#[test]
fn a_scenario_lends_its_first_user_and_question() {
    let place = Place::new();
    place.write("users.csv", "email,password\nann@example.com,golden-path\nbob@example.com,golden-path\n");
    place.write(
        "scenario.yaml",
        "version: 1\nname: mine\ntarget: embedded\nusers: { count: 2, file: users.csv }\n\
         load: { closed: { iterations: 100 } }\nask: { prompt: \"What is it? (ref ${canary})\" }\n\
         expect: { budgets: { run: { p95: 1s } } }\n",
    );
    let ended = place.run(&["doctor", "scenario.yaml"]).exits(0);
    assert!(ended.stdout.contains("every rung holds"), "{}", ended.stdout);
}

#[test]
fn what_cannot_be_examined_is_told_before_any_traffic() {
    let place = place(&[]);
    for (arguments, told) in [
        (&["doctor", "nothing.yaml"][..], "there is no file"),
        (&["doctor", "profile.yaml", "--users", "3"], "the doctor sends one user"),
        (&["doctor", "profile.yaml", "--target", "embedded"], "name one of them"),
        (&["doctor", "--url", "http://127.0.0.1:1"], "without a TARGET this machine is examined"),
        (&["doctor", "--insecure"], "without a TARGET this machine is examined"),
        (&["doctor", "--no-ask"], "TARGET"),
    ] {
        let ended = place.run(arguments).exits(2);
        assert!(ended.stderr.contains(told), "{told}: {}", ended.stderr);
    }
}

#[test]
fn without_a_target_this_machine_is_examined() {
    let place = Place::new();
    let page = place.run(&["doctor"]).exits(0).stdout;
    for told in ["clock", "timer", "files", "ports", "backlog", "cores", "frames a second on each thread"] {
        assert!(page.contains(told), "{told}: {page}");
    }
    assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
    let json: Value = serde_json::from_str(&place.run(&["doctor", "--format", "json"]).exits(0).stdout).unwrap();
    assert!(json["frames_per_second"].as_u64() > Some(0) || !cfg!(target_os = "linux"), "{json}");
    assert_eq!(place.names(), Vec::<String>::new(), "nothing is written");
}
