//! How users meet, over real sockets: each way is healthy on a healthy backend, and shows what is mixed up or lost among users.

use std::collections::BTreeSet;

use super::support::process::{Place, shipped};
use super::support::report::Report;

/// What a scenario that is shipped shows with `flags`, quickly.
fn shown(scenario: &str, flags: &[&str], exit: i32) -> Report {
    let place = Place::new();
    let path = shipped(&format!("scenarios/{scenario}.yaml"));
    let quick = ["--set", "timeouts.quiet=100ms", "--format", "json", "--quiet", "--out", "out"];
    let words = [&["run", &path], &quick[..], flags].concat();
    Report::parse(&place.run(&words).exits(exit).stdout)
}

#[test]
fn users_meet_in_every_way_and_a_healthy_backend_passes() {
    // Logins beside those of the users, and connections of each iteration.
    for (way, users, further, connects) in
        [("", 48, 0, 3), ("pairs", 48, 0, 3), ("switch", 48, 0, 3), ("sockets", 24, 24, 3)]
    {
        let env = if way.is_empty() { vec![] } else { vec!["--env", way] };
        let report = shown("isolation", &env, 0);
        let witnesses = 2;
        let listeners = further + witnesses;
        assert_eq!(report.count("listeners"), listeners, "{way}");
        assert_eq!(report.count("users"), users + listeners, "{way}");
        assert_eq!(report.count("iterations"), 2 * users, "{way}: who listens has none");
        assert_eq!(report.count("connections"), 2 * users * connects + listeners, "{way}");
        assert_eq!(report.claim("isolation"), Some("pass"), "{way}");
        // What a user gets comes to each of its connections: the marks in its answers as well.
        assert_eq!(report.count("canaries"), if further > 0 { 4 * users } else { 2 * users }, "{way}");
    }
}

#[test]
fn a_witness_sees_what_is_sent_to_everybody_and_what_is_another_users() {
    let few = ["--set", "users.count=10", "--fault"];
    // One frame: of several that come at one time any may be shown, and who only listens is out of place with the first of them.
    let report = shown("isolation", &[&few[..], &["leak-broadcast:first=1"]].concat(), 1);
    let told = report.witness("GP206");
    assert!(told.contains("and users 111 and 112 had no place for it"), "{told}");
    let report = shown("isolation", &[&few[..], &["leak-copy"]].concat(), 1);
    let leaks = report.0["leaks"].as_array().expect("a list").iter();
    let receivers: BTreeSet<u64> = leaks.filter_map(|leak| leak["user"].as_u64()).collect();
    assert!(receivers.contains(&111) && receivers.contains(&112), "{receivers:?}");
}

#[test]
fn connections_that_are_made_in_vain_are_seen_when_they_are_never_taken_off_the_list() {
    let few = ["--set", "users.count=10"];
    assert!(shown("isolation", &few, 0).failures().is_empty());
    let report = shown("isolation", &[&few[..], &["--fault", "ghosts:limit=2"]].concat(), 1);
    assert_eq!(report.failures().iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["GP407"]);
}

#[test]
fn a_first_message_that_is_lost_is_told_from_a_connection_that_is_closed_over_it() {
    assert!(shown("handshake", &[], 0).failures().is_empty());
    let early = ["--set", "users.count=4", "--set", "load.exposure.send_after=[\"0ms\",\"2s\"]"];
    let early = [&early[..], &["--set", "timeouts.first_event=2s", "--fault"]].concat();
    // Each of four users asks four times, at once and after two seconds in turn: half of it comes too early by a wide margin.
    for (fault, code) in [("early-lost:by=700ms", "GP418"), ("early-closes:by=700ms", "GP407")] {
        let report = shown("handshake", &[&early[..], &[fault]].concat(), 1);
        assert_eq!(report.failures(), [(code, 8)], "{fault}");
        assert_eq!(report.count("runs_good"), 8, "{fault}");
    }
}

#[test]
fn a_dry_run_says_how_users_meet_and_what_makes_no_sense_is_refused() {
    let place = Place::new();
    let path = shipped("scenarios/isolation.yaml");
    let told = place.run(&["run", "--dry-run", &path, "--env", "sockets"]).exits(0).stdout;
    for line in [
        "witnesses  2 users (125 to 126) to listen and never ask",
        "exposed    each connects and hangs up 2 times before it asks; 1 further connection of each user, with its login, to listen",
    ] {
        assert!(told.contains(line), "{told}");
    }
    let path = shipped("scenarios/handshake.yaml");
    let told = place.run(&["run", "--dry-run", &path]).exits(0).stdout;
    assert!(told.contains("exposed    asks 0 ms, 100 ms, 200 ms, 500 ms after the upgrade, greeted or not"), "{told}");
}
