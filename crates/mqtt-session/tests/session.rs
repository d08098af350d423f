//! A session from CONNECT to its end, packet by packet, in virtual time.
#![expect(clippy::unwrap_used, reason = "the packets of these tests are valid by construction")]

use mqtt_session::{
    BasicIngest, CONNACK_PROPERTIES_BYTES_MAX, ClientId, Delivery, DisconnectReason, DropReason, Event,
    Limits, Outgoing, Session, Topic, TopicExcess, Violation, basic_ingest,
};
use mqtt_wire::{
    Ack, Auth, Connect, Disconnect, FilterRequest, Packet, PacketId, PacketKind, Properties,
    PropertiesWriter, Property,
    ProtocolVersion::{V5, V311},
    Publish, QoS, ReasonCode, ReasonCodes, Subscribe, SubscribeFilters, SubscriptionId, SubscriptionOptions,
    TopicFilter, TopicName, UnsubAck, Will,
};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A session whose messages are names, and its clock.
struct Client {
    session: Session<&'static str>,
    now: Instant,
}

impl Client {
    fn connect(connect: &Connect<'_>, limits: Limits) -> Self {
        let now = Instant::now();
        let (session, _) = Session::accept(connect, &Arc::new(limits), now).unwrap();
        Self { session, now }
    }

    fn plain() -> Self {
        Self::connect(&connect(60), Limits::aws())
    }

    fn receive<'p>(&mut self, packet: Packet<'p>) -> Result<Event<'p, &'static str>, Violation> {
        self.session.receive(&packet, self.now)
    }

    fn pass(&mut self, seconds: f64) -> Option<Violation> {
        self.now += Duration::from_secs_f64(seconds);
        self.session.handle_timeout(self.now)
    }
}

fn connect(keep_alive_s: u16) -> Connect<'static> {
    Connect {
        version: V311,
        clean_start: true,
        properties: Properties::NONE,
        keep_alive_s,
        client_id: "pico_w_simple",
        will: None,
        username: Some("?SDK=PythonV2&Version=1.0"),
        password: None,
    }
}

fn connect_with_will() -> Connect<'static> {
    let topic = TopicName::parse("last/words").unwrap();
    let will =
        Will { topic, payload: b"gone", qos: QoS::AtLeastOnce, retain: false, properties: Properties::NONE };
    Connect { will: Some(will), ..connect(60) }
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

fn acks(client: &mut Client, committed: u64) -> Vec<(u16, ReasonCode)> {
    client.session.acks_ready(committed).map(|owed| (owed.packet_id.number(), owed.reason)).collect()
}

fn success(number: u16) -> (u16, ReasonCode) {
    (number, ReasonCode::Success)
}

fn publish(qos: QoS, topic: &'static str, payload: &'static [u8]) -> Publish<'static> {
    let packet_id = (qos != QoS::AtMostOnce).then_some(PacketId::FIRST);
    let (topic, properties) = (Some(TopicName::parse(topic).unwrap()), Properties::NONE);
    Publish { dup: false, qos, retain: false, topic, packet_id, properties, payload }
}

fn at_most(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions::at_most(qos)
}

