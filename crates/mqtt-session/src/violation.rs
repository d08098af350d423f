//! What a client does that ends its connection.

use crate::disconnect::DisconnectReason;
use crate::topics::TopicExcess;
use mqtt_wire::PacketKind;

/// Why the connection must be closed. MQTT 3.1.1 has no packet to say so: the reason goes to the log.
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
    /// QoS 2 is not offered, as on AWS.
    #[error("the client published with QoS 2, which is not supported")]
    QoS2Publish,
    /// QoS 2 is not offered, as on AWS; see [`QoS2Subscribe`](crate::QoS2Subscribe).
    #[error("the client asked for QoS 2, which is not supported")]
    QoS2Subscribe,
    /// A packet of the QoS 2 exchange.
    #[error("the client sent {kind}, but QoS 2 is not supported")]
    QoS2Packet {
        /// The packet.
        kind: PacketKind,
    },
    /// More than [`Limits::payload_bytes_max`](crate::Limits::payload_bytes_max).
    #[error("PAYLOAD_LIMIT_EXCEEDED: the payload has {bytes} bytes, at most {bytes_max} are allowed")]
    PayloadTooLarge {
        /// The payload's size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// A PUBLISH with a topic alias in place of its topic; no client has been allowed one.
    #[error("the client published to a topic alias, which is not supported")]
    TopicAlias,
    /// Authentication in steps is not offered.
    #[error("the client sent AUTH, which is not supported")]
    Auth,
    /// A PUBLISH to a topic that is too long or too deep.
    #[error("the topic {0}")]
    Topic(TopicExcess),
    /// More than [`Limits::filters_per_subscribe_max`](crate::Limits::filters_per_subscribe_max).
    #[error("the SUBSCRIBE has {filters} filters, at most {filters_max} are allowed")]
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
}
