//! What a plan can show at best: claims that its number of runs cannot settle, found before any traffic.

use crate::expect::{Expectations, Origin, Segment, Statistic};
use crate::stats;

/// How much a plan intends to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// Users.
    pub users: u64,
    /// Iterations of all users together.
    pub iterations: u64,
    /// Set-ups of all users together.
    pub setups: u64,
    /// Runs of all users together.
    pub runs: u64,
}

impl Planned {
    /// How many times a segment is passed if all goes well. Of tools at least one per run is expected.
    pub fn passes(&self, segment: Segment) -> u64 {
        match segment {
            Segment::Login | Segment::Connect | Segment::Greeting => self.setups,
            Segment::FirstEvent | Segment::Silence | Segment::Tool | Segment::Run => self.runs,
            Segment::GoldenPath => self.iterations,
        }
    }
}

/// A required claim that a plan cannot settle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    /// The claim: `first_event p95`.
    pub claim: String,
    /// Where it was written.
    pub origin: Origin,
    /// How many runs or iterations are needed.
    pub needed: u64,
    /// How many are planned.
    pub planned: u64,
    /// What to do.
    pub advice: String,
}

/// The required claims that `planned` cannot settle even if nothing goes wrong.
pub fn shortfalls(expect: &Expectations, planned: &Planned) -> Vec<Shortfall> {
    let budgets = expect.budgets.iter().filter(|budget| budget.required).filter_map(|budget| {
        let Statistic::Quantile(q) = budget.statistic else { return None };
        let prove = if budget.proven { stats::runs_to_prove(q, stats::CONFIDENCE) } else { 0 };
        let needed = stats::minimum_runs(q).max(prove);
        let passes = planned.passes(budget.segment);
        (passes < needed).then(|| Shortfall {
            claim: format!("{} {}", budget.segment, budget.statistic),
            origin: budget.origin.clone(),
            needed,
            planned: passes,
            advice: "raise users or iterations, or limit the max instead".to_owned(),
        })
    });
    let reliability = expect.claims.reliability.iter().filter(|reliability| reliability.required);
    let reliability = reliability.filter_map(|reliability| {
        let needed = stats::trials_needed_clean(reliability.at_least, reliability.confidence);
        (planned.iterations < needed).then(|| Shortfall {
            claim: "reliability".to_owned(),
            origin: reliability.origin.clone(),
            needed,
            planned: planned.iterations,
            advice: "raise users or iterations, or ask for a smaller share".to_owned(),
        })
    });
    budgets.chain(reliability).collect()
}
