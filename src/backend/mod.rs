//! The embedded backend: a small, real chat backend to try the harness on.
//!
//! It logs users in over HTTP, opens their WebSockets and streams the events of scripted agent runs, over real
//! sockets and on threads of its own. It is **our own system under test**, so it is an island: it imports nothing of
//! this crate and shares no constant, type or opinion with the judge.
//!
//! ```text
//! mod        Options, start, Running: all a caller needs
//! server     listening, accepting, stopping in order
//! routes     HTTP: login, threads, tickets, health
//! auth jwt   accounts, token bundles, tickets; HS256
//! upgrade    from an HTTP request to a WebSocket: token carriers, subprotocol, accept key
//! socket     one connection: greeting, heartbeat, requests, the only writer of its frames
//! agent      the script of a run, and the runs in flight
//! answer     what the agent says
//! threads    conversations and their messages
//! delivery   from an event to the connections of its user: the one door that every agent event passes
//! envelope   from a typed event to JSON
//! journal    what was handed to which socket
//! ```
//!
//! What it deliberately does not do: persist anything beyond the process, speak TLS, call a language model. It misbehaves only
//! where a fault was switched on.
//!
//! ```no_run
//! use goldenpath::backend;
//!
//! let running = backend::start(backend::Options::default())?;
//! println!("{} answers on {}", running.http_url(), running.socket_url());
//! let journal = running.stop();
//! assert!(journal.is_empty(), "the default options keep no journal");
//! # Ok::<(), std::io::Error>(())
//! ```

#![expect(clippy::disallowed_methods, reason = "a backend has a clock of its own, waits, and writes its journal")]

mod agent;
mod answer;
mod auth;
mod delivery;
mod door;
mod envelope;
mod fault;
pub mod journal;
mod jwt;
mod routes;
mod server;
mod socket;
#[cfg(test)]
mod tests;
mod threads;
mod upgrade;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::response::IntoResponse;
use rand::TryRng;
use rand::rngs::SysRng;
use tokio::sync::watch;

pub use agent::{Delays, Script};
pub use auth::{Accounts, Credentials, DEFAULT_PASSWORD};
pub use envelope::Envelope;
pub use fault::{Fault, Spec, SpecError, Strikes};

/// Everything that can be chosen about a backend. `Options::default()` is a quick, well-behaved one on a free port of
/// the loopback interface.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 lets the system pick. Default `127.0.0.1:0`.
    pub address: SocketAddr,
    /// Threads that accept and serve, each with a runtime of its own; 0 counts as 1. Default 1.
    pub threads: usize,
    /// How events are wrapped on the wire. Default [`Envelope::Flat`].
    pub envelope: Envelope,
    /// What an agent run consists of. Default: the five events once each, in about 85 ms.
    pub script: Script,
    /// Who may log in. Default: any email with [`DEFAULT_PASSWORD`].
    pub accounts: Accounts,
    /// Life of an access token, counted in whole seconds: zero makes tokens that are expired at birth. Default 15 min.
    pub token_lifetime: Duration,
    /// The sites whose pages may open sockets, as their `Origin`; empty: all, and who sends none. Default: empty.
    pub origins: Vec<String>,
    /// Interval of the application's own `ping` messages; zero turns them off. Default 25 s.
    pub heartbeat: Duration,
    /// Sizes and times beyond which the backend acts.
    pub limits: Limits,
    /// Keep a journal in memory, for [`Running::journal`]; it grows with every frame. Default off.
    pub journal: bool,
    /// Write the journal to this file as JSON Lines, replacing it. Default none.
    pub journal_file: Option<PathBuf>,
    /// Misbehaviour and variants that are switched on. Default none.
    pub faults: Vec<Spec>,
    /// From which the draws of faults come. Default 0.
    pub seed: u64,
    /// What `/health/ready` names as the version. Default: the version of this package.
    pub version: String,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            threads: 1,
            envelope: Envelope::default(),
            script: Script::default(),
            accounts: Accounts::default(),
            token_lifetime: Duration::from_secs(15 * 60),
            origins: Vec::new(),
            heartbeat: Duration::from_secs(25),
            limits: Limits::default(),
            journal: false,
            journal_file: None,
            faults: Vec::new(),
            seed: 0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Sizes and times beyond which the backend acts.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest message a client may send, in bytes; a larger one is answered by `MESSAGE_TOO_LARGE`. Default 8192.
    pub message_bytes: usize,
    /// Frames that may wait for one connection's writer (at least 1); a full queue holds the run up, nothing is
    /// dropped. Default 64.
    pub outbox_frames: usize,
    /// Time a connection without a token has to send its `auth` message. Default 5 s.
    pub auth: Duration,
    /// Time beyond the heartbeat interval in which a `pong` must come, or the connection is closed. Default 10 s.
    pub pong_grace: Duration,
    /// Longest time one frame may take to be handed to the socket, or the connection is given up. Default 10 s.
    pub write: Duration,
    /// Time that runs in flight have to end by themselves when the backend stops. Default 5 s.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            message_bytes: 8192,
            outbox_frames: 64,
            auth: Duration::from_secs(5),
            pong_grace: Duration::from_secs(10),
            write: Duration::from_secs(10),
            drain: Duration::from_secs(5),
        }
    }
}

impl Options {
    /// A fault that lets expired tokens in makes them expire soon.
    fn token_life(&self) -> Duration {
        let expired = self.faults.iter().find(|spec| spec.fault == Fault::OpenDoorExpired);
        expired.map_or(self.token_lifetime, |spec| spec.by)
    }
}

