//! Every key of both formats has a case in which it is wrong, and one in which it has an effect.
//!
//! The keys are those of the JSON Schemas. A case in which one is wrong is a message of the corpus that names its path; what
//! a path leads to is looked up in the schema, so that `when` of a heartbeat does not stand in for `when` of an answer. An
//! effect is at least a test, a case or a shipped file that sets the key; what it does is the business of that test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use goldenpath::document::{Context, Sources, read};
use regex::Regex;
use serde_json::Value;

/// Schemas with what their paths are relative to.
const SCHEMAS: [&str; 2] = ["scenarios/scenario.schema.json", "scenarios/targets/target.schema.json"];

/// A key of a map: the map's definition, and the key.
type Key = (String, String);

/// Any JSON is right; what texts within it may hold is told without a path, by `text-unknown-name` and its kind.
const WITHOUT_A_WRONG_CASE: [&str; 5] =
    ["AskBySocket.send", "Heartbeat.reply", "Leave.send", "ScriptStep.send", "Step.json"];

/// Keys that no text of a test sets as it stands there: in which file which words do. They are put into a text by a test.
const SET_BY_WORDS: &[(&str, &str, &str)] = &[
    ("Expect.holds", "tests/it/values.rs", "holds: [prompt, answer]"),
    ("Events.aliases", "tests/it/dialects.rs", "aliases: {RUN_COMPLETED: RUN_FINISHED}"),
    ("IsolationDef.between", "tests/it/play.rs", "\"between\": \"groups\""),
    ("PasswordRef.command", "tests/it/steps.rs", "{{ command: {command} }}"),
    ("SegmentBudget.p50", "tests/it/faults.rs", "p50: 2s"),
    ("SegmentBudget.mean", "tests/it/recordings.rs", "mean: 1ms"),
    ("Step.public", "tests/it/steps.rs", "- { public: true, post: /rooms,"),
    ("Elsewhere.header", "src/target/tests.rs", "csrf: {secret: {header: X-CSRF}}"),
    ("InlineTarget.socket", "src/cli/load/tests.rs", "socket: 'ws://127.0.0.1:1/own'"),
    ("UsersDef.secret", "tests/it/steps.rs", "secret: [pin]"),
    ("DoorsDef.within", "tests/it/doors.rs", "doors: {{ within: 1s }}"),
    ("TimeoutsDef.connect", "tests/it/run.rs", "timeouts={ connect: 10m"),
    ("TimeoutsDef.drain", "tests/it/run.rs", "drain: 200ms }"),
    ("LoadDef.intervals", "tests/it/load.rs", "intervals: 1s}"),
    ("InlineTarget.faults", "tests/it/load.rs", "target={ profile: embedded, faults: [drop-thinking] }"),
    ("SegmentBudget.p90", "tests/it/load.rs", "p90: {limit}"),
    ("SetupDef.required", "tests/it/load.rs", "setup: {{ {required} }}"),
    ("ScenarioFile.personas", "tests/it/load.rs", "personas=["),
    ("PersonaDef.name", "tests/it/load.rs", "{name: brief,"),
    ("PersonaDef.share", "tests/it/load.rs", "share: 30%"),
    ("PersonaDef.ask", "tests/it/load.rs", "ask: {prompt: \"What is cheapest?"),
    ("PersonaDef.think_time", "tests/it/load.rs", "think_time: 1ms}]"),
    ("Told.unix_s", "src/target/tests/refresh.rs", "\"unix_s: life\""),
    ("Told.unix_ms", "src/target/tests/refresh.rs", "\"unix_ms: life\""),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn schema(name: &str) -> Value {
    let text = fs::read_to_string(root().join(name)).expect("the schema is there");
    serde_json::from_str(&text).expect("JSON")
}

/// Where a `$ref` leads, with its name.
fn followed<'s>(whole: &'s Value, node: &'s Value) -> (Option<&'s str>, &'s Value) {
    match node.get("$ref").and_then(Value::as_str) {
        Some(reference) => {
            let pointer = reference.trim_start_matches('#');
            (reference.rsplit('/').next(), whole.pointer(pointer).expect("a definition"))
        }
        None => (None, node),
    }
}

/// A definition of what an environment may replace, which repeats another's keys.
fn is_part(name: &str) -> bool {
    name == "Part" || name.starts_with("PartOf")
}

