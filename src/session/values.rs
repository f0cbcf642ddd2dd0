//! What `${name}` stands for, for one user at one moment.
//!
//! Which names exist when is enforced before any traffic (`scenario`, `target`); here they only have values. A name without
//! one is the caller's to deal with. Secrets are values like others: what is sent may hold them, what is told may not.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use litemap::LiteMap;
use serde_json::Value as Json;
use uuid::Uuid;

use super::clock::Clock;
use super::steps::ANSWER;
use crate::check::EMAIL;
use crate::document::text::HoleValue;
use crate::plan::{Ids, PlannedUser};

/// What is the same for all users.
#[derive(Debug, Clone, Default)]
pub struct Shared {
    /// The process's variables that texts ask for.
    pub variables: BTreeMap<String, String>,
    /// Where paths of steps begin, without a slash at the end.
    pub http: String,
    /// The address of the WebSocket.
    pub socket: String,
    /// What the `ready` steps captured, once they are done.
    pub captured: OnceLock<BTreeMap<String, Json>>,
}

/// The product's own names, which every user has: their values are found without a search.
const OWN: [&str; 11] = [
    "user.index",
    "user.number",
    EMAIL,
    "user.password",
    "iteration",
    "canary",
    "thread_id",
    "run_id",
    "turn",
    "prompt",
    ANSWER,
];

/// The values of one user.
#[derive(Debug)]
pub struct Values {
    shared: Arc<Shared>,
    clock: Clock,
    ids: RefCell<Ids>,
    /// By their places in `OWN`.
    own: [Option<Given>; OWN.len()],
    /// What was captured. `None` of a name whose value was taken away: most of them come back.
    captured: LiteMap<Box<str>, Option<Given>>,
    counter: Cell<u64>,
}

/// A value as it is kept: there are many users, and a JSON value takes four times the room of a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// A text.
    Text(Box<str>),
    /// An integer without a sign.
    Number(u64),
    /// Anything else.
    Json(Box<Json>),
}

impl Given {
    fn value(&self) -> HoleValue<'_> {
        match self {
            Given::Text(text) => (&**text).into(),
            Given::Number(number) => HoleValue::Number(*number),
            Given::Json(json) => (&**json).into(),
        }
    }
}

impl From<Json> for Given {
    fn from(json: Json) -> Given {
        match json {
            Json::String(text) => text.into(),
            Json::Number(number) if let Some(number) = number.as_u64() => Given::Number(number),
            json => Given::Json(Box::new(json)),
        }
    }
}

impl From<String> for Given {
    fn from(text: String) -> Given {
        Given::Text(text.into())
    }
}

impl From<u32> for Given {
    fn from(number: u32) -> Given {
        Given::Number(number.into())
    }
}

impl Values {
    /// Of a user that has done nothing yet.
    pub fn new(shared: Arc<Shared>, clock: Clock, ids: Ids, user: PlannedUser) -> Values {
        let (own, captured) = (Default::default(), LiteMap::new());
        let mut values = Values { shared, clock, ids: RefCell::new(ids), own, captured, counter: Cell::new(0) };
        values.set("user.index", user.index);
        values.set("user.number", user.person().0);
        values
    }

    /// Gives `name` a value.
    pub fn set(&mut self, name: &str, value: impl Into<Given>) {
        self.change(name, Some(value.into()));
    }

    /// Takes the value of `name` away.
    pub fn unset(&mut self, name: &str) {
        self.take(name);
    }

    /// Gives `name` another value, or none; says what it was.
    fn change(&mut self, name: &str, value: Option<Given>) -> Option<Given> {
        match self.place(name) {
            Some(known) => std::mem::replace(known, value),
            None => self.captured.insert(name.into(), value).flatten(),
        }
    }

    /// Where the value of `name` is kept, if it ever had one.
    fn place(&mut self, name: &str) -> Option<&mut Option<Given>> {
        match own(name) {
            Some(own) => Some(&mut self.own[own]),
            None => self.captured.get_mut(name),
        }
    }

    /// Other values for these names, until they are put back; says what they were.
    pub(super) fn replace(&mut self, values: &[(String, Json)]) -> Vec<(String, Option<Given>)> {
        let mut replaced = Vec::new();
        for (name, value) in values {
            replaced.push((name.clone(), self.change(name, Some(value.clone().into()))));
        }
        replaced
    }

    /// Takes the value of `name` away and says what it was.
    pub(super) fn take(&mut self, name: &str) -> Option<Given> {
        self.place(name)?.take()
    }

    /// Undoes [`Values::replace`].
    pub(super) fn put_back(&mut self, replaced: Vec<(String, Option<Given>)>) {
        for (name, value) in replaced.into_iter().rev() {
            self.change(&name, value);
        }
    }

