//! PUBLISH: a message, in either direction [MQTT311 3.3].

use crate::error::{DecodeError, EncodeError};
use crate::fixed_header::PacketKind;
use crate::packet_id::PacketId;
use crate::qos::QoS;
use crate::reader::Reader;
use crate::topic::TopicName;
use crate::writer::Writer;

// The flags of the first byte [MQTT311 3.3.1].
const RETAIN: u8 = 0b0001;
const QOS_SHIFT: u8 = 1;
const QOS_MASK: u8 = 0b11;
const DUP: u8 = 0b1000;

/// A message.
///
/// ```text
/// first byte := 3:4 dup:1 qos:2 retain:1
/// body       := topic:text [packet_id:u16] payload        ; the identifier only with QoS 1 and 2
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The sender has tried before [MQTT311 3.3.1-1].
    pub dup: bool,
    /// How hard the sender tries.
    pub qos: QoS,
    /// From a client: keep this message. From the server: this is the kept one.
    pub retain: bool,
    /// Where the message goes.
    pub topic: TopicName<'a>,
    /// Present exactly when the QoS is above 0 [MQTT311 2.3.1-5].
    pub packet_id: Option<PacketId>,
    /// What it says.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    #[inline]
    pub(crate) fn decode(flags: u8, body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let value = flags >> QOS_SHIFT & QOS_MASK;
        // [MQTT311 3.3.1-4] Both QoS bits set: close.
        let qos = QoS::from_number(value).ok_or(DecodeError::InvalidQoS { field: "QoS", value })?;
        let dup = flags & DUP != 0;
        // [MQTT311 3.3.1-2] DUP is 0 for QoS 0.
        if dup && qos == QoS::AtMostOnce {
            return Err(DecodeError::DuplicateQoS0);
        }
        let topic = TopicName::decode(body, "topic")?;
        let packet_id = if qos == QoS::AtMostOnce { None } else { Some(body.packet_id()?) };
        let payload = body.take_rest();
        Ok(Self { dup, qos, retain: flags & RETAIN != 0, topic, packet_id, payload })
    }

    /// Writes the packet up to its payload and returns the size of that head.
    ///
    /// The head already says how long the payload is, so that the caller can send the payload from where it lies.
    ///
    /// # Errors
    /// As [`Packet::encode`](crate::Packet::encode), but `out` needs no room for the payload.
    pub fn encode_head(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        Ok(self.write_head(out, 0)?.written())
    }

    pub(crate) fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let mut writer = self.write_head(out, self.payload.len())?;
        writer.bytes(self.payload);
        Ok(writer.written())
    }

    pub(crate) fn remaining_bytes(&self) -> usize {
        self.head_bytes() + self.payload.len()
    }

    fn head_bytes(&self) -> usize {
        2 + self.topic.as_str().len() + if self.packet_id.is_some() { 2 } else { 0 }
    }

    /// The head, with the certainty that `payload_room` more bytes fit.
    fn write_head<'o>(&self, out: &'o mut [u8], payload_room: usize) -> Result<Writer<'o>, EncodeError> {
        if self.packet_id.is_some() == (self.qos == QoS::AtMostOnce) {
            return Err(EncodeError::PacketId);
        }
        if self.dup && self.qos == QoS::AtMostOnce {
            return Err(EncodeError::DuplicateQoS0);
        }
        let flags = u8::from(self.dup) << 3 | self.qos.number() << QOS_SHIFT | u8::from(self.retain);
        let now_bytes = self.head_bytes() + payload_room;
        let mut writer = Writer::begin(out, PacketKind::Publish, flags, self.remaining_bytes(), now_bytes)?;
        writer.binary("topic", self.topic.as_str().as_bytes())?;
        if let Some(id) = self.packet_id {
            writer.packet_id(id);
        }
        Ok(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Packet, decode};
    use crate::topic::TopicNameError;

    const QOS_1: &[u8] = b"\x3d\x0a\0\x03a/b\x12\x34hi\0";

    fn qos_1() -> Publish<'static> {
        Publish {
            dup: true,
            qos: QoS::ExactlyOnce,
            retain: true,
            topic: TopicName::parse("a/b").unwrap(),
            packet_id: PacketId::new(0x1234),
            payload: b"hi\0",
        }
    }

    #[test]
    fn every_flag_and_field_byte_for_byte() {
        let mut out = [0; 32];
        let packet = Packet::Publish(qos_1());
        assert_eq!(packet.encode(&mut out), Ok(QOS_1.len()));
        assert_eq!(&out[..QOS_1.len()], QOS_1);
        assert_eq!(decode(QOS_1, 32), Ok(Some((packet, QOS_1.len()))));
    }

    #[test]
    fn the_posts_message_has_no_packet_identifier() {
        let bytes = b"\x30\x34\0\x22$aws/rules/telemetry/pico_w_simple{\"temp\": 27.512}";
        let Ok(Some((Packet::Publish(publish), read))) = decode(bytes, 64) else { panic!("not a publish") };
        assert_eq!(read, bytes.len());
        assert_eq!(publish.packet_id, None);
        assert_eq!(publish.topic.as_str(), "$aws/rules/telemetry/pico_w_simple");
        assert_eq!(publish.payload, b"{\"temp\": 27.512}");
    }

    #[test]
    fn the_head_ends_where_the_payload_begins() {
        let mut out = [0; 9];
        assert_eq!(qos_1().encode_head(&mut out), Ok(9));
        assert_eq!(out, QOS_1[..9]);
    }

    #[test]
    fn an_empty_payload_is_a_message() {
        let Ok(Some((Packet::Publish(publish), 5))) = decode(b"\x31\x03\0\x01a", 32) else {
            panic!("not a publish")
        };
        assert_eq!(publish.payload, b"");
    }

    /// [MQTT311 3.3.1-4] [MQTT311 3.3.1-2]
    #[test]
    fn impossible_flags_are_refused() {
        let expected = Err(DecodeError::InvalidQoS { field: "QoS", value: 3 });
        assert_eq!(decode(b"\x36\x05\0\x01a\0\x01", 32), expected);
        assert_eq!(decode(b"\x38\x03\0\x01a", 32), Err(DecodeError::DuplicateQoS0));
    }

    /// [MQTT311 3.3.2-2] [MQTT311 4.7.3-1]
    #[test]
    fn topics_have_no_wildcards_and_at_least_one_character() {
        for (bytes, error) in [
            (b"\x30\x03\0\x01#", TopicNameError::Wildcard),
            (b"\x30\x03\0\x01+", TopicNameError::Wildcard),
            (b"\x30\x03\0\x01\0", TopicNameError::Null),
        ] {
            assert_eq!(decode(bytes, 32), Err(DecodeError::TopicName { field: "topic", error }));
        }
        let error = TopicNameError::Empty;
        assert_eq!(decode(b"\x30\x02\0\0", 32), Err(DecodeError::TopicName { field: "topic", error }));
    }

    /// [MQTT311 2.3.1-5]
    #[test]
    fn identifier_and_qos_belong_together() {
        let mut publish = qos_1();
        publish.packet_id = None;
        assert_eq!(Packet::Publish(publish).encode(&mut [0; 32]), Err(EncodeError::PacketId));
        let publish = Publish { qos: QoS::AtMostOnce, ..qos_1() };
        assert_eq!(Packet::Publish(publish).encode(&mut [0; 32]), Err(EncodeError::PacketId));
    }
}