/// All keys below a node, each with the definition that it stands in. Blocks of environments repeat the keys of their file.
fn keys(whole: &Value) -> BTreeSet<Key> {
    let mut found = BTreeSet::new();
    let mut open = vec![("the file".to_owned(), whole)];
    let mut seen = BTreeSet::new();
    while let Some((within, node)) = open.pop() {
        let (name, node) = followed(whole, node);
        let within = name.map_or(within, str::to_owned);
        if is_part(&within) || name.is_some_and(|name| !seen.insert(name.to_owned())) {
            continue;
        }
        for (key, value) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
            found.insert((within.clone(), key.clone()));
            open.push((format!("{within}.{key}"), value));
        }
        for deeper in below(node) {
            open.push((within.clone(), deeper));
        }
    }
    found
}

/// What else a node consists of.
fn below(node: &Value) -> Vec<&Value> {
    let mut below = Vec::new();
    for word in ["anyOf", "oneOf", "allOf", "prefixItems"] {
        below.extend(node.get(word).and_then(Value::as_array).into_iter().flatten());
    }
    for word in ["items", "additionalProperties", "not"] {
        below.extend(node.get(word).filter(|value| value.is_object()));
    }
    below.extend(node.get("patternProperties").and_then(Value::as_object).into_iter().flat_map(|all| all.values()));
    below
}

/// The keys at the end of a path: of every way in which the schema lets it be read.
fn at_end(whole: &Value, path: &[String]) -> BTreeSet<Key> {
    let mut ends = BTreeSet::new();
    let mut open = vec![("the file".to_owned(), whole, 0, 0)];
    while let Some((within, node, done, depth)) = open.pop() {
        let (name, node) = followed(whole, node);
        let within = name.map_or(within, str::to_owned);
        if depth > 40 || is_part(&within) {
            continue;
        }
        let Some(part) = path.get(done) else { continue };
        if part.parse::<usize>().is_ok() {
            for items in below(node) {
                // The items of a list take the number; a choice passes it on.
                let list = node.get("items").is_some_and(|own| std::ptr::eq(own, items));
                open.push((within.clone(), items, done + usize::from(list), depth + 1));
            }
            continue;
        }
        if let Some(value) = node.get("properties").and_then(|properties| properties.get(part)) {
            if done + 1 == path.len() {
                ends.insert((within.clone(), part.clone()));
            }
            open.push((format!("{within}.{part}"), value, done + 1, depth + 1));
            continue;
        }
        for deeper in below(node) {
            let any_key = ["additionalProperties", "patternProperties"].iter().any(|word| {
                node.get(*word).is_some_and(|own| {
                    std::ptr::eq(own, deeper)
                        || own.as_object().is_some_and(|all| all.values().any(|one| std::ptr::eq(one, deeper)))
                })
            });
            open.push((within.clone(), deeper, done + usize::from(any_key), depth + 1));
        }
    }
    ends
}

/// The paths that messages of the corpus name, as lists of keys and indices.
fn told_paths() -> Vec<Vec<String>> {
    let quoted = Regex::new(r"`([^`\s]+)`").expect("a pattern");
    let mut paths = BTreeSet::new();
    for file in files(&root().join("tests/scenario_errors"), "txt") {
        for found in quoted.captures_iter(&fs::read_to_string(file).expect("text")) {
            // One key has a dot in it.
            let path = found[1].replace('[', ".").replace(']', "").replace("p99.9", "p99_9");
            paths.insert(path.split('.').map(|part| part.replace("p99_9", "p99.9")).collect::<Vec<_>>());
        }
    }
    paths.into_iter().collect()
}

fn files(folder: &Path, kind: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, kind));
        } else if path.extension().is_some_and(|known| known == kind) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn every_key_is_wrong_in_a_case_of_the_corpus() {
    let paths = told_paths();
    let mut lacking: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for name in SCHEMAS {
        let whole = schema(name);
        let mut wrong: BTreeSet<Key> = BTreeSet::new();
        for path in &paths {
            // A path may end in something that is no key of the format: an index, a name of the user's own.
            for length in 1..=path.len() {
                let ends = at_end(&whole, &path[..length]);
                let longer = length < path.len() && !at_end(&whole, path).is_empty();
                if !longer {
                    wrong.extend(ends);
                }
            }
        }
        let excused = |key: &Key| WITHOUT_A_WRONG_CASE.contains(&format!("{}.{}", key.0, key.1).as_str());
        for key in keys(&whole).into_iter().filter(|key| !wrong.contains(key) && !excused(key)) {
            lacking.entry(name).or_default().push(format!("{}.{}", key.0, key.1));
        }
    }
    assert!(lacking.is_empty(), "no message in tests/scenario_errors names these: {lacking:#?}");
}

