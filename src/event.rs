//! What a frame carries once decoded: the kind of event, and what stands at the places the dialect names.
//!
//! An `Extract` borrows from the frame and holds nothing the dialect did not ask for. How JSON becomes one is `check`'s
//! business; which places are asked for is `expect`'s.

use std::borrow::Cow;

/// Index of an event name in the dialect's table of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindId(pub u16);

/// Index of a place (a JSON Pointer) in the dialect's pointer trie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u16);

/// What kind of event a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A name that the grammar, an end or a matcher of the profile mentions.
    Known(KindId),
    /// A name that nobody mentions. Counted and listed, never fatal by itself.
    Unknown,
    /// Readable, but without a name at any of the dialect's places.
    Unnamed,
}

/// How an event is wrapped: which of the dialect's name places held the name, and which of the trie's top-level objects
/// stood in the frame. Two frames of one envelope were built by the same code; that is all it is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Envelope {
    /// Index of the name place that hit, or `BY_RULE`.
    pub name_at: u8,
    /// Bit `i` is set when the trie's `i`-th top-level object was there and can hold the parts of an event (`data`,
    /// `payload`, ...).
    pub objects: u32,
    /// Which of the dialect's aliases the name was, counted from 1; 0 for the name itself.
    pub alias: u16,
    /// Parts of the event stand at the root as well as in `objects`.
    pub at_root: bool,
}

impl Envelope {
    /// A `name_at` that says that a rule named the event.
    pub const BY_RULE: u8 = u8::MAX - 1;
}

/// What stands at one place of a frame.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Found<'a> {
    /// The place does not exist.
    #[default]
    Absent,
    /// The place holds `null`, which every rule treats like an absent one except an explicit `equals: null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, exact where it is an integer of 64 bits.
    Number(Number),
    /// A text, borrowed unless it held escapes.
    Text(Cow<'a, str>),
    /// An object or array. `raw` is its text where the dialect asked for the whole of it.
    Composite {
        /// Its JSON text as received, if the place was asked for as a whole.
        raw: Option<&'a str>,
        /// No members or elements.
        empty: bool,
    },
}

/// A JSON number.
#[derive(Debug, Clone, Copy)]
pub enum Number {
    /// Zero or greater.
    Unsigned(u64),
    /// Below zero.
    Signed(i64),
    /// With fraction or exponent, or beyond 64 bits.
    Float(f64),
}

impl PartialEq for Number {
    /// By value: `1` equals `1.0`.
    fn eq(&self, other: &Number) -> bool {
        match (*self, *other) {
            (Number::Unsigned(a), Number::Unsigned(b)) => a == b,
            (Number::Signed(a), Number::Signed(b)) => a == b,
            (a, b) => a.as_f64() == b.as_f64(),
        }
    }
}

impl Number {
    /// The nearest `f64`.
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Unsigned(n) => n as f64,
            Number::Signed(n) => n as f64,
            Number::Float(n) => n,
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Number::Unsigned(n) => n.fmt(f),
            Number::Signed(n) => n.fmt(f),
            Number::Float(n) => n.fmt(f),
        }
    }
}

impl<'a> Found<'a> {
    /// It has a text form; see `as_text`.
    pub fn is_spelled(&self) -> bool {
        self.exists() && !matches!(self, Found::Composite { raw: None, .. })
    }

    /// Present and not null.
    pub fn exists(&self) -> bool {
        !matches!(self, Found::Absent | Found::Null)
    }

    /// As `as_text`, borrowed: what is not spelled out in the frame is written into `room`, which is empty.
    #[inline(always)]
    pub fn text_in<'t>(&'t self, room: &'t mut String) -> Option<&'t str> {
        match self {
            Found::Text(text) => Some(text),
            other => other.as_text().map(|text| {
                room.push_str(&text);
                &**room
            }),
        }
    }

    /// The text form: of texts the text, of numbers and truth values their JSON spelling, of composites their raw JSON if
    /// it was asked for. The number 1 and the text "1" are the same identity; that is why ids are compared in this form.
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Found::Absent | Found::Null => None,
            Found::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
            Found::Number(number) => Some(Cow::Owned(number.to_string())),
            Found::Text(text) => Some(Cow::Borrowed(text)),
            Found::Composite { raw, .. } => raw.map(Cow::Borrowed),
        }
    }
}

/// A decoded frame: its kind, its envelope, and what stood at every place the dialect names.
#[derive(Debug, Clone, PartialEq)]
pub struct Extract<'a> {
    /// The kind, by name.
    pub kind: Kind,
    /// The name as spelled by the target, if there was one.
    pub name: Option<Cow<'a, str>>,
    /// How it was wrapped.
    pub envelope: Envelope,
    /// What stood at every `SlotId`.
    pub slots: Slots<'a>,
}

