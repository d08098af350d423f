//! Packet identifiers.

use core::num::NonZeroU16;

/// Ties an acknowledgement to the packet it answers; never zero [MQTT311 2.3.1-1].
///
/// Each end numbers its own packets: the same value in the two directions means two packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The first identifier that a client or server uses.
    pub const FIRST: Self = Self(NonZeroU16::MIN);

    /// The identifier with this number; `None` for zero.
    pub const fn new(number: u16) -> Option<Self> {
        match NonZeroU16::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number that goes on the wire.
    pub const fn number(self) -> u16 {
        self.0.get()
    }

    /// The identifier after this one; after 65,535 comes 1.
    pub const fn next(self) -> Self {
        match self.0.checked_add(1) {
            Some(number) => Self(number),
            None => Self::FIRST,
        }
    }
}

impl core::fmt::Display for PacketId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::PacketId;

    #[test]
    fn zero_is_no_identifier_and_the_last_wraps_to_the_first() {
        assert_eq!(PacketId::new(0), None);
        assert_eq!(PacketId::FIRST.number(), 1);
        assert_eq!(PacketId::new(65_535).map(PacketId::next), Some(PacketId::FIRST));
    }
}
