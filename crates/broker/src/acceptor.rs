//! The accepting thread: from TCP to CONNECT.
//!
//! Handshakes are the expensive part of a connection and come in storms; on a thread of their own they do not touch
//! the latency of those who are connected.

use crate::admission::{Admission, Door};
use crate::broker::WAKER;
use crate::counters::ThreadCounters;
use crate::handshake::{Arrival, Refusal, Stage, TlsDone, Unfinished};
use crate::history::Cause;
use crate::lifecycle_events::connect_failed;
use crate::publication::{self, now_ms};
use crate::refusal_log::RefusalLog;
use crate::seats::Seats;
use crate::shared::Shared;
use crate::slots::{Key, Slots};
use crate::tls::Tls;
use crate::{BrokerConfig, iot_log, listener};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

const LISTENER: Token = Token(usize::MAX - 1);

/// Events taken from the system at once.
const EVENTS_MAX: usize = 256;

/// Connections taken from the listener before those that are under way get their turn.
const ACCEPTS_PER_TURN_MAX: usize = 64;

/// Pause after an accept that failed for lack of a resource, such as file descriptors: trying again at once would
/// only burn the time in which somebody could free one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct Acceptor {
    poll: Poll,
    listener: TcpListener,
    tls: Tls,
    shared: Arc<Shared>,
    counters: Arc<ThreadCounters>,
    connect_deadline: Duration,
    admission: Admission,
    unfinished: Slots<Box<Unfinished>>,
    /// In the order of their coming, which is the order of their deadlines, as all have the same time.
    deadlines: VecDeque<(Instant, Key)>,
    /// The kernel's queue may hold connections: its event comes once, and we may have stopped before the end.
    may_accept: bool,
    /// Whose turn it is.
    current: Option<Key>,
    paused_until: Option<Instant>,
    seats: Seats,
    log: RefusalLog,
}

