//! Sessions that end by themselves, over real sockets: refreshed in time and once with each token, or told where they cannot be.
//!
//! The backend's journal says what really came; that a recording judged again tells the same is held for every report read here.

use goldenpath::backend::journal::Entry;
use goldenpath::backend::{self, Options};

use crate::support::process::{Place, shipped};
use crate::support::report::Report;

/// How long the backend's tokens live. Refreshed at a third of that: what is read in whole seconds may be one less.
const LIFE: std::time::Duration = std::time::Duration::from_secs(3);

const REFRESH: &str = "refresh:
  expires: { jwt: token }
  before: 60s
";

fn profile() -> String {
    std::fs::read_to_string(shipped("scenarios/targets/netra.yaml")).expect("the shipped profile")
}

/// The shipped profile with this in place of a line of its `refresh`.
fn refreshing(what: &str, instead: &str) -> String {
    let profile = profile();
    assert!(profile.contains(what), "{what}");
    profile.replace(what, instead)
}

/// The shipped profile without `refresh`, and without what only that uses.
fn unrefreshed() -> String {
    let profile = profile();
    let (before, rest) = profile.split_once("refresh:\n").expect("it refreshes");
    let (_, after) = rest.split_once("logout:\n").expect("and logs out");
    let kept: Vec<&str> = before.lines().filter(|line| !line.contains("refresh_token")).collect();
    format!("{}\nlogout:\n{after}", kept.join("\n"))
}

/// What was executed.
struct Done {
    code: i32,
    report: Report,
    journal: Vec<Entry>,
}

impl Done {
    fn journaled(&self, kind: &str) -> usize {
        self.journal.iter().filter(|entry| entry.kind == kind).count()
    }
}

/// Two users who go on by `users` and `load` against a backend whose tokens live for a moment.
fn run(profile: &str, users: &str, load: &str) -> Done {
    let place = Place::new();
    place.write("target.yaml", profile);
    place.write(
        "scenario.yaml",
        &format!(
            r#"
version: 1
name: refresh
target: target.yaml
users: {{ count: 2, email: "qa${{user.number}}@example.com", password: {{ env: PASSWORD, on_loopback: golden-path }}, {users} }}
load: {load}
ask: {{ prompt: "Which services drive our cloud bill? (ref ${{canary}})" }}
timeouts: {{ quiet: 20ms }}
"#
        ),
    );
    let options = Options { token_lifetime: LIFE, journal: true, ..Options::default() };
    let backend = backend::start(options).expect("a backend");
    let url = backend.http_url();
    let ended = place.run(&["run", "scenario.yaml", "-q", "--out", "out", "--record", "all", "--url", &url]);
    let code = ended.status.code().unwrap_or_else(|| panic!("{}", ended.stderr));
    assert!(place.path().join("out/report.json").exists(), "{}\n{}", ended.stdout, ended.stderr);
    let text = std::fs::read_to_string(place.path().join("out/report.json")).expect("a report");
    assert!(!text.contains("eyJ"), "a token stands in the report");
    Done { code, report: Report::in_folder(&place.path().join("out")), journal: backend.stop() }
}

/// Longer than a token lives.
const SOAK: &str = "{ closed: { iterations: 5, think_time: 1s } }";

#[test]
fn a_session_that_is_kept_outlives_its_tokens_only_where_it_is_refreshed() {
    let done = run(&profile(), "session: keep", SOAK);
    assert_eq!((done.code, done.report.failures()), (0, vec![]));
    assert_eq!((done.journaled("login"), done.journaled("refresh_refused")), (2, 0));
    assert!(done.journaled("refresh") >= 4, "{}", done.journaled("refresh"));
    // One connection of each user, and nothing of a refresh in the figures of logins.
    assert_eq!(
        (done.report.count("connections"), done.report.count("setups"), done.report.count("iterations")),
        (2, 2, 10)
    );

    let done = run(&unrefreshed(), "session: keep", SOAK);
    assert_eq!((done.code, done.journaled("refresh")), (1, 0));
    assert!(done.report.witness("GP601").contains("HTTP 401"), "{}", done.report.witness("GP601"));
}

