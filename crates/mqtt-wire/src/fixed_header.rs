//! The two to five bytes every packet begins with [MQTT311 2.2].

use crate::error::DecodeError;

/// Largest remaining length that four bytes can say [MQTT311 2.2.3].
pub const REMAINING_LENGTH_LIMIT: usize = 268_435_455;

/// Largest packet of the protocol: one byte of type and flags, four of length, and the rest.
pub const PACKET_BYTES_LIMIT: usize = 1 + REMAINING_LENGTH_BYTES_MAX + REMAINING_LENGTH_LIMIT;

/// Bytes that a remaining length may take [MQTT311 2.2.3].
const REMAINING_LENGTH_BYTES_MAX: usize = 4;

/// The packet types of MQTT 3.1.1 [MQTT311 2.2.1].
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
}

impl PacketKind {
    const fn from_type(packet_type: u8) -> Option<Self> {
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
            _ => return None,
        })
    }

    /// The lower four bits that this packet must have; `None` where they carry meaning [MQTT311 2.2.2-1].
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
/// header := type:4 flags:4  length:u8{1..4}   ; 7 bits per byte, lowest first, top bit: another byte follows
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
    pub fn decode(bytes: &[u8], packet_bytes_max: usize) -> Result<Option<Self>, DecodeError> {
        let Some((&first, length)) = bytes.split_first() else { return Ok(None) };
        let (packet_type, flags) = (first >> 4, first & 0x0F);
        let kind =
            PacketKind::from_type(packet_type).ok_or(DecodeError::ReservedPacketType { packet_type })?;
        if kind.required_flags().is_some_and(|required| required != flags) {
            return Err(DecodeError::ReservedFlags { kind, flags });
        }
        let Some((remaining_bytes, length_bytes)) = decode_remaining_length(length)? else {
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
}

/// The length and the bytes it takes. A length with superfluous zero bytes is read: only MQTT 5 forbids it.
fn decode_remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, DecodeError> {
    let mut length = 0;
    for (at, &byte) in bytes.iter().take(REMAINING_LENGTH_BYTES_MAX).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((length, at + 1)));
        }
    }
    if bytes.len() < REMAINING_LENGTH_BYTES_MAX { Ok(None) } else { Err(DecodeError::RemainingLength) }
}

/// Bytes that this remaining length takes on the wire.
pub(crate) const fn remaining_length_bytes(length: usize) -> usize {
    match length {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table 2.4 of the standard.
    #[test]
    fn remaining_lengths_of_the_standards_table() {
        let rows: [(usize, &[u8]); 8] = [
            (0, &[0x00]),
            (127, &[0x7F]),
            (128, &[0x80, 0x01]),
            (16_383, &[0xFF, 0x7F]),
            (16_384, &[0x80, 0x80, 0x01]),
            (2_097_151, &[0xFF, 0xFF, 0x7F]),
            (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
            (268_435_455, &[0xFF, 0xFF, 0xFF, 0x7F]),
        ];
        for (length, bytes) in rows {
            assert_eq!(decode_remaining_length(bytes), Ok(Some((length, bytes.len()))));
            assert_eq!(remaining_length_bytes(length), bytes.len());
            assert_eq!(decode_remaining_length(&bytes[..bytes.len() - 1]), Ok(None));
        }
    }

    #[test]
    fn a_fifth_length_byte_is_refused() {
        assert_eq!(decode_remaining_length(&[0xFF, 0xFF, 0xFF, 0xFF]), Err(DecodeError::RemainingLength));
    }

    #[test]
    fn a_packet_above_the_bound_is_refused_before_its_body_arrives() {
        let header = [0x30, 0x80, 0x01]; // 3 + 128 bytes
        assert_eq!(FixedHeader::decode(&header, 131).map(|header| header.is_some()), Ok(true));
        assert_eq!(
            FixedHeader::decode(&header, 130),
            Err(DecodeError::TooLarge { packet_bytes: 131, packet_bytes_max: 130 })
        );
    }

    /// [MQTT311 2.2.2-2]
    #[test]
    fn reserved_types_and_flags_are_refused_at_the_first_byte() {
        for packet_type in [0, 15] {
            assert_eq!(
                FixedHeader::decode(&[packet_type << 4], 100),
                Err(DecodeError::ReservedPacketType { packet_type })
            );
        }
        for first in 0..=255_u8 {
            let Some(kind) = PacketKind::from_type(first >> 4) else { continue };
            let flags = first & 0x0F;
            let right = match kind {
                PacketKind::Publish => true,
                PacketKind::PubRel | PacketKind::Subscribe | PacketKind::Unsubscribe => flags == 2,
                _ => flags == 0,
            };
            let expected = if right { Ok(None) } else { Err(DecodeError::ReservedFlags { kind, flags }) };
            assert_eq!(FixedHeader::decode(&[first], 100), expected);
        }
    }
}
