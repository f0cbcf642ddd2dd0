//! One virtual user: logs in, connects, asks, listens until the judge has seen enough, cleans up.
//!
//! What to do next is the judge's to say (`check::Move`); this does it, tells what it did and hands on what it hears, in the
//! order in which it happened. Nothing is decided here but how long one write or request may take.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use serde_json::Value as Json;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::Net;
use super::cookies::Jar;
use super::exposed::{Place, Places};
use super::http::Http;
use super::line::{GOOD_BYE, Line, Watched, rendered};
use super::probe::{Hold, Opening};
use super::recorder::{Recorder, Tapes};
use super::renewal::Renewal;
use super::steps::{ANSWER, Captured, Performed, Requester, can, found, marks_of, scrubbed, told, words_of};
use super::transport::{self, DialRequest};
use super::urls::Urls;
use super::values::{Shared, Values};
use crate::canary::Canary;
use crate::check::{EMAIL, Judge, Judgement, Move};
use crate::document::text::Text;
use crate::engine::{Level, Limiter, Opened, Progress, Seat, Stage, Stop, Turn, Turns};
use crate::expect::{Between, Expectations, IdRole, IdSource};
use crate::identity::{Connection, Iteration, UserNumber};
use crate::plan::{Plan, PlannedUser};
use crate::rule::{Concern, Rule};
use crate::scenario::load::Ends;
use crate::scenario::people::People;
use crate::scenario::{Scenario, Session};
use crate::secret::Scrubber;
use crate::target::{Ask, Connect, Echo, Profile, ScriptStep, Step};
use crate::time::{Micros, Stamp};
use crate::trace::{Dial, Fact, NetFailure, Observed, Phase, StepOutcome};

/// What all users of an execution share, on every thread.
#[derive(Debug)]
pub struct Mission {
    /// What users do.
    pub scenario: Scenario,
    /// How the target is used.
    pub profile: Profile,
    /// What must hold.
    pub expect: Arc<Expectations>,
    /// What was decided beforehand.
    pub plan: Plan,
    /// Values that are the same for all users.
    pub shared: Arc<Shared>,
    /// Where users take turns to be connected, if they do.
    pub places: Places,
    /// The users' password, followed to where it is.
    pub password: Option<Text>,
    /// The rows of users who stand in a file.
    pub people: Option<People>,
    /// The `User-Agent` of every request and upgrade that the profile gives none.
    pub user_agent: String,
    /// Told to stop.
    pub stop: Stop,
    /// Limits how fast iterations begin.
    pub iterations: Limiter,
    /// Limits logins.
    pub logins: Limiter,
    /// Limits connects.
    pub connects: Limiter,
    /// Every secret that is known, for all threads: what leaks may be another thread's.
    pub secrets: RwLock<Scrubber>,
    /// Where what the judges are told is recorded, if it is.
    pub tapes: Option<Arc<Tapes>>,
    /// Why the work ended before all of it was done, where that was asked for.
    pub ended: OnceLock<String>,
    /// The name of a captured value that was to say when sessions end and is no token that could.
    pub endless: OnceLock<String>,
    /// Probes may do what targets may lock accounts out for.
    pub may_lock: bool,
    /// Failing findings so far, of all threads.
    pub failing: AtomicU64,
    /// Users ask; else they leave as soon as they might.
    pub asks: bool,
    /// Sessions are refreshed when everything else is done, to see whether they can be.
    pub tries_refresh: bool,
    /// For somebody who watches.
    pub progress: Progress,
    /// Microseconds that users waited because the target asked for it (429 or 503 with `Retry-After`), all together.
    pub held_off_us: AtomicU64,
}

impl Mission {
    /// Lets nobody begin any more, as the scenario asks. The first reason counts.
    pub fn end_early(&self, why: &str) {
        if self.stop.level() == Level::Run {
            self.ended.get_or_init(|| why.to_owned());
        }
        self.stop.raise_to(Level::Drain);
    }
}

/// What the users of one thread share.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The whole.
    pub mission: &'a Mission,
    /// This thread's connections.
    pub net: Net,
    /// This thread's HTTP client.
    pub http: Http,
    /// The addresses that this thread's users go to.
    pub urls: Urls,
    /// This thread's judge.
    pub judge: RefCell<Judge>,
    /// This thread's tape: what its judge is told.
    pub recorder: Option<RefCell<Recorder>>,
    /// Failing findings of this thread that are counted with those of all.
    pub failing: Cell<u64>,
    /// What this thread's judge had seen when that was last looked at.
    pub watched: Cell<Watched>,
    /// How often this thread found each rule, in the catalogue's order, as far as that is counted with those of all.
    pub found: RefCell<[u64; Rule::ALL.len()]>,
}

