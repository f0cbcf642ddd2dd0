//! One execution of one scenario: everything between loaded files and a report.
//!
//! Gathers what the layers below must not know (the system's limits, randomness, the embedded backend, who watches), lets the
//! engine drive the users and the judge conclude, and says in the report under which circumstances.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use rand::TryRng;
use rand::rngs::SysRng;
use tokio::sync::mpsc;

use super::intervals::Intervals;
use super::judge::recording_of;
use super::load::{self, Loaded, PasswordValue, RunOptions, Variables};
use super::machine::{DIALS_IN_FLIGHT, Machine, Needs};
use super::record::{Record, Recording};
use super::resolved::Header;
use super::signals::Signals;
use super::trust::TrustArgs;
use super::watch::Watch;
use super::way::Way;
use crate::backend::{self, Running};
use crate::check::{self, Judge, Judgement, conclude};
use crate::document::Sources;
use crate::document::text::Text;
use crate::engine::{
    self, Desk, Felt, Hooks, Level, Limiter, Pulse, Seat, ShardContext, ShardFailure, Turns, start_gate,
};
use crate::expect::{Between, Date};
use crate::finding::counted;
use crate::identity::{ExecutionId, Iteration, UserNumber};
use crate::plan::{self, Plan, PlannedUser};
use crate::report::{self, Report};
use crate::rule::Rule;
use crate::scenario::{Scenario, Session, defaults};
use crate::secret::Scrubber;
use crate::session::Net;
use crate::session::clock;
use crate::session::exposed::{Places, listen};
use crate::session::http::Http;
use crate::session::kernel;
use crate::session::probe::knock_at_doors;
use crate::session::recorder::{Recorder, Tapes};
use crate::session::tls::Tls;
use crate::session::urls::Urls;
use crate::session::user::{Bench, Mission, drive, make_ready};
use crate::session::values::Shared;
use crate::target::Profile;
use crate::time::{Micros, Stamp};
use crate::trace::Fact;

/// What the command line says to all scenarios.
pub struct Invocation<'a> {
    /// Overrides, seed and folder.
    pub options: &'a RunOptions,
    /// The texts that files, flags and variables held.
    pub sources: &'a Sources,
    /// The process's variables.
    pub variables: &'a Variables,
    /// Threads to divide users among.
    pub threads: u32,
    /// Whom to trust.
    pub tls: &'a Tls,
    /// The flags that said so.
    pub trust: &'a TrustArgs,
    /// Which way leads to it.
    pub way: &'a Way,
    /// The users that take part where it is not all of them, sorted.
    pub only: &'a [UserNumber],
    /// The execution to repeat.
    pub execution: Option<ExecutionId>,
    /// Print no progress.
    pub quiet: bool,
    /// How often to sum up what went on, where the scenario is not to say.
    pub every: Option<Micros>,
    /// Who may ask for the end.
    pub signals: &'a Signals,
    /// What is recorded.
    pub record: Record,
    /// Somebody who wants to know what a user meets, and not how the target bears it.
    pub visit: Option<&'a Visit>,
    /// The folder for what this execution leaves behind, by the scenario's name and the execution.
    pub folder: &'a (dyn Fn(&str, &report::Execution) -> PathBuf + Sync),
}

/// How a single user looks at a target.
#[derive(Debug)]
pub struct Visit {
    /// Where everything goes that the judge is told.
    pub tapes: Arc<Tapes>,
    /// Whether the agent is asked.
    pub asks: bool,
}

/// What came of an execution.
#[derive(Debug)]
pub struct Executed {
    /// What it has shown.
    pub report: Report,
    /// Where its files belong.
    pub folder: PathBuf,
    /// Whether what was to be recorded is.
    pub recorded: anyhow::Result<()>,
}

/// Why this scenario cannot be run on this machine, before any traffic.
pub fn refusal(loaded: &Loaded, threads: u32) -> Option<String> {
    let refused = Machine::here().refuses(Needs::of(loaded, threads))?;
    let users = counted(loaded.scenario.users.count.into(), "user");
    Some(format!("{}: {users}: {refused}", loaded.path.display()))
}

/// The plan of a scenario.
pub fn plan(scenario: &Scenario, seed: u64, execution: ExecutionId, threads: u32, only: &[UserNumber]) -> Plan {
    Plan {
        seed,
        execution,
        users: scenario.users.count,
        first: scenario.users.first,
        only: only.to_vec(),
        load: scenario.load.clone(),
        personas: scenario.personas.iter().map(|of| plan::Persona { share: of.share, think: of.think }).collect(),
        witnesses: scenario.users.witnesses,
        turns: u32::try_from(scenario.turns.len()).unwrap_or(u32::MAX),
        fresh: scenario.fresh_sessions(),
        threads: threads as usize,
    }
}

