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
    /// To be sent with it; present for QoS 1 and 2.
    pub packet_id: Option<PacketId>,
    /// What it is sent with.
    pub qos: QoS,
    /// It may have been sent before, on an earlier connection [MQTT311 3.3.1-1].
    pub is_again: bool,
    /// The message, as the caller gave it.
    pub frame: F,
}

/// What a PUBREC leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received<F> {
    /// The client has taken over the message; what was remembered with it.
    Taken(Option<F>),
    /// The client does not want it, and its identifier is free; what was remembered with it.
    Refused(Option<F>),
    /// It has said so before.
    Again,
    /// Nothing of that identifier is in flight.
    Unknown,
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

/// QoS 1 and 2 messages to the client: those that it has not acknowledged, and those that wait for the window to open.
///
/// On a connection that stands nothing is sent twice: MQTT retransmits only after a reconnect [MQTT311 4.4.0-1], so
/// what is in flight is remembered by its identifier alone, unless the caller wants it back for the next connection.
#[derive(Debug)]
pub(crate) struct Deliveries<F> {
    /// In the order of sending, in which well-behaved clients acknowledge [MQTT311 4.6.0-2].
    inflight: VecDeque<Inflight<F>>,
    /// Those of them that an earlier connection has sent, and this one has not yet.
    unsent: VecDeque<PacketId>,
    next_id: PacketId,
    pending: VecDeque<Pending<F>>,
    pending_bytes: usize,
}

#[derive(Debug)]
struct Inflight<F> {
    packet_id: PacketId,
    stage: Stage,
    /// The message, if it is to be sent again when the connection breaks.
    frame: Option<F>,
}

/// What the client has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Send PUBACK, for a message with QoS 1.
    Acknowledge,
    /// Send PUBREC, for a message with QoS 2.
    Receive,
    /// Send PUBCOMP: it has the message, and PUBREL.
    Complete,
}

#[derive(Debug)]
struct Pending<F> {
    frame: F,
    qos: QoS,
    bytes: usize,
}

/// What a connection leaves to the next one.
#[derive(Debug)]
pub(crate) struct Leftovers<F> {
    /// Remembered and not acknowledged, with their identifiers, then what waited: in the order of sending.
    pub(crate) undelivered: Vec<Undelivered<F>>,
    /// Identifiers whose PUBCOMP is missing.
    pub(crate) unreleased: Vec<PacketId>,
}

/// A message that the client has not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered<F> {
    /// The message, as the caller gave it.
    pub frame: F,
    /// What it was sent with; `None`: it was not sent.
    pub sent_as: Option<PacketId>,
}

impl<F> Deliveries<F> {
    pub(crate) const fn new() -> Self {
        Self {
            inflight: VecDeque::new(),
            unsent: VecDeque::new(),
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
            return Delivery::Send(Outgoing { packet_id: None, qos, is_again: false, frame });
        }
        if self.is_open(window) {
            return Delivery::Send(self.take_off(qos, frame));
        }
        self.hold(qos, frame, bytes, limits)
    }

    pub(crate) fn hold(&mut self, qos: QoS, frame: F, bytes: usize, limits: &Limits) -> Delivery<F> {
        // An empty queue takes one message of any size: else a small bound would make large ones undeliverable.
        let too_large = !self.pending.is_empty() && self.pending_bytes + bytes > limits.pending_bytes_max;
        if too_large || self.pending.len() >= limits.pending_deliveries_max {
            let (messages, bytes) = (self.pending.len(), self.pending_bytes);
            return Delivery::Dropped(DropReason::QueueFull { messages, bytes });
        }
        self.pending_bytes += bytes;
        self.pending.push_back(Pending { frame, qos, bytes });
        Delivery::Queued
    }

    pub(crate) fn next(&mut self, window: usize) -> Option<Outgoing<F>> {
        if !self.has_room(window) {
            return None;
        }
        if let Some(again) = self.next_again() {
            return Some(again);
        }
        let Pending { frame, qos, bytes } = self.pending.pop_front()?;
        self.pending_bytes -= bytes;
        Some(self.take_off(qos, frame))
    }

