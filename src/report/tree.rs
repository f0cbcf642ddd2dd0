//! Report v1: what an execution has shown, as plain data that is written, read back, rendered and compared.
//!
//! Field descriptions here are the descriptions of the JSON Schema. Every field is always there; where something may be
//! unknown the value is null, and the field says what that means. New fields may be added within a version; none is removed,
//! renamed or given another meaning. Everything is in a fixed order: same conclusion and context, same bytes.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::around::{self, Beside};
use super::deliverables::{Deliverable, Value, deliverables};
use super::doors::Door;
use super::instrument::{Instrument, Machine};
use super::personas::Persona;
use super::power::Power;
use super::recorded::{Judged, Recording};
use crate::check::{self, Conclusion, Counts, Course, LeakRow, Outcome};
use crate::finding::{Finding, LeakClass, Subject, counted};
use crate::identity::{ExecutionId, Iteration, UserNumber};
use crate::rule::{Concern, Rule, Severity};
use crate::stats::{self, Histogram};
use crate::time::Micros;

/// The version of the report format that this build writes.
pub const VERSION: u32 = 1;

/// How many witnesses of a rule a report holds; the rest are counted.
const WITNESSES: usize = 5;

/// What one execution has shown of its target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "goldenpath report", extend("$id" = "report.schema.json"))]
pub struct Report {
    /// Version of this format, 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// What made this report.
    pub tool: Tool,
    /// Which execution this is, and how to repeat it.
    pub execution: Execution,
    /// What users did.
    pub scenario: Scenario,
    /// The system under test.
    pub target: Target,
    /// How arrivals were stamped.
    pub clock: Clock,
    /// How good the harness was as an instrument; null in reports of builds that did not measure it.
    #[serde(default)]
    pub instrument: Option<Instrument>,
    /// How it ended.
    pub verdict: Verdict,
    /// Everything that was claimed, with a verdict each.
    pub claims: Vec<Claim>,
    /// What was deliberately not claimed, and why; one sentence each.
    pub unclaimed: Vec<String>,
    /// Every segment that was measured, in the order in which an iteration passes them.
    pub segments: Vec<Segment>,
    /// Deviations by rule: what failed a required claim first, among it leaks first, then by weight and code.
    pub findings: Vec<FindingGroup>,
    /// Known issues that the scenario declares, in the order written. Findings of tolerated ones are not among `findings`.
    #[serde(default)]
    pub known: Vec<KnownIssue>,
    /// Rules that the scenario lets weigh other than usual, in the order written. Findings of rules that are off are only
    /// counted here.
    #[serde(default)]
    pub rules: Vec<ChangedRule>,
    /// How much was seen. All are plain sums over users.
    pub counts: Counts,
    /// How often each event came whose name the grammar, an end or a matcher of the profile mentions.
    pub events: BTreeMap<String, u64>,
    /// How often each event came whose name nothing mentions. Names are the target's own text.
    pub unknown_events: BTreeMap<String, u64>,
    /// How often each event of the grammar came in which envelope: one row per event and envelope, sorted.
    pub census: Vec<Census>,
    /// Shares of the users that behaved otherwise, in the order written; all other users did what the scenario says.
    #[serde(default)]
    pub personas: Vec<Persona>,
    /// What the sample could have shown of a leak; null where isolation was not claimed.
    #[serde(default)]
    pub power: Option<Power>,
    /// How often something of one user came to another: one row per rule, class, owner and receiver, sorted. Rules that are off are
    /// not among them.
    #[serde(default)]
    pub leaks: Vec<Leak>,
    /// Doors that must stay shut, one row per probe, in the order in which they knock; empty where none was to knock.
    #[serde(default)]
    pub doors: Vec<Door>,
    /// How connections ended that the harness had not closed, and how often: `closed 1011`, `lost`.
    #[serde(default)]
    pub ends: BTreeMap<String, u64>,
    /// What it was worth to users.
    #[serde(default)]
    pub value: Value,
    /// What a test plan asks for, by name; each with what this execution says of it.
    #[serde(default)]
    pub deliverables: Vec<Deliverable>,
    /// Clean-up that failed, so that something was left behind on the target; sorted, `user N: step: reason`.
    pub leftovers: Vec<String>,
    /// What was waited and belongs to no segment.
    pub waits: Vec<Wait>,
    /// What else a reader must know to judge the figures: limits of this machine, values that were replaced.
    pub notes: Vec<String>,
    /// Where what the judge was told is kept; null if it is not.
    #[serde(default)]
    pub recording: Option<Recording>,
    /// How this report came from a recording; null if it was judged live.
    #[serde(default)]
    pub judged: Option<Judged>,
}

