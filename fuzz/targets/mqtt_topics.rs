//! Topic names and filters, against rules that are written down as plainly as possible.
//!
//! The input is two lines: a filter and a topic.
#![no_main]

use fuzz::split_line;
use libfuzzer_sys::fuzz_target;
use mqtt_wire::topic::{MatchRules, TOPIC_BYTES_LIMIT};
use mqtt_wire::{TopicFilter, TopicName};

fuzz_target!(|input: &str| {
    let (filter_text, topic_text) = split_line(input);
    let filter = TopicFilter::parse(filter_text);
    let topic = TopicName::parse(topic_text);
    assert_eq!(filter.is_ok(), is_filter(filter_text), "filter {filter_text:?}");
    assert_eq!(topic.is_ok(), is_topic(topic_text), "topic {topic_text:?}");
    // Every topic is a filter that takes itself.
    if let Ok(topic) = topic {
        assert_eq!(
            TopicFilter::parse(topic_text).map(|itself| itself.matches(topic, MatchRules::Aws)),
            Ok(true)
        );
    }
    if let Ok(filter) = filter {
        check_shared(&filter);
    }
    let (Ok(filter), Ok(topic)) = (filter, topic) else { return };
    assert_eq!(filter.has_wildcard(), filter_text.split('/').any(|level| level == "+" || level == "#"));
    for (rules, hash_takes_parent) in [(MatchRules::Aws, false), (MatchRules::Mqtt, true)] {
        assert_eq!(
            filter.matches(topic, rules),
            takes(filter_text, topic_text, hash_takes_parent),
            "filter {filter_text:?}, topic {topic_text:?}, {rules:?}"
        );
    }
});

/// [MQTT5 4.8.2-1] [MQTT5 4.8.2-2]
fn check_shared(filter: &TopicFilter<'_>) {
    let levels: Vec<&str> = filter.as_str().split('/').collect();
    let expected = match levels.as_slice() {
        ["$share", name, rest @ ..] => {
            let rest = rest.join("/");
            let is_right = !name.is_empty() && !name.contains(['+', '#']) && !rest.is_empty();
            if is_right { Ok(Some((*name, rest))) } else { Err(()) }
        }
        _ => Ok(None),
    };
    let shared = filter.shared().map_err(drop);
    let found =
        shared.map(|shared| shared.map(|shared| (shared.share_name, shared.filter.as_str().to_owned())));
    assert_eq!(found, expected, "filter {:?}", filter.as_str());
}

/// [MQTT311 4.7.3]
fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= TOPIC_BYTES_LIMIT && !text.contains('\0')
}

fn is_topic(text: &str) -> bool {
    is_text(text) && !text.contains(['+', '#'])
}

/// [MQTT311 4.7.1-2] [MQTT311 4.7.1-3]
fn is_filter(text: &str) -> bool {
    let levels: Vec<&str> = text.split('/').collect();
    let last = levels.len() - 1;
    is_text(text)
        && levels.iter().enumerate().all(|(index, level)| match *level {
            "+" => true,
            "#" => index == last,
            other => !other.contains(['+', '#']),
        })
}

/// [MQTT311 4.7.1.2] [MQTT311 4.7.1.3] [MQTT311 4.7.2-1]
fn takes(filter: &str, topic: &str, hash_takes_parent: bool) -> bool {
    if topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#')) {
        return false;
    }
    let filter: Vec<&str> = filter.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    let fixed = filter.strip_suffix(&["#"]);
    let wanted = fixed.unwrap_or(&filter);
    let enough = match fixed {
        Some(fixed) if hash_takes_parent => topic.len() >= fixed.len(),
        Some(fixed) => topic.len() > fixed.len(),
        None => topic.len() == filter.len(),
    };
    enough && wanted.iter().zip(&topic).all(|(wanted, level)| *wanted == "+" || wanted == level)
}
