//! The scenario file as it is written: its keys, in one place. Struct, decoder and JSON Schema come from these lines.
//!
//! What the keys mean together (a budget that no plan can reach, users who would all be one) is `check`; what comes out
//! is in `scenario`. Doc comments here are what editors show beside a key.

use serde_json::{Value as Json, json};

use crate::document::decode::{Definitions, by_shape, record, words};
use crate::document::text::Text;
use crate::document::values::{OneOrMany, Pattern, Percent, Rate, Table, Whole};
use crate::document::{Context, Decode, Node, Spanned};
use crate::matcher::When;
use crate::time::Micros;

use super::Environments;
use super::budgets::Budgets;
use super::probes::{DoorsDef, ProbesDef};
use super::values::{Day, Name};

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
        /// How much work there is: `closed` or `open`. Default: one iteration per user.
        pub load: Option<LoadDef>,
        /// What users ask.
        pub ask: AskDef = required,
        /// Shares of the users that behave otherwise: another prompt, other pauses. Who is one follows from the seed and the
        /// user's number; the rest ask what `ask` says.
        pub personas: Vec<Spanned<PersonaDef>> = default(Vec::new()),
        /// What knocks at doors that must stay shut, after the load and apart from it: `all`, or a list of probes.
        pub probes: Option<Spanned<ProbesDef>>,
        /// What must hold. Without it: setup, transport, events, answer and isolation.
        pub expect: Option<ExpectDef>,
        /// How long to wait for what.
        pub timeouts: Option<TimeoutsDef>,
        /// Named parts of a scenario that are laid over this file with `--env NAME`.
        pub environments: Option<Environments>,
    }
    not_yet {
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
        /// Misbehaviour of the embedded backend, as `goldenpath serve --list-faults` lists it: `drop-thinking`,
        /// `leak-copy:p=0.1`.
        pub faults: Option<OneOrMany<Spanned<String>>>,
    }
}

record! {
    /// Simulated users.
    pub struct UsersDef {
        /// How many; or `auto`, as many as an open load keeps busy if its iterations take what `load.open.takes` says.
        pub count: Spanned<CountDef> = required,
        /// The number of the first one, so that two pipelines need not share users. Default: 1.
        pub first: Option<Spanned<Whole<1, MAX_USER_NUMBER>>>,
        /// The login, for example `qa${user.number}@example.com`.
        pub email: Option<Text>,
        /// The password, by reference: `{ env: NAME }`, `{ file: PATH }` or `{ command: [PROGRAM, ARGUMENT] }`.
        pub password: Option<PasswordDef>,
        /// A table with a row per user, relative to this file: CSV, JSON Lines or a JSON array of objects. User 1 is its first
        /// row. The profile has its columns as `${user.COLUMN}`.
        pub file: Option<Spanned<String>>,
        /// Columns of the file that must not be shown, beside those that are called after passwords, secrets, tokens, keys or
        /// cookies.
        pub secret: OneOrMany<Spanned<String>> = default(OneOrMany(Vec::new())),
        /// The columns of a CSV file whose first line is a user already, in their order.
        pub columns: OneOrMany<Spanned<String>> = default(OneOrMany(Vec::new())),
        /// When users log in and connect. Default: `fresh`.
        pub session: Option<Spanned<Session>>,
        /// So many users more, numbered behind the others, connect before anybody asks and listen to the end without asking:
        /// whatever of a run comes to them is not theirs.
        pub witnesses: Option<Spanned<Whole<1, 1_000>>>,
    }
}

/// How many users.
#[derive(Debug, Clone, Copy)]
pub enum CountDef {
    /// So many.
    Number(Whole<1, 1_000_000>),
    /// As many as the load needs.
    Auto,
}