/// How often one event came in one envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Census {
    /// The event's name in the grammar.
    pub event: String,
    /// The place of the name, the objects that held the event's parts, and the other name it came under: `/type`, `/type in
    /// data`, `/event_name`, `/type in payload as agentStarted`; `a batch` where the name came from the frame around it.
    pub envelope: String,
    /// How often.
    pub count: u64,
}

/// How often something of one user came to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Leak {
    /// The code of the rule.
    #[schemars(regex(pattern = r"^GP[0-9]{3}$"))]
    pub code: String,
    /// How it came there; null in reports of versions that did not tell.
    #[serde(default)]
    pub class: Option<LeakClass>,
    /// Whose it was.
    pub owner: UserNumber,
    /// To whom it came.
    pub user: UserNumber,
    /// How often.
    #[schemars(range(min = 1))]
    pub count: u64,
}

/// The program that made a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The operating system it ran on: `linux`, `macos`.
    pub os: String,
    /// The processor architecture it ran on: `x86_64`, `aarch64`.
    pub arch: String,
}

/// One invocation of the harness over a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Execution {
    /// Its id, new each time; canaries and run ids are made from it.
    pub id: ExecutionId,
    /// The seed of its plan.
    pub seed: u64,
    /// When it began, as RFC 3339 text.
    pub began: String,
    /// When it began, in microseconds since the Unix epoch. All `at_us` count from here.
    pub began_unix_us: u64,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// A signal ended it before its plan was done.
    pub interrupted: bool,
    /// How many threads drove the users.
    #[schemars(range(min = 1))]
    pub threads: u32,
    /// The command line that repeats it.
    pub command: String,
}

/// What users did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// The file it was read from, as the user named it; null if it came from none.
    pub file: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// How many users.
    pub users: u64,
    /// The number of the first user.
    pub first: u32,
    /// Iterations per user; null under open load, where arrivals are planned instead.
    pub iterations: Option<u64>,
    /// Whether sessions outlive iterations.
    pub session: Session,
    /// The numbers of the users that took part, where it was not all of them; empty otherwise.
    #[serde(default)]
    pub only_users: Vec<UserNumber>,
}

/// Whether sessions outlive iterations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Session {
    /// Each iteration logs in and connects.
    Fresh,
    /// Each user logs in and connects once.
    Keep,
}

/// The system under test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// The profile's name.
    pub name: String,
    /// The profile's file, as the user named it; `embedded` for the one that is built in.
    pub profile: String,
    /// The address of its HTTP interface; null if the profile has none.
    pub http: Option<String>,
    /// The address of its socket; null if the profile has none.
    pub socket: Option<String>,
    /// It is the harness's own backend: nothing of this report is about the reader's system.
    pub embedded: bool,
    /// The build it named; null if the profile captures none, or none was answered.
    pub build: Option<String>,
}

/// How arrivals were stamped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Clock {
    /// Whose stamps they are.
    pub kind: WhichClock,
    /// What that means for the figures, in one sentence.
    pub statement: String,
}

/// Whose stamps arrivals carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhichClock {
    /// The kernel's, taken when bytes arrived at this machine.
    Kernel,
    /// The harness's, taken when it read them.
    Read,
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// In a word.
    pub outcome: Word,
    /// The exit code that says the same: 0 pass, 1 fail, 3 blocked, 4 inconclusive, 5 broke, 130 interrupted.
    pub exit_code: u8,
    /// In one line.
    pub sentence: String,
    /// What was seen, so that the verdict counts: users, runs, frames, attribution, overlap, marks, clock.
    pub why: Vec<String>,
    /// What to do next; null after a pass.
    pub next: Option<String>,
}

/// The verdict of a claim or of the whole, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// It holds, and enough was seen to say so.
    Pass,
    /// It does not hold.
    Fail,
    /// The target could not be tested.
    Blocked,
    /// Not enough was seen.
    Inconclusive,
    /// Of the whole only: a signal ended it.
    Interrupted,
    /// Of the whole only: the harness broke.
    Broke,
}

