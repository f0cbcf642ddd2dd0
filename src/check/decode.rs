//! From the text of a frame to an `Extract`: one walk along the dialect's pointer trie.
//!
//! The JSON is read once and never becomes a tree: members nobody asks for are skipped, texts are borrowed. What a place
//! means is not known here.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::event::{Envelope, Extract, Found, Kind, Number, SlotId};
use crate::expect::{Dialect, Trie, TrieNode};

/// What stands at the places of a trie in one JSON document.
#[derive(Debug, Clone, PartialEq)]
pub struct Places<'a> {
    /// One entry per slot.
    pub slots: Vec<Found<'a>>,
    /// Bit `i` is set when the root's `i`-th child in the trie leads on and was an object or array.
    pub objects: u32,
}

/// Reads `text` along `trie`.
///
/// # Errors
/// When `text` is not one JSON document (RFC 8259), or nests deeper than 128 levels: the parser's words, with line and
/// column.
pub fn read<'a>(trie: &Trie, text: &'a str) -> Result<Places<'a>, String> {
    let mut places = Places { slots: vec![Found::Absent; trie.slots()], objects: 0 };
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

/// Reads the event that `text` carries.
///
/// # Errors
/// As `read`.
pub fn event<'a>(dialect: &Dialect, text: &'a str) -> Result<Extract<'a>, String> {
    let Places { slots, objects } = read(&dialect.trie, text)?;
    let mut extract =
        Extract { kind: Kind::Unnamed, name: None, envelope: Envelope { name_at: u8::MAX, objects }, slots };
    let named = dialect.name_at.iter().enumerate().find_map(|(index, slot)| match extract.at(*slot) {
        Found::Text(name) => Some((index, name.clone())),
        _ => None,
    });
    if let Some((index, name)) = named {
        extract.envelope.name_at = u8::try_from(index).unwrap_or(u8::MAX);
        extract.kind = dialect.names.find(&name).map_or(Kind::Unknown, Kind::Known);
        extract.name = Some(name);
    }
    Ok(extract)
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

    fn composite(&mut self, empty: bool) {
        if self.depth == 1 && !self.node.children.is_empty() && self.child < 32 {
            self.places.objects |= 1 << self.child;
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
        self.put(Found::Text(Cow::Borrowed(value)));
        Ok(())
    }

    fn visit_str<E>(mut self, value: &str) -> Result<(), E> {
        self.put(Found::Text(Cow::Owned(value.to_owned())));
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

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = places(&["/a/b*", "/0", "", "/type"], &text);
        }
    }
}
