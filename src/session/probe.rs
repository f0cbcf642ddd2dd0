//! Probes: after the load one user knocks at doors that must stay shut, while a run of another goes on.
//!
//! What was done and heard is told as facts and frames; whether a door was shut is `check`'s to say. A probe that makes no sense
//! for this target is told with its reason.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use serde_json::Value as Json;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::cookies::Jar;
use super::token;
use super::user::{Bench, User};
use super::values::Values;
use crate::check::Move;
use crate::document::text::Text;
use crate::engine::{Level, Turn};
use crate::expect::{DoorRule, IdRole, Misplaced};
use crate::identity::{Iteration, UserNumber};
use crate::probe::{Door, Probe};
use crate::target::{Connect, Step};
use crate::time::Micros;
use crate::trace::{Fact, Phase};

/// Another site, which no target can trust (RFC 6761, section 6.4).
const FOREIGN_ORIGIN: &str = "https://elsewhere.invalid";

/// A moment at which two users wait for one another: when the run of the one is over, and until the other has left its door.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// What the one has values for, as the other may bring it.
    pub values: RefCell<Vec<(String, Json)>>,
    over: Cell<bool>,
    went_over: Notify,
    left: Notify,
}

/// What a connection is opened with in place of what the profile says.
#[derive(Debug)]
pub(super) struct Opening {
    /// The connection.
    pub connect: Connect,
    /// The header `Cookie`, where it is not that of the user's cookies.
    pub cookie: Option<Option<String>>,
}

/// What somebody brings to a door.
struct Brought {
    opening: Option<Opening>,
    /// In words.
    with: String,
    /// Values in place of the own ones.
    values: Vec<(String, Json)>,
    /// Ids of another among them.
    foreign: Vec<String>,
    /// It is wrong in more than it is meant to be.
    weak: bool,
    /// Values that it does without.
    lacks: Vec<String>,
    /// When what is brought stops being right by itself, in seconds since 1970.
    until_s: Option<u64>,
    /// Cookies in place of the own ones, over HTTP.
    jar: Option<Jar>,
}

impl Hold {
    /// The run is over; goes on when the other has left.
    pub async fn wait(&self) {
        self.left.notified().await;
    }

    /// The run is over.
    pub fn run_is_over(&self) {
        self.over.set(true);
        self.went_over.notify_one();
    }

    /// Waits until the run is over.
    async fn until_over(&self) {
        if !self.over.get() {
            self.went_over.notified().await;
        }
    }
}

/// Lets every probe knock that the scenario asks for: `intruder` knocks, a run of `victim` goes on. Both have done so many
/// iterations before.
pub async fn knock_at_doors(bench: &Bench<'_>, victim: (User<'_>, u32), intruder: (User<'_>, u32)) {
    let Some(doors) = &bench.mission.expect.claims.doors else { return };
    let mut pair = Pair { bench, victim: victim.0, intruder: intruder.0, nth: (victim.1, intruder.1) };
    // What the load left of a session may have been given up at its end.
    pair.intruder.logged_in = false;
    let mut rules: Vec<&DoorRule> = doors.probes.iter().collect();
    // Who waits for the end of a token's life keeps the others waiting.
    rules.sort_by_key(|rule| rule.wait > Micros::ZERO);
    for rule in rules {
        if bench.mission.stop.level() > Level::Run {
            break;
        }
        let stop = &bench.mission.stop;
        let knocked = tokio::select! {
            knocked = pair.probe(rule) => knocked,
            () = stop.reached(Level::Cut) => break,
        };
        if let Err(why) = knocked {
            pair.intruder.line.tell(Fact::Spared { probe: rule.probe, why, at: pair.intruder.line.now() });
        }
    }
    let Pair { mut victim, mut intruder, .. } = pair;
    for user in [&mut victim, &mut intruder] {
        user.line.hang_up(&user.values).await;
    }
}

