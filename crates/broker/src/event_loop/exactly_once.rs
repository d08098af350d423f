//! The steps of QoS 2 behind the PUBLISH [MQTT311 4.3.3], [MQTT5 4.3.3].
//!
//! Of a kept session each step is on disk before the other side hears of it: who has been told that an identifier is free
//! uses it for the next message, which must not be taken for the one before.

use super::EventLoop;
use crate::message::Due;
use crate::publication::Effects;
use crate::sessions;
use crate::slots::Key;
use mqtt_wire::{Ack, Packet, PacketId, ProtocolVersion, ReasonCode};

impl EventLoop {
    /// PUBREL: the client's message was taken over, and its identifier is free now.
    pub(super) fn complete(&mut self, key: Key, packet_id: PacketId, is_known: bool) {
        let Some(connection) = self.connections.get(key) else { return };
        let mut effects = Effects::default();
        // Also when it is not known: an earlier answer may have been lost on a full disk.
        if let Some(inbox) = connection.inbox.as_ref().filter(|_| connection.is_kept) {
            sessions::forget_taken(&mut effects.transaction, inbox, packet_id);
        }
        let ack = ack(connection.session.peer().version, packet_id, is_known);
        self.answer_when_kept(key, effects, &Packet::PubComp(ack), Vec::new());
    }

    /// PUBREC: the client has taken a message over.
    pub(super) fn release_received(
        &mut self,
        key: Key,
        packet_id: PacketId,
        is_known: bool,
        due: Option<Due>,
    ) {
        let Some(connection) = self.connections.get(key) else { return };
        let mut effects = Effects::default();
        if let Some(due) = due {
            due.settle(&mut effects.transaction);
            if let Some(inbox) = connection.inbox.as_ref().filter(|_| connection.is_kept) {
                sessions::keep_released(&mut effects.transaction, inbox, packet_id);
            }
        }
        let ack = ack(connection.session.peer().version, packet_id, is_known);
        self.answer_when_kept(key, effects, &Packet::PubRel(ack), Vec::new());
    }

    /// PUBCOMP: the client will not ask for it again.
    pub(super) fn completed(&mut self, key: Key, packet_id: PacketId) {
        let Some(connection) = self.connections.get(key) else { return };
        if let Some(inbox) = connection.inbox.as_ref().filter(|_| connection.is_kept) {
            sessions::forget_released(&mut self.settled, inbox, packet_id);
        }
        self.feed(key);
    }

    /// A resumed session: the client may not have heard that its identifiers are free [MQTT311 4.4.0-1].
    pub(super) fn release_again(&mut self, key: Key) {
        let Some(connection) = self.connections.get(key) else { return };
        for packet_id in connection.session.unreleased().collect::<Vec<_>>() {
            self.send(key, &Packet::PubRel(Ack::success(packet_id)));
        }
    }
}

/// [MQTT5 3.6.2.1] [MQTT5 3.7.2.1] Says if nothing of this identifier is known, which MQTT 3.1.1 cannot say.
fn ack(version: ProtocolVersion, packet_id: PacketId, is_known: bool) -> Ack<'static> {
    let is_told = !is_known && version == ProtocolVersion::V5;
    let reason = if is_told { ReasonCode::PacketIdentifierNotFound } else { ReasonCode::Success };
    Ack { reason, ..Ack::success(packet_id) }
}
