//! Runs as far as other users are concerned: when they were in flight, which events came, and whose overlapped.

use std::collections::{BTreeMap, BTreeSet};

use crate::identity::{Iteration, UserNumber};
use crate::time::Stamp;

use super::judgement::Judgement;

/// How many runs of a user are kept for what only several users show (56 bytes each).
pub const RUNS_KEPT: usize = 64;

/// One run, as far as others are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flight {
    /// When it was asked for.
    pub asked: Stamp,
    /// When it was over, however it ended.
    pub over: Stamp,
    /// Of which iteration.
    pub iteration: Iteration,
    /// Its first id, by [`Ledger::key`].
    pub run: Option<u64>,
    /// The events of the grammar that came.
    pub came: Events,
    /// Those that had to come and did not.
    pub lacks: Events,
}

/// Some events of a grammar: bit `n` stands for symbol `n`, the last one for all from 63 on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Events(u64);

impl Events {
    /// With `symbol`.
    pub fn insert(&mut self, symbol: usize) {
        self.0 |= 1 << symbol.min(63);
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those of both.
    pub fn and(self, other: Events) -> Events {
        Events(self.0 | other.0)
    }

    /// Without those of `other`.
    pub fn without(self, other: Events) -> Events {
        Events(self.0 & !other.0)
    }

    /// The symbols.
    pub fn symbols(self) -> impl Iterator<Item = usize> {
        (0..64).filter(move |symbol| self.0 & 1 << symbol != 0)
    }
}

impl FromIterator<usize> for Events {
    fn from_iter<I: IntoIterator<Item = usize>>(symbols: I) -> Events {
        symbols.into_iter().fold(Events::default(), |mut events, symbol| {
            events.insert(symbol);
            events
        })
    }
}

/// How much went on at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crowd {
    /// The share of users whose run was in flight while another user's was, 0 to 1.
    pub share: f64,
    /// How many runs were.
    pub runs: u64,
    /// How many runs were in flight at once, at most.
    pub most: u64,
}

impl Judgement {
    /// The share of users whose run was in flight while another user's was, 0 to 1; see [`Judgement::crowd`].
    pub fn overlap(&self) -> f64 {
        self.crowd().share
    }

    /// The share of users whose run was in flight while another user's was, 0 to 1; of the users that asked. Where no event
    /// of a run came there was nothing to be mixed up, so such a run overlaps none.
    pub fn crowd(&self) -> Crowd {
        // When, whether it begins, whose, and which of his.
        let mut edges: Vec<(Stamp, bool, UserNumber, usize)> = Vec::new();
        for (user, runs) in &self.flights {
            let alive = runs.iter().enumerate().filter(|(_, run)| !run.came.is_empty() && run.over > run.asked);
            edges.extend(alive.flat_map(|(nth, run)| [(run.asked, true, *user, nth), (run.over, false, *user, nth)]));
        }
        // An end at the very instant of a begin does not overlap it: `false` sorts first.
        edges.sort_unstable();
        let circle = self.ledger.circles();
        let mut flying: BTreeMap<UserNumber, BTreeSet<(UserNumber, usize)>> = BTreeMap::new();
        let (mut overlapped, mut now, mut most) = (BTreeSet::new(), 0_u64, 0_u64);
        for (_, begins, user, nth) in edges {
            let mine = flying.entry(circle(user)).or_default();
            if !begins {
                now -= 1;
                mine.remove(&(user, nth));
                if mine.is_empty() {
                    flying.remove(&circle(user));
                }
                continue;
            }
            mine.insert((user, nth));
            let first = mine.len() == 1;
            now += 1;
            most = most.max(now);
            if first && flying.len() == 2 {
                overlapped.extend(flying.values().flatten().copied());
            } else if flying.len() > 1 {
                overlapped.insert((user, nth));
            }
        }
        let runs = overlapped.len() as u64;
        let overlapped: BTreeSet<UserNumber> = overlapped.into_iter().map(|(user, _)| user).collect();
        let share = overlapped.len() as f64 / self.flights.len().max(1) as f64;
        Crowd { share, runs, most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_flight(runs: &[(u32, u64, u64)]) -> Judgement {
        let mut judgement = Judgement::default();
        for (user, from, to) in runs {
            let (came, lacks) = ([0].into_iter().collect(), Events::default());
            let flight =
                Flight { asked: Stamp(*from), over: Stamp(*to), iteration: Iteration(1), run: None, came, lacks };
            judgement.flights.entry(UserNumber(*user)).or_default().push(flight);
        }
        judgement
    }

    #[test]
    fn overlap_counts_users_not_runs() {
        for (runs, share) in [
            (vec![], 0.0),
            (vec![(1, 0, 10)], 0.0),
            (vec![(1, 0, 10), (1, 5, 15)], 0.0),
            (vec![(1, 0, 10), (2, 10, 20)], 0.0),
            (vec![(1, 0, 10), (2, 9, 20)], 1.0),
            (vec![(1, 0, 10), (2, 9, 20), (3, 30, 40), (4, 50, 60)], 0.5),
            (vec![(1, 0, 100), (2, 10, 20), (3, 30, 40), (4, 50, 60)], 1.0),
        ] {
            assert_eq!(in_flight(&runs).overlap(), share, "{runs:?}");
        }
        let runs = [(1, 0, 10), (2, 9, 20), (1, 15, 18), (3, 30, 40), (3, 35, 40), (4, 50, 60)];
        let Crowd { runs, most, .. } = in_flight(&runs).crowd();
        assert_eq!((runs, most), (3, 2), "runs of one user do not overlap one another");
        let mut groups = in_flight(&[(1, 0, 10), (2, 5, 12), (3, 11, 20)]);
        groups.ledger.groups = [1, 2].map(|user| (UserNumber(user), "red".to_owned())).into();
        assert_eq!(groups.crowd(), Crowd { share: 2.0 / 3.0, runs: 2, most: 2 });
    }
}
