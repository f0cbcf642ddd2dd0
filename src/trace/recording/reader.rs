//! From the bytes of a file to the parts of a recording, and what is wrong with them.
//!
//! A block that ends before its length, and zeros where the next one should begin, are what a process or machine that was
//! killed leaves behind: the recording is good up to there, and says so. Anything else that does not fit is damage, and
//! nothing is guessed from a damaged recording. The caller hands in bytes; nothing here opens a file.

use std::fmt;
use std::io::{self, Read};

use super::block::{BlockHead, HEAD, Kind, MAGIC, PREFACE};
use super::{Head, VERSION};

/// Why a recording cannot be read, and where.
#[derive(Debug)]
pub struct Unreadable {
    /// Bytes from the beginning of the file to what is wrong.
    pub at: u64,
    /// What is.
    pub why: Why,
}

/// What is wrong with a recording.
#[derive(Debug)]
pub enum Why {
    /// The system could not read it.
    Io(io::Error),
    /// There is nothing in it.
    Empty,
    /// It does not begin like one.
    NotARecording,
    /// It begins like one whose bytes were changed as if it were text.
    TakenForText,
    /// A newer build wrote it.
    Version(u16),
    /// It ends before the header does.
    NoHeader,
    /// These bytes are not what was written.
    Damaged(String),
}

impl fmt::Display for Unreadable {
    /// What is wrong and where, and what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match &self.why {
            Why::Io(error) => write!(f, "cannot be read at byte {at}: {error}"),
            Why::Empty => {
                f.write_str("the file is empty; the execution was killed before it wrote anything: run it again")
            }
            Why::NotARecording => f.write_str(
                "not a recording: it does not begin like one; name a `recording.gpr`, or the folder it stands in",
            ),
            Why::TakenForText => f.write_str(
                "a recording whose bytes were changed on the way, as if it were text; copy it again in binary mode",
            ),
            Why::Version(found) => write!(
                f,
                "a recording of version {found}, and this build reads version {VERSION}; use the build that wrote it, \
                 or a newer one"
            ),
            Why::NoHeader => {
                write!(f, "ends at byte {at}, within its header, so nothing is known of the execution: run it again")
            }
            Why::Damaged(what) => write!(f, "damaged at byte {at}: {what}; copy it again, or run it again"),
        }
    }
}

impl std::error::Error for Unreadable {}

/// What one block holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The header; always the first.
    Header(Vec<u8>),
    /// Lines of a tape, each with its line feed.
    Tape(Head, Vec<u8>),
    /// The end; always the last.
    End(Vec<u8>),
}

/// How a recording ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// With its end: the execution was concluded.
    Ended,
    /// Without, after a whole block.
    Open,
    /// Without, in the middle of a block.
    Torn {
        /// Bytes from the beginning of the file to that block.
        at: u64,
    },
}

/// Reads the parts of a recording in their order.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    at: u64,
    /// The number of the next block of each tape.
    sequences: Vec<u64>,
    tail: Option<Tail>,
    begun: bool,
}

/// More tapes than this no execution has.
const TAPES: u32 = 1 << 16;

impl<R: Read> Reader<R> {
    /// Reads the beginning of a file.
    ///
    /// # Errors
    ///
    /// When it is not that of a recording which this build can read.
    pub fn open(mut from: R) -> Result<Reader<R>, Unreadable> {
        let mut preface = [0; PREFACE];
        let read = fill(&mut from, &mut preface).map_err(|error| Unreadable { at: 0, why: Why::Io(error) })?;
        let begins = |whole: &[u8]| whole.starts_with(&preface[..read.min(MAGIC.len())]);
        let why = match read {
            0 => Why::Empty,
            _ if !begins(&MAGIC) && taken_for_text(&preface[..read]) => Why::TakenForText,
            _ if !begins(&MAGIC) => Why::NotARecording,
            PREFACE => match u16::from_le_bytes([preface[MAGIC.len()], preface[MAGIC.len() + 1]]) {
                VERSION => {
                    let at = PREFACE as u64;
                    return Ok(Reader { from, at, sequences: Vec::new(), tail: None, begun: false });
                }
                found => Why::Version(found),
            },
            _ => Why::NoHeader,
        };
        let at = if matches!(why, Why::NoHeader) { read as u64 } else { 0 };
        Err(Unreadable { at, why })
    }

    /// How the recording ends; known once there was no further part.
    pub fn tail(&self) -> Option<Tail> {
        self.tail
    }

