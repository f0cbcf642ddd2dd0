//! Recordings as their users meet them: made by `run`, judged again by `judge`, killed in the middle, damaged, short of disk.
//!
//! That a complete recording yields the live report is held for every execution that `support::report` looks at. Here stands
//! what is particular, and that a recording holds exactly what the target says it sent.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use goldenpath::identity::UserNumber;
use goldenpath::trace::recording::{self, Kind, Line, Part, Reader, Tail, encode, preface};
use goldenpath::trace::{Content, Direction, Entry, Fact, Frame, Observed};
use serde_json::{Value, json};

use crate::support::process::{Backend, Ended, Place, Process, shipped};
use crate::support::redact::redact;
use crate::support::report::{Report, judged};
use crate::support::site::{Site, TOKEN};

const SCENARIO: &str = r#"
version: 1
name: recorded
target: target.yaml
users: { count: 4, email: "qa${user.number}@example.com", password: { env: PASSWORD, on_loopback: golden-path } }
ask: { prompt: "Which services drive our cloud bill? (ref ${canary})" }
timeouts: { quiet: 50ms }
expect: { budgets: { run: { max: 50s } } }
"#;

fn place() -> Place {
    let place = Place::new();
    place.write("target.yaml", include_str!("../../scenarios/targets/netra.yaml"));
    place.write("scenario.yaml", SCENARIO);
    place
}

/// Runs the scenario against `url`, and names what else the command line says.
fn run(place: &Place, url: &str, more: &[&str]) -> Ended {
    place.run(&[&["run", "scenario.yaml", "-q", "--out", "out", "--url", url], more].concat())
}

/// Everything that a recording holds.
struct Recorded {
    lines: Vec<Line<'static>>,
    tail: Tail,
    /// All of it as text.
    text: String,
}

impl Recorded {
    fn read(path: &Path) -> Recorded {
        let bytes = fs::read(path).expect("a recording");
        let mut reader = Reader::open(&bytes[..]).expect("a recording");
        let (mut lines, mut text) = (Vec::new(), String::new());
        while let Some(part) = reader.next_part().expect("whole blocks") {
            match part {
                Part::Header(content) => text.push_str(&String::from_utf8(content).expect("text")),
                Part::Tape(_, content) => {
                    for line in content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                        lines.push(owned(Line::read(line).expect("a line")));
                    }
                    text.push_str(&String::from_utf8(content).expect("text"));
                }
                Part::End(content) => text.push_str(&String::from_utf8(content).expect("text")),
            }
        }
        Recorded { lines, tail: reader.tail().expect("it is read to its end"), text }
    }

    fn entries(&self) -> impl Iterator<Item = (UserNumber, &Observed<'static>)> {
        self.lines.iter().filter_map(|line| match line {
            Line::Entry(Entry { user: Some(user), observed }) => Some((*user, observed)),
            _ => None,
        })
    }
}

fn owned(line: Line<'_>) -> Line<'static> {
    match line {
        Line::LeftOut { user, entries } => Line::LeftOut { user, entries },
        Line::Entry(entry) => Line::Entry(entry.into_owned()),
    }
}

/// The bytes of a recording whose blocks hold something else; their checksums are right.
fn rewritten(path: &Path, change: &dyn Fn(Kind, String) -> String) -> Vec<u8> {
    let bytes = fs::read(path).expect("a recording");
    let mut reader = Reader::open(&bytes[..]).expect("a recording");
    let mut rewritten = preface();
    while let Some(part) = reader.next_part().expect("whole blocks") {
        let (kind, content) = match part {
            Part::Header(content) => (Kind::Header, content),
            Part::Tape(head, lines) => {
                let mut content = Vec::new();
                recording::write_head(&mut content, head);
                content.extend(lines);
                (Kind::Tape, content)
            }
            Part::End(content) => (Kind::End, content),
        };
        let content = change(kind, String::from_utf8(content).expect("text"));
        rewritten.extend(encode(kind, content.as_bytes()).expect("a block"));
    }
    rewritten
}

fn verdict(report: &Report, claim: &str) -> String {
    report.claim(claim).unwrap_or("not claimed").to_owned()
}

fn named<'a>(report: &'a Report, list: &str) -> Vec<&'a str> {
    report.0["judged"][list].as_array().expect("a list").iter().filter_map(Value::as_str).collect()
}

