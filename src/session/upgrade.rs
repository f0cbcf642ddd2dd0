//! The WebSocket upgrade (RFC 6455, section 4.1), written and read by hand.
//!
//! So that status, headers and body of a refusal are kept, that a greeting glued to the answer is not lost, and that a target
//! which does not echo the subprotocol can be talked to. It reports; whether a missing echo matters is the judge's business.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use url::Url;

use super::failure;
use super::transport::DialRequest;
use crate::time::Micros;
use crate::trace::{Dial, NetFailure};

/// The answer's head, and all interim heads before it.
pub(super) const HEAD_LIMIT: usize = 16 * 1024;
/// Header lines of one head.
const LINES_LIMIT: usize = 128;
/// What is kept of a refusal's body.
const BODY_LIMIT: usize = 4 * 1024;
/// How long the rest of a refusal's body is waited for. A target that refuses says what it has to say at once.
const BODY_WAIT: Micros = Micros::from_millis(500);

/// How the upgrade went, and what had already come after the answer's head.
pub(super) struct Answer {
    pub(super) outcome: Dial,
    pub(super) leftover: Vec<u8>,
    /// The header lines of an answer that makes the upgrade.
    pub(super) headers: Vec<(String, String)>,
}

/// Asks for the upgrade on an open stream and reads the answer. `peer` is for messages, `deadline` is when `request.timeout` is over.
pub(super) async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    request: &DialRequest,
    peer: &str,
    deadline: Instant,
) -> Answer {
    let answered = timeout_at(deadline, exchange(stream, request, peer, deadline)).await;
    let given_up = || Err(failure::hung(format!("waiting for {peer} to answer the upgrade"), request.timeout));
    answered.unwrap_or_else(|_| given_up()).unwrap_or_else(|failure| ended(Dial::Failed(failure)))
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    request: &DialRequest,
    peer: &str,
    deadline: Instant,
) -> Result<Answer, NetFailure> {
    let asking = || format!("asking {peer} for the upgrade");
    // 16 bytes at random for each connection (RFC 6455, section 4.1, item 7).
    let key = STANDARD.encode(rand::random::<[u8; 16]>());
    let text = request_text(request, &key).map_err(|error| NetFailure { doing: asking(), error, hung: false })?;
    stream.write_all(text.as_bytes()).await.map_err(|error| failure::failed(asking(), &error))?;
    stream.flush().await.map_err(|error| failure::failed(asking(), &error))?;

    let reading = || format!("reading the answer of {peer} to the upgrade");
    let mut read = Vec::new();
    // Interim answers before this place are done with.
    let mut parsed = 0;
    loop {
        match parse_head(&read[parsed..]) {
            // RFC 9110, section 15.2: any number of interim answers may come first.
            Parsed::Head(head) if (100..200).contains(&head.status) && head.status != 101 => parsed += head.length,
            Parsed::Head(head) => {
                let rest = read.split_off(parsed + head.length);
                return Ok(match head.status {
                    101 => switched(head, request, &key, rest),
                    _ => refused(stream, head, rest, deadline).await,
                });
            }
            Parsed::Wrong(why) => return Ok(invalid(why)),
            Parsed::Partial if read.len() >= HEAD_LIMIT => {
                return Ok(invalid(format!("the answer's head has more than {HEAD_LIMIT} bytes")));
            }
            Parsed::Partial => {
                let room = (HEAD_LIMIT - read.len()) as u64;
                // Most answers are shorter; what a read may fill is cleared before.
                read.reserve(1024);
                let got = (&mut *stream).take(room).read_buf(&mut read).await;
                if got.map_err(|error| failure::failed(reading(), &error))? == 0 {
                    let error = match read.len() {
                        0 => "the connection was closed without an answer".to_owned(),
                        bytes => format!("the connection was closed after {bytes} bytes"),
                    };
                    return Err(NetFailure { doing: reading(), error, hung: false });
                }
            }
        }
    }
}

fn ended(outcome: Dial) -> Answer {
    Answer { outcome, leftover: Vec::new(), headers: Vec::new() }
}

fn invalid(why: impl Into<String>) -> Answer {
    ended(Dial::Invalid { why: why.into() })
}

/// More bytes than most requests for an upgrade have.
const USUAL: usize = 512;