/// Drives the users of `loaded` and judges what they received.
///
/// # Errors
///
/// When the harness could not do its work; nothing is known of the target then.
pub fn execute(loaded: &Loaded, invocation: &Invocation<'_>) -> anyhow::Result<Executed> {
    let scenario = &loaded.scenario;
    let execution = invocation.execution.map_or_else(|| random().map(|bits| ExecutionId(bits as u32)), Ok)?;
    let seed = invocation.options.seed.map_or_else(random, Ok)?;
    let backend = if loaded.target.starts_backend {
        let options = backend::Options { faults: loaded.target.faults.clone(), seed, ..backend::Options::default() };
        Some(backend::start(options).context("failed to start the embedded backend")?)
    } else {
        None
    };
    let mut profile = loaded.target.profile.clone();
    if let Some(backend) = &backend {
        lead_to(&mut profile, backend);
    }
    let plan = plan(scenario, seed, execution, invocation.threads, invocation.only);
    let net = invocation.way.net(invocation.tls);
    let expect = Arc::new(load::among(loaded.expectations(), plan.participants()));
    let shared = shared(&profile, invocation.variables);
    let local = loaded.target.loopback;
    let rate = profile.limits.rate;
    let mut mission = Mission {
        scenario: scenario.clone(),
        expect: Arc::clone(&expect),
        plan,
        shared: Arc::new(shared),
        places: Places::of(&scenario.load.exposure, scenario.users.count),
        password: loaded.password.as_ref().map(|password| match password {
            PasswordValue::Text(text) => text.clone(),
            // Where the reference to it stood does not matter any more: it was followed.
            PasswordValue::Secret(secret) => Text::literal(secret.expose(), profile.socket.span),
        }),
        people: loaded.people.clone(),
        user_agent: user_agent(execution),
        stop: invocation.signals.stop.clone(),
        // A clock that sets the pace was held against the rate beforehand.
        iterations: match local || scenario.load.open().is_some() {
            true => Limiter::off(),
            false => Limiter::new(None, Some(rate.per_second())),
        },
        logins: if local {
            Limiter::new(Some(DIALS_IN_FLIGHT), None)
        } else {
            Limiter::new(Some(defaults::LOGINS_IN_FLIGHT as usize), Some(defaults::LOGINS_PER_SECOND.into()))
        },
        connects: Limiter::new(Some(if local { DIALS_IN_FLIGHT } else { defaults::LOGINS_IN_FLIGHT as usize }), None),
        secrets: RwLock::new(Scrubber::new()),
        tapes: None,
        ended: OnceLock::new(),
        endless: OnceLock::new(),
        may_lock: local || invocation.options.allow_lockout,
        failing: AtomicU64::new(0),
        progress: engine::Progress::default(),
        held_off_us: AtomicU64::new(0),
        asks: invocation.visit.is_none_or(|visit| visit.asks),
        tries_refresh: invocation.visit.is_some(),
        profile,
    };
    let mut circumstances = context(loaded, invocation, &mission, &net);
    let folder = (invocation.folder)(&scenario.name, &circumstances.execution);
    let recording = invocation.record.keep().map(|keep| {
        let participants = mission.plan.participants();
        let header = Header::new(loaded, invocation.sources, circumstances.clone(), participants, keep);
        Recording::create(&folder, keep, &header)
    });
    let (recording, not_made) = match recording.transpose() {
        Ok(recording) => (recording, Ok(())),
        Err(error) => (None, Err(error)),
    };
    mission.tapes = recording.as_ref().map(Recording::tapes);
    if let Some(visit) = invocation.visit {
        mission.tapes = Some(Arc::clone(&visit.tapes));
    }
    let hooks = Hooks { parking: clock::parking, woken: clock::woken };
    let every = invocation.every.or(scenario.load.intervals);
    let intervals = every.filter(|_| invocation.visit.is_none()).map(|every| Intervals::create(&folder, every));
    let (intervals, not_made) = match intervals.transpose() {
        Ok(intervals) => (intervals, not_made),
        Err(error) => (None, not_made.and(Err(error))),
    };
    let watch = Watch { mission: &mission, clock: net.clock, local, quiet: invocation.quiet };
    let ((judgement, broke), seen) = watch.while_working(intervals, || drive_all(&mission, &net, hooks));
    let duration = net.clock.now();
    if let Some(backend) = backend {
        backend.stop();
    }
    let broke: Vec<String> = broke.iter().map(|failure| failure.to_string()).collect();
    let interrupted = invocation.signals.signalled();
    let today = day(circumstances.execution.began_unix_us);
    let mut conclusion = conclude(judgement, &expect, interrupted, today);
    if !broke.is_empty() {
        conclusion.outcome = check::Outcome::Broke;
    }
    circumstances.execution.duration_us = duration.0;
    circumstances.execution.interrupted = interrupted;
    circumstances.clock = which_clock(net.unstamped.load(Ordering::Relaxed), conclusion.judgement.instrument.latest);
    circumstances.machine = seen.machine;
    circumstances.target.build = build(&mission.shared);
    circumstances.waits = waits(&mission, conclusion.judgement.counts.quiets);
    let roots = net.tls.roots_in_use().map(|roots| format!("certificates are checked against {roots}"));
    let faults: Vec<String> = loaded.target.faults.iter().map(ToString::to_string).collect();
    let faulty =
        (!faults.is_empty()).then(|| format!("the embedded backend misbehaves on purpose: {}", faults.join(", ")));
    let ended = mission.ended.get().map(|why| format!("the work was ended before all of it was done: {why}"));
    let endless = mission.endless.get().map(|name| {
        format!("{name} is no JSON Web Token and does not say when it ends, so that sessions are not refreshed")
    });
    let unchecked = invocation.trust.unchecked() && roots.is_some();
    let warning = unchecked.then(|| "--insecure: WHO THE TARGET IS WAS NOT CHECKED".to_owned());
    let runs = conclusion.judgement.counts.runs;
    let cost = loaded
        .target
        .profile
        .cost
        .as_ref()
        .map(|cost| format!("{} at {} cost {}", counted(runs, "run"), cost.per_run, cost.per_run.times(runs)));
    circumstances.notes = broke
        .into_iter()
        .chain(warning)
        .chain(ended)
        .chain(faulty)
        .chain(cost)
        .chain(roots)
        .chain(invocation.way.notes(&net))
        .chain(endless)
        .collect();
    circumstances.recording =
        recording.as_ref().map(|recording| recording_of(recording.path(), recording.tapes().left_out()));
    let report = Report::new(&conclusion, circumstances);
    let recorded = not_made.and_then(|()| recording.map_or(Ok(()), |recording| recording.end(&report)));
    let recorded = recorded.and(seen.told);
    Ok(Executed { report, folder, recorded })
}

