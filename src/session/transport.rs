//! One WebSocket, from the TCP connect to the close.
//!
//! It stamps what arrives before anything is decoded, answers pings, and turns every way in which a connection can end into
//! a [`Content`]. It knows nothing of users, scenarios and secrets; nothing is judged and nothing is retried.

use std::borrow::Cow;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use futures_util::{SinkExt, Stream, StreamExt};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};
use url::{Host, Url};

use super::clock::{Arrivals, Clock};
use super::upgrade::upgrade;
use super::{Net, failure, kernel};
use crate::identity::Connection;
use crate::time::{Micros, Stamp};
use crate::trace::{Content, Dial, Direction, Frame, NetFailure};

/// tungstenite's own default is 128 KiB per connection, zeroed before every read; speed is the same from 512 bytes to 16 KiB.
const BUFFER: usize = 4 * 1024;
/// The close code of a close frame without one (RFC 6455, section 7.1.5).
const NO_CODE: u16 = 1005;

/// A WebSocket to be opened.
#[derive(Debug, Clone)]
pub struct DialRequest {
    /// `ws` or `wss`.
    pub url: Url,
    /// Sent with the upgrade, in this order. Those that make the upgrade itself are not allowed here.
    pub headers: Vec<(String, String)>,
    /// Offered, in this order.
    pub subprotocols: Vec<String>,
    /// Told to the judge.
    pub echo: Echo,
    /// For name, TCP, TLS and upgrade together.
    pub timeout: Micros,
    /// Bytes of one message at most; a longer one ends the connection.
    pub max_frame: u64,
    /// Its number.
    pub connection: Connection,
}

/// What the profile demands of the selected subprotocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// One of the offered ones must be selected.
    Strict,
    /// Whatever is selected will do.
    Lenient,
}

impl Echo {
    pub(super) fn is_strict(self) -> bool {
        self == Echo::Strict
    }
}

/// What came of a [`DialRequest`].
#[derive(Debug)]
pub struct Dialed {
    /// When the TCP connect began.
    pub begun: Stamp,
    /// When the upgrade was answered, or given up.
    pub done: Stamp,
    /// How it went.
    pub outcome: Dial,
    /// Open if, and only if, the outcome is an upgrade.
    pub socket: Option<Socket>,
    /// The cookies that the upgrade sets, line by line.
    pub cookies: Vec<String>,
}

/// Connects and asks for the upgrade. Not answering in time is an outcome, not an error; dropping the future gives up.
pub async fn dial(request: &DialRequest, net: &Net) -> Dialed {
    let begun = net.clock.now();
    let deadline = net.clock.instant_of(begun + request.timeout);
    let (outcome, socket, cookies) = match connect(request, net, deadline).await {
        Err(failure) => (Dial::Failed(failure), None, Vec::new()),
        Ok((mut wire, peer)) => {
            let answer = upgrade(&mut wire, request, &peer, deadline).await;
            let socket = match answer.outcome {
                Dial::Upgraded { .. } => Some(Socket::open(wire, answer.leftover, request, net.clock).await),
                _ => None,
            };
            (answer.outcome, socket, answer.cookies)
        }
    };
    // The answer arrived before it was read, and that before this task got its turn; for a refusal that is the end of its body.
    let done = match &socket {
        Some(socket) => socket.last_read().at,
        None => net.clock.now(),
    };
    Dialed { begun, done, outcome, socket, cookies }
}

/// An open WebSocket.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<Wire>,
    clock: Clock,
    connection: Connection,
    max_frame: u64,
    /// A frame that ends the connection was handed out. It is never read again: tungstenite panics on a read after a
    /// capacity error.
    ended: bool,
}

/// Something received, with its stamps. The text stands where it was read to; [`Received::frame`] borrows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// On which connection.
    pub connection: Connection,
    /// See [`Frame::at`].
    pub at: Stamp,
    /// See [`Frame::read_at`].
    pub read_at: Stamp,
    /// See [`Frame::not_before`].
    pub not_before: Stamp,
    body: Body,
}

#[derive(Debug, Clone, PartialEq)]
enum Body {
    Text(Utf8Bytes),
    Binary(Bytes),
    Ping,
    Pong,
    Close(Option<CloseFrame>),
    Lost(String),
    TooLarge(u64),
    Violation(String),
}

impl Received {
    /// The text of a text message, to be freed of secrets before it goes anywhere.
    pub fn text(&self) -> Option<&str> {
        match &self.body {
            Body::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The content, borrowed, as it was received: secrets included.
    pub fn content(&self) -> Content<'_> {
        match &self.body {
            Body::Text(text) => Content::Text(Cow::Borrowed(text)),
            Body::Binary(bytes) => Content::Binary(Cow::Borrowed(bytes)),
            Body::Ping => Content::Ping,
            Body::Pong => Content::Pong,
            Body::Close(None) => Content::Close { code: NO_CODE, reason: Cow::Borrowed("") },
            Body::Close(Some(close)) => {
                Content::Close { code: close.code.into(), reason: Cow::Borrowed(&close.reason) }
            }
            Body::Lost(error) => Content::Lost { error: Cow::Borrowed(error) },
            Body::TooLarge(limit) => Content::TooLarge { limit: *limit },
            Body::Violation(why) => Content::Violation { why: Cow::Borrowed(why) },
        }
    }

    /// The frame with `content`, which is [`Received::content`] without its secrets.
    pub fn frame<'a>(&self, content: Content<'a>) -> Frame<'a> {
        Frame {
            connection: self.connection,
            direction: Direction::Received,
            at: self.at,
            read_at: self.read_at,
            not_before: self.not_before,
            content,
        }
    }
}

