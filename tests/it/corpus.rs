//! The corpus of mistakes: `tests/scenario_errors/NAME.yaml` beside `NAME.txt`, which holds exactly what
//! `goldenpath validate NAME.yaml` writes to stderr in that folder. A case is added by adding two files.
//!
//! `GOLDENPATH_BLESS=1 cargo test --test it corpus` writes the `.txt` files anew; read the difference like code.
//!
//! The schemas are held to the same files: what the decoder refuses they refuse as well, but for rules between keys.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use goldenpath::document::{Context, Node, Sources, read};
use goldenpath::{scenario, target};
use jsonschema::Validator;

/// Cases that only the decoder refuses, and why a schema cannot.
const BEYOND_A_SCHEMA: &[(&str, &[&str])] = &[
    ("YAML that a JSON value does not show", &["key-twice", "yaml-merge-key", "yaml-tag"]),
    (
        "what stands inside a text",
        &[
            "answer-bad-pattern",
            "answer-echo-always",
            "answer-placeholder-without-words",
            "answer-idle-pattern",
            "ask-empty",
            "duration-too-fine",
            "duration-zero",
            "faults",
            "percent-above",
            "target-address",
            "target-hole",
            "target-profile-address",
            "target-profile-capture",
            "target-profile-requests-names",
            "target-profile-too-early",
            "target-profile-variable",
            "text-expression",
            "text-filter",
            "text-nested",
            "text-pad",
            "text-prompt-name-in-email",
            "text-unclosed",
            "text-unknown-name",
            "users-password-empty",
            "users-password-hole",
            "users-password-value",
        ],
    ),
    (
        "rules between keys, and what the plan can show",
        &[
            "answer-distinct-idle",
            "answer-mark-not-planted",
            "ask-no-email",
            "ask-reconnect-first",
            "doors-without-probes",
            "probes-empty",
            "probes-inexpressible",
            "probes-key-of-another",
            "probes-nothing-to-knock-with",
            "probes-one-user",
            "probes-twice",
            "budget-floor",
            "budget-floor-none",
            "budget-idle",
            "budget-level-none",
            "exposure-nothing",
            "exposure-open",
            "exposure-together",
            "users-witnesses-of-one",
            "budget-levels",
            "budget-kept-session",
            "budget-never-kept",
            "faults-elsewhere",
            "budget-out-of-reach",
            "budget-proven-max",
            "budget-response-closed",
            "budget-twice",
            "budget-window",
            "environment-together",
            "grammar-endless",
            "grammar-free-order",
            "grammar-impossible",
            "grammar-required-forbidden",
            "grammar-two",
            "grammar-uncounted",
            "grammar-vacuous",
            "isolation-groups-nobody",
            "isolation-one-user",
            "load-closed-and-open",
            "persona-everybody",
            "persona-idle",
            "persona-no-pause",
            "persona-nobody",
            "persona-open",
            "persona-turns",
            "load-idle",
            "load-intervals",
            "load-no-rate",
            "load-not-together",
            "load-nobody-begins",
            "load-open-empty",
            "load-warm-up-exposure",
            "load-warm-up-open",
            "users-secret-without-file",
            "known-mistakes",
            "reliability-certain",
            "reliability-confidence",
            "reliability-out-of-reach",
            "rules-mistakes",
            "target-profile-holds",
            "target-profile-part-of",
            "target-profile-cost",
            "target-profile-asking",
            "target-profile-prefix",
            "target-profile-refresh-rules",
            "timeouts-idle",
            "users-all-one",
            "users-auto-closed",
            "users-auto-without-takes",
            "users-numbers-too-large",
            "users-password-file-loopback",
            "users-password-no-place",
            "users-password-places",
        ],
    ),
    (
        "other files, and the target's addresses",
        &[
            "target-broken",
            "target-profile-file",
            "target-costs-too-much",
            "target-folder",
            "target-inline-address",
            "target-is-a-scenario",
            "target-missing-file",
            "users-no-credentials",
            "users-password-file-missing",
            "users-password-literal",
        ],
    ),
    ("blocks of a profile, which its schema leaves open", &["target-profile-environment"]),
    (
        "what stands in the file of users",
        &[
            "isolation-groups-column",
            "isolation-groups-one",
            "isolation-groups-same",
            "users-file-broken",
            "users-file-column",
            "users-file-missing",
            "users-file-same",
            "users-file-short",
        ],
    ),
];

