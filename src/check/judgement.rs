//! What judging leaves behind: counts, latencies, findings and the ledger of ids, of any part of an execution.
//!
//! Judgements of disjoint sets of users merge in any order and grouping to the same value, so a thread, a process and a
//! machine are the same thing to it. Nothing is concluded here: verdicts need the whole (`conclude`).

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::concern::Envelopes;
use super::copies::Unmarked;
use super::course::Course;
use super::doors::DoorLog;
use super::flight::Flight;
use super::instrument::Instrument;
use super::ledger::Ledger;
use crate::event::KindId;
use crate::expect::{Exceptions, Expectations, Names, PerSegment, Segment};
use crate::finding::{Excerpt, Finding, LeakClass, Subject};
use crate::identity::{Iteration, UserNumber};
use crate::rule::{Concern, Rule, Severity};
use crate::stats::Histogram;
use crate::time::{Micros, Stamp};

/// What was judged of some users of an execution.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judgement {
    /// How much was seen.
    pub counts: Counts,
    /// Latencies per segment.
    pub segments: PerSegment<Latencies>,
    /// The same per window of time, of segments that have a budget per window.
    pub windows: BTreeMap<Window, Latencies>,
    /// Deviations.
    pub findings: FindingLog,
    /// Whose ids are whose, and which of the ids seen are not settled yet.
    pub ledger: Ledger,
    /// Frames of runs that tell nobody's id, of which some may have been sent to everybody.
    pub unmarked: Unmarked,
    /// How often each event name came that something mentions.
    pub known: BTreeMap<String, u64>,
    /// The same of names that came as they are called, by kind; `finish` moves them to the others.
    kinds: Vec<u64>,
    /// How often each event name came that nothing mentions; the first `NAMES_KEPT` names of each part.
    pub unknown: BTreeMap<String, u64>,
    /// How often each event of the grammar came in which envelope, in the ids of the dialect.
    pub census: Envelopes,
    /// The runs of each user that asked; the first `RUNS_KEPT` of each.
    pub flights: BTreeMap<UserNumber, Vec<Flight>>,
    /// Users of whose runs an event was known to be theirs, by an id or a mark.
    pub recognised: BTreeSet<UserNumber>,
    /// What probes met at doors that must stay shut.
    pub doors: DoorLog,
    /// Which answers different prompts got, of turns whose answers must differ.
    pub same_answers: SameAnswers,
    /// Users who were one of the expected personas in an iteration that ended with a verdict, and how many such iterations.
    pub personas: BTreeMap<usize, (u64, u64)>,
    /// Clean-up steps that failed, as `user N: step: reason`; the first `NAMES_KEPT`.
    pub leftovers: BTreeSet<String>,
    /// How the iterations went that warm the target up.
    pub warm_up: WarmUp,
    /// How good the instrument was.
    pub instrument: Instrument,
    /// How it went over time, for people.
    pub course: Course,
}

/// Iterations that warm the target up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WarmUp {
    /// How many ended.
    pub ended: u64,
    /// In how many something went wrong that would fail others.
    pub failed: u64,
    /// The first of what went wrong: when, in which iteration of whom, by which rule and in words.
    pub first: Option<(Stamp, UserNumber, Iteration, Rule, String)>,
}

impl WarmUp {
    /// Something went wrong in one of them.
    pub fn went_wrong(&mut self, new: (Stamp, UserNumber, Iteration, Rule, String)) {
        if self.first.as_ref().is_none_or(|first| new < *first) {
            self.first = Some(new);
        }
    }

    fn merge(&mut self, other: WarmUp) {
        self.ended += other.ended;
        self.failed += other.failed;
        other.first.into_iter().for_each(|first| self.went_wrong(first));
    }
}

/// Whether a finding is about an iteration that warms up, and about what is not judged there: all but set-ups and isolation.
pub(super) fn is_of_warm_up(finding: &Finding, expect: &Expectations) -> bool {
    let warms = finding.subject.iteration.is_some_and(|iteration| iteration.0 <= expect.warm_up);
    warms && !matches!(finding.deviation.rule().concern(), Concern::Setup | Concern::Isolation | Concern::Doors)
}

