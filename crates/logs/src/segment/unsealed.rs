//! The segment that events are appended to: records in order of arrival, found by an index in memory.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use store::Position;
use store::disk::DiskFile;

use crate::limits::MESSAGE_BYTES_MAX;
use crate::token::{EventKey, SEQUENCE_MAX};

use super::{Fields, HEADER_BYTES, Statistics, StoredEvent, checksum_at};

/// Bytes of a record before its message.
pub(crate) const RECORD_HEADER_BYTES: u64 = 48;

/// A file of records and what is in it.
#[derive(Debug)]
pub(crate) struct UnsealedSegment {
    pub(crate) number: u32,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    index: RwLock<Index>,
}

/// The events that readers may see.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) events: BTreeMap<EventKey, Location>,
    pub(crate) statistics: Statistics,
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
    pub(crate) stream: u32,
}

impl UnsealedSegment {
    pub(crate) fn new(number: u32, path: PathBuf, file: Arc<dyn DiskFile>) -> Self {
        Self { number, path, file, index: RwLock::default() }
    }

    pub(crate) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets readers see events that are in the file.
    pub(crate) fn publish<'a>(&self, events: impl Iterator<Item = (&'a StoredEvent, u64)>) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        for (event, offset) in events {
            let bytes = record_bytes(event);
            let location = Location {
                offset,
                bytes: u32::try_from(bytes).expect("messages have a limit"),
                stream: event.stream,
            };
            index.events.insert(event.key, location);
            index.statistics.add_event(event);
        }
    }

    /// Reads one record back; `None` when it is damaged.
    pub(crate) fn read(&self, location: Location) -> io::Result<Option<StoredEvent>> {
        let mut bytes = vec![0; location.bytes as usize];
        self.file.read_exact_at(location.offset, &mut bytes)?;
        Ok(decode_record(&bytes, self.number, location.offset).map(|(event, _)| event))
    }
}

pub(crate) fn record_bytes(event: &StoredEvent) -> u64 {
    RECORD_HEADER_BYTES + event.message.len() as u64
}

/// Appends a record to a write buffer that will be written at `buffer_at`; everything before `durable` is synced.
pub(crate) fn encode_record(
    buffer: &mut Vec<u8>,
    event: &StoredEvent,
    number: u32,
    buffer_at: u64,
    durable: u64,
) {
    let start = buffer.len();
    let offset = buffer_at + start as u64;
    let length = u32::try_from(event.message.len()).expect("messages have a limit");
    // More than 4 GiB cannot be unsynced: a segment is far smaller.
    let unsynced = u32::try_from(offset - durable).unwrap_or(u32::MAX);
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&unsynced.to_le_bytes());
    buffer.extend_from_slice(&event.stream.to_le_bytes());
    buffer.extend_from_slice(&event.key.timestamp_ms.to_le_bytes());
    buffer.extend_from_slice(&event.ingestion_ms.to_le_bytes());
    buffer.extend_from_slice(&event.key.sequence.to_le_bytes());
    buffer.extend_from_slice(&event.position.0.to_le_bytes());
    buffer.extend_from_slice(event.message.as_bytes());
    let record = &buffer[start..];
    let checksum = checksum_at(number, offset, &[&record[..4], &record[8..]]);
    buffer[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
}

/// The record at the beginning of `bytes`, if it is whole and right, and its `unsynced` field.
pub(crate) fn decode_record(bytes: &[u8], number: u32, offset: u64) -> Option<(StoredEvent, u32)> {
    let mut fields = Fields(bytes);
    let length = fields.u32()?;
    if u64::from(length) > MESSAGE_BYTES_MAX {
        return None;
    }
    let checksum = fields.u32()?;
    let unsynced = fields.u32()?;
    let stream = fields.u32()?;
    let timestamp_ms = fields.i64()?;
    let ingestion_ms = fields.i64()?;
    let sequence = fields.u64().filter(|&sequence| sequence <= SEQUENCE_MAX)?;
    let position = Position(fields.u64()?);
    let message = fields.bytes(length)?;
    let end = bytes.len() - fields.0.len();
    if checksum != checksum_at(number, offset, &[&bytes[..4], &bytes[8..end]]) {
        return None;
    }
    let message = std::str::from_utf8(message).ok()?.to_owned();
    let key = EventKey { timestamp_ms, sequence };
    Some((StoredEvent { key, stream, ingestion_ms, position, message }, unsynced))
}

/// What walking over the records of a file found.
pub(crate) struct Walk {
    /// The events before the first bad record, with their offsets.
    pub(crate) events: Vec<(StoredEvent, u64)>,
    /// Where the first bad record is, or the end of the file.
    pub(crate) end: u64,
    /// Whether later records prove that the bad one had been synced.
    pub(crate) damaged: bool,
}

/// Walks over a file's records up to the first bad one.
pub(crate) fn walk(file: &[u8], number: u32) -> Walk {
    let mut events = Vec::new();
    let mut at = HEADER_BYTES;
    while let Some((event, _)) = file.get(at..).and_then(|bytes| decode_record(bytes, number, at as u64)) {
        let next = at + usize::try_from(record_bytes(&event)).expect("the file is in memory");
        events.push((event, at as u64));
        at = next;
    }
    let damaged = at < file.len() && proves_synced(file, number, at);
    Walk { events, end: at as u64, damaged }
}

/// Whether a record behind a bad one says that the bad one had been synced. Looks at every byte: damage may have hit
/// the bad record's length. Most places are ruled out by their `unsynced` field before a checksum is computed.
fn proves_synced(file: &[u8], number: u32, bad: usize) -> bool {
    (bad + 1..file.len()).any(|at| {
        let mut fields = Fields(&file[at..]);
        let proof = fields.u32().zip(fields.u32()).zip(fields.u32());
        proof.is_some_and(|(_, unsynced)| (unsynced as usize) < at - bad)
            && decode_record(&file[at..], number, at as u64).is_some()
    })
}
