//! The values files are made of: numbers, texts, lists, durations, proportions, rates.
//!
//! Each says what it accepts, advises the way to write it, and describes itself for the schema. Amounts keep the exact
//! decimal that was written, as integers; a float comes out only where a caller asks for one.

use std::fmt;

use regex::{Regex, RegexBuilder};
use serde_json::{Value as Json, json};

use super::context::Context;
use super::decode::{Decode, Definitions, Spanned, decode_entry};
use super::diagnostic::quote;
use super::tree::{Node, Number, NumberValue, Value};
use crate::time::Micros;

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

/// A number from `MIN` to `MAX`, or a range of them with both ends: `200`, `200-299`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Codes<const MIN: u16, const MAX: u16> {
    /// The lowest.
    pub from: u16,
    /// The highest.
    pub to: u16,
}

/// HTTP statuses.
pub type Status = Codes<100, 599>;

/// Codes of a close frame (RFC 6455, section 7.4).
pub type CloseCodes = Codes<1000, 4999>;

impl<const MIN: u16, const MAX: u16> Codes<MIN, MAX> {
    const WHAT: &'static str = if MAX < 1000 { "HTTP status" } else { "close code" };
    const EXAMPLES: &'static str = if MAX < 1000 { "`200` or `200-299`" } else { "`1008` or `4000-4999`" };
}

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

/// A regular expression, to be searched for in a text.
#[derive(Debug, Clone)]
pub struct Pattern(pub Regex);

/// One value or a list of at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

/// A map with keys of the user's choice, in the order written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table<T>(pub Vec<(Spanned<String>, T)>);

/// Reads a length of time: numbers with units from large to small, `h`, `m`, `s`, `ms`, `us`, for example `2s`, `750ms`,
/// `1m 30s`, `0.5s`.
///
/// # Errors
///
/// What is wrong with the text, for people. Units are never guessed, and what is finer than a microsecond is refused.
pub fn duration(text: &str) -> Result<Micros, String> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    let mut coarser = UNITS.len();
    while !rest.is_empty() {
        let end_of_number = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, after) = rest.split_at(end_of_number);
        let after = after.trim_start();
        let (unit, after) = after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        if unit.is_empty() && !number.is_empty() {
            return Err(format!("{} has no unit", quote(text)));
        }
        let at = UNITS.iter().position(|(name, _)| *name == unit).filter(|_| !number.is_empty());
        let at = at.ok_or_else(|| format!("{} is not a duration", quote(text)))?;
        if at >= coarser {
            return Err(format!("the units of {} do not go from large to small", quote(text)));
        }
        coarser = at;
        total = exact(number, UNITS[at].1)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| format!("{} is not a whole number of microseconds within range", quote(text)))?;
        rest = after.trim_start();
    }
    if text.trim().is_empty() { Err("this duration is empty".to_owned()) } else { Ok(Micros(total)) }
}

