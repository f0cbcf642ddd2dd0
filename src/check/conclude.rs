//! From a judgement of the whole to claims and a verdict.
//!
//! Settles what only the whole can (whose an id is, whether a quantile is proven) and says of every claim whether it holds,
//! does not hold, or was not seen enough. Nothing observed is never a pass. What the figures look like is `report`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::event::{Envelope, KindId};
use crate::expect::{
    Asserted, Between, Budget, BudgetName, Claims, Date, Deadline, Doors, Exceptions, Expectations, IdRole, Known,
    Level, Origin, Reliability, ReliabilityOf, Segment, Statistic,
};
use crate::finding::{Deviation, Evidence, Excerpt, Finding, Subject, counted};
use crate::identity::{Iteration, UserNumber};
use crate::rule::{Concern, Rule, Severity};
use crate::stats::{self, Doubt, Histogram, Judged, LimitJudgement};
use crate::time::{Micros, Stamp};

use super::alike::alike;
use super::doors::DoorRow;
use super::judgement::{Judgement, Latencies, Window, is_of_warm_up};
use super::leaks;
use super::ledger::{Ledger, OpenId, Sighting};
use super::power::Power;
use super::value::{Value, value};

/// The verdict of one claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It holds, and enough was seen to say so.
    Pass,
    /// It does not hold.
    Fail,
    /// The target could not be tested at all.
    Blocked,
    /// Not enough was seen.
    Inconclusive,
}

/// How an execution ended. The order is that of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The harness broke.
    Broke,
    /// A signal ended it.
    Interrupted,
    /// A required claim failed.
    Failed,
    /// The target could not be tested.
    Blocked,
    /// A required claim was not seen enough.
    Inconclusive,
    /// Every required claim holds.
    Pass,
}

impl Outcome {
    /// The process's exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Outcome::Broke => 5,
            Outcome::Interrupted => 130,
            Outcome::Failed => 1,
            Outcome::Blocked => 3,
            Outcome::Inconclusive => 4,
            Outcome::Pass => 0,
        }
    }
}

/// What a claim is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ClaimKind {
    /// A concern of the catalogue.
    About(Concern),
    /// One limit on one figure of one segment.
    Budget(BudgetName),
    /// The share of good iterations.
    Reliability(ReliabilityOf),
    /// Everything was over in time.
    Deadline,
}

impl fmt::Display for ClaimKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClaimKind::About(concern) => f.pad(concern.name()),
            ClaimKind::Budget(name) => name.fmt(f),
            ClaimKind::Deadline => f.pad("deadline"),
            ClaimKind::Reliability(ReliabilityOf::GoldenPath) => f.pad("reliability"),
            ClaimKind::Reliability(ReliabilityOf::Connection) => f.pad("reliability of connections"),
        }
    }
}

/// One claim with its verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// What it is about.
    pub kind: ClaimKind,
    /// Whether it holds.
    pub verdict: Verdict,
    /// It counts for the outcome.
    pub required: bool,
    /// The figures behind the verdict, in one line.
    pub figures: String,
    /// For what was not seen enough: what is missing and how to get it.
    pub missing: Option<String>,
    /// Where it was written; `None` for a default claim.
    pub origin: Option<Origin>,
}

/// The latencies of one segment, in microseconds. Quantiles are observed values, absent with too few runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Which.
    pub segment: Segment,
    /// How many were measured.
    pub runs: u64,
    /// The 50th percentile.
    pub p50: Option<Micros>,
    /// The 95th percentile, from 20 runs on.
    pub p95: Option<Micros>,
    /// The 99th percentile, from 100 runs on.
    pub p99: Option<Micros>,
    /// The mean.
    pub mean: Option<Micros>,
    /// The largest.
    pub max: Option<Micros>,
    /// How far a figure may lie below what is shown, because arrivals are known only up to the read that found them.
    pub uncertainty: Micros,
}

/// How often one event came in one envelope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Census {
    /// The event's name in the grammar.
    pub event: String,
    /// The place of the name, the objects that hold the event's parts, and the alias: `/type in data as agentStarted`.
    pub envelope: String,
    /// How often.
    pub count: u64,
}

/// What became of a known issue.
#[derive(Debug, Clone)]
pub struct KnownIssue {
    /// As it was declared.
    pub known: Known,
    /// Whether it is tolerated.
    pub state: KnownState,
    /// How many findings.
    pub count: u64,
    /// How many users they concern.
    pub users: u64,
    /// The first of them by time.
    pub first: Vec<Finding>,
}

impl PartialEq for KnownIssue {
    fn eq(&self, other: &KnownIssue) -> bool {
        // A pattern has no equality; where it was written names the declaration as well.
        let key =
            |issue: &KnownIssue| (issue.known.origin.clone(), issue.known.rule, issue.state, issue.count, issue.users);
        key(self) == key(other) && self.first == other.first
    }
}

/// Whether a known issue is tolerated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownState {
    /// No finding was it.
    Unseen,
    /// Its findings do not fail.
    Tolerated,
    /// Its day is over, so its findings fail.
    Expired,
    /// There are more findings than declared, so they fail.
    Exceeded,
}

/// A rule that weighs other than usual, and what it was about.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangedRule {
    /// Which.
    pub rule: Rule,
    /// How much its findings weigh; `None`: it is off.
    pub severity: Option<Severity>,
    /// Why.
    pub reason: Option<String>,
    /// How many findings of it there are.
    pub count: u64,
    /// Where that was written.
    pub origin: Origin,
}

/// What an execution has shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Conclusion {
    /// How it ended.
    pub outcome: Outcome,
    /// Every claim.
    pub claims: Vec<Claim>,
    /// What was deliberately not claimed, and why.
    pub unclaimed: Vec<String>,
    /// Every segment that was measured.
    pub figures: Vec<Figure>,
    /// What became of each known issue, in the order written.
    pub known: Vec<KnownIssue>,
    /// Rules that weigh other than usual, in the order written.
    pub rules: Vec<ChangedRule>,
    /// The judgement with everything settled; its findings are final.
    pub judgement: Judgement,
    /// What the sample could have shown of a leak.
    pub power: Power,
    /// How often each event of the grammar came in which envelope, by name and envelope.
    pub census: Vec<Census>,
    /// Why this verdict counts: users, runs, frames, attribution, overlap, marks.
    pub why: Vec<String>,
    /// Which users behaved otherwise, in the order written.
    pub personas: Vec<Played>,
    /// What each probe has shown, in the order in which they knock.
    pub doors: Vec<DoorRow>,
    /// What it was worth to users.
    pub value: Value,
}

/// A share of the users that behaved otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Played {
    /// What it is called.
    pub name: String,
    /// The share of all users that was planned, 0 to 1.
    pub share: f64,
    /// How many users were it, in an iteration that ended with a verdict.
    pub users: u64,
    /// How many such iterations.
    pub iterations: u64,
}

