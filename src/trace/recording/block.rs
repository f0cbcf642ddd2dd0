//! One block of a recording: LZ4-compressed, self-contained, with a checksum of its head and one of what it holds.
//!
//! The head has a checksum of its own so that a length can be believed: a block that ends before its length was torn, one
//! whose length is nonsense was damaged.

use super::VERSION;

/// What every recording begins with. The bytes beyond ASCII and the line ends show transfers that take it for text.
pub(super) const MAGIC: [u8; 8] = *b"\x89GPR\r\n\x1a\n";
/// Magic and version.
pub(super) const PREFACE: usize = MAGIC.len() + 2;
/// What every block begins with.
const MARK: [u8; 4] = *b"GPRB";
/// Mark, kind, two lengths, two checksums.
pub(super) const HEAD: usize = MARK.len() + 1 + 4 * 4;
/// The most a block holds, compressed or not, in bytes.
pub(super) const MOST: usize = 1 << 30;
/// LZ4 makes nothing smaller than by this factor: a length byte stands for at most 255 bytes (LZ4 block format, "Token").
const RATIO: usize = 255;

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What was to be done; the first block.
    Header,
    /// A part of a tape.
    Tape,
    /// What came of it; the last block.
    End,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Header, Kind::Tape, Kind::End];

    const fn letter(self) -> u8 {
        match self {
            Kind::Header => b'H',
            Kind::Tape => b'T',
            Kind::End => b'E',
        }
    }
}

/// The beginning of a file.
pub fn preface() -> Vec<u8> {
    [&MAGIC[..], &VERSION.to_le_bytes()].concat()
}

/// The bytes of a block, to be appended with one write. Of more than 1 GiB there is none.
pub fn encode(kind: Kind, content: &[u8]) -> Option<Vec<u8>> {
    let mut room = Vec::new();
    let length = encode_within(kind, content, &mut room)?.len();
    room.truncate(length);
    Some(room)
}

/// As [`encode`], within `room`, which is made larger where that is needed and can be used again.
pub fn encode_within<'r>(kind: Kind, content: &[u8], room: &'r mut Vec<u8>) -> Option<&'r [u8]> {
    if content.len() > MOST {
        return None;
    }
    let most = HEAD + lz4_flex::block::get_maximum_output_size(content.len());
    if room.len() < most {
        room.resize(most, 0);
    }
    let (head, packed) = room.split_at_mut(HEAD);
    let length = lz4_flex::block::compress_into(content, packed).expect("the output is large enough");
    head[..MARK.len()].copy_from_slice(&MARK);
    head[MARK.len()] = kind.letter();
    let numbers = [length as u32, content.len() as u32, crc32fast::hash(&packed[..length])];
    let at = MARK.len() + 1;
    head[at..HEAD - 4].copy_from_slice(numbers.map(u32::to_le_bytes).as_flattened());
    let checksum = crc32fast::hash(&head[..HEAD - 4]);
    head[HEAD - 4..].copy_from_slice(&checksum.to_le_bytes());
    Some(&room[..HEAD + length])
}

/// The head of a block, whose lengths can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockHead {
    /// What it holds; nothing for a kind that this build does not know.
    pub kind: Option<Kind>,
    /// Bytes that follow.
    pub packed: usize,
    unpacked: usize,
    checksum: u32,
}

impl BlockHead {
    /// Nothing if these are not the bytes of a head.
    pub fn read(bytes: &[u8; HEAD]) -> Option<BlockHead> {
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let at = MARK.len() + 1;
        let whole = bytes[..MARK.len()] == MARK && crc32fast::hash(&bytes[..HEAD - 4]) == number(HEAD - 4);
        let head = BlockHead {
            kind: Kind::ALL.into_iter().find(|kind| kind.letter() == bytes[MARK.len()]),
            packed: number(at) as usize,
            unpacked: number(at + 4) as usize,
            checksum: number(at + 8),
        };
        let possible = head.packed <= 2 * MOST && head.unpacked <= MOST && head.unpacked / RATIO <= head.packed;
        (whole && possible).then_some(head)
    }

    /// What the block holds; nothing if `packed` was damaged.
    pub fn unpack(&self, packed: &[u8]) -> Option<Vec<u8>> {
        if crc32fast::hash(packed) != self.checksum {
            return None;
        }
        lz4_flex::block::decompress(packed, self.unpacked).ok().filter(|content| content.len() == self.unpacked)
    }
}
