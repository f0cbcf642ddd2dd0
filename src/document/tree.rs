//! The spanned tree: what a YAML or JSON text says, before anybody asks what it means.
//!
//! Order and duplicate keys are kept, every node knows its place. Scalars follow the YAML 1.2 core schema, so `no`, `off`
//! and `yes` are text. Nothing here knows about scenarios, targets or the YAML parser.

use serde_json::Value as Json;

use super::source::Span;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it was written. For a value reached through an alias: where it was defined.
    pub span: Span,
    /// What was written.
    pub value: Value,
}

/// The kinds of value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~`, or nothing at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A bare number.
    Number(Number),
    /// Anything else without structure; everything in quotes.
    Text(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order written, with duplicate keys.
    Map(Vec<Entry>),
}

/// One key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Node,
}

/// A key: always taken as text, so `200:` is the key `200`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The text without quotes.
    pub text: String,
    /// Where it was written.
    pub span: Span,
}

/// Text as a file holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The text, escapes resolved.
    pub text: String,
    /// Whether it stood in quotes or as a block, and so could never have been a number.
    pub quoted: bool,
    /// How many bytes after the start of the node's span the text begins, if it stands there byte for byte; `None`
    /// when escapes, folding or indentation separate the text from what was written.
    pub verbatim_from: Option<u32>,
}

/// A number with the text it was written as.
#[derive(Debug, Clone, PartialEq)]
pub struct Number {
    /// As written, for example `1e3` or `0x1F`.
    pub source: String,
    /// Its value.
    pub value: NumberValue,
}

/// The narrowest of the three that holds the number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NumberValue {
    /// A whole number from 0.
    Unsigned(u64),
    /// A negative whole number.
    Negative(i64),
    /// Any other: with a fraction or an exponent, or too large for the above. Always finite.
    Float(f64),
}

impl Node {
    /// A node from its parts.
    pub fn new(span: Span, value: Value) -> Self {
        Self { span, value }
    }

    /// The value of the first entry with this key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries()?.iter().find(|entry| entry.key.text == key).map(|entry| &entry.value)
    }

    /// The entries, if this is a map.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The text, if this is text.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// The kind of value as messages name it: "a number", "nothing".
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// The same value as JSON. The first of duplicate keys counts, as in the decoder.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(number) => number.to_json(),
            Value::Text(scalar) => Json::String(scalar.text.clone()),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => {
                let mut object = serde_json::Map::new();
                for entry in entries {
                    object.entry(entry.key.text.clone()).or_insert_with(|| entry.value.to_json());
                }
                Json::Object(object)
            }
        }
    }
}

impl Scalar {
    /// Text that stands in no file, so that places inside it are unknown.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), quoted: true, verbatim_from: None }
    }
}

impl Number {
    /// Reads a number of the YAML 1.2 core schema (section 10.3.2): decimal, `0o` octal, `0x` hexadecimal, decimal
    /// fractions and exponents. `None` for anything else, for `.inf` and `.nan`, which no value here can be, and for
    /// what overflows to infinity.
    pub fn parse(source: &str) -> Option<Self> {
        let value = if let Some(digits) = source.strip_prefix("0o") {
            NumberValue::Unsigned(radix(digits, 8)?)
        } else if let Some(digits) = source.strip_prefix("0x") {
            NumberValue::Unsigned(radix(digits, 16)?)
        } else if !is_decimal(source) {
            return None;
        } else if let Ok(value) = source.parse() {
            NumberValue::Unsigned(value)
        } else if let Ok(value) = source.parse() {
            NumberValue::Negative(value)
        } else {
            NumberValue::Float(source.parse().ok().filter(|value: &f64| value.is_finite())?)
        };
        Some(Self { source: source.to_owned(), value })
    }

    /// The value as a float; whole numbers above 2^53 are rounded.
    pub fn as_f64(&self) -> f64 {
        match self.value {
            NumberValue::Unsigned(value) => value as f64,
            NumberValue::Negative(value) => value as f64,
            NumberValue::Float(value) => value,
        }
    }

    /// The same number as JSON.
    pub fn to_json(&self) -> Json {
        match self.value {
            NumberValue::Unsigned(value) => value.into(),
            NumberValue::Negative(value) => value.into(),
            NumberValue::Float(value) => value.into(),
        }
    }
}

/// Whether a bare scalar is written like a number of another century: `010` was octal in YAML 1.1, is ten in 1.2, and
/// often is meant as text.
pub(super) fn has_leading_zero(source: &str) -> bool {
    let digits = source.strip_prefix(['+', '-']).unwrap_or(source);
    is_decimal(source) && digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit()
}

fn radix(digits: &str, radix: u32) -> Option<u64> {
    digits.chars().all(|c| c.is_digit(radix)).then(|| u64::from_str_radix(digits, radix).ok())?
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_decimal(source: &str) -> bool {
    let unsigned = source.strip_prefix(['+', '-']).unwrap_or(source);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_fits = digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    mantissa_fits && exponent_fits
}
