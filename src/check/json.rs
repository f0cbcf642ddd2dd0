//! JSON in place: a cursor that walks one text, strictly, and builds nothing.
//!
//! It exists because reading a frame is most of judging it. It accepts what `serde_json` accepts when it passes over a value
//! (RFC 8259), only nothing may nest deeper than `DEEPEST` levels; what texts and numbers mean, and why a text is not JSON, is
//! what `serde_json` says. Beyond it half a surrogate pair among escapes is read as U+FFFD, as browsers show it. It knows no
//! places and no dialect.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use crate::event::Number;

/// How many arrays and objects may stand within one another; `serde_json` has the same limit.
pub const DEEPEST: u32 = 127;

/// The text is not JSON; `why` has the words for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Stands before, within or behind the one value of a text.
///
/// What it read last is asked of it (`spelled`, `text`, `plain`), not returned: its answers fit in a register.
#[derive(Debug)]
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    /// Where the number, text or name that was read last begins, a text and a name behind their quotes.
    begin: usize,
    /// Where it ends.
    end: usize,
    /// It is a text or name with escapes.
    escaped: bool,
}

/// What was read: a scalar as a whole, of an object or array only that it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// `Cursor::spelled` is how.
    Number,
    /// `Cursor::text` is what it says.
    Text,
    /// `member` reads on.
    Object,
    /// `element` reads on.
    Array,
}

impl<'a> Cursor<'a> {
    /// Stands before the value of `text`.
    pub fn new(text: &'a str) -> Cursor<'a> {
        Cursor { text, at: 0, depth: 0, begin: 0, end: 0, escaped: false }
    }

    /// Reads what begins here.
    #[inline]
    pub fn value(&mut self) -> Result<Value, Malformed> {
        match self.next()? {
            b'"' => self.quoted().map(|()| Value::Text),
            b'{' => self.enter().map(|()| Value::Object),
            b'[' => self.enter().map(|()| Value::Array),
            b't' => self.word(b"true").map(|()| Value::Bool(true)),
            b'f' => self.word(b"false").map(|()| Value::Bool(false)),
            b'n' => self.word(b"null").map(|()| Value::Null),
            _ => self.number().map(|()| Value::Number),
        }
    }

    /// Whether the object has a further member, whose name was read and whose value is to be read then.
    #[inline]
    pub fn member(&mut self, first: bool) -> Result<bool, Malformed> {
        if !self.more(b'}', first)? {
            return Ok(false);
        }
        if self.next()? != b'"' {
            return Err(Malformed);
        }
        self.quoted()?;
        if self.next()? != b':' {
            return Err(Malformed);
        }
        self.at += 1;
        Ok(true)
    }

    /// Whether the array has a further element, which is to be read then.
    #[inline]
    pub fn element(&mut self, first: bool) -> Result<bool, Malformed> {
        self.more(b']', first)
    }

    /// Passes over one value.
    pub fn skip(&mut self) -> Result<(), Malformed> {
        let value = self.value()?;
        if matches!(value, Value::Object | Value::Array) {
            self.skip_rest(value)?;
        }
        Ok(())
    }

    /// Passes over what is left of a value that was just read; says whether it was an object or array without anything in it.
    pub fn skip_rest(&mut self, value: Value) -> Result<bool, Malformed> {
        let mut first = true;
        match value {
            Value::Object => {
                while self.member(first)? {
                    self.skip()?;
                    first = false;
                }
            }
            Value::Array => {
                while self.element(first)? {
                    self.skip()?;
                    first = false;
                }
            }
            Value::Null | Value::Bool(_) | Value::Number | Value::Text => return Ok(false),
        }
        Ok(first)
    }

    /// Nothing but space follows.
    pub fn end(mut self) -> Result<(), Malformed> {
        self.next().map_or(Ok(()), |_| Err(Malformed))
    }

    /// How the number that was just read is spelled.
    pub fn spelled(&self) -> &'a str {
        &self.text[self.begin..self.end]
    }

