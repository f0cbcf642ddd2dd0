//! Whose a frame is: marks in its text, ids at the profile's places.
//!
//! Says what is certain at once (a mark names its owner) and leaves to the ledger what only the whole execution knows.

use super::{Bench, Lane};
use crate::canary;
use crate::check::judgement::{Judgement, Ledger, OpenId, Sighting};
use crate::event::Extract;
use crate::expect::{Compare, IdRole, IdRule, IdSource, Unique};
use crate::finding::{Deviation, Excerpt};
use crate::identity::{Iteration, UserNumber};
use crate::time::Stamp;
use crate::trace::Frame;

impl Lane {
    /// Looks for marks in what came at `at`, a frame or whatever else `what` is; says whether an own one was there.
    pub(super) fn canaries(&mut self, bench: &mut Bench<'_>, at: Stamp, what: &str, text: &str) -> bool {
        let mut mine = false;
        for found in canary::find_in(text.as_bytes()) {
            let Ok(mark) = found.canary else {
                bench.out.counts.canaries_damaged += 1;
                continue;
            };
            if (mark.execution, mark.user) == (bench.execution.0, self.user.0) {
                mine = true;
                continue;
            }
            let key = if mark.execution == bench.execution.0 { (mark.user, mark.iteration) } else { (mark.user, 0) };
            if !self.leaks.insert(key) {
                continue;
            }
            let owner = UserNumber(mark.user);
            let deviation = if mark.execution == bench.execution.0 {
                Deviation::ForeignCanary { owner, iteration: Iteration(mark.iteration) }
            } else {
                Deviation::ForeignExecution { owner }
            };
            let evidence = self.evidence(bench, around(at, what, text, found.at));
            self.report(bench, at, deviation, evidence);
        }
        mine
    }

    /// Holds every id in the frame against its receiver's. What is not the receiver's is counted as `counted` frames.
    pub(super) fn attribute(
        &mut self,
        bench: &mut Bench<'_>,
        frame: &Frame<'_>,
        extract: &Extract<'_>,
        text: &str,
        counted: u64,
    ) -> Owned {
        let mut owned = Owned::Unknown;
        let (mut my_run, mut foreign) = (false, false);
        for rule in &bench.expect.ids {
            // What is blank is no id.
            let value = extract.first_text(&rule.at).filter(|value| !value.trim().is_empty());
            let Some(value) = value else { continue };
            match self.own_value(rule, &value) {
                Own::Yes => {
                    owned = Owned::Mine;
                    my_run |= rule.role == IdRole::Run;
                    if rule.role == IdRole::User && !std::mem::replace(&mut self.own_seen, true) {
                        bench.out.ledger.own_seen.insert(self.user);
                    }
                }
                Own::Unclear => {}
                verdict @ (Own::No | Own::NoneKnown) => {
                    foreign |= bench.out.ledger.other_owner(rule.role, &value, self.user).is_some();
                    let sighting = (verdict == Own::No, counted);
                    self.open(bench, frame, rule, &value, sighting, text);
                }
            }
        }
        if foreign && !my_run { Owned::Foreign } else { owned }
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
        text: &str,
    ) {
        let key = OpenId { name: rule.name.to_string(), role: rule.role, value: value.to_owned(), user: self.user };
        let ledger = &mut bench.out.ledger;
        if let Some(sighting) = ledger.open.get_mut(&key) {
            sighting.frames += counted;
            sighting.own_known |= own_known;
        } else if !ledger.has_room(rule.role) && ledger.other_owner(rule.role, value, self.user).is_none() {
            let counts = &mut bench.out.counts;
            let dropped =
                if rule.role == IdRole::User { &mut counts.identities_dropped } else { &mut counts.ids_dropped };
            *dropped += 1;
        } else {
            let evidence = self.evidence(bench, Excerpt::new(frame.at, "frame", text));
            let sighting = Sighting { at: frame.at, subject: self.subject(), evidence, frames: 1, own_known };
            // Whose it is may turn out only when all is over.
            bench.alarms.insert(self.user);
            bench.out.ledger.add_open(key, sighting);
        }
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
        let key = Ledger::key(role, value);
        let owner = out.ledger.owners.entry(key).or_insert(user);
        *owner = user.min(*owner);
    }
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

/// The text around byte `hit`, so that a long frame shows what was found in it.
fn around(at: Stamp, what: &str, text: &str, hit: usize) -> Excerpt {
    if text.len() <= Excerpt::LIMIT {
        return Excerpt::new(at, what, text);
    }
    let from = text.floor_char_boundary(hit.saturating_sub(Excerpt::LIMIT / 2));
    let prefix = if from > 0 { "... " } else { "" };
    Excerpt::new(at, what, &format!("{prefix}{}", &text[from..]))
}
