//! `${...}` in texts: compiled once, filled in many times.
//!
//! | written | means |
//! |---|---|
//! | `${name}`, `${a.b}` | the value of that name |
//! | `${name:-text}` | the text where the name has no value; it ends at the first `}` or at a `\|` |
//! | `${name \| filter}` | the value after a [`Filter`]; several apply from left to right |
//! | `$${` | `${` itself |
//!
//! There are no expressions and holes do not nest. Which names exist is the caller's table ([`Text::check_names`]); where
//! their values come from is the caller's function. Keys of maps are never filled in.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::context::{Context, advise, closest, listing};
use super::decode::{Decode, Definitions};
use super::diagnostic::{Diagnostic, quote};
use super::source::Span;
use super::tree::{Node, Scalar, Value};

/// A text with holes.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// What it consists of, in order; neighbouring literals are one.
    pub segments: Vec<Segment>,
    /// Where it was written.
    pub span: Span,
}

/// A part of a [`Text`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Stands for itself.
    Literal(String),
    /// Is filled in.
    Hole(Hole),
}

/// A `${...}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// The name, for example `user.number`.
    pub name: String,
    /// What stands where the name has no value.
    pub default: Option<String>,
    /// Applied from left to right.
    pub filters: Vec<Filter>,
    /// Where it was written: the hole itself, or the whole text where escapes hide the exact place.
    pub span: Span,
}

/// What can be done to a value on its way into a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// `base64url`: URL-safe base64 without padding (RFC 4648 section 5), as tokens in subprotocols need it.
    Base64Url,
    /// `json`: as JSON, text with quotes and escapes.
    Json,
    /// `urlencode`: percent-encoded but for the unreserved characters of RFC 3986 section 2.3.
    UrlEncode,
    /// `pad(n)`: zeros on the left up to `n` characters, 1 to 64.
    Pad(usize),
}

/// A name without a value and without a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The name.
    pub name: String,
    /// The hole.
    pub span: Span,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`${{{}}}` has no value", self.name)
    }
}

impl std::error::Error for Missing {}

/// A JSON value whose texts have holes.
#[derive(Debug, Clone, PartialEq)]
pub enum Template {
    /// Null, a boolean or a number.
    Fixed(Json),
    /// A text; one that is exactly one hole without filters takes the value with its type.
    Text(Text),
    /// A list.
    List(Vec<Template>),
    /// A map; the first of duplicate keys.
    Map(Vec<(String, Template)>),
}

/// A JSON text with holes, as messages are made of it: anew for every ask.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonText {
    /// As they were written.
    texts: Vec<Text>,
    /// What it consists of, in order; neighbouring literals are one.
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    /// Stands for itself.
    Literal(String),
    /// A value.
    Value(Hole),
    /// A part of a string.
    Within(Hole),
}

/// How long values are, in bytes, one with the other: most are ids, a few are prompts.
const USUAL: usize = 64;

/// Where values come from: the value of a name, `None` if it has none.
pub type Lookup<'l> = dyn Fn(&str) -> Option<HoleValue<'l>> + 'l;

/// The value of a name. Most are texts and numbers, which need no JSON value around them.
#[derive(Debug, Clone, PartialEq)]
pub enum HoleValue<'l> {
    /// A text.
    Text(Cow<'l, str>),
    /// An integer without a sign.
    Number(u64),
    /// Anything that JSON can say.
    Json(Cow<'l, Json>),
}

impl<'l> HoleValue<'l> {
    /// How it stands inside a longer text: text as it is, anything else as compact JSON.
    pub fn text_form(&self) -> Cow<'_, str> {
        match self {
            HoleValue::Number(number) => Cow::Owned(number.to_string()),
            HoleValue::Text(text) => Cow::Borrowed(text),
            HoleValue::Json(json) => json.as_str().map_or_else(|| json.to_string().into(), Cow::Borrowed),
        }
    }

    /// It, if it is a text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            HoleValue::Text(text) => Some(text),
            HoleValue::Number(_) => None,
            HoleValue::Json(json) => json.as_str(),
        }
    }

    /// It, if it is an integer without a sign.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            HoleValue::Text(_) => None,
            HoleValue::Number(number) => Some(*number),
            HoleValue::Json(json) => json.as_u64(),
        }
    }

    /// It, as JSON.
    pub fn into_json(self) -> Json {
        match self {
            HoleValue::Text(text) => Json::String(text.into_owned()),
            HoleValue::Number(number) => number.into(),
            HoleValue::Json(json) => json.into_owned(),
        }
    }
}

