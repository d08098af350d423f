//! What the client says that it can take.

use mqtt_wire::{Connect, ProtocolVersion};

/// The client's side of the agreement. A client of MQTT 3.1.1 says nothing and takes everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What it speaks.
    pub version: ProtocolVersion,
    /// QoS 1 messages that it takes without having acknowledged them [MQTT5 3.1.2.11.3].
    pub receive_maximum: u16,
    /// Largest packet that it takes, in bytes; `None`: any [MQTT5 3.1.2.11.4].
    pub packet_bytes_max: Option<u32>,
    /// It wants reasons in words where they are not a must [MQTT5 3.1.2.11.7].
    pub wants_reasons: bool,
}

impl Peer {
    /// What a CONNECT says.
    pub fn of(connect: &Connect<'_>) -> Self {
        let properties = &connect.properties;
        Self {
            version: connect.version,
            receive_maximum: properties.receive_maximum().map_or(u16::MAX, std::num::NonZero::get),
            packet_bytes_max: properties.maximum_packet_size().map(std::num::NonZero::get),
            wants_reasons: connect.version == ProtocolVersion::V5 && properties.request_problem_information(),
        }
    }

    /// Whether it takes a packet of this size. [MQTT5 3.1.2-24] One that it does not take is not sent.
    pub fn takes(&self, packet_bytes: usize) -> bool {
        self.packet_bytes_max.is_none_or(|bytes_max| packet_bytes <= bytes_max as usize)
    }
}
