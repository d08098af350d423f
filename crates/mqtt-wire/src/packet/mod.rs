//! The packets, one file each, and the way from bytes to one of them and back.

pub(crate) mod connack;
pub(crate) mod connect;
pub(crate) mod publish;
pub(crate) mod suback;
pub(crate) mod subscribe;
pub(crate) mod unsubscribe;

use crate::error::{DecodeError, EncodeError};
use crate::fixed_header::{FixedHeader, PacketKind, remaining_length_bytes};
use crate::packet_id::PacketId;
use crate::reader::Reader;
use crate::writer::Writer;
use connack::ConnAck;
use connect::Connect;
use publish::Publish;
use suback::SubAck;
use subscribe::Subscribe;
use unsubscribe::Unsubscribe;

/// One MQTT 3.1.1 control packet, borrowing its texts and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A client asks for a connection.
    Connect(Connect<'a>),
    /// The server's answer to it.
    ConnAck(ConnAck),
    /// A message, in either direction.
    Publish(Publish<'a>),
    /// A QoS 1 message has been taken over.
    PubAck(PacketId),
    /// QoS 2, second step.
    PubRec(PacketId),
    /// QoS 2, third step.
    PubRel(PacketId),
    /// QoS 2, last step.
    PubComp(PacketId),
    /// A client asks for messages.
    Subscribe(Subscribe<'a>),
    /// The server's answer to it, one code per filter.
    SubAck(SubAck<'a>),
    /// A client asks for no more messages.
    Unsubscribe(Unsubscribe<'a>),
    /// The server's answer to it.
    UnsubAck(PacketId),
    /// A client shows that it is alive.
    PingReq,
    /// The server shows the same.
    PingResp,
    /// A client leaves in good order: its will is not published.
    Disconnect,
}

/// The packet at the start of `bytes` and its size; `None` when more bytes are needed.
///
/// Whatever follows the packet is left alone, so a caller decodes, skips that many bytes and calls again.
///
/// # Errors
/// The bytes cannot become a valid packet of at most `packet_bytes_max` bytes (fixed header included), whatever
/// follows. Size, type and flags are judged as soon as the fixed header is there.
pub fn decode(bytes: &[u8], packet_bytes_max: usize) -> Result<Option<(Packet<'_>, usize)>, DecodeError> {
    let Some(header) = FixedHeader::decode(bytes, packet_bytes_max)? else { return Ok(None) };
    let packet_bytes = header.packet_bytes();
    let Some(body) = bytes.get(header.header_bytes..packet_bytes) else { return Ok(None) };
    let mut body = Reader::new(body);
    let packet = match header.kind {
        PacketKind::Publish => Packet::Publish(Publish::decode(header.flags, &mut body)?),
        PacketKind::PubAck => Packet::PubAck(body.packet_id()?),
        PacketKind::Connect => Packet::Connect(Connect::decode(&mut body)?),
        PacketKind::ConnAck => Packet::ConnAck(ConnAck::decode(&mut body)?),
        PacketKind::PubRec => Packet::PubRec(body.packet_id()?),
        PacketKind::PubRel => Packet::PubRel(body.packet_id()?),
        PacketKind::PubComp => Packet::PubComp(body.packet_id()?),
        PacketKind::Subscribe => Packet::Subscribe(Subscribe::decode(&mut body)?),
        PacketKind::SubAck => Packet::SubAck(SubAck::decode(&mut body)?),
        PacketKind::Unsubscribe => Packet::Unsubscribe(Unsubscribe::decode(&mut body)?),
        PacketKind::UnsubAck => Packet::UnsubAck(body.packet_id()?),
        PacketKind::PingReq => Packet::PingReq,
        PacketKind::PingResp => Packet::PingResp,
        PacketKind::Disconnect => Packet::Disconnect,
    };
    body.finish()?;
    Ok(Some((packet, packet_bytes)))
}

impl Packet<'_> {
    /// The packet's type.
    pub const fn kind(&self) -> PacketKind {
        match self {
            Self::Connect(_) => PacketKind::Connect,
            Self::ConnAck(_) => PacketKind::ConnAck,
            Self::Publish(_) => PacketKind::Publish,
            Self::PubAck(_) => PacketKind::PubAck,
            Self::PubRec(_) => PacketKind::PubRec,
            Self::PubRel(_) => PacketKind::PubRel,
            Self::PubComp(_) => PacketKind::PubComp,
            Self::Subscribe(_) => PacketKind::Subscribe,
            Self::SubAck(_) => PacketKind::SubAck,
            Self::Unsubscribe(_) => PacketKind::Unsubscribe,
            Self::UnsubAck(_) => PacketKind::UnsubAck,
            Self::PingReq => PacketKind::PingReq,
            Self::PingResp => PacketKind::PingResp,
            Self::Disconnect => PacketKind::Disconnect,
        }
    }

    /// Size of the whole packet on the wire.
    pub fn encoded_len(&self) -> usize {
        let remaining_bytes = self.remaining_bytes();
        1 + remaining_length_bytes(remaining_bytes) + remaining_bytes
    }

    /// Writes the packet to the start of `out` and returns its size.
    ///
    /// # Errors
    /// `out` is shorter than [`encoded_len`](Self::encoded_len), or the packet would break a rule of the standard.
    /// What `out` holds then is unspecified.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let kind = self.kind();
        let remaining_bytes = self.remaining_bytes();
        let flags = match self {
            Self::Publish(publish) => return publish.encode(out),
            _ => kind.required_flags().unwrap_or(0),
        };
        let mut writer = Writer::begin(out, kind, flags, remaining_bytes, remaining_bytes)?;
        match self {
            Self::Connect(connect) => connect.encode_body(&mut writer)?,
            Self::ConnAck(connack) => connack.encode_body(&mut writer)?,
            Self::Subscribe(subscribe) => subscribe.encode_body(&mut writer)?,
            Self::SubAck(suback) => suback.encode_body(&mut writer),
            Self::Unsubscribe(unsubscribe) => unsubscribe.encode_body(&mut writer)?,
            Self::PubAck(id)
            | Self::PubRec(id)
            | Self::PubRel(id)
            | Self::PubComp(id)
            | Self::UnsubAck(id) => writer.packet_id(*id),
            Self::Publish(_) | Self::PingReq | Self::PingResp | Self::Disconnect => {}
        }
        Ok(writer.written())
    }

    fn remaining_bytes(&self) -> usize {
        match self {
            Self::Connect(connect) => connect.remaining_bytes(),
            Self::ConnAck(_) => 2,
            Self::Publish(publish) => publish.remaining_bytes(),
            Self::PubAck(_) | Self::PubRec(_) | Self::PubRel(_) | Self::PubComp(_) | Self::UnsubAck(_) => 2,
            Self::Subscribe(subscribe) => subscribe.remaining_bytes(),
            Self::SubAck(suback) => suback.remaining_bytes(),
            Self::Unsubscribe(unsubscribe) => unsubscribe.remaining_bytes(),
            Self::PingReq | Self::PingResp | Self::Disconnect => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed_header::PACKET_BYTES_LIMIT;

    /// The packets that have no file of their own: an identifier or nothing after the header.
    #[test]
    fn short_packets_byte_for_byte() {
        let id = PacketId::new(0x0A0B).unwrap();
        let rows: [(Packet<'_>, &[u8]); 8] = [
            (Packet::PubAck(id), &[0x40, 2, 0x0A, 0x0B]),
            (Packet::PubRec(id), &[0x50, 2, 0x0A, 0x0B]),
            (Packet::PubRel(id), &[0x62, 2, 0x0A, 0x0B]),
            (Packet::PubComp(id), &[0x70, 2, 0x0A, 0x0B]),
            (Packet::UnsubAck(id), &[0xB0, 2, 0x0A, 0x0B]),
            (Packet::PingReq, &[0xC0, 0]),
            (Packet::PingResp, &[0xD0, 0]),
            (Packet::Disconnect, &[0xE0, 0]),
        ];
        for (packet, bytes) in rows {
            let mut out = [0; 8];
            assert_eq!(packet.encode(&mut out), Ok(bytes.len()));
            assert_eq!(&out[..bytes.len()], bytes);
            assert_eq!(packet.encoded_len(), bytes.len());
            assert_eq!(decode(bytes, PACKET_BYTES_LIMIT), Ok(Some((packet, bytes.len()))));
        }
    }

    /// [MQTT311 2.3.1-1]
    #[test]
    fn packet_identifier_zero_is_refused() {
        assert_eq!(decode(&[0x40, 2, 0, 0], 100), Err(DecodeError::ZeroPacketId));
    }

    #[test]
    fn bytes_after_the_last_field_are_refused() {
        assert_eq!(decode(&[0x40, 3, 0, 1, 9], 100), Err(DecodeError::Surplus { surplus_bytes: 1 }));
        assert_eq!(decode(&[0xC0, 1, 9], 100), Err(DecodeError::Surplus { surplus_bytes: 1 }));
    }

    #[test]
    fn a_body_shorter_than_its_fields_is_refused() {
        assert_eq!(decode(&[0x40, 1, 0], 100), Err(DecodeError::Truncated { field: "packet identifier" }));
    }

    #[test]
    fn the_next_packet_in_the_buffer_is_left_alone() {
        assert_eq!(decode(&[0xC0, 0, 0xFF, 0xFF], 2), Ok(Some((Packet::PingReq, 2))));
    }

    #[test]
    fn a_small_buffer_is_refused_with_the_size_needed() {
        assert_eq!(
            Packet::PubAck(PacketId::FIRST).encode(&mut [0; 3]),
            Err(EncodeError::BufferTooSmall { needed_bytes: 4, buffer_bytes: 3 })
        );
    }
}
