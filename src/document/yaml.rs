//! YAML (and so JSON) text into the spanned tree. The only file that knows the parser crate.
//!
//! What a configuration file needs of YAML is less than YAML has: one document, plain keys, anchors within a budget. Tags,
//! merge keys, directives and several documents are refused with their place, and a hostile text is refused before it
//! costs time or memory. What the values mean is none of its business.
//!
//! The event parser is used instead of a serde front end because a tree needs what serde has no words for: the style of
//! a scalar, the place of a key, every duplicate of it.

use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, StrInput};

use super::context::Context;
use super::diagnostic::{Diagnostic, quote};
use super::source::{SourceId, Sources, Span};
use super::tree::{Entry, Key, Node, Number, Scalar, Value, has_leading_zero};

/// The largest text that is read, in bytes. A scenario is some kilobytes; lists of prompts stand in files of their own.
pub const MAX_BYTES: usize = 1024 * 1024;
/// How deep lists and maps may nest.
pub const MAX_DEPTH: usize = 32;
/// How many values a document may have, those reached through aliases counted each time.
pub const MAX_NODES: usize = 50_000;
/// How many bytes of text a document may have, that reached through aliases counted each time.
const MAX_TEXT: usize = 4 * MAX_BYTES;

/// Reads one document.
///
/// Every mistake is reported to `cx`. A tree is returned whenever the text has a structure, also beside mistakes such as
/// duplicate keys (the first one counts), so that the decoder can report its own mistakes in the same pass; callers ask
/// `cx.has_mistakes()` before they use what came out.
pub fn read(sources: &Sources, source: SourceId, cx: &mut Context) -> Option<Node> {
    let text = sources.get(source);
    let start = Span::new(source, 0, 0);
    if text.text().len() > MAX_BYTES {
        let title = format!("the file has {} bytes, more than 1 MiB", text.text().len());
        cx.report(Diagnostic::mistake(start, title).help("keep long lists of prompts in files of their own"));
        return None;
    }
    if let Some(at) = text.not_utf8_at() {
        let span = Span::new(source, at, at + '\u{fffd}'.len_utf8());
        cx.report(Diagnostic::mistake(span, "the file is not UTF-8").help("save it with UTF-8 encoding"));
        return None;
    }
    let node = read_range(sources, source, 0..text.text().len(), cx)?;
    if matches!(node.value, Value::Null) {
        cx.report(Diagnostic::mistake(start, "the file is empty").help("`goldenpath init` writes one to start from"));
        return None;
    }
    Some(node)
}

/// Reads one value from a part of a text that lies on character boundaries; nothing there is [`Value::Null`].
pub(super) fn read_range(sources: &Sources, source: SourceId, range: Range<usize>, cx: &mut Context) -> Option<Node> {
    let text = &sources.get(source).text()[range.clone()];
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        emit_comments: false,
    };
    let mut reader = Reader {
        parser: Parser::new_from_str_with_options(text, options),
        text,
        source,
        shift: range.start,
        anchors: HashMap::new(),
        nodes: 0,
        text_bytes: 0,
        unsound: false,
        cx,
    };
    let node = reader.document().ok()?;
    (!reader.unsound).then_some(node)
}

/// Reading cannot go on; the reason is reported.
struct Stop;

struct Reader<'a, 'c> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'a str,
    source: SourceId,
    /// Where `text` starts in its source.
    shift: usize,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    text_bytes: usize,
    /// A value is missing from the tree (an alias without a target), so that decoding it would only confuse.
    unsound: bool,
    cx: &'c mut Context,
}

struct Anchored {
    node: Node,
    nodes: usize,
    text_bytes: usize,
    height: usize,
}

