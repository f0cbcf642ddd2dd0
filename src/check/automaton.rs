//! One run of an agent, walked along a grammar.
//!
//! It is told the events of one run in the order of their arrival and says what was wrong with that order: at once where one
//! event shows it, at the end where only the whole run does. After a violation it goes on as if the event had stood where
//! it belongs, so that one cause is one deviation. It knows neither time limits nor users nor answers.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

use foldhash::quality::FixedState;

use crate::event::Envelope;
use crate::expect::{Grammar, Role};
use crate::finding::Deviation;
use crate::time::Stamp;

/// One event of a run, as far as its order is concerned.
#[derive(Debug, Clone, Copy)]
pub struct RunEvent<'a> {
    /// Index into the grammar's symbols.
    pub symbol: usize,
    /// How it was wrapped.
    pub envelope: Envelope,
    /// The agent that speaks.
    pub agent: Option<&'a str>,
    /// The tool's name.
    pub tool: Option<&'a str>,
    /// The id that pairs a call with its result.
    pub call: Option<&'a str>,
    /// The event's own id.
    pub event_id: Option<&'a str>,
    /// When it arrived, at the earliest and at the latest.
    pub arrived: (Stamp, Stamp),
    /// It came in a batch whose order means nothing.
    pub unordered: bool,
    /// The target says that it was not delivered when it happened; its place among the others means nothing.
    pub replayed: bool,
}

/// What one event did.
#[derive(Debug, Default, PartialEq)]
pub struct Step {
    /// What it showed at once; rarely anything, so that a step is passed on in a few registers.
    pub deviation: Option<Box<Deviation>>,
    /// It came before one that must precede it, of which a deviation will tell when that one comes.
    pub early: bool,
    /// It was a repetition and changed nothing.
    pub repeated: bool,
    /// It came after the end, and rightly so: another sender tells the end of the same run.
    pub echo: bool,
    /// It completed a tool call that began at this time (earliest, latest).
    pub tool_called: Option<(Stamp, Stamp)>,
    /// It ended an agent, and every agent that started has now ended.
    pub over: bool,
}

/// The state of one run.
#[derive(Debug, Default)]
pub struct Automaton {
    counts: Vec<u32>,
    agents: Vec<Agent>,
    calls: Vec<Call>,
    /// How many calls came.
    called: u32,
    /// Results whose call has not come.
    orphans: Vec<Tool>,
    /// Pairs that may be others.
    guessed: Vec<Guess>,
    /// Pairs whose result came before the call.
    inverted: Vec<(Tool, Call)>,
    /// Texts of calls that are complete and of agents that were, whose room the next ones take.
    spare: Vec<String>,
    /// Symbols that came before one that must precede them, with that one; settled when it comes or the run ends.
    early: Vec<(usize, usize)>,
    /// What has been seen, to recognise repetitions.
    seen: HashSet<u64, BuildHasherDefault<Hashed>>,
    /// Any event has come.
    begun: bool,
    over: bool,
}

