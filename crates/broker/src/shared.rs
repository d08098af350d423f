//! What all threads of the broker share.

use crate::Parts;
use crate::account::Account;
use crate::counters::ThreadCounters;
use crate::mailbox::Mailbox;
use crate::message::Message;
use mqtt_session::Limits;
use registry::Registry;
use rules::Rules;
use services::Retained;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;
use store::Store;

/// The parts of the server, and the way to every loop.
pub(crate) struct Shared {
    pub(crate) registry: Arc<Registry>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) retained: Arc<Retained>,
    pub(crate) store: Store,
    pub(crate) limits: Arc<Limits>,
    pub(crate) account: Account,
    pub(crate) peers: Vec<Peer>,
    /// Mailboxes that are more than half full.
    congested: Arc<AtomicUsize>,
    stop_accepting: AtomicBool,
    hasher: RandomState,
}

/// One event loop, from outside.
pub(crate) struct Peer {
    pub(crate) mailbox: Mailbox,
    pub(crate) counters: ThreadCounters,
    /// Filters that its clients subscribe to. At 0 nobody sends it messages.
    pub(crate) subscriptions: AtomicUsize,
}

impl Peer {
    pub(crate) fn new(mailbox: Mailbox) -> Self {
        Self { mailbox, counters: ThreadCounters::default(), subscriptions: AtomicUsize::new(0) }
    }

    /// Sends messages for this loop's subscribers, if it has any.
    pub(crate) fn post(&self, messages: &[Arc<Message>]) {
        if self.subscriptions.load(Ordering::Acquire) == 0 {
            return;
        }
        let dropped = self.mailbox.post_messages(messages.to_vec());
        if dropped > 0 {
            tracing::error!(
                dropped,
                "an event loop is too far behind: messages for its subscribers were dropped"
            );
            self.counters.dropped_congested.add(dropped as u64);
        }
    }
}

impl Shared {
    pub(crate) fn new(parts: Parts, limits: Limits, peers: Vec<Peer>, congested: Arc<AtomicUsize>) -> Self {
        let Parts { registry, rules, retained, store, identities: _ } = parts;
        let limits = Arc::new(limits);
        Self {
            registry,
            rules,
            retained,
            store,
            account: Account::new(Arc::clone(&limits), Instant::now()),
            limits,
            peers,
            congested,
            stop_accepting: AtomicBool::new(false),
            hasher: RandomState::new(),
        }
    }

    /// The loop that a client belongs to: a client id always meets its own earlier connection there.
    pub(crate) fn owner(&self, client_id: &str) -> &Peer {
        let hash = self.hasher.hash_one(client_id);
        &self.peers[(hash % self.peers.len() as u64) as usize]
    }

    /// Whether some loop is so far behind that the others should stop reading for a moment.
    pub(crate) fn is_congested(&self) -> bool {
        self.congested.load(Ordering::Relaxed) > 0
    }

    /// Subscriptions of all clients, as far as the loops have told by now.
    pub(crate) fn subscriptions(&self) -> usize {
        self.peers.iter().map(|peer| peer.subscriptions.load(Ordering::Acquire)).sum()
    }

    /// Sends messages to every loop that has subscribers.
    pub(crate) fn post_to_all(&self, messages: &[Arc<Message>]) {
        if !messages.is_empty() {
            self.peers.iter().for_each(|peer| peer.post(messages));
        }
    }

    pub(crate) fn stop_accepting(&self) {
        self.stop_accepting.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop_accepting.load(Ordering::SeqCst)
    }
}
