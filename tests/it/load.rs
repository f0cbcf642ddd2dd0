//! Workloads as their users meet them: open ones, held connections, pauses, deadlines, and what ends the work early.
//!
//! Schedules are `plan`'s and their keeping `engine`'s; here it is seen that scenarios reach them and reports tell of them.

use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::process::{Ended, Place, Process, Stream, shipped};
use crate::support::report::Report;
use crate::support::site::Site;

/// Executes a scenario with this `load` on the embedded backend; more lines may follow.
fn run(users: &str, load: &str, more: &[&str]) -> (Place, Ended) {
    let place = Place::new();
    place.write(
        "scenario.yaml",
        &format!(
            r#"
version: 1
name: load
target: embedded
users: {{ {users}, email: "qa${{user.number}}@example.com", password: {{ env: PASSWORD, on_loopback: golden-path }} }}
load: {load}
ask: {{ prompt: "Which services drive our cloud bill? (ref ${{canary}})" }}
timeouts: {{ quiet: 20ms }}
"#
        ),
    );
    let arguments = ["run", "scenario.yaml", "--out", "out", "-q", "--record", "all"];
    let ended = place.run(&[&arguments[..], more].concat());
    (place, ended)
}

fn report(place: &Place) -> Report {
    Report::in_folder(&place.path().join("out"))
}

fn segment<'r>(report: &'r Report, name: &str) -> Option<&'r Value> {
    report.0["segments"].as_array().expect("segments").iter().find(|segment| segment["name"] == name)
}

/// The same misbehaving backend as by `--fault`, named in the scenario.
#[test]
fn an_embedded_target_misbehaves_as_its_scenario_says() {
    let faults = "target={ profile: embedded, faults: [drop-thinking] }";
    let (place, ended) = run("count: 2", "{ closed: { iterations: 1 } }", &["--set", faults]);
    ended.exits(1);
    assert_eq!(report(&place).failures(), [("GP101", 2)]);
}

#[test]
fn nine_of_ten_runs_are_held_against_a_limit() {
    // No lateness of a busy machine explains runs of two seconds.
    for (limit, code, verdict) in [("1ms", 1, "fail"), ("60s", 0, "pass")] {
        let budget = format!("expect.budgets={{ run: {{ p90: {limit} }} }}");
        let more = ["--set", &budget, "--fault", "slow-tool:by=2s"];
        let (place, ended) = run("count: 20", "{ closed: { iterations: 1 } }", &more);
        ended.exits(code);
        assert_eq!(report(&place).claim("run p90"), Some(verdict), "{limit}");
    }
}

#[test]
fn set_ups_that_may_fail_are_told_and_fail_nothing() {
    for (required, code) in [("required: true", 1), ("required: false", 0)] {
        let setup = format!("expect={{ setup: {{ {required} }}, isolation: {{ required: false }} }}");
        let once = "login-error:first=1";
        let (place, ended) = run("count: 3", "{ closed: { iterations: 1 } }", &["--set", &setup, "--fault", once]);
        ended.exits(code);
        let report = report(&place);
        assert_eq!((report.claim("setup"), report.count("setups_failed")), (Some("fail"), 1), "{required}");
    }
}

#[test]
fn users_begin_by_the_clock_and_response_stands_beside_service_time() {
    let load = "{ open: { rate: 40/s, for: 1s, takes: 5s } }";
    let (place, ended) = run("count: auto", load, &["--set", "expect.budgets.response.p95=30s"]);
    ended.exits(0);
    let report = report(&place);
    assert_eq!(
        (report.0["scenario"]["users"].as_u64(), report.count("arrivals"), report.count("arrivals_dropped")),
        (Some(200), 40, 0)
    );
    assert_eq!(report.count("runs_good"), 40);
    let us = |name: &str| segment(&report, name).expect("it was measured")["p50_us"].as_u64().expect("a median");
    assert!(us("response") >= us("golden_path"), "{} {}", us("response"), us("golden_path"));
    assert_eq!(report.claim("response p95"), Some("pass"));
}

