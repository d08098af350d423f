//! What the API is told when it asks about a client, a certificate, an address or a topic.

use super::{Blame, Happening, NearMiss};
use crate::control::ConnectionInfo;
use mqtt_session::DisconnectReason;
use mqtt_wire::{ProtocolVersion, QoS};
use std::net::IpAddr;

/// Receivers of a topic that are named one by one, per event loop; the others are counted.
pub(crate) const RECEIVERS_MAX: usize = 100;

/// Near misses that are named, per event loop.
pub(crate) const NEAR_MISSES_MAX: usize = 20;

/// Subscriptions that one event loop looks through for near misses. At two microseconds each its clients wait 20 ms at
/// worst.
pub(crate) const SUBSCRIPTIONS_SCANNED_MAX: usize = 10_000;

/// What a client's event loop knows about it.
#[derive(Debug, Clone, Default)]
pub struct ClientReport {
    /// Its connection, if it stands.
    pub connection: Option<ConnectionReport>,
    /// The session that waits for it, if it is away and has left one.
    pub absent: Option<AbsentReport>,
    /// When it left, in milliseconds since 1970, and why, if that is not long ago.
    pub left: Option<(i64, DisconnectReason)>,
    /// What happened to it, oldest first.
    pub happenings: Vec<Happening>,
}

/// A connection that stands, in full.
#[derive(Debug, Clone)]
pub struct ConnectionReport {
    /// Since when, and where.
    pub info: ConnectionInfo,
    /// The id of its certificate.
    pub principal: String,
    /// The protocol that it speaks.
    pub version: ProtocolVersion,
    /// Its subscriptions, in the order of the filters.
    pub subscriptions: Vec<(String, QoS)>,
    /// Messages that wait for its PUBACK, or with QoS 2 for its PUBCOMP.
    pub inflight: usize,
    /// Messages that wait for a place among those.
    pub queued: usize,
    /// Its session is kept when the connection ends.
    pub is_kept: bool,
    /// Its socket takes no more at the moment.
    pub is_blocked: bool,
    /// The topic of its will.
    pub will_topic: Option<String>,
    /// What it published last, of what was permitted.
    pub last_publish: Option<LastPublish>,
}

/// A session whose client is away.
#[derive(Debug, Clone)]
pub struct AbsentReport {
    /// The protocol that it speaks; with the other one it has no session.
    pub version: ProtocolVersion,
    /// When it ends, unless the client comes back, in milliseconds since 1970.
    pub ends_at_ms: i64,
    /// Its subscriptions, in the order of the filters.
    pub subscriptions: Vec<(String, QoS)>,
    /// Messages that wait for the client.
    pub queued: usize,
    /// The topic of the will that waits for the client to come back, and when it is due.
    pub will: Option<(String, i64)>,
}

/// What became of a client's last permitted publish.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastPublish {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Its topic.
    pub topic: String,
    /// Sessions of the publisher's event loop that it was for. Other loops' are not known here: ask for the audience.
    pub receivers: u32,
    /// How many of them were not given it, because their policies do not allow it.
    pub withheld: u32,
    /// Rules that it matched.
    pub rules: u32,
    /// What failed in them.
    pub failures: u32,
}

/// Whose happenings are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// Those of connections that presented this certificate.
    Principal(String),
    /// Those of connections that came from this address.
    Address(IpAddr),
    /// Those of clients whose id is the same but for upper and lower case and white space: a typing mistake.
    SimilarTo(String),
    /// Those of connections that never said who they are.
    Anonymous,
}

impl By {
    pub(crate) fn is_about(&self, happening: &Happening) -> bool {
        match self {
            Self::Principal(id) => happening.principal.as_deref() == Some(&**id),
            Self::Anonymous => happening.client_id.is_none(),
            Self::Address(ip) => happening.source.is_some_and(|source| source.ip() == *ip),
            Self::SimilarTo(wanted) => happening.client_id.as_ref().is_some_and(|client_id| {
                **client_id != **wanted && client_id.trim().eq_ignore_ascii_case(wanted.trim())
            }),
        }
    }
}

/// Who gets messages of a topic.
#[derive(Debug, Clone, Default)]
pub struct Audience {
    /// Clients with a subscription that matches, at most some hundred of them.
    pub receivers: Vec<Receiver>,
    /// How many there are.
    pub receivers_total: usize,
    /// Shared subscriptions that match: of the receivers that are their members, one gets each message.
    pub groups: Vec<SharedGroup>,
    /// Subscriptions that miss the topic by little.
    pub near: Vec<Near>,
    /// There are more subscriptions than were looked through for near misses.
    pub is_cut: bool,
}

/// A client with a subscription that matches.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Who.
    pub client_id: String,
    /// The QoS of its subscription.
    pub qos: QoS,
    /// The shared subscription that it is a member of, as it is subscribed to.
    pub group: Option<String>,
    /// It is away, and its session waits for it. Its policies are asked when it is back.
    pub is_away: bool,
    /// Why its policies do not let it have the message, in a sentence, and what stands in the way.
    pub withheld: Option<(String, Option<Box<Blame>>)>,
}

/// A shared subscription that matches.
#[derive(Debug, Clone)]
pub struct SharedGroup {
    /// As it is subscribed to, such as `$share/workers/jobs/#`.
    pub filter: String,
    /// How many clients share it.
    pub members: usize,
    /// How many of them are connected.
    pub online: usize,
    /// Messages that wait for any of them.
    pub queued: usize,
    /// Messages that found no room there.
    pub dropped: u64,
}

/// A subscription that nearly matches.
#[derive(Debug, Clone)]
pub struct Near {
    /// Whose.
    pub client_id: String,
    /// The filter.
    pub filter: String,
    /// How it misses.
    pub miss: NearMiss,
}

/// What waits for clients, all together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// QoS 1 and 2 messages that were sent and not acknowledged.
    pub inflight: u64,
    /// Messages that wait in sessions for a place among those, or for their client to come back.
    pub queued: u64,
    /// Bytes that wait for sockets.
    pub outbox_bytes: u64,
    /// Clients whose socket takes no more.
    pub blocked: u64,
}

/// What all threads found.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// In the order of time, newest last.
    pub happenings: Vec<Happening>,
    /// For a topic.
    pub audience: Audience,
    /// What waits.
    pub load: Load,
}
