//! CONNACK: the server's answer to CONNECT [MQTT311 3.2] [MQTT5 3.2].

use crate::error::{DecodeError, EncodeError};
use crate::fixed_header::PacketKind;
use crate::properties::{Carrier, Properties};
use crate::reader::Reader;
use crate::reason_code::ReasonCode;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// The return codes of MQTT 3.1.1, 0 to 5, as the reason codes that say the same [MQTT311 3.2.2.3].
const RETURN_CODES: [ReasonCode; 6] = [
    ReasonCode::Success,
    ReasonCode::UnsupportedProtocolVersion,
    ReasonCode::ClientIdentifierNotValid,
    ReasonCode::ServerUnavailable,
    ReasonCode::BadUserNameOrPassword,
    ReasonCode::NotAuthorized,
];

/// Whether the connection stands.
///
/// ```text
/// body := flags:u8 code:u8 [properties]      ; flags bit 0: session present; properties: MQTT 5
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// The server still holds the client's session of an earlier connection [MQTT311 3.2.2-2], [MQTT5 3.2.2-3].
    pub session_present: bool,
    /// The server's decision.
    ///
    /// MQTT 3.1.1 has a return code for `Success` and five refusals; the others do not encode, because its server
    /// that has no fitting code closes without a CONNACK [MQTT311 3.2.2-6].
    pub reason: ReasonCode,
    /// MQTT 5: what the server offers and chooses.
    pub properties: Properties<'a>,
}

impl<'a> ConnAck<'a> {
    /// An answer without a session and properties.
    pub const fn new(reason: ReasonCode) -> Self {
        Self { session_present: false, reason, properties: Properties::NONE }
    }

    pub(crate) fn decode(version: ProtocolVersion, body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let flags = body.u8("connect acknowledge flags")?;
        let (reason, properties) = match version {
            ProtocolVersion::V311 => (decode_return_code(body)?, Properties::NONE),
            ProtocolVersion::V5 => (
                ReasonCode::decode(PacketKind::ConnAck, body)?,
                Properties::decode(body, Carrier::Packet(PacketKind::ConnAck))?,
            ),
        };
        match (flags, reason) {
            (0, _) => Ok(Self { session_present: false, reason, properties }),
            (1, ReasonCode::Success) => Ok(Self { session_present: true, reason, properties }),
            _ => Err(DecodeError::ConnAckFlags { flags }),
        }
    }

    pub(crate) fn encode_body(
        &self,
        version: ProtocolVersion,
        writer: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        // [MQTT311 3.2.2-4] [MQTT5 3.2.2-6] A refusal carries session present 0.
        if self.session_present && self.reason != ReasonCode::Success {
            return Err(EncodeError::SessionPresentOnRefusal);
        }
        writer.u8(self.session_present.into());
        match version {
            ProtocolVersion::V311 => writer.u8(return_code(self.reason)?),
            ProtocolVersion::V5 => {
                self.reason.encode(PacketKind::ConnAck, writer)?;
                self.properties.encode(Carrier::Packet(PacketKind::ConnAck), writer)?;
            }
        }
        Ok(())
    }

    pub(crate) const fn remaining_bytes(&self, version: ProtocolVersion) -> usize {
        2 + self.properties.encoded_len_in(version)
    }
}

fn decode_return_code(body: &mut Reader<'_>) -> Result<ReasonCode, DecodeError> {
    let value = body.u8("connect return code")?;
    let reason = RETURN_CODES.get(usize::from(value)).copied();
    reason.ok_or(DecodeError::InvalidReturnCode { kind: PacketKind::ConnAck, value })
}

