//! A segment that no longer changes: events in order of time, in blocks.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use store::Position;
use store::disk::{Disk, DiskFile, OpenMode};

use crate::limits::{BLOCK_BYTES, MESSAGE_BYTES_MAX};
use crate::token::{EventKey, SEQUENCE_MAX};

use super::{Fields, HEADER_BYTES, Header, Statistics, StoredEvent, StreamStatistics, checksum_at};

const TRAILER_BYTES: usize = 32;
const TRAILER_MAGIC: &[u8; 4] = b"SEAL";
const BLOCK_HEADER_BYTES: usize = 16;
const ENTRY_HEADER_BYTES: usize = 32;

/// Events in blocks; only the footer is in memory until somebody asks.
#[derive(Debug)]
pub(crate) struct SealedSegment {
    pub(crate) number: u32,
    pub(crate) path: PathBuf,
    pub(crate) statistics: Statistics,
    trailer: Trailer,
    blocks: OnceLock<Arc<[Block]>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trailer {
    index_at: u64,
    footer_at: u64,
    index_checksum: u32,
    footer_checksum: u32,
}

/// Where a block is and what keys it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) first: EventKey,
    pub(crate) last: EventKey,
    pub(crate) offset: u64,
    bytes: u64,
}

/// Writes a sealed file of events that are sorted by key. Not yet synced.
pub(crate) fn write(
    file: &dyn DiskFile,
    group: u32,
    number: u32,
    position: Position,
    events: impl Iterator<Item = io::Result<StoredEvent>>,
) -> io::Result<()> {
    let mut writer = SealWriter {
        file,
        number,
        at: HEADER_BYTES as u64,
        entries: Vec::with_capacity(BLOCK_BYTES + ENTRY_HEADER_BYTES),
        count: 0,
        first: EventKey::FIRST,
        index: Vec::new(),
        statistics: Statistics { position, ..Statistics::default() },
    };
    file.write_all_at(0, &Header { sealed: true, group, number }.encode())?;
    for event in events {
        writer.add(&event?)?;
    }
    writer.finish()
}

struct SealWriter<'a> {
    file: &'a dyn DiskFile,
    number: u32,
    /// Where the next block goes.
    at: u64,
    entries: Vec<u8>,
    count: u32,
    first: EventKey,
    index: Vec<Block>,
    statistics: Statistics,
}

impl SealWriter<'_> {
    fn add(&mut self, event: &StoredEvent) -> io::Result<()> {
        if self.count > 0 && self.entries.len() + event.message.len() > BLOCK_BYTES {
            self.end_block()?;
        }
        if self.count == 0 {
            self.first = event.key;
            self.index.push(Block { first: event.key, last: event.key, offset: self.at, bytes: 0 });
        }
        if let Some(block) = self.index.last_mut() {
            block.last = event.key;
        }
        let length = u32::try_from(event.message.len()).expect("messages have a limit");
        self.entries.extend_from_slice(&length.to_le_bytes());
        self.entries.extend_from_slice(&event.stream.to_le_bytes());
        self.entries.extend_from_slice(&event.key.timestamp_ms.to_le_bytes());
        self.entries.extend_from_slice(&event.ingestion_ms.to_le_bytes());
        self.entries.extend_from_slice(&event.key.sequence.to_le_bytes());
        self.entries.extend_from_slice(event.message.as_bytes());
        self.count += 1;
        self.statistics.add_event(event);
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let length = u32::try_from(self.entries.len()).expect("blocks are small");
        let mut header = [0; BLOCK_HEADER_BYTES];
        header[..4].copy_from_slice(&length.to_le_bytes());
        header[12..].copy_from_slice(&self.count.to_le_bytes());
        let checksum = checksum_at(self.number, self.at, &[&header[..4], &header[8..], &self.entries]);
        header[4..8].copy_from_slice(&checksum.to_le_bytes());
        self.file.write_all_at(self.at, &header)?;
        self.file.write_all_at(self.at + BLOCK_HEADER_BYTES as u64, &self.entries)?;
        let bytes = (BLOCK_HEADER_BYTES + self.entries.len()) as u64;
        if let Some(block) = self.index.last_mut() {
            block.bytes = bytes;
        }
        self.at += bytes;
        self.entries.clear();
        self.count = 0;
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.end_block()?;
        let mut index = Vec::new();
        for block in &self.index {
            for key in [block.first, block.last] {
                index.extend_from_slice(&key.timestamp_ms.to_le_bytes());
                index.extend_from_slice(&key.sequence.to_le_bytes());
            }
            index.extend_from_slice(&block.offset.to_le_bytes());
            index.extend_from_slice(&block.bytes.to_le_bytes());
        }
        let footer = encode_footer(&self.statistics);
        let mut trailer = Vec::with_capacity(TRAILER_BYTES);
        trailer.extend_from_slice(&self.at.to_le_bytes());
        trailer.extend_from_slice(&(self.at + index.len() as u64).to_le_bytes());
        trailer.extend_from_slice(&crc32c::crc32c(&index).to_le_bytes());
        trailer.extend_from_slice(&crc32c::crc32c(&footer).to_le_bytes());
        trailer.extend_from_slice(&checksum_at(self.number, 0, &[&trailer]).to_le_bytes());
        trailer.extend_from_slice(TRAILER_MAGIC);
        self.file.write_all_at(self.at, &[index, footer, trailer].concat())
    }
}