impl Serialize for HoleValue<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            HoleValue::Text(text) => text.serialize(serializer),
            HoleValue::Number(number) => number.serialize(serializer),
            HoleValue::Json(json) => json.serialize(serializer),
        }
    }
}

impl<'l> From<&'l str> for HoleValue<'l> {
    fn from(text: &'l str) -> HoleValue<'l> {
        HoleValue::Text(Cow::Borrowed(text))
    }
}

impl From<String> for HoleValue<'_> {
    fn from(text: String) -> Self {
        HoleValue::Text(Cow::Owned(text))
    }
}

impl<'l> From<&'l Json> for HoleValue<'l> {
    fn from(json: &'l Json) -> HoleValue<'l> {
        HoleValue::Json(Cow::Borrowed(json))
    }
}

impl Text {
    /// A text without holes in place of one that stands at `span`.
    pub fn literal(text: &str, span: Span) -> Self {
        Self { segments: vec![Segment::Literal(text.to_owned())], span }
    }

    /// Reads a text. Its mistakes are reported to `cx`; `None` then.
    pub fn compile(scalar: &Scalar, span: Span, cx: &mut Context) -> Option<Self> {
        let mut compiler = Compiler { scalar, span, cx, clean: true, segments: Vec::new() };
        compiler.run();
        let (segments, clean) = (compiler.segments, compiler.clean);
        clean.then_some(Self { segments, span })
    }

    /// The holes, in order.
    pub fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Hole(hole) => Some(hole),
            Segment::Literal(_) => None,
        })
    }

    /// The text, if it has no holes.
    pub fn as_literal(&self) -> Option<&str> {
        match self.segments.as_slice() {
            [] => Some(""),
            [Segment::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Reports every hole whose name is neither in `names` nor starts with one of `prefixes` (for example `env.`).
    pub fn check_names(&self, names: &[&str], prefixes: &[&str], cx: &mut Context) {
        for hole in self.holes() {
            let prefixed = |prefix: &&str| hole.name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty());
            if names.contains(&hole.name.as_str()) || prefixes.iter().any(prefixed) {
                continue;
            }
            let patterns: Vec<String> = prefixes.iter().map(|prefix| format!("{prefix}NAME")).collect();
            let all: Vec<&str> = names.iter().copied().chain(patterns.iter().map(String::as_str)).collect();
            let known = match all.as_slice() {
                [] => "no names have a value here".to_owned(),
                all => format!("names here are {}", listing(all.iter().copied(), "and")),
            };
            let help = match closest(&hole.name, names.iter().copied()) {
                Some(meant) => format!("did you mean `${{{meant}}}`? {known}"),
                None => known,
            };
            let mistake = Diagnostic::mistake(hole.span, format!("`${{{}}}` is not known here", hole.name));
            cx.report(mistake.help(help));
        }
    }

    /// The text with every hole filled in.
    ///
    /// # Errors
    ///
    /// The first hole without a value and without a default.
    pub fn render(&self, lookup: &Lookup<'_>) -> Result<String, Missing> {
        let room = |segment: &Segment| match segment {
            Segment::Literal(text) => text.len(),
            Segment::Hole(_) => USUAL,
        };
        let mut out = String::with_capacity(self.segments.iter().map(room).sum());
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => out.push_str(text),
                Segment::Hole(hole) => out.push_str(&hole.value(lookup)?.text_form()),
            }
        }
        Ok(out)
    }
}

