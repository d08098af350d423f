//! Sets of packet types, for the tables of the standard that say what may stand where.

use crate::fixed_header::PacketKind;

/// A set of packet types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PacketSet(u16);

impl PacketSet {
    pub(crate) const fn of<const N: usize>(kinds: [PacketKind; N]) -> Self {
        let (mut set, mut at) = (0, 0);
        while at < N {
            set |= 1 << kinds[at] as u16;
            at += 1;
        }
        Self(set)
    }

    pub(crate) const fn contains(self, kind: PacketKind) -> bool {
        self.0 & 1 << kind as u16 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_it_was_made_of() {
        let set = PacketSet::of([PacketKind::Connect, PacketKind::Auth]);
        assert!(set.contains(PacketKind::Connect) && set.contains(PacketKind::Auth));
        assert!(!set.contains(PacketKind::ConnAck) && !set.contains(PacketKind::Disconnect));
    }
}
