//! Device shadows: classic ones and named ones.

use crate::{LoadError, Page};
use iot_shadow::{DeleteRequest, Document, GetRequest, ShadowError, UpdateRequest};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{AppendError, Keyspace, Position, Store, Transaction};

/// How long the version of a deleted shadow is remembered, in seconds.
///
/// [AWS iot-device-shadows] A shadow that is made anew within 48 hours goes on counting.
pub const VERSION_KEPT_S: i64 = 48 * 60 * 60;

/// Longest name of a named shadow. [AWS iot-data] `shadowName`: `[$a-zA-Z0-9:_-]{1,64}`.
pub const SHADOW_NAME_BYTES_MAX: usize = 64;

/// Key: thing, 0, shadow name (empty for the classic one). Value: format, kind, content.
const SHADOWS: Keyspace = Keyspace("shadows");

/// The format of the records.
const FORMAT: u8 = 1;

const KIND_SHADOW: u8 = 0;
const KIND_DELETED: u8 = 1;

/// A change that is in effect and on its way to the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a change must be committed before anybody is told that it was made"]
pub struct Done<T> {
    /// What the operation gives.
    pub value: T,
    /// What must be durable before anybody is told.
    pub position: Position,
}

/// What an update made: the bodies of the answer and of the messages about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdatedShadow {
    /// The answer, and the body for `update/accepted`.
    pub accepted: String,
    /// The body for `update/delta`; `None` when everything desired is reported.
    pub delta: Option<String>,
    /// The body for `update/documents`.
    pub documents: String,
    /// The shadow's version now.
    pub version: u64,
}

/// What a delete made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedShadow {
    /// The answer, and the body for `delete/accepted`.
    pub accepted: String,
}

/// Why a shadow operation was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShadowsError {
    /// The request, or the shadow's state. Goes to the client as it is.
    #[error("{error}")]
    Refused {
        /// AWS's code and text.
        error: ShadowError,
        /// What a `rejected` message repeats.
        client_token: Option<String>,
    },
    /// The name of a named shadow is not allowed.
    #[error("shadowName must be 1 to {SHADOW_NAME_BYTES_MAX} of the characters a-z A-Z 0-9 $ : _ -")]
    InvalidName,
    /// The change could not be stored.
    #[error("the shadow could not be stored")]
    Store(#[from] AppendError),
    /// A stored shadow cannot be read.
    #[error("the stored shadow `{key}` is damaged")]
    Damaged {
        /// Which one.
        key: String,
    },
}

/// All shadows of one server. Share it by `Arc`.
///
/// One lock orders all changes: an update is a parse before it and a merge of at most 8 KB under it.
#[derive(Debug)]
pub struct Shadows {
    store: Store,
    state: Mutex<State>,
    /// The store lost appends (its disk was full): memory has more than the disk and must be loaded anew.
    lost: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct State {
    /// By key. Kept as stored: a third of the memory of parsed ones, and most shadows sleep.
    shadows: BTreeMap<Box<[u8]>, Kept>,
    /// When shadows were deleted, oldest first. One that was made anew since is still in here.
    deletions: VecDeque<(i64, Box<[u8]>)>,
    last_position: Position,
}

#[derive(Debug)]
enum Kept {
    Shadow(Box<[u8]>),
    /// Only the version is left of it.
    Deleted {
        version: u64,
        deleted_at_s: i64,
    },
}

impl Shadows {
    /// Loads all stored shadows.
    ///
    /// # Errors
    /// [`LoadError`] names the shadow that cannot be read.
    pub fn load(store: &Store) -> Result<Self, LoadError> {
        let lost = Arc::new(AtomicBool::new(false));
        let flag = lost.clone();
        store.on_commit(Box::new(move |news| {
            if news.is_err() {
                flag.store(true, Ordering::Release);
            }
        }));
        let state = State::load(store)?;
        Ok(Self { store: store.clone(), state: Mutex::new(state), lost })
    }

    /// GetThingShadow: the body of the answer, and of `get/accepted`.
    ///
    /// # Errors
    /// [`ShadowError::NotFound`], and what is wrong with the payload.
    pub fn get(
        &self,
        thing: &str,
        name: Option<&str>,
        payload: &[u8],
        now_s: i64,
    ) -> Result<String, ShadowsError> {
        let key = key(thing, name)?;
        let request = GetRequest::parse(payload).map_err(refused(payload))?;
        let document = self.lock().document(&key)?;
        let document = document.ok_or_else(|| not_found(thing, name)).map_err(refused(payload))?;
        Ok(document.get(&request, now_s))
    }