/// Concludes the judgement of the whole. `interrupted`: a signal ended the execution. `today`: the day on which it began (UTC),
/// by which known issues expire; without it none does.
pub fn conclude(mut judgement: Judgement, expect: &Expectations, interrupted: bool, today: Option<Date>) -> Conclusion {
    let exceptions = &expect.claims.exceptions;
    if expect.claims.between == Between::Users {
        judgement.ledger.groups.clear();
    }
    settle(&mut judgement, expect);
    // What warmed up was watched, and shows nothing of how well users overlapped behind it.
    judgement.flights.values_mut().for_each(|runs| runs.retain(|run| run.iteration.0 > expect.warm_up));
    judgement.flights.retain(|_, runs| !runs.is_empty());
    let power = Power::of(&judgement);
    let census = census(&judgement, expect);
    if expect.claims.uniform_envelope.is_some() {
        for finding in mixed_envelopes(&census) {
            judgement.findings.add(finding, exceptions);
        }
    }
    let mut claims = Vec::new();
    let lost = lost_arrivals(&judgement, expect);
    let late = harness_late(&judgement);
    for finding in lost.iter().cloned() {
        judgement.findings.add(finding, exceptions);
    }
    let mut late_told = false;
    for budget in &expect.budgets {
        let (mut claim, mut findings) = self::budget(&judgement, budget);
        let verdict = claim.verdict;
        let mut open = |why: &Finding, advice: &str| {
            claim.verdict = Verdict::Inconclusive;
            claim.missing = Some(format!("{}; {advice}", why.deviation.message()));
        };
        match (verdict, &lost, &late) {
            (Verdict::Pass, Some(lost), _) => open(lost, "use more users, or a lower rate"),
            (Verdict::Fail, _, Some(late)) if !fails_anyhow(&judgement, budget) => {
                open(late, "lower the load, or use another machine");
                // Told once, and only where something hangs on it.
                let first = !std::mem::replace(&mut late_told, true);
                findings = first.then(|| late.clone()).into_iter().collect();
            }
            _ => {}
        }
        // A warning level that is passed on the way over the limit says nothing more.
        let hard = BudgetName { level: Level::Fail, ..budget.name() };
        let failed = |other: &Claim| other.kind == ClaimKind::Budget(hard) && other.verdict == Verdict::Fail;
        if budget.level == Level::Fail || !claims.iter().any(failed) {
            let tolerated = |finding: &Finding| tolerated(&judgement, exceptions, today, &finding.deviation);
            // What is tolerated is still seen to fail; it only does not count.
            let failing = claim.verdict == Verdict::Fail;
            claim.required &= !failing || findings.is_empty() || !findings.iter().all(tolerated);
            for finding in findings {
                judgement.findings.add(finding, exceptions);
            }
        }
        claims.push(claim);
    }
    let known = known_issues(&mut judgement, exceptions, today);
    let rules = exceptions.rules.iter().map(|change| ChangedRule {
        rule: change.rule,
        severity: change.severity,
        reason: change.reason.clone(),
        count: judgement.findings.count(change.rule),
        origin: change.origin.clone(),
    });
    let rules = rules.collect();
    let court = Court { judgement: &judgement, expect, power: &power };
    let mut all = court.concerns();
    all.append(&mut claims);
    all.extend(expect.claims.reliability.as_ref().map(|reliability| court.reliability(reliability)));
    all.extend(expect.deadline.as_ref().map(|deadline| court.deadline(deadline)));
    let unclaimed = match expect.claims.isolation {
        None => vec!["isolation is not claimed with a single user".to_owned()],
        Some(_) => Vec::new(),
    };
    let personas = expect.personas.iter().enumerate().map(|(which, persona)| {
        let (users, iterations) = judgement.personas.get(&which).copied().unwrap_or_default();
        Played { name: persona.name.clone(), share: persona.share, users, iterations }
    });
    let personas = personas.collect();
    let figures = Segment::ALL.iter().filter_map(|segment| figure(&judgement, *segment)).collect();
    let why = court.why();
    let outcome = outcome(&all, interrupted);
    let value = value(&judgement, expect);
    let doors = expect.claims.doors.as_ref().map(|doors| judgement.doors.rows(doors)).unwrap_or_default();
    let claims = all;
    Conclusion {
        value,
        personas,
        doors,
        outcome,
        claims,
        unclaimed,
        figures,
        known,
        rules,
        judgement,
        power,
        census,
        why,
    }
}

/// Concludes what was judged of the users that failed, of an execution whose others are not known: what fails by itself stands,
/// all else is not seen enough.
pub fn conclude_part(
    judgement: Judgement,
    expect: &Expectations,
    interrupted: bool,
    today: Option<Date>,
) -> Conclusion {
    let mut part = conclude(judgement, expect, interrupted, today);
    for claim in &mut part.claims {
        // Shares and figures of those that failed say nothing of all.
        let by_itself = match claim.kind {
            ClaimKind::About(Concern::Setup) => expect.claims.setup_at_most == 0.0,
            ClaimKind::About(_) => true,
            ClaimKind::Deadline => true,
            ClaimKind::Budget(_) | ClaimKind::Reliability(_) => false,
        };
        let ready = part.judgement.counts.not_ready == 0;
        if ready && !(claim.verdict == Verdict::Fail && by_itself) {
            claim.verdict = Verdict::Inconclusive;
            claim.missing =
                Some("only what failed is recorded; what `--record all` keeps can be judged anew".to_owned());
        }
    }
    part.outcome = outcome(&part.claims, interrupted);
    part
}

/// Too many arrivals that found no free user: what was measured is a smaller load than was asked for.
fn lost_arrivals(judgement: &Judgement, expect: &Expectations) -> Option<Finding> {
    let allowed = expect.open?.dropped_at_most;
    let (dropped, arrivals) = (judgement.counts.arrivals_dropped, judgement.counts.arrivals);
    (share(dropped, arrivals) > allowed).then(|| {
        let deviation = Deviation::ArrivalsDropped { dropped, arrivals, allowed: percent(allowed) };
        Finding { at: Stamp::ZERO, subject: Subject::default(), deviation, evidence: Evidence::default() }
    })
}

/// The harness was late for so long that figures beyond their limits may be its own.
fn harness_late(judgement: &Judgement) -> Option<Finding> {
    let instrument = &judgement.instrument;
    instrument.overloaded().then(|| {
        let (share, latest) = (percent(instrument.share_late()), instrument.latest);
        let deviation = Deviation::HarnessLate { share, latest, kept_up_to: instrument.kept_up_to() };
        Finding { at: Stamp::ZERO, subject: Subject::default(), deviation, evidence: Evidence::default() }
    })
}

/// Whether a budget is broken even if the harness added to every figure what it may have added.
fn fails_anyhow(judgement: &Judgement, budget: &Budget) -> bool {
    let limit = budget.limit + judgement.instrument.excess(budget.segment);
    self::budget(judgement, &Budget { limit, ..budget.clone() }).0.verdict == Verdict::Fail
}

fn census(judgement: &Judgement, expect: &Expectations) -> Vec<Census> {
    let row = |((kind, envelope), count): (&(KindId, Envelope), &u64)| Census {
        event: expect.kind_name(*kind).to_owned(),
        envelope: expect.dialect.spell(*envelope),
        count: *count,
    };
    let mut census: Vec<Census> = judgement.census.iter().map(row).collect();
    census.sort();
    census
}

/// Kinds of events that came in several envelopes. They concern no user: each sender may be right by itself.
fn mixed_envelopes(census: &[Census]) -> impl Iterator<Item = Finding> {
    let kinds = census.chunk_by(|a, b| a.event == b.event).filter(|rows| rows.len() > 1);
    kinds.map(|rows| {
        let envelopes = rows.iter().map(|row| format!("{} ({})", row.envelope, row.count)).collect();
        let deviation = Deviation::MixedEnvelopes { event: rows[0].event.clone(), envelopes };
        Finding { at: Stamp::ZERO, subject: Subject::default(), deviation, evidence: Evidence::default() }
    })
}

fn outcome(claims: &[Claim], interrupted: bool) -> Outcome {
    let any = |verdict| claims.iter().any(|claim| claim.required && claim.verdict == verdict);
    let required = claims.iter().any(|claim| claim.required);
    match () {
        () if interrupted => Outcome::Interrupted,
        () if any(Verdict::Fail) => Outcome::Failed,
        () if any(Verdict::Blocked) => Outcome::Blocked,
        () if any(Verdict::Inconclusive) || !required => Outcome::Inconclusive,
        () => Outcome::Pass,
    }
}

