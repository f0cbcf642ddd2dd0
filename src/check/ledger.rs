//! Whose ids are whose, and what was seen of anybody at anybody else.
//!
//! Parts of an execution keep what they cannot settle; nothing is concluded here. What of it is a leak, and how it came about,
//! is `leaks`'s.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque, hash_map};
use std::hash::BuildHasher;

use foldhash::{fast, quality};
use litemap::LiteMap;

use super::flight::Events;
use crate::expect::{Between, IdRole};
use crate::finding::{Evidence, Excerpt, Subject};
use crate::identity::{Iteration, UserNumber};
use crate::time::Stamp;

/// How many ids that nobody owns yet one part of an execution keeps, of users and of anything else (at most 4 KiB each).
pub const OPEN_KEPT: usize = 5_000;

/// The name under which a user's own email is told; no profile can capture it.
pub const EMAIL: &str = "user.email";

/// So many users at least are told an identity that most are told.
const COMMON: usize = 3;

/// How many ids that the target made one part of an execution keeps (some 200 bytes each).
pub const LEARNED_KEPT: usize = 50_000;

/// How many ids of runs and threads whose owners are known one part of an execution keeps, besides `OWNERS_PER_USER` for each of
/// its users and at most `AT_ONCE` more (some 30 bytes each). A soak has ids without end; those of runs that were long ago are
/// forgotten first.
pub const OWNERS_KEPT: usize = 50_000;
/// See `OWNERS_KEPT`; more than can be in use at once.
const OWNERS_PER_USER: usize = 8;
/// So many are forgotten at once: each lies elsewhere in memory, and several are waited for no longer than one.
const AT_ONCE: usize = 64;

/// Whose ids are whose.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    /// Identities of users as the target calls them, and who has them.
    pub identities: BTreeMap<String, BTreeSet<UserNumber>>,
    /// Who owns an id that belongs to one user in the whole target, by a 64-bit hash of role and value.
    pub owners: HashMap<u64, UserNumber, fast::FixedState>,
    /// Those of them that may be forgotten, the first first; none once all was told.
    aging: VecDeque<u64>,
    /// Users at whom their own identity was seen.
    pub own_seen: BTreeSet<UserNumber>,
    /// Ids that were seen at a user and are not known to be his.
    pub open: BTreeMap<OpenId, Sighting>,
    /// How many of `open` are ids of users.
    open_users: usize,
    /// Users in groups within which nothing is another's.
    pub groups: BTreeMap<UserNumber, String>,
    /// Further connections of a user, each under a number of its own, and whose they are.
    pub sockets: BTreeMap<UserNumber, UserNumber>,
    /// Words made like an identity, by who received them: in errors, refusals and frames that could not be read.
    pub words: BTreeMap<(UserNumber, String), Sighting>,
    /// Words made like an identity in answers to steps as they were expected, by step and word: whom they were told to. User 0
    /// is whoever asks before all users.
    pub told: BTreeMap<(String, String), LiteMap<UserNumber, (Stamp, Subject)>>,
    /// How many of them are kept.
    told_kept: usize,
    /// Ids that the target made, by [`Ledger::key`]: who got each of them first.
    pub learned: BTreeMap<u64, Learned>,
    /// Marks of this execution that were seen at another user than theirs.
    pub marks: BTreeMap<ForeignMark, Sighting>,
}

/// The first receipt of an id that the target made; by user number of those at one instant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Learned {
    /// When.
    pub at: Stamp,
    /// By whom.
    pub user: UserNumber,
    /// The id; its key tells what of.
    pub id: OpenId,
    /// The run it came in had another id before, which its receiver had got first.
    pub beside: bool,
}

/// An id that is not known to be its receiver's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenId {
    /// What the profile calls the id.
    pub name: String,
    /// What it identifies.
    pub role: IdRole,
    /// The value.
    pub value: String,
    /// Who received it.
    pub user: UserNumber,
}

/// A mark at another user than the one whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForeignMark {
    /// Whose it is.
    pub owner: UserNumber,
    /// Of which iteration.
    pub iteration: Iteration,
    /// Who received it.
    pub user: UserNumber,
}

