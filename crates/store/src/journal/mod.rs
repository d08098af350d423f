//! The journal's files: what is in them, how they are written, what recovery makes of them.
//!
//! A journal is a directory of segments, `<position of the first record, 20 digits>.journal`. Little endian:
//! ```text
//! segment := header record*
//! header  := "EYOTJRNL" version:u32 crc32c:u32 first:u64 previous_end:u64      crc over the other fields
//! record  := len:u32 crc32c:u32 durable:u64 payload[len]      crc over start:u64, len, durable, payload
//! ```
//! Positions count the bytes of records, headers left out: the record that starts at position `p` of a segment that
//! begins with `first` is `p - first` bytes behind the header, and a transaction's position is where its record ends.
//! `previous_end` is where the segment before ended; it differs from `first` after a full disk, whose positions are
//! lost and never given out again.
//!
//! `durable` is the position up to which everything was known to be on disk when the record was written. It tells a
//! torn tail from damage: when a bad record is followed by one whose `durable` lies behind the bad one, then the bad
//! one had been synced, so it was acknowledged and is damaged. Otherwise both belong to the write that a crash
//! interrupted, and all of it is cut. The position in the checksum keeps stale bytes from passing for records.

mod recovery;
mod segment;
mod writer;

use std::path::{Path, PathBuf};

pub(crate) use recovery::{Recovered, read_records, recover};
pub(crate) use segment::RECORD_HEADER_BYTES;
pub(crate) use writer::{JournalWriter, PendingRecord, WriteError};

use crate::Position;

/// Version of the segment format. A change gets a new number and a fixture of the old one.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// Size at which a segment is full and the next one begins, in bytes.
///
/// Small enough that dropping whole segments gives space back soon, large enough that the two syncs of a new file
/// cost nothing. Recovery reads one segment at a time into memory.
pub const SEGMENT_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Largest payload of one record, in bytes.
///
/// A publish is at most 128 KiB under AWS's limits; with a log event and a republish for each of dozens of rules it
/// stays below this.
pub const RECORD_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How much one write and fdatasync takes, in bytes; one larger record goes alone.
///
/// Bounds the memory of the write buffer and the time that an acknowledgement waits for its neighbours.
pub(crate) const BATCH_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The last position that a segment may begin at.
///
/// At a gigabyte in every second it is reached after 290 years, so a file that begins behind it is none of ours; and
/// sums of a position and a size below it never overflow.
pub(crate) const FIRST_POSITION_MAX: Position = Position(u64::MAX / 2);

/// A segment that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) first: Position,
    /// Where its last record ends; for the last segment, as far as is known.
    pub(crate) end: Position,
    pub(crate) previous_end: Position,
    pub(crate) path: PathBuf,
}

pub(crate) fn segment_path(dir: &Path, first: Position) -> PathBuf {
    dir.join(format!("{:020}.journal", first.0))
}

/// The first position that a segment's name tells, or `None` for another file.
fn first_position(name: &str) -> Option<Position> {
    let digits = name.strip_suffix(".journal")?;
    (digits.len() == 20).then(|| digits.parse().ok().map(Position))?
}
