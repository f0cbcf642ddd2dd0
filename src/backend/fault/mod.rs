//! Faults: misbehaviour on purpose, to try a judge on, and healthy variants that must not alarm one.
//!
//! ```text
//! catalogue   every fault: what it does, what it stands for, how it would be noticed
//! mod         which faults are on, and whether one strikes at a given moment
//! bend        what a fault does to the plan of a run
//! ```
//!
//! Independent of any judge: nothing here knows what is found out, or by which rule.

mod bend;
mod catalogue;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(super) use bend::{World, bend};
pub use catalogue::Fault;

use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::lock;

impl Fault {
    /// A healthy variant: unusual, and no harm to anybody.
    pub fn is_variant(self) -> bool {
        self >= Fault::AckFirst
    }
}

/// Where a fault strikes, which is also what its conditions can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strikes {
    /// A question whether the backend is ready.
    Ready,
    /// A login.
    Login,
    /// A look at the messages of a thread.
    History,
    /// Somebody who must be refused.
    Door,
    /// An upgrade.
    Upgrade,
    /// A connection that begins.
    Connection,
    /// A request for a run.
    Request,
    /// A run.
    Run,
}

/// A fault that is on, with the conditions under which it strikes: `leak-copy:p=0.02,victim=qa3@example.com,overlap`.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Which.
    pub fault: Fault,
    /// From 0 to 1: the share of the chances at which it strikes. Default 1.
    pub probability: f64,
    /// Only the user with this email.
    pub victim: Option<String>,
    /// Only while a run of another user is in flight.
    pub overlap: bool,
    /// Only after so many runs of all users have begun.
    pub after: u64,
    /// Only on the n-th connection of a user, from 1.
    pub connection: Option<u64>,
    /// Only on the n-th request of a connection, from 1.
    pub turn: Option<u64>,
    /// Only the first n times.
    pub first: Option<u64>,
    /// How long, where the fault is about time. Default 1 s.
    pub by: Duration,
    /// The close code, where the fault is about one.
    pub code: Option<u16>,
    /// How many, where the fault is about a limit. Default 2.
    pub limit: usize,
}

impl Spec {
    /// `fault` whenever there is a chance.
    pub const fn always(fault: Fault) -> Spec {
        Spec {
            fault,
            probability: 1.0,
            victim: None,
            overlap: false,
            after: 0,
            connection: None,
            turn: None,
            first: None,
            by: Duration::from_secs(1),
            code: None,
            limit: 2,
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = Spec::always(self.fault);
        let mut settings = Vec::new();
        let mut set = |differs: bool, text: String| differs.then(|| settings.push(text));
        set(self.probability != 1.0, format!("p={}", self.probability));
        set(self.victim.is_some(), format!("victim={}", self.victim.as_deref().unwrap_or_default()));
        set(self.overlap, "overlap".to_owned());
        set(self.after > 0, format!("after={}", self.after));
        for (key, count) in [("connection", self.connection), ("turn", self.turn), ("first", self.first)] {
            set(count.is_some(), format!("{key}={}", count.unwrap_or_default()));
        }
        set(self.by != usual.by, format!("by={}", time(self.by)));
        set(self.code.is_some(), format!("code={}", self.code.unwrap_or_default()));
        set(self.limit != usual.limit, format!("limit={}", self.limit));
        f.write_str(self.fault.name())?;
        if settings.is_empty() { Ok(()) } else { write!(f, ":{}", settings.join(",")) }
    }
}

/// Why a text is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Not in the catalogue.
    #[error("there is no fault `{name}`{}; `goldenpath serve --list-faults` lists them", meant(near))]
    Unknown {
        /// As it was written.
        name: String,
        /// The name that was probably meant.
        near: Option<&'static str>,
    },
    /// A setting that faults do not have.
    #[error(
        "faults have no setting `{0}`; they have p, victim, overlap, after, connection, turn, first, by, code, limit"
    )]
    Setting(String),
    /// A setting about what is not known yet when the fault strikes, so that it never would.
    #[error("`{fault}` would never strike with `{setting}`, which is about what comes later")]
    Idle {
        /// The setting.
        setting: String,
        /// The fault.
        fault: &'static str,
    },
    /// A setting whose value cannot be read.
    #[error("`{setting}={value}` must be {must}")]
    Value {
        /// The setting.
        setting: String,
        /// As it was written.
        value: String,
        /// What it must be.
        must: &'static str,
    },
}

