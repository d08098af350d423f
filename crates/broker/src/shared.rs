//! What all threads of the broker share.

use crate::account::Account;
use crate::clock::{self, now_ms};
use crate::config::StartError;
use crate::counters::ThreadCounters;
use crate::history::{Cause, Refusals};
use crate::iot_log;
use crate::mailbox::{Mail, Mailbox};
use crate::message::Message;
use crate::reception::{Reception, TurnedAway};
use crate::sessions::{Absent, Concerned, HandedOut, Loaded, Offer, SETTLED_BYTES_MAX, Sessions};
use crate::tallies::ThreadTallies;
use crate::visitor::WebDoor;
use crate::{BrokerConfig, Parts};
use iot_policy::{NamedPolicy, PolicyDocument, PolicySet};
use mqtt_session::Limits;
use mqtt_wire::QoS;
use registry::Registry;
use rules::Rules;
use services::{IotLog, LogLevel, Retained};
use std::hash::BuildHasher as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;
use store::{Store, Transaction};

const ALLOW_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

/// The parts of the server, and the way to every loop.
pub(crate) struct Shared {
    pub(crate) registry: Arc<Registry>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) retained: Arc<Retained>,
    pub(crate) sessions: Sessions,
    pub(crate) store: Store,
    pub(crate) iot_log: Arc<IotLog>,
    pub(crate) limits: Arc<Limits>,
    /// What whoever signs with SigV4 may do: IAM's policies are not modelled.
    pub(crate) full_access: Arc<PolicySet>,
    /// What clients of the plain port may do.
    pub(crate) insecure: Arc<PolicySet>,
    pub(crate) reception: Arc<Reception>,
    /// Who takes connections that speak HTTP.
    pub(crate) web: WebDoor,
    pub(crate) account: Account,
    pub(crate) peers: Vec<Peer>,
    /// What is counted of who does not become a client: by the accepting thread, and by who upgrades to WebSocket.
    pub(crate) acceptor_tallies: ThreadTallies,
    /// Who did not get in.
    pub(crate) refusals: Refusals,
    /// Mailboxes that are more than half full.
    congested: Arc<AtomicUsize>,
    stop_accepting: AtomicBool,
    hasher: Placing,
}

/// What decides which loop a client belongs to: nobody must be able to choose names that all come to one.
#[cfg(not(test))]
type Placing = std::hash::RandomState;
/// The same in every run, for the simulation.
#[cfg(test)]
type Placing = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

/// One event loop, from outside.
pub(crate) struct Peer {
    pub(crate) mailbox: Mailbox,
    pub(crate) counters: ThreadCounters,
    pub(crate) tallies: ThreadTallies,
    /// Filters that its clients subscribe to. At 0 nobody sends it messages.
    pub(crate) subscriptions: AtomicUsize,
}

