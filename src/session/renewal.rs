//! Sessions that end by themselves: how long one lives, and refreshing it in time.
//!
//! A session is refreshed by the user whose it is and by nobody else, one step after the other, so that what is good for one use
//! is used once. What came of it is told like a login; whether that is a finding is `check`'s to say.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value as Json;
use tokio::time::sleep_until;

use super::steps::Captured;
use super::token::{self, Span};
use super::user::User;
use crate::check::Move;
use crate::engine::Level;
use crate::target::{Expires, Step};
use crate::time::{Micros, Stamp};
use crate::trace::{Fact, Phase, StepOutcome};

/// Targets tell time in whole seconds, so that what they say lives a number of them may live up to this much less.
const ROUNDED: Micros = Micros::from_secs(1);

/// When the session of a user is to be refreshed.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    due: Option<Due>,
    /// Refreshing it failed: the session is over.
    lapsed: bool,
    /// The connection was made before the session was refreshed, and is to be replaced.
    stale: bool,
}

/// From when on a session is to be refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Due {
    /// While nothing is going on.
    calm: Stamp,
    /// Even while a run is in flight: it would outlast the session.
    pressing: Stamp,
}

impl Due {
    /// Of a session that began at `begun` and lives for `life`.
    fn of(begun: Stamp, life: Micros, before: Micros) -> Due {
        let before = before.min(Micros(life.0 / 2));
        let ahead = |before: Micros| begun + Micros(life.0 - before.0);
        Due { calm: ahead(before), pressing: ahead(Micros(before.0 / 2)) }
    }
}

/// How long a session lives, counted from when what began it was sent; `None`: for ever. `told` is what says it, `date_s` what time it
/// was by the clock of the target, in seconds since 1970, and `now_us` by ours, in microseconds.
///
/// # Errors
///
/// Why that cannot be told from it.
fn life(expires: &Expires, told: &Json, date_s: Option<u64>, now_us: u64) -> Result<Option<Micros>, String> {
    // What a target says of time is held against its own clock wherever that is known: ours may differ.
    let clock_us = date_s.map_or(now_us, |date_s| date_s.saturating_mul(1_000_000));
    let until = |at_us: f64| Micros((at_us - clock_us as f64).max(0.0) as u64);
    let number = |scale: f64| {
        let number = told.as_f64().or_else(|| told.as_str()?.trim().parse().ok());
        let number = number.filter(|number: &f64| number.is_finite() && *number >= 0.0);
        number.map(|number| number * scale).ok_or_else(|| format!("{} counts no time", kind_of(told)))
    };
    let rounded = |life: Micros| Some(Micros(life.0.saturating_sub(ROUNDED.0)).max(Micros(life.0 / 2)));
    match expires {
        Expires::Jwt(_) => {
            let Some(Span { issued_s, expires_s: Some(expires_s) }) = told.as_str().and_then(token::span) else {
                return Ok(None);
            };
            let whole = issued_s.map(|issued_s| Micros(((expires_s - issued_s).max(0.0) * 1e6) as u64));
            let left = until(expires_s * 1e6);
            // A token may be older than its answer, and is never younger.
            Ok(rounded(match (whole, date_s) {
                (Some(whole), Some(_)) => whole.min(left),
                (Some(whole), None) => whole,
                (None, _) => left,
            }))
        }
        Expires::Seconds(_) => Ok(rounded(Micros(number(1e6)? as u64))),
        Expires::UnixS(_) => Ok(rounded(until(number(1e6)?))),
        Expires::UnixMs(_) => Ok(rounded(until(number(1e3)?))),
        Expires::Iso(_) => {
            let at = told.as_str().and_then(instant).ok_or_else(|| format!("{} is no instant", kind_of(told)))?;
            Ok(rounded(until(at.as_microsecond() as f64)))
        }
        Expires::After(life) => Ok(Some(*life)),
    }
}

