//! What files, variables and flags become together.

use super::*;
use crate::document::diagnostic::{Style, render};

const SCENARIO: &str = "\
version: 1
name: small
target: targets/t.yaml
users: { count: 5, email: 'qa${user.number}@example.com', password: { env: PW, on_loopback: golden-path } }
ask: { prompt: 'Which services drive our bill? (ref ${canary})' }
environments: { many: { users: { count: 20 } } }
";

const PROFILE: &str = "\
version: 1
name: t
http: { base: '${env.T_URL:-http://127.0.0.1:8000}' }
socket: '${env.T_WS:-ws://127.0.0.1:8000}/ws?room=${user.number}'
login:
  - post: /login
    json: { email: '${user.email}', password: '${user.password}' }
    capture: { token: { secret: /token } }
connect: { subprotocols: ['jwt.${token | base64url}'] }
ask: { send: { text: '${prompt}' } }
environments: { staging: { http: { base: 'https://staging.example.com' } } }
";

/// A folder with a scenario and its profile.
struct Case {
    folder: tempfile::TempDir,
    variables: Variables,
    overrides: Overrides,
}

impl Case {
    fn new() -> Self {
        Self::with(SCENARIO, PROFILE)
    }

    fn with(scenario: &str, profile: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("targets")).expect("a folder");
        std::fs::write(folder.path().join("s.yaml"), scenario).expect("a file");
        std::fs::write(folder.path().join("targets/t.yaml"), profile).expect("a file");
        Self { folder, variables: Variables::new(), overrides: Overrides::default() }
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn overriding(mut self, change: impl FnOnce(&mut Overrides)) -> Self {
        change(&mut self.overrides);
        self
    }

    fn load(&self) -> Result<Loaded, String> {
        let mut loader = Loader::new(&self.overrides, self.variables.clone(), Unset::Refuse);
        let loaded = loader.load(&self.folder.path().join("s.yaml"));
        loaded.map_err(|diagnostics| render(&diagnostics, loader.sources(), Style::Plain, 100))
    }

    fn good(&self) -> Loaded {
        self.load().unwrap_or_else(|told| panic!("{told}"))
    }

    fn bad(&self) -> String {
        self.load().map(|_| ()).expect_err("a mistake")
    }
}

fn written(text: &Text) -> String {
    let lookup = |name: &str| Some(format!("<{name}>").into());
    text.render(&lookup).expect("every name has a value")
}

fn secret(loaded: &Loaded) -> Result<&str, &Text> {
    match loaded.password.as_ref().expect("a password") {
        PasswordValue::Secret(secret) => Ok(secret.expose()),
        PasswordValue::Text(text) => Err(text),
    }
}

#[test]
fn a_target_stands_beside_the_file_that_names_it() {
    let loaded = Case::new().good();
    assert_eq!(loaded.target.profile.name, "t");
    assert!(loaded.target.loopback && !loaded.target.embedded && loaded.warnings.is_empty());
}

#[test]
fn flags_beat_variables_and_these_beat_the_environment() {
    let users = |case: &Case| case.good().scenario.users.count;
    let env = |case: Case| case.overriding(|o| o.env = Some("many".to_owned()));
    assert_eq!(users(&Case::new()), 5);
    assert_eq!(users(&env(Case::new())), 20);
    assert_eq!(users(&Case::new().variable("GOLDENPATH_ENV", "many")), 20);
    assert_eq!(users(&env(Case::new()).variable("GOLDENPATH_USERS", "30")), 30);
    let set = |case: Case| case.overriding(|o| o.set = vec!["users.count=40".to_owned()]);
    assert_eq!(users(&set(env(Case::new()).variable("GOLDENPATH_USERS", "30"))), 30);
    assert_eq!(users(&set(env(Case::new()))), 40);
    assert_eq!(users(&set(Case::new()).overriding(|o| o.users = Some("50".to_owned()))), 50);
}

