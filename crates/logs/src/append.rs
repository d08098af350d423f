//! The only code that writes to a group's unsealed segment.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use store::Position;
use store::disk::{Disk, OpenMode, is_shortage};

use crate::segment::recovery::Recovered;
use crate::segment::unsealed::{RECORD_HEADER_BYTES, encode_record};
use crate::segment::{HEADER_BYTES, Header, Segment, StoredEvent, UnsealedSegment, segment_path};
use crate::token::EventKey;

use crate::group::Group;

/// Bytes of one write; the memory of the write buffer. Larger than any batch of PutLogEvents.
pub(crate) const WRITE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// An event that is not in a segment yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewEvent {
    pub(crate) stream: u32,
    pub(crate) timestamp_ms: i64,
    pub(crate) ingestion_ms: i64,
    pub(crate) position: Position,
    pub(crate) message: String,
}

impl NewEvent {
    /// Bytes that it takes in the segment.
    pub(crate) fn bytes(&self) -> usize {
        self.message.len() + RECORD_HEADER_BYTES as usize
    }
}

/// Where a group's events are appended, owned by whoever holds the group's lock.
#[derive(Debug)]
pub(crate) struct Appender {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    group: u32,
    segment_bytes_max: u64,
    active: Option<Active>,
    next_number: u32,
    next_sequence: u64,
    /// Everything of the journal up to here is in the segments or in `from_journal`.
    applied: Position,
    /// Durable in the journal, waits for the next flush.
    from_journal: Vec<NewEvent>,
    /// Segments that are full and wait to be sealed.
    full: Vec<Arc<UnsealedSegment>>,
    /// Set for ever by a failed write or sync: what is on disk is no longer known.
    failed: Option<String>,
}

#[derive(Debug)]
struct Active {
    segment: Arc<UnsealedSegment>,
    /// Bytes written.
    size: u64,
    /// Bytes known to be on disk.
    durable: u64,
}

/// Whether a write must be on disk before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The journal has it: a checkpoint syncs it.
    FromJournal,
    /// Somebody waits for it.
    Synced,
}

