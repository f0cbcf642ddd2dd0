//! Secrets: a string that never shows itself, and the scrubber that takes known ones out of text.
//!
//! A scrubbed secret becomes `«secret:NAME:USER»` (or `«secret:NAME»` if no single user owns it), so that a
//! recording still says *whose* secret stood where. The scrubber also knows the encodings in which a secret commonly
//! comes back: percent, JSON with `/` or non-ASCII escaped, and base 64 of the secret alone (a subprotocol carries
//! `jwt.` and base64url of the token).
//!
//! Deliberately absent: a secret inside a larger base-64 text (its spelling depends on what stands before it), secrets
//! divided between two texts, and memory hygiene such as zeroing (the secret was read from a file or a variable
//! and is sent over sockets; this module guards outputs, not the process).

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use foldhash::fast;

/// Text that neither `Debug` nor `Display` shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from being printed by accident.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Whose secret it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretId {
    /// What the target profile calls it: `token`, `password`.
    pub name: String,
    /// The number of the virtual user who owns it; `None` if nobody or more than one does.
    pub user: Option<u32>,
}

impl fmt::Display for SecretId {
    /// What stands in the text instead of the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.user {
            Some(user) => write!(f, "«secret:{}:{user}»", self.name),
            None => write!(f, "«secret:{}»", self.name),
        }
    }
}

/// The shortest secret that can be scrubbed, in bytes: replacing every `a` would leave no text to judge.
pub const SHORTEST: usize = 6;

/// Replaces every known secret in a text.
///
/// Built for tens of thousands of secrets, learned one by one as users log in, and short texts: every sixteenth position of a
/// text costs one multiplication and one look into a filter. The filter holds six bytes from the *end* of
/// each secret, because tokens differ there (a signature) and share their beginnings (`eyJhbGciOi`), and the six before each
/// of its last fifteen bytes, so that one of them ends at a position that is looked at. A hit is looked up by the last six
/// bytes, which gives the lengths of the secrets that end so, and then by the whole text, so that ten thousand passwords
/// with one ending cost no more than one. For a secret of less than 21 bytes more positions are looked at.
#[derive(Clone)]
pub struct Scrubber {
    filter: Filter,
    /// Which positions of a text are looked at: its multiples.
    stride: usize,
    /// By the last six bytes: the lengths of the needles that end so, longest first.
    lengths: HashMap<u64, Vec<usize>, fast::RandomState>,
    /// By a secret in any of its encodings: whose it is.
    needles: HashMap<Box<[u8]>, Needle, fast::RandomState>,
    ids: Vec<SecretId>,
}

#[derive(Clone, Copy)]
struct Needle {
    id: usize,
    /// An encoding gives way to a secret that happens to be spelled the same.
    verbatim: bool,
}

/// A secret found: where, and whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hit {
    start: usize,
    end: usize,
    id: usize,
    /// The length of the secret that gave the name; `start..end` is longer where several overlap.
    named_by: usize,
}

/// The most positions of which one is looked at. Each doubling costs a secret as many more places in the filter.
const STRIDE: usize = 16;

impl Default for Scrubber {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrubber").field("secrets", &self.ids.len()).finish_non_exhaustive()
    }
}

impl Scrubber {
    /// One that knows no secret.
    pub fn new() -> Self {
        Self {
            filter: Filter::with_bits(LEAST_BITS),
            stride: STRIDE,
            lengths: HashMap::default(),
            needles: HashMap::default(),
            ids: Vec::new(),
        }
    }

