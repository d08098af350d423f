//! Bytes to MQTT packets and back, topic names and filters; `no_std`, no alloc.
//!
//! MQTT 3.1.1 as the OASIS standard of 29 October 2014 has it, and MQTT 5.0 as that of 7 March 2019; rules are cited as
//! `[MQTT311 x.y.z-n]` and `[MQTT5 x.y.z-n]`. Both versions have one set of packet types, because most of what handles
//! a packet does not care how it was written; [`Packet`] says what happens to that of which 3.1.1 knows nothing.
//! Decoding borrows from the receive buffer and copies nothing; encoding writes into a slice of the caller. The broker,
//! the simulated device and the firmware all speak through this crate, so it knows no socket, clock or heap.
//!
//! What it does *not* hold: what a packet means for a session (`mqtt-session`), AWS limits (also there: the codec
//! has one bound, the packet's size), which end may send what, permissions.
//!
//! ```
//! use mqtt_wire::{ConnAck, Packet, ProtocolVersion::V311, ReasonCode, decode};
//!
//! let mut buffer = [0; 16];
//! let accepted = Packet::ConnAck(ConnAck::new(ReasonCode::Success));
//! let written = accepted.encode(V311, &mut buffer).unwrap();
//! assert_eq!(&buffer[..written], [0x20, 0x02, 0x00, 0x00]);
//! assert_eq!(decode(&buffer[..written], V311, 1024).unwrap(), Some((accepted, 4)));
//! assert_eq!(decode(&buffer[..3], V311, 1024).unwrap(), None); // the rest has not arrived yet
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod error;
mod fixed_header;
mod packet;
mod packet_id;
mod packet_set;
pub mod properties;
mod qos;
mod reader;
mod reason_code;
mod subscription_id;
pub mod topic;
mod variable_byte_integer;
mod version;
mod writer;

pub use error::{DecodeError, EncodeError};
pub use fixed_header::{FixedHeader, PACKET_BYTES_LIMIT, PacketKind, REMAINING_LENGTH_LIMIT};
pub use packet::ack::Ack;
pub use packet::auth::Auth;
pub use packet::connack::ConnAck;
pub use packet::connect::Connect;
pub use packet::disconnect::Disconnect;
pub use packet::publish::Publish;
pub use packet::reason_codes::ReasonCodes;
pub use packet::suback::SubAck;
pub use packet::subscribe::{FilterRequest, Subscribe, SubscribeFilters};
pub use packet::subscription_options::{RetainHandling, SubscriptionOptions};
pub use packet::unsuback::UnsubAck;
pub use packet::unsubscribe::{Unsubscribe, UnsubscribeFilters};
pub use packet::will::Will;
pub use packet::{Packet, decode};
pub use packet_id::PacketId;
pub use properties::{Properties, PropertiesWriter, Property, PropertyId};
pub use qos::QoS;
pub use reason_code::ReasonCode;
pub use subscription_id::SubscriptionId;
pub use topic::{TopicFilter, TopicName};
pub use version::ProtocolVersion;
