//! What the sample could have shown of a leak: how much went on at once, what was known to be whose, and how rare leaks are if
//! none was seen.

use super::flight::Crowd;
use super::judgement::Judgement;
use crate::stats;
use crate::time::{Micros, Stamp};

/// Parts into which the time of all runs is divided.
const PARTS: u64 = 30;

/// What the sample could have shown of a leak.
#[derive(Debug, Clone, PartialEq)]
pub struct Power {
    /// How much went on at once.
    pub crowd: Crowd,
    /// Users in whose frames their own identity was seen.
    pub own_ids: u64,
    /// The largest share of leaking runs that as many overlapping runs allow of which none leaked, 0 to 1.
    pub leaks_under: f64,
    /// Runs in flight over time; empty without runs.
    pub in_flight: Vec<InFlight>,
}

/// A part of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlight {
    /// When it begins.
    pub from: Stamp,
    /// How long it is.
    pub width: Micros,
    /// How many runs were in flight at once, at most.
    pub most: u64,
}

impl Power {
    /// Of a judgement of the whole.
    pub(super) fn of(judgement: &Judgement) -> Power {
        let crowd = judgement.crowd();
        // Only runs that overlapped another user's could have shown a leak.
        let leaks_under = stats::upper_bound(0, crowd.runs, stats::CONFIDENCE);
        let own_ids = judgement.ledger.own_seen.len() as u64;
        Power { crowd, own_ids, leaks_under, in_flight: in_flight(judgement) }
    }
}

/// How many runs were in flight at once, in each part of the time between the first ask and the last end.
fn in_flight(judgement: &Judgement) -> Vec<InFlight> {
    let runs = || judgement.flights.values().flatten();
    let (Some(from), Some(to)) = (runs().map(|run| run.asked).min(), runs().map(|run| run.over).max()) else {
        return Vec::new();
    };
    let width = Micros(to.since(from).0.div_ceil(PARTS).max(1));
    let part = |at: Stamp| (at.since(from).0 / width.0) as usize;
    let mut parts = vec![0_u64; part(to) + 1];
    // An end goes before a begin at the same instant.
    let mut edges: Vec<(Stamp, bool)> = runs().flat_map(|run| [(run.asked, true), (run.over, false)]).collect();
    edges.sort_unstable();
    let (mut now, mut before) = (0, from);
    for (at, begins) in edges {
        parts[part(before)..=part(at)].iter_mut().for_each(|most| *most = now.max(*most));
        // A run of no time ends before it begins.
        now = if begins { now + 1 } else { now.saturating_sub(1) };
        before = at;
        let most = &mut parts[part(at)];
        *most = now.max(*most);
    }
    let all = parts.into_iter().enumerate();
    all.map(|(nth, most)| InFlight { from: from + Micros(width.0 * nth as u64), width, most }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::flight::{Events, Flight};
    use crate::identity::{Iteration, UserNumber};

    #[test]
    fn runs_in_flight_are_counted_in_each_part_of_the_time() {
        let mut judgement = Judgement::default();
        assert_eq!(Power::of(&judgement).in_flight, []);
        for (user, asked, over) in [(1, 1_000, 1_600), (2, 1_090, 1_110), (3, 1_610, 1_620), (4, 6_990, 7_000)] {
            let (asked, over, lacks) = (Stamp(asked), Stamp(over), Events::default());
            let came = [0].into_iter().collect();
            let flight = Flight { asked, over, iteration: Iteration(1), run: None, came, lacks };
            judgement.flights.entry(UserNumber(user)).or_default().push(flight);
        }
        let power = Power::of(&judgement);
        let most: Vec<u64> = power.in_flight.iter().map(|part| part.most).collect();
        assert_eq!(power.in_flight[1], InFlight { from: Stamp(1_200), width: Micros(200), most: 1 });
        assert_eq!((most.len(), &most[..5]), (31, &[2, 1, 1, 1, 0][..]));
        assert_eq!((most[28], most[29], most[30]), (0, 1, 1));
        assert_eq!((power.crowd.runs, power.crowd.most), (2, 2));
    }
}
