//! What driving users costs beside a bare client: the product's own `run` with an ordinary scenario, recording and judging all of it, and
//! `bare.rs`, in turn, against the embedded backend in a process of its own.
//!
//! Counted is processor time of the client's process, its highest memory, and time from its start to its end. Where `taskset` is there
//! the backend has the first core and the client the second. `docs/performance.md` has the figures and how they are read. Takes
//! some minutes.

#![allow(clippy::disallowed_methods, reason = "a benchmark starts processes and reads what they leave behind")]

#[path = "../support/backend.rs"]
mod backend;
mod bare;

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use backend::Backend;
use bare::Work;

/// The profile of a target that is only logged in to, connected to and asked, as the bare client does.
const PROFILE: &str = r#"
version: 1
name: plain
http: { base: "http://127.0.0.1" }
socket: "ws://127.0.0.1/ws"
login:
  - post: /auth/login
    json: { email: "${user.email}", password: "${user.password}" }
    capture: { token: { secret: /access_token }, user_id: /user/id }
connect:
  headers: { Authorization: "Bearer ${token}" }
  script: [{ wait: { when: { event: connection_established }, within: 60s } }]
ask:
  send:
    type: start_agent
    payload: { user_request: "${prompt}", thread_id: "${thread_id}", run_id: "${run_id}" }
events: { answer: [{ when: { event: agent_completed }, at: [/final_response, /result] }] }
"#;

const GOLDENPATH: &str = env!("CARGO_BIN_EXE_goldenpath");

/// Both are measured in turn, so often; the middle one counts.
const ROUNDS: usize = 3;

/// One user, one request.
const ONE: Work = Work { users: 1, requests: 1, think: Duration::ZERO, hold: Duration::ZERO, together: true };

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Bare,
    /// With what it records.
    Product(&'static str),
}

/// What one execution took.
#[derive(Debug, Clone, Copy)]
struct Taken {
    /// Processor time, of user and system, in microseconds.
    cpu_us: f64,
    /// From start to end, in microseconds.
    wall_us: f64,
    /// The most memory it held, in bytes.
    memory: f64,
}

