//! The agent: the script of a run, and the runs in flight.
//!
//! A run is planned as plain data first ([`Script::plan`]) and then played against the clock. What it says comes from
//! `answer`, who gets to hear it is decided by `delivery`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time;

use super::answer::Advice;
use super::auth::User;
use super::delivery::{Form, Frame};
use super::envelope::{self, Body, Event};
use super::fault::{Chance, Fault, Strikes, World, bend};
use super::threads::Turn;
use super::{Backend, lock};

/// What an agent run consists of: started, thinking, then the tools in turn with one thinking between two of them,
/// completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The `agent_name` of all events. Default `advisor`.
    pub agent_name: String,
    /// Thinking events before the first tool. Default 1.
    pub thinking_steps: usize,
    /// Names of the tools, called in this order. Default `cost_lookup` alone.
    pub tools: Vec<String>,
    /// Names of agents that do the work in this order, each with all of the tools, while the agent itself calls none. Default
    /// none.
    pub sub_agents: Vec<String>,
    /// The pace.
    pub delays: Delays,
    /// Changes the figures in all answers. Default 0.
    pub variation: u64,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            agent_name: "advisor".to_owned(),
            thinking_steps: 1,
            tools: vec!["cost_lookup".to_owned()],
            sub_agents: Vec::new(),
            delays: Delays::default(),
            variation: 0,
        }
    }
}

/// Time before each kind of step. They add up along the run, whatever the events themselves take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delays {
    /// From the request to `agent_started`. Default 5 ms.
    pub started: Duration,
    /// Before each `agent_thinking`. Default 15 ms.
    pub thinking: Duration,
    /// Before each `tool_executing`. Default 15 ms.
    pub tool_call: Duration,
    /// From `tool_executing` to `tool_completed`. Default 30 ms.
    pub tool_work: Duration,
    /// Before `agent_completed`. Default 20 ms.
    pub answer: Duration,
}

impl Delays {
    /// The same time before every step; zero sends everything at once.
    pub const fn every(delay: Duration) -> Delays {
        Delays { started: delay, thinking: delay, tool_call: delay, tool_work: delay, answer: delay }
    }
}

impl Default for Delays {
    fn default() -> Delays {
        let ms = Duration::from_millis;
        Delays { started: ms(5), thinking: ms(15), tool_call: ms(15), tool_work: ms(30), answer: ms(20) }
    }
}

/// One step of a planned run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// Time since the step before.
    pub(super) after: Duration,
    pub(super) act: Act,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Act {
    Say(Saying),
    /// Ends the connections of the user, and the run.
    End(Ending),
}

/// How a connection ends from our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Close {
        code: u16,
        reason: &'static str,
    },
    /// Without a close frame.
    Cut,
}

/// An event as it will be sent. A healthy one is its body and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Saying {
    pub(super) body: Body,
    /// The sub-agent that speaks; none for the agent itself.
    pub(super) agent: Option<Arc<str>>,
    pub(super) to: To,
    /// A name in place of the body's own.
    pub(super) name: Option<&'static str>,
    /// Fields to set, or (none) to leave out.
    pub(super) patch: Vec<(&'static str, Option<Value>)>,
    /// How often it is sent, under one event id.
    pub(super) copies: usize,
    /// How far its timestamp is behind.
    pub(super) behind: Duration,
    /// As a JSON text within JSON.
    pub(super) encoded_twice: bool,
    /// In one frame with the other events of its tool.
    pub(super) batched: bool,
}

/// Who hears an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    Owner,
    Everybody,
    OwnerAndAnother,
    Another,
}

impl Saying {
    fn plain(body: Body) -> Saying {
        Saying {
            body,
            agent: None,
            to: To::Owner,
            name: None,
            patch: Vec::new(),
            copies: 1,
            behind: Duration::ZERO,
            encoded_twice: false,
            batched: false,
        }
    }
}

impl Step {
    pub(super) fn say(after: Duration, body: Body) -> Step {
        Step { after, act: Act::Say(Saying::plain(body)) }
    }

    pub(super) fn says(&self, what: impl Fn(&Body) -> bool) -> bool {
        matches!(&self.act, Act::Say(saying) if what(&saying.body))
    }

    fn by(mut self, name: &Arc<str>) -> Step {
        if let Act::Say(saying) = &mut self.act {
            saying.agent = Some(Arc::clone(name));
        }
        self
    }
}

