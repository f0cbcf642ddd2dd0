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
                let tab = self.text[at..].find('\t').map_or(at, |found| at + found);
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
                    mistake.help("values with `${...}` need quotes inside `{ }` and `[ ]`")
                } else {
                    mistake
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
