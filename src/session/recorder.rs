//! What judges are told, on its way into a recording: what is kept, what waits until it is known whether it will be, what is
//! left out.
//!
//! Each thread writes lines into a block of its own, compresses it and hands it on to be appended; nothing is shared but
//! counters. Where only failures are kept, a user's last two iterations wait in memory, for a late frame may still make the
//! one before fail. Which file it is and what stands at its beginning and end is the edge's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::identity::UserNumber;
use crate::trace::recording::{self, Head, Kind};
use crate::trace::{Fact, Observed};

/// What may wait in memory for one user, in bytes of lines.
const WAITING_PER_USER: usize = 64 * 1024;
/// What may wait in memory for all users together, in bytes of lines.
const WAITING: usize = 256 * 1024 * 1024;
/// A block is handed on when it holds so many bytes of lines.
const BLOCK: usize = 256 * 1024;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Everything.
    All,
    /// Users whose streams show a failure, and the owners of what leaked to them.
    Failures,
    /// Everything until the file has so many bytes, failures from then on.
    AllUpTo(u64),
}

/// The tapes of an execution: what the threads that record share.
pub struct Tapes {
    keep: Keep,
    append: Box<dyn Fn(&[u8]) + Send + Sync>,
    written: AtomicU64,
    waiting: AtomicUsize,
    left_out: AtomicU64,
    /// Users whose tapes are wanted by a thread that is not theirs.
    wanted: Mutex<BTreeSet<UserNumber>>,
}

impl fmt::Debug for Tapes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tapes").field("keep", &self.keep).field("written", &self.written).finish_non_exhaustive()
    }
}

impl Tapes {
    /// Nothing recorded yet. `append` is given whole blocks, by any thread, and deals with failures itself.
    pub fn new(keep: Keep, append: impl Fn(&[u8]) + Send + Sync + 'static) -> Tapes {
        Tapes {
            keep,
            append: Box::new(append),
            written: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            left_out: AtomicU64::new(0),
            wanted: Mutex::default(),
        }
    }

    /// How many entries were not kept.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// What waits of a user had `before` bytes and has `after`.
    fn waits(&self, before: usize, after: usize) {
        self.waiting.fetch_add(after.saturating_sub(before), Ordering::Relaxed);
        self.waiting.fetch_sub(before.saturating_sub(after), Ordering::Relaxed);
    }

    fn keeps_all(&self) -> bool {
        match self.keep {
            Keep::All => true,
            Keep::Failures => false,
            Keep::AllUpTo(bytes) => self.written.load(Ordering::Relaxed) < bytes,
        }
    }

    fn wanted(&self) -> std::sync::MutexGuard<'_, BTreeSet<UserNumber>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One tape: everything that one judge is told.
#[derive(Debug)]
pub struct Recorder {
    tapes: Arc<Tapes>,
    head: Head,
    block: Vec<u8>,
    users: BTreeMap<UserNumber, Waiting>,
}

/// What waits of one user.
#[derive(Debug, Default)]
struct Waiting {
    /// Nothing waits any more: this user is kept.
    kept: bool,
    /// Entries that were left out since this user was last written.
    left_out: u64,
    /// From login to the first ask of the session that the iteration in flight uses.
    set_up: Lines,
    /// That iteration is not the first of its session, so that its set-up stands before what was left out.
    resumed: bool,
    /// The iteration before.
    before: Lines,
    /// The iteration in flight, without the set-up.
    current: Lines,
    asked: bool,
}

#[derive(Debug, Default)]
struct Lines {
    text: Vec<u8>,
    entries: u64,
    /// Entries that did not fit and whose place is marked in the text.
    marked: u64,
    /// Entries that did not fit; nothing stands behind them.
    beyond: u64,
}

impl Lines {
    fn append(&mut self, user: UserNumber, mut more: Lines) {
        if !more.text.is_empty() {
            self.mark(user);
        }
        self.text.append(&mut more.text);
        self.entries += more.entries;
        self.marked += more.marked;
        self.beyond += more.beyond;
    }

    /// Says in the text what did not fit.
    fn mark(&mut self, user: UserNumber) {
        if self.beyond > 0 {
            recording::write_left_out(&mut self.text, user, self.beyond);
            self.marked += std::mem::take(&mut self.beyond);
        }
    }

    /// Entries that did not fit.
    fn lost(&self) -> u64 {
        self.marked + self.beyond
    }

    fn all(&self) -> u64 {
        self.entries + self.lost()
    }
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.parts().iter().map(|lines| lines.text.len()).sum()
    }

    /// An iteration begins: what stood before the last one is settled. Says how many entries are left out by that.
    fn begin(&mut self, user: UserNumber, fresh: bool) -> u64 {
        let settled = std::mem::take(&mut self.before).all();
        self.left_out += settled;
        let last = std::mem::take(&mut self.current);
        if fresh {
            // What a new session does not need goes with the iteration that needed it.
            let mut before = std::mem::take(&mut self.set_up);
            if self.resumed && self.left_out > 0 {
                recording::write_left_out(&mut before.text, user, std::mem::take(&mut self.left_out));
            }
            before.append(user, last);
            self.before = before;
        } else {
            self.before = last;
        }
        self.resumed = !fresh;
        self.asked = !fresh;
        settled
    }

