//! The canary: a mark in every prompt that names its owner, so that foreign text can be traced without a table.
//!
//! A mark is 35 symbols: a fixed prefix, 9 symbols of check, 20 symbols that spell execution, user and iteration. It is
//! decoded, never looked up, so finding one costs the same whether ten users ran or ten thousand, and a shard can name an
//! owner it has never met.
//!
//! **Alphabet.** The ten digits and the 21 consonants of the lower-case Latin alphabet (`y` counts as one). Without vowels
//! no mark spells a word that a model would autocorrect, translate or refuse; without upper case a mark survives being
//! folded either way; without punctuation it passes JSON, URLs, Markdown and HTML unescaped. A 32nd symbol that is neither
//! a vowel nor punctuation does not exist, so the base is 31: 96 bits of fields need 20 symbols (31^20 > 2^99), exactly as
//! many as base 32 would need, and 9 symbols hold 44 bits of check (31^9 > 2^44).
//!
//! **Prefix.** `gp0zl1` holds symbols that no common encoding has together: hexadecimal ends at `f`, RFC 4648 base 32 has
//! neither `0` nor `1`, Crockford's (ULIDs) has no `l`, z-base-32 has no `0` and no `l`, bech32 has no `1` after its
//! separator. In random base-36 text it turns up once in 36^6 = 2 * 10^9 positions, in random bytes once in
//! 10^14.
//!
//! **Check.** 44 bits of SHA-256 over a name of its own, the execution, the user and the iteration. A random continuation of the
//! prefix passes with a chance of 2^-44 at most, less still for being in range: random bytes yield a mark once in some
//! 10^27 positions. The check finds corruption; it is no secret, for whoever can read this source can make marks.
//!
//! Deliberately absent: repair of damaged marks (an attribution must not be a guess), partial marks (a stream delivers text
//! in pieces, a cut mark is the ordinary case and says nothing), and marks in base 64 that were folded to upper case
//! before or that a line break divides.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, Input, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};
use wide::{i8x16, u8x16};

/// What every mark begins with.
pub const PREFIX: &str = "gp0zl1";

/// The same in upper case.
const UPPER: &str = "GP0ZL1";

/// How many bytes a mark has in plain text.
pub const LENGTH: usize = PREFIX.len() + CHECK_SYMBOLS + FIELD_SYMBOLS;

const SYMBOLS: &[u8; 31] = b"0123456789bcdfghjklmnpqrstvwxyz";
const CHECK_SYMBOLS: usize = 9;
const FIELD_SYMBOLS: usize = 20;
const CHECK_BITS: u32 = 44;

/// Whose prompt it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Canary {
    /// The execution that planted it.
    pub execution: u32,
    /// The number of the virtual user.
    pub user: u32,
    /// The iteration (or turn) of that user.
    pub iteration: u32,
}

/// Why a text is not a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotACanary {
    /// It does not have the form of one: prefix, length or alphabet.
    #[error("not a canary")]
    NotOurs,
    /// It has the form of a mark, but the check fails: somebody changed it on the way.
    #[error("a canary whose check fails")]
    Damaged,
}

/// How a mark stood in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As text, in lower or upper case.
    Plain,
    /// Inside base 64, standard or URL-safe.
    Base64,
}

/// Something with the form of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The offset of its first byte (of the first base-64 character that is wholly its own).
    pub at: usize,
    /// How many bytes it takes from there.
    pub len: usize,
    /// How it stood there.
    pub form: Form,
    /// The check it carries, unless it is damaged.
    check: u64,
    /// The owner, or [`NotACanary::Damaged`]; never [`NotACanary::NotOurs`].
    pub canary: Result<Canary, NotACanary>,
}

impl Found {
    /// The same in the bytes of which those from `begin` on were searched.
    pub fn from(self, begin: usize) -> Found {
        Found { at: begin + self.at, ..self }
    }

