//! Scenarios: from a YAML tree to what users do and what must hold.
//!
//! ```text
//! Node -> environments::with_environment -> format (keys) -> check (what they mean together) -> Scenario
//! ```
//!
//! A scenario describes; it opens no file, reads no variable, and knows nothing of a target's dialect: what needs the
//! dialect (the grammar's event names) stays a choice here and is compiled by whoever has both. Secrets are references
//! that the edge follows.

pub mod budgets;
pub mod defaults;
pub mod format;
pub mod load;
pub mod names;
pub mod people;
pub mod probes;
pub mod values;

mod check;
mod environments;
mod grammar;
mod personas;
mod work;

use std::sync::Arc;

pub use check::is_variable;
pub use environments::{Environments, names as environment_names, with_environment};
pub use format::Session;
pub use personas::Persona;

use crate::document::decode::{self, Decode};
use crate::document::diagnostic::Diagnostic;
use crate::document::text::Text;
use crate::document::values::{Pattern, Table};
use crate::document::{Context, Node, Sources, Span, Spanned};
use crate::expect::{
    AnswerRules, Asserted, Between, Budget, Claims, Exceptions, Known, Level, Origin, Reliability, ReliabilityOf,
    RuleChange, Spelled, Statistic, Timeouts,
};
use crate::identity::UserNumber;
use crate::matcher::When;
use crate::probe::Probe;
use crate::rule::Severity;
use load::Load;

/// What users do and what must hold, checked.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name: one plain word.
    pub name: String,
    /// Words to select it by.
    pub tags: Vec<String>,
    /// The system under test.
    pub target: TargetRef,
    /// Who logs in.
    pub users: Users,
    /// How much work there is.
    pub load: Load,
    /// What is asked, in order, on one thread; at least one.
    pub turns: Vec<Turn>,
    /// Shares of the users that behave otherwise.
    pub personas: Vec<Persona>,
    /// What must hold.
    pub expect: Expect,
    /// How long to wait for what, with the defaults filled in.
    pub timeouts: Timeouts,
    /// Where the amounts and limits were written, for what is found wrong with them later.
    pub written: Written,
}

/// Places of amounts and limits.
#[derive(Debug, Clone)]
pub struct Written {
    /// Of `users.count`.
    pub users: Span,
    /// Of `load.closed.iterations` or `load.open`, if it stands.
    pub iterations: Option<Span>,
    /// Of each of [`Expect::budgets`], in the same order.
    pub budgets: Vec<Span>,
    /// Of `expect.reliability.at_least`, if it stands.
    pub reliability: Option<Span>,
    /// Of `expect.isolation.leaks_under`, if it stands.
    pub leaks_under: Option<Span>,
    /// Of `expect.isolation.between`, if it says `groups`.
    pub groups: Option<Span>,
    /// Of `load.exposure.send_after`, if it stands.
    pub send_after: Option<Span>,
    /// Of `probes`, if it stands.
    pub probes: Option<Span>,
    /// Of each probe that was named.
    pub named: Vec<Spanned<Probe>>,
}

/// The system under test, unresolved.
#[derive(Debug, Clone)]
pub struct TargetRef {
    /// Where the profile is.
    pub profile: ProfileRef,
    /// Where the profile was named: a path is relative to the text of this place.
    pub span: Span,
    /// Instead of the profile's HTTP base.
    pub http: Option<Text>,
    /// Instead of the profile's socket. With `http` alone the socket follows it.
    pub socket: Option<Text>,
    /// Misbehaviour of the embedded backend, as written.
    pub faults: Vec<Spanned<String>>,
}

/// Where a target profile is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileRef {
    /// The embedded backend and the profile that belongs to it.
    Embedded,
    /// A file, as written.
    File(String),
}

