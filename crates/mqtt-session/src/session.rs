//! The session itself: what each packet leads to.

use crate::accept::{self, Accepted, Note, Refusal};
use crate::acknowledge::Acknowledgements;
use crate::aliases::{Topic, TopicAliases};
use crate::deliver::{Deliveries, Delivery, Outgoing};
use crate::disconnect::DisconnectReason;
use crate::keep_alive::KeepAlive;
use crate::limits::{Limits, QoS2Subscribe};
use crate::peer::Peer;
use crate::rate::TokenBucket;
use crate::subscriptions::{FilterRefusal, Subscribed, Subscriptions};
use crate::throttled::{Quota, Throttled};
use crate::topics::check_topic;
use crate::violation::Violation;
use crate::will::Will;
use mqtt_wire::{
    Connect, Disconnect, Packet, PacketId, ProtocolVersion, Publish, QoS, ReasonCode, Subscribe,
    SubscriptionOptions, TopicFilter, Unsubscribe,
};
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
    /// What the CONNECT asked for, in seconds.
    session_expiry_s: u32,
    peer: Peer,
    aliases: TopicAliases,
    acknowledgements: Acknowledgements,
    deliveries: Deliveries<F>,
    subscriptions: Subscriptions,
    /// For [`Limits::connection_publishes_per_s`].
    publishes: TokenBucket,
}