    /// What an earlier connection has sent comes first, as it was sent then [MQTT311 4.4.0-1].
    fn next_again(&mut self) -> Option<Outgoing<F>> {
        while let Some(packet_id) = self.unsent.pop_front() {
            let inflight = self.find(packet_id);
            if let Some(inflight) = inflight
                && let Some(frame) = inflight.frame.take()
            {
                let qos =
                    if inflight.stage == Stage::Acknowledge { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
                return Some(Outgoing { packet_id: Some(packet_id), qos, is_again: true, frame });
            }
        }
        None
    }

    /// Takes over a message that an earlier connection has sent with this identifier; [`next`](Self::next) gives it.
    pub(crate) fn restore(&mut self, packet_id: PacketId, qos: QoS, frame: F) {
        let stage = if qos == QoS::ExactlyOnce { Stage::Receive } else { Stage::Acknowledge };
        self.inflight.push_back(Inflight { packet_id, stage, frame: Some(frame) });
        self.unsent.push_back(packet_id);
    }

    /// Takes over an identifier whose PUBCOMP an earlier connection has not got.
    pub(crate) fn restore_unreleased(&mut self, packet_id: PacketId) {
        self.inflight.push_back(Inflight { packet_id, stage: Stage::Complete, frame: None });
    }

    /// Keeps a message that was handed out until it is acknowledged.
    pub(crate) fn remember(&mut self, packet_id: PacketId, frame: F) {
        if let Some(inflight) = self.find(packet_id) {
            inflight.frame = Some(frame);
        }
    }

    pub(crate) fn recall(&mut self, packet_id: PacketId) -> Option<F> {
        self.find(packet_id)?.frame.take()
    }

    /// A PUBACK: frees the identifier's place; `None`: no message with QoS 1 has it. Gives what was remembered.
    pub(crate) fn acknowledged(&mut self, packet_id: PacketId) -> Option<Option<F>> {
        let has_it =
            |inflight: &Inflight<F>| inflight.packet_id == packet_id && inflight.stage == Stage::Acknowledge;
        let at = self.inflight.iter().position(has_it)?;
        self.unsent.retain(|unsent| *unsent != packet_id);
        self.inflight.remove(at).map(|inflight| inflight.frame)
    }

    /// A PUBREC.
    pub(crate) fn received(&mut self, packet_id: PacketId, is_refused: bool) -> Received<F> {
        match self.find(packet_id) {
            Some(inflight) if inflight.stage == Stage::Receive && is_refused => {
                Received::Refused(self.withdraw(packet_id))
            }
            Some(inflight) if inflight.stage == Stage::Receive => {
                inflight.stage = Stage::Complete;
                let frame = inflight.frame.take();
                self.unsent.retain(|unsent| *unsent != packet_id);
                Received::Taken(frame)
            }
            Some(inflight) if inflight.stage == Stage::Complete => Received::Again,
            _ => Received::Unknown,
        }
    }

    /// A PUBCOMP; `false`: nothing waits for it.
    pub(crate) fn completed(&mut self, packet_id: PacketId) -> bool {
        let is_due = self.find(packet_id).is_some_and(|inflight| inflight.stage == Stage::Complete);
        if is_due {
            self.withdraw(packet_id);
        }
        is_due
    }

    /// Frees the identifier's place, whatever it waits for.
    pub(crate) fn withdraw(&mut self, packet_id: PacketId) -> Option<F> {
        let at = self.inflight.iter().position(|inflight| inflight.packet_id == packet_id)?;
        self.unsent.retain(|unsent| *unsent != packet_id);
        self.inflight.remove(at)?.frame
    }

    pub(crate) fn into_leftovers(self) -> Leftovers<F> {
        let mut undelivered = Vec::new();
        let mut unreleased = Vec::new();
        for Inflight { packet_id, stage, frame } in self.inflight {
            if stage == Stage::Complete {
                unreleased.push(packet_id);
            } else if let Some(frame) = frame {
                undelivered.push(Undelivered { frame, sent_as: Some(packet_id) });
            }
        }
        undelivered.extend(
            self.pending.into_iter().map(|pending| Undelivered { frame: pending.frame, sent_as: None }),
        );
        Leftovers { undelivered, unreleased }
    }

    /// Whether one more may be sent now, before everything that waits.
    pub(crate) fn is_open(&self, window: usize) -> bool {
        self.pending.is_empty() && self.unsent.is_empty() && self.has_room(window)
    }

    /// Whether [`next`](Self::next) may have one.
    pub(crate) fn has_next(&self, window: usize) -> bool {
        !(self.pending.is_empty() && self.unsent.is_empty()) && self.has_room(window)
    }

    /// Identifiers whose PUBREL has been sent, or is to be.
    pub(crate) fn unreleased(&self) -> impl Iterator<Item = PacketId> {
        self.inflight
            .iter()
            .filter(|inflight| inflight.stage == Stage::Complete)
            .map(|inflight| inflight.packet_id)
    }

    pub(crate) fn inflight_len(&self) -> usize {
        self.inflight.len()
    }

    pub(crate) fn pending_len(&self) -> usize {
        self.pending.len()
    }

    fn has_room(&self, window: usize) -> bool {
        self.inflight.len() - self.unsent.len() < window
    }

    fn find(&mut self, packet_id: PacketId) -> Option<&mut Inflight<F>> {
        // Mostly the one that was sent last.
        self.inflight.iter_mut().rev().find(|inflight| inflight.packet_id == packet_id)
    }

    fn take_off(&mut self, qos: QoS, frame: F) -> Outgoing<F> {
        // [MQTT311 2.3.1-4] An identifier in use is skipped; the window is smaller than the number of identifiers.
        while self.inflight.iter().any(|inflight| inflight.packet_id == self.next_id) {
            self.next_id = self.next_id.next();
        }
        let packet_id = self.next_id;
        self.next_id = packet_id.next();
        let stage = if qos == QoS::ExactlyOnce { Stage::Receive } else { Stage::Acknowledge };
        self.inflight.push_back(Inflight { packet_id, stage, frame: None });
        Outgoing { packet_id: Some(packet_id), qos, is_again: false, frame }
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
        Outgoing { packet_id: Some(id(number)), qos: QoS::AtLeastOnce, is_again: false, frame }
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
        assert_eq!(deliveries.acknowledged(id(2)), Some(None));
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
        let now =
            Delivery::Send(Outgoing { packet_id: None, qos: QoS::AtMostOnce, is_again: false, frame: "a" });
        assert_eq!(deliveries.deliver(QoS::AtMostOnce, "a", 1, 0, &limits), now);
    }

    #[test]
    fn the_queue_is_bounded_in_bytes_but_takes_one_message_of_any_size() {
        let limits = limits(10);
        let mut deliveries = Deliveries::new();
        assert_eq!(deliveries.hold(QoS::AtLeastOnce, "large", 1_000, &limits), Delivery::Queued);
        let full = DropReason::QueueFull { messages: 1, bytes: 1_000 };
        assert_eq!(deliveries.hold(QoS::AtLeastOnce, "small", 1, &limits), Delivery::Dropped(full));
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
            assert_eq!(deliveries.acknowledged(id(number)), Some(None));
        }
        assert_eq!(deliveries.deliver(QoS::AtLeastOnce, "", 1, 2, &limits), Delivery::Send(sent(2, "")));
        assert_eq!(deliveries.acknowledged(id(77)), None);
    }

