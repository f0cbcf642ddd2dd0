//! Documentation held to what the product does: examples validate, printed output is what the binary prints, and tables that
//! come from the code are those of the code.
//!
//! `GOLDENPATH_BLESS=1` writes generated parts and printed output anew. What the prose says is not checked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use goldenpath::rule::{Concern, Rule, Severity};
use goldenpath::scenario::defaults;
use regex::Regex;

use super::tidy::{ISLANDS, LAYERS, VOCABULARY};

// ---------------------------------------------------------------------------------------------------------------------
// The claims

#[test]
fn the_defaults_are_those_of_the_code() {
    let mut text = "# Defaults\n\nWhat holds when a file says nothing. Written by the tests from `scenario::defaults`, which the code \
                    reads as well.\n\n| key | default | meaning |\n|---|---|---|\n"
        .to_owned();
    for row in defaults::table() {
        text.push_str(&format!("| {} | {} | {} |\n", cell(row.name), cell(&row.value), cell(&row.meaning)));
    }
    text.push_str(
        "\nLimits on the load of a target off this machine stand in its profile: [targets.md](targets.md).\n",
    );
    keep("docs/defaults.md", &text);
}

#[test]
fn the_catalogue_of_rules_is_that_of_the_code() {
    let about = "Every rule that a finding can name. Written by the tests from the catalogue in the code, which `goldenpath \
                 explain CODE` prints. Codes are never used for anything else.";
    let mut text = format!("# Rules\n\n{}", wrapped(about, ""));
    for rule in Rule::ALL {
        let claim = match rule.concern() {
            Concern::Setup => "the claim `setup`",
            Concern::Transport => "the claim `transport`",
            Concern::Events => "the claim `events`",
            Concern::Answer => "the claim `answer`",
            Concern::Isolation => "the claim `isolation`",
            Concern::Budget => "the claim of its budget",
            Concern::Envelope => "the claim `uniform envelope`",
            Concern::Doors => "the claim `doors`",
        };
        let weight = match rule.severity() {
            Severity::Failure => format!("It fails {claim}."),
            Severity::Doubt => format!("It makes {claim} inconclusive."),
            Severity::Note => "It is a note and changes no verdict.".to_owned(),
        };
        text.push_str(&format!("\n## {} {}\n\n", rule.code(), rule.name()));
        text.push_str(&wrapped(&format!("{} {weight}", rule.meaning()), ""));
        text.push_str(&format!("\n{}", wrapped(&format!("Usual causes: {}", rule.causes()), "- ")));
        text.push_str(&wrapped(&format!("What to do: {}", rule.advice()), "- "));
    }
    keep("docs/rules.md", &text);
}

#[test]
fn the_layers_are_those_that_are_enforced() {
    let mut table = format!("Vocabulary: `{}`.\n\n", VOCABULARY.join("`, `"));
    table.push_str("| module | may use beside the vocabulary | because |\n|---|---|---|\n");
    for layer in LAYERS {
        let uses = match layer.uses {
            _ if layer.name == "cli" => "everything".to_owned(),
            _ if ISLANDS.contains(&layer.name) => "nothing, not even the vocabulary".to_owned(),
            [] => "nothing".to_owned(),
            uses => format!("`{}`", uses.join("`, `")),
        };
        table.push_str(&format!("| `{}` | {uses} | {} |\n", layer.name, layer.why));
    }
    keep_part("docs/architecture.md", "layers", &table);
}

#[test]
fn the_refused_keys_are_those_of_the_formats() {
    for (page, sources) in [
        ("docs/scenarios.md", vec!["src/scenario/format.rs", "src/scenario/budgets.rs"]),
        ("docs/targets.md", vec!["src/target/format.rs"]),
    ] {
        let mut table = "| under | refused | it would | instead |\n|---|---|---|---|\n".to_owned();
        for source in sources {
            let mut last = String::new();
            for refused in refused_keys(&read(source)) {
                let [place, key, would, remedy] = refused.map(|text| text.replace('|', "\\|"));
                let under = if place == last { "" } else { place.split([':', ',']).next().unwrap_or_default() };
                table.push_str(&format!("| {under} | `{key}` | {would} | {remedy} |\n"));
                last = place;
            }
        }
        assert!(table.lines().count() >= 10, "{page}: the formats refuse hardly anything:\n{table}");
        keep_part(page, "refused", &table);
    }
}