struct Pair<'a> {
    bench: &'a Bench<'a>,
    victim: User<'a>,
    intruder: User<'a>,
    /// The last iterations of both.
    nth: (u32, u32),
}

impl<'a> Pair<'a> {
    /// Lets one probe knock. Says why it makes no sense, if it does not.
    async fn probe(&mut self, rule: &DoorRule) -> Result<(), String> {
        let mission = self.bench.mission;
        let probe = rule.probe;
        if let Some(why) = mission.profile.spares(probe, mission.may_lock) {
            return Err(why.to_owned());
        }
        let asks = probe.connects() && (probe.asks() || !mission.profile.greets());
        let ready = if asks { self.run_as_control(probe).await } else { self.intruder.open_session().await };
        if !ready {
            return Ok(());
        }
        let brought = match probe {
            Probe::RefreshedTwice => match self.intruder.refresh_once().await? {
                Some(brought) => brought,
                None => return Ok(()),
            },
            _ => self.bring(rule)?,
        };
        if !asks && probe.connects() {
            let own = Brought::with("its own token");
            self.intruder.stand_at_door(probe, true, &own, None, None).await;
        }
        let gone = match (probe, brought.until_s) {
            (Probe::LoggedOutToken, _) => self.intruder.log_out().await,
            (_, Some(until_s)) => self.intruder.outlive(until_s).await,
            _ => true,
        };
        if gone {
            self.knock_beside(rule, brought).await;
        }
        Ok(())
    }

    /// The control of a probe that asks: an iteration of the intruder's own.
    async fn run_as_control(&mut self, probe: Probe) -> bool {
        self.bench.mission.iterations.enter().await;
        self.nth.1 += 1;
        let iteration = Iteration(self.nth.1);
        let turn = Turn { nth: iteration.0, scheduled: None, more: true };
        self.intruder.iterate(turn, true).await;
        let beside = (self.intruder.number(), iteration);
        self.intruder.count_as_control((probe, Door::Socket), "its own token, on its own thread", beside);
        // Cleaning up may have ended the session.
        self.intruder.logged_in = false;
        self.intruder.open_session().await
    }

