//! One thread per shard, each with its own runtime; nothing is shared but what the caller shares.
//!
//! A task never moves between threads, so users need no locks. How users are divided is the plan's business.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::runtime;
use tokio::task::LocalSet;

use super::looks;

/// Which shard this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardContext {
    /// From 0.
    pub index: usize,
    /// Of how many.
    pub count: usize,
}

/// Called on each runtime's thread around every sleep of its loop, for those who stamp what wakes it.
#[derive(Debug, Clone, Copy)]
pub struct Hooks {
    /// Just before the loop looks for something to do.
    pub parking: fn(),
    /// When it has something to do.
    pub woken: fn(),
}

/// Why a shard brings nothing back.
#[derive(Debug, thiserror::Error)]
pub enum ShardFailure {
    /// Its runtime or thread could not be made.
    #[error("thread {index} could not be started")]
    NotStarted {
        /// Which shard.
        index: usize,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// It broke; a defect of the harness.
    #[error("thread {index} broke: {message}")]
    Broke {
        /// Which shard.
        index: usize,
        /// What it said.
        message: String,
    },
}

/// Sockets reported by one look of the loop at most. What is ready and not reported would seem to arrive after the look; so
/// as many as a process may usually open (12 bytes each, once per thread).
const EVENTS_PER_LOOK: usize = 20_000;

/// Runs one shard per input and returns what each brought back, in their order. A shard that breaks does not end the others.
///
/// The first runs on the calling thread, so that a single shard starts no thread. Tasks are started inside with
/// `tokio::task::spawn_local`. Those that are still running when `shard` returns are dropped. Not to be called within a runtime.
pub fn run_shards<I, A>(
    inputs: Vec<I>,
    hooks: Hooks,
    shard: impl AsyncFn(ShardContext, I) -> A + Sync,
) -> Vec<Result<A, ShardFailure>>
where
    I: Send,
    A: Send,
{
    let count = inputs.len();
    let run = |index: usize, input: I| run_one(ShardContext { index, count }, input, hooks, &shard);
    let mut inputs = inputs.into_iter().enumerate();
    let Some((_, first)) = inputs.next() else { return Vec::new() };
    std::thread::scope(|scope| {
        let run = &run;
        let started: Vec<_> = inputs
            .map(|(index, input)| {
                let thread = std::thread::Builder::new().name(format!("shard-{index}"));
                (index, thread.spawn_scoped(scope, move || run(index, input)))
            })
            .collect();
        let mut results = vec![run(0, first)];
        results.extend(started.into_iter().map(|(index, thread)| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| Err(broke(index, panic))),
            Err(source) => Err(ShardFailure::NotStarted { index, source }),
        }));
        results
    })
}

fn run_one<I, A>(
    context: ShardContext,
    input: I,
    hooks: Hooks,
    shard: &impl AsyncFn(ShardContext, I) -> A,
) -> Result<A, ShardFailure> {
    let index = context.index;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .max_io_events_per_tick(EVENTS_PER_LOOK)
        .on_thread_park(move || {
            looks::parking();
            (hooks.parking)();
        })
        .on_thread_unpark(move || {
            looks::woken();
            (hooks.woken)();
        })
        .build()
        .map_err(|source| ShardFailure::NotStarted { index, source })?;
    // What a broken shard leaves behind is dropped with its runtime, here.
    let run = AssertUnwindSafe(|| LocalSet::new().block_on(&runtime, shard(context, input)));
    let result = catch_unwind(run).map_err(|panic| broke(index, panic));
    // A name that is still being looked up would hold the thread until the system gives up.
    runtime.shutdown_background();
    result
}

fn broke(index: usize, panic: Box<dyn Any + Send>) -> ShardFailure {
    let message = match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or("without a word").to_owned(),
    };
    ShardFailure::Broke { index, message }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;
    use std::sync::Barrier;

    use super::*;

    const NO_HOOKS: Hooks = Hooks { parking: || {}, woken: || {} };

    #[test]
    fn shards_run_at_once_and_answer_in_order() {
        let together = Barrier::new(3);
        let results = run_shards(vec!["a", "b", "c"], NO_HOOKS, async |context, input| {
            // Passes only if all three are running.
            together.wait();
            format!("{input}{}/{}", context.index, context.count)
        });
        let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
        assert_eq!(results, ["a0/3", "b1/3", "c2/3"]);
    }

    #[test]
    fn a_single_shard_stays_on_the_calling_thread() {
        let here = std::thread::current().id();
        let results = run_shards(vec![()], NO_HOOKS, async |_, ()| std::thread::current().id());
        assert_eq!(results.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [here]);
    }

    #[test]
    fn users_of_a_shard_share_without_locks() {
        let results = run_shards(vec![10, 20], NO_HOOKS, async |_, users| {
            let done = Rc::new(RefCell::new(0));
            let tasks: Vec<_> = (0..users)
                .map(|_| {
                    let done = Rc::clone(&done);
                    tokio::task::spawn_local(async move {
                        tokio::task::yield_now().await;
                        *done.borrow_mut() += 1;
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            done.take()
        });
        assert_eq!(results.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [10, 20]);
    }

    #[test]
    fn a_shard_that_breaks_does_not_end_the_others() {
        let results = run_shards(vec![0, 1, 2], NO_HOOKS, async |_, input: i32| {
            assert!(input == 1, "input {input} is bad");
            input
        });
        let texts: Vec<_> = results.into_iter().map(|result| result.map_err(|error| error.to_string())).collect();
        let broke = |index: usize| Err(format!("thread {index} broke: input {index} is bad"));
        assert_eq!(texts, [broke(0), Ok(1), broke(2)]);
    }

    #[test]
    fn the_hooks_surround_every_sleep_of_each_thread() {
        thread_local! {
            static PARKED: Cell<u32> = const { Cell::new(0) };
            static WOKEN: Cell<u32> = const { Cell::new(0) };
        }
        let hooks = Hooks { parking: || PARKED.set(PARKED.get() + 1), woken: || WOKEN.set(WOKEN.get() + 1) };
        let results = run_shards(vec![(), ()], hooks, async |_, ()| {
            // A timer is the surest way to make a loop park.
            let timer = tokio::time::timeout(std::time::Duration::from_millis(1), std::future::pending::<()>());
            timer.await.unwrap_err();
            (PARKED.get(), WOKEN.get())
        });
        for result in results {
            let (parked, woken) = result.unwrap();
            assert!(parked > 0 && parked == woken, "{parked} {woken}");
        }
    }

    #[test]
    fn nothing_to_run_is_nothing_brought_back() {
        assert!(run_shards(Vec::<()>::new(), NO_HOOKS, async |_, ()| ()).is_empty());
    }
}
