//! Targets behind a proxy, and names that somebody says the address of.
//!
//! This machine is never reached through a proxy, so the target has a name from elsewhere that only the proxy, or `--resolve`,
//! knows to be here.

use std::net::SocketAddr;

use crate::support::process::{Ended, Place, Process, shipped};
use crate::support::relay::{Conduct, HttpProxy, over_tls};
use crate::support::report::Report;
use crate::support::site::{Served, Site, Upgrade};

const SCENARIO: &str = r#"
version: 1
name: proxies
target: { profile: profile.yaml }
users: { count: 2, email: "qa${user.number}@example.com", password: { env: PASSWORD, on_loopback: golden-path } }
ask: { prompt: "Which services drive our cloud bill? (ref ${canary})" }
expect: { isolation: { required: false } } # runs of a site are so short that they need not overlap
timeouts: { quiet: 50ms }
"#;

/// Nobody on earth has this name (RFC 6761, section 6.5).
const NAME: &str = "chat.example";

fn site() -> Served {
    Site::new().upgrade(Upgrade::Accept).serve()
}

/// Runs against `url` with these flags and variables, to this exit code.
#[track_caller]
fn drive(url: &str, flags: &[&str], variables: &[(&str, &str)], code: i32) -> (Report, Ended) {
    let place = Place::new();
    place.write("scenario.yaml", SCENARIO);
    let profile = std::fs::read_to_string(shipped("scenarios/targets/netra.yaml")).expect("a profile");
    // Nobody waits for a proxy to change its mind.
    place.write("profile.yaml", &profile.replace("within: 60s", "within: 100ms"));
    let mut command = place.goldenpath(&[&["run", "scenario.yaml", "-q", "--out", "out"], flags].concat());
    command.env("NETRA_URL", url).env("NETRA_WS", url.replacen("http", "ws", 1));
    command.env("PASSWORD", "golden-path").envs(variables.iter().copied());
    let ended = Process::start(command).end().exits(code);
    let folder = place.path().join("out");
    for file in std::fs::read_dir(&folder).expect("a folder") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("it can be read");
        assert!(!bytes.windows(8).any(|window| window == b"let-me-i"), "a password of the proxy is written down");
    }
    (Report::in_folder(&folder), ended)
}

fn named(scheme: &str, at: SocketAddr) -> String {
    format!("{scheme}://{NAME}:{}", at.port())
}

#[test]
fn requests_and_sockets_go_through_the_proxy_and_the_report_names_it() {
    let site = site();
    // me:let-me-in
    let proxy = HttpProxy::serve(site.address(), Conduct::Leads(Some("Basic bWU6bGV0LW1lLWlu")));
    let variable = format!("http://me:let-me-in@{}", proxy.address());
    let (report, ended) = drive(&named("http", site.address()), &[], &[("HTTP_PROXY", &variable)], 0);
    let reached = format!("{NAME}:{} was reached through the proxy {}", site.address().port(), proxy.address());
    assert_eq!(report.0["notes"][0], reached);
    assert!(ended.stdout.contains("was reached through the proxy"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("let-me-in"));
    let asked = proxy.asked();
    let count = |begin: String| asked.iter().filter(|line| line.starts_with(&begin)).count();
    let port = site.address().port();
    assert_eq!(count(format!("CONNECT {NAME}:{port} ")), 2, "{asked:?}");
    assert_eq!(count(format!("POST http://{NAME}:{port}/auth/login ")), 2, "{asked:?}");
}

#[test]
fn what_is_secured_is_only_led_through() {
    let site = site();
    let own = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).expect("a certificate");
    let front = over_tls(site.address(), &own, None);
    let proxy = HttpProxy::serve(front.address, Conduct::Leads(None));
    let place = Place::new();
    place.write("ca.pem", &own.cert.pem());
    let ca = place.path().join("ca.pem");
    let ca = ca.to_str().expect("a path");
    let variables = [("https_proxy", proxy.address()), ("HTTP_PROXY", "http://127.0.0.1:1".to_owned())];
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    drive(&named("https", front.address), &["--cacert", ca], &variables, 0);
    let asked = proxy.asked();
    assert!(!asked.is_empty() && asked.iter().all(|line| line.starts_with("CONNECT ")), "{asked:?}");
}