fn meant(near: &Option<&'static str>) -> String {
    near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"))
}

impl FromStr for Spec {
    type Err = SpecError;

    /// Reads `NAME` or `NAME:setting=value,...`.
    ///
    /// # Errors
    /// The name or a setting is not known, or a value is out of its range.
    fn from_str(text: &str) -> Result<Spec, SpecError> {
        let (name, settings) = text.trim().split_once(':').unwrap_or((text.trim(), ""));
        let fault = Fault::ALL.iter().find(|fault| fault.name() == name).ok_or_else(|| {
            let near = |fault: &&Fault| strsim::jaro_winkler(fault.name(), name);
            let best = Fault::ALL.iter().max_by(|a, b| near(a).total_cmp(&near(b))).filter(|best| near(best) > 0.8);
            SpecError::Unknown { name: name.to_owned(), near: best.map(|fault| fault.name()) }
        })?;
        let mut spec = Spec::always(*fault);
        for part in settings.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (setting, value) = part.split_once('=').unwrap_or((part, ""));
            if !known_when(fault.strikes(), setting) {
                return Err(SpecError::Idle { setting: setting.to_owned(), fault: fault.name() });
            }
            let wrong = |must| SpecError::Value { setting: setting.to_owned(), value: value.to_owned(), must };
            let count = || value.parse().ok().filter(|count| *count > 0).ok_or_else(|| wrong("a number from 1"));
            match setting {
                "p" => {
                    let share = value.parse().ok().filter(|p| (0.0..=1.0).contains(p));
                    spec.probability = share.ok_or_else(|| wrong("a number from 0 to 1"))?;
                }
                "victim" if !value.is_empty() => spec.victim = Some(value.to_owned()),
                "victim" => return Err(wrong("the email of a user")),
                "overlap" if value.is_empty() => spec.overlap = true,
                "overlap" => return Err(wrong("written without a value")),
                "after" => spec.after = value.parse().map_err(|_| wrong("a number from 0"))?,
                "connection" => spec.connection = Some(count()?),
                "turn" => spec.turn = Some(count()?),
                "first" => spec.first = Some(count()?),
                "by" => spec.by = duration(value).ok_or_else(|| wrong("a time such as 500ms or 2s"))?,
                "code" => {
                    let code = value.parse().ok().filter(|code| (1000..=4999).contains(code));
                    spec.code = Some(code.ok_or_else(|| wrong("a close code from 1000 to 4999"))?);
                }
                "limit" => spec.limit = count()? as usize,
                other => return Err(SpecError::Setting(other.to_owned())),
            }
        }
        Ok(spec)
    }
}

/// Whether what a condition is about is known when such faults strike.
fn known_when(strikes: Strikes, setting: &str) -> bool {
    match setting {
        "overlap" | "after" => strikes == Strikes::Run,
        "turn" => matches!(strikes, Strikes::Request | Strikes::Run),
        "connection" => matches!(strikes, Strikes::Connection | Strikes::Request | Strikes::Run),
        "victim" => !matches!(strikes, Strikes::Ready | Strikes::Door),
        _ => true,
    }
}

/// As [`duration`] reads it.
fn time(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms.is_multiple_of(1000) { format!("{}s", ms / 1000) } else { format!("{ms}ms") }
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let count: u64 = digits.parse().ok()?;
    match &text[digits.len()..] {
        "ms" => Some(Duration::from_millis(count)),
        "s" => Some(Duration::from_secs(count)),
        _ => None,
    }
}

