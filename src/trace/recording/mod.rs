//! What a recording holds, and how it is spelled; `docs/recordings.md` describes the format for other readers.
//!
//! A recording is one header, tapes in blocks that can each be read without the others, and an end. A tape is what one judge
//! was told, in that order, one JSON document per line. What stands in header and end is the edge's business, and so are
//! files: this module knows bytes.
//!
//! | file | what for |
//! |---|---|
//! | `block.rs` | one block: compressed, with checksums |
//! | `reader.rs` | from the bytes of a file to its parts, and what is wrong with them |

mod block;
mod reader;

use serde::{Deserialize, Serialize};
use wide::u8x16;

use super::{Content, Direction, Fact, Frame};
use crate::identity::UserNumber;
use crate::time::Stamp;

pub use block::{Kind, encode, encode_within, preface};
pub use reader::{Part, Reader, Tail, Unreadable, Why};

/// The version of the format that this build writes and reads.
pub const VERSION: u16 = 1;

/// One observation of one user.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<'a> {
    /// The user; absent for the readiness of the target.
    pub user: Option<UserNumber>,
    /// What was observed.
    pub observed: Observed<'a>,
}

/// What a judge is told, live or from a recording.
#[derive(Debug, Clone, PartialEq)]
pub enum Observed<'a> {
    /// A frame on the socket.
    Frame(Frame<'a>),
    /// Something the harness did or was answered.
    Fact(Fact),
    /// Nothing more had arrived by then: the judge's deadlines up to this stamp have passed.
    Quiet(Stamp),
}

impl Entry<'_> {
    /// The same with its own text, for keeping.
    pub fn into_owned(self) -> Entry<'static> {
        let observed = match self.observed {
            Observed::Frame(frame) => Observed::Frame(frame.into_owned()),
            Observed::Fact(fact) => Observed::Fact(fact),
            Observed::Quiet(until) => Observed::Quiet(until),
        };
        Entry { user: self.user, observed }
    }
}

impl Observed<'_> {
    /// When the harness knew of it.
    pub fn at(&self) -> Stamp {
        match self {
            Observed::Frame(frame) => frame.read_at,
            Observed::Fact(fact) => fact.at(),
            Observed::Quiet(until) => *until,
        }
    }
}

/// One line of a tape.
#[derive(Debug, Clone, PartialEq)]
pub enum Line<'a> {
    /// What a judge was told.
    Entry(Entry<'a>),
    /// So many entries of this user stood here and were not kept.
    LeftOut {
        /// Whose.
        user: UserNumber,
        /// How many, above zero.
        entries: u64,
    },
}

/// The first line of a block of tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Which judge was told: 0 for the readiness of the target, from 1 on one per thread.
    pub tape: u32,
    /// Which block of its tape, counted from 0.
    pub sequence: u64,
}

/// How a line is spelled: a user and exactly one of the others.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<&'a Frame<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fact: Option<&'a Fact>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<u64>,
}

#[derive(Deserialize)]
struct Read<'a> {
    user: Option<UserNumber>,
    #[serde(borrow)]
    frame: Option<Frame<'a>>,
    fact: Option<Fact>,
    quiet: Option<Stamp>,
    left_out: Option<u64>,
}

/// Appends the line of an observation, its line feed included.
pub fn write_entry(out: &mut Vec<u8>, user: Option<UserNumber>, observed: &Observed<'_>) {
    let mut line = Written { user, frame: None, fact: None, quiet: None, left_out: None };
    match observed {
        Observed::Frame(frame) => {
            if let Content::Text(text) = &frame.content {
                return write_text(out, user, frame, text);
            }
            line.frame = Some(frame);
        }
        Observed::Fact(fact) => line.fact = Some(fact),
        Observed::Quiet(until) => line.quiet = Some(*until),
    }
    write(out, &line);
}

