//! Bytes from the server until they are a packet.

use mqtt_wire::ProtocolVersion::V311;
use mqtt_wire::{DecodeError, Packet, PacketId, PacketKind, ReasonCode, decode};

/// Largest packet that the device takes.
///
/// It subscribes to nothing, so the server has only packets of two and four bytes for it.
const PACKET_BYTES_MAX: usize = 64;

/// The beginning of a packet.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    bytes: [u8; PACKET_BYTES_MAX],
    len: usize,
}

/// What the server said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    ConnAck(ReasonCode),
    PubAck(PacketId),
    PingResp,
    Other(PacketKind),
}

impl Inbox {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; PACKET_BYTES_MAX], len: 0 }
    }

    /// Takes what fits and returns the rest.
    pub(crate) fn fill<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let (taken, rest) = bytes.split_at(bytes.len().min(PACKET_BYTES_MAX - self.len));
        self.bytes[self.len..][..taken.len()].copy_from_slice(taken);
        self.len += taken.len();
        rest
    }

    /// The next whole packet. After `None` there is room for more bytes.
    pub(crate) fn next(&mut self) -> Result<Option<Heard>, DecodeError> {
        let Some((packet, read)) = decode(&self.bytes[..self.len], V311, PACKET_BYTES_MAX)? else {
            return Ok(None);
        };
        let heard = match packet {
            Packet::ConnAck(connack) => Heard::ConnAck(connack.reason),
            Packet::PubAck(ack) => Heard::PubAck(ack.packet_id),
            Packet::PingResp => Heard::PingResp,
            other => Heard::Other(other.kind()),
        };
        self.bytes.copy_within(read..self.len, 0);
        self.len -= read;
        Ok(Some(heard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_out_however_their_bytes_come_in() {
        let stream = [0x20, 2, 0, 0, 0xD0, 0, 0x40, 2, 0, 9];
        for chunk in 1..=stream.len() {
            let mut inbox = Inbox::new();
            let mut heard = std::vec::Vec::new();
            for bytes in stream.chunks(chunk) {
                assert!(inbox.fill(bytes).is_empty());
                while let Some(packet) = inbox.next().unwrap() {
                    heard.push(packet);
                }
            }
            let ack = Heard::PubAck(PacketId::new(9).unwrap());
            assert_eq!(heard, [Heard::ConnAck(ReasonCode::Success), Heard::PingResp, ack]);
        }
    }

    #[test]
    fn a_packet_above_the_buffer_is_an_error_and_not_a_wait() {
        let mut inbox = Inbox::new();
        assert!(inbox.fill(&[0x30, 63]).is_empty());
        let error = DecodeError::TooLarge { packet_bytes: 65, packet_bytes_max: 64 };
        assert_eq!(inbox.next(), Err(error));
    }
}
