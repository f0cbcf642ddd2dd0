//! One run from the ask to its conclusion: its events, its silence, its ends, its answer.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::clock::Clock;
use super::owner::{THREAD, own_asked};
use super::{Bench, Lane, Stage};
use crate::check;
use crate::check::automaton::{Automaton, RunEvent};
use crate::check::concern::{Concern, ConcernId, Parts};
use crate::check::flight::{Flight, RUNS_KEPT};
use crate::check::ledger::Ledger;
use crate::check::{content, copies};
use crate::event::{Extract, Found, Kind, KindId, SlotId};
use crate::expect::{Expectations, IdRole, IdSource, Names, Role, Segment, Trie, Unique};
use crate::finding::{Deviation, Evidence, Excerpt, Finding, Mark, Subject};
use crate::identity::{Connection, Iteration};
use crate::rule::Severity;
use crate::time::{Micros, Stamp};
use crate::trace::{Content, Frame};

#[derive(Debug)]
pub(super) struct Run {
    pub(super) iteration: Iteration,
    pub(super) turn: u32,
    pub(super) connection: Connection,
    pub(super) asked: Stamp,
    /// It was asked for without waiting for the greeting, so long after the upgrade.
    pub(super) early: Option<Micros>,
    pub(super) prompt: String,
    pub(super) ids: Vec<String>,
    /// The target said what it calls the run.
    pub(super) named: bool,
    pub(super) automaton: Automaton,
    pub(super) progress: Option<(Stamp, Stamp)>,
    pub(super) silence: (Micros, Micros),
    /// When the first sign of progress arrived.
    pub(super) began: Option<(Stamp, Stamp)>,
    /// Events of the grammar.
    pub(super) events: u64,
    pub(super) marks: VecDeque<(Stamp, Label)>,
    pub(super) last_frame: Option<Label>,
    /// When the target said that the ask arrived.
    pub(super) acknowledged: Option<Stamp>,
    pub(super) answer: Option<String>,
    pub(super) answer_frame: Option<Box<Excerpt>>,
    pub(super) failed: Option<Box<(String, Excerpt)>>,
    /// The last events of each end that were not good ones, by symbol.
    pub(super) unwell: Vec<(usize, String, Excerpt)>,
    /// Of each end, by symbol, the last event if it did not say the success that is asked for; `None` if it did.
    pub(super) unsaid: Vec<(usize, Option<(String, Excerpt)>)>,
    /// What ended it as failed.
    pub(super) bad: Option<Box<(String, Evidence)>>,
    /// What completed it after it had failed.
    pub(super) completed: Option<String>,
    pub(super) degraded: Option<Box<(String, Excerpt)>>,
    /// A frame that tells nobody's id and came before one that must precede it.
    pub(super) misplaced: Option<u64>,
    /// Forbidden events that were reported.
    pub(super) forbidden: Vec<KindId>,
    /// Names that nothing mentions, the first few.
    pub(super) strangers: Vec<String>,
    /// It holds events that were delivered later than they happened.
    pub(super) replayed: bool,
    pub(super) clock: Clock,
    pub(super) clock_reported: bool,
    /// Frames that could not be read and have not explained anything yet.
    pub(super) unread: usize,
    pub(super) over: Option<Over>,
}

/// Runs that are over, whose room the next ones take.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "it is the boxes that are used again")]
pub struct Spare(Vec<Box<Run>>);

/// How many of them are kept at most.
const SPARE: usize = 16;

#[derive(Debug, Clone, Copy)]
pub(super) struct Over {
    pub(super) earliest: Stamp,
    pub(super) latest: Stamp,
    pub(super) good: bool,
    /// Its cause was reported; what is missing in consequence is not.
    pub(super) explained: bool,
}

/// What a mark says, with the names of the dialect by their ids: a label costs nothing until somebody reads it.
#[derive(Debug, Clone)]
pub(super) enum Label {
    Kind(KindId),
    Unnamed,
    Asked,
    Other(Box<str>),
}

impl Label {
    pub(super) fn of(extract: &Extract<'_>) -> Label {
        match (extract.kind, &extract.name) {
            (Kind::Known(kind), _) => Label::Kind(kind),
            (Kind::Unknown | Kind::Unnamed, Some(name)) => Label::Other((&**name).into()),
            (Kind::Unknown | Kind::Unnamed, None) => Label::Unnamed,
        }
    }

