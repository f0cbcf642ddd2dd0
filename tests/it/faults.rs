//! Every fault of the embedded backend against the whole binary: what it must be called, and that healthy variants alarm nobody.
//!
//! `detection.txt` is written by hand, from what a fault is and what the rules say, as a second opinion on both; `selftest` holds
//! the judge against it. What one backend with several faults or another share of them must come to is held here.

use std::collections::BTreeMap;

use goldenpath::backend::{self, Envelope, Fault, Options, Running, Spec};
use serde_json::{Value, json};

use crate::support::process::Place;
use crate::support::report::Report;

/// Faults after which a client does not receive what was sent: it must end the connection, the frame is no text, a reset takes
/// with it what was not read yet, or it comes when nobody waits any more. What reaches others as well may reach users who are gone.
const NOT_RECEIVED: [&str; 6] = ["upgrade-wrong-key", "broken-text", "binary", "giant", "cut", "late-event"];

#[test]
fn a_selftest_finds_every_fault_by_its_name_and_agrees_with_the_journal() {
    let place = Place::new();
    let words = ["selftest", "--seeds", "1", "--envelope", "flat,mixed", "--pace", "2", "--jobs", "12"];
    let ended = place.run(&[&words[..], &["--format", "json"]].concat());
    let told: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let rows = told["rows"].as_array().expect("a list");
    let wrong: Vec<_> = rows.iter().filter(|row| row["wrong"] != json!([])).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    // A machine that is busy with something else may have starved a few.
    let of_all = |what: &str| rows.iter().map(|row| count(row, what)).sum::<u64>();
    let starved = of_all("starved");
    assert!(20 * starved <= of_all("executions"), "{starved} executions told nothing");
    let (code, outcome) = if starved == 0 { (0, "pass") } else { (4, "inconclusive") };
    assert_eq!((ended.status.code(), told["outcome"].as_str()), (Some(code), Some(outcome)));
    for fault in Fault::ALL {
        let tried = rows.iter().filter(|row| name(row) == fault.name()).map(|row| count(row, "executions"));
        assert!(starved > 0 || tried.sum::<u64>() > 0, "{} was not tried", fault.name());
    }
    for row in rows {
        let (sent, received) = (count(row, "sent"), count(row, "received"));
        assert!(received <= sent, "more was received than sent: {row}");
        // Whoever knocks at a door goes when it is opened or shut.
        let at_door = ["open-door-", "refusal-"].iter().any(|door| name(row).starts_with(door));
        let to_others = name(row).starts_with("leak-") || name(row) == "identity-collapse" || at_door;
        let apart = NOT_RECEIVED.contains(&name(row)) || to_others;
        assert!(apart || sent == received, "not all was received that was sent: {row}");
    }
}

fn name(row: &Value) -> &str {
    row["fault"].as_str().expect("a name").split(':').next().expect("a beginning")
}

fn count(row: &Value, of: &str) -> u64 {
    row[of].as_u64().unwrap_or_else(|| panic!("{of} of {row}"))
}

#[test]
fn a_selftest_says_what_ones_own_scenario_would_not_notice_and_what_helps() {
    let place = Place::new();
    let mine = scenario(30).replace("count: 4", "count: 1").replace("iterations: 2", "iterations: 1");
    place.write(
        "mine.yaml",
        &mine.replace("answer: { preset: business-value, min_chars: 0 }", "answer: { min_chars: 9 }"),
    );
    let faults = ["drop-thinking", "leak-copy", "answer-apology", "silent", "open-door-forged", "forgetful"];
    let words = [&["selftest", "--scenario", "mine.yaml"], &faults[..]].concat();
    let ended = place.run(&words).exits(1);
    let told = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in [
        "mine.yaml notices 2 of 6 faults of the embedded backend, tried one by one with 1 user x 1 iteration",
        "would not with --set 'load={\"closed\":{\"iterations\":2}}', although the backend takes a request and says nothing \
         (silent:connection=2, GP301 then)",
        "would not with --set users.count=4, although the backend sends all events to another user as well (leak-copy, GP201",
        "would not with --set users.count=4 --set 'probes=[\"forged-token\"]', although the backend lets in tokens whose signature",
        "would not with --set expect.answer=business-value, although the backend answers with an apology",
        "by GP101: drop-thinking",
        "Not tried forgetful: nobody comes back to what was said",
    ] {
        assert!(told.contains(line), "{line}\n{}", ended.stdout);
    }
    assert!(ended.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ended.stdout);
    let all = place.run(&["selftest", "--scenario", "mine.yaml", "drop-thinking"]).exits(0);
    assert!(all.stdout.starts_with("mine.yaml notices 1 of 1 faults"), "{}", all.stdout);
    let nothing = place.run(&["selftest", "--scenario", "mine.yaml", "forgetful"]).exits(4);
    assert!(nothing.stdout.starts_with("mine.yaml notices 0 of 0 faults"), "{}", nothing.stdout);

    place.write("never.yaml", &mine.replace("min_chars: 0", "all_of: [unicorns]"));
    let never = place.run(&["selftest", "--scenario", "never.yaml"]).exits(4);
    assert!(never.stdout.contains("nothing can be tried") && never.stdout.contains("GP504"), "{}", never.stdout);
    place.write("wrong.yaml", &mine.replace("ask:", "asks:"));
    let wrong = place.run(&["selftest", "--scenario", "wrong.yaml"]).exits(2);
    assert!(wrong.stderr.contains("wrong.yaml:"), "{}", wrong.stderr);
}