/// Units and their microseconds, from small to large.
const UNITS: [(&str, u64); 5] = [("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)];

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

impl Decode for Node {
    /// The tree itself, for parts that are laid over others before they are decoded.
    fn decode(node: &Node, _: &mut Context) -> Option<Self> {
        Some(node.clone())
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

impl<const MIN: u16, const MAX: u16> Decode for Codes<MIN, MAX> {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let fits = |code: &u16| (MIN..=MAX).contains(code);
        let number = |text: &str| text.trim().parse().ok().filter(fits);
        let found = match &node.value {
            Value::Number(number) => match number.value {
                NumberValue::Unsigned(code) => u16::try_from(code).ok().filter(fits).map(|code| (code, code)),
                _ => None,
            },
            Value::Text(scalar) => match scalar.text.split_once('-') {
                Some((from, to)) => number(from).zip(number(to)).filter(|(from, to)| from <= to),
                None => number(&scalar.text).map(|code| (code, code)),
            },
            _ => {
                let what = if MAX < 1000 { "status" } else { Self::WHAT };
                let examples = Self::EXAMPLES.replace(" or ", " or a range such as ");
                return cx.expected(node, &format!("a {what} such as {examples}"));
            }
        };
        let Some((from, to)) = found else {
            let written = match &node.value {
                Value::Number(number) => number.source.as_str(),
                _ => node.text().unwrap_or_default(),
            };
            let title = format!("{} is no {} and no range of them", quote(written), Self::WHAT);
            let help = format!("write for example {}, from {MIN} to {MAX}", Self::EXAMPLES);
            let mistake = cx.mistake(node, title).help(help);
            cx.report(mistake);
            return None;
        };
        Some(Self { from, to })
    }

    fn schema(_: &mut Definitions) -> Json {
        let digits = if MAX < 1000 { "[1-5][0-9]{2}" } else { "[1-4][0-9]{3}" };
        json!({ "anyOf": [
            { "type": "integer", "minimum": MIN, "maximum": MAX },
            { "type": "string", "pattern": format!("^\\s*{digits}\\s*(-\\s*{digits}\\s*)?$") },
        ] })
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

impl Pattern {
    /// A compiled pattern may take this much memory, in bytes: enough for long lists of words, too little to hurt.
    const SIZE_LIMIT: usize = 1024 * 1024;

    /// Compiles the text of `node`; what is wrong with it is reported to `cx`.
    pub fn compile(text: &str, node: &Node, cx: &mut Context) -> Option<Self> {
        let error = match RegexBuilder::new(text).size_limit(Self::SIZE_LIMIT).build() {
            Ok(regex) => return Some(Self(regex)),
            Err(error) => error,
        };
        let reason = match &error {
            regex::Error::CompiledTooBig(_) => "it takes more than 1 MiB when compiled".to_owned(),
            // The reason alone, without the picture of the pattern that the crate draws over several lines.
            other => {
                let text = other.to_string();
                let last = text.lines().last().unwrap_or_default();
                last.trim_start_matches("error: ").trim_end_matches('.').to_owned()
            }
        };
        let mistake = cx.mistake(node, format!("{} is not a regular expression: {reason}", quote(text)));
        cx.report(mistake);
        None
    }
}

impl Decode for Pattern {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = String::decode(node, cx)?;
        Self::compile(&text, node, cx)
    }

    fn schema(_: &mut Definitions) -> Json {
        // Not `format: regex`: that is the dialect of ECMA-262.
        json!({ "type": "string" })
    }
}

impl Decode for Micros {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        written(node, cx, "a duration such as `2s`", |bare| format!("write `{bare}s` for seconds"), duration)
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
    let what = || match min == max {
        true => format!("the number {}", grouped(min)),
        false => format!("a whole number from {} to {}", grouped(min), grouped(max)),
    };
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
pub fn grouped(value: i128) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut out = if value < 0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::testing::{titles, value};
    use super::*;

    #[test]
    fn durations_are_read_exactly() {
        for (text, micros) in [
            ("2s", 2_000_000),
            ("750ms", 750_000),
            ("1m 30s", 90_000_000),
            ("1m30s", 90_000_000),
            ("0.5s", 500_000),
            (" 1.000001s ", 1_000_001),
            ("1h", 3_600_000_000),
            ("10us", 10),
            ("0s", 0),
            ("5 s", 5_000_000),
        ] {
            assert_eq!(duration(text), Ok(Micros(micros)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_says_why() {
        for (text, reason) in [
            ("", "this duration is empty"),
            ("2", "`2` has no unit"),
            ("-2s", "`-2s` is not a duration"),
            ("2 days", "`2 days` is not a duration"),
            ("s", "`s` is not a duration"),
            ("30s 1m", "the units of `30s 1m` do not go from large to small"),
            ("1s 1s", "the units of `1s 1s` do not go from large to small"),
            ("0.5us", "`0.5us` is not a whole number of microseconds within range"),
            ("1..5s", "`1..5s` is not a whole number of microseconds within range"),
            ("99999999999999999999h", "`99999999999999999999h` is not a whole number of microseconds within range"),
        ] {
            assert_eq!(duration(text), Err(reason.to_owned()), "{text}");
        }
    }

    #[test]
    fn percentages_keep_their_decimals() {
        let exact = Percent::parse("99.95%").expect("a percentage");
        assert_eq!((exact.millionths(), exact.to_string().as_str()), (99_950_000, "99.95%"));
        assert_eq!(exact.fraction(), 0.9995);
        assert_eq!(Percent::parse("100 %").map(|all| all.fraction()), Ok(1.0));
        assert_eq!(Percent::parse("0%").map(|none| none.to_string()), Ok("0%".to_owned()));
        for bad in ["90", "101%", "-1%", "%", "1e1%", "1.%", "99.9999999%"] {
            assert!(Percent::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_schedule_without_drift() {
        let rate = Rate::parse("3/s").expect("a rate");
        assert_eq!(
            (rate.due(0), rate.due(1), rate.due(3_000_000)),
            (Micros(0), Micros(333_333), Micros(1_000_000_000_000))
        );
        assert_eq!(Rate::parse("10 / m").map(|rate| rate.to_string()), Ok("10/m".to_owned()));
        assert_eq!(Rate::parse("0.5/h").map(Rate::per_second), Ok(0.5 / 3600.0));
        for bad in ["5", "0/s", "5/d", "5/ms", "/s", "-1/s", "5/s/s"] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn wrong_values_say_what_was_expected_and_how_to_write_it() {
        assert_eq!(
            titles::<Vec<u8>>("[256, -1, 1.5, '7', x, 0x10]"),
            [
                "1:2 expected a whole number from 0 to 255, found `256`",
                "1:7 expected a whole number from 0 to 255, found `-1`",
                "1:11 expected a whole number from 0 to 255, found `1.5`",
                "1:16 expected a whole number from 0 to 255, found text -> remove the quotes: 7",
                "1:21 expected a whole number from 0 to 255, found text",
            ]
        );
        assert_eq!(
            titles::<Vec<bool>>("[true, yes, 'off', 1]"),
            [
                "1:8 expected true or false, found text -> write `true`",
                "1:13 expected true or false, found text -> write `false`",
                "1:20 expected true or false, found a number",
            ]
        );
        assert_eq!(
            titles::<Vec<String>>("[no, off, 1.50, true, ~]"),
            [
                "1:11 expected text, found a number -> put it in quotes: \"1.50\"",
                "1:17 expected text, found true or false -> put it in quotes: \"true\"",
                "1:23 expected text, found nothing -> write a value, or remove the key",
            ]
        );
        assert_eq!(
            titles::<Vec<Micros>>("[2, '2', 2 sec, []]"),
            [
                "1:2 expected a duration such as `2s`, found a number -> write `2s` for seconds",
                "1:5 `2` has no unit -> write `2s` for seconds",
                "1:10 `2 sec` is not a duration -> write a duration such as `2s`",
                "1:17 expected a duration such as `2s`, found a list",
            ]
        );
        assert_eq!(
            titles::<Vec<Rate>>("[5, 5/d]"),
            [
                "1:2 expected a rate such as `5/s`, found a number -> write `5/s`",
                "1:5 `5/d` is not per second, minute or hour -> write a rate such as `5/s`",
            ]
        );
        assert_eq!(
            titles::<OneOrMany<u8>>("[]"),
            ["1:1 the list is empty -> write at least one value, or remove the key",]
        );
    }

    #[test]
    fn collections_keep_their_order() {
        assert_eq!(value::<OneOrMany<u8>>("7").0, [7]);
        assert_eq!(value::<OneOrMany<u8>>("[7, 8]").0, [7, 8]);
        let table: Table<u8> = value("{z: 1, a: 2, 200: 3}");
        let pairs: Vec<_> = table.0.iter().map(|(key, value)| (key.value.as_str(), *value)).collect();
        assert_eq!(pairs, [("z", 1), ("a", 2), ("200", 3)]);
        assert_eq!(value::<Json>("{b: [1, -2, 2.5, ~], a: yes}").to_string(), r#"{"b":[1,-2,2.5,null],"a":"yes"}"#);
    }
}
