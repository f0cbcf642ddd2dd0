//! From the text of a frame to an `Extract`: one walk along the dialect's pointer trie.
//!
//! The JSON is read once and never becomes a tree: members nobody asks for are skipped, texts are borrowed. What a place
//! means is not known here.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::event::{Envelope, Extract, Found, Kind, Number, SlotId};
use crate::expect::{Dialect, Split, Trie, TrieNode, bit};

/// What stands at the places of a trie in one JSON document.
#[derive(Debug, Clone, PartialEq)]
pub struct Places<'a> {
    /// One entry per slot.
    pub slots: Vec<Found<'a>>,
    /// Bit `i` is set when the root's `i`-th child in the trie leads on and was an object or array.
    pub objects: u32,
    /// Where the trie leads on there was a text that looks like an object or array.
    pub encoded: bool,
}

/// Reads `text` along `trie`.
///
/// # Errors
/// When `text` is not one JSON document (RFC 8259), or nests deeper than 128 levels: the parser's words, with line and
/// column.
pub fn read<'a>(trie: &Trie, text: &'a str) -> Result<Places<'a>, String> {
    read_into(trie, text, Vec::new())
}

/// As `read`, into a buffer whose content does not matter.
fn read_into<'a>(trie: &Trie, text: &'a str, mut slots: Vec<Found<'a>>) -> Result<Places<'a>, String> {
    slots.clear();
    slots.resize(trie.slots(), Found::Absent);
    let mut places = Places { slots, objects: 0, encoded: false };
    let mut json = serde_json::Deserializer::from_str(text);
    let root = trie.node(0);
    let walk = Walk { trie, node: root, depth: 0, child: 0, places: &mut places };
    walk.deserialize(&mut json).and_then(|()| json.end()).map_err(|error| error.to_string())?;
    if root.whole
        && let Some(slot) = root.slot
        && let Found::Composite { raw, .. } = &mut places.slots[usize::from(slot.0)]
    {
        *raw = Some(text);
    }
    Ok(places)
}

/// Reads the event that `text` carries, or what is common to those it carries.
///
/// # Errors
/// As `read`.
pub fn event<'a>(dialect: &Dialect, text: &'a str) -> Result<Extract<'a>, String> {
    event_into(dialect, text, Vec::new())
}

/// As `event`, into a buffer whose content does not matter; `Extract::slots` is that buffer.
///
/// # Errors
/// As `read`.
pub fn event_into<'a>(dialect: &Dialect, text: &'a str, slots: Vec<Found<'a>>) -> Result<Extract<'a>, String> {
    let Places { slots, objects, .. } = read_into(&dialect.trie, text, slots)?;
    Ok(named(dialect, slots, objects))
}

/// Looks up the name of what was read.
fn named<'a>(dialect: &Dialect, slots: Vec<Found<'a>>, objects: u32) -> Extract<'a> {
    let objects = objects & !dialect.ignored_objects;
    let envelope = Envelope { name_at: u8::MAX, objects, alias: 0, at_root: false };
    let mut extract = Extract { kind: Kind::Unnamed, name: None, envelope, slots };
    extract.envelope.at_root = objects != 0 && dialect.root_parts.iter().any(|slot| extract.at(*slot).exists());
    let named = dialect.name_at.iter().enumerate().find_map(|(index, slot)| match extract.at(*slot) {
        Found::Text(name) => Some((index, name.clone())),
        _ => None,
    });
    if let Some((index, name)) = named {
        extract.envelope.name_at = u8::try_from(index).unwrap_or(u8::MAX);
        name_it(dialect, &mut extract, name);
    }
    extract
}

fn name_it<'a>(dialect: &Dialect, extract: &mut Extract<'a>, name: Cow<'a, str>) {
    let found = dialect.names.read(&name);
    extract.kind = found.map_or(Kind::Unknown, |(kind, _)| Kind::Known(kind));
    extract.envelope.alias = found.map_or(0, |(_, alias)| alias);
    extract.name = Some(name);
}

/// The text of a frame with JSON texts in the place of objects read through, once; `None` if there are none, or the dialect does
/// not ask for it. The caller reads what is returned in place of the frame.
pub fn unwrapped(dialect: &Dialect, text: &str) -> Option<String> {
    if !dialect.json_string {
        return None;
    }
    if text.trim_ascii_start().starts_with('"') {
        let inner: String = serde_json::from_str(text).ok()?;
        return looks_composite(&inner)
            .then_some(inner)
            .filter(|inner| serde_json::from_str::<IgnoredAny>(inner).is_ok());
    }
    // A text that begins with a bracket is rare enough to look for before anything else is done.
    if !text.contains("\"{") && !text.contains("\"[") {
        return None;
    }
    let places = read(&dialect.trie, text).ok()?;
    if !places.encoded {
        return None;
    }
    let mut value: serde_json::Value = serde_json::from_str(text).ok()?;
    let mut changed = false;
    inline(&dialect.trie, dialect.trie.node(0), &mut value, &mut changed);
    changed.then(|| value.to_string())
}