/// What a packet asks the caller to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'p> {
    /// Check permission and route it. With QoS 1 call [`Session::expect_ack`] exactly once, even when nobody takes
    /// the message.
    Publish {
        /// Where it goes.
        topic: Topic<'p>,
        /// The message.
        publish: Publish<'p>,
    },
    /// A PUBLISH above [`Limits::connection_publishes_per_s`]: it goes nowhere. With QoS 1 a client of MQTT 5 is told so by
    /// [`Session::expect_ack`] with [`ReasonCode::QuotaExceeded`]; one of MQTT 3.1.1 gets no PUBACK, as from AWS.
    Throttled {
        /// Present for QoS 1.
        packet_id: Option<PacketId>,
        /// Why.
        throttled: Throttled,
    },
    /// Check permission, call [`Session::subscribe`] per filter and answer with one SUBACK.
    Subscribe(Subscribe<'p>),
    /// Call [`Session::unsubscribe`] per filter and answer with an UNSUBACK, whether or not there was something to
    /// end [MQTT311 3.10.4-5].
    Unsubscribe(Unsubscribe<'p>),
    /// The client has taken over a QoS 1 message. Call [`Session::next_delivery`]: there is room for one more.
    Delivered(PacketId),
    /// A PUBACK for nothing in flight; harmless, perhaps worth a line in the log.
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
            session_expiry_s: connect.properties.session_expiry_interval_s().unwrap_or(0),
            peer: Peer::of(connect),
            aliases: TopicAliases::default(),
            acknowledgements: Acknowledgements::default(),
            deliveries: Deliveries::new(),
            subscriptions: Subscriptions::default(),
            publishes: TokenBucket::full(now),
        };
        // MQTT 3.1.1 has one flag for both ends of a session's life, MQTT 5 has the interval for its end.
        let wants_persistence = match connect.version {
            ProtocolVersion::V311 => !connect.clean_start,
            ProtocolVersion::V5 => session.session_expiry_s > 0,
        };
        let accepted = Accepted {
            client_id,
            keep_alive_s: session.keep_alive.seconds(),
            wants_persistence,
            note: wants_persistence.then_some(Note::NoPersistentSession),
        };
        Ok((session, accepted))
    }

    /// Takes the next packet of the client. Call it only while [`wants_read`](Self::wants_read).
    ///
    /// # Errors
    /// The connection must be closed, for [`Violation::disconnect_reason`].
    pub fn receive<'p>(&mut self, packet: &Packet<'p>, now: Instant) -> Result<Event<'p>, Violation> {
        if !self.wants_read() {
            return Err(Violation::ReadPastInflight { inflight: self.acknowledgements.len() });
        }
        // [MQTT311 3.1.2-24] Any packet counts.
        self.keep_alive.heard(now);
        match *packet {
            Packet::Publish(publish) => self.receive_publish(publish, now),
            Packet::PubAck(ack) if self.deliveries.acknowledged(ack.packet_id) => {
                Ok(Event::Delivered(ack.packet_id))
            }
            Packet::PubAck(ack) => Ok(Event::StrayAck(ack.packet_id)),
            Packet::Subscribe(subscribe) => self.receive_subscribe(subscribe),
            Packet::Unsubscribe(unsubscribe) => {
                self.check_filters(unsubscribe.filters.len())?;
                Ok(Event::Unsubscribe(unsubscribe))
            }
            Packet::PingReq => Ok(Event::Ping),
            Packet::Disconnect(disconnect) => self.receive_disconnect(&disconnect),
            Packet::Connect(_) => Err(Violation::SecondConnect),
            Packet::PubRec(_) | Packet::PubRel(_) | Packet::PubComp(_) => {
                Err(Violation::QoS2Packet { kind: packet.kind() })
            }
            Packet::Auth(_) => Err(Violation::Auth),
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                Err(Violation::ServerPacket { kind: packet.kind() })
            }
        }
    }

    /// Remembers that the client gets a PUBACK once the journal has reached `after`; `None`: nothing to wait for.
    ///
    /// To be called in the order of the [`Event::Publish`] events.
    /// `reason` is what a client of MQTT 5 is told; one of MQTT 3.1.1 must be told success, or nothing.
    pub fn expect_ack(&mut self, packet_id: PacketId, reason: ReasonCode, after: Option<u64>) {
        self.acknowledgements.push(packet_id, reason, after.unwrap_or(0));
    }

    /// The PUBACKs that may leave now that the journal is on disk up to `committed`, in the order in which the
    /// messages came [MQTT311 4.6.0-2]. What is not taken from the iterator stays owed.
    pub fn acks_ready(&mut self, committed: u64) -> impl Iterator<Item = (PacketId, ReasonCode)> {
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

    /// Whether a QoS 1 message would be sent now: nothing waits, and the window has room.
    pub fn is_open(&self) -> bool {
        self.deliveries.is_open(self.window())
    }

    /// Whether [`next_delivery`](Self::next_delivery) has one.
    pub fn has_next_delivery(&self) -> bool {
        self.deliveries.has_next(self.window())
    }

    /// Hands over a message for the client. `frame_bytes` is what it costs to keep it.
    ///
    /// QoS 0 is always [`Delivery::Send`]: whether the socket keeps up is the caller's to see. `qos` is the message's
    /// after the subscription's maximum was applied; QoS 2 counts as 1.
    pub fn deliver(&mut self, qos: QoS, frame: F, frame_bytes: usize) -> Delivery<F> {
        self.deliveries.deliver(qos, frame, frame_bytes, self.window(), &self.limits)
    }

    /// Keeps a QoS 1 message although the window may be open, because the socket is not.
    ///
    /// Call [`next_delivery`](Self::next_delivery) when it takes bytes again. Never [`Delivery::Send`].
    pub fn hold(&mut self, frame: F, frame_bytes: usize) -> Delivery<F> {
        self.deliveries.hold(frame, frame_bytes, &self.limits)
    }

    /// The next message that waited, when the window has room for it.
    pub fn next_delivery(&mut self) -> Option<Outgoing<F>> {
        self.deliveries.next(self.window())
    }

    /// A message that was handed out will not be sent after all, because permission for it has gone: its place in the
    /// window is free again.
    pub fn withdraw(&mut self, packet_id: PacketId) {
        self.deliveries.acknowledged(packet_id);
    }

    /// QoS 1 messages to the client without their PUBACK.
    pub fn inflight_len(&self) -> usize {
        self.deliveries.inflight_len()
    }

    /// QoS 1 messages that wait for the window.
    pub fn pending_len(&self) -> usize {
        self.deliveries.pending_len()
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

    fn receive_disconnect<'p>(&mut self, disconnect: &Disconnect<'_>) -> Result<Event<'p>, Violation> {
        let asked_s = disconnect.properties.session_expiry_interval_s().unwrap_or(0);
        if self.session_expiry_s == 0 && asked_s > 0 {
            return Err(Violation::SessionExpiryRaised);
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

    fn receive_publish<'p>(&mut self, publish: Publish<'p>, now: Instant) -> Result<Event<'p>, Violation> {
        if publish.qos == QoS::ExactlyOnce {
            return Err(Violation::QoS2Publish);
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
        if self.publishes.take(1, self.limits.connection_publishes_per_s, now).is_err() {
            let throttled = Quota::ConnectionPublishes.exceeded(&self.limits);
            return Ok(Event::Throttled { packet_id: publish.packet_id, throttled });
        }
        Ok(Event::Publish { topic, publish })
    }

    fn check_filters(&self, filters: usize) -> Result<(), Violation> {
        let filters_max = self.limits.filters_per_subscribe_max;
        if filters > filters_max { Err(Violation::TooManyFilters { filters, filters_max }) } else { Ok(()) }
    }

    fn receive_subscribe<'p>(&self, subscribe: Subscribe<'p>) -> Result<Event<'p>, Violation> {
        self.check_filters(subscribe.filters.len())?;
        if subscribe.properties.subscription_ids().next().is_some() {
            return Err(Violation::SubscriptionIdentifier);
        }
        if self.limits.qos2_subscribe == QoS2Subscribe::Close
            && subscribe.filters.iter().any(|request| request.options.qos == QoS::ExactlyOnce)
        {
            return Err(Violation::QoS2Subscribe);
        }
        Ok(Event::Subscribe(subscribe))
    }
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