#[test]
fn every_example_file_validates() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("targets")).expect("a folder");
    fs::copy(root().join("scenarios/targets/netra.yaml"), folder.path().join("targets/netra.yaml")).expect("a copy");
    let users = "email,password,pin\na@example.com,p,1\nb@example.com,p,2\nc@example.com,p,3\n";
    fs::write(folder.path().join("users.csv"), users).expect("a file of users");
    let mut examples = 0;
    for page in pages() {
        for (index, block) in blocks(&read(&page), "yaml").into_iter().enumerate() {
            if !block.starts_with("version: 1\n") {
                continue;
            }
            examples += 1;
            let file = folder.path().join("example.yaml");
            fs::write(&file, &block).expect("a file");
            let output = goldenpath(&["validate", "example.yaml"], folder.path());
            assert_eq!(output, "example.yaml: ok\n", "{page}, YAML block {index}");
        }
    }
    assert!(examples >= 6, "only {examples} examples were found");
}

#[test]
fn printed_output_is_what_the_binary_prints() {
    let mut commands = 0;
    for page in pages() {
        let text = read(&page);
        let mut current = text.clone();
        for block in blocks(&text, "console") {
            let command = block.lines().next().unwrap_or_default();
            let Some(words) = command.strip_prefix("$ goldenpath ") else { continue };
            let words: Vec<_> = words.split(' ').collect();
            if !["explain", "validate", "schema"].contains(&words[0]) {
                continue;
            }
            commands += 1;
            let printed = goldenpath(&words, &root());
            current = current.replace(&fenced("console", &block), &fenced("console", &format!("{command}\n{printed}")));
        }
        keep(&page, &current);
    }
    assert!(commands > 0, "no command was found");
}

#[test]
fn every_command_and_flag_that_a_page_names_exists() {
    let command = Regex::new(r"goldenpath ([a-z]+)((?: [^`\n#|]+)?)").expect("a pattern");
    let flag = Regex::new(r"(?:^|[ (])(--[a-z-]+)").expect("a pattern");
    // Prose may say "goldenpath drives"; what is meant to be typed stands in code.
    let code = Regex::new(r"(?s)```.*?```|`[^`\n]+`").expect("a pattern");
    let mut helps = std::collections::BTreeMap::new();
    let mut named = 0;
    for page in pages() {
        let text = read(&page);
        for span in code.find_iter(&text) {
            for found in command.captures_iter(span.as_str()) {
                let name = found[1].to_owned();
                let help = helps.entry(name.clone()).or_insert_with(|| goldenpath(&[&name, "--help"], &root()));
                assert!(help.contains("Usage: goldenpath"), "{page}: there is no command `{name}`: {help}");
                for flag in flag.captures_iter(&found[2]).map(|flag| flag[1].to_owned()) {
                    named += 1;
                    assert!(help.contains(&flag), "{page}: `goldenpath {name}` has no {flag}");
                }
            }
        }
    }
    assert!(named > 10, "only {named} flags were found");
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)#]+)(#[^)]*)?\)").expect("a pattern");
    for page in pages() {
        let text = read(&page);
        let folder = root().join(&page);
        let folder = folder.parent().expect("a folder");
        for found in link.captures_iter(&text) {
            let to = &found[1];
            assert!(to.contains("://") || folder.join(to).exists(), "{page}: {to} is not there");
        }
    }
}

