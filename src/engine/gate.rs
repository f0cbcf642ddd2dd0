//! The start that all users of all threads make together.
//!
//! So that first asks overlap: isolation can only be shown by users who are busy at the same time. On each thread only so many go
//! at once, and who has gone lets the next one go: else what answers the first of thousands would be read when all others have
//! asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::stop::{Level, Stop};

/// How many users of one thread go at once: about as many as have their turn between two looks at what has arrived.
const AT_ONCE: usize = 64;

/// One user's place at the start. Dropping it counts the user out, so that nobody waits for one who failed.
#[derive(Debug)]
pub struct Seat {
    shared: Arc<Shared>,
    thread: usize,
    stop: Stop,
    counted: bool,
}

/// Why the wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// Everybody has arrived or was counted out.
    Together,
    /// The execution is being stopped; nothing is to be started.
    Stopped,
}

/// The seats of a start at which so many users of each thread meet, by thread.
pub fn start_gate(counts: impl IntoIterator<Item = usize>, stop: &Stop) -> Vec<Vec<Seat>> {
    let counts: Vec<usize> = counts.into_iter().collect();
    let doors = counts.iter().map(|_| Semaphore::new(0)).collect();
    let shared = Arc::new(Shared { missing: AtomicUsize::new(counts.iter().sum()), doors });
    let seat = |thread| Seat { shared: Arc::clone(&shared), thread, stop: stop.clone(), counted: false };
    counts.iter().enumerate().map(|(thread, count)| (0..*count).map(|_| seat(thread)).collect()).collect()
}

#[derive(Debug)]
struct Shared {
    missing: AtomicUsize,
    /// Where each thread's users go through.
    doors: Vec<Semaphore>,
}

impl Seat {
    /// The user is ready to start. Resolves when everybody is, or when the execution is stopped. Dropping the future counts the
    /// user as arrived.
    pub async fn arrive(mut self) -> Opened {
        self.count();
        tokio::select! {
            biased;
            () = self.stop.reached(Level::Drain) => Opened::Stopped,
            () = self.shared.go(self.thread) => Opened::Together,
        }
    }

    fn count(&mut self) {
        if !std::mem::replace(&mut self.counted, true) && self.shared.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.doors.iter().for_each(|door| door.add_permits(AT_ONCE));
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.count();
    }
}

impl Shared {
    async fn go(&self, thread: usize) {
        // Given back at once, it is the next one's. Nobody closes the door.
        drop(self.doors[thread].acquire().await);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn nobody_starts_before_the_last_one_has_arrived() {
        let mut seats = start_gate([3], &Stop::new()).remove(0);
        let last = seats.pop().unwrap();
        let mut waiting: Vec<_> = seats.into_iter().map(|seat| Box::pin(seat.arrive())).collect();
        assert!(waiting.iter_mut().all(|user| user.as_mut().now_or_never().is_none()));
        assert_eq!(last.arrive().await, Opened::Together);
        for user in waiting {
            assert_eq!(user.await, Opened::Together);
        }
    }

    #[test]
    fn of_thousands_only_so_many_go_before_others_have_their_turn() {
        let seats = start_gate([2 * AT_ONCE + 1], &Stop::new()).remove(0);
        let mut users: Vec<_> = seats.into_iter().map(|seat| Box::pin(seat.arrive())).collect();
        assert!(
            users.iter_mut().all(|user| user.as_mut().now_or_never().is_none()),
            "the last one to come is behind all others"
        );
        let (first, later) = users.split_at_mut(AT_ONCE);
        assert!(later.iter_mut().all(|user| user.as_mut().now_or_never().is_none()));
        for user in first.iter_mut().chain(later) {
            assert_eq!(user.as_mut().now_or_never(), Some(Opened::Together));
        }
    }

    #[tokio::test]
    async fn a_user_who_fails_keeps_nobody_waiting() {
        let mut seats = start_gate([2], &Stop::new()).remove(0);
        let failing = seats.pop().unwrap();
        let mut waiting = Box::pin(seats.pop().unwrap().arrive());
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(failing);
        assert_eq!(waiting.await, Opened::Together);
    }

    #[tokio::test]
    async fn a_stop_opens_the_gate_for_nobody_to_start() {
        let stop = Stop::new();
        let mut seats = start_gate([2], &stop).remove(0);
        let mut waiting = Box::pin(seats.pop().unwrap().arrive());
        assert!(waiting.as_mut().now_or_never().is_none());
        stop.raise();
        assert_eq!(waiting.await, Opened::Stopped);
        assert_eq!(seats.pop().unwrap().arrive().await, Opened::Stopped);
    }

    #[test]
    fn users_of_several_threads_start_together() {
        // More than go at once.
        let threads: Vec<_> = start_gate([3 * AT_ONCE, AT_ONCE, 1, 0], &Stop::new())
            .into_iter()
            .map(|seats| {
                std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    // A quarter of them fails before.
                    let users = seats.into_iter().enumerate().filter_map(|(i, seat)| (i % 4 != 0).then_some(seat));
                    runtime.block_on(futures_util::future::join_all(users.map(Seat::arrive)))
                })
            })
            .collect();
        for thread in threads {
            assert!(thread.join().unwrap().iter().all(|&opened| opened == Opened::Together));
        }
    }
}
