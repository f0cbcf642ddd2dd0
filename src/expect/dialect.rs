//! A dialect: how one backend spells event names and where it puts what.
//!
//! All JSON Pointers of a profile are compiled into one trie, so that a frame is walked once and only the asked places are
//! looked at. How the walk is done is `check::decode`.

use std::sync::Arc;

use regex::Regex;

use super::matcher::Matcher;
use crate::event::{Envelope, KindId, SlotId, SlotSet};

/// How frames of one target are read.
#[derive(Debug, Clone, Default)]
pub struct Dialect {
    /// Every place anything asks for.
    pub trie: Trie,
    /// Every event name anything mentions.
    pub names: Names,
    /// Which event is one of which these hold; the first counts, and places are asked only where none holds.
    pub rules: Vec<(KindId, Matcher)>,
    /// Where an event's name stands, first that is a text. A name that a rule gives is not found here.
    pub name_at: Vec<SlotId>,
    /// Where the parts of an event stand.
    pub fields: Fields,
    /// How frames hold JSON; of several the first that fits a frame. Empty: a frame is one document.
    pub forms: Vec<Form>,
    /// Binary frames are read as if they were text.
    pub binary: bool,
    /// A frame that is a JSON text, or holds one where an object is due, is read through.
    pub json_string: bool,
    /// Frames that carry several events.
    pub split: Vec<Split>,
    /// Bits of top-level objects of the trie that say nothing about the envelope, because no part of an event stands in
    /// them: a result, a detail.
    pub ignored_objects: u32,
    /// The places at the root at which a part of an event may stand.
    pub root_parts: Vec<SlotId>,
    /// The same as a set, for events whose places it tells apart.
    pub root_set: SlotSet,
}

/// How a frame holds JSON.
#[derive(Debug, Clone)]
pub enum Form {
    /// It is one document.
    Json,
    /// It is records of server-sent events (WHATWG HTML, section 9.2.6).
    Sse,
    /// Something stands before the document: what the pattern matches there, else everything before the first `{` or `[`.
    Prefixed(Option<Regex>),
}

/// Frames that carry several events, each of which is read as if it were a frame of its own. What it does not hold itself
/// (except its name) it has from the frame around it.
#[derive(Debug, Clone)]
pub struct Split {
    /// Where the events stand, asked for as a whole: a list, or an object of lists.
    pub at: SlotId,
    /// The members of an object there are the names of the events; their order, and that of the events under different
    /// names, means nothing.
    pub by_name: bool,
}

/// Where the parts of an event stand, each a list of places of which the first that exists counts.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    /// The agent that speaks.
    pub agent: Vec<SlotId>,
    /// The tool's name.
    pub tool: Vec<SlotId>,
    /// The id that pairs a tool's completion with its execution.
    pub call: Vec<SlotId>,
    /// The id of the event itself.
    pub event_id: Vec<SlotId>,
    /// When the target says it was sent; evidence of its clock and nothing else.
    pub time: Vec<SlotId>,
}

/// A set of event names with stable ids.
#[derive(Debug, Clone, Default)]
pub struct Names {
    names: Vec<Arc<str>>,
    aliases: Vec<(Arc<str>, KindId)>,
    /// Where in `names` and `aliases` a spelling is.
    name_of: Words,
    alias_of: Words,
}

/// Finds one of a few dozen words by its length and its first sixteen bytes, which for most words is all of them.
#[derive(Debug, Clone, Default)]
struct Words {
    words: Vec<Word>,
    /// By a mixture of the key, the first word that it may be, counted from 1; 0 if there is none. A power of two of entries,
    /// several times as many as words.
    begin: Vec<u16>,
}

#[derive(Debug, Clone)]
struct Word {
    key: Key,
    text: Box<str>,
    index: usize,
    /// The next word that it may be, as in `Words::begin`.
    next: u16,
}

impl Words {
    /// Adds a word that is found as `index`; of equal words the first is found.
    fn add(&mut self, word: &str, index: usize) {
        if self.find(word.as_bytes(), 0, word.len()).is_some() {
            return;
        }
        self.words.push(Word { key: Key::of(word.as_bytes(), 0, word.len()), text: word.into(), index, next: 0 });
        if self.begin.len() < 4 * self.words.len() {
            self.begin = vec![0; (8 * self.words.len()).next_power_of_two()];
            (0..self.words.len()).for_each(|at| self.link(at));
        } else {
            self.link(self.words.len() - 1);
        }
    }