/// Simulated users.
#[derive(Debug, Clone)]
pub struct Users {
    /// How many, from 1.
    pub count: u32,
    /// The number of the first.
    pub first: u32,
    /// Their login.
    pub email: Option<Text>,
    /// Their password.
    pub password: Option<Password>,
    /// The table that has a row for each, relative to the text of its place.
    pub file: Option<Spanned<String>>,
    /// Columns of the table that must not be shown.
    pub secret: Vec<Spanned<String>>,
    /// The columns of its file, where its first line does not name them.
    pub columns: Vec<String>,
    /// When they log in and connect.
    pub session: Session,
    /// How many users more connect and never ask.
    pub witnesses: u32,
}

/// A password, not yet followed to its place.
#[derive(Debug, Clone)]
pub enum Password {
    /// Written into the file; only for targets on loopback, see [`Password::off_loopback`].
    Written(Text),
    /// In a variable.
    Variable {
        /// The variable.
        name: Spanned<String>,
        /// What to use instead on loopback when the variable is not set.
        on_loopback: Option<Text>,
    },
    /// In a file, relative to the text of its place; a line break at the end does not count.
    File(Spanned<String>),
    /// What a program prints; a line break at the end does not count.
    Command {
        /// The program and its arguments, for no shell; at least one.
        words: Vec<String>,
        /// Where it was written.
        place: Span,
    },
}

/// One turn of a conversation.
#[derive(Debug, Clone)]
pub struct Turn {
    /// What is asked.
    pub prompt: Text,
    /// On a new connection.
    pub reconnect: bool,
}

/// What a good answer is.
#[derive(Debug, Clone)]
pub struct Answer {
    /// All of it but `success`, which is not compiled yet.
    pub rules: AnswerRules,
    /// What must hold of the event that ends the run.
    pub success: Option<When>,
}

/// What must hold, as far as it can be said without a dialect; `expect::Expectations` is made from this and a profile.
#[derive(Debug, Clone)]
pub struct Expect {
    /// The legal orders of events.
    pub grammar: Spelled,
    /// What a good answer is, one entry per turn.
    pub answers: Vec<Answer>,
    /// Limits on segments, in the order written.
    pub budgets: Vec<Budget>,
    /// What is asserted of the execution.
    pub claims: Claims,
    /// Frames that are meant for everybody.
    pub public: Vec<When>,
}

/// Reads a scenario from its tree, overlays included.
///
/// Every mistake and every doubt is reported to `cx`, those between keys beside those within them; `None` if there was
/// a mistake.
pub fn compile(tree: &Node, sources: &Sources, cx: &mut Context) -> Option<Scenario> {
    let mut own = Context::new();
    let file: Option<format::ScenarioFile> = decode::decode(tree, &mut own);
    check::check(&Parts::read(tree), &mut own);
    let usable = !own.has_mistakes();
    own.finish().into_iter().for_each(|diagnostic| cx.report(diagnostic));
    let file = file.filter(|_| usable)?;
    Some(build(file, &Places { tree, sources }))
}

/// The target that a tree names, also where other parts of it are wrong; its mistakes are left to [`compile`].
pub fn target(tree: &Node) -> Option<TargetRef> {
    part(tree, &["target"]).map(target_ref)
}

/// What [`compile`] accepts, as JSON Schema (2020-12); rules between keys are left to [`compile`].
pub fn schema() -> serde_json::Value {
    let schema = decode::schema::<format::ScenarioFile>("goldenpath scenario");
    environments::with_parts(schema, "ScenarioFile")
}

impl Scenario {
    /// The numbers of the users, in order.
    pub fn numbers(&self) -> impl Iterator<Item = UserNumber> + use<> {
        (self.users.first..self.users.first + self.users.count).map(UserNumber)
    }

    /// What users ask who are this persona of [`Scenario::personas`], or none.
    pub fn asked_by(&self, persona: Option<usize>) -> &[Turn] {
        persona.and_then(|which| self.personas.get(which)).map_or(&self.turns, |persona| &persona.turns)
    }

