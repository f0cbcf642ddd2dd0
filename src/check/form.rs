//! How a frame holds JSON: as one document, as records of server-sent events, behind a prefix.
//!
//! Says where the documents of a frame are and what stands before them. What they hold is `decode`'s, and so is the common case,
//! a frame that is one document and nothing else.

use std::borrow::Cow;

use regex::Regex;
use serde::de::IgnoredAny;

use crate::expect::{Dialect, Form};

/// A part of a frame that is read as if it were a frame of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// All of it, as it stands in the frame.
    pub raw: &'a str,
    /// What stands before the document: the prefix, or the value of a record's `event` line.
    pub before: Option<&'a str>,
    /// The name of the event where the document holds none: that of a record's `event` line.
    pub named: Option<&'a str>,
    /// The rest.
    pub content: Content<'a>,
}

/// What of a part is not before the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content<'a> {
    /// What should be a document.
    Json(Cow<'a, str>),
    /// What need not be one, because what stands before it says what it is: the root of the event is this text.
    Text(Cow<'a, str>),
}

/// The parts of the frame `text` as the first of the dialect's forms that fits it finds them; `None` if none fits. A frame may hold
/// no part at all, such as a comment.
pub fn parts<'a>(dialect: &Dialect, text: &'a str) -> Option<Vec<Part<'a>>> {
    dialect.forms.iter().find_map(|form| match form {
        Form::Json => is_json(text)
            .then(|| vec![Part { raw: text, before: None, named: None, content: Content::Json(Cow::Borrowed(text)) }]),
        Form::Sse => records(text),
        Form::Prefixed(pattern) => prefixed(pattern.as_ref(), text).map(|part| vec![part]),
    })
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// A document behind a prefix. Behind one that is told by a pattern there may be nothing: some frames are a prefix alone.
fn prefixed<'a>(pattern: Option<&Regex>, text: &'a str) -> Option<Part<'a>> {
    let at = match pattern {
        Some(pattern) => pattern.find(text).filter(|found| found.start() == 0)?.end(),
        None => text.find(['{', '[']).filter(|at| *at > 0)?,
    };
    let (before, rest) = text.split_at(at);
    let content = match rest.trim_ascii() {
        "" if pattern.is_some() => Content::Text(Cow::Borrowed("")),
        rest if is_json(rest) => Content::Json(Cow::Borrowed(rest)),
        _ => return None,
    };
    Some(Part { raw: text, before: Some(before), named: None, content })
}

/// Records of server-sent events: lines of fields, ended by empty lines or by the frame. `None` if a line is no field.
fn records(text: &str) -> Option<Vec<Part<'_>>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parts = Vec::new();
    let mut record = Record::default();
    let mut at = 0;
    let mut fields = 0;
    while at < text.len() {
        let rest = &text[at..];
        let length = rest.find(['\r', '\n']).unwrap_or(rest.len());
        let ending = if rest[length..].starts_with("\r\n") { 2 } else { usize::from(length < rest.len()) };
        let line = &rest[..length];
        if line.is_empty() {
            parts.extend(std::mem::take(&mut record).part());
        } else {
            record.field(text, at, line)?;
            fields += 1;
        }
        at += length + ending;
    }
    parts.extend(record.part());
    (fields > 0).then_some(parts)
}

/// The lines of one record, as far as they were read.
#[derive(Default)]
struct Record<'a> {
    /// From the first line to the end of the last one.
    raw: Option<(usize, &'a str)>,
    event: Option<&'a str>,
    data: Option<Cow<'a, str>>,
}

