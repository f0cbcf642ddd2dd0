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

/// Appends a block to the recording.
type Append = dyn Fn(&[u8]) + Send + Sync;

/// The tapes of an execution: what the threads that record share.
pub struct Tapes {
    keep: Keep,
    append: Box<Append>,
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
    /// Where blocks are compressed.
    packed: Vec<u8>,
    users: BTreeMap<UserNumber, Waiting>,
}

/// What waits of one user.
#[derive(Debug, Default)]
struct Waiting {
    /// Nothing waits any more: this user is kept.
    kept: bool,
    /// Entries that were left out before everything that waits.
    earlier: u64,
    /// From login to the first ask of the session that the iteration in flight uses.
    set_up: Lines,
    /// That iteration is not the first of its session, so that its set-up stands before what was left out.
    resumed: bool,
    /// Entries that were left out behind the set-up.
    left_out: u64,
    /// The iteration before.
    before: Lines,
    /// The iteration in flight, without the set-up.
    current: Lines,
    /// The set-up is over.
    asked: bool,
}

#[derive(Debug, Default)]
struct Lines {
    text: Vec<u8>,
    entries: u64,
    /// Entries that were left out and whose place is marked in the text.
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

    /// Entries that stood here once.
    fn all(&self) -> u64 {
        self.entries + self.marked + self.beyond
    }
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.parts().iter().map(|lines| lines.text.len()).sum()
    }

    /// An iteration begins: what stood before the last one is settled.
    fn begin(&mut self, user: UserNumber, fresh: bool) {
        self.settle();
        let last = std::mem::take(&mut self.current);
        self.before = match fresh {
            true => {
                // What a new session does not need goes with the iteration that needed it.
                let mut before = std::mem::take(&mut self.set_up);
                before.beyond += std::mem::take(&mut self.left_out);
                before.append(user, last);
                before
            }
            false => last,
        };
        self.resumed = !fresh;
        self.asked = !fresh;
        if self.bytes() >= WAITING_PER_USER {
            self.settle();
        }
    }

    fn settle(&mut self) {
        let settled = std::mem::take(&mut self.before).all();
        *if self.resumed { &mut self.left_out } else { &mut self.earlier } += settled;
    }

    fn parts(&self) -> [&Lines; 3] {
        [&self.set_up, &self.before, &self.current]
    }

    /// Everything in its order, with the gaps.
    fn take(&mut self, user: UserNumber) -> Lines {
        let [set_up, before, current] = [&mut self.set_up, &mut self.before, &mut self.current].map(std::mem::take);
        let gap = Lines { beyond: std::mem::take(&mut self.left_out), ..Lines::default() };
        let parts = if self.resumed { [set_up, gap, before, current] } else { [before, set_up, gap, current] };
        let mut all = Lines { beyond: std::mem::take(&mut self.earlier), ..Lines::default() };
        parts.into_iter().for_each(|part| all.append(user, part));
        all.mark(user);
        all
    }
}