/// Where an open id or a foreign mark was seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sighting {
    /// First.
    pub at: Stamp,
    /// At whom.
    pub subject: Subject,
    /// In what.
    pub evidence: Evidence,
    /// In how many frames.
    pub frames: u64,
    /// The receiver's own value was known, so that a value of nobody's is malformed.
    pub own_known: bool,
    /// In what kind of frames.
    pub borne: Borne,
}

/// What it was that bore an id or a mark.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Borne {
    /// Events of the grammar.
    pub events: Events,
    /// All of it was its receiver's otherwise, by ids, by its place in a run, or as the answer to a request.
    pub own: bool,
    /// Some of it carried a mark of its receiver besides.
    pub both: bool,
    /// The hashes of the frames, the `HASHES_KEPT` smallest.
    pub hashes: BTreeSet<u64>,
}

/// How many frames of one id or mark can be compared with what others got.
const HASHES_KEPT: usize = 8;

impl Borne {
    /// With what bore it besides.
    pub fn add(&mut self, other: &Borne) {
        self.events = self.events.and(other.events);
        self.own &= other.own;
        self.both |= other.both;
        self.hashes.extend(&other.hashes);
        while self.hashes.len() > HASHES_KEPT {
            self.hashes.pop_last();
        }
    }
}

impl Sighting {
    /// Seen once.
    pub(super) fn new(at: Stamp, subject: Subject, evidence: Evidence) -> Sighting {
        Sighting { at, subject, evidence, frames: 1, own_known: false, borne: Borne::default() }
    }

    /// With another sighting of the same.
    pub fn join(&mut self, other: Sighting) {
        let (frames, own_known) = (self.frames + other.frames, self.own_known || other.own_known);
        let mut borne = std::mem::take(&mut self.borne);
        borne.add(&other.borne);
        if (other.at, &other.subject, &other.evidence) < (self.at, &self.subject, &self.evidence) {
            *self = other;
        }
        (self.frames, self.own_known, self.borne) = (frames, own_known, borne);
    }
}

impl Ledger {
    /// The key of an id in `owners`.
    pub fn key(role: IdRole, value: &str) -> u64 {
        quality::FixedState::default().hash_one((role, value))
    }

    /// An id belongs to `user`.
    pub fn own(&mut self, role: IdRole, value: &str, user: UserNumber) {
        self.own_key(Ledger::key(role, value), user);
    }

    /// The smallest number of those who own an id counts. Says whether it is the first.
    fn own_key(&mut self, key: u64, user: UserNumber) -> bool {
        match self.owners.entry(key) {
            hash_map::Entry::Vacant(entry) => {
                entry.insert(user);
                true
            }
            hash_map::Entry::Occupied(mut entry) => {
                let owner = entry.get_mut();
                *owner = user.min(*owner);
                false
            }
        }
    }

    /// An id that an ask brought, which the next one may bring again, belongs to `user`, of whom there are `users` here. Says
    /// how many others were forgotten for it.
    pub fn own_for_a_while(&mut self, role: IdRole, value: &str, user: UserNumber, users: u64) -> u64 {
        let key = Ledger::key(role, value);
        if self.own_key(key, user) {
            self.aging.push_back(key);
        }
        let room = OWNERS_KEPT + OWNERS_PER_USER * usize::try_from(users).unwrap_or(usize::MAX / OWNERS_PER_USER / 2);
        if self.aging.len() < room + AT_ONCE {
            return 0;
        }
        let owners = &mut self.owners;
        self.aging.drain(..AT_ONCE).map(|oldest| u64::from(owners.remove(&oldest).is_some())).sum()
    }

    /// Nothing more will be told.
    pub(super) fn finish(&mut self) {
        self.aging = VecDeque::new();
    }

    /// Whether another id of this role may be kept open. Users and other ids do not take each other's room: targets make
    /// ids of runs without end, and a foreign user among them must not be missed.
    pub fn has_room(&self, role: IdRole) -> bool {
        let kept = if role == IdRole::User { self.open_users } else { self.open.len() - self.open_users };
        kept < OPEN_KEPT
    }

    /// Keeps an id open.
    pub fn add_open(&mut self, open: OpenId, sighting: Sighting) {
        self.open_users += usize::from(open.role == IdRole::User);
        self.open.insert(open, sighting);
    }