/// Makes the target ready and drives every user, on as many threads as planned. What threads that broke had seen is lost; the
/// others' is kept.
fn drive_all(mission: &Mission, net: &Net, hooks: Hooks) -> (Judgement, Vec<ShardFailure>) {
    let readied = engine::run_shards(vec![()], hooks, async |_, ()| {
        let bench = bench(mission, net, READINESS);
        let ready = make_ready(&bench).await;
        (ready, bench.finish())
    });
    let mut judgement = Judgement::default();
    let mut broke = Vec::new();
    for result in readied {
        match result {
            Ok((true, part)) => judgement = judgement.merge(part),
            Ok((false, part)) => return (judgement.merge(part), broke),
            Err(failure) => return (judgement, vec![failure]),
        }
    }
    let plan = &mission.plan;
    let mut divided = plan.shards();
    let probes = mission.expect.claims.doors.is_some();
    if probes {
        two_together(&mut divided);
    }
    let counts = || divided.iter().map(Vec::len);
    // Beside those of the users one for each thread's clock; and those at which who only listens waits for the others.
    let seats = start_gate(counts().map(|users| users + 1), &mission.stop);
    let ends = start_gate(counts(), &mission.stop);
    let mut shards = Vec::new();
    // Closed when every thread's users are done; the first thread waits for it with its probes.
    let (working, worked) = mpsc::channel::<()>(1);
    let mut worked = Some(worked).filter(|_| probes);
    for (users, (mut seats, ends)) in divided.into_iter().zip(seats.into_iter().zip(ends)) {
        let clock = seats.pop();
        let users = users.into_iter().zip(seats.into_iter().zip(ends)).collect();
        shards.push(Share { clock, users, working: working.clone(), worked: worked.take() });
    }
    drop(working);
    let count = shards.len() as u32;
    let results = engine::run_shards(shards, hooks, async |shard: ShardContext, share: Share| {
        let Share { clock, users, working, worked } = share;
        let bench = bench(mission, net, READINESS + 1 + shard.index as u32);
        let desk = Desk::open();
        let serving = async {
            // A closed workload has no clock to wait for.
            if let (Some(seat), None) = (clock, plan.iterations()) {
                seat.arrive().await;
            }
            let began = net.clock.instant_of(net.clock.now());
            let arrivals = plan.arrivals(shard.index, shard.count);
            desk.serve(arrivals, began, &mission.stop, |scheduled| bench.dropped(scheduled)).await;
        };
        let asking = users.iter().filter(|(user, _)| user.listens.is_none()).map(|(user, _)| user.number);
        let pair = if worked.is_some() { pair_of(mission, asking) } else { None };
        let driving = users.into_iter().map(|(user, (seat, end))| {
            let (bench, desk, pair) = (&bench, &desk, &pair);
            async move {
                let turns = match plan.iterations() {
                    _ if user.listens.is_some() => {
                        // Few do; kept in place, it would take its room from every user.
                        Box::pin(listen(bench, user, seat, end)).await;
                        return None;
                    }
                    Some(iterations) => {
                        let pause = move |nth| plan.pause(user.number, Iteration(nth));
                        Turns::closed(iterations, pause, &mission.stop)
                    }
                    None => Turns::open(desk, &mission.stop),
                };
                let (user, walked) = drive(bench, user, seat, turns).await;
                drop(end);
                // Only who will be needed is kept.
                if pair.is_some_and(|pair| pair.contains(&user.number())) {
                    return Some((user, walked));
                }
                bench.judge.borrow_mut().leave(user.number());
                None
            }
        });
        let driving = engine::all_together(driving);
        let working = async {
            let ((), mut driven) = tokio::join!(serving, driving);
            drop(working);
            let Some(mut worked) = worked else { return };
            tokio::select! {
                _ = worked.recv() => {}
                () = mission.stop.reached(Level::Drain) => return,
            }
            driven.sort_by_key(|(user, _)| user.number());
            if let (Some(intruder), Some(victim)) = (driven.pop(), driven.pop()) {
                // Two users are large.
                Box::pin(knock_at_doors(&bench, victim, intruder)).await;
            }
        };
        let (pulse, computed) = (Pulse::default(), Cell::new(kernel::computed(kernel::Of::Thread)));
        let told = || {
            let Felt { lasted, late, latest } = pulse.take();
            let lag = bench.judge.borrow().so_far().instrument.since_pulse().lag;
            let now = kernel::computed(kernel::Of::Thread);
            let cpu = now.zip(computed.replace(now)).map(|(now, before)| now - before);
            let computing = cpu.unwrap_or(Micros::ZERO);
            mission.progress.felt(engine::Fared { observed: lasted, late, computing, latest, lag });
            bench.tell_all(Fact::Pulse { at: net.clock.now(), lasted, late, latest, cpu });
        };
        let telling = async {
            let mut second = tokio::time::interval(FLUSHED);
            second.tick().await;
            loop {
                second.tick().await;
                told();
                bench.flush();
            }
        };
        tokio::select! {
            () = working => {}
            () = telling => {}
            () = pulse.feel() => {}
        }
        told();
        bench.finish()
    });
    let parts = results.into_iter().filter_map(|result| result.map_err(|failure| broke.push(failure)).ok());
    if let Some(users) = parts.reduce(Judgement::merge) {
        // What little the readiness brought goes to what the users did.
        judgement = users.merge(judgement);
    }
    let over = net.clock.now();
    if plan.load.deadline.as_ref().is_some_and(|deadline| over.since(Stamp::ZERO) > deadline.after) {
        let bench = bench(mission, net, READINESS + 1 + count);
        bench.tell_all(Fact::Overdue { at: over });
        judgement = judgement.merge(bench.finish());
    }
    (judgement, broke)
}