impl Decode for CountDef {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        match node.text() {
            Some("auto") => Some(Self::Auto),
            _ => Whole::decode(node, cx).map(Self::Number),
        }
    }

    fn schema(definitions: &mut Definitions) -> Json {
        json!({ "anyOf": [Whole::<1, 1_000_000>::schema(definitions), { "const": "auto" }] })
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
    /// Where a password is: `env`, `file` or `command`.
    pub struct PasswordRef {
        /// The variable that holds it.
        pub env: Option<Spanned<String>>,
        /// The file that holds it, relative to this file; a line break at its end does not count.
        pub file: Option<Spanned<String>>,
        /// The program that prints it, with its arguments, started without a shell once per execution; a line break at the end does
        /// not count. `run` and `validate --strict` start it.
        pub command: Option<Spanned<OneOrMany<Spanned<String>>>>,
        /// What to use on loopback when the variable is not set.
        pub on_loopback: Option<Text>,
    }
}

record! {
    /// How much work there is: `closed` or `open`. Default: one iteration per user.
    pub struct LoadDef {
        /// Each user repeats, as soon as it is done.
        pub closed: Option<Spanned<ClosedDef>>,
        /// Users begin by the clock, whether or not others are done.
        pub open: Option<Spanned<OpenDef>>,
        /// With `closed`: so many iterations of each user come before these and warm the target up. Set-ups in them and leaks are
        /// judged, and nothing else.
        pub warm_up: Option<Spanned<Whole<1, 1_000>>>,
        /// With `closed`: once all users are greeted they stay connected so long before they ask for the first time.
        pub hold: Option<Spanned<Micros>>,
        /// When all of it must be over, counted from the beginning. What is not over then is cut, and the execution fails.
        pub deadline: Option<Spanned<Micros>>,
        /// What ends the work early. Runs in flight then may end within `timeouts.drain`.
        pub stop: Option<Spanned<StopDef>>,
        /// So often, and at least a second apart, what went on is summed up while it goes on: a line on stderr and one in
        /// `intervals.jsonl`, which is there whatever becomes of the execution. For soaks.
        pub intervals: Option<Spanned<Micros>>,
        /// With `closed`: how users meet, so that what is mixed up among them shows. Default: they ask all at once.
        pub exposure: Option<Spanned<ExposureDef>>,
    }
    not_yet {
        "stages" => ("change the load over time", "write them as `open: { stages: [...] }`"),
    }
}

record! {
    /// Each user repeats.
    pub struct ClosedDef {
        /// How often each user walks the golden path. Default: 1.
        pub iterations: Option<Spanned<Whole<1, 1_000_000>>>,
        /// How long each user pauses between two iterations. Default: not at all.
        pub think_time: Option<ThinkDef>,
        /// The first asks start together, once all users are greeted. With `false` each user asks as soon as it is greeted. Default:
        /// true.
        pub together: Option<Spanned<bool>>,
    }
}

by_shape! {
    /// How long a user pauses.
    pub enum ThinkDef {
        /// Always the same.
        Fixed(Spanned<Micros>) = text,
        /// Drawn from the seed.
        Drawn(ThinkRange) = map,
    }
    expected "a duration, or a map with `from` and `to`"
}

record! {
    /// How long a user pauses: drawn evenly between the two.
    pub struct ThinkRange {
        /// At least.
        pub from: Spanned<Micros> = required,
        /// At most.
        pub to: Spanned<Micros> = required,
    }
}

record! {
    /// Users begin by the clock: with `rate` and `for`, or with `stages`. An arrival goes to the user who has been free
    /// longest; one that finds no user free is dropped and counted.
    pub struct OpenDef {
        /// How many iterations begin, for example `5/s`.
        pub rate: Option<Spanned<Rate>>,
        /// For how long.
        pub lasts as "for": Option<Spanned<Micros>>,
        /// One after the other: steady rates, ramps, spikes.
        pub stages: Option<OneOrMany<Spanned<StageDef>>>,
        /// How they are spaced. Default: `even`.
        pub arrivals: Option<Spacing>,
        /// The share of arrivals that may find no free user; beyond it latencies are inconclusive. Default: `0.1%`.
        pub dropped_at_most: Option<Spanned<Percent>>,
        /// How long an iteration is expected to keep its user busy, quiet time included. `users.count: auto` follows from it.
        pub takes: Option<Spanned<Micros>>,
    }
}

