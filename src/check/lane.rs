//! One user's stream, judged frame by frame: set-up, greeting, runs, silence, the end.
//!
//! A state machine without clock or socket. It is told what was received and done, says until when it will wait
//! (`deadline`) and what the user must do next (`next_move`). Time passes only through `advance`, which promises that
//! everything that arrived up to then was told before; so a recording judged again yields what the live execution did.
//! What concerns several users at once is left to the ledger.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::automaton::{Automaton, RunEvent};
use super::content;
use super::decode;
use super::judgement::{Judgement, Ledger, NAMES_KEPT, OpenId, RUNS_KEPT, Sighting};
use crate::canary;
use crate::event::{Extract, Kind, KindId};
use crate::expect::{Compare, Expectations, IdRole, IdRule, IdSource, Matcher, ScriptStep, Segment, Unique};
use crate::finding::{Deviation, Evidence, Excerpt, Finding, Mark, Subject};
use crate::identity::{Connection, ExecutionId, Iteration, UserNumber};
use crate::rule::{Concern, Severity};
use crate::time::{Micros, Stamp};
use crate::trace::{Content, Dial, Direction, Fact, Frame, NetFailure, Phase, StepOutcome};

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
    Linger,
    /// Nothing more will be judged in this iteration but its `after` steps, which make sense only if it went well.
    Settled {
        /// Every run ended well.
        good: bool,
    },
}

/// What a lane shares with the others.
pub(super) struct Bench<'a> {
    pub expect: &'a Expectations,
    pub execution: ExecutionId,
    pub out: &'a mut Judgement,
}

/// One user's state.
#[derive(Debug)]
pub(super) struct Lane {
    user: UserNumber,
    captured: BTreeMap<String, String>,
    stage: Stage,
    iterations: VecDeque<IterationState>,
    connection: Option<ConnectionState>,
    run: Option<Run>,
    /// Runs that are over and may still get late frames.
    lingering: Vec<Run>,
    /// Runs that were concluded, so that their events are told from nobody's.
    past: VecDeque<PastRun>,
    /// Leaks already found, by owner and iteration of the mark.
    leaks: BTreeSet<(u32, u32)>,
    began: bool,
    was_ready: bool,
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
    fresh: bool,
    /// When the first login step was sent and the last one answered.
    login: Option<(Stamp, Stamp)>,
    greeted: Option<Stamp>,
    first_asked: Option<Stamp>,
    failed: bool,
    interrupted: bool,
    ended: bool,
}

#[derive(Debug)]
struct ConnectionState {
    number: Connection,
    upgraded: Stamp,
    frames: u64,
    replies: VecDeque<usize>,
    /// The next sent frame is an ask.
    asking: bool,
    reported_malformed: bool,
    reported_unasked: BTreeSet<String>,
    ended: bool,
}

#[derive(Debug)]
struct Run {
    iteration: Iteration,
    turn: u32,
    connection: Connection,
    asked: Stamp,
    ids: Vec<String>,
    automaton: Automaton,
    progress: Option<(Stamp, Stamp)>,
    silence: (Micros, Micros),
    marks: VecDeque<Mark>,
    last_frame: Option<String>,
    answer: Option<String>,
    answer_frame: Option<Excerpt>,
    failed: Option<(String, Excerpt)>,
    /// Frames that could not be read and have not explained anything yet.
    unread: usize,
    over: Option<Over>,
}

#[derive(Debug, Clone, Copy)]
struct Over {
    earliest: Stamp,
    latest: Stamp,
    good: bool,
    /// Its cause was reported; what is missing in consequence is not.
    explained: bool,
}

#[derive(Debug)]
struct PastRun {
    ids: Vec<String>,
    iteration: Iteration,
    connection: Connection,
    over: Over,
}

/// How many marks of a run are kept as evidence.
const MARKS_KEPT: usize = 16;
/// How many concluded runs of a user are remembered.
const PAST_KEPT: usize = 16;

impl Lane {
    pub fn new(user: UserNumber) -> Lane {
        Lane {
            user,
            captured: BTreeMap::new(),
            stage: Stage::SetUp,
            iterations: VecDeque::new(),
            connection: None,
            run: None,
            lingering: Vec::new(),
            past: VecDeque::new(),
            leaks: BTreeSet::new(),
            began: false,
            was_ready: false,
        }
    }

