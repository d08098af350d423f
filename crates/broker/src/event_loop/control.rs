//! Answers to what the API asks about this loop's clients.

use super::EventLoop;
use super::frames::{Header, View, with_packet};
use super::lifecycle::Farewell;
use crate::control::{ClientState, ConnectionInfo, DirectMessage, Question, Reply, Sent};
use crate::message::{Due, Message};
use crate::slots::Key;
use mqtt_session::{Attached, Delivery, Outgoing};
use mqtt_wire::{PacketId, QoS, TopicName};
use std::sync::Arc;

/// A direct message that waits for the client's PUBACK.
#[derive(Debug)]
pub(crate) struct Unconfirmed {
    packet_id: PacketId,
    reply: Reply<Sent>,
}

impl EventLoop {
    pub(super) fn answer(&mut self, client_id: &str, question: Question) {
        let key = self.clients.get(client_id).copied();
        match (question, key) {
            (Question::State(reply), Some(key)) => {
                if let Some(info) = self.info(key) {
                    reply.give(ClientState::Connected(info));
                }
            }
            (Question::State(reply), None) => {
                if let Some((since_ms, reason)) = self.presences.left(client_id, self.now) {
                    reply.give(ClientState::Disconnected { since_ms, reason });
                }
            }
            (Question::Subscriptions(reply), Some(key)) => {
                let Some(connection) = self.connections.get(key) else { return };
                let all = connection.session.subscriptions();
                reply.give(all.map(|(filter, options)| (filter.to_owned(), options.qos)).collect());
            }
            (Question::Subscriptions(reply), None) => {
                if let Some(all) = self.away.subscriptions(client_id) {
                    reply.give(all.map(|(filter, options)| (filter.to_owned(), options.qos)).collect());
                }
            }
            (Question::Explain(reply), key) => reply.give(self.report(client_id, key)),
            (Question::Disconnect { prevent_will, end_session, reply }, Some(key)) => {
                if let Some(connection) = self.connections.get_mut(key) {
                    if prevent_will {
                        connection.session.discard_will();
                    }
                    if end_session {
                        connection.session.end_with_connection();
                    }
                }
                self.end(key, Farewell::by_api());
                self.close_marked();
                self.confirm_end(reply);
            }
            (Question::Disconnect { prevent_will, end_session: true, reply }, None) => {
                if self.discard_absent(client_id, prevent_will) {
                    self.confirm_end(reply);
                }
            }
            (Question::Send { message, reply }, Some(key)) => self.send_direct(key, &message, reply),
            // Nobody of that name is here: dropping the reply says so.
            (_, None) => {}
        }
    }

    /// Answers when the end of a session is on disk.
    fn confirm_end(&mut self, reply: Reply<()>) {
        if self.last_kept > self.committed {
            self.ended.push_back((self.last_kept, reply));
        } else {
            reply.give(());
        }
    }

    pub(super) fn info(&self, key: Key) -> Option<ConnectionInfo> {
        let connection = self.connections.get(key)?;
        Some(ConnectionInfo {
            since_ms: connection.presence.connected_at_ms,
            source: connection.client.who.peer,
            target: connection.transport.local_addr(),
            keep_alive_s: connection.session.keep_alive_s(),
            session_expiry_s: connection.session.session_expiry_s(),
        })
    }

    fn send_direct(&mut self, key: Key, direct: &DirectMessage, reply: Reply<Sent>) {
        let Ok(topic) = TopicName::parse(&direct.topic) else { return };
        if !self.may_receive(key, &topic) {
            return reply.give(Sent::NotAllowed);
        }
        let qos = if direct.confirm { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let attached = Attached::from_stored(&direct.properties, None);
        let message = Message::new(topic, &direct.payload, qos, false, attached);
        let Some(connection) = self.connections.get_mut(key) else { return };
        let bytes = message.bytes_len();
        // Behind what waits already there is no packet identifier yet by which to know its PUBACK.
        let must_wait = connection.outbox.is_full()
            || connection.is_opening
            || direct.confirm && connection.session.pending_len() > 0;
        if must_wait {
            return reply.give(Sent::NoRoom);
        }
        if let Err((quota, _)) = self.may_send(key) {
            self.hold_up(key, quota);
            return reply.give(Sent::NoRoom);
        }
        let Some(connection) = self.connections.get_mut(key) else { return };
        let due = Due::new(Arc::clone(&message), qos, false);
        let Delivery::Send(Outgoing { packet_id, qos, .. }) = connection.session.deliver(qos, due, bytes)
        else {
            return reply.give(Sent::NoRoom);
        };
        let peer = *connection.session.peer();
        let header = Header { qos, packet_id, dup: false, retain: false };
        let fits = with_packet(&View::of(&message), peer.version, header, self.now, |packet| {
            let fits = peer.takes(packet.encoded_len(peer.version));
            if fits {
                connection.outbox.push(packet, peer.version, &mut self.pool);
            }
            fits
        });
        if !fits {
            if let Some(packet_id) = packet_id {
                connection.session.withdraw(packet_id);
            }
            self.give_back(key);
            return reply.give(Sent::NoRoom);
        }
        match packet_id {
            Some(packet_id) => connection.unconfirmed.push(Unconfirmed { packet_id, reply }),
            None => reply.give(Sent::Done),
        }
        self.observe_sent(key, peer.version, &topic, qos);
        self.sent(key);
    }

    /// The client has acknowledged a message: perhaps one that somebody waits for.
    pub(super) fn confirm(&mut self, key: Key, packet_id: PacketId) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let place = connection.unconfirmed.iter().position(|waiting| waiting.packet_id == packet_id);
        if let Some(place) = place {
            connection.unconfirmed.swap_remove(place).reply.give(Sent::Done);
        }
    }
}
