//! What the store has of sessions, at the start.

use super::directory::Directory;
use super::inbox::Inbox;
use super::offer::{Entry, Kept};
use super::record::{
    EXCHANGES, FILTERS, GROUPS, MESSAGES, QUEUED, SESSIONS, SessionRecord, Step, exchange_key, key_under,
    read_exchange, read_exchange_key, read_group, read_message, read_number, read_options, read_queued,
    split_key,
};
use super::{SETTLED_BYTES_MAX, Sessions};
use crate::clock;
use crate::message::{Due, Message};
use mqtt_session::{Exchanges, Limits};
use mqtt_wire::{ProtocolVersion, QoS, SubscriptionOptions, TopicFilter};
use services::LoadError;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};
use store::{Keyspace, Store, Transaction};

/// How long a session lasts at least after a start, in seconds, if it has not been meant to be shorter.
///
/// A machine that has lost its clock may believe that all sessions ended years ago. AWS lets expired ones last up to 30
/// minutes longer, too [AWS mqtt-persistent-sessions].
const GRACE_S: u32 = 30 * 60;

/// A session whose client is away.
#[derive(Debug)]
pub(crate) struct Absent {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) version: ProtocolVersion,
    /// As it was when the client left.
    pub(crate) expiry_s: u32,
    pub(crate) subscriptions: BTreeMap<Box<str>, SubscriptionOptions>,
    /// What is not finished for QoS 2.
    pub(crate) exchanges: Exchanges,
    /// When it ends, unless the client comes back.
    pub(crate) ends_at: Instant,
}

/// What was loaded.
pub(crate) struct Loaded {
    pub(crate) sessions: Sessions,
    /// The sessions of each loop.
    pub(crate) absent: Vec<Vec<Absent>>,
}

/// What is in the store and belongs to nobody.
#[derive(Default)]
struct Garbage {
    full: Vec<Transaction>,
    last: Transaction,
}

impl Garbage {
    fn delete(&mut self, keyspace: Keyspace, key: impl AsRef<[u8]>) {
        self.last.delete(keyspace, key);
        if self.last.bytes_len() > SETTLED_BYTES_MAX {
            self.full.push(std::mem::take(&mut self.last));
        }
    }

    fn remove(self, store: &Store) {
        for transaction in self.full.into_iter().chain([self.last]) {
            // One after the other: together they could be more than the journal holds back.
            if let Err(error) = store.commit(transaction).wait() {
                // Found again at the next start.
                return tracing::warn!(%error, "what is left of ended sessions could not be removed");
            }
        }
    }
}

/// A message of the store, and what of it was found.
struct Found {
    message: Arc<Message>,
    kept: Arc<Kept>,
    is_wanted: bool,
}