    /// UpdateThingShadow. A shadow that is not there is made; its thing need not exist.
    ///
    /// # Errors
    /// What is wrong with the payload, [`ShadowError::VersionConflict`], [`ShadowError::TooLarge`].
    pub fn update(
        &self,
        thing: &str,
        name: Option<&str>,
        payload: &[u8],
        now_s: i64,
    ) -> Result<Done<UpdatedShadow>, ShadowsError> {
        let key = key(thing, name)?;
        let request = UpdateRequest::parse(payload).map_err(refused(payload))?;
        let mut state = self.lock();
        let current = state.document(&key)?;
        let last_version = state.last_version(&key, now_s);
        let updated =
            Document::update(current.as_ref(), last_version, &request, now_s).map_err(refused(payload))?;
        let stored = updated.document.to_stored();
        let mut transaction = Transaction::new();
        transaction.put(SHADOWS, &key, record(KIND_SHADOW, &stored));
        let position = self.store.append(transaction)?;
        state.last_position = position;
        state.shadows.insert(key, Kept::Shadow(stored.into_boxed_slice()));
        let value = UpdatedShadow {
            version: updated.document.version(),
            accepted: updated.accepted,
            delta: updated.delta,
            documents: updated.documents,
        };
        Ok(Done { value, position })
    }

    /// DeleteThingShadow.
    ///
    /// # Errors
    /// [`ShadowError::NotFound`], [`ShadowError::VersionConflict`], and what is wrong with the payload.
    pub fn delete(
        &self,
        thing: &str,
        name: Option<&str>,
        payload: &[u8],
        now_s: i64,
    ) -> Result<Done<DeletedShadow>, ShadowsError> {
        let key = key(thing, name)?;
        let request = DeleteRequest::parse(payload).map_err(refused(payload))?;
        let mut state = self.lock();
        let document = state.document(&key)?;
        let document = document.ok_or_else(|| not_found(thing, name)).map_err(refused(payload))?;
        let deleted = document.delete(&request, now_s).map_err(refused(payload))?;
        let mut transaction = Transaction::new();
        let mut content = deleted.version.to_le_bytes().to_vec();
        content.extend_from_slice(&now_s.to_le_bytes());
        transaction.put(SHADOWS, &key, record(KIND_DELETED, &content));
        // A few at a time, so that no delete takes long; each adds one, so they do not grow.
        for key in state.forgotten(now_s).filter(|forgotten| **forgotten != *key) {
            transaction.delete(SHADOWS, key);
        }
        let position = self.store.append(transaction)?;
        state.last_position = position;
        state.forget(now_s);
        state.shadows.insert(key.clone(), Kept::Deleted { version: deleted.version, deleted_at_s: now_s });
        state.deletions.push_back((now_s, key));
        Ok(Done { value: DeletedShadow { accepted: deleted.accepted }, position })
    }

    /// ListNamedShadowsForThing, by name; the classic shadow has none and is not among them.
    pub fn list_named(&self, thing: &str, after: Option<&str>, limit: usize) -> Page<String> {
        let state = self.lock();
        let start = join(thing, after.unwrap_or(""));
        let prefix = join(thing, "");
        let range = state.shadows.range::<[u8], _>((Bound::Excluded(&*start), Bound::Unbounded));
        let names = range
            .take_while(|(key, _)| key.starts_with(&prefix))
            .filter(|(_, kept)| matches!(kept, Kept::Shadow(_)))
            .map(|(key, _)| String::from_utf8_lossy(&key[prefix.len()..]).into_owned());
        let mut items: Vec<String> = names.take(limit.saturating_add(1)).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().cloned() } else { None };
        Page { items, next }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.lost.swap(false, Ordering::AcqRel) && self.reload(&mut state).is_err() {
            // Tried again with the next request; until then memory is what it was.
            self.lost.store(true, Ordering::Release);
        }
        state
    }

    /// Takes back what the store lost: nobody was told of it, and versions must not count on from it.
    fn reload(&self, state: &mut State) -> Result<(), LoadError> {
        if self.store.failure().is_some() {
            return Ok(());
        }
        let settled = self.store.when_committed(state.last_position).wait();
        let settled = settled.unwrap_or_else(|_| self.store.committed());
        if self.store.wait_in_state(settled).is_err() {
            return Ok(());
        }
        *state = State { last_position: state.last_position, ..State::load(&self.store)? };
        tracing::warn!("the disk was full: shadow updates that were not acknowledged are taken back");
        Ok(())
    }
}

/// Most forgotten versions that one delete removes from the disk, so that none takes long.
const FORGOTTEN_AT_ONCE_MAX: usize = 16;

