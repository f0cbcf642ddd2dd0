//! One user's stream, judged frame by frame: set-up, greeting, runs, silence, the end.
//!
//! A state machine without clock or socket. It is told what was received and done, says until when it will wait
//! (`deadline`) and what the user must do next (`next_move`). Time passes only through `advance`, which promises that
//! everything that arrived up to then was told before; so a recording judged again yields what the live execution did.
//! What concerns several users at once is left to the ledger.
//!
//! | file | what for |
//! |---|---|
//! | `door.rs` | what somebody meets at a door that must stay shut |
//! | `setup.rs` | from the beginning of an iteration to the first ask |
//! | `owner.rs` | whose a frame is |
//! | `parts.rs` | text that arrives in parts |
//! | `run.rs` | one run, from the ask to its conclusion |
//! | `clock.rs` | the target's own timestamps |

mod clock;
mod door;
mod owner;
mod parts;
mod run;
mod setup;

use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};

use litemap::LiteMap;

use super::concern::{ConcernId, Concerns};
use super::form::{self, Part};
use super::judgement::{self, Judgement, Window};
use super::ledger::Borne;
use super::shapes::Shapes;
use super::{copies, decode};
use crate::canary;
use crate::event::{Extract, Found, Kind, Slots};
use crate::expect::{Expectations, Form, Means, ScriptStep, Segment, Trie};
use crate::finding::{Acknowledged, Deviation, Evidence, Excerpt, Finding, Subject};
use crate::identity::{Connection, ExecutionId, Iteration, UserNumber};
use crate::rule::{Concern, Rule, Severity};
use crate::time::{Micros, Stamp};
use crate::trace::{Content, Dial, Direction, Fact, Frame};

use owner::{Came, Marks, Owned};
use parts::OpenMessages;
pub use run::Spare;
use run::{Label, Over, PastRun, Place, Run};

/// What the user must do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Go on: the session's own steps before the socket stands, then reading until `deadline`.
    Listen,
    /// Answer a heartbeat: the index of its rule.
    Reply(usize),
    /// Send what the profile holds for this step of the socket script.
    Script(usize),
    /// Ask the agent, turn counted from 0.
    Ask(u32),
    /// All runs are over; late frames are still awaited. With a further iteration on the same connection there is no need
    /// to wait.
    Linger {
        /// Every run ended well.
        good: bool,
    },
    /// Nothing more will be judged in this iteration but its `after` steps, which make sense only if it went well.
    Settled {
        /// Every run ended well.
        good: bool,
    },
}

/// A rule of the profile that a frame was meant by, for whoever takes something from the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The wait at this step of the socket script has ended with it.
    Awaited(usize),
    /// The heartbeat rule of this index holds of it, and it is to be answered.
    Answered(usize),
}

/// What a lane shares with the others.
pub(super) struct Bench<'a> {
    pub expect: &'a Expectations,
    pub concerns: &'a mut Concerns,
    pub shapes: &'a mut Shapes,
    /// The room that the places of a frame are read into, kept for the next one.
    pub room: &'a mut Slots<'static>,
    pub spare: &'a mut Spare,
    pub execution: ExecutionId,
    /// Whose streams show something wrong.
    pub alarms: &'a mut BTreeSet<UserNumber>,
    pub out: &'a mut Judgement,
}

/// One user's state.
#[derive(Debug)]
pub(super) struct Lane {
    user: UserNumber,
    captured: LiteMap<String, String>,
    stage: Stage,
    iterations: VecDeque<IterationState>,
    connection: Option<ConnectionState>,
    run: Option<Box<Run>>,
    /// The door that the user stands at.
    door: Option<Box<door::AtDoor>>,
    /// What the last run that ended was answered, for the steps after it.
    pub(super) last_answer: Option<String>,
    /// Runs that are over and may still get late frames.
    #[expect(clippy::vec_box, reason = "a run is large, and goes to and fro with every frame")]
    lingering: Vec<Box<Run>>,
    /// Runs that were concluded, so that their events are told from nobody's.
    past: VecDeque<PastRun>,
    /// Marks of other users for which the ledger had no room.
    leaks: BTreeSet<(UserNumber, Iteration)>,
    /// Users of other executions whose marks were seen.
    elsewhere: BTreeSet<u32>,
    /// It never asks.
    listens: bool,
    /// Which of the expected personas it is.
    persona: Option<usize>,
    /// It was counted among those.
    counted: bool,
    /// It is a further connection of this user.
    of: Option<UserNumber>,
    /// By the index of an id's rule, the value that was last found to be the user's own; blank if none was.
    own_ids: Vec<String>,
    /// The user's own mark that was seen last; most marks that are found are this one.
    mark: Option<canary::Known>,
    /// What is known of the frame that is being read.
    came: Came,
    /// Messages whose text arrives in parts.
    messages: OpenMessages,
    began: bool,
    was_ready: bool,
    /// The user's own identity was seen.
    own_seen: bool,
    /// The turn that the connection was made for: 0 but after a reconnect.
    resumed: u32,
    /// An event of a run was known to be this user's.
    recognised: bool,
    /// An event of a run carried an id of this user.
    told_apart: bool,
    /// What the last frame was, in the order of its events.
    pub(super) heard: Vec<Heard>,
}

