//! A tree written out as one text, overlays included, that reads back to the same tree with the same origins.
//!
//! What was laid over what is settled: nothing of other environments, comments or aliases is left. Each value still knows in
//! which file and line it was first written, so that whoever compiles the text again names the same places.

use serde::{Deserialize, Serialize};

use super::context::Context;
use super::source::{SourceId, Sources, Span};
use super::tree::{Node, Value};
use super::yaml::read_range;

/// A tree as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// YAML that spells every text with quotes.
    pub text: String,
    /// The texts that values were first written in, by the names the user knows them by.
    pub files: Vec<String>,
    /// For each key and value, in the order of the text: the byte it begins at, the index of its file, its line from 1.
    pub places: Vec<(u32, u32, u32)>,
}

impl Resolved {
    /// Writes a tree out.
    pub fn of(tree: &Node, sources: &Sources) -> Resolved {
        let mut writer = Writer { sources, out: Resolved { text: String::new(), files: vec![], places: vec![] } };
        writer.value(tree, 0);
        writer.out.text.push('\n');
        writer.out
    }

    /// Reads the tree back; `name` is what diagnostics call the text. What is wrong with it is reported to `cx`.
    pub fn read(&self, name: &str, sources: &mut Sources, cx: &mut Context) -> Option<(SourceId, Node)> {
        let mut origins = Vec::new();
        for (start, file, line) in &self.places {
            let file = self.files.get(*file as usize).map_or(name, String::as_str);
            origins.push((*start, file.to_owned(), *line));
        }
        origins.sort_by_key(|(start, ..)| *start);
        let source = sources.add_resolved(name, self.text.as_str(), origins);
        // What was read once may be larger than a file may be, for its aliases are written out.
        Some((source, read_range(sources, source, 0..self.text.len(), cx)?))
    }
}

struct Writer<'a> {
    sources: &'a Sources,
    out: Resolved,
}

