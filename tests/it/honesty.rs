//! The harness starved on purpose: what it says of latencies is held against the backend's own clock.
//!
//! Starved is what SIGSTOP makes of its process: its threads stand still while the backend, in the process of the test, answers.
//! The backend's journal is the truth. How long a write takes to arrive, and how busy the machine is, is not in it, so figures
//! may stray by a part of what the standing still would add if the harness took its own lateness for the target's.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use goldenpath::backend::journal::Entry;
use goldenpath::backend::{Delays, Options, Running, Script, start};
use serde_json::Value;

use crate::support::process::{Place, Process};
use crate::support::report::Report;

/// So many that there is a 99th percentile.
const USERS: usize = 100;
/// How long the harness stands still when everything has been sent.
const STARVED: Duration = Duration::from_secs(2);
/// What figures may stray by.
const NOISE: u64 = 500_000;

fn backend(delay: Duration) -> Running {
    let script = Script { delays: Delays::every(delay), ..Script::default() };
    start(Options { script, journal: true, ..Options::default() }).expect("a backend")
}

fn harness(place: &Place, backend: &Running, load: &str, budgets: &str) -> Process {
    place.write(
        "scenario.yaml",
        &format!(
            r#"
version: 1
name: starved
target: embedded
users: {{ count: {USERS}, email: "qa${{user.number}}@example.com", password: {{ env: PASSWORD, on_loopback: golden-path }} }}
load: {load}
ask: {{ prompt: "Which services drive our cloud bill? (ref ${{canary}})" }}
expect: {{ isolation: {{ min_overlap: 0% }}, budgets: {budgets} }}
timeouts: {{ quiet: 20ms }}
"#
        ),
    );
    let arguments = ["run", "scenario.yaml", "--url", &backend.http_url(), "--out", "out", "-q", "--record", "all"];
    Process::start(place.goldenpath(&arguments))
}

/// Waits until the backend has sent so many events of a kind.
fn until_sent(backend: &Running, kind: &str, count: usize) {
    let watchdog = Instant::now() + Duration::from_secs(50);
    while backend.journal().iter().filter(|entry| entry.kind == kind).count() < count {
        assert!(Instant::now() < watchdog, "{count} x {kind} were never sent");
        pass(Duration::from_millis(5));
    }
}

/// Time goes by.
fn pass(time: Duration) {
    let (_keep, never) = channel::<()>();
    let _ = never.recv_timeout(time);
}

/// How long each run took between two of its events by the backend's clock, sorted.
fn truth(journal: &[Entry], from: &str, to: &str) -> Vec<u64> {
    let mut began = BTreeMap::new();
    let mut all = Vec::new();
    for entry in journal {
        let at = entry.at.as_micros() as u64;
        match &entry.run_id {
            Some(run) if entry.kind == from => drop(began.insert(run.clone(), at)),
            Some(run) if entry.kind == to => all.push(at - began[run]),
            _ => {}
        }
    }
    all.sort_unstable();
    all
}

fn segment<'r>(report: &'r Report, name: &str) -> &'r Value {
    let mut segments = report.0["segments"].as_array().expect("segments").iter();
    segments.find(|segment| segment["name"] == name).expect("it was measured")
}

/// Holds what is reported of a segment to the truth: it is never less, and more only by what is stated.
#[track_caller]
fn honest(segment: &Value, truth: &[u64]) {
    let us = |field: &str| segment[field].as_u64().expect("a figure");
    let uncertainty = us("uncertainty_us");
    for (field, rank) in [("p50_us", 50), ("p95_us", 95), ("p99_us", 99), ("max_us", 100)] {
        let (told, truth) = (us(field), truth[truth.len() * rank / 100 - 1]);
        assert!(told + NOISE >= truth, "{field}: {told} told, {truth} true");
        let least = told.saturating_sub(uncertainty);
        assert!(least <= truth + NOISE, "{field}: {told} told, uncertain by {uncertainty}, {truth} true");
    }
}

/// Only where the kernel stamps arrivals does starving not add to them.
#[cfg(target_os = "linux")]
#[test]
fn a_harness_that_stands_still_does_not_blame_the_target() {
    let delay = Duration::from_millis(300);
    let (backend, place) = (backend(delay), Place::new());
    // From the ask to the end it takes 1.5 s; as they are read, 3.5 s.
    let harness = harness(&place, &backend, "{ closed: { iterations: 1 } }", "{ run: { max: 3s }, tool: { max: 3s } }");
    until_sent(&backend, "agent_started", USERS);
    harness.signal("STOP");
    until_sent(&backend, "agent_completed", USERS);
    pass(STARVED);
    harness.signal("CONT");
    let ended = harness.end();
    let journal = backend.stop();
    let report = Report::in_folder(&place.path().join("out"));
    assert_eq!(report.count("runs_good"), USERS as u64, "{}", ended.stdout);
    honest(segment(&report, "tool"), &truth(&journal, "tool_executing", "tool_completed"));
    // The ask is one delay before the first event.
    let runs: Vec<u64> = truth(&journal, "agent_started", "agent_completed");
    honest(segment(&report, "run"), &runs.iter().map(|us| us + delay.as_micros() as u64).collect::<Vec<_>>());
    let instrument = &report.0["instrument"];
    assert_eq!(instrument["overloaded"], true, "{instrument}");
    assert!(instrument["lag_max_us"].as_u64() >= Some(STARVED.as_micros() as u64), "it was read late: {instrument}");
    let worst = |name: &str| {
        let slices = instrument["over_time"].as_array().expect("slices").iter();
        slices.filter_map(|slice| slice[name].as_u64()).max()
    };
    assert_eq!(
        (worst("timer_max_us"), worst("lag_max_us")),
        (instrument["timer_max_us"].as_u64(), instrument["lag_max_us"].as_u64())
    );
    for claim in ["run max", "tool max"] {
        assert_ne!(report.claim(claim), Some("fail"), "{}", ended.stdout);
    }
    assert_eq!((report.claim("events"), report.claim("transport")), (Some("pass"), Some("pass")));
}

#[cfg(unix)]
#[test]
fn arrivals_that_the_harness_was_too_late_for_are_not_the_targets() {
    let (backend, place) = (backend(Duration::from_millis(10)), Place::new());
    // An iteration takes some 60 ms; arrivals that are due while the harness stands still begin up to two seconds late.
    let load = "{ open: { rate: 20/s, for: 4s, dropped_at_most: 90% } }";
    let harness = harness(&place, &backend, load, "{ response: { max: 1500ms } }");
    until_sent(&backend, "agent_completed", 10);
    harness.signal("STOP");
    pass(STARVED);
    harness.signal("CONT");
    let ended = harness.end();
    backend.stop();
    let report = Report::in_folder(&place.path().join("out"));
    assert_eq!(report.claim("response max"), Some("inconclusive"), "{}", ended.stdout);
    let finding = report.finding("GP902");
    assert_eq!(finding["count"], 1);
    let told = finding["witnesses"][0]["message"].as_str().expect("a sentence");
    assert!(told.contains("it kept up"), "up to which load it kept up: {told}");
    let instrument = &report.0["instrument"];
    assert!(instrument["start_max_us"].as_u64() > Some(1_500_000), "{instrument}");
    // The corrected figure has what the service alone had not.
    let us = |name: &str| segment(&report, name)["p95_us"].as_u64().expect("a figure");
    assert!(us("response") > us("golden_path") + 500_000, "{} {}", us("response"), us("golden_path"));
    assert_eq!((report.claim("events"), report.claim("isolation")), (Some("pass"), Some("pass")));
}
