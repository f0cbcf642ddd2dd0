//! Keeps the looks of a busy thread at its sockets apart.
//!
//! Each look is a system call, and so is each read of what it finds, which an acknowledgement follows. A thread that looks again
//! as soon as it has handled the one or two frames of the last look spends most of its time on those: what came in several
//! looks could have been read in one. So it rests for a moment first, as network devices do between two interrupts (Mogul and
//! Ramakrishnan 1997). That moment is taken from the machine, not from figures: the kernel stamps what arrives meanwhile.
//!
//! A thread with little to do waits in its look, and one with more to do than it can has not come back to it for long; neither
//! rests.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// From the end of a look that found something at once to the next, at least. The system adds what it needs to wake a thread,
/// on Linux 50 us if nothing else is asked for (`prctl(2)`, `PR_SET_TIMERSLACK`).
const APART: Duration = Duration::from_micros(50);

/// A look that takes no longer found something at once; a sleeping thread takes longer to wake.
const AT_ONCE: Duration = Duration::from_micros(5);

/// Elsewhere the shortest sleep may be a thousandth of a second and more.
const RESTS: bool = cfg!(target_os = "linux");

/// What a thread knows of its looks.
#[derive(Debug, Clone, Copy, Default)]
struct Looks {
    begun: Option<Instant>,
    /// When the last one ended, if it found something at once.
    found: Option<Instant>,
}

impl Looks {
    /// How long to rest before a look at `now`.
    fn rest(self, now: Instant) -> Duration {
        self.found.map_or(Duration::ZERO, |found| APART.saturating_sub(now - found))
    }

    /// A look begins.
    fn begin(&mut self, now: Instant) {
        *self = Looks { begun: Some(now), found: None };
    }

    /// It has found something.
    fn end(&mut self, now: Instant) {
        self.found = self.begun.filter(|begun| now - *begun <= AT_ONCE).map(|_| now);
    }
}

thread_local! {
    static LOOKS: Cell<Looks> = const { Cell::new(Looks { begun: None, found: None }) };
}

/// The thread is about to look, and rests before if it should.
pub(super) fn parking() {
    let mut looks = LOOKS.get();
    let rest = looks.rest(Instant::now());
    if RESTS && !rest.is_zero() {
        std::thread::sleep(rest);
    }
    looks.begin(Instant::now());
    LOOKS.set(looks);
}

/// The thread has something to do.
pub(super) fn woken() {
    let mut looks = LOOKS.get();
    looks.end(Instant::now());
    LOOKS.set(looks);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many microseconds a thread rests that had something to do for `worked` after a look of `looked`.
    fn rests(looked: u64, worked: u64) -> u128 {
        let (begun, us) = (Instant::now(), Duration::from_micros);
        let mut looks = Looks::default();
        assert_eq!(looks.rest(begun), Duration::ZERO, "nothing is known yet");
        looks.begin(begun);
        looks.end(begun + us(looked));
        looks.rest(begun + us(looked + worked)).as_micros()
    }

    #[test]
    fn who_finds_a_little_at_once_rests_and_who_waited_or_has_much_to_do_does_not() {
        assert_eq!([rests(1, 10), rests(5, 49), rests(5, 0)], [40, 1, 50]);
        assert_eq!([rests(6, 10), rests(1_000, 0)], [0, 0], "it waited");
        assert_eq!([rests(1, 50), rests(1, 5_000)], [0, 0], "it had much to do");
    }

    #[test]
    fn a_look_that_has_not_ended_says_nothing() {
        let now = Instant::now();
        let mut looks = Looks::default();
        looks.begin(now);
        looks.end(now);
        looks.begin(now);
        assert_eq!(looks.rest(now), Duration::ZERO);
    }
}
