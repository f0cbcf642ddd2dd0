//! Listening, accepting, and stopping in order. What a request means is none of its business.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::time;

use super::socket::CLOSE_WAIT;
use super::{Backend, Phase, reached, routes};

/// Connections that may wait to be accepted; the system may cap it lower (`somaxconn`).
const BACKLOG: i32 = 4096;

/// Pause after a failed accept, which mostly means that there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Time that stopped runs have to say so.
const STOP_WAIT: Duration = Duration::from_secs(1);

pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A port whose last connections are still dying can be taken again; on Windows the option would mean to share it.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Starts a thread that accepts from the shared listener. The first one also conducts the stopping.
pub(super) fn spawn(backend: Arc<Backend>, listener: &TcpListener, index: usize) -> io::Result<JoinHandle<()>> {
    let listener = listener.try_clone()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _context = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    thread::Builder::new().name(format!("backend-{index}")).spawn(move || {
        runtime.block_on(async move {
            if index == 0 {
                tokio::spawn(conduct(Arc::clone(&backend)));
            }
            serve(backend, listener).await;
        });
    })
}

/// Accepts until draining begins, then stays until the last socket is closed.
async fn serve(backend: Arc<Backend>, listener: tokio::net::TcpListener) {
    let service = TowerToHyperService::new(routes::router(Arc::clone(&backend)));
    let mut phase = backend.phase.subscribe();
    loop {
        tokio::select! {
            () = reached(&mut phase, Phase::Draining) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(tokio::spawn(connection(Arc::clone(&backend), stream, service.clone()))),
                Err(_) => time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(listener);
    reached(&mut phase, Phase::Closing).await;
    let mut open = backend.open.subscribe();
    // A goodbye may have to wait for one slow write and for the other side to agree.
    let _ = time::timeout(STOP_WAIT + CLOSE_WAIT, open.wait_for(|count| *count == 0)).await;
}

/// One TCP connection, as long as it speaks HTTP.
async fn connection(backend: Arc<Backend>, stream: TcpStream, service: TowerToHyperService<axum::Router>) {
    // Events are small and must not wait for one another; where the option fails the connection is dead anyway.
    let _ = stream.set_nodelay(true);
    let mut phase = backend.phase.subscribe();
    let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades());
    tokio::select! {
        // Errors are the client's: cut off, or no HTTP.
        _ = connection.as_mut() => {}
        () = reached(&mut phase, Phase::Draining) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// Leads from draining to closing: waits for the runs in flight, then stops what is left of them.
async fn conduct(backend: Arc<Backend>) {
    reached(&mut backend.phase.subscribe(), Phase::Draining).await;
    if time::timeout(backend.options.limits.drain, backend.runs.idle()).await.is_err() {
        backend.runs.stop_all("server shutdown");
        let _ = time::timeout(STOP_WAIT, backend.runs.idle()).await;
    }
    backend.phase.send_replace(Phase::Closing);
}
