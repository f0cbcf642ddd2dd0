//! From the text of a frame to an `Extract`: one walk along the dialect's pointer trie.
//!
//! The JSON is read once and never becomes a tree: members nobody asks for are skipped, texts are borrowed. What a place
//! means is not known here.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::form::{self, Content, Part};
use super::json::{self, Json, Long, Malformed, Quoted};
use super::shapes::{Shape, Shapes, Walked};
use crate::event::{Envelope, Extract, Found, Kind, KindId, SlotId, Slots};
use crate::expect::{Dialect, Member, Split, Trie, TrieNode, bit};

/// What stands at the places of a trie in one JSON document.
#[derive(Debug, Clone, PartialEq)]
pub struct Places<'a> {
    /// One entry per slot.
    pub slots: Slots<'a>,
    /// Bit `i` is set when the root's `i`-th child in the trie leads on and was an object or array.
    pub objects: u32,
    /// Where the trie leads on there was a text that looks like an object or array.
    pub encoded: bool,
}

/// Reads `text` along `trie`. Of members with the same name the last counts.
///
/// # Errors
/// When `text` is not one JSON document (RFC 8259), or nests deeper than `json::DEEPEST` levels: why, with line and column.
pub fn read<'a>(trie: &Trie, text: &'a str) -> Result<Places<'a>, String> {
    read_into(trie, text, Slots::default())
}

/// As `read`, into slots whose content does not matter.
fn read_into<'a>(trie: &Trie, text: &'a str, mut slots: Slots<'a>) -> Result<Places<'a>, String> {
    let Around { objects, encoded, .. } = walk(trie, text, &mut slots, None)?;
    Ok(Places { slots, objects, encoded })
}

/// What of `Places` is not in the slots.
#[derive(Debug, Clone, Copy, Default)]
struct Around {
    objects: u32,
    encoded: bool,
    coded: bool,
    long: Long,
    /// Its shape, where that was known.
    shape: Option<Shape>,
}

/// As `read_into`, into slots that stay where they are, and sooner where the shape of `text` is known.
fn walk<'a>(
    trie: &Trie,
    text: &'a str,
    slots: &mut Slots<'a>,
    mut usual: Option<&mut Shapes>,
) -> Result<Around, String> {
    let mut json = Json::new(text);
    if let Some(shapes) = &usual
        && let Some((shape, objects)) = shapes.read(&mut json, slots)
    {
        return Ok(Around { objects, encoded: false, coded: json.coded, long: json.long, shape: Some(shape) });
    }
    slots.reset(trie.slots());
    let walked = usual.as_mut().map(|shapes| shapes.walked());
    let mut walk = Walk { trie, json: Json::new(text), slots, around: Around::default(), walked };
    let end = walk.value(0, walk.json.space(0), 0);
    let Walk { json, around, walked, slots, .. } = walk;
    end.and_then(|end| json.end(end)).map_err(|Malformed| json::why(text))?;
    if let Some((shapes, walked)) = usual.zip(walked) {
        shapes.learn(text.as_bytes(), walked, slots, around.objects);
    }
    Ok(Around { coded: json.coded, long: json.long, ..around })
}

/// A frame that was read.
#[derive(Debug)]
pub struct Read<'a> {
    /// The event that it carries, or what is common to those it carries.
    pub extract: Extract<'a>,
    /// See `Places::encoded`: `unwrapped` may have something to say.
    pub encoded: bool,
    /// `\u` stands in it, and it may hold what it does not spell: see `escapes::plain`.
    pub coded: bool,
    /// Its long texts, of which one may hold a mark.
    pub long: Long,
}

/// Reads the event that `text` carries, or what is common to those it carries.
///
/// # Errors
/// As `read`.
pub fn event<'a>(dialect: &Dialect, text: &'a str) -> Result<Extract<'a>, String> {
    event_into(dialect, text, Slots::default(), None).map(|read| read.extract)
}

