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
/// It is a mistake (`base` stays as it is) when a key of the path is empty, when the path leads through something that is
/// not a map, or nests deeper than a file could.
pub fn set(base: &mut Node, path: &str, value: Node, at: Span, cx: &mut Context) {
    let keys: Vec<&str> = path.split('.').collect();
    if keys.iter().any(|key| key.trim().is_empty()) {
        let mistake = Diagnostic::mistake(at, format!("{} is not a path", quote(path)));
        return cx.report(mistake.help("write keys joined with dots, for example `users.count`"));
    }
    if keys.len() > MAX_DEPTH {
        return cx.report(Diagnostic::mistake(at, format!("the path is longer than {MAX_DEPTH} keys")));
    }
    match obstacle(base, &keys, at) {
        Some(mistake) => cx.report(mistake),
        None => put(base, &keys, value, at),
    }
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
    set(base, &text[..equals], value, Span::new(source, 0, equals), cx);
}

/// What stands on the way and is not a map.
fn obstacle(base: &Node, keys: &[&str], at: Span) -> Option<Diagnostic> {
    let mut node = base;
    for (depth, key) in keys.iter().enumerate() {
        match &node.value {
            Value::Null => return None,
            Value::Map(entries) => node = &entries.iter().find(|entry| entry.key.text == *key)?.value,
            _ => {
                let way = quote(&keys[..depth].join("."));
                let title = format!("{way} is {}, not a map, and has no key {}", node.kind(), quote(key));
                return Some(Diagnostic::mistake(at, title).also(node.span, "set here"));
            }
        }
    }
    None
}

fn put(base: &mut Node, keys: &[&str], value: Node, at: Span) {
    let [key, deeper @ ..] = keys else {
        *base = value;
        return;
    };
    if matches!(base.value, Value::Null) {
        *base = Node::new(at, Value::Map(Vec::new()));
    }
    let Value::Map(entries) = &mut base.value else { unreachable!("only maps are on the way") };
    let found = entries.iter().position(|entry| entry.key.text == *key).unwrap_or_else(|| {
        let key = Key { text: (*key).to_owned(), span: at };
        entries.push(Entry { key, value: Node::new(at, Value::Null) });
        entries.len() - 1
    });
    put(&mut entries[found].value, deeper, value, at);
}

#[cfg(test)]
mod tests {
    use super::super::testing::{node, plain};
    use super::*;

    fn assigned(base: &str, argument: &str) -> (String, String) {
        let mut sources = Sources::new();
        let mut cx = Context::new();
        let file = sources.add("t.yaml", base);
        let flag = sources.add("--set", argument);
        let mut tree = super::super::read(&sources, file, &mut cx).expect("a tree");
        assign(&mut tree, &sources, flag, &mut cx);
        (tree.to_json().to_string(), plain(&cx.finish(), &sources))
    }

    #[test]
    fn maps_merge_and_everything_else_replaces() {
        let mut base = node("users: {count: 50, first: 101}\ntags: [a, b]\nload: {closed: 3}\nname: x\n");
        merge(&mut base, node("users: {count: 200}\ntags: [c]\nload: ~\nname: {long: y}\nnew: 1\n"));
        let expected = r#"{"users":{"count":200,"first":101},"tags":["c"],"load":null,"name":{"long":"y"},"new":1}"#;
        assert_eq!(base.to_json().to_string(), expected);
    }

    #[test]
    fn an_assignment_reaches_any_depth_and_replaces() {
        for (argument, expected) in [
            ("users.count=5", r#"{"users":{"count":5},"tags":["a"]}"#),
            ("users={first: 1}", r#"{"users":{"first":1},"tags":["a"]}"#),
            ("load.open.rate=5/s", r#"{"users":{"count":1},"tags":["a"],"load":{"open":{"rate":"5/s"}}}"#),
            ("name=a=b", r#"{"users":{"count":1},"tags":["a"],"name":"a=b"}"#),
            ("name=", r#"{"users":{"count":1},"tags":["a"],"name":""}"#),
            ("name='5'", r#"{"users":{"count":1},"tags":["a"],"name":"5"}"#),
        ] {
            assert_eq!(assigned("{users: {count: 1}, tags: [a]}", argument), (expected.to_owned(), String::new()));
        }
    }

    #[test]
    fn a_bad_assignment_is_shown_in_the_argument_and_changes_nothing() {
        let (tree, shown) = assigned("tags: [a]\n", "tags.count=5");
        assert_eq!(tree, r#"{"tags":["a"]}"#);
        insta::assert_snapshot!(shown, @r#"
        mistake: `tags` is a list, not a map, and has no key `count`
         --> --set:1:1
          |
        1 | tags.count=5
          | ^^^^^^^^^^
          |
         ::: t.yaml:1:7
          |
        1 | tags: [a]
          |       --- set here
        "#);
        for bad in ["count", "=5", "a..b=5", "a=[1", "a=1\n---\n2"] {
            let (tree, shown) = assigned("tags: [a]\n", bad);
            assert_eq!(tree, r#"{"tags":["a"]}"#, "{bad}");
            assert!(shown.starts_with("mistake: ") && shown.contains("--set:"), "{bad}: {shown}");
        }
        assert!(assigned("a: 1", &format!("{}=1", ["x"; 40].join("."))).1.contains("longer than 32 keys"));
    }

    #[test]
    fn a_mistake_in_an_overlay_is_shown_where_the_overlay_stands() {
        let mut sources = Sources::new();
        let mut cx = Context::new();
        let file = sources.add("t.yaml", "- 1\n");
        let flag = sources.add("--set", "a.b=text");
        let mut tree = super::super::read(&sources, file, &mut cx).expect("a tree");
        tree = Node::new(tree.span, Value::Map(Vec::new()));
        assign(&mut tree, &sources, flag, &mut cx);
        let value = tree.get("a").and_then(|a| a.get("b")).expect("the value");
        assert_eq!((value.span.source, value.span.start, value.span.end), (flag, 4, 8));
    }
}
