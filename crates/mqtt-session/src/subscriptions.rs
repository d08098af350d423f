//! What the client has subscribed to.

use crate::limits::Limits;
use crate::topics::{TopicExcess, check_topic};
use mqtt_wire::topic::{SHARE_PREFIX, SharedFilterError};
use mqtt_wire::{QoS, ReasonCode, SubscriptionOptions, TopicFilter};
use std::collections::BTreeMap;

/// A subscription that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribed {
    /// As asked for, with the QoS for the SUBACK: messages come with this QoS at most.
    pub granted: SubscriptionOptions,
    /// The client had subscribed to the same filter before [MQTT311 3.8.4-3].
    pub is_replaced: bool,
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
    /// It begins with `$share/` and does not go on as a shared subscription must [MQTT5 4.8.2-1], [MQTT5 4.8.2-2].
    #[error(transparent)]
    Shared(#[from] SharedFilterError),
    /// More than [`Limits::share_name_chars_max`].
    #[error("the name of the group has {chars} characters, at most {chars_max} are allowed")]
    ShareNameTooLong {
        /// Its length.
        chars: usize,
        /// The limit.
        chars_max: usize,
    },
}

impl FilterRefusal {
    /// What the SUBACK to a client of MQTT 5 says. [AWS mqtt5-reason-codes]
    pub const fn reason_code(&self) -> ReasonCode {
        match self {
            Self::TooManySubscriptions { .. } => ReasonCode::QuotaExceeded,
            Self::Topic(_) | Self::Shared(_) | Self::ShareNameTooLong { .. } => {
                ReasonCode::TopicFilterInvalid
            }
        }
    }
}

/// Holds a filter against the limits. What stands before the filter of a shared subscription does not count
/// [AWS General Reference].
///
/// # Errors
/// Why nobody can subscribe to it.
pub fn check_filter(filter: TopicFilter<'_>, limits: &Limits) -> Result<(), FilterRefusal> {
    let Some(shared) = filter.shared()? else {
        return check_topic(&filter, limits).map_err(FilterRefusal::Topic);
    };
    let (chars, chars_max) = (shared.share_name.chars().count(), limits.share_name_chars_max);
    if chars > chars_max {
        return Err(FilterRefusal::ShareNameTooLong { chars, chars_max });
    }
    check_topic(&shared.filter, limits).map_err(FilterRefusal::Topic)
}

#[derive(Debug, Default)]
pub(crate) struct Subscriptions(BTreeMap<Box<str>, SubscriptionOptions>);

impl Subscriptions {
    pub(crate) fn subscribe(
        &mut self,
        filter: TopicFilter<'_>,
        requested: SubscriptionOptions,
        limits: &Limits,
    ) -> Result<Subscribed, FilterRefusal> {
        check_filter(filter, limits)?;
        // A group may give what one member left to another, which is no "exactly once".
        let is_shared = filter.starts_with(SHARE_PREFIX);
        let qos_max = if is_shared { limits.qos_max.min(QoS::AtLeastOnce) } else { limits.qos_max };
        let granted = SubscriptionOptions { qos: requested.qos.min(qos_max), ..requested };
        // [MQTT311 3.8.4-3] The same filter again replaces the subscription and takes no further place.
        if let Some(present) = self.0.get_mut(filter.as_str()) {
            *present = granted;
            return Ok(Subscribed { granted, is_replaced: true });
        }
        if self.0.len() >= limits.subscriptions_max {
            return Err(FilterRefusal::TooManySubscriptions { subscriptions_max: limits.subscriptions_max });
        }
        self.0.insert(filter.as_str().into(), granted);
        Ok(Subscribed { granted, is_replaced: false })
    }

    pub(crate) fn unsubscribe(&mut self, filter: &str) -> bool {
        self.0.remove(filter).is_some()
    }

    pub(crate) fn contains(&self, filter: &str) -> bool {
        self.0.contains_key(filter)
    }

    pub(crate) fn resume<'f>(
        &mut self,
        subscriptions: impl IntoIterator<Item = (&'f str, SubscriptionOptions)>,
    ) {
        self.0.extend(subscriptions.into_iter().map(|(filter, options)| (filter.into(), options)));
    }

    pub(crate) fn into_map(self) -> BTreeMap<Box<str>, SubscriptionOptions> {
        self.0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, SubscriptionOptions)> {
        self.0.iter().map(|(filter, options)| (filter.as_ref(), *options))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_most(qos: QoS) -> SubscriptionOptions {
        SubscriptionOptions::at_most(qos)
    }

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
            let subscribed = subscriptions.subscribe(filter(&text), at_most(QoS::AtMostOnce), &limits);
            assert_eq!(subscribed, Ok(Subscribed { granted: at_most(QoS::AtMostOnce), is_replaced: false }));
        }
        let refused = FilterRefusal::TooManySubscriptions { subscriptions_max: 50 };
        assert_eq!(subscriptions.subscribe(filter("t/50"), at_most(QoS::AtMostOnce), &limits), Err(refused));
        let again = subscriptions.subscribe(filter("t/7"), at_most(QoS::AtLeastOnce), &limits);
        assert_eq!(again, Ok(Subscribed { granted: at_most(QoS::AtLeastOnce), is_replaced: true }));
        assert!(subscriptions.unsubscribe("t/7"));
        assert!(!subscriptions.unsubscribe("t/7"));
        assert!(subscriptions.subscribe(filter("t/50"), at_most(QoS::AtMostOnce), &limits).is_ok());
        assert_eq!(subscriptions.len(), 50);
    }

    #[test]
    fn filters_obey_the_limits_of_topics() {
        let mut subscriptions = Subscriptions::default();
        let mut subscribe =
            |text: &str| subscriptions.subscribe(filter(text), at_most(QoS::AtMostOnce), &Limits::aws());
        let excess = TopicExcess::Bytes { bytes: 257, bytes_max: 256 };
        assert_eq!(subscribe(&"x".repeat(257)), Err(FilterRefusal::Topic(excess)));
        let excess = TopicExcess::Slashes { slashes: 8, slashes_max: 7 };
        assert_eq!(subscribe("+/+/+/+/+/+/+/+/#"), Err(FilterRefusal::Topic(excess)));
        assert!(subscribe("+/+/+/+/+/+/+/#").is_ok());
        assert!(
            subscribe(&format!("$share/{}/+/+/+/+/+/+/+/#", "g".repeat(128))).is_ok(),
            "the prefix is free"
        );
        let refused = Err(FilterRefusal::ShareNameTooLong { chars: 129, chars_max: 128 });
        assert_eq!(subscribe(&format!("$share/{}/a", "g".repeat(129))), refused);
        for not_shared in ["$share/g", "$share//a", "$share/+/a"] {
            assert!(matches!(subscribe(not_shared), Err(FilterRefusal::Shared(_))), "{not_shared}");
        }
    }
}