impl Peer {
    pub(crate) fn new(mailbox: Mailbox) -> Self {
        Self {
            mailbox,
            counters: ThreadCounters::default(),
            tallies: ThreadTallies::default(),
            subscriptions: AtomicUsize::new(0),
        }
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
    /// Also gives the sessions of each loop whose clients are away.
    ///
    /// # Errors
    /// [`StartError::Load`] when they cannot be read.
    pub(crate) fn new(
        parts: Parts,
        config: &BrokerConfig,
        reception: Arc<Reception>,
        peers: Vec<Peer>,
        congested: Arc<AtomicUsize>,
    ) -> Result<(Self, Vec<Vec<Absent>>), StartError> {
        let Parts { registry, rules, retained, store, iot_log, identities: _ } = parts;
        let (limits, hasher) = (Arc::new(config.limits.clone()), Placing::default());
        let place_of = |client_id: &str| place_of(&hasher, client_id, peers.len());
        let Loaded { sessions, absent } = Loaded::load(&store, &limits, peers.len(), place_of, now_ms())?;
        let stop_accepting = AtomicBool::new(false);
        let arn_prefix: Arc<str> = registry.identity().arn_prefix().into();
        let allow_all = || Arc::new(PolicyDocument::parse(ALLOW_ALL).expect("a policy of ours"));
        let policies = |name: &str, document| {
            let policy = NamedPolicy { name: name.into(), version: None, document };
            Arc::new(PolicySet::new(Arc::clone(&arn_prefix), vec![policy]))
        };
        let insecure = config.insecure_policy.clone().unwrap_or_else(allow_all);
        let shared = Self {
            full_access: policies("of whoever signs with SigV4", allow_all()),
            insecure: policies("of the insecure port", insecure),
            reception,
            web: WebDoor::default(),
            registry,
            rules,
            retained,
            sessions,
            store,
            iot_log,
            account: Account::new(Arc::clone(&limits), clock::now()),
            limits,
            peers,
            acceptor_tallies: ThreadTallies::default(),
            refusals: Refusals::default(),
            congested,
            stop_accepting,
            hasher,
        };
        Ok((shared, absent))
    }

    /// The loop that a client belongs to: a client id always meets its own earlier connection there.
    pub(crate) fn owner(&self, client_id: &str) -> &Peer {
        &self.peers[place_of(&self.hasher, client_id, self.peers.len())]
    }

    /// Gives a message to the groups that keep nothing, and lists whom it must be kept for.
    pub(crate) fn offer(
        &self,
        topic: &str,
        qos: QoS,
        from: Option<&str>,
        now: Instant,
        message: impl FnOnce() -> Arc<Message>,
    ) -> Vec<Offer> {
        let mut concerned = Concerned::default();
        self.sessions.find(topic, qos, from, message, &mut concerned);
        if !concerned.unkept.is_empty() {
            let mut handed_out = self.handed_out();
            self.sessions.give_unkept(concerned.unkept, now, &mut handed_out);
            self.tell(handed_out);
        }
        concerned.kept
    }

    /// A connection was closed unseen.
    pub(crate) fn turned_away(&self, peer: SocketAddr, why: TurnedAway) {
        let cause = match why {
            TurnedAway::Full => Cause::Full,
            TurnedAway::Busy => Cause::Busy,
        };
        self.acceptor_tallies.refuse(&cause);
        self.refusals.turned_away(peer, cause);
    }

    /// To be filled, and told by [`tell`](Self::tell).
    pub(crate) fn handed_out(&self) -> HandedOut {
        let waiting = self.iot_log.wants(LogLevel::Info).then(Vec::new);
        HandedOut { waiting, ..HandedOut::default() }
    }

    /// Tells loops that there is something for their clients, and the log what a limit kept from being queued.
    pub(crate) fn tell(&self, handed_out: HandedOut) {
        let HandedOut { mut woken, refused, unwanted, waiting } = handed_out;
        for waiting in waiting.into_iter().flatten() {
            iot_log::queued(&self.iot_log, &waiting);
        }
        woken.sort_unstable_by_key(|inbox| inbox.place);
        for inboxes in woken.chunk_by(|one, other| one.place == other.place) {
            self.peers[inboxes[0].place].mailbox.post(Mail::Waiting(inboxes.to_vec()));
        }
        if refused.is_empty() && unwanted.is_empty() {
            return;
        }
        if let Some(first) = refused.first() {
            self.peers[0].counters.dropped_queue_full.add(refused.len() as u64);
            if self.sessions.may_tell(now_ms()) {
                let (topic, dropped) =
                    (first.message.topic(), self.peers[0].counters.dropped_queue_full.value());
                tracing::warn!(
                    target: "eyot::delivery", topic = topic.as_str(), dropped,
                    "messages for those who are away are dropped: a queue is full, or they come too fast (limits `queued_…`)"
                );
            }
        }
        let mut transaction = Transaction::new();
        for due in refused.into_iter().chain(unwanted) {
            due.settle(&mut transaction);
            if transaction.bytes_len() > SETTLED_BYTES_MAX {
                self.forget(&mut transaction);
            }
        }
        self.forget(&mut transaction);
    }

    /// Has the store forget messages. Else they are found again after a start, and come to the client all the same.
    fn forget(&self, transaction: &mut Transaction) {
        if let Err(error) = self.store.append_from(transaction) {
            tracing::warn!(%error, "messages that are not delivered could not be removed from the store");
            *transaction = Transaction::new();
        }
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

fn place_of(hasher: &Placing, client_id: &str, loops: usize) -> usize {
    (hasher.hash_one(client_id) % loops as u64) as usize
}