    /// Knocks while a run of the victim is in flight, or where its thread is to be read, when that is over.
    async fn knock_beside(&mut self, rule: &DoorRule, brought: Brought) {
        let (bench, probe) = (self.bench, rule.probe);
        let Pair { victim, intruder, nth, .. } = self;
        bench.mission.iterations.enter().await;
        nth.0 += 1;
        let turn = Turn { nth: nth.0, scheduled: None, more: true };
        let (whose, beside) = (victim.number, (victim.number, Iteration(nth.0)));
        let hold = Rc::new(Hold::default());
        victim.hold = Some(Rc::clone(&hold));
        let mut read = false;
        {
            let mut walking = pin!(victim.iterate(turn, true));
            let mut walked = false;
            poll_fn(|cx| {
                walked = walking.as_mut().poll(cx).is_ready();
                let in_flight = probe != Probe::ForeignHistory && bench.judge.borrow().runs(whose);
                if walked || in_flight || hold.over.get() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            let (hold, read, intruder) = (&hold, &mut read, &mut *intruder);
            let knocking = async move {
                let mut brought = brought;
                let still_right = brought.until_s.is_some();
                brought.take_from(hold, probe, bench);
                if probe == Probe::ForeignHistory {
                    intruder.read_at_door(probe, &brought, beside).await;
                    *read = true;
                } else if probe == Probe::RefreshedTwice {
                    intruder.refresh_at_door(false, &brought, Some(beside)).await;
                    // Whoever notices that may end all sessions of this user.
                    intruder.logged_in = false;
                    hold.until_over().await;
                } else {
                    intruder.stand_at_door(probe, false, &brought, Some(beside), Some(hold)).await;
                    hold.until_over().await;
                    if let (false, Some(brought)) = (still_right, Brought::of_owner(hold, probe, bench, whose)) {
                        intruder.read_at_door(probe, &brought, beside).await;
                        *read = true;
                    }
                }
                hold.left.notify_one();
            };
            if walked {
                knocking.await;
            } else {
                tokio::join!(walking, knocking);
            }
        }
        victim.hold = None;
        if read {
            intruder.count_as_control((probe, Door::Http), "its owner's token", beside);
        }
    }

    /// What the intruder brings, as far as it does not depend on the victim.
    fn bring(&self, rule: &DoorRule) -> Result<Brought, String> {
        let (bench, intruder, probe) = (self.bench, &self.intruder, rule.probe);
        let profile = &bench.mission.profile;
        let mut connect = profile.connect.clone();
        let names = profile.tokens();
        let own = |name: &str| intruder.values.get(name).and_then(|value| value.as_str().map(str::to_owned));
        let cookies = intruder.cookies();
        let none = || "nothing that a user gets at login opens the socket".to_owned();
        let carried = match (names.first(), &cookies) {
            (Some(name), _) => own(name).ok_or_else(none),
            (None, Some(cookies)) => {
                let secrets: Vec<String> = profile.secrets().filter_map(own).collect();
                cookie_token(cookies, &secrets)
            }
            (None, None) => Err(none()),
        };
        let token = || carried.clone();
        let by_text = !names.is_empty();
        let mut values: Vec<(String, Json)> = Vec::new();
        let mut cookie = None;
        let now_s = bench.net.clock.wall(bench.net.clock.now()) / 1_000_000;
        let (mut until_s, mut weak) = (None, false);
        if probe == Probe::ExpiredToken {
            let ends = token::expires_s(&token()?);
            until_s = ends.filter(|ends| *ends <= now_s + rule.wait.0 / 1_000_000);
        }
        let with = match probe {
            Probe::ExpiredToken if until_s.is_some() => "its own token, which has expired meanwhile",
            Probe::NoToken | Probe::MisplacedToken => {
                // Who comes without any cookie need not know which of them is the token.
                let token = if probe == Probe::NoToken && cookies.is_some() { String::new() } else { token()? };
                let names_token = |text: &Text| text.holes().any(|hole| names.contains(&hole.name));
                connect.subprotocols.retain(|text| !names_token(text));
                connect.headers.retain(|(_, text)| !names_token(text));
                let in_query = connect.query.iter().any(|(_, text)| names_token(text));
                connect.query.retain(|(_, text)| !names_token(text));
                // A message that brings it is sent without one.
                values.extend(names.iter().map(|name| (name.clone(), Json::from(""))));
                cookie = (!by_text).then_some(None);
                let usual = if in_query { Misplaced::Header } else { Misplaced::Query };
                let place = rule.place.unwrap_or(usual);
                let text = |written: &str| Text::literal(written, profile.socket.span);
                match (probe, place) {
                    (Probe::NoToken, _) => "no token",
                    (_, Misplaced::Query) => {
                        connect.query.push(("token".to_owned(), text(&token)));
                        "its own token in the query, as `token`"
                    }
                    (_, Misplaced::Header) => {
                        connect.headers.push(("Authorization".to_owned(), text(&format!("Bearer {token}"))));
                        "its own token in the header Authorization"
                    }
                    (_, Misplaced::Cookie) => {
                        cookie = Some(Some(format!("token={token}")));
                        "its own token in a cookie"
                    }
                }
            }
            Probe::NoOrigin | Probe::ForeignOrigin => {
                connect.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("origin"));
                if probe == Probe::NoOrigin {
                    "its own token, without an Origin"
                } else {
                    let origin = Text::literal(FOREIGN_ORIGIN, profile.socket.span);
                    connect.headers.push(("Origin".to_owned(), origin));
                    "its own token, with the Origin of another site"
                }
            }
            Probe::ForeignThread => "its own token, and another user's thread",
            Probe::ForeignRun => "its own token, and the id of another user's run",
            Probe::ForeignHistory => "its own token, for another user's thread",
            Probe::LoggedOutToken => {
                token()?;
                // Logging out takes cookies away; an old one is brought all the same.
                cookie = Some(cookies.clone());
                "its own token, logged out"
            }
            _ => {
                let token = token()?;
                let bent = token::bend(&token, probe, now_s, &intruder.values.nonce())?;
                bench.learn(&bent.token, names.first().map_or("cookie", |name| name), Some(intruder.number.0));
                match names.first() {
                    Some(name) => values.push((name.clone(), bent.token.into())),
                    None => cookie = Some(cookies.map(|cookies| cookies.replace(&token, &bent.token))),
                }
                weak = bent.weak;
                bent.with
            }
        };
        let opening = Some(Opening { connect, cookie });
        Ok(Brought { opening, values, weak, until_s, ..Brought::with(with) })
    }
}

/// What among cookies is the token: what was captured as one of `secrets`, else what reads like one, else the only one. Bending
/// another would let the right one in, and call that an open door.
///
/// # Errors
///
/// When it cannot be told.
fn cookie_token(cookies: &str, secrets: &[String]) -> Result<String, String> {
    let values: Vec<&str> = cookies.split("; ").filter_map(|cookie| Some(cookie.split_once('=')?.1)).collect();
    let secret = values.iter().find(|value| secrets.iter().any(|secret| secret == *value));
    let token = secret.or_else(|| values.iter().find(|value| token::expires_s(value).is_some()));
    match (token, &values[..]) {
        (Some(token), _) | (None, [token]) => Ok((*token).to_owned()),
        _ => Err("which of several cookies is the token cannot be told; a login step that captures it says so: \
                  `{ secret: { cookie: NAME } }`"
            .to_owned()),
    }
}

impl Brought {
    /// Nothing but what everybody brings.
    fn with(words: &str) -> Brought {
        Brought {
            opening: None,
            with: words.to_owned(),
            values: Vec::new(),
            foreign: Vec::new(),
            weak: false,
            lacks: Vec::new(),
            until_s: None,
            jar: None,
        }
    }

