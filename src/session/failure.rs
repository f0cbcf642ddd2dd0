//! The words for what went wrong on the network.
//!
//! No judgement: whether a failure matters is `check`'s to say.

use std::error::Error;

use crate::time::Micros;
use crate::trace::NetFailure;

/// A failure with all its causes, as lower-case fragments: `error sending request: connection refused (os error 111)`.
///
/// Some libraries repeat the cause in their own text; a cause that was already said is left out.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = fragment(&error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = fragment(&error.to_string());
        if !text.to_lowercase().contains(&more.to_lowercase()) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

/// The connection did not serve: refused, reset, ended.
pub(super) fn failed(doing: String, error: &(dyn Error + 'static)) -> NetFailure {
    NetFailure { doing, error: chain(error), hung: false }
}

/// The connection stood and nothing came, or nothing was taken.
pub(super) fn hung(doing: String, timeout: Micros) -> NetFailure {
    NetFailure { doing, error: format!("nothing within {timeout}"), hung: true }
}

/// Lower case at the beginning, unless the first word is an abbreviation or a name (`HTTP`, `TLS`), and no period.
fn fragment(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && !second.is_uppercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("Cannot go on: {0}")]
    struct Repeating(#[source] io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("TLS is not ready.")]
    struct Silent(#[source] io::Error);

    #[test]
    fn a_cause_is_named_once_and_in_lower_case() {
        let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "Connection refused");
        assert_eq!(chain(&Repeating(refused())), "cannot go on: Connection refused");
        assert_eq!(chain(&Silent(refused())), "TLS is not ready: connection refused");
    }
}