    /// What the text or name that was just read says, borrowed unless it holds escapes.
    #[inline]
    pub fn text(&self) -> Cow<'a, str> {
        if self.escaped {
            return Cow::Owned(unescaped(&self.text[self.begin - 1..=self.end]));
        }
        Cow::Borrowed(&self.text[self.begin..self.end])
    }

    /// The bytes of the text or name that was just read, unless it holds escapes.
    #[inline]
    pub fn plain(&self) -> Option<&'a [u8]> {
        (!self.escaped).then(|| &self.text.as_bytes()[self.begin..self.end])
    }

    /// The next value is an object or array.
    pub fn composite(&mut self) -> bool {
        matches!(self.next(), Ok(b'{' | b'['))
    }

    /// The offset at which the next value begins.
    pub fn begin(&mut self) -> usize {
        // At the end of the text no value begins, which whoever reads it is told.
        let _ = self.next();
        self.at
    }

    /// The text from `begin` to here.
    pub fn since(&self, begin: usize) -> &'a str {
        &self.text[begin..self.at]
    }

    #[inline]
    fn more(&mut self, close: u8, first: bool) -> Result<bool, Malformed> {
        let next = self.next()?;
        if next == close {
            self.at += 1;
            self.depth -= 1;
            return Ok(false);
        }
        if first {
            return Ok(true);
        }
        self.at += 1;
        if next == b',' { Ok(true) } else { Err(Malformed) }
    }

    #[inline]
    fn enter(&mut self) -> Result<(), Malformed> {
        self.at += 1;
        self.depth += 1;
        if self.depth <= DEEPEST { Ok(()) } else { Err(Malformed) }
    }

    #[inline]
    fn word<const N: usize>(&mut self, word: &[u8; N]) -> Result<(), Malformed> {
        if self.text.as_bytes()[self.at..].first_chunk() == Some(word) {
            self.at += N;
            return Ok(());
        }
        Err(Malformed)
    }

    fn number(&mut self) -> Result<(), Malformed> {
        self.begin = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        self.end = self.at;
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let begin = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at > begin { Ok(()) } else { Err(Malformed) }
    }

    /// Reads a text; the cursor stands at its first quote.
    #[inline]
    fn quoted(&mut self) -> Result<(), Malformed> {
        let bytes = self.text.as_bytes();
        self.begin = self.at + 1;
        self.escaped = false;
        let mut at = special(bytes, self.begin);
        while bytes.get(at) != Some(&b'"') {
            if bytes.get(at) != Some(&b'\\') {
                return Err(Malformed);
            }
            self.escaped = true;
            at = special(bytes, at + escape(&bytes[at + 1..]).ok_or(Malformed)?);
        }
        self.end = at;
        self.at = at + 1;
        Ok(())
    }

    /// The byte that follows after space, which is passed over.
    ///
    /// # Errors
    /// At the end of the text.
    #[inline]
    fn next(&mut self) -> Result<u8, Malformed> {
        loop {
            match self.peek() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(byte) => return Ok(byte),
                None => return Err(Malformed),
            }
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// The number that is spelled like this.
///
/// # Errors
/// When it is beyond what 64 bits of floating point hold.
pub fn number(spelled: &str) -> Result<Number, Malformed> {
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

/// What a text with its quotes says.
fn unescaped(quoted: &str) -> String {
    let whole = |text: &str| serde_json::from_str(text).ok();
    // Without half characters, which are rare, nothing of this fails: its escapes were looked at before.
    whole(quoted).or_else(|| whole(&whole_characters(quoted))).unwrap_or_default()
}

/// `text` with U+FFFD in the place of each escape that is half a surrogate pair. Such a text is JSON (RFC 8259, section 8.2),
/// and what servers send that cut a text between the halves of a character, but says nothing that a `str` can hold.
pub fn whole_characters(text: &str) -> Cow<'_, str> {
    let mut whole = Cow::Borrowed(text);
    let mut from = 0;
    while let Some(at) = text[from..].find('\\').map(|offset| from + offset) {
        let unit = |at: usize| {
            let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
            u16::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        };
        from = match unit(at) {
            Some(0xd800..=0xdbff) if matches!(unit(at + 6), Some(0xdc00..=0xdfff)) => at + 12,
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

/// The length of the escape whose backslash stands before `rest`, with the backslash.
fn escape(rest: &[u8]) -> Option<usize> {
    match rest.first()? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => rest.get(1..5)?.iter().all(u8::is_ascii_hexdigit).then_some(6),
        _ => None,
    }
}

/// The first offset from `at` on where something other than plain text stands: a quote, a backslash, a control character,
/// the end.
#[inline]
fn special(bytes: &[u8], mut at: usize) -> usize {
    // Most names and ids end within the first steps; what goes on is taken in strides that compile to vector instructions.
    for _ in 0..2 {
        let Some(eight) = bytes[at..].first_chunk() else { break };
        let hits = special_of_eight(u64::from_le_bytes(*eight));
        if hits != 0 {
            return at + (hits.trailing_zeros() / u8::BITS) as usize;
        }
        at += eight.len();
    }
    special_behind(bytes, at)
}

#[inline(never)]
fn special_behind(bytes: &[u8], mut at: usize) -> usize {
    let special = |byte: u8| u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\');
    while let Some(stride) = bytes[at..].first_chunk::<32>() {
        if stride.iter().fold(0, |any, byte| any | special(*byte)) != 0 {
            break;
        }
        at += stride.len();
    }
    while let Some(eight) = bytes[at..].first_chunk() {
        let hits = special_of_eight(u64::from_le_bytes(*eight));
        if hits != 0 {
            return at + (hits.trailing_zeros() / u8::BITS) as usize;
        }
        at += eight.len();
    }
    bytes[at..].iter().position(|byte| special(*byte) != 0).map_or(bytes.len(), |offset| at + offset)
}

/// Eight bytes at once: the lowest bit that is set lies in the first special one. The differences below borrow from the next
/// byte only where they have found something, so what stands above a hit may be wrong ("Bit Twiddling Hacks", S. E. Anderson,
/// on zero bytes and on bytes less than n).
fn special_of_eight(eight: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let below = |eight: u64, limit: u8| eight.wrapping_sub(ONES * u64::from(limit)) & !eight & (ONES << 7);
    let equal = |byte: u8| below(eight ^ (ONES * u64::from(byte)), 1);
    below(eight, 0x20) | equal(b'"') | equal(b'\\')
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Tree;

    use super::*;

    fn passes(text: &str) -> bool {
        let mut cursor = Cursor::new(text);
        cursor.skip().and_then(|()| cursor.end()).is_ok()
    }

    /// The whole value, every text and number of it taken at its meaning.
    fn tree(cursor: &mut Cursor<'_>) -> Result<Tree, Malformed> {
        Ok(match cursor.value()? {
            Value::Null => Tree::Null,
            Value::Bool(value) => value.into(),
            Value::Number => match number(cursor.spelled())? {
                Number::Unsigned(number) => number.into(),
                Number::Signed(number) => number.into(),
                Number::Float(number) => number.into(),
            },
            Value::Text => cursor.text().into(),
            Value::Object => {
                let mut members = serde_json::Map::new();
                let mut first = true;
                while cursor.member(std::mem::take(&mut first))? {
                    let name = cursor.text().into_owned();
                    members.insert(name, tree(cursor)?);
                }
                members.into()
            }
            Value::Array => {
                let mut elements = Vec::new();
                while cursor.element(elements.is_empty())? {
                    elements.push(tree(cursor)?);
                }
                elements.into()
            }
        })
    }

    fn read(text: &str) -> Option<Tree> {
        let mut cursor = Cursor::new(text);
        let tree = tree(&mut cursor).ok()?;
        cursor.end().ok().map(|()| tree)
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
            for offset in 0..20 {
                for length in offset + 1..24 {
                    let mut bytes = vec![b'a'; length];
                    bytes[offset] = byte;
                    let expected = if matches!(byte, b'"' | b'\\' | 0..0x20) { offset } else { length };
                    assert_eq!(special(&bytes, 0), expected, "{byte} at {offset} of {length}");
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
