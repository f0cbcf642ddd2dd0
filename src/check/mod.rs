//! THE JUDGE, pure: told what was observed, it says what was wrong with it.
//!
//! | file | what for |
//! |---|---|
//! | `decode.rs` | the text of a frame, read once along the dialect's places |
//! | `form.rs` | how a frame holds JSON: as a document, in records, behind a prefix |
//! | `json.rs` | JSON read in place |
//! | `shapes.rs` | the shapes of frames that came before |
//! | `escapes.rs` | texts as a reader sees them, for searching |
//! | `alike.rs` | names that are probably the same, for suggestions |
//! | `automaton.rs` | the order of one run, along the grammar |
//! | `content.rs` | the answer of one run |
//! | `lane.rs` | one user's stream: set-up, greeting, runs, silence |
//! | `judgement.rs` | what judging leaves behind, and how it merges |
//! | `ledger.rs` | whose ids are whose, and what was seen of anybody at anybody else |
//! | `flight.rs` | runs as far as other users are concerned |
//! | `power.rs` | what the sample could have shown of a leak |
//! | `copies.rs` | frames without ids, and who else got the same |
//! | `leaks.rs` | what of one user came to another, and how |
//! | `doors.rs` | what probes met at doors that must stay shut |
//! | `instrument.rs` | how good the instrument was |
//! | `course.rs` | how it went over time, for people |
//! | `concern.rs` | which expectations can concern which events |
//! | `conclude.rs` | claims and the verdict of the whole |
//! | `value.rs` | what it was worth to users |
//! | `reach.rs` | how often a plan passes each segment |
//!
//! There is no clock, no socket, no task and no randomness here. Time is an argument: `expire(t)` promises that everything that
//! arrived up to `t` was told, frames stamped before a deadline go first, and a deadline fires at its own time. So a live
//! execution and its recording are judged by the same machine to the same judgement.

mod alike;
mod automaton;
mod concern;
mod conclude;
mod content;
mod copies;
mod course;
pub mod decode;
mod doors;
pub mod escapes;
mod flight;
pub mod form;
mod instrument;
pub mod json;
mod judgement;
mod lane;
mod leaks;
mod ledger;
mod power;
mod reach;
mod shapes;
#[cfg(test)]
mod tests;
mod value;

pub use conclude::{
    Census, ChangedRule, Claim, ClaimKind, Conclusion, Figure, KnownIssue, KnownState, Outcome, Played, Verdict,
    conclude, conclude_part,
};
pub use copies::Unmarked;
pub use course::{Course, PassedRun};
pub use doors::{DoorLog, DoorRow, Knock, Met};
pub use flight::{Crowd, Events, Flight};
pub use instrument::{Fared, Instrument, Pulse};
pub use judgement::{Counts, FindingLog, Judgement, Latencies, LeakRow, Window};
pub use lane::{Heard, Move};
pub use ledger::{Borne, EMAIL, ForeignMark, Learned, Ledger, OPEN_KEPT, OpenId, Sighting};
pub use power::{InFlight, Power};
pub use reach::Planned;
pub use value::{Value, Within};

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::canary;
use crate::event::Slots;
use crate::expect::Expectations;
use crate::finding::{Deviation, Evidence, Excerpt, Finding, Subject};
use crate::identity::{ExecutionId, UserNumber};
use crate::rule::{Concern, Rule, Severity};
use crate::time::Stamp;
use crate::trace::{Entry, Fact, Frame, NetFailure, Observed, Phase, StepOutcome};

use concern::Concerns;
use lane::{Bench, Lane, Spare};
use shapes::Shapes;

/// Judges the streams of some users of an execution, each told in the order of its observation.
#[derive(Debug)]
pub struct Judge {
    expect: Arc<Expectations>,
    concerns: Concerns,
    shapes: Shapes,
    room: Slots<'static>,
    spare: Spare,
    execution: ExecutionId,
    lanes: HashMap<UserNumber, Box<Lane>, FixedState>,
    /// Whose tapes show something wrong, since somebody last asked.
    alarms: BTreeSet<UserNumber>,
    /// Frames that had been received when a pulse was last told.
    pulsed: u64,
    out: Judgement,
}

