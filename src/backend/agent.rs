//! The agent: the script of a run, and the runs in flight.
//!
//! A run is planned as plain data first ([`Script::plan`]) and then played against the clock. What it says comes from
//! `answer`, who gets to hear it is decided by `delivery`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time;

use super::answer::Advice;
use super::envelope::{Body, Event};
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
#[derive(Debug, PartialEq)]
struct Step {
    after: Duration,
    body: Body,
}

impl Script {
    /// All steps of a run but for its own duration, which only playing it can tell.
    fn plan(&self, prompt: &str, turn: &Turn, mut call_id: impl FnMut() -> String) -> Vec<Step> {
        let Delays { started, thinking, tool_call, tool_work, answer } = self.delays;
        let advice = Advice::on(prompt, self.variation);
        let total_steps = self.thinking_steps + self.tools.len().saturating_sub(1);
        let think = |step_number| Step {
            after: thinking,
            body: Body::Thinking { thought: advice.thought(step_number), step_number, total_steps },
        };
        let mut steps = vec![Step { after: started, body: Body::Started }];
        steps.extend((1..=self.thinking_steps).map(think));
        for (index, tool_name) in self.tools.iter().enumerate() {
            if index > 0 {
                steps.push(think(self.thinking_steps + index));
            }
            let call_id = call_id();
            steps.push(Step {
                after: tool_call,
                body: Body::ToolExecuting {
                    tool_name: tool_name.clone(),
                    call_id: call_id.clone(),
                    parameters: advice.parameters(),
                },
            });
            let duration_ms = milliseconds(tool_work);
            steps.push(Step {
                after: tool_work,
                body: Body::ToolCompleted {
                    tool_name: tool_name.clone(),
                    call_id,
                    results: advice.results(),
                    duration_ms,
                },
            });
        }
        let final_response = advice.text(turn);
        steps.push(Step { after: answer, body: Body::Completed { final_response, duration_ms: 0 } });
        steps
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
        Some(Run { backend, user_id, thread_id, run_id, stop, requested: Instant::now(), released: false })
    }

    /// Plays the script to its end, or to the stop.
    pub(super) async fn play(mut self, prompt: String, turn: Turn) {
        let backend = Arc::clone(&self.backend);
        let steps = backend.options.script.plan(&prompt, &turn, || backend.ids.next("call_"));
        let mut due = time::Instant::from_std(self.requested);
        for Step { after, body } in steps {
            due += after;
            if let Some(reason) = self.stopped_before(due).await {
                self.release();
                self.emit(Body::Stopped { reason }).await;
                return;
            }
            match body {
                Body::Completed { final_response, .. } => {
                    // Stored first: whoever has seen the completion finds the answer in the history.
                    let message_id = backend.ids.next("msg_");
                    backend.threads.answer(&self.thread_id, message_id, &self.run_id, final_response.clone());
                    let duration_ms = milliseconds(self.requested.elapsed());
                    // Whoever has seen the completion may use the run id again.
                    self.release();
                    self.emit(Body::Completed { final_response, duration_ms }).await;
                }
                body => self.emit(body).await,
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

    async fn emit(&self, body: Body) {
        let event = Event {
            user_id: Arc::clone(&self.user_id),
            thread_id: Arc::clone(&self.thread_id),
            run_id: Arc::clone(&self.run_id),
            agent_name: self.backend.options.script.agent_name.as_str().into(),
            event_id: self.backend.ids.next("evt_"),
            at: Timestamp::now(),
            body,
        };
        self.backend.delivery.emit(&event).await;
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.release();
        self.backend.runs.in_flight.send_modify(|count| *count -= 1);
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(script: &Script) -> Vec<&'static str> {
        let turn = Turn { number: 1, earlier: vec![] };
        script.plan("Cut it", &turn, || "call_1".to_owned()).iter().map(|step| step.body.kind()).collect()
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
        let numbers: Vec<_> = script
            .plan("", &turn, String::new)
            .iter()
            .filter_map(|step| match step.body {
                Body::Thinking { step_number, total_steps, .. } => Some((step_number, total_steps)),
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
}