/// How many unknown names and leftovers one part of an execution keeps.
pub const NAMES_KEPT: usize = 1_000;

/// How many windows of one length are told apart: a day of five minutes each. The last one holds all that is later. A window
/// takes at most 16 KiB up to 1,024 values of a segment, some 400 KB beyond.
pub const WINDOWS_KEPT: u64 = 288;

/// A part of the execution's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// What was measured.
    pub segment: Segment,
    /// How long each window of this kind is, above zero.
    pub per: Micros,
    /// Which, counted from 0 at the execution's beginning.
    pub index: u64,
}

impl Window {
    /// The window in which `at` lies.
    pub fn of(segment: Segment, per: Micros, at: Stamp) -> Window {
        Window { segment, per, index: (at.0 / per.0.max(1)).min(WINDOWS_KEPT - 1) }
    }
}

impl std::fmt::Display for Window {
    /// `from 10 min to 15 min`, as every report says it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let from = Micros(self.per.0.saturating_mul(self.index));
        if self.index == WINDOWS_KEPT - 1 {
            write!(f, "from {from} on")
        } else {
            write!(f, "from {from} to {}", from + self.per)
        }
    }
}

/// How much was seen. All are plain sums over users.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Counts {
    /// Users that began at least one iteration.
    pub users: u64,
    /// Users that were ready to ask at least once.
    pub users_ready: u64,
    /// Users that only listened, further connections of users among them.
    #[serde(default)]
    pub listeners: u64,
    /// Iterations that were to begin by the clock, those without a free user included; none where users begin when they are done.
    #[serde(default)]
    pub arrivals: u64,
    /// Of those the ones that found no free user.
    #[serde(default)]
    pub arrivals_dropped: u64,
    /// Deadlines of the execution that passed before everything was over.
    #[serde(default)]
    pub overdue: u64,
    /// Set-ups begun: one per iteration with a fresh session.
    pub setups: u64,
    /// Set-ups that failed.
    pub setups_failed: u64,
    /// Readiness steps of the target that failed, before any user.
    pub not_ready: u64,
    /// Connections tried.
    pub connections: u64,
    /// Connections refused, or lost before the harness closed them.
    pub connections_failed: u64,
    /// Iterations that ended with a verdict.
    pub iterations: u64,
    /// Iterations with a failing finding.
    pub iterations_failed: u64,
    /// Iterations whose failing findings are all known issues; not among the failed.
    #[serde(default)]
    pub iterations_known: u64,
    /// Iterations cut by a signal, or begun and never judged.
    pub iterations_interrupted: u64,
    /// Runs asked for and judged.
    pub runs: u64,
    /// Runs that ended well.
    pub runs_good: u64,
    /// Answers judged.
    pub answers: u64,
    /// Answers judged that no finding fails; whether they are the same as others is not counted here.
    #[serde(default)]
    pub answers_good: u64,
    /// Runs after which the whole quiet time was waited.
    pub quiets: u64,
    /// Frames received, control frames included.
    pub frames: u64,
    /// Text frames received, and binary ones that are read as text.
    pub texts: u64,
    /// Frames, and records in frames, that are nothing that the profile decodes, and no heartbeat.
    #[serde(default)]
    pub unread: u64,
    /// Text frames that carried an id or a mark of their receiver.
    pub attributed: u64,
    /// Text frames with an event of the grammar that carried neither an id nor a mark: whose they are is not known.
    #[serde(default)]
    pub unmarked: u64,
    /// Events of the grammar received.
    pub events: u64,
    /// Heartbeats received.
    pub heartbeats: u64,
    /// Acknowledgements of asks received.
    #[serde(default)]
    pub acknowledged: u64,
    /// Frames and events received that the profile says to ignore.
    #[serde(default)]
    pub ignored: u64,
    /// Own marks seen in own frames.
    pub canaries: u64,
    /// Marks whose check failed.
    pub canaries_damaged: u64,
    /// Ids of users beyond what the ledger keeps; isolation is inconclusive then.
    pub identities_dropped: u64,
    /// Other ids beyond what the ledger keeps; a leak between threads could hide among them.
    pub ids_dropped: u64,
    /// Runs whose events came to another user instead.
    #[serde(default)]
    pub runs_misrouted: u64,
    /// Frames and events that are meant for everybody.
    #[serde(default)]
    pub announcements: u64,
    /// Ids of runs, threads and the like that stood in frames and are no user's that this execution knows.
    #[serde(default)]
    pub ids_unattributed: u64,
}