record! {
    /// A part of an open workload: a steady `rate`, or a ramp `to` a rate from that of the stage before.
    pub struct StageDef {
        /// How long it lasts.
        pub lasts as "for": Spanned<Micros> = required,
        /// The same rate all the time.
        pub rate: Option<Spanned<Rate>>,
        /// The rate at its end; the first stage begins with none.
        pub to: Option<Spanned<Rate>>,
    }
}

words! {
    /// How arrivals are spaced.
    pub enum Spacing {
        /// at even gaps
        Even = "even",
        /// by chance, from the seed: a Poisson process of that rate
        Poisson = "poisson",
    }
}

record! {
    /// How users meet, so that what is mixed up among them shows.
    pub struct ExposureDef {
        /// Users begin by twos, each pair so long after the one before. Default: all at once.
        pub pairs: Option<Spanned<Micros>>,
        /// Of each pair of users one is connected at a time: right when the one has hung up, as soon as its run is over, the
        /// other connects. Default: false.
        pub switch: Option<Spanned<bool>>,
        /// Before the connection on which it asks, a user connects and hangs up so often, as fast as the target lets it.
        pub reconnects: Option<Spanned<Whole<1, 100>>>,
        /// Connections of each user, all with its login; it asks on one, the others listen.
        pub sockets: Option<Spanned<Whole<2, 8>>>,
        /// Users ask so long after the upgrade, without waiting for the greeting; of several times each user takes one after the
        /// other with its iterations.
        pub send_after: Option<Spanned<OneOrMany<Micros>>>,
    }
}

record! {
    /// What ends the work early.
    pub struct StopDef {
        /// The first failing finding of one of these claims.
        pub on: OneOrMany<StopOn> = default(OneOrMany(Vec::new())),
        /// So many failing findings.
        pub findings: Option<Whole<1, 1_000_000_000>>,
        /// So much time since the beginning: users begin no more iterations.
        pub after: Option<Spanned<Micros>>,
    }
}

words! {
    /// A claim whose first failing finding ends the work.
    pub enum StopOn {
        /// readiness, login, upgrade, greeting
        Setup = "setup",
        /// connections and frames
        Transport = "transport",
        /// events complete and in order
        Events = "events",
        /// answers worth having
        Answer = "answer",
        /// nothing of one user at another
        Isolation = "isolation",
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
        pub answer: Option<AnswerSpec>,
        /// Before this turn the user hangs up and connects anew, with the login it has; the thread goes on. Default: false.
        pub reconnect: Option<Spanned<bool>>,
    }
    not_yet {
        "file" => ("read prompts from a file", "write one `prompt`, or a list of turns"),
    }
}

record! {
    /// A share of the users that behaves otherwise.
    pub struct PersonaDef {
        /// What reports call it.
        pub name: Spanned<Name> = required,
        /// The share of all users, above 0%; all shares together stay below 100%.
        pub share: Spanned<Percent> = required,
        /// What these users ask, as many turns as the scenario's `ask`.
        pub ask: Option<Spanned<AskDef>>,
        /// With `closed`: how long each of these users pauses between two iterations.
        pub think_time: Option<Spanned<ThinkDef>>,
    }
}