impl Judge {
    /// A judge that has seen nothing.
    pub fn new(expect: Arc<Expectations>, execution: ExecutionId) -> Judge {
        Judge {
            expect,
            concerns: Concerns::default(),
            shapes: Shapes::default(),
            room: Slots::default(),
            spare: Spare::default(),
            execution,
            lanes: HashMap::default(),
            alarms: BTreeSet::new(),
            pulsed: 0,
            out: Judgement::default(),
        }
    }

    /// Something the harness did for `user`, or was answered outside the socket.
    pub fn fact(&mut self, user: UserNumber, fact: &Fact) {
        self.with(user, |lane, bench| lane.fact(bench, fact));
    }

    /// A frame that `user` received or sent.
    pub fn frame(&mut self, user: UserNumber, frame: &Frame<'_>) {
        self.with(user, |lane, bench| lane.frame(bench, frame));
    }

    /// Everything that arrived at `user` up to `until` has been told. Spurious calls change nothing.
    pub fn expire(&mut self, user: UserNumber, until: Stamp) {
        self.with(user, |lane, bench| lane.advance(bench, until));
    }

    /// When silence at `user` will mean something; `expire` is due then.
    pub fn next_deadline(&self, user: UserNumber) -> Option<Stamp> {
        self.lanes.get(&user).and_then(|lane| lane.deadline(&self.expect))
    }

    /// What `user` must do next.
    pub fn next_move(&self, user: UserNumber) -> Move {
        self.lanes.get(&user).map_or(Move::Listen, |lane| lane.next_move(&self.expect))
    }

    /// What `user`'s last frame was to the profile, in the order of its events.
    pub fn heard(&self, user: UserNumber) -> Vec<Heard> {
        self.lanes.get(&user).map(|lane| lane.heard.clone()).unwrap_or_default()
    }

    /// Whether a run of `user` is in flight of which an event has come.
    pub fn runs(&self, user: UserNumber) -> bool {
        self.lanes.get(&user).is_some_and(|lane| lane.runs())
    }

    /// Whether a run of `user` that ended is still listened for; hanging up before cuts that short.
    pub fn lingers(&self, user: UserNumber) -> bool {
        self.lanes.get(&user).is_some_and(|lane| lane.lingers())
    }

    /// The answer of `user`'s last run that ended.
    pub fn last_answer(&self, user: UserNumber) -> Option<&str> {
        self.lanes.get(&user)?.last_answer.as_deref()
    }

    /// What concerns nobody in particular: a step before all users, an arrival that found none free, the
    /// harness's own pulse, the deadline.
    pub fn for_all(&mut self, fact: &Fact) {
        match fact {
            Fact::Step { phase: Phase::Ready, name, sent, done, outcome } => self.ready(name, *sent, *done, outcome),
            Fact::Dropped { .. } => {
                self.out.counts.arrivals += 1;
                self.out.counts.arrivals_dropped += 1;
                self.out.instrument.dropped();
            }
            Fact::Pulse { at, lasted, late, latest, cpu } => {
                let seen = self.out.counts.frames;
                let frames = seen - std::mem::replace(&mut self.pulsed, seen);
                let pulse = Pulse { at: *at, lasted: *lasted, late: *late, latest: *latest, cpu: *cpu, frames };
                self.out.instrument.pulse(pulse);
            }
            Fact::Overdue { .. } => self.out.counts.overdue += 1,
            Fact::Marked { name, marks, at } => self.marked(name, marks, *at),
            Fact::Named { name, words, at } => {
                let nobody = UserNumber(0);
                self.out.ledger.add_told(name, words, nobody, *at, &Subject::default());
            }
            _ => {}
        }
    }

    fn ready(&mut self, name: &str, sent: Stamp, done: Stamp, outcome: &StepOutcome) {
        let (step, waited) = (name.to_owned(), done.since(sent));
        let (deviation, excerpts) = match outcome {
            StepOutcome::Good { .. } => return,
            StepOutcome::Refused { status, why, body } => {
                let excerpt = Excerpt::new(done, format!("HTTP {status}"), body);
                (Deviation::NotReady { step, waited, last: format!("{why} (HTTP {status})") }, vec![excerpt])
            }
            StepOutcome::Failed(NetFailure { doing, error, .. }) => {
                (Deviation::Unreachable { doing: doing.clone(), error: error.clone() }, vec![])
            }
        };
        self.out.counts.not_ready += 1;
        let evidence = Evidence { marks: Vec::new(), excerpts };
        let finding = Finding { at: done, subject: Subject::default(), deviation, evidence };
        self.out.findings.add(finding, &self.expect.claims.exceptions);
    }

