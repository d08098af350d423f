//! Messages that wait for one client, whichever thread brings them.

use super::Sessions;
use super::queue::Queue;
use crate::message::Due;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The messages for one client that its connection has not taken yet.
///
/// Any thread puts messages in; the client's loop alone takes them out, while the client is connected. Clients with a
/// persistent session have one, and those that share a subscription.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// Names its messages on disk.
    pub(crate) id: u64,
    pub(crate) client_id: Arc<str>,
    /// The loop that the client belongs to.
    pub(crate) place: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue,
    /// What found no room lately.
    dropped: Option<Dropped>,
    /// Its session has ended: nobody takes anything out any more.
    is_closed: bool,
    /// The client is connected: its loop is told of what comes.
    is_online: bool,
    /// Its loop has been told, and has not looked yet.
    is_woken: bool,
}

/// Whether the client's loop must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    Wake,
    Silent,
    /// The client is not connected: it waits.
    Away,
}

/// Messages that found no room, until the client's loop asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dropped {
    pub(crate) count: u64,
    pub(crate) first: Instant,
    pub(crate) last: Instant,
}

impl Inbox {
    pub(crate) fn new(id: u64, client_id: Arc<str>, place: usize) -> Arc<Self> {
        Arc::new(Self { id, client_id, place, state: Mutex::default() })
    }

    /// Puts a message behind the others; gives it back when a limit is reached. `may_wait`: whether it may, if the client
    /// is not here.
    pub(super) fn put(
        &self,
        due: Due,
        sessions: &Sessions,
        may_wait: impl FnOnce() -> bool,
    ) -> Result<Put, Due> {
        let mut state = self.lock();
        if state.is_closed || !state.queue.takes(&due, sessions) || !state.is_online && !may_wait() {
            return Err(due);
        }
        state.queue.push(due, sessions);
        Ok(state.wake())
    }

    /// Puts messages that the client did not acknowledge before all others.
    pub(crate) fn put_back(&self, dues: impl DoubleEndedIterator<Item = Due>, sessions: &Sessions) {
        let mut state = self.lock();
        dues.rev().for_each(|due| state.queue.push_front(due, sessions));
    }

    /// Puts in what the store has, whatever the limits are now.
    pub(super) fn restore(&self, due: Due, sessions: &Sessions) {
        self.lock().queue.push(due, sessions);
    }

    /// Whether nothing waits; then its loop is told of the next message.
    pub(crate) fn is_idle(&self) -> bool {
        let mut state = self.lock();
        let is_idle = state.queue.is_empty();
        state.is_woken &= !is_idle;
        is_idle
    }

    /// The next message.
    pub(crate) fn take(&self, sessions: &Sessions) -> Option<Due> {
        let mut state = self.lock();
        let due = state.queue.pop(sessions);
        state.is_woken &= due.is_some();
        due
    }

    /// Takes out what an earlier connection has sent and has to be sent again in the same way.
    pub(crate) fn take_sent(&self, sessions: &Sessions) -> Vec<Due> {
        self.lock().queue.take_where(sessions, |due| due.sent_as.is_some())
    }

    /// Takes out what nobody needs any more, to make room.
    pub(crate) fn take_expired(&self, now: Instant, sessions: &Sessions) -> Vec<Due> {
        self.lock().queue.take_expired(now, sessions)
    }

    /// A message found no room.
    pub(super) fn note_dropped(&self, now: Instant) {
        let mut state = self.lock();
        let dropped = state.dropped.get_or_insert(Dropped { count: 0, first: now, last: now });
        (dropped.count, dropped.last) = (dropped.count + 1, now);
    }

    /// What found no room since this was asked last.
    pub(crate) fn take_dropped(&self) -> Option<Dropped> {
        self.lock().dropped.take()
    }

    /// There is something for the client elsewhere.
    pub(super) fn wake(&self) -> Put {
        self.lock().wake()
    }

    /// Its session has ended: takes no more.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
    }

    /// The client has come or gone.
    pub(crate) fn set_online(&self, is_online: bool) {
        let mut state = self.lock();
        (state.is_online, state.is_woken) = (is_online, false);
    }

    /// Messages that wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().queue.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) -> Put {
        match self.is_online {
            false => Put::Away,
            true if std::mem::replace(&mut self.is_woken, true) => Put::Silent,
            true => Put::Wake,
        }
    }
}
