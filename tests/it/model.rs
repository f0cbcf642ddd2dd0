//! A second opinion on the order of events: the golden path and its presets, written down once more as plain sentences
//! about a whole list, and held against the judge on generated runs.
//!
//! The model shares nothing with the automaton. It looks at a finished list again and again instead of walking it once,
//! and tries all ways of pairing tools instead of choosing one. It knows one sender, no times and no users; what other
//! mutations must show (garbage, foreign ids and marks) follows from the mutation itself. Failing examples are printed
//! in the notation of `tests/trace_cases`, so that they can be kept as a case.

use std::collections::BTreeSet;

use goldenpath::rule::Rule;
use proptest::prelude::*;
use proptest::sample::Index;

use super::envelope::Wrap;
use super::notation;
use super::play::{Looks, expectations, judge};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Start,
    Think,
    Call,
    Result,
    End,
}

use Kind::{Call, End, Result, Start, Think};

/// One event: agents and tools are told by small numbers, and may be untold.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Event {
    kind: Kind,
    agent: Option<u8>,
    tool: Option<u8>,
    call: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Preset {
    GoldenPath,
    ToolsOptional,
    Supervisor,
}

// ---------------------------------------------------------------------------------------------------------------------
// The model

/// How many events the run has: up to the first end after which no agent is at work. `None`: it is never over.
fn length(run: &[Event]) -> Option<usize> {
    (1..=run.len()).find(|end| run[end - 1].kind == End && at_work(&run[..*end]).is_empty())
}

/// The agents that have started and not ended, in the order of their starts.
fn at_work(run: &[Event]) -> Vec<Option<u8>> {
    let mut open: Vec<Option<u8>> = Vec::new();
    for (index, event) in run.iter().enumerate() {
        match event.kind {
            Start if !open.contains(&event.agent) => open.push(event.agent),
            End => drop(ended_by(&run[..index], &open, event.agent).map(|index| open.remove(index))),
            _ => {}
        }
    }
    open
}

/// Which of the agents at work an end means: the one it names; else one without a name; else, if it names none, the
/// last; and if it names one that never was, the only one.
fn ended_by(before: &[Event], open: &[Option<u8>], name: Option<u8>) -> Option<usize> {
    let started = before.iter().any(|event| event.kind == Start && event.agent == name);
    let named = open.iter().position(|agent| *agent == name);
    match name {
        _ if named.is_some() => named,
        Some(_) if started => None,
        _ if open.contains(&None) => open.iter().position(Option::is_none),
        None => open.len().checked_sub(1),
        Some(_) if open.len() == 1 => Some(0),
        Some(_) => None,
    }
}

/// Whether the end at `index` is that of an agent whose end was taken from one of another name before.
fn told_again(run: &[Event], index: usize) -> bool {
    let taken = |before: &usize| {
        let (event, open) = (run[*before], at_work(&run[..*before]));
        let ended = (event.kind == End).then(|| ended_by(&run[..*before], &open, event.agent)).flatten();
        ended.is_some_and(|ended| open[ended] == run[index].agent && event.agent != run[index].agent)
    };
    let first = run[..index].iter().rev().take_while(|event| event.kind != Start).all(|event| *event != run[index]);
    run[index].kind == End && first && (0..index).any(|before| taken(&before))
}

/// Starts of agents that are at work, second ends of agents, calls and results whose id came before.
fn repeated(run: &[Event]) -> Vec<usize> {
    let again = |index: &usize| {
        let (event, before) = (run[*index], &run[..*index]);
        let last = |kind| before.iter().rposition(|other| (other.kind, other.agent) == (kind, event.agent));
        match event.kind {
            Start => at_work(before).contains(&event.agent),
            // An end that names nobody is that of whoever is at work.
            End => last(End) > last(Start) && (event.agent.is_some() || at_work(before).is_empty()),
            Call | Result => event.call.is_some() && before.contains(&event),
            Think => false,
        }
    };
    (0..run.len()).filter(again).collect()
}

