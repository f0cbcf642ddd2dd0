//! Laying one tree over another: environment blocks over the file, `--set` over both.
//!
//! Maps merge, lists and everything else replace. Which environments there are is the format's business. Every node keeps the place it came from, so that a mistake in an
//! overlay is shown in the overlay.

use super::context::Context;
use super::diagnostic::{Diagnostic, quote};
use super::source::{SourceId, Sources, Span};
use super::tree::{Entry, Key, Node, Scalar, Value};
use super::yaml::{MAX_DEPTH, read_range};

/// Lays `overlay` over `base`.
pub fn merge(base: &mut Node, overlay: Node) {
    match (&mut base.value, overlay.value) {
        (Value::Map(entries), Value::Map(overlays)) => {
            for overlay in overlays {
                match entries.iter_mut().find(|entry| entry.key.text == overlay.key.text) {
                    Some(entry) => {
                        entry.key.span = overlay.key.span;
                        merge(&mut entry.value, overlay.value);
                    }
                    None => entries.push(overlay),
                }
            }
        }
        (_, value) => *base = Node::new(overlay.span, value),
    }
}

/// Puts `value` where `path` (keys joined with dots) says, over what stands there. Maps on the way that are missing are
/// made; `at` is the place of the path for messages.
///
/// # Errors
///
/// A mistake when a key of the path is empty, when the path leads through something that is not a map, or nests deeper
/// than a file could. `base` is unchanged then.
pub fn set(base: &mut Node, path: &str, value: Node, at: Span) -> Result<(), Diagnostic> {
    let keys: Vec<&str> = path.split('.').collect();
    if keys.iter().any(|key| key.trim().is_empty()) {
        let mistake = Diagnostic::mistake(at, format!("{} is not a path", quote(path)));
        return Err(mistake.help("write keys joined with dots, for example `users.count`"));
    }
    if keys.len() > MAX_DEPTH {
        return Err(Diagnostic::mistake(at, format!("the path is longer than {MAX_DEPTH} keys")));
    }
    check_way(base, &keys, at)?;

    put(base, &keys, value, at);
    Ok(())
}

/// Applies one `--set` argument: the text of `source` is `path.to.key=value`, the value in YAML. Nothing after the `=`
/// is empty text. Mistakes go to `cx`; `base` is unchanged then.
pub fn assign(base: &mut Node, sources: &Sources, source: SourceId, cx: &mut Context) {
    let text = sources.get(source).text();
    let Some(equals) = text.find('=') else {
        let mistake = Diagnostic::mistake(Span::new(source, 0, text.len()), "there is no `=` here");
        return cx.report(mistake.help("write a path and a value, for example `users.count=5`"));
    };
    let empty = text[equals + 1..].trim().is_empty();
    let Some(mut value) = read_range(sources, source, equals + 1..text.len(), cx) else {
        return;
    };
    if empty {
        value = Node::new(Span::new(source, equals + 1, equals + 1), Value::Text(Scalar::new("")));
    }
    if let Err(mistake) = set(base, &text[..equals], value, Span::new(source, 0, equals)) {
        cx.report(mistake);
    }
}

fn check_way(base: &Node, keys: &[&str], at: Span) -> Result<(), Diagnostic> {
    let mut node = base;
    for (depth, key) in keys.iter().enumerate() {
        let entries = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => return Ok(()),
            _ => {
                let way = keys[..depth].join(".");
                let title = format!("{} is {}, not a map, and has no key {}", quote(&way), node.kind(), quote(key));
                return Err(Diagnostic::mistake(at, title).also(node.span, "set here"));
            }
        };
        match entries.iter().find(|entry| entry.key.text == *key) {
            Some(entry) => node = &entry.value,
            None => return Ok(()),
        }
    }
    Ok(())
}

fn put(base: &mut Node, keys: &[&str], value: Node, at: Span) {
    let [key, deeper @ ..] = keys else {
        *base = value;
        return;
    };
    if matches!(base.value, Value::Null) {
        *base = Node::new(at, Value::Map(Vec::new()));
    }
    let Value::Map(entries) = &mut base.value else { unreachable!("check_way refused everything but maps") };
    let found = entries.iter().position(|entry| entry.key.text == *key).unwrap_or_else(|| {
        let key = Key { text: (*key).to_owned(), span: at };
        entries.push(Entry { key, value: Node::new(at, Value::Null) });
        entries.len() - 1
    });
    put(&mut entries[found].value, deeper, value, at);
}
