//! A session under any packets in any order, driven as the broker's event loop does, and held against a plain model.
//!
//! What must hold: no panic; answers leave in the order of the messages, each once, and not before the journal has its
//! message; what goes to the client is in order, within its window, under identifiers that are free; what was withdrawn
//! is not acknowledged; memory stays within the limits; what outlives the connection is what was left of it.
#![no_main]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fuzz::client_packets::{Connecting, Said};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use mqtt_session::{
    Delivery, DisconnectReason, Ended, Event, Exchanges, Limits, Outgoing, Rate, Session, Undelivered,
    Violation,
};
use mqtt_wire::{
    Ack, Packet, PacketId, ProtocolVersion, Publish, QoS, ReasonCode, SubscriptionOptions, decode,
};

/// More than most inputs have packets, fewer than all of them.
const PUBLISHES_PER_S: u32 = 20;

#[derive(Debug, Arbitrary)]
struct Input {
    bounds: Bounds,
    /// One after the other, each with the steps that the one before has left.
    connections: Vec<Connecting>,
    steps: Vec<Step>,
}

/// Small, so that they are reached.
#[derive(Debug, Arbitrary)]
struct Bounds {
    window: u8,
    owed: u8,
    waiting: u8,
    has_qos_2: bool,
}

#[derive(Debug, Arbitrary)]
enum Step {
    Said(Said),
    /// A message for the client; it is withdrawn when it cannot be sent after all.
    Deliver {
        qos: u8,
        bytes: u8,
        is_withdrawn: bool,
    },
    /// The same while the socket takes nothing.
    Hold {
        qos: u8,
        bytes: u8,
    },
    /// The socket takes bytes again.
    Feed {
        is_withdrawn: bool,
    },
    /// The journal has that much more on disk.
    Commit(u8),
    Wait {
        seconds: u8,
    },
    HangUp,
}

fuzz_target!(|input: Input| {
    let limits = Arc::new(input.bounds.limits());
    let mut steps = input.steps.iter();
    let (mut now, mut away, mut frames) = (Instant::now(), None, 0);
    for connecting in &input.connections {
        let Some(mut client) = Client::connect(connecting, &limits, away.take(), now, frames) else {
            continue;
        };
        let mut reason = DisconnectReason::ConnectionLost;
        for step in steps.by_ref() {
            if let Step::Wait { seconds } = step {
                now += Duration::from_secs((*seconds).into());
            }
            let end = client.take(step, now);
            client.check();
            if let Some(end) = end {
                reason = end;
                break;
            }
        }
        frames = client.frames;
        away = client.end(reason);
    }
});

impl Bounds {
    fn limits(&self) -> Limits {
        Limits {
            payload_bytes_max: 200,
            filters_per_subscribe_max: 4,
            subscriptions_max: 4,
            qos_max: if self.has_qos_2 { QoS::ExactlyOnce } else { QoS::AtLeastOnce },
            inflight_inbound_max: usize::from(self.owed % 6) + 1,
            inflight_outbound_max: usize::from(self.window % 6) + 1,
            pending_deliveries_max: usize::from(self.waiting % 8),
            pending_bytes_max: 300,
            topic_aliases_max: 4,
            alias_bytes_max: 20,
            connection_publishes_per_s: Rate::per_second(PUBLISHES_PER_S),
            ..Limits::aws()
        }
    }
}

/// A message: its number, and what it is sent with.
type Frame = (u32, QoS);

/// What is known of a session that waits for its client.
struct Away {
    version: ProtocolVersion,
    ended: Ended<Frame>,
}

/// A message that is not acknowledged.
#[derive(Debug)]
struct OnTheWay {
    packet_id: PacketId,
    qos: QoS,
    /// QoS 2: the client has it, PUBCOMP is missing.
    is_received: bool,
    /// Not sent on this connection yet.
    is_unsent: bool,
    remembered: Option<Frame>,
}

struct Client {
    session: Session<Frame>,
    version: ProtocolVersion,
    /// Has a session that outlives it, so what is sent is remembered.
    is_kept: bool,
    frames: u32,
    /// When it began, and the publishes that it has had since.
    began: Instant,
    publishes: u64,
    /// Of the journal: given out, and on disk.
    position: u64,
    committed: u64,
    // The model.
    owed: VecDeque<(PacketId, QoS, u64)>,
    /// QoS 2: taken over, with the journal position; PUBREL is missing.
    inbound: BTreeMap<PacketId, u64>,
    on_the_way: Vec<OnTheWay>,
    waiting: VecDeque<(Frame, usize)>,
    subscriptions: BTreeMap<Box<str>, SubscriptionOptions>,
    aliases: BTreeMap<u16, String>,
}

