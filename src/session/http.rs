//! One HTTP request and its answer.
//!
//! It reports what was answered; whether that is a success, whether to try again and whether to go after a redirect is the
//! profile's business. Here no redirect is followed and no cookie is kept: each would hide what the target did. What a proxy on the
//! way did is told apart from the target as far as it can be.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
pub use hyper::Method;
use hyper::Uri;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use tokio::time::{Instant, timeout_at};
use url::Position;
pub use url::Url;

pub use super::exchange::IDLE_CONNECTIONS;
use super::exchange::{Exchange, HttpWire, Idle, Message};
use super::transport::connect::{Past, Way, open};
use super::{Net, failure};
use crate::time::{Micros, Stamp};
use crate::trace::NetFailure;

/// What is kept of an answer's body.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// The connections of one thread. Nothing is made before the first request, nothing for TLS before the first `https` one.
#[derive(Debug)]
pub struct Http {
    net: Net,
    connect_timeout: Micros,
    idle: Idle,
}

/// A request.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// `http` or `https`.
    pub url: Url,
    /// In this order; a name may stand more than once.
    pub headers: Vec<(String, String)>,
    /// Content type and bytes. A content type among the headers wins.
    pub body: Option<(String, Vec<u8>)>,
    /// For everything from the name to the last byte of the answer.
    pub timeout: Micros,
}

/// An answer, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// In the order of arrival, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, up to [`BODY_LIMIT`].
    pub body: Vec<u8>,
    /// The body had more.
    pub truncated: bool,
    /// The proxy it came through, which could read and answer it: of `http` addresses only.
    pub by: Option<String>,
    /// Before the connection was looked for, and the first byte written.
    pub sent: Stamp,
    /// When the last byte was read.
    pub done: Stamp,
}

impl Http {
    /// For one runtime thread. `connect_timeout` is for name, TCP and TLS of a new connection.
    pub fn new(net: &Net, connect_timeout: Micros) -> Http {
        Http { net: net.clone(), connect_timeout, idle: Idle::default() }
    }

    /// Sends a request and reads the answer. Dropping the future gives up.
    ///
    /// # Errors
    ///
    /// When no complete answer came: not connected, hung up, out of time, or a request that cannot be sent. It counts as
    /// hung when the time ran out after a connection must have been made or given up, so only with a `timeout` of at least
    /// the `connect_timeout`.
    pub async fn send(&self, request: &HttpRequest) -> Result<HttpAnswer, NetFailure> {
        let sent = self.net.clock.now();
        let deadline = self.net.clock.instant_of(sent + request.timeout);
        let address = address(&request.url);
        // Without the query, which may hold secrets.
        let what = format!("{} {address}{}", request.method, request.url.path());
        let proxy = self.net.proxy_to(&request.url);
        let way = match (request.url.scheme(), &proxy) {
            (_, None) => Way::Straight,
            ("https", Some(proxy)) => Way::Through(proxy),
            (_, Some(proxy)) => Way::To(proxy),
        };
        let unusable = |error: String| NetFailure { doing: format!("sending {what}"), error, hung: false };
        let message = message(request, &address, way).map_err(unusable)?;
        let failed = |error: hyper::Error| failure::failed(format!("sending {what}"), &error);
        let out_of_time = |doing: String| {
            let hung = request.timeout >= self.connect_timeout;
            NetFailure { hung, ..failure::hung(doing, request.timeout) }
        };

        let wire = match self.idle.take(&address) {
            Some(wire) => wire,
            None => self.connect(request, way, deadline).await?,
        };
        let mut exchange = Exchange::over(wire).await.map_err(failed)?;
        let answered = match timeout_at(deadline, exchange.ask(message)).await {
            Ok(answered) => answered.map_err(failed)?,
            Err(_) => return Err(out_of_time(format!("waiting for the answer to {what}"))),
        };
        let (head, mut body) = answered.into_parts();
        let status = head.status.as_u16();
        let by = proxy.filter(|_| request.url.scheme() == "http");
        // Only a proxy asks who comes with this status (RFC 9110, section 15.5.8).
        if let (407, Some(proxy)) = (status, &by) {
            let doing = format!("asking the proxy {proxy} for {what}");
            return Err(NetFailure { doing, error: proxy.refusal(status, &what), hung: false });
        }
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let headers = head.headers.iter().map(text).collect();
        let doing = || format!("reading the answer to {what}");
        let (body, truncated) = match timeout_at(deadline, read(&mut exchange, &mut body)).await {
            Ok(read) => read.map_err(|error| failure::failed(doing(), &error))?,
            Err(_) => return Err(out_of_time(doing())),
        };
        let done = self.net.clock.now();
        if let Some(wire) = exchange.done().filter(|_| !truncated) {
            self.idle.keep(address, wire);
        }
        let by = by.map(|proxy| proxy.to_string());
        Ok(HttpAnswer { status, headers, body, truncated, by, sent, done })
    }

