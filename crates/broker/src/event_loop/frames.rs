//! One message as PUBLISH packets: encoded once per version and QoS, however many receivers it has.

use crate::message::Message;
use crate::publication::Incoming;
use mqtt_session::Attached;
use mqtt_wire::{
    Packet, PacketId, Properties, PropertiesWriter, Property, PropertyId, ProtocolVersion, Publish, QoS,
    TopicName,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Larger scratch memory is given back after a message.
const FRAME_KEPT_BYTES_MAX: usize = 64 * 1024;

/// What the message expiry interval adds to a block of properties, at most.
const EXPIRY_BYTES: usize = 5;

/// A message while it is handed out, wherever it lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'m> {
    pub(super) topic: TopicName<'m>,
    payload: &'m [u8],
    pub(super) qos: QoS,
    /// As it was published.
    pub(super) retain: bool,
    attached: &'m Attached,
    expires_at: Option<Instant>,
}

impl<'m> View<'m> {
    pub(super) fn of(message: &'m Message) -> Self {
        let Message { qos, retain, expires_at, .. } = *message;
        let (topic, payload, attached) = (message.topic(), &*message.payload, &message.attached);
        Self { topic, payload, qos, retain, attached, expires_at }
    }

    pub(super) fn of_incoming(incoming: &Incoming<'m>, now: Instant) -> Self {
        let Incoming { topic, payload, qos, retain, attached, .. } = *incoming;
        let expires_at = attached.expiry_s.map(|expiry_s| now + Duration::from_secs(expiry_s.into()));
        Self { topic, payload, qos, retain, attached, expires_at }
    }

    pub(super) fn to_message(self) -> Arc<Message> {
        Message::new(self.topic, self.payload, self.qos, self.retain, self.attached.clone())
    }

    /// [MQTT5 3.3.2-6] Less the time that it waited, in whole seconds [AWS mqtt message expiry].
    fn expiry_s(&self, now: Instant) -> Option<u32> {
        let left = self.expires_at?.saturating_duration_since(now);
        Some(u32::try_from(left.as_secs()).unwrap_or(u32::MAX))
    }
}

/// What of a packet is its receiver's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) qos: QoS,
    /// Present with QoS 1 and 2.
    pub(super) packet_id: Option<PacketId>,
    /// It may have been sent before.
    pub(super) dup: bool,
    pub(super) retain: bool,
}

/// Calls back with the packet for a receiver.
///
/// [MQTT311 3.3.1-9] RETAIN is 0 on what goes to those who have subscribed already.
pub(super) fn with_packet<T>(
    view: &View<'_>,
    version: ProtocolVersion,
    Header { qos, packet_id, dup, retain }: Header,
    now: Instant,
    use_it: impl FnOnce(&Packet<'_>) -> T,
) -> T {
    let (topic, payload) = (Some(view.topic), view.payload);
    let mut scratch = Vec::new();
    let properties = match version {
        ProtocolVersion::V311 => Properties::NONE,
        ProtocolVersion::V5 => properties(view, now, &mut scratch),
    };
    use_it(&Packet::Publish(Publish { dup, qos, retain, topic, packet_id, properties, payload }))
}

fn properties<'s>(view: &View<'s>, now: Instant, scratch: &'s mut Vec<u8>) -> Properties<'s> {
    let forwarded = view.attached.properties();
    let Some(expiry_s) = view.expiry_s(now) else { return forwarded };
    scratch.resize(forwarded.as_bytes().len() + EXPIRY_BYTES, 0);
    let mut writer = PropertiesWriter::new(scratch);
    // INVARIANT: there is room for both.
    writer.copy(&forwarded, &PropertyId::FORWARDED_UNALTERED).expect("they fit");
    writer.push(Property::MessageExpiryIntervalS(expiry_s)).expect("it fits");
    writer.finish()
}

/// The packets of one message.
#[derive(Debug, Default)]
pub(super) struct Frames([Frame; 6]);

#[derive(Debug, Default)]
struct Frame {
    bytes: Vec<u8>,
    packet_id_at: usize,
}

impl Frames {
    /// Forgets the message.
    pub(super) fn clear(&mut self) {
        for frame in &mut self.0 {
            frame.bytes.clear();
            frame.bytes.shrink_to(FRAME_KEPT_BYTES_MAX);
        }
    }

    /// The packet with RETAIN 0, and where its packet identifier goes.
    pub(super) fn of(
        &mut self,
        view: &View<'_>,
        version: ProtocolVersion,
        qos: QoS,
        now: Instant,
    ) -> (&[u8], usize) {
        let has_id = qos != QoS::AtMostOnce;
        let frame = &mut self.0[3 * usize::from(version == ProtocolVersion::V5) + usize::from(qos.number())];
        if frame.bytes.is_empty() {
            let packet_id = has_id.then_some(PacketId::FIRST);
            let header = Header { qos, packet_id, dup: false, retain: false };
            with_packet(view, version, header, now, |packet| {
                frame.bytes.resize(packet.encoded_len(version), 0);
                packet
                    .encode(version, &mut frame.bytes)
                    .expect("a packet of ours encodes into its own length");
            });
            frame.packet_id_at = fixed_header_bytes(&frame.bytes) + 2 + view.topic.as_str().len();
        }
        (&frame.bytes, frame.packet_id_at)
    }
}

/// The first byte, and those of the remaining length: each but the last has its highest bit set.
fn fixed_header_bytes(packet: &[u8]) -> usize {
    1 + packet[1..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 1
}
