//! Valid packets of both versions, made at random: owned twins of [`Packet`], because a borrowing packet cannot leave
//! its strategy.

mod block;

use block::Block;
use mqtt_wire::ProtocolVersion::{self, V5, V311};
use mqtt_wire::properties::Carrier;
use mqtt_wire::{
    Ack, Auth, ConnAck, Connect, Disconnect, FilterRequest, Packet, PacketId, PacketKind, PropertyId,
    Publish, QoS, ReasonCode, ReasonCodes, RetainHandling, SubAck, Subscribe, SubscribeFilters,
    SubscriptionOptions, TopicFilter, TopicName, UnsubAck, Unsubscribe, UnsubscribeFilters, Will,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Larger than any packet made here.
pub(crate) const BUFFER_BYTES: usize = 16 * 1024;

/// A packet and the version in which it is written.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) version: ProtocolVersion,
    packet: MadePacket,
}

#[derive(Clone, Debug)]
enum MadePacket {
    Connect(MadeConnect),
    ConnAck(bool, ReasonCode, Block),
    Publish(MadePublish),
    Ack(PacketKind, PacketId, ReasonCode, Block),
    Subscribe(PacketId, Block, Vec<(String, SubscriptionOptions)>),
    SubAck(PacketId, Block, Vec<ReasonCode>),
    Unsubscribe(PacketId, Block, Vec<String>),
    UnsubAck(PacketId, Block, Vec<ReasonCode>),
    Ping(bool),
    Disconnect(ReasonCode, Block),
    Auth(ReasonCode, Block),
}

#[derive(Clone, Debug)]
struct MadeConnect {
    clean_start: bool,
    keep_alive_s: u16,
    block: Block,
    client_id: String,
    will: Option<MadeWill>,
    username: Option<String>,
    password: Option<Vec<u8>>,
}

#[derive(Clone, Debug)]
struct MadeWill {
    topic: String,
    payload: Vec<u8>,
    qos: QoS,
    retain: bool,
    block: Block,
}

#[derive(Clone, Debug)]
struct MadePublish {
    dup: bool,
    qos: QoS,
    retain: bool,
    topic: String,
    /// Leaves the topic out when there is an alias for it.
    by_alias: bool,
    id: PacketId,
    block: Block,
    payload: Vec<u8>,
}

