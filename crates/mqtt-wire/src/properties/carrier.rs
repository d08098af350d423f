//! What has properties.

use crate::fixed_header::PacketKind;

/// What a block of properties belongs to: a packet, or the will inside a CONNECT, which has a block of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// A packet.
    Packet(PacketKind),
    /// The will of a CONNECT [MQTT5 3.1.3.2].
    Will,
}

impl core::fmt::Display for Carrier {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Packet(kind) => kind.fmt(f),
            Self::Will => f.write_str("will"),
        }
    }
}