fn with_subscribe<T>(filters: usize, qos: QoS, look: impl FnOnce(Packet<'_>) -> T) -> T {
    let filter = TopicFilter::parse("a/b").unwrap();
    let requests = vec![FilterRequest { filter, options: SubscriptionOptions::at_most(qos) }; filters];
    let filters = SubscribeFilters::from_slice(&requests);
    look(Packet::Subscribe(Subscribe { packet_id: PacketId::FIRST, properties: Properties::NONE, filters }))
}

/// The post's device: keep-alive 10000, QoS 0, never a ping.
#[test]
fn the_posts_device_lives_on_its_publishes() {
    let now = Instant::now();
    let (session, accepted) = Session::accept(&connect(10_000), &Arc::new(Limits::aws()), now).unwrap();
    assert_eq!((accepted.client_id, accepted.keep_alive_s), (ClientId::Given, 1_200));
    assert!(!accepted.is_persistent());
    let (mut out, mut room) = ([0; 4], [0; CONNACK_PROPERTIES_BYTES_MAX]);
    let connack = accepted.connack(session.peer(), session.limits(), false, None, &mut room);
    assert_eq!(Packet::ConnAck(connack).encode(V311, &mut out), Ok(4));
    assert_eq!(out, [0x20, 2, 0, 0]);

    let mut client = Client { session, now };
    let message = publish(QoS::AtMostOnce, "$aws/rules/telemetry/pico_w_simple", b"{\"temp\": 27.512}");
    for _ in 0..2_000 {
        assert_eq!(client.pass(2.0), None);
        let event = Event::Publish { topic: Topic::Named(message.topic.unwrap()), publish: message };
        assert_eq!(client.receive(Packet::Publish(message)), Ok(event));
    }
    let ingest = BasicIngest { rule: "telemetry", topic: "pico_w_simple" };
    assert_eq!(basic_ingest(&message.topic.unwrap()), Some(ingest));
    assert_eq!(client.pass(1_799.9), None);
    assert_eq!(client.session.poll_timeout(), Some(client.now + Duration::from_millis(100)));
    let violation = client.pass(0.1).unwrap();
    assert_eq!(violation, Violation::KeepAliveTimeout { keep_alive_s: 1_200, silence_s: 1_800 });
    assert_eq!(violation.disconnect_reason(), DisconnectReason::MqttKeepAliveTimeout);
}

/// [MQTT311 3.1.2-24]: every packet counts, a PINGREQ above all.
#[test]
fn any_packet_keeps_the_connection() {
    let mut client = Client::plain();
    for packet in [Packet::PingReq, Packet::PubAck(Ack::success(id(9))), Packet::PingReq] {
        assert_eq!(client.pass(89.0), None);
        assert!(client.receive(packet).is_ok());
    }
    assert_eq!(client.pass(89.0), None);
    client.session.excuse_silence(client.now);
    assert_eq!(client.pass(89.0), None);
    assert!(client.pass(1.0).is_some());
}

/// [AWS mqtt-persistent-sessions]
#[test]
fn how_long_a_session_outlives_its_connection() {
    let limits = Arc::new(Limits::aws());
    let expiry_s = |connect: &Connect<'_>| {
        Session::<()>::accept(connect, &limits, Instant::now()).unwrap().1.session_expiry_s
    };
    assert_eq!(expiry_s(&connect(60)), 0);
    assert_eq!(expiry_s(&Connect { clean_start: false, ..connect(60) }), 3_600);
    for (asked, granted) in [(None, 0), (Some(0), 0), (Some(9), 9), (Some(u32::MAX), 604_800)] {
        let asked = asked.map(Property::SessionExpiryIntervalS);
        // Whether it begins anew says nothing about its end.
        for clean_start in [true, false] {
            with_connect5(asked.as_slice(), |connect| {
                assert_eq!(expiry_s(&Connect { clean_start, ..connect }), granted);
            });
        }
    }
}

/// [MQTT5 3.14.2.2.2] The client may think otherwise when it leaves.
#[test]
fn a_disconnect_changes_how_long_the_session_lasts() {
    for (asked, lasts_s) in [(None, 100), (Some(0), 0), (Some(7), 7), (Some(u32::MAX), 604_800)] {
        with_connect5(&[Property::SessionExpiryIntervalS(100)], |connect| {
            let mut client = Client::connect(&connect, Limits::aws());
            let mut out = [0; 8];
            let mut writer = PropertiesWriter::new(&mut out);
            if let Some(asked) = asked {
                writer.push(Property::SessionExpiryIntervalS(asked)).unwrap();
            }
            let packet = disconnect(ReasonCode::Success, writer.finish());
            assert_eq!(client.receive(packet), Ok(Event::Disconnect));
            assert_eq!(client.session.session_expiry_s(), lasts_s);
        });
    }
}

