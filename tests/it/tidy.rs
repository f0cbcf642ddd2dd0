//! The house rules that a compiler does not check: which module may use which, what the pure modules must not touch,
//! and what must not stand in any file.
//!
//! Every check takes text and returns what is wrong with it, so each is tried on a bad and a good snippet first. The
//! source is read as tokens, without comments and strings; a construct the reader can not follow is itself a mistake.
//! Macros are read like any other code; nothing is expanded.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The words all others may use; each may use those before it.
pub(super) const VOCABULARY: [&str; 8] = ["time", "identity", "canary", "secret", "event", "rule", "probe", "finding"];

/// What each module may use beside the vocabulary, and why not more.
pub(super) const LAYERS: [Layer; 14] = [
    Layer { name: "stats", uses: &[], why: "statistics know numbers, not chat backends" },
    Layer { name: "expect", uses: &[], why: "expectations are plain data that the judge reads; no YAML" },
    Layer { name: "trace", uses: &[], why: "a recording outlives the scenario and the judge that made it" },
    Layer { name: "document", uses: &[], why: "reading a file does not know what the file is about" },
    Layer { name: "matcher", uses: &["expect", "document"], why: "scenarios and profiles write matchers alike" },
    Layer {
        name: "scenario",
        uses: &["expect", "document", "matcher"],
        why: "a scenario describes; it does not run or judge",
    },
    Layer {
        name: "target",
        uses: &["expect", "document", "matcher"],
        why: "a profile describes; it does not run or judge",
    },
    Layer { name: "plan", uses: &["document", "scenario"], why: "a plan is decided before any traffic" },
    Layer {
        name: "check",
        uses: &["stats", "expect", "trace"],
        why: "the judge reads compiled expectations and frames, never YAML or sockets",
    },
    Layer { name: "report", uses: &["stats", "check"], why: "a report renders what was judged and decides nothing" },
    Layer {
        name: "engine",
        uses: &["stats", "trace", "plan"],
        why: "the engine takes the iteration as a function and does not know the session",
    },
    Layer {
        name: "session",
        uses: &["expect", "document", "scenario", "target", "trace", "plan", "check", "engine"],
        why: "one user waits at the engine's gates and limits, and knows no reports",
    },
    Layer { name: "backend", uses: &[], why: "the embedded target shares no constant, type or opinion with the judge" },
    Layer { name: "cli", uses: &[], why: "the edge uses everything" },
];

/// Modules that do not even use the vocabulary.
pub(super) const ISLANDS: [&str; 1] = ["backend"];

/// Modules that may touch the outside world; all others are pure.
const IMPURE: [&str; 4] = ["session", "engine", "backend", "cli"];

/// The one pure module that may draw random numbers, from an explicit seed.
const SEEDED: &str = "plan";

pub(super) struct Layer {
    pub(super) name: &'static str,
    pub(super) uses: &'static [&'static str],
    pub(super) why: &'static str,
}

// ---------------------------------------------------------------------------------------------------------------------
// The rules on this repository

#[test]
fn modules_use_only_what_stands_below_them() {
    let mut wrong = Vec::new();
    for file in rust_files("src") {
        wrong.extend(file.complain(edges(&file.name, &file.text)));
    }
    report(&wrong);
}

#[test]
fn pure_modules_touch_nothing_outside() {
    let mut wrong = Vec::new();
    for file in rust_files("src") {
        wrong.extend(file.complain(impurities(&file.name, &file.text)));
    }
    report(&wrong);
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let mut wrong = Vec::new();
    for file in ["src", "tests", "benches"].into_iter().flat_map(rust_files) {
        wrong.extend(file.complain(missing_purpose(&file.text)));
    }
    report(&wrong);
}

#[test]
fn nothing_is_unfinished_or_skipped() {
    let mut wrong = Vec::new();
    for file in ["src", "tests", "benches"].into_iter().flat_map(rust_files) {
        wrong.extend(file.complain(unfinished(&file.text)));
    }
    report(&wrong);
}

