//! JSON in place: a cursor that walks one text, strictly, and builds nothing.
//!
//! It exists because reading a frame is most of judging it. It accepts what `serde_json` accepts when it passes over a value
//! (RFC 8259), only nothing may nest deeper than `DEEPEST` levels; what texts and numbers mean, and why a text is not JSON, is
//! what `serde_json` says. Beyond it half a surrogate pair among escapes is read as U+FFFD, as browsers show it. It knows no
//! places and no dialect.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::IgnoredAny;
use wide::u8x16;

use crate::canary;
use crate::event::Number;

/// How many arrays and objects may stand within one another; `serde_json` has the same limit.
pub const DEEPEST: u32 = 127;

/// The text is not JSON; `why` has the words for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// One JSON text, which is read from front to back. Each part is read at an offset that the part before it gave, so that where
/// the reading stands is in a register and not here.
#[derive(Debug)]
pub struct Json<'a> {
    text: &'a str,
    /// Where the stretch of `special` begins.
    base: usize,
    /// Of 64 bytes from `base` on, those that are not plain text within quotes: a quote, a backslash, a control character, what
    /// lies behind the end.
    special: u64,
    /// `\u` stood in a text or name that was read, whatever stood before it.
    pub coded: bool,
    /// Where the long texts and names stand that were read.
    pub long: Long,
}

/// How many long texts are kept of one document.
const LONG: usize = 8;

/// Where texts and names stand that are not shorter than `LEAST`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Long {
    all: [(u32, u32); LONG],
    count: usize,
}

impl Long {
    /// What is shorter than this is none. A mark is not.
    pub const LEAST: usize = canary::LENGTH;

    /// From where to where each of them goes, in order; `None` if there are more than are kept.
    pub fn all(&self) -> Option<impl Iterator<Item = Range<usize>>> {
        let all = self.all.get(..self.count)?.iter();
        Some(all.map(|(begin, end)| *begin as usize..*end as usize))
    }

    #[inline(always)]
    fn add(&mut self, begin: usize, end: usize) {
        if end - begin >= Long::LEAST {
            if let Some(next) = self.all.get_mut(self.count) {
                // Frames are far from 4 GiB.
                *next = (begin as u32, end as u32);
            }
            self.count += 1;
        }
    }
}

/// A text or name, between its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted {
    /// Where it begins, behind its first quote.
    pub begin: usize,
    /// Where its last quote stands.
    pub end: usize,
    /// It holds escapes.
    pub escaped: bool,
}