    /// Keeps a word that may be an identity; the first `OPEN_KEPT`. Errors are short and few.
    pub fn add_word(&mut self, user: UserNumber, word: &str, sighting: impl FnOnce() -> Sighting) {
        if self.words.len() < OPEN_KEPT {
            self.words.entry((user, word.to_owned())).or_insert_with(sighting);
        }
    }

    /// An id that the target made came to `learned.user`. Says whose it is, if another got it before and the run it came in had an
    /// id of its own: a script that is played to several has the same ids wherever it is played. `None` as well if there is no
    /// room for it, which the second value says.
    pub fn learn(&mut self, learned: Learned) -> (Option<UserNumber>, bool) {
        let full = self.learned.len() >= LEARNED_KEPT;
        let (user, beside) = (learned.user, learned.beside);
        match self.learned.entry(Ledger::key(learned.id.role, &learned.id.value)) {
            Entry::Vacant(_) if full => return (None, true),
            Entry::Vacant(entry) => drop(entry.insert(learned)),
            Entry::Occupied(entry) if self.sockets.get(&entry.get().user) == Some(&user) => {}
            Entry::Occupied(mut entry) if learned < *entry.get() => {
                let later = entry.insert(learned);
                self.contest(later);
            }
            Entry::Occupied(entry) if entry.get().user != user && beside => return (Some(entry.get().user), false),
            Entry::Occupied(_) => {}
        }
        (None, false)
    }

    /// Who got an id first, of those that the target made.
    pub fn learned_by(&self, role: IdRole, value: &str) -> Option<UserNumber> {
        self.learned.get(&Ledger::key(role, value)).map(|learned| learned.user)
    }

    /// Another user had got the id before.
    fn contest(&mut self, later: Learned) {
        let Learned { at, id, user, beside } = later;
        if beside && self.has_room(id.role) {
            let subject = Subject { user: Some(user), ..Subject::default() };
            let excerpt = Excerpt::new(at, id.name.clone(), &id.value);
            let sighting = Sighting::new(at, subject, Evidence { marks: Vec::new(), excerpts: vec![excerpt] });
            match self.open.entry(id) {
                Entry::Occupied(mut entry) => entry.get_mut().join(sighting),
                Entry::Vacant(entry) => {
                    self.open_users += usize::from(entry.key().role == IdRole::User);
                    entry.insert(sighting);
                }
            }
        }
    }

    /// Ids that the target made belong to whoever got them first.
    pub(super) fn settle_learned(&mut self) {
        for (key, learned) in std::mem::take(&mut self.learned) {
            self.owners.insert(key, learned.user);
        }
    }

    /// Keeps the words of an answer to `user` that may be identities of others, unless it names its receiver: what names both is
    /// a list, or a thing that they share.
    pub fn add_told(&mut self, step: &str, words: &[String], user: UserNumber, at: Stamp, subject: &Subject) {
        let owns = |word: &String| self.identities.get(word).is_some_and(|owners| owners.contains(&user));
        if words.iter().any(owns) {
            return;
        }
        for word in words {
            let known = self.identities.contains_key(word);
            if known || self.told_kept < OPEN_KEPT {
                // Most are told to one.
                let one = || LiteMap::with_capacity(1);
                let told = self.told.entry((step.to_owned(), word.clone())).or_insert_with(one);
                self.told_kept += usize::from(told.insert(user, (at, subject.clone())).is_none());
            }
        }
    }

    /// Identities that answers told to others than their owners and to few of all: by step, identity and receiver. What most
    /// users are told is no secret of anybody's.
    pub fn told_to_others(&mut self) -> Vec<(String, String, UserNumber, Stamp, Subject)> {
        let users: BTreeSet<UserNumber> = self.identities.values().flatten().copied().collect();
        let mut all = Vec::new();
        for ((step, word), receivers) in std::mem::take(&mut self.told) {
            let few = receivers.len() < COMMON || 2 * receivers.len() < users.len();
            if few && self.identities.contains_key(&word) {
                let one = |(user, (at, subject))| (step.clone(), word.clone(), user, at, subject);
                all.extend(receivers.into_iter().map(one));
            }
        }
        all
    }

