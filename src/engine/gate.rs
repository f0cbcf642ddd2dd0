//! The start that all users of all threads make together.
//!
//! So that first asks overlap: isolation can only be shown by users who are busy at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::stop::{Level, Stop};

/// One user's place at the start. Dropping it counts the user out, so that nobody waits for one who failed.
#[derive(Debug)]
pub struct Seat {
    shared: Arc<Shared>,
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

/// The seats of a start at which `count` users meet.
pub fn start_gate(count: usize, stop: &Stop) -> Vec<Seat> {
    let shared = Arc::new(Shared { missing: AtomicUsize::new(count), opened: Notify::new() });
    (0..count).map(|_| Seat { shared: Arc::clone(&shared), stop: stop.clone(), counted: false }).collect()
}

#[derive(Debug)]
struct Shared {
    missing: AtomicUsize,
    opened: Notify,
}

impl Seat {
    /// The user is ready to start. Resolves when everybody is, or when the execution is stopped. Dropping the future counts the
    /// user as arrived.
    pub async fn arrive(mut self) -> Opened {
        self.count();
        tokio::select! {
            biased;
            () = self.stop.reached(Level::Drain) => Opened::Stopped,
            () = self.shared.open() => Opened::Together,
        }
    }

    fn count(&mut self) {
        if !std::mem::replace(&mut self.counted, true) && self.shared.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.opened.notify_waiters();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.count();
    }
}

impl Shared {
    async fn open(&self) {
        loop {
            let mut opened = std::pin::pin!(self.opened.notified());
            opened.as_mut().enable();
            if self.missing.load(Ordering::Acquire) == 0 {
                return;
            }
            opened.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn nobody_starts_before_the_last_one_has_arrived() {
        let mut seats = start_gate(3, &Stop::new());
        let last = seats.pop().unwrap();
        let mut waiting: Vec<_> = seats.into_iter().map(|seat| Box::pin(seat.arrive())).collect();
        assert!(waiting.iter_mut().all(|user| user.as_mut().now_or_never().is_none()));
        assert_eq!(last.arrive().await, Opened::Together);
        for user in waiting {
            assert_eq!(user.await, Opened::Together);
        }
    }

    #[tokio::test]
    async fn a_user_who_fails_keeps_nobody_waiting() {
        let mut seats = start_gate(2, &Stop::new());
        let failing = seats.pop().unwrap();
        let mut waiting = Box::pin(seats.pop().unwrap().arrive());
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(failing);
        assert_eq!(waiting.await, Opened::Together);
    }

    #[tokio::test]
    async fn a_stop_opens_the_gate_for_nobody_to_start() {
        let stop = Stop::new();
        let mut seats = start_gate(2, &stop);
        let mut waiting = Box::pin(seats.pop().unwrap().arrive());
        assert!(waiting.as_mut().now_or_never().is_none());
        stop.raise();
        assert_eq!(waiting.await, Opened::Stopped);
        assert_eq!(seats.pop().unwrap().arrive().await, Opened::Stopped);
    }

    #[test]
    fn users_of_several_threads_start_together() {
        let mut seats = start_gate(40, &Stop::new());
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let seats = seats.split_off(seats.len() - 10);
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