/// Whether a result may be that of a call.
fn fit(call: Event, result: Event) -> bool {
    match (call.call, result.call, call.tool, result.tool) {
        (Some(mine), Some(theirs), ..) => mine == theirs,
        (_, _, Some(mine), Some(theirs)) => mine == theirs,
        _ => true,
    }
}

/// The least number of calls and results that stay alone, over all ways of pairing them: calls with later results or,
/// unless that is asked, with earlier ones. Late ones, which are wrong for being late, may be another's half and count
/// for nothing.
fn alone(tools: &[(Event, bool)], ordered: bool) -> usize {
    let Some(((first, late), rest)) = tools.split_first() else { return 0 };
    let without = |index: usize| [&rest[..index], &rest[index + 1..]].concat();
    let pairs = |other: Event| match (first.kind, other.kind) {
        (Call, Result) => fit(*first, other),
        (Result, Call) => !ordered && fit(other, *first),
        _ => false,
    };
    let paired = (0..rest.len()).filter(|index| pairs(rest[*index].0)).map(|index| alone(&without(index), ordered));
    paired.min().unwrap_or(usize::MAX).min(usize::from(!late) + alone(rest, ordered))
}

/// What is wrong with a run, as a list of rules.
fn diagnose(preset: Preset, run: &[Event]) -> Vec<Rule> {
    let again = repeated(run);
    // What is said twice counts once in everything else.
    let once = run.iter().enumerate().filter(|(index, _)| !again.contains(index)).map(|(_, event)| *event);
    let run = &once.collect::<Vec<_>>()[..];
    let count = |kind| run.iter().filter(|event| event.kind == kind).count();
    let first = |kind| run.iter().position(|event| event.kind == kind);
    let mut rules = Vec::new();
    let over = length(run);
    let whole = &run[..over.unwrap_or(run.len())];
    rules.extend(vec![Rule::DuplicateEvent; again.len()]);
    // What stands before the first start is one thing, and so is a call before the first thought.
    let begins_early = first(Start).is_some_and(|start| start > 0);
    let calls_early = first(Call).zip(first(Think)).is_some_and(|(call, think)| call < think);
    rules.extend(vec![Rule::OutOfOrder; usize::from(begins_early)]);
    rules.extend(vec![Rule::OutOfOrder; usize::from(calls_early && !(begins_early && first(Call) == Some(0)))]);
    let Some(over) = over else {
        rules.push(if run.is_empty() { Rule::NeverStarted } else { Rule::Stalled });
        return rules;
    };
    rules.extend(vec![Rule::LateEvent; (over..run.len()).filter(|index| !told_again(run, *index)).count()]);
    let asked =
        if preset == Preset::ToolsOptional { vec![Start, Think, End] } else { vec![Start, Think, Call, Result, End] };
    let missing: Vec<Kind> = asked.into_iter().filter(|kind| count(*kind) == 0).collect();
    rules.extend(vec![Rule::MissingEvent; usize::from(!missing.is_empty())]);
    if !missing.iter().any(|kind| matches!(kind, Call | Result)) {
        let all = run.iter().enumerate().map(|(index, event)| (*event, index >= over));
        let tools: Vec<_> = all.filter(|(event, _)| matches!(event.kind, Call | Result)).collect();
        let single = alone(&tools, false);
        rules.extend(vec![Rule::UnpairedTool; single]);
        // Pairs that only hold if a result may come before its call.
        rules.extend(vec![Rule::OutOfOrder; (alone(&tools, true) - single) / 2]);
    }
    let names: BTreeSet<u8> =
        whole.iter().filter(|event| event.kind == Start).filter_map(|event| event.agent).collect();
    let agents = names.len().max(usize::from(count(Start) > 0));
    rules.extend(vec![Rule::WrongCount; usize::from(preset == Preset::Supervisor && agents < 2)]);
    rules.sort();
    rules
}

// ---------------------------------------------------------------------------------------------------------------------
// The judge

