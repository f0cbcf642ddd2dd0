//! Shapes of documents that came before: what stands between their values, and what each value is to the trie. Most frames
//! have the shape of one that came, and are read by one comparison per value.
//!
//! A shortcut and nothing more. What stands between two values is compared byte by byte with what was walked through before, the
//! values themselves are read as ever; of a document that differs nothing is decided here. `decode` walks through those, and
//! lets their shapes be learned.

use super::json::{self, Json, Long};
use crate::event::{Envelope, Found, Kind, Layout, Slots};

/// The shapes of one trie, as a tree: what began alike stands there once.
#[derive(Debug)]
pub struct Shapes {
    /// The first one stands before every document, and is behind none.
    steps: Vec<Step>,
    ends: Vec<End>,
    /// Room for what is walked through next.
    room: Vec<Value>,
}

/// Where the way to a value ends and where the next one begins, and what it is.
type Value = (usize, usize, To);

/// From the end of a value to the next one, or to the end of the document.
#[derive(Debug)]
struct Step {
    /// The first bytes on the way, with zeros behind them, and which bits these are.
    first: u128,
    kept: u128,
    /// The last bytes of a longer way.
    last: u128,
    way: Box<[u8]>,
    /// The first of the steps that came behind it.
    next: u16,
    /// Another one that came in its place.
    other: u16,
    to: To,
}

/// Where a step leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    /// A text, behind its first quote.
    Text { asked: bool },
    /// A number.
    Number { asked: bool },
    /// An object or array, of which nothing is asked by itself, with so many around it. The way holds its bracket as well.
    Composite { asked: bool, whole: bool, depth: u8 },
    /// Behind a truth value or null that is asked for.
    Word(Word),
    /// Behind the bracket of an object that is asked for, and of which more is asked by itself.
    Open { whole: bool },
    /// Behind the end of one that is asked for as a whole: which of what was found it is.
    Close(u8),
    /// The end of the document; which of them it is.
    End(u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Null,
    Bool(bool),
}

/// What is known of a document when its shape is.
#[derive(Debug)]
struct End {
    layout: Layout,
    objects: u32,
    /// What the last document of this shape was called and what that means.
    named: Option<(String, Kind, Envelope)>,
}

/// A shape that is known.
#[derive(Debug, Clone, Copy)]
pub struct Shape(u16);

/// No step.
const NONE: u16 = u16::MAX;
/// How many steps are known. When there are more, all of them are forgotten: shapes of yesterday make room for those of today.
const STEPS: usize = 4096;
/// Of how many values and of which length of a way shapes are learned: frames of events have a few dozen, and short names.
const VALUES: usize = 256;
const LONGEST: usize = 512;
/// How many steps may begin at one point: where more came, members are named by values, and no two documents are alike.
const TURNS: usize = 24;
/// How long the bracket is that a way to an object or array ends with.
const BRACKET: usize = 1;
/// How many bytes are compared at once.
const FIRST: usize = 16;

/// The values that were walked through, for their document's shape to be learned.
#[derive(Debug)]
pub struct Walked {
    values: Vec<Value>,
    /// There is more to the document than its values.
    strange: bool,
}

impl Walked {
    /// A text, number, object or array was read from `begin` to `end`, with `depth` others around it. `asked`: it stands at a
    /// place of the trie, which asks for the whole of it or not.
    pub fn value(&mut self, text: &[u8], (begin, end): (usize, usize), asked: Option<bool>, depth: u32) {
        let (is_asked, whole) = (asked.is_some(), asked == Some(true));
        self.values.push(match text[begin] {
            b'"' => (begin + 1, end - 1, To::Text { asked: is_asked }),
            b'{' | b'[' => (begin, end, To::Composite { asked: is_asked, whole, depth: depth as u8 }),
            // What nobody asks for is part of the way.
            b't' | b'f' | b'n' if !is_asked => return,
            b'n' => (end, end, To::Word(Word::Null)),
            first @ (b't' | b'f') => (end, end, To::Word(Word::Bool(first == b't'))),
            _ => (begin, end, To::Number { asked: is_asked }),
        });
    }

    /// An object begins whose bracket stands before `at`, and of which more is asked than what it holds by itself.
    pub fn open(&mut self, at: usize, whole: bool) {
        self.values.push((at, at, To::Open { whole }));
    }

