//! Whatever a client sends and the server does, a session keeps its bounds and never panics.
#![expect(clippy::unwrap_used, reason = "the packets of these tests are valid by construction")]

use mqtt_session::{Delivery, Event, Limits, Outgoing, Rate, Session};
use mqtt_wire::{
    Ack, ConnAck, Connect, Disconnect, FilterRequest, Packet, PacketId, Properties, ProtocolVersion::V311,
    Publish, QoS, ReasonCode, Subscribe, SubscribeFilters, SubscriptionOptions, TopicFilter, TopicName,
    Unsubscribe, UnsubscribeFilters,
};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

const FILTERS: [&str; 5] = ["a", "a/#", "+/b", "$share/g/a", "1/2/3/4/5/6/7/8/9"];
const TOPICS: [&str; 3] = ["a", "a/b", "$aws/rules/r/a"];

#[derive(Clone, Debug)]
enum Step {
    Publish(usize, u8, u16, usize),
    Subscribe(Vec<(usize, u8)>),
    Unsubscribe(usize),
    PubAck(u16),
    /// Acknowledges the oldest delivery, as clients do.
    PubAckOldest,
    Other(u8),
    Deliver(u8, usize),
    Hold(usize),
    NextDelivery,
    Commit(u64),
    Wait(u64),
}

/// Mostly what clients do, so that sequences get far; now and then what ends the connection.
fn step() -> impl Strategy<Value = Step> {
    let qos = || prop_oneof![20 => Just(0_u8), 40 => Just(1_u8), 1 => Just(2_u8)];
    let payload_bytes = prop_oneof![60 => 0..17_usize, 1 => Just(17_usize)];
    let other = prop_oneof![20 => Just(0_u8), 1 => 0..7_u8];
    let seconds = prop_oneof![30 => 0..20_u64, 1 => 0..100_u64];
    let requests = prop_oneof![
        30 => proptest::collection::vec((0..FILTERS.len(), qos()), 1..5),
        1 => proptest::collection::vec((0..FILTERS.len(), qos()), 5..6),
    ];
    prop_oneof![
        4 => (0..TOPICS.len(), qos(), 1..6_u16, payload_bytes)
            .prop_map(|(topic, qos, id, payload_bytes)| Step::Publish(topic, qos, id, payload_bytes)),
        2 => requests.prop_map(Step::Subscribe),
        1 => (0..FILTERS.len()).prop_map(Step::Unsubscribe),
        1 => (1..9_u16).prop_map(Step::PubAck),
        3 => Just(Step::PubAckOldest),
        1 => other.prop_map(Step::Other),
        5 => (0..2_u8, 1..40_usize).prop_map(|(qos, bytes)| Step::Deliver(qos, bytes)),
        1 => (1..40_usize).prop_map(Step::Hold),
        2 => Just(Step::NextDelivery),
        2 => (0..4_u64).prop_map(Step::Commit),
        2 => seconds.prop_map(Step::Wait),
    ]
}

/// Few enough that a sequence exceeds it now and then.
const PUBLISHES_PER_S: u32 = 6;

fn limits() -> Limits {
    Limits {
        payload_bytes_max: 16,
        filters_per_subscribe_max: 4,
        subscriptions_max: 2,
        inflight_inbound_max: 3,
        inflight_outbound_max: 3,
        pending_deliveries_max: 4,
        pending_bytes_max: 60,
        connection_publishes_per_s: Rate::per_second(PUBLISHES_PER_S),
        ..Limits::aws()
    }
}

/// The session together with what must be true of it.
struct Model {
    session: Session<(u32, usize)>,
    now: Instant,
    /// PUBACKs owed, oldest first.
    owed: VecDeque<PacketId>,
    position: u64,
    committed: u64,
    /// Sent and not acknowledged.
    inflight: VecDeque<PacketId>,
    pending: VecDeque<(u32, usize)>,
    next_frame: u32,
    /// PUBLISH packets that were taken since time has passed: by whole seconds, which fill the bucket.
    taken: u32,
}

impl Model {
    fn new() -> Self {
        let now = Instant::now();
        let connect = Connect {
            version: V311,
            clean_start: true,
            properties: Properties::NONE,
            keep_alive_s: 30,
            client_id: "c",
            will: None,
            username: None,
            password: None,
        };
        let session = Session::accept(&connect, &Arc::new(limits()), now).unwrap().0;
        Self {
            session,
            now,
            owed: VecDeque::new(),
            position: 0,
            committed: 0,
            inflight: VecDeque::new(),
            pending: VecDeque::new(),
            next_frame: 0,
            taken: 0,
        }
    }

