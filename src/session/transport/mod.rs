//! One WebSocket, from the TCP connect to the close.
//!
//! It stamps what arrives before anything is decoded, answers pings, and turns every way in which a connection can end into
//! a [`Content`]. It knows nothing of users, scenarios and secrets; nothing is judged and nothing is retried.
//!
//! | file | what for |
//! |---|---|
//! | `climb.rs` | how far the way to an address leads, for whoever looks for the place where it ends |
//! | `connect.rs` | from an address to a stream of bytes: name, TCP, TLS; for requests as well |
//! | `proxy.rs` | the way through a proxy |
//! | `wire.rs` | that stream, each read of which is stamped |

pub mod climb;
pub(super) mod connect;
mod proxy;
#[cfg(test)]
mod tests;
pub(super) mod wire;

use std::borrow::Cow;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};
use url::Url;

use self::connect::connect;
use self::wire::{Read, Wire};
use super::clock::Clock;
use super::upgrade::upgrade;
use super::{Net, failure};
use crate::identity::Connection;
use crate::time::{Micros, Stamp};
use crate::trace::{Content, Dial, Direction, Frame, NetFailure};

/// tungstenite's own default is 128 KiB per connection, zeroed before every read, and each user keeps one. What it takes at once
/// is not what a read takes at once (`wire`), so it may be small.
const BUFFER: usize = 512;
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
    pub socket: Option<Box<Socket>>,
    /// The header lines of the answer, where it makes the upgrade.
    pub headers: Vec<(String, String)>,
}

/// Connects and asks for the upgrade. Not answering in time is an outcome, not an error; dropping the future gives up.
pub async fn dial(request: &DialRequest, net: &Net) -> Dialed {
    let begun = net.clock.now();
    let deadline = net.clock.instant_of(begun + request.timeout);
    let (outcome, socket, headers) = match connect(&request.url, net, request.timeout, deadline, &mut |_| {}).await {
        Err(failure) => (Dial::Failed(failure), None, Vec::new()),
        Ok((mut wire, peer)) => {
            let answer = upgrade(&mut wire, request, &peer, deadline).await;
            let socket = match answer.outcome {
                Dial::Upgraded { .. } => Some(Box::new(Socket::open(wire, answer.leftover, request, net.clock))),
                _ => None,
            };
            (answer.outcome, socket, answer.headers)
        }
    };
    // The answer arrived before it was read, and that before this task got its turn; for a refusal that is the end of its body.
    let done = match &socket {
        Some(socket) => socket.last_read().at,
        None => net.clock.now(),
    };
    Dialed { begun, done, outcome, socket, headers }
}

