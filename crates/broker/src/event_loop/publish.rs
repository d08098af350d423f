//! One PUBLISH of a client: permission, rules and receivers, journal, PUBACK.

use super::EventLoop;
use super::frames::View;
use super::lifecycle::Farewell;
use crate::authorize::Denied;
use crate::connection::Reply;
use crate::history::What;
use crate::publication::{self, Effects, Incoming, Kept, Source};
use crate::sessions::{self, Offer};
use crate::slots::Key;
use crate::tallies::PublishOutcome;
use crate::topics::{self, Topic};
use mqtt_session::{Attached, Owed};
use mqtt_wire::{Ack, Packet, ProtocolVersion, Publish, QoS, ReasonCode, TopicName};
use rules::Consequences;
use std::sync::Arc;
use store::{AppendError, Position};

/// The log says which limit it is.
const NOT_RETAINED: &str = "a limit of retained messages is reached; the message was delivered, and a later subscriber does not get it";

impl EventLoop {
    pub(super) fn receive_publish(&mut self, key: Key, topic: TopicName<'_>, publish: &Publish<'_>) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if let Topic::Reserved(reason) = topics::of_publish(&topic) {
            self.count_publish_in(key, publish.qos, PublishOutcome::Reserved);
            let detail = format!("PUBLISH to `{topic}`: {reason}");
            return self.end(key, Farewell::forbidden(detail, ReasonCode::TopicNameInvalid));
        }
        let permit = connection.client.may_publish(&self.shared.registry, &topic, publish.retain, self.now_s);
        if let Err(denied) = permit {
            self.count_publish_in(key, publish.qos, PublishOutcome::Denied);
            return self.deny_publish(key, denied, publish);
        }
        let who = Arc::clone(&connection.client.who);
        // After the permission: who has none must not use up what others have.
        if let Err(throttled) = self.may_take(publish.retain.then_some(topic.as_str())) {
            return self.discard_publish(key, throttled, publish.packet_id, publish.qos);
        }
        let attached = Attached::of(&publish.properties, &self.shared.limits);
        let trace_id = self.shared.iot_log.trace_id();
        self.log_publish_in(&who, &topic, trace_id.as_deref());
        let incoming = Incoming {
            topic,
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            attached: &attached,
            source: Source {
                client_id: Some(&who.client_id),
                principal: Some(&who.principal),
                source_ip: Some(who.peer.ip()),
                trace_id: trace_id.as_deref(),
            },
            depth: 0,
        };
        self.begin_tally();
        let mut effects = publication::ripple(&incoming, |incoming, consequences, offers| {
            self.route(incoming, Some(key), consequences, offers);
        });
        self.end_tally(key, publish.qos);
        let Some(packet_id) = publish.packet_id else { return self.keep(key, effects, Reply::Nothing) };
        if publish.qos == QoS::ExactlyOnce
            && let Some(connection) = self.connections.get(key)
            && let Some(inbox) = connection.inbox.as_ref().filter(|_| connection.is_kept)
        {
            sessions::keep_taken(&mut effects.transaction, inbox, packet_id);
        }
        self.keep(key, effects, Reply::Ack(packet_id, publish.qos));
    }

    /// Runs the rules for a message and hands it to its receivers, here and in the other loops. `from` is the client
    /// that publishes.
    pub(super) fn route(
        &mut self,
        incoming: &Incoming<'_>,
        from: Option<Key>,
        consequences: &mut Consequences,
        offers: &mut Vec<Offer>,
    ) {
        if topics::of_publish(&incoming.topic) == Topic::BasicIngest {
            // [AWS iot-basic-ingest] Only the rule sees it.
            return incoming.ingest(self.router.rules(), consequences);
        }
        let rules = self.find_receivers(&incoming.topic, from.filter(|_| incoming.depth == 0));
        self.count_rules(rules.len());
        incoming.run_rules(&rules, consequences);
        self.tally_routed(incoming.depth, rules.len(), consequences);
        self.deliver_to_receivers(incoming);
        self.forward(incoming);
        let message = || View::of_incoming(incoming, self.now).to_message();
        let Incoming { topic, qos, source, .. } = *incoming;
        offers.extend(self.shared.offer(&topic, qos, source.client_id, self.now, message));
    }

    /// Gives the journal what a publish leaves behind, and owes the client its PUBACK for when that is durable.
    ///
    /// A publish that leaves nothing is acknowledged at once: nobody asked to keep it, so there is nothing that a
    /// crash could lose of it.
    pub(super) fn keep(&mut self, key: Key, mut effects: Effects, reply: Reply) {
        match self.append(&mut effects) {
            Err(AppendError::Backlog { .. }) => self.stall(key, effects, reply),
            kept => self.kept(key, kept, reply),
        }
    }

    /// The journal has answered.
    pub(super) fn kept(&mut self, key: Key, kept: Result<Kept, AppendError>, reply: Reply) {
        let Kept { position, is_refused } = match kept {
            Ok(kept) => kept,
            Err(error) => return self.end(key, Farewell::server_error(&error)),
        };
        if is_refused {
            self.remember_at(key, What::NotRetained { reason: NOT_RETAINED.into() });
        }
        let Some(connection) = self.connections.get_mut(key) else { return };
        match reply {
            Reply::Nothing => return,
            Reply::Ack(packet_id, qos) => {
                let after = (position != Position::NONE).then_some(position.0);
                // [MQTT5 3.4.2.1] A limit of ours. One of MQTT 3.1.1 could only be hung up on, and the message was
                // delivered.
                let is_told = is_refused && connection.session.peer().version == ProtocolVersion::V5;
                let reason = if is_told { ReasonCode::QuotaExceeded } else { ReasonCode::Success };
                connection.session.expect_ack(packet_id, qos, reason, after);
            }
            held => connection.held.push_back((position, held)),
        }
        if position > self.committed {
            self.owed.push_back((position, key));
        } else {
            self.release(key);
        }
    }

    /// Sends the PUBACKs and the answers that may leave by now.
    pub(super) fn release(&mut self, key: Key) {
        self.release_acks(key);
        while let Some(connection) = self.connections.get_mut(key)
            && let Some((_, reply)) =
                connection.held.pop_front_if(|(position, _)| *position <= self.committed)
        {
            match reply {
                Reply::Packet { bytes, replays } => {
                    connection.outbox.push_frame(&bytes, false, None, &mut self.pool);
                    self.mark_dirty(key);
                    self.replay(key, replays);
                    self.feed(key);
                }
                Reply::ConnAck(opening) => self.open_session(key, *opening),
                Reply::Send(packet_id) => self.send_remembered(key, packet_id),
                Reply::Nothing | Reply::Ack(..) => {}
            }
        }
    }

    pub(super) fn release_acks(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let mut sent = false;
        let version = connection.session.peer().version;
        for Owed { packet_id, qos, reason, .. } in connection.session.acks_ready(self.committed.0) {
            let ack = Ack { reason, ..Ack::success(packet_id) };
            let packet = if qos == QoS::ExactlyOnce { Packet::PubRec(ack) } else { Packet::PubAck(ack) };
            connection.outbox.push(&packet, version, &mut self.pool);
            sent = true;
        }
        if sent {
            self.mark_dirty(key);
        }
    }

    /// A message that the client may not publish. [AWS mqtt5-reason-codes] With QoS 1 a client of MQTT 5 is told so in
    /// the PUBACK and stays.
    fn deny_publish(&mut self, key: Key, denied: Denied, publish: &Publish<'_>) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let may_stay = connection.session.peer().version == ProtocolVersion::V5
            && matches!(denied, Denied::ByPolicy { .. });
        let Some(packet_id) = publish.packet_id.filter(|_| may_stay) else { return self.deny(key, denied) };
        self.tell_denied(key, &denied);
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.session.expect_ack(packet_id, publish.qos, ReasonCode::NotAuthorized, None);
        self.release_acks(key);
    }

    /// Hangs up on a client that did what its policies do not allow. [AWS iot: MQTT 3.1.1 has no other answer]
    pub(super) fn deny(&mut self, key: Key, denied: Denied) {
        self.tell_denied(key, &denied);
        self.end(key, Farewell::denied(denied));
    }

    /// Counts a denial, and tells the log of it unless it heard of this client's just now.
    pub(super) fn tell_denied(&mut self, key: Key, denied: &Denied) {
        self.me().counters.denied.increment();
        let Some(connection) = self.connections.get_mut(key) else { return };
        let who = Arc::clone(&connection.client.who);
        if let Some(untold) = connection.denials.add(self.now) {
            denied.log(&who, untold);
        }
        self.observe_denied(&who, denied);
    }
}
