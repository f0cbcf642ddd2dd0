//! One user at a door that must stay shut: connecting, asking or reading as somebody who must be refused, or as the control.
//!
//! What is heard there is no part of a run. Whose it is goes to the ledger as everywhere; whether it is a refusal is said here.

use std::collections::VecDeque;

use super::owner::{THREAD, own_asked};
use super::run::Place;
use super::{Bench, ConnectionState, Heard, Lane, Move};
use crate::check::concern::ConcernId;
use crate::check::doors::{Knock, Met};
use crate::event::Extract;
use crate::expect::{DoorRule, Expectations, IdRole, IdSource, Refusals, ScriptStep, Unique};
use crate::finding::{Deviation, Evidence, Excerpt};
use crate::identity::{Connection, Iteration, UserNumber};
use crate::probe::{Door, Probe};
use crate::time::{Micros, Stamp};
use crate::trace::{Content, Dial, Fact, Frame, NetFailure, Phase, StepOutcome};

/// How many excerpts of what came are kept as evidence.
const EXCERPTS_KEPT: usize = 3;

/// Somebody at a door.
#[derive(Debug)]
pub(super) struct AtDoor {
    probe: Probe,
    door: Door,
    control: bool,
    with: String,
    weak: bool,
    brought: Vec<String>,
    beside: Option<(UserNumber, Iteration)>,
    at: Stamp,
    stage: Stage,
    /// A wait of the script has ended with its frame.
    greeted: bool,
    met: Option<Met>,
    /// It got a run of its own under an id that it brought, or an answer that is none of another's, which is no harm unless
    /// something of another comes with it.
    served: bool,
    excerpts: VecDeque<Excerpt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Before the socket stands, or without one.
    Before,
    /// In the socket script.
    Script { step: usize, since: Stamp },
    /// Greeted; a refusal may follow on its heels.
    Greeted { since: Stamp },
    /// May ask.
    Ready,
    /// Has asked.
    Asked { since: Stamp },
    /// Nothing more is to be waited for.
    Over,
}

impl AtDoor {
    /// Being let in is seen in a run.
    fn asks(&self) -> bool {
        self.probe.asks() || !self.greeted
    }
}

impl Lane {
    /// What somebody at a door did or was answered; says whether that was all that is to be made of it.
    pub(super) fn door_fact(&mut self, bench: &mut Bench<'_>, fact: &Fact) -> bool {
        match fact {
            Fact::Knocked { probe, door, control, with, brought, weak, beside, at } => {
                self.settle_all(bench);
                self.door = Some(Box::new(AtDoor {
                    probe: *probe,
                    door: *door,
                    control: *control,
                    with: with.clone(),
                    weak: *weak,
                    brought: brought.clone(),
                    beside: *beside,
                    at: *at,
                    stage: Stage::Before,
                    greeted: false,
                    met: None,
                    served: false,
                    excerpts: VecDeque::new(),
                }));
                return true;
            }
            Fact::Spared { probe, why, .. } => {
                bench.out.doors.spared(*probe, why);
                return true;
            }
            Fact::Left { at } => {
                self.leave_door(bench, *at);
                return true;
            }
            _ if self.door.is_none() => return false,
            _ => {}
        }
        match fact {
            Fact::Dialed { connection, done, outcome, .. } => self.door_dialed(bench, *connection, *done, outcome),
            // More of it follows.
            Fact::Step { phase: Phase::Refresh, outcome: StepOutcome::Good { .. }, .. } => {}
            Fact::Step { done, outcome, .. } => self.door_answered(bench, *done, outcome),
            Fact::Marked { name, marks, at } => {
                self.searched(bench, *at, name, &marks.join(" "), true);
                self.met(bench, *at, Met::In(format!("the answer holds {}", marks_of(marks.len()))));
            }
            Fact::Asked { at, run, thread, .. } => self.door_asked(bench, *at, run.as_deref(), thread.as_deref()),
            Fact::Closed { .. } => {
                if let Some(connection) = &mut self.connection {
                    connection.ended = true;
                }
            }
            Fact::Captured { name, value, .. } => self.capture(bench, name, value),
            _ => return false,
        }
        true
    }

    fn leave_door(&mut self, bench: &mut Bench<'_>, at: Stamp) {
        let Some(door) = &self.door else { return };
        // Who was greeted and goes before a refusal could follow was let in. A control that did nothing itself stands for the
        // iteration beside it.
        if matches!(door.stage, Stage::Greeted { .. }) && door.met.is_none() {
            self.let_in(bench, at);
        }
        if let Some(door) = self.door.take()
            && (door.met.is_some() || door.control && door.stage == Stage::Before)
        {
            let AtDoor { probe, door, control, with, weak, beside, at, met, .. } = *door;
            bench.out.doors.knocked((probe, door), control, Knock { met, at, with, weak, beside });
        }
    }