#[test]
fn tests_do_not_sleep() {
    let mut wrong = Vec::new();
    for file in rust_files("tests") {
        wrong.extend(file.complain(sleeps(&file.text, Part::All)));
    }
    for file in rust_files("src") {
        let part = if module_path(&file.name).iter().any(|module| module == "tests") { Part::All } else { Part::Tests };
        wrong.extend(file.complain(sleeps(&file.text, part)));
    }
    report(&wrong);
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    let root = root();
    let here = root.to_string_lossy();
    let mut wrong = Vec::new();
    for path in files_below(&root) {
        // Not text: nothing to read a path from.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let file = SourceFile { name: relative(&path), text };
        wrong.extend(file.complain(machine_paths(&file.text, &here)));
    }
    report(&wrong);
}

#[test]
fn every_dependency_is_used() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml is there");
    let src = rust_files("src");
    let tests: Vec<_> = ["tests", "benches"].into_iter().flat_map(rust_files).collect();
    let used_by = |files: &[&SourceFile]| -> BTreeSet<String> {
        files.iter().flat_map(|file| crates_named(&file.text)).collect()
    };
    let in_src = used_by(&src.iter().collect::<Vec<_>>());
    let anywhere = used_by(&src.iter().chain(&tests).collect::<Vec<_>>());
    // A dependency may wait for the module that needs it; once the map is complete nothing waits any more.
    let present = src.iter().filter_map(|file| top_module(&file.name)).collect::<BTreeSet<_>>();
    let absent = |name: &&str| !present.contains(*name);
    let waiting: Vec<&str> =
        VOCABULARY.into_iter().chain(LAYERS.iter().map(|layer| layer.name)).filter(absent).collect();
    let unused = unused_dependencies(&manifest, &in_src, &anywhere);
    assert!(unused.is_empty() || !waiting.is_empty(), "in Cargo.toml but used nowhere: {}", unused.join(", "));
}

// ---------------------------------------------------------------------------------------------------------------------
// The rules themselves

/// Something wrong, with its line (from 1).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wrong {
    line: usize,
    what: String,
}

impl Wrong {
    fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

/// Uses of our own modules that the table does not allow, in `file` (relative, with forward slashes).
fn edges(file: &str, text: &str) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let source = Source::read(text);
    wrong.extend(source.unreadable.iter().cloned());
    if file == "src/main.rs" {
        for path in source.paths.iter().filter(|path| path.starts_with(&["goldenpath"])) {
            if path.segment(1) != Some("cli") {
                wrong.push(Wrong::new(path.line, format!("`{path}`: the binary uses the edge (`cli`) only")));
            }
        }
        return wrong;
    }
    let Some(own) = top_module(file) else {
        // The root of the library only names its modules.
        return wrong;
    };
    let Some(allowed) = allowed_for(&own) else {
        wrong.push(Wrong::new(1, format!("module `{own}` has no place in the table of layers")));
        return wrong;
    };
    let home = module_path(file);
    for path in &source.paths {
        let used = match path.resolve(&home) {
            Resolved::Outside => continue,
            Resolved::Root => {
                wrong.push(Wrong::new(path.line, format!("`{path}` hides which module it means")));
                continue;
            }
            Resolved::Module(name) => name,
        };
        if used == own || allowed.contains(&used.as_str()) {
            continue;
        }
        let why = if VOCABULARY.contains(&own.as_str()) {
            "a word may use only the words before it"
        } else {
            LAYERS.iter().find(|layer| layer.name == own).map_or("", |layer| layer.why)
        };
        wrong.push(Wrong::new(path.line, format!("`{own}` must not use `{used}` (`{path}`): {why}")));
    }
    wrong
}

/// `None` for a module that is not in the table.
fn allowed_for(module: &str) -> Option<Vec<&'static str>> {
    if let Some(position) = VOCABULARY.iter().position(|word| *word == module) {
        return Some(VOCABULARY[..position].to_vec());
    }
    let layer = LAYERS.iter().find(|layer| layer.name == module)?;
    if module == "cli" {
        return Some(VOCABULARY.into_iter().chain(LAYERS.iter().map(|layer| layer.name)).collect());
    }
    let words: &[&str] = if ISLANDS.contains(&module) { &[] } else { &VOCABULARY };
    Some(words.iter().chain(layer.uses).copied().collect())
}

