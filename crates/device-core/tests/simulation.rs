//! The device against a small server that behaves, in virtual time.
#![expect(clippy::panic, reason = "the simulated server has no better way to fail its test")]

use device_core::settings::{DerCertificates, Settings, Will};
use device_core::{Action, AdcReading, CloseReason, Config, Device, Phase, SEND_BYTES_MAX, Samples};
use mqtt_wire::ProtocolVersion::V311;
use mqtt_wire::{
    Ack, ConnAck, Packet, PacketId, PacketKind, Properties, QoS, ReasonCode, ReasonCodes, UnsubAck, decode,
};
use proptest::prelude::*;

const TOPIC: &str = "$aws/rules/telemetry/pico_w_simple";

/// What the server does with the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// Accepts and answers.
    Well,
    /// Cannot be reached at all.
    Unreachable,
    /// Takes the connection and says nothing.
    Mute,
    /// Refuses the CONNECT.
    Refusing,
    /// Accepts, and closes at the first message.
    Dropping,
    /// Accepts, takes messages and never acknowledges one.
    Forgetful,
}

struct World {
    device: Device<'static>,
    server: Server,
    now_ms: u64,
    /// Everything the device did, with its time.
    log: Vec<(u64, String)>,
    /// Readings that the server got.
    received: Vec<(u64, String)>,
    /// When the sensor was read.
    sampled: Vec<u64>,
    /// The identifiers of their packets.
    packet_ids: Vec<u16>,
    pings: usize,
    /// Topic, payload and QoS of the last will in the last CONNECT.
    will: Option<(String, String, QoS)>,
}

/// So many equal readings of the converter.
fn taken(samples: u8, reading: u16) -> Samples {
    let mut taken = Samples::new();
    (0..samples).for_each(|_| taken.add(AdcReading::from_12_bits(reading)));
    taken
}