    /// Marks in an answer from before all users: nothing of this execution had been asked.
    fn marked(&mut self, name: &str, marks: &[String], at: Stamp) {
        let text = marks.join(" ");
        for mark in canary::find_in(text.as_bytes()).filter_map(|found| found.canary.ok()) {
            let deviation = Deviation::ForeignExecution { owner: UserNumber(mark.user) };
            let evidence = Evidence { marks: Vec::new(), excerpts: vec![Excerpt::new(at, name, &text)] };
            let finding = Finding { at, subject: Subject::default(), deviation, evidence };
            self.out.findings.add(finding, &self.expect.claims.exceptions);
        }
    }

    /// What `user` did or met; an entry of a recording, and live the same.
    pub fn observe(&mut self, user: UserNumber, observed: &Observed<'_>) {
        match observed {
            Observed::Frame(frame) => self.frame(user, frame),
            Observed::Fact(fact) => self.fact(user, fact),
            Observed::Quiet(until) => self.expire(user, *until),
        }
    }

    /// One entry of a recording.
    pub fn replay(&mut self, entry: &Entry<'_>) {
        match (entry.user, &entry.observed) {
            (Some(user), observed) => self.observe(user, observed),
            (None, Observed::Fact(fact)) => self.for_all(fact),
            (None, Observed::Frame(_) | Observed::Quiet(_)) => {}
        }
    }

    /// The users whose streams show a failure, or an id that is not known to be theirs, since this was last asked; of a leak
    /// receiver and owner.
    pub fn take_alarms(&mut self) -> BTreeSet<UserNumber> {
        std::mem::take(&mut self.alarms)
    }

    /// What was judged so far.
    pub fn so_far(&self) -> &Judgement {
        &self.out
    }

    /// How many failing findings of a concern there are so far; what only the whole shows is not among them.
    pub fn failing(&self, concern: Concern) -> u64 {
        let exceptions = &self.expect.claims.exceptions;
        let found = self.out.findings.of(concern, Severity::Failure, exceptions);
        // Marks become findings when all is known of how they came; that they are another's is certain before.
        let fails = exceptions.severity(Rule::ForeignCanary) == Some(Severity::Failure);
        let marks = self.out.ledger.marks.keys();
        let foreign =
            marks.filter(|mark| self.out.ledger.surely_apart(mark.owner, mark.user, self.expect.claims.between));
        found + if concern == Concern::Isolation && fails { foreign.count() as u64 } else { 0 }
    }

    /// Nothing more will be told of `user`, so that nothing of him needs to be kept but what came of it. An iteration that had not
    /// ended counts as interrupted.
    pub fn leave(&mut self, user: UserNumber) {
        let Judge { expect, concerns, shapes, room, spare, execution, lanes, alarms, out, .. } = self;
        if let Some(mut lane) = lanes.remove(&user) {
            lane.finish(&mut Bench { expect, concerns, shapes, room, spare, execution: *execution, alarms, out });
        }
    }

    /// Nothing more will be told: whoever is there leaves.
    pub fn finish(mut self) -> Judgement {
        let mut users: Vec<_> = self.lanes.keys().copied().collect();
        users.sort_unstable();
        users.into_iter().for_each(|user| self.leave(user));
        self.out.finish(&self.expect.dialect.names, self.concerns.take_census());
        self.out
    }

    fn with(&mut self, user: UserNumber, tell: impl FnOnce(&mut Lane, &mut Bench<'_>)) {
        let Judge { expect, concerns, shapes, room, spare, execution, lanes, alarms, out, .. } = self;
        let lane = lanes.entry(user).or_insert_with(|| Box::new(Lane::new(user)));
        let before = lane.warms_up().then_some(out.counts);
        tell(lane, &mut Bench { expect, concerns, shapes, room, spare, execution: *execution, alarms, out });
        if let Some(before) = before {
            out.counts = out.counts.of_warm_up(&before);
        }
    }
}
