//! DISCONNECT: the connection ends in good order [MQTT311 3.14] [MQTT5 3.14].

use super::ending::Ending;
use crate::error::{DecodeError, EncodeError};
use crate::fixed_header::PacketKind;
use crate::properties::Properties;
use crate::reader::Reader;
use crate::reason_code::ReasonCode;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// The last packet of a connection: from the client, and in MQTT 5 from the server too.
///
/// ```text
/// body := [reason:u8 [properties]]      ; MQTT 3.1.1: empty
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why the connection ends; always `Success`, which is a normal disconnection, in MQTT 3.1.1.
    ///
    /// With any other reason the will is published [MQTT5 3.14.4-3], so a DISCONNECT with one does not encode in
    /// MQTT 3.1.1: what would be written means the opposite.
    pub reason: ReasonCode,
    /// MQTT 5: an explanation, or another server to use.
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    /// A client leaves and its will is not published.
    pub const NORMAL: Self = Self::new(ReasonCode::Success);

    /// A DISCONNECT without properties.
    pub const fn new(reason: ReasonCode) -> Self {
        Self { reason, properties: Properties::NONE }
    }

    pub(super) fn decode(version: ProtocolVersion, body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        match version {
            ProtocolVersion::V311 => Ok(Self::NORMAL),
            ProtocolVersion::V5 => {
                let Ending { reason, properties } = Ending::decode(PacketKind::Disconnect, body)?;
                Ok(Self { reason, properties })
            }
        }
    }

    pub(super) fn encode_body(
        &self,
        version: ProtocolVersion,
        writer: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        match version {
            ProtocolVersion::V5 => self.ending().encode(PacketKind::Disconnect, writer),
            ProtocolVersion::V311 if self.reason != ReasonCode::Success => {
                Err(EncodeError::NotIn311 { what: "reason in a DISCONNECT" })
            }
            ProtocolVersion::V311 => Ok(()),
        }
    }

    pub(super) fn remaining_bytes(&self, version: ProtocolVersion) -> usize {
        match version {
            ProtocolVersion::V311 => 0,
            ProtocolVersion::V5 => self.ending().bytes_len(),
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
    use crate::properties::{PropertiesWriter, Property};
    use ProtocolVersion::{V5, V311};

    /// [MQTT5 3.14.2.1] [MQTT5 3.14.2.2.1]
    #[test]
    fn three_forms_byte_for_byte() {
        let mut block = [0; 16];
        let mut writer = PropertiesWriter::new(&mut block);
        writer.push(Property::ServerReference("b:1")).unwrap();
        let properties = writer.finish();
        let moved = Disconnect { reason: ReasonCode::ServerMoved, properties };
        let rows: [(Disconnect<'_>, &[u8]); 3] = [
            (Disconnect::NORMAL, &[0xE0, 0]),
            (Disconnect::new(ReasonCode::KeepAliveTimeout), &[0xE0, 1, 0x8D]),
            (moved, b"\xe0\x08\x9d\x06\x1c\0\x03b:1"),
        ];
        for (disconnect, bytes) in rows {
            let packet = Packet::Disconnect(disconnect);
            let mut out = [0; 16];
            assert_eq!(packet.encode(V5, &mut out), Ok(bytes.len()));
            assert_eq!(&out[..bytes.len()], bytes);
            assert_eq!(decode(bytes, V5, 16), Ok(Some((packet, bytes.len()))));
        }
        let long_normal = Ok(Some((Packet::Disconnect(Disconnect::NORMAL), 4)));
        assert_eq!(decode(&[0xE0, 2, 0, 0], V5, 16), long_normal);
    }

    /// [MQTT311 3.14] [MQTT5 3.14.4-3]
    #[test]
    fn in_mqtt_311_it_is_empty_and_has_no_reason() {
        let normal = Packet::Disconnect(Disconnect::NORMAL);
        assert_eq!(normal.encode(V311, &mut [0; 2]), Ok(2));
        assert_eq!(decode(&[0xE0, 0], V311, 2), Ok(Some((normal, 2))));
        assert_eq!(decode(&[0xE0, 1, 0], V311, 4), Err(DecodeError::Surplus { surplus_bytes: 1 }));
        let with_will = Packet::Disconnect(Disconnect::new(ReasonCode::DisconnectWithWill));
        let what = "reason in a DISCONNECT";
        assert_eq!(with_will.encode(V311, &mut [0; 2]), Err(EncodeError::NotIn311 { what }));
    }
}