impl Client {
    fn connect(
        connecting: &Connecting,
        limits: &Arc<Limits>,
        away: Option<Away>,
        now: Instant,
        frames: u32,
    ) -> Option<Self> {
        let (bytes, version) = (connecting.bytes(), connecting.version());
        let Ok(Some((Packet::Connect(connect), _))) = decode(&bytes, version, usize::MAX) else {
            return None;
        };
        let (session, accepted) = match Session::accept(&connect, limits, now) {
            Ok(accepted) => accepted,
            Err(refusal) => {
                assert!(refusal.answer(version).is_none_or(ReasonCode::is_failure), "{refusal}");
                return None;
            }
        };
        let mut client = Self {
            session,
            version,
            is_kept: accepted.is_persistent(),
            frames,
            began: now,
            publishes: 0,
            position: 0,
            committed: 0,
            owed: VecDeque::new(),
            inbound: BTreeMap::new(),
            on_the_way: Vec::new(),
            waiting: VecDeque::new(),
            subscriptions: BTreeMap::new(),
            aliases: BTreeMap::new(),
        };
        if let Some(away) = away.filter(|away| !accepted.clean_start && away.version == version) {
            client.resume(away.ended);
        }
        client.check();
        Some(client)
    }

    fn resume(&mut self, Ended { subscriptions, undelivered, exchanges }: Ended<Frame>) {
        self.session.resume(subscriptions.iter().map(|(filter, options)| (&**filter, *options)));
        self.session.resume_exchanges(&exchanges);
        self.subscriptions = subscriptions;
        let Exchanges { inbound, outbound } = exchanges;
        self.inbound = inbound;
        for packet_id in outbound {
            let (qos, is_received) = (QoS::ExactlyOnce, true);
            self.on_the_way.push(OnTheWay {
                packet_id,
                qos,
                is_received,
                is_unsent: false,
                remembered: None,
            });
        }
        for Undelivered { frame, sent_as } in undelivered {
            match sent_as {
                Some(packet_id) => {
                    self.session.redeliver(packet_id, frame.1, frame);
                    let (qos, remembered) = (frame.1, Some(frame));
                    let (is_received, is_unsent) = (false, true);
                    self.on_the_way.push(OnTheWay { packet_id, qos, is_received, is_unsent, remembered });
                }
                None => self.hold(frame, 1),
            }
        }
    }

    /// Why the connection ends, if it does.
    fn take(&mut self, step: &Step, now: Instant) -> Option<DisconnectReason> {
        match step {
            Step::Said(said) => return self.hear(&said.bytes(self.version), now),
            Step::Deliver { qos, bytes, is_withdrawn } => self.deliver(*qos, *bytes, *is_withdrawn),
            Step::Hold { qos, bytes } => {
                let frame = self.next_frame(*qos);
                if frame.1 != QoS::AtMostOnce {
                    self.hold(frame, usize::from(*bytes));
                }
            }
            Step::Feed { is_withdrawn } => self.feed(*is_withdrawn),
            Step::Commit(more) => {
                self.committed = self.position.min(self.committed + u64::from(*more));
                self.release_acks();
            }
            Step::Wait { .. } => {
                let deadline = self.session.poll_timeout();
                let is_reading = self.session.wants_read();
                let late = self.session.handle_timeout(now);
                let is_late = is_reading && deadline.is_some_and(|deadline| now >= deadline);
                assert_eq!(late.is_some(), is_late, "{late:?}");
                return late.map(|late| self.told(&late));
            }
            Step::HangUp => return Some(DisconnectReason::ConnectionLost),
        }
        None
    }

    /// Works off bytes, as far as the session wants them.
    fn hear(&mut self, mut bytes: &[u8], now: Instant) -> Option<DisconnectReason> {
        while self.session.wants_read() {
            let packet_bytes_max = self.session.limits().packet_bytes_max();
            let Ok(Some((packet, used))) = decode(bytes, self.version, packet_bytes_max) else { break };
            bytes = &bytes[used..];
            let end = match self.session.receive(&packet, now) {
                Ok(event) => self.act(&packet, event, now),
                Err(violation) => {
                    self.expect_no_answer(&packet);
                    Some(self.told(&violation))
                }
            };
            if end.is_some() {
                return end;
            }
        }
        None
    }

    fn told(&self, violation: &Violation) -> DisconnectReason {
        assert!(violation.reason_code().is_failure(), "{violation}");
        assert!(!matches!(violation, Violation::ReadPastInflight { .. }));
        violation.disconnect_reason()
    }

