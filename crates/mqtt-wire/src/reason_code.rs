//! Reason codes: one list for all packets [MQTT5 2.4].

use crate::error::{DecodeError, EncodeError};
use crate::fixed_header::PacketKind;
use crate::packet_set::PacketSet;
use crate::qos::QoS;
use crate::reader::Reader;
use crate::writer::Writer;

/// What became of a packet, or why a connection ends [MQTT5 2.4].
///
/// One type for all packets, as the standard numbers them in one list; [`is_allowed_in`](Self::is_allowed_in) says
/// which packet may carry which. What 3.1.1 has in their place is read into them: every return code of its CONNACK
/// has a twin here, and its SUBACK says a granted QoS or [`UnspecifiedError`](Self::UnspecifiedError).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ReasonCode {
    /// All is well. Of a DISCONNECT: the will is not published. Of a SUBACK: QoS 0 is granted.
    Success = 0x00,
    /// The subscription stands, with QoS 1 at most.
    GrantedQoS1 = 0x01,
    /// The subscription stands, with QoS 2 at most.
    GrantedQoS2 = 0x02,
    /// The client leaves and wants its will published.
    DisconnectWithWill = 0x04,
    /// The message was accepted, and nobody wants it.
    NoMatchingSubscribers = 0x10,
    /// There was nothing to end.
    NoSubscriptionExisted = 0x11,
    /// Another step of the authentication follows.
    ContinueAuthentication = 0x18,
    /// The client begins to authenticate anew.
    ReAuthenticate = 0x19,
    /// A refusal without a reason, the only one that a 3.1.1 SUBACK has.
    UnspecifiedError = 0x80,
    /// The bytes could not be read as a packet.
    MalformedPacket = 0x81,
    /// The packet holds, or is, something that the protocol does not allow here.
    ProtocolError = 0x82,
    /// The packet is fine, and this receiver cannot handle it.
    ImplementationSpecificError = 0x83,
    /// The server does not speak this version.
    UnsupportedProtocolVersion = 0x84,
    /// The client identifier is not allowed.
    ClientIdentifierNotValid = 0x85,
    /// The server does not accept the user name or the password.
    BadUserNameOrPassword = 0x86,
    /// The sender may not do this.
    NotAuthorized = 0x87,
    /// MQTT is not available at the moment.
    ServerUnavailable = 0x88,
    /// The server has no time; try again later.
    ServerBusy = 0x89,
    /// The client was banned by an administrator.
    Banned = 0x8A,
    /// The server stops.
    ServerShuttingDown = 0x8B,
    /// The authentication method is not supported, or not the one in use.
    BadAuthenticationMethod = 0x8C,
    /// The client was silent for too long.
    KeepAliveTimeout = 0x8D,
    /// Another connection has the same client identifier.
    SessionTakenOver = 0x8E,
    /// The filter is well formed, and not accepted.
    TopicFilterInvalid = 0x8F,
    /// The topic is well formed, and not accepted.
    TopicNameInvalid = 0x90,
    /// The packet identifier belongs to another exchange that is not over.
    PacketIdentifierInUse = 0x91,
    /// The packet identifier belongs to nothing.
    PacketIdentifierNotFound = 0x92,
    /// More messages are unacknowledged than the receiver allows.
    ReceiveMaximumExceeded = 0x93,
    /// The topic alias is zero, above the maximum, or stands for nothing.
    TopicAliasInvalid = 0x94,
    /// The packet is larger than the receiver takes.
    PacketTooLarge = 0x95,
    /// Messages come too fast.
    MessageRateTooHigh = 0x96,
    /// A limit of the server or an administrator is reached.
    QuotaExceeded = 0x97,
    /// An administrator ended the connection.
    AdministrativeAction = 0x98,
    /// The payload is not what its format indicator says.
    PayloadFormatInvalid = 0x99,
    /// The server keeps no retained messages.
    RetainNotSupported = 0x9A,
    /// The QoS is above the server's maximum.
    QoSNotSupported = 0x9B,
    /// For now the client should use another server.
    UseAnotherServer = 0x9C,
    /// From now on the client should use another server.
    ServerMoved = 0x9D,
    /// The server has no shared subscriptions.
    SharedSubscriptionsNotSupported = 0x9E,
    /// Connections come too fast.
    ConnectionRateExceeded = 0x9F,
    /// The connection has lasted as long as it may.
    MaximumConnectTime = 0xA0,
    /// The server has no subscription identifiers.
    SubscriptionIdentifiersNotSupported = 0xA1,
    /// The server has no subscriptions with wildcards.
    WildcardSubscriptionsNotSupported = 0xA2,
}