/// Ids that no thread could settle: another known user's is a leak, a user id of nobody's is malformed, other unknown ids say
/// nothing.
fn settle(judgement: &mut Judgement, expect: &Expectations) {
    let exceptions = &expect.claims.exceptions;
    judgement.ledger.settle_learned();
    let collapsed = collapsed(&judgement.ledger);
    for finding in std::mem::take(&mut judgement.unmarked).settle(&judgement.ledger, !collapsed.is_empty()) {
        if !is_of_warm_up(&finding, expect) {
            judgement.findings.add(finding, exceptions);
        }
    }
    let (mut told, mut foreign) = (BTreeSet::new(), Vec::new());
    for (open, sighting) in std::mem::take(&mut judgement.ledger.open) {
        if let Some(users) = collapsed.get(&open.value).filter(|users| users.contains(&open.user)) {
            // Told once, of the first of them.
            if told.insert(open.value.clone()) {
                let (at, deviation) = (sighting.at, collapse(&open.value, users));
                let (subject, evidence) = (sighting.subject, sighting.evidence);
                judgement.findings.add(Finding { at, subject, deviation, evidence }, exceptions);
            }
            continue;
        }
        let frames = sighting.frames;
        let deviation = match judgement.ledger.other_owner(open.role, &open.value, open.user) {
            Some(owner) => {
                foreign.push((open, owner, sighting));
                continue;
            }
            None if open.role != IdRole::User => {
                // Run and thread ids of the receiver that were opened before they were known to be his.
                let own = judgement.ledger.owners.contains_key(&Ledger::key(open.role, &open.value));
                judgement.counts.ids_unattributed += u64::from(!own);
                continue;
            }
            None if !sighting.own_known => continue,
            None if judgement.ledger.identities.contains_key(&open.value) => continue,
            None => Deviation::MalformedIdentity { id: open.name, value: open.value, frames },
        };
        let (at, subject, evidence) = (sighting.at, sighting.subject, sighting.evidence);
        judgement.findings.add(Finding { at, subject, deviation, evidence }, exceptions);
    }
    for ((user, value), sighting) in std::mem::take(&mut judgement.ledger.words) {
        if let Some(owner) = judgement.ledger.other_owner(IdRole::User, &value, user) {
            let open = OpenId { name: "user".to_owned(), role: IdRole::User, value, user };
            foreign.push((open, owner, sighting));
        }
    }
    for (step, value, user, at, subject) in judgement.ledger.told_to_others() {
        let Some(owner) = judgement.ledger.other_owner(IdRole::User, &value, user) else { continue };
        let evidence = Evidence { marks: Vec::new(), excerpts: vec![Excerpt::new(at, &step, &value)] };
        if user == UserNumber(0) {
            let deviation = Deviation::ToldToAnybody { step, id: value, owner };
            judgement.findings.add(Finding { at, subject, deviation, evidence }, exceptions);
            continue;
        }
        let open = OpenId { name: "user".to_owned(), role: IdRole::User, value, user };
        let mut sighting = Sighting::new(at, subject, evidence);
        sighting.borne.own = true;
        foreign.push((open, owner, sighting));
    }
    let one: Vec<BTreeSet<UserNumber>> = judgement
        .ledger
        .identities
        .values()
        .chain(collapsed.values())
        .filter(|users| users.len() > 1)
        .cloned()
        .collect();
    let circle = judgement.ledger.circles();
    let same = |a, b| circle(a) == circle(b) || one.iter().any(|users| users.contains(&a) && users.contains(&b));
    leaks::settle(judgement, expect, foreign, same);
    for answer in judgement.same_answers.repeated() {
        let mut given: Vec<_> = answer.prompts.values().collect();
        given.sort();
        let mut users: Vec<UserNumber> = given.iter().filter_map(|(_, subject)| subject.user).collect();
        users.sort_unstable();
        users.dedup();
        let (answers, prompts) = (answer.times, given.len() as u64);
        // It was certain when the second of the prompts got it.
        let (at, subject) = (given[1].0.at, given[0].1.clone());
        let excerpts = given.iter().take(2).map(|(excerpt, _)| excerpt.clone()).collect();
        let evidence = Evidence { marks: Vec::new(), excerpts };
        let deviation = Deviation::SameAnswer { answers, prompts, users };
        judgement.findings.add(Finding { at, subject, deviation, evidence }, exceptions);
    }
    for (value, users) in judgement.ledger.identities.iter().filter(|(_, users)| judgement.ledger.apart(users)) {
        let subject = Subject { user: users.first().copied(), ..Subject::default() };
        let (deviation, evidence) = (collapse(value, users), Evidence::default());
        judgement.findings.add(Finding { at: Stamp::ZERO, subject, deviation, evidence }, exceptions);
    }
}

/// Identities of nobody's that stood at several users, at none of whom the own one was ever seen: whatever the logins said, the
/// target takes these users for one.
fn collapsed(ledger: &Ledger) -> BTreeMap<String, BTreeSet<UserNumber>> {
    let mut users: BTreeMap<String, BTreeSet<UserNumber>> = BTreeMap::new();
    for open in ledger.open.keys().filter(|open| open.role == IdRole::User) {
        if !ledger.own_seen.contains(&open.user) && !ledger.identities.contains_key(&open.value) {
            users.entry(open.value.clone()).or_default().insert(open.user);
        }
    }
    // What a sender writes that knows no user is the identity of nobody.
    let nobody = |value: &str| ["none", "null", "undefined"].contains(&&*value.trim().to_lowercase());
    users.retain(|value, users| ledger.apart(users) && !nobody(value));
    users
}

fn collapse(value: &str, users: &BTreeSet<UserNumber>) -> Deviation {
    let (value, count) = (value.to_owned(), users.len() as u64);
    Deviation::IdentityCollapse { value, users: users.iter().copied().take(10).collect(), count }
}

/// Whether a finding that only the whole shows is excepted from failing, should it be one more of its kind.
fn tolerated(judgement: &Judgement, exceptions: &Exceptions, today: Option<Date>, deviation: &Deviation) -> bool {
    let weak = exceptions.severity(deviation.rule()) != Some(Severity::Failure);
    let known = exceptions.known(deviation).is_some_and(|index| {
        let count = judgement.findings.known(index).map_or(0, |(count, ..)| count);
        state(&exceptions.known[index], count + 1, today) == KnownState::Tolerated
    });
    weak || known
}

fn state(known: &Known, count: u64, today: Option<Date>) -> KnownState {
    match known {
        _ if count == 0 => KnownState::Unseen,
        Known { until: Some(until), .. } if today.is_some_and(|today| today > *until) => KnownState::Expired,
        Known { at_most: Some(at_most), .. } if count > *at_most => KnownState::Exceeded,
        _ => KnownState::Tolerated,
    }
}

/// What became of each known issue. Findings of those that are no longer tolerated join the others; which iterations they
/// failed is not told apart, so all that only known issues failed count as failed then.
fn known_issues(judgement: &mut Judgement, exceptions: &Exceptions, today: Option<Date>) -> Vec<KnownIssue> {
    let mut issues = Vec::new();
    for (index, known) in exceptions.known.iter().enumerate() {
        let (count, users, first) = judgement.findings.known(index).unwrap_or((0, 0, &[]));
        let (first, state) = (first.to_vec(), state(known, count, today));
        if matches!(state, KnownState::Expired | KnownState::Exceeded) {
            judgement.findings.release(index);
            judgement.counts.iterations_failed += std::mem::take(&mut judgement.counts.iterations_known);
        }
        issues.push(KnownIssue { known: known.clone(), state, count, users, first });
    }
    issues
}

struct Court<'a> {
    judgement: &'a Judgement,
    expect: &'a Expectations,
    power: &'a Power,
}

