//! Retained messages: the last one of each topic that asked to be kept.
//!
//! They are in memory and durable. A change belongs to the publish that makes it: it goes into that publish's
//! transaction and is in effect when the journal has taken it, in the journal's order. Where the journal has no room it
//! waits, see `waiting`.

mod plan;
mod record;
mod waiting;

use crate::{LoadError, Page};
use bytes::Bytes;
use plan::{Changed, Planned};
use record::{key_of, read_record, write_record};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use store::{AppendError, Keyspace, Position, Store, Transaction};
use waiting::{Place, Waiting};

pub use waiting::RetainedChanges;

/// Key: the topic. Value: see `record`.
const RETAINED: Keyspace = Keyspace("retained");

/// Expired messages that one change removes, so that none takes long. Each change adds at most one, so they do not
/// pile up.
const EXPIRED_AT_ONCE_MAX: usize = 16;

/// The longest topic that can have a message: its key is the topic.
const TOPIC_BYTES_MAX: usize = store::limits::KEY_BYTES_MAX;

/// What the fixed parts of a kept message take in memory, about.
const OVERHEAD_BYTES: usize = 256;

/// How much may be retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetainedLimits {
    /// Topics with a retained message. AWS: 500,000 per account. [AWS General Reference]
    pub messages_max: usize,
    /// Memory that all of them take. Ours: without it, the messages that AWS's number allows would be 64 GB.
    pub bytes_max: usize,
}

impl Default for RetainedLimits {
    fn default() -> Self {
        Self { messages_max: 500_000, bytes_max: 1024 * 1024 * 1024 }
    }
}

/// A message that is kept for those who subscribe later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetainedMessage {
    /// Where it was published.
    pub topic: Box<str>,
    /// What it says; never empty.
    pub payload: Bytes,
    /// 0 to 2.
    pub qos: u8,
    /// MQTT 5 properties to hand on, as the wire has them; empty from MQTT 3.1.1.
    pub properties: Box<[u8]>,
    /// When it came, in milliseconds since 1970.
    pub modified_at_ms: i64,
    /// When it is gone; `None`: never.
    pub expires_at_ms: Option<i64>,
}

impl RetainedMessage {
    fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_at_ms.is_some_and(|expires_at_ms| expires_at_ms <= now_ms)
    }

    fn bytes_len(&self) -> usize {
        OVERHEAD_BYTES + self.topic.len() + self.payload.len() + self.properties.len()
    }
}

/// What a publish with RETAIN 1 does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetainedChange {
    /// The topic's message from now on.
    Keep(Arc<RetainedMessage>),
    /// The topic has none any more: an empty payload. [MQTT311 3.3.1-10]
    Remove(Box<str>),
}

impl RetainedChange {
    /// The topic that it is about.
    pub fn topic(&self) -> &str {
        match self {
            Self::Keep(message) => &message.topic,
            Self::Remove(topic) => topic,
        }
    }

    /// The message that the topic then has.
    fn message(&self) -> Option<&Arc<RetainedMessage>> {
        match self {
            Self::Keep(message) => Some(message),
            Self::Remove(_) => None,
        }
    }

    fn bytes_len(&self) -> usize {
        match self {
            Self::Keep(message) => message.bytes_len(),
            Self::Remove(topic) => OVERHEAD_BYTES + topic.len(),
        }
    }
}

/// A message that was not kept, because a limit is reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the message to `{topic}` is not retained: {limit}")]
pub struct NotRetained {
    /// Its topic. What was retained there before still is.
    pub topic: Box<str>,
    /// Which limit.
    pub limit: RetainedLimit,
}

/// The limit that a message met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RetainedLimit {
    /// [`RetainedLimits::messages_max`].
    #[error("{0} topics have a retained message already")]
    Messages(usize),
    /// [`RetainedLimits::bytes_max`].
    #[error("all retained messages together may take {0} bytes")]
    Bytes(usize),
    /// The longest topic that can be stored, in bytes. AWS's own limit for topics, 256, is below it.
    #[error("a topic of more than {0} bytes cannot have a retained message")]
    Topic(usize),
}