/// A segment's latencies. Where a read found several frames at once their arrival is an interval, so there are two
/// histograms: a limit is kept if the latest possible times keep it, and broken if the earliest possible ones break it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Latencies {
    /// The shortest times that fit what was seen.
    pub earliest: Histogram,
    /// The longest times that fit what was seen; the ones that are reported.
    pub latest: Histogram,
    /// The longest of all, and whose it was.
    pub slowest: Option<Slowest>,
    /// The shortest of all at the latest, and whose it was; of equals the one of the smallest user.
    pub fastest: Option<(Micros, UserNumber, Iteration)>,
}

/// The iteration that took longest on a segment; of equals the one of the smallest user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slowest {
    /// How long, at the latest.
    pub took: Micros,
    /// Smaller numbers win ties.
    pub user: Reverse<UserNumber>,
    /// Smaller numbers win ties.
    pub iteration: Reverse<Iteration>,
}

impl Latencies {
    /// Counts one time that lies between `earliest` and `latest`.
    pub fn record(&mut self, user: UserNumber, iteration: Iteration, earliest: Micros, latest: Micros) {
        self.earliest.record(earliest.0);
        self.latest.record(latest.0);
        let this = Slowest { took: latest, user: Reverse(user), iteration: Reverse(iteration) };
        self.slowest = self.slowest.max(Some(this));
        self.fastest = [self.fastest, Some((latest, user, iteration))].into_iter().flatten().min();
    }

    fn merge(&mut self, other: &Latencies) {
        self.earliest.merge(&other.earliest);
        self.latest.merge(&other.latest);
        self.slowest = self.slowest.max(other.slowest);
        self.fastest = [self.fastest, other.fastest].into_iter().flatten().min();
    }
}

/// Findings by rule: how many, and the first of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FindingLog {
    rules: BTreeMap<Rule, RuleLog>,
    /// Findings that are known issues, by their index among those declared.
    known: BTreeMap<usize, RuleLog>,
    /// How often something of one user came to another; the first `PAIRS_KEPT`.
    leaks: BTreeMap<LeakRow, u64>,
}

/// A rule, how it came, whose the thing was that came to the wrong user, and to whom it came.
pub type LeakRow = (Rule, LeakClass, UserNumber, UserNumber);

/// How many pairs of owner and receiver are told apart. They are kept by their order, so that each that is kept has its whole
/// count however they are merged.
const PAIRS_KEPT: usize = 10_000;

#[derive(Debug, Clone, Default, PartialEq)]
struct RuleLog {
    count: u64,
    /// With how many findings.
    users: BTreeMap<UserNumber, u64>,
    /// How many findings there are of a user at an instant, of rules whose findings something else may explain; the first
    /// `TIMES_KEPT`.
    times: BTreeMap<(UserNumber, Stamp), u64>,
    /// Sorted; the smallest `FindingLog::KEPT`.
    first: Vec<Finding>,
}

/// How many instants of findings a rule keeps (some 40 bytes each). They are kept by their order.
const TIMES_KEPT: usize = 10_000;

/// Rules that say what a run lacks.
const LACKING: [Rule; 7] = [
    Rule::MissingEvent,
    Rule::UnpairedTool,
    Rule::NeverStarted,
    Rule::FirstMessageLost,
    Rule::Stalled,
    Rule::RunTooLong,
    Rule::EmptyAnswer,
];

