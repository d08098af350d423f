//! Opening a data directory: lock, format, recovery, replay.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::applier::{
    Applier, CHECKPOINT_BYTES, apply_changes, apply_entries, drop_segments, make_checkpoint,
};
use crate::disk::{Disk, DiskLock, MemDisk, OpenMode, RealDisk, is_shortage, replace_file};
use crate::journal::{JournalWriter, Recovered, SEGMENT_BYTES_MAX, read_records, recover};
use crate::keyed::{KeyValues, KeyedState, LsmState, MemoryState};
use crate::store::{BACKLOG_BYTES_MAX, Shared, Store, Threads};
use crate::{Consumer, ConsumerId, Keyspace, OpenError, Position, ReadError, TornTail, writer};

/// The format of the data directory as a whole: what `FORMAT` says.
///
/// 1: the keyed state was another engine's; no release wrote it.
const FORMAT: u32 = 2;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The data directory.
    pub dir: PathBuf,
    /// Where it is.
    pub disk: Arc<dyn Disk>,
    /// What keeps the keyed state.
    pub state: StateEngine,
    /// See [`limits::SEGMENT_BYTES_MAX`](crate::limits::SEGMENT_BYTES_MAX), the default.
    pub segment_bytes_max: u64,
    /// See [`limits::BACKLOG_BYTES_MAX`](crate::limits::BACKLOG_BYTES_MAX), the default.
    pub backlog_bytes_max: u64,
    /// See [`limits::CHECKPOINT_BYTES`](crate::limits::CHECKPOINT_BYTES), the default.
    pub checkpoint_bytes: u64,
    /// Who moves the store on instead of its threads, for simulations. Defaults to the threads.
    #[cfg(any(test, feature = "sim"))]
    pub steps: Option<crate::Steps>,
}

/// What keeps the keyed state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateEngine {
    /// An LSM tree, in `state/` of a real directory.
    Tree,
    /// A map in memory that ends with the process.
    Memory,
    /// A map in memory that checkpoints write to the disk as a whole: for tests on a simulated disk.
    Snapshots,
}

impl StoreOptions {
    /// A data directory of the operating system.
    pub fn directory(dir: impl Into<PathBuf>) -> Self {
        Self::new(dir.into(), Arc::new(RealDisk), StateEngine::Tree)
    }

    /// A store that ends with the process (`--in-memory`).
    pub fn in_memory() -> Self {
        Self::new(PathBuf::from("/memory"), Arc::new(MemDisk::new()), StateEngine::Memory)
    }

    /// A store on a disk for tests.
    pub fn simulated(disk: Arc<dyn Disk>) -> Self {
        Self::new(PathBuf::from("/sim"), disk, StateEngine::Snapshots)
    }

    fn new(dir: PathBuf, disk: Arc<dyn Disk>, state: StateEngine) -> Self {
        Self {
            dir,
            disk,
            state,
            segment_bytes_max: SEGMENT_BYTES_MAX,
            backlog_bytes_max: BACKLOG_BYTES_MAX,
            checkpoint_bytes: CHECKPOINT_BYTES,
            #[cfg(any(test, feature = "sim"))]
            steps: None,
        }
    }
}

/// A directory that is locked, checked and replayed into the keyed state; consumers are still to come.
pub struct Opening {
    options: StoreOptions,
    lock: DiskLock,
    state: Arc<dyn KeyedState>,
    journal: Recovered,
    journal_dir: PathBuf,
    checkpoint: Position,
}

impl Store {
    /// Opens a data directory, creating it when it is new.
    ///
    /// Afterwards [`Opening::scan`] shows the keyed state as of the journal's end; [`Opening::recover`] replays the
    /// consumers and starts the store.
    ///
    /// # Errors
    /// [`OpenError`] names the process that has the directory, the newer format, or the damaged file. Nothing that
    /// was acknowledged is ever dropped to make opening succeed.
    pub fn open(options: StoreOptions) -> Result<Opening, OpenError> {
        Opening::new(options)
    }
}

