//! What a fault does to the plan of a run, before it is played.
//!
//! Plain data in, plain data out: a fault takes steps away, adds some, moves them, or changes what one says and who hears it.
//! Faults that are about HTTP, upgrades and connections strike where those are served.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::agent::{Act, Ending, Saying, Step, To};
use super::super::answer::Advice;
use super::super::envelope::Body;
use super::super::threads::Turn;
use super::{Asked, Fault, Spec};

/// What a fault may use of the world around the run.
pub(in crate::backend) struct World<'a> {
    pub(in crate::backend) prompt: &'a str,
    pub(in crate::backend) thread_id: &'a str,
    /// What another user asked last.
    pub(in crate::backend) other: Option<&'a Asked>,
    /// The plan of the same run if sub-agents of these names did the work.
    pub(in crate::backend) supervised: &'a dyn Fn(&[&str]) -> Vec<Step>,
    /// Makes ids that look like the backend's.
    pub(in crate::backend) id: &'a dyn Fn(&str) -> String,
}

/// Changes `steps` as the fault says; false if there is nothing in them that it could change.
pub(in crate::backend) fn bend(spec: &Spec, steps: &mut Vec<Step>, world: &World<'_>) -> bool {
    let before = steps.clone();
    match spec.fault {
        Fault::DropStarted => drop_all(steps, |body| matches!(body, Body::Started)),
        Fault::DropThinking => drop_all(steps, |body| matches!(body, Body::Thinking { .. })),
        Fault::DropToolExecuting => drop_all(steps, |body| matches!(body, Body::ToolExecuting { .. })),
        Fault::DropToolCompleted => drop_all(steps, |body| matches!(body, Body::ToolCompleted { .. })),
        Fault::DropTools => {
            drop_all(steps, |body| matches!(body, Body::ToolExecuting { .. } | Body::ToolCompleted { .. }));
        }
        Fault::DropCompleted => drop_all(steps, |body| matches!(body, Body::Completed { .. })),
        Fault::OnlyStarted => steps.truncate(1),
        Fault::OnlyEnds => drop_all(steps, |body| !matches!(body, Body::Started | Body::Completed { .. })),
        Fault::Renamed => {
            each(steps, |saying| {
                if matches!(saying.body, Body::Thinking { .. }) {
                    saying.name = Some("reasoning");
                }
            });
        }
        Fault::StartedLate => swap(steps, |body| matches!(body, Body::Started)),
        Fault::ToolBackwards => swap(steps, |body| matches!(body, Body::ToolExecuting { .. })),
        Fault::CompletedEarly => {
            if let Some(last_tool) =
                steps.iter().rposition(|step| step.says(|b| matches!(b, Body::ToolCompleted { .. })))
                && let Some(end) = steps.pop()
            {
                steps.insert(last_tool, end);
            }
        }
        Fault::DoubleStarted => repeat(steps, |body| matches!(body, Body::Started)),
        Fault::DoubleCompleted => repeat(steps, |body| matches!(body, Body::Completed { .. })),
        Fault::DoubleAll => repeat(steps, |_| true),
        Fault::LateEvent => {
            let thought = "One more thing to look at.".to_owned();
            let body = Body::Thinking { thought, step_number: 99, total_steps: 99 };
            steps.push(Step::say(Duration::from_millis(20), body));
        }
        Fault::AgentError => {
            let at = middle(steps);
            steps.truncate(at);
            steps.push(Step::say(Duration::ZERO, error()));
        }
        Fault::AgentDeath => {
            let at = middle(steps);
            steps.truncate(at);
            let mut death = Step::say(Duration::ZERO, error());
            if let Act::Say(saying) = &mut death.act {
                saying.name = Some("agent_death");
                saying.patch.push(("death_cause", Some("out of memory".into())));
            }
            steps.push(death);
        }
        Fault::ErrorThenCompleted => {
            let end = steps.len().saturating_sub(1);
            steps.insert(end, Step::say(Duration::ZERO, error()));
        }
        Fault::CompletedFailed => at_end(steps, |saying| {
            saying.patch.extend([
                ("final_response", Some(Value::Null)),
                ("status", Some("failed".into())),
                ("error", Some("the model could not be reached".into())),
                ("success", Some(false.into())),
            ]);
        }),
        Fault::Stall => {
            if let Some(at) = steps.iter().position(|step| step.says(|b| matches!(b, Body::ToolExecuting { .. }))) {
                steps.truncate(at + 1);
            }
        }
        Fault::Cut => end_within(steps, Ending::Cut),
        Fault::Close => {
            end_within(steps, Ending::Close { code: spec.code.unwrap_or(1000), reason: "closed by the server" });
        }
        Fault::ExpireInRun => end_within(steps, Ending::Close { code: 1008, reason: "Token expired" }),
        Fault::AnswerEmpty => answer(steps, "".into()),
        Fault::AnswerNull => answer(steps, Value::Null),
        Fault::AnswerHollow => answer(steps, json!({ "result": {} })),
        Fault::AnswerPlaceholder => answer(steps, "Task completed".into()),
        Fault::AnswerEcho => answer(steps, format!("Agent response for: {}", world.prompt).into()),
        Fault::AnswerMock => {
            quicken(steps);
            answer(steps, "Mock response".into());
        }
        Fault::AnswerApology => {
            answer(steps, "I am sorry, but I cannot help with that right now. Please try again later.".into());
        }
        Fault::LeakCachedAnswer => {
            if let Some(cached) = world.other.and_then(|other| other.answered.as_deref()) {
                let turn = Turn { number: 1, earlier: Vec::new() };
                answer(steps, Advice::on(cached, 0).text(&turn).into());
            }
        }
        Fault::Synthetic => {
            quicken(steps);
            answer(steps, "Request processed successfully".into());
        }
        Fault::Burst => {
            if let Some(first) = steps.first_mut() {
                first.after += spec.by;
            }
            steps.iter_mut().skip(1).for_each(|step| step.after = Duration::ZERO);
        }
        Fault::Degraded => at_end(steps, |saying| {
            saying.name = Some("agent_response");
            saying.patch.extend([
                ("data", Some(json!({ "type": "fallback_response", "content": "Some services are unavailable." }))),
                ("degradation_level", Some("severe".into())),
                ("final_response", None),
            ]);
        }),
        Fault::SubAgentsLost => steps.retain(|step| !matches!(&step.act, Act::Say(say) if say.agent.is_some())),
        Fault::SlowFirst => {
            if let Some(first) = steps.first_mut() {
                first.after += spec.by;
            }
        }
        Fault::SlowTool => {
            if let Some(step) = steps.iter_mut().find(|step| step.says(|b| matches!(b, Body::ToolCompleted { .. }))) {
                step.after += spec.by;
            }
        }
        Fault::LeakBroadcast => each(steps, |saying| {
            if matches!(saying.body, Body::Thinking { .. }) {
                saying.to = To::Everybody;
                saying.patch.extend(["user_id", "thread_id", "run_id"].map(|id| (id, None)));
            }
        }),
        Fault::LeakCopy => with_other(world, || each(steps, |saying| saying.to = To::OwnerAndAnother)),
        Fault::LeakMisroute => with_other(world, || each(steps, |saying| saying.to = To::Another)),
        Fault::LeakAnswer => with_other(world, || at_end(steps, |saying| saying.to = To::OwnerAndAnother)),
        Fault::LeakContent => {
            if let Some(other) = world.other {
                let turn = Turn { number: 1, earlier: Vec::new() };
                let advice = Advice::on(&other.prompt, 0);
                each(steps, |saying| match &mut saying.body {
                    Body::Thinking { thought, .. } => *thought = format!("The request is: {}", other.prompt),
                    Body::Completed { final_response, .. } => *final_response = advice.text(&turn),
                    _ => {}
                });
            }
        }
        Fault::LeakLate => with_other(world, || {
            if let Some(mut last) = steps.last().cloned() {
                last.after = Duration::from_millis(20);
                if let Act::Say(saying) = &mut last.act {
                    saying.to = To::Another;
                }
                steps.push(last);
            }
        }),
        Fault::ForeignUser => {
            if let Some(other) = world.other {
                let id: Value = (*other.user_id).into();
                each(steps, |saying| saying.patch.push(("user_id", Some(id.clone()))));
            }
        }
        Fault::MalformedUser => {
            each(steps, |saying| saying.patch.push(("user_id", Some(world.thread_id.into()))));
        }
        Fault::Supervised => *steps = (world.supervised)(&["data", "report"]),
        Fault::UnknownKinds => {
            for at in (1..steps.len()).rev() {
                let mut step = Step::say(
                    Duration::ZERO,
                    Body::Thinking { thought: "on the way".to_owned(), step_number: at, total_steps: steps.len() },
                );
                if let Act::Say(saying) = &mut step.act {
                    saying.name = Some("workflow_checkpoint");
                }
                steps.insert(at, step);
            }
        }
        Fault::Redelivered => {
            for step in steps.iter_mut() {
                if let Act::Say(saying) = &mut step.act
                    && matches!(saying.body, Body::Thinking { .. } | Body::ToolCompleted { .. })
                {
                    saying.copies = 2;
                }
            }
        }
        Fault::FailedTool => {
            if let Some(Step { act: Act::Say(saying), .. }) =
                steps.iter_mut().find(|step| step.says(|b| matches!(b, Body::ToolCompleted { .. })))
            {
                saying.patch.extend([
                    ("success", Some(false.into())),
                    ("status", Some("error".into())),
                    ("results", Some(Value::Null)),
                ]);
            }
        }
        Fault::CloseAfterEnd => {
            let end = Act::End(Ending::Close { code: 1000, reason: "done" });
            steps.push(Step { after: Duration::ZERO, act: end });
        }
        Fault::SkewedClock => {
            let mut behind = Duration::ZERO;
            each(steps, |saying| {
                saying.behind = behind;
                behind += Duration::from_secs(3);
            });
        }
        Fault::DoubleEncoded => each(steps, |saying| saying.encoded_twice = true),
        Fault::Batched => {
            for step in steps.iter_mut() {
                if let Act::Say(saying) = &mut step.act
                    && matches!(saying.body, Body::ToolExecuting { .. } | Body::ToolCompleted { .. })
                {
                    saying.batched = true;
                }
            }
        }
        Fault::OverlappingTools => {
            let again = |step: &Step| {
                let mut other = step.clone();
                other.after = Duration::ZERO;
                if let Act::Say(Saying {
                    body: Body::ToolExecuting { call_id, .. } | Body::ToolCompleted { call_id, .. },
                    ..
                }) = &mut other.act
                {
                    call_id.push_str("_b");
                }
                other
            };
            // Executing a, executing b, completed a, completed b.
            *steps = steps
                .iter()
                .flat_map(|step| {
                    let is_tool =
                        step.says(|body| matches!(body, Body::ToolExecuting { .. } | Body::ToolCompleted { .. }));
                    std::iter::once(step.clone()).chain(is_tool.then(|| again(step)))
                })
                .collect();
        }
        Fault::PingedInRun => {
            for at in (0..steps.len()).rev() {
                let mut ping = Step::say(Duration::ZERO, error());
                if let Act::Say(saying) = &mut ping.act {
                    saying.name = Some("ping");
                    saying.patch.push(("error", None));
                }
                steps.insert(at, ping);
            }
        }
        Fault::AnswerObject => {
            let text = steps.iter().rev().find_map(|step| match &step.act {
                Act::Say(Saying { body: Body::Completed { final_response, .. }, .. }) => Some(final_response.clone()),
                _ => None,
            });
            if let Some(text) = text {
                answer(steps, json!({ "summary": text, "sources": ["billing"] }));
            }
        }
        Fault::QuietEnd => {
            if let Some(end) = steps.last_mut() {
                end.after += spec.by;
            }
        }
        Fault::NullFields => each(steps, |saying| {
            saying.patch.extend(["attempt", "request_id", "metadata", "error"].map(|name| (name, Some(Value::Null))));
        }),
        Fault::OwnThread => {
            let own: Value = (world.id)("thread_").into();
            each(steps, |saying| saying.patch.push(("thread_id", Some(own.clone()))));
        }
        other => unreachable!("{other:?} does not strike a run"),
    }
    *steps != before
}

