//! Why bytes are not a packet, and why a packet does not become bytes.

use crate::fixed_header::PacketKind;
use crate::topic::{TopicFilterError, TopicNameError};

/// Why the bytes of a peer are not an MQTT 3.1.1 packet.
///
/// None of them can be answered by waiting for more bytes. [MQTT311 4.8.0-1] asks to close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The fixed header announces a packet above the receiver's bound; told before its body arrives.
    #[error("the packet has {packet_bytes} bytes, at most {packet_bytes_max} are accepted")]
    TooLarge {
        /// Size of the whole packet, fixed header included.
        packet_bytes: usize,
        /// The bound that was given to [`decode`](crate::decode).
        packet_bytes_max: usize,
    },
    /// The remaining length has a fifth byte [MQTT311 2.2.3].
    #[error("the remaining length has more than four bytes")]
    RemainingLength,
    /// Packet types 0 and 15 are reserved [MQTT311 2.2.1].
    #[error("packet type {packet_type} is reserved")]
    ReservedPacketType {
        /// The upper four bits of the first byte.
        packet_type: u8,
    },
    /// The lower four bits of the first byte are not what this packet type must have [MQTT311 2.2.2-2].
    #[error("{kind} has the flags {flags:#06b} in its first byte")]
    ReservedFlags {
        /// The packet whose flags are wrong.
        kind: PacketKind,
        /// The lower four bits of the first byte.
        flags: u8,
    },
    /// The packet ends inside a field.
    #[error("the packet ends inside its {field}")]
    Truncated {
        /// The field that is not whole.
        field: &'static str,
    },
    /// The packet goes on after its last field.
    #[error("{surplus_bytes} bytes follow the packet's last field")]
    Surplus {
        /// How many bytes are left over.
        surplus_bytes: usize,
    },
    /// A text is not UTF-8 [MQTT311 1.5.3-1].
    #[error("the {field} is not UTF-8")]
    Utf8 {
        /// The field with the text.
        field: &'static str,
    },
    /// A text holds U+0000 [MQTT311 1.5.3-2].
    #[error("the {field} holds a null character")]
    Null {
        /// The field with the text.
        field: &'static str,
    },
    /// A packet identifier is zero [MQTT311 2.3.1-1].
    #[error("the packet identifier is zero")]
    ZeroPacketId,
    /// The protocol name of a CONNECT is not `MQTT` [MQTT311 3.1.2-1].
    #[error("the protocol name is not `MQTT`")]
    UnsupportedProtocolName,
    /// A CONNECT asks for another version of the protocol; 5 is MQTT 5 [MQTT311 3.1.2-2].
    ///
    /// The rest of that packet was not looked at. The receiver may answer in the words of that level.
    #[error("protocol level {level} is not supported")]
    UnsupportedProtocolLevel {
        /// The level that the client asks for.
        level: u8,
    },
    /// Bit 0 of the connect flags is set [MQTT311 3.1.2-3].
    #[error("the reserved connect flag is set")]
    ReservedConnectFlag,
    /// Will QoS or will retain without a will [MQTT311 3.1.2-11], [MQTT311 3.1.2-13], [MQTT311 3.1.2-15].
    #[error("the connect flags describe a will without having one")]
    WillFlagsWithoutWill,
    /// A password without a user name [MQTT311 3.1.2-22].
    #[error("the connect flags have a password without a user name")]
    PasswordWithoutUserName,
    /// Both QoS bits are set [MQTT311 3.3.1-4], [MQTT311 3.1.2-14], [MQTT311 3.8.3-4].
    #[error("the {field} is {value}, allowed are 0, 1 and 2")]
    InvalidQoS {
        /// The field with the QoS.
        field: &'static str,
        /// Its value.
        value: u8,
    },
    /// The DUP flag on a QoS 0 message [MQTT311 3.3.1-2].
    #[error("a QoS 0 message is marked as a duplicate")]
    DuplicateQoS0,
    /// A topic that cannot be published to.
    #[error("the {field} {error}")]
    TopicName {
        /// The field with the topic.
        field: &'static str,
        /// What is wrong with it.
        error: TopicNameError,
    },
    /// A topic filter that cannot be subscribed to.
    #[error("a topic filter {0}")]
    TopicFilter(TopicFilterError),
    /// A SUBSCRIBE or UNSUBSCRIBE without a filter [MQTT311 3.8.3-3], [MQTT311 3.10.3-2].
    #[error("the packet has no topic filter")]
    NoFilters,
    /// A return code that the standard does not name [MQTT311 3.2.2.3], [MQTT311 3.9.3-2].
    #[error("{value:#04x} is not a return code of a {kind}")]
    InvalidReturnCode {
        /// The packet with the code.
        kind: PacketKind,
        /// The code.
        value: u8,
    },
    /// A CONNACK with other flags than session present, or with session present on a refusal
    /// [MQTT311 3.2.2-4].
    #[error("the connect acknowledge flags are {flags:#04x}")]
    ConnAckFlags {
        /// The flags' byte.
        flags: u8,
    },
}

/// Why a packet cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The output does not hold the packet.
    #[error("the packet needs {needed_bytes} bytes, the buffer has {buffer_bytes}")]
    BufferTooSmall {
        /// The packet's size.
        needed_bytes: usize,
        /// The buffer's size.
        buffer_bytes: usize,
    },
    /// A text or a binary field above 65,535 bytes, or a packet above 256 MiB [MQTT311 1.5.3], [MQTT311 2.2.3].
    #[error("the {field} has {bytes} bytes, more than its length field can say")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Its size.
        bytes: usize,
    },
    /// A text holds U+0000 [MQTT311 1.5.3-2].
    #[error("the {field} holds a null character")]
    Null {
        /// The field with the text.
        field: &'static str,
    },
    /// A QoS 0 message with a packet identifier, or another message without one [MQTT311 2.3.1-1],
    /// [MQTT311 2.3.1-5].
    #[error("a message has a packet identifier exactly when its QoS is above 0")]
    PacketId,
    /// The DUP flag on a QoS 0 message [MQTT311 3.3.1-2].
    #[error("a QoS 0 message cannot be a duplicate")]
    DuplicateQoS0,
    /// A password without a user name [MQTT311 3.1.2-22].
    #[error("a password needs a user name")]
    PasswordWithoutUserName,
    /// A SUBSCRIBE or UNSUBSCRIBE without a filter [MQTT311 3.8.3-3], [MQTT311 3.10.3-2].
    #[error("the packet needs at least one topic filter")]
    NoFilters,
    /// A CONNACK that refuses a connection and reports a session [MQTT311 3.2.2-4].
    #[error("a refused connection has no session present")]
    SessionPresentOnRefusal,
}