    /// The token of whoever owns a thread, bent, to read that thread with; `None` if this probe says nothing over HTTP.
    fn of_owner(hold: &Hold, probe: Probe, bench: &Bench<'_>, owner: UserNumber) -> Option<Brought> {
        let profile = &bench.mission.profile;
        let names = profile.tokens_of_history();
        let name = names.first().filter(|_| probe.is_of_token())?;
        let given = hold.values.borrow();
        let token = given.iter().find(|(given, _)| given == name)?.1.as_str()?.to_owned();
        let now_s = bench.net.clock.wall(bench.net.clock.now()) / 1_000_000;
        let mut brought = match probe {
            Probe::NoToken => Brought { lacks: names.clone(), ..Brought::with("no token") },
            _ => {
                let bent = token::bend(&token, probe, now_s, &format!("{:016x}", bench.net.clock.now().0)).ok()?;
                bench.learn(&bent.token, name, Some(owner.0));
                Brought { values: vec![(name.clone(), bent.token.into())], weak: bent.weak, ..Brought::with(bent.with) }
            }
        };
        drop(given);
        brought.take_from(hold, Probe::ForeignHistory, bench);
        Some(brought)
    }

    /// Adds what is the victim's.
    fn take_from(&mut self, hold: &Hold, probe: Probe, bench: &Bench<'_>) {
        let role = match probe {
            Probe::ForeignThread | Probe::ForeignHistory => IdRole::Thread,
            Probe::ForeignRun => IdRole::Run,
            _ => return,
        };
        let names = bench.mission.profile.names_of(role);
        let told = |name: &str| probe == Probe::ForeignHistory && Values::of_run(name);
        for (name, value) in hold.values.borrow().iter() {
            if names.contains(name) {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                self.foreign.push(bench.scrubber().scrub(&text).into_owned());
            }
            if names.contains(name) || told(name) {
                self.values.push((name.clone(), value.clone()));
            }
        }
    }
}

impl User<'_> {
    /// Lets another have the values of this one.
    pub(super) fn share(&self, hold: &Hold) {
        hold.values.replace(self.values.given());
    }

