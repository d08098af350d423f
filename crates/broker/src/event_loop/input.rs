//! From a client's bytes to what its packets ask for.

use super::EventLoop;
use super::lifecycle::Farewell;
use super::sessions::is_plain;
use crate::authorize::Denied;
use crate::clock::now_ms;
use crate::connection::{PACKETS_PER_TURN_MAX, READS_PER_TURN_MAX, Reply};
use crate::history::{What, kept};
use crate::publication::Effects;
use crate::router::FILTER_LEVELS_MAX;
use crate::slots::Key;
use crate::topics;
use crate::transport::Read;
use mqtt_session::{Event, Subscribed, check_filter};
use mqtt_wire::{
    FilterRequest, Packet, Properties, ProtocolVersion, QoS, ReasonCode, ReasonCodes, RetainHandling, SubAck,
    Subscribe, UnsubAck, Unsubscribe,
};
use store::Transaction;

impl EventLoop {
    /// Puts a client on the list of those to read.
    pub(super) fn mark_ready(&mut self, key: Key, at_end: bool) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.reads_to_end |= at_end;
        if !connection.is_ready {
            connection.is_ready = true;
            self.ready.push_back(key);
        }
    }

    /// Reads every client that was on the list when it began; who has more goes to its end.
    pub(super) fn read_ready(&mut self) {
        if self.must_hold_reads() {
            return;
        }
        let mut buffer = std::mem::take(&mut self.read_buffer);
        for _ in 0..self.ready.len() {
            let Some(key) = self.ready.pop_front() else { break };
            if let Some(connection) = self.connections.get_mut(key) {
                connection.is_ready = false;
                self.current = Some(key);
                self.read(key, &mut buffer);
                self.current = None;
                self.close_marked();
            }
        }
        self.read_buffer = buffer;
    }

    /// Goes on reading from a client that was not read for a while.
    pub(super) fn resume(&mut self, key: Key) {
        if let Some(connection) = self.connections.get(key)
            && connection.has_unread
            && connection.may_read()
        {
            self.mark_ready(key, false);
        }
    }

    fn read(&mut self, key: Key, buffer: &mut [u8]) {
        if self.connections.get(key).is_some_and(|connection| connection.inbox.is_some()) {
            self.feed(key);
        }
        self.replay_more(key);
        // What waited behind a stall, or behind the packets of an earlier turn, comes first.
        self.packets_left = PACKETS_PER_TURN_MAX;
        self.take_bytes(key, &[]);
        for _ in 0..READS_PER_TURN_MAX {
            if self.packets_left == 0 {
                break;
            }
            let Some(connection) = self.connections.get_mut(key) else { return };
            connection.has_unread = !connection.may_read();
            if connection.has_unread {
                return;
            }
            match connection.transport.read(buffer) {
                Ok(Read::Some(count)) => {
                    self.me().counters.received_bytes.add(count as u64);
                    self.take_bytes(key, &buffer[..count]);
                    self.charge_received(key, count);
                }
                Ok(Read::Last(0)) => return,
                Ok(Read::Last(count)) => {
                    let reads_to_end = connection.reads_to_end;
                    self.me().counters.received_bytes.add(count as u64);
                    self.take_bytes(key, &buffer[..count]);
                    self.charge_received(key, count);
                    if !reads_to_end && self.packets_left > 0 && self.may_read(key) {
                        return;
                    }
                }
                Ok(Read::End) => {
                    let farewell = Farewell::hung_up(&connection.transport);
                    return self.end(key, farewell);
                }
                Err(error) => {
                    let farewell = Farewell::broken(&connection.transport, &error);
                    return self.end(key, farewell);
                }
            }
        }
        self.mark_ready(key, false);
    }

    fn may_read(&self, key: Key) -> bool {
        self.connections.get(key).is_some_and(|connection| connection.may_read())
    }

    /// Works off the packets in what was left over and these bytes, and keeps the rest.
    fn take_bytes(&mut self, key: Key, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.input.is_empty() {
            let used = self.take_packets(key, bytes);
            if let Some(connection) = self.connections.get_mut(key) {
                connection.input.extend_from_slice(&bytes[used..]);
            }
            return;
        }
        let mut input = std::mem::take(&mut connection.input);
        input.extend_from_slice(bytes);
        let used = self.take_packets(key, &input);
        if let Some(connection) = self.connections.get_mut(key)
            && used < input.len()
        {
            input.drain(..used);
            connection.input = input;
        }
    }

    /// Gives how many bytes were packets that have been worked off.
    fn take_packets(&mut self, key: Key, bytes: &[u8]) -> usize {
        let packet_bytes_max = self.shared.limits.packet_bytes_max();
        let Some(connection) = self.connections.get(key) else { return 0 };
        let version = connection.session.peer().version;
        let mut at = 0;
        while at < bytes.len() && self.packets_left > 0 && self.may_read(key) {
            match mqtt_wire::decode(&bytes[at..], version, packet_bytes_max) {
                Ok(Some((packet, used))) => {
                    at += used;
                    self.packets_left -= 1;
                    self.take_packet(key, &packet);
                }
                Ok(None) => break,
                Err(error) => self.end(key, Farewell::not_mqtt(&error)),
            }
        }
        at
    }

    fn take_packet(&mut self, key: Key, packet: &Packet<'_>) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        match connection.session.receive(packet, self.now) {
            Ok(Event::Publish { topic, publish }) => self.receive_publish(key, topic.name(), &publish),
            Ok(Event::Throttled { packet_id, qos, throttled }) => {
                self.shared.account.count(throttled.quota);
                self.discard_publish(key, throttled, packet_id, qos);
            }
            Ok(Event::Subscribe(subscribe)) => self.receive_subscribe(key, &subscribe),
            Ok(Event::Unsubscribe(unsubscribe)) => self.receive_unsubscribe(key, &unsubscribe),
            Ok(Event::Delivered { packet_id, frame }) => {
                if let Some(due) = frame {
                    self.settle(due);
                }
                self.confirm(key, packet_id);
                self.feed(key);
            }
            Ok(Event::Repeated) => self.release(key),
            Ok(Event::Released { packet_id, is_known }) => self.complete(key, packet_id, is_known),
            Ok(Event::Received { packet_id, is_known, frame }) => {
                self.release_received(key, packet_id, is_known, frame);
            }
            Ok(Event::Completed(packet_id)) => self.completed(key, packet_id),
            Ok(Event::StrayAck(packet_id)) => {
                let client_id = &*connection.client.who.client_id;
                tracing::debug!(target: "eyot::connection", client_id, %packet_id, "PUBACK for nothing in flight");
            }
            Ok(Event::Ping) => self.send(key, &Packet::PingResp),
            Ok(Event::Disconnect) => self.end(key, Farewell::disconnect()),
            Err(violation) => self.end(key, Farewell::from(violation)),
        }
    }

    /// With MQTT 3.1.1 one denied filter closes the connection, as every denial that was seen on AWS did [verified 7, 8],
    /// and a SUBSCRIBE is granted as a whole or not at all. With MQTT 5 each filter has its answer.
    fn receive_subscribe(&mut self, key: Key, subscribe: &Subscribe<'_>) {
        let Some(connection) = self.connections.get(key) else { return };
        let version = connection.session.peer().version;
        let mut codes = Vec::with_capacity(subscribe.filters.len());
        for request in subscribe.filters.iter() {
            match self.may_subscribe(key, &request) {
                Ok(()) => codes.push(ReasonCode::Success),
                Err(NotPermitted::Denied(denied)) => match (version, &denied) {
                    (ProtocolVersion::V5, Denied::ByPolicy { .. }) => {
                        self.tell_denied(key, &denied);
                        codes.push(ReasonCode::NotAuthorized);
                    }
                    _ => {
                        self.count_subscribes(&[ReasonCode::NotAuthorized]);
                        return self.deny(key, denied);
                    }
                },
                Err(NotPermitted::Reserved(detail)) => {
                    return self.end(key, Farewell::forbidden(detail, ReasonCode::TopicFilterInvalid));
                }
            }
        }
        let (mut replays, mut effects) = (Vec::new(), Effects::default());
        for (request, code) in subscribe.filters.iter().zip(&mut codes) {
            if *code == ReasonCode::Success {
                match self.subscribe(key, &request, &mut effects.transaction) {
                    Ok(subscribed) => {
                        *code = ReasonCode::granted(subscribed.granted.qos);
                        if wants_retained(&subscribed) && is_plain(&request.filter) {
                            replays.push((request.filter.as_str().into(), subscribed.granted.qos));
                        }
                    }
                    Err(reason) => *code = reason,
                }
            }
        }
        self.tell_subscriptions();
        self.count_subscribes(&codes);
        let (packet_id, codes) = (subscribe.packet_id, ReasonCodes::from_slice(&codes));
        let granted =
            subscribe.filters.iter().zip(codes.iter()).filter(|(_, code)| code.granted_qos().is_some());
        let granted: Vec<&str> = granted.map(|(request, _)| request.filter.as_str()).collect();
        if let Some(connection) = self.connections.get(key)
            && !granted.is_empty()
        {
            let event = connection.presence.subscribed(&connection.client.who, &granted, now_ms());
            self.log_subscribed(key, &granted);
            self.publish_event(event);
        }
        let answer = Packet::SubAck(SubAck { packet_id, properties: Properties::NONE, codes });
        self.answer_when_kept(key, effects, &answer, replays);
    }

    /// Sends an answer when the journal has what the client is told.
    pub(super) fn answer_when_kept(
        &mut self,
        key: Key,
        effects: Effects,
        answer: &Packet<'_>,
        replays: Vec<(Box<str>, QoS)>,
    ) {
        let Some(connection) = self.connections.get(key) else { return };
        let peer = connection.session.peer();
        let mut bytes = vec![0; answer.encoded_len(peer.version)].into_boxed_slice();
        if !peer.takes(bytes.len()) {
            // [MQTT5 3.1.2-24] Without this packet the client cannot go on.
            return self.end(key, Farewell::too_large(answer.kind()));
        }
        answer.encode(peer.version, &mut bytes).expect("a packet of ours encodes into its own length");
        self.keep(key, effects, Reply::Packet { bytes, replays });
    }

    fn may_subscribe(&mut self, key: Key, request: &FilterRequest<'_>) -> Result<(), NotPermitted> {
        let filter = request.filter.as_str();
        let Some(connection) = self.connections.get_mut(key) else { return Ok(()) };
        // What is too long, or no shared filter, is refused for that, and by nobody's policy: `subscribe` says so.
        if check_filter(request.filter, &self.shared.limits).is_err() {
            return Ok(());
        }
        let shared = request.filter.shared().ok().flatten();
        let plain = shared.map_or(request.filter, |shared| shared.filter);
        if let Some(reason) = topics::reserved_filter(&plain) {
            return Err(NotPermitted::Reserved(format!("SUBSCRIBE to `{filter}`: {reason}")));
        }
        let permit = connection.client.may_subscribe(&self.shared.registry, filter, self.now_s);
        permit.map_err(NotPermitted::Denied)
    }

    /// Takes a filter that is permitted; else what the SUBACK says of it.
    fn subscribe(
        &mut self,
        key: Key,
        request: &FilterRequest<'_>,
        transaction: &mut Transaction,
    ) -> Result<Subscribed, ReasonCode> {
        self.may_add_subscription(key, request.filter)?;
        let Some(connection) = self.connections.get_mut(key) else {
            return Err(ReasonCode::UnspecifiedError);
        };
        let filter = request.filter.as_str();
        if filter.split('/').count() > FILTER_LEVELS_MAX {
            let reason = format!("it has more than {FILTER_LEVELS_MAX} levels");
            self.tell_filter_refused(key, filter, &reason);
            return Err(ReasonCode::TopicFilterInvalid);
        }
        if connection.is_kept && !self.shared.sessions.takes_filter(filter) {
            let reason = "it is too long to be kept, or too much is kept already";
            self.tell_filter_refused(key, filter, reason);
            return Err(ReasonCode::QuotaExceeded);
        }
        match connection.session.subscribe(request.filter, request.options) {
            Ok(subscribed) => {
                self.begin_subscription(key, request.filter, subscribed.granted, transaction);
                Ok(subscribed)
            }
            Err(refusal) => {
                self.tell_filter_refused(key, filter, &refusal.to_string());
                Err(refusal.reason_code())
            }
        }
    }

    fn tell_filter_refused(&mut self, key: Key, filter: &str, reason: &str) {
        let Some(connection) = self.connections.get(key) else { return };
        let client_id = &*connection.client.who.client_id;
        tracing::warn!(target: "eyot::connection", client_id, filter, reason, "subscription refused");
        self.log_filter_refused(key, filter, reason);
        self.remember_at(key, What::SubscriptionRefused { filter: kept(filter), reason: kept(reason) });
    }

    fn receive_unsubscribe(&mut self, key: Key, unsubscribe: &Unsubscribe<'_>) {
        let mut effects = Effects::default();
        for filter in unsubscribe.filters.iter() {
            let Some(connection) = self.connections.get_mut(key) else { return };
            let was_subscribed = connection.session.unsubscribe(filter);
            if !was_subscribed && !connection.is_kept {
                continue;
            }
            connection.groups.retain(|group| *group.filter != *filter.as_str());
            connection.replays.retain(|replay| !replay.is_of(&filter));
            self.router.unsubscribe(&filter, key);
            let is_kept = connection.is_kept;
            if let Some(inbox) = connection.inbox.clone() {
                self.end_subscription(&inbox, &filter, is_kept, &mut effects.transaction);
            }
        }
        self.tell_subscriptions();
        let ended: Vec<&str> = unsubscribe.filters.iter().map(|filter| filter.as_str()).collect();
        let Some(connection) = self.connections.get(key) else { return };
        let event = connection.presence.unsubscribed(&connection.client.who, &ended, now_ms());
        self.me().tallies.unsubscribe(ended.len());
        // [AWS mqtt5-reason-codes] AWS does not say when there was nothing to end.
        let codes = vec![ReasonCode::Success; unsubscribe.filters.len()];
        let (packet_id, codes) = (unsubscribe.packet_id, ReasonCodes::from_slice(&codes));
        let answer = Packet::UnsubAck(UnsubAck { packet_id, properties: Properties::NONE, codes });
        self.publish_event(event);
        self.answer_when_kept(key, effects, &answer, Vec::new());
    }

    pub(super) fn send(&mut self, key: Key, packet: &Packet<'_>) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let peer = *connection.session.peer();
        if !peer.takes(packet.encoded_len(peer.version)) {
            // [MQTT5 3.1.2-24] Without this packet the client cannot go on.
            return self.end(key, Farewell::too_large(packet.kind()));
        }
        connection.outbox.push(packet, peer.version, &mut self.pool);
        self.mark_dirty(key);
    }
}

/// Why a filter is not permitted.
enum NotPermitted {
    Denied(Denied),
    Reserved(String),
}

/// [MQTT5 3.3.1-9] [MQTT5 3.3.1-10] [MQTT5 3.3.1-11]
fn wants_retained(subscribed: &Subscribed) -> bool {
    match subscribed.granted.retain_handling {
        RetainHandling::Send => true,
        RetainHandling::SendIfNew => !subscribed.is_replaced,
        RetainHandling::DoNotSend => false,
    }
}
