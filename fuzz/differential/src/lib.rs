//! What a packet says, as names and texts: the form in which two codecs can be compared.

use mqtt_wire::{Packet, Properties, Property};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// The fields of a packet. What is absent is not there, so a codec that has a field for it says it by leaving it out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said(BTreeMap<String, String>);

impl Said {
    /// Begins with the packet's name.
    pub fn packet(name: &str) -> Self {
        Self::default().with("packet", name)
    }

    /// Adds a field.
    pub fn with(mut self, name: impl Into<String>, value: impl Debug) -> Self {
        self.0.insert(name.into(), format!("{value:?}"));
        self
    }

    /// Adds a field that is there.
    pub fn maybe(self, name: impl Into<String>, value: Option<impl Debug>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds a list if it has items.
    pub fn list<T: Debug>(self, name: impl Into<String>, values: impl IntoIterator<Item = T>) -> Self {
        let values: Vec<_> = values.into_iter().collect();
        if values.is_empty() { self } else { self.with(name, values) }
    }

    /// Takes a field away if it has this value: some codecs do not tell a default from nothing.
    pub fn without(mut self, name: &str, default: impl Debug) -> Self {
        if self.0.get(name) == Some(&format!("{default:?}")) {
            self.0.remove(name);
        }
        self
    }

    /// What our codec has read.
    pub fn ours(packet: &Packet<'_>) -> Self {
        let said = Self::packet(packet.kind().name());
        match packet {
            Packet::Connect(connect) => {
                let said = said
                    .with("clean start", connect.clean_start)
                    .with("keep alive", connect.keep_alive_s)
                    .with("client identifier", connect.client_id)
                    .maybe("user name", connect.username)
                    .maybe("password", connect.password)
                    .properties("", &connect.properties);
                match &connect.will {
                    None => said,
                    Some(will) => said
                        .with("will topic", will.topic.as_str())
                        .with("will payload", will.payload)
                        .with("will qos", will.qos.number())
                        .with("will retain", will.retain)
                        .properties("will ", &will.properties),
                }
            }
            Packet::ConnAck(connack) => said
                .with("session present", connack.session_present)
                .with("reason", connack.reason.byte())
                .properties("", &connack.properties),
            Packet::Publish(publish) => said
                .with("dup", publish.dup)
                .with("qos", publish.qos.number())
                .with("retain", publish.retain)
                .with("topic", publish.topic.map_or("", |topic| topic.as_str()))
                .maybe("id", publish.packet_id.map(|id| id.number()))
                .with("payload", publish.payload)
                .properties("", &publish.properties),
            Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => said
                .with("id", ack.packet_id.number())
                .with("reason", ack.reason.byte())
                .properties("", &ack.properties),
            Packet::Subscribe(subscribe) => said
                .with("id", subscribe.packet_id.number())
                .list(
                    "filters",
                    subscribe.filters.iter().map(|request| {
                        let options = request.options;
                        let retain = (options.retain_as_published, options.retain_handling as u8);
                        (request.filter.as_str(), options.qos.number(), options.no_local, retain)
                    }),
                )
                .properties("", &subscribe.properties),
            Packet::SubAck(suback) => said
                .with("id", suback.packet_id.number())
                .list("reasons", suback.codes.iter().map(|code| code.byte()))
                .properties("", &suback.properties),
            Packet::Unsubscribe(unsubscribe) => said
                .with("id", unsubscribe.packet_id.number())
                .list("filters", unsubscribe.filters.iter().map(|filter| filter.as_str()))
                .properties("", &unsubscribe.properties),
            Packet::UnsubAck(unsuback) => said
                .with("id", unsuback.packet_id.number())
                .list("reasons", unsuback.codes.iter().map(|code| code.byte()))
                .properties("", &unsuback.properties),
            Packet::Disconnect(disconnect) => {
                said.with("reason", disconnect.reason.byte()).properties("", &disconnect.properties)
            }
            Packet::Auth(auth) => said.with("reason", auth.reason.byte()).properties("", &auth.properties),
            Packet::PingReq | Packet::PingResp => said,
        }
    }

    /// Adds the properties of a block, whatever their order; user properties and subscription identifiers in theirs.
    fn properties(mut self, prefix: &str, properties: &Properties<'_>) -> Self {
        for property in properties.iter() {
            let name = format!("{prefix}{}", property.id());
            self = match property {
                Property::UserProperty(..) | Property::SubscriptionIdentifier(_) => continue,
                Property::PayloadFormatIsUtf8(yes)
                | Property::RequestProblemInformation(yes)
                | Property::RequestResponseInformation(yes)
                | Property::RetainAvailable(yes)
                | Property::WildcardSubscriptionAvailable(yes)
                | Property::SubscriptionIdentifierAvailable(yes)
                | Property::SharedSubscriptionAvailable(yes) => self.with(name, u8::from(yes)),
                Property::MessageExpiryIntervalS(number)
                | Property::SessionExpiryIntervalS(number)
                | Property::WillDelayIntervalS(number) => self.with(name, number),
                Property::MaximumPacketSize(number) => self.with(name, number),
                Property::ReceiveMaximum(number) | Property::TopicAlias(number) => self.with(name, number),
                Property::ServerKeepAliveS(number) | Property::TopicAliasMaximum(number) => {
                    self.with(name, number)
                }
                Property::MaximumQoS(qos) => self.with(name, qos.number()),
                Property::ResponseTopic(topic) => self.with(name, topic.as_str()),
                Property::ContentType(text)
                | Property::AssignedClientId(text)
                | Property::AuthenticationMethod(text)
                | Property::ResponseInformation(text)
                | Property::ServerReference(text)
                | Property::ReasonString(text) => self.with(name, text),
                Property::CorrelationData(bytes) | Property::AuthenticationData(bytes) => {
                    self.with(name, bytes)
                }
            };
        }
        let ids = properties.subscription_ids().map(|id| id.number());
        self.list(format!("{prefix}subscription identifier"), ids)
            .list(format!("{prefix}user property"), properties.user_properties())
    }
}
