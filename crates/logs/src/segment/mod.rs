//! The files that hold the events of one group.
//!
//! A group's directory holds segments, `<number, 10 digits>.events`. The newest is unsealed: records in order of
//! arrival, indexed in memory. At [`SEGMENT_BYTES_MAX`](crate::limits::SEGMENT_BYTES_MAX) the next one begins and
//! the old one is sealed: rewritten in order of time, in blocks, with an index and a footer, so that opening reads
//! only the footer and a question reads only the blocks of its time range. Little endian:
//! ```text
//! file     := header (record* | block* index footer trailer)
//! header   := "EYOTLOGS" version:u16 flags:u16 group:u32 number:u32 crc32c:u32        flags: 1 sealed
//! record   := len:u32 crc32c:u32 unsynced:u32 stream:u32 timestamp:i64 ingestion:i64 sequence:u64 position:u64
//!             message[len]
//! block    := len:u32 crc32c:u32 flags:u32 count:u32 entry*                 flags: 0, for a compression to come
//! entry    := len:u32 stream:u32 timestamp:i64 ingestion:i64 sequence:u64 message[len]
//! index    := (first_timestamp:i64 first_sequence:u64 last_timestamp:i64 last_sequence:u64 offset:u64 len:u64)*
//! footer   := events:u64 position:u64 sequence:u64
//!             (stream:u32 count:u64 bytes:u64 first:i64 last:i64 ingestion:i64)*
//! trailer  := index_at:u64 footer_at:u64 index_crc:u32 footer_crc:u32 crc32c:u32 "SEAL"
//! ```
//! Checksums of records and blocks include the segment's number and the offset, so that stale bytes do not pass.
//!
//! `unsynced` is how far before the record the bytes begin that were not yet known to be on disk when it was
//! written. As in the journal it tells a torn tail from damage: a bad record is damaged when a later one proves that
//! it had been synced; otherwise both belong to what a crash interrupted, which was not acknowledged or is still in
//! the journal.

pub(crate) mod recovery;
pub(crate) mod sealed;
pub(crate) mod unsealed;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use store::Position;

use crate::limits::EVENT_OVERHEAD_BYTES;
use crate::token::EventKey;

pub(crate) use sealed::SealedSegment;
pub(crate) use unsealed::UnsealedSegment;

const MAGIC: &[u8; 8] = b"EYOTLOGS";
const VERSION: u16 = 1;
const FLAG_SEALED: u16 = 1;
pub(crate) const HEADER_BYTES: usize = 24;

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredEvent {
    pub(crate) key: EventKey,
    pub(crate) stream: u32,
    pub(crate) ingestion_ms: i64,
    /// Where the journal has it; [`Position::NONE`] when it never was there. Not kept by sealed segments.
    pub(crate) position: Position,
    pub(crate) message: String,
}

/// What is known about the events of a segment without reading them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Statistics {
    pub(crate) events: u64,
    /// The highest journal position: everything of the journal up to it was applied.
    pub(crate) position: Position,
    pub(crate) sequence: u64,
    pub(crate) streams: HashMap<u32, StreamStatistics>,
}

/// What is known about the events of one stream in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamStatistics {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    pub(crate) first_ms: i64,
    pub(crate) last_ms: i64,
    pub(crate) ingestion_ms: i64,
}

impl Statistics {
    pub(crate) fn add(
        &mut self,
        key: EventKey,
        stream: u32,
        ingestion_ms: i64,
        position: Position,
        bytes: u64,
    ) {
        self.events += 1;
        self.position = self.position.max(position);
        self.sequence = self.sequence.max(key.sequence);
        let one = StreamStatistics {
            count: 1,
            bytes: bytes + EVENT_OVERHEAD_BYTES,
            first_ms: key.timestamp_ms,
            last_ms: key.timestamp_ms,
            ingestion_ms,
        };
        self.streams.entry(stream).and_modify(|all| all.merge(&one)).or_insert(one);
    }