fn return_code(reason: ReasonCode) -> Result<u8, EncodeError> {
    let code = RETURN_CODES.iter().position(|known| *known == reason);
    code.map(|code| code as u8).ok_or(EncodeError::NotIn311 { what: "return code for this reason" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Packet, decode};
    use crate::properties::{PropertiesWriter, Property};
    use ProtocolVersion::{V5, V311};
    use core::num::NonZeroU16;

    /// The four bytes that `umqtt.simple` reads after its CONNECT.
    #[test]
    fn acceptance_is_20_02_00_00() {
        let accepted = Packet::ConnAck(ConnAck::new(ReasonCode::Success));
        let mut out = [0xFF; 4];
        assert_eq!(accepted.encode(V311, &mut out), Ok(4));
        assert_eq!(out, [0x20, 0x02, 0x00, 0x00]);
        assert_eq!(decode(&out, V311, 4), Ok(Some((accepted, 4))));
    }

    /// [MQTT311 3.2.2.3]
    #[test]
    fn each_return_code_has_its_reason_code_and_the_others_have_no_word() {
        let reasons = [0x00, 0x84, 0x85, 0x88, 0x86, 0x87];
        for (code, reason) in reasons.into_iter().enumerate() {
            let packet = Packet::ConnAck(ConnAck::new(ReasonCode::from_byte(reason).unwrap()));
            let mut out = [0xFF; 4];
            assert_eq!(packet.encode(V311, &mut out), Ok(4));
            assert_eq!(out, [0x20, 2, 0, code as u8]);
            assert_eq!(decode(&out, V311, 4), Ok(Some((packet, 4))));
        }
        let moved = Packet::ConnAck(ConnAck::new(ReasonCode::ServerMoved));
        let what = "return code for this reason";
        assert_eq!(moved.encode(V311, &mut [0; 4]), Err(EncodeError::NotIn311 { what }));
    }

    #[test]
    fn with_mqtt_5_properties_follow() {
        let mut block = [0; 16];
        let mut writer = PropertiesWriter::new(&mut block);
        writer.push(Property::ReceiveMaximum(NonZeroU16::new(10).unwrap())).unwrap();
        writer.push(Property::RetainAvailable(false)).unwrap();
        let packet = Packet::ConnAck(ConnAck {
            session_present: true,
            reason: ReasonCode::Success,
            properties: writer.finish(),
        });
        let bytes = b"\x20\x08\x01\x00\x05\x21\x00\x0a\x25\x00";
        let mut out = [0; 16];
        assert_eq!(packet.encode(V5, &mut out), Ok(bytes.len()));
        assert_eq!(&out[..bytes.len()], bytes);
        assert_eq!(decode(bytes, V5, 16), Ok(Some((packet, bytes.len()))));
        // [MQTT5 3.2.2.3] The length is there even when nothing follows it.
        let refused = Packet::ConnAck(ConnAck::new(ReasonCode::NotAuthorized));
        assert_eq!(refused.encode(V5, &mut out), Ok(5));
        assert_eq!(out[..5], [0x20, 3, 0, 0x87, 0]);
        let expected = Err(DecodeError::Truncated { field: "property length" });
        assert_eq!(decode(&[0x20, 2, 0, 0], V5, 16), expected);
    }

    /// Properties are left out where there is no place for them.
    #[test]
    fn without_mqtt_5_properties_are_dropped() {
        let mut block = [0; 16];
        let mut writer = PropertiesWriter::new(&mut block);
        writer.push(Property::ServerKeepAliveS(9)).unwrap();
        let connack = ConnAck { properties: writer.finish(), ..ConnAck::new(ReasonCode::Success) };
        assert_eq!(Packet::ConnAck(connack).encode(V311, &mut [0; 4]), Ok(4));
    }

    /// [MQTT311 3.2.2-4] [MQTT5 3.2.2-6]
    #[test]
    fn a_refusal_has_no_session() {
        let refusal = ConnAck { session_present: true, ..ConnAck::new(ReasonCode::NotAuthorized) };
        for version in [V311, V5] {
            let refused = Packet::ConnAck(refusal).encode(version, &mut [0; 8]);
            assert_eq!(refused, Err(EncodeError::SessionPresentOnRefusal));
        }
        let expected = Err(DecodeError::ConnAckFlags { flags: 1 });
        assert_eq!(decode(&[0x20, 2, 1, 5], V311, 4), expected);
        assert_eq!(decode(&[0x20, 3, 1, 0x87, 0], V5, 8), expected);
    }

    #[test]
    fn unknown_flags_and_codes_are_refused() {
        let kind = PacketKind::ConnAck;
        assert_eq!(decode(&[0x20, 2, 2, 0], V311, 4), Err(DecodeError::ConnAckFlags { flags: 2 }));
        let expected = Err(DecodeError::InvalidReturnCode { kind, value: 6 });
        assert_eq!(decode(&[0x20, 2, 0, 6], V311, 4), expected);
        // [MQTT5 3.2.2-8] A code of 3.1.1, and one that another packet has.
        for value in [5, 0x8B] {
            let expected = Err(DecodeError::InvalidReasonCode { kind, value });
            assert_eq!(decode(&[0x20, 3, 0, value, 0], V5, 8), expected);
        }
        let code = ReasonCode::ServerShuttingDown;
        let refused = Packet::ConnAck(ConnAck::new(code)).encode(V5, &mut [0; 8]);
        assert_eq!(refused, Err(EncodeError::ReasonCode { kind, code }));
    }
}
