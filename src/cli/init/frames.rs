//! Frames of an export, taken apart: which documents a frame holds, and in which form.
//!
//! This is a guess from samples, written for a proposal; how the judge reads frames is `check`'s business, and its words
//! (`json`, `sse`, `prefixed`) are only proposed here.

use serde_json::Value as Json;

use super::har::Message;

/// How a document stood in its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// It was the frame.
    Json,
    /// It stood in a JSON text.
    JsonString,
    /// It stood behind a prefix.
    Prefixed,
    /// It was the data of a record of server-sent events.
    Sse,
    /// It is no document: the frame's text.
    Plain,
}

/// One document of a frame.
#[derive(Debug, Clone)]
pub struct Document {
    /// The frame's number in the export.
    pub frame: usize,
    /// By the client.
    pub sent: bool,
    /// When the frame passed, in milliseconds since 1970.
    pub at: f64,
    /// How it stood there.
    pub form: Form,
    /// The prefix, or the name of a record.
    pub mark: Option<String>,
    /// It stood in a list with others.
    pub listed: bool,
    /// The frame was binary.
    pub binary: bool,
    /// What it says.
    pub value: Json,
}

/// The documents of all messages, in their order.
pub fn documents(messages: &[Message]) -> Vec<Document> {
    let mut documents = Vec::new();
    for message in messages {
        let (found, listed) = taken_apart(&message.text);
        documents.extend(found.into_iter().map(|(form, mark, value)| Document {
            frame: message.number,
            sent: message.sent,
            at: message.at,
            form,
            mark,
            listed,
            binary: message.binary,
            value,
        }));
    }
    documents
}

type Part = (Form, Option<String>, Json);

/// The parts of a text, and whether they stood in a list.
fn taken_apart(text: &str) -> (Vec<Part>, bool) {
    let plain = || (vec![(Form::Plain, None, Json::from(text))], false);
    match serde_json::from_str(text) {
        Ok(Json::Array(list)) if !list.is_empty() && list.iter().all(Json::is_object) => {
            return (list.into_iter().map(|value| (Form::Json, None, value)).collect(), true);
        }
        Ok(Json::String(inner)) => {
            return match serde_json::from_str(&inner) {
                Ok(value @ Json::Object(_)) => (vec![(Form::JsonString, None, value)], false),
                _ => plain(),
            };
        }
        Ok(value @ (Json::Object(_) | Json::Array(_))) => return (vec![(Form::Json, None, value)], false),
        Ok(_) => return plain(),
        Err(_) => {}
    }
    if let Some(records) = records(text) {
        return (records, false);
    }
    // Something short before a document; a sentence with a bracket in it is none.
    let begin = text.find(['{', '[']).unwrap_or(text.len());
    let (prefix, rest) = text.split_at(begin);
    match serde_json::from_str(rest) {
        Ok(value @ (Json::Object(_) | Json::Array(_))) if prefix.len() <= 40 => {
            (vec![(Form::Prefixed, Some(prefix.to_owned()), value)], false)
        }
        _ => plain(),
    }
}

/// Records of server-sent events, if the text is nothing else.
fn records(text: &str) -> Option<Vec<Part>> {
    let fields = ["event:", "data:", "id:", "retry:", ":"];
    if !text.lines().all(|line| line.is_empty() || fields.iter().any(|field| line.starts_with(field))) {
        return None;
    }
    let mut records = Vec::new();
    for block in text.replace("\r\n", "\n").split("\n\n") {
        let lines = |field: &'static str| {
            block
                .lines()
                .filter_map(move |line| line.strip_prefix(field))
                .map(|line| line.strip_prefix(' ').unwrap_or(line))
        };
        let data = lines("data:").collect::<Vec<_>>().join("\n");
        let name = lines("event:").next_back().map(str::to_owned);
        if data.is_empty() {
            continue;
        }
        let value = serde_json::from_str(&data).unwrap_or(Json::String(data));
        records.push((Form::Sse, name, value));
    }
    (!records.is_empty()).then_some(records)
}

/// Every place of a document that holds no object or list, with its pointer.
pub fn leaves(value: &Json) -> Vec<(String, &Json)> {
    let mut leaves = Vec::new();
    collect(value, String::new(), &mut leaves);
    leaves
}

fn collect<'a>(value: &'a Json, at: String, leaves: &mut Vec<(String, &'a Json)>) {
    match value {
        Json::Object(members) => {
            for (key, value) in members {
                collect(value, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), leaves);
            }
        }
        Json::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                collect(value, format!("{at}/{index}"), leaves);
            }
        }
        _ => leaves.push((at, value)),
    }
}

/// The text form of a leaf: of texts the text, of numbers their spelling; of the rest nothing.
pub fn plain(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The last key of a pointer that is no index.
pub fn key(pointer: &str) -> String {
    let named = pointer.rsplit('/').find(|part| !part.is_empty() && !part.bytes().all(|byte| byte.is_ascii_digit()));
    named.unwrap_or_default().replace("~1", "/").replace("~0", "~")
}

/// A pattern of prefixes like this one: other numbers fit as well.
pub fn pattern_of(prefix: &str) -> String {
    let mut pattern = String::new();
    let mut digits = false;
    for c in prefix.chars() {
        if !c.is_ascii_digit() {
            pattern.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
        } else if !digits {
            pattern.push_str("[0-9]+");
        }
        digits = c.is_ascii_digit();
    }
    pattern
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_frame_is_taken_apart_by_what_it_holds() {
        let apart = |text: &str| {
            let (parts, listed) = taken_apart(text);
            let parts: Vec<_> =
                parts.into_iter().map(|(form, mark, value)| (form, mark.unwrap_or_default(), value)).collect();
            (parts, listed)
        };
        let none = String::new;
        for (text, expected, listed) in [
            (r#"{"a":1}"#, vec![(Form::Json, none(), json!({"a": 1}))], false),
            (
                r#"[{"a":1},{"b":2}]"#,
                vec![(Form::Json, none(), json!({"a": 1})), (Form::Json, none(), json!({"b": 2}))],
                true,
            ),
            (r#"["chat",{"a":1}]"#, vec![(Form::Json, none(), json!(["chat", {"a": 1}]))], false),
            (r#""{\"a\":1}""#, vec![(Form::JsonString, none(), json!({"a": 1}))], false),
            (r#"42/chat,["x"]"#, vec![(Form::Prefixed, "42/chat,".to_owned(), json!(["x"]))], false),
            ("h", vec![(Form::Plain, none(), json!("h"))], false),
            ("17", vec![(Form::Plain, none(), json!("17"))], false),
            ("what about [1", vec![(Form::Plain, none(), json!("what about [1"))], false),
            (
                ": hi\n\nevent: token\ndata: {\"t\":1}\n\nevent: token\ndata: plain\n\n",
                vec![(Form::Sse, "token".to_owned(), json!({"t": 1})), (Form::Sse, "token".to_owned(), json!("plain"))],
                false,
            ),
        ] {
            assert_eq!(apart(text), (expected, listed), "{text}");
        }
    }

    #[test]
    fn leaves_have_pointers_that_lead_to_them() {
        let value = json!({"a/b": {"~": [1, {"c": "x"}]}, "d": null});
        for (pointer, leaf) in leaves(&value) {
            assert_eq!(value.pointer(&pointer), Some(leaf), "{pointer}");
        }
        assert_eq!(key("/data/items/0"), "items");
    }
}
