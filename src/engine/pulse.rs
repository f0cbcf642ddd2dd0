//! A thread's own heartbeat: how late a timer comes shows how long everything else on the thread had to wait.

use std::cell::Cell;

use tokio::time::{Instant, sleep_until};

use crate::time::Micros;

/// Timers of the runtime are exact to a millisecond, and a thread that serves others may be busy for a few.
const TOLERATED: Micros = Micros::from_millis(10);

/// The pulse of one thread.
#[derive(Debug)]
pub struct Pulse {
    since: Cell<Instant>,
    late: Cell<Micros>,
    latest: Cell<Micros>,
}

/// What was felt for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Felt {
    /// How long.
    pub lasted: Micros,
    /// How much of it the thread was overdue by more than a timer's error.
    pub late: Micros,
    /// The most it was overdue.
    pub latest: Micros,
}

impl Default for Pulse {
    /// Nothing felt until now.
    fn default() -> Pulse {
        Pulse { since: Cell::new(Instant::now()), late: Cell::default(), latest: Cell::default() }
    }
}

impl Pulse {
    /// How often a thread's pulse is felt.
    pub const TICK: Micros = Micros::from_millis(10);

    /// Feels it for ever.
    pub async fn feel(&self) {
        loop {
            let due = Instant::now() + Pulse::TICK.to_std();
            sleep_until(due).await;
            self.note(Micros::from(due.elapsed()));
        }
    }

    fn note(&self, overdue: Micros) {
        self.latest.set(self.latest.get().max(overdue));
        if overdue > TOLERATED {
            self.late.set(self.late.get() + overdue);
        }
    }

    /// What was felt since this was last asked.
    pub fn take(&self) -> Felt {
        let now = Instant::now();
        let lasted = Micros::from(now - self.since.replace(now));
        Felt { lasted, late: self.late.take(), latest: self.latest.take() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_blocks_the_thread_is_felt_and_told_once() {
        let pulse = Pulse::default();
        let busy = async {
            sleep_until(Instant::now() + Micros::from_millis(95).to_std()).await;
            // As a computation would: nothing else runs meanwhile.
            tokio::time::advance(Micros::from_millis(300).to_std()).await;
            sleep_until(Instant::now() + Micros::from_millis(105).to_std()).await;
        };
        tokio::select! {
            () = pulse.feel() => {}
            () = busy => {}
        }
        let felt = pulse.take();
        assert_eq!(felt.lasted, Micros::from_millis(500));
        assert!((Micros::from_millis(285)..=Micros::from_millis(300)).contains(&felt.late), "{felt:?}");
        assert_eq!(felt.late, felt.latest);
        assert_eq!(pulse.take(), Felt { lasted: Micros::ZERO, late: Micros::ZERO, latest: Micros::ZERO });
    }

    #[test]
    fn a_timers_own_error_is_not_late() {
        let pulse = Pulse::default();
        pulse.note(Micros::from_millis(10));
        pulse.note(Micros(10_001));
        pulse.note(Micros(3));
        assert_eq!((pulse.late.get(), pulse.latest.get()), (Micros(10_001), Micros(10_001)));
    }
}