    /// Keeps a mark of another user. Gives the sighting back if there is no room.
    pub fn add_mark(&mut self, mark: ForeignMark, sighting: Sighting) -> Option<Sighting> {
        let full = self.marks.len() >= OPEN_KEPT;
        match self.marks.entry(mark) {
            Entry::Occupied(mut entry) => entry.get_mut().join(sighting),
            Entry::Vacant(_) if full => return Some(sighting),
            Entry::Vacant(entry) => drop(entry.insert(sighting)),
        }
        None
    }

    /// Another user than `user` who is known to own `value`, if `user` is not among its owners.
    pub fn other_owner(&self, role: IdRole, value: &str, user: UserNumber) -> Option<UserNumber> {
        if role == IdRole::User {
            let owners = self.identities.get(value)?;
            return if owners.contains(&user) { None } else { owners.first().copied() };
        }
        self.owners.get(&Ledger::key(role, value)).copied().filter(|owner| *owner != user)
    }

    /// Whether nothing of the one is foreign to the other.
    pub fn together(&self, one: UserNumber, other: UserNumber) -> bool {
        let (one, other) = (self.person(one), self.person(other));
        let group = |user| self.groups.get(&user);
        one == other || group(one).is_some_and(|mine| group(other) == Some(mine))
    }

    /// The user whose connection `user` is: itself, unless it is a further one of another.
    pub fn person(&self, user: UserNumber) -> UserNumber {
        self.sockets.get(&user).copied().unwrap_or(user)
    }

    /// Whether the one's is foreign to the other, as far as is known here: another thread may know a user's group.
    pub fn surely_apart(&self, one: UserNumber, other: UserNumber, between: Between) -> bool {
        let known = |user| between == Between::Users || self.groups.contains_key(&self.person(user));
        known(one) && known(other) && !self.together(one, other)
    }

    /// Whether some of `users` are foreign to one another.
    pub fn apart(&self, users: &BTreeSet<UserNumber>) -> bool {
        users.first().is_some_and(|first| users.iter().any(|user| !self.together(*first, *user)))
    }

    /// One number for all of a group, and for all connections of a user; who is in none has his own.
    pub fn circles(&self) -> impl Fn(UserNumber) -> UserNumber + use<> {
        let mut first: BTreeMap<&str, UserNumber> = BTreeMap::new();
        let groups = self.groups.iter();
        let of: BTreeMap<UserNumber, UserNumber> =
            groups.map(|(user, group)| (*user, *first.entry(group).or_insert(*user))).collect();
        let sockets = self.sockets.clone();
        move |user| {
            let person = sockets.get(&user).copied().unwrap_or(user);
            of.get(&person).copied().unwrap_or(person)
        }
    }

