//! From a client's bytes to what its packets ask for.

use super::EventLoop;
use super::lifecycle::Farewell;
use crate::connection::READS_PER_TURN_MAX;
use crate::router::FILTER_LEVELS_MAX;
use crate::slots::Key;
use crate::topics;
use crate::transport::Read;
use mqtt_session::Event;
use mqtt_wire::ProtocolVersion::V311;
use mqtt_wire::{Packet, Properties, ReasonCode, ReasonCodes, SubAck, Subscribe, UnsubAck, Unsubscribe};

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
        // What waited behind a stall comes first.
        self.take_bytes(key, &[]);
        for _ in 0..READS_PER_TURN_MAX {
            let Some(connection) = self.connections.get_mut(key) else { return };
            connection.has_unread = !connection.may_read();
            if connection.has_unread {
                return;
            }
            match connection.transport.read(buffer) {
                Ok(Read::Some(count)) => self.take_bytes(key, &buffer[..count]),
                Ok(Read::Last(0)) => return,
                Ok(Read::Last(count)) => {
                    let reads_to_end = connection.reads_to_end;
                    self.take_bytes(key, &buffer[..count]);
                    if !reads_to_end && self.may_read(key) {
                        return;
                    }
                }
                Ok(Read::End) => return self.end(key, Farewell::hung_up()),
                Err(error) => return self.end(key, Farewell::lost(&error)),
            }
        }
        self.mark_ready(key, false);
    }

    fn may_read(&self, key: Key) -> bool {
        self.connections.get(key).is_some_and(super::Connection::may_read)
    }

    /// Works off the packets in what was left over and these bytes, and keeps the rest.
    pub(super) fn take_bytes(&mut self, key: Key, bytes: &[u8]) {
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
        let mut at = 0;
        while at < bytes.len() && self.may_read(key) {
            match mqtt_wire::decode(&bytes[at..], V311, packet_bytes_max) {
                Ok(Some((packet, used))) => {
                    at += used;
                    self.take_packet(key, &packet);
                }
                Ok(None) => break,
                Err(error) => {
                    self.end(
                        key,
                        Farewell::client_error(format!("what the client sent is not MQTT: {error}")),
                    );
                }
            }
        }
        at
    }

    fn take_packet(&mut self, key: Key, packet: &Packet<'_>) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        match connection.session.receive(packet, self.now) {
            Ok(Event::Publish { topic, publish }) => self.receive_publish(key, topic, &publish),
            Ok(Event::Subscribe(subscribe)) => self.receive_subscribe(key, &subscribe),
            Ok(Event::Unsubscribe(unsubscribe)) => self.receive_unsubscribe(key, &unsubscribe),
            Ok(Event::Delivered(_)) => self.feed(key),
            Ok(Event::StrayAck(packet_id)) => {
                let client_id = &*connection.client.who.client_id;
                tracing::debug!(target: "eyot::connection", client_id, %packet_id, "PUBACK for nothing in flight");
            }
            Ok(Event::Ping) => self.send(key, &Packet::PingResp),
            Ok(Event::Disconnect) => self.end(key, Farewell::disconnect()),
            Err(violation) => self.end(key, Farewell::from(violation)),
        }
    }

    /// One denied filter closes the connection, as every denial that was seen on AWS did. [verified 7, 8]
    fn receive_subscribe(&mut self, key: Key, subscribe: &Subscribe<'_>) {
        for request in subscribe.filters.iter() {
            let filter = request.filter.as_str();
            if let Some(reason) = topics::reserved_filter(filter) {
                let detail = format!("SUBSCRIBE to `{filter}`: {reason}");
                return self.end(key, Farewell::forbidden(detail));
            }
            let Some(connection) = self.connections.get_mut(key) else { return };
            if let Err(denied) = connection.client.may_subscribe(&self.shared.registry, filter, self.now_s) {
                return self.deny(key, denied);
            }
        }
        // Only now, so that a SUBSCRIBE is granted as a whole or not at all.
        let mut codes = Vec::with_capacity(subscribe.filters.len());
        for request in subscribe.filters.iter() {
            let Some(connection) = self.connections.get_mut(key) else { return };
            let filter = request.filter.as_str();
            let refused = |reason: &dyn std::fmt::Display| {
                let client_id = &*connection.client.who.client_id;
                let reason = &*reason.to_string();
                tracing::warn!(target: "eyot::connection", client_id, filter, reason, "subscription refused");
                ReasonCode::UnspecifiedError
            };
            if filter.split('/').count() > FILTER_LEVELS_MAX {
                codes.push(refused(&format_args!("it has more than {FILTER_LEVELS_MAX} levels")));
                continue;
            }
            match connection.session.subscribe(request.filter, request.options.qos) {
                Ok(subscribed) => {
                    self.router.subscribe(filter, key, subscribed.granted);
                    codes.push(ReasonCode::granted(subscribed.granted));
                }
                Err(refusal) => codes.push(refused(&refusal)),
            }
        }
        self.tell_subscriptions();
        let (packet_id, codes) = (subscribe.packet_id, ReasonCodes::from_slice(&codes));
        self.send(key, &Packet::SubAck(SubAck { packet_id, properties: Properties::NONE, codes }));
    }

    fn receive_unsubscribe(&mut self, key: Key, unsubscribe: &Unsubscribe<'_>) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        for filter in unsubscribe.filters.iter() {
            if connection.session.unsubscribe(filter) {
                self.router.unsubscribe(filter.as_str(), key);
            }
        }
        self.tell_subscriptions();
        let (packet_id, codes) = (unsubscribe.packet_id, ReasonCodes::NONE);
        self.send(key, &Packet::UnsubAck(UnsubAck { packet_id, properties: Properties::NONE, codes }));
    }

    pub(super) fn send(&mut self, key: Key, packet: &Packet<'_>) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.outbox.push(packet, &mut self.pool);
        self.mark_dirty(key);
    }
}
