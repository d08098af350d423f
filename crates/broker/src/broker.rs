//! The broker as the rest of the server sees it.

use crate::acceptor::Acceptor;
use crate::admission::Admission;
use crate::carried::Carried;
use crate::clock;
use crate::completion::Settled;
use crate::control::{Asked, ClientState, DirectMessage, Question, Reply, Sent};
use crate::counters::{Counters, ThreadCounters};
use crate::event_loop::EventLoop;
use crate::handshake::Handshake;
use crate::history::{By, ClientReport, Happening, Survey, Surveyed};
use crate::listener::{Listener, Port};
use crate::mailbox::{Mail, Mailbox};
use crate::publication::{Publish, PublishError, Published};
use crate::reception::{Pass, Reception, TurnedAway};
use crate::seats::Seats;
use crate::shared::{Peer, Shared};
use crate::tallies::{self, Tally};
use crate::tls::{Identities, Tls};
use crate::visitor::WebHandler;
use crate::{BrokerConfig, Parts, StartError};
use mio::{Poll, Token, Waker};
use mqtt_session::Quota;
use mqtt_wire::QoS;
use registry::Change;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long after its deadline a drain waits for a thread that does not end.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// The token under which every thread's waker is registered.
pub(crate) const WAKER: Token = Token(usize::MAX);

/// A running broker. Dropping it ends its threads without waiting for clients; [`Broker::drain`] does it in order.
pub struct Broker {
    shared: Arc<Shared>,
    identities: Arc<Identities>,
    tls: Tls,
    addresses: Addresses,
    threads: Mutex<Threads>,
}

/// Where devices connect.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// MQTT over TLS.
    pub mqtts: SocketAddr,
    /// HTTPS and MQTT over WebSocket.
    pub https: Option<SocketAddr>,
    /// What ALPN names.
    pub alpn: Option<SocketAddr>,
    /// MQTT without TLS.
    pub insecure_mqtt: Option<SocketAddr>,
}

#[derive(Default)]
struct Threads {
    acceptor: Option<JoinHandle<()>>,
    loops: Vec<JoinHandle<()>>,
}

impl Broker {
    /// Listens, and starts the threads.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub fn start(config: BrokerConfig, parts: Parts) -> Result<Self, StartError> {
        let identities = Arc::new(Identities::new(&parts.identities)?);
        let tls = Tls::new(&identities, config.tls_versions)?;
        let (listeners, addresses) = listen(&config)?;

        let congested = Arc::new(AtomicUsize::new(0));
        let mut polls = Vec::new();
        let mut peers = Vec::new();
        for _ in 0..config.loops.max(1) {
            let poll = Poll::new().map_err(StartError::Loop)?;
            let waker = Waker::new(poll.registry(), WAKER).map_err(StartError::Loop)?;
            peers.push(Peer::new(Mailbox::new(waker, Arc::clone(&congested))));
            polls.push(poll);
        }
        let acceptor_poll = Poll::new().map_err(StartError::Loop)?;
        let waker = Arc::new(Waker::new(acceptor_poll.registry(), WAKER).map_err(StartError::Loop)?);
        let counters = Arc::new(ThreadCounters::default());
        let admission = Admission::new(config.unfinished_max, config.unfinished_per_address_max);
        let seats = Seats::new(config.connections_max);
        let reception = Arc::new(Reception::new(admission, seats, Arc::clone(&counters), waker));
        let (shared, absent) = Shared::new(parts, &config, reception, peers, congested)?;
        let shared = Arc::new(shared);

