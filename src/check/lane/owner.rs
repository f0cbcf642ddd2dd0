//! Whose a frame is: marks in its text, ids at the profile's places.
//!
//! Says what is certain at once (a mark names its owner) and leaves to the ledger what only the whole execution knows: whose an
//! id is, and whether he got the frame as well.

use std::collections::BTreeSet;

use super::{Bench, Lane};
use crate::canary::{self, Found};
use crate::check::concern::ConcernId;
use crate::check::flight::Events;
use crate::check::json::Long;
use crate::check::judgement::Judgement;
use crate::check::ledger::{Borne, ForeignMark, Learned, OpenId, Sighting};
use crate::check::{copies, escapes};
use crate::event::Extract;
use crate::expect::{Compare, IdRole, IdRule, IdSource, Unique};
use crate::finding::{Deviation, Evidence, Excerpt, Finding, Leak};
use crate::identity::{Iteration, UserNumber};
use crate::time::Stamp;
use crate::trace::Frame;

impl Lane {
    /// Looks for marks in what came at `at`, a frame or whatever else `what` is.
    pub(super) fn marks(&mut self, bench: &mut Bench<'_>, at: Stamp, what: &str, text: &str) -> Marks {
        let text = &*escapes::plain(text);
        self.found(bench, at, what, text, canary::find_in_knowing(text.as_bytes(), self.mark))
    }

    /// As `marks`, of a frame in which no character of a mark is escaped and `long` are the long texts.
    pub(super) fn marks_within(&mut self, bench: &mut Bench<'_>, at: Stamp, text: &str, long: &Long) -> Marks {
        let (bytes, known) = (text.as_bytes(), self.mark);
        let Some(long) = long.all() else { return self.marks(bench, at, "frame", text) };
        let found = long.filter(|within| canary::may_be_in(&bytes[within.clone()])).flat_map(|within| {
            let begin = within.start;
            canary::find_in_knowing(&bytes[within], known).map(move |found| found.from(begin))
        });
        self.found(bench, at, "frame", text, found)
    }

    /// What the marks that were found in `text` say.
    pub(super) fn found(
        &mut self,
        bench: &mut Bench<'_>,
        at: Stamp,
        what: &str,
        text: &str,
        all: impl Iterator<Item = Found>,
    ) -> Marks {
        let mut marks = Marks::default();
        all.for_each(|found| {
            let Ok(mark) = found.canary else {
                bench.out.counts.canaries_damaged += 1;
                return;
            };
            let owner = UserNumber(mark.user);
            match (mark.execution == bench.execution.0, owner == self.user || Some(owner) == self.of) {
                (true, true) => {
                    marks.mine = true;
                    if self.mark.is_none_or(|known| known.canary() != mark) {
                        self.mark = found.known();
                    }
                }
                (true, false) => {
                    let iteration = Iteration(mark.iteration);
                    let mark = ForeignMark { owner, iteration, user: self.user };
                    if marks.foreign.iter().all(|(known, _)| *known != mark) {
                        let evidence = self.evidence(bench, around(at, what, text, found.at));
                        marks.foreign.push((mark, Sighting::new(at, self.subject(), evidence)));
                    }
                }
                (false, _) => {
                    if self.elsewhere.insert(mark.user) {
                        let evidence = self.evidence(bench, around(at, what, text, found.at));
                        self.report(bench, at, Deviation::ForeignExecution { owner: UserNumber(mark.user) }, evidence);
                    }
                }
            }
        });
        marks
    }

    /// Marks and identities in what is no frame of events. `own`: it was this user's, as the answer to a request of his.
    pub(super) fn searched(&mut self, bench: &mut Bench<'_>, at: Stamp, what: &str, text: &str, own: bool) {
        let marks = self.marks(bench, at, what, text);
        self.leaked(bench, marks.foreign, &Borne { own, ..Borne::default() });
        self.named(bench, at, what, text, own);
    }