impl Socket {
    async fn open(wire: Wire, leftover: Vec<u8>, request: &DialRequest, clock: Clock) -> Socket {
        let limit = usize::try_from(request.max_frame).ok();
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_message_size(limit)
            .max_frame_size(limit);
        Socket {
            stream: WebSocketStream::from_partially_read(wire, leftover, Role::Client, Some(config)).await,
            clock,
            connection: request.connection,
            max_frame: request.max_frame,
            ended: false,
        }
    }

    /// The next message or control signal. Pings are answered meanwhile, so a socket must be polled to stay alive.
    ///
    /// Cancel-safe: nothing is lost when the future is dropped. After a content that [ends the
    /// connection](Content::ends_connection) it never resolves, so that a `select!` goes on with its other branches.
    pub async fn next(&mut self) -> Received {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next message, or `None` when everything that has arrived until now was handed out. Cancel-safe.
    ///
    /// This is the socket's half of the time contract: `expire(t)` may be called after a `None` that was asked for at or
    /// after `t`. That the runtime does not report the socket as readable is not enough for that: it knows only what the
    /// last look of its loop found, and a busy thread may not have looked for a long time. So the kernel itself is asked. What
    /// it holds may be less than a message; it is read, and the kernel is asked again.
    pub async fn next_arrived(&mut self) -> Option<Received> {
        poll_fn(|cx| {
            if self.ended {
                return Poll::Ready(None);
            }
            if let Poll::Ready(received) = self.poll_next(cx) {
                return Poll::Ready(Some(received));
            }
            match self.stream.get_mut().tcp().is_empty() {
                Ok(true) => Poll::Ready(None),
                // The loop's next look finds it as well and wakes this task.
                Ok(false) => Poll::Pending,
                // Asking took the error away from the next read.
                Err(error) => Poll::Ready(Some(self.lost(failure::chain(&error)))),
            }
        })
        .await
    }

    /// Writes a text message and waits until the system has taken all of it.
    ///
    /// When the future is dropped the message is sent with the next one; it is never torn apart. The instant of
    /// sending is the caller's to note, just before. What the target said before it stopped listening can still be read.
    ///
    /// # Errors
    ///
    /// When the connection is gone, or the target does not take the message in time.
    pub async fn send_text(&mut self, text: String, within: Micros) -> Result<(), NetFailure> {
        let doing = format!("sending {} bytes to {}", text.len(), self.stream.get_ref().peer);
        let closed = |doing| NetFailure { doing, error: "the connection is closed".to_owned(), hung: false };
        if self.ended {
            return Err(closed(doing));
        }
        match timeout(within.to_std(), self.stream.send(Message::text(text))).await {
            Ok(Ok(())) => match &self.stream.get_ref().tcp_ref().write_error {
                None => Ok(()),
                Some(error) => Err(failure::failed(doing, error)),
            },
            Ok(Err(
                Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(ProtocolError::SendAfterClosing),
            )) => Err(closed(doing)),
            Ok(Err(error)) => Err(failure::failed(doing, &error)),
            Err(_) => Err(failure::hung(doing, within)),
        }
    }

    /// Says good-bye with code 1000, or answers the target's good-bye, and waits at most `within` for the target to hang
    /// up. Frames that arrive meanwhile are dropped.
    pub async fn close(mut self, within: Micros) {
        let good_bye = async {
            if !self.ended {
                let close = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::from_static("") };
                if self.stream.close(Some(close)).await.is_err() {
                    return;
                }
            }
            while let Some(Ok(_)) = self.stream.next().await {}
        };
        // A target that does not hang up is hung up on; after an error the stream ends at once.
        let _ = timeout(within.to_std(), good_bye).await;
    }

    /// Its number.
    pub fn connection(&self) -> Connection {
        self.connection
    }

    fn last_read(&self) -> Read {
        self.stream.get_ref().tcp_ref().last
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        if self.ended {
            return Poll::Pending;
        }
        loop {
            let Poll::Ready(next) = Pin::new(&mut self.stream).poll_next(cx) else { return Poll::Pending };
            let body = match next {
                Some(Ok(Message::Text(text))) => Body::Text(text),
                Some(Ok(Message::Binary(bytes))) => Body::Binary(bytes),
                Some(Ok(Message::Ping(_))) => Body::Ping,
                Some(Ok(Message::Pong(_))) => Body::Pong,
                Some(Ok(Message::Close(close))) => Body::Close(close),
                // Raw frames are only ever written.
                Some(Ok(Message::Frame(_))) => continue,
                None => return Poll::Ready(self.lost("the connection is closed".to_owned())),
                Some(Err(error)) => match error {
                    Error::Capacity(_) => Body::TooLarge(self.max_frame),
                    Error::Utf8(_) => Body::Violation("text that is not valid UTF-8".to_owned()),
                    Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                        return Poll::Ready(self.lost("closed without a close frame".to_owned()));
                    }
                    Error::Protocol(why) => Body::Violation(failure::chain(&why)),
                    Error::Io(error) => return Poll::Ready(self.lost(failure::chain(&error))),
                    other => return Poll::Ready(self.lost(failure::chain(&other))),
                },
            };
            return Poll::Ready(self.received(body));
        }
    }

    /// A message: it was complete with the last read.
    fn received(&mut self, body: Body) -> Received {
        let Read { at, read_at, not_before } = self.last_read();
        self.ended |= matches!(body, Body::Close(_) | Body::TooLarge(_) | Body::Violation(_) | Body::Lost(_));
        Received { connection: self.connection, at, read_at, not_before, body }
    }

    /// The end without a good-bye: noticed now, perhaps by a write.
    fn lost(&mut self, error: String) -> Received {
        let now = self.clock.now();
        let received = self.received(Body::Lost(error));
        Received { at: now, read_at: now, ..received }
    }
}

