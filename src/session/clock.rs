//! The execution's clock, and what the runtime's loop knows of time.
//!
//! The only place where stamps are made. It does not decide how late is too late.
//!
//! # When did it arrive, at the earliest?
//!
//! A stamp taken after a read says when bytes had arrived at the latest. How long they had been there is known only from
//! when somebody last looked and did not find them. Two look: a read that left nothing behind, and the loop, which asks the
//! kernel for all sockets at once before it sleeps and sleeps until there is something. [`parking`] and [`woken`] note the
//! loop's looks (`Builder::on_thread_park`, `on_thread_unpark`); `Arrivals` notes for one socket which look woke it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Wake, Waker};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use crate::time::{Micros, Stamp};

/// The execution's clock: monotonic, with the wall-clock time of its beginning. All threads have the same.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    origin_unix_us: u64,
}

impl Clock {
    /// An execution begins now. Inside a runtime whose time is paused, so is this clock.
    pub fn start() -> Clock {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { origin: Instant::now(), origin_unix_us: Micros::from(since_epoch).0 }
    }

    /// Now.
    pub fn now(&self) -> Stamp {
        self.stamp_of(Instant::now())
    }

    /// The stamp of an instant; the beginning for an instant before it.
    pub fn stamp_of(&self, instant: Instant) -> Stamp {
        Stamp::ZERO + Micros::from(instant.saturating_duration_since(self.origin))
    }

    /// The instant of a stamp, for timers. A stamp too far away for the system's clock is about thirty years away.
    pub fn instant_of(&self, stamp: Stamp) -> Instant {
        const FAR_AWAY: Micros = Micros::from_secs(30 * 365 * 24 * 3600);
        let length = stamp.since(Stamp::ZERO).min(FAR_AWAY);
        self.origin + length.to_std()
    }

    /// How long ago something was by the system's clock, which the kernel stamps with; `None` if it is still to come.
    pub fn ago(instant: SystemTime) -> Option<Micros> {
        SystemTime::now().duration_since(instant).ok().map(Micros::from)
    }

    /// A stamp in microseconds since the Unix epoch. Steps of the system's clock during the execution are not followed.
    pub fn wall(&self, stamp: Stamp) -> u64 {
        self.origin_unix_us.saturating_add(stamp.0)
    }
}

/// How long a thread may need to come back from the kernel after something arrived, on a machine that is not starved. A
/// sleep shorter than this is not told apart from a look that found something at once.
const WAKE_UP: std::time::Duration = std::time::Duration::from_millis(1);

/// The loop never sleeps for so long, since the thread's pulse is felt more often; one that seems to was starved, and nobody
/// knows when what it found came.
const LONGEST_SLEEP: std::time::Duration = std::time::Duration::from_millis(25);

/// Since when something can have been there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Since<T> {
    /// Whatever happened to this process meanwhile.
    pub(super) surely: T,
    /// If the thread came back from the kernel as soon as it should.
    pub(super) likely: T,
}

/// What the loop of this thread has seen.
#[derive(Debug, Clone, Copy)]
struct Loop {
    /// The loop is asking the kernel, or sleeping until there is something.
    parked: bool,
    /// When it began to do so, last.
    parked_at: Instant,
    /// The first time within this look that a socket was found ready.
    found_at: Option<Instant>,
    /// What was not found by the look before had not arrived by then.
    looked: Since<Instant>,
}

thread_local! {
    static LOOP: Cell<Option<Loop>> = const { Cell::new(None) };
}

/// To be called on the runtime's thread just before it looks for something to do (`Builder::on_thread_park`).
pub fn parking() {
    let now = Instant::now();
    let looked = LOOP.get().map_or(Since { surely: now, likely: now }, |turn| turn.looked);
    LOOP.set(Some(Loop { parked: true, parked_at: now, found_at: None, looked }));
}

/// To be called on the runtime's thread when it has something to do again (`Builder::on_thread_unpark`).
pub fn woken() {
    if let Some(turn) = LOOP.get() {
        let ended = turn.found_at.unwrap_or_else(Instant::now);
        let likely = turn.parked_at.max(turn.woken_from(ended));
        LOOP.set(Some(Loop { parked: false, looked: Since { surely: turn.parked_at, likely }, ..turn }));
    }
}

/// Called while the loop hands out what it found: since when it can have been there. `None` when the loop is not known to be
/// looking (no hooks, or a look between two tasks).
fn found_since() -> Option<Since<Instant>> {
    let mut turn = LOOP.get().filter(|turn| turn.parked)?;
    let found_at = *turn.found_at.get_or_insert_with(Instant::now);
    LOOP.set(Some(turn));
    let slept = found_at.duration_since(turn.parked_at) > WAKE_UP;
    Some(if slept { Since { surely: turn.parked_at, likely: turn.woken_from(found_at) } } else { turn.looked })
}

impl Loop {
    /// Since when what ended its sleep at `ended` can have been there, if the thread was not starved for only a moment.
    fn woken_from(&self, ended: Instant) -> Instant {
        match ended.duration_since(self.parked_at) > LONGEST_SLEEP {
            true => self.parked_at,
            false => ended.checked_sub(WAKE_UP).unwrap_or(ended),
        }
    }
}