    pub(crate) fn add_event(&mut self, event: &StoredEvent) {
        self.add(event.key, event.stream, event.ingestion_ms, event.position, event.message.len() as u64);
    }

    /// The earliest and the latest timestamp; `None` without events.
    pub(crate) fn time_range(&self) -> Option<(i64, i64)> {
        let first = self.streams.values().map(|stream| stream.first_ms).min()?;
        let last = self.streams.values().map(|stream| stream.last_ms).max()?;
        Some((first, last))
    }
}

impl StreamStatistics {
    pub(crate) fn merge(&mut self, other: &Self) {
        // The numbers come from footers of files, whose sum is whatever somebody wrote there.
        self.count = self.count.saturating_add(other.count);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.first_ms = self.first_ms.min(other.first_ms);
        self.last_ms = self.last_ms.max(other.last_ms);
        self.ingestion_ms = self.ingestion_ms.max(other.ingestion_ms);
    }
}

/// A segment that can be read.
#[derive(Debug, Clone)]
pub(crate) enum Segment {
    Unsealed(Arc<UnsealedSegment>),
    Sealed(Arc<SealedSegment>),
}

impl Segment {
    pub(crate) fn number(&self) -> u32 {
        match self {
            Self::Unsealed(segment) => segment.number,
            Self::Sealed(segment) => segment.number,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Unsealed(segment) => &segment.path,
            Self::Sealed(segment) => &segment.path,
        }
    }

    /// Looks at the statistics, for an unsealed segment under its lock.
    pub(crate) fn with_statistics<T>(&self, look: impl FnOnce(&Statistics) -> T) -> T {
        match self {
            Self::Unsealed(segment) => look(&segment.index().statistics),
            Self::Sealed(segment) => look(&segment.statistics),
        }
    }
}

pub(crate) fn segment_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:010}.events"))
}

/// The number that a file's name tells, and what follows it, such as `events`; `None` for another file.
pub(crate) fn numbered(name: &str) -> Option<(u32, &str)> {
    let (digits, kind) = name.split_once('.')?;
    let is_number = digits.len() == 10 && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| Some((digits.parse().ok()?, kind)))?
}

/// The header of a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) sealed: bool,
    pub(crate) group: u32,
    pub(crate) number: u32,
}

impl Header {
    pub(crate) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10..12].copy_from_slice(&if self.sealed { FLAG_SEALED } else { 0 }.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.group.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.number.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..20]);
        bytes[20..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a header; `Err` says what is wrong with it.
    pub(crate) fn decode(file: &[u8]) -> Result<Self, String> {
        let bytes: &[u8; HEADER_BYTES] = file.first_chunk().ok_or("the header is cut off")?;
        let mut fields = Fields(bytes);
        let magic = fields.array::<8>();
        let version = fields.u16();
        let flags = fields.u16();
        let (group, number, checksum) = (fields.u32(), fields.u32(), fields.u32());
        if magic.as_ref() != Some(MAGIC) || checksum != Some(crc32c::crc32c(&bytes[..20])) {
            return Err("the header is not readable".to_owned());
        }
        match (version, flags, group, number) {
            (Some(VERSION), Some(flags @ (0 | FLAG_SEALED)), Some(group), Some(number)) => {
                Ok(Self { sealed: flags == FLAG_SEALED, group, number })
            }
            (version, flags, ..) => Err(format!(
                "written by a newer version (log segment format {}, flags {})",
                version.unwrap_or_default(),
                flags.unwrap_or_default()
            )),
        }
    }
}

/// The checksum of something at its place.
fn checksum_at(number: u32, offset: u64, parts: &[&[u8]]) -> u32 {
    let mut checksum = crc32c::crc32c(&number.to_le_bytes());
    checksum = crc32c::crc32c_append(checksum, &offset.to_le_bytes());
    parts.iter().fold(checksum, |checksum, part| crc32c::crc32c_append(checksum, part))
}

/// Reads fields one after another; `None` once there are no more bytes.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    pub(crate) fn bytes(&mut self, count: u32) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(usize::try_from(count).ok()?)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }
}
