//! Every fault of the embedded backend against the whole binary: what it must be called, and that healthy variants alarm nobody.
//!
//! The table is written by hand, from what a fault is and what the rules say, as a second opinion on both. The backend runs in
//! this process with its journal, so that each row also proves that its fault struck.

use std::collections::BTreeMap;

use goldenpath::backend::{self, Envelope, Fault, Options, Running, Spec, Strikes};

use crate::support::process::Place;
use crate::support::report::Report;

/// What must come of a fault.
enum Seen {
    /// Findings of these rules and of no others, and a verdict that is no pass.
    Caught(&'static [&'static str]),
    /// Findings of these rules, as notes that fail nothing.
    Noted(&'static [&'static str]),
    /// Nothing, and a pass: what the fault does is legal here.
    Legal,
    /// Nothing, and a pass: users of one scenario cannot see it, for the reason given.
    Unseen(&'static str),
}

use Seen::{Caught, Legal, Noted, Unseen};

/// Faults by which something never comes, or too late: only these are given short patience, so that nothing else is late because
/// the machine is busy.
const WAITED_FOR: [Fault; 15] = [
    Fault::LoginSlow,
    Fault::LoginHang,
    Fault::UpgradeHang,
    Fault::UpgradeSlow,
    Fault::NoGreeting,
    Fault::GreetingSlow,
    Fault::AckOnly,
    Fault::Silent,
    Fault::DropCompleted,
    Fault::OnlyStarted,
    Fault::Stall,
    Fault::SlowFirst,
    Fault::SlowTool,
    Fault::LeakSwap,
    Fault::Degraded,
];

