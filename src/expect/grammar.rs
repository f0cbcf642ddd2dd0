//! The legal orders of events, as a table.
//!
//! A grammar names events and gives each a role; the roles carry the meaning (a start opens an agent, an end closes it,
//! a call opens a tool, its result closes it). It is first [`Spelled`] with names, as scenarios hold it, and then compiled
//! to the ids of a dialect. The automaton that walks a run along the table is `check::automaton`; whether a grammar written by
//! a user makes sense is `scenario`'s.

use crate::event::KindId;

/// Which events a run has, how many of each, and which come before which.
#[derive(Debug, Clone)]
pub struct Grammar {
    /// What the scenario calls it.
    pub name: String,
    /// The events, in the order in which people list them.
    pub symbols: Vec<Symbol>,
    /// First occurrences that must come in this order, beyond what the roles say.
    pub before: Vec<Before>,
    /// Events that must not come.
    pub forbidden: Vec<KindId>,
    /// Events that end a run as failed, beside those of the profile.
    pub bad: Vec<KindId>,
    /// No order is judged, only how many and which.
    pub free: bool,
    /// How many agents a run has at least, by name.
    pub min_agents: u32,
}

/// One event of a grammar.
#[derive(Debug, Clone)]
pub struct Symbol {
    /// Its names in the dialect; any of them is this event.
    pub kinds: Vec<KindId>,
    /// What it does to a run.
    pub role: Role,
    /// Of a call or result: which kind of pair it belongs to, from 0. Only pairs of the first kind are measured as `tool`.
    pub pair: u8,
    /// How many a run has at least.
    pub min: u32,
    /// How many a run has at most.
    pub max: Option<u32>,
}

/// What an event does to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// An agent begins. Nothing comes before the first one.
    Start,
    /// A sign of life that may repeat anywhere between start and end.
    Step,
    /// A tool call begins.
    Call,
    /// A tool call ends; it pairs by call id, else by tool name, else with the oldest open one.
    Result,
    /// An agent ends. A run is over when every agent that started has ended, and every end that must come has come.
    End,
}

/// The first of `first` comes before the first of `then`. Both are indexes into `symbols`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// Must come first.
    pub first: usize,
    /// Must come after.
    pub then: usize,
}

/// A grammar with names in place of ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spelled {
    /// See `Grammar::name`.
    pub name: String,
    /// See `Grammar::symbols`.
    pub symbols: Vec<SpelledSymbol>,
    /// See `Grammar::before`.
    pub before: Vec<Before>,
    /// See `Grammar::forbidden`.
    pub forbidden: Vec<String>,
    /// See `Grammar::bad`.
    pub bad: Vec<String>,
    /// See `Grammar::free`.
    pub free: bool,
    /// See `Grammar::min_agents`.
    pub min_agents: u32,
}

/// One event of a grammar, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpelledSymbol {
    /// Any of these names is this event.
    pub names: Vec<String>,
    /// See `Symbol::role`.
    pub role: Role,
    /// See `Symbol::pair`.
    pub pair: u8,
    /// See `Symbol::min`.
    pub min: u32,
    /// See `Symbol::max`.
    pub max: Option<u32>,
}

impl Grammar {
    /// The five critical events; see `Spelled::golden_path`.
    ///
    /// `intern` gives names their ids in the dialect.
    pub fn golden_path(intern: impl FnMut(&str) -> KindId) -> Grammar {
        Spelled::golden_path().compile(intern)
    }

    /// The index of the symbol that `kind` is, if the grammar has it.
    pub fn symbol_of(&self, kind: KindId) -> Option<usize> {
        self.symbols.iter().position(|symbol| symbol.kinds.contains(&kind))
    }

    /// For each symbol, how many others must come before it at least. Events whose order is not known are taken in this order,
    /// which is legal if any order of them is.
    pub fn ranks(&self) -> Vec<usize> {
        let part = |index: usize| (self.symbols[index].role, self.symbols[index].pair);
        let before = |first: usize, then: usize| {
            comes_first(part(first), part(then)) || self.before.contains(&Before { first, then })
        };
        let all = 0..self.symbols.len();
        let mut ranks = vec![0; self.symbols.len()];
        // As many rounds as the longest way has steps; a cycle, which no scenario gets past its check, ends like that, too.
        for _ in all.clone() {
            for then in all.clone() {
                let after = all.clone().filter(|first| before(*first, then)).map(|first| ranks[first] + 1);
                ranks[then] = after.max().unwrap_or(0);
            }
        }
        ranks
    }
}

/// Whether an event comes before another by what both are, each a role and a kind of pair.
pub fn comes_first((first, pair): (Role, u8), (then, other): (Role, u8)) -> bool {
    match (first, then) {
        (Role::Call, Role::Result) => pair == other,
        (Role::Start, then) => then != Role::Start,
        (first, Role::End) => first != Role::End,
        _ => false,
    }
}

impl Spelled {
    /// The five critical events: started; thinking and tool pairs mixed, at least one of each, the first thinking before the
    /// first tool; completed.
    pub fn golden_path() -> Spelled {
        Spelled {
            before: vec![Before { first: 1, then: 2 }],
            ..Spelled::of(
                "golden-path",
                &[
                    ("agent_started", Role::Start, 0, 1),
                    ("agent_thinking", Role::Step, 0, 1),
                    ("tool_executing", Role::Call, 0, 1),
                    ("tool_completed", Role::Result, 0, 1),
                    ("agent_completed", Role::End, 0, 1),
                ],
            )
        }
    }