/// All retained messages of one server. Share it by `Arc`.
#[derive(Debug)]
pub struct Retained {
    store: Store,
    limits: RetainedLimits,
    /// Shared with changes that wait: whoever drops them takes them out.
    state: Arc<RwLock<State>>,
    /// The store lost appends (its disk was full): memory has more than the disk and must be loaded anew.
    lost: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct State {
    messages: BTreeMap<Box<str>, Arc<RetainedMessage>>,
    /// Those that expire, by when.
    expiries: BTreeSet<(i64, Box<str>)>,
    bytes: usize,
    last_position: Position,
    waiting: Waiting,
}

impl Retained {
    /// Loads what is stored.
    ///
    /// # Errors
    /// [`LoadError`] names the topic whose message cannot be read.
    pub fn load(store: &Store, limits: RetainedLimits) -> Result<Self, LoadError> {
        let lost = Arc::new(AtomicBool::new(false));
        let flag = lost.clone();
        store.on_commit(Box::new(move |news| {
            if news.is_err() {
                flag.store(true, Ordering::Release);
            }
        }));
        let state = Arc::new(RwLock::new(State::load(store)?));
        Ok(Self { store: store.clone(), limits, state, lost })
    }

    /// The message of exactly this topic.
    pub fn get(&self, topic: &str, now_ms: i64) -> Option<Arc<RetainedMessage>> {
        self.mend();
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let current = match state.waiting.newest(topic) {
            Some(change) => change.message(),
            None => state.messages.get(topic),
        };
        current.filter(|message| !message.is_expired(now_ms)).cloned()
    }

    /// Messages in the order of their topics, those behind `after`.
    pub fn list(&self, after: Option<&str>, limit: usize, now_ms: i64) -> Page<Arc<RetainedMessage>> {
        self.mend();
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let present = state.range(start).filter(|message| !message.is_expired(now_ms));
        let mut items: Vec<_> = present.take(limit.saturating_add(1)).cloned().collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(|message| message.topic.to_string()) } else { None };
        Page { items, next }
    }

    /// Some messages of topics that begin with `prefix` and that `wanted` says yes to, in the order of their topics.
    ///
    /// Looks at `topics_max` topics behind `after` at most, so that no call takes long; [`Page::next`] is where to go on.
    pub fn matching(
        &self,
        prefix: &str,
        after: Option<&str>,
        topics_max: usize,
        now_ms: i64,
        wanted: impl Fn(&str) -> bool,
    ) -> Page<Arc<RetainedMessage>> {
        self.mend();
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let start = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let mut below = state.range(start).take_while(|message| message.topic.starts_with(prefix));
        let (mut items, mut last) = (Vec::new(), None);
        for message in below.by_ref().take(topics_max) {
            last = Some(&message.topic);
            if !message.is_expired(now_ms) && wanted(&message.topic) {
                items.push(Arc::clone(message));
            }
        }
        let more = below.next().is_some();
        Page { items, next: last.filter(|_| more).map(ToString::to_string) }
    }