#[test]
fn every_known_way_to_fail_has_a_fault_or_a_reason() {
    let page = include_str!("../../docs/detection.md");
    let (_, known) = page.split_once("| what goes wrong | faults |").expect("the table");
    let rows = known.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut count = 0;
    for row in rows {
        let faults = row.split('|').nth(2).expect("a second column").trim();
        let (listed, reason) =
            faults.split_once(": ").filter(|(listed, _)| !listed.contains(':')).unwrap_or((faults, ""));
        let specs = listed.split('`').skip(1).step_by(2).filter(|spec| *spec != "first=N");
        let wrong = specs.clone().filter(|spec| spec.replace("=N", "=1").parse::<Spec>().is_err());
        assert_eq!(wrong.collect::<Vec<_>>(), [""; 0], "{row}");
        assert!(specs.count() > 0 || !reason.is_empty(), "neither a fault nor a reason: {row}");
        count += 1;
    }
    assert_eq!(count, 44);
}

#[test]
fn a_recording_is_bent_to_say_what_a_scenario_would_not_notice() {
    let place = Place::new();
    let lax = scenario(30).replace("answer: { preset: business-value, min_chars: 0 }", "answer: { min_chars: 9 }");
    place.write("lax.yaml", &lax.replace("count: 4", "count: 2"));
    place.run(&["run", "lax.yaml", "-q", "--record", "all", "--out", "lax"]).exits(0);
    let ended = place.run(&["selftest", "--from", "lax"]).exits(1);
    assert!(ended.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ended.stdout);
    let told = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in [
        "The recorded scenario notices 37 of 42 faults of a stream, each applied to lax/recording.gpr (2 users, 4 runs)",
        "would not with --set expect.answer=business-value, although the backend answers with an apology (answer-apology, GP514 then)",
        "although the backend sends `agent_thinking` 10 s late (delay-agent_thinking, GP304 then)",
        "by GP301: lose-all",
        "lose-agent_completed",
        "by GP414: cut",
        "by GP501: answer-empty",
        "by GP511: answer-echo",
        "Not tried double-agent_thinking: it may come as often as it likes",
    ] {
        assert!(told.contains(line), "{line}\n{}", ended.stdout);
    }

    let (_, noticed) = told.split_once("It notices").expect("a list");
    for name in ["answer-foreign", "misroute", "misroute-end", "copy", "copy-end"] {
        let by = noticed.split(" by ").find(|part| part.split([' ', ',']).any(|word| word == name));
        assert!(by.is_some_and(|by| by.contains("GP201")), "{name}\n{}", ended.stdout);
    }

    // What was advised helps: with another scenario nothing goes unnoticed.
    let strict =
        scenario(30).replace("count: 4", "count: 1").replace("expect: {", "expect: { budgets: { run: { max: 9s } },");
    place.write("strict.yaml", &strict);
    let all = place.run(&["selftest", "--from", "lax", "--scenario", "strict.yaml"]).exits(0);
    assert!(all.stdout.starts_with("strict.yaml notices 42 of 42 faults of a stream"), "{}", all.stdout);
    assert!(!all.stdout.contains("It would pass"), "{}", all.stdout);

    // A budget over many runs may well bear one that is slow.
    place.write("median.yaml", &strict.replace("max: 9s", "p50: 2s"));
    let some = place.run(&["selftest", "--from", "lax", "--scenario", "median.yaml"]).exits(0);
    assert!(some.stdout.contains("It notices only what happens to every run"), "{}", some.stdout);

    place.write("alone.yaml", &lax.replace("count: 4", "count: 1"));
    place.run(&["run", "alone.yaml", "-q", "--record", "all", "--out", "alone"]).exits(0);
    let alone = place.run(&["selftest", "--from", "alone/recording.gpr"]).exits(1);
    let told = alone.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("misroute: at no run's events was another user connected"), "{told}");

    place.run(&["run", "lax.yaml", "-q", "--record", "failures", "--out", "part"]).exits(0);
    for (words, code, told) in [
        (&["selftest", "--from", "part"][..], 2, "it is not complete, so it cannot be bent; record with `run --record"),
        (&["selftest", "--from", "nowhere"], 2, "there is no recording"),
        (&["selftest", "--from", "lax", "--scenario", "nowhere.yaml"], 2, "nowhere.yaml"),
        (&["selftest", "--from", "lax", "cut"], 2, "cannot be used with"),
    ] {
        let ended = place.run(words).exits(code);
        assert!(ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ").contains(told), "{}", ended.stderr);
    }
    place.write("never.yaml", &lax.replace("min_chars: 9", "all_of: [unicorns]"));
    let never = place.run(&["selftest", "--from", "lax", "--scenario", "never.yaml"]).exits(4);
    assert!(never.stderr.contains("nothing can be tried") && never.stderr.contains("GP504"), "{}", never.stderr);
}

