//! Which of several names another one probably spells in a different way.
//!
//! `agentStarted`, `agent.started` and `AGENT_STARTED` are one name in three manners; `agent_start` is close to it. It only
//! ever makes a suggestion: nothing is judged by likeness.

/// The name among `known` that `stranger` probably is.
pub fn alike<'k>(stranger: &str, known: &[&'k str]) -> Option<&'k str> {
    let wanted = plain(stranger);
    if wanted.is_empty() {
        return None;
    }
    // A quarter of the letters may differ: an ending (`started`, `start`), a slip, not another word.
    let allowed = wanted.len() / 4;
    let distances = known.iter().map(|name| (strsim::damerau_levenshtein(&wanted, &plain(name)), *name));
    distances.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// Letters and digits in lower case.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manners_of_spelling_are_seen_through() {
        let known = ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"];
        for (stranger, meant) in [
            ("agentStarted", Some("agent_started")),
            ("AGENT.STARTED", Some("agent_started")),
            ("agent_start", Some("agent_started")),
            ("ToolCompleted", Some("tool_completed")),
            ("agent_complete", Some("agent_completed")),
            ("RunStarted", None),
            ("reasoning", None),
            ("__", None),
        ] {
            assert_eq!(alike(stranger, &known), meant, "{stranger}");
        }
    }
}
