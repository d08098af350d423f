//! PUBACK, PUBREC, PUBREL and PUBCOMP: the steps by which a message is acknowledged [MQTT311 3.4] [MQTT5 3.4].

use super::ending::Ending;
use crate::error::{DecodeError, EncodeError};
use crate::fixed_header::PacketKind;
use crate::packet_id::PacketId;
use crate::properties::Properties;
use crate::reader::Reader;
use crate::reason_code::ReasonCode;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// One step of an acknowledgement; which one, the [`Packet`](crate::Packet) says.
///
/// ```text
/// body := packet_id:u16 [reason:u8 [properties]]      ; MQTT 3.1.1: the identifier alone
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The identifier of the PUBLISH [MQTT311 2.3.1-6], [MQTT5 2.2.1-5].
    pub packet_id: PacketId,
    /// What became of the message; always `Success` in MQTT 3.1.1.
    ///
    /// MQTT 3.1.1 cannot refuse a message, so a failure does not encode there. `NoMatchingSubscribers` does, as the
    /// success it is.
    pub reason: ReasonCode,
    /// MQTT 5: an explanation.
    pub properties: Properties<'a>,
}

impl<'a> Ack<'a> {
    /// The step as it is when all is well.
    pub const fn success(packet_id: PacketId) -> Self {
        Self { packet_id, reason: ReasonCode::Success, properties: Properties::NONE }
    }

    #[inline]
    pub(super) fn decode(
        kind: PacketKind,
        version: ProtocolVersion,
        body: &mut Reader<'a>,
    ) -> Result<Self, DecodeError> {
        let packet_id = body.packet_id()?;
        match version {
            ProtocolVersion::V311 => Ok(Self::success(packet_id)),
            ProtocolVersion::V5 => {
                let Ending { reason, properties } = Ending::decode(kind, body)?;
                Ok(Self { packet_id, reason, properties })
            }
        }
    }

    pub(super) fn encode_body(
        &self,
        kind: PacketKind,
        version: ProtocolVersion,
        writer: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        writer.packet_id(self.packet_id);
        match version {
            ProtocolVersion::V5 => self.ending().encode(kind, writer),
            ProtocolVersion::V311 if self.reason.is_failure() => {
                Err(EncodeError::NotIn311 { what: "acknowledgement that refuses" })
            }
            ProtocolVersion::V311 => Ok(()),
        }
    }

    pub(super) fn remaining_bytes(&self, version: ProtocolVersion) -> usize {
        match version {
            ProtocolVersion::V311 => 2,
            ProtocolVersion::V5 => 2 + self.ending().bytes_len(),
        }
    }