    /// Makes a secret known; from here on it is replaced. Returns false, and changes nothing, for one shorter than
    /// [`SHORTEST`] bytes.
    ///
    /// A secret that two users share (one password for all) belongs to neither of them: it keeps its first name and
    /// loses its user, for nothing can be concluded from where it stands.
    pub fn learn(&mut self, secret: &str, name: &str, user: Option<u32>) -> bool {
        if secret.len() < SHORTEST {
            return false;
        }
        let known = self.needles.get(secret.as_bytes()).filter(|needle| needle.verbatim);
        if let Some(&Needle { id, .. }) = known {
            if self.ids[id].user != user {
                self.ids[id].user = None;
            }
            return true;
        }
        let id = self.ids.len();
        self.ids.push(SecretId { name: name.to_owned(), user });
        self.insert(secret.as_bytes(), Needle { id, verbatim: true });
        for encoded in encodings(secret) {
            self.insert(encoded.as_bytes(), Needle { id, verbatim: false });
        }
        true
    }

    /// The text without secrets; borrowed if it held none.
    pub fn scrub<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.scrub_with(text, |_| {})
    }

    /// Like [`scrub`](Self::scrub), and tells of every replacement in the order of the text.
    ///
    /// Where one secret contains another the longer one is meant. Where two overlap, both go and the longer one (the first,
    /// if they are equally long) gives the name.
    pub fn scrub_with<'a>(&self, text: &'a str, mut on_hit: impl FnMut(&SecretId)) -> Cow<'a, str> {
        let hits = self.hits(text.as_bytes());
        if hits.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut scrubbed = String::with_capacity(text.len());
        let mut done = 0;
        for hit in hits {
            let id = &self.ids[hit.id];
            on_hit(id);
            // A secret is whole characters, so are the gaps between secrets.
            scrubbed.push_str(&text[done..hit.start]);
            scrubbed.push_str(&id.to_string());
            done = hit.end;
        }
        scrubbed.push_str(&text[done..]);
        Cow::Owned(scrubbed)
    }

    fn insert(&mut self, bytes: &[u8], needle: Needle) {
        let taken = self.needles.get(bytes);
        if taken.is_some_and(|taken| taken.verbatim || !needle.verbatim) {
            return;
        }
        self.needles.insert(bytes.into(), needle);
        if self.filter.is_full() {
            self.filter = Filter::with_bits(self.filter.bits + MORE_BITS);
            self.needles.keys().for_each(|bytes| self.filter.note(bytes));
        } else {
            self.filter.note(bytes);
        }
        // A power of two, so that whatever a stride passes over a smaller one does not.
        self.stride = self.stride.min(1 << windows(bytes).count().ilog2());
        let window = window(bytes, bytes.len());
        let lengths = self.lengths.entry(window).or_default();
        if let Err(at) = lengths.binary_search_by(|length| bytes.len().cmp(length)) {
            lengths.insert(at, bytes.len());
        }
    }

    /// What to replace, in order and without overlaps.
    fn hits(&self, text: &[u8]) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        let mut end = SHORTEST.next_multiple_of(self.stride);
        while let Some(at) = self.next_hit(text, end) {
            // What ends behind this position and before the next one that is looked at has a window that ends here.
            for end in at..(at + self.stride).min(text.len() + 1) {
                if let Some(hit) = self.longest_ending_at(text, end) {
                    absorb(&mut hits, hit);
                }
            }
            end = at + self.stride;
        }
        hits
    }

    /// The first position from `end` on, of those that are looked at, near which a secret may end.
    fn next_hit(&self, text: &[u8], mut end: usize) -> Option<usize> {
        while end < WORD.min(text.len() + 1) {
            if self.filter.may_hold(window(text, end)) {
                return Some(end);
            }
            end += self.stride;
        }
        // This is done for every few bytes of every frame.
        while let Some(last) = text.get(end - WORD..end).and_then(|last| last.first_chunk()) {
            if self.filter.may_hold(window_of(*last)) {
                return Some(end);
            }
            end += self.stride;
        }
        None
    }

    fn longest_ending_at(&self, text: &[u8], end: usize) -> Option<Hit> {
        let window = window(text, end);
        if !self.filter.may_hold(window) {
            return None;
        }
        self.lengths.get(&window)?.iter().find_map(|&length| {
            let start = end.checked_sub(length)?;
            let needle = self.needles.get(&text[start..end])?;
            Some(Hit { start, end, id: needle.id, named_by: length })
        })
    }
}

