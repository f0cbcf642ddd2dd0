//! Texts as a reader sees them: JSON's escapes of plain characters taken back, and the words that could be an identity.
//!
//! Only for searching: whether the text is JSON, and where its strings end, is of no interest here.

use std::borrow::Cow;

/// How many words of an unusual text are looked at.
pub(super) const WORDS: usize = 64;
/// What is shorter, or consists of digits or of letters alone, may stand anywhere by chance.
const SHORTEST: usize = 8;
const LONGEST: usize = 128;

/// `text` with `\u0061` as `a`, likewise every escaped character from a space to `~`.
pub fn plain(text: &str) -> Cow<'_, str> {
    // A frame without a backslash is the rule, and this is the quickest way to know it.
    if memchr::memchr(b'\\', text.as_bytes()).is_none() || !text.contains("\\u00") {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\u00") {
        let code = rest.get(at + 4..at + 6).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let (before, after) = rest.split_at(at);
        plain.push_str(before);
        match code.filter(|code| (b' '..=b'~').contains(code)) {
            Some(code) => {
                plain.push(char::from(code));
                rest = &after[6..];
            }
            None => {
                plain.push_str(&after[..4]);
                rest = &after[4..];
            }
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// Words of a text that are made like identities, each as often as it stands there.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'@' | b'+');
    // They are ASCII, and so begin and end between characters.
    let words = text.as_bytes().split(move |byte| !inner(byte)).filter(|word| word.len() >= SHORTEST);
    let words = words.filter_map(|word| std::str::from_utf8(word).ok());
    let made_so = |word: &&str| {
        let (digits, letters) =
            (word.bytes().any(|b| b.is_ascii_digit()), word.bytes().any(|b| b.is_ascii_alphabetic()));
        (SHORTEST..=LONGEST).contains(&word.len()) && (digits && letters || word.contains('@'))
    };
    words.map(|word| word.trim_matches(['.', '-', '_', '+'])).filter(made_so)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_characters_are_read_through_their_escapes() {
        for (text, read) in [
            ("nothing \\n escaped", "nothing \\n escaped"),
            (r"\u0067p0\u007al1", "gp0zl1"),
            (r"\u00e9\u0061\u00", "\\u00e9a\\u00"),
            (r"twice \\u0061", "twice \\a"),
            (r"\u00é\u0041", r"\u00éA"),
            (r"\u0000\u007f", r"\u0000\u007f"),
        ] {
            assert_eq!(plain(text), read, "{text}");
        }
        assert!(matches!(plain("caf\\u00e9"), Cow::Owned(_)) && matches!(plain("a\\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn words_made_like_identities_are_told_from_others() {
        let text =
            "user u-858d7c6c99 (ann@example.com.) of 12345678, Traceback: id=550e8400-e29b-41d4-a716-446655440000";
        let found: Vec<&str> = words(text).collect();
        assert_eq!(found, ["u-858d7c6c99", "ann@example.com", "550e8400-e29b-41d4-a716-446655440000"]);
    }
}
