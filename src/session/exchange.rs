//! One HTTP exchange over a connection, and the connections of one thread that stand idle.
//!
//! An exchange has no task of its own: it goes on while somebody waits for what it brings, which spares a task, and the switches
//! between two, for every request. Over which connection a request goes, and what its failure means, is `http`'s.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use http_body_util::Full;
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep_until};

use super::transport::wire::{self, Wire};

/// How long an unused connection is kept. Servers hang up after five seconds (Node, uvicorn) or later; a request that meets
/// the hanging-up is lost without the target's fault.
const IDLE: Duration = Duration::from_secs(2);
/// How long a connection must have stood idle before it is used again. A target that hangs up behind its answer without having said
/// so (RFC 9112, section 9.5) does it at once, but its good-bye may arrive after the answer was read.
pub(super) const SETTLED: Duration = Duration::from_millis(10);
/// Unused connections kept per address and thread; more would take descriptors from the users' sockets. Of several thousand
/// logins a second so many stand idle at once, with what `SETTLED` asks for.
pub const IDLE_CONNECTIONS: usize = 64;

/// A request as it is sent.
pub(super) type Message = Request<Full<Bytes>>;
/// What bytes of requests and answers go over.
pub(super) type HttpWire = Wire<TcpStream>;

/// One request and its answer over a connection, by HTTP/1.1.
#[derive(Debug)]
pub(super) struct Exchange {
    sender: SendRequest<Full<Bytes>>,
    /// What reads and writes; `None` once the connection is over.
    worker: Option<http1::Connection<TokioIo<HttpWire>, Full<Bytes>>>,
}

impl Exchange {
    /// Nothing is sent yet.
    pub(super) async fn over(wire: HttpWire) -> hyper::Result<Exchange> {
        let (sender, worker) = http1::handshake(TokioIo::new(wire)).await?;
        Ok(Exchange { sender, worker: Some(worker) })
    }

    /// Sends the request and reads the head of the answer.
    pub(super) async fn ask(&mut self, message: Message) -> hyper::Result<Response<Incoming>> {
        // What comes here comes from the worker, and is looked for whenever it has worked. To be woken for it would cost another
        // turn of the whole task; without a budget there is nothing else to be woken for.
        let mut asked = std::pin::pin!(unconstrained(self.sender.send_request(message)));
        let mut deaf = Context::from_waker(Waker::noop());
        poll_fn(|cx| {
            work(&mut self.worker, cx);
            asked.as_mut().poll(&mut deaf)
        })
        .await
    }

    /// The next bytes of the answer's body, or `None` at its end.
    pub(super) async fn read(&mut self, body: &mut Incoming) -> hyper::Result<Option<Bytes>> {
        loop {
            let frame = poll_fn(|cx| {
                work(&mut self.worker, cx);
                Pin::new(&mut *body).poll_frame(cx)
            });
            match frame.await.transpose()?.map(|frame| frame.into_data()) {
                None => return Ok(None),
                Some(Ok(bytes)) => return Ok(Some(bytes)),
                // Trailers are of no use to anybody.
                Some(Err(_)) => {}
            }
        }
    }

    /// The connection, if both sides are done with this exchange and ready for another one.
    pub(super) fn done(self) -> Option<HttpWire> {
        let worker = self.worker.filter(|_| self.sender.is_ready())?;
        let parts = worker.into_parts();
        Some(parts.io.into_inner()).filter(|_| parts.read_buf.is_empty())
    }
}

/// A worker that is done is dropped at once: that is when it tells who waits for an answer, or for the rest of one.
fn work<W: Future + Unpin>(worker: &mut Option<W>, cx: &mut Context<'_>) {
    if worker.as_mut().is_some_and(|worker| Pin::new(worker).poll(cx).is_ready()) {
        *worker = None;
    }
}

/// The connections of one thread that stand idle. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Idle(Arc<Mutex<Standing>>);

#[derive(Debug, Default)]
struct Standing {
    /// By the address they lead to: the longest idle first.
    wires: BTreeMap<String, VecDeque<(Instant, HttpWire)>>,
    /// Somebody is there who hangs up when the time has come.
    watched: bool,
}

impl Idle {
    /// A connection to `address`, of those on which nothing came meanwhile, neither bytes nor the end: the kernel is asked, since the
    /// runtime may not have looked for a while. So no request is sent to a target that has hung up, and none need be sent twice.
    pub(super) fn take(&self, address: &str) -> Option<HttpWire> {
        let (mut standing, now) = (self.lock(), Instant::now());
        standing.forget(now);
        let wires = standing.wires.get_mut(address)?;
        loop {
            let settled = wires.partition_point(|(since, _)| *since + SETTLED <= now);
            let (_, wire) = wires.remove(settled.checked_sub(1)?)?;
            if wire::is_empty(wire.tcp_ref()).is_ok_and(|empty| empty) {
                return Some(wire);
            }
        }
    }

    /// Keeps a connection to `address`, if there are not enough of them.
    pub(super) fn keep(&self, address: String, wire: HttpWire) {
        let mut standing = self.lock();
        let wires = standing.wires.entry(address).or_default();
        if wires.len() >= IDLE_CONNECTIONS {
            return hang_up(wire);
        }
        wires.push_back((Instant::now(), wire));
        if !std::mem::replace(&mut standing.watched, true) {
            tokio::spawn(watch(Arc::downgrade(&self.0)));
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock().wires.values().map(VecDeque::len).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    /// Hangs up where nothing was to be done for too long, as of `now`.
    fn forget(&mut self, now: Instant) {
        for wires in self.wires.values_mut() {
            while let Some((_, wire)) = wires.pop_front_if(|(since, _)| *since + IDLE <= now) {
                hang_up(wire);
            }
        }
    }
}

/// Says good-bye, where TLS is spoken, and waits for nothing.
fn hang_up(mut wire: HttpWire) {
    if wire.is_tls() {
        let _ = wire.shutdown().now_or_never();
    }
}

/// Hangs up in time, until nothing stands idle.
async fn watch(idle: Weak<Mutex<Standing>>) {
    while let Some(idle) = idle.upgrade().map(Idle) {
        let next = {
            let mut standing = idle.lock();
            standing.forget(Instant::now());
            let first = standing.wires.values().filter_map(|wires| wires.front());
            let Some(since) = first.map(|(since, _)| *since).min() else {
                // Nor are addresses kept to which nothing leads any more.
                *standing = Standing::default();
                return;
            };
            since + IDLE
        };
        drop(idle);
        sleep_until(next).await;
    }
}