/// Adds a hit that ends after all others, and melts those it overlaps into it.
fn absorb(hits: &mut Vec<Hit>, mut hit: Hit) {
    while let Some(last) = hits.pop_if(|last| last.end > hit.start) {
        hit.start = hit.start.min(last.start);
        if last.named_by >= hit.named_by {
            (hit.id, hit.named_by) = (last.id, last.named_by);
        }
    }
    hits.push(hit);
}

/// The bytes of a word.
const WORD: usize = size_of::<u64>();

/// The six bytes that end at `end`.
fn window(bytes: &[u8], end: usize) -> u64 {
    let mut last = [0; WORD];
    let some = end.min(WORD);
    last[WORD - some..].copy_from_slice(&bytes[end - some..end]);
    window_of(last)
}

/// The last six of these bytes.
#[inline]
fn window_of(last: [u8; WORD]) -> u64 {
    u64::from_le_bytes(last) >> (8 * (WORD - SHORTEST))
}

/// Where the windows end that the filter holds of a needle.
fn windows(bytes: &[u8]) -> RangeInclusive<usize> {
    SHORTEST.max(bytes.len() + 1 - STRIDE.min(bytes.len()))..=bytes.len()
}

/// A Bloom filter (B. H. Bloom, CACM 13(7), 1970) that notes each window at two places of one word, so that one line of memory is
/// touched and not two (F. Putze, P. Sanders and J. Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", WEA 2007).
#[derive(Clone)]
struct Filter {
    places: Box<[u64]>,
    /// So many bits number the places.
    bits: u32,
    /// How many windows it holds.
    noted: usize,
}

/// The fewest: 32 KiB.
const LEAST_BITS: u32 = 18;
/// The most: 512 KiB, enough for five thousand tokens. Beyond them more is looked up in vain.
const MOST_BITS: u32 = 22;
/// By so many more when it is full: all that it holds is noted anew.
const MORE_BITS: u32 = 2;
/// Places for each window at least: of texts without secrets one window in fifty is looked up.
const PLACES_EACH: usize = 16;

impl Filter {
    fn with_bits(bits: u32) -> Filter {
        Filter { places: vec![0; 1 << (bits - u64::BITS.ilog2())].into(), bits, noted: 0 }
    }

    fn is_full(&self) -> bool {
        self.noted * PLACES_EACH >= 1 << self.bits && self.bits < MOST_BITS
    }

    /// Adds the windows of a needle.
    fn note(&mut self, bytes: &[u8]) {
        let ends = windows(bytes);
        self.noted += ends.clone().count();
        for end in ends {
            let (word, both) = self.place(window(bytes, end));
            self.places[word] |= both;
        }
    }

    /// Whether a secret may have this window near its end.
    #[inline]
    fn may_hold(&self, window: u64) -> bool {
        let (word, both) = self.place(window);
        self.places[word] & both == both
    }

    /// The word in which a window is noted, and the two places there. Multiplicative hashing with 2^64 divided by the golden ratio:
    /// D. E. Knuth, "The Art of Computer Programming", volume 3, section 6.4.
    #[inline]
    fn place(&self, window: u64) -> (usize, u64) {
        const PLACE: u32 = u64::BITS.ilog2();
        let hash = window.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let below = u64::BITS - (self.bits - PLACE);
        let bit = |place: u64| 1 << (place % u64::from(u64::BITS));
        ((hash >> below) as usize, bit(hash >> (below - PLACE)) | bit(hash >> (below - 2 * PLACE)))
    }
}

