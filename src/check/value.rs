//! What an execution was worth to those it was simulated for: answers worth having, in time, and who was hurt.
//!
//! Counted beside the claims, of which none comes from here.

use std::collections::BTreeSet;

use super::judgement::Judgement;
use crate::expect::{Budget, Expectations, Level, Segment, Statistic};
use crate::rule::{Concern, Rule, Severity};
use crate::time::Micros;

/// What an execution was worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Users with a finding that fails, budgets aside.
    pub users_hurt: u64,
    /// Measured times against the limits that are set for them, in the order written.
    pub limits: Vec<Within>,
}

/// How many of the measured times of a segment lie within its limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Within {
    /// Of what.
    pub segment: Segment,
    /// Which figure the limits are for; each time is held against them all the same.
    pub statistic: Statistic,
    /// How many were measured.
    pub runs: u64,
    /// The limit that warns, and how many lie within it.
    pub warn: Option<(Micros, u64)>,
    /// The limit that fails, and how many lie within it.
    pub fail: Option<(Micros, u64)>,
    /// How many lie beyond both.
    pub beyond: u64,
}

pub(super) fn value(judgement: &Judgement, expect: &Expectations) -> Value {
    let exceptions = &expect.claims.exceptions;
    // Over a budget is an execution, not a user; the finding names the slowest only.
    let users = |rule: Rule| !matches!(rule.concern(), Concern::Budget | Concern::Envelope);
    let fails = |rule| users(rule) && exceptions.severity(rule) == Some(Severity::Failure);
    let hurt: BTreeSet<_> = judgement.findings.users(fails).collect();
    let mut limits: Vec<Within> = Vec::new();
    for budget in expect.budgets.iter().filter(|budget| bounds_each(budget)) {
        let Some(histogram) = judgement.segments.get(budget.segment).map(|latencies| &latencies.latest) else {
            continue;
        };
        let same = |row: &&mut Within| (row.segment, row.statistic) == (budget.segment, budget.statistic);
        if limits.iter_mut().find(same).is_none() {
            let (segment, statistic, runs) = (budget.segment, budget.statistic, histogram.len());
            limits.push(Within { segment, statistic, runs, warn: None, fail: None, beyond: runs });
        }
        let Some(row) = limits.iter_mut().find(same) else { continue };
        let within = histogram.count_up_to(budget.limit.0);
        match budget.level {
            Level::Warn => row.warn = Some((budget.limit, within)),
            Level::Fail => row.fail = Some((budget.limit, within)),
        }
        row.beyond = row.beyond.min(row.runs - within);
    }
    Value { users_hurt: hurt.len() as u64, limits }
}

/// Whether a time that is over the limit says something by itself: not of a mean, nor of a floor, nor window by window.
fn bounds_each(budget: &Budget) -> bool {
    budget.per.is_none() && matches!(budget.statistic, Statistic::Quantile(_) | Statistic::Max)
}