/// The bytes' way: TCP, or TLS over it.
#[derive(Debug)]
struct Wire {
    /// For messages.
    peer: String,
    layer: Layer,
}

#[derive(Debug)]
enum Layer {
    Plain(Stamping),
    Tls(Box<TlsStream<Stamping>>),
}

impl Wire {
    fn tcp(&mut self) -> &mut Stamping {
        match &mut self.layer {
            Layer::Plain(tcp) => tcp,
            Layer::Tls(tls) => tls.get_mut().0,
        }
    }

    fn tcp_ref(&self) -> &Stamping {
        match &self.layer {
            Layer::Plain(tcp) => tcp,
            Layer::Tls(tls) => tls.get_ref().0,
        }
    }
}

/// A TCP connection that stamps each read, below TLS and before anything is decoded.
#[derive(Debug)]
struct Stamping {
    tcp: TcpStream,
    clock: Clock,
    arrivals: Arc<Arrivals>,
    waker: Waker,
    /// The socket was empty then.
    empty_at: Stamp,
    backlog: Backlog,
    last: Read,
    /// The kernel stamps what arrives.
    stamped: bool,
    unstamped: Arc<AtomicU64>,
    /// The first write that failed. Later ones go nowhere and succeed: tungstenite answers a ping before it reads on, and a
    /// failed answer would hide what the target said before it hung up.
    write_error: Option<io::Error>,
}

/// By how much the kernel may stamp something before a look that did not find it: what was stamped is handled by others first.
const OVERSEEN: Micros = Micros::from_millis(5);

/// How long bytes can have waited at most, where the target sends faster than we read and the kernel is never found empty: it
/// holds only so much, so what comes behind that came later.
#[derive(Debug)]
struct Backlog {
    /// Bytes read so far.
    read: u64,
    /// When it was last noted how much the kernel can hold.
    marked_at: Stamp,
    /// Bytes from here on arrived after `marked_at`.
    unread_from: u64,
    /// The bytes last read did not arrive before this.
    floor: Stamp,
}

