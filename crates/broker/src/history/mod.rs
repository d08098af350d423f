//! What happened to clients lately, for `eyot explain`: why one did not get in, why it was hung up on, why nobody gets
//! what it publishes.
//!
//! Only what goes wrong, and coming and going, is written down; what a permitted publish leaves is a slot of its
//! connection that the next one overwrites. Each event loop has a [`Record`] of its own, and the accepting thread has
//! two, so that nobody waits for a lock while messages are moved. All of them are bounded: see `record`.

mod blame;
mod near;
mod record;
mod refusals;
mod report;
mod survey;

pub use blame::{Blame, BlameKind};
pub use near::{NearMiss, near_miss};
pub(crate) use record::{BOUNDS_LOOP, Record, Subject};
pub(crate) use refusals::Refusals;
pub use report::{
    AbsentReport, Audience, By, ClientReport, ConnectionReport, Findings, LastPublish, Load, Near, Receiver,
    SharedGroup,
};
pub(crate) use report::{NEAR_MISSES_MAX, RECEIVERS_MAX, SUBSCRIPTIONS_SCANNED_MAX};
pub use survey::Surveyed;
pub(crate) use survey::{Asking, Survey};

use iot_policy::Action;
use mqtt_session::{DisconnectReason, Quota};
use mqtt_wire::ProtocolVersion;
use std::net::SocketAddr;
use std::sync::Arc;

/// Longest text that is kept of one happening, in bytes. A reason names a topic of 256 bytes and a resource of a policy,
/// which is rarely as long.
pub(crate) const TEXT_BYTES_MAX: usize = 1_024;

/// Something that happened to a client, or to a connection that never said whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// When, in milliseconds since 1970; of several that are the same, the first.
    pub at_ms: i64,
    /// When the last of them did.
    pub until_ms: i64,
    /// How many there were in a row.
    pub count: u64,
    /// Whom it happened to; `None`: the connection never said it.
    pub client_id: Option<Arc<str>>,
    /// The id of the certificate that was presented; `None`: there was none, or it was not seen.
    pub principal: Option<Box<str>>,
    /// Where the connection came from; `None`: it happened while the client was away.
    pub source: Option<SocketAddr>,
    /// What.
    pub what: What,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It connected.
    Connected {
        /// The protocol that it speaks.
        version: ProtocolVersion,
        /// The keep-alive that applies, in seconds.
        keep_alive_s: u16,
        /// It goes on with the session that it left behind, or took over.
        session_present: bool,
        /// How long its session outlives the connection, in seconds; 0: not at all.
        session_expiry_s: u32,
        /// Where its own earlier connection was, which this one ended.
        took_over: Option<SocketAddr>,
    },
    /// It did not get in.
    Refused {
        /// Why, by kind.
        cause: Cause,
        /// Why, in a sentence.
        reason: Box<str>,
    },
    /// Its connection ended.
    Disconnected {
        /// Why, in AWS's word.
        reason: DisconnectReason,
        /// Why, in a sentence.
        detail: Box<str>,
        /// The topic of its will, if it has one and did not say good-bye. If no policy allows it any more, that is a
        /// happening of its own.
        will_due: Option<Box<str>>,
        /// How long that will waits for the client to come back, in seconds; 0: it is due now.
        will_delay_s: u32,
    },
    /// The will that waited for it is due: it did not come back in time.
    DelayedWill {
        /// The will's topic.
        topic: Box<str>,
    },
    /// The session that it left behind has ended.
    SessionEnded {
        /// Why, in a sentence.
        reason: Box<str>,
        /// Messages that waited there, and that nobody gets.
        messages: u64,
    },
    /// It did too much of something: what was too much is discarded, refused or put off.
    Throttled {
        /// Which limit.
        quota: Quota,
        /// Why, in a sentence.
        reason: Box<str>,
    },
    /// It may not do, or be given, something.
    Denied {
        /// What.
        action: Action,
        /// On what, such as `topic/a/b`.
        resource: Box<str>,
        /// Why, in a sentence.
        reason: Box<str>,
        /// What stands in the way.
        blame: Box<Blame>,
    },
    /// A subscription was refused, by a limit and not by a policy.
    SubscriptionRefused {
        /// To what.
        filter: Box<str>,
        /// Why, in a sentence.
        reason: Box<str>,
    },
    /// It does not get messages that are for it.
    NotDelivered {
        /// Of which topic; `None`: of any.
        topic: Option<Box<str>>,
        /// Why, in a sentence.
        reason: Box<str>,
    },
    /// What it published was delivered, and not retained.
    NotRetained {
        /// Why, in a sentence.
        reason: Box<str>,
    },
}