fn error() -> Body {
    Body::Error { error: "the model could not be reached".to_owned() }
}

fn with_other(world: &World<'_>, change: impl FnOnce()) {
    if world.other.is_some() {
        change();
    }
}

fn each(steps: &mut [Step], mut change: impl FnMut(&mut Saying)) {
    for step in steps {
        if let Act::Say(saying) = &mut step.act {
            change(saying);
        }
    }
}

fn at_end(steps: &mut [Step], change: impl FnOnce(&mut Saying)) {
    if let Some(Step { act: Act::Say(saying), .. }) = steps.last_mut() {
        change(saying);
    }
}

fn answer(steps: &mut [Step], answer: Value) {
    at_end(steps, |saying| saying.patch.push(("final_response", Some(answer))));
}

/// Takes steps away, but keeps the pace of those that stay.
fn drop_all(steps: &mut Vec<Step>, dropped: impl Fn(&Body) -> bool) {
    let mut owed = Duration::ZERO;
    steps.retain_mut(|step| {
        if step.says(&dropped) {
            owed += step.after;
            return false;
        }
        step.after += std::mem::take(&mut owed);
        true
    });
}

/// Lets the first step of that kind change places with the next one.
fn swap(steps: &mut [Step], moved: impl Fn(&Body) -> bool) {
    if let Some(at) = steps.iter().position(|step| step.says(&moved))
        && at + 1 < steps.len()
    {
        let (first, second) = (steps[at].after, steps[at + 1].after);
        steps.swap(at, at + 1);
        (steps[at].after, steps[at + 1].after) = (first, second);
    }
}

