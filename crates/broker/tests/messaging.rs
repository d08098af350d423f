//! Publish, subscribe, permission, and the ways in which a connection ends.

mod support;

use mqtt_session::Limits;
use mqtt_wire::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use mqtt_wire::{Disconnect, Packet, QoS};
use support::{ALLOW_ALL, Client, Cloud, Options, Received, Setup, brisk, logged, received, until};

/// Everything but receiving on `secret/…` and publishing to `forbidden/…`.
const RESTRICTED: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"iot:*","Resource":"*"},
    {"Sid":"NoSecrets","Effect":"Deny","Action":"iot:Receive","Resource":"arn:aws:iot:*:*:topic/secret/*"},
    {"Sid":"NotHere","Effect":"Deny","Action":["iot:Publish","iot:Subscribe"],
     "Resource":["arn:aws:iot:*:*:topic/forbidden/*","arn:aws:iot:*:*:topicfilter/forbidden/*"]}]}"#;

fn at_least_once(topic: &str, payload: &str, packet_id: u16) -> Received {
    let (topic, payload) = (topic.to_owned(), payload.to_owned());
    Received::Publish { topic, payload, qos: 1, packet_id: Some(packet_id) }
}

#[test]
fn messages_reach_the_subscribers_whose_filters_match_in_every_loop() {
    for loops in [1, 3] {
        let cloud = Cloud::with(Setup { loops, ..Setup::default() });
        let filters = ["a/b", "a/+", "a/#", "#", "+/b", "other", "a/b/#"];
        let mut subscribers: Vec<_> = filters
            .map(|filter| {
                let mut client = cloud.connect(&cloud.device(ALLOW_ALL));
                assert_eq!(client.subscribe(&[(filter, AtMostOnce), ("end", AtMostOnce)]), [0, 0]);
                (filter, client)
            })
            .into();
        let mut publisher = cloud.connect(&cloud.device(ALLOW_ALL));
        publisher.publish("a/b", "1");
        publisher.publish("other", "2");
        publisher.publish("a/b/c", "3");
        publisher.publish("end", "");
        publisher.ping();
        for (filter, client) in &mut subscribers {
            // [AWS iot topics] `a/b/#` does not take `a/b`.
            let expected: &[_] = match *filter {
                "a/b" | "a/+" | "+/b" => &[("a/b", "1")],
                "a/#" => &[("a/b", "1"), ("a/b/c", "3")],
                "#" => &[("a/b", "1"), ("other", "2"), ("a/b/c", "3")],
                "other" => &[("other", "2")],
                _ => &[("a/b/c", "3")],
            };
            for (topic, payload) in expected.iter().chain(&[("end", "")]) {
                assert_eq!(client.receive(), received(topic, payload), "{filter}, {loops} loops");
            }
            client.send(&Packet::Disconnect(Disconnect::NORMAL));
        }
    }
}

#[test]
fn more_packets_than_a_turn_takes_come_through_in_one_write_and_nothing_behind_it_is_needed() {
    const PACKETS: usize = 3_000;
    let cloud = Cloud::start();
    let mut client = Client::dial(cloud.broker.mqtts_addr(), &cloud.device(ALLOW_ALL).tls()).unwrap();
    let mut bytes = b"\x10\x11\0\x04MQTT\x04\x02\0\x3c\0\x05crowd".to_vec();
    for _ in 0..PACKETS {
        bytes.extend_from_slice(b"\xc0\0");
    }
    client.send_bytes(&bytes).unwrap();
    assert!(matches!(client.receive(), Received::ConnAck(_)));
    for number in 0..PACKETS {
        assert!(matches!(client.receive(), Received::Pong), "{number}");
    }
    // The same, with the end right behind it: what came before it counts.
    let mut to = cloud.connect(&cloud.device(ALLOW_ALL));
    to.subscribe(&[("crowd/end", AtMostOnce)]);
    bytes.clear();
    for _ in 0..PACKETS {
        bytes.extend_from_slice(b"\xc0\0");
    }
    bytes.extend_from_slice(b"\x30\x0b\0\x09crowd/end\xe0\0");
    client.send_bytes(&bytes).unwrap();
    assert_eq!(to.receive(), received("crowd/end", ""));
}

