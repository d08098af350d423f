//! PUBACKs and PUBRECs that are owed to the client, and when they may leave.

use mqtt_wire::{PacketId, QoS, ReasonCode};
use std::collections::VecDeque;

/// The answers to the client's messages, in the order in which the messages came [MQTT311 4.6.0-2], [MQTT311 4.6.0-3].
///
/// Each waits until the journal holds its message, and behind all that came before it.
#[derive(Debug, Default)]
pub(crate) struct Acknowledgements(VecDeque<Owed>);

/// The answer to a message of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owed {
    /// The message's.
    pub packet_id: PacketId,
    /// 1: a PUBACK; 2: a PUBREC.
    pub qos: QoS,
    /// What a client of MQTT 5 is told.
    pub reason: ReasonCode,
    /// The journal position that must be on disk; 0 when the message left nothing there.
    after: u64,
}

impl Acknowledgements {
    pub(crate) fn push(&mut self, packet_id: PacketId, qos: QoS, reason: ReasonCode, after: u64) {
        self.0.push_back(Owed { packet_id, qos, reason, after });
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn waits_for(&self) -> Option<u64> {
        self.0.front().map(|owed| owed.after)
    }

    pub(crate) fn ready(&mut self, committed: u64) -> impl Iterator<Item = Owed> {
        std::iter::from_fn(move || self.0.pop_front_if(|owed| owed.after <= committed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_puback_never_overtakes_an_earlier_one() {
        let id = |number| PacketId::new(number).unwrap();
        let mut owed = Acknowledgements::default();
        owed.push(id(1), QoS::AtLeastOnce, ReasonCode::Success, 0);
        owed.push(id(2), QoS::AtLeastOnce, ReasonCode::NotAuthorized, 50);
        owed.push(id(3), QoS::ExactlyOnce, ReasonCode::Success, 0);
        owed.push(id(4), QoS::AtLeastOnce, ReasonCode::Success, 60);
        let ready = |owed: &mut Acknowledgements, committed| {
            owed.ready(committed).map(|owed| (owed.packet_id, owed.reason)).collect::<Vec<_>>()
        };
        assert_eq!(ready(&mut owed, 49), [(id(1), ReasonCode::Success)]);
        assert_eq!(owed.waits_for(), Some(50));
        assert_eq!(ready(&mut owed, 50), [(id(2), ReasonCode::NotAuthorized), (id(3), ReasonCode::Success)]);
        assert!(owed.ready(59).next().is_none());
        assert_eq!(ready(&mut owed, 1_000), [(id(4), ReasonCode::Success)]);
        assert_eq!(owed.waits_for(), None);
    }
}