    /// What to do next at a door.
    pub(super) fn door_move(&self, expect: &Expectations) -> Option<Move> {
        let door = self.door.as_ref()?;
        if let Some(reply) = self.connection.as_ref().filter(|c| !c.ended).and_then(|c| c.replies.front()) {
            return Some(Move::Reply(*reply));
        }
        Some(match door.stage {
            Stage::Script { step, .. } if matches!(expect.script.get(step), Some(ScriptStep::Send)) => {
                Move::Script(step)
            }
            Stage::Ready => Move::Ask(0),
            Stage::Over => match &door.met {
                // Somebody who got in stays a while: he must not disturb others.
                Some(met) if !door.control && (door.served || matches!(met, Met::In(_))) => Move::Linger { good: true },
                met => Move::Settled { good: matches!(met, Some(Met::In(_))) },
            },
            Stage::Before | Stage::Script { .. } | Stage::Greeted { .. } | Stage::Asked { .. } => Move::Listen,
        })
    }

    /// When silence at a door means something.
    pub(super) fn door_deadline(&self, expect: &Expectations) -> Option<Stamp> {
        let door = self.door.as_ref()?;
        let within = expect.claims.doors.as_ref().and_then(|doors| doors.rule(door.probe)?.within);
        match door.stage {
            Stage::Script { step, since } => match expect.script.get(step) {
                Some(ScriptStep::Wait { within: usual, .. }) => Some(since + within.unwrap_or(*usual)),
                _ => None,
            },
            Stage::Greeted { since } => Some(since + expect.timeouts.quiet),
            Stage::Asked { since } => Some(since + within.unwrap_or(expect.timeouts.first_event)),
            Stage::Before | Stage::Ready | Stage::Over => None,
        }
    }

    /// The deadline has passed.
    pub(super) fn door_pass(&mut self, bench: &mut Bench<'_>, now: Stamp) {
        let Some(door) = &mut self.door else { return };
        match door.stage {
            Stage::Script { step, since } => match bench.expect.script.get(step) {
                Some(ScriptStep::Wait { optional: true, .. }) => self.door_script(bench, step + 1, now),
                _ => self.silent(bench, now, now.since(since)),
            },
            Stage::Greeted { .. } => self.let_in(bench, now),
            Stage::Asked { since } => {
                // What came and did not say on which thread says nothing.
                match door.met.take() {
                    Some(met) => self.met(bench, now, met),
                    None => self.silent(bench, now, now.since(since)),
                }
            }
            Stage::Before | Stage::Ready | Stage::Over => {}
        }
    }

    fn silent(&mut self, bench: &mut Bench<'_>, now: Stamp, waited: Micros) {
        let by = format!("nothing came within {waited}");
        let met = if self.refusals(bench).silence { Met::Refused(by) } else { Met::Odd(by) };
        self.met(bench, now, met);
    }

    fn let_in(&mut self, bench: &mut Bench<'_>, now: Stamp) {
        self.met(bench, now, Met::In("it was greeted".to_owned()));
    }

    /// What counts as a refusal at this door.
    fn refusals(&self, bench: &Bench<'_>) -> Refusals {
        let probe = self.door.as_ref().map_or(Probe::NoToken, |door| door.probe);
        let rule = bench.expect.claims.doors.as_ref().and_then(|doors| doors.rule(probe));
        rule.map_or_else(|| Refusals::usual(probe), |rule: &DoorRule| rule.refusals.clone())
    }

    /// It is known what came of the knock.
    fn met(&mut self, bench: &mut Bench<'_>, at: Stamp, met: Met) {
        let Some(door) = &mut self.door else { return };
        if door.stage == Stage::Over && !(door.served && matches!(met, Met::In(_))) {
            return;
        }
        door.served &= door.stage != Stage::Over;
        door.stage = Stage::Over;
        door.met = Some(met.clone());
        if door.control {
            return;
        }
        let (probe, excerpts) = (door.probe, door.excerpts.iter().cloned().collect());
        let deviation = match met {
            Met::In(by) => Deviation::OpenDoor { probe, by },
            Met::Odd(by) => Deviation::OddRefusal { probe, by },
            Met::Refused(_) | Met::Unclear(_) => return,
        };
        self.report(bench, at, deviation, Evidence { marks: Vec::new(), excerpts });
    }

    fn excerpt(&mut self, at: Stamp, label: &str, text: &str) {
        if let Some(door) = self.door.as_mut().filter(|_| !text.is_empty()) {
            if door.excerpts.len() == EXCERPTS_KEPT {
                door.excerpts.pop_front();
            }
            door.excerpts.push_back(Excerpt::new(at, label, text));
        }
    }

