//! Bytes of a segment: encoding, and walking over what may be torn or damaged.

use crate::Position;

use super::{FORMAT_VERSION, RECORD_BYTES_MAX};

const MAGIC: &[u8; 8] = b"EYOTJRNL";

pub(super) const HEADER_BYTES: usize = 32;
/// Bytes of a record before its payload.
pub(crate) const RECORD_HEADER_BYTES: u64 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) first: Position,
    pub(super) previous_end: Position,
}

/// Why a header was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// Too short, or the checksum is wrong: the file was being created, or is damaged.
    Invalid,
    Newer(u32),
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.0.to_le_bytes());
        bytes[24..].copy_from_slice(&self.previous_end.0.to_le_bytes());
        let checksum = Self::checksum(&bytes);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(super) fn decode(segment: &[u8]) -> Result<Self, HeaderError> {
        let bytes: &[u8; HEADER_BYTES] = segment.first_chunk().ok_or(HeaderError::Invalid)?;
        if &bytes[..8] != MAGIC || u32_at(bytes, 12) != Self::checksum(bytes) {
            return Err(HeaderError::Invalid);
        }
        match u32_at(bytes, 8) {
            FORMAT_VERSION => {
                Ok(Self { first: Position(u64_at(bytes, 16)), previous_end: Position(u64_at(bytes, 24)) })
            }
            newer => Err(HeaderError::Newer(newer)),
        }
    }

    fn checksum(bytes: &[u8; HEADER_BYTES]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..])
    }
}

/// Appends one record to a write buffer.
pub(super) fn encode_record(buffer: &mut Vec<u8>, start: Position, durable: Position, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("appends refuse what is above RECORD_BYTES_MAX");
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(&record_checksum(start, length, durable, payload).to_le_bytes());
    buffer.extend_from_slice(&durable.0.to_le_bytes());
    buffer.extend_from_slice(payload);
}

fn record_checksum(start: Position, length: u32, durable: Position, payload: &[u8]) -> u32 {
    let mut fields = [0; 20];
    fields[..8].copy_from_slice(&start.0.to_le_bytes());
    fields[8..12].copy_from_slice(&length.to_le_bytes());
    fields[12..].copy_from_slice(&durable.0.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&fields), payload)
}

/// A record whose checksum is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) start: Position,
    pub(super) end: Position,
    pub(super) durable: Position,
    pub(super) payload: &'a [u8],
}

/// The bytes of a segment behind its header, and the position of the first of them.
#[derive(Clone, Copy)]
pub(super) struct Records<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) first: Position,
}

impl<'a> Records<'a> {
    /// The record at an offset behind the header, if a whole and right one is there.
    pub(super) fn at(&self, offset: usize) -> Option<Record<'a>> {
        let (header, rest) = self.bytes.get(offset..)?.split_first_chunk::<16>()?;
        let length = u32_at(header, 0);
        if u64::from(length) > RECORD_BYTES_MAX {
            return None;
        }
        let payload = rest.get(..usize::try_from(length).ok()?)?;
        let start = Position(self.first.0 + offset as u64);
        let durable = Position(u64_at(header, 8));
        if u32_at(header, 4) != record_checksum(start, length, durable, payload) {
            return None;
        }
        let end = Position(start.0 + RECORD_HEADER_BYTES + u64::from(length));
        Some(Record { start, end, durable, payload })
    }

    /// Whether a record behind a bad one proves that the bad one had been synced.
    ///
    /// Looks at every byte: damage may have hit the bad record's length. Only offsets whose `durable` field would
    /// prove it are checksummed, so that looking is cheap.
    pub(super) fn proves_synced(&self, bad: usize) -> bool {
        let bad_position = self.first.0 + bad as u64;
        (bad + 1..self.bytes.len().saturating_sub(15)).any(|offset| {
            let durable = u64_at(&self.bytes[offset..], 8);
            bad_position < durable && durable <= self.first.0 + offset as u64 && self.at(offset).is_some()
        })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