impl Court<'_> {
    fn concerns(&self) -> Vec<Claim> {
        let claims = &self.expect.claims;
        let mut all = vec![
            self.setup(&claims.setup),
            self.transport(&claims.transport),
            self.events(&claims.events),
            self.answer(&claims.answer),
        ];
        all.extend(claims.uniform_envelope.as_ref().map(|asserted| self.uniform_envelope(asserted)));
        all.extend(claims.isolation.as_ref().map(|asserted| self.isolation(asserted)));
        all.extend(claims.doors.as_ref().map(|doors| self.doors(doors)));
        all
    }

    fn failing(&self, concern: Concern) -> u64 {
        self.count(concern, Severity::Failure)
    }

    fn count(&self, concern: Concern, severity: Severity) -> u64 {
        self.judgement.findings.of(concern, severity, &self.expect.claims.exceptions)
    }

    /// Failures of this concern are judged as a share of iterations, not each by itself.
    fn tolerated(&self, concern: Concern) -> bool {
        match self.expect.claims.reliability.as_ref().map(|reliability| reliability.of) {
            None => false,
            // A leak is never a matter of proportion, and one envelope is no matter of iterations.
            Some(ReliabilityOf::GoldenPath) => {
                !matches!(concern, Concern::Isolation | Concern::Envelope | Concern::Doors)
            }
            Some(ReliabilityOf::Connection) => matches!(concern, Concern::Setup | Concern::Transport),
        }
    }

    fn claim(&self, concern: Concern, asserted: &Asserted, seen: Seen) -> Claim {
        let failing = self.failing(concern);
        let (verdict, missing) = match seen {
            Seen::Broken if !self.tolerated(concern) => (Verdict::Fail, None),
            Seen::Blocked(why) => (Verdict::Blocked, Some(why)),
            Seen::Nothing(missing) if failing == 0 || self.tolerated(concern) => (Verdict::Inconclusive, Some(missing)),
            Seen::Doubtful(missing) => (Verdict::Inconclusive, Some(missing)),
            _ if failing > 0 && !self.tolerated(concern) && !matches!(seen, Seen::Allowed) => (Verdict::Fail, None),
            _ => (Verdict::Pass, None),
        };
        let mut figures = self.figures(concern);
        if failing > 0 {
            let note = if verdict == Verdict::Pass { ", within what is allowed" } else { "" };
            figures = format!("{}{note}; {figures}", counted(failing, "finding"));
        }
        let (required, origin) = (asserted.required, asserted.origin.clone());
        Claim { kind: ClaimKind::About(concern), verdict, required, figures, missing, origin }
    }

    fn figures(&self, concern: Concern) -> String {
        let counts = &self.judgement.counts;
        match concern {
            Concern::Setup => format!("{} of {} ready", counts.users_ready, counted(counts.users, "user")),
            Concern::Transport => {
                format!("{}, {}", counted(counts.connections, "connection"), counted(counts.frames, "frame"))
            }
            Concern::Events => {
                let misrouted = match counts.runs_misrouted {
                    0 => String::new(),
                    some => format!(", {some} whose events came to another user"),
                };
                format!("{} of {} ended well{misrouted}", counts.runs_good, counted(counts.runs, "run"))
            }
            Concern::Answer => format!("{} judged", counted(counts.answers, "answer")),
            Concern::Isolation => {
                let clean = self.failing(Concern::Isolation) == 0 && self.power.crowd.runs > 0;
                let bound = if clean {
                    format!(
                        ", leaks in under {} of runs ({} overlapped)",
                        percent_up(self.power.leaks_under),
                        self.power.crowd.runs
                    )
                } else {
                    String::new()
                };
                let mut unmarked = match counts.unmarked {
                    0 => String::new(),
                    some => format!(", {} unmarked", percent(share(some, counts.texts))),
                };
                if counts.ids_dropped > 0 {
                    unmarked += &format!(", {} more than are kept", counted(counts.ids_dropped, "id"));
                }
                format!(
                    "{} overlapped, up to {} at once, {} of frames attributed{unmarked}, {} seen, own ids at {} of {}{bound}",
                    percent(self.power.crowd.share),
                    self.power.crowd.most,
                    percent(share(counts.attributed, counts.texts)),
                    counted(counts.canaries, "own mark"),
                    self.power.own_ids,
                    counted(counts.users, "user"),
                )
            }
            Concern::Budget => String::new(),
            Concern::Envelope => counted(counts.events, "event"),
            Concern::Doors => {
                let rows = self.expect.claims.doors.as_ref().map(|doors| self.judgement.doors.rows(doors));
                let rows = rows.unwrap_or_default();
                let tried = rows.iter().filter(|row| row.verdict.is_some()).count() as u64;
                let shut = rows.iter().filter(|row| row.verdict == Some(Verdict::Pass)).count();
                let spared = match rows.len() as u64 - tried {
                    0 => String::new(),
                    some => format!(", {some} spared"),
                };
                format!("{shut} of {} shut{spared}", counted(tried, "door"))
            }
        }
    }

    fn setup(&self, asserted: &Asserted) -> Claim {
        let counts = &self.judgement.counts;
        let failed = share(counts.setups_failed, counts.setups);
        let seen = if counts.not_ready > 0 {
            Seen::Blocked("the target did not become ready, so nothing was tested".to_owned())
        } else if counts.users_ready == 0 && counts.setups_failed > 0 {
            Seen::Blocked("no user got as far as asking, so nothing was tested".to_owned())
        } else if counts.users_ready == 0 {
            Seen::Nothing("no user was set up".to_owned())
        } else if counts.users_ready + counts.setups_failed < counts.users {
            let lost = counts.users - counts.users_ready - counts.setups_failed;
            Seen::Nothing(format!("{} neither got ready nor failed to", counted(lost, "user")))
        } else if let Some((_, user, iteration, rule, told)) = &self.judgement.warm_up.first {
            let (failed, ended) = (self.judgement.warm_up.failed, self.judgement.warm_up.ended);
            Seen::Nothing(format!(
                "{failed} of {} to warm up did not end well, so that the target may be cold; the first, user {user}, iteration \
                 {iteration}: {} {told}",
                counted(ended, "iteration"),
                rule.code()
            ))
        } else if counts.setups_failed > 0 && failed <= self.expect.claims.setup_at_most {
            Seen::Allowed
        } else {
            Seen::Enough
        };
        self.claim(Concern::Setup, asserted, seen)
    }

    fn transport(&self, asserted: &Asserted) -> Claim {
        let seen = if self.judgement.counts.frames == 0 {
            Seen::Nothing("no frame was received".to_owned())
        } else {
            Seen::Enough
        };
        self.claim(Concern::Transport, asserted, seen)
    }

    fn events(&self, asserted: &Asserted) -> Claim {
        let counts = &self.judgement.counts;
        // The most frequent first: they are what the target speaks.
        let mut strangers: Vec<(&str, u64)> =
            self.judgement.unknown.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        strangers.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let strangers: Vec<&str> = strangers.into_iter().map(|(name, _)| name).collect();
        let seen = if counts.runs_misrouted > 0 {
            // What these lack is told as the leak that it is.
            Seen::Broken
        } else if counts.runs == 0 {
            Seen::Nothing("no run was judged".to_owned())
        } else if counts.events == 0 && !strangers.is_empty() {
            Seen::Doubtful(format!(
                "no event of the grammar {} was ever seen, but these were: {}; {}",
                self.expect.grammar.name,
                strangers.iter().take(5).copied().collect::<Vec<_>>().join(", "),
                self.translation(&strangers)
            ))
        } else {
            Seen::Enough
        };
        self.claim(Concern::Events, asserted, seen)
    }

    /// What to write into the profile so that strange names are understood.
    fn translation(&self, strangers: &[&str]) -> String {
        let symbols = &self.expect.grammar.symbols;
        let known: Vec<&str> =
            symbols.iter().flat_map(|symbol| &symbol.kinds).map(|kind| self.expect.kind_name(*kind)).collect();
        let alike = strangers.iter().filter_map(|stranger| Some((stranger, alike(stranger, &known)?)));
        let aliases: Vec<String> = alike.map(|(stranger, name)| format!("{stranger}: {name}")).collect();
        if aliases.is_empty() {
            return "if they are the same under other names, say so in the profile under events.aliases".to_owned();
        }
        format!("if they are the same, write events: {{ aliases: {{ {} }} }} in the profile", aliases.join(", "))
    }

    fn uniform_envelope(&self, asserted: &Asserted) -> Claim {
        let seen = if self.judgement.counts.events == 0 {
            Seen::Nothing("no event of the grammar was seen".to_owned())
        } else {
            Seen::Enough
        };
        self.claim(Concern::Envelope, asserted, seen)
    }

    fn answer(&self, asserted: &Asserted) -> Claim {
        let seen = if self.expect.answers.is_empty() {
            Seen::Nothing("the profile does not say where an answer stands; add events.answer".to_owned())
        } else if self.judgement.counts.answers == 0 {
            Seen::Nothing("no run ended, so no answer was judged".to_owned())
        } else {
            Seen::Enough
        };
        self.claim(Concern::Answer, asserted, seen)
    }

    fn isolation(&self, asserted: &Asserted) -> Claim {
        let counts = &self.judgement.counts;
        let attributed = share(counts.attributed, counts.texts);
        let Claims { min_attributed, leaks_under, .. } = self.expect.claims;
        let least = self.expect.claims.min_overlap;
        let Judgement { flights: asked, recognised, .. } = self.judgement;
        let seen = if self.failing(Concern::Isolation) > 0 {
            Seen::Broken
        } else if counts.identities_dropped > 0 {
            Seen::Doubtful("more unknown user ids were seen than are kept; correct the profile's ids".to_owned())
        } else if self.count(Concern::Isolation, Severity::Doubt) > 0 {
            Seen::Doubtful("marks of another execution were seen; give this one users of its own".to_owned())
        } else if asked.len() < 2 {
            Seen::Nothing("fewer than two users had a run".to_owned())
        } else if !self.judgement.ledger.apart(&asked.keys().copied().collect()) {
            Seen::Nothing("all users that had a run are in one group".to_owned())
        } else if recognised.is_empty() && counts.events > 0 {
            Seen::Nothing(
                "no event of a run carried an id or a mark of its receiver; ask the agent to repeat the reference in the prompt, or \
                 name the ids in the profile"
                    .to_owned(),
            )
        } else if self.power.crowd.share <= 0.0 || self.power.crowd.share < least {
            Seen::Nothing(format!(
                "{} of users had a run while another user's was in flight, and {} were asked for; use more users or longer \
                 runs",
                percent(self.power.crowd.share),
                if least > 0.0 { percent(least) } else { "some".to_owned() }
            ))
        } else if recognised.len() < 2 || share(recognised.len() as u64, asked.len() as u64) < least {
            Seen::Nothing(format!(
                "only of {} a run was known to be theirs, by an id or a mark in its events",
                counted(recognised.len() as u64, "user")
            ))
        } else if attributed < min_attributed {
            Seen::Nothing(format!(
                "{} of frames carried an id or a mark of their receiver, and {} were asked for; name more ids in the profile, or \
                 ask the agent to repeat the reference in the prompt",
                percent(attributed),
                percent(min_attributed)
            ))
        } else if let Some(under) = leaks_under.filter(|under| self.power.leaks_under > *under) {
            let needed = stats::trials_needed_clean(1.0 - under, stats::CONFIDENCE);
            let overlapping = counted(self.power.crowd.runs, "run");
            Seen::Nothing(format!(
                "{overlapping} that overlapped another user's show that leaks happen in under {}; to show {} takes {needed}",
                percent_up(self.power.leaks_under),
                percent(under)
            ))
        } else {
            Seen::Enough
        };
        self.claim(Concern::Isolation, asserted, seen)
    }

    fn doors(&self, doors: &Doors) -> Claim {
        let rows = self.judgement.doors.rows(doors);
        let open = rows.iter().filter(|row| row.verdict == Some(Verdict::Inconclusive));
        let missing: Vec<String> = open.filter_map(|row| row.missing.clone()).collect();
        let seen = match &missing[..] {
            [] if rows.iter().all(|row| row.verdict.is_none()) => {
                Seen::Nothing("no probe could knock; see why each was spared".to_owned())
            }
            [] => Seen::Enough,
            [one] => Seen::Nothing(one.clone()),
            [first, rest @ ..] => Seen::Nothing(format!("{first} (and {} more)", rest.len())),
        };
        self.claim(Concern::Doors, &doors.asserted, seen)
    }

    fn reliability(&self, reliability: &Reliability) -> Claim {
        let counts = &self.judgement.counts;
        let (trials, failures, what) = match reliability.of {
            ReliabilityOf::GoldenPath => (counts.iterations, counts.iterations_failed, "iteration"),
            ReliabilityOf::Connection => (counts.connections, counts.connections_failed, "connection"),
        };
        let good = trials.saturating_sub(failures);
        let lower = stats::lower_bound(good, trials, reliability.confidence);
        let upper = stats::upper_bound(good, trials, reliability.confidence);
        let needed = stats::trials_needed_clean(reliability.at_least, reliability.confidence);
        let (verdict, missing) = if trials > 0 && lower >= reliability.at_least {
            (Verdict::Pass, None)
        } else if trials > 0 && upper < reliability.at_least {
            (Verdict::Fail, None)
        } else {
            let missing = format!(
                "{} show at least {}; {needed} without a failure would show {}",
                counted(trials, what),
                percent_down(lower),
                percent(reliability.at_least)
            );
            (Verdict::Inconclusive, Some(missing))
        };
        let figures = format!(
            "{good} of {} good, at least {} at {} confidence; {} asked",
            counted(trials, what),
            percent_down(lower),
            percent(reliability.confidence),
            percent(reliability.at_least)
        );
        let (required, origin) = (reliability.required, Some(reliability.origin.clone()));
        Claim { kind: ClaimKind::Reliability(reliability.of), verdict, required, figures, missing, origin }
    }

    fn deadline(&self, deadline: &Deadline) -> Claim {
        let counts = &self.judgement.counts;
        let (verdict, figures) = match counts.overdue {
            0 => (Verdict::Pass, format!("everything was over within {}", deadline.after)),
            _ => {
                let (over, cut) = (counted(counts.iterations, "iteration"), counts.iterations_interrupted);
                (Verdict::Fail, format!("only {over} were over within {}, and {cut} were cut", deadline.after))
            }
        };
        let origin = Some(deadline.origin.clone());
        Claim { kind: ClaimKind::Deadline, verdict, required: true, figures, missing: None, origin }
    }

    fn why(&self) -> Vec<String> {
        let counts = &self.judgement.counts;
        let users = if counts.users_ready == counts.users {
            counted(counts.users, "user")
        } else {
            format!("{} of {} ready", counts.users_ready, counted(counts.users, "user"))
        };
        let mut why = vec![
            users,
            counted(counts.runs, "run"),
            counted(counts.frames, "frame"),
            format!("{} attributed", percent(share(counts.attributed, counts.texts))),
        ];
        if self.expect.claims.isolation.is_some() {
            why.push(format!("{} of users overlapped", percent(self.power.crowd.share)));
        }
        why.push(format!("{} seen", counted(counts.canaries, "own mark")));
        let warmed = self.judgement.warm_up.ended;
        why.extend((warmed > 0).then(|| format!("{} to warm up, not counted", counted(warmed, "iteration"))));
        why
    }
}