/// What is known when a fault has a chance to strike.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Chance<'a> {
    /// The user's email, once it is known.
    pub(super) email: Option<&'a str>,
    /// A run of another user is in flight.
    pub(super) overlap: bool,
    /// Runs that had begun before.
    pub(super) runs: u64,
    /// Which connection of the user it is, from 1; 0 where it is none.
    pub(super) connection: u64,
    /// Which request of the connection it is, from 1; 0 where it is none.
    pub(super) turn: u64,
}

/// The faults that are on. Draws come from a seed and the number of the chance, so that the same chances in the same order
/// are struck again.
#[derive(Debug, Default)]
pub(super) struct Faults {
    seed: u64,
    on: Vec<Armed>,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Armed {
    spec: Spec,
    chances: AtomicU64,
    struck: AtomicU64,
}

/// What some faults need to have seen: who connects for which time, and what others ask.
#[derive(Debug, Default)]
struct Seen {
    connections: BTreeMap<Arc<str>, u64>,
    asked: BTreeMap<Arc<str>, Asked>,
    /// The events of each user's last run, as they were sent.
    said: BTreeMap<Arc<str>, Vec<Utf8Bytes>>,
    runs: u64,
    /// Until when nobody may connect.
    tripped: Option<Instant>,
    /// Who came last with a token.
    came: Option<Arc<str>>,
}

/// What another user asked last.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) user_id: Arc<str>,
    pub(super) prompt: String,
    /// What was asked last of what was answered since.
    pub(super) answered: Option<String>,
    /// The run is in flight still.
    pub(super) in_flight: usize,
}

impl Faults {
    pub(super) fn new(on: Vec<Spec>, seed: u64) -> Faults {
        let armed = |spec| Armed { spec, chances: AtomicU64::new(0), struck: AtomicU64::new(0) };
        Faults { seed, on: on.into_iter().map(armed).collect(), seen: Mutex::default() }
    }

    /// Whether any fault is on, so that a healthy backend keeps no account of anything.
    pub(super) fn any(&self) -> bool {
        !self.on.is_empty()
    }

    /// Whether a fault is on, whenever it may strike.
    pub(super) fn is_on(&self, fault: Fault) -> bool {
        self.on.iter().any(|armed| armed.spec.fault == fault)
    }

    /// The fault as it is on, if it strikes now.
    pub(super) fn strike(&self, fault: Fault, chance: &Chance<'_>) -> Option<&Spec> {
        let index = self.on.iter().position(|armed| armed.spec.fault == fault && fits(&armed.spec, chance))?;
        self.draw(index).then(|| &self.on[index].spec)
    }

    /// Those faults of a kind that strike now, in the order in which they were switched on.
    pub(super) fn strike_all(&self, strikes: Strikes, chance: &Chance<'_>) -> Vec<&Spec> {
        let fit = |armed: &Armed| armed.spec.fault.strikes() == strikes && fits(&armed.spec, chance);
        let struck = self.on.iter().enumerate().filter(|(_, armed)| fit(armed));
        struck.filter(|(index, _)| self.draw(*index)).map(|(_, armed)| &armed.spec).collect()
    }

    fn draw(&self, index: usize) -> bool {
        let armed = &self.on[index];
        let chance = armed.chances.fetch_add(1, Ordering::Relaxed);
        let drawn = super::mixed(super::mixed(self.seed ^ ((index as u64) << 48)) ^ chance) as f64 / u64::MAX as f64;
        if drawn > armed.spec.probability || armed.spec.probability == 0.0 {
            return false;
        }
        armed.spec.first.is_none_or(|first| armed.struck.fetch_add(1, Ordering::Relaxed) < first)
    }

    /// From now on and until `until` nobody may connect.
    pub(super) fn trip(&self, until: Instant) {
        lock(&self.seen).tripped = Some(until);
    }

