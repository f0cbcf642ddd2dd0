//! From an address to a stream of bytes: name, TCP, perhaps a proxy's way and, for `https` and `wss`, TLS.
//!
//! Each step that fails is named; none is tried again.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::proxy;
use super::wire::{Layer, Stamping, Wire};
use crate::session::proxies::{Proxy, with_port};
use crate::session::{Net, failure};
use crate::time::Micros;
use crate::trace::NetFailure;

/// What a connection has come past.
#[derive(Debug)]
pub(in crate::session) enum Past<'a> {
    /// The name leads here.
    Name(&'a [SocketAddr]),
    /// This address, the target's or the proxy's, took the connection.
    Tcp(SocketAddr),
    /// The proxy leads to the target.
    Proxy,
    /// Both ends agreed on TLS.
    Tls(&'a ClientConnection),
}

/// What a proxy has to do with a connection.
#[derive(Debug, Clone, Copy)]
pub(in crate::session) enum Way<'a> {
    /// There is none.
    Straight,
    /// It leads to the target.
    Through(&'a Proxy),
    /// It is what is connected to, in the target's place.
    To(&'a Proxy),
}

/// Name, TCP and, for `wss`, TLS. The text is the peer, for messages; `note` is told of each step that was done.
pub(super) async fn connect(
    url: &Url,
    net: &Net,
    within: Micros,
    deadline: Instant,
    note: &mut dyn FnMut(Past<'_>),
) -> Result<(Wire, String), NetFailure> {
    if !matches!(url.scheme(), "ws" | "wss") {
        return Err(unusable(url, "not a `ws` or `wss` address"));
    }
    let proxy = net.proxy_to(url);
    let way = proxy.as_ref().map_or(Way::Straight, Way::Through);
    let wire = open(url, way, net, within, deadline, note, |tcp| Stamping::new(tcp, net)).await?;
    let peer = wire.peer.clone();
    Ok((wire, peer))
}

/// Name, TCP and, for `https` and `wss`, TLS, over what `lay` makes of the TCP connection.
pub(in crate::session) async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    url: &Url,
    way: Way<'_>,
    net: &Net,
    within: Micros,
    deadline: Instant,
    note: &mut dyn FnMut(Past<'_>),
    lay: impl FnOnce(TcpStream) -> S,
) -> Result<Wire<S>, NetFailure> {
    let tls = match url.scheme() {
        "https" | "wss" => Some(net.tls.trust().map_err(|error| unusable(url, error))?),
        _ => None,
    };
    let host = url.host().ok_or_else(|| unusable(url, "the address names no host"))?;
    let peer = with_port(url);
    let tcp = match way {
        Way::Straight => reach(url, &host, &peer, net, within, deadline, note).await?,
        Way::Through(proxy) => proxy::tunnel(proxy, &peer, net, within, deadline, note).await?,
        Way::To(proxy) => proxy::reach(proxy, net, within, deadline, note).await?,
    };
    // Without it a small message waits for the acknowledgement of the one before. A socket that refuses this option works.
    let _ = tcp.set_nodelay(true);
    let stream = lay(tcp);

    let Some(trust) = tls else { return Ok(Wire { peer, layer: Layer::Plain(stream) }) };
    let doing = || format!("agreeing on TLS with {peer}");
    let name = host.to_string();
    let name = ServerName::try_from(name.trim_matches(['[', ']']).to_owned())
        .map_err(|error| failure::failed(doing(), &error))?;
    let handshake = TlsConnector::from(Arc::clone(&trust.config)).connect(name, stream);
    let tls = match timeout_at(deadline, handshake).await {
        Ok(agreed) => agreed.map_err(|error| failure::failed(doing(), &error))?,
        Err(_) => return Err(failure::hung(doing(), within)),
    };
    note(Past::Tls(tls.get_ref().1));
    Ok(Wire { peer, layer: Layer::Tls(Box::new(tls)) })
}

/// An address that nobody can connect to. Path and query may hold secrets.
fn unusable(url: &Url, error: &str) -> NetFailure {
    let doing = format!("connecting to {}://{}", url.scheme(), url.host_str().unwrap_or_default());
    NetFailure { doing, error: error.to_owned(), hung: false }
}

/// Name and TCP, straight to `url`.
async fn reach(
    url: &Url,
    host: &Host<&str>,
    peer: &str,
    net: &Net,
    within: Micros,
    deadline: Instant,
    note: &mut dyn FnMut(Past<'_>),
) -> Result<TcpStream, NetFailure> {
    match net.names.pin(url) {
        Some(pinned) => connect_any(&pinned.addresses(), peer, within, deadline, note).await,
        None => {
            let port = url.port_or_known_default().unwrap_or_default();
            look_up_and_connect(host, port, peer, net, within, deadline, note).await
        }
    }
}

/// The first address of `host` that answers at `port`. A name none of whose addresses does is forgotten.
pub(super) async fn look_up_and_connect(
    host: &Host<&str>,
    port: u16,
    peer: &str,
    net: &Net,
    within: Micros,
    deadline: Instant,
    note: &mut dyn FnMut(Past<'_>),
) -> Result<TcpStream, NetFailure> {
    let addresses = resolve(host, port, net, within, deadline).await?;
    connect_any(&addresses, peer, within, deadline, note).await.inspect_err(|_| {
        if let Host::Domain(name) = host {
            net.names.forget(name);
        }
    })
}

async fn resolve(
    host: &Host<&str>,
    port: u16,
    net: &Net,
    within: Micros,
    deadline: Instant,
) -> Result<Vec<SocketAddr>, NetFailure> {
    let name = match *host {
        Host::Ipv4(address) => return Ok(vec![(address, port).into()]),
        Host::Ipv6(address) => return Ok(vec![(address, port).into()]),
        Host::Domain(name) => name,
    };
    let doing = || format!("looking up {name}");
    match timeout_at(deadline, net.names.look_up(name)).await {
        Ok(found) => {
            let found = found.map_err(|error| failure::failed(doing(), &error))?;
            Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect())
        }
        Err(_) => Err(NetFailure { hung: false, ..failure::hung(doing(), within) }),
    }
}

/// The first address that answers; each has its share of the time that is left.
async fn connect_any(
    addresses: &[SocketAddr],
    peer: &str,
    within: Micros,
    deadline: Instant,
    note: &mut dyn FnMut(Past<'_>),
) -> Result<TcpStream, NetFailure> {
    note(Past::Name(addresses));
    let mut errors: Vec<String> = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        let left = (addresses.len() - index) as u32;
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        let error = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                note(Past::Tcp(*address));
                return Ok(tcp);
            }
            Ok(Err(error)) => failure::chain(&error),
            Err(_) => format!("nothing within {}", Micros::from(share).min(within)),
        };
        errors.push(if addresses.len() == 1 { error } else { format!("{address}: {error}") });
    }
    Err(NetFailure { doing: format!("connecting to {peer}"), error: errors.join("; "), hung: false })
}