impl Hole {
    fn value<'l>(&self, lookup: &Lookup<'l>) -> Result<HoleValue<'l>, Missing> {
        let default = || self.default.clone().map(HoleValue::from);
        let value = lookup(&self.name).or_else(default);
        let value = value.ok_or_else(|| Missing { name: self.name.clone(), span: self.span })?;
        Ok(self.filters.iter().fold(value, |value, filter| filter.apply(&value).into()))
    }
}

impl Filter {
    const NAMES: [&str; 4] = ["base64url", "json", "urlencode", "pad(n)"];

    fn apply(self, value: &HoleValue<'_>) -> String {
        match self {
            Filter::Base64Url => URL_SAFE_NO_PAD.encode(value.text_form().as_bytes()),
            Filter::Json => compact(value),
            Filter::UrlEncode => percent_encode(&value.text_form()),
            Filter::Pad(width) => format!("{:0>width$}", value.text_form()),
        }
    }

    /// Reads a filter; the error is what is wrong and what to do.
    fn parse(written: &str) -> Result<Self, (String, String)> {
        let (name, argument) = match written.split_once('(') {
            Some((name, rest)) => (name.trim_end(), Some(rest)),
            None => (written, None),
        };
        let filter = match name {
            "base64url" => Filter::Base64Url,
            "json" => Filter::Json,
            "urlencode" => Filter::UrlEncode,
            "pad" => {
                let width = argument.and_then(|rest| rest.strip_suffix(')')?.trim().parse().ok());
                return match width.filter(|width| (1..=64).contains(width)) {
                    Some(width) => Ok(Filter::Pad(width)),
                    None => {
                        let title = format!("{} is not `pad` with a width from 1 to 64", quote(written));
                        Err((title, "write for example `pad(3)`".to_owned()))
                    }
                };
            }
            "" => {
                return Err(("a filter is missing after `|`".to_owned(), advise("", &Self::NAMES)));
            }
            _ => {
                return Err((format!("the filter {} does not exist", quote(name)), Self::suggest(name)));
            }
        };
        match argument {
            None => Ok(filter),
            Some(_) => Err((format!("the filter `{name}` takes no argument"), format!("write `{name}`"))),
        }
    }

    fn suggest(name: &str) -> String {
        let all = format!("filters are {}", listing(Self::NAMES, "and"));
        match closest(name, ["base64url", "json", "urlencode", "pad"]) {
            Some(meant) => format!("did you mean `{meant}`? {all}"),
            None => all,
        }
    }
}

impl Template {
    /// The texts in it, in order.
    pub fn texts(&self) -> Vec<&Text> {
        match self {
            Template::Fixed(_) => Vec::new(),
            Template::Text(text) => vec![text],
            Template::List(items) => items.iter().flat_map(Template::texts).collect(),
            Template::Map(entries) => entries.iter().flat_map(|(_, value)| value.texts()).collect(),
        }
    }

    /// As [`Text::check_names`] for every text in it.
    pub fn check_names(&self, names: &[&str], prefixes: &[&str], cx: &mut Context) {
        for text in self.texts() {
            text.check_names(names, prefixes, cx);
        }
    }

    /// Made to be filled in many times.
    pub fn compile(&self) -> JsonText {
        let mut text = JsonText { texts: self.texts().into_iter().cloned().collect(), parts: Vec::new() };
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut JsonText) {
        match self {
            Template::Fixed(value) => text.literal(value),
            Template::Text(Text { segments, .. }) => match segments.as_slice() {
                [Segment::Hole(hole)] => text.parts.push(Part::Value(hole.clone())),
                segments => text.string(segments),
            },
            Template::List(items) => {
                text.sign("[");
                for (index, item) in items.iter().enumerate() {
                    text.sign(if index == 0 { "" } else { "," });
                    item.write(text);
                }
                text.sign("]");
            }
            Template::Map(entries) => {
                text.sign("{");
                for (index, (key, value)) in entries.iter().enumerate() {
                    text.sign(if index == 0 { "" } else { "," });
                    text.literal(key);
                    text.sign(":");
                    value.write(text);
                }
                text.sign("}");
            }
        }
    }
}

impl JsonText {
    /// The texts in it, in order.
    pub fn texts(&self) -> Vec<&Text> {
        self.texts.iter().collect()
    }

