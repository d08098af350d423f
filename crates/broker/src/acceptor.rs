//! The accepting thread: from TCP to CONNECT, on every port that devices use.
//!
//! Handshakes are the expensive part of a connection and come in storms; on a thread of their own they do not touch
//! the latency of those who are connected. What speaks HTTP is handed on untouched, with its pass; what comes back from
//! there as MQTT over WebSocket is brought to its CONNECT here like all others.

use crate::admission::Door;
use crate::broker::WAKER;
use crate::clock::{self, now_ms};
use crate::counters::ThreadCounters;
use crate::handshake::{Arrival, Connected, Refusal, Stage, Unfinished};
use crate::history::Cause;
use crate::iot_log;
use crate::lifecycle_events::connect_failed;
use crate::listener::{self, Listener, Port};
use crate::publication;
use crate::reception::{Pass, Reception, TurnedAway};
use crate::refusal_log::RefusalLog;
use crate::shared::Shared;
use crate::slots::{Key, Slots};
use crate::tls::{Spoken, Tls};
use crate::undecided::{Seen, Undecided};
use crate::visitor::Visitor;
use mio::event::Source;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The token of the first listener; the others count down from it.
const FIRST_LISTENER: usize = WAKER.0 - 1;

/// Events taken from the system at once.
const EVENTS_MAX: usize = 256;

/// Connections taken from the listener before those that are under way get their turn.
const ACCEPTS_PER_TURN_MAX: usize = 64;

/// Pause after an accept that failed for lack of a resource, such as file descriptors: trying again at once would
/// only burn the time in which somebody could free one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct Acceptor {
    poll: Poll,
    listeners: Vec<Listener>,
    tls: Tls,
    shared: Arc<Shared>,
    counters: Arc<ThreadCounters>,
    connect_deadline: Duration,
    guests: Slots<Guest>,
    /// In the order of their coming, which is the order of their deadlines, as all have the same time.
    deadlines: VecDeque<(Instant, Key)>,
    /// Whose turn it is.
    current: Option<Key>,
    paused_until: Option<Instant>,
    log: RefusalLog,
}

/// A connection on its way to CONNECT.
enum Guest {
    /// It has not said yet what it speaks.
    Undecided(Undecided, SocketAddr, Pass),
    Unfinished(Box<Unfinished>),
}

impl Guest {
    fn socket(&mut self) -> &mut dyn Source {
        match self {
            Self::Undecided(undecided, ..) => &mut undecided.stream,
            Self::Unfinished(unfinished) => unfinished.socket(),
        }
    }
}

impl Acceptor {
    pub(crate) fn new(
        poll: Poll,
        mut listeners: Vec<Listener>,
        tls: Tls,
        shared: Arc<Shared>,
        counters: Arc<ThreadCounters>,
        connect_deadline: Duration,
    ) -> io::Result<Self> {
        for (index, listener) in listeners.iter_mut().enumerate() {
            let token = Token(FIRST_LISTENER - index);
            poll.registry().register(&mut listener.socket, token, Interest::READABLE)?;
        }
        Ok(Self {
            poll,
            listeners,
            tls,
            shared,
            counters,
            connect_deadline,
            guests: Slots::new(),
            deadlines: VecDeque::new(),
            current: None,
            paused_until: None,
            log: RefusalLog::new(clock::now()),
        })
    }