/// Where clients go.
struct Target {
    address: String,
    /// It is spoken to over TLS, and this certificate is to be trusted.
    trust: Option<PathBuf>,
    folder: PathBuf,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, address, trust, numbers @ ..] = &arguments[..]
        && first == "bare"
    {
        let numbers = numbers.iter().map(|number| number.parse().expect("a number"));
        let Ok([users, requests, think, hold, together]) = <[u64; 5]>::try_from(numbers.collect::<Vec<_>>()) else {
            panic!("five numbers");
        };
        let (think, hold) = (Duration::from_millis(think), Duration::from_millis(hold));
        let work = Work { users: users as u32, requests: requests as u32, think, hold, together: together == 1 };
        return bare::run(address, (trust != "-").then_some(Path::new(trust)), work);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let backend = Backend::start(pinned(0).args([GOLDENPATH, "serve", "--delay", "0ms"]));
    let plain = Target { address: backend.address.clone(), trust: None, folder: folder.path().to_owned() };

    let both = [Client::Bare, Client::Product("auto"), Client::Product("none")];
    println!("| what | client | figure | beside the bare client |\n|---|---|---:|---:|");
    let one = in_turn(&both, 7, |client| plain.drive(client, ONE));
    let show = |what: &str, unit: &str, figures: &[f64]| {
        for (client, figure) in both.iter().zip(figures) {
            println!("| {what} | {} | {figure:.1} {unit} | {:.2} |", client.name(), figure / figures[0]);
        }
    };
    show("one user, start to end", "ms", &one.iter().map(|taken| taken.wall_us / 1e3).collect::<Vec<_>>());
    let per = |all: &[Taken], times: f64| -> Vec<f64> {
        all.iter().zip(&one).map(|(all, one)| (all.cpu_us - one.cpu_us) / times).collect()
    };
    let requests = Work { users: 100, requests: 300, ..ONE };
    let asked = in_turn(&both, ROUNDS, |client| plain.drive(client, requests));
    show("processor time of a request", "us", &per(&asked, 30_000.0));
    let paths = Work { users: 2_000, ..ONE };
    for (together, what) in [(false, "of a whole path, as users come"), (true, "of a whole path, users who meet first")]
    {
        let walked = in_turn(&both, ROUNDS, |client| plain.drive(client, Work { together, ..paths }));
        show(&format!("processor time {what}"), "us", &per(&walked, 2_000.0));
    }
    let held = Work { users: 5_000, hold: Duration::from_secs(2), ..ONE };
    let memory = in_turn(&both, 1, |client| plain.drive(client, held));
    let of_one = |(all, one): (&Taken, &Taken)| (all.memory - one.memory) / 5_000.0 / 1024.0;
    show("memory of a held user, of 5,000", "KiB", &memory.iter().zip(&one).map(of_one).collect::<Vec<_>>());

    // Events one after the other: many users, each of whom thinks between two requests.
    let spaced =
        |users| Work { users, requests: 5, think: Duration::from_secs(1), hold: Duration::from_secs(1), ..ONE };
    let per_event: Vec<Vec<f64>> = [100, 5_000]
        .map(|users| {
            let idle = in_turn(&both, 1, |client| plain.drive(client, Work { requests: 1, ..spaced(users) }));
            let busy = in_turn(&both, 1, |client| plain.drive(client, spaced(users)));
            let events = f64::from(users) * 4.0 * 5.0;
            busy.iter().zip(&idle).map(|(busy, idle)| (busy.cpu_us - idle.cpu_us) / events).collect()
        })
        .into();
    show("processor time of an event, 100 users", "us", &per_event[0]);
    show("processor time of an event, 5,000 users", "us", &per_event[1]);

    let secure = relay(&plain);
    let sealed = in_turn(&both, ROUNDS, |client| secure.drive(client, requests));
    let one_sealed = in_turn(&both, ROUNDS, |client| secure.drive(client, ONE));
    let per = |all: &[Taken], times: f64| -> Vec<f64> {
        all.iter().zip(&one_sealed).map(|(all, one)| (all.cpu_us - one.cpu_us) / times).collect()
    };
    show("processor time of a request over TLS", "us", &per(&sealed, 30_000.0));
    let walked = in_turn(&both, ROUNDS, |client| secure.drive(client, Work { users: 500, ..paths }));
    show("processor time of a whole path over TLS", "us", &per(&walked, 500.0));
}

/// The middle one of each client's executions, which take turns.
fn in_turn(clients: &[Client], rounds: usize, drive: impl Fn(Client) -> Taken) -> Vec<Taken> {
    let mut all: Vec<Vec<Taken>> = clients.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (client, taken) in clients.iter().zip(&mut all) {
            taken.push(drive(*client));
        }
    }
    let middle = |taken: &[Taken], of: fn(&Taken) -> f64| {
        let mut all: Vec<f64> = taken.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let of_client = |taken: &Vec<Taken>| Taken {
        cpu_us: middle(taken, |taken| taken.cpu_us),
        wall_us: middle(taken, |taken| taken.wall_us),
        memory: middle(taken, |taken| taken.memory),
    };
    all.iter().map(of_client).collect()
}

impl Client {
    fn name(self) -> String {
        match self {
            Client::Bare => "bare".to_owned(),
            Client::Product("none") => "goldenpath, nothing recorded".to_owned(),
            Client::Product(_) => "goldenpath".to_owned(),
        }
    }
}

impl Target {
    /// Lets `client` do `work`, and checks that it did.
    fn drive(&self, client: Client, work: Work) -> Taken {
        let mut command = pinned(1);
        match client {
            Client::Bare => self.bare(&mut command, work),
            Client::Product(record) => self.product(&mut command, work, record),
        }
        let before = children();
        let begun = Instant::now();
        let child = command.current_dir(&self.folder).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("a client starts");
        let (mut told, mut memory) = (child.stderr.take().expect("a pipe"), 0.0_f64);
        let ended = loop {
            // What it held at most is known only while it is there.
            memory = memory.max(peak(child.id()));
            if let Some(ended) = child.try_wait().expect("a child") {
                break ended;
            }
            // As long as nobody looks it may be over: for a short one, time is what counts.
            std::thread::sleep(if work.users == 1 { Duration::from_micros(100) } else { Duration::from_millis(5) });
        };
        let wall_us = begun.elapsed().as_secs_f64() * 1e6;
        let cpu_us = children() - before;
        let mut words = String::new();
        told.read_to_string(&mut words).expect("what it says is text");
        assert!(ended.success(), "{client:?} {work:?}: {ended}\n{words}");
        if let Client::Product(_) = client {
            let report = fs::read_to_string(self.folder.join("out/report.json")).expect("a report");
            let report: Value = serde_json::from_str(&report).expect("JSON");
            let runs = u64::from(work.users) * u64::from(work.requests);
            assert_eq!(report["counts"]["runs_good"].as_u64(), Some(runs));
        }
        Taken { cpu_us, wall_us, memory }
    }