    fn link(&mut self, at: usize) {
        let word = &mut self.words[at];
        let begin = word.key.mix(self.begin.len());
        let this = u16::try_from(at + 1).expect("a profile has fewer names than its size limit allows");
        word.next = std::mem::replace(&mut self.begin[begin], this);
    }

    /// The word that stands in `text` from `begin` to `end`.
    #[inline(always)]
    fn find(&self, text: &[u8], begin: usize, end: usize) -> Option<usize> {
        let key = Key::of(text, begin, end);
        let mut next = *self.begin.get(key.mix(self.begin.len()))?;
        while next != 0 {
            let word = &self.words[usize::from(next) - 1];
            if word.key == key && (end - begin <= KEYED || word.text.as_bytes() == &text[begin..end]) {
                return Some(word.index);
            }
            next = word.next;
        }
        None
    }
}

/// How many bytes of a word a key holds.
const KEYED: usize = 16;

/// By what a word is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    /// Its first bytes, and zeros behind them.
    first: u128,
    length: u32,
}

/// Those of the first sixteen bytes that belong to a word of so many bytes.
const KEPT: [u128; KEYED + 1] = {
    let (mut kept, mut length) = ([0; KEYED + 1], 1);
    while length <= KEYED {
        kept[length] = u128::MAX >> (8 * (KEYED - length));
        length += 1;
    }
    kept
};

impl Key {
    /// That of the word that stands in `text` from `begin` to `end`.
    #[inline(always)]
    fn of(text: &[u8], begin: usize, end: usize) -> Key {
        let length = end - begin;
        let behind = text.get(begin..).and_then(|rest| rest.first_chunk::<KEYED>());
        let around = behind.copied().unwrap_or_else(|| Key::last(text, begin));
        Key { first: u128::from_le_bytes(around) & KEPT[length.min(KEYED)], length: length as u32 }
    }

    /// What stands from `begin` on, where the text is about to end.
    fn last(text: &[u8], begin: usize) -> [u8; KEYED] {
        let mut around = [0; KEYED];
        let rest = &text[begin..];
        match rest.first_chunk::<{ KEYED / 2 }>().zip(rest.last_chunk::<{ KEYED / 2 }>()) {
            // Two halves that may overlap.
            Some((first, last)) => {
                around[rest.len() - KEYED / 2..][..KEYED / 2].copy_from_slice(last);
                around[..KEYED / 2].copy_from_slice(first);
            }
            None => around.iter_mut().zip(rest).for_each(|(to, from)| *to = *from),
        }
        around
    }

    /// A number below `count`, or 0, that differs for most words.
    #[inline(always)]
    fn mix(&self, count: usize) -> usize {
        // Fibonacci hashing: the upper bits of the product depend on all bits of the word.
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let (first, second) = (self.first as u64, (self.first >> 64) as u64);
        let mixed = (first ^ second.rotate_left(29) ^ u64::from(self.length)).wrapping_mul(GOLDEN);
        ((u128::from(mixed) * count as u128) >> u64::BITS) as usize
    }
}

/// JSON Pointers, as a tree that is walked along with the document.
#[derive(Debug, Clone)]
pub struct Trie {
    nodes: Vec<TrieNode>,
    slots: u16,
    before: Option<SlotId>,
    own: Vec<(Arc<str>, SlotId)>,
}

/// One place on the way of at least one pointer.
#[derive(Debug, Clone, Default)]
pub struct TrieNode {
    /// Member names (or array indexes) that lead on, with the index of the next node.
    pub children: Vec<(Box<str>, usize)>,
    /// The same, to be found by their names.
    members: Members,
    /// A pointer ends here.
    pub slot: Option<SlotId>,
    /// An object or array that stands here is wanted as a whole.
    pub whole: bool,
}

/// All that must be known of a child to read what stands there, in one place: looking it up elsewhere takes most of the time.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// Its node.
    pub node: u16,
    /// Its index in `TrieNode::children`.
    pub child: u16,
    /// See `TrieNode::slot`.
    pub slot: Option<SlotId>,
    /// See `TrieNode::whole`.
    pub whole: bool,
    /// Nothing leads on from there.
    pub leaf: bool,
}

/// The children of a node by their names. Each stands at its key's place, or behind it where that was taken.
#[derive(Debug, Clone, Default)]
struct Members(Vec<Option<(Key, Member)>>);

