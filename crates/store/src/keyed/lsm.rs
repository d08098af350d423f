//! The keyed state on disk: one log-structured merge tree.
//!
//! The tree has no journal of its own, and needs none: changes stay in its memtable until [`persist`] or
//! [`make_room`] writes them as a table, and what a crash takes from memory is replayed from ours. Tables are never
//! changed once they are written, and a table counts only from the moment when the tree's version file names it: a
//! power cut leaves the tree as it was at the last write that succeeded.
//!
//! All keyspaces share a tree, told apart by a prefix: they are small, and one tree means one memtable and few files.
//!
//! [`persist`]: KeyedState::persist
//! [`make_room`]: KeyedState::make_room

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lsm_tree::compaction::Leveled;
use lsm_tree::config::CompressionPolicy;
use lsm_tree::{
    AbstractTree as _, AnyTree, Cache, Config, DescriptorTable, Guard as _, SeqNo, SequenceNumberCounter,
};

use crate::Position;
use crate::disk::is_shortage;

use super::{Change, KeyValues, KeyedState};

/// Memory for blocks that were read; loads scan once and answers come from memory, so little is enough.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// Memory for changes before they are written as a table.
const MEMTABLE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Memory for changes that stays while nothing happens. Writing less would wear a memory card for nothing.
const MEMTABLE_AT_REST_BYTES_MAX: u64 = 1024 * 1024;

/// Size of the tables that merging writes. A merge rewrites at least one of each level it touches.
///
/// It is also what a merge takes of memory: the table's index refers to keys inside the blocks that were read, so these
/// stay until the table is done. With compressed tables that would be any multiple of it: queued messages of zeroes took
/// 300 MiB. So tables are not compressed.
const TABLE_BYTES: u64 = 16 * 1024 * 1024;

/// Table files that are kept open: a scan visits each once.
const OPEN_TABLES_MAX: usize = 32;

/// Where our own marks live: no keyspace has an empty name.
const APPLIED: &[u8] = b"\0applied";
const CHECKPOINT: &[u8] = b"\0checkpoint";

/// An open tree.
pub(crate) struct LsmState {
    dir: PathBuf,
    tree: AnyTree,
    /// The number of the next batch; the tree counts its own changes with it too.
    next: SequenceNumberCounter,
    /// Readers see what has a lower number.
    visible: SequenceNumberCounter,
    readers: Readers,
    /// Size of the memtable that was written last: the tree keeps it until the next one is written, for readers of the
    /// version before.
    written_bytes: AtomicU64,
}

