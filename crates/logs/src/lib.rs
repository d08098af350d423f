//! Log groups and streams: segments, append, scan, retention.
//!
//! Groups, streams, tags and retention are kept in the store's keyed state; events are kept in segments, one
//! directory per group (`logs/<number>/`, see the `segment` module for the bytes). Events come two ways:
//!
//! * A **rule's** event is an entry of the journal ([`Logs::rule_event`]): durable with the publish that caused it,
//!   written to the segment by the store's applier thread ([`Consumer::apply`](store::Consumer::apply)), once per
//!   journal position, and synced at the next checkpoint.
//! * **PutLogEvents** ([`Logs::put_events`]) appends to the segment directly, with a group commit of its own.
//!
//! Readers ([`Logs::events`], [`Logs::filter`]) copy a stretch of the index under a lock and read files outside of
//! it: they never make a writer wait for the disk. Segments that cannot be read are set aside and reported by
//! [`Logs::damages`]; the rest is served.

mod append;
mod catalog;
mod cursor;
mod error;
mod group;
mod ingest;
pub mod limits;
mod model;
mod names;
mod open;
mod pattern;
mod query;
mod seal;
mod segment;
mod token;
mod worker;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use store::disk::Disk;
use store::{Consumer as _, ConsumerId, Store};

use group::Group;
use worker::Workers;

pub use error::{Damage, LogsError, LogsOpenError};
pub use model::*;
pub use names::check_group_name;
pub use worker::PutEvents;

/// The log store's number in the journal.
pub const CONSUMER: ConsumerId = ConsumerId(1);

/// How the log store is opened.
#[derive(Debug, Clone)]
pub struct LogsOptions {
    /// See [`limits::SEGMENT_BYTES_MAX`], the default.
    pub segment_bytes_max: u64,
}

impl Default for LogsOptions {
    fn default() -> Self {
        Self { segment_bytes_max: limits::SEGMENT_BYTES_MAX }
    }
}

/// The log store.
#[derive(Debug)]
pub struct Logs {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    store: OnceLock<Store>,
    groups: RwLock<Groups>,
    /// Held by operations that change groups or streams while they wait for the disk, so that their order is the
    /// journal's. Events never take it.
    operations: Mutex<()>,
    options: LogsOptions,
    /// The next number of a group or stream.
    next_number: AtomicU32,
    workers: Arc<Workers>,
    /// Groups with events from the journal that wait for a flush.
    unflushed: Mutex<Vec<Arc<Group>>>,
    damages: Mutex<Vec<Damage>>,
}

/// All groups.
#[derive(Debug, Default)]
struct Groups {
    by_name: BTreeMap<String, Arc<Group>>,
    by_id: HashMap<u32, Arc<Group>>,
}

impl Groups {
    fn insert(&mut self, group: Arc<Group>) {
        self.by_id.insert(group.id, group.clone());
        self.by_name.insert(group.name.clone(), group);
    }
}

impl Logs {
    /// What could not be read and was set aside, since the start and by earlier ones.
    pub fn damages(&self) -> Vec<Damage> {
        self.damages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Removes segments whose events have all expired. Cheap when there are none: call it every hour or so.
    pub fn enforce_retention(&self, now_ms: i64) {
        let groups: Vec<Arc<Group>> = self.all_groups().by_name.values().cloned().collect();
        for group in groups {
            if let Err(error) = seal::remove_unseen(&*self.disk, &group, now_ms) {
                tracing::warn!(group = group.name, %error, "expired log segments were not removed");
            }
        }
    }

    /// Writes what waits and stops the threads. Close the store first: it may still bring events.
    pub fn close(&self) {
        if !self.workers.stop() {
            return; // It was closed before.
        }
        let synced = self.sync().and_then(|()| open::leave_clean_mark(&*self.disk, &self.dir));
        if let Err(error) = synced {
            tracing::warn!(%error, "the next start writes the newest log segments anew");
        }
    }

    fn all_groups(&self) -> RwLockReadGuard<'_, Groups> {
        self.groups.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_groups_mut(&self) -> RwLockWriteGuard<'_, Groups> {
        self.groups.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn named_group(&self, name: &str) -> Result<Arc<Group>, LogsError> {
        self.all_groups().by_name.get(name).cloned().ok_or(LogsError::NoSuchGroup)
    }

    fn store(&self) -> Result<&Store, LogsError> {
        self.store.get().ok_or_else(|| LogsError::Unavailable("the log store has not started yet".to_owned()))
    }

    /// Remembers and reports damage, once per place.
    fn report(&self, damage: Damage) {
        let mut damages = self.damages.lock().unwrap_or_else(PoisonError::into_inner);
        if !damages.contains(&damage) {
            tracing::error!(%damage, "log events cannot be read; the rest is served");
            damages.push(damage);
        }
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.workers.stop();
    }
}