#[test]
fn a_connection_is_replaced_where_the_profile_says_so_and_its_user_does_not_log_in_again() {
    let reconnecting =
        refreshing(REFRESH, "refresh:\n  expires: { seconds: life }\n  before: 2m\n  socket: reconnect\n");
    // Both steps take the life of the token from beside it.
    let lines = reconnecting.lines().map(|line| match line.find("refresh_token: { secret:") {
        Some(indent) => format!("{line}\n{}life: /expires_in", " ".repeat(indent)),
        None => line.to_owned(),
    });
    let reconnecting = lines.collect::<Vec<_>>().join("\n");
    let done = run(&reconnecting, "session: keep", SOAK);
    assert_eq!((done.code, done.report.failures()), (0, vec![]));
    let refreshes = done.journaled("refresh");
    assert!(refreshes >= 4, "{refreshes}");
    assert_eq!((done.journaled("login"), done.journaled("refresh_refused")), (2, 0));
    // One may serve two refreshes, if the second comes before it is needed; without any there would be two.
    let connections = done.report.count("connections");
    assert!((4..=refreshes as u64 + 2).contains(&connections), "{connections}, {refreshes}");

    // Held before they ask, they come in again and are greeted before they do.
    let done = run(&reconnecting, "session: fresh", "{ hold: 2s }");
    assert_eq!((done.code, done.report.failures()), (0, vec![]));
    assert!(done.journaled("refresh") >= 2, "{}", done.journaled("refresh"));
    assert_eq!(done.report.count("connections"), 2 + done.journaled("refresh") as u64);
}

#[test]
fn a_refresh_that_is_refused_is_a_set_up_that_failed_and_names_its_step() {
    let spent = refreshing("json: { refresh_token: \"${refresh_token:-}\" }", "json: { refresh_token: \"nonsense\" }");
    let spent = spent.replace("refresh_token: { secret: /refresh_token }", "");
    let done = run(&spent, "session: keep", SOAK);
    assert_eq!((done.code, done.report.claim("setup")), (1, Some("fail")));
    let told = done.report.witness("GP403");
    assert!(told.contains("/auth/refresh: the status is not the expected one (HTTP 401)"), "{told}");
    // Who has no session any more logs in anew for its next iteration, and the same happens again.
    assert!(done.journaled("login") > 2, "{}", done.journaled("login"));
    assert_eq!(done.journaled("refresh"), 0);
}

#[test]
fn a_token_that_does_not_say_when_it_ends_is_told_at_the_login() {
    let done = run(
        &refreshing("expires: { jwt: token }", "expires: { iso: token }"),
        "session: keep",
        "{ closed: { iterations: 1 } }",
    );
    assert_eq!(done.code, 3);
    let told = done.report.witness("GP403");
    assert!(told.contains("token does not say when the session ends: this text is no instant"), "{told}");
}

#[test]
fn the_doctor_tries_to_refresh_a_session() {
    for (profile, code, said) in [
        (profile(), 0, "✓ refresh"),
        (refreshing("\"${refresh_token:-}\"", "\"${refresh_token:-}x\""), 3, "✗ refresh"),
        (unrefreshed(), 0, "✓ login"),
    ] {
        let place = Place::new();
        place.write("target.yaml", &profile);
        let backend = backend::start(Options { journal: true, ..Options::default() }).expect("a backend");
        let ended = place.run(&["doctor", "target.yaml", "--url", &backend.http_url(), "--no-ask"]).exits(code);
        assert!(ended.stdout.contains(said), "{}", ended.stdout);
        assert_eq!(ended.stdout.contains("refresh"), said.contains("refresh"), "{}", ended.stdout);
        let refreshed = backend.stop().iter().filter(|entry| entry.kind.starts_with("refresh")).count();
        assert_eq!(refreshed, usize::from(said.contains("refresh")));
    }
}
