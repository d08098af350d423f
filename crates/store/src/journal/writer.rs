//! The only code that writes journal files. One thread owns it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Position;
use crate::disk::{DirHandle, Disk, DiskFile, OpenMode, is_shortage};

use super::segment::{HEADER_BYTES, Header, RECORD_HEADER_BYTES, encode_record};
use super::{Segment, segment_path};

/// What the write buffer keeps for the next batch: most are smaller, and a larger one waits for the disk anyway.
const BUFFER_KEPT_BYTES_MAX: usize = 1024 * 1024;

/// A transaction that waits to be written: its position and its stored form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PendingRecord {
    pub(crate) end: Position,
    pub(crate) payload: Vec<u8>,
}

impl PendingRecord {
    pub(crate) fn bytes(&self) -> u64 {
        RECORD_HEADER_BYTES + self.payload.len() as u64
    }

    pub(crate) fn start(&self) -> Position {
        Position(self.end.0 - self.bytes())
    }
}

/// Why a batch is not durable.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// No room, and the files are as they were before. The next batch may succeed.
    Shortage(io::Error),
    /// What is on disk is no longer known. The journal must never write again.
    Fatal(io::Error),
}

/// Before anything was changed on disk a shortage passes.
fn passing(error: io::Error) -> WriteError {
    if is_shortage(&error) { WriteError::Shortage(error) } else { WriteError::Fatal(error) }
}

/// Appends batches to the last segment and begins new ones.
pub(crate) struct JournalWriter {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes_max: u64,
    /// The file that is appended to; `None` before the first append and after a full disk.
    current: Option<Current>,
    /// Where the last durable record ends.
    end: Position,
    /// All segments, shared with the applier, which drops the oldest.
    segments: Arc<Mutex<Vec<Segment>>>,
    buffer: Vec<u8>,
}

struct Current {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    /// Bytes in the file that are durable.
    size: u64,
}