/// # Errors
///
/// When a header would break the request apart.
fn request_text(request: &DialRequest, key: &str) -> Result<String, String> {
    let url = &request.url;
    let mut text = String::with_capacity(USUAL);
    text.extend(["GET ", &url[url::Position::BeforePath..url::Position::AfterQuery], " HTTP/1.1\r\n"]);
    let mut line = |name: &str, value: &str| text.extend([name, ": ", value, "\r\n"]);
    let chosen = |name: &str| request.headers.iter().any(|(chosen, _)| chosen.eq_ignore_ascii_case(name));
    if !chosen("host") {
        line("Host", authority(url));
    }
    line("Upgrade", "websocket");
    line("Connection", "Upgrade");
    line("Sec-WebSocket-Key", key);
    line("Sec-WebSocket-Version", "13");
    if !request.subprotocols.is_empty() {
        line("Sec-WebSocket-Protocol", &request.subprotocols.join(", "));
    }
    for (name, value) in &request.headers {
        if !may_be_sent(name, value) {
            return Err(format!("the header `{}` cannot be sent with an upgrade", name.escape_debug()));
        }
        line(name, value);
    }
    text.push_str("\r\n");
    Ok(text)
}

/// It does not break the request apart, and it is not one of those that make the upgrade.
fn may_be_sent(name: &str, value: &str) -> bool {
    const OURS: &str = "sec-websocket-";
    let begins = name.get(..OURS.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(OURS));
    let ours = begins || ["upgrade", "connection"].iter().any(|ours| name.eq_ignore_ascii_case(ours));
    let token = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    token && !ours && !value.contains(['\r', '\n', '\0'])
}

/// Host and port as a `Host` header has them: without the scheme's own port.
fn authority(url: &Url) -> &str {
    &url[url::Position::BeforeHost..url::Position::AfterPort]
}

pub(super) struct Head {
    pub(super) status: u16,
    minor_version: u8,
    lines: Vec<(String, String)>,
    pub(super) length: usize,
}

pub(super) enum Parsed {
    Partial,
    Head(Head),
    Wrong(String),
}

pub(super) fn parse_head(bytes: &[u8]) -> Parsed {
    let mut lines = [httparse::EMPTY_HEADER; LINES_LIMIT];
    let mut response = httparse::Response::new(&mut lines);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Parsed::Partial,
        Err(error) => {
            let begin = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
            return Parsed::Wrong(format!("the answer is not HTTP/1.1 ({error}): {begin:?}"));
        }
    };
    let text = |line: &httparse::Header<'_>| (line.name.to_owned(), String::from_utf8_lossy(line.value).into_owned());
    Parsed::Head(Head {
        status: response.code.unwrap_or_default(),
        minor_version: response.version.unwrap_or_default(),
        lines: response.headers.iter().map(text).collect(),
        length,
    })
}

impl Head {
    /// The values of one header, taken apart at commas.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.lines
            .iter()
            .filter(move |(line, _)| line.eq_ignore_ascii_case(name))
            .flat_map(|(_, value)| value.split(','))
            .map(str::trim)
            .filter(|value| !value.is_empty())
    }
}

/// RFC 6455, section 4.1, the numbered list about the server's response.
fn switched(head: Head, request: &DialRequest, key: &str, leftover: Vec<u8>) -> Answer {
    if head.minor_version == 0 {
        return invalid("101 in an HTTP/1.0 answer");
    }
    if !head.values("upgrade").any(|value| value.eq_ignore_ascii_case("websocket")) {
        return invalid("101 without `Upgrade: websocket`");
    }
    if !head.values("connection").any(|value| value.eq_ignore_ascii_case("upgrade")) {
        return invalid("101 without `Connection: Upgrade`");
    }
    match head.values("sec-websocket-accept").next() {
        None => return invalid("101 without `Sec-WebSocket-Accept`"),
        Some(accept) if accept != derive_accept_key(key.as_bytes()) => {
            return invalid("101 with a `Sec-WebSocket-Accept` that does not answer the key");
        }
        Some(_) => {}
    }
    if let Some(extension) = head.values("sec-websocket-extensions").next() {
        return invalid(format!("101 with the extension `{extension}`, which was not offered"));
    }
    let subprotocol = head.values("sec-websocket-protocol").next().map(str::to_owned);
    let echo_fits = match &subprotocol {
        Some(selected) => request.subprotocols.contains(selected),
        None => request.subprotocols.is_empty(),
    };
    let outcome = Dial::Upgraded { subprotocol, echo_fits, echo_strict: request.echo.is_strict() };
    Answer { outcome, leftover, headers: head.lines }
}