impl Script {
    /// All steps of a run but for its own duration, which only playing it can tell.
    pub(super) fn plan(&self, prompt: &str, turn: &Turn, mut call_id: impl FnMut() -> String) -> Vec<Step> {
        let Delays { started, thinking, answer, .. } = self.delays;
        let advice = Advice::on(prompt, self.variation);
        let total_steps = self.thinking_steps + self.tools.len().saturating_sub(1);
        let think = |step_number| {
            Step::say(thinking, Body::Thinking { thought: advice.thought(step_number), step_number, total_steps })
        };
        let mut steps = vec![Step::say(started, Body::Started)];
        steps.extend((1..=self.thinking_steps).map(think));
        for agent in &self.sub_agents {
            let name = agent.as_str().into();
            let mut work = vec![Step::say(started, Body::Started), think(1)];
            work.extend(self.tools.iter().flat_map(|tool| self.call(tool, &advice, call_id())));
            work.push(Step::say(answer, Body::Completed { final_response: advice.finding(), duration_ms: 0 }));
            steps.extend(work.into_iter().map(|step| step.by(&name)));
        }
        for (index, tool) in self.tools.iter().enumerate() {
            if index > 0 {
                steps.push(think(self.thinking_steps + index));
            }
            // Who has others work for it calls no tools itself.
            if self.sub_agents.is_empty() {
                steps.extend(self.call(tool, &advice, call_id()));
            }
        }
        let final_response = advice.text(turn);
        steps.push(Step::say(answer, Body::Completed { final_response, duration_ms: 0 }));
        steps
    }

    fn call(&self, tool: &str, advice: &Advice<'_>, call_id: String) -> [Step; 2] {
        let Delays { tool_call, tool_work, .. } = self.delays;
        let (tool_name, parameters, results) = (tool.to_owned(), advice.parameters(), advice.results());
        let executing = Body::ToolExecuting { tool_name: tool_name.clone(), call_id: call_id.clone(), parameters };
        let duration_ms = milliseconds(tool_work);
        let completed = Body::ToolCompleted { tool_name, call_id, results, duration_ms };
        [Step::say(tool_call, executing), Step::say(tool_work, completed)]
    }
}

/// The runs in flight.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// By user and run id: different users may use the same run id.
    stops: Mutex<BTreeMap<RunKey, watch::Sender<Option<&'static str>>>>,
    in_flight: watch::Sender<usize>,
}

type RunKey = (Arc<str>, Arc<str>);

impl Runs {
    /// Stops one run of a user, or all of them; false if there was none.
    pub(super) fn stop(&self, user_id: &str, run_id: Option<&str>, reason: &'static str) -> bool {
        let mut found = false;
        for ((user, run), stop) in lock(&self.stops).iter() {
            if **user == *user_id && run_id.is_none_or(|wanted| **run == *wanted) {
                stop.send_replace(Some(reason));
                found = true;
            }
        }
        found
    }

    pub(super) fn stop_all(&self, reason: &'static str) {
        for stop in lock(&self.stops).values() {
            stop.send_replace(Some(reason));
        }
    }

    /// Returns when no run is in flight.
    pub(super) async fn idle(&self) {
        // The sender lives as long as we do.
        let _ = self.in_flight.subscribe().wait_for(|count| *count == 0).await;
    }
}

/// A run that has its place among the runs in flight, until it is dropped.
pub(super) struct Run {
    backend: Arc<Backend>,
    user_id: Arc<str>,
    thread_id: Arc<str>,
    run_id: Arc<str>,
    stop: watch::Receiver<Option<&'static str>>,
    requested: Instant,
    /// The run id is free for another run already.
    released: bool,
    /// The faults know of it.
    counted: bool,
    /// Events that wait for a batch, with their kinds.
    held: Vec<(&'static str, String)>,
}

impl Run {
    /// Takes the place; `None` if the user has a run of that id in flight.
    pub(super) fn enter(
        backend: Arc<Backend>,
        user_id: Arc<str>,
        thread_id: Arc<str>,
        run_id: Arc<str>,
    ) -> Option<Run> {
        let (sender, stop) = watch::channel(None);
        {
            let mut stops = lock(&backend.runs.stops);
            let key = (Arc::clone(&user_id), Arc::clone(&run_id));
            if stops.contains_key(&key) {
                return None;
            }
            stops.insert(key, sender);
        }
        backend.runs.in_flight.send_modify(|count| *count += 1);
        let requested = Instant::now();
        let (released, counted, held) = (false, false, Vec::new());
        Some(Run { backend, user_id, thread_id, run_id, stop, requested, released, counted, held })
    }

