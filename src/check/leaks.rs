//! What of one user came to another, and how: foreign ids and marks of the ledger put together by cause.
//!
//! Looks at the owner's side as well: whether he got the frame, too, lacks it, or was gone. One run of one user at another is
//! one leak, however many ids and marks tell of it, and explains what the owner's run lacks. Whose an id is was settled
//! before; frames without ids or marks are `copies`'s.

use std::collections::{BTreeMap, BTreeSet};

use super::flight::{Events, Flight};
use super::judgement::Judgement;
use super::ledger::{Borne, Ledger, OpenId, Sighting};
use crate::expect::{Expectations, IdRole, Role};
use crate::finding::{Deviation, Finding, Leak, LeakClass};
use crate::identity::{Iteration, UserNumber};
use crate::rule::{Rule, Severity};
use crate::time::{Micros, Stamp};

/// A copy comes within this time of the original; it allows for a target and a harness under load.
const ONE_MOMENT: Micros = Micros(500_000);
/// How many of the other receivers of a broadcast are named.
const USERS_NAMED: usize = 5;

/// Who got something of whose run: receiver, owner, and when the run was asked for, if that is known.
type Way = (UserNumber, UserNumber, Option<Stamp>);

/// Everything that came one way.
#[derive(Debug)]
struct Crossing {
    seen: Sighting,
    /// As `run id r-2`, in order.
    ids: BTreeSet<String>,
    mark: Option<Iteration>,
    flight: Option<Flight>,
    class: LeakClass,
}

/// Adds a finding for each leak, of the marks kept in the ledger and of `foreign` ids, each with whose it is. Users of whom
/// `same` says that they are one to the target have no secrets from one another.
pub(super) fn settle(
    judgement: &mut Judgement,
    expect: &Expectations,
    foreign: Vec<(OpenId, UserNumber, Sighting)>,
    same: impl Fn(UserNumber, UserNumber) -> bool,
) {
    let mut crossings: BTreeMap<Way, Crossing> = BTreeMap::new();
    for (mark, seen) in std::mem::take(&mut judgement.ledger.marks) {
        if same(mark.owner, mark.user) {
            continue;
        }
        let of = |flight: &Flight| flight.iteration == mark.iteration;
        let flight = last(judgement, mark.owner, seen.at, of);
        Crossing::add(&mut crossings, (mark.user, mark.owner), flight, seen).mark.get_or_insert(mark.iteration);
    }
    for (open, owner, seen) in foreign {
        if same(owner, open.user) {
            continue;
        }
        let key = (open.role == IdRole::Run).then(|| Ledger::key(open.role, &open.value));
        let named = key.and_then(|key| last(judgement, owner, Stamp(u64::MAX), |flight| flight.run == Some(key)));
        let flight = named.or_else(|| last(judgement, owner, seen.at, |_| true));
        let id = format!("{} id {}", open.name, open.value);
        Crossing::add(&mut crossings, (open.user, owner), flight, seen).ids.insert(id);
    }
    classify(&mut crossings);
    let explained = explain(judgement, expect, &crossings);
    judgement.counts.runs_misrouted = explained;
    tell(judgement, crossings, expect);
}

/// The last run of `user` of which `is` holds, asked for before `at`.
fn last(judgement: &Judgement, user: UserNumber, at: Stamp, is: impl Fn(&Flight) -> bool) -> Option<Flight> {
    let flights = judgement.flights.get(&user)?.iter();
    flights.filter(|flight| flight.asked <= at && is(flight)).max_by_key(|flight| flight.asked).copied()
}

