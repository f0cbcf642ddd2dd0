//! `goldenpath doctor`: where the way to a target ends, and why.
//!
//! One user goes up the ladder: name, TCP, proxy, TLS, HTTP, clock, readiness, login, upgrade, greeting, one ask. The user is the
//! product's own, and so is the judge; here it is only told rung by rung what they said, with the wire at the broken one.
//!
//! | file | what for |
//! |---|---|
//! | `climb.rs` | the rungs below the target's words: name, TCP, proxy, TLS, HTTP, clock |
//! | `visit.rs` | the rungs of a user: readiness, login, upgrade, greeting, ask |
//! | `carriers.rs` | other ways to hand over the token, tried where the profile's own fails |
//! | `seen.rs` | events and ids that came, and what the profile makes of them |
//! | `machine.rs` | without a target: what this machine can drive and measure |
//! | `page.rs` | all of it for a person |
//!
//! Nothing is repaired and nothing is written.

mod carriers;
mod climb;
mod machine;
mod page;
mod seen;
mod visit;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use serde::Serialize;

use super::execute::{self, Invocation};
use super::exit::Exit;
use super::load::{self, Loaded, Loader, Overrides, RunOptions, Unset, Variables};
use super::record::Record;
use super::show;
use super::signals::Signals;
use super::trust::TrustArgs;
use super::way::{Way, WayArgs};
use crate::backend;
use crate::document::diagnostic::quote;
use crate::scenario::load::Load;
use crate::session::tls::Tls;
use crate::target::Profile;

/// What `doctor` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A target profile, `embedded`, or a scenario, whose first user and question are taken; without it this machine is examined
    #[arg(id = "patient", value_name = "TARGET")]
    patient: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    way: WayArgs,
    /// Who logs in, where TARGET is no scenario; the password is in GOLDENPATH_PASSWORD
    #[arg(long, value_name = "EMAIL", default_value = "qa1@example.com", requires = "patient")]
    email: String,
    /// Leave when the agent could be asked: nothing is answered, and nothing costs
    #[arg(long, requires = "patient")]
    no_ask: bool,
    /// Try every way to hand over the token, also where the profile's own is fine
    #[arg(long, requires = "patient")]
    carriers: bool,
    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON document
    Json,
}

/// What was found out about a target.
#[derive(Debug, Serialize)]
struct Findings {
    /// The profile's name.
    target: String,
    /// Its file.
    profile: String,
    /// Where it is.
    addresses: Vec<String>,
    /// It is the harness's own backend.
    embedded: bool,
    /// Who went.
    user: String,
    /// In the order in which they are climbed.
    rungs: Vec<Rung>,
    /// Other ways to hand over the token, as far as they were tried.
    carriers: Vec<carriers::Tried>,
    /// What came on the socket.
    events: Vec<seen::Event>,
    /// Which ids it held.
    ids: Vec<seen::Id>,
}

/// One rung of the ladder.
#[derive(Debug, Clone, Serialize)]
struct Rung {
    rung: String,
    state: State,
    /// What was found there, in one sentence.
    said: String,
    /// What was sent and received there, without secrets.
    wire: Vec<String>,
    /// What usually breaks it so.
    cause: Option<String>,
    /// What to do about it.
    remedy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Good,
    Broken,
    /// It holds, and limits what can be relied on.
    Doubtful,
    /// There is no such rung here.
    Absent,
    NotReached,
}

impl Rung {
    fn new(rung: &str, state: State, said: impl Into<String>) -> Rung {
        Rung { rung: rung.to_owned(), state, said: said.into(), wire: Vec::new(), cause: None, remedy: None }
    }

    fn good(rung: &str, said: impl Into<String>) -> Rung {
        Rung::new(rung, State::Good, said)
    }

    fn absent(rung: &str, said: impl Into<String>) -> Rung {
        Rung::new(rung, State::Absent, said)
    }

    fn not_reached(rung: &str) -> Rung {
        Rung::new(rung, State::NotReached, "not reached")
    }

    fn broken(rung: &str, said: impl Into<String>, cause: &str, remedy: &str) -> Rung {
        let (cause, remedy) = (Some(cause.to_owned()), Some(remedy.to_owned()));
        Rung { cause, remedy, ..Rung::new(rung, State::Broken, said) }
    }

    fn doubtful(rung: &str, said: impl Into<String>, remedy: &str) -> Rung {
        Rung { remedy: Some(remedy.to_owned()), ..Rung::new(rung, State::Doubtful, said) }
    }

    fn with_wire(self, wire: Vec<String>) -> Rung {
        Rung { wire, ..self }
    }

    fn is_broken(&self) -> bool {
        self.state == State::Broken
    }
}

/// The rung that does not keep anybody from the next one.
const CLOCK: &str = "clock";