    /// What was found, known from now on: its check held and need not be computed again.
    pub fn known(&self) -> Option<Known> {
        let canary = self.canary.ok()?;
        Some(Known { canary, check: self.check, mark: canary.encode_with(self.check) })
    }
}

/// A canary with its mark, for whoever meets the same one again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    canary: Canary,
    check: u64,
    mark: [u8; LENGTH],
}

impl Known {
    /// Which canary it is.
    pub fn canary(self) -> Canary {
        self.canary
    }
}

impl Canary {
    /// The mark: always [`LENGTH`] symbols, lower case.
    pub fn encode(self) -> String {
        let mark = self.encode_with(self.check());
        std::str::from_utf8(&mark).expect("symbols are ASCII").to_owned()
    }

    fn encode_with(self, check: u64) -> [u8; LENGTH] {
        let mut mark = [0; LENGTH];
        let (prefix, symbols) = mark.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX.as_bytes());
        let (of_check, of_fields) = symbols.split_at_mut(CHECK_SYMBOLS);
        write_symbols(of_check, check);
        // Division by a constant is cheap in 64 bits only.
        let (upper, lower) = (self.packed() / HALF, self.packed() % HALF);
        let (of_upper, of_lower) = of_fields.split_at_mut(FIELD_SYMBOLS / 2);
        write_symbols(of_upper, upper as u64);
        write_symbols(of_lower, lower as u64);
        mark
    }

    /// Reads one mark that is the whole of `text`, in any case.
    ///
    /// # Errors
    ///
    /// [`NotACanary::NotOurs`] without prefix, length and alphabet; [`NotACanary::Damaged`] if only the check fails.
    pub fn decode(text: &str) -> Result<Self, NotACanary> {
        let bytes = text.as_bytes();
        let starts = bytes.get(..PREFIX.len()).is_some_and(|p| p.eq_ignore_ascii_case(PREFIX.as_bytes()));
        if !starts || bytes.len() != LENGTH {
            return Err(NotACanary::NotOurs);
        }
        Self::decode_payload(&bytes[PREFIX.len()..], None).map(|(canary, _)| canary)
    }

    /// What follows the prefix, at its exact length, with the check it carries.
    fn decode_payload(payload: &[u8], known: Option<Known>) -> Result<(Self, u64), NotACanary> {
        let (check, fields) = payload.split_at(CHECK_SYMBOLS);
        let (upper, lower) = fields.split_at(FIELD_SYMBOLS / 2);
        let check = read_symbols(check)?;
        let fields = u128::from(read_symbols(upper)?) * HALF + u128::from(read_symbols(lower)?);
        if check >> CHECK_BITS != 0 || fields >> 96 != 0 {
            return Err(NotACanary::Damaged);
        }
        let canary = Self { execution: (fields >> 64) as u32, user: (fields >> 32) as u32, iteration: fields as u32 };
        let own = known.filter(|known| known.canary == canary).map_or_else(|| canary.check(), |known| known.check);
        if own == check { Ok((canary, check)) } else { Err(NotACanary::Damaged) }
    }

    fn packed(self) -> u128 {
        u128::from(self.execution) << 64 | u128::from(self.user) << 32 | u128::from(self.iteration)
    }

    fn check(self) -> u64 {
        // All of it has a fixed length, so no two marks hash the same bytes. There is no secret to key it with.
        let digest = Sha256::new()
            .chain_update(b"goldenpath canary v1")
            .chain_update(self.execution.to_be_bytes())
            .chain_update(self.user.to_be_bytes())
            .chain_update(self.iteration.to_be_bytes())
            .finalize();
        let first = digest.first_chunk::<8>().expect("SHA-256 has 32 bytes");
        u64::from_be_bytes(*first) >> (u64::BITS - CHECK_BITS)
    }
}

