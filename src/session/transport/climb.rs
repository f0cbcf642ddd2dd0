//! How far the way to an address leads: the same steps as for a socket, told one by one.
//!
//! What they mean, and what to do where the way ends, is not known here.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::CertificateDer;
use url::Url;

use super::connect::{Past, connect};
use crate::session::Net;
use crate::session::proxies::with_port;
use crate::session::tls::Roots;
use crate::time::Micros;
use crate::trace::NetFailure;

/// The way to one address, as far as it leads.
#[derive(Debug, Clone)]
pub struct Climb {
    /// Host and port of the target.
    pub target: String,
    /// What the name leads to, of the target or of its proxy.
    pub addresses: Vec<SocketAddr>,
    /// The address that took the connection.
    pub tcp: Option<SocketAddr>,
    /// The proxy that is to be asked, as host and port.
    pub proxy: Option<String>,
    /// It leads to the target.
    pub led: bool,
    /// The address asks for TLS.
    pub secure: bool,
    /// The certificates that were shown, the target's own first; also those that are not trusted.
    pub shown: Vec<CertificateDer<'static>>,
    /// What both ends agreed on: `TLSv1_3`.
    pub agreed: Option<String>,
    /// Whom the harness trusts, where that was asked for.
    pub roots: Option<Roots>,
    /// Why the way ends before the target.
    pub failure: Option<NetFailure>,
}

/// Goes up to `url` and no further: nothing is said to the target, and the connection is closed.
pub async fn climb(url: &Url, net: &Net, within: Micros) -> Climb {
    // The way is the same for requests and sockets; what cannot be renamed leads nowhere, and is told so.
    let mut url = url.clone();
    let socket = if url.scheme() == "https" { "wss" } else { "ws" };
    if matches!(url.scheme(), "http" | "https") {
        let _ = url.set_scheme(socket);
    }
    let url = &url;
    let mut climb = Climb {
        target: with_port(url),
        addresses: Vec::new(),
        tcp: None,
        proxy: net.proxy_to(url).map(|proxy| proxy.to_string()),
        led: false,
        secure: url.scheme() == "wss",
        shown: Vec::new(),
        agreed: None,
        roots: None,
        failure: None,
    };
    let shown = Arc::<Mutex<Vec<CertificateDer<'static>>>>::default();
    let tls = net.tls.watched(Arc::clone(&shown));
    let net = Net { tls, ..net.clone() };
    let deadline = net.clock.instant_of(net.clock.now() + within);
    let connected = connect(url, &net, within, deadline, &mut |past| match past {
        Past::Name(addresses) => climb.addresses = addresses.to_vec(),
        Past::Tcp(address) => climb.tcp = Some(address),
        Past::Proxy => climb.led = true,
        Past::Tls(tls) => climb.agreed = tls.protocol_version().map(|version| format!("{version:?}")),
    })
    .await;
    climb.failure = connected.err();
    climb.roots = net.tls.roots_in_use();
    climb.shown = std::mem::take(&mut *shown.lock().unwrap_or_else(PoisonError::into_inner));
    climb
}