impl ReasonCode {
    /// The code with this number; `None` for reserved ones.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0x00 => Self::Success,
            0x01 => Self::GrantedQoS1,
            0x02 => Self::GrantedQoS2,
            0x04 => Self::DisconnectWithWill,
            0x10 => Self::NoMatchingSubscribers,
            0x11 => Self::NoSubscriptionExisted,
            0x18 => Self::ContinueAuthentication,
            0x19 => Self::ReAuthenticate,
            0x80 => Self::UnspecifiedError,
            0x81 => Self::MalformedPacket,
            0x82 => Self::ProtocolError,
            0x83 => Self::ImplementationSpecificError,
            0x84 => Self::UnsupportedProtocolVersion,
            0x85 => Self::ClientIdentifierNotValid,
            0x86 => Self::BadUserNameOrPassword,
            0x87 => Self::NotAuthorized,
            0x88 => Self::ServerUnavailable,
            0x89 => Self::ServerBusy,
            0x8A => Self::Banned,
            0x8B => Self::ServerShuttingDown,
            0x8C => Self::BadAuthenticationMethod,
            0x8D => Self::KeepAliveTimeout,
            0x8E => Self::SessionTakenOver,
            0x8F => Self::TopicFilterInvalid,
            0x90 => Self::TopicNameInvalid,
            0x91 => Self::PacketIdentifierInUse,
            0x92 => Self::PacketIdentifierNotFound,
            0x93 => Self::ReceiveMaximumExceeded,
            0x94 => Self::TopicAliasInvalid,
            0x95 => Self::PacketTooLarge,
            0x96 => Self::MessageRateTooHigh,
            0x97 => Self::QuotaExceeded,
            0x98 => Self::AdministrativeAction,
            0x99 => Self::PayloadFormatInvalid,
            0x9A => Self::RetainNotSupported,
            0x9B => Self::QoSNotSupported,
            0x9C => Self::UseAnotherServer,
            0x9D => Self::ServerMoved,
            0x9E => Self::SharedSubscriptionsNotSupported,
            0x9F => Self::ConnectionRateExceeded,
            0xA0 => Self::MaximumConnectTime,
            0xA1 => Self::SubscriptionIdentifiersNotSupported,
            0xA2 => Self::WildcardSubscriptionsNotSupported,
            _ => return None,
        })
    }

    /// The number that goes on the wire.
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// The code of a SUBACK that grants this QoS.
    pub const fn granted(qos: QoS) -> Self {
        match qos {
            QoS::AtMostOnce => Self::Success,
            QoS::AtLeastOnce => Self::GrantedQoS1,
            QoS::ExactlyOnce => Self::GrantedQoS2,
        }
    }

    /// The QoS that this code of a SUBACK grants; `None` for a refusal.
    pub const fn granted_qos(self) -> Option<QoS> {
        QoS::from_number(self.byte())
    }

    /// The code tells of a failure: 0x80 and above [MQTT5 2.4].
    pub const fn is_failure(self) -> bool {
        self.byte() >= 0x80
    }

    /// Whether a packet of this type may carry the code, from whichever end it comes.
    pub const fn is_allowed_in(self, kind: PacketKind) -> bool {
        self.packets().contains(kind)
    }

    /// The code's name in lower case, such as `not authorized`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::GrantedQoS1 => "granted QoS 1",
            Self::GrantedQoS2 => "granted QoS 2",
            Self::DisconnectWithWill => "disconnect with will message",
            Self::NoMatchingSubscribers => "no matching subscribers",
            Self::NoSubscriptionExisted => "no subscription existed",
            Self::ContinueAuthentication => "continue authentication",
            Self::ReAuthenticate => "re-authenticate",
            Self::UnspecifiedError => "unspecified error",
            Self::MalformedPacket => "malformed packet",
            Self::ProtocolError => "protocol error",
            Self::ImplementationSpecificError => "implementation specific error",
            Self::UnsupportedProtocolVersion => "unsupported protocol version",
            Self::ClientIdentifierNotValid => "client identifier not valid",
            Self::BadUserNameOrPassword => "bad user name or password",
            Self::NotAuthorized => "not authorized",
            Self::ServerUnavailable => "server unavailable",
            Self::ServerBusy => "server busy",
            Self::Banned => "banned",
            Self::ServerShuttingDown => "server shutting down",
            Self::BadAuthenticationMethod => "bad authentication method",
            Self::KeepAliveTimeout => "keep alive timeout",
            Self::SessionTakenOver => "session taken over",
            Self::TopicFilterInvalid => "topic filter invalid",
            Self::TopicNameInvalid => "topic name invalid",
            Self::PacketIdentifierInUse => "packet identifier in use",
            Self::PacketIdentifierNotFound => "packet identifier not found",
            Self::ReceiveMaximumExceeded => "receive maximum exceeded",
            Self::TopicAliasInvalid => "topic alias invalid",
            Self::PacketTooLarge => "packet too large",
            Self::MessageRateTooHigh => "message rate too high",
            Self::QuotaExceeded => "quota exceeded",
            Self::AdministrativeAction => "administrative action",
            Self::PayloadFormatInvalid => "payload format invalid",
            Self::RetainNotSupported => "retain not supported",
            Self::QoSNotSupported => "QoS not supported",
            Self::UseAnotherServer => "use another server",
            Self::ServerMoved => "server moved",
            Self::SharedSubscriptionsNotSupported => "shared subscriptions not supported",
            Self::ConnectionRateExceeded => "connection rate exceeded",
            Self::MaximumConnectTime => "maximum connect time",
            Self::SubscriptionIdentifiersNotSupported => "subscription identifiers not supported",
            Self::WildcardSubscriptionsNotSupported => "wildcard subscriptions not supported",
        }
    }

    /// Reads the code of this packet.
    pub(crate) fn decode(kind: PacketKind, body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let value = body.u8("reason code")?;
        match Self::from_byte(value) {
            Some(code) if code.is_allowed_in(kind) => Ok(code),
            _ => Err(DecodeError::InvalidReasonCode { kind, value }),
        }
    }

    pub(crate) fn encode(self, kind: PacketKind, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if !self.is_allowed_in(kind) {
            return Err(EncodeError::ReasonCode { kind, code: self });
        }
        writer.u8(self.byte());
        Ok(())
    }

    /// The packets that the list of all codes names, or the packet's own table: they differ in one place, 0x8C of a
    /// DISCONNECT, and a receiver does well to understand it.
    const fn packets(self) -> PacketSet {
        use PacketKind::{Auth, ConnAck, Disconnect, PubAck, PubComp, PubRec, PubRel, SubAck, UnsubAck};
        match self {
            Self::Success => {
                PacketSet::of([ConnAck, PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck, Disconnect, Auth])
            }
            Self::GrantedQoS1 | Self::GrantedQoS2 => PacketSet::of([SubAck]),
            Self::DisconnectWithWill
            | Self::ServerShuttingDown
            | Self::KeepAliveTimeout
            | Self::SessionTakenOver
            | Self::ReceiveMaximumExceeded
            | Self::TopicAliasInvalid
            | Self::MessageRateTooHigh
            | Self::AdministrativeAction
            | Self::MaximumConnectTime => PacketSet::of([Disconnect]),
            Self::NoMatchingSubscribers => PacketSet::of([PubAck, PubRec]),
            Self::NoSubscriptionExisted => PacketSet::of([UnsubAck]),
            Self::ContinueAuthentication | Self::ReAuthenticate => PacketSet::of([Auth]),
            Self::UnspecifiedError | Self::ImplementationSpecificError | Self::NotAuthorized => {
                PacketSet::of([ConnAck, PubAck, PubRec, SubAck, UnsubAck, Disconnect])
            }
            Self::MalformedPacket
            | Self::ProtocolError
            | Self::ServerBusy
            | Self::BadAuthenticationMethod
            | Self::PacketTooLarge
            | Self::RetainNotSupported
            | Self::QoSNotSupported
            | Self::UseAnotherServer
            | Self::ServerMoved
            | Self::ConnectionRateExceeded => PacketSet::of([ConnAck, Disconnect]),
            Self::UnsupportedProtocolVersion
            | Self::ClientIdentifierNotValid
            | Self::BadUserNameOrPassword
            | Self::ServerUnavailable
            | Self::Banned => PacketSet::of([ConnAck]),
            Self::TopicFilterInvalid => PacketSet::of([SubAck, UnsubAck, Disconnect]),
            Self::TopicNameInvalid | Self::PayloadFormatInvalid => {
                PacketSet::of([ConnAck, PubAck, PubRec, Disconnect])
            }
            Self::PacketIdentifierInUse => PacketSet::of([PubAck, PubRec, SubAck, UnsubAck]),
            Self::PacketIdentifierNotFound => PacketSet::of([PubRel, PubComp]),
            Self::QuotaExceeded => PacketSet::of([ConnAck, PubAck, PubRec, SubAck, Disconnect]),
            Self::SharedSubscriptionsNotSupported
            | Self::SubscriptionIdentifiersNotSupported
            | Self::WildcardSubscriptionsNotSupported => PacketSet::of([SubAck, Disconnect]),
        }
    }
}

