//! The stream of bytes under requests and WebSockets: TCP, or TLS over it. For WebSockets each read is stamped before anything
//! is decoded.
//!
//! What the bytes mean is not known here.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::session::clock::{Arrivals, Clock};
use crate::session::{Net, kernel};
use crate::time::{Micros, Stamp};

/// The bytes' way: `S`, or TLS over it.
#[derive(Debug)]
pub(in crate::session) struct Wire<S = Stamping> {
    /// For messages.
    pub(super) peer: String,
    pub(super) layer: Layer<S>,
}

#[derive(Debug)]
pub(super) enum Layer<S> {
    Plain(S),
    Tls(Box<TlsStream<S>>),
}

impl<S> Wire<S> {
    pub(super) fn tcp(&mut self) -> &mut S {
        match &mut self.layer {
            Layer::Plain(tcp) => tcp,
            Layer::Tls(tls) => tls.get_mut().0,
        }
    }

    pub(in crate::session) fn tcp_ref(&self) -> &S {
        match &self.layer {
            Layer::Plain(tcp) => tcp,
            Layer::Tls(tls) => tls.get_ref().0,
        }
    }
}

/// A TCP connection that stamps each read, below TLS and before anything is decoded.
#[derive(Debug)]
pub(in crate::session) struct Stamping {
    tcp: TcpStream,
    clock: Clock,
    arrivals: Arc<Arrivals>,
    waker: Waker,
    /// The socket was empty then.
    empty_at: Stamp,
    backlog: Backlog,
    pub(super) last: Read,
    /// The kernel stamps what arrives.
    pub(super) stamped: bool,
    pub(super) unstamped: Arc<AtomicU64>,
    /// The first write that failed. Later ones go nowhere and succeed: tungstenite answers a ping before it reads on, and a
    /// failed answer would hide what the target said before it hung up.
    pub(super) write_error: Option<io::Error>,
}

/// By how much the kernel may stamp something before a look that did not find it: what was stamped is handled by others first.
const OVERSEEN: Micros = Micros::from_millis(5);

/// How long bytes can have waited at most, where the target sends faster than we read and the kernel is never found empty: it
/// holds only so much, so what comes behind that came later.
#[derive(Debug)]
pub(super) struct Backlog {
    /// Bytes read so far.
    pub(super) read: u64,
    /// When it was last noted how much the kernel can hold.
    pub(super) marked_at: Stamp,
    /// Bytes from here on arrived after `marked_at`.
    pub(super) unread_from: u64,
    /// The bytes last read did not arrive before this.
    pub(super) floor: Stamp,
}

impl Backlog {
    /// Counts `bytes` that were asked for at `asked_at`, and says since when they can have been there.
    pub(super) fn pass(&mut self, asked_at: Stamp, bytes: usize, capacity: impl FnOnce() -> u64) -> Stamp {
        if self.read >= self.unread_from {
            self.floor = self.marked_at;
            self.marked_at = asked_at;
            self.unread_from = self.read.saturating_add(capacity());
        }
        self.read += bytes as u64;
        self.floor
    }
}

/// More bytes than the kernel holds for this socket now; the largest number if it does not say.
fn capacity(tcp: &TcpStream) -> u64 {
    // The limit counts whole packets and is checked before one is taken (Linux `tcp_rmem`, `sk_backlog`), hence the room.
    const ROOM: u64 = 1024 * 1024;
    let limit = socket2::SockRef::from(tcp).recv_buffer_size();
    limit.map_or(u64::MAX, |limit| 2 * limit as u64 + ROOM)
}

/// When bytes were read, and since when they can have been there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read {
    /// When the last of them arrived, at the latest.
    pub(super) at: Stamp,
    pub(super) read_at: Stamp,
    pub(super) not_before: Stamp,
}

