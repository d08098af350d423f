//! The session itself: what each packet leads to.

use crate::accept::{self, Accepted, Note, Refusal};
use crate::acknowledge::Acknowledgements;
use crate::deliver::{Deliveries, Delivery, Outgoing};
use crate::disconnect::DisconnectReason;
use crate::keep_alive::KeepAlive;
use crate::limits::{Limits, QoS2Subscribe};
use crate::subscriptions::{FilterRefusal, Subscribed, Subscriptions};
use crate::topics::check_topic;
use crate::violation::Violation;
use crate::will::Will;
use mqtt_wire::{
    ConnAck, Connect, Packet, PacketId, Publish, QoS, ReasonCode, Subscribe, TopicFilter, TopicName,
    Unsubscribe,
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
    acknowledgements: Acknowledgements,
    deliveries: Deliveries<F>,
    subscriptions: Subscriptions,
}

/// What a packet asks the caller to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'p> {
    /// Check permission and route it. With QoS 1 call [`Session::expect_ack`] exactly once, even when nobody takes
    /// the message.
    Publish {
        /// Where it goes.
        topic: TopicName<'p>,
        /// The message.
        publish: Publish<'p>,
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
    /// The client leaves; the will is gone already. Close the connection.
    Disconnect,
}

impl<F> Session<F> {
    /// Begins a session, as far as the protocol and its limits are concerned; permission is the caller's to ask.
    ///
    /// # Errors
    /// The connection closes, after the CONNACK of [`Refusal::answer`] if there is one.
    pub fn accept(
        connect: &Connect<'_>,
        limits: &Arc<Limits>,
        now: Instant,
    ) -> Result<(Self, Accepted), Refusal> {
        let client_id = accept::check(connect, limits)?;
        let session = Self {
            limits: Arc::clone(limits),
            keep_alive: KeepAlive::start(connect.keep_alive_s, limits, now),
            will: connect.will.as_ref().map(|will| Box::new(Will::new(will))),
            acknowledgements: Acknowledgements::default(),
            deliveries: Deliveries::new(),
            subscriptions: Subscriptions::default(),
        };
        let accepted = Accepted {
            connack: ConnAck::new(ReasonCode::Success),
            client_id,
            keep_alive_s: session.keep_alive.seconds(),
            note: (!connect.clean_start).then_some(Note::NoPersistentSession),
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
            Packet::Publish(publish) => self.receive_publish(publish),
            Packet::PubAck(ack) if self.deliveries.acknowledged(ack.packet_id) => {
                Ok(Event::Delivered(ack.packet_id))
            }
            Packet::PubAck(ack) => Ok(Event::StrayAck(ack.packet_id)),
            Packet::Subscribe(subscribe) => self.receive_subscribe(subscribe),
            Packet::Unsubscribe(unsubscribe) => Ok(Event::Unsubscribe(unsubscribe)),
            Packet::PingReq => Ok(Event::Ping),
            Packet::Disconnect(_) => {
                // [MQTT311 3.14.4-3] The will is discarded.
                self.will = None;
                Ok(Event::Disconnect)
            }
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
    pub fn expect_ack(&mut self, packet_id: PacketId, after: Option<u64>) {
        self.acknowledgements.push(packet_id, after.unwrap_or(0));
    }

    /// The PUBACKs that may leave now that the journal is on disk up to `committed`, in the order in which the
    /// messages came [MQTT311 4.6.0-2]. What is not taken from the iterator stays owed.
    pub fn acks_ready(&mut self, committed: u64) -> impl Iterator<Item = PacketId> {
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

    /// Hands over a message for the client. `frame_bytes` is what it costs to keep it.
    ///
    /// QoS 0 is always [`Delivery::Send`]: whether the socket keeps up is the caller's to see. `qos` is the message's
    /// after the subscription's maximum was applied; QoS 2 counts as 1.
    pub fn deliver(&mut self, qos: QoS, frame: F, frame_bytes: usize) -> Delivery<F> {
        self.deliveries.deliver(qos, frame, frame_bytes, &self.limits)
    }

    /// Keeps a QoS 1 message although the window may be open, because the socket is not.
    ///
    /// Call [`next_delivery`](Self::next_delivery) when it takes bytes again. Never [`Delivery::Send`].
    pub fn hold(&mut self, frame: F, frame_bytes: usize) -> Delivery<F> {
        self.deliveries.hold(frame, frame_bytes, &self.limits)
    }

    /// The next message that waited, when the window has room for it.
    pub fn next_delivery(&mut self) -> Option<Outgoing<F>> {
        self.deliveries.next(&self.limits)
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
        requested: QoS,
    ) -> Result<Subscribed, FilterRefusal> {
        self.subscriptions.subscribe(filter, requested, &self.limits)
    }

    /// Ends a subscription; `false` when there was none.
    pub fn unsubscribe(&mut self, filter: TopicFilter<'_>) -> bool {
        self.subscriptions.unsubscribe(&filter)
    }

    /// The subscriptions that stand, with the QoS granted, in the filters' order.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&str, QoS)> {
        self.subscriptions.iter()
    }

    /// How many subscriptions stand.
    pub fn subscriptions_len(&self) -> usize {
        self.subscriptions.len()
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

    /// The will to publish now that the connection has ended for `reason`, if there is one. At most once.
    pub fn take_will(&mut self, reason: DisconnectReason) -> Option<Will> {
        let will = self.will.take()?;
        reason.publishes_will().then_some(*will)
    }

    fn receive_publish<'p>(&self, publish: Publish<'p>) -> Result<Event<'p>, Violation> {
        if publish.qos == QoS::ExactlyOnce {
            return Err(Violation::QoS2Publish);
        }
        let (bytes, bytes_max) = (publish.payload.len(), self.limits.payload_bytes_max);
        if bytes > bytes_max {
            return Err(Violation::PayloadTooLarge { bytes, bytes_max });
        }
        let topic = publish.topic.ok_or(Violation::TopicAlias)?;
        check_topic(&topic, &self.limits).map_err(Violation::Topic)?;
        Ok(Event::Publish { topic, publish })
    }

    fn receive_subscribe<'p>(&self, subscribe: Subscribe<'p>) -> Result<Event<'p>, Violation> {
        let (filters, filters_max) = (subscribe.filters.len(), self.limits.filters_per_subscribe_max);
        if filters > filters_max {
            return Err(Violation::TooManyFilters { filters, filters_max });
        }
        if self.limits.qos2_subscribe == QoS2Subscribe::Close
            && subscribe.filters.iter().any(|request| request.options.qos == QoS::ExactlyOnce)
        {
            return Err(Violation::QoS2Subscribe);
        }
        Ok(Event::Subscribe(subscribe))
    }
}
