//! The values files are made of: numbers, texts, lists, durations, proportions, rates.
//!
//! Each says what it accepts, advises the way to write it, and describes itself for the schema. Amounts keep the exact
//! decimal that was written, as integers; a float comes out only where a caller asks for one.

use std::fmt;

use serde_json::{Value as Json, json};

use super::context::Context;
use super::decode::{Decode, Definitions, Spanned, decode_entry};
use super::diagnostic::quote;
use super::tree::{Node, Number, NumberValue, Value};

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Whole<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Whole<MIN, MAX> {
    /// The number, if it is within the range.
    pub const fn new(value: u64) -> Option<Self> {
        if MIN <= value && value <= MAX { Some(Self(value)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A span of time: whole microseconds.
///
/// Written as numbers with units from large to small, `h`, `m`, `s`, `ms`, `us`: `2s`, `750ms`, `1m 30s`, `0.5s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micros(pub u64);

/// A proportion from 0% to 100%, exact to six decimals of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent {
    /// In millionths of a percent, so that 100% is 10^8.
    millionths: u64,
}

/// How often something happens, above zero: `5/s`, `10/m`, `0.5/h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How often in millionths, so that `0.5/s` has 500,000.
    millionths: u64,
    /// Within which time: a second, a minute or an hour.
    per: Micros,
}

/// One value or a list of at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

/// A map with keys of the user's choice, in the order written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table<T>(pub Vec<(Spanned<String>, T)>);

impl Micros {
    /// One millisecond.
    pub const MILLISECOND: Micros = Micros(1_000);
    /// One second.
    pub const SECOND: Micros = Micros(1_000_000);

    /// Reads the form described at [`Micros`]; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text.trim();
        let mut total: u64 = 0;
        let mut coarser = UNITS.len();
        while !rest.is_empty() {
            let (number, after) =
                rest.split_at(rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len()));
            let after = after.trim_start();
            let (unit, after) = after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
            if unit.is_empty() && !number.is_empty() {
                return Err(format!("{} has no unit", quote(text)));
            }
            let at = UNITS.iter().position(|(name, _)| *name == unit);
            let (Some(at), false) = (at, number.is_empty()) else {
                return Err(format!("{} is not a duration", quote(text)));
            };
            if at >= coarser {
                return Err(format!("the units of {} do not go from large to small", quote(text)));
            }
            coarser = at;
            let part = exact(number, UNITS[at].1)
                .ok_or_else(|| format!("{} is not a whole number of microseconds within range", quote(text)))?;
            total = total.checked_add(part).ok_or_else(|| format!("{} is too long", quote(text)))?;
            rest = after.trim_start();
        }
        if text.trim().is_empty() { Err("this duration is empty".to_owned()) } else { Ok(Micros(total)) }
    }
}

/// Units and their microseconds, from small to large.
const UNITS: [(&str, u64); 5] = [("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)];

impl fmt::Display for Micros {
    /// The form that [`Micros::parse`] reads, `0s` for none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        let mut separator = "";
        for (unit, size) in UNITS.iter().rev() {
            if rest >= *size {
                write!(f, "{separator}{}{unit}", rest / size)?;
                rest %= size;
                separator = " ";
            }
        }
        Ok(())
    }
}

impl Percent {
    const ALL: u64 = 100 * MILLION;

    /// Reads `90%` or `99.95%`; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number = text.trim().strip_suffix('%').ok_or_else(|| format!("{} has no `%`", quote(text)))?;
        let millionths =
            exact(number.trim_end(), MILLION).ok_or_else(|| format!("{} is not a percentage", quote(text)))?;
        if millionths > Self::ALL { Err(format!("{} is more than 100%", quote(text))) } else { Ok(Self { millionths }) }
    }

    /// From 0 to 1.
    pub fn fraction(self) -> f64 {
        self.millionths as f64 / Self::ALL as f64
    }

    /// In millionths of a percent: 10^8 is 100%.
    pub fn millionths(self) -> u64 {
        self.millionths
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", Decimal(self.millionths))
    }
}

