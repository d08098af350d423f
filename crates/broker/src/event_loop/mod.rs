//! One event loop: its clients, their sessions and subscriptions, and the turns in which it serves them.
//!
//! A turn: wait for events; read mail from other threads; read sockets, where packets lead to deliveries in other
//! clients' outboxes; look at timers; then, once, hand messages to other loops and flush every outbox that changed.
//! So a client gets one write per turn, however many packets are for it, and nobody waits for anybody.
//!
//! - `input`: bytes to packets to what they ask for.
//! - `publish`: one PUBLISH, from permission to PUBACK. `exactly_once`: what follows with QoS 2.
//! - `backlog`: what the journal has no room for yet.
//! - `replay`: retained messages to who subscribes.
//! - `delivery`: a message to its receivers; `frames`: its packets.
//! - `pace`: who goes too fast, and waits.
//! - `sessions`: what outlives a connection.
//! - `lifecycle`: clients come and go; `control`: what the API asks about them.
//! - `observe`, `explain` and `iot_log`: what is written down of it all, and told who asks.

mod backlog;
mod control;
mod delivery;
mod exactly_once;
mod explain;
mod frames;
mod input;
mod iot_log;
mod lifecycle;
mod observe;
mod pace;
mod publish;
mod replay;
mod sessions;
#[cfg(test)]
mod stepped;

use crate::broker::WAKER;
use crate::clock::{self, now_ms};
use crate::completion::Ticket;
use crate::connection::Connection;
use crate::control::Reply;
use crate::history::{BOUNDS_LOOP, Record};
use crate::lifecycle_events::Presences;
use crate::mailbox::Mail;
use crate::message::Message;
use crate::outbox::Pool;
use crate::router::Router;
use crate::sessions::Absent;
use crate::shared::{Peer, Shared};
use crate::slots::{Key, Slots};
use crate::timers::Timers;
use backlog::Backlog;
pub(crate) use control::Unconfirmed;
use delivery::Receiver;
use frames::Frames;
use lifecycle::Farewell;
use mio::{Events, Poll};
pub(crate) use observe::Tally;
pub(crate) use pace::ConnectionPace;
use pace::Pace;
pub(crate) use replay::Replay;
use sessions::Away;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Lost, Position, Transaction};

/// Events taken from the system at once.
const EVENTS_MAX: usize = 1_024;

/// The loop's one read buffer. Large enough that a busy client's burst is one system call.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// How soon a loop looks again at what no event will announce: room in the journal, another loop catching up.
const RETRY_EVERY: Duration = Duration::from_millis(5);

pub(crate) struct EventLoop {
    index: usize,
    shared: Arc<Shared>,
    poll: Poll,
    /// Boxed: a place in the table outlives its connection, and a table of 10,000 of them would keep 15 MB after a storm.
    connections: Slots<Box<Connection>>,
    clients: HashMap<Arc<str>, Key>,
    presences: Presences,
    /// What happened to its clients lately.
    history: Record,
    router: Router,
    timers: Timers,
    pace: Pace,
    /// Clients with something to read.
    ready: VecDeque<Key>,
    /// Clients with something to send.
    dirty: Vec<Key>,
    /// What waits for room in the journal.
    backlog: Backlog,
    /// Clients to close before anything else happens.
    closing: VecDeque<(Key, Farewell)>,
    /// Clients that a PUBACK is owed to, in the order of the positions that it waits for.
    owed: VecDeque<(Position, Key)>,
    /// Sessions whose clients are not connected.
    away: Away,
    /// Who waits until the end of a session is on disk.
    ended: VecDeque<(Position, Reply<()>)>,
    /// The position of what was kept last.
    last_kept: Position,
    /// The position of the last end of a session that no client waits for.
    last_end: Position,
    /// What clients have acknowledged in this turn, to be forgotten by the store.
    settled: Transaction,
    /// Everything up to here is durable, as far as this loop was told.
    committed: Position,
    /// Messages of this turn for the other loops.
    outgoing: Vec<Arc<Message>>,
    pool: Pool,
    read_buffer: Vec<u8>,
    frames: Frames,
    /// The list of one message's receivers, kept for its memory.
    receivers: Vec<Receiver>,
    /// Counts messages, so that a client with overlapping subscriptions is found twice and served once.
    message_number: u64,
    /// What becomes of the publish of the moment.
    tally: Tally,
    draining: Option<(Instant, Ticket)>,
    /// Packets that the client whose turn it is may still have worked off in it.
    packets_left: usize,
    /// The client whose bytes are being worked off.
    current: Option<Key>,
    /// The turn's time.
    now: Instant,
    now_s: i64,
}