/// An instant as RFC 3339 writes it, or without an offset as some frameworks do.
fn instant(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let in_utc = || Some(text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
    text.parse().ok().or_else(in_utc)
}

/// What a value is, which may be a secret.
fn kind_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "nothing",
        Json::Bool(_) => "a truth value",
        Json::Number(_) => "this number",
        Json::String(_) => "this text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

/// Waits until `due`; for ever without one.
async fn reached(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl User<'_> {
    /// Notes when the session that a step began or refreshed is to be refreshed; `fact` is what came of the step, which fails if
    /// that cannot be told from what it captured.
    pub(super) fn note_expiry(&mut self, fact: &mut Fact, captured: &[Captured], date_s: Option<u64>) {
        let mission = self.bench.mission;
        let Some(refresh) = &mission.profile.refresh else { return };
        let Fact::Step { phase: Phase::Login | Phase::Refresh, sent, outcome, .. } = fact else { return };
        let StepOutcome::Good { status } = *outcome else { return };
        let told = match refresh.expires.name() {
            Some(name) => captured.iter().find(|captured| captured.name == name).map(|captured| &captured.value),
            None => Some(&Json::Null),
        };
        let Some(told) = told else { return };
        if matches!(refresh.expires, Expires::Jwt(_)) && told.as_str().and_then(token::span).is_none() {
            mission.endless.get_or_init(|| refresh.expires.name().unwrap_or_default().to_owned());
        }
        match life(&refresh.expires, told, date_s, self.bench.net.clock.wall(*sent)) {
            // What was over from the beginning is not made good in secret: the target will say what it makes of it.
            Ok(life) => {
                let life = life.filter(|life| *life > Micros::ZERO);
                self.renewal.due = life.map(|life| Due::of(*sent, life, refresh.before));
            }
            Err(why) => {
                let name = refresh.expires.name().unwrap_or_default();
                let why = format!("{name} does not say when the session ends: {why}");
                *outcome = StepOutcome::Refused { status, why, body: String::new() };
            }
        }
    }

    /// Waits until the session is to be refreshed: while nothing is going on, or though a run is in flight.
    pub(super) fn renewal_due(&self, calm: bool) -> impl Future<Output = ()> + use<> {
        let due = self.renewal.due.filter(|_| self.logged_in);
        let due = due.map(|due| if calm { due.calm } else { due.pressing });
        let due = due.map(|due| self.bench.net.clock.instant_of(due));
        reached(due)
    }

    /// The session is to be refreshed as soon as nothing is going on.
    pub(super) fn must_renew(&self) -> bool {
        self.logged_in && self.renewal.due.is_some_and(|due| due.calm <= self.line.now())
    }

    /// The connection is to be replaced as soon as nothing is going on.
    pub(super) fn is_stale(&self) -> bool {
        self.renewal.stale
    }

    /// The session that was there was refreshed, and goes on with another connection.
    pub(super) fn goes_on(&self) -> bool {
        self.renewal.stale && self.logged_in
    }

    /// There is another connection.
    pub(super) fn is_fresh(&mut self) {
        self.renewal.stale = false;
    }

    /// Refreshing the session failed.
    pub(super) fn has_lapsed(&self) -> bool {
        self.renewal.lapsed
    }

    /// Refreshes the session if it is time; says whether there still is one.
    pub(super) async fn renew_in_time(&mut self) -> bool {
        !self.must_renew() || self.renew().await
    }

    /// Refreshes the session, and goes on listening meanwhile. Says whether there still is one.
    pub(super) async fn renew(&mut self) -> bool {
        // Rare, and larger than what users otherwise do: kept apart from what every user holds all the time.
        Box::pin(self.renew_now()).await
    }

    async fn renew_now(&mut self) -> bool {
        let mission = self.bench.mission;
        let Some(refresh) = &mission.profile.refresh else { return true };
        self.renewal.due = None;
        let mut pass = None;
        self.listen_until(async { pass = Some(mission.logins.enter().await) }).await;
        for step in &refresh.steps {
            let performed = self.perform_listening(step, Phase::Refresh, mission.expect.timeouts.connect).await;
            if !self.performed(step, Phase::Refresh, performed) {
                self.renewal = Renewal { lapsed: true, ..Renewal::default() };
                return false;
            }
        }
        drop(pass);
        // Whoever has hung up already for the refresh before still goes on.
        self.renewal.stale |= refresh.reconnects && self.line.socket.is_some();
        true
    }

    /// Between two iterations: refreshes the session that is kept, and hangs up where it goes on with another connection.
    pub(super) async fn renew_between(&mut self) {
        if !self.keeps() || self.line.dead || !self.must_renew() {
            return;
        }
        let stop = &self.bench.mission.stop;
        let renewed = tokio::select! {
            biased;
            renewed = self.renew() => renewed,
            () = stop.reached(Level::Cut) => return,
        };
        if !renewed || self.is_stale() {
            self.line.hang_up(&self.values).await;
        }
    }

    /// While the user waits with a connection that it will use: refreshes the session, and replaces the connection where it must be.
    pub(super) async fn renew_on_the_way(&mut self) {
        if self.renew().await && self.is_stale() {
            Box::pin(async {
                self.line.hang_up(&self.values).await;
                let _pass = self.bench.mission.connects.enter().await;
                self.dial().await;
            })
            .await;
        }
    }

    /// Does a step and listens meanwhile: events may come before its answer does.
    pub(super) async fn perform_listening(
        &mut self,
        step: &Step,
        phase: Phase,
        patience: Micros,
    ) -> super::steps::Performed {
        let bench = self.bench;
        let headers = self.headers();
        let mut requester = bench.requester(&headers, &self.jar);
        requester.timeout = patience;
        let mut performing = Box::pin(requester.perform(step, phase, &self.values));
        loop {
            let hears = self.line.socket.is_some() && !self.line.dead;
            let performed = tokio::select! {
                biased;
                performed = &mut performing => Some(performed),
                () = self.line.listen(), if hears => None,
            };
            if let Some(performed) = performed {
                return performed;
            }
            while let Move::Reply(rule) = self.line.next_move() {
                self.line.reply(rule, &self.values).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;

    const NOW_S: u64 = 1_800_000_000;
    const SECOND: u64 = 1_000_000;

    fn jwt(claims: &Json) -> Json {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(r#"{"alg":"HS256"}"#), part(&claims.to_string()), part("signature")).into()
    }

    /// The life in seconds that is read, with the target's clock this many seconds ahead of ours.
    fn read(expires: &Expires, told: &Json, date: Option<i64>) -> Result<Option<f64>, String> {
        let date_s = date.map(|ahead| NOW_S.saturating_add_signed(ahead));
        let life = life(expires, told, date_s, NOW_S * SECOND)?;
        Ok(life.map(|life| life.0 as f64 / SECOND as f64))
    }

    fn name(make: fn(String) -> Expires) -> Expires {
        make("x".to_owned())
    }

    #[test]
    fn a_life_is_read_from_what_the_target_says_and_shortened_by_what_it_rounds() {
        let at = NOW_S + 900;
        for (expires, told) in [
            (name(Expires::Jwt), jwt(&json!({ "exp": at }))),
            (name(Expires::Jwt), jwt(&json!({ "exp": at, "iat": NOW_S }))),
            (name(Expires::Seconds), json!(900)),
            (name(Expires::Seconds), json!("900")),
            (name(Expires::UnixS), json!(at)),
            (name(Expires::UnixS), json!(at as f64)),
            (name(Expires::UnixMs), json!(at * 1_000)),
            (name(Expires::Iso), json!("2027-01-15T08:15:00Z")),
            (name(Expires::Iso), json!("2027-01-15T09:15:00+01:00")),
            (name(Expires::Iso), json!("2027-01-15T08:15:00")),
        ] {
            assert_eq!(read(&expires, &told, Some(0)), Ok(Some(899.0)), "{expires:?} {told}");
            assert_eq!(read(&expires, &told, None), Ok(Some(899.0)), "{expires:?} {told}");
        }
        assert_eq!(read(&Expires::After(Micros(5)), &Json::Null, None), Ok(Some(0.000_005)));
        // Of what lives a moment only, half is left.
        assert_eq!(read(&name(Expires::Seconds), &json!(1), None), Ok(Some(0.5)));
        for endless in [jwt(&json!({ "sub": "u" })), json!("opaque"), json!(7)] {
            assert_eq!(read(&name(Expires::Jwt), &endless, None), Ok(None), "{endless}");
        }
    }

    #[test]
    fn a_clock_that_differs_from_ours_changes_nothing() {
        for ahead in [-7_200, 7_200] {
            let theirs = NOW_S.saturating_add_signed(ahead);
            let until = theirs + 900;
            let lives = [
                read(&name(Expires::Jwt), &jwt(&json!({ "exp": until })), Some(ahead)),
                read(&name(Expires::Jwt), &jwt(&json!({ "exp": until, "iat": theirs })), None),
                read(&name(Expires::Jwt), &jwt(&json!({ "exp": until, "iat": theirs })), Some(ahead)),
                read(&name(Expires::UnixS), &json!(until), Some(ahead)),
                read(&name(Expires::UnixMs), &json!(until * 1_000), Some(ahead)),
            ];
            assert_eq!(lives, [const { Ok(Some(899.0)) }; 5], "{ahead}");
        }
        // A token that was handed out before lives no longer for that.
        let old = jwt(&json!({ "exp": NOW_S + 300, "iat": NOW_S - 600 }));
        assert_eq!(read(&name(Expires::Jwt), &old, Some(0)), Ok(Some(299.0)));
        // It was over when it was handed out.
        assert_eq!(read(&name(Expires::UnixS), &json!(NOW_S - 5), None), Ok(Some(0.0)));
    }

    #[test]
    fn what_says_nothing_of_time_is_told_and_never_shown() {
        for (expires, told, why) in [
            (name(Expires::Seconds), json!("soon"), "this text counts no time"),
            (name(Expires::Seconds), json!(-1), "this number counts no time"),
            (name(Expires::UnixMs), json!({}), "an object counts no time"),
            (name(Expires::Iso), json!("tomorrow"), "this text is no instant"),
            (name(Expires::Iso), json!(NOW_S), "this number is no instant"),
        ] {
            assert_eq!(read(&expires, &told, None), Err(why.to_owned()));
        }
    }

    #[test]
    fn a_session_is_refreshed_before_its_end_and_never_before_half_of_its_life() {
        let s = |seconds: f64| Micros((seconds * 1e6) as u64);
        let due = |life, before| {
            let Due { calm, pressing } = Due::of(Stamp(5 * SECOND), s(life), s(before));
            (calm.0 as f64 / 1e6 - 5.0, pressing.0 as f64 / 1e6 - 5.0)
        };
        assert_eq!(due(900.0, 60.0), (840.0, 870.0));
        assert_eq!(due(60.0, 60.0), (30.0, 45.0));
        assert_eq!(due(0.0, 60.0), (0.0, 0.0));
    }
}