/// What one thread does.
struct Share {
    /// The place of its clock at the common start.
    clock: Option<Seat>,
    /// Its users, each with its places at the common start and where all meet who are done.
    users: Vec<(PlannedUser, (Seat, Seat))>,
    /// Dropped when they are done.
    working: mpsc::Sender<()>,
    /// Of the thread that has probes: closed when the users of all threads are done.
    worked: Option<mpsc::Receiver<()>>,
}

/// Puts two users on the first thread, of whom one knocks at doors beside the other.
fn two_together(shards: &mut Vec<Vec<PlannedUser>>) {
    let asks = |user: &PlannedUser| user.listens.is_none();
    if let [first, second, ..] = &mut shards[..]
        && first.iter().filter(|user| asks(user)).count() < 2
        && let Some(other) = second.iter().position(asks)
    {
        first.push(second.remove(other));
    }
    shards.retain(|shard| !shard.is_empty());
}

/// Of some users two who are another to one another.
fn pair_of(mission: &Mission, mut users: impl Iterator<Item = UserNumber>) -> Option<[UserNumber; 2]> {
    let group = |user: UserNumber| match mission.expect.claims.between {
        Between::Users => None,
        Between::Groups => mission.people.as_ref().and_then(|people| people.group(user)),
    };
    let first = users.next()?;
    let other = users.find(|user| group(*user).is_none() || group(*user) != group(first))?;
    Some([first, other])
}

