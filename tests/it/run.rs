//! `goldenpath run` as its users meet it: exit code, both streams, and the report, from process to process.
//!
//! Times, ids and ports are redacted; what is left is compared as a whole where it is short, and by its claims elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::process::{Backend, Ended, Place, Process, Stream, shipped};
use crate::support::redact::redact;
use crate::support::report::Report;
use crate::support::site::{Served, Site, TOKEN, Upgrade, login, user_of};

/// Two users, one question, nothing expected beyond the default claims.
const SMALL: &str = r#"
version: 1
name: small
tags: [quick, tiny]
target: embedded
users: { count: 2, email: "qa${user.number}@example.com", password: { env: PASSWORD, on_loopback: golden-path } }
ask: { prompt: "Which services drive our cloud bill? (ref ${canary})" }
timeouts: { quiet: 50ms }
environments:
  large: { users: { count: 4 }, timeouts: { quiet: 60ms } }
"#;

const QUICK: &str = "timeouts.quiet=50ms";

fn place() -> Place {
    let place = Place::new();
    place.write("small.yaml", SMALL);
    place
}

/// A process with more variables.
fn with_variables(place: &Place, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = place.goldenpath(arguments);
    command.envs(variables.iter().copied());
    Process::start(command).end()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("exactly one JSON document")
}

// ---------------------------------------------------------------------------------------------------------------------
// A pass

#[test]
fn the_first_run_of_a_newcomer_passes() {
    let place = Place::new();
    fs::create_dir(place.path().join("scenarios")).unwrap();
    place.write("scenarios/smoke.yaml", include_str!("../../scenarios/smoke.yaml"));
    // Wide enough for every seed and duration, so that lines break where they always do.
    let ended = with_variables(&place, &["run", "scenarios/smoke.yaml"], &[("COLUMNS", "160")]).exits(0);
    insta::assert_snapshot!(redact(&ended.stdout, place.path()));
    // Its own folder below the working directory, named in the verdict.
    let shown = ended.stdout.lines().find_map(|line| line.strip_prefix("  report    ")).expect("where the report is");
    let folder = place.path().join(shown.strip_suffix("/report.json").expect("a report"));
    let report = Report::in_folder(&folder);
    assert_eq!((report.outcome(), report.failures()), ("pass", vec![]));
    assert_eq!(place.names(), ["reports", "scenarios"]);
    // Talk, not results: one line per stage.
    let talk = regex::Regex::new(
        r"^  \d+:\d\d  (reaching|logging in|connecting|asking|ending) +\d/5 iterations(, [\d.]+/s)?; 5 users: .*; 0 findings$",
    );
    let talk = talk.unwrap();
    assert!(ended.stderr.lines().all(|line| talk.is_match(line)), "{}", ended.stderr);
    assert!(ended.stderr.contains("ending      5/5 iterations"), "{}", ended.stderr);
}

#[test]
fn every_shipped_scenario_passes_on_the_embedded_backend() {
    // The figures are this machine's; what they may be is another test's.
    let small = ["--target", "embedded", "--quiet", "--set", QUICK, "--set", "expect.budgets={}"];
    for (name, users) in [("golden_path", "6"), ("isolation", "6"), ("load", "6")] {
        let place = Place::new();
        let path = shipped(&format!("scenarios/{name}.yaml"));
        let ended = place.run(&[&["run", &path, "--users", users, "--out", "out"], &small[..]].concat()).exits(0);
        assert!(ended.stdout.starts_with("PASS"), "{}", ended.stdout);
        let report = Report::in_folder(&place.path().join("out"));
        assert_eq!((report.0["scenario"]["name"].as_str(), report.failures()), (Some(name), vec![]));
    }
}

#[test]
fn several_turns_are_asked_on_one_connection() {
    let place = Place::new();
    let ask = SMALL.lines().find(|line| line.starts_with("ask:")).expect("a question");
    let turns = "ask:\n  - prompt: Which services drive our bill? (ref ${canary})\n  - prompt: And which of them first? (ref ${canary})";
    place.write("talk.yaml", &SMALL.replace(ask, turns));
    place.run(&["run", "talk.yaml", "-q", "--out", "out"]).exits(0);
    let report = Report::in_folder(&place.path().join("out"));
    assert_eq!((report.count("connections"), report.count("runs_good"), report.count("answers")), (2, 4, 4));
}

#[test]
fn json_on_stdout_is_the_report() {
    let place = place();
    let ended = place.run(&["run", "small.yaml", "--format", "json", "--out", "out", "--seed", "7"]).exits(0);
    let report = Report::in_folder(&place.path().join("out"));
    assert_eq!(ended.stdout, fs::read_to_string(place.path().join("out/report.json")).unwrap());
    assert_eq!(report.0["execution"]["seed"], 7);
    assert_eq!(report.0["execution"]["command"], "goldenpath run small.yaml --seed 7");
    assert_eq!(report.0["target"]["embedded"], true);
}

