//! What holds for every packet and for every sequence of bytes.
#![expect(clippy::unwrap_used, reason = "what a strategy makes is valid by construction, or the test fails")]

use mqtt_wire::topic::MatchRules;
use mqtt_wire::{
    ConnAck, Connect, ConnectReturnCode, DecodeError, EncodeError, FilterRequest, Packet, PacketId, Publish,
    QoS, SubAck, SubAckCode, SubAckCodes, Subscribe, SubscribeFilters, TopicFilter, TopicName, Unsubscribe,
    UnsubscribeFilters, Will, decode,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Larger than any packet made here.
const BUFFER_BYTES: usize = 8 * 1024;

/// An owned twin of [`Packet`], because a borrowing packet cannot leave its strategy.
#[derive(Clone, Debug)]
enum Made {
    Connect(MadeConnect),
    ConnAck(ConnAck),
    Publish { dup: bool, qos: QoS, retain: bool, topic: String, id: PacketId, payload: Vec<u8> },
    Id(u8, PacketId),
    Subscribe(PacketId, Vec<(String, QoS)>),
    SubAck(PacketId, Vec<SubAckCode>),
    Unsubscribe(PacketId, Vec<String>),
    Bare(u8),
}

#[derive(Clone, Debug)]
struct MadeConnect {
    clean_session: bool,
    keep_alive_s: u16,
    client_id: String,
    will: Option<(String, Vec<u8>, QoS, bool)>,
    credentials: Option<(String, Option<Vec<u8>>)>,
}

impl Made {
    /// Gives the packet to `look`.
    fn with<T>(&self, look: impl FnOnce(Packet<'_>) -> T) -> T {
        match self {
            Self::Connect(made) => look(Packet::Connect(Connect {
                clean_session: made.clean_session,
                keep_alive_s: made.keep_alive_s,
                client_id: &made.client_id,
                will: made.will.as_ref().map(|(topic, payload, qos, retain)| Will {
                    topic: TopicName::parse(topic).unwrap(),
                    payload,
                    qos: *qos,
                    retain: *retain,
                }),
                username: made.credentials.as_ref().map(|(username, _)| username.as_str()),
                password: made.credentials.as_ref().and_then(|(_, password)| password.as_deref()),
            })),
            Self::ConnAck(connack) => look(Packet::ConnAck(*connack)),
            Self::Publish { dup, qos, retain, topic, id, payload } => look(Packet::Publish(Publish {
                dup: *dup && *qos != QoS::AtMostOnce,
                qos: *qos,
                retain: *retain,
                topic: TopicName::parse(topic).unwrap(),
                packet_id: (*qos != QoS::AtMostOnce).then_some(*id),
                payload,
            })),
            Self::Id(which, id) => {
                let kinds =
                    [Packet::PubAck, Packet::PubRec, Packet::PubRel, Packet::PubComp, Packet::UnsubAck];
                look(kinds[usize::from(*which)](*id))
            }
            Self::Subscribe(packet_id, requests) => {
                let requests: Vec<_> = requests
                    .iter()
                    .map(|(filter, qos)| FilterRequest {
                        filter: TopicFilter::parse(filter).unwrap(),
                        qos: *qos,
                    })
                    .collect();
                let filters = SubscribeFilters::from_slice(&requests);
                look(Packet::Subscribe(Subscribe { packet_id: *packet_id, filters }))
            }
            Self::SubAck(packet_id, codes) => {
                let bytes: Vec<_> = codes.iter().map(|code| code.byte()).collect();
                let codes = SubAckCodes::parse(&bytes).unwrap();
                look(Packet::SubAck(SubAck { packet_id: *packet_id, codes }))
            }
            Self::Unsubscribe(packet_id, filters) => {
                let filters: Vec<_> =
                    filters.iter().map(|filter| TopicFilter::parse(filter).unwrap()).collect();
                let filters = UnsubscribeFilters::from_slice(&filters);
                look(Packet::Unsubscribe(Unsubscribe { packet_id: *packet_id, filters }))
            }
            Self::Bare(which) => {
                look([Packet::PingReq, Packet::PingResp, Packet::Disconnect][usize::from(*which)])
            }
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = vec![0; BUFFER_BYTES];
        let written = self.with(|packet| packet.encode(&mut out)).unwrap();
        out.truncate(written);
        out
    }
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|number| PacketId::new(number).unwrap())
}

fn text() -> impl Strategy<Value = String> {
    "[^\0]{0,40}"
}

fn topic() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z$/é ]{1,60}", "[a-c]{0,1}(/[a-c]{0,1}){1,4}"]
}

fn filter() -> impl Strategy<Value = String> {
    "([a-c$]{0,1}|\\+)(/([a-c]{0,1}|\\+)){1,4}(/#)?"
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    // Both sides of the first two steps of the remaining length.
    prop_oneof![vec(any::<u8>(), 0..20), vec(any::<u8>(), 100..140)]
}

fn connect() -> impl Strategy<Value = MadeConnect> {
    let will = option::of((topic(), payload(), qos(), any::<bool>()));
    let credentials = option::of((text(), option::of(payload())));
    (any::<bool>(), any::<u16>(), text(), will, credentials).prop_map(
        |(clean_session, keep_alive_s, client_id, will, credentials)| MadeConnect {
            clean_session,
            keep_alive_s,
            client_id,
            will,
            credentials,
        },
    )
}