impl<'a> Reader<'a, '_> {
    fn document(&mut self) -> Result<Node, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    let mistake = Diagnostic::mistake(span, "a second document starts here")
                        .help("one document per file: remove the `---`, or split the file");
                    return self.stop(mistake);
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.node(event, span, 0)?),
            }
        }
        Ok(root.unwrap_or_else(|| Node::new(self.span(0..0), Value::Null)))
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Stop> {
        if depth > MAX_DEPTH {
            return self.stop(too_deep(span));
        }
        let (nodes, text_bytes) = (self.nodes, self.text_bytes);
        self.spend(1, 0, span)?;
        let (anchor, node) = match event {
            Event::Scalar(text, style, anchor, _) => {
                self.spend(0, text.len(), span)?;
                (anchor, self.scalar(&text, style, span))
            }
            Event::SequenceStart(_, anchor, _) => (anchor, self.list(span, depth)?),
            Event::MappingStart(_, anchor, _) => (anchor, self.map(span, depth)?),
            Event::Alias(id) => return self.alias(id, span, depth),
            Event::UnresolvedAlias(name) => {
                self.unsound = true;
                let title = format!("no anchor {} stands before this alias", quote(&format!("&{name}")));
                self.cx.report(Diagnostic::mistake(span, title).help("text that starts with `*` needs quotes"));
                return Ok(Node::new(span, Value::Null));
            }
            other => {
                debug_assert!(false, "the parser sent {other:?} where a value belongs");
                return self.stop(Diagnostic::mistake(span, "not valid YAML here"));
            }
        };
        if anchor != 0 {
            let kept = Anchored {
                nodes: self.nodes - nodes,
                text_bytes: self.text_bytes - text_bytes,
                height: height(&node),
                node: node.clone(),
            };
            self.anchors.insert(anchor, kept);
        }
        Ok(node)
    }

    fn list(&mut self, start: Span, depth: usize) -> Result<Node, Stop> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Node::new(start.to(self.trimmed(start, span)), Value::List(items)));
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, start: Span, depth: usize) -> Result<Node, Stop> {
        let mut entries = Vec::new();
        let mut seen: HashMap<String, Span> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Node::new(start.to(self.trimmed(start, span)), Value::Map(entries)));
            }
            let merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.key(event, span, depth)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            let Some(key) = key else { continue };
            if merge {
                let mistake = Diagnostic::mistake(key.span, "merge keys are not part of this format")
                    .help("write the entries out, or put quotes around a key that is really named `<<`");
                self.cx.report(mistake);
            } else if let Some(first) = seen.get(&key.text) {
                let mistake = Diagnostic::mistake(key.span, format!("the key {} stands twice", quote(&key.text)))
                    .label("again here")
                    .also(*first, "first here")
                    .help("remove one of them");
                self.cx.report(mistake);
                entries.push(Entry { key, value });
            } else {
                seen.insert(key.text.clone(), key.span);
                entries.push(Entry { key, value });
            }
        }
    }

    /// A key, or `None` (reported) for one that is not a plain word or text.
    fn key(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Option<Key>, Stop> {
        let written = match &event {
            Event::Scalar(text, ..) => Some(text.to_string()),
            _ => None,
        };
        let node = self.node(event, span, depth + 1)?;
        let text = written.or_else(|| node.text().map(str::to_owned));
        if text.is_none() {
            let title = format!("a key must be text, found {}", node.kind());
            let mut mistake = Diagnostic::mistake(span, title);
            if self.text[..span.end as usize - self.shift].ends_with('{') || matches!(node.value, Value::Map(_)) {
                mistake = mistake.help("a value that starts with `{` or holds `${...}` needs quotes");
            }
            self.cx.report(mistake);
        }
        Ok(text.map(|text| Key { text, span }))
    }

    fn alias(&mut self, id: usize, span: Span, depth: usize) -> Result<Node, Stop> {
        let Some(anchored) = self.anchors.get(&id) else {
            self.unsound = true;
            self.cx.report(Diagnostic::mistake(span, "this alias stands inside the value it refers to"));
            return Ok(Node::new(span, Value::Null));
        };
        let (nodes, text_bytes) = (anchored.nodes, anchored.text_bytes);
        if depth + anchored.height > MAX_DEPTH {
            return self.stop(too_deep(span));
        }
        self.spend(nodes, text_bytes, span)?;
        Ok(self.anchors[&id].node.clone())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) -> Node {
        let plain = style == ScalarStyle::Plain;
        if plain && has_leading_zero(text) {
            let mistake = Diagnostic::mistake(span, format!("{} starts with a zero", quote(text)))
                .note("such a number was octal in old YAML and is decimal now")
                .help("remove the zero; for text put it in quotes; for an octal number write `0o`");
            self.cx.report(mistake);
        }
        let value = match text {
            "" | "~" | "null" | "Null" | "NULL" if plain => Value::Null,
            "true" | "True" | "TRUE" if plain => Value::Bool(true),
            "false" | "False" | "FALSE" if plain => Value::Bool(false),
            _ => match Number::parse(text).filter(|_| plain) {
                Some(number) => Value::Number(number),
                None => Value::Text(Scalar {
                    text: text.to_owned(),
                    quoted: !plain,
                    verbatim_from: self.verbatim_from(text, span),
                }),
            },
        };
        Node::new(span, value)
    }

    /// Where the text stands inside its span, if it stands there byte for byte.
    fn verbatim_from(&self, text: &str, span: Span) -> Option<u32> {
        let written = &self.text[span.start as usize - self.shift..span.end as usize - self.shift];
        let from = u32::from(written.starts_with(['"', '\'']) && !text.is_empty() && written != text);
        written.get(from as usize..)?.starts_with(text).then_some(from)
    }

    /// The next event; tags are reported here and otherwise ignored.
    fn next(&mut self) -> Result<(Event<'a>, Span), Stop> {
        let (event, span) = match self.parser.next_event() {
            Some(Ok(next)) => next,
            Some(Err(error)) => {
                let mistake = self.syntax(&error);
                return self.stop(mistake);
            }
            None => {
                return Ok((Event::StreamEnd, self.span(self.text.len()..self.text.len())));
            }
        };
        let range = self.offset(&span.start)..self.offset(&span.end);
        if event.tag().is_some() {
            let tag = span.tag_span().map_or(range.clone(), |tag| self.offset(&tag.start)..self.offset(&tag.end));
            let mistake = Diagnostic::mistake(self.span(tag), "tags are not part of this format")
                .help("remove it; text that starts with `!` needs quotes");
            self.cx.report(mistake);
        }
        let span = self.span(range);
        Ok((event, span))
    }

    fn syntax(&self, error: &ScanError) -> Diagnostic {
        let at = self.offset(error.marker());
        let mistake = |title: &str| Diagnostic::mistake(self.span(at..self.after(at)), title);
        match error.kind() {
            ErrorKind::TabInIndentation
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabNotAllowed
            | ErrorKind::TabInPlainScalar
            | ErrorKind::TabAtBlockScalarStart => {
                let tab = match self.text[..at].ends_with('\t') {
                    true => at - 1,
                    false => self.text[at..].find('\t').map_or(at, |found| at + found),
                };
                let span = self.span(tab..self.after(tab));
                Diagnostic::mistake(span, "a tab stands where YAML wants spaces").help("indent with spaces")
            }
            ErrorKind::RecursionLimitExceeded => too_deep(self.span(at..self.after(at))),
            ErrorKind::DirectiveDisallowed => {
                mistake("directives are not part of this format").help("remove the line that starts with `%`")
            }
            ErrorKind::UnclosedQuotedScalar => mistake("this text has an opening quote and no closing one"),
            ErrorKind::UnclosedFlowCollection { open } => mistake(&format!("this `{open}` is never closed")),
            ErrorKind::UnknownQuotedScalarEscape => mistake("this text holds an escape that YAML does not know")
                .help("use single quotes: there `\\` stands for itself"),
            ErrorKind::MappingValueNotAllowed => mistake("a `:` stands where no key can end")
                .help("text that holds `: ` needs quotes; check the indentation"),
            ErrorKind::UnexpectedCharacter { character } if !character.is_control() => {
                mistake(&format!("text cannot start with `{character}` here")).help("put it in quotes")
            }
            kind => {
                let line_start = self.text[..at].rfind('\n').map_or(0, |found| found + 1);
                let line_end = self.text[at..].find('\n').map_or(self.text.len(), |found| at + found);
                let mistake = mistake(&format!("not valid YAML: {kind}"));
                if self.text[line_start..line_end].contains("${") {
                    return mistake.help("values with `${...}` need quotes inside `{ }` and `[ ]`");
                }
                match kind {
                    ErrorKind::ExpectedBlockMappingKey => {
                        mistake.help("keys of one map begin in the same column: check the indentation")
                    }
                    ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => {
                        mistake.help("an earlier `{` or `[` may be open, or text with `: ` or `, ` in it needs quotes")
                    }
                    ErrorKind::InvalidQuotedScalarIndent => {
                        mistake.help("the quote that opens a text before this place may have no closing one")
                    }
                    _ => mistake,
                }
            }
        }
    }

    /// The offset behind the character at `at`; the same at the end of a line.
    fn after(&self, at: usize) -> usize {
        self.text[at..].chars().next().filter(|c| *c != '\n').map_or(at, |c| at + c.len_utf8())
    }

    fn spend(&mut self, nodes: usize, text_bytes: usize, span: Span) -> Result<(), Stop> {
        self.nodes += nodes;
        self.text_bytes += text_bytes;
        if self.nodes <= MAX_NODES && self.text_bytes <= MAX_TEXT {
            return Ok(());
        }
        let mistake = Diagnostic::mistake(span, "the document is too large here")
            .note(format!("a document may have {MAX_NODES} values and 4 MiB of text, with aliases written out"));
        self.stop(mistake)
    }

    fn stop<T>(&mut self, mistake: Diagnostic) -> Result<T, Stop> {
        self.cx.report(mistake);
        Err(Stop)
    }

    /// The end event of a block collection stands where the next thing starts: cut the space between.
    fn trimmed(&self, start: Span, end: Span) -> Span {
        let range = start.start as usize - self.shift..end.end.max(start.end) as usize - self.shift;
        let length = self.text[range.clone()].trim_end().len();
        self.span(range.start..range.start + length)
    }

    fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.source, range.start + self.shift, range.end + self.shift)
    }

    /// The byte offset of a place the parser names. String input always has one; characters are the fallback.
    fn offset(&self, marker: &Marker) -> usize {
        let offset = marker.byte_offset().unwrap_or_else(|| {
            self.text.char_indices().nth(marker.index()).map_or(self.text.len(), |(offset, _)| offset)
        });
        self.text.floor_char_boundary(offset)
    }
}

fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::mistake(span, format!("lists and maps nest deeper than {MAX_DEPTH} levels here"))
}

fn height(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(height).max().unwrap_or(0),
        Value::Map(entries) => 1 + entries.iter().map(|entry| height(&entry.value)).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{node, tree};
    use super::super::tree::NumberValue;
    use super::*;

    /// Title, place and advice of what reading says, one line each.
    fn said(text: impl Into<Vec<u8>>) -> Vec<String> {
        let mut sources = Sources::new();
        let mut cx = Context::new();
        let id = sources.add("t.yaml", text);
        read(&sources, id, &mut cx);
        let line = |d: Diagnostic| {
            let (line, column) = sources.position(d.span);
            format!("{line}:{column} {}", d.title)
        };
        cx.finish().into_iter().map(line).collect()
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        let number = |value| Value::Number(Number { source: String::new(), value });
        for (text, expected) in [
            ("no", None),
            ("off", None),
            ("yes", None),
            ("2s", None),
            ("5/s", None),
            ("2026-01-01", None),
            ("1_000", None),
            ("12:30", None),
            (".inf", None),
            ("1e999", None),
            ("'5'", None),
            ("\"true\"", None),
            ("'~'", None),
            ("~", Some(Value::Null)),
            ("null", Some(Value::Null)),
            ("true", Some(Value::Bool(true))),
            ("False", Some(Value::Bool(false))),
            ("5", Some(number(NumberValue::Unsigned(5)))),
            ("+5", Some(number(NumberValue::Unsigned(5)))),
            ("-5", Some(number(NumberValue::Negative(-5)))),
            ("0", Some(number(NumberValue::Unsigned(0)))),
            ("0.5", Some(number(NumberValue::Float(0.5)))),
            ("1e3", Some(number(NumberValue::Float(1000.0)))),
            ("0o10", Some(number(NumberValue::Unsigned(8)))),
            ("0x1F", Some(number(NumberValue::Unsigned(31)))),
            ("18446744073709551616", Some(number(NumberValue::Float(18_446_744_073_709_551_616.0)))),
        ] {
            let list = node(&format!("[{text}]"));
            let Value::List(mut items) = list.value else { panic!("a list") };
            match (items.remove(0).value, expected) {
                (Value::Text(scalar), None) => assert_eq!(scalar.quoted, text.starts_with(['\'', '"']), "{text}"),
                (Value::Number(found), Some(Value::Number(expected))) => {
                    assert_eq!((found.source.as_str(), found.value), (text, expected.value), "{text}");
                }
                (found, expected) => assert_eq!(Some(found), expected, "{text}"),
            }
        }
    }

    #[test]
    fn every_node_knows_its_place() {
        let text =
            "ü: [1, \"two\"]\r\nmap:\r\n  key: plain text # comment\r\n  block: |\r\n    ${x}\r\nlast: 'it''s'\r\n";
        let root = node(text);
        let at = |node: &Node| &text[node.span.start as usize..node.span.end as usize];
        let Some(Value::List(items)) = root.get("ü").map(|list| &list.value) else { panic!("a list") };
        assert_eq!(at(root.get("ü").expect("a list")), "[1, \"two\"]");
        assert_eq!((at(&items[0]), at(&items[1])), ("1", "\"two\""));
        let map = root.get("map").expect("a map");
        assert_eq!(at(map.get("key").expect("text")), "plain text");
        let verbatim = |node: &Node| match &node.value {
            Value::Text(scalar) => scalar.verbatim_from,
            _ => None,
        };
        assert_eq!(verbatim(&items[1]), Some(1));
        assert_eq!(map.get("key").and_then(verbatim), Some(0));
        assert_eq!(root.get("last").and_then(verbatim), None);
        assert_eq!(map.get("block").and_then(Node::text), Some("${x}\n"));
        let key = &root.entries().expect("entries")[1].key;
        assert_eq!((key.text.as_str(), &text[key.span.start as usize..key.span.end as usize]), ("map", "map"));
    }

    #[test]
    fn json_is_read_as_it_is() {
        let text = "{\n\t\"a\": [1, -2.5, null, true, \"\\u00fc\\n\"],\n\t\"b\": {}\n}\n";
        let expected: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(node(text).to_json(), expected);
    }

    #[test]
    fn pointers_rates_and_texts_need_no_quotes() {
        let text = "ready:  # once\n  - { get: /health/ready, within: 60s, capture: { build: [/version] } }\n\
                    when: { /access_token: { exists: true } }\n\
                    http: \"${env.URL:-http://127.0.0.1:8000}\"\nsocket: ${env.WS:-ws://127.0.0.1}/ws\n\
                    limits: { rate: 5/s, share: 90% }\nall_of: ['\\d']\n";
        let expected = serde_json::json!({
            "ready": [{ "get": "/health/ready", "within": "60s", "capture": { "build": ["/version"] } }],
            "when": { "/access_token": { "exists": true } },
            "http": "${env.URL:-http://127.0.0.1:8000}",
            "socket": "${env.WS:-ws://127.0.0.1}/ws",
            "limits": { "rate": "5/s", "share": "90%" },
            "all_of": ["\\d"],
        });
        assert_eq!(node(text).to_json(), expected);
    }

    #[test]
    fn anchors_are_written_out() {
        assert_eq!(node("a: &x {b: [1]}\nc: *x\n").to_json().to_string(), r#"{"a":{"b":[1]},"c":{"b":[1]}}"#);
    }

    #[test]
    fn what_this_format_leaves_out_of_yaml_is_refused_by_name() {
        for (text, expected) in [
            ("", "1:1 the file is empty"),
            ("# only a comment\n", "1:1 the file is empty"),
            ("---\n", "1:1 the file is empty"),
            ("a: 1\n\tb: 2", "2:1 a tab stands where YAML wants spaces"),
            ("a:\n\t- 1", "2:1 a tab stands where YAML wants spaces"),
            ("a: 1\n---\nb: 1", "2:1 a second document starts here"),
            ("%YAML 1.2\n---\na: 1", "1:1 directives are not part of this format"),
            ("a: !foo 5", "1:4 tags are not part of this format"),
            ("a: !!str 5", "1:4 tags are not part of this format"),
            ("<<: {a: 1}", "1:1 merge keys are not part of this format"),
            ("a: *b", "1:4 no anchor `&b` stands before this alias"),
            ("a: &a [*a]", "1:8 this alias stands inside the value it refers to"),
            ("a: 010", "1:4 `010` starts with a zero"),
            ("a: -007.5", "1:4 `-007.5` starts with a zero"),
            ("? [a]\n: 5", "1:3 a key must be text, found a list"),
            ("a: 'x", "1:4 this text has an opening quote and no closing one"),
            ("a: [1, 2", "1:4 this `[` is never closed"),
            ("a: \"\\d\"", "1:4 this text holds an escape that YAML does not know"),
            ("a: b: c", "1:5 a `:` stands where no key can end"),
            ("a: @b", "1:4 text cannot start with `@` here"),
        ] {
            assert_eq!(said(text), [expected], "{text:?}");
        }
        assert_eq!(said(b"a: \xff".to_vec()), ["1:4 the file is not UTF-8"]);
        assert_eq!(said(vec![b'#'; MAX_BYTES + 1]), ["1:1 the file has 1048577 bytes, more than 1 MiB"]);
    }

    #[test]
    fn every_duplicate_key_is_reported() {
        assert_eq!(
            said("a: 1\nb: {c: 1, c: 2}\na: 2\n'a': 3\n"),
            ["2:11 the key `c` stands twice", "3:1 the key `a` stands twice", "4:1 the key `a` stands twice"]
        );
        let (root, _) = tree("a: 1\na: 2\n");
        assert_eq!(root.map(|root| root.to_json().to_string()), Some(r#"{"a":1}"#.to_owned()));
    }

    #[test]
    fn a_hole_without_quotes_in_a_flow_map_gets_the_right_advice() {
        insta::assert_snapshot!(tree("a: { b: ${x}, c: 1 }").1, @r#"
        mistake: not valid YAML: while parsing a flow mapping, did not find expected ',' or '}'
         --> t.yaml:1:10
          |
        1 | a: { b: ${x}, c: 1 }
          |          ^
          |
          = help: values with `${...}` need quotes inside `{ }` and `[ ]`
        "#);
    }

    #[test]
    fn hostile_texts_are_refused_before_they_cost_anything() {
        let bomb = (0..30).fold("a0: &a0 [x, x]\n".to_owned(), |text, level| {
            format!("{text}a{}: &a{} [*a{level}, *a{level}, *a{level}]\n", level + 1, level + 1)
        });
        let long = "x".repeat(MAX_BYTES / 2);
        let cases = [
            (bomb, "the document is too large here"),
            (format!("a: &a {long}\nb: [{}]", "*a,".repeat(1000)), "the document is too large here"),
            ("- a\n".repeat(MAX_BYTES / 4), "the document is too large here"),
            (format!("a: [{}]", "!a b,".repeat(100_000)), "the document is too large here"),
            (format!("[{}]", "*a,".repeat(100_000)), "the document is too large here"),
            ("[".repeat(MAX_BYTES), "lists and maps nest deeper than 32 levels here"),
            ("{".repeat(MAX_BYTES), "lists and maps nest deeper than 32 levels here"),
            ("- ".repeat(MAX_BYTES / 2), "lists and maps nest deeper than 32 levels here"),
            ("? ".repeat(MAX_BYTES / 2), "lists and maps nest deeper than 32 levels here"),
            ("a:\n".repeat(MAX_BYTES / 3), "the document is too large here"),
            ("&a ".repeat(MAX_BYTES / 3), "not valid YAML: "),
            ("\"".repeat(MAX_BYTES), "not valid YAML: "),
            ("---\n".repeat(MAX_BYTES / 4), "a second document starts here"),
            ("\n".repeat(MAX_BYTES), "the file is empty"),
        ];
        for (text, expected) in cases {
            let said = said(text.clone());
            let told =
                said.iter().any(|line| line.split_once(' ').is_some_and(|(_, title)| title.starts_with(expected)));
            assert!(told, "{:?}: {:?}", &text[..20.min(text.len())], said.last());
        }
    }

    #[test]
    fn nesting_ends_at_its_limit() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(said(nested(MAX_DEPTH)), Vec::<String>::new());
        assert_eq!(said(nested(MAX_DEPTH + 2)).len(), 1);
        let through_alias = format!("a: &a {}\nb: {}*a{}", nested(20), "[".repeat(20), "]".repeat(20));
        assert_eq!(said(through_alias).len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (root, shown) = tree(bytes);
            prop_assert!(root.is_some() || shown.starts_with("mistake: "));
        }

        #[test]
        fn any_yaml_like_text_is_read_or_refused_without_panic(
            text in "([-?:,\\[\\]{}#&*!|>'\"%@`~ \n\t]|[a-c]: |- |\\$\\{|<<|é|\r\n|\u{feff}|\u{1b}|[0-9.]){0,60}"
        ) {
            let (root, shown) = tree(text.clone());
            prop_assert!(root.is_some() || shown.starts_with("mistake: "), "{text:?}");
        }

        #[test]
        fn any_json_is_read_as_serde_json_reads_it(text in "[\\PC\n\t\"\\\\]{0,20}", number in any::<i64>(), float in any::<f32>()) {
            let json = serde_json::json!({ "k": [text.clone(), number, float, { text: null }] });
            for written in [json.to_string(), serde_json::to_string_pretty(&json).expect("JSON")] {
                let (root, shown) = tree(written);
                prop_assert_eq!(&shown, "");
                prop_assert_eq!(root.map(|root| root.to_json()), Some(json.clone()));
            }
        }
    }
}