#[test]
fn qos_is_the_lower_of_publisher_and_subscriber_and_both_ends_acknowledge() {
    let cloud = Cloud::start();
    let mut low = cloud.connect(&cloud.device(ALLOW_ALL));
    let mut high = cloud.connect(&cloud.device(ALLOW_ALL));
    assert_eq!(low.subscribe(&[("t", AtMostOnce)]), [0]);
    assert_eq!(high.subscribe(&[("t", AtLeastOnce)]), [1]);
    let mut publisher = cloud.connect(&cloud.device(ALLOW_ALL));
    publisher.publish_qos1("t", "one", 7);
    assert_eq!(publisher.receive(), Received::PubAck(7));
    publisher.publish("t", "zero");
    assert_eq!(low.receive(), received("t", "one"));
    assert_eq!(low.receive(), received("t", "zero"));
    assert_eq!(high.receive(), at_least_once("t", "one", 1));
    high.acknowledge(1);
    assert_eq!(high.receive(), received("t", "zero"));
}

/// [MQTT311 3.3.5-1]
#[test]
fn overlapping_subscriptions_give_one_copy_with_the_highest_qos() {
    let cloud = Cloud::start();
    let mut client = cloud.connect(&cloud.device(ALLOW_ALL));
    let filters = [("a/#", AtMostOnce), ("a/b", AtLeastOnce), ("+/b", AtMostOnce)];
    assert_eq!(client.subscribe(&filters), [0, 1, 0]);
    client.publish_qos1("a/b", "x", 1);
    assert_eq!(client.receive(), at_least_once("a/b", "x", 1));
    assert_eq!(client.receive(), Received::PubAck(1));
    client.ping();
}

#[test]
fn unsubscribing_ends_it_and_subscribing_again_changes_the_qos() {
    let cloud = Cloud::start();
    let mut client = cloud.connect(&cloud.device(ALLOW_ALL));
    assert_eq!(client.subscribe(&[("t", AtMostOnce)]), [0]);
    assert_eq!(client.subscribe(&[("t", AtLeastOnce)]), [1]);
    client.publish_qos1("t", "x", 1);
    assert_eq!(client.receive(), at_least_once("t", "x", 1));
    assert_eq!(client.receive(), Received::PubAck(1));
    let filters = [mqtt_wire::TopicFilter::parse("t").unwrap()];
    let filters = mqtt_wire::UnsubscribeFilters::from_slice(&filters);
    let packet_id = mqtt_wire::PacketId::FIRST;
    client.send(&Packet::Unsubscribe(mqtt_wire::Unsubscribe {
        packet_id,
        properties: mqtt_wire::Properties::NONE,
        filters,
    }));
    assert_eq!(client.receive(), Received::UnsubAck(1));
    client.publish("t", "y");
    client.ping();
    until(|| cloud.broker.counters().subscriptions == 0);
}

#[test]
fn the_window_holds_messages_back_until_they_are_acknowledged() {
    let limits = Limits { inflight_outbound_max: 2, ..brisk() };
    let cloud = Cloud::with(Setup { limits, ..Setup::default() });
    let mut subscriber = cloud.connect(&cloud.device(ALLOW_ALL));
    subscriber.subscribe(&[("t", AtLeastOnce), ("end", AtMostOnce)]);
    let mut publisher = cloud.connect(&cloud.device(ALLOW_ALL));
    for number in 1..=4 {
        publisher.publish_qos1("t", &number.to_string(), number);
        assert_eq!(publisher.receive(), Received::PubAck(number));
    }
    publisher.publish("end", "");
    assert_eq!(subscriber.receive(), at_least_once("t", "1", 1));
    assert_eq!(subscriber.receive(), at_least_once("t", "2", 2));
    assert_eq!(subscriber.receive(), received("end", ""), "3 and 4 wait");
    subscriber.acknowledge(2);
    assert_eq!(subscriber.receive(), at_least_once("t", "3", 3));
    subscriber.acknowledge(1);
    assert_eq!(subscriber.receive(), at_least_once("t", "4", 4));
}

