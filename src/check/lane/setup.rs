//! From the beginning of an iteration to the first ask: steps, upgrade, socket script, and who refused what.

use super::owner::{own, own_asked};
use super::run::Over;
use super::{Bench, ConnectionState, Heard, IterationState, Lane, Outstanding, Stage};
use crate::check::concern::ConcernId;
use crate::check::judgement::NAMES_KEPT;
use crate::check::ledger::EMAIL;
use crate::event::Extract;
use crate::expect::{IdRole, IdSource, ScriptStep, Segment, Unique};
use crate::finding::{Deviation, Evidence, Excerpt};
use crate::identity::{Connection, Iteration};
use crate::time::{Micros, Stamp};
use crate::trace::{Dial, Frame, NetFailure, Phase, StepOutcome};

impl Lane {
    pub(super) fn begin(
        &mut self,
        bench: &mut Bench<'_>,
        iteration: Iteration,
        (scheduled, began): (Stamp, Stamp),
        fresh: bool,
        apart: bool,
    ) {
        let counts = &mut bench.out.counts;
        counts.users += u64::from(!std::mem::replace(&mut self.began, true));
        counts.setups += u64::from(fresh && !apart);
        if bench.expect.open.is_some() && !apart {
            counts.arrivals += 1;
            bench.out.instrument.began(began.since(scheduled));
        }
        self.stage = if fresh { Stage::SetUp } else { Stage::Ready { turn: 0 } };
        if fresh {
            self.connection = None;
        }
        self.iterations.push_back(IterationState {
            iteration,
            scheduled,
            began,
            login: None,
            greeted: None,
            first_asked: None,
            failed: false,
            known: false,
            interrupted: false,
            ended: false,
            apart,
            warms_up: !apart && iteration.0 <= bench.expect.warm_up,
        });
    }

    /// The iteration that goes on is no part of the load.
    pub(super) fn is_apart(&self) -> bool {
        self.iterations.back().is_some_and(|iteration| iteration.apart)
    }

    pub(super) fn step(
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
        if let (Phase::After, true, Some(iteration)) = (phase, self.is_apart(), self.iterations.back()) {
            let good = matches!(outcome, StepOutcome::Good { .. });
            bench.out.doors.read(self.user, iteration.iteration, good);
        }
        let StepProblem { why, excerpt, unanswered } = match outcome {
            StepOutcome::Good { .. } => return,
            StepOutcome::Refused { status, why, body } => {
                let what = format!("HTTP {status}");
                self.searched(bench, done, &what, body, true);
                // What an answer that is no refusal holds was asked for.
                if *status >= 400 {
                    self.secrets(bench, done, &what, body);
                }
                StepProblem {
                    why: format!("{why} (HTTP {status})"),
                    excerpt: (!body.is_empty()).then(|| Excerpt::new(done, format!("HTTP {status}"), body)),
                    unanswered: None,
                }
            }
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
            (Phase::Ask, _) => self.ask_failed(bench, done, format!("{step}: {why}"), evidence),
            (Phase::After, _) => self.report(bench, done, Deviation::AfterFailed { step, why }, evidence),
            (_, Some(NetFailure { doing, error, .. })) => {
                let deviation = Deviation::Unreachable { doing: doing.clone(), error: error.clone() };
                match phase {
                    Phase::Refresh => self.refresh_failed(bench, done, deviation, evidence),
                    _ => self.fail_setup(bench, done, deviation, evidence),
                }
            }
            (Phase::Refresh, None) => {
                self.refresh_failed(bench, done, Deviation::LoginRefused { step, why }, evidence);
            }
            (Phase::Login, None) => self.fail_setup(bench, done, Deviation::LoginRefused { step, why }, evidence),
            (Phase::Ready | Phase::Prepare | Phase::Probe, None) => {
                self.fail_setup(bench, done, Deviation::StepFailed { step, why }, evidence);
            }
        }
    }