    /// A text by which somebody was refused: it must tell nothing of others, and no secret.
    fn refusal_text(&mut self, bench: &mut Bench<'_>, at: Stamp, what: &str, text: &str) {
        self.excerpt(at, what, text);
        self.searched(bench, at, what, text, true);
        self.secrets(bench, at, what, text);
    }

    fn door_dialed(&mut self, bench: &mut Bench<'_>, number: Connection, done: Stamp, outcome: &Dial) {
        self.connection = Some(ConnectionState::new(number, done, outcome));
        let met = match outcome {
            Dial::Upgraded { .. } => return self.door_script(bench, 0, done),
            Dial::Refused { status, headers, body } => {
                let told = super::setup::telling_lines(headers);
                self.refusal_text(bench, done, &format!("HTTP {status} head"), &told);
                self.refusal_text(bench, done, &format!("HTTP {status} body"), body);
                self.by_status(bench, *status)
            }
            Dial::Invalid { why } => Met::Odd(format!("a handshake that is none: {why}")),
            Dial::Failed(failure) => self.by_failure(bench, failure),
        };
        self.met(bench, done, met);
    }

    fn by_status(&self, bench: &Bench<'_>, status: u16) -> Met {
        let refused = self.refusals(bench).status.iter().any(|range| range.contains(&status));
        let by = format!("HTTP {status}");
        if refused { Met::Refused(by) } else { Met::Odd(by) }
    }

    fn by_failure(&self, bench: &Bench<'_>, failure: &NetFailure) -> Met {
        match failure.hung && self.refusals(bench).silence {
            true => Met::Refused(format!("no answer ({failure})")),
            false => Met::Odd(failure.to_string()),
        }
    }

    fn door_answered(&mut self, bench: &mut Bench<'_>, done: Stamp, outcome: &StepOutcome) {
        let met = match outcome {
            StepOutcome::Good { status } => {
                let probe = self.door.as_ref().map(|door| door.probe);
                let got = if probe == Some(Probe::RefreshedTwice) { "a session" } else { "what the owner gets" };
                Met::In(format!("HTTP {status} with {got}"))
            }
            StepOutcome::Refused { status, body, .. } => {
                let what = format!("HTTP {status}");
                if *status >= 400 {
                    self.refusal_text(bench, done, &what, body);
                } else {
                    self.excerpt(done, &what, body);
                    self.searched(bench, done, &what, body, true);
                }
                match status {
                    200..=299 => {
                        // Marks in it are told next.
                        if let Some(door) = &mut self.door {
                            door.served = true;
                        }
                        Met::Refused(format!("HTTP {status} with nothing of it"))
                    }
                    status => self.by_status(bench, *status),
                }
            }
            StepOutcome::Failed(failure) => self.by_failure(bench, failure),
        };
        // An ask that was taken says nothing yet: its events will.
        let asked = matches!(self.door.as_ref().map(|door| door.stage), Some(Stage::Asked { .. }));
        if !(asked && matches!(met, Met::In(_))) {
            self.met(bench, done, met);
        }
    }

    fn door_script(&mut self, bench: &mut Bench<'_>, step: usize, at: Stamp) {
        let Some(door) = &mut self.door else { return };
        door.stage = match bench.expect.script.get(step) {
            Some(_) => Stage::Script { step, since: at },
            None if door.asks() => Stage::Ready,
            None if door.control => return self.let_in(bench, at),
            None => Stage::Greeted { since: at },
        };
    }

    fn door_asked(&mut self, bench: &mut Bench<'_>, at: Stamp, run: Option<&str>, thread: Option<&str>) {
        let Some(door) = &mut self.door else { return };
        door.stage = Stage::Asked { since: at };
        for rule in &bench.expect.ids {
            let value = match rule.role {
                IdRole::Run => run,
                IdRole::Thread => thread,
                IdRole::User | IdRole::Other => None,
            };
            let value = value.filter(|value| !door.brought.iter().any(|brought| brought == value));
            if let (Some(value), IdSource::Chosen, Unique::Target) = (value, &rule.source, rule.unique) {
                own_asked(bench.out, rule.role, value, self.user);
                if rule.role == IdRole::Thread {
                    self.captured.insert(THREAD.to_owned(), value.to_owned());
                }
            }
        }
        self.own_ids_change();
        if let Some(connection) = &mut self.connection {
            connection.asking = !bench.expect.asking.by_request;
        }
    }

    /// A frame that was sent at a door.
    pub(super) fn door_sent(&mut self, bench: &mut Bench<'_>, frame: &Frame<'_>) {
        let Some(connection) = &mut self.connection else { return };
        if std::mem::take(&mut connection.asking) || connection.replies.pop_front().is_some() {
            return;
        }
        if let Some(Stage::Script { step, .. }) = self.door.as_ref().map(|door| door.stage)
            && matches!(bench.expect.script.get(step), Some(ScriptStep::Send))
        {
            self.door_script(bench, step + 1, frame.at);
        }
    }

