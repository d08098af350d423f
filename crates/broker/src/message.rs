//! A message on its way to subscribers.

use bytes::Bytes;
use mqtt_wire::{QoS, TopicName};
use std::sync::Arc;

/// A published message that outlives the packet it came in: for other loops and for queues.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    topic: Box<str>,
    pub(crate) payload: Bytes,
    pub(crate) qos: QoS,
}

impl Message {
    pub(crate) fn new(topic: TopicName<'_>, payload: &[u8], qos: QoS) -> Arc<Self> {
        Arc::new(Self { topic: topic.as_str().into(), payload: Bytes::copy_from_slice(payload), qos })
    }

    pub(crate) fn topic(&self) -> TopicName<'_> {
        TopicName::parse(&self.topic).expect("made from a topic name and never changed")
    }

    /// Memory that it holds, about.
    pub(crate) fn bytes_len(&self) -> usize {
        // The fixed part stands for the allocations' own cost.
        64 + self.topic.len() + self.payload.len()
    }
}
