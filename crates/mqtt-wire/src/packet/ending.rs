//! How acknowledgements and DISCONNECT end: a reason code and properties, left out when they say nothing.

use crate::error::{DecodeError, EncodeError};
use crate::fixed_header::PacketKind;
use crate::properties::{Carrier, Properties};
use crate::reader::Reader;
use crate::reason_code::ReasonCode;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// The end of a packet of MQTT 5.
///
/// ```text
/// ending := [reason:u8 [properties]]      ; without reason: success; without properties: none
/// ```
///
/// Both short forms are read, and the shortest is written [MQTT5 3.4.2.1], [MQTT5 3.4.2.2.1], [MQTT5 3.14.2.1],
/// [MQTT5 3.14.2.2.1].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending<'a> {
    pub(super) reason: ReasonCode,
    pub(super) properties: Properties<'a>,
}

impl<'a> Ending<'a> {
    pub(super) fn decode(kind: PacketKind, body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        if body.is_empty() {
            return Ok(Self { reason: ReasonCode::Success, properties: Properties::NONE });
        }
        let reason = ReasonCode::decode(kind, body)?;
        if body.is_empty() {
            return Ok(Self { reason, properties: Properties::NONE });
        }
        Ok(Self { reason, properties: Properties::decode(body, Carrier::Packet(kind))? })
    }

    pub(super) fn encode(&self, kind: PacketKind, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if self.has_reason() {
            self.reason.encode(kind, writer)?;
        }
        if !self.properties.is_empty() {
            self.properties.encode(Carrier::Packet(kind), writer)?;
        }
        Ok(())
    }

    pub(super) fn bytes_len(&self) -> usize {
        if !self.properties.is_empty() {
            1 + self.properties.encoded_len_in(ProtocolVersion::V5)
        } else {
            usize::from(self.has_reason())
        }
    }

    fn has_reason(&self) -> bool {
        self.reason != ReasonCode::Success || !self.properties.is_empty()
    }
}