/// All marks in `bytes`, in the order they stand there: as text in lower or upper case (JSON and URL escapes leave their
/// symbols alone), and in base 64 at any of its three alignments. Marks cut short are passed over.
///
/// Allocates nothing. Most bytes are never looked at: what is too short for a mark between two signs that no mark holds is
/// passed over by its ends.
pub fn find_in(bytes: &[u8]) -> impl Iterator<Item = Found> {
    find_in_knowing(bytes, None)
}

/// Whether `bytes` may hold a mark: a quick no for most ids, which are a little longer than one. They are no shorter.
#[inline]
pub fn may_be_in(bytes: &[u8]) -> bool {
    may_hold(bytes, &(0..bytes.len()))
}

/// As `find_in`, and sooner where the mark is `known`.
pub fn find_in_knowing(bytes: &[u8], known: Option<Known>) -> impl Iterator<Item = Found> {
    let stretches = Stretches::of(bytes).filter(move |stretch| may_hold(bytes, stretch));
    stretches.flat_map(move |stretch| find_within(bytes, stretch, known))
}

/// How many bytes a mark has in base 64 at least, of those that are wholly its own.
const LEAST_IN_BASE64: usize = 8 * (LENGTH - 2) / 6;

/// Whether the prefix stands at `at`, as text.
#[inline(always)]
fn begins(bytes: &[u8], at: usize) -> bool {
    bytes[at].eq_ignore_ascii_case(&PREFIX.as_bytes()[0])
        && [PREFIX, UPPER].iter().any(|prefix| bytes[at..].starts_with(prefix.as_bytes()))
}

/// Most stretches are an id that is too long by a little, and only for a mark as text.
#[inline(always)]
fn may_hold(bytes: &[u8], stretch: &Range<usize>) -> bool {
    stretch.len() >= LEAST_IN_BASE64 || (stretch.start..=stretch.end - LENGTH).any(|at| begins(bytes, at))
}

/// The marks of one stretch.
fn find_within(bytes: &[u8], stretch: Range<usize>, known: Option<Known>) -> impl Iterator<Item = Found> {
    let Prefixes { finder, spellings } = &*PREFIXES;
    let short = stretch.len() < LEAST_IN_BASE64;
    // No spelling begins as another does, so at most one stands at an offset; but one may begin within another.
    let next_from = move |from: usize| {
        if short {
            let last = stretch.end.checked_sub(PREFIX.len())?;
            return (from..=last).find(|at| begins(bytes, *at)).map(|at| (at, &spellings[0]));
        }
        let hit = finder.find(Input::new(bytes).range(from..stretch.end))?;
        Some((hit.start(), &spellings[hit.pattern().as_usize()]))
    };
    let mut next = next_from(stretch.start);
    std::iter::from_fn(move || {
        loop {
            let (at, spelling) = next?;
            let Some(found) = spelling.read(bytes, at, known) else {
                next = next_from(at + 1);
                continue;
            };
            let end = at + found.len;
            if found.canary.is_err()
                && let Some((hit, spelling)) = next_from(at + 1)
                && hit < end
            {
                // Cut short, with the next mark right behind: not damage.
                next = Some((hit, spelling));
                continue;
            }
            // What begins inside a mark that was read is none.
            next = next_from(end);
            return Some(found);
        }
    })
}

/// How many bytes are looked at at once.
const PROBE: usize = 16;
/// A stretch of `LENGTH` bytes that begins at most `STEP` bytes ahead of an offset holds the `PROBE` bytes from there on.
const STEP: usize = LENGTH - PROBE;

/// The longest stretches that are long enough for a mark and hold only what marks may hold in any form, and a few other signs;
/// in order. What lies below `+` and beyond ASCII ends one: space, quotes, controls.
struct Stretches<'b> {
    bytes: &'b [u8],
    /// What follows the last byte that is known to end a stretch.
    begin: usize,
    /// How far the search is.
    at: usize,
}