/// How a secret may be spelled when it comes back, beside itself. May repeat itself, and the secret.
fn encodings(secret: &str) -> Vec<String> {
    let mut all = vec![URL_SAFE_NO_PAD.encode(secret)];
    if all[0].contains(['-', '_']) {
        all.push(STANDARD_NO_PAD.encode(secret));
    }
    // RFC 4648, section 3.2. The longer one is wanted, so that no `=` is left over.
    let padding = &"=="[..all[0].len().next_multiple_of(4) - all[0].len()];
    if !padding.is_empty() {
        all.extend_from_within(..);
        let half = all.len() / 2;
        all[half..].iter_mut().for_each(|padded| padded.push_str(padding));
    }
    // Most tokens hold nothing that is ever escaped.
    if secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        return all;
    }
    all.extend([
        json_escaped(secret, false, false),
        json_escaped(secret, true, false),
        json_escaped(secret, false, true),
        json_escaped(secret, true, true),
    ]);
    // What stays as it is: RFC 3986 section 2.3, ECMAScript's encodeURIComponent, HTML forms (URL Standard, section 5.2).
    for unreserved in ["-._~", "-._~!*'()", "-._*"] {
        for upper in [true, false] {
            all.push(percent_encoded(secret, unreserved, upper, false));
            all.push(percent_encoded(secret, unreserved, upper, true));
        }
    }
    all
}

fn percent_encoded(secret: &str, unreserved: &str, upper: bool, space_as_plus: bool) -> String {
    let mut encoded = String::with_capacity(secret.len());
    for byte in secret.bytes() {
        let character = char::from(byte);
        if character.is_ascii_alphanumeric() || unreserved.contains(character) {
            encoded.push(character);
        } else if space_as_plus && character == ' ' {
            encoded.push('+');
        } else if upper {
            encoded.push_str(&format!("%{byte:02X}"));
        } else {
            encoded.push_str(&format!("%{byte:02x}"));
        }
    }
    encoded
}

