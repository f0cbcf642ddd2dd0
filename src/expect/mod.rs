//! Compiled expectations: what a target's frames mean and what must hold of them.
//!
//! Plain data with the file and line it came from, for messages. `scenario` and `target` build it, `check` judges by it,
//! `session` reads matchers from it. There is no YAML and no serde here, and nothing that could fail at run time: what
//! cannot be compiled was a diagnostic before any traffic.

mod answer;
mod budget;
mod dialect;
mod doors;
mod exceptions;
mod grammar;
mod matcher;

pub use answer::AnswerRules;
pub use budget::{Budget, BudgetName, Level, PerSegment, Reliability, ReliabilityOf, Segment, Statistic};
pub use dialect::{Dialect, Fields, Form, Member, Names, Split, Trie, TrieNode, bit};
pub use doors::{DoorRule, Doors, Misplaced, Refusals};
pub use exceptions::{Date, Exceptions, Known, RuleChange};
pub use grammar::{Before, Grammar, Role, Spelled, SpelledSymbol, Symbol, comes_first};
pub use matcher::{Condition, Matcher, Rest, Test};

use std::sync::Arc;

use crate::event::{KindId, SlotId};
use crate::time::Micros;

/// Where an expectation was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file as the user named it.
    pub file: Arc<str>,
    /// Line from 1.
    pub line: u32,
}

/// Everything the judge needs to know beforehand.
#[derive(Debug, Clone)]
pub struct Expectations {
    /// How frames are read.
    pub dialect: Dialect,
    /// What must happen on a fresh connection before the user may ask.
    pub script: Vec<ScriptStep>,
    /// Frames that are known and are not progress.
    pub heartbeats: Vec<Heartbeat>,
    /// How asks are sent and refused.
    pub asking: Asking,
    /// The legal orders of events.
    pub grammar: Grammar,
    /// How a run ends.
    pub ends: Ends,
    /// Frames that mark a run as failed without ending it.
    pub failed: Vec<Matcher>,
    /// What else events say of themselves.
    pub signs: Signs,
    /// Frames that are meant for everybody.
    pub public: Vec<Matcher>,
    /// Where the answer stands; the last source that hits wins, so that a final answer replaces a draft.
    pub answers: Vec<AnswerSource>,
    /// What a good answer is, per turn; the last entry serves all further turns.
    pub turns: Vec<AnswerRules>,
    /// Shares of the users that are asked to behave otherwise.
    pub personas: Vec<Persona>,
    /// Whose ids stand where.
    pub ids: Vec<IdRule>,
    /// Limits on segments.
    pub budgets: Vec<Budget>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// What is asserted of the execution.
    pub claims: Claims,
    /// So many iterations of each user, the first ones, warm the target up: whom they concern is judged, how they went is not.
    pub warm_up: u32,
    /// Each iteration logs in and connects anew, so `golden_path` exists.
    pub fresh_sessions: bool,
    /// Iterations begin by the clock, so `response` exists.
    pub open: Option<Arrivals>,
    /// When everything must be over.
    pub deadline: Option<Deadline>,
}

/// A share of the users that behaves otherwise.
#[derive(Debug, Clone)]
pub struct Persona {
    /// What it is called.
    pub name: String,
    /// The share of all users that was planned, 0 to 1.
    pub share: f64,
    /// What good answers to its turns are, as in [`Expectations::turns`].
    pub turns: Vec<AnswerRules>,
}

/// What is asked of a workload that begins by the clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrivals {
    /// The share of arrivals that may find no free user, 0 to 1.
    pub dropped_at_most: f64,
}

/// When everything must be over.
#[derive(Debug, Clone, PartialEq)]
pub struct Deadline {
    /// Counted from the beginning.
    pub after: Micros,
    /// Where it was written.
    pub origin: Origin,
}

/// One step of the socket script.
#[derive(Debug, Clone)]
pub enum ScriptStep {
    /// Wait for a frame.
    Wait {
        /// The frame that ends the wait.
        when: Matcher,
        /// Frames that refuse the user.
        refused: Vec<Matcher>,
        /// How long, counted from the step's beginning.
        within: Micros,
        /// Without the frame the script goes on as well.
        optional: bool,
    },
    /// Send the text that the profile holds for this step.
    Send,
}

/// A frame that keeps the connection alive: known, answered perhaps, never progress.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// Which frames.
    pub when: Matcher,
    /// The profile has a reply for it.
    pub answered: bool,
    /// What it means.
    pub means: Means,
}

/// What a frame means that may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// It keeps the connection alive, or says something beside the run.
    Beat,
    /// It says that the ask arrived.
    Acknowledgement,
    /// It is known noise.
    Ignored,
    /// It is an event of its run: an agent that asks back.
    Question,
}

/// How asks are sent and refused.
#[derive(Debug, Clone, Default)]
pub struct Asking {
    /// By a request, so that no frame is sent.
    pub by_request: bool,
    /// Frames by which the target refuses an ask, until the first event of its run.
    pub refused: Vec<Matcher>,
    /// The profile knows how an ask is acknowledged: a heartbeat rule of that role.
    pub acknowledged: bool,
}

/// What events say of themselves, beside their kind.
#[derive(Debug, Clone, Default)]
pub struct Signs {
    /// The target works in a degraded mode.
    pub degraded: Vec<Matcher>,
    /// The event is delivered later than it happened, after a connection had failed.
    pub replayed: Vec<Matcher>,
    /// A tool failed.
    pub failed_tool: Vec<Matcher>,
}