    /// Keeps the words of an unusual text that may be identities of others.
    pub(super) fn named(&mut self, bench: &mut Bench<'_>, at: Stamp, what: &str, text: &str, own: bool) {
        let text = &*escapes::plain(text);
        for word in escapes::words(text).take(escapes::WORDS) {
            let (subject, place) = (self.subject(), word.as_ptr().addr() - text.as_ptr().addr());
            bench.out.ledger.add_word(self.user, word, || {
                let evidence = Evidence { marks: Vec::new(), excerpts: vec![around(at, what, text, place)] };
                let borne = Borne { own, ..Borne::default() };
                Sighting { borne, ..Sighting::new(at, subject, evidence) }
            });
        }
    }

    /// Secrets of this execution in a refusal or an error: nobody's belongs there, for errors are logged and shown.
    pub(super) fn secrets(&mut self, bench: &mut Bench<'_>, at: Stamp, what: &str, text: &str) {
        for (name, owner) in scrubbed(text) {
            let owner = owner.filter(|owner| *owner != self.user);
            let evidence = self.evidence(bench, Excerpt::new(at, what, text));
            self.report(bench, at, Deviation::SecretTold { name: name.to_owned(), owner }, evidence);
        }
    }

    /// What a frame tells that reports an error. `own`: it is this user's by an id or a mark.
    pub(super) fn error_told(&mut self, bench: &mut Bench<'_>, at: Stamp, text: &str, own: bool) {
        self.secrets(bench, at, "frame", text);
        self.named(bench, at, "frame", text, own);
    }

    /// Keeps marks of other users for the ledger, which will know what became of what they stood in.
    pub(super) fn leaked(&mut self, bench: &mut Bench<'_>, foreign: Vec<(ForeignMark, Sighting)>, borne: &Borne) {
        for (mark, mut sighting) in foreign {
            bench.alarms.extend([mark.owner, mark.user]);
            sighting.borne = borne.clone();
            let Some(Sighting { at, subject, evidence, .. }) = bench.out.ledger.add_mark(mark, sighting) else {
                continue;
            };
            if self.leaks.insert((mark.owner, mark.iteration)) {
                let leak = Leak::unsettled();
                let deviation = Deviation::ForeignCanary { owner: mark.owner, iteration: mark.iteration, leak };
                self.add(bench, Finding { at, subject, deviation, evidence });
            }
        }
    }

    /// Holds every id in the frame against its receiver's. What is not the receiver's is counted as `counted` frames.
    pub(super) fn attribute(
        &mut self,
        bench: &mut Bench<'_>,
        frame: &Frame<'_>,
        extract: &Extract<'_>,
        text: &str,
        concern: ConcernId,
        counted: u64,
    ) -> Owned {
        let (mut mine, mut my_run, mut foreign) = (false, false, false);
        let mut strange = Vec::new();
        for place in 0.. {
            let Some((index, slot)) = bench.concerns[concern].ids.get(place) else { break };
            let rule = &bench.expect.ids[*index];
            // What is blank is no id.
            let mut room = String::new();
            let value = extract.at(*slot).text_in(&mut room).filter(|value| !is_blank(value));
            let Some(value) = value.filter(|value| !self.brought(value)) else { continue };
            if rule.source == IdSource::Learned && rule.unique == Unique::Target && copies::is_individual(value) {
                let (role, name) = (rule.role, rule.name.to_string());
                let id = OpenId { name, role, value: value.to_owned(), user: self.user };
                let run = self.run.as_ref().or(self.lingering.last());
                let user = self.of.unwrap_or(self.user);
                let owned = |known: &String| bench.out.ledger.learned_by(rule.role, known) == Some(user);
                let beside = run.is_some_and(|run| run.ids.iter().any(|known| known != value && owned(known)));
                let learned = Learned { at: frame.at, user, id, beside };
                let (owner, dropped) = bench.out.ledger.learn(learned);
                bench.out.counts.ids_dropped += u64::from(dropped);
                if owner.is_some() {
                    foreign = true;
                    strange.push((rule, value.to_owned(), false));
                }
                continue;
            }
            let known = self.own_ids.get(*index).is_some_and(|known| known == value);
            match if known { Own::Yes } else { self.own_value(rule, value) } {
                Own::Yes => {
                    if !known {
                        self.found_own(*index, value);
                    }
                    mine = true;
                    my_run |= rule.role == IdRole::Run;
                    if rule.role == IdRole::User && !std::mem::replace(&mut self.own_seen, true) {
                        bench.out.ledger.own_seen.insert(self.user);
                    }
                }
                Own::Unclear => {}
                verdict @ (Own::No | Own::NoneKnown) => {
                    let owner = bench.out.ledger.other_owner(rule.role, value, self.user);
                    if owner.is_some() && owner == self.of {
                        mine = true;
                        continue;
                    }
                    foreign |= owner.is_some();
                    strange.push((rule, value.to_owned(), verdict == Own::No));
                }
            }
        }
        let symbol = bench.concerns[concern].symbol;
        self.came.events = self.came.events.and(symbol.into_iter().collect());
        self.came.own |= mine;
        self.came.by_id |= mine;
        if !strange.is_empty() {
            // An event that names another run or thread is that one's, whatever socket it was sent to.
            let elsewhere =
                symbol.is_some() && strange.iter().any(|(rule, ..)| matches!(rule.role, IdRole::Run | IdRole::Thread));
            let own = my_run || mine && !elsewhere;
            let borne = Borne {
                events: symbol.into_iter().collect(),
                own,
                both: false,
                hashes: BTreeSet::from([copies::hash(text)]),
            };
            for (rule, value, own_known) in strange {
                self.open(bench, frame, rule, &value, (own_known, counted), (text, &borne));
            }
        }
        match (foreign && !my_run, mine) {
            (true, _) => Owned::Foreign,
            (false, true) => Owned::Mine,
            (false, false) => Owned::Unknown,
        }
    }