    /// Every prompt that somebody asks.
    pub fn prompts(&self) -> impl Iterator<Item = &Text> {
        let turns = self.turns.iter().chain(self.personas.iter().flat_map(|persona| &persona.turns));
        turns.map(|turn| &turn.prompt)
    }

    /// Each iteration logs in and connects anew.
    pub fn fresh_sessions(&self) -> bool {
        self.users.session == Session::Fresh
    }

    /// Iterations of all users together, as far as they are known beforehand.
    pub fn iterations(&self) -> u64 {
        self.load.iterations(self.users.count)
    }

    /// Logins and connects of all users together, without those that warm up.
    pub fn setups(&self) -> u64 {
        match (self.fresh_sessions(), self.load.warm_up) {
            (true, _) => self.iterations(),
            (false, 0) => self.iterations().min(self.users.count.into()),
            // Who keeps its session has it before anything is measured.
            (false, _) => 0,
        }
    }

    /// New connections within iterations, of all users together.
    pub fn reconnects(&self) -> u64 {
        let turns = self.turns.iter().filter(|turn| turn.reconnect).count() as u64;
        self.iterations() * (turns + u64::from(self.load.exposure.reconnects))
    }

    /// How many connect beside those who ask, and never do: witnesses, and further connections of users.
    pub fn listeners(&self) -> u32 {
        self.users.count.saturating_mul(self.load.exposure.further).saturating_add(self.users.witnesses)
    }

    /// Runs of all users together that are not judged, because they warm the target up.
    pub fn runs_to_warm_up(&self) -> u64 {
        u64::from(self.users.count) * u64::from(self.load.warm_up) * self.turns.len() as u64
    }

    /// Runs of all users together: one per turn of each iteration, without those that warm up.
    pub fn runs(&self) -> u64 {
        self.iterations() * self.turns.len() as u64
    }
}

impl Password {
    /// What is wrong with the password when the target is not on loopback.
    pub fn off_loopback(&self) -> Option<Diagnostic> {
        let Password::Written(text) = self else { return None };
        let by_variable = |name: &str| name.starts_with("env.");
        if text.holes().any(|hole| by_variable(&hole.name)) {
            return None;
        }
        let mistake =
            Diagnostic::mistake(text.span, "a password stands in the file, and the target is not on loopback");
        Some(mistake.help("put it into a variable and write `password: { env: QA_PASSWORD }`"))
    }
}

/// The sections of a file that could be decoded, each on its own, so that a mistake in one does not hide what is wrong
/// between others.
struct Parts {
    target: Option<format::TargetDef>,
    users: Option<format::UsersDef>,
    load: Option<format::LoadDef>,
    ask: Option<format::AskDef>,
    personas: Vec<Spanned<format::PersonaDef>>,
    events: Option<format::EventsDef>,
    answer: Option<format::AnswerDef>,
    isolation: Option<format::IsolationDef>,
    setup: Option<format::SetupDef>,
    budgets: Option<budgets::Budgets>,
    reliability: Option<format::ReliabilityDef>,
    rules: Option<Table<format::RuleDef>>,
    known: Option<Vec<format::KnownDef>>,
    timeouts: Option<format::TimeoutsDef>,
    probes: Option<Spanned<probes::ProbesDef>>,
    doors: Option<Spanned<probes::DoorsDef>>,
}

impl Parts {
    fn read(tree: &Node) -> Self {
        Self {
            target: part(tree, &["target"]),
            users: part(tree, &["users"]),
            load: part(tree, &["load"]),
            ask: part(tree, &["ask"]),
            personas: part(tree, &["personas"]).unwrap_or_default(),
            events: part(tree, &["expect", "events"]),
            answer: part(tree, &["expect", "answer"]).map(format::AnswerSpec::into_rules),
            isolation: part(tree, &["expect", "isolation"]),
            setup: part(tree, &["expect", "setup"]),
            budgets: part(tree, &["expect", "budgets"]),
            reliability: part(tree, &["expect", "reliability"]),
            rules: part(tree, &["expect", "rules"]),
            known: part(tree, &["expect", "known"]),
            timeouts: part(tree, &["timeouts"]),
            probes: part(tree, &["probes"]),
            doors: part(tree, &["expect", "doors"]),
        }
    }