        let broker = Self {
            shared: Arc::clone(&shared),
            identities,
            tls: tls.clone(),
            addresses,
            threads: Mutex::default(),
        };
        // From here on dropping `broker` ends what has been started.
        for (index, (poll, absent)) in polls.into_iter().zip(absent).enumerate() {
            let event_loop = EventLoop::new(index, poll, Arc::clone(&shared), absent);
            let thread = spawn(format!("mqtt-{index}"), move || event_loop.run())?;
            broker.threads().loops.push(thread);
        }
        tell_of_commits(&shared);
        let acceptor =
            Acceptor::new(acceptor_poll, listeners, tls, shared, counters, config.connect_deadline)
                .map_err(StartError::Loop)?;
        broker.threads().acceptor = Some(spawn("mqtt-accept".to_owned(), move || acceptor.run())?);
        Ok(broker)
    }

    /// Where MQTT over TLS listens.
    pub fn mqtts_addr(&self) -> SocketAddr {
        self.addresses.mqtts
    }

    /// Where devices connect.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// From now on connections of the HTTPS port, and those of the ALPN port that speak HTTP, go there. To be called once.
    pub fn open_web(&self, handler: WebHandler) {
        if !self.shared.web.open(handler) {
            tracing::error!("the HTTPS port has been opened before");
        }
        self.shared.reception.wake();
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// How to speak TLS with a visitor that offers these protocols with ALPN.
    pub fn web_tls<'a>(&self, offered: Option<impl Iterator<Item = &'a [u8]>>) -> Arc<rustls::ServerConfig> {
        self.tls.web(offered)
    }

    /// A TLS handshake that somebody else has led is over.
    pub fn count_handshake(&self, handshake: Handshake) {
        self.shared.reception.counters().count(handshake);
    }

    /// A pass for a client that becomes one by an upgrade, and takes so many more descriptors.
    ///
    /// # Errors
    /// There is no room; the counters have it.
    pub fn admit(&self, address: IpAddr, descriptors: usize) -> Result<Pass, TurnedAway> {
        let address = address.to_canonical();
        self.shared.reception.enter(address, descriptors, clock::now()).inspect_err(|why| {
            // The port is the carrier's affair.
            self.shared.turned_away(SocketAddr::new(address, 0), *why);
        })
    }

    /// Takes over a client whose bytes somebody else carries: CONNECT is next. When the broker ends its side is closed.
    pub fn bring(&self, carried: Carried) {
        self.shared.reception.bring(carried);
    }

    /// Publishes a message of the server or of the HTTP API: rules run, and subscribers get it.
    ///
    /// No policy is asked: that is the caller's part. Resolves when what the rules keep of it is durable. Rules run
    /// on the calling thread.
    ///
    /// # Errors
    /// [`PublishError`] when the topic is not publishable, or nothing was kept because the journal refused.
    pub fn publish(&self, publish: &Publish<'_>) -> Result<Published, PublishError> {
        crate::publication::from_outside(&self.shared, publish)
    }

    /// What is known about a client.
    pub fn client(&self, client_id: &str) -> Asked<ClientState> {
        self.ask(client_id, Question::State)
    }

    /// What a client has subscribed to, in the order of the filters; also while it is away, if its session is kept.
    pub fn subscriptions_of(&self, client_id: &str) -> Asked<Vec<(String, QoS)>> {
        self.ask(client_id, Question::Subscriptions)
    }

    /// Ends a client's connection and, with `end_session`, its session, also one whose client is away.
    pub fn disconnect(&self, client_id: &str, prevent_will: bool, end_session: bool) -> Asked<()> {
        self.ask(client_id, |reply| Question::Disconnect { prevent_will, end_session, reply })
    }

    /// Sends a message to one client. Resolves when it is on its way, or, to be confirmed, when the client has it.
    pub fn send_to(&self, client_id: &str, message: DirectMessage) -> Asked<Sent> {
        self.ask(client_id, |reply| Question::Send { message: Box::new(message), reply })
    }

    /// Why a client is, or is not, connected: what its event loop and the accepting thread know of it.
    pub fn explain(&self, client_id: &str) -> Asked<ClientReport> {
        self.ask(client_id, Question::Explain)
    }

    /// What happened to connections that did not get in as this client, oldest first.
    pub fn refusals_of(&self, client_id: &str) -> Vec<Happening> {
        self.shared.refusals.of_client(client_id)
    }

    /// What happened lately to whoever this is about; at most some hundred happenings, the newest.
    pub fn happenings(&self, by: By) -> Surveyed {
        let found = self.shared.refusals.matching(&by);
        self.survey(Survey::happenings(by, found))
    }

    /// Who gets messages of this topic now, who would if their policies let them, and who nearly does.
    pub fn audience(&self, topic: &str) -> Surveyed {
        self.survey(Survey::audience(topic))
    }

    /// What waits for clients. Every loop looks through its clients for this: for a look now and then.
    pub fn load(&self) -> Surveyed {
        self.survey(Survey::load())
    }

    fn survey(&self, survey: Survey) -> Surveyed {
        let survey = Arc::new(survey);
        let settled = self.tell_all(|ticket| Mail::Survey { survey: Arc::clone(&survey), ticket });
        Surveyed::new(settled, survey)
    }

    fn ask<T>(&self, client_id: &str, question: impl FnOnce(Reply<T>) -> Question) -> Asked<T> {
        let (asked, reply) = Asked::new();
        let mail = Mail::Ask { client_id: client_id.into(), question: question(reply) };
        self.shared.owner(client_id).mailbox.post(mail);
        asked
    }

    /// Resolves when every loop decides by the registry's present state, and sessions of certificates that left
    /// ACTIVE are closed.
    pub fn settle(&self, change: &Change) -> Settled {
        if change.is_none() {
            return Settled::after(0).0;
        }
        let dropped: Arc<[_]> = change.dropped.clone().into();
        self.tell_all(|ticket| Mail::RegistryChanged { dropped: Arc::clone(&dropped), ticket })
    }

    /// Resolves when every loop runs the present rules.
    pub fn rules_changed(&self) -> Settled {
        self.tell_all(|ticket| Mail::RulesChanged { ticket })
    }

    /// Shows renewed server certificates to new connections.
    ///
    /// # Errors
    /// [`StartError::Tls`]; the present ones stay in use.
    pub fn use_identities(&self, identities: &pki::ServerIdentities) -> Result<(), StartError> {
        Ok(self.identities.replace(identities)?)
    }

    /// Clients that are connected now.
    pub fn connections(&self) -> u64 {
        self.counters().connections
    }

    /// Everything counted since the start.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        sum.add(self.shared.reception.counters());
        for peer in &self.shared.peers {
            sum.add(&peer.counters);
        }
        sum
    }

    /// Everything counted since the start that metrics tell apart by labels.
    pub fn tallies(&self) -> Vec<Tally> {
        let loops = self.shared.peers.iter().map(|peer| &peer.tallies);
        tallies::sum(loops.chain([&self.shared.acceptor_tallies]))
    }

    /// How often each quota was exceeded since the start.
    pub fn throttled(&self) -> impl Iterator<Item = (Quota, u64)> {
        self.shared.account.throttled()
    }

    /// Ends in order: no new connections; what was received is made durable and acknowledged, what waits for
    /// clients is sent; then every connection is closed and its will published. Blocks, at most a little longer than
    /// `timeout`; what is not done by then is left.
    pub fn drain(&self, timeout: Duration) {
        let deadline = clock::now() + timeout;
        self.end(deadline);
    }

    fn end(&self, deadline: Instant) {
        self.shared.stop_accepting();
        self.shared.reception.wake();
        let Threads { acceptor, loops } = std::mem::take(&mut *self.threads());
        if let Some(acceptor) = acceptor
            && acceptor.join().is_err()
        {
            tracing::error!("the accepting thread had panicked");
        }
        let settled = self.tell_all(|ticket| Mail::Drain { deadline, ticket });
        let patience = deadline.saturating_duration_since(clock::now()) + DRAIN_GRACE;
        if !settled.wait_for(patience) {
            tracing::error!("an event loop did not end in time and is left behind");
            return;
        }
        for thread in loops {
            if thread.join().is_err() {
                tracing::error!("an event loop had panicked");
            }
        }
    }

    fn tell_all(&self, mail: impl Fn(crate::completion::Ticket) -> Mail) -> Settled {
        let (settled, tickets) = Settled::after(self.shared.peers.len());
        for (peer, ticket) in self.shared.peers.iter().zip(tickets) {
            peer.mailbox.post(mail(ticket));
        }
        settled
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.end(clock::now());
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// Has the store tell every loop what has become durable.
pub(crate) fn tell_of_commits(shared: &Arc<Shared>) {
    let peers = Arc::downgrade(shared);
    shared.store.on_commit(Box::new(move |news| {
        // Weak: the store outlives the broker, and its callbacks live as long as it does.
        let Some(shared) = peers.upgrade() else { return };
        for peer in &shared.peers {
            peer.mailbox.post(match &news {
                Ok(position) => Mail::Committed(*position),
                Err(lost) => Mail::Lost(lost.clone()),
            });
        }
    }));
}

fn listen(config: &BrokerConfig) -> Result<(Vec<Listener>, Addresses), StartError> {
    let mut listeners = Vec::new();
    let mut open = |address, port| {
        let listener = Listener::open(address, port)?;
        let local = listener.socket.local_addr();
        listeners.push(listener);
        local.map_err(|source| StartError::Listen { address, source })
    };
    let addresses = Addresses {
        mqtts: open(config.mqtts, Port::Mqtts)?,
        https: config.https.map(|address| open(address, Port::Https)).transpose()?,
        alpn: config.alpn.map(|address| open(address, Port::Alpn)).transpose()?,
        insecure_mqtt: config.insecure_mqtt.map(|address| open(address, Port::Insecure)).transpose()?,
    };
    Ok((listeners, addresses))
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    std::thread::Builder::new().name(name).spawn(run).map_err(StartError::Loop)
}
