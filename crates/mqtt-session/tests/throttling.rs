//! A session whose client publishes, or is published to, faster than its rate.
#![expect(clippy::unwrap_used, reason = "the packets of these tests are valid by construction")]

use mqtt_session::{Event, Limits, Quota, Session, Topic};
use mqtt_wire::{
    Connect, Packet, PacketId, Properties, PropertiesWriter, Property, ProtocolVersion, Publish, QoS,
    TopicName,
};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn session(version: ProtocolVersion, limits: Limits, now: Instant) -> Session<()> {
    let connect = Connect {
        version,
        clean_start: true,
        properties: Properties::NONE,
        keep_alive_s: 60,
        client_id: "c",
        will: None,
        username: None,
        password: None,
    };
    Session::accept(&connect, &Arc::new(limits), now).unwrap().0
}

fn message(number: u16) -> Publish<'static> {
    Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Some(TopicName::parse("a").unwrap()),
        packet_id: PacketId::new(number),
        properties: Properties::NONE,
        payload: b"",
    }
}

fn throttled(number: u16) -> Event<'static, ()> {
    let throttled = Quota::ConnectionPublishes.exceeded(&Limits::aws());
    Event::Throttled { packet_id: PacketId::new(number), qos: QoS::AtLeastOnce, throttled }
}

/// [AWS General Reference] 100 publishes a second per connection; what exceeds them is discarded.
#[test]
fn the_hundred_and_first_message_of_a_second_goes_nowhere() {
    let start = Instant::now();
    let mut session = session(ProtocolVersion::V311, Limits::aws(), start);
    let mut receive = |number, at| session.receive(&Packet::Publish(message(number)), at).unwrap();
    for number in 1..=100 {
        assert!(matches!(receive(number, start), Event::Publish { .. }), "{number}");
    }
    assert_eq!(receive(101, start), throttled(101));
    let later = start + Duration::from_millis(10);
    assert!(matches!(receive(102, later), Event::Publish { .. }), "a hundredth of a second brings one more");
    assert_eq!(receive(103, later), throttled(103));
}

#[test]
fn both_directions_share_the_rate() {
    let start = Instant::now();
    let mut session = session(ProtocolVersion::V311, Limits::aws(), start);
    for _ in 0..60 {
        assert_eq!(session.may_send(start), Ok(()));
    }
    for number in 1..=40 {
        let event = session.receive(&Packet::Publish(message(number)), start).unwrap();
        assert!(matches!(event, Event::Publish { .. }));
    }
    let at = start + Duration::from_millis(10);
    assert_eq!(session.may_send(start), Err(at));
    assert_eq!(session.receive(&Packet::Publish(message(41)), start), Ok(throttled(41)));
    assert_eq!(session.may_send(at), Ok(()));
    session.give_back();
    assert_eq!(session.may_send(at), Ok(()), "what was not sent does not count");
}

/// [MQTT5 3.3.2.3.4] The client goes on with the alias; it does not know that the message was discarded.
#[test]
fn a_discarded_message_still_sets_its_topic_alias() {
    let start = Instant::now();
    let mut session = session(ProtocolVersion::V5, Limits::aws(), start);
    for _ in 0..100 {
        assert_eq!(session.may_send(start), Ok(()));
    }
    let mut room = [0; 8];
    let mut properties = PropertiesWriter::new(&mut room);
    properties.push(Property::TopicAlias(NonZeroU16::MIN)).unwrap();
    let properties = properties.finish();
    let first = Publish { properties, ..message(1) };
    assert_eq!(session.receive(&Packet::Publish(first), start), Ok(throttled(1)));
    let second = Publish { topic: None, properties, ..message(2) };
    let event = session.receive(&Packet::Publish(second), start + Duration::from_secs(1)).unwrap();
    assert!(matches!(event, Event::Publish { topic: Topic::Aliased(_), .. }), "{event:?}");
}
