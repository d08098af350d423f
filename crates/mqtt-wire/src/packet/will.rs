//! The will: a part of CONNECT, published when the client is gone [MQTT311 3.1.2.5] [MQTT5 3.1.2.5].

use crate::error::{DecodeError, EncodeError};
use crate::properties::{Carrier, Properties};
use crate::qos::QoS;
use crate::reader::Reader;
use crate::topic::TopicName;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// The message that the server publishes for a client that is gone [MQTT311 3.1.2.5], [MQTT5 3.1.2.5].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where it goes.
    pub topic: TopicName<'a>,
    /// What it says.
    pub payload: &'a [u8],
    /// With which QoS it is published.
    pub qos: QoS,
    /// Whether it becomes the topic's retained message.
    pub retain: bool,
    /// MQTT 5: how long it waits, and what is published with it [MQTT5 3.1.3.2].
    pub properties: Properties<'a>,
}

impl<'a> Will<'a> {
    /// Reads the will of a CONNECT whose flags have these values.
    pub(super) fn decode(
        qos: u8,
        retain: bool,
        version: ProtocolVersion,
        body: &mut Reader<'a>,
    ) -> Result<Self, DecodeError> {
        // [MQTT311 3.1.2-14] [MQTT5 3.1.2-12] Three is no QoS.
        let qos = QoS::from_number(qos).ok_or(DecodeError::InvalidQoS { field: "will QoS", value: qos })?;
        let properties = match version {
            ProtocolVersion::V311 => Properties::NONE,
            ProtocolVersion::V5 => Properties::decode(body, Carrier::Will)?,
        };
        let topic = TopicName::decode(body, "will topic")?;
        let payload = body.binary("will payload")?;
        Ok(Self { topic, payload, qos, retain, properties })
    }

    pub(super) fn encode(
        &self,
        version: ProtocolVersion,
        writer: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        if version == ProtocolVersion::V5 {
            self.properties.encode(Carrier::Will, writer)?;
        }
        writer.binary("will topic", self.topic.as_str().as_bytes())?;
        writer.binary("will payload", self.payload)
    }

    pub(super) const fn bytes_len(&self, version: ProtocolVersion) -> usize {
        let properties = self.properties.encoded_len_in(version);
        properties + 2 + self.topic.as_str().len() + 2 + self.payload.len()
    }
}
