//! The packets, one file each, and the way from bytes to one of them and back.

pub(crate) mod ack;
pub(crate) mod auth;
pub(crate) mod connack;
pub(crate) mod connect;
pub(crate) mod disconnect;
mod ending;
pub(crate) mod publish;
pub(crate) mod reason_codes;
pub(crate) mod suback;
pub(crate) mod subscribe;
pub(crate) mod subscription_options;
pub(crate) mod unsuback;
pub(crate) mod unsubscribe;
pub(crate) mod will;

use crate::error::{DecodeError, EncodeError};
use crate::fixed_header::{FixedHeader, PacketKind};
use crate::reader::Reader;
use crate::variable_byte_integer;
use crate::version::ProtocolVersion;
use crate::writer::Writer;
use ack::Ack;
use auth::Auth;
use connack::ConnAck;
use connect::Connect;
use disconnect::Disconnect;
use publish::Publish;
use suback::SubAck;
use subscribe::Subscribe;
use unsuback::UnsubAck;
use unsubscribe::Unsubscribe;

/// One control packet of either version, borrowing its texts and payload.
///
/// Read from MQTT 3.1.1, what only MQTT 5 can say has its neutral value: `Success`, [`Properties::NONE`], the QoS
/// alone. Written to MQTT 3.1.1, properties are left out, all of them, as its receivers do without what they refine;
/// anything else that only MQTT 5 can say is an error where leaving it out would turn the packet's meaning. The
/// fields say which it is.
///
/// [`Properties::NONE`]: crate::Properties::NONE
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A client asks for a connection.
    Connect(Connect<'a>),
    /// The server's answer to it.
    ConnAck(ConnAck<'a>),
    /// A message, in either direction.
    Publish(Publish<'a>),
    /// A QoS 1 message has been taken over.
    PubAck(Ack<'a>),
    /// QoS 2, second step.
    PubRec(Ack<'a>),
    /// QoS 2, third step.
    PubRel(Ack<'a>),
    /// QoS 2, last step.
    PubComp(Ack<'a>),
    /// A client asks for messages.
    Subscribe(Subscribe<'a>),
    /// The server's answer to it, one code per filter.
    SubAck(SubAck<'a>),
    /// A client asks for no more messages.
    Unsubscribe(Unsubscribe<'a>),
    /// The server's answer to it.
    UnsubAck(UnsubAck<'a>),
    /// A client shows that it is alive.
    PingReq,
    /// The server shows the same.
    PingResp,
    /// The end of the connection in good order; from a client without a reason, its will is not published.
    Disconnect(Disconnect<'a>),
    /// A step of an authentication; MQTT 5 alone has it.
    Auth(Auth<'a>),
}

/// The packet at the start of `bytes` and its size; `None` when more bytes are needed.
///
/// `version` is that of the connection. A CONNECT begins one, and is read by the version that it names itself.
/// Whatever follows the packet is left alone, so a caller decodes, skips that many bytes and calls again.
///
/// Each packet is judged by itself: which end may send it, and what else it must not say because of other packets, is
/// for the caller to know.
///
/// # Errors
/// The bytes cannot become a valid packet of at most `packet_bytes_max` bytes (fixed header included), whatever
/// follows. Size, type and flags are judged as soon as the fixed header is there.
pub fn decode(
    bytes: &[u8],
    version: ProtocolVersion,
    packet_bytes_max: usize,
) -> Result<Option<(Packet<'_>, usize)>, DecodeError> {
    let Some(header) = FixedHeader::decode(bytes, version, packet_bytes_max)? else { return Ok(None) };
    let packet_bytes = header.packet_bytes();
    let Some(body) = bytes.get(header.header_bytes..packet_bytes) else { return Ok(None) };
    let mut body = Reader::new(body);
    if version == ProtocolVersion::V5 && header.kind != PacketKind::Connect {
        header.check_length_is_minimal()?;
    }
    let packet = match header.kind {
        PacketKind::Publish => Packet::Publish(Publish::decode(header.flags, version, &mut body)?),
        PacketKind::PubAck => Packet::PubAck(Ack::decode(header.kind, version, &mut body)?),
        PacketKind::Connect => Packet::Connect(decode_connect(&header, &mut body)?),
        PacketKind::ConnAck => Packet::ConnAck(ConnAck::decode(version, &mut body)?),
        PacketKind::PubRec => Packet::PubRec(Ack::decode(header.kind, version, &mut body)?),
        PacketKind::PubRel => Packet::PubRel(Ack::decode(header.kind, version, &mut body)?),
        PacketKind::PubComp => Packet::PubComp(Ack::decode(header.kind, version, &mut body)?),
        PacketKind::Subscribe => Packet::Subscribe(Subscribe::decode(version, &mut body)?),
        PacketKind::SubAck => Packet::SubAck(SubAck::decode(version, &mut body)?),
        PacketKind::Unsubscribe => Packet::Unsubscribe(Unsubscribe::decode(version, &mut body)?),
        PacketKind::UnsubAck => Packet::UnsubAck(UnsubAck::decode(version, &mut body)?),
        PacketKind::PingReq => Packet::PingReq,
        PacketKind::PingResp => Packet::PingResp,
        PacketKind::Disconnect => Packet::Disconnect(Disconnect::decode(version, &mut body)?),
        PacketKind::Auth => Packet::Auth(Auth::decode(&mut body)?),
    };
    body.finish()?;
    Ok(Some((packet, packet_bytes)))
}

/// The version of a CONNECT is known only now.
fn decode_connect<'a>(header: &FixedHeader, body: &mut Reader<'a>) -> Result<Connect<'a>, DecodeError> {
    let connect = Connect::decode(body)?;
    if connect.version == ProtocolVersion::V5 {
        header.check_length_is_minimal()?;
    }
    Ok(connect)
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
            Self::Disconnect(_) => PacketKind::Disconnect,
            Self::Auth(_) => PacketKind::Auth,
        }
    }

    /// Size of the whole packet on the wire. A CONNECT goes by its own version.
    pub fn encoded_len(&self, version: ProtocolVersion) -> usize {
        let remaining_bytes = self.remaining_bytes(version);
        1 + variable_byte_integer::bytes_of(remaining_bytes) + remaining_bytes
    }

    /// Writes the packet to the start of `out` and returns its size. A CONNECT goes by its own version.
    ///
    /// # Errors
    /// `out` is shorter than [`encoded_len`](Self::encoded_len), or the packet would break a rule of the standard, or
    /// it says what MQTT 3.1.1 cannot say. What `out` holds then is unspecified.
    pub fn encode(&self, version: ProtocolVersion, out: &mut [u8]) -> Result<usize, EncodeError> {
        let (kind, flags) = match self {
            // The most frequent packet, and the only one whose flags say something.
            Self::Publish(publish) => return publish.encode(version, out),
            Self::Auth(_) if version == ProtocolVersion::V311 => {
                return Err(EncodeError::NotIn311 { what: "AUTH packet" });
            }
            _ => (self.kind(), self.kind().required_flags().unwrap_or(0)),
        };
        let remaining_bytes = self.remaining_bytes(version);
        let mut writer = Writer::begin(out, kind, flags, remaining_bytes, remaining_bytes)?;
        match self {
            Self::Connect(connect) => connect.encode_body(&mut writer)?,
            Self::ConnAck(connack) => connack.encode_body(version, &mut writer)?,
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack.encode_body(kind, version, &mut writer)?;
            }
            Self::Subscribe(subscribe) => subscribe.encode_body(version, &mut writer)?,
            Self::SubAck(suback) => suback.encode_body(version, &mut writer)?,
            Self::Unsubscribe(unsubscribe) => unsubscribe.encode_body(version, &mut writer)?,
            Self::UnsubAck(unsuback) => unsuback.encode_body(version, &mut writer)?,
            Self::Disconnect(disconnect) => disconnect.encode_body(version, &mut writer)?,
            Self::Auth(auth) => auth.encode_body(&mut writer)?,
            Self::Publish(_) | Self::PingReq | Self::PingResp => {}
        }
        Ok(writer.written())
    }

    fn remaining_bytes(&self, version: ProtocolVersion) -> usize {
        match self {
            Self::Connect(connect) => connect.remaining_bytes(),
            Self::ConnAck(connack) => connack.remaining_bytes(version),
            Self::Publish(publish) => publish.remaining_bytes(version),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack.remaining_bytes(version)
            }
            Self::Subscribe(subscribe) => subscribe.remaining_bytes(version),
            Self::SubAck(suback) => suback.remaining_bytes(version),
            Self::Unsubscribe(unsubscribe) => unsubscribe.remaining_bytes(version),
            Self::UnsubAck(unsuback) => unsuback.remaining_bytes(version),
            Self::PingReq | Self::PingResp => 0,
            Self::Disconnect(disconnect) => disconnect.remaining_bytes(version),
            Self::Auth(auth) => auth.remaining_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed_header::PACKET_BYTES_LIMIT;
    use crate::packet_id::PacketId;
    use ProtocolVersion::{V5, V311};

    #[test]
    fn pings_byte_for_byte() {
        let rows = [(Packet::PingReq, [0xC0, 0]), (Packet::PingResp, [0xD0, 0])];
        for ((packet, bytes), version) in rows.into_iter().flat_map(|row| [(row, V311), (row, V5)]) {
            let mut out = [0; 8];
            assert_eq!(packet.encode(version, &mut out), Ok(2));
            assert_eq!(out[..2], bytes);
            assert_eq!(packet.encoded_len(version), 2);
            assert_eq!(decode(&bytes, version, PACKET_BYTES_LIMIT), Ok(Some((packet, 2))));
        }
    }

    /// [MQTT311 2.3.1-1] [MQTT5 2.2.1-3]
    #[test]
    fn packet_identifier_zero_is_refused() {
        for version in [V311, V5] {
            assert_eq!(decode(&[0x40, 2, 0, 0], version, 100), Err(DecodeError::ZeroPacketId));
        }
    }

    #[test]
    fn bytes_after_the_last_field_are_refused() {
        let expected = Err(DecodeError::Surplus { surplus_bytes: 1 });
        assert_eq!(decode(&[0x40, 3, 0, 1, 9], V311, 100), expected);
        assert_eq!(decode(&[0x40, 5, 0, 1, 0, 0, 9], V5, 100), expected);
        for version in [V311, V5] {
            assert_eq!(decode(&[0xC0, 1, 9], version, 100), expected);
        }
    }

    #[test]
    fn a_body_shorter_than_its_fields_is_refused() {
        let expected = Err(DecodeError::Truncated { field: "packet identifier" });
        assert_eq!(decode(&[0x40, 1, 0], V311, 100), expected);
    }

    #[test]
    fn the_next_packet_in_the_buffer_is_left_alone() {
        assert_eq!(decode(&[0xC0, 0, 0xFF, 0xFF], V311, 2), Ok(Some((Packet::PingReq, 2))));
    }

    #[test]
    fn a_small_buffer_is_refused_with_the_size_needed() {
        assert_eq!(
            Packet::PubAck(Ack::success(PacketId::FIRST)).encode(V311, &mut [0; 3]),
            Err(EncodeError::BufferTooSmall { needed_bytes: 4, buffer_bytes: 3 })
        );
    }

    /// [MQTT5 1.5.5-1]
    #[test]
    fn a_padded_remaining_length_is_refused_by_mqtt_5_alone() {
        assert_eq!(decode(&[0xC0, 0x80, 0], V311, 100), Ok(Some((Packet::PingReq, 3))));
        let expected = Err(DecodeError::IntegerPadded { field: "remaining length" });
        assert_eq!(decode(&[0xC0, 0x80, 0], V5, 100), expected);
        // A CONNECT goes by its own version, whatever the caller says.
        let padded_311 = b"\x10\x8d\0\0\x04MQTT\x04\x02\0\x09\0\x01c";
        assert!(matches!(decode(padded_311, V5, 100), Ok(Some((_, 16)))));
        let padded_5 = b"\x10\x8e\0\0\x04MQTT\x05\x02\0\x09\0\0\x01c";
        assert_eq!(decode(padded_5, V311, 100), expected);
    }
}