fn encode_footer(statistics: &Statistics) -> Vec<u8> {
    let mut footer = Vec::new();
    footer.extend_from_slice(&statistics.events.to_le_bytes());
    footer.extend_from_slice(&statistics.position.0.to_le_bytes());
    footer.extend_from_slice(&statistics.sequence.to_le_bytes());
    for (stream, one) in &statistics.streams {
        footer.extend_from_slice(&stream.to_le_bytes());
        footer.extend_from_slice(&one.count.to_le_bytes());
        footer.extend_from_slice(&one.bytes.to_le_bytes());
        for time in [one.first_ms, one.last_ms, one.ingestion_ms] {
            footer.extend_from_slice(&time.to_le_bytes());
        }
    }
    footer
}

fn decode_footer(bytes: &[u8]) -> Option<Statistics> {
    let mut fields = Fields(bytes);
    let mut statistics = Statistics {
        events: fields.u64()?,
        position: Position(fields.u64()?),
        sequence: fields.u64().filter(|&sequence| sequence <= SEQUENCE_MAX)?,
        ..Statistics::default()
    };
    while !fields.0.is_empty() {
        let stream = fields.u32()?;
        let one = StreamStatistics {
            count: fields.u64()?,
            bytes: fields.u64()?,
            first_ms: fields.i64()?,
            last_ms: fields.i64()?,
            ingestion_ms: fields.i64()?,
        };
        statistics.streams.insert(stream, one);
    }
    Some(statistics)
}

