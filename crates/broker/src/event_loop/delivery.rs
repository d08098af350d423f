//! A message to its receivers: the sessions of this loop, and the other loops.

use super::EventLoop;
use super::lifecycle::Farewell;
use crate::message::Message;
use crate::publication::Incoming;
use crate::router::Found;
use crate::slots::Key;
use mqtt_session::{Delivery, Outgoing};
use mqtt_wire::ProtocolVersion::V311;
use mqtt_wire::{Packet, PacketId, Properties, Publish, QoS, TopicName};
use rules::Rule;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Larger scratch memory is given back after a message.
const FRAME_KEPT_BYTES_MAX: usize = 64 * 1024;

/// One message's PUBLISH packet, encoded once per QoS however many receivers it has.
#[derive(Debug, Default)]
pub(super) struct Frames {
    at_most_once: Vec<u8>,
    at_least_once: Vec<u8>,
}

impl Frames {
    fn clear(&mut self) {
        for frame in [&mut self.at_most_once, &mut self.at_least_once] {
            frame.clear();
            frame.shrink_to(FRAME_KEPT_BYTES_MAX);
        }
    }

    /// The packet for a QoS, and where its packet identifier goes.
    fn of(&mut self, topic: TopicName<'_>, payload: &[u8], qos: QoS) -> (&[u8], usize) {
        let frame = if qos == QoS::AtMostOnce { &mut self.at_most_once } else { &mut self.at_least_once };
        if frame.is_empty() {
            let packet = publish(topic, payload, (qos != QoS::AtMostOnce).then_some(PacketId::FIRST));
            frame.resize(packet.encoded_len(V311), 0);
            packet.encode(V311, frame).expect("a packet of ours encodes into its own length");
        }
        (frame, frame.len().saturating_sub(payload.len() + 2))
    }
}

/// [MQTT311 3.3.1-9] RETAIN is 0 on what goes to those who have subscribed already; DUP on what is sent first.
fn publish<'a>(topic: TopicName<'a>, payload: &'a [u8], packet_id: Option<PacketId>) -> Packet<'a> {
    let qos = if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
    let (topic, properties) = (Some(topic), Properties::NONE);
    Packet::Publish(Publish { dup: false, qos, retain: false, topic, packet_id, properties, payload })
}

impl EventLoop {
    /// Lists this loop's receivers of a topic, each once with its highest QoS, and gives the rules that match.
    ///
    /// [MQTT311 3.3.5-1] A client with overlapping subscriptions gets one copy with the highest of their QoS.
    pub(super) fn find_receivers(&mut self, topic: &str) -> Vec<Arc<Rule>> {
        self.message_number += 1;
        self.receivers.clear();
        let mut rules = Vec::new();
        let Self { router, connections, receivers, message_number, .. } = self;
        router.find(topic, |found| match found {
            Found::Rule(rule) => rules.push(Arc::clone(rule)),
            Found::Session(key, qos) => {
                let Some(connection) = connections.get_mut(key) else { return };
                let (number, place) = connection.matched;
                if number == *message_number {
                    receivers[place].1 = receivers[place].1.max(qos);
                } else if !connection.is_closing {
                    connection.matched = (*message_number, receivers.len());
                    receivers.push((key, qos));
                }
            }
        });
        rules
    }

    /// A message that another loop's client, or the API, has published: rules have run there.
    pub(super) fn deliver_from_elsewhere(&mut self, message: &Arc<Message>) {
        self.find_receivers(&message.topic());
        self.deliver(message.topic(), &message.payload, message.qos, Some(message));
    }

    pub(super) fn deliver_to_receivers(&mut self, incoming: &Incoming<'_>) {
        self.deliver(incoming.topic, incoming.payload, incoming.qos, None);
    }

    /// Gives a message to everybody on the list of receivers.
    fn deliver(&mut self, topic: TopicName<'_>, payload: &[u8], qos: QoS, shared: Option<&Arc<Message>>) {
        let receivers = std::mem::take(&mut self.receivers);
        let mut message = shared.map(Arc::clone);
        for &(key, granted) in &receivers {
            // [MQTT311 3.8.4-6] The lower of the two.
            if qos.min(granted) == QoS::AtMostOnce {
                self.deliver_at_most_once(key, topic, payload);
            } else {
                // It may have to outlive its packet in the receiver's session.
                let message = message.get_or_insert_with(|| Message::new(topic, payload, qos));
                self.deliver_at_least_once(key, message);
            }
        }
        self.frames.clear();
        self.receivers = receivers;
    }