    /// What is asked; empty if it could not be decoded.
    fn turns(&self) -> &[format::TurnDef] {
        self.ask.as_ref().map_or(&[], format::AskDef::turns)
    }

    /// The same with what personas ask.
    fn all_turns(&self) -> impl Iterator<Item = &format::TurnDef> {
        let personas = self.personas.iter().filter_map(|persona| persona.value.ask.as_ref());
        self.turns().iter().chain(personas.flat_map(|ask| ask.value.turns()))
    }
}

/// The section at `path`, if it stands and is right; what is wrong with it was reported with the whole file.
fn part<T: Decode>(tree: &Node, path: &[&str]) -> Option<T> {
    let node = path.iter().try_fold(tree, |node, key| node.get(key))?;
    T::decode(node, &mut Context::new())
}

impl format::AskDef {
    fn turns(&self) -> &[format::TurnDef] {
        match self {
            Self::One(turn) => std::slice::from_ref(turn),
            Self::Turns(turns) => &turns.0,
        }
    }
}

impl format::IsolationDef {
    /// Where groups are asked for.
    fn groups(&self) -> Option<Span> {
        self.between.filter(|between| between.value == format::BetweenName::Groups).map(|between| between.span)
    }
}

impl format::TurnDef {
    fn rules(&self) -> Option<format::AnswerDef> {
        self.answer.clone().map(format::AnswerSpec::into_rules)
    }
}

/// From places in texts to files and lines.
struct Places<'a> {
    tree: &'a Node,
    sources: &'a Sources,
}

impl Places<'_> {
    fn origin(&self, span: Span) -> Origin {
        let (file, line) = self.sources.origin(span);
        Origin { file: Arc::from(file), line: u32::try_from(line).unwrap_or(u32::MAX) }
    }

    /// Where the key at `path` stands, if it does.
    fn key(&self, path: &[&str]) -> Option<Origin> {
        let (last, way) = path.split_last()?;
        let map = way.iter().try_fold(self.tree, |node, key| node.get(key))?;
        let entry = map.entries()?.iter().find(|entry| entry.key.text == *last)?;
        Some(self.origin(entry.key.span))
    }

    fn claim(&self, key: &str, required: Option<bool>) -> Asserted {
        Asserted { required: required.unwrap_or(defaults::REQUIRED), origin: self.key(&["expect", key]) }
    }
}

fn build(file: format::ScenarioFile, places: &Places<'_>) -> Scenario {
    let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let users = Users {
        count: work::users(&file.users, file.load.as_ref()),
        first: file.users.first.map_or(defaults::USERS_FIRST, |first| narrow(first.value.get())),
        email: file.users.email,
        password: file.users.password.and_then(password),
        file: file.users.file,
        secret: file.users.secret.0,
        columns: file.users.columns.0.into_iter().map(|column| column.value).collect(),
        session: file.users.session.map_or(Session::Fresh, |session| session.value),
        witnesses: file.users.witnesses.map_or(0, |witnesses| narrow(witnesses.value.get())),
    };
    let limits = file.expect.iter().flat_map(|expect| &expect.budgets).flat_map(|budgets| &budgets.0);
    let written = Written {
        users: file.users.count.span,
        iterations: file.load.as_ref().and_then(work::amount),
        budgets: limits.flat_map(|segment| &segment.limits).map(|limit| limit.span).collect(),
        reliability: file.expect.iter().find_map(|expect| expect.reliability.as_ref()).map(|given| given.at_least.span),
        leaks_under: file
            .expect
            .iter()
            .find_map(|expect| expect.isolation.as_ref()?.leaks_under)
            .map(|given| given.span),
        groups: file.expect.iter().find_map(|expect| expect.isolation.as_ref()?.groups()),
        send_after: file
            .load
            .as_ref()
            .and_then(|load| load.exposure.as_ref()?.value.send_after.as_ref())
            .map(|times| times.span),
        probes: file.probes.as_ref().map(|probes| probes.span),
        named: file.probes.as_ref().map(|probes| probes.value.places()).unwrap_or_default(),
    };
    let probes = file.probes.map(|probes| probes.value);
    let answer = file.expect.as_ref().and_then(|expect| expect.answer.clone()).map(format::AnswerSpec::into_rules);
    let personas = file.personas.iter().map(|persona| personas::build(&persona.value, &file.ask, answer.as_ref()));
    let personas = personas.collect();
    let expect = build_expect(file.expect, probes.as_ref(), file.ask.turns(), &users, places);
    Scenario {
        name: file.name.0,
        tags: file.tags.0.into_iter().map(|tag| tag.0).collect(),
        target: target_ref(file.target),
        users,
        load: work::load(file.load.as_ref(), |span| places.origin(span)),
        turns: file.ask.turns().iter().map(turn).collect(),
        personas,
        expect,
        timeouts: timeouts(file.timeouts.as_ref()),
        written,
    }
}