    /// The golden path, of which a run without tools is a legal one; a tool that is called still has its result.
    pub fn tools_optional() -> Spelled {
        let mut grammar = Spelled { name: "golden-path-tools-optional".to_owned(), ..Spelled::golden_path() };
        for symbol in &mut grammar.symbols {
            if matches!(symbol.role, Role::Call | Role::Result) {
                symbol.min = 0;
            }
        }
        grammar
    }

    /// The golden path of an agent that hands work to others: two agents by name at least.
    pub fn supervisor() -> Spelled {
        Spelled { name: "supervisor".to_owned(), min_agents: 2, ..Spelled::golden_path() }
    }

    /// The Agent-User Interaction protocol: a run from RUN_STARTED to RUN_FINISHED or RUN_ERROR, with messages, tool calls and
    /// steps that are begun and ended (docs.ag-ui.com, concepts, events). Which of them a run has is not prescribed there,
    /// so only its beginning and end are required.
    pub fn ag_ui() -> Spelled {
        let symbols = [
            ("RUN_STARTED", Role::Start, 0, 1),
            ("STEP_STARTED", Role::Call, 2, 0),
            ("TEXT_MESSAGE_START", Role::Call, 1, 0),
            ("TEXT_MESSAGE_CONTENT", Role::Step, 0, 0),
            ("TEXT_MESSAGE_CHUNK", Role::Step, 0, 0),
            ("TEXT_MESSAGE_END", Role::Result, 1, 0),
            ("TOOL_CALL_START", Role::Call, 0, 0),
            ("TOOL_CALL_ARGS", Role::Step, 0, 0),
            ("TOOL_CALL_CHUNK", Role::Step, 0, 0),
            ("TOOL_CALL_END", Role::Result, 0, 0),
            ("TOOL_CALL_RESULT", Role::Step, 0, 0),
            ("STEP_FINISHED", Role::Result, 2, 0),
            ("RUN_FINISHED", Role::End, 0, 1),
        ];
        Spelled {
            before: vec![Before { first: 2, then: 3 }, Before { first: 6, then: 7 }, Before { first: 6, then: 10 }],
            bad: vec!["RUN_ERROR".to_owned()],
            ..Spelled::of("ag-ui", &symbols)
        }
    }

    fn of(name: &str, symbols: &[(&str, Role, u8, u32)]) -> Spelled {
        let symbol = |(name, role, pair, min): &(&str, Role, u8, u32)| SpelledSymbol {
            names: vec![(*name).to_owned()],
            role: *role,
            pair: *pair,
            min: *min,
            max: None,
        };
        Spelled {
            name: name.to_owned(),
            symbols: symbols.iter().map(symbol).collect(),
            before: Vec::new(),
            forbidden: Vec::new(),
            bad: Vec::new(),
            free: false,
            min_agents: 0,
        }
    }

    /// The index of the event that is called `name`.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.symbols.iter().position(|symbol| symbol.names.iter().any(|known| known == name))
    }

    /// The grammar in the ids of a dialect, which `intern` gives.
    pub fn compile(&self, mut intern: impl FnMut(&str) -> KindId) -> Grammar {
        let mut all = |names: &[String]| -> Vec<KindId> { names.iter().map(|name| intern(name)).collect() };
        let symbol = |symbol: &SpelledSymbol| Symbol {
            kinds: all(&symbol.names),
            role: symbol.role,
            pair: symbol.pair,
            min: symbol.min,
            max: symbol.max,
        };
        Grammar {
            name: self.name.clone(),
            symbols: self.symbols.iter().map(symbol).collect(),
            before: self.before.clone(),
            forbidden: all(&self.forbidden),
            bad: all(&self.bad),
            free: self.free,
            min_agents: self.min_agents,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_name_each_event_once_and_pair_their_calls() {
        for grammar in [Spelled::golden_path(), Spelled::tools_optional(), Spelled::supervisor(), Spelled::ag_ui()] {
            let mut names: Vec<_> = grammar.symbols.iter().flat_map(|symbol| &symbol.names).collect();
            names.sort_unstable();
            assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
            for pair in 0..3 {
                let count = |role| grammar.symbols.iter().filter(|s| (s.role, s.pair) == (role, pair)).count();
                assert_eq!(count(Role::Call), count(Role::Result), "{} {pair}", grammar.name);
            }
            assert!(grammar.before.iter().all(|before| before.first < before.then), "{}", grammar.name);
        }
    }

    #[test]
    fn any_of_its_names_is_the_event() {
        let mut spelled = Spelled::golden_path();
        spelled.symbols[1].names.push("agent_reasoning".to_owned());
        let mut names = Vec::new();
        let grammar = spelled.compile(|name| {
            names.push(name.to_owned());
            KindId(names.len() as u16 - 1)
        });
        let of = |name: &str| grammar.symbol_of(KindId(names.iter().position(|known| known == name).unwrap() as u16));
        assert_eq!((of("agent_reasoning"), of("agent_thinking"), of("tool_executing")), (Some(1), Some(1), Some(2)));
    }
}
