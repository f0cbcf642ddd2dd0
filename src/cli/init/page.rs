//! YAML written with comments: the shortest notation that fits a line, and what it is believed for above it.

use serde_json::Value as Json;

use crate::report::wrap;
use crate::secret::Scrubber;

/// Longest line, in characters.
const WIDTH: usize = 118;

/// A file on its way. What comes from an export passes through its scrubber; whole lines are words of ours.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    scrubber: Scrubber,
}

impl Page {
    /// An empty one in which no secret that the scrubber knows will stand.
    pub fn new(scrubber: Scrubber) -> Page {
        Page { text: String::new(), scrubber }
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.text
    }

    /// A line as it is.
    pub fn line(&mut self, indent: usize, text: &str) {
        self.text.push_str(format!("{:indent$}{text}", "").trim_end());
        self.text.push('\n');
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.text.push('\n');
    }

    /// A comment, wrapped.
    pub fn comment(&mut self, indent: usize, text: &str) {
        let text = self.scrubber.scrub(text).into_owned();
        for line in wrap(&visible(&text), WIDTH - indent - 2) {
            self.line(indent, &format!("# {line}"));
        }
    }

    /// `lead` with a value behind it, or below it where it is too long for a line.
    pub fn put(&mut self, indent: usize, lead: &str, value: &Json) {
        let short = self.scrubber.scrub(&flow(value)).into_owned();
        if indent + lead.chars().count() + 1 + short.chars().count() <= WIDTH {
            return self.line(indent, &format!("{lead} {short}"));
        }
        match value {
            Json::Object(members) if !members.is_empty() => {
                self.line(indent, lead);
                for (name, value) in members {
                    self.put(indent + 2, &format!("{}:", scalar(name)), value);
                }
            }
            Json::Array(elements) if !elements.is_empty() => {
                self.line(indent, lead);
                for value in elements {
                    self.put(indent + 2, "-", value);
                }
            }
            _ => self.line(indent, &format!("{lead} {short}")),
        }
    }
}

/// A value on one line.
pub fn flow(value: &Json) -> String {
    match value {
        Json::Object(members) if members.is_empty() => "{}".to_owned(),
        Json::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("{}: {}", scalar(name), flow(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        Json::Array(elements) => format!("[{}]", elements.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Json::String(text) => scalar(text),
        Json::Number(_) | Json::Bool(_) | Json::Null => value.to_string(),
    }
}

/// A text as YAML takes it for nothing else: bare only where that cannot be mistaken.
pub fn scalar(text: &str) -> String {
    const WORDS: [&str; 10] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan"];
    let bare = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '/'))
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'/' | b'.' | b'-' | b'~'))
        && text.len() > 1
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if bare {
        return text.to_owned();
    }
    // JSON's quotes are YAML's double ones.
    visible(&Json::from(text).to_string())
}

/// What does not show on a screen, spelled out.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let plain =
            matches!(c, ' '..='~') || c.is_alphanumeric() || matches!(c, '¡'..='¬' | '®'..='ÿ' | '–'..='…' | '€');
        match c {
            _ if plain => shown.push(c),
            '\n' | '\t' | '\r' => shown.push(' '),
            c if u32::from(c) < 0x10000 => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => shown.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_written_so_that_it_reads_back_the_same() {
        for value in [
            json!({"type": "start_agent", "n": 1, "yes": "no", "on": true, "": null, "/a~1b": "${x}"}),
            json!([
                "12",
                "a: b",
                "# c",
                "- d",
                "e\"f\\",
                "line\nfeed",
                "\u{feff}\u{1f600}ä€",
                "{}",
                "x",
                "~",
                "null",
                {},
                []
            ]),
        ] {
            let mut page = Page::default();
            page.put(0, "value:", &value);
            let mut context = crate::document::Context::new();
            let mut sources = crate::document::Sources::new();
            let source = sources.add("t.yaml", page.finish());
            let tree = crate::document::read(&sources, source, &mut context).expect("YAML");
            let back = tree.get("value").expect("the value").to_json();
            assert_eq!(back, value);
        }
    }
}