#[derive(Debug)]
struct Agent {
    name: Option<String>,
    /// The `plain_hash` of its name, by which it is told from others.
    key: Option<u64>,
    open: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Tool<T = String> {
    pair: u8,
    call: Option<T>,
    name: Option<T>,
    replayed: bool,
}

#[derive(Debug, Clone)]
struct Call {
    tool: Tool,
    called: (Stamp, Stamp),
    /// How many calls came before it.
    number: u32,
}

/// A pair of which call or result has no call id.
#[derive(Debug)]
struct Guess {
    call: Call,
    result: Tool,
    /// How many calls came before the result.
    calls: u32,
}

impl<'a> Tool<&'a str> {
    fn of(pair: u8, event: &RunEvent<'a>) -> Tool<&'a str> {
        Tool { pair, call: event.call, name: event.tool, replayed: event.replayed }
    }

    /// The same, in room that is to spare.
    fn kept(self, spare: &mut Vec<String>) -> Tool {
        let mut keep = |text: &str| kept(text, spare);
        Tool { pair: self.pair, call: self.call.map(&mut keep), name: self.name.map(keep), replayed: self.replayed }
    }
}

/// `text`, in room that is to spare.
fn kept(text: &str, spare: &mut Vec<String>) -> String {
    let mut kept = spare.pop().unwrap_or_default();
    text.clone_into(&mut kept);
    kept
}

impl Tool {
    /// How well this and `other` are one tool, more is better: by call id where both have one, else by name where both have
    /// one; a tool that tells neither fits any. Of several that fit equally, what tells as much about itself fits best.
    fn fits(&self, other: &Tool<impl AsRef<str>>) -> Option<u8> {
        if self.pair != other.pair {
            return None;
        }
        let alike = u8::from(self.call.is_some() == other.call.is_some());
        let (name, other_name) = (self.name.as_deref(), other.name.as_ref().map(AsRef::as_ref));
        match (self.call.as_deref(), other.call.as_ref().map(AsRef::as_ref), name, other_name) {
            (Some(mine), Some(theirs), _, _) => (mine == theirs).then_some(5 + u8::from(name == other_name)),
            (_, _, Some(mine), Some(theirs)) => (mine == theirs).then_some(3 + alike),
            _ => Some(1 + alike),
        }
    }

    fn label(&self) -> String {
        self.name.clone().or_else(|| self.call.clone()).unwrap_or_else(|| "without a name".to_owned())
    }
}

/// Room for what a run of some twenty events shows, rather than step by step.
const SEEN: usize = 56;
/// How many texts are kept for the room they take.
const SPARE: usize = 16;

impl Automaton {
    /// No event has come.
    pub fn new() -> Automaton {
        Automaton {
            seen: HashSet::with_capacity_and_hasher(SEEN, BuildHasherDefault::default()),
            ..Automaton::default()
        }
    }

    /// As `new`, in the room of one whose run is over.
    pub fn again(mut self) -> Automaton {
        if self.seen.capacity() > 4 * SEEN {
            return Automaton::new();
        }
        self.counts.clear();
        self.spare.extend(self.agents.drain(..).filter_map(|agent| agent.name));
        let tools = self.guessed.drain(..).flat_map(|guess| [guess.call.tool, guess.result]);
        self.spare.extend(tools.flat_map(|tool| [tool.call, tool.name]).flatten());
        self.spare.truncate(SPARE);
        self.calls.clear();
        self.seen.clear();
        let Automaton { counts, agents, calls, guessed, spare, seen, .. } = self;
        Automaton { counts, agents, calls, guessed, spare, seen, ..Automaton::default() }
    }

    /// Takes the next event of the run.
    pub fn event(&mut self, grammar: &Grammar, names: &dyn Fn(usize) -> String, event: &RunEvent<'_>) -> Step {
        self.counts.resize(grammar.symbols.len(), 0);
        let symbol = &grammar.symbols[event.symbol];
        let agent = if matches!(symbol.role, Role::Start | Role::End) { self.key_of(event.agent) } else { None };
        if let Some(deviation) = self.repetition(symbol.role, names, event, agent) {
            return Step { deviation, repeated: true, ..Step::default() };
        }
        let deviation = self.order(grammar, names, event);
        let early =
            self.early.last().is_some_and(|(early, _)| *early == event.symbol) && self.counts[event.symbol] == 0;
        let mut step = Step { deviation, early, ..Step::default() };
        self.counts[event.symbol] += 1;
        self.begun = true;
        if let Some(most) = symbol.max
            && self.counts[event.symbol] == most + 1
        {
            // Reported with the first that is too many; how many there are in the end says no more about the cause.
            let (event, count) = (names(event.symbol), u64::from(most) + 1);
            let deviation = Deviation::WrongCount { event, count, limit: u64::from(most), few: false };
            step.deviation = Some(Box::new(deviation));
        }
        match symbol.role {
            Role::Start => self.start(event.agent, agent),
            Role::Step => {}
            Role::Call => self.call(symbol.pair, event),
            Role::Result => {
                step.tool_called = self.result(symbol.pair, event).filter(|_| symbol.pair == 0);
            }
            Role::End => {
                self.seen.insert(hash(&("ended", event.envelope)));
                self.end(agent);
                step.over = !self.over && self.ended(grammar);
                self.over |= step.over;
            }
        }
        step
    }