/// The word that stands for the embedded backend where a profile is named.
const EMBEDDED: &str = "embedded";

fn turn(written: &format::TurnDef) -> Turn {
    Turn { prompt: written.prompt.clone(), reconnect: written.reconnect.is_some_and(|reconnect| reconnect.value) }
}

fn target_ref(written: format::TargetDef) -> TargetRef {
    let (profile, http, socket, faults) = match written {
        format::TargetDef::Named(name) => (name, None, None, None),
        format::TargetDef::Inline(inline) => (inline.profile, inline.http, inline.socket, inline.faults),
    };
    let span = profile.span;
    let profile = if profile.value == EMBEDDED { ProfileRef::Embedded } else { ProfileRef::File(profile.value) };
    TargetRef { profile, span, http, socket, faults: faults.map_or_else(Vec::new, |faults| faults.0) }
}

fn password(written: format::PasswordDef) -> Option<Password> {
    match written {
        format::PasswordDef::Written(text) => Some(Password::Written(text)),
        format::PasswordDef::Reference(reference) => {
            let on_loopback = reference.on_loopback;
            let variable = reference.env.map(|name| Password::Variable { name, on_loopback });
            let command = reference.command.map(|Spanned { value: words, span: place }| Password::Command {
                words: words.0.into_iter().map(|word| word.value).collect(),
                place,
            });
            variable.or_else(|| reference.file.map(Password::File)).or(command)
        }
    }
}

fn timeouts(written: Option<&format::TimeoutsDef>) -> Timeouts {
    macro_rules! or_default {
        ($key:ident, $default:ident) => {
            written.and_then(|timeouts| timeouts.$key).map_or(defaults::$default, |given| given.value)
        };
    }
    Timeouts {
        connect: or_default!(connect, CONNECT),
        greeting: or_default!(greeting, GREETING),
        first_event: or_default!(first_event, FIRST_EVENT),
        stall: or_default!(stall, STALL),
        run: or_default!(run, RUN),
        quiet: or_default!(quiet, QUIET),
        drain: or_default!(drain, DRAIN),
    }
}