/// Replaces texts that are JSON objects or arrays by what they hold wherever the trie leads on, but not within what was replaced.
fn inline(trie: &Trie, node: &TrieNode, value: &mut serde_json::Value, changed: &mut bool) {
    for (name, next) in &node.children {
        let next = trie.node(*next);
        let Some(member) = value.get_mut(&**name).filter(|_| !next.children.is_empty()) else { continue };
        match member {
            serde_json::Value::String(text) if looks_composite(text) => {
                if let Ok(inner) = serde_json::from_str(text) {
                    *member = inner;
                    *changed = true;
                }
            }
            member => inline(trie, next, member, changed),
        }
    }
}

fn looks_composite(text: &str) -> bool {
    text.trim_ascii_start().starts_with(['{', '['])
}

/// The events of a frame that carries several.
#[derive(Debug)]
pub struct Batch<'a> {
    /// What was read of each.
    pub events: Vec<Extract<'a>>,
    /// Their order means nothing.
    pub unordered: bool,
}

/// Takes a frame apart if it carries several events. `None` if it does not, or what stands there cannot be taken apart.
pub fn batch<'a>(dialect: &Dialect, frame: &Extract<'a>) -> Option<Batch<'a>> {
    let raw_at = |split: &&Split| match frame.at(split.at) {
        Found::Composite { raw: Some(raw), .. } => Some(*raw),
        _ => None,
    };
    let (split, raw) = dialect.split.iter().find_map(|split| raw_at(&split).map(|raw| (split, raw)))?;
    let mut parts: Vec<(Option<String>, &'a RawValue)> = Vec::new();
    if split.by_name {
        let Members(members) = serde_json::from_str(raw).ok()?;
        for (name, value) in members {
            match serde_json::from_str::<Vec<&'a RawValue>>(value.get()) {
                Ok(list) => parts.extend(list.into_iter().map(|part| (Some(name.clone()), part))),
                Err(_) => parts.push((Some(name), value)),
            }
        }
    } else {
        let list: Vec<&'a RawValue> = serde_json::from_str(raw).ok()?;
        parts.extend(list.into_iter().map(|part| (None, part)));
    }
    let events = parts.into_iter().filter_map(|(name, part)| {
        let Places { mut slots, objects, .. } = read(&dialect.trie, part.get()).ok()?;
        for (index, slot) in slots.iter_mut().enumerate() {
            let given = SlotId(index as u16);
            let own = dialect.name_at.contains(&given) || dialect.split.iter().any(|split| split.at == given);
            if *slot == Found::Absent && !own {
                *slot = frame.at(given).clone();
            }
        }
        let mut event = named(dialect, slots, objects);
        if let Some(name) = name {
            event.envelope.name_at = u8::MAX;
            name_it(dialect, &mut event, Cow::Owned(name));
        }
        Some(event)
    });
    Some(Batch { events: events.collect(), unordered: split.by_name })
}

/// The members of an object, in the order in which they stand.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Reader).map(Members)
    }
}

/// The walk stands at `node` and is about to read the value there.
struct Walk<'t, 'p, 'a> {
    trie: &'t Trie,
    node: &'t TrieNode,
    depth: u32,
    /// Which child of its parent `node` is.
    child: usize,
    places: &'p mut Places<'a>,
}

impl<'a> Walk<'_, '_, 'a> {
    fn put(&mut self, found: Found<'a>) {
        if let Some(SlotId(slot)) = self.node.slot {
            self.places.slots[usize::from(slot)] = found;
        }
    }

    fn text(&mut self, text: Cow<'a, str>) {
        self.places.encoded |= !self.node.children.is_empty() && looks_composite(&text);
        self.put(Found::Text(text));
    }

    fn composite(&mut self, empty: bool) {
        if self.depth == 1 && !self.node.children.is_empty() {
            self.places.objects |= bit(self.child);
        }
        self.put(Found::Composite { raw: None, empty });
    }
}

