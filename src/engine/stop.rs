//! How an execution is told to stop, by a signal or by what it finds.
//!
//! Catching signals is `cli`'s; what draining means is the session's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// How far the stopping has come. It never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// Go on.
    Run,
    /// Start nothing more; what is in flight may end.
    Drain,
    /// End what is in flight now. The report is still written.
    Cut,
}

/// The state that all threads share. Clones are the same state.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    level: AtomicU8,
    changed: Notify,
}

impl Stop {
    /// Nothing is stopped.
    pub fn new() -> Stop {
        Stop::default()
    }

    /// The next level, and its value. At [`Level::Cut`] nothing is left to raise.
    pub fn raise(&self) -> Level {
        let next = match self.level() {
            Level::Run => Level::Drain,
            Level::Drain | Level::Cut => Level::Cut,
        };
        self.raise_to(next);
        next
    }

    /// At least this level.
    pub fn raise_to(&self, level: Level) {
        self.shared.level.fetch_max(level as u8, Ordering::AcqRel);
        self.shared.changed.notify_waiters();
    }

    /// The level now. Cheap enough to ask before every step.
    pub fn level(&self) -> Level {
        match self.shared.level.load(Ordering::Acquire) {
            0 => Level::Run,
            1 => Level::Drain,
            _ => Level::Cut,
        }
    }

    /// Resolves when `level` is reached, at once if it was before. Cancel-safe.
    pub async fn reached(&self, level: Level) {
        loop {
            // Listening begins before the look, so that a change between the two is not missed.
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            if self.level() >= level {
                return;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn each_raise_is_one_level_and_wakes_who_waits_for_it() {
        let stop = Stop::new();
        let mut drained = Box::pin(stop.reached(Level::Drain));
        let mut cut = Box::pin(stop.reached(Level::Cut));
        assert!(drained.as_mut().now_or_never().is_none());
        assert!(cut.as_mut().now_or_never().is_none());
        assert_eq!(stop.clone().raise(), Level::Drain);
        drained.await;
        assert!(cut.as_mut().now_or_never().is_none());
        assert_eq!(stop.raise(), Level::Cut);
        cut.await;
        stop.reached(Level::Drain).await;
        assert_eq!(stop.raise(), Level::Cut);
    }

    #[test]
    fn the_level_never_goes_back() {
        let stop = Stop::new();
        stop.raise_to(Level::Cut);
        stop.raise_to(Level::Drain);
        assert_eq!(stop.level(), Level::Cut);
    }

    #[test]
    fn another_threads_raise_is_noticed() {
        let stop = Stop::new();
        let other = stop.clone();
        let raising = std::thread::spawn(move || other.raise());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(stop.reached(Level::Drain));
        raising.join().unwrap();
    }
}