    /// An event that came at a door, or a text that is none.
    pub(super) fn door_event(
        &mut self,
        bench: &mut Bench<'_>,
        place: Place<'_, '_>,
        extract: &Extract<'_>,
        concern: ConcernId,
    ) {
        let Place { frame, text, .. } = place;
        let expect = bench.expect;
        self.excerpt(frame.at, "frame", text);
        let Some(door) = &mut self.door else { return };
        let name = || extract.name.as_deref().unwrap_or("a frame").to_owned();
        let known = &bench.concerns[concern];
        let symbol = known.symbol;
        let asked = matches!(door.stage, Stage::Asked { .. });
        let refused = known.refused.holds(extract, text)
            || asked && (known.ask_refused.holds(extract, text) || known.bad || known.bad_ends.holds(extract, text));
        if refused && door.stage != Stage::Over {
            let by = name();
            self.secrets(bench, frame.at, "frame", text);
            self.named(bench, frame.at, "frame", text, true);
            return self.met(bench, frame.at, Met::Refused(by));
        }
        if let Stage::Script { step, .. } = door.stage
            && let Some(ScriptStep::Wait { when, .. }) = expect.script.get(step)
            && when.holds(extract, text)
        {
            door.greeted = true;
            self.heard.push(Heard::Awaited(step));
            return self.door_script(bench, step + 1, frame.at);
        }
        if self.heartbeat(bench, frame.at, extract, text, concern) {
            return;
        }
        if asked && let (Some(_), Some(met)) = (symbol, self.by_event(bench, extract, &name())) {
            self.met(bench, frame.at, met);
        }
    }

    /// What an event of a run says of who asked for it; nothing yet if it does not say where it belongs.
    fn by_event(&mut self, bench: &Bench<'_>, extract: &Extract<'_>, name: &str) -> Option<Met> {
        let door = self.door.as_mut()?;
        let (role, what) = match door.probe {
            Probe::ForeignThread => (IdRole::Thread, "thread"),
            Probe::ForeignRun => (IdRole::Run, "run"),
            _ => return Some(Met::In(format!("{name} came"))),
        };
        let mut ids = bench.expect.ids.iter().filter(|rule| rule.role == role);
        let id = ids.find_map(|rule| Some((extract.first_text(&rule.at)?, rule.source == IdSource::Chosen)));
        match id {
            // Who chooses run ids himself may choose one that another has as well, if targets keep them apart.
            Some((id, true)) if role == IdRole::Run && door.brought.iter().any(|brought| *brought == *id) => {
                door.served = true;
                Some(Met::Refused(format!("{name} came, of a run of its own under that id")))
            }
            Some((id, _)) if door.brought.iter().any(|brought| *brought == *id) => {
                Some(Met::In(format!("{name} came, of the other user's {what}")))
            }
            Some(_) => Some(Met::Refused(format!("{name} came, of another {what} than was asked"))),
            None => {
                door.met.get_or_insert(Met::Unclear(format!("{name} came and names no {what}")));
                None
            }
        }
    }

    /// The connection at a door has ended.
    pub(super) fn door_ended(&mut self, bench: &mut Bench<'_>, at: Stamp, how: &Content<'_>) {
        if let Some(connection) = &mut self.connection {
            connection.ended = true;
        }
        let met = match how {
            Content::Close { code, reason } => {
                self.refusal_text(bench, at, "close reason", reason);
                let refused = self.refusals(bench).close.iter().any(|range| range.contains(code));
                let quoted = if reason.is_empty() { String::new() } else { format!(" \"{reason}\"") };
                let by = format!("closed {code}{quoted}");
                if refused { Met::Refused(by) } else { Met::Odd(by) }
            }
            Content::Lost { error } => Met::Odd(format!("the connection was lost ({error})")),
            Content::TooLarge { limit } => Met::Odd(format!("a frame of more than {limit} bytes")),
            Content::Violation { why } => Met::Odd(format!("a violation of the protocol: {why}")),
            Content::Text(_) | Content::Binary(_) | Content::Ping | Content::Pong => return,
        };
        self.met(bench, at, met);
    }

    /// Something of another user came to somebody who has a run of his own.
    pub(super) fn door_strange(&mut self, bench: &mut Bench<'_>, at: Stamp, owner: UserNumber) {
        if self.door.as_ref().is_some_and(|door| door.served && !door.control) {
            self.met(bench, at, Met::In(format!("the mark of user {owner} came with it")));
        }
    }

    /// It is no wonder that the user hears this id: he brought it himself.
    pub(super) fn brought(&self, value: &str) -> bool {
        self.door.as_ref().is_some_and(|door| door.brought.iter().any(|brought| brought == value))
    }
}

fn marks_of(count: usize) -> String {
    format!("{} of another user", crate::finding::counted(count as u64, "mark"))
}
