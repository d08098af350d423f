//! A data directory with foreign journal files.
//!
//! It opens, or it is refused by name. What opened once opens again with the same content, after it has taken more.
//! The files are built from the input, with right checksums where the input says so.
#![no_main]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuzz::disk::write_file;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use store::disk::MemDisk;
use store::{Consumer, ConsumerId, Keyspace, OpenError, Opening, Position, Store, StoreOptions};

const KEYSPACE: Keyspace = Keyspace("k");
const CONSUMER: ConsumerId = ConsumerId(1);
const HEADER_BYTES: u64 = 32;

/// Journal files, in order.
#[derive(Debug, Arbitrary)]
struct Input {
    segments: Vec<Segment>,
}

#[derive(Debug, Arbitrary)]
enum Segment {
    /// Nothing is right but the name.
    Raw(Vec<u8>),
    Built {
        /// How far behind the last segment's end it begins.
        gap: u8,
        /// What else it says about where it begins, and where the one before ended.
        first: Option<u64>,
        previous_end: Option<u64>,
        records: Vec<Record>,
        tail: Vec<u8>,
    },
}

#[derive(Debug, Arbitrary)]
struct Record {
    payload: Payload,
    /// Up to where it says that everything was durable; `None`: to its own start.
    durable: Option<u64>,
    bad_checksum: bool,
}

#[derive(Debug, Arbitrary)]
enum Payload {
    Changes(Vec<(u8, Option<u8>)>),
    Entry(Vec<u8>),
    Raw(Vec<u8>),
}

fuzz_target!(|input: Input| {
    let disk = MemDisk::new();
    // A directory that is in use, so that a journal belongs into it.
    drop(open(&disk).expect("an empty disk"));
    let expected = write_segments(&disk, &input.segments);
    let opening = match open(&disk) {
        Ok(opening) => opening,
        Err(error) => {
            assert!(expected.is_none(), "what is right is refused: {error}");
            return assert!(!error.to_string().is_empty());
        }
    };
    let content = opening.scan(KEYSPACE, b"").expect("readable");
    if let Some(expected) = expected {
        assert!(content.iter().map(|(key, value)| (&key[..], &value[..])).eq(expected.iter().map(as_slices)));
    }
    check_going_on(&disk, opening, &content);
});

fn as_slices<'a>((key, value): (&'a [u8; 1], &'a [u8; 1])) -> (&'a [u8], &'a [u8]) {
    (key, value)
}

fn open(disk: &MemDisk) -> Result<Opening, OpenError> {
    Store::open(StoreOptions::simulated(Arc::new(disk.clone())))
}

/// The store takes more, and a later start finds both.
fn check_going_on(disk: &MemDisk, opening: Opening, content: &[(Vec<u8>, Vec<u8>)]) {
    let Ok(store) = opening.recover(vec![(CONSUMER, Arc::new(Forgetful))]) else { return };
    let mut transaction = store::Transaction::new();
    transaction.put(KEYSPACE, b"\xff\xffmore", b"yes");
    let taken = store.commit(transaction).wait().is_ok();
    let closed = store.close().is_ok();
    assert_eq!(taken, closed);
    let again = open(disk).expect("what was opened opens again").scan(KEYSPACE, b"").expect("readable");
    let more = (b"\xff\xffmore".to_vec(), b"yes".to_vec());
    assert!(again.iter().eq(content.iter().chain(taken.then_some(&more))));
}

/// Takes entries, and keeps none.
struct Forgetful;

impl Consumer for Forgetful {
    fn apply(&self, _position: Position, _entry: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes the files. Gives what the keyed state must be when nothing is wrong with them.
fn write_segments(disk: &MemDisk, segments: &[Segment]) -> Option<BTreeMap<[u8; 1], [u8; 1]>> {
    let mut state = Some(BTreeMap::new());
    let mut end = 0_u64;
    for segment in segments {
        let mut bytes = Vec::new();
        let first = match segment {
            Segment::Raw(raw) => {
                state = None;
                bytes.extend_from_slice(raw);
                end
            }
            Segment::Built { gap, first, previous_end, records, tail } => {
                if *gap > 0 || first.is_some() || previous_end.is_some() || !tail.is_empty() {
                    state = None;
                }
                let first = first.unwrap_or(end.wrapping_add(u64::from(*gap)));
                bytes.extend_from_slice(&header(first, previous_end.unwrap_or(end)));
                for record in records {
                    let position = first.wrapping_add(bytes.len() as u64 - HEADER_BYTES);
                    apply(&mut state, record);
                    bytes.extend_from_slice(&record.encode(position));
                }
                end = first.wrapping_add(bytes.len() as u64 - HEADER_BYTES);
                bytes.extend_from_slice(tail);
                first
            }
        };
        // Two segments that begin at the same place are the same file: the first stays.
        if write_file(disk, &path(first), &bytes).is_err() {
            state = None;
        }
    }
    state
}

fn path(first: u64) -> PathBuf {
    Path::new("/sim/journal").join(format!("{first:020}.journal"))
}

fn header(first: u64, previous_end: u64) -> Vec<u8> {
    let mut bytes = b"EYOTJRNL\x01\0\0\0".to_vec();
    let positions = [first.to_le_bytes(), previous_end.to_le_bytes()].concat();
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes), &positions);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(&positions);
    bytes
}

impl Record {
    fn encode(&self, position: u64) -> Vec<u8> {
        let payload = self.payload.encode();
        let length = (payload.len() as u32).to_le_bytes();
        let durable = self.durable.unwrap_or(position).to_le_bytes();
        let fields = [&position.to_le_bytes()[..], &length, &durable, &payload].concat();
        let checksum = crc32c::crc32c(&fields) ^ u32::from(self.bad_checksum);
        [&length[..], &checksum.to_le_bytes(), &durable, &payload].concat()
    }
}

impl Payload {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Raw(bytes) => bytes.clone(),
            Self::Entry(bytes) => [&[3, CONSUMER.0][..], &(bytes.len() as u32).to_le_bytes(), bytes].concat(),
            Self::Changes(changes) => changes.iter().flat_map(|change| encode_change(*change)).collect(),
        }
    }
}

/// A put or a delete of a key of one byte.
fn encode_change((key, value): (u8, Option<u8>)) -> Vec<u8> {
    let kind = if value.is_some() { 1 } else { 2 };
    let mut bytes = vec![kind, 1, b'k', 1, 0, 0, 0, key];
    if let Some(value) = value {
        bytes.extend_from_slice(&[1, 0, 0, 0, value]);
    }
    bytes
}

fn apply(state: &mut Option<BTreeMap<[u8; 1], [u8; 1]>>, record: &Record) {
    let Some(known) = state else { return };
    match &record.payload {
        _ if record.bad_checksum || record.durable.is_some() => *state = None,
        Payload::Raw(_) => *state = None,
        Payload::Entry(_) => {}
        Payload::Changes(changes) => {
            for (key, value) in changes {
                match value {
                    Some(value) => known.insert([*key], [*value]),
                    None => known.remove(&[*key]),
                };
            }
        }
    }
}