    /// These are harmless whatever they say.
    fn expect_no_answer(&self, packet: &Packet<'_>) {
        let is_harmless = match packet {
            Packet::PubAck(_) | Packet::PingReq => true,
            Packet::PubRec(_) | Packet::PubRel(_) | Packet::PubComp(_) => {
                self.session.limits().qos_max == QoS::ExactlyOnce
            }
            _ => false,
        };
        assert!(!is_harmless, "{packet:?}");
    }

    fn act(
        &mut self,
        packet: &Packet<'_>,
        event: Event<'_, Frame>,
        now: Instant,
    ) -> Option<DisconnectReason> {
        match event {
            Event::Publish { topic, publish } => {
                self.publishes += 1;
                // A second's worth may come at once.
                let seconds = (now - self.began).as_secs() + 2;
                assert!(self.publishes <= seconds * u64::from(PUBLISHES_PER_S), "too many");
                self.publish(&topic.name(), &publish);
            }
            Event::Throttled { packet_id, qos, .. } => {
                assert!(self.publishes >= PUBLISHES_PER_S.into(), "too few");
                let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
                self.set_alias(publish);
                if let Some(packet_id) = packet_id.filter(|_| self.version == ProtocolVersion::V5) {
                    self.session.expect_ack(packet_id, qos, ReasonCode::QuotaExceeded, None);
                    self.owed.push_back((packet_id, qos, 0));
                    self.release_acks();
                }
            }
            Event::Repeated => {
                let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
                let packet_id = &publish.packet_id.expect("QoS 2 has one");
                assert!(self.inbound.contains_key(packet_id), "never taken over");
                self.set_alias(publish);
                self.owed.push_back((*packet_id, QoS::ExactlyOnce, 0));
                self.release_acks();
            }
            Event::Subscribe(subscribe) => {
                for request in subscribe.filters.iter() {
                    let Ok(subscribed) = self.session.subscribe(request.filter, request.options) else {
                        continue;
                    };
                    let before =
                        self.subscriptions.insert(request.filter.as_str().into(), subscribed.granted);
                    assert_eq!(subscribed.is_replaced, before.is_some());
                    assert!(subscribed.granted.qos <= request.options.qos.min(self.session.limits().qos_max));
                }
            }
            Event::Unsubscribe(unsubscribe) => {
                for filter in unsubscribe.filters.iter() {
                    let was_there = self.subscriptions.remove(filter.as_str()).is_some();
                    assert_eq!(self.session.unsubscribe(filter), was_there);
                }
            }
            Event::Released { packet_id, is_known } => {
                assert_eq!(is_known, self.inbound.remove(&packet_id).is_some());
            }
            Event::Disconnect => return Some(DisconnectReason::ClientInitiatedDisconnect),
            Event::Ping => assert_eq!(packet, &Packet::PingReq),
            event => self.acknowledged(packet, event),
        }
        None
    }

    /// What the client says of messages that went to it.
    fn acknowledged(&mut self, packet: &Packet<'_>, event: Event<'_, Frame>) {
        let (Packet::PubAck(Ack { packet_id, reason, .. })
        | Packet::PubRec(Ack { packet_id, reason, .. })
        | Packet::PubComp(Ack { packet_id, reason, .. })) = *packet
        else {
            panic!("{event:?} for {packet:?}");
        };
        let at = self.on_the_way.iter().position(|message| message.packet_id == packet_id);
        let known = at.map(|at| (at, self.on_the_way[at].qos, self.on_the_way[at].is_received));
        let expected = match (packet, known) {
            (Packet::PubAck(_), Some((at, QoS::AtLeastOnce, _))) => {
                Event::Delivered { packet_id, frame: self.on_the_way.remove(at).remembered }
            }
            (Packet::PubRec(_), Some((at, QoS::ExactlyOnce, false))) if reason.is_failure() => {
                Event::Delivered { packet_id, frame: self.on_the_way.remove(at).remembered }
            }
            (Packet::PubRec(_), Some((at, QoS::ExactlyOnce, is_received))) => {
                let message = &mut self.on_the_way[at];
                let frame = if is_received { None } else { message.remembered.take() };
                (message.is_received, message.is_unsent) = (true, false);
                Event::Received { packet_id, is_known: true, frame }
            }
            (Packet::PubRec(_), _) => Event::Received { packet_id, is_known: false, frame: None },
            (Packet::PubComp(_), Some((at, QoS::ExactlyOnce, true))) => {
                self.on_the_way.remove(at);
                Event::Completed(packet_id)
            }
            _ => Event::StrayAck(packet_id),
        };
        assert_eq!(event, expected);
        if matches!(event, Event::Delivered { .. } | Event::Completed(_)) {
            self.feed(false);
        }
    }