/// Something asserted of the execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claim {
    /// What it is about: `setup`, `events`, `first_event p95`.
    pub name: String,
    /// Whether it holds.
    pub verdict: Word,
    /// It counts for the outcome.
    pub required: bool,
    /// The figures behind the verdict, in one line.
    pub figures: String,
    /// For a claim that is neither passed nor failed: what is missing and how to get it; null otherwise.
    pub missing: Option<String>,
    /// Where it was written; null for a default claim.
    pub origin: Option<Origin>,
}

/// A place in a file of the user's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// The file as the user named it.
    pub file: String,
    /// The line, from 1.
    #[schemars(range(min = 1))]
    pub line: u32,
}

/// The latencies between two milestones. Quantiles are observed values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Segment {
    /// Its name: `login`, `first_event`, `golden_path`.
    pub name: String,
    /// How many were measured.
    pub runs: u64,
    /// The 50th percentile in microseconds; null without runs.
    pub p50_us: Option<u64>,
    /// The 95th percentile in microseconds; null with fewer than 20 runs, which have none.
    pub p95_us: Option<u64>,
    /// The 99th percentile in microseconds; null with fewer than 100 runs, which have none.
    pub p99_us: Option<u64>,
    /// The mean in microseconds; null without runs.
    pub mean_us: Option<u64>,
    /// The largest in microseconds; null without runs.
    pub max_us: Option<u64>,
    /// How far figures may lie below what is shown, in microseconds, because arrivals are known only up to the read that
    /// found them.
    pub uncertainty_us: u64,
    /// The iteration that took longest; null if that is not known.
    pub slowest: Option<Slowest>,
    /// All latencies, from which reports are compared and merged; the longest times that fit what was seen.
    pub histogram: Histogram,
    /// The same over time, by when their iteration began: slices of equal length that have runs, in order.
    #[serde(default)]
    #[schemars(length(max = 60))]
    pub over_time: Vec<Slice>,
}

/// Latencies of the iterations that began in one slice of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Slice {
    /// When it begins, in microseconds since the execution began.
    pub from_us: u64,
    /// How long it is, in microseconds.
    pub width_us: u64,
    /// How many were measured.
    pub runs: u64,
    /// The 50th percentile in microseconds, at most an eighth more than the truth.
    pub p50_us: u64,
    /// The 95th percentile likewise; null with fewer than 20 runs, which have none.
    pub p95_us: Option<u64>,
    /// The largest in microseconds.
    pub max_us: u64,
}

/// The iteration that took longest on a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Slowest {
    /// Whose.
    pub user: UserNumber,
    /// Which.
    pub iteration: Iteration,
    /// How long, in microseconds.
    pub took_us: u64,
}

/// All findings of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingGroup {
    /// The rule's code, which never changes: `GP` and three digits.
    #[schemars(regex(pattern = r"^GP[0-9]{3}$"))]
    pub code: String,
    /// The rule's name.
    pub name: String,
    /// How much a finding of this rule weighs.
    pub severity: Severity,
    /// Which claim it concerns.
    pub concern: Concern,
    /// A required claim failed over findings of this rule; otherwise they are allowed for, or concern what is not required.
    pub blamed: bool,
    /// How many findings.
    #[schemars(range(min = 1))]
    pub count: u64,
    /// How many users they concern; 0 for what precedes all users.
    pub users: u64,
    /// What such a finding means.
    pub meaning: String,
    /// What usually causes it.
    pub causes: String,
    /// What to do about it.
    pub advice: String,
    /// The first of them by time, at most 5.
    #[schemars(length(min = 1, max = 5))]
    pub witnesses: Vec<Witness>,
    /// The command line that repeats the execution in which it was found.
    pub repeat: String,
}

/// A known issue, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KnownIssue {
    /// The code of its rule.
    #[schemars(regex(pattern = r"^GP[0-9]{3}$"))]
    pub code: String,
    /// The rule's name.
    pub name: String,
    /// Where it is being worked on, as written.
    pub issue: String,
    /// The last day (UTC) on which it is tolerated, as `2026-12-31`; null without end.
    pub until: Option<String>,
    /// The number of findings above which all of them fail; null without bound.
    pub at_most: Option<u64>,
    /// What became of it.
    pub state: KnownState,
    /// How many findings.
    pub count: u64,
    /// How many users they concern.
    pub users: u64,
    /// The first of its findings by time, at most 5.
    #[schemars(length(max = 5))]
    pub witnesses: Vec<Witness>,
    /// Where it was declared.
    pub origin: Origin,
}