impl<'a> Json<'a> {
    /// Nothing of `text` was read.
    pub fn new(text: &'a str) -> Json<'a> {
        Json { text, base: 0, special: special(text.as_bytes(), 0), coded: false, long: Long::default() }
    }

    /// All of it.
    #[inline(always)]
    pub fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// The byte at `at`; zero, which no value and no sign is, at the end of the text.
    #[inline(always)]
    pub fn byte(&self, at: usize) -> u8 {
        self.text.as_bytes().get(at).copied().unwrap_or(0)
    }

    /// The two bytes from `at` on, as `byte`.
    #[inline(always)]
    fn pair(&self, at: usize) -> [u8; 2] {
        match self.text.as_bytes().get(at..).and_then(|rest| rest.first_chunk()) {
            Some(pair) => *pair,
            None => [self.byte(at), 0],
        }
    }

    /// The first offset from `at` on that is not space.
    #[inline]
    pub fn space(&self, mut at: usize) -> usize {
        while let b' ' | b'\n' | b'\r' | b'\t' = self.byte(at) {
            at += 1;
        }
        at
    }

    /// Reads the text or name whose first quote stands before `begin`.
    #[inline(always)]
    pub fn quoted(&mut self, begin: usize) -> Result<Quoted, Malformed> {
        let end = self.next_special(begin);
        self.ends(begin, end)
    }

    /// The text that begins at `begin` and in which nothing is special before `end`.
    #[inline(always)]
    fn ends(&mut self, begin: usize, end: usize) -> Result<Quoted, Malformed> {
        if self.byte(end) != b'"' {
            return self.escaped(begin, end);
        }
        self.long.add(begin, end);
        Ok(Quoted { begin, end, escaped: false })
    }

    /// Reads on at an escape; of anything else that is special no text holds any.
    fn escaped(&mut self, begin: usize, mut end: usize) -> Result<Quoted, Malformed> {
        while self.byte(end) != b'"' {
            let escape = match (self.byte(end), self.byte(end + 1)) {
                (b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                (b'\\', b'u') if (2..6).all(|digit| self.byte(end + digit).is_ascii_hexdigit()) => 6,
                _ => return Err(Malformed),
            };
            self.coded |= escape == 6 || self.pair(end + 1) == *b"\\u";
            end = self.next_special(end + escape);
        }
        self.long.add(begin, end);
        Ok(Quoted { begin, end, escaped: true })
    }

    /// Reads the name of a member, whose first quote stands at `at`; says where its value begins.
    #[inline(always)]
    pub fn member(&mut self, at: usize) -> Result<(Quoted, usize), Malformed> {
        if self.byte(at) != b'"' {
            return Err(Malformed);
        }
        let (begin, end) = (at + 1, self.next_special(at + 1));
        // Most names hold no escapes, and most texts no space where it says nothing.
        if self.pair(end) == *b"\":" && self.byte(end + 2) > b' ' {
            self.long.add(begin, end);
            return Ok((Quoted { begin, end, escaped: false }, end + 2));
        }
        self.spaced_member(begin, end)
    }

    /// As `member`, whatever stands in the name and behind it; it begins at `begin`, and nothing in it is special before `end`.
    #[inline(never)]
    fn spaced_member(&mut self, begin: usize, end: usize) -> Result<(Quoted, usize), Malformed> {
        let name = self.ends(begin, end)?;
        let colon = self.space(name.end + 1);
        if self.byte(colon) == b':' { Ok((name, self.space(colon + 1))) } else { Err(Malformed) }
    }

    /// Where the first member or element begins of an object or array that `close` ends, if there is one; else where it ends.
    /// Its bracket stands before `at`, with `depth` others around it.
    #[inline(always)]
    pub fn first(&self, at: usize, close: u8, depth: u32) -> Result<Result<usize, usize>, Malformed> {
        if depth >= DEEPEST {
            return Err(Malformed);
        }
        let at = if self.byte(at) > b' ' { at } else { self.space(at) };
        Ok(if self.byte(at) == close { Err(at + 1) } else { Ok(at) })
    }

    /// As `first`, behind a member or element that ends at `at`.
    #[inline(always)]
    pub fn next(&self, at: usize, close: u8) -> Result<Result<usize, usize>, Malformed> {
        match self.pair(at) {
            [b',', next] if next > b' ' => Ok(Ok(at + 1)),
            [byte, _] if byte == close => Ok(Err(at + 1)),
            _ => self.spaced_next(at, close),
        }
    }

    /// As `next`, whatever space there is.
    #[inline(never)]
    fn spaced_next(&self, at: usize, close: u8) -> Result<Result<usize, usize>, Malformed> {
        let at = self.space(at);
        match self.byte(at) {
            b',' => Ok(Ok(self.space(at + 1))),
            byte if byte == close => Ok(Err(at + 1)),
            _ => Err(Malformed),
        }
    }

    /// Passes over the value that begins at `at`, with `depth` objects and arrays around it; says where it ends.
    #[inline(always)]
    pub fn skip(&mut self, at: usize, depth: u32) -> Result<usize, Malformed> {
        match self.byte(at) {
            b'"' => self.quoted(at + 1).map(|text| text.end + 1),
            b'{' | b'[' => self.skip_within(at, depth).map(|(end, _)| end),
            _ => self.scalar(at),
        }
    }

    /// As `skip`, of an object or array; says also whether there is nothing in it.
    pub fn skip_within(&mut self, at: usize, depth: u32) -> Result<(usize, bool), Malformed> {
        let object = self.byte(at) == b'{';
        let close = if object { b'}' } else { b']' };
        let mut next = self.first(at + 1, close, depth)?;
        let empty = next.is_err();
        loop {
            match next {
                Err(end) => return Ok((end, empty)),
                Ok(mut at) => {
                    if object {
                        at = self.member(at)?.1;
                    }
                    at = self.skip(at, depth + 1)?;
                    next = self.next(at, close)?;
                }
            }
        }
    }

    /// Passes over `null`, a truth value or a number.
    #[inline(always)]
    pub fn scalar(&self, at: usize) -> Result<usize, Malformed> {
        match self.byte(at) {
            b't' => self.word(at, b"true"),
            b'f' => self.word(at, b"false"),
            b'n' => self.word(at, b"null"),
            _ => self.number(at),
        }
    }

    /// Nothing but space follows from `at` on.
    pub fn end(&self, at: usize) -> Result<(), Malformed> {
        if self.space(at) == self.text.len() { Ok(()) } else { Err(Malformed) }
    }

    /// The text as it is spelled from `begin` to `end`.
    #[inline(always)]
    pub fn spelled(&self, begin: usize, end: usize) -> &'a str {
        &self.text[begin..end]
    }

    /// What a text or name says, borrowed unless it holds escapes.
    #[inline(always)]
    pub fn said(&self, Quoted { begin, end, escaped }: Quoted) -> Cow<'a, str> {
        let text = &self.text[begin..end];
        if escaped { Cow::Owned(unescaped(text)) } else { Cow::Borrowed(text) }
    }

