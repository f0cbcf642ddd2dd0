//! `goldenpath serve`: the embedded backend by itself, to try a harness on or to drive from another process.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use super::exit::Exit;
use super::{faults, unix};
use crate::backend::{self, Accounts, DEFAULT_PASSWORD, Delays, Envelope, Options, Script, Spec};
use crate::document::values;
use crate::time::Micros;

/// What `serve` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Port; 0 lets the system pick one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Address to listen on; beyond this machine only if you say so
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Threads that serve
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// Where the fields of an event stand
    #[arg(long, value_enum, default_value_t = Envelope::Flat)]
    envelope: Envelope,
    /// Thinking events before the first tool
    #[arg(long, value_name = "N", default_value_t = 1)]
    thinking: usize,
    /// Tools that the agent calls, in order
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_value = "cost_lookup")]
    tools: Vec<String>,
    /// Agents that do the work in this order, each with all tools
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    sub_agents: Vec<String>,
    /// Misbehave, for example `leak-broadcast:p=0.02`; repeatable
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Spec>,
    /// From which the draws of faults come
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// List every fault: what it does, what it stands for, how its users would notice
    #[arg(long)]
    list_faults: bool,
    /// Time before each event, for example 20ms; 0ms for none
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    delay: Option<Micros>,
    /// The password of every account
    #[arg(long, value_name = "TEXT", default_value = DEFAULT_PASSWORD)]
    password: String,
    /// How long a token lives
    #[arg(long, value_name = "TIME", value_parser = values::duration, default_value = "15m")]
    token_lifetime: Micros,
    /// Write what was really sent to whom to this file, a JSON document per line
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
}

/// Serves until somebody asks for the end; runs in flight may end.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    if args.list_faults {
        std::io::stdout().lock().write_all(faults::list().as_bytes())?;
        return Ok(Exit::Pass);
    }
    unix::raise_open_files();
    let options = Options {
        address: SocketAddr::new(args.host, args.port),
        threads: args.threads.into(),
        envelope: args.envelope,
        script: Script {
            thinking_steps: args.thinking,
            tools: args.tools.iter().filter(|tool| !tool.is_empty()).cloned().collect(),
            sub_agents: args.sub_agents.clone(),
            delays: args.delay.map_or_else(Delays::default, |delay| Delays::every(delay.to_std())),
            ..Script::default()
        },
        accounts: Accounts::Shared { password: args.password.clone() },
        token_lifetime: Duration::from_secs(args.token_lifetime.0.div_ceil(1_000_000)),
        journal_file: args.journal.clone(),
        faults: args.faults.clone(),
        seed: args.seed,
        ..Options::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut requests = {
        // Before anybody is told the address: whoever knows it may ask for the end.
        let _inside = runtime.enter();
        unix::EndRequests::listen().context("failed to catch signals")?
    };
    let backend = backend::start(options).with_context(|| format!("failed to serve on {}:{}", args.host, args.port))?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "embedded backend at {} (socket {})", backend.http_url(), backend.socket_url())?;
    writeln!(stdout, "drive it: goldenpath run scenarios/smoke.yaml --url {}", backend.http_url())?;
    stdout.flush()?;
    drop(stdout);
    runtime.block_on(requests.next());
    eprintln!("stopping");
    backend.stop();
    Ok(Exit::Pass)
}