/// The fault with its settings, and what must come of it.
const TABLE: &[(&str, Seen)] = &[
    ("not-ready:first=2", Legal),
    ("login-error", Caught(&["GP403"])),
    ("login-refused", Caught(&["GP403"])),
    ("login-inside", Caught(&["GP403"])),
    ("login-slow:by=60s", Caught(&["GP401"])),
    ("login-hang", Caught(&["GP401"])),
    ("login-limited:first=1", Legal),
    ("token-expired", Caught(&["GP405"])),
    ("token-foreign", Caught(&["GP405"])),
    ("identity-collapse", Caught(&["GP201", "GP202", "GP203"])),
    ("history-lost", Caught(&["GP601"])),
    ("history-leak", Unseen("nobody asks for another user's messages")),
    ("upgrade-403", Caught(&["GP405"])),
    ("upgrade-503", Caught(&["GP405"])),
    ("upgrade-hang", Caught(&["GP406"])),
    ("upgrade-slow:by=60s", Caught(&["GP406"])),
    ("upgrade-wrong-key", Caught(&["GP410"])),
    ("no-subprotocol", Legal),
    ("other-subprotocol", Noted(&["GP417"])),
    ("accept-missing", Unseen("nobody comes without a token")),
    ("accept-expired", Unseen("nobody comes with an old token")),
    ("accept-forged", Unseen("nobody comes with a forged token")),
    ("accept-revoked", Unseen("nobody comes with a revoked token")),
    ("no-greeting", Caught(&["GP408"])),
    ("greeting-slow:by=60s", Caught(&["GP408"])),
    ("greeting-refused", Caught(&["GP407"])),
    ("greeting-foreign", Caught(&["GP202"])),
    ("close-at-once", Caught(&["GP407"])),
    ("close-at-once:code=1013", Caught(&["GP407"])),
    ("evict:limit=3", Caught(&["GP413"])),
    ("ghosts:limit=1", Caught(&["GP407"])),
    ("deaf-to-pongs:by=40ms", Caught(&["GP413"])),
    ("ack-only", Caught(&["GP301"])),
    ("silent", Caught(&["GP301"])),
    ("silent:connection=2", Caught(&["GP301"])),
    ("request-error", Caught(&["GP106"])),
    ("garbage", Caught(&["GP411"])),
    ("binary", Caught(&["GP411"])),
    ("broken-text", Caught(&["GP415"])),
    ("giant", Caught(&["GP412"])),
    ("stray-run", Caught(&["GP102"])),
    ("forgetful", Unseen("nobody comes back to what was said")),
    ("drop-started", Caught(&["GP101"])),
    ("drop-thinking", Caught(&["GP101"])),
    ("drop-tool-executing", Caught(&["GP101"])),
    ("drop-tool-completed", Caught(&["GP101"])),
    ("drop-tools", Caught(&["GP101"])),
    ("drop-completed", Caught(&["GP302"])),
    ("only-started", Caught(&["GP302"])),
    ("only-ends", Caught(&["GP101"])),
    ("renamed", Caught(&["GP101"])),
    ("started-late", Caught(&["GP102"])),
    ("tool-backwards", Caught(&["GP102"])),
    ("completed-early", Caught(&["GP104"])),
    ("double-started", Caught(&["GP103"])),
    ("double-completed", Caught(&["GP103"])),
    ("double-all", Caught(&["GP103"])),
    ("late-event", Caught(&["GP104"])),
    ("agent-error", Caught(&["GP106"])),
    ("error-then-completed", Caught(&["GP106"])),
    ("completed-failed", Caught(&["GP502"])),
    ("stall", Caught(&["GP302"])),
    ("cut", Caught(&["GP414"])),
    ("close", Caught(&["GP413"])),
    ("close:code=1011", Caught(&["GP413"])),
    ("expire-in-run", Caught(&["GP416"])),
    ("answer-empty", Caught(&["GP501"])),
    ("answer-null", Caught(&["GP501"])),
    ("answer-hollow", Caught(&["GP501"])),
    ("answer-placeholder", Caught(&["GP510"])),
    ("answer-echo", Caught(&["GP511"])),
    ("answer-mock", Caught(&["GP510"])),
    ("answer-apology", Caught(&["GP514"])),
    ("answer-cached", Caught(&["GP201"])),
    ("synthetic", Caught(&["GP510"])),
    ("burst:by=6s,connection=1", Caught(&["GP112"])),
    ("degraded", Caught(&["GP109"])),
    ("sub-agents-lost", Unseen("the agent has none here")),
    ("slow-first:by=60s", Caught(&["GP301"])),
    ("slow-tool:by=60s", Caught(&["GP302"])),
    // A frame without ids that fits into the runs of its receivers accuses nobody.
    ("leak-broadcast", Caught(&["GP206"])),
    ("leak-copy", Caught(&["GP201", "GP202"])),
    ("leak-swap", Caught(&["GP201", "GP202", "GP301"])),
    ("leak-answer", Caught(&["GP201", "GP202"])),
    ("leak-state", Caught(&["GP201"])),
    ("leak-late", Caught(&["GP201", "GP202"])),
    ("foreign-user", Caught(&["GP202"])),
    ("malformed-user", Noted(&["GP204"])),
    ("ack-first", Legal),
    ("supervised", Legal),
    ("unknown-kinds", Legal),
    ("ping-first", Legal),
    ("redelivered", Noted(&["GP113"])),
    ("failed-tool", Noted(&["GP115"])),
    ("close-after-end", Legal),
    ("skewed-clock", Noted(&["GP116"])),
    ("double-encoded", Noted(&["GP117"])),
    ("batched", Legal),
    ("null-fields", Legal),
    ("cut-user-in-greeting", Legal),
    ("own-thread", Legal),
];

#[test]
fn every_fault_is_in_the_table() {
    let rows: Vec<Fault> = TABLE.iter().map(|(text, _)| spec(text).fault).collect();
    let missing: Vec<&str> =
        Fault::ALL.iter().filter(|fault| !rows.contains(fault)).map(|fault| fault.name()).collect();
    assert_eq!(missing, [""; 0]);
    for (text, seen) in TABLE {
        let harmless = matches!(seen, Legal | Noted(_));
        assert!(harmless || !spec(text).fault.is_variant(), "{text} is a healthy variant");
        if let Unseen(why) = seen {
            assert!(!why.is_empty(), "{text}");
        }
    }
}

#[test]
fn faults_before_the_connection_are_caught() {
    try_all(|fault| matches!(fault.strikes(), Strikes::Ready | Strikes::Login | Strikes::History | Strikes::Door));
}

#[test]
fn faults_of_upgrades_are_caught() {
    try_all(|fault| fault.strikes() == Strikes::Upgrade);
}

#[test]
fn faults_of_connections_are_caught() {
    try_all(|fault| fault.strikes() == Strikes::Connection);
}

#[test]
fn faults_of_requests_are_caught() {
    try_all(|fault| fault.strikes() == Strikes::Request);
}

#[test]
fn faults_of_events_are_caught() {
    try_all(|fault| fault.strikes() == Strikes::Run && fault < Fault::AnswerEmpty);
}