fn build_expect(
    written: Option<format::ExpectDef>,
    probes: Option<&probes::ProbesDef>,
    turns: &[format::TurnDef],
    users: &Users,
    places: &Places<'_>,
) -> Expect {
    let written = written.as_ref();
    let answer = written.and_then(|expect| expect.answer.clone()).map(format::AnswerSpec::into_rules);
    let answer = answer.as_ref();
    let isolation = written.and_then(|expect| expect.isolation.as_ref());
    let setup = written.and_then(|expect| expect.setup.as_ref());
    let events = written.and_then(|expect| expect.events.as_ref());
    let events_required = match events {
        Some(format::EventsDef::Claimed(claim)) => claim.value.required,
        Some(format::EventsDef::Named(_)) | None => None,
    };
    let uniform_envelope = match written.and_then(|expect| expect.uniform_envelope.as_ref()) {
        None | Some(format::UniformDef::Flag(false)) => None,
        Some(format::UniformDef::Flag(true)) => Some(places.claim("uniform_envelope", None)),
        Some(format::UniformDef::Claimed(claim)) => Some(places.claim("uniform_envelope", claim.required)),
    };
    let transport_required = written.and_then(|expect| expect.transport.as_ref()?.required);
    let doors = written.and_then(|expect| expect.doors.as_ref()).map(|doors| &doors.value);
    let doors_origin = places.key(&["expect", "doors"]).or_else(|| places.key(&["probes"]));
    let doors_required = doors.and_then(|doors| doors.required).unwrap_or(defaults::REQUIRED);
    let claims = Claims {
        setup: places.claim("setup", setup.and_then(|setup| setup.required)),
        setup_at_most: setup.and_then(|s| s.at_most).map_or(defaults::SETUP_AT_MOST, |share| share.value.fraction()),
        transport: places.claim("transport", transport_required),
        events: places.claim("events", events_required),
        answer: places.claim("answer", answer.and_then(|answer| answer.required).map(|given| given.value)),
        uniform_envelope,
        isolation: (users.count > 1)
            .then(|| places.claim("isolation", isolation.and_then(|i| i.required).map(|given| given.value))),
        between: match isolation.and_then(format::IsolationDef::groups) {
            Some(_) => Between::Groups,
            None => Between::Users,
        },
        min_overlap: isolation
            .and_then(|isolation| isolation.min_overlap)
            .map_or(defaults::MIN_OVERLAP, |share| share.value.fraction()),
        min_attributed: isolation
            .and_then(|isolation| isolation.min_attributed)
            .map_or(0.0, |share| share.value.fraction()),
        leaks_under: isolation.and_then(|isolation| isolation.leaks_under).map(|share| share.value.fraction()),
        doors: probes::doors(probes, doors, Asserted { required: doors_required, origin: doors_origin }),
        reliability: written.and_then(|expect| expect.reliability.as_ref()).map(|given| reliability(given, places)),
        exceptions: written.map(|expect| exceptions(expect, places)).unwrap_or_default(),
    };
    Expect {
        // What is wrong with it was reported by the check of the parts.
        grammar: grammar::spelled(events, &mut Context::new()),
        answers: answers(turns, answer),
        budgets: written.and_then(|expect| expect.budgets.as_ref()).map(|b| flatten(b, places)).unwrap_or_default(),
        claims,
        public: isolation.map(|isolation| isolation.public.clone()).unwrap_or_default(),
    }
}

fn reliability(written: &format::ReliabilityDef, places: &Places<'_>) -> Reliability {
    Reliability {
        of: match written.of {
            None | Some(format::ReliabilityName::GoldenPath) => ReliabilityOf::GoldenPath,
            Some(format::ReliabilityName::Connection) => ReliabilityOf::Connection,
        },
        at_least: written.at_least.value.fraction(),
        confidence: written.confidence.map_or(defaults::CONFIDENCE, |given| given.value.fraction()),
        required: written.required.unwrap_or(defaults::REQUIRED),
        origin: places.origin(written.at_least.span),
    }
}

fn exceptions(written: &format::ExpectDef, places: &Places<'_>) -> Exceptions {
    let rules = written.rules.iter().flat_map(|rules| &rules.0).filter_map(|(name, change)| {
        let (weight, reason, _) = change.parts();
        Some(RuleChange {
            rule: names::rule(&name.value)?,
            severity: match weight.value {
                format::RuleWeight::Note => Some(Severity::Note),
                format::RuleWeight::Failure => Some(Severity::Failure),
                format::RuleWeight::Off => None,
            },
            reason: reason.map(|reason| reason.value.clone()),
            origin: places.origin(name.span),
        })
    });
    let known = written.known.iter().flatten().filter_map(|known| {
        Some(Known {
            rule: names::rule(&known.rule.value)?,
            matches: known.matches.as_ref().map(|pattern| pattern.0.clone()),
            issue: known.issue.value.clone(),
            until: known.until.map(|day| day.0),
            at_most: known.at_most.map(|count| count.get()),
            origin: places.origin(known.rule.span),
        })
    });
    Exceptions { known: known.collect(), rules: rules.collect() }
}

