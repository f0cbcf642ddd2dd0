//! Which `${names}` have a value when: one table, and what steps capture on the way.
//!
//! Texts are checked in the order in which they are filled in, so that a name captured later is told apart from one that
//! does not exist. Where values come from is `session`'s business.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::context::{closest, listing};
use crate::document::text::{Hole, Text};
use crate::document::{Context, Diagnostic, Span};

/// When a text is filled in, in the order of an execution; headers for all steps come first because they are checked with
/// everything that will ever be captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Moment {
    /// `http.base`: once, before anything.
    Base,
    /// `http.headers`: with each request, as far as the names have values.
    Headers,
    /// Matchers of frames: compared with as soon as the names have values, which they are checked to get at all.
    Frame,
    /// `ready`: once, without any user.
    Ready,
    /// `login`.
    Login,
    /// `prepare`.
    Prepare,
    /// `socket`, `connect.subprotocols`, `.headers`, `.query`, `.origin`: at the upgrade.
    Upgrade,
    /// `connect.script` and `heartbeats`: messages on a connection.
    Message,
    /// `ask`.
    Ask,
    /// `after`.
    After,
    /// `finally`.
    Finally,
    /// `refresh`: some time after `login`.
    Refresh,
}

use Moment::{After, Ask, Base, Finally, Frame, Headers, Login, Message, Prepare, Ready, Refresh, Upgrade};

/// A name that has a value without being captured.
struct Known {
    /// The name; one that ends in a dot is followed by any.
    name: &'static str,
    /// As messages show it.
    shown: &'static str,
    /// When it has a value.
    moments: &'static [Moment],
}

const ALWAYS: &[Moment] =
    &[Base, Headers, Frame, Ready, Login, Prepare, Upgrade, Message, Ask, After, Finally, Refresh];
const WITH_BASE: &[Moment] = &[Headers, Ready, Login, Prepare, Upgrade, Message, Ask, After, Finally, Refresh];
const WITH_SOCKET: &[Moment] = &[Message, Ask, After, Finally];
const WITH_USER: &[Moment] = &[Headers, Frame, Login, Prepare, Upgrade, Message, Ask, After, Finally, Refresh];
const WITH_ITERATION: &[Moment] = &[Frame, Prepare, Ask, After, Finally];
const WITH_TURN: &[Moment] = &[Frame, Ask, After, Finally];
const ON_CONNECTION: &[Moment] = &[Message, Ask];

/// The table.
const KNOWN: [Known; 17] = [
    Known { name: "env.", shown: "env.NAME", moments: ALWAYS },
    Known { name: "target.http", shown: "target.http", moments: WITH_BASE },
    Known { name: "target.socket", shown: "target.socket", moments: WITH_SOCKET },
    Known { name: "user.index", shown: "user.index", moments: WITH_USER },
    Known { name: "user.number", shown: "user.number", moments: WITH_USER },
    Known { name: "user.email", shown: "user.email", moments: WITH_USER },
    Known { name: "user.password", shown: "user.password", moments: WITH_USER },
    Known { name: "user.", shown: "user.COLUMN", moments: WITH_USER },
    Known { name: "uuid", shown: "uuid", moments: WITH_BASE },
    Known { name: "nonce", shown: "nonce", moments: WITH_BASE },
    Known { name: "now.ms", shown: "now.ms", moments: WITH_BASE },
    Known { name: "now.iso", shown: "now.iso", moments: WITH_BASE },
    Known { name: "thread_id", shown: "thread_id", moments: WITH_ITERATION },
    Known { name: "run_id", shown: "run_id", moments: WITH_TURN },
    Known { name: "prompt", shown: "prompt", moments: WITH_TURN },
    Known { name: "canary", shown: "canary", moments: WITH_TURN },
    Known { name: "counter", shown: "counter", moments: ON_CONNECTION },
];

/// A name that a step captures.
#[derive(Debug, Clone)]
pub(super) struct Captured {
    pub name: String,
    /// Where it was written.
    pub span: Span,
    /// What captures it: a step as reports name it, or a frame.
    pub from: String,
    pub moment: Moment,
    pub secret: bool,
    /// It is captured so that it is not shown, whether or not anything uses it: cookies are sent by themselves.
    pub guarded: bool,
}

/// What is captured in the whole profile, what of it has a value by now, and what was asked for.
#[derive(Debug, Default)]
pub(super) struct Scope {
    all: Vec<Captured>,
    /// How many of `all` have a value.
    reached: usize,
    used: BTreeSet<String>,
    needed: BTreeSet<String>,
    columns: BTreeMap<String, Span>,
    /// Names that have a value in the text that is looked at, and nowhere else.
    local: Vec<String>,
}

impl Scope {
    /// With everything that will be captured, in the order in which it happens.
    pub fn new(all: Vec<Captured>) -> Scope {
        Scope { all, ..Scope::default() }
    }

    /// Everything that will be captured.
    pub fn captured(&self) -> &[Captured] {
        &self.all
    }

    /// From now on these names, and no others, have a value beside those of the table.
    pub fn set_local(&mut self, names: Vec<String>) {
        self.local = names;
    }

    /// The next `count` captures have happened.
    pub fn advance(&mut self, count: usize) {
        self.reached += count;
    }

    /// Of all captures the first `reached` have happened; says how many had before.
    pub fn reach(&mut self, reached: usize) -> usize {
        std::mem::replace(&mut self.reached, reached)
    }

    /// How many captures have happened.
    pub fn reached(&self) -> usize {
        self.reached
    }

    /// Something other than a text needs the captured value.
    pub fn need(&mut self, name: &str) {
        self.used.insert(name.to_owned());
        self.needed.insert(name.to_owned());
    }

