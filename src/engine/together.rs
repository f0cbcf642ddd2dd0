//! Many users on one thread, each of whom goes on as soon as something happened for him.
//!
//! Tokio lets a task do 128 things between two looks at what is ready (`tokio::task::coop`), and counts those of all users
//! together where they are one task. Beyond the first few dozen each would be asked in vain, and again after the next look. Here
//! the users' turns are counted instead, so that a look comes as often and nobody is asked in vain. Whoever can go on
//! without end has to give way himself; a user's turn is not ended from here.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::task::coop::unconstrained;

/// Turns between two looks, as many as tokio has between those of tasks (`event_interval`).
const TURNS: u32 = 61;

/// Runs `users` until all are done and gives what `keep` keeps of what each brings back, in the order in which they come.
pub async fn all_together<F: Future, T>(
    users: impl IntoIterator<Item = F>,
    keep: impl Fn(F::Output) -> Option<T>,
) -> Vec<T> {
    let left = Rc::new(Cell::new(0));
    let member = |user| Member { user: Box::pin(user), left: Rc::clone(&left) };
    let mut members: FuturesUnordered<_> = users.into_iter().map(member).collect();
    let mut kept = Vec::new();
    let all = poll_fn(|cx| {
        left.set(TURNS);
        while let Some(brought) = ready!(members.poll_next_unpin(cx)) {
            kept.extend(keep(brought));
        }
        Poll::Ready(())
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
    use std::pin::pin;

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn nobody_is_asked_in_vain_and_looks_come_in_between() {
        let (looks, asked, permits) = (Cell::new(0), Cell::new(0), Semaphore::new(1));
        let users = (0..200).map(|_| async {
            let mut doing = pin!(async {
                // Things that tokio counts: four of each user, more of all than a task may do at a time.
                for _ in 0..4 {
                    drop(permits.acquire().await);
                }
                looks.get()
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
            done = all_together(users, Some) => done,
        };
        assert_eq!(asked.get(), 200);
        let between: Vec<_> = done.chunk_by(|one, next| one == next).map(<[i32]>::len).collect();
        assert_eq!(between, [61, 61, 61, 17]);
    }

    #[tokio::test]
    async fn what_is_kept_comes_in_the_order_in_which_users_are_done() {
        let turns = |user: usize| async move {
            for _ in 0..user {
                tokio::task::yield_now().await;
            }
            user
        };
        let kept = all_together([3, 0, 2, 1].map(turns), |user| (user != 2).then_some(user)).await;
        assert_eq!(kept, [0, 1, 3]);
    }
}