/// Clock, disk, network, environment, randomness, output and logging where only data belongs.
fn impurities(file: &str, text: &str) -> Vec<Wrong> {
    const FORBIDDEN: [(&[&str], &str); 17] = [
        (&["tokio"], "no runtime"),
        (&["std", "fs"], "no disk"),
        (&["std", "net"], "no network"),
        (&["std", "env"], "no environment"),
        (&["std", "process"], "no processes"),
        (&["std", "thread"], "no threads"),
        (&["std", "io", "stdin"], "no input"),
        (&["std", "io", "stdout"], "no output"),
        (&["std", "io", "stderr"], "no output"),
        (&["clippy", "disallowed_methods"], "the exception is for the edge"),
        (&["tracing"], "no logging"),
        (&["rand", "rng"], "no randomness without a seed"),
        (&["rand", "rngs", "SysRng"], "no randomness without a seed"),
        (&["hyper"], "no network"),
        (&["socket2"], "no network"),
        (&["tokio_rustls"], "no network"),
        (&["tokio_tungstenite"], "no network"),
    ];
    const FORBIDDEN_ENDS: [(&[&str], &str); 4] = [
        (&["Instant", "now"], "time comes in as data"),
        (&["SystemTime", "now"], "time comes in as data"),
        (&["Timestamp", "now"], "time comes in as data"),
        (&["Zoned", "now"], "time comes in as data"),
    ];
    const MACROS: [&str; 5] = ["println", "eprintln", "print", "eprint", "dbg"];

    let Some(own) = top_module(file).filter(|own| !IMPURE.contains(&own.as_str())) else {
        return Vec::new();
    };
    let source = Source::read(text);
    let mut wrong = source.unreadable.clone();
    for path in &source.paths {
        let begins = FORBIDDEN.iter().find(|(begin, _)| path.starts_with(begin));
        let ends = FORBIDDEN_ENDS.iter().find(|(end, _)| path.contains(end));
        if let Some((_, why)) = begins.or(ends) {
            wrong.push(Wrong::new(path.line, format!("`{own}` is pure: {why} (`{path}`)")));
        } else if path.starts_with(&["rand"]) && own != SEEDED {
            wrong.push(Wrong::new(path.line, format!("chance is drawn in `{SEEDED}` only, from the seed (`{path}`)")));
        }
    }
    for (name, line) in source.macros_called(&MACROS) {
        wrong.push(Wrong::new(line, format!("`{own}` is pure: no output (`{name}!`)")));
    }
    wrong
}

fn missing_purpose(text: &str) -> Vec<Wrong> {
    let first = text.lines().next().unwrap_or_default();
    match first.strip_prefix("//!") {
        Some(purpose) if !purpose.trim().is_empty() => Vec::new(),
        _ => vec![Wrong::new(1, "the file does not begin with `//!` and what it is for")],
    }
}

fn unfinished(text: &str) -> Vec<Wrong> {
    let source = Source::read(text);
    let mut wrong = source.unreadable.clone();
    for (name, line) in source.macros_called(&["todo", "unimplemented"]) {
        wrong.push(Wrong::new(line, format!("`{name}!` is not finished")));
    }
    for window in source.tokens.windows(3) {
        if window[0].is("#") && window[1].is("[") && window[2].is("ignore") {
            wrong.push(Wrong::new(window[2].line, "a test that is skipped proves nothing"));
        }
    }
    // In comments, so in the text itself; spelled apart so that this file does not hold it.
    let marker = concat!("FIX", "ME");
    for (i, line) in text.lines().enumerate() {
        if line.contains(marker) {
            wrong.push(Wrong::new(i + 1, format!("`{marker}`: mend it now")));
        }
    }
    wrong
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    /// Inside `mod tests`.
    Tests,
}