fn connack() -> impl Strategy<Value = ConnAck> {
    use ConnectReturnCode::{
        Accepted, BadUserNameOrPassword, IdentifierRejected, NotAuthorized, ServerUnavailable,
        UnacceptableProtocolVersion,
    };
    let refusals = [
        UnacceptableProtocolVersion,
        IdentifierRejected,
        ServerUnavailable,
        BadUserNameOrPassword,
        NotAuthorized,
    ];
    prop_oneof![
        any::<bool>().prop_map(|session_present| ConnAck { session_present, code: Accepted }),
        (0..refusals.len()).prop_map(move |which| ConnAck { session_present: false, code: refusals[which] }),
    ]
}

fn made() -> impl Strategy<Value = Made> {
    let publish = (any::<bool>(), qos(), any::<bool>(), topic(), packet_id(), payload()).prop_map(
        |(dup, qos, retain, topic, id, payload)| Made::Publish { dup, qos, retain, topic, id, payload },
    );
    let code = prop_oneof![qos().prop_map(SubAckCode::Granted), Just(SubAckCode::Failure)];
    prop_oneof![
        connect().prop_map(Made::Connect),
        connack().prop_map(Made::ConnAck),
        publish,
        (0..5_u8, packet_id()).prop_map(|(which, id)| Made::Id(which, id)),
        (packet_id(), vec((filter(), qos()), 1..10)).prop_map(|(id, filters)| Made::Subscribe(id, filters)),
        (packet_id(), vec(code, 1..10)).prop_map(|(id, codes)| Made::SubAck(id, codes)),
        (packet_id(), vec(filter(), 1..10)).prop_map(|(id, filters)| Made::Unsubscribe(id, filters)),
        (0..3_u8).prop_map(Made::Bare),
    ]
}

/// Bytes that often get past the fixed header.
fn likely_bytes() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![any::<u8>(), Just(0x10), Just(0x82), Just(0xA2), Just(0x32), Just(0x90)];
    (first, vec(any::<u8>(), 0..60)).prop_map(|(first, body)| {
        let mut bytes = vec![first, body.len() as u8];
        bytes.extend(body);
        bytes
    })
}

fn walk(packet: Packet<'_>) -> usize {
    match packet {
        Packet::Subscribe(subscribe) => subscribe.filters.iter().count(),
        Packet::Unsubscribe(unsubscribe) => unsubscribe.filters.iter().count(),
        Packet::SubAck(suback) => suback.codes.iter().count(),
        _ => 1,
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
            prop_assert_eq!(packet.encoded_len(), packet_bytes);
            prop_assert_eq!(decode(&bytes, packet_bytes), Ok(Some((packet, packet_bytes))));
            Ok(())
        })?;
    }

    #[test]
    fn a_part_of_a_packet_is_incomplete(made in made()) {
        let bytes = made.bytes();
        for length in 0..bytes.len() {
            prop_assert_eq!(decode(&bytes[..length], BUFFER_BYTES), Ok(None));
        }
    }

    #[test]
    fn one_byte_more_than_allowed_is_too_large(made in made()) {
        let bytes = made.bytes();
        let packet_bytes_max = bytes.len() - 1;
        let expected = Err(DecodeError::TooLarge { packet_bytes: bytes.len(), packet_bytes_max });
        prop_assert_eq!(decode(&bytes, packet_bytes_max), expected);
    }

    #[test]
    fn a_short_buffer_is_refused_and_not_overrun(made in made(), missing in 1..20_usize) {
        let needed_bytes = made.bytes().len();
        let buffer_bytes = needed_bytes.saturating_sub(missing);
        let refused = made.with(|packet| packet.encode(&mut vec![0; buffer_bytes]));
        prop_assert_eq!(refused, Err(EncodeError::BufferTooSmall { needed_bytes, buffer_bytes }));
    }

    #[test]
    fn any_bytes_are_judged_alike_and_without_a_panic(bytes in prop_oneof![vec(any::<u8>(), 0..80), likely_bytes()]) {
        let Ok(Some((packet, read))) = decode(&bytes, BUFFER_BYTES) else { return Ok(()) };
        prop_assert!(read <= bytes.len());
        prop_assert!(walk(packet) > 0);
        // What follows the packet has no say, and what was understood can be said again.
        prop_assert_eq!(decode(&bytes[..read], BUFFER_BYTES), Ok(Some((packet, read))));
        let mut out = vec![0; BUFFER_BYTES];
        let written = packet.encode(&mut out).unwrap();
        prop_assert_eq!(decode(&out[..written], BUFFER_BYTES), Ok(Some((packet, written))));
    }

    #[test]
    fn one_changed_byte_never_panics(made in made(), at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let mut bytes = made.bytes();
        let at = at.index(bytes.len());
        bytes[at] = value;
        if let Ok(Some((packet, _))) = decode(&bytes, BUFFER_BYTES) {
            prop_assert!(walk(packet) > 0);
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
