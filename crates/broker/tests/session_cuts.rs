//! Persistent sessions and groups over broken links, restarts, killed processes and power cuts, decided by seeds.
//!
//! The real broker on a disk that forgets what was not synced. What a publisher got a PUBACK for reaches everybody whose
//! subscription was acknowledged before, and one of each group; nobody gets what its policies keep from it.
//! `EYOT_SEEDS=300` runs more seeds than the short run's 8.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use mqtt_wire::{Packet, PacketId, Properties, QoS, TopicFilter, Unsubscribe, UnsubscribeFilters};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use store::StoreOptions;
use store::disk::sim::{Random, SimDisk};
use support::{ALLOW_ALL, Client, Cloud, Device, Options, Received, Setup};

const FILTERS: [&str; 4] = ["t/a", "t/+", "t/#", "secret/a"];
const SHARED: &str = "$share/g/t/+";
const TOPICS: [&str; 3] = ["t/a", "t/b", "secret/a"];

/// May subscribe to everything, and receive nothing that is secret.
const NO_SECRETS: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"iot:*","Resource":"*"},
    {"Effect":"Deny","Action":"iot:Receive","Resource":"arn:aws:iot:eu-west-1:123456789012:topic/secret/*"}]}"#;

fn seeds() -> u64 {
    std::env::var("EYOT_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(8)
}

/// Whether a subscription stands, as far as its client can know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stands {
    /// Acknowledged.
    Yes,
    /// Asked for, or to be ended, and nobody knows.
    Perhaps,
}

/// A client with a persistent session, and what it must have got.
struct Subscriber {
    device: Device,
    client: Option<Client>,
    may_hear_secrets: bool,
    filters: BTreeMap<&'static str, Stands>,
    expected: BTreeSet<String>,
    got: BTreeSet<String>,
    /// In the order in which they came first.
    order: Vec<String>,
}

#[derive(Default)]
struct Counts {
    published: usize,
    delivered: usize,
    again: usize,
    cuts: usize,
    kills: usize,
    restarts: usize,
    breaks: usize,
}

struct World {
    seed: u64,
    random: Random,
    disk: SimDisk,
    cloud: Option<Cloud>,
    publisher: Device,
    publishing: Option<Client>,
    subscribers: Vec<Subscriber>,
    /// What one of the group must have got.
    for_group: BTreeSet<String>,
    next_payload: usize,
    counts: Counts,
}

impl Subscriber {
    fn expects(&self, topic: &str) -> bool {
        let takes = |filter: &str| {
            TopicFilter::parse(filter)
                .unwrap()
                .matches(topic.try_into_topic(), mqtt_wire::topic::MatchRules::Aws)
        };
        let is_for_it = self.filters.iter().any(|(filter, stands)| *stands == Stands::Yes && takes(filter));
        is_for_it && (self.may_hear_secrets || !topic.starts_with("secret"))
    }

    fn heard(&mut self, topic: &str, payload: &str, context: &str, counts: &mut Counts) {
        assert!(self.may_hear_secrets || !topic.starts_with("secret"), "{context}: {topic} is not for it");
        if self.got.insert(payload.to_owned()) {
            self.order.push(payload.to_owned());
            counts.delivered += 1;
        } else {
            counts.again += 1;
        }
    }
}

trait IntoTopic {
    fn try_into_topic(&self) -> mqtt_wire::TopicName<'_>;
}

impl IntoTopic for str {
    fn try_into_topic(&self) -> mqtt_wire::TopicName<'_> {
        mqtt_wire::TopicName::parse(self).unwrap()
    }
}

fn start(disk: &SimDisk, loops: usize) -> Cloud {
    Cloud::with(Setup {
        loops,
        store: Some(StoreOptions::simulated(Arc::new(disk.clone()))),
        ..Setup::default()
    })
}