impl Recorder {
    /// A tape with nothing on it. Each judge of an execution has a number of its own: 0 that of the readiness.
    pub fn new(tapes: Arc<Tapes>, tape: u32) -> Recorder {
        Recorder {
            tapes,
            head: Head { tape, sequence: 0 },
            block: Vec::new(),
            packed: Vec::new(),
            users: BTreeMap::new(),
        }
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
        let packed = recording::encode_within(Kind::Tape, &self.block, &mut self.packed);
        let packed = packed.expect("a block is handed on long before it has a GiB");
        self.tapes.written.fetch_add(packed.len() as u64, Ordering::Relaxed);
        (self.tapes.append)(packed);
        self.block.clear();
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
            let gap = waiting.earlier + waiting.left_out + lost;
            self.tapes.waits(waiting.bytes(), 0);
            self.tapes.left_out.fetch_add(gap, Ordering::Relaxed);
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
            waiting.begin(user, *fresh);
            self.tapes.waits(before, waiting.bytes());
            if self.tapes.wanted().contains(&user) {
                self.keep(user);
                return self.note(Some(user), observed);
            }
        }
        let waiting = self.users.entry(user).or_default();
        waiting.asked |= matches!(observed, Observed::Fact(Fact::Asked { .. }));
        let room = waiting.bytes() < WAITING_PER_USER && self.tapes.waiting.load(Ordering::Relaxed) < WAITING;
        // Behind a gap nothing of an iteration can be judged.
        let whole = waiting.set_up.beyond == 0 && waiting.current.beyond == 0;
        let lines = if waiting.asked { &mut waiting.current } else { &mut waiting.set_up };
        if room && whole {
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
        let lines = waiting.take(user);
        self.tapes.left_out.fetch_add(lines.marked, Ordering::Relaxed);
        if !lines.text.is_empty() {
            self.open_block();
            self.block.extend_from_slice(&lines.text);
        }
        if self.block.len() >= BLOCK {
            self.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::Iteration;
    use crate::time::Stamp;
    use crate::trace::recording::{Line, Part, Reader, encode, preface};

    /// A file in memory that a recorder writes to.
    struct Memory {
        file: Arc<Mutex<Vec<u8>>>,
        tapes: Arc<Tapes>,
    }

    impl Memory {
        fn new(keep: Keep) -> Memory {
            let header = encode(Kind::Header, b"{}").expect("it is small");
            let file = Arc::new(Mutex::new([preface(), header].concat()));
            let shared = Arc::clone(&file);
            let append = move |block: &[u8]| shared.lock().unwrap().extend_from_slice(block);
            Memory { file, tapes: Arc::new(Tapes::new(keep, append)) }
        }

        fn recorder(&self, tape: u32) -> Recorder {
            Recorder::new(Arc::clone(&self.tapes), tape)
        }

        /// Of each user what was kept, by its stamp, and how many entries were left out, in the order of the file.
        fn read(&self) -> BTreeMap<UserNumber, Vec<Result<u64, u64>>> {
            let file = self.file.lock().unwrap();
            let mut reader = Reader::open(&file[..]).expect("a recording");
            let mut users: BTreeMap<_, Vec<_>> = BTreeMap::new();
            while let Some(part) = reader.next_part().expect("a block") {
                let Part::Tape(_, lines) = part else { continue };
                for text in lines.split(|byte| *byte == b'\n').filter(|text| !text.is_empty()) {
                    let (user, line) = match Line::read(text).expect("a line") {
                        Line::Entry(entry) => (entry.user.expect("a user"), Ok(time_of(&entry.observed))),
                        Line::LeftOut { user, entries } => (user, Err(entries)),
                    };
                    users.entry(user).or_default().push(line);
                }
            }
            users
        }
    }

    fn time_of(observed: &Observed<'_>) -> u64 {
        match observed {
            Observed::Frame(frame) => frame.at.0,
            Observed::Fact(fact) => fact.at().0,
            Observed::Quiet(until) => until.0,
        }
    }

    const USER: UserNumber = UserNumber(7);

    fn began(at: u64, fresh: bool) -> Observed<'static> {
        let at = Stamp(at);
        Observed::Fact(Fact::Began { iteration: Iteration(1), scheduled: at, at, fresh, apart: false })
    }

    fn asked(at: u64, bytes: usize) -> Observed<'static> {
        let (run, thread, prompt) = (None, None, "x".repeat(bytes));
        Observed::Fact(Fact::Asked { turn: 0, at: Stamp(at), run, thread, prompt })
    }

