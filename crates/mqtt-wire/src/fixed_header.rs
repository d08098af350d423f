//! The two to five bytes every packet begins with [MQTT311 2.2] [MQTT5 2.1].

use crate::error::DecodeError;
use crate::variable_byte_integer;
use crate::version::ProtocolVersion;

/// Largest remaining length that four bytes can say [MQTT311 2.2.3].
pub const REMAINING_LENGTH_LIMIT: usize = variable_byte_integer::LIMIT;

/// Largest packet of the protocol: one byte of type and flags, four of length, and the rest.
pub const PACKET_BYTES_LIMIT: usize = 1 + variable_byte_integer::BYTES_MAX + REMAINING_LENGTH_LIMIT;

/// The name of the length in errors.
const REMAINING_LENGTH: &str = "remaining length";

/// The packet types [MQTT311 2.2.1] [MQTT5 2.1.2].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum PacketKind {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    /// MQTT 5 alone has it.
    Auth = 15,
}

impl PacketKind {
    const fn from_type(packet_type: u8, version: ProtocolVersion) -> Option<Self> {
        Some(match packet_type {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 if matches!(version, ProtocolVersion::V5) => Self::Auth,
            _ => return None,
        })
    }

    /// The lower four bits that this packet must have; `None` where they carry meaning [MQTT311 2.2.2-1]
    /// [MQTT5 2.1.3-1].
    pub(crate) const fn required_flags(self) -> Option<u8> {
        match self {
            Self::Publish => None,
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => Some(0b0010),
            _ => Some(0),
        }
    }

    /// The packet's name as the standard writes it, such as `CONNECT`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }
}

impl core::fmt::Display for PacketKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// Type, flags and sizes of a packet whose body may still be on its way.
///
/// ```text
/// header := type:4 flags:4  remaining_length:integer   ; one to four bytes
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedHeader {
    /// The packet type.
    pub kind: PacketKind,
    /// The lower four bits of the first byte.
    pub flags: u8,
    /// Size of this header: 2 to 5 bytes.
    pub header_bytes: usize,
    /// Size of what follows it.
    pub remaining_bytes: usize,
}

impl FixedHeader {
    /// Reads the header at the start of `bytes`; `None` when it is not whole yet.
    ///
    /// # Errors
    /// As soon as the bytes present cannot begin a packet of at most `packet_bytes_max` bytes. So a receiver never
    /// buffers a body that it is not going to accept.
    pub fn decode(
        bytes: &[u8],
        version: ProtocolVersion,
        packet_bytes_max: usize,
    ) -> Result<Option<Self>, DecodeError> {
        let Some((&first, length)) = bytes.split_first() else { return Ok(None) };
        let (packet_type, flags) = (first >> 4, first & 0x0F);
        let kind = PacketKind::from_type(packet_type, version)
            .ok_or(DecodeError::ReservedPacketType { packet_type })?;
        if kind.required_flags().is_some_and(|required| required != flags) {
            return Err(DecodeError::ReservedFlags { kind, flags });
        }
        let Some((remaining_bytes, length_bytes)) = variable_byte_integer::read(length)
            .map_err(|_| DecodeError::IntegerTooLong { field: REMAINING_LENGTH })?
        else {
            return Ok(None);
        };
        let header = Self { kind, flags, header_bytes: 1 + length_bytes, remaining_bytes };
        let packet_bytes = header.packet_bytes();
        if packet_bytes > packet_bytes_max {
            return Err(DecodeError::TooLarge { packet_bytes, packet_bytes_max });
        }
        Ok(Some(header))
    }

    /// Size of the whole packet.
    pub const fn packet_bytes(&self) -> usize {
        self.header_bytes + self.remaining_bytes
    }

    /// The remaining length must take no superfluous zero bytes [MQTT5 1.5.5-1]. MQTT 3.1.1 does not forbid them.
    pub(crate) const fn check_length_is_minimal(&self) -> Result<(), DecodeError> {
        if self.header_bytes > 1 + variable_byte_integer::bytes_of(self.remaining_bytes) {
            return Err(DecodeError::IntegerPadded { field: REMAINING_LENGTH });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ProtocolVersion::{V5, V311};

    #[test]
    fn a_fifth_length_byte_is_refused() {
        let expected = Err(DecodeError::IntegerTooLong { field: "remaining length" });
        assert_eq!(FixedHeader::decode(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF], V311, 100), expected);
    }

    #[test]
    fn a_packet_above_the_bound_is_refused_before_its_body_arrives() {
        let header = [0x30, 0x80, 0x01]; // 3 + 128 bytes
        assert_eq!(FixedHeader::decode(&header, V311, 131).map(|header| header.is_some()), Ok(true));
        assert_eq!(
            FixedHeader::decode(&header, V311, 130),
            Err(DecodeError::TooLarge { packet_bytes: 131, packet_bytes_max: 130 })
        );
    }

    /// [MQTT311 2.2.2-2] [MQTT5 2.1.3-1]
    #[test]
    fn reserved_types_and_flags_are_refused_at_the_first_byte() {
        for (packet_type, version) in [(0, V311), (0, V5), (15, V311)] {
            assert_eq!(
                FixedHeader::decode(&[packet_type << 4], version, 100),
                Err(DecodeError::ReservedPacketType { packet_type })
            );
        }
        for (first, version) in (0..=255_u8).flat_map(|first| [(first, V311), (first, V5)]) {
            let Some(kind) = PacketKind::from_type(first >> 4, version) else { continue };
            let flags = first & 0x0F;
            let right = match kind {
                PacketKind::Publish => true,
                PacketKind::PubRel | PacketKind::Subscribe | PacketKind::Unsubscribe => flags == 2,
                _ => flags == 0,
            };
            let expected = if right { Ok(None) } else { Err(DecodeError::ReservedFlags { kind, flags }) };
            assert_eq!(FixedHeader::decode(&[first], version, 100), expected);
        }
    }
}