#[test]
fn several_scenarios_are_an_array_of_reports() {
    let place = place();
    place.write("other.yaml", &SMALL.replace("name: small", "name: other"));
    let ended = place.run(&["run", "small.yaml", "other.yaml", "--format", "json", "--out", "out", "-q"]).exits(0);
    assert_eq!(ended.stderr, "");
    let all = json(&ended.stdout);
    let reports: Vec<Report> = all.as_array().expect("an array").iter().cloned().map(Report::of).collect();
    for (report, name) in reports.iter().zip(["small", "other"]) {
        assert_eq!(report.0, Report::in_folder(&place.path().join("out").join(name)).0);
    }
    assert_eq!(reports.len(), 2);
}

#[test]
fn the_worst_of_several_scenarios_is_the_exit_code() {
    let place = place();
    place.write("slow.yaml", &SMALL.replace("name: small", "name: slow\nexpect: { budgets: { run: { max: 1ms } } }"));
    let arguments = ["run", "slow.yaml", "small.yaml", "--out", "out", "-q"];
    let ended = place.run(&[&arguments[..], &SLOW].concat()).exits(1);
    assert!(ended.stdout.starts_with("FAIL") && ended.stdout.contains("\nPASS"), "{}", ended.stdout);
    assert_eq!(Report::in_folder(&place.path().join("out/small")).outcome(), "pass");
    assert_eq!(Report::in_folder(&place.path().join("out/slow")).outcome(), "fail");
}

#[test]
fn a_repeated_execution_has_the_same_marks() {
    let place = place();
    let site = Site::new().talking(|talk| {
        talk.greet()?;
        let ask = talk.ask()?;
        // The prompt ends up in the report, mark included.
        talk.event("agent_error", &ask, json!({"error": ask.prompt}))
    });
    let site = site.serve();
    let profile = shipped("scenarios/targets/netra.yaml");
    let arguments = ["--target", &profile, "--url", &site.url(), "--users", "1", "--format", "json", "-q"];
    let witness = |more: &[&str]| {
        let ended = place.run(&[&["run", "small.yaml", "--out", "out"], &arguments[..], more].concat()).exits(1);
        let report = Report::parse(&ended.stdout);
        let finding = &report.finding("GP106")["witnesses"][0];
        (finding["subject"]["run"].clone(), finding["excerpts"][0]["text"].clone())
    };
    let told = ["--seed", "11", "--execution", "0badcafe"];
    assert_eq!(witness(&told), witness(&told));
    assert_ne!(witness(&told), witness(&["--seed", "11"]));
}

// ---------------------------------------------------------------------------------------------------------------------
// Usage

#[test]
fn nothing_to_run_is_a_usage_mistake() {
    let place = place();
    let ended = place.run(&["run"]).exits(2);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains("no scenario is named"), "{}", ended.stderr);

    let ended = place.run(&["run", "small.yaml", &shipped("scenarios/smoke.yaml"), "--tag", "nightly"]).exits(2);
    assert_eq!((ended.stdout.as_str(), place.names()), ("", vec!["small.yaml".to_owned()]));
    assert_eq!(ended.stderr, "goldenpath: no scenario has the tag nightly; they have: quick, smoke, tiny\n");
}