impl<'de: 'a, 'a> DeserializeSeed<'de> for Walk<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // The root's own text is the frame; only below it the parser has to hand out the text of a value.
        if !self.node.whole || self.depth == 0 {
            return deserializer.deserialize_any(self);
        }
        let slot = self.node.slot;
        let raw: &'de RawValue = serde::Deserialize::deserialize(deserializer)?;
        let Walk { trie, node, depth, child, places } = self;
        let again = Walk { trie, node, depth, child, places: &mut *places };
        let mut json = serde_json::Deserializer::from_str(raw.get());
        json.deserialize_any(again).map_err(D::Error::custom)?;
        if let Some(SlotId(slot)) = slot
            && let Found::Composite { raw: text, .. } = &mut places.slots[usize::from(slot)]
        {
            *text = Some(raw.get());
        }
        Ok(())
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Walk<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(mut self) -> Result<(), E> {
        self.put(Found::Null);
        Ok(())
    }

    fn visit_bool<E>(mut self, value: bool) -> Result<(), E> {
        self.put(Found::Bool(value));
        Ok(())
    }

    fn visit_u64<E>(mut self, value: u64) -> Result<(), E> {
        self.put(Found::Number(Number::Unsigned(value)));
        Ok(())
    }

    fn visit_i64<E>(mut self, value: i64) -> Result<(), E> {
        let number = u64::try_from(value).map_or(Number::Signed(value), Number::Unsigned);
        self.put(Found::Number(number));
        Ok(())
    }

    fn visit_f64<E>(mut self, value: f64) -> Result<(), E> {
        self.put(Found::Number(Number::Float(value)));
        Ok(())
    }

    fn visit_borrowed_str<E>(mut self, value: &'de str) -> Result<(), E> {
        self.text(Cow::Borrowed(value));
        Ok(())
    }

    fn visit_str<E>(mut self, value: &str) -> Result<(), E> {
        self.text(Cow::Owned(value.to_owned()));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut empty = true;
        while let Some(child) = map.next_key_seed(Key(self.node))? {
            empty = false;
            match child {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(child) => {
                    let node = self.trie.node(self.node.children[child].1);
                    let places = &mut *self.places;
                    map.next_value_seed(Walk { trie: self.trie, node, depth: self.depth + 1, child, places })?;
                }
            }
        }
        self.composite(empty);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut index = 0_usize;
        loop {
            // RFC 6901, section 4: array indexes are decimal digits without leading zeros.
            let digits = index.to_string();
            let child = self.node.children.iter().position(|(name, _)| **name == *digits);
            let more = match child {
                None => seq.next_element::<IgnoredAny>()?.is_some(),
                Some(child) => {
                    let node = self.trie.node(self.node.children[child].1);
                    let places = &mut *self.places;
                    let walk = Walk { trie: self.trie, node, depth: self.depth + 1, child, places };
                    seq.next_element_seed(walk)?.is_some()
                }
            };
            if !more {
                break;
            }
            index += 1;
            // Elements beyond the asked ones cost nothing but reading.
            if self.node.children.is_empty() {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                break;
            }
        }
        self.composite(index == 0);
        Ok(())
    }
}