    fn deliver_at_most_once(&mut self, key: Key, topic: TopicName<'_>, payload: &[u8]) {
        if !self.may_receive(key, &topic) {
            return;
        }
        self.make_room(key);
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.outbox.is_full() {
            self.me().counters.dropped_slow.increment();
            return self.tell_slow(key, "its socket is full; QoS 0 messages for it are dropped");
        }
        let (frame, _) = self.frames.of(topic, payload, QoS::AtMostOnce);
        connection.outbox.push_frame(frame, None, &mut self.pool);
        self.sent(key);
    }

    fn deliver_at_least_once(&mut self, key: Key, message: &Arc<Message>) {
        if !self.may_receive(key, &message.topic()) {
            return;
        }
        self.make_room(key);
        let Some(connection) = self.connections.get_mut(key) else { return };
        let (frame, bytes) = (Arc::clone(message), message.bytes_len());
        let delivery = if connection.outbox.is_full() {
            connection.session.hold(frame, bytes)
        } else {
            connection.session.deliver(QoS::AtLeastOnce, frame, bytes)
        };
        match delivery {
            Delivery::Send(Outgoing { packet_id, frame: message }) => {
                let (frame, at) = self.frames.of(message.topic(), &message.payload, QoS::AtLeastOnce);
                connection.outbox.push_frame(frame, packet_id.map(|id| (at, id)), &mut self.pool);
                self.sent(key);
            }
            Delivery::Queued => {}
            Delivery::Dropped(reason) => {
                self.me().counters.dropped_slow.increment();
                self.tell_slow(key, &reason.to_string());
            }
        }
    }

    /// Does not wait for the turn's end with an outbox that is full, if its socket is not known to be: one turn can
    /// bring more for a client than its outbox holds.
    fn make_room(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.outbox.is_full()
            && !connection.is_blocked()
            && let Err(error) = connection.flush(key, self.poll.registry(), &mut self.pool)
        {
            self.end(key, Farewell::lost(&error));
        }
    }

    /// Sends what waited in the session, as far as its window and its socket have room.
    pub(super) fn feed(&mut self, key: Key) {
        loop {
            let Some(connection) = self.connections.get_mut(key) else { return };
            if connection.outbox.is_full() || connection.is_closing {
                return;
            }
            let Some(Outgoing { packet_id, frame: message }) = connection.session.next_delivery() else {
                return;
            };
            // Its policies may have changed since it was queued.
            if self.may_receive(key, &message.topic()) {
                let packet = publish(message.topic(), &message.payload, packet_id);
                self.send(key, &packet);
                self.me().counters.publishes_out.increment();
            } else if let Some(packet_id) = packet_id
                && let Some(connection) = self.connections.get_mut(key)
            {
                connection.session.withdraw(packet_id);
            }
        }
    }

    /// Whether a client may be given a message of this topic, asked anew for every delivery.
    fn may_receive(&mut self, key: Key, topic: &str) -> bool {
        let Some(connection) = self.connections.get_mut(key) else { return false };
        let may = connection.client.may_receive(&self.shared.registry, topic, self.now_s);
        if !may {
            self.me().counters.receives_withheld.increment();
        }
        may
    }

    fn sent(&mut self, key: Key) {
        self.me().counters.publishes_out.increment();
        self.mark_dirty(key);
    }

    fn tell_slow(&mut self, key: Key, reason: &str) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if !std::mem::replace(&mut connection.told_slow, true) {
            let client_id = &*connection.client.who.client_id;
            tracing::warn!(target: "eyot::delivery", client_id, reason, "the client takes messages too slowly");
        }
    }

    /// Puts a message on the list for the other loops, if they have subscribers at all.
    pub(super) fn forward(&mut self, incoming: &Incoming<'_>) {
        let others = self.shared.peers.iter().enumerate().filter(|(index, _)| *index != self.index);
        if others.into_iter().any(|(_, peer)| peer.subscriptions.load(Ordering::Acquire) > 0) {
            self.outgoing.push(Message::new(incoming.topic, incoming.payload, incoming.qos));
        }
    }

    /// Lets the other threads know whether this loop wants messages; before the SUBACK leaves.
    pub(super) fn tell_subscriptions(&self) {
        self.me().subscriptions.store(self.router.subscriptions(), Ordering::Release);
    }
}