#[test]
fn arrivals_that_find_nobody_free_make_latencies_inconclusive() {
    let load = "{ open: { stages: [{ for: 500ms, rate: 20/s }, { for: 500ms, rate: 200/s }] } }";
    let limits = ["--set", "expect.budgets.response.max=30s", "--set", "expect.isolation.required=false"];
    let (place, ended) = run("count: 2", load, &limits);
    ended.exits(4);
    let report = report(&place);
    assert_eq!(report.count("arrivals"), 110);
    let dropped = report.count("arrivals_dropped");
    assert_eq!(dropped + report.count("iterations"), 110);
    assert!(dropped > 0 && report.finding("GP901")["count"] == 1, "{dropped}");
    assert_eq!((report.claim("response max"), report.claim("events")), (Some("inconclusive"), Some("pass")));
}

#[test]
fn a_target_that_stalls_for_a_second_shows_in_the_response() {
    let began = OnceLock::new();
    let site = Site::new().talking(move |talk| {
        talk.greet()?;
        let ask = talk.ask()?;
        // Between half a second and one and a half after the first question nobody is answered.
        let (from, to) = (Duration::from_millis(500), Duration::from_millis(1_500));
        let since = began.get_or_init(Instant::now).elapsed();
        if (from..to).contains(&since) {
            let (_keep, never) = channel::<()>();
            let _ = never.recv_timeout(to - since);
        }
        talk.answer(&ask)
    });
    let site = site.serve();
    let profile = shipped("scenarios/targets/netra.yaml");
    let load = "{ open: { rate: 20/s, for: 2s } }";
    let (place, ended) = run("count: 60", load, &["--target", &profile, "--url", &site.url()]);
    ended.exits(0);
    let report = report(&place);
    assert_eq!((report.count("arrivals"), report.count("arrivals_dropped")), (40, 0));
    // 20 arrivals met it, and waited half a second on average. A closed workload would have met it once per user.
    let response = segment(&report, "response").expect("it was measured");
    let slow =
        response["histogram"]["values_us"].as_array().expect("values").iter().filter(|us| us.as_u64() > Some(400_000));
    let (slow, max) = (slow.count(), response["max_us"].as_u64());
    assert!(slow >= 8 && max > Some(850_000), "{slow} {max:?}");
}

#[test]
fn users_of_several_threads_share_one_schedule() {
    let load = "{ open: { rate: 20/s, for: 4s, arrivals: poisson } }";
    let (place, ended) = run("count: 40, session: keep", load, &["--threads", "3", "--seed", "7"]);
    ended.exits(0);
    let threads = report(&place);
    let (place, ended) = run("count: 40, session: keep", load, &["--seed", "7"]);
    ended.exits(0);
    let one = report(&place);
    assert_eq!(threads.count("arrivals"), one.count("arrivals"));
    assert_eq!((threads.count("arrivals_dropped"), one.count("arrivals_dropped")), (0, 0));
    // Kept sessions log in when their first arrival comes, and no more.
    assert!(one.count("setups") < one.count("runs") && segment(&one, "response").is_some());
}

#[test]
fn connections_are_held_before_the_first_ask() {
    let (place, ended) =
        run("count: 3, session: keep", "{ closed: { iterations: 2, think_time: 10ms }, hold: 700ms }", &[]);
    ended.exits(0);
    let report = report(&place);
    assert_eq!((report.count("runs_good"), report.count("setups")), (6, 3));
    assert!(report.0["execution"]["duration_us"].as_u64() > Some(700_000), "{}", report.0["execution"]);
}

#[test]
fn who_is_told_not_to_wait_asks_while_others_still_log_in() {
    for (together, code, verdict) in [(true, 0, "pass"), (false, 4, "inconclusive")] {
        let load = format!("{{ closed: {{ iterations: 1, together: {together} }} }}");
        let more = ["--set", "expect.isolation.min_overlap=100%", "--fault", "login-slow:first=1,by=2s"];
        let (place, ended) = run("count: 2", &load, &more);
        ended.exits(code);
        let report = report(&place);
        assert_eq!((report.claim("isolation"), report.count("runs_good")), (Some(verdict), 2), "{together}");
    }
}

#[test]
fn what_is_not_over_at_the_deadline_is_cut_and_fails() {
    let (place, ended) = run("count: 2", "{ closed: { iterations: 1000 }, deadline: 400ms }", &[]);
    ended.exits(1);
    let report = report(&place);
    assert_eq!((report.claim("deadline"), report.claim("events")), (Some("fail"), Some("pass")));
    assert_eq!(report.failures(), []);
    let (place, ended) = run("count: 2", "{ closed: { iterations: 1 }, deadline: 60s }", &[]);
    ended.exits(0);
    assert_eq!(self::report(&place).claim("deadline"), Some("pass"));
}