/// What was seen of a claim, before findings are counted.
enum Seen {
    Enough,
    /// Failures are there and their share is allowed.
    Allowed,
    Broken,
    Blocked(String),
    /// Not enough; a failure that was seen all the same fails.
    Nothing(String),
    /// What was seen cannot be told apart from something harmless, failures included.
    Doubtful(String),
}

fn budget(judgement: &Judgement, budget: &Budget) -> (Claim, Vec<Finding>) {
    let Weighed { verdict, figures, missing, findings } = match budget.per {
        None => {
            let none = Latencies::default();
            let latencies = judgement.segments.get(budget.segment).unwrap_or(&none);
            Weighed::of(latencies, budget, None)
        }
        Some(per) => weigh_windows(judgement, budget, per),
    };
    let (kind, origin) = (ClaimKind::Budget(budget.name()), Some(budget.origin.clone()));
    (Claim { kind, verdict, required: budget.required, figures, missing, origin }, findings)
}

/// What a budget says of some latencies.
struct Weighed {
    verdict: Verdict,
    figures: String,
    missing: Option<String>,
    findings: Vec<Finding>,
}

impl Weighed {
    fn of(latencies: &Latencies, budget: &Budget, window: Option<Window>) -> Weighed {
        match budget.statistic {
            Statistic::Quantile(q) => {
                let judge = |histogram: &_| stats::judge_quantile(histogram, q, budget.limit.0, budget.proven);
                Weighed::ceiling(latencies, budget, window, judge)
            }
            Statistic::Max => Weighed::ceiling(latencies, budget, window, |h| stats::judge_max(h, budget.limit.0)),
            Statistic::Mean => Weighed::ceiling(latencies, budget, window, |h| stats::judge_mean(h, budget.limit.0)),
            Statistic::Min => Weighed::floor(latencies, budget, window),
        }
    }

    fn ceiling(
        latencies: &Latencies,
        budget: &Budget,
        window: Option<Window>,
        judge: impl Fn(&Histogram) -> LimitJudgement,
    ) -> Weighed {
        let latest = judge(&latencies.latest);
        let earliest = judge(&latencies.earliest);
        let (verdict, missing) = match (latest.verdict, earliest.verdict) {
            (Judged::Within, _) => (Verdict::Pass, None),
            (_, Judged::Over) => (Verdict::Fail, None),
            (Judged::Unclear(doubt), _) => (Verdict::Inconclusive, Some(doubtful(&latest, doubt))),
            (Judged::Over, _) => {
                let missing =
                    "the limit lies within what reads leave uncertain; lower the load, or raise the limit".to_owned();
                (Verdict::Inconclusive, Some(missing))
            }
        };
        let finding = (verdict == Verdict::Fail).then(|| {
            let observed = Micros(earliest.observed_us.unwrap_or_default());
            let (limit, name) = (budget.limit, called(budget, window));
            let deviation = match budget.level {
                Level::Fail => {
                    let bound = earliest.lower_us.map(Micros);
                    Deviation::OverBudget { budget: name, limit, observed, bound }
                }
                Level::Warn => Deviation::OverWarning { budget: name, limit, observed },
            };
            let whose = latencies.slowest.map(|slowest| (slowest.took, slowest.user.0, slowest.iteration.0));
            extreme("slowest", budget, deviation, whose)
        });
        let figures = figures_of(&latest, budget.limit);
        Weighed { verdict, figures, missing, findings: finding.into_iter().collect() }
    }

    /// Every value must reach the limit: broken if the shortest stays below it whenever its frames arrived.
    fn floor(latencies: &Latencies, budget: &Budget, window: Option<Window>) -> Weighed {
        let (limit, runs) = (budget.limit, latencies.latest.len());
        let (verdict, missing) = match (latencies.earliest.min().map(Micros), latencies.latest.min().map(Micros)) {
            (Some(earliest), _) if earliest >= limit => (Verdict::Pass, None),
            (_, Some(latest)) if latest < limit => (Verdict::Fail, None),
            (Some(_), Some(_)) => {
                let missing = "the floor lies within what reads leave uncertain; lower the load, or the floor";
                (Verdict::Inconclusive, Some(missing.to_owned()))
            }
            (None, _) | (_, None) => (Verdict::Inconclusive, Some("nothing was measured".to_owned())),
        };
        let finding = (verdict == Verdict::Fail).then_some(latencies.fastest).flatten().map(|fastest| {
            let (observed, name) = (fastest.0, called(budget, window));
            let deviation = match budget.level {
                Level::Fail => Deviation::TooFast { budget: name, limit, observed },
                Level::Warn => Deviation::OverWarning { budget: name, limit, observed },
            };
            extreme("fastest", budget, deviation, Some(fastest))
        });
        let figures = match latencies.fastest {
            Some((fastest, ..)) => format!("{fastest}; floor {limit}; {}", counted(runs, "run")),
            None => format!("nothing measured; floor {limit}"),
        };
        Weighed { verdict, figures, missing, findings: finding.into_iter().collect() }
    }
}