/// As `event`, into slots whose content does not matter; `Extract::slots` are those. `usual`: what is known of such frames.
///
/// # Errors
/// As `read`.
pub(super) fn event_into<'a>(
    dialect: &Dialect,
    text: &'a str,
    mut slots: Slots<'a>,
    mut usual: Option<&mut Shapes>,
) -> Result<Read<'a>, String> {
    let Around { objects, encoded, coded, long, shape } = walk(&dialect.trie, text, &mut slots, usual.as_deref_mut())?;
    let extract = match usual.zip(shape).filter(|_| dialect.rules.is_empty()) {
        Some((shapes, shape)) => named_as_usual(dialect, slots, objects, text, (shapes, shape)),
        None => named(dialect, slots, objects, text),
    };
    Ok(Read { extract, encoded, coded, long })
}

/// Shows every event that a frame carries, with the text that matchers test; what cannot be read is passed over. `own` gives the
/// user's own values, as far as they are known.
pub fn each(
    dialect: &Dialect,
    text: &str,
    own: &dyn Fn(&str) -> Option<String>,
    show: &mut dyn FnMut(&Extract<'_>, &str),
) {
    let whole = || vec![Part { raw: text, before: None, named: None, content: Content::Json(Cow::Borrowed(text)) }];
    let parts = if dialect.forms.is_empty() { Some(whole()) } else { form::parts(dialect, text) };
    for part in parts.iter().flatten() {
        let inner = match &part.content {
            Content::Json(text) => unwrapped(dialect, text),
            Content::Text(_) => None,
        };
        let inner = inner.map(|inner| Part { content: Content::Json(Cow::Owned(inner)), ..part.clone() });
        let Ok(Read { mut extract, .. }) = part_into(dialect, inner.as_ref().unwrap_or(part), Slots::default()) else {
            continue;
        };
        for (name, slot) in dialect.trie.own() {
            if let Some(value) = own(name) {
                extract.slots.put(*slot, Found::Text(value.into()));
            }
        }
        match batch(dialect, &extract) {
            Some(batch) => batch.events.iter().for_each(|event| show(event, part.raw)),
            None => show(&extract, part.raw),
        }
    }
}

/// Reads the event that a part of a frame carries, as `event_into` does that of a whole frame. What stands before the document is
/// the event's name where the document holds none.
///
/// # Errors
/// As `read`.
pub fn part_into<'a>(dialect: &Dialect, part: &'a Part<'_>, mut slots: Slots<'a>) -> Result<Read<'a>, String> {
    let Places { mut slots, objects, encoded } = match &part.content {
        Content::Json(text) => read_into(&dialect.trie, text, slots)?,
        Content::Text(text) => {
            slots.reset(dialect.trie.slots());
            if let Some(whole) = dialect.trie.node(0).slot {
                slots.put(whole, Found::Text(Cow::Borrowed(text)));
            }
            Places { slots, objects: 0, encoded: false }
        }
    };
    if let Some((slot, before)) = dialect.trie.before().zip(part.before) {
        slots.put(slot, Found::Text(Cow::Borrowed(before)));
    }
    let mut extract = named(dialect, slots, objects, part.raw);
    if let (Kind::Unnamed, Some(name)) = (extract.kind, part.named) {
        name_it(&mut extract, Cow::Borrowed(name), at_place(dialect, name));
    }
    Ok(Read { extract, encoded, coded: true, long: Long::default() })
}

/// As `named`, sooner where the last document of its shape had the same name: which place is the first that holds a text is the
/// same in all of them.
fn named_as_usual<'a>(
    dialect: &Dialect,
    slots: Slots<'a>,
    objects: u32,
    text: &str,
    (shapes, shape): (&mut Shapes, Shape),
) -> Extract<'a> {
    if let Some((name, kind, envelope)) = shapes.named(shape)
        && let Some(slot) = dialect.name_at.get(usize::from(envelope.name_at))
        && let Found::Text(Cow::Borrowed(same)) = slots.at(*slot)
        && *same == name
    {
        return Extract { kind, name: Some(Cow::Borrowed(same)), envelope, slots };
    }
    let extract = named(dialect, slots, objects, text);
    if let Some(Cow::Borrowed(name)) = extract.name {
        shapes.name(shape, name, extract.kind, extract.envelope);
    }
    extract
}

