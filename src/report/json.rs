//! The report as one JSON document, and its JSON Schema.
//!
//! The document is the tree as it is, so it reads back to the same report. It is also looked at: lists of plain values stand
//! on one line, and characters that act on a terminal are written as `\u` escapes, which JSON allows anywhere in a text.

use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Map, Value};

use super::text::is_hostile;
use super::tree::{Report, VERSION};

/// Why a text is not a report that this build can read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON, or not a report.
    #[error("not a report: {0}")]
    Shape(#[from] serde_json::Error),
    /// A report of another version.
    #[error("a report of version {found}; this build reads version {VERSION}")]
    Version {
        /// Its version.
        found: u64,
    },
}

/// The report as one indented JSON document with a final newline.
pub fn to_json(report: &Report) -> String {
    document(report)
}

/// Several reports as one indented JSON array with a final newline.
pub fn all_to_json(reports: &[Report]) -> String {
    document(reports)
}

pub(super) fn document(value: &(impl Serialize + ?Sized)) -> String {
    let value = serde_json::to_value(value).expect("a report has text keys and finite numbers only");
    let mut out = String::new();
    write_value(&mut out, &value, 0);
    out.push('\n');
    out
}

/// Reads a report back.
///
/// # Errors
///
/// `Version` for a report of another version, `Shape` for everything else that is no report.
pub fn from_json(text: &str) -> Result<Report, Unreadable> {
    let value: Value = serde_json::from_str(text)?;
    match value.get("version").and_then(Value::as_u64) {
        Some(found) if found != u64::from(VERSION) => Err(Unreadable::Version { found }),
        _ => Ok(serde_json::from_value(value)?),
    }
}

/// The JSON Schema (2020-12) of the document that `to_json` writes.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let Value::Object(mut generated) = generator.into_root_schema_for::<Report>().to_value() else {
        unreachable!("a struct's schema is an object");
    };
    // What the file is stands at its beginning.
    let head = ["$schema", "$id", "title", "description"];
    let mut schema: Map<String, Value> =
        head.iter().filter_map(|key| Some((key.to_string(), generated.shift_remove(*key)?))).collect();
    schema.extend(generated);
    Value::Object(schema)
}

fn write_value(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Array(items) if items.iter().any(|item| item.is_array() || item.is_object()) => {
            write_block(out, ['[', ']'], depth, items.iter(), |out, item| write_value(out, item, depth + 1));
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_value(out, item, depth + 1);
            }
            out.push(']');
        }
        Value::Object(members) if !members.is_empty() => {
            write_block(out, ['{', '}'], depth, members.iter(), |out, (name, member)| {
                write_text(out, name);
                out.push_str(": ");
                write_value(out, member, depth + 1);
            });
        }
        Value::String(text) => write_text(out, text),
        plain => write!(out, "{plain}").expect("a string takes any text"),
    }
}

fn write_block<I>(
    out: &mut String,
    [open, close]: [char; 2],
    depth: usize,
    items: impl Iterator<Item = I>,
    mut write_item: impl FnMut(&mut String, I),
) {
    let indent = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    out.push(open);
    for (index, item) in items.enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        indent(out, depth + 1);
        write_item(out, item);
    }
    indent(out, depth);
    out.push(close);
}

fn write_text(out: &mut String, text: &str) {
    let quiet = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if text.bytes().all(quiet) {
        out.extend(["\"", text, "\""]);
        return;
    }
    // serde_json escapes quotes, backslashes and the C0 controls; what is hostile beyond these is left to us.
    for c in Value::from(text).to_string().chars() {
        if is_hostile(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").expect("a string takes any text");
            }
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(value: &Value) -> String {
        let mut out = String::new();
        write_value(&mut out, value, 0);
        out
    }

    #[test]
    fn plain_lists_stand_on_one_line() {
        let value = json!({ "a": [1, 2, 3], "b": [{ "c": null }], "d": [], "e": {} });
        let text =
            "{\n  \"a\": [1, 2, 3],\n  \"b\": [\n    {\n      \"c\": null\n    }\n  ],\n  \"d\": [],\n  \"e\": {}\n}";
        assert_eq!(written(&value), text);
    }

    #[test]
    fn hostile_text_is_harmless_and_reads_back() {
        let hostile = json!({ "\u{202e}name": "\u{1b}[2J \u{9b}1m \u{feff} \u{e0041} \"quoted\" \\ 日本 \u{7f}\n" });
        let text = written(&hostile);
        assert!(!text.contains(|c: char| is_hostile(c) && c != '\n'), "{text:?}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), hostile);
    }

    #[test]
    fn another_version_is_named() {
        let unreadable = from_json(r#"{ "version": 2, "anything": true }"#).unwrap_err();
        assert_eq!(unreadable.to_string(), "a report of version 2; this build reads version 1");
        assert!(from_json("{}").unwrap_err().to_string().starts_with("not a report: missing field"));
    }
}
