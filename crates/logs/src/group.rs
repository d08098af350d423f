//! Groups and streams in memory, and how they are stored in the keyed state.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Deserialize, Serialize};
use store::Keyspace;

use crate::append::Appender;
use crate::segment::{Segment, StreamStatistics};
use crate::{GroupClass, GroupDescription};

/// Groups by name.
pub(crate) const GROUPS: Keyspace = Keyspace("log-groups");
/// Streams by group number (big endian) and name.
pub(crate) const STREAMS: Keyspace = Keyspace("log-streams");
/// The next number of a group or stream, under [`NEXT_NUMBER`]. Written when something is deleted, so that numbers
/// are never used again; otherwise the highest number in use tells.
pub(crate) const NUMBERS: Keyspace = Keyspace("log-numbers");
pub(crate) const NEXT_NUMBER: &[u8] = b"next";

/// Version of the stored forms of groups and streams.
const FORMAT: u32 = 1;

/// A group as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct GroupRecord {
    v: u32,
    pub(crate) id: u32,
    pub(crate) created_ms: i64,
    #[serde(flatten)]
    pub(crate) settings: GroupSettings,
}

/// What can change about a group.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct GroupSettings {
    pub(crate) class: GroupClass,
    pub(crate) retention_days: Option<u32>,
    pub(crate) tags: BTreeMap<String, String>,
}

/// A stream as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StreamRecord {
    v: u32,
    pub(crate) id: u32,
    pub(crate) created_ms: i64,
}

/// Reads a stored form and refuses those of newer versions.
pub(crate) fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<T, String> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    match serde_json::from_slice::<Version>(bytes) {
        Ok(Version { v: FORMAT }) => serde_json::from_slice(bytes).map_err(|error| error.to_string()),
        Ok(Version { v }) => Err(format!("written by a newer version (format {v})")),
        Err(error) => Err(error.to_string()),
    }
}

fn encode(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("records have string keys only")
}

/// A log group.
#[derive(Debug)]
pub(crate) struct Group {
    /// Names the group in the journal, the segments and the directory; never used again.
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) created_ms: i64,
    pub(crate) dir: PathBuf,
    pub(crate) deleted: AtomicBool,
    settings: RwLock<GroupSettings>,
    streams: RwLock<Streams>,
    /// Held while writing to the disk: readers never take it.
    appender: Mutex<Appender>,
    /// Oldest first. Locked for moments only.
    segments: RwLock<Vec<Segment>>,
}

/// The streams of a group.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    pub(crate) by_name: BTreeMap<String, Arc<Stream>>,
    pub(crate) by_id: HashMap<u32, Arc<Stream>>,
}

/// A log stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) created_ms: i64,
    /// Whether the stream is known to be durable. Until then only rule events know it: each brings it along.
    durable: AtomicBool,
}

impl Stream {
    pub(crate) fn new(id: u32, name: &str, created_ms: i64, durable: bool) -> Self {
        Self { id, name: name.to_owned(), created_ms, durable: AtomicBool::new(durable) }
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn set_durable(&self) {
        self.durable.store(true, Ordering::Release);
    }

    pub(crate) fn record(&self) -> Vec<u8> {
        encode(&StreamRecord { v: FORMAT, id: self.id, created_ms: self.created_ms })
    }
}

impl Streams {
    pub(crate) fn insert(&mut self, stream: Arc<Stream>) {
        self.by_id.insert(stream.id, stream.clone());
        self.by_name.insert(stream.name.clone(), stream);
    }
}

impl Group {
    pub(crate) fn new(
        name: &str,
        record: GroupRecord,
        dir: PathBuf,
        appender: Appender,
        segments: Vec<Segment>,
    ) -> Self {
        Self {
            id: record.id,
            name: name.to_owned(),
            created_ms: record.created_ms,
            dir,
            deleted: AtomicBool::new(false),
            settings: RwLock::new(record.settings),
            streams: RwLock::default(),
            appender: Mutex::new(appender),
            segments: RwLock::new(segments),
        }
    }

    /// The stored form with these settings.
    pub(crate) fn record(&self, settings: &GroupSettings) -> Vec<u8> {
        encode(&GroupRecord::new(self.id, self.created_ms, settings.clone()))
    }

    pub(crate) fn settings(&self) -> RwLockReadGuard<'_, GroupSettings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn settings_mut(&self) -> RwLockWriteGuard<'_, GroupSettings> {
        self.settings.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn streams(&self) -> RwLockReadGuard<'_, Streams> {
        self.streams.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn streams_mut(&self) -> RwLockWriteGuard<'_, Streams> {
        self.streams.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn appender(&self) -> MutexGuard<'_, Appender> {
        self.appender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn segments(&self) -> RwLockReadGuard<'_, Vec<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn segments_mut(&self) -> RwLockWriteGuard<'_, Vec<Segment>> {
        self.segments.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A durable stream.
    pub(crate) fn stream(&self, name: &str) -> Option<Arc<Stream>> {
        self.streams().by_name.get(name).filter(|stream| stream.is_durable()).cloned()
    }

    /// Events before this time have expired.
    pub(crate) fn expired_before_ms(&self, now_ms: i64) -> i64 {
        let days = self.settings().retention_days;
        days.map_or(0, |days| now_ms.saturating_sub(i64::from(days) * 86_400_000)).max(0)
    }

    /// What all segments together know about each stream.
    pub(crate) fn totals(&self) -> HashMap<u32, StreamStatistics> {
        let mut totals: HashMap<u32, StreamStatistics> = HashMap::new();
        for segment in self.segments().iter() {
            segment.with_statistics(|statistics| {
                for (stream, one) in &statistics.streams {
                    totals.entry(*stream).and_modify(|all| all.merge(one)).or_insert(*one);
                }
            });
        }
        totals
    }

    pub(crate) fn describe(&self) -> GroupDescription {
        let totals = self.totals();
        let streams = self.streams();
        let stored_bytes = totals
            .iter()
            .filter(|(id, _)| streams.by_id.contains_key(id))
            .fold(0_u64, |sum, (_, stream)| sum.saturating_add(stream.bytes));
        let settings = self.settings();
        GroupDescription {
            name: self.name.clone(),
            created_ms: self.created_ms,
            retention_days: settings.retention_days,
            class: settings.class,
            stored_bytes,
        }
    }
}

impl GroupRecord {
    pub(crate) fn new(id: u32, created_ms: i64, settings: GroupSettings) -> Self {
        Self { v: FORMAT, id, created_ms, settings }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

/// The key of a stream.
pub(crate) fn stream_key(group: u32, name: &str) -> Vec<u8> {
    let mut key = group.to_be_bytes().to_vec();
    key.extend_from_slice(name.as_bytes());
    key
}
