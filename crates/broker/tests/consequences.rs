//! What messages bring about: rules, the journal, PUBACKs, and messages of the API.

mod support;

use broker::{Publish, PublishError, Source};
use mqtt_session::Limits;
use mqtt_wire::QoS::{AtLeastOnce, AtMostOnce};
use mqtt_wire::{Properties, ProtocolVersion, ReasonCode};
use rules::RuleDefinition;
use services::RetainedLimits;
use std::sync::Arc;
use std::time::Duration;
use store::StoreOptions;
use store::disk::sim::SimDisk;
use support::{
    ALLOW_ALL, Client, Cloud, Gate, Options, Received, Setup, logged, received, to_log_group, to_topic, until,
};

const POST_SQL: &str = "SELECT *, topic() as device_id, timestamp() AS received_at";

/// [AWS iot-basic-ingest] The post's own path.
#[test]
fn basic_ingest_reaches_the_named_rule_and_no_subscriber() {
    let cloud = Cloud::start();
    cloud.log_group("iot-core-telemetry");
    cloud.rule("telemetry", POST_SQL, vec![to_log_group("iot-core-telemetry")]);
    cloud.log_group("spy");
    cloud.rule("spy", "SELECT * FROM '$aws/rules/#'", vec![to_log_group("spy")]);
    let mut watcher = cloud.connect(&cloud.device(ALLOW_ALL));
    watcher.subscribe(&[("#", AtMostOnce)]);
    let mut device = cloud.connect(&cloud.device(ALLOW_ALL));
    device.publish_qos1("$aws/rules/telemetry/pico_w_simple", r#"{"temp": 27.51254}"#, 1);
    assert_eq!(device.receive(), Received::PubAck(1));
    let events = cloud.log_events("iot-core-telemetry");
    let (event, rest) = (&events[0], &events[1..]);
    assert!(event.starts_with(r#"{"temp":27.51254,"device_id":"pico_w_simple","received_at":"#), "{event}");
    assert!(rest.is_empty());
    assert_eq!(cloud.log_events("spy"), [""; 0], "no other rule sees it");

    // An unknown rule is the publisher's secret: it is acknowledged, and the log says so.
    device.publish_qos1("$aws/rules/nobody/x", "{}", 2);
    assert_eq!(device.receive(), Received::PubAck(2));
    logged(&["eyot::rules", "nobody", "rule not found"]);
    device.publish("marker", "");
    assert_eq!(watcher.receive(), received("marker", ""));
}

#[test]
fn rules_run_where_their_filter_matches_and_what_they_republish_is_delivered() {
    let cloud = Cloud::start();
    let sql = "SELECT temp, clientid() AS client, principal() AS principal FROM 'dt/+/temp' WHERE temp > 20";
    cloud.rule("warm", sql, vec![to_topic("warm/${topic(2)}")]);
    let mut watcher = cloud.connect(&cloud.device(ALLOW_ALL));
    watcher.subscribe(&[("warm/#", AtLeastOnce)]);
    // Republished messages are the server's: this device may publish nothing else.
    let only_dt = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"iot:Connect","Resource":"*"},
        {"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/dt/*"}]}"#;
    let device = cloud.device(only_dt);
    let mut client = cloud.connect(&device);
    client.publish("dt/kitchen/temp", r#"{"temp": 19}"#);
    client.publish("dt/kitchen/humidity", r#"{"temp": 99}"#);
    client.publish("dt/attic/temp", r#"{"temp": 31.50}"#);
    let expected = format!(r#"{{"temp":31.50,"client":"{}","principal":"{}"}}"#, device.name, device.id);
    let Received::Publish { topic, payload, qos, .. } = watcher.receive() else { panic!("no message") };
    assert_eq!((topic.as_str(), payload, qos), ("warm/attic", expected, 1));

    cloud.rules.disable("warm").map(drop).unwrap();
    cloud.broker.rules_changed().wait();
    client.publish("dt/attic/temp", r#"{"temp": 40}"#);
    client.ping();
    cloud.connect(&cloud.device(ALLOW_ALL)).publish("warm/marker", "");
    assert_eq!(watcher.receive(), received("warm/marker", ""));
}

#[test]
fn a_rule_that_feeds_itself_comes_to_an_end() {
    let cloud = Cloud::start();
    cloud.rule("loop", "SELECT * FROM 'loop'", vec![to_topic("loop")]);
    let mut client = cloud.connect(&cloud.device(ALLOW_ALL));
    client.publish_qos1("loop", "{}", 1);
    assert_eq!(client.receive(), Received::PubAck(1));
}

/// Everything that one message brings about is one record of the journal, and a rule never affects the publisher: what
/// does not fit in fails as an action does.
#[test]
fn what_is_too_much_for_one_record_fails_into_the_error_action_and_the_device_stays() {
    let cloud = Cloud::start();
    cloud.log_group("g");
    cloud.log_group("errors");
    // 20 republished messages, each kept ten times: 24 MB of one message of 120 KB.
    for name in ["fan_1", "fan_2"] {
        cloud.rule(name, "SELECT * FROM 'fan'", vec![to_topic("big"); 10]);
    }
    let actions = vec![to_log_group("g"); 10];
    let definition = RuleDefinition {
        sql: "SELECT * FROM 'big'".to_owned(),
        actions,
        error_action: Some(to_log_group("errors")),
        ..RuleDefinition::default()
    };
    cloud.define("big", definition);
    let mut client = cloud.connect(&cloud.device(ALLOW_ALL));
    client.publish_qos1("fan", &format!(r#"{{"x":"{}"}}"#, "x".repeat(120_000)), 1);
    assert_eq!(client.receive(), Received::PubAck(1));
    client.ping();
    let kept = cloud.log_events("g").len();
    assert!((100..140).contains(&kept), "what fits is kept: {kept}");
    let reports = cloud.log_events("errors");
    assert!(!reports.is_empty());
    for report in reports {
        assert!(report.contains("the actions of one message would keep"), "{report}");
    }
}

#[test]
fn the_puback_leaves_after_the_sync_and_in_the_order_of_the_messages() {
    let gate = Gate::open();
    let cloud = Cloud::with(Setup { store: Some(gate.store()), ..Setup::default() });
    cloud.log_group("g");
    cloud.rule("keep", "SELECT * FROM 'keep'", vec![to_log_group("g")]);
    let mut client = cloud.connect(&cloud.device(ALLOW_ALL));
    client.ping();
    gate.set_closed(true);
    client.publish_qos1("keep", "{}", 1);
    client.publish_qos1("not/kept", "{}", 2);
    // Both have been worked off, and neither is acknowledged: the second must not overtake the first.
    client.ping();
    gate.set_closed(false);
    assert_eq!(client.receive(), Received::PubAck(1));
    assert_eq!(client.receive(), Received::PubAck(2));
    assert_eq!(cloud.log_events("g").len(), 1);
}

#[test]
fn a_message_that_leaves_nothing_behind_is_acknowledged_without_the_disk() {
    let gate = Gate::open();
    let cloud = Cloud::with(Setup { store: Some(gate.store()), ..Setup::default() });
    let mut client = cloud.connect(&cloud.device(ALLOW_ALL));
    gate.set_closed(true);
    client.publish_qos1("t", "x", 9);
    assert_eq!(client.receive(), Received::PubAck(9));
    gate.set_closed(false);
}

#[test]
fn a_failed_journal_never_acknowledges() {
    let disk = SimDisk::new(1);
    let options = StoreOptions::simulated(Arc::new(disk.clone()));
    let cloud = Cloud::with(Setup { store: Some(options), ..Setup::default() });
    cloud.log_group("g");
    cloud.rule("keep", "SELECT * FROM 'keep'", vec![to_log_group("g")]);
    let (device, bystander) = (cloud.device(ALLOW_ALL), cloud.device(ALLOW_ALL));
    cloud
        .store
        .when_committed(cloud.registry.create_policy("last", ALLOW_ALL, vec![], 0).unwrap().position.unwrap())
        .wait()
        .unwrap();
    let mut client = cloud.connect(&device);
    disk.fail_sync_after(0);
    client.publish_qos1("keep", "{}", 1);
    client.expect_closed();
    logged(&["eyot::connection", &device.name, "SERVER_ERROR", "not acknowledged"]);
    // Nothing can be kept any more; what need not be kept goes on.
    let mut client = cloud.connect(&device);
    client.publish_qos1("keep", "{}", 1);
    client.expect_closed();
    let mut bystander = cloud.connect(&bystander);
    bystander.publish_qos1("t", "x", 2);
    assert_eq!(bystander.receive(), Received::PubAck(2));
}

#[test]
fn what_a_full_disk_loses_is_not_acknowledged_and_later_messages_are() {
    let disk = SimDisk::new(2);
    let options = StoreOptions::simulated(Arc::new(disk.clone()));
    let cloud = Cloud::with(Setup { store: Some(options), ..Setup::default() });
    cloud.log_group("g");
    cloud.rule("keep", "SELECT * FROM 'keep'", vec![to_log_group("g")]);
    let device = cloud.device(ALLOW_ALL);
    let last = cloud.registry.create_policy("last", ALLOW_ALL, vec![], 0).unwrap().position.unwrap();
    cloud.store.when_committed(last).wait().unwrap();
    let mut client = cloud.connect(&device);
    disk.limit_bytes(Some(disk.used_bytes()));
    client.publish_qos1("keep", r#"{"n":1}"#, 1);
    client.expect_closed();
    logged(&["eyot::connection", &device.name, "SERVER_ERROR", "the disk has no room"]);
    disk.limit_bytes(None);
    let mut client = cloud.connect(&device);
    client.publish_qos1("keep", r#"{"n":2}"#, 1);
    assert_eq!(client.receive(), Received::PubAck(1));
    assert_eq!(cloud.log_events("g"), [r#"{"n":2}"#]);
}

#[test]
fn a_client_is_not_read_while_the_journal_is_behind_and_loses_nothing() {
    let gate = Gate::open();
    let options = StoreOptions { backlog_bytes_max: 4_096, ..gate.store() };
    let cloud = Cloud::with(Setup { store: Some(options), ..Setup::default() });
    cloud.log_group("g");
    cloud.rule("keep", "SELECT * FROM 'keep'", vec![to_log_group("g")]);
    let (device, other_device) = (cloud.device(ALLOW_ALL), cloud.device(ALLOW_ALL));
    let mut client = cloud.connect(&device);
    client.ping();
    gate.set_closed(true);
    let payload = format!(r#"{{"x":"{}"}}"#, "y".repeat(500));
    for number in 1..=50 {
        client.publish_qos1("keep", &payload, number);
    }
    until(|| cloud.broker.counters().backlog_stalls > 0);
    // The others are served.
    let mut other = cloud.connect(&other_device);
    other.ping();
    gate.set_closed(false);
    for number in 1..=50 {
        assert_eq!(client.receive(), Received::PubAck(number));
    }
    assert_eq!(cloud.log_events("g").len(), 50);
}

#[test]
fn messages_of_the_api_reach_rules_and_subscribers() {
    let cloud = Cloud::start();
    cloud.log_group("g");
    cloud.rule("keep", "SELECT *, clientid() AS c FROM 'keep'", vec![to_log_group("g")]);
    let mut watcher = cloud.connect(&cloud.device(ALLOW_ALL));
    watcher.subscribe(&[("#", AtLeastOnce)]);
    let publish = |topic| Publish {
        topic,
        payload: b"{\"a\":1}",
        qos: AtLeastOnce,
        retain: false,
        properties: Properties::NONE,
        source: Source::default(),
    };
    cloud.broker.publish(&publish("keep")).unwrap().wait().unwrap();
    let events = cloud.log_events("g");
    assert!(events.len() == 1 && events[0].starts_with(r#"{"a":1"#), "{events:?}");
    let Received::Publish { topic, payload, qos, .. } = watcher.receive() else { panic!("no message") };
    assert_eq!((topic.as_str(), payload.as_str(), qos), ("keep", "{\"a\":1}", 1));

    for topic in ["$aws/things/t/shadow/update", "a/#", ""] {
        assert!(matches!(cloud.broker.publish(&publish(topic)), Err(PublishError::Topic { .. })), "{topic}");
    }
}

/// [AWS General Reference] Above the quota messages are delivered and not retained.
#[test]
fn a_message_that_is_not_retained_is_delivered_and_its_sender_told() {
    let retained_limits = RetainedLimits { messages_max: 1, ..RetainedLimits::default() };
    let cloud = Cloud::with(Setup { limits: Limits::none(), retained_limits, ..Setup::default() });
    let mut watcher = cloud.connect(&cloud.device(ALLOW_ALL));
    watcher.subscribe(&[("#", AtMostOnce)]);
    let options = Options { version: ProtocolVersion::V5, ..Options::default() };
    let mut client = Client::connect(&cloud, &cloud.device(ALLOW_ALL), &options);
    client.publish_retained("kept", "1", Some(1));
    assert_eq!(client.receive(), Received::PubAck(1));
    assert_eq!(watcher.receive(), received("kept", "1"));
    let too_long = "t".repeat(store::limits::KEY_BYTES_MAX + 1);
    for (topic, packet_id) in [("one/too/many", 2), (&*too_long, 3)] {
        client.publish_retained(topic, "2", Some(packet_id));
        assert_eq!(client.receive(), Received::Refused(packet_id, ReasonCode::QuotaExceeded));
        assert_eq!(watcher.receive(), received(topic, "2"));
    }
    logged(&["not retained", "one/too/many", "1 topics have a retained message already"]);
    // One of MQTT 3.1.1 cannot be told.
    let mut client = cloud.connect(&cloud.device(ALLOW_ALL));
    client.publish_retained("one/too/many", "3", Some(4));
    assert_eq!(client.receive(), Received::PubAck(4));
    client.publish_retained(&too_long, "", Some(5));
    assert_eq!(client.receive(), Received::PubAck(5));
    assert_eq!(cloud.retained.len(), 1);
}

#[test]
fn draining_acknowledges_what_was_received_and_closes_everything() {
    let gate = Gate::open();
    let cloud = Cloud::with(Setup { store: Some(gate.store()), ..Setup::default() });
    cloud.log_group("g");
    cloud.rule("keep", "SELECT * FROM 'keep'", vec![to_log_group("g")]);
    let mut client = cloud.connect(&cloud.device(ALLOW_ALL));
    let mut idle = cloud.connect(&cloud.device(ALLOW_ALL));
    gate.set_closed(true);
    client.publish_qos1("keep", "{}", 1);
    client.ping();
    std::thread::scope(|scope| {
        scope.spawn(|| cloud.broker.drain(Duration::from_secs(20)));
        until(|| std::net::TcpStream::connect(cloud.broker.mqtts_addr()).is_err());
        gate.set_closed(false);
        assert_eq!(client.receive(), Received::PubAck(1));
        client.expect_closed();
        idle.expect_closed();
    });
    assert_eq!(cloud.broker.counters().disconnects, 2);
    // Who comes late waits for nobody.
    cloud.broker.rules_changed().wait();
    cloud.broker.drain(Duration::from_secs(20));
}

#[test]
fn draining_ends_at_its_deadline() {
    let gate = Gate::open();
    let cloud = Cloud::with(Setup { store: Some(gate.store()), ..Setup::default() });
    cloud.log_group("g");
    cloud.rule("keep", "SELECT * FROM 'keep'", vec![to_log_group("g")]);
    let mut client = cloud.connect(&cloud.device(ALLOW_ALL));
    gate.set_closed(true);
    client.publish_qos1("keep", "{}", 1);
    client.ping();
    let start = std::time::Instant::now();
    cloud.broker.drain(Duration::from_millis(300));
    assert!(start.elapsed() < Duration::from_secs(10));
    client.expect_closed();
    gate.set_closed(false);
}
