//! Text for people: hostile characters made visible, display widths, wrapping.
//!
//! What a target sends is printed by every format, so it must not move a cursor, set a colour, reorder a line or pass for
//! text of ours. Nothing here knows what the text says.

use std::borrow::Cow;
use std::fmt::Write as _;

use tabled::grid::util::string::get_char_width;

/// Spells out whatever does not stand for itself: control characters as `\n`, `\t`, `\r`, `\u{1b}`, and so invisible
/// characters and those that reorder text. All else, backslashes included, stays as it is; this is for eyes, not for
/// reading back.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_hostile(c) => write!(out, "\\u{{{:x}}}", u32::from(c)).expect("a string takes any text"),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Characters that act on a terminal or a reader instead of being seen.
///
/// Cc, the bidirectional controls of UAX #9, line and paragraph separators, and what Unicode 16 lists as
/// `Default_Ignorable_Code_Point` except the variation selectors of emoji. U+FFFE and U+FFFF are no characters, and XML 1.0
/// (section 2.2) refuses them.
pub(super) fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{fffe}'..='\u{ffff}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// `text` escaped, at most some `limit` bytes of it; a shortened one ends in ` ... (N bytes)`, N being what it had.
pub(super) fn bounded(text: &str, limit: usize) -> Cow<'_, str> {
    let beginning = escape(&text[..text.floor_char_boundary(limit)]);
    if text.len() <= limit && beginning.len() <= limit {
        return beginning;
    }
    let shown = &beginning[..beginning.floor_char_boundary(limit)];
    Cow::Owned(format!("{shown} ... ({} bytes)", text.len()))
}

/// Columns that escaped `text` takes, at most: terminals differ in how they join emoji, and a line that is too short does
/// less harm than one that is too long.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// `text`, cut to at most `width` columns; a cut text ends in `...`.
pub(super) fn clip(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(3);
    let mut out = beginning(text, room).to_owned();
    out.push_str(&"..."[..width.min(3)]);
    out
}

/// Divides `text` into lines of at most `width` columns, between words where it can; never none. A number stays with its
/// unit, and a word that fits no line is divided behind punctuation where there is some. A character that is wider than
/// `width` stands alone on a line that is too long.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    for word in words(text) {
        let mut word = word;
        let line = lines.last_mut().expect("there is always a line");
        let (begun, taken) = (!line.is_empty(), columns(line));
        if begun && taken + 1 + columns(word) <= width {
            line.push(' ');
            line.push_str(word);
            continue;
        }
        // A word that fits no line goes on in the rest of this one, where that is worth it and any character fits.
        let rest = width.saturating_sub(taken + 1);
        if begun && columns(word) > width && rest >= (width / 3).max(2) {
            line.push(' ');
            let part = part(word, rest);
            line.push_str(part);
            word = &word[part.len()..];
        } else if !begun {
            lines.pop();
        }
        while columns(word) > width {
            let part = part(word, width);
            lines.push(part.to_owned());
            word = &word[part.len()..];
        }
        if !word.is_empty() {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// Units that do not begin a line.
const UNITS: [&str; 7] = ["us", "ms", "s", "min", "h", "%", "x"];

/// The words of `text`; a number and its unit are one.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text.trim_start_matches(' ');
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(' ').unwrap_or(rest.len());
        let (mut word, mut after) = rest.split_at(end);
        if let Some(next) = after.strip_prefix(' ')
            && word.ends_with(|c: char| c.is_ascii_digit())
        {
            let unit_end = next.find(' ').unwrap_or(next.len());
            if UNITS.contains(&next[..unit_end].trim_end_matches([',', ';', '.', ':', ')'])) {
                (word, after) = rest.split_at(end + 1 + unit_end);
            }
        }
        rest = after.trim_start_matches(' ');
        Some(word)
    })
}

fn columns_of(c: char) -> usize {
    // The selector of the emoji form makes the character before it two columns wide (UAX #11).
    if c == '\u{fe0f}' { 1 } else { get_char_width(c) }
}

fn beginning(text: &str, width: usize) -> &str {
    let mut taken = 0;
    for (at, c) in text.char_indices() {
        taken += columns_of(c);
        if taken > width {
            return &text[..at];
        }
    }
    text
}

/// The beginning of a long word; never empty, so that wrapping ends even where one character is wider than the line.
fn part(word: &str, width: usize) -> &str {
    let fits = beginning(word, width);
    match fits.rfind([',', ';', '/', '&', ' ']) {
        _ if fits.is_empty() => &word[..word.chars().next().map_or(0, char::len_utf8)],
        Some(at) if at >= fits.len() / 2 => &fits[..=at],
        _ => fits,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_spelled_out() {
        for (text, harmless) in [
            ("plain, \"quoted\" \\ and 日本語 🚀", "plain, \"quoted\" \\ and 日本語 🚀"),
            ("\u{1b}[31mred\u{1b}[0m", "\\u{1b}[31mred\\u{1b}[0m"),
            ("\u{9b}31m and \u{7f} and \0", "\\u{9b}31m and \\u{7f} and \\u{0}"),
            ("one\r\ntwo\tthree", "one\\r\\ntwo\\tthree"),
            ("user\u{202e}txt.exe", "user\\u{202e}txt.exe"),
            ("\u{2066}a\u{2069}\u{200f}\u{61c}", "\\u{2066}a\\u{2069}\\u{200f}\\u{61c}"),
            ("a\u{200b}b\u{feff}c\u{ad}d", "a\\u{200b}b\\u{feff}c\\u{ad}d"),
            ("a\u{2028}b\u{85}c", "a\\u{2028}b\\u{85}c"),
            ("\u{e0041}", "\\u{e0041}"),
        ] {
            assert_eq!(escape(text), harmless);
        }
    }

    #[test]
    fn clipping_counts_columns_and_says_that_it_cut() {
        assert_eq!(clip("abcdef", 6), "abcdef");
        assert_eq!(clip("abcdefg", 6), "abc...");
        assert_eq!(clip("日本語日本語", 8), "日本...");
        assert_eq!(clip("abcdef", 2), "..");
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("", 7), [""]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("go abcdefghij", 6), ["go abc", "defghi", "j"]);
        assert_eq!(wrap("0 abc", 2), ["0", "ab", "c"]);
        assert_eq!(wrap("\u{301} abc", 2), ["\u{301}", "ab", "c"], "a mark without a letter takes no column");
        assert_eq!(wrap("a 日本語", 3), ["a", "日", "本", "語"]);
        assert_eq!(wrap("it took 12 s, 3 x", 9), ["it took", "12 s, 3 x"]);
        assert_eq!(wrap("{\"a\":1,\"b\":22}", 9), ["{\"a\":1,", "\"b\":22}"]);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
        assert_eq!(wrap("日", 1), ["日"]);
        assert_eq!(wrap("a \u{17d8}", 2), ["a", "\u{17d8}"], "one character may be three columns wide");
    }

    proptest! {
        #[test]
        fn escaped_text_is_one_harmless_line(text in any::<String>()) {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(is_hostile));
            prop_assert_eq!(escape(&escaped), escaped.as_ref());
        }

        #[test]
        fn wrapped_lines_fit_and_lose_nothing(text in "\\PC{0,200}", width in 2_usize..40) {
            let lines = wrap(&text, width);
            for line in &lines {
                let alone = line.chars().count() == 1;
                prop_assert!(alone || columns(line) <= width, "{line:?}");
            }
            let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