fn spelled(event: &Event, more: &str) -> String {
    let kind = match event.kind {
        Start => "agent_started",
        Think => "agent_thinking",
        Call => "tool_executing",
        Result => "tool_completed",
        End => "agent_completed",
    };
    let name = |prefix: &str, of: Option<u8>| of.map_or("-".to_owned(), |of| format!("{prefix}{of}"));
    let called = event.call.map(|call| format!(" call=c-{call}")).unwrap_or_default();
    let of = if matches!(event.kind, Call | Result) { name("tool_", event.tool) } else { name("agent_", event.agent) };
    format!("< {kind} {of}{called}{more}\n")
}

/// The run as a case for the trace notation; of two users if a second one is needed to leak from.
fn case(preset: Preset, lines: &str, users: usize) -> String {
    let events = match preset {
        Preset::GoldenPath => "golden-path",
        Preset::ToolsOptional => "golden-path-tools-optional",
        Preset::Supervisor => "supervisor",
    };
    let header = format!("# generated\nusers: {users}\nexpect: {{ events: {events} }}\n---\n* ready\n* asks\n");
    let whole = "2 < agent_started agent_0\n2 < agent_thinking\n2 < tool_executing tool_0\n2 < tool_completed tool_0\n\
                 2 < agent_started agent_1\n2 < agent_completed agent_1\n2 < agent_completed agent_0\n";
    if users == 1 { format!("{header}{lines}") } else { format!("{header}{}{whole}", lines.replace("< ", "1 < ")) }
}

/// The rules that the judge finds broken, each as often as it says so, notes included.
fn judged(text: &str, wrap: Wrap) -> Vec<Rule> {
    let case = notation::parse("generated".to_owned(), text);
    let judged = judge(&case, &expectations(&case), wrap, Looks::Rarely);
    let rules = judged.conclusion.judgement.findings.rules();
    rules.flat_map(|(rule, count, ..)| vec![rule; count as usize]).collect()
}

fn lines(run: &[Event]) -> String {
    run.iter().map(|event| spelled(event, "")).collect()
}

// ---------------------------------------------------------------------------------------------------------------------
// Generating

fn event() -> impl Strategy<Value = Event> {
    let kind = prop_oneof![2 => Just(Start), 2 => Just(Think), 3 => Just(Call), 3 => Just(Result), 3 => Just(End)];
    let told = || prop_oneof![1 => Just(None), 4 => (0_u8..2).prop_map(Some)];
    let called = prop_oneof![2 => Just(None), 1 => (0_u8..3).prop_map(Some)];
    (kind, told(), told(), called).prop_map(|(kind, agent, tool, call)| Event {
        kind,
        agent: agent.filter(|_| matches!(kind, Start | End)),
        tool: tool.filter(|_| matches!(kind, Call | Result)),
        call: call.filter(|_| matches!(kind, Call | Result)),
    })
}

/// A legal run: agents within agents, thoughts anywhere, tools that overlap.
fn legal() -> impl Strategy<Value = Vec<Event>> {
    let tools = proptest::collection::vec((any::<bool>(), any::<Index>(), any::<Index>()), 1..4);
    let subs = proptest::collection::vec((any::<Index>(), any::<Index>()), 0..3);
    let thoughts = proptest::collection::vec(any::<Index>(), 0..3);
    (any::<bool>(), tools, subs, thoughts).prop_map(|(named, tools, subs, thoughts)| {
        let plain = |kind| Event { kind, agent: None, tool: None, call: None };
        let mut run = Vec::new();
        for (number, (by_id, called, done)) in (0..).zip(tools) {
            let tool = |kind| Event { tool: Some(number % 2), call: by_id.then_some(number), ..plain(kind) };
            let called = called.index(run.len() + 1);
            run.insert(called, tool(Call));
            run.insert(called + 1 + done.index(run.len() - called), tool(Result));
        }
        for (number, (from, to)) in (1..).zip(subs) {
            let agent = |kind| Event { agent: Some(number), ..plain(kind) };
            let from = from.index(run.len() + 1);
            run.insert(from, agent(Start));
            run.insert(from + 1 + to.index(run.len() - from), agent(End));
        }
        thoughts.iter().for_each(|at| run.insert(at.index(run.len() + 1), plain(Think)));
        let root = |kind| Event { agent: named.then_some(0), ..plain(kind) };
        run.insert(0, plain(Think));
        run.insert(0, root(Start));
        run.push(root(End));
        run
    })
}

