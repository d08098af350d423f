//! Which properties there are, how each is written and which packets may have it: table 2-4 of the standard.

use super::carrier::Carrier;
use super::value::Form;
use crate::fixed_header::PacketKind;
use crate::packet_set::PacketSet;

/// The kind of a property [MQTT5 2.2.2.2].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum PropertyId {
    PayloadFormatIndicator = 0x01,
    MessageExpiryInterval = 0x02,
    ContentType = 0x03,
    ResponseTopic = 0x08,
    CorrelationData = 0x09,
    SubscriptionIdentifier = 0x0B,
    SessionExpiryInterval = 0x11,
    AssignedClientIdentifier = 0x12,
    ServerKeepAlive = 0x13,
    AuthenticationMethod = 0x15,
    AuthenticationData = 0x16,
    RequestProblemInformation = 0x17,
    WillDelayInterval = 0x18,
    RequestResponseInformation = 0x19,
    ResponseInformation = 0x1A,
    ServerReference = 0x1C,
    ReasonString = 0x1F,
    ReceiveMaximum = 0x21,
    TopicAliasMaximum = 0x22,
    TopicAlias = 0x23,
    MaximumQoS = 0x24,
    RetainAvailable = 0x25,
    UserProperty = 0x26,
    MaximumPacketSize = 0x27,
    WildcardSubscriptionAvailable = 0x28,
    SubscriptionIdentifierAvailable = 0x29,
    SharedSubscriptionAvailable = 0x2A,
}

impl PropertyId {
    /// What a server passes on with a message as it came [MQTT5 3.3.2-4], [MQTT5 3.3.2-15], [MQTT5 3.3.2-16],
    /// [MQTT5 3.3.2-17], [MQTT5 3.3.2-20].
    ///
    /// The message expiry interval is passed on less the time that the message waited, and the topic alias is each
    /// connection's own.
    pub const FORWARDED_UNALTERED: [Self; 5] = [
        Self::PayloadFormatIndicator,
        Self::ContentType,
        Self::ResponseTopic,
        Self::CorrelationData,
        Self::UserProperty,
    ];