    /// [MQTT311 4.4.0-1] After a reconnect what was in flight comes before what waited.
    #[test]
    fn what_is_remembered_comes_back_in_the_order_of_sending() {
        let (window, limits) = (3, limits(2));
        let mut deliveries = Deliveries::new();
        for frame in ["a", "b", "c", "d"] {
            if let Delivery::Send(Outgoing { packet_id: Some(packet_id), frame, .. }) =
                deliveries.deliver(QoS::AtLeastOnce, frame, 1, window, &limits)
                && frame != "c"
            {
                deliveries.remember(packet_id, frame);
            }
        }
        deliveries.remember(id(99), "nobody's");
        assert_eq!(deliveries.acknowledged(id(1)), Some(Some("a")));
        let left = deliveries.into_leftovers().undelivered;
        let expected = [("b", Some(id(2))), ("d", None)];
        assert!(left.into_iter().map(|left| (left.frame, left.sent_as)).eq(expected));
    }

    /// [MQTT311 4.3.3-1]
    #[test]
    fn a_message_with_qos_2_is_delivered_in_four_steps() {
        let (window, limits) = (1, limits(9));
        let mut deliveries = Deliveries::new();
        let sent = deliveries.deliver(QoS::ExactlyOnce, "a", 1, window, &limits);
        assert!(matches!(sent, Delivery::Send(Outgoing { qos: QoS::ExactlyOnce, .. })));
        deliveries.remember(id(1), "a");
        assert_eq!(deliveries.acknowledged(id(1)), None, "a PUBACK is not for it");
        assert!(!deliveries.completed(id(1)), "not before its PUBREC");
        assert_eq!(deliveries.received(id(2), false), Received::Unknown);
        assert_eq!(deliveries.received(id(1), false), Received::Taken(Some("a")));
        assert_eq!(deliveries.received(id(1), false), Received::Again);
        assert!(!deliveries.is_open(window), "it takes its place until the end");
        assert!(deliveries.unreleased().eq([id(1)]));
        assert!(deliveries.completed(id(1)) && !deliveries.completed(id(1)));
        assert!(deliveries.is_open(window));
        let again = deliveries.deliver(QoS::ExactlyOnce, "b", 1, window, &limits);
        assert!(
            matches!(again, Delivery::Send(Outgoing { packet_id: Some(packet_id), .. }) if packet_id == id(2))
        );
        deliveries.remember(id(2), "b");
        assert_eq!(deliveries.received(id(2), true), Received::Refused(Some("b")));
        assert_eq!(deliveries.inflight_len(), 0);
    }

