//! The clients: who they are, what they know, and what they must get.

use super::line::Wire;
use mqtt_wire::{PacketId, ProtocolVersion};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// What a client is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Publishes, and sends again what was not acknowledged.
    Publisher,
    /// Has a persistent session.
    Subscriber,
    /// Has a session that ends with its connection.
    Visitor,
    /// May not subscribe, and tries to.
    Barred,
    /// Comes with the names of others.
    Intruder,
}

/// What is fixed about a client.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) version: ProtocolVersion,
    /// Versions of its policy; the first is in force at first.
    pub(super) policies: &'static [&'static str],
    /// Takes part in shared subscriptions, too.
    pub(super) shares: bool,
    /// Highest receive maximum that it names.
    pub(super) receive_maximum: u16,
}

pub(super) struct Client {
    pub(super) profile: &'static Profile,
    pub(super) link: Option<Link>,
    pub(super) session: Stands,
    /// Its connection may have ended then, and has for certain not before.
    pub(super) away_since: Option<Duration>,
    pub(super) filters: BTreeMap<&'static str, Subscription>,
    /// Messages that must reach it.
    pub(super) expected: BTreeSet<usize>,
    pub(super) got: BTreeSet<usize>,
    /// The last message of each topic, of those that it must get in order.
    pub(super) last: BTreeMap<(usize, &'static str), usize>,
    /// A publisher's messages without PUBACK, in order.
    pub(super) in_flight: VecDeque<InFlight>,
    pub(super) next_packet_id: PacketId,
}

/// What is known about something that the server has or has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    Yes,
    No,
    Perhaps,
}

/// A filter that the server may know of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subscription {
    /// The server has said so.
    pub(super) stands: bool,
    /// Changes whenever it may have ended.
    pub(super) id: u64,
}

/// A published message that is not acknowledged.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) message: usize,
    pub(super) packet_id: PacketId,
    /// Who must get it if the transmission on the present link is acknowledged; `None`: there was none.
    pub(super) promised: Option<Promised>,
}

/// Who must get a message, by the subscriptions that stood when it was sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Promised {
    /// Clients, by the numbers of their subscriptions and of the change of their policy.
    pub(super) clients: Vec<(usize, u64, u64)>,
    /// A group in its generation.
    pub(super) group: Option<(usize, u64)>,
}

/// A client's way to the server.
pub(super) struct Link {
    pub(super) wire: Wire,
    /// The server has its CONNECT.
    pub(super) is_admitted: bool,
    /// Bytes on their way, and when they arrive.
    pub(super) up: VecDeque<(Duration, Vec<u8>)>,
    pub(super) down: VecDeque<(Duration, Vec<u8>)>,
    /// Nothing arrives any more, in neither direction, and the client does not know.
    pub(super) is_lost: bool,
    /// What the server has written of a packet that is not complete.
    pub(super) observed: Vec<u8>,
    /// Bytes of complete packets that the server has written.
    pub(super) observed_bytes: u64,
    /// Up to here it was decided before the last change of a policy.
    pub(super) decided_before: u64,
    pub(super) input: Vec<u8>,
    /// The client does not read for now.
    pub(super) is_deaf: bool,
    /// The client acknowledges nothing on this link.
    pub(super) is_mute: bool,
    pub(super) is_clean: bool,
    pub(super) is_persistent: bool,
    pub(super) session_before: Stands,
    /// The client has its CONNACK.
    pub(super) is_open: bool,
    pub(super) receive_maximum: u16,
    /// What it has got and not acknowledged.
    pub(super) outstanding: Vec<PacketId>,
    /// What it will acknowledge later.
    pub(super) acks: VecDeque<PacketId>,
    /// What it waits for, and whether that is a SUBACK.
    pub(super) asked: Option<(&'static str, bool)>,
}
