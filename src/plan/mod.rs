//! All that is decided before any traffic: which users, how many iterations, on which thread, with which ids.
//!
//! Same seed and execution, same plan; another execution has other ids, so that a target which remembers meets no old ones.
//! A plan knows no clock; what is left to chance is drawn from the seed, so that it can be repeated.

mod arrivals;

pub use arrivals::Arrivals;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::canary::Canary;
use crate::identity::{ExecutionId, Iteration, UserNumber};
use crate::scenario::load::{Load, Think, Work};
use crate::time::Micros;

/// What users do when.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What every random choice follows from.
    pub seed: u64,
    /// What makes ids new.
    pub execution: ExecutionId,
    /// How many users.
    pub users: u32,
    /// The number of the first user.
    pub first: u32,
    /// The numbers of the users that take part, sorted, where it is not all of them; empty otherwise. They keep their ids, so
    /// that what was found among all of them can be looked for among few.
    pub only: Vec<UserNumber>,
    /// When they begin, and what ends that.
    pub load: Load,
    /// Shares of them that behave otherwise.
    pub personas: Vec<Persona>,
    /// How many more, numbered behind them, connect and never ask.
    pub witnesses: u32,
    /// Asks per iteration.
    pub turns: u32,
    /// Each iteration logs in and connects anew.
    pub fresh: bool,
    /// Threads among which users are divided.
    pub threads: usize,
}

/// A share of the users that behaves otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Persona {
    /// The share of all users, above 0; all together are below 1.
    pub share: f64,
    /// How long they pause between iterations; `None`: like everybody else.
    pub think: Option<Think>,
}

/// A user of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedUser {
    /// Counted from 0, whatever the first number is.
    pub index: u32,
    /// Which one it is in all that is told of it.
    pub number: UserNumber,
    /// It connects and never asks.
    pub listens: Option<Listens>,
}

/// Why a user of a plan never asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listens {
    /// It is a user of its own, and a witness.
    Witness,
    /// It is a further connection of this user.
    For(UserNumber),
}

impl PlannedUser {
    /// A user who asks.
    pub fn new(index: u32, number: UserNumber) -> PlannedUser {
        PlannedUser { index, number, listens: None }
    }

    /// The number that credentials are made from.
    pub fn person(&self) -> UserNumber {
        match self.listens {
            Some(Listens::For(person)) => person,
            Some(Listens::Witness) | None => self.number,
        }
    }
}

impl Plan {
    /// The users of each thread: dealt out in turn, so that threads carry the same load and a user stays on its thread, with all
    /// of its connections. Witnesses are dealt out behind them, and take part whoever does.
    pub fn shards(&self) -> Vec<Vec<PlannedUser>> {
        let all = (0..self.users).map(|index| PlannedUser::new(index, self.number(index)));
        let users: Vec<_> = all.filter(|user| self.takes_part(user.number)).collect();
        let threads = self.threads.clamp(1, users.len().max(1));
        let mut shards = vec![Vec::new(); threads];
        for (place, user) in users.into_iter().enumerate() {
            shards[place % threads].push(user);
            let further = (0..self.load.exposure.further).map(|nth| PlannedUser {
                number: self.number(self.users + self.witnesses + nth * self.users + user.index),
                listens: Some(Listens::For(user.number)),
                ..user
            });
            shards[place % threads].extend(further);
        }
        for index in self.users..self.users + self.witnesses {
            let listens = Some(Listens::Witness);
            shards[index as usize % threads].push(PlannedUser { index, number: self.number(index), listens });
        }
        shards
    }

    /// How many users take part, of those who ask.
    pub fn participants(&self) -> u32 {
        if self.only.is_empty() {
            return self.users;
        }
        let planned = self.only.iter().filter(|number| self.has(**number));
        u32::try_from(planned.count()).unwrap_or(u32::MAX)
    }

    /// Whether a user of this number is planned, taking part or not.
    pub fn has(&self, number: UserNumber) -> bool {
        number.0.checked_sub(self.first).is_some_and(|index| index < self.users)
    }

    /// Iterations of all users together, as far as they are known beforehand, with those that warm up.
    pub fn all_iterations(&self) -> u64 {
        let users = self.participants();
        self.load.iterations(users) + u64::from(users) * u64::from(self.load.warm_up)
    }

    /// Whether this iteration of a user warms the target up.
    pub fn warms_up(&self, nth: u32) -> bool {
        nth <= self.load.warm_up
    }

    /// Iterations of each user, with those that warm up, where it is not the clock that says who begins.
    pub fn iterations(&self) -> Option<u32> {
        match self.load.work {
            Work::Closed { iterations, .. } => Some(iterations + self.load.warm_up),
            Work::Open(_) => None,
        }
    }

    /// The arrivals of one of `count` threads, counted from the beginning of the workload: dealt out in turn, so that threads
    /// carry the same load. None where users begin as soon as they are done.
    pub fn arrivals(&self, shard: usize, count: usize) -> impl Iterator<Item = Micros> {
        let schedule = |open| Arrivals::new(open, self.chance(b"goldenpath arrivals v1", &[]));
        self.load.open().into_iter().flat_map(schedule).skip(shard).step_by(count.max(1))
    }