    /// The property with this identifier; `None` for those that the standard does not define.
    ///
    /// On the wire it is a variable byte integer, and all that are defined take one byte.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0x01 => Self::PayloadFormatIndicator,
            0x02 => Self::MessageExpiryInterval,
            0x03 => Self::ContentType,
            0x08 => Self::ResponseTopic,
            0x09 => Self::CorrelationData,
            0x0B => Self::SubscriptionIdentifier,
            0x11 => Self::SessionExpiryInterval,
            0x12 => Self::AssignedClientIdentifier,
            0x13 => Self::ServerKeepAlive,
            0x15 => Self::AuthenticationMethod,
            0x16 => Self::AuthenticationData,
            0x17 => Self::RequestProblemInformation,
            0x18 => Self::WillDelayInterval,
            0x19 => Self::RequestResponseInformation,
            0x1A => Self::ResponseInformation,
            0x1C => Self::ServerReference,
            0x1F => Self::ReasonString,
            0x21 => Self::ReceiveMaximum,
            0x22 => Self::TopicAliasMaximum,
            0x23 => Self::TopicAlias,
            0x24 => Self::MaximumQoS,
            0x25 => Self::RetainAvailable,
            0x26 => Self::UserProperty,
            0x27 => Self::MaximumPacketSize,
            0x28 => Self::WildcardSubscriptionAvailable,
            0x29 => Self::SubscriptionIdentifierAvailable,
            0x2A => Self::SharedSubscriptionAvailable,
            _ => return None,
        })
    }

    /// The identifier that goes on the wire.
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// The property's name in lower case, such as `session expiry interval`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PayloadFormatIndicator => "payload format indicator",
            Self::MessageExpiryInterval => "message expiry interval",
            Self::ContentType => "content type",
            Self::ResponseTopic => "response topic",
            Self::CorrelationData => "correlation data",
            Self::SubscriptionIdentifier => "subscription identifier",
            Self::SessionExpiryInterval => "session expiry interval",
            Self::AssignedClientIdentifier => "assigned client identifier",
            Self::ServerKeepAlive => "server keep alive",
            Self::AuthenticationMethod => "authentication method",
            Self::AuthenticationData => "authentication data",
            Self::RequestProblemInformation => "request problem information",
            Self::WillDelayInterval => "will delay interval",
            Self::RequestResponseInformation => "request response information",
            Self::ResponseInformation => "response information",
            Self::ServerReference => "server reference",
            Self::ReasonString => "reason string",
            Self::ReceiveMaximum => "receive maximum",
            Self::TopicAliasMaximum => "topic alias maximum",
            Self::TopicAlias => "topic alias",
            Self::MaximumQoS => "maximum QoS",
            Self::RetainAvailable => "retain available",
            Self::UserProperty => "user property",
            Self::MaximumPacketSize => "maximum packet size",
            Self::WildcardSubscriptionAvailable => "wildcard subscription available",
            Self::SubscriptionIdentifierAvailable => "subscription identifier available",
            Self::SharedSubscriptionAvailable => "shared subscription available",
        }
    }

    /// How the value is written.
    pub(super) const fn form(self) -> Form {
        match self {
            Self::PayloadFormatIndicator
            | Self::RequestProblemInformation
            | Self::RequestResponseInformation
            | Self::MaximumQoS
            | Self::RetainAvailable
            | Self::WildcardSubscriptionAvailable
            | Self::SubscriptionIdentifierAvailable
            | Self::SharedSubscriptionAvailable => Form::Byte,
            Self::ServerKeepAlive | Self::ReceiveMaximum | Self::TopicAliasMaximum | Self::TopicAlias => {
                Form::TwoBytes
            }
            Self::MessageExpiryInterval
            | Self::SessionExpiryInterval
            | Self::WillDelayInterval
            | Self::MaximumPacketSize => Form::FourBytes,
            Self::SubscriptionIdentifier => Form::Integer,
            Self::ContentType
            | Self::ResponseTopic
            | Self::AssignedClientIdentifier
            | Self::AuthenticationMethod
            | Self::ResponseInformation
            | Self::ServerReference
            | Self::ReasonString
            | Self::CorrelationData
            | Self::AuthenticationData => Form::Measured,
            Self::UserProperty => Form::MeasuredPair,
        }
    }

    /// Whether this packet, or a will, may have the property, from whichever end it comes.
    pub const fn is_allowed_in(self, carrier: Carrier) -> bool {
        match carrier {
            Carrier::Packet(kind) => self.packets().contains(kind),
            Carrier::Will => matches!(
                self,
                Self::PayloadFormatIndicator
                    | Self::MessageExpiryInterval
                    | Self::ContentType
                    | Self::ResponseTopic
                    | Self::CorrelationData
                    | Self::WillDelayInterval
                    | Self::UserProperty
            ),
        }
    }

    /// Whether it may stand there more than once. The subscription identifiers of a PUBLISH are those of all
    /// subscriptions that the message belongs to [MQTT5 3.3.4-3].
    pub(super) const fn may_repeat_in(self, carrier: Carrier) -> bool {
        match self {
            Self::UserProperty => true,
            Self::SubscriptionIdentifier => matches!(carrier, Carrier::Packet(PacketKind::Publish)),
            _ => false,
        }
    }

    const fn packets(self) -> PacketSet {
        use PacketKind::{
            Auth, ConnAck, Connect, Disconnect, PubAck, PubComp, PubRec, PubRel, Publish, SubAck, Subscribe,
            UnsubAck, Unsubscribe,
        };
        match self {
            Self::PayloadFormatIndicator
            | Self::MessageExpiryInterval
            | Self::ContentType
            | Self::ResponseTopic
            | Self::CorrelationData
            | Self::TopicAlias => PacketSet::of([Publish]),
            Self::SubscriptionIdentifier => PacketSet::of([Publish, Subscribe]),
            Self::SessionExpiryInterval => PacketSet::of([Connect, ConnAck, Disconnect]),
            Self::AuthenticationMethod | Self::AuthenticationData => PacketSet::of([Connect, ConnAck, Auth]),
            Self::RequestProblemInformation | Self::RequestResponseInformation => PacketSet::of([Connect]),
            Self::WillDelayInterval => PacketSet::of([]),
            Self::ReceiveMaximum | Self::TopicAliasMaximum | Self::MaximumPacketSize => {
                PacketSet::of([Connect, ConnAck])
            }
            Self::AssignedClientIdentifier
            | Self::ServerKeepAlive
            | Self::ResponseInformation
            | Self::MaximumQoS
            | Self::RetainAvailable
            | Self::WildcardSubscriptionAvailable
            | Self::SubscriptionIdentifierAvailable
            | Self::SharedSubscriptionAvailable => PacketSet::of([ConnAck]),
            Self::ServerReference => PacketSet::of([ConnAck, Disconnect]),
            Self::ReasonString => {
                PacketSet::of([ConnAck, PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck, Disconnect, Auth])
            }
            Self::UserProperty => PacketSet::of([
                Connect,
                ConnAck,
                Publish,
                PubAck,
                PubRec,
                PubRel,
                PubComp,
                Subscribe,
                SubAck,
                Unsubscribe,
                UnsubAck,
                Disconnect,
                Auth,
            ]),
        }
    }
}

