//! The real broker without its threads: shared parts, event loops and store, each moved on by hand.

use super::line::Wire;
use crate::admission::Admission;
use crate::authorize::{self, ConnectDenied};
use crate::broker::{WAKER, tell_of_commits};
use crate::carried::Identity;
use crate::clock;
use crate::completion::Settled;
use crate::counters::ThreadCounters;
use crate::event_loop::EventLoop;
use crate::handshake::Arrival;
use crate::mailbox::{Mail, Mailbox};
use crate::reception::Reception;
use crate::seats::Seats;
use crate::shared::{Peer, Shared};
use crate::transport::Transport;
use crate::{BrokerConfig, Parts};
use mio::{Poll, Waker};
use mqtt_session::{Limits, Rate};
use mqtt_wire::Connect;
use pki::{Authority, CertificateId, ServerNames};
use registry::{CertificateStatus, Change, Registry};
use rules::Rules;
use services::{IotLog, Retained, RetainedLimits};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;
use store::disk::sim::SimDisk;
use store::{Position, Steps, Store, StoreOptions};

const ACCOUNT: &str = "123456789012";

/// Self-signed, and fixed: their length is part of what happens on the disk.
const CERTIFICATES: &str = include_str!("certificates.pem");

/// The server's own certificates, which nobody sees here.
static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    Authority::in_memory(&ServerNames::loopback(), SystemTime::now()).expect("an authority")
});

/// One process.
pub(super) struct Server {
    pub(super) shared: Arc<Shared>,
    pub(super) loops: Vec<EventLoop>,
    pub(super) steps: Steps,
    seats: Seats,
}

/// What differs between the runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) loops: usize,
    pub(super) segment_bytes: u64,
    pub(super) backlog_bytes: u64,
    pub(super) checkpoint_bytes: u64,
}

/// AWS's limits, but those on how often something may happen in a second.
fn limits() -> Limits {
    Limits {
        connection_publishes_per_s: Rate::UNLIMITED,
        connection_bytes_per_s: Rate::UNLIMITED,
        client_connects_per_s: Rate::UNLIMITED,
        topic_retained_per_s: Rate::UNLIMITED,
        ..Limits::aws()
    }
}

/// The certificate of a client, by its number.
fn certificate(number: usize) -> &'static str {
    const END: &str = "-----END CERTIFICATE-----\n";
    CERTIFICATES.split_inclusive(END).nth(number).expect("as many certificates as clients")
}

impl Server {
    pub(super) fn start(disk: &SimDisk, sizes: Sizes) -> Self {
        let steps = Steps::default();
        let options = StoreOptions {
            segment_bytes_max: sizes.segment_bytes,
            backlog_bytes_max: sizes.backlog_bytes,
            checkpoint_bytes: sizes.checkpoint_bytes,
            steps: Some(steps.clone()),
            ..StoreOptions::simulated(Arc::new(disk.clone()))
        };
        let (store, logs) = logs::Logs::start(Store::open(options).expect("a store")).expect("a log store");
        let identity = registry::Identity { region: "eu-west-1".to_owned(), account_id: ACCOUNT.to_owned() };
        let parts = Parts {
            registry: Arc::new(Registry::load(&store, identity).expect("a registry")),
            rules: Arc::new(Rules::load(&store, Arc::clone(&logs), ACCOUNT, limits()).expect("rules")),
            retained: Arc::new(Retained::load(&store, RetainedLimits::default()).expect("retained messages")),
            iot_log: Arc::new(IotLog::start(&store, logs, ACCOUNT).expect("a log of events")),
            identities: AUTHORITY.server_identities(),
            store,
        };
        let config = BrokerConfig {
            loops: sizes.loops,
            limits: limits(),
            ..BrokerConfig::new(([127, 0, 0, 1], 0).into())
        };
        let congested = Arc::new(AtomicUsize::new(0));
        let (mut polls, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..sizes.loops {
            let poll = Poll::new().unwrap();
            let waker = Waker::new(poll.registry(), WAKER).unwrap();
            peers.push(Peer::new(Mailbox::new(waker, Arc::clone(&congested))));
            polls.push(poll);
        }
        let nobody = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(nobody.registry(), WAKER).unwrap());
        let reception = Reception::new(
            Admission::new(1, 1),
            Seats::new(usize::MAX),
            Arc::new(ThreadCounters::default()),
            waker,
        );
        let (shared, absent) =
            Shared::new(parts, &config, Arc::new(reception), peers, congested).expect("a broker");
        let shared = Arc::new(shared);
        let loops = polls.into_iter().zip(absent).enumerate();
        let loops = loops
            .map(|(index, (poll, absent))| EventLoop::new(index, poll, Arc::clone(&shared), absent))
            .collect();
        tell_of_commits(&shared);
        Self { shared, loops, steps, seats: Seats::new(usize::MAX) }
    }