// ---------------------------------------------------------------------------------------------------------------------
// The page

/// The fenced blocks of `docs/recordings.md` in this language.
fn shown(language: &str) -> Vec<String> {
    let page = fs::read_to_string(shipped("docs/recordings.md")).expect("the page");
    let parts: Vec<&str> = page.split("```").collect();
    let blocks = parts.iter().skip(1).step_by(2).filter_map(|block| block.strip_prefix(language));
    blocks.filter_map(|block| block.strip_prefix('\n')).map(str::to_owned).collect()
}

#[test]
fn judging_again_prints_what_the_page_shows() {
    let place = Place::new();
    fs::create_dir(place.path().join("scenarios")).unwrap();
    place.write("scenarios/smoke.yaml", include_str!("../../scenarios/smoke.yaml"));
    // The figures are this machine's; what they may be is another test's.
    place.run(&["run", "scenarios/smoke.yaml", "-q", "--set", "expect.budgets.run.max=10s"]);
    let blocks = shown("console");
    assert!(!blocks.is_empty());
    for block in blocks {
        let (command, output) = block.split_once('\n').expect("a command and what it prints");
        let words: Vec<&str> = command.strip_prefix("$ goldenpath ").expect("a command").split(' ').collect();
        let printed = redact(&place.run(&words).exits(1).stdout, place.path());
        let mut rest = printed.as_str();
        for part in redact(output, place.path()).split("...\n") {
            let at = rest.find(part).unwrap_or_else(|| panic!("\n{part}\ndoes not follow in\n{rest}"));
            rest = &rest[at + part.len()..];
        }
    }
}

#[test]
fn lines_of_a_tape_are_spelled_as_the_page_shows() {
    let blocks = shown("json");
    let lines = blocks.iter().flat_map(|block| block.lines());
    let mut read = 0;
    for text in lines {
        let line = Line::read(text.as_bytes()).unwrap_or_else(|why| panic!("{why}: {text}"));
        let mut written = Vec::new();
        match &line {
            Line::Entry(Entry { user, observed }) => recording::write_entry(&mut written, *user, observed),
            Line::LeftOut { user, entries } => recording::write_left_out(&mut written, *user, *entries),
        }
        assert_eq!(String::from_utf8(written).unwrap().trim_end(), text);
        read += 1;
    }
    assert_eq!(read, 12);
}

// ---------------------------------------------------------------------------------------------------------------------
// What is recorded

#[test]
fn a_recording_holds_exactly_what_the_target_says_it_sent_to_each_user() {
    let place = place();
    let backend = Backend::serve(&place, &["--journal", "journal.jsonl", "--tools", "costs,usage", "--threads", "2"]);
    let more = ["--users", "12", "--threads", "2", "--set", "load.closed.iterations=3"];
    run(&place, &backend.url, &more).exits(0);
    backend.stop();
    let recorded = Recorded::read(&place.path().join("out/recording.gpr"));
    assert_eq!(recorded.tail, Tail::Ended);

    // By the target's id of a user: the frames of each of his connections, in their order.
    let mut received: BTreeMap<String, BTreeMap<u32, Vec<String>>> = BTreeMap::new();
    let mut ids: BTreeMap<UserNumber, String> = BTreeMap::new();
    for (user, observed) in recorded.entries() {
        match observed {
            Observed::Fact(Fact::Captured { name, value, .. }) if name == "user_id" => {
                ids.insert(user, value.clone());
            }
            Observed::Frame(Frame {
                direction: Direction::Received, connection, content: Content::Text(text), ..
            }) => {
                let connections = received.entry(ids[&user].clone()).or_default();
                connections.entry(connection.0).or_default().push(text.to_string());
            }
            _ => {}
        }
    }
    let mut sent: BTreeMap<String, BTreeMap<u64, Vec<String>>> = BTreeMap::new();
    for line in fs::read_to_string(place.path().join("journal.jsonl")).expect("a journal").lines() {
        let entry: Value = serde_json::from_str(line).expect("JSON");
        let Some(connection) = entry["connection"].as_u64() else { continue };
        assert_eq!(entry["sent"], true, "{line}");
        let user = entry["user_id"].as_str().expect("a user").to_owned();
        let text = entry["text"].as_str().expect("a text").to_owned();
        sent.entry(user).or_default().entry(connection).or_default().push(text);
    }
    // Both count a user's connections upwards.
    let frames = |connections: BTreeMap<_, Vec<String>>| connections.into_values().collect::<Vec<_>>();
    let sent: BTreeMap<_, Vec<Vec<String>>> = sent.into_iter().map(|(user, all)| (user, frames(all))).collect();
    let received: BTreeMap<_, Vec<Vec<String>>> =
        received.into_iter().map(|(user, all)| (user, all.into_values().collect())).collect();
    assert_eq!(received, sent);
    assert_eq!((sent.len(), sent.values().map(Vec::len).sum::<usize>()), (12, 36));
    // Greeting, start, two thoughts, two tools, end.
    assert!(sent.values().flatten().all(|frames| frames.len() == 9), "{sent:#?}");
}

