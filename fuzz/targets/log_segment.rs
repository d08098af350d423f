//! A log store with a foreign segment among its files.
//!
//! It opens whatever the segment is, serves the events of the others, and after another start shows the same. The
//! foreign file is a good one with changes, or built from the input; with right checksums where the input says so.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use fuzz::disk::{Files, read_tree, with_files};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use logs::{
    Event, FilterQuery, GetQuery, GroupsQuery, InputEvent, Logs, LogsOptions, NewGroup, StreamsQuery,
};
use store::disk::MemDisk;
use store::{Consumer, Store, StoreOptions};

const GROUP: &str = "g";
const STREAM: &str = "s";
const NOW_MS: i64 = 1_700_000_000_000;

/// So small that two of the messages fill a segment, which is then sealed.
const SEGMENT_BYTES_MAX: u64 = 200;

/// The foreign file takes the place of this segment when the input names none.
const REPLACED: u32 = 2;

const EVENTS: usize = 8;

const HEADER_BYTES: usize = 24;
const TRAILER_BYTES: usize = 32;

#[derive(Debug, Arbitrary)]
struct Input {
    base: Base,
    /// Another number than [`REPLACED`].
    number: Option<u32>,
    /// Whether the last process ended in order.
    is_clean: bool,
    /// Bytes that are set, in the order given, at offsets into the file.
    changes: Vec<(u16, u8)>,
    cut_to: Option<u16>,
    appended: Vec<u8>,
    right_checksums: bool,
}

#[derive(Debug, Arbitrary)]
enum Base {
    Raw(Vec<u8>),
    Sealed,
    Records(Vec<Record>),
}

#[derive(Debug, Arbitrary)]
struct Record {
    unsynced: u32,
    stream: u32,
    timestamp_ms: i64,
    ingestion_ms: i64,
    sequence: u64,
    position: u64,
    message: String,
    bad_checksum: bool,
}

/// A directory with sealed segments of one group, as an orderly end leaves it.
static DIRECTORY: LazyLock<Files> = LazyLock::new(|| {
    let disk = MemDisk::new();
    let running = open(&disk);
    running
        .logs
        .create_group(NewGroup { name: GROUP.to_owned(), ..NewGroup::default() }, NOW_MS)
        .expect("a group");
    running.logs.create_stream(GROUP, STREAM, NOW_MS).expect("a stream");
    for timestamp_ms in (NOW_MS..).take(EVENTS) {
        put(&running.logs, timestamp_ms);
    }
    drop(running);
    // What was full but not sealed yet is sealed by the next start.
    drop(open(&disk));
    read_tree(&disk, Path::new("/sim")).expect("readable")
});

fuzz_target!(|input: Input| {
    let number = input.number.unwrap_or(REPLACED);
    let mut files = DIRECTORY.clone();
    let group = group_number(&files);
    let path = segment_path(group, number);
    let file = foreign_file(&input, &files, group, number);
    let replaces = files.insert(path, file).is_some();
    if !input.is_clean {
        files.remove(Path::new("/sim/logs/CLEAN"));
    }
    let disk = with_files(&files).expect("a disk in memory");

    let first = open(&disk);
    let known = all_events(&first.logs).into_iter().filter(|event| event.message == message()).count();
    let lost = if replaces { 2 } else { 0 };
    assert!(known + lost >= EVENTS, "events of other segments are gone: {known} are left");
    // Behind the last number there is none for a new segment, which is an error and no more.
    if number < u32::MAX - 1 {
        put(&first.logs, NOW_MS);
    }
    let events = all_events(&first.logs);
    check_lists(&first.logs);
    for damage in first.logs.damages() {
        assert!(!damage.to_string().is_empty());
    }
    first.logs.enforce_retention(NOW_MS);
    drop(first);

    let second = open(&disk);
    assert_eq!(all_events(&second.logs), events, "another start shows other events");
});

/// A log store and the store that it lives in; both are closed when it is dropped.
struct Running {
    logs: Arc<Logs>,
    store: Store,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.store.close().expect("a disk in memory is never full");
        self.logs.close();
    }
}

fn open(disk: &MemDisk) -> Running {
    let opening = Store::open(StoreOptions::simulated(Arc::new(disk.clone()))).expect("a good journal");
    let options = LogsOptions { segment_bytes_max: SEGMENT_BYTES_MAX };
    let logs = Logs::open(&opening, options).expect("damaged segments are no error");
    let consumer: Arc<dyn Consumer> = logs.clone();
    let store = opening.recover(vec![(logs::CONSUMER, consumer)]).expect("a good journal");
    logs.attach(&store);
    Running { logs, store }
}

/// Stores one more event.
fn put(logs: &Logs, timestamp_ms: i64) {
    let event = InputEvent { timestamp_ms, message: message() };
    logs.put_events(GROUP, STREAM, vec![event], NOW_MS).wait().expect("room in memory");
}

fn message() -> String {
    "m".repeat(60)
}

/// All events of the group, over all pages, in an order that is certain: a foreign segment may repeat the keys of
/// another, and nothing is promised about the order of such twins.
fn all_events(logs: &Logs) -> Vec<Event> {
    let mut events = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let query = FilterQuery {
            group: GROUP,
            next_token: token.as_deref(),
            now_ms: NOW_MS,
            ..FilterQuery::default()
        };
        let page = logs.filter(&query).expect("damaged segments are no error");
        events.extend(page.items);
        match page.next_token {
            Some(next) => {
                assert!(token.is_none_or(|token| next > token), "pages go back");
                token = Some(next);
            }
            None => return sorted(events),
        }
    }
}