impl Acceptor {
    pub(crate) fn new(
        config: &BrokerConfig,
        poll: Poll,
        mut listener: TcpListener,
        tls: Tls,
        shared: Arc<Shared>,
        counters: Arc<ThreadCounters>,
    ) -> io::Result<Self> {
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            tls,
            shared,
            counters,
            connect_deadline: config.connect_deadline,
            admission: Admission::new(config.unfinished_max, config.unfinished_per_address_max),
            unfinished: Slots::new(),
            deadlines: VecDeque::new(),
            may_accept: false,
            current: None,
            paused_until: None,
            seats: Seats::new(config.connections_max),
            log: RefusalLog::new(Instant::now()),
        })
    }

    /// Works until the broker stops accepting.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !self.shared.is_stopping() {
            // A mistake of ours that one client finds must not shut out the others: it loses its connection only.
            if catch_unwind(AssertUnwindSafe(|| self.turn(&mut events))).is_err()
                && let Some(key) = self.current.take()
                && let Some(unfinished) = self.unfinished.remove(key)
            {
                self.admission.leave(unfinished.ticket);
            }
        }
    }

    fn turn(&mut self, events: &mut Events) {
        let timeout = self.timeout(Instant::now());
        if let Err(error) = self.poll.poll(events, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            tracing::error!(%error, "the accepting thread cannot wait for events");
            std::thread::sleep(ACCEPT_PAUSE);
        }
        for event in &*events {
            match event.token() {
                WAKER => {}
                LISTENER => self.may_accept = true,
                token => {
                    if let Some(key) = self.unfinished.key_at(token) {
                        self.current = Some(key);
                        self.advance(key);
                        self.current = None;
                    }
                }
            }
        }
        let now = Instant::now();
        self.expire(now);
        self.accept(now);
        self.log.tell(now, self.seats.max());
    }

    /// Until when there is nothing to do unless an event comes; somebody who finishes is an event.
    fn timeout(&mut self, now: Instant) -> Option<Duration> {
        let deadline = self.deadlines.front().map(|(deadline, _)| *deadline);
        let accept_at = match self.paused_until {
            _ if !self.may_accept => None,
            Some(until) => Some(until),
            None => self.admission.opens_at(now),
        };
        let next = deadline.into_iter().chain(accept_at).chain(self.log.due(now)).min();
        next.map(|at| at.saturating_duration_since(now))
    }

    fn accept(&mut self, now: Instant) {
        if self.paused_until.is_some_and(|until| now < until) {
            return;
        }
        self.paused_until = None;
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            if !self.may_accept || self.admission.door(now) == Door::Wait {
                return;
            }
            match self.listener.accept() {
                Ok((stream, peer)) => self.admit(stream, peer, now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.may_accept = false,
                Err(error) if listener::concerns_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections; trying again shortly");
                    self.paused_until = Some(now + ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr, now: Instant) {
        self.counters.accepted.increment();
        // A client that comes over `[::]` with an IPv4 address is the same as over 0.0.0.0.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let Some(seat) = self.seats.take() else {
            self.counters.refused_full.increment();
            self.shared.acceptor_tallies.refuse(&Cause::Full);
            self.shared.refusals.turned_away(peer, Cause::Full);
            return self.log.full(peer);
        };
        let Ok(ticket) = self.admission.enter(peer.ip(), now) else {
            self.counters.refused_busy.increment();
            self.shared.acceptor_tallies.refuse(&Cause::Busy);
            self.shared.refusals.turned_away(peer, Cause::Busy);
            return self.log.busy(peer);
        };
        let deadline = now + self.connect_deadline;
        let prepared = listener::prepare(&stream)
            .and_then(|()| self.tls.accept().map_err(io::Error::other))
            .map(|tls| Box::new(Unfinished::new(stream, tls, peer, ticket, seat)));
        let unfinished = match prepared {
            Ok(unfinished) => unfinished,
            Err(error) => {
                // Mostly: the client has gone already.
                tracing::debug!(target: "eyot::connect", %peer, %error, "connection lost at once");
                return self.admission.leave(ticket);
            }
        };
        let key = self.unfinished.insert(unfinished);
        self.deadlines.push_back((deadline, key));
        let registry = self.poll.registry();
        let Some(unfinished) = self.unfinished.get_mut(key) else { return };
        // Both at once: a handshake writes nearly as often as it reads, and lives shortly.
        let interests = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = registry.register(unfinished.stream(), key.token(), interests) {
            tracing::error!(%error, "cannot watch a new connection");
            self.unfinished.remove(key);
            self.admission.leave(ticket);
        }
    }

    fn advance(&mut self, key: Key) {
        let Some(unfinished) = self.unfinished.get_mut(key) else { return };
        let counters = &self.counters;
        let progress = unfinished.advance(&self.shared, |tls| match tls {
            TlsDone::Full => counters.handshakes_full.increment(),
            TlsDone::Resumed => counters.handshakes_resumed.increment(),
        });
        if matches!(progress, Ok(None)) {
            return;
        }
        let Some(unfinished) = self.unfinished.remove(key) else { return };
        self.admission.leave(unfinished.ticket);
        match progress {
            Ok(Some(connected)) => self.hand_over(unfinished.peer, unfinished.into_arrival(connected)),
            Ok(None) => {}
            Err(refusal) => {
                self.refuse(unfinished.peer, &refusal);
                unfinished.close();
            }
        }
    }

    fn hand_over(&mut self, peer: SocketAddr, mut arrival: Arrival) {
        if let Err(error) = self.poll.registry().deregister(arrival.transport.socket()) {
            tracing::error!(%error, "cannot hand over a connection");
            return;
        }
        let owner = self.shared.owner(&arrival.client.who.client_id);
        if let Err(arrival) = owner.mailbox.post_arrival(Box::new(arrival)) {
            let reason = "the server is overloaded or about to end".to_owned();
            let client_id = Some(arrival.client.who.client_id.to_string());
            let certificate_id = Some(arrival.client.certificate_id);
            let (at, cause) = (Stage::Connect, Cause::Overloaded);
            let (unauthorized, throttled) = (None, None);
            let refusal = Refusal { client_id, certificate_id, reason, at, cause, unauthorized, throttled };
            self.refuse(peer, &refusal);
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some(&(deadline, key)) = self.deadlines.front() {
            if deadline > now {
                return;
            }
            self.deadlines.pop_front();
            let Some(unfinished) = self.unfinished.remove(key) else { continue };
            self.admission.leave(unfinished.ticket);
            self.counters.connects_late.increment();
            self.tell(unfinished.peer, &unfinished.too_late(), now);
            unfinished.close();
        }
    }

    fn refuse(&mut self, peer: SocketAddr, refusal: &Refusal) {
        match refusal.at {
            Stage::Tcp => {}
            Stage::Tls => self.counters.handshakes_failed.increment(),
            Stage::Connect => self.counters.connects_refused.increment(),
        }
        self.tell(peer, refusal, Instant::now());
        let failed = refusal.unauthorized.as_ref().and_then(|who| connect_failed(who, now_ms()));
        if let Some(event) = failed
            && let Err(error) = publication::from_server(&self.shared, &event)
        {
            tracing::error!(topic = event.topic, %error, "what rules keep of an event could not be stored");
        }
    }

    fn tell(&mut self, peer: SocketAddr, refusal: &Refusal, now: Instant) {
        let registry = &self.shared.registry;
        let is_known = refusal.certificate_id.is_some_and(|id| registry.principal(&id).is_some());
        self.log.refused(peer, refusal, is_known, now);
        self.shared.refusals.note(peer, refusal, is_known, &self.shared.acceptor_tallies);
        iot_log::refused(&self.shared.iot_log, peer, refusal, is_known);
    }
}