impl World {
    fn new(change: impl FnOnce(&mut Config<'static>)) -> Self {
        let mut world = Self::offline(change);
        world.device.handle_online(0);
        world
    }

    fn offline(change: impl FnOnce(&mut Config<'static>)) -> Self {
        let mut config = Config::new("pico_w_simple", TOPIC, 42);
        change(&mut config);
        let device = Device::new(config).expect("a valid configuration");
        Self {
            device,
            server: Server::Well,
            now_ms: 0,
            log: vec![],
            received: vec![],
            sampled: vec![],
            packet_ids: vec![],
            pings: 0,
            will: None,
        }
    }

    fn run_until(&mut self, end_ms: u64) {
        loop {
            self.drain();
            let Some(next_ms) = self.device.poll_timeout() else { break };
            assert!(next_ms > self.now_ms, "a timeout that is due leads to an action");
            if next_ms > end_ms {
                break;
            }
            self.now_ms = next_ms;
        }
        self.now_ms = end_ms;
    }

    fn drain(&mut self) {
        let mut out = [0; SEND_BYTES_MAX];
        for _ in 0..100 {
            let Some(action) = self.device.poll_action(self.now_ms, &mut out) else { return };
            self.carry_out(action, &out);
        }
        panic!("the device does not come to rest");
    }

    fn carry_out(&mut self, action: Action, out: &[u8]) {
        match action {
            Action::OpenTransport => {
                self.note("open");
                match self.server {
                    Server::Unreachable => self.device.handle_closed(self.now_ms),
                    _ => self.device.handle_transport_connected(self.now_ms),
                }
            }
            Action::Send { bytes, kind } => {
                let (packet, read) = decode(&out[..bytes], V311, SEND_BYTES_MAX)
                    .expect("the device sends valid packets")
                    .expect("the device sends whole packets");
                assert_eq!((read, packet.kind()), (bytes, kind));
                self.serve(packet);
            }
            Action::Sample { samples } => {
                self.sampled.push(self.now_ms);
                self.device.handle_samples(&taken(samples, 876), self.now_ms);
            }
            Action::Close(reason) => self.note(&reason.to_string()),
        }
    }

    fn serve(&mut self, packet: Packet<'_>) {
        match (self.server, packet) {
            (Server::Mute, _) => {}
            (Server::Refusing, Packet::Connect(_)) => self.answer_connect(ReasonCode::NotAuthorized),
            (_, Packet::Connect(connect)) => {
                assert_eq!((connect.client_id, connect.clean_start), ("pico_w_simple", true));
                self.will = connect.will.map(|will| {
                    assert!(!will.retain);
                    let payload = String::from_utf8_lossy(will.payload).into_owned();
                    (will.topic.as_str().to_owned(), payload, will.qos)
                });
                self.answer_connect(ReasonCode::Success);
            }
            (Server::Dropping, Packet::Publish(_)) => self.device.handle_closed(self.now_ms),
            (_, Packet::Publish(publish)) => {
                assert_eq!(
                    (&*publish.topic.expect("3.1.1 has no aliases"), publish.dup, publish.retain),
                    (TOPIC, false, false)
                );
                let payload = String::from_utf8_lossy(publish.payload).into_owned();
                self.received.push((self.now_ms, payload));
                self.packet_ids.extend(publish.packet_id.map(PacketId::number));
                if let Some(id) = publish.packet_id
                    && self.server != Server::Forgetful
                {
                    self.answer(Packet::PubAck(Ack::success(id)));
                }
            }
            (_, Packet::PingReq) => {
                self.pings += 1;
                self.answer(Packet::PingResp);
            }
            (_, Packet::Disconnect(_)) => self.note("disconnect"),
            (_, other) => panic!("a device does not send {other:?}"),
        }
    }

    fn answer_connect(&mut self, reason: ReasonCode) {
        self.answer(Packet::ConnAck(ConnAck::new(reason)));
    }

    fn answer(&mut self, packet: Packet<'_>) {
        let mut out = [0; 8];
        let written = packet.encode(V311, &mut out).expect("short packets");
        // Byte by byte, as a network may deliver.
        for byte in &out[..written] {
            self.device.handle_bytes(std::slice::from_ref(byte), self.now_ms);
        }
    }

    fn note(&mut self, what: &str) {
        self.log.push((self.now_ms, what.to_owned()));
    }

    fn opened_at(&self) -> Vec<u64> {
        self.log.iter().filter(|(_, what)| what == "open").map(|(at_ms, _)| *at_ms).collect()
    }
}

#[test]
fn it_connects_at_once_and_publishes_every_two_seconds() {
    let mut world = World::new(|_| {});
    world.run_until(9_999);
    let times: Vec<_> = world.received.iter().map(|(at_ms, _)| *at_ms).collect();
    assert_eq!(times, [0, 2_000, 4_000, 6_000, 8_000]);
    assert_eq!(world.received[0].1, r#"{"temp": 27.044}"#);
    assert_eq!(world.device.delivered(), 5);
    assert_eq!(world.device.phase(), Phase::Connected);
}

#[test]
fn qos_1_readings_count_once_they_are_acknowledged() {
    let mut world = World::new(|_| {});
    world.run_until(5_000);
    assert_eq!(world.device.delivered(), 3);
    assert_eq!(world.received.len(), 3);
    assert_eq!(world.packet_ids, [1, 2, 3]);
}

#[test]
fn only_its_own_puback_delivers_a_reading() {
    let mut world = World::new(|_| {});
    world.server = Server::Forgetful;
    world.run_until(1_000);
    world.answer(Packet::PubAck(Ack::success(PacketId::FIRST.next())));
    assert_eq!(world.device.delivered(), 0);
    world.answer(Packet::PubAck(Ack::success(PacketId::FIRST)));
    assert_eq!(world.device.delivered(), 1);
}

#[test]
fn an_unacknowledged_reading_comes_again_on_the_next_connection() {
    let mut world = World::new(|config| config.interval_ms = 60_000);
    world.run_until(0);
    world.received.clear();
    world.run_until(59_999);
    world.server = Server::Dropping;
    world.run_until(60_000);
    assert_eq!((world.received.len(), world.device.delivered()), (0, 1));
    world.server = Server::Well;
    world.run_until(63_000);
    assert_eq!((world.received.len(), world.device.delivered()), (1, 2));
}

#[test]
fn a_server_without_pubacks_is_left_after_the_deadline() {
    let mut world = World::new(|_| {});
    world.run_until(1_000);
    world.server = Server::Mute;
    world.run_until(12_000);
    let expected = (12_000, CloseReason::PubAckTimeout.to_string());
    assert_eq!(world.log.last(), Some(&expected));
}

/// No other deadline wakes this device.
#[test]
fn a_puback_that_does_not_come_is_noticed_between_readings_too() {
    let mut world = World::new(|config| config.interval_ms = 1_000_000);
    world.server = Server::Forgetful;
    world.run_until(29_000);
    assert!(world.log.contains(&(10_000, CloseReason::PubAckTimeout.to_string())), "{:?}", world.log);
}

#[test]
fn an_idle_device_pings_and_leaves_a_dead_connection() {
    let mut world = World::new(|config| config.interval_ms = 1_000_000);
    world.run_until(119_000);
    assert_eq!(world.pings, 3, "every half of the keep-alive of 60 s");
    assert_eq!(world.opened_at(), [0]);
    world.server = Server::Mute;
    world.run_until(131_000);
    assert_eq!(world.log.last(), Some(&(130_000, CloseReason::PingTimeout.to_string())));
}

#[test]
fn a_publishing_device_notices_a_dead_connection_too() {
    let mut world = World::new(|config| config.qos = QoS::AtMostOnce);
    world.run_until(1_000);
    world.server = Server::Mute;
    world.run_until(41_000);
    assert!(world.log.contains(&(40_000, CloseReason::PingTimeout.to_string())), "{:?}", world.log);
}

/// `keepalive=10000` as in the post: AWS applies 1200 s, so the device may not be silent for longer.
#[test]
fn a_long_keep_alive_is_kept_below_the_servers() {
    let mut world = World::new(|config| {
        config.interval_ms = 100_000_000;
        config.keep_alive_s = 10_000;
    });
    world.run_until(1_199_000);
    assert_eq!(world.pings, 1);
}

#[test]
fn every_wait_for_the_server_ends() {
    let mut world = World::new(|_| {});
    world.server = Server::Mute;
    world.run_until(10_000);
    assert_eq!(world.log.last(), Some(&(10_000, CloseReason::ConnAckTimeout.to_string())));

    let config = Config { interval_ms: 1_000_000, ..Config::new("c", "t", 0) };
    let mut device = Device::new(config).expect("a valid configuration");
    device.handle_online(0);
    let mut out = [0; SEND_BYTES_MAX];
    assert_eq!(device.poll_action(0, &mut out), Some(Action::Sample { samples: 16 }));
    assert_eq!(device.poll_action(0, &mut out), Some(Action::OpenTransport));
    assert_eq!(device.poll_action(0, &mut out), None);
    assert_eq!(device.poll_timeout(), Some(30_000));
    assert_eq!(device.poll_action(30_000, &mut out), Some(Action::Close(CloseReason::TransportTimeout)));
}

#[test]
fn attempts_come_less_often_the_longer_they_fail() {
    let mut world = World::new(|_| {});
    world.server = Server::Unreachable;
    world.run_until(3_600_000);
    let opened = world.opened_at();
    let waits: Vec<_> = opened.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.iter().all(|wait_ms| (1_000..=120_000).contains(wait_ms)), "{waits:?}");
    // An hour of attempts with 60 s on average.
    assert!((40..90).contains(&opened.len()), "{}", opened.len());
}

/// A policy that does not allow the topic: accepted first, dropped at the first message, again and again.
#[test]
fn a_server_that_drops_every_message_is_not_hammered() {
    for server in [Server::Dropping, Server::Refusing] {
        let mut world = World::new(|_| {});
        world.server = server;
        world.run_until(600_000);
        assert!(world.opened_at().len() < 25, "{server:?}: {} attempts", world.opened_at().len());
    }
}

#[test]
fn a_connection_that_lasted_ends_the_back_off() {
    let mut world = World::new(|_| {});
    world.server = Server::Unreachable;
    world.run_until(600_000);
    world.server = Server::Well;
    world.run_until(900_000);
    assert_eq!(world.device.phase(), Phase::Connected);
    world.device.handle_closed(world.now_ms);
    world.run_until(904_000);
    assert_eq!(world.device.phase(), Phase::Connected, "back within the 4 s of a first failure");
}

#[test]
fn devices_with_other_seeds_come_back_at_other_times() {
    let back_at = |seed| {
        let mut world = World::new(|config| config.seed = seed);
        world.server = Server::Unreachable;
        world.run_until(60_000);
        world.opened_at()
    };
    assert_eq!(back_at(1), back_at(1));
    assert_ne!(back_at(1), back_at(2));
}

/// Whatever the server does: the moments of measuring are those of the interval.
#[test]
fn measuring_does_not_depend_on_the_connection() {
    use Server::{Dropping, Forgetful, Mute, Refusing, Unreachable, Well};
    let expected: Vec<u64> = (0..=300).map(|number| number * 2_000).collect();
    for server in [Well, Unreachable, Mute, Refusing, Dropping, Forgetful] {
        let mut world = World::new(|_| {});
        world.server = server;
        world.run_until(600_000);
        assert_eq!(world.sampled, expected, "{server:?}");
    }
    let mut world = World::offline(|_| {});
    world.run_until(600_000);
    assert_eq!((world.sampled, world.log), (expected, vec![]), "offline");
}

#[test]
fn a_reading_is_the_average_of_as_many_samples_as_configured() {
    let mut device =
        Device::new(Config { samples_per_reading: 3, ..Config::new("c", TOPIC, 0) }).expect("valid");
    let mut out = [0; SEND_BYTES_MAX];
    assert_eq!(device.poll_action(0, &mut out), Some(Action::Sample { samples: 3 }));
    device.handle_samples(&Samples::new(), 0);
    assert_eq!(device.waiting(), 0, "nothing measured is no reading");
    device.handle_samples(&taken(1, 876), 0);
    assert_eq!(device.waiting(), 1);
}

#[test]
fn a_stall_is_followed_by_one_reading_and_not_by_those_it_missed() {
    let mut world = World::new(|_| {});
    world.run_until(2_000);
    world.now_ms = 11_500;
    world.drain();
    world.run_until(14_000);
    assert_eq!(world.sampled, [0, 2_000, 11_500, 12_000, 14_000]);
}

#[test]
fn offline_readings_are_kept_and_sent_in_order_when_the_network_comes() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let mut world = World::offline(|config| config.qos = qos);
        world.device.handle_time(1_764_000_000_000, 0);
        world.run_until(20_999);
        assert_eq!((world.device.phase(), world.device.waiting()), (Phase::Offline, 11));
        world.device.handle_online(20_999);
        world.run_until(21_300);
        assert_eq!(world.opened_at(), [20_999], "at once, for the first time");
        assert_eq!((world.device.delivered(), world.device.waiting()), (11, 0));
        let payloads: Vec<_> = world.received.iter().map(|(_, payload)| payload.as_str()).collect();
        let late = |number: u64| {
            format!(r#"{{"temp": 27.044, "measured_at": {}}}"#, 1_764_000_000_000 + number * 2_000)
        };
        let expected: Vec<_> = (0..10).map(late).chain([r#"{"temp": 27.044}"#.to_owned()]).collect();
        assert_eq!(payloads, expected, "the last one is younger than the interval");
    }
}

#[test]
fn a_backlog_leaves_at_fifty_readings_a_second() {
    let mut world = World::offline(|_| {});
    world.run_until(1_000_000);
    assert_eq!(world.device.waiting(), 501);
    world.device.handle_online(1_000_000);
    world.run_until(1_000_999);
    assert_eq!(world.received.len(), 50);
}

/// The time may be learnt after the reading was taken, and again, more exactly.
#[test]
fn a_late_reading_tells_its_moment_by_the_last_known_time() {
    let mut world = World::offline(|config| config.interval_ms = 1_000);
    world.run_until(500);
    world.device.handle_time(5_000_000, 400);
    world.device.handle_time(7_000_000, 10_000);
    world.now_ms = 10_500;
    world.device.handle_online(10_500);
    world.drain();
    assert_eq!(world.received[0].1, r#"{"temp": 27.044, "measured_at": 6990000}"#);

    let mut world = World::offline(|_| {});
    world.run_until(10_000);
    world.device.handle_online(10_000);
    world.drain();
    assert_eq!(world.received[0].1, r#"{"temp": 27.044}"#, "a time that is unknown is not told");
}

#[test]
fn a_reading_that_is_sent_again_late_tells_its_moment() {
    let mut world = World::new(|_| {});
    world.device.handle_time(1_764_000_000_000, 0);
    world.server = Server::Forgetful;
    world.run_until(9_999);
    world.server = Server::Well;
    world.run_until(20_000);
    let sent: Vec<_> = world.received.iter().filter(|(at_ms, _)| *at_ms > 10_000).collect();
    assert_eq!(sent[0].1, r#"{"temp": 27.044, "measured_at": 1764000000000}"#);
    assert_eq!(sent[1].1, r#"{"temp": 27.044, "measured_at": 1764000002000}"#);
}

#[test]
fn a_fast_sensor_does_not_tell_the_time_of_every_reading() {
    let mut world = World::offline(|config| config.interval_ms = 50);
    world.device.handle_time(1_764_000_000_000, 0);
    world.run_until(1_000);
    world.device.handle_online(1_000);
    world.drain();
    assert_eq!(world.received[0].1, r#"{"temp": 27.044}"#, "a second is no delay");
}

#[test]
fn a_network_that_comes_back_finds_the_devices_spread() {
    let mut waits: Vec<u64> = (0..50)
        .map(|seed| {
            let mut world = World::new(|config| config.seed = seed);
            world.run_until(5_000);
            world.device.handle_offline(5_000);
            world.run_until(100_000);
            assert_eq!(world.log.last(), Some(&(5_000, CloseReason::Offline.to_string())));
            world.device.handle_online(100_000);
            world.run_until(105_000);
            assert_eq!(world.device.phase(), Phase::Connected);
            world.opened_at()[1] - 100_000
        })
        .collect();
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.iter().all(|wait_ms| (1_000..=4_000).contains(wait_ms)), "{waits:?}");
    assert!(waits.len() > 40, "{waits:?}");
}

#[test]
fn the_network_may_go_and_come_in_every_state() {
    for server in [Server::Well, Server::Mute, Server::Unreachable] {
        for offline_at_ms in [0, 500, 1_500, 9_999] {
            let mut world = World::new(|_| {});
            world.server = server;
            world.run_until(offline_at_ms);
            world.device.handle_offline(offline_at_ms);
            world.device.handle_offline(offline_at_ms);
            world.run_until(60_000);
            assert_eq!(world.device.phase(), Phase::Offline);
            let opened = world.opened_at().len();
            world.device.handle_closed(60_000);
            world.server = Server::Well;
            world.device.handle_online(60_000);
            world.device.handle_online(60_000);
            world.run_until(80_000);
            assert_eq!(world.opened_at().len(), opened + 1);
            assert_eq!((world.device.delivered(), world.device.waiting()), (41, 0));
        }
    }
}

#[test]
fn eight_packets_are_in_flight_and_acknowledgements_come_in_any_order() {
    let mut world = World::new(|config| config.interval_ms = 500);
    world.server = Server::Forgetful;
    world.run_until(5_000);
    assert_eq!(world.packet_ids, [1, 2, 3, 4, 5, 6, 7, 8]);
    for id in [5, 2, 8] {
        world.answer(Packet::PubAck(Ack::success(PacketId::new(id).expect("not zero"))));
    }
    world.run_until(5_100);
    assert_eq!(world.packet_ids[8..], [9, 10, 11]);
    assert_eq!((world.device.delivered(), world.device.waiting()), (3, 8));
    world.server = Server::Well;
    world.device.handle_closed(5_100);
    world.run_until(8_000);
    assert_eq!(world.packet_ids[11..15], [12, 13, 14, 15], "new identifiers");
    assert_eq!(world.device.waiting(), 0);
}

#[test]
fn more_than_the_ring_holds_drops_the_oldest() {
    let mut world = World::offline(|_| {});
    world.device.handle_time(1_764_000_000_000, 0);
    // 520 readings.
    world.run_until(1_039_000);
    assert_eq!((world.device.waiting(), world.device.dropped()), (512, 8));
    world.device.handle_online(1_039_000);
    world.run_until(1_060_000);
    let expected = format!(r#"{{"temp": 27.044, "measured_at": {}}}"#, 1_764_000_000_000_u64 + 8 * 2_000);
    assert_eq!(world.received[0].1, expected);
    assert_eq!((world.device.dropped(), world.device.waiting()), (8, 0));
}

#[test]
fn the_last_will_is_in_every_connect() {
    let mut world = World::new(|_| {});
    world.run_until(0);
    assert_eq!(world.will, None);
    let will = Will { topic: "device/pico_w_simple/status", payload: r#"{"online": false}"# };
    let mut world = World::new(|config| config.will = Some(will));
    for _ in 0..2 {
        world.run_until(world.now_ms + 3_000);
        let expected = (will.topic.to_owned(), will.payload.to_owned(), QoS::AtLeastOnce);
        assert_eq!(world.will.take(), Some(expected));
        world.device.handle_closed(world.now_ms);
    }
}

#[test]
fn a_device_behaves_as_its_settings_say() {
    let settings = Settings {
        wifi_ssid: "home",
        wifi_password: "",
        wifi_country: *b"XX",
        endpoint_host: "eyot.local",
        endpoint_port: 8883,
        client_id: "pico_w_simple",
        topic: TOPIC,
        qos: QoS::AtMostOnce,
        interval_ms: 5_000,
        keep_alive_s: 30,
        will: Will::default(),
        ntp_host: "",
        server_cas: DerCertificates::default(),
        certificate: b"",
        private_key: b"",
        seed: [0; 32],
    };
    let config = Config::from_settings(&settings, 9);
    assert_eq!((config.client_id, config.topic, config.qos), ("pico_w_simple", TOPIC, QoS::AtMostOnce));
    assert_eq!((config.interval_ms, config.keep_alive_s, config.seed), (5_000, 30, 9));
    assert_eq!(config.will, None, "a will without a topic is none");
    let will = Will { topic: "gone", payload: "bye" };
    assert_eq!(Config::from_settings(&Settings { will, ..settings }, 9).will, Some(will));
}

#[test]
fn stopping_says_goodbye_and_ends() {
    let mut world = World::new(|_| {});
    world.run_until(3_000);
    world.device.handle_stop();
    world.run_until(100_000);
    let ended: Vec<_> = world.log.iter().map(|(_, what)| what.as_str()).collect();
    assert_eq!(ended, ["open", "disconnect", "the device was told to stop"]);
    assert_eq!((world.device.phase(), world.device.poll_timeout()), (Phase::Stopped, None));
    assert_eq!(world.received.len(), 2);
}

#[test]
fn packets_that_nobody_asked_for_end_the_connection() {
    let mut world = World::new(|_| {});
    world.run_until(1_000);
    world.answer(Packet::PubAck(Ack::success(PacketId::FIRST)));
    assert_eq!(world.device.phase(), Phase::Connected, "a stray acknowledgement is harmless");
    world.answer(Packet::UnsubAck(UnsubAck {
        packet_id: PacketId::FIRST,
        properties: Properties::NONE,
        codes: ReasonCodes::NONE,
    }));
    world.run_until(1_000);
    assert_eq!(world.log.last(), Some(&(1_000, CloseReason::Unexpected(PacketKind::UnsubAck).to_string())));
}

/// Something that can happen to a device.
#[derive(Clone, Debug)]
enum Happens {
    Bytes(Vec<u8>),
    Connected,
    Closed,
    Online,
    Offline,
    Time(u64),
    Samples(u8, u16),
    Wait(u64),
    Stop,
}

fn happens() -> impl Strategy<Value = Happens> {
    let good = prop_oneof![
        Just(vec![0x20, 2, 0, 0]),
        Just(vec![0x20, 2, 0, 5]),
        Just(vec![0xD0, 0]),
        (1..5_u8).prop_map(|id| vec![0x40, 2, 0, id]),
    ];
    prop_oneof![
        4 => good.prop_map(Happens::Bytes),
        2 => proptest::collection::vec(any::<u8>(), 0..200).prop_map(Happens::Bytes),
        4 => Just(Happens::Connected),
        1 => Just(Happens::Closed),
        2 => Just(Happens::Online),
        1 => Just(Happens::Offline),
        1 => any::<u64>().prop_map(Happens::Time),
        2 => (0..100_u8, any::<u16>()).prop_map(|(count, reading)| Happens::Samples(count, reading)),
        4 => (0..40_000_u64).prop_map(Happens::Wait),
        1 => Just(Happens::Stop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(300)))]

    #[test]
    fn whatever_happens_it_comes_to_rest_and_keeps_a_deadline(
        events in proptest::collection::vec(happens(), 0..60), at_most_once: bool, seed: u64,
    ) {
        let mut config = Config::new("pico_w_simple", TOPIC, seed);
        if at_most_once {
            config.qos = QoS::AtMostOnce;
        }
        let mut device = Device::new(config).expect("a valid configuration");
        let (mut now_ms, mut out) = (0, [0; SEND_BYTES_MAX]);
        for event in events {
            match event {
                Happens::Bytes(bytes) => device.handle_bytes(&bytes, now_ms),
                Happens::Connected => device.handle_transport_connected(now_ms),
                Happens::Closed => device.handle_closed(now_ms),
                Happens::Online => device.handle_online(now_ms),
                Happens::Offline => device.handle_offline(now_ms),
                Happens::Time(unix_ms) => device.handle_time(unix_ms, now_ms),
                Happens::Samples(count, reading) => device.handle_samples(&taken(count, reading), now_ms),
                Happens::Wait(wait_ms) => now_ms += wait_ms,
                Happens::Stop => device.handle_stop(),
            }
            let mut actions = 0;
            while let Some(action) = device.poll_action(now_ms, &mut out) {
                actions += 1;
                prop_assert!(actions < 10, "the device does not come to rest");
                if let Action::Send { bytes, kind } = action {
                    let sent = decode(&out[..bytes], V311, SEND_BYTES_MAX);
                    prop_assert!(matches!(sent, Ok(Some((packet, read))) if (packet.kind(), read) == (kind, bytes)));
                }
            }
            match (device.phase(), device.poll_timeout()) {
                (Phase::Stopped, timeout) => prop_assert_eq!(timeout, None),
                (_, timeout) => prop_assert!(timeout > Some(now_ms), "{timeout:?} at {now_ms}"),
            }
        }
    }
}
