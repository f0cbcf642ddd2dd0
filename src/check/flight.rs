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

impl Judgement {
    /// The share of users whose run was in flight while another user's was, 0 to 1; of the users that asked. Where no event
    /// of a run came there was nothing to be mixed up, so such a run overlaps none.
    pub fn overlap(&self) -> f64 {
        let mut edges: Vec<(Stamp, bool, UserNumber)> = Vec::new();
        for (user, runs) in &self.flights {
            let alive = runs.iter().filter(|run| !run.came.is_empty());
            edges.extend(alive.flat_map(|run| [(run.asked, true, *user), (run.over, false, *user)]));
        }
        // An end at the very instant of a begin does not overlap it: `false` sorts first.
        edges.sort_unstable();
        let circle = self.ledger.circles();
        // The users in flight by circle, each as often as a run of theirs is.
        let mut flying: BTreeMap<UserNumber, Vec<UserNumber>> = BTreeMap::new();
        let mut overlapped = BTreeSet::new();
        for (_, begins, user) in edges {
            let mine = flying.entry(circle(user)).or_default();
            if !begins {
                mine.iter().position(|flying| *flying == user).map(|index| mine.swap_remove(index));
                if mine.is_empty() {
                    flying.remove(&circle(user));
                }
                continue;
            }
            mine.push(user);
            let first = mine.len() == 1;
            if first && flying.len() == 2 {
                overlapped.extend(flying.values().flatten().copied());
            } else if flying.len() > 1 {
                overlapped.insert(user);
            }
        }
        if self.flights.is_empty() { 0.0 } else { overlapped.len() as f64 / self.flights.len() as f64 }
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
    }
}