/// The greeting of a connection on which was asked without waiting for it.
#[derive(Debug, Clone, Copy)]
struct Outstanding {
    /// The wait of the socket script.
    step: usize,
    since: Stamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Between iterations, or before the socket stands.
    SetUp,
    /// In the socket script; a wait ends at the deadline.
    Script { step: usize, since: Stamp },
    /// May ask this turn.
    Ready { turn: u32 },
    /// A run is in flight.
    Running,
    /// No further turn in this iteration.
    Over { good: bool },
}

#[derive(Debug)]
struct IterationState {
    iteration: Iteration,
    /// When it was meant to begin.
    scheduled: Stamp,
    began: Stamp,
    /// When the first login step was sent and the last one answered.
    login: Option<(Stamp, Stamp)>,
    greeted: Option<Stamp>,
    first_asked: Option<Stamp>,
    failed: bool,
    /// A known issue would have failed it.
    known: bool,
    interrupted: bool,
    ended: bool,
    /// It is no part of the load.
    apart: bool,
    /// It warms the target up.
    warms_up: bool,
}

#[derive(Debug)]
struct ConnectionState {
    number: Connection,
    upgraded: Stamp,
    frames: u64,
    replies: VecDeque<usize>,
    /// A wait of the script ended without its frame.
    ungreeted: bool,
    outstanding: Option<Outstanding>,
    /// The next sent frame is an ask.
    asking: bool,
    reported_malformed: bool,
    reported_unasked: BTreeSet<String>,
    ended: bool,
}

impl ConnectionState {
    /// Nothing has come on it yet.
    fn new(number: Connection, upgraded: Stamp, outcome: &Dial) -> ConnectionState {
        ConnectionState {
            number,
            upgraded,
            frames: 0,
            replies: VecDeque::new(),
            ungreeted: false,
            outstanding: None,
            asking: false,
            reported_malformed: false,
            reported_unasked: BTreeSet::new(),
            ended: !matches!(outcome, Dial::Upgraded { .. }),
        }
    }
}

impl Lane {
    pub fn new(user: UserNumber) -> Lane {
        Lane {
            user,
            // Its email, its id and its thread.
            captured: LiteMap::with_capacity(3),
            stage: Stage::SetUp,
            // Most users are in one at a time.
            iterations: VecDeque::with_capacity(1),
            connection: None,
            run: None,
            door: None,
            last_answer: None,
            lingering: Vec::new(),
            past: VecDeque::new(),
            leaks: BTreeSet::new(),
            elsewhere: BTreeSet::new(),
            own_ids: Vec::new(),
            mark: None,
            listens: false,
            persona: None,
            counted: false,
            of: None,
            came: Came::default(),
            messages: OpenMessages::default(),
            began: false,
            was_ready: false,
            own_seen: false,
            resumed: 0,
            recognised: false,
            told_apart: false,
            heard: Vec::new(),
        }
    }

    /// What to do next. Asking does not change anything; doing it is told by a fact or a sent frame.
    pub fn next_move(&self, expect: &Expectations) -> Move {
        if let Some(next) = self.door_move(expect) {
            return next;
        }
        if let Some(connection) = &self.connection
            && !connection.ended
            && let Some(reply) = connection.replies.front()
        {
            return Move::Reply(*reply);
        }
        match self.stage {
            Stage::Script { step, .. } if matches!(expect.script.get(step), Some(ScriptStep::Send)) => {
                Move::Script(step)
            }
            Stage::SetUp | Stage::Script { .. } | Stage::Running => Move::Listen,
            Stage::Ready { turn } => Move::Ask(turn),
            Stage::Over { good } if !self.lingering.is_empty() => Move::Linger { good },
            Stage::Over { good } => Move::Settled { good },
        }
    }