/// How a run ends.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// The run went well. Empty: with every end that the grammar names.
    pub good: Vec<Matcher>,
    /// The run failed, and nothing more is to be waited for.
    pub bad: Vec<Matcher>,
}

/// Where an answer stands in which frames.
#[derive(Debug, Clone)]
pub struct AnswerSource {
    /// The frames that carry it.
    pub when: Matcher,
    /// The places, first that exists.
    pub at: Vec<SlotId>,
    /// Each hit is a part of the answer, and is appended to those before it.
    pub append: bool,
}

/// Whose id stands where, and how it is compared.
#[derive(Debug, Clone)]
pub struct IdRule {
    /// What the profile calls it: `user`, `thread`, `run`, ...
    pub name: Arc<str>,
    /// What it identifies.
    pub role: IdRole,
    /// The places, first that exists.
    pub at: Vec<SlotId>,
    /// Where the expected value comes from.
    pub source: IdSource,
    /// How values are compared.
    pub compare: Compare,
    /// Over which population the value belongs to one owner.
    pub unique: Unique,
}

/// What an id identifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdRole {
    /// A user of the target.
    User,
    /// A conversation.
    Thread,
    /// A run of the agent.
    Run,
    /// Anything else that has an owner (session, connection, message).
    Other,
}

/// Where the expected value of an id comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdSource {
    /// A captured name, known after login.
    Captured(Arc<str>),
    /// Chosen by the harness and sent with the ask.
    Chosen,
    /// Made by the target, known by its first receipt.
    Learned,
}

/// How two values of an id are compared. A value that the target itself truncated (it ends in `...`) is compared by its
/// beginning under every mode, and never accuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Equal texts.
    Exact,
    /// One is the beginning of the other.
    Prefix,
}

/// Over which population an id belongs to one owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unique {
    /// The whole target.
    Target,
    /// One user only: small or repeated numbers, which identify nobody.
    User,
}

/// How long to wait for what. Defaults are set in one place, `scenario`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP, TLS and the upgrade together; also one HTTP request.
    pub connect: Micros,
    /// A `wait` of the socket script that says nothing else.
    pub greeting: Micros,
    /// From the ask to the first event of its run.
    pub first_event: Micros,
    /// Between two signs of progress.
    pub stall: Micros,
    /// From the ask to the end of its run.
    pub run: Micros,
    /// How long to go on listening after the end.
    pub quiet: Micros,
    /// After a signal, how long runs in flight may take to end.
    pub drain: Micros,
}

/// What is asserted of the execution.
#[derive(Debug, Clone)]
pub struct Claims {
    /// Every set-up stage of every user. `at_most` is the share that may fail, 0 to 1.
    pub setup: Asserted,
    /// See `setup`.
    pub setup_at_most: f64,
    /// Connections and frames.
    pub transport: Asserted,
    /// Events complete and in order.
    pub events: Asserted,
    /// Answers worth having.
    pub answer: Asserted,
    /// One envelope for each kind of event; `None` if it was not asked for.
    pub uniform_envelope: Option<Asserted>,
    /// Nothing of one user at another; `None` with a single user.
    pub isolation: Option<Asserted>,
    /// Between whom.
    pub between: Between,
    /// Share of users whose run must have overlapped another user's, 0 to 1.
    pub min_overlap: f64,
    /// Share of text frames that must have carried an id or a mark of their receiver, 0 to 1.
    pub min_attributed: f64,
    /// The share of runs, above 0 and below 1, of which it must be shown that fewer than that leak.
    pub leaks_under: Option<f64>,
    /// Doors that must stay shut; `None` where no probe knocks.
    pub doors: Option<Doors>,
    /// Failed iterations judged as a proportion.
    pub reliability: Option<Reliability>,
    /// What does not fail although it deviates.
    pub exceptions: Exceptions,
}

/// Who is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Between {
    /// Every other user.
    Users,
    /// Users of another group. One who is in no group is alone.
    Groups,
}

/// Whether a claim counts for the exit code, and where that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asserted {
    /// `required: false` reports and never fails.
    pub required: bool,
    /// `None` for a default claim.
    pub origin: Option<Origin>,
}

impl Expectations {
    /// The rules for the answer of `turn`, counted from 0, to a user who is this one of `personas`, or none.
    pub fn answer_rules(&self, persona: Option<usize>, turn: usize) -> Option<&AnswerRules> {
        let turns = persona.and_then(|which| self.personas.get(which)).map_or(&self.turns, |persona| &persona.turns);
        turns.get(turn).or_else(|| turns.last())
    }

    /// What a symbol of the grammar is called.
    pub fn symbol_name(&self, symbol: usize) -> String {
        let Some(symbol) = self.grammar.symbols.get(symbol) else { return String::new() };
        let names: Vec<_> = symbol.kinds.iter().map(|kind| self.kind_name(*kind)).collect();
        names.join(" or ")
    }

    /// The lengths of the windows in which a segment is judged, each once.
    pub fn windows(&self, segment: Segment) -> impl Iterator<Item = Micros> {
        let of = move |budget: &Budget| budget.per.filter(|_| budget.segment == segment);
        let mut budgets = self.budgets.iter().enumerate();
        std::iter::from_fn(move || {
            budgets.find_map(|(index, budget)| {
                let per = of(budget)?;
                self.budgets[..index].iter().all(|other| of(other) != Some(per)).then_some(per)
            })
        })
    }

    /// The spelling of a kind.
    pub fn kind_name(&self, kind: KindId) -> &str {
        self.dialect.names.get(kind)
    }
}