    /// Such an object, asked for as a whole, ended at `at`; it is this one of what was found.
    pub fn close(&mut self, at: usize, found: usize) {
        match u8::try_from(found) {
            Ok(found) => self.values.push((at, at, To::Close(found))),
            Err(_) => self.strange = true,
        }
    }

    /// The ways of the document `text`, each with what it leads to; `None` is its end.
    fn ways<'t>(&self, text: &'t [u8]) -> impl Iterator<Item = (&'t [u8], Option<To>)> {
        let values = self.values.iter().map(|(begin, end, to)| {
            let bracket = if let To::Composite { .. } = to { BRACKET } else { 0 };
            (begin + bracket, *end, Some(*to))
        });
        let mut from = 0;
        values
            .chain([(text.len(), text.len(), None)])
            .map(move |(to, next, what)| (&text[std::mem::replace(&mut from, next)..to], what))
    }

    /// What the document means is more than what is told of its values.
    pub fn is_strange(&mut self) {
        self.strange = true;
    }
}

impl Default for Shapes {
    /// None is known.
    fn default() -> Shapes {
        Shapes { steps: vec![Step::new(&[], To::Text { asked: false })], ends: Vec::new(), room: Vec::new() }
    }
}

impl Step {
    fn new(way: &[u8], to: To) -> Step {
        let mut first = [0; FIRST];
        first.iter_mut().zip(way).for_each(|(to, from)| *to = *from);
        let kept = u128::MAX.checked_shr(8 * FIRST.saturating_sub(way.len()) as u32).unwrap_or(0);
        let last = u128::from_le_bytes(way.last_chunk().copied().unwrap_or_default());
        Step { first: u128::from_le_bytes(first), kept, last, way: way.into(), next: NONE, other: NONE, to }
    }

    /// Whether its way is what stands in `text` from `at` on, and may lead to what stands behind it.
    #[inline(always)]
    fn is_at(&self, text: &[u8], at: usize) -> bool {
        let ahead = text.get(at..).unwrap_or_default();
        let length = self.way.len();
        let same = match ahead.first_chunk::<FIRST>() {
            Some(window) => {
                let last = || ahead.get(length - FIRST..).and_then(|last| last.first_chunk::<FIRST>());
                (u128::from_le_bytes(*window) ^ self.first) & self.kept == 0
                    && (length <= FIRST || last().is_some_and(|last| u128::from_le_bytes(*last) == self.last))
                    && (length <= 2 * FIRST || ahead.starts_with(&self.way))
            }
            None => ahead.starts_with(&self.way),
        };
        same && match self.to {
            To::Number { .. } => matches!(ahead.get(length), Some(b'-' | b'0'..=b'9')),
            To::End(_) => ahead.len() == length,
            To::Text { .. } | To::Composite { .. } | To::Word(_) | To::Open { .. } | To::Close(_) => true,
        }
    }
}

