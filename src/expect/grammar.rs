//! The legal orders of events, as a table.
//!
//! A grammar names events and gives each a role; the roles carry the meaning (a start opens an agent, an end closes it,
//! a call opens a tool, its result closes it). The automaton that walks a run along the table is `check::automaton`.

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
}

/// One event of a grammar.
#[derive(Debug, Clone)]
pub struct Symbol {
    /// Its name in the dialect.
    pub kind: KindId,
    /// What it does to a run.
    pub role: Role,
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
    /// An agent ends. A run is over when every agent that started has ended.
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

impl Grammar {
    /// The five critical events: started; thinking and tool pairs mixed, at least one of each, the first thinking before the
    /// first tool; completed.
    ///
    /// `intern` gives names their ids in the dialect.
    pub fn golden_path(mut intern: impl FnMut(&str) -> KindId) -> Grammar {
        let mut symbol = |name: &str, role| Symbol { kind: intern(name), role, min: 1, max: None };
        Grammar {
            name: "golden-path".to_owned(),
            symbols: vec![
                symbol("agent_started", Role::Start),
                symbol("agent_thinking", Role::Step),
                symbol("tool_executing", Role::Call),
                symbol("tool_completed", Role::Result),
                symbol("agent_completed", Role::End),
            ],
            before: vec![Before { first: 1, then: 2 }],
        }
    }

    /// The index of the symbol that `kind` is, if the grammar has it.
    pub fn symbol_of(&self, kind: KindId) -> Option<usize> {
        self.symbols.iter().position(|symbol| symbol.kind == kind)
    }
}
