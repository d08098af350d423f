//! What holds for every packet and for every sequence of bytes, in both versions.
#![expect(clippy::unwrap_used, reason = "what a strategy makes is valid by construction, or the test fails")]

mod made;

use made::{BUFFER_BYTES, filter, made, made_in, topic, version};
use mqtt_wire::ProtocolVersion::{V5, V311};
use mqtt_wire::topic::MatchRules;
use mqtt_wire::{
    DecodeError, EncodeError, Packet, Properties, PropertiesWriter, TopicFilter, TopicName, decode,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Bytes that often get past the fixed header.
fn likely_bytes() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![any::<u8>(), Just(0x10), Just(0x82), Just(0xA2), Just(0x32), Just(0x90)];
    (first, vec(any::<u8>(), 0..60)).prop_map(|(first, body)| {
        let mut bytes = vec![first, body.len() as u8];
        bytes.extend(body);
        bytes
    })
}

/// Asks for everything that is read only when somebody asks.
fn walk(packet: Packet<'_>) -> usize {
    ask_properties(packet);
    match packet {
        Packet::Subscribe(subscribe) => subscribe.filters.iter().count(),
        Packet::Unsubscribe(unsubscribe) => unsubscribe.filters.iter().count(),
        Packet::SubAck(suback) => suback.codes.iter().count(),
        _ => 1,
    }
}

fn ask_properties(packet: Packet<'_>) {
    let will = match packet {
        Packet::Connect(connect) => connect.will.map(|will| will.properties),
        _ => None,
    };
    for properties in [properties_of(packet), will.unwrap_or_default()] {
        let mut out = vec![0; properties.as_bytes().len()];
        let mut writer = PropertiesWriter::new(&mut out);
        properties.iter().for_each(|property| writer.push(property).unwrap());
        assert_eq!(writer.finish(), properties, "what is read of a block makes it again");
    }
}

fn properties_of(packet: Packet<'_>) -> Properties<'_> {
    match packet {
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
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(400)))]

    #[test]
    fn what_is_encoded_decodes_to_the_same(made in made(), following in vec(any::<u8>(), 0..4)) {
        let mut bytes = made.bytes();
        let packet_bytes = bytes.len();
        bytes.extend(following);
        made.with(|packet| {
            prop_assert_eq!(packet.encoded_len(made.version), packet_bytes);
            prop_assert_eq!(decode(&bytes, made.version, packet_bytes), Ok(Some((packet, packet_bytes))));
            Ok(())
        })?;
    }

    #[test]
    fn a_part_of_a_packet_is_incomplete(made in made()) {
        let bytes = made.bytes();
        for length in 0..bytes.len() {
            prop_assert_eq!(decode(&bytes[..length], made.version, BUFFER_BYTES), Ok(None));
        }
    }

    #[test]
    fn one_byte_more_than_allowed_is_too_large(made in made()) {
        let bytes = made.bytes();
        let packet_bytes_max = bytes.len() - 1;
        let expected = Err(DecodeError::TooLarge { packet_bytes: bytes.len(), packet_bytes_max });
        prop_assert_eq!(decode(&bytes, made.version, packet_bytes_max), expected);
    }

    #[test]
    fn a_short_buffer_is_refused_and_not_overrun(made in made(), missing in 1..20_usize) {
        let needed_bytes = made.bytes().len();
        let buffer_bytes = needed_bytes.saturating_sub(missing);
        let refused = made.with(|packet| packet.encode(made.version, &mut vec![0; buffer_bytes]));
        prop_assert_eq!(refused, Err(EncodeError::BufferTooSmall { needed_bytes, buffer_bytes }));
    }

    #[test]
    fn any_bytes_are_judged_alike_and_without_a_panic(
        bytes in prop_oneof![vec(any::<u8>(), 0..80), likely_bytes()],
        version in version(),
    ) {
        let Ok(Some((packet, read))) = decode(&bytes, version, BUFFER_BYTES) else { return Ok(()) };
        prop_assert!(read <= bytes.len());
        prop_assert!(walk(packet) > 0);
        // What follows the packet has no say, and what was understood can be said again.
        prop_assert_eq!(decode(&bytes[..read], version, BUFFER_BYTES), Ok(Some((packet, read))));
        let mut out = vec![0; BUFFER_BYTES];
        let written = packet.encode(version, &mut out).unwrap();
        prop_assert_eq!(decode(&out[..written], version, BUFFER_BYTES), Ok(Some((packet, written))));
    }

    #[test]
    fn one_changed_byte_never_panics(made in made(), at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let mut bytes = made.bytes();
        let at = at.index(bytes.len());
        bytes[at] = value;
        if let Ok(Some((packet, _))) = decode(&bytes, made.version, BUFFER_BYTES) {
            prop_assert!(walk(packet) > 0);
            let mut out = vec![0; BUFFER_BYTES];
            let written = packet.encode(made.version, &mut out).unwrap();
            prop_assert_eq!(decode(&out[..written], made.version, BUFFER_BYTES), Ok(Some((packet, written))));
        }
    }

    /// One model: a packet of 3.1.1 is a packet of MQTT 5, with an answer per filter where MQTT 5 wants one.
    #[test]
    fn what_mqtt_311_says_mqtt_5_can_say(made in made_in(V311)) {
        made.with(|packet| {
            if matches!(packet, Packet::UnsubAck(_) | Packet::Connect(_)) {
                return Ok(());
            }
            let mut out = vec![0; BUFFER_BYTES];
            let written = packet.encode(V5, &mut out).unwrap();
            prop_assert_eq!(decode(&out[..written], V5, BUFFER_BYTES), Ok(Some((packet, written))));
            Ok(())
        })?;
    }

    /// What 3.1.1 takes of a packet of MQTT 5 is whole, and what it does not is an error and not a panic.
    #[test]
    fn what_mqtt_5_says_mqtt_311_writes_validly_or_refuses(made in made_in(V5)) {
        let mut out = vec![0; BUFFER_BYTES];
        if let Ok(written) = made.with(|packet| packet.encode(V311, &mut out)) {
            let Ok(Some((packet, read))) = decode(&out[..written], V311, BUFFER_BYTES) else {
                return Err(TestCaseError::fail("not a packet"));
            };
            prop_assert_eq!(read, written);
            prop_assert!(matches!(packet, Packet::Connect(_)) || properties_of(packet).is_empty());
        }
    }

    #[test]
    fn the_standard_takes_all_that_aws_takes(filter in filter(), topic in topic()) {
        let (filter, topic) = (TopicFilter::parse(&filter).unwrap(), TopicName::parse(&topic).unwrap());
        let aws = filter.matches(topic, MatchRules::Aws);
        prop_assert!(!aws || filter.matches(topic, MatchRules::Mqtt));
        prop_assert_eq!(aws, reference_match(&filter, &topic));
    }
}

/// AWS's rule once more, as recursion instead of iteration.
fn reference_match(filter: &str, topic: &str) -> bool {
    fn below(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            ([], []) => true,
            (["#"], [_, ..]) => true,
            (["+", filter @ ..], [_, topic @ ..]) => below(filter, topic),
            ([text, filter @ ..], [level, topic @ ..]) => text == level && below(filter, topic),
            _ => false,
        }
    }
    let filter: Vec<_> = filter.split('/').collect();
    let topic_levels: Vec<_> = topic.split('/').collect();
    let hidden = topic.starts_with('$') && matches!(filter[0], "#" | "+");
    !hidden && below(&filter, &topic_levels)
}
