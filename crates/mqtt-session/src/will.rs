//! The message that is published for a client that is gone.

use crate::attached::Attached;
use crate::limits::Limits;
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
    /// MQTT 5: what is published with it.
    pub attached: Attached,
    /// MQTT 5: seconds that it waits for the client to come back [MQTT5 3.1.3-9].
    pub delay_s: u32,
}

impl Will {
    pub(crate) fn new(will: &mqtt_wire::Will<'_>, limits: &Limits) -> Self {
        Self {
            topic: will.topic.as_str().into(),
            payload: will.payload.into(),
            qos: will.qos,
            retain: will.retain,
            attached: Attached::of(&will.properties, limits),
            delay_s: will.properties.will_delay_interval_s().unwrap_or(0),
        }
    }

    /// Where it goes.
    pub fn topic(&self) -> TopicName<'_> {
        TopicName::parse(&self.topic).expect("made from a topic name and never changed")
    }
}
