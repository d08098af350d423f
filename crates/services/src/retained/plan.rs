//! What a transaction will change, decided before the journal is asked.

use super::{RetainedChange, RetainedLimit, RetainedLimits, RetainedMessage, State, TOPIC_BYTES_MAX};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Expired messages that a change removes to find room for itself: more than a message of 128 KiB, AWS's largest, can
/// need however small they are, and still a few milliseconds.
const EXPIRED_FOR_ROOM_MAX: usize = 1_024;

/// The messages that topics have after a transaction.
pub(super) type Changed = BTreeMap<Box<str>, Option<Arc<RetainedMessage>>>;

/// What the state will be when the journal has taken a transaction.
pub(super) struct Planned<'s> {
    state: &'s State,
    /// Topics that the transaction is about, refused or not.
    touched: BTreeSet<Box<str>>,
    pub(super) changed: Changed,
    /// Topics whose message's time is over; they are in `changed`, too.
    pub(super) expired: Vec<Box<str>>,
    /// As many expired messages as may be were removed.
    room_was_made: bool,
    len: usize,
    bytes: usize,
}

impl<'s> Planned<'s> {
    pub(super) fn of(state: &'s State, changes: &[RetainedChange]) -> Self {
        let touched = changes.iter().map(|change| change.topic().into()).collect();
        let (changed, expired) = (Changed::new(), Vec::new());
        let (len, bytes) = (state.messages.len(), state.bytes);
        Self { state, touched, changed, expired, room_was_made: false, len, bytes }
    }

    fn current(&self, topic: &str) -> Option<&Arc<RetainedMessage>> {
        self.changed.get(topic).map_or_else(|| self.state.messages.get(topic), Option::as_ref)
    }

    pub(super) fn keep(
        &mut self,
        message: &Arc<RetainedMessage>,
        limits: &RetainedLimits,
        now_ms: i64,
    ) -> Result<(), RetainedLimit> {
        if message.topic.len() > TOPIC_BYTES_MAX {
            return Err(RetainedLimit::Topic(TOPIC_BYTES_MAX));
        }
        let refused = match self.take_place(message, limits) {
            Err(limit) if !self.room_was_made => limit,
            decided => return decided,
        };
        self.room_was_made = true;
        let before = self.expired.len();
        self.expire(now_ms, EXPIRED_FOR_ROOM_MAX);
        if self.expired.len() == before { Err(refused) } else { self.take_place(message, limits) }
    }

    fn take_place(
        &mut self,
        message: &Arc<RetainedMessage>,
        limits: &RetainedLimits,
    ) -> Result<(), RetainedLimit> {
        let (len, bytes) = match self.current(&message.topic) {
            Some(current) => (self.len, self.bytes - current.bytes_len() + message.bytes_len()),
            None => (self.len + 1, self.bytes + message.bytes_len()),
        };
        if len > limits.messages_max {
            return Err(RetainedLimit::Messages(limits.messages_max));
        }
        // What does not make it worse is taken also above the limit, which may have been lowered.
        if bytes > limits.bytes_max && bytes > self.bytes {
            return Err(RetainedLimit::Bytes(limits.bytes_max));
        }
        (self.len, self.bytes) = (len, bytes);
        self.changed.insert(message.topic.clone(), Some(Arc::clone(message)));
        Ok(())
    }

    pub(super) fn remove(&mut self, topic: &str) {
        if let Some(current) = self.current(topic) {
            self.bytes -= current.bytes_len();
            self.len -= 1;
        }
        self.changed.insert(topic.into(), None);
    }

    /// Removes some messages whose time is over and which this transaction does not touch.
    pub(super) fn expire(&mut self, now_ms: i64, at_most: usize) {
        let due = self.state.expiries.iter().take_while(|(expires_at_ms, _)| *expires_at_ms <= now_ms);
        let due = due.filter(|(_, topic)| !self.touched.contains(topic) && !self.changed.contains_key(topic));
        let due: Vec<_> = due.take(at_most).map(|(_, topic)| topic.clone()).collect();
        due.iter().for_each(|topic| self.remove(topic));
        self.expired.extend(due);
    }
}
