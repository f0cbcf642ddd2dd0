//! One complete WebSocket message or control signal, stamped on arrival.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::identity::Connection;
use crate::time::Stamp;

/// One message or control signal of one connection, in the order in which it was read from or written to the socket.
///
/// The text is already free of secrets (`secret::Scrubber`), so that live and recorded frames read the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame<'a> {
    /// On which connection of its user.
    pub connection: Connection,
    /// Received from the target or sent to it.
    pub direction: Direction,
    /// When it arrived, at the latest: the kernel's stamp where there is one, else `read_at`. For a sent frame the instant
    /// before the write.
    pub at: Stamp,
    /// When the harness read it.
    pub read_at: Stamp,
    /// When it arrived, at the earliest: it was not there when this socket, or the loop, last looked.
    pub not_before: Stamp,
    /// What it is.
    #[serde(borrow)]
    pub content: Content<'a>,
}

/// Which way a frame went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the target.
    Received,
    /// To the target.
    Sent,
}

/// What a frame is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content<'a> {
    /// A text message.
    Text(#[serde(borrow)] Cow<'a, str>),
    /// A binary message; in base 64 where it is written down.
    Binary(#[serde(with = "base64")] Cow<'a, [u8]>),
    /// A protocol ping; it is answered by the transport.
    Ping,
    /// A protocol pong.
    Pong,
    /// A close frame; the code is 1005 when it held none (RFC 6455, section 7.1.5).
    Close {
        /// The close code.
        code: u16,
        /// The reason given.
        #[serde(borrow)]
        reason: Cow<'a, str>,
    },
    /// The connection ended without a close frame.
    Lost {
        /// The system's word for it.
        #[serde(borrow)]
        error: Cow<'a, str>,
    },
    /// A message beyond the limit; the connection was ended by the harness.
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// A violation of the WebSocket protocol, invalid UTF-8 included; the connection was ended by the harness.
    Violation {
        /// What was violated.
        #[serde(borrow)]
        why: Cow<'a, str>,
    },
}

impl Content<'_> {
    /// Nothing can follow on this connection.
    pub fn ends_connection(&self) -> bool {
        matches!(
            self,
            Content::Close { .. } | Content::Lost { .. } | Content::TooLarge { .. } | Content::Violation { .. }
        )
    }
}

impl Frame<'_> {
    /// The same frame with its own text, for keeping.
    pub fn into_owned(self) -> Frame<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let content = match self.content {
            Content::Text(text) => Content::Text(owned(text)),
            Content::Binary(bytes) => Content::Binary(Cow::Owned(bytes.into_owned())),
            Content::Ping => Content::Ping,
            Content::Pong => Content::Pong,
            Content::Close { code, reason } => Content::Close { code, reason: owned(reason) },
            Content::Lost { error } => Content::Lost { error: owned(error) },
            Content::TooLarge { limit } => Content::TooLarge { limit },
            Content::Violation { why } => Content::Violation { why: owned(why) },
        };
        Frame { content, ..self }
    }
}

/// Bytes as base 64 text (RFC 4648, section 4).
mod base64 {
    use std::borrow::Cow;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'static, [u8]>, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        STANDARD.decode(&*text).map(Cow::Owned).map_err(de::Error::custom)
    }
}
