//! The least that any client pays for the same work: logs users in, opens their sockets, asks, and checks type, order, user and run of
//! each event. One thread, small buffers, events read into borrowed fields; it judges nothing else and keeps nothing.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// What one client does.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// All of them at once.
    pub users: u32,
    /// Of each user, one after the other.
    pub requests: u32,
    /// Between two requests of a user.
    pub think: Duration,
    /// From the moment at which everybody is connected to the first request.
    pub hold: Duration,
    /// Nobody asks before everybody is connected.
    pub together: bool,
}

/// The events of a run, in their order.
const EVENTS: [&str; 5] = ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"];

/// As the product's.
const BUFFER: usize = 4 * 1024;

/// How many users connect at the same time, as with the product on loopback.
const DIALS_IN_FLIGHT: usize = 128;

#[derive(Deserialize)]
struct Login<'a> {
    access_token: &'a str,
    #[serde(borrow)]
    user: Account<'a>,
}

#[derive(Deserialize)]
struct Account<'a> {
    id: &'a str,
}

#[derive(Deserialize)]
struct Event<'a> {
    r#type: &'a str,
    user_id: Option<&'a str>,
    run_id: Option<&'a str>,
}

/// Does all of it against the server at `address`, over TLS if `trust` is a certificate.
pub fn run(address: &str, trust: Option<&Path>, work: Work) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let tls = trust.map(connector);
    let address: Arc<str> = address.into();
    runtime.block_on(async move {
        let dials = Arc::new(tokio::sync::Semaphore::new(DIALS_IN_FLIGHT));
        let connected = Arc::new(tokio::sync::Barrier::new(work.users as usize));
        let mut users = JoinSet::new();
        for user in 1..=work.users {
            let (address, tls) = (Arc::clone(&address), tls.clone());
            let (dials, connected) = (Arc::clone(&dials), Arc::clone(&connected));
            users.spawn(async move {
                let pass = dials.acquire().await.expect("nobody closes it");
                let wire = |tcp| async { tcp };
                match &tls {
                    None => {
                        let opened = open(&address, user, wire).await;
                        drop(pass);
                        ask(opened, user, work, &connected).await;
                    }
                    Some(tls) => {
                        let secure = |tcp| async move {
                            let name = "localhost".try_into().expect("a name");
                            tls.connect(name, tcp).await.expect("TLS")
                        };
                        let opened = open(&address, user, secure).await;
                        drop(pass);
                        ask(opened, user, work, &connected).await;
                    }
                }
            });
        }
        while let Some(done) = users.join_next().await {
            done.expect("a user is done");
        }
    });
}

fn connector(certificate: &Path) -> TlsConnector {
    let pem = fs::read(certificate).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem).expect("PEM")).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

async fn tcp(address: &str) -> TcpStream {
    let tcp = TcpStream::connect(address).await.expect("a connection");
    tcp.set_nodelay(true).expect("an option");
    tcp
}

/// Logs in on a connection of its own and opens the socket; says whose it is.
async fn open<S, F>(address: &str, user: u32, wire: impl Fn(TcpStream) -> F) -> (WebSocketStream<S>, String)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = S>,
{
    let body = json!({ "email": format!("qa{user}@example.com"), "password": "golden-path" }).to_string();
    let head = format!(
        "POST /auth/login HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = wire(tcp(address).await).await;
    stream.write_all((head + &body).as_bytes()).await.expect("a request");
    let mut answer = Vec::with_capacity(BUFFER);
    let body = loop {
        assert!(stream.read_buf(&mut answer).await.expect("an answer") > 0, "an answer that ends");
        if let Some(body) = whole(&answer) {
            break body;
        }
    };
    let login: Login<'_> = serde_json::from_slice(body).expect("a login");
    let mut request = format!("ws://{address}/ws").into_client_request().expect("an address");
    let bearer = format!("Bearer {}", login.access_token).parse().expect("a token");
    request.headers_mut().insert("Authorization", bearer);
    let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(BUFFER);
    let stream = wire(tcp(address).await).await;
    let (mut socket, _) = client_async_with_config(request, stream, Some(config)).await.expect("an upgrade");
    assert!(next(&mut socket).await.contains("connection_established"));
    (socket, login.user.id.to_owned())
}

/// The body of an answer that is there as a whole.
fn whole(answer: &[u8]) -> Option<&[u8]> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    (body.len() == length.parse::<usize>().ok()?).then_some(body.as_bytes())
}

async fn next<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> Utf8Bytes {
    loop {
        match socket.next().await.expect("a frame").expect("a whole frame") {
            Message::Text(text) => return text,
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("no text: {other:?}"),
        }
    }
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    (mut socket, id): (WebSocketStream<S>, String),
    user: u32,
    work: Work,
    connected: &tokio::sync::Barrier,
) {
    if work.together {
        connected.wait().await;
        sleep(work.hold).await;
    }
    // Users are out of step with one another from the beginning, by the golden ratio.
    let mut due = Instant::now() + work.think.mul_f64(0.618_033_988_75 * f64::from(user) % 1.0);
    for request in 0..work.requests {
        if !work.think.is_zero() {
            sleep_until(due).await;
        }
        let (run, thread) = (format!("run-{user}-{request}"), format!("thread-{user}"));
        let prompt = format!("Which services drive our cloud bill? (ref {run})");
        let payload = json!({ "user_request": prompt, "thread_id": thread, "run_id": run });
        let text = json!({ "type": "start_agent", "payload": payload }).to_string();
        socket.send(Message::text(text)).await.expect("a question");
        for expected in EVENTS {
            let text = next(&mut socket).await;
            let event: Event<'_> = serde_json::from_str(&text).expect("an event");
            assert_eq!((event.r#type, event.user_id, event.run_id), (expected, Some(&*id), Some(&*run)));
        }
        due = Instant::now() + work.think;
    }
    socket.close(None).await.expect("a close");
}