record! {
    /// What must hold.
    pub struct ExpectDef {
        /// Events complete and in order.
        pub events: Option<EventsDef>,
        /// Answers worth having.
        pub answer: Option<AnswerSpec>,
        /// Nothing of one user at another.
        pub isolation: Option<IsolationDef>,
        /// Every user gets ready: readiness, login, upgrade, greeting.
        pub setup: Option<SetupDef>,
        /// Events of one kind all come in one envelope: several are how several senders of one event look from outside. Not
        /// claimed by default.
        pub uniform_envelope: Option<UniformDef>,
        /// Connections last, and frames can be read.
        pub transport: Option<TransportDef>,
        /// Doors that must stay shut, at which `probes` knock.
        pub doors: Option<Spanned<DoorsDef>>,
        /// Limits on the time between two milestones.
        pub budgets: Option<Budgets>,
        /// The share of iterations that must succeed.
        pub reliability: Option<ReliabilityDef>,
        /// Rules that weigh other than usual, by code or name: `{ late-event: note }`.
        pub rules: Option<Table<RuleDef>>,
        /// Known issues: their findings are reported and do not fail.
        pub known: Option<Vec<KnownDef>>,
    }
    not_yet {
    }
}

by_shape! {
    /// Which events a run must have, and in which order.
    pub enum EventsDef {
        /// A grammar by its name.
        Named(GrammarName) = text,
        /// A grammar by its name with something added, or one of your own.
        Claimed(Box<Spanned<EventsClaim>>) = map,
    }
    expected "the name of a grammar or a map"
}

words! {
    /// A grammar by its name.
    pub enum GrammarName {
        /// started; thinking and tool pairs mixed, at least one of each; completed
        GoldenPath = "golden-path",
        /// the same, and a run without tools is right as well
        ToolsOptional = "golden-path-tools-optional",
        /// golden-path with agents that hand work to others: two of different names at least, see `min_agents`
        Supervisor = "supervisor",
        /// RUN_STARTED; messages, tool calls and steps, each begun and ended; RUN_FINISHED, or RUN_ERROR
        AgUi = "ag-ui",
    }
}

record! {
    /// Events complete and in order: a grammar by its name, or one of your own, which has an `end`.
    ///
    /// Where the name of an event stands, several may stand: `tool_executing | tool_started` is one event that some senders
    /// call otherwise.
    pub struct EventsClaim {
        /// A grammar by its name. Default: `golden-path`, unless there is an `end`.
        pub grammar: Option<Spanned<GrammarName>>,
        /// The event by which an agent begins; nothing comes before the first one.
        pub start: Option<Spanned<String>>,
        /// Events between start and end and how often each comes: `agent_thinking: { min: 1, max: 20 }`.
        pub steps: Option<Table<EventCount>>,
        /// Events that come in pairs, such as a tool's call and its result. The first kind of pair is what budgets call `tool`.
        pub pairs: OneOrMany<PairDef> = default(OneOrMany(Vec::new())),
        /// The event by which an agent ends; of a list each must come, in any order. A run is over when all agents that began
        /// have ended.
        pub end: OneOrMany<Spanned<String>> = default(OneOrMany(Vec::new())),
        /// Events by which a run ends as failed, beside those of the profile.
        pub bad_end: OneOrMany<Spanned<String>> = default(OneOrMany(Vec::new())),
        /// Events that may come any number of times, or not at all.
        pub optional: OneOrMany<Spanned<String>> = default(OneOrMany(Vec::new())),
        /// Events that must not come.
        pub forbidden: OneOrMany<Spanned<String>> = default(OneOrMany(Vec::new())),
        /// Lists of events whose first occurrences come in this order: `[[agent_thinking, tool_executing]]`.
        pub before: Vec<Spanned<Vec<Spanned<String>>>> = default(Vec::new()),
        /// Whether their order counts. Default: `strict`.
        pub order: Option<Spanned<OrderName>>,
        /// How many agents of different names begin at least.
        pub min_agents: Option<Spanned<Whole<1, 1_000>>>,
        /// `false` reports and never changes the exit code.
        pub required: Option<bool>,
    }
}

record! {
    /// How often an event comes in a run.
    pub struct EventCount {
        /// At least. Default: 1.
        pub min: Option<Spanned<Whole<0, 1_000_000>>>,
        /// At most. Default: any number.
        pub max: Option<Spanned<Whole<0, 1_000_000>>>,
    }
}