/// Rungs behind a broken one are not reached, whatever else was tried.
fn end_at_the_broken(rungs: Vec<Rung>) -> Vec<Rung> {
    let mut over = false;
    let told = rungs.into_iter().map(|rung| {
        let told = if over { Rung::not_reached(&rung.rung) } else { rung };
        over |= told.is_broken() && told.rung != CLOCK;
        told
    });
    told.collect()
}

/// Climbs to the target that was named, or looks at this machine.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let variables = load::variables();
    let Some(patient) = &args.patient else { return run_machine(args, &variables) };
    let mut loader = Loader::new(&args.overrides, variables.clone(), Unset::Refuse);
    let is_profile = loader.is_profile(patient);
    if let Some(mistake) = contradiction(args, is_profile) {
        eprintln!("goldenpath: {mistake}");
        return Ok(Exit::Usage);
    }
    let path = if is_profile { hold_scenario(&mut loader, patient, &args.email) } else { patient.clone() };
    let loaded = match loader.load(&path) {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            show::to_stderr(&mistakes, loader.sources())?;
            return Ok(Exit::Usage);
        }
    };
    let ways = args.trust.tls().and_then(|tls| Ok((tls, args.way.way(&variables, loaded.target.loopback)?)));
    let (tls, way) = match ways {
        Ok(ways) => ways,
        Err(mistake) => {
            eprintln!("goldenpath: {mistake}");
            return Ok(Exit::Usage);
        }
    };
    let findings = Doctor { args, variables: &variables, tls: &tls, way: &way, signals: Signals::default() }
        .examine(loaded, &loader)?;
    print(args, &findings, page::text)?;
    Ok(if findings.rungs.iter().any(Rung::is_broken) { Exit::Blocked } else { Exit::Pass })
}

fn run_machine(args: &Args, variables: &Variables) -> anyhow::Result<Exit> {
    if args.overrides != Overrides::default() || !args.trust.words().is_empty() || args.way != WayArgs::default() {
        eprintln!("goldenpath: without a TARGET this machine is examined; name the profile: goldenpath doctor FILE");
        return Ok(Exit::Usage);
    }
    // What overrides a scenario of the user's has nothing to do with ours.
    let plain = Loader::new(&Overrides::default(), Variables::new(), Unset::Refuse);
    let doctor = Doctor { args, variables, tls: &Tls::system(), way: &Way::default(), signals: Signals::default() };
    print(args, &doctor.machine(plain)?, page::of_machine)?;
    Ok(Exit::Pass)
}

fn print<F: Serialize>(args: &Args, findings: &F, page: fn(&F, usize, bool) -> String) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let text = match args.format {
        Format::Text => page(findings, show::width(), show::color(stdout.is_terminal())),
        Format::Json => serde_json::to_string_pretty(findings).context("failed to spell what was found")? + "\n",
    };
    stdout.write_all(text.as_bytes()).context("failed to print what was found")
}

/// What cannot be asked for together.
fn contradiction(args: &Args, is_profile: bool) -> Option<&'static str> {
    if args.overrides.users.is_some() {
        return Some("--users: the doctor sends one user");
    }
    if is_profile && args.overrides.target.is_some() {
        return Some("--target names another profile than TARGET; name one of them");
    }
    None
}

/// A scenario of one user for a profile that was named without one.
fn hold_scenario(loader: &mut Loader, profile: &Path, email: &str) -> PathBuf {
    let target = profile.display().to_string();
    // Texts in double quotes are spelled in YAML as in JSON (YAML 1.2.2, section 1.2).
    let spelled = |text: &str| serde_json::Value::from(text).to_string();
    let text = format!(
        "version: 1\nname: doctor\ntarget: {}\nusers:\n  count: 1\n  email: {}\n  \
         password: {{ env: GOLDENPATH_PASSWORD, on_loopback: golden-path }}\n\
         ask: {{ prompt: \"Which services drive our cloud bill, and what should we cut first? (ref ${{canary}})\" }}\n",
        spelled(&target),
        spelled(&email.replace('$', "$$")),
    );
    let path = PathBuf::from("doctor");
    loader.hold(&path, &text);
    path
}

/// Everything that is given beside the target.
struct Doctor<'a> {
    args: &'a Args,
    variables: &'a Variables,
    tls: &'a Tls,
    way: &'a Way,
    /// Who asks for the end ends the process: nothing is left behind.
    signals: Signals,
}

