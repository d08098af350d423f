//! The simulated server: takes connections, answers packets, and keeps a book of what it got.

use mqtt_wire::ProtocolVersion::V311;
use mqtt_wire::{ConnAck, Packet, PacketId, ReasonCode, decode};

/// The largest packet that a device sends.
const PACKET_BYTES_MAX: usize = device_core::SEND_BYTES_MAX;

/// The server's end of one connection, and what came over all of a board's.
#[derive(Default)]
pub(crate) struct Desk {
    connection: Option<u64>,
    bytes: Vec<u8>,
    /// Numbers of readings in the order of their first arrival.
    pub(crate) received: Vec<usize>,
    /// Arrivals of readings that were there already.
    pub(crate) repeated: usize,
}

/// What the server makes of bytes.
pub(crate) enum Heard {
    Connect,
    Reading { payload: String, packet_id: PacketId },
    Ping,
}

impl Desk {
    /// A new connection takes the place of an older one of the same client [MQTT311 3.1.4-2].
    pub(crate) fn accept(&mut self, connection: u64) {
        self.connection = Some(connection);
        self.bytes.clear();
    }

    pub(crate) const fn connection(&self) -> Option<u64> {
        self.connection
    }

    /// Ends this connection, if it is the present one.
    pub(crate) fn hang_up(&mut self, connection: u64) -> bool {
        let is_present = self.connection == Some(connection);
        if is_present {
            self.connection = None;
            self.bytes.clear();
        }
        is_present
    }

    /// The whole packets that these bytes complete. A connection that the server gave up is not heard.
    pub(crate) fn hear(&mut self, connection: u64, bytes: &[u8]) -> Vec<Heard> {
        if self.connection != Some(connection) {
            return vec![];
        }
        self.bytes.extend(bytes);
        let mut heard = vec![];
        loop {
            let found = decode(&self.bytes, V311, PACKET_BYTES_MAX).expect("devices send MQTT");
            let Some((packet, read)) = found else { return heard };
            heard.push(match packet {
                Packet::Connect(_) => Heard::Connect,
                Packet::PingReq => Heard::Ping,
                Packet::Publish(publish) => Heard::Reading {
                    payload: String::from_utf8(publish.payload.to_vec()).expect("text"),
                    packet_id: publish.packet_id.expect("QoS 1"),
                },
                other => panic!("a device does not send {other:?}"),
            });
            self.bytes.drain(..read);
        }
    }

    /// Enters a reading in the book.
    pub(crate) fn receive(&mut self, number: usize) {
        if self.received.binary_search(&number).is_ok() {
            self.repeated += 1;
            return;
        }
        let last = self.received.last();
        assert!(last.is_none_or(|last| *last < number), "reading {number} comes first after {last:?}");
        self.received.push(number);
    }
}

/// The bytes of a short packet.
pub(crate) fn encoded(packet: Packet<'_>) -> Vec<u8> {
    let mut out = [0; 8];
    let written = packet.encode(V311, &mut out).expect("a short packet");
    out[..written].to_vec()
}

pub(crate) fn connack() -> Vec<u8> {
    encoded(Packet::ConnAck(ConnAck::new(ReasonCode::Success)))
}
