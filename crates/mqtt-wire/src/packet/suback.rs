//! SUBACK: the server's answer to SUBSCRIBE [MQTT311 3.9] [MQTT5 3.9].

use super::reason_codes::ReasonCodes;
use crate::error::{DecodeError, EncodeError};
use crate::fixed_header::PacketKind;
use crate::packet_id::PacketId;
use crate::properties::{Carrier, Properties};
use crate::reader::Reader;
use crate::reason_code::ReasonCode;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// One answer per filter of the SUBSCRIBE.
///
/// ```text
/// body := packet_id:u16 [properties] code:u8{1..}      ; properties: MQTT 5
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// The identifier of the SUBSCRIBE [MQTT311 3.8.4-2], [MQTT5 3.8.4-2].
    pub packet_id: PacketId,
    /// MQTT 5: an explanation.
    pub properties: Properties<'a>,
    /// The answers in the order of the filters [MQTT311 3.9.3-1], [MQTT5 3.9.3-1].
    ///
    /// MQTT 3.1.1 has one refusal, 0x80. Every refusal is written as that one there: it still refuses.
    pub codes: ReasonCodes<'a>,
}

impl<'a> SubAck<'a> {
    pub(super) fn decode(version: ProtocolVersion, body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let packet_id = body.packet_id()?;
        match version {
            ProtocolVersion::V311 => {
                let codes = ReasonCodes::decode_return_codes(body.take_rest())?;
                Ok(Self { packet_id, properties: Properties::NONE, codes })
            }
            ProtocolVersion::V5 => {
                let properties = Properties::decode(body, Carrier::Packet(PacketKind::SubAck))?;
                let codes = ReasonCodes::decode(PacketKind::SubAck, body.take_rest())?;
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
            ProtocolVersion::V311 => {
                let in_311 = |code: ReasonCode| {
                    if code.is_failure() { ReasonCode::UnspecifiedError } else { code }
                };
                if self.codes.is_empty() {
                    return Err(EncodeError::NoReasonCodes);
                }
                self.codes.iter().try_for_each(|code| in_311(code).encode(PacketKind::SubAck, writer))
            }
            ProtocolVersion::V5 => {
                self.properties.encode(Carrier::Packet(PacketKind::SubAck), writer)?;
                self.codes.encode(PacketKind::SubAck, writer)
            }
        }
    }

    pub(super) const fn remaining_bytes(&self, version: ProtocolVersion) -> usize {
        2 + self.properties.encoded_len_in(version) + self.codes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Packet, decode};
    use crate::properties::{PropertiesWriter, Property};
    use ProtocolVersion::{V5, V311};
    use std::vec::Vec;

    fn packet(codes: &[ReasonCode]) -> Packet<'_> {
        let codes = ReasonCodes::from_slice(codes);
        Packet::SubAck(SubAck { packet_id: PacketId::new(7).unwrap(), properties: Properties::NONE, codes })
    }

    #[test]
    fn granted_and_refused_byte_for_byte() {
        let codes = [ReasonCode::GrantedQoS1, ReasonCode::UnspecifiedError];
        let packet = packet(&codes);
        let mut out = [0; 6];
        assert_eq!(packet.encode(V311, &mut out), Ok(6));
        assert_eq!(out, [0x90, 4, 0, 7, 1, 0x80]);
        assert_eq!(decode(&out, V311, 6), Ok(Some((packet, 6))));
        let Ok(Some((Packet::SubAck(suback), _))) = decode(&out, V311, 6) else { panic!("not a suback") };
        assert_eq!(suback.codes.iter().collect::<Vec<_>>(), codes);
        assert_eq!((suback.codes.len(), suback.codes.is_empty()), (2, false));
    }

    #[test]
    fn with_mqtt_5_properties_come_first_and_refusals_have_reasons() {
        let mut block = [0; 8];
        let mut writer = PropertiesWriter::new(&mut block);
        writer.push(Property::ReasonString("x")).unwrap();
        let codes = [ReasonCode::GrantedQoS2, ReasonCode::QuotaExceeded];
        let codes = ReasonCodes::from_slice(&codes);
        let packet_id = PacketId::new(7).unwrap();
        let packet = Packet::SubAck(SubAck { packet_id, properties: writer.finish(), codes });
        let bytes = b"\x90\x09\0\x07\x04\x1f\0\x01x\x02\x97";
        let mut out = [0; 16];
        assert_eq!(packet.encode(V5, &mut out), Ok(bytes.len()));
        assert_eq!(&out[..bytes.len()], bytes);
        assert_eq!(decode(bytes, V5, 16), Ok(Some((packet, bytes.len()))));
        // What 3.1.1 has no word for is a plain refusal there.
        assert_eq!(packet.encode(V311, &mut out), Ok(6));
        assert_eq!(out[..6], [0x90, 4, 0, 7, 2, 0x80]);
    }

    /// [MQTT311 3.9.3-2] [MQTT5 3.9.3-2]
    #[test]
    fn reserved_and_missing_codes_are_refused() {
        let kind = PacketKind::SubAck;
        for value in [3, 0x81, 0x87] {
            let expected = Err(DecodeError::InvalidReturnCode { kind, value });
            assert_eq!(decode(&[0x90, 3, 0, 7, value], V311, 8), expected);
        }
        let expected = Err(DecodeError::Truncated { field: "return codes" });
        assert_eq!(decode(&[0x90, 2, 0, 7], V311, 8), expected);
        for value in [3, 0x11, 0x81] {
            let expected = Err(DecodeError::InvalidReasonCode { kind, value });
            assert_eq!(decode(&[0x90, 4, 0, 7, 0, value], V5, 8), expected);
        }
        let expected = Err(DecodeError::Truncated { field: "reason codes" });
        assert_eq!(decode(&[0x90, 3, 0, 7, 0], V5, 8), expected);
        for version in [V311, V5] {
            assert_eq!(packet(&[]).encode(version, &mut [0; 8]), Err(EncodeError::NoReasonCodes));
            let code = ReasonCode::NoSubscriptionExisted;
            let refused = packet(&[code]).encode(version, &mut [0; 8]);
            assert_eq!(refused, Err(EncodeError::ReasonCode { kind, code }));
        }
    }
}