    /// The value of this id is the user's own, until `own_ids_change`.
    fn found_own(&mut self, index: usize, value: &str) {
        if self.own_ids.len() <= index {
            self.own_ids.resize(index + 1, String::new());
        }
        let known = &mut self.own_ids[index];
        known.clear();
        known.push_str(value);
    }

    /// The run in flight is no more, and its ids are nobody's.
    pub(super) fn forget_run(&mut self) {
        self.run = None;
        self.own_ids_change();
    }

    /// What was the user's own may no longer be.
    pub(super) fn own_ids_change(&mut self) {
        self.own_ids.iter_mut().for_each(String::clear);
    }

    fn own_value(&self, rule: &IdRule, value: &str) -> Own {
        if rule.unique != Unique::Target {
            return Own::Unclear;
        }
        let mut known = false;
        let mut verdict = |mine: &str| {
            known = true;
            compare(rule.compare, mine, value)
        };
        let mine = match (&rule.source, rule.role) {
            // The target names a run in its answer to the ask, which may come after the run's first events.
            (IdSource::Captured(_), IdRole::Run) if self.run.as_ref().is_some_and(|run| !run.named) => {
                return Own::NoneKnown;
            }
            (IdSource::Captured(_), IdRole::Run) => {
                let runs = self.run.iter().chain(&self.lingering).flat_map(|run| &run.ids);
                runs.chain(self.past.iter().flat_map(|run| &run.ids)).any(|mine| verdict(mine))
            }
            (IdSource::Captured(name), _) => self.captured.get(&**name).is_some_and(|mine| verdict(mine)),
            (IdSource::Chosen, IdRole::Run) => {
                let runs = self.run.iter().chain(&self.lingering).flat_map(|run| &run.ids);
                runs.chain(self.past.iter().flat_map(|run| &run.ids)).any(|mine| verdict(mine))
            }
            (IdSource::Chosen, IdRole::Thread) => self.captured.get(THREAD).is_some_and(|mine| verdict(mine)),
            (IdSource::Chosen, _) | (IdSource::Learned, _) => return Own::Unclear,
        };
        match (mine, known) {
            (true, _) => Own::Yes,
            (false, true) => Own::No,
            (false, false) => Own::NoneKnown,
        }
    }