impl Opening {
    fn new(options: StoreOptions) -> Result<Self, OpenError> {
        let StoreOptions { dir, disk, .. } = &options;
        disk.create_dir_all(dir).map_err(OpenError::io(dir))?;
        let lock = take_lock(&**disk, dir)?;
        let is_new = !check_format(&**disk, dir)?;
        let journal_dir = dir.join("journal");
        if is_new {
            disk.create_dir_all(&journal_dir).map_err(OpenError::io(&journal_dir))?;
        }
        let state = open_state(&options, is_new)?;
        // Names that were found may not be durable yet: the engine's directory, or what a killed process renamed.
        disk.sync_dir(dir).map_err(OpenError::io(dir))?;
        let checkpoint = initial_checkpoint(&options, &*state, is_new)?;
        let journal = recover(disk, &journal_dir, checkpoint)?;
        if let Some(torn) = &journal.torn {
            tracing::warn!(file = %torn.file.display(), offset = torn.offset, bytes = torn.bytes,
                "cut the end of a write that a crash interrupted; it was never acknowledged");
        }
        check_continuity(&journal, &journal_dir, checkpoint, &*state)?;
        let state_failed = |source| OpenError::State { dir: dir.join("state"), source };
        let mut has_room = true;
        read_records(disk, &journal.segments, checkpoint, |_, end, payload| {
            apply_changes(&*state, std::iter::once(payload), end).map_err(state_failed)?;
            if has_room {
                match state.make_room() {
                    // Then it stays in memory: at most what is applied between two checkpoints, and the backlog.
                    Err(error) if is_shortage(&error) => has_room = false,
                    made => made.map_err(state_failed)?,
                }
            }
            Ok(())
        })?;
        if is_new {
            write_format(&**disk, dir)?;
        }
        Ok(Self { lock, state, journal, journal_dir, checkpoint, options })
    }

    /// Everything in a keyspace whose key begins with `prefix`, in key order, as of the journal's end.
    ///
    /// # Errors
    /// When the disk or the engine fails.
    pub fn scan(&self, keyspace: Keyspace, prefix: impl AsRef<[u8]>) -> Result<KeyValues, ReadError> {
        Ok(self.state.scan(keyspace.0, prefix.as_ref())?)
    }

    /// One value as of the journal's end.
    ///
    /// # Errors
    /// When the disk or the engine fails.
    pub fn get(&self, keyspace: Keyspace, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.state.get(keyspace.0, key.as_ref())?)
    }

    /// What a crash left unfinished and recovery cut.
    pub fn torn_tail(&self) -> Option<&TornTail> {
        self.journal.torn.as_ref()
    }

    /// The disk that the directory is on, for consumers with files of their own.
    pub fn disk(&self) -> Arc<dyn Disk> {
        self.options.disk.clone()
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// Gives the consumers what they may have lost, makes a checkpoint and starts the store.
    ///
    /// # Errors
    /// When a consumer fails or an entry has none.
    pub fn recover(self, consumers: Vec<(ConsumerId, Arc<dyn Consumer>)>) -> Result<Store, OpenError> {
        let Self { options, lock, state, journal, journal_dir, checkpoint } = self;
        let StoreOptions { disk, .. } = &options;
        let consumers: HashMap<_, _> = consumers.into_iter().collect();
        let failed = |source| OpenError::Io { path: journal_dir.clone(), source };
        read_records(disk, &journal.segments, checkpoint, |start, _, payload| {
            apply_entries(&consumers, start, payload).map_err(failed)
        })?;
        let end = journal.end.max(checkpoint);
        let segments = Arc::new(Mutex::new(journal.segments));
        let mut checkpoint = checkpoint;
        if end > checkpoint {
            match make_checkpoint(&consumers, &*state, end) {
                Ok(()) => checkpoint = end,
                Err(error) if is_shortage(&error) => {
                    tracing::warn!(%error, "no checkpoint at the start: the journal keeps what is not in its place yet");
                }
                Err(error) => return Err(failed(error)),
            }
        }
        drop_segments(&**disk, &journal_dir, &segments, checkpoint).map_err(failed)?;

        let shared = Arc::new(Shared::new(state, end, options.backlog_bytes_max));
        let writer = JournalWriter::new(
            disk.clone(),
            journal_dir.clone(),
            options.segment_bytes_max,
            end,
            segments.clone(),
        );
        let applier = Applier {
            shared: shared.clone(),
            disk: disk.clone(),
            journal_dir: journal_dir.clone(),
            segments,
            consumers,
            checkpoint_bytes: options.checkpoint_bytes,
            checkpoint,
            unsettled_bytes: 0,
            shortage_told_at: None,
            rest_at: None,
            retry_at: None,
        };
        #[cfg(any(test, feature = "sim"))]
        if let Some(steps) = &options.steps {
            steps.take_over(shared.clone(), writer, applier);
            return Ok(Store::new(shared, Threads { writer: None, applier: None, lock: Some(lock) }));
        }
        let writer_shared = shared.clone();
        let writer = spawn("store-writer", move || writer::run(&writer_shared, writer)).map_err(failed)?;
        let applier = spawn("store-applier", move || applier.run()).map_err(failed)?;
        Ok(Store::new(shared, Threads { writer: Some(writer), applier: Some(applier), lock: Some(lock) }))
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body)
}

