//! Sessions that outlive their connections, groups that share a subscription, and the messages that wait for them.
//!
//! What is published with QoS 1 for a persistent session is part of the publish's own journal record: the message once
//! (`queued_messages`), and an entry for each session or group that it is for (`queued`). So the publisher's PUBACK says
//! that it is kept, and a message for nobody's persistent session costs one look at a counter. The receiver's PUBACK
//! removes the entry, and the last one the message, without anybody waiting for that: a crash in between sends it again.
//!
//! - `directory`: who is concerned by a topic, for every thread that publishes.
//! - `inbox`: messages for one client, on their way to its loop. `group`: members that take turns. `queue`: both's order.
//! - `offer`: from a publish to entries, inboxes and groups.
//! - `record`, `load`: as the store has it. The sessions themselves belong to their loops: `event_loop/sessions.rs`.

mod directory;
mod group;
mod inbox;
mod load;
mod offer;
mod queue;
mod record;

use crate::message::Due;
use directory::Directory;
pub(crate) use directory::Recipient;
pub(crate) use group::Group;
pub(crate) use inbox::{Dropped, Inbox};
pub(crate) use load::{Absent, Loaded};
use mqtt_session::Limits;
use mqtt_wire::{PacketId, ProtocolVersion, QoS, SubscriptionOptions, TopicFilter};
pub(crate) use offer::{Concerned, Entry, HandedOut, Offer, Waiting, Whom};
use record::{
    EXCHANGES, FILTERS, GROUPS, SESSIONS, SessionRecord, Step, exchange_key, key_under, write_exchange,
    write_group, write_options,
};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use store::Transaction;

/// Memory that all messages take that wait in inboxes and groups.
///
/// They are on disk, too; memory is what makes a resumed session as fast as a new one. Above it further messages for
/// clients that are away are dropped, and counted. Each that waits for several is counted several times.
const HELD_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Sessions that are kept, of clients that are here and of those that are away.
///
/// As many as AWS allows connections per account; each takes about a kilobyte beside its filters and messages. More than
/// these can only be somebody who makes up client identifiers.
const KEPT_MAX: usize = 500_000;

/// Memory of the filters of kept sessions: room for KEPT_MAX sessions with ten filters of 50 bytes each.
const KEPT_FILTER_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// What a kept filter takes beside its text, about: it stands in its session and in the directory.
const FILTER_OVERHEAD_BYTES: usize = 150;

/// Longest client identifier and filter that can be kept: each is part of a key of the store.
pub(crate) const KEY_BYTES_MAX: usize = store::limits::KEY_BYTES_MAX - 8;

/// What is removed from the store is one record when it has so many bytes: more would be no record that it takes.
pub(crate) const SETTLED_BYTES_MAX: usize = 1024 * 1024;

/// Between two lines of the log about full queues.
const TOLD_EVERY_MS: i64 = 10_000;

/// What of sessions all threads share.
#[derive(Debug)]
pub(crate) struct Sessions {
    limits: Arc<Limits>,
    directory: RwLock<Directory>,
    /// As many as the directory has, to be looked at without its lock.
    concerned: AtomicUsize,
    /// The next number for a session, a group or a message.
    next_number: AtomicU64,
    held_bytes: AtomicUsize,
    kept: AtomicUsize,
    kept_filter_bytes: AtomicUsize,
    memberships: AtomicUsize,
    /// The store lost appends (its disk was full): it may have what memory has not any more.
    has_lost: AtomicBool,
    /// When the log was last told of a full queue, in milliseconds since 1970.
    told_at_ms: AtomicI64,
}

impl Sessions {
    /// Whether no new session can be kept.
    pub(crate) fn is_full(&self) -> bool {
        self.kept.load(Ordering::Relaxed) >= KEPT_MAX
    }

    /// Shared subscriptions, also those of clients that are away.
    pub(crate) fn memberships(&self) -> usize {
        self.memberships.load(Ordering::Relaxed)
    }

    fn joined(&self, shared: &str, is_persistent: bool) {
        self.memberships.fetch_add(1, Ordering::Relaxed);
        if is_persistent {
            self.kept_filter_bytes.fetch_add(filter_bytes(shared), Ordering::Relaxed);
        }
    }

    /// A session is kept from now on.
    pub(crate) fn begun(&self) {
        self.kept.fetch_add(1, Ordering::Relaxed);
    }

