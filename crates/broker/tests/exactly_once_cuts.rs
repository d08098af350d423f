//! QoS 2 over broken links, restarts, killed processes and power cuts, decided by seeds.
//!
//! The real broker on a disk that forgets what was not synced, between two clients that do what the standard asks of
//! them: every message arrives once, in order. `EYOT_SEEDS=300` runs more seeds than the short run's 8.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use mqtt_session::Limits;
use mqtt_wire::{Ack, Packet, PacketId, QoS};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use store::StoreOptions;
use store::disk::sim::{Random, SimDisk};
use support::{ALLOW_ALL, Client, Cloud, Device, Options, Received, Setup};

fn seeds() -> u64 {
    std::env::var("EYOT_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(8)
}

/// How far a message of the sender is.
#[derive(Clone, Debug)]
enum Stage {
    /// Until its PUBREC it is sent again.
    Publish(String),
    /// Until its PUBCOMP this is.
    Release,
}

struct World {
    seed: u64,
    random: Random,
    disk: SimDisk,
    cloud: Option<Cloud>,
    sender: Device,
    sending: Option<Client>,
    /// What the sender must not forget, by packet identifier, and in which order it was sent.
    unfinished: BTreeMap<u16, (usize, Stage)>,
    next: usize,
    receiver: Device,
    receiving: Option<Client>,
    /// What the receiver must not forget: identifiers whose PUBREL is missing.
    taken: BTreeSet<u16>,
    got: Vec<String>,
    ends: usize,
    breaks: usize,
}

fn start(disk: &SimDisk, loops: usize) -> Cloud {
    let store = Some(StoreOptions::simulated(Arc::new(disk.clone())));
    Cloud::with(Setup { loops, store, limits: Limits::relaxed(), ..Setup::default() })
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let disk = SimDisk::new(random.next_u64());
        let cloud = start(&disk, 2);
        let (sender, receiver) = (cloud.device(ALLOW_ALL), cloud.device(ALLOW_ALL));
        let mut world = Self {
            seed,
            random,
            disk,
            cloud: Some(cloud),
            sender,
            sending: None,
            unfinished: BTreeMap::new(),
            next: 0,
            receiver,
            receiving: None,
            taken: BTreeSet::new(),
            got: Vec::new(),
            ends: 0,
            breaks: 0,
        };
        world.receiving = world.connect(&world.receiver, false);
        assert_eq!(world.receiving.as_mut().unwrap().subscribe(&[("t", QoS::ExactlyOnce)]), [2]);
        world.sending = world.connect(&world.sender, false);
        world
    }

    /// `None`: the server is going down.
    fn connect(&self, device: &Device, is_there: bool) -> Option<Client> {
        let cloud = self.cloud.as_ref().unwrap();
        let mut client = Client::dial(cloud.broker.mqtts_addr(), &device.tls()).ok()?;
        client.send_connect(&device.name, &Options { clean_session: false, ..Options::default() });
        match client.try_receive() {
            Ok(Received::ConnAck(connack)) => {
                assert_eq!(connack, [0x20, 2, u8::from(is_there), 0], "seed {}", self.seed);
                Some(client)
            }
            _ => None,
        }
    }

    fn step(&mut self) {
        match self.random.below(12) {
            0..=3 => self.publish(),
            4..=6 => self.listen_as_sender(),
            7..=9 => drop(self.listen_as_receiver()),
            10 => self.break_link(true),
            _ => self.break_link(false),
        }
    }

    fn break_link(&mut self, of_sender: bool) {
        let link = if of_sender { &mut self.sending } else { &mut self.receiving };
        if let Some(client) = link.take() {
            client.vanish();
            self.breaks += 1;
        }
        if of_sender { self.come_back_as_sender() } else { self.come_back_as_receiver() }
    }

    /// [MQTT311 4.4.0-1] Everything that is not finished is sent again, in order.
    fn come_back_as_sender(&mut self) {
        let Some(mut client) = self.connect(&self.sender, true) else { return };
        let mut unfinished: Vec<_> = self.unfinished.iter().collect();
        unfinished.sort_by_key(|(_, (number, _))| *number);
        for (&packet_id, (_, stage)) in unfinished {
            let sent = match stage {
                Stage::Publish(payload) => client.try_send(&support::qos2("t", payload, id(packet_id))),
                Stage::Release => client.try_send(&Packet::PubRel(Ack::success(id(packet_id)))),
            };
            if sent.is_err() {
                return;
            }
        }
        self.sending = Some(client);
    }

    fn come_back_as_receiver(&mut self) {
        self.receiving = self.connect(&self.receiver, true);
    }

    fn publish(&mut self) {
        // Few identifiers, so that they are used again soon.
        let free: Vec<u16> = (1..=5).filter(|packet_id| !self.unfinished.contains_key(packet_id)).collect();
        let Some(&packet_id) = free.first() else { return };
        let Some(client) = &mut self.sending else { return };
        let payload = self.next.to_string();
        let is_sent = client.try_send(&support::qos2("t", &payload, id(packet_id))).is_ok();
        self.unfinished.insert(packet_id, (self.next, Stage::Publish(payload)));
        self.next += 1;
        if !is_sent {
            self.sending = None;
        }
    }

    /// Packets that have come, up to the answer of a PINGREQ; `None`: the connection has ended.
    fn packets(client: &mut Client, seed: u64) -> Option<Vec<Received>> {
        client.try_send(&Packet::PingReq).ok()?;
        let mut packets = Vec::new();
        loop {
            match client.try_receive() {
                Ok(Received::Pong) => return Some(packets),
                Ok(packet) => packets.push(packet),
                Err(error) => {
                    assert!(error.kind() != io::ErrorKind::WouldBlock, "seed {seed}: the server is silent");
                    return None;
                }
            }
        }
    }

    fn listen_as_sender(&mut self) {
        let Some(mut client) = self.sending.take() else { return self.come_back_as_sender() };
        let Some(packets) = Self::packets(&mut client, self.seed) else { return };
        for packet in packets {
            match packet {
                Received::PubRec(packet_id) => {
                    if let Some((_, stage)) = self.unfinished.get_mut(&packet_id) {
                        *stage = Stage::Release;
                    }
                    let _ = client.try_send(&Packet::PubRel(Ack::success(id(packet_id))));
                }
                Received::PubComp(packet_id) => drop(self.unfinished.remove(&packet_id)),
                other => unreachable!("seed {}: {other:?}", self.seed),
            }
        }
        self.sending = Some(client);
    }

    fn listen_as_receiver(&mut self) -> bool {
        let Some(mut client) = self.receiving.take() else {
            self.come_back_as_receiver();
            return true;
        };
        let Some(packets) = Self::packets(&mut client, self.seed) else { return true };
        let is_busy = !packets.is_empty();
        for packet in packets {
            let answer = match packet {
                Received::Publish { payload, qos: 2, packet_id: Some(packet_id), .. } => {
                    if self.taken.insert(packet_id) {
                        self.got.push(payload);
                    }
                    Packet::PubRec(Ack::success(id(packet_id)))
                }
                Received::PubRel(packet_id) => {
                    self.taken.remove(&packet_id);
                    Packet::PubComp(Ack::success(id(packet_id)))
                }
                other => unreachable!("seed {}: {other:?}", self.seed),
            };
            // It may be lost, too.
            if self.random.chance(80) && client.try_send(&answer).is_err() {
                return true;
            }
        }
        self.receiving = Some(client);
        is_busy
    }

    /// The server ends in one of three ways, and another one starts.
    fn end(&mut self) {
        let cloud = self.cloud.take().unwrap();
        self.ends += 1;
        match self.random.below(4) {
            0 => {
                cloud.broker.drain(support::PATIENCE);
                drop(cloud);
                self.disk.power_off();
                self.disk.restart();
            }
            1 => {
                self.disk.power_off();
                drop(cloud);
                self.disk.restart();
            }
            _ => {
                self.disk.power_off();
                drop(cloud);
                self.disk.power_on(self.random.next_u64());
            }
        }
        (self.sending, self.receiving) = (None, None);
        self.cloud = Some(start(&self.disk, 1 + self.random.below(3) as usize));
    }

    fn finish(&mut self) {
        let began = std::time::Instant::now();
        let wanted: Vec<String> = (0..self.next).map(|number| number.to_string()).collect();
        while !self.unfinished.is_empty() || self.got.len() < wanted.len() {
            let Self { seed, got, unfinished, .. } = self;
            assert!(
                began.elapsed() < support::PATIENCE,
                "seed {seed}: {unfinished:?} of {wanted:?}, got {got:?}"
            );
            // An answer that was lost is asked for on the next connection only.
            self.break_link(true);
            self.break_link(false);
            for _ in 0..3 {
                self.listen_as_sender();
                self.listen_as_receiver();
            }
        }
        while self.listen_as_receiver() {}
        assert_eq!(self.got, wanted, "seed {}", self.seed);
    }
}

#[test]
fn every_message_arrives_once() {
    let (mut messages, mut ends, mut breaks) = (0, 0, 0);
    for seed in 0..seeds() {
        let mut world = World::new(seed);
        for _ in 0..3 {
            if world.random.chance(60) {
                let operations = world.random.below(200);
                world.disk.power_off_after(operations);
            }
            for _ in 0..40 {
                world.step();
            }
            world.end();
        }
        world.finish();
        messages += world.got.len();
        ends += world.ends;
        breaks += world.breaks;
    }
    println!(
        "{} seeds: {messages} messages, each once, over {breaks} broken links and {ends} ends of the server",
        seeds()
    );
    assert!(messages > 0 && ends > 0 && breaks > 0, "nothing happened");
}