    /// The compact JSON with every hole filled in; a text that is exactly one hole gives the value with its type.
    ///
    /// # Errors
    ///
    /// The first hole without a value and without a default.
    pub fn render(&self, lookup: &Lookup<'_>) -> Result<String, Missing> {
        let room = |part: &Part| match part {
            Part::Literal(text) => text.len(),
            Part::Value(_) | Part::Within(_) => USUAL,
        };
        let mut out = String::with_capacity(self.parts.iter().map(room).sum());
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Value(hole) => match hole.value(lookup)? {
                    HoleValue::Text(text) => out.extend(["\"", &between_quotes(&text), "\""]),
                    value => out.push_str(&compact(&value)),
                },
                Part::Within(hole) => out.push_str(&between_quotes(&hole.value(lookup)?.text_form())),
            }
        }
        Ok(out)
    }

    /// Adds what stands between values.
    fn sign(&mut self, sign: &str) {
        match self.parts.last_mut() {
            Some(Part::Literal(last)) => last.push_str(sign),
            _ => self.parts.push(Part::Literal(sign.to_owned())),
        }
    }

    /// Adds a value without holes.
    fn literal(&mut self, value: &(impl Serialize + ?Sized)) {
        self.sign(&compact(value));
    }

    /// Adds a string that may have holes.
    fn string(&mut self, segments: &[Segment]) {
        self.sign("\"");
        for segment in segments {
            match segment {
                Segment::Literal(text) => self.sign(&between_quotes(text)),
                Segment::Hole(hole) => self.parts.push(Part::Within(hole.clone())),
            }
        }
        self.sign("\"");
    }
}

/// What stands between the quotes of a JSON string (RFC 8259, section 7).
fn between_quotes(text: &str) -> Cow<'_, str> {
    // Seldom is anything escaped. Without an early end many bytes are looked at at once.
    let escapes = text.bytes().fold(false, |any, byte| any | (byte < b' ') | (byte == b'"') | (byte == b'\\'));
    if !escapes {
        return Cow::Borrowed(text);
    }
    let quoted = compact(text);
    Cow::Owned(quoted[1..quoted.len() - 1].to_owned())
}

/// Its compact JSON.
fn compact(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("names are texts and memory takes every byte")
}

impl Decode for Text {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        match &node.value {
            Value::Text(scalar) => Text::compile(scalar, node.span, cx),
            _ => {
                let text = String::decode(node, cx)?;
                Text::compile(&Scalar::new(text), node.span, cx)
            }
        }
    }

    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "string" })
    }
}

impl Decode for Template {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        match &node.value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Some(Template::Fixed(node.to_json())),
            Value::Text(scalar) => Text::compile(scalar, node.span, cx).map(Template::Text),
            Value::List(_) => Vec::decode(node, cx).map(Template::List),
            Value::Map(entries) => {
                let mut decoded: Vec<(String, Option<Template>)> = Vec::new();
                for entry in entries {
                    let key = &entry.key;
                    if key.text.contains("${") {
                        let mistake = Diagnostic::mistake(key.span, "a key cannot hold `${...}`");
                        cx.report(mistake.help("only values are filled in"));
                    }
                    let value = cx.at_key(&key.text, key.span, |cx| Template::decode(&entry.value, cx));
                    decoded.push((key.text.clone(), value.filter(|_| !key.text.contains("${"))));
                }
                let values: Option<Vec<_>> = decoded.into_iter().map(|(key, value)| Some((key, value?))).collect();
                values.map(Template::Map)
            }
        }
    }

    fn schema(_: &mut Definitions) -> Json {
        json!({})
    }
}

/// `text` written so that compiling it gives it back: every `${` escaped.
pub fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

struct Compiler<'a, 'c> {
    scalar: &'a Scalar,
    span: Span,
    cx: &'c mut Context,
    clean: bool,
    segments: Vec<Segment>,
}