impl Shapes {
    /// Reads a document of a shape that is known into `slots`; says which shape that is, and which objects stood in it. `None` of
    /// any other, and `slots` hold anything then.
    pub fn read<'a>(&self, json: &mut Json<'a>, slots: &mut Slots<'a>) -> Option<(Shape, u32)> {
        slots.begin();
        let text = json.bytes();
        let (mut step, mut at) = (&self.steps[0], 0);
        loop {
            step = self.steps.get(usize::from(step.next))?;
            while !step.is_at(text, at) {
                step = self.steps.get(usize::from(step.other))?;
            }
            at += step.way.len();
            // Most values are texts.
            if let To::Text { asked } = step.to {
                let quoted = json.quoted(at).ok()?;
                at = quoted.end;
                if asked {
                    slots.push(Found::Text(json.said(quoted)));
                }
                continue;
            }
            match step.to {
                To::Text { .. } => {}
                To::Number { asked } => {
                    let begin = at;
                    at = json.number(begin).ok()?;
                    if asked {
                        slots.push(Found::Number(json::number(json.spelled(begin, at)).ok()?));
                    }
                }
                To::Composite { asked, whole, depth } => {
                    let begin = at - BRACKET;
                    let (end, empty) = json.skip_within(begin, u32::from(depth)).ok()?;
                    at = end;
                    if asked {
                        slots.push(Found::Composite { raw: whole.then(|| json.spelled(begin, end)), empty });
                    }
                }
                To::Word(word) => slots.push(match word {
                    Word::Null => Found::Null,
                    Word::Bool(value) => Found::Bool(value),
                }),
                To::Open { whole } => {
                    // Where it ends is not known yet.
                    let raw = whole.then(|| json.spelled(at - BRACKET, text.len()));
                    slots.push(Found::Composite { raw, empty: false });
                }
                To::Close(found) => slots.shorten(usize::from(found), text.len() - at),
                To::End(end) => {
                    let End { layout, objects, .. } = &self.ends[usize::from(end)];
                    slots.lay_out(layout);
                    return Some((Shape(end), *objects));
                }
            }
        }
    }

    /// What the last document of this shape was called, and what that means.
    #[inline]
    pub fn named(&self, Shape(end): Shape) -> Option<(&str, Kind, Envelope)> {
        self.ends[usize::from(end)].named.as_ref().map(|(name, kind, envelope)| (&**name, *kind, *envelope))
    }

    /// A document of this shape was called `name`.
    pub fn name(&mut self, Shape(end): Shape, name: &str, kind: Kind, envelope: Envelope) {
        // Events of several names may come in turn in one shape; none of them takes room of its own.
        let named = self.ends[usize::from(end)].named.get_or_insert((String::new(), kind, envelope));
        name.clone_into(&mut named.0);
        (named.1, named.2) = (kind, envelope);
    }

    /// Nothing is walked through yet.
    pub fn walked(&mut self) -> Walked {
        Walked { values: std::mem::take(&mut self.room), strange: false }
    }

    /// Learns the shape of `text`, which was `walked` through and has filled `slots`.
    pub fn learn(&mut self, text: &[u8], walked: Walked, slots: &Slots<'_>, objects: u32) {
        if !walked.strange {
            self.add(text, &walked, slots, objects);
        }
        self.room = walked.values;
        self.room.clear();
    }

    fn add(&mut self, text: &[u8], walked: &Walked, slots: &Slots<'_>, objects: u32) {
        if walked.values.len() >= VALUES || !walked.ways(text).all(|(way, _)| can_be_learned(way)) {
            return;
        }
        if self.steps.len() + walked.values.len() >= STEPS {
            *self = Shapes::default();
        }
        let (mut step, end) = (0, To::End(self.ends.len() as u16));
        for (way, to) in walked.ways(text) {
            let Some(next) = self.step(step, way, to.unwrap_or(end)) else { return };
            step = next;
        }
        self.ends.push(End { layout: slots.layout(), objects, named: None });
    }

    /// The step behind that of this index, which is made if there is none; `None` if there are too many.
    fn step(&mut self, behind: usize, way: &[u8], to: To) -> Option<usize> {
        let (mut turns, mut last, mut next) = (0, None, self.steps[behind].next);
        while let Some(step) = self.steps.get(usize::from(next)) {
            if step.to == to && *step.way == *way {
                return Some(usize::from(next));
            }
            (turns, last, next) = (turns + 1, Some(usize::from(next)), step.other);
        }
        if turns >= TURNS {
            return None;
        }
        let new = self.steps.len();
        match last {
            None => self.steps[behind].next = new as u16,
            Some(last) => self.steps[last].other = new as u16,
        }
        self.steps.push(Step::new(way, to));
        Some(new)
    }
}