#[test]
fn a_leak_ends_the_work_where_that_is_asked() {
    let load = "{ closed: { iterations: 1000 }, stop: { on: isolation } }";
    let (place, ended) = run("count: 4", load, &["--fault", "leak-copy:after=5"]);
    let ended = ended.exits(1);
    let report = report(&place);
    assert_eq!(report.claim("isolation"), Some("fail"));
    assert!(report.count("iterations") < 100, "{}", report.count("iterations"));
    assert!(report.0.to_string().contains("a finding about isolation was to end it"), "{}", ended.stdout);
}

#[test]
fn time_and_findings_end_the_work_where_that_is_asked() {
    let (place, ended) = run("count: 2", "{ closed: { iterations: 100000 }, stop: { after: 500ms } }", &[]);
    ended.exits(0);
    assert!(report(&place).0.to_string().contains("500 ms were to end it"));
    let load = "{ closed: { iterations: 1000 }, stop: { findings: 3 } }";
    let (place, ended) = run("count: 2", load, &["--fault", "drop-thinking"]);
    ended.exits(1);
    let missing = report(&place).finding("GP101")["count"].as_u64();
    assert!((Some(3)..Some(20)).contains(&missing), "{missing:?}");
}

#[test]
fn a_dry_run_says_when_users_begin_and_what_the_machine_needs() {
    let load = "{ open: { stages: [{ for: 30s, to: 10/s }, { for: 1m, rate: 10/s }], arrivals: poisson, takes: 2s }, \
                deadline: 5m, stop: { on: isolation, after: 2m } }";
    let (_, ended) = run("count: auto", load, &["--dry-run"]);
    let shown = ended.exits(0).stdout;
    for line in [
        "plan       34 users (1 to 34), 750 logins, 750 runs, on 1 thread",
        "begin      750 arrivals by the clock, by chance; 0/s to 10/s within 30 s; 10/s for 1 min",
        "lasts      about 1 min 32 s, if an iteration takes 2 s; cut after 5 min",
        "ended by   a finding about isolation, 2 min",
        "refused    no: it may be run",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    assert!(shown.contains("machine    up to 132 connections"), "{shown}");
    let held = "{ closed: { iterations: 3, think_time: { from: 1s, to: 2s } }, hold: 10s }";
    let (_, ended) = run("count: 2", held, &["--dry-run"]);
    let shown = ended.exits(0).stdout;
    let begin = "begin      3 iterations of each user, as soon as it is done; after 1 s to 2 s of thinking; held connected for \
                 10 s before the first";
    assert!(shown.contains(begin) && shown.contains("lasts      12 s, and what the target takes"), "{shown}");
}

#[test]
fn a_plan_is_what_a_dry_run_shows_and_sends_nothing() {
    let (place, ended) = run("count: 5", "{ closed: { iterations: 2 } }", &["--dry-run", "--seed", "7"]);
    let dry = ended.exits(0).stdout;
    let planned = place.run(&["plan", "scenario.yaml", "--seed", "7"]).exits(0).stdout;
    assert_eq!(planned, dry);
    assert!(planned.contains("plan       5 users (1 to 5), 10 logins, 10 runs, on 1 thread"), "{planned}");
    assert_eq!(place.names(), ["scenario.yaml"]);
    let told = place.run(&["plan"]).exits(2).stderr;
    assert!(told.contains("for example: goldenpath plan scenarios/smoke.yaml"), "{told}");
    // What is asked for as JSON is not answered in another form.
    place.run(&["run", "scenario.yaml", "--dry-run", "--format", "json"]).exits(2);
}

const PERSONAS: &str = r#"personas=[
    {name: brief, share: 30%, ask: {prompt: "What is cheapest? (ref ${canary})", answer: {min_chars: 100000}}},
    {name: patient, share: 20%, think_time: 1ms}]"#;

