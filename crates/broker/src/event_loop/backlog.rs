//! What waits until the journal has room, in the order in which it came.

use super::{EventLoop, RETRY_EVERY};
use crate::clock;
use crate::connection::{Reply, Stalled};
use crate::publication::{Effects, Kept};
use crate::slots::Key;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use store::AppendError;

/// Memory of what waits for the journal and belongs to no client: wills, events, publishes of clients that are gone.
///
/// Nobody can be made to wait for them. It is room for 500 wills of 128 KiB, AWS's largest, or for the wills and events
/// of 50,000 devices that vanish together; per loop as much as the journal itself holds back.
const UNOWNED_BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Backlog {
    queue: VecDeque<Waiting>,
    unowned_bytes: usize,
    /// How many of them end a session.
    ends: usize,
    /// Before this the journal is not asked again.
    retry_at: Option<Instant>,
}

enum Waiting {
    /// The client's publish is in its connection.
    Client(Key),
    Unowned {
        unowned: Unowned,
        /// As they were counted: waiting can only make them less.
        bytes: usize,
    },
}

/// What an [`Unowned`] is of that ends a session, or may: its client could be told so before it is on disk.
pub(super) const END_OF_SESSION: &str = "the end of a session";

/// What a message leaves behind whose sender waits for nothing.
pub(super) struct Unowned {
    pub(super) effects: Effects,
    /// What left it, for the log.
    pub(super) of: &'static str,
    /// Its client id, or the topic of an event.
    pub(super) name: Arc<str>,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether the end of a session waits.
    pub(super) fn has_ends(&self) -> bool {
        self.ends > 0
    }
}

impl Unowned {
    fn log_lost(&self, reason: &dyn std::fmt::Display) {
        let Self { of, name, .. } = self;
        tracing::error!(target: "eyot::connection", of, name = &**name, %reason, "what is kept of a message was lost");
    }
}

impl EventLoop {
    /// Gives the journal what a message leaves behind that nobody waits for.
    pub(super) fn keep_unowned(&mut self, mut unowned: Unowned) {
        match self.append(&mut unowned.effects) {
            Ok(kept) => self.last_kept = self.last_kept.max(kept.position),
            Err(AppendError::Backlog { .. }) => drop(self.let_wait(unowned)),
            Err(error) => unowned.log_lost(&error),
        }
    }

    /// Takes over what a client that is gone has waited for.
    ///
    /// `false`: it is lost.
    pub(super) fn let_wait(&mut self, unowned: Unowned) -> bool {
        let bytes = unowned.effects.bytes_len();
        if self.backlog.unowned_bytes + bytes > UNOWNED_BYTES_MAX {
            unowned.log_lost(&"the journal is behind, and too much waits for it already");
            return false;
        }
        self.backlog.unowned_bytes += bytes;
        self.backlog.ends += usize::from(unowned.of == END_OF_SESSION);
        self.backlog.queue.push_back(Waiting::Unowned { unowned, bytes });
        true
    }

    /// Offers it to the journal, unless others wait already: then it waits behind them.
    pub(super) fn append(&self, effects: &mut Effects) -> Result<Kept, AppendError> {
        if self.backlog.is_empty() || effects.is_empty() {
            effects.append(&self.shared)
        } else {
            Err(effects.wait(&self.shared))
        }
    }

    /// Reads no more of a client until the journal takes what it did.
    pub(super) fn stall(&mut self, key: Key, effects: Effects, reply: Reply) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.stalled = Some(Stalled { effects, reply });
        connection.has_unread = true;
        self.backlog.queue.push_back(Waiting::Client(key));
        self.me().counters.backlog_stalls.increment();
    }

    /// Offers the journal again what it had no room for, and goes on reading where it took it.
    ///
    /// Ends with the first that still finds no room: the others wait behind it, and an attempt builds a whole record.
    pub(super) fn retry_stalled(&mut self) {
        if self.backlog.is_empty() || self.backlog.retry_at.is_some_and(|at| self.now < at) {
            return;
        }
        self.backlog.retry_at = Some(self.now + RETRY_EVERY);
        while let Some(waiting) = self.backlog.queue.pop_front() {
            let still_waits = match waiting {
                Waiting::Client(key) => self.retry_client(key),
                Waiting::Unowned { unowned, bytes } => self.retry_unowned(unowned, bytes),
            };
            if let Some(waiting) = still_waits {
                return self.backlog.queue.push_front(waiting);
            }
            self.close_marked();
        }
    }

    fn retry_client(&mut self, key: Key) -> Option<Waiting> {
        let connection = self.connections.get_mut(key)?;
        let Stalled { mut effects, reply } = connection.stalled.take()?;
        let kept = effects.append(&self.shared);
        if matches!(kept, Err(AppendError::Backlog { .. })) {
            connection.stalled = Some(Stalled { effects, reply });
            return Some(Waiting::Client(key));
        }
        // The silence was ours.
        connection.session.excuse_silence(self.now);
        self.kept(key, kept, reply);
        self.feed(key);
        self.resume(key);
        None
    }

    fn retry_unowned(&mut self, mut unowned: Unowned, bytes: usize) -> Option<Waiting> {
        let is_end = unowned.of == END_OF_SESSION;
        match unowned.effects.append(&self.shared) {
            Err(AppendError::Backlog { .. }) => return Some(Waiting::Unowned { unowned, bytes }),
            Err(error) => unowned.log_lost(&error),
            Ok(kept) if is_end => self.last_end = self.last_end.max(kept.position),
            Ok(_) => {}
        }
        self.backlog.ends -= usize::from(is_end);
        self.backlog.unowned_bytes -= bytes;
        None
    }

    /// When everybody is gone: waits until the journal has taken what they left, or until the deadline.
    pub(super) fn finish_backlog(&mut self, deadline: Instant) {
        while !self.backlog.is_empty() && self.now < deadline {
            std::thread::sleep(RETRY_EVERY);
            self.now = clock::now();
            self.retry_stalled();
        }
        for waiting in self.backlog.queue.drain(..) {
            if let Waiting::Unowned { unowned, .. } = waiting {
                unowned.log_lost(&"the server ends, and the journal is behind");
            }
        }
    }
}
