//! One run from the ask to its conclusion: its events, its silence, its ends, its answer.

use std::collections::VecDeque;

use super::owner::{THREAD, own};
use super::{Bench, Lane, Stage, any};
use crate::check::automaton::{Automaton, RunEvent};
use crate::check::content;
use crate::check::judgement::RUNS_KEPT;
use crate::event::{Extract, Kind, KindId};
use crate::expect::{Expectations, IdRole, IdSource, Segment, Unique};
use crate::finding::{Deviation, Evidence, Excerpt, Finding, Mark, Subject};
use crate::identity::{Connection, Iteration};
use crate::time::{Micros, Stamp};
use crate::trace::{Content, Frame};

#[derive(Debug)]
pub(super) struct Run {
    pub(super) iteration: Iteration,
    pub(super) turn: u32,
    pub(super) connection: Connection,
    pub(super) asked: Stamp,
    pub(super) ids: Vec<String>,
    pub(super) automaton: Automaton,
    pub(super) progress: Option<(Stamp, Stamp)>,
    pub(super) silence: (Micros, Micros),
    pub(super) marks: VecDeque<Mark>,
    pub(super) last_frame: Option<String>,
    pub(super) answer: Option<String>,
    pub(super) answer_frame: Option<Excerpt>,
    pub(super) failed: Option<(String, Excerpt)>,
    /// Frames that could not be read and have not explained anything yet.
    pub(super) unread: usize,
    pub(super) over: Option<Over>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Over {
    pub(super) earliest: Stamp,
    pub(super) latest: Stamp,
    pub(super) good: bool,
    /// Its cause was reported; what is missing in consequence is not.
    pub(super) explained: bool,
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
    ) {
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

    pub(super) fn event(&mut self, bench: &mut Bench<'_>, frame: &Frame<'_>, extract: &Extract<'_>, text: &str) {
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

    /// The run in flight is over; the next turn may follow.
    pub(super) fn end_run(&mut self, bench: &mut Bench<'_>, over: Over) {
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
    pub(super) fn conclude_run(&mut self, bench: &mut Bench<'_>, run: Run) {
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
        self.run = None;
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

    pub(super) fn last_label(&self) -> String {
        self.marks.back().map(|mark| mark.label.clone()).unwrap_or_default()
    }

    pub(super) fn missing(&self, expect: &Expectations) -> Vec<String> {
        let missing = self.automaton.missing(&expect.grammar).into_iter();
        let kind = |index: usize| -> KindId { expect.grammar.symbols[index].kind };
        missing.map(|index| expect.kind_name(kind(index)).to_owned()).collect()
    }

    pub(super) fn evidence(&self, excerpt: Option<Excerpt>) -> Evidence {
        Evidence { marks: self.marks.iter().cloned().collect(), excerpts: excerpt.into_iter().collect() }
    }
}