impl Made {
    /// Gives the packet to `look`.
    pub(crate) fn with<T>(&self, look: impl FnOnce(Packet<'_>) -> T) -> T {
        let mut buffer = vec![0; BUFFER_BYTES];
        match &self.packet {
            MadePacket::Connect(made) => made.with(self.version, |connect| look(Packet::Connect(connect))),
            MadePacket::ConnAck(session_present, reason, block) => look(Packet::ConnAck(ConnAck {
                session_present: *session_present && *reason == ReasonCode::Success,
                reason: *reason,
                properties: block.write(&mut buffer),
            })),
            MadePacket::Publish(made) => look(Packet::Publish(made.publish(&mut buffer))),
            MadePacket::Ack(kind, packet_id, reason, block) => {
                let properties = block.write(&mut buffer);
                let ack = Ack { packet_id: *packet_id, reason: *reason, properties };
                look(match kind {
                    PacketKind::PubAck => Packet::PubAck(ack),
                    PacketKind::PubRec => Packet::PubRec(ack),
                    PacketKind::PubRel => Packet::PubRel(ack),
                    _ => Packet::PubComp(ack),
                })
            }
            MadePacket::Subscribe(packet_id, block, requests) => {
                let requests: Vec<_> = requests
                    .iter()
                    .map(|(filter, options)| FilterRequest {
                        filter: TopicFilter::parse(filter).unwrap(),
                        options: *options,
                    })
                    .collect();
                look(Packet::Subscribe(Subscribe {
                    packet_id: *packet_id,
                    properties: block.write(&mut buffer),
                    filters: SubscribeFilters::from_slice(&requests),
                }))
            }
            MadePacket::SubAck(packet_id, block, codes) => look(Packet::SubAck(SubAck {
                packet_id: *packet_id,
                properties: block.write(&mut buffer),
                codes: ReasonCodes::from_slice(codes),
            })),
            MadePacket::Unsubscribe(packet_id, block, filters) => {
                let filters: Vec<_> =
                    filters.iter().map(|filter| TopicFilter::parse(filter).unwrap()).collect();
                look(Packet::Unsubscribe(Unsubscribe {
                    packet_id: *packet_id,
                    properties: block.write(&mut buffer),
                    filters: UnsubscribeFilters::from_slice(&filters),
                }))
            }
            MadePacket::UnsubAck(packet_id, block, codes) => look(Packet::UnsubAck(UnsubAck {
                packet_id: *packet_id,
                properties: block.write(&mut buffer),
                codes: ReasonCodes::from_slice(codes),
            })),
            MadePacket::Ping(answer) => look(if *answer { Packet::PingResp } else { Packet::PingReq }),
            MadePacket::Disconnect(reason, block) => {
                let properties = block.write(&mut buffer);
                look(Packet::Disconnect(Disconnect { reason: *reason, properties }))
            }
            MadePacket::Auth(reason, block) => {
                look(Packet::Auth(Auth { reason: *reason, properties: block.write(&mut buffer) }))
            }
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = vec![0; BUFFER_BYTES];
        let written = self.with(|packet| packet.encode(self.version, &mut out)).unwrap();
        out.truncate(written);
        out
    }
}

impl MadeConnect {
    fn with<T>(&self, version: ProtocolVersion, look: impl FnOnce(Connect<'_>) -> T) -> T {
        let (mut buffer, mut will_buffer) = (vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]);
        let will = self.will.as_ref().map(|will| Will {
            topic: TopicName::parse(&will.topic).unwrap(),
            payload: &will.payload,
            qos: will.qos,
            retain: will.retain,
            properties: will.block.write(&mut will_buffer),
        });
        let password = self.password.as_deref();
        look(Connect {
            version,
            clean_start: self.clean_start,
            keep_alive_s: self.keep_alive_s,
            properties: self.block.write(&mut buffer),
            client_id: &self.client_id,
            will,
            username: self.username.as_deref(),
            password: password.filter(|_| version == V5 || self.username.is_some()),
        })
    }
}

impl MadePublish {
    fn publish<'a>(&'a self, buffer: &'a mut [u8]) -> Publish<'a> {
        let properties = self.block.write(buffer);
        let is_named = !self.by_alias || properties.topic_alias().is_none();
        Publish {
            dup: self.dup && self.qos != QoS::AtMostOnce,
            qos: self.qos,
            retain: self.retain,
            topic: is_named.then(|| TopicName::parse(&self.topic).unwrap()),
            packet_id: (self.qos != QoS::AtMostOnce).then_some(self.id),
            properties,
            payload: &self.payload,
        }
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

pub(crate) fn topic() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z$/é ]{1,60}", "[a-c]{0,1}(/[a-c]{0,1}){1,4}"]
}

pub(crate) fn filter() -> impl Strategy<Value = String> {
    "([a-c$]{0,1}|\\+)(/([a-c]{0,1}|\\+)){1,4}(/#)?"
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    // Both sides of the first two steps of the remaining length.
    prop_oneof![vec(any::<u8>(), 0..20), vec(any::<u8>(), 100..140)]
}

/// A block of properties for a packet.
fn block(version: ProtocolVersion, kind: PacketKind) -> BoxedStrategy<Block> {
    Block::strategy(version, Carrier::Packet(kind))
}

/// The codes that a packet may carry, or stand for what it may carry in MQTT 3.1.1.
fn reason(version: ProtocolVersion, kind: PacketKind) -> BoxedStrategy<ReasonCode> {
    let in_311: &[u8] = match kind {
        PacketKind::ConnAck => &[0x00, 0x84, 0x85, 0x86, 0x87, 0x88],
        PacketKind::SubAck => &[0x00, 0x01, 0x02, 0x80],
        _ => &[0x00],
    };
    let codes = (0..=255).filter(|byte| version == V5 || in_311.contains(byte));
    let codes = codes.filter_map(ReasonCode::from_byte).filter(|code| code.is_allowed_in(kind));
    select(codes.collect::<Vec<_>>()).boxed()
}

fn options(version: ProtocolVersion) -> BoxedStrategy<SubscriptionOptions> {
    let handling = select(vec![RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend]);
    let options = (qos(), any::<bool>(), any::<bool>(), handling).prop_map(
        move |(qos, no_local, retain_as_published, retain_handling)| match version {
            V311 => SubscriptionOptions::at_most(qos),
            V5 => SubscriptionOptions { qos, no_local, retain_as_published, retain_handling },
        },
    );
    options.boxed()
}

fn will(version: ProtocolVersion) -> impl Strategy<Value = MadeWill> {
    let block = Block::strategy(version, Carrier::Will);
    (topic(), payload(), qos(), any::<bool>(), block)
        .prop_map(|(topic, payload, qos, retain, block)| MadeWill { topic, payload, qos, retain, block })
}

fn connect(version: ProtocolVersion) -> impl Strategy<Value = MadePacket> {
    let credentials = (option::of(text()), option::of(payload()));
    let block = block(version, PacketKind::Connect);
    (any::<bool>(), any::<u16>(), block, text(), option::of(will(version)), credentials).prop_map(
        |(clean_start, keep_alive_s, block, client_id, will, (username, password))| {
            MadePacket::Connect(MadeConnect {
                clean_start,
                keep_alive_s,
                block,
                client_id,
                will,
                username,
                password,
            })
        },
    )
}

fn publish(version: ProtocolVersion) -> impl Strategy<Value = MadePacket> {
    let flags = (any::<bool>(), qos(), any::<bool>(), any::<bool>());
    (flags, topic(), packet_id(), block(version, PacketKind::Publish), payload()).prop_map(
        |((dup, qos, retain, by_alias), topic, id, block, payload)| {
            MadePacket::Publish(MadePublish { dup, qos, retain, topic, by_alias, id, block, payload })
        },
    )
}

fn ack(version: ProtocolVersion) -> impl Strategy<Value = MadePacket> {
    let kinds = [PacketKind::PubAck, PacketKind::PubRec, PacketKind::PubRel, PacketKind::PubComp];
    select(kinds.to_vec()).prop_flat_map(move |kind| {
        (packet_id(), reason(version, kind), block(version, kind))
            .prop_map(move |(id, reason, block)| MadePacket::Ack(kind, id, reason, block))
    })
}

fn packet(version: ProtocolVersion) -> BoxedStrategy<MadePacket> {
    use PacketKind::{Auth, ConnAck, Disconnect, SubAck, Subscribe, UnsubAck, Unsubscribe};
    let reasons = move |kind| vec(reason(version, kind), 1..10);
    let in_both = prop_oneof![
        connect(version),
        (any::<bool>(), reason(version, ConnAck), block(version, ConnAck))
            .prop_map(|(present, reason, block)| MadePacket::ConnAck(present, reason, block)),
        publish(version),
        ack(version),
        (packet_id(), block(version, Subscribe), vec((filter(), options(version)), 1..10))
            .prop_map(|(id, block, requests)| MadePacket::Subscribe(id, block, requests)),
        (packet_id(), block(version, SubAck), reasons(SubAck))
            .prop_map(|(id, block, codes)| MadePacket::SubAck(id, block, codes)),
        (packet_id(), block(version, Unsubscribe), vec(filter(), 1..10))
            .prop_map(|(id, block, filters)| MadePacket::Unsubscribe(id, block, filters)),
        (packet_id(), block(version, UnsubAck), reasons(UnsubAck)).prop_map(move |(id, block, codes)| {
            MadePacket::UnsubAck(id, block, if version == V5 { codes } else { vec![] })
        }),
        any::<bool>().prop_map(MadePacket::Ping),
        (reason(version, Disconnect), block(version, Disconnect))
            .prop_map(|(reason, block)| MadePacket::Disconnect(reason, block)),
    ];
    if version == V311 {
        return in_both.boxed();
    }
    let with_method = block(version, Auth)
        .prop_filter("a step needs its method", |block| block.has(PropertyId::AuthenticationMethod));
    let auth =
        (reason(version, Auth), with_method).prop_map(|(reason, block)| MadePacket::Auth(reason, block));
    prop_oneof![10 => in_both, 1 => auth].boxed()
}

pub(crate) fn made_in(version: ProtocolVersion) -> impl Strategy<Value = Made> {
    packet(version).prop_map(move |packet| Made { version, packet })
}

pub(crate) fn version() -> impl Strategy<Value = ProtocolVersion> {
    prop_oneof![Just(V311), Just(V5)]
}

pub(crate) fn made() -> impl Strategy<Value = Made> {
    prop_oneof![made_in(V311), made_in(V5)]
}