#[test]
fn prose_is_wrapped_at_120_columns() {
    for page in pages() {
        let text = read(&page);
        let mut code = false;
        for (number, line) in (1..).zip(text.lines()) {
            code ^= line.starts_with("```");
            let free = code || line.starts_with('|');
            assert!(free || line.chars().count() <= 120, "{page}:{number} is too long: {line}");
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Pages and their parts

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The README and the pages under `docs/`, as names relative to the root, sorted.
fn pages() -> Vec<String> {
    let entries = fs::read_dir(root().join("docs")).expect("docs is there");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a UTF-8 name"));
    let mut pages: Vec<_> = names.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")).collect();
    pages.sort();
    pages.extend(["README.md".to_owned(), "tests/wire/README.md".to_owned()]);
    pages
}

/// The contents of the fenced blocks of one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let block = Regex::new(&format!("(?ms)^```{language}\n(.*?)^```$")).expect("a pattern");
    block.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

fn fenced(language: &str, block: &str) -> String {
    format!("```{language}\n{block}```")
}

/// Holds a whole file against `current`, or writes it.
fn keep(name: &str, current: &str) {
    if std::env::var_os("GOLDENPATH_BLESS").is_some() {
        fs::write(root().join(name), current).expect("a written file");
    }
    let committed = fs::read_to_string(root().join(name)).unwrap_or_default();
    assert!(committed == current, "{name} has drifted; run the tests with GOLDENPATH_BLESS=1");
}

/// Holds what stands between the markers of `part` against `current`, or writes it.
fn keep_part(name: &str, part: &str, current: &str) {
    let text = read(name);
    let (begin, end) = (format!("<!-- generated: {part} -->\n"), "<!-- end -->");
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{name} has no part {part}"));
    let (_, after) = rest.split_once(end).unwrap_or_else(|| panic!("{name}: {part} has no end"));
    keep(name, &format!("{before}{begin}\n{current}\n{end}{after}"));
}

/// A cell of a table: keys as code, the rest as it is.
fn cell(text: &str) -> String {
    let code = !text.contains(' ') && !text.ends_with('.');
    let text = text.replace('|', "\\|");
    if code { format!("`{text}`") } else { text }
}

/// A paragraph, or an item of a list if it begins with a mark; continued lines stand below its text.
fn wrapped(text: &str, mark: &str) -> String {
    let lines = goldenpath::report::wrap(text, 120 - mark.len());
    let begin = |index: usize| if index == 0 { mark.to_owned() } else { " ".repeat(mark.len()) };
    lines.iter().enumerate().map(|(index, line)| format!("{}{line}\n", begin(index))).collect()
}

/// What standard error and standard output say together, without colours and 80 columns wide.
fn goldenpath(words: &[&str], folder: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goldenpath"));
    command.args(words).current_dir(folder).env("COLUMNS", "80").env("NO_COLOR", "1");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GOLDENPATH_") || name.starts_with("NETRA_"))
    {
        command.env_remove(name);
    }
    let output = command.output().expect("the binary runs");
    [output.stderr, output.stdout].map(|bytes| String::from_utf8(bytes).expect("text")).concat()
}

/// What a format's source refuses: the description of the map it would stand in, the key, what it would do, and what to do
/// instead.
fn refused_keys(source: &str) -> Vec<[String; 4]> {
    let macro_entry = Regex::new(r#"^"([^"]+)" => \("([^"]*)", "([^"]*)"\)"#).expect("a pattern");
    let constant = Regex::new(r#"key: "([^"]+)",\s+would: "([^"]*)",\s+remedy: "([^"]*)""#).expect("a pattern");
    let mut refused = Vec::new();
    let (mut description, mut fresh) = (String::new(), true);
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            if std::mem::take(&mut fresh) {
                description = text.split_inclusive(". ").next().unwrap_or(text).trim_end_matches(['.', ' ']).to_owned();
            }
            continue;
        }
        // Only what describes a type names the place; descriptions of its keys follow an opened brace.
        fresh = line.ends_with("! {");
        if let Some(found) = macro_entry.captures(line) {
            refused.push([description.clone(), found[1].to_owned(), found[2].to_owned(), found[3].to_owned()]);
        }
    }
    for found in constant.captures_iter(source) {
        let under = "Limits on the time between two milestones".to_owned();
        refused.push([under, found[1].to_owned(), found[2].to_owned(), found[3].to_owned()]);
    }
    refused
}
