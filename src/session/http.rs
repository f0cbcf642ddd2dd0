//! One HTTP request and its answer.
//!
//! It reports what was answered; whether that is a success, whether to try again and whether to go after a redirect is the
//! profile's business. Here no redirect is followed and no cookie is kept: each would hide what the target did. What a proxy on the
//! way did is told apart from the target as far as it can be.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
pub use reqwest::{Method, Url};
use rustls::ClientConfig;
use tokio::time::{Instant, timeout_at};
use url::Position;

use super::proxies::{Proxy, with_port};
use super::transport::proxy::refusal;
use super::{Net, failure, tls};
use crate::time::{Micros, Stamp};
use crate::trace::NetFailure;

/// What is kept of an answer's body.
pub const BODY_LIMIT: usize = 1024 * 1024;
/// How long an unused connection is kept. Servers hang up after five seconds (Node, uvicorn) or later; a request that meets
/// the hanging-up is lost without the target's fault.
const IDLE: Duration = Duration::from_secs(2);
/// Unused connections kept per address and thread; more would take descriptors from the users' sockets.
pub const IDLE_CONNECTIONS: usize = 16;

/// The connections of one thread. Nothing is made before the first request, nothing for TLS before the first `https` one.
#[derive(Debug)]
pub struct Http {
    net: Net,
    connect_timeout: Micros,
    plain: OnceCell<Result<reqwest::Client, String>>,
    secure: OnceCell<Result<reqwest::Client, String>>,
    /// For hosts whose address somebody pinned, by what is pinned and whether it is `https`.
    pinned: RefCell<BTreeMap<(String, bool), Result<reqwest::Client, String>>>,
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
        let (plain, secure, pinned) = (OnceCell::new(), OnceCell::new(), RefCell::default());
        Http { net: net.clone(), connect_timeout, plain, secure, pinned }
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
        let what = described(request);
        let unusable = |error: String| NetFailure { doing: format!("sending {what}"), error, hung: false };
        let client = self.client(&request.url).map_err(unusable)?;
        let proxy = self.net.proxy_to(&request.url);
        let headers = headers_of(request).map_err(unusable)?;
        let mut builder = client.request(request.method.clone(), request.url.clone()).headers(headers);
        if let Some((_, bytes)) = &request.body {
            builder = builder.body(bytes.clone());
        }