async fn refused<S: AsyncRead + Unpin>(stream: &mut S, head: Head, mut raw: Vec<u8>, deadline: Instant) -> Answer {
    let body = Body::of(&head);
    let enough = deadline.min(Instant::now() + BODY_WAIT.to_std());
    while !body.is_whole(&raw) {
        match timeout_at(enough, stream.read_buf(&mut raw)).await {
            Ok(Ok(got)) if got > 0 => {}
            // What came so far is what there is to show.
            _ => break,
        }
    }
    let shown = |(name, value): &(String, String)| match name.eq_ignore_ascii_case("set-cookie") {
        // What a cookie holds may let somebody in.
        true => format!("{name}: {}=...", value.split('=').next().unwrap_or_default()),
        false => format!("{name}: {value}"),
    };
    let lines: Vec<String> = head.lines.iter().map(shown).collect();
    let mut shown = body.decode(&raw);
    shown.truncate(BODY_LIMIT);
    ended(Dial::Refused {
        status: head.status,
        headers: lines.join("\n"),
        body: String::from_utf8_lossy(&shown).into_owned(),
    })
}

/// How a body ends (RFC 9112, section 6.3).
enum Body {
    Length(usize),
    Chunked,
    UntilClose,
}

impl Body {
    fn of(head: &Head) -> Body {
        if matches!(head.status, 204 | 304) {
            return Body::Length(0);
        }
        if head.values("transfer-encoding").any(|value| value.eq_ignore_ascii_case("chunked")) {
            return Body::Chunked;
        }
        match head.values("content-length").next().and_then(|length| length.parse().ok()) {
            Some(length) => Body::Length(length),
            None => Body::UntilClose,
        }
    }

    /// Nothing more is coming, or enough has come.
    fn is_whole(&self, raw: &[u8]) -> bool {
        // Chunks of one byte take six; more than that is not waited for.
        let enough = raw.len() >= BODY_LIMIT * 6;
        match self {
            Body::Length(length) => raw.len() >= (*length).min(BODY_LIMIT),
            Body::Chunked => enough || dechunk(raw).1,
            Body::UntilClose => raw.len() >= BODY_LIMIT,
        }
    }

    fn decode(&self, raw: &[u8]) -> Vec<u8> {
        match self {
            Body::Length(length) => raw[..raw.len().min(*length)].to_vec(),
            Body::Chunked => dechunk(raw).0,
            Body::UntilClose => raw.to_vec(),
        }
    }
}

