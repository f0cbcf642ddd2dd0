//! How late this machine is: a thread that asks to be woken every few milliseconds and notes when it was.
//!
//! A fault that shows in something that does not come looks like a machine that does not get round to it. What was late is
//! only told here; what follows from it is the verdict's business.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two wakes.
const INTERVAL: Duration = Duration::from_millis(5);

/// Wakes that came later than by this are noted; others are usual.
const NOTED: Duration = Duration::from_millis(10);

/// What was noted so far: when a late wake was due, and when it came.
#[derive(Debug, Default)]
pub struct Lateness {
    noted: Mutex<Vec<(Instant, Instant)>>,
    over: AtomicBool,
}

impl Lateness {
    /// Notes wakes until [`Lateness::end`].
    pub fn watch(&self) {
        while !self.over.load(Ordering::Relaxed) {
            let due = Instant::now() + INTERVAL;
            std::thread::sleep(INTERVAL);
            self.note(due, Instant::now());
        }
    }

    /// Ends the watch.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    fn note(&self, due: Instant, came: Instant) {
        if came.saturating_duration_since(due) > NOTED {
            self.noted.lock().unwrap_or_else(PoisonError::into_inner).push((due, came));
        }
    }

    /// The longest that a wake between `begun` and `ended` was late; zero if none was noted.
    pub fn between(&self, begun: Instant, ended: Instant) -> Duration {
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let within = noted.iter().filter(|(due, came)| *due <= ended && *came >= begun);
        within.map(|(due, came)| *came - *due).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_wake_of_a_time_is_found_and_others_are_not() {
        let (lateness, start) = (Lateness::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        for (due, came) in [(10, 12), (20, 50), (100, 400)] {
            lateness.note(at(due), at(came));
        }
        for (begun, ended, late) in [(0, 15, 0), (0, 60, 30), (45, 60, 30), (60, 90, 0), (200, 210, 300), (0, 500, 300)]
        {
            assert_eq!(lateness.between(at(begun), at(ended)), Duration::from_millis(late), "{begun} to {ended}");
        }
    }
}
