//! Three small backends that nobody here had in mind, written from how such backends speak and with nothing of the harness.
//!
//! Each is driven by a profile alone: it passes when it is healthy, and fails for the right reason when it is told to misbehave.
//!
//! | file | speaks like | what is foreign about it |
//! |---|---|---|
//! | `kernel.rs` | a notebook kernel | cookie login with XSRF, events by several conditions, nested correlation, two ends |
//! | `home.rs` | a home automation | authentication by the first message, refusal by a frame, small numbers as ids, batched lists |
//! | `gateway.rs` | a chat gateway | prefixes and records in text frames, questions by request, an agent that asks back |
//!
//! `proposed.rs` has profiles for them proposed from what a browser would have exported.

mod gateway;
mod home;
mod kernel;
mod proposed;

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::support::process::Place;
use crate::support::report::Report;
use crate::support::site::Served;

/// Where the two users who ask wait for one another before either is answered, so that their runs overlap on any machine.
#[derive(Clone)]
struct Together {
    asked: Arc<(Mutex<usize>, Condvar)>,
    /// How long one who stays alone is kept waiting.
    patience: Duration,
}

impl Default for Together {
    fn default() -> Together {
        Together { asked: Arc::default(), patience: Duration::from_secs(5) }
    }
}

impl Together {
    /// One asks. Whoever stays alone is answered after a while.
    fn ask(&self) {
        let (asked, came) = &*self.asked;
        let mut asked = asked.lock().expect("no panic");
        *asked += 1;
        came.notify_all();
        let alone = came.wait_timeout_while(asked, self.patience, |asked| *asked < 2);
        drop(alone.expect("no panic"));
    }
}

#[test]
fn the_doctor_goes_up_to_each_of_them_and_leaves_before_it_asks() {
    for (site, profile, scenario, more) in [
        (kernel::healthy(), kernel::PROFILE, kernel::SCENARIO, None),
        (home::healthy(), home::PROFILE, home::SCENARIO, Some(("users.csv", home::USERS))),
        (healthy_gateway(Duration::ZERO), gateway::PROFILE, gateway::SCENARIO, None),
    ] {
        let place = Place::new();
        let (http, socket) = (site.url(), site.url().replace("http", "ws"));
        place.write("profile.yaml", &profile.replace("HTTP", &http).replace("WS", &socket));
        place.write("scenario.yaml", scenario);
        more.iter().for_each(|(name, text)| place.write(name, text));
        let ended = place.run(&["doctor", "scenario.yaml", "--no-ask"]).exits(0);
        assert!(ended.stdout.contains("every rung holds"), "{}", ended.stdout);
        let secret = ["eyJ", "llat-", "golden-path", "tok-qa", "tick-qa", "session=as"]
            .iter()
            .find(|secret| ended.stdout.contains(**secret));
        assert_eq!(secret, None, "{}", ended.stdout);
    }
}

/// A gateway that works, for one user or two; one who asks alone is kept waiting for this long.
pub fn healthy_gateway(patience: Duration) -> Served {
    gateway::for_those(gateway::Fault::None, Together { patience, ..Together::default() }).serve()
}

/// Runs `scenario` against a site by its profile, in which `HTTP` and `WS` stand for its addresses, to this exit code.
#[track_caller]
fn run(site: &Served, profile: &str, scenario: &str, more: &[(&str, &str)], code: i32) -> Report {
    let place = recorded(site, profile, scenario, more, code);
    Report::in_folder(&place.path().join("out"))
}

/// As `run`; what was left behind stands in `out`.
#[track_caller]
fn recorded(site: &Served, profile: &str, scenario: &str, more: &[(&str, &str)], code: i32) -> Place {
    let place = Place::new();
    place.write("profile.yaml", &profile.replace("HTTP", &site.url()).replace("WS", &site.url().replace("http", "ws")));
    place.write("scenario.yaml", scenario);
    more.iter().for_each(|(name, text)| place.write(name, text));
    place.run(&["run", "scenario.yaml", "-q", "--out", "out", "--record", "all"]).exits(code);
    place
}

/// What `selftest --from` says of what a healthy site left behind.
#[track_caller]
fn bent(site: &Served, profile: &str, scenario: &str, more: &[(&str, &str)], code: i32) -> String {
    let place = recorded(site, profile, scenario, more, 0);
    let ended = place.run(&["selftest", "--from", "out"]).exits(code);
    assert!(ended.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ended.stdout);
    ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
}
