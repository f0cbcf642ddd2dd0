//! How users meet so that what is mixed up among them shows: who only listens, who takes turns, who asks before the greeting.
//!
//! What came of it is the judge's to say, as of anything else that a user does.

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, sleep_until};

use super::user::{Bench, User, beside};
use crate::check::{EMAIL, Move};
use crate::engine::{Level, Opened, Seat};
use crate::identity::Iteration;
use crate::plan::{Listens, PlannedUser};
use crate::scenario::load::Exposure;
use crate::target::ScriptStep;
use crate::time::Micros;
use crate::trace::Fact;

/// Where users who take turns are connected: one place for each pair of them.
#[derive(Debug, Default)]
pub struct Places(Vec<Arc<Semaphore>>);

/// The place of a pair, until it is dropped.
pub(super) type Place = OwnedSemaphorePermit;

impl Places {
    /// Those of so many users; none where users do not take turns.
    pub fn of(exposure: &Exposure, users: u32) -> Places {
        let pairs = if exposure.switch { users.div_ceil(2) } else { 0 };
        Places((0..pairs).map(|_| Arc::new(Semaphore::new(1))).collect())
    }
}

/// Connects a user who never asks, and listens until all others are done and the quiet time is over. `seat` is its place at the
/// common start, `end` where all meet who are done.
pub async fn listen(bench: &Bench<'_>, planned: PlannedUser, seat: Seat, end: Seat) {
    let mut user = User::new(bench, planned, seat);
    // It is no warm-up, whatever others do meanwhile.
    let (at, iteration) = (user.line.now(), Iteration(bench.mission.plan.load.warm_up + 1));
    let of = match planned.listens {
        Some(Listens::For(person)) => Some(person),
        Some(Listens::Witness) | None => None,
    };
    user.line.tell(Fact::Listens { of, at });
    user.line.tell(Fact::Began { iteration, scheduled: at, at, fresh: true, apart: false });
    user.tell_email();
    user.begin(iteration);
    let stop = &bench.mission.stop;
    let listened = tokio::select! {
        biased;
        () = user.listen_to_the_end(end) => true,
        () = stop.reached(Level::Cut) => false,
    };
    if !listened {
        user.line.tell(Fact::Interrupted { at: user.line.now() });
    }
    user.seat = None;
    user.line.hang_up(&user.values).await;
    user.line.tell(Fact::Ended { at: user.line.now() });
}

impl User<'_> {
    /// The emails of users tell them apart as their ids do.
    pub fn tell_email(&mut self) {
        if let Some(email) = self.values.get(EMAIL)
            && let Some(email) = email.as_str()
        {
            self.line.tell_once(EMAIL, email);
        }
    }

    async fn listen_to_the_end(&mut self, end: Seat) {
        if !self.set_up().await {
            return;
        }
        let seat = self.seat.take();
        if !self.greeted().await {
            return;
        }
        let quiet = self.bench.mission.expect.timeouts.quiet;
        let over = async {
            if let Some(seat) = seat {
                seat.arrive().await;
            }
            if end.arrive().await == Opened::Together {
                sleep(quiet.to_std()).await;
            }
        };
        let (mut over, mut ended) = (pin!(over), false);
        let reconnects = self.bench.mission.profile.refresh.as_ref().is_some_and(|refresh| refresh.reconnects);
        loop {
            let mut is_over = true;
            let due = self.renewal_due(true);
            self.listen_until(async {
                tokio::select! {
                    biased;
                    () = &mut over => {}
                    // Who is in needs its session for nothing but coming in again.
                    () = due, if reconnects => is_over = false,
                }
            })
            .await;
            if is_over {
                break;
            }
            let renewing = async {
                self.renew_on_the_way().await;
                self.greeted().await
            };
            if !beside(over.as_mut(), &mut ended, pin!(renewing)).await {
                return;
            }
            if ended {
                break;
            }
        }
        // What arrived before the end is still heard.
        self.line.catch_up(self.line.now()).await;
    }

    /// Goes through the script of the connection; says whether the user was greeted.
    async fn greeted(&mut self) -> bool {
        loop {
            self.adopt();
            match self.line.next_move() {
                Move::Ask(_) => return true,
                Move::Reply(rule) => self.line.reply(rule, &self.values).await,
                Move::Script(step) => self.script(step).await,
                Move::Listen => self.line.listen().await,
                Move::Linger { .. } | Move::Settled { .. } => return false,
            }
        }
    }

    /// How long after the first pair that of this user begins.
    pub fn behind(&self) -> Micros {
        Micros(self.bench.mission.plan.load.exposure.pairs.0.saturating_mul((self.index / 2).into()))
    }

    /// What precedes the connection on which is asked. Says whether it may be made.
    pub async fn meet(&mut self) -> bool {
        if self.listens {
            return true;
        }
        let mission = self.bench.mission;
        let exposure = &mission.plan.load.exposure;
        if let Some(place) = mission.places.0.get(self.index as usize / 2) {
            // The second of a pair keeps out of the way until the first of all pairs are connected.
            if self.index % 2 == 1
                && let Some(seat) = self.seat.take()
            {
                seat.arrive().await;
            }
            self.place = Arc::clone(place).acquire_owned().await.ok();
        }
        for _ in 0..exposure.reconnects {
            let _pass = mission.connects.enter().await;
            if !self.dial().await {
                return false;
            }
            self.line.hang_up(&self.values).await;
            if matches!(self.line.next_move(), Move::Settled { .. }) {
                return false;
            }
        }
        // Who does not wait for the greeting meets the others before the upgrade.
        if !exposure.send_after.is_empty()
            && let Some(seat) = self.seat.take()
            && seat.arrive().await == Opened::Together
        {
            let behind = self.behind();
            tokio::select! {
                () = sleep(behind.to_std()) => {}
                () = mission.stop.reached(Level::Drain) => {}
            }
        }
        true
    }

    /// How long after the upgrade the user asks in this iteration, where it does not wait for the greeting.
    pub fn early(&self) -> Option<Micros> {
        let times = &self.bench.mission.plan.load.exposure.send_after;
        let iteration = self.values.get("iteration")?.as_u64()?;
        let turn = u64::from(self.index) + iteration.saturating_sub(1);
        times.get(usize::try_from(turn).ok()? % times.len().max(1)).copied()
    }

    /// Asks so long after the upgrade, greeted or not, once the user has sent what the script sends. Whoever cannot ask any
    /// more does not; the judge knows why.
    pub async fn ask_early(&mut self, after: Micros) {
        let mission = self.bench.mission;
        let due = self.bench.net.clock.instant_of(self.upgraded + after);
        let sends = |step: &&ScriptStep| matches!(step, ScriptStep::Send(_));
        let mut left = mission.profile.connect.script.iter().filter(sends).count();
        loop {
            self.adopt();
            match self.line.next_move() {
                Move::Reply(rule) => self.line.reply(rule, &self.values).await,
                Move::Script(step) => {
                    self.script(step).await;
                    left = left.saturating_sub(1);
                }
                Move::Listen | Move::Ask(_) if mission.stop.level() > Level::Run => return,
                Move::Listen | Move::Ask(_) => tokio::select! {
                    biased;
                    () = sleep_until(due), if left == 0 => break,
                    () = self.line.listen() => {}
                },
                Move::Linger { .. } | Move::Settled { .. } => return,
            }
        }
        self.ask(0).await;
    }
}
