//! Topic aliases: numbers in the place of topics that repeat [MQTT5 3.3.2.3.4].

use mqtt_wire::{Publish, TopicName};
use std::num::NonZeroU16;
use std::sync::Arc;

/// The aliases that the client has set on this connection.
#[derive(Debug, Default)]
pub(crate) struct TopicAliases(Vec<Option<Arc<str>>>);

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic<'p> {
    /// As the packet says.
    Named(TopicName<'p>),
    /// As an earlier packet said.
    Aliased(Arc<str>),
}

impl Topic<'_> {
    /// The topic.
    pub fn name(&self) -> TopicName<'_> {
        match self {
            Self::Named(name) => *name,
            Self::Aliased(topic) => {
                TopicName::parse(topic).expect("made from a topic name and never changed")
            }
        }
    }
}

/// An alias that stands for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownAlias(pub(crate) NonZeroU16);

impl TopicAliases {
    /// The message's topic. A topic that comes with an alias is remembered, in the place of an earlier one.
    pub(crate) fn resolve<'p>(
        &mut self,
        publish: &Publish<'p>,
        aliases_max: u16,
    ) -> Result<Topic<'p>, UnknownAlias> {
        let Some(alias) = publish.properties.topic_alias() else {
            let topic = publish.topic.expect("the codec lets no PUBLISH pass without both");
            return Ok(Topic::Named(topic));
        };
        // [MQTT5 3.3.2-9]
        if alias.get() > aliases_max {
            return Err(UnknownAlias(alias));
        }
        let index = usize::from(alias.get()) - 1;
        let Some(topic) = publish.topic else {
            let known = self.0.get(index).and_then(Option::as_ref);
            return known.map(|topic| Topic::Aliased(Arc::clone(topic))).ok_or(UnknownAlias(alias));
        };
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        if self.0[index].as_deref() != Some(topic.as_str()) {
            self.0[index] = Some(topic.as_str().into());
        }
        Ok(Topic::Named(topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mqtt_wire::{Properties, PropertiesWriter, Property, QoS};

    fn publish<'a>(topic: &'a str, properties: Properties<'a>) -> Publish<'a> {
        let topic = TopicName::parse(topic).ok();
        Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic,
            packet_id: None,
            properties,
            payload: b"",
        }
    }

    /// [MQTT5 3.3.2-7] [MQTT5 3.3.2-9] [MQTT5 3.3.2-12]
    #[test]
    fn an_alias_stands_for_the_topic_that_it_last_came_with() {
        let mut aliases = TopicAliases::default();
        let mut send = |topic: &str, alias: u16| {
            let (mut out, alias) = ([0; 8], NonZeroU16::new(alias).unwrap());
            let mut writer = PropertiesWriter::new(&mut out);
            writer.push(Property::TopicAlias(alias)).unwrap();
            aliases.resolve(&publish(topic, writer.finish()), 8).map(|topic| topic.name().as_str().to_owned())
        };
        let unknown = |alias| Err(UnknownAlias(NonZeroU16::new(alias).unwrap()));
        assert_eq!(send("", 3), unknown(3));
        assert_eq!(send("a", 3), Ok("a".to_owned()));
        assert_eq!((send("", 3), send("", 2)), (Ok("a".to_owned()), unknown(2)));
        assert_eq!((send("b", 3), send("", 3)), (Ok("b".to_owned()), Ok("b".to_owned())));
        assert_eq!(send("a", 8), Ok("a".to_owned()));
        assert_eq!(send("a", 9), unknown(9));
        let plain = publish("a", Properties::NONE);
        assert_eq!(aliases.resolve(&plain, 0), Ok(Topic::Named(plain.topic.unwrap())));
    }
}