#[test]
fn faults_of_answers_and_time_are_caught() {
    try_all(|fault| fault.strikes() == Strikes::Run && (Fault::AnswerEmpty..Fault::LeakBroadcast).contains(&fault));
}

#[test]
fn leaks_are_caught() {
    try_all(|fault| (Fault::LeakBroadcast..=Fault::MalformedUser).contains(&fault));
}

#[test]
fn healthy_variants_alarm_nobody() {
    try_all(|fault| fault.is_variant() && fault.strikes() == Strikes::Run);
}

#[test]
fn every_envelope_is_healthy_alone_and_with_variants() {
    const VARIANTS: &[&str] = &["supervised", "ack-first", "unknown-kinds", "null-fields"];
    let cases: Vec<_> = ENVELOPES.iter().flat_map(|envelope| [(*envelope, &[][..]), (*envelope, VARIANTS)]).collect();
    all_at_once(&cases, |(envelope, faults)| caught_as(*envelope, faults, &[]));
}

#[test]
fn a_fault_is_caught_in_every_envelope_and_blames_nothing_else() {
    const FAULTS: [(&[&str], &[&str]); 3] =
        [(&["drop-thinking"], &["GP101"]), (&["late-event"], &["GP104"]), (&["answer-placeholder"], &["GP510"])];
    let cases: Vec<_> =
        ENVELOPES.iter().flat_map(|envelope| FAULTS.map(|(fault, codes)| (*envelope, fault, codes))).collect();
    all_at_once(&cases, |(envelope, fault, codes)| caught_as(*envelope, fault, codes));
}

const ENVELOPES: [Envelope; 11] = [
    Envelope::Flat,
    Envelope::Data,
    Envelope::Payload,
    Envelope::Bridge,
    Envelope::Emitter,
    Envelope::Fallback,
    Envelope::Demo,
    Envelope::Named,
    Envelope::Wrapped,
    Envelope::Nested,
    Envelope::Mixed,
];

fn caught_as(envelope: Envelope, faults: &[&str], expected: &[&str]) -> Vec<String> {
    let backend = start(faults, envelope);
    let report = drive(&backend, &format!("{envelope:?} {faults:?}"), true);
    let told = codes(&report);
    if told == expected && (report.outcome() == "pass") == expected.is_empty() {
        return Vec::new();
    }
    vec![format!("{envelope:?} {faults:?}: {told:?}, {}, {:#}", report.outcome(), report.0["findings"])]
}

#[test]
fn two_faults_are_both_reported() {
    let backend =
        start(&["drop-thinking:victim=qa1@example.com", "answer-empty:victim=qa2@example.com"], Envelope::Flat);
    let report = drive(&backend, "two faults", true);
    assert_eq!(codes(&report), ["GP101", "GP501"]);
    assert_eq!(report.failures(), [("GP101", 2), ("GP501", 2)], "each of the two users asks twice");
}

#[test]
fn a_leak_under_probability_is_counted_as_it_struck() {
    let backend = start(&["drop-thinking:p=0.5"], Envelope::Flat);
    let report = drive(&backend, "p=0.5", true);
    let struck = strikes(&backend)["drop-thinking"];
    assert!((1..8).contains(&struck), "{struck} of 8; the seed is fixed");
    assert_eq!(report.failures(), [("GP101", struck)]);
}

#[test]
fn run_takes_faults_and_says_so() {
    let place = Place::new();
    place.write("scenario.yaml", &scenario(2));
    let out = ["--fault", "drop-thinking", "--fault", "ack-first", "--out", "out", "-q"];
    let ended = place.run(&[&["run", "scenario.yaml"], &out[..]].concat()).exits(1);
    for line in ["misbehaves on purpose: drop-thinking, ack-first", "--fault drop-thinking --fault ack-first"] {
        let told = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ").replace(" \\ ", " ");
        assert!(told.contains(line), "{}", ended.stdout);
    }
    let dry = place.run(&["run", "scenario.yaml", "--fault", "cut:p=0.5", "--dry-run"]).exits(0);
    assert!(dry.stdout.contains("with faults: cut:p=0.5"), "{}", dry.stdout);
    let list = place.run(&["serve", "--list-faults"]).exits(0);
    for fault in Fault::ALL {
        assert!(list.stdout.contains(&format!("  {}\n", fault.name())), "{fault:?}");
    }
    assert!(list.stdout.lines().all(|line| line.chars().count() <= 100));
    let wrong = place.run(&["serve", "--fault", "drop-complete"]).exits(2);
    assert!(wrong.stderr.contains("did you mean `drop-completed`?"), "{}", wrong.stderr);
}

