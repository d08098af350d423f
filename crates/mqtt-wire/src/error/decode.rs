//! Why bytes are not a packet.

use crate::fixed_header::PacketKind;
use crate::properties::{PlacementError, PropertyId};
use crate::reason_code::ReasonCode;
use crate::topic::{TopicFilterError, TopicNameError};

/// Why the bytes of a peer are not a packet of the version that the connection speaks.
///
/// None of them can be answered by waiting for more bytes. [MQTT311 4.8.0-1] asks to close the connection; with MQTT 5
/// a DISCONNECT, or a CONNACK before the session, may say [`reason_code`](Self::reason_code) first [MQTT5 4.13.1-1].
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
    /// A variable byte integer has a fifth byte [MQTT311 2.2.3], [MQTT5 1.5.5].
    #[error("the {field} has more than four bytes")]
    IntegerTooLong {
        /// The field with the integer.
        field: &'static str,
    },
    /// A variable byte integer has superfluous zero bytes; MQTT 5 alone forbids them [MQTT5 1.5.5-1].
    #[error("the {field} takes more bytes than it needs")]
    IntegerPadded {
        /// The field with the integer.
        field: &'static str,
    },
    /// Packet types 0 and 15 are reserved [MQTT311 2.2.1]; MQTT 5 has made 15 its AUTH.
    #[error("packet type {packet_type} is reserved")]
    ReservedPacketType {
        /// The upper four bits of the first byte.
        packet_type: u8,
    },
    /// The lower four bits of the first byte are not what this packet type must have [MQTT311 2.2.2-2],
    /// [MQTT5 2.1.3-1].
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
    /// A text is not UTF-8 [MQTT311 1.5.3-1], [MQTT5 1.5.4-1].
    #[error("the {field} is not UTF-8")]
    Utf8 {
        /// The field with the text.
        field: &'static str,
    },
    /// A text holds U+0000 [MQTT311 1.5.3-2], [MQTT5 1.5.4-2].
    #[error("the {field} holds a null character")]
    Null {
        /// The field with the text.
        field: &'static str,
    },
    /// A packet identifier is zero [MQTT311 2.3.1-1], [MQTT5 2.2.1-3].
    #[error("the packet identifier is zero")]
    ZeroPacketId,
    /// The protocol name of a CONNECT is not `MQTT` [MQTT311 3.1.2-1].
    #[error("the protocol name is not `MQTT`")]
    UnsupportedProtocolName,
    /// A CONNECT asks for another version of the protocol than 3.1.1 and 5 [MQTT311 3.1.2-2], [MQTT5 3.1.2-2].
    ///
    /// The rest of that packet was not looked at. The receiver may answer in the words of that level.
    #[error("protocol level {level} is not supported")]
    UnsupportedProtocolLevel {
        /// The level that the client asks for.
        level: u8,
    },
    /// Bit 0 of the connect flags is set [MQTT311 3.1.2-3], [MQTT5 3.1.2-3].
    #[error("the reserved connect flag is set")]
    ReservedConnectFlag,
    /// Will QoS or will retain without a will [MQTT311 3.1.2-11], [MQTT311 3.1.2-13], [MQTT311 3.1.2-15],
    /// [MQTT5 3.1.2-11], [MQTT5 3.1.2-13].
    #[error("the connect flags describe a will without having one")]
    WillFlagsWithoutWill,
    /// A password without a user name [MQTT311 3.1.2-22]; MQTT 5 allows it.
    #[error("the connect flags have a password without a user name")]
    PasswordWithoutUserName,
    /// Both QoS bits are set [MQTT311 3.3.1-4], [MQTT311 3.1.2-14], [MQTT311 3.8.3-4], [MQTT5 3.3.1-4],
    /// [MQTT5 3.1.2-12].
    #[error("the {field} is {value}, allowed are 0, 1 and 2")]
    InvalidQoS {
        /// The field with the QoS.
        field: &'static str,
        /// Its value.
        value: u8,
    },
    /// The DUP flag on a QoS 0 message [MQTT311 3.3.1-2], [MQTT5 3.3.1-2].
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
    /// A PUBLISH with an empty topic and no alias that stands for one [MQTT5 3.3.2.1].
    #[error("the topic is empty and there is no topic alias")]
    TopicMissing,
    /// A topic filter that cannot be subscribed to.
    #[error("a topic filter {0}")]
    TopicFilter(TopicFilterError),
    /// A SUBSCRIBE or UNSUBSCRIBE without a filter [MQTT311 3.8.3-3], [MQTT311 3.10.3-2],
    /// [MQTT5 3.8.3-2], [MQTT5 3.10.3-2].
    #[error("the packet has no topic filter")]
    NoFilters,
    /// The upper two bits of subscription options are reserved [MQTT5 3.8.3-5].
    #[error("the subscription options are {options:#010b}, their upper two bits are reserved")]
    SubscriptionOptions {
        /// The options' byte.
        options: u8,
    },
    /// A SUBSCRIBE with a retain handling of 3 [MQTT5 3.8.3.1].
    #[error("the retain handling is 3, allowed are 0, 1 and 2")]
    RetainHandling,
    /// A shared subscription that asks for no messages of its own client [MQTT5 3.8.3-4].
    #[error("a shared subscription has the no local option")]
    NoLocalShared,
    /// A return code that the standard does not name [MQTT311 3.2.2.3], [MQTT311 3.9.3-2].
    #[error("{value:#04x} is not a return code of a {kind}")]
    InvalidReturnCode {
        /// The packet with the code.
        kind: PacketKind,
        /// The code.
        value: u8,
    },
    /// A reason code that this packet does not have [MQTT5 2.4].
    #[error("{value:#04x} is not a reason code of a {kind}")]
    InvalidReasonCode {
        /// The packet with the code.
        kind: PacketKind,
        /// The code.
        value: u8,
    },
    /// A CONNACK with other flags than session present, or with session present on a refusal
    /// [MQTT311 3.2.2-4], [MQTT5 3.2.2-6].
    #[error("the connect acknowledge flags are {flags:#04x}")]
    ConnAckFlags {
        /// The flags' byte.
        flags: u8,
    },
    /// A property that the standard does not define [MQTT5 2.2.2.2].
    #[error("property {identifier:#04x} is not known")]
    UnknownProperty {
        /// The identifier's byte.
        identifier: u8,
    },
    /// Properties that may not stand where they stand.
    #[error("{0}")]
    Properties(PlacementError),
    /// A property whose value the standard excludes [MQTT5 2.2.2.2].
    #[error("the {property} is {value}, which it must not be")]
    PropertyValue {
        /// The property.
        property: PropertyId,
        /// Its value.
        value: u32,
    },
    /// An AUTH that does not say by which method [MQTT5 3.15.2.2.2].
    #[error("the AUTH has no authentication method")]
    AuthenticationMethodMissing,
}