impl Backlog {
    /// Counts `bytes` that were asked for at `asked_at`, and says since when they can have been there.
    fn pass(&mut self, asked_at: Stamp, bytes: usize, capacity: impl FnOnce() -> u64) -> Stamp {
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
struct Read {
    /// When the last of them arrived, at the latest.
    at: Stamp,
    read_at: Stamp,
    not_before: Stamp,
}

impl Stamping {
    fn new(tcp: TcpStream, net: &Net) -> Stamping {
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
    /// It can be if it lies between the last look that found nothing and the read. The look may have been a moment too early to
    /// see what the kernel had stamped already; it does not go back behind one that came before it.
    fn arrived(&self, stamp: Option<SystemTime>, not_before: Stamp, read_at: Stamp) -> Stamp {
        let ago = stamp.and_then(Clock::ago).filter(|ago| read_at - *ago + OVERSEEN >= not_before);
        match ago {
            Some(ago) => (read_at - ago).max(not_before).max(self.last.at).min(read_at),
            None => {
                self.unstamped.fetch_add(u64::from(self.stamped), Ordering::Relaxed);
                read_at
            }
        }
    }

    /// Asks the kernel, not the runtime. The target's hanging up counts as something.
    fn is_empty(&mut self) -> io::Result<bool> {
        let asked_at = self.clock.now();
        let mut byte = [std::mem::MaybeUninit::uninit()];
        loop {
            match socket2::SockRef::from(&self.tcp).peek(&mut byte) {
                Ok(_) => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.empty_at = asked_at;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
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
        let since = this.arrivals.since().max(this.empty_at).max(floor);
        let not_before = since.max(this.last.not_before);
        let at = match &read {
            Ok(stamp) if buf.filled().len() > before => this.arrived(*stamp, not_before, read_at),
            // The end and errors have no stamp.
            Ok(_) | Err(_) => read_at,
        };
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

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.layer {
            Layer::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Layer::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
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

/// Name, TCP and, for `wss`, TLS. The text is the peer, for messages.
async fn connect(request: &DialRequest, net: &Net, deadline: Instant) -> Result<(Wire, String), NetFailure> {
    let url = &request.url;
    // Path and query may hold secrets.
    let doing = || format!("connecting to {}://{}", url.scheme(), url.host_str().unwrap_or_default());
    let unusable = |error: &str| NetFailure { doing: doing(), error: error.to_owned(), hung: false };
    let tls = match url.scheme() {
        "ws" => None,
        "wss" => Some(net.tls.trust().map_err(unusable)?),
        _ => return Err(unusable("not a `ws` or `wss` address")),
    };
    let host = url.host().ok_or_else(|| unusable("the address names no host"))?;
    let port = url.port_or_known_default().unwrap_or_default();
    let peer = format!("{host}:{port}");

    let mut addresses = resolve(&host, port, net, request.timeout, deadline).await?;
    let connected = connect_any(&mut addresses, &peer, request.timeout, deadline).await;
    let tcp = connected.inspect_err(|_| {
        if let Host::Domain(name) = host {
            net.names.forget(name);
        }
    })?;
    // Without it a small message waits for the acknowledgement of the one before. A socket that refuses this option works.
    let _ = tcp.set_nodelay(true);
    let tcp = Stamping::new(tcp, net);

    let Some(trust) = tls else { return Ok((Wire { peer: peer.clone(), layer: Layer::Plain(tcp) }, peer)) };
    let doing = || format!("agreeing on TLS with {peer}");
    let name = host.to_string();
    let name = ServerName::try_from(name.trim_matches(['[', ']']).to_owned())
        .map_err(|error| failure::failed(doing(), &error))?;
    let handshake = TlsConnector::from(Arc::clone(&trust.config)).connect(name, tcp);
    let tls = match timeout_at(deadline, handshake).await {
        Ok(agreed) => agreed.map_err(|error| failure::failed(doing(), &error))?,
        Err(_) => return Err(failure::hung(doing(), request.timeout)),
    };
    Ok((Wire { peer: peer.clone(), layer: Layer::Tls(Box::new(tls)) }, peer))
}

async fn resolve(
    host: &Host<&str>,
    port: u16,
    net: &Net,
    within: Micros,
    deadline: Instant,
) -> Result<Vec<SocketAddr>, NetFailure> {
    let name = match *host {
        Host::Ipv4(address) => return Ok(vec![(address, port).into()]),
        Host::Ipv6(address) => return Ok(vec![(address, port).into()]),
        Host::Domain(name) => name,
    };
    let doing = || format!("looking up {name}");
    match timeout_at(deadline, net.names.look_up(name)).await {
        Ok(found) => {
            let found = found.map_err(|error| failure::failed(doing(), &error))?;
            Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect())
        }
        Err(_) => Err(NetFailure { hung: false, ..failure::hung(doing(), within) }),
    }
}

/// The first address that answers; each has its share of the time that is left.
async fn connect_any(
    addresses: &mut [SocketAddr],
    peer: &str,
    within: Micros,
    deadline: Instant,
) -> Result<TcpStream, NetFailure> {
    let mut errors: Vec<String> = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        let left = (addresses.len() - index) as u32;
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        let error = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => failure::chain(&error),
            Err(_) => format!("nothing within {}", Micros::from(share).min(within)),
        };
        errors.push(if addresses.len() == 1 { error } else { format!("{address}: {error}") });
    }
    Err(NetFailure { doing: format!("connecting to {peer}"), error: errors.join("; "), hung: false })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::session::far_end::{FarEnd, frame, read_head, switching, text};
    use crate::session::tls::Tls;

    /// Longer than any test; nothing here waits for it to pass.
    const LONG: Micros = Micros::from_secs(30);
    const MAX_FRAME: u64 = 1024;

    fn request(url: &str) -> DialRequest {
        DialRequest {
            url: url.parse().unwrap(),
            headers: Vec::new(),
            subprotocols: Vec::new(),
            echo: Echo::Lenient,
            timeout: LONG,
            max_frame: MAX_FRAME,
            connection: Connection(3),
        }
    }

    /// An open socket and its other end, which has already written `glued` in the same write as the answer.
    async fn open(glued: &[u8]) -> (Socket, TcpStream) {
        let far_end = FarEnd::listen().await;
        let net = Net::for_tests();
        let request = request(&format!("ws://{}/ws", far_end.address));
        let (dialed, far) = tokio::join!(dial(&request, &net), far_end.accept_upgrade(glued));
        assert!(matches!(dialed.outcome, Dial::Upgraded { .. }), "{:?}", dialed.outcome);
        assert!(dialed.begun <= dialed.done);
        (dialed.socket.expect("an upgrade has a socket"), far)
    }

    /// The contents received until the connection ends.
    async fn contents(socket: &mut Socket) -> Vec<Content<'static>> {
        let mut contents = Vec::new();
        loop {
            let received = socket.next().await;
            let content = received.frame(received.content()).into_owned().content;
            let ends = content.ends_connection();
            contents.push(content);
            if ends {
                return contents;
            }
        }
    }

    /// What is received when the other end writes these bytes and hangs up.
    async fn contents_of(bytes: &[u8]) -> Vec<Content<'static>> {
        let (mut socket, mut far) = open(b"").await;
        far.write_all(bytes).await.unwrap();
        drop(far);
        let contents = contents(&mut socket).await;
        assert_eq!(socket.next_arrived().await, None, "nothing follows the end");
        contents
    }

    /// Returns when the kernel has something for this socket, without letting the runtime know.
    fn arrived(socket: &mut Socket) {
        while matches!(socket.stream.get_mut().tcp().is_empty(), Ok(true)) {
            std::thread::yield_now();
        }
    }

    fn said(text: &str) -> Content<'static> {
        Content::Text(text.to_owned().into())
    }

    #[test]
    fn what_the_kernel_could_not_hold_came_later() {
        let stamp = |ms: u64| Stamp(ms * 1000);
        let mut backlog = Backlog { read: 0, marked_at: stamp(0), unread_from: 0, floor: stamp(0) };
        let mut pass = |ms, bytes| backlog.pass(stamp(ms), bytes, || 100).0 / 1000;
        // At 10 ms up to 100 bytes can have been there, so those from the 101st on came after it.
        assert_eq!((pass(10, 60), pass(20, 60), pass(30, 10)), (0, 0, 10));
        // At 30 ms 120 bytes were read, so those from the 221st on came after that.
        assert_eq!((pass(40, 80), pass(50, 20), pass(60, 1)), (10, 10, 30));
    }

    #[tokio::test]
    async fn a_greeting_glued_to_the_upgrade_is_the_first_frame() {
        let (mut socket, _far) = open(&[text("ready"), text("more")].concat()).await;
        let first = socket.next_arrived().await.unwrap();
        assert_eq!(first.text(), Some("ready"));
        assert_eq!(first.connection, Connection(3));
        assert_eq!(socket.next_arrived().await.unwrap().text(), Some("more"));
        assert_eq!(socket.next_arrived().await, None);
    }

    #[tokio::test]
    async fn each_kind_of_frame_is_what_it_is() {
        let bytes = [
            frame(0x01, b"frag"),
            frame(0x89, b"now"),
            frame(0x80, b"ments"),
            frame(0x82, &[1, 2]),
            frame(0x8a, b""),
            frame(0x88, &[&4001u16.to_be_bytes()[..], b"bye"].concat()),
            text("after the end"),
        ];
        let expected = [
            Content::Ping,
            said("fragments"),
            Content::Binary(vec![1, 2].into()),
            Content::Pong,
            Content::Close { code: 4001, reason: "bye".into() },
        ];
        assert_eq!(contents_of(&bytes.concat()).await, expected);
    }

    #[tokio::test]
    async fn pings_that_cannot_be_answered_hide_nothing_that_arrived() {
        let (mut socket, mut far) = open(b"").await;
        let ping = frame(0x89, b"");
        let bytes =
            [ping.clone(), ping.clone(), ping, text("last words"), frame(0x88, &1000u16.to_be_bytes())].concat();
        far.write_all(&bytes).await.unwrap();
        // The first pong meets a connection that is gone, the next ones a reset.
        drop(far);
        let close = Content::Close { code: 1000, reason: "".into() };
        let expected = [Content::Ping, Content::Ping, Content::Ping, said("last words"), close];
        assert_eq!(contents(&mut socket).await, expected);
    }

    #[tokio::test]
    async fn a_send_to_a_target_that_is_gone_fails() {
        let (mut socket, far) = open(b"").await;
        far.set_zero_linger().unwrap();
        drop(far);
        arrived(&mut socket);
        let failure = socket.send_text("x".to_owned(), LONG).await.unwrap_err();
        assert!(!failure.hung, "{failure:?}");
        assert!(socket.next().await.content().ends_connection());
    }

    #[tokio::test]
    async fn each_way_to_end_is_named() {
        let lost = |error: &'static str| Content::Lost { error: error.into() };
        let violation = |why: &'static str| Content::Violation { why: why.into() };
        for (bytes, end) in [
            (frame(0x88, b""), Content::Close { code: 1005, reason: "".into() }),
            (Vec::new(), lost("closed without a close frame")),
            (b"\x81\x0ahalf".to_vec(), lost("closed without a close frame")),
            (text(&"x".repeat(MAX_FRAME as usize + 1)), Content::TooLarge { limit: MAX_FRAME }),
            // The head alone says that it is too large.
            (b"\x81\x7f\x00\x00\x00\x0f\xff\xff\xff\xff".to_vec(), Content::TooLarge { limit: MAX_FRAME }),
            (frame(0x81, b"\xff\xfe"), violation("text that is not valid UTF-8")),
            (b"\x81\x82abcdxy".to_vec(), violation("received a masked frame from server")),
            (frame(0x80, b"x"), violation("continue frame but nothing to continue")),
            (frame(0xc1, b"x"), violation("reserved bits are non-zero")),
        ] {
            assert_eq!(contents_of(&bytes).await, [end]);
        }
        let whole = text(&"x".repeat(MAX_FRAME as usize));
        assert_eq!(contents_of(&whole).await[0], said(&"x".repeat(MAX_FRAME as usize)));
    }

    #[tokio::test]
    async fn after_the_end_nothing_is_read_and_select_goes_on() {
        let (mut socket, mut far) = open(b"").await;
        far.write_all(&text(&"x".repeat(MAX_FRAME as usize + 1))).await.unwrap();
        assert_eq!(socket.next().await.content(), Content::TooLarge { limit: MAX_FRAME });
        tokio::select! {
            biased;
            received = socket.next() => panic!("{received:?}"),
            () = tokio::task::yield_now() => {}
        }
        assert_eq!(socket.next_arrived().await, None);
        socket.close(LONG).await;
    }

    #[tokio::test]
    async fn a_ping_is_answered_though_nothing_is_sent() {
        let (mut socket, mut far) = open(&frame(0x89, b"beat")).await;
        assert_eq!(socket.next().await.content(), Content::Ping);
        let mut pong = [0; 10];
        tokio::select! {
            received = socket.next() => panic!("{received:?}"),
            read = far.read_exact(&mut pong) => { read.unwrap(); }
        }
        // A masked pong with the same four bytes.
        assert_eq!(pong[..2], [0x8a, 0x84]);
        let payload: Vec<u8> = (0..4).map(|i| pong[6 + i] ^ pong[2 + i]).collect();
        assert_eq!(payload, b"beat");
    }

    #[tokio::test]
    async fn dropping_a_wait_loses_nothing() {
        let (mut socket, mut far) = open(b"").await;
        let message = text("whole");
        let (one, two) = message.split_at(4);
        far.write_all(one).await.unwrap();
        // It reads the first half, is dropped, and the second half completes it.
        assert_eq!(socket.next_arrived().await, None);
        far.write_all(two).await.unwrap();
        assert_eq!(socket.next().await.text(), Some("whole"));
    }

    #[tokio::test]
    async fn what_the_kernel_holds_is_not_overlooked() {
        let (mut socket, mut far) = open(b"").await;
        assert_eq!(socket.next_arrived().await, None);
        for round in 0..100 {
            let message = format!("message {round}");
            far.try_write(&text(&message)).unwrap();
            arrived(&mut socket);
            let received = socket.next_arrived().await;
            assert_eq!(received.as_ref().and_then(Received::text), Some(message.as_str()));
            assert_eq!(socket.next_arrived().await, None);
        }
        far.shutdown().await.unwrap();
        arrived(&mut socket);
        let end = socket.next_arrived().await.unwrap();
        assert!(end.content().ends_connection(), "{end:?}");
        assert_eq!(socket.next_arrived().await, None);
    }

    #[tokio::test]
    async fn stamps_enclose_the_arrival_and_never_go_back() {
        let (mut socket, mut far) = open(&text("first")).await;
        let clock = socket.clock;
        let mut last = socket.next().await;
        for round in 0..50 {
            assert_eq!(socket.next_arrived().await, None);
            let before = clock.now();
            // Longer than the read buffer, so that one message takes several reads.
            far.write_all(&text(&"x".repeat(round * 20))).await.unwrap();
            far.write_all(&text("second in the same read")).await.unwrap();
            for _ in 0..2 {
                let received = socket.next().await;
                assert!(received.not_before <= received.at && received.at <= received.read_at, "{received:?}");
                assert!(received.read_at >= before && received.read_at <= clock.now());
                assert!(received.at >= last.at && received.not_before >= last.not_before, "{last:?} {received:?}");
                last = received;
            }
        }
    }

    /// Whether what was written before `written`, and has waited since, is told as having arrived by then. The kernel needs a
    /// moment until it stamps, so not every time.
    #[cfg(target_os = "linux")]
    async fn arrives_when_written(socket: &mut Socket, written: Stamp) -> bool {
        let waited = Micros::from_millis(5);
        while socket.clock.now().since(written) < waited {
            std::hint::spin_loop();
        }
        let received = socket.next().await;
        assert!(received.read_at.since(written) >= waited);
        assert!(received.not_before <= received.at && received.at <= received.read_at, "{received:?}");
        // The clocks are read one after the other.
        received.at <= written + Micros(200)
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_busy_reader_does_not_make_a_frame_late() {
        let (mut socket, mut far) = open(b"").await;
        for attempt in 0.. {
            far.write_all(&text("x")).await.unwrap();
            let written = socket.clock.now();
            if arrives_when_written(&mut socket, written).await {
                return;
            }
            assert!(attempt < 200, "what waits is told as late");
        }
    }

    #[test]
    fn a_stamp_that_cannot_be_is_not_believed() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut socket, _far) = open(b"").await;
            let clock = socket.clock;
            let tcp = socket.stream.get_mut().tcp();
            let unstamped = |tcp: &Stamping| tcp.unstamped.load(Ordering::Relaxed);
            let before = unstamped(tcp);
            let now = clock.now() + Micros::from_secs(100);
            let ago = |ms| Some(SystemTime::now() - Micros::from_millis(ms).to_std());
            // Within a few microseconds, which pass between making a stamp and reading it.
            let near = |at: Stamp, expected: Stamp| expected.since(at) < Micros::from_millis(50) && at <= expected;
            assert!(near(tcp.arrived(ago(200), Stamp::ZERO, now), now - Micros::from_millis(200)));
            // A look that was a moment too early is not contradicted.
            assert_eq!(tcp.arrived(ago(1_002), now - Micros::from_secs(1), now), now - Micros::from_secs(1));
            assert_eq!(unstamped(tcp), before);
            assert_eq!(tcp.arrived(ago(5_000), now - Micros::from_secs(1), now), now);
            assert_eq!(tcp.arrived(Some(SystemTime::now() + Micros::from_secs(9).to_std()), Stamp::ZERO, now), now);
            assert_eq!(tcp.arrived(None, Stamp::ZERO, now), now);
            let told = if tcp.stamped { 3 } else { 0 };
            assert_eq!(unstamped(tcp), before + told);
        });
    }

    #[tokio::test]
    async fn a_socket_found_empty_bounds_the_next_arrival_from_below() {
        let (mut socket, mut far) = open(b"").await;
        let before = socket.clock.now();
        assert_eq!(socket.next_arrived().await, None);
        far.write_all(&text("x")).await.unwrap();
        assert!(socket.next().await.not_before >= before);
    }

    #[test]
    fn a_long_sleep_of_the_loop_is_a_long_gap_between_frames() {
        use std::sync::mpsc::{RecvTimeoutError, channel};

        use super::super::clock;

        const SLEEP: Micros = Micros::from_millis(5);
        let (parks, asleep) = channel();
        let wakes = parks.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || {
                clock::parking();
                let _ = parks.send(true);
            })
            .on_thread_unpark(move || {
                clock::woken();
                let _ = wakes.send(false);
            })
            .build()
            .unwrap();
        runtime.block_on(async {
            let (mut socket, far) = open(&text("first")).await;
            let first = socket.next().await;
            let mut far = far.into_std().unwrap();
            // Writes once the reader has been asleep for a while, however long it takes to get there.
            let writer = std::thread::spawn(move || {
                let mut sleeps = false;
                loop {
                    match asleep.recv_timeout(SLEEP.to_std()) {
                        Ok(parked) => sleeps = parked,
                        Err(RecvTimeoutError::Timeout) if !sleeps => {}
                        Err(_) => break,
                    }
                }
                io::Write::write_all(&mut far, &text("second")).unwrap();
                far
            });
            let second = socket.next().await;
            let gap = second.not_before.since(first.at);
            assert!(gap >= SLEEP - Micros::from_millis(1), "{gap}");
            drop(writer.join().unwrap());
        });
    }

    #[tokio::test]
    async fn a_text_is_sent_whole_and_masked() {
        let (mut socket, mut far) = open(b"").await;
        socket.send_text("hello".to_owned(), LONG).await.unwrap();
        let mut bytes = [0; 11];
        far.read_exact(&mut bytes).await.unwrap();
        assert_eq!(bytes[..2], [0x81, 0x85]);
        let payload: Vec<u8> = (0..5).map(|i| bytes[6 + i] ^ bytes[2 + i % 4]).collect();
        assert_eq!(payload, b"hello");
    }

    #[tokio::test]
    async fn a_target_that_does_not_take_what_is_sent_hangs() {
        let (mut socket, _far) = open(b"").await;
        // More than the system's buffers of both ends hold. With the clock paused only timers are left to wait for.
        tokio::time::pause();
        let failure = socket.send_text("x".repeat(64 << 20), LONG).await.unwrap_err();
        assert!(failure.hung, "{failure:?}");
        assert!(failure.doing.starts_with("sending 67108864 bytes to 127.0.0.1:"), "{failure:?}");
    }

    #[tokio::test]
    async fn the_targets_last_words_can_be_read_after_a_failed_send() {
        let (mut socket, mut far) = open(b"").await;
        far.write_all(&frame(0x88, &[&4008u16.to_be_bytes()[..], b"slow"].concat())).await.unwrap();
        assert_eq!(socket.next().await.content(), Content::Close { code: 4008, reason: "slow".into() });
        let failure = socket.send_text("x".to_owned(), LONG).await.unwrap_err();
        assert_eq!((failure.error.as_str(), failure.hung), ("the connection is closed", false));
    }

    #[tokio::test]
    async fn closing_says_good_bye_and_waits_for_the_target() {
        let (socket, mut far) = open(b"").await;
        let served = async {
            let mut close = [0; 8];
            far.read_exact(&mut close).await.unwrap();
            assert_eq!(close[..2], [0x88, 0x82]);
            assert_eq!([close[6] ^ close[2], close[7] ^ close[3]], 1000u16.to_be_bytes());
            far.write_all(&[text("too late"), frame(0x88, &1000u16.to_be_bytes())].concat()).await.unwrap();
            drop(far);
        };
        tokio::join!(socket.close(LONG), served);
    }

    #[tokio::test]
    async fn closing_ends_though_the_target_does_not_hang_up() {
        let (socket, _far) = open(b"").await;
        tokio::time::pause();
        socket.close(LONG).await;
    }

    #[tokio::test]
    async fn a_good_bye_of_the_target_is_answered() {
        let (mut socket, mut far) = open(&frame(0x88, &1001u16.to_be_bytes())).await;
        assert_eq!(socket.next().await.content(), Content::Close { code: 1001, reason: "".into() });
        let served = async {
            let mut close = [0; 8];
            far.read_exact(&mut close).await.unwrap();
            assert_eq!(close[0], 0x88);
            drop(far);
        };
        tokio::join!(socket.close(LONG), served);
    }

    #[tokio::test]
    async fn nobody_listening_is_a_failure_with_the_systems_word() {
        let address = FarEnd::listen().await.address;
        let dialed = dial(&request(&format!("ws://{address}/ws")), &Net::for_tests()).await;
        let Dial::Failed(failure) = dialed.outcome else { panic!("{:?}", dialed.outcome) };
        assert_eq!(failure.doing, format!("connecting to {address}"));
        assert!(failure.error.starts_with("connection refused"), "{failure:?}");
        assert!(!failure.hung && dialed.socket.is_none());
    }

    #[tokio::test]
    async fn a_name_is_looked_up_and_each_address_tried() {
        let far_end = FarEnd::listen().await;
        let request = request(&format!("ws://localhost:{}/", far_end.address.port()));
        let net = Net::for_tests();
        let (dialed, _far) = tokio::join!(dial(&request, &net), far_end.accept_upgrade(b""));
        assert!(dialed.socket.is_some(), "{:?}", dialed.outcome);
    }

    #[tokio::test]
    async fn a_target_that_accepts_and_never_answers_hangs() {
        let far_end = FarEnd::listen().await;
        let request = request(&format!("ws://{}/", far_end.address));
        let net = Net::for_tests();
        let served = async {
            let mut stream = far_end.accept().await;
            read_head(&mut stream).await;
            // Only timers are left to wait for.
            tokio::time::pause();
            std::future::pending::<()>().await;
        };
        let dialed = tokio::select! { dialed = dial(&request, &net) => dialed, () = served => unreachable!() };
        let Dial::Failed(failure) = dialed.outcome else { panic!("{:?}", dialed.outcome) };
        assert!(failure.hung, "{failure:?}");
        assert_eq!(dialed.done.since(dialed.begun).0 / 1_000_000, 30);
    }

    #[tokio::test]
    async fn an_address_that_is_no_websocket_is_refused_without_its_secrets() {
        let dialed = dial(&request("http://user:pass@127.0.0.1:1/?token=x"), &Net::for_tests()).await;
        let Dial::Failed(failure) = dialed.outcome else { panic!("{:?}", dialed.outcome) };
        assert_eq!(failure.doing, "connecting to http://127.0.0.1");
    }

    mod over_tls {
        use std::sync::Arc;

        use rustls::ServerConfig;
        use rustls::crypto::ring;
        use rustls::pki_types::PrivateKeyDer;
        use tokio_rustls::TlsAcceptor;

        use super::*;

        /// A listener with a certificate for `localhost`, and a client that trusts it.
        async fn listen() -> (FarEnd, TlsAcceptor, Net) {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
            let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![made.cert.der().clone()], key)
                .unwrap();
            let net = Net { tls: Tls::only(vec![made.cert.der().clone()]), ..Net::for_tests() };
            (FarEnd::listen().await, TlsAcceptor::from(Arc::new(config)), net)
        }

        #[tokio::test]
        async fn messages_are_stamped_and_none_is_overlooked() {
            let (far_end, acceptor, net) = listen().await;
            let request = request(&format!("wss://localhost:{}/ws", far_end.address.port()));
            let accepted = async {
                let mut tls = acceptor.accept(far_end.accept().await).await.unwrap();
                let head = read_head(&mut tls).await;
                tls.write_all(&[switching(&head, "").as_bytes(), &text("glued")].concat()).await.unwrap();
                tls.flush().await.unwrap();
                tls
            };
            let (dialed, mut far) = tokio::join!(dial(&request, &net), accepted);
            let mut socket = dialed.socket.expect("upgraded");
            assert_eq!(socket.next().await.text(), Some("glued"));
            for round in 0..20 {
                let message = format!("message {round}");
                far.write_all(&[text(&message), text("and another")].concat()).await.unwrap();
                far.flush().await.unwrap();
                arrived(&mut socket);
                let received = socket.next_arrived().await.expect("it has arrived");
                assert_eq!(received.text(), Some(message.as_str()));
                assert!(received.not_before <= received.at && received.at <= received.read_at);
                assert_eq!(socket.next_arrived().await.expect("so has this").text(), Some("and another"));
                assert_eq!(socket.next_arrived().await, None);
            }
            #[cfg(target_os = "linux")]
            for attempt in 0.. {
                far.write_all(&text("x")).await.unwrap();
                far.flush().await.unwrap();
                let written = socket.clock.now();
                if super::arrives_when_written(&mut socket, written).await {
                    return;
                }
                assert!(attempt < 200, "what waits is told as late");
            }
        }

        #[tokio::test]
        async fn a_certificate_that_is_not_trusted_is_said_to_be() {
            let (far_end, acceptor, _) = listen().await;
            let request = request(&format!("wss://localhost:{}/ws", far_end.address.port()));
            let net = Net::for_tests();
            let accepted = async { acceptor.accept(far_end.accept().await).await.is_err() };
            let (dialed, refused) = tokio::join!(dial(&request, &net), accepted);
            assert!(refused);
            let Dial::Failed(failure) = dialed.outcome else { panic!("{:?}", dialed.outcome) };
            assert!(failure.doing.starts_with("agreeing on TLS with localhost:"), "{failure:?}");
            assert!(failure.error.contains("certificate"), "{failure:?}");
        }

        #[tokio::test]
        async fn https_uses_the_same_roots() {
            use crate::session::http::{Http, HttpRequest, Method};
            let (far_end, acceptor, net) = listen().await;
            let url = format!("https://localhost:{}/", far_end.address.port()).parse().unwrap();
            let request = HttpRequest { method: Method::GET, url, headers: Vec::new(), body: None, timeout: LONG };
            let http = Http::new(&net, LONG);
            let served = async {
                let mut tls = acceptor.accept(far_end.accept().await).await.unwrap();
                read_head(&mut tls).await;
                tls.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
                tls.flush().await.unwrap();
                tls
            };
            let (answer, _far) = tokio::join!(http.send(&request), served);
            assert_eq!(answer.unwrap().status, 204);
        }
    }
}