/// Why a connection did not become a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It closed without having sent a byte: a port scan or a health check.
    Silent,
    /// The client ended it, or the network did, before CONNECT was decided.
    Lost,
    /// The TLS handshake failed; the alert that the client sent, if it sent one.
    Tls {
        /// In rustls' words, such as `UnknownCA`.
        alert: Option<Box<str>>,
    },
    /// The client presented no certificate.
    NoCertificate,
    /// Its certificate is not registered.
    NotRegistered,
    /// Its certificate is registered and not ACTIVE.
    NotActive,
    /// No policy lets it in, or not with this will.
    Policy(Box<Blame>),
    /// Over HTTP, there is neither a certificate nor a signature that counts.
    Signature,
    /// It asked for a WebSocket as nobody should.
    Upgrade,
    /// Its CONNECT is wrong, above a limit, or no CONNECT.
    Protocol,
    /// It wants a persistent session, and there can be none.
    NotKept,
    /// It may come in, and comes too fast, or too many are there.
    Throttled(Quota),
    /// TLS and CONNECT took longer than the deadline.
    Late,
    /// Its address has too many connections without a finished CONNECT.
    Busy,
    /// Every connection that the limit of open files allows is in use.
    Full,
    /// The server takes no more clients at the moment.
    Overloaded,
}

impl Cause {
    /// A short name, for metrics and JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Lost => "lost",
            Self::Tls { .. } => "tls",
            Self::NoCertificate => "no_certificate",
            Self::NotRegistered => "not_registered",
            Self::NotActive => "not_active",
            Self::Policy(_) => "policy",
            Self::Signature => "signature",
            Self::Upgrade => "upgrade",
            Self::Protocol => "protocol",
            Self::NotKept => "not_kept",
            Self::Throttled(_) => "throttled",
            Self::Late => "late",
            Self::Busy => "busy",
            Self::Full => "full",
            Self::Overloaded => "overloaded",
        }
    }
}

impl What {
    /// Whether something went wrong, rather than everyday coming and going.
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::Connected { .. } => false,
            // The client has ended it itself, or nobody misses anything.
            Self::SessionEnded { messages, .. } => *messages > 0,
            Self::Disconnected { reason, .. } => !matches!(
                reason,
                DisconnectReason::ClientInitiatedDisconnect
                    | DisconnectReason::ServerInitiatedDisconnect
                    | DisconnectReason::ApiInitiatedDisconnect
            ),
            _ => true,
        }
    }

    /// Memory of its texts, about.
    fn bytes_len(&self) -> usize {
        match self {
            Self::Connected { .. } => 0,
            Self::Refused { cause, reason } => {
                let more = match cause {
                    Cause::Policy(blame) => blame.bytes_len(),
                    Cause::Tls { alert } => alert.as_ref().map_or(0, |alert| alert.len()),
                    _ => 0,
                };
                reason.len() + more
            }
            Self::Disconnected { detail, will_due, .. } => {
                detail.len() + will_due.as_ref().map_or(0, |topic| topic.len())
            }
            Self::DelayedWill { topic } => topic.len(),
            Self::SessionEnded { reason, .. }
            | Self::Throttled { reason, .. }
            | Self::NotRetained { reason } => reason.len(),
            Self::Denied { resource, reason, blame, .. } => resource.len() + reason.len() + blame.bytes_len(),
            Self::SubscriptionRefused { filter, reason } => filter.len() + reason.len(),
            Self::NotDelivered { topic, reason } => {
                reason.len() + topic.as_ref().map_or(0, |topic| topic.len())
            }
        }
    }
}

/// A text as it is kept: at most [`TEXT_BYTES_MAX`] of it.
pub(crate) fn kept(text: &str) -> Box<str> {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].into()
}