    /// Plays the script to its end, or to the stop.
    pub(super) async fn play(mut self, prompt: String, turn: Turn, asker: Asker) {
        let backend = Arc::clone(&self.backend);
        let mut steps = backend.options.script.plan(&prompt, &turn, || backend.ids.next("call_"));
        if backend.faults.any() {
            self.bend(&mut steps, &prompt, &turn, &asker);
        }
        let mut due = time::Instant::from_std(self.requested);
        for Step { after, act } in steps {
            due += after;
            if let Some(reason) = self.stopped_before(due).await {
                self.release();
                self.emit(Saying::plain(Body::Stopped { reason })).await;
                return;
            }
            match act {
                Act::Say(mut saying) => {
                    if let (None, Body::Completed { final_response, duration_ms }) = (&saying.agent, &mut saying.body) {
                        // Stored first: whoever has seen the completion finds the answer in the history.
                        let message_id = backend.ids.next("msg_");
                        backend.threads.answer(&self.thread_id, message_id, &self.run_id, final_response.clone());
                        *duration_ms = milliseconds(self.requested.elapsed());
                        // Whoever has seen the completion may use the run id again.
                        self.release();
                    }
                    self.emit(saying).await;
                }
                Act::End(ending) => {
                    self.release();
                    backend.delivery.end(&self.user_id, ending).await;
                }
            }
        }
    }

    /// Lets the faults that strike this run change its plan.
    fn bend(&mut self, steps: &mut Vec<Step>, prompt: &str, turn: &Turn, asker: &Asker) {
        let backend = Arc::clone(&self.backend);
        let (runs, other) = backend.faults.began(&self.user_id, prompt);
        self.counted = true;
        let chance = Chance {
            email: Some(&asker.user.email),
            overlap: other.as_ref().is_some_and(|other| other.in_flight > 0),
            runs,
            connection: asker.connection,
            turn: asker.turn,
        };
        let id = |prefix: &str| backend.ids.next(prefix);
        let supervised = |names: &[&str]| {
            let sub_agents = names.iter().map(|name| (*name).to_owned()).collect();
            let script = Script { sub_agents, ..backend.options.script.clone() };
            script.plan(prompt, turn, || backend.ids.next("call_"))
        };
        let world =
            World { prompt, thread_id: &self.thread_id, other: other.as_ref(), supervised: &supervised, id: &id };
        let mut struck = backend.faults.strike_all(Strikes::Run, &chance);
        // Who does the work is settled before what becomes of it.
        struck.sort_by_key(|spec| spec.fault != Fault::Supervised);
        for spec in struck {
            if bend(spec, steps, &world)
                && let Some(journal) = &backend.journal
            {
                journal.struck(spec, Some(&self.user_id), Some(&self.run_id));
            }
        }
    }

    /// Waits until `due`; the reason if the run was stopped before.
    async fn stopped_before(&mut self, due: time::Instant) -> Option<&'static str> {
        let reason = *self.stop.borrow();
        if reason.is_some() || due <= time::Instant::now() {
            return reason;
        }
        match time::timeout_at(due, self.stop.wait_for(Option::is_some)).await {
            Ok(Ok(reason)) => *reason,
            // Our own entry holds the sender, so it cannot be gone.
            Ok(Err(_)) | Err(_) => None,
        }
    }

    fn release(&mut self) {
        if !self.released {
            lock(&self.backend.runs.stops).remove(&(Arc::clone(&self.user_id), Arc::clone(&self.run_id)));
            self.released = true;
        }
    }