impl JournalWriter {
    /// Continues after recovery. The first append begins a new segment: a file that was once torn is never written
    /// to again.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        segment_bytes_max: u64,
        end: Position,
        segments: Arc<Mutex<Vec<Segment>>>,
    ) -> Self {
        Self { disk, dir, segment_bytes_max, current: None, end, segments, buffer: Vec::new() }
    }

    /// Writes a batch and waits until the disk has it.
    pub(crate) fn append(&mut self, batch: &[PendingRecord]) -> Result<(), WriteError> {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return Ok(()) };
        let current = match self.current.take_if(|current| current.size < self.segment_bytes_max) {
            Some(current) => current,
            None => self.begin_segment(first.start())?,
        };
        self.buffer.clear();
        for record in batch {
            encode_record(&mut self.buffer, record.start(), self.end, &record.payload);
        }
        if let Err(error) = current.file.write_all_at(current.size, &self.buffer) {
            return Err(self.undo_write(current, error));
        }
        // A failed sync may have thrown the data away and forgotten that it did: a second one would succeed and
        // mean nothing. So it is fatal whatever its reason is.
        current.file.sync_data().map_err(WriteError::Fatal)?;
        self.end = last.end;
        if let Some(segment) = self.segments().last_mut() {
            segment.end = last.end;
        }
        let size = current.size + self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_KEPT_BYTES_MAX);
        self.current = Some(Current { size, ..current });
        Ok(())
    }

    /// Creates a segment whose header is durable before any record follows it.
    fn begin_segment(&mut self, first: Position) -> Result<Current, WriteError> {
        let path = segment_path(&self.dir, first);
        if self.segments().last().is_some_and(|last| last.path == path) {
            // A crash came between this segment's header and its first record.
            let file = self.disk.open(&path, OpenMode::Write).map_err(passing)?;
            return Ok(Current { file, path, size: HEADER_BYTES as u64 });
        }
        let header = Header { first, previous_end: self.end };
        // Before the file: its name must not wait for a file descriptor.
        let dir = self.disk.open_dir(&self.dir).map_err(passing)?;
        let file = match self.disk.open(&path, OpenMode::CreateNew).and_then(|file| {
            file.write_all_at(0, &header.encode())?;
            Ok(file)
        }) {
            Ok(file) => file,
            Err(error) if is_shortage(&error) => {
                if self.disk.exists(&path) {
                    self.remove_segment(&path, &*dir).map_err(WriteError::Fatal)?;
                }
                return Err(WriteError::Shortage(error));
            }
            Err(error) => return Err(WriteError::Fatal(error)),
        };
        file.sync_data().map_err(WriteError::Fatal)?;
        dir.sync().map_err(WriteError::Fatal)?;
        self.segments().push(Segment { first, end: first, previous_end: self.end, path: path.clone() });
        Ok(Current { file, path, size: HEADER_BYTES as u64 })
    }

    /// Removes the file of a segment that got no records.
    fn remove_segment(&self, path: &Path, dir: &dyn DirHandle) -> io::Result<()> {
        self.disk.remove_file(path)?;
        dir.sync()
    }

    /// Takes the last segment off the list, unless it is the only one: that one stays, because it holds the position,
    /// and recovery takes an empty one for what it is.
    ///
    /// In one step, before the file goes: a checkpoint may be dropping the others at this moment.
    fn forget_last(&mut self) -> bool {
        let forgotten = {
            let mut segments = self.segments();
            if segments.len() > 1 { segments.pop() } else { None }
        };
        // After a start the segment may have been found empty, and its beginning taken for the end of the journal.
        if let Some(segment) = &forgotten {
            self.end = segment.previous_end;
        }
        forgotten.is_some()
    }

    fn segments(&self) -> MutexGuard<'_, Vec<Segment>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a failed write: a full disk is undone, so that what was reported lost does not come back, and the next
    /// batch begins a new segment, because its positions do not follow the last durable ones.
    fn undo_write(&mut self, current: Current, error: io::Error) -> WriteError {
        if !is_shortage(&error) {
            return WriteError::Fatal(error);
        }
        let undone = if current.size == HEADER_BYTES as u64 && self.forget_last() {
            self.disk.open_dir(&self.dir).and_then(|dir| self.remove_segment(&current.path, &*dir))
        } else {
            current.file.set_size(current.size).and_then(|()| current.file.sync_data())
        };
        match undone {
            Ok(()) => WriteError::Shortage(error),
            Err(undo) => WriteError::Fatal(undo),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::sim::SimDisk;
    use crate::journal::recover;

    const DIR: &str = "/journal";

    fn writer(disk: &SimDisk, segment_bytes_max: u64) -> JournalWriter {
        let recovered =
            recover(&(Arc::new(disk.clone()) as Arc<dyn Disk>), Path::new(DIR), Position::NONE).unwrap();
        let segments = Arc::new(Mutex::new(recovered.segments));
        JournalWriter::new(Arc::new(disk.clone()), DIR.into(), segment_bytes_max, recovered.end, segments)
    }

    fn disk() -> SimDisk {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new(DIR)).unwrap();
        disk
    }

    fn batch(start: u64, sizes: &[usize]) -> Vec<PendingRecord> {
        let mut end = start;
        sizes
            .iter()
            .map(|&size| {
                end += RECORD_HEADER_BYTES + size as u64;
                PendingRecord { end: Position(end), payload: vec![1; size] }
            })
            .collect()
    }

    #[test]
    fn what_a_full_disk_took_of_a_batch_does_not_come_back() {
        let disk = disk();
        let mut journal = writer(&disk, 10_000);
        journal.append(&batch(0, &[10])).unwrap();
        disk.limit_bytes(Some(disk.used_bytes() + 500));
        // The first record of the batch fits as a whole.
        assert!(matches!(journal.append(&batch(26, &[100, 1_000])), Err(WriteError::Shortage(_))));
        assert_eq!(writer(&disk, 10_000).end, Position(26));
    }

    #[test]
    fn after_a_full_disk_positions_go_on_in_a_new_segment() {
        // 26 bytes in the first segment; then one that is full at its first record, and at its header.
        for room in [500, 40, 10] {
            let disk = disk();
            let mut journal = writer(&disk, 20);
            journal.append(&batch(0, &[10])).unwrap();
            disk.limit_bytes(Some(disk.used_bytes() + room));
            assert!(matches!(journal.append(&batch(26, &[1_000])), Err(WriteError::Shortage(_))));
            assert!(matches!(journal.append(&batch(2_000, &[1_000])), Err(WriteError::Shortage(_))));
            disk.limit_bytes(None);
            journal.append(&batch(4_000, &[10])).unwrap();
            assert_eq!(writer(&disk, 20).end, Position(4_026), "{room}");
        }
    }

    /// Its successor must not claim that the journal reached to where the empty one began: nobody could follow that.
    #[test]
    fn an_empty_segment_that_was_found_and_is_removed_leaves_the_end_where_it_was() {
        let disk = disk();
        let mut journal = writer(&disk, 20);
        journal.append(&batch(0, &[10])).unwrap();
        // As a crash leaves it behind a full disk: positions went on, and the new segment got no record.
        let begun = journal.begin_segment(Position(500)).map(drop);
        begun.unwrap();
        let mut journal = writer(&disk, 20);
        disk.limit_bytes(Some(disk.used_bytes() + 10));
        assert!(matches!(journal.append(&batch(500, &[1_000])), Err(WriteError::Shortage(_))));
        disk.limit_bytes(None);
        journal.append(&batch(2_000, &[10])).unwrap();
        assert_eq!(writer(&disk, 20).end, Position(2_026));
    }

    #[test]
    fn a_new_segment_waits_for_a_file_descriptor() {
        let disk = disk();
        let mut journal = writer(&disk, 20);
        journal.append(&batch(0, &[10])).unwrap();
        disk.lack_descriptors(true);
        assert!(matches!(journal.append(&batch(26, &[10])), Err(WriteError::Shortage(_))));
        disk.lack_descriptors(false);
        journal.append(&batch(52, &[10])).unwrap();
        assert_eq!(writer(&disk, 20).end, Position(78));
    }

    #[test]
    fn the_only_segment_stays_when_the_disk_is_full_at_its_first_record() {
        let disk = disk();
        let mut journal = writer(&disk, 10_000);
        disk.limit_bytes(Some(100));
        assert!(matches!(journal.append(&batch(0, &[1_000])), Err(WriteError::Shortage(_))));
        // A restart finds the empty segment and continues it.
        let mut journal = writer(&disk, 10_000);
        assert_eq!(journal.segments().len(), 1);
        assert!(matches!(journal.append(&batch(0, &[1_000])), Err(WriteError::Shortage(_))));
        disk.limit_bytes(None);
        journal.append(&batch(5_000, &[10])).unwrap();
        assert_eq!(writer(&disk, 10_000).end, Position(5_026));
    }
}