/// Does the `ready` steps, once and for all users, and shares what they captured. Says whether the target became ready.
pub async fn make_ready(bench: &Bench<'_>) -> bool {
    let mission = bench.mission;
    // Ready steps have no user; only the names that are the same for all of them are allowed in them.
    let nobody = PlannedUser::new(0, UserNumber(0));
    let ids = mission.plan.ids(nobody.number);
    let values = &mut Values::new(Arc::clone(&mission.shared), bench.net.clock, ids, nobody);
    let headers = Trace::new(values).headers(mission);
    let jar = Jar::default();
    let requester = bench.requester(&headers, &jar);
    let mut all = BTreeMap::new();
    for step in &mission.profile.ready {
        let performing = requester.perform(step, Phase::Ready, values);
        let performed = tokio::select! {
            performed = performing => performed,
            () = mission.stop.reached(Level::Drain) => return false,
        };
        for captured in performed.captured {
            bench.guard(&captured, None);
            values.set(&captured.name, captured.value.clone());
            all.insert(captured.name, captured.value);
        }
        let fact = scrubbed(performed.fact, &bench.scrubber());
        let good = succeeded(&fact);
        let at = fact.at();
        bench.tell_all(fact);
        let any = mission.plan.canary(nobody.number, Iteration(0));
        let found = found(&step.name, (&performed.marks, performed.words), any, &bench.scrubber(), at);
        found.for_each(|fact| bench.tell_all(fact));
        if !good {
            return false;
        }
    }
    mission.shared.captured.set(all).is_ok()
}

/// Walks `planned` through all its `turns`. `seat` is its place at the common start. Says how many iterations that were.
pub async fn drive<'a>(
    bench: &'a Bench<'a>,
    planned: PlannedUser,
    seat: Seat,
    mut turns: Turns<'_>,
) -> (User<'a>, u32) {
    let mut last = 0;
    let mut user = User::new(bench, planned, seat);
    if !bench.mission.plan.load.starts_together() {
        // Whoever waits for all, as an open load's clock does, does not wait for this one any more.
        user.seat = None;
    }
    while let Some(turn) = user.wait_for(&mut turns).await {
        user.renew_between().await;
        bench.mission.iterations.enter().await;
        last = turn.nth;
        user.iterate(turn, false).await;
        bench.mission.progress.iterated(user.number);
    }
    user.listen_out().await;
    user.line.hang_up(&user.values).await;
    (user, last)
}

impl<'a> Bench<'a> {
    pub(super) fn learn(&self, secret: &str, name: &str, user: Option<u32>) {
        self.mission.secrets.write().unwrap_or_else(PoisonError::into_inner).learn(secret, name, user);
    }

    /// Learns a captured value that must not be shown.
    pub(super) fn guard(&self, captured: &Captured, user: Option<u32>) {
        if captured.secret {
            captured.spellings().iter().for_each(|spelling| self.learn(spelling, &captured.name, user));
        }
    }

    pub(super) fn scrubber(&self) -> RwLockReadGuard<'_, Scrubber> {
        self.mission.secrets.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record(&self, user: Option<UserNumber>, observed: &Observed<'_>) {
        if let Some(recorder) = &self.recorder {
            let mut recorder = recorder.borrow_mut();
            recorder.note(user, observed);
            recorder.alarm(self.judge.borrow_mut().take_alarms());
        }
    }

    /// Tells the judge and the recorder what concerns no user in particular.
    pub fn tell_all(&self, fact: Fact) {
        self.judge.borrow_mut().for_all(&fact);
        self.record(None, &Observed::Fact(fact));
    }

    /// An arrival found no free user.
    pub fn dropped(&self, scheduled: Instant) {
        let clock = self.net.clock;
        self.mission.progress.note(Stage::Dropped);
        self.tell_all(Fact::Dropped { scheduled: clock.stamp_of(scheduled), at: clock.now() });
    }

    /// Counts by rule what was found since this was last done. Marks are findings of their own until the whole says how they came.
    pub(super) fn count_findings(&self, judge: &Judge) {
        let seen = judge.so_far();
        let mut counted = self.found.borrow_mut();
        for (rule, counted) in Rule::ALL.iter().zip(counted.iter_mut()) {
            let marks = if *rule == Rule::ForeignCanary { seen.ledger.marks.len() as u64 } else { 0 };
            let found = seen.findings.count(*rule) + marks;
            let new = found.saturating_sub(std::mem::replace(counted, found));
            if new > 0 {
                self.mission.progress.findings(*rule, new);
            }
        }
    }