fn sleeps(text: &str, part: Part) -> Vec<Wrong> {
    let source = Source::read(text);
    let mut wrong = source.unreadable.clone();
    for window in source.tokens.windows(2) {
        let counts = part == Part::All || window[0].modules.iter().any(|module| module == "tests");
        if counts && window[0].is("sleep") && window[1].is("(") {
            wrong.push(Wrong::new(
                window[0].line,
                "a test that sleeps is slow and still flaky: wait for the thing itself",
            ));
        }
    }
    wrong
}

/// Home directories, and the place of this very checkout.
fn machine_paths(text: &str, here: &str) -> Vec<Wrong> {
    // Spelled apart so that this file does not hold them.
    let homes = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")];
    let mut wrong = Vec::new();
    for (i, line) in text.lines().enumerate() {
        for home in homes {
            for (at, _) in line.match_indices(home) {
                // Behind a host name it is an address, on its own a path.
                let before = line[..at].chars().next_back();
                if !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '}' | ']')) {
                    wrong.push(Wrong::new(i + 1, format!("a path of one machine: `{home}`")));
                }
            }
        }
        // One component (`/app`, `/src`) is too short to mean only this place.
        if here.matches(['/', '\\']).count() > 1 && line.contains(here) {
            wrong.push(Wrong::new(i + 1, "the path of this checkout"));
        }
    }
    wrong
}

/// Dependencies that no file names: normal ones must be used in `src`, development ones there or in the tests.
fn unused_dependencies(manifest: &str, in_src: &BTreeSet<String>, anywhere: &BTreeSet<String>) -> Vec<String> {
    let mut unused = Vec::new();
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
            continue;
        }
        let users = match section {
            "dev-dependencies" => anywhere,
            "dependencies" => in_src,
            other if other.starts_with("target.") && other.ends_with(".dependencies") => in_src,
            _ => continue,
        };
        let Some((name, _)) = line.split_once('=') else {
            continue;
        };
        let name = name.trim();
        if !name.starts_with('#') && !users.contains(&name.replace('-', "_")) {
            unused.push(name.to_owned());
        }
    }
    unused
}

fn crates_named(text: &str) -> BTreeSet<String> {
    Source::read(text).paths.iter().filter_map(|path| path.segment(0)).map(str::to_owned).collect()
}

// ---------------------------------------------------------------------------------------------------------------------
// Reading Rust, as far as these rules need it

/// A word or a sign of the source.
#[derive(Debug, Clone)]
struct Token {
    text: String,
    line: usize,
    /// The modules opened in this file around it.
    modules: Vec<String>,
}

impl Token {
    fn is(&self, text: &str) -> bool {
        self.text == text
    }

    fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// A path of at least two segments, groups of `use` taken apart.
#[derive(Debug, Clone)]
struct UsedPath {
    segments: Vec<String>,
    line: usize,
    modules: Vec<String>,
}

impl std::fmt::Display for UsedPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.segments.join("::"))
    }
}

/// Where a path leads, seen from our crate.
#[derive(Debug, PartialEq, Eq)]
enum Resolved {
    /// Another crate, or something in scope; how it came into scope is judged where it did.
    Outside,
    /// The root of the crate itself, by glob or alias.
    Root,
    Module(String),
}

impl UsedPath {
    fn segment(&self, index: usize) -> Option<&str> {
        self.segments.get(index).map(String::as_str)
    }

    fn starts_with(&self, begin: &[&str]) -> bool {
        begin.iter().enumerate().all(|(i, expected)| self.segment(i) == Some(expected))
    }

    fn contains(&self, part: &[&str]) -> bool {
        self.segments.windows(part.len()).any(|window| window == part)
    }

    /// `home` is the module path of the file: `check::ledger` for `src/check/ledger.rs`.
    fn resolve(&self, home: &[String]) -> Resolved {
        let mut place: Vec<&str> = match self.segment(0) {
            Some("crate") => Vec::new(),
            Some("super" | "self") => home.iter().chain(&self.modules).map(String::as_str).collect(),
            _ => return Resolved::Outside,
        };
        for segment in &self.segments {
            match segment.as_str() {
                "crate" | "self" => {}
                "super" => {
                    place.pop();
                }
                name => place.push(name),
            }
        }
        match place.first() {
            None | Some(&"*") => Resolved::Root,
            Some(name) => Resolved::Module((*name).to_owned()),
        }
    }
}