    /// Every agent that started has ended, and every end that must come has come.
    fn ended(&self, grammar: &Grammar) -> bool {
        let mut ends = self.symbols_of(grammar, Role::End);
        self.agents.iter().all(|agent| !agent.open)
            && ends.all(|index| self.counts[index] >= grammar.symbols[index].min)
    }

    /// Takes an event that came after the run was over. It may complete what was open; it opens nothing, for its being late is
    /// all that is wrong with it.
    pub fn late(&mut self, grammar: &Grammar, names: &dyn Fn(usize) -> String, event: &RunEvent<'_>) -> Step {
        let symbol = &grammar.symbols[event.symbol];
        let name = self.key_of(event.agent);
        let known = self.agents.iter().any(|agent| agent.key == name);
        if let Some(deviation) = self.repetition(symbol.role, names, event, name) {
            return Step { deviation, repeated: true, ..Step::default() };
        }
        self.counts.resize(grammar.symbols.len(), 0);
        self.counts[event.symbol] += 1;
        self.begun = true;
        let tool = Tool::of(symbol.pair, event);
        match symbol.role {
            Role::Call => drop(take(&mut self.orphans, |orphan| orphan.fits(&tool))),
            Role::Result => drop(take(&mut self.calls, |call| call.tool.fits(&tool))),
            Role::Start | Role::Step | Role::End => {}
        }
        // Several senders of one run each tell its end: in one envelope each, or under one name each. A second end of one
        // agent by its name in one envelope was a repetition.
        let echo = symbol.role == Role::End && (self.seen.insert(hash(&("ended", event.envelope))) || known);
        Step { echo: echo || grammar.free || event.replayed, ..Step::default() }
    }

    /// Symbols that the grammar demands and that have not come often enough.
    pub fn missing(&self, grammar: &Grammar) -> Vec<usize> {
        let count = |index: usize| self.counts.get(index).copied().unwrap_or(0);
        (0..grammar.symbols.len()).filter(|index| count(*index) < grammar.symbols[*index].min).collect()
    }

    /// The symbols that came.
    pub fn came(&self) -> impl Iterator<Item = usize> {
        self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(symbol, _)| symbol)
    }

    /// The names of the agents that have started and not ended; `None` for one without a name.
    pub fn at_work(&self) -> impl Iterator<Item = Option<&str>> {
        self.agents.iter().filter(|agent| agent.open).map(|agent| agent.name.as_deref())
    }

    /// Any event of the grammar has come.
    pub fn begun(&self) -> bool {
        self.begun
    }

