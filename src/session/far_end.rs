//! What tests put at the other end of a connection: a listener and raw bytes, and no opinion on what is correct.

use std::net::SocketAddr;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::exchange::SETTLED;

/// A listener on a free port of this machine.
pub(super) struct FarEnd {
    listener: TcpListener,
    pub(super) address: SocketAddr,
}

impl FarEnd {
    pub(super) async fn listen() -> FarEnd {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        FarEnd { listener, address }
    }

    pub(super) async fn accept(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }

    /// Accepts a connection and its upgrade; `glued` goes out in the same write as the answer.
    pub(super) async fn accept_upgrade(&self, glued: &[u8]) -> TcpStream {
        let mut stream = self.accept().await;
        let head = read_head(&mut stream).await;
        stream.write_all(&[switching(&head, "").as_bytes(), glued].concat()).await.unwrap();
        stream
    }
}

/// The head of a request.
pub(super) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// The answer that accepts the upgrade in `head`, with `more` header lines.
pub(super) fn switching(head: &str, more: &str) -> String {
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
    )
}

/// An unmasked frame (RFC 6455, section 5.2): `first` holds the final bit and the opcode.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(length as u8),
        length @ 126..65_536 => {
            bytes.push(126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// A whole text message.
pub(super) fn text(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

/// Lets so much time go by as a connection must stand idle to be used again.
pub(super) async fn settle() {
    tokio::time::pause();
    tokio::time::advance(SETTLED).await;
    tokio::time::resume();
}