    /// `false` once the connection is over.
    fn step(&mut self, step: &Step) -> Result<bool, TestCaseError> {
        match step {
            Step::Publish(topic, qos, id, payload_bytes) => {
                let qos = QoS::from_number(*qos).unwrap();
                let packet_id = (qos != QoS::AtMostOnce).then(|| PacketId::new(*id).unwrap());
                let payload = vec![0; *payload_bytes];
                let topic = TopicName::parse(TOPICS[*topic]).unwrap();
                let publish = Publish {
                    dup: false,
                    qos,
                    retain: false,
                    topic: Some(topic),
                    packet_id,
                    properties: Properties::NONE,
                    payload: &payload,
                };
                return self.receive(Packet::Publish(publish));
            }
            Step::Subscribe(requests) => {
                let requests: Vec<_> = requests
                    .iter()
                    .map(|&(filter, qos)| FilterRequest {
                        filter: TopicFilter::parse(FILTERS[filter]).unwrap(),
                        options: SubscriptionOptions::at_most(QoS::from_number(qos).unwrap()),
                    })
                    .collect();
                let filters = SubscribeFilters::from_slice(&requests);
                return self.receive(Packet::Subscribe(Subscribe {
                    packet_id: PacketId::FIRST,
                    properties: Properties::NONE,
                    filters,
                }));
            }
            Step::Unsubscribe(filter) => {
                let filters = [TopicFilter::parse(FILTERS[*filter]).unwrap()];
                let filters = UnsubscribeFilters::from_slice(&filters);
                return self.receive(Packet::Unsubscribe(Unsubscribe {
                    packet_id: PacketId::FIRST,
                    properties: Properties::NONE,
                    filters,
                }));
            }
            Step::PubAck(id) => {
                return self.receive(Packet::PubAck(Ack::success(PacketId::new(*id).unwrap())));
            }
            Step::PubAckOldest => {
                if let Some(&id) = self.inflight.front() {
                    return self.receive(Packet::PubAck(Ack::success(id)));
                }
            }
            Step::Other(which) => {
                let ack = Ack::success(PacketId::FIRST);
                let others = [
                    Packet::PingReq,
                    Packet::Disconnect(Disconnect::NORMAL),
                    Packet::PubRec(ack),
                    Packet::PubRel(ack),
                    Packet::PubComp(ack),
                    Packet::PingResp,
                    Packet::ConnAck(ConnAck::new(ReasonCode::Success)),
                ];
                return self.receive(others[usize::from(*which)]);
            }
            Step::Deliver(qos, bytes) => {
                let frame = self.frame(*bytes);
                let qos = QoS::from_number(*qos).unwrap();
                let waited = !self.pending.is_empty();
                match self.session.deliver(qos, frame, *bytes) {
                    Delivery::Send(sent) if qos == QoS::AtMostOnce => prop_assert_eq!(sent.packet_id, None),
                    Delivery::Send(sent) => {
                        prop_assert!(!waited, "overtakes what waits");
                        self.sent(&sent, frame)?;
                    }
                    Delivery::Queued => self.pending.push_back(frame),
                    Delivery::Dropped(_) => self.check_full(*bytes)?,
                }
            }
            Step::Hold(bytes) => {
                let frame = self.frame(*bytes);
                match self.session.hold(QoS::AtLeastOnce, frame, *bytes) {
                    Delivery::Queued => self.pending.push_back(frame),
                    Delivery::Dropped(_) => self.check_full(*bytes)?,
                    Delivery::Send(_) => prop_assert!(false, "`hold` never sends"),
                }
            }
            Step::NextDelivery => match self.session.next_delivery() {
                Some(sent) => {
                    let frame = self.pending.pop_front().unwrap();
                    self.sent(&sent, frame)?;
                }
                None => prop_assert!(self.pending.is_empty() || self.inflight.len() == 3),
            },
            Step::Commit(positions) => {
                self.committed = (self.committed + positions).min(self.position);
                for owed in self.session.acks_ready(self.committed) {
                    prop_assert_eq!(owed.reason, ReasonCode::Success);
                    prop_assert_eq!(self.owed.pop_front(), Some(owed.packet_id), "in receive order");
                }
            }
            Step::Wait(seconds) => {
                self.now += Duration::from_secs(*seconds);
                self.taken = if *seconds > 0 { 0 } else { self.taken };
                let late = self.session.handle_timeout(self.now).is_some();
                let due = self.session.poll_timeout().unwrap() <= self.now;
                prop_assert_eq!(late, due);
                return Ok(!late);
            }
        }
        Ok(true)
    }

