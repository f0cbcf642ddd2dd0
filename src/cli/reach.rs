//! What a plan can show at best: claims that its number of runs cannot settle are refused before any traffic.
//!
//! How many runs a claim needs is `stats`; here it is held against a scenario and shown where it was written.

use crate::check::Planned;
use crate::document::diagnostic::Diagnostic;
use crate::document::values::grouped;
use crate::document::{Context, Span};
use crate::expect::{ReliabilityOf, Segment, Statistic};
use crate::scenario::Scenario;
use crate::stats;

/// How much a scenario intends to do.
pub fn planned(scenario: &Scenario) -> Planned {
    Planned {
        users: scenario.users.count.into(),
        iterations: scenario.iterations(),
        setups: scenario.setups(),
        reconnects: scenario.reconnects(),
        runs: scenario.runs(),
    }
}

/// Reports the claims that the scenario cannot settle even if nothing goes wrong: a mistake where the claim is required,
/// a doubt where it is not.
pub fn check(scenario: &Scenario, cx: &mut Context) {
    let planned = planned(scenario);
    for (budget, place) in scenario.expect.budgets.iter().zip(&scenario.written.budgets) {
        let Statistic::Quantile(q) = budget.statistic else { continue };
        let prove = if budget.proven { stats::runs_to_prove(q, stats::CONFIDENCE) } else { 0 };
        let needed = stats::minimum_runs(q).max(prove);
        let passes = planned.passes(budget.segment);
        let kind = if prove > 0 { "a proven " } else { "" };
        let what = format!("{kind}{} of `{}`", budget.statistic, budget.segment);
        let advice = "limit `max` instead, or raise users or iterations";
        short(scenario, *place, &what, budget.required, (passes, needed), advice, cx);
    }
    let claims = &scenario.expect.claims;
    if let (Some(under), Some(place), Some(isolation)) =
        (claims.leaks_under, scenario.written.leaks_under, &claims.isolation)
    {
        let needed = stats::trials_needed_clean(1.0 - under, stats::CONFIDENCE);
        let advice = "ask for a larger share, or raise users or iterations";
        short(scenario, place, "this share", isolation.required, (planned.runs, needed), advice, cx);
    }
    if let (Some(reliability), Some(place)) = (&scenario.expect.claims.reliability, scenario.written.reliability) {
        let needed = stats::trials_needed_clean(reliability.at_least, reliability.confidence);
        let passes = match reliability.of {
            ReliabilityOf::GoldenPath => planned.iterations,
            ReliabilityOf::Connection => planned.passes(Segment::Connect),
        };
        let advice = "ask for a smaller share, or raise users or iterations";
        short(scenario, place, "this share", reliability.required, (passes, needed), advice, cx);
    }
}

fn short(
    scenario: &Scenario,
    place: Span,
    what: &str,
    required: bool,
    (passes, needed): (u64, u64),
    advice: &str,
    cx: &mut Context,
) {
    if passes >= needed {
        return;
    }
    let (needed, passes) = (grouped(needed.into()), grouped(passes.into()));
    let title = format!("{what} needs {needed} values, and this plan yields {passes}");
    let mut diagnostic = match required {
        true => Diagnostic::mistake(place, title),
        false => Diagnostic::warning(place, title),
    };
    diagnostic = diagnostic.also(scenario.written.users, "users").help(advice);
    if let Some(iterations) = scenario.written.iterations {
        diagnostic = diagnostic.also(iterations, "iterations of each");
    }
    cx.report(diagnostic);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::diagnostic::Level;
    use crate::document::{Sources, read};
    use crate::scenario;

    fn told(users: &str, expect: &str) -> Vec<(Level, String)> {
        let mut sources = Sources::new();
        let mut cx = Context::new();
        let text = format!(
            "version: 1\nname: small\ntarget: embedded\nusers: {{ email: 'qa${{user.number}}', {users} }}\n\
             load: {{ closed: {{ iterations: 4 }} }}\nask: {{ prompt: 'why? ${{canary}}' }}\nexpect: {{ {expect} }}\n"
        );
        let id = sources.add("t.yaml", text);
        let tree = read(&sources, id, &mut cx).expect("a tree");
        let scenario = scenario::compile(&tree, &sources, &mut cx).expect("a scenario");
        check(&scenario, &mut cx);
        cx.finish().into_iter().map(|diagnostic| (diagnostic.level, diagnostic.title)).collect()
    }

    #[test]
    fn a_quantile_that_the_plan_cannot_yield_is_refused_before_any_traffic() {
        assert_eq!(told("count: 5", "budgets: { run: { p95: 2s } }"), []);
        let short = "p99 of `run` needs 100 values, and this plan yields 20".to_owned();
        assert_eq!(told("count: 5", "budgets: { run: { p99: 2s } }"), [(Level::Mistake, short.clone())]);
        assert_eq!(told("count: 5", "budgets: { run: { p99: 2s, required: false } }"), [(Level::Warning, short)]);
        let proven = "a proven p95 of `run` needs 59 values, and this plan yields 20".to_owned();
        assert_eq!(told("count: 5", "budgets: { run: { p95: 2s, proven: true } }"), [(Level::Mistake, proven)]);
        let kept = "p95 of `login` needs 20 values, and this plan yields 5".to_owned();
        assert_eq!(told("count: 5, session: keep", "budgets: { login: { p95: 2s } }"), [(Level::Mistake, kept)]);
    }

    #[test]
    fn a_share_that_the_plan_cannot_show_is_refused_before_any_traffic() {
        let short = "this share needs 2,995 values, and this plan yields 20".to_owned();
        assert_eq!(told("count: 5", "reliability: { at_least: 99.9% }"), [(Level::Mistake, short)]);
        assert_eq!(told("count: 5", "reliability: { at_least: 85% }"), []);
        let short = "this share needs 299 values, and this plan yields 296".to_owned();
        assert_eq!(told("count: 74", "isolation: { leaks_under: 1% }"), [(Level::Mistake, short)]);
        assert_eq!(told("count: 75", "isolation: { leaks_under: 1% }"), []);
    }
}