/// [MQTT311 4.4.0-1]
#[test]
fn what_a_broken_connection_leaves_goes_on_in_the_next() {
    let persistent = Connect { clean_start: false, ..connect(60) };
    let mut client = Client::connect(&persistent, Limits { inflight_outbound_max: 2, ..Limits::aws() });
    let filter = TopicFilter::parse("a/+").unwrap();
    assert!(client.session.subscribe(filter, at_most(QoS::AtLeastOnce)).is_ok());
    for frame in ["a", "b"] {
        assert!(client.session.is_open());
        let sent = client.session.deliver(QoS::AtLeastOnce, frame, 1);
        let Delivery::Send(Outgoing { packet_id: Some(packet_id), frame, .. }) = sent else {
            unreachable!("{sent:?}")
        };
        client.session.remember(packet_id, frame);
    }
    assert!(!client.session.is_open(), "the window is full");
    assert_eq!(client.session.deliver(QoS::AtLeastOnce, "c", 1), Delivery::Queued);
    let delivered = Event::Delivered { packet_id: id(1), frame: Some("a") };
    assert_eq!(client.receive(Packet::PubAck(Ack::success(id(1)))), Ok(delivered));
    let ended = client.session.end();
    let left: Vec<_> = ended.undelivered.iter().map(|left| (left.frame, left.sent_as)).collect();
    assert_eq!(left, [("b", Some(id(2))), ("c", None)]);

    let mut client = Client::connect(&persistent, Limits::aws());
    client.session.resume(ended.subscriptions.iter().map(|(filter, options)| (&**filter, *options)));
    let subscribed = client.session.subscribe(filter, at_most(QoS::AtMostOnce)).unwrap();
    assert!(subscribed.is_replaced);
}

#[test]
fn pubacks_leave_in_receive_order_once_the_journal_holds_their_messages() {
    let mut client = Client::plain();
    let mut next_position = 100;
    for number in 1..=3 {
        let message = Publish { packet_id: Some(id(number)), ..publish(QoS::AtLeastOnce, "a", b"") };
        assert!(matches!(client.receive(Packet::Publish(message)), Ok(Event::Publish { .. })));
        // The second one left nothing in the journal and still waits its turn.
        let after = (number != 2).then_some(next_position);
        client.session.expect_ack(id(number), QoS::AtLeastOnce, ReasonCode::Success, after);
        next_position += 100;
    }
    assert_eq!(client.session.waits_for(), Some(100));
    assert!(client.session.acks_ready(99).next().is_none());
    assert_eq!(acks(&mut client, 100), [success(1), success(2)]);
    assert_eq!(acks(&mut client, 300), [success(3)]);
    assert_eq!(client.session.waits_for(), None);
}

#[test]
fn reading_stops_while_a_hundred_pubacks_are_owed_and_the_client_is_not_blamed() {
    let mut client = Client::plain();
    for number in 1..=100 {
        assert!(client.session.wants_read());
        let message = Publish { packet_id: Some(id(number)), ..publish(QoS::AtLeastOnce, "a", b"") };
        assert!(client.receive(Packet::Publish(message)).is_ok());
        client.session.expect_ack(id(number), QoS::AtLeastOnce, ReasonCode::Success, Some(7));
    }
    assert!(!client.session.wants_read());
    assert_eq!(client.pass(1_000.0), None, "the silence is ours");
    let violation = client.receive(Packet::PingReq).unwrap_err();
    assert_eq!(violation, Violation::ReadPastInflight { inflight: 100 });
    assert_eq!(violation.disconnect_reason(), DisconnectReason::ServerError);
    assert_eq!(client.session.acks_ready(7).count(), 100);
    assert!(client.session.wants_read());
    assert_eq!(client.pass(89.0), None, "counted from when we stopped not reading");
}

#[test]
fn deliveries_follow_the_clients_pubacks() {
    let mut client = Client::connect(
        &connect(60),
        Limits { inflight_outbound_max: 1, pending_deliveries_max: 1, ..Limits::aws() },
    );
    let sent = |number, frame| Outgoing {
        packet_id: Some(id(number)),
        qos: QoS::AtLeastOnce,
        is_again: false,
        frame,
    };
    assert_eq!(client.session.deliver(QoS::AtLeastOnce, "a", 1), Delivery::Send(sent(1, "a")));
    assert_eq!(client.session.deliver(QoS::AtLeastOnce, "b", 1), Delivery::Queued);
    let full = DropReason::QueueFull { messages: 1, bytes: 1 };
    assert_eq!(client.session.deliver(QoS::AtLeastOnce, "c", 1), Delivery::Dropped(full));
    assert_eq!((client.session.inflight_len(), client.session.pending_len()), (1, 1));
    assert_eq!(client.receive(Packet::PubAck(Ack::success(id(7)))), Ok(Event::StrayAck(id(7))));
    assert_eq!(client.session.next_delivery(), None);
    assert_eq!(
        client.receive(Packet::PubAck(Ack::success(id(1)))),
        Ok(Event::Delivered { packet_id: id(1), frame: None })
    );
    assert_eq!(client.session.next_delivery(), Some(sent(2, "b")));
    assert_eq!(client.session.hold(QoS::AtLeastOnce, "d", 1), Delivery::Queued);
    // The client may no longer have "b": the next one takes its place in the window.
    client.session.withdraw(id(2));
    assert_eq!(client.session.next_delivery(), Some(sent(3, "d")));
}

