//! When a user begins its next iteration: as soon as it is done and has thought, or by the clock when it is free.
//!
//! By the clock an arrival goes to whoever has been free longest; one that finds nobody is dropped and told, never kept for
//! later: a queue of our own would be told as the target's.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::stop::{Level, Stop};
use crate::time::Micros;

/// An iteration that is to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Which of its user, from 1.
    pub nth: u32,
    /// When it was meant to begin, where that is by the clock.
    pub scheduled: Option<Instant>,
    /// Another one may follow.
    pub more: bool,
}

/// The iterations of one user.
pub struct Turns<'a> {
    nth: u32,
    stop: Stop,
    next: Next<'a>,
}

enum Next<'a> {
    Closed {
        iterations: u32,
        /// How long to think after an iteration.
        pause: Box<dyn Fn(u32) -> Micros + 'a>,
        /// When the thinking ends.
        due: Option<Instant>,
    },
    Open {
        desk: Rc<Desk>,
        /// Where the arrival will be told, while the user is free.
        free: Option<oneshot::Receiver<Instant>>,
    },
}

/// Where users of one thread who are free wait for arrivals.
#[derive(Debug, Default)]
pub struct Desk {
    /// Those waiting, the longest first; `None` when no more arrivals come.
    free: RefCell<Option<VecDeque<oneshot::Sender<Instant>>>>,
}

impl fmt::Debug for Turns<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").field("nth", &self.nth).finish_non_exhaustive()
    }
}

impl Desk {
    /// A desk at which arrivals will come.
    pub fn open() -> Rc<Desk> {
        Rc::new(Desk { free: RefCell::new(Some(VecDeque::new())) })
    }

    /// Hands out `arrivals`, counted from `began`, as their time comes, and tells those that find nobody free. Then, or when
    /// the execution is being stopped, the desk closes: who is free or will be is sent home.
    pub async fn serve(
        &self,
        arrivals: impl Iterator<Item = Micros>,
        began: Instant,
        stop: &Stop,
        mut dropped: impl FnMut(Instant),
    ) {
        for offset in arrivals {
            let scheduled = began + offset.to_std();
            tokio::select! {
                biased;
                () = stop.reached(Level::Drain) => break,
                () = sleep_until(scheduled) => {}
            }
            if !self.hand_out(scheduled) {
                dropped(scheduled);
            }
        }
        self.free.take();
    }

    /// Where one more user is told of its arrival; nowhere when no more come.
    fn wait(&self) -> Option<oneshot::Receiver<Instant>> {
        let (told, waiting) = oneshot::channel();
        self.free.borrow_mut().as_mut()?.push_back(told);
        Some(waiting)
    }

    fn hand_out(&self, scheduled: Instant) -> bool {
        let mut free = self.free.borrow_mut();
        let mut waiting = free.iter_mut().flat_map(|free| std::iter::from_fn(|| free.pop_front()));
        // A user who left has dropped its end.
        waiting.any(|user| user.send(scheduled).is_ok())
    }
}

impl<'a> Turns<'a> {
    /// So many iterations, each after a pause from the end of the one before.
    pub fn closed(iterations: u32, pause: impl Fn(u32) -> Micros + 'a, stop: &Stop) -> Turns<'a> {
        Turns { nth: 0, stop: stop.clone(), next: Next::Closed { iterations, pause: Box::new(pause), due: None } }
    }

    /// Whenever an arrival at `desk` is this user's, who is free from now on.
    pub fn open(desk: &Rc<Desk>, stop: &Stop) -> Turns<'a> {
        let free = desk.wait();
        Turns { nth: 0, stop: stop.clone(), next: Next::Open { desk: Rc::clone(desk), free } }
    }