    /// How long `user` pauses after `iteration`, its own whatever others do.
    pub fn pause(&self, user: UserNumber, iteration: Iteration) -> Micros {
        let Work::Closed { think, .. } = self.load.work else { return Micros::ZERO };
        let own = self.persona(user).and_then(|which| self.personas[which].think);
        let Think { from, to } = own.unwrap_or(think);
        if from == to {
            return from;
        }
        let mut chance = self.chance(b"goldenpath pauses v1", &[user.0, iteration.0]);
        Micros(chance.random_range(from.0..=to.0))
    }

    /// Which of the personas `user` is, drawn for each user by itself: whoever else is planned, and wherever.
    pub fn persona(&self, user: UserNumber) -> Option<usize> {
        if self.personas.is_empty() {
            return None;
        }
        let drawn = fraction(&mut self.chance(b"goldenpath personas v1", &[user.0]));
        let mut below = 0.0;
        self.personas.iter().position(|persona| {
            below += persona.share;
            drawn < below
        })
    }

    fn chance(&self, what: &[u8], whose: &[u32]) -> ChaCha8Rng {
        let seed = Sha256::new().chain_update(what).chain_update(self.seed.to_be_bytes());
        let seed = whose.iter().fold(seed, |seed, part| seed.chain_update(part.to_be_bytes()));
        ChaCha8Rng::from_seed(seed.finalize().into())
    }

    fn number(&self, index: u32) -> UserNumber {
        UserNumber(self.first.saturating_add(index))
    }

    fn takes_part(&self, number: UserNumber) -> bool {
        self.only.is_empty() || self.only.contains(&number)
    }

    /// The mark of a user's iteration.
    pub fn canary(&self, user: UserNumber, iteration: Iteration) -> Canary {
        Canary { execution: self.execution.0, user: user.0, iteration: iteration.0 }
    }

    /// The ids that `user` sends, in the order in which it needs them.
    pub fn ids(&self, user: UserNumber) -> Ids {
        let digest = Sha256::new()
            .chain_update(b"goldenpath ids v1")
            .chain_update(self.seed.to_be_bytes())
            .chain_update(self.execution.0.to_be_bytes())
            .chain_update(user.0.to_be_bytes())
            .finalize();
        Ids(ChaCha8Rng::from_seed(digest.into()))
    }
}