impl EventLoop {
    pub(crate) fn new(index: usize, poll: Poll, shared: Arc<Shared>, absent: Vec<Absent>) -> Self {
        let mut router = Router::new(shared.limits.match_rules);
        router.use_rules(shared.rules.snapshot());
        Self {
            index,
            poll,
            connections: Slots::new(),
            clients: HashMap::new(),
            presences: Presences::default(),
            history: Record::new(BOUNDS_LOOP),
            router,
            timers: Timers::default(),
            pace: Pace::new(clock::now()),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            backlog: Backlog::default(),
            closing: VecDeque::new(),
            owed: VecDeque::new(),
            away: Away::new(absent),
            ended: VecDeque::new(),
            last_kept: Position::NONE,
            last_end: Position::NONE,
            settled: Transaction::new(),
            committed: shared.store.committed(),
            outgoing: Vec::new(),
            pool: Pool::default(),
            read_buffer: vec![0; READ_BUFFER_BYTES],
            frames: Frames::default(),
            receivers: Vec::new(),
            message_number: 0,
            tally: Tally::default(),
            draining: None,
            packets_left: 0,
            current: None,
            now: clock::now(),
            now_s: 0,
            shared,
        }
    }

    /// Serves until drained.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            self.wait(&mut events);
            // A mistake of ours that one client finds must not end the others: it loses its connection only.
            if catch_unwind(AssertUnwindSafe(|| self.turn(&events))).is_err() {
                self.recover();
            }
            if self.is_drained() {
                break;
            }
        }
        self.finish();
    }

    /// Ends in order.
    fn finish(&mut self) {
        self.end_all();
        self.publish_delayed_wills();
        self.finish_turn();
        self.finish_backlog(self.draining.as_ref().map_or(self.now, |(deadline, _)| *deadline));
    }

    /// After a panic: ends the client whose turn it was, and puts back what was lent out.
    fn recover(&mut self) {
        tracing::error!("an event loop had to end a client's turn because of a mistake in the server");
        if self.read_buffer.is_empty() {
            self.read_buffer = vec![0; READ_BUFFER_BYTES];
        }
        // What was made for that client's message is nobody else's.
        self.frames.clear();
        self.receivers.clear();
        if let Some(key) = self.current.take() {
            self.end(key, Farewell::our_mistake());
        }
        // Events come once: whoever waited behind that client must not wait for its next packet.
        for key in self.connections.iter().map(|(key, _)| key).collect::<Vec<_>>() {
            if let Some(connection) = self.connections.get_mut(key) {
                (connection.is_ready, connection.is_dirty) = (false, false);
            }
            self.mark_ready(key, false);
            self.mark_dirty(key);
        }
    }

    fn wait(&mut self, events: &mut Events) {
        let timeout = if self.me().mailbox.may_sleep() { self.timeout() } else { Some(Duration::ZERO) };
        if let Err(error) = self.poll.poll(events, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            tracing::error!(%error, "an event loop cannot wait for events");
            std::thread::sleep(RETRY_EVERY);
        }
        self.me().mailbox.woke();
        self.look_at_clock();
    }

    fn look_at_clock(&mut self) {
        self.now = clock::now();
        self.now_s = now_ms() / 1000;
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() && !self.must_hold_reads() {
            return Some(Duration::ZERO);
        }
        let retry = !self.ready.is_empty() || !self.backlog.is_empty() || self.draining.is_some();
        let now = clock::now();
        let absence = self.away.next_due().map(|at| at.saturating_duration_since(now));
        let next = [self.timers.until_next(now), self.pace.until_next(now), absence];
        let timer = next.into_iter().flatten().min();
        if retry { Some(timer.map_or(RETRY_EVERY, |timer| timer.min(RETRY_EVERY))) } else { timer }
    }

    fn turn(&mut self, events: &Events) {
        for mail in self.me().mailbox.take() {
            self.open(mail);
        }
        for event in events {
            if event.token() == WAKER {
                continue;
            }
            let Some(key) = self.connections.key_at(event.token()) else { continue };
            if event.is_writable() {
                self.mark_dirty(key);
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.mark_ready(key, event.is_read_closed() || event.is_error());
            }
        }
        self.retry_stalled();
        self.resume_held_up();
        self.read_ready();
        self.fire_timers();
        self.finish_turn();
    }

    fn open(&mut self, mail: Mail) {
        match mail {
            Mail::Arrival(arrival) => self.arrive(*arrival),
            Mail::Messages(messages) => {
                messages.iter().for_each(|message| self.deliver_from_elsewhere(message));
            }
            Mail::Waiting(inboxes) => inboxes.iter().for_each(|inbox| self.look_into(inbox)),
            Mail::Committed(position) => self.acknowledge(position),
            Mail::Lost(lost) => self.forget_lost(&lost),
            Mail::RegistryChanged { dropped, ticket } => {
                self.drop_certificates(&dropped);
                self.close_marked();
                // From here on every decision of this loop asks the registry of after the change.
                drop(ticket);
            }
            Mail::RulesChanged { ticket } => {
                self.router.use_rules(self.shared.rules.snapshot());
                drop(ticket);
            }
            Mail::Ask { client_id, question } => self.answer(&client_id, question),
            Mail::Survey { survey, ticket } => {
                self.take_part(&survey);
                drop(ticket);
            }
            Mail::Drain { deadline, ticket } => self.draining = Some((deadline, ticket)),
        }
        self.close_marked();
    }

    /// PUBACKs whose messages have become durable leave, in the order in which the messages came.
    fn acknowledge(&mut self, committed: Position) {
        self.committed = committed;
        while let Some((_, reply)) = self.ended.pop_front_if(|(position, _)| *position <= committed) {
            reply.give(());
        }
        while let Some(&(position, key)) = self.owed.front()
            && position <= committed
        {
            self.owed.pop_front();
            self.release(key);
            self.resume(key);
        }
    }

    /// Publishes that will never be durable are never acknowledged: the clients are hung up on, and send again.
    fn forget_lost(&mut self, lost: &Lost) {
        while let Some(&(position, key)) = self.owed.front()
            && position <= lost.up_to
        {
            self.owed.pop_front();
            self.end(key, Farewell::server_error(&lost.error));
        }
        self.close_marked();
        self.forget_lost_exchanges(lost);
    }

    fn fire_timers(&mut self) {
        while let Some(key) = self.timers.pop_due(self.now) {
            let Some(connection) = self.connections.get_mut(key) else { continue };
            // The journal's silence, and our own, are not the client's.
            if connection.stalled.is_some()
                || connection.is_opening
                || !connection.held.is_empty()
                || connection.pace.holds_reads()
            {
                connection.session.excuse_silence(self.now);
            }
            if let Some(violation) = connection.session.handle_timeout(self.now) {
                self.end(key, Farewell::from(violation));
            } else if let Some(at) = connection.session.poll_timeout() {
                self.timers.arm(at, key);
            }
        }
        self.end_absences();
        self.close_marked();
    }

    /// Hands messages to the other loops and flushes every outbox that changed.
    fn finish_turn(&mut self) {
        // First, so that the other loops work on them while this one writes.
        self.post_outgoing();
        // Closing a client can publish its will, and a flush can find a client gone.
        while !self.dirty.is_empty() || !self.closing.is_empty() {
            self.close_marked();
            for key in std::mem::take(&mut self.dirty) {
                self.flush(key);
            }
        }
        self.post_outgoing();
        self.keep_settled();
        self.me().counters.sessions_absent.set(self.away.len());
        self.me().counters.connections.set(self.connections.len());
        self.me().counters.sent_bytes.set(self.pool.sent_bytes);
        self.me().counters.subscriptions.set(self.router.subscriptions());
    }

    fn post_outgoing(&mut self) {
        let messages = std::mem::take(&mut self.outgoing);
        if !messages.is_empty() {
            let others = self.shared.peers.iter().enumerate().filter(|(index, _)| *index != self.index);
            others.for_each(|(_, peer)| peer.post(&messages));
        }
    }

    fn flush(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.is_dirty = false;
        self.write_out(key);
        // There is room again: for messages that waited for it, and for reading.
        self.feed(key);
        self.resume(key);
    }

    fn is_drained(&self) -> bool {
        let Some((deadline, _)) = &self.draining else { return false };
        let all_sent = || self.connections.iter().all(|(_, connection)| connection.outbox.is_empty());
        self.now >= *deadline || self.owed.is_empty() && self.backlog.is_empty() && all_sent()
    }

    fn mark_dirty(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(key)
            && !connection.is_dirty
        {
            connection.is_dirty = true;
            self.dirty.push(key);
        }
    }

    /// Other loops are far behind: what our clients publish would only make it worse.
    fn must_hold_reads(&self) -> bool {
        self.draining.is_some() || self.shared.peers.len() > 1 && self.shared.is_congested()
    }

    fn me(&self) -> &Peer {
        &self.shared.peers[self.index]
    }
}

impl Drop for EventLoop {
    /// Also when the thread panics: nobody must wait for a loop that is no more.
    fn drop(&mut self) {
        self.me().mailbox.close();
    }
}