/// What the target said of its build while it became ready.
fn build(shared: &Shared) -> Option<String> {
    let captured = shared.captured.get()?;
    let build = captured.get("build").or_else(|| captured.get("version"))?;
    Some(build.as_str().map_or_else(|| build.to_string(), str::to_owned))
}

/// A process that is killed loses what it observed within so much time.
const FLUSHED: Duration = Duration::from_secs(1);

/// The tape of what precedes all users; those of the threads follow.
const READINESS: u32 = 0;

fn bench<'a>(mission: &'a Mission, net: &Net, tape: u32) -> Bench<'a> {
    Bench {
        mission,
        net: net.clone(),
        http: Http::new(net, mission.expect.timeouts.connect),
        urls: Urls::default(),
        judge: RefCell::new(Judge::new(Arc::clone(&mission.expect), mission.plan.execution)),
        failing: Cell::new(0),
        watched: Cell::default(),
        found: RefCell::new([0; Rule::ALL.len()]),
        recorder: mission.tapes.as_ref().map(|tapes| RefCell::new(Recorder::new(Arc::clone(tapes), tape))),
    }
}

/// The profile's addresses become those of a backend whose port the system picked.
pub fn lead_to(profile: &mut Profile, backend: &Running) {
    if let Some(http) = &mut profile.http {
        http.base = Text::literal(&backend.http_url(), http.base.span);
    }
    profile.socket = Text::literal(&backend.socket_url(), profile.socket.span);
}

/// Addresses as far as they are the same for all users.
pub fn shared(profile: &Profile, variables: &Variables) -> Shared {
    let mut shared = Shared { variables: variables.clone(), ..Shared::default() };
    let fill = |name: &str| {
        let value = variables.get(name.strip_prefix("env.")?)?;
        Some(value.as_str().into())
    };
    let base = profile.http.as_ref().and_then(|http| http.base.render(&fill).ok());
    shared.http = base.map(|base| base.trim_end_matches('/').to_owned()).unwrap_or_default();
    shared.socket = profile.socket.render(&fill).unwrap_or_default();
    shared
}

fn random() -> anyhow::Result<u64> {
    SysRng.try_next_u64().context("the system has no randomness")
}

/// No word of it makes a backend think that this is not real.
fn user_agent(execution: ExecutionId) -> String {
    format!("goldenpath/{} (execution {execution})", env!("CARGO_PKG_VERSION"))
}

fn began(unix_us: u64) -> Result<Timestamp, jiff::Error> {
    Timestamp::from_microsecond(i64::try_from(unix_us).unwrap_or(i64::MAX))
}

/// The day (UTC) by which known issues expire, of an execution that began then (microseconds since the Unix epoch).
pub fn day(began_unix_us: u64) -> Option<Date> {
    let date = began(began_unix_us).ok()?.to_zoned(jiff::tz::TimeZone::UTC).date();
    let unsigned = |part: i8| u8::try_from(part).ok();
    Date::new(u16::try_from(date.year()).ok()?, unsigned(date.month())?, unsigned(date.day())?)
}

/// This program.
pub fn tool() -> report::Tool {
    report::Tool {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
    }
}

/// Time that belongs to no segment.
fn waits(mission: &Mission, quiets: u64) -> Vec<report::Wait> {
    let held_off_us = mission.held_off_us.load(Ordering::Relaxed);
    let mut waits = Vec::new();
    if quiets > 0 {
        let what = "quiet time after runs, of all users together".to_owned();
        let total_us = quiets.saturating_mul(mission.expect.timeouts.quiet.0);
        waits.push(report::Wait { what, times: quiets, total_us });
    }
    if held_off_us > 0 {
        let what = "waits that the target asked for (429 or 503 with Retry-After)".to_owned();
        waits.push(report::Wait { what, times: 1, total_us: held_off_us });
    }
    waits
}