#[test]
fn a_tag_selects_scenarios() {
    let place = place();
    let arguments = ["run", "small.yaml", &shipped("scenarios/smoke.yaml"), "--dry-run"];
    let described = |ended: Ended| {
        let ended = ended.exits(0);
        let names = ended.stdout.lines().filter_map(|line| line.strip_prefix("scenario   "));
        names.map(|name| name.split(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(described(place.run(&arguments)), ["small", "smoke"]);
    assert_eq!(described(place.run(&[&arguments[..], &["--tag", "tiny"]].concat())), ["small"]);
    assert_eq!(described(with_variables(&place, &arguments, &[("GOLDENPATH_TAG", "smoke,nightly")])), ["smoke"]);
}

#[test]
fn an_unknown_flag_is_a_usage_mistake() {
    let ended = place().run(&["run", "small.yaml", "--usres", "3"]).exits(2);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains("--users"), "{}", ended.stderr);
}

/// A scenario against a site that counts who connects: exit code 2, no report, nobody connected. Returns stderr.
fn refused_before_any_traffic(scenario: &str, more: &[&str]) -> String {
    let place = Place::new();
    place.write("scenario.yaml", scenario);
    let site = Site::new().serve();
    let profile = shipped("scenarios/targets/netra.yaml");
    let arguments = ["run", "scenario.yaml", "--target", &profile, "--url", &site.url()];
    let ended = place.run(&[&arguments[..], more].concat()).exits(2);
    assert_eq!((ended.stdout.as_str(), place.names()), ("", vec!["scenario.yaml".to_owned()]));
    assert_eq!(site.connections(), 0);
    redact(&ended.stderr, place.path())
}

#[test]
fn mistakes_in_a_scenario_are_all_told_before_any_traffic() {
    let wrong = SMALL.replace("count: 2", "count: many").replace("ask: {", "aks: {");
    let told = refused_before_any_traffic(&wrong, &[]);
    insta::assert_snapshot!(told);
}

#[test]
fn one_bad_scenario_of_several_stops_all_of_them() {
    let place = place();
    place.write("bad.yaml", "version: 1\nname: bad\nusers: {}\n");
    let ended = place.run(&["run", "small.yaml", "bad.yaml"]).exits(2);
    assert_eq!((ended.stdout.as_str(), place.names()), ("", vec!["bad.yaml".to_owned(), "small.yaml".to_owned()]));
}

#[test]
fn a_quantile_that_five_users_cannot_yield_is_refused_before_any_traffic() {
    let told = refused_before_any_traffic(SMALL, &["--users", "5", "--set", "expect.budgets.run.p99=2s"]);
    assert!(told.contains("p99 of `run` needs 100 values, and this plan yields 5"), "{told}");
    assert!(told.contains("limit `max` instead"), "{told}");
}

#[test]
fn a_share_that_five_users_cannot_show_is_refused_before_any_traffic() {
    let told = refused_before_any_traffic(SMALL, &["--users", "5", "--set", "expect.reliability.at_least=99.9%"]);
    assert!(told.contains("needs 2,995 values, and this plan yields 5"), "{told}");
}

#[test]
fn a_variable_that_is_not_set_is_refused_before_any_traffic() {
    let told = refused_before_any_traffic(&SMALL.replace("on_loopback: golden-path", ""), &[]);
    assert!(told.contains("the variable `PASSWORD` is not set"), "{told}");
}

/// Addresses for documentation, where nobody listens (RFC 5737).
const ELSEWHERE: &str = "http://192.0.2.7";

#[test]
fn more_load_than_a_target_elsewhere_may_get_is_refused() {
    let place = place();
    let profile = shipped("scenarios/targets/netra.yaml");
    let arguments = ["run", "small.yaml", "--target", &profile, "--url", ELSEWHERE];
    for (more, why) in [
        (&["--users", "51"][..], "51 users are more than the 50 that `netra` may get"),
        (&["--users", "50", "--set", "load.closed.iterations=11"][..], "550 runs are more than the 500"),
    ] {
        let ended = with_variables(&place, &[&arguments[..], more].concat(), &[("PASSWORD", "a-secret")]).exits(2);
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
        assert_eq!((ended.stdout.as_str(), place.names()), ("", vec!["small.yaml".to_owned()]));
    }
}

#[test]
fn a_password_in_a_file_is_refused_for_a_target_elsewhere() {
    let place = Place::new();
    place.write("small.yaml", &SMALL.replace("{ env: PASSWORD, on_loopback: golden-path }", "hunter2hunter2"));
    let profile = shipped("scenarios/targets/netra.yaml");
    let ended = place.run(&["run", "small.yaml", "--target", &profile, "--url", ELSEWHERE]).exits(2);
    assert!(
        ended.stderr.contains("a password stands in the file, and the target is not on loopback"),
        "{}",
        ended.stderr
    );
    // What is meant for loopback is not sent elsewhere either.
    let ended = self::place().run(&["run", "small.yaml", "--target", &profile, "--url", ELSEWHERE]).exits(2);
    assert!(ended.stderr.contains("not used: the target is not on loopback"), "{}", ended.stderr);
}

// ---------------------------------------------------------------------------------------------------------------------
// Precedence

/// Path to `value  (origin)`, as a dry run shows it.
fn values(ended: Ended) -> BTreeMap<String, String> {
    let ended = ended.exits(0);
    let lines = ended.stdout.lines().filter_map(|line| line.strip_prefix("  ")?.split_once("  "));
    lines.map(|(path, value)| (path.to_owned(), value.trim().to_owned())).collect()
}

#[test]
fn flag_beats_variable_beats_environment_beats_file_beats_default() {
    let place = place();
    let count = |arguments: &[&str], variables: &[(&str, &str)]| {
        let arguments = [&["run", "small.yaml", "--dry-run"], arguments].concat();
        values(with_variables(&place, &arguments, variables))["users.count"].clone()
    };
    let variable = ("GOLDENPATH_USERS", "5");
    assert_eq!(count(&[], &[]), "2  (small.yaml:6)");
    assert_eq!(count(&["--env", "large"], &[]), "4  (small.yaml:10)");
    assert_eq!(count(&[], &[("GOLDENPATH_ENV", "large")]), "4  (small.yaml:10)");
    assert_eq!(count(&["--env", "large"], &[variable]), "5  (GOLDENPATH_USERS)");
    assert_eq!(count(&["--env", "large", "--users", "6"], &[variable]), "6  (--users)");
    assert_eq!(count(&["--set", "users.count=7"], &[]), "7  (--set)");

    let all = values(place.run(&["run", "small.yaml", "--dry-run", "--env", "large"]));
    assert_eq!(all["timeouts.quiet"], "\"60ms\"  (small.yaml:10)");
    assert_eq!(all["timeouts.greeting"], "5s  (default)");
    assert_eq!(all["users.password.on_loopback"], "(hidden)  (small.yaml:6)");
}

#[test]
fn target_and_address_come_from_flags_and_variables() {
    let place = place();
    let profile = shipped("scenarios/targets/netra.yaml");
    let shown = |arguments: &[&str], variables: &[(&str, &str)]| {
        let arguments = [&["run", "small.yaml", "--dry-run"], arguments].concat();
        let ended = with_variables(&place, &arguments, variables).exits(0);
        let line = ended.stdout.lines().find_map(|line| line.strip_prefix("target     ")).expect("a target");
        redact(line, place.path()).trim_end().to_owned()
    };
    let file = "netra (<repository>/scenarios/targets/netra.yaml)";
    let here = format!("{file}; on this machine");
    let elsewhere = format!("{file}; not on this machine: its limits hold");
    let own = "netra (embedded); embedded backend, started in this process: not your system";
    let other = "netra (embedded); embedded backend: not your system";
    assert_eq!(shown(&[], &[]), own);
    assert_eq!(shown(&["--target", &profile], &[]), here);
    assert_eq!(shown(&[], &[("GOLDENPATH_TARGET", &profile)]), here);
    assert_eq!(shown(&["--target", "embedded"], &[("GOLDENPATH_TARGET", &profile)]), own);
    assert_eq!(shown(&["--url", "http://127.0.0.1:1"], &[]), other);
    let secret = ("PASSWORD", "a-secret");
    assert_eq!(shown(&["--target", &profile], &[("GOLDENPATH_URL", ELSEWHERE), secret]), elsewhere);
    let flag = shown(&["--target", &profile, "--url", "http://[::1]:1"], &[("GOLDENPATH_URL", ELSEWHERE)]);
    assert_eq!(flag, here);
}

#[test]
fn seed_and_folder_come_from_variables_too() {
    let place = place();
    let variables = [("GOLDENPATH_SEED", "42"), ("GOLDENPATH_OUT", "there")];
    with_variables(&place, &["run", "small.yaml", "-q"], &variables).exits(0);
    assert_eq!(Report::in_folder(&place.path().join("there")).0["execution"]["seed"], 42);

    with_variables(&place, &["run", "small.yaml", "-q", "--seed", "43", "--out", "here"], &variables).exits(0);
    assert_eq!(Report::in_folder(&place.path().join("here")).0["execution"]["seed"], 43);

    let ended = with_variables(&place, &["run", "small.yaml"], &[("GOLDENPATH_SEED", "many")]).exits(2);
    assert_eq!(ended.stderr, "goldenpath: GOLDENPATH_SEED is not a whole number: `many`\n");
}

// ---------------------------------------------------------------------------------------------------------------------
// Verdicts

/// A run of `small.yaml` with settings, its report read.
fn with_settings(settings: &[&str]) -> (Ended, Report) {
    let all: Vec<&str> = settings.iter().flat_map(|set| ["--set", set]).collect();
    with_arguments(&all)
}

fn with_arguments(further: &[&str]) -> (Ended, Report) {
    let place = place();
    let ended = place.run(&[&["run", "small.yaml", "-q", "--out", "out"], further].concat());
    (ended, Report::in_folder(&place.path().join("out")))
}

/// Runs of two seconds: a machine that stalls for a tenth of one keeps up for most of the time, and its figures count.
const SLOW: [&str; 2] = ["--fault", "slow-tool:by=2s"];

#[test]
fn a_broken_budget_fails_and_is_reported() {
    let (ended, report) = with_arguments(&[&SLOW[..], &["--set", "expect.budgets.run.max=1ms"]].concat());
    let ended = ended.exits(1);
    assert_eq!(report.failures(), [("GP304", 1)]);
    assert_eq!(
        (report.outcome(), report.claim("run max"), report.claim("events")),
        ("fail", Some("fail"), Some("pass"))
    );
    assert!(ended.stdout.starts_with("FAIL  1 of 6 claims failed: run max"), "{}", ended.stdout);
    assert!(ended.stdout.contains("goldenpath explain GP304"), "{}", ended.stdout);
}

#[test]
fn what_is_not_required_does_not_change_the_exit_code() {
    let budget = ["--set", "expect.budgets.run={ max: 1ms, required: false }"];
    let (ended, report) = with_arguments(&[SLOW, budget].concat());
    ended.exits(0);
    assert_eq!((report.outcome(), report.claim("run max")), ("pass", Some("fail")));
    assert_eq!(report.finding("GP304")["blamed"], false);
}

#[test]
fn with_one_user_isolation_is_not_claimed() {
    let (ended, report) = with_settings(&["users.count=1"]);
    let ended = ended.exits(0);
    assert_eq!((report.outcome(), report.claim("isolation")), ("pass", None));
    assert_eq!(report.0["unclaimed"], json!(["isolation is not claimed with a single user"]));
    assert_eq!(ended.stdout.matches("not claimed").count(), 1, "{}", ended.stdout);
}

#[test]
fn one_user_of_two_shows_nothing_of_isolation() {
    let place = place();
    let site = Site::new().login(|email| match email {
        "qa1@example.com" => (401, json!({"error": "no such account"}).to_string()),
        email => (200, login(email, &user_of(email))),
    });
    let site = site.serve();
    let profile = shipped("scenarios/targets/netra.yaml");
    let arguments = ["run", "small.yaml", "--target", &profile, "--url", &site.url(), "-q", "--out", "out"];
    let ended = place.run(&[&arguments[..], &["--set", "expect.setup.at_most=50%"]].concat()).exits(4);
    let report = Report::in_folder(&place.path().join("out"));
    assert_eq!((report.outcome(), report.claim("isolation")), ("inconclusive", Some("inconclusive")));
    assert!(ended.stdout.contains("fewer than two users had a run"), "{}", ended.stdout);
}

#[test]
fn an_answer_that_lacks_what_was_asked_for_fails() {
    let (ended, report) = with_settings(&["expect.answer.all_of=['no backend says this']"]);
    ended.exits(1);
    assert_eq!(report.failures(), [("GP504", 2)]);
}

#[test]
fn reliability_is_judged_as_a_share() {
    // Twenty clean iterations show 86 %, and not 90 % at 95 % confidence.
    let twenty = ["users.count=20", "expect.reliability.at_least=86%"];
    let (ended, report) = with_settings(&twenty);
    ended.exits(0);
    assert_eq!(report.claim("reliability"), Some("pass"));
}

/// Twenty users, of whom the first few are cut off.
fn of_twenty_fail(failing: u32, at_least: &str) -> (Ended, Report) {
    let place = place();
    let site = Site::new().talking(move |talk| {
        talk.greet()?;
        let ask = talk.ask()?;
        talk.work(&ask)?;
        talk.together(20);
        match (1..=failing).any(|number| talk.email == format!("qa{number}@example.com")) {
            true => talk.close(1011, "worker died"),
            false => talk.complete(&ask),
        }
    });
    let site = site.serve();
    let profile = shipped("scenarios/targets/netra.yaml");
    let set = format!("expect.reliability.at_least={at_least}");
    let arguments = ["run", "small.yaml", "--target", &profile, "--url", &site.url(), "-q", "--out", "out"];
    let ended = place.run(&[&arguments[..], &["--users", "20", "--set", &set]].concat());
    assert_ne!(ended.status.code(), Some(2), "{}", ended.stderr);
    (ended, Report::in_folder(&place.path().join("out")))
}

#[test]
fn failures_within_the_share_that_is_allowed_pass_and_are_shown() {
    // 17 of 20 show at least 65.6 % (Clopper-Pearson, one-sided, 95 %).
    let (ended, report) = of_twenty_fail(3, "65%");
    let ended = ended.exits(0);
    assert_eq!(report.failures(), [("GP413", 3)]);
    assert_eq!((report.claim("reliability"), report.claim("transport")), (Some("pass"), Some("pass")));
    assert!(ended.stdout.contains("GP413"), "{}", ended.stdout);
}

#[test]
fn too_few_runs_to_show_a_share_are_inconclusive() {
    // 17 of 20 show at least 65.6 % and at most 95.8 %.
    let (ended, report) = of_twenty_fail(3, "80%");
    let ended = ended.exits(4);
    assert_eq!((report.outcome(), report.claim("reliability")), ("inconclusive", Some("inconclusive")));
    assert!(ended.stdout.starts_with("INCONCLUSIVE"), "{}", ended.stdout);
}

#[test]
fn a_share_that_cannot_be_true_fails() {
    // 10 of 20 show at most 69.8 %.
    let (ended, report) = of_twenty_fail(10, "70%");
    ended.exits(1);
    assert_eq!((report.outcome(), report.claim("reliability")), ("fail", Some("fail")));
}

// ---------------------------------------------------------------------------------------------------------------------
// Streams and files

#[test]
fn a_folder_that_cannot_be_made_leaves_the_verdict_and_breaks() {
    let place = place();
    place.write("file", "in the way");
    let ended = place.run(&["run", "small.yaml", "--out", "file/out", "-q"]).exits(5);
    assert!(ended.stdout.starts_with("PASS"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("file/out/report.json"), "{}", ended.stdout);
    assert!(ended.stderr.starts_with("goldenpath: failed to make the folder file/out"), "{}", ended.stderr);
    let ended = place.run(&["run", "small.yaml", "--out", "file/out", "-q", "--format", "json"]).exits(5);
    assert_eq!(Report::parse(&ended.stdout).outcome(), "pass");
}

#[test]
fn an_earlier_report_is_replaced() {
    let place = place();
    for seed in ["1", "2"] {
        place.run(&["run", "small.yaml", "--out", "out", "-q", "--seed", seed]).exits(0);
    }
    assert_eq!(Report::in_folder(&place.path().join("out")).0["execution"]["seed"], 2);
}

#[test]
fn nothing_is_coloured_unless_somebody_looks() {
    for variables in [&[][..], &[("NO_COLOR", "1")], &[("CI", "true")], &[("CLICOLOR_FORCE", "1"), ("TERM", "xterm")]] {
        let ended = with_variables(&place(), &["run", "small.yaml", "--out", "out"], variables).exits(0);
        assert!(!ended.stdout.contains('\x1b') && !ended.stderr.contains('\x1b'), "{variables:?}");
    }
    let ended = place().run(&["run", "nowhere.yaml"]).exits(2);
    assert!(!ended.stderr.contains('\x1b'), "{}", ended.stderr);
}

#[test]
fn a_narrow_terminal_is_respected() {
    let ended = with_variables(&place(), &["run", "small.yaml", "--out", "out", "-q"], &[("COLUMNS", "80")]).exits(0);
    let wide: Vec<&str> = ended.stdout.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let place = place();
    let binary = env!("CARGO_BIN_EXE_goldenpath");
    let mut command = Command::new("sh");
    let script = format!("'{binary}' run small.yaml --out out -q --format json | true; exec cat out/report.json");
    command.args(["-c", &script]).current_dir(place.path());
    let ended = Process::start(command).end().exits(0);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert_eq!(Report::parse(&ended.stdout).outcome(), "pass");
}

// ---------------------------------------------------------------------------------------------------------------------
// Secrets

#[test]
fn passwords_and_tokens_are_nowhere_to_be_read() {
    const PASSWORD: &str = "correct-horse/battery+staple";
    let place = place();
    // Everything the target knows of a user comes back where the harness shows it.
    let told = |site: Site| {
        let site = site.serve();
        let profile = shipped("scenarios/targets/netra.yaml");
        let arguments = ["run", "small.yaml", "--target", &profile, "--url", &site.url(), "--out", "out"];
        let ended = with_variables(&place, &arguments, &[("PASSWORD", PASSWORD)]);
        let report = fs::read_to_string(place.path().join("out/report.json")).unwrap();
        (site, [ended.stdout, ended.stderr, report].concat())
    };
    let encoded = {
        use base64::Engine;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(TOKEN)
    };
    let assert_clean = |text: &str| {
        for secret in [PASSWORD, "battery", TOKEN, &encoded] {
            assert!(!text.contains(secret), "{secret} is in\n{text}");
        }
    };

    let (site, text) =
        told(Site::new().login(|email| (400, format!(r#"{{"email": "{email}", "sent": "{PASSWORD}"}}"#))));
    assert!(site.requests().iter().any(|request| request.contains(PASSWORD)), "the password was sent");
    assert!(text.contains("«secret:password"), "{text}");
    assert_clean(&text);

    let (site, text) = told(Site::new().upgrade(Upgrade::Echo));
    assert!(site.requests().iter().any(|request| request.contains(&encoded)), "the token was sent");
    assert!(text.contains("GP405") && text.contains("«secret:token"), "{text}");
    assert_clean(&text);

    let (_, text) = told(Site::new().talking(|talk| {
        talk.greet()?;
        let ask = talk.ask()?;
        let (token, header) =
            (format!("{TOKEN}{}", talk.email), format!("Authorization: Bearer {TOKEN}{}", talk.email));
        talk.event("agent_started", &ask, json!({"debug": header}))?;
        talk.event("agent_error", &ask, json!({"error": format!("{token} {PASSWORD}")}))?;
        talk.close(1008, &token)
    }));
    assert!(text.contains("GP106") && text.contains("«secret:token"), "{text}");
    assert_clean(&text);
}

#[test]
fn a_password_in_an_address_is_refused() {
    let place = place();
    let profile = shipped("scenarios/targets/netra.yaml");
    let url = "http://ann:letmein@127.0.0.1:1";
    let arguments = ["run", "small.yaml", "--target", &profile];
    for (more, variables) in [(&["--url", url][..], &[][..]), (&[], &[("NETRA_URL", url)])] {
        let ended = with_variables(&place, &[&arguments[..], more].concat(), variables).exits(2);
        assert_eq!(ended.stderr.matches("this address holds a user or a password").count(), 1, "{}", ended.stderr);
        assert_eq!((ended.stdout.as_str(), place.names()), ("", vec!["small.yaml".to_owned()]));
    }
}

#[test]
fn a_password_typed_on_the_command_line_is_not_repeated() {
    let place = Place::new();
    place.write("small.yaml", &SMALL.replace("{ env: PASSWORD, on_loopback: golden-path }", "another"));
    for set in ["users.password=golden-path", "users.password={ env: PASSWORD, on_loopback: golden-path }"] {
        let ended = place.run(&["run", "small.yaml", "--set", set, "--out", "out"]);
        let report = fs::read_to_string(place.path().join("out/report.json")).unwrap();
        let text = [ended.stdout, ended.stderr, report].concat();
        assert!(!text.contains("golden-path"), "{text}");
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Signals

/// An execution on a backend in another process that takes this long before each event, as soon as everybody has asked.
fn asking(place: &Place, backend: &Backend, more: &[&str]) -> Process {
    let arguments = ["run", "small.yaml", "--target", "embedded", "--url", &backend.url, "--out", "out"];
    let mut process = Process::start(place.goldenpath(&[&arguments[..], more].concat()));
    process.wait_for(Stream::Err, "2 asking");
    process
}

#[test]
fn the_first_signal_lets_runs_in_flight_end() {
    for signal in ["INT", "TERM"] {
        let place = place();
        let backend = Backend::serve(&place, &["--delay", "200ms"]);
        let sets = ["--set", "load.closed.iterations=50", "--set", "timeouts.drain=60s"];
        let mut process = asking(&place, &backend, &sets);
        process.signal(signal);
        process.wait_for(Stream::Err, "interrupted: runs in flight may end");
        let ended = process.end().exits(130);
        assert!(ended.stdout.starts_with("INTERRUPTED"), "{}", ended.stdout);
        let report = Report::in_folder(&place.path().join("out"));
        assert_eq!((report.outcome(), report.failures()), ("interrupted", vec![]));
        assert_eq!(report.0["execution"]["interrupted"], true);
        assert_eq!(
            (report.count("runs_good"), report.count("iterations_interrupted")),
            (2, 0),
            "{:#}",
            report.0["counts"]
        );
        backend.stop();
    }
}

#[test]
fn a_drain_that_takes_too_long_is_ended() {
    let place = place();
    let backend = Backend::serve(&place, &["--delay", "60s"]);
    let process = asking(&place, &backend, &["--set", "timeouts.drain=200ms"]);
    process.signal("TERM");
    process.end().exits(130);
    let report = Report::in_folder(&place.path().join("out"));
    assert_eq!((report.failures(), report.count("iterations_interrupted")), (vec![], 2));
    drop(backend);
}

#[test]
fn the_second_signal_ends_runs_in_flight_and_still_reports() {
    let place = place();
    let backend = Backend::serve(&place, &["--delay", "60s"]);
    let mut process = asking(&place, &backend, &["--set", "timeouts.drain=10m"]);
    process.signal("INT");
    process.wait_for(Stream::Err, "interrupted: runs in flight may end");
    process.signal("TERM");
    process.wait_for(Stream::Err, "interrupted: writing the report");
    let ended = process.end().exits(130);
    assert!(ended.stdout.starts_with("INTERRUPTED"), "{}", ended.stdout);
    let report = Report::in_folder(&place.path().join("out"));
    assert_eq!((report.failures(), report.count("iterations_interrupted")), (vec![], 2));
    drop(backend);
}

/// An execution whose clean-up is never answered, so that the report has something to wait for, after its first signal.
fn draining(place: &Place, drain: &str) -> (Served, Process) {
    let site = Site::new().hangs("DELETE").talking(|talk| talk.greet()).serve();
    let profile = shipped("scenarios/targets/netra.yaml");
    let drain = format!("timeouts.drain={drain}");
    let arguments = ["run", "small.yaml", "--target", &profile, "--url", &site.url(), "--out", "out"];
    let sets = ["--set", "timeouts.connect=10m", "--set", &drain];
    let mut process = Process::start(place.goldenpath(&[&arguments[..], &sets].concat()));
    process.wait_for(Stream::Err, "2 asking");
    process.signal("INT");
    process.wait_for(Stream::Err, "interrupted: runs in flight may end");
    (site, process)
}

#[test]
fn the_third_signal_does_not_wait_for_the_report() {
    // The second one is a warning, also when the drain was over before it came.
    for drain in ["10m", "50ms"] {
        let place = place();
        let (site, mut process) = draining(&place, drain);
        if drain == "50ms" {
            site.wait_for("DELETE ", 2);
        }
        process.signal("INT");
        process.wait_for(Stream::Err, "once more to quit without it");
        site.wait_for("DELETE ", 2);
        process.signal("INT");
        let ended = process.end().exits(130);
        assert_eq!(
            (ended.stdout.as_str(), place.names()),
            ("", vec!["out".to_owned(), "small.yaml".to_owned()]),
            "{drain}"
        );
        // No report; what was recorded until then is there.
        let left = fs::read_dir(place.path().join("out")).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["recording.gpr"]);
    }
}

#[test]
fn a_signal_before_anyone_asked_ends_without_findings() {
    // While the target gets ready, while users log in, while they wait for a greeting.
    let starting = Site::new().ready(|_| (503, json!({"status": "starting"}).to_string()));
    let sites = [(starting, "GET /health/ready", 1), (Site::new().hangs("POST"), "POST /auth/login", 2)];
    let silent = (Site::new().talking(|_| Ok(())), "GET /ws", 2);
    for (site, request, times) in sites.into_iter().chain([silent]) {
        let place = place();
        let site = site.serve();
        let profile = shipped("scenarios/targets/netra.yaml");
        let arguments = ["run", "small.yaml", "--target", &profile, "--url", &site.url(), "--out", "out"];
        let sets = ["--set", "timeouts={ connect: 10m, greeting: 10m, drain: 200ms }"];
        let process = Process::start(place.goldenpath(&[&arguments[..], &sets].concat()));
        site.wait_for(request, times);
        process.signal("INT");
        process.end().exits(130);
        let report = Report::in_folder(&place.path().join("out"));
        assert_eq!((report.outcome(), report.failures()), ("interrupted", vec![]), "{request}");
        assert_eq!(report.count("runs"), 0);
    }
}

#[test]
fn after_a_signal_no_further_scenario_begins() {
    let place = place();
    place.write("other.yaml", &SMALL.replace("name: small", "name: other"));
    let backend = Backend::serve(&place, &["--delay", "200ms"]);
    let process = asking(&place, &backend, &["other.yaml", "--format", "json"]);
    process.signal("INT");
    let ended = process.end().exits(130);
    let all = json(&ended.stdout);
    let names: Vec<_> = all.as_array().expect("an array").iter().map(|report| &report["scenario"]["name"]).collect();
    assert_eq!(names, ["small"]);
    backend.stop();
}

// ---------------------------------------------------------------------------------------------------------------------
// The witness at the other end

/// How often each kind of text was really sent over sockets, as the backend's journal says.
fn journaled(journal: &str) -> BTreeMap<String, u64> {
    let mut kinds = BTreeMap::new();
    for line in journal.lines() {
        let entry = json(line);
        if entry["connection"].is_null() {
            continue;
        }
        assert_eq!(entry["sent"], true, "{line}");
        *kinds.entry(entry["kind"].as_str().expect("a kind").to_owned()).or_default() += 1;
    }
    kinds
}

#[test]
fn five_hundred_users_see_every_frame_that_was_sent_and_no_other() {
    let place = Place::new();
    let backend = Backend::serve(&place, &["--journal", "journal.jsonl"]);
    let scenario = shipped("scenarios/golden_path.yaml");
    let arguments = ["run", &scenario, "--target", "embedded", "--url", &backend.url, "--users", "500", "--out", "out"];
    // How fast this machine is, is not what is tested here.
    let sets = ["--set", "load.closed.iterations=1", "--set", "expect.budgets={}"];
    let ended = place.run(&[&arguments[..], &sets].concat()).exits(0);
    assert!(ended.stdout.starts_with("PASS"), "{}", ended.stdout);
    backend.stop();
    let report = Report::in_folder(&place.path().join("out"));
    let sent = journaled(&fs::read_to_string(place.path().join("journal.jsonl")).unwrap());
    assert_eq!(report.events(), sent);
    assert_eq!(report.count("texts"), sent.values().sum::<u64>());
    assert_eq!((report.count("attributed"), report.count("runs_good")), (report.count("texts"), 500));
    assert_eq!((report.failures(), report.count("canaries")), (vec![], 500));
}