    /// The next part, if there is one.
    ///
    /// # Errors
    ///
    /// What is wrong with it. Nothing further is to be read then.
    pub fn next_part(&mut self) -> Result<Option<Part>, Unreadable> {
        if self.tail.is_some() {
            return Ok(None);
        }
        let start = self.at;
        let failed = |why: Why| Unreadable { at: start, why };
        let damaged = |what: &str| failed(Why::Damaged(what.to_owned()));
        let mut head = [0; HEAD];
        let read = fill(&mut self.from, &mut head).map_err(|error| failed(Why::Io(error)))?;
        self.at += read as u64;
        if read < HEAD {
            let tail = if read == 0 { Tail::Open } else { Tail::Torn { at: start } };
            return self.ended(tail);
        }
        let Some(block) = BlockHead::read(&head) else {
            // Room that a file system had given and nobody had filled.
            let zeros =
                head.iter().all(|byte| *byte == 0) && self.only_zeros().map_err(|error| failed(Why::Io(error)))?;
            return if zeros { self.ended(Tail::Torn { at: start }) } else { Err(damaged("no block begins here")) };
        };
        let mut packed = Vec::new();
        let wanted = block.packed as u64;
        let read = (&mut self.from).take(wanted).read_to_end(&mut packed).map_err(|error| failed(Why::Io(error)))?;
        self.at += read as u64;
        if read < block.packed {
            return self.ended(Tail::Torn { at: start });
        }
        let Some(content) = block.unpack(&packed) else {
            // The last block of a machine that lost its power may have its length and not its bytes.
            let last = self.only_zeros().map_err(|error| failed(Why::Io(error)))?;
            return if last && self.begun {
                self.ended(Tail::Torn { at: start })
            } else {
                Err(damaged("the block that begins here does not fit its checksum"))
            };
        };
        let first = !std::mem::replace(&mut self.begun, true);
        match block.kind {
            Some(Kind::Header) if first => Ok(Some(Part::Header(content))),
            _ if first => Err(damaged("the first block is no header")),
            Some(Kind::Tape) => {
                let end = content.iter().position(|byte| *byte == b'\n').unwrap_or(0);
                let head = serde_json::from_slice::<Head>(&content[..end]).ok().filter(|head| head.tape < TAPES);
                let Some(head) = head else { return Err(damaged("the block does not say which tape it is of")) };
                let tape = head.tape as usize;
                if self.sequences.len() <= tape {
                    self.sequences.resize(tape + 1, 0);
                }
                if head.sequence != self.sequences[tape] {
                    let (tape, missing) = (head.tape, self.sequences[tape]);
                    return Err(damaged(&format!("before this, block {missing} of tape {tape} is missing")));
                }
                self.sequences[tape] += 1;
                Ok(Some(Part::Tape(head, content[end + 1..].to_vec())))
            }
            Some(Kind::End) => {
                let mut more = [0];
                let read = fill(&mut self.from, &mut more).map_err(|error| failed(Why::Io(error)))?;
                if read > 0 {
                    return Err(Unreadable { at: self.at, why: Why::Damaged("something follows the end".to_owned()) });
                }
                self.tail = Some(Tail::Ended);
                Ok(Some(Part::End(content)))
            }
            Some(Kind::Header) => Err(damaged("a second header begins here")),
            None => Err(damaged("the block is of a kind that this build does not know")),
        }
    }

    fn ended(&mut self, tail: Tail) -> Result<Option<Part>, Unreadable> {
        self.tail = Some(tail);
        if self.begun { Ok(None) } else { Err(Unreadable { at: self.at, why: Why::NoHeader }) }
    }

    /// Whether nothing but zeros follows, or nothing at all.
    fn only_zeros(&mut self) -> io::Result<bool> {
        let mut room = [0; 4096];
        loop {
            let read = fill(&mut self.from, &mut room)?;
            if room[..read].iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            if read < room.len() {
                return Ok(true);
            }
        }
    }
}