/// Whose stamps arrivals carry, where so many reads had none of the kernel's, and timers were so late.
fn which_clock(unstamped: u64, late: Micros) -> report::Clock {
    let (kind, mut statement) = match kernel::STAMPS {
        true => (report::WhichClock::Kernel, "a frame arrived when the kernel received the last of it".to_owned()),
        false => (report::WhichClock::Read, "a frame arrived when the harness read it".to_owned()),
    };
    if unstamped > 0 {
        statement.push_str(&format!("; {} had no stamp and count as arrived when read", counted(unstamped, "read")));
    }
    // Whatever waits for the thread waits as long as its timers do.
    let bound = late + Pulse::TICK;
    statement.push_str(&format!("; an answer over HTTP arrived when it was read, up to {bound} late"));
    report::Clock { kind, statement }
}

/// The circumstances of an execution, as far as they are known before it.
fn context(loaded: &Loaded, invocation: &Invocation<'_>, mission: &Mission, net: &Net) -> report::Context {
    let (scenario, plan) = (&mission.scenario, &mission.plan);
    let began_unix_us = net.clock.wall(Stamp::ZERO);
    let non_empty = |text: &String| (!text.is_empty()).then(|| text.clone());
    report::Context {
        tool: tool(),
        execution: report::Execution {
            id: plan.execution,
            seed: plan.seed,
            began: began(began_unix_us).map(|began| format!("{began:.6}")).unwrap_or_default(),
            began_unix_us,
            duration_us: 0,
            interrupted: false,
            threads: invocation.threads,
            command: command(loaded, invocation, plan),
        },
        scenario: report::Scenario {
            name: scenario.name.clone(),
            file: Some(loaded.path.display().to_string()),
            tags: scenario.tags.clone(),
            users: plan.users.into(),
            first: plan.first,
            iterations: plan.iterations().map(|all| u64::from(all - plan.load.warm_up)),
            session: match scenario.users.session {
                Session::Fresh => report::Session::Fresh,
                Session::Keep => report::Session::Keep,
            },
            only_users: plan.only.clone(),
        },
        target: report::Target {
            name: mission.profile.name.clone(),
            profile: invocation.sources.get(loaded.target.source).name().to_owned(),
            http: non_empty(&mission.shared.http),
            socket: non_empty(&mission.shared.socket),
            embedded: loaded.target.embedded,
            build: None,
        },
        clock: which_clock(0, Micros::ZERO),
        machine: report::Machine::default(),
        waits: Vec::new(),
        notes: Vec::new(),
        recording: None,
    }
}

/// The command that does the same again: same overrides and seed; ids are new, for targets remember.
fn command(loaded: &Loaded, invocation: &Invocation<'_>, plan: &Plan) -> String {
    let overrides = &invocation.options.overrides;
    let mut words = vec!["goldenpath".to_owned(), "run".to_owned(), quoted(&loaded.path.display().to_string())];
    let mut flag = |name: &str, value: &Option<String>| {
        if let Some(value) = value {
            words.extend([name.to_owned(), quoted(value)]);
        }
    };
    flag("--env", &overrides.env);
    overrides.set.iter().for_each(|set| flag("--set", &Some(without_password(set))));
    flag("--target", &overrides.target);
    flag("--url", &overrides.url);
    overrides.fault.iter().for_each(|fault| flag("--fault", &Some(fault.clone())));
    flag("--users", &overrides.users);
    let only: Vec<String> = plan.only.iter().map(UserNumber::to_string).collect();
    flag("--only-users", &(!only.is_empty()).then(|| only.join(",")));
    flag("--threads", &(invocation.threads > 1).then(|| invocation.threads.to_string()));
    flag("--seed", &Some(plan.seed.to_string()));
    words.extend(invocation.trust.words());
    words.extend(invocation.way.words());
    words.join(" ")
}

/// A `--set` as reports may hold it: a password that was typed stays with whoever typed it.
pub fn without_password(set: &str) -> String {
    match set.split_once('=') {
        Some((path, value))
            if path.ends_with("password") || path.ends_with("on_loopback") || value.contains("password") =>
        {
            format!("{path}=(hidden)")
        }
        _ => set.to_owned(),
    }
}

/// As a POSIX shell reads it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