impl Appender {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        group: u32,
        segment_bytes_max: u64,
        recovered: &Recovered,
    ) -> Self {
        let mut applied = Position::NONE;
        let mut sequence = 0;
        for segment in &recovered.segments {
            segment.with_statistics(|statistics| {
                applied = applied.max(statistics.position);
                sequence = sequence.max(statistics.sequence);
            });
        }
        let active = recovered.active.clone();
        Self {
            disk,
            dir,
            group,
            segment_bytes_max,
            active: active.map(|(segment, size)| Active { segment, size, durable: size }),
            next_number: recovered.next_number,
            next_sequence: sequence + 1,
            applied,
            from_journal: Vec::new(),
            full: Vec::new(),
            failed: None,
        }
    }

    /// Takes an event that the journal has, once. Says whether a flush is now needed that was not before.
    pub(crate) fn take_from_journal(&mut self, event: NewEvent) -> bool {
        if event.position <= self.applied {
            return false;
        }
        self.applied = event.position;
        self.from_journal.push(event);
        self.from_journal.len() == 1
    }

    /// Writes what came from the journal. After a full disk it is still there for the next flush.
    pub(crate) fn flush(&mut self, group: &Group) -> io::Result<()> {
        let mut events = std::mem::take(&mut self.from_journal);
        let mut written = 0;
        let result = self.append(group, &events, Durability::FromJournal, &mut written);
        events.drain(..written);
        self.from_journal = events;
        result
    }

    /// Writes events and waits until the disk has them. What fits in [`WRITE_BYTES_MAX`] is stored as a whole or,
    /// after a full disk, not at all.
    pub(crate) fn append_durably(&mut self, group: &Group, events: &[NewEvent]) -> io::Result<()> {
        self.append(group, events, Durability::Synced, &mut 0)
    }

    /// The segments that became full since the last call.
    pub(crate) fn take_full(&mut self) -> Vec<Arc<UnsealedSegment>> {
        std::mem::take(&mut self.full)
    }

    /// Makes everything written durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.check_failed()?;
        if let Some(active) = &mut self.active
            && active.durable < active.size
        {
            let synced = active.segment.file.sync_data();
            if synced.is_ok() {
                active.durable = active.size;
            }
            self.fatal("a log segment cannot be synced", synced)?;
        }
        Ok(())
    }

    /// Writes no more to a segment, because all of its events have expired.
    pub(crate) fn abandon(&mut self, number: u32) {
        self.active.take_if(|active| active.segment.number == number);
        self.full.retain(|segment| segment.number != number);
    }

    fn append(
        &mut self,
        group: &Group,
        events: &[NewEvent],
        durability: Durability,
        written: &mut usize,
    ) -> io::Result<()> {
        self.check_failed()?;
        while *written < events.len() {
            self.make_room(group)?;
            let count = self.write_some(&events[*written..], durability)?;
            *written += count;
        }
        Ok(())
    }

    /// Begins a new segment when there is none or it is full.
    fn make_room(&mut self, group: &Group) -> io::Result<()> {
        if self.active.as_ref().is_some_and(|active| active.size < self.segment_bytes_max) {
            return Ok(());
        }
        // INVARIANT: a segment is durable as a whole before the next one gets a record. Recovery relies on it: an
        // older segment cannot be torn, and the highest position in any segment covers all lower ones.
        self.sync()?;
        let path = segment_path(&self.dir, self.next_number);
        self.disk.create_dir_all(&self.dir)?;
        // Before the file: its name must not wait for a file descriptor.
        let dir = self.disk.open_dir(&self.dir)?;
        let header = Header { sealed: false, group: self.group, number: self.next_number }.encode();
        let created = self.disk.open(&path, OpenMode::CreateNew).and_then(|file| {
            file.write_all_at(0, &header)?;
            Ok(file)
        });
        let file = match created {
            Err(error) if is_shortage(&error) => {
                if self.disk.exists(&path) {
                    let removed = self.disk.remove_file(&path).and_then(|()| dir.sync());
                    self.fatal("an empty log segment cannot be removed", removed)?;
                }
                return Err(error);
            }
            created => self.fatal("a log segment cannot be created", created)?,
        };
        let synced = file.sync_data().and_then(|()| dir.sync());
        self.fatal("a log segment cannot be created", synced)?;
        let segment = Arc::new(UnsealedSegment::new(self.next_number, path, file));
        // The last number is never passed: creating that segment a second time fails.
        self.next_number = self.next_number.saturating_add(1);
        group.segments_mut().push(Segment::Unsealed(segment.clone()));
        let size = HEADER_BYTES as u64;
        let full = self.active.replace(Active { segment, size, durable: size });
        self.full.extend(full.map(|full| full.segment));
        Ok(())
    }

    /// Writes the first events, as many as fit in one write, and shows them to readers.
    fn write_some(&mut self, events: &[NewEvent], durability: Durability) -> io::Result<usize> {
        let Some(active) = &mut self.active else { return Err(io::Error::other("no segment")) };
        let mut buffer = Vec::new();
        let mut stored: Vec<(StoredEvent, u64)> = Vec::new();
        for event in events {
            if !buffer.is_empty() && buffer.len() + event.bytes() > WRITE_BYTES_MAX {
                break;
            }
            let sequence = self.next_sequence + stored.len() as u64;
            let event = StoredEvent {
                key: EventKey { timestamp_ms: event.timestamp_ms, sequence },
                stream: event.stream,
                ingestion_ms: event.ingestion_ms,
                position: event.position,
                message: event.message.clone(),
            };
            let offset = active.size + buffer.len() as u64;
            encode_record(&mut buffer, &event, active.segment.number, active.size, active.durable);
            stored.push((event, offset));
        }
        let file = active.segment.file.clone();
        if let Err(error) = file.write_all_at(active.size, &buffer) {
            if is_shortage(&error) {
                // Whole records among the half-written ones must not come back behind others.
                let cut = file.set_size(active.size).and_then(|()| file.sync_data());
                active.durable = active.size;
                self.fatal("a log segment cannot be cut", cut)?;
                return Err(error);
            }
            return self.fatal("a log segment cannot be written", Err(error));
        }
        active.size += buffer.len() as u64;
        self.next_sequence += stored.len() as u64;
        if durability == Durability::Synced {
            self.sync()?;
        }
        if let Some(active) = &self.active {
            active.segment.publish(stored.iter().map(|(event, offset)| (event, *offset)));
        }
        Ok(stored.len())
    }

    fn check_failed(&self) -> io::Result<()> {
        match &self.failed {
            Some(reason) => Err(io::Error::other(reason.clone())),
            None => Ok(()),
        }
    }

    /// After a failure here nothing is written to the group any more: a later success would prove nothing.
    fn fatal<T>(&mut self, what: &str, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let reason = format!("{what}: {error}");
            tracing::error!(dir = %self.dir.display(), reason, "log events are refused until the server starts anew");
            self.failed = Some(reason.clone());
            io::Error::other(reason)
        })
    }
}
