//! The two versions of the protocol.

use crate::fixed_header::{FixedHeader, PACKET_BYTES_LIMIT, PacketKind};
use crate::packet::connect;
use crate::reader::Reader;

/// The version of MQTT that a connection speaks. Its CONNECT says which; every later packet is read by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtocolVersion {
    /// MQTT 3.1.1, OASIS standard of 29 October 2014.
    V311,
    /// MQTT 5.0, OASIS standard of 7 March 2019.
    V5,
}

impl ProtocolVersion {
    /// The protocol level that a CONNECT of this version carries [MQTT311 3.1.2-2], [MQTT5 3.1.2.2].
    pub const fn level(self) -> u8 {
        match self {
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }

    /// The version with this protocol level; `None` for 3, which was MQTT 3.1, and for what nobody has defined.
    pub const fn from_level(level: u8) -> Option<Self> {
        match level {
            4 => Some(Self::V311),
            5 => Some(Self::V5),
            _ => None,
        }
    }

    /// The version that a CONNECT at the start of `bytes` asks for, whatever is wrong with the rest of it.
    ///
    /// A server that refuses a malformed CONNECT answers it in the words of this version. `None` when `bytes` do not
    /// reach as far as the level, or begin with something else.
    pub fn of_connect(bytes: &[u8]) -> Option<Self> {
        let header = FixedHeader::decode(bytes, Self::V5, PACKET_BYTES_LIMIT).ok()??;
        if header.kind != PacketKind::Connect {
            return None;
        }
        connect::decode_version(&mut Reader::new(&bytes[header.header_bytes..])).ok()
    }
}

impl core::fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::V311 => "MQTT 3.1.1",
            Self::V5 => "MQTT 5.0",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::ProtocolVersion::{self, V5, V311};

    #[test]
    fn levels_round_trip_and_others_are_none() {
        for level in 0..=255 {
            let version = ProtocolVersion::from_level(level);
            assert_eq!(version.map(ProtocolVersion::level), [4, 5].contains(&level).then_some(level));
        }
    }

    #[test]
    fn a_connect_tells_its_version_although_the_rest_is_wrong_or_missing() {
        assert_eq!(ProtocolVersion::of_connect(b"\x10\x0d\0\x04MQTT\x04\xff\xff"), Some(V311));
        assert_eq!(ProtocolVersion::of_connect(b"\x10\x0d\0\x04MQTT\x05"), Some(V5));
        assert_eq!(ProtocolVersion::of_connect(b"\x10\x0d\0\x04MQTT"), None);
        assert_eq!(ProtocolVersion::of_connect(b"\x10\x0d\0\x04MQTT\x03"), None);
        assert_eq!(ProtocolVersion::of_connect(b"\x10\x0d\0\x06MQIsdp\x03"), None);
        assert_eq!(ProtocolVersion::of_connect(b"\x30\x0d\0\x04MQTT\x05"), None);
        assert_eq!(ProtocolVersion::of_connect(b""), None);
    }
}