#[test]
fn healthy_variants_raise_nothing_however_often() {
    let place = Place::new();
    let ended = place.run(&["selftest", "--clean", "60", "--jobs", "12", "--pace", "2"]).exits(0);
    let told = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("Healthy variants of the embedded backend against the judge: 60 executions"), "{told}");
    assert!(told.contains("healthy variants alarmed nobody: 60 of 60 executions, so at most 4.88 %"), "{told}");
}

#[test]
fn a_selftest_is_read_on_eighty_columns_and_says_what_it_cannot_try() {
    let place = Place::new();
    let words = ["selftest", "drop-thinking", "forgetful", "--seeds", "1", "--envelope", "flat"];
    let ended = place.run(&words).exits(0);
    let wide: Vec<_> = ended.stdout.lines().filter(|line| line.chars().count() > 80).collect();
    assert_eq!(wide, [""; 0]);
    for line in ["  drop-thinking             GP101 ", "      cannot be noticed: nobody comes back to what was said"] {
        assert!(ended.stdout.contains(line), "{}", ended.stdout);
    }
    let markdown = place.run(&[&words[..], &["--format", "markdown"]].concat()).exits(0).stdout;
    assert!(
        markdown.contains("| `drop-thinking` | a wrapper that one code path forgets | GP101 | 1 | 100 % |"),
        "{markdown}"
    );
    let unknown = place.run(&["selftest", "drop-thinkin"]).exits(2);
    assert!(unknown.stderr.contains("did you mean `drop-thinking`?"), "{}", unknown.stderr);
    let set = place.run(&["selftest", "cut:p=0.5", "drop-thinking"]).exits(2);
    assert!(set.stderr.contains("write `cut`"), "{}", set.stderr);
    let nowhere = place.run(&["selftest", "open-door-missing", "--envelope", "mixed"]).exits(2);
    assert!(nowhere.stderr.contains("there is nothing to try"), "{}", nowhere.stderr);
}

#[test]
fn each_leak_is_found_among_many_users_and_none_where_there_is_none() {
    let place = Place::new();
    let many = ["--users", "20", "--pace", "5", "--jobs", "3"];
    let leaks = ["selftest", "leak-*", "identity-collapse", "--seeds", "1", "--envelope", "flat"];
    let ended = place.run(&[&leaks[..], &many[..]].concat()).exits(0);
    assert!(ended.stdout.contains("PASS  10 of 10 faults were caught under their names"), "{}", ended.stdout);
    let ended = place.run(&[&["selftest", "--clean", "6"], &many[..]].concat()).exits(0);
    assert!(ended.stdout.contains("PASS"), "{}", ended.stdout);
    let none = place.run(&["selftest", "leek-*"]).exits(2);
    assert!(none.stderr.contains("there is no fault `leek-*`"), "{}", none.stderr);
}

#[test]
fn each_leak_is_told_by_how_it_came() {
    const SILENT: [&str; 1] = ["leak-misroute"];
    const CLASSES: &[(&str, &[&str])] = &[
        ("leak-broadcast", &["broadcast"]),
        ("leak-copy", &["copied"]),
        ("leak-answer", &["copied"]),
        ("leak-misroute", &["misrouted", "swapped"]),
        ("leak-late", &["copied", "stale_session"]),
        ("leak-content", &["content_only", "cached_answer", "swapped"]),
        ("leak-cached-answer", &["cached_answer"]),
        ("leak-on-reconnect", &["copied", "stale_session", "broadcast"]),
        ("identity-collapse", &["identity_collapse"]),
    ];
    all_at_once(CLASSES, |(fault, classes)| {
        let backend = start(&[fault], Envelope::Flat);
        let report = drive(&backend, fault, !SILENT.contains(fault));
        let groups = report.0["findings"].as_array().expect("a list").iter();
        let witnesses = groups.flat_map(|group| group["witnesses"].as_array().expect("a list").iter());
        let told: Vec<&str> = witnesses.filter_map(|witness| witness["class"].as_str()).collect();
        let others = told.iter().filter(|class| !classes.contains(class)).count();
        if told.is_empty() || others > 0 { vec![format!("{fault}: {told:?}")] } else { vec![] }
    });
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
        let note: Value = serde_json::from_str(&entry.text).expect("JSON");
        *counts.entry(note["fault"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    counts
}
