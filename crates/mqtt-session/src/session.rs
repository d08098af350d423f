//! The session itself: what each packet leads to.

use crate::accept::{self, Accepted, Refusal};
use crate::acknowledge::{Acknowledgements, Owed};
use crate::aliases::{Topic, TopicAliases};
use crate::deliver::{Deliveries, Delivery, Leftovers, Outgoing, Received, Undelivered};
use crate::disconnect::DisconnectReason;
use crate::keep_alive::KeepAlive;
use crate::limits::Limits;
use crate::peer::Peer;
use crate::rate::TokenBucket;
use crate::subscriptions::{FilterRefusal, Subscribed, Subscriptions};
use crate::throttled::{Quota, Throttled};
use crate::topics::check_topic;
use crate::violation::Violation;
use crate::will::Will;
use mqtt_wire::{
    Ack, Connect, Disconnect, Packet, PacketId, Publish, QoS, ReasonCode, Subscribe, SubscriptionOptions,
    TopicFilter, Unsubscribe,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// One client's connection.
///
/// `F` is the caller's form of a message to deliver, such as an `Arc` of an encoded packet: the session keeps those
/// that wait for the client's window and never looks inside.
#[derive(Debug)]
pub struct Session<F> {
    limits: Arc<Limits>,
    keep_alive: KeepAlive,
    will: Option<Box<Will>>,
    /// The client left with the wish that it be published all the same.
    wants_will: bool,
    /// How long the session outlives the connection, in seconds; 0: not at all.
    session_expiry_s: u32,
    peer: Peer,
    aliases: TopicAliases,
    acknowledgements: Acknowledgements,
    /// The client's messages with QoS 2 whose PUBREL is missing: they are not taken twice [MQTT311 4.3.3-2].
    /// With the journal position that they are kept at.
    unreleased: BTreeMap<PacketId, u64>,
    deliveries: Deliveries<F>,
    subscriptions: Subscriptions,
    /// For [`Limits::connection_publishes_per_s`].
    publishes: TokenBucket,
}

/// What a packet asks the caller to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'p, F> {
    /// Check permission and route it. With QoS 1 and 2 call [`Session::expect_ack`] exactly once, even when nobody
    /// takes the message.
    Publish {
        /// Where it goes.
        topic: Topic<'p>,
        /// The message.
        publish: Publish<'p>,
    },
    /// A PUBLISH above [`Limits::connection_publishes_per_s`]: it goes nowhere. With QoS 1 and 2 a client of MQTT 5 is told so
    /// by [`Session::expect_ack`] with [`ReasonCode::QuotaExceeded`]; one of MQTT 3.1.1 gets no answer, as from AWS.
    Throttled {
        /// Present for QoS 1 and 2.
        packet_id: Option<PacketId>,
        /// As it was published.
        qos: QoS,
        /// Why.
        throttled: Throttled,
    },
    /// Check permission, call [`Session::subscribe`] per filter and answer with one SUBACK.
    Subscribe(Subscribe<'p>),
    /// Call [`Session::unsubscribe`] per filter and answer with an UNSUBACK, whether or not there was something to
    /// end [MQTT311 3.10.4-5].
    Unsubscribe(Unsubscribe<'p>),
    /// The client has taken over a QoS 1 message. Call [`Session::next_delivery`]: there is room for one more.
    Delivered {
        /// Its identifier.
        packet_id: PacketId,
        /// The message, if it was [remembered](Session::remember).
        frame: Option<F>,
    },
    /// The client has sent a QoS 2 message again: see what of [`Session::acks_ready`] may leave.
    Repeated,
    /// The client has finished the exchange for a QoS 2 message of its own: answer with PUBCOMP.
    Released {
        /// Its identifier.
        packet_id: PacketId,
        /// It was in use; else the exchange was finished before, or never begun.
        is_known: bool,
    },
    /// The client has taken over a QoS 2 message: answer with PUBREL.
    Received {
        /// Its identifier.
        packet_id: PacketId,
        /// It was in flight; else the exchange was finished before, or never begun.
        is_known: bool,
        /// The message, if it was [remembered](Session::remember), the first time that the client says so.
        frame: Option<F>,
    },
    /// A QoS 2 message has arrived for good. Call [`Session::next_delivery`]: there is room for one more.
    Completed(PacketId),
    /// A PUBACK or PUBCOMP for nothing in flight; harmless, perhaps worth a line in the log.
    StrayAck(PacketId),
    /// Answer with PINGRESP [MQTT311 3.12.4-1].
    Ping,
    /// The client leaves; the will is gone already, unless the client wants it published. Close the connection.
    Disconnect,
}

impl<F> Session<F> {
    /// Begins a session, as far as the protocol and its limits are concerned; permission is the caller's to ask.
    ///
    /// # Errors
    /// The connection closes, after a CONNACK with [`Refusal::answer`] if there is one.
    pub fn accept(
        connect: &Connect<'_>,
        limits: &Arc<Limits>,
        now: Instant,
    ) -> Result<(Self, Accepted), Refusal> {
        let client_id = accept::check(connect, limits)?;
        let session = Self {
            limits: Arc::clone(limits),
            keep_alive: KeepAlive::start(connect.keep_alive_s, limits, now),
            will: connect.will.as_ref().map(|will| Box::new(Will::new(will, limits))),
            wants_will: false,
            session_expiry_s: accept::session_expiry_s(connect, limits),
            peer: Peer::of(connect),
            aliases: TopicAliases::default(),
            acknowledgements: Acknowledgements::default(),
            unreleased: BTreeMap::new(),
            deliveries: Deliveries::new(),
            subscriptions: Subscriptions::default(),
            publishes: TokenBucket::full(now),
        };
        let accepted = Accepted {
            client_id,
            keep_alive_s: session.keep_alive.seconds(),
            clean_start: connect.clean_start,
            session_expiry_s: session.session_expiry_s,
        };
        Ok((session, accepted))
    }

    /// Takes the next packet of the client. Call it only while [`wants_read`](Self::wants_read).
    ///
    /// # Errors
    /// The connection must be closed, for [`Violation::disconnect_reason`].
    pub fn receive<'p>(&mut self, packet: &Packet<'p>, now: Instant) -> Result<Event<'p, F>, Violation> {
        if !self.wants_read() {
            return Err(Violation::ReadPastInflight { inflight: self.acknowledgements.len() });
        }
        // [MQTT311 3.1.2-24] Any packet counts.
        self.keep_alive.heard(now);
        match *packet {
            Packet::Publish(publish) => self.receive_publish(publish, now),
            Packet::PubAck(ack) => Ok(match self.deliveries.acknowledged(ack.packet_id) {
                Some(frame) => Event::Delivered { packet_id: ack.packet_id, frame },
                None => Event::StrayAck(ack.packet_id),
            }),
            Packet::Subscribe(subscribe) => self.receive_subscribe(subscribe),
            Packet::Unsubscribe(unsubscribe) => {
                self.check_filters(unsubscribe.filters.len())?;
                Ok(Event::Unsubscribe(unsubscribe))
            }
            Packet::PingReq => Ok(Event::Ping),
            Packet::Disconnect(disconnect) => self.receive_disconnect(&disconnect),
            Packet::Connect(_) => Err(Violation::SecondConnect),
            Packet::PubRec(_) | Packet::PubRel(_) | Packet::PubComp(_)
                if self.limits.qos_max < QoS::ExactlyOnce =>
            {
                Err(Violation::QoS2Packet { kind: packet.kind() })
            }
            Packet::PubRec(ack) => Ok(self.receive_pubrec(ack)),
            Packet::PubRel(Ack { packet_id, .. }) => {
                Ok(Event::Released { packet_id, is_known: self.unreleased.remove(&packet_id).is_some() })
            }
            Packet::PubComp(Ack { packet_id, .. }) if self.deliveries.completed(packet_id) => {
                Ok(Event::Completed(packet_id))
            }
            Packet::PubComp(ack) => Ok(Event::StrayAck(ack.packet_id)),
            Packet::Auth(_) => Err(Violation::Auth),
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                Err(Violation::ServerPacket { kind: packet.kind() })
            }
        }
    }

    /// Remembers that the client gets a PUBACK, or with QoS 2 a PUBREC, once the journal has reached `after`; `None`:
    /// nothing to wait for.
    ///
    /// To be called in the order of the [`Event::Publish`] events.
    /// `reason` is what a client of MQTT 5 is told; one of MQTT 3.1.1 must be told success, or nothing.
    pub fn expect_ack(&mut self, packet_id: PacketId, qos: QoS, reason: ReasonCode, after: Option<u64>) {
        if qos == QoS::ExactlyOnce && !reason.is_failure() {
            self.unreleased.entry(packet_id).or_insert(after.unwrap_or(0));
        }
        self.acknowledgements.push(packet_id, qos, reason, after.unwrap_or(0));
    }

    /// The PUBACKs and PUBRECs that may leave now that the journal is on disk up to `committed`, in the order in which the
    /// messages came [MQTT311 4.6.0-2]. What is not taken from the iterator stays owed.
    pub fn acks_ready(&mut self, committed: u64) -> impl Iterator<Item = Owed> {
        self.acknowledgements.ready(committed)
    }

    /// The journal position that the next PUBACK waits for; `None`: no PUBACK is owed.
    pub fn waits_for(&self) -> Option<u64> {
        self.acknowledgements.waits_for()
    }

    /// Whether the next packet may be read. `false` while [`Limits::inflight_inbound_max`] PUBACKs are owed: the
    /// client then feels the disk's pace through TCP.
    pub fn wants_read(&self) -> bool {
        self.acknowledgements.len() < self.limits.inflight_inbound_max
    }

    /// Takes one of [`Limits::connection_publishes_per_s`] for a PUBLISH to the client.
    ///
    /// # Errors
    /// When there will be one.
    pub fn may_send(&mut self, now: Instant) -> Result<(), Instant> {
        self.publishes.take(1, self.limits.connection_publishes_per_s, now)
    }

    /// A PUBLISH that [`may_send`](Self::may_send) has allowed was not sent.
    pub fn give_back(&mut self) {
        self.publishes.give_back(1, self.limits.connection_publishes_per_s);
    }

    /// Whether [`next_delivery`](Self::next_delivery) may have one.
    pub fn has_next_delivery(&self) -> bool {
        self.deliveries.has_next(self.window())
    }

    /// Hands over a message for the client. `frame_bytes` is what it costs to keep it.
    ///
    /// QoS 0 is always [`Delivery::Send`]: whether the socket keeps up is the caller's to see. `qos` is the message's
    /// after the subscription's maximum was applied.
    pub fn deliver(&mut self, qos: QoS, frame: F, frame_bytes: usize) -> Delivery<F> {
        self.deliveries.deliver(qos, frame, frame_bytes, self.window(), &self.limits)
    }

    /// Keeps a QoS 1 or 2 message although the window may be open, because the socket is not.
    ///
    /// Call [`next_delivery`](Self::next_delivery) when it takes bytes again. Never [`Delivery::Send`].
    pub fn hold(&mut self, qos: QoS, frame: F, frame_bytes: usize) -> Delivery<F> {
        self.deliveries.hold(qos, frame, frame_bytes, &self.limits)
    }

    /// Keeps a message that was just handed out, for [`Event::Delivered`] or [`end`](Self::end) to give it back.
    ///
    /// For messages that must reach the client, or somebody else, even if this connection breaks first.
    pub fn remember(&mut self, packet_id: PacketId, frame: F) {
        self.deliveries.remember(packet_id, frame);
    }

    /// Takes back what was [remembered](Self::remember); to be remembered again when it is sent.
    pub fn recall(&mut self, packet_id: PacketId) -> Option<F> {
        self.deliveries.recall(packet_id)
    }

    /// Whether a QoS 1 message that [`deliver`](Self::deliver) is given would be sent now.
    pub fn is_open(&self) -> bool {
        self.deliveries.is_open(self.window())
    }

    /// The next message that waited, when the window has room for it.
    pub fn next_delivery(&mut self) -> Option<Outgoing<F>> {
        self.deliveries.next(self.window())
    }

    /// A message that was handed out will not be sent after all, because permission for it has gone: its place in the
    /// window is free again.
    pub fn withdraw(&mut self, packet_id: PacketId) {
        self.deliveries.withdraw(packet_id);
    }

    /// When the client's last packet came.
    pub fn heard_at(&self) -> Instant {
        self.keep_alive.heard_at()
    }

    /// QoS 1 and 2 messages that the client has not acknowledged.
    pub fn inflight_len(&self) -> usize {
        self.deliveries.inflight_len()
    }

    /// QoS 1 messages that wait for the window.
    pub fn pending_len(&self) -> usize {
        self.deliveries.pending_len()
    }

    /// Takes over the subscriptions of the client's earlier connection [MQTT311 3.1.2-4], [MQTT5 3.1.2-5].
    pub fn resume<'f>(&mut self, subscriptions: impl IntoIterator<Item = (&'f str, SubscriptionOptions)>) {
        self.subscriptions.resume(subscriptions);
    }

    /// Takes over the exchanges for QoS 2 that were not finished.
    pub fn resume_exchanges(&mut self, exchanges: &Exchanges) {
        self.unreleased.extend(exchanges.inbound.iter().map(|(id, after)| (*id, *after)));
        for &packet_id in &exchanges.outbound {
            self.deliveries.restore_unreleased(packet_id);
        }
    }

    /// The journal has lost these positions: what was kept there was not taken over, and the client sends it again.
    pub fn forget_exchanges(&mut self, is_lost: impl Fn(u64) -> bool) {
        self.unreleased.retain(|_, after| !is_lost(*after));
    }

    /// A message with QoS 2 will be kept, though the connection ends before: it is not to be taken over again.
    pub fn expect_release(&mut self, packet_id: PacketId) {
        self.unreleased.insert(packet_id, 0);
    }

    /// Takes over a message that an earlier connection has sent with this identifier, and that is to be sent with it
    /// again: [`next_delivery`](Self::next_delivery) gives it before all others.
    pub fn redeliver(&mut self, packet_id: PacketId, qos: QoS, frame: F) {
        self.deliveries.restore(packet_id, qos, frame);
    }

    /// The identifiers that PUBREL has to be sent for again after [`resume_exchanges`](Self::resume_exchanges)
    /// [MQTT311 4.4.0-1].
    pub fn unreleased(&self) -> impl Iterator<Item = PacketId> {
        self.deliveries.unreleased()
    }

    /// The connection has ended: what of the session goes on to the next one.
    pub fn end(self) -> Ended<F> {
        let Leftovers { undelivered, unreleased } = self.deliveries.into_leftovers();
        let exchanges = Exchanges { inbound: self.unreleased, outbound: unreleased };
        Ended { subscriptions: self.subscriptions.into_map(), undelivered, exchanges }
    }

    /// How long the session outlives the connection, in seconds; 0: not at all. A DISCONNECT can change it
    /// [MQTT5 3.14.2.2.2].
    pub fn session_expiry_s(&self) -> u32 {
        self.session_expiry_s
    }

    /// Has the session end with its connection, whatever the client asked for.
    pub fn end_with_connection(&mut self) {
        self.session_expiry_s = 0;
    }

    /// Subscribes to one filter of a SUBSCRIBE that the client may have.
    ///
    /// # Errors
    /// This filter gets 0x80 in the SUBACK; the others and the connection stay.
    pub fn subscribe(
        &mut self,
        filter: TopicFilter<'_>,
        requested: SubscriptionOptions,
    ) -> Result<Subscribed, FilterRefusal> {
        self.subscriptions.subscribe(filter, requested, &self.limits)
    }

    /// Ends a subscription; `false` when there was none.
    pub fn unsubscribe(&mut self, filter: TopicFilter<'_>) -> bool {
        self.subscriptions.unsubscribe(&filter)
    }

    /// Whether this very filter is subscribed to.
    pub fn is_subscribed(&self, filter: TopicFilter<'_>) -> bool {
        self.subscriptions.contains(&filter)
    }

    /// The subscriptions that stand, as they were granted, in the filters' order.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&str, SubscriptionOptions)> {
        self.subscriptions.iter()
    }

    /// How many subscriptions stand.
    pub fn subscriptions_len(&self) -> usize {
        self.subscriptions.len()
    }

    /// What the client can take, and which version it speaks.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The limits that the session obeys.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); moves on with every packet.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.keep_alive.deadline()
    }

    /// Whether the client has been silent for too long. Early calls do no harm.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Violation> {
        // While we do not read, the silence is ours.
        if !self.wants_read() {
            self.keep_alive.heard(now);
        }
        self.keep_alive.check(now)
    }

    /// Begins the keep-alive anew, because the caller did not read from the client for reasons of its own.
    pub const fn excuse_silence(&mut self, now: Instant) {
        self.keep_alive.heard(now);
    }

    /// The will as the CONNECT brought it, for asking permission.
    pub fn will(&self) -> Option<&Will> {
        self.will.as_deref()
    }

    /// The will is not published, however the connection ends.
    pub fn discard_will(&mut self) {
        self.will = None;
    }

    /// The keep-alive that applies, in seconds; 0: none.
    pub fn keep_alive_s(&self) -> u16 {
        self.keep_alive.seconds()
    }

    /// The will to publish now that the connection has ended for `reason`, if there is one. At most once.
    pub fn take_will(&mut self, reason: DisconnectReason) -> Option<Will> {
        let will = self.will.take()?;
        (reason.publishes_will() || self.wants_will).then_some(*will)
    }

    /// QoS 1 messages that may be without their PUBACK: as we like, and as the client can take [MQTT5 3.3.4-9].
    fn window(&self) -> usize {
        self.limits.inflight_outbound().min(self.peer.receive_maximum.into())
    }

    fn receive_disconnect<'p>(&mut self, disconnect: &Disconnect<'_>) -> Result<Event<'p, F>, Violation> {
        if let Some(asked_s) = disconnect.properties.session_expiry_interval_s() {
            // [MQTT5 3.14.2-2] What was not to outlive its connection is not kept now.
            if self.session_expiry_s == 0 && asked_s > 0 {
                return Err(Violation::SessionExpiryRaised);
            }
            self.session_expiry_s = asked_s.min(self.limits.session_expiry_max_s);
        }
        match disconnect.reason {
            // [MQTT311 3.14.4-3] [MQTT5 3.14.4-3] The will is discarded.
            ReasonCode::Success => self.will = None,
            reason if is_of_server(reason) => return Err(Violation::ServerReason { reason }),
            // [MQTT5 3.1.2-10] Any other end leaves the will to be published.
            _ => self.wants_will = true,
        }
        Ok(Event::Disconnect)
    }

    fn receive_publish<'p>(&mut self, publish: Publish<'p>, now: Instant) -> Result<Event<'p, F>, Violation> {
        if publish.qos > self.limits.qos_max {
            return Err(Violation::QoS2Publish);
        }
        if publish.properties.subscription_ids().next().is_some() {
            return Err(Violation::SubscriptionIdentifierSent);
        }
        let (bytes, bytes_max) = (publish.payload.len(), self.limits.payload_bytes_max);
        if bytes > bytes_max {
            return Err(Violation::PayloadTooLarge { bytes, bytes_max });
        }
        // First: what is too long is not remembered.
        if let Some(topic) = &publish.topic {
            check_topic(topic, &self.limits).map_err(Violation::Topic)?;
        }
        // Also of a message that is throttled: the next ones may be sent to the alias that it sets.
        let topic = self.aliases.resolve(&publish, &self.limits)?;
        let Publish { packet_id, qos, .. } = publish;
        if qos == QoS::ExactlyOnce
            && let Some(packet_id) = packet_id
        {
            // [MQTT311 4.3.3-2] It was taken over already; its PUBREC may have been lost. Never throttled: a PUBREC that
            // refuses it would end the exchange for the client alone.
            if self.unreleased.contains_key(&packet_id) {
                self.expect_ack(packet_id, QoS::ExactlyOnce, ReasonCode::Success, None);
                return Ok(Event::Repeated);
            }
            // [MQTT5 3.3.4-7]
            let unreleased = self.unreleased.len();
            if unreleased >= self.limits.inflight_inbound_max {
                return Err(Violation::ReceiveMaximum { unreleased });
            }
        }
        if self.publishes.take(1, self.limits.connection_publishes_per_s, now).is_err() {
            let throttled = Quota::ConnectionPublishes.exceeded(&self.limits);
            return Ok(Event::Throttled { packet_id, qos, throttled });
        }
        Ok(Event::Publish { topic, publish })
    }

    fn receive_pubrec<'p>(&mut self, ack: Ack<'_>) -> Event<'p, F> {
        let packet_id = ack.packet_id;
        match self.deliveries.received(packet_id, ack.reason.is_failure()) {
            Received::Taken(frame) => Event::Received { packet_id, is_known: true, frame },
            Received::Again => Event::Received { packet_id, is_known: true, frame: None },
            Received::Unknown => Event::Received { packet_id, is_known: false, frame: None },
            // [MQTT5 4.3.3] The exchange ends here.
            Received::Refused(frame) => Event::Delivered { packet_id, frame },
        }
    }

    fn check_filters(&self, filters: usize) -> Result<(), Violation> {
        let filters_max = self.limits.filters_per_subscribe_max;
        if filters > filters_max { Err(Violation::TooManyFilters { filters, filters_max }) } else { Ok(()) }
    }

    fn receive_subscribe<'p>(&self, subscribe: Subscribe<'p>) -> Result<Event<'p, F>, Violation> {
        self.check_filters(subscribe.filters.len())?;
        if subscribe.properties.subscription_ids().next().is_some() {
            return Err(Violation::SubscriptionIdentifier);
        }
        if self.limits.qos_max < QoS::ExactlyOnce
            && subscribe.filters.iter().any(|request| request.options.qos == QoS::ExactlyOnce)
        {
            return Err(Violation::QoS2Subscribe);
        }
        Ok(Event::Subscribe(subscribe))
    }
}