/// The data of the chunks so far, and whether the last one has come.
fn dechunk(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut data = Vec::new();
    while let Ok(httparse::Status::Complete((begin, size))) = httparse::parse_chunk_size(raw) {
        if size == 0 {
            return (data, true);
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let end = begin.saturating_add(size);
        data.extend_from_slice(&raw[begin..end.min(raw.len())]);
        match raw.get(end.saturating_add(2)..) {
            Some(rest) => raw = rest,
            None => break,
        }
    }
    (data, false)
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::*;
    use crate::identity::Connection;
    use crate::session::far_end::{read_head, switching};
    use crate::session::transport::Echo;

    fn request() -> DialRequest {
        DialRequest {
            url: "ws://127.0.0.1:8000/ws?room=1".parse().unwrap(),
            headers: Vec::new(),
            subprotocols: Vec::new(),
            echo: Echo::Lenient,
            timeout: Micros::from_secs(10),
            max_frame: 1024,
            connection: Connection(1),
        }
    }

    /// What comes of an upgrade that `serve` answers, having read the request. The stream is closed when `serve` drops it.
    async fn answered<F: Future<Output = ()>>(
        request: &DialRequest,
        serve: impl FnOnce(String, DuplexStream) -> F,
    ) -> Answer {
        let (mut near, mut far) = tokio::io::duplex(64 * 1024);
        let deadline = Instant::now() + request.timeout.to_std();
        let far_end = async {
            let head = read_head(&mut far).await;
            serve(head, far).await;
        };
        tokio::select! {
            answer = upgrade(&mut near, request, "far:1", deadline) => answer,
            () = async { far_end.await; std::future::pending().await } => unreachable!(),
        }
    }

    /// The outcome when the answer is exactly these bytes and the connection stays open.
    async fn outcome_of(answer: impl FnOnce(&str) -> String) -> Dial {
        let serve = async |head: String, mut far: DuplexStream| {
            far.write_all(answer(&head).as_bytes()).await.unwrap();
            std::future::pending().await
        };
        answered(&request(), serve).await.outcome
    }

    fn invalid_why(outcome: Dial) -> String {
        match outcome {
            Dial::Invalid { why } => why,
            other => panic!("not invalid: {other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_request_is_a_websocket_upgrade_with_the_given_headers() {
        let request = DialRequest {
            headers: vec![("Authorization".to_owned(), "Bearer x".to_owned())],
            subprotocols: vec!["jwt-auth".to_owned(), "jwt.abc".to_owned()],
            ..request()
        };
        let Answer { outcome, .. } = answered(&request, async |head, mut far| {
            assert!(head.starts_with("GET /ws?room=1 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"), "{head}");
            for line in
                ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Authorization: Bearer x"]
            {
                assert!(head.contains(&format!("{line}\r\n")), "{head}");
            }
            assert!(head.contains("Sec-WebSocket-Protocol: jwt-auth, jwt.abc\r\n"), "{head}");
            far.write_all(switching(&head, "Sec-WebSocket-Protocol: jwt-auth\r\n").as_bytes()).await.unwrap();
        })
        .await;
        let subprotocol = Some("jwt-auth".to_owned());
        assert_eq!(outcome, Dial::Upgraded { subprotocol, echo_fits: true, echo_strict: false });
    }

    #[tokio::test(start_paused = true)]
    async fn a_subprotocol_that_does_not_fit_is_told_and_not_judged() {
        let offering = |offered: &[&str]| DialRequest {
            subprotocols: offered.iter().map(|&name| name.to_owned()).collect(),
            echo: Echo::Strict,
            ..request()
        };
        for (offered, selected, fits) in [
            (&["jwt-auth"][..], "", false),
            (&["jwt-auth"][..], "Sec-WebSocket-Protocol: other\r\n", false),
            (&[][..], "Sec-WebSocket-Protocol: other\r\n", false),
            (&[][..], "", true),
        ] {
            let serve = async |head: String, mut far: DuplexStream| {
                far.write_all(switching(&head, selected).as_bytes()).await.unwrap();
            };
            match answered(&offering(offered), serve).await.outcome {
                Dial::Upgraded { echo_fits, echo_strict: true, .. } => {
                    assert_eq!(echo_fits, fits, "{offered:?} {selected}")
                }
                other => panic!("not upgraded: {other:?}"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_glued_to_the_answer_is_kept() {
        let Answer { outcome, leftover, .. } = answered(&request(), async |head, mut far| {
            let answer = switching(&head, "");
            let (one, two) = answer.split_at(30);
            far.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await.unwrap();
            far.write_all(one.as_bytes()).await.unwrap();
            tokio::task::yield_now().await;
            far.write_all(&[two.as_bytes(), b"\x81\x02hi"].concat()).await.unwrap();
        })
        .await;
        assert!(matches!(outcome, Dial::Upgraded { .. }), "{outcome:?}");
        assert_eq!(leftover, b"\x81\x02hi");
    }

    #[tokio::test(start_paused = true)]
    async fn header_lines_are_handed_on_whole() {
        let cookie = "session=1; Expires=Wed, 21 Oct 2099 07:28:00 GMT; Path=/ws";
        let answer = answered(&request(), async |head, mut far| {
            let more = format!("Set-Cookie: {cookie}\r\nX-User: u-1, u-2\r\n");
            far.write_all(switching(&head, &more).as_bytes()).await.unwrap();
        })
        .await;
        assert!(matches!(answer.outcome, Dial::Upgraded { .. }), "{:?}", answer.outcome);
        let more = [("Set-Cookie", cookie), ("X-User", "u-1, u-2")];
        let more = more.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert!(answer.headers.ends_with(&more), "{:?}", answer.headers);
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_that_must_be_failed_is_invalid_and_says_why() {
        let without = |line: &'static str| move |head: &str| switching(head, "").replace(line, "");
        let key = |head: &str| switching(head, "").replace("Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x");
        let extension = |head: &str| switching(head, "Sec-WebSocket-Extensions: permessage-deflate\r\n");
        let old = |head: &str| switching(head, "").replace("HTTP/1.1", "HTTP/1.0");
        assert!(invalid_why(outcome_of(key).await).contains("does not answer the key"));
        assert!(invalid_why(outcome_of(extension).await).contains("permessage-deflate"));
        assert!(invalid_why(outcome_of(old).await).contains("HTTP/1.0"));
        assert!(invalid_why(outcome_of(without("Upgrade: WebSocket\r\n")).await).contains("Upgrade: websocket"));
        let no_connection = without("Connection: keep-alive, upgrade\r\n");
        assert!(invalid_why(outcome_of(no_connection).await).contains("Connection: Upgrade"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_http_is_invalid_and_shown() {
        let why = invalid_why(outcome_of(|_| "SSH-2.0-OpenSSH_9.6\r\n".to_owned()).await);
        assert!(why.contains("not HTTP/1.1") && why.contains("SSH-2.0"), "{why}");
        let endless = |_: &str| format!("HTTP/1.1 101 Switching\r\nX: {}", "x".repeat(HEAD_LIMIT));
        assert_eq!(invalid_why(outcome_of(endless).await), "the answer's head has more than 16384 bytes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_keeps_status_headers_and_body() {
        let refusal = |_: &str| {
            "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nSet-Cookie: sid=let-me-in; Path=/\r\n\
             Content-Length: 16\r\n\r\n{\"why\":\"origin\"}ignored"
                .to_owned()
        };
        let headers = "Content-Type: application/json\nSet-Cookie: sid=...\nContent-Length: 16".to_owned();
        let body = r#"{"why":"origin"}"#.to_owned();
        assert_eq!(outcome_of(refusal).await, Dial::Refused { status: 403, headers, body });
    }

    #[tokio::test(start_paused = true)]
    async fn a_chunked_refusal_is_put_together() {
        let refusal = |_: &str| {
            "HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n6\r\n token\r\n0\r\n\r\n"
                .to_owned()
        };
        let began = Instant::now();
        let outcome = outcome_of(refusal).await;
        assert!(matches!(&outcome, Dial::Refused { status: 401, body, .. } if body == "bad token"), "{outcome:?}");
        assert_eq!(Instant::now(), began, "the last chunk ends the wait");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_that_does_not_end_is_shown_as_far_as_it_came() {
        let endless = |_: &str| format!("HTTP/1.1 502 Bad Gateway\r\n\r\n{}", "x".repeat(BODY_LIMIT + 7));
        let slow = |_: &str| "HTTP/1.1 503 Unavailable\r\nContent-Length: 100\r\n\r\nwait".to_owned();
        assert!(matches!(outcome_of(endless).await, Dial::Refused { body, .. } if body.len() == BODY_LIMIT));
        assert!(matches!(outcome_of(slow).await, Dial::Refused { body, .. } if body == "wait"));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_hung_after_the_timeout() {
        let Dial::Failed(failure) = outcome_of(|_| "HTTP/1.1 1".to_owned()).await else { panic!("answered") };
        assert_eq!(failure.doing, "waiting for far:1 to answer the upgrade");
        assert_eq!((failure.error.as_str(), failure.hung), ("nothing within 10 s", true));
    }

    #[tokio::test(start_paused = true)]
    async fn hanging_up_says_how_far_the_answer_came() {
        for (sent, error) in [
            ("", "the connection was closed without an answer"),
            ("HTTP/1.1 1", "the connection was closed after 10 bytes"),
        ] {
            let serve = async |_: String, mut far: DuplexStream| far.write_all(sent.as_bytes()).await.unwrap();
            let Dial::Failed(failure) = answered(&request(), serve).await.outcome else { panic!("answered") };
            assert_eq!(failure.doing, "reading the answer of far:1 to the upgrade");
            assert_eq!((failure.error.as_str(), failure.hung), (error, false));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_that_breaks_the_request_is_not_sent() {
        for (name, value) in [("x-a", "1\r\nx-b: 2"), ("x a", "1"), ("", "1"), ("Sec-WebSocket-Key", "mine")] {
            let request = DialRequest { headers: vec![(name.to_owned(), value.to_owned())], ..request() };
            assert!(request_text(&request, "key").is_err(), "{name}: {value}");
        }
    }
}
