//! A dialect: how one backend spells event names and where it puts what.
//!
//! All JSON Pointers of a profile are compiled into one trie, so that a frame is walked once and only the asked places are
//! looked at. How the walk is done is `check::decode`.

use std::sync::Arc;

use crate::event::{KindId, SlotId};

/// How frames of one target are read.
#[derive(Debug, Clone, Default)]
pub struct Dialect {
    /// Every place anything asks for.
    pub trie: Trie,
    /// Every event name anything mentions.
    pub names: Names,
    /// Where an event's name stands, first that is a text.
    pub name_at: Vec<SlotId>,
    /// Where the parts of an event stand.
    pub fields: Fields,
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
}

/// A set of event names with stable ids.
#[derive(Debug, Clone, Default)]
pub struct Names {
    names: Vec<Arc<str>>,
}

/// JSON Pointers, as a tree that is walked along with the document.
#[derive(Debug, Clone)]
pub struct Trie {
    nodes: Vec<TrieNode>,
    slots: u16,
}

/// One place on the way of at least one pointer.
#[derive(Debug, Clone, Default)]
pub struct TrieNode {
    /// Member names (or array indexes) that lead on, with the index of the next node.
    pub children: Vec<(Box<str>, usize)>,
    /// A pointer ends here.
    pub slot: Option<SlotId>,
    /// An object or array that stands here is wanted as a whole.
    pub whole: bool,
}

impl Names {
    /// The id of `name`, added if it is new.
    ///
    /// # Panics
    /// With more than 65,535 names, which the decoder's size limits exclude.
    pub fn intern(&mut self, name: &str) -> KindId {
        if let Some(kind) = self.find(name) {
            return kind;
        }
        let id = u16::try_from(self.names.len()).expect("a profile has fewer names than its size limit allows");
        self.names.push(name.into());
        KindId(id)
    }

    /// The id of `name`, if anything mentions it.
    pub fn find(&self, name: &str) -> Option<KindId> {
        // A profile mentions a few dozen names; comparing lengths and bytes beats hashing at that size.
        self.names.iter().position(|known| **known == *name).map(|index| KindId(index as u16))
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

impl Default for Trie {
    fn default() -> Trie {
        Trie { nodes: vec![TrieNode::default()], slots: 0 }
    }
}

impl Trie {
    /// The slot of a JSON Pointer (RFC 6901), added if it is new. `None` when the pointer is neither empty nor starts with
    /// a slash, or holds a `~` that is not `~0` or `~1`.
    ///
    /// # Panics
    /// With more than 65,535 pointers, which the decoder's size limits exclude.
    pub fn intern(&mut self, pointer: &str, whole: bool) -> Option<SlotId> {
        let mut at = 0;
        if !pointer.is_empty() {
            for token in pointer.strip_prefix('/')?.split('/') {
                let token = unescape(token)?;
                at = match self.nodes[at].children.iter().find(|(name, _)| **name == *token) {
                    Some((_, next)) => *next,
                    None => {
                        let next = self.nodes.len();
                        self.nodes.push(TrieNode::default());
                        self.nodes[at].children.push((token.into(), next));
                        next
                    }
                };
            }
        }
        let slots = &mut self.slots;
        let node = &mut self.nodes[at];
        node.whole |= whole;
        Some(*node.slot.get_or_insert_with(|| {
            let slot = SlotId(*slots);
            *slots = slots.checked_add(1).expect("a profile has fewer pointers than its size limit allows");
            slot
        }))
    }

    /// The root is node 0.
    pub fn node(&self, index: usize) -> &TrieNode {
        &self.nodes[index]
    }

    /// How many slots the trie fills.
    pub fn slots(&self) -> usize {
        usize::from(self.slots)
    }
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
