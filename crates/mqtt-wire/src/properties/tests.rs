//! The rules of properties: each property byte for byte, what is refused, and how blocks are made.

use super::*;
use crate::fixed_header::PacketKind;
use crate::qos::QoS;
use crate::subscription_id::SubscriptionId;
use crate::topic::{TopicName, TopicNameError};
use core::num::{NonZeroU16, NonZeroU32};
use std::vec;
use std::vec::Vec;

const PUBLISH: Carrier = Carrier::Packet(PacketKind::Publish);
const CONNECT: Carrier = Carrier::Packet(PacketKind::Connect);
const CONNACK: Carrier = Carrier::Packet(PacketKind::ConnAck);
const AUTH: Carrier = Carrier::Packet(PacketKind::Auth);

/// Each property with a value, as it stands on the wire, and something that may carry it.
fn rows() -> [(Property<'static>, &'static [u8], Carrier); 27] {
    use Property as P;
    let two = |number| NonZeroU16::new(number).unwrap();
    [
        (P::PayloadFormatIsUtf8(true), b"\x01\x01", PUBLISH),
        (P::MessageExpiryIntervalS(0x0102_0304), b"\x02\x01\x02\x03\x04", PUBLISH),
        (P::ContentType("a/b"), b"\x03\0\x03a/b", PUBLISH),
        (P::ResponseTopic(TopicName::parse("r/t").unwrap()), b"\x08\0\x03r/t", PUBLISH),
        (P::CorrelationData(b"\0\xff"), b"\x09\0\x02\0\xff", PUBLISH),
        (P::SubscriptionIdentifier(SubscriptionId::new(300).unwrap()), b"\x0b\xac\x02", PUBLISH),
        (P::SessionExpiryIntervalS(u32::MAX), b"\x11\xff\xff\xff\xff", CONNECT),
        (P::AssignedClientId("me"), b"\x12\0\x02me", CONNACK),
        (P::ServerKeepAliveS(0), b"\x13\0\0", CONNACK),
        (P::AuthenticationMethod("m"), b"\x15\0\x01m", AUTH),
        (P::AuthenticationData(b"\x80"), b"\x16\0\x01\x80", AUTH),
        (P::RequestProblemInformation(false), b"\x17\0", CONNECT),
        (P::WillDelayIntervalS(7), b"\x18\0\0\0\x07", Carrier::Will),
        (P::RequestResponseInformation(true), b"\x19\x01", CONNECT),
        (P::ResponseInformation("i"), b"\x1a\0\x01i", CONNACK),
        (P::ServerReference("s:1"), b"\x1c\0\x03s:1", CONNACK),
        (P::ReasonString("\u{e9}"), b"\x1f\0\x02\xc3\xa9", CONNACK),
        (P::ReceiveMaximum(two(1)), b"\x21\0\x01", CONNECT),
        (P::TopicAliasMaximum(0x1234), b"\x22\x12\x34", CONNECT),
        (P::TopicAlias(two(0xFFFF)), b"\x23\xff\xff", PUBLISH),
        (P::MaximumQoS(QoS::AtLeastOnce), b"\x24\x01", CONNACK),
        (P::RetainAvailable(false), b"\x25\0", CONNACK),
        (P::UserProperty("", "v"), b"\x26\0\0\0\x01v", PUBLISH),
        (P::MaximumPacketSize(NonZeroU32::MIN), b"\x27\0\0\0\x01", CONNECT),
        (P::WildcardSubscriptionAvailable(false), b"\x28\0", CONNACK),
        (P::SubscriptionIdentifierAvailable(false), b"\x29\0", CONNACK),
        (P::SharedSubscriptionAvailable(true), b"\x2a\x01", CONNACK),
    ]
}

/// Reads a block as a packet would have it.
fn read<'a>(
    block: &'a [u8],
    carrier: Carrier,
    with_length: &'a mut Vec<u8>,
) -> Result<Properties<'a>, DecodeError> {
    with_length.push(u8::try_from(block.len()).unwrap());
    with_length.extend(block);
    Properties::decode(&mut Reader::new(with_length), carrier)
}

fn refused(block: &[u8], carrier: Carrier) -> DecodeError {
    read(block, carrier, &mut vec![]).unwrap_err()
}