/// Every row of the table whose fault is `selected`.
fn try_all(selected: impl Fn(Fault) -> bool) {
    let rows: Vec<_> = TABLE.iter().filter(|(text, _)| selected(spec(text).fault)).collect();
    assert!(!rows.is_empty());
    all_at_once(&rows, |(text, seen)| try_one(text, seen));
}

/// Tries `cases` side by side, a few at a time as most of their time is spent waiting, and fails with everything that is wrong.
fn all_at_once<T: Sync>(cases: &[T], wrong: impl Fn(&T) -> Vec<String> + Sync) {
    let lines = 4.min(cases.len());
    let line = |first: usize| cases.iter().skip(first).step_by(lines).flat_map(&wrong).collect::<Vec<_>>();
    let found: Vec<String> = std::thread::scope(|scope| {
        let line = &line;
        let running: Vec<_> = (0..lines).map(|first| scope.spawn(move || line(first))).collect();
        running.into_iter().flat_map(|line| line.join().expect("no panic")).collect()
    });
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn try_one(text: &str, seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    let fault = spec(text).fault;
    let backend = start(&[text], Envelope::Flat);
    let report = drive(&backend, text, !WAITED_FOR.contains(&fault));
    let (told, passed) = (codes(&report), report.outcome() == "pass");
    let fits = match seen {
        Caught(expected) => told == **expected && !passed,
        Noted(expected) => told == **expected && passed && report.failures().is_empty(),
        Legal | Unseen(_) => told.is_empty() && passed,
    };
    if !fits {
        wrong.push(format!("{text}: {told:?}, {}", report.outcome()));
    }
    // A door is tried by nobody here, and sub-agents are none.
    let tried = !matches!(seen, Unseen(_)) || fault == Fault::Forgetful;
    if tried && !strikes(&backend).contains_key(fault.name()) {
        wrong.push(format!("{text} never struck"));
    }
    wrong
}

fn spec(text: &str) -> Spec {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn start(faults: &[&str], envelope: Envelope) -> Running {
    let faults = faults.iter().map(|text| spec(text)).collect();
    backend::start(Options { faults, envelope, seed: 7, journal: true, ..Options::default() }).expect("a free port")
}

/// Four users who ask twice, each on two connections, against `backend`.
fn drive(backend: &Running, what: &str, patient: bool) -> Report {
    let place = Place::new();
    place.write("scenario.yaml", &scenario(if patient { 30 } else { 1 }));
    let url = backend.http_url();
    let ended = place.run(&["run", "scenario.yaml", "--url", &url, "--out", "out", "-q"]);
    assert!([Some(0), Some(1), Some(3)].contains(&ended.status.code()), "{what}: {ended:?}");
    Report::in_folder(&place.path().join("out"))
}

fn scenario(patience_s: u32) -> String {
    format!(
        r#"
version: 1
name: faults
target: embedded
users: {{ count: 4, email: "qa${{user.number}}@example.com", password: {{ env: PASSWORD, on_loopback: golden-path }} }}
load: {{ closed: {{ iterations: 2 }} }}
ask: {{ prompt: "Which services drive our cloud bill, and what should we cut first? (ref ${{canary}})" }}
expect: {{ events: golden-path, answer: {{ preset: business-value, min_chars: 0 }} }}
timeouts: {{ quiet: 200ms, stall: {patience_s}s, first_event: {patience_s}s, greeting: {patience_s}s, connect: {patience_s}s }}
"#
    )
}

fn codes(report: &Report) -> Vec<String> {
    let groups = report.0["findings"].as_array().expect("a list").iter();
    let mut codes: Vec<String> = groups.map(|group| group["code"].as_str().expect("a code").to_owned()).collect();
    codes.sort_unstable();
    codes
}

/// How often each fault struck, as the backend's journal says.
fn strikes(backend: &Running) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for entry in backend.journal().iter().filter(|entry| entry.kind == "fault") {
        let note: serde_json::Value = serde_json::from_str(&entry.text).expect("JSON");
        *counts.entry(note["fault"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    counts
}
