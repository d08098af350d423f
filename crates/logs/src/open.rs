//! Opening the log store: groups and streams from the keyed state, events from their segments.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use store::disk::{Disk, OpenMode};
use store::{Consumer, Opening, Store};

use crate::append::Appender;
use crate::group::{GROUPS, Group, GroupRecord, NEXT_NUMBER, NUMBERS, STREAMS, Stream, StreamRecord, decode};
use crate::segment::{Segment, recovery};
use crate::worker::Workers;
use crate::{CONSUMER, Groups, Logs, LogsOpenError, LogsOptions};

impl Logs {
    /// Opens the log store of a data directory and starts the store with it as its only consumer: the usual way.
    ///
    /// # Errors
    /// When the directory cannot be used, the list of groups is damaged, or the journal cannot be replayed. Damaged
    /// segments are no error, see [`Logs::damages`].
    pub fn start(opening: Opening) -> Result<(Store, Arc<Self>), LogsOpenError> {
        let logs = Self::open(&opening, LogsOptions::default())?;
        let store = opening.recover(vec![(CONSUMER, logs.clone() as Arc<dyn Consumer>)])?;
        logs.attach(&store);
        Ok((store, logs))
    }

    /// Opens the log store of an opened data directory. Give it to [`Opening::recover`] as consumer [`CONSUMER`] and
    /// then call [`Logs::attach`]; [`Logs::start`] does all of it.
    ///
    /// # Errors
    /// See [`Logs::start`].
    pub fn open(opening: &Opening, options: LogsOptions) -> Result<Arc<Self>, LogsOpenError> {
        let disk = opening.disk();
        let dir = opening.dir().join("logs");
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |source| LogsOpenError::Io { path, source }
        };
        disk.create_dir_all(&dir).map_err(io(&dir))?;
        let clean = take_clean_mark(&*disk, &dir).map_err(io(&dir))?;
        let mut next_number = opening
            .get(NUMBERS, NEXT_NUMBER)?
            .and_then(|value| value.try_into().ok())
            .map_or(1, u32::from_le_bytes);
        let workers = Arc::new(Workers::default());
        let mut groups = Groups::default();
        let mut damages = Vec::new();
        for (key, value) in opening.scan(GROUPS, b"")? {
            let name = String::from_utf8_lossy(&key).into_owned();
            let record: GroupRecord = decode(&value).map_err(|reason| damaged("group", &name, reason))?;
            next_number = next_number.max(record.id + 1);
            let (group, full) = open_group(&disk, &dir, &name, record, &options, clean, &mut damages)
                .map_err(io(&dir.join(&name)))?;
            workers.seal(&group, full);
            groups.insert(group);
        }
        load_streams(opening, &groups.by_id, &mut next_number)?;
        remove_orphans(&*disk, &dir, &groups.by_id).map_err(io(&dir))?;
        workers.start(disk.clone()).map_err(io(&dir))?;
        let logs = Arc::new(Self {
            disk,
            dir,
            store: OnceLock::new(),
            groups: RwLock::new(groups),
            operations: Mutex::default(),
            options,
            next_number: AtomicU32::new(next_number),
            workers,
            unflushed: Mutex::default(),
            damages: Mutex::default(),
        });
        damages.into_iter().for_each(|damage| logs.report(damage));
        Ok(logs)
    }

    /// Gives it the running store, which operations on groups and streams need.
    pub fn attach(&self, store: &Store) {
        // A second store would be a mistake of the caller's; the first one stays.
        let _already_attached = self.store.set(store.clone());
    }

    /// The number of a new group or stream.
    pub(crate) fn take_number(&self) -> u32 {
        self.next_number.fetch_add(1, Ordering::AcqRel)
    }
}

/// Its presence says that everything in the segments is on disk.
const CLEAN_MARK: &str = "CLEAN";

/// Whether the last process ended in order. The mark is gone, durably, before anything is written.
fn take_clean_mark(disk: &dyn Disk, dir: &Path) -> std::io::Result<bool> {
    let path = dir.join(CLEAN_MARK);
    let clean = disk.exists(&path);
    if clean {
        disk.remove_file(&path)?;
        disk.sync_dir(dir)?;
    }
    Ok(clean)
}

/// Says that everything in the segments is on disk. Nothing may be written afterwards.
pub(crate) fn leave_clean_mark(disk: &dyn Disk, dir: &Path) -> std::io::Result<()> {
    disk.open(&dir.join(CLEAN_MARK), OpenMode::CreateNew)?;
    disk.sync_dir(dir)
}

pub(crate) fn group_dir(dir: &Path, id: u32) -> std::path::PathBuf {
    dir.join(format!("{id:010}"))
}

type Full = Vec<Arc<crate::segment::UnsealedSegment>>;

fn open_group(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    name: &str,
    record: GroupRecord,
    options: &LogsOptions,
    clean: bool,
    damages: &mut Vec<crate::Damage>,
) -> std::io::Result<(Arc<Group>, Full)> {
    let dir = group_dir(dir, record.id);
    let mut recovered = recovery::recover(&**disk, &dir, record.id, clean)?;
    damages.append(&mut recovered.damages);
    let appender = Appender::new(disk.clone(), dir.clone(), record.id, options.segment_bytes_max, &recovered);
    let active = recovered.active.as_ref().map(|(segment, _)| segment.number);
    // Those that a crash left unsealed.
    let full = recovered.segments.iter().filter_map(|segment| match segment {
        Segment::Unsealed(segment) if Some(segment.number) != active => Some(segment.clone()),
        _ => None,
    });
    let full = full.collect();
    Ok((Arc::new(Group::new(name, record, dir, appender, recovered.segments)), full))
}

fn load_streams(
    opening: &Opening,
    groups: &HashMap<u32, Arc<Group>>,
    next_number: &mut u32,
) -> Result<(), LogsOpenError> {
    for (key, value) in opening.scan(STREAMS, b"")? {
        let name = String::from_utf8_lossy(key.get(4..).unwrap_or_default()).into_owned();
        let record: StreamRecord = decode(&value).map_err(|reason| damaged("stream", &name, reason))?;
        *next_number = (*next_number).max(record.id + 1);
        let group = key.first_chunk().map(|id| u32::from_be_bytes(*id)).and_then(|id| groups.get(&id));
        // Without a group: a rule's event came while the group was being deleted.
        if let Some(group) = group {
            let stream = Stream::new(record.id, &name, record.created_ms, true);
            group.streams_mut().insert(Arc::new(stream));
        }
    }
    Ok(())
}

/// Removes the directories of groups that were deleted just before a crash. Their numbers are in no group's use, and
/// the keyed state is complete: it would not have opened otherwise.
fn remove_orphans(disk: &dyn Disk, dir: &Path, groups: &HashMap<u32, Arc<Group>>) -> std::io::Result<()> {
    for name in disk.list(dir)? {
        let id = name.parse::<u32>().ok().filter(|_| name.len() == 10);
        if id.is_some_and(|id| !groups.contains_key(&id)) {
            disk.remove_dir_all(&dir.join(name))?;
        }
    }
    Ok(())
}

fn damaged(kind: &'static str, key: &str, reason: String) -> LogsOpenError {
    LogsOpenError::Damaged { kind, key: key.to_owned(), reason }
}