impl Crossing {
    fn add(
        all: &mut BTreeMap<Way, Crossing>,
        (user, owner): (UserNumber, UserNumber),
        flight: Option<Flight>,
        seen: Sighting,
    ) -> &mut Crossing {
        use std::collections::btree_map::Entry;
        match all.entry((user, owner, flight.map(|flight| flight.asked))) {
            Entry::Vacant(entry) => {
                let (ids, class) = (BTreeSet::new(), LeakClass::Unsettled);
                entry.insert(Crossing { seen, ids, mark: None, flight, class })
            }
            Entry::Occupied(entry) => {
                let crossing = entry.into_mut();
                // Several ids stand in one frame.
                let frames = crossing.seen.frames.max(seen.frames);
                crossing.seen.join(seen);
                crossing.seen.frames = frames;
                crossing
            }
        }
    }

    /// How it came, as far as the two users alone can tell.
    fn class(&self) -> LeakClass {
        let Borne { events, own, .. } = self.seen.borne;
        let over = |after: Micros| self.flight.is_some_and(|flight| self.seen.at > flight.over + after);
        match self.flight {
            _ if own && self.mark.is_some() && !events.is_empty() && over(Micros::ZERO) => LeakClass::CachedAnswer,
            _ if own => LeakClass::ContentOnly,
            Some(_) if over(ONE_MOMENT) => LeakClass::StaleSession,
            Some(flight) if !events.without(flight.came).is_empty() => LeakClass::Misrouted,
            Some(_) if !events.is_empty() => LeakClass::Copied,
            _ => LeakClass::Unsettled,
        }
    }

    /// It stands in place of what would be the receiver's, so that it may be one half of a swap.
    fn swaps(&self) -> bool {
        let Borne { events, both, .. } = self.seen.borne;
        match self.class {
            LeakClass::Misrouted => true,
            LeakClass::ContentOnly => !both && !events.is_empty(),
            _ => false,
        }
    }

    fn overlaps(&self, other: &Crossing) -> bool {
        let (Some(mine), Some(theirs)) = (self.flight, other.flight) else { return false };
        mine.asked <= theirs.over && theirs.asked <= mine.over
    }
}

fn classify(crossings: &mut BTreeMap<Way, Crossing>) {
    // Who got which frame of whose.
    let mut receivers: BTreeMap<(UserNumber, u64), BTreeSet<UserNumber>> = BTreeMap::new();
    for ((user, owner, _), crossing) in crossings.iter() {
        for hash in &crossing.seen.borne.hashes {
            receivers.entry((*owner, *hash)).or_default().insert(*user);
        }
    }
    let several = |owner: &UserNumber, hash: &u64| receivers.get(&(*owner, *hash)).is_some_and(|users| users.len() > 1);
    for ((_, owner, _), crossing) in crossings.iter_mut() {
        crossing.class = crossing.class();
        let frame = matches!(crossing.class, LeakClass::Copied | LeakClass::Misrouted | LeakClass::Unsettled);
        if frame && crossing.seen.borne.hashes.iter().any(|hash| several(owner, hash)) {
            crossing.class = LeakClass::Broadcast;
        }
    }
    let swapped: Vec<Way> = crossings
        .iter()
        .filter(|((user, owner, _), crossing)| {
            let back =
                crossings.range((*owner, *user, None)..).take_while(|(way, _)| (way.0, way.1) == (*owner, *user));
            let alike = |other: &Crossing| other.class == crossing.class && other.swaps() && crossing.overlaps(other);
            crossing.swaps() && back.into_iter().any(|(_, other)| alike(other))
        })
        .map(|(way, _)| *way)
        .collect();
    for way in swapped {
        if let Some(crossing) = crossings.get_mut(&way) {
            crossing.class = LeakClass::Swapped;
        }
    }
}