    fn quiet(at: u64) -> Observed<'static> {
        Observed::Quiet(Stamp(at))
    }

    fn alarm(recorder: &mut Recorder, user: UserNumber) {
        recorder.alarm(BTreeSet::from([user]));
    }

    #[test]
    fn a_clean_user_leaves_only_a_count() {
        let memory = Memory::new(Keep::Failures);
        let mut recorder = memory.recorder(1);
        (0..3).for_each(|at| recorder.note(Some(USER), &quiet(at)));
        recorder.finish();
        assert_eq!(memory.read(), BTreeMap::from([(USER, vec![Err(3)])]));
        assert_eq!(memory.tapes.left_out(), 3);
        assert_eq!(memory.tapes.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn of_a_failing_user_the_iteration_before_and_everything_after_are_kept() {
        let memory = Memory::new(Keep::Failures);
        let mut recorder = memory.recorder(1);
        for iteration in 0..4 {
            recorder.note(Some(USER), &began(10 * iteration, true));
            recorder.note(Some(USER), &asked(10 * iteration + 1, 3));
        }
        alarm(&mut recorder, USER);
        recorder.note(Some(USER), &quiet(40));
        recorder.finish();
        assert_eq!(memory.read()[&USER], [Err(4), Ok(20), Ok(21), Ok(30), Ok(31), Ok(40)]);
        assert_eq!(memory.tapes.left_out(), 4);
    }

    #[test]
    fn the_set_up_of_a_session_stays_as_long_as_the_session() {
        let memory = Memory::new(Keep::Failures);
        let mut recorder = memory.recorder(1);
        for iteration in 0..4 {
            recorder.note(Some(USER), &began(10 * iteration, iteration == 0));
            recorder.note(Some(USER), &quiet(10 * iteration + 1));
            recorder.note(Some(USER), &asked(10 * iteration + 2, 3));
        }
        alarm(&mut recorder, USER);
        recorder.finish();
        // Login and connect, then what is missing, then the last two iterations.
        assert_eq!(memory.read()[&USER][..4], [Ok(0), Ok(1), Err(4), Ok(20)]);
    }

    #[test]
    fn an_iteration_that_is_too_long_is_cut_where_it_no_longer_fits() {
        let memory = Memory::new(Keep::Failures);
        let mut recorder = memory.recorder(1);
        recorder.note(Some(USER), &began(0, true));
        recorder.note(Some(USER), &asked(1, WAITING_PER_USER));
        recorder.note(Some(USER), &quiet(2));
        recorder.note(Some(USER), &quiet(3));
        recorder.note(Some(USER), &began(4, true));
        alarm(&mut recorder, USER);
        recorder.finish();
        // The long one would leave no room for the next; its beginning alone is not worth that.
        assert_eq!(memory.read()[&USER], [Err(4), Ok(4)]);
        let mut recorder = memory.recorder(2);
        let other = UserNumber(8);
        recorder.note(Some(other), &began(0, true));
        recorder.note(Some(other), &asked(1, WAITING_PER_USER));
        recorder.note(Some(other), &quiet(2));
        alarm(&mut recorder, other);
        recorder.note(Some(other), &quiet(3));
        recorder.finish();
        assert_eq!(memory.read()[&other], [Ok(0), Ok(1), Err(1), Ok(3)]);
        assert_eq!(memory.tapes.left_out(), 4 + 1);
    }

    #[test]
    fn whose_mark_leaked_on_another_thread_is_kept_from_the_next_iteration_on() {
        let memory = Memory::new(Keep::Failures);
        let (mut one, mut other) = (memory.recorder(1), memory.recorder(2));
        one.note(Some(USER), &began(0, true));
        other.note(Some(UserNumber(8)), &began(1, true));
        alarm(&mut other, USER);
        one.note(Some(USER), &began(2, true));
        one.finish();
        other.finish();
        assert_eq!(memory.read(), BTreeMap::from([(USER, vec![Ok(0), Ok(2)]), (UserNumber(8), vec![Err(1)])]));
    }

    #[test]
    fn beyond_its_size_only_failures_are_kept() {
        let memory = Memory::new(Keep::AllUpTo(1));
        let mut recorder = memory.recorder(1);
        recorder.note(Some(USER), &began(0, true));
        recorder.flush();
        recorder.note(Some(USER), &quiet(1));
        recorder.finish();
        assert_eq!(memory.read()[&USER], [Ok(0), Err(1)]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Note(u32, u8),
        Alarm(u32),
        Flush,
    }

    proptest! {
        /// Whatever is kept stands in its order, and every gap is counted exactly where it is.
        #[test]
        fn what_is_kept_and_what_is_left_out_are_everything(
            steps in prop::collection::vec(prop_oneof![
                20 => (0..4_u32, 0..6_u8).prop_map(|(user, kind)| Step::Note(user, kind)),
                1 => (0..4_u32).prop_map(Step::Alarm),
                1 => Just(Step::Flush),
            ], 0..200),
            keep in prop_oneof![Just(Keep::All), Just(Keep::Failures), Just(Keep::AllUpTo(600))],
        ) {
            let memory = Memory::new(keep);
            let mut recorders = [memory.recorder(1), memory.recorder(2)];
            let mut told = BTreeMap::<UserNumber, u64>::new();
            for step in steps {
                match step {
                    Step::Note(user, kind) => {
                        let at = told.entry(UserNumber(user)).or_default();
                        let observed = match kind {
                            0 => began(*at, true),
                            1 => began(*at, false),
                            2 => asked(*at, 20_000),
                            _ => quiet(*at),
                        };
                        *at += 1;
                        recorders[user as usize % 2].note(Some(UserNumber(user)), &observed);
                    }
                    Step::Alarm(user) => alarm(&mut recorders[0], UserNumber(user)),
                    Step::Flush => recorders[1].flush(),
                }
            }
            recorders.into_iter().for_each(Recorder::finish);
            let mut left_out = 0;
            for (user, lines) in memory.read() {
                let mut next = 0;
                for line in lines {
                    match line {
                        Ok(at) => { prop_assert_eq!(at, next, "of user {}", user); next += 1; }
                        Err(entries) => { next += entries; left_out += entries; }
                    }
                }
                prop_assert_eq!(Some(&next), told.get(&user), "of user {}", user);
                told.remove(&user);
            }
            prop_assert!(told.is_empty(), "nothing is said of {:?}", told);
            prop_assert_eq!(memory.tapes.left_out(), left_out);
            prop_assert_eq!(memory.tapes.waiting.load(Ordering::Relaxed), 0);
        }
    }
}