    /// Waits until the user is to begin. `None`: it is done. Cancel-safe: what was waited for is waited on.
    pub async fn next(&mut self) -> Option<Turn> {
        if self.stop.level() > Level::Run {
            return None;
        }
        let turn = match &mut self.next {
            Next::Closed { iterations, .. } if self.nth == *iterations => return None,
            Next::Closed { iterations, pause, due } => {
                if self.nth > 0 && due.is_none() {
                    // A timer for no time at all would still take a tick of the runtime's clock.
                    let pause = Some(pause(self.nth)).filter(|pause| *pause > Micros::ZERO);
                    *due = pause.map(|pause| Instant::now() + pause.to_std());
                }
                if let Some(due) = *due {
                    tokio::select! {
                        biased;
                        () = self.stop.reached(Level::Drain) => return None,
                        () = sleep_until(due) => {}
                    }
                }
                *due = None;
                Turn { nth: self.nth + 1, scheduled: None, more: self.nth + 1 < *iterations }
            }
            Next::Open { desk, free } => {
                if free.is_none() {
                    *free = desk.wait();
                }
                let scheduled = free.as_mut()?.await.ok();
                *free = None;
                Turn { nth: self.nth + 1, scheduled: Some(scheduled?), more: true }
            }
        };
        self.nth = turn.nth;
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use tokio::time::sleep_until as until;

    use super::*;

    const SECOND: u64 = 1_000_000;

    /// What `users` users do whose iterations take `takes`: user, number and scheduled second of each, and seconds dropped.
    async fn drive(users: usize, takes: Micros, arrivals: &[u64], stop: &Stop) -> (Vec<(usize, u32, u64)>, Vec<u64>) {
        let began = Instant::now();
        let second = |at: Instant| (at - began).as_micros() as u64 / SECOND;
        let (desk, done, dropped) = (Desk::open(), RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let users = (0..users).map(|user| {
            let mut turns = Turns::open(&desk, stop);
            let done = &done;
            async move {
                while let Some(turn) = turns.next().await {
                    let scheduled = turn.scheduled.expect("by the clock");
                    assert_eq!(scheduled, Instant::now(), "a clock that is paused is never late");
                    done.borrow_mut().push((user, turn.nth, second(scheduled)));
                    until(Instant::now() + takes.to_std()).await;
                }
            }
        });
        let arrivals = arrivals.iter().map(|at| Micros(at * SECOND));
        let serving = desk.serve(arrivals, began, stop, |at| dropped.borrow_mut().push(second(at)));
        tokio::join!(join_all(users), serving);
        (done.take(), dropped.take())
    }

    #[tokio::test(start_paused = true)]
    async fn an_arrival_goes_to_whoever_is_free_longest() {
        let (done, dropped) = drive(2, Micros(1_500_000), &[1, 2, 3, 4, 5], &Stop::new()).await;
        assert_eq!(done, [(0, 1, 1), (1, 1, 2), (0, 2, 3), (1, 2, 4), (0, 3, 5)]);
        assert_eq!(dropped, [0_u64; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_arrival_that_finds_nobody_free_is_dropped_and_told() {
        let (done, dropped) = drive(1, Micros(2_500_000), &[1, 2, 3, 4], &Stop::new()).await;
        assert_eq!(done, [(0, 1, 1), (0, 2, 4)]);
        assert_eq!(dropped, [2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_target_does_not_slow_arrivals_down() {
        let (done, dropped) = drive(100, Micros::from_secs(50), &(0..60).collect::<Vec<_>>(), &Stop::new()).await;
        assert_eq!(done.iter().map(|(.., at)| *at).collect::<Vec<_>>(), (0..60).collect::<Vec<_>>());
        assert_eq!(dropped, [0_u64; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_sends_everybody_home_and_lets_nobody_begin() {
        let stop = Stop::new();
        let stopping = async {
            until(Instant::now() + Micros(2_500_000).to_std()).await;
            stop.raise();
        };
        let ((done, dropped), ()) = tokio::join!(drive(2, Micros(100), &[1, 2, 3, 4], &stop), stopping);
        assert_eq!(done, [(0, 1, 1), (1, 1, 2)]);
        assert_eq!(dropped, [0_u64; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn users_of_a_closed_workload_think_between_iterations() {
        let stop = Stop::new();
        let began = Instant::now();
        let mut turns = Turns::closed(3, |nth| Micros::from_secs(nth.into()), &stop);
        let mut at = Vec::new();
        while let Some(turn) = turns.next().await {
            at.push((turn.nth, turn.more, began.elapsed().as_secs()));
        }
        assert_eq!(at, [(1, true, 0), (2, true, 1), (3, false, 3)]);
        let mut turns = Turns::closed(2, |_| Micros::from_secs(9), &stop);
        turns.next().await;
        assert!(turns.next().now_or_never().is_none(), "it thinks");
        stop.raise();
        assert_eq!(turns.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_given_up_and_taken_up_again_loses_no_arrival() {
        let stop = Stop::new();
        let desk = Desk::open();
        let mut turns = Turns::open(&desk, &stop);
        assert!(turns.next().now_or_never().is_none());
        assert!(turns.next().now_or_never().is_none());
        let began = Instant::now();
        let dropped = RefCell::new(0);
        desk.serve([Micros::ZERO, Micros::ZERO].into_iter(), began, &stop, |_| *dropped.borrow_mut() += 1).await;
        assert_eq!(turns.next().await, Some(Turn { nth: 1, scheduled: Some(began), more: true }));
        // It stood at the desk once, however often it asked.
        assert_eq!(dropped.take(), 1);
        assert_eq!(turns.next().await, None);
    }
}
