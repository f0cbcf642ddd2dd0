//! What holds when a scenario says nothing: every default of the harness, in one table.
//!
//! The code reads the constants, people read [`table`], and both come from the same lines. Limits that only a target
//! profile may raise stand with the profile.

use crate::time::Micros;

/// One default as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Default {
    /// The key it stands for, or a short description where no key exists.
    pub name: &'static str,
    /// The value as a file would spell it.
    pub value: String,
    /// What it is.
    pub meaning: String,
}

macro_rules! defaults {
    ($( $(#[doc = $meaning:literal])+ $name:literal $constant:ident: $type:ty = $value:expr, $show:expr; )+) => {
        $( $(#[doc = $meaning])+ pub const $constant: $type = $value; )+

        /// All defaults, in the order in which a scenario has its keys.
        pub fn table() -> Vec<Default> {
            vec![$( Default {
                name: $name,
                value: $show($constant),
                meaning: crate::document::decode::prose(&[$($meaning),+]),
            } ),+]
        }
    };
}

defaults! {
    /// The number of the first user; `user.number` counts from it.
    "users.first" USERS_FIRST: u32 = 1, text;
    /// When a user logs in and connects: at the start of each iteration.
    "users.session" SESSION: &str = "fresh", text;
    /// How often each user walks the golden path.
    "load.closed.iterations" ITERATIONS: u32 = 1, text;
    /// Whether first asks start together, once all users are greeted.
    "load.closed.together" TOGETHER: bool = true, text;
    /// The share of arrivals that may find no free user.
    "load.open.dropped_at_most" DROPPED_AT_MOST: f64 = 0.001, percent;
    /// Which events a run must have, and in which order.
    "expect.events" EVENTS: &str = "golden-path", text;
    /// With the preset `business-value`, characters of an answer at least.
    "min_chars of business-value" BUSINESS_VALUE_MIN_CHARS: u32 = 80, text;
    /// With the preset `business-value`, the share of quoted words from which on a quoted prompt makes an answer an echo.
    "not_echo of business-value" BUSINESS_VALUE_ECHO_FROM: f64 = 0.5, percent;
    /// Whether texts that stand in for an answer are refused.
    "expect.answer.no_placeholder" NO_PLACEHOLDER: bool = true, text;
    /// The share of quoted words from which on a quoted prompt makes an answer an echo.
    "expect.answer.not_echo" NOT_ECHO: f64 = crate::expect::AnswerRules::ECHO_FROM, percent;
    /// The share of users whose run must have overlapped another user's before isolation counts as judged.
    "expect.isolation.min_overlap" MIN_OVERLAP: f64 = 0.5, percent;
    /// The share of set-ups that may fail.
    "expect.setup.at_most" SETUP_AT_MOST: f64 = 0.0, percent;
    /// The confidence of every bound.
    "expect.reliability.confidence" CONFIDENCE: f64 = 0.95, percent;
    /// Whether a claim counts for the exit code.
    "required" REQUIRED: bool = true, text;
    /// Whether the statistical bound of a quantile must be within its limit, too.
    "proven" PROVEN: bool = false, text;
    /// TCP, TLS and the upgrade together; also one HTTP request.
    "timeouts.connect" CONNECT: Micros = Micros::from_secs(10), duration;
    /// A `wait` of the socket script that names no time of its own.
    "timeouts.greeting" GREETING: Micros = Micros::from_secs(5), duration;
    /// From the ask to the first event of its run.
    "timeouts.first_event" FIRST_EVENT: Micros = Micros::from_secs(30), duration;
    /// Between two signs of progress of a run.
    "timeouts.stall" STALL: Micros = Micros::from_secs(30), duration;
    /// From the ask to the end of its run.
    "timeouts.run" RUN: Micros = Micros::from_secs(120), duration;
    /// How long to go on listening after the end of a run; belongs to no latency.
    "timeouts.quiet" QUIET: Micros = Micros::from_secs(1), duration;
    /// After a signal, how long runs in flight may take to end.
    "timeouts.drain" DRAIN: Micros = Micros::from_secs(5), duration;
    /// Off loopback, how many logins begin per second.
    "logins per second" LOGINS_PER_SECOND: u32 = 10, text;
    /// Off loopback, how many logins and connects are under way at a time.
    "logins in flight" LOGINS_IN_FLIGHT: u32 = 20, text;
    /// The seed of personas and schedules; printed, and repeated with `--seed`.
    "seed" SEED: &str = "new each time", text;
}

fn text(value: impl std::fmt::Display) -> String {
    value.to_string()
}

fn percent(fraction: f64) -> String {
    format!("{}%", (fraction * 1e8).round() / 1e6)
}

/// In the largest unit that spells it as a whole number, as a file would.
fn duration(Micros(us): Micros) -> String {
    match us {
        us if us.is_multiple_of(1_000_000) => format!("{}s", us / 1_000_000),
        us if us.is_multiple_of(1_000) => format!("{}ms", us / 1_000),
        us => format!("{us}us"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::values;

    #[test]
    fn every_default_is_told_once_with_value_and_meaning() {
        let table = table();
        let mut names: Vec<_> = table.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), table.len());
        for row in &table {
            assert!(!row.value.is_empty() && row.meaning.len() > 15, "{row:?}");
        }
    }

    #[test]
    fn values_are_spelled_as_files_spell_them() {
        let value = |name: &str| table().into_iter().find(|row| row.name == name).map(|row| row.value);
        assert_eq!(value("timeouts.run").as_deref(), Some("120s"));
        assert_eq!(values::duration("120s"), Ok(RUN));
        assert_eq!(value("expect.isolation.min_overlap").as_deref(), Some("50%"));
        assert_eq!(duration(Micros(1_500)), "1500us");
        assert_eq!(duration(Micros::from_millis(1_500)), "1500ms");
    }
}