fn damaged(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

impl SealedSegment {
    /// Reads the footer; `InvalidData` says that it is damaged.
    pub(crate) fn open(file: &dyn DiskFile, path: &Path, number: u32) -> io::Result<Self> {
        let size = file.size()?;
        let trailer_at = size
            .checked_sub(TRAILER_BYTES as u64)
            .filter(|&at| at >= HEADER_BYTES as u64)
            .ok_or_else(|| damaged("the file is cut off"))?;
        let mut bytes = [0; TRAILER_BYTES];
        file.read_exact_at(trailer_at, &mut bytes)?;
        let trailer = Trailer::decode(&bytes, number)
            .filter(|trailer| trailer.index_at <= trailer.footer_at && trailer.footer_at <= trailer_at)
            .ok_or_else(|| damaged("the trailer is not readable"))?;
        let footer = read(file, trailer.footer_at, trailer_at)?;
        let statistics = (crc32c::crc32c(&footer) == trailer.footer_checksum)
            .then(|| decode_footer(&footer))
            .flatten()
            .ok_or_else(|| damaged("the footer is not readable"))?;
        Ok(Self { number, path: path.to_path_buf(), statistics, trailer, blocks: OnceLock::new() })
    }

    /// Opens the file for reading blocks; `None` when retention has removed it meanwhile.
    pub(crate) fn file(&self, disk: &dyn Disk) -> io::Result<Option<Arc<dyn DiskFile>>> {
        match disk.open(&self.path, OpenMode::Read) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The blocks in order of their keys, read at the first question.
    pub(crate) fn blocks(&self, file: &dyn DiskFile) -> io::Result<Arc<[Block]>> {
        if let Some(blocks) = self.blocks.get() {
            return Ok(blocks.clone());
        }
        let bytes = read(file, self.trailer.index_at, self.trailer.footer_at)?;
        let mut fields = Fields(&bytes);
        let mut blocks = Vec::new();
        if crc32c::crc32c(&bytes) != self.trailer.index_checksum {
            return Err(damaged("the block index is not readable"));
        }
        while let Some(block) = Block::decode(&mut fields) {
            if !block.lies_before(self.trailer.index_at) {
                return Err(damaged("the block index names a block that is not in the file"));
            }
            blocks.push(block);
        }
        Ok(self.blocks.get_or_init(|| blocks.into()).clone())
    }

    /// The events of a block; `InvalidData` says that it is damaged.
    pub(crate) fn read_block(&self, file: &dyn DiskFile, block: Block) -> io::Result<Vec<StoredEvent>> {
        let bytes = read(file, block.offset, block.offset + block.bytes)?;
        decode_block(&bytes, self.number, block.offset)
            .map(|(events, _)| events)
            .ok_or_else(|| damaged("a block is not readable"))
    }
}

impl Trailer {
    fn decode(bytes: &[u8; TRAILER_BYTES], number: u32) -> Option<Self> {
        let mut fields = Fields(bytes);
        let trailer = Self {
            index_at: fields.u64()?,
            footer_at: fields.u64()?,
            index_checksum: fields.u32()?,
            footer_checksum: fields.u32()?,
        };
        let checksum = fields.u32()?;
        let right =
            checksum == checksum_at(number, 0, &[&bytes[..24]]) && fields.array() == Some(*TRAILER_MAGIC);
        right.then_some(trailer)
    }
}

impl Block {
    fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        let mut key = || Some(EventKey { timestamp_ms: fields.i64()?, sequence: fields.u64()? });
        let (first, last) = (key()?, key()?);
        Some(Self { first, last, offset: fields.u64()?, bytes: fields.u64()? })
    }

    fn lies_before(&self, index_at: u64) -> bool {
        self.offset.checked_add(self.bytes).is_some_and(|end| end <= index_at)
    }
}

/// The block at the beginning of `bytes`, if it is whole and right, and its size.
pub(crate) fn decode_block(bytes: &[u8], number: u32, offset: u64) -> Option<(Vec<StoredEvent>, usize)> {
    let mut fields = Fields(bytes);
    let length = fields.u32()?;
    let checksum = fields.u32()?;
    let flags = fields.u32()?;
    let count = fields.u32()?;
    let length_max = BLOCK_BYTES as u64 + MESSAGE_BYTES_MAX + ENTRY_HEADER_BYTES as u64;
    // Also rules most wrong places out before a checksum is computed.
    if flags != 0 || u64::from(length) > length_max || count > length {
        return None;
    }
    let entries = fields.bytes(length)?;
    if checksum != checksum_at(number, offset, &[&bytes[..4], &bytes[8..BLOCK_HEADER_BYTES], entries]) {
        return None;
    }
    let mut events = Vec::with_capacity(count as usize);
    let mut fields = Fields(entries);
    for _ in 0..count {
        let length = fields.u32()?;
        let stream = fields.u32()?;
        let timestamp_ms = fields.i64()?;
        let ingestion_ms = fields.i64()?;
        let sequence = fields.u64().filter(|&sequence| sequence <= SEQUENCE_MAX)?;
        let key = EventKey { timestamp_ms, sequence };
        let message = std::str::from_utf8(fields.bytes(length)?).ok()?.to_owned();
        events.push(StoredEvent { key, stream, ingestion_ms, position: Position::NONE, message });
    }
    Some((events, BLOCK_HEADER_BYTES + entries.len()))
}

fn read(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let count = usize::try_from(to.saturating_sub(from)).map_err(|_| damaged("a length is not possible"))?;
    let mut bytes = vec![0; count];
    file.read_exact_at(from, &mut bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("the file is cut off"),
        _ => error,
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::disk::MemDisk;

    const NUMBER: u32 = 1;

    /// A sealed file with one block, whose index entry says that it has so many bytes.
    fn with_block_bytes(disk: &MemDisk, path: &Path, block_bytes: u64) -> Arc<dyn DiskFile> {
        let event = StoredEvent {
            key: EventKey { timestamp_ms: 7, sequence: 1 },
            stream: 2,
            ingestion_ms: 7,
            position: Position::NONE,
            message: "m".to_owned(),
        };
        let file = disk.open(path, OpenMode::CreateNew).unwrap();
        write(&*file, 1, NUMBER, Position::NONE, std::iter::once(Ok(event))).unwrap();
        let mut bytes = file.read_all().unwrap();
        let trailer_at = bytes.len() - TRAILER_BYTES;
        let trailer = Trailer::decode(bytes[trailer_at..].first_chunk().unwrap(), NUMBER).unwrap();
        let (index_at, footer_at) = (trailer.index_at as usize, trailer.footer_at as usize);
        bytes[footer_at - 8..footer_at].copy_from_slice(&block_bytes.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[index_at..footer_at]);
        bytes[trailer_at + 16..trailer_at + 20].copy_from_slice(&checksum.to_le_bytes());
        let checksum = checksum_at(NUMBER, 0, &[&bytes[trailer_at..trailer_at + 24]]);
        bytes[trailer_at + 24..trailer_at + 28].copy_from_slice(&checksum.to_le_bytes());
        file.write_all_at(0, &bytes).unwrap();
        file
    }

    /// Reading it would ask for more memory than there is, or overflow.
    #[test]
    fn an_index_entry_beyond_the_file_is_damage() {
        for block_bytes in [1 << 50, u64::MAX] {
            let disk = MemDisk::new();
            let path = Path::new("/0000000001.events");
            let file = with_block_bytes(&disk, path, block_bytes);
            let segment = SealedSegment::open(&*file, path, NUMBER).unwrap();
            assert_eq!(segment.blocks(&*file).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