impl Rate {
    /// Reads `5/s`, `10/m` or `0.5/h`; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = text.split_once('/').ok_or_else(|| format!("{} is not a rate", quote(text)))?;
        let per = UNITS.iter().find(|(name, _)| *name == unit.trim() && matches!(*name, "s" | "m" | "h"));
        let (_, per) = per.ok_or_else(|| format!("{} is not per second, minute or hour", quote(text)))?;
        match exact(number.trim(), MILLION) {
            Some(0) => Err(format!("{} is never", quote(text))),
            Some(millionths) => Ok(Self { millionths, per: Micros(*per) }),
            None => Err(format!("{} is not a rate", quote(text))),
        }
    }

    /// How often in a second.
    pub fn per_second(self) -> f64 {
        self.millionths as f64 / self.per.0 as f64
    }

    /// When the event with this number (from 0) is due, in microseconds after the start, rounded down; exact, so that
    /// long schedules do not drift. Saturates.
    pub fn due(self, number: u64) -> Micros {
        let at = u128::from(number) * u128::from(self.per.0) * u128::from(MILLION) / u128::from(self.millionths);
        Micros(u64::try_from(at).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, _) = UNITS.iter().find(|(_, size)| *size == self.per.0).expect("made by parse");
        write!(f, "{}/{unit}", Decimal(self.millionths))
    }
}

const MILLION: u64 = 1_000_000;

/// `number` times `unit` as an integer, or `None` if it is not a plain decimal, not exact, or too large.
fn exact(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let scaled = u128::from(format!("0{fraction}").parse::<u64>().ok()?) * u128::from(unit);
    let below = u64::try_from(scaled / u128::from(scale)).ok()?;
    let is_exact = scaled % u128::from(scale) == 0;
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(below).filter(|_| is_exact)
}

/// Millionths as the shortest decimal.
struct Decimal(u64);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / MILLION, self.0 % MILLION);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{whole}.{}", format!("{fraction:06}").trim_end_matches('0'))
    }
}

impl<T: Decode> Decode for Option<T> {
    /// Absence is decided by the key; a value that stands must be right.
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        T::decode(node, cx).map(Some)
    }

    fn schema(definitions: &mut Definitions) -> Json {
        T::schema(definitions)
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        T::decode(node, cx).map(Box::new)
    }

    fn schema(definitions: &mut Definitions) -> Json {
        T::schema(definitions)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let Value::List(items) = &node.value else {
            return cx.expected(node, "a list");
        };
        // Every item is decoded before the first failure counts, so that all mistakes are reported.
        let decoded: Vec<Option<T>> =
            items.iter().enumerate().map(|(at, item)| cx.at_index(at, |cx| T::decode(item, cx))).collect();
        decoded.into_iter().collect()
    }

    fn schema(definitions: &mut Definitions) -> Json {
        json!({ "type": "array", "items": T::schema(definitions) })
    }
}

impl<T: Decode> Decode for OneOrMany<T> {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        match &node.value {
            Value::List(items) if items.is_empty() => {
                let mistake = cx.mistake(node, "the list is empty").help("write at least one value, or remove the key");
                cx.report(mistake);
                None
            }
            Value::List(_) => Vec::decode(node, cx).map(Self),
            _ => T::decode(node, cx).map(|one| Self(vec![one])),
        }
    }

    fn schema(definitions: &mut Definitions) -> Json {
        let one = T::schema(definitions);
        json!({ "anyOf": [one.clone(), { "type": "array", "items": one, "minItems": 1 }] })
    }
}

impl<T: Decode> Decode for Table<T> {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let Some(entries) = node.entries() else {
            return cx.expected(node, "a map");
        };
        let decoded: Vec<Option<_>> = entries
            .iter()
            .map(|entry| {
                let key = Spanned { value: entry.key.text.clone(), span: entry.key.span };
                decode_entry(entry, cx).map(|value| (key, value))
            })
            .collect();
        decoded.into_iter().collect::<Option<Vec<_>>>().map(Self)
    }

    fn schema(definitions: &mut Definitions) -> Json {
        json!({ "type": "object", "additionalProperties": T::schema(definitions) })
    }
}

impl Decode for Json {
    fn decode(node: &Node, _: &mut Context) -> Option<Self> {
        Some(node.to_json())
    }

    fn schema(_: &mut Definitions) -> Json {
        json!({})
    }
}

impl Decode for bool {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let meant = match &node.value {
            Value::Bool(value) => return Some(*value),
            Value::Text(scalar) => match scalar.text.to_lowercase().as_str() {
                "true" | "yes" | "on" | "y" => Some("write `true`"),
                "false" | "no" | "off" | "n" => Some("write `false`"),
                _ => None,
            },
            _ => None,
        };
        cx.expected_with_help(node, "true or false", meant.map(str::to_owned))
    }

    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "boolean" })
    }
}