impl Members {
    fn add(&mut self, key: Key, member: Member) {
        let mut at = (0..self.0.len()).map(|step| (key.mix(self.0.len()) + step) % self.0.len());
        let free = at.find(|at| self.0[*at].is_none());
        self.0[free.expect("there is several times as much room as members")] = Some((key, member));
    }
}

impl TrieNode {
    /// The child that a member is whose name stands in `text` from `begin` to `end`.
    #[inline(always)]
    pub fn member(&self, text: &[u8], begin: usize, end: usize) -> Option<&Member> {
        let (key, room) = (Key::of(text, begin, end), &self.members.0[..]);
        let mut at = key.mix(room.len());
        loop {
            let (known, member) = room.get(at)?.as_ref()?;
            if *known == key && (key.length <= KEYED as u32 || self.is_called(member, &text[begin..end])) {
                return Some(member);
            }
            at = (at + 1) & (room.len() - 1);
        }
    }

    #[inline(never)]
    fn is_called(&self, member: &Member, name: &[u8]) -> bool {
        self.children[usize::from(member.child)].0.as_bytes() == name
    }
}

impl Names {
    /// The id of `name`, or of what it is another name of; added if it is new.
    ///
    /// # Panics
    /// With more than 65,535 names, which the decoder's size limits exclude.
    pub fn intern(&mut self, name: &str) -> KindId {
        if let Some((kind, _)) = self.read(name) {
            return kind;
        }
        let id = u16::try_from(self.names.len()).expect("a profile has fewer names than its size limit allows");
        self.name_of.add(name, self.names.len());
        self.names.push(name.into());
        KindId(id)
    }

    /// Lets `alias` mean what `name` means, from now on; a name that was added before keeps its own meaning.
    pub fn alias(&mut self, alias: &str, name: &str) {
        let kind = self.intern(name);
        self.alias_of.add(alias, self.aliases.len());
        self.aliases.push((alias.into(), kind));
    }

    /// The id of `name`, if anything mentions it.
    pub fn find(&self, name: &str) -> Option<KindId> {
        self.name_of.find(name.as_bytes(), 0, name.len()).map(|index| KindId(index as u16))
    }

    /// The id that a target's spelling means, with the alias it was (from 1; 0 for the name itself).
    pub fn read(&self, spelled: &str) -> Option<(KindId, u16)> {
        let alias = || self.alias_of.find(spelled.as_bytes(), 0, spelled.len());
        self.find(spelled)
            .map(|kind| (kind, 0))
            .or_else(|| alias().map(|index| (self.aliases[index].1, index as u16 + 1)))
    }

    /// The spelling of `kind`; empty for an id of another table.
    pub fn get(&self, kind: KindId) -> &str {
        self.names.get(usize::from(kind.0)).map_or("", |name| name)
    }

    /// All names, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }
}

impl Dialect {
    /// Leaves only those top-level objects to the envelope in which a part of an event or one of `ids` stands, and notes which
    /// of these stand at the root.
    pub fn settle_envelopes(&mut self, ids: &[SlotId]) {
        let Fields { agent, tool, call, event_id, time: _ } = &self.fields;
        let parts = [agent, tool, call, event_id].into_iter().flatten().chain(ids);
        let (within, at_root): (Vec<&SlotId>, Vec<&SlotId>) =
            parts.partition(|slot| self.trie.top_of(**slot).is_some());
        let holders = within.into_iter().filter_map(|slot| self.trie.top_of(*slot));
        self.ignored_objects = !holders.fold(0_u32, |bits, top| bits | bit(top));
        self.root_parts = at_root.into_iter().copied().collect();
        self.root_set = self.root_parts.iter().copied().collect();
    }

    /// An envelope in words: `/type in data`, `/event_name`, `/type at the root and in payload as agentStarted`.
    pub fn spell(&self, envelope: Envelope) -> String {
        let place = self.name_at.get(usize::from(envelope.name_at)).and_then(|slot| self.trie.pointer_of(*slot));
        let otherwise = if envelope.name_at == Envelope::BY_RULE { "a rule" } else { "a batch" };
        let mut spelled = place.unwrap_or_else(|| otherwise.to_owned());
        let objects = self.trie.node(0).children.iter().enumerate();
        let held: Vec<&str> =
            objects.filter(|(top, _)| envelope.objects & bit(*top) != 0).map(|(_, (name, _))| &**name).collect();
        if !held.is_empty() {
            let root = if envelope.at_root { " at the root and" } else { "" };
            spelled = format!("{spelled}{root} in {}", held.join(" and "));
        }
        let alias = usize::from(envelope.alias).checked_sub(1).and_then(|index| self.names.aliases.get(index));
        alias.map_or(spelled.clone(), |(alias, _)| format!("{spelled} as {alias}"))
    }
}