    pub(super) fn text(&self, names: &Names) -> String {
        match self {
            Label::Kind(kind) => names.get(*kind).to_owned(),
            Label::Unnamed => "a frame without a name".to_owned(),
            Label::Asked => "asked".to_owned(),
            Label::Other(text) => text.to_string(),
        }
    }
}

/// One event as it stands in a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'f, 'a> {
    pub frame: &'f Frame<'a>,
    /// The frame's text.
    pub text: &'f str,
    /// It stands in a batch whose order means nothing.
    pub unordered: bool,
    /// It is known to be its receiver's, by an id or a mark.
    pub mine: bool,
}

#[derive(Debug)]
pub(super) struct PastRun {
    pub(super) ids: Vec<String>,
    pub(super) iteration: Iteration,
    pub(super) connection: Connection,
    pub(super) over: Over,
}

/// How many marks of a run are kept as evidence.
const MARKS_KEPT: usize = 16;
/// How many names that nothing mentions are kept of a run.
const STRANGERS_KEPT: usize = 3;
/// A run whose events all come within `BURST` after silence of at least `SILENCE` was held back: no agent thinks for that long
/// and then calls a model and its tools in a tenth of a second.
const BURST: Micros = Micros(100_000);
/// See `BURST`.
const SILENCE: Micros = Micros(2_000_000);
/// How many events make a burst at least.
const BURST_EVENTS: u64 = 3;
/// How many concluded runs of a user are remembered.
const PAST_KEPT: usize = 16;

impl Lane {
    pub(super) fn asked(
        &mut self,
        bench: &mut Bench<'_>,
        turn: u32,
        at: Stamp,
        run: Option<&str>,
        thread: Option<&str>,
        prompt: &str,
    ) {
        for rule in &bench.expect.ids {
            let value = match rule.role {
                IdRole::Run => run,
                IdRole::Thread => thread,
                IdRole::User | IdRole::Other => None,
            };
            if let (Some(value), IdSource::Chosen, Unique::Target) = (value, &rule.source, rule.unique) {
                own_asked(bench.out, rule.role, value, self.user);
            }
        }
        match (thread, self.captured.get_mut(THREAD)) {
            (Some(thread), Some(known)) => thread.clone_into(known),
            (Some(thread), None) => drop(self.captured.insert(THREAD.to_owned(), thread.to_owned())),
            (None, _) => {}
        }
        self.own_ids_change();
        let early = self.asked_early(bench, at);
        let Some(connection) = &mut self.connection else { return };
        let Some(iteration) = self.iterations.back_mut() else { return };
        connection.asking = !bench.expect.asking.by_request;
        iteration.first_asked.get_or_insert(at);
        let mut spare = bench.spare.0.pop();
        let (mut room, marks, automaton) = match &mut spare {
            None => (String::new(), VecDeque::with_capacity(MARKS_KEPT), Automaton::new()),
            Some(run) => {
                let (mut marks, automaton) = (std::mem::take(&mut run.marks), std::mem::take(&mut run.automaton));
                marks.clear();
                (std::mem::take(&mut run.prompt), marks, automaton.again())
            }
        };
        prompt.clone_into(&mut room);
        let mut asked = Run {
            iteration: iteration.iteration,
            turn,
            connection: connection.number,
            asked: at,
            early,
            prompt: room,
            ids: run.into_iter().map(str::to_owned).collect(),
            named: false,
            automaton,
            progress: None,
            silence: (Micros::ZERO, Micros::ZERO),
            began: None,
            events: 0,
            marks,
            last_frame: None,
            acknowledged: None,
            answer: None,
            answer_frame: None,
            failed: None,
            unsaid: Vec::new(),
            unwell: Vec::new(),
            bad: None,
            completed: None,
            degraded: None,
            misplaced: None,
            forbidden: Vec::new(),
            strangers: Vec::new(),
            replayed: false,
            clock: Clock::default(),
            clock_reported: false,
            unread: 0,
            over: None,
        };
        asked.mark(at, Label::Asked);
        self.run = Some(match spare {
            None => Box::new(asked),
            Some(mut spare) => {
                *spare = asked;
                spare
            }
        });
        self.stage = Stage::Running;
    }