#[test]
fn a_denied_publish_or_subscribe_hangs_up_and_the_log_says_why() {
    let cloud = Cloud::start();
    let device = cloud.device(RESTRICTED);
    let mut client = cloud.connect(&device);
    client.publish("allowed", "x");
    client.ping();
    client.publish_qos1("forbidden/a", "x", 1);
    client.expect_closed();
    let line = logged(&["eyot::authorize", &device.name, "topic/forbidden/a", "NotHere"]);
    for expected in ["WARN", "iot:Publish", "policy-", &device.id.to_string(), "127.0.0.1"] {
        assert!(line.contains(expected), "{expected}: {line}");
    }
    logged(&["eyot::connection", &device.name, "FORBIDDEN_ACCESS"]);

    let mut client = cloud.connect(&device);
    // One denied filter closes, and none of the others is granted.
    client.send_subscribe(&[("fine", AtMostOnce), ("forbidden/#", AtMostOnce)]);
    client.expect_closed();
    logged(&["eyot::authorize", &device.name, "topicfilter/forbidden/#", "iot:Subscribe"]);
    until(|| cloud.broker.counters().denied == 2);
}

#[test]
fn receive_is_asked_for_every_delivery() {
    let cloud = Cloud::start();
    let device = cloud.device(RESTRICTED);
    let mut subscriber = cloud.connect(&device);
    subscriber.subscribe(&[("#", AtLeastOnce)]);
    let mut publisher = cloud.connect(&cloud.device(ALLOW_ALL));
    publisher.publish("secret/a", "no");
    publisher.publish_qos1("secret/b", "no", 1);
    publisher.publish("public/a", "yes");
    assert_eq!(subscriber.receive(), received("public/a", "yes"));
    logged(&["eyot::authorize", &device.name, "iot:Receive", "topic/secret/b", "NoSecrets"]);
    until(|| cloud.broker.counters().receives_withheld == 2);
}

#[test]
fn a_detached_policy_holds_for_the_next_publish_and_the_next_delivery() {
    let cloud = Cloud::start();
    let device = cloud.device_without_policy();
    let policy = cloud.attach(&device, ALLOW_ALL);
    let mut client = cloud.connect(&device);
    client.subscribe(&[("t", AtMostOnce)]);
    client.publish("t", "before");
    assert_eq!(client.receive(), received("t", "before"));
    cloud.detach(&device, &policy);

    cloud.connect(&cloud.device(ALLOW_ALL)).publish("t", "withheld");
    logged(&["eyot::authorize", &device.name, "iot:Receive", "no policy is attached"]);
    client.ping();
    client.publish("t", "refused");
    client.expect_closed();
    logged(&["eyot::authorize", &device.name, "iot:Publish", "no policy is attached"]);
}

#[test]
fn a_certificate_that_leaves_active_loses_its_sessions_before_anybody_is_told() {
    let cloud = Cloud::start();
    let (device, other) = (cloud.device(ALLOW_ALL), cloud.device(ALLOW_ALL));
    let mut clients: Vec<_> = (0..5)
        .map(|number| {
            let client_id = format!("{}-{number}", device.name);
            Client::connect(&cloud, &device, &Options { client_id: Some(&client_id), ..Options::default() })
        })
        .collect();
    let mut other = cloud.connect(&other);
    cloud.deactivate(&device);
    // `settle` has resolved: they are closed now, not soon.
    assert_eq!(cloud.broker.counters().disconnects, 5);
    for client in &mut clients {
        client.expect_closed();
        logged(&["eyot::connection", &client.name, "AUTH_ERROR"]);
    }
    other.ping();
}

