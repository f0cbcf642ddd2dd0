//! `goldenpath init`: what it writes works as it stands, and nothing is overwritten.

use std::fs;

use crate::support::process::{Backend, Place, Process};

const FILES: [&str; 4] = ["first.yaml", "scenario.schema.json", "target.schema.json", "target.yaml"];

#[test]
fn what_is_written_validates_and_runs() {
    let place = Place::new();
    let ended = place.run(&["init", "mine"]).exits(0);
    assert!(ended.stdout.contains("goldenpath doctor mine/target.yaml"), "{}", ended.stdout);
    let ended = place.run(&["validate", "--strict", "mine/first.yaml", "mine/target.yaml"]).exits(0);
    assert_eq!(ended.stdout, "mine/first.yaml: ok\nmine/target.yaml: ok\n");
    let backend = Backend::serve(&place, &[]);
    for words in [&["doctor", "mine/target.yaml"][..], &["run", "mine/first.yaml", "-q", "--out", "out"]] {
        let mut command = place.goldenpath(words);
        command.env("CHAT_URL", &backend.url).env("CHAT_WS", backend.url.replace("http", "ws"));
        Process::start(command).end().exits(0);
    }
    backend.stop();
}

#[test]
fn nothing_is_overwritten_and_nothing_is_half_written() {
    let place = Place::new();
    place.write("target.yaml", "mine");
    let ended = place.run(&["init"]).exits(2);
    assert!(ended.stderr.contains("has `target.yaml`; nothing was written"), "{}", ended.stderr);
    assert_eq!(
        (place.names(), fs::read_to_string(place.path().join("target.yaml")).unwrap().as_str()),
        (vec!["target.yaml".to_owned()], "mine")
    );
    fs::remove_file(place.path().join("target.yaml")).unwrap();
    place.run(&["init"]).exits(0);
    assert_eq!(place.names(), FILES);
    place.run(&["init"]).exits(2);
    place.run(&["init", "target.yaml/below"]).exits(5);
}

/// What `init --from` says of a file that is no export it can use; nothing is written then.
#[track_caller]
fn refuses(bytes: &[u8], cause: &str, remedy: &str) {
    let place = Place::new();
    fs::write(place.path().join("x.har"), bytes).expect("a file");
    let ended = place.run(&["init", "--from", "x.har", "mine"]).exits(2);
    assert_eq!(ended.stdout, "");
    let said = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.starts_with(&format!("goldenpath: x.har {cause}")), "{said}");
    assert!(said.contains(&format!("help: {remedy}")), "{said}");
    assert!(ended.stderr.lines().all(|line| line.chars().count() <= 120), "{}", ended.stderr);
    assert_eq!(place.names(), ["x.har"]);
}

#[test]
fn what_is_no_export_is_refused_with_place_cause_and_remedy() {
    refuses(b"", "is empty", "in the browser's developer tools, under Network, save all as HAR");
    refuses(b"<html>", "is not JSON (line 1, column 1)", "in the browser's developer tools");
    refuses(b"{\"log\":{\"entries\":[{", "ends too early (line 1, column 20)", "in the browser's developer tools");
    refuses(
        b"{\"openapi\":\"3.1\"}",
        "is JSON, but no HAR: it has no `log.entries`",
        "in the browser's developer tools",
    );
    refuses(b"\xef\xbb\xbf{\"log\":{\"entries\":[]}}", "has no entries", "open the developer tools before you log in");
    refuses(
        br#"{"log":{"entries":[{"request":{"url":"http://h/"}}]}}"#,
        "has no WebSocket among its 1 entries",
        "open the developer tools first, then load the page",
    );
    let place = Place::new();
    let ended = place.run(&["init", "--from", "nowhere.har"]).exits(2);
    assert!(ended.stderr.contains("nowhere.har cannot be read"), "{}", ended.stderr);
    let huge = fs::File::create(place.path().join("huge.har")).expect("a file");
    // Nothing is written: the file system keeps only its length.
    huge.set_len(300 << 20).expect("a length");
    let ended = place.run(&["init", "--from", "huge.har"]).exits(2);
    assert!(ended.stderr.contains("has 300 MiB, more than the 256 that are read"), "{}", ended.stderr);
    assert!(ended.stderr.contains("help: record again"), "{}", ended.stderr);
}

#[test]
fn an_export_of_hardly_anything_still_makes_files_that_validate() {
    for entry in [
        r#"{"request":{"url":"ws://h/ws"}}"#,
        r#"{"request":{"url":"wss://h:1/a%20b/${x}?q=${y}&r="},"_webSocketMessages":[]}"#,
        r#"{"request":{"url":"ws://h/"},"_webSocketMessages":[{"type":"send","data":"${prompt} is it"}]}"#,
        r#"{"request":{"url":"ws://h/"},"_webSocketMessages":[{"type":"receive","data":"\u0000\ufeff{"},{"type":"send","data":"{\"a b\":[\"what is it?\"]}"},{"type":"receive","data":"[]"}]}"#,
        r#"{"request":{"url":"ws://h/"},"_webSocketMessages":[{"type":"send","data":"{\"/x~\":\"who is there?\",\"n\":1}"},{"type":"receive","data":"{\"type\":\"x\"}"}]}"#,
        r#"{"request":{"url":"ws://h/"},"_webSocketMessages":[{"type":"receive","opcode":2,"data":"!!"},{"type":"receive","data":"hello everybody, this is long"}]}"#,
        r#"{"request":{"url":"ws://h/"},"_webSocketMessages":[{"type":"send","data":"{\"q\":\"who is there?\"}"},{"type":"receive","data":"{\"type\":\"one\",\"text\":\"a b\"}"},{"type":"receive","data":"{\"type\":\"one\"}"}]}"#,
    ] {
        let place = Place::new();
        place.write("x.har", &format!(r#"{{"log":{{"entries":[{entry}]}}}}"#));
        let ended = place.run(&["init", "--from", "x.har", "mine"]).exits(0);
        assert_eq!(ended.stderr, "");
        let ended = place.run(&["validate", "mine/first.yaml", "mine/target.yaml"]);
        let target = fs::read_to_string(place.path().join("mine/target.yaml")).expect("a file");
        assert_eq!(ended.status.code(), Some(0), "{entry}\n{}\n{}\n{target}", ended.stdout, ended.stderr);
    }
}

#[test]
fn a_proposal_overwrites_nothing() {
    let place = Place::new();
    place.write("x.har", r#"{"log":{"entries":[{"request":{"url":"ws://h/ws?token=abcdef123456"}}]}}"#);
    place.write("users.csv", "mine");
    let ended = place.run(&["init", "--from", "x.har"]).exits(2);
    assert!(ended.stderr.contains("has `users.csv`; nothing was written"), "{}", ended.stderr);
    assert_eq!(place.names(), ["users.csv", "x.har"]);
}
