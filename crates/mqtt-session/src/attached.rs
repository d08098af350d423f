//! What comes with a message of MQTT 5 beside its payload, when it outlives its packet.

use crate::limits::Limits;
use mqtt_wire::properties::Carrier;
use mqtt_wire::{PacketKind, Properties, PropertiesWriter, PropertyId};

/// The properties of a message that its receivers get as they were sent [MQTT5 3.3.2-4] to [MQTT5 3.3.2-20], and how
/// long it may wait for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// INVARIANT: made by a [`PropertiesWriter`] of properties of a PUBLISH.
    block: Box<[u8]>,
    /// Seconds; `None`: it never expires.
    pub expiry_s: Option<u32>,
}

impl Attached {
    /// Of a PUBLISH or a will. The expiry is brought between the limits.
    pub fn of(properties: &Properties<'_>, limits: &Limits) -> Self {
        if properties.is_empty() {
            return Self::default();
        }
        let mut block = vec![0; properties.as_bytes().len()];
        let mut writer = PropertiesWriter::new(&mut block);
        // INVARIANT: a part of the block fits into the size of all of it.
        writer.copy(properties, &PropertyId::FORWARDED_UNALTERED).expect("they fit");
        let bytes = writer.finish().as_bytes().len();
        block.truncate(bytes);
        let (least_s, most_s) = (limits.message_expiry_min_s, limits.message_expiry_max_s);
        let expiry_s = properties.message_expiry_interval_s().map(|expiry_s| expiry_s.clamp(least_s, most_s));
        Self { block: block.into_boxed_slice(), expiry_s }
    }

    /// As the store kept them; none when they are not what we keep.
    pub fn from_stored(block: &[u8], expiry_s: Option<u32>) -> Self {
        let is_ours = Properties::parse(block, Carrier::Packet(PacketKind::Publish)).is_ok();
        Self { block: if is_ours { block.into() } else { Box::default() }, expiry_s }
    }

    /// Those to hand on.
    pub fn properties(&self) -> Properties<'_> {
        if self.block.is_empty() {
            return Properties::NONE;
        }
        Properties::parse(&self.block, Carrier::Packet(PacketKind::Publish))
            .expect("made of properties and never changed")
    }

    /// Memory that they take.
    pub fn bytes_len(&self) -> usize {
        self.block.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mqtt_wire::Property;
    use std::num::NonZeroU16;

    #[test]
    fn what_is_a_connections_own_stays_behind_and_the_expiry_is_bounded() {
        let (mut out, alias) = ([0; 64], NonZeroU16::MIN);
        for (sent_s, kept_s) in [(0, 1), (60, 60), (604_801, 604_800)] {
            let mut writer = PropertiesWriter::new(&mut out);
            for property in [
                Property::TopicAlias(alias),
                Property::UserProperty("a", "1"),
                Property::MessageExpiryIntervalS(sent_s),
                Property::ContentType("text/plain"),
                Property::UserProperty("a", "2"),
            ] {
                writer.push(property).unwrap();
            }
            let attached = Attached::of(&writer.finish(), &Limits::aws());
            assert_eq!(attached.expiry_s, Some(kept_s));
            let kept = attached.properties();
            assert_eq!((kept.topic_alias(), kept.message_expiry_interval_s()), (None, None));
            assert_eq!(kept.content_type(), Some("text/plain"));
            assert!(kept.user_properties().eq([("a", "1"), ("a", "2")]), "in their order [MQTT5 3.3.2-18]");
            assert_eq!(Attached::from_stored(kept.as_bytes(), Some(kept_s)), attached);
        }
        assert_eq!(Attached::of(&Properties::NONE, &Limits::aws()), Attached::default());
        assert_eq!(Attached::from_stored(b"rubbish", None), Attached::default());
    }
}