impl core::fmt::Display for PropertyId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PacketKind::{
        Auth, ConnAck, Connect, Disconnect, PingReq, PingResp, PubAck, PubComp, PubRec, PubRel, Publish,
        SubAck, Subscribe, UnsubAck, Unsubscribe,
    };
    use std::vec::Vec;

    fn all() -> impl Iterator<Item = PropertyId> {
        (0..=255).filter_map(PropertyId::from_byte)
    }

    #[test]
    fn the_standard_has_27_properties_and_their_identifiers_round_trip() {
        assert_eq!(all().count(), 27);
        for byte in 0..=255 {
            assert!(PropertyId::from_byte(byte).is_none_or(|id| id.byte() == byte));
        }
    }

    /// The sections of the packets list what each may have; this is that list, packet by packet.
    #[test]
    fn each_packet_has_the_properties_of_its_section() {
        let answer = [0x1F, 0x26].as_slice();
        let rows: [(Carrier, &[u8]); 16] = [
            // [MQTT5 3.1.2.11] [MQTT5 3.1.3.2]
            (Carrier::Packet(Connect), &[0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27]),
            (Carrier::Will, &[0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26]),
            // [MQTT5 3.2.2.3]
            (
                Carrier::Packet(ConnAck),
                &[
                    0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28,
                    0x29, 0x2A,
                ],
            ),
            // [MQTT5 3.3.2.3]
            (Carrier::Packet(Publish), &[0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x23, 0x26]),
            // [MQTT5 3.4.2.2] [MQTT5 3.5.2.2] [MQTT5 3.6.2.2] [MQTT5 3.7.2.2]
            (Carrier::Packet(PubAck), answer),
            (Carrier::Packet(PubRec), answer),
            (Carrier::Packet(PubRel), answer),
            (Carrier::Packet(PubComp), answer),
            // [MQTT5 3.8.2.1] [MQTT5 3.9.2.1] [MQTT5 3.10.2.1] [MQTT5 3.11.2.1]
            (Carrier::Packet(Subscribe), &[0x0B, 0x26]),
            (Carrier::Packet(SubAck), answer),
            (Carrier::Packet(Unsubscribe), &[0x26]),
            (Carrier::Packet(UnsubAck), answer),
            (Carrier::Packet(PingReq), &[]),
            (Carrier::Packet(PingResp), &[]),
            // [MQTT5 3.14.2.2] [MQTT5 3.15.2.2]
            (Carrier::Packet(Disconnect), &[0x11, 0x1C, 0x1F, 0x26]),
            (Carrier::Packet(Auth), &[0x15, 0x16, 0x1F, 0x26]),
        ];
        for (carrier, bytes) in rows {
            let allowed: Vec<_> =
                all().filter(|id| id.is_allowed_in(carrier)).map(PropertyId::byte).collect();
            assert_eq!(allowed, bytes, "{carrier}");
        }
    }
}