/// The bit of the `top`-th top-level object; the 33rd and later ones have none.
pub fn bit(top: usize) -> u32 {
    u32::try_from(top).ok().and_then(|top| 1_u32.checked_shl(top)).unwrap_or(0)
}

impl Default for Trie {
    fn default() -> Trie {
        Trie { nodes: vec![TrieNode::default()], slots: 0, before: None, own: Vec::new() }
    }
}

impl Trie {
    /// The slot of a JSON Pointer (RFC 6901), added if it is new. `None` when the pointer is neither empty nor starts with
    /// a slash, or holds a `~` that is not `~0` or `~1`.
    ///
    /// # Panics
    /// With more than 65,535 pointers, which the decoder's size limits exclude.
    pub fn intern(&mut self, pointer: &str, whole: bool) -> Option<SlotId> {
        let mut way = vec![0];
        if !pointer.is_empty() {
            for token in pointer.strip_prefix('/')?.split('/') {
                let token = unescape(token)?;
                let (at, next) = (way[way.len() - 1], self.nodes.len());
                let children = &mut self.nodes[at].children;
                way.push(match children.iter().find(|(name, _)| **name == *token) {
                    Some((_, known)) => *known,
                    None => {
                        children.push((token.into(), next));
                        self.nodes.push(TrieNode::default());
                        next
                    }
                });
            }
        }
        let slots = &mut self.slots;
        let node = &mut self.nodes[way[way.len() - 1]];
        node.whole |= whole;
        let slot = *node.slot.get_or_insert_with(|| next(slots));
        way.into_iter().for_each(|node| self.settle(node));
        Some(slot)
    }

    /// Lets the children of `node` be found as they are now.
    fn settle(&mut self, node: usize) {
        let children = &self.nodes[node].children;
        let mut members = Members(vec![None; (4 * children.len()).next_power_of_two()]);
        for (child, (name, node)) in children.iter().enumerate() {
            let TrieNode { slot, whole, children, .. } = &self.nodes[*node];
            let number = |index| u16::try_from(index).expect("a profile has fewer places than its size limit allows");
            let (key, leaf) = (Key::of(name.as_bytes(), 0, name.len()), children.is_empty());
            let (node, child) = (number(*node), number(child));
            members.add(key, Member { node, child, slot: *slot, whole: *whole, leaf });
        }
        self.nodes[node].members = members;
    }

    /// The slot of what stands before the document: the prefix of a frame, the `event` line of a record. Added if it is new.
    ///
    /// # Panics
    /// As `intern`.
    pub fn intern_before(&mut self) -> SlotId {
        *self.before.get_or_insert_with(|| next(&mut self.slots))
    }

    /// See `intern_before`; `None` if nobody asks for it.
    pub fn before(&self) -> Option<SlotId> {
        self.before
    }

    /// The slot of the value that each user has under `name`, to be filled in by who knows it. Added if it is new.
    ///
    /// # Panics
    /// As `intern`.
    pub fn intern_own(&mut self, name: &str) -> SlotId {
        if let Some((_, slot)) = self.own.iter().find(|(known, _)| **known == *name) {
            return *slot;
        }
        let slot = next(&mut self.slots);
        self.own.push((name.into(), slot));
        slot
    }

    /// See `intern_own`.
    pub fn own(&self) -> &[(Arc<str>, SlotId)] {
        &self.own
    }

    /// The root is node 0.
    pub fn node(&self, index: usize) -> &TrieNode {
        &self.nodes[index]
    }

    /// The pointer that ends at `slot`.
    pub fn pointer_of(&self, slot: SlotId) -> Option<String> {
        self.way_to(0, slot).map(|way| {
            let tokens = way.iter().map(|(_, name)| format!("/{}", name.replace('~', "~0").replace('/', "~1")));
            tokens.collect()
        })
    }

    /// Which top-level member the pointer of `slot` leads through, if it leads through one.
    fn top_of(&self, slot: SlotId) -> Option<usize> {
        let way = self.way_to(0, slot)?;
        if way.len() < 2 { None } else { way.first().map(|(child, _)| *child) }
    }

    fn way_to(&self, node: usize, slot: SlotId) -> Option<Vec<(usize, &str)>> {
        let node = &self.nodes[node];
        if node.slot == Some(slot) {
            return Some(Vec::new());
        }
        node.children.iter().enumerate().find_map(|(child, (name, next))| {
            let mut way = self.way_to(*next, slot)?;
            way.insert(0, (child, name));
            Some(way)
        })
    }