#[test]
fn control_frames_sent_frames_closes_and_steps_are_recorded() {
    let place = place();
    let site = Site::new().talking(|talk| {
        talk.frame(0x89, b"are you there")?;
        talk.greet()?;
        let ask = talk.ask()?;
        talk.answer(&ask)?;
        talk.close(1001, "going away")
    });
    let site = site.serve();
    run(&place, &site.url(), &["--users", "1"]).exits(0);
    let recorded = Recorded::read(&place.path().join("out/recording.gpr"));
    let has = |what: &str, wanted: &dyn Fn(&Observed<'_>) -> bool| {
        assert!(recorded.entries().any(|(_, observed)| wanted(observed)), "no {what} in {:#?}", recorded.lines);
    };
    let frame = |wanted: fn(&Frame<'_>) -> bool| move |observed: &Observed<'_>| matches!(observed, Observed::Frame(frame) if wanted(frame));
    has("ping", &frame(|frame| frame.content == Content::Ping));
    has(
        "ask",
        &frame(|frame| {
            frame.direction == Direction::Sent
                && matches!(&frame.content, Content::Text(text) if text.contains("start_agent"))
        }),
    );
    has(
        "close",
        &frame(|frame| matches!(&frame.content, Content::Close { code: 1001, reason } if reason == "going away")),
    );
    for (phase, wanted) in [("login", "POST"), ("after", "GET"), ("finally", "DELETE")] {
        has(phase, &|observed| match observed {
            Observed::Fact(fact @ Fact::Step { name, .. }) => {
                name.starts_with(wanted) && serde_json::to_value(fact).unwrap()["phase"] == phase
            }
            _ => false,
        });
    }
    has("upgrade", &|observed| matches!(observed, Observed::Fact(Fact::Dialed { .. })));
    // Readiness precedes all users.
    assert!(recorded.lines.iter().any(|line| matches!(line, Line::Entry(Entry { user: None, .. }))));
}

#[test]
fn no_password_token_or_typed_key_is_recorded() {
    let place = place();
    let profile = include_str!("../../scenarios/targets/netra.yaml");
    let typed = profile.replace(
        r#"headers: { Authorization: "Bearer ${token}" }"#,
        r#"headers: { Authorization: "Bearer ${token}", X-Api-Key: "typed-api-key" }"#,
    );
    assert_ne!(profile, typed);
    place.write("target.yaml", &typed);
    let others = "environments:\n  other: { users: { password: { env: P, on_loopback: never-chosen } } }\n";
    place.write("scenario.yaml", &format!("{SCENARIO}{others}# a comment-secret\n"));
    // A target that tells everybody everything.
    let site = Site::new().talking(|talk| {
        talk.greet()?;
        let ask = talk.ask()?;
        let token = format!("{TOKEN}{}", talk.email);
        talk.event("agent_started", &ask, json!({"token": token, "password": "golden-path"}))?;
        talk.answer(&ask)
    });
    let site = site.serve();
    run(&place, &site.url(), &[]);
    let text = Recorded::read(&place.path().join("out/recording.gpr")).text;
    for secret in [TOKEN, "golden-path", "typed-api-key", "never-chosen", "comment-secret"] {
        // The preset of the grammar is called like the password of the embedded backend.
        assert!(!text.replace("events: golden-path", "").contains(secret), "{secret} was recorded");
    }
    assert!(text.contains("«secret:token:1»") && text.contains("«secret:password»"), "{text}");
}

#[test]
fn a_token_that_leaks_to_another_thread_is_no_more_recorded_than_one_of_the_target_itself() {
    let place = place();
    let profile = include_str!("../../scenarios/targets/netra.yaml");
    let ready =
        profile.replace("capture: { build: [/version, /details/version] }", "capture: { key: { secret: [/key] } }");
    assert_ne!(profile, ready);
    place.write("target.yaml", &ready);
    let site = Site::new()
        .ready(|_| (200, json!({"status": "ready", "key": "key-of-the-target"}).to_string()))
        .talking(|talk| {
            talk.greet()?;
            let ask = talk.ask()?;
            talk.together(2);
            // Users are dealt out among threads in turn.
            let other = if talk.email.starts_with("qa1@") { "qa2" } else { "qa1" };
            let leaked = format!("{TOKEN}{other}@example.com");
            talk.event("agent_started", &ask, json!({"token": leaked, "key": "key-of-the-target"}))?;
            talk.answer(&ask)
        });
    let site = site.serve();
    run(&place, &site.url(), &["--users", "2", "--threads", "2"]);
    let text = Recorded::read(&place.path().join("out/recording.gpr")).text;
    assert!(!text.contains(TOKEN) && !text.contains("key-of-the-target"), "{text}");
    for label in ["«secret:token:1»", "«secret:token:2»", "«secret:key»"] {
        assert!(text.contains(label), "{label} is not in {text}");
    }
}

#[test]
fn nothing_is_recorded_where_nothing_is_to_be() {
    let place = place();
    let ended = place.run(&["run", "scenario.yaml", "-q", "--out", "out", "--target", "embedded", "--record", "none"]);
    let ended = ended.exits(0);
    assert!(!place.path().join("out/recording.gpr").exists());
    assert!(!ended.stdout.contains("goldenpath judge"), "{}", ended.stdout);
    let report = Report::parse(&fs::read_to_string(place.path().join("out/report.json")).unwrap());
    assert_eq!(report.0["recording"], Value::Null);
    assert!(judged(&place.path().join("out"), &[]).exits(2).stderr.contains("there is no recording"));
}

#[test]
fn many_users_on_several_threads_are_judged_again_to_the_byte() {
    let place = place();
    let more = ["--target", "embedded", "--users", "150", "--threads", "3", "--set", "load.closed.iterations=2"];
    place.run(&[&["run", "scenario.yaml", "-q", "--out", "out"], &more[..]].concat());
    let report = Report::in_folder(&place.path().join("out"));
    assert_eq!((report.count("users"), report.count("runs")), (150, 300));
    // With the same name for the recording there is no difference but that it says so.
    let again = place.run(&["judge", "out", "--format", "json"]).stdout;
    let (same, _) = again.rsplit_once("  \"judged\": {").expect("it says so");
    let live = fs::read_to_string(place.path().join("out/report.json")).unwrap();
    assert_eq!(Some(same), live.strip_suffix("  \"judged\": null\n}\n"));
}

// ---------------------------------------------------------------------------------------------------------------------
// By something else

#[test]
fn another_budget_judges_anew() {
    let place = place();
    place.run(&["run", "scenario.yaml", "-q", "--out", "out", "--target", "embedded"]).exits(0);
    let out = place.path().join("out");
    let again = judged(&out, &["--set", "expect.budgets.run.max=1ms"]).exits(1);
    let report = Report::parse(&again.stdout);
    assert_eq!((verdict(&report, "run max"), verdict(&report, "events")), ("fail".into(), "pass".into()));
    assert_eq!(report.0["judged"]["anew"], json!(["--set expect.budgets.run.max=1ms"]));

    // A scenario of its own: what users did stays as it was.
    place.write("new.yaml", &SCENARIO.replace("count: 4", "count: 1").replace("max: 50s", "mean: 1ms"));
    let again = place.run(&["judge", "out", "--scenario", "new.yaml", "--out", "again"]).exits(1);
    assert!(again.stdout.starts_with("FAIL") && again.stdout.contains("with --scenario new.yaml"), "{}", again.stdout);
    let report = Report::parse(&fs::read_to_string(place.path().join("again/report.json")).unwrap());
    assert_eq!((report.count("users"), verdict(&report, "isolation")), (4, "pass".into()));
    assert_eq!(verdict(&report, "run mean"), "fail");
    assert!(place.path().join("again/junit.xml").exists() && place.path().join("again/summary.md").exists());
}

#[test]
fn a_known_issue_expires_by_the_day_of_the_execution() {
    let place = place();
    let known = "known: [{ rule: GP106, issue: \"https://example.com/1\", until: 2020-12-31 }]";
    place.write("scenario.yaml", &SCENARIO.replace("expect: {", &format!("expect: {{ {known},")));
    run(&place, &one_fails().serve().url(), &[]).exits(1);
    let path = place.path().join("out/recording.gpr");
    let began = regex::Regex::new(r#""began_unix_us":\d+"#).expect("a pattern");
    // The first of January 2020, when the issue was still tolerated.
    let then = r#""began_unix_us":1577880000000000"#;
    let bytes = rewritten(&path, &|_, content| began.replace_all(&content, then).into_owned());
    fs::write(&path, bytes).unwrap();
    let again = Report::parse(&place.run(&["judge", "out", "--format", "json"]).exits(0).stdout);
    assert_eq!(again.0["known"][0]["state"], "tolerated");
}

#[test]
fn another_dialect_reads_the_same_frames_anew() {
    let place = place();
    let wrong = include_str!("../../scenarios/targets/netra.yaml")
        .replace("name: [/type, /event, /event_name, /event_type]", "name: [/not/the/place]");
    assert!(wrong.contains("/not/the/place"));
    let site = Site::new().talking(|talk| {
        talk.greet()?;
        let ask = talk.ask()?;
        talk.work(&ask)?;
        talk.together(4);
        talk.complete(&ask)
    });
    let site = site.serve();
    place.write("wrong.yaml", &wrong);
    // With the right profile it passes; read by the wrong one nothing of it makes sense.
    run(&place, &site.url(), &[]).exits(0);
    let live = Report::in_folder(&place.path().join("out"));
    let again = place.run(&["judge", "out", "--target", "wrong.yaml", "--format", "json"]);
    assert!(!again.status.success() && again.status.code() != Some(5), "{again:?}");
    let again = Report::parse(&again.stdout);
    assert_eq!(again.count("texts"), live.count("texts"));
    assert_ne!(verdict(&again, "events"), "pass");
    // And back, by the profile that was there at first.
    let back = place.run(&["judge", "out", "--target", "target.yaml", "--format", "json"]).exits(0);
    assert_eq!(Report::parse(&back.stdout).of_the_judge(), live.of_the_judge());
}

#[test]
fn what_should_be_judged_by_is_told_with_all_its_mistakes() {
    let place = place();
    place.run(&["run", "scenario.yaml", "-q", "--out", "out", "--target", "embedded"]).exits(0);
    place.write("broken.yaml", &SCENARIO.replace("max: 50s", "max: soon, fast: 1s"));
    for (arguments, wanted) in [
        (&["--scenario", "broken.yaml"][..], &["broken.yaml:8", "soon", "fast"][..]),
        (&["--scenario", "target.yaml"], &["this is a target profile, not a scenario"]),
        (&["--target", "scenario.yaml"], &["this is a scenario, not a target profile"]),
        (&["--target", "missing.yaml"], &["there is no file `missing.yaml`"]),
        (&["--set", "expect.budgets.run.max=never"], &["--set", "never"]),
        (&["--scenario", "scenario.yaml", "--env", "staging"], &["there is no environment `staging`"]),
        (&["--env", "staging"], &["name --scenario or --target"]),
    ] {
        let ended = place.run(&[&["judge", "out"], arguments].concat()).exits(2);
        for text in wanted {
            assert!(ended.stderr.contains(text), "{arguments:?} does not say {text:?}: {}", ended.stderr);
        }
        assert_eq!(ended.stdout, "");
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// In parts

/// A site where the second of four users gets an error.
fn one_fails() -> Site {
    Site::new().talking(|talk| {
        talk.greet()?;
        let ask = talk.ask()?;
        talk.work(&ask)?;
        talk.together(4);
        match talk.email.starts_with("qa2@") {
            true => talk.event("agent_error", &ask, json!({"error": "out of memory"})),
            false => talk.complete(&ask),
        }
    })
}

#[test]
fn of_failures_only_the_failing_user_is_kept_and_the_rest_is_repeated() {
    let place = place();
    let site = one_fails().serve();
    let live = run(&place, &site.url(), &["--record", "failures"]).exits(1);
    assert!(live.stdout.contains("only what failed is recorded"), "{}", live.stdout);
    let recorded = Recorded::read(&place.path().join("out/recording.gpr"));
    let mut users: Vec<u32> = recorded.entries().map(|(user, _)| user.0).collect();
    users.dedup();
    assert_eq!(users, [2]);
    let lines = recorded.lines.iter();
    let left_out: Vec<_> = lines.filter(|line| matches!(line, Line::LeftOut { .. })).collect();
    assert_eq!(left_out.len(), 3, "of the three others a count is kept");

    let report = Report::parse(&fs::read_to_string(place.path().join("out/report.json")).unwrap());
    let again = Report::parse(&place.run(&["judge", "out", "--format", "json"]).exits(1).stdout);
    assert_eq!(again.of_the_judge(), report.of_the_judge());
    assert_eq!(again.0["recording"], report.0["recording"]);
    assert_eq!((again.0["judged"]["complete"].as_bool(), named(&again, "recomputed")), (Some(false), vec!["events"]));
    assert_eq!(named(&again, "repeated"), ["setup", "transport", "answer", "isolation", "run max"]);

    // By another measure only what fails by itself can be said.
    let anew = judged(&place.path().join("out"), &["--set", "expect.budgets.run.max=49s"]).exits(1);
    let anew = Report::parse(&anew.stdout);
    assert_eq!(named(&anew, "recomputed"), ["events"]);
    assert_eq!(named(&anew, "unknown"), ["setup", "transport", "answer", "isolation", "run max"]);
    assert_eq!(verdict(&anew, "run max"), "inconclusive");
    let forgiven = judged(&place.path().join("out"), &["--set", "expect.rules={GP106: note}"]).exits(4);
    assert!(named(&Report::parse(&forgiven.stdout), "recomputed").is_empty());
}

#[test]
fn a_failure_late_in_a_kept_session_is_judged_with_the_set_up_of_that_session() {
    for session in ["keep", "fresh"] {
        let place = place();
        let asks = AtomicUsize::new(0);
        let site = Site::new().talking(move |talk| {
            talk.greet()?;
            while let Ok(ask) = talk.ask() {
                talk.work(&ask)?;
                // Longer than the quiet time, so that the run before is settled first on a machine that is late as well.
                (0..4).for_each(|_| talk.think());
                let mine = talk.email.starts_with("qa2@");
                match mine && asks.fetch_add(1, Ordering::AcqRel) == 3 {
                    true => talk.event("agent_error", &ask, json!({"error": "out of memory"}))?,
                    false => talk.complete(&ask)?,
                }
            }
            Ok(())
        });
        let site = site.serve();
        let session = format!("users.session={session}");
        let sets = ["--set", &session, "--set", "load.closed.iterations=5", "--set", "expect.isolation.min_overlap=0%"];
        run(&place, &site.url(), &[&["--record", "failures"], &sets[..]].concat()).exits(1);
        let again = Report::parse(&place.run(&["judge", "out", "--format", "json"]).exits(1).stdout);
        assert_eq!(named(&again, "recomputed"), ["events"], "{session}");
        // A kept session goes on at once: that the fourth failed is certain when the fifth has begun.
        let lines = Recorded::read(&place.path().join("out/recording.gpr")).lines;
        let iterations = lines.iter().filter_map(|line| match line {
            Line::Entry(Entry { observed: Observed::Fact(Fact::Began { iteration, .. }), .. }) => Some(iteration.0),
            _ => None,
        });
        let kept = if session.ends_with("keep") { vec![1, 4, 5] } else { vec![3, 4, 5] };
        assert_eq!(iterations.collect::<Vec<_>>(), kept, "{session}");
        let anew = judged(&place.path().join("out"), &["--set", "expect.budgets.run.max=49s"]).exits(1);
        assert_eq!(Report::parse(&anew.stdout).failures(), [("GP106", 1)], "{session}");
    }
}

#[test]
fn both_sides_of_a_leak_are_kept() {
    let place = place();
    let site = Site::new().talking(|talk| {
        talk.greet()?;
        let ask = talk.ask()?;
        let all = talk.together(4);
        talk.work(&ask)?;
        if talk.email.starts_with("qa3@") {
            let other = all.iter().find(|(user, _)| user.ends_with("qa1")).expect("user 1 has asked").1;
            talk.event("agent_thinking", &ask, json!({"thought": other.prompt}))?;
        }
        talk.complete(&ask)
    });
    let site = site.serve();
    run(&place, &site.url(), &["--record", "failures"]).exits(1);
    let recorded = Recorded::read(&place.path().join("out/recording.gpr"));
    let users: std::collections::BTreeSet<u32> = recorded.entries().map(|(user, _)| user.0).collect();
    assert_eq!(users, [1, 3].into());
    let again = Report::parse(&place.run(&["judge", "out", "--format", "json"]).exits(1).stdout);
    assert_eq!(named(&again, "recomputed"), ["isolation"]);
}

// ---------------------------------------------------------------------------------------------------------------------
// Killed, damaged, short of disk

#[test]
fn what_was_recorded_before_a_kill_can_be_judged() {
    let place = place();
    // The agent works and never ends.
    let site = Site::new().talking(|talk| {
        talk.greet()?;
        let ask = talk.ask()?;
        talk.work(&ask)
    });
    let site = site.serve();
    let arguments = ["run", "scenario.yaml", "-q", "--out", "out", "--url", &site.url(), "--set", "timeouts.stall=50s"];
    let process = Process::start(place.goldenpath(&arguments));
    let path = place.path().join("out/recording.gpr");
    let worked = |path: &Path| {
        let recorded = Recorded::read(path);
        let events = recorded.entries().filter(|(_, observed)| match observed {
            Observed::Frame(Frame { content: Content::Text(text), .. }) => text.contains("tool_completed"),
            _ => false,
        });
        events.count() == 4
    };
    // Nobody tells when a block was written; the test ends with its watchdog if none is.
    while !(path.exists() && fs::metadata(&path).unwrap().len() > 100 && worked(&path)) {
        std::thread::park_timeout(Duration::from_millis(50));
    }
    process.signal("KILL");
    assert_eq!(process.end().status.code(), None);
    for cut in [0, 7] {
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - cut]).unwrap();
        let ended = place.run(&["judge", "out"]).exits(130);
        assert!(ended.stdout.starts_with("INTERRUPTED"), "{}", ended.stdout);
        assert!(ended.stdout.contains("the recording has no end"), "{}", ended.stdout);
        assert_eq!(ended.stdout.contains("is torn"), cut > 0, "{}", ended.stdout);
        let report = Report::parse(&place.run(&["judge", "out", "--format", "json"]).exits(130).stdout);
        assert_eq!(report.failures(), []);
        assert_eq!(report.count("iterations_interrupted"), if cut == 0 { 4 } else { report.count("users") });
    }
}

#[test]
fn of_a_killed_execution_whose_failures_alone_are_kept_nothing_is_taken_for_everything() {
    let place = place();
    let site = Site::new().talking(|talk| talk.greet()).serve();
    let arguments = ["run", "scenario.yaml", "-q", "--out", "out", "--url", &site.url(), "--record", "failures"];
    let process = Process::start(place.goldenpath(&arguments));
    site.wait_for("GET /ws", 4);
    process.signal("KILL");
    process.end();
    let report = Report::parse(&place.run(&["judge", "out", "--format", "json"]).exits(130).stdout);
    assert_eq!(named(&report, "unknown"), ["setup", "transport", "events", "answer", "isolation", "run max"]);
    assert!(named(&report, "recomputed").is_empty());
}

#[test]
fn files_that_are_no_good_recordings_are_told_apart_and_none_breaks_the_judge() {
    let place = place();
    place.run(&["run", "scenario.yaml", "-q", "--out", "out", "--target", "embedded"]).exits(0);
    let path = place.path().join("out/recording.gpr");
    let whole = fs::read(&path).unwrap();
    let build = |change: &dyn Fn(Kind, String) -> String| rewritten(&path, change);
    assert_eq!(build(&|_, content| content), whole, "the blocks are what was written");
    let changed = |wanted: Kind, from: &'static str, to: &'static str| {
        build(&move |kind, content| if kind == wanted { content.replacen(from, to, 1) } else { content })
    };
    let mut middle = whole.clone();
    middle[whole.len() / 2] ^= 0x55;
    let mut newer = whole.clone();
    newer[8] = 9;
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "the file is empty"),
        (b"version: 1\n".to_vec(), "not a recording"),
        (whole[..40].to_vec(), "ends at byte 40, within its header"),
        (middle, "damaged at byte "),
        (newer, "a recording of version 9, and this build reads version 1"),
        (changed(Kind::Header, "\"participants\"", "\"others\""), "the header is not one that this build can read"),
        (changed(Kind::Header, "\\\"users\\\"", "\\\"usres\\\""), "`usres`"),
        (changed(Kind::Tape, "\"iteration\"", "\"oteration\""), "holds a line that this build cannot read"),
        (changed(Kind::End, "\"verdict\"", "\"word\""), "the end is not one that this build can read"),
    ];
    for (bytes, wanted) in cases {
        fs::write(place.path().join("case.gpr"), bytes).unwrap();
        let ended = place.run(&["judge", "case.gpr", "--format", "json"]).exits(2);
        assert_eq!(ended.stdout, "");
        assert!(ended.stderr.contains(wanted), "{wanted:?} is not in {}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }

    // Anything that stands where something was: whatever comes of it is no panic. Checksums are right, contents are not.
    let mut names = Vec::new();
    for (index, (from, to)) in [
        ("\"at\":", "\"at\":18446744073709551615,\"x\":"),
        ("\"users\":4", "\"users\":0"),
        ("\"places\":[[0,", "\"places\":[[4294967295,"),
        ("\"text\":\"{", "\"text\":\"{\\\"a\\\": *b, "),
        ("\"connection\":1", "\"connection\":4294967295"),
        ("\"began_unix_us\":1", "\"began_unix_us\":1844674407370955161"),
        ("\"quiet\":", "\"left_out\":3,\"x\":"),
        ("\"user\":2,\"fact\"", "\"user\":4294967295,\"fact\""),
        ("agent_started", "agent_completed"),
        ("\"iteration\":1", "\"iteration\":0"),
    ]
    .into_iter()
    .enumerate()
    {
        let bytes = build(&|_, content| content.replace(from, to));
        assert_ne!(bytes, whole, "{from} is nowhere");
        names.push(format!("{index}.gpr"));
        fs::write(place.path().join(&names[index]), bytes).unwrap();
    }
    let mut arguments = vec!["judge"];
    arguments.extend(names.iter().map(String::as_str));
    let ended = place.run(&arguments);
    assert!(!ended.stderr.contains("panicked") && ended.status.code() != Some(5), "{ended:?}");
}

#[test]
fn a_recording_that_cannot_be_made_is_told_beside_the_verdict() {
    let place = place();
    fs::create_dir_all(place.path().join("out/recording.gpr/in-the-way")).unwrap();
    let ended = place.run(&["run", "scenario.yaml", "-q", "--out", "out", "--target", "embedded"]).exits(5);
    assert!(ended.stdout.starts_with("PASS"), "{}", ended.stdout);
    assert!(ended.stderr.starts_with("goldenpath: failed to record into out/recording.gpr: "), "{}", ended.stderr);
    let report = Report::parse(&fs::read_to_string(place.path().join("out/report.json")).unwrap());
    assert_eq!((report.outcome(), &report.0["recording"]), ("pass", &Value::Null));
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_of_the_recording_costs_no_verdict_and_no_report() {
    let place = place();
    let scenario = shipped("scenarios/smoke.yaml");
    for (blocks, whole) in [("120", false), ("4000", true)] {
        // The shell counts blocks of 512 bytes; a write beyond them fails instead of ending the process.
        let line = format!(
            "trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" run {scenario} -q --out out --users 30 --set \
             load.closed.iterations=4 --set timeouts.quiet=20ms --set expect.budgets={{}}"
        );
        let mut command = Command::new("sh");
        command.args(["-c", &line, env!("CARGO_BIN_EXE_goldenpath")]).current_dir(place.path()).env_clear();
        let ended = Process::start(command).end().exits(if whole { 0 } else { 5 });
        assert!(ended.stdout.starts_with("PASS"), "{}", ended.stdout);
        assert_eq!(ended.stderr.contains("failed to record into out/recording.gpr"), !whole, "{}", ended.stderr);
        let report = Report::parse(&fs::read_to_string(place.path().join("out/report.json")).unwrap());
        assert_eq!((report.outcome(), report.count("runs")), ("pass", 120));
    }
    Report::in_folder(&place.path().join("out"));
}