    /// Ends the work if what was found is what is to end it. A known issue and what only the whole shows end nothing.
    pub(super) fn end_on_findings(&self, judge: &Judge) {
        const CONCERNS: [Concern; 5] =
            [Concern::Setup, Concern::Transport, Concern::Events, Concern::Answer, Concern::Isolation];
        let Ends { on, findings, .. } = &self.mission.plan.load.ends;
        if on.is_empty() && findings.is_none() {
            return;
        }
        if let Some(concern) = on.iter().find(|concern| judge.failing(**concern) > 0) {
            self.mission.end_early(&format!("a finding about {} was to end it", concern.name()));
        }
        let failing = CONCERNS.iter().map(|concern| judge.failing(*concern)).sum();
        let new = failing - self.failing.replace(failing);
        let all = new + self.mission.failing.fetch_add(new, Ordering::Relaxed);
        if findings.is_some_and(|most| all >= most) {
            self.mission.end_early(&format!("{all} findings were to end it"));
        }
    }

    /// Hands on what was recorded so far.
    pub fn flush(&self) {
        if let Some(recorder) = &self.recorder {
            recorder.borrow_mut().flush();
        }
    }

    /// What was judged; what was recorded is handed on.
    pub fn finish(self) -> Judgement {
        if let Some(recorder) = self.recorder {
            recorder.into_inner().finish();
        }
        self.judge.into_inner().finish()
    }

    pub(super) fn requester(&'a self, headers: &'a [(String, String)], jar: &'a Jar) -> Requester<'a> {
        Requester {
            net: &self.net,
            http: &self.http,
            urls: &self.urls,
            profile: &self.mission.profile,
            base: &self.mission.shared.http,
            headers,
            jar,
            timeout: self.mission.expect.timeouts.connect,
        }
    }
}

/// One user and all it has.
pub struct User<'a> {
    pub(super) bench: &'a Bench<'a>,
    /// Counted from 0.
    pub(super) index: u32,
    pub(super) number: UserNumber,
    pub(super) line: Line<'a>,
    pub(super) values: Values,
    pub(super) seat: Option<Seat>,
    /// It never asks.
    pub(super) listens: bool,
    /// Which of the scenario's personas it is.
    persona: Option<usize>,
    /// The place of its pair, while it is connected.
    pub(super) place: Option<Place>,
    /// When the connection was upgraded.
    pub(super) upgraded: Stamp,
    /// The turn that the connection was made for; 0 at the beginning of an iteration.
    resumed: u32,
    /// The login steps of this session succeeded.
    pub(super) logged_in: bool,
    /// What the last login, preparation and script captured, to be forgotten by the next.
    captured: Vec<String>,
    /// Headers of every request and upgrade of this iteration.
    trace: Trace,
    /// The cookies of this session.
    pub(super) jar: Jar,
    /// When this session is to be refreshed.
    pub(super) renewal: Renewal,
    /// Where another waits for this one's run, and this one for him.
    pub(super) hold: Option<Rc<Hold>>,
    /// What the connection is opened with, where it is not what the profile says.
    pub(super) opening: Option<Opening>,
    /// Values that asks take in place of the own ones.
    pub(super) borrowed: Vec<(String, Json)>,
    /// This iteration warms the target up.
    warms_up: bool,
    /// What is asked belongs to no iteration.
    pub(super) at_door: bool,
}

impl std::fmt::Debug for User<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "User({})", self.number)
    }
}

impl<'a> User<'a> {
    /// Which.
    pub fn number(&self) -> UserNumber {
        self.number
    }