impl Writer<'_> {
    fn value(&mut self, node: &Node, depth: usize) {
        self.place(node.span);
        match &node.value {
            Value::Null => self.out.text.push_str("null"),
            Value::Bool(value) => self.out.text.push_str(if *value { "true" } else { "false" }),
            Value::Number(number) => self.out.text.push_str(&number.source),
            Value::Text(scalar) => self.quoted(&scalar.text),
            Value::List(items) if items.is_empty() => self.out.text.push_str("[]"),
            Value::Map(entries) if entries.is_empty() => self.out.text.push_str("{}"),
            Value::List(items) => {
                self.out.text.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.line(index, depth + 1);
                    self.value(item, depth + 1);
                }
                self.line(0, depth);
                self.out.text.push(']');
            }
            Value::Map(entries) => {
                self.out.text.push('{');
                for (index, entry) in entries.iter().enumerate() {
                    self.line(index, depth + 1);
                    self.place(entry.key.span);
                    self.quoted(&entry.key.text);
                    self.out.text.push_str(": ");
                    self.value(&entry.value, depth + 1);
                }
                self.line(0, depth);
                self.out.text.push('}');
            }
        }
    }

    /// A new line, after a comma where something stands before it.
    fn line(&mut self, index: usize, depth: usize) {
        self.out.text.push_str(if index == 0 { "\n" } else { ",\n" });
        self.out.text.extend(std::iter::repeat_n(' ', 2 * depth));
    }

    fn place(&mut self, span: Span) {
        let (name, line) = self.sources.origin(span);
        let known = self.out.files.iter().position(|file| file == name);
        let file = known.unwrap_or_else(|| {
            self.out.files.push(name.to_owned());
            self.out.files.len() - 1
        });
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        self.out.places.push((narrow(self.out.text.len()), narrow(file), narrow(line)));
    }

    /// Double quotes and escapes as YAML has them (1.2.2, section 5.7). What a reader might take for more than a character
    /// (controls, marks, line ends of other scripts) is escaped.
    fn quoted(&mut self, text: &str) {
        let out = &mut self.out.text;
        out.push('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                _ if c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric() => out.push(c),
                _ if c <= '\u{ffff}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
                _ => out.push_str(&format!("\\U{:08x}", u32::from(c))),
            }
        }
        out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::merge::assign;
    use super::super::tree::{Entry, Key, Number, Scalar};
    use super::*;

    /// The values, texts and numbers as written, and the origin of each key and value.
    fn told(node: &Node, sources: &Sources) -> String {
        let at = |span| {
            let (name, line) = sources.origin(span);
            format!("{name}:{line}")
        };
        match &node.value {
            Value::Map(entries) => {
                let told = |entry: &Entry| {
                    format!("{:?}@{}={}", entry.key.text, at(entry.key.span), told(&entry.value, sources))
                };
                format!("{{{}}}@{}", entries.iter().map(told).collect::<Vec<_>>().join(","), at(node.span))
            }
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(|item| told(item, sources)).collect();
                format!("[{}]@{}", items.join(","), at(node.span))
            }
            Value::Number(number) => format!("{}@{}", number.source, at(node.span)),
            Value::Text(scalar) => format!("{:?}@{}", scalar.text, at(node.span)),
            Value::Null | Value::Bool(_) => format!("{}@{}", node.to_json(), at(node.span)),
        }
    }

    fn read_back(resolved: &Resolved) -> (Sources, Node) {
        let (mut sources, mut cx) = (Sources::new(), Context::new());
        let (_, node) = resolved.read("recorded", &mut sources, &mut cx).expect("a tree");
        let mistakes = cx.finish();
        assert!(mistakes.is_empty(), "{mistakes:?}\n{}", resolved.text);
        (sources, node)
    }

    #[test]
    fn a_resolved_tree_knows_where_its_values_were_written() {
        let (mut sources, mut cx) = (Sources::new(), Context::new());
        let file =
            sources.add("s.yaml", "users:\n  count: 5\nname: 'a: \"b\"'\nlist: [1e3, 0x1F, ~, yes, \"é\\n\\u202e\"]\n");
        let flag = sources.add("--set", "users.first=7");
        let mut tree = super::super::read(&sources, file, &mut cx).expect("a tree");
        assign(&mut tree, &sources, flag, &mut cx);
        let resolved = Resolved::of(&tree, &sources);
        assert_eq!(
            resolved.text,
            "{\n  \"users\": {\n    \"count\": 5,\n    \"first\": 7\n  },\n  \"name\": \"a: \\\"b\\\"\",\n  \"list\": [\n    \
             1e3,\n    0x1F,\n    null,\n    \"yes\",\n    \"é\\n\\u202e\"\n  ]\n}\n"
        );
        let (back_in, back) = read_back(&resolved);
        assert_eq!(told(&back, &back_in), told(&tree, &sources));
        let users = back.get("users").expect("users");
        assert_eq!(back_in.origin(users.span), ("s.yaml", 2));
        assert_eq!(back_in.origin(users.get("first").expect("first").span), ("--set", 1));
        // Written out again, it is the same.
        assert_eq!(Resolved::of(&back, &back_in), resolved);
    }

    #[test]
    fn damage_is_a_mistake_and_no_panic() {
        for text in ["{", "\"a", "*x", "{\"a\": 1} {"] {
            let resolved = Resolved { text: text.to_owned(), files: vec![], places: vec![(900, 7, 7)] };
            let (mut sources, mut cx) = (Sources::new(), Context::new());
            let read = resolved.read("recorded", &mut sources, &mut cx);
            assert!(read.is_none() && cx.has_mistakes(), "{text}");
        }
    }

    fn node() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(|n| Value::Number(Number::parse(&n.to_string()).expect("a number"))),
            any::<String>().prop_map(|text| Value::Text(Scalar::new(text))),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let values = prop::collection::vec(inner, 0..6);
            let keys = prop::collection::btree_set(any::<String>(), 6);
            (values, any::<bool>(), keys).prop_map(|(values, map, keys)| {
                let span = Span::new(Sources::new().add("t", ""), 0, 0);
                let nodes = values.into_iter().map(|value| Node::new(span, value));
                if map {
                    let entry = |(text, value)| Entry { key: Key { text, span }, value };
                    Value::Map(keys.into_iter().zip(nodes).map(entry).collect())
                } else {
                    Value::List(nodes.collect())
                }
            })
        })
    }

    proptest! {
        #[test]
        fn any_tree_reads_back(value in node()) {
            let mut sources = Sources::new();
            let tree = Node::new(Span::new(sources.add("t", ""), 0, 0), value);
            let resolved = Resolved::of(&tree, &sources);
            let (back_in, back) = read_back(&resolved);
            prop_assert_eq!(told(&back, &back_in), told(&tree, &sources));
        }
    }
}