impl LsmState {
    /// Opens the tree in a directory; one that is not there or empty becomes a new tree.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        Self::open_with(dir, CompressionPolicy::disabled())
    }

    /// `compression` is of the tables that will be written: each that is there says how it was.
    fn open_with(dir: &Path, compression: CompressionPolicy) -> io::Result<Self> {
        let (next, visible) = (SequenceNumberCounter::default(), SequenceNumberCounter::default());
        let tree = Config::new(dir, next.clone(), visible.clone())
            .use_cache(Arc::new(Cache::with_capacity_bytes(CACHE_BYTES)))
            .data_block_compression_policy(compression)
            .use_descriptor_table(Some(Arc::new(DescriptorTable::new(OPEN_TABLES_MAX))))
            .open()
            .map_err(into_io)?;
        let after_all = tree.get_highest_seqno().map_or(0, |highest| highest + 1);
        next.fetch_max(after_all);
        visible.fetch_max(after_all);
        Ok(Self {
            dir: dir.to_path_buf(),
            tree,
            next,
            visible,
            readers: Readers::default(),
            written_bytes: AtomicU64::new(0),
        })
    }

    fn mark(&self, key: &[u8]) -> io::Result<Option<Position>> {
        let reader = self.readers.enter(&self.visible);
        let Some(value) = self.tree.get(key, reader.sees).map_err(into_io)? else { return Ok(None) };
        let bytes =
            value.as_ref().try_into().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "bad mark"))?;
        Ok(Some(Position(u64::from_le_bytes(bytes))))
    }

    /// Writes what waits in memory as tables: what an earlier attempt has sealed, then the rest.
    fn flush(&self) -> io::Result<()> {
        if self.tree.sealed_memtable_count() == 0 {
            self.tree.rotate_memtable();
        }
        // INVARIANT: only the applier's thread changes the tree, so every later reader sees this number or a higher one.
        let needed_from = self.readers.lowest(&self.visible);
        let mut written = None;
        self.attempt(|| {
            written = self.tree.flush(&self.tree.get_flush_lock(), needed_from)?;
            Ok(())
        })?;
        if let Some(bytes) = written {
            self.written_bytes.store(bytes, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Merges tables when there are many. A merge that finds no room is given up until the next one.
    fn merge(&self) -> io::Result<()> {
        let needed_from = self.readers.lowest(&self.visible);
        let leveled = Arc::new(Leveled::default().with_table_target_size(TABLE_BYTES));
        match self.attempt(|| self.tree.compact(leveled, needed_from)) {
            Err(error) if is_shortage(&error) => {
                tracing::debug!(%error, "tables of the keyed state were not merged");
                Ok(())
            }
            merged => merged,
        }
    }

    /// Does what writes tables, and leaves nothing of it behind when it fails.
    ///
    /// # Errors
    /// The tree's own. A shortage becomes an error for good when the disk already names the new version and memory does
    /// not: another attempt would write over the file that a crash would need.
    fn attempt(&self, work: impl FnOnce() -> lsm_tree::Result<()>) -> io::Result<()> {
        let first = self.tree.next_table_id();
        let before = self.named_by()?;
        let Err(error) = work() else { return Ok(()) };
        let error = into_io(error);
        let version = self.tree.current_version();
        if self.named_by().ok() != Some(before) && self.version_on_disk().ok() != Some(version.id()) {
            return Err(io::Error::other(format!(
                "the keyed state's version on disk is not memory's: {error}"
            )));
        }
        for id in (first..self.tree.next_table_id())
            .filter(|id| version.iter_tables().all(|table| table.id() != *id))
        {
            // What cannot be removed is found and removed at the next start.
            let _ = std::fs::remove_file(self.dir.join("tables").join(id.to_string()));
        }
        Err(error)
    }

    /// Which file names the version: it is replaced as a whole, so another version has another file. Asked for without a
    /// file descriptor, which may be what is lacking.
    fn named_by(&self) -> io::Result<u64> {
        Ok(std::fs::metadata(self.dir.join("current"))?.ino())
    }

    /// The version that a start would find: the first number of the file that names it.
    fn version_on_disk(&self) -> io::Result<u64> {
        let current = std::fs::read(self.dir.join("current"))?;
        let id = current.first_chunk().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(u64::from_le_bytes(*id))
    }
}

impl KeyedState for LsmState {
    fn get(&self, keyspace: &str, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let reader = self.readers.enter(&self.visible);
        let value = self.tree.get(full_key(keyspace, key), reader.sees).map_err(into_io)?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, keyspace: &str, prefix: &[u8]) -> io::Result<KeyValues> {
        let name_bytes = keyspace.len() + 1;
        let reader = self.readers.enter(&self.visible);
        self.tree
            .prefix(full_key(keyspace, prefix), reader.sees, None)
            .map(|pair| {
                let (key, value) = pair.into_inner().map_err(into_io)?;
                Ok((key[name_bytes..].to_vec(), value.to_vec()))
            })
            .collect()
    }

    fn apply(&self, changes: &mut dyn Iterator<Item = Change<'_>>, position: Position) -> io::Result<()> {
        // Each change has a number of its own: of two changes of one key the later one counts.
        for change in changes {
            match change {
                Change::Put { keyspace, key, value } => {
                    self.tree.insert(full_key(keyspace, key), value, self.next.next())
                }
                Change::Delete { keyspace, key } => {
                    self.tree.remove(full_key(keyspace, key), self.next.next())
                }
            };
        }
        self.tree.insert(APPLIED, position.0.to_le_bytes(), self.next.next());
        // Shown all at once.
        self.visible.fetch_max(self.next.get());
        Ok(())
    }

    fn make_room(&self) -> io::Result<()> {
        if self.tree.sealed_memtable_count() > 0 || self.tree.active_memtable().size() >= MEMTABLE_BYTES_MAX {
            self.flush()?;
            self.merge()?;
        }
        Ok(())
    }

    fn rest(&self) -> io::Result<()> {
        let held = self.tree.active_memtable().size() + self.written_bytes.load(Ordering::Relaxed);
        if held < MEMTABLE_AT_REST_BYTES_MAX {
            return Ok(());
        }
        self.flush()?;
        self.merge()?;
        // A memtable of one entry takes the place of the one that was written.
        self.tree.insert(APPLIED, self.applied()?.0.to_le_bytes(), self.next.next());
        self.visible.fetch_max(self.next.get());
        self.flush()
    }

    fn applied(&self) -> io::Result<Position> {
        Ok(self.mark(APPLIED)?.unwrap_or_default())
    }

    fn checkpoint(&self) -> io::Result<Option<Position>> {
        self.mark(CHECKPOINT)
    }

    fn persist(&self, checkpoint: Position) -> io::Result<()> {
        // What was sealed before the mark comes first, so that a failed attempt does not seal one memtable more each time.
        if self.tree.sealed_memtable_count() > 0 {
            self.flush()?;
        }
        // In the same table as everything up to it, or in a later one: a table counts as a whole or not at all.
        self.tree.insert(CHECKPOINT, checkpoint.0.to_le_bytes(), self.next.next());
        self.visible.fetch_max(self.next.get());
        self.flush()?;
        self.merge()
    }
}

/// Who reads, and up to which number: what they see must not be thrown away.
#[derive(Default)]
struct Readers(Mutex<BTreeMap<SeqNo, usize>>);

/// One reader, until it is dropped.
struct Reader<'a> {
    readers: &'a Readers,
    /// It sees lower numbers than this.
    sees: SeqNo,
}

impl Readers {
    fn enter(&self, visible: &SequenceNumberCounter) -> Reader<'_> {
        let mut readers = self.lock();
        let sees = visible.get();
        *readers.entry(sees).or_default() += 1;
        Reader { readers: self, sees }
    }

    fn lowest(&self, visible: &SequenceNumberCounter) -> SeqNo {
        let readers = self.lock();
        readers.first_key_value().map_or_else(|| visible.get(), |(sees, _)| *sees)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SeqNo, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut readers = self.readers.lock();
        if let Some(count) = readers.get_mut(&self.sees) {
            *count -= 1;
            if *count == 0 {
                readers.remove(&self.sees);
            }
        }
    }
}