    pub(super) fn event(
        &mut self,
        bench: &mut Bench<'_>,
        place: Place<'_, '_>,
        extract: &Extract<'_>,
        concern: ConcernId,
    ) {
        let expect = bench.expect;
        let Place { frame, text, unordered, mine } = place;
        let kind = match extract.kind {
            Kind::Known(kind) => Some(kind),
            Kind::Unknown | Kind::Unnamed => None,
        };
        let Concern { symbol, forbidden, bad, parts, .. } = bench.concerns[concern];
        if symbol.is_some() {
            bench.out.counts.events += 1;
            bench.concerns.note(concern);
        }
        let ids = bench.concerns[concern].ids.iter().map(|(index, slot)| (&expect.ids[*index], slot));
        let mut ids = ids.filter(|(rule, slot)| rule.role == IdRole::Run && extract.at(**slot).is_spelled());
        let mut room = String::new();
        let run_id = match ids.next() {
            None => None,
            Some((rule, slot)) if rule.unique != Unique::User => extract.at(*slot).text_in(&mut room),
            // Numbers that repeat tell apart the runs of one connection and no others.
            Some((_, slot)) => {
                let id = extract.at(*slot).as_text().unwrap_or_default();
                room = format!("{id} on connection {}", frame.connection);
                Some(&*room)
            }
        };
        let replayed = bench.concerns[concern].replayed.holds(extract, text);
        let bad = bad || bench.concerns[concern].bad_ends.holds(extract, text);
        if bad {
            self.error_told(bench, frame.at, text, mine);
        }
        let unmarked =
            (!mine && symbol.is_some() && !replayed && !self.came.foreign() && expect.claims.isolation.is_some())
                .then(|| copies::hash(text));
        let Some(mut run) = self.take_run(run_id) else {
            if let Some(hash) = unmarked {
                self.received(bench, place, extract, hash, None);
            }
            // A bad end that names no run may be about anything else that the connection is used for.
            let named = |run: &PastRun| run.ids.iter().any(|known| Some(&**known) == run_id);
            if symbol.is_some() || (bad && self.past.iter().any(named)) {
                self.runless(bench, place, extract, (run_id, unmarked), replayed);
            }
            return;
        };
        if mine && symbol.is_some() && !std::mem::replace(&mut self.recognised, true) {
            bench.out.recognised.insert(self.user);
        }
        if self.came.by_id && symbol.is_some() && !std::mem::replace(&mut self.told_apart, true) {
            bench.out.unmarked.told_apart(self.user);
        }
        let was_over = run.over;
        let bounds = (frame.not_before.max(run.asked), frame.at);
        let excerpt = || Excerpt::new(frame.at, "frame", text);
        let label = || Label::of(extract).text(&expect.dialect.names);
        run.last_frame = Some(Label::of(extract));
        run.mark(frame.at, Label::of(extract));
        run.note(extract, symbol.is_some(), replayed);
        if symbol.is_some() && !run.automaton.begun() {
            let since = |at: Stamp| at.since(run.asked);
            self.record(bench, Segment::FirstEvent, since(bounds.0), since(bounds.1));
        }
        if was_over.is_none() {
            run.progressed(bounds);
        }
        if run.failed.is_none() && bench.concerns[concern].failed.holds(extract, text) {
            run.failed = Some(Box::new((label(), excerpt())));
        }
        if run.degraded.is_none() && bench.concerns[concern].degraded.holds(extract, text) {
            run.degraded = Some(Box::new((label(), excerpt())));
        }
        let mut sources = bench.concerns[concern].answers.iter();
        if let Some((index, _)) = sources.find(|(_, when)| when.holds(extract, text))
            && let source = &expect.answers[*index]
            && let Some(answer) = said(&expect.dialect.trie, extract, &source.at)
        {
            match (&mut run.answer, answer) {
                (Some(whole), answer) if source.append => whole.push_str(&answer),
                // The room of the last one serves this one.
                (Some(whole), Cow::Borrowed(answer)) => answer.clone_into(whole),
                (whole, answer) => *whole = Some(answer.into_owned()),
            }
            // An answer that says something is evidence itself.
            let says_nothing = run.answer.as_ref().is_none_or(|answer| answer.trim().is_empty());
            run.answer_frame = says_nothing.then(|| Box::new(excerpt()));
        }
        if let Some(kind) = kind
            && forbidden
            && !run.forbidden.contains(&kind)
        {
            run.forbidden.push(kind);
            let evidence = run.evidence(&expect.dialect.names, Some(excerpt()));
            self.report_for(bench, &run, frame.at, Deviation::ForbiddenEvent { event: label() }, evidence);
        }
        let mut harmless = false;
        let mut ended = None;
        if let Some(symbol) = symbol {
            let mut rooms: [String; 4] = Default::default();
            let [room1, room2, room3, room4] = &mut rooms;
            let Parts { agent, tool, call, event_id, time } = parts;
            let tool = tool.and_then(|slot| extract.at(slot).text_in(room1));
            let event = RunEvent {
                symbol,
                envelope: extract.envelope,
                agent: agent.and_then(|slot| extract.at(slot).text_in(room2)),
                tool,
                call: call.and_then(|slot| extract.at(slot).text_in(room3)),
                event_id: event_id.and_then(|slot| extract.at(slot).text_in(room4)),
                arrived: bounds,
                unordered,
                replayed,
            };
            let names = |index: usize| expect.symbol_name(index);
            let step = match was_over {
                None => run.automaton.event(&expect.grammar, &names, &event),
                Some(_) => run.automaton.late(&expect.grammar, &names, &event),
            };
            harmless = step.repeated || step.echo;
            let misplaced =
                matches!(step.deviation.as_deref(), Some(Deviation::DuplicateEvent { .. })) || was_over.is_some();
            let own = !(misplaced && !step.echo || step.early);
            self.came.placed |= own;
            if let Some(hash) = unmarked {
                self.received(bench, place, extract, hash, own.then_some((run.iteration, run.turn)));
            }
            if step.early {
                run.misplaced = unmarked;
            }
            if let Some((earliest, latest)) = step.tool_called {
                self.record(bench, Segment::Tool, bounds.0.since(latest), bounds.1.since(earliest));
            }
            // What could not be read explains one thing that seems out of order, or is lacking in the end.
            if let Some(Deviation::OutOfOrder { .. }) = step.deviation.as_deref()
                && run.unread > 0
            {
                run.unread -= 1;
            } else if let Some(deviation) = step.deviation.map(|deviation| *deviation) {
                let about = match deviation {
                    Deviation::OutOfOrder { .. } => run.misplaced.take(),
                    Deviation::DuplicateEvent { .. } => unmarked,
                    _ => None,
                };
                let evidence = run.evidence(&expect.dialect.names, Some(excerpt()));
                let (at, subject) = (frame.at, self.subject_of(&run));
                self.add_about(bench, about, Finding { at, subject, deviation, evidence });
            }
            let role = expect.grammar.symbols[symbol].role;
            if was_over.is_some() && role == Role::End && run.bad.is_some() {
                run.completed.get_or_insert_with(label);
            }
            if !step.repeated {
                let tool_result = role == Role::Result && expect.grammar.symbols[symbol].pair == 0;
                if tool_result && bench.concerns[concern].failed_tool.holds(extract, text) {
                    let deviation = Deviation::FailedTool { tool: tool.map(str::to_owned) };
                    let evidence = run.evidence(&expect.dialect.names, Some(excerpt()));
                    self.report_for(bench, &run, frame.at, deviation, evidence);
                }
                if !replayed
                    && !unordered
                    && let Some(time) = time
                    && let Some(by) = run.clock.backwards(extract.at(time))
                    && !std::mem::replace(&mut run.clock_reported, true)
                {
                    let evidence = run.evidence(&expect.dialect.names, Some(excerpt()));
                    let deviation = Deviation::ClockBackwards { event: label(), by };
                    self.report_for(bench, &run, frame.at, deviation, evidence);
                }
            }
            if replayed {
                let evidence = run.evidence(&expect.dialect.names, Some(excerpt()));
                self.report_for(bench, &run, frame.at, Deviation::ReplayedEvent { event: label() }, evidence);
            }
            if expect.grammar.symbols[symbol].role == Role::End && was_over.is_none() {
                // Of several ends that must come each must be good, whichever comes last.
                run.unwell.retain(|(end, ..)| *end != symbol);
                if !expect.ends.good.is_empty() && !bench.concerns[concern].good_ends.holds(extract, text) {
                    run.unwell.push((symbol, label(), excerpt()));
                }
                let rules = expect.answer_rules(self.persona, run.turn as usize);
                if let Some(success) = rules.and_then(|rules| rules.success.as_ref()) {
                    let unsaid = (!success.holds(extract, text)).then(|| (label(), excerpt()));
                    run.unsaid.retain(|(end, _)| *end != symbol);
                    run.unsaid.push((symbol, unsaid));
                }
            }
            if step.over {
                ended = Some(run.unwell.is_empty());
            }
        }
        if let Some(over) = was_over {
            if (symbol.is_some() && !harmless || bad && !replayed) && !over.explained {
                let deviation = Deviation::LateEvent { event: label(), after: frame.at.since(over.latest) };
                let evidence = run.evidence(&expect.dialect.names, Some(excerpt()));
                let (at, subject) = (frame.at, self.subject_of(&run));
                self.add_about(bench, unmarked, Finding { at, subject, deviation, evidence });
            }
            self.lingering.push(run);
            return;
        }
        let over = |good, explained| Over { earliest: bounds.0, latest: bounds.1, good, explained };
        if bad {
            // Reported when the run is concluded: what comes after it belongs to it.
            run.bad = Some(Box::new((label(), run.evidence(&expect.dialect.names, Some(excerpt())))));
            self.run = Some(run);
            return self.end_run(bench, over(false, true));
        }
        if let Some(good) = ended {
            if !good && run.failed.is_none() {
                run.failed = run.unwell.pop().map(|(_, event, excerpt)| Box::new((event, excerpt)));
            }
            let good = good && run.failed.is_none();
            self.run = Some(run);
            return self.end_run(bench, over(good, false));
        }
        self.run = Some(run);
    }