    #[inline]
    fn word<const N: usize>(&self, at: usize, word: &[u8; N]) -> Result<usize, Malformed> {
        if self.text.as_bytes()[at..].first_chunk() == Some(word) { Ok(at + N) } else { Err(Malformed) }
    }

    /// Passes over the number that begins at `at`; says where it ends.
    pub fn number(&self, mut at: usize) -> Result<usize, Malformed> {
        at += usize::from(self.byte(at) == b'-');
        at = if self.byte(at) == b'0' { at + 1 } else { self.digits(at)? };
        if self.byte(at) == b'.' {
            at = self.digits(at + 1)?;
        }
        if let b'e' | b'E' = self.byte(at) {
            at += 1;
            at += usize::from(matches!(self.byte(at), b'+' | b'-'));
            at = self.digits(at)?;
        }
        Ok(at)
    }

    #[inline]
    fn digits(&self, begin: usize) -> Result<usize, Malformed> {
        let rest = self.text.as_bytes().get(begin..).unwrap_or_default();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0 { Ok(begin + digits) } else { Err(Malformed) }
    }

    /// The first offset from `at` on where something special stands; no earlier than what was read before.
    #[inline(always)]
    fn next_special(&mut self, at: usize) -> usize {
        let ahead = self.special.checked_shr((at - self.base).min(64) as u32).unwrap_or(0);
        if ahead != 0 { at + ahead.trailing_zeros() as usize } else { self.further_special(at) }
    }

    #[inline(never)]
    fn further_special(&mut self, at: usize) -> usize {
        // Of the old stretch nothing is left, or `at` lies behind it.
        self.base = at.max(self.base + 64).min(self.text.len());
        loop {
            self.special = special(self.text.as_bytes(), self.base);
            if self.special != 0 {
                return self.base + self.special.trailing_zeros() as usize;
            }
            self.base += 64;
        }
    }
}

/// Which of the 64 bytes from `from` on are no plain text within quotes, the first in the lowest bit.
#[inline(always)]
fn special(bytes: &[u8], from: usize) -> u64 {
    let ahead = bytes.get(from..).unwrap_or_default();
    if let Some(stretch) = ahead.first_chunk() {
        return special_of(stretch);
    }
    let behind = u64::MAX << ahead.len();
    match bytes.last_chunk::<64>() {
        // Those before `from` make room for those behind the end.
        Some(stretch) => special_of(stretch).checked_shr((64 - ahead.len()) as u32).unwrap_or(0) | behind,
        None => {
            let mut stretch = [0; 64];
            stretch[..ahead.len()].copy_from_slice(ahead);
            special_of(&stretch) | behind
        }
    }
}