record! {
    /// Two events that belong together by their call id, else by their tool's name, else in turn.
    pub struct PairDef {
        /// The event that begins it.
        pub call: Spanned<String> = required,
        /// The event that ends it.
        pub result: Spanned<String> = required,
        /// How many pairs a run has at least. Default: 1.
        pub min: Option<Spanned<Whole<0, 1_000_000>>>,
        /// How many at most. Default: any number.
        pub max: Option<Spanned<Whole<0, 1_000_000>>>,
    }
}

words! {
    /// Whether the order of events counts.
    pub enum OrderName {
        /// start first, a call before its result, end last, and what `before` says
        Strict = "strict",
        /// only which events came counts, and how often
        Free = "free",
    }
}

by_shape! {
    /// One envelope for each kind of event.
    pub enum UniformDef {
        /// Whether it is asked for.
        Flag(bool) = bool,
        /// It is asked for.
        Claimed(UniformClaim) = map,
    }
    expected "`true` or a map"
}

record! {
    /// One envelope for each kind of event.
    pub struct UniformClaim {
        /// `false` reports and never changes the exit code.
        pub required: Option<bool>,
    }
}

by_shape! {
    /// What a good answer is.
    pub enum AnswerSpec {
        /// A ready set of rules.
        Preset(AnswerPreset) = text,
        /// Rules.
        Rules(Box<AnswerDef>) = map,
    }
    expected "a map of rules, or the name of a preset"
}

words! {
    /// A ready set of rules.
    pub enum AnswerPreset {
        /// at least 80 characters; a figure, money and something to do, in words (English) that are not the prompt's; not
        /// half of it the prompt quoted back
        BusinessValue = "business-value",
    }
}

by_shape! {
    /// Whether texts that stand in for an answer are refused.
    pub enum PlaceholdersDef {
        /// The usual ones, or none.
        Usual(bool) = bool,
        /// Exactly these.
        Own(OneOrMany<Spanned<String>>) = list,
    }
    expected "true, false or a list of texts"
}

by_shape! {
    /// Whether the prompt quoted back is refused.
    pub enum EchoDef {
        /// From the usual share on, or not at all.
        Usual(bool) = bool,
        /// From this share of the answer's words on.
        From(Spanned<Percent>) = text,
    }
    expected "true, false or a share such as `60%`"
}

words! {
    /// What must become of the prompt's mark.
    pub enum CanaryDef {
        /// it stands in the answer
        Echoed = "echoed",
    }
}

record! {
    /// What a good answer is.
    pub struct AnswerDef {
        /// A ready set of rules, to which the others here add; what both say is as it stands here.
        pub preset: Option<AnswerPreset>,
        /// Characters at least. An empty answer is none in any case.
        pub min_chars: Option<Whole<0, 1_000_000>>,
        /// Patterns (regular expressions) that must all occur.
        pub all_of: OneOrMany<Spanned<Pattern>> = default(OneOrMany(Vec::new())),
        /// Patterns of which one must occur.
        pub any_of: OneOrMany<Spanned<Pattern>> = default(OneOrMany(Vec::new())),
        /// Patterns that must not occur.
        pub none_of: OneOrMany<Spanned<Pattern>> = default(OneOrMany(Vec::new())),
        /// No text that stands in for an answer, such as `Task completed`, is one; or a list of such texts, each compared with
        /// the whole answer. Default: `true`.
        pub no_placeholder: Option<PlaceholdersDef>,
        /// The prompt quoted back with little else is no answer; or the share of quoted words from which on. Default: `true`,
        /// which is `80%`.
        pub not_echo: Option<EchoDef>,
        /// `echoed`: the prompt's `${canary}` must stand in the answer.
        pub canary: Option<Spanned<CanaryDef>>,
        /// Prompts that differ beyond their canary must not get the same answer.
        pub distinct: Option<Spanned<bool>>,
        /// Must hold of the event that ends the run, such as `{ /data/status: completed }`; where several must come, of one of
        /// them.
        pub success: Option<When>,
        /// `false` reports and never changes the exit code; only under `expect`.
        pub required: Option<Spanned<bool>>,
    }
    not_yet {
        "similarity" => ("compare answers with a sample", "use `all_of` and `any_of`"),
    }
}

