//! MQTT packets of both versions from any bytes. The first byte of the input chooses the version.
//!
//! What must hold: no panic; a packet that arrives byte by byte is judged like one that arrives at once; what was
//! understood can be written again and means the same; the bound on the size is exact; every property of a packet is
//! found by its name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mqtt_wire::ProtocolVersion::{self, V5, V311};
use mqtt_wire::{DecodeError, Packet, Properties, Property, decode};

/// Above what libFuzzer is told to make, so that only the input's own lengths decide.
const PACKET_BYTES_MAX: usize = 64 * 1024;

fuzz_target!(|input: &[u8]| {
    let Some((&first, mut rest)) = input.split_first() else { return };
    let version = if first & 1 == 0 { V311 } else { V5 };
    // As the broker's connection does: decode, skip, again.
    while let Some(packet_bytes) = check_first(rest, version) {
        rest = &rest[packet_bytes..];
    }
});

/// Checks the packet at the start of `bytes`, and gives its size if there is one.
fn check_first(bytes: &[u8], version: ProtocolVersion) -> Option<usize> {
    let whole = decode(bytes, version, PACKET_BYTES_MAX);
    check_arriving(bytes, version, &whole);
    if let Err(error) = whole {
        assert!(error.reason_code().is_failure(), "{error}");
    }
    let (packet, packet_bytes) = whole.ok()??;
    assert!(packet_bytes <= bytes.len());
    walk(&packet);
    check_written(&packet, version, &bytes[..packet_bytes]);
    assert_eq!(decode(bytes, version, packet_bytes), Ok(Some((packet, packet_bytes))));
    let refused = DecodeError::TooLarge { packet_bytes, packet_bytes_max: packet_bytes - 1 };
    assert_eq!(decode(bytes, version, packet_bytes - 1), Err(refused));
    Some(packet_bytes)
}

/// Nothing is said before it is certain, and what is said stays.
fn check_arriving(
    bytes: &[u8],
    version: ProtocolVersion,
    whole: &Result<Option<(Packet<'_>, usize)>, DecodeError>,
) {
    for arrived in 0..bytes.len() {
        match decode(&bytes[..arrived], version, PACKET_BYTES_MAX) {
            Ok(None) => {}
            judged => return assert_eq!(&judged, whole, "after {arrived} bytes"),
        }
    }
}

/// The lists in a packet are decoded when they are walked.
fn walk(packet: &Packet<'_>) {
    let items = match packet {
        Packet::Subscribe(subscribe) => subscribe.filters.iter().count(),
        Packet::Unsubscribe(unsubscribe) => unsubscribe.filters.iter().count(),
        Packet::SubAck(suback) => suback.codes.iter().count(),
        _ => 1,
    };
    assert!(items > 0);
    if let Packet::Connect(connect) = packet {
        check_properties(&connect.will.map(|will| will.properties).unwrap_or_default());
    }
    check_properties(&match packet {
        Packet::Connect(connect) => connect.properties,
        Packet::ConnAck(connack) => connack.properties,
        Packet::Publish(publish) => publish.properties,
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            ack.properties
        }
        Packet::Subscribe(subscribe) => subscribe.properties,
        Packet::SubAck(suback) => suback.properties,
        Packet::Unsubscribe(unsubscribe) => unsubscribe.properties,
        Packet::UnsubAck(unsuback) => unsuback.properties,
        Packet::Disconnect(disconnect) => disconnect.properties,
        Packet::Auth(auth) => auth.properties,
        Packet::PingReq | Packet::PingResp => Properties::NONE,
    });
}

/// Walking finds all of the block, and asking finds what walking found.
fn check_properties(properties: &Properties<'_>) {
    let bytes: usize = properties.iter().map(|property| property.encoded_len()).sum();
    assert_eq!(bytes, properties.as_bytes().len());
    for property in properties.iter() {
        let found = match property {
            Property::PayloadFormatIsUtf8(yes) => properties.payload_format_is_utf8() == yes,
            Property::MessageExpiryIntervalS(s) => properties.message_expiry_interval_s() == Some(s),
            Property::ContentType(text) => properties.content_type() == Some(text),
            Property::ResponseTopic(topic) => properties.response_topic() == Some(topic),
            Property::CorrelationData(bytes) => properties.correlation_data() == Some(bytes),
            Property::SubscriptionIdentifier(id) => properties.subscription_ids().any(|other| other == id),
            Property::SessionExpiryIntervalS(s) => properties.session_expiry_interval_s() == Some(s),
            Property::AssignedClientId(text) => properties.assigned_client_id() == Some(text),
            Property::ServerKeepAliveS(s) => properties.server_keep_alive_s() == Some(s),
            Property::AuthenticationMethod(text) => properties.authentication_method() == Some(text),
            Property::AuthenticationData(bytes) => properties.authentication_data() == Some(bytes),
            Property::RequestProblemInformation(yes) => properties.request_problem_information() == yes,
            Property::WillDelayIntervalS(s) => properties.will_delay_interval_s() == Some(s),
            Property::RequestResponseInformation(yes) => properties.request_response_information() == yes,
            Property::ResponseInformation(text) => properties.response_information() == Some(text),
            Property::ServerReference(text) => properties.server_reference() == Some(text),
            Property::ReasonString(text) => properties.reason_string() == Some(text),
            Property::ReceiveMaximum(maximum) => properties.receive_maximum() == Some(maximum),
            Property::TopicAliasMaximum(maximum) => properties.topic_alias_maximum() == Some(maximum),
            Property::TopicAlias(alias) => properties.topic_alias() == Some(alias),
            Property::MaximumQoS(qos) => properties.maximum_qos() == qos,
            Property::RetainAvailable(yes) => properties.retain_available() == yes,
            Property::UserProperty(name, value) => {
                properties.user_properties().any(|pair| pair == (name, value))
            }
            Property::MaximumPacketSize(bytes) => properties.maximum_packet_size() == Some(bytes),
            Property::WildcardSubscriptionAvailable(yes) => {
                properties.wildcard_subscription_available() == yes
            }
            Property::SubscriptionIdentifierAvailable(yes) => {
                properties.subscription_identifier_available() == yes
            }
            Property::SharedSubscriptionAvailable(yes) => properties.shared_subscription_available() == yes,
        };
        assert!(found, "{property:?}");
    }
}

fn check_written(packet: &Packet<'_>, version: ProtocolVersion, read: &[u8]) {
    let mut out = vec![0; packet.encoded_len(version)];
    assert_eq!(packet.encode(version, &mut out), Ok(out.len()));
    assert_eq!(decode(&out, version, out.len()), Ok(Some((*packet, out.len()))));
    // A remaining length of 3.1.1 may be written with superfluous bytes, and what ends a packet of MQTT 5 in a long
    // form; nothing else has two spellings.
    assert!(out.len() < read.len() || out == read, "{read:02x?} became {out:02x?}");
    let short = out.len() - 1;
    assert!(packet.encode(version, &mut out[..short]).is_err());
    // In the other version it is a packet too, or an error.
    let other = if version == V311 { V5 } else { V311 };
    let mut out = vec![0; packet.encoded_len(other)];
    if packet.encode(other, &mut out).is_ok() {
        assert!(matches!(decode(&out, other, out.len()), Ok(Some((_, whole))) if whole == out.len()));
    }
}