impl core::fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PacketKind::{Auth, ConnAck, Disconnect, PubAck, PubComp, PubRec, PubRel, Publish, SubAck, UnsubAck};
    use std::vec::Vec;

    fn all() -> impl Iterator<Item = ReasonCode> {
        (0..=255).filter_map(ReasonCode::from_byte)
    }

    #[test]
    fn the_standard_has_43_codes_and_their_bytes_round_trip() {
        assert_eq!(all().count(), 43);
        for byte in 0..=255 {
            assert!(ReasonCode::from_byte(byte).is_none_or(|code| code.byte() == byte));
        }
        assert!(all().all(|code| code.is_failure() == (code.byte() >= 0x80)));
    }

    /// The tables 3-1, 3-4 to 3-9 and 3-10 to 3-11 of the standard, each in its packet's section.
    #[test]
    fn each_packet_has_the_codes_of_its_table() {
        let publish_answer = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99].as_slice();
        let rows: [(PacketKind, &[u8]); 10] = [
            // [MQTT5 3.2.2.2]
            (
                ConnAck,
                &[
                    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95,
                    0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
                ],
            ),
            (PubAck, publish_answer), // [MQTT5 3.4.2.1]
            (PubRec, publish_answer), // [MQTT5 3.5.2.1]
            (PubRel, &[0x00, 0x92]),  // [MQTT5 3.6.2.1]
            (PubComp, &[0x00, 0x92]), // [MQTT5 3.7.2.1]
            // [MQTT5 3.9.3]
            (SubAck, &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2]),
            // [MQTT5 3.11.3]
            (UnsubAck, &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]),
            // [MQTT5 3.14.2.1], and 0x8C, which only the list of all codes [MQTT5 2.4] gives to it.
            (
                Disconnect,
                &[
                    0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93,
                    0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
                ],
            ),
            (Auth, &[0x00, 0x18, 0x19]), // [MQTT5 3.15.2.1]
            (Publish, &[]),
        ];
        for (kind, bytes) in rows {
            let allowed: Vec<_> =
                all().filter(|code| code.is_allowed_in(kind)).map(ReasonCode::byte).collect();
            assert_eq!(allowed, bytes, "{kind}");
        }
    }

    #[test]
    fn granted_qos_round_trips() {
        for number in 0..=2 {
            let qos = QoS::from_number(number).unwrap();
            assert_eq!(ReasonCode::granted(qos).byte(), number);
            assert_eq!(ReasonCode::granted(qos).granted_qos(), Some(qos));
        }
        assert_eq!(ReasonCode::UnspecifiedError.granted_qos(), None);
    }
}