/// What became of a known issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KnownState {
    /// No finding was it.
    Unseen,
    /// Its findings were reported and did not fail.
    Tolerated,
    /// Its day is over, so its findings fail.
    Expired,
    /// There were more findings than declared, so they fail.
    Exceeded,
}

/// A rule that weighs other than usual.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangedRule {
    /// Its code.
    #[schemars(regex(pattern = r"^GP[0-9]{3}$"))]
    pub code: String,
    /// Its name.
    pub name: String,
    /// How much its findings weigh; null: the rule is off.
    pub severity: Option<Severity>,
    /// Why; null if nothing was said.
    pub reason: Option<String>,
    /// How many findings of it there are that are no known issues.
    pub count: u64,
    /// Where that was written.
    pub origin: Origin,
}

/// One finding with what a person needs to agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Witness {
    /// When it was certain, in microseconds since the execution began; 0 for what only the whole execution shows.
    pub at_us: u64,
    /// Whom it concerns; what does not apply is absent.
    pub subject: Subject,
    /// What was wrong, in one sentence.
    pub message: String,
    /// The last events of the run, in order of arrival.
    pub marks: Vec<Mark>,
    /// Frames, answers and requests, shortened and without secrets, as the target wrote them.
    pub excerpts: Vec<Excerpt>,
    /// Of what came to the wrong user: the user whose it was; null otherwise.
    #[serde(default)]
    pub owner: Option<UserNumber>,
    /// How it came there, of what is wrong between users; null otherwise.
    #[serde(default)]
    pub class: Option<LeakClass>,
    /// Where nothing came: for how long before `at_us`, in microseconds; null otherwise.
    #[serde(default)]
    pub silence_us: Option<u64>,
    /// Where a connection ended that should have lasted: how, as `closed 1011`; null otherwise.
    #[serde(default)]
    pub cut: Option<String>,
    /// What went on meanwhile, as far as it was kept: the finding's own run where `marks` are empty, then the owner's, then runs
    /// of other users that overlapped.
    #[serde(default)]
    #[schemars(length(max = 3))]
    pub beside: Vec<Beside>,
}

/// One event on a user's time line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mark {
    /// When, in microseconds since the execution began.
    pub at_us: u64,
    /// What it was: an event's name, `asked`.
    pub label: String,
}

/// A piece of text that was received or sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Excerpt {
    /// When, in microseconds since the execution began.
    pub at_us: u64,
    /// What it is: `frame`, `answer`, `HTTP 403`.
    pub label: String,
    /// The text, at most some 400 characters; a shortened one ends in ` ... (N bytes)`.
    pub text: String,
}

/// Time that was waited and belongs to no segment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Wait {
    /// For what: `quiet after the end`, `rate limit of logins`, `common start of the first asks`.
    pub what: String,
    /// How often.
    pub times: u64,
    /// How long altogether, summed over users, in microseconds.
    pub total_us: u64,
}

/// What the judge does not know of an execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// What makes the report.
    pub tool: Tool,
    /// Which execution, and how to repeat it.
    pub execution: Execution,
    /// What users did.
    pub scenario: Scenario,
    /// The system under test.
    pub target: Target,
    /// How arrivals were stamped.
    pub clock: Clock,
    /// What the process took of its machine.
    pub machine: Machine,
    /// What was waited and belongs to no segment, in any order.
    pub waits: Vec<Wait>,
    /// What else a reader must know, in the order in which it is to be read.
    pub notes: Vec<String>,
    /// Where it is recorded, if it is.
    pub recording: Option<Recording>,
}