/// Finds a member's name among a node's children without copying it.
struct Key<'t>(&'t TrieNode);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.children.iter().position(|(child, _)| **child == *name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::KindId;

    /// Interns `pointers` (a trailing `*` asks for the whole value) and reads `text`.
    fn places<'a>(pointers: &[&str], text: &'a str) -> Result<Places<'a>, String> {
        let mut trie = Trie::default();
        for pointer in pointers {
            let whole = pointer.ends_with('*');
            trie.intern(pointer.trim_end_matches('*'), whole).unwrap();
        }
        read(&trie, text)
    }

    #[test]
    fn values_keep_their_types() {
        let text = r#"{"a":"x","b":1,"c":-2,"d":1.5,"e":true,"f":null,"g":{},"h":[1],"i":"t\u00e9"}"#;
        let slots = places(&["/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h", "/i", "/j"], text).unwrap().slots;
        assert_eq!(
            slots,
            [
                Found::Text("x".into()),
                Found::Number(Number::Unsigned(1)),
                Found::Number(Number::Signed(-2)),
                Found::Number(Number::Float(1.5)),
                Found::Bool(true),
                Found::Null,
                Found::Composite { raw: None, empty: true },
                Found::Composite { raw: None, empty: false },
                Found::Text("té".into()),
                Found::Absent,
            ]
        );
        assert!(matches!(slots[0], Found::Text(Cow::Borrowed(_))), "a text without escapes is borrowed");
    }

    #[test]
    fn places_nest_and_overlap() {
        let text = r#"{"data":{"user_id":"u-1","result":{"usd":12}},"list":[{"id":7},{"id":8}]}"#;
        let pointers = ["/data/user_id", "/data/result*", "/data/result/usd", "/list/1/id", "/data/user_id/x"];
        let found = places(&pointers, text).unwrap();
        assert_eq!(
            found.slots,
            [
                Found::Text("u-1".into()),
                Found::Composite { raw: Some(r#"{"usd":12}"#), empty: false },
                Found::Number(Number::Unsigned(12)),
                Found::Number(Number::Unsigned(8)),
                Found::Absent,
            ]
        );
        assert_eq!(found.objects, 0b11, "both top-level objects that lead on were there");
    }

    #[test]
    fn the_whole_document_can_be_asked_for() {
        assert_eq!(places(&["*"], "[1, 2]").unwrap().slots, [Found::Composite { raw: Some("[1, 2]"), empty: false }]);
        assert_eq!(places(&["*"], "\"x\"").unwrap().slots, [Found::Text("x".into())]);
    }

    #[test]
    fn what_is_not_one_document_is_an_error() {
        for wrong in ["", "{", "{} {}", "nope", "{\"a\":1,}", &"[".repeat(200)] {
            assert!(places(&["/a"], wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_first_name_that_is_a_text_is_the_name() {
        let mut dialect = Dialect::default();
        for pointer in ["/type", "/event"] {
            let slot = dialect.trie.intern(pointer, false).unwrap();
            dialect.name_at.push(slot);
        }
        dialect.names.intern("agent_started");
        let read = |text| event(&dialect, text).unwrap();
        let extract = read(r#"{"type":null,"event":"agent_started"}"#);
        assert_eq!((extract.kind, extract.envelope.name_at), (Kind::Known(KindId(0)), 1));
        assert_eq!(read(r#"{"type":"other"}"#).kind, Kind::Unknown);
        assert_eq!(read("[]").kind, Kind::Unnamed);
    }

    /// `/data/agent` at its place, names at `/type`, batches at `/events`.
    fn dialect() -> Dialect {
        let mut dialect = Dialect { json_string: true, ..Dialect::default() };
        dialect.name_at = vec![dialect.trie.intern("/type", false).unwrap()];
        dialect.fields.agent = vec![dialect.trie.intern("/data/agent", false).unwrap()];
        let at = dialect.trie.intern("/events", true).unwrap();
        dialect.split = vec![Split { at, by_name: true }];
        dialect.names.intern("thinking");
        dialect
    }

    #[test]
    fn json_in_texts_is_read_through_once() {
        let dialect = dialect();
        for (text, inner) in [
            (r#""{\"type\":\"x\"}""#, Some(r#"{"type":"x"}"#)),
            (r#"{"type":"x","data":"{\"agent\":\"a\"}"}"#, Some(r#"{"type":"x","data":{"agent":"a"}}"#)),
            // Nothing is asked for below the type, so a text there is a text.
            (r#"{"type":"{\"a\":1}"}"#, None),
            (r#"{"type":"x","data":{"agent":"a"}}"#, None),
            (r#"{"type":"x","data":"{not json"}"#, None),
            (r#""hello""#, None),
            (r#""{""#, None),
        ] {
            assert_eq!(unwrapped(&dialect, text).as_deref(), inner, "{text}");
        }
        let strict = Dialect { json_string: false, ..dialect };
        assert_eq!(unwrapped(&strict, r#""{}""#), None);
    }

    #[test]
    fn a_batch_is_taken_apart_by_name() {
        let dialect = dialect();
        let text = r#"{"type":"event_batch","data":{"agent":"outer"},
            "events":{"thinking":[{"data":{"agent":"a"}},{}],"other":{"type":"own"}}}"#;
        let frame = event(&dialect, text).unwrap();
        let Batch { events, unordered } = batch(&dialect, &frame).unwrap();
        let told: Vec<_> = events
            .iter()
            .map(|event| {
                (event.name.as_deref().unwrap(), event.first_text(&dialect.fields.agent).unwrap().into_owned())
            })
            .collect();
        assert!(unordered);
        let expected = [("thinking", "a"), ("thinking", "outer"), ("other", "outer")];
        assert_eq!(told, expected.map(|(name, agent)| (name, agent.to_owned())));
        assert_eq!(events[0].kind, Kind::Known(KindId(0)));
        assert!(batch(&dialect, &event(&dialect, r#"{"type":"x"}"#).unwrap()).is_none());
        assert!(batch(&dialect, &event(&dialect, r#"{"events":[1]}"#).unwrap()).is_none());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = places(&["/a/b*", "/0", "", "/type"], &text);
        }
    }
}
