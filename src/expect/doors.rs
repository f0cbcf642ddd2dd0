//! Doors that must stay shut: which probes knock, and what counts as being refused.

use std::fmt;
use std::ops::RangeInclusive;

use super::Asserted;
use crate::probe::Probe;
use crate::time::Micros;

/// What is asserted of doors.
#[derive(Debug, Clone)]
pub struct Doors {
    /// Whether the claim counts, and where it was written.
    pub asserted: Asserted,
    /// What knocks, in this order; each probe once.
    pub probes: Vec<DoorRule>,
}

/// One probe and how it is refused.
#[derive(Debug, Clone)]
pub struct DoorRule {
    /// Which.
    pub probe: Probe,
    /// It was asked for by its name, and not with all that the profile can express.
    pub named: bool,
    /// What counts as a refusal beside the profile's refusing frames.
    pub refusals: Refusals,
    /// How long silence must last; `None`: as long as a greeting, or a first event, may take.
    pub within: Option<Micros>,
    /// Where a misplaced token stands.
    pub place: Option<Misplaced>,
    /// For how long the end of a token's life may be waited for.
    pub wait: Micros,
}

/// What counts as a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusals {
    /// HTTP statuses, at the upgrade and of requests.
    pub status: Vec<RangeInclusive<u16>>,
    /// Close codes.
    pub close: Vec<RangeInclusive<u16>>,
    /// Silence.
    pub silence: bool,
}

/// Where a token stands that does not belong there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misplaced {
    /// In the query, as `token`.
    Query,
    /// In the header `Authorization`.
    Header,
    /// In a cookie called `token`.
    Cookie,
}

impl Doors {
    /// What is asked of a probe; `None` if it does not knock.
    pub fn rule(&self, probe: Probe) -> Option<&DoorRule> {
        self.probes.iter().find(|rule| rule.probe == probe)
    }
}

impl Refusals {
    /// What refuses a probe where nothing else is said: for a bad token 400, 401, 403 and 422 (RFC 9110, section 15.5), for what
    /// is another's 403 and 404 as well, but not 401, which would be about the token; policy violation (1008) and the codes of
    /// applications (RFC 6455, section 7.4); and silence.
    pub fn usual(probe: Probe) -> Refusals {
        let status: &[u16] = if probe.of_another() { &[400, 403, 404, 409, 422] } else { &[400, 401, 403, 422] };
        let status = status.iter().map(|status| *status..=*status).collect();
        Refusals { status, close: vec![1008..=1008, 4000..=4999], silence: true }
    }
}

impl fmt::Display for Refusals {
    /// `HTTP 401 403, closed 1008 4000-4999, a refusing frame, silence`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |what: &str, codes: &[RangeInclusive<u16>]| {
            let codes: Vec<String> = codes.iter().map(range).collect();
            (!codes.is_empty()).then(|| format!("{what} {}", codes.join(" ")))
        };
        let mut all: Vec<String> = listed("HTTP", &self.status).into_iter().collect();
        all.extend(listed("closed", &self.close));
        all.push("a refusing frame".to_owned());
        all.extend(self.silence.then(|| "silence".to_owned()));
        f.write_str(&all.join(", "))
    }
}

fn range(codes: &RangeInclusive<u16>) -> String {
    match (codes.start(), codes.end()) {
        (from, to) if from == to => from.to_string(),
        (from, to) => format!("{from}-{to}"),
    }
}
