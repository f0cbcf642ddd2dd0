//! Shares of the users that behaved otherwise, as reports hold and say them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check;
use crate::finding::counted;

/// A share of the users that behaved otherwise; who was one follows from the seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Persona {
    /// What the scenario calls it.
    pub name: String,
    /// The share of all users that was planned, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub share: f64,
    /// How many users were it, in an iteration that ended with a verdict.
    pub users: u64,
    /// How many such iterations.
    pub iterations: u64,
}

impl Persona {
    pub(super) fn new(played: &check::Played) -> Persona {
        let check::Played { name, share, users, iterations } = played.clone();
        Persona { name, share, users, iterations }
    }
}

/// All of them in one line; `None` where there are none.
pub(super) fn line(personas: &[Persona]) -> Option<String> {
    let one = |persona: &Persona| {
        let (users, iterations) = (counted(persona.users, "user"), counted(persona.iterations, "iteration"));
        format!("{}: {users}, {iterations}", persona.name)
    };
    let all: Vec<String> = personas.iter().map(one).collect();
    (!all.is_empty()).then(|| all.join("; "))
}