#[inline(always)]
fn special_of(stretch: &[u8; 64]) -> u64 {
    let (quote, backslash, control) = (u8x16::splat(b'"'), u8x16::splat(b'\\'), u8x16::splat(0x1f));
    let (parts, _) = stretch.as_chunks::<16>();
    parts.iter().rev().fold(0, |mask, part| {
        let part = u8x16::new(*part);
        let hits = part.simd_eq(quote) | part.simd_eq(backslash) | part.min(control).simd_eq(part);
        mask << 16 | u64::from(hits.to_bitmask())
    })
}

/// The number that is spelled like this.
///
/// # Errors
/// When it is beyond what 64 bits of floating point hold.
pub fn number(spelled: &str) -> Result<Number, Malformed> {
    if let Some(number) = short(spelled) {
        return Ok(Number::Float(number));
    }
    let whole = !spelled.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    if whole && let Ok(number) = spelled.parse() {
        return Ok(Number::Unsigned(number));
    }
    // `-0` is a float: no integer tells it from 0.
    if whole && let Some(number) = spelled.parse().ok().filter(|number| *number < 0) {
        return Ok(Number::Signed(number));
    }
    spelled.parse().ok().filter(|number: &f64| number.is_finite()).map(Number::Float).ok_or(Malformed)
}

/// The number that is spelled with few digits, a point, and no exponent: times in seconds mostly are.
fn short(spelled: &str) -> Option<f64> {
    // Powers of ten are exact up to that of 22.
    const TENS: [f64; 10] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
    if spelled.len() > 16 {
        return None;
    }
    let (mut digits, mut fraction, mut point) = (0, 0, false);
    for byte in spelled.bytes() {
        match byte {
            b'0'..=b'9' => {
                digits = 10 * digits + u64::from(byte - b'0');
                fraction += usize::from(point);
            }
            b'.' => point = true,
            _ => return None,
        }
    }
    // Both are exact, so their quotient is the nearest there is (W. D. Clinger, How to read floating point numbers accurately,
    // PLDI 1990): fifteen digits fit into the 53 bits of a significand.
    TENS.get(fraction).filter(|_| point).map(|ten| digits as f64 / ten)
}

/// What a text between its quotes says, of which every escape was looked at before.
fn unescaped(text: &str) -> String {
    let mut said = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        said.push_str(&rest[..at]);
        let (escaped, length) = match rest.as_bytes()[at + 1] {
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'n' => ('\n', 2),
            b'r' => ('\r', 2),
            b't' => ('\t', 2),
            b'u' => match (unit(rest, at), unit(rest, at + 6)) {
                // RFC 8259, section 7: what is beyond the first plane is spelled as two.
                (Some(upper @ 0xd800..0xdc00), Some(lower @ 0xdc00..0xe000)) => {
                    let both = 0x10000 + ((u32::from(upper) - 0xd800) << 10 | (u32::from(lower) - 0xdc00));
                    (char::from_u32(both).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
                }
                (code, _) => {
                    let one = code.and_then(|code| char::from_u32(u32::from(code)));
                    (one.unwrap_or(char::REPLACEMENT_CHARACTER), 6)
                }
            },
            itself => (char::from(itself), 2),
        };
        said.push(escaped);
        rest = &rest[at + length..];
    }
    said.push_str(rest);
    said
}

/// The code of the escape `\u` that stands at `at`, if one does.
fn unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// `text` with U+FFFD in the place of each escape that is half a surrogate pair. Such a text is JSON (RFC 8259, section 8.2),
/// and what servers send that cut a text between the halves of a character, but says nothing that a `str` can hold.
pub fn whole_characters(text: &str) -> Cow<'_, str> {
    let mut whole = Cow::Borrowed(text);
    let mut from = 0;
    while let Some(at) = text[from..].find('\\').map(|offset| from + offset) {
        from = match unit(text, at) {
            Some(0xd800..=0xdbff) if matches!(unit(text, at + 6), Some(0xdc00..=0xdfff)) => at + 12,
            Some(0xd800..=0xdfff) => {
                whole.to_mut().replace_range(at..at + 6, "\\ufffd");
                at + 6
            }
            // What is escaped may be a backslash, which then escapes nothing.
            _ => text.ceil_char_boundary(at + 2),
        };
    }
    whole
}