/// Looks up the name of what was read from `text`.
fn named<'a>(dialect: &Dialect, slots: Slots<'a>, objects: u32, text: &str) -> Extract<'a> {
    let objects = objects & !dialect.ignored_objects;
    let envelope = Envelope { name_at: u8::MAX, objects, alias: 0, at_root: false };
    let mut extract = Extract { kind: Kind::Unnamed, name: None, envelope, slots };
    extract.envelope.at_root = objects != 0
        && match extract.slots.filled() {
            Some(filled) => filled.meets(&dialect.root_set),
            None => dialect.root_parts.iter().any(|slot| extract.at(*slot).exists()),
        };
    if let Some((kind, _)) = dialect.rules.iter().find(|(_, rule)| rule.holds(&extract, text)) {
        extract.kind = Kind::Known(*kind);
        extract.envelope.name_at = Envelope::BY_RULE;
        extract.name = Some(Cow::Owned(dialect.names.get(*kind).to_owned()));
        return extract;
    }
    let named = dialect.name_at.iter().enumerate().find_map(|(index, slot)| match extract.at(*slot) {
        Found::Text(name) => Some((index, name.clone())),
        _ => None,
    });
    if let Some((index, name)) = named {
        extract.envelope.name_at = u8::try_from(index).unwrap_or(u8::MAX);
        let found = at_place(dialect, &name);
        name_it(&mut extract, name, found);
    }
    extract
}

/// What a name means that stands at a place: none of the events that rules name.
fn at_place(dialect: &Dialect, name: &str) -> Option<(KindId, u16)> {
    let by_rule = |kind| dialect.rules.iter().any(|(named, _)| *named == kind);
    dialect.names.read(name).filter(|(kind, _)| !by_rule(*kind))
}

fn name_it<'a>(extract: &mut Extract<'a>, name: Cow<'a, str>, found: Option<(KindId, u16)>) {
    extract.kind = found.map_or(Kind::Unknown, |(kind, _)| Kind::Known(kind));
    extract.envelope.alias = found.map_or(0, |(_, alias)| alias);
    extract.name = Some(name);
}

/// The text of a frame with JSON texts in the place of objects read through, once; `None` if there are none (as in any frame that
/// is not `Read::encoded`), or the dialect does not ask for it. The caller reads what is returned in place of the frame.
pub fn unwrapped(dialect: &Dialect, text: &str) -> Option<String> {
    if !dialect.json_string {
        return None;
    }
    let text = json::whole_characters(text);
    if text.trim_ascii_start().starts_with('"') {
        let inner: String = serde_json::from_str(&text).ok()?;
        return looks_composite(&inner)
            .then_some(inner)
            .filter(|inner| serde_json::from_str::<IgnoredAny>(inner).is_ok());
    }
    let mut value: serde_json::Value = serde_json::from_str(&text).ok()?;
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
                if let Ok(inner) = serde_json::from_str(&json::whole_characters(text)) {
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
    dialect.split.iter().find_map(|split| match frame.at(split.at) {
        Found::Composite { raw: Some(raw), .. } => split_at(dialect, frame, split, raw),
        _ => None,
    })
}

/// Takes apart what stands as `raw` at the place of `split`.
fn split_at<'a>(dialect: &Dialect, frame: &Extract<'a>, split: &Split, raw: &'a str) -> Option<Batch<'a>> {
    let parts = if split.by_name { members(raw) } else { elements(raw) }.ok()??;
    let events = parts.into_iter().filter_map(|(name, part)| {
        let Places { mut slots, objects, .. } = read(&dialect.trie, part).ok()?;
        for slot in slots.ids() {
            let own = dialect.name_at.contains(&slot) || dialect.split.iter().any(|split| split.at == slot);
            if *slots.at(slot) == Found::Absent && !own {
                slots.put(slot, frame.at(slot).clone());
            }
        }
        let mut event = named(dialect, slots, objects, part);
        if let Some(name) = name {
            event.envelope.name_at = u8::MAX;
            let found = dialect.names.read(&name);
            name_it(&mut event, Cow::Owned(name), found);
        }
        Some(event)
    });
    Some(Batch { events: events.collect(), unordered: split.by_name })
}

/// An event of a batch: its name, where the batch tells it, and its text.
type Batched<'a> = (Option<String>, &'a str);

