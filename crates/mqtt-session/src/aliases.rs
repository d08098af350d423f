//! Topic aliases: numbers in the place of topics that repeat [MQTT5 3.3.2.3.4].

use crate::limits::Limits;
use crate::violation::Violation;
use mqtt_wire::{Publish, TopicName};
use std::sync::Arc;

/// The aliases that the client has set on this connection.
#[derive(Debug, Default)]
pub(crate) struct TopicAliases {
    topics: Vec<Option<Arc<str>>>,
    /// Of all topics together.
    bytes: usize,
}

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

impl TopicAliases {
    /// The message's topic. A topic that comes with an alias is remembered, in the place of an earlier one.
    ///
    /// # Errors
    /// The alias stands for nothing, or the limits are reached; nothing is remembered then.
    pub(crate) fn resolve<'p>(
        &mut self,
        publish: &Publish<'p>,
        limits: &Limits,
    ) -> Result<Topic<'p>, Violation> {
        let Some(alias) = publish.properties.topic_alias() else {
            let topic = publish.topic.expect("the codec lets no PUBLISH pass without both");
            return Ok(Topic::Named(topic));
        };
        let aliases_max = limits.topic_aliases_max;
        let unknown = Violation::TopicAlias { alias: alias.get(), aliases_max };
        // [MQTT5 3.3.2-9]
        if alias.get() > aliases_max {
            return Err(unknown);
        }
        let index = usize::from(alias.get()) - 1;
        let Some(topic) = publish.topic else {
            let known = self.topics.get(index).and_then(Option::as_ref);
            return known.map(|topic| Topic::Aliased(Arc::clone(topic))).ok_or(unknown);
        };
        self.remember(index, topic.as_str(), limits.alias_bytes_max)?;
        Ok(Topic::Named(topic))
    }

    fn remember(&mut self, index: usize, topic: &str, bytes_max: usize) -> Result<(), Violation> {
        let before = self.topics.get(index).and_then(Option::as_deref);
        if before == Some(topic) {
            return Ok(());
        }
        let bytes = self.bytes - before.map_or(0, str::len) + topic.len();
        if bytes > bytes_max {
            return Err(Violation::AliasesTooLarge { bytes, bytes_max });
        }
        self.bytes = bytes;
        if self.topics.len() <= index {
            self.topics.resize(index + 1, None);
        }
        self.topics[index] = Some(topic.into());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mqtt_wire::{Properties, PropertiesWriter, Property, QoS};
    use std::num::NonZeroU16;

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
        let limits = Limits { alias_bytes_max: 10, ..Limits::aws() };
        let mut send = |topic: &str, alias: u16| {
            let (mut out, alias) = ([0; 8], NonZeroU16::new(alias).unwrap());
            let mut writer = PropertiesWriter::new(&mut out);
            writer.push(Property::TopicAlias(alias)).unwrap();
            aliases
                .resolve(&publish(topic, writer.finish()), &limits)
                .map(|topic| topic.name().as_str().to_owned())
        };
        let unknown = |alias| Err(Violation::TopicAlias { alias, aliases_max: 8 });
        assert_eq!(send("", 3), unknown(3));
        assert_eq!(send("a", 3), Ok("a".to_owned()));
        assert_eq!((send("", 3), send("", 2)), (Ok("a".to_owned()), unknown(2)));
        assert_eq!((send("b", 3), send("", 3)), (Ok("b".to_owned()), Ok("b".to_owned())));
        assert_eq!(send("a", 8), Ok("a".to_owned()));
        assert_eq!(send("a", 9), unknown(9));
        // Ten bytes for all of them: `b` and `a` are there.
        assert_eq!(send("12345678", 1), Ok("12345678".to_owned()));
        assert_eq!(send("c", 2), Err(Violation::AliasesTooLarge { bytes: 11, bytes_max: 10 }));
        assert_eq!((send("", 2), send("", 1)), (unknown(2), Ok("12345678".to_owned())));
        assert_eq!(send("1", 1), Ok("1".to_owned()));
        assert_eq!(send("c", 2), Ok("c".to_owned()));
        let plain = publish("a", Properties::NONE);
        assert_eq!(aliases.resolve(&plain, &limits), Ok(Topic::Named(plain.topic.unwrap())));
    }
}