    /// Nobody may connect at `now`.
    pub(super) fn is_tripped(&self, now: Instant) -> bool {
        self.any() && lock(&self.seen).tripped.is_some_and(|until| now < until)
    }

    /// A user came with a token; says who came before, if that was another.
    pub(super) fn came_after(&self, user_id: &Arc<str>) -> Option<Arc<str>> {
        let before = lock(&self.seen).came.replace(Arc::clone(user_id));
        before.filter(|before| before != user_id)
    }

    /// Counts a connection of a user; which one it is, from 1.
    pub(super) fn connected(&self, user_id: &Arc<str>) -> u64 {
        if !self.any() {
            return 0;
        }
        let mut seen = lock(&self.seen);
        let count = seen.connections.entry(Arc::clone(user_id)).or_default();
        *count += 1;
        *count
    }

    /// A run begins: how many began before, and what another user asked last, preferring one whose run is in flight.
    pub(super) fn began(&self, user_id: &Arc<str>, prompt: &str) -> (u64, Option<Asked>) {
        if !self.any() {
            return (0, None);
        }
        let mut seen = lock(&self.seen);
        let before = seen.runs;
        seen.runs += 1;
        seen.said.remove(user_id);
        let own = seen.asked.entry(Arc::clone(user_id)).or_insert_with(|| Asked {
            user_id: Arc::clone(user_id),
            prompt: String::new(),
            answered: None,
            in_flight: 0,
        });
        own.prompt = prompt.to_owned();
        own.in_flight += 1;
        let others = || seen.asked.values().filter(|asked| asked.user_id != *user_id);
        (before, others().find(|asked| asked.in_flight > 0).or_else(|| others().next()).cloned())
    }

    /// An event of the user's run is sent.
    pub(super) fn says(&self, user_id: &Arc<str>, text: &Utf8Bytes) {
        if self.any() {
            lock(&self.seen).said.entry(Arc::clone(user_id)).or_default().push(text.clone());
        }
    }

    /// The events of the user's last run.
    pub(super) fn said(&self, user_id: &str) -> Vec<Utf8Bytes> {
        lock(&self.seen).said.get(user_id).cloned().unwrap_or_default()
    }

    /// The events of the last run of whoever else had one.
    pub(super) fn said_by_another(&self, user_id: &str) -> Vec<Utf8Bytes> {
        let seen = lock(&self.seen);
        let others = seen.said.iter().filter(|(other, said)| ***other != *user_id && !said.is_empty());
        others.map(|(_, said)| said.clone()).next().unwrap_or_default()
    }

    pub(super) fn ended(&self, user_id: &str) {
        if self.any()
            && let Some(asked) = lock(&self.seen).asked.get_mut(user_id)
        {
            asked.in_flight -= 1;
            asked.answered = Some(asked.prompt.clone());
        }
    }
}

