//! What the client has subscribed to.

use crate::limits::Limits;
use crate::topics::{TopicExcess, check_topic};
use mqtt_wire::topic::SHARE_PREFIX;
use mqtt_wire::{QoS, TopicFilter};
use std::collections::BTreeMap;

/// A subscription that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribed {
    /// The QoS for the SUBACK; messages come with this QoS at most.
    pub granted: QoS,
    /// What the client had for the same filter before [MQTT311 3.8.4-3].
    pub replaced: Option<QoS>,
}

/// Why a filter is answered with 0x80 in the SUBACK. The connection stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterRefusal {
    /// More than [`Limits::subscriptions_max`].
    #[error("the client has {subscriptions_max} subscriptions already")]
    TooManySubscriptions {
        /// The limit.
        subscriptions_max: usize,
    },
    /// Too long or too deep.
    #[error("the topic filter {0}")]
    Topic(TopicExcess),
    /// `$share/GROUP/FILTER`.
    #[error("shared subscriptions are not available yet")]
    Shared,
}

#[derive(Debug, Default)]
pub(crate) struct Subscriptions(BTreeMap<Box<str>, QoS>);

impl Subscriptions {
    pub(crate) fn subscribe(
        &mut self,
        filter: TopicFilter<'_>,
        requested: QoS,
        limits: &Limits,
    ) -> Result<Subscribed, FilterRefusal> {
        if filter.starts_with(SHARE_PREFIX) {
            return Err(FilterRefusal::Shared);
        }
        check_topic(&filter, limits).map_err(FilterRefusal::Topic)?;
        let granted = requested.min(QoS::AtLeastOnce);
        // [MQTT311 3.8.4-3] The same filter again replaces the subscription and takes no further place.
        if let Some(qos) = self.0.get_mut(filter.as_str()) {
            return Ok(Subscribed { granted, replaced: Some(std::mem::replace(qos, granted)) });
        }
        if self.0.len() >= limits.subscriptions_max {
            return Err(FilterRefusal::TooManySubscriptions { subscriptions_max: limits.subscriptions_max });
        }
        self.0.insert(filter.as_str().into(), granted);
        Ok(Subscribed { granted, replaced: None })
    }

    pub(crate) fn unsubscribe(&mut self, filter: &str) -> bool {
        self.0.remove(filter).is_some()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, QoS)> {
        self.0.iter().map(|(filter, qos)| (filter.as_ref(), *qos))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> TopicFilter<'_> {
        TopicFilter::parse(text).unwrap()
    }

    /// AWS refuses the 51st in the SUBACK and keeps the connection (seen by clients in public issues).
    #[test]
    fn the_fifty_first_subscription_is_refused_and_a_repeated_one_is_not() {
        let limits = Limits::aws();
        let mut subscriptions = Subscriptions::default();
        for number in 0..50 {
            let text = format!("t/{number}");
            let subscribed = subscriptions.subscribe(filter(&text), QoS::AtMostOnce, &limits);
            assert_eq!(subscribed, Ok(Subscribed { granted: QoS::AtMostOnce, replaced: None }));
        }
        let refused = FilterRefusal::TooManySubscriptions { subscriptions_max: 50 };
        assert_eq!(subscriptions.subscribe(filter("t/50"), QoS::AtMostOnce, &limits), Err(refused));
        let again = subscriptions.subscribe(filter("t/7"), QoS::AtLeastOnce, &limits);
        let replaced = Some(QoS::AtMostOnce);
        assert_eq!(again, Ok(Subscribed { granted: QoS::AtLeastOnce, replaced }));
        assert!(subscriptions.unsubscribe("t/7"));
        assert!(!subscriptions.unsubscribe("t/7"));
        assert!(subscriptions.subscribe(filter("t/50"), QoS::AtMostOnce, &limits).is_ok());
        assert_eq!(subscriptions.len(), 50);
    }

    #[test]
    fn filters_obey_the_limits_of_topics() {
        let mut subscriptions = Subscriptions::default();
        let mut subscribe =
            |text: &str| subscriptions.subscribe(filter(text), QoS::AtMostOnce, &Limits::aws());
        let excess = TopicExcess::Bytes { bytes: 257, bytes_max: 256 };
        assert_eq!(subscribe(&"x".repeat(257)), Err(FilterRefusal::Topic(excess)));
        let excess = TopicExcess::Slashes { slashes: 8, slashes_max: 7 };
        assert_eq!(subscribe("+/+/+/+/+/+/+/+/#"), Err(FilterRefusal::Topic(excess)));
        assert!(subscribe("+/+/+/+/+/+/+/#").is_ok());
        assert_eq!(subscribe("$share/group/a"), Err(FilterRefusal::Shared));
    }
}