/// Reads until `room` is full or there is nothing more; says how much.
fn fill(from: &mut impl Read, room: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < room.len() {
        match from.read(&mut room[done..]) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// The usual damage: line ends translated, the first byte replaced.
fn taken_for_text(begin: &[u8]) -> bool {
    let name = &MAGIC[1..4];
    begin.windows(name.len()).take(4).any(|window| window == name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{line, write_line};
    use super::super::{Line, encode, preface, write_head};
    use super::*;

    /// A whole recording: header, blocks of tapes, end.
    fn file(blocks: &[(u32, u64, Vec<Line<'_>>)], ended: bool) -> Vec<u8> {
        let mut bytes = preface();
        bytes.extend(encode(Kind::Header, b"{}").unwrap());
        for (tape, sequence, lines) in blocks {
            let mut content = Vec::new();
            write_head(&mut content, Head { tape: *tape, sequence: *sequence });
            lines.iter().for_each(|line| write_line(&mut content, line));
            bytes.extend(encode(Kind::Tape, &content).unwrap());
        }
        if ended {
            bytes.extend(encode(Kind::End, b"{}").unwrap());
        }
        bytes
    }

    type Seen = Vec<(u32, Vec<u8>)>;

    fn read(bytes: &[u8]) -> Result<(Seen, Tail), Unreadable> {
        let mut reader = Reader::open(bytes)?;
        let mut lines = Vec::new();
        while let Some(part) = reader.next_part()? {
            if let Part::Tape(head, content) = part {
                lines.extend(content.split_inclusive(|byte| *byte == b'\n').map(|line| (head.tape, line.to_vec())));
            }
        }
        Ok((lines, reader.tail().expect("there was no further part")))
    }

    fn quiet(user: u32) -> Line<'static> {
        let observed = super::super::Observed::Quiet(crate::time::Stamp(7));
        Line::Entry(super::super::Entry { user: Some(crate::identity::UserNumber(user)), observed })
    }

    #[test]
    fn what_is_no_recording_is_told_with_its_place_and_a_remedy() {
        let whole = file(&[(1, 0, vec![quiet(1)]), (1, 1, vec![quiet(2)])], true);
        let newer = [&MAGIC[..], &[2, 0], &whole[PREFACE..]].concat();
        let text: Vec<u8> = [&b"\xef\xbf\xbdGPR\n\x1a\n"[..], &whole[8..]].concat();
        let second = PREFACE + encode(Kind::Header, b"{}").unwrap().len();
        let mut damaged = whole.clone();
        damaged[second + HEAD + 3] ^= 1;
        let mut lengthened = whole.clone();
        lengthened[second + 6] ^= 1;
        let missing = file(&[(1, 1, vec![quiet(1)])], true);
        let followed = [&whole[..], b"x"].concat();
        for (bytes, wanted) in [
            (&b""[..], "the file is empty; the execution was killed"),
            (b"PK\x03\x04 something else", "not a recording: it does not begin like one"),
            (b"x", "not a recording"),
            (&text, "copy it again in binary mode"),
            (&newer, "a recording of version 2, and this build reads version 1; use the build that wrote it"),
            (&whole[..5], "ends at byte 5, within its header"),
            (&whole[..PREFACE], "ends at byte 10, within its header"),
            (&whole[..PREFACE + HEAD + 1], "within its header"),
            (&damaged, &format!("damaged at byte {second}: the block that begins here does not fit its checksum")),
            (&lengthened, &format!("damaged at byte {second}: no block begins here; copy it again")),
            (&missing, "block 0 of tape 1 is missing"),
            (&followed, "something follows the end"),
            (&preface().into_iter().chain(encode(Kind::End, b"{}").unwrap()).collect::<Vec<_>>(), "no header"),
        ] {
            let told = read(bytes).expect_err("it cannot be read").to_string();
            assert!(told.contains(wanted), "{told:?} does not say {wanted:?}");
        }
    }

    #[test]
    fn a_torn_end_is_noted_and_everything_before_it_is_read() {
        let before = file(&[(0, 0, vec![quiet(1)])], false);
        let whole = file(&[(0, 0, vec![quiet(1)]), (1, 0, vec![quiet(2), quiet(3)])], false);
        assert_eq!(read(&whole).unwrap().1, Tail::Open);
        for cut in before.len() + 1..whole.len() {
            let (lines, tail) = read(&whole[..cut]).unwrap();
            assert_eq!((lines.len(), tail), (1, Tail::Torn { at: before.len() as u64 }), "cut at {cut}");
        }
        let zeros = [&before[..], &[0; 9000]].concat();
        assert_eq!(read(&zeros).unwrap().1, Tail::Torn { at: before.len() as u64 });
    }

    proptest! {
        #[test]
        fn a_recording_reads_back_as_written(lines in prop::collection::vec(line(), 0..20), ended: bool) {
            let mut text = Vec::new();
            lines.iter().for_each(|line| write_line(&mut text, line));
            let (read, tail) = read(&file(&[(3, 0, lines.clone())], ended)).unwrap();
            let read: Vec<Vec<u8>> = read.into_iter().map(|(tape, line)| { assert_eq!(tape, 3); line }).collect();
            prop_assert_eq!(read.concat(), text);
            prop_assert_eq!(tail, if ended { Tail::Ended } else { Tail::Open });
            let back: Vec<_> = read.iter().map(|line| Line::read(&line[..line.len() - 1]).unwrap()).collect();
            prop_assert_eq!(back, lines);
        }

        #[test]
        fn a_changed_byte_never_passes_for_what_was_written(
            lines in prop::collection::vec(line(), 1..6), at: prop::sample::Index, change in 1..=255_u8,
        ) {
            let whole = file(&[(1, 0, lines.clone()), (1, 1, lines)], true);
            let mut bytes = whole.clone();
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            // Only in the last block can damage look like a torn end; then the end is missing.
            prop_assert!(!matches!(read(&bytes), Ok((_, Tail::Ended))), "byte {} changed by {}", at, change);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>(), whole: bool) {
            let bytes = if whole { [preface(), bytes].concat() } else { bytes };
            prop_assert!(read(&bytes).is_err());
        }
    }
}