    /// [MQTT5 3.3.4-9] An answer that comes before the message was sent again must not widen the window.
    #[test]
    fn an_early_answer_frees_one_place_only() {
        let (window, limits) = (1, limits(9));
        let mut deliveries = Deliveries::new();
        for (number, qos) in [(7, QoS::AtLeastOnce), (8, QoS::ExactlyOnce), (9, QoS::AtLeastOnce)] {
            deliveries.restore(id(number), qos, "again");
        }
        assert_eq!(deliveries.acknowledged(id(7)), Some(Some("again")));
        assert_eq!(deliveries.received(id(8), false), Received::Taken(Some("again")));
        assert_eq!(deliveries.next(window), None, "its PUBCOMP is missing");
        assert!(deliveries.completed(id(8)));
        assert!(deliveries.next(window).is_some());
        assert_eq!(deliveries.deliver(QoS::AtLeastOnce, "c", 1, window, &limits), Delivery::Queued);
        assert_eq!(deliveries.next(window), None);
    }

    /// [MQTT311 4.4.0-1] With its identifier, by which the receiver knows that it has it already.
    #[test]
    fn what_an_earlier_connection_sent_comes_first_within_the_window() {
        let (window, limits) = (2, limits(9));
        let mut deliveries = Deliveries::new();
        deliveries.restore_unreleased(id(1));
        deliveries.restore(id(7), QoS::ExactlyOnce, "a");
        deliveries.restore(id(8), QoS::AtLeastOnce, "b");
        assert_eq!(deliveries.deliver(QoS::AtLeastOnce, "c", 1, window, &limits), Delivery::Queued);
        let again = |number, qos, frame| Outgoing { packet_id: Some(id(number)), qos, is_again: true, frame };
        assert_eq!(deliveries.next(window), Some(again(7, QoS::ExactlyOnce, "a")));
        deliveries.remember(id(7), "a");
        assert_eq!(deliveries.next(window), None, "the client takes two at a time");
        assert!(deliveries.completed(id(1)));
        assert_eq!(deliveries.next(window), Some(again(8, QoS::AtLeastOnce, "b")));
        assert_eq!(deliveries.received(id(7), false), Received::Taken(Some("a")));
        assert!(deliveries.completed(id(7)));
        assert_eq!(deliveries.next(window), Some(sent(1, "c")));
    }
}