fn fits(spec: &Spec, chance: &Chance<'_>) -> bool {
    spec.victim.as_deref().is_none_or(|victim| chance.email == Some(victim))
        && (!spec.overlap || chance.overlap)
        && chance.runs >= spec.after
        && spec.connection.is_none_or(|connection| connection == chance.connection)
        && spec.turn.is_none_or(|turn| turn == chance.turn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_name_of_its_own_and_says_what_it_is() {
        let mut names: Vec<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Fault::ALL.len());
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(Spec::always(*fault)));
            let words = [fault.does(), fault.stands_for(), fault.noticed()];
            assert!(words.iter().all(|text| !text.is_empty() && !text.ends_with('.')), "{fault:?}");
        }
    }

    #[test]
    fn a_spec_reads_as_it_is_written() {
        for text in [
            "cut",
            "leak-copy:p=0.02,victim=qa3@example.com,overlap",
            "close:after=3,connection=2,turn=1,first=5,code=1011",
            "slow-tool:by=250ms",
            "slow-tool:by=60s",
            "evict:limit=7",
        ] {
            assert_eq!(text.parse::<Spec>().unwrap().to_string(), text);
        }
        assert_eq!("slow-tool:by=2s".parse::<Spec>().unwrap().by, Duration::from_secs(2));
    }

    #[test]
    fn what_is_wrong_with_a_spec_is_said() {
        for (text, message) in [
            (
                "drop-complete",
                "there is no fault `drop-complete` (did you mean `drop-completed`?); `goldenpath serve --list-faults` lists them",
            ),
            ("???", "there is no fault `???`; `goldenpath serve --list-faults` lists them"),
            ("cut:p=2", "`p=2` must be a number from 0 to 1"),
            ("cut:turn=0", "`turn=0` must be a number from 1"),
            ("cut:by=soon", "`by=soon` must be a time such as 500ms or 2s"),
            ("close:code=7", "`code=7` must be a close code from 1000 to 4999"),
            ("cut:victim", "`victim=` must be the email of a user"),
            ("garbage:overlap", "`garbage` would never strike with `overlap`, which is about what comes later"),
            (
                "login-slow:connection=2",
                "`login-slow` would never strike with `connection`, which is about what comes later",
            ),
            ("not-ready:victim=a@x", "`not-ready` would never strike with `victim`, which is about what comes later"),
            (
                "cut:when=late",
                "faults have no setting `when`; they have p, victim, overlap, after, connection, turn, first, by, code, limit",
            ),
        ] {
            assert_eq!(text.parse::<Spec>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_fault_strikes_where_its_conditions_hold_and_nowhere_else() {
        let plain = Chance { email: Some("ann@x"), overlap: false, runs: 3, connection: 1, turn: 1 };
        for (text, strikes) in [
            ("cut", true),
            ("cut:p=0", false),
            ("cut:victim=ann@x", true),
            ("cut:victim=bob@x", false),
            ("cut:overlap", false),
            ("cut:after=3", true),
            ("cut:after=4", false),
            ("cut:connection=1,turn=1", true),
            ("cut:connection=2", false),
            ("cut:turn=2", false),
        ] {
            let faults = Faults::new(vec![text.parse().unwrap()], 7);
            assert_eq!(faults.strike(Fault::Cut, &plain).is_some(), strikes, "{text}");
            assert!(faults.strike(Fault::Stall, &plain).is_none());
        }
    }

    #[test]
    fn a_probability_is_kept_and_repeats_with_its_seed() {
        let struck = |seed| -> Vec<bool> {
            let faults = Faults::new(vec!["cut:p=0.3".parse().unwrap()], seed);
            (0..1000).map(|_| !faults.strike_all(Strikes::Run, &Chance::default()).is_empty()).collect()
        };
        let count = struck(1).iter().filter(|struck| **struck).count();
        // 300 expected, standard deviation 14.5: five of them on either side.
        assert!((228..=372).contains(&count), "{count}");
        assert_eq!(struck(1), struck(1));
        assert_ne!(struck(1), struck(2));
        let faults = Faults::new(vec!["cut:first=2".parse().unwrap()], 1);
        let strikes = (0..5).filter(|_| faults.strike(Fault::Cut, &Chance::default()).is_some()).count();
        assert_eq!(strikes, 2);
    }

    #[test]
    fn what_others_ask_is_seen_and_those_in_flight_come_first() {
        let faults = Faults::new(vec![Spec::always(Fault::LeakContent)], 1);
        let [ann, bob, eve]: [Arc<str>; 3] = ["ann".into(), "bob".into(), "eve".into()];
        assert!(faults.began(&ann, "a").1.is_none());
        assert_eq!(faults.began(&bob, "b").1.unwrap().prompt, "a");
        faults.ended("ann");
        let (runs, other) = faults.began(&eve, "e");
        assert_eq!((runs, other.unwrap().prompt.as_str()), (2, "b"));
        assert_eq!((faults.connected(&ann), faults.connected(&ann), faults.connected(&bob)), (1, 2, 1));
    }
}
