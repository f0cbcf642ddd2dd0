//! Which `${...}` names exist in which text of a scenario (one table; `compile` enforces it), and what rules are called.
//!
//! What the names mean is filled in by the session; texts of a target profile have a table of their own there.

use crate::document::Context;
use crate::document::text::Text;
use crate::rule::Rule;

/// The names a kind of text may use.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// Complete names.
    pub names: &'static [&'static str],
    /// Beginnings after which any name may follow.
    pub prefixes: &'static [&'static str],
}

/// `ask.prompt`. A password is not among them: prompts are recorded.
pub const PROMPT: Names = Names { names: PROMPT_NAMES, prefixes: &["env."] };

/// `ask.prompt` where users stand in a file, whose columns are behind `user.`.
pub const PROMPT_OF_FILE: Names = Names { names: PROMPT_NAMES, prefixes: &["env.", "user."] };

const PROMPT_NAMES: &[&str] = &[
    "canary",
    "user.number",
    "user.index",
    "user.email",
    "iteration",
    "thread_id",
    "run_id",
    "uuid",
    "nonce",
    "now.ms",
    "now.iso",
];

/// `users.email` and a `users.password` that is written as text.
pub const CREDENTIALS: Names = Names { names: &["user.number", "user.index"], prefixes: &["env."] };

/// `target.http` and `target.socket`, which are known before there is a user.
pub const ADDRESS: Names = Names { names: &[], prefixes: &["env."] };

impl Names {
    /// Whether a name exists there.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(&name) || self.prefixes.iter().any(|prefix| name.starts_with(prefix))
    }

    /// Reports every name in `text` that does not exist there.
    pub fn check(&self, text: &Text, cx: &mut Context) {
        text.check_names(self.names, self.prefixes, cx);
    }
}

/// The column of a file of users that a name in a prompt means, if it means one.
pub fn column(name: &str) -> Option<&str> {
    if PROMPT.names.contains(&name) { None } else { name.strip_prefix("user.") }
}

/// Whether `text` differs from user to user.
pub fn varies_by_user(text: &Text) -> bool {
    text.holes().any(|hole| hole.name.starts_with("user."))
}

/// Whether `text` holds `${name}`.
pub fn uses(text: &Text, name: &str) -> bool {
    text.holes().any(|hole| hole.name == name)
}

/// The rule of this code or name.
pub fn rule(name: &str) -> Option<Rule> {
    Rule::ALL.iter().copied().find(|rule| rule.code().eq_ignore_ascii_case(name) || rule.name() == name)
}