/// What is left of a session when its connection has ended.
#[derive(Debug)]
pub struct Ended<F> {
    /// As they were granted.
    pub subscriptions: BTreeMap<Box<str>, SubscriptionOptions>,
    /// Messages that were [remembered](Session::remember) and not acknowledged, then those that waited: in the order of
    /// sending.
    pub undelivered: Vec<Undelivered<F>>,
    /// What is not finished for QoS 2.
    pub exchanges: Exchanges,
}

/// Exchanges for QoS 2 that are between their steps when a connection ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchanges {
    /// Messages of the client that were taken over, and the journal positions that they are kept at; its PUBREL is
    /// missing. What the journal loses must be taken out: the client sends it again, and must be believed.
    pub inbound: BTreeMap<PacketId, u64>,
    /// Messages that the client has taken over; its PUBCOMP is missing.
    pub outbound: Vec<PacketId>,
}

/// Reasons of a DISCONNECT that only servers have [MQTT5 3.14.2.1].
const fn is_of_server(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::NotAuthorized
            | ReasonCode::ServerBusy
            | ReasonCode::ServerShuttingDown
            | ReasonCode::KeepAliveTimeout
            | ReasonCode::SessionTakenOver
            | ReasonCode::TopicFilterInvalid
            | ReasonCode::RetainNotSupported
            | ReasonCode::QoSNotSupported
            | ReasonCode::UseAnotherServer
            | ReasonCode::ServerMoved
            | ReasonCode::SharedSubscriptionsNotSupported
            | ReasonCode::ConnectionRateExceeded
            | ReasonCode::MaximumConnectTime
            | ReasonCode::SubscriptionIdentifiersNotSupported
            | ReasonCode::WildcardSubscriptionsNotSupported
    )
}