    /// What to do next. Asking does not change anything; doing it is told by a fact or a sent frame.
    pub fn next_move(&self, expect: &Expectations) -> Move {
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
            Stage::Over { .. } if !self.lingering.is_empty() => Move::Linger,
            Stage::Over { good } => Move::Settled { good },
        }
    }

    /// The next instant at which silence means something.
    pub fn deadline(&self, expect: &Expectations) -> Option<Stamp> {
        let script = match self.stage {
            Stage::Script { step, since } => match expect.script.get(step) {
                Some(ScriptStep::Wait { within, .. }) => Some(since + *within),
                _ => None,
            },
            _ => None,
        };
        let run = self.run.as_ref().map(|run| run.deadline(expect));
        let quiet =
            self.lingering.iter().filter_map(|run| run.over.map(|over| over.latest + expect.timeouts.quiet)).min();
        [script, run, quiet].into_iter().flatten().min()
    }

    /// Everything that arrived up to `until` has been told: deadlines up to then pass, each at its own time.
    pub fn advance(&mut self, bench: &mut Bench<'_>, until: Stamp) {
        while let Some(deadline) = self.deadline(bench.expect).filter(|deadline| *deadline <= until) {
            self.pass(bench, deadline);
        }
    }

    fn pass(&mut self, bench: &mut Bench<'_>, now: Stamp) {
        let quiet = bench.expect.timeouts.quiet;
        if let Some(index) =
            self.lingering.iter().position(|run| run.over.is_some_and(|over| over.latest + quiet <= now))
        {
            let run = self.lingering.remove(index);
            return self.conclude_run(bench, run);
        }
        if let Stage::Script { step, since } = self.stage
            && let Some(ScriptStep::Wait { within, .. }) = bench.expect.script.get(step)
            && since + *within <= now
        {
            let frames = self.connection.as_ref().map_or(0, |connection| connection.frames);
            let deviation = Deviation::GreetingMissing { waited: *within, frames };
            return self.fail_setup(bench, now, deviation, Evidence::default());
        }
        let Some(run) = &self.run else { return };
        let timeouts = bench.expect.timeouts;
        let missing = run.missing(bench.expect);
        let deviation = match run.progress {
            _ if now >= run.asked + timeouts.run => {
                let last = run.last_label();
                Deviation::RunTooLong { limit: timeouts.run, last }
            }
            Some(_) if run.automaton.begun() => {
                Deviation::Stalled { last: run.last_label(), waited: timeouts.stall, missing }
            }
            _ => Deviation::NeverStarted { waited: timeouts.first_event, last: run.last_frame.clone() },
        };
        let evidence = run.evidence(None);
        self.report(bench, now, deviation, evidence);
        self.end_run(bench, Over { earliest: now, latest: now, good: false, explained: true });
    }

    pub fn fact(&mut self, bench: &mut Bench<'_>, fact: &Fact) {
        match fact {
            Fact::Began { iteration, fresh, .. } => self.begin(bench, *iteration, *fresh),
            Fact::Step { phase, name, sent, done, outcome } => self.step(bench, *phase, name, *sent, *done, outcome),
            Fact::Captured { name, value, .. } => self.capture(bench, name, value),
            Fact::Dialed { connection, begun, done, outcome } => {
                self.dialed(bench, *connection, *begun, *done, outcome);
            }
            Fact::Asked { turn, at, run, thread, .. } => {
                self.asked(bench, *turn, *at, run.as_deref(), thread.as_deref())
            }
            Fact::Closed { .. } => {
                if let Some(connection) = &mut self.connection {
                    connection.ended = true;
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
        }
    }

    pub fn frame(&mut self, bench: &mut Bench<'_>, frame: &Frame<'_>) {
        if frame.direction == Direction::Sent {
            return self.sent(bench, frame);
        }
        self.advance(bench, frame.not_before);
        bench.out.counts.frames += 1;
        if let Some(connection) = &mut self.connection {
            connection.frames += 1;
        }
        match &frame.content {
            Content::Text(text) => self.text(bench, frame, text),
            Content::Binary(bytes) => {
                let excerpt = Excerpt::new(frame.at, "binary frame", &String::from_utf8_lossy(bytes));
                self.malformed(bench, frame.at, "a binary frame where text was expected".to_owned(), excerpt);
            }
            Content::Ping | Content::Pong => {}
            ending => self.connection_ended(bench, frame.at, ending),
        }
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

    // Set-up.

    fn begin(&mut self, bench: &mut Bench<'_>, iteration: Iteration, fresh: bool) {
        let counts = &mut bench.out.counts;
        counts.users += u64::from(!std::mem::replace(&mut self.began, true));
        counts.setups += u64::from(fresh);
        self.stage = if fresh { Stage::SetUp } else { Stage::Ready { turn: 0 } };
        if fresh {
            self.connection = None;
        }
        self.iterations.push_back(IterationState {
            iteration,
            fresh,
            login: None,
            greeted: None,
            first_asked: None,
            failed: false,
            interrupted: false,
            ended: false,
        });
    }

    fn step(
        &mut self,
        bench: &mut Bench<'_>,
        phase: Phase,
        name: &str,
        sent: Stamp,
        done: Stamp,
        outcome: &StepOutcome,
    ) {
        if phase == Phase::Login
            && let Some(iteration) = self.iterations.back_mut()
        {
            // With several steps the login lasts from the first request to the last answer.
            let since = iteration.login.map_or(sent, |(since, _)| since);
            iteration.login = Some((since, done));
        }
        let StepProblem { why, excerpt, unanswered } = match outcome {
            StepOutcome::Good { .. } => return,
            StepOutcome::Refused { status, why, body } => StepProblem {
                why: format!("{why} (HTTP {status})"),
                excerpt: (!body.is_empty()).then(|| Excerpt::new(done, format!("HTTP {status}"), body)),
                unanswered: None,
            },
            StepOutcome::Failed(failure) => {
                StepProblem { why: failure.to_string(), excerpt: None, unanswered: Some(failure) }
            }
        };
        let evidence = Evidence { marks: Vec::new(), excerpts: excerpt.into_iter().collect() };
        let step = name.to_owned();
        match (phase, unanswered) {
            (Phase::Finally, _) => {
                if bench.out.leftovers.len() < NAMES_KEPT {
                    bench.out.leftovers.insert(format!("user {}: {name}: {why}", self.user));
                }
            }
            (Phase::After, _) => self.report(bench, done, Deviation::AfterFailed { step, why }, evidence),
            (_, Some(NetFailure { doing, error, .. })) => {
                let deviation = Deviation::Unreachable { doing: doing.clone(), error: error.clone() };
                self.fail_setup(bench, done, deviation, evidence);
            }
            (Phase::Login, None) => self.fail_setup(bench, done, Deviation::LoginRefused { step, why }, evidence),
            (Phase::Ready | Phase::Prepare, None) => {
                self.fail_setup(bench, done, Deviation::StepFailed { step, why }, evidence);
            }
        }
    }

    fn capture(&mut self, bench: &mut Bench<'_>, name: &str, value: &str) {
        for rule in &bench.expect.ids {
            if !matches!(&rule.source, IdSource::Captured(from) if **from == *name) || rule.unique != Unique::Target {
                continue;
            }
            own(bench.out, rule.role, value, self.user);
        }
        self.captured.insert(name.to_owned(), value.to_owned());
    }

    fn dialed(&mut self, bench: &mut Bench<'_>, number: Connection, begun: Stamp, done: Stamp, outcome: &Dial) {
        bench.out.counts.connections += 1;
        if let Some((sent, answered)) = self.iterations.back().and_then(|iteration| iteration.login) {
            let took = answered.since(sent);
            self.record(bench, Segment::Login, took, took);
        }
        self.connection = Some(ConnectionState {
            number,
            upgraded: done,
            frames: 0,
            replies: VecDeque::new(),
            asking: false,
            reported_malformed: false,
            reported_unasked: BTreeSet::new(),
            ended: !matches!(outcome, Dial::Upgraded { .. }),
        });
        let (deviation, excerpts) = match outcome {
            Dial::Upgraded { subprotocol, echo_fits, echo_strict } => {
                if *echo_strict && !echo_fits {
                    (Deviation::SubprotocolMismatch { selected: subprotocol.clone() }, vec![])
                } else {
                    let took = done.since(begun);
                    self.record(bench, Segment::Connect, took, took);
                    return self.script_at(bench, 0, done, done);
                }
            }
            Dial::Refused { status, headers, body } => {
                let mut excerpts = vec![Excerpt::new(done, format!("HTTP {status} head"), headers)];
                if !body.is_empty() {
                    excerpts.push(Excerpt::new(done, format!("HTTP {status} body"), body));
                }
                (Deviation::UpgradeRefused { status: *status }, excerpts)
            }
            Dial::Invalid { why } => (Deviation::ProtocolViolation { why: why.clone() }, vec![]),
            Dial::Failed(NetFailure { hung: true, .. }) => {
                (Deviation::UpgradeHung { waited: done.since(begun) }, vec![])
            }
            Dial::Failed(NetFailure { doing, error, .. }) => {
                (Deviation::Unreachable { doing: doing.clone(), error: error.clone() }, vec![])
            }
        };
        bench.out.counts.connections_failed += 1;
        self.fail_setup(bench, done, deviation, Evidence { marks: Vec::new(), excerpts });
    }

    /// Enters step `step` of the socket script at a time between `earliest` and `latest`, or becomes ready after the last.
    fn script_at(&mut self, bench: &mut Bench<'_>, step: usize, earliest: Stamp, latest: Stamp) {
        if step < bench.expect.script.len() {
            self.stage = Stage::Script { step, since: latest };
            return;
        }
        let waited = bench.expect.script.iter().any(|step| matches!(step, ScriptStep::Wait { .. }));
        if waited && let Some(connection) = &self.connection {
            let upgraded = connection.upgraded;
            self.record(bench, Segment::Greeting, earliest.since(upgraded), latest.since(upgraded));
        }
        if let Some(iteration) = self.iterations.back_mut() {
            iteration.greeted = Some(latest);
        }
        bench.out.counts.users_ready += u64::from(!self.was_ready);
        self.was_ready = true;
        self.stage = Stage::Ready { turn: 0 };
    }

    fn fail_setup(&mut self, bench: &mut Bench<'_>, at: Stamp, deviation: Deviation, evidence: Evidence) {
        bench.out.counts.setups_failed += 1;
        self.report(bench, at, deviation, evidence);
        self.stage = Stage::Over { good: false };
    }

    // Asking and listening.

    fn sent(&mut self, bench: &mut Bench<'_>, frame: &Frame<'_>) {
        let Some(connection) = &mut self.connection else { return };
        if std::mem::take(&mut connection.asking) || connection.replies.pop_front().is_some() {
            return;
        }
        if let Stage::Script { step, .. } = self.stage
            && matches!(bench.expect.script.get(step), Some(ScriptStep::Send))
        {
            self.script_at(bench, step + 1, frame.at, frame.at);
        }
    }

    fn asked(&mut self, bench: &mut Bench<'_>, turn: u32, at: Stamp, run: Option<&str>, thread: Option<&str>) {
        for rule in &bench.expect.ids {
            let value = match rule.role {
                IdRole::Run => run,
                IdRole::Thread => thread,
                IdRole::User | IdRole::Other => None,
            };
            if let (Some(value), IdSource::Chosen, Unique::Target) = (value, &rule.source, rule.unique) {
                own(bench.out, rule.role, value, self.user);
            }
        }
        if let Some(thread) = thread {
            self.captured.insert(THREAD.to_owned(), thread.to_owned());
        }
        let Some(connection) = &mut self.connection else { return };
        let Some(iteration) = self.iterations.back_mut() else { return };
        connection.asking = true;
        iteration.first_asked.get_or_insert(at);
        let mut asked = Run {
            iteration: iteration.iteration,
            turn,
            connection: connection.number,
            asked: at,
            ids: run.into_iter().map(str::to_owned).collect(),
            automaton: Automaton::default(),
            progress: None,
            silence: (Micros::ZERO, Micros::ZERO),
            marks: VecDeque::new(),
            last_frame: None,
            answer: None,
            answer_frame: None,
            failed: None,
            unread: 0,
            over: None,
        };
        asked.mark(at, "asked".to_owned());
        self.run = Some(asked);
        self.stage = Stage::Running;
    }

    fn text(&mut self, bench: &mut Bench<'_>, frame: &Frame<'_>, text: &str) {
        bench.out.counts.texts += 1;
        let marked = self.canaries(bench, frame, text);
        let extract = match decode::event(&bench.expect.dialect, text) {
            Ok(extract) => extract,
            Err(why) => {
                bench.out.counts.attributed += u64::from(marked);
                let unread = Extract { kind: Kind::Unnamed, name: None, envelope: Default::default(), slots: vec![] };
                if self.heartbeat(bench, &unread, text) {
                    return;
                }
                let excerpt = Excerpt::new(frame.at, "frame", text);
                return self.malformed(bench, frame.at, format!("a frame is not JSON: {why}"), excerpt);
            }
        };
        let owned = self.attribute(bench, frame, &extract, text);
        bench.out.counts.attributed += u64::from(marked || owned == Owned::Mine);
        self.note_name(bench, &extract);
        if self.refused(bench, frame, &extract, text) || self.greeted(bench, frame, &extract, text) {
            return;
        }
        if self.heartbeat(bench, &extract, text) {
            if let (Some(run), Some(name)) = (&mut self.run, &extract.name) {
                run.last_frame = Some(name.to_string());
            }
            return;
        }
        // A frame that is another user's by its ids is the ledger's; fed to this user's run it would only add echoes of the
        // same cause.
        if owned != Owned::Foreign {
            self.event(bench, frame, &extract, text);
        }
    }

    /// Looks for marks; says whether an own one was there.
    fn canaries(&mut self, bench: &mut Bench<'_>, frame: &Frame<'_>, text: &str) -> bool {
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
            let evidence = self.evidence(around(frame.at, text, found.at));
            self.report(bench, frame.at, deviation, evidence);
        }
        bench.out.counts.canaries += u64::from(mine);
        mine
    }

    /// Holds every id in the frame against its receiver's.
    fn attribute(&mut self, bench: &mut Bench<'_>, frame: &Frame<'_>, extract: &Extract<'_>, text: &str) -> Owned {
        let mut owned = Owned::Unknown;
        let (mut my_run, mut foreign) = (false, false);
        for rule in &bench.expect.ids {
            let Some(value) = extract.first_text(&rule.at) else { continue };
            match self.own_value(rule, &value) {
                Own::Yes => {
                    owned = Owned::Mine;
                    my_run |= rule.role == IdRole::Run;
                }
                Own::Unclear => {}
                verdict @ (Own::No | Own::NoneKnown) => {
                    foreign |= bench.out.ledger.other_owner(rule.role, &value, self.user).is_some();
                    self.open(bench, frame, rule, &value, verdict == Own::No, text);
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
        own_known: bool,
        text: &str,
    ) {
        let key = OpenId { name: rule.name.to_string(), role: rule.role, value: value.to_owned(), user: self.user };
        let open = &mut bench.out.ledger.open;
        if let Some(sighting) = open.get_mut(&key) {
            sighting.frames += 1;
            sighting.own_known |= own_known;
        } else if open.len() >= NAMES_KEPT {
            bench.out.counts.ids_dropped += 1;
        } else {
            let evidence = self.evidence(Excerpt::new(frame.at, "frame", text));
            let sighting = Sighting { at: frame.at, subject: self.subject(), evidence, frames: 1, own_known };
            open.insert(key, sighting);
        }
    }

    fn note_name(&self, bench: &mut Bench<'_>, extract: &Extract<'_>) {
        let Some(name) = &extract.name else { return };
        let names = match extract.kind {
            Kind::Known(_) => &mut bench.out.known,
            Kind::Unknown | Kind::Unnamed => &mut bench.out.unknown,
        };
        if let Some(count) = names.get_mut(&**name) {
            *count += 1;
        } else if names.len() < NAMES_KEPT {
            names.insert(name.to_string(), 1);
        }
    }

    /// A refusal by frame, in the script or after it until the first event of a run.
    fn refused(&mut self, bench: &mut Bench<'_>, frame: &Frame<'_>, extract: &Extract<'_>, text: &str) -> bool {
        let armed = match self.stage {
            Stage::Script { .. } | Stage::Ready { .. } => true,
            Stage::Running => self.run.as_ref().is_some_and(|run| !run.automaton.begun()),
            Stage::SetUp | Stage::Over { .. } => false,
        };
        let hit = armed
            && bench.expect.script.iter().any(|step| match step {
                ScriptStep::Wait { refused, .. } => any(refused, extract, text),
                ScriptStep::Send => false,
            });
        if hit {
            let by = extract.name.as_deref().unwrap_or("a frame").to_owned();
            let evidence = self.evidence(Excerpt::new(frame.at, "frame", text));
            self.run = None;
            bench.out.counts.connections_failed += 1;
            self.fail_setup(bench, frame.at, Deviation::GreetingRefused { by }, evidence);
        }
        hit
    }

    /// The frame that the script waits for.
    fn greeted(&mut self, bench: &mut Bench<'_>, frame: &Frame<'_>, extract: &Extract<'_>, text: &str) -> bool {
        let Stage::Script { step, .. } = self.stage else { return false };
        let Some(ScriptStep::Wait { when, .. }) = bench.expect.script.get(step) else { return false };
        let hit = when.holds(extract, text);
        if hit {
            self.script_at(bench, step + 1, frame.not_before, frame.at);
        }
        hit
    }

    fn heartbeat(&mut self, bench: &mut Bench<'_>, extract: &Extract<'_>, text: &str) -> bool {
        let mut rules = bench.expect.heartbeats.iter().enumerate();
        let Some((index, rule)) = rules.find(|(_, rule)| rule.when.holds(extract, text)) else { return false };
        bench.out.counts.heartbeats += 1;
        if rule.answered
            && let Some(connection) = &mut self.connection
        {
            connection.replies.push_back(index);
        }
        true
    }

    fn event(&mut self, bench: &mut Bench<'_>, frame: &Frame<'_>, extract: &Extract<'_>, text: &str) {
        let expect = bench.expect;
        let kind = match extract.kind {
            Kind::Known(kind) => Some(kind),
            Kind::Unknown | Kind::Unnamed => None,
        };
        let symbol = kind.and_then(|kind| expect.grammar.symbol_of(kind));
        bench.out.counts.events += u64::from(symbol.is_some());
        let run_id = expect
            .ids
            .iter()
            .filter(|rule| rule.role == IdRole::Run)
            .find_map(|rule| extract.first_text(&rule.at))
            .map(|id| id.into_owned());
        let Some(mut run) = self.take_run(run_id.as_deref()) else {
            if symbol.is_some() {
                self.runless(bench, frame, extract, text, run_id);
            }
            return;
        };
        let was_over = run.over;
        let bounds = (frame.not_before.max(run.asked), frame.at);
        let label = extract.name.as_deref().unwrap_or("a frame without a name").to_owned();
        run.last_frame = Some(label.clone());
        run.mark(frame.at, label.clone());
        if symbol.is_some() && !run.automaton.begun() {
            let since = |at: Stamp| at.since(run.asked);
            self.record(bench, Segment::FirstEvent, since(bounds.0), since(bounds.1));
        }
        if was_over.is_none() {
            run.progressed(bounds);
        }
        if run.failed.is_none() && any(&expect.failed, extract, text) {
            run.failed = Some((label.clone(), Excerpt::new(frame.at, "frame", text)));
        }
        if let Some(source) = expect.answers.iter().find(|source| source.when.holds(extract, text))
            && let Some(answer) = extract.first_text(&source.at)
        {
            run.answer = Some(answer.into_owned());
            run.answer_frame = Some(Excerpt::new(frame.at, "frame", text));
        }
        let mut repeated = false;
        let mut ended = None;
        if let Some(symbol) = symbol {
            let agent = extract.first_text(&expect.dialect.fields.agent);
            let tool = extract.first_text(&expect.dialect.fields.tool);
            let call = extract.first_text(&expect.dialect.fields.call);
            let event_id = extract.first_text(&expect.dialect.fields.event_id);
            let event = RunEvent {
                symbol,
                envelope: extract.envelope,
                agent: agent.as_deref(),
                tool: tool.as_deref(),
                call: call.as_deref(),
                event_id: event_id.as_deref(),
                arrived: bounds,
            };
            let names = |index: usize| expect.kind_name(expect.grammar.symbols[index].kind).to_owned();
            let step = match was_over {
                None => run.automaton.event(&expect.grammar, &names, &event),
                Some(_) => run.automaton.late(&expect.grammar, &names, &event),
            };
            repeated = step.repeated;
            if let Some((earliest, latest)) = step.tool_called {
                self.record(bench, Segment::Tool, bounds.0.since(latest), bounds.1.since(earliest));
            }
            // What could not be read explains one thing that seems out of order, or is lacking in the end.
            if let Some(Deviation::OutOfOrder { .. }) = step.deviation
                && run.unread > 0
            {
                run.unread -= 1;
            } else if let Some(deviation) = step.deviation {
                let evidence = run.evidence(Some(Excerpt::new(frame.at, "frame", text)));
                self.report_for(bench, &run, frame.at, deviation, evidence);
            }
            if step.over {
                ended = Some(any(&expect.ends.good, extract, text));
            }
        }
        let explains = was_over.is_some_and(|over| over.explained);
        if let (Some(over), Some(_), false, false) = (was_over, symbol, repeated, explains) {
            let deviation = Deviation::LateEvent { event: label.clone(), after: frame.at.since(over.latest) };
            let evidence = run.evidence(Some(Excerpt::new(frame.at, "frame", text)));
            self.report_for(bench, &run, frame.at, deviation, evidence);
        }
        if was_over.is_some() {
            self.lingering.push(run);
            return;
        }
        let over = |good, explained| Over { earliest: bounds.0, latest: bounds.1, good, explained };
        if any(&expect.ends.bad, extract, text) {
            let evidence = run.evidence(Some(Excerpt::new(frame.at, "frame", text)));
            self.report_for(bench, &run, frame.at, Deviation::FailedRun { event: label }, evidence);
            self.run = Some(run);
            return self.end_run(bench, over(false, true));
        }
        if let Some(good) = ended {
            if !good && run.failed.is_none() {
                run.failed = Some((label, Excerpt::new(frame.at, "frame", text)));
            }
            let good = good && run.failed.is_none();
            self.run = Some(run);
            return self.end_run(bench, over(good, false));
        }
        self.run = Some(run);
    }

    /// The run that an event belongs to: by its id if it names a known one, else the one in flight, else the last that may
    /// still get late frames. An id nobody knows belongs to the run in flight, for targets make ids of their own.
    fn take_run(&mut self, id: Option<&str>) -> Option<Run> {
        if let Some(id) = id {
            let known = |run: &Run| run.ids.iter().any(|known| known == id);
            if self.run.as_ref().is_some_and(known) {
                return self.run.take();
            }
            if let Some(index) = self.lingering.iter().position(known) {
                return Some(self.lingering.remove(index));
            }
            if self.past.iter().any(|run| run.ids.iter().any(|known| known == id)) {
                return None;
            }
        }
        let mut run = self.run.take().or_else(|| self.lingering.pop())?;
        if let Some(id) = id {
            run.ids.push(id.to_owned());
        }
        Some(run)
    }

    /// An event of the grammar without a run in flight: late if it belongs to an earlier run of this connection, else a run
    /// that nobody asked for.
    fn runless(
        &mut self,
        bench: &mut Bench<'_>,
        frame: &Frame<'_>,
        extract: &Extract<'_>,
        text: &str,
        run_id: Option<String>,
    ) {
        let Some(connection) = &mut self.connection else { return };
        let event = extract.name.as_deref().unwrap_or_default().to_owned();
        let number = connection.number;
        let past = match &run_id {
            Some(id) => self.past.iter().rev().find(|run| run.ids.contains(id)),
            None => self.past.iter().rev().find(|run| run.connection == number),
        };
        let excerpt = Excerpt::new(frame.at, "frame", text);
        let evidence = Evidence { marks: Vec::new(), excerpts: vec![excerpt] };
        let mut subject = Subject { user: Some(self.user), connection: Some(number), ..Subject::default() };
        let deviation = match past {
            Some(PastRun { over: Over { explained: true, .. }, .. }) => return,
            Some(run) => {
                (subject.iteration, subject.run) = (Some(run.iteration), run.ids.first().cloned());
                Deviation::LateEvent { event, after: frame.at.since(run.over.latest) }
            }
            None => {
                if !connection.reported_unasked.insert(run_id.clone().unwrap_or_default()) {
                    return;
                }
                (subject.iteration, subject.run) = (self.iterations.back().map(|known| known.iteration), run_id);
                Deviation::UnaskedRun { event }
            }
        };
        self.add(bench, Finding { at: frame.at, subject, deviation, evidence });
    }

    fn malformed(&mut self, bench: &mut Bench<'_>, at: Stamp, why: String, excerpt: Excerpt) {
        if let Some(run) = &mut self.run {
            run.unread += 1;
        }
        let Some(connection) = &mut self.connection else { return };
        if !std::mem::replace(&mut connection.reported_malformed, true) {
            let evidence = self.evidence(excerpt);
            self.report(bench, at, Deviation::MalformedFrame { why }, evidence);
        }
    }

    // Ends.

    fn connection_ended(&mut self, bench: &mut Bench<'_>, at: Stamp, how: &Content<'_>) {
        let Some(connection) = &mut self.connection else { return };
        if std::mem::replace(&mut connection.ended, true) {
            return;
        }
        if let (Some(run), Content::Close { code, .. }) = (&mut self.run, how) {
            run.mark(at, format!("closed {code}"));
        }
        let missing = self.run.as_ref().map(|run| run.missing(bench.expect)).unwrap_or_default();
        let in_script = matches!(self.stage, Stage::Script { .. });
        let deviation = match how {
            Content::TooLarge { limit } => Deviation::FrameTooLarge { limit: *limit },
            Content::Violation { why } => Deviation::ProtocolViolation { why: why.to_string() },
            Content::Close { code, reason } if in_script => {
                let reason = if reason.is_empty() { String::new() } else { format!(" \"{reason}\"") };
                Deviation::GreetingRefused { by: format!("close {code}{reason}") }
            }
            Content::Close { code, reason } => {
                Deviation::ClosedEarly { code: *code, reason: reason.to_string(), missing }
            }
            Content::Lost { error } if in_script => {
                Deviation::GreetingRefused { by: format!("a connection that ended without a close frame ({error})") }
            }
            Content::Lost { error } => Deviation::ConnectionLost { error: error.to_string(), missing },
            Content::Text(_) | Content::Binary(_) | Content::Ping | Content::Pong => return,
        };
        let too_large = matches!(how, Content::TooLarge { .. } | Content::Violation { .. });
        match self.stage {
            Stage::Script { .. } => {
                bench.out.counts.connections_failed += 1;
                self.fail_setup(bench, at, deviation, Evidence::default());
            }
            Stage::Running => {
                bench.out.counts.connections_failed += 1;
                let evidence = self.run.as_ref().map(|run| run.evidence(None)).unwrap_or_default();
                self.report(bench, at, deviation, evidence);
                self.end_run(bench, Over { earliest: at, latest: at, good: false, explained: true });
            }
            Stage::Ready { .. } => {
                bench.out.counts.connections_failed += 1;
                self.report(bench, at, deviation, Evidence::default());
                self.stage = Stage::Over { good: false };
            }
            // A close right after the end is the target's right; a frame it must not send is not.
            Stage::Over { .. } if too_large => self.report(bench, at, deviation, Evidence::default()),
            Stage::Over { .. } | Stage::SetUp => {}
        }
        self.settle_all(bench);
    }

    fn interrupt(&mut self, bench: &mut Bench<'_>) {
        if matches!(self.stage, Stage::Over { .. }) && self.run.is_none() {
            return;
        }
        self.run = None;
        self.stage = Stage::Over { good: false };
        if let Some(iteration) = self.iterations.back_mut() {
            iteration.interrupted = true;
        }
        self.settle_all(bench);
    }

    /// The run in flight is over; the next turn may follow.
    fn end_run(&mut self, bench: &mut Bench<'_>, over: Over) {
        let Some(mut run) = self.run.take() else { return };
        run.over = Some(over);
        let flights = bench.out.in_flight.entry(self.user).or_default();
        if flights.len() < RUNS_KEPT {
            flights.push((run.asked, over.latest));
        }
        let turns = bench.expect.turns.len().max(1);
        let next = run.turn + 1;
        self.stage = if over.good && (next as usize) < turns {
            Stage::Ready { turn: next }
        } else {
            Stage::Over { good: over.good }
        };
        let last = matches!(self.stage, Stage::Over { .. });
        if over.good {
            let since = |from: Stamp| (over.earliest.since(from), over.latest.since(from));
            let (earliest, latest) = since(run.asked);
            self.record(bench, Segment::Run, earliest, latest);
            if run.progress.is_some() {
                self.record(bench, Segment::Silence, run.silence.0, run.silence.1);
            }
            if last
                && let Some(iteration) = self.iterations.back().filter(|iteration| iteration.fresh)
                && let (Some((login, _)), Some(greeted), Some(asked)) =
                    (iteration.login, iteration.greeted, iteration.first_asked)
            {
                let (earliest, latest) = since(asked);
                let setup = greeted.since(login);
                self.record(bench, Segment::GoldenPath, setup + earliest, setup + latest);
            }
        }
        if over.explained && !over.good && bench.expect.timeouts.quiet == Micros::ZERO {
            return self.conclude_run(bench, run);
        }
        self.lingering.push(run);
        if bench.expect.timeouts.quiet == Micros::ZERO {
            self.advance(bench, over.latest);
        }
    }

    /// Late frames can no longer come: every run is concluded.
    fn settle_all(&mut self, bench: &mut Bench<'_>) {
        for run in std::mem::take(&mut self.lingering) {
            self.conclude_run(bench, run);
        }
    }

    /// What only the whole run shows.
    fn conclude_run(&mut self, bench: &mut Bench<'_>, run: Run) {
        let expect = bench.expect;
        let Some(over) = run.over else { return };
        bench.out.counts.runs += 1;
        if !over.explained {
            if let Some((event, excerpt)) = &run.failed {
                let deviation = Deviation::FailureInside { event: event.clone() };
                let evidence = run.evidence(Some(excerpt.clone()));
                self.report_for(bench, &run, over.latest, deviation, evidence);
            } else {
                let names = |index: usize| expect.kind_name(expect.grammar.symbols[index].kind).to_owned();
                let deviations = run.automaton.conclude(&expect.grammar, &names);
                for deviation in deviations.into_iter().skip(run.unread) {
                    let evidence = run.evidence(None);
                    self.report_for(bench, &run, over.latest, deviation, evidence);
                }
                self.judge_answer(bench, &run, over);
            }
            bench.out.counts.runs_good += u64::from(over.good);
        }
        if self.past.len() == PAST_KEPT {
            self.past.pop_front();
        }
        let Run { ids, iteration, connection, .. } = run;
        self.past.push_back(PastRun { ids, iteration, connection, over });
        self.tally(bench);
    }

    fn judge_answer(&mut self, bench: &mut Bench<'_>, run: &Run, over: Over) {
        if bench.expect.answers.is_empty() {
            return;
        }
        bench.out.counts.answers += 1;
        let rules = bench.expect.answer_rules(run.turn as usize);
        let deviations = content::judge(rules, run.answer.as_deref());
        for deviation in deviations {
            let excerpt = match &run.answer {
                Some(answer) if !answer.trim().is_empty() => Some(Excerpt::new(over.latest, "answer", answer)),
                _ => run.answer_frame.clone(),
            };
            let evidence = run.evidence(excerpt);
            self.report_for(bench, run, over.latest, deviation, evidence);
        }
    }

    /// Counts iterations that ended and have no run left to conclude.
    fn tally(&mut self, bench: &mut Bench<'_>) {
        while let Some(front) = self.iterations.front() {
            let pending = |run: &Run| run.iteration == front.iteration;
            if !front.ended || self.lingering.iter().any(pending) || self.run.as_ref().is_some_and(pending) {
                return;
            }
            let counts = &mut bench.out.counts;
            if front.interrupted {
                counts.iterations_interrupted += 1;
            } else {
                counts.iterations += 1;
                counts.iterations_failed += u64::from(front.failed);
            }
            self.iterations.pop_front();
        }
    }

    // Findings.

    fn subject(&self) -> Subject {
        Subject {
            user: Some(self.user),
            iteration: self.iterations.back().map(|iteration| iteration.iteration),
            connection: self.connection.as_ref().map(|connection| connection.number),
            run: self.run.as_ref().and_then(|run| run.ids.first().cloned()),
        }
    }

    fn evidence(&self, excerpt: Excerpt) -> Evidence {
        match &self.run {
            Some(run) => run.evidence(Some(excerpt)),
            None => Evidence { marks: Vec::new(), excerpts: vec![excerpt] },
        }
    }

    fn report(&mut self, bench: &mut Bench<'_>, at: Stamp, deviation: Deviation, evidence: Evidence) {
        let subject = self.subject();
        self.add(bench, Finding { at, subject, deviation, evidence });
    }

    fn report_for(&mut self, bench: &mut Bench<'_>, run: &Run, at: Stamp, deviation: Deviation, evidence: Evidence) {
        let subject = Subject {
            user: Some(self.user),
            iteration: Some(run.iteration),
            connection: Some(run.connection),
            run: run.ids.first().cloned(),
        };
        self.add(bench, Finding { at, subject, deviation, evidence });
    }

    /// Counts a latency of the current iteration, known to lie between two bounds.
    fn record(&self, bench: &mut Bench<'_>, segment: Segment, earliest: Micros, latest: Micros) {
        let Some(iteration) = self.iterations.back() else { return };
        bench.out.segments.entry(segment).or_default().record(self.user, iteration.iteration, earliest, latest);
    }

    fn add(&mut self, bench: &mut Bench<'_>, finding: Finding) {
        let rule = finding.deviation.rule();
        let counts = rule.severity() == Severity::Failure && rule.concern() != Concern::Isolation;
        if counts && let Some(number) = finding.subject.iteration {
            let mine = self.iterations.iter_mut().find(|iteration| iteration.iteration == number);
            if let Some(iteration) = mine {
                iteration.failed = true;
            }
        }
        bench.out.findings.add(finding);
    }
}

/// The name under which a lane keeps the thread id that the harness chose; no profile can capture it.
const THREAD: &str = "thread_id (chosen)";

struct StepProblem<'a> {
    why: String,
    excerpt: Option<Excerpt>,
    unanswered: Option<&'a NetFailure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owned {
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

impl Run {
    fn deadline(&self, expect: &Expectations) -> Stamp {
        let timeouts = &expect.timeouts;
        let silence = match self.progress {
            Some((_, latest)) if self.automaton.begun() => latest + timeouts.stall,
            _ => self.asked + timeouts.first_event,
        };
        silence.min(self.asked + timeouts.run)
    }

    fn progressed(&mut self, (earliest, latest): (Stamp, Stamp)) {
        if let Some((before_earliest, before_latest)) = self.progress {
            let gap = (earliest.since(before_latest), latest.since(before_earliest));
            self.silence = (self.silence.0.max(gap.0), self.silence.1.max(gap.1));
        }
        self.progress = Some((earliest, latest));
    }

    fn mark(&mut self, at: Stamp, label: String) {
        if self.marks.len() == MARKS_KEPT {
            self.marks.pop_front();
        }
        self.marks.push_back(Mark { at, label });
    }

    fn last_label(&self) -> String {
        self.marks.back().map(|mark| mark.label.clone()).unwrap_or_default()
    }

    fn missing(&self, expect: &Expectations) -> Vec<String> {
        let missing = self.automaton.missing(&expect.grammar).into_iter();
        let kind = |index: usize| -> KindId { expect.grammar.symbols[index].kind };
        missing.map(|index| expect.kind_name(kind(index)).to_owned()).collect()
    }

    fn evidence(&self, excerpt: Option<Excerpt>) -> Evidence {
        Evidence { marks: self.marks.iter().cloned().collect(), excerpts: excerpt.into_iter().collect() }
    }
}

fn own(out: &mut Judgement, role: IdRole, value: &str, user: UserNumber) {
    if role == IdRole::User {
        out.ledger.identities.entry(value.to_owned()).or_default().insert(user);
    } else {
        let key = Ledger::key(role, value);
        let owner = out.ledger.owners.entry(key).or_insert(user);
        *owner = user.min(*owner);
    }
}

fn any(matchers: &[Matcher], extract: &Extract<'_>, text: &str) -> bool {
    matchers.iter().any(|matcher| matcher.holds(extract, text))
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
fn around(at: Stamp, text: &str, hit: usize) -> Excerpt {
    if text.len() <= Excerpt::LIMIT {
        return Excerpt::new(at, "frame", text);
    }
    let from = text.floor_char_boundary(hit.saturating_sub(Excerpt::LIMIT / 2));
    let prefix = if from > 0 { "... " } else { "" };
    Excerpt::new(at, "frame", &format!("{prefix}{}", &text[from..]))
}