impl format::RuleDef {
    /// Weight, reason, and whether leaks may pass.
    fn parts(&self) -> (Spanned<format::RuleWeight>, Option<&Spanned<String>>, Option<Spanned<bool>>) {
        match self {
            Self::Weight(weight) => (*weight, None, None),
            Self::Reasoned(change) => (change.weight, change.reason.as_ref(), change.accept_leak),
        }
    }
}

/// What good answers to these turns are, where `answer` holds of all that say nothing else.
fn answers(turns: &[format::TurnDef], answer: Option<&format::AnswerDef>) -> Vec<Answer> {
    let of = |turn: &format::TurnDef| {
        let own = turn.rules();
        let written = own.as_ref().or(answer);
        Answer { rules: answer_rules(written), success: written.and_then(|written| written.success.clone()) }
    };
    turns.iter().map(of).collect()
}

fn answer_rules(written: Option<&format::AnswerDef>) -> AnswerRules {
    use format::PlaceholdersDef::{Own, Usual};
    let usual = AnswerRules::default();
    let Some(written) = written else { return usual };
    let regexes = |patterns: &[Spanned<Pattern>]| patterns.iter().map(|p| p.value.0.clone()).collect();
    let business_value = written.preset == Some(format::AnswerPreset::BusinessValue);
    let (min_chars, echo_from) = match business_value {
        true => (defaults::BUSINESS_VALUE_MIN_CHARS, Some(defaults::BUSINESS_VALUE_ECHO_FROM)),
        false => (usual.min_chars, usual.echo_from),
    };
    AnswerRules {
        min_chars: written.min_chars.map_or(min_chars, |chars| u32::try_from(chars.get()).unwrap_or(u32::MAX)),
        all_of: regexes(&written.all_of.0),
        any_of: regexes(&written.any_of.0),
        none_of: regexes(&written.none_of.0),
        placeholders: match written.no_placeholder.as_ref().unwrap_or(&Usual(defaults::NO_PLACEHOLDER)) {
            Usual(true) => usual.placeholders,
            Usual(false) => Vec::new(),
            Own(texts) => texts.0.iter().map(|text| text.value.clone()).collect(),
        },
        echo_from: match &written.not_echo {
            None | Some(format::EchoDef::Usual(true)) => echo_from,
            Some(format::EchoDef::Usual(false)) => None,
            Some(format::EchoDef::From(share)) => Some(share.value.fraction()),
        },
        canary_echoed: written.canary.is_some(),
        distinct: written.distinct.is_some_and(|distinct| distinct.value),
        success: None,
        business_value,
    }
}

fn flatten(written: &budgets::Budgets, places: &Places<'_>) -> Vec<Budget> {
    let mut budgets = Vec::new();
    for segment in &written.0 {
        for limit in &segment.limits {
            let statistic = limit.figure.statistic();
            let proven = segment.proven.map_or(defaults::PROVEN, |(proven, _)| proven);
            budgets.push(Budget {
                segment: segment.segment,
                statistic,
                limit: limit.limit,
                level: limit.level,
                per: segment.per.map(|per| per.value),
                proven: proven && matches!(statistic, Statistic::Quantile(_)),
                required: segment.required.unwrap_or(defaults::REQUIRED) && limit.level == Level::Fail,
                origin: places.origin(limit.span),
            });
        }
    }
    budgets
}

#[cfg(test)]
mod tests;