    /// The event loop has routed it; every other one leaves something in the journal.
    fn publish(&mut self, topic: &str, publish: &Publish<'_>) {
        self.set_alias(publish);
        let aliased = publish.properties.topic_alias().and_then(|alias| self.aliases.get(&alias.get()));
        match publish.topic {
            Some(named) => assert_eq!(named.as_str(), topic),
            None => assert_eq!(aliased.map(String::as_str), Some(topic)),
        }
        let Some(packet_id) = publish.packet_id else { return };
        assert!(
            publish.qos != QoS::ExactlyOnce || !self.inbound.contains_key(&packet_id),
            "taken over twice"
        );
        let after = (publish.payload.len() % 2 == 1).then(|| {
            self.position += 1;
            self.position
        });
        let reason = if publish.retain { ReasonCode::NotAuthorized } else { ReasonCode::Success };
        self.session.expect_ack(packet_id, publish.qos, reason, after);
        self.owed.push_back((packet_id, publish.qos, after.unwrap_or(0)));
        if publish.qos == QoS::ExactlyOnce && !reason.is_failure() {
            self.inbound.insert(packet_id, after.unwrap_or(0));
        }
        self.release_acks();
    }

    fn set_alias(&mut self, publish: &Publish<'_>) {
        if let (Some(alias), Some(topic)) = (publish.properties.topic_alias(), publish.topic) {
            self.aliases.insert(alias.get(), topic.as_str().to_owned());
        }
    }

    fn release_acks(&mut self) {
        for owed in self.session.acks_ready(self.committed) {
            let (packet_id, qos, after) = self.owed.pop_front().expect("an answer that nothing is owed for");
            assert_eq!((owed.packet_id, owed.qos), (packet_id, qos), "out of order");
            assert!(after <= self.committed, "before its message is on disk");
        }
        assert!(self.owed.front().is_none_or(|(_, _, after)| *after > self.committed), "one is kept back");
    }