fn written<'o>(properties: &[Property<'_>], out: &'o mut [u8]) -> Properties<'o> {
    let mut writer = PropertiesWriter::new(out);
    properties.iter().for_each(|property| writer.push(*property).unwrap());
    writer.finish()
}

/// [MQTT5 2.2.2.2]
#[test]
fn every_property_byte_for_byte() {
    for (property, bytes, carrier) in rows() {
        let mut out = [0; 16];
        let block = written(&[property], &mut out);
        assert_eq!(block.as_bytes(), bytes, "{property:?}");
        assert_eq!(property.encoded_len(), bytes.len(), "{property:?}");
        assert!(block.iter().eq([property]), "{property:?}");
        if property.id() != PropertyId::AuthenticationData {
            let mut buffer = vec![];
            assert_eq!(read(bytes, carrier, &mut buffer), Ok(block), "{property:?}");
        }
    }
    let ids: Vec<_> = rows().iter().map(|(property, ..)| property.id().byte()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "each property once");
}

/// Every cut of every property ends inside a field.
#[test]
fn a_block_that_ends_inside_a_property_is_refused() {
    for (property, bytes, carrier) in rows() {
        for length in 1..bytes.len() {
            let error = refused(&bytes[..length], carrier);
            assert_eq!(error, DecodeError::Truncated { field: property.id().name() }, "{property:?}");
        }
    }
    let short = Properties::decode(&mut Reader::new(&[2, 0x25]), CONNACK);
    assert_eq!(short, Err(DecodeError::Truncated { field: "properties" }));
    let none = Properties::decode(&mut Reader::new(&[]), CONNACK);
    assert_eq!(none, Err(DecodeError::Truncated { field: "property length" }));
}

/// [MQTT5 1.5.5-1] [MQTT5 2.2.2.1]
#[test]
fn lengths_and_subscription_identifiers_are_minimal_integers_of_four_bytes_at_most() {
    let mut padded = Reader::new(&[0x80, 0]);
    let field = "property length";
    assert_eq!(Properties::decode(&mut padded, PUBLISH), Err(DecodeError::IntegerPadded { field }));
    let mut long = Reader::new(&[0xFF, 0xFF, 0xFF, 0xFF, 0x01]);
    assert_eq!(Properties::decode(&mut long, PUBLISH), Err(DecodeError::IntegerTooLong { field }));
    let field = "subscription identifier";
    assert_eq!(refused(&[0x0B, 0x81, 0], PUBLISH), DecodeError::IntegerPadded { field });
    assert_eq!(refused(&[0x0B, 0xFF, 0xFF, 0xFF, 0xFF, 1], PUBLISH), DecodeError::IntegerTooLong { field });
}

/// The values that the sections of the properties exclude.
#[test]
fn excluded_values_are_refused() {
    let flags = [(0x01, PUBLISH), (0x17, CONNECT), (0x19, CONNECT), (0x24, CONNACK), (0x25, CONNACK)];
    let more = [(0x28, CONNACK), (0x29, CONNACK), (0x2A, CONNACK)];
    for (identifier, carrier) in flags.into_iter().chain(more) {
        let property = PropertyId::from_byte(identifier).unwrap();
        assert!(read(&[identifier, 1], carrier, &mut vec![]).is_ok());
        let expected = DecodeError::PropertyValue { property, value: 2 };
        assert_eq!(refused(&[identifier, 2], carrier), expected);
    }
    let zeros: [(&[u8], Carrier); 4] = [
        (&[0x21, 0, 0], CONNECT),       // [MQTT5 3.1.2.11.3]
        (&[0x27, 0, 0, 0, 0], CONNECT), // [MQTT5 3.1.2.11.4]
        (&[0x23, 0, 0], PUBLISH),       // [MQTT5 3.3.2-8]
        (&[0x0B, 0], PUBLISH),          // [MQTT5 3.8.2.1.2]
    ];
    for (block, carrier) in zeros {
        let property = PropertyId::from_byte(block[0]).unwrap();
        assert_eq!(refused(block, carrier), DecodeError::PropertyValue { property, value: 0 });
    }
}