impl Doctor<'_> {
    fn examine(&self, mut loaded: Loaded, loader: &Loader) -> anyhow::Result<Findings> {
        alone(&mut loaded);
        let backend = if loaded.target.starts_backend {
            let options = backend::Options { faults: loaded.target.faults.clone(), ..backend::Options::default() };
            let backend = backend::start(options).context("failed to start the embedded backend")?;
            execute::lead_to(&mut loaded.target.profile, &backend);
            loaded.target.starts_backend = false;
            Some(backend)
        } else {
            None
        };
        let findings = self.climb(&loaded, loader);
        if let Some(backend) = backend {
            backend.stop();
        }
        findings
    }

    fn climb(&self, loaded: &Loaded, loader: &Loader) -> anyhow::Result<Findings> {
        let profile = &loaded.target.profile;
        let net = self.way.net(self.tls);
        let patience = loaded.scenario.timeouts.connect;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("failed to make a runtime")?;
        let addresses = climb::addresses(profile, self.variables);
        let mut rungs = runtime.block_on(climb::rungs(&addresses, &net, patience));
        drop(runtime);
        // The way to the socket is told where a user goes it.
        let to_socket = rungs.split_off(climb::begin_of_socket(&rungs));
        let mut findings = Findings {
            target: profile.name.clone(),
            profile: loader.sources().get(loaded.target.source).name().to_owned(),
            addresses: addresses.shown(),
            embedded: loaded.target.embedded,
            user: "nobody".to_owned(),
            rungs: Vec::new(),
            carriers: Vec::new(),
            events: Vec::new(),
            ids: Vec::new(),
        };
        if rungs.iter().any(|rung| rung.is_broken() && rung.rung != CLOCK) {
            let own = visit::all(profile);
            let (before, after) = own.split_at(visit::BEFORE_SOCKET);
            rungs.extend(before.iter().map(|rung| Rung::not_reached(rung)));
            rungs.extend(to_socket);
            rungs.extend(after.iter().map(|rung| Rung::not_reached(rung)));
            findings.rungs = end_at_the_broken(rungs);
            return Ok(findings);
        }
        self.tell_patience(profile);
        let visited = self.visit(loaded, loader, !self.args.no_ask)?;
        findings.user = visited.user(loaded, self.variables);
        let own = visited.rungs(loaded);
        let (before, after) = own.split_at(visit::BEFORE_SOCKET);
        rungs.extend(before.iter().cloned());
        rungs.extend(to_socket);
        rungs.extend(after.iter().cloned());
        findings.rungs = end_at_the_broken(rungs);
        if visited.turned_away() || self.args.carriers {
            findings.carriers = carriers::try_each(profile, |profile| {
                let mut other = loaded.clone();
                other.target.profile = profile;
                self.visit(&other, loader, false)
            })?;
        }
        let expect = load::among(loaded.expectations(), 1);
        (findings.events, findings.ids) = seen::seen(&expect, &visited);
        Ok(findings)
    }

    /// Nobody is to wonder about a long silence.
    fn tell_patience(&self, profile: &Profile) {
        let patience = profile.ready.iter().filter_map(|step| step.retry).map(|retry| retry.limit).max();
        if let Some(patience) = patience.filter(|_| std::io::stderr().is_terminal()) {
            eprintln!("goldenpath: going up; a target that is not ready is waited for, at most {patience}");
        }
    }

    /// Lets the user go, and hears everything that the judge is told.
    fn visit(&self, loaded: &Loaded, loader: &Loader, asks: bool) -> anyhow::Result<visit::Visited> {
        let options = RunOptions { overrides: self.args.overrides.clone(), ..RunOptions::default() };
        let heard = visit::Heard::default();
        let visit = execute::Visit { tapes: heard.tapes(), asks };
        let report = execute::execute(loaded, &self.invocation(&options, loader, Some(&visit)))?.report;
        heard.visited(report)
    }

    fn invocation<'a>(
        &'a self,
        options: &'a RunOptions,
        loader: &'a Loader,
        visit: Option<&'a execute::Visit>,
    ) -> Invocation<'a> {
        Invocation {
            options,
            sources: loader.sources(),
            variables: self.variables,
            threads: 1,
            tls: self.tls,
            trust: &self.args.trust,
            way: self.way,
            only: &[],
            execution: None,
            quiet: true,
            every: None,
            signals: &self.signals,
            record: Record::None,
            visit,
            folder: &|_, _| PathBuf::new(),
        }
    }
}

/// Leaves one user, one iteration and one question of a scenario; how long anything takes is asked by nobody.
fn alone(loaded: &mut Loaded) {
    let scenario = &mut loaded.scenario;
    scenario.users.count = 1;
    scenario.load = Load::default();
    scenario.turns.truncate(1);
    scenario.personas.clear();
    scenario.expect.answers.truncate(1);
    scenario.expect.budgets.clear();
    scenario.written.budgets.clear();
    scenario.expect.claims.reliability = None;
}

impl Loader {
    /// Whether a name means a target profile. What cannot be read is nothing, and told by whoever loads it.
    fn is_profile(&mut self, name: &Path) -> bool {
        let name = name.to_string_lossy();
        self.profile_alone(&name, &mut crate::document::Context::new()).is_some()
    }
}

/// A text of the target in a sentence of ours.
fn quoted(text: &str) -> String {
    quote(text)
}
