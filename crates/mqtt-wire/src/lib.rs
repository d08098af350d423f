//! Bytes to MQTT packets and back, topic names and filters; `no_std`, no alloc.
//!
//! MQTT 3.1.1 as the OASIS standard of 29 October 2014 has it; rules are cited as `[MQTT311 x.y.z-n]`. Decoding
//! borrows from the receive buffer and copies nothing; encoding writes into a slice of the caller. The broker, the
//! simulated device and the firmware all speak through this crate, so it knows no socket, clock or heap.
//!
//! What it does *not* hold: what a packet means for a session (`mqtt-session`), AWS limits (also there: the codec
//! has one bound, the packet's size), permissions.
//!
//! ```
//! use mqtt_wire::{ConnAck, ConnectReturnCode, Packet, decode};
//!
//! let mut buffer = [0; 16];
//! let accepted = ConnAck { session_present: false, code: ConnectReturnCode::Accepted };
//! let written = Packet::ConnAck(accepted).encode(&mut buffer).unwrap();
//! assert_eq!(&buffer[..written], [0x20, 0x02, 0x00, 0x00]);
//! assert_eq!(decode(&buffer[..written], 1024).unwrap(), Some((Packet::ConnAck(accepted), 4)));
//! assert_eq!(decode(&buffer[..3], 1024).unwrap(), None); // the rest has not arrived yet
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod error;
mod fixed_header;
mod packet;
mod packet_id;
mod qos;
mod reader;
pub mod topic;
mod writer;

pub use error::{DecodeError, EncodeError};
pub use fixed_header::{FixedHeader, PACKET_BYTES_LIMIT, PacketKind, REMAINING_LENGTH_LIMIT};
pub use packet::connack::{ConnAck, ConnectReturnCode};
pub use packet::connect::{Connect, Will};
pub use packet::publish::Publish;
pub use packet::suback::{SubAck, SubAckCode, SubAckCodes};
pub use packet::subscribe::{FilterRequest, Subscribe, SubscribeFilters};
pub use packet::unsubscribe::{Unsubscribe, UnsubscribeFilters};
pub use packet::{Packet, decode};
pub use packet_id::PacketId;
pub use qos::QoS;
pub use topic::{TopicFilter, TopicName};