/// Envelopes that have a place for call ids.
const TELL_CALLS: [Wrap; 7] = [Wrap::A, Wrap::B, Wrap::C, Wrap::D, Wrap::E, Wrap::F, Wrap::I];

/// The presets of the golden path.
const PRESETS: [Preset; 3] = [Preset::GoldenPath, Preset::ToolsOptional, Preset::Supervisor];

/// Envelopes that have a place for users and runs besides.
const TELL_ALL: [Wrap; 5] = [Wrap::A, Wrap::B, Wrap::C, Wrap::E, Wrap::I];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The generator makes what the model calls legal, and the judge is silent on it in every envelope that tells
    /// calls.
    #[test]
    fn legal_runs_are_legal_to_model_and_judge(run in legal(), wrap in prop::sample::select(&TELL_CALLS)) {
        prop_assert_eq!(diagnose(Preset::GoldenPath, &run), vec![]);
        let text = case(Preset::GoldenPath, &lines(&run), 1);
        prop_assert_eq!(judged(&text, wrap), vec![], "{}", text);
    }

    /// Whatever comes: the judge finds something wrong with it if and only if the model does.
    #[test]
    fn any_run_is_as_legal_to_the_judge_as_to_the_model(
        run in proptest::collection::vec(event(), 0..8),
        preset in prop::sample::select(&PRESETS),
    ) {
        let text = case(preset, &lines(&run), 1);
        let (told, expected) = (judged(&text, Wrap::C), diagnose(preset, &run));
        prop_assert_eq!(told.is_empty(), expected.is_empty(), "{}judge {:?}\nmodel {:?}", text, told, expected);
    }

    /// A few edits of a legal run come closer to the border than chance does.
    #[test]
    fn an_edited_run_is_as_legal_to_the_judge_as_to_the_model(
        run in legal(),
        edits in proptest::collection::vec((0..5_usize, any::<Index>(), any::<Index>(), event()), 0..4),
        preset in prop::sample::select(&PRESETS),
    ) {
        let mut run = run;
        for (edit, from, to, event) in edits {
            if run.is_empty() {
                break;
            }
            let (from, to) = (from.index(run.len()), to.index(run.len()));
            match edit {
                0 => drop(run.remove(from)),
                1 => run.insert(to, run[from]),
                2 => run.swap(from, to),
                3 => run.insert(to, event),
                _ => run[from] = event,
            }
        }
        let text = case(preset, &lines(&run), 1);
        let (told, expected) = (judged(&text, Wrap::C), diagnose(preset, &run));
        prop_assert_eq!(told.is_empty(), expected.is_empty(), "{}judge {:?}\nmodel {:?}", text, told, expected);
    }

    /// When anybody looks changes nothing: neither for what is in time, nor for what is late, nor for what was seen
    /// late.
    #[test]
    fn timer_calls_between_reads_change_nothing(
        run in legal(),
        which in prop::sample::select(&Mutation::ALL),
        at in any::<Index>(),
        pauses in proptest::collection::vec((any::<Index>(), 1_u32..140, any::<bool>()), 0..4),
    ) {
        let (lines, _) = which.of(&run, at.index(run.len()));
        let mut lines: Vec<String> = lines.lines().map(str::to_owned).collect();
        for (at, seconds, unread) in pauses {
            lines.insert(at.index(lines.len() + 1), format!("... {seconds}s{}", if unread { " unread" } else { "" }));
        }
        let text = case(Preset::GoldenPath, &(lines.join("\n") + "\n"), 2);
        let case = notation::parse("generated".to_owned(), &text);
        let expect = expectations(&case);
        let looked = |looks| judge(&case, &expect, Wrap::A, looks).judgement;
        prop_assert_eq!(looked(Looks::Rarely), looked(Looks::Often), "{}", text);
    }

    /// One change to a legal run shows exactly what it makes wrong: what the model says of the order, and what the
    /// change itself is.
    #[test]
    fn each_single_mutation_shows_what_it_names(
        run in legal(),
        which in prop::sample::select(&Mutation::ALL),
        at in any::<Index>(),
        wrap in prop::sample::select(&TELL_ALL),
    ) {
        let (lines, mut expected) = which.of(&run, at.index(run.len()));
        expected.sort();
        let text = case(Preset::GoldenPath, &lines, 2);
        prop_assert_eq!(judged(&text, wrap), expected, "{:?}\n{}", which, text);
    }
}

