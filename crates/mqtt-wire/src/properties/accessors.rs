//! A question per property. Each walks the block; `None` when the property is not there.

use super::{Properties, Property, PropertyId, next_id};
use crate::qos::QoS;
use crate::reader::Reader;
use crate::subscription_id::SubscriptionId;
use crate::topic::TopicName;
use core::num::{NonZeroU16, NonZeroU32};

impl<'a> Properties<'a> {
    /// Whether the payload is UTF-8 by what its sender says; without the property it is bytes.
    pub fn payload_format_is_utf8(&self) -> bool {
        self.flag(PropertyId::PayloadFormatIndicator).unwrap_or(false)
    }

    /// Seconds that the message may wait for its receivers; without it, it never expires.
    pub fn message_expiry_interval_s(&self) -> Option<u32> {
        self.u32(PropertyId::MessageExpiryInterval)
    }

    /// What the payload is; a MIME type mostly.
    pub fn content_type(&self) -> Option<&'a str> {
        self.text(PropertyId::ContentType)
    }

    /// Where an answer to the message goes.
    pub fn response_topic(&self) -> Option<TopicName<'a>> {
        TopicName::parse(self.text(PropertyId::ResponseTopic)?).ok()
    }

    /// What an answer repeats.
    pub fn correlation_data(&self) -> Option<&'a [u8]> {
        self.binary(PropertyId::CorrelationData)
    }

    /// The identifier of a SUBSCRIBE, or those that a PUBLISH brings back.
    pub fn subscription_ids(&self) -> impl Iterator<Item = SubscriptionId> + use<'a> {
        self.iter().filter_map(|property| match property {
            Property::SubscriptionIdentifier(id) => Some(id),
            _ => None,
        })
    }

    /// Seconds that the session outlives its connection; [`u32::MAX`]: forever. Without it none [MQTT5 3.1.2.11.2].
    pub fn session_expiry_interval_s(&self) -> Option<u32> {
        self.u32(PropertyId::SessionExpiryInterval)
    }

    /// The client identifier that the server chose.
    pub fn assigned_client_id(&self) -> Option<&'a str> {
        self.text(PropertyId::AssignedClientIdentifier)
    }

    /// Seconds of the keep-alive to obey in place of the one that was asked for.
    pub fn server_keep_alive_s(&self) -> Option<u16> {
        self.u16(PropertyId::ServerKeepAlive)
    }

    /// How client and server authenticate.
    pub fn authentication_method(&self) -> Option<&'a str> {
        self.text(PropertyId::AuthenticationMethod)
    }

    /// What the authentication method has to say.
    pub fn authentication_data(&self) -> Option<&'a [u8]> {
        self.binary(PropertyId::AuthenticationData)
    }

    /// Whether the server may explain refusals; without the property it may [MQTT5 3.1.2.11.7].
    pub fn request_problem_information(&self) -> bool {
        self.flag(PropertyId::RequestProblemInformation).unwrap_or(true)
    }

    /// Seconds that the will waits for the client to come back; without it none.
    pub fn will_delay_interval_s(&self) -> Option<u32> {
        self.u32(PropertyId::WillDelayInterval)
    }

    /// Whether the client asks for response information; without the property it does not [MQTT5 3.1.2.11.6].
    pub fn request_response_information(&self) -> bool {
        self.flag(PropertyId::RequestResponseInformation).unwrap_or(false)
    }

    /// From what the client makes its response topics.
    pub fn response_information(&self) -> Option<&'a str> {
        self.text(PropertyId::ResponseInformation)
    }

    /// Which other server to use.
    pub fn server_reference(&self) -> Option<&'a str> {
        self.text(PropertyId::ServerReference)
    }

    /// An explanation for people.
    pub fn reason_string(&self) -> Option<&'a str> {
        self.text(PropertyId::ReasonString)
    }

    /// QoS 1 and 2 messages that may be on their way to the sender of this at the same time; without it 65,535.
    pub fn receive_maximum(&self) -> Option<NonZeroU16> {
        NonZeroU16::new(self.u16(PropertyId::ReceiveMaximum)?)
    }

    /// The highest topic alias that the sender of this understands; without it 0, which is none.
    pub fn topic_alias_maximum(&self) -> Option<u16> {
        self.u16(PropertyId::TopicAliasMaximum)
    }

    /// The number that the topic gets, or for which it stands.
    pub fn topic_alias(&self) -> Option<NonZeroU16> {
        NonZeroU16::new(self.u16(PropertyId::TopicAlias)?)
    }

    /// The highest QoS that the server takes; 2 without the property [MQTT5 3.2.2.3.4].
    pub fn maximum_qos(&self) -> QoS {
        match self.flag(PropertyId::MaximumQoS) {
            Some(false) => QoS::AtMostOnce,
            Some(true) => QoS::AtLeastOnce,
            None => QoS::ExactlyOnce,
        }
    }

    /// Whether the server keeps retained messages; without the property it does.
    pub fn retain_available(&self) -> bool {
        self.flag(PropertyId::RetainAvailable).unwrap_or(true)
    }

    /// Names and values that mean something to the application, in the sender's order.
    pub fn user_properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.iter().filter_map(|property| match property {
            Property::UserProperty(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// The largest packet that the sender of this takes, in bytes; without it all that the protocol allows.
    pub fn maximum_packet_size(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.u32(PropertyId::MaximumPacketSize)?)
    }

    /// Whether the server takes filters with wildcards; without the property it does.
    pub fn wildcard_subscription_available(&self) -> bool {
        self.flag(PropertyId::WildcardSubscriptionAvailable).unwrap_or(true)
    }

    /// Whether the server takes subscription identifiers; without the property it does.
    pub fn subscription_identifier_available(&self) -> bool {
        self.flag(PropertyId::SubscriptionIdentifierAvailable).unwrap_or(true)
    }

    /// Whether the server takes shared subscriptions; without the property it does.
    pub fn shared_subscription_available(&self) -> bool {
        self.flag(PropertyId::SharedSubscriptionAvailable).unwrap_or(true)
    }

    fn flag(&self, wanted: PropertyId) -> Option<bool> {
        self.find(wanted)?.u8(wanted.name()).ok().map(|byte| byte != 0)
    }

    fn u16(&self, wanted: PropertyId) -> Option<u16> {
        self.find(wanted)?.u16(wanted.name()).ok()
    }

    fn u32(&self, wanted: PropertyId) -> Option<u32> {
        self.find(wanted)?.u32(wanted.name()).ok()
    }

    fn text(&self, wanted: PropertyId) -> Option<&'a str> {
        self.find(wanted)?.utf8(wanted.name()).ok()
    }

    fn binary(&self, wanted: PropertyId) -> Option<&'a [u8]> {
        self.find(wanted)?.binary(wanted.name()).ok()
    }

    /// The block from the value of this property on.
    fn find(&self, wanted: PropertyId) -> Option<Reader<'a>> {
        let mut block = Reader::new(self.as_bytes());
        loop {
            let id = next_id(&mut block)?;
            if id == wanted {
                return Some(block);
            }
            id.form().skip(&mut block, id.name()).ok()?;
        }
    }
}