/// Binds, starts the serving threads and returns once connections are accepted.
///
/// # Errors
/// The address is taken or not ours, the journal file cannot be created, or the system refuses threads or randomness.
pub fn start(options: Options) -> io::Result<Running> {
    let listener = server::bind(options.address)?;
    let address = listener.local_addr()?;
    let threads = options.threads.max(1);
    let backend = Arc::new(Backend::new(options, address)?);
    let mut workers = Vec::with_capacity(threads);
    for index in 0..threads {
        match server::spawn(Arc::clone(&backend), &listener, index) {
            Ok(worker) => workers.push(worker),
            Err(error) => {
                backend.phase.send_replace(Phase::Closing);
                return Err(error);
            }
        }
    }
    Ok(Running { backend, workers })
}

/// A backend that is up. Dropping it ends it at once; [`Running::stop`] ends it in order.
#[derive(Debug)]
pub struct Running {
    backend: Arc<Backend>,
    workers: Vec<JoinHandle<()>>,
}

impl Running {
    /// The address bound, with the port the system picked.
    pub fn address(&self) -> SocketAddr {
        self.backend.address
    }

    /// Base of the HTTP routes, such as `http://127.0.0.1:4711`.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.backend.reachable())
    }

    /// The WebSocket endpoint, such as `ws://127.0.0.1:4711/ws`.
    pub fn socket_url(&self) -> String {
        format!("ws://{}/ws", self.backend.reachable())
    }

    /// The journal so far: empty unless [`Options::journal`] is set. A frame that any client has seen is in it,
    /// possibly still as [`journal::Outcome::Writing`] for the moment until the write has returned.
    pub fn journal(&self) -> Vec<journal::Entry> {
        self.backend.journal.as_deref().map(journal::Journal::snapshot).unwrap_or_default()
    }

    /// Asks the backend to stop without waiting for it: no new connections and runs, while runs in flight go on.
    pub fn drain(&self) {
        self.backend.phase.send_if_modified(|phase| {
            let serving = *phase == Phase::Serving;
            if serving {
                *phase = Phase::Draining;
            }
            serving
        });
    }

    /// Stops in order and waits for it: runs in flight may end within [`Limits::drain`] and are stopped after it,
    /// every socket is closed with 1001, the threads end. Gives back the whole journal. Blocks the calling thread.
    pub fn stop(mut self) -> Vec<journal::Entry> {
        self.drain();
        for worker in std::mem::take(&mut self.workers) {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
        if let Some(journal) = &self.backend.journal {
            journal.finish();
        }
        self.journal()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.backend.phase.send_replace(Phase::Closing);
    }
}

/// What all connections share.
#[derive(Debug)]
struct Backend {
    options: Options,
    address: SocketAddr,
    authority: auth::Authority,
    threads: threads::Threads,
    delivery: delivery::Delivery,
    runs: agent::Runs,
    faults: fault::Faults,
    journal: Option<Arc<journal::Journal>>,
    ids: Ids,
    phase: watch::Sender<Phase>,
    /// WebSockets that are open or about to be.
    open: watch::Sender<usize>,
}

impl Backend {
    fn new(options: Options, address: SocketAddr) -> io::Result<Backend> {
        let journal = journal::Journal::open(options.journal, options.journal_file.as_deref())?.map(Arc::new);
        Ok(Backend {
            address,
            authority: auth::Authority::new(options.accounts.clone(), options.token_life(), random_bytes()?),
            threads: threads::Threads::default(),
            delivery: delivery::Delivery::new(options.limits.outbox_frames, journal.clone()),
            faults: fault::Faults::new(options.faults.clone(), options.seed),
            runs: agent::Runs::default(),
            journal,
            ids: Ids { seed: u64::from_le_bytes(random_bytes()?), made: AtomicU64::new(0) },
            phase: watch::Sender::new(Phase::Serving),
            open: watch::Sender::new(0),
            options,
        })
    }

    /// The address a client on this machine can connect to: an unspecified one is reached over loopback.
    fn reachable(&self) -> SocketAddr {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        SocketAddr::new(ip, self.address.port())
    }

    /// Notes that a fault struck.
    fn struck(&self, spec: &Spec, user: Option<&auth::User>) {
        if let Some(journal) = &self.journal {
            journal.struck(spec, user.map(|user| &user.id), None);
        }
    }

    /// An answer that never comes, for as long as the backend is up.
    async fn never(&self) -> axum::response::Response {
        reached(&mut self.phase.subscribe(), Phase::Closing).await;
        routes::Problem::new(axum::http::StatusCode::SERVICE_UNAVAILABLE, "server is shutting down").into_response()
    }

    fn is_serving(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }
}

/// Where the backend stands on its way to the end. Only ever moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// Nothing new begins; runs in flight go on.
    Draining,
    /// Every connection says goodbye.
    Closing,
}

/// Returns when that phase has come.
async fn reached(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    // Without a sender there is no backend left to serve either.
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}

/// Makes ids that never repeat within one start and look like noise, so that no part of one is part of another by
/// habit (a counter's 1 stands in its 10).
#[derive(Debug)]
struct Ids {
    seed: u64,
    made: AtomicU64,
}

impl Ids {
    /// `prefix` and 16 hexadecimal digits.
    fn next(&self, prefix: &str) -> String {
        // SplitMix64 (Steele, Lea, Flood 2014): its output function is a bijection, hence no repetition.
        let step = self.made.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{prefix}{:016x}", mixed(self.seed.wrapping_add(step)))
    }
}

/// The output function of SplitMix64: a bijection whose values look like noise.
fn mixed(state: u64) -> u64 {
    let mut mixed = state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Bytes from the operating system, for what must not be guessed.
fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Seconds since 1970, as JWT counts them (RFC 7519, NumericDate).
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// Locks a mutex; nothing behind ours is left half-done by a panic, so a poisoned one is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
