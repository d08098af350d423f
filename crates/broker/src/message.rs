//! A message on its way to subscribers.

use crate::clock;
use crate::sessions::{Entry, Group};
use bytes::Bytes;
use mqtt_session::Attached;
use mqtt_wire::{PacketId, QoS, TopicName};
use services::RetainedMessage;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A published message that outlives the packet it came in: for other loops and for queues.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    topic: Box<str>,
    pub(crate) payload: Bytes,
    pub(crate) qos: QoS,
    /// It was published with RETAIN 1.
    pub(crate) retain: bool,
    /// What came with it, from a publisher that speaks MQTT 5.
    pub(crate) attached: Attached,
    /// When nobody needs it any more.
    pub(crate) expires_at: Option<Instant>,
}

/// A message on its way to one receiver.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) message: Arc<Message>,
    /// Sent with RETAIN 1: it was kept, or the subscription wants the flag as it was published.
    pub(crate) retain: bool,
    /// What it is sent with.
    pub(crate) qos: QoS,
    /// Its place on disk, to be removed when the receiver has it.
    pub(crate) entry: Option<Entry>,
    /// What it was sent with on an earlier connection, and is to be sent with again.
    pub(crate) sent_as: Option<PacketId>,
    /// Its place among those that wait for its group.
    pub(crate) number: u64,
    /// It has been counted as one that waits for members who are away.
    pub(crate) is_counted: bool,
    /// When this connection sent it, if it is to be sent again when the connection breaks.
    pub(crate) sent_at: Option<Instant>,
    /// Whose members it goes to if this receiver does not take it.
    pub(crate) group: Option<Arc<Group>>,
}

impl Due {
    /// A message that is in memory alone.
    pub(crate) fn new(message: Arc<Message>, qos: QoS, retain: bool) -> Self {
        Self {
            message,
            retain,
            qos,
            entry: None,
            sent_as: None,
            number: 0,
            is_counted: false,
            sent_at: None,
            group: None,
        }
    }

    /// A message for one member of a group. [AWS mqtt shared-subscriptions] Never a retained one.
    pub(crate) fn of_group(message: &Arc<Message>, group: &Arc<Group>, entry: Option<Entry>) -> Self {
        let group = Some(Arc::clone(group));
        Self { entry, group, ..Self::new(Arc::clone(message), message.qos, false) }
    }
}

impl Message {
    pub(crate) fn new(
        topic: TopicName<'_>,
        payload: &[u8],
        qos: QoS,
        retain: bool,
        attached: Attached,
    ) -> Arc<Self> {
        let expires_at =
            attached.expiry_s.map(|expiry_s| clock::now() + Duration::from_secs(expiry_s.into()));
        let (topic, payload) = (topic.as_str().into(), Bytes::copy_from_slice(payload));
        Arc::new(Self { topic, payload, qos, retain, attached, expires_at })
    }

    /// A message that the store has kept for somebody.
    pub(crate) fn from_stored(
        topic: TopicName<'_>,
        payload: Bytes,
        qos: QoS,
        retain: bool,
        attached: Attached,
        expires_at: Option<Instant>,
    ) -> Arc<Self> {
        Arc::new(Self { topic: topic.as_str().into(), payload, qos, retain, attached, expires_at })
    }

    /// A kept message, for one who subscribes with this QoS; `None` when what is kept is not a message.
    pub(crate) fn of_retained(retained: &RetainedMessage, granted: QoS, now_ms: i64) -> Option<Arc<Self>> {
        TopicName::parse(&retained.topic).ok()?;
        let qos = QoS::from_number(retained.qos)?.min(granted);
        let left_ms = retained.expires_at_ms.map(|expires_at_ms| expires_at_ms.saturating_sub(now_ms).max(0));
        let left_ms = left_ms.and_then(|left_ms| u64::try_from(left_ms).ok());
        let expiry_s = left_ms.map(|left_ms| u32::try_from(left_ms / 1_000).unwrap_or(u32::MAX));
        Some(Arc::new(Self {
            topic: retained.topic.clone(),
            payload: retained.payload.clone(),
            qos,
            retain: true,
            attached: Attached::from_stored(&retained.properties, expiry_s),
            expires_at: left_ms.map(|left_ms| clock::now() + Duration::from_millis(left_ms)),
        }))
    }

    pub(crate) fn topic(&self) -> TopicName<'_> {
        TopicName::parse(&self.topic).expect("made from a topic name and never changed")
    }

    /// Whether it is too late to send it.
    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    /// Memory that it holds, about.
    pub(crate) fn bytes_len(&self) -> usize {
        // The fixed part stands for the allocations' own cost.
        128 + self.topic.len() + self.payload.len() + self.attached.bytes_len()
    }
}
