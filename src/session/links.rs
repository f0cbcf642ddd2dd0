//! The links of one thread: connections that carry one HTTP request at a time, and those of them that stand idle.
//!
//! A link has no task of its own: it works while somebody waits for what it brings, which spares a task and a switch between two
//! for every request. Which link a request is sent over, and what its failure means, is `http`'s.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::transport::wire::Wire;

/// How long an unused link is kept. Servers hang up after five seconds (Node, uvicorn) or later; a request that meets
/// the hanging-up is lost without the target's fault.
const IDLE: Duration = Duration::from_secs(2);
/// Unused links kept per address and thread; more would take descriptors from the users' sockets.
pub const IDLE_CONNECTIONS: usize = 16;

/// A request as it is sent.
pub(super) type Message = Request<Full<Bytes>>;

/// A connection that carries one request at a time.
#[derive(Debug)]
pub(super) struct Link {
    sender: SendRequest<Full<Bytes>>,
    /// What reads and writes; `None` once the connection is over.
    worker: Option<Box<Worker>>,
}

type Worker = http1::Connection<TokioIo<Wire<TcpStream>>, Full<Bytes>>;

impl Link {
    /// HTTP/1.1 over `wire`; nothing is sent yet.
    pub(super) async fn over(wire: Wire<TcpStream>) -> hyper::Result<Link> {
        let (sender, worker) = http1::handshake(TokioIo::new(wire)).await?;
        Ok(Link { sender, worker: Some(Box::new(worker)) })
    }

    /// The head of the answer. An error that has the message with it came before any of it was sent.
    pub(super) async fn ask(&mut self, message: Message) -> Result<Response<Incoming>, Box<TrySendError<Message>>> {
        let mut asked = std::pin::pin!(self.sender.try_send_request(message));
        let worker = &mut self.worker;
        poll_fn(|cx| beside(worker, cx, |cx| asked.as_mut().poll(cx))).await.map_err(Box::new)
    }

    /// The next bytes of the answer's body, or `None` at its end.
    pub(super) async fn read(&mut self, body: &mut Incoming) -> hyper::Result<Option<Bytes>> {
        loop {
            let frame = poll_fn(|cx| beside(&mut self.worker, cx, |cx| Pin::new(&mut *body).poll_frame(cx))).await;
            match frame.transpose()? {
                None => return Ok(None),
                // Trailers are of no use to anybody.
                Some(frame) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// The answer was read to its end, and both sides are ready for another request.
    fn is_idle(&self) -> bool {
        self.worker.is_some() && self.sender.is_ready()
    }

    /// Hangs up as politely as can be done without waiting.
    fn hang_up(self) {
        let Link { sender, mut worker } = self;
        drop(sender);
        work(&mut worker, &mut Context::from_waker(Waker::noop()));
    }
}

/// Lets the worker work, then looks whether it brought what is waited for.
fn beside<T>(
    worker: &mut Option<Box<Worker>>,
    cx: &mut Context<'_>,
    wanted: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    work(worker, cx);
    wanted(cx)
}

/// A worker that is done is dropped at once: that is when it hands back what it did not get to. Why it is done, those know who
/// wait for an answer or for a body.
fn work(worker: &mut Option<Box<Worker>>, cx: &mut Context<'_>) {
    if worker.as_mut().is_some_and(|worker| Pin::new(worker).poll(cx).is_ready()) {
        *worker = None;
    }
}

/// The links of one thread that stand idle. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Idle(Arc<Mutex<Standing>>);

#[derive(Debug, Default)]
struct Standing {
    /// The longest idle first.
    links: Vec<(Instant, String, Link)>,
    /// Somebody is there who hangs up when the time has come.
    watched: bool,
}

impl Idle {
    /// The link to `address` that was used last.
    pub(super) fn take(&self, address: &str) -> Option<Link> {
        let mut standing = self.lock();
        standing.forget(Instant::now());
        let last = standing.links.iter().rposition(|(_, to, _)| to == address)?;
        Some(standing.links.remove(last).2)
    }

    /// Keeps a link to `address`, if it can be used again and there are not enough of them.
    pub(super) fn keep(&self, address: String, link: Link) {
        let mut standing = self.lock();
        if !link.is_idle() || standing.links.iter().filter(|(_, to, _)| *to == address).count() >= IDLE_CONNECTIONS {
            return link.hang_up();
        }
        standing.links.push((Instant::now(), address, link));
        if !std::mem::replace(&mut standing.watched, true) {
            tokio::spawn(watch(Arc::downgrade(&self.0)));
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock().links.len()
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    /// Hangs up where nothing was to be done for too long, as of `now`.
    fn forget(&mut self, now: Instant) {
        let late = self.links.partition_point(|(since, ..)| *since + IDLE <= now);
        self.links.drain(..late).for_each(|(_, _, link)| link.hang_up());
    }
}

/// Hangs up in time, until nothing stands idle.
async fn watch(idle: Weak<Mutex<Standing>>) {
    while let Some(idle) = idle.upgrade().map(Idle) {
        let next = {
            let mut standing = idle.lock();
            standing.forget(Instant::now());
            let Some((since, ..)) = standing.links.first() else {
                standing.watched = false;
                return;
            };
            *since + IDLE
        };
        drop(idle);
        sleep_until(next).await;
    }
}
