//! The readings on their way to the server: those that wait, and those that it has not acknowledged.

use crate::ring::{Reading, Ring};
use mqtt_wire::{PacketId, QoS};

/// PUBLISH packets that may wait for their PUBACK at once.
///
/// With one the backlog of an outage would leave at one reading per round trip. AWS takes 100 [AWS General Reference];
/// eight fill a send buffer of 4 KiB with the longest packets, and are few to send again.
pub const INFLIGHT_MAX: usize = 8;

/// Least time between two PUBLISH packets, so that a backlog leaves at half of the 100 per second and connection that
/// AWS takes [AWS General Reference].
///
/// A device that measures more often than 25 times a second needs to send more often, and does.
const PUBLISH_PAUSE_MS: u64 = 20;

/// Waiting and unacknowledged readings.
///
/// ```text
///  push ▶ ring ─ take_next ▶ in flight ─ acknowledge ▶ delivered
///           ▲                    │
///           └──── put_back ──────┘ connection lost
/// ```
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    qos: QoS,
    pause_ms: u64,
    /// When the next one may leave.
    next_at_ms: u64,
    ring: Ring,
    /// In the order in which they were sent; the empty places are behind.
    in_flight: [Option<Sent>; INFLIGHT_MAX],
    next_packet_id: PacketId,
    delivered: u64,
}

/// A reading in a PUBLISH of QoS 1.
#[derive(Clone, Copy, Debug)]
struct Sent {
    reading: Reading,
    packet_id: PacketId,
    at_ms: u64,
}

impl Outbox {
    pub(super) const fn new(qos: QoS, interval_ms: u64) -> Self {
        let half_ms = interval_ms / 2;
        Self {
            qos,
            pause_ms: if half_ms < PUBLISH_PAUSE_MS { half_ms } else { PUBLISH_PAUSE_MS },
            next_at_ms: 0,
            ring: Ring::new(),
            in_flight: [None; INFLIGHT_MAX],
            next_packet_id: PacketId::FIRST,
            delivered: 0,
        }
    }

    pub(super) fn push(&mut self, reading: Reading) {
        self.ring.push(reading);
    }

    /// When [`take_next`](Self::take_next) will have something: `None` while nothing waits or the window is full.
    pub(super) fn next_at_ms(&self) -> Option<u64> {
        let has_room = self.in_flight.last().is_some_and(Option::is_none);
        (has_room && !self.ring.is_empty()).then_some(self.next_at_ms)
    }

    /// The reading to send now. With QoS 0 it is out of our hands with that, with QoS 1 it has a packet identifier.
    pub(super) fn take_next(&mut self, now_ms: u64) -> Option<(Reading, Option<PacketId>)> {
        if now_ms < self.next_at_ms()? {
            return None;
        }
        let reading = self.ring.pop()?;
        self.next_at_ms = now_ms.saturating_add(self.pause_ms);
        if self.qos == QoS::AtMostOnce {
            self.delivered += 1;
            return Some((reading, None));
        }
        let packet_id = self.unused_packet_id();
        let place = self.in_flight.iter_mut().find(|place| place.is_none());
        // INVARIANT: `next_at_ms` is `None` without an empty place.
        *place? = Some(Sent { reading, packet_id, at_ms: now_ms });
        Some((reading, Some(packet_id)))
    }

    /// A PUBACK came, in whatever order. One that belongs to nothing is ignored.
    pub(super) fn acknowledge(&mut self, packet_id: PacketId) {
        let is_it = |place: &Option<Sent>| place.is_some_and(|sent| sent.packet_id == packet_id);
        if let Some(index) = self.in_flight.iter().position(is_it) {
            self.in_flight[index] = None;
            self.in_flight[index..].rotate_left(1);
            self.delivered += 1;
        }
    }

    /// The connection is gone: everything unacknowledged waits again, before what was measured since.
    pub(super) fn put_back(&mut self) {
        for place in self.in_flight.iter_mut().rev() {
            if let Some(sent) = place.take() {
                self.ring.put_back(sent.reading);
            }
        }
        self.next_at_ms = 0;
    }

    /// When the oldest packet that is not acknowledged was sent.
    pub(super) fn unacknowledged_since_ms(&self) -> Option<u64> {
        self.in_flight[0].map(|sent| sent.at_ms)
    }

    pub(super) const fn delivered(&self) -> u64 {
        self.delivered
    }

    pub(super) const fn dropped(&self) -> u64 {
        self.ring.dropped()
    }

    /// Those in flight included.
    pub(super) fn waiting(&self) -> usize {
        self.ring.len() + self.in_flight.iter().flatten().count()
    }