        let out_of_time = |doing: String| {
            let hung = request.timeout >= self.connect_timeout;
            NetFailure { hung, ..failure::hung(doing, request.timeout) }
        };
        let answered = match timeout_at(deadline, builder.send()).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(error)) => {
                if let Some(name) = request.url.domain().filter(|_| error.is_connect()) {
                    self.net.names.forget(name);
                }
                return Err(match &proxy {
                    Some(proxy) if error.is_connect() => self.not_led(proxy, error, request, deadline).await,
                    _ => failed(error, request, &what),
                });
            }
            Err(_) => return Err(out_of_time(format!("waiting for the answer to {what}"))),
        };
        let status = answered.status().as_u16();
        let by = proxy.filter(|_| request.url.scheme() == "http");
        // Only a proxy asks who comes with this status (RFC 9110, section 15.5.8).
        if let (407, Some(proxy)) = (status, &by) {
            let doing = format!("asking the proxy {proxy} for {what}");
            return Err(NetFailure { doing, error: proxy.refusal(status, &what), hung: false });
        }
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let headers = answered.headers().iter().map(text).collect();
        let (body, truncated) = match timeout_at(deadline, read_body(answered)).await {
            Ok(read) => {
                read.map_err(|error| failure::failed(format!("reading the answer to {what}"), &error.without_url()))?
            }
            Err(_) => return Err(out_of_time(format!("reading the answer to {what}"))),
        };
        let (by, done) = (by.map(|proxy| proxy.to_string()), self.net.clock.now());
        Ok(HttpAnswer { status, headers, body, truncated, by, sent, done })
    }

    /// What a proxy made of a request for a way to a target, which the client only calls unsuccessful.
    async fn not_led(
        &self,
        proxy: &Proxy,
        error: reqwest::Error,
        request: &HttpRequest,
        deadline: Instant,
    ) -> NetFailure {
        let target = with_port(&request.url);
        let error = error.without_url();
        let chain = failure::chain(&error);
        let has = |words: &str| chain.contains(words);
        let asking = format!("asking the proxy {proxy} for the way to {target}");
        if has("proxy authorization required") {
            return NetFailure { doing: asking, error: proxy.refusal(407, &target), hung: false };
        }
        if has("tunnel error: unsuccessful") {
            // Which status it was is not told, so the proxy is asked again.
            let again = refusal(proxy, &target, &self.net, request.timeout, deadline).await;
            let now = "the proxy led nowhere, and would lead there now".to_owned();
            return again.unwrap_or(NetFailure { doing: asking, error: now, hung: false });
        }
        let to_proxy = request.url.scheme() == "http" || has("failed to create underlying connection");
        let doing = match to_proxy {
            true => format!("connecting to the proxy {proxy}"),
            false => format!("connecting to {target} through the proxy {proxy}"),
        };
        NetFailure { doing, error: cause(&error), hung: false }
    }

    fn client(&self, url: &Url) -> Result<reqwest::Client, String> {
        let secure = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err("not an `http` or `https` address".to_owned()),
        };
        // reqwest wants a TLS configuration even where none is used.
        let config = || match secure {
            false => tls::nobody(),
            true => Ok(ClientConfig::clone(&self.net.tls.trust()?.config)),
        };
        let Some(pinned) = self.net.names.pin(url) else {
            let cell = if secure { &self.secure } else { &self.plain };
            let proxies = self.net.proxies.clone();
            return cell
                .get_or_init(|| {
                    let proxy = reqwest::Proxy::custom(move |url| proxies.to(url).map(|proxy| proxy.url()));
                    self.build(config()?, |builder| builder.dns_resolver(self.net.names.clone()).proxy(proxy))
                })
                .clone();
        };
        let mut clients = self.pinned.borrow_mut();
        let build = || {
            let (host, addresses) = (pinned.host(), pinned.addresses());
            self.build(config()?, |builder| builder.no_proxy().resolve_to_addrs(host, &addresses))
        };
        clients.entry((pinned.to_string(), secure)).or_insert_with(build).clone()
    }

    fn build(
        &self,
        config: ClientConfig,
        lead: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<reqwest::Client, String> {
        // A little less than a request of the same length has, so that it is known which of the two ran out of time.
        let connect_timeout = Micros(self.connect_timeout.0 - self.connect_timeout.0 / 20);
        lead(reqwest::Client::builder())
            .tls_backend_preconfigured(config)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(connect_timeout.to_std())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build()
            .map_err(|error| failure::chain(&error))
    }
}

/// `POST http://127.0.0.1:8000/auth/login`: without the query, which may hold secrets.
fn described(request: &HttpRequest) -> String {
    let url = &request.url;
    let authority = &url[Position::BeforeHost..Position::AfterPort];
    format!("{} {}://{authority}{}", request.method, url.scheme(), url.path())
}

fn headers_of(request: &HttpRequest) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 1);
    let own_type = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE.as_str()));
    let body_type = request.body.iter().filter(|_| !own_type).map(|(kind, _)| (CONTENT_TYPE.as_str(), kind));
    for (name, value) in request.headers.iter().map(|(name, value)| (name.as_str(), value)).chain(body_type) {
        let cannot = || format!("the header `{}` cannot be sent", name.escape_debug());
        let line = HeaderName::from_bytes(name.as_bytes()).map_err(|_| cannot())?;
        headers.append(line, HeaderValue::from_str(value).map_err(|_| cannot())?);
    }
    Ok(headers)
}

async fn read_body(mut answer: reqwest::Response) -> Result<(Vec<u8>, bool), reqwest::Error> {
    let mut body = Vec::new();
    while let Some(bytes) = answer.chunk().await? {
        let room = BODY_LIMIT - body.len();
        body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room {
            return Ok((body, true));
        }
    }
    Ok((body, false))
}

fn failed(error: reqwest::Error, request: &HttpRequest, what: &str) -> NetFailure {
    let url = &request.url;
    let doing = match error.is_connect() {
        true => format!("connecting to {}", &url[Position::BeforeHost..Position::AfterPort]),
        false => format!("sending {what}"),
    };
    NetFailure { doing, error: cause(&error.without_url()), hung: false }
}

/// What the client's own words and those of the layer below leave out: they only say that something failed while sending.
fn cause(error: &reqwest::Error) -> String {
    let below = error.source();
    match below.and_then(|cause| cause.source()).or(below) {
        Some(cause) => failure::chain(cause),
        None => failure::chain(error),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpStream;

    use super::*;
    use crate::session::far_end::{FarEnd, read_head};

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