record! {
    /// Nothing of one user at another. Not claimed with a single user.
    pub struct IsolationDef {
        /// The share of users whose run must have overlapped another user's. Default: `50%`.
        pub min_overlap: Option<Spanned<Percent>>,
        /// The share of text frames that must have carried an id or a mark of their receiver. Without it some must.
        pub min_attributed: Option<Spanned<Percent>>,
        /// The share of runs, above 0% and below 100%, of which it must be shown (at 95 % confidence) that fewer than that leak.
        /// Runs count that overlapped another user's: 1% takes 299 of them without a leak.
        pub leaks_under: Option<Spanned<Percent>>,
        /// Frames that are meant for everybody: whose ids they name is nobody's secret, and no run is waiting for them. A mark of
        /// another user is a leak in them as well.
        pub public: Vec<When> = default(Vec::new()),
        /// Between whom. Default: `users`.
        pub between: Option<Spanned<BetweenName>>,
        /// `false` reports and never changes the exit code.
        pub required: Option<Spanned<bool>>,
    }
    not_yet {
        "probes" => ("knock at doors here", "write `probes` beside `expect`"),
    }
}

words! {
    /// Who is another.
    pub enum BetweenName {
        /// every other user
        Users = "users",
        /// users with another `group` in `users.file`, whose rows may then be one user with several sockets
        Groups = "groups",
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

by_shape! {
    /// How much the findings of a rule weigh.
    pub enum RuleDef {
        /// In a word.
        Weight(Spanned<RuleWeight>) = text,
        /// With a reason.
        Reasoned(RuleReason) = map,
    }
    expected "`note`, `failure`, or a map with `weight` and `reason`"
}

words! {
    /// How much the findings of a rule weigh.
    pub enum RuleWeight {
        /// they are reported and change no verdict
        Note = "note",
        /// they fail their claim
        Failure = "failure",
        /// they are only counted; needs a reason
        Off = "off",
    }
}

record! {
    /// How much the findings of a rule weigh, and why.
    pub struct RuleReason {
        /// How much.
        pub weight: Spanned<RuleWeight> = required,
        /// Why; every report prints it.
        pub reason: Option<Spanned<String>>,
        /// For rules of isolation: leaks may pass.
        pub accept_leak: Option<Spanned<bool>>,
    }
}

record! {
    /// A known issue.
    pub struct KnownDef {
        /// The rule of its findings, by code or name.
        pub rule: Spanned<String> = required,
        /// A pattern (regular expression) in the sentence of the findings that are meant. Default: all of the rule.
        pub matches as "where": Option<Pattern>,
        /// Where it is being worked on: an address or a number.
        pub issue: Spanned<String> = required,
        /// The last day (UTC) on which it is tolerated, for example `2026-12-31`. Then its findings fail.
        pub until: Option<Day>,
        /// With more findings than this all of them fail.
        pub at_most: Option<Whole<1, 1_000_000_000>>,
        /// For rules of isolation: leaks may pass.
        pub accept_leak: Option<Spanned<bool>>,
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

impl AnswerSpec {
    /// The rules, whichever way they were written.
    pub fn into_rules(self) -> AnswerDef {
        let none = || OneOrMany(Vec::new());
        match self {
            Self::Rules(rules) => *rules,
            Self::Preset(preset) => AnswerDef {
                success: None,
                preset: Some(preset),
                min_chars: None,
                all_of: none(),
                any_of: none(),
                none_of: none(),
                no_placeholder: None,
                not_echo: None,
                canary: None,
                distinct: None,
                required: None,
            },
        }
    }
}