    /// What only the whole run shows, after its last event. Where an event that must come never did, its pairs are not judged
    /// besides: a run without any result lacks the event, not a pair.
    pub fn conclude(&self, grammar: &Grammar, names: &dyn Fn(usize) -> String) -> Vec<Deviation> {
        let mut deviations = Vec::new();
        let count = |index: usize| self.counts.get(index).copied().unwrap_or(0);
        let (few, missing): (Vec<_>, Vec<_>) = self.missing(grammar).into_iter().partition(|index| count(*index) > 0);
        if !missing.is_empty() {
            let names = missing.iter().map(|index| names(*index)).collect();
            deviations.push(Deviation::MissingEvent { names, instead: Vec::new() });
        }
        deviations.extend(few.into_iter().map(|index| {
            let (count, limit) = (u64::from(count(index)), u64::from(grammar.symbols[index].min));
            Deviation::WrongCount { event: names(index), count, limit, few: true }
        }));
        let agents = if grammar.min_agents == 0 { 0 } else { self.agent_names() };
        if agents < u64::from(grammar.min_agents) {
            let (event, limit) = ("an agent of its own name".to_owned(), u64::from(grammar.min_agents));
            deviations.push(Deviation::WrongCount { event, count: agents, limit, few: true });
        }
        let lacking = |role, pair| {
            let mut symbols = self.symbols_of(grammar, role).filter(|index| grammar.symbols[*index].pair == pair);
            symbols.any(|index| count(index) == 0 && grammar.symbols[index].min > 0)
        };
        let first = |role, pair| {
            let mut symbols = self.symbols_of(grammar, role).filter(|index| grammar.symbols[*index].pair == pair);
            symbols.next().map(names).unwrap_or_default()
        };
        let unpaired = |tool: &Tool, called| {
            let other = if called { Role::Result } else { Role::Call };
            let lacks = (tool.pair > 0).then(|| first(other, tool.pair));
            Deviation::UnpairedTool { tool: tool.label(), called, lacks }
        };
        let unfinished = self.calls.iter().map(|call| &call.tool).filter(|tool| !lacking(Role::Result, tool.pair));
        deviations.extend(unfinished.filter(|tool| !tool.replayed).map(|tool| unpaired(tool, true)));
        let orphans = self.orphans.iter().filter(|tool| !lacking(Role::Call, tool.pair) && !tool.replayed);
        deviations.extend(orphans.map(|tool| unpaired(tool, false)));
        if !grammar.free {
            let inverted = self.inverted.iter().map(|(orphan, _)| orphan).filter(|orphan| !orphan.replayed);
            deviations.extend(inverted.map(|orphan| Deviation::OutOfOrder {
                event: first(Role::Result, orphan.pair),
                before: first(Role::Call, orphan.pair),
            }));
        }
        deviations
    }

    /// How many agents started, told by name; agents without a name are one, unless others have names.
    fn agent_names(&self) -> u64 {
        let mut names: Vec<u64> = self.agents.iter().filter_map(|agent| agent.key).collect();
        names.sort_unstable();
        names.dedup();
        (names.len() as u64).max(u64::from(!self.agents.is_empty()))
    }

