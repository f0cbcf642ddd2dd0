//! What an execution could have shown of a leak, in numbers: the figures behind the claim of isolation. Merged and judged
//! elsewhere; nothing is decided here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::{ClaimKind, Conclusion};
use crate::rule::Concern;

/// What the sample could have shown of a leak.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Power {
    /// The share of users whose run was in flight while another user's was, 0 to 1; of the users that asked.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub overlap: f64,
    /// How many runs were.
    pub runs_overlapped: u64,
    /// How many runs were in flight at once, at most.
    pub most_in_flight: u64,
    /// The share of text frames that carried an id or a mark of their receiver, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub attributed: f64,
    /// Frames in which a user's own mark was seen.
    pub own_marks: u64,
    /// Users in whose frames their own identity was seen.
    pub users_with_own_ids: u64,
    /// The largest share of leaking runs that as many overlapping runs allow of which none leaked, at 95 % confidence, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub leaks_under: f64,
    /// How many runs were in flight over time, in up to 31 parts of equal length.
    pub in_flight: Vec<InFlight>,
}

/// A part of the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InFlight {
    /// When it begins, in microseconds since the execution began.
    pub from_us: u64,
    /// How long it is, in microseconds.
    pub width_us: u64,
    /// How many runs were in flight at once, at most.
    pub most: u64,
}

impl Power {
    pub(super) fn new(conclusion: &Conclusion) -> Option<Power> {
        let claimed = conclusion.claims.iter().any(|claim| claim.kind == ClaimKind::About(Concern::Isolation));
        let (power, counts) = (&conclusion.power, &conclusion.judgement.counts);
        let part =
            |part: &crate::check::InFlight| InFlight { from_us: part.from.0, width_us: part.width.0, most: part.most };
        claimed.then(|| Power {
            overlap: power.crowd.share,
            runs_overlapped: power.crowd.runs,
            most_in_flight: power.crowd.most,
            attributed: if counts.texts == 0 { 0.0 } else { counts.attributed as f64 / counts.texts as f64 },
            own_marks: counts.canaries,
            users_with_own_ids: power.own_ids,
            leaks_under: power.leaks_under,
            in_flight: power.in_flight.iter().map(part).collect(),
        })
    }
}