fn repeat(steps: &mut Vec<Step>, repeated: impl Fn(&Body) -> bool) {
    let mut doubled = Vec::with_capacity(2 * steps.len());
    for step in steps.drain(..) {
        let again = step.says(&repeated).then(|| Step { after: Duration::ZERO, ..step.clone() });
        doubled.push(step);
        doubled.extend(again);
    }
    *steps = doubled;
}

fn quicken(steps: &mut [Step]) {
    steps.iter_mut().for_each(|step| step.after = Duration::ZERO);
}

fn middle(steps: &[Step]) -> usize {
    steps.len().div_ceil(2).min(steps.len().saturating_sub(1)).max(1)
}

fn end_within(steps: &mut Vec<Step>, ending: Ending) {
    let at = middle(steps);
    let after = steps.get(at).map_or(Duration::ZERO, |step| step.after);
    steps.truncate(at);
    steps.push(Step { after, act: Act::End(ending) });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::agent::Script;
    use super::super::Strikes;
    use super::*;

    const PROMPT: &str = "What costs most? (ref own)";

    fn planned(sub_agents: &[&str]) -> Vec<Step> {
        let script =
            Script { sub_agents: sub_agents.iter().map(|name| (*name).to_owned()).collect(), ..Script::default() };
        script.plan(PROMPT, &Turn { number: 1, earlier: Vec::new() }, || "call_1".to_owned())
    }

    fn world<'a>(other: Option<&'a Asked>, id: &'a dyn Fn(&str) -> String) -> World<'a> {
        World { prompt: PROMPT, thread_id: "thread_own", other, supervised: &planned, id }
    }

    fn other() -> Asked {
        let user_id: Arc<str> = "user_other".into();
        let prompt = "Cut the bill (ref theirs)".to_owned();
        Asked { user_id, answered: Some(prompt.clone()), prompt, in_flight: 1 }
    }

    fn bent(fault: Fault, other: Option<&Asked>) -> Option<Vec<Step>> {
        let mut steps = planned(&["data"]);
        let id = |prefix: &str| format!("{prefix}new");
        bend(&Spec::always(fault), &mut steps, &world(other, &id)).then_some(steps)
    }

    fn spoken(fault: Fault) -> Vec<String> {
        let steps = bent(fault, Some(&other())).unwrap();
        let said = steps.iter().map(|step| match &step.act {
            Act::Say(saying) => saying.name.unwrap_or_else(|| saying.body.kind()).to_owned(),
            Act::End(ending) => format!("{ending:?}"),
        });
        said.collect()
    }

    #[test]
    fn every_fault_of_a_run_changes_its_plan() {
        let theirs = other();
        for fault in Fault::ALL {
            if fault.strikes() == Strikes::Run {
                assert!(bent(*fault, Some(&theirs)).is_some(), "{fault:?} changes nothing");
            }
        }
    }

    #[test]
    fn a_leak_needs_somebody_to_leak_to() {
        for fault in [Fault::LeakCopy, Fault::LeakMisroute, Fault::LeakAnswer, Fault::LeakContent, Fault::LeakLate] {
            assert!(bent(fault, None).is_none(), "{fault:?}");
        }
        assert!(bent(Fault::LeakCachedAnswer, None).is_none());
    }

    #[test]
    fn plans_are_bent_as_the_catalogue_says() {
        assert_eq!(spoken(Fault::OnlyStarted), ["agent_started"]);
        assert_eq!(spoken(Fault::OnlyEnds).first().map(String::as_str), Some("agent_started"));
        assert!(!spoken(Fault::DropCompleted).contains(&"agent_completed".to_owned()));
        assert!(spoken(Fault::Renamed).contains(&"reasoning".to_owned()));
        assert_eq!(spoken(Fault::StartedLate)[..2], ["agent_thinking", "agent_started"]);
        assert_eq!(spoken(Fault::LateEvent).last().map(String::as_str), Some("agent_thinking"));
        assert_eq!(spoken(Fault::AgentError).last().map(String::as_str), Some("agent_error"));
        assert_eq!(spoken(Fault::AgentDeath).last().map(String::as_str), Some("agent_death"));
        assert_eq!(spoken(Fault::Stall).last().map(String::as_str), Some("tool_executing"));
        assert_eq!(spoken(Fault::Cut).last().map(String::as_str), Some("Cut"));
        let twice = spoken(Fault::DoubleAll);
        assert!(twice.chunks(2).all(|pair| pair[0] == pair[1]), "{twice:?}");
    }

    #[test]
    fn what_is_dropped_keeps_the_pace_of_the_rest() {
        let total = |steps: &[Step]| steps.iter().map(|step| step.after).sum::<Duration>();
        let whole = total(&planned(&[]));
        let mut steps = planned(&[]);
        let id = |prefix: &str| prefix.to_owned();
        assert!(bend(&Spec::always(Fault::DropTools), &mut steps, &world(None, &id)));
        assert_eq!(total(&steps), whole);
    }
}
