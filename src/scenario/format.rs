//! The scenario file as it is written: its keys, in one place. Struct, decoder and JSON Schema come from these lines.
//!
//! What the keys mean together (a budget that no plan can reach, users who would all be one) is `check`; what comes out
//! is in `scenario`. Doc comments here are what editors show beside a key.

use crate::document::Spanned;
use crate::document::decode::{by_shape, one_of, record, words};
use crate::document::text::Text;
use crate::document::values::{OneOrMany, Pattern, Percent, Whole};
use crate::time::Micros;

use super::Environments;
use super::budgets::Budgets;
use super::values::Name;

record! {
    /// What simulated users do against a chat backend, and what must hold of the events they receive.
    pub struct ScenarioFile {
        /// The version of this format: 1.
        pub version: Whole<1, 1> = required,
        /// The name of the scenario in reports and paths.
        pub name: Name = required,
        /// Words to select scenarios by (`--tag`).
        pub tags: OneOrMany<Name> = default(OneOrMany(Vec::new())),
        /// The system under test: the file of a target profile, `embedded`, or a map.
        pub target: TargetDef = required,
        /// Who logs in.
        pub users: UsersDef = required,
        /// How much work there is. Default: one iteration per user.
        pub load: Option<LoadDef>,
        /// What users ask.
        pub ask: AskDef = required,
        /// What must hold. Without it: setup, transport, events, answer and isolation.
        pub expect: Option<ExpectDef>,
        /// How long to wait for what.
        pub timeouts: Option<TimeoutsDef>,
        /// Named parts of a scenario that are laid over this file with `--env NAME`.
        pub environments: Option<Environments>,
    }
    not_yet {
        "probes" => ("watch the target between runs", "remove the key"),
        "record" => ("choose what a recording keeps", "remove the key"),
        "exposure" => ("search answers for other users' data by pattern", "remove the key; isolation is judged by ids and canaries"),
        "seed" => ("fix the seed in the file", "pass `--seed` on the command line"),
    }
}

by_shape! {
    /// The system under test.
    pub enum TargetDef {
        /// The file of a target profile, relative to this file, or `embedded`.
        Named(Spanned<String>) = text,
        /// A profile with other addresses.
        Inline(InlineTarget) = map,
    }
    expected "a file name, `embedded` or a map"
}

record! {
    /// A target profile with other addresses.
    pub struct InlineTarget {
        /// The file of a target profile, relative to this file, or `embedded`.
        pub profile: Spanned<String> = required,
        /// Instead of the profile's `http.base`.
        pub http: Option<Text>,
        /// Instead of the profile's `socket`; without it the socket follows `http`.
        pub socket: Option<Text>,
    }
    not_yet {
        "faults" => ("make the embedded backend misbehave", "remove the key"),
    }
}

record! {
    /// Simulated users.
    pub struct UsersDef {
        /// How many.
        pub count: Spanned<Whole<1, 1_000_000>> = required,
        /// The number of the first one, so that two pipelines need not share users. Default: 1.
        pub first: Option<Spanned<Whole<1, MAX_USER_NUMBER>>>,
        /// The login, for example `qa${user.number}@example.com`.
        pub email: Option<Text>,
        /// The password, by reference: `{ env: NAME }` or `{ file: PATH }`.
        pub password: Option<PasswordDef>,
        /// When users log in and connect. Default: `fresh`.
        pub session: Option<Spanned<Session>>,
    }
    not_yet {
        "file" => ("read users from a table", "make `email` from `${user.number}`"),
        "columns" => ("name the columns of a table of users", "make `email` from `${user.number}`"),
    }
}

/// The largest number of a user: 24 bits, as canaries hold it.
pub const MAX_USER_NUMBER: u64 = (1 << 24) - 1;

words! {
    /// When users log in and connect.
    pub enum Session {
        /// at the start of each iteration
        Fresh = "fresh",
        /// once per user, for all iterations
        Keep = "keep",
    }
    not_yet {
        "pool" => ("share sessions among users", "use `keep`"),
    }
}