#[test]
fn personas_ask_otherwise_and_are_told_apart_in_plan_and_report() {
    let more = ["--seed", "7", "--set", PERSONAS, "--threads", "2"];
    let (place, ended) = run("count: 30", "{ closed: { iterations: 2 } }", &more);
    ended.exits(1);
    let report = report(&place);
    let personas = report.0["personas"].as_array().expect("personas");
    let of = |which: usize, field: &str| personas[which][field].as_u64().expect("a number");
    assert_eq!((personas[0]["name"].as_str(), personas[1]["name"].as_str()), (Some("brief"), Some("patient")));
    let (brief, patient) = (of(0, "users"), of(1, "users"));
    assert!(brief > 0 && patient > 0 && brief + patient < 30, "{personas:?}");
    assert_eq!((of(0, "iterations"), of(1, "iterations")), (2 * brief, 2 * patient));
    // Only the persona's answers are held to its own rule.
    let short = report.finding("GP503");
    assert_eq!((short["count"].as_u64(), short["users"].as_u64()), (Some(2 * brief), Some(brief)));
    let plan = place.run(&["plan", "scenario.yaml", "--seed", "7", "--set", PERSONAS]).exits(0).stdout;
    for line in [
        format!("persona    brief: 30% of users, {brief} users; another prompt"),
        format!("persona    patient: 20% of users, {patient} users; 1 ms of thinking"),
    ] {
        assert!(plan.lines().any(|shown| shown == line), "{line}\n{plan}");
    }
    let unseeded = place.run(&["plan", "scenario.yaml", "--set", PERSONAS]).exits(0).stdout;
    assert!(unseeded.contains("persona    brief: 30% of users, about 9 users; another prompt"), "{unseeded}");
    // What is judged again says the same of them.
    let again = place.run(&["judge", "out", "--format", "json"]);
    let again = Report::parse(&again.exits(1).stdout);
    assert_eq!(again.0["personas"], report.0["personas"]);
}

#[test]
fn what_goes_on_is_summed_up_meanwhile_and_adds_up_to_the_whole() {
    let load = "{ closed: { iterations: 100000 }, stop: { after: 2300ms } }";
    let (place, ended) = run("count: 2", load, &["--every", "1s", "--fault", "drop-thinking:after=2"]);
    let told = ended.exits(1).stderr;
    let report = report(&place);
    let text = std::fs::read_to_string(place.path().join("out/intervals.jsonl")).expect("summaries");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    assert!(lines.len() >= 3, "{text}");
    let sum = |field: &str| lines.iter().map(|line| line[field].as_u64().expect("a number")).sum::<u64>();
    assert_eq!(sum("iterations"), report.count("iterations") + report.count("iterations_interrupted"));
    assert_eq!((sum("runs_good"), sum("frames")), (report.count("runs_good"), report.count("frames")));
    let missing: u64 = lines.iter().filter_map(|line| line["findings"]["GP101"].as_u64()).sum();
    assert_eq!(Some(missing), report.finding("GP101")["count"].as_u64());
    for pair in lines.windows(2) {
        assert_eq!(pair[0]["to_us"], pair[1]["from_us"]);
    }
    // Quiet is quiet.
    assert!(!told.contains("iterations;"), "{told}");
    let planned = place.run(&["plan", "scenario.yaml", "--set", "load.intervals=5m"]).exits(0).stdout;
    assert!(planned.contains("summed up  every 5 min, on stderr and in intervals.jsonl"), "{planned}");
    let refused = place.run(&["run", "scenario.yaml", "--every", "200ms"]).exits(2).stderr;
    assert!(refused.contains("1 s is the shortest"), "{refused}");
    // The report has the same course in slices.
    let instrument = &report.0["instrument"];
    let slices = instrument["over_time"].as_array().expect("slices");
    let observed: u64 = slices.iter().map(|slice| slice["observed_us"].as_u64().expect("a number")).sum();
    assert_eq!(Some(observed), instrument["observed_us"].as_u64());
    assert!(slices.len() >= 2 && instrument["machine"]["over_time"].as_array().is_some_and(|all| all.len() >= 2));
    let page = std::fs::read_to_string(place.path().join("out/report.html")).expect("a page");
    for title in ["Late by", "Frames a second", "Computing, % of a core", "Runs in flight"] {
        assert!(page.contains(&format!("<strong>{title}</strong>")), "{title}");
    }
}