    /// [MQTT311 2.3.1-2] An identifier that no packet in flight has.
    fn unused_packet_id(&mut self) -> PacketId {
        loop {
            let packet_id = self.next_packet_id;
            self.next_packet_id = packet_id.next();
            if !self.in_flight.iter().flatten().any(|sent| sent.packet_id == packet_id) {
                return packet_id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::READINGS_MAX;
    use crate::sensor::MilliDegrees;
    use std::vec::Vec;

    fn reading(number: u64) -> Reading {
        Reading { temperature: MilliDegrees(20_000), measured_at_ms: number }
    }

    fn outbox_with(readings: u64) -> Outbox {
        let mut outbox = Outbox::new(QoS::AtLeastOnce, 2_000);
        (0..readings).for_each(|number| outbox.push(reading(number)));
        outbox
    }

    /// Takes what leaves in a while, as numbers of readings and packets.
    fn take(outbox: &mut Outbox, from_ms: u64) -> Vec<(u64, u16)> {
        let taken = (0..20).filter_map(|turn| outbox.take_next(from_ms + turn * PUBLISH_PAUSE_MS));
        taken.map(|(reading, id)| (reading.measured_at_ms, id.map_or(0, PacketId::number))).collect()
    }

    fn acknowledge(outbox: &mut Outbox, id: u16) {
        outbox.acknowledge(PacketId::new(id).unwrap());
    }

    #[test]
    fn eight_leave_and_the_next_waits_for_an_acknowledgement() {
        let mut outbox = outbox_with(20);
        let sent = take(&mut outbox, 0);
        assert_eq!(sent, (0..8).map(|number| (number, number as u16 + 1)).collect::<Vec<_>>());
        assert_eq!((outbox.next_at_ms(), outbox.waiting()), (None, 20));
        acknowledge(&mut outbox, 3);
        acknowledge(&mut outbox, 3);
        acknowledge(&mut outbox, 1);
        assert_eq!((outbox.delivered(), outbox.waiting()), (2, 18));
        assert_eq!(take(&mut outbox, 1_000), [(8, 9), (9, 10)]);
    }

    #[test]
    fn the_oldest_unacknowledged_packet_is_known_whatever_was_acknowledged() {
        let mut outbox = outbox_with(3);
        assert_eq!(outbox.unacknowledged_since_ms(), None);
        take(&mut outbox, 0);
        acknowledge(&mut outbox, 2);
        assert_eq!(outbox.unacknowledged_since_ms(), Some(0));
        acknowledge(&mut outbox, 1);
        assert_eq!(outbox.unacknowledged_since_ms(), Some(40));
    }

    #[test]
    fn after_a_lost_connection_the_unacknowledged_come_first_in_order_and_with_new_identifiers() {
        let mut outbox = outbox_with(9);
        take(&mut outbox, 0);
        acknowledge(&mut outbox, 2);
        acknowledge(&mut outbox, 8);
        outbox.put_back();
        assert_eq!((outbox.waiting(), outbox.delivered(), outbox.dropped()), (7, 2, 0));
        let expected = [(0, 9), (2, 10), (3, 11), (4, 12), (5, 13), (6, 14), (8, 15)];
        assert_eq!(take(&mut outbox, 1_000), expected);
    }

    #[test]
    fn a_full_ring_drops_nothing_that_is_in_flight() {
        let mut outbox = outbox_with(8);
        take(&mut outbox, 0);
        (8..=8 + READINGS_MAX as u64).for_each(|number| outbox.push(reading(number)));
        assert_eq!(outbox.dropped(), 1, "reading 8");
        (1..=7).for_each(|id| acknowledge(&mut outbox, id));
        assert_eq!(outbox.delivered(), 7);
        outbox.put_back();
        assert_eq!(outbox.dropped(), 2, "reading 7, which is now the oldest");
        assert_eq!(take(&mut outbox, 1_000)[0].0, 9);
    }

    #[test]
    fn an_identifier_is_not_given_twice_while_it_is_in_flight() {
        let mut outbox = outbox_with(2);
        assert_eq!(take(&mut outbox, 0), [(0, 1), (1, 2)]);
        acknowledge(&mut outbox, 1);
        outbox.next_packet_id = PacketId::new(65_535).unwrap();
        (2..5).for_each(|number| outbox.push(reading(number)));
        assert_eq!(take(&mut outbox, 1_000), [(2, 65_535), (3, 1), (4, 3)]);
    }

    #[test]
    fn a_backlog_leaves_at_fifty_a_second_and_fast_sensors_still_keep_up() {
        let per_second = |interval_ms| {
            let mut outbox = Outbox::new(QoS::AtMostOnce, interval_ms);
            (0..500).for_each(|number| outbox.push(reading(number)));
            (0..1_000).filter(|now_ms| outbox.take_next(*now_ms).is_some()).count()
        };
        assert_eq!((per_second(2_000), per_second(10)), (50, 200));
    }
}