    pub(super) fn new(bench: &'a Bench<'a>, planned: PlannedUser, seat: Seat) -> User<'a> {
        let mission = bench.mission;
        let ids = mission.plan.ids(planned.number);
        let mut values = Values::new(Arc::clone(&mission.shared), bench.net.clock, ids, planned);
        for (column, value, secret) in mission.people.iter().flat_map(|people| people.of(planned.person())) {
            let column = Captured { name: column.to_owned(), value: value.clone(), secret };
            bench.guard(&column, Some(planned.person().0));
            values.set(&format!("user.{}", column.name), column.value);
        }
        let credentials = [(EMAIL, &mission.scenario.users.email), ("user.password", &mission.password)];
        for (name, text) in credentials {
            let rendered = text.as_ref().and_then(|text| text.render(&|name| values.get(name)).ok());
            if let Some(rendered) = rendered {
                values.set(name, rendered);
            }
        }
        if let Some(password) = values.get("user.password")
            && let Some(password) = password.as_str()
        {
            bench.learn(password, "password", Some(planned.person().0));
        }
        User {
            bench,
            index: planned.index,
            number: planned.number,
            listens: planned.listens.is_some(),
            persona: mission.plan.persona(planned.number),
            place: None,
            upgraded: Stamp::ZERO,
            values,
            line: Line::new(bench, planned.number),
            seat: Some(seat),
            resumed: 0,
            logged_in: false,
            captured: Vec::new(),
            trace: Trace::default(),
            jar: Jar::default(),
            renewal: Renewal::default(),
            hold: None,
            opening: None,
            borrowed: Vec::new(),
            warms_up: false,
            at_door: false,
        }
    }

    /// Waits for the next turn, and listens meanwhile where a connection stands.
    async fn wait_for(&mut self, turns: &mut Turns<'_>) -> Option<Turn> {
        loop {
            tokio::select! {
                biased;
                turn = turns.next() => return turn,
                () = self.renewal_due(true), if self.keeps() && !self.line.dead => self.renew_between().await,
                () = self.line.listen() => {}
            }
            while let Move::Reply(rule) = self.line.next_move() {
                self.line.reply(rule, &self.values).await;
            }
        }
    }

    /// Listens and answers until something else is done.
    pub(super) async fn listen_until(&mut self, other: impl Future<Output = ()>) {
        let (mut other, mut done) = (pin!(other), false);
        while !done {
            tokio::select! {
                biased;
                () = &mut other => return,
                () = self.line.listen(), if !self.line.dead => {}
            }
            while let Move::Reply(rule) = self.line.next_move() {
                beside(other.as_mut(), &mut done, pin!(self.line.reply(rule, &self.values))).await;
            }
        }
    }

    /// Listens for what may come late after the last run.
    async fn listen_out(&mut self) {
        let stop = &self.bench.mission.stop;
        let listening = async {
            while self.line.socket.is_some() && self.bench.judge.borrow().lingers(self.number) {
                self.line.listen().await;
            }
        };
        tokio::select! {
            () = listening => {}
            () = stop.reached(Level::Cut) => {}
        }
    }

    /// Walks one iteration. `apart`: it is no part of the load, and has a session of its own.
    pub(super) async fn iterate(&mut self, turn: Turn, apart: bool) {
        let mission = self.bench.mission;
        let keeps = self.keeps() && !apart;
        self.warms_up = !apart && mission.plan.warms_up(turn.nth);
        if !keeps {
            self.is_fresh();
        }
        if !keeps || self.line.dead || self.has_lapsed() {
            self.line.hang_up(&self.values).await;
        }
        let (iteration, at, fresh) = (Iteration(turn.nth), self.line.now(), self.line.socket.is_none());
        let scheduled = turn.scheduled.map_or(at, |scheduled| self.bench.net.clock.stamp_of(scheduled));
        self.line.tell(Fact::Began { iteration, scheduled, at, fresh, apart });
        if mission.expect.claims.between == Between::Groups
            && let Some(group) = mission.people.as_ref().and_then(|people| people.group(self.number))
        {
            self.line.tell(Fact::Grouped { group, at });
        }
        if let Some(persona) = self.persona.and_then(|which| mission.scenario.personas.get(which)) {
            self.line.tell(Fact::Plays { persona: persona.name.clone(), at });
        }
        self.tell_email();
        self.begin(iteration);
        self.resumed = 0;
        let good = self.walk(fresh, (keeps || apart) && turn.more).await;
        if good && self.renew_in_time().await && !mission.profile.after.is_empty() {
            let answer = self.bench.judge.borrow().last_answer(self.number).map(str::to_owned);
            match answer {
                Some(answer) => self.values.set(ANSWER, answer),
                None => self.values.unset(ANSWER),
            }
            self.steps(&mission.profile.after, Phase::After).await;
        }
        // A user that failed before keeps nobody waiting.
        if !self.warms_up {
            self.seat = None;
        }
        if let Some(hold) = self.hold.clone() {
            self.share(&hold);
            hold.run_is_over();
            let stop = &mission.stop;
            let left_or_cut = async {
                tokio::select! {
                    () = hold.wait() => {}
                    () = stop.reached(Level::Cut) => {}
                }
            };
            self.listen_until(left_or_cut).await;
        }
        self.clean_up().await;
        if !keeps {
            self.line.hang_up(&self.values).await;
        }
        self.place = None;
        self.line.tell(Fact::Ended { at: self.line.now() });
    }

    /// The `finally` steps; once the execution was cut, only as far as they get in a moment. A user who never logged in has
    /// left nothing behind and may not ask.
    async fn clean_up(&mut self) {
        if !self.logged_in || !self.renew_in_time().await {
            return;
        }
        let stop = &self.bench.mission.stop;
        let patience = async {
            stop.reached(Level::Cut).await;
            tokio::time::sleep(GOOD_BYE.to_std()).await;
        };
        let cleaning = async {
            if self.bench.mission.tries_refresh {
                self.renew().await;
            }
            for step in &self.bench.mission.profile.finally {
                if can(step, &self.values) {
                    self.step(step, Phase::Finally).await;
                }
            }
        };
        tokio::select! {
            () = cleaning => {}
            () = patience => {}
        }
    }

    /// What each request of this iteration says beside what the profile asks for.
    pub(super) fn headers(&self) -> Vec<(String, String)> {
        self.trace.headers(self.bench.mission)
    }

    /// New names for a new iteration.
    pub(super) fn begin(&mut self, iteration: Iteration) {
        let canary = self.bench.mission.plan.canary(self.number, iteration).encode();
        self.values.set("iteration", iteration.0);
        self.values.set("canary", canary);
        let thread = self.values.uuid();
        self.values.set("thread_id", thread);
        for name in ["run_id", "prompt", "turn"] {
            self.values.unset(name);
        }
        self.trace = Trace::new(&self.values);
    }

    /// From set-up to the last run's end; says whether every run ended well. A cut ends it wherever it is.
    async fn walk(&mut self, fresh: bool, more: bool) -> bool {
        let stop = &self.bench.mission.stop;
        let walked = {
            let walking = pin!(self.walk_on(fresh, more));
            tokio::select! {
                biased;
                good = walking => Some(good),
                () = stop.reached(Level::Cut) => None,
            }
        };
        walked.unwrap_or_else(|| {
            self.line.tell(Fact::Interrupted { at: self.line.now() });
            false
        })
    }

    async fn walk_on(&mut self, fresh: bool, more: bool) -> bool {
        if fresh {
            if !self.set_up().await {
                return false;
            }
            if let Some(after) = self.early() {
                self.ask_early(after).await;
            }
        }
        let exposure = &self.bench.mission.plan.load.exposure;
        loop {
            self.adopt();
            match self.line.next_move() {
                Move::Settled { good } => return good,
                Move::Linger { good } if more && !self.line.dead || exposure.switch => return good,
                next @ (Move::Listen | Move::Linger { .. }) => {
                    let due = self.renewal_due(next != Move::Listen);
                    let due = tokio::select! {
                        biased;
                        () = self.line.listen() => false,
                        () = due => true,
                    };
                    if due {
                        self.renew().await;
                    }
                }
                Move::Reply(rule) => self.line.reply(rule, &self.values).await,
                Move::Script(step) => self.script(step).await,
                Move::Ask(_) if self.must_renew() => {
                    self.renew().await;
                }
                Move::Ask(turn) if self.must_reconnect(turn) => {
                    if !self.reconnect(turn).await {
                        return false;
                    }
                }
                Move::Ask(turn) => {
                    if !self.start_together().await {
                        continue;
                    }
                    if self.bench.mission.stop.level() > Level::Run || !self.bench.mission.asks {
                        self.line.tell(Fact::Interrupted { at: self.line.now() });
                        return false;
                    }
                    // What arrived before the ask was not caused by it.
                    self.line.catch_up(self.line.now()).await;
                    if self.line.next_move() == Move::Ask(turn) {
                        self.ask(turn).await;
                    }
                }
            }
        }
    }

    /// The turn is to be asked on a connection of its own, which does not stand yet.
    fn must_reconnect(&self, turn: u32) -> bool {
        self.is_stale() || self.bench.mission.scenario.turns[turn as usize].reconnect && self.resumed != turn
    }

    /// Iterations go on with the session of the one before.
    pub(super) fn keeps(&self) -> bool {
        self.bench.mission.scenario.users.session == Session::Keep
    }

    /// Listens for what is late, hangs up and connects anew; says whether there is a connection.
    async fn reconnect(&mut self, turn: u32) -> bool {
        while self.bench.judge.borrow().lingers(self.number) && self.line.next_move() == Move::Ask(turn) {
            self.line.listen().await;
        }
        if self.line.next_move() != Move::Ask(turn) {
            return true;
        }
        self.resumed = turn;
        self.line.hang_up(&self.values).await;
        let _pass = self.bench.mission.connects.enter().await;
        self.dial().await
    }

    // Set-up.

    pub(super) async fn set_up(&mut self) -> bool {
        let mission = self.bench.mission;
        if !(self.goes_on() || self.log_in().await)
            || !self.steps(&mission.profile.prepare, Phase::Prepare).await
            || !self.meet().await
        {
            return false;
        }
        let _pass = mission.connects.enter().await;
        self.renew_in_time().await && self.dial().await
    }

    /// A new session; says whether there is one.
    pub(super) async fn log_in(&mut self) -> bool {
        let mission = self.bench.mission;
        for name in std::mem::take(&mut self.captured) {
            self.values.unset(&name);
        }
        self.jar.clear();
        self.renewal = Renewal::default();
        self.logged_in = false;
        self.line.tell_own(&self.values);
        let pass = mission.logins.enter().await;
        if !self.steps(&mission.profile.login, Phase::Login).await {
            return false;
        }
        drop(pass);
        self.logged_in = true;
        mission.progress.add(Stage::LoggedIn, 1);
        true
    }

    /// The cookies that go to the socket.
    pub(super) fn cookies(&self) -> Option<String> {
        let socket = self.bench.mission.profile.socket.render(&|name| self.values.get(name)).ok()?;
        self.jar.header(&self.bench.urls.parse(&socket).ok()?)
    }

    /// Does `steps` until one fails; says whether all succeeded.
    pub(super) async fn steps(&mut self, steps: &[Step], phase: Phase) -> bool {
        for step in steps {
            if !self.step(step, phase).await {
                return false;
            }
        }
        true
    }

    pub(super) async fn step(&mut self, step: &Step, phase: Phase) -> bool {
        let headers = self.headers();
        let requester = self.bench.requester(&headers, &self.jar);
        // A request is larger than what users do otherwise; only who makes one keeps one.
        let performed = Box::pin(requester.perform(step, phase, &self.values)).await;
        self.performed(step, phase, performed)
    }

    /// Keeps what came of a step and tells it; says whether it succeeded.
    pub(super) fn performed(&mut self, step: &Step, phase: Phase, mut performed: Performed) -> bool {
        self.bench.mission.held_off_us.fetch_add(performed.waited.0, Ordering::Relaxed);
        let at = self.line.now();
        for captured in &performed.captured {
            self.bench.guard(captured, Some(self.number.0));
            self.values.set(&captured.name, captured.value.clone());
            if matches!(phase, Phase::Login | Phase::Refresh | Phase::Prepare) {
                self.captured.push(captured.name.clone());
            }
        }
        self.note_expiry(&mut performed.fact, &performed.captured, performed.date_s);
        let fact = scrubbed(performed.fact, &self.bench.scrubber());
        let good = succeeded(&fact);
        self.line.tell(fact);
        // What is taken away afterwards is nobody's business any more.
        let words = if phase == Phase::Finally { Vec::new() } else { performed.words };
        self.tell_captured(&performed.captured, at);
        self.tell_found(&step.name, &performed.marks, words, at);
        if let Some(hold) = &self.hold {
            self.share(hold);
        }
        good
    }

    /// Tells what of others may stand in the answer to `step`.
    fn tell_found(&mut self, step: &str, marks: &BTreeSet<Canary>, words: Vec<String>, at: Stamp) {
        let own = self.bench.mission.plan.canary(self.number, Iteration(0));
        let found = found(step, (marks, words), own, &self.bench.scrubber(), at);
        found.for_each(|fact| self.line.tell(fact));
    }

    fn tell_captured(&mut self, captured: &[Captured], at: Stamp) {
        let facts = told(captured, &self.bench.scrubber(), at);
        for fact in facts {
            self.line.tell(fact);
        }
        self.line.tell_own(&self.values);
    }

    /// Keeps what was taken from frames that the script waited for.
    pub(super) fn adopt(&mut self) {
        let greeted = std::mem::take(&mut self.line.greeted);
        for captured in &greeted {
            self.values.set(&captured.name, captured.value.clone());
            self.captured.push(captured.name.clone());
        }
        if !greeted.is_empty() {
            self.tell_captured(&greeted, self.line.now());
        }
    }

    pub(super) async fn dial(&mut self) -> bool {
        let connection = Connection(self.line.connection.0 + 1);
        self.line.connection = connection;
        let request = match self.dial_request(connection) {
            Ok(request) => request,
            Err(error) => {
                let (begun, done) = (self.line.now(), self.line.now());
                let doing = "preparing the upgrade".to_owned();
                let outcome = Dial::Failed(NetFailure { doing, error, hung: false });
                self.line.tell(Fact::Dialed { connection, begun, done, outcome });
                return false;
            }
        };
        let dialed = Box::pin(transport::dial(&request, &self.bench.net)).await;
        self.jar.keep(&request.url, &dialed.headers);
        let outcome = self.scrub_dial(dialed.outcome);
        self.line.connect(dialed.socket);
        self.is_fresh();
        self.upgraded = dialed.done;
        self.values.restart_counter();
        self.line.tell(Fact::Dialed { connection, begun: dialed.begun, done: dialed.done, outcome });
        let marks = marks_of(&dialed.headers, &[]).collect();
        self.tell_found("upgrade", &marks, words_of(&dialed.headers, ""), dialed.done);
        if self.line.socket.is_some() {
            self.bench.mission.progress.add(Stage::Connected, 1);
        }
        self.line.socket.is_some()
    }

    /// How the connection is opened.
    fn connect(&self) -> &Connect {
        self.opening.as_ref().map_or(&self.bench.mission.profile.connect, |opening| &opening.connect)
    }

    fn dial_request(&self, connection: Connection) -> Result<DialRequest, String> {
        let mission = self.bench.mission;
        let connect = self.connect();
        let render = |text: &Text| {
            let rendered = text.render(&|name| self.values.get(name));
            rendered.map_err(|missing| format!("${{{}}} has no value", missing.name))
        };
        let socket = render(&mission.profile.socket)?;
        let mut url = self.bench.urls.parse(&socket).map_err(|error| format!("{socket} is not a URL: {error}"))?;
        for (name, text) in &connect.query {
            let value = render(text)?;
            url.query_pairs_mut().append_pair(name, &value);
        }
        let mut headers = Vec::new();
        for (name, text) in &connect.headers {
            headers.push((name.clone(), render(text)?));
        }
        let given = |name: &str| connect.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        headers.extend(self.headers().into_iter().filter(|(name, _)| !given(name)));
        if !given("cookie") {
            let own = || self.jar.header(&url);
            let cookies = match &self.opening {
                Some(Opening { cookie: Some(cookie), .. }) => cookie.clone(),
                _ => own(),
            };
            headers.extend(cookies.map(|cookies| ("Cookie".to_owned(), cookies)));
        }
        Ok(DialRequest {
            url,
            headers,
            subprotocols: connect.subprotocols.iter().map(render).collect::<Result<_, _>>()?,
            echo: match connect.echo {
                Echo::Strict => transport::Echo::Strict,
                Echo::Lenient => transport::Echo::Lenient,
            },
            timeout: mission.expect.timeouts.connect,
            max_frame: connect.max_frame,
            connection,
        })
    }

    // On the socket.

    /// Waits until all users are ready to ask for the first time and were held as long as is asked, and goes on listening
    /// meanwhile. Says whether the user may still ask.
    async fn start_together(&mut self) -> bool {
        if self.warms_up {
            return true;
        }
        let Some(seat) = self.seat.take() else { return true };
        let Mission { plan, stop, .. } = self.bench.mission;
        let behind = self.behind();
        let mut gate = pin!(async {
            let held = plan.load.hold + behind;
            if seat.arrive().await == Opened::Together && held > Micros::ZERO {
                tokio::select! {
                    () = sleep(held.to_std()) => {}
                    () = stop.reached(Level::Drain) => {}
                }
            }
        });
        let mut opened = false;
        while !opened {
            tokio::select! {
                biased;
                () = &mut gate => opened = true,
                () = self.renewal_due(true) => {
                    beside(gate.as_mut(), &mut opened, pin!(self.renew_on_the_way())).await;
                }
                () = self.line.listen() => {}
            }
            self.adopt();
            if opened {
                break;
            }
            match self.line.next_move() {
                Move::Reply(rule) => {
                    beside(gate.as_mut(), &mut opened, pin!(self.line.reply(rule, &self.values))).await;
                }
                // A connection that was replaced is greeted anew.
                Move::Script(step) => beside(gate.as_mut(), &mut opened, pin!(self.script(step))).await,
                Move::Ask(_) | Move::Listen => {}
                Move::Linger { .. } | Move::Settled { .. } => return false,
            }
        }
        true
    }

    pub(super) async fn script(&mut self, step: usize) {
        self.values.count_message();
        let Some(ScriptStep::Send(message)) = self.connect().script.get(step) else { return };
        let text = rendered(message, &|name| self.values.get(name));
        self.line.send(self.line.now(), text).await;
    }

    pub(super) async fn ask(&mut self, turn: u32) {
        let mission = self.bench.mission;
        let run = self.values.uuid();
        self.values.set("run_id", run);
        self.values.set("turn", turn + 1);
        for (name, value) in &self.borrowed {
            self.values.set(name, value.clone());
        }
        let prompt = &mission.scenario.asked_by(self.persona)[turn as usize].prompt;
        let said = prompt.render(&|name| self.values.get(name)).unwrap_or_default();
        let prompt = self.bench.scrubber().scrub(&said).into_owned();
        self.values.set("prompt", said);
        let chosen = |role: IdRole, name: &str| {
            let mut rules = mission.expect.ids.iter();
            let sent = rules.any(|rule| rule.role == role && rule.source == IdSource::Chosen);
            self.values.get(name).filter(|_| sent).and_then(|id| id.as_str().map(str::to_owned))
        };
        let (run, thread) = (chosen(IdRole::Run, "run_id"), chosen(IdRole::Thread, "thread_id"));
        self.line.tell_own(&self.values);
        let message = match &mission.profile.ask {
            Ask::Send(message) => {
                self.values.count_message();
                Some(rendered(message, &|name| self.values.get(name)))
            }
            Ask::Step(_) => None,
        };
        let at = self.line.now();
        self.line.tell(Fact::Asked { turn, at, run, thread, prompt });
        if let Some(hold) = &self.hold {
            self.share(hold);
        }
        if !self.at_door {
            mission.progress.asked(self.number, at);
        }
        match (message, &mission.profile.ask) {
            (Some(text), _) => self.line.send(at, text).await,
            (None, Ask::Step(step)) => self.ask_by(step).await,
            (None, Ask::Send(_)) => {}
        }
    }

    /// Asks by a request, and listens meanwhile: events may come before its answer does.
    async fn ask_by(&mut self, step: &Step) {
        // Some targets answer only when the run is over.
        let performed = self.perform_listening(step, Phase::Ask, self.bench.mission.expect.timeouts.run).await;
        self.performed(step, Phase::Ask, performed);
    }

    fn scrub_dial(&self, outcome: Dial) -> Dial {
        let scrubber = self.bench.scrubber();
        let clean = |text: String| scrubber.scrub(&text).into_owned();
        match outcome {
            Dial::Upgraded { subprotocol, echo_fits, echo_strict } => {
                Dial::Upgraded { subprotocol: subprotocol.map(clean), echo_fits, echo_strict }
            }
            Dial::Refused { status, headers, body } => {
                Dial::Refused { status, headers: clean(headers), body: clean(body) }
            }
            Dial::Invalid { why } => Dial::Invalid { why: clean(why) },
            Dial::Failed(NetFailure { doing, error, hung }) => {
                Dial::Failed(NetFailure { doing: clean(doing), error: clean(error), hung })
            }
        }
    }
}

