//! What a client does that ends its connection.

use crate::disconnect::DisconnectReason;
use crate::topics::TopicExcess;
use mqtt_wire::{PacketKind, ReasonCode};

/// Why the connection must be closed. MQTT 3.1.1 has no packet to say so: there the reason goes to the
/// log alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// [MQTT311 3.1.0-2]
    #[error("the client sent a second CONNECT")]
    SecondConnect,
    /// A packet that only servers send.
    #[error("the client sent {kind}, which only a server sends")]
    ServerPacket {
        /// The packet.
        kind: PacketKind,
    },
    /// QoS 2 is not offered, as on AWS: [`Limits::qos_max`](crate::Limits::qos_max).
    #[error("the client published with QoS 2, which is not supported")]
    QoS2Publish,
    /// QoS 2 is not offered, as on AWS: [`Limits::qos_max`](crate::Limits::qos_max).
    #[error("the client asked for QoS 2, which is not supported")]
    QoS2Subscribe,
    /// A packet of the QoS 2 exchange, which is not offered.
    #[error("the client sent {kind}, but QoS 2 is not supported")]
    QoS2Packet {
        /// The packet.
        kind: PacketKind,
    },
    /// Messages with QoS 2 whose PUBREL is missing: more than
    /// [`Limits::inflight_inbound_max`](crate::Limits::inflight_inbound_max).
    #[error("the client has {unreleased} messages with QoS 2 in flight already")]
    ReceiveMaximum {
        /// How many there are.
        unreleased: usize,
    },
    /// More than [`Limits::payload_bytes_max`](crate::Limits::payload_bytes_max).
    #[error("PAYLOAD_LIMIT_EXCEEDED: the payload has {bytes} bytes, at most {bytes_max} are allowed")]
    PayloadTooLarge {
        /// The payload's size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// A topic alias above [`Limits::topic_aliases_max`](crate::Limits::topic_aliases_max), or one that no message has
    /// set [MQTT5 3.3.2-9].
    #[error(
        "the client published to topic alias {alias}, which it has not set, or which is above {aliases_max}"
    )]
    TopicAlias {
        /// The alias.
        alias: u16,
        /// The limit.
        aliases_max: u16,
    },
    /// Subscription identifiers are not offered, as on AWS.
    #[error("the client subscribed with a subscription identifier, which is not supported")]
    SubscriptionIdentifier,
    /// [MQTT5 3.3.4-6] It says whose subscription a message is for, which only a server knows.
    #[error("the client published with a subscription identifier, which only a server may")]
    SubscriptionIdentifierSent,
    /// A DISCONNECT with a reason that only servers have.
    #[error("the client sent DISCONNECT with the reason `{reason}`, which only a server has")]
    ServerReason {
        /// The reason.
        reason: ReasonCode,
    },
    /// More than [`Limits::alias_bytes_max`](crate::Limits::alias_bytes_max).
    #[error("the topics of the client's aliases have {bytes} bytes, at most {bytes_max} are allowed")]
    AliasesTooLarge {
        /// All of them together.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// A DISCONNECT that asks for a session which CONNECT did not ask for [MQTT5 3.14.2.2.2].
    #[error("the client asked in DISCONNECT to keep a session, and in CONNECT for none")]
    SessionExpiryRaised,
    /// Authentication in steps is not offered.
    #[error("the client sent AUTH, which is not supported")]
    Auth,
    /// A PUBLISH to a topic that is too long or too deep.
    #[error("the topic {0}")]
    Topic(TopicExcess),
    /// More than [`Limits::filters_per_subscribe_max`](crate::Limits::filters_per_subscribe_max).
    #[error("the SUBSCRIBE or UNSUBSCRIBE has {filters} filters, at most {filters_max} are allowed")]
    TooManyFilters {
        /// Filters in the packet.
        filters: usize,
        /// The limit.
        filters_max: usize,
    },
    /// Nothing came for one and a half keep-alive periods [MQTT311 3.1.2-24].
    #[error("the client was silent for {silence_s} s, its keep-alive is {keep_alive_s} s")]
    KeepAliveTimeout {
        /// The keep-alive that applies, after clamping.
        keep_alive_s: u16,
        /// One and a half of it.
        silence_s: u32,
    },
    /// The caller read on although [`Session::wants_read`](crate::Session::wants_read) said no.
    #[error("a packet was read while {inflight} PUBACKs are owed")]
    ReadPastInflight {
        /// PUBACKs that are owed.
        inflight: usize,
    },
}

impl Violation {
    /// The reason that lifecycle events carry.
    pub const fn disconnect_reason(&self) -> DisconnectReason {
        match self {
            Self::KeepAliveTimeout { .. } => DisconnectReason::MqttKeepAliveTimeout,
            Self::ReadPastInflight { .. } => DisconnectReason::ServerError,
            _ => DisconnectReason::ClientError,
        }
    }

    /// What the DISCONNECT to a client of MQTT 5 says. [AWS mqtt5-reason-codes]
    pub const fn reason_code(&self) -> ReasonCode {
        match self {
            Self::SecondConnect
            | Self::ServerPacket { .. }
            | Self::QoS2Packet { .. }
            | Self::Auth
            | Self::ServerReason { .. }
            | Self::SubscriptionIdentifierSent
            | Self::SessionExpiryRaised => ReasonCode::ProtocolError,
            Self::QoS2Publish | Self::QoS2Subscribe => ReasonCode::QoSNotSupported,
            Self::PayloadTooLarge { .. } | Self::TooManyFilters { .. } | Self::AliasesTooLarge { .. } => {
                ReasonCode::QuotaExceeded
            }
            Self::ReceiveMaximum { .. } => ReasonCode::ReceiveMaximumExceeded,
            Self::TopicAlias { .. } => ReasonCode::TopicAliasInvalid,
            Self::SubscriptionIdentifier => ReasonCode::SubscriptionIdentifiersNotSupported,
            Self::Topic(_) => ReasonCode::TopicNameInvalid,
            Self::KeepAliveTimeout { .. } => ReasonCode::KeepAliveTimeout,
            Self::ReadPastInflight { .. } => ReasonCode::UnspecifiedError,
        }
    }
}