    fn bare(&self, command: &mut Command, work: Work) {
        let trust = self.trust.as_deref().unwrap_or(Path::new("-"));
        let this = std::env::current_exe().expect("this program");
        command.arg(this).arg("bare").arg(&self.address).arg(trust);
        let Work { users, requests, think, hold, together } = work;
        let numbers = [users.into(), requests.into(), think.as_millis(), hold.as_millis(), together.into()];
        command.args(numbers.map(|number| number.to_string()));
    }

    fn product(&self, command: &mut Command, work: Work, record: &str) {
        let Work { users, requests, .. } = work;
        let pause = |name: &str, pause: Duration| match pause {
            Duration::ZERO => String::new(),
            pause => format!(", {name}: {}ms", pause.as_millis()),
        };
        let (think, hold) = (pause("think_time", work.think), pause("hold", work.hold));
        let apart = if work.together { "" } else { ", together: false" };
        let scenario = format!(
            r#"
version: 1
name: cost
target: plain.yaml
users:
  count: {users}
  session: keep
  email: "qa${{user.number}}@example.com"
  password: {{ env: PASSWORD, on_loopback: golden-path }}
load: {{ closed: {{ iterations: {requests}{think}{apart} }}{hold} }}
ask: {{ prompt: "Which services drive our cloud bill? (ref ${{canary}})" }}
expect: {{ isolation: {{ required: {several} }} }}
timeouts: {{ quiet: 0s }}
"#,
            several = users > 1
        );
        fs::write(self.folder.join("plain.yaml"), PROFILE).expect("a file");
        fs::write(self.folder.join("cost.yaml"), scenario).expect("a file");
        let scheme = if self.trust.is_some() { "https" } else { "http" };
        command.args([GOLDENPATH, "run", "cost.yaml", "--quiet", "--out", "out", "--record", record]);
        command.args(["--url", &format!("{scheme}://{}", self.address)]);
        if let Some(trust) = &self.trust {
            command.arg("--cacert").arg(trust);
        }
    }
}

/// A command on this core, where that can be said.
fn pinned(core: usize) -> Command {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let there = Command::new("taskset").arg("--version").output().is_ok_and(|output| output.status.success());
    let mut command = Command::new(if there && cores > 1 { "taskset" } else { "env" });
    if there && cores > 1 {
        command.args(["-c", &core.to_string()]);
    }
    command
}

/// Processor time of all children that have ended, in microseconds.
fn children() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the system counts");
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64
}

/// The most memory that a process has held so far, in bytes; nothing where the system does not say.
fn peak(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok()).map_or(0.0, |kb| kb * 1024.0)
}

/// TLS in front of `plain`, in this process.
fn relay(plain: &Target) -> Target {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    let certified = made.expect("a certificate");
    let trust = plain.folder.join("relay.pem");
    fs::write(&trust, certified.cert.pem()).expect("a file");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let chain = vec![certified.cert.der().clone()];
    let config = config.with_no_client_auth().with_single_cert(chain, key).expect("a key and its certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (told, where_to) = std::sync::mpsc::channel::<SocketAddr>();
    let address = plain.address.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            told.send(listener.local_addr().expect("an address")).expect("somebody asks");
            while let Ok((near, _)) = listener.accept().await {
                let (acceptor, address) = (acceptor.clone(), address.clone());
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(address).await else { return };
                    let _ = (near.set_nodelay(true), far.set_nodelay(true));
                    // Whoever hangs up in the middle is the clients' to complain about.
                    if let Ok(mut near) = acceptor.accept(near).await {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
    });
    let address = where_to.recv().expect("the relay listens").to_string();
    Target { address, trust: Some(trust), folder: plain.folder.clone() }
}