    fn symbols_of<'g>(&self, grammar: &'g Grammar, role: Role) -> impl Iterator<Item = usize> + use<'g> {
        grammar.symbols.iter().enumerate().filter(move |(_, symbol)| symbol.role == role).map(|(index, _)| index)
    }

    /// Whether `event` repeats one that came before, and what is to be said of it. A repetition with the event id of the first is
    /// a retry that its receiver can recognise, which is legal. Else starts and ends repeat by their agent, calls and
    /// results by their call id and tool, each in one envelope (several envelopes for one event are how several senders look, and
    /// are not a repetition).
    fn repetition(
        &mut self,
        role: Role,
        names: &dyn Fn(usize) -> String,
        event: &RunEvent<'_>,
        key: Option<u64>,
    ) -> Option<Option<Box<Deviation>>> {
        if let Some(id) = event.event_id
            && !self.seen.insert(hash(&(event.symbol, "id", id, event.agent, event.tool, event.call)))
        {
            let (event, id) = (names(event.symbol), id.to_owned());
            return Some(Some(Box::new(Deviation::RedeliveredEvent { event, id })));
        }
        let (again, anywhere) = match role {
            Role::Step => return None,
            Role::Start | Role::End => {
                // A sub-agent may be started again after it ended, and then end again.
                let round = self.agents.iter().filter(|known| known.key == key).count();
                let open = self.agents.iter().any(|known| known.open && known.key == key);
                let round = if role == Role::Start && !open { round + 1 } else { round };
                // As it is spelled: an orchestrator and its supervisor are one agent, and each tells its starts and ends.
                let agent = event.agent;
                self.seen_so((event.symbol, "round", agent, round), event.envelope)
            }
            Role::Call | Role::Result => {
                let call = event.call?;
                // Agents that number their calls each from the beginning have ids in common, but rarely tools.
                self.seen_so((event.symbol, "call", call, event.tool), event.envelope)
            }
        };
        if event.replayed {
            // What was delivered once and is replayed is no news; the replay itself is told by who calls.
            return anywhere.then_some(None);
        }
        // In a batch an agent may have ended and started again, in either order; an end that names nobody is that of whoever is
        // at work.
        let agent = matches!(role, Role::Start | Role::End);
        let another = role == Role::End && event.agent.is_none() && self.agents.iter().any(|known| known.open);
        (again && !(agent && event.unordered) && !another).then(|| {
            let of = match event.call.filter(|_| !agent) {
                Some(call) => format!("call {call}"),
                None => event.agent.unwrap_or_default().to_owned(),
            };
            Some(Box::new(Deviation::DuplicateEvent { event: names(event.symbol), of }))
        })
    }

    /// Whether `what` was seen before in this envelope, and in any.
    fn seen_so(&mut self, what: impl Hash, envelope: Envelope) -> (bool, bool) {
        let anywhere = hash(&what);
        (!self.seen.insert(hash(&(anywhere, envelope))), !self.seen.insert(anywhere))
    }

    /// Whether `event` settles an earlier suspicion; notes a new one.
    fn order(
        &mut self,
        grammar: &Grammar,
        names: &dyn Fn(usize) -> String,
        event: &RunEvent<'_>,
    ) -> Option<Box<Deviation>> {
        let symbol = event.symbol;
        if grammar.free || self.counts[symbol] > 0 {
            return None;
        }
        let early = self.early.iter().position(|(_, awaited)| *awaited == symbol).map(|at| self.early[at].0);
        let starts = self.symbols_of(grammar, Role::Start).map(|start| (start, symbol));
        let before = grammar.before.iter().map(|before| (before.first, before.then));
        for (first, then) in starts.chain(before) {
            // The first suspicion is the cause; what follows it before the awaited event is its consequence.
            let known = self.early.iter().any(|(_, awaited)| *awaited == first);
            if then == symbol && first != symbol && self.counts[first] == 0 && !known && !event.replayed {
                self.early.push((symbol, first));
                // Whatever else it came before, it is one event too early.
                break;
            }
        }
        self.early.retain(|(_, awaited)| *awaited != symbol);
        let early = early.filter(|_| !event.replayed)?;
        Some(Box::new(Deviation::OutOfOrder { event: names(early), before: names(symbol) }))
    }

    /// By what the agent of this name is told from others; one that is known as it is spelled need not be spelled out.
    fn key_of(&self, name: Option<&str>) -> Option<u64> {
        let known = self.agents.iter().find(|agent| agent.name.as_deref() == name);
        known.map_or_else(|| name.map(plain_hash), |agent| agent.key)
    }

    fn start(&mut self, name: Option<&str>, key: Option<u64>) {
        if !self.agents.iter().any(|agent| agent.open && agent.key == key) {
            let name = name.map(|name| kept(name, &mut self.spare));
            self.agents.push(Agent { name, key, open: true });
        }
    }

    /// Closes the agent of that key; else one without a name; else, for an end without a name, the last that is open. An end
    /// that names an agent which never started closes the only agent there is: it was started under another name. One that
    /// names an agent which has ended closes nothing: it is another sender's word for the same end.
    fn end(&mut self, key: Option<u64>) {
        let open = |agent: &Agent| agent.open;
        let named = self.agents.iter().position(|agent| open(agent) && agent.key == key);
        if named.is_none() && key.is_some() && self.agents.iter().any(|agent| agent.key == key) {
            return;
        }
        let unnamed = || self.agents.iter().position(|agent| open(agent) && agent.key.is_none());
        let last = || self.agents.iter().rposition(open);
        let only = || {
            let mut all = self.agents.iter().enumerate().filter(|(_, agent)| open(agent));
            all.next().filter(|_| all.next().is_none()).map(|(index, _)| index)
        };
        let closes = named.or_else(unnamed).or_else(|| if key.is_none() { last() } else { only() });
        if let Some(index) = closes {
            self.agents[index].open = false;
        }
    }

    fn call(&mut self, pair: u8, event: &RunEvent<'_>) {
        let tool = Tool::of(pair, event).kept(&mut self.spare);
        let call = Call { tool, called: event.arrived, number: self.called };
        self.called += 1;
        match take(&mut self.orphans, |orphan| orphan.fits(&call.tool)) {
            Some(orphan) => self.inverted.push((orphan, call)),
            None => self.calls.push(call),
        }
    }

    fn result(&mut self, pair: u8, event: &RunEvent<'_>) -> Option<(Stamp, Stamp)> {
        let tool = Tool::of(pair, event);
        if let Some(call) = take(&mut self.calls, |call| call.tool.fits(&tool)) {
            let called = call.called;
            if call.tool.call.is_none() || tool.call.is_none() {
                self.guessed.push(Guess { call, result: tool.kept(&mut self.spare), calls: self.called });
            } else {
                self.spare.extend([call.tool.call, call.tool.name].into_iter().flatten());
            }
            return Some(called);
        }
        // The call of a result that told no id may have been another one, which leaves its own to this result.
        for Guess { call, result, calls } in &mut self.guessed {
            let fits = |other: &Call| other.tool.fits(result).filter(|_| other.number < *calls);
            if call.tool.fits(&tool).is_some()
                && let Some(other) = take(&mut self.calls, fits)
            {
                return Some(std::mem::replace(call, other).called);
            }
        }
        // A result, a call, a result: not two results and a late call, but a first call that never came.
        let guessed = |(orphan, call): &(Tool, Call)| {
            call.tool.fits(&tool).filter(|_| orphan.call.is_none() || call.tool.call.is_none())
        };
        if let Some((orphan, call)) = take(&mut self.inverted, guessed) {
            self.orphans.push(orphan);
            return Some(call.called);
        }
        self.orphans.push(tool.kept(&mut self.spare));
        None
    }
}