    fn open(
        &mut self,
        bench: &mut Bench<'_>,
        frame: &Frame<'_>,
        rule: &IdRule,
        value: &str,
        (own_known, counted): (bool, u64),
        (text, borne): (&str, &Borne),
    ) {
        let key = OpenId { name: rule.name.to_string(), role: rule.role, value: value.to_owned(), user: self.user };
        let ledger = &mut bench.out.ledger;
        if let Some(sighting) = ledger.open.get_mut(&key) {
            sighting.frames += counted;
            sighting.own_known |= own_known;
            sighting.borne.add(borne);
        } else if !ledger.has_room(rule.role) && ledger.other_owner(rule.role, value, self.user).is_none() {
            let counts = &mut bench.out.counts;
            let dropped =
                if rule.role == IdRole::User { &mut counts.identities_dropped } else { &mut counts.ids_dropped };
            *dropped += 1;
        } else {
            let evidence = self.evidence(bench, Excerpt::new(frame.at, "frame", text));
            let borne = borne.clone();
            let sighting = Sighting { own_known, borne, ..Sighting::new(frame.at, self.subject(), evidence) };
            // Whose it is may turn out only when all is over.
            bench.alarms.insert(self.user);
            bench.out.ledger.add_open(key, sighting);
        }
    }
}

/// The marks in a text.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// One of them is the receiver's.
    pub mine: bool,
    /// Those of other users of this execution, each once.
    pub foreign: Vec<(ForeignMark, Sighting)>,
}

/// What is known of the frame that is being read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Came {
    /// Events of the grammar.
    pub events: Events,
    /// It carries an id or a mark of its receiver.
    pub own: bool,
    /// It carries an id of its receiver.
    pub by_id: bool,
    /// It carries a mark of another user.
    pub strange: bool,
    /// It had a place in a run of its receiver.
    pub placed: bool,
}

impl Came {
    /// Nothing of it says that it is its receiver's, and a mark says that it is another's.
    pub fn foreign(&self) -> bool {
        self.strange && !self.own
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owned {
    Unknown,
    Mine,
    Foreign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    Yes,
    No,
    /// The receiver's own value is not known (yet).
    NoneKnown,
    /// The profile does not say what the value should be.
    Unclear,
}

/// The name under which a lane keeps the thread id that the harness chose; no profile can capture it.
pub(super) const THREAD: &str = "thread_id (chosen)";

pub(super) fn own(out: &mut Judgement, role: IdRole, value: &str, user: UserNumber) {
    if role == IdRole::User {
        out.ledger.identities.entry(value.to_owned()).or_default().insert(user);
    } else {
        out.ledger.own(role, value, user);
    }
}

/// Most ids show by their first byte that they are not.
fn is_blank(value: &str) -> bool {
    !value.as_bytes().first().is_some_and(u8::is_ascii_graphic) && value.trim().is_empty()
}

/// As `own`, of an id that an ask brings.
pub(super) fn own_asked(out: &mut Judgement, role: IdRole, value: &str, user: UserNumber) {
    let forgotten = out.ledger.own_for_a_while(role, value, user, out.counts.users);
    out.counts.ids_dropped += forgotten;
}

fn compare(how: Compare, mine: &str, value: &str) -> bool {
    if let Some(beginning) = value.strip_suffix("...").or_else(|| value.strip_suffix('…')) {
        return !beginning.is_empty() && mine.starts_with(beginning);
    }
    match how {
        Compare::Exact => mine == value,
        Compare::Prefix => mine.starts_with(value) || value.starts_with(mine),
    }
}

/// The secrets that stood in a scrubbed text, each once: their names, and whose they are if they are one user's.
fn scrubbed(text: &str) -> BTreeSet<(&str, Option<UserNumber>)> {
    let marks = text.split("«secret:").skip(1).filter_map(|rest| rest.split_once('»'));
    let read = |(mark, _)| match str::rsplit_once(mark, ':').map(|(name, user)| (name, user.parse())) {
        Some((name, Ok(user))) => (name, Some(UserNumber(user))),
        _ => (mark, None),
    };
    marks.map(read).collect()
}

/// The text around byte `hit`, so that a long frame shows what was found in it.
fn around(at: Stamp, what: &str, text: &str, hit: usize) -> Excerpt {
    if text.len() <= Excerpt::LIMIT {
        return Excerpt::new(at, what, text);
    }
    let from = text.floor_char_boundary(hit.saturating_sub(Excerpt::LIMIT / 2));
    let prefix = if from > 0 { "... " } else { "" };
    Excerpt::new(at, what, &format!("{prefix}{}", &text[from..]))
}