    /// A new connection to the target of `request`, or to the proxy that is asked in its place.
    async fn connect(&self, request: &HttpRequest, way: Way<'_>, deadline: Instant) -> Result<HttpWire, NetFailure> {
        let clock = self.net.clock;
        let within = self.connect_timeout.min(request.timeout);
        let deadline = deadline.min(clock.instant_of(clock.now() + self.connect_timeout));
        // The step before failed last.
        let mut at_tcp = false;
        let mut note = |past: Past<'_>| at_tcp = matches!(past, Past::Name(_));
        let opened = open(&request.url, way, &self.net, within, deadline, &mut note, |tcp| tcp).await;
        opened.map_err(|failure| {
            let error = if at_tcp { format!("tcp connect error: {}", failure.error) } else { failure.error };
            // Nobody has taken the request yet.
            NetFailure { error, hung: false, ..failure }
        })
    }
}

/// `http://127.0.0.1:8000`: what connections are found by.
fn address(url: &Url) -> String {
    format!("{}://{}", url.scheme(), &url[Position::BeforeHost..Position::AfterPort])
}

/// The request as it is sent: by its path or, to a proxy, by its whole address (RFC 9112, section 3.2).
fn message(request: &HttpRequest, address: &str, way: Way<'_>) -> Result<Message, String> {
    let url = &request.url;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("not an `http` or `https` address".to_owned());
    }
    let path = &url[Position::BeforePath..Position::AfterQuery];
    let uri = match way {
        Way::To(_) => format!("{address}{path}").parse::<Uri>(),
        Way::Straight | Way::Through(_) => path.parse(),
    };
    let mut message = Message::default();
    *message.method_mut() = request.method.clone();
    *message.uri_mut() = uri.map_err(|error| failure::chain(&error))?;
    *message.headers_mut() = headers(request, way)?;
    if let Some((_, bytes)) = &request.body {
        *message.body_mut() = Full::from(bytes.clone());
    }
    Ok(message)
}

/// What the request says and, where it is silent, who its address says we are, what any client accepts and what HTTP needs.
fn headers(request: &HttpRequest, way: Way<'_>) -> Result<HeaderMap, String> {
    let url = &request.url;
    let who = (!url.username().is_empty() || url.password().is_some()).then(|| {
        let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
        let pair = [decoded(url.username()), decoded(url.password().unwrap_or_default())].join(&b':');
        format!("Basic {}", STANDARD.encode(pair))
    });
    let proxy = match way {
        Way::To(proxy) => proxy.authorization.as_deref(),
        Way::Straight | Way::Through(_) => None,
    };
    let before = [("authorization", who.as_deref())];
    let behind = [
        ("content-type", request.body.as_ref().map(|(kind, _)| kind.as_str())),
        ("accept", Some("*/*")),
        ("proxy-authorization", proxy),
        ("host", Some(&url[Position::BeforeHost..Position::AfterPort])),
    ];
    let said = || request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let unsaid = |(name, value): (&'static str, Option<_>)| {
        let silent = !said().any(|(own, _)| own.eq_ignore_ascii_case(name));
        value.filter(|_| silent).map(|value| (name, value))
    };
    let mut headers = HeaderMap::with_capacity(request.headers.len() + behind.len());
    for (name, value) in
        before.into_iter().filter_map(unsaid).chain(said()).chain(behind.into_iter().filter_map(unsaid))
    {
        let cannot = || format!("the header `{}` cannot be sent", name.escape_debug());
        let line = HeaderName::from_bytes(name.as_bytes()).map_err(|_| cannot())?;
        headers.append(line, HeaderValue::from_str(value).map_err(|_| cannot())?);
    }
    Ok(headers)
}

