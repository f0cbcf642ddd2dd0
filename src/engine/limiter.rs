//! How many of something may be in flight, and how fast they may follow one another.
//!
//! For logins and connects, which a target meets once per user and which a harness without a limit turns into an attack. The
//! time spent waiting here belongs to no segment; who waits notes it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

/// A limit that all threads share. Clones are the same limit.
#[derive(Debug, Clone, Default)]
pub struct Limiter {
    in_flight: Option<Arc<Semaphore>>,
    pace: Option<Arc<Pace>>,
}

/// The right to be in flight; dropped when it is over.
#[derive(Debug)]
pub struct Pass {
    _in_flight: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Pace {
    interval: Duration,
    /// When the next may go; none has gone yet without it.
    next: Mutex<Option<Instant>>,
}

impl Limiter {
    /// At most `in_flight` at once and `per_second` in each second, evenly spaced; `None` is without limit.
    ///
    /// Zero in flight counts as one, and a rate that is not a positive number as no limit: a limit that lets nothing pass is
    /// a mistake in a file, and was told there.
    pub fn new(in_flight: Option<usize>, per_second: Option<f64>) -> Limiter {
        let interval =
            per_second.filter(|rate| *rate > 0.0).and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok());
        Limiter {
            in_flight: in_flight.map(|most| Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS)))),
            pace: interval.map(|interval| Arc::new(Pace { interval, next: Mutex::new(None) })),
        }
    }

    /// Without limit.
    pub fn off() -> Limiter {
        Limiter::default()
    }

    /// Waits for a place, first come first served, and then for its turn. Dropping the future gives the place back; a turn
    /// that was reserved stays unused.
    pub async fn enter(&self) -> Pass {
        let in_flight = match &self.in_flight {
            // Nobody closes the semaphore; if it were closed there would be no limit to keep.
            Some(places) => Arc::clone(places).acquire_owned().await.ok(),
            None => None,
        };
        if let Some(pace) = &self.pace {
            let turn = pace.reserve(Instant::now());
            sleep_until(turn).await;
        }
        Pass { _in_flight: in_flight }
    }
}

impl Pace {
    /// Turns that nobody asked for are not saved up: a burst after a pause would exceed the rate.
    fn reserve(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = next.map_or(now, |next| next.max(now));
        *next = Some(turn + self.interval);
        turn
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_spaces_turns_evenly_and_saves_none_up() {
        let limiter = Limiter::new(None, Some(10.0));
        let began = Instant::now();
        let turn = async |_| {
            limiter.enter().await;
            began.elapsed().as_millis()
        };
        assert_eq!(join_all((0..4).map(turn)).await, [0, 100, 200, 300]);
        tokio::time::advance(Duration::from_secs(5)).await;
        let later = began.elapsed().as_millis();
        assert_eq!(join_all((0..2).map(turn)).await, [later, later + 100]);
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_its_pass_is_dropped() {
        let limiter = Limiter::new(Some(2), None);
        let (first, _second) = (limiter.enter().await, limiter.clone().enter().await);
        let mut third = Box::pin(limiter.enter());
        assert!(third.as_mut().now_or_never().is_none());
        drop(first);
        third.await;
    }

    #[tokio::test]
    async fn giving_up_gives_the_place_back() {
        let limiter = Limiter::new(Some(1), None);
        let pass = limiter.enter().await;
        let mut waiting = Box::pin(limiter.enter());
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(waiting);
        drop(pass);
        limiter.enter().await;
    }

    #[tokio::test]
    async fn without_a_limit_nobody_waits() {
        for limiter in [Limiter::off(), Limiter::new(None, Some(0.0)), Limiter::new(None, Some(f64::NAN))] {
            let passes: Vec<_> = (0..1000).map(|_| limiter.enter().now_or_never()).collect();
            assert!(passes.iter().all(Option::is_some));
        }
    }
}