impl Loaded {
    /// Reads everything, and has the store forget what belongs to nobody.
    ///
    /// # Errors
    /// [`LoadError`] names the record that cannot be read.
    pub(crate) fn load(
        store: &Store,
        limits: &Arc<Limits>,
        loops: usize,
        place_of: impl Fn(&str) -> usize,
        now_ms: i64,
    ) -> Result<Self, LoadError> {
        let now = clock::now();
        let mut garbage = Garbage::default();
        let mut by_id = HashMap::new();
        let mut highest = 0;
        for (key, value) in store.scan(SESSIONS, b"")? {
            let client_id = text(&key, "session")?;
            let record = SessionRecord::read(client_id, &value)?;
            highest = highest.max(record.id);
            let inbox = Inbox::new(record.id, client_id.into(), place_of(client_id));
            if record.expiry_s == 0 {
                // It was to end with its connection, which the last run did not live to see.
                garbage.delete(SESSIONS, client_id);
                continue;
            }
            let absent = Absent {
                inbox,
                version: record.version,
                expiry_s: record.expiry_s,
                subscriptions: BTreeMap::new(),
                exchanges: Exchanges::default(),
                ends_at: now + time_left(&record, now_ms),
            };
            by_id.insert(record.id, absent);
        }
        let sessions = Sessions {
            limits: Arc::clone(limits),
            directory: RwLock::new(Directory::new(limits.match_rules)),
            concerned: AtomicUsize::new(0),
            next_number: AtomicU64::new(0),
            held_bytes: AtomicUsize::new(0),
            kept: AtomicUsize::new(by_id.len()),
            kept_filter_bytes: AtomicUsize::new(0),
            memberships: AtomicUsize::new(0),
            has_lost: AtomicBool::new(false),
            told_at_ms: AtomicI64::new(0),
        };
        let mut queues = HashMap::<_, Vec<u64>>::new();
        for (key, value) in store.scan(GROUPS, b"")? {
            let queue = read_number(&key).ok_or_else(|| damaged("group"))?;
            highest = highest.max(queue);
            queues.entry(read_group(queue, &value)?.to_owned()).or_default().push(queue);
        }
        let mut groups = HashMap::new();
        for (key, value) in store.scan(FILTERS, b"")? {
            let (id, filter) = split_key(&key).ok_or_else(|| damaged("subscription"))?;
            let filter = text(filter, "subscription")?;
            let parsed = TopicFilter::parse(filter).map_err(|_| damaged(filter))?;
            let options = read_options(filter, &value)?;
            // The limits may be narrower than when it was granted.
            let options = SubscriptionOptions { qos: options.qos.min(limits.qos_max), ..options };
            highest = highest.max(id);
            let Some(absent) = by_id.get_mut(&id) else {
                garbage.delete(FILTERS, &key);
                continue;
            };
            match parsed.shared() {
                Ok(None) => sessions.subscribe(filter, &absent.inbox, options),
                Ok(Some(shared)) => {
                    let mut directory = sessions.write();
                    let group = directory.group(filter, &shared.filter);
                    sessions.count(&directory);
                    if group.join(&absent.inbox, options, false, true) {
                        sessions.joined(filter, true);
                    }
                    for queue in queues.remove(filter).into_iter().flatten() {
                        // More than one if the end of an earlier one was lost: what waits there is the group's as well.
                        group.set_queue(queue);
                        groups.insert(queue, Arc::clone(&group));
                    }
                }
                Err(_) => return Err(damaged(filter)),
            }
            absent.subscriptions.insert(filter.into(), options);
        }
        for queue in queues.into_values().flatten() {
            // Its members' sessions are gone.
            garbage.delete(GROUPS, queue.to_be_bytes());
        }
        let mut messages = HashMap::new();
        for (key, value) in store.scan(MESSAGES, b"")? {
            let number = read_number(&key).ok_or_else(|| damaged("queued message"))?;
            let message = read_message(number, &value, now, now_ms)?;
            highest = highest.max(number);
            messages.insert(number, Found { message, kept: Kept::new(number, 0), is_wanted: false });
        }
        let mut sent = HashMap::new();
        for (key, value) in store.scan(EXCHANGES, b"")? {
            let (id, step, packet_id) =
                read_exchange_key(&key).ok_or_else(|| damaged("exchange for QoS 2"))?;
            let number = read_exchange(&value)?;
            highest = highest.max(id);
            if limits.qos_max < QoS::ExactlyOnce {
                garbage.delete(EXCHANGES, &key);
                continue;
            }
            match (by_id.get_mut(&id), step, number) {
                (Some(absent), Step::Taken, _) => drop(absent.exchanges.inbound.insert(packet_id, 0)),
                (Some(absent), Step::Released, _) => absent.exchanges.outbound.push(packet_id),
                (Some(_), Step::Sent, Some(number)) => drop(sent.insert((id, number), packet_id)),
                _ => {
                    garbage.delete(EXCHANGES, &key);
                }
            }
        }
        for (key, value) in store.scan(QUEUED, b"")? {
            let (queue, number) = split_key(&key)
                .and_then(|(queue, number)| Some((queue, read_number(number)?)))
                .ok_or_else(|| damaged("queue entry"))?;
            highest = highest.max(number);
            let (qos, retain) = read_queued(number, &value)?;
            let qos = qos.min(limits.qos_max);
            let found = messages.get_mut(&number);
            let Some(Found { message, kept, is_wanted }) =
                found.filter(|_| by_id.contains_key(&queue) || groups.contains_key(&queue))
            else {
                garbage.delete(QUEUED, key_under(queue, &number.to_be_bytes()));
                continue;
            };
            *is_wanted = true;
            kept.one_more();
            let entry = Some(Entry::new(queue, Arc::clone(kept)));
            if let Some(absent) = by_id.get(&queue) {
                let sent_as = sent.remove(&(queue, number));
                let due = Due { entry, sent_as, ..Due::new(Arc::clone(message), qos, retain) };
                absent.inbox.restore(due, &sessions);
            } else if let Some(group) = groups.get(&queue) {
                group.restore(Due::of_group(message, group, entry), &sessions);
            }
        }
        for ((id, _), packet_id) in sent {
            garbage.delete(EXCHANGES, exchange_key(id, Step::Sent, packet_id));
        }
        for (number, _) in messages.iter().filter(|(_, found)| !found.is_wanted) {
            garbage.delete(MESSAGES, number.to_be_bytes());
        }
        sessions.next_number.store(highest + 1, Ordering::Relaxed);
        garbage.remove(store);
        let mut absent: Vec<Vec<Absent>> = (0..loops).map(|_| Vec::new()).collect();
        for one in by_id.into_values() {
            absent[one.inbox.place].push(one);
        }
        Ok(Self { sessions, absent })
    }
}

/// Wall time survives a restart, and may be wrong after one: nothing lasts longer than it was meant to, and nothing is
/// gone at once.
fn time_left(record: &SessionRecord, now_ms: i64) -> Duration {
    let whole = Duration::from_secs(record.expiry_s.into());
    // Who was connected when the server ended has left just now.
    let away_ms = record.left_at_ms.map_or(0, |left_at_ms| now_ms.saturating_sub(left_at_ms).max(0));
    let left = whole.saturating_sub(Duration::from_millis(away_ms.unsigned_abs()));
    left.max(whole.min(Duration::from_secs(GRACE_S.into())))
}

fn text<'k>(key: &'k [u8], what: &str) -> Result<&'k str, LoadError> {
    std::str::from_utf8(key).map_err(|_| damaged(what))
}

fn damaged(what: &str) -> LoadError {
    LoadError::Damaged { key: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lasts_as_long_as_it_was_meant_to_and_never_ends_at_once() {
        let hour_s = 3_600;
        let left = |expiry_s, left_at_ms, now_ms| {
            let record = SessionRecord { version: ProtocolVersion::V5, id: 1, expiry_s, left_at_ms };
            time_left(&record, now_ms).as_secs()
        };
        assert_eq!(left(hour_s, None, 5_000), 3_600, "it was connected");
        assert_eq!(left(hour_s, Some(0), 600_000), 3_000);
        assert_eq!(left(hour_s, Some(0), i64::MAX), 1_800, "the clock may have jumped");
        assert_eq!(left(60, Some(0), i64::MAX), 60);
        assert_eq!(left(hour_s, Some(9_000), 0), 3_600, "the clock was put back");
    }
}
