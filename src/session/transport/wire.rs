//! The stream of bytes under requests and WebSockets: TCP, or TLS over it. For WebSockets each read is stamped before anything
//! is decoded.
//!
//! What the bytes mean is not known here.

use std::cell::RefCell;
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

    pub(in crate::session) fn is_tls(&self) -> bool {
        matches!(self.layer, Layer::Tls(_))
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
    /// What the last read found beyond what was asked for.
    rest: Vec<u8>,
    /// How much of it was handed out.
    handed_out: usize,
    /// Reads since something was waited for last.
    in_a_row: u32,
    backlog: Backlog,
    pub(super) last: Read,
    /// The kernel stamps what arrives.
    pub(super) stamped: bool,
    pub(super) unstamped: Arc<AtomicU64>,
    /// The first write that failed. Later ones go nowhere and succeed: tungstenite answers a ping before it reads on, and a
    /// failed answer would hide what the target said before it hung up.
    pub(super) write_error: Option<io::Error>,
}

/// After so many reads that all found something it is the others' turn: nothing else ends that of a user whose target sends
/// faster than he reads (`engine::all_together`).
const READS_IN_A_ROW: u32 = 32;

/// How much is read at once, whoever asks: messages that came together take one read, and users who wait need no room for it.
const AT_ONCE: usize = 2 * 1024;

thread_local! {
    static ROOM: RefCell<[u8; AT_ONCE]> = const { RefCell::new([0; AT_ONCE]) };
    /// Room for the rest of a read: most are asked for at once, and one after the other.
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
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
        Stamping {
            tcp,
            clock,
            arrivals,
            waker,
            empty_at,
            rest: Vec::new(),
            handed_out: 0,
            in_a_row: 0,
            backlog,
            last,
            stamped,
            unstamped,
            write_error: None,
        }
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

    /// Reads what the kernel holds, and stamps it.
    fn poll_kernel(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.in_a_row += 1;
        if self.in_a_row > READS_IN_A_ROW {
            self.in_a_row = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let asked_at = self.clock.now();
        let before = buf.filled().len();
        self.arrivals.register(cx.waker());
        let Poll::Ready(read) = kernel::poll_read(&self.tcp, &mut Context::from_waker(&self.waker), buf) else {
            self.arrivals.forget();
            self.in_a_row = 0;
            return Poll::Pending;
        };
        // The end and errors are stamped as well: they arrive, too.
        let read_at = self.clock.now();
        let floor = self.backlog.pass(asked_at, buf.filled().len() - before, || capacity(&self.tcp));
        let since = self.arrivals.since();
        let bound = |since: Stamp| since.max(self.empty_at).max(floor).max(self.last.not_before);
        let (surely, likely) = (bound(since.surely), bound(since.likely));
        let at = match &read {
            Ok(stamp) if buf.filled().len() > before => self.arrived(*stamp, surely, read_at),
            // The end and errors have no stamp.
            Ok(_) | Err(_) => read_at,
        };
        // What came before it likely could was not handed out in time, and nor was what came with it.
        let not_before = if at < likely { surely } else { likely };
        self.last = Read { at, read_at, not_before };
        if buf.filled().len() > before && buf.remaining() > 0 {
            // Less than there was room for: nothing was left behind.
            self.empty_at = asked_at;
            self.arrivals.forget();
        }
        Poll::Ready(read.map(|_| ()))
    }

    /// As [`is_empty`], and remembers when nothing was there.
    pub(super) fn is_empty(&mut self) -> io::Result<bool> {
        if !self.rest.is_empty() {
            return Ok(false);
        }
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
        if this.rest.is_empty() && buf.remaining() >= AT_ONCE {
            return this.poll_kernel(cx, buf);
        }
        if this.rest.is_empty() {
            return ROOM.with_borrow_mut(|room| {
                let mut room = ReadBuf::new(room);
                let read = this.poll_kernel(cx, &mut room);
                let (now, later) = room.filled().split_at(room.filled().len().min(buf.remaining()));
                buf.put_slice(now);
                if !later.is_empty() {
                    this.rest = SPARE.take();
                    this.rest.extend_from_slice(later);
                }
                read
            });
        }
        let rest = &this.rest[this.handed_out..];
        let now = &rest[..rest.len().min(buf.remaining())];
        buf.put_slice(now);
        this.handed_out += now.len();
        if this.handed_out == this.rest.len() {
            // A user who waits keeps no room.
            this.rest.clear();
            SPARE.set(std::mem::take(&mut this.rest));
            this.handed_out = 0;
        }
        Poll::Ready(Ok(()))
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::task::Wake;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Stamping, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (Stamping::new(near.unwrap(), &Net::for_tests()), far.unwrap().0)
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn who_always_finds_something_lets_others_go_first() {
        let (mut near, mut far) = pair().await;
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let read = |near: &mut Stamping| {
            let mut byte = [0];
            Pin::new(near).poll_read(&mut Context::from_waker(&waker), &mut ReadBuf::new(&mut byte))
        };
        for _ in 0..READS_IN_A_ROW {
            far.write_all(b"x").await.unwrap();
            near.tcp.readable().await.unwrap();
            assert!(read(&mut near).is_ready());
        }
        far.write_all(b"x").await.unwrap();
        near.tcp.readable().await.unwrap();
        assert!(!woken.0.load(Ordering::Relaxed));
        assert!(read(&mut near).is_pending());
        assert!(woken.0.load(Ordering::Relaxed), "it goes on after the others");
        assert!(read(&mut near).is_ready());
    }

    #[tokio::test]
    async fn what_came_at_once_is_handed_out_in_parts_with_one_stamp() {
        let (mut near, mut far) = pair().await;
        let sent: Vec<u8> = (0..3 * AT_ONCE).map(|nth| (nth % 251) as u8).collect();
        far.write_all(&sent).await.unwrap();
        let mut got = vec![0; sent.len()];
        for part in got.chunks_mut(AT_ONCE / 4 + 1) {
            near.read_exact(part).await.unwrap();
        }
        assert_eq!(got, sent);
        assert!(near.is_empty().unwrap());
        far.write_all(b"xy").await.unwrap();
        near.read_exact(&mut got[..1]).await.unwrap();
        let (read_at, at) = (near.last.read_at, near.last.at);
        assert!(!near.is_empty().unwrap(), "the kernel holds nothing, but the second byte was not handed out");
        near.read_exact(&mut got[..1]).await.unwrap();
        assert_eq!((near.last.read_at, near.last.at), (read_at, at));
        assert!(near.is_empty().unwrap());
    }
}