impl FromIterator<SlotId> for SlotSet {
    fn from_iter<I: IntoIterator<Item = SlotId>>(slots: I) -> SlotSet {
        slots.into_iter().fold(SlotSet::default(), |mut set, slot| {
            set.add(slot, true);
            set
        })
    }
}

/// What stands at the places of a trie. A frame fills few of the many places that a dialect names, so only those take room, and the
/// room can be used again for the next frame.
#[derive(Debug, Clone, Default)]
pub struct Slots<'a> {
    /// Of each slot, where in `found` its entry is, counted from 1; 0 if the place does not exist.
    entry: Vec<u16>,
    found: Vec<Found<'a>>,
    /// The slots at which something exists.
    filled: SlotSet,
}

/// At which slots something stands, and in which order it was put there.
#[derive(Debug, Clone)]
pub struct Layout {
    entry: Box<[u16]>,
    filled: SlotSet,
}

/// Which slots of a trie are filled, so that frames that fill the same ones are quickly known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SlotSet([u64; 4]);

impl SlotSet {
    /// How many slots it can tell apart.
    const MOST: usize = 256;

    /// With `slot` if it is `filled`.
    #[inline(always)]
    fn add(&mut self, slot: SlotId, filled: bool) {
        self.0[usize::from(slot.0 / 64 % 4)] |= u64::from(filled) << (slot.0 % 64);
    }

    /// Without `slot`.
    fn remove(&mut self, slot: SlotId) {
        self.0[usize::from(slot.0 / 64 % 4)] &= !(1 << (slot.0 % 64));
    }

    /// A number that differs for most sets.
    pub fn mixed(&self) -> u64 {
        // Fibonacci hashing, one word after the other.
        self.0.iter().fold(0, |mixed: u64, word| (mixed.rotate_left(25) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Whether the two have a slot in common.
    pub fn meets(&self, other: &SlotSet) -> bool {
        self.0.iter().zip(&other.0).fold(0, |common, (mine, theirs)| common | mine & theirs) != 0
    }
}

impl<'a> Slots<'a> {
    /// Forgets everything; from now on there are `count` slots, all of them absent.
    pub fn reset(&mut self, count: usize) {
        self.entry.clear();
        self.entry.resize(count, 0);
        self.found.clear();
        self.filled = SlotSet::default();
    }

    /// Lets `found` stand at `slot`, one of those that there are.
    #[inline(never)]
    pub fn put(&mut self, slot: SlotId, found: Found<'a>) {
        match &mut self.entry[usize::from(slot.0)] {
            entry @ 0 => {
                self.filled.add(slot, found.exists());
                self.found.push(found);
                // There are no more entries than slots.
                *entry = self.found.len() as u16;
            }
            entry => {
                self.filled.remove(slot);
                self.filled.add(slot, found.exists());
                self.found[usize::from(*entry) - 1] = found;
            }
        }
    }

    /// Forgets everything; what is pushed next stands where `lay_out` lets it stand.
    #[inline(always)]
    pub fn begin(&mut self) {
        self.found.clear();
    }

    /// Lets `found` stand behind what was pushed before.
    #[inline(always)]
    pub fn push(&mut self, found: Found<'a>) {
        self.found.push(found);
    }

    /// Leaves out the last `less` bytes of the object or array that was pushed as this one.
    pub fn shorten(&mut self, index: usize, less: usize) {
        if let Found::Composite { raw: Some(raw), .. } = &mut self.found[index] {
            *raw = &raw[..raw.len() - less];
        }
    }

    /// Lets what was pushed stand at the slots at which it stood there, in this order, and in the same way.
    #[inline(always)]
    pub fn lay_out(&mut self, layout: &Layout) {
        self.entry.clear();
        self.entry.extend_from_slice(&layout.entry);
        self.filled = layout.filled;
    }

    /// How what stands here would be laid out again.
    pub fn layout(&self) -> Layout {
        Layout { entry: self.entry.as_slice().into(), filled: self.filled }
    }

    /// Which of all that was put is what was put at `slot`; `None` if nothing was.
    pub fn put_as(&self, slot: SlotId) -> Option<usize> {
        usize::from(self.entry[usize::from(slot.0)]).checked_sub(1)
    }

    /// What stands at `slot`; `Absent` for a slot that there is not.
    pub fn at(&self, slot: SlotId) -> &Found<'a> {
        match self.entry.get(usize::from(slot.0)) {
            None | Some(0) => &Found::Absent,
            Some(entry) => &self.found[usize::from(*entry) - 1],
        }
    }

    /// The slots at which something exists; `None` of more slots than a set can tell apart.
    pub fn filled(&self) -> Option<&SlotSet> {
        (self.entry.len() <= SlotSet::MOST).then_some(&self.filled)
    }

    /// Every slot that there is.
    pub fn ids(&self) -> impl Iterator<Item = SlotId> + use<> {
        (0..self.entry.len()).map(|slot| SlotId(slot as u16))
    }

    /// The room alone, for a frame that may live longer than this one.
    pub fn emptied<'b>(mut self) -> Slots<'b> {
        self.entry.clear();
        self.found.clear();
        // The standard library collects into the allocation that it takes apart.
        Slots {
            entry: self.entry,
            found: self.found.into_iter().map(|_| Found::Absent).collect(),
            filled: SlotSet::default(),
        }
    }
}

impl PartialEq for Slots<'_> {
    /// By what stands where.
    fn eq(&self, other: &Slots<'_>) -> bool {
        self.entry.len() == other.entry.len() && self.ids().all(|slot| self.at(slot) == other.at(slot))
    }
}

impl<'a> From<Vec<Found<'a>>> for Slots<'a> {
    fn from(found: Vec<Found<'a>>) -> Slots<'a> {
        let mut slots = Slots::default();
        slots.reset(found.len());
        for (slot, found) in slots.ids().zip(found) {
            slots.put(slot, found);
        }
        slots
    }
}

impl<'a> Extract<'a> {
    /// What stands at `slot`; `Absent` for a slot of another trie.
    pub fn at(&self, slot: SlotId) -> &Found<'a> {
        self.slots.at(slot)
    }

