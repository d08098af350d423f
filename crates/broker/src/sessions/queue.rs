//! Messages in the order in which they wait, within the bounds of one queue and of all together.

use super::Sessions;
use crate::message::Due;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How often a full queue is looked through for messages that have expired: it means to look at all of them.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What waits for one client or one group.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Due>,
    bytes: usize,
    /// When it was last looked for expired messages.
    looked_at: Option<Instant>,
}

impl Queue {
    /// Whether one more fits in.
    pub(super) fn takes(&self, due: &Due, sessions: &Sessions) -> bool {
        sessions.has_room(self.waiting.len(), self.bytes, due.message.bytes_len())
    }

    /// Puts a message behind the others, whatever the bounds.
    pub(super) fn push(&mut self, due: Due, sessions: &Sessions) {
        self.add(&due, sessions);
        self.waiting.push_back(due);
    }

    /// Puts a message before the others, whatever the bounds.
    pub(super) fn push_front(&mut self, due: Due, sessions: &Sessions) {
        self.add(&due, sessions);
        self.waiting.push_front(due);
    }

    pub(super) fn pop(&mut self, sessions: &Sessions) -> Option<Due> {
        let due = self.waiting.pop_front()?;
        self.bytes -= due.message.bytes_len();
        sessions.released(due.message.bytes_len());
        Some(due)
    }

    pub(super) fn first_number(&self) -> Option<u64> {
        self.waiting.front().map(|due| due.number)
    }

    pub(super) fn last_number(&self) -> Option<u64> {
        self.waiting.back().map(|due| due.number)
    }

    /// The first one whose number is higher, where they are in order.
    pub(super) fn next_behind(&self, number: u64) -> Option<&Due> {
        self.waiting.get(self.waiting.partition_point(|due| due.number <= number))
    }

    /// The one of this number, where they are in order.
    pub(super) fn numbered_mut(&mut self, number: u64) -> Option<&mut Due> {
        let at = self.waiting.binary_search_by_key(&number, |due| due.number).ok()?;
        self.waiting.get_mut(at)
    }

    /// Takes out the one of this number, where they are in order.
    pub(super) fn take_number(&mut self, number: u64, sessions: &Sessions) -> Option<Due> {
        let at = self.waiting.binary_search_by_key(&number, |due| due.number).ok()?;
        let due = self.waiting.remove(at)?;
        self.bytes -= due.message.bytes_len();
        sessions.released(due.message.bytes_len());
        Some(due)
    }

    /// Takes out what nobody needs any more, to make room. Looks once a second.
    pub(super) fn take_expired(&mut self, now: Instant, sessions: &Sessions) -> Vec<Due> {
        if self.looked_at.is_some_and(|at| now.saturating_duration_since(at) < LOOK_EVERY) {
            return Vec::new();
        }
        self.looked_at = Some(now);
        self.take_where(sessions, |due| due.message.is_expired(now))
    }

    /// Takes out those that the predicate picks.
    pub(super) fn take_where(&mut self, sessions: &Sessions, is_it: impl FnMut(&Due) -> bool) -> Vec<Due> {
        let (taken, waiting): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(is_it);
        self.waiting = waiting;
        let bytes = taken.iter().map(|due| due.message.bytes_len()).sum();
        self.bytes -= bytes;
        sessions.released(bytes);
        taken.into()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn add(&mut self, due: &Due, sessions: &Sessions) {
        let bytes = due.message.bytes_len();
        sessions.held(bytes);
        self.bytes += bytes;
    }
}
