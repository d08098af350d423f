//! Messages to the client: now, later, or not at all.

use crate::limits::Limits;
use mqtt_wire::{PacketId, QoS};
use std::collections::VecDeque;

/// What becomes of a message for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a message to send now is nowhere else"]
pub enum Delivery<F> {
    /// Send it now.
    Send(Outgoing<F>),
    /// It waits in the session; [`Session::next_delivery`](crate::Session::next_delivery) hands it out.
    Queued,
    /// The client will not get it.
    Dropped(DropReason),
}

/// A message on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing<F> {
    /// To be sent with it; present for QoS 1.
    pub packet_id: Option<PacketId>,
    /// The message, as the caller gave it.
    pub frame: F,
}

/// Why a client does not get a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DropReason {
    /// [`Limits::pending_deliveries_max`] or [`Limits::pending_bytes_max`] is reached: it takes messages more
    /// slowly than they come.
    #[error("{messages} messages with {bytes} bytes wait for the client's PUBACKs already")]
    QueueFull {
        /// Messages that wait.
        messages: usize,
        /// Their size.
        bytes: usize,
    },
}

/// QoS 1 messages to the client: those without their PUBACK, and those that wait for the window to open.
///
/// On a connection that stands nothing is sent twice: MQTT 3.1.1 retransmits only after a reconnect
/// [MQTT311 4.4.0-1], so what is in flight is remembered by its identifier alone.
#[derive(Debug)]
pub(crate) struct Deliveries<F> {
    /// In the order of sending, in which well-behaved clients acknowledge [MQTT311 4.6.0-2].
    inflight: VecDeque<PacketId>,
    next_id: PacketId,
    pending: VecDeque<Pending<F>>,
    pending_bytes: usize,
}

#[derive(Debug)]
struct Pending<F> {
    frame: F,
    bytes: usize,
}

impl<F> Deliveries<F> {
    pub(crate) const fn new() -> Self {
        Self {
            inflight: VecDeque::new(),
            next_id: PacketId::FIRST,
            pending: VecDeque::new(),
            pending_bytes: 0,
        }
    }

    /// `window` is how many may be in flight.
    pub(crate) fn deliver(
        &mut self,
        qos: QoS,
        frame: F,
        bytes: usize,
        window: usize,
        limits: &Limits,
    ) -> Delivery<F> {
        if qos == QoS::AtMostOnce {
            return Delivery::Send(Outgoing { packet_id: None, frame });
        }
        if self.is_open(window) {
            return Delivery::Send(self.take_off(frame));
        }
        self.hold(frame, bytes, limits)
    }

    pub(crate) fn hold(&mut self, frame: F, bytes: usize, limits: &Limits) -> Delivery<F> {
        // An empty queue takes one message of any size: else a small bound would make large ones undeliverable.
        let too_large = !self.pending.is_empty() && self.pending_bytes + bytes > limits.pending_bytes_max;
        if too_large || self.pending.len() >= limits.pending_deliveries_max {
            let (messages, bytes) = (self.pending.len(), self.pending_bytes);
            return Delivery::Dropped(DropReason::QueueFull { messages, bytes });
        }
        self.pending_bytes += bytes;
        self.pending.push_back(Pending { frame, bytes });
        Delivery::Queued
    }

    pub(crate) fn next(&mut self, window: usize) -> Option<Outgoing<F>> {
        if !self.has_room(window) {
            return None;
        }
        let Pending { frame, bytes } = self.pending.pop_front()?;
        self.pending_bytes -= bytes;
        Some(self.take_off(frame))
    }

    /// Whether the next message would be sent at once.
    pub(crate) fn is_open(&self, window: usize) -> bool {
        self.pending.is_empty() && self.has_room(window)
    }

    /// Whether [`next`](Self::next) has one.
    pub(crate) fn has_next(&self, window: usize) -> bool {
        !self.pending.is_empty() && self.has_room(window)
    }

    /// Whether the identifier was in flight.
    pub(crate) fn acknowledged(&mut self, packet_id: PacketId) -> bool {
        match self.inflight.iter().position(|&inflight| inflight == packet_id) {
            Some(at) => self.inflight.remove(at).is_some(),
            None => false,
        }
    }