    /// The run that an event belongs to: by its id if it names a known one, else the one in flight, else the last that may
    /// still get late frames. An id nobody knows belongs to the run in flight, for targets make ids of their own.
    fn take_run(&mut self, id: Option<&str>) -> Option<Box<Run>> {
        if let Some(id) = id {
            let known = |run: &Run| run.ids.iter().any(|known| known == id);
            if self.run.as_deref().is_some_and(known) {
                return self.run.take();
            }
            if let Some(index) = self.lingering.iter().position(|run| known(run)) {
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
        Place { frame, text, .. }: Place<'_, '_>,
        extract: &Extract<'_>,
        (run_id, unmarked): (Option<&str>, Option<u64>),
        replayed: bool,
    ) {
        let Some(connection) = &mut self.connection else { return };
        let event = Label::of(extract).text(&bench.expect.dialect.names);
        let number = connection.number;
        let past = match run_id {
            Some(id) => self.past.iter().rev().find(|run| run.ids.iter().any(|known| known == id)),
            None => self.past.iter().rev().find(|run| run.connection == number),
        };
        let excerpt = Excerpt::new(frame.at, "frame", text);
        let evidence = Evidence { marks: Vec::new(), excerpts: vec![excerpt] };
        let mut subject = Subject { user: Some(self.user), connection: Some(number), ..Subject::default() };
        let deviation = match past {
            _ if replayed => Deviation::ReplayedEvent { event },
            Some(PastRun { over: Over { explained: true, .. }, .. }) => return,
            Some(run) => {
                (subject.iteration, subject.run) = (Some(run.iteration), run.ids.first().cloned());
                Deviation::LateEvent { event, after: frame.at.since(run.over.latest) }
            }
            None => {
                let run_id = run_id.map(str::to_owned);
                if !connection.reported_unasked.insert(run_id.clone().unwrap_or_default()) {
                    return;
                }
                (subject.iteration, subject.run) = (self.iterations.back().map(|known| known.iteration), run_id);
                Deviation::UnaskedRun { event }
            }
        };
        self.add_about(bench, unmarked, Finding { at: frame.at, subject, deviation, evidence });
    }

    /// Counts a frame that tells nobody's id: who else gets the same shows whose it is. `run`: where it had a place.
    fn received(
        &self,
        bench: &mut Bench<'_>,
        Place { frame, text, .. }: Place<'_, '_>,
        extract: &Extract<'_>,
        hash: u64,
        run: Option<(Iteration, u32)>,
    ) {
        let expect = bench.expect;
        let event_id = extract.first_text(&expect.dialect.fields.event_id);
        let copy = copies::Copy { hash, at: frame.at, text, event_id: event_id.as_deref(), run };
        let event = || Label::of(extract).text(&expect.dialect.names);
        bench.alarms.extend(bench.out.unmarked.add(copy, || self.subject(), event, self.user));
    }

    /// The run in flight is over; the next turn may follow.
    pub(super) fn end_run(&mut self, bench: &mut Bench<'_>, over: Over) {
        let Some(mut run) = self.run.take() else { return };
        run.over = Some(over);
        self.last_answer.clone_from(&run.answer);
        if self.is_apart() {
            bench.out.doors.ran(self.user, run.iteration, (run.asked, over.latest), over.good);
        }
        let flights = bench.out.flights.entry(self.user).or_default();
        if flights.len() < RUNS_KEPT {
            flights.push(run.flight(bench.expect, over.latest));
        }
        let names = &bench.expect.dialect.names;
        if run.iteration.0 > bench.expect.warm_up {
            bench.out.course.passed(self.user, || check::PassedRun {
                asked: run.asked,
                over: over.latest,
                iteration: run.iteration,
                marks: run.evidence(names, None).marks,
            });
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
                && bench.expect.open.is_some()
                && let Some(iteration) = self.iterations.back()
            {
                let (earliest, latest) = since(iteration.scheduled);
                self.record(bench, Segment::Response, earliest, latest);
            }
            if last
                && bench.expect.fresh_sessions
                && let Some(iteration) = self.iterations.back()
                && let (Some((login, _)), Some(greeted), Some(asked)) =
                    (iteration.login, iteration.greeted, iteration.first_asked)
            {
                let (earliest, latest) = since(asked);
                let setup = greeted.since(login);
                self.record(bench, Segment::GoldenPath, setup + earliest, setup + latest);
            }
        }
        self.lingering.push(run);
        if bench.expect.timeouts.quiet == Micros::ZERO {
            self.advance(bench, over.latest);
        }
    }

    /// What only the whole run shows.
    pub(super) fn conclude_run(&mut self, bench: &mut Bench<'_>, mut run: Box<Run>) {
        let expect = bench.expect;
        let Some(over) = run.over else { return };
        let judged = run.iteration.0 > expect.warm_up;
        bench.out.counts.runs += u64::from(judged);
        let names = &expect.dialect.names;
        if let Some((event, evidence)) = run.bad.as_deref().cloned() {
            let deviation = Deviation::FailedRun { event, completed: run.completed.clone() };
            self.report_for(bench, &run, over.latest, deviation, evidence);
        }
        if !over.explained {
            if let Some((event, excerpt)) = run.failed.as_deref() {
                let deviation = Deviation::FailureInside { event: event.clone() };
                let evidence = run.evidence(names, Some(excerpt.clone()));
                self.report_for(bench, &run, over.latest, deviation, evidence);
            } else {
                self.conclude_good_run(bench, &run, over);
            }
            bench.out.counts.runs_good += u64::from(judged && over.good);
        }
        if self.past.len() == PAST_KEPT {
            self.past.pop_front();
            self.own_ids_change();
        }
        let (ids, iteration, connection) = (std::mem::take(&mut run.ids), run.iteration, run.connection);
        self.past.push_back(PastRun { ids, iteration, connection, over });
        if bench.spare.0.len() < SPARE {
            bench.spare.0.push(run);
        }
        self.tally(bench);
    }

    /// What is wrong with a run that ended, and not as failed.
    fn conclude_good_run(&mut self, bench: &mut Bench<'_>, run: &Run, over: Over) {
        let expect = bench.expect;
        let names = &expect.dialect.names;
        if let Some((event, excerpt)) = run.degraded.as_deref() {
            let deviation = Deviation::DegradedRun { event: event.clone(), unanswered: false };
            self.report_for(bench, run, over.latest, deviation, run.evidence(names, Some(excerpt.clone())));
        }
        let deviations = run.automaton.conclude(&expect.grammar, &|index| expect.symbol_name(index));
        let mut unread = run.unread;
        for mut deviation in deviations {
            // Each frame that could not be read explains one event.
            let events = if let Deviation::MissingEvent { names, .. } = &deviation { names.len() } else { 1 };
            if let Some(rest) = unread.checked_sub(events) {
                unread = rest;
                continue;
            }
            if let Deviation::MissingEvent { instead, .. } = &mut deviation {
                if run.degraded.is_some() {
                    // A fallback answered; that the agent's events are lacking is its consequence.
                    continue;
                }
                instead.clone_from(&run.strangers);
            }
            self.report_for(bench, run, over.latest, deviation, run.evidence(names, None));
        }
        if let Some((first, _)) = run.began {
            let (silent, within) = (first.since(run.asked), over.latest.since(first));
            if silent >= SILENCE && within <= BURST && run.events >= BURST_EVENTS && !run.replayed {
                let deviation = Deviation::BurstAtEnd { silent, events: run.events, within };
                self.report_for(bench, run, over.latest, deviation, run.evidence(names, None));
            }
        }
        self.judge_answer(bench, run, over);
    }

    fn judge_answer(&mut self, bench: &mut Bench<'_>, run: &Run, over: Over) {
        let rules = bench.expect.answer_rules(self.persona, run.turn as usize);
        // One end that says it suffices.
        let said = run.unsaid.iter().any(|(_, unsaid)| unsaid.is_none());
        let unsaid = run.unsaid.last().filter(|_| !said).and_then(|(_, unsaid)| unsaid.as_ref());
        let read = !bench.expect.answers.is_empty();
        // An answer that warms up is no sample of those that must differ, nor of those that are good.
        if run.iteration.0 <= bench.expect.warm_up {
            return;
        }
        if !read && unsaid.is_none() {
            return;
        }
        bench.out.counts.answers += 1;
        let mut deviations =
            if read { content::judge(rules, run.answer.as_deref(), &run.prompt, self.mark) } else { Vec::new() };
        deviations.extend(unsaid.map(|(event, _)| Deviation::SuccessNotSaid { event: event.clone() }));
        // What is no good answer is not compared with others: one cause, one finding.
        if let Some(answer) = &run.answer
            && deviations.is_empty()
            && rules.is_some_and(|rules| rules.distinct)
        {
            let (subject, excerpt) = (self.subject_of(run), Excerpt::new(over.latest, "answer", answer));
            bench.out.same_answers.add(content::key(answer), content::key(&run.prompt), subject, excerpt);
        }
        let exceptions = &bench.expect.claims.exceptions;
        let fails = |deviation: &Deviation| {
            exceptions.severity(deviation.rule()) == Some(Severity::Failure) && exceptions.known(deviation).is_none()
        };
        bench.out.counts.answers_good += u64::from(!deviations.iter().any(fails));
        for deviation in deviations {
            let excerpt = match &run.answer {
                _ if matches!(deviation, Deviation::SuccessNotSaid { .. }) => {
                    unsaid.map(|(_, excerpt)| excerpt.clone())
                }
                Some(answer) if !answer.trim().is_empty() => Some(Excerpt::new(over.latest, "answer", answer)),
                _ => run.answer_frame.as_deref().cloned(),
            };
            let evidence = run.evidence(&bench.expect.dialect.names, excerpt);
            self.report_for(bench, run, over.latest, deviation, evidence);
        }
    }

    /// Late frames can no longer come: every run is concluded.
    pub(super) fn settle_all(&mut self, bench: &mut Bench<'_>) {
        for run in std::mem::take(&mut self.lingering) {
            self.conclude_run(bench, run);
        }
    }

    pub(super) fn interrupt(&mut self, bench: &mut Bench<'_>) {
        if matches!(self.stage, Stage::Over { .. }) && self.run.is_none() {
            return;
        }
        self.forget_run();
        self.stage = Stage::Over { good: false };
        if let Some(iteration) = self.iterations.back_mut() {
            iteration.interrupted = true;
        }
        self.settle_all(bench);
    }

    pub(super) fn connection_ended(&mut self, bench: &mut Bench<'_>, at: Stamp, how: &Content<'_>) {
        let Some(connection) = &mut self.connection else { return };
        if std::mem::replace(&mut connection.ended, true) {
            return;
        }
        match how {
            Content::Close { code, .. } => bench.out.course.ended(format!("closed {code}")),
            Content::Lost { .. } => bench.out.course.ended("lost".to_owned()),
            _ => {}
        }
        if let (Some(run), Content::Close { code, .. }) = (&mut self.run, how) {
            run.mark(at, Label::Other(format!("closed {code}").into()));
        }
        let missing = self.run.as_ref().map(|run| run.missing(bench.expect)).unwrap_or_default();
        // The run that was asked for too early has not begun; the connection was still being set up.
        let begun = self.run.as_ref().is_some_and(|run| run.automaton.begun());
        let early = connection.outstanding.take().is_some() && !begun && matches!(self.stage, Stage::Running);
        let in_script = early || matches!(self.stage, Stage::Script { .. });
        let deviation = match how {
            Content::TooLarge { limit } => Deviation::FrameTooLarge { limit: *limit },
            Content::Violation { why } => Deviation::ProtocolViolation { why: why.to_string() },
            Content::Close { code, reason } if in_script => {
                let reason = if reason.is_empty() { String::new() } else { format!(" \"{reason}\"") };
                Deviation::GreetingRefused { by: format!("close {code}{reason}") }
            }
            Content::Close { code, reason } if says_expired(reason) => {
                Deviation::TokenExpired { code: *code, reason: reason.to_string(), missing }
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
            Stage::Script { .. } | Stage::Running if in_script => {
                self.forget_run();
                bench.out.counts.connections_failed += 1;
                self.fail_setup(bench, at, deviation, Evidence::default());
            }
            Stage::Running => {
                bench.out.counts.connections_failed += 1;
                let evidence = self.run_evidence(bench, None);
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
            Stage::Over { .. } | Stage::SetUp | Stage::Script { .. } => {}
        }
        self.settle_all(bench);
    }
}

/// The answer at the first of `places` that says something; the first that is there, where none does. What says nothing is
/// not replaced by the object it stands in, of which some other member would be taken for the answer.
fn said<'e>(trie: &Trie, extract: &'e Extract<'_>, places: &[SlotId]) -> Option<Cow<'e, str>> {
    let says = |slot: &SlotId| match extract.at(*slot) {
        Found::Text(text) => !text.trim().is_empty(),
        Found::Composite { empty, .. } => !empty,
        found => found.exists(),
    };
    let first = *places.iter().find(|slot| extract.at(**slot).exists())?;
    let around = |slot: &SlotId| {
        let within = trie.pointer_of(first).zip(trie.pointer_of(*slot));
        within.is_some_and(|(inner, outer)| inner.starts_with(&format!("{outer}/")))
    };
    let chosen = if says(&first) { None } else { places.iter().find(|slot| says(slot) && !around(slot)) };
    extract.at(*chosen.unwrap_or(&first)).as_text()
}

/// Whether the reason of a close speaks of an expired token. There is no close code for it that targets agree on.
fn says_expired(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    reason.contains("expired") && ["token", "jwt", "credential", "auth"].iter().any(|what| reason.contains(what))
}

impl Run {
    pub(super) fn deadline(&self, expect: &Expectations) -> Stamp {
        let timeouts = &expect.timeouts;
        let silence = match self.progress {
            Some((_, latest)) if self.automaton.begun() => latest + timeouts.stall,
            _ => self.asked + timeouts.first_event,
        };
        silence.min(self.asked + timeouts.run)
    }

    /// What others must know of it, once it was over.
    fn flight(&self, expect: &Expectations, over: Stamp) -> Flight {
        let run = self.ids.first().map(|id| Ledger::key(IdRole::Run, id));
        let lacks = self.automaton.missing(&expect.grammar).into_iter().collect();
        let came = self.automaton.came().collect();
        Flight { asked: self.asked, over, iteration: self.iteration, run, came, lacks }
    }

    fn progressed(&mut self, (earliest, latest): (Stamp, Stamp)) {
        if let Some((before_earliest, before_latest)) = self.progress {
            let gap = (earliest.since(before_latest), latest.since(before_earliest));
            self.silence = (self.silence.0.max(gap.0), self.silence.1.max(gap.1));
        }
        self.began.get_or_insert((earliest, latest));
        self.progress = Some((earliest, latest));
    }

    fn mark(&mut self, at: Stamp, label: Label) {
        if self.marks.len() == MARKS_KEPT {
            self.marks.pop_front();
        }
        self.marks.push_back((at, label));
    }

    /// Takes note of what is counted of every frame of the run.
    fn note(&mut self, extract: &Extract<'_>, spoken: bool, replayed: bool) {
        self.events += u64::from(spoken);
        self.replayed |= replayed;
        if let (Kind::Unknown, Some(name)) = (extract.kind, &extract.name)
            && self.strangers.len() < STRANGERS_KEPT
            && !self.strangers.iter().any(|known| *known == **name)
        {
            self.strangers.push(name.to_string());
        }
    }

    pub(super) fn last_label(&self, names: &Names) -> String {
        self.marks.back().map(|(_, label)| label.text(names)).unwrap_or_default()
    }

    /// What had to come and did not: events of the grammar or, if each of them came, ends of agents.
    pub(super) fn missing(&self, expect: &Expectations) -> Vec<String> {
        let missing = self.automaton.missing(&expect.grammar);
        if missing.is_empty() {
            let end = |agent: Option<&str>| format!("the end of {}", agent.unwrap_or("an agent without a name"));
            return self.automaton.at_work().map(end).collect();
        }
        missing.into_iter().map(|index| expect.symbol_name(index)).collect()
    }

    pub(super) fn evidence(&self, names: &Names, excerpt: Option<Excerpt>) -> Evidence {
        let marks = self.marks.iter().map(|(at, label)| Mark { at: *at, label: label.text(names) });
        Evidence { marks: marks.collect(), excerpts: excerpt.into_iter().collect() }
    }
}