    pub(super) fn merge(&mut self, other: Ledger) {
        self.groups.extend(other.groups);
        self.sockets.extend(other.sockets);
        for (value, users) in other.identities {
            self.identities.entry(value).or_default().extend(users);
        }
        self.own_seen.extend(other.own_seen);
        #[expect(clippy::iter_over_hash_type, reason = "the smaller number wins in any order")]
        for (key, owner) in other.owners {
            self.own_key(key, owner);
        }
        for (open, theirs) in other.open {
            match self.open.entry(open) {
                Entry::Vacant(entry) => {
                    self.open_users += usize::from(entry.key().role == IdRole::User);
                    entry.insert(theirs);
                }
                Entry::Occupied(mut entry) => entry.get_mut().join(theirs),
            }
        }
        for (word, theirs) in other.words {
            match self.words.entry(word) {
                Entry::Vacant(entry) => drop(entry.insert(theirs)),
                Entry::Occupied(mut entry) => entry.get_mut().join(theirs),
            }
        }
        for (key, theirs) in other.learned {
            let Some(mine) = self.learned.get_mut(&key) else {
                self.learned.insert(key, theirs);
                continue;
            };
            let later = if theirs < *mine { std::mem::replace(mine, theirs) } else { theirs };
            self.contest(later);
        }
        self.told_kept += other.told_kept;
        for (word, theirs) in other.told {
            let mine = self.told.entry(word).or_default();
            for (user, first) in theirs {
                match mine.get_mut(&user) {
                    Some(known) if first < *known => *known = first,
                    Some(_) => {}
                    None => drop(mine.insert(user, first)),
                }
            }
        }
        for (mark, theirs) in other.marks {
            match self.marks.entry(mark) {
                Entry::Vacant(entry) => drop(entry.insert(theirs)),
                Entry::Occupied(mut entry) => entry.get_mut().join(theirs),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(user: u32, at: u64, beside: bool) -> Learned {
        let (name, value) = ("run".to_owned(), "3afe2dca-d584-47c0-a4fc-b2f70c02eb46".to_owned());
        let id = OpenId { name, role: IdRole::Run, value, user: UserNumber(user) };
        Learned { at: Stamp(at), user: UserNumber(user), id, beside }
    }

    fn part(receipts: &[Learned]) -> Ledger {
        let mut ledger = Ledger::default();
        for receipt in receipts {
            assert!(!ledger.learn(receipt.clone()).1);
        }
        ledger
    }

    #[test]
    fn an_id_of_the_targets_own_is_whose_who_got_it_first_however_parts_are_merged() {
        let parts = [part(&[learned(3, 30, true)]), part(&[learned(1, 20, false)]), part(&[learned(2, 10, true)])];
        let merged = |order: [usize; 3]| {
            let mut all = Ledger::default();
            order.iter().for_each(|index| all.merge(parts[*index].clone()));
            all
        };
        let all = merged([0, 1, 2]);
        assert_eq!(all, merged([2, 1, 0]));
        assert_eq!(all, merged([1, 2, 0]));
        let value = learned(1, 0, true).id.value;
        assert_eq!(all.learned_by(IdRole::Run, &value), Some(UserNumber(2)));
        // User 1 had no other id in the run it came in: it may be a script.
        assert_eq!(all.open.keys().map(|open| open.user.0).collect::<Vec<_>>(), [3]);
        let (tie, late) = (learned(5, 10, true), learned(4, 11, true));
        assert_eq!(part(&[learned(2, 10, true)]).learn(tie), (Some(UserNumber(2)), false));
        assert_eq!(part(&[late]).learn(learned(2, 10, true)), (None, false), "it was got before, and told later");
    }

    #[test]
    fn of_the_ids_that_asks_bring_the_oldest_are_forgotten_and_no_others() {
        let mut ledger = Ledger::default();
        let (user, other) = (UserNumber(1), UserNumber(2));
        ledger.own(IdRole::Thread, "captured", user);
        let room = OWNERS_KEPT + OWNERS_PER_USER * 3;
        // What is asked for again is kept once.
        let forgotten = |ledger: &mut Ledger, id: usize| {
            let id = id.to_string();
            let mut asked = || ledger.own_for_a_while(IdRole::Run, &id, user, 3);
            asked() + asked()
        };
        let last = room + AT_ONCE - 1;
        assert_eq!((0..last).map(|id| forgotten(&mut ledger, id)).sum::<u64>(), 0);
        assert_eq!(forgotten(&mut ledger, last), AT_ONCE as u64);
        let owner = |id: usize| ledger.other_owner(IdRole::Run, &id.to_string(), other);
        assert!((0..AT_ONCE).all(|id| owner(id).is_none()));
        assert!((AT_ONCE..=last).all(|id| owner(id) == Some(user)));
        assert_eq!(ledger.other_owner(IdRole::Thread, "captured", other), Some(user));
        assert_eq!(ledger.owners.len(), room + 1);
    }

    #[test]
    fn connections_of_one_user_are_one_and_groups_hold_for_them() {
        let mut ledger = Ledger::default();
        let [one, two, further] = [1, 2, 9].map(UserNumber);
        ledger.sockets.insert(further, one);
        assert!(ledger.together(one, further) && !ledger.together(two, further));
        assert!(
            !ledger.surely_apart(one, further, Between::Users) && ledger.surely_apart(two, further, Between::Users)
        );
        ledger.groups = [(one, "red".to_owned()), (two, "red".to_owned())].into();
        assert!(ledger.together(two, further));
        let circle = ledger.circles();
        assert_eq!((circle(further), circle(two)), (circle(one), circle(one)));
    }
}
