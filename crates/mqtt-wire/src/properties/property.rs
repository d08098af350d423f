//! One property with its value, checked.

use super::id::PropertyId;
use super::value::Value;
use crate::error::{DecodeError, EncodeError};
use crate::qos::QoS;
use crate::reader::Reader;
use crate::subscription_id::SubscriptionId;
use crate::topic::TopicName;
use crate::writer::Writer;
use core::num::{NonZeroU16, NonZeroU32};

/// A property and its value. Lengths of time are in seconds.
///
/// The types allow what the standard allows, with one exception: a maximum QoS is 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property<'a> {
    /// The payload is UTF-8 [MQTT5 3.3.2.3.2]. The codec does not look whether that is so.
    PayloadFormatIsUtf8(bool),
    /// How long the message may wait for its receivers [MQTT5 3.3.2.3.3].
    MessageExpiryIntervalS(u32),
    /// What the payload is; a MIME type mostly [MQTT5 3.3.2.3.9].
    ContentType(&'a str),
    /// Where an answer to the message goes [MQTT5 3.3.2.3.5].
    ResponseTopic(TopicName<'a>),
    /// What an answer repeats, so that the asker knows which question it answers [MQTT5 3.3.2.3.6].
    CorrelationData(&'a [u8]),
    /// The number of a subscription [MQTT5 3.8.2.1.2], [MQTT5 3.3.2.3.8].
    SubscriptionIdentifier(SubscriptionId),
    /// How long the session outlives its connection; [`u32::MAX`]: forever [MQTT5 3.1.2.11.2].
    SessionExpiryIntervalS(u32),
    /// The client identifier that the server chose [MQTT5 3.2.2.3.7].
    AssignedClientId(&'a str),
    /// The keep-alive to obey in place of the one that was asked for [MQTT5 3.2.2.3.14].
    ServerKeepAliveS(u16),
    /// How client and server authenticate [MQTT5 3.1.2.11.9].
    AuthenticationMethod(&'a str),
    /// What the method has to say [MQTT5 3.1.2.11.10].
    AuthenticationData(&'a [u8]),
    /// Whether the server may explain refusals [MQTT5 3.1.2.11.7].
    RequestProblemInformation(bool),
    /// How long the will waits for the client to come back [MQTT5 3.1.3.2.2].
    WillDelayIntervalS(u32),
    /// Whether the client asks for response information [MQTT5 3.1.2.11.6].
    RequestResponseInformation(bool),
    /// From what the client makes its response topics [MQTT5 3.2.2.3.15].
    ResponseInformation(&'a str),
    /// Which other server to use [MQTT5 3.2.2.3.16].
    ServerReference(&'a str),
    /// An explanation for people [MQTT5 3.2.2.3.9].
    ReasonString(&'a str),
    /// QoS 1 and 2 messages that may be on their way to the sender of this at the same time [MQTT5 3.1.2.11.3].
    ReceiveMaximum(NonZeroU16),
    /// The highest topic alias that the sender of this understands; 0: none [MQTT5 3.1.2.11.5].
    TopicAliasMaximum(u16),
    /// A number for the topic [MQTT5 3.3.2.3.4].
    TopicAlias(NonZeroU16),
    /// The highest QoS of the server: 0 or 1. One that has QoS 2 says nothing [MQTT5 3.2.2.3.4].
    MaximumQoS(QoS),
    /// Whether the server keeps retained messages [MQTT5 3.2.2.3.5].
    RetainAvailable(bool),
    /// A name and a value that mean something to the application [MQTT5 3.1.2.11.8].
    UserProperty(&'a str, &'a str),
    /// The largest packet that the sender of this takes, in bytes [MQTT5 3.1.2.11.4].
    MaximumPacketSize(NonZeroU32),
    /// Whether the server takes filters with wildcards [MQTT5 3.2.2.3.11].
    WildcardSubscriptionAvailable(bool),
    /// Whether the server takes subscription identifiers [MQTT5 3.2.2.3.12].
    SubscriptionIdentifierAvailable(bool),
    /// Whether the server takes shared subscriptions [MQTT5 3.2.2.3.13].
    SharedSubscriptionAvailable(bool),
}

impl<'a> Property<'a> {
    /// Reads the value of a property whose identifier has been read.
    pub(super) fn decode_value(id: PropertyId, block: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let field = id.name();
        Ok(match id {
            PropertyId::PayloadFormatIndicator => Self::PayloadFormatIsUtf8(flag(id, block)?),
            PropertyId::MessageExpiryInterval => Self::MessageExpiryIntervalS(block.u32(field)?),
            PropertyId::ContentType => Self::ContentType(block.text(field)?),
            // [MQTT5 3.3.2-13] [MQTT5 3.3.2-14] A topic that can be published to.
            PropertyId::ResponseTopic => Self::ResponseTopic(TopicName::decode(block, field)?),
            PropertyId::CorrelationData => Self::CorrelationData(block.binary(field)?),
            PropertyId::SubscriptionIdentifier => {
                let value = block.integer(field)? as u32;
                let number = SubscriptionId::new(value).ok_or(not_allowed(id, value))?;
                Self::SubscriptionIdentifier(number)
            }
            PropertyId::SessionExpiryInterval => Self::SessionExpiryIntervalS(block.u32(field)?),
            PropertyId::AssignedClientIdentifier => Self::AssignedClientId(block.text(field)?),
            PropertyId::ServerKeepAlive => Self::ServerKeepAliveS(block.u16(field)?),
            PropertyId::AuthenticationMethod => Self::AuthenticationMethod(block.text(field)?),
            PropertyId::AuthenticationData => Self::AuthenticationData(block.binary(field)?),
            PropertyId::RequestProblemInformation => Self::RequestProblemInformation(flag(id, block)?),
            PropertyId::WillDelayInterval => Self::WillDelayIntervalS(block.u32(field)?),
            PropertyId::RequestResponseInformation => Self::RequestResponseInformation(flag(id, block)?),
            PropertyId::ResponseInformation => Self::ResponseInformation(block.text(field)?),
            PropertyId::ServerReference => Self::ServerReference(block.text(field)?),
            PropertyId::ReasonString => Self::ReasonString(block.text(field)?),
            PropertyId::ReceiveMaximum => Self::ReceiveMaximum(non_zero_u16(id, block)?),
            PropertyId::TopicAliasMaximum => Self::TopicAliasMaximum(block.u16(field)?),
            // [MQTT5 3.3.2-8]
            PropertyId::TopicAlias => Self::TopicAlias(non_zero_u16(id, block)?),
            PropertyId::MaximumQoS => {
                let at_least_once = flag(id, block)?;
                Self::MaximumQoS(if at_least_once { QoS::AtLeastOnce } else { QoS::AtMostOnce })
            }
            PropertyId::RetainAvailable => Self::RetainAvailable(flag(id, block)?),
            PropertyId::UserProperty => Self::UserProperty(block.text(field)?, block.text(field)?),
            PropertyId::MaximumPacketSize => {
                let bytes = NonZeroU32::new(block.u32(field)?).ok_or(not_allowed(id, 0))?;
                Self::MaximumPacketSize(bytes)
            }
            PropertyId::WildcardSubscriptionAvailable => {
                Self::WildcardSubscriptionAvailable(flag(id, block)?)
            }
            PropertyId::SubscriptionIdentifierAvailable => {
                Self::SubscriptionIdentifierAvailable(flag(id, block)?)
            }
            PropertyId::SharedSubscriptionAvailable => Self::SharedSubscriptionAvailable(flag(id, block)?),
        })
    }

    /// Which property it is.
    pub const fn id(&self) -> PropertyId {
        self.parts().0
    }

    /// Bytes that it takes on the wire.
    pub const fn encoded_len(&self) -> usize {
        1 + self.parts().1.bytes_len()
    }

    /// Writes it where the caller has made sure that it fits.
    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if *self == Self::MaximumQoS(QoS::ExactlyOnce) {
            return Err(EncodeError::MaximumQoS2);
        }
        let (id, value) = self.parts();
        writer.u8(id.byte());
        value.encode(id.name(), writer)
    }

    const fn parts(&self) -> (PropertyId, Value<'a>) {
        match *self {
            Self::PayloadFormatIsUtf8(yes) => (PropertyId::PayloadFormatIndicator, Value::Byte(yes as u8)),
            Self::MessageExpiryIntervalS(s) => (PropertyId::MessageExpiryInterval, Value::FourBytes(s)),
            Self::ContentType(text) => (PropertyId::ContentType, Value::Text(text)),
            Self::ResponseTopic(topic) => (PropertyId::ResponseTopic, Value::Text(topic.as_str())),
            Self::CorrelationData(bytes) => (PropertyId::CorrelationData, Value::Binary(bytes)),
            Self::SubscriptionIdentifier(id) => {
                (PropertyId::SubscriptionIdentifier, Value::Integer(id.number()))
            }
            Self::SessionExpiryIntervalS(s) => (PropertyId::SessionExpiryInterval, Value::FourBytes(s)),
            Self::AssignedClientId(text) => (PropertyId::AssignedClientIdentifier, Value::Text(text)),
            Self::ServerKeepAliveS(s) => (PropertyId::ServerKeepAlive, Value::TwoBytes(s)),
            Self::AuthenticationMethod(text) => (PropertyId::AuthenticationMethod, Value::Text(text)),
            Self::AuthenticationData(bytes) => (PropertyId::AuthenticationData, Value::Binary(bytes)),
            Self::RequestProblemInformation(yes) => {
                (PropertyId::RequestProblemInformation, Value::Byte(yes as u8))
            }
            Self::WillDelayIntervalS(s) => (PropertyId::WillDelayInterval, Value::FourBytes(s)),
            Self::RequestResponseInformation(yes) => {
                (PropertyId::RequestResponseInformation, Value::Byte(yes as u8))
            }
            Self::ResponseInformation(text) => (PropertyId::ResponseInformation, Value::Text(text)),
            Self::ServerReference(text) => (PropertyId::ServerReference, Value::Text(text)),
            Self::ReasonString(text) => (PropertyId::ReasonString, Value::Text(text)),
            Self::ReceiveMaximum(maximum) => (PropertyId::ReceiveMaximum, Value::TwoBytes(maximum.get())),
            Self::TopicAliasMaximum(maximum) => (PropertyId::TopicAliasMaximum, Value::TwoBytes(maximum)),
            Self::TopicAlias(alias) => (PropertyId::TopicAlias, Value::TwoBytes(alias.get())),
            Self::MaximumQoS(qos) => (PropertyId::MaximumQoS, Value::Byte(qos.number())),
            Self::RetainAvailable(yes) => (PropertyId::RetainAvailable, Value::Byte(yes as u8)),
            Self::UserProperty(name, value) => (PropertyId::UserProperty, Value::TextPair(name, value)),
            Self::MaximumPacketSize(bytes) => (PropertyId::MaximumPacketSize, Value::FourBytes(bytes.get())),
            Self::WildcardSubscriptionAvailable(yes) => {
                (PropertyId::WildcardSubscriptionAvailable, Value::Byte(yes as u8))
            }
            Self::SubscriptionIdentifierAvailable(yes) => {
                (PropertyId::SubscriptionIdentifierAvailable, Value::Byte(yes as u8))
            }
            Self::SharedSubscriptionAvailable(yes) => {
                (PropertyId::SharedSubscriptionAvailable, Value::Byte(yes as u8))
            }
        }
    }
}

/// A byte that is 0 or 1.
fn flag(id: PropertyId, block: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match block.u8(id.name())? {
        0 => Ok(false),
        1 => Ok(true),
        value => Err(not_allowed(id, value.into())),
    }
}

fn non_zero_u16(id: PropertyId, block: &mut Reader<'_>) -> Result<NonZeroU16, DecodeError> {
    NonZeroU16::new(block.u16(id.name())?).ok_or(not_allowed(id, 0))
}

const fn not_allowed(property: PropertyId, value: u32) -> DecodeError {
    DecodeError::PropertyValue { property, value }
}
