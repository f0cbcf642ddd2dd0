//! `docs/your-backend.md` as its readers use it: its files are written, its commands run, and what they print is what stands there.
//!
//! A block of YAML with a name is a file; a block of a console names the exit code of its commands. `GOLDENPATH_BLESS=1` writes
//! printed output anew. Figures, ports and ids differ from one time to the next and are not compared.

use std::fs;
use std::time::Duration;

use regex::Regex;

use crate::stand_ins::healthy_gateway;
use crate::support::process::{Place, Process, shipped};
use crate::support::redact::redact;

const PAGE: &str = "docs/your-backend.md";

/// What stays the same of printed text: its words.
fn words(text: &str, place: &Place) -> String {
    let mut text = redact(text, place.path());
    for (pattern, by) in [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<id>"),
        (r"\(ref [^)]*\)", "<mark>"),
        (r"<port>|\d[\d,.]*", "0"),
        // Lines break where figures let them.
        (r"\s+(\\\s+)?", " "),
        (r"seed 0", "seed <seed>"),
        // An event may come before the answer to the question that says whose run it is, or after.
        (r", 0 % unmarked", ""),
    ] {
        text = Regex::new(pattern).expect("a pattern").replace_all(&text, by).into_owned();
    }
    text
}

#[test]
fn every_command_does_what_the_page_says() {
    let page = fs::read_to_string(shipped(PAGE)).expect("the page");
    let site = healthy_gateway(Duration::from_secs(1));
    let place = Place::new();
    let block = Regex::new(r"(?ms)^```(yaml|console) ([^\n]+)\n(.*?)^```$").expect("a pattern");
    let port = Regex::new(r"127\.0\.0\.1:\d+").expect("a pattern");
    let mut commands = 0;
    let mut written = String::new();
    let mut behind = 0;
    for found in block.captures_iter(&page) {
        let whole = found.get(0).expect("the whole");
        written.push_str(&page[behind..whole.start()]);
        behind = whole.end();
        let (kind, about, text) = (&found[1], &found[2], &found[3]);
        if kind == "yaml" {
            place.write(about, text);
            written.push_str(whole.as_str());
            continue;
        }
        let code: i32 = about.strip_prefix("exit ").and_then(|code| code.parse().ok()).expect("an exit code");
        let mut printed = String::new();
        for line in text.lines().filter(|line| line.starts_with("$ ")) {
            commands += 1;
            let mut command = None;
            let mut variables = vec![("GOLDENPATH_PASSWORD", "golden-path")];
            for word in line[2..].split(' ') {
                match (&mut command, word.split_once('=')) {
                    (None, Some((name, value))) => variables.push((name, value)),
                    (None, None) => {
                        assert_eq!(word, "goldenpath", "{line}");
                        command = Some(Vec::new());
                    }
                    (Some(arguments), _) => arguments.push(word),
                }
            }
            let mut process = place.goldenpath(&command.expect("a command"));
            process.env("CHAT_URL", site.url()).env("CHAT_WS", site.url().replace("http", "ws"));
            process.envs(variables);
            let ended = Process::start(process).end().exits(code);
            printed.push_str(&format!("{line}\n{}{}", ended.stderr, ended.stdout));
        }
        let printed = port.replace_all(&printed, "127.0.0.1:9000");
        if std::env::var_os("GOLDENPATH_BLESS").is_none() {
            let (shown, printed) = (words(text, &place), words(&printed, &place));
            assert_eq!(shown, printed, "{PAGE} has drifted; run the tests with GOLDENPATH_BLESS=1");
        }
        written.push_str(&format!("```console {about}\n{printed}```"));
    }
    written.push_str(&page[behind..]);
    if std::env::var_os("GOLDENPATH_BLESS").is_some() {
        fs::write(shipped(PAGE), written).expect("a written page");
    }
    assert!(commands >= 6, "only {commands} commands were found");
}