/// The members of an object in the order in which they stand, each element of those that are lists. `None` of anything else.
fn members(raw: &str) -> Result<Option<Vec<Batched<'_>>>, Malformed> {
    let mut json = Json::new(raw);
    let begin = json.space(0);
    if json.byte(begin) != b'{' {
        return Ok(None);
    }
    let mut parts = Vec::new();
    let mut next = json.first(begin + 1, b'}', 0)?;
    while let Ok(at) = next {
        let (name, at) = json.member(at)?;
        let (name, end) = (json.said(name).into_owned(), json.skip(at, 1)?);
        let value = json.spelled(at, end);
        match elements(value)? {
            Some(list) => parts.extend(list.into_iter().map(|(_, part)| (Some(name.clone()), part))),
            None => parts.push((Some(name), value)),
        }
        next = json.next(end, b'}')?;
    }
    Ok(Some(parts))
}

/// The elements of a list. `None` of anything else.
fn elements(raw: &str) -> Result<Option<Vec<Batched<'_>>>, Malformed> {
    let mut json = Json::new(raw);
    let begin = json.space(0);
    if json.byte(begin) != b'[' {
        return Ok(None);
    }
    let mut parts = Vec::new();
    let mut next = json.first(begin + 1, b']', 0)?;
    while let Ok(at) = next {
        let end = json.skip(at, 1)?;
        parts.push((None, json.spelled(at, end)));
        next = json.next(end, b']')?;
    }
    Ok(Some(parts))
}

/// A walk through the document and the trie at once.
struct Walk<'t, 'a> {
    trie: &'t Trie,
    json: Json<'a>,
    slots: &'t mut Slots<'a>,
    around: Around,
    /// What was met on the way, if that is to be learned.
    walked: Option<Walked>,
}

