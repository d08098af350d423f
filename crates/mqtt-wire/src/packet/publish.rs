//! PUBLISH: a message, in either direction [MQTT311 3.3] [MQTT5 3.3].

use crate::error::{DecodeError, EncodeError};
use crate::fixed_header::PacketKind;
use crate::packet_id::PacketId;
use crate::properties::{Carrier, Properties};
use crate::qos::QoS;
use crate::reader::Reader;
use crate::topic::TopicName;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

// The flags of the first byte [MQTT311 3.3.1] [MQTT5 3.3.1].
const RETAIN: u8 = 0b0001;
const QOS_SHIFT: u8 = 1;
const QOS_MASK: u8 = 0b11;
const DUP: u8 = 0b1000;

/// A message.
///
/// ```text
/// first byte := 3:4 dup:1 qos:2 retain:1
/// body       := topic:text [packet_id:u16] [properties] payload
///                                               ; the identifier only with QoS 1 and 2, properties: MQTT 5
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The sender has tried before [MQTT311 3.3.1-1], [MQTT5 3.3.1-1].
    pub dup: bool,
    /// How hard the sender tries.
    pub qos: QoS,
    /// From a client: keep this message. From the server: this is the kept one.
    pub retain: bool,
    /// Where the message goes; `None`: to the topic for which the topic alias among the properties stands.
    ///
    /// MQTT 3.1.1 has no aliases, so there it always says.
    pub topic: Option<TopicName<'a>>,
    /// Present exactly when the QoS is above 0 [MQTT311 2.3.1-5], [MQTT5 2.2.1-2].
    pub packet_id: Option<PacketId>,
    /// MQTT 5: what belongs to the message beside its payload.
    pub properties: Properties<'a>,
    /// What it says.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    #[inline]
    pub(super) fn decode(
        flags: u8,
        version: ProtocolVersion,
        body: &mut Reader<'a>,
    ) -> Result<Self, DecodeError> {
        let value = flags >> QOS_SHIFT & QOS_MASK;
        // [MQTT311 3.3.1-4] [MQTT5 3.3.1-4] Both QoS bits set: close.
        let qos = QoS::from_number(value).ok_or(DecodeError::InvalidQoS { field: "QoS", value })?;
        let dup = flags & DUP != 0;
        // [MQTT311 3.3.1-2] [MQTT5 3.3.1-2] DUP is 0 for QoS 0.
        if dup && qos == QoS::AtMostOnce {
            return Err(DecodeError::DuplicateQoS0);
        }
        let topic = match version {
            ProtocolVersion::V5 if body.rest().starts_with(&[0, 0]) => {
                body.u16("topic")?;
                None
            }
            _ => Some(TopicName::decode(body, "topic")?),
        };
        let packet_id = if qos == QoS::AtMostOnce { None } else { Some(body.packet_id()?) };
        let properties = match version {
            ProtocolVersion::V311 => Properties::NONE,
            ProtocolVersion::V5 => Properties::decode(body, Carrier::Packet(PacketKind::Publish))?,
        };
        // [MQTT5 3.3.2.1] An empty topic without an alias is a protocol error.
        if topic.is_none() && properties.topic_alias().is_none() {
            return Err(DecodeError::TopicMissing);
        }
        let payload = body.take_rest();
        Ok(Self { dup, qos, retain: flags & RETAIN != 0, topic, packet_id, properties, payload })
    }

    /// Writes the packet up to its payload and returns the size of that head.
    ///
    /// The head already says how long the payload is, so that the caller can send the payload from where it lies.
    ///
    /// # Errors
    /// As [`Packet::encode`](crate::Packet::encode), but `out` needs no room for the payload.
    pub fn encode_head(&self, version: ProtocolVersion, out: &mut [u8]) -> Result<usize, EncodeError> {
        Ok(self.write_head(version, out, 0)?.written())
    }

    #[inline]
    pub(super) fn encode(&self, version: ProtocolVersion, out: &mut [u8]) -> Result<usize, EncodeError> {
        let mut writer = self.write_head(version, out, self.payload.len())?;
        writer.bytes(self.payload);
        Ok(writer.written())
    }

    pub(super) fn remaining_bytes(&self, version: ProtocolVersion) -> usize {
        self.head_bytes(self.topic_text(), version) + self.payload.len()
    }

    fn head_bytes(&self, topic: &str, version: ProtocolVersion) -> usize {
        let packet_id = if self.packet_id.is_some() { 2 } else { 0 };
        2 + topic.len() + packet_id + self.properties.encoded_len_in(version)
    }

    /// The head, with the certainty that `payload_room` more bytes fit.
    fn write_head<'o>(
        &self,
        version: ProtocolVersion,
        out: &'o mut [u8],
        payload_room: usize,
    ) -> Result<Writer<'o>, EncodeError> {
        if self.packet_id.is_some() == (self.qos == QoS::AtMostOnce) {
            return Err(EncodeError::PacketId);
        }
        if self.dup && self.qos == QoS::AtMostOnce {
            return Err(EncodeError::DuplicateQoS0);
        }
        let topic = match self.topic {
            Some(topic) => topic.as_str(),
            None => self.check_alias(version).map(|()| "")?,
        };
        let flags = u8::from(self.dup) << 3 | self.qos.number() << QOS_SHIFT | u8::from(self.retain);
        let head_bytes = self.head_bytes(topic, version);
        let (remaining_bytes, now_bytes) = (head_bytes + self.payload.len(), head_bytes + payload_room);
        let mut writer = Writer::begin(out, PacketKind::Publish, flags, remaining_bytes, now_bytes)?;
        writer.binary("topic", topic.as_bytes())?;
        if let Some(id) = self.packet_id {
            writer.packet_id(id);
        }
        if version == ProtocolVersion::V5 {
            self.properties.encode(Carrier::Packet(PacketKind::Publish), &mut writer)?;
        }
        Ok(writer)
    }

    /// Whether the topic may be left out.
    fn check_alias(&self, version: ProtocolVersion) -> Result<(), EncodeError> {
        if self.properties.topic_alias().is_none() {
            return Err(EncodeError::TopicMissing);
        }
        match version {
            ProtocolVersion::V311 => Err(EncodeError::NotIn311 { what: "topic alias" }),
            ProtocolVersion::V5 => Ok(()),
        }
    }

    fn topic_text(&self) -> &'a str {
        self.topic.map_or("", |topic| topic.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Packet, decode};
    use crate::properties::{PlacementError, PropertiesWriter, Property, PropertyId};
    use crate::subscription_id::SubscriptionId;
    use crate::topic::TopicNameError;
    use ProtocolVersion::{V5, V311};
    use core::num::NonZeroU16;

    const QOS_1: &[u8] = b"\x3d\x0a\0\x03a/b\x12\x34hi\0";

    fn qos_1() -> Publish<'static> {
        Publish {
            dup: true,
            qos: QoS::ExactlyOnce,
            retain: true,
            topic: Some(TopicName::parse("a/b").unwrap()),
            packet_id: PacketId::new(0x1234),
            properties: Properties::NONE,
            payload: b"hi\0",
        }
    }

    #[test]
    fn every_flag_and_field_byte_for_byte() {
        let mut out = [0; 32];
        let packet = Packet::Publish(qos_1());
        assert_eq!(packet.encode(V311, &mut out), Ok(QOS_1.len()));
        assert_eq!(&out[..QOS_1.len()], QOS_1);
        assert_eq!(decode(QOS_1, V311, 32), Ok(Some((packet, QOS_1.len()))));
    }

    #[test]
    fn the_posts_message_has_no_packet_identifier() {
        let bytes = b"\x30\x34\0\x22$aws/rules/telemetry/pico_w_simple{\"temp\": 27.512}";
        let Ok(Some((Packet::Publish(publish), read))) = decode(bytes, V311, 64) else {
            panic!("not a publish")
        };
        assert_eq!(read, bytes.len());
        assert_eq!(publish.packet_id, None);
        assert_eq!(publish.topic_text(), "$aws/rules/telemetry/pico_w_simple");
        assert_eq!(publish.payload, b"{\"temp\": 27.512}");
    }

    #[test]
    fn the_head_ends_where_the_payload_begins() {
        let mut out = [0; 9];
        assert_eq!(qos_1().encode_head(V311, &mut out), Ok(9));
        assert_eq!(out, QOS_1[..9]);
    }

    #[test]
    fn an_empty_payload_is_a_message() {
        let Ok(Some((Packet::Publish(publish), 5))) = decode(b"\x31\x03\0\x01a", V311, 32) else {
            panic!("not a publish")
        };
        assert_eq!(publish.payload, b"");
    }

    /// [MQTT311 3.3.1-4] [MQTT311 3.3.1-2]
    #[test]
    fn impossible_flags_are_refused() {
        let expected = Err(DecodeError::InvalidQoS { field: "QoS", value: 3 });
        assert_eq!(decode(b"\x36\x05\0\x01a\0\x01", V311, 32), expected);
        assert_eq!(decode(b"\x38\x03\0\x01a", V311, 32), Err(DecodeError::DuplicateQoS0));
    }

    /// [MQTT311 3.3.2-2] [MQTT311 4.7.3-1]
    #[test]
    fn topics_have_no_wildcards_and_at_least_one_character() {
        for (bytes, error) in [
            (b"\x30\x03\0\x01#", TopicNameError::Wildcard),
            (b"\x30\x03\0\x01+", TopicNameError::Wildcard),
            (b"\x30\x03\0\x01\0", TopicNameError::Null),
        ] {
            assert_eq!(decode(bytes, V311, 32), Err(DecodeError::TopicName { field: "topic", error }));
        }
        let error = TopicNameError::Empty;
        assert_eq!(decode(b"\x30\x02\0\0", V311, 32), Err(DecodeError::TopicName { field: "topic", error }));
    }

    /// [MQTT311 2.3.1-5]
    #[test]
    fn identifier_and_qos_belong_together() {
        let mut publish = qos_1();
        publish.packet_id = None;
        assert_eq!(Packet::Publish(publish).encode(V311, &mut [0; 32]), Err(EncodeError::PacketId));
        let publish = Publish { qos: QoS::AtMostOnce, ..qos_1() };
        assert_eq!(Packet::Publish(publish).encode(V311, &mut [0; 32]), Err(EncodeError::PacketId));
    }

    #[test]
    fn properties_stand_between_identifier_and_payload() {
        let mut block = [0; 32];
        let mut writer = PropertiesWriter::new(&mut block);
        writer.push(Property::PayloadFormatIsUtf8(true)).unwrap();
        writer.push(Property::MessageExpiryIntervalS(60)).unwrap();
        writer.push(Property::SubscriptionIdentifier(SubscriptionId::new(1).unwrap())).unwrap();
        writer.push(Property::SubscriptionIdentifier(SubscriptionId::new(200).unwrap())).unwrap();
        let packet = Packet::Publish(Publish { properties: writer.finish(), ..qos_1() });
        let bytes = b"\x3d\x17\0\x03a/b\x12\x34\x0c\x01\x01\x02\0\0\0\x3c\x0b\x01\x0b\xc8\x01hi\0";
        let mut out = [0; 32];
        assert_eq!(packet.encode(V5, &mut out), Ok(bytes.len()));
        assert_eq!(&out[..bytes.len()], bytes);
        assert_eq!(decode(bytes, V5, 32), Ok(Some((packet, bytes.len()))));
        // A receiver that knows none of them gets the message all the same.
        assert_eq!(packet.encode(V311, &mut out), Ok(QOS_1.len()));
        assert_eq!(&out[..QOS_1.len()], QOS_1);
        // Without properties their length is there, and says so.
        let bytes = b"\x3d\x0b\0\x03a/b\x12\x34\0hi\0";
        assert_eq!(decode(bytes, V5, 32), Ok(Some((Packet::Publish(qos_1()), bytes.len()))));
    }

    /// [MQTT5 3.3.2.1] [MQTT5 3.3.2-8]
    #[test]
    fn an_alias_alone_may_stand_for_the_topic() {
        let mut block = [0; 4];
        let mut writer = PropertiesWriter::new(&mut block);
        writer.push(Property::TopicAlias(NonZeroU16::new(9).unwrap())).unwrap();
        let publish = Publish { topic: None, properties: writer.finish(), ..qos_1() };
        let packet = Packet::Publish(publish);
        let bytes = b"\x3d\x0b\0\0\x12\x34\x03\x23\0\x09hi\0";
        let mut out = [0; 16];
        assert_eq!(packet.encode(V5, &mut out), Ok(bytes.len()));
        assert_eq!(&out[..bytes.len()], bytes);
        assert_eq!(decode(bytes, V5, 16), Ok(Some((packet, bytes.len()))));
        assert_eq!(packet.encode(V311, &mut out), Err(EncodeError::NotIn311 { what: "topic alias" }));
        let unnamed = Packet::Publish(Publish { properties: Properties::NONE, ..publish });
        assert_eq!(unnamed.encode(V5, &mut out), Err(EncodeError::TopicMissing));
        assert_eq!(decode(b"\x30\x03\0\0\0", V5, 16), Err(DecodeError::TopicMissing));
        let expected = DecodeError::PropertyValue { property: PropertyId::TopicAlias, value: 0 };
        assert_eq!(decode(b"\x30\x06\0\0\x03\x23\0\0", V5, 16), Err(expected));
        assert_eq!(expected.reason_code().byte(), 0x94);
    }

    /// [MQTT5 3.3.2.3] A property of another packet neither comes nor goes.
    #[test]
    fn properties_of_other_packets_are_refused() {
        let mut block = [0; 8];
        let mut writer = PropertiesWriter::new(&mut block);
        writer.push(Property::ReasonString("x")).unwrap();
        let (property, carrier) = (PropertyId::ReasonString, Carrier::Packet(PacketKind::Publish));
        let error = PlacementError::NotAllowed { property, carrier };
        let publish = Publish { properties: writer.finish(), ..qos_1() };
        let refused = Packet::Publish(publish).encode(V5, &mut [0; 32]);
        assert_eq!(refused, Err(EncodeError::Properties(error)));
        let bytes = b"\x30\x08\0\x01a\x04\x1f\0\x01x";
        assert_eq!(decode(bytes, V5, 32), Err(DecodeError::Properties(error)));
    }
}
