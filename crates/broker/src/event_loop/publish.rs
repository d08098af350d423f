//! One PUBLISH of a client: permission, rules and receivers, journal, PUBACK.

use super::EventLoop;
use super::lifecycle::Farewell;
use crate::authorize::Denied;
use crate::connection::Stalled;
use crate::publication::{self, Incoming, Source};
use crate::slots::Key;
use crate::topics::{self, Topic};
use mqtt_wire::{Ack, Packet, PacketId, Publish, TopicName};
use rules::Consequences;
use std::sync::Arc;
use store::{AppendError, Position, Transaction};

impl EventLoop {
    pub(super) fn receive_publish(&mut self, key: Key, topic: TopicName<'_>, publish: &Publish<'_>) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        self.shared.peers[self.index].counters.publishes_in.increment();
        if let Topic::Reserved(reason) = topics::of_publish(&topic) {
            return self.end(key, Farewell::forbidden(format!("PUBLISH to `{topic}`: {reason}")));
        }
        let permit = connection.client.may_publish(&self.shared.registry, &topic, publish.retain, self.now_s);
        if let Err(denied) = permit {
            return self.deny(key, denied);
        }
        if publish.retain {
            topics::warn_about_retain();
        }
        let who = Arc::clone(&connection.client.who);
        let incoming = Incoming {
            topic,
            payload: publish.payload,
            qos: publish.qos,
            source: Source {
                client_id: Some(&who.client_id),
                principal: Some(&who.principal),
                source_ip: Some(who.peer.ip()),
                trace_id: None,
            },
            depth: 0,
        };
        let transaction =
            publication::ripple(&incoming, |incoming, consequences| self.route(incoming, consequences));
        self.keep(key, transaction, publish.packet_id);
    }

    /// Runs the rules for a message and hands it to its receivers, here and in the other loops.
    pub(super) fn route(&mut self, incoming: &Incoming<'_>, consequences: &mut Consequences) {
        if topics::of_publish(&incoming.topic) == Topic::BasicIngest {
            // [AWS iot-basic-ingest] Only the rule sees it.
            return incoming.ingest(self.router.rules(), consequences);
        }
        let rules = self.find_receivers(&incoming.topic);
        incoming.run_rules(&rules, consequences);
        self.deliver_to_receivers(incoming);
        self.forward(incoming);
    }

    /// Gives the journal what a publish leaves behind, and owes the client its PUBACK for when that is durable.
    ///
    /// A publish that leaves nothing is acknowledged at once: nobody asked to keep it, so there is nothing that a
    /// crash could lose of it.
    pub(super) fn keep(&mut self, key: Key, mut transaction: Transaction, packet_id: Option<PacketId>) {
        let position = match self.shared.store.append_from(&mut transaction) {
            Ok(position) => position,
            Err(AppendError::Backlog { .. }) => return self.stall(key, Stalled { transaction, packet_id }),
            Err(error) => return self.end(key, Farewell::server_error(&error)),
        };
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Some(packet_id) = packet_id else { return };
        let after = (position != Position::NONE).then_some(position.0);
        connection.session.expect_ack(packet_id, after);
        if position > self.committed {
            self.owed.push_back((position, key));
        } else {
            self.release_acks(key);
        }
    }

    /// Reads no more of a client until the journal takes what it has published.
    fn stall(&mut self, key: Key, stalled: Stalled) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.stalled = Some(stalled);
        connection.has_unread = true;
        self.stalled.push(key);
        self.me().counters.backlog_stalls.increment();
    }

    /// Sends the PUBACKs that may leave by now.
    pub(super) fn release_acks(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let mut sent = false;
        for packet_id in connection.session.acks_ready(self.committed.0) {
            connection.outbox.push(&Packet::PubAck(Ack::success(packet_id)), &mut self.pool);
            sent = true;
        }
        if sent {
            self.mark_dirty(key);
        }
    }

    /// Hangs up on a client that did what its policies do not allow. [AWS iot: MQTT 3.1.1 has no other answer]
    pub(super) fn deny(&mut self, key: Key, denied: Denied) {
        let Some(connection) = self.connections.get(key) else { return };
        self.me().counters.denied.increment();
        denied.log(&connection.client.who);
        self.end(key, Farewell::denied(denied));
    }
}
