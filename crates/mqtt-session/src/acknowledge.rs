//! PUBACKs that are owed to the client, and when they may leave.

use mqtt_wire::{PacketId, ReasonCode};
use std::collections::VecDeque;

/// The PUBACKs of the client's QoS 1 messages, in the order in which the messages came [MQTT311 4.6.0-2].
///
/// Each waits until the journal holds its message, and behind all that came before it.
#[derive(Debug, Default)]
pub(crate) struct Acknowledgements(VecDeque<Owed>);

#[derive(Clone, Copy, Debug)]
struct Owed {
    packet_id: PacketId,
    reason: ReasonCode,
    /// The journal position that must be on disk; 0 when the message left nothing there.
    after: u64,
}

impl Acknowledgements {
    pub(crate) fn push(&mut self, packet_id: PacketId, reason: ReasonCode, after: u64) {
        self.0.push_back(Owed { packet_id, reason, after });
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn waits_for(&self) -> Option<u64> {
        self.0.front().map(|owed| owed.after)
    }

    pub(crate) fn ready(&mut self, committed: u64) -> impl Iterator<Item = (PacketId, ReasonCode)> {
        std::iter::from_fn(move || {
            let owed = self.0.pop_front_if(|owed| owed.after <= committed)?;
            Some((owed.packet_id, owed.reason))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_puback_never_overtakes_an_earlier_one() {
        let id = |number| PacketId::new(number).unwrap();
        let mut owed = Acknowledgements::default();
        owed.push(id(1), ReasonCode::Success, 0);
        owed.push(id(2), ReasonCode::NotAuthorized, 50);
        owed.push(id(3), ReasonCode::Success, 0);
        owed.push(id(4), ReasonCode::Success, 60);
        assert!(owed.ready(49).eq([(id(1), ReasonCode::Success)]));
        assert_eq!(owed.waits_for(), Some(50));
        assert!(owed.ready(50).eq([(id(2), ReasonCode::NotAuthorized), (id(3), ReasonCode::Success)]));
        assert!(owed.ready(59).next().is_none());
        assert!(owed.ready(1_000).eq([(id(4), ReasonCode::Success)]));
        assert_eq!(owed.waits_for(), None);
    }
}