async fn read(exchange: &mut Exchange, body: &mut Incoming) -> hyper::Result<(Vec<u8>, bool)> {
    let mut read = Vec::new();
    while let Some(bytes) = exchange.read(body).await? {
        let room = BODY_LIMIT - read.len();
        read.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room {
            return Ok((read, true));
        }
    }
    Ok((read, false))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::super::exchange::SETTLED;
    use super::*;
    use crate::session::far_end::{FarEnd, read_head, settle};

    const LONG: Micros = Micros::from_secs(30);

    fn request(method: Method, url: &str) -> HttpRequest {
        HttpRequest { method, url: url.parse().unwrap(), headers: Vec::new(), body: None, timeout: LONG }
    }

    /// Sends one request and lets `serve` answer it.
    async fn exchange<F: Future<Output = ()>>(
        request: impl FnOnce(&str) -> HttpRequest,
        serve: impl FnOnce(TcpStream) -> F,
    ) -> Result<HttpAnswer, NetFailure> {
        let far_end = FarEnd::listen().await;
        let net = Net::for_tests();
        let request = request(&format!("http://{}", far_end.address));
        let http = Http::new(&net, request.timeout);
        let served = async {
            serve(far_end.accept().await).await;
            std::future::pending().await
        };
        tokio::select! {
            answer = http.send(&request) => answer,
            () = served => unreachable!(),
        }
    }

    #[tokio::test]
    async fn status_headers_and_body_are_handed_on_whatever_they_are() {
        let login = |base: &str| HttpRequest {
            headers: vec![("User-Agent".to_owned(), "goldenpath/1".to_owned())],
            body: Some(("application/json".to_owned(), b"{}".to_vec())),
            ..request(Method::POST, &format!("{base}/auth/login?next=1"))
        };
        let answer = exchange(login, async |mut stream| {
            let head = read_head(&mut stream).await;
            assert!(head.starts_with("POST /auth/login?next=1 HTTP/1.1\r\n"), "{head}");
            assert!(head.contains("user-agent: goldenpath/1\r\n"), "{head}");
            assert!(head.contains("content-type: application/json\r\n"), "{head}");
            let answer = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 4\r\n\r\nbody";
            stream.write_all(answer).await.unwrap();
        });
        let answer = answer.await.unwrap();
        assert_eq!((answer.status, answer.body.as_slice(), answer.truncated), (302, &b"body"[..], false));
        assert!(answer.headers.contains(&("location".to_owned(), "/elsewhere".to_owned())));
        assert!(answer.sent <= answer.done);
    }

    #[tokio::test]
    async fn the_target_sees_what_was_asked_for_and_what_any_client_says() {
        let given = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let form = |headers: Vec<_>| (headers, Some(("application/x-www-form-urlencoded".to_owned(), b"a=b".to_vec())));
        let nothing = || (Vec::new(), None);
        for (method, address, (headers, body), seen) in [
            (
                Method::POST,
                "http://HERE/form?x=1#part",
                form(vec![given("X-Trace", "1"), given("x-trace", "2")]),
                "POST /form?x=1 HTTP/1.1\r\nx-trace: 1\r\nx-trace: 2\r\n\
                 content-type: application/x-www-form-urlencoded\r\naccept: */*\r\nhost: HERE\r\n\
                 content-length: 3\r\n\r\n",
            ),
            (
                Method::POST,
                "http://HERE",
                form(vec![given("Host", "chat.example"), given("Accept", "text/plain"), given("Content-Type", "x/y")]),
                "POST / HTTP/1.1\r\nhost: chat.example\r\naccept: text/plain\r\ncontent-type: x/y\r\n\
                 content-length: 3\r\n\r\n",
            ),
            (
                Method::POST,
                "http://me%40home:p%3Aw@HERE/a%20b",
                nothing(),
                "POST /a%20b HTTP/1.1\r\nauthorization: Basic bWVAaG9tZTpwOnc=\r\naccept: */*\r\nhost: HERE\r\n\r\n",
            ),
            (
                Method::DELETE,
                "http://me:secret@HERE/",
                (vec![given("Authorization", "Bearer x")], None),
                "DELETE / HTTP/1.1\r\nauthorization: Bearer x\r\naccept: */*\r\nhost: HERE\r\n\r\n",
            ),
        ] {
            let (mut head, mut here) = (String::new(), String::new());
            let asked = |base: &str| {
                here = base.replace("http://", "");
                HttpRequest { headers, body, ..request(method, &address.replace("HERE", &here)) }
            };
            let answer = exchange(asked, async |mut stream| {
                head = read_head(&mut stream).await;
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            });
            assert_eq!(answer.await.unwrap().status, 204);
            assert_eq!(head.replace(&here, "HERE"), seen);
        }
    }

    /// Answers so many requests on each connection, one after the other, and hangs up.
    async fn answering(far_end: &FarEnd, answer: &str, connections: &[usize]) {
        for requests in connections {
            let mut stream = far_end.accept().await;
            for _ in 0..*requests {
                read_head(&mut stream).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_connection_serves_again_until_somebody_hangs_up() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
        for (answer, connections) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", &[3, 1, 2][..]),
            (chunked, &[3, 3]),
            ("HTTP/1.1 204 No Content\r\n\r\n", &[6]),
            // What these answers say themselves.
            ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", &[1, 1, 1, 1, 1, 1]),
            ("HTTP/1.1 200 OK\r\n\r\nok", &[1, 1, 1, 1, 1, 1]),
        ] {
            let far_end = FarEnd::listen().await;
            let http = Http::new(&Net::for_tests(), LONG);
            let asking = async {
                for _ in 0..6 {
                    let url = format!("http://{}", far_end.address);
                    let answer = http.send(&request(Method::GET, &url)).await.unwrap();
                    assert!(matches!(answer.status, 200 | 204), "{answer:?}");
                    settle().await;
                }
            };
            tokio::join!(asking, answering(&far_end, answer, connections));
        }
    }

    #[tokio::test]
    async fn a_connection_that_has_just_answered_is_not_used_again_at_once() {
        let far_end = FarEnd::listen().await;
        let http = Http::new(&Net::for_tests(), LONG);
        let asked = request(Method::GET, &format!("http://{}", far_end.address));
        let answered = answering(&far_end, "HTTP/1.1 204 No Content\r\n\r\n", &[2]);
        let asking = async {
            http.send(&asked).await.unwrap();
            settle().await;
            let address = address(&asked.url);
            let wire = http.idle.take(&address).expect("it stood idle for long enough");
            tokio::time::pause();
            http.idle.keep(address.clone(), wire);
            assert!(http.idle.take(&address).is_none(), "the target may be about to hang up");
            tokio::time::advance(SETTLED).await;
            assert!(http.idle.take(&address).is_some());
        };
        tokio::select! {
            () = asking => {}
            () = answered => panic!("nobody asks a second time"),
        }
    }

    #[tokio::test]
    async fn what_the_target_has_seen_is_not_sent_again() {
        let far_end = FarEnd::listen().await;
        let http = Http::new(&Net::for_tests(), LONG);
        let asked = request(Method::GET, &format!("http://{}", far_end.address));
        let asking = async {
            let first = http.send(&asked).await;
            settle().await;
            (first, http.send(&asked).await)
        };
        let serving = async {
            let mut stream = far_end.accept().await;
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            read_head(&mut stream).await;
            drop(stream);
            far_end.accept().await;
        };
        let (first, second) = tokio::select! { both = asking => both, () = serving => panic!("it is sent again") };
        assert_eq!(first.unwrap().status, 204);
        let failure = second.unwrap_err();
        assert_eq!(failure.doing, format!("sending GET http://{}/", far_end.address));
        assert!(!failure.hung, "{failure:?}");
    }

    #[tokio::test]
    async fn idle_connections_are_few_and_not_kept_for_long() {
        let far_end = FarEnd::listen().await;
        let http = Http::new(&Net::for_tests(), LONG);
        let asked = request(Method::GET, &format!("http://{}", far_end.address));
        let mut streams = Vec::new();
        let accepting = async {
            for _ in 0..IDLE_CONNECTIONS + 3 {
                streams.push(far_end.accept().await);
            }
            for stream in &mut streams {
                read_head(stream).await;
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            }
        };
        let sending = futures_util::future::join_all((0..IDLE_CONNECTIONS + 3).map(|_| http.send(&asked)));
        let (answers, ()) = tokio::join!(sending, accepting);
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        assert_eq!(http.idle.count(), IDLE_CONNECTIONS);
        // Only timers are left to wait for.
        tokio::time::pause();
        for stream in &mut streams {
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "hung up");
        }
        assert_eq!(http.idle.count(), 0);
    }

    #[tokio::test]
    async fn a_long_body_is_cut_and_said_to_be() {
        let answer = exchange(
            |base| request(Method::GET, base),
            async |mut stream| {
                read_head(&mut stream).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                // The client hangs up when it has enough.
                let _ = stream.write_all(&vec![b'x'; BODY_LIMIT + 1]).await;
            },
        );
        let answer = answer.await.unwrap();
        assert_eq!((answer.body.len(), answer.truncated), (BODY_LIMIT, true));
    }

    #[tokio::test]
    async fn nobody_listening_is_not_hung() {
        let address = FarEnd::listen().await.address;
        let http = Http::new(&Net::for_tests(), LONG);
        let failure = http.send(&request(Method::GET, &format!("http://{address}/a?secret=1"))).await.unwrap_err();
        assert_eq!(failure.doing, format!("connecting to {address}"));
        assert!(failure.error.starts_with("tcp connect error: connection refused"), "{failure:?}");
        assert!(!failure.hung);
    }

    #[tokio::test]
    async fn a_connection_that_is_never_answered_is_hung() {
        let failure = exchange(
            |base| HttpRequest { timeout: LONG, ..request(Method::GET, &format!("{base}/health?key=1")) },
            async |mut stream| {
                read_head(&mut stream).await;
                // Only timers are left to wait for.
                tokio::time::pause();
                std::future::pending().await
            },
        );
        let failure = failure.await.unwrap_err();
        assert!(failure.hung);
        assert!(failure.doing.starts_with("waiting for the answer to GET http://127.0.0.1:"), "{failure:?}");
        assert!(failure.doing.ends_with("/health"), "{failure:?}");
        assert_eq!(failure.error, "nothing within 30 s");
    }

    #[tokio::test]
    async fn hanging_up_within_an_answer_is_a_failure() {
        for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "SSH-2.0-OpenSSH\r\n"] {
            let failure = exchange(
                |base| request(Method::GET, base),
                async |mut stream| {
                    read_head(&mut stream).await;
                    stream.write_all(answer.as_bytes()).await.unwrap();
                },
            );
            let failure = failure.await.unwrap_err();
            assert!(!failure.hung && !failure.error.is_empty(), "{failure:?}");
        }
    }

    #[tokio::test]
    async fn a_header_that_cannot_be_sent_is_named() {
        let http = Http::new(&Net::for_tests(), LONG);
        let headers = vec![("x-trace".to_owned(), "a\r\nb".to_owned())];
        let failure =
            http.send(&HttpRequest { headers, ..request(Method::GET, "http://127.0.0.1:1/") }).await.unwrap_err();
        assert_eq!(failure.error, "the header `x-trace` cannot be sent");
    }

    #[tokio::test]
    async fn plain_requests_load_no_roots() {
        let net = Net::for_tests();
        let http = Http::new(&net, LONG);
        let _ = http.send(&request(Method::GET, &format!("http://{}", FarEnd::listen().await.address))).await;
        assert_eq!(net.tls.roots_in_use(), None);
    }
}
