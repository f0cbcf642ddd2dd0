//! A timer that is set anew again and again, most of the time to a later instant than before.
//!
//! Of the runtime's own timers each is put into its wheel and taken out again, which for a user who hears many events is most of what
//! waiting costs. This one is left where it is while it rings too early, and set anew when it does.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::task::{Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// The timer; nothing is set before it is first waited for.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    timer: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Waits until `due`; for ever without one. Cancel-safe.
    pub async fn at(&mut self, due: Option<Instant>) {
        let Some(due) = due else { return pending().await };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        poll_fn(|cx| {
            if timer.deadline() > due {
                timer.as_mut().reset(due);
            }
            loop {
                ready!(timer.as_mut().poll(cx));
                if timer.deadline() >= due {
                    return Poll::Ready(());
                }
                timer.as_mut().reset(due);
            }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::time::Micros;

    fn in_ms(ms: u64) -> Option<Instant> {
        Some(Instant::now() + Micros::from_millis(ms).to_std())
    }

    /// How many milliseconds go by.
    async fn takes(waiting: impl Future<Output = ()>) -> u128 {
        let from = Instant::now();
        waiting.await;
        from.elapsed().as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn it_rings_when_it_was_last_set_to() {
        let mut alarm = Alarm::default();
        assert_eq!(takes(alarm.at(in_ms(100))).await, 100);
        assert_eq!(takes(alarm.at(in_ms(100))).await, 100, "it has rung, and rings again");
        for (first, then) in [(50, 70), (70, 50), (70, 70)] {
            let (first, then) = (in_ms(first), (in_ms(then), then));
            assert!(alarm.at(first).now_or_never().is_none());
            assert_eq!(takes(alarm.at(then.0)).await, then.1.into());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_past_rings_at_once_and_nothing_never() {
        let mut alarm = Alarm::default();
        let due = in_ms(5);
        tokio::time::advance(Micros::from_millis(20).to_std()).await;
        assert_eq!(takes(alarm.at(due)).await, 0);
        assert_eq!(takes(alarm.at(due)).await, 0);
        assert!(alarm.at(None).now_or_never().is_none());
        assert!(alarm.at(in_ms(10)).now_or_never().is_none(), "what rang does not ring for the next");
    }
}