/// A file as the rules see it.
struct Source {
    tokens: Vec<Token>,
    paths: Vec<UsedPath>,
    unreadable: Vec<Wrong>,
}

impl Source {
    fn read(text: &str) -> Self {
        let mut unreadable = Vec::new();
        let (code, unclosed) = without_comments_and_strings(text);
        unreadable.extend(unclosed.map(|line| Wrong::new(line, "a comment or string that does not end")));
        let tokens = tokens(&code);
        let mut paths = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            let begins = tokens[at].is_word() && (at == 0 || !tokens[at - 1].is("::"));
            if begins && tokens.get(at + 1).is_some_and(|next| next.is("::")) {
                at = read_path(&tokens, at, &[], &mut paths);
                continue;
            }
            // `use tokio;` brings in as much as `use tokio::x`.
            let used = at > 0 && tokens[at - 1].is("use") && tokens[at].is_word();
            if used && !tokens[at].is("crate") {
                paths.push(UsedPath {
                    segments: vec![tokens[at].text.clone()],
                    line: tokens[at].line,
                    modules: tokens[at].modules.clone(),
                });
            }
            let visibility = at > 0 && tokens[at - 1].is("(") && tokens.get(at + 1).is_some_and(|next| next.is(")"));
            if tokens[at].is("crate") && !visibility && !(at > 0 && tokens[at - 1].is("extern")) {
                unreadable.push(Wrong::new(tokens[at].line, "`crate` as a whole hides which module is used"));
            }
            at += 1;
        }
        Self { tokens, paths, unreadable }
    }

    fn macros_called(&self, names: &[&str]) -> Vec<(String, usize)> {
        self.tokens
            .windows(2)
            .filter(|window| window[1].is("!") && names.iter().any(|name| window[0].is(name)))
            .map(|window| (window[0].text.clone(), window[0].line))
            .collect()
    }
}

/// Reads the path that begins at `at`, under `prefix`, and returns where it ends.
fn read_path(tokens: &[Token], mut at: usize, prefix: &[String], paths: &mut Vec<UsedPath>) -> usize {
    let first = &tokens[at];
    let mut segments = prefix.to_vec();
    loop {
        segments.push(tokens[at].text.clone());
        at += 1;
        if !tokens.get(at).is_some_and(|next| next.is("::")) {
            break;
        }
        at += 1;
        match tokens.get(at) {
            Some(next) if next.is_word() || next.is("*") => {}
            Some(next) if next.is("{") => {
                at = read_group(tokens, at + 1, &segments, paths);
                return at;
            }
            // `collect::<Vec<_>>`: generic arguments are read as paths of their own.
            _ => break,
        }
    }
    paths.push(UsedPath { segments, line: first.line, modules: first.modules.clone() });
    at
}

/// Reads `a, b::c, d as e}` and returns where it ends.
fn read_group(tokens: &[Token], mut at: usize, prefix: &[String], paths: &mut Vec<UsedPath>) -> usize {
    while let Some(token) = tokens.get(at) {
        if token.is("}") {
            return at + 1;
        }
        if token.is("as") {
            at += 2;
        } else if token.is_word() || token.is("*") {
            at = read_path(tokens, at, prefix, paths);
        } else {
            at += 1;
        }
    }
    at
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut modules: Vec<(String, usize)> = Vec::new();
    let mut depth = 0_usize;
    let mut line = 1;
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let length = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (text, after) = rest.split_at(length);
        rest = after;
        if first == '\n' {
            line += 1;
        }
        if first.is_whitespace() {
            continue;
        }
        if text == "{" {
            if let [.., keyword, name] = &tokens[..]
                && keyword.is("mod")
            {
                modules.push((name.text.clone(), depth));
            }
            depth += 1;
        }
        if text == "}" {
            depth = depth.saturating_sub(1);
            modules.pop_if(|(_, opened)| *opened == depth);
        }
        // `r#type` is the word `type`.
        if let [.., raw, hash] = &tokens[..]
            && raw.is("r")
            && hash.is("#")
            && is_word(first)
        {
            tokens.truncate(tokens.len() - 2);
        }
        let modules = modules.iter().map(|(name, _)| name.clone()).collect();
        tokens.push(Token { text: text.to_owned(), line, modules });
    }
    tokens
}

