//! What stands in a recording beside its tapes: under which circumstances, by which scenario and profile, with which end.
//!
//! Scenario and profile are written down as they were used, without passwords, and compiled again by whoever judges. What a
//! judge is told and how blocks are spelled is `trace`'s.

use serde::{Deserialize, Serialize};

use super::load::Loaded;
use crate::document::tree::{Scalar, Value};
use crate::document::{Node, Resolved, Sources};
use crate::report::{Context, Report};
use crate::session::recorder::Keep;

/// What was to be done. Its JSON is the content of the first block.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Header {
    /// As far as they were known when the execution began.
    pub circumstances: Context,
    /// How many users take part.
    pub participants: u32,
    /// The size of the file in bytes up to which everything is kept; null without end.
    pub everything_up_to: Option<u64>,
    /// The scenario, overrides included.
    pub scenario: Resolved,
    /// The target profile, its environment included.
    pub profile: Resolved,
}

/// What came of it. Its JSON is the content of the last block.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct End {
    /// The report as it was made live.
    pub report: Report,
}

/// What stands in place of what a recording must not hold.
const HIDDEN: &str = "(hidden)";

impl Header {
    /// Of an execution that is about to begin.
    pub fn new(loaded: &Loaded, sources: &Sources, circumstances: Context, participants: u32, keep: Keep) -> Header {
        let (mut scenario, mut profile) =
            (without_environments(&loaded.tree), without_environments(&loaded.target.tree));
        hide_password(&mut scenario);
        for part in ["http", "ready", "login", "prepare", "connect", "after", "finally"] {
            if let Some(part) = member(&mut profile, part) {
                hide_typed(part, false);
            }
        }
        Header {
            circumstances,
            participants,
            everything_up_to: match keep {
                Keep::All => None,
                Keep::Failures => Some(0),
                Keep::AllUpTo(bytes) => Some(bytes),
            },
            scenario: Resolved::of(&scenario, sources),
            profile: Resolved::of(&profile, sources),
        }
    }
}

/// The chosen one is part of the tree; the others were not used.
fn without_environments(tree: &Node) -> Node {
    let mut tree = tree.clone();
    if let Value::Map(entries) = &mut tree.value {
        entries.retain(|entry| entry.key.text != "environments");
    }
    tree
}

/// A password that was written, also the one for loopback; names of variables and files are none.
fn hide_password(scenario: &mut Node) {
    let Some(users) = member(scenario, "users") else { return };
    let Some(password) = member(users, "password") else { return };
    match &mut password.value {
        Value::Map(_) => {
            if let Some(text) = member(password, "on_loopback") {
                hide(text);
            }
        }
        _ => hide(password),
    }
}

/// Whether what stands under a key of this name is usually a secret.
pub(super) fn names_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let words = ["authorization", "cookie", "key", "password", "secret", "token"];
    words.iter().any(|word| key.contains(word))
}

/// Hides values that were typed into headers, queries and bodies under names of secrets. What variables and captures fill in
/// is not there to be hidden; a default is.
fn hide_typed(node: &mut Node, within: bool) {
    match &mut node.value {
        Value::Map(entries) => {
            for entry in entries {
                let key = entry.key.text.as_str();
                let typed = |text: &str| !text.contains("${") || text.contains(":-");
                match entry.value.text() {
                    Some(text) if within && names_secret(key) && typed(text) => hide(&mut entry.value),
                    _ => {
                        let within = within || ["headers", "query", "json", "form"].contains(&key);
                        hide_typed(&mut entry.value, within);
                    }
                }
            }
        }
        Value::List(items) => items.iter_mut().for_each(|item| hide_typed(item, within)),
        _ => {}
    }
}

fn hide(node: &mut Node) {
    node.value = Value::Text(Scalar::new(HIDDEN));
}

fn member<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    match &mut node.value {
        Value::Map(entries) => entries.iter_mut().find(|entry| entry.key.text == key).map(|entry| &mut entry.value),
        _ => None,
    }
}