by_shape! {
    /// A password.
    pub enum PasswordDef {
        /// The password itself; refused unless the target is on loopback.
        Written(Text) = text,
        /// Where the password is.
        Reference(PasswordRef) = map,
    }
    expected "a map such as `{ env: NAME }`"
}

record! {
    /// Where a password is: `env` or `file`.
    pub struct PasswordRef {
        /// The variable that holds it.
        pub env: Option<Spanned<String>>,
        /// The file that holds it, relative to this file; a line break at its end does not count.
        pub file: Option<Spanned<String>>,
        /// What to use on loopback when the variable is not set.
        pub on_loopback: Option<Text>,
    }
    not_yet {
        "command" => ("run a program that prints the password", "put it into a variable: `{ env: NAME }`"),
    }
}

one_of! {
    /// How much work there is.
    pub enum LoadDef {
        /// Each user repeats.
        Closed(ClosedDef) = "closed",
    }
    not_yet {
        "open" => ("start users by the clock", "use `closed: { iterations: N }`"),
        "stages" => ("change the load over time", "use `closed: { iterations: N }`"),
        "hold" => ("keep idle connections open", "use `closed: { iterations: N }`"),
    }
}

record! {
    /// Each user repeats; the first asks start together once all users are greeted.
    pub struct ClosedDef {
        /// How often each user walks the golden path. Default: 1.
        pub iterations: Option<Spanned<Whole<1, 1_000_000>>>,
    }
    not_yet {
        "think_time" => ("let users pause between iterations", "remove the key"),
    }
}

by_shape! {
    /// What users ask.
    pub enum AskDef {
        /// One prompt.
        One(TurnDef) = map,
        /// Several turns on one thread.
        Turns(OneOrMany<TurnDef>) = list,
    }
    expected "a map with `prompt`, or a list of such maps"
}

record! {
    /// One turn of a conversation.
    pub struct TurnDef {
        /// The prompt. End it with `(ref ${canary})`, so that foreign text can be traced to its owner.
        pub prompt: Text = required,
        /// What a good answer to this turn is, instead of `expect.answer`.
        pub answer: Option<AnswerDef>,
    }
    not_yet {
        "file" => ("read prompts from a file", "write one `prompt`, or a list of turns"),
    }
}

record! {
    /// What must hold.
    pub struct ExpectDef {
        /// Events complete and in order.
        pub events: Option<EventsDef>,
        /// Answers worth having.
        pub answer: Option<AnswerDef>,
        /// Nothing of one user at another.
        pub isolation: Option<IsolationDef>,
        /// Every user gets ready: readiness, login, upgrade, greeting.
        pub setup: Option<SetupDef>,
        /// Connections last, and frames can be read.
        pub transport: Option<TransportDef>,
        /// Limits on the time between two milestones.
        pub budgets: Option<Budgets>,
        /// The share of iterations that must succeed.
        pub reliability: Option<ReliabilityDef>,
    }
    not_yet {
        "rules" => ("switch single rules off", "set `required: false` on the claim"),
        "known" => ("declare known issues", "set `required: false` on the claim"),
        "uniform_envelope" => ("demand one form of all events", "remove the key"),
    }
}

by_shape! {
    /// Which events a run must have, and in which order.
    pub enum EventsDef {
        /// A grammar by its name.
        Named(GrammarName) = text,
        /// A grammar, and whether it counts.
        Claimed(EventsClaim) = map,
    }
    expected "`golden-path` or a map"
}

words! {
    /// A grammar by its name.
    pub enum GrammarName {
        /// started; thinking and tool pairs mixed, at least one of each; completed
        GoldenPath = "golden-path",
    }
    not_yet {
        "free" => ("accept the events in any order", "use `golden-path` with `required: false`"),
        "no-tools" => ("accept runs without tools", "use `golden-path` with `required: false`"),
    }
}

record! {
    /// Events complete and in order.
    pub struct EventsClaim {
        /// The grammar. Default: `golden-path`.
        pub grammar: Option<GrammarName>,
        /// `false` reports and never changes the exit code.
        pub required: Option<bool>,
    }
    not_yet {
        "order" => ("declare a grammar of your own", "use `grammar: golden-path`"),
        "events" => ("declare a grammar of your own", "use `grammar: golden-path`"),
        "forbidden" => ("declare a grammar of your own", "use `grammar: golden-path`"),
    }
}