/// The code with everything inside comments and literals blanked, lines kept; and the line of a literal or comment that
/// does not end.
fn without_comments_and_strings(text: &str) -> (String, Option<usize>) {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    let mut previous = ' ';
    while let Some(first) = rest.chars().next() {
        let opaque = opaque_length(rest, previous);
        let Some(length) = opaque else {
            return (code.clone(), Some(code.matches('\n').count() + 1));
        };
        let (taken, after) = rest.split_at(length.max(first.len_utf8()));
        if length > 0 {
            // A word boundary, so that what stood on both sides does not become one word.
            code.push(' ');
            code.extend(taken.chars().filter(|&c| c == '\n'));
        } else {
            code.push_str(taken);
        }
        previous = taken.chars().next_back().unwrap_or(' ');
        rest = after;
    }
    (code, None)
}

/// How many bytes of comment or literal `rest` begins with: 0 if with neither, `None` if it never ends.
fn opaque_length(rest: &str, previous: char) -> Option<usize> {
    let inside_word = previous.is_alphanumeric() || previous == '_';
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return block_comment_length(rest);
    }
    if !inside_word {
        for prefix in ["r", "br", "cr"] {
            let Some(after) = rest.strip_prefix(prefix) else {
                continue;
            };
            let hashes = after.len() - after.trim_start_matches('#').len();
            if after[hashes..].starts_with('"') {
                let closing = format!("\"{}", "#".repeat(hashes));
                let opened = prefix.len() + hashes + 1;
                return rest[opened..].find(&closing).map(|at| opened + at + closing.len());
            }
        }
    }
    if rest.starts_with('"') {
        return quoted_length(rest, '"');
    }
    if let Some(behind) = rest.strip_prefix('\'') {
        // A lifetime has no closing quote right behind its first character.
        let mut characters = behind.chars();
        let first = characters.next()?;
        let literal = first == '\\' || characters.next() == Some('\'');
        return if literal { quoted_length(rest, '\'') } else { Some(0) };
    }
    Some(0)
}

fn quoted_length(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            return Some(at + 1);
        }
    }
    None
}

fn block_comment_length(rest: &str) -> Option<usize> {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += rest[at..].chars().next()?.len_utf8();
        }
    }
    None
}

// ---------------------------------------------------------------------------------------------------------------------
// Files

struct SourceFile {
    name: String,
    text: String,
}

impl SourceFile {
    fn complain(&self, wrong: Vec<Wrong>) -> Vec<String> {
        wrong.into_iter().map(|wrong| format!("{}:{}: {}", self.name, wrong.line, wrong.what)).collect()
    }
}