    /// Knocks at the socket, and leaves when it is known what came of it. Who gets in stays until the run of the other is over.
    async fn stand_at_door(
        &mut self,
        probe: Probe,
        control: bool,
        brought: &Brought,
        beside: Option<(UserNumber, Iteration)>,
        hold: Option<&Hold>,
    ) {
        self.line.hang_up(&self.values).await;
        self.enter_door((probe, Door::Socket), control, brought, beside);
        let before = self.values.replace(&brought.values);
        self.borrowed.clone_from(&brought.values);
        self.opening = brought
            .opening
            .as_ref()
            .map(|opening| Opening { connect: opening.connect.clone(), cookie: opening.cookie.clone() });
        self.at_door = true;
        let pass = self.bench.mission.connects.enter().await;
        self.dial().await;
        drop(pass);
        let stop = &self.bench.mission.stop;
        loop {
            self.adopt();
            match self.line.next_move() {
                Move::Settled { .. } => break,
                Move::Linger { .. } => {
                    let Some(hold) = hold.filter(|_| !self.line.dead) else { break };
                    tokio::select! {
                        biased;
                        () = hold.until_over() => break,
                        () = self.line.listen() => {}
                    }
                }
                Move::Listen => {
                    tokio::select! {
                        () = self.line.listen() => {}
                        () = stop.reached(Level::Drain) => break,
                    }
                }
                Move::Reply(rule) => self.line.reply(rule, &self.values).await,
                Move::Script(step) => self.script(step).await,
                Move::Ask(turn) => self.ask(turn).await,
            }
        }
        self.line.hang_up(&self.values).await;
        self.line.tell(Fact::Left { at: self.line.now() });
        self.at_door = false;
        self.opening = None;
        self.borrowed.clear();
        self.values.put_back(before);
    }

    /// Reads what is another's.
    async fn read_at_door(&mut self, probe: Probe, brought: &Brought, beside: (UserNumber, Iteration)) {
        let Some(step) = self.bench.mission.profile.history() else { return };
        // Whoever is refused need not ask again.
        let step = Step { retry: None, ..step.clone() };
        self.enter_door((probe, Door::Http), false, brought, Some(beside));
        let mut before = self.values.replace(&brought.values);
        // A header without a value is not sent at all.
        before.extend(brought.lacks.iter().map(|name| (name.clone(), self.values.take(name))));
        self.step(&step, Phase::Probe).await;
        self.values.put_back(before);
        self.line.tell(Fact::Left { at: self.line.now() });
    }

    /// Uses what refreshes the session for the first time, as the control; says what is to be used again, if that went well.
    ///
    /// # Errors
    ///
    /// Why nothing would be shown by using it again.
    async fn refresh_once(&mut self) -> Result<Option<Brought>, String> {
        let names = self.bench.mission.profile.used_up();
        let held = |user: &Self| -> Vec<(String, Json)> {
            let value = |name: &String| Some((name.clone(), user.values.get(name)?.into_json()));
            names.iter().filter_map(value).collect()
        };
        let (before, jar) = (held(self), self.jar.clone());
        if before.is_empty() {
            return Err("the target gave nothing that a session could be refreshed with".to_owned());
        }
        if !self.refresh_at_door(true, &Brought::with("its refresh token, for the first time"), None).await {
            return Ok(None);
        }
        if held(self) == before {
            return Err(
                "a refresh gives nothing in place of what it was sent, so that this may be good for more".to_owned()
            );
        }
        let with = "its refresh token, for the second time";
        Ok(Some(Brought { values: before, jar: Some(jar), ..Brought::with(with) }))
    }