    pub(super) fn capture(&mut self, bench: &mut Bench<'_>, name: &str, value: &str) {
        if name == EMAIL {
            own(bench.out, IdRole::User, value, self.user);
        }
        for rule in &bench.expect.ids {
            if !matches!(&rule.source, IdSource::Captured(from) if **from == *name) || rule.unique != Unique::Target {
                continue;
            }
            match rule.role {
                IdRole::Run => own_asked(bench.out, rule.role, value, self.user),
                IdRole::User | IdRole::Thread | IdRole::Other => own(bench.out, rule.role, value, self.user),
            }
            if rule.role == IdRole::Run
                && let Some(run) = self.run.as_mut().or(self.lingering.last_mut())
            {
                run.ids.retain(|id| id != value);
                run.ids.insert(0, value.to_owned());
                run.named = true;
            }
        }
        self.captured.insert(name.to_owned(), value.to_owned());
        self.own_ids_change();
    }

    pub(super) fn dialed(
        &mut self,
        bench: &mut Bench<'_>,
        number: Connection,
        begun: Stamp,
        done: Stamp,
        outcome: &Dial,
    ) {
        let counted = u64::from(!self.is_apart());
        bench.out.counts.connections += counted;
        // Back with the login it has: a set-up more, and no login.
        self.resumed = match self.stage {
            Stage::Ready { turn } => turn,
            _ => 0,
        };
        bench.out.counts.setups += u64::from(self.resumed > 0) * counted;
        // Of several connections after one login the first.
        if self.resumed == 0
            && self.connection.is_none()
            && let Some((sent, answered)) = self.iterations.back().and_then(|iteration| iteration.login)
        {
            let took = answered.since(sent);
            self.record(bench, Segment::Login, took, took);
        }
        self.connection = Some(ConnectionState::new(number, done, outcome));
        let (deviation, excerpts) = match outcome {
            Dial::Upgraded { subprotocol, echo_fits, echo_strict } => {
                if *echo_strict && !echo_fits {
                    (Deviation::SubprotocolMismatch { selected: subprotocol.clone() }, vec![])
                } else {
                    if let (Some(selected), false) = (subprotocol, *echo_fits) {
                        let selected = selected.clone();
                        let deviation = Deviation::SubprotocolNotOffered { selected };
                        self.report(bench, done, deviation, Evidence::default());
                    }
                    let took = done.since(begun);
                    self.record(bench, Segment::Connect, took, took);
                    return self.script_at(bench, 0, done, done);
                }
            }
            Dial::Refused { status, headers, body } => {
                for (part, text) in [("head", headers), ("body", body)] {
                    self.searched(bench, done, &format!("HTTP {status} {part}"), text, true);
                }
                self.secrets(bench, done, &format!("HTTP {status} head"), &telling_lines(headers));
                self.secrets(bench, done, &format!("HTTP {status} body"), body);
                let mut excerpts = vec![Excerpt::new(done, format!("HTTP {status} head"), headers)];
                if !body.is_empty() {
                    excerpts.push(Excerpt::new(done, format!("HTTP {status} body"), body));
                }
                (Deviation::UpgradeRefused { status: *status }, excerpts)
            }
            Dial::Invalid { why } => (Deviation::UpgradeInvalid { why: why.clone() }, vec![]),
            Dial::Failed(NetFailure { hung: true, .. }) => {
                (Deviation::UpgradeHung { waited: done.since(begun) }, vec![])
            }
            Dial::Failed(NetFailure { doing, error, .. }) => {
                (Deviation::Unreachable { doing: doing.clone(), error: error.clone() }, vec![])
            }
        };
        bench.out.counts.connections_failed += counted;
        self.fail_setup(bench, done, deviation, Evidence { marks: Vec::new(), excerpts });
    }

    /// What the ask's own request came to says nothing against a run that goes on.
    fn ask_failed(&mut self, bench: &mut Bench<'_>, at: Stamp, by: String, evidence: Evidence) {
        self.report(bench, at, Deviation::AskRefused { by }, evidence);
        if self.run.as_ref().is_some_and(|run| !run.automaton.begun()) {
            self.end_run(bench, Over { earliest: at, latest: at, good: false, explained: true });
        }
    }