/// Where texts in tests begin that are no whole file.
const FRAGMENTS: [&[&str]; 11] = [
    &["heartbeats", "0", "when"],
    &["events", "name", "0", "x"],
    &[],
    &["events"],
    &["connect"],
    &["http"],
    &["expect"],
    &["users"],
    &["load"],
    &["expect", "events"],
    &["login", "0"],
];

/// Every path of a tree, keys and indices.
fn paths_of(value: &Value, at: &[String], paths: &mut BTreeSet<Vec<String>>) {
    let mut deeper = |part: String, value: &Value| {
        let path: Vec<String> = at.iter().cloned().chain([part]).collect();
        paths_of(value, &path, paths);
        paths.insert(path);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| deeper(key.clone(), value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, value)| deeper(index.to_string(), value)),
        _ => {}
    }
}

/// The trees that stand in tests: whole files, headers of cases, and texts that are YAML.
fn trees() -> Vec<Value> {
    let mut texts: Vec<String> = Vec::new();
    let mut sources = files(&root().join("tests/it"), "rs");
    sources.extend(files(&root().join("src"), "rs"));
    let raw = Regex::new("(?s)r#\"(.*?)\"#").expect("a pattern");
    let plain = Regex::new(r#"(?s)"((?:[^"\\]|\\.)*)""#).expect("a pattern");
    let joined = Regex::new(r"\\\n\s*").expect("a pattern");
    for file in sources {
        let source = fs::read_to_string(file).expect("text");
        texts.extend(raw.captures_iter(&source).map(|found| found[1].to_owned()));
        for found in plain.captures_iter(&raw.replace_all(&source, "")) {
            let text = joined.replace_all(&found[1], "");
            let text = text.replace("\\n", "\n").replace("\\\"", "\"").replace("\\\\", "\\");
            // As it is given to `format!`, and as it is.
            texts.push(text.replace("{{", "{").replace("}}", "}"));
            texts.push(text);
        }
    }
    for file in files(&root().join("tests/trace_cases"), "txt") {
        let text = fs::read_to_string(file).expect("text");
        let header = text.split("\n---\n").next().unwrap_or_default().to_owned();
        // A case's own keys lie over a profile and in a scenario.
        texts.push(header.replace("profile: {", "{").trim_start_matches("# ").to_owned());
        texts.push(header);
    }
    texts.extend(files(&root().join("scenarios"), "yaml").iter().map(|file| fs::read_to_string(file).expect("text")));
    let mut trees = Vec::new();
    for text in texts.into_iter().filter(|text| text.contains(": ")) {
        let mut sources = Sources::new();
        let file = sources.add("t.yaml", text);
        let Some(tree) = read(&sources, file, &mut Context::new()) else { continue };
        let tree = tree.to_json();
        trees.extend(tree.get("profile").filter(|profile| profile.is_object()).cloned());
        let blocks = tree.get("environments").and_then(Value::as_object);
        trees.extend(blocks.into_iter().flat_map(|blocks| blocks.values().cloned()));
        trees.push(tree);
    }
    trees
}

#[test]
fn every_key_is_set_by_a_test_or_a_case() {
    let mut paths = BTreeSet::new();
    for tree in trees() {
        for fragment in FRAGMENTS {
            let at: Vec<String> = fragment.iter().map(|part| (*part).to_owned()).collect();
            paths_of(&tree, &at, &mut paths);
        }
    }
    // What is called the same in both is the same.
    let schemas = SCHEMAS.map(schema);
    let set: BTreeSet<Key> =
        schemas.iter().flat_map(|whole| paths.iter().flat_map(|path| at_end(whole, path))).collect();
    let mut lacking: BTreeSet<String> = BTreeSet::new();
    for (within, key) in schemas.iter().flat_map(keys).filter(|key| !set.contains(key)) {
        lacking.insert(format!("{within}.{key}"));
    }
    for (key, file, words) in SET_BY_WORDS {
        let text = fs::read_to_string(root().join(file)).expect("text");
        assert!(text.contains(words), "{file} has no {words:?}, which sets {key}");
        lacking.remove(*key);
    }
    assert!(lacking.is_empty(), "no test and no case sets these: {lacking:#?}");
}