fn sorted(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by_cached_key(|event| (event.id.clone(), event.message.clone(), event.ingestion_ms));
    events
}

/// Both ways through the stream find the same, and the group and its streams can be listed.
fn check_lists(logs: &Logs) {
    assert_eq!(logs.groups(&GroupsQuery::default()).map(|page| page.items.len()), Ok(1));
    let streams = StreamsQuery { group: GROUP, ..StreamsQuery::default() };
    assert_eq!(logs.streams(&streams).map(|page| page.items.len()), Ok(1));
    let query = GetQuery { group: GROUP, stream: STREAM, now_ms: NOW_MS, ..GetQuery::default() };
    let backward = logs.events(&query).expect("damaged segments are no error").events;
    let forward =
        logs.events(&GetQuery { from_head: true, ..query }).expect("damaged segments are no error").events;
    assert_eq!(sorted(forward), sorted(backward));
}

/// The number of the only group: its directory's name.
fn group_number(files: &Files) -> u32 {
    let directories = files.keys().filter_map(|path| path.parent()?.file_name()?.to_str()?.parse().ok());
    directories.max().expect("the group has a directory")
}

fn segment_path(group: u32, number: u32) -> PathBuf {
    Path::new("/sim/logs").join(format!("{group:010}/{number:010}.events"))
}

fn foreign_file(input: &Input, files: &Files, group: u32, number: u32) -> Vec<u8> {
    let mut file = match &input.base {
        Base::Raw(bytes) => bytes.clone(),
        Base::Sealed => files[&segment_path(group, REPLACED)].clone(),
        Base::Records(records) => {
            let mut file = header(group, number);
            for record in records {
                let bytes = record.encode(number, file.len() as u64);
                file.extend_from_slice(&bytes);
            }
            file
        }
    };
    for &(offset, value) in &input.changes {
        let size = file.len();
        if let Some(byte) = file.get_mut(usize::from(offset) % size.max(1)) {
            *byte = value;
        }
    }
    file.truncate(input.cut_to.map_or(usize::MAX, usize::from));
    file.extend_from_slice(&input.appended);
    if input.right_checksums {
        correct_sealed(&mut file, number);
    }
    file
}

fn header(group: u32, number: u32) -> Vec<u8> {
    let mut bytes = [&b"EYOTLOGS\x01\0\0\0"[..], &group.to_le_bytes(), &number.to_le_bytes()].concat();
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

impl Record {
    fn encode(&self, number: u32, offset: u64) -> Vec<u8> {
        let length = (self.message.len() as u32).to_le_bytes();
        let fields = [
            &self.unsynced.to_le_bytes()[..],
            &self.stream.to_le_bytes(),
            &self.timestamp_ms.to_le_bytes(),
            &self.ingestion_ms.to_le_bytes(),
            &self.sequence.to_le_bytes(),
            &self.position.to_le_bytes(),
            self.message.as_bytes(),
        ]
        .concat();
        let checksum = checksum_at(number, offset, &[&length, &fields]) ^ u32::from(self.bad_checksum);
        [&length[..], &checksum.to_le_bytes(), &fields].concat()
    }
}

fn checksum_at(number: u32, offset: u64, parts: &[&[u8]]) -> u32 {
    let start = crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), &offset.to_le_bytes());
    parts.iter().fold(start, |checksum, part| crc32c::crc32c_append(checksum, part))
}

/// Makes the checksums of header, blocks, index, footer and trailer right, as far as they can be found.
fn correct_sealed(file: &mut [u8], number: u32) {
    if file.len() < HEADER_BYTES + TRAILER_BYTES {
        return;
    }
    file[16..20].copy_from_slice(&number.to_le_bytes());
    let checksum = crc32c::crc32c(&file[..20]);
    file[20..24].copy_from_slice(&checksum.to_le_bytes());
    let trailer_at = file.len() - TRAILER_BYTES;
    let place = |file: &[u8], at: usize| {
        let bytes = file[at..at + 8].try_into().expect("eight bytes");
        usize::try_from(u64::from_le_bytes(bytes)).unwrap_or(usize::MAX).min(trailer_at)
    };
    let footer_at = place(file, trailer_at + 8);
    let index_at = place(file, trailer_at).min(footer_at);
    correct_blocks(&mut file[..index_at], number);
    let index = crc32c::crc32c(&file[index_at..footer_at]);
    let footer = crc32c::crc32c(&file[footer_at..trailer_at]);
    file[trailer_at + 16..trailer_at + 20].copy_from_slice(&index.to_le_bytes());
    file[trailer_at + 20..trailer_at + 24].copy_from_slice(&footer.to_le_bytes());
    let trailer = checksum_at(number, 0, &[&file[trailer_at..trailer_at + 24]]);
    file[trailer_at + 24..trailer_at + 28].copy_from_slice(&trailer.to_le_bytes());
    file[trailer_at + 28..].copy_from_slice(b"SEAL");
}

/// The blocks lie one behind the other.
fn correct_blocks(blocks: &mut [u8], number: u32) {
    let mut at = HEADER_BYTES;
    while let Some(length) = blocks.get(at..at + 4) {
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        let Some(block) = blocks.get_mut(at..at.saturating_add(16 + length)) else { return };
        let checksum = checksum_at(number, at as u64, &[&block[..4], &block[8..]]);
        block[4..8].copy_from_slice(&checksum.to_le_bytes());
        at += block.len();
    }
}
