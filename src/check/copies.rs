//! Frames of runs that tell nobody's id, and who else got the same bytes.
//!
//! Says which of them were sent to everybody. That several users got the same bytes is no evidence: a target that puts neither
//! ids nor times into its events sends everybody the same. It is evidence that somebody had no place for them. What a lane calls
//! out of place is kept here until the whole is known: it is either the trace of such a frame, or a finding of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};

use super::ledger::Ledger;
use crate::finding::{Deviation, Evidence, Excerpt, Finding, Subject};
use crate::identity::{Iteration, UserNumber};
use crate::time::{Micros, Stamp};

/// How many different frames are kept, of the smallest hashes (some 1 KiB each): beyond the bound a random sample.
const FRAMES_KEPT: usize = 10_000;
/// How many receivers of a frame are told apart, of the smallest numbers (40 bytes each).
const USERS_KEPT: usize = 32;
/// How many findings are held back (some 1 KiB each). Beyond, they are what they seem to be.
const SUSPECTS_KEPT: usize = 5_000;
/// How many users a finding names.
const USERS_NAMED: usize = 5;
/// A frame that is sent to everybody arrives everywhere within this time; it allows for a target and a harness under load.
const ONE_MOMENT: Micros = Micros(500_000);

/// Frames of runs that tell nobody's id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Unmarked {
    frames: BTreeMap<u64, Copies>,
    /// Users of whose runs other events carry ids of theirs, or an event id that nobody else got: what their runs share is no
    /// script that everybody is played.
    individual: BTreeSet<UserNumber>,
    /// Sorted.
    suspects: Vec<Suspect>,
}

/// The receipts of one frame.
#[derive(Debug, Clone, PartialEq)]
struct Copies {
    event: String,
    /// The event carries an id that cannot come twice by chance.
    same_id: bool,
    first: Stamp,
    last: Stamp,
    /// The first receipt.
    shown: (Excerpt, Subject),
    users: BTreeMap<UserNumber, Receipts>,
}

/// What one user got of a frame.
#[derive(Debug, Clone, Default, PartialEq)]
struct Receipts {
    /// The last run in which it had a place.
    run: Option<(Iteration, u32)>,
    /// In how many runs it had one.
    runs: u64,
}

/// A finding that a frame sent to everybody would explain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Suspect {
    hash: u64,
    finding: Finding,
    /// The user had not asked anything before.
    idle: bool,
}

/// One frame of a run, as one user got it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copy<'a> {
    pub hash: u64,
    pub at: Stamp,
    pub text: &'a str,
    /// The event's own id.
    pub event_id: Option<&'a str>,
    /// The run in which it had a place: iteration and turn.
    pub run: Option<(Iteration, u32)>,
}

/// The name of a frame among all.
pub(super) fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

impl Unmarked {
    /// Counts a receipt. Says who else got an event of the same id, if such are there.
    pub(super) fn add(
        &mut self,
        copy: Copy<'_>,
        subject: impl FnOnce() -> Subject,
        event: impl FnOnce() -> String,
        user: UserNumber,
    ) -> Vec<UserNumber> {
        let full = self.frames.len() >= FRAMES_KEPT;
        if full && self.frames.last_key_value().is_some_and(|(last, _)| *last < copy.hash) {
            return Vec::new();
        }
        let copies = self.frames.entry(copy.hash).or_insert_with(|| Copies {
            event: event(),
            same_id: copy.event_id.is_some_and(is_individual),
            first: copy.at,
            last: copy.at,
            shown: (Excerpt::new(copy.at, "frame", copy.text), subject()),
            users: BTreeMap::new(),
        });
        copies.first = copies.first.min(copy.at);
        copies.last = copies.last.max(copy.at);
        let receipts = copies.users.entry(user).or_default();
        if copy.run.is_some() && receipts.run != copy.run {
            receipts.run = copy.run;
            receipts.runs += 1;
        }
        copies.bound();
        let others =
            if copies.same_id && copies.users.len() > 1 { copies.users.keys().copied().collect() } else { vec![] };
        self.bound();
        others
    }

    /// An event of a run of `user` carried an id of his.
    pub(super) fn told_apart(&mut self, user: UserNumber) {
        self.individual.insert(user);
    }

    /// Holds a finding back that a frame sent to everybody would explain; gives it back if there is no room.
    pub(super) fn suspect(&mut self, hash: u64, finding: Finding, idle: bool) -> Option<Finding> {
        if self.suspects.len() >= SUSPECTS_KEPT {
            return Some(finding);
        }
        let suspect = Suspect { hash, finding, idle };
        let place = self.suspects.partition_point(|known| *known <= suspect);
        self.suspects.insert(place, suspect);
        None
    }

    pub(super) fn merge(&mut self, other: Unmarked) {
        self.individual.extend(other.individual);
        for (hash, theirs) in other.frames {
            match self.frames.get_mut(&hash) {
                Some(mine) => mine.merge(theirs),
                None => drop(self.frames.insert(hash, theirs)),
            }
        }
        self.bound();
        self.suspects.extend(other.suspects);
        self.suspects.sort();
    }