/// Appends the line of a message, as any other would be spelled. Messages are most of a tape: what is the same in all of them is not
/// looked for each time.
fn write_text(out: &mut Vec<u8>, user: Option<UserNumber>, frame: &Frame<'_>, text: &str) {
    let Frame { connection, direction, at, read_at, not_before, content: _ } = frame;
    let mut put = |name: &str, number: u64| {
        out.extend_from_slice(name.as_bytes());
        serde_json::to_writer(&mut *out, &number).expect("a number, into memory");
    };
    match user {
        Some(user) => {
            put("{\"user\":", user.0.into());
            put(",\"frame\":{\"connection\":", connection.0.into());
        }
        None => put("{\"frame\":{\"connection\":", connection.0.into()),
    }
    match direction {
        Direction::Received => put(",\"direction\":\"received\",\"at\":", at.0),
        Direction::Sent => put(",\"direction\":\"sent\",\"at\":", at.0),
    }
    put(",\"read_at\":", read_at.0);
    put(",\"not_before\":", not_before.0);
    out.extend_from_slice(b",\"content\":{\"text\":\"");
    text.as_bytes().chunks(PART).for_each(|part| write_escaped(out, part));
    out.extend_from_slice(b"\"}}}\n");
}

/// How many bytes of a text are escaped at once.
const PART: usize = 32;

/// Appends what stands for a part of a text between quotes (RFC 8259, section 7).
fn write_escaped(out: &mut Vec<u8>, part: &[u8]) {
    // With room behind it: to copy more than is wanted is quicker than to ask how much.
    let mut source = [b' '; 2 * PART];
    match part.first_chunk::<PART>() {
        Some(whole) => source[..PART].copy_from_slice(whole),
        None => source[..part.len()].copy_from_slice(part),
    }
    let [controls, mut quoted] = marked(&source);
    if controls != 0 {
        return part.iter().for_each(|byte| write_one(out, *byte));
    }
    let (mut room, mut filled, mut begin) = ([0; 3 * PART], 0, 0);
    while quoted != 0 {
        let at = quoted.trailing_zeros() as usize;
        quoted &= quoted - 1;
        room[filled..filled + PART].copy_from_slice(&source[begin..begin + PART]);
        filled += at - begin;
        room[filled] = b'\\';
        (filled, begin) = (filled + 1, at);
    }
    room[filled..filled + PART].copy_from_slice(&source[begin..begin + PART]);
    let before = out.len();
    out.extend_from_slice(&room);
    out.truncate(before + filled + part.len() - begin);
}

/// Of the first bytes one bit each, from the lowest on: those below the space, and quotes and backslashes.
fn marked(bytes: &[u8; 2 * PART]) -> [u32; 2] {
    let (quote, backslash, control) = (u8x16::splat(b'"'), u8x16::splat(b'\\'), u8x16::splat(b' ' - 1));
    let (halves, _) = bytes.as_chunks();
    halves[..2].iter().rev().fold([0, 0], |[controls, quoted], half| {
        let half = u8x16::new(*half);
        let (low, marks) = (half.min(control).simd_eq(half), half.simd_eq(quote) | half.simd_eq(backslash));
        [controls << 16 | low.to_bitmask(), quoted << 16 | marks.to_bitmask()]
    })
}

fn write_one(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' | b'\\' | 0..b' ' => {
            let quoted = serde_json::to_string(&char::from(byte)).expect("a character is a text");
            out.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
        }
        byte => out.push(byte),
    }
}

/// Appends the line that says how many entries of `user` are not kept.
pub fn write_left_out(out: &mut Vec<u8>, user: UserNumber, entries: u64) {
    write(out, &Written { user: Some(user), frame: None, fact: None, quiet: None, left_out: Some(entries) });
}

/// Appends the first line of a block of tape.
pub fn write_head(out: &mut Vec<u8>, head: Head) {
    write(out, &head);
}

fn write(out: &mut Vec<u8>, line: &impl Serialize) {
    serde_json::to_writer(&mut *out, line).expect("plain data with text keys, into memory");
    out.push(b'\n');
}

impl<'a> Line<'a> {
    /// Reads a line back. Keys that this build does not know are passed over.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn read(text: &'a [u8]) -> Result<Line<'a>, String> {
        let Read { user, frame, fact, quiet, left_out } =
            serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let observed = match (frame, fact, quiet, left_out) {
            (Some(frame), None, None, None) => Observed::Frame(frame),
            (None, Some(fact), None, None) => Observed::Fact(fact),
            (None, None, Some(until), None) => Observed::Quiet(until),
            (None, None, None, Some(entries)) => {
                let user = user.ok_or("entries were left out, and nobody says whose")?;
                return Ok(Line::LeftOut { user, entries });
            }
            _ => return Err("a line holds exactly one of `frame`, `fact`, `quiet` and `left_out`".to_owned()),
        };
        Ok(Line::Entry(Entry { user, observed }))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::{Connection, Iteration};
    use crate::time::Micros;
    use crate::trace::{Dial, Direction, NetFailure, Phase, StepOutcome};