#[test]
fn the_will_is_published_unless_the_client_says_good_bye() {
    let cloud = Cloud::start();
    let mut watcher = cloud.connect(&cloud.device(ALLOW_ALL));
    watcher.subscribe(&[("wills/#", AtLeastOnce)]);
    let connect = |topic| {
        let will = Some((topic, "gone"));
        Client::connect(&cloud, &cloud.device(ALLOW_ALL), &Options { will, ..Options::default() })
    };
    connect("wills/lost").vanish();
    assert_eq!(watcher.receive(), at_least_once("wills/lost", "gone", 1));

    let mut polite = connect("wills/polite");
    polite.send(&Packet::Disconnect(Disconnect::NORMAL));
    polite.expect_closed();
    let mut clumsy = connect("wills/clumsy");
    clumsy.send_bytes(&[0; 8]).unwrap();
    clumsy.expect_closed();
    assert_eq!(watcher.receive(), at_least_once("wills/clumsy", "gone", 2));

    // What was allowed at CONNECT may be forbidden by now.
    let device = cloud.device_without_policy();
    let policy = cloud.attach(&device, ALLOW_ALL);
    let options = Options { will: Some(("wills/forbidden", "gone")), ..Options::default() };
    let client = Client::connect(&cloud, &device, &options);
    cloud.detach(&device, &policy);
    client.vanish();
    logged(&["eyot::authorize", &device.name, "topic/wills/forbidden", "iot:Publish"]);
    watcher.ping();
}

#[test]
fn silence_of_one_and_a_half_keep_alives_ends_the_connection() {
    let limits = Limits { keep_alive_min_s: 1, ..brisk() };
    let cloud = Cloud::with(Setup { limits, ..Setup::default() });
    let device = cloud.device(ALLOW_ALL);
    let options = Options { keep_alive_s: 1, ..Options::default() };
    let start = std::time::Instant::now();
    let mut client = Client::connect(&cloud, &device, &options);
    client.expect_closed();
    let silence = start.elapsed().as_secs_f64();
    assert!((1.4..10.0).contains(&silence), "{silence}");
    logged(&["eyot::connection", &device.name, "MQTT_KEEP_ALIVE_TIMEOUT"]);
}