#[test]
fn the_will_is_published_unless_the_client_says_goodbye() {
    for reason in DisconnectReason::ALL {
        let mut client = Client::connect(&connect_with_will(), Limits::aws());
        assert!(client.session.will().is_some());
        let will = client.session.take_will(reason);
        assert_eq!(will.is_some(), reason.publishes_will(), "{reason}");
        if let Some(will) = will {
            assert_eq!(
                (will.topic().as_str(), &*will.payload, will.qos),
                ("last/words", &b"gone"[..], QoS::AtLeastOnce)
            );
        }
        assert!(client.session.take_will(reason).is_none(), "a will is published once");
    }
    // [MQTT311 3.1.2-10] Even when the network fails right after.
    let mut client = Client::connect(&connect_with_will(), Limits::aws());
    assert_eq!(client.receive(Packet::Disconnect(Disconnect::NORMAL)), Ok(Event::Disconnect));
    assert_eq!(client.session.take_will(DisconnectReason::ConnectionLost), None);
}

#[test]
fn violations_of_the_protocol_are_client_errors() {
    let (properties, codes) = (Properties::NONE, ReasonCodes::NONE);
    let unsuback = UnsubAck { packet_id: id(1), properties, codes };
    let auth = Auth { reason: ReasonCode::ReAuthenticate, properties };
    let mut out = [0; 8];
    let mut alias = PropertiesWriter::new(&mut out);
    alias.push(Property::TopicAlias(NonZeroU16::MIN)).unwrap();
    let unnamed = Publish { topic: None, properties: alias.finish(), ..publish(QoS::AtMostOnce, "a", b"") };
    let rows = [
        (Packet::Connect(connect(60)), Violation::SecondConnect),
        (Packet::PingResp, Violation::ServerPacket { kind: PacketKind::PingResp }),
        (Packet::UnsubAck(unsuback), Violation::ServerPacket { kind: PacketKind::UnsubAck }),
        (Packet::PubRec(Ack::success(id(1))), Violation::QoS2Packet { kind: PacketKind::PubRec }),
        (Packet::PubRel(Ack::success(id(1))), Violation::QoS2Packet { kind: PacketKind::PubRel }),
        (Packet::Auth(auth), Violation::Auth),
        (Packet::Publish(unnamed), Violation::TopicAlias { alias: 1, aliases_max: 8 }),
        (Packet::Publish(publish(QoS::ExactlyOnce, "a", b"")), Violation::QoS2Publish),
    ];
    for (packet, violation) in rows {
        let mut client = Client::plain();
        assert_eq!(client.receive(packet), Err(violation));
        assert_eq!(violation.disconnect_reason(), DisconnectReason::ClientError);
    }
}

#[test]
fn messages_beyond_the_limits_end_the_connection() {
    static PAYLOAD: [u8; 128 * 1024 + 1] = [0; 128 * 1024 + 1];
    let mut client = Client::plain();
    let largest = publish(QoS::AtMostOnce, "a", &PAYLOAD[1..]);
    assert!(client.receive(Packet::Publish(largest)).is_ok());
    let too_large = publish(QoS::AtMostOnce, "a", &PAYLOAD);
    let violation = client.receive(Packet::Publish(too_large)).unwrap_err();
    assert_eq!(violation, Violation::PayloadTooLarge { bytes: 131_073, bytes_max: 131_072 });
    assert!(violation.to_string().starts_with("PAYLOAD_LIMIT_EXCEEDED"));
    let too_deep = publish(QoS::AtMostOnce, "1/2/3/4/5/6/7/8/9", b"");
    let excess = TopicExcess::Slashes { slashes: 8, slashes_max: 7 };
    assert_eq!(client.receive(Packet::Publish(too_deep)), Err(Violation::Topic(excess)));
    let mut unlimited = Client::connect(&connect(60), Limits::none());
    assert!(unlimited.receive(Packet::Publish(too_large)).is_ok());
    assert!(unlimited.receive(Packet::Publish(too_deep)).is_ok());
}