    /// Works until the broker stops accepting.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !self.shared.is_stopping() {
            // A mistake of ours that one client finds must not shut out the others: it loses its connection only.
            if catch_unwind(AssertUnwindSafe(|| self.turn(&mut events))).is_err()
                && let Some(key) = self.current.take()
            {
                drop(self.guests.remove(key));
            }
        }
        self.reception().close();
    }

    fn turn(&mut self, events: &mut Events) {
        let timeout = self.timeout(clock::now());
        if let Err(error) = self.poll.poll(events, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            tracing::error!(%error, "the accepting thread cannot wait for events");
            std::thread::sleep(ACCEPT_PAUSE);
        }
        self.reception().woke();
        for event in &*events {
            let listener =
                FIRST_LISTENER.checked_sub(event.token().0).filter(|index| *index < self.listeners.len());
            if event.token() == WAKER {
                continue;
            } else if let Some(index) = listener {
                self.listeners[index].may_accept = true;
            } else if let Some(key) = self.guests.key_at(event.token()) {
                self.current = Some(key);
                self.advance(key);
                self.current = None;
            }
        }
        let now = clock::now();
        for carried in self.reception().take_carried() {
            let peer = carried.peer;
            match Unfinished::carried(carried) {
                Ok(unfinished) => self.watch(Guest::Unfinished(Box::new(unfinished)), now),
                Err(error) => tracing::error!(%peer, %error, "cannot take over a connection"),
            }
        }
        self.expire(now);
        self.accept(now);
        self.log.tell(now, self.reception().seats_max());
    }

    fn reception(&self) -> &Arc<Reception> {
        &self.shared.reception
    }

    /// Until when there is nothing to do unless an event comes; somebody who finishes is an event.
    fn timeout(&mut self, now: Instant) -> Option<Duration> {
        let deadline = self.deadlines.front().map(|(deadline, _)| *deadline);
        let wants_to_accept = self.listeners.iter().any(|listener| self.may_accept(listener));
        let accept_at = match self.paused_until {
            _ if !wants_to_accept => None,
            Some(until) => Some(until),
            None => self.reception().opens_at(now),
        };
        let next = deadline.into_iter().chain(accept_at).chain(self.log.due(now)).min();
        next.map(|at| at.saturating_duration_since(now))
    }

    fn may_accept(&self, listener: &Listener) -> bool {
        listener.may_accept && (!listener.needs_web() || self.shared.web.is_open())
    }

    fn accept(&mut self, now: Instant) {
        if self.paused_until.is_some_and(|until| now < until) {
            return;
        }
        self.paused_until = None;
        // One from each port in turn: a crowd at one of them must not keep the others waiting.
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            let mut is_idle = true;
            for index in 0..self.listeners.len() {
                if !self.may_accept(&self.listeners[index]) {
                    continue;
                }
                if self.reception().door(now) == Door::Wait {
                    return;
                }
                is_idle = false;
                let Listener { socket, port, .. } = &self.listeners[index];
                match socket.accept() {
                    Ok((stream, peer)) => self.admit(stream, peer, *port, now),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.listeners[index].may_accept = false;
                    }
                    Err(error) if listener::concerns_one_connection(&error) => {}
                    Err(error) => {
                        tracing::error!(%error, "cannot accept connections; trying again shortly");
                        self.paused_until = Some(now + ACCEPT_PAUSE);
                        return;
                    }
                }
            }
            if is_idle {
                return;
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr, port: Port, now: Instant) {
        self.counters.accepted.increment();
        // A client that comes over `[::]` with an IPv4 address is the same as over 0.0.0.0.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let pass = match self.reception().enter(peer.ip(), 1, now) {
            Ok(pass) => pass,
            Err(turned_away) => {
                self.shared.turned_away(peer, turned_away);
                return match turned_away {
                    TurnedAway::Full => self.log.full(peer),
                    TurnedAway::Busy => self.log.busy(peer),
                };
            }
        };
        // Mostly: the client has gone already.
        let lost = |error| tracing::debug!(target: "eyot::connect", %peer, %error, "connection lost at once");
        if let Err(error) = listener::prepare(&stream) {
            return lost(error);
        }
        let guest = match port {
            Port::Https => {
                return self.shared.web.hand_over(Visitor {
                    stream: OwnedFd::from(stream).into(),
                    peer,
                    deadline: now + self.connect_deadline,
                    pass,
                });
            }
            Port::Alpn => Guest::Undecided(Undecided { stream }, peer, pass),
            Port::Insecure => Guest::Unfinished(Box::new(Unfinished::plain(stream, peer, pass))),
            Port::Mqtts => match self.tls.accept() {
                Ok(tls) => Guest::Unfinished(Box::new(Unfinished::tls(stream, tls, peer, pass))),
                Err(error) => return lost(io::Error::other(error)),
            },
        };
        self.watch(guest, now);
    }

    /// Puts a connection on the list of those that have until their deadline.
    fn watch(&mut self, guest: Guest, now: Instant) {
        let key = self.guests.insert(guest);
        self.deadlines.push_back((now + self.connect_deadline, key));
        let registry = self.poll.registry();
        let Some(guest) = self.guests.get_mut(key) else { return };
        // Both at once: a handshake writes nearly as often as it reads, and lives shortly.
        let interests = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = registry.register(guest.socket(), key.token(), interests) {
            tracing::error!(%error, "cannot watch a new connection");
            drop(self.guests.remove(key));
        }
    }

    fn advance(&mut self, key: Key) {
        if !self.is_decided(key) {
            return;
        }
        let Some(Guest::Unfinished(unfinished)) = self.guests.get_mut(key) else { return };
        let counters = &self.counters;
        let progress = unfinished.advance(&self.shared, |handshake| counters.count(handshake));
        if matches!(progress, Ok(None)) {
            return;
        }
        let Some(Guest::Unfinished(unfinished)) = self.guests.remove(key) else { return };
        match progress {
            Ok(Some(connected)) => self.welcome(*unfinished, connected),
            Ok(None) => {}
            Err(refusal) => {
                self.refuse(unfinished.peer, &refusal);
                unfinished.close();
            }
        }
    }

    /// Finds out what a connection of the ALPN port speaks; gives whether it is MQTT, and so ours.
    fn is_decided(&mut self, key: Key) -> bool {
        let seen = match self.guests.get_mut(key) {
            Some(Guest::Unfinished(_)) => return true,
            Some(Guest::Undecided(undecided, ..)) => undecided.look(),
            None => return false,
        };
        match seen {
            Ok(Seen::Nothing) => false,
            Ok(Seen::Hello(Spoken::Mqtt)) => self.begin_named(key),
            Ok(Seen::Hello(Spoken::Http | Spoken::HttpWithCertificate | Spoken::Silent)) => {
                self.show_to_web(key);
                false
            }
            Ok(Seen::End) | Err(_) => {
                // Like a port scan on any other port: nothing that somebody would look for.
                drop(self.guests.remove(key));
                false
            }
        }
    }

    /// The connection is MQTT and goes on as such; gives whether it does.
    fn begin_named(&mut self, key: Key) -> bool {
        let tls = match self.tls.accept_named() {
            Ok(tls) => tls,
            Err(error) => {
                tracing::error!(%error, "cannot begin a TLS session");
                drop(self.guests.remove(key));
                return false;
            }
        };
        self.guests.replace_with(key, |guest| match guest {
            Guest::Undecided(Undecided { stream }, peer, pass) => {
                Guest::Unfinished(Box::new(Unfinished::tls(stream, tls, peer, pass)))
            }
            unfinished @ Guest::Unfinished(_) => unfinished,
        });
        true
    }

    fn show_to_web(&mut self, key: Key) {
        let Some(Guest::Undecided(Undecided { mut stream }, peer, pass)) = self.guests.remove(key) else {
            return;
        };
        if let Err(error) = self.poll.registry().deregister(&mut stream) {
            return tracing::error!(%error, "cannot hand over a connection");
        }
        // A little later than that of the accept, at most by the time that the hello took.
        let deadline = clock::now() + self.connect_deadline;
        self.shared.web.hand_over(Visitor { stream: OwnedFd::from(stream).into(), peer, deadline, pass });
    }

    fn welcome(&mut self, mut unfinished: Unfinished, connected: Connected) {
        if let Err(error) = self.poll.registry().deregister(unfinished.socket()) {
            return tracing::error!(%error, "cannot hand over a connection");
        }
        let peer = unfinished.peer;
        self.hand_over(peer, unfinished.into_arrival(connected));
    }

    fn hand_over(&mut self, peer: SocketAddr, arrival: Arrival) {
        let owner = self.shared.owner(&arrival.client.who.client_id);
        if let Err(arrival) = owner.mailbox.post_arrival(Box::new(arrival)) {
            let reason = "the server is overloaded or about to end".to_owned();
            let client_id = Some(arrival.client.who.client_id.to_string());
            let certificate_id = arrival.client.certificate_id;
            let (at, cause) = (Stage::Connect, Cause::Overloaded);
            let refusal = Refusal { client_id, certificate_id, reason, at, cause, unauthorized: None };
            self.refuse(peer, &refusal);
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some(&(deadline, key)) = self.deadlines.front() {
            if deadline > now {
                return;
            }
            self.deadlines.pop_front();
            match self.guests.remove(key) {
                None => {}
                Some(Guest::Undecided(_, peer, _)) => {
                    self.counters.connects_late.increment();
                    let reason = "the TLS handshake did not come in time".to_owned();
                    let (at, cause) = (Stage::Connect, Cause::Late);
                    let refusal = Refusal {
                        client_id: None,
                        certificate_id: None,
                        reason,
                        at,
                        cause,
                        unauthorized: None,
                    };
                    self.tell(peer, &refusal, now);
                }
                Some(Guest::Unfinished(unfinished)) => {
                    self.counters.connects_late.increment();
                    self.tell(unfinished.peer, &unfinished.too_late(), now);
                    unfinished.close();
                }
            }
        }
    }

    fn refuse(&mut self, peer: SocketAddr, refusal: &Refusal) {
        match refusal.at {
            Stage::Tcp => {}
            Stage::Tls => self.counters.handshakes_failed.increment(),
            Stage::Connect => self.counters.connects_refused.increment(),
        }
        self.tell(peer, refusal, clock::now());
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