    /// What became of it: frames that were sent to everybody, and findings that no such frame explains. Where several users are
    /// one to the target, what it sends to that one it sends to all of them.
    pub(super) fn settle(self, ledger: &Ledger, collapsed: bool) -> Vec<Finding> {
        let Unmarked { frames, mut individual, suspects } = self;
        let alone = frames.values().filter(|copies| copies.same_id && copies.users.len() == 1);
        individual.extend(alone.flat_map(|copies| copies.users.keys().copied()));
        let collapsed = collapsed || ledger.identities.values().any(|users| ledger.apart(users));
        let mut findings = Vec::new();
        let mut explained = BTreeSet::new();
        for (hash, copies) in frames.iter().filter(|(_, copies)| copies.users.len() > 1 && !collapsed) {
            let from = suspects.partition_point(|suspect| suspect.hash < *hash);
            let mine = suspects[from..].iter().take_while(|suspect| suspect.hash == *hash);
            if let Some(finding) = copies.judge(&mine.collect::<Vec<_>>(), ledger, &individual) {
                explained.insert(*hash);
                findings.push(finding);
            }
        }
        // What a user's other sockets get, or those of a group, is no run that nobody has asked for.
        let shared = |suspect: &Suspect| {
            let placed = |(user, receipts): (&UserNumber, &Receipts)| {
                receipts.runs > 0
                    && Some(*user) != suspect.finding.subject.user
                    && suspect.finding.subject.user.is_some_and(|other| ledger.together(*user, other))
            };
            frames.get(&suspect.hash).is_some_and(|copies| copies.users.iter().any(placed))
        };
        let others = suspects.into_iter().filter(|suspect| !explained.contains(&suspect.hash) && !shared(suspect));
        findings.extend(others.map(|suspect| suspect.finding));
        findings
    }

    fn bound(&mut self) {
        while self.frames.len() > FRAMES_KEPT {
            self.frames.pop_last();
        }
    }
}

impl Copies {
    fn merge(&mut self, other: Copies) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        if (other.shown.0.at, &other.shown.1) < (self.shown.0.at, &self.shown.1) {
            self.shown = other.shown;
        }
        self.users.extend(other.users);
        self.bound();
    }

    fn bound(&mut self) {
        while self.users.len() > USERS_KEPT {
            self.users.pop_last();
        }
    }

    /// The finding, if the frame was sent to everybody. `suspects` are those whom it came to out of place.
    fn judge(&self, suspects: &[&Suspect], ledger: &Ledger, told_apart: &BTreeSet<UserNumber>) -> Option<Finding> {
        // What a target sends in every run is its own text there, and so is what different runs have at different times.
        let individual = self.last.since(self.first) <= ONE_MOMENT && self.users.values().all(|user| user.runs < 2);
        let placed = |user: &UserNumber| self.users.get(user).is_some_and(|receipts| receipts.runs > 0);
        let out_of_place = |suspect: &&&Suspect| {
            let Some(user) = suspect.finding.subject.user else { return false };
            let elsewhere = self.users.keys().any(|other| !ledger.together(*other, user) && placed(other));
            let alien = suspect.idle || (individual && self.users.contains_key(&user));
            // Who had a place for it as well got it twice: that is a repetition.
            elsewhere && alien && !placed(&user)
        };
        // Who had asked nothing shows it best.
        let idle_first = || {
            let (idle, others): (Vec<&Suspect>, Vec<&Suspect>) =
                suspects.iter().filter(out_of_place).partition(|suspect| suspect.idle);
            idle.into_iter().chain(others)
        };
        let witness = idle_first().next();
        let apart = ledger.apart(&self.users.keys().copied().collect());
        // A script that is played to everybody has the same random ids in every run, and nothing that tells runs apart.
        let scripted = !self.users.keys().any(|user| told_apart.contains(user));
        if witness.is_none() && !(self.same_id && individual && apart && !scripted) {
            return None;
        }
        let mut without: Vec<UserNumber> = Vec::new();
        for user in idle_first().filter_map(|suspect| suspect.finding.subject.user) {
            if !without.contains(&user) {
                without.push(user);
            }
        }
        without.truncate(USERS_NAMED);
        without.sort_unstable();
        let mut at_home = self.users.keys().filter(|user| placed(user));
        let owner = match (at_home.next(), at_home.next()) {
            (Some(owner), None) if self.users.len() < USERS_KEPT => Some(*owner),
            _ => None,
        };
        let users: BTreeSet<UserNumber> = self.users.keys().copied().chain(without.iter().copied()).collect();
        let deviation = Deviation::Broadcast {
            event: self.event.clone(),
            owner: owner.filter(|owner| witness.is_none_or(|witness| witness.finding.subject.user != Some(*owner))),
            more: users.len() > USERS_NAMED || self.users.len() == USERS_KEPT,
            users: users.into_iter().take(USERS_NAMED).collect(),
            without,
        };
        let (excerpt, first) = &self.shown;
        let (at, subject, marks) = match witness {
            Some(Suspect { finding, .. }) => (finding.at, &finding.subject, finding.evidence.marks.clone()),
            None => (self.last, first, Vec::new()),
        };
        let evidence = Evidence { marks, excerpts: vec![excerpt.clone()] };
        Some(Finding { at, subject: subject.clone(), deviation, evidence })
    }
}