    /// A refusal of the ask by frame, until the first event of its run.
    pub(super) fn ask_refused(
        &mut self,
        bench: &mut Bench<'_>,
        frame: &Frame<'_>,
        extract: &Extract<'_>,
        text: &str,
        concern: ConcernId,
    ) -> bool {
        let refused = &bench.concerns[concern].ask_refused;
        let armed = self.run.as_ref().is_some_and(|run| !run.automaton.begun());
        let hit = armed && refused.holds(extract, text);
        if hit {
            self.error_told(bench, frame.at, text, false);
            let by = extract.name.as_deref().unwrap_or("a frame").to_owned();
            let evidence = self.evidence(bench, Excerpt::new(frame.at, "frame", text));
            self.report(bench, frame.at, Deviation::AskRefused { by }, evidence);
            let (earliest, latest) = (frame.not_before, frame.at);
            self.end_run(bench, Over { earliest, latest, good: false, explained: true });
        }
        hit
    }

    /// Enters step `step` of the socket script at a time between `earliest` and `latest`, or becomes ready after the last.
    pub(super) fn script_at(&mut self, bench: &mut Bench<'_>, step: usize, earliest: Stamp, latest: Stamp) {
        if step < bench.expect.script.len() {
            self.stage = Stage::Script { step, since: latest };
            return;
        }
        let waits = |step: &ScriptStep| matches!(step, ScriptStep::Wait { .. });
        // Silence that is as good as a greeting is none.
        let silent = self.connection.as_ref().is_some_and(|connection| connection.ungreeted);
        if bench.expect.script.iter().any(waits)
            && !silent
            && let Some(connection) = &self.connection
        {
            let upgraded = connection.upgraded;
            self.record(bench, Segment::Greeting, earliest.since(upgraded), latest.since(upgraded));
        }
        if let Some(iteration) = self.iterations.back_mut() {
            iteration.greeted.get_or_insert(latest);
        }
        bench.out.counts.users_ready += u64::from(!self.was_ready);
        self.was_ready = true;
        self.stage = Stage::Ready { turn: self.resumed };
    }