/// [MQTT5 1.5.4-1] [MQTT5 1.5.4-2] [MQTT5 3.3.2-14]
#[test]
fn texts_are_utf8_without_null_and_a_response_topic_is_a_topic() {
    assert_eq!(refused(b"\x1f\0\x01\xff", CONNACK), DecodeError::Utf8 { field: "reason string" });
    assert_eq!(refused(b"\x26\0\x01k\0\x01\0", PUBLISH), DecodeError::Null { field: "user property" });
    for (block, error) in [
        (b"\x08\0\x01#".as_slice(), TopicNameError::Wildcard),
        (b"\x08\0\x01+", TopicNameError::Wildcard),
        (b"\x08\0\0", TopicNameError::Empty),
    ] {
        let field = "response topic";
        assert_eq!(refused(block, PUBLISH), DecodeError::TopicName { field, error });
    }
}

/// [MQTT5 2.2.2.2]
#[test]
fn unknown_foreign_and_repeated_properties_are_refused() {
    assert_eq!(refused(&[0x04, 0], PUBLISH), DecodeError::UnknownProperty { identifier: 0x04 });
    assert_eq!(refused(&[0xFF, 0], PUBLISH), DecodeError::UnknownProperty { identifier: 0xFF });
    for (property, bytes, carrier) in rows() {
        let id = property.id();
        let answer = Carrier::Packet(PacketKind::Unsubscribe);
        if id != PropertyId::UserProperty {
            let error = PlacementError::NotAllowed { property: id, carrier: answer };
            assert_eq!(refused(bytes, answer), DecodeError::Properties(error));
        }
        let twice = read(&[bytes, bytes].concat(), carrier, &mut vec![]).map(|block| block.iter().count());
        let expected = match id {
            PropertyId::UserProperty | PropertyId::SubscriptionIdentifier => Ok(2),
            _ => Err(DecodeError::Properties(PlacementError::Repeated { property: id })),
        };
        assert_eq!(twice, expected, "{property:?}");
    }
    // [MQTT5 3.8.2.1.2] A SUBSCRIBE has one identifier, [MQTT5 3.3.4-3] a PUBLISH those of all its subscriptions.
    let property = PropertyId::SubscriptionIdentifier;
    let subscribe = Carrier::Packet(PacketKind::Subscribe);
    let expected = DecodeError::Properties(PlacementError::Repeated { property });
    assert_eq!(refused(&[0x0B, 1, 0x0B, 2], subscribe), expected);
}

/// [MQTT5 3.1.2.11.10]
#[test]
fn authentication_data_needs_a_method() {
    let expected = DecodeError::Properties(PlacementError::AuthenticationDataAlone);
    for carrier in [CONNECT, CONNACK, AUTH] {
        assert_eq!(refused(b"\x16\0\x01x", carrier), expected);
        assert!(read(b"\x16\0\x01x\x15\0\x01m", carrier, &mut vec![]).is_ok());
    }
}

#[test]
fn every_question_finds_its_answer_among_all_the_others() {
    let mut out = [0; 256];
    let all = written(&rows().map(|(property, ..)| property), &mut out);
    assert!(all.payload_format_is_utf8());
    assert_eq!(all.message_expiry_interval_s(), Some(0x0102_0304));
    assert_eq!(all.content_type(), Some("a/b"));
    assert_eq!(all.response_topic().map(|topic| topic.as_str()), Some("r/t"));
    assert_eq!(all.correlation_data(), Some(b"\0\xff".as_slice()));
    assert!(all.subscription_ids().map(SubscriptionId::number).eq([300]));
    assert_eq!(all.session_expiry_interval_s(), Some(u32::MAX));
    assert_eq!(all.assigned_client_id(), Some("me"));
    assert_eq!(all.server_keep_alive_s(), Some(0));
    assert_eq!(all.authentication_method(), Some("m"));
    assert_eq!(all.authentication_data(), Some(b"\x80".as_slice()));
    assert!(!all.request_problem_information());
    assert_eq!(all.will_delay_interval_s(), Some(7));
    assert!(all.request_response_information());
    assert_eq!(all.response_information(), Some("i"));
    assert_eq!(all.server_reference(), Some("s:1"));
    assert_eq!(all.reason_string(), Some("\u{e9}"));
    assert_eq!(all.receive_maximum().map(NonZeroU16::get), Some(1));
    assert_eq!(all.topic_alias_maximum(), Some(0x1234));
    assert_eq!(all.topic_alias().map(NonZeroU16::get), Some(0xFFFF));
    assert_eq!(all.maximum_qos(), QoS::AtLeastOnce);
    assert!(!all.retain_available());
    assert!(all.user_properties().eq([("", "v")]));
    assert_eq!(all.maximum_packet_size().map(NonZeroU32::get), Some(1));
    assert!(!all.wildcard_subscription_available());
    assert!(!all.subscription_identifier_available());
    assert!(all.shared_subscription_available());
}