    /// A session is kept no longer.
    pub(crate) fn ended(&self) {
        self.kept.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether a kept session can have another filter.
    pub(crate) fn takes_filter(&self, filter: &str) -> bool {
        let bytes = self.kept_filter_bytes.load(Ordering::Relaxed).saturating_add(filter_bytes(filter));
        filter.len() <= KEY_BYTES_MAX && bytes <= KEPT_FILTER_BYTES_MAX
    }

    /// The store has lost appends.
    pub(crate) fn lost(&self) {
        self.has_lost.store(true, Ordering::Relaxed);
    }

    /// Whether the store may have sessions that memory has not.
    pub(crate) fn has_lost(&self) -> bool {
        self.has_lost.load(Ordering::Relaxed)
    }

    /// Whether the log is to be told of a full queue, or has been just now.
    pub(crate) fn may_tell(&self, now_ms: i64) -> bool {
        let told_at_ms = self.told_at_ms.load(Ordering::Relaxed);
        let is_time = now_ms.saturating_sub(told_at_ms).abs() >= TOLD_EVERY_MS;
        is_time
            && self
                .told_at_ms
                .compare_exchange(told_at_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// A number that nothing in the store has.
    pub(crate) fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether one more message fits into a queue.
    pub(crate) fn has_room(&self, messages: usize, queued_bytes: usize, bytes: usize) -> bool {
        // An empty queue takes one message of any size: else a small bound would make large ones undeliverable.
        let fits = messages == 0
            || messages < self.limits.queued_messages_max
                && queued_bytes.saturating_add(bytes) <= self.limits.queued_bytes_max;
        fits && self.held_bytes.load(Ordering::Relaxed).saturating_add(bytes) <= HELD_BYTES_MAX
    }

    pub(crate) fn held(&self, bytes: usize) {
        self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn released(&self, bytes: usize) {
        self.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// From now on a persistent session gets what is published with QoS 1 to this filter.
    pub(crate) fn subscribe(&self, filter: &str, inbox: &Arc<Inbox>, options: SubscriptionOptions) {
        let mut directory = self.write();
        if !directory.subscribe(filter, inbox, options) {
            self.kept_filter_bytes.fetch_add(filter_bytes(filter), Ordering::Relaxed);
        }
        self.count(&directory);
    }

    pub(crate) fn unsubscribe(&self, filter: &str, inbox: &Arc<Inbox>) {
        let mut directory = self.write();
        if directory.unsubscribe(filter, inbox) {
            self.kept_filter_bytes.fetch_sub(filter_bytes(filter), Ordering::Relaxed);
        }
        self.count(&directory);
    }

    /// Takes a client into the group of a shared filter, and has the store remember the group if it has to.
    pub(crate) fn join(
        &self,
        (shared, filter): (&str, TopicFilter<'_>),
        inbox: &Arc<Inbox>,
        options: SubscriptionOptions,
        is_persistent: bool,
        transaction: &mut Transaction,
    ) -> Arc<Group> {
        let mut directory = self.write();
        let group = directory.group(shared, &filter);
        self.count(&directory);
        if group.join(inbox, options, true, is_persistent) {
            self.joined(shared, is_persistent);
        }
        if is_persistent {
            // Also when it has one: what made it may have been lost on a full disk.
            let queue = group.queue().unwrap_or_else(|| self.next_number());
            group.set_queue(queue);
            transaction.put(GROUPS, queue.to_be_bytes(), write_group(shared));
        }
        group
    }

    /// Lets a client leave the group of a shared filter for good. Gives what waited for nobody else.
    pub(crate) fn leave(
        &self,
        (shared, filter): (&str, TopicFilter<'_>),
        inbox: &Arc<Inbox>,
        transaction: &mut Transaction,
    ) -> Vec<Due> {
        let mut directory = self.write();
        let Some(group) = directory.find_group(shared).cloned() else { return Vec::new() };
        let left = group.leave(inbox, self);
        if left.was_member {
            self.memberships.fetch_sub(1, Ordering::Relaxed);
        }
        if left.was_persistent {
            self.kept_filter_bytes.fetch_sub(filter_bytes(shared), Ordering::Relaxed);
        }
        if left.is_empty {
            directory.remove_group(&group, &filter);
            self.count(&directory);
        }
        drop(directory);
        if let Some(queue) = left.queue {
            transaction.delete(GROUPS, queue.to_be_bytes());
        }
        left.dropped
    }

    /// Who gets messages of a topic with QoS 1 or 2, and the groups that share it: for whoever asks.
    pub(crate) fn audience(&self, topic: &str) -> (Vec<Recipient>, Vec<Arc<Group>>) {
        self.read().find(topic, None)
    }

    /// The group of a shared filter.
    pub(crate) fn group(&self, shared: &str) -> Option<Arc<Group>> {
        self.read().find_group(shared).cloned()
    }

    fn count(&self, directory: &Directory) {
        // Before the SUBACK leaves: who publishes behind it must see it.
        self.concerned.store(directory.len(), Ordering::Release);
    }

    fn read(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Directory> {
        self.directory.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn filter_bytes(filter: &str) -> usize {
    filter.len() + FILTER_OVERHEAD_BYTES
}

/// Has the store keep a session, or what has changed about it.
pub(crate) fn keep_session(
    transaction: &mut Transaction,
    inbox: &Inbox,
    version: ProtocolVersion,
    expiry_s: u32,
    left_at_ms: Option<i64>,
) {
    let record = SessionRecord { version, id: inbox.id, expiry_s, left_at_ms };
    transaction.put(SESSIONS, &*inbox.client_id, record.write());
}

/// Has the store forget a session; its filters and messages are forgotten one by one.
pub(crate) fn forget_session(transaction: &mut Transaction, client_id: &str) {
    transaction.delete(SESSIONS, client_id);
}

pub(crate) fn keep_filter(
    transaction: &mut Transaction,
    inbox: &Inbox,
    filter: &str,
    options: SubscriptionOptions,
) {
    transaction.put(FILTERS, key_under(inbox.id, filter.as_bytes()), write_options(options));
}

pub(crate) fn forget_filter(transaction: &mut Transaction, inbox: &Inbox, filter: &str) {
    transaction.delete(FILTERS, key_under(inbox.id, filter.as_bytes()));
}

/// Has the store remember that a message of the client with QoS 2 was taken over.
pub(crate) fn keep_taken(transaction: &mut Transaction, inbox: &Inbox, packet_id: PacketId) {
    transaction.put(EXCHANGES, exchange_key(inbox.id, Step::Taken, packet_id), write_exchange(None));
}

pub(crate) fn forget_taken(transaction: &mut Transaction, inbox: &Inbox, packet_id: PacketId) {
    transaction.delete(EXCHANGES, exchange_key(inbox.id, Step::Taken, packet_id));
}

/// Has the store remember that the client has taken over a message with QoS 2.
pub(crate) fn keep_released(transaction: &mut Transaction, inbox: &Inbox, packet_id: PacketId) {
    transaction.put(EXCHANGES, exchange_key(inbox.id, Step::Released, packet_id), write_exchange(None));
}

pub(crate) fn forget_released(transaction: &mut Transaction, inbox: &Inbox, packet_id: PacketId) {
    transaction.delete(EXCHANGES, exchange_key(inbox.id, Step::Released, packet_id));
}

impl Due {
    /// Has the store remember what it is about to be sent with, if that must be the same the next time; gives whether.
    ///
    /// With QoS 2 the receiver knows a message by its packet identifier [MQTT311 4.3.3-2]: sent with another one it would
    /// come twice, and another message with this one not at all.
    pub(crate) fn keep_sent(&mut self, packet_id: PacketId, transaction: &mut Transaction) -> bool {
        let Some(entry) = self.entry.as_ref().filter(|_| self.qos == QoS::ExactlyOnce) else { return false };
        if self.sent_as.replace(packet_id) == Some(packet_id) {
            return false;
        }
        let key = exchange_key(entry.queue(), Step::Sent, packet_id);
        transaction.put(EXCHANGES, key, write_exchange(Some(entry.number())));
        true
    }

    /// Nobody waits for it any more: has the store forget that somebody did.
    pub(crate) fn settle(self, transaction: &mut Transaction) {
        let Some(entry) = self.entry else { return };
        if let Some(packet_id) = self.sent_as
            && self.qos == QoS::ExactlyOnce
        {
            transaction.delete(EXCHANGES, exchange_key(entry.queue(), Step::Sent, packet_id));
        }
        entry.settle(transaction);
    }
}
