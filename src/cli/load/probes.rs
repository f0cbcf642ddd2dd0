//! Probes of a scenario against what its profile can express: which will knock, what they cost, and what is wrong with them.

use crate::document::Context;
use crate::document::diagnostic::Diagnostic;
use crate::probe::Probe;
use crate::scenario::Scenario;
use crate::target::Profile;

/// What becomes of the probes of a scenario.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Knocking {
    /// Those that knock, in this order.
    pub knock: Vec<Probe>,
    /// Those that do not, each with why.
    pub spared: Vec<(Probe, &'static str)>,
    /// Runs that they cost at most.
    pub runs: u64,
}

/// What becomes of the probes of `scenario`; `may_lock` if they may do what accounts are locked out for.
pub fn knocking(scenario: &Scenario, profile: &Profile, may_lock: bool) -> Knocking {
    let mut knocking = Knocking::default();
    let turns = scenario.turns.len() as u64;
    for rule in scenario.expect.claims.doors.iter().flat_map(|doors| &doors.probes) {
        match profile.spares(rule.probe, may_lock) {
            Some(why) => knocking.spared.push((rule.probe, why)),
            None => {
                knocking.knock.push(rule.probe);
                knocking.runs += profile.runs_of(rule.probe, turns);
            }
        }
    }
    knocking
}

/// Probes that were named and that the profile cannot express.
pub(super) fn check(scenario: &Scenario, profile: &Profile, cx: &mut Context) {
    let mut clean = true;
    for named in &scenario.written.named {
        if let Some(why) = profile.unfit(named.value) {
            clean = false;
            let title = format!("`{}` cannot knock at `{}`", named.value, profile.name);
            cx.report(Diagnostic::mistake(named.span, title).note(why).help("remove it, or complete the profile"));
        }
    }
    if let (Some(place), true) = (scenario.written.probes, clean)
        && knocking(scenario, profile, true).knock.is_empty()
    {
        let mistake = Diagnostic::mistake(place, format!("no probe can knock at `{}`", profile.name));
        cx.report(mistake.note("the profile names no token, no thread and no origin").help("remove `probes`"));
    }
}
