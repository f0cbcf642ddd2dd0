//! What stands between the harness and a site: TLS as a load balancer speaks it, and an HTTP proxy.
//!
//! Neither uses anything of the harness.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rcgen::{CertifiedKey, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// Something that accepts connections on a port of its own until it is dropped.
pub struct Relay {
    pub address: SocketAddr,
    over: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

impl Relay {
    /// Lets `attend` deal with each connection.
    pub fn serve<F: Future<Output = ()> + Send + 'static>(attend: impl Fn(TcpStream) -> F + Send + 'static) -> Relay {
        let (bound, is_bound) = std::sync::mpsc::channel();
        let (over, is_over) = oneshot::channel();
        let serving = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let accepting = async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                bound.send(listener.local_addr().expect("an address")).expect("somebody waits");
                loop {
                    let Ok((tcp, _)) = listener.accept().await else { return };
                    tokio::spawn(attend(tcp));
                }
            };
            runtime.block_on(async {
                tokio::select! {
                    () = accepting => {}
                    _ = is_over => {}
                }
            });
        });
        let address = is_bound.recv().expect("an address");
        Relay { address, over: Some(over), serving: Some(serving) }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.over.take());
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

/// TLS in front of `to`, with `own` as its certificate; clients must show `wanted`, if it is given.
pub fn over_tls(to: SocketAddr, own: &CertifiedKey<KeyPair>, wanted: Option<&CertifiedKey<KeyPair>>) -> Relay {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match wanted {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let mut roots = RootCertStore::empty();
            roots.add(client.cert.der().clone()).expect("a root");
            let provider = Arc::new(ring::default_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        }
    };
    let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let config = builder.with_single_cert(vec![own.cert.der().clone()], key).expect("a certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Relay::serve(move |tcp| {
        let acceptor = acceptor.clone();
        async move {
            // A client that does not trust us hangs up, and that is its right.
            let Ok(mut tls) = acceptor.accept(tcp).await else { return };
            let Ok(mut site) = TcpStream::connect(to).await else { return };
            let _ = copy_bidirectional(&mut tls, &mut site).await;
        }
    })
}

/// A proxy in front of `to` that leaves one header out of every request.
pub fn stripping(to: SocketAddr, header: &'static str) -> Relay {
    Relay::serve(move |mut client| async move {
        let Some(head) = read_head(&mut client).await else { return };
        let Ok(mut site) = TcpStream::connect(to).await else { return };
        let is_it = |line: &&str| line.split(':').next().is_some_and(|name| name.eq_ignore_ascii_case(header));
        let kept: String = head.split_inclusive("\r\n").filter(|line| !is_it(line)).collect();
        if site.write_all(kept.as_bytes()).await.is_ok() {
            let _ = copy_bidirectional(&mut client, &mut site).await;
        }
    })
}

/// The head of a request; nothing from a client that leaves first.
async fn read_head(client: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).expect("a head is text"))
}

/// An HTTP proxy for which every name leads to one place.
pub struct HttpProxy {
    relay: Relay,
    asked: Arc<Mutex<Vec<String>>>,
}

/// What a proxy does with what it is asked.
#[derive(Clone, Copy)]
pub enum Conduct {
    /// Leads there, if it is told this.
    Leads(Option<&'static str>),
    /// Answers this status to everybody.
    Refuses(u16),
}

impl HttpProxy {
    pub fn serve(to: SocketAddr, conduct: Conduct) -> HttpProxy {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&asked);
        let relay = Relay::serve(move |tcp| attend(tcp, to, conduct, Arc::clone(&noted)));
        HttpProxy { relay, asked }
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> String {
        self.relay.address.to_string()
    }

    /// The first line of every request.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn attend(mut client: TcpStream, to: SocketAddr, conduct: Conduct, asked: Arc<Mutex<Vec<String>>>) {
    let Some(head) = read_head(&mut client).await else { return };
    let (line, rest) = head.split_once("\r\n").expect("a first line");
    asked.lock().unwrap().push(line.to_owned());
    let told = |wanted: &str| {
        rest.lines()
            .filter_map(|line| line.split_once(": "))
            .any(|(name, value)| name.eq_ignore_ascii_case("proxy-authorization") && value == wanted)
    };
    let status = match conduct {
        Conduct::Leads(Some(wanted)) if !told(wanted) => 407,
        Conduct::Leads(_) => 200,
        Conduct::Refuses(status) => status,
    };
    if status != 200 {
        let answer = format!("HTTP/1.1 {status} No Way\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let _ = client.write_all(answer.as_bytes()).await;
        return;
    }
    let Ok(mut site) = TcpStream::connect(to).await else { return };
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let begun = if method == "CONNECT" {
        client.write_all(b"HTTP/1.1 200 There Is A Way\r\n\r\n").await
    } else {
        // In absolute form (RFC 9112, section 3.2.2); the site is asked by the path alone.
        let path = target.splitn(4, '/').nth(3).unwrap_or_default();
        site.write_all(format!("{method} /{path} HTTP/1.1\r\n{rest}").as_bytes()).await
    };
    if begun.is_ok() {
        let _ = copy_bidirectional(&mut client, &mut site).await;
    }
}