    /// What has been given a value.
    pub(super) fn given(&self) -> Vec<(String, Json)> {
        let own = OWN.into_iter().zip(&self.own);
        let all = own.chain(self.captured.iter().map(|(name, value)| (&**name, value)));
        all.filter_map(|(name, value)| Some((name.to_owned(), value.as_ref()?.value().into_json()))).collect()
    }

    /// Whether a name is about a run: what was asked in it, and answered.
    pub(super) fn of_run(name: &str) -> bool {
        ["prompt", ANSWER].contains(&name)
    }

    /// A new connection counts its messages from 1.
    pub fn restart_counter(&self) {
        self.counter.set(0);
    }

    /// A message is about to be made.
    pub fn count_message(&self) {
        self.counter.set(self.counter.get() + 1);
    }

    /// A new id of this user's own.
    pub fn uuid(&self) -> String {
        let uuid = self.ids.borrow_mut().uuid();
        uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned()
    }

    /// 16 hexadecimal digits of this user's own.
    pub fn nonce(&self) -> String {
        format!("{:016x}", self.bits())
    }

    /// 64 bits of this user's own.
    pub fn bits(&self) -> u64 {
        self.ids.borrow_mut().bits()
    }

    /// The value of `name`, if it has one. `uuid` and `nonce` are new each time.
    pub fn get(&self, name: &str) -> Option<HoleValue<'_>> {
        if let Some(own) = own(name) {
            return self.own[own].as_ref().map(Given::value);
        }
        Some(match name {
            "uuid" => self.uuid().into(),
            "nonce" => self.nonce().into(),
            "counter" => HoleValue::Number(self.counter.get()),
            "now.ms" => HoleValue::Number(self.now_us() / 1_000),
            "now.iso" => iso(self.now_us()).into(),
            "target.http" => self.shared.http.as_str().into(),
            "target.socket" => self.shared.socket.as_str().into(),
            _ => match name.strip_prefix("env.") {
                Some(variable) => self.shared.variables.get(variable)?.as_str().into(),
                None => match self.captured.get(name).and_then(Option::as_ref) {
                    Some(captured) => captured.value(),
                    None => self.shared.captured.get()?.get(name)?.into(),
                },
            },
        })
    }

    fn now_us(&self) -> u64 {
        self.clock.wall(self.clock.now())
    }
}

/// The place of `name` among the product's own.
#[inline]
fn own(name: &str) -> Option<usize> {
    OWN.iter().position(|own| *own == name)
}

/// RFC 3339 in UTC with milliseconds.
fn iso(unix_us: u64) -> String {
    let millis = i64::try_from(unix_us / 1_000).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).map_or_else(|_| String::new(), |instant| format!("{instant:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{ExecutionId, UserNumber};
    use crate::plan::Plan;
    use crate::scenario::load::Load;

    fn values() -> Values {
        let execution = ExecutionId(1);
        let plan = Plan {
            personas: vec![],
            witnesses: 0,
            seed: 1,
            execution,
            users: 1,
            first: 7,
            only: vec![],
            load: Load::default(),
            turns: 1,
            fresh: true,
            threads: 1,
        };
        let shared = Shared {
            variables: [("STAGE".to_owned(), "blue".to_owned())].into(),
            http: "http://127.0.0.1:1".to_owned(),
            ..Shared::default()
        };
        let user = PlannedUser::new(0, UserNumber(7));
        Values::new(Arc::new(shared), Clock::start(), plan.ids(user.number), user)
    }

    #[test]
    fn names_have_the_values_of_their_user_and_moment() {
        let mut values = values();
        assert_eq!(values.get("user.number"), Some(HoleValue::Number(7)));
        assert_eq!(values.get("env.STAGE"), Some("blue".into()));
        assert_eq!(values.get("env.OTHER"), None);
        assert_eq!(values.get("token"), None);
        values.set("token", Json::from("abc"));
        assert_eq!(values.get("token"), Some("abc".into()));
        let given = [("user.index", 0.into()), ("user.number", 7.into()), ("token", Json::from("abc"))];
        assert_eq!(values.given(), given.map(|(name, value)| (name.to_owned(), value)));
        values.unset("token");
        assert_eq!(values.get("token"), None);
        assert_ne!(values.get("uuid"), values.get("uuid"), "each is new");
        values.count_message();
        assert_eq!(values.get("counter"), Some(HoleValue::Number(1)));
    }

    #[test]
    fn instants_are_rfc_3339() {
        assert_eq!(iso(1_757_239_200_123_456), "2025-09-07T10:00:00.123Z");
    }
}