    /// A run is in flight and has begun.
    pub fn runs(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.automaton.begun())
    }

    /// The iteration that goes on warms the target up.
    pub fn warms_up(&self) -> bool {
        self.iterations.back().is_some_and(|iteration| iteration.warms_up)
    }

    /// A run that ended is still listened for.
    pub fn lingers(&self) -> bool {
        !self.lingering.is_empty()
    }

    /// The next instant at which silence means something.
    pub fn deadline(&self, expect: &Expectations) -> Option<Stamp> {
        if self.door.is_some() {
            return self.door_deadline(expect);
        }
        let waiting = match self.stage {
            Stage::Script { step, since } => Some(Outstanding { step, since }),
            _ => self.connection.as_ref().and_then(|connection| connection.outstanding),
        };
        let script = waiting.and_then(|Outstanding { step, since }| match expect.script.get(step) {
            Some(ScriptStep::Wait { within, .. }) => Some(since + *within),
            _ => None,
        });
        let run = self.run.as_ref().map(|run| run.deadline(expect));
        let quiet =
            self.lingering.iter().filter_map(|run| run.over.map(|over| over.latest + expect.timeouts.quiet)).min();
        earlier(earlier(script, run), quiet)
    }

    /// Everything that arrived up to `until` has been told: deadlines up to then pass, each at its own time.
    pub fn advance(&mut self, bench: &mut Bench<'_>, until: Stamp) {
        while let Some(deadline) = self.deadline(bench.expect).filter(|deadline| *deadline <= until) {
            self.pass(bench, deadline);
        }
    }

    pub fn fact(&mut self, bench: &mut Bench<'_>, fact: &Fact) {
        if self.door_fact(bench, fact) {
            return;
        }
        match fact {
            Fact::Began { iteration, scheduled, at, fresh, apart } => {
                self.begin(bench, *iteration, (*scheduled, *at), *fresh, *apart);
            }
            Fact::Step { phase, name, sent, done, outcome } => self.step(bench, *phase, name, *sent, *done, outcome),
            Fact::Listens { of, .. } => self.listens(bench, *of),
            Fact::Grouped { group, .. } => drop(bench.out.ledger.groups.insert(self.user, group.clone())),
            Fact::Plays { persona, .. } => {
                self.persona = bench.expect.personas.iter().position(|known| known.name == *persona);
            }
            Fact::Captured { name, value, .. } => self.capture(bench, name, value),
            Fact::Marked { name, marks, at } => {
                self.searched(bench, *at, name, &marks.join(" "), true);
            }
            Fact::Named { name, words, at } => {
                let subject = self.subject();
                bench.out.ledger.add_told(name, words, self.user, *at, &subject);
            }
            Fact::Dialed { connection, begun, done, outcome } => {
                self.dialed(bench, *connection, *begun, *done, outcome);
            }
            Fact::Asked { turn, at, run, thread, prompt } => {
                self.asked(bench, *turn, *at, run.as_deref(), thread.as_deref(), prompt)
            }
            Fact::Closed { .. } => {
                if let Some(connection) = &mut self.connection {
                    connection.ended = true;
                    connection.outstanding = None;
                }
                self.settle_all(bench);
            }
            Fact::Interrupted { .. } => self.interrupt(bench),
            Fact::Ended { .. } => {
                if let Some(iteration) = self.iterations.back_mut() {
                    iteration.ended = true;
                }
                self.tally(bench);
            }
            // Doors were looked at before.
            Fact::Knocked { .. } | Fact::Left { .. } | Fact::Spared { .. } => {}
            // They concern no user.
            Fact::Dropped { .. } | Fact::Pulse { .. } | Fact::Overdue { .. } => {}
        }
    }

    pub fn frame(&mut self, bench: &mut Bench<'_>, frame: &Frame<'_>) {
        if frame.direction == Direction::Sent {
            return if self.door.is_some() { self.door_sent(bench, frame) } else { self.sent(bench, frame) };
        }
        self.heard.clear();
        self.advance(bench, frame.not_before);
        bench.out.counts.frames += 1;
        bench.out.instrument.read(frame.read_at.since(frame.at));
        if let Some(connection) = &mut self.connection {
            connection.frames += 1;
        }
        match &frame.content {
            Content::Text(text) => self.text(bench, frame, text),
            Content::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if bench.expect.dialect.binary => self.text(bench, frame, text),
                _ => {
                    let text = String::from_utf8_lossy(bytes);
                    self.searched(bench, frame.at, "binary frame", &text, false);
                    let excerpt = Excerpt::new(frame.at, "binary frame", &text);
                    let why = if bench.expect.dialect.binary {
                        "a binary frame is not text"
                    } else {
                        "a binary frame where text was expected"
                    };
                    self.malformed(bench, frame.at, why.to_owned(), excerpt);
                }
            },
            Content::Ping | Content::Pong => {}
            ending if self.door.is_some() => self.door_ended(bench, frame.at, ending),
            ending => {
                if let Content::Close { reason, .. } = ending {
                    self.searched(bench, frame.at, "close reason", reason, true);
                    self.secrets(bench, frame.at, "close reason", reason);
                }
                self.connection_ended(bench, frame.at, ending);
            }
        }
    }

    /// It never asks; nor is what it does an iteration.
    fn listens(&mut self, bench: &mut Bench<'_>, of: Option<UserNumber>) {
        bench.out.counts.listeners += u64::from(!std::mem::replace(&mut self.listens, true));
        self.of = of;
        bench.out.ledger.sockets.extend(of.map(|of| (self.user, of)));
    }

    /// Nothing more will be told: what is still open is concluded without the findings that only time could have made.
    pub fn finish(&mut self, bench: &mut Bench<'_>) {
        if self.iterations.back().is_some_and(|iteration| !iteration.ended) {
            self.interrupt(bench);
            if let Some(iteration) = self.iterations.back_mut() {
                iteration.ended = true;
            }
        }
        self.settle_all(bench);
        self.tally(bench);
    }

    fn pass(&mut self, bench: &mut Bench<'_>, now: Stamp) {
        if self.door.is_some() {
            return self.door_pass(bench, now);
        }
        let quiet = bench.expect.timeouts.quiet;
        if let Some(index) =
            self.lingering.iter().position(|run| run.over.is_some_and(|over| over.latest + quiet <= now))
        {
            let run = self.lingering.remove(index);
            bench.out.counts.quiets += 1;
            return self.conclude_run(bench, run);
        }
        if let Stage::Script { step, since } = self.stage
            && let Some(ScriptStep::Wait { within, optional, .. }) = bench.expect.script.get(step)
            && since + *within <= now
        {
            if *optional {
                if let Some(connection) = &mut self.connection {
                    connection.ungreeted = true;
                }
                return self.script_at(bench, step + 1, now, now);
            }
            let frames = self.connection.as_ref().map_or(0, |connection| connection.frames);
            let deviation = Deviation::GreetingMissing { waited: *within, frames };
            return self.fail_setup(bench, now, deviation, Evidence::default());
        }
        if self.missed_greeting(bench, now) {
            return;
        }
        let Some(run) = &self.run else { return };
        let timeouts = bench.expect.timeouts;
        let missing = run.missing(bench.expect);
        let names = &bench.expect.dialect.names;
        let last = || run.last_label(names);
        let deviation = match run.progress {
            _ if let Some((event, _)) = run.degraded.as_deref() => {
                Deviation::DegradedRun { event: event.clone(), unanswered: true }
            }
            _ if now >= run.asked + timeouts.run => Deviation::RunTooLong { limit: timeouts.run, last: last() },
            Some(_) if run.automaton.begun() => Deviation::Stalled { last: last(), waited: timeouts.stall, missing },
            _ => {
                let (last, waited) = (run.last_frame.as_ref().map(|label| label.text(names)), timeouts.first_event);
                match run.early {
                    Some(after) => Deviation::FirstMessageLost { after, waited, last },
                    None => {
                        let acknowledged = match run.acknowledged {
                            Some(at) => Acknowledged::After(at.since(run.asked)),
                            None if bench.expect.asking.acknowledged => Acknowledged::Never,
                            None => Acknowledged::NotAsked,
                        };
                        Deviation::NeverStarted { waited, last, acknowledged }
                    }
                }
            }
        };
        let excerpt = run.degraded.as_deref().map(|(_, excerpt)| excerpt.clone());
        let evidence = run.evidence(names, excerpt);
        self.report(bench, now, deviation, evidence);
        self.end_run(bench, Over { earliest: now, latest: now, good: false, explained: true });
    }

    fn text(&mut self, bench: &mut Bench<'_>, frame: &Frame<'_>, text: &str) {
        // What is heard at a door says nothing of how well runs are told apart.
        let before = self.door.is_some().then_some(bench.out.counts);
        self.heard_text(bench, frame, text);
        if let Some(before) = before {
            bench.out.counts = before;
        }
    }

    fn heard_text(&mut self, bench: &mut Bench<'_>, frame: &Frame<'_>, text: &str) {
        bench.out.counts.texts += 1;
        let dialect = &bench.expect.dialect;
        let is_document = dialect.forms.first().is_none_or(|form| matches!(form, Form::Json));
        let whole = is_document
            .then(|| decode::event_into(dialect, text, std::mem::take(bench.room), Some(&mut *bench.shapes)));
        let marks = match &whole {
            Some(Ok(read)) if !read.coded => self.marks_within(bench, frame.at, text, &read.long),
            _ => self.marks(bench, frame.at, "frame", text),
        };
        bench.out.counts.canaries += u64::from(marks.mine);
        self.came = Came { own: marks.mine, strange: !marks.foreign.is_empty(), ..Came::default() };
        self.read(bench, frame, text, marks.mine, whole);
        let Came { events, own, placed, .. } = std::mem::take(&mut self.came);
        if let Some((mark, _)) = marks.foreign.first() {
            self.door_strange(bench, frame.at, mark.owner);
            let hashes = BTreeSet::from([copies::hash(text)]);
            self.leaked(bench, marks.foreign, &Borne { events, own: own || placed, both: marks.mine, hashes });
        }
    }

    /// What a text frame says. `marked`: with a mark of its receiver. `whole`: what was read of it, if it may be one document.
    fn read(
        &mut self,
        bench: &mut Bench<'_>,
        frame: &Frame<'_>,
        text: &str,
        marked: bool,
        whole: Option<Result<decode::Read<'_>, String>>,
    ) {
        let (dialect, events) = (&bench.expect.dialect, bench.out.counts.events);
        let place = Place { frame, text, unordered: false, mine: marked };
        let mine = match whole {
            Some(Ok(mut read)) => {
                let mine = self.document(bench, place, &mut read, text);
                *bench.room = read.extract.slots.emptied();
                mine
            }
            Some(Err(why)) if dialect.forms.len() <= 1 => self.unread(bench, place, || not_json(&why)),
            _ => match form::parts(dialect, text) {
                Some(parts) => self.parts(bench, place, &parts),
                None => self.unread(bench, place, || "a frame is nothing that the profile decodes".to_owned()),
            },
        };
        let counts = &mut bench.out.counts;
        counts.attributed += u64::from(marked || mine);
        counts.unmarked += u64::from(!(marked || mine) && counts.events > events);
    }

    /// What stands in a frame that is not simply a document; says whether any of it is this user's by its ids.
    fn parts(&mut self, bench: &mut Bench<'_>, place: Place<'_, '_>, parts: &[Part<'_>]) -> bool {
        let mut mine = false;
        for part in parts {
            let place = Place { text: part.raw, ..place };
            mine |= match (decode::part_into(&bench.expect.dialect, part, Slots::default()), &part.content) {
                (Ok(mut read), form::Content::Json(text)) => self.document(bench, place, &mut read, text),
                (Ok(mut read), form::Content::Text(_)) => self.events(bench, place, &mut read.extract),
                (Err(why), _) => self.unread(bench, place, || not_json(&why)),
            };
        }
        mine
    }

    /// What was read of the document `text`; says whether it is this user's by its ids.
    fn document(
        &mut self,
        bench: &mut Bench<'_>,
        place: Place<'_, '_>,
        read: &mut decode::Read<'_>,
        text: &str,
    ) -> bool {
        let dialect = &bench.expect.dialect;
        if read.encoded
            && let Some(inner) = decode::unwrapped(dialect, text)
            && let Ok(mut read) = decode::event_into(dialect, &inner, Slots::default(), None)
        {
            let evidence = self.evidence(bench, Excerpt::new(place.frame.at, "frame", place.text));
            self.report(bench, place.frame.at, Deviation::EncodedTwice, evidence);
            return self.events(bench, place, &mut read.extract);
        }
        self.events(bench, place, &mut read.extract)
    }

    fn events(&mut self, bench: &mut Bench<'_>, place: Place<'_, '_>, extract: &mut Extract<'_>) -> bool {
        self.fill_in(&bench.expect.dialect.trie, extract);
        match decode::batch(&bench.expect.dialect, extract) {
            None => self.carried(bench, place, extract, 1),
            Some(batch) => self.batch(bench, place, extract, batch),
        }
    }

    /// Lets the user's own values stand in an event, for the matchers that compare with them.
    fn fill_in(&self, trie: &Trie, extract: &mut Extract<'_>) {
        for (name, slot) in trie.own() {
            if let Some(value) = self.captured.get(&**name) {
                extract.slots.put(*slot, Found::Text(Cow::Owned(value.clone())));
            }
        }
    }

    /// A text that is none of what the profile decodes. It may be a greeting, a refusal or a heartbeat by what stands in it.
    fn unread(&mut self, bench: &mut Bench<'_>, place: Place<'_, '_>, why: impl FnOnce() -> String) -> bool {
        let Place { frame, text, .. } = place;
        let mut unread =
            Extract { kind: Kind::Unnamed, name: None, envelope: Default::default(), slots: Slots::default() };
        unread.slots.reset(bench.expect.dialect.trie.slots());
        self.fill_in(&bench.expect.dialect.trie, &mut unread);
        let concern = bench.concerns.of(bench.expect, &unread);
        if self.door.is_some() {
            self.named(bench, frame.at, "frame", text, false);
            self.door_event(bench, place, &unread, concern);
            return false;
        }
        let known = self.refused(bench, frame, &unread, text, concern)
            || self.greeted(bench, frame, &unread, text)
            || self.heartbeat(bench, frame.at, &unread, text, concern)
            || self.ask_refused(bench, frame, &unread, text, concern);
        if !known {
            self.named(bench, frame.at, "frame", text, false);
            self.malformed(bench, frame.at, why(), Excerpt::new(frame.at, "frame", text));
        }
        false
    }

    /// A frame with several events. Where their order means nothing they are taken in a legal one, so that none of them is out of
    /// order by the others.
    fn batch(
        &mut self,
        bench: &mut Bench<'_>,
        place: Place<'_, '_>,
        frame: &Extract<'_>,
        batch: decode::Batch<'_>,
    ) -> bool {
        if bench.expect.heartbeats.iter().any(|rule| rule.when.holds(frame, place.text)) {
            // A history quotes events; nothing of it happens now.
            return self.carried(bench, place, frame, 1);
        }
        let decode::Batch { mut events, unordered } = batch;
        if events.is_empty() {
            let concern = bench.concerns.of(bench.expect, frame);
            return self.attribute(bench, place.frame, frame, place.text, concern, 1) == Owned::Mine;
        }
        if unordered {
            let grammar = &bench.expect.grammar;
            let ranks = grammar.ranks();
            events.sort_by_key(|event| match event.kind {
                Kind::Known(kind) => grammar.symbol_of(kind).map_or(usize::MAX, |symbol| ranks[symbol]),
                Kind::Unknown | Kind::Unnamed => 0,
            });
        }
        let mut mine = false;
        for (index, event) in events.iter().enumerate() {
            // Ids that stand once in the frame are counted once.
            mine |= self.carried(bench, Place { unordered, ..place }, event, u64::from(index == 0));
        }
        mine
    }

    /// What a frame carries, `counted` times as far as its ids are concerned; says whether it is this user's by them.
    fn carried(&mut self, bench: &mut Bench<'_>, place: Place<'_, '_>, extract: &Extract<'_>, counted: u64) -> bool {
        let Place { frame, text, .. } = place;
        let concern = bench.concerns.of(bench.expect, extract);
        let appends = bench.concerns[concern].appends;
        let divided = if appends { self.divided(bench, frame.at, extract, text, concern) } else { Marks::default() };
        bench.out.counts.canaries += u64::from(divided.mine);
        self.came.own |= divided.mine;
        self.came.strange |= !divided.foreign.is_empty();
        let place = Place { mine: place.mine || divided.mine, ..place };
        let mine = self.said_by(bench, place, extract, concern, counted);
        if !divided.foreign.is_empty() {
            let Came { events, own, placed, .. } = self.came;
            let hashes = BTreeSet::from([copies::hash(text)]);
            let borne = Borne { events, own: own || placed, both: divided.mine, hashes };
            self.leaked(bench, divided.foreign, &borne);
        }
        mine || divided.mine
    }

    /// What the event is to the profile; says whether it is this user's by its ids.
    fn said_by(
        &mut self,
        bench: &mut Bench<'_>,
        place: Place<'_, '_>,
        extract: &Extract<'_>,
        concern: ConcernId,
        counted: u64,
    ) -> bool {
        let Place { frame, text, .. } = place;
        let public = bench.concerns[concern].public.holds(extract, text);
        // Whose ids an announcement names says nothing of whom it was meant for.
        let owned = if public { Owned::Unknown } else { self.attribute(bench, frame, extract, text, concern, counted) };
        if self.door.is_some() {
            self.door_event(bench, place, extract, concern);
            return owned == Owned::Mine;
        }
        self.note_name(bench, extract);
        // Most events are nothing but events.
        let calm = bench.concerns[concern].calm;
        if !calm && self.refused(bench, frame, extract, text, concern) || self.greeted(bench, frame, extract, text) {
            return owned == Owned::Mine;
        }
        if public {
            bench.out.counts.announcements += 1;
            return false;
        }
        if !calm && self.heartbeat(bench, frame.at, extract, text, concern) {
            if let (Some(run), Some(_)) = (&mut self.run, &extract.name) {
                run.last_frame = Some(Label::of(extract));
            }
            return owned == Owned::Mine;
        }
        if !calm && self.ask_refused(bench, frame, extract, text, concern) {
            return owned == Owned::Mine;
        }
        // A frame that is another user's by its ids is the ledger's; fed to this user's run it would only add echoes of the
        // same cause.
        if owned != Owned::Foreign && self.of.is_none() {
            if !calm {
                self.asks_back(bench, extract, text, concern);
            }
            self.event(bench, Place { mine: place.mine || owned == Owned::Mine, ..place }, extract, concern);
        }
        owned == Owned::Mine
    }

    fn note_name(&self, bench: &mut Bench<'_>, extract: &Extract<'_>) {
        let Some(name) = &extract.name else { return };
        match extract.kind {
            Kind::Known(kind) => bench.out.named(kind, (extract.envelope.alias > 0).then_some(&**name)),
            Kind::Unknown | Kind::Unnamed => bench.out.named_otherwise(name),
        }
    }

    fn heartbeat(
        &mut self,
        bench: &mut Bench<'_>,
        at: Stamp,
        extract: &Extract<'_>,
        text: &str,
        concern: ConcernId,
    ) -> bool {
        let Some(index) = heartbeat_of(bench, extract, text, concern, false) else { return false };
        let rule = &bench.expect.heartbeats[index];
        match rule.means {
            Means::Beat | Means::Question => bench.out.counts.heartbeats += 1,
            Means::Ignored => bench.out.counts.ignored += 1,
            Means::Acknowledgement => {
                bench.out.counts.acknowledged += 1;
                if let Some(run) = &mut self.run {
                    run.acknowledged.get_or_insert(at);
                }
            }
        }
        if rule.answered {
            self.answer(index);
        }
        true
    }

    /// The frame is to be answered by the rule of this index.
    fn answer(&mut self, rule: usize) {
        if let Some(connection) = &mut self.connection {
            connection.replies.push_back(rule);
            self.heard.push(Heard::Answered(rule));
        }
    }

    /// An event of a run that asks back.
    fn asks_back(&mut self, bench: &Bench<'_>, extract: &Extract<'_>, text: &str, concern: ConcernId) {
        if let Some(index) = heartbeat_of(bench, extract, text, concern, true) {
            self.answer(index);
        }
    }

    fn malformed(&mut self, bench: &mut Bench<'_>, at: Stamp, why: String, excerpt: Excerpt) {
        bench.out.counts.unread += 1;
        // Only what fails for itself may stand for what it should have been.
        let fails = bench.expect.claims.exceptions.severity(Rule::MalformedFrame) == Some(Severity::Failure);
        if let Some(run) = self.run.as_mut().filter(|_| fails) {
            run.unread += 1;
        }
        let Some(connection) = &mut self.connection else { return };
        if !std::mem::replace(&mut connection.reported_malformed, true) {
            let evidence = self.evidence(bench, excerpt);
            self.report(bench, at, Deviation::MalformedFrame { why }, evidence);
        }
    }

    /// Counts iterations that ended and have no run left to conclude.
    fn tally(&mut self, bench: &mut Bench<'_>) {
        while let Some(front) = self.iterations.front() {
            let pending = |run: &Run| run.iteration == front.iteration;
            if !front.ended || self.lingering.iter().any(|run| pending(run)) || self.run.as_deref().is_some_and(pending)
            {
                return;
            }
            let counts = &mut bench.out.counts;
            if front.warms_up {
                bench.out.warm_up.ended += u64::from(!front.interrupted);
                bench.out.warm_up.failed += u64::from(!front.interrupted && front.failed);
            } else if self.listens || front.apart {
                // An iteration only to whoever drives it, or one that says nothing of the load.
            } else if front.interrupted {
                counts.iterations_interrupted += 1;
            } else {
                counts.iterations += 1;
                if let Some(persona) = self.persona {
                    let (users, iterations) = bench.out.personas.entry(persona).or_default();
                    *users += u64::from(!std::mem::replace(&mut self.counted, true));
                    *iterations += 1;
                }
                counts.iterations_failed += u64::from(front.failed);
                counts.iterations_known += u64::from(front.known && !front.failed);
            }
            self.iterations.pop_front();
        }
    }

    fn subject(&self) -> Subject {
        Subject {
            user: Some(self.user),
            iteration: self.iterations.back().map(|iteration| iteration.iteration),
            connection: self.connection.as_ref().map(|connection| connection.number),
            run: self.run.as_ref().and_then(|run| run.ids.first().cloned()),
        }
    }

    fn evidence(&self, bench: &Bench<'_>, excerpt: Excerpt) -> Evidence {
        match &self.run {
            Some(_) => self.run_evidence(bench, Some(excerpt)),
            None => Evidence { marks: Vec::new(), excerpts: vec![excerpt] },
        }
    }

    /// What shows something of the run in flight; nothing without one.
    fn run_evidence(&self, bench: &Bench<'_>, excerpt: Option<Excerpt>) -> Evidence {
        let names = &bench.expect.dialect.names;
        self.run.as_ref().map(|run| run.evidence(names, excerpt)).unwrap_or_default()
    }

    fn report(&mut self, bench: &mut Bench<'_>, at: Stamp, deviation: Deviation, evidence: Evidence) {
        let subject = self.subject();
        self.add(bench, Finding { at, subject, deviation, evidence });
    }

    fn report_for(&mut self, bench: &mut Bench<'_>, run: &Run, at: Stamp, deviation: Deviation, evidence: Evidence) {
        let subject = self.subject_of(run);
        self.add(bench, Finding { at, subject, deviation, evidence });
    }

    fn subject_of(&self, run: &Run) -> Subject {
        Subject {
            user: Some(self.user),
            iteration: Some(run.iteration),
            connection: Some(run.connection),
            run: run.ids.first().cloned(),
        }
    }

    /// Counts a latency of the current iteration, known to lie between two bounds.
    fn record(&self, bench: &mut Bench<'_>, segment: Segment, earliest: Micros, latest: Micros) {
        let counts = |iteration: &&IterationState| !iteration.apart && !iteration.warms_up;
        let Some(iteration) = self.iterations.back().filter(counts) else { return };
        let (number, began) = (iteration.iteration, iteration.began);
        bench.out.segments.of(segment).record(self.user, number, earliest, latest);
        bench.out.course.measured(segment, began, latest);
        for per in bench.expect.windows(segment) {
            let window = Window::of(segment, per, began);
            bench.out.windows.entry(window).or_default().record(self.user, number, earliest, latest);
        }
    }

    fn add(&mut self, bench: &mut Bench<'_>, finding: Finding) {
        let exceptions = &bench.expect.claims.exceptions;
        let (rule, number) = (finding.deviation.rule(), finding.subject.iteration);
        let weighs = exceptions.severity(rule) == Some(Severity::Failure);
        let fails = weighs && rule.concern() != Concern::Isolation;
        if weighs {
            bench.alarms.extend(finding.subject.user.into_iter().chain(finding.deviation.owner()));
        }
        if judgement::is_of_warm_up(&finding, bench.expect) {
            let known = exceptions.known(&finding.deviation).is_some();
            // Being slow is what a warm-up is for.
            if weighs
                && !known
                && rule != Rule::BurstAtEnd
                && let (Some(user), Some(number)) = (finding.subject.user, number)
            {
                let told = finding.deviation.message();
                bench.out.warm_up.went_wrong((finding.at, user, number, rule, told));
                self.mark_iteration(Some(number), false);
            }
            return;
        }
        let known = bench.out.findings.add(finding, exceptions);
        self.mark_iteration(fails.then_some(number).flatten(), known);
    }

    fn mark_iteration(&mut self, failed: Option<Iteration>, known: bool) {
        let mine = self.iterations.iter_mut().find(|iteration| Some(iteration.iteration) == failed);
        if let Some(iteration) = mine {
            if known { iteration.known = true } else { iteration.failed = true }
        }
    }

    /// Adds a finding; one of a frame that tells nobody's id is held back until it is known whether it was sent to everybody.
    fn add_about(&mut self, bench: &mut Bench<'_>, unmarked: Option<u64>, finding: Finding) {
        if self.came.foreign() {
            // That another user's frame has no place here is what the ledger will say of it.
            return;
        }
        let Some(hash) = unmarked else { return self.add(bench, finding) };
        let exceptions = &bench.expect.claims.exceptions;
        let idle = self.iterations.iter().all(|iteration| iteration.first_asked.is_none())
            && self.run.is_none()
            && self.lingering.is_empty()
            && self.past.is_empty();
        let fails = exceptions.severity(finding.deviation.rule()) == Some(Severity::Failure);
        let (user, number) = (finding.subject.user, finding.subject.iteration);
        let known = exceptions.known(&finding.deviation).is_some();
        match bench.out.unmarked.suspect(hash, finding, idle) {
            Some(finding) => self.add(bench, finding),
            None if fails => {
                bench.alarms.extend(user);
                self.mark_iteration(number, known);
            }
            None => {}
        }
    }
}

/// The first of the heartbeats that the event is, among those that ask back or among the others.
fn heartbeat_of(
    bench: &Bench<'_>,
    extract: &Extract<'_>,
    text: &str,
    concern: ConcernId,
    question: bool,
) -> Option<usize> {
    let asks = |index: usize| bench.expect.heartbeats[index].means == Means::Question;
    let mut known = bench.concerns[concern].heartbeats.iter();
    let found = known.find(|(index, when)| asks(*index) == question && when.holds(extract, text));
    found.map(|(index, _)| *index)
}

/// The earlier of the two, as far as there are any.
fn earlier(one: Option<Stamp>, other: Option<Stamp>) -> Option<Stamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn not_json(why: &str) -> String {
    format!("a frame is not JSON: {why}")
}