/// The letters and digits of a name, in lower case; all of it if it has none. Agents are named without regard to case and
/// separators: one backend spells its orchestrator `supervisor` and `Supervisor`, and another its agents `data_agent` and
/// `DataAgent`.
fn plain(name: &str) -> impl Iterator<Item = char> {
    let bare = name.chars().any(char::is_alphanumeric);
    name.chars().filter(move |c| c.is_alphanumeric() || !bare).map(|c| c.to_ascii_lowercase())
}

/// FNV-1a (draft-eastlake-fnv), which is quick on names of a few letters.
fn plain_hash(name: &str) -> u64 {
    plain(name).fold(0xcbf2_9ce4_8422_2325, |hash, c| (hash ^ u64::from(u32::from(c))).wrapping_mul(0x0100_0000_01b3))
}

/// The hasher of what is a hash itself.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Removes the first of those that fit best.
fn take<T>(from: &mut Vec<T>, fits: impl Fn(&T) -> Option<u8>) -> Option<T> {
    let fitting = from.iter().enumerate().filter_map(|(index, one)| fits(one).map(|how| (index, how)));
    let (index, _) = fitting.reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    Some(from.remove(index))
}

/// All 64 bits are of use, so that different events are hardly ever taken for the same; nobody keeps it beyond the run.
fn hash(value: &impl Hash) -> u64 {
    FixedState::with_seed(0).hash_one(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::KindId;

    /// Walks a run written as words: `start`, `think`, `call`, `result`, `end`, each with `:agent`, `:tool` or `:tool#id`.
    fn walk(words: &str) -> (Vec<String>, bool) {
        let mut used = Automaton::new();
        walk_in(
            &mut used,
            "think:a call result call:x result:x call:y start:b call:z#1 result result:x end:a call:y call result",
        );
        let walked = walk_in(&mut Automaton::new(), words);
        assert_eq!(walk_in(&mut used.again(), words), walked, "in the room of another run");
        walked
    }

    fn walk_in(automaton: &mut Automaton, words: &str) -> (Vec<String>, bool) {
        let mut next = 0;
        let grammar = Grammar::golden_path(|_| {
            next += 1;
            KindId(next - 1)
        });
        let names = |index: usize| ["start", "think", "call", "result", "end"][index].to_owned();
        let (mut deviations, mut over) = (Vec::new(), false);
        for (at, word) in words.split_whitespace().enumerate() {
            let (name, rest) = word.split_once(':').unwrap_or((word, ""));
            let (rest, event_id) = rest.split_once('!').unwrap_or((rest, ""));
            let (of, id) = rest.split_once('#').unwrap_or((rest, ""));
            let some = |text: &'_ str| -> Option<String> { (!text.is_empty()).then(|| text.to_owned()) };
            let (of, id, event_id) = (some(of), some(id), some(event_id));
            let symbol = (0..5).find(|index| names(*index) == name.trim_end_matches('\'')).unwrap();
            let tool = matches!(symbol, 2 | 3);
            let envelope = Envelope { name_at: u8::from(name.ends_with('\'')), ..Envelope::default() };
            let stamp = Stamp(at as u64);
            let event = RunEvent {
                symbol,
                envelope,
                agent: of.as_deref().filter(|_| !tool),
                tool: of.as_deref().filter(|_| tool),
                call: id.as_deref(),
                event_id: event_id.as_deref(),
                arrived: (stamp, stamp),
                unordered: false,
                replayed: false,
            };
            let step = automaton.event(&grammar, &names, &event);
            deviations.extend(step.deviation.map(|deviation| *deviation));
            over |= step.over;
        }
        deviations.extend(automaton.conclude(&grammar, &names));
        (deviations.iter().map(Deviation::message).collect(), over)
    }

    #[track_caller]
    fn check(words: &str, expected: &[&str]) {
        assert_eq!(walk(words).0, expected, "{words}");
    }

    #[test]
    fn legal_runs_have_no_deviation_and_are_over() {
        for words in [
            "start think call result end",
            "start think think call:a think result:a think end",
            "start think call:a#1 call:a#2 result:a#2 result:a#1 end",
            "start think call:a call:b result:b result:a end",
            "start:root start:sub think call:a result:a end:sub think end:root",
            "start:root start:sub think call:a#1 result:a#1 end:sub start:sub end:sub end:root",
            // Three senders of one run, of which two name no agent.
            "start' start:supervisor think call:a result:a end end'",
            "start:supervisor think call:a result end:Supervisor",
        ] {
            let (deviations, over) = walk(words);
            assert!(deviations.is_empty() && over, "{words}: {deviations:?} over={over}");
        }
    }

    #[test]
    fn a_run_is_over_when_the_last_agent_has_ended() {
        assert!(!walk("start:root start:sub think call result end:sub").1);
        assert!(walk("start:root start:sub think call result end:sub end:root").1);
    }

    #[test]
    fn an_event_that_never_comes_is_missing_once() {
        check("think call result end", &["the run ended without start"]);
        check("start call result end", &["the run ended without think"]);
        check("start think result end", &["the run ended without call"]);
        check("start think call end", &["the run ended without result"]);
        check("start think end", &["the run ended without call and result"]);
    }

    #[test]
    fn an_event_before_its_predecessor_is_out_of_order_once() {
        check("think start call result end", &["think came before start"]);
        check("think call start result end", &["think came before start"]);
        check("start call think result end", &["call came before think"]);
        check("start think result:a call:a end", &["result came before call"]);
        check("start think result:a#1 call:a#1 call:a#2 result:a#2 end", &["result came before call"]);
    }

    #[test]
    fn half_a_pair_is_unpaired() {
        check("start think call:a#1 call:a#2 result:a#2 end", &["tool a was called and never completed"]);
        check("start think result:a#1 call:a#2 result:a#2 end", &["tool a completed and was never called"]);
        check("start think result:a call:a result:a call:a result:a end", &["tool a completed and was never called"]);
        check("start think call:a result:a call:b end", &["tool b was called and never completed"]);
        let both = ["tool b was called and never completed", "tool a completed and was never called"];
        check("start think call:b#1 result:a#2 end", &both);
    }

    #[test]
    fn repetitions_are_told_by_agent_call_or_event_id() {
        check("start:a start:a think call result end:a", &["start of a came twice"]);
        check("start:a think call result end:a end:a", &["end of a came twice"]);
        check("start think call:t#1 call:t#1 result:t#1 end", &["call of call 1 came twice"]);
        check("start think:!e1 think:!e1 call result end", &["think of event e1 was delivered again"]);
        check("start think think call result end", &[]);
    }
}