    async fn emit(&mut self, saying: Saying) {
        let backend = Arc::clone(&self.backend);
        let envelope = backend.options.envelope;
        let agent = saying.agent.unwrap_or_else(|| backend.options.script.agent_name.as_str().into());
        let event = Event {
            user_id: Arc::clone(&self.user_id),
            thread_id: Arc::clone(&self.thread_id),
            run_id: Arc::clone(&self.run_id),
            agent_name: agent,
            event_id: backend.ids.next("evt_"),
            at: Timestamp::now().checked_sub(saying.behind).unwrap_or_default(),
            body: saying.body,
            name: saying.name,
            patch: saying.patch,
        };
        let mut text = envelope.event(&event);
        let mut kind = event.kind();
        if saying.batched {
            self.held.push((kind, text));
            // The batch is flushed by the event that is the last of its tool.
            if !matches!(event.body, Body::ToolCompleted { .. }) {
                return;
            }
            let events: Vec<_> = std::mem::take(&mut self.held);
            (kind, text) = ("event_batch", envelope::batch(&self.user_id, backend.ids.next("batch_"), &events));
        }
        if saying.encoded_twice {
            text = Value::String(text).to_string();
        }
        let frame = Frame {
            kind,
            run_id: Some(Arc::clone(&self.run_id)),
            ends_run: event.body.ends_run(),
            form: Form::Text,
            text: text.into(),
        };
        backend.faults.says(&self.user_id, &frame.text);
        for _ in 0..saying.copies {
            backend.delivery.hand_to(saying.to, &self.user_id, frame.clone()).await;
        }
    }
}

/// Who asked, and when: what the conditions of faults are about.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    pub(super) user: User,
    /// Which connection of the user it is, from 1.
    pub(super) connection: u64,
    /// Which request of the connection it is, from 1.
    pub(super) turn: u64,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.release();
        if self.counted {
            self.backend.faults.ended(&self.user_id);
        }
        self.backend.runs.in_flight.send_modify(|count| *count -= 1);
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(steps: &[Step]) -> impl Iterator<Item = &Body> {
        steps.iter().filter_map(|step| match &step.act {
            Act::Say(saying) => Some(&saying.body),
            Act::End(_) => None,
        })
    }

    fn kinds(script: &Script) -> Vec<&'static str> {
        let turn = Turn { number: 1, earlier: vec![] };
        bodies(&script.plan("Cut it", &turn, || "call_1".to_owned())).map(Body::kind).collect()
    }

    #[test]
    fn the_default_script_is_the_five_events_in_85_ms() {
        let script = Script::default();
        let five = ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"];
        assert_eq!(kinds(&script), five);
        let turn = Turn { number: 1, earlier: vec![] };
        let total: Duration = script.plan("", &turn, String::new).iter().map(|step| step.after).sum();
        assert_eq!(total, Duration::from_millis(85));
    }

    #[test]
    fn tools_have_thinking_between_them_and_numbered_steps() {
        let tools = vec!["a".to_owned(), "b".to_owned()];
        let script = Script { thinking_steps: 2, tools, ..Script::default() };
        assert_eq!(
            kinds(&script),
            [
                "agent_started",
                "agent_thinking",
                "agent_thinking",
                "tool_executing",
                "tool_completed",
                "agent_thinking",
                "tool_executing",
                "tool_completed",
                "agent_completed"
            ]
        );
        let turn = Turn { number: 1, earlier: vec![] };
        let steps = script.plan("", &turn, String::new);
        let numbers: Vec<_> = bodies(&steps)
            .filter_map(|body| match body {
                Body::Thinking { step_number, total_steps, .. } => Some((*step_number, *total_steps)),
                _ => None,
            })
            .collect();
        assert_eq!(numbers, [(1, 3), (2, 3), (3, 3)]);
    }

    #[test]
    fn a_script_may_have_neither_thoughts_nor_tools() {
        let script = Script { thinking_steps: 0, tools: vec![], ..Script::default() };
        assert_eq!(kinds(&script), ["agent_started", "agent_completed"]);
    }

    #[test]
    fn sub_agents_do_the_work_between_the_thoughts_of_the_agent_and_its_answer() {
        let script = Script { sub_agents: vec!["data".to_owned(), "report".to_owned()], ..Script::default() };
        let turn = Turn { number: 1, earlier: vec![] };
        let steps = script.plan("", &turn, String::new);
        let speakers: Vec<_> = steps
            .iter()
            .map(|step| match &step.act {
                Act::Say(saying) => saying.agent.as_deref().unwrap_or("root"),
                Act::End(_) => "",
            })
            .collect();
        assert_eq!(speakers[..3], ["root", "root", "data"]);
        assert_eq!(speakers.iter().filter(|agent| **agent == "report").count(), 5);
        assert_eq!(speakers.last(), Some(&"root"));
    }
}
