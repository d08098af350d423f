//! Why bytes are not a packet, and why a packet does not become bytes.

mod decode;
mod encode;

pub use decode::DecodeError;
pub use encode::EncodeError;