    /// How many slots the trie fills.
    pub fn slots(&self) -> usize {
        usize::from(self.slots)
    }
}

fn next(slots: &mut u16) -> SlotId {
    let slot = SlotId(*slots);
    *slots = slots.checked_add(1).expect("a profile has fewer pointers than its size limit allows");
    slot
}

fn unescape(token: &str) -> Option<String> {
    let mut out = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        match c {
            '~' => out.push(match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            }),
            c => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_has_one_slot_however_often_it_is_named() {
        let mut trie = Trie::default();
        let a = trie.intern("/data/user_id", false);
        let b = trie.intern("/data", true);
        assert_ne!(a, b);
        assert_eq!(trie.intern("/data/user_id", false), a);
        assert_eq!(trie.slots(), 2);
        assert!(trie.node(trie.node(0).children[0].1).whole);
    }

    #[test]
    fn words_of_one_length_are_told_apart_wherever_they_differ() {
        for length in 1..40 {
            let word = "m".repeat(length);
            let others = (0..length).map(|at| format!("{}n{}", &word[..at], &word[at + 1..]));
            let all: Vec<String> = std::iter::once(word.clone()).chain(others).collect();
            let mut words = Words::default();
            all.iter().enumerate().for_each(|(index, word)| words.add(word, index));
            // Alone, and as a name within a text.
            let find = |word: &str| {
                let alone = words.find(word.as_bytes(), 0, word.len());
                let text = format!("{{\"id\":\"{word}\",\"n\":1}}");
                assert_eq!(words.find(text.as_bytes(), 7, 7 + word.len()), alone, "{word}");
                alone
            };
            let found: Vec<_> = all.iter().map(|word| find(word)).collect();
            assert_eq!(found, (0..all.len()).map(Some).collect::<Vec<_>>(), "of length {length}");
            assert_eq!(find(&word.replacen('m', "o", 1)), None);
            assert_eq!(find(&format!("{word}m")), None);
        }
        let mut words = Words::default();
        assert_eq!(words.find(b"", 0, 0), None);
        words.add("", 7);
        words.add("", 8);
        assert_eq!((words.find(b"", 0, 0), words.find(b"m", 0, 1), words.find(b"mm", 1, 1)), (Some(7), None, Some(7)));
    }

    #[test]
    fn envelopes_are_told_by_what_holds_an_events_parts() {
        let mut dialect = Dialect::default();
        let mut slot = |pointer| dialect.trie.intern(pointer, false).unwrap();
        let (name, result, agent, user) =
            (slot("/type"), slot("/result/ok"), slot("/data/agent"), slot("/payload/u~1v"));
        dialect.name_at = vec![name];
        dialect.fields.agent = vec![agent];
        dialect.names.alias("agentStarted", "agent_started");
        dialect.settle_envelopes(&[user]);
        assert_eq!(dialect.trie.pointer_of(user).as_deref(), Some("/payload/u~1v"));
        assert_eq!(dialect.trie.pointer_of(result).as_deref(), Some("/result/ok"));
        assert_eq!(!dialect.ignored_objects, 0b1100, "type, result, data, payload");
        assert_eq!(dialect.root_parts, []);
        let spell = |objects, alias| dialect.spell(Envelope { name_at: 0, objects, alias, at_root: false });
        assert_eq!((spell(0, 0), spell(0b100, 0)), ("/type".to_owned(), "/type in data".to_owned()));
        assert_eq!(spell(0b1000, 1), "/type in payload as agentStarted");
        let both = Envelope { name_at: 0, objects: 0b100, alias: 0, at_root: true };
        assert_eq!(dialect.spell(both), "/type at the root and in data");
        assert_eq!(dialect.names.read("agentStarted"), Some((KindId(0), 1)));
        assert_eq!(dialect.names.read("agent_started"), Some((KindId(0), 0)));
    }

    #[test]
    fn pointers_unescape_as_rfc_6901_says() {
        let mut trie = Trie::default();
        trie.intern("/a~1b/m~0n", false).unwrap();
        assert_eq!(&*trie.node(0).children[0].0, "a/b");
        for wrong in ["type", "/a~2", "/a~"] {
            assert_eq!(trie.intern(wrong, false), None, "{wrong}");
        }
        assert!(trie.intern("", false).is_some(), "the whole document");
    }
}
