//! Answers, budgets, exceptions and history judged of the embedded backend, through the binary: what a scenario asks for holds
//! of a good target, and each thing it asks for can fail.
//!
//! The rules themselves are tested beside the judge.

use std::path::Path;
use std::process::Command;

use goldenpath::backend::{self, Options};
use serde_json::Value;

use crate::support::process::Place;
use crate::support::report::Report;

const AFTER: &str = r#"get: "/api/threads/${thread_id}/messages""#;
const STORED: &str = "when: { /messages/1: { exists: true } }";

/// Runs four users against a backend, with `expect` as given and the shipped profile changed by `change`. Returns the exit code
/// and the report.
fn run(expect: &str, change: impl FnOnce(String) -> String) -> (Option<i32>, Value) {
    let backend = backend::start(Options::default()).expect("a backend");
    let folder = tempfile::tempdir().expect("a folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let profile = std::fs::read_to_string(root.join("scenarios/targets/netra.yaml")).expect("the shipped profile");
    std::fs::write(folder.path().join("target.yaml"), change(profile)).expect("a file");
    let scenario = format!(
        "version: 1\nname: values\ntarget: target.yaml\n\
         users: {{ count: 4, email: \"qa${{user.number}}@example.com\", password: {{ env: QA, on_loopback: golden-path }} }}\n\
         ask: {{ prompt: \"What drives the bill of shop ${{user.number}}, and what to cut? (ref ${{canary}})\" }}\n\
         timeouts: {{ quiet: 10ms }}\nexpect: {expect}\n"
    );
    std::fs::write(folder.path().join("s.yaml"), scenario).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_goldenpath"));
    command
        .current_dir(folder.path())
        .env_clear()
        .args(["run", "s.yaml", "--quiet", "--format", "json", "--out", "out"]);
    command.env("NETRA_URL", backend.http_url()).env("NETRA_WS", backend.socket_url().trim_end_matches("/ws"));
    let output = command.output().expect("the binary runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"));
    backend.stop();
    (output.status.code(), report)
}

fn codes(report: &Value) -> Vec<&str> {
    let groups = report["findings"].as_array().expect("a list");
    groups.iter().map(|group| group["code"].as_str().expect("a code")).collect()
}

/// The profile, with steps after a run that look for prompt and answer.
fn looking(profile: &str) -> String {
    assert!(profile.contains(AFTER) && profile.contains(STORED), "the profile looks at history");
    profile.replace(STORED, "holds: [prompt, answer]")
}

#[test]
fn a_good_target_has_value_marks_and_history() {
    let expect = "{ answer: { preset: business-value, canary: echoed, distinct: true }, budgets: { run: { min: 1ms, max: \
                  { warn: 50s, fail: 60s }, per: 1h } } }";
    let (code, report) = run(expect, |profile| looking(&profile));
    assert_eq!((code, codes(&report)), (Some(0), vec![]), "{report:#}");
    assert_eq!(report["counts"]["answers"], 4, "history was looked at after each answer");
}

#[test]
fn history_without_prompt_and_answer_is_a_finding() {
    let elsewhere = |profile: String| {
        let profile = looking(&profile).replace(AFTER, r#"get: "/api/threads/${thread_id}""#);
        profile.replace("    retry: { every: 200ms, for: 2s }\n", "")
    };
    let (code, report) = run("{}", elsewhere);
    assert_eq!((code, codes(&report)), (Some(1), vec!["GP601"]), "{report:#}");
    let message = report["findings"][0]["witnesses"][0]["message"].as_str().expect("a sentence");
    assert!(message.ends_with("no text of the body holds the prompt (HTTP 200)"), "{message}");
}

#[test]
fn what_a_scenario_knows_of_does_not_fail_it_until_its_day() {
    let known = |until: &str| {
        let floor = "budgets: { run: { min: 60s } }";
        run(&format!("{{ {floor}, known: [{{ rule: too-fast, issue: '#7', until: {until} }}] }}"), |profile| profile)
    };
    let (code, report) = known("9999-12-31");
    assert_eq!((code, codes(&report)), (Some(0), vec![]), "{report:#}");
    assert_eq!((&report["known"][0]["state"], &report["known"][0]["count"]), (&"tolerated".into(), &1.into()));
    let (code, report) = known("2001-01-01");
    assert_eq!((code, codes(&report)), (Some(1), vec!["GP305"]), "{report:#}");
    assert_eq!(report["known"][0]["state"], "expired");
}

#[test]
fn a_thread_goes_on_after_a_reconnect_or_the_answer_says_that_it_does_not() {
    let place = Place::new();
    place.write(
        "scenario.yaml",
        r#"
version: 1
name: back
target: embedded
users: { count: 2, email: "qa${user.number}@example.com", password: { env: PASSWORD, on_loopback: golden-path } }
ask:
  - prompt: "What drives our storage bill? The code word is kestrel. (ref ${canary})"
  - { prompt: "And what was the code word? (ref ${canary})", reconnect: true, answer: { any_of: [kestrel] } }
timeouts: { quiet: 200ms }
"#,
    );
    let run = |more: &[&str]| {
        let ended = place.run(&[&["run", "scenario.yaml", "--out", "out", "-q"], more].concat());
        (ended.status.code(), Report::in_folder(&place.path().join("out")))
    };
    let (code, report) = run(&[]);
    assert_eq!((code, report.failures()), (Some(0), vec![]), "{:#}", report.0["findings"]);
    let counts = ["connections", "setups", "users_ready", "runs"].map(|name| report.count(name));
    assert_eq!(counts, [4, 4, 2, 4], "each user connects twice, and logs in once");
    let logins = report.0["segments"].as_array().expect("a list").iter().find(|segment| segment["name"] == "login");
    assert_eq!(logins.expect("logins")["runs"], 2);

    let (code, report) = run(&["--fault", "forgetful:connection=2"]);
    assert_eq!((code, report.failures()), (Some(1), vec![("GP504", 2)]));

    // A refusal on the way back is no target that could not be tested: the first turn was.
    let (code, report) = run(&["--fault", "close-at-once:connection=2"]);
    assert_eq!((code, report.failures()), (Some(1), vec![("GP407", 2)]));
}