    fn parts(&self) -> [&Lines; 3] {
        [&self.set_up, &self.before, &self.current]
    }

    /// Everything in its order, with the gaps.
    fn take(&mut self, user: UserNumber) -> Lines {
        let (set_up, before) = (std::mem::take(&mut self.set_up), std::mem::take(&mut self.before));
        let gap = Lines { beyond: std::mem::take(&mut self.left_out), ..Lines::default() };
        let current = std::mem::take(&mut self.current);
        let parts = if self.resumed { [set_up, gap, before, current] } else { [gap, before, set_up, current] };
        let mut all = Lines::default();
        parts.into_iter().for_each(|part| all.append(user, part));
        all.mark(user);
        all
    }
}

impl Recorder {
    /// A tape with nothing on it. Each judge of an execution has a number of its own: 0 that of the readiness.
    pub fn new(tapes: Arc<Tapes>, tape: u32) -> Recorder {
        Recorder { tapes, head: Head { tape, sequence: 0 }, block: Vec::new(), users: BTreeMap::new() }
    }

    /// A judge was told this of `user`, or of the target's readiness.
    pub fn note(&mut self, user: Option<UserNumber>, observed: &Observed<'_>) {
        if let Some(user) = user
            && !self.tapes.keeps_all()
            && !self.users.entry(user).or_default().kept
        {
            return self.wait(user, observed);
        }
        self.open_block();
        if let Some(user) = user
            && let Some(waiting) = self.users.get_mut(&user)
            && waiting.left_out > 0
        {
            recording::write_left_out(&mut self.block, user, std::mem::take(&mut waiting.left_out));
        }
        recording::write_entry(&mut self.block, user, observed);
        if self.block.len() >= BLOCK {
            self.flush();
        }
    }

    /// These users' streams show something wrong: they are kept from here on, with what waits of them.
    pub fn alarm(&mut self, users: BTreeSet<UserNumber>) {
        for user in users {
            if !self.users.get(&user).is_some_and(|waiting| waiting.kept) {
                self.tapes.wanted().insert(user);
                self.keep(user);
            }
        }
    }

    /// Hands on what was written so far.
    pub fn flush(&mut self) {
        if self.block.is_empty() {
            return;
        }
        let block = recording::encode(Kind::Tape, &std::mem::take(&mut self.block));
        let block = block.expect("a block is handed on long before it has a GiB");
        self.tapes.written.fetch_add(block.len() as u64, Ordering::Relaxed);
        (self.tapes.append)(&block);
        self.head.sequence += 1;
    }

    /// Nothing more will be told. What still waits is not kept, but counted.
    pub fn finish(mut self) {
        let users: Vec<UserNumber> = self.users.keys().copied().collect();
        for user in users {
            if self.tapes.wanted().contains(&user) {
                self.keep(user);
                continue;
            }
            let Some(waiting) = self.users.get_mut(&user) else { continue };
            let lost: u64 = waiting.parts().iter().map(|lines| lines.all()).sum();
            let gap = waiting.left_out + lost;
            self.tapes.waits(waiting.bytes(), 0);
            self.tapes.left_out.fetch_add(lost, Ordering::Relaxed);
            if gap > 0 {
                self.open_block();
                recording::write_left_out(&mut self.block, user, gap);
            }
        }
        self.flush();
    }

    fn open_block(&mut self) {
        if self.block.is_empty() {
            recording::write_head(&mut self.block, self.head);
        }
    }

    fn wait(&mut self, user: UserNumber, observed: &Observed<'_>) {
        let waiting = self.users.entry(user).or_default();
        let before = waiting.bytes();
        if let Observed::Fact(Fact::Began { fresh, .. }) = observed {
            let settled = waiting.begin(user, *fresh);
            self.tapes.left_out.fetch_add(settled, Ordering::Relaxed);
            self.tapes.waits(before, waiting.bytes());
            if self.tapes.wanted().contains(&user) {
                self.keep(user);
                return self.note(Some(user), observed);
            }
        }
        let waiting = self.users.entry(user).or_default();
        waiting.asked |= matches!(observed, Observed::Fact(Fact::Asked { .. }));
        let room = waiting.bytes() < WAITING_PER_USER && self.tapes.waiting.load(Ordering::Relaxed) < WAITING;
        let lines = if waiting.asked { &mut waiting.current } else { &mut waiting.set_up };
        // Behind a gap nothing of an iteration can be judged.
        if room && lines.beyond == 0 {
            let before = lines.text.len();
            recording::write_entry(&mut lines.text, Some(user), observed);
            lines.entries += 1;
            self.tapes.waits(before, lines.text.len());
        } else {
            lines.beyond += 1;
        }
    }

    fn keep(&mut self, user: UserNumber) {
        let Some(waiting) = self.users.get_mut(&user) else {
            // Of another thread, or everything was kept so far.
            return;
        };
        waiting.kept = true;
        self.tapes.waits(waiting.bytes(), 0);
        let lost = waiting.parts().iter().map(|lines| lines.lost()).sum();
        self.tapes.left_out.fetch_add(lost, Ordering::Relaxed);
        let lines = waiting.take(user);
        if !lines.text.is_empty() {
            self.open_block();
            self.block.extend_from_slice(&lines.text);
        }
        if self.block.len() >= BLOCK {
            self.flush();
        }
    }
}
