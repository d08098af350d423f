//! Bytes that wait for one client's socket.

use crate::transport::Transport;
use mqtt_wire::{Packet, PacketId, ProtocolVersion};
use std::io;

/// Unsent bytes of one client above which nothing more is added for it.
///
/// QoS 0 messages beyond it are dropped, QoS 1 messages wait in the session's queue, and the client is not read
/// until it reads: so neither a slow reader nor one that never reads costs more than this and one packet. A
/// connection holds it only while its socket is full.
pub(crate) const OUTBOX_BYTES_MAX: usize = 1024 * 1024;

/// A buffer that is larger is not kept for the next client.
const POOLED_BYTES_MAX: usize = 64 * 1024;

/// Buffers kept per loop: as many clients as usually have something to send in one turn.
const POOL_MAX: usize = 256;

/// What these buffers may have together: 4 KiB each, or a few large ones. More would stay for good after one flood.
const POOL_BYTES_MAX: usize = 1024 * 1024;

/// Encoded packets of one client. Owns memory only while there are some.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
}

/// Empty buffers of a loop.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    buffers: Vec<Vec<u8>>,
    /// Bytes that sockets took of all outboxes, since the start.
    pub(crate) sent_bytes: usize,
    /// Their capacities together.
    bytes: usize,
}

impl Pool {
    fn take(&mut self) -> Vec<u8> {
        let buffer = self.buffers.pop().unwrap_or_default();
        self.bytes -= buffer.capacity();
        buffer
    }

    fn give_back(&mut self, mut buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        let is_kept = (1..=POOLED_BYTES_MAX).contains(&bytes)
            && self.bytes + bytes <= POOL_BYTES_MAX
            && self.buffers.len() < POOL_MAX;
        if is_kept {
            buffer.clear();
            self.bytes += bytes;
            self.buffers.push(buffer);
        }
    }
}

impl Outbox {
    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is at its limit.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= OUTBOX_BYTES_MAX
    }

    /// Appends a packet.
    pub(crate) fn push(&mut self, packet: &Packet<'_>, version: ProtocolVersion, pool: &mut Pool) {
        let out = self.tail(pool);
        let start = out.len();
        out.resize(start + packet.encoded_len(version), 0);
        // What we send was validated when it was decoded, or is one of a few fixed packets.
        packet.encode(version, &mut out[start..]).expect("a packet of ours encodes into its own length");
    }

    /// Appends a PUBLISH that is encoded already, with RETAIN 0; `packet_id` goes to its place in it.
    pub(crate) fn push_frame(
        &mut self,
        frame: &[u8],
        retain: bool,
        packet_id: Option<(usize, PacketId)>,
        pool: &mut Pool,
    ) {
        let out = self.tail(pool);
        let start = out.len();
        out.extend_from_slice(frame);
        // [MQTT311 3.3.1.3] [MQTT5 3.3.1.3] The lowest bit of the first byte.
        out[start] |= u8::from(retain);
        if let Some((at, packet_id)) = packet_id {
            out[start + at..start + at + 2].copy_from_slice(&packet_id.number().to_be_bytes());
        }
    }

    fn tail(&mut self, pool: &mut Pool) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = pool.take();
        }
        &mut self.bytes
    }

    /// Sends what the socket takes; gives whether everything is out.
    pub(crate) fn flush(&mut self, transport: &mut Transport, pool: &mut Pool) -> io::Result<bool> {
        while !self.is_empty() {
            let count = transport.write(&self.bytes[self.sent..])?;
            if count == 0 {
                break;
            }
            self.sent += count;
            pool.sent_bytes += count;
        }
        if self.is_empty() {
            self.give_back(pool);
            // Handshake left-overs and alerts may wait although we have nothing to say.
            return transport.flush();
        }
        // Moving the rest to the front is worth it once most of the buffer is sent.
        if self.sent > self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        Ok(false)
    }

    fn give_back(&mut self, pool: &mut Pool) {
        self.sent = 0;
        pool.give_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_no_more_than_the_pool_may_have() {
        let mut pool = Pool::default();
        for _ in 0..POOL_MAX {
            pool.give_back(Vec::with_capacity(POOLED_BYTES_MAX));
        }
        pool.give_back(Vec::with_capacity(POOLED_BYTES_MAX + 1));
        pool.give_back(Vec::new());
        assert_eq!((pool.buffers.len(), pool.bytes), (POOL_BYTES_MAX / POOLED_BYTES_MAX, POOL_BYTES_MAX));
        while pool.take().capacity() > 0 {}
        assert_eq!(pool.bytes, 0);
        for _ in 0..2 * POOL_MAX {
            pool.give_back(Vec::with_capacity(64));
        }
        assert_eq!(pool.buffers.len(), POOL_MAX);
    }
}