/// Answers and the prompts they were given to, each known by a 64-bit hash of its words: enough to find one answer to
/// different prompts, wherever they were judged.
///
/// Bounded: the `ANSWERS_KEPT` answers of the smallest hashes, and of each the `PROMPTS_KEPT` prompts of the smallest
/// hashes. What is kept depends on the hashes alone, so merging stays associative and commutative; beyond the bound it is a
/// random sample.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SameAnswers {
    answers: BTreeMap<u64, GivenAnswer>,
}

/// One answer, whomever it was given to.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenAnswer {
    /// How often it was given.
    pub times: u64,
    /// To which prompts, and to whom first.
    pub prompts: BTreeMap<u64, (Excerpt, Subject)>,
}

/// How many different answers one part of an execution keeps (some 1 KiB each, more only where they are the same).
const ANSWERS_KEPT: usize = 10_000;

/// How many prompts of one answer are kept.
const PROMPTS_KEPT: usize = 8;

impl SameAnswers {
    /// Counts an answer, of which `excerpt` tells when it came.
    pub fn add(&mut self, answer: u64, prompt: u64, subject: Subject, excerpt: Excerpt) {
        let full = self.answers.len() >= ANSWERS_KEPT;
        if full && self.answers.last_key_value().is_some_and(|(last, _)| *last < answer) {
            return;
        }
        let prompts = BTreeMap::from([(prompt, (excerpt, subject))]);
        self.merge(SameAnswers { answers: BTreeMap::from([(answer, GivenAnswer { times: 1, prompts })]) });
    }

    /// Answers that were given to more than one prompt.
    pub fn repeated(&self) -> impl Iterator<Item = &GivenAnswer> {
        self.answers.values().filter(|answer| answer.prompts.len() > 1)
    }

    fn merge(&mut self, other: SameAnswers) {
        for (hash, theirs) in other.answers {
            match self.answers.entry(hash) {
                Entry::Vacant(entry) => {
                    entry.insert(theirs);
                }
                Entry::Occupied(mut entry) => entry.get_mut().merge(theirs),
            }
        }
        while self.answers.len() > ANSWERS_KEPT {
            self.answers.pop_last();
        }
    }
}

impl GivenAnswer {
    fn merge(&mut self, other: GivenAnswer) {
        self.times += other.times;
        for (hash, theirs) in other.prompts {
            match self.prompts.entry(hash) {
                Entry::Vacant(entry) => {
                    entry.insert(theirs);
                }
                Entry::Occupied(mut entry) if theirs < *entry.get() => {
                    entry.insert(theirs);
                }
                Entry::Occupied(_) => {}
            }
        }
        while self.prompts.len() > PROMPTS_KEPT {
            self.prompts.pop_last();
        }
    }
}

impl Judgement {
    /// Joins what was judged of two disjoint sets of users. Associative and commutative; `Judgement::default()` changes
    /// nothing.
    pub fn merge(mut self, other: Judgement) -> Judgement {
        self.counts = self.counts.plus(&other.counts);
        for (segment, latencies) in other.segments.all() {
            self.segments.of(segment).merge(&latencies);
        }
        for (window, latencies) in other.windows {
            self.windows.entry(window).or_default().merge(&latencies);
        }
        self.findings.merge(other.findings);
        self.ledger.merge(other.ledger);
        self.unmarked.merge(other.unmarked);
        add(&mut self.known, other.known);
        add(&mut self.unknown, other.unknown);
        for (row, count) in other.census {
            *self.census.entry(row).or_default() += count;
        }
        for (user, runs) in other.flights {
            let mine = self.flights.entry(user).or_default();
            mine.extend(runs);
            mine.sort_unstable();
        }
        self.recognised.extend(other.recognised);
        self.doors.merge(other.doors);
        self.same_answers.merge(other.same_answers);
        for (persona, (users, iterations)) in other.personas {
            let mine = self.personas.entry(persona).or_default();
            *mine = (mine.0 + users, mine.1 + iterations);
        }
        self.leftovers.extend(other.leftovers);
        self.warm_up.merge(other.warm_up);
        self.instrument.merge(other.instrument);
        self.course.merge(other.course);
        self
    }