/// An open WebSocket.
#[derive(Debug)]
pub struct Socket {
    wire: Wire,
    protocol: WebSocketContext,
    /// The stream did not take all of what was written.
    full: bool,
    clock: Clock,
    connection: Connection,
    max_frame: u64,
    /// A frame that ends the connection was handed out.
    ended: bool,
    /// A read failed. There is no other: tungstenite panics on a read after a capacity error.
    failed: bool,
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
    fn open(wire: Wire, leftover: Vec<u8>, request: &DialRequest, clock: Clock) -> Socket {
        let limit = usize::try_from(request.max_frame).ok();
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_message_size(limit)
            .max_frame_size(limit);
        Socket {
            wire,
            protocol: WebSocketContext::from_partially_read(leftover, Role::Client, Some(config)),
            full: false,
            clock,
            connection: request.connection,
            max_frame: request.max_frame,
            ended: false,
            failed: false,
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
            match self.wire.tcp().is_empty() {
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
        let bytes = text.len();
        let doing = |socket: &Socket| format!("sending {bytes} bytes to {}", socket.wire.peer);
        let closed = |doing| NetFailure { doing, error: "the connection is closed".to_owned(), hung: false };
        if self.ended {
            return Err(closed(doing(self)));
        }
        let sent = {
            let mut sending = pin!(self.write(Message::text(text)));
            // Most messages go out at once, and need no timer.
            match (&mut sending).now_or_never() {
                Some(sent) => Ok(sent),
                None if within == Micros::ZERO => Err(()),
                None => timeout(within.to_std(), sending).await.map_err(drop),
            }
        };
        match sent {
            Ok(Ok(())) => match &self.wire.tcp_ref().write_error {
                None => Ok(()),
                Some(error) => Err(failure::failed(doing(self), error)),
            },
            Ok(Err(
                Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(ProtocolError::SendAfterClosing),
            )) => Err(closed(doing(self))),
            Ok(Err(error)) => Err(failure::failed(doing(self), &error)),
            Err(()) => Err(failure::hung(doing(self), within)),
        }
    }

    /// Says good-bye with code 1000, or answers the target's good-bye, and waits at most `within` for the target to hang
    /// up. Frames that arrive meanwhile are dropped.
    pub async fn close(mut self: Box<Self>, within: Micros) {
        let good_bye = async {
            if !self.ended {
                let close = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::from_static("") };
                if self.write(Message::Close(Some(close))).await.is_err() {
                    return;
                }
            }
            while !self.failed && poll_fn(|cx| self.read(cx)).await.is_ok() {}
        };
        // A target that does not hang up is hung up on.
        let _ = timeout(within.to_std(), good_bye).await;
    }

    /// Its number.
    pub fn connection(&self) -> Connection {
        self.connection
    }

    fn last_read(&self) -> Read {
        self.wire.tcp_ref().last
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        if self.ended {
            return Poll::Pending;
        }
        loop {
            let Poll::Ready(next) = self.read(cx) else { return Poll::Pending };
            let body = match next {
                Ok(Message::Text(text)) => Body::Text(text),
                Ok(Message::Binary(bytes)) => Body::Binary(bytes),
                Ok(Message::Ping(_)) => Body::Ping,
                Ok(Message::Pong(_)) => Body::Pong,
                Ok(Message::Close(close)) => Body::Close(close),
                // Raw frames are only ever written.
                Ok(Message::Frame(_)) => continue,
                Err(error) => match error {
                    Error::ConnectionClosed | Error::AlreadyClosed => {
                        return Poll::Ready(self.lost("the connection is closed".to_owned()));
                    }
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

    /// Writes a message, behind whatever was not taken before, and waits until the system has taken all of it.
    async fn write(&mut self, message: Message) -> Result<(), Error> {
        if self.full {
            self.flush().await?;
        }
        let mut message = Some(message);
        let written = poll_fn(|cx| {
            let Some(message) = message.take() else { return Poll::Ready(Ok(())) };
            match self.poll(cx, |protocol, stream| protocol.write(stream, message)) {
                Poll::Ready(written) => Poll::Ready(written),
                // It is kept and goes out when there is room.
                Poll::Pending => Poll::Ready(Ok(())),
            }
        });
        written.await?;
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.full = true;
        poll_fn(|cx| self.poll(cx, |protocol, stream| protocol.flush(stream))).await?;
        self.full = false;
        Ok(())
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Error>> {
        let read = self.poll(cx, |protocol, stream| protocol.read(stream));
        self.failed |= matches!(read, Poll::Ready(Err(_)));
        read
    }

    /// What tungstenite does at once; pending where the stream has to be waited for.
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        act: impl FnOnce(&mut WebSocketContext, &mut AtOnce<'_, '_, '_>) -> Result<T, Error>,
    ) -> Poll<Result<T, Error>> {
        match act(&mut self.protocol, &mut AtOnce { wire: &mut self.wire, cx }) {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            done => Poll::Ready(done),
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

/// The stream as tungstenite wants it: something is done at once, or the task is woken when it can be.
struct AtOnce<'w, 'c, 't> {
    wire: &'w mut Wire,
    cx: &'c mut Context<'t>,
}

impl io::Read for AtOnce<'_, '_, '_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut room = ReadBuf::new(room);
        at_once(Pin::new(&mut *self.wire).poll_read(self.cx, &mut room))?;
        Ok(room.filled().len())
    }
}

impl io::Write for AtOnce<'_, '_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        at_once(Pin::new(&mut *self.wire).poll_write(self.cx, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        at_once(Pin::new(&mut *self.wire).poll_flush(self.cx))
    }
}

fn at_once<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(done) => done,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