#[test]
fn what_was_summed_up_outlives_a_kill() {
    let (place, _) = run("count: 2", "{ closed: { iterations: 1 } }", &["--dry-run"]);
    let load = "load={closed: {iterations: 100000}, intervals: 1s}";
    let mut process = Process::start(place.goldenpath(&["run", "scenario.yaml", "--set", load, "--out", "out"]));
    process.wait_for(Stream::Err, "0:00 to 0:01: ");
    process.signal("KILL");
    process.end();
    let text = std::fs::read_to_string(place.path().join("out/intervals.jsonl")).expect("summaries");
    let first: Value = serde_json::from_str(text.lines().next().expect("a line")).expect("an object");
    assert!(first["iterations"].as_u64() > Some(0) && text.ends_with('\n'), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_machine_cannot_do_is_refused_before_any_traffic() {
    let (place, ended) = run("count: 900000", "{ closed: { iterations: 1 } }", &[]);
    let told = ended.exits(2).stderr;
    assert!(told.contains("900000 users: up to 1800392 open files are needed, and this process may open"), "{told}");
    assert_eq!(place.names(), ["scenario.yaml"]);
}

const WARM: &str = "{ warm_up: 1, closed: { iterations: 2 } }";
const COLD: &str = "{ closed: { iterations: 3 } }";

/// Verdicts of a load whose first iteration of each user meets this fault.
fn first_meets(fault: &str, load: &str, more: &[&str]) -> (i32, Report) {
    let (place, ended) = run("count: 2", load, &[&["--fault", fault], more].concat());
    let code = ended.status.code().unwrap_or_else(|| panic!("{}", ended.stderr));
    (code, report(&place))
}

#[test]
fn a_first_iteration_that_is_slow_breaks_no_budget_where_it_warms_up() {
    let budget = ["--set", "expect.budgets.run.max=1s"];
    let (code, cold) = first_meets("slow-first:by=2s,first=2", COLD, &budget);
    assert_eq!((code, cold.claim("run max")), (1, Some("fail")));
    let (code, warm) = first_meets("slow-first:by=2s,first=2", WARM, &budget);
    assert_eq!((code, warm.claim("run max"), warm.failures()), (0, Some("pass"), vec![]));
    // Two of three iterations count, in every figure but those of set-ups.
    let figures = |report: &Report| ["runs", "iterations", "answers", "setups"].map(|name| report.count(name));
    assert_eq!((figures(&cold), figures(&warm)), ([6, 6, 6, 6], [4, 4, 4, 6]));
    assert_eq!(warm.0["scenario"]["iterations"], 2);
    for name in ["run", "login", "golden_path"] {
        assert_eq!(segment(&warm, name).map(|segment| segment["runs"].as_u64()), Some(Some(4)), "{name}");
    }
    let why = warm.0["verdict"].to_string();
    assert!(why.contains("2 iterations to warm up, not counted"), "{why}");
}

#[test]
fn a_leak_is_a_leak_and_a_login_that_fails_is_told_also_where_it_warms_up() {
    // Whoever asks first may be alone.
    let (code, report) = first_meets("leak-copy:first=2", WARM, &[]);
    assert_eq!((code, report.claim("isolation")), (1, Some("fail")), "{:?}", report.failures());
    let (code, report) = first_meets("login-error:first=1", WARM, &[]);
    assert_eq!((code, report.claim("setup"), report.failures()), (1, Some("fail"), vec![("GP403", 1)]));
}

#[test]
fn a_warm_up_that_went_wrong_is_no_finding_and_no_pass() {
    let (code, cold) = first_meets("drop-thinking:first=1", COLD, &[]);
    assert_eq!((code, cold.failures()), (1, vec![("GP101", 1)]));
    let (code, warm) = first_meets("drop-thinking:first=1", WARM, &[]);
    assert_eq!(
        (code, warm.claim("setup"), warm.claim("events"), warm.failures()),
        (4, Some("inconclusive"), Some("pass"), vec![])
    );
    let missing = warm.0["claims"].to_string();
    assert!(missing.contains("1 of 2 iterations to warm up did not end well"), "{missing}");
    assert!(missing.contains("GP101"), "{missing}");
}

#[test]
fn a_session_that_is_kept_is_set_up_by_the_warm_up_and_the_first_judged_asks_come_together() {
    let (place, ended) = run("count: 3, session: keep", WARM, &["--set", "expect.isolation.min_overlap=100%"]);
    ended.exits(0);
    let report = report(&place);
    assert_eq!((report.count("setups"), report.count("connections"), report.count("runs")), (3, 3, 6));
    assert!(segment(&report, "login").is_none(), "it was no part of what is measured");
}