/// From 0 up to and without 1, in 53 bits: as many as a fraction has.
fn fraction(chance: &mut ChaCha8Rng) -> f64 {
    (chance.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Ids that nobody can guess from another user's, and that the same plan makes again.
#[derive(Debug)]
pub struct Ids(ChaCha8Rng);

impl Ids {
    /// A version 4 UUID (RFC 9562, section 5.4).
    pub fn uuid(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        Builder::from_random_bytes(bytes).into_uuid()
    }

    /// 64 of them, for what is told in hexadecimal digits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scenario::load::{Open, Stage};

    fn plan(users: u32, threads: usize) -> Plan {
        let execution = ExecutionId(7);
        let load = closed(Think::default());
        let (only, personas, witnesses) = (vec![], vec![], 0);
        Plan {
            seed: 42,
            execution,
            users,
            first: 101,
            only,
            personas,
            witnesses,
            load,
            turns: 2,
            fresh: false,
            threads,
        }
    }

    fn closed(think: Think) -> Load {
        Load { work: Work::Closed { iterations: 3, think, together: true }, ..Load::default() }
    }

    fn open(poisson: bool) -> Load {
        let stages = vec![Stage { from: 1.0, to: 9.0, lasts: Micros::from_secs(20) }];
        let work = Work::Open(Open { stages, poisson, dropped_at_most: 0.0, takes: None });
        Load { work, ..Load::default() }
    }

    #[test]
    fn ids_repeat_with_the_plan_and_with_nothing_else() {
        let first = |plan: &Plan, user| plan.ids(UserNumber(user)).uuid();
        let (mine, mut other) = (plan(2, 1), plan(2, 1));
        assert_eq!(first(&mine, 101), first(&other, 101));
        assert_ne!(first(&mine, 101), first(&mine, 102));
        other.execution = ExecutionId(8);
        assert_ne!(first(&mine, 101), first(&other, 101));
        other = Plan { seed: 43, ..plan(2, 1) };
        assert_ne!(first(&mine, 101), first(&other, 101));
        assert_eq!(first(&mine, 101).get_version_num(), 4);
    }

    #[test]
    fn totals_follow_from_users_iterations_and_turns() {
        let mut plan = plan(5, 1);
        assert_eq!((plan.all_iterations(), plan.iterations()), (15, Some(3)));
        plan.load = open(false);
        assert_eq!((plan.all_iterations(), plan.iterations()), (100, None));
    }

    #[test]
    fn pauses_are_each_users_own_within_their_bounds() {
        let think = Think { from: Micros::from_secs(1), to: Micros::from_secs(5) };
        let mut plan = Plan { load: closed(think), ..plan(5, 1) };
        let pauses = |plan: &Plan| {
            let all = (101..106).flat_map(|user| (1..40).map(move |nth| (UserNumber(user), Iteration(nth))));
            all.map(|(user, nth)| plan.pause(user, nth).0).collect::<Vec<_>>()
        };
        let all = pauses(&plan);
        assert_eq!(all, pauses(&Plan { users: 1, threads: 7, ..plan.clone() }));
        assert!(all.iter().all(|pause| (1_000_000..=5_000_000).contains(pause)));
        // 195 pauses of a deviation of 1.15 s: their mean strays by 83 ms.
        let mean = all.iter().sum::<u64>() / all.len() as u64;
        assert!((2_500_000..3_500_000).contains(&mean), "{mean}");
        plan.seed = 43;
        assert_ne!(all, pauses(&plan));
        plan.load = closed(Think { from: Micros(7), to: Micros(7) });
        assert_eq!(plan.pause(UserNumber(101), Iteration(1)), Micros(7));
    }

    #[test]
    fn users_that_take_part_alone_stay_who_they_are() {
        let whole = plan(10, 2);
        let some = Plan { only: vec![UserNumber(103), UserNumber(109), UserNumber(200)], ..plan(10, 2) };
        let mut users: Vec<_> = some.shards().concat();
        users.sort_unstable_by_key(|user| user.index);
        assert_eq!(users.iter().map(|user| (user.index, user.number.0)).collect::<Vec<_>>(), [(2, 103), (8, 109)]);
        assert_eq!((some.participants(), some.all_iterations()), (2, 6));
        assert_eq!(some.ids(UserNumber(103)).uuid(), whole.ids(UserNumber(103)).uuid());
        assert!(some.has(UserNumber(110)) && !some.has(UserNumber(111)) && !some.has(UserNumber(100)));
    }

    /// Which persona each of so many users is.
    fn personas(plan: &Plan) -> Vec<Option<usize>> {
        (0..plan.users).map(|index| plan.persona(plan.number(index))).collect()
    }

    fn brief(share: f64) -> Persona {
        Persona { share, think: Some(Think { from: Micros(9), to: Micros(9) }) }
    }

    #[test]
    fn a_persona_pauses_as_it_is_asked_to() {
        let think = Think { from: Micros(5), to: Micros(5) };
        let shares = vec![brief(0.5), Persona { share: 0.25, think: None }];
        let plan = Plan { load: closed(think), personas: shares, ..plan(40, 1) };
        for (index, persona) in (0..).zip(personas(&plan)) {
            let pause = if persona == Some(0) { Micros(9) } else { Micros(5) };
            assert_eq!(plan.pause(plan.number(index), Iteration(1)), pause, "{persona:?}");
        }
    }

    proptest! {
        #[test]
        fn who_is_a_persona_hangs_on_seed_and_number_alone(
            seed in any::<u64>(), users in 1_u32..200, threads in 1_usize..9, first in 1_u32..500
        ) {
            let personas = vec![brief(0.2), brief(0.3)];
            let whole = Plan { seed, personas: personas.clone(), first: 1, ..plan(700, 1) };
            let mut part = Plan { seed, personas, first, ..plan(users, threads) };
            part.execution = ExecutionId(9);
            for user in part.shards().concat() {
                prop_assert_eq!(part.persona(user.number), whole.persona(user.number));
            }
        }

        #[test]
        fn personas_have_their_shares(seed in any::<u64>(), shares in prop::collection::vec(1_u32..30, 1..4)) {
            let shares: Vec<f64> = shares.into_iter().map(|percent| f64::from(percent) / 100.0).collect();
            let personas = shares.iter().map(|share| brief(*share)).collect();
            let drawn = self::personas(&Plan { seed, personas, ..plan(2_000, 1) });
            for (which, share) in shares.iter().enumerate() {
                let seen = drawn.iter().filter(|drawn| **drawn == Some(which)).count() as f64;
                // A binomial count strays by six deviations once in a billion times.
                let slack = 6.0 * (2_000.0 * share * (1.0 - share)).sqrt() + 1.0;
                prop_assert!((seen - 2_000.0 * share).abs() <= slack, "{seen} of {share}");
            }
        }

        #[test]
        fn any_division_into_shards_unites_to_the_whole(users in 0_u32..200, threads in 0_usize..20) {
            let shards = plan(users, threads).shards();
            let mut all: Vec<_> = shards.iter().flatten().map(|user| (user.index, user.number.0)).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..users).map(|index| (index, 101 + index)).collect::<Vec<_>>());
            let sizes = shards.iter().map(Vec::len);
            prop_assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
        }

        #[test]
        fn arrivals_of_any_number_of_threads_unite_to_the_whole(seed in any::<u64>(), threads in 1_usize..9, poisson in any::<bool>()) {
            let plan = Plan { seed, load: open(poisson), ..plan(5, threads) };
            let whole: Vec<_> = plan.arrivals(0, 1).collect();
            let mut united: Vec<_> = (0..threads).flat_map(|shard| plan.arrivals(shard, threads)).collect();
            united.sort_unstable();
            prop_assert_eq!(united, whole);
        }
    }
}
