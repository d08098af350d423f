//! UNSUBACK: the server's answer to UNSUBSCRIBE [MQTT311 3.11] [MQTT5 3.11].

use super::reason_codes::ReasonCodes;
use crate::error::{DecodeError, EncodeError};
use crate::fixed_header::PacketKind;
use crate::packet_id::PacketId;
use crate::properties::{Carrier, Properties};
use crate::reader::Reader;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// The subscriptions have ended.
///
/// ```text
/// body := packet_id:u16 [properties code:u8{1..}]      ; MQTT 3.1.1: the identifier alone
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsubAck<'a> {
    /// The identifier of the UNSUBSCRIBE [MQTT311 3.10.4-4], [MQTT5 3.10.4-4].
    pub packet_id: PacketId,
    /// MQTT 5: an explanation.
    pub properties: Properties<'a>,
    /// The answers in the order of the filters [MQTT5 3.11.3-1]; none in MQTT 3.1.1.
    ///
    /// MQTT 3.1.1 cannot refuse, so failures do not encode there; successes are left out.
    pub codes: ReasonCodes<'a>,
}

impl<'a> UnsubAck<'a> {
    pub(super) fn decode(version: ProtocolVersion, body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let packet_id = body.packet_id()?;
        match version {
            ProtocolVersion::V311 => {
                Ok(Self { packet_id, properties: Properties::NONE, codes: ReasonCodes::NONE })
            }
            ProtocolVersion::V5 => {
                let properties = Properties::decode(body, Carrier::Packet(PacketKind::UnsubAck))?;
                let codes = ReasonCodes::decode(PacketKind::UnsubAck, body.take_rest())?;
                Ok(Self { packet_id, properties, codes })
            }
        }
    }

    pub(super) fn encode_body(
        &self,
        version: ProtocolVersion,
        writer: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        writer.packet_id(self.packet_id);
        match version {
            ProtocolVersion::V311 if self.codes.iter().any(|code| code.is_failure()) => {
                Err(EncodeError::NotIn311 { what: "refusal in an UNSUBACK" })
            }
            ProtocolVersion::V311 => Ok(()),
            ProtocolVersion::V5 => {
                self.properties.encode(Carrier::Packet(PacketKind::UnsubAck), writer)?;
                self.codes.encode(PacketKind::UnsubAck, writer)
            }
        }
    }

    pub(super) const fn remaining_bytes(&self, version: ProtocolVersion) -> usize {
        match version {
            ProtocolVersion::V311 => 2,
            ProtocolVersion::V5 => 2 + self.properties.encoded_len_in(version) + self.codes.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Packet, decode};
    use crate::reason_code::ReasonCode;
    use ProtocolVersion::{V5, V311};

    fn packet(codes: &[ReasonCode]) -> Packet<'_> {
        let codes = ReasonCodes::from_slice(codes);
        Packet::UnsubAck(UnsubAck {
            packet_id: PacketId::new(0x0A0B).unwrap(),
            properties: Properties::NONE,
            codes,
        })
    }

    #[test]
    fn one_code_per_filter_byte_for_byte() {
        let codes = [ReasonCode::Success, ReasonCode::NoSubscriptionExisted];
        let mut out = [0; 8];
        assert_eq!(packet(&codes).encode(V5, &mut out), Ok(7));
        assert_eq!(out[..7], [0xB0, 5, 0x0A, 0x0B, 0, 0, 0x11]);
        assert_eq!(decode(&out, V5, 8), Ok(Some((packet(&codes), 7))));
    }

    /// [MQTT311 3.11]
    #[test]
    fn in_mqtt_311_it_is_the_identifier_alone() {
        let bytes = [0xB0, 2, 0x0A, 0x0B];
        assert_eq!(decode(&bytes, V311, 4), Ok(Some((packet(&[]), 4))));
        for codes in [[].as_slice(), &[ReasonCode::NoSubscriptionExisted]] {
            let mut out = [0; 4];
            assert_eq!(packet(codes).encode(V311, &mut out), Ok(4));
            assert_eq!(out, bytes);
        }
        let what = "refusal in an UNSUBACK";
        let refused = packet(&[ReasonCode::NotAuthorized]).encode(V311, &mut [0; 4]);
        assert_eq!(refused, Err(EncodeError::NotIn311 { what }));
    }

    /// [MQTT5 3.11.3-2]
    #[test]
    fn foreign_and_missing_codes_are_refused() {
        let (kind, value) = (PacketKind::UnsubAck, 1);
        let expected = Err(DecodeError::InvalidReasonCode { kind, value });
        assert_eq!(decode(&[0xB0, 4, 0, 7, 0, value], V5, 8), expected);
        let expected = Err(DecodeError::Truncated { field: "reason codes" });
        assert_eq!(decode(&[0xB0, 3, 0, 7, 0], V5, 8), expected);
        assert_eq!(packet(&[]).encode(V5, &mut [0; 8]), Err(EncodeError::NoReasonCodes));
    }
}