impl Decode for String {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let quoted = match &node.value {
            Value::Text(scalar) => return Some(scalar.text.clone()),
            Value::Number(number) => Some(number.source.clone()),
            Value::Bool(value) => Some(value.to_string()),
            _ => None,
        };
        cx.expected_with_help(node, "text", quoted.map(|bare| format!("put it in quotes: \"{bare}\"")))
    }

    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "string" })
    }
}

impl Decode for f64 {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        match &node.value {
            Value::Number(number) => Some(number.as_f64()),
            _ => cx.expected_with_help(node, "a number", unquoted(node)),
        }
    }

    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "number" })
    }
}

impl<const MIN: u64, const MAX: u64> Decode for Whole<MIN, MAX> {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        whole(node, i128::from(MIN), i128::from(MAX), cx).and_then(|value| Self::new(u64::try_from(value).ok()?))
    }

    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

macro_rules! decode_integers {
    ($($type:ty),*) => {$(
        impl Decode for $type {
            fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
                let value = whole(node, i128::from(<$type>::MIN), i128::from(<$type>::MAX), cx)?;
                <$type>::try_from(value).ok()
            }

            fn schema(_: &mut Definitions) -> Json {
                json!({ "type": "integer", "minimum": <$type>::MIN, "maximum": <$type>::MAX })
            }
        }
    )*};
}

decode_integers!(u8, u16, u32, u64, i32, i64);

impl Decode for Micros {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        written(node, cx, "a duration such as `2s`", |bare| format!("write `{bare}s` for seconds"), Self::parse)
    }

    fn schema(_: &mut Definitions) -> Json {
        // The order of the units is left to the decoder.
        json!({
            "type": "string",
            "pattern": "^\\s*([0-9]+(\\.[0-9]+)?\\s*(h|m|s|ms|us)\\s*)+$",
            "examples": ["2s", "750ms", "1m 30s"],
        })
    }
}

impl Decode for Percent {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let advice = |bare: &str| match bare.contains('.') {
            true => "write a percentage such as `90%`".to_owned(),
            false => format!("write `{bare}%`"),
        };
        written(node, cx, "a percentage such as `90%`", advice, Self::parse)
    }

    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "string", "pattern": "^\\s*[0-9]+(\\.[0-9]+)?\\s*%\\s*$", "examples": ["90%", "99.95%"] })
    }
}

impl Decode for Rate {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        written(node, cx, "a rate such as `5/s`", |bare| format!("write `{bare}/s`"), Self::parse)
    }

    fn schema(_: &mut Definitions) -> Json {
        json!({
            "type": "string",
            "pattern": "^\\s*[0-9]+(\\.[0-9]+)?\\s*/\\s*(s|m|h)\\s*$",
            "examples": ["5/s", "10/m"],
        })
    }
}

/// A value that is written as text in a form of its own. `advice` is for a bare number, which lacks its unit.
fn written<T>(
    node: &Node,
    cx: &mut Context,
    what: &str,
    advice: impl Fn(&str) -> String,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let (text, help) = match &node.value {
        Value::Text(scalar) => (&scalar.text, format!("write {what}")),
        Value::Number(number) => {
            return cx.expected_with_help(node, what, Some(advice(&number.source)));
        }
        _ => return cx.expected(node, what),
    };
    match parse(text) {
        Ok(value) => Some(value),
        Err(reason) => {
            let help = if Number::parse(text.trim()).is_some() { advice(text.trim()) } else { help };
            let mistake = cx.mistake(node, reason).help(help);
            cx.report(mistake);
            None
        }
    }
}

fn whole(node: &Node, min: i128, max: i128, cx: &mut Context) -> Option<i128> {
    let what = || format!("a whole number from {} to {}", grouped(min), grouped(max));
    let Value::Number(number) = &node.value else {
        return cx.expected_with_help(node, &what(), unquoted(node));
    };
    let value = match number.value {
        NumberValue::Unsigned(value) => Some(i128::from(value)),
        NumberValue::Negative(value) => Some(i128::from(value)),
        NumberValue::Float(_) => None,
    };
    let within = value.filter(|value| (min..=max).contains(value));
    if within.is_none() {
        let mistake = cx.mistake(node, format!("expected {}, found {}", what(), quote(&number.source)));
        cx.report(mistake);
    }
    within
}

/// Advice for a number in quotes.
fn unquoted(node: &Node) -> Option<String> {
    let number = Number::parse(node.text()?.trim())?;
    Some(format!("remove the quotes: {}", number.source))
}

/// A number with commas between thousands, as people read it.
fn grouped(value: i128) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut out = if value < 0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