/// `len name key`: the length keeps `ab` + `c` apart from `a` + `bc`.
fn full_key(keyspace: &str, key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(1 + keyspace.len() + key.len());
    full.push(u8::try_from(keyspace.len()).expect("keyspace names are short constants"));
    full.extend_from_slice(keyspace.as_bytes());
    full.extend_from_slice(key);
    full
}

fn into_io(error: lsm_tree::Error) -> io::Error {
    match error {
        lsm_tree::Error::Io(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsm_tree::CompressionType;
    use std::sync::atomic::AtomicBool;

    /// A batch that sets two keys to the same value, larger than a hundredth of the memtable.
    fn set_both(state: &LsmState, number: u64) {
        let mut value = number.to_le_bytes().to_vec();
        value.resize(100_000, 0);
        let changes = [
            Change::Put { keyspace: "k", key: b"one", value: &value },
            Change::Put { keyspace: "k", key: b"two", value: &value },
        ];
        state.apply(&mut changes.into_iter(), Position(number)).unwrap();
    }

    fn number_of(value: &[u8]) -> u64 {
        u64::from_le_bytes(value[..8].try_into().unwrap())
    }

    #[test]
    fn at_rest_a_large_memtable_is_written_and_a_small_one_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let state = LsmState::open(dir.path()).unwrap();
        set_both(&state, 0);
        state.rest().unwrap();
        assert_eq!(state.tree.table_count(), 0);
        // The first time there is a merge behind it, later mostly not.
        for round in 1..4 {
            (0..6).for_each(|number| set_both(&state, 10 * round + number));
            let tables = state.tree.table_count();
            state.make_room().unwrap();
            assert_eq!(state.tree.table_count(), tables);
            let large = Arc::downgrade(&state.tree.active_memtable());
            state.rest().unwrap();
            assert!(large.upgrade().is_none(), "the tree keeps what was written last, round {round}");
            let applied = state.applied().unwrap();
            assert_eq!((state.tree.active_memtable().size(), applied), (0, Position(10 * round + 5)));
        }
        let tables = state.tree.table_count();
        state.rest().unwrap();
        assert_eq!(state.tree.table_count(), tables, "nothing is written twice");
        assert_eq!(number_of(&state.get("k", b"one").unwrap().unwrap()), 35);
    }

    #[test]
    fn readers_see_whole_batches_while_tables_are_written_and_merged() {
        let dir = tempfile::tempdir().unwrap();
        let state = LsmState::open(dir.path()).unwrap();
        set_both(&state, 0);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut last = 0;
                    while !done.load(Ordering::Relaxed) {
                        let pairs = state.scan("k", b"").unwrap();
                        let numbers: Vec<u64> = pairs.iter().map(|(_, value)| number_of(value)).collect();
                        assert_eq!(numbers.len(), 2);
                        assert!(numbers[0] == numbers[1] && numbers[0] >= last, "{numbers:?} after {last}");
                        last = numbers[0];
                    }
                });
            }
            for number in 1..1_000 {
                set_both(&state, number);
                state.make_room().unwrap();
                if number % 50 == 0 {
                    state.persist(Position(number)).unwrap();
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        assert!(state.tree.table_count() > 0);
        state.persist(Position(999)).unwrap();
        drop(state);
        let state = LsmState::open(dir.path()).unwrap();
        assert_eq!(number_of(&state.get("k", b"two").unwrap().unwrap()), 999);
        assert_eq!(state.checkpoint().unwrap(), Some(Position(999)));
        // New changes must not be hidden behind the old ones' numbers.
        set_both(&state, 1_000);
        assert_eq!(number_of(&state.get("k", b"one").unwrap().unwrap()), 1_000);
    }

    #[test]
    fn compressed_tables_of_earlier_versions_are_read_and_merged_with_new_ones() {
        let dir = tempfile::tempdir().unwrap();
        let compressed = CompressionPolicy::all(CompressionType::Lz4);
        let state = LsmState::open_with(dir.path(), compressed).unwrap();
        let persist = |state: &LsmState, number| {
            set_both(state, number);
            state.persist(Position(number)).unwrap();
        };
        persist(&state, 1);
        assert!(state.tree.disk_space() < 100_000, "two values of 100,000 zeroes, compressed");
        drop(state);
        let state = LsmState::open(dir.path()).unwrap();
        assert_eq!(number_of(&state.get("k", b"one").unwrap().unwrap()), 1);
        assert_eq!(state.checkpoint().unwrap(), Some(Position(1)));
        for number in 2..20 {
            persist(&state, number);
        }
        assert!(state.tree.disk_space() >= 200_000, "not compressed any more");
        assert!(state.tree.table_count() < 19, "merged with the old one");
        drop(state);
        let state = LsmState::open(dir.path()).unwrap();
        assert_eq!(number_of(&state.get("k", b"two").unwrap().unwrap()), 19);
    }

    #[test]
    fn what_was_not_persisted_is_left_to_the_journal() {
        let dir = tempfile::tempdir().unwrap();
        let state = LsmState::open(dir.path()).unwrap();
        set_both(&state, 1);
        state.persist(Position(1)).unwrap();
        set_both(&state, 2);
        drop(state);
        let state = LsmState::open(dir.path()).unwrap();
        assert_eq!(number_of(&state.get("k", b"one").unwrap().unwrap()), 1);
        assert_eq!((state.applied().unwrap(), state.checkpoint().unwrap()), (Position(1), Some(Position(1))));
    }
}