fn take_lock(disk: &dyn Disk, dir: &Path) -> Result<DiskLock, OpenError> {
    let path = dir.join("LOCK");
    disk.lock(&path).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked { dir: dir.to_path_buf(), holder: source.to_string() },
        _ => OpenError::Io { path, source },
    })
}

/// Whether the directory was initialised before, by this format.
fn check_format(disk: &dyn Disk, dir: &Path) -> Result<bool, OpenError> {
    let path = dir.join("FORMAT");
    if !disk.exists(&path) {
        return Ok(false);
    }
    let text =
        disk.open(&path, OpenMode::Read).and_then(|file| file.read_all()).map_err(OpenError::io(&path))?;
    match std::str::from_utf8(&text).ok().and_then(|text| text.trim().strip_prefix("eyot ")?.parse().ok()) {
        Some(FORMAT) => Ok(true),
        Some(found) if found < FORMAT => {
            Err(OpenError::OlderFormat { dir: dir.to_path_buf(), found, supported: FORMAT })
        }
        Some(found) => Err(OpenError::NewerFormat { dir: dir.to_path_buf(), found, supported: FORMAT }),
        None => Err(OpenError::Damaged { file: path, offset: 0, reason: "not `eyot <number>`".to_owned() }),
    }
}

/// Written last: a directory without it was never finished, so nothing in it was acknowledged.
fn write_format(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    let path = dir.join("FORMAT");
    replace_file(disk, &path, format!("eyot {FORMAT}\n").as_bytes()).map_err(OpenError::io(&path))
}

fn open_state(options: &StoreOptions, is_new: bool) -> Result<Arc<dyn KeyedState>, OpenError> {
    let dir = options.dir.join("state");
    let failed = |source| OpenError::State { dir: dir.clone(), source };
    Ok(match options.state {
        StateEngine::Tree => {
            if !options.disk.exists(&dir) {
                if !is_new {
                    return Err(failed(io::Error::new(io::ErrorKind::NotFound, "it is missing")));
                }
                create_tree(&*options.disk, &options.dir, &dir).map_err(failed)?;
            }
            Arc::new(LsmState::open(&dir).map_err(failed)?)
        }
        StateEngine::Memory => Arc::new(MemoryState::volatile()),
        StateEngine::Snapshots => {
            Arc::new(MemoryState::with_snapshots(options.disk.clone(), dir.clone()).map_err(failed)?)
        }
    })
}

/// Makes a tree under another name first: a power cut must not leave half of one.
fn create_tree(disk: &dyn Disk, parent: &Path, dir: &Path) -> io::Result<()> {
    let unfinished = parent.join(".state.unfinished");
    if disk.exists(&unfinished) {
        disk.remove_dir_all(&unfinished)?;
    }
    disk.create_dir_all(&unfinished)?;
    LsmState::open(&unfinished)?.persist(Position::NONE)?;
    disk.rename(&unfinished, dir)?;
    disk.sync_dir(parent)
}

/// Where replay starts. A new state gets its first checkpoint, so that a lost one is noticed later.
fn initial_checkpoint(
    options: &StoreOptions,
    state: &dyn KeyedState,
    is_new: bool,
) -> Result<Position, OpenError> {
    let dir = options.dir.join("state");
    let failed = |source| OpenError::State { dir: dir.clone(), source };
    match state.checkpoint().map_err(failed)? {
        Some(checkpoint) => Ok(checkpoint),
        None if is_new => {
            state.persist(Position::NONE).map_err(failed)?;
            Ok(Position::NONE)
        }
        None => Err(failed(io::Error::new(
            io::ErrorKind::InvalidData,
            "it has no checkpoint: its content is lost",
        ))),
    }
}

/// Checks that the journal reaches from the checkpoint to everything that was ever applied.
fn check_continuity(
    journal: &Recovered,
    journal_dir: &Path,
    checkpoint: Position,
    state: &dyn KeyedState,
) -> Result<(), OpenError> {
    let damaged = |reason: String| OpenError::Damaged { file: journal_dir.to_path_buf(), offset: 0, reason };
    let applied = state
        .applied()
        .map_err(|source| OpenError::Io { path: journal_dir.to_path_buf(), source })?
        .max(checkpoint);
    if journal.end < applied {
        return Err(damaged(format!(
            "the journal ends at position {}, but the keyed state already has position {}: its end is missing",
            journal.end.0, applied.0
        )));
    }
    match journal.segments.first() {
        Some(segment) if segment.previous_end > checkpoint => Err(damaged(format!(
            "the journal begins at position {}, but the keyed state needs it from position {}",
            segment.previous_end.0, checkpoint.0
        ))),
        _ => Ok(()),
    }
}