    /// Counts the name of an event that something mentions, as it came: `None` if as it is called.
    pub(super) fn named(&mut self, kind: KindId, other: Option<&str>) {
        if let Some(name) = other {
            return count(&mut self.known, name);
        }
        let kind = usize::from(kind.0);
        if self.kinds.len() <= kind {
            self.kinds.resize(kind + 1, 0);
        }
        self.kinds[kind] += 1;
    }

    /// Counts a name that nothing mentions.
    pub(super) fn named_otherwise(&mut self, name: &str) {
        if self.unknown.len() < NAMES_KEPT || self.unknown.contains_key(name) {
            count(&mut self.unknown, name);
        }
    }

    /// Nothing more will be told. `census`: how often each event of the grammar came in which envelope.
    pub(super) fn finish(&mut self, names: &Names, census: Envelopes) {
        self.census = census;
        for (kind, times) in std::mem::take(&mut self.kinds).into_iter().enumerate().filter(|(_, times)| *times > 0) {
            *self.known.entry(names.get(KindId(kind as u16)).to_owned()).or_default() += times;
        }
        self.ledger.finish();
    }
}

/// Once more.
fn count(names: &mut BTreeMap<String, u64>, name: &str) {
    match names.get_mut(name) {
        Some(times) => *times += 1,
        None => drop(names.insert(name.to_owned(), 1)),
    }
}

fn add(mine: &mut BTreeMap<String, u64>, other: BTreeMap<String, u64>) {
    for (name, count) in other {
        *mine.entry(name).or_default() += count;
    }
}

impl Counts {
    fn plus(&self, other: &Counts) -> Counts {
        // Without `..`, so that a new count cannot be forgotten.
        Counts {
            users: self.users + other.users,
            users_ready: self.users_ready + other.users_ready,
            listeners: self.listeners + other.listeners,
            arrivals: self.arrivals + other.arrivals,
            arrivals_dropped: self.arrivals_dropped + other.arrivals_dropped,
            overdue: self.overdue + other.overdue,
            setups: self.setups + other.setups,
            setups_failed: self.setups_failed + other.setups_failed,
            not_ready: self.not_ready + other.not_ready,
            connections: self.connections + other.connections,
            connections_failed: self.connections_failed + other.connections_failed,
            iterations: self.iterations + other.iterations,
            iterations_failed: self.iterations_failed + other.iterations_failed,
            iterations_known: self.iterations_known + other.iterations_known,
            iterations_interrupted: self.iterations_interrupted + other.iterations_interrupted,
            runs: self.runs + other.runs,
            runs_good: self.runs_good + other.runs_good,
            answers: self.answers + other.answers,
            answers_good: self.answers_good + other.answers_good,
            quiets: self.quiets + other.quiets,
            frames: self.frames + other.frames,
            texts: self.texts + other.texts,
            attributed: self.attributed + other.attributed,
            unmarked: self.unmarked + other.unmarked,
            events: self.events + other.events,
            heartbeats: self.heartbeats + other.heartbeats,
            acknowledged: self.acknowledged + other.acknowledged,
            ignored: self.ignored + other.ignored,
            canaries: self.canaries + other.canaries,
            unread: self.unread + other.unread,
            canaries_damaged: self.canaries_damaged + other.canaries_damaged,
            identities_dropped: self.identities_dropped + other.identities_dropped,
            ids_dropped: self.ids_dropped + other.ids_dropped,
            runs_misrouted: self.runs_misrouted + other.runs_misrouted,
            announcements: self.announcements + other.announcements,
            ids_unattributed: self.ids_unattributed + other.ids_unattributed,
        }
    }
}

impl Counts {
    /// What is counted of an iteration that warms up, where `before` was counted before it went on: set-ups and what was lost,
    /// and nothing of what it received.
    pub(super) fn of_warm_up(&self, before: &Counts) -> Counts {
        Counts {
            users: self.users,
            users_ready: self.users_ready,
            setups: self.setups,
            setups_failed: self.setups_failed,
            connections: self.connections,
            connections_failed: self.connections_failed,
            quiets: self.quiets,
            identities_dropped: self.identities_dropped,
            ids_dropped: self.ids_dropped,
            ..*before
        }
    }
}

