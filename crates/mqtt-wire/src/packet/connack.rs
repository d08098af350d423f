//! CONNACK: the server's answer to CONNECT [MQTT311 3.2].

use crate::error::{DecodeError, EncodeError};
use crate::fixed_header::PacketKind;
use crate::reader::Reader;
use crate::writer::Writer;

/// Whether the connection stands.
///
/// ```text
/// body := flags:u8 code:u8      ; flags bit 0: session present
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnAck {
    /// The server still holds the client's session of an earlier connection [MQTT311 3.2.2-2].
    pub session_present: bool,
    /// The server's decision.
    pub code: ConnectReturnCode,
}

/// The server's decision about a CONNECT [MQTT311 3.2.2.3].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ConnectReturnCode {
    /// The connection stands.
    Accepted = 0,
    /// The server does not speak the level of the protocol that was asked for.
    UnacceptableProtocolVersion = 1,
    /// The client identifier is not allowed.
    IdentifierRejected = 2,
    /// MQTT is not available at the moment.
    ServerUnavailable = 3,
    /// The user name or password is malformed.
    BadUserNameOrPassword = 4,
    /// The client may not connect.
    NotAuthorized = 5,
}

impl ConnectReturnCode {
    const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Accepted,
            1 => Self::UnacceptableProtocolVersion,
            2 => Self::IdentifierRejected,
            3 => Self::ServerUnavailable,
            4 => Self::BadUserNameOrPassword,
            5 => Self::NotAuthorized,
            _ => return None,
        })
    }
}

impl ConnAck {
    pub(crate) fn decode(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = body.u8("connect acknowledge flags")?;
        let value = body.u8("connect return code")?;
        let code = ConnectReturnCode::from_byte(value)
            .ok_or(DecodeError::InvalidReturnCode { kind: PacketKind::ConnAck, value })?;
        match (flags, code) {
            (0, _) => Ok(Self { session_present: false, code }),
            (1, ConnectReturnCode::Accepted) => Ok(Self { session_present: true, code }),
            _ => Err(DecodeError::ConnAckFlags { flags }),
        }
    }

    pub(crate) fn encode_body(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        // [MQTT311 3.2.2-4] A refusal carries session present 0.
        if self.session_present && self.code != ConnectReturnCode::Accepted {
            return Err(EncodeError::SessionPresentOnRefusal);
        }
        writer.u8(self.session_present.into());
        writer.u8(self.code as u8);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Packet, decode};

    /// The four bytes that `umqtt.simple` reads after its CONNECT.
    #[test]
    fn acceptance_is_20_02_00_00() {
        let accepted = Packet::ConnAck(ConnAck { session_present: false, code: ConnectReturnCode::Accepted });
        let mut out = [0xFF; 4];
        assert_eq!(accepted.encode(&mut out), Ok(4));
        assert_eq!(out, [0x20, 0x02, 0x00, 0x00]);
        assert_eq!(decode(&out, 4), Ok(Some((accepted, 4))));
    }

    /// [MQTT311 3.2.2-4]
    #[test]
    fn a_refusal_has_no_session() {
        let refusal = ConnAck { session_present: true, code: ConnectReturnCode::NotAuthorized };
        assert_eq!(Packet::ConnAck(refusal).encode(&mut [0; 4]), Err(EncodeError::SessionPresentOnRefusal));
        assert_eq!(decode(&[0x20, 2, 1, 5], 4), Err(DecodeError::ConnAckFlags { flags: 1 }));
    }

    #[test]
    fn unknown_flags_and_codes_are_refused() {
        assert_eq!(decode(&[0x20, 2, 2, 0], 4), Err(DecodeError::ConnAckFlags { flags: 2 }));
        assert_eq!(
            decode(&[0x20, 2, 0, 6], 4),
            Err(DecodeError::InvalidReturnCode { kind: PacketKind::ConnAck, value: 6 })
        );
    }
}
