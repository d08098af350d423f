//! AUTH: a step of an authentication with more than one question; MQTT 5 alone has it [MQTT5 3.15].

use crate::error::{DecodeError, EncodeError};
use crate::fixed_header::PacketKind;
use crate::properties::{Carrier, Properties};
use crate::reader::Reader;
use crate::reason_code::ReasonCode;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// A step of an enhanced authentication [MQTT5 4.12], in either direction.
///
/// ```text
/// body := [reason:u8 properties]      ; both left out: success, and nothing more to say
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success (from the server), continue, or begin anew (from the client).
    pub reason: ReasonCode,
    /// The authentication method, without which there is only the short form, and its data.
    pub properties: Properties<'a>,
}

impl<'a> Auth<'a> {
    pub(super) fn decode(body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        if body.is_empty() {
            return Ok(Self { reason: ReasonCode::Success, properties: Properties::NONE });
        }
        let reason = ReasonCode::decode(PacketKind::Auth, body)?;
        let properties = Properties::decode(body, Carrier::Packet(PacketKind::Auth))?;
        let auth = Self { reason, properties };
        if auth.lacks_method() { Err(DecodeError::AuthenticationMethodMissing) } else { Ok(auth) }
    }

    pub(super) fn encode_body(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if self.lacks_method() {
            return Err(EncodeError::AuthenticationMethodMissing);
        }
        if self.says_nothing() {
            return Ok(());
        }
        self.reason.encode(PacketKind::Auth, writer)?;
        self.properties.encode(Carrier::Packet(PacketKind::Auth), writer)
    }

    pub(super) fn remaining_bytes(&self) -> usize {
        if self.says_nothing() { 0 } else { 1 + self.properties.encoded_len_in(ProtocolVersion::V5) }
    }

    /// [MQTT5 3.15.2.1] Success without properties has a form without anything.
    fn says_nothing(&self) -> bool {
        self.reason == ReasonCode::Success && self.properties.is_empty()
    }

    /// [MQTT5 3.15.2.2.2] To omit the method is a protocol error, save where the short form has no place for it.
    fn lacks_method(&self) -> bool {
        !self.says_nothing() && self.properties.authentication_method().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Packet, decode};
    use crate::properties::{PlacementError, PropertiesWriter, Property};
    use ProtocolVersion::{V5, V311};

    #[test]
    fn a_step_byte_for_byte() {
        let mut block = [0; 16];
        let mut writer = PropertiesWriter::new(&mut block);
        writer.push(Property::AuthenticationMethod("m")).unwrap();
        writer.push(Property::AuthenticationData(&[0xFF])).unwrap();
        let packet =
            Packet::Auth(Auth { reason: ReasonCode::ContinueAuthentication, properties: writer.finish() });
        let bytes = b"\xf0\x0a\x18\x08\x15\0\x01m\x16\0\x01\xff";
        let mut out = [0; 16];
        assert_eq!(packet.encode(V5, &mut out), Ok(bytes.len()));
        assert_eq!(&out[..bytes.len()], bytes);
        assert_eq!(decode(bytes, V5, 16), Ok(Some((packet, bytes.len()))));
        assert_eq!(packet.encode(V311, &mut out), Err(EncodeError::NotIn311 { what: "AUTH packet" }));
        assert_eq!(decode(bytes, V311, 16), Err(DecodeError::ReservedPacketType { packet_type: 15 }));
    }

    /// [MQTT5 3.15.2.1]
    #[test]
    fn success_is_two_bytes_and_its_long_form_is_read() {
        let packet = Packet::Auth(Auth { reason: ReasonCode::Success, properties: Properties::NONE });
        let mut out = [0; 2];
        assert_eq!(packet.encode(V5, &mut out), Ok(2));
        assert_eq!(out, [0xF0, 0]);
        assert_eq!(decode(&[0xF0, 0], V5, 8), Ok(Some((packet, 2))));
        assert_eq!(decode(&[0xF0, 2, 0, 0], V5, 8), Ok(Some((packet, 4))));
        // Other than the acknowledgements it has no form with the reason alone.
        let expected = Err(DecodeError::Truncated { field: "property length" });
        assert_eq!(decode(&[0xF0, 1, 0], V5, 8), expected);
    }

    /// [MQTT5 3.15.2.2.2] [MQTT5 3.15.2.2.3] [MQTT5 3.15.2-1]
    #[test]
    fn a_step_needs_its_method_and_a_code_of_its_own() {
        assert_eq!(decode(&[0xF0, 2, 0x18, 0], V5, 8), Err(DecodeError::AuthenticationMethodMissing));
        let auth = Auth { reason: ReasonCode::ReAuthenticate, properties: Properties::NONE };
        let refused = Packet::Auth(auth).encode(V5, &mut [0; 8]);
        assert_eq!(refused, Err(EncodeError::AuthenticationMethodMissing));
        let expected = Err(DecodeError::Properties(PlacementError::AuthenticationDataAlone));
        assert_eq!(decode(b"\xf0\x06\x18\x04\x16\0\x01x", V5, 8), expected);
        let (kind, value) = (PacketKind::Auth, 0x80);
        let expected = Err(DecodeError::InvalidReasonCode { kind, value });
        assert_eq!(decode(&[0xF0, 2, value, 0], V5, 8), expected);
    }
}