/// Of what is escaped and of what is long is told where it is read, and a way is not.
fn can_be_learned(way: &[u8]) -> bool {
    let long = || way.split(|byte| *byte == b'"').any(|name| name.len() >= Long::LEAST);
    way.len() <= LONGEST && !way.contains(&b'\\') && (way.len() < Long::LEAST || !long())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::decode::read;
    use crate::check::decode::tests::read_as_usual;
    use crate::expect::Trie;

    fn trie() -> Trie {
        let mut trie = Trie::default();
        for (pointer, whole) in [("/a", false), ("/b", true), ("/c/d", false), ("/c", true), ("/n", false)] {
            trie.intern(pointer, whole).unwrap();
        }
        trie
    }

    /// How many shapes are known when `texts` were read one after the other, each as if it were alone.
    fn known(texts: &[&str]) -> usize {
        let (trie, mut shapes) = (trie(), Shapes::default());
        for text in texts {
            let (usual, ..) = read_as_usual(&trie, text, &mut shapes).unwrap();
            assert_eq!(Ok(usual), read(&trie, text), "{text}");
        }
        shapes.ends.len()
    }

    #[test]
    fn documents_that_differ_in_values_have_one_shape() {
        let one = r#"{"a":"x","n":1,"b":[1,2],"c":{"d":null,"e":{}},"f":false,"g":[]}"#;
        for other in [
            r#"{"a":"another","n":1,"b":[1,2],"c":{"d":null,"e":{}},"f":false,"g":[]}"#,
            r#"{"a":"","n":-0.5e3,"b":[],"c":{"d":null,"e":{"h":[{}]}},"f":false,"g":[{"i":"}"}]}"#,
            r#"{"a":"\"\u00e9\n","n":1,"b":["]"],"c":{"d":null,"e":{}},"f":false,"g":[]}"#,
        ] {
            assert_eq!(known(&[one, other, one, other]), 1, "{other}");
        }
        for other in [
            r#"{"a":1,"n":1,"b":[1,2],"c":{"d":null,"e":{}},"f":false,"g":[]}"#,
            r#"{"a":"x","n":"1","b":[1,2],"c":{"d":null,"e":{}},"f":false,"g":[]}"#,
            r#"{"a":"x","n":1,"b":{},"c":{"d":null,"e":{}},"f":false,"g":[]}"#,
            r#"{"a":"x","n":1,"b":[1,2],"c":{"d":true,"e":{}},"f":false,"g":[]}"#,
            r#"{"a":"x","n":1,"b":[1,2],"c":{"d":null,"e":{}},"f":true,"g":[]}"#,
            r#"{"a":"x","n":1,"b":[1,2],"c":{"d":null,"e":{}},"f":false}"#,
            r#"{"a":"x","n":1,"b":[1,2],"c":{"d":null,"e":{}},"f":false,"g":[]} "#,
            r#"{"a": "x","n":1,"b":[1,2],"c":{"d":null,"e":{}},"f":false,"g":[]}"#,
        ] {
            assert_eq!(known(&[one, other, one, other]), 2, "{other}");
        }
    }

    #[test]
    fn of_what_means_more_than_its_values_no_shape_is_known() {
        for text in [
            // The last of two counts.
            r#"{"a":1,"a":2}"#,
            r#"{"c":{"d":1},"c":{"d":2}}"#,
            // An object may stand in it.
            r#"{"c":"{}"}"#,
            r#"{"c":{}}"#,
            r#"{"c":[{"d":1}]}"#,
            // What is escaped or long is looked at.
            r#"{"\u0061":1}"#,
            r#"{"0123456789012345678901234567890123456789":1}"#,
            r#"{"a":1,"\u0061":null}"#,
            r#"{"a":1,"0123456789012345678901234567890123456789":true}"#,
        ] {
            assert_eq!(known(&[text, text]), 0, "{text}");
        }
    }

    #[test]
    fn what_is_known_takes_bounded_room() {
        let (trie, mut shapes) = (trie(), Shapes::default());
        for n in 0..2_000 {
            // Names are values here, so that no two are alike.
            let text = format!(r#"{{"a":{n},"{n}":{{}},"b":"{n}"}}"#);
            assert_eq!(read_as_usual(&trie, &text, &mut shapes).map(|(usual, ..)| usual), read(&trie, &text));
        }
        assert!(shapes.steps.len() < 4 * TURNS, "{}", shapes.steps.len());
        // More values than steps have numbers, and a way that is longer than all others together.
        for text in [format!("[{}1]", "1,".repeat(70_000)), format!(r#"{{"a":1{}}}"#, r#","a":true"#.repeat(70_000))] {
            assert_eq!(read_as_usual(&trie, &text, &mut shapes).map(|(usual, ..)| usual), read(&trie, &text));
        }
        for value in ["1", "true"] {
            let members: Vec<_> = (0..70_000).map(|n| format!(r#""{n}":{value}"#)).collect();
            let text = format!("{{{}}}", members.join(","));
            for _ in 0..2 {
                assert_eq!(read_as_usual(&trie, &text, &mut shapes).map(|(usual, ..)| usual), read(&trie, &text));
            }
        }
        assert!(shapes.steps.len() < 4 * TURNS, "{}", shapes.steps.len());
        for n in 0..2_000 {
            let members: Vec<_> =
                (0..20).map(|m| format!(r#""{}":0"#, if n >> m & 1 == 0 { m } else { 100 + m })).collect();
            let text = format!("{{{}}}", members.join(","));
            assert_eq!(read_as_usual(&trie, &text, &mut shapes).map(|(usual, ..)| usual), read(&trie, &text));
            assert!(shapes.steps.len() <= STEPS);
        }
    }
}