impl Report {
    /// The report of an execution.
    pub fn new(conclusion: &Conclusion, context: Context) -> Report {
        let judgement = &conclusion.judgement;
        let claims: Vec<Claim> = conclusion.claims.iter().map(claim).collect();
        let findings = findings(conclusion, &context.execution.command);
        let deliverables = deliverables(conclusion, findings.len());
        let verdict = verdict(conclusion.outcome, &claims, &findings, &conclusion.why, &context);
        let mut waits = context.waits;
        waits.sort();
        Report {
            version: VERSION,
            tool: context.tool,
            execution: context.execution,
            scenario: context.scenario,
            target: context.target,
            clock: context.clock,
            instrument: Some(Instrument::new(&judgement.instrument, context.machine)),
            verdict,
            claims,
            unclaimed: conclusion.unclaimed.clone(),
            segments: conclusion.figures.iter().map(|figure| segment(conclusion, figure)).collect(),
            findings,
            known: conclusion.known.iter().map(|issue| known_issue(issue, &judgement.course)).collect(),
            rules: conclusion.rules.iter().map(changed_rule).collect(),
            counts: judgement.counts,
            events: judgement.known.clone(),
            unknown_events: judgement.unknown.clone(),
            census: conclusion.census.iter().map(census).collect(),
            personas: conclusion.personas.iter().map(Persona::new).collect(),
            power: Power::new(conclusion),
            leaks: leaks(conclusion),
            doors: Door::all(conclusion),
            ends: judgement.course.ends.clone(),
            value: Value::new(conclusion),
            deliverables,
            leftovers: judgement.leftovers.iter().cloned().collect(),
            waits,
            notes: context.notes,
            recording: context.recording,
            judged: None,
        }
    }

    /// What the judge did not know of it.
    pub fn context(&self) -> Context {
        Context {
            tool: self.tool.clone(),
            execution: self.execution.clone(),
            scenario: self.scenario.clone(),
            target: self.target.clone(),
            clock: self.clock.clone(),
            machine: self.instrument.as_ref().map(|instrument| instrument.machine.clone()).unwrap_or_default(),
            waits: self.waits.clone(),
            notes: self.notes.clone(),
            recording: self.recording.clone(),
        }
    }
}

impl From<check::Verdict> for Word {
    fn from(verdict: check::Verdict) -> Word {
        match verdict {
            check::Verdict::Pass => Word::Pass,
            check::Verdict::Fail => Word::Fail,
            check::Verdict::Blocked => Word::Blocked,
            check::Verdict::Inconclusive => Word::Inconclusive,
        }
    }
}

impl From<Outcome> for Word {
    fn from(outcome: Outcome) -> Word {
        match outcome {
            Outcome::Broke => Word::Broke,
            Outcome::Interrupted => Word::Interrupted,
            Outcome::Failed => Word::Fail,
            Outcome::Blocked => Word::Blocked,
            Outcome::Inconclusive => Word::Inconclusive,
            Outcome::Pass => Word::Pass,
        }
    }
}

fn census(row: &check::Census) -> Census {
    Census { event: row.event.clone(), envelope: row.envelope.clone(), count: row.count }
}

fn claim(claim: &check::Claim) -> Claim {
    Claim {
        name: claim.kind.to_string(),
        verdict: claim.verdict.into(),
        required: claim.required,
        figures: claim.figures.clone(),
        missing: claim.missing.clone(),
        origin: claim.origin.as_ref().map(|at| origin(&at.file, at.line)),
    }
}

fn origin(file: &str, line: u32) -> Origin {
    Origin { file: file.to_owned(), line }
}

fn known_issue(issue: &check::KnownIssue, course: &Course) -> KnownIssue {
    let known = &issue.known;
    KnownIssue {
        code: known.rule.code().to_owned(),
        name: known.rule.name().to_owned(),
        issue: known.issue.clone(),
        until: known.until.map(|date| date.to_string()),
        at_most: known.at_most,
        state: match issue.state {
            check::KnownState::Unseen => KnownState::Unseen,
            check::KnownState::Tolerated => KnownState::Tolerated,
            check::KnownState::Expired => KnownState::Expired,
            check::KnownState::Exceeded => KnownState::Exceeded,
        },
        count: issue.count,
        users: issue.users,
        witnesses: issue
            .first
            .iter()
            .take(WITNESSES)
            .map(|finding| witness(finding, known.rule.severity(), course))
            .collect(),
        origin: origin(&known.origin.file, known.origin.line),
    }
}

