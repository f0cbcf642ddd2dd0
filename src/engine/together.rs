//! Many users on one thread, each of whom goes on as soon as something happened for him.
//!
//! Who is under way goes before who has not begun. If thousands began at once, each would be come back to when all others had been
//! gone through, and the caches would hold nothing of him any more; and what is timed of his login would be the harness's own
//! queue. A target that is slower than the harness has them all under way as soon as if they had begun together.
//!
//! Tokio lets a task do 128 things between two looks at what is ready (`tokio::task::coop`), and counts those of all users
//! together where they are one task. Beyond the first few dozen each would be asked in vain, and again after the next look. Here
//! the users' turns are counted instead, so that a look comes as often and nobody is asked in vain. Whoever can go on
//! without end has to give way himself; a user's turn is not ended from here.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::task::{coop::unconstrained, yield_now};

/// Turns between two looks, as many as tokio has between those of tasks (`event_interval`).
const TURNS: u32 = 61;

/// How many users begin between two looks.
const BEGINNERS: u32 = 16;

/// Runs `users` until all are done and gives what some of them bring back, in the order in which they come. Each is made when he
/// begins.
pub async fn all_together<T>(users: impl IntoIterator<Item = impl Future<Output = Option<T>>>) -> Vec<T> {
    let left = Rc::new(Cell::new(0));
    let mut coming = users.into_iter().fuse().map(|user| Member { user: Box::pin(user), left: Rc::clone(&left) });
    let mut members = FuturesUnordered::new();
    let mut kept = Vec::new();
    let all = poll_fn(|cx| {
        left.set(TURNS);
        let mut begun = 0;
        loop {
            let polled = members.poll_next_unpin(cx);
            if let Poll::Ready(Some(brought)) = polled {
                kept.extend(brought);
                continue;
            }
            // Nobody under way can go on, or all turns are taken. If that never ends, users begin all the same.
            let most = if left.get() == 0 { 1 } else { BEGINNERS };
            if begun >= most {
                // Goes on after the next look, whatever it brings: those under way may wait for those who have not begun.
                return pin!(yield_now()).poll(cx);
            }
            match coming.next() {
                Some(user) => members.push(user),
                None => return polled.map(|_| ()),
            }
            begun += 1;
        }
    });
    unconstrained(all).await;
    kept
}

/// One of them.
struct Member<F> {
    user: Pin<Box<F>>,
    /// Turns until the next look.
    left: Rc<Cell<u32>>,
}

impl<F: Future> Future for Member<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(left) = self.left.get().checked_sub(1) else {
            // Two who are put off end the round: `FuturesUnordered` lets others go first when it sees that.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        self.left.set(left);
        self.user.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn nobody_is_asked_in_vain_and_looks_come_in_between() {
        let (looks, begun, asked) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let (everybody, permits) = (Semaphore::new(0), Semaphore::new(1));
        let users = (0..200).map(|_| async {
            begun.set(begun.get() + 1);
            if begun.get() == 200 {
                everybody.close();
            }
            assert!(everybody.acquire().await.is_err());
            let mut doing = pin!(async {
                // Things that tokio counts: four of each user, more of all than a task may do at a time.
                for _ in 0..4 {
                    drop(permits.acquire().await);
                }
                Some(looks.get())
            });
            poll_fn(|cx| {
                asked.set(asked.get() + 1);
                doing.as_mut().poll(cx)
            })
            .await
        });
        let looking = poll_fn(|cx| {
            looks.set(looks.get() + 1);
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        let done = tokio::select! {
            biased;
            () = looking => Vec::new(),
            done = all_together(users) => done,
        };
        assert_eq!(asked.get(), 200);
        let between: Vec<_> = done.chunk_by(|one, next| one == next).map(<[i32]>::len).collect();
        // The last eight took as many turns to begin, and he who let all others go had not waited.
        assert_eq!(between, [61 - 8 + 1, 61, 61, 24]);
    }

    #[tokio::test]
    async fn who_is_under_way_goes_before_who_has_not_begun() {
        let (under_way, most) = (Cell::new(0), Cell::new(0));
        let users = (0..200).map(|_| async {
            under_way.set(under_way.get() + 1);
            most.set(most.get().max(under_way.get()));
            // Can go on from the next look on.
            tokio::task::yield_now().await;
            under_way.set(under_way.get() - 1);
            None::<()>
        });
        all_together(users).await;
        assert_eq!(most.get(), BEGINNERS);
    }

    #[tokio::test(start_paused = true)]
    async fn all_begin_where_the_last_turn_is_taken_and_nobody_can_go_on() {
        let (some, everybody) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let begun = Arc::new(AtomicU32::new(0));
        let (opened, counted) = (Arc::clone(&some), Arc::clone(&begun));
        // Between two looks, so that nobody is woken while it is somebody's turn.
        tokio::spawn(async move {
            while counted.load(Ordering::Relaxed) < 3 * BEGINNERS {
                yield_now().await;
            }
            opened.close();
        });
        let users = (0..200).map(|nth| {
            let (some, everybody, begun) = (Arc::clone(&some), Arc::clone(&everybody), Arc::clone(&begun));
            async move {
                begun.fetch_add(1, Ordering::Relaxed);
                if nth == 199 {
                    everybody.close();
                } else if nth < TURNS - BEGINNERS {
                    // Take with those who begin then as many turns as there are.
                    assert!(some.acquire().await.is_err());
                }
                assert!(everybody.acquire().await.is_err());
                Some(())
            }
        });
        let all = tokio::time::timeout(std::time::Duration::from_secs(1), all_together(users)).await;
        assert_eq!(all.map(|done| done.len()), Ok(200));
    }

    #[tokio::test]
    async fn all_begin_where_nobody_rests() {
        let begun = Cell::new(0);
        let users = (0..200).map(|_| async {
            begun.set(begun.get() + 1);
            poll_fn(|cx| match begun.get() {
                200 => Poll::Ready(()),
                _ => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            })
            .await;
            Some(())
        });
        assert_eq!(all_together(users).await.len(), 200);
    }

    #[tokio::test]
    async fn nobody_is_done_at_once() {
        let nobody: [std::future::Ready<Option<()>>; 0] = [];
        assert!(all_together(nobody).await.is_empty());
    }

    #[tokio::test]
    async fn what_is_kept_comes_in_the_order_in_which_users_are_done() {
        let turns = |user: usize| async move {
            for _ in 0..user {
                tokio::task::yield_now().await;
            }
            (user != 2).then_some(user)
        };
        let kept = all_together([3, 0, 2, 1].map(turns)).await;
        assert_eq!(kept, [0, 1, 3]);
    }
}