    pub(crate) fn inflight_len(&self) -> usize {
        self.inflight.len()
    }

    pub(crate) fn pending_len(&self) -> usize {
        self.pending.len()
    }

    fn has_room(&self, window: usize) -> bool {
        self.inflight.len() < window
    }

    fn take_off(&mut self, frame: F) -> Outgoing<F> {
        // [MQTT311 2.3.1-4] An identifier in use is skipped; the window is smaller than the number of identifiers.
        while self.inflight.contains(&self.next_id) {
            self.next_id = self.next_id.next();
        }
        let packet_id = self.next_id;
        self.next_id = packet_id.next();
        self.inflight.push_back(packet_id);
        Outgoing { packet_id: Some(packet_id), frame }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(pending: usize) -> Limits {
        Limits { pending_deliveries_max: pending, pending_bytes_max: 100, ..Limits::aws() }
    }

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    fn sent(number: u16, frame: &str) -> Outgoing<&str> {
        Outgoing { packet_id: Some(id(number)), frame }
    }

    #[test]
    fn beyond_the_window_messages_wait_in_order_and_then_drop() {
        let (window, limits) = (2, limits(2));
        let mut deliveries = Deliveries::new();
        let deliver = |deliveries: &mut Deliveries<_>, frame| {
            deliveries.deliver(QoS::AtLeastOnce, frame, 10, window, &limits)
        };
        assert_eq!(deliver(&mut deliveries, "a"), Delivery::Send(sent(1, "a")));
        assert_eq!(deliver(&mut deliveries, "b"), Delivery::Send(sent(2, "b")));
        assert_eq!(deliver(&mut deliveries, "c"), Delivery::Queued);
        assert_eq!(deliver(&mut deliveries, "d"), Delivery::Queued);
        let full = DropReason::QueueFull { messages: 2, bytes: 20 };
        assert_eq!(deliver(&mut deliveries, "e"), Delivery::Dropped(full));
        assert_eq!(deliveries.next(window), None);
        assert!(deliveries.acknowledged(id(2)));
        // What waits goes before what comes.
        assert_eq!(deliver(&mut deliveries, "f"), Delivery::Dropped(full));
        assert_eq!(deliveries.next(window), Some(sent(3, "c")));
        assert_eq!(deliveries.next(window), None);
        assert_eq!(deliver(&mut deliveries, "g"), Delivery::Queued);
    }

    #[test]
    fn qos_0_never_waits() {
        let limits = limits(0);
        let mut deliveries = Deliveries::new();
        let now = Delivery::Send(Outgoing { packet_id: None, frame: "a" });
        assert_eq!(deliveries.deliver(QoS::AtMostOnce, "a", 1, 0, &limits), now);
    }

    #[test]
    fn the_queue_is_bounded_in_bytes_but_takes_one_message_of_any_size() {
        let limits = limits(10);
        let mut deliveries = Deliveries::new();
        assert_eq!(deliveries.hold("large", 1_000, &limits), Delivery::Queued);
        let full = DropReason::QueueFull { messages: 1, bytes: 1_000 };
        assert_eq!(deliveries.hold("small", 1, &limits), Delivery::Dropped(full));
    }

    /// [MQTT311 2.3.1-4]
    #[test]
    fn identifiers_in_flight_are_skipped_after_the_wrap() {
        let limits = limits(0);
        let mut deliveries = Deliveries::new();
        let first = deliveries.deliver(QoS::AtLeastOnce, "stuck", 1, 2, &limits);
        assert_eq!(first, Delivery::Send(sent(1, "stuck")));
        for number in 2..=u16::MAX {
            let next = deliveries.deliver(QoS::AtLeastOnce, "", 1, 2, &limits);
            assert_eq!(next, Delivery::Send(sent(number, "")));
            assert!(deliveries.acknowledged(id(number)));
        }
        assert_eq!(deliveries.deliver(QoS::AtLeastOnce, "", 1, 2, &limits), Delivery::Send(sent(2, "")));
        assert!(!deliveries.acknowledged(id(77)));
    }
}