/// Connects with a persistent session; `None`: the server is going down.
fn connect(cloud: &Cloud, device: &Device) -> Option<Client> {
    let mut client = Client::dial(cloud.broker.mqtts_addr(), &device.tls()).ok()?;
    client.send_connect(&device.name, &Options { clean_session: false, ..Options::default() });
    matches!(client.try_receive(), Ok(Received::ConnAck(connack)) if connack[3] == 0).then_some(client)
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let disk = SimDisk::new(random.next_u64());
        let cloud = start(&disk, 1 + random.below(3) as usize);
        let subscribers = (0..3).map(|number| Subscriber {
            device: cloud.device(if number == 0 { NO_SECRETS } else { ALLOW_ALL }),
            client: None,
            may_hear_secrets: number != 0,
            filters: BTreeMap::new(),
            expected: BTreeSet::new(),
            got: BTreeSet::new(),
            order: Vec::new(),
        });
        let subscribers: Vec<_> = subscribers.collect();
        let publisher = cloud.device(ALLOW_ALL);
        Self {
            seed,
            random,
            disk,
            cloud: Some(cloud),
            publisher,
            publishing: None,
            subscribers,
            for_group: BTreeSet::new(),
            next_payload: 0,
            counts: Counts::default(),
        }
    }

    fn context(&self) -> String {
        format!("seed {}", self.seed)
    }

    fn pick(&mut self) -> usize {
        self.random.below(self.subscribers.len() as u64) as usize
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..=7 => self.publish(),
            8..=10 => {
                let at = self.pick();
                self.connect(at);
            }
            11..=12 => {
                // The link breaks: what was on its way to either side is lost.
                let at = self.pick();
                if let Some(client) = self.subscribers[at].client.take() {
                    client.vanish();
                    self.counts.breaks += 1;
                }
            }
            13..=14 => self.subscribe(),
            15 => self.unsubscribe(),
            16..=18 => {
                let at = self.pick();
                self.listen(at, false);
            }
            _ => {
                let at = self.pick();
                self.listen(at, true);
            }
        }
    }

    fn connect(&mut self, at: usize) {
        let subscriber = &mut self.subscribers[at];
        // Also when it is connected already: a takeover.
        subscriber.client = connect(self.cloud.as_ref().unwrap(), &subscriber.device);
    }

    fn publish(&mut self) {
        if self.publishing.is_none() {
            self.publishing = connect(self.cloud.as_ref().unwrap(), &self.publisher);
        }
        let Some(client) = &mut self.publishing else { return };
        let topic = TOPICS[self.random.below(3) as usize];
        self.next_payload += 1;
        let payload = self.next_payload.to_string();
        let expecting: Vec<_> = self.subscribers.iter().map(|subscriber| subscriber.expects(topic)).collect();
        let is_for_group = topic.starts_with("t/")
            && self.subscribers.iter().any(|one| one.filters.get(SHARED) == Some(&Stands::Yes));
        let packet = support::qos1(topic, &payload, PacketId::FIRST);
        if client.try_send(&packet).is_err() || client.try_receive().ok() != Some(Received::PubAck(1)) {
            self.publishing = None;
            return;
        }
        self.counts.published += 1;
        for (subscriber, expects) in self.subscribers.iter_mut().zip(expecting) {
            if expects {
                subscriber.expected.insert(payload.clone());
            }
        }
        if is_for_group {
            self.for_group.insert(payload);
        }
    }

    fn subscribe(&mut self) {
        let at = self.pick();
        let filter = match self.random.below(FILTERS.len() as u64 + 2) as usize {
            number if number < FILTERS.len() => FILTERS[number],
            _ => SHARED,
        };
        let context = self.context();
        let subscriber = &mut self.subscribers[at];
        let Some(mut client) = subscriber.client.take() else { return };
        if subscriber.filters.get(filter) != Some(&Stands::Yes) {
            subscriber.filters.insert(filter, Stands::Perhaps);
        }
        if client.try_subscribe(&[(filter, QoS::AtLeastOnce)]).is_err() {
            return;
        }
        // Messages come meanwhile.
        while let Ok(packet) = client.try_receive() {
            match packet {
                Received::SubAck(codes) => {
                    assert_eq!(codes, [1], "{context}");
                    subscriber.filters.insert(filter, Stands::Yes);
                    subscriber.client = Some(client);
                    return;
                }
                Received::Publish { topic, payload, .. } => {
                    subscriber.heard(&topic, &payload, &context, &mut self.counts);
                }
                other => unreachable!("{context}: {other:?}"),
            }
        }
    }

    fn unsubscribe(&mut self) {
        let at = self.pick();
        let context = self.context();
        let subscriber = &mut self.subscribers[at];
        // The group keeps its members: else what waits for it goes with the last one.
        let filters: Vec<_> = subscriber.filters.keys().copied().filter(|filter| *filter != SHARED).collect();
        let Some(&filter) = filters.get(self.random.below(filters.len() as u64) as usize) else { return };
        let Some(mut client) = subscriber.client.take() else { return };
        subscriber.filters.insert(filter, Stands::Perhaps);
        let parsed = [TopicFilter::parse(filter).unwrap()];
        let packet = Packet::Unsubscribe(Unsubscribe {
            packet_id: PacketId::FIRST,
            properties: Properties::NONE,
            filters: UnsubscribeFilters::from_slice(&parsed),
        });
        if client.try_send(&packet).is_err() {
            return;
        }
        while let Ok(packet) = client.try_receive() {
            match packet {
                Received::UnsubAck(_) => {
                    subscriber.filters.remove(filter);
                    subscriber.client = Some(client);
                    return;
                }
                Received::Publish { topic, payload, .. } => {
                    subscriber.heard(&topic, &payload, &context, &mut self.counts);
                }
                other => unreachable!("{context}: {other:?}"),
            }
        }
    }

    /// Takes what has come, and acknowledges it or not.
    fn listen(&mut self, at: usize, acknowledges: bool) -> bool {
        let context = self.context();
        let subscriber = &mut self.subscribers[at];
        let Some(mut client) = subscriber.client.take() else { return false };
        let mut count = 0;
        if client.try_send(&Packet::PingReq).is_err() {
            return false;
        }
        loop {
            match client.try_receive() {
                Ok(Received::Pong) => break,
                Ok(Received::Publish { topic, payload, packet_id, .. }) => {
                    count += 1;
                    subscriber.heard(&topic, &payload, &context, &mut self.counts);
                    if acknowledges && let Some(packet_id) = packet_id.and_then(PacketId::new) {
                        let _ = client.try_send(&Packet::PubAck(mqtt_wire::Ack::success(packet_id)));
                    }
                }
                Ok(other) => unreachable!("{context}: {other:?}"),
                Err(error) => {
                    assert!(error.kind() != io::ErrorKind::WouldBlock, "{context}: the server is silent");
                    return false;
                }
            }
        }
        subscriber.client = Some(client);
        count > 0
    }

    /// The server ends in one of three ways, and another one starts.
    fn end(&mut self) {
        let cloud = self.cloud.take().unwrap();
        match self.random.below(4) {
            0 => {
                self.counts.restarts += 1;
                cloud.broker.drain(support::PATIENCE);
                drop(cloud);
                self.disk.power_off();
                self.disk.restart();
            }
            1 => {
                self.counts.kills += 1;
                self.disk.power_off();
                drop(cloud);
                self.disk.restart();
            }
            _ => {
                self.counts.cuts += 1;
                self.disk.power_off();
                drop(cloud);
                self.disk.power_on(self.random.next_u64());
            }
        }
        self.publishing = None;
        for subscriber in &mut self.subscribers {
            subscriber.client = None;
        }
        self.cloud = Some(start(&self.disk, 1 + self.random.below(3) as usize));
    }

    /// Everybody comes and takes all there is.
    fn collect(&mut self) {
        let context = self.context();
        for at in 0..self.subscribers.len() {
            self.connect(at);
            assert!(self.subscribers[at].client.is_some(), "{context}: cannot connect");
        }
        let is_complete = |world: &Self| {
            world.subscribers.iter().all(|one| one.expected.is_subset(&one.got))
                && world
                    .for_group
                    .iter()
                    .all(|payload| world.subscribers.iter().any(|one| one.got.contains(payload)))
        };
        let began = std::time::Instant::now();
        while !is_complete(self) {
            assert!(
                began.elapsed() < support::PATIENCE,
                "{context}: lost {:?}, of the group {:?}",
                self.subscribers
                    .iter()
                    .map(|one| one.expected.difference(&one.got).cloned().collect::<Vec<_>>())
                    .collect::<Vec<_>>(),
                self.for_group
                    .iter()
                    .filter(|payload| !self.subscribers.iter().any(|one| one.got.contains(*payload)))
                    .collect::<Vec<_>>(),
            );
            for at in 0..self.subscribers.len() {
                self.listen(at, true);
            }
        }
        for subscriber in &self.subscribers {
            // What only its own subscriptions brought comes in the publisher's order.
            if !subscriber.filters.contains_key(SHARED) {
                let numbers: Vec<usize> =
                    subscriber.order.iter().map(|payload| payload.parse().unwrap()).collect();
                assert!(numbers.is_sorted(), "{context}: out of order: {numbers:?}");
            }
        }
    }
}

#[test]
fn what_is_acknowledged_reaches_everybody_who_subscribed() {
    let mut total = Counts::default();
    for seed in 0..seeds() {
        let mut world = World::new(seed);
        for _ in 0..3 {
            if world.random.chance(60) {
                let operations = world.random.below(150);
                world.disk.power_off_after(operations);
            }
            for _ in 0..60 {
                world.step();
            }
            world.end();
        }
        world.collect();
        let Counts { published, delivered, again, cuts, kills, restarts, breaks } = world.counts;
        total = Counts {
            published: total.published + published,
            delivered: total.delivered + delivered,
            again: total.again + again,
            cuts: total.cuts + cuts,
            kills: total.kills + kills,
            restarts: total.restarts + restarts,
            breaks: total.breaks + breaks,
        };
    }
    let Counts { published, delivered, again, cuts, kills, restarts, breaks } = total;
    println!(
        "{} seeds: {published} messages acknowledged, {delivered} delivered and {again} again, over {breaks} broken \
         links, {restarts} restarts, {kills} kills, {cuts} power cuts",
        seeds()
    );
    assert!(published > 0 && delivered > 0 && cuts + kills + restarts > 0, "nothing happened");
}