    fn stamp() -> impl Strategy<Value = Stamp> {
        prop_oneof![Just(Stamp(0)), Just(Stamp(u64::MAX)), any::<u64>().prop_map(Stamp)]
    }

    fn content() -> impl Strategy<Value = Content<'static>> {
        let text = || any::<String>();
        prop_oneof![
            text().prop_map(|text| Content::Text(text.into())),
            any::<Vec<u8>>().prop_map(|bytes| Content::Binary(bytes.into())),
            Just(Content::Ping),
            Just(Content::Pong),
            (any::<u16>(), text()).prop_map(|(code, reason)| Content::Close { code, reason: reason.into() }),
            text().prop_map(|error| Content::Lost { error: error.into() }),
            any::<u64>().prop_map(|limit| Content::TooLarge { limit }),
            text().prop_map(|why| Content::Violation { why: why.into() }),
        ]
    }

    fn frame() -> impl Strategy<Value = Frame<'static>> {
        let direction = prop_oneof![Just(Direction::Received), Just(Direction::Sent)];
        (any::<u32>(), direction, stamp(), stamp(), stamp(), content()).prop_map(
            |(connection, direction, at, read_at, not_before, content)| {
                let connection = Connection(connection);
                Frame { connection, direction, at, read_at, not_before, content }
            },
        )
    }

    fn fact() -> impl Strategy<Value = Fact> {
        let text = || any::<String>();
        let failure =
            || (text(), text(), any::<bool>()).prop_map(|(doing, error, hung)| NetFailure { doing, error, hung });
        let outcome = prop_oneof![
            any::<u16>().prop_map(|status| StepOutcome::Good { status }),
            (any::<u16>(), text(), text()).prop_map(|(status, why, body)| StepOutcome::Refused { status, why, body }),
            failure().prop_map(StepOutcome::Failed),
        ];
        let phase = prop_oneof![
            Just(Phase::Ready),
            Just(Phase::Login),
            Just(Phase::Refresh),
            Just(Phase::Prepare),
            Just(Phase::Ask),
            Just(Phase::After),
            Just(Phase::Finally)
        ];
        let dial = prop_oneof![
            (any::<Option<String>>(), any::<bool>(), any::<bool>()).prop_map(
                |(subprotocol, echo_fits, echo_strict)| Dial::Upgraded { subprotocol, echo_fits, echo_strict }
            ),
            (any::<u16>(), text(), text()).prop_map(|(status, headers, body)| Dial::Refused { status, headers, body }),
            text().prop_map(|why| Dial::Invalid { why }),
            failure().prop_map(Dial::Failed),
        ];
        prop_oneof![
            (any::<u32>(), stamp(), stamp(), any::<bool>()).prop_map(|(iteration, scheduled, at, fresh)| {
                Fact::Began { iteration: Iteration(iteration), scheduled, at, fresh, apart: false }
            }),
            (phase, text(), stamp(), stamp(), outcome).prop_map(|(phase, name, sent, done, outcome)| Fact::Step {
                phase,
                name,
                sent,
                done,
                outcome
            }),
            (text(), stamp()).prop_map(|(group, at)| Fact::Grouped { group, at }),
            (text(), stamp()).prop_map(|(persona, at)| Fact::Plays { persona, at }),
            (text(), text(), stamp()).prop_map(|(name, value, at)| Fact::Captured { name, value, at }),
            (prop::option::of(1..9_u32), stamp()).prop_map(|(of, at)| Fact::Listens { of: of.map(UserNumber), at }),
            (text(), prop::collection::vec(text(), 0..3), stamp()).prop_map(|(name, words, at)| Fact::Named {
                name,
                words,
                at
            }),
            (text(), prop::collection::vec(text(), 0..3), stamp()).prop_map(|(name, marks, at)| Fact::Marked {
                name,
                marks,
                at
            }),
            (any::<u32>(), stamp(), stamp(), dial).prop_map(|(connection, begun, done, outcome)| {
                Fact::Dialed { connection: Connection(connection), begun, done, outcome }
            }),
            (any::<u32>(), stamp(), any::<Option<String>>(), any::<Option<String>>(), text())
                .prop_map(|(turn, at, run, thread, prompt)| Fact::Asked { turn, at, run, thread, prompt }),
            (any::<u32>(), stamp())
                .prop_map(|(connection, at)| Fact::Closed { connection: Connection(connection), at }),
            stamp().prop_map(|at| Fact::Interrupted { at }),
            stamp().prop_map(|at| Fact::Ended { at }),
            (stamp(), stamp()).prop_map(|(scheduled, at)| Fact::Dropped { scheduled, at }),
            stamp().prop_map(|at| Fact::Overdue { at }),
            (stamp(), any::<u64>(), any::<Option<u64>>()).prop_map(|(at, us, cpu)| {
                let (lasted, cpu) = (Micros(us), cpu.map(Micros));
                Fact::Pulse { at, lasted, late: Micros(us / 2), latest: Micros(us / 3), cpu }
            }),
        ]
    }

    /// Anything that a judge can be told, and what can stand on a tape beside it.
    pub(crate) fn line() -> impl Strategy<Value = Line<'static>> {
        let user = prop::option::of(any::<u32>().prop_map(UserNumber));
        let observed = prop_oneof![
            3 => frame().prop_map(Observed::Frame),
            2 => fact().prop_map(Observed::Fact),
            1 => stamp().prop_map(Observed::Quiet),
        ];
        prop_oneof![
            6 => (user, observed).prop_map(|(user, observed)| Line::Entry(Entry { user, observed })),
            1 => (any::<u32>(), 1..u64::MAX)
                .prop_map(|(user, entries)| Line::LeftOut { user: UserNumber(user), entries }),
        ]
    }

    pub(crate) fn write_line(out: &mut Vec<u8>, line: &Line<'_>) {
        match line {
            Line::Entry(Entry { user, observed }) => write_entry(out, *user, observed),
            Line::LeftOut { user, entries } => write_left_out(out, *user, *entries),
        }
    }

    proptest! {
        #[test]
        fn a_line_reads_back_as_written(line in line()) {
            let mut text = Vec::new();
            write_line(&mut text, &line);
            prop_assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
            prop_assert_eq!(Line::read(&text[..text.len() - 1]), Ok(line));
        }

        #[test]
        fn a_message_is_spelled_as_any_other_frame(
            frame in frame(), text in "(\"|\\\\|[\\x00-\\x7f]|\\PC){0,40}", user in prop::option::of(any::<u32>())
        ) {
            let (user, frame) = (user.map(UserNumber), Frame { content: Content::Text(text.into()), ..frame });
            let (mut mine, mut theirs) = (b"before".to_vec(), b"before".to_vec());
            write_entry(&mut mine, user, &Observed::Frame(frame.clone()));
            write(&mut theirs, &Written { user, frame: Some(&frame), fact: None, quiet: None, left_out: None });
            prop_assert_eq!(String::from_utf8_lossy(&mine), String::from_utf8_lossy(&theirs));
        }

        #[test]
        fn nonsense_is_no_line(text in any::<Vec<u8>>()) {
            prop_assert!(Line::read(&text).is_err());
        }
    }

    #[test]
    fn whole_parts_of_what_is_escaped_are_spelled_as_by_anybody_else() {
        for text in ["\"", "\\", "a\"", "\"a", "\n", "\u{1f}", " ", "\u{7f}", "ä", "\u{ff}\""] {
            for times in [1, PART / 2, PART - 1, PART, PART + 1, 3 * PART] {
                let text = text.repeat(times);
                let mut spelled = Vec::new();
                text.as_bytes().chunks(PART).for_each(|part| write_escaped(&mut spelled, part));
                let quoted = serde_json::to_string(&text).unwrap();
                assert_eq!(String::from_utf8(spelled).unwrap(), quoted[1..quoted.len() - 1], "{text:?}");
            }
        }
    }

    #[test]
    fn a_line_of_two_things_or_none_is_refused() {
        for text in ["{}", r#"{"user":1}"#, r#"{"user":1,"quiet":3,"left_out":4}"#, r#"{"left_out":4}"#] {
            assert!(Line::read(text.as_bytes()).is_err(), "{text}");
        }
        let later = Line::read(br#"{"user":1,"quiet":3,"of_a_later_build":[]}"#);
        assert_eq!(later, Ok(Line::Entry(Entry { user: Some(UserNumber(1)), observed: Observed::Quiet(Stamp(3)) })));
    }
}