    /// Registers a client's certificate, with a policy of the client's name.
    pub(super) fn register(&self, number: usize, name: &str, versions: &[&str]) {
        let (registry, now_ms) = (&self.shared.registry, clock::now_ms());
        let done = registry
            .register_certificate_without_ca(certificate(number), Some(CertificateStatus::Active), now_ms)
            .unwrap();
        self.kept(done.position);
        self.kept(registry.create_policy(name, versions[0], vec![], now_ms).unwrap().position);
        for version in &versions[1..] {
            self.kept(registry.create_policy_version(name, version, false, now_ms).unwrap().position);
        }
        let arn = registry.identity().certificate_arn(&certificate_id(number));
        self.kept(registry.attach_policy(name, &arn).unwrap().position);
    }

    fn kept(&self, position: Option<Position>) {
        if let Some(position) = position {
            self.shared.store.when_committed(position).wait().unwrap();
            // Some journals hold back very little.
            self.shared.store.wait_applied(position).unwrap();
        }
    }

    /// What the accepting thread does with a CONNECT, behind TLS.
    pub(super) fn connect(
        &self,
        number: usize,
        connect: &Connect<'_>,
        rest: Vec<u8>,
        wire: &Wire,
    ) -> Result<(), ConnectDenied> {
        let identity = Identity::Certificate(certificate_id(number));
        let peer = ([192, 0, 2, 1 + u8::try_from(number).unwrap()], 4_711).into();
        let line = wire.line();
        let (session, accepted, client) =
            authorize::connect(&self.shared, connect, &identity, peer, None, clock::now())?;
        let seat = self.seats.take(1).unwrap();
        let transport = Transport::Simulated(line);
        let arrival = Arrival { transport, session, accepted, client, input: rest, seat };
        let owner = self.shared.owner(connect.client_id);
        owner.mailbox.post_arrival(Box::new(arrival)).expect("a loop that takes clients");
        Ok(())
    }

    /// As [`Broker::settle`](crate::Broker::settle).
    pub(super) fn settle(&self, change: &Change) -> Settled {
        let dropped: Arc<[_]> = change.dropped.clone().into();
        self.tell_all(|ticket| Mail::RegistryChanged { dropped: Arc::clone(&dropped), ticket })
    }

    pub(super) fn tell_all(&self, mail: impl Fn(crate::completion::Ticket) -> Mail) -> Settled {
        let (settled, tickets) = Settled::after(self.shared.peers.len());
        for (peer, ticket) in self.shared.peers.iter().zip(tickets) {
            peer.mailbox.post(mail(ticket));
        }
        settled
    }

    /// The process is gone.
    pub(super) fn vanish(self) {
        let Self { shared, loops, steps, seats } = self;
        drop((loops, seats));
        steps.forget();
        drop(shared);
    }
}

pub(super) fn certificate_id(number: usize) -> CertificateId {
    let der = pki::pem_to_der(certificate(number), "CERTIFICATE").expect("a certificate");
    CertificateId::of_der(&der)
}