record! {
    /// What a good answer is.
    pub struct AnswerDef {
        /// Characters at least. An empty answer is none in any case.
        pub min_chars: Option<Whole<0, 1_000_000>>,
        /// Patterns (regular expressions) that must all occur.
        pub all_of: OneOrMany<Spanned<Pattern>> = default(OneOrMany(Vec::new())),
        /// Patterns of which one must occur.
        pub any_of: OneOrMany<Spanned<Pattern>> = default(OneOrMany(Vec::new())),
        /// Patterns that must not occur.
        pub none_of: OneOrMany<Spanned<Pattern>> = default(OneOrMany(Vec::new())),
        /// `false` reports and never changes the exit code; only under `expect`.
        pub required: Option<Spanned<bool>>,
    }
    not_yet {
        "canary" => ("demand the canary in the answer", "remove the key"),
        "distinct" => ("demand that users' answers differ", "remove the key"),
        "similarity" => ("compare answers with a sample", "use `all_of` and `any_of`"),
        "preset" => ("use a ready set of patterns", "write the patterns in `all_of`, `any_of` and `none_of`"),
    }
}

record! {
    /// Nothing of one user at another. Not claimed with a single user.
    pub struct IsolationDef {
        /// The share of users whose run must have overlapped another user's. Default: `50%`.
        pub min_overlap: Option<Spanned<Percent>>,
        /// `false` reports and never changes the exit code.
        pub required: Option<Spanned<bool>>,
    }
    not_yet {
        "probes" => ("read other users' threads over HTTP", "remove the key"),
        "public" => ("declare text that all users may see", "remove the key"),
        "between" => ("allow leaks inside a group of users", "remove the key"),
    }
}

record! {
    /// Every user gets ready.
    pub struct SetupDef {
        /// The share of set-ups that may fail: one per login and connect. Default: `0%`.
        pub at_most: Option<Spanned<Percent>>,
        /// `false` reports and never changes the exit code.
        pub required: Option<bool>,
    }
}

record! {
    /// Connections last, and frames can be read.
    pub struct TransportDef {
        /// `false` reports and never changes the exit code.
        pub required: Option<bool>,
    }
}

record! {
    /// The share of iterations that must succeed.
    pub struct ReliabilityDef {
        /// Of what. Default: `golden_path`.
        pub of: Option<ReliabilityName>,
        /// The share, above 0% and below 100%.
        pub at_least: Spanned<Percent> = required,
        /// How sure the share must be, above 50% and below 100%. Default: `95%`.
        pub confidence: Option<Spanned<Percent>>,
        /// `false` reports and never changes the exit code.
        pub required: Option<bool>,
    }
}

words! {
    /// What is judged as a proportion.
    pub enum ReliabilityName {
        /// iterations from login to a good end without a failing finding
        GoldenPath = "golden_path",
        /// connects that reached the greeting and were not lost
        Connection = "connection",
    }
}

record! {
    /// How long to wait for what.
    pub struct TimeoutsDef {
        /// TCP, TLS and the upgrade together; also one HTTP request. Default: `10s`.
        pub connect: Option<Spanned<Micros>>,
        /// A `wait` of the socket script that names no time of its own. Default: `5s`.
        pub greeting: Option<Spanned<Micros>>,
        /// From the ask to the first event of its run. Default: `30s`.
        pub first_event: Option<Spanned<Micros>>,
        /// Between two signs of progress of a run. Default: `30s`.
        pub stall: Option<Spanned<Micros>>,
        /// From the ask to the end of its run. Default: `120s`.
        pub run: Option<Spanned<Micros>>,
        /// How long to go on listening after the end of a run; belongs to no latency. Default: `1s`.
        pub quiet: Option<Spanned<Micros>>,
        /// After a signal, how long runs in flight may take to end. Default: `5s`.
        pub drain: Option<Spanned<Micros>>,
    }
}
