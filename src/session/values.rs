//! What `${name}` stands for, for one user at one moment.
//!
//! Which names exist when is enforced before any traffic (`scenario`, `target`); here they only have values. A name without
//! one is the caller's to deal with. Secrets are values like others: what is sent may hold them, what is told may not.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use litemap::LiteMap;
use serde_json::Value as Json;

use super::clock::Clock;
use super::steps::ANSWER;
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

/// How many names most users have: ten of the product's own, and what a login captures.
const USUAL: usize = 12;

/// The values of one user.
#[derive(Debug)]
pub struct Values {
    shared: Arc<Shared>,
    clock: Clock,
    ids: RefCell<Ids>,
    /// `None` of a name whose value was taken away: most of them come back.
    named: LiteMap<String, Option<Json>>,
    counter: Cell<u64>,
}

impl Values {
    /// Of a user that has done nothing yet.
    pub fn new(shared: Arc<Shared>, clock: Clock, ids: Ids, user: PlannedUser) -> Values {
        let named = LiteMap::with_capacity(USUAL);
        let mut values = Values { shared, clock, ids: RefCell::new(ids), named, counter: Cell::new(0) };
        values.set("user.index", user.index);
        values.set("user.number", user.person().0);
        values
    }

    /// Gives `name` a value.
    pub fn set(&mut self, name: &str, value: impl Into<Json>) {
        self.change(name, Some(value.into()));
    }

    /// Takes the value of `name` away.
    pub fn unset(&mut self, name: &str) {
        self.take(name);
    }

    /// Gives `name` another value, or none; says what it was.
    fn change(&mut self, name: &str, value: Option<Json>) -> Option<Json> {
        match self.named.get_mut(name) {
            Some(known) => std::mem::replace(known, value),
            None => {
                self.named.insert(name.to_owned(), value);
                None
            }
        }
    }

    /// Other values for these names, until they are put back; says what they were.
    pub(super) fn replace(&mut self, values: &[(String, Json)]) -> Vec<(String, Option<Json>)> {
        let mut replaced = Vec::new();
        for (name, value) in values {
            replaced.push((name.clone(), self.change(name, Some(value.clone()))));
        }
        replaced
    }

    /// Takes the value of `name` away and says what it was.
    pub(super) fn take(&mut self, name: &str) -> Option<Json> {
        self.named.get_mut(name)?.take()
    }

    /// Undoes [`Values::replace`].
    pub(super) fn put_back(&mut self, replaced: Vec<(String, Option<Json>)>) {
        for (name, value) in replaced.into_iter().rev() {
            self.change(&name, value);
        }
    }

    /// What has been given a value.
    pub(super) fn given(&self) -> Vec<(String, Json)> {
        self.named.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect()
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
        self.ids.borrow_mut().uuid().to_string()
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
    pub fn get(&self, name: &str) -> Option<Cow<'_, Json>> {
        let text = |text: &str| Cow::Owned(Json::from(text));
        Some(match name {
            "uuid" => Cow::Owned(self.uuid().into()),
            "nonce" => Cow::Owned(self.nonce().into()),
            "counter" => Cow::Owned(self.counter.get().into()),
            "now.ms" => Cow::Owned((self.now_us() / 1_000).into()),
            "now.iso" => Cow::Owned(iso(self.now_us()).into()),
            "target.http" => text(&self.shared.http),
            "target.socket" => text(&self.shared.socket),
            _ => match name.strip_prefix("env.") {
                Some(variable) => text(self.shared.variables.get(variable)?),
                None => {
                    let own = self.named.get(name).and_then(Option::as_ref);
                    Cow::Borrowed(own.or_else(|| self.shared.captured.get()?.get(name))?)
                }
            },
        })
    }

    fn now_us(&self) -> u64 {
        self.clock.wall(self.clock.now())
    }
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
        assert_eq!(values.get("user.number").as_deref(), Some(&Json::from(7)));
        assert_eq!(values.get("env.STAGE").as_deref(), Some(&Json::from("blue")));
        assert_eq!(values.get("env.OTHER"), None);
        assert_eq!(values.get("token"), None);
        values.set("token", "abc");
        assert_eq!(values.get("token").as_deref(), Some(&Json::from("abc")));
        values.unset("token");
        assert_eq!(values.get("token"), None);
        assert_ne!(values.get("uuid"), values.get("uuid"), "each is new");
        values.count_message();
        assert_eq!(values.get("counter").as_deref(), Some(&Json::from(1)));
    }

    #[test]
    fn instants_are_rfc_3339() {
        assert_eq!(iso(1_757_239_200_123_456), "2025-09-07T10:00:00.123Z");
    }
}
