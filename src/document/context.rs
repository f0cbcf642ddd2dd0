//! Where reading stands and what went wrong so far.
//!
//! One [`Context`] accompanies a file from bytes to meaning, so that all its mistakes come out together. It collects; it
//! never decides whether a value can be used (that is the `Option` the reader or decoder returns).

use super::diagnostic::{self, Diagnostic, Level};
use super::source::Span;
use super::tree::Node;

/// The diagnostics found so far and the path to the value being decoded.
#[derive(Debug, Default)]
pub struct Context {
    path: Vec<Step>,
    diagnostics: Vec<Diagnostic>,
}

#[derive(Debug)]
enum Step {
    Key(String, Span),
    Index(usize),
}

impl Context {
    /// Nothing found yet, at the top of a document.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a diagnostic.
    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Whether a mistake (not merely a warning) was found.
    pub fn has_mistakes(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.level == Level::Mistake)
    }

    /// Everything found, by text and place, each once.
    pub fn finish(self) -> Vec<Diagnostic> {
        let mut diagnostics = self.diagnostics;
        diagnostic::sort(&mut diagnostics);
        diagnostics
    }

    /// Runs `decode` one key deeper. `span` is the place of the key.
    pub fn at_key<T>(&mut self, key: &str, span: Span, decode: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(Step::Key(key.to_owned(), span));
        let decoded = decode(self);
        self.path.pop();
        decoded
    }

    /// Runs `decode` one list item deeper; `index` counts from 0.
    pub fn at_index<T>(&mut self, index: usize, decode: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(Step::Index(index));
        let decoded = decode(self);
        self.path.pop();
        decoded
    }

    /// The path as messages show it, for example `expect.budgets.first_event` or `login[0].post`; empty at the top.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Key(key, _) if path.is_empty() => path.push_str(key),
                Step::Key(key, _) => {
                    path.push('.');
                    path.push_str(key);
                }
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }

    /// The path of a key of the value being decoded.
    pub fn path_of(&self, key: &str) -> String {
        match self.path() {
            path if path.is_empty() => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }

    /// Where to point for a value: at itself, or at its key when nothing was written.
    pub fn place_of(&self, node: &Node) -> Span {
        if node.span.is_empty() { self.key_span().unwrap_or(node.span) } else { node.span }
    }

    /// The place of the key whose value is being decoded, if the value has a key.
    pub fn key_span(&self) -> Option<Span> {
        match self.path.last()? {
            Step::Key(_, span) => Some(*span),
            Step::Index(_) => None,
        }
    }

    /// A mistake about the value being decoded, its path as the label; not reported yet.
    pub fn mistake(&self, node: &Node, title: impl Into<String>) -> Diagnostic {
        let diagnostic = Diagnostic::mistake(self.place_of(node), title);
        match self.path() {
            path if path.is_empty() => diagnostic,
            path => diagnostic.label(format!("in `{path}`")),
        }
    }

    /// Reports that the value is of the wrong kind: "expected `what`, found text". Returns `None` for use as a result.
    pub fn expected<T>(&mut self, node: &Node, what: &str) -> Option<T> {
        self.expected_with_help(node, what, None)
    }

    /// As [`Context::expected`], with advice.
    pub fn expected_with_help<T>(&mut self, node: &Node, what: &str, help: Option<String>) -> Option<T> {
        let mut mistake = self.mistake(node, format!("expected {what}, found {}", node.kind()));
        let nothing = matches!(node.value, super::tree::Value::Null);
        mistake.help = help.or_else(|| nothing.then(|| "write a value, or remove the key".to_owned()));
        self.report(mistake);
        None
    }
}

/// The candidate that was probably meant, if one is close enough to be worth suggesting.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = word.to_lowercase();
    let allowed = (wanted.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Words for a message: "`a`, `b` and `c`" with the given last connective.
pub fn listing<'a>(words: impl IntoIterator<Item = &'a str>, connective: &str) -> String {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} {connective} {last}", others.join(", ")),
    }
}

/// Advice for a word that is not among the allowed ones: what was probably meant, and what there is.
pub(super) fn advise(word: &str, allowed: &[&str]) -> String {
    let all = match allowed {
        [] => "nothing is allowed here".to_owned(),
        [only] => format!("only `{only}` is allowed here"),
        _ => format!("allowed are {}", listing(allowed.iter().copied(), "and")),
    };
    match closest(word, allowed.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`? {all}"),
        None => all,
    }
}