/// What the standard says of a property that is not there.
#[test]
fn absent_properties_have_the_standards_defaults() {
    let none = Properties::NONE;
    assert!(none.is_empty());
    assert!(!none.payload_format_is_utf8() && !none.request_response_information());
    assert!(none.request_problem_information() && none.retain_available());
    assert!(none.wildcard_subscription_available() && none.shared_subscription_available());
    assert!(none.subscription_identifier_available());
    assert_eq!(none.maximum_qos(), QoS::ExactlyOnce);
    assert_eq!((none.receive_maximum(), none.topic_alias(), none.content_type()), (None, None, None));
    let mut out = [0; 2];
    let bytes = written(&[Property::MaximumQoS(QoS::AtMostOnce)], &mut out);
    assert_eq!(bytes.maximum_qos(), QoS::AtMostOnce);
}

#[test]
fn a_writer_takes_what_fits_and_keeps_no_part_of_what_fails() {
    let mut out = [0; 6];
    let mut writer = PropertiesWriter::new(&mut out);
    writer.push(Property::RetainAvailable(true)).unwrap();
    let no_room = EncodeError::NoRoomForProperties { needed_bytes: 7, buffer_bytes: 6 };
    assert_eq!(writer.push(Property::ReasonString("ab")), Err(no_room));
    let null = EncodeError::Null { field: "reason string" };
    assert_eq!(writer.push(Property::ReasonString("\0")), Err(null));
    assert_eq!(writer.push(Property::MaximumQoS(QoS::ExactlyOnce)), Err(EncodeError::MaximumQoS2));
    writer.push(Property::ReasonString("a")).unwrap();
    assert_eq!(writer.finish().as_bytes(), b"\x25\x01\x1f\0\x01a");
    let long = vec![0; 65_536];
    let mut out = vec![0; 70_000];
    let refused = PropertiesWriter::new(&mut out).push(Property::CorrelationData(&long));
    assert_eq!(refused, Err(EncodeError::TooLong { field: "correlation data", bytes: 65_536 }));
}

/// [MQTT5 3.3.2-4] [MQTT5 3.3.2-15] [MQTT5 3.3.2-16] [MQTT5 3.3.2-17] [MQTT5 3.3.2-18] [MQTT5 3.3.2-20]
#[test]
fn a_server_forwards_what_belongs_to_the_message_and_replaces_what_does_not() {
    let mut out = [0; 128];
    let published: Vec<_> = rows().iter().filter(|row| row.2 == PUBLISH).map(|row| row.0).collect();
    let received = written(&[published.as_slice(), &[Property::UserProperty("b", "a")]].concat(), &mut out);
    let mut out = [0; 128];
    let mut writer = PropertiesWriter::new(&mut out);
    writer.push(Property::MessageExpiryIntervalS(9)).unwrap();
    writer.copy(&received, &PropertyId::FORWARDED_UNALTERED).unwrap();
    let sent = writer.finish();
    assert_eq!(sent.message_expiry_interval_s(), Some(9));
    assert_eq!((sent.topic_alias(), sent.subscription_ids().count()), (None, 0));
    assert!(sent.payload_format_is_utf8());
    assert_eq!(sent.content_type(), received.content_type());
    assert_eq!(sent.response_topic(), received.response_topic());
    assert_eq!(sent.correlation_data(), received.correlation_data());
    assert!(sent.user_properties().eq([("", "v"), ("b", "a")]));
    // Part of it fits: what is there is whole.
    let mut small = [0; 4];
    let mut writer = PropertiesWriter::new(&mut small);
    let refused = writer.copy(&received, &PropertyId::FORWARDED_UNALTERED);
    assert_eq!(refused, Err(EncodeError::NoRoomForProperties { needed_bytes: 8, buffer_bytes: 4 }));
    assert_eq!(writer.finish().as_bytes(), b"\x01\x01");
}