impl State {
    fn document(&self, key: &[u8]) -> Result<Option<Document>, ShadowsError> {
        match self.shadows.get(key) {
            Some(Kept::Shadow(stored)) => match Document::from_stored(stored) {
                Ok(document) => Ok(Some(document)),
                Err(_) => Err(ShadowsError::Damaged { key: shown(key) }),
            },
            Some(Kept::Deleted { .. }) | None => Ok(None),
        }
    }

    fn last_version(&self, key: &[u8], now_s: i64) -> u64 {
        match self.shadows.get(key) {
            Some(Kept::Deleted { version, deleted_at_s }) if is_kept(*deleted_at_s, now_s) => *version,
            _ => 0,
        }
    }

    fn load(store: &Store) -> Result<Self, LoadError> {
        let mut state = Self::default();
        for (key, value) in store.scan(SHADOWS, b"")? {
            let kept = read_record(&key, &value)?;
            let key = key.into_boxed_slice();
            if let Kept::Deleted { deleted_at_s, .. } = kept {
                state.deletions.push_back((deleted_at_s, key.clone()));
            }
            state.shadows.insert(key, kept);
        }
        state.deletions.make_contiguous().sort_unstable();
        Ok(state)
    }

    /// Deleted shadows whose versions need not be remembered any more: the oldest few.
    fn forgotten(&self, now_s: i64) -> impl Iterator<Item = &[u8]> {
        let due = self.deletions.iter().take_while(move |(deleted_at_s, _)| !is_kept(*deleted_at_s, now_s));
        due.take(FORGOTTEN_AT_ONCE_MAX).filter(|due| self.is_deleted_since(due)).map(|(_, key)| &**key)
    }

    /// Forgets what [`forgotten`](Self::forgotten) gives.
    fn forget(&mut self, now_s: i64) {
        for _ in 0..FORGOTTEN_AT_ONCE_MAX {
            match self.deletions.pop_front() {
                Some(due) if !is_kept(due.0, now_s) => {
                    if self.is_deleted_since(&due) {
                        self.shadows.remove(&due.1);
                    }
                }
                Some(due) => return self.deletions.push_front(due),
                None => return,
            }
        }
    }

    fn is_deleted_since(&self, (at_s, key): &(i64, Box<[u8]>)) -> bool {
        matches!(self.shadows.get(key), Some(Kept::Deleted { deleted_at_s, .. }) if deleted_at_s == at_s)
    }
}

fn is_kept(deleted_at_s: i64, now_s: i64) -> bool {
    now_s.saturating_sub(deleted_at_s) < VERSION_KEPT_S
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut record = vec![FORMAT, kind];
    record.extend_from_slice(content);
    record
}

fn read_record(key: &[u8], value: &[u8]) -> Result<Kept, LoadError> {
    let damaged = || LoadError::Damaged { key: format!("shadow `{}`", shown(key)) };
    match value {
        [FORMAT, KIND_SHADOW, content @ ..] => {
            Document::from_stored(content).map_err(|_| damaged())?;
            Ok(Kept::Shadow(content.into()))
        }
        [FORMAT, KIND_DELETED, content @ ..] => {
            let (version, rest) = content.split_first_chunk::<8>().ok_or_else(damaged)?;
            let deleted_at_s = rest.try_into().map_err(|_| damaged())?;
            Ok(Kept::Deleted {
                version: u64::from_le_bytes(*version),
                deleted_at_s: i64::from_le_bytes(deleted_at_s),
            })
        }
        [format, ..] if *format > FORMAT => {
            Err(LoadError::NewerFormat { key: format!("shadow `{}`", shown(key)), format: *format })
        }
        _ => Err(damaged()),
    }
}

fn key(thing: &str, name: Option<&str>) -> Result<Box<[u8]>, ShadowsError> {
    if let Some(name) = name {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"$:_-".contains(&byte);
        if name.is_empty() || name.len() > SHADOW_NAME_BYTES_MAX || !name.bytes().all(allowed) {
            return Err(ShadowsError::InvalidName);
        }
    }
    Ok(join(thing, name.unwrap_or("")).into_boxed_slice())
}

fn join(thing: &str, name: &str) -> Vec<u8> {
    [thing.as_bytes(), b"\0", name.as_bytes()].concat()
}

fn shown(key: &[u8]) -> String {
    String::from_utf8_lossy(key).replace('\0', "~")
}

fn not_found(thing: &str, name: Option<&str>) -> ShadowError {
    // [AWS, seen in a production script] Named shadows are told as `thing~shadow`.
    let name = name.map_or_else(|| thing.to_owned(), |name| format!("{thing}~{name}"));
    ShadowError::NotFound { name }
}

fn refused(payload: &[u8]) -> impl FnOnce(ShadowError) -> ShadowsError {
    |error| ShadowsError::Refused { error, client_token: Document::client_token_of(payload) }
}

#[cfg(test)]
mod tests;
