//! Values that only scenarios hold: names that become folders, patterns for answers.

use regex::{Regex, RegexBuilder};
use serde_json::{Value as Json, json};

use crate::document::decode::Definitions;
use crate::document::diagnostic::quote;
use crate::document::{Context, Decode, Node};

/// The name of a scenario or a tag: it stands in paths, reports and on command lines, so it is one plain word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub String);

/// A regular expression that is searched for in an answer.
#[derive(Debug, Clone)]
pub struct Pattern(pub Regex);

impl Name {
    const LONGEST: usize = 64;
    const SHAPE: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";

    fn is_one(text: &str) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        text.len() <= Self::LONGEST && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(plain)
    }

    /// What was probably meant, as a name.
    fn near(text: &str) -> String {
        let mut near = String::new();
        for c in text.trim().chars() {
            match c {
                c if c.is_ascii_alphanumeric() || (matches!(c, '.' | '_' | '-') && !near.is_empty()) => near.push(c),
                _ if near.is_empty() || near.ends_with('-') => {}
                _ => near.push('-'),
            }
        }
        near.truncate(Self::LONGEST);
        near.trim_end_matches('-').to_owned()
    }
}

impl Decode for Name {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = String::decode(node, cx)?;
        if Self::is_one(&text) {
            return Some(Self(text));
        }
        let mistake = cx.mistake(node, format!("{} is not a name", quote(&text)));
        let rule = format!("names are up to {} letters, digits, `.`, `_` and `-`", Self::LONGEST);
        cx.report(match Self::near(&text) {
            near if near.is_empty() => mistake.help(rule),
            near => mistake.note(rule).help(format!("write for example `{near}`")),
        });
        None
    }

    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "string", "pattern": Self::SHAPE })
    }
}

impl Pattern {
    /// A compiled pattern may take this much memory, in bytes: enough for long lists of words, too little to hurt.
    const SIZE_LIMIT: usize = 1 << 20;
}

impl Decode for Pattern {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = String::decode(node, cx)?;
        match RegexBuilder::new(&text).size_limit(Self::SIZE_LIMIT).build() {
            Ok(regex) => Some(Self(regex)),
            Err(error) => {
                let mistake = cx.mistake(node, format!("{} is not a regular expression", quote(&text)));
                cx.report(mistake.note(reason(&error)).help("syntax: https://docs.rs/regex/#syntax"));
                None
            }
        }
    }

    fn schema(_: &mut Definitions) -> Json {
        // Not `format: regex`: that is the dialect of ECMA-262.
        json!({ "type": "string" })
    }
}

/// The last line of what the library says: the others repeat the pattern with a caret of their own.
fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "it takes more than 1 MiB when compiled".to_owned(),
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_plain_word_and_the_schema_says_the_same() {
        let shape = Regex::new(Name::SHAPE).expect("a pattern");
        for (text, good) in [
            ("smoke", true),
            ("v1.2_x-y", true),
            ("", false),
            (".hidden", false),
            ("../etc", false),
            ("two words", false),
            (&"x".repeat(64), true),
            (&"x".repeat(65), false),
        ] {
            assert_eq!((Name::is_one(text), shape.is_match(text)), (good, good), "{text}");
        }
    }

    #[test]
    fn what_is_no_name_gets_one_suggested() {
        assert_eq!(Name::near(" Golden path / nightly "), "Golden-path-nightly");
        assert_eq!(Name::near("../etc"), "etc");
        assert_eq!(Name::near("???"), "");
    }
}