impl<'a> Compiler<'a, '_> {
    fn run(&mut self) {
        let text = self.scalar.text.as_str();
        let mut literal = String::new();
        let mut at = 0;
        while let Some(found) = text[at..].find("${").map(|found| at + found) {
            let escaped = text[at..found].ends_with('$');
            literal.push_str(&text[at..found]);
            if escaped {
                // The last `$` copied belongs to `$${`: what is meant is one `$` and the brace.
                literal.push('{');
                at = found + 2;
                continue;
            }
            let Some(length) = text[found..].find('}') else {
                self.mistake(found..text.len(), "`${` without `}`", "close it, or write `$${` for the two characters");
                return;
            };
            let end = found + length + 1;
            if !literal.is_empty() {
                self.segments.push(Segment::Literal(std::mem::take(&mut literal)));
            }
            self.hole(found, end);
            at = end;
        }
        literal.push_str(&text[at..]);
        if !literal.is_empty() {
            self.segments.push(Segment::Literal(literal));
        }
    }

    /// The hole between the byte offsets `start` (of `${`) and `end` (behind `}`).
    fn hole(&mut self, start: usize, end: usize) {
        let inside = &self.scalar.text[start + 2..end - 1];
        if let Some(nested) = inside.find("${") {
            let from = start + 2 + nested;
            return self.mistake(
                from..end,
                "`${` inside `${...}`",
                "holes do not nest; give the inner one a name of its own",
            );
        }
        let mut parts = inside.split('|');
        let head = parts.next().unwrap_or_default();
        let piped = head.len() < inside.len();
        let (name, default) = match head.split_once(":-") {
            // The space that sets a filter off is not part of the default.
            Some((name, default)) if piped => (name.trim(), Some(default.trim_end())),
            Some((name, default)) => (name.trim(), Some(default)),
            None => (head.trim(), None),
        };
        if name.is_empty() {
            return self.mistake(
                start..end,
                "`${...}` without a name",
                "write a name, or `$${` for the two characters",
            );
        }
        if !is_name(name) {
            let title = format!("{} is not a name", quote(name));
            return self.mistake(
                start..end,
                &title,
                "names are letters, digits, `_` and `-`, joined with dots; there are no expressions",
            );
        }
        let mut filters = Vec::new();
        let mut at = start + 2 + head.len();
        for part in parts {
            let from = at + 1;
            at = from + part.len();
            match Filter::parse(part.trim()) {
                Ok(filter) => filters.push(filter),
                Err((title, help)) => {
                    let lead = part.len() - part.trim_start().len();
                    let written = from + lead..from + lead + part.trim().len();
                    let place = if written.is_empty() { start..end } else { written };
                    self.mistake(place, &title, &help);
                }
            }
        }
        let span = self.place(start..end);
        let (name, default) = (name.to_owned(), default.map(str::to_owned));
        self.segments.push(Segment::Hole(Hole { name, default, filters, span }));
    }

    fn mistake(&mut self, range: std::ops::Range<usize>, title: &str, help: &str) {
        self.clean = false;
        let span = self.place(range);
        self.cx.report(Diagnostic::mistake(span, title).help(help));
    }

    /// The place of a part of the text, as exact as the way it was written allows.
    fn place(&self, range: std::ops::Range<usize>) -> Span {
        match self.scalar.verbatim_from {
            Some(from) => {
                let start = self.span.start as usize + from as usize;
                Span::new(self.span.source, start + range.start, start + range.end)
            }
            None => self.span,
        }
    }
}