impl FindingLog {
    /// How many findings of one rule are kept; the rest are counted.
    pub const KEPT: usize = 50;

    /// How many findings of a concern weigh so much.
    pub fn of(&self, concern: Concern, weight: Severity, exceptions: &Exceptions) -> u64 {
        let weighs = |rule: &Rule| rule.concern() == concern && exceptions.severity(*rule) == Some(weight);
        Rule::ALL.iter().copied().filter(weighs).map(|rule| self.count(rule)).sum()
    }

    /// Adds a finding; says whether it is a known issue.
    pub fn add(&mut self, finding: Finding, exceptions: &Exceptions) -> bool {
        let (deviation, user) = (&finding.deviation, finding.subject.user);
        if let (Some(class), Some(owner), Some(user)) = (deviation.leak_class(), deviation.owner(), user) {
            self.leaked((deviation.rule(), class, owner, user));
            if class == LeakClass::Swapped {
                self.leaked((finding.deviation.rule(), class, user, owner));
            }
        }
        let known = exceptions.known(&finding.deviation);
        let log = match known {
            Some(index) => self.known.entry(index).or_default(),
            None => self.rules.entry(finding.deviation.rule()).or_default(),
        };
        log.count += 1;
        if let Some(user) = finding.subject.user {
            *log.users.entry(user).or_default() += 1;
            if LACKING.contains(&finding.deviation.rule()) {
                *log.times.entry((user, finding.at)).or_default() += 1;
                log.bound();
            }
        }
        let place = log.first.partition_point(|known| *known <= finding);
        if place < FindingLog::KEPT {
            log.first.insert(place, finding);
            log.first.truncate(FindingLog::KEPT);
        }
        known.is_some()
    }

    /// How many findings are the known issue of this index, how many users they concern, and the first of them in order of
    /// time.
    pub fn known(&self, index: usize) -> Option<(u64, u64, &[Finding])> {
        self.known.get(&index).map(|log| (log.count, log.users.len() as u64, log.first.as_slice()))
    }

    /// The known issue of this index is no longer tolerated: its findings become findings like others.
    pub fn release(&mut self, index: usize) {
        let Some(log) = self.known.remove(&index) else { return };
        let Some(rule) = log.first.first().map(|finding| finding.deviation.rule()) else { return };
        self.rules.entry(rule).or_default().merge(log);
    }

    /// Rules that have findings, with how many, how many users they concern, and the first of them in order of time.
    pub fn rules(&self) -> impl Iterator<Item = (Rule, u64, u64, &[Finding])> {
        self.rules.iter().map(|(rule, log)| (*rule, log.count, log.users.len() as u64, log.first.as_slice()))
    }

    /// Takes away what says that a run of `user`, over at `at`, lacks something. What is a known issue stays.
    pub(super) fn explain_lacking(&mut self, user: UserNumber, at: Stamp) {
        for rule in LACKING {
            let Some(log) = self.rules.get_mut(&rule) else { continue };
            let Some(count) = log.times.remove(&(user, at)) else { continue };
            log.first.retain(|finding| (finding.subject.user, finding.at) != (Some(user), at));
            log.less(user, count);
            if log.count == 0 {
                self.rules.remove(&rule);
            }
        }
    }

    /// Takes away findings of a rule of which `explained` says so, as far as they are kept.
    pub(super) fn explain(&mut self, rule: Rule, explained: impl Fn(&Finding) -> bool) {
        let Some(log) = self.rules.get_mut(&rule) else { return };
        let (gone, rest) = std::mem::take(&mut log.first).into_iter().partition(explained);
        log.first = rest;
        let gone: Vec<Finding> = gone;
        gone.iter().filter_map(|finding| finding.subject.user).for_each(|user| log.less(user, 1));
        if log.count == 0 {
            self.rules.remove(&rule);
        }
    }

    /// Something came to the wrong user.
    pub(super) fn leaked(&mut self, row: LeakRow) {
        *self.leaks.entry(row).or_default() += 1;
        self.bound_leaks();
    }