#[test]
fn an_environment_may_stand_in_the_profile_alone_but_not_nowhere() {
    let env = |name: &str| Case::new().variable("PW", "secret-1").overriding(|o| o.env = Some(name.to_owned()));
    let staging = env("staging").good();
    assert!(!staging.target.loopback);
    assert_eq!(
        staging.target.profile.http.as_ref().map(|http| written(&http.base)).as_deref(),
        Some("https://staging.example.com")
    );
    assert!(env("prod").bad().contains("there is no environment `prod`"));
}

#[test]
fn an_address_takes_the_socket_along_and_keeps_its_path() {
    let url = |url: &str| Case::new().variable("PW", "secret-1").overriding(|o| o.url = Some(url.to_owned()));
    let loaded = url("https://chat.example.com:444/api").good();
    let profile = &loaded.target.profile;
    assert_eq!(written(&profile.socket), "wss://chat.example.com:444/ws?room=<user.number>");
    assert_eq!(
        profile.http.as_ref().map(|http| written(&http.base)).as_deref(),
        Some("https://chat.example.com:444/api")
    );
    assert!(!loaded.target.loopback);
    assert_eq!(written(&url("http://[::1]:9").good().target.profile.socket), "ws://[::1]:9/ws?room=<user.number>");
    assert!(url("chat.example.com").bad().contains("`chat.example.com` is not an HTTP address"));
    assert!(url("ws://chat.example.com").bad().contains("is not an HTTP address"));
    let own = SCENARIO.replace("targets/t.yaml", "{ profile: targets/t.yaml, socket: 'ws://127.0.0.1:1/own' }");
    assert_eq!(written(&Case::with(&own, PROFILE).good().target.profile.socket), "ws://127.0.0.1:1/own");
}

#[test]
fn loopback_means_every_address() {
    for (url, socket, loopback) in [
        ("http://localhost:1", "ws://127.0.0.9:1", true),
        ("http://api.localhost", "ws://[::1]:1", true),
        ("http://127.0.0.1:1", "ws://chat.example.com", false),
        ("http://127.0.0.1.example.com", "ws://127.0.0.1:1", false),
        ("http://10.0.0.1", "ws://10.0.0.1", false),
    ] {
        let case = Case::new().variable("T_URL", url).variable("T_WS", socket).variable("PW", "secret-1");
        assert_eq!(case.good().target.loopback, loopback, "{url} {socket}");
    }
    // A user that looks like loopback is refused as any user in an address is.
    let disguised = Case::new().variable("T_URL", "http://localhost@example.com").variable("PW", "secret-1");
    assert!(disguised.bad().contains("holds a user or a password"));
    let elsewhere = PROFILE.replace("post: /login", "post: https://login.example.com/login");
    assert!(!Case::with(SCENARIO, &elsewhere).variable("PW", "secret-1").good().target.loopback);
}

#[test]
fn a_password_is_followed_to_its_place() {
    assert_eq!(secret(&Case::new().good()).map_err(written), Err("golden-path".to_owned()));
    assert_eq!(secret(&Case::new().variable("PW", "secret-1").good()).map_err(written), Ok("secret-1"));
    let file = Case::with(&SCENARIO.replace("{ env: PW, on_loopback: golden-path }", "{ file: pw }"), PROFILE);
    assert!(file.bad().contains("there is no file"));
    for (content, expected) in [("secret-2\n", "secret-2"), ("secret-2\r\n", "secret-2"), (" a \n\n", " a \n")] {
        std::fs::write(file.folder.path().join("pw"), content).expect("a file");
        assert_eq!(secret(&file.good()).map_err(written), Ok(expected));
    }
    std::fs::write(file.folder.path().join("pw"), "\n").expect("a file");
    assert!(file.bad().contains("this file is empty"));
}

#[test]
fn the_embedded_backend_gets_the_password_it_knows() {
    let embedded = SCENARIO.replace("targets/t.yaml", "embedded");
    let loaded = Case::with(&embedded, PROFILE).variable("PW", "of-staging").good();
    assert!(loaded.target.embedded && loaded.target.loopback);
    assert_eq!(secret(&loaded).map_err(written), Err("golden-path".to_owned()));
}