    /// Whether anything uses the name.
    pub fn is_used(&self, name: &str) -> bool {
        self.used.contains(name)
    }

    /// Whether anything uses the name and has no default for it.
    pub fn is_needed(&self, name: &str) -> bool {
        self.needed.contains(name)
    }

    /// The names behind `user.` that a scenario's list of users must have as columns, with a place that asks for each.
    pub fn into_columns(self) -> Vec<(String, Span)> {
        self.columns.into_iter().collect()
    }

    /// Reports the names in `text` that have no value at `moment`; whether all of them have one.
    pub fn check(&mut self, text: &Text, moment: Moment, cx: &mut Context) -> bool {
        let mut fine = true;
        for hole in text.holes() {
            self.used.insert(hole.name.clone());
            if hole.default.is_none() {
                self.needed.insert(hole.name.clone());
            }
            if let Some(problem) = self.problem(hole, moment) {
                cx.report(problem);
                fine = false;
            } else if let Some(column) = column_of(&hole.name) {
                self.columns.entry(column.to_owned()).or_insert(hole.span);
                let own = KNOWN.iter().map(|known| known.name).filter(|name| !name.ends_with('.'));
                if let Some(meant) = closest(&hole.name, own) {
                    let title = format!("`${{{}}}` is taken for a column of the scenario's users", hole.name);
                    cx.report(Diagnostic::warning(hole.span, title).help(format!("did you mean `${{{meant}}}`?")));
                }
            }
        }
        fine
    }

    fn problem(&self, hole: &Hole, moment: Moment) -> Option<Diagnostic> {
        let name = hole.name.as_str();
        let known = known(name);
        if known.is_some_and(|known| known.moments.contains(&moment)) {
            return None;
        }
        let visible = self.visible(moment);
        // What an ask captures has a value in the next one, and a heartbeat may come before what the script captures.
        let perhaps = |captured: &Captured| captured.name == name && captured.moment == moment;
        let perhaps = matches!(moment, Ask | Message) && hole.default.is_some() && self.all.iter().any(perhaps);
        if perhaps || self.local.iter().any(|local| local == name) {
            return None;
        }
        if known.is_none() && visible.iter().any(|captured| captured.name == name) {
            return None;
        }
        if let Some(known) = known {
            let mistake = Diagnostic::mistake(hole.span, format!("`${{{name}}}` has no value here"));
            let places = known.moments.iter().filter(|moment| **moment != Frame).map(|moment| moment.key());
            return Some(mistake.help(format!("it has one in {}", listing(places, "and"))));
        }
        if let Some(later) = self.all.iter().find(|captured| captured.name == name) {
            let mistake = Diagnostic::mistake(hole.span, format!("`${{{name}}}` has no value here yet"));
            let mistake = mistake.also(later.span, "captured here");
            return Some(mistake.help(match moment {
                Base => "the base must be known before anything is captured".to_owned(),
                Ask | Message if later.moment == moment => {
                    format!("it comes with {}; before that it needs a default: `${{{name}:-}}`", later.from)
                }
                _ => format!("it comes with {}", later.from),
            }));
        }
        let here: Vec<&Known> = KNOWN.iter().filter(|known| known.moments.contains(&moment)).collect();
        let captured: BTreeSet<&str> = visible.iter().map(|captured| captured.name.as_str()).collect();
        let candidates = here.iter().map(|known| known.name).filter(|name| !name.ends_with('.'));
        let meant = closest(name, candidates.chain(captured.iter().copied()));
        let all = listing(here.iter().map(|known| known.shown).chain(captured.iter().copied()), "and");
        let help = match meant {
            Some(meant) => format!("did you mean `${{{meant}}}`? names here are {all}"),
            None => format!("names here are {all}"),
        };
        Some(Diagnostic::mistake(hole.span, format!("`${{{name}}}` is not known here")).help(help))
    }

    fn visible(&self, moment: Moment) -> Vec<&Captured> {
        let (reached, later) = self.all.split_at(self.reached);
        match moment {
            Base => Vec::new(),
            Headers | Frame => reached.iter().chain(later).collect(),
            // It may come before anything but the login was done.
            Refresh => reached.iter().filter(|of| matches!(of.moment, Ready | Login | Refresh)).collect(),
            _ => reached.iter().collect(),
        }
    }
}

/// What is wrong with a name as the name of a captured value, and what to do.
pub(super) fn capture_problem(name: &str) -> Option<(&'static str, &'static str)> {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        return Some(("is not a name", "names of captured values are letters, digits, `_` and `-`"));
    }
    known(name).map(|_| ("is the harness's own name", "give the captured value another name"))
}

impl Moment {
    /// The key that texts of this moment stand under, for advice.
    fn key(self) -> &'static str {
        match self {
            Base => "http.base",
            Headers => "http.headers",
            Frame => "matchers",
            Ready => "ready",
            Login => "login",
            Prepare => "prepare",
            Upgrade => "connect",
            Message => "connect.script",
            Ask => "ask",
            After => "after",
            Finally => "finally",
            Refresh => "refresh.steps",
        }
    }
}

fn known(name: &str) -> Option<&'static Known> {
    let begins =
        |known: &Known| known.name.ends_with('.') && name.len() > known.name.len() && name.starts_with(known.name);
    KNOWN.iter().find(|known| known.name == name || begins(known))
}

/// What stands behind `user.` if it is none of the harness's own names.
fn column_of(name: &str) -> Option<&str> {
    known(name).filter(|known| known.name == "user.").and_then(|_| name.strip_prefix("user."))
}
