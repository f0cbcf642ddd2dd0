//! The way through a proxy: `CONNECT` (RFC 9110, section 9.3.6), for sockets of either scheme, and for `https`.
//!
//! Behind a good answer the stream is the target's. What a refusal said beside its status is not kept.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::connect::{Past, look_up_and_connect};
use crate::session::proxies::Proxy;
use crate::session::upgrade::{HEAD_LIMIT, Parsed, parse_head};
use crate::session::{Net, failure};
use crate::time::Micros;
use crate::trace::NetFailure;

/// A stream to `target`, host and port, by the favour of `proxy`.
///
/// # Errors
///
/// When the proxy is not reached, does not answer by `deadline`, which is after `within`, or does not lead there.
pub(super) async fn tunnel(
    proxy: &Proxy,
    target: &str,
    net: &Net,
    within: Micros,
    deadline: Instant,
    note: &mut dyn FnMut(Past<'_>),
) -> Result<TcpStream, NetFailure> {
    let mut tcp = reach(proxy, net, within, deadline, note).await?;
    let doing = || format!("asking the proxy {proxy} for the way to {target}");
    match timeout_at(deadline, ask(&mut tcp, proxy, target)).await {
        Ok(Ok(())) => {
            note(Past::Proxy);
            Ok(tcp)
        }
        Ok(Err(error)) => Err(NetFailure { doing: doing(), error, hung: false }),
        Err(_) => Err(failure::hung(doing(), within)),
    }
}

/// A stream to the proxy itself.
pub(super) async fn reach(
    proxy: &Proxy,
    net: &Net,
    within: Micros,
    deadline: Instant,
    note: &mut dyn FnMut(Past<'_>),
) -> Result<TcpStream, NetFailure> {
    let (host, port) = proxy.address();
    look_up_and_connect(&host, port, &format!("the proxy {proxy}"), net, within, deadline, note).await
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, proxy: &Proxy, target: &str) -> Result<(), String> {
    let mut text = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(authorization) = &proxy.authorization {
        text.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes()).await.map_err(|error| failure::chain(&error))?;
    let mut read = Vec::new();
    loop {
        match parse_head(&read) {
            // The target says nothing before it is spoken to, so whatever follows is not the target's.
            Parsed::Head(head) if (200..300).contains(&head.status) && read.len() > head.length => {
                return Err("the proxy said more than that there is a way".to_owned());
            }
            Parsed::Head(head) if (200..300).contains(&head.status) => return Ok(()),
            Parsed::Head(head) => return Err(proxy.refusal(head.status, target)),
            Parsed::Wrong(why) => return Err(why),
            Parsed::Partial if read.len() >= HEAD_LIMIT => {
                return Err(format!("the answer's head has more than {HEAD_LIMIT} bytes"));
            }
            Parsed::Partial => {
                let room = (HEAD_LIMIT - read.len()) as u64;
                let got = (&mut *stream).take(room).read_buf(&mut read).await;
                if got.map_err(|error| failure::chain(&error))? == 0 {
                    return Err("the proxy hung up without an answer".to_owned());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::session::far_end::read_head;
    use crate::session::proxies::Proxies;

    /// What comes of asking a proxy that answers this and hangs up.
    async fn asked(answer: &str) -> (String, Result<(), String>) {
        let variables = BTreeMap::from([("http_proxy".to_owned(), "http://me:secret@proxy:3128".to_owned())]);
        let proxies = Proxies::from_variables(&variables).unwrap();
        let proxy = proxies.to(&"ws://far.example:8000/".parse().unwrap()).unwrap();
        let (mut near, mut far) = tokio::io::duplex(64 * 1024);
        let served = async {
            let head = read_head(&mut far).await;
            far.write_all(answer.as_bytes()).await.unwrap();
            drop(far);
            head
        };
        let (said, head) = tokio::join!(ask(&mut near, &proxy, "far.example:8000"), served);
        (head, said)
    }

    #[tokio::test]
    async fn a_proxy_is_asked_for_the_way_by_host_and_port() {
        let (head, said) = asked("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n").await;
        assert_eq!(said, Ok(()));
        let expected = "CONNECT far.example:8000 HTTP/1.1\r\nHost: far.example:8000\r\n\
                        Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n";
        assert_eq!(head, expected);
    }

    #[tokio::test]
    async fn everything_else_is_named_and_never_the_password() {
        for (answer, why) in [
            ("HTTP/1.1 407 X\r\n\r\n", "the proxy answered 407: it wants a user and a password, or others than these"),
            ("HTTP/1.1 503 X\r\n\r\nbody", "the proxy answered 503: it does not reach far.example:8000"),
            ("HTTP/1.1 403 X\r\n\r\n", "the proxy answered 403: it does not lead to far.example:8000"),
            ("HTTP/1.1 200 X\r\n\r\nhello", "the proxy said more than that there is a way"),
            ("HTTP/1.1 200 X\r\n", "the proxy hung up without an answer"),
            ("", "the proxy hung up without an answer"),
        ] {
            assert_eq!(asked(answer).await.1, Err(why.to_owned()), "{answer:?}");
        }
        let (_, said) = asked("SSH-2.0-x\r\n\r\n").await;
        assert!(said.unwrap_err().starts_with("the answer is not HTTP/1.1"));
        let (_, said) = asked(&format!("HTTP/1.1 200 X\r\nx: {}", "x".repeat(HEAD_LIMIT))).await;
        assert_eq!(said, Err(format!("the answer's head has more than {HEAD_LIMIT} bytes")));
    }
}