fn changed_rule(changed: &check::ChangedRule) -> ChangedRule {
    ChangedRule {
        code: changed.rule.code().to_owned(),
        name: changed.rule.name().to_owned(),
        severity: changed.severity,
        reason: changed.reason.clone(),
        count: changed.count,
        origin: origin(&changed.origin.file, changed.origin.line),
    }
}

fn segment(conclusion: &Conclusion, figure: &check::Figure) -> Segment {
    let latencies = conclusion.judgement.segments.get(figure.segment);
    let over_time = conclusion.judgement.course.over_time.get(figure.segment);
    let us = |figure: Option<Micros>| figure.map(|figure| figure.0);
    Segment {
        name: figure.segment.to_string(),
        runs: figure.runs,
        p50_us: us(figure.p50),
        p95_us: us(figure.p95),
        p99_us: us(figure.p99),
        mean_us: us(figure.mean),
        max_us: us(figure.max),
        uncertainty_us: figure.uncertainty.0,
        slowest: latencies.and_then(|latencies| latencies.slowest).map(|slowest| Slowest {
            user: slowest.user.0,
            iteration: slowest.iteration.0,
            took_us: slowest.took.0,
        }),
        histogram: latencies.map(|latencies| latencies.latest.clone()).unwrap_or_default(),
        over_time: over_time.into_iter().flat_map(|series| series.slices()).map(slice).collect(),
    }
}

fn slice(slice: stats::Slice) -> Slice {
    let stats::Slice { from_us, width_us, count: runs, p50_us, p95_us, max_us } = slice;
    Slice { from_us, width_us, runs, p50_us, p95_us, max_us }
}

fn leaks(conclusion: &Conclusion) -> Vec<Leak> {
    let off = |rule| conclusion.rules.iter().any(|changed| changed.rule == rule && changed.severity.is_none());
    let all = conclusion.judgement.findings.leaks().filter(|((rule, ..), _)| !off(*rule));
    let row = |((rule, class, owner, user), count): (LeakRow, u64)| {
        let (code, class) = (rule.code().to_owned(), Some(class));
        Leak { code, class, owner, user, count }
    };
    all.map(row).collect()
}

fn findings(conclusion: &Conclusion, command: &str) -> Vec<FindingGroup> {
    let course = &conclusion.judgement.course;
    let failed: Vec<Concern> = conclusion
        .claims
        .iter()
        .filter(|claim| claim.required && matches!(claim.verdict, check::Verdict::Fail | check::Verdict::Blocked))
        .filter_map(|claim| match claim.kind {
            check::ClaimKind::About(concern) => Some(concern),
            check::ClaimKind::Budget(..) => Some(Concern::Budget),
            // Its failures are findings of the other concerns, each of which is allowed for as long as the share is.
            check::ClaimKind::Reliability(_) | check::ClaimKind::Deadline => None,
        })
        .collect();
    let mut rules: Vec<(Rule, FindingGroup)> = conclusion
        .judgement
        .findings
        .rules()
        .filter_map(|(rule, count, users, first)| {
            let changed = conclusion.rules.iter().find(|changed| changed.rule == rule);
            let severity = changed.map_or(Some(rule.severity()), |changed| changed.severity)?;
            let group = FindingGroup {
                code: rule.code().to_owned(),
                name: rule.name().to_owned(),
                severity,
                concern: rule.concern(),
                blamed: severity == Severity::Failure && failed.contains(&rule.concern()),
                count,
                users,
                meaning: rule.meaning().to_owned(),
                causes: rule.causes().to_owned(),
                advice: rule.advice().to_owned(),
                witnesses: first.iter().take(WITNESSES).map(|finding| witness(finding, severity, course)).collect(),
                repeat: command.to_owned(),
            };
            Some((rule, group))
        })
        .collect();
    // A leak outweighs everything else that fails.
    rules.sort_by_key(|(rule, group)| {
        let leak = rule.concern() == Concern::Isolation;
        (Reverse(group.blamed), group.severity, Reverse(leak), *rule)
    });
    rules.into_iter().map(|(_, group)| group).collect()
}