/// Why `text` is not JSON, with line and column.
pub fn why(text: &str) -> String {
    let passed_over = serde_json::from_str::<IgnoredAny>(text).map(drop);
    let read = |()| serde_json::from_str::<serde_json::Value>(&whole_characters(text)).map(drop);
    let error = passed_over.and_then(read).err();
    error.map_or_else(|| "it cannot be read".to_owned(), |error| error.to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Tree;

    use super::*;

    fn passes(text: &str) -> bool {
        let mut json = Json::new(text);
        json.skip(json.space(0), 0).and_then(|end| json.end(end)).is_ok()
    }

    /// The whole value, every text and number of it taken at its meaning, and where it ends.
    fn tree(json: &mut Json<'_>, at: usize, depth: u32) -> Result<(Tree, usize), Malformed> {
        Ok(match json.byte(at) {
            b'"' => {
                let text = json.quoted(at + 1)?;
                (json.said(text).into(), text.end + 1)
            }
            b'{' => {
                let mut members = serde_json::Map::new();
                let mut next = json.first(at + 1, b'}', depth)?;
                while let Ok(at) = next {
                    let (name, at) = json.member(at)?;
                    let (value, end) = tree(json, at, depth + 1)?;
                    members.insert(json.said(name).into_owned(), value);
                    next = json.next(end, b'}')?;
                }
                (members.into(), next.unwrap_err())
            }
            b'[' => {
                let mut elements = Vec::new();
                let mut next = json.first(at + 1, b']', depth)?;
                while let Ok(at) = next {
                    let (value, end) = tree(json, at, depth + 1)?;
                    elements.push(value);
                    next = json.next(end, b']')?;
                }
                (elements.into(), next.unwrap_err())
            }
            first => {
                let end = json.scalar(at)?;
                let value = match first {
                    b't' | b'f' => (first == b't').into(),
                    b'n' => Tree::Null,
                    _ => match number(json.spelled(at, end))? {
                        Number::Unsigned(number) => number.into(),
                        Number::Signed(number) => number.into(),
                        Number::Float(number) => number.into(),
                    },
                };
                (value, end)
            }
        })
    }

    fn read(text: &str) -> Option<Tree> {
        let mut json = Json::new(text);
        let begin = json.space(0);
        let (tree, end) = tree(&mut json, begin, 0).ok()?;
        json.end(end).ok().map(|()| tree)
    }

    /// Held against `serde_json`, once passing over it and once taking all of it; where half a character is escaped, with a
    /// character in its place.
    #[track_caller]
    fn agrees(text: &str) {
        let deep = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() > DEEPEST as usize;
        if !deep {
            assert_eq!(passes(text), serde_json::from_str::<IgnoredAny>(text).is_ok(), "passing over {text:?}");
        }
        match (read(text), serde_json::from_str::<Tree>(&whole_characters(text)).ok()) {
            (None, None) => {}
            (Some(mine), Some(theirs)) => assert!(alike(&mine, &theirs), "{text:?}: {mine} and {theirs}"),
            (mine, theirs) => panic!("{text:?}: {mine:?} and {theirs:?}"),
        }
    }

    /// Equal; of floats `serde_json` may have missed the nearest by a few units in the last place.
    fn alike(mine: &Tree, theirs: &Tree) -> bool {
        match (mine, theirs) {
            (Tree::Number(mine), Tree::Number(theirs)) if mine != theirs => {
                let (mine, theirs) = (mine.as_f64().unwrap(), theirs.as_f64().unwrap());
                mine.is_sign_negative() == theirs.is_sign_negative() && mine.to_bits().abs_diff(theirs.to_bits()) <= 8
            }
            (Tree::Array(mine), Tree::Array(theirs)) => {
                mine.len() == theirs.len() && mine.iter().zip(theirs).all(|(mine, theirs)| alike(mine, theirs))
            }
            (Tree::Object(mine), Tree::Object(theirs)) => {
                let same = |((name, mine), (theirs_name, theirs))| name == theirs_name && alike(mine, theirs);
                mine.len() == theirs.len() && mine.iter().zip(theirs).all(same)
            }
            _ => mine == theirs,
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "[",
            "}",
            "]",
            "{]",
            "[}",
            "[1}",
            "{\"a\":1]",
            "[,]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1,,2]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{a:1}",
            "{1:1}",
            "{'a':1}",
            "{\"a\":1 \"b\":2}",
            "{\"a\"::1}",
            "1 2",
            "{} {}",
            "[] x",
            "\u{feff}{}",
            "nul",
            "nulll",
            "True",
            "tru",
            "NaN",
            "Infinity",
            "-Infinity",
            "undefined",
            "-",
            "+1",
            "01",
            "-01",
            "1.",
            ".1",
            "-.1",
            "1.e1",
            "1e",
            "1e+",
            "1E-",
            "0x1",
            "1_000",
            "1.2.3",
            "--1",
            "1e1.5",
            "\"",
            "\"a",
            "a\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\u\"",
            "\"\\",
            "\"\\\\\\\"",
            "\"\n\"",
            "\"\t\"",
            "\"\0\"",
            "\"\u{1f}\"",
            "\"abcdefgh\u{1}\"",
            "'a'",
            "// x\n1",
            "/* x */ 1",
            "[1]//",
            "\u{a0}1",
            "\u{b}1",
            "\u{c}1",
        ] {
            assert!(!passes(text), "{text:?}");
            agrees(text);
            assert!(why(text).contains("line"), "{text:?}: {}", why(text));
        }
    }

    #[test]
    fn what_is_json_is_read_as_it_is_meant() {
        for text in [
            " {} ",
            "\t[\r\n]\n",
            "null",
            "true",
            "false",
            "0",
            "-0",
            "-0.0",
            "1",
            "-1",
            "1.5",
            "1e3",
            "1E+3",
            "1e-3",
            "0e0",
            "0.1",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775808",
            "-9223372036854775809",
            "1e308",
            "5e-324",
            "1e-999",
            "123456789012345678901234567890",
            "\"\"",
            "\"a\"",
            "\"\\u0041\\n\\\"\\\\\\/\\b\\f\\r\\t\"",
            "\"\u{7f}é\u{2028}\"",
            "\"\\ud83d\\ude00 😀\"",
            "\"\\u0000\"",
            "[1,[2,[3,{}]],{\"a\":[]}]",
            "{\"a\":{\"b\":[1,{\"c\":null}]}, \"\": 0}",
            "{\"a\":1,\"a\":2}",
            "{\"\\u0061\":1,\"a\":2}",
            "\"abcdefg\"",
            "\"abcdefgh\"",
            "\"abcdefghi\\n\"",
        ] {
            assert!(passes(text), "{text:?}");
            assert!(read(text).is_some(), "{text:?}");
            agrees(text);
        }
    }

    #[test]
    fn what_has_no_meaning_passes_only_unasked() {
        for text in ["1e999", "-1e999", "[\"\\ud800\",1e999]"] {
            assert!(passes(text) && read(text).is_none(), "{text:?}");
            agrees(text);
            assert!(why(text).contains("line"), "{text:?}: {}", why(text));
        }
    }

    #[test]
    fn half_a_character_is_read_as_the_character_for_none() {
        for (text, whole) in [
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""a\uDE00""#, r#""a\ufffd""#),
            (r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83dx\ude00é""#, r#""\ufffdx\ufffdé""#),
            (r#""\ud83d\u0041""#, r#""\ufffd\u0041""#),
            (r#""\ud83d\n""#, r#""\ufffd\n""#),
            (r#"{"\udbff":1}"#, r#"{"\ufffd":1}"#),
        ] {
            assert_eq!(whole_characters(text), whole);
            assert_eq!(read(text), serde_json::from_str(whole).ok(), "{text}");
            assert!(passes(text) && read(text).is_some(), "{text}");
        }
        for text in [r#""\\ud83d""#, r#""\ud83d\ude00""#, r#""\u00e9""#, r#""\ud83""#, r#""\u+d83""#, "\\", "\\é", "é"]
        {
            assert!(matches!(whole_characters(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
            let (most, more) = (nested(DEEPEST as usize), nested(DEEPEST as usize + 1));
            assert!(passes(&most) && !passes(&more));
            agrees(&most);
            agrees(&more);
            assert!(why(&more).contains("recursion limit"), "{}", why(&more));
        }
    }

    #[test]
    fn every_byte_is_told_at_every_offset() {
        for byte in 0..=u8::MAX {
            let is_special = matches!(byte, b'"' | b'\\' | 0..0x20);
            for offset in 0..64 {
                let mut stretch = [b'a'; 64];
                stretch[offset] = byte;
                assert_eq!(special_of(&stretch), u64::from(is_special) << offset, "{byte} at {offset}");
            }
        }
    }

    #[test]
    fn texts_end_where_their_quotes_stand_however_long_they_are() {
        for before in [0, 1, 50, 62, 63, 64, 65, 127, 128, 200] {
            for length in [0, 1, 15, 16, 17, 62, 63, 64, 65, 126, 127, 128, 129, 300] {
                let (first, second) = ("a".repeat(before), "é".repeat(length));
                let text = format!("[\"{first}\", \"{second}\\n\", \"{second}\"]");
                assert_eq!(read(&text), serde_json::from_str(&text).ok(), "{before} and {length}");
                for cut in 1..4 {
                    let cut = &text[..text.floor_char_boundary(text.len() - cut)];
                    assert!(!passes(cut), "{cut}");
                }
            }
        }
    }

    /// JSON, as text, with spaces, escapes and doubled names.
    pub(in crate::check) fn documents() -> impl Strategy<Value = String> {
        let text = || {
            let part = prop_oneof![
                6 => "[a-c]?", 2 => "[ -!#-\\[\\]-~é😀]{0,12}",
                1 => prop::sample::select(vec!["\\n", "\\u0061", "\\\"", "\\\\", "\\ud83d\\ude00", "\\ud800"]).prop_map(str::to_owned),
            ];
            prop::collection::vec(part, 0..3).prop_map(|parts| format!("\"{}\"", parts.concat()))
        };
        let scalar = prop_oneof![
            text(),
            prop::sample::select(vec!["null", "true", "false", "0", "-0", "1e999"]).prop_map(str::to_owned),
            any::<i64>().prop_map(|number| number.to_string()),
            "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,4})?(e-?[0-9]{1,2})?",
        ];
        let space = || prop::sample::select(vec!["", "", "", " ", "\n "]);
        let value = scalar.prop_recursive(4, 24, 4, move |inner| {
            let list = |parts: Vec<String>, space: &str| parts.join(&format!("{space},{space}"));
            let element = inner.clone();
            let member = (text(), inner, space()).prop_map(|(name, value, space)| format!("{name}{space}:{value}"));
            prop_oneof![
                (prop::collection::vec(element, 0..4), space())
                    .prop_map(move |(all, s)| format!("[{s}{}{s}]", list(all, s))),
                (prop::collection::vec(member, 0..4), space())
                    .prop_map(move |(all, s)| format!("{{{s}{}{s}}}", list(all, s))),
            ]
        });
        (space(), value, space()).prop_map(|(before, value, after)| format!("{before}{value}{after}"))
    }

    proptest! {
        #[test]
        fn documents_are_read_as_serde_json_reads_them(text in documents()) {
            agrees(&text);
        }

        #[test]
        fn a_changed_document_is_judged_as_serde_json_judges_it(
            text in documents(), at: prop::sample::Index, with in "[\\[\\]{}:,\"\\\\ 0-9a-f.eE+\\-tn\n\u{1}é]{0,2}", cut in 0..3_usize,
        ) {
            let at = text.floor_char_boundary(at.index(text.len()));
            let end = text.ceil_char_boundary((at + cut).min(text.len()));
            agrees(&format!("{}{with}{}", &text[..at], &text[end..]));
        }

        #[test]
        fn any_text_is_judged_as_serde_json_judges_it(text in "[\\[\\]{}:,\"\\\\ 0-9eE+.\\-truefalsn\n]{0,24}") {
            agrees(&text);
        }
    }
}
