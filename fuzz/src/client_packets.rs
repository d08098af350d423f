//! What a client may send: packets that mostly are right, from `arbitrary` values, as bytes.
//!
//! A session is never asked about bytes that are no packet, and a fuzzer that has to find packets by chance finds few
//! sequences of them. What no shape here can say is in [`Said::Raw`].

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use mqtt_wire::ProtocolVersion::{self, V5, V311};
use mqtt_wire::{
    Ack, Connect, Disconnect, FilterRequest, Packet, PacketId, PropertiesWriter, Property, Publish, QoS,
    ReasonCode, RetainHandling, Subscribe, SubscribeFilters, SubscriptionOptions, TopicFilter, TopicName,
    Unsubscribe, UnsubscribeFilters, Will,
};
use std::num::{NonZeroU16, NonZeroU32};

/// Few, so that packets meet: the same topic, a filter that stands already, one that is refused.
const TOPICS: [&str; 6] = ["a", "a/b", "b", "$aws/rules/r/a", "1/2/3/4/5/6/7/8/9", "sixteen bytes it"];
const FILTERS: [&str; 8] =
    ["a", "a/#", "+/b", "$share/g/a", "$share/g/+", "$share/h/1/2/3/4/5/6/7/8/9", "1/2/3/4/5/6/7/8/9", "c"];

/// Identifiers that a client uses: fewer than the windows are large, so that it repeats itself.
const IDS: u8 = 12;

/// A CONNECT.
#[derive(Debug, Arbitrary)]
pub struct Connecting {
    is_v5: bool,
    clean_start: bool,
    keep_alive_s: u8,
    session_expiry_s: Option<u16>,
    receive_maximum: Option<u8>,
    packet_bytes_max: Option<u8>,
    will: Option<(u8, u8)>,
    client_id_bytes: u8,
}

/// A packet behind it.
#[derive(Debug, Arbitrary)]
pub enum Said {
    Publish { topic: Option<u8>, qos: u8, flags: u8, id: u8, alias: Option<u8>, payload_bytes: u8 },
    PubAck(u8),
    PubRec { id: u8, is_refusal: bool },
    PubRel(u8),
    PubComp(u8),
    Subscribe { id: u8, requests: Vec<(u8, u8)>, subscription_id: bool },
    Unsubscribe { id: u8, filters: Vec<u8> },
    Ping,
    Disconnect { reason: u8, session_expiry_s: Option<u8> },
    Connect(Connecting),
    Raw(Vec<u8>),
}

impl Connecting {
    /// What the packets of its connection are of.
    pub fn version(&self) -> ProtocolVersion {
        if self.is_v5 { V5 } else { V311 }
    }

    /// The packet; empty when there is none like that.
    pub fn bytes(&self) -> Vec<u8> {
        let mut room = [0; 64];
        let mut properties = PropertiesWriter::new(&mut room);
        if self.is_v5 {
            let receive_maximum = self.receive_maximum.map(|max| NonZeroU16::MIN.saturating_add(max.into()));
            let packet_bytes_max =
                self.packet_bytes_max.map(|max| NonZeroU32::MIN.saturating_add(max.into()));
            let agreed = [
                self.session_expiry_s.map(|expiry_s| Property::SessionExpiryIntervalS(expiry_s.into())),
                receive_maximum.map(Property::ReceiveMaximum),
                packet_bytes_max.map(Property::MaximumPacketSize),
            ];
            for property in agreed.into_iter().flatten() {
                properties.push(property).expect("there is room");
            }
        }
        let will = self.will.map(|(topic, qos)| Will {
            topic: topic_name(topic),
            payload: b"gone",
            qos: self::qos(qos),
            retain: qos & 0x80 != 0,
            properties: Default::default(),
        });
        let client_id = "x".repeat(self.client_id_bytes.into());
        bytes_of(
            &Packet::Connect(Connect {
                version: self.version(),
                clean_start: self.clean_start,
                keep_alive_s: self.keep_alive_s.into(),
                properties: properties.finish(),
                client_id: &client_id,
                will,
                username: None,
                password: None,
            }),
            self.version(),
        )
    }
}