/// Each window by itself, with its own number of runs. Windows with too few runs to be judged are counted and told; only if
/// none could be judged is the claim open for lack of runs, for the last window is rarely full.
fn weigh_windows(judgement: &Judgement, budget: &Budget, per: Micros) -> Weighed {
    let of_budget =
        judgement.windows.iter().filter(|(window, _)| window.segment == budget.segment && window.per == per);
    let needed = match budget.statistic {
        Statistic::Quantile(q) if budget.proven => {
            stats::runs_to_prove(q, stats::CONFIDENCE).max(stats::minimum_runs(q))
        }
        Statistic::Quantile(q) => stats::minimum_runs(q),
        Statistic::Max | Statistic::Mean | Statistic::Min => 1,
    };
    let (mut within, mut over, mut short) = (0, 0, 0);
    let mut missing = None;
    let mut worst: Option<(Verdict, String)> = None;
    let mut findings = Vec::new();
    for (window, latencies) in of_budget {
        if latencies.latest.len() < needed {
            short += 1;
            continue;
        }
        let weighed = Weighed::of(latencies, budget, Some(*window));
        match weighed.verdict {
            Verdict::Pass => within += 1,
            Verdict::Fail => over += 1,
            Verdict::Blocked | Verdict::Inconclusive => {
                let why = weighed.missing.unwrap_or_default();
                missing.get_or_insert(format!("{window}: {why}"));
            }
        }
        findings.extend(weighed.findings);
        // The first that fails, else the first that is open, else the first.
        let weight = |verdict| [Verdict::Pass, Verdict::Inconclusive, Verdict::Fail].iter().position(|v| *v == verdict);
        if worst.as_ref().is_none_or(|(verdict, _)| weight(weighed.verdict) > weight(*verdict)) {
            worst = Some((weighed.verdict, format!("{window}: {}", weighed.figures)));
        }
    }
    let verdict = match (within, over, &missing) {
        (_, 1.., _) => Verdict::Fail,
        (1.., 0, None) => Verdict::Pass,
        _ => Verdict::Inconclusive,
    };
    let missing = match verdict {
        Verdict::Inconclusive if missing.is_none() => Some(format!(
            "no window of {per} has the {} needed; use longer windows or more users",
            counted(needed, "run")
        )),
        Verdict::Inconclusive => missing,
        Verdict::Pass | Verdict::Fail | Verdict::Blocked => None,
    };
    let mut figures = format!("{} within, {over} not", counted(within, "window"));
    if short > 0 {
        figures.push_str(&format!(", {short} with too few runs to judge"));
    }
    if let Some((_, worst)) = worst {
        figures.push_str(&format!("; {worst}"));
    }
    Weighed { verdict, figures, missing, findings }
}

/// What a finding calls a budget, or its window.
fn called(budget: &Budget, window: Option<Window>) -> String {
    let plain = BudgetName { level: Level::Fail, per: None, ..budget.name() };
    window.map_or_else(|| plain.to_string(), |window| format!("{plain} {window}"))
}

/// A finding about a segment, with the iteration that shows it most.
fn extreme(
    label: &str,
    budget: &Budget,
    deviation: Deviation,
    whose: Option<(Micros, UserNumber, Iteration)>,
) -> Finding {
    let subject = Subject {
        user: whose.map(|(_, user, _)| user),
        iteration: whose.map(|(_, _, iteration)| iteration),
        ..Subject::default()
    };
    let excerpts = whose.map(|(took, ..)| Excerpt::new(Stamp::ZERO, label, &format!("{} {took}", budget.segment)));
    let evidence = Evidence { marks: Vec::new(), excerpts: excerpts.into_iter().collect() };
    Finding { at: Stamp::ZERO, subject, deviation, evidence }
}

fn figures_of(judged: &LimitJudgement, limit: Micros) -> String {
    let Some(observed) = judged.observed_us else { return format!("nothing measured; limit {limit}") };
    let upper = judged.upper_us.map(|upper| format!(", at most {} at 95 %", Micros(upper))).unwrap_or_default();
    format!("{}{upper}; limit {limit}; {}", Micros(observed), counted(judged.runs, "run"))
}

fn doubtful(judged: &LimitJudgement, doubt: Doubt) -> String {
    match doubt {
        Doubt::TooFewRuns => format!(
            "{} measured, at least {} needed; use more users or iterations, or limit the max",
            judged.runs, judged.runs_needed
        ),
        Doubt::MaybeLuck => "over the limit, and so few runs that it may be chance; more runs would tell".to_owned(),
        Doubt::NotProven => "within the limit, and not proven to be; more runs would tell".to_owned(),
        Doubt::Resolution => "the limit lies within the resolution of 0.1 %".to_owned(),
    }
}