    const fn ending(&self) -> Ending<'a> {
        Ending { reason: self.reason, properties: self.properties }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Packet, decode};
    use crate::properties::{Carrier, PlacementError, PropertiesWriter, Property, PropertyId};
    use ProtocolVersion::{V5, V311};

    /// A packet of an acknowledgement, and its first byte.
    type Step = (fn(Ack<'static>) -> Packet<'static>, u8);

    const STEPS: [Step; 4] =
        [(Packet::PubAck, 0x40), (Packet::PubRec, 0x50), (Packet::PubRel, 0x62), (Packet::PubComp, 0x70)];

    fn id() -> PacketId {
        PacketId::new(0x0A0B).unwrap()
    }

    /// [MQTT5 3.4.2.1] [MQTT5 3.5.2.1] [MQTT5 3.6.2.1] [MQTT5 3.7.2.1]
    #[test]
    fn success_is_the_identifier_alone_in_both_versions() {
        for (step, first) in STEPS {
            for version in [V311, V5] {
                let (packet, bytes) = (step(Ack::success(id())), [first, 2, 0x0A, 0x0B]);
                let mut out = [0; 4];
                assert_eq!(packet.encode(version, &mut out), Ok(4));
                assert_eq!(out, bytes);
                assert_eq!(decode(&bytes, version, 4), Ok(Some((packet, 4))));
            }
        }
    }

    /// [MQTT5 3.4.2.2.1] Less than four bytes remain: there is no property length.
    #[test]
    fn a_reason_without_properties_is_one_byte_more() {
        let packet =
            Packet::PubRel(Ack { reason: ReasonCode::PacketIdentifierNotFound, ..Ack::success(id()) });
        let bytes = [0x62, 3, 0x0A, 0x0B, 0x92];
        let mut out = [0; 5];
        assert_eq!(packet.encode(V5, &mut out), Ok(5));
        assert_eq!(out, bytes);
        assert_eq!(decode(&bytes, V5, 5), Ok(Some((packet, 5))));
        // The long form says the same.
        assert_eq!(decode(&[0x62, 4, 0x0A, 0x0B, 0x92, 0], V5, 6), Ok(Some((packet, 6))));
        let long_success = [0x62, 4, 0x0A, 0x0B, 0, 0];
        assert_eq!(decode(&long_success, V5, 6), Ok(Some((Packet::PubRel(Ack::success(id())), 6))));
    }

    #[test]
    fn properties_byte_for_byte() {
        let mut block = [0; 16];
        let mut writer = PropertiesWriter::new(&mut block);
        writer.push(Property::ReasonString("no")).unwrap();
        let ack = Ack { reason: ReasonCode::NotAuthorized, properties: writer.finish(), packet_id: id() };
        let bytes = b"\x40\x09\x0a\x0b\x87\x05\x1f\0\x02no";
        let mut out = [0; 16];
        assert_eq!(Packet::PubAck(ack).encode(V5, &mut out), Ok(bytes.len()));
        assert_eq!(&out[..bytes.len()], bytes);
        assert_eq!(decode(bytes, V5, 16), Ok(Some((Packet::PubAck(ack), bytes.len()))));
        // Properties need the reason before them, even when it is success.
        let ack = Ack { reason: ReasonCode::Success, ..ack };
        assert_eq!(Packet::PubAck(ack).encode(V5, &mut out), Ok(bytes.len()));
        assert_eq!(out[4], 0);
    }

    /// [MQTT5 3.4.2-1] [MQTT5 3.6.2-1]
    #[test]
    fn codes_and_properties_of_other_packets_are_refused() {
        let (kind, value) = (PacketKind::PubRel, 0x87);
        let expected = Err(DecodeError::InvalidReasonCode { kind, value });
        assert_eq!(decode(&[0x62, 3, 0, 1, value], V5, 8), expected);
        let (property, carrier) = (PropertyId::TopicAlias, Carrier::Packet(PacketKind::PubAck));
        let expected = Err(DecodeError::Properties(PlacementError::NotAllowed { property, carrier }));
        assert_eq!(decode(&[0x40, 7, 0, 1, 0, 3, 0x23, 0, 1], V5, 9), expected);
    }

    /// [MQTT311 3.3.5-2] A server of 3.1.1 acknowledges or closes.
    #[test]
    fn mqtt_311_has_no_refusal_and_takes_every_success() {
        let refusal = Packet::PubAck(Ack { reason: ReasonCode::NotAuthorized, ..Ack::success(id()) });
        let what = "acknowledgement that refuses";
        assert_eq!(refusal.encode(V311, &mut [0; 8]), Err(EncodeError::NotIn311 { what }));
        let unwanted =
            Packet::PubAck(Ack { reason: ReasonCode::NoMatchingSubscribers, ..Ack::success(id()) });
        let mut out = [0; 4];
        assert_eq!(unwanted.encode(V311, &mut out), Ok(4));
        assert_eq!(out, [0x40, 2, 0x0A, 0x0B]);
        assert_eq!(decode(&[0x40, 3, 0, 1, 0], V311, 8), Err(DecodeError::Surplus { surplus_bytes: 1 }));
    }
}