/// One change to a legal run.
#[derive(Debug, Clone, Copy)]
enum Mutation {
    Drop,
    Duplicate,
    Swap,
    Rename,
    Corrupt,
    ForeignUser,
    ForeignRun,
    ForeignMark,
    ForeignExecution,
    Late,
}

impl Mutation {
    const ALL: [Mutation; 10] = [
        Mutation::Drop,
        Mutation::Duplicate,
        Mutation::Swap,
        Mutation::Rename,
        Mutation::Corrupt,
        Mutation::ForeignUser,
        Mutation::ForeignRun,
        Mutation::ForeignMark,
        Mutation::ForeignExecution,
        Mutation::Late,
    ];

    /// The lines of the changed run, and the rules that they break.
    fn of(self, run: &[Event], at: usize) -> (String, Vec<Rule>) {
        let said = |of: &[Event]| of.iter().map(|event| spelled(event, "")).collect::<Vec<_>>();
        let order = |of: &[Event]| diagnose(Preset::GoldenPath, of);
        let without = [&run[..at], &run[at + 1..]].concat();
        let with = |line: String, rules: Vec<Rule>| {
            let mut lines = said(run);
            lines[at] = line;
            (lines.concat(), rules)
        };
        let changed = |changed: Vec<Event>| (said(&changed).concat(), order(&changed));
        match self {
            Mutation::Drop => changed(without),
            Mutation::Duplicate => changed([&run[..=at], &run[at..]].concat()),
            Mutation::Swap => {
                let mut swapped = run.to_vec();
                swapped.swap(at, at.saturating_sub(1));
                changed(swapped)
            }
            Mutation::Rename => with("< reasoning\n".to_owned(), order(&without)),
            Mutation::Corrupt => {
                let mut rules = order(&without);
                // What could not be read explains one thing that is out of place or lacking.
                let explained = [Rule::OutOfOrder, Rule::MissingEvent, Rule::UnpairedTool];
                let explained = explained.iter().find_map(|rule| rules.iter().position(|other| other == rule));
                explained.map(|index| rules.remove(index));
                rules.push(Rule::MalformedFrame);
                with("< text {\"type\":\"agent_th\n".to_owned(), rules)
            }
            Mutation::ForeignUser => with(spelled(&run[at], " user=u-2"), vec![Rule::ForeignIdentity]),
            Mutation::ForeignRun => {
                // It is the other's by everything it says, so it is no event of this run.
                let rules = [order(&without), vec![Rule::ForeignIdentity]].concat();
                with(spelled(&run[at], " user=u-2 run=r-2"), rules)
            }
            Mutation::ForeignMark => with(spelled(&run[at], " note=\"${canary 2}\""), vec![Rule::ForeignCanary]),
            Mutation::ForeignExecution => {
                with(spelled(&run[at], " note=\"${canary elsewhere}\""), vec![Rule::ForeignExecution])
            }
            Mutation::Late => {
                let late = Event { kind: Think, agent: None, tool: None, call: None };
                changed([run, &[late]].concat())
            }
        }
    }
}