fn report(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn relative(path: &Path) -> String {
    let relative = path.strip_prefix(root()).expect("below the root");
    relative.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn rust_files(folder: &str) -> Vec<SourceFile> {
    let files: Vec<SourceFile> = files_below(&root().join(folder))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| SourceFile { text: fs::read_to_string(&path).expect("source is UTF-8"), name: relative(&path) })
        .collect();
    assert!(!files.is_empty(), "no source below {folder}");
    files
}

/// All files of the repository below `folder`, sorted; without what git ignores: build output and reports.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is readable") {
            let path = entry.expect("the entry is readable").path();
            let name = relative(&path);
            let ignored = matches!(name.as_str(), ".git" | "target")
                || (name.starts_with("reports/") && name != "reports/README.md");
            if ignored {
                continue;
            }
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

/// `check::ledger` for `src/check/ledger.rs`, nothing for the roots.
fn module_path(file: &str) -> Vec<String> {
    let inner = file.strip_prefix("src/").unwrap_or(file).trim_end_matches(".rs");
    let mut path: Vec<String> = inner.split('/').map(str::to_owned).collect();
    let last = path.last().map(String::as_str);
    if last == Some("mod") || (path.len() == 1 && matches!(last, Some("lib" | "main"))) {
        path.pop();
    }
    path
}

fn top_module(file: &str) -> Option<String> {
    module_path(file).into_iter().next()
}

// ---------------------------------------------------------------------------------------------------------------------
// The rules fire on what is wrong, and are silent on what is right

mod rules {
    use super::*;

    fn lines(wrong: &[Wrong]) -> Vec<usize> {
        wrong.iter().map(|wrong| wrong.line).collect()
    }

    #[test]
    fn an_upward_use_is_named_with_line_and_reason() {
        let wrong = edges("src/check/ledger.rs", "//! x\nuse crate::time::Micros;\nuse crate::session::Socket;\n");
        assert_eq!(lines(&wrong), [3]);
        assert!(wrong[0].what.contains("`check` must not use `session`"), "{wrong:?}");
        assert!(wrong[0].what.contains("never YAML or sockets"), "{wrong:?}");
    }

    #[test]
    fn every_way_to_name_a_module_is_an_edge() {
        for text in [
            "use crate::session;",
            "use crate::{time, session::Socket};",
            "use crate::{time::{self, Micros}, session};",
            "fn f() { crate::session::connect() }",
            "use super::super::session::Socket;",
            "use super::{ledger, super::session};",
            "mod tests { use super::super::super::session; }",
            "pub(crate) use crate::session as s;",
            "use ::goldenpath::x; type T = Vec<crate::session::Socket>;",
            "macro_rules! m { () => { $crate::session::x() } }",
        ] {
            assert_eq!(edges("src/check/ledger.rs", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn downward_uses_are_silent() {
        let text = r##"
            //! crate::session
            /* use crate::session; /* nested */ crate::cli */
            use crate::{stats::{Histogram, lower_bound as low}, expect, time::Micros};
            use super::automaton::Step;
            use std::collections::BTreeMap;
            pub(crate) fn f<'a>(x: &'a str) -> char { let _ = "crate::session\" x"; let _ = r#"crate::cli"#; '"' }
            mod tests { use super::*; use super::super::automaton; }
        "##;
        assert_eq!(edges("src/check/ledger.rs", text), []);
        assert_eq!(edges("src/cli/run.rs", "use crate::{session, engine, backend};"), []);
        assert_eq!(edges("src/main.rs", "use goldenpath::cli::run;"), []);
    }

    #[test]
    fn words_use_only_the_words_before_them() {
        assert_eq!(edges("src/event.rs", "use crate::identity::UserId;"), []);
        assert_eq!(edges("src/identity.rs", "use crate::event::Kind;").len(), 1);
        assert_eq!(edges("src/identity.rs", "use super::finding::Finding;").len(), 1);
        assert_eq!(edges("src/canary.rs", "use crate::stats::lower_bound;").len(), 1);
    }

    #[test]
    fn the_island_uses_nothing_of_ours() {
        assert_eq!(edges("src/backend/faults.rs", "use crate::time::Micros;").len(), 1);
        assert_eq!(edges("src/backend/faults.rs", "use crate::backend::agent::Agent; use super::agent;"), []);
    }

    #[test]
    fn the_binary_uses_the_edge_only() {
        assert_eq!(edges("src/main.rs", "fn main() { goldenpath::engine::go() }").len(), 1);
    }

    #[test]
    fn a_module_outside_the_table_is_wrong() {
        assert_eq!(edges("src/helpers.rs", "//! x\n").len(), 1);
        assert_eq!(edges("src/helpers/mod.rs", "//! x\n").len(), 1);
    }

    #[test]
    fn what_can_not_be_followed_is_wrong() {
        assert_eq!(edges("src/check/mod.rs", "use crate::*;").len(), 1);
        assert_eq!(edges("src/check/mod.rs", "use crate as all;").len(), 1);
        assert_eq!(edges("src/check/mod.rs", "use super::*;").len(), 1);
        assert_eq!(edges("src/check/mod.rs", "/* no end").len(), 1);
    }

    #[test]
    fn pure_modules_may_not_touch_the_world() {
        for text in [
            "use tokio::time;",
            "use tokio;",
            "use std::{fmt, fs};",
            "let x = std::env::var(name);",
            "use std::net::TcpStream;",
            "let t = std::time::Instant::now();",
            "let t = SystemTime::now();",
            "let r = rand::rng();",
            "use rand::SeedableRng;",
            "println!();",
            "std::dbg!(x)",
            "tracing::info!(1)",
            "use std::io::{self, Read, stdout};",
            "#![allow(clippy::disallowed_methods)]",
        ] {
            assert_eq!(impurities("src/check/mod.rs", text).len(), 1, "{text}");
            assert_eq!(impurities("src/event.rs", text).len(), 1, "{text}");
            assert_eq!(impurities("src/session/mod.rs", text), [], "{text}");
        }
    }

    #[test]
    fn pure_modules_may_compute() {
        let text = "// std::fs\nuse std::{fmt, time::Duration}; let s = \"println!\"; struct Print; fn print() {}";
        assert_eq!(impurities("src/check/mod.rs", text), []);
        assert_eq!(impurities("src/plan/mod.rs", "use rand::{SeedableRng, rngs::StdRng};"), []);
        assert_eq!(impurities("src/plan/mod.rs", "let r = rand::rng();").len(), 1);
    }

    #[test]
    fn a_file_without_purpose_is_wrong() {
        assert_eq!(missing_purpose("use std::fmt;\n").len(), 1);
        assert_eq!(missing_purpose("//!\n").len(), 1);
        assert_eq!(missing_purpose("").len(), 1);
        assert_eq!(missing_purpose("//! The clock.\n"), []);
    }

    #[test]
    fn unfinished_work_is_wrong() {
        assert_eq!(lines(&unfinished("fn f() {\n    todo!()\n}")), [2]);
        assert_eq!(unfinished("unimplemented!(\"later\")").len(), 1);
        assert_eq!(unfinished("#[test]\n#[ignore = \"slow\"]\nfn f() {}").len(), 1);
        assert_eq!(unfinished(concat!("// FIX", "ME later")).len(), 1);
        assert_eq!(unfinished("// todo!() and #[ignore] are names\nfn todo() { let s = \"todo!()\"; }"), []);
    }

    #[test]
    fn a_sleeping_test_is_wrong() {
        let text = "fn f() { std::thread::sleep(d) }\nmod tests {\n    fn g() { sleep (d) }\n}\nfn h() { sleep(d) }";
        assert_eq!(lines(&sleeps(text, Part::All)), [1, 3, 5]);
        assert_eq!(lines(&sleeps(text, Part::Tests)), [3]);
        assert_eq!(sleeps("let sleep = 1; sleeper(); // sleep(1)", Part::All), []);
    }

    #[test]
    fn a_path_of_one_machine_is_wrong() {
        let home = concat!("open(\"/ho", "me/ann/x\")");
        assert_eq!(machine_paths(home, "/a/b").len(), 1);
        assert_eq!(machine_paths("see /builds/goldenpath/x", "/builds/goldenpath").len(), 1);
        assert_eq!(machine_paths(concat!("https://example.com/ho", "me/page and /app/x"), "/app"), []);
    }

    #[test]
    fn a_dependency_nobody_names_is_wrong() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nserde-saphyr = \"2\"\nurl = { version = \"2\" }\n\
                        [target.'cfg(unix)'.dependencies]\nnix = \"1\"\n[dev-dependencies]\ninsta = \"1\"\n# a comment = 1\n";
        let src = crates_named("use serde_saphyr::x; // url::Url\n");
        let all = crates_named("serde_saphyr::y(); insta::assert_snapshot!(url::z)");
        assert_eq!(unused_dependencies(manifest, &src, &all), ["url", "nix"]);
    }
}