#[test]
fn this_machine_and_what_somebody_says_the_address_of_is_reached_directly() {
    let site = site();
    let proxy = HttpProxy::serve(site.address(), Conduct::Refuses(502));
    let (port, address) = (site.address().port(), proxy.address());
    let resolve = format!("{NAME}:{port}:127.0.0.1");
    drive(&site.url(), &[], &[("ALL_PROXY", &address)], 0);
    drive(&site.url().replace("127.0.0.1", "localhost"), &[], &[("ALL_PROXY", "socks5://127.0.0.1:1")], 0);
    let (report, ended) =
        drive(&named("http", site.address()), &["--resolve", &resolve], &[("ALL_PROXY", &address)], 0);
    assert_eq!(report.0["notes"][0], format!("--resolve {resolve}: this address was not looked up"));
    assert!(ended.stdout.contains(&format!("--resolve {resolve}")), "the command that repeats it: {}", ended.stdout);
    assert_eq!(proxy.asked(), Vec::<String>::new());
}

#[test]
fn what_a_proxy_does_wrong_is_said_of_the_proxy() {
    let site = site();
    let nobody = HttpProxy::serve(site.address(), Conduct::Leads(None)).address();
    for (scheme, conduct, rule, told) in [
        (
            "http",
            Some(Conduct::Leads(Some("Basic x"))),
            "GP401",
            "the proxy answered 407: it wants a user and a password",
        ),
        (
            "https",
            Some(Conduct::Leads(Some("Basic x"))),
            "GP401",
            "the proxy answered 407: it wants a user and a password",
        ),
        ("http", Some(Conduct::Refuses(502)), "GP402", "it came through the proxy"),
        ("https", Some(Conduct::Refuses(502)), "GP401", "the proxy answered 502: it does not reach chat.example:"),
        ("https", Some(Conduct::Refuses(403)), "GP401", "the proxy answered 403: it does not lead to chat.example:"),
        ("http", None, "GP401", "connecting to the proxy"),
        ("https", None, "GP401", "connecting to the proxy"),
    ] {
        let proxy = conduct.map(|conduct| HttpProxy::serve(site.address(), conduct));
        let address = proxy.as_ref().map_or(nobody.clone(), HttpProxy::address);
        let (report, _) = drive(&named(scheme, site.address()), &[], &[("ALL_PROXY", &address)], 3);
        let witness = report.witness(rule);
        assert!(witness.contains(told) && witness.contains(&address), "{scheme}: {told}: {witness}");
    }
}

#[test]
fn a_socket_that_the_proxy_does_not_lead_to_is_said_of_the_proxy() {
    let site = site();
    let proxy = HttpProxy::serve(site.address(), Conduct::Refuses(403));
    let (socket, address) = (named("ws", site.address()), proxy.address());
    let (report, _) = drive(&site.url(), &[], &[("NETRA_WS", &socket), ("HTTP_PROXY", &address)], 3);
    let witness = report.witness("GP401");
    assert!(witness.contains(&format!("asking the proxy {address} for the way to {NAME}:")), "{witness}");
    assert!(witness.contains("the proxy answered 403"), "{witness}");
}

#[test]
fn nonsense_is_told_before_any_traffic() {
    let place = Place::new();
    place.write("scenario.yaml", SCENARIO);
    place.write("profile.yaml", &std::fs::read_to_string(shipped("scenarios/targets/netra.yaml")).expect("a profile"));
    for (flags, variable, told) in [
        (&["--resolve", "chat.example:443"][..], "", "write HOST:PORT:ADDRESS"),
        (&["--resolve", "localhost:443:10.0.0.5"], "", "`localhost` is always this machine"),
        (&[], "socks5://me:let-me-in@127.0.0.1:1080", "ALL_PROXY names a SOCKS proxy"),
        (&[], "http://", "ALL_PROXY does not name a proxy"),
    ] {
        let url = ["run", "scenario.yaml", "-q", "--url", "http://chat.example"];
        let mut command = place.goldenpath(&[&url, flags].concat());
        command.env("PASSWORD", "golden-path").env("ALL_PROXY", variable);
        let ended = Process::start(command).end().exits(2);
        assert!(ended.stderr.contains(told) && !ended.stderr.contains("let-me-in"), "{told}: {}", ended.stderr);
    }
}