/// Stands between a socket and the task that reads it, to note which look of the loop found the socket ready.
///
/// A runtime wakes a reader once per wait, in the look that found the bytes. A reader that does other things meanwhile reads
/// them much later; the note is not changed by that.
#[derive(Debug)]
pub(super) struct Arrivals {
    clock: Clock,
    task: AtomicWaker,
    /// Microseconds of the stamps, 0 when nothing is known.
    since: Since<AtomicU64>,
}

impl Arrivals {
    pub(super) fn new(clock: Clock) -> Arc<Arrivals> {
        let since = Since { surely: AtomicU64::new(0), likely: AtomicU64::new(0) };
        Arc::new(Arrivals { clock, task: AtomicWaker::new(), since })
    }

    /// The task to wake; the reader is about to wait.
    pub(super) fn register(&self, task: &Waker) {
        self.task.register(task);
    }

    /// Since when what woke the reader can have been there; the beginning when nothing is known.
    pub(super) fn since(&self) -> Since<Stamp> {
        let stamp = |of: &AtomicU64| Stamp(of.load(Ordering::Relaxed));
        Since { surely: stamp(&self.since.surely), likely: stamp(&self.since.likely) }
    }

    /// The socket holds nothing: the next wake is a new arrival.
    pub(super) fn forget(&self) {
        self.since.surely.store(0, Ordering::Relaxed);
        self.since.likely.store(0, Ordering::Relaxed);
    }
}

impl Wake for Arrivals {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.since.likely.load(Ordering::Relaxed) == 0
            && let Some(Since { surely, likely }) = found_since()
        {
            self.since.surely.store(self.clock.stamp_of(surely).0, Ordering::Relaxed);
            self.since.likely.store(self.clock.stamp_of(likely).0, Ordering::Relaxed);
        }
        self.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stamps_and_instants_convert_both_ways() {
        let clock = Clock::start();
        assert_eq!(clock.now(), Stamp::ZERO);
        tokio::time::advance(Micros::from_millis(1500).to_std()).await;
        assert_eq!(clock.now(), Stamp(1_500_000));
        assert_eq!(clock.stamp_of(clock.instant_of(Stamp(7))), Stamp(7));
        assert_eq!(clock.wall(Stamp(7)) - clock.wall(Stamp::ZERO), 7);
        assert!(clock.instant_of(Stamp(u64::MAX)) > clock.instant_of(Stamp(1)));
    }

    /// One look of the loop that lasts `sleeps` milliseconds and wakes `socket`.
    async fn look(sleeps: u64, socket: &Waker) {
        parking();
        tokio::time::advance(Micros::from_millis(sleeps).to_std()).await;
        socket.wake_by_ref();
        woken();
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_a_sleep_arrived_at_its_end() {
        let clock = Clock::start();
        tokio::time::advance(Micros::from_secs(9).to_std()).await;
        let (arrivals, before) = (Arrivals::new(clock), clock.now());
        look(20, &Waker::from(Arc::clone(&arrivals))).await;
        assert_eq!(arrivals.since(), Since { surely: before, likely: clock.now() - Micros::from_millis(1) });
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_a_sleep_that_is_too_long_arrived_whenever_it_did() {
        let clock = Clock::start();
        tokio::time::advance(Micros::from_secs(9).to_std()).await;
        let (first, second, before) = (Arrivals::new(clock), Arrivals::new(clock), clock.now());
        look(2_000, &Waker::from(Arc::clone(&first))).await;
        assert_eq!(first.since(), Since { surely: before, likely: before });
        // What had not been handed out when the thread was starved is found at once by the next look.
        look(0, &Waker::from(Arc::clone(&second))).await;
        assert_eq!(second.since(), Since { surely: before, likely: before });
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_found_at_once_may_have_arrived_since_the_look_before() {
        let clock = Clock::start();
        let (first, second) = (Arrivals::new(clock), Arrivals::new(clock));
        look(5, &Waker::from(first)).await;
        let before = clock.now();
        // The loop is busy for a while, and then finds the second socket without sleeping.
        tokio::time::advance(Micros::from_millis(80).to_std()).await;
        look(0, &Waker::from(Arc::clone(&second))).await;
        assert_eq!(second.since().likely, before - Micros::from_millis(1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_read_late_keeps_the_look_that_found_it() {
        let clock = Clock::start();
        let arrivals = Arrivals::new(clock);
        let waker = Waker::from(Arc::clone(&arrivals));
        look(10, &waker).await;
        let found = clock.now();
        look(500, &waker).await;
        assert_eq!(arrivals.since().likely, found - Micros::from_millis(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wake_outside_a_look_says_nothing() {
        let arrivals = Arrivals::new(Clock::start());
        look(10, Waker::noop()).await;
        Waker::from(Arc::clone(&arrivals)).wake_by_ref();
        assert_eq!(arrivals.since(), Since { surely: Stamp::ZERO, likely: Stamp::ZERO });
    }

    #[test]
    fn a_runtime_calls_the_hooks_around_every_sleep() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .on_thread_park(parking)
            .on_thread_unpark(woken)
            .build()
            .unwrap();
        runtime.block_on(async {
            // A timer is the surest way to make a loop park.
            let timer = tokio::time::timeout(Micros::from_millis(3).to_std(), std::future::pending::<()>());
            timer.await.unwrap_err();
        });
        let turn = LOOP.get().expect("the hooks were called");
        assert!(turn.looked.surely >= turn.parked_at && turn.looked.likely >= turn.looked.surely);
    }
}
