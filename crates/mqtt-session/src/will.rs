//! The message that is published for a client that is gone.

use mqtt_wire::{QoS, TopicName};

/// A will that outlives its CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    topic: Box<str>,
    /// What it says.
    pub payload: Box<[u8]>,
    /// 0 or 1.
    pub qos: QoS,
    /// Whether it becomes the topic's retained message.
    pub retain: bool,
}

impl Will {
    pub(crate) fn new(will: &mqtt_wire::Will<'_>) -> Self {
        Self {
            topic: will.topic.as_str().into(),
            payload: will.payload.into(),
            qos: will.qos,
            retain: will.retain,
        }
    }

    /// Where it goes.
    pub fn topic(&self) -> TopicName<'_> {
        TopicName::parse(&self.topic).expect("made from a topic name and never changed")
    }
}
