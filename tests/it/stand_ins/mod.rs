//! Three small backends that nobody here had in mind, written from how such backends speak and with nothing of the harness.
//!
//! Each is driven by a profile alone: it passes when it is healthy, and fails for the right reason when it is told to misbehave.
//!
//! | file | speaks like | what is foreign about it |
//! |---|---|---|
//! | `kernel.rs` | a notebook kernel | cookie login with XSRF, events by several conditions, nested correlation, two ends |
//! | `home.rs` | a home automation | authentication by the first message, refusal by a frame, small numbers as ids, batched lists |
//! | `gateway.rs` | a chat gateway | prefixes and records in text frames, questions by request, an agent that asks back |

mod gateway;
mod home;
mod kernel;

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::support::process::Place;
use crate::support::report::Report;
use crate::support::site::Served;

/// Where the two users who ask wait for one another before either is answered, so that their runs overlap on any machine.
#[derive(Clone, Default)]
struct Together(Arc<(Mutex<usize>, Condvar)>);

impl Together {
    /// One asks. Whoever stays alone is answered after a while.
    fn ask(&self) {
        let (asked, came) = &*self.0;
        let mut asked = asked.lock().expect("no panic");
        *asked += 1;
        came.notify_all();
        let alone = came.wait_timeout_while(asked, Duration::from_secs(5), |asked| *asked < 2);
        drop(alone.expect("no panic"));
    }
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
