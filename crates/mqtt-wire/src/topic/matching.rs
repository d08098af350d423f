//! Which topics a filter takes.

use super::levels;

/// The one point where AWS and the standard differ about `#`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MatchRules {
    /// `a/#` does not take `a` [AWS topics: "sensor/#" takes everything below `sensor`, not `sensor` itself].
    #[default]
    Aws,
    /// `a/#` takes `a` too [MQTT311 4.7.1.2].
    Mqtt,
}

/// Whether a message on `topic` belongs to `filter`.
///
/// For texts that have been checked elsewhere. An unchecked filter gives an answer too, only a useless one.
pub fn filter_matches(filter: &str, topic: &str, rules: MatchRules) -> bool {
    // [MQTT311 4.7.2-1] A wildcard in the first level takes no topic that begins with `$`.
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic_levels = levels(topic);
    for filter_level in levels(filter) {
        match (filter_level, topic_levels.next()) {
            ("#", Some(_)) => return true,
            ("#", None) => return rules == MatchRules::Mqtt,
            ("+", Some(_)) => {}
            (text, Some(topic_level)) if text == topic_level => {}
            _ => return false,
        }
    }
    topic_levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::{TopicFilter, TopicName};

    fn matches(filter: &str, topic: &str, rules: MatchRules) -> bool {
        TopicFilter::parse(filter).unwrap().matches(TopicName::parse(topic).unwrap(), rules)
    }

    #[test]
    fn both_rules_agree_on_all_but_the_parent_of_hash() {
        let rows = [
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("#", "a", true),
            ("#", "/", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("a/#", "a/", true),
            ("a/#", "ab/c", false),
            ("a/b", "a/b", true),
            ("a/b", "A/b", false),
            ("a/b", "a/b/", false),
            ("a/b/", "a/b", false),
            ("a/+/c", "a//c", true),
            ("+/b/#", "a/b/c/d", true),
        ];
        for (filter, topic, expected) in rows {
            for rules in [MatchRules::Aws, MatchRules::Mqtt] {
                assert_eq!(matches(filter, topic, rules), expected, "{filter} and {topic} by {rules:?}");
            }
        }
    }

    #[test]
    fn aws_leaves_the_parent_of_hash_out() {
        for (filter, topic) in [("sensor/#", "sensor"), ("+/#", "a"), ("a/+/#", "a/b")] {
            assert!(!matches(filter, topic, MatchRules::Aws), "{filter} and {topic}");
            assert!(matches(filter, topic, MatchRules::Mqtt), "{filter} and {topic}");
        }
        assert!(!filter_matches("sensor/#", "sensor", MatchRules::Aws));
    }

    /// [MQTT311 4.7.2-1]
    #[test]
    fn a_wildcard_in_front_never_takes_reserved_topics() {
        for rules in [MatchRules::Aws, MatchRules::Mqtt] {
            assert!(!matches("#", "$aws/things", rules));
            assert!(!matches("+/things", "$aws/things", rules));
            assert!(!matches("+/#", "$aws/things", rules));
            assert!(matches("$aws/#", "$aws/things", rules));
            assert!(matches("$aws/+", "$aws/things", rules));
            assert!(matches("+/$aws", "a/$aws", rules));
        }
    }
}