/// Whether an event id cannot come twice by chance: some part of it is long and mixes letters with digits, as random ones do.
/// Numbers, times and counters behind a name do not.
pub(super) fn is_individual(id: &str) -> bool {
    const LONG: usize = 16;
    const MIXED: usize = 4;
    id.split(['_', ':', '.', '/', '#']).any(|part| {
        let digits: Vec<bool> =
            part.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.is_ascii_digit()).collect();
        digits.len() >= LONG && digits.windows(2).filter(|pair| pair[0] != pair[1]).count() >= MIXED
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_event_ids_are_told_from_counters_and_times() {
        for id in ["evt_9f1c03bd77a2e410", "550e8400-e29b-41d4-a716-446655440000", "01ARZ3NDEKTSV4RRFFQ69G5FAV"] {
            assert!(is_individual(id), "{id}");
        }
        for id in ["", "3", "evt-000000000000017", "agent_thinking_1757239201250", "agent-thinking-2025-09-07", "e-1"] {
            assert!(!is_individual(id), "{id}");
        }
    }

    /// What `user` got of one frame, in place or not.
    fn received(user: u32, at: u64, in_place: bool, idle: bool) -> Unmarked {
        let user = UserNumber(user);
        let subject = || Subject { user: Some(user), ..Subject::default() };
        let mut part = Unmarked::default();
        let run = in_place.then_some((Iteration(1), 0));
        let copy = Copy { hash: 7, at: Stamp(at), text: "{}", event_id: None, run };
        part.add(copy, subject, || "agent_thinking".to_owned(), user);
        if !in_place {
            let deviation = Deviation::UnaskedRun { event: "agent_thinking".to_owned() };
            let evidence = Evidence::default();
            part.suspect(7, Finding { at: Stamp(at), subject: subject(), deviation, evidence }, idle);
        }
        part
    }

    fn settled(parts: &[Unmarked]) -> Vec<String> {
        let mut all = Unmarked::default();
        parts.iter().for_each(|part| all.merge(part.clone()));
        all.settle(&Ledger::default(), false).iter().map(|finding| finding.deviation.message()).collect()
    }

    #[test]
    fn parts_show_together_what_none_of_them_shows() {
        const UNASKED: &str = "agent_thinking came although no run was in flight";
        const BROADCAST: &str = "the same agent_thinking came to users 1 and 2, and user 2 had no place for it";
        let (owner, stray) = (received(1, 100, true, false), received(2, 200, false, false));
        assert_eq!(settled(&[owner.clone(), stray.clone()]), [BROADCAST]);
        assert_eq!(settled(&[stray.clone(), owner.clone()]), [BROADCAST]);
        assert_eq!(settled(std::slice::from_ref(&stray)), [UNASKED]);
        assert_eq!(settled(&[owner.clone(), received(2, 150, true, false)]), [""; 0]);
        assert_eq!(settled(&[stray, received(1, 100, false, false)]), [UNASKED; 2], "nobody had a place for it");
        // What comes at different times is the text of a mock, unless somebody got it who had asked nothing.
        let later = 100 + ONE_MOMENT.0 + 1;
        assert_eq!(settled(&[owner.clone(), received(2, later, false, false)]), [UNASKED]);
        assert_eq!(settled(&[owner, received(2, later, false, true)]), [BROADCAST]);
    }

    #[test]
    fn what_is_kept_of_a_frame_does_not_depend_on_who_tells_it_first() {
        let part = |users: std::ops::Range<u32>| {
            let mut part = Unmarked::default();
            for user in users {
                let user = UserNumber(user);
                let subject = || Subject { user: Some(user), ..Subject::default() };
                let run = Some((Iteration(1), 0));
                let copy = Copy { hash: 7, at: Stamp(u64::from(user.0)), text: "{}", event_id: None, run };
                part.add(copy, subject, || "agent_thinking".to_owned(), user);
            }
            part
        };
        let joined = |parts: [&Unmarked; 3]| {
            let mut all = Unmarked::default();
            parts.into_iter().for_each(|part| all.merge(part.clone()));
            all
        };
        let (a, b, c) = (part(1..20), part(20..45), part(45..60));
        let all = joined([&a, &b, &c]);
        assert_eq!(all, joined([&c, &b, &a]));
        assert_eq!(all, joined([&b, &a, &c]));
        assert_eq!(all.frames[&7].users.len(), USERS_KEPT);
        assert_eq!((all.frames[&7].first, all.frames[&7].last), (Stamp(1), Stamp(59)));
    }
}
