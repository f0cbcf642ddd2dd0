//! What a test plan asks for by name, and what an execution was worth to users: figures that stand in claims and counts already,
//! put together under the words that readers of plans look for.
//!
//! A certification is the verdict of its claims, never better than the execution's own end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tree::Word;
use crate::check::{self, Claim, ClaimKind, Conclusion, Outcome, Verdict};
use crate::finding::counted;
use crate::rule::Concern;

/// Something that a test plan asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deliverable {
    /// Its name, as plans call it.
    pub name: String,
    /// What this execution says of it; null where nothing of it was claimed, so that nothing is certified.
    pub verdict: Option<Word>,
    /// Why, in one sentence.
    pub sentence: String,
}

/// What an execution was worth to the users it simulated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Value {
    /// Runs judged.
    pub runs: u64,
    /// Runs that ended well and whose answer was judged, and no finding fails it.
    pub worthwhile: u64,
    /// Iterations that ended with a verdict.
    pub iterations: u64,
    /// Iterations with a failing finding; what came to the wrong user is not counted by iteration.
    pub iterations_hurt: u64,
    /// Users that began.
    pub users: u64,
    /// Users with a failing finding, budgets aside.
    pub users_hurt: u64,
    /// Measured times against each limit that is set for them, in the order written.
    pub limits: Vec<Within>,
}

/// How many of the measured times of a segment lie within the limits that are set for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Within {
    /// What the limits are for: `run p95`. Each time is held against them by itself.
    pub name: String,
    /// How many were measured.
    pub runs: u64,
    /// The limit that warns, in microseconds; null without.
    pub warn_us: Option<u64>,
    /// How many lie within it; null without.
    pub within_warn: Option<u64>,
    /// The limit that fails, in microseconds; null without.
    pub fail_us: Option<u64>,
    /// How many lie within it, those within the limit that warns among them; null without.
    pub within_fail: Option<u64>,
    /// How many lie beyond all limits.
    pub beyond: u64,
}

impl Value {
    pub(super) fn new(conclusion: &Conclusion) -> Value {
        let counts = &conclusion.judgement.counts;
        let check::Value { users_hurt, limits } = &conclusion.value;
        Value {
            runs: counts.runs,
            worthwhile: counts.answers_good,
            iterations: counts.iterations,
            iterations_hurt: counts.iterations_failed,
            users: counts.users,
            users_hurt: *users_hurt,
            limits: limits.iter().map(within).collect(),
        }
    }
}

fn within(row: &check::Within) -> Within {
    Within {
        name: format!("{} {}", row.segment, row.statistic),
        runs: row.runs,
        warn_us: row.warn.map(|(limit, _)| limit.0),
        within_warn: row.warn.map(|(_, count)| count),
        fail_us: row.fail.map(|(limit, _)| limit.0),
        within_fail: row.fail.map(|(_, count)| count),
        beyond: row.beyond,
    }
}

/// What plans ask for, in the order in which they list it.
pub(super) fn deliverables(conclusion: &Conclusion, rules: usize) -> Vec<Deliverable> {
    let counts = &conclusion.judgement.counts;
    let about = |concerns: &'static [Concern]| move |kind: ClaimKind| matches!(kind, ClaimKind::About(concern) if concerns.contains(&concern));
    let path = about(&[Concern::Setup, Concern::Transport, Concern::Events, Concern::Answer]);
    let golden = move |kind: ClaimKind| path(kind) || matches!(kind, ClaimKind::Reliability(_));
    let budget = |kind: ClaimKind| matches!(kind, ClaimKind::Budget(_));
    let part = |name: &str, nothing: &str, of: &dyn Fn(ClaimKind) -> bool| {
        let (verdict, sentence) = certify(conclusion, nothing, of);
        Deliverable { name: name.to_owned(), verdict, sentence }
    };
    let report = Deliverable {
        name: "Test execution report".to_owned(),
        verdict: Some(conclusion.outcome.into()),
        sentence: format!(
            "{}, {}, {} judged",
            counted(counts.users, "user"),
            counted(counts.iterations, "iteration"),
            counted(counts.runs, "run")
        ),
    };
    let mut value =
        part("Business value validation", "no answer was claimed to be worth anything", &about(&[Concern::Answer]));
    let worth = match counts.answers {
        0 => "no answer was judged".to_owned(),
        _ => format!("{} of {} with a worthwhile answer", counts.answers_good, counted(counts.runs, "run")),
    };
    value.sentence.push_str(&format!(
        "; {worth}, {} of {} hurt",
        conclusion.value.users_hurt,
        counted(counts.users, "user")
    ));
    let mut dialect = part(
        "SSOT compliance",
        "no uniform envelope is claimed, so the dialect is told and not certified",
        &about(&[Concern::Envelope]),
    );
    let several = conclusion.census.chunk_by(|a, b| a.event == b.event).filter(|rows| rows.len() > 1).count() as u64;
    dialect.sentence.push_str(&format!("; {} in several envelopes", counted(several, "event")));
    vec![
        report,
        part("Golden path certification", "nothing of the path was claimed", &golden),
        part(
            "Multi-user isolation certification",
            "isolation is not claimed, so nothing is certified",
            &about(&[Concern::Isolation, Concern::Doors]),
        ),
        part("Performance metrics", "no budget was claimed; the figures stand for themselves", &budget),
        value,
        dialect,
        Deliverable {
            name: "Remediation plan".to_owned(),
            verdict: None,
            sentence: match rules {
                0 => "nothing was found, so there is nothing to mend".to_owned(),
                rules => format!("{} with findings, most important first", counted(rules as u64, "rule")),
            },
        },
    ]
}

/// The verdict over the required claims of a kind, or over all of them where none is required.
fn certify(conclusion: &Conclusion, nothing: &str, of: &dyn Fn(ClaimKind) -> bool) -> (Option<Word>, String) {
    let all: Vec<&Claim> = conclusion.claims.iter().filter(|claim| of(claim.kind)).collect();
    let required: Vec<&Claim> = all.iter().copied().filter(|claim| claim.required).collect();
    let claims = if required.is_empty() { &all } else { &required };
    if claims.is_empty() {
        return (None, nothing.to_owned());
    }
    let named = |verdict| -> Vec<String> {
        claims.iter().filter(|claim| claim.verdict == verdict).map(|claim| claim.kind.to_string()).collect()
    };
    let worst =
        [Verdict::Fail, Verdict::Blocked, Verdict::Inconclusive].into_iter().find(|word| !named(*word).is_empty());
    let sentence = match worst {
        None => format!("{} held", counted(claims.len() as u64, "claim")),
        Some(worst) => format!("not shown: {}", named(worst).join(", ")),
    };
    // What an execution was kept from seeing it does not certify.
    let word = match (conclusion.outcome, worst) {
        (_, Some(worst)) => worst.into(),
        (Outcome::Broke | Outcome::Interrupted | Outcome::Blocked, None) => conclusion.outcome.into(),
        (Outcome::Pass | Outcome::Failed | Outcome::Inconclusive, None) => Word::Pass,
    };
    (Some(word), sentence)
}