/// AWS drops the connection at nine filters and at QoS 2; clients report it in public issues.
#[test]
fn subscribes_beyond_the_limits_end_the_connection() {
    let receive = |limits, filters, qos| {
        let mut client = Client::connect(&connect(60), limits);
        with_subscribe(filters, qos, |packet| client.receive(packet).map(|_| ()))
    };
    assert_eq!(receive(Limits::aws(), 8, QoS::AtLeastOnce), Ok(()));
    let too_many = Violation::TooManyFilters { filters: 9, filters_max: 8 };
    assert_eq!(receive(Limits::aws(), 9, QoS::AtLeastOnce), Err(too_many));
    assert_eq!(receive(Limits::aws(), 1, QoS::ExactlyOnce), Err(Violation::QoS2Subscribe));
    assert_eq!(receive(Limits::relaxed(), 9, QoS::ExactlyOnce), Ok(()));
    let mut relaxed = Client::connect(&connect(60), Limits::relaxed());
    let subscribed = relaxed.session.subscribe(TopicFilter::parse("a").unwrap(), at_most(QoS::ExactlyOnce));
    assert_eq!(subscribed.map(|subscribed| subscribed.granted), Ok(at_most(QoS::ExactlyOnce)));
}

#[test]
fn subscriptions_are_listed_until_they_end() {
    let mut client = Client::plain();
    let (a, b) = (TopicFilter::parse("a/#").unwrap(), TopicFilter::parse("b").unwrap());
    assert!(client.session.subscribe(b, at_most(QoS::AtMostOnce)).is_ok());
    assert!(client.session.subscribe(a, at_most(QoS::AtLeastOnce)).is_ok());
    let expected = [("a/#", at_most(QoS::AtLeastOnce)), ("b", at_most(QoS::AtMostOnce))];
    assert!(client.session.subscriptions().eq(expected));
    assert!(client.session.unsubscribe(a));
    assert!(!client.session.unsubscribe(a));
    assert_eq!(client.session.subscriptions_len(), 1);
}

/// Calls back with the CONNECT of a client of MQTT 5 with these properties.
fn with_connect5<T>(properties: &[Property<'_>], look: impl FnOnce(Connect<'_>) -> T) -> T {
    let mut out = [0; 64];
    let mut writer = PropertiesWriter::new(&mut out);
    properties.iter().for_each(|property| writer.push(*property).unwrap());
    look(Connect { version: V5, properties: writer.finish(), ..connect(60) })
}

