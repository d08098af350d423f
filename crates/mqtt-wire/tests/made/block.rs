//! Blocks of properties that a packet may have.

use super::{BUFFER_BYTES, packet_id, payload, qos, text, topic};
use mqtt_wire::ProtocolVersion::{self, V311};
use mqtt_wire::properties::Carrier;
use mqtt_wire::{
    PacketId, PacketKind, Properties, PropertiesWriter, Property, PropertyId, QoS, SubscriptionId, TopicName,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;
use std::num::{NonZeroU16, NonZeroU32};

/// An owned twin of [`Properties`].
#[derive(Clone, Debug)]
pub(super) struct Block(Vec<MadeProperty>);

/// A property, and the one of the values that suits it.
#[derive(Clone, Debug)]
struct MadeProperty {
    id: PropertyId,
    yes: bool,
    number: u32,
    id_number: PacketId,
    texts: (String, String),
    topic: String,
    bytes: Vec<u8>,
}

impl Block {
    pub(super) fn has(&self, id: PropertyId) -> bool {
        self.0.iter().any(|property| property.id == id)
    }

    pub(super) fn write<'o>(&self, out: &'o mut [u8]) -> Properties<'o> {
        assert_eq!(out.len(), BUFFER_BYTES);
        let mut writer = PropertiesWriter::new(out);
        self.0.iter().for_each(|property| writer.push(property.property()).unwrap());
        writer.finish()
    }

    pub(super) fn strategy(version: ProtocolVersion, carrier: Carrier) -> BoxedStrategy<Self> {
        if version == V311 {
            return Just(Self(vec![])).boxed();
        }
        let allowed = (0..=255).filter_map(PropertyId::from_byte).filter(|id| id.is_allowed_in(carrier));
        let allowed: Vec<_> = allowed.collect();
        let once = subsequence(allowed.clone(), 0..=allowed.len());
        let repeated: Vec<_> = allowed
            .into_iter()
            .filter(|id| match id {
                PropertyId::UserProperty => true,
                PropertyId::SubscriptionIdentifier => carrier == Carrier::Packet(PacketKind::Publish),
                _ => false,
            })
            .collect();
        let again = vec(prop::sample::select(repeated), 0..3);
        let ids = (once, again).prop_map(|(once, again)| {
            let has_method = once.contains(&PropertyId::AuthenticationMethod);
            let mut ids = [once, again].concat();
            ids.retain(|id| has_method || *id != PropertyId::AuthenticationData);
            ids
        });
        let ids = prop_oneof![Just(vec![]), ids.prop_shuffle()];
        ids.prop_flat_map(|ids| ids.into_iter().map(property).collect::<Vec<_>>()).prop_map(Self).boxed()
    }
}

fn property(id: PropertyId) -> impl Strategy<Value = MadeProperty> {
    (any::<bool>(), any::<u32>(), packet_id(), (text(), text()), topic(), payload(), qos()).prop_map(
        move |(yes, number, id_number, texts, topic, bytes, qos)| MadeProperty {
            id,
            yes,
            number: if qos == QoS::AtMostOnce { number % 1_000 } else { number },
            id_number,
            texts,
            topic,
            bytes,
        },
    )
}

impl MadeProperty {
    fn property(&self) -> Property<'_> {
        let (text, number, yes) = (self.texts.0.as_str(), self.number, self.yes);
        let non_zero = NonZeroU16::new(self.id_number.number()).unwrap();
        match self.id {
            PropertyId::PayloadFormatIndicator => Property::PayloadFormatIsUtf8(yes),
            PropertyId::MessageExpiryInterval => Property::MessageExpiryIntervalS(number),
            PropertyId::ContentType => Property::ContentType(text),
            PropertyId::ResponseTopic => Property::ResponseTopic(TopicName::parse(&self.topic).unwrap()),
            PropertyId::CorrelationData => Property::CorrelationData(&self.bytes),
            PropertyId::SubscriptionIdentifier => {
                Property::SubscriptionIdentifier(SubscriptionId::new(number % 268_435_455 + 1).unwrap())
            }
            PropertyId::SessionExpiryInterval => Property::SessionExpiryIntervalS(number),
            PropertyId::AssignedClientIdentifier => Property::AssignedClientId(text),
            PropertyId::ServerKeepAlive => Property::ServerKeepAliveS(number as u16),
            PropertyId::AuthenticationMethod => Property::AuthenticationMethod(text),
            PropertyId::AuthenticationData => Property::AuthenticationData(&self.bytes),
            PropertyId::RequestProblemInformation => Property::RequestProblemInformation(yes),
            PropertyId::WillDelayInterval => Property::WillDelayIntervalS(number),
            PropertyId::RequestResponseInformation => Property::RequestResponseInformation(yes),
            PropertyId::ResponseInformation => Property::ResponseInformation(text),
            PropertyId::ServerReference => Property::ServerReference(text),
            PropertyId::ReasonString => Property::ReasonString(text),
            PropertyId::ReceiveMaximum => Property::ReceiveMaximum(non_zero),
            PropertyId::TopicAliasMaximum => Property::TopicAliasMaximum(number as u16),
            PropertyId::TopicAlias => Property::TopicAlias(non_zero),
            PropertyId::MaximumQoS => {
                Property::MaximumQoS(if yes { QoS::AtLeastOnce } else { QoS::AtMostOnce })
            }
            PropertyId::RetainAvailable => Property::RetainAvailable(yes),
            PropertyId::UserProperty => Property::UserProperty(text, &self.texts.1),
            PropertyId::MaximumPacketSize => {
                Property::MaximumPacketSize(NonZeroU32::new(number.max(1)).unwrap())
            }
            PropertyId::WildcardSubscriptionAvailable => Property::WildcardSubscriptionAvailable(yes),
            PropertyId::SubscriptionIdentifierAvailable => Property::SubscriptionIdentifierAvailable(yes),
            PropertyId::SharedSubscriptionAvailable => Property::SharedSubscriptionAvailable(yes),
        }
    }
}