    /// Pairs of whose it was and to whom it came, by rule and class, with how often.
    pub fn leaks(&self) -> impl Iterator<Item = (LeakRow, u64)> {
        self.leaks.iter().map(|(leak, count)| (*leak, *count))
    }

    /// Users with findings of rules that `counts`, each as often as there are such rules. Those of known issues are not among
    /// them.
    pub fn users(&self, counts: impl Fn(Rule) -> bool) -> impl Iterator<Item = UserNumber> {
        self.rules.iter().filter(move |(rule, _)| counts(**rule)).flat_map(|(_, log)| log.users.keys().copied())
    }

    fn bound_leaks(&mut self) {
        while self.leaks.len() > PAIRS_KEPT {
            self.leaks.pop_last();
        }
    }

    /// How many findings of a rule there are.
    pub fn count(&self, rule: Rule) -> u64 {
        self.rules.get(&rule).map_or(0, |log| log.count)
    }

    /// How many findings there are.
    pub fn total(&self) -> u64 {
        self.rules.values().map(|log| log.count).sum()
    }

    fn merge(&mut self, other: FindingLog) {
        for (rule, theirs) in other.rules {
            self.rules.entry(rule).or_default().merge(theirs);
        }
        for (index, theirs) in other.known {
            self.known.entry(index).or_default().merge(theirs);
        }
        for (leak, count) in other.leaks {
            *self.leaks.entry(leak).or_default() += count;
        }
        self.bound_leaks();
    }
}

impl RuleLog {
    fn merge(&mut self, other: RuleLog) {
        self.count += other.count;
        for (user, count) in other.users {
            *self.users.entry(user).or_default() += count;
        }
        for (time, count) in other.times {
            *self.times.entry(time).or_default() += count;
        }
        self.first.extend(other.first);
        self.first.sort();
        self.first.truncate(FindingLog::KEPT);
        self.bound();
    }

    fn bound(&mut self) {
        while self.times.len() > TIMES_KEPT {
            self.times.pop_last();
        }
    }

    /// There are `count` fewer of `user`.
    fn less(&mut self, user: UserNumber, count: u64) {
        self.count -= count;
        if let Some(left) = self.users.get_mut(&user) {
            *left -= count;
            if *left == 0 {
                self.users.remove(&user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Deviation, Evidence, Leak};

    #[test]
    fn pairs_of_a_leak_keep_their_whole_count_however_they_are_merged() {
        let leak = |owner: u32, user: u32| {
            let leak = Leak::unsettled();
            let deviation = Deviation::ForeignCanary { owner: UserNumber(owner), iteration: Iteration(1), leak };
            let subject = Subject { user: Some(UserNumber(user)), ..Subject::default() };
            Finding { at: Stamp(1), subject, deviation, evidence: Evidence::default() }
        };
        let part = |pairs: &[(u32, u32)]| {
            let mut log = FindingLog::default();
            for (owner, user) in pairs {
                log.add(leak(*owner, *user), &Exceptions::default());
            }
            log
        };
        let many: Vec<(u32, u32)> = (0..PAIRS_KEPT as u32 + 50).map(|n| (n / 200, n % 200)).collect();
        let (a, b, c) = (part(&many[..7_000]), part(&many[3_000..]), part(&[(0, 1), (900, 1), (0, 1)]));
        let joined = |parts: [&FindingLog; 3]| {
            let mut all = FindingLog::default();
            parts.into_iter().for_each(|part| all.merge(part.clone()));
            all
        };
        let all = joined([&a, &b, &c]);
        assert_eq!(all, joined([&c, &b, &a]));
        let pairs: Vec<(LeakRow, u64)> = all.leaks().collect();
        assert_eq!(pairs.len(), PAIRS_KEPT);
        assert_eq!(
            pairs[1],
            ((Rule::ForeignCanary, LeakClass::Unsettled, UserNumber(0), UserNumber(1)), 3),
            "in a once, in c twice"
        );
        assert!(pairs.iter().all(|((_, _, owner, _), _)| *owner != UserNumber(900)));
    }
}
