//! Topics that are not for everybody.
//!
//! [AWS iot reserved-topics] Topics that begin with `$` belong to the service. What eyot does not serve yet is refused
//! in words, rather than taken in silence and never answered.

use crate::lifecycle_events::EVENTS_PREFIX;

/// What publishing to a topic means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    /// Subscribers and rules get it.
    Plain,
    /// One rule gets it, and nobody else.
    BasicIngest,
    /// It is not to be published to, for this reason.
    Reserved(&'static str),
}

/// What publishing to this topic means.
pub(crate) fn of_publish(topic: &str) -> Topic {
    if !topic.starts_with('$') {
        Topic::Plain
    } else if mqtt_session::basic_ingest(topic).is_some_and(|ingest| !ingest.rule.is_empty()) {
        Topic::BasicIngest
    } else if topic.starts_with("$aws/") {
        Topic::Reserved("reserved topics other than `$aws/rules/NAME/…` are not available yet")
    } else {
        Topic::Reserved("topics that begin with `$` are reserved")
    }
}

/// Why a filter cannot be subscribed to, if so. Of a shared one, what stands behind its group.
pub(crate) fn reserved_filter(filter: &str) -> Option<&'static str> {
    if !filter.starts_with('$') {
        None
    } else if mqtt_session::basic_ingest(filter).is_some() {
        // [AWS iot-basic-ingest] Nothing is delivered there, so nothing can be subscribed.
        Some("basic ingest topics have no subscribers")
    } else if filter.starts_with(EVENTS_PREFIX) {
        None
    } else if filter.starts_with("$aws/") {
        Some("reserved topics other than `$aws/events/…` are not available yet")
    } else {
        // `$SYS` included: AWS disconnects whoever subscribes to it, whatever its policy says.
        Some("topics that begin with `$` are reserved")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_ingest_is_the_one_reserved_topic_for_publishing() {
        assert_eq!(of_publish("$aws/rules/telemetry/pico"), Topic::BasicIngest);
        assert_eq!(of_publish("$aws/rules/telemetry"), Topic::BasicIngest);
        assert_eq!(of_publish("a/$aws"), Topic::Plain);
        for topic in ["$aws/rules/", "$aws/rules//x", "$aws/things/t/shadow/update", "$SYS/x", "$", "$aws"] {
            assert!(matches!(of_publish(topic), Topic::Reserved(_)), "{topic}");
        }
    }

    #[test]
    fn no_filter_in_the_reserved_space_can_be_subscribed() {
        for filter in ["$aws/#", "$aws/rules/r/#", "$SYS/#", "$SYS"] {
            assert!(reserved_filter(filter).is_some(), "{filter}");
        }
        for filter in ["#", "+/$aws", "a", "$aws/events/presence/connected/+", "$aws/events/#"] {
            assert_eq!(reserved_filter(filter), None, "{filter}");
        }
    }
}