impl<'a> Walk<'_, 'a> {
    /// Reads the value that begins at `at`, with `depth` objects and arrays around it, and stands at the node of this index; says
    /// where it ends.
    fn value(&mut self, index: u16, at: usize, depth: u32) -> Result<usize, Malformed> {
        let node = self.trie.node(usize::from(index));
        let first = self.json.byte(at);
        let (end, empty) = match first {
            _ if node.children.is_empty() => return self.leaf(node.slot, node.whole, at, depth),
            b'{' => {
                self.open(node, at);
                self.object(index, at, depth)?
            }
            b'[' => self.array(node, at, depth)?,
            _ => {
                let end = self.leaf(node.slot, node.whole, at, depth)?;
                // What is quoted may be an object or list, spelled out as a text.
                let begin = self.json.bytes().get(at + 1..end).unwrap_or_default().trim_ascii_start().first();
                self.around.encoded |= first == b'"' && matches!(begin, Some(b'{' | b'[' | b'\\'));
                if !matches!(first, b't' | b'f' | b'n') {
                    self.is_strange();
                }
                return Ok(end);
            }
        };
        if let Some(slot) = node.slot {
            let raw = node.whole.then(|| self.json.spelled(at, end));
            self.slots.put(slot, Found::Composite { raw, empty });
            if let Some(walked) = self.walked.as_mut().filter(|_| node.whole)
                && let Some(found) = self.slots.put_as(slot)
            {
                walked.close(end, found);
            }
            if empty {
                self.is_strange();
            }
        }
        Ok(end)
    }

    /// Lets an object that begins at `at` stand at `node` before anything that it holds: this is the order for those who read its
    /// shape again.
    fn open(&mut self, node: &TrieNode, at: usize) {
        let (Some(slot), Some(walked)) = (node.slot, &mut self.walked) else { return };
        if self.slots.put_as(slot).is_some() {
            walked.is_strange();
        }
        self.slots.put(slot, Found::Composite { raw: None, empty: false });
        walked.open(at + 1, node.whole);
    }

    /// No other document is to be read as this one.
    fn is_strange(&mut self) {
        if let Some(walked) = &mut self.walked {
            walked.is_strange();
        }
    }

    /// Passes over the value that begins at `at`, for which nobody asks; says where it ends.
    fn skip(&mut self, at: usize, depth: u32) -> Result<usize, Malformed> {
        let end = self.json.skip(at, depth)?;
        if let Some(walked) = &mut self.walked {
            walked.value(self.json.bytes(), (at, end), None, depth);
        }
        Ok(end)
    }

    /// Reads the value that begins at `at`, and nothing within it by itself.
    fn leaf(&mut self, slot: Option<SlotId>, whole: bool, at: usize, depth: u32) -> Result<usize, Malformed> {
        let (found, end) = match self.json.byte(at) {
            b'"' => {
                let quoted = self.json.quoted(at + 1)?;
                (Found::Text(self.json.said(quoted)), quoted.end + 1)
            }
            b'{' | b'[' => {
                let (end, empty) = self.json.skip_within(at, depth)?;
                (Found::Composite { raw: whole.then(|| self.json.spelled(at, end)), empty }, end)
            }
            first @ (b't' | b'f') => (Found::Bool(first == b't'), self.json.scalar(at)?),
            b'n' => (Found::Null, self.json.scalar(at)?),
            _ => {
                let end = self.json.scalar(at)?;
                (Found::Number(json::number(self.json.spelled(at, end))?), end)
            }
        };
        if let (Some(slot), Some(walked)) = (slot, &mut self.walked) {
            if self.slots.put_as(slot).is_some() {
                walked.is_strange();
            }
            walked.value(self.json.bytes(), (at, end), Some(whole), depth);
        }
        if let Some(slot) = slot {
            self.slots.put(slot, found);
        }
        Ok(end)
    }

    /// Reads the object that begins at `at` and stands at the node of this index; says where it ends and whether there is nothing
    /// in it.
    fn object(&mut self, index: u16, at: usize, depth: u32) -> Result<(usize, bool), Malformed> {
        let mut next = self.json.first(at + 1, b'}', depth)?;
        let (empty, mut seen) = (next.is_err(), 0_u64);
        loop {
            let at = match next {
                Ok(at) => at,
                Err(end) => return Ok((end, empty)),
            };
            let (name, at) = self.json.member(at)?;
            let end = match self.named(self.trie.node(usize::from(index)), name).copied() {
                None => self.skip(at, depth + 1)?,
                // What stood there before is overwritten.
                Some(Member { leaf: true, slot, whole, .. }) => self.leaf(slot, whole, at, depth + 1)?,
                Some(Member { node, child, .. }) => {
                    // Children beyond the 63rd share a bit; forgetting what is not there does no harm.
                    let this = 1 << child.min(63);
                    if seen & this != 0 {
                        self.forget(self.trie.node(usize::from(node)));
                        self.is_strange();
                    }
                    seen |= this;
                    self.child(usize::from(child), node, at, depth + 1)?
                }
            };
            next = self.json.next(end, b'}')?;
        }
    }

    /// Which child of `node` a member of this name is.
    fn named<'n>(&self, node: &'n TrieNode, name: Quoted) -> Option<&'n Member> {
        if !name.escaped {
            return node.member(self.json.bytes(), name.begin, name.end);
        }
        let said = self.json.said(name);
        node.member(said.as_bytes(), 0, said.len())
    }

    /// Reads the array that begins at `at` and stands at `node`; says where it ends and whether there is nothing in it.
    fn array(&mut self, node: &TrieNode, at: usize, depth: u32) -> Result<(usize, bool), Malformed> {
        let mut next = self.json.first(at + 1, b']', depth)?;
        let mut index = 0;
        self.is_strange();
        loop {
            let at = match next {
                Ok(at) => at,
                Err(end) => return Ok((end, index == 0)),
            };
            let end = match node.children.iter().position(|(name, _)| is_index(name, index)) {
                None => self.json.skip(at, depth + 1)?,
                Some(child) => self.child(child, node.children[child].1 as u16, at, depth + 1)?,
            };
            index += 1;
            next = self.json.next(end, b']')?;
        }
    }

    /// Reads the value that begins at `at` and stands at the node `next`, which is the `child`-th child of its parent.
    fn child(&mut self, child: usize, next: u16, at: usize, depth: u32) -> Result<usize, Malformed> {
        // Nothing else can hold the parts of an event.
        if depth == 1 && !self.trie.node(usize::from(next)).children.is_empty() {
            let composite = matches!(self.json.byte(at), b'{' | b'[');
            let bit = bit(child);
            self.around.objects = if composite { self.around.objects | bit } else { self.around.objects & !bit };
        }
        self.value(next, at, depth)
    }

    /// Takes back what stood at `node` and below: a member of the same name follows.
    fn forget(&mut self, node: &TrieNode) {
        if let Some(slot) = node.slot {
            self.slots.put(slot, Found::Absent);
        }
        for (_, next) in &node.children {
            self.forget(self.trie.node(*next));
        }
    }
}

