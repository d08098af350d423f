//! What all threads of the broker share.

use crate::counters::ThreadCounters;
use crate::mailbox::Mailbox;
use crate::message::Message;
use crate::reception::Reception;
use crate::visitor::WebDoor;
use crate::{BrokerConfig, Parts};
use iot_policy::{NamedPolicy, PolicyDocument, PolicySet};
use mqtt_session::Limits;
use registry::Registry;
use rules::Rules;
use services::Retained;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use store::Store;

const ALLOW_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

/// The parts of the server, and the way to every loop.
pub(crate) struct Shared {
    pub(crate) registry: Arc<Registry>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) retained: Arc<Retained>,
    pub(crate) store: Store,
    pub(crate) limits: Arc<Limits>,
    /// What whoever signs with SigV4 may do: IAM's policies are not modelled.
    pub(crate) full_access: Arc<PolicySet>,
    /// What clients of the plain port may do.
    pub(crate) insecure: Arc<PolicySet>,
    pub(crate) reception: Arc<Reception>,
    /// Who takes connections that speak HTTP.
    pub(crate) web: WebDoor,
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
    pub(crate) fn new(
        parts: Parts,
        config: &BrokerConfig,
        reception: Arc<Reception>,
        peers: Vec<Peer>,
        congested: Arc<AtomicUsize>,
    ) -> Self {
        let Parts { registry, rules, retained, store, identities: _ } = parts;
        let arn_prefix: Arc<str> = registry.identity().arn_prefix().into();
        let allow_all = || Arc::new(PolicyDocument::parse(ALLOW_ALL).expect("a policy of ours"));
        let policies = |name: &str, document| {
            let policy = NamedPolicy { name: name.into(), document };
            Arc::new(PolicySet::new(Arc::clone(&arn_prefix), vec![policy]))
        };
        let insecure = config.insecure_policy.clone().unwrap_or_else(allow_all);
        Self {
            full_access: policies("of whoever signs with SigV4", allow_all()),
            insecure: policies("of the insecure port", insecure),
            reception,
            web: WebDoor::default(),
            registry,
            rules,
            retained,
            store,
            limits: Arc::new(config.limits.clone()),
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