fn figure(judgement: &Judgement, segment: Segment) -> Option<Figure> {
    let latencies = judgement.segments.get(segment)?;
    let histogram = &latencies.latest;
    let runs = histogram.len();
    let quantile = |q: f64, least: u64| histogram.quantile(q).filter(|_| runs >= least).map(Micros);
    let uncertainty = [0.5, 0.95, 0.99, 1.0]
        .into_iter()
        .filter_map(|q| Some(histogram.quantile(q)?.saturating_sub(latencies.earliest.quantile(q)?)));
    Some(Figure {
        segment,
        runs,
        p50: quantile(0.5, 1),
        p95: quantile(0.95, stats::minimum_runs(0.95)),
        p99: quantile(0.99, stats::minimum_runs(0.99)),
        mean: histogram.mean().map(|mean| Micros(mean.round() as u64)),
        max: histogram.max().map(Micros),
        uncertainty: Micros(uncertainty.max().unwrap_or_default()),
    })
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// `99.9 %`, rounded to the nearest tenth, but never up to 100 % nor down to 0 %.
fn percent(share: f64) -> String {
    let tenths = (share * 1000.0).round();
    let tenths = if share < 1.0 { tenths.min(999.0) } else { tenths };
    let tenths = if share > 0.0 { tenths.max(1.0) } else { tenths };
    trimmed(tenths / 10.0)
}

/// Rounded up, for an upper bound.
fn percent_up(share: f64) -> String {
    trimmed((share * 1000.0).ceil() / 10.0)
}

/// Rounded down, for a lower bound.
fn percent_down(share: f64) -> String {
    trimmed((share * 1000.0).floor() / 10.0)
}

fn trimmed(percent: f64) -> String {
    format!("{percent} %")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::expectations;
    use crate::finding::Leak;

    fn latencies(values_ms: &[(u64, u64)]) -> Latencies {
        let mut latencies = Latencies::default();
        for (index, (earliest, latest)) in values_ms.iter().enumerate() {
            let user = UserNumber(index as u32 + 1);
            latencies.record(user, Iteration(1), Micros::from_millis(*earliest), Micros::from_millis(*latest));
        }
        latencies
    }

    /// What a limit of 100 ms on `statistic` says of exact values, or of values known between two bounds.
    fn judged(statistic: Statistic, proven: bool, values_ms: &[(u64, u64)]) -> (Verdict, Vec<String>) {
        let origin = Origin { file: "s.yaml".into(), line: 7 };
        let limit = Micros::from_millis(100);
        let (level, per) = (Level::Fail, None);
        let budget = Budget { segment: Segment::Run, statistic, limit, level, per, proven, required: true, origin };
        let mut judgement = Judgement::default();
        *judgement.segments.of(Segment::Run) = latencies(values_ms);
        let (claim, finding) = super::budget(&judgement, &budget);
        (claim.verdict, finding.iter().map(|finding| finding.deviation.message()).collect())
    }

    fn exact(values: impl IntoIterator<Item = u64>) -> Vec<(u64, u64)> {
        values.into_iter().map(|value| (value, value)).collect()
    }

    #[test]
    fn a_budget_is_kept_broken_or_unsettled() {
        let p95 = Statistic::Quantile(0.95);
        let fast_with = |slow: usize, of: usize| exact((0..of).map(move |i| if i < slow { 500 } else { 50 }));
        for (statistic, proven, values, verdict) in [
            (Statistic::Max, false, exact([50, 100]), Verdict::Pass),
            (Statistic::Max, false, exact([50, 101]), Verdict::Fail),
            (Statistic::Max, false, vec![], Verdict::Inconclusive),
            // The read that found the frame came after the limit, the frame itself perhaps before.
            (Statistic::Max, false, vec![(90, 110)], Verdict::Inconclusive),
            (Statistic::Max, false, vec![(101, 110)], Verdict::Fail),
            (Statistic::Mean, false, exact([50, 150]), Verdict::Pass),
            (Statistic::Mean, false, exact([50, 152]), Verdict::Fail),
            (p95, false, fast_with(0, 19), Verdict::Inconclusive),
            (p95, false, fast_with(1, 20), Verdict::Pass),
            // Two of twenty over: the figure is over, its bound is not.
            (p95, false, fast_with(2, 20), Verdict::Inconclusive),
            (p95, false, fast_with(10, 20), Verdict::Fail),
            (p95, true, fast_with(0, 58), Verdict::Inconclusive),
            (p95, true, fast_with(0, 59), Verdict::Pass),
        ] {
            let (judged, findings) = judged(statistic, proven, &values);
            assert_eq!(judged, verdict, "{statistic} proven={proven} {values:?}");
            assert_eq!(findings.len(), usize::from(verdict == Verdict::Fail), "{findings:?}");
        }
    }

    #[test]
    fn a_floor_is_broken_only_by_what_was_surely_faster() {
        for (values, verdict) in [
            (exact([100, 150]), Verdict::Pass),
            (exact([99, 150]), Verdict::Fail),
            // The read that found the frame came after the floor, the frame itself perhaps before.
            (vec![(90, 110)], Verdict::Inconclusive),
            (vec![(80, 99)], Verdict::Fail),
            (vec![(100, 110)], Verdict::Pass),
            (vec![], Verdict::Inconclusive),
        ] {
            assert_eq!(judged(Statistic::Min, false, &values).0, verdict, "{values:?}");
        }
        let (_, findings) = judged(Statistic::Min, false, &[(80, 99), (10, 120)]);
        assert_eq!(findings, ["run min is 99 ms; real work takes at least 100 ms"]);
    }

    fn budget(statistic: Statistic, limit_ms: u64, level: Level, per: Option<Micros>) -> Budget {
        let (limit, origin) = (Micros::from_millis(limit_ms), Origin { file: "s.yaml".into(), line: 7 });
        let required = level == Level::Fail;
        Budget { segment: Segment::Run, statistic, limit, level, per, proven: false, required, origin }
    }

    #[test]
    fn a_warning_is_a_note_and_changes_no_outcome() {
        let concluded = |fail_ms: u64| {
            let mut expect = expectations(1);
            let levels = [(fail_ms, Level::Fail), (60, Level::Warn)];
            expect.budgets = levels.map(|(ms, level)| budget(Statistic::Max, ms, level, None)).to_vec();
            let mut judgement = Judgement::default();
            *judgement.segments.of(Segment::Run) = latencies(&exact([50, 70]));
            let conclusion = conclude(judgement, &expect, false, None);
            let budgets = conclusion.claims.iter().filter(|claim| matches!(claim.kind, ClaimKind::Budget(_)));
            let verdicts: Vec<_> =
                budgets.map(|claim| (claim.kind.to_string(), claim.verdict, claim.required)).collect();
            let rules: Vec<_> = conclusion.judgement.findings.rules().map(|(rule, ..)| rule).collect();
            (verdicts, rules, outcome(&conclusion.claims[conclusion.claims.len() - 2..], false))
        };
        let (verdicts, rules, outcome) = concluded(100);
        let (hard, soft) = ("run max".to_owned(), "run max warning".to_owned());
        assert_eq!(verdicts, [(hard, Verdict::Pass, true), (soft, Verdict::Fail, false)]);
        assert_eq!((rules, outcome), (vec![Rule::OverWarning], Outcome::Pass));
        let (_, rules, outcome) = concluded(65);
        assert_eq!((rules, outcome), (vec![Rule::OverBudget], Outcome::Failed), "over the limit is one finding");
    }

    #[test]
    fn each_window_is_judged_by_itself() {
        let per = Micros::from_secs(300);
        // Values of successive windows, in milliseconds.
        let judged = |windows: &[Vec<u64>]| {
            let mut judgement = Judgement::default();
            for (index, values) in windows.iter().enumerate() {
                let window = Window::of(Segment::Run, per, Stamp(index as u64 * per.0));
                judgement.windows.insert(window, latencies(&exact(values.iter().copied())));
            }
            let (claim, findings) =
                super::budget(&judgement, &budget(Statistic::Quantile(0.95), 100, Level::Fail, Some(per)));
            let findings: Vec<_> = findings.iter().map(|finding| finding.deviation.message()).collect();
            assert_eq!(claim.kind.to_string(), "run p95 per 5 min");
            (claim.verdict, claim.figures, findings)
        };
        let (good, bad, short) = (vec![50; 20], vec![500; 20], vec![500; 5]);
        let (verdict, figures, findings) = judged(&[good.clone(), bad, good.clone()]);
        assert_eq!(verdict, Verdict::Fail, "{figures}");
        let over = "run p95 from 5 min to 10 min is 500 ms, at least 500 ms at 95 %; the budget is 100 ms";
        assert_eq!(findings, [over]);
        let (verdict, figures, _) = judged(&[good.clone(), short.clone()]);
        assert_eq!(verdict, Verdict::Pass, "a window that is not full is not judged");
        assert!(
            figures.starts_with("1 window within, 0 not, 1 with too few runs to judge; from 0 ms to 5 min: "),
            "{figures}"
        );
        assert_eq!(judged(&[short]).0, Verdict::Inconclusive);
        let lucky: Vec<u64> = (0..20).map(|i| if i < 2 { 500 } else { 50 }).collect();
        assert_eq!(judged(&[good, lucky]).0, Verdict::Inconclusive, "one window may be chance");
        assert_eq!(judged(&[]).0, Verdict::Inconclusive);
    }

    #[test]
    fn windows_are_bounded() {
        let late = Window::of(Segment::Run, Micros::from_secs(1), Stamp(u64::MAX));
        assert_eq!(late.to_string(), "from 4 min 47 s on");
        assert_eq!(late.index, super::super::judgement::WINDOWS_KEPT - 1);
    }

    #[test]
    fn a_broken_budget_says_by_how_much() {
        let (_, findings) = judged(Statistic::Max, false, &exact([50, 250]));
        assert_eq!(findings, ["run max is 250 ms; the budget is 100 ms"]);
    }

    fn reliability(at_least: f64, iterations: u64, failed: u64) -> Conclusion {
        let mut expect = expectations(1);
        let origin = Origin { file: "s.yaml".into(), line: 9 };
        let of = ReliabilityOf::GoldenPath;
        expect.claims.reliability = Some(Reliability { of, at_least, confidence: 0.95, required: true, origin });
        let mut judgement = Judgement::default();
        judgement.counts.iterations = iterations;
        judgement.counts.iterations_failed = failed;
        judgement.counts.runs = iterations;
        judgement.counts.users_ready = 1;
        judgement.counts.answers = iterations;
        judgement.counts.frames = iterations;
        for _ in 0..failed {
            let deviation = Deviation::EmptyAnswer;
            let subject = Subject { user: Some(UserNumber(1)), ..Subject::default() };
            let finding = Finding { at: Stamp(1), subject, deviation, evidence: Evidence::default() };
            judgement.findings.add(finding, &expect.claims.exceptions);
        }
        conclude(judgement, &expect, false, None)
    }

    #[test]
    fn reliability_needs_enough_iterations_and_turns_failures_into_notes() {
        for (at_least, iterations, failed, outcome) in [
            // 20 clean runs show 86 % (Clopper-Pearson, one-sided at 95 %).
            (0.86, 20, 0, Outcome::Pass),
            (0.87, 20, 0, Outcome::Inconclusive),
            (0.999, 2_994, 0, Outcome::Inconclusive),
            (0.999, 2_995, 0, Outcome::Pass),
            (0.9, 200, 5, Outcome::Pass),
            (0.9, 20, 20, Outcome::Failed),
            (0.9, 20, 3, Outcome::Inconclusive),
        ] {
            let conclusion = reliability(at_least, iterations, failed);
            assert_eq!(conclusion.outcome, outcome, "{at_least} of {iterations} with {failed}");
            let answer = conclusion.claims.iter().find(|claim| claim.kind == ClaimKind::About(Concern::Answer));
            assert_eq!(answer.map(|claim| claim.verdict), Some(Verdict::Pass), "failures are notes in their own claim");
        }
    }

    #[test]
    fn a_leak_is_never_a_matter_of_proportion() {
        let mut expect = expectations(2);
        let origin = Origin { file: "s.yaml".into(), line: 9 };
        let of = ReliabilityOf::GoldenPath;
        expect.claims.reliability = Some(Reliability { of, at_least: 0.5, confidence: 0.95, required: true, origin });
        let mut judgement = Judgement::default();
        (judgement.counts.iterations, judgement.counts.runs) = (1_000, 1_000);
        let leak = Leak::unsettled();
        let deviation = Deviation::ForeignCanary { owner: UserNumber(2), iteration: Iteration(1), leak };
        let subject = Subject { user: Some(UserNumber(1)), ..Subject::default() };
        judgement.findings.add(
            Finding { at: Stamp(1), subject, deviation, evidence: Evidence::default() },
            &expect.claims.exceptions,
        );
        let conclusion = conclude(judgement, &expect, false, None);
        let isolation = conclusion.claims.iter().find(|claim| claim.kind == ClaimKind::About(Concern::Isolation));
        assert_eq!(isolation.map(|claim| claim.verdict), Some(Verdict::Fail));
        assert_eq!(conclusion.outcome, Outcome::Failed);
    }

    fn claim(verdict: Verdict, required: bool) -> Claim {
        let kind = ClaimKind::About(Concern::Events);
        Claim { kind, verdict, required, figures: String::new(), missing: None, origin: None }
    }

    #[test]
    fn the_outcome_is_the_first_that_holds() {
        use Verdict::{Blocked, Fail, Inconclusive, Pass};
        let required = |verdicts: &[Verdict]| verdicts.iter().map(|verdict| claim(*verdict, true)).collect::<Vec<_>>();
        for (claims, interrupted, outcome, code) in [
            (required(&[Pass, Pass]), false, Outcome::Pass, 0),
            (required(&[Pass, Inconclusive]), false, Outcome::Inconclusive, 4),
            (required(&[Blocked, Inconclusive]), false, Outcome::Blocked, 3),
            (required(&[Blocked, Fail, Inconclusive]), false, Outcome::Failed, 1),
            (required(&[Fail]), true, Outcome::Interrupted, 130),
            (vec![claim(Fail, false), claim(Pass, true)], false, Outcome::Pass, 0),
            (vec![claim(Inconclusive, false), claim(Pass, true)], false, Outcome::Pass, 0),
            (vec![claim(Blocked, false), claim(Inconclusive, true)], false, Outcome::Inconclusive, 4),
            // With nothing required there is nothing to pass.
            (vec![claim(Pass, false)], false, Outcome::Inconclusive, 4),
            (vec![], false, Outcome::Inconclusive, 4),
        ] {
            let found = super::outcome(&claims, interrupted);
            assert_eq!((found, found.exit_code()), (outcome, code), "{claims:?}");
        }
        assert_eq!(Outcome::Broke.exit_code(), 5);
    }

    #[test]
    fn ids_that_were_not_kept_make_isolation_inconclusive() {
        let expect = expectations(2);
        let mut judgement = Judgement::default();
        judgement.counts.identities_dropped = 1;
        let conclusion = conclude(judgement, &expect, false, None);
        let isolation = conclusion.claims.iter().find(|claim| claim.kind == ClaimKind::About(Concern::Isolation));
        let missing = isolation.and_then(|claim| claim.missing.clone()).unwrap_or_default();
        assert!(missing.contains("more unknown user ids"), "{missing}");
    }

    /// What a limit of 100 ms on the median of 20 arrivals says when `dropped` more found nobody free.
    fn with_dropped(dropped: u64, took_ms: u64) -> (Verdict, Option<String>, u64) {
        let origin = Origin { file: "s.yaml".into(), line: 7 };
        let (segment, statistic, limit) = (Segment::Response, Statistic::Quantile(0.5), Micros::from_millis(100));
        let (level, per, proven, required) = (Level::Fail, None, false, true);
        let budget = Budget { segment, statistic, limit, level, per, proven, required, origin };
        let open = Some(crate::expect::Arrivals { dropped_at_most: 0.1 });
        let expect = Expectations { budgets: vec![budget], open, ..expectations(2) };
        let mut judgement = Judgement::default();
        *judgement.segments.of(segment) = latencies(&exact(vec![took_ms; 20]));
        (judgement.counts.arrivals, judgement.counts.arrivals_dropped) = (20 + dropped, dropped);
        let conclusion = conclude(judgement, &expect, false, None);
        let claim = conclusion.claims.iter().find(|claim| matches!(claim.kind, ClaimKind::Budget(_))).unwrap();
        (claim.verdict, claim.missing.clone(), conclusion.judgement.findings.count(Rule::ArrivalsDropped))
    }

    #[test]
    fn latencies_of_a_smaller_load_than_asked_for_pass_nothing() {
        assert_eq!(with_dropped(2, 50), (Verdict::Pass, None, 0));
        let missing = "3 of 23 arrivals found no free user, and 10 % may; use more users, or a lower rate".to_owned();
        assert_eq!(with_dropped(3, 50), (Verdict::Inconclusive, Some(missing), 1));
        // Even the smaller load was too much.
        assert_eq!(with_dropped(3, 500), (Verdict::Fail, None, 1));
    }

    /// What a limit of 100 ms on the median of 20 values of 150 ms says when the harness was late by so much, for half of a
    /// second out of ten.
    fn with_a_late_harness(latest_ms: u64, statistic: Statistic) -> (Verdict, Vec<&'static str>) {
        let origin = Origin { file: "s.yaml".into(), line: 7 };
        let (segment, limit) = (Segment::GoldenPath, Micros::from_millis(100));
        let (level, per, proven, required) = (Level::Fail, None, false, true);
        let budget = Budget { segment, statistic, limit, level, per, proven, required, origin };
        let expect = Expectations { budgets: vec![budget], ..expectations(2) };
        let mut judgement = Judgement::default();
        *judgement.segments.of(segment) = latencies(&exact(vec![150; 20]));
        let (latest, late) = (Micros::from_millis(latest_ms), Micros::from_millis(500));
        let late = if latest_ms > 10 { late } else { Micros::ZERO };
        let lasted = Micros::from_secs(10);
        judgement.instrument.pulse(crate::check::Pulse {
            at: Stamp::ZERO + lasted,
            lasted,
            late,
            latest,
            cpu: None,
            frames: 100,
        });
        let conclusion = conclude(judgement, &expect, false, None);
        let claim = conclusion.claims.iter().find(|claim| matches!(claim.kind, ClaimKind::Budget(_))).unwrap();
        (claim.verdict, conclusion.judgement.findings.rules().map(|(rule, ..)| rule.code()).collect())
    }

    #[test]
    fn what_may_be_the_harness_itself_fails_nothing() {
        let p50 = Statistic::Quantile(0.5);
        assert_eq!(with_a_late_harness(5, p50), (Verdict::Fail, vec!["GP304"]));
        // Three times 17 ms may have been added on the way, which explains 50 ms.
        assert_eq!(with_a_late_harness(17, p50), (Verdict::Inconclusive, vec!["GP902"]));
        // Three times 16 ms do not.
        assert_eq!(with_a_late_harness(16, p50), (Verdict::Fail, vec!["GP304"]));
        // Lateness only adds: what is within its limit is within it.
        assert_eq!(with_a_late_harness(17, Statistic::Min), (Verdict::Pass, vec![]));
    }

    #[test]
    fn a_deadline_is_a_claim_of_its_own() {
        let origin = Origin { file: "s.yaml".into(), line: 7 };
        let deadline = Some(Deadline { after: Micros::from_secs(30), origin });
        let expect = Expectations { deadline, ..expectations(2) };
        let verdict = |overdue| {
            let mut judgement = Judgement::default();
            judgement.counts.overdue = overdue;
            let conclusion = conclude(judgement, &expect, false, None);
            conclusion.claims.iter().find(|claim| claim.kind == ClaimKind::Deadline).map(|claim| claim.verdict)
        };
        assert_eq!((verdict(0), verdict(1)), (Some(Verdict::Pass), Some(Verdict::Fail)));
        let conclusion = conclude(Judgement::default(), &expectations(2), false, None);
        assert!(conclusion.claims.iter().all(|claim| claim.kind != ClaimKind::Deadline));
    }

    #[test]
    fn shares_are_never_rounded_to_all_or_nothing() {
        for (share, text) in [(1.0, "100 %"), (0.9999, "99.9 %"), (0.0001, "0.1 %"), (0.0, "0 %"), (0.925, "92.5 %")] {
            assert_eq!(percent(share), text);
        }
        assert_eq!((percent_up(0.0291), percent_down(0.8609)), ("3 %".to_owned(), "86 %".to_owned()));
    }
}