    fn next_frame(&mut self, qos: u8) -> Frame {
        self.frames += 1;
        let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(qos % 3)];
        (self.frames, qos.min(self.session.limits().qos_max))
    }

    fn deliver(&mut self, qos: u8, bytes: u8, is_withdrawn: bool) {
        let (frame, bytes) = (self.next_frame(qos), usize::from(bytes));
        let is_open = self.waiting.is_empty() && self.unsent() == 0 && self.has_room();
        assert_eq!(self.session.is_open(), is_open);
        match self.session.deliver(frame.1, frame, bytes) {
            Delivery::Send(outgoing) if frame.1 == QoS::AtMostOnce => {
                let plain = Outgoing { packet_id: None, qos: frame.1, is_again: false, frame };
                assert_eq!(outgoing, plain);
            }
            Delivery::Send(outgoing) => {
                assert!(is_open, "past what waits, or past the window");
                self.send(outgoing, frame, is_withdrawn);
            }
            waits => self.check_waits(&waits, frame, bytes),
        }
    }

    fn hold(&mut self, frame: Frame, bytes: usize) {
        let held = self.session.hold(frame.1, frame, bytes);
        self.check_waits(&held, frame, bytes);
    }

    /// It waits if the bounds let it; an empty queue takes one of any size.
    fn check_waits(&mut self, delivery: &Delivery<Frame>, frame: Frame, bytes: usize) {
        let limits = self.session.limits();
        let waiting_bytes: usize = self.waiting.iter().map(|(_, bytes)| bytes).sum();
        let fits = self.waiting.len() < limits.pending_deliveries_max
            && (self.waiting.is_empty() || waiting_bytes + bytes <= limits.pending_bytes_max);
        assert_eq!(*delivery == Delivery::Queued, fits, "{delivery:?}");
        assert!(frame.1 > QoS::AtMostOnce, "QoS 0 never waits");
        if fits {
            self.waiting.push_back((frame, bytes));
        }
    }

    /// As the event loop does when there may be room: all that goes.
    fn feed(&mut self, is_withdrawn: bool) {
        while let Some(outgoing) = self.session.next_delivery() {
            assert!(self.has_room(), "past the window");
            let again = self.on_the_way.iter_mut().find(|message| message.is_unsent);
            if let Some(again) = again {
                let frame = again.remembered.take().expect("it was remembered");
                let packet_id = Some(again.packet_id);
                again.is_unsent = false;
                assert_eq!(outgoing, Outgoing { packet_id, qos: again.qos, is_again: true, frame });
                self.settle(outgoing, is_withdrawn);
            } else {
                let (frame, _) = self.waiting.pop_front().expect("a message that did not wait");
                self.send(outgoing, frame, is_withdrawn);
            }
        }
        assert!(!self.has_room() || (self.waiting.is_empty() && self.unsent() == 0), "one is kept back");
    }

    /// A message leaves for the first time.
    fn send(&mut self, outgoing: Outgoing<Frame>, frame: Frame, is_withdrawn: bool) {
        assert_eq!(
            (outgoing.frame, outgoing.qos, outgoing.is_again),
            (frame, frame.1, false),
            "out of order"
        );
        let packet_id = outgoing.packet_id.expect("it is to be acknowledged");
        assert!(
            self.on_the_way.iter().all(|message| message.packet_id != packet_id),
            "{packet_id} is in use"
        );
        let (is_received, is_unsent, remembered) = (false, false, None);
        self.on_the_way.push(OnTheWay { packet_id, qos: frame.1, is_received, is_unsent, remembered });
        self.settle(outgoing, is_withdrawn);
    }

    /// It is withdrawn, or remembered for the next connection.
    fn settle(&mut self, Outgoing { packet_id, frame, .. }: Outgoing<Frame>, is_withdrawn: bool) {
        let packet_id = packet_id.expect("it is to be acknowledged");
        if is_withdrawn {
            self.session.withdraw(packet_id);
            self.on_the_way.retain(|message| message.packet_id != packet_id);
        } else if self.is_kept {
            self.session.remember(packet_id, frame);
            let message = self.on_the_way.iter_mut().find(|message| message.packet_id == packet_id);
            message.expect("it was just sent").remembered = Some(frame);
        }
    }

    fn unsent(&self) -> usize {
        self.on_the_way.iter().filter(|message| message.is_unsent).count()
    }

    fn has_room(&self) -> bool {
        let window = self.session.limits().inflight_outbound_max;
        let window = window.min(self.session.peer().receive_maximum.into());
        self.on_the_way.len() - self.unsent() < window
    }

    /// The session is as the model is, and both are within the limits.
    fn check(&self) {
        let (session, limits) = (&self.session, self.session.limits());
        assert_eq!(session.inflight_len(), self.on_the_way.len());
        assert_eq!(session.pending_len(), self.waiting.len());
        assert!(session.pending_len() <= limits.pending_deliveries_max);
        assert_eq!(session.waits_for(), self.owed.front().map(|(_, _, after)| *after));
        assert_eq!(session.wants_read(), self.owed.len() < limits.inflight_inbound_max);
        assert!(self.owed.len() <= limits.inflight_inbound_max);
        assert!(self.inbound.len() <= limits.inflight_inbound_max);
        let subscriptions = self.subscriptions.iter().map(|(filter, options)| (&**filter, *options));
        assert!(session.subscriptions().eq(subscriptions));
        assert!(session.subscriptions_len() <= limits.subscriptions_max);
        assert!(self.aliases.keys().all(|alias| *alias <= limits.topic_aliases_max));
        assert!(self.aliases.values().map(String::len).sum::<usize>() <= limits.alias_bytes_max);
    }

    /// What is left goes to the next connection, if the client wants that.
    fn end(mut self, reason: DisconnectReason) -> Option<Away> {
        self.session.take_will(reason);
        assert_eq!(self.session.take_will(DisconnectReason::ConnectionLost), None, "the will twice");
        let (is_kept, version) = (self.session.session_expiry_s() > 0, self.version);
        let ended = self.session.end();
        let sent = self.on_the_way.iter().filter(|message| !message.is_received).filter_map(|message| {
            Some(Undelivered { frame: message.remembered?, sent_as: Some(message.packet_id) })
        });
        let waited = self.waiting.iter().map(|(frame, _)| Undelivered { frame: *frame, sent_as: None });
        assert!(ended.undelivered.iter().cloned().eq(sent.chain(waited)), "{:?}", ended.undelivered);
        let outbound = self.on_the_way.iter().filter(|message| message.is_received);
        let outbound: Vec<_> = outbound.map(|message| message.packet_id).collect();
        assert_eq!(ended.exchanges, Exchanges { inbound: self.inbound, outbound });
        assert_eq!(ended.subscriptions, self.subscriptions);
        is_kept.then_some(Away { version, ended })
    }
}