#[test]
fn an_embedded_backend_elsewhere_on_this_machine_is_one_and_off_it_is_none() {
    let at = |url: &str| {
        let case = Case::with(&SCENARIO.replace("targets/t.yaml", "embedded"), PROFILE);
        case.overriding(|o| o.url = Some(url.to_owned()))
    };
    let near = at("http://127.0.0.1:9").good().target;
    assert!(near.embedded && near.loopback && !near.starts_backend);
    let started = Case::with(&SCENARIO.replace("targets/t.yaml", "embedded"), PROFILE).good().target;
    assert!(started.embedded && started.starts_backend);
    assert!(at("https://chat.example.com").bad().contains("the variable `PW` is not set"));
    let away = at("https://chat.example.com").variable("PW", "secret-1").good();
    assert!(!away.target.embedded && !away.target.loopback);
    assert_eq!(secret(&away).map_err(written), Ok("secret-1"));
}

#[test]
fn off_loopback_a_password_must_be_a_reference_and_is_never_shown() {
    let away = |scenario: &str| Case::with(scenario, PROFILE).variable("T_URL", "https://chat.example.com");
    let told = away(SCENARIO).bad();
    assert!(told.contains("the variable `PW` is not set") && told.contains("the target is not on loopback"), "{told}");
    for literal in ["Tr0ub4dor", "'Tr0ub4dor'", "12345678"] {
        let told = away(&SCENARIO.replace("{ env: PW, on_loopback: golden-path }", literal)).bad();
        assert!(!told.contains(literal.trim_matches('\'')), "{told}");
    }
}

#[test]
fn off_loopback_the_profile_limits_users_and_runs() {
    let away = |users: &str| {
        let case = Case::new().variable("T_URL", "https://chat.example.com").variable("PW", "secret-1");
        case.overriding(|o| o.users = Some(users.to_owned()))
    };
    assert_eq!(away("50").good().scenario.users.count, 50);
    let told = away("51").bad();
    assert!(told.contains("51 users are more than the 50 that `t` may get"), "{told}");
    let told = away("50").overriding(|o| o.set = vec!["load.closed.iterations=11".to_owned()]).bad();
    assert!(told.contains("550 runs are more than the 500 that `t` may get"), "{told}");
    let home = Case::new().overriding(|o| o.users = Some("5000".to_owned()));
    assert_eq!(home.good().scenario.users.count, 5_000);
}

#[test]
fn a_variable_without_value_stops_a_run() {
    let case = Case::with(&SCENARIO.replace("our bill", "${env.WHOSE} bill"), PROFILE);
    assert!(case.bad().contains("the variable `WHOSE` is not set"));
    assert!(case.variable("WHOSE", "the").load().is_ok());
}

#[test]
fn a_profile_is_no_scenario() {
    let case = Case::with(PROFILE, PROFILE);
    assert!(case.bad().contains("this is a target profile, not a scenario"));
}

#[test]
fn options_of_a_run_come_from_flags_then_variables() {
    let variables: Variables = [("GOLDENPATH_TAG", "a, b"), ("GOLDENPATH_SEED", "7"), ("GOLDENPATH_OUT", "here")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let options = RunOptions::default().with_variables(&variables).expect("options");
    assert_eq!((options.tag.clone(), options.seed), (vec!["a".to_owned(), "b".to_owned()], Some(7)));
    assert_eq!(options.out.as_deref(), Some(Path::new("here")));
    let flags = RunOptions { seed: Some(1), ..RunOptions::default() };
    assert_eq!(flags.with_variables(&variables).expect("options").seed, Some(1));
    let wrong: Variables = [("GOLDENPATH_SEED".to_owned(), "x".to_owned())].into();
    assert!(RunOptions::default().with_variables(&wrong).is_err());

    let scenario = Case::with(&SCENARIO.replace("version: 1", "version: 1\ntags: [b]"), PROFILE).good().scenario;
    assert!(options.selects(&scenario) && RunOptions::default().selects(&scenario));
    let other = RunOptions { tag: vec!["c".to_owned()], ..RunOptions::default() };
    assert!(!other.selects(&scenario));
}