#[test]
fn violations_hang_up_with_a_reason_and_the_others_go_on() {
    let cloud = Cloud::start();
    let mut bystander = cloud.connect(&cloud.device(ALLOW_ALL));
    let check = |bytes: &[u8], needle: &str| {
        let device = cloud.device(ALLOW_ALL);
        let mut client = cloud.connect(&device);
        client.send_bytes(bytes).unwrap();
        client.expect_closed();
        logged(&["eyot::connection", &device.name, "CLIENT_ERROR", needle]);
    };
    check(&[0xff, 0xff, 0xff, 0xff, 0xff], "not MQTT");
    check(b"\x34\x06\0\x01a\0\x01x", "QoS 2");
    check(b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01a", "second CONNECT");
    check(b"\x20\x02\0\0", "which only a server sends");
    check(b"\x82\x06\0\x01\0\x01t\x02", "QoS 2");
    let deep = b"a/b/c/d/e/f/g/h/i";
    check(&[&[0x30, 2 + deep.len() as u8, 0, deep.len() as u8], &deep[..]].concat(), "slashes");
    check(&[&[0x30, 0xb2, 0x02, 0x01, 0x30], &[b'x'; 304][..]].concat(), "at most 256");
    // A PUBLISH that announces 256 MiB is refused by its header.
    check(&[0x30, 0xff, 0xff, 0xff, 0x7f], "not MQTT");
    bystander.ping();
}

#[test]
fn reserved_topics_hang_up_with_a_reason() {
    let cloud = Cloud::start();
    for topic in ["$aws/things/t/shadow/update", "$SYS/x", "$other"] {
        let device = cloud.device(ALLOW_ALL);
        let mut client = cloud.connect(&device);
        client.publish(topic, "x");
        client.expect_closed();
        logged(&["eyot::connection", &device.name, "FORBIDDEN_ACCESS", "PUBLISH to", topic]);
    }
    for filter in ["$aws/things/t/shadow/#", "$SYS/#", "$share/g/$SYS/a"] {
        let device = cloud.device(ALLOW_ALL);
        let mut client = cloud.connect(&device);
        client.send_subscribe(&[(filter, AtMostOnce)]);
        client.expect_closed();
        logged(&["eyot::connection", &device.name, "FORBIDDEN_ACCESS", "SUBSCRIBE to", filter]);
    }
}

/// [AWS iot limits] 8 filters per SUBSCRIBE, 50 subscriptions per connection.
#[test]
fn too_many_filters_close_and_too_many_subscriptions_are_refused_one_by_one() {
    let cloud = Cloud::start();
    let mut client = cloud.connect(&cloud.device(ALLOW_ALL));
    let names: Vec<_> = (0..56).map(|number| format!("t/{number}")).collect();
    for chunk in names.chunks(8) {
        let filters: Vec<(&str, QoS)> = chunk.iter().map(|name| (name.as_str(), AtMostOnce)).collect();
        let expected: Vec<_> = chunk
            .iter()
            .map(|name| if name.as_str() > "t/49" && name.len() > 3 { 0x80 } else { 0 })
            .collect();
        assert_eq!(client.subscribe(&filters), expected);
    }
    let device = cloud.device(ALLOW_ALL);
    let mut client = cloud.connect(&device);
    let filters: Vec<_> = names[..9].iter().map(|name| (name.as_str(), AtMostOnce)).collect();
    client.send_subscribe(&filters);
    client.expect_closed();
    logged(&["eyot::connection", &device.name, "9 filters"]);
    let mut client = cloud.connect(&cloud.device(ALLOW_ALL));
    client.send_subscribe(&[("t", ExactlyOnce)]);
    client.expect_closed();
}

#[test]
fn the_largest_payload_passes_and_one_byte_more_does_not() {
    let cloud = Cloud::start();
    let device = cloud.device(ALLOW_ALL);
    let mut client = cloud.connect(&device);
    client.subscribe(&[("t", AtMostOnce)]);
    let largest = "x".repeat(128 * 1024);
    client.publish("t", &largest);
    assert_eq!(client.receive(), received("t", &largest));
    client.publish("t", &format!("{largest}x"));
    client.expect_closed();
    logged(&["eyot::connection", &device.name, "PAYLOAD_LIMIT_EXCEEDED"]);
}

#[test]
fn a_client_that_does_not_read_costs_its_own_messages_and_nobody_elses() {
    let cloud = Cloud::start();
    let slow_device = cloud.device(ALLOW_ALL);
    let mut slow = cloud.connect(&slow_device);
    slow.subscribe(&[("t", AtMostOnce)]);
    let mut quick = cloud.connect(&cloud.device(ALLOW_ALL));
    quick.subscribe(&[("t", AtMostOnce)]);
    let mut publisher = cloud.connect(&cloud.device(ALLOW_ALL));
    let payload = "x".repeat(100 * 1024);
    let count = 200;
    for _ in 0..count {
        publisher.publish("t", &payload);
        assert_eq!(quick.receive(), received("t", &payload));
    }
    // 20 MB do not fit the sockets' buffers and a megabyte of ours.
    let dropped = || cloud.broker.counters().dropped_slow;
    until(|| dropped() > 0);
    logged(&["eyot::delivery", &slow_device.name, "too slowly"]);
    // It reads again, gets what was kept for it, and goes on.
    let mut got = 0;
    slow.send(&Packet::PingReq);
    while let Received::Publish { payload, .. } = slow.receive() {
        assert_eq!(payload.len(), 100 * 1024);
        got += 1;
    }
    assert!(got > 0 && got + dropped() == count, "{got} got, {} dropped", dropped());
    slow.ping();
}