impl DecodeError {
    /// What a server of MQTT 5 says in its DISCONNECT, or in the CONNACK if the packet was a CONNECT [MQTT5 4.13].
    ///
    /// *Malformed* is what cannot be read as the standard lays it out, *protocol error* what could be read and is not
    /// allowed. Where the standard leaves open which of them a mistake is, this is our reading of those definitions
    /// [MQTT5 1.2]. A DISCONNECT does not have [`UnsupportedProtocolVersion`](ReasonCode::UnsupportedProtocolVersion),
    /// which only a CONNECT can deserve.
    pub const fn reason_code(&self) -> ReasonCode {
        match self {
            Self::TooLarge { .. } => ReasonCode::PacketTooLarge,
            Self::UnsupportedProtocolName | Self::UnsupportedProtocolLevel { .. } => {
                ReasonCode::UnsupportedProtocolVersion
            }
            Self::IntegerTooLong { .. }
            | Self::IntegerPadded { .. }
            | Self::ReservedPacketType { .. }
            | Self::ReservedFlags { .. }
            | Self::Truncated { .. }
            | Self::Surplus { .. }
            | Self::Utf8 { .. }
            | Self::Null { .. }
            | Self::ReservedConnectFlag
            | Self::WillFlagsWithoutWill
            | Self::PasswordWithoutUserName
            | Self::InvalidQoS { .. }
            | Self::TopicName { .. }
            | Self::TopicFilter(_)
            | Self::SubscriptionOptions { .. }
            | Self::UnknownProperty { .. } => ReasonCode::MalformedPacket,
            Self::ZeroPacketId
            | Self::DuplicateQoS0
            | Self::TopicMissing
            | Self::NoFilters
            | Self::RetainHandling
            | Self::NoLocalShared
            | Self::InvalidReturnCode { .. }
            | Self::InvalidReasonCode { .. }
            | Self::ConnAckFlags { .. }
            | Self::AuthenticationMethodMissing => ReasonCode::ProtocolError,
            Self::Properties(error) => error.reason_code(),
            // [MQTT5 3.3.2-8] A topic alias of 0 has a code of its own.
            Self::PropertyValue { property: PropertyId::TopicAlias, .. } => ReasonCode::TopicAliasInvalid,
            Self::PropertyValue { .. } => ReasonCode::ProtocolError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::properties::Carrier;

    /// The errors for which the standard names the code itself.
    #[test]
    fn reason_codes_that_the_standard_names() {
        let kind = PacketKind::Connect;
        let rows = [
            // [MQTT5 3.1.2.11.4]
            (DecodeError::TooLarge { packet_bytes: 9, packet_bytes_max: 8 }, 0x95),
            // [MQTT5 3.1.2-2]
            (DecodeError::UnsupportedProtocolLevel { level: 6 }, 0x84),
            // [MQTT5 1.5.4] [MQTT5 2.1.3-1] [MQTT5 3.1.2-3] [MQTT5 3.3.1-4] [MQTT5 3.8.3-5]
            (DecodeError::Utf8 { field: "topic" }, 0x81),
            (DecodeError::ReservedFlags { kind, flags: 1 }, 0x81),
            (DecodeError::ReservedConnectFlag, 0x81),
            (DecodeError::InvalidQoS { field: "QoS", value: 3 }, 0x81),
            (DecodeError::SubscriptionOptions { options: 0xC0 }, 0x81),
            // [MQTT5 2.2.2.2] [MQTT5 3.3.2.1] [MQTT5 3.8.3-2] [MQTT5 3.8.3-4]
            (DecodeError::UnknownProperty { identifier: 0 }, 0x81),
            (DecodeError::TopicMissing, 0x82),
            (DecodeError::NoFilters, 0x82),
            (DecodeError::NoLocalShared, 0x82),
            // [MQTT5 3.1.2.11.3] [MQTT5 3.3.2.3.4]
            (DecodeError::PropertyValue { property: PropertyId::ReceiveMaximum, value: 0 }, 0x82),
            (DecodeError::PropertyValue { property: PropertyId::TopicAlias, value: 0 }, 0x94),
        ];
        for (error, byte) in rows {
            assert_eq!(error.reason_code().byte(), byte, "{error}");
        }
        let property = PropertyId::TopicAlias;
        let carrier = Carrier::Packet(kind);
        let placements = [
            (PlacementError::NotAllowed { property, carrier }, 0x81),
            (PlacementError::Repeated { property }, 0x82),
            (PlacementError::AuthenticationDataAlone, 0x82),
        ];
        for (error, byte) in placements {
            assert_eq!(DecodeError::Properties(error).reason_code().byte(), byte, "{error}");
        }
    }
}