impl<'b> Stretches<'b> {
    fn of(bytes: &'b [u8]) -> Stretches<'b> {
        Stretches { bytes, begin: 0, at: STEP }
    }

    /// A bit for each byte from `at` on that ends a stretch; `None` where there are too few.
    #[inline(always)]
    fn ends(&self, at: usize) -> Option<u32> {
        let part = self.bytes.get(at..)?.first_chunk::<PROBE>()?;
        Some(u8x16::new(*part).cast_signed().simd_lt(i8x16::splat(b'+' as i8)).to_bitmask())
    }

    fn is_end(&self, at: usize) -> bool {
        (self.bytes[at] as i8) < b'+' as i8
    }

    /// Where the stretch begins in which the search is.
    fn begin(&self) -> usize {
        let near = self.at.saturating_sub(PROBE).max(self.begin);
        match self.ends(near).unwrap_or(0) & ((1 << (self.at - near)) - 1) {
            0 => (self.begin..near).rev().find(|at| self.is_end(*at)).map_or(self.begin, |last| last + 1),
            found => near + found.ilog2() as usize + 1,
        }
    }

    /// Where it ends.
    fn end(&self) -> usize {
        let mut at = self.at + PROBE;
        loop {
            match self.ends(at) {
                Some(0) => at += PROBE,
                Some(found) => return at + found.trailing_zeros() as usize,
                None => return (at..self.bytes.len()).find(|at| self.is_end(*at)).unwrap_or(self.bytes.len()),
            }
        }
    }
}

impl Iterator for Stretches<'_> {
    type Item = Range<usize>;

    #[inline]
    fn next(&mut self) -> Option<Range<usize>> {
        loop {
            let found = self.ends(self.at)?;
            if found != 0 {
                self.begin = self.at + found.ilog2() as usize + 1;
                self.at = self.begin + STEP;
                continue;
            }
            let stretch = self.begin()..self.end();
            self.begin = stretch.end + 1;
            self.at = self.begin + STEP;
            if stretch.len() >= LENGTH {
                return Some(stretch);
            }
        }
    }
}

static PREFIXES: LazyLock<Prefixes> = LazyLock::new(|| {
    let plain = [PREFIX, UPPER].map(|prefix| (prefix.to_owned(), Spelling { base64_bits: None }));
    let (texts, spellings): (Vec<_>, _) = plain.into_iter().chain((0..3).map(Spelling::base64)).unzip();
    let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(texts);
    Prefixes { finder: finder.expect("five short texts are within every limit"), spellings }
});

/// All ways the prefix can look in the bytes.
struct Prefixes {
    /// Its patterns are the texts of `spellings`.
    finder: AhoCorasick,
    spellings: Vec<Spelling>,
}

/// One way the prefix can look in the bytes.
struct Spelling {
    /// For base 64: how many bits after the first character found the prefix ends. `None` as text in either case.
    base64_bits: Option<usize>,
}

impl Spelling {
    /// The base-64 characters that are the prefix's alone when it starts `offset` bytes into a group of three.
    fn base64(offset: usize) -> (String, Self) {
        let mut group = vec![0; offset];
        group.extend_from_slice(PREFIX.as_bytes());
        let encoded = STANDARD_NO_PAD.encode(&group);
        let first = (8 * offset).div_ceil(6);
        let end = 8 * group.len() / 6;
        let own = &encoded[first..end];
        (own.to_owned(), Self { base64_bits: Some(8 * group.len() - 6 * first) })
    }

    fn read(&self, bytes: &[u8], at: usize, known: Option<Known>) -> Option<Found> {
        const PAYLOAD: usize = CHECK_SYMBOLS + FIELD_SYMBOLS;
        let same = known.filter(|known| bytes[at..].starts_with(&known.mark));
        let (form, len, canary) = match (self.base64_bits, same) {
            (None, Some(known)) => (Form::Plain, LENGTH, Ok((known.canary, known.check))),
            (None, None) => {
                let payload = bytes.get(at + PREFIX.len()..at + LENGTH)?;
                (Form::Plain, LENGTH, Canary::decode_payload(payload, known))
            }
            (Some(skip), _) => {
                let len = (skip + 8 * PAYLOAD).div_ceil(6);
                let payload: [u8; PAYLOAD] = read_base64(bytes.get(at..at + len)?, skip)?;
                (Form::Base64, len, Canary::decode_payload(&payload, known))
            }
        };
        let check = canary.map_or(0, |(_, check)| check);
        let canary = canary.map(|(canary, _)| canary);
        (canary != Err(NotACanary::NotOurs)).then_some(Found { at, len, form, check, canary })
    }
}

