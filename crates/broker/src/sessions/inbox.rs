//! Messages that wait for one client, whichever thread brings them.

use super::Sessions;
use crate::message::Due;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a full inbox is looked through for messages that have expired.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

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
    waiting: VecDeque<Due>,
    bytes: usize,
    /// When it was last looked for expired messages.
    looked_at: Option<Instant>,
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
}

impl Inbox {
    pub(crate) fn new(id: u64, client_id: Arc<str>, place: usize) -> Arc<Self> {
        Arc::new(Self { id, client_id, place, state: Mutex::default() })
    }

    /// Puts a message behind the others; gives it back when a limit is reached.
    pub(crate) fn put(&self, due: Due, sessions: &Sessions) -> Result<Put, Due> {
        let mut state = self.lock();
        let bytes = due.message.bytes_len();
        if state.is_closed || !sessions.has_room(state.waiting.len(), state.bytes, bytes) {
            return Err(due);
        }
        sessions.held(bytes);
        state.bytes += bytes;
        state.waiting.push_back(due);
        Ok(state.wake())
    }

    /// Puts messages that the client did not acknowledge before all others.
    pub(crate) fn put_back(&self, dues: impl DoubleEndedIterator<Item = Due>, sessions: &Sessions) {
        let mut state = self.lock();
        for due in dues.rev() {
            let bytes = due.message.bytes_len();
            sessions.held(bytes);
            state.bytes += bytes;
            state.waiting.push_front(due);
        }
    }

    /// Puts in what the store has, whatever the limits are now.
    pub(super) fn restore(&self, due: Due, sessions: &Sessions) {
        let mut state = self.lock();
        let bytes = due.message.bytes_len();
        sessions.held(bytes);
        state.bytes += bytes;
        state.waiting.push_back(due);
    }

    /// Whether nothing waits; then its loop is told of the next message.
    pub(crate) fn is_idle(&self) -> bool {
        let mut state = self.lock();
        let is_idle = state.waiting.is_empty();
        state.is_woken &= !is_idle;
        is_idle
    }

    /// The next message.
    pub(crate) fn take(&self, sessions: &Sessions) -> Option<Due> {
        let mut state = self.lock();
        let Some(due) = state.waiting.pop_front() else {
            state.is_woken = false;
            return None;
        };
        let bytes = due.message.bytes_len();
        state.bytes -= bytes;
        sessions.released(bytes);
        Some(due)
    }

    /// Takes out what an earlier connection has sent and has to be sent again in the same way.
    pub(crate) fn take_sent(&self, sessions: &Sessions) -> Vec<Due> {
        let mut state = self.lock();
        let (sent, waiting): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut state.waiting).into_iter().partition(|due| due.sent_as.is_some());
        let bytes = sent.iter().map(|due| due.message.bytes_len()).sum();
        state.waiting = waiting;
        state.bytes -= bytes;
        sessions.released(bytes);
        sent.into()
    }

    /// Takes out what nobody needs any more, to make room. Looks once a second: it means to look at all of them.
    pub(crate) fn take_expired(&self, now: Instant, sessions: &Sessions) -> Vec<Due> {
        let mut state = self.lock();
        if state.looked_at.is_some_and(|at| now.saturating_duration_since(at) < LOOK_EVERY) {
            return Vec::new();
        }
        state.looked_at = Some(now);
        let (expired, waiting): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut state.waiting).into_iter().partition(|due| due.message.is_expired(now));
        let bytes = expired.iter().map(|due| due.message.bytes_len()).sum();
        state.waiting = waiting;
        state.bytes -= bytes;
        sessions.released(bytes);
        expired.into()
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
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) -> Put {
        if self.is_online && !std::mem::replace(&mut self.is_woken, true) { Put::Wake } else { Put::Silent }
    }
}