    /// Refreshes the session; says whether it was.
    async fn refresh_at_door(
        &mut self,
        control: bool,
        brought: &Brought,
        beside: Option<(UserNumber, Iteration)>,
    ) -> bool {
        self.enter_door((Probe::RefreshedTwice, Door::Http), control, brought, beside);
        let before = self.values.replace(&brought.values);
        let own = brought.jar.clone().map(|jar| std::mem::replace(&mut self.jar, jar));
        let steps = self.bench.mission.profile.refreshing();
        let mut good = true;
        for (nth, step) in steps.iter().enumerate() {
            let phase = if nth + 1 < steps.len() { Phase::Refresh } else { Phase::Probe };
            good = good && self.step(step, phase).await;
        }
        if !control {
            self.values.put_back(before);
            own.into_iter().for_each(|own| self.jar = own);
        }
        self.line.tell(Fact::Left { at: self.line.now() });
        good
    }

    /// What was done before, with all that is right, shows how a door opens.
    fn count_as_control(&mut self, door: (Probe, Door), with: &str, beside: (UserNumber, Iteration)) {
        self.enter_door(door, true, &Brought::with(with), Some(beside));
        self.line.tell(Fact::Left { at: self.line.now() });
    }

    fn enter_door(
        &mut self,
        (probe, door): (Probe, Door),
        control: bool,
        brought: &Brought,
        beside: Option<(UserNumber, Iteration)>,
    ) {
        let (with, foreign) = (brought.with.clone(), brought.foreign.clone());
        let (weak, at) = (brought.weak, self.line.now());
        self.line.tell(Fact::Knocked { probe, door, control, with, brought: foreign, weak, beside, at });
    }

    /// A session of its own, with all that precedes a connection; says whether there is one.
    async fn open_session(&mut self) -> bool {
        self.line.hang_up(&self.values).await;
        let iteration = Iteration(self.values.get("iteration").and_then(|nth| nth.as_u64()).unwrap_or(1) as u32);
        self.begin(iteration);
        (self.logged_in || self.log_in().await) && self.renew_in_time().await && self.prepare_session().await
    }

    async fn prepare_session(&mut self) -> bool {
        let profile = &self.bench.mission.profile;
        self.steps(&profile.prepare, Phase::Prepare).await
    }

    /// Waits until the session has ended by itself, and a little longer than clocks may differ; says that it has.
    async fn outlive(&mut self, until_s: u64) -> bool {
        self.logged_in = false;
        let clock = self.bench.net.clock;
        let now_us = clock.wall(clock.now());
        let left = Micros((until_s * 1_000_000).saturating_sub(now_us)) + Micros::from_secs(1);
        tokio::select! {
            () = sleep(left.to_std()) => true,
            () = self.bench.mission.stop.reached(Level::Drain) => false,
        }
    }

    /// Gives the session up; says whether that went as the profile expects.
    async fn log_out(&mut self) -> bool {
        self.logged_in = false;
        let profile = &self.bench.mission.profile;
        self.steps(&profile.logout, Phase::Probe).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_among_cookies_is_told_or_none_is_bent() {
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2ln";
        let own = ["\"2|mine\"".to_owned(), "another".to_owned()];
        for (cookies, token) in [
            ("session=only".to_owned(), Some("only")),
            ("_xsrf=a|b; session=\"2|mine\"".to_owned(), Some("\"2|mine\"")),
            (format!("_xsrf=a|b; session={jwt}"), Some(jwt)),
            (format!("id={jwt}; session=\"2|mine\""), Some("\"2|mine\"")),
            ("_xsrf=a|b; session=opaque".to_owned(), None),
        ] {
            assert_eq!(cookie_token(&cookies, &own).ok().as_deref(), token, "{cookies}");
        }
    }
}
