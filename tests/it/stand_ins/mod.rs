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

use crate::support::process::Place;
use crate::support::report::Report;
use crate::support::site::Served;

/// Runs `scenario` against a site by its profile, in which `HTTP` and `WS` stand for its addresses, to this exit code.
#[track_caller]
fn run(site: &Served, profile: &str, scenario: &str, more: &[(&str, &str)], code: i32) -> Report {
    let place = Place::new();
    place.write("profile.yaml", &profile.replace("HTTP", &site.url()).replace("WS", &site.url().replace("http", "ws")));
    place.write("scenario.yaml", scenario);
    more.iter().for_each(|(name, text)| place.write(name, text));
    place.run(&["run", "scenario.yaml", "-q", "--out", "out"]).exits(code);
    Report::in_folder(&place.path().join("out"))
}