/// Whether `name` is how a pointer writes `index` (RFC 6901, section 4: decimal digits without leading zeros).
fn is_index(name: &str, index: usize) -> bool {
    name.parse() == Ok(index) && (name == "0" || !name.starts_with(['0', '+']))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::canary::{self, Canary};
    use crate::event::{KindId, Number};

    /// Interns `pointers` (a trailing `*` asks for the whole value) and reads `text`.
    fn places<'a>(pointers: &[&str], text: &'a str) -> Result<Places<'a>, String> {
        let mut trie = Trie::default();
        for pointer in pointers {
            let whole = pointer.ends_with('*');
            trie.intern(pointer.trim_end_matches('*'), whole).unwrap();
        }
        read(&trie, text)
    }

    fn all<'a>(places: &Places<'a>) -> Vec<Found<'a>> {
        places.slots.ids().map(|slot| places.slots.at(slot).clone()).collect()
    }

    #[test]
    fn values_keep_their_types() {
        let text = r#"{"a":"x","b":1,"c":-2,"d":1.5,"e":true,"f":null,"g":{},"h":[1],"i":"t\u00e9"}"#;
        let slots = places(&["/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h", "/i", "/j"], text).unwrap();
        let slots = all(&slots);
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
            all(&found),
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
        let whole = |text| all(&places(&["*"], text).unwrap());
        assert_eq!(whole("[1, 2]"), [Found::Composite { raw: Some("[1, 2]"), empty: false }]);
        assert_eq!(whole("\"x\""), [Found::Text("x".into())]);
    }

    #[test]
    fn of_members_with_the_same_name_the_last_counts() {
        let pointers = ["/data/a", "/data/b", "/data*", "/list/0"];
        let text = r#"{"data":{"a":1,"b":1},"list":[1],"data":{"b":2,"b":3},"list":0}"#;
        let found = places(&pointers, text).unwrap();
        let raw = Some(r#"{"b":2,"b":3}"#);
        let three = Found::Number(Number::Unsigned(3));
        assert_eq!(all(&found), [Found::Absent, three, Found::Composite { raw, empty: false }, Found::Absent]);
        assert_eq!(found.objects, 0b1, "what is a list first and a number then is no list");
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
            // Half a character, escaped once and twice.
            (r#"{"type":"\ud83d","data":"{\"agent\":\"\\ud83d\"}"}"#, Some(r#"{"type":"�","data":{"agent":"�"}}"#)),
            (r#""{\"type\":\"\\ud83d\"}""#, Some(r#"{"type":"\ud83d"}"#)),
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
        let half = event(&dialect, r#"{"events":{"\ud83d":[{}]}}"#).unwrap();
        assert_eq!(batch(&dialect, &half).unwrap().events[0].name.as_deref(), Some("\u{fffd}"));
        assert!(batch(&dialect, &event(&dialect, r#"{"type":"x"}"#).unwrap()).is_none());
        assert!(batch(&dialect, &event(&dialect, r#"{"events":[1]}"#).unwrap()).is_none());
    }

    /// What stands at `pointer` in a document that was read as a tree.
    fn naive(tree: &serde_json::Value, pointer: &str) -> Found<'static> {
        use serde_json::Value as Tree;
        match tree.pointer(pointer.trim_end_matches('*')) {
            None => Found::Absent,
            Some(Tree::Null) => Found::Null,
            Some(Tree::Bool(value)) => Found::Bool(*value),
            Some(Tree::Number(number)) => Found::Number(json::number(&number.to_string()).unwrap()),
            Some(Tree::String(text)) => Found::Text(text.clone().into()),
            Some(Tree::Array(elements)) => Found::Composite { raw: None, empty: elements.is_empty() },
            Some(Tree::Object(members)) => Found::Composite { raw: None, empty: members.is_empty() },
        }
    }

    pub type Reading<'a> = (Places<'a>, bool, Option<Vec<std::ops::Range<usize>>>);

    /// The places of a document, whether it is `coded`, and its long texts.
    pub fn read_as_usual<'a>(trie: &Trie, text: &'a str, shapes: &mut Shapes) -> Result<Reading<'a>, String> {
        let mut slots = Slots::default();
        let Around { objects, encoded, coded, long, .. } = walk(trie, text, &mut slots, Some(shapes))?;
        Ok((Places { slots, objects, encoded }, coded, long.all().map(Iterator::collect)))
    }

    fn read_at_first<'a>(trie: &Trie, text: &'a str) -> Result<Reading<'a>, String> {
        read_as_usual(trie, text, &mut Shapes::default())
    }

    /// A name and a value, as they are spelled in JSON: short ones, such as are longer than a mark and hold none, and marks in
    /// every form.
    fn members() -> impl proptest::strategy::Strategy<Value = (String, String)> {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        use proptest::prelude::*;

        let mark = Canary { execution: 7, user: 3, iteration: 9 }.encode();
        let base64 = STANDARD.encode(format!("{{\"prompt\":\"{mark}\"}}"));
        let said = [
            "a".to_owned(),
            "b".to_owned(),
            "c".to_owned(),
            mark.clone(),
            mark.to_uppercase(),
            format!("(ref {mark}), and {mark}"),
            format!("{mark}{mark}"),
            mark[..30].to_owned(),
            base64,
            "3fa85f64-5717-4562-b3fc-000000000001".to_owned(),
            format!("a line\\n{mark}"),
            format!("\\u0067{}", &mark[1..]),
            format!("a backslash \\\\{mark}"),
        ];
        let text = proptest::sample::select(said.to_vec()).prop_map(|text| format!("\"{text}\""));
        let leaf = prop_oneof![text.clone(), Just("1.5".to_owned()), Just("null".to_owned())];
        let value = leaf.clone().prop_recursive(2, 6, 3, move |inner| {
            let text = text.clone();
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(|all| format!("[{}]", all.join(","))),
                (text, inner).prop_map(|(name, value)| format!("{{{name}:{value}}}")),
            ]
        });
        let name = proptest::sample::select(said.to_vec()).prop_map(|text| format!("\"{text}\""));
        (name, prop_oneof![Just("null".to_owned()), leaf, value])
    }

    proptest::proptest! {
        #[test]
        fn what_came_before_changes_nothing_of_what_is_read(
            texts in proptest::collection::vec(crate::check::json::tests::documents(), 1..5),
            pointers in proptest::collection::vec("(/([a-c]|[a-c]{2}|0|))*\\*?", 1..8),
        ) {
            let mut trie = Trie::default();
            for pointer in &pointers {
                trie.intern(pointer.trim_end_matches('*'), pointer.ends_with('*')).unwrap();
            }
            let mut shapes = Shapes::default();
            // Each of them again and again, once with room behind it.
            for text in texts.iter().chain(&texts).chain(&texts).flat_map(|text| [text.clone(), format!("{text}{:20}", "")]) {
                let usual = read_as_usual(&trie, &text, &mut shapes);
                proptest::prop_assert_eq!(usual, read_at_first(&trie, &text), "{}", text);
            }
        }

        #[test]
        fn long_texts_hold_every_mark_that_the_document_holds(members in proptest::collection::vec(members(), 1..6)) {
            let members: Vec<_> = members.iter().map(|(name, value)| format!("{name}:{value}")).collect();
            let text = format!("{{{}}}", members.join(","));
            let mut trie = Trie::default();
            ["/a", "/b*", "/c/d"].iter().for_each(|at| assert!(trie.intern(at.trim_end_matches('*'), at.ends_with('*')).is_some()));
            let mut shapes = Shapes::default();
            for _ in 0..2 {
                let (_, coded, long) = read_as_usual(&trie, &text, &mut shapes).unwrap();
                let Some(long) = long.filter(|_| !coded) else { continue };
                let within = long.into_iter().flat_map(|long| {
                    let begin = long.start;
                    canary::find_in(&text.as_bytes()[long]).map(move |found| found.from(begin)).collect::<Vec<_>>()
                });
                let all: Vec<_> = canary::find_in(text.as_bytes()).collect();
                proptest::prop_assert_eq!(within.collect::<Vec<_>>(), all, "{}", &text);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = places(&["/a/b*", "/0", "", "/type"], &text);
        }

        #[test]
        fn places_hold_what_a_tree_holds_there(
            text in crate::check::json::tests::documents(),
            pointers in proptest::collection::vec("(/([a-c]|[a-c]{2}|0|1|01|\\+1|))*\\*?", 1..12),
        ) {
            let pointers: Vec<&str> = pointers.iter().map(String::as_str).collect();
            let mut distinct: Vec<&str> = pointers.iter().map(|pointer| pointer.trim_end_matches('*')).collect();
            let whole = |pointer: &str| pointers.contains(&format!("{pointer}*").as_str());
            let mut once = std::collections::BTreeSet::new();
            distinct.retain(|pointer| once.insert(*pointer));
            let read = places(&pointers, &text);
            let Ok(tree) = serde_json::from_str::<serde_json::Value>(&json::whole_characters(&text)) else { return Ok(()) };
            let read = read.unwrap();
            for (found, pointer) in all(&read).into_iter().zip(distinct) {
                let (bare, raw) = match found {
                    Found::Composite { raw, empty } => (Found::Composite { raw: None, empty }, raw),
                    other => (other, None),
                };
                proptest::prop_assert!(same(&bare, &naive(&tree, pointer)), "{} at {:?}: {:?}", text, pointer, bare);
                let composite = matches!(bare, Found::Composite { .. });
                proptest::prop_assert_eq!(raw.is_some(), composite && whole(pointer), "{} at {:?}", &text, pointer);
                if let Some(raw) = raw {
                    let inner: serde_json::Value = serde_json::from_str(&json::whole_characters(raw)).unwrap();
                    proptest::prop_assert_eq!(Some(&inner), tree.pointer(pointer));
                }
            }
        }
    }

    /// Equal, or two floats of which `serde_json` missed the nearest by a few units in the last place.
    fn same(mine: &Found<'_>, theirs: &Found<'_>) -> bool {
        match (mine, theirs) {
            (Found::Number(Number::Float(mine)), Found::Number(Number::Float(theirs))) => {
                mine.to_bits().abs_diff(theirs.to_bits()) <= 8
            }
            (mine, theirs) => mine == theirs,
        }
    }
}