/// The bytes that stand `skip` bits into base-64 characters of the standard or the URL-safe alphabet.
fn read_base64<const N: usize>(characters: &[u8], skip: usize) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    let mut window: u32 = 0;
    // Negative while the bits to skip are not yet through.
    let mut available = -isize::try_from(skip).ok()?;
    for &character in characters {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        window = window << 6 | u32::from(value);
        available += 6;
        if available >= 8 && filled < N {
            available -= 8;
            bytes[filled] = (window >> available) as u8;
            filled += 1;
        }
    }
    (filled == N).then_some(bytes)
}

/// What half of the fields' symbols can spell; it fits in 50 bits, and so does what the other half spells.
const HALF: u128 = 31_u128.pow(FIELD_SYMBOLS as u32 / 2);

/// What each byte is worth as a symbol, in either case; of others `SYMBOLS.len()`.
const WORTH: [u8; 256] = {
    let mut worth = [SYMBOLS.len() as u8; 256];
    let mut digit = 0;
    while digit < SYMBOLS.len() {
        worth[SYMBOLS[digit] as usize] = digit as u8;
        worth[SYMBOLS[digit].to_ascii_uppercase() as usize] = digit as u8;
        digit += 1;
    }
    worth
};

/// `value` in base 31, most significant symbol first.
fn write_symbols(symbols: &mut [u8], mut value: u64) {
    for symbol in symbols.iter_mut().rev() {
        *symbol = SYMBOLS[(value % 31) as usize];
        value /= 31;
    }
}