    /// The first of `slots` that exists.
    pub fn first(&self, slots: &[SlotId]) -> Option<&Found<'a>> {
        slots.iter().map(|slot| self.at(*slot)).find(|found| found.exists())
    }

    /// The text form of the first of `slots` that exists.
    pub fn first_text(&self, slots: &[SlotId]) -> Option<Cow<'_, str>> {
        self.first(slots).and_then(Found::as_text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_by_value_and_spell_as_json() {
        assert_eq!(Number::Unsigned(1), Number::Float(1.0));
        assert_ne!(Number::Unsigned(u64::MAX), Number::Unsigned(u64::MAX - 1));
        assert_eq!(Found::Number(Number::Unsigned(1)).as_text().as_deref(), Some("1"));
        for found in [Found::Number(Number::Signed(-1)), Found::Text("a".into()), Found::Bool(true), Found::Null] {
            assert_eq!(found.text_in(&mut String::new()), found.as_text().as_deref(), "{found:?}");
        }
    }

    #[test]
    fn null_is_not_the_first_that_exists() {
        let extract = Extract {
            kind: Kind::Unnamed,
            name: None,
            envelope: Envelope::default(),
            slots: vec![Found::Null, Found::Text("b".into())].into(),
        };
        assert_eq!(extract.first_text(&[SlotId(0), SlotId(1)]).as_deref(), Some("b"));
        assert_eq!(extract.first_text(&[SlotId(0), SlotId(7)]), None);
    }

    #[test]
    fn slots_hold_what_was_put_last_and_nothing_of_the_frame_before() {
        let mut slots = Slots::default();
        slots.reset(3);
        slots.put(SlotId(2), Found::Bool(true));
        slots.put(SlotId(0), Found::Null);
        slots.put(SlotId(2), Found::Bool(false));
        assert_eq!(slots, vec![Found::Null, Found::Absent, Found::Bool(false)].into());
        assert_ne!(slots, vec![Found::Null, Found::Null, Found::Bool(false)].into());
        let mut slots = slots.emptied();
        slots.reset(3);
        assert_eq!(slots, vec![Found::Absent; 3].into());
        assert_eq!(slots.at(SlotId(3)), &Found::Absent);
    }

    #[test]
    fn frames_that_fill_the_same_places_are_known_by_them() {
        let filled = |count, puts: &[(u16, Found<'static>)]| {
            let mut slots = Slots::default();
            slots.reset(7);
            slots.put(SlotId(6), Found::Bool(true));
            slots.reset(count);
            puts.iter().for_each(|(slot, found)| slots.put(SlotId(*slot), found.clone()));
            slots.filled().copied()
        };
        let yes = Found::Bool(true);
        for slot in [0, 63, 64, 255] {
            let one = filled(256, &[(slot, yes.clone())]);
            assert_eq!(
                one,
                filled(256, &[(slot, Found::Null), (slot, Found::Bool(false)), (9, Found::Null)]),
                "{slot}"
            );
            assert_ne!(one, filled(256, &[(slot, yes.clone()), (9, yes.clone())]), "{slot}");
            assert_ne!(one, filled(256, &[(slot, yes.clone()), (slot, Found::Absent)]), "{slot}");
            assert_ne!(one, filled(256, &[]), "{slot}");
        }
        assert_eq!(filled(257, &[(0, yes)]), None, "the last one cannot be told from the first");
    }
}