    fn receive(&mut self, packet: Packet<'_>) -> Result<bool, TestCaseError> {
        if !self.session.wants_read() {
            prop_assert_eq!(self.owed.len(), 3);
            return Ok(true);
        }
        match self.session.receive(&packet, self.now) {
            Ok(Event::Publish { publish, .. }) => {
                prop_assert!(publish.payload.len() <= 16 && publish.qos != QoS::ExactlyOnce);
                self.taken += 1;
                prop_assert!(self.taken <= PUBLISHES_PER_S);
                if let Some(id) = publish.packet_id {
                    self.position += 1;
                    self.session.expect_ack(id, publish.qos, ReasonCode::Success, Some(self.position));
                    self.owed.push_back(id);
                }
            }
            Ok(Event::Throttled { .. }) => prop_assert_eq!(self.taken, PUBLISHES_PER_S),
            Ok(Event::Subscribe(subscribe)) => {
                for request in subscribe.filters.iter() {
                    let granted = self.session.subscribe(request.filter, request.options);
                    prop_assert!(
                        granted.is_ok()
                            || !request.filter.starts_with("a")
                            || self.session.subscriptions_len() == 2
                    );
                }
            }
            Ok(Event::Unsubscribe(unsubscribe)) => {
                for filter in unsubscribe.filters.iter() {
                    self.session.unsubscribe(filter);
                }
            }
            Ok(Event::Delivered { packet_id: id, .. }) => {
                let at = self.inflight.iter().position(|&inflight| inflight == id);
                prop_assert!(at.is_some_and(|at| self.inflight.remove(at).is_some()));
            }
            Ok(Event::StrayAck(id)) => prop_assert!(!self.inflight.contains(&id)),
            Ok(Event::Repeated | Event::Released { .. } | Event::Received { .. } | Event::Completed(_)) => {
                prop_assert!(false, "QoS 2 is not offered here")
            }
            Ok(Event::Ping) => {}
            Ok(Event::Disconnect) | Err(_) => return Ok(false),
        }
        Ok(true)
    }

    fn frame(&mut self, bytes: usize) -> (u32, usize) {
        self.next_frame += 1;
        (self.next_frame, bytes)
    }

    fn sent(&mut self, sent: &Outgoing<(u32, usize)>, frame: (u32, usize)) -> Result<(), TestCaseError> {
        prop_assert_eq!(sent.frame, frame, "in the order of arrival");
        let id = sent.packet_id.unwrap();
        prop_assert!(!self.inflight.contains(&id), "an identifier in use");
        self.inflight.push_back(id);
        Ok(())
    }

    /// Nothing is dropped while there is room.
    fn check_full(&self, bytes: usize) -> Result<(), TestCaseError> {
        let pending_bytes: usize = self.pending.iter().map(|(_, bytes)| bytes).sum();
        prop_assert!(self.pending.len() == 4 || pending_bytes + bytes > 60);
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.session.inflight_len(), self.inflight.len());
        prop_assert_eq!(self.session.pending_len(), self.pending.len());
        prop_assert_eq!(self.session.wants_read(), self.owed.len() < 3);
        prop_assert!(self.inflight.len() <= 3 && self.pending.len() <= 4 && self.owed.len() <= 3);
        let pending_bytes: usize = self.pending.iter().map(|(_, bytes)| bytes).sum();
        prop_assert!(pending_bytes <= 60);
        prop_assert!(self.session.subscriptions_len() <= 2);
        prop_assert_eq!(self.session.waits_for().is_some(), !self.owed.is_empty());
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(400)))]

    #[test]
    fn any_sequence_keeps_the_bounds_and_the_order(steps in proptest::collection::vec(step(), 0..80)) {
        let mut model = Model::new();
        for step in &steps {
            if !model.step(step)? {
                break;
            }
            model.check()?;
        }
    }
}