#[test]
fn every_mistake_is_told_as_the_corpus_says() {
    let bless = std::env::var_os("GOLDENPATH_BLESS").is_some();
    let mut wrong = String::new();
    let cases = cases();
    assert!(cases.len() >= 40, "the corpus has only {} cases", cases.len());
    for case in &cases {
        let name = case.file_name().expect("a name").to_string_lossy().into_owned();
        let output = validate(&folder(), &[&name]);
        let told = String::from_utf8(output.stderr).expect("text");
        let line = String::from_utf8(output.stdout).expect("text");
        let expected = case.with_extension("txt");
        if output.status.code() != Some(2) || !line.starts_with(&format!("{name}: ")) || !line.contains("mistake") {
            wrong += &format!("{name}: exit {:?}, stdout {line:?}\n", output.status.code());
        } else if bless {
            fs::write(&expected, &told).expect("the folder can be written");
        } else if fs::read_to_string(&expected).ok().as_deref() != Some(&*told) {
            wrong += &format!("{name} told:\n{told}\n");
        }
    }
    for text in files(&folder(), "txt") {
        if !text.with_extension("yaml").exists() {
            wrong += &format!("{} has no case\n", text.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn what_is_shipped_is_right_without_any_variable() {
    let root = root();
    let mut shipped = files(&root.join("scenarios"), "yaml");
    shipped.extend(files(&root.join("scenarios/targets"), "yaml"));
    assert!(shipped.len() >= 5);
    let names: Vec<String> = shipped.iter().map(|file| relative(file)).collect();
    let output = validate(&root, &names.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let expected: String = names.iter().map(|name| format!("{name}: ok\n")).collect();
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    assert_eq!(output.status.code(), Some(0));
    for (name, file) in names.iter().zip(&shipped) {
        let text = fs::read_to_string(file).expect("text");
        let first = text.lines().next().unwrap_or_default();
        let modeline = first.starts_with("# yaml-language-server: $schema=./");
        assert!(modeline && first.ends_with(".schema.json"), "{name} begins with {first:?}");
    }
}

#[test]
fn schema_and_decoder_agree_on_every_file() {
    let schemas = Schemas::new();
    let root = root();
    let mut good = files(&root.join("scenarios"), "yaml");
    good.extend(files(&root.join("scenarios/targets"), "yaml"));
    for file in good {
        let tree = tree(&file).expect("shipped files can be read");
        assert!(schemas.accept(&tree), "{} is right, and the schema refuses it", file.display());
    }
    let beyond = |name: &str| BEYOND_A_SCHEMA.iter().any(|(_, names)| names.contains(&name));
    let mut wrong = String::new();
    for case in cases() {
        let name = case.file_stem().expect("a name").to_string_lossy().into_owned();
        // What is no tree cannot be held against a schema.
        let Some(tree) = tree(&case) else { continue };
        match (schemas.accept(&tree), beyond(&name)) {
            (true, false) => wrong += &format!("{name}: the schema accepts what the decoder refuses\n"),
            (false, true) => wrong += &format!("{name}: the schema refuses it, so it does not belong into the table\n"),
            _ => {}
        }
    }
    for name in BEYOND_A_SCHEMA.iter().flat_map(|(_, names)| *names) {
        if !folder().join(format!("{name}.yaml")).exists() {
            wrong += &format!("{name}: there is no such case\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_committed_schemas_are_what_the_binary_prints() {
    for (format, file) in
        [("scenario", "scenarios/scenario.schema.json"), ("target", "scenarios/targets/target.schema.json")]
    {
        let output = goldenpath(&root()).args(["schema", format]).output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(0));
        let printed = String::from_utf8(output.stdout).expect("text");
        let committed = fs::read_to_string(root().join(file)).unwrap_or_default();
        assert!(committed == printed, "write it anew: goldenpath schema {format} > {file}");
    }
}

#[test]
fn a_huge_file_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let huge = fs::File::create(folder.path().join("huge.yaml")).expect("a file");
    // Holes take no space, so that this costs nothing.
    huge.set_len(1 << 30).expect("a sparse file");
    let output = validate(folder.path(), &["huge.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "huge.yaml: 1 mistake\n");
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stderr), @r"
    mistake: `huge.yaml` is larger than 1 MiB
     --> command line:1:1
      |
    1 | huge.yaml
      | ^^^^^^^^^
      |
      = help: keep long lists of prompts in files of their own
    ");
}

#[test]
fn flags_beat_variables_and_these_beat_the_file() {
    let root = root();
    let run = |variables: &[(&str, &str)], flags: &[&str]| {
        let mut command = goldenpath(&root);
        command.arg("validate").args(flags).arg("scenarios/isolation.yaml").envs(variables.iter().copied());
        let output = command.output().expect("the binary runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let refused = |(code, told): (Option<i32>, String), from: &str| {
        assert_eq!(code, Some(2), "{told}");
        assert!(told.contains("with a single user") && told.contains(&format!("::: {from}:1:1")), "{told}");
    };
    assert_eq!(run(&[], &[]).0, Some(0));
    refused(run(&[("GOLDENPATH_USERS", "1")], &[]), "GOLDENPATH_USERS");
    refused(run(&[], &["--users", "1"]), "--users");
    assert_eq!(run(&[("GOLDENPATH_USERS", "1")], &["--users", "50"]).0, Some(0));
    assert_eq!(run(&[("GOLDENPATH_USERS", "")], &[]).0, Some(0), "an empty variable is none");
    refused(run(&[], &["--set", "users.count=1", "--set", "load.closed.iterations=20"]), "--set");
}

#[test]
fn a_missing_variable_is_a_warning_unless_strict() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = fs::read_to_string(root().join("scenarios/smoke.yaml")).expect("text");
    fs::write(folder.path().join("s.yaml"), text.replace("cloud bill", "${env.BILL}")).expect("a file");
    let run = |flags: &[&str], bill: Option<&str>| {
        let mut command = goldenpath(folder.path());
        command.arg("validate").args(flags).arg("s.yaml").envs(bill.map(|bill| ("BILL", bill)));
        let output = command.output().expect("the binary runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(run(&[], None), (Some(0), "s.yaml: ok, 1 warning\n".to_owned()));
    assert_eq!(run(&["--strict"], None), (Some(2), "s.yaml: 1 mistake\n".to_owned()));
    assert_eq!(run(&["--strict"], Some("x")), (Some(0), "s.yaml: ok\n".to_owned()));
}

// ---------------------------------------------------------------------------------------------------------------------

struct Schemas {
    scenario: Validator,
    target: Validator,
}

impl Schemas {
    fn new() -> Self {
        let compile = |schema: serde_json::Value| jsonschema::draft202012::new(&schema).expect("a valid schema");
        Self { scenario: compile(scenario::schema()), target: compile(target::schema()) }
    }

    /// Whether the schema of its format accepts a file; one with neither's keys is taken for a scenario.
    fn accept(&self, tree: &Node) -> bool {
        let profile = tree.get("socket").is_some() && tree.get("users").is_none();
        if profile { &self.target } else { &self.scenario }.is_valid(&tree.to_json())
    }
}

fn tree(file: &Path) -> Option<Node> {
    let mut sources = Sources::new();
    let id = sources.add("t.yaml", fs::read(file).expect("it can be read"));
    read(&sources, id, &mut Context::new())
}

fn validate(folder: &Path, files: &[&str]) -> Output {
    goldenpath(folder).arg("validate").args(files).output().expect("the binary runs")
}

/// The binary in a folder, without any variable of whoever runs the tests.
fn goldenpath(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goldenpath"));
    command.current_dir(folder).env_clear();
    command
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn folder() -> PathBuf {
    root().join("tests/scenario_errors")
}

fn cases() -> Vec<PathBuf> {
    files(&folder(), "yaml")
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|is| is == ending)).collect();
    files.sort();
    files
}

fn relative(file: &Path) -> String {
    file.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned()
}