impl<'a> Record<'a> {
    /// Takes the line that stands at byte `at` of `text`; `None` if it is no field that there is.
    fn field(&mut self, text: &'a str, at: usize, line: &'a str) -> Option<()> {
        let (name, value) = line.split_once(':')?;
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            // A comment keeps the connection alive and is no part of the record.
            "" => return Some(()),
            "event" => self.event = Some(value).filter(|event| !event.is_empty()),
            "data" => match &mut self.data {
                None => self.data = Some(Cow::Borrowed(value)),
                Some(data) => {
                    let data = data.to_mut();
                    data.push('\n');
                    data.push_str(value);
                }
            },
            "id" | "retry" => {}
            _ => return None,
        }
        let from = self.raw.map_or(at, |(from, _)| from);
        self.raw = Some((from, &text[from..at + line.len()]));
        Some(())
    }

    /// The record as a part; nothing if it holds no data, for such a record is none.
    fn part(self) -> Option<Part<'a>> {
        let Record { raw, event, data } = self;
        let ((_, raw), data) = raw.zip(data)?;
        // Data that is named by its line may be plain text; data that is not must be a document.
        let content = match event {
            Some(_) if !is_json(&data) => Content::Text(data),
            _ => Content::Json(data),
        };
        Some(Part { raw, before: event, named: event, content })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each part as `before|content`, the content marked by what it is.
    fn read(forms: Vec<Form>, text: &str) -> Option<Vec<String>> {
        let dialect = Dialect { forms, ..Dialect::default() };
        let told = |part: Part<'_>| match &part.content {
            Content::Json(json) => format!("{}|json {json}", part.before.unwrap_or("-")),
            Content::Text(text) => format!("{}|text {text}", part.before.unwrap_or("-")),
        };
        parts(&dialect, text).map(|parts| parts.into_iter().map(told).collect())
    }

    fn pattern(pattern: &str) -> Form {
        Form::Prefixed(Some(Regex::new(pattern).unwrap()))
    }

    #[test]
    fn records_are_read_as_browsers_read_them() {
        for (text, expected) in [
            ("data: {}\n\n", Some(vec!["-|json {}"])),
            ("data:{}", Some(vec!["-|json {}"])),
            ("event: go\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n", Some(vec!["go|json {\"a\":\n1}"])),
            (
                "id: 7\nretry: 10\nevent: a\ndata: {}\n\nevent: b\ndata: hi there\n\n",
                Some(vec!["a|json {}", "b|text hi there"]),
            ),
            (": keep-alive\n\n", Some(vec![])),
            ("event: only\n\n", Some(vec![])),
            ("event:\ndata: [DONE]\n", Some(vec!["-|json [DONE]"])),
            ("\u{feff}data: 1\rdata: 2\r\r", Some(vec!["-|json 1\n2"])),
            ("data: {}\nhello\n", None),
            ("hello: {}", None),
            ("{\"data\": 1}", None),
            ("\n\n", None),
            ("", None),
        ] {
            let expected = expected.map(|parts| parts.into_iter().map(str::to_owned).collect());
            assert_eq!(read(vec![Form::Sse], text), expected, "{text:?}");
        }
        let dialect = Dialect { forms: vec![Form::Sse], ..Dialect::default() };
        let found = parts(&dialect, ": hi\nevent: a\ndata: 1\n\nid: 2\ndata: 2").unwrap();
        let raw: Vec<&str> = found.iter().map(|part| part.raw).collect();
        assert_eq!(raw, ["event: a\ndata: 1", "id: 2\ndata: 2"]);
    }

    #[test]
    fn a_prefix_ends_where_the_document_begins() {
        for (form, text, expected) in [
            (Form::Prefixed(None), "42[\"a\",{}]", Some("42|json [\"a\",{}]")),
            (Form::Prefixed(None), "topic/7 {\"a\":1}\n", Some("topic/7 |json {\"a\":1}")),
            (Form::Prefixed(None), "{\"a\":1}", None),
            (Form::Prefixed(None), "2", None),
            (Form::Prefixed(None), "say {nothing", None),
            (pattern("[0-9]+:?"), "0:\"part\"", Some("0:|json \"part\"")),
            (pattern("[0-9]+"), "2", Some("2|text ")),
            (pattern("[0-9]+"), "a2{}", None),
            (pattern("[0-9]+"), "2probe", None),
        ] {
            let told = format!("{form:?} {text}");
            assert_eq!(read(vec![form], text), expected.map(|part| vec![part.to_owned()]), "{told}");
        }
    }

    #[test]
    fn of_several_forms_the_first_that_fits_counts() {
        let forms = || vec![Form::Json, Form::Sse, Form::Prefixed(None)];
        for (text, expected) in [
            ("{}", Some("-|json {}")),
            ("data: {}", Some("-|json {}")),
            ("data {}", Some("data |json {}")),
            ("data", None),
        ] {
            assert_eq!(read(forms(), text), expected.map(|part| vec![part.to_owned()]), "{text}");
        }
        let reversed = vec![pattern("[0-9]"), Form::Json];
        assert_eq!(read(reversed, "42"), Some(vec!["4|json 2".to_owned()]), "the order is the profile's");
    }

    proptest! {
        #[test]
        fn parts_stand_in_their_frame(
            text in "((data|event|id|x)?:? ?[a-z{}\\[\\]\"0-9]{0,4}(\n|\r|\r\n|))*",
            numbered in any::<bool>(),
        ) {
            let first = if numbered { pattern("[0-9]*") } else { Form::Prefixed(None) };
            let dialect = Dialect { forms: vec![Form::Sse, first], ..Dialect::default() };
            for part in parts(&dialect, &text).into_iter().flatten() {
                prop_assert!(text.contains(part.raw));
                prop_assert!(part.before.is_none_or(|before| part.raw.contains(before)));
            }
        }
    }
}