fn disconnect(reason: ReasonCode, properties: Properties<'_>) -> Packet<'_> {
    Packet::Disconnect(Disconnect { reason, properties })
}

/// [AWS mqtt5-connack]
#[test]
fn a_client_of_mqtt_5_is_told_what_it_gets() {
    let limits = Arc::new(Limits::aws());
    with_connect5(&[Property::SessionExpiryIntervalS(9)], |connect| {
        let connect = Connect { client_id: "", clean_start: false, ..connect };
        let (session, accepted) = Session::<()>::accept(&connect, &limits, Instant::now()).unwrap();
        assert_eq!((accepted.client_id, accepted.session_expiry_s), (ClientId::Assign, 9));
        let mut room = [0; CONNACK_PROPERTIES_BYTES_MAX];
        let connack = accepted.connack(session.peer(), &limits, true, Some("given"), &mut room);
        assert!(connack.session_present);
        let offered = connack.properties;
        assert_eq!(offered.session_expiry_interval_s(), Some(9));
        assert!(offered.shared_subscription_available());
        assert_eq!(offered.receive_maximum().map(NonZeroU16::get), Some(100));
        assert_eq!((offered.maximum_qos(), offered.retain_available()), (QoS::AtLeastOnce, true));
        assert_eq!(offered.maximum_packet_size().map(std::num::NonZeroU32::get), Some(149_504));
        assert_eq!((offered.topic_alias_maximum(), offered.server_keep_alive_s()), (Some(8), Some(60)));
        assert_eq!(offered.assigned_client_id(), Some("given"));
        assert!(!offered.subscription_identifier_available() && offered.wildcard_subscription_available());
        let mut out = [0; 256];
        assert!(Packet::ConnAck(connack).encode(V5, &mut out).is_ok());
    });
}

/// [MQTT5 3.3.4-9]
#[test]
fn no_more_is_in_flight_than_the_client_can_take() {
    let maximum = Property::ReceiveMaximum(NonZeroU16::new(2).unwrap());
    let mut client = with_connect5(&[maximum], |connect| Client::connect(&connect, Limits::aws()));
    let mut deliver = || client.session.deliver(QoS::AtLeastOnce, "m", 1);
    assert!(matches!(deliver(), Delivery::Send(_)) && matches!(deliver(), Delivery::Send(_)));
    assert_eq!(deliver(), Delivery::Queued);
    assert!(client.receive(Packet::PubAck(Ack::success(id(1)))).is_ok());
    assert!(client.session.next_delivery().is_some() && client.session.next_delivery().is_none());
}

/// [MQTT5 3.14.2.1] [MQTT5 3.14.2.2.2]
#[test]
fn a_client_of_mqtt_5_may_leave_and_want_its_will() {
    let left = |reason: ReasonCode| {
        let mut client = with_connect5(&[], |connect| {
            let will = connect_with_will().will;
            Client::connect(&Connect { will, ..connect }, Limits::aws())
        });
        assert_eq!(client.receive(disconnect(reason, Properties::NONE)), Ok(Event::Disconnect));
        client.session.take_will(DisconnectReason::ClientInitiatedDisconnect)
    };
    assert_eq!(left(ReasonCode::Success), None);
    // [MQTT5 3.1.2-10] Only a normal end takes the will away.
    for reason in
        [ReasonCode::DisconnectWithWill, ReasonCode::UnspecifiedError, ReasonCode::ReceiveMaximumExceeded]
    {
        assert!(left(reason).is_some(), "{reason}");
    }
    let mut client = with_connect5(&[], |connect| Client::connect(&connect, Limits::aws()));
    let violation = client.receive(disconnect(ReasonCode::ServerShuttingDown, Properties::NONE)).unwrap_err();
    assert_eq!(violation.reason_code(), ReasonCode::ProtocolError);

    let mut out = [0; 8];
    let mut writer = PropertiesWriter::new(&mut out);
    writer.push(Property::SessionExpiryIntervalS(1)).unwrap();
    let raised = disconnect(ReasonCode::Success, writer.finish());
    let mut client = with_connect5(&[], |connect| Client::connect(&connect, Limits::aws()));
    let violation = client.receive(raised).unwrap_err();
    assert_eq!(
        (violation, violation.reason_code()),
        (Violation::SessionExpiryRaised, ReasonCode::ProtocolError)
    );
}

#[test]
fn what_mqtt_5_has_and_aws_has_not_is_refused_by_its_reason() {
    let mut out = [0; 16];
    let mut writer = PropertiesWriter::new(&mut out);
    writer.push(Property::SubscriptionIdentifier(SubscriptionId::new(7).unwrap())).unwrap();
    let requests =
        [FilterRequest { filter: TopicFilter::parse("a").unwrap(), options: at_most(QoS::AtMostOnce) }];
    let filters = SubscribeFilters::from_slice(&requests);
    let subscribe = Subscribe { packet_id: PacketId::FIRST, properties: writer.finish(), filters };
    let mut client = with_connect5(&[], |connect| Client::connect(&connect, Limits::aws()));
    let violation = client.receive(Packet::Subscribe(subscribe)).unwrap_err();
    assert_eq!(violation.reason_code(), ReasonCode::SubscriptionIdentifiersNotSupported);

    let refused = with_connect5(&[Property::AuthenticationMethod("m")], |connect| {
        Session::<()>::accept(&connect, &Arc::new(Limits::aws()), Instant::now()).map(|_| ()).unwrap_err()
    });
    assert_eq!(refused.answer(V5), Some(ReasonCode::BadAuthenticationMethod));
}

/// [MQTT311 4.3.3-2] [MQTT5 4.3.3] Where QoS 2 is offered.
#[test]
fn a_message_of_the_client_with_qos_2_is_taken_once() {
    let limits = Limits { inflight_inbound_max: 2, ..Limits::relaxed() };
    let mut client = Client::connect(&connect(60), limits.clone());
    let mut message = publish(QoS::ExactlyOnce, "a", b"1");
    assert!(matches!(client.receive(Packet::Publish(message)), Ok(Event::Publish { .. })));
    client.session.expect_ack(id(1), QoS::ExactlyOnce, ReasonCode::Success, Some(5));
    assert_eq!(client.receive(Packet::Publish(message)), Ok(Event::Repeated));
    assert_eq!(acks(&mut client, 4), [], "the second PUBREC must not overtake the first");
    assert_eq!(acks(&mut client, 5), [success(1), success(1)]);
    // Over a reconnect, too.
    let ended = client.session.end();
    let mut client = Client::connect(&connect(60), limits);
    client.session.resume_exchanges(&ended.exchanges);
    assert_eq!(client.receive(Packet::Publish(message)), Ok(Event::Repeated));
    let released = |is_known| Ok(Event::Released { packet_id: id(1), is_known });
    assert_eq!(client.receive(Packet::PubRel(Ack::success(id(1)))), released(true));
    assert_eq!(client.receive(Packet::PubRel(Ack::success(id(1)))), released(false));
    assert!(matches!(client.receive(Packet::Publish(message)), Ok(Event::Publish { .. })), "a new one");
    // What is refused is not remembered [MQTT5 4.3.3].
    client.session.expect_ack(id(1), QoS::ExactlyOnce, ReasonCode::NotAuthorized, None);
    assert_eq!(acks(&mut client, 0), [success(1), (1, ReasonCode::NotAuthorized)]);
    assert!(matches!(client.receive(Packet::Publish(message)), Ok(Event::Publish { .. })));
    for number in [1, 2] {
        client.session.expect_ack(id(number), QoS::ExactlyOnce, ReasonCode::Success, None);
    }
    assert_eq!(acks(&mut client, 0), [success(1), success(2)]);
    message.packet_id = Some(id(3));
    let violation = client.receive(Packet::Publish(message)).unwrap_err();
    assert_eq!(violation, Violation::ReceiveMaximum { unreleased: 2 });
    assert_eq!(violation.reason_code(), ReasonCode::ReceiveMaximumExceeded);
}

#[test]
fn a_message_to_the_client_with_qos_2_arrives_once() {
    let mut client = Client::connect(&connect(60), Limits::relaxed());
    for frame in ["a", "b"] {
        let sent = client.session.deliver(QoS::ExactlyOnce, frame, 1);
        let Delivery::Send(Outgoing { packet_id: Some(packet_id), frame, .. }) = sent else {
            unreachable!("{sent:?}")
        };
        client.session.remember(packet_id, frame);
    }
    let received = |number, is_known, frame| Ok(Event::Received { packet_id: id(number), is_known, frame });
    let pubrec = |number| Packet::PubRec(Ack::success(id(number)));
    assert_eq!(client.receive(pubrec(1)), received(1, true, Some("a")));
    assert_eq!(client.receive(pubrec(9)), received(9, false, None));
    let ended = client.session.end();
    assert_eq!((ended.exchanges.outbound.as_slice(), ended.undelivered.len()), (&[id(1)][..], 1));

    let mut client = Client::connect(&connect(60), Limits::relaxed());
    client.session.resume_exchanges(&ended.exchanges);
    client.session.redeliver(id(2), QoS::ExactlyOnce, "b");
    assert!(client.session.unreleased().eq([id(1)]));
    let again = client.session.next_delivery().unwrap();
    assert_eq!((again.packet_id, again.qos, again.is_again), (Some(id(2)), QoS::ExactlyOnce, true));
    client.session.remember(id(2), again.frame);
    assert_eq!(client.receive(pubrec(1)), received(1, true, None));
    let completed = Packet::PubComp(Ack::success(id(1)));
    assert_eq!(client.receive(completed), Ok(Event::Completed(id(1))));
    assert_eq!(client.receive(completed), Ok(Event::StrayAck(id(1))));
    // [MQTT5 4.3.3] A reason that it cannot take it ends the exchange.
    let refused = Packet::PubRec(Ack { reason: ReasonCode::QuotaExceeded, ..Ack::success(id(2)) });
    assert_eq!(client.receive(refused), Ok(Event::Delivered { packet_id: id(2), frame: Some("b") }));
    assert_eq!(client.session.inflight_len(), 0);
}