fn witness(finding: &Finding, severity: Severity, course: &Course) -> Witness {
    let marks = finding.evidence.marks.iter();
    let excerpts = finding.evidence.excerpts.iter();
    Witness {
        at_us: finding.at.0,
        subject: finding.subject.clone(),
        message: finding.deviation.message(),
        marks: marks.map(|mark| Mark { at_us: mark.at.0, label: mark.label.clone() }).collect(),
        excerpts: excerpts
            .map(|excerpt| Excerpt { at_us: excerpt.at.0, label: excerpt.label.clone(), text: excerpt.text.clone() })
            .collect(),
        owner: finding.deviation.owner(),
        class: finding.deviation.leak_class(),
        silence_us: around::silence(&finding.deviation).map(|silence| silence.0),
        cut: around::cut(&finding.deviation),
        beside: around::beside(finding, severity, course),
    }
}

fn verdict(
    outcome: Outcome,
    claims: &[Claim],
    findings: &[FindingGroup],
    seen: &[String],
    context: &Context,
) -> Verdict {
    let clock = match context.clock.kind {
        WhichClock::Kernel => "arrivals stamped by the kernel",
        WhichClock::Read => "arrivals stamped when read",
    };
    let first = findings.iter().find(|group| group.severity == Severity::Failure);
    let next = match outcome {
        Outcome::Pass => None,
        Outcome::Failed | Outcome::Blocked => first.map(|group| format!("goldenpath explain {}", group.code)),
        Outcome::Inconclusive => Some("get what is missing, as said beside each claim, and repeat it".to_owned()),
        Outcome::Interrupted => Some("repeat it and let it run to its end".to_owned()),
        Outcome::Broke => Some("see the error, and repeat it".to_owned()),
    };
    let mut sentence = sentence(outcome, claims, &context.execution);
    if !context.scenario.only_users.is_empty() {
        sentence.push_str(&format!(" (only {} of {})", only_users(&context.scenario), context.scenario.users));
    }
    if context.target.embedded {
        sentence.push_str(" (embedded backend: not your system)");
    }
    Verdict {
        outcome: outcome.into(),
        exit_code: outcome.exit_code(),
        sentence,
        why: seen.iter().cloned().chain([clock.to_owned()]).collect(),
        next,
    }
}

/// `users 17 and 42`, or how many where they are too many to name.
pub(super) fn only_users(scenario: &Scenario) -> String {
    const NAMED: usize = 6;
    match scenario.only_users.as_slice() {
        [one] => format!("user {one}"),
        [most @ .., last] if most.len() < NAMED => {
            let most: Vec<String> = most.iter().map(UserNumber::to_string).collect();
            format!("users {} and {last}", most.join(", "))
        }
        all => counted(all.len() as u64, "user"),
    }
}

fn sentence(outcome: Outcome, claims: &[Claim], execution: &Execution) -> String {
    let required = claims.iter().filter(|claim| claim.required).count();
    let named = |word: Word| -> Vec<&str> {
        let wanted = claims.iter().filter(|claim| claim.required && claim.verdict == word);
        wanted.map(|claim| claim.name.as_str()).collect()
    };
    let of = |names: &[&str], what: &str| {
        format!("{} of {} {what}: {}", names.len(), counted(required as u64, "claim"), names.join(", "))
    };
    let others = claims.iter().filter(|claim| !claim.required && claim.verdict != Word::Pass);
    let others: Vec<&str> = others.map(|claim| claim.name.as_str()).collect();
    match outcome {
        Outcome::Pass if others.is_empty() => format!("all {required} claims hold"),
        Outcome::Pass => {
            format!("all {required} required claims hold; not required, and not passed: {}", others.join(", "))
        }
        Outcome::Failed => of(&named(Word::Fail), "failed"),
        Outcome::Blocked => {
            let blocked = claims.iter().find(|claim| claim.verdict == Word::Blocked);
            let why = blocked.and_then(|claim| claim.missing.clone());
            why.unwrap_or_else(|| "the target could not be tested".to_owned())
        }
        Outcome::Inconclusive if required == 0 => "no claim is required, so nothing was shown".to_owned(),
        Outcome::Inconclusive => of(&named(Word::Inconclusive), "not seen enough"),
        Outcome::Interrupted => {
            let failed = named(Word::Fail);
            let after = Micros(execution.duration_us);
            match failed.len() {
                0 => format!("by a signal after {after}, before the plan was done"),
                _ => format!("by a signal after {after}; until then {}", of(&failed, "failed")),
            }
        }
        Outcome::Broke => "the harness broke, so nothing is said of the target".to_owned(),
    }
}