    /// How many the journal has.
    pub fn len(&self) -> usize {
        self.state.read().unwrap_or_else(PoisonError::into_inner).messages.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a publish's transaction together with what it changes here. What is not kept because a limit is reached
    /// is then among [`RetainedChanges::refused`]: the rest of the transaction is kept.
    ///
    /// After [`AppendError::Backlog`] readers see the changes, for as long as they are held to be tried again. One whose
    /// topic was changed later by somebody who got room first is left out then.
    ///
    /// # Errors
    /// As [`Store::append_from`]; then the transaction is what it was.
    pub fn append(
        &self,
        transaction: &mut Transaction,
        changes: &mut RetainedChanges,
        now_ms: i64,
    ) -> Result<Position, AppendError> {
        self.mend();
        // Held over the append, so that memory changes in the journal's order.
        let mut state = self.write();
        state.leave_out_overtaken(changes);
        let before = transaction.mark();
        let mut refused = Vec::new();
        let mut planned = Planned::of(&state, &changes.changes);
        planned.expire(now_ms, EXPIRED_AT_ONCE_MAX);
        for change in &changes.changes {
            match change {
                // It has none.
                RetainedChange::Remove(topic) if topic.len() > TOPIC_BYTES_MAX => {}
                RetainedChange::Remove(topic) => {
                    planned.remove(topic);
                    transaction.delete(RETAINED, key_of(topic));
                }
                RetainedChange::Keep(message) => match planned.keep(message, &self.limits, now_ms) {
                    Ok(()) => {
                        transaction.put(RETAINED, key_of(&message.topic), write_record(message));
                    }
                    Err(limit) => refused.push(NotRetained { topic: message.topic.clone(), limit }),
                },
            }
        }
        for topic in &planned.expired {
            transaction.delete(RETAINED, key_of(topic));
        }
        let Planned { changed, .. } = planned;
        let position = match self.store.append_from(transaction) {
            Ok(position) => position,
            Err(error) => {
                transaction.rewind(before);
                if matches!(error, AppendError::Backlog { .. }) {
                    self.enter(&mut state, changes);
                }
                return Err(error);
            }
        };
        state.settle(changes, &changed);
        state.apply(changed);
        changes.refused = refused;
        // A transaction that turned out empty has no position of its own.
        state.last_position = state.last_position.max(position);
        // What overtook a change is not behind the last position: then that change needs no place of its own.
        Ok(if changes.is_overtaken { state.last_position } else { position })
    }

    /// Lets readers see changes that will be [`append`](Self::append)ed when others who wait for the journal had their
    /// turn.
    pub fn hold(&self, changes: &mut RetainedChanges) {
        self.enter(&mut self.write(), changes);
    }

    fn enter(&self, state: &mut State, changes: &mut RetainedChanges) {
        if changes.place.is_none() && !changes.is_empty() {
            let ticket = state.waiting.enter(&changes.changes);
            changes.place = Some(Place { ticket, state: Arc::clone(&self.state) });
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes back what the store lost, if it did.
    fn mend(&self) {
        if !self.lost.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.write();
        if self.lost.swap(false, Ordering::AcqRel) && self.reload(&mut state).is_err() {
            // Tried again with the next request; until then memory is what it was.
            self.lost.store(true, Ordering::Release);
        }
    }

    fn reload(&self, state: &mut State) -> Result<(), LoadError> {
        if self.store.failure().is_some() {
            return Ok(());
        }
        let settled = self.store.when_committed(state.last_position).wait();
        let settled = settled.unwrap_or_else(|_| self.store.committed());
        if self.store.wait_in_state(settled).is_err() {
            return Ok(());
        }
        let loaded = State::load(&self.store)?;
        let waiting = std::mem::take(&mut state.waiting);
        *state = State { last_position: state.last_position, waiting, ..loaded };
        tracing::warn!("the disk was full: retained messages that were not acknowledged are taken back");
        Ok(())
    }
}

impl State {
    fn load(store: &Store) -> Result<Self, LoadError> {
        let mut state = Self::default();
        for (key, value) in store.scan(RETAINED, b"")? {
            state.put(Arc::new(read_record(&key, &value)?));
        }
        Ok(state)
    }

    /// Messages in the order of their topics, with what waits for the journal in its place.
    fn range(&self, start: Bound<&str>) -> impl Iterator<Item = &Arc<RetainedMessage>> {
        let mut kept = self.messages.range::<str, _>((start, Bound::Unbounded)).peekable();
        let mut waiting = self.waiting.range(start).peekable();
        std::iter::from_fn(move || {
            loop {
                let Some((waits, change)) = waiting.peek().copied() else {
                    return kept.next().map(|(_, message)| message);
                };
                if let Some((_, message)) = kept.next_if(|(topic, _)| ***topic < *waits) {
                    return Some(message);
                }
                kept.next_if(|(topic, _)| ***topic == *waits);
                waiting.next();
                if let Some(message) = change.message() {
                    return Some(message);
                }
            }
        })
    }

    fn leave_out_overtaken(&self, changes: &mut RetainedChanges) {
        let Some(Place { ticket, .. }) = &changes.place else { return };
        let before = changes.changes.len();
        changes.changes.retain(|change| self.waiting.holds(change.topic(), *ticket));
        changes.is_overtaken |= changes.changes.len() < before;
    }

    /// The journal has taken these changes, as far as `changed` has their topics.
    fn settle(&mut self, changes: &mut RetainedChanges, changed: &Changed) {
        let ticket = changes.place.take().map(|place| place.ticket);
        if let Some(ticket) = ticket {
            self.waiting.leave(ticket, &changes.changes);
        }
        for change in &changes.changes {
            if changed.contains_key(change.topic()) {
                self.waiting.settle(change.topic(), ticket);
            }
        }
    }

    fn apply(&mut self, changed: Changed) {
        for (topic, message) in changed {
            match message {
                Some(message) => self.put(message),
                None => self.take(&topic),
            }
        }
    }

    fn put(&mut self, message: Arc<RetainedMessage>) {
        self.take(&message.topic);
        self.bytes += message.bytes_len();
        if let Some(expires_at_ms) = message.expires_at_ms {
            self.expiries.insert((expires_at_ms, message.topic.clone()));
        }
        self.messages.insert(message.topic.clone(), message);
    }

    fn take(&mut self, topic: &str) {
        let Some(message) = self.messages.remove(topic) else { return };
        self.bytes -= message.bytes_len();
        if let Some(expires_at_ms) = message.expires_at_ms {
            self.expiries.remove(&(expires_at_ms, message.topic.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