/// Does `act` while a user waits for something, and notes whether that is done: at a gate, who was let through lets the next one
/// through, and must not keep him waiting for an answer.
pub(super) async fn beside<T>(
    mut waiting: Pin<&mut impl Future>,
    done: &mut bool,
    mut act: Pin<&mut impl Future<Output = T>>,
) -> T {
    poll_fn(|cx| {
        *done = *done || waiting.as_mut().poll(cx).is_ready();
        act.as_mut().poll(cx)
    })
    .await
}

/// What lets an iteration be found in the target's logs: a trace of its own (W3C Trace Context, section 3.2).
#[derive(Debug, Clone, Copy, Default)]
struct Trace {
    id: Uuid,
    parent: u64,
}

impl Trace {
    fn new(values: &Values) -> Trace {
        Trace { id: Uuid::from_u64_pair(values.bits(), values.bits()), parent: values.bits() }
    }

    /// What a request says of it, and of who asks.
    fn headers(self, mission: &Mission) -> Vec<(String, String)> {
        let mut room = Uuid::encode_buffer();
        let id = self.id.simple().encode_lower(&mut room);
        vec![
            ("User-Agent".to_owned(), mission.user_agent.clone()),
            ("traceparent".to_owned(), ["00-", id, "-", &format!("{:016x}", self.parent), "-01"].concat()),
        ]
    }
}

fn succeeded(fact: &Fact) -> bool {
    matches!(fact, Fact::Step { outcome: StepOutcome::Good { .. }, .. })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::sleep_until as until;

    use super::*;
    use crate::engine::start_gate;

    #[tokio::test(start_paused = true)]
    async fn who_is_busy_when_the_gate_opens_keeps_nobody_waiting() {
        // More than go at once, and all but the last one are busy for a while.
        let mut seats = start_gate([200], &Stop::new()).remove(0);
        let last = seats.pop().expect("a seat");
        let begun = Instant::now();
        let busy = seats.into_iter().map(|seat| async {
            let (mut gate, mut opened) = (pin!(seat.arrive()), false);
            beside(gate.as_mut(), &mut opened, pin!(until(begun + GOOD_BYE.to_std()))).await;
            assert!(opened);
            begun.elapsed()
        });
        let going = last.arrive().map(|_| begun.elapsed());
        let (busy, waited) = tokio::join!(futures_util::future::join_all(busy), going);
        assert_eq!(waited, std::time::Duration::ZERO);
        assert!(busy.iter().all(|took| *took >= GOOD_BYE.to_std()));
    }
}