impl Stamping {
    pub(super) fn new(tcp: TcpStream, net: &Net) -> Stamping {
        let clock = net.clock;
        let (stamped, unstamped) = (kernel::ask_for_stamps(&tcp), Arc::clone(&net.unstamped));
        let arrivals = Arrivals::new(clock);
        let now = clock.now();
        let waker = Waker::from(Arc::clone(&arrivals));
        let last = Read { at: now, read_at: now, not_before: now };
        let backlog = Backlog { read: 0, marked_at: now, unread_from: 0, floor: now };
        let empty_at = now;
        Stamping { tcp, clock, arrivals, waker, empty_at, backlog, last, stamped, unstamped, write_error: None }
    }

    /// When the last of what was read at `read_at` arrived: as the kernel says, if that can be, else then.
    ///
    /// It can be if it lies between the last look that surely found nothing and the read: a thread that was starved comes back
    /// from the kernel long after what woke it. The look may have been a moment too early to see what the kernel had stamped
    /// already; it does not go back behind one that came before it.
    pub(super) fn arrived(&self, stamp: Option<SystemTime>, surely: Stamp, read_at: Stamp) -> Stamp {
        let ago = stamp.and_then(Clock::ago).filter(|ago| read_at - *ago + OVERSEEN >= surely);
        match ago {
            Some(ago) => (read_at - ago).max(surely).max(self.last.at).min(read_at),
            None => {
                self.unstamped.fetch_add(u64::from(self.stamped), Ordering::Relaxed);
                read_at
            }
        }
    }

    /// As [`is_empty`], and remembers when nothing was there.
    pub(super) fn is_empty(&mut self) -> io::Result<bool> {
        let asked_at = self.clock.now();
        let empty = is_empty(&self.tcp)?;
        if empty {
            self.empty_at = asked_at;
        }
        Ok(empty)
    }
}

/// Whether nothing is there to be read. Asks the kernel, not the runtime. The target's hanging up counts as something.
pub(in crate::session) fn is_empty(tcp: &TcpStream) -> io::Result<bool> {
    let mut byte = [std::mem::MaybeUninit::uninit()];
    loop {
        match socket2::SockRef::from(tcp).peek(&mut byte) {
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl AsyncRead for Stamping {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let asked_at = this.clock.now();
        let before = buf.filled().len();
        this.arrivals.register(cx.waker());
        let Poll::Ready(read) = kernel::poll_read(&this.tcp, &mut Context::from_waker(&this.waker), buf) else {
            this.arrivals.forget();
            return Poll::Pending;
        };
        // The end and errors are stamped as well: they arrive, too.
        let read_at = this.clock.now();
        let floor = this.backlog.pass(asked_at, buf.filled().len() - before, || capacity(&this.tcp));
        let since = this.arrivals.since();
        let bound = |since: Stamp| since.max(this.empty_at).max(floor).max(this.last.not_before);
        let (surely, likely) = (bound(since.surely), bound(since.likely));
        let at = match &read {
            Ok(stamp) if buf.filled().len() > before => this.arrived(*stamp, surely, read_at),
            // The end and errors have no stamp.
            Ok(_) | Err(_) => read_at,
        };
        // What came before it likely could was not handed out in time, and nor was what came with it.
        let not_before = if at < likely { surely } else { likely };
        this.last = Read { at, read_at, not_before };
        if buf.filled().len() > before && buf.remaining() > 0 {
            // Less than there was room for: nothing was left behind.
            this.empty_at = asked_at;
            this.arrivals.forget();
        }
        Poll::Ready(read.map(|_| ()))
    }
}

impl AsyncWrite for Stamping {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.write_error.is_some() {
            return Poll::Ready(Ok(bytes.len()));
        }
        match Pin::new(&mut self.tcp).poll_write(cx, bytes) {
            Poll::Ready(Err(error)) => {
                self.write_error = Some(error);
                Poll::Ready(Ok(bytes.len()))
            }
            polled => polled,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TCP holds nothing back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.layer {
            Layer::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Layer::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.layer {
            Layer::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Layer::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.layer {
            Layer::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Layer::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.layer {
            Layer::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Layer::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