/// `[A-Za-z_][A-Za-z0-9_-]*` joined with dots; behind the first dot a part may start with a digit.
fn is_name(name: &str) -> bool {
    let fits =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && name.split('.').all(fits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::source::Sources;
    use super::super::testing::{plain, titles, value};
    use super::super::yaml::read;
    use super::*;

    fn lookup<'a>(name: &str) -> Option<HoleValue<'a>> {
        Some(match name {
            "name" => "Ada & Co/ü".into(),
            "user.number" => HoleValue::Number(7),
            "object" => HoleValue::Json(Cow::Owned(json!({ "a": [1, "x"] }))),
            "quote" => "say \"hi\"\n".into(),
            _ => return None,
        })
    }

    fn rendered(text: &str) -> Result<String, Missing> {
        value::<Text>(&json!(text).to_string()).render(&lookup)
    }

    #[test]
    fn holes_are_filled_in() {
        for (text, expected) in [
            ("plain", "plain"),
            ("", ""),
            ("qa${user.number | pad(3)}@x", "qa007@x"),
            ("${ user.number }${user.number}", "77"),
            ("jwt.${name | base64url}", "jwt.QWRhICYgQ28vw7w"),
            ("?q=${name|urlencode}", "?q=Ada%20%26%20Co%2F%C3%BC"),
            (r#"{"q": ${quote | json}}"#, r#"{"q": "say \"hi\"\n"}"#),
            ("${object}", r#"{"a":[1,"x"]}"#),
            ("${object | json | urlencode}", "%7B%22a%22%3A%5B1%2C%22x%22%5D%7D"),
            ("${none:-http://127.0.0.1:8000}/ws", "http://127.0.0.1:8000/ws"),
            ("${none:-}", ""),
            ("${none:- 5 | pad(3)}", "0 5"),
            ("${user.number:-9}", "7"),
            ("$${name} $ $$ {} $x", "${name} $ $$ {} $x"),
            ("$$${name}", "$${name}"),
            ("$${${user.number}", "${7"),
            ("^\\d{3}$", "^\\d{3}$"),
        ] {
            assert_eq!(rendered(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(rendered("a ${none}").expect_err("no value").to_string(), "`${none}` has no value");
    }

    #[test]
    fn a_template_keeps_the_type_of_a_lone_hole() {
        let template: Template = value(
            "{id: '${user.number}', text: 'n${user.number}', all: '${object}', padded: '${user.number | pad(2)}', list: [1, ~, '${none:-5}']}",
        );
        let expected =
            json!({ "id": 7, "text": "n7", "all": { "a": [1, "x"] }, "padded": "07", "list": [1, null, "5"] });
        assert_eq!(template.compile().render(&lookup), Ok(expected.to_string()));
        assert_eq!(template.texts().len(), 5);
    }

    #[test]
    fn a_message_is_the_text_of_its_template() {
        let (object, quote) = (json!({ "a": [1, "x"] }), "say \"hi\"\n");
        for (written, expected) in [
            (
                "{id: '${user.number}', text: '${quote} by ${name}', all: '${object}', 'say \"it\"': '${quote}'}",
                json!({ "id": 7, "text": format!("{quote} by Ada & Co/ü"), "all": object, "say \"it\"": quote }),
            ),
            (
                "[1, ~, true, -2.5, 'é', {}, [], [[]], {a: {b: []}}, '${none:-x}', '${quote | urlencode}']",
                json!([1, null, true, -2.5, "é", {}, [], [[]], { "a": { "b": [] } }, "x", "say%20%22hi%22%0A"]),
            ),
            ("'${user.number}'", json!(7)),
            ("plain", json!("plain")),
            ("{}", json!({})),
            ("[]", json!([])),
        ] {
            assert_eq!(value::<Template>(written).compile().render(&lookup), Ok(expected.to_string()), "{written}");
        }
        let missing = value::<Template>("[1, {a: '${none}'}]").compile().render(&lookup);
        assert_eq!(missing.map_err(|missing| missing.name), Err("none".to_owned()));
    }

    #[test]
    fn mistakes_inside_texts_have_their_exact_place() {
        for (text, expected) in [
            ("ab ${x", "1:5 `${` without `}` -> close it, or write `$${` for the two characters"),
            ("ab ${}", "1:5 `${...}` without a name -> write a name, or `$${` for the two characters"),
            ("${:-x}", "1:2 `${...}` without a name -> write a name, or `$${` for the two characters"),
            (
                "${a + b}",
                "1:2 `a + b` is not a name -> names are letters, digits, `_` and `-`, joined with dots; there are no \
                 expressions",
            ),
            ("${a:-${b}}", "1:7 `${` inside `${...}` -> holes do not nest; give the inner one a name of its own"),
            (
                "${a | jsn}",
                "1:8 the filter `jsn` does not exist -> did you mean `json`? filters are `base64url`, `json`, \
                 `urlencode` and `pad(n)`",
            ),
            ("${a | json(2)}", "1:8 the filter `json` takes no argument -> write `json`"),
            ("${a | pad(x)}", "1:8 `pad(x)` is not `pad` with a width from 1 to 64 -> write for example `pad(3)`"),
            ("${a | pad(99)}", "1:8 `pad(99)` is not `pad` with a width from 1 to 64 -> write for example `pad(3)`"),
        ] {
            assert_eq!(titles::<Text>(&format!("\"{text}\"")), [expected], "{text}");
        }
        let missing = titles::<Text>("'${a |}'");
        assert!(missing[0].starts_with("1:2 a filter is missing after `|`"), "{missing:?}");
    }

    #[test]
    fn a_text_with_escapes_or_of_several_lines_is_pointed_at_as_a_whole() {
        assert_eq!(titles::<Vec<Text>>("- \"a\\n${\"\n")[0].split(' ').next(), Some("1:3"));
        assert_eq!(titles::<Vec<Text>>("- |\n  line\n  ${}\n").len(), 1);
    }

    #[test]
    fn keys_are_never_filled_in() {
        let expected = ["1:2 a key cannot hold `${...}` -> only values are filled in"];
        assert_eq!(titles::<Template>("{'${a}': 1}"), expected);
    }

    #[test]
    fn unknown_names_are_reported_with_what_was_meant() {
        let mut sources = Sources::new();
        let mut cx = Context::new();
        let id = sources.add("t.yaml", "mail: '${user.numbr} ${env.HOME} ${envHOME} ${prompt}'");
        let node = read(&sources, id, &mut cx).expect("a tree");
        let template = Template::decode(&node, &mut cx).expect("a template");
        template.check_names(&["user.number", "prompt"], &["env."], &mut cx);
        insta::assert_snapshot!(plain(&cx.finish(), &sources), @r#"
        mistake: `${user.numbr}` is not known here
         --> t.yaml:1:8
          |
        1 | mail: '${user.numbr} ${env.HOME} ${envHOME} ${prompt}'
          |        ^^^^^^^^^^^^^
          |
          = help: did you mean `${user.number}`? names here are `user.number`, `prompt` and `env.NAME`

        mistake: `${envHOME}` is not known here
         --> t.yaml:1:34
          |
        1 | mail: '${user.numbr} ${env.HOME} ${envHOME} ${prompt}'
          |                                  ^^^^^^^^^^
          |
          = help: names here are `user.number`, `prompt` and `env.NAME`
        "#);
    }

    proptest! {
        #[test]
        fn any_text_is_compiled_or_refused_without_panic(text in "([$]|[{]|[}]|[|]|:-|pad\\(|\\)|é|[a-z.]|\\PC){0,40}") {
            let mut cx = Context::new();
            let span = Span::new(Sources::new().add("t", ""), 0, text.len());
            for verbatim_from in [None, Some(0)] {
                let scalar = Scalar { text: text.clone(), quoted: true, verbatim_from };
                if let Some(compiled) = Text::compile(&scalar, span, &mut cx) {
                    let _ = compiled.render(&|_| Some("v".into()));
                }
            }
        }

        #[test]
        fn what_is_filled_in_is_escaped_wherever_it_stands(text in "(\"|\\\\|[\u{0}-\u{1f}]|\\PC){0,40}") {
            let json = value::<Template>("['${x}', 'a\"${x}é${x}']").compile();
            let expected = json!([text, format!("a\"{text}é{text}")]).to_string();
            prop_assert_eq!(json.render(&|_| Some(text.as_str().into())), Ok(expected));
        }

        #[test]
        fn an_escaped_text_renders_as_itself(text in "([$]|[{]|[}]|\\PC){0,40}") {
            let mut cx = Context::new();
            let span = Span::new(Sources::new().add("t", ""), 0, 0);
            let compiled = Text::compile(&Scalar::new(escape(&text)), span, &mut cx).expect("no holes");
            prop_assert_eq!(compiled.render(&|_| None), Ok(text));
        }
    }
}
