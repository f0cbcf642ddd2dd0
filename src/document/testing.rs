//! What the tests of this layer share: one text named `t.yaml`, read and decoded, with its diagnostics as shown.

use super::context::Context;
use super::decode::{Decode, decode};
use super::diagnostic::{Diagnostic, Style, render};
use super::source::Sources;
use super::tree::Node;
use super::yaml::read;

/// The tree of a text and the diagnostics of reading it, rendered.
pub fn tree(text: impl Into<Vec<u8>>) -> (Option<Node>, String) {
    let (node, sources, cx) = open(text);
    (node, plain(&cx.finish(), &sources))
}

/// The tree of a text without mistakes.
pub fn node(text: &str) -> Node {
    let (node, shown) = tree(text);
    assert_eq!(shown, "");
    node.expect("a tree")
}

/// A decoded text and all diagnostics, rendered.
pub fn decoded<T: Decode>(text: &str) -> (Option<T>, String) {
    let (node, sources, mut cx) = open(text);
    let value = node.and_then(|node| decode(&node, &mut cx));
    (value, plain(&cx.finish(), &sources))
}

/// The value of a text without mistakes.
pub fn value<T: Decode>(text: &str) -> T {
    let (value, shown) = decoded(text);
    assert_eq!(shown, "");
    value.expect("a value")
}

/// The titles of the diagnostics of a text, with line and column, and their advice.
pub fn titles<T: Decode>(text: &str) -> Vec<String> {
    let (node, sources, mut cx) = open(text);
    let _: Option<T> = node.and_then(|node| decode(&node, &mut cx));
    let line = |d: &Diagnostic| {
        let (line, column) = sources.position(d.span);
        let help = d.help.as_ref().map(|help| format!(" -> {help}")).unwrap_or_default();
        format!("{line}:{column} {}{help}", d.title)
    };
    cx.finish().iter().map(line).collect()
}

/// Diagnostics without colour, 100 columns wide.
pub fn plain(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    render(diagnostics, sources, Style::Plain, 100)
}

fn open(text: impl Into<Vec<u8>>) -> (Option<Node>, Sources, Context) {
    let mut sources = Sources::new();
    let mut cx = Context::new();
    let id = sources.add("t.yaml", text);
    let node = read(&sources, id, &mut cx);
    (node, sources, cx)
}