/// The value of at most twelve symbols.
fn read_symbols(symbols: &[u8]) -> Result<u64, NotACanary> {
    symbols.iter().try_fold(0, |value, symbol| match WORTH[usize::from(*symbol)] {
        digit if usize::from(digit) < SYMBOLS.len() => Ok(value * 31 + u64::from(digit)),
        _ => Err(NotACanary::NotOurs),
    })
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    const CANARY: Canary = Canary { execution: 0xdead_beef, user: 101, iteration: 3 };

    fn found(text: impl AsRef<[u8]>) -> Vec<Found> {
        find_in(text.as_ref()).collect()
    }

    fn owners(text: impl AsRef<[u8]>) -> Vec<Result<Canary, NotACanary>> {
        found(text).into_iter().map(|found| found.canary).collect()
    }

    #[test]
    fn a_mark_that_is_known_is_found_as_any_other() {
        let other = Canary { iteration: 4, ..CANARY };
        let mut damaged = CANARY.encode().into_bytes();
        damaged[8] = if damaged[8] == b'0' { b'1' } else { b'0' };
        let damaged = String::from_utf8(damaged).unwrap();
        let text = format!("{} {} {damaged} {}", CANARY.encode(), other.encode(), STANDARD.encode(CANARY.encode()));
        let all = found(&text);
        assert_eq!(all.iter().filter(|found| found.canary == Ok(CANARY)).count(), 2);
        assert_eq!(all.iter().filter(|found| found.canary.is_err()).count(), 1);
        for known in [CANARY, other, Canary { user: 1, ..CANARY }] {
            let known = found(known.encode())[0].known().unwrap();
            assert_eq!(known.mark, known.canary().encode().as_bytes());
            let known = find_in_knowing(text.as_bytes(), Some(known));
            assert_eq!(known.collect::<Vec<_>>(), all);
        }
    }

    #[test]
    fn the_spelling_of_a_mark_is_fixed() {
        // A snapshot: recordings outlive the version that made them.
        assert_eq!(CANARY.encode(), "gp0zl13g2shf1st35l3j4jgtq24ll6m2x3w");
        assert_eq!(CANARY.encode().len(), LENGTH);
    }

    #[test]
    fn the_alphabet_is_sorted_and_has_no_vowels() {
        assert!(SYMBOLS.is_sorted());
        assert!(!SYMBOLS.iter().any(|symbol| b"aeiou".contains(symbol)));
        assert!(PREFIX.bytes().all(|symbol| SYMBOLS.contains(&symbol)));
        assert_eq!(PREFIX.to_ascii_uppercase(), UPPER);
    }

    #[test]
    fn check_and_fields_fit_their_symbols() {
        assert!(31_u128.pow(CHECK_SYMBOLS as u32) > 1 << CHECK_BITS);
        assert!(31_u128.pow(FIELD_SYMBOLS as u32) > 1 << 96);
    }

    #[test]
    fn a_mark_is_found_where_it_stands() {
        let text = format!("cut costs (ref {}) now", CANARY.encode());
        let expected = Found { at: 15, len: LENGTH, form: Form::Plain, check: CANARY.check(), canary: Ok(CANARY) };
        assert_eq!(found(text), [expected]);
    }

    #[test]
    fn escaping_does_not_hide_a_mark() {
        let prompt = format!("say \"{}\" / ünd\n", CANARY.encode());
        let json = serde_json::to_string(&serde_json::to_string(&prompt).expect("text")).expect("text");
        assert_eq!(owners(json), [Ok(CANARY)]);
        let percent = format!("q=say%20%22{}%22%2F", CANARY.encode());
        assert_eq!(owners(percent), [Ok(CANARY)]);
    }

    #[test]
    fn an_upper_cased_mark_is_found() {
        let text = CANARY.encode().to_ascii_uppercase();
        assert_eq!(owners(&text), [Ok(CANARY)]);
        assert_eq!(Canary::decode(&text), Ok(CANARY));
    }

    #[test]
    fn base64_does_not_hide_a_mark_at_any_alignment() {
        for before in 0..9 {
            for after in 0..3 {
                let text = format!("{}{}{}", "é".repeat(before), CANARY.encode(), "?".repeat(after));
                for body in [STANDARD.encode(&text[..]), URL_SAFE_NO_PAD.encode(&text[..])] {
                    let json = format!(r#"{{"data":"{body}"}}"#);
                    let hits = found(json);
                    assert_eq!(hits.len(), 1, "{before} bytes before, {after} after");
                    assert_eq!((hits[0].form, hits[0].canary), (Form::Base64, Ok(CANARY)));
                }
            }
        }
        for before in ["a", "ab", "abc", "abcd"] {
            let body = STANDARD.encode(format!("{before}{}", CANARY.encode()));
            assert_eq!(owners(body), [Ok(CANARY)], "after {before}");
        }
    }

    #[test]
    fn two_marks_in_one_text_are_found_in_order() {
        let other = Canary { user: 7, ..CANARY };
        let encoded = STANDARD.encode(format!("x{}", other.encode()));
        let text = format!("{encoded} {}{} {}", CANARY.encode(), other.encode(), CANARY.encode().to_uppercase());
        assert_eq!(owners(text), [Ok(other), Ok(CANARY), Ok(other), Ok(CANARY)]);
    }

    #[test]
    fn a_changed_symbol_is_damage() {
        let mark = CANARY.encode();
        for at in PREFIX.len()..LENGTH {
            let mut changed = mark.clone().into_bytes();
            changed[at] = if changed[at] == b'z' { b'0' } else { b'z' };
            assert_eq!(owners(&changed), [Err(NotACanary::Damaged)], "at {at}");
            let text = String::from_utf8(changed).expect("ascii");
            assert_eq!(Canary::decode(&text), Err(NotACanary::Damaged));
        }
    }

    #[test]
    fn a_number_out_of_range_is_damage() {
        assert_eq!(Canary::decode(&format!("{PREFIX}{}", "z".repeat(29))), Err(NotACanary::Damaged));
    }

    #[test]
    fn a_mark_cut_anywhere_is_not_found() {
        let mark = CANARY.encode();
        for at in 1..LENGTH {
            assert_eq!(found(&mark[..at]), [], "cut at {at}");
            assert_eq!(found(format!("{} {}", &mark[..at], &mark[at..])), [], "divided at {at}");
            assert_eq!(Canary::decode(&mark[..at]), Err(NotACanary::NotOurs));
        }
        let body = STANDARD_NO_PAD.encode(&mark);
        assert_eq!(found(&body[..body.len() - 1]), []);
    }

    #[test]
    fn a_cut_mark_does_not_hide_the_next() {
        let text = format!("{}{}", &CANARY.encode()[..20], CANARY.encode());
        assert_eq!(owners(text), [Ok(CANARY)]);
    }

    #[test]
    fn a_mark_is_found_wherever_it_stands_among_others_signs() {
        let base64 = URL_SAFE_NO_PAD.encode(format!("x{}", CANARY.encode()));
        for mark in [CANARY.encode(), base64] {
            for before in 0..60 {
                for sign in [" ", "a", "é", "-", "\u{7f}"] {
                    for after in ["", " ", "z", "\"}", " and so on, and on, and on"] {
                        let text = format!("{}{mark}{after}", sign.repeat(before));
                        assert_eq!(owners(&text), [Ok(CANARY)], "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_shortest_base64_is_no_shorter_than_is_told() {
        for spelling in PREFIXES.spellings.iter().filter_map(|spelling| spelling.base64_bits) {
            assert!((spelling + 8 * (LENGTH - PREFIX.len())).div_ceil(6) >= LEAST_IN_BASE64);
        }
    }

    proptest! {
        #[test]
        fn stretches_are_where_a_naive_look_finds_them(text in "([a-z0-9_/-]{30,40}|[ é\"]|[A-Z]{0,9}){0,12}") {
            let mut naive = Vec::new();
            let mut begin = 0;
            for (at, byte) in text.bytes().chain([b' ']).enumerate() {
                if !(b'+'..=0x7f).contains(&byte) {
                    naive.extend((at - begin >= LENGTH).then_some(begin..at));
                    begin = at + 1;
                }
            }
            prop_assert_eq!(Stretches::of(text.as_bytes()).collect::<Vec<_>>(), naive);
        }

        #[test]
        fn every_mark_decodes_to_its_owner(execution: u32, user: u32, iteration: u32) {
            let canary = Canary { execution, user, iteration };
            let mark = canary.encode();
            prop_assert_eq!(mark.len(), LENGTH);
            prop_assert_eq!(Canary::decode(&mark), Ok(canary));
        }

        #[test]
        fn random_bytes_are_no_mark(bytes in prop::collection::vec(any::<u8>(), 0..4_000)) {
            prop_assert_eq!(found(bytes), []);
        }

        #[test]
        fn a_random_continuation_is_no_mark(rest in "[0-9b-df-hj-np-tv-z]{29}") {
            let mark = format!("{PREFIX}{rest}");
            prop_assert_eq!(Canary::decode(&mark), Err(NotACanary::Damaged));
        }

        #[test]
        fn base64_finds_any_owner_after_anything(
            execution: u32, user: u32, iteration: u32,
            before in prop::collection::vec(any::<u8>(), 0..20),
            after in prop::collection::vec(any::<u8>(), 0..5),
        ) {
            let canary = Canary { execution, user, iteration };
            let bytes = [&before[..], canary.encode().as_bytes(), &after].concat();
            prop_assert_eq!(owners(STANDARD.encode(bytes)), [Ok(canary)]);
        }
    }
}
