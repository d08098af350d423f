//! What clients do.

use super::client::{InFlight, Kind, Stands, Subscription};
use super::knowledge::{GROUP_TOPICS, SHARED};
use super::world::{Message, PROFILES, World};
use mqtt_wire::{
    Ack, Connect, Disconnect, FilterRequest, Packet, PacketId, Properties, PropertiesWriter, Property,
    ProtocolVersion, Publish, QoS, ReasonCode, Subscribe, SubscribeFilters, SubscriptionOptions, TopicFilter,
    TopicName, Unsubscribe, UnsubscribeFilters, Will,
};
use std::num::NonZeroU16;

const FILTERS: [&str; 4] = ["t/a", "t/+", "t/#", "secret/a"];
const TOPICS: [&str; 6] = ["t/a", "t/b", "secret/a", GROUP_TOPICS[0], GROUP_TOPICS[1], GROUP_TOPICS[2]];

/// Messages that a publisher has without PUBACK, at most.
const IN_FLIGHT_MAX: usize = 5;

/// What MQTT 3.1.1's clients take: they cannot say.
const RECEIVE_MAXIMUM_DEFAULT: u16 = u16::MAX;

const KEEP_ALIVE_S: u16 = 60;

impl World {
    /// A client does something, or not.
    pub(super) fn act(&mut self, at: usize) {
        let kind = self.clients[at].profile.kind;
        let Some(link) = &self.clients[at].link else {
            if self.random.chance(60) {
                self.connect(at);
            }
            return;
        };
        if link.is_lost && self.random.chance(5) {
            self.note(format_args!("{} finds that its link is lost", self.clients[at].profile.name));
            return self.hang_up(at);
        }
        if self.random.chance(2) && kind != Kind::Intruder {
            self.counts.takeovers += 1;
            self.leave(at, None);
            return self.connect(at);
        }
        let Some(link) = &self.clients[at].link else { return };
        if !link.is_open {
            return;
        }
        if self.random.chance(2) {
            self.send(at, &Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
            self.clients[at].away_since.get_or_insert(self.now);
            if let Some(link) = self.clients[at].link.as_mut() {
                link.is_open = false;
            }
            return;
        }
        match kind {
            Kind::Publisher => self.publish(at),
            Kind::Subscriber | Kind::Visitor | Kind::Barred => match self.random.below(100) {
                0..=24 => self.subscribe(at),
                25..=29 => self.unsubscribe(at),
                _ => self.acknowledge(at),
            },
            Kind::Intruder => {}
        }
    }

    /// The same when nothing breaks; gives whether there was anything to do.
    pub(super) fn act_calmly(&mut self, at: usize) -> bool {
        if self.clients[at].profile.kind == Kind::Intruder {
            return false;
        }
        match &self.clients[at].link {
            None => {
                self.connect(at);
                true
            }
            Some(link) => {
                let is_busy = !link.acks.is_empty();
                self.acknowledge(at);
                is_busy
            }
        }
    }

    fn connect(&mut self, at: usize) {
        let is_clean = !self.is_calm && self.random.chance(4);
        self.connect_as(at, is_clean);
    }

    pub(super) fn connect_as(&mut self, at: usize, is_clean: bool) {
        let profile = self.clients[at].profile;
        let is_persistent = matches!(profile.kind, Kind::Publisher | Kind::Subscriber);
        let is_clean = is_clean || !is_persistent;
        let mut link = self.dial();
        link.is_clean = is_clean;
        // MQTT 3.1.1 cannot begin anew and stay.
        link.is_persistent = is_persistent && (profile.version == ProtocolVersion::V5 || !is_clean);
        link.receive_maximum = match profile.version {
            ProtocolVersion::V5 => 1 + self.random.below(u64::from(profile.receive_maximum)) as u16,
            ProtocolVersion::V311 => RECEIVE_MAXIMUM_DEFAULT,
        };
        if is_persistent {
            link.session_before = self.clients[at].session;
            if is_clean {
                self.counts.begun_anew += 1;
                self.lose_session(at, Stands::Perhaps);
            } else if self.clients[at].session == Stands::No {
                self.clients[at].session = Stands::Perhaps;
            }
        } else {
            self.clients[at].filters.clear();
        }
        let (mut room, mut will_room) = ([0; 64], [0; 64]);
        let mut properties = PropertiesWriter::new(&mut room);
        let mut of_will = PropertiesWriter::new(&mut will_room);
        if profile.version == ProtocolVersion::V5 {
            let maximum = NonZeroU16::new(link.receive_maximum).expect("at least one");
            properties.push(Property::ReceiveMaximum(maximum)).unwrap();
            if is_persistent {
                properties
                    .push(Property::SessionExpiryIntervalS(super::world::EXPIRY.as_secs() as u32))
                    .unwrap();
            }
            of_will.push(Property::WillDelayIntervalS(30)).unwrap();
        }
        let will = (profile.kind == Kind::Publisher).then(|| Will {
            topic: TopicName::parse("t/a").unwrap(),
            payload: b"a will",
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: of_will.finish(),
        });
        let client_id = match profile.kind {
            Kind::Intruder => PROFILES[self.random.below(8) as usize].name,
            _ => profile.name,
        };
        let connect = Packet::Connect(Connect {
            version: profile.version,
            clean_start: is_clean,
            keep_alive_s: KEEP_ALIVE_S,
            properties: properties.finish(),
            client_id,
            will,
            username: None,
            password: None,
        });
        self.clients[at].link = Some(link);
        self.send(at, &connect);
    }

    /// A packet has arrived.
    pub(super) fn receive(&mut self, at: usize, packet: &Packet<'_>) {
        let Some(link) = &mut self.clients[at].link else { return };
        match packet {
            Packet::ConnAck(connack) => {
                link.is_open = true;
                let messages: Vec<_> = self.clients[at].in_flight.iter().map(|one| one.message).collect();
                // [MQTT311 4.4.0-1] In the order in which they were sent first.
                for (place, message) in messages.into_iter().enumerate() {
                    self.transmit(at, place, message, connack.session_present);
                }
            }
            Packet::PubAck(ack) => {
                self.clients[at].in_flight.retain(|one| one.packet_id != ack.packet_id);
            }
            Packet::SubAck(_) | Packet::UnsubAck(_) => link.asked = None,
            Packet::Publish(publish) => {
                self.hear(at, publish);
                let Some(link) = &mut self.clients[at].link else { return };
                let Some(packet_id) = publish.packet_id else { return };
                link.outstanding.push(packet_id);
                if !link.is_mute {
                    link.acks.push_back(packet_id);
                    if self.is_calm || self.random.chance(50) {
                        self.acknowledge(at);
                    }
                }
            }
            _ => {}
        }
    }

    /// Acknowledges what has come, some of it or all.
    fn acknowledge(&mut self, at: usize) {
        let Some(link) = &self.clients[at].link else { return };
        let count = link.acks.len();
        let count = if self.is_calm { count } else { self.random.below(count as u64 + 1) as usize };
        for _ in 0..count {
            let Some(link) = &mut self.clients[at].link else { return };
            let Some(packet_id) = link.acks.pop_front() else { return };
            link.outstanding.retain(|one| *one != packet_id);
            self.send(at, &Packet::PubAck(Ack::success(packet_id)));
        }
    }

    fn publish(&mut self, at: usize) {
        for _ in 0..1 + self.random.below(2) {
            let client = &mut self.clients[at];
            if client.in_flight.len() >= IN_FLIGHT_MAX {
                return;
            }
            let topic = TOPICS[self.random.below(TOPICS.len() as u64) as usize];
            let message = self.messages.len();
            self.messages.push(Message { publisher: at, topic, first_promised: self.promise(topic).clients });
            let client = &mut self.clients[at];
            if self.random.chance(10) {
                let payload = format!("{message} at most once");
                self.send(at, &publish_of(topic, &payload, None, false));
                continue;
            }
            let packet_id = client.next_packet_id;
            client.next_packet_id = packet_id.next();
            client.in_flight.push_back(InFlight { message, packet_id, promised: None });
            let place = client.in_flight.len() - 1;
            self.transmit(at, place, message, false);
        }
    }

    fn transmit(&mut self, at: usize, place: usize, message: usize, dup: bool) {
        let topic = self.messages[message].topic;
        let promised = self.promise(topic);
        let Some(in_flight) = self.clients[at].in_flight.get_mut(place) else { return };
        in_flight.promised = Some(promised);
        let payload = format!("{message} {:.*}", message % 40, "........................................");
        let packet_id = in_flight.packet_id;
        self.send(at, &publish_of(topic, &payload, Some(packet_id), dup));
    }

    fn subscribe(&mut self, at: usize) {
        let profile = self.clients[at].profile;
        if self.clients[at].link.as_ref().is_none_or(|link| link.asked.is_some()) {
            return;
        }
        let filter = match self.random.below(6) as usize {
            number if profile.shares && number < SHARED.len() => SHARED[number],
            2 if at == super::world::NO_SECRETS_CLIENT => SHARED[2],
            _ => FILTERS[self.random.below(FILTERS.len() as u64) as usize],
        };
        if profile.kind != Kind::Barred && !self.clients[at].filters.contains_key(filter) {
            let id = self.new_id();
            self.clients[at].filters.insert(filter, Subscription { stands: false, id });
        }
        if let Some(link) = &mut self.clients[at].link {
            link.asked = Some((filter, true));
        }
        let request = FilterRequest {
            filter: TopicFilter::parse(filter).unwrap(),
            options: SubscriptionOptions::at_most(QoS::AtLeastOnce),
        };
        self.send(
            at,
            &Packet::Subscribe(Subscribe {
                packet_id: PacketId::FIRST,
                properties: Properties::NONE,
                filters: SubscribeFilters::from_slice(&[request]),
            }),
        );
    }

    fn unsubscribe(&mut self, at: usize) {
        let client = &self.clients[at];
        if client.filters.is_empty() || client.link.as_ref().is_none_or(|link| link.asked.is_some()) {
            return;
        }
        let place = self.random.below(client.filters.len() as u64) as usize;
        let Some(filter) = self.clients[at].filters.keys().nth(place).copied() else { return };
        self.doubt(at, filter);
        if let Some(link) = &mut self.clients[at].link {
            link.asked = Some((filter, false));
        }
        let filters = [TopicFilter::parse(filter).unwrap()];
        self.send(
            at,
            &Packet::Unsubscribe(Unsubscribe {
                packet_id: PacketId::FIRST,
                properties: Properties::NONE,
                filters: UnsubscribeFilters::from_slice(&filters),
            }),
        );
    }
}

fn publish_of<'a>(topic: &'a str, payload: &'a str, packet_id: Option<PacketId>, dup: bool) -> Packet<'a> {
    let qos = if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
    Packet::Publish(Publish {
        dup,
        qos,
        retain: false,
        topic: Some(TopicName::parse(topic).unwrap()),
        packet_id,
        properties: Properties::NONE,
        payload: payload.as_bytes(),
    })
}