/// Inside a JSON string (RFC 8259 section 7). Many servers escape non-ASCII too (Python's default), some the slash (PHP's).
fn json_escaped(secret: &str, ascii: bool, slash: bool) -> String {
    let mut escaped = String::with_capacity(secret.len());
    for character in secret.chars() {
        match character {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '/' if slash => escaped.push_str("\\/"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\u{8}' => escaped.push_str("\\b"),
            '\u{c}' => escaped.push_str("\\f"),
            _ if character < ' ' || (ascii && !character.is_ascii()) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    escaped.push_str(&format!("\\u{unit:04x}"));
                }
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use proptest::prelude::*;

    use super::*;

    fn knowing(secrets: &[(&str, &str, Option<u32>)]) -> Scrubber {
        let mut scrubber = Scrubber::new();
        for (secret, name, user) in secrets {
            assert!(scrubber.learn(secret, name, *user));
        }
        scrubber
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        let secret = Secret::new("hunter2-hunter2");
        assert!(!format!("{secret} {secret:?} {secret:#?}").contains("hunter"));
        assert_eq!(secret.expose(), "hunter2-hunter2");
        let scrubber = knowing(&[("hunter2-hunter2", "password", None)]);
        assert!(!format!("{scrubber:?}").contains("hunter"));
    }

    #[test]
    fn every_occurrence_is_replaced_by_its_label() {
        let scrubber = knowing(&[("s3cr3t-one", "token", Some(7)), ("global-key", "key", None)]);
        assert_eq!(
            scrubber.scrub("a s3cr3t-one, s3cr3t-ones3cr3t-one and global-key"),
            "a «secret:token:7», «secret:token:7»«secret:token:7» and «secret:key»"
        );
    }

    #[test]
    fn text_without_secrets_is_borrowed() {
        let scrubber = knowing(&[("s3cr3t-one", "token", Some(7))]);
        assert!(matches!(scrubber.scrub("s3cr3t-on and t-one"), Cow::Borrowed(_)));
        assert!(matches!(scrubber.scrub(""), Cow::Borrowed(_)));
    }

    #[test]
    fn five_bytes_are_too_few_for_a_secret() {
        let mut scrubber = Scrubber::new();
        assert!(!scrubber.learn("12345", "pin", None));
        assert!(scrubber.learn("123456", "pin", None));
        assert_eq!(scrubber.scrub("12345 123456"), "12345 «secret:pin»");
    }

    #[test]
    fn encoded_forms_are_replaced() {
        let secret = "pä/ss \"w+rd\"~(1)";
        let scrubber = knowing(&[(secret, "password", Some(3))]);
        let spellings = [
            URL_SAFE_NO_PAD.encode(secret),
            STANDARD.encode(secret),
            "p%C3%A4%2Fss%20%22w%2Brd%22~%281%29".to_owned(),
            "p%c3%a4%2fss%20%22w%2brd%22~%281%29".to_owned(),
            "p%C3%A4%2Fss%20%22w%2Brd%22~(1)".to_owned(),
            "p%C3%A4%2Fss+%22w%2Brd%22%7E%281%29".to_owned(),
            r#"pä/ss \"w+rd\"~(1)"#.to_owned(),
            r#"p\u00e4/ss \"w+rd\"~(1)"#.to_owned(),
            r#"pä\/ss \"w+rd\"~(1)"#.to_owned(),
        ];
        for spelling in spellings {
            assert_eq!(scrubber.scrub(&format!("<{spelling}>")), "<«secret:password:3»>", "{spelling}");
        }
    }

    #[test]
    fn json_escapes_agree_with_the_json_library() {
        let all: String = (0_u8..128).map(char::from).collect();
        let json = serde_json::to_string(&all).expect("text");
        assert_eq!(json_escaped(&all, false, false), json[1..json.len() - 1]);
    }

    #[test]
    fn the_longer_of_two_nested_secrets_is_meant() {
        let scrubber = knowing(&[("access-token", "inner", Some(1)), ("<access-token>+refresh", "outer", Some(2))]);
        assert_eq!(scrubber.scrub("<access-token>+refresh"), "«secret:outer:2»");
        assert_eq!(scrubber.scrub("<access-token>+refres"), "<«secret:inner:1»>+refres");
        let suffix = knowing(&[("access-token", "inner", Some(1)), ("my-access-token", "outer", Some(2))]);
        assert_eq!(suffix.scrub("my-access-token your-access-token"), "«secret:outer:2» your-«secret:inner:1»");
    }

    #[test]
    fn overlapping_secrets_both_go() {
        let scrubber = knowing(&[("abcdefgh", "first", None), ("ghijklmnop", "longer", None)]);
        assert_eq!(scrubber.scrub("-abcdefghijklmnop-"), "-«secret:longer»-");
        let chain = knowing(&[("aaaaaa", "a", None)]);
        assert_eq!(chain.scrub("xaaaaaaaaay"), "x«secret:a»y");
    }

    #[test]
    fn a_shared_secret_belongs_to_nobody() {
        let scrubber = knowing(&[("same-for-all", "password", Some(1)), ("same-for-all", "password", Some(2))]);
        assert_eq!(scrubber.scrub("same-for-all"), "«secret:password»");
        let again = knowing(&[("only-mine", "token", Some(1)), ("only-mine", "token", Some(1))]);
        assert_eq!(again.scrub("only-mine"), "«secret:token:1»");
    }

    #[test]
    fn a_secret_outranks_an_encoding_spelled_the_same() {
        let encoded = URL_SAFE_NO_PAD.encode("first-secret");
        let first = ("first-secret", "first", None);
        let second = (encoded.as_str(), "second", None);
        for order in [[first, second], [second, first]] {
            assert_eq!(knowing(&order).scrub(&encoded), "«secret:second»");
        }
    }

    #[test]
    fn every_replacement_is_told_in_order() {
        let scrubber = knowing(&[("s3cr3t-one", "token", Some(1)), ("s3cr3t-two", "token", Some(2))]);
        let mut users = Vec::new();
        scrubber.scrub_with("s3cr3t-two s3cr3t-one s3cr3t-two", |id| users.push(id.user));
        assert_eq!(users, [Some(2), Some(1), Some(2)]);
    }

    #[test]
    fn ten_thousand_tokens_with_one_beginning_are_told_apart() {
        let mut scrubber = Scrubber::new();
        let token = |user: u32| format!("eyJhbGciOiJIUzI1NiJ9.{}.signed", URL_SAFE_NO_PAD.encode(user.to_string()));
        for user in 0..10_000 {
            assert!(scrubber.learn(&token(user), "token", Some(user)));
        }
        for user in [0, 17, 9_999] {
            assert_eq!(scrubber.scrub(&token(user)), format!("«secret:token:{user}»"));
        }
        assert_eq!(scrubber.scrub(&token(10_000)), token(10_000));
        assert!(scrubber.filter.bits > LEAST_BITS, "it grew, and lost none");
    }

    /// Finds the same by trying every secret at every position.
    fn naive(secrets: &[String], text: &str) -> String {
        let mut marked: Vec<(usize, usize, usize)> = Vec::new();
        for start in 0..text.len() {
            for (id, secret) in secrets.iter().enumerate() {
                if text.as_bytes()[start..].starts_with(secret.as_bytes()) {
                    marked.push((start, start + secret.len(), id));
                }
            }
        }
        let mut scrubbed = String::new();
        let mut at = 0;
        while at < text.len() {
            let mut end = at;
            let mut best: Option<(usize, usize, usize)> = None;
            for &(start, stop, id) in marked.iter().filter(|(start, ..)| *start >= at) {
                if start != at && start >= end {
                    break;
                }
                end = end.max(stop);
                if best.is_none_or(|(s, e, _)| e - s < stop - start) {
                    best = Some((start, stop, id));
                }
            }
            if let Some((.., id)) = best {
                scrubbed.push_str(&format!("«secret:s:{id}»"));
                at = end;
            } else {
                let character = text[at..].chars().next().expect("not at the end");
                scrubbed.push(character);
                at += character.len_utf8();
            }
        }
        scrubbed
    }

    proptest! {
        // Few letters, so that secrets nest, overlap and repeat.
        #[test]
        fn scrubbing_agrees_with_trying_everything(
            secrets in (6..30_usize).prop_flat_map(|least| {
                let some = format!("[abé]{{{least},{}}}", least + 3);
                prop::collection::hash_set(prop::string::string_regex(&some).expect("a pattern"), 0..12)
            }),
            text in "[abé]{0,80}",
            planted in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..4),
        ) {
            let secrets: Vec<String> = secrets.into_iter().collect();
            // Long ones do not come about by chance.
            let text = planted.iter().filter(|_| !secrets.is_empty()).fold(text, |text, (which, at)| {
                let at = text.floor_char_boundary(at.index(text.len() + 1));
                format!("{}{}{}", &text[..at], which.get(&secrets), &text[at..])
            });
            let mut scrubber = Scrubber::new();
            for (user, secret) in secrets.iter().enumerate() {
                scrubber.learn(secret, "s", Some(user as u32));
            }
            prop_assert_eq!(scrubber.scrub(&text), naive(&secrets, &text));
        }

        #[test]
        fn no_secret_survives_in_any_text(secret in "[ -~]{6,30}", before in ".{0,20}", after in ".{0,20}") {
            let mut scrubber = Scrubber::new();
            scrubber.learn(&secret, "s", None);
            let base64 = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD].map(|base64| base64.encode(&secret));
            for spelling in encodings(&secret).into_iter().chain(base64).chain([secret.clone()]) {
                let text = format!("{before}{spelling}{after}");
                let scrubbed = scrubber.scrub(&text);
                let rest = scrubbed.replace("«secret:s»", "\u{0}");
                prop_assert!(!rest.contains(&secret) && !rest.contains(&spelling), "{}", scrubbed);
            }
        }
    }
}