/// Takes away what only says that a run lacks the events that came to somebody else. Says how many runs these are.
fn explain(judgement: &mut Judgement, expect: &Expectations, crossings: &BTreeMap<Way, Crossing>) -> u64 {
    let exceptions = &expect.claims.exceptions;
    let mut elsewhere: BTreeMap<(UserNumber, Stamp), (Flight, Events)> = BTreeMap::new();
    for ((_, owner, _), crossing) in crossings {
        let fails = exceptions.severity(crossing.rule()) == Some(Severity::Failure)
            && exceptions.known.is_empty()
            && expect.claims.isolation.as_ref().is_some_and(|asserted| asserted.required);
        let frames = !crossing.seen.borne.own;
        if let (Some(flight), true) = (crossing.flight, fails && frames) {
            let (_, events) = elsewhere.entry((*owner, flight.asked)).or_insert((flight, Events::default()));
            *events = events.and(crossing.seen.borne.events);
        }
    }
    let mut runs = 0;
    let role = |symbol: usize| expect.grammar.symbols.get(symbol).map(|symbol| symbol.role);
    for ((owner, _), (flight, events)) in elsewhere {
        let gone = events.without(flight.came);
        // A run of which nothing came to its owner went elsewhere as a whole, also where somebody hung up in the midst of it.
        let whole = flight.came.is_empty() || flight.lacks.without(events).is_empty();
        if gone.is_empty() || !whole {
            continue;
        }
        runs += 1;
        judgement.findings.explain_lacking(owner, flight.over);
        let names: Vec<String> = gone.symbols().map(|symbol| expect.symbol_name(symbol)).collect();
        let pairs = gone.symbols().any(|symbol| matches!(role(symbol), Some(Role::Call | Role::Result)));
        let within = |finding: &Finding| {
            finding.subject.user == Some(owner) && (flight.asked..=flight.over).contains(&finding.at)
        };
        judgement.findings.explain(Rule::OutOfOrder, |finding| {
            let before = matches!(&finding.deviation, Deviation::OutOfOrder { before, .. } if names.contains(before));
            within(finding) && before
        });
        judgement.findings.explain(Rule::UnpairedTool, |finding| within(finding) && pairs);
    }
    runs
}

impl Crossing {
    fn rule(&self) -> Rule {
        if self.mark.is_some() { Rule::ForeignCanary } else { Rule::ForeignIdentity }
    }
}

fn tell(judgement: &mut Judgement, crossings: BTreeMap<Way, Crossing>, expect: &Expectations) {
    let exceptions = &expect.claims.exceptions;
    let mut receivers: BTreeMap<(UserNumber, Option<Stamp>), Vec<UserNumber>> = BTreeMap::new();
    for ((user, owner, asked), crossing) in &crossings {
        if crossing.class == LeakClass::Broadcast {
            receivers.entry((*owner, *asked)).or_default().push(*user);
        }
    }
    for ((user, owner, asked), crossing) in crossings {
        let (rule, class) = (crossing.rule(), crossing.class);
        let mut others = Vec::new();
        match class {
            // What two users swapped is told once, of the first of them.
            LeakClass::Swapped if user > owner => continue,
            LeakClass::Broadcast => {
                // It is told once as well, and counted of everybody.
                if let Some(all) = receivers.remove(&(owner, asked)) {
                    others = all.into_iter().filter(|other| *other != user).collect();
                } else {
                    judgement.findings.leaked((rule, class, owner, user));
                    continue;
                }
            }
            _ => {}
        }
        let lacks = match crossing.flight.filter(|_| class == LeakClass::Misrouted) {
            Some(flight) => crossing.seen.borne.events.without(flight.came),
            None => Events::default(),
        };
        let lacks = lacks.symbols().map(|symbol| expect.symbol_name(symbol)).collect();
        let more = others.len() > USERS_NAMED;
        others.truncate(USERS_NAMED);
        let Crossing { seen, ids, mark, .. } = crossing;
        let leak = Leak { class, ids: ids.into_iter().collect(), frames: seen.frames, lacks, others, more };
        let deviation = match mark {
            Some(iteration) => Deviation::ForeignCanary { owner, iteration, leak },
            None => Deviation::ForeignIdentity { owner, leak },
        };
        let Sighting { at, subject, evidence, .. } = seen;
        judgement.findings.add(Finding { at, subject, deviation, evidence }, exceptions);
    }
}