    pub(super) fn sent(&mut self, bench: &mut Bench<'_>, frame: &Frame<'_>) {
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

    /// A refusal by frame, in the script or after it until the first event of a run.
    pub(super) fn refused(
        &mut self,
        bench: &mut Bench<'_>,
        frame: &Frame<'_>,
        extract: &Extract<'_>,
        text: &str,
        concern: ConcernId,
    ) -> bool {
        let refused = &bench.concerns[concern].refused;
        let armed = match self.stage {
            Stage::Script { .. } | Stage::Ready { .. } => true,
            Stage::Running => self.run.as_ref().is_some_and(|run| !run.automaton.begun()),
            Stage::SetUp | Stage::Over { .. } => false,
        };
        let hit = armed && refused.holds(extract, text);
        if hit {
            self.error_told(bench, frame.at, text, false);
            let by = extract.name.as_deref().unwrap_or("a frame").to_owned();
            let evidence = self.evidence(bench, Excerpt::new(frame.at, "frame", text));
            self.forget_run();
            bench.out.counts.connections_failed += 1;
            self.fail_setup(bench, frame.at, Deviation::GreetingRefused { by }, evidence);
        }
        hit
    }

    /// The agent is asked at `at` while the script still waits: what it waits for is awaited beside the run. Says how long after
    /// the upgrade that is.
    pub(super) fn asked_early(&mut self, bench: &mut Bench<'_>, at: Stamp) -> Option<Micros> {
        let Stage::Script { step, since } = self.stage else { return None };
        let connection = self.connection.as_mut()?;
        connection.outstanding = Some(Outstanding { step, since });
        let upgraded = connection.upgraded;
        if let Some(iteration) = self.iterations.back_mut() {
            iteration.greeted.get_or_insert(upgraded);
        }
        bench.out.counts.users_ready += u64::from(!std::mem::replace(&mut self.was_ready, true));
        Some(at.since(upgraded))
    }

    /// The greeting that is awaited beside a run did not come up to now. Without an event of the run either the set-up failed.
    pub(super) fn missed_greeting(&mut self, bench: &mut Bench<'_>, now: Stamp) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let Some(Outstanding { step, since }) = connection.outstanding else { return false };
        let Some(ScriptStep::Wait { within, optional, .. }) = bench.expect.script.get(step) else { return false };
        if since + *within > now {
            return false;
        }
        connection.outstanding = None;
        if *optional {
            connection.ungreeted = true;
            return true;
        }
        let deviation = Deviation::GreetingMissing { waited: *within, frames: connection.frames };
        if self.run.as_ref().is_some_and(|run| !run.automaton.begun()) {
            self.forget_run();
            self.fail_setup(bench, now, deviation, Evidence::default());
        } else {
            bench.out.counts.setups_failed += 1;
            self.report(bench, now, deviation, Evidence::default());
        }
        true
    }

    /// What was awaited beside a run.
    fn greeted_beside(&mut self, bench: &mut Bench<'_>, frame: &Frame<'_>, extract: &Extract<'_>, text: &str) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let Some(Outstanding { step, .. }) = connection.outstanding else { return false };
        let Some(ScriptStep::Wait { when, .. }) = bench.expect.script.get(step) else { return false };
        if !when.holds(extract, text) {
            return false;
        }
        self.heard.push(Heard::Awaited(step));
        let next = step + 1;
        connection.outstanding =
            (next < bench.expect.script.len()).then_some(Outstanding { step: next, since: frame.at });
        if connection.outstanding.is_none() {
            let upgraded = connection.upgraded;
            self.record(bench, Segment::Greeting, frame.not_before.since(upgraded), frame.at.since(upgraded));
        }
        true
    }

    /// The frame that the script waits for.
    #[inline]
    pub(super) fn greeted(
        &mut self,
        bench: &mut Bench<'_>,
        frame: &Frame<'_>,
        extract: &Extract<'_>,
        text: &str,
    ) -> bool {
        let Stage::Script { step, .. } = self.stage else {
            let beside = self.connection.as_ref().is_some_and(|connection| connection.outstanding.is_some());
            return beside && self.greeted_beside(bench, frame, extract, text);
        };
        let Some(ScriptStep::Wait { when, .. }) = bench.expect.script.get(step) else { return false };
        let hit = when.holds(extract, text);
        if hit {
            self.heard.push(Heard::Awaited(step));
            self.script_at(bench, step + 1, frame.not_before, frame.at);
        }
        hit
    }

    /// A session could not be refreshed: as if its user could not log in, whenever that is. A run in flight goes on.
    fn refresh_failed(&mut self, bench: &mut Bench<'_>, at: Stamp, deviation: Deviation, evidence: Evidence) {
        // Set-ups and those that failed both count it, so that these are never more than those.
        let counted = u64::from(!self.is_apart());
        bench.out.counts.setups += counted;
        bench.out.counts.setups_failed += counted;
        self.report(bench, at, deviation, evidence);
        let goes_on = self.iterations.back().is_some_and(|iteration| !iteration.ended);
        if goes_on && self.run.is_none() {
            self.stage = Stage::Over { good: false };
        }
    }

    pub(super) fn fail_setup(&mut self, bench: &mut Bench<'_>, at: Stamp, deviation: Deviation, evidence: Evidence) {
        bench.out.counts.setups_failed += u64::from(!self.is_apart());
        self.report(bench, at, deviation, evidence);
        self.stage = Stage::Over { good: false };
    }
}

/// The lines of a head in which no secret belongs: a subprotocol is echoed as it was offered, and cookies are how a target hands
/// its secrets out.
pub(super) fn telling_lines(head: &str) -> String {
    let by_right = ["sec-websocket-protocol", "set-cookie"];
    let tells = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().trim();
        !by_right.iter().any(|by_right| name.eq_ignore_ascii_case(by_right))
    };
    head.lines().filter(tells).collect::<Vec<_>>().join("\n")
}

struct StepProblem<'a> {
    why: String,
    excerpt: Option<Excerpt>,
    unanswered: Option<&'a NetFailure>,
}