impl Said {
    /// The packet; empty when there is none like that, as with properties in MQTT 3.1.1.
    pub fn bytes(&self, version: ProtocolVersion) -> Vec<u8> {
        let mut room = [0; 64];
        let mut properties = PropertiesWriter::new(&mut room);
        let mut push = |property| {
            if version == V5 {
                properties.push(property).expect("there is room");
            }
        };
        let packet = match self {
            Self::Raw(bytes) => return bytes.clone(),
            Self::Connect(connecting) => return connecting.bytes(),
            Self::Ping => Packet::PingReq,
            Self::PubAck(packet_id) => Packet::PubAck(Ack::success(id(*packet_id))),
            Self::PubRel(packet_id) => Packet::PubRel(Ack::success(id(*packet_id))),
            Self::PubComp(packet_id) => Packet::PubComp(Ack::success(id(*packet_id))),
            Self::PubRec { id: packet_id, is_refusal } => {
                let reason = if *is_refusal { ReasonCode::QuotaExceeded } else { ReasonCode::Success };
                Packet::PubRec(Ack { reason, ..Ack::success(id(*packet_id)) })
            }
            Self::Publish { topic, qos, flags, id: packet_id, alias, payload_bytes } => {
                if let Some(alias) = alias.and_then(|alias| NonZeroU16::new((alias % 8).into())) {
                    push(Property::TopicAlias(alias));
                }
                let qos = self::qos(*qos);
                let payload = vec![b'x'; usize::from(*payload_bytes)];
                let publish = Publish {
                    dup: flags & 1 != 0 && qos > QoS::AtMostOnce,
                    qos,
                    retain: flags & 2 != 0,
                    topic: topic.map(topic_name),
                    packet_id: (qos > QoS::AtMostOnce).then(|| id(*packet_id)),
                    properties: properties.finish(),
                    payload: &payload,
                };
                return bytes_of(&Packet::Publish(publish), version);
            }
            Self::Subscribe { id: packet_id, requests, subscription_id } => {
                if *subscription_id {
                    push(Property::SubscriptionIdentifier(
                        mqtt_wire::SubscriptionId::new(7).expect("in range"),
                    ));
                }
                let requests: Vec<_> = requests.iter().take(8).map(|pair| request(*pair, version)).collect();
                let filters = SubscribeFilters::from_slice(&requests);
                let subscribe =
                    Subscribe { packet_id: id(*packet_id), properties: properties.finish(), filters };
                return bytes_of(&Packet::Subscribe(subscribe), version);
            }
            Self::Unsubscribe { id: packet_id, filters } => {
                let filters: Vec<_> = filters.iter().take(8).map(|filter| topic_filter(*filter)).collect();
                let filters = UnsubscribeFilters::from_slice(&filters);
                let properties = properties.finish();
                return bytes_of(
                    &Packet::Unsubscribe(Unsubscribe { packet_id: id(*packet_id), properties, filters }),
                    version,
                );
            }
            Self::Disconnect { reason, session_expiry_s } => {
                if let Some(expiry_s) = session_expiry_s {
                    push(Property::SessionExpiryIntervalS((*expiry_s).into()));
                }
                let reasons =
                    [ReasonCode::Success, ReasonCode::DisconnectWithWill, ReasonCode::ServerShuttingDown];
                let reason = reasons[usize::from(*reason) % reasons.len()];
                Packet::Disconnect(Disconnect { reason, properties: properties.finish() })
            }
        };
        bytes_of(&packet, version)
    }
}

fn bytes_of(packet: &Packet<'_>, version: ProtocolVersion) -> Vec<u8> {
    let mut bytes = vec![0; packet.encoded_len(version)];
    match packet.encode(version, &mut bytes) {
        Ok(length) => bytes.truncate(length),
        Err(_) => bytes.clear(),
    }
    bytes
}

fn id(number: u8) -> PacketId {
    PacketId::new(u16::from(number % IDS) + 1).expect("not 0")
}

/// An exchange of QoS 2 is rarer than the others.
fn qos(number: u8) -> QoS {
    match number & 7 {
        0..3 => QoS::AtMostOnce,
        3..6 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

fn topic_name(index: u8) -> TopicName<'static> {
    TopicName::parse(TOPICS[usize::from(index) % TOPICS.len()]).expect("a topic")
}

fn topic_filter(index: u8) -> TopicFilter<'static> {
    TopicFilter::parse(FILTERS[usize::from(index) % FILTERS.len()]).expect("a filter")
}

fn request((filter, options): (u8, u8), version: ProtocolVersion) -> FilterRequest<'static> {
    let filter = topic_filter(filter);
    let plain = SubscriptionOptions::at_most(qos(options));
    let options = match version {
        V311 => plain,
        V5 => SubscriptionOptions {
            no_local: options & 8 != 0 && !filter.starts_with("$share"),
            retain_as_published: options & 16 != 0,
            retain_handling: if options & 32 != 0 { RetainHandling::SendIfNew } else { RetainHandling::Send },
            ..plain
        },
    };
    FilterRequest { filter, options }
}
