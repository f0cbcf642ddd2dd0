//! Values that only scenarios hold: names that stand in paths and on command lines, and days.

use serde_json::{Value as Json, json};

use crate::document::decode::Definitions;
use crate::document::diagnostic::quote;
use crate::document::{Context, Decode, Node};
use crate::expect::Date;

/// The name of a scenario or a tag: it stands in paths, reports and on command lines, so it is one plain word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub String);

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

/// A day of the calendar.
#[derive(Debug, Clone, Copy)]
pub struct Day(pub Date);

impl Decode for Day {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let Some(text) = node.text() else {
            return cx.expected_with_help(node, "a day", Some("write for example `2026-12-31`".to_owned()));
        };
        match text.parse() {
            Ok(date) => Some(Self(date)),
            Err(why) => {
                let mistake = cx.mistake(node, format!("{} is not a day", quote(text))).note(why);
                cx.report(mistake);
                None
            }
        }
    }

    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "examples": ["2026-12-31"] })
    }
}

#[cfg(test)]
mod tests {
    use regex::Regex;

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
