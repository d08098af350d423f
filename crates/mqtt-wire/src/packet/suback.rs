//! SUBACK: the server's answer to SUBSCRIBE [MQTT311 3.9].

use crate::error::DecodeError;
use crate::fixed_header::PacketKind;
use crate::packet_id::PacketId;
use crate::qos::QoS;
use crate::reader::Reader;
use crate::writer::Writer;

/// The byte that refuses a filter [MQTT311 3.9.3].
const FAILURE: u8 = 0x80;

/// One answer per filter of the SUBSCRIBE.
///
/// ```text
/// body := packet_id:u16 code:u8{1..}
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// The identifier of the SUBSCRIBE [MQTT311 3.8.4-2].
    pub packet_id: PacketId,
    /// The answers in the order of the filters [MQTT311 3.9.3-1].
    pub codes: SubAckCodes<'a>,
}

/// The answer to one filter [MQTT311 3.9.3].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubAckCode {
    /// The subscription stands, with this QoS at most.
    Granted(QoS),
    /// The subscription was refused.
    Failure,
}

impl SubAckCode {
    /// The byte that goes on the wire.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Granted(qos) => qos.number(),
            Self::Failure => FAILURE,
        }
    }

    /// The code of a byte from the wire; `None` for reserved ones [MQTT311 3.9.3-2].
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match (byte, QoS::from_number(byte)) {
            (_, Some(qos)) => Some(Self::Granted(qos)),
            (FAILURE, None) => Some(Self::Failure),
            _ => None,
        }
    }
}

/// The bytes of a SUBACK, known to be valid codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubAckCodes<'a>(&'a [u8]);

impl<'a> SubAckCodes<'a> {
    /// Takes bytes made by [`SubAckCode::byte`]; `None` when there are none, or one of them is not a code.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        // [MQTT311 3.8.3-3] A SUBSCRIBE has at least one filter, so its answer has at least one code.
        if bytes.is_empty() {
            return None;
        }
        bytes.iter().all(|&byte| SubAckCode::from_byte(byte).is_some()).then_some(Self(bytes))
    }

    /// The codes in the order of the filters.
    pub fn iter(&self) -> impl Iterator<Item = SubAckCode> + use<'a> {
        self.0.iter().filter_map(|&byte| SubAckCode::from_byte(byte))
    }
}

impl<'a> SubAck<'a> {
    pub(crate) fn decode(body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let packet_id = body.packet_id()?;
        let bytes = body.take_rest();
        if bytes.is_empty() {
            return Err(DecodeError::Truncated { field: "return codes" });
        }
        match bytes.iter().find(|&&byte| SubAckCode::from_byte(byte).is_none()) {
            Some(&value) => Err(DecodeError::InvalidReturnCode { kind: PacketKind::SubAck, value }),
            None => Ok(Self { packet_id, codes: SubAckCodes(bytes) }),
        }
    }

    pub(crate) fn encode_body(&self, writer: &mut Writer<'_>) {
        writer.packet_id(self.packet_id);
        writer.bytes(self.codes.0);
    }

    pub(crate) const fn remaining_bytes(&self) -> usize {
        2 + self.codes.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Packet, decode};
    use std::vec::Vec;

    #[test]
    fn granted_and_refused_byte_for_byte() {
        let codes = [SubAckCode::Granted(QoS::AtLeastOnce), SubAckCode::Failure];
        let wire = codes.map(SubAckCode::byte);
        let codes_on_wire = SubAckCodes::parse(&wire).unwrap();
        let packet = Packet::SubAck(SubAck { packet_id: PacketId::new(7).unwrap(), codes: codes_on_wire });
        let mut out = [0; 6];
        assert_eq!(packet.encode(&mut out), Ok(6));
        assert_eq!(out, [0x90, 4, 0, 7, 1, 0x80]);
        assert_eq!(decode(&out, 6), Ok(Some((packet, 6))));
        assert_eq!(codes_on_wire.iter().collect::<Vec<_>>(), codes);
    }

    /// [MQTT311 3.9.3-2]
    #[test]
    fn reserved_and_missing_codes_are_refused() {
        assert_eq!(
            decode(&[0x90, 3, 0, 7, 3], 8),
            Err(DecodeError::InvalidReturnCode { kind: PacketKind::SubAck, value: 3 })
        );
        assert_eq!(SubAckCodes::parse(&[0, 0x81]), None);
        assert_eq!(SubAckCodes::parse(&[]), None);
        assert_eq!(decode(&[0x90, 2, 0, 7], 8), Err(DecodeError::Truncated { field: "return codes" }));
    }
}
