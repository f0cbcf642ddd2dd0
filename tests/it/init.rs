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
