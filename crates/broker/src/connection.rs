//! One client's connection: its socket, its session, and what waits in both directions.

use crate::authorize::Client;
use crate::denials::Denials;
use crate::event_loop::{ConnectionPace, Replay, Tally, Unconfirmed};
use crate::lifecycle_events::{Event, Presence};
use crate::message::Due;
use crate::outbox::{Outbox, Pool};
use crate::publication::Effects;
use crate::seats::Seat;
use crate::sessions::{Group, Inbox};
use crate::slots::Key;
use crate::transport::Transport;
use mio::{Interest, Registry};
use mqtt_session::{Accepted, Session};
use mqtt_wire::{PacketId, QoS};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use store::Position;

/// Reads of one client before the others of its loop get their turn, each of the size of the loop's buffer.
pub(crate) const READS_PER_TURN_MAX: usize = 4;

/// Packets of one client before the others of its loop get their turn.
///
/// Its reads hold up to 100,000 PUBLISHes of a few bytes: of 200 clients who flood us that was a turn of twenty seconds.
/// Much smaller, and the bytes behind the last packet of a turn are moved too often.
pub(crate) const PACKETS_PER_TURN_MAX: usize = 256;

/// Answers that may wait for the journal before no more is read: a client that does not wait for them could otherwise
/// have any number.
const HELD_MAX: usize = 64;

pub(crate) struct Connection {
    pub(crate) transport: Transport,
    pub(crate) session: Session<Due>,
    pub(crate) client: Client,
    pub(crate) presence: Presence,
    pub(crate) denials: Denials,
    pub(crate) pace: ConnectionPace,
    pub(crate) outbox: Outbox,
    /// Direct messages whose sender waits for the PUBACK: at most as many as the window.
    pub(crate) unconfirmed: Vec<Unconfirmed>,
    /// A packet whose rest has not arrived, or what waits behind a stall. Owns no memory otherwise.
    pub(crate) input: Vec<u8>,
    /// Messages for it that other threads bring; it has one if its session is kept or it shares a subscription.
    pub(crate) inbox: Option<Arc<Inbox>>,
    /// The groups that it is a member of.
    pub(crate) groups: Vec<Arc<Group>>,
    /// Retained messages that it is still to be sent; at most one entry per subscription.
    pub(crate) replays: VecDeque<Replay>,
    /// The store has its session.
    pub(crate) is_kept: bool,
    /// Its session is on its way to the disk: the client has no CONNACK yet and gets nothing.
    pub(crate) is_opening: bool,
    /// Answers that wait for the journal, in the order of their positions.
    pub(crate) held: VecDeque<(Position, Reply)>,
    /// What the journal did not take. Nothing more is read until it does.
    pub(crate) stalled: Option<Stalled>,
    /// The number of the message that was last matched to it, and the place among that message's receivers.
    pub(crate) matched: (u64, usize),
    /// What became of its last publish that was permitted.
    pub(crate) last_publish: Option<Tally>,
    /// It is in the loop's list of those to flush.
    pub(crate) is_dirty: bool,
    /// It is in the loop's list of those with more to read.
    pub(crate) is_ready: bool,
    /// The peer has ended or broken the connection: what is left in the socket comes with no further event.
    pub(crate) reads_to_end: bool,
    /// Its socket or its input holds bytes that were not taken when they came.
    pub(crate) has_unread: bool,
    /// It has been told in the log that messages are dropped because it is slow.
    pub(crate) told_slow: bool,
    /// It is about to be closed: nothing more is read or delivered.
    pub(crate) is_closing: bool,
    /// The client has stopped reading for now: its socket is full.
    is_blocked: bool,
    /// Given back after the socket is closed: fields are dropped in order.
    #[expect(dead_code, reason = "held for its drop")]
    seat: Seat,
}

/// What a client did, while its consequences wait for room in the journal.
pub(crate) struct Stalled {
    pub(crate) effects: Effects,
    /// What the client gets when they are durable.
    pub(crate) reply: Reply,
}

/// What a client gets when the consequences of what it did are durable.
#[derive(Debug)]
pub(crate) enum Reply {
    Nothing,
    /// Of its publish: a PUBACK, or with QoS 2 a PUBREC.
    Ack(PacketId, QoS),
    /// The message that its session remembers by this identifier.
    Send(PacketId),
    /// A packet, and the retained messages of these filters with these QoS.
    Packet {
        bytes: Box<[u8]>,
        replays: Vec<(Box<str>, QoS)>,
    },
    /// Its session begins.
    ConnAck(Box<Opening>),
}

/// A session that is about to begin.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) accepted: Accepted,
    pub(crate) session_present: bool,
    /// To be published when it has.
    pub(crate) connected: Option<Event>,
    /// Where its own earlier connection was, which this one ended.
    pub(crate) took_over: Option<SocketAddr>,
}

impl Connection {
    pub(crate) fn new(
        transport: Transport,
        session: Session<Due>,
        client: Client,
        presence: Presence,
        seat: Seat,
        now: Instant,
    ) -> Self {
        Self {
            transport,
            session,
            client,
            presence,
            denials: Denials::default(),
            pace: ConnectionPace::new(now),
            outbox: Outbox::default(),
            unconfirmed: Vec::new(),
            input: Vec::new(),
            inbox: None,
            groups: Vec::new(),
            replays: VecDeque::new(),
            is_kept: false,
            is_opening: true,
            held: VecDeque::new(),
            stalled: None,
            matched: (0, 0),
            last_publish: None,
            is_dirty: false,
            is_ready: false,
            reads_to_end: false,
            has_unread: false,
            told_slow: false,
            is_closing: false,
            is_blocked: false,
            seat,
        }
    }

    /// Whether its bytes may be taken: not while it is opening, closing or stalled, does not read what it is sent, has sent
    /// more than its rate, or has too many publishes without their PUBACK.
    pub(crate) fn may_read(&self) -> bool {
        !self.is_closing
            && !self.is_opening
            && self.stalled.is_none()
            && self.held.len() < HELD_MAX
            && !self.outbox.is_full()
            && !self.pace.holds_reads()
            && self.session.wants_read()
    }

    /// Whether there are retained messages for it, and room for one. If not, the next flush or acknowledgement looks again.
    pub(crate) fn may_replay(&self) -> bool {
        !self.replays.is_empty()
            && !self.is_closing
            && !self.outbox.is_full()
            && self.stalled.is_none()
            && self.session.is_open()
            && self.inbox.as_ref().is_none_or(|inbox| inbox.len() == 0)
    }

    /// Whether its socket took no more when it was last written to.
    pub(crate) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// Sends what the socket takes, and asks for an event when it takes no more.
    pub(crate) fn flush(&mut self, key: Key, registry: &Registry, pool: &mut Pool) -> io::Result<()> {
        let done = self.outbox.flush(&mut self.transport, pool)?;
        if done == self.is_blocked {
            let interests = if done { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
            registry.reregister(self.transport.socket(), key.token(), interests)?;
            self.is_blocked = !done;
        }
        Ok(())
    }
}
