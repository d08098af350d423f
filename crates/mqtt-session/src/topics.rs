//! How AWS counts the length of a topic.

use crate::limits::Limits;

/// The levels in front of a basic-ingest topic.
const BASIC_INGEST_PREFIX: &str = "$aws/rules/";

/// A topic of basic ingest, taken apart [AWS iot-basic-ingest].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BasicIngest<'a> {
    /// The rule that alone sees the message.
    pub rule: &'a str,
    /// What the rule's `topic()` returns; empty for `$aws/rules/NAME`.
    pub topic: &'a str,
}

/// How a topic or filter exceeds the limits. Completes a sentence that begins with the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicExcess {
    /// More bytes than [`Limits::topic_bytes_max`].
    #[error("has {bytes} bytes, at most {bytes_max} are allowed")]
    Bytes {
        /// The bytes that count.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// More slashes than [`Limits::topic_slashes_max`].
    #[error("has {slashes} slashes, at most {slashes_max} are allowed")]
    Slashes {
        /// The slashes that count.
        slashes: usize,
        /// The limit.
        slashes_max: usize,
    },
}

/// Takes `$aws/rules/NAME/…` apart; `None` for every other topic.
pub fn basic_ingest(topic: &str) -> Option<BasicIngest<'_>> {
    let rest = topic.strip_prefix(BASIC_INGEST_PREFIX)?;
    let (rule, topic) = rest.split_once('/').unwrap_or((rest, ""));
    Some(BasicIngest { rule, topic })
}

/// Longest name that a rule can have. [AWS iot CreateTopicRule]
const RULE_NAME_BYTES_MAX: usize = 128;

/// Holds a topic or filter against the limits. `$aws/rules/NAME/` does not count [AWS iot-basic-ingest], for a NAME that
/// a rule can have.
///
/// # Errors
/// [`TopicExcess`] tells by how much it is too long.
pub fn check_topic(topic: &str, limits: &Limits) -> Result<(), TopicExcess> {
    let ingest = basic_ingest(topic).filter(|ingest| ingest.rule.len() <= RULE_NAME_BYTES_MAX);
    let counted = ingest.map_or(topic, |ingest| ingest.topic);
    let (bytes, bytes_max) = (counted.len(), limits.topic_bytes_max);
    if bytes > bytes_max {
        return Err(TopicExcess::Bytes { bytes, bytes_max });
    }
    let (slashes, slashes_max) =
        (counted.bytes().filter(|&byte| byte == b'/').count(), limits.topic_slashes_max);
    if slashes > slashes_max {
        return Err(TopicExcess::Slashes { slashes, slashes_max });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_ingest_topics_are_taken_apart() {
        let telemetry = BasicIngest { rule: "telemetry", topic: "pico_w_simple" };
        assert_eq!(basic_ingest("$aws/rules/telemetry/pico_w_simple"), Some(telemetry));
        assert_eq!(basic_ingest("$aws/rules/r/a/b"), Some(BasicIngest { rule: "r", topic: "a/b" }));
        assert_eq!(basic_ingest("$aws/rules/r"), Some(BasicIngest { rule: "r", topic: "" }));
        assert_eq!(basic_ingest("$aws/rules"), None);
        assert_eq!(basic_ingest("a/$aws/rules/r"), None);
    }

    #[test]
    fn the_limits_leave_the_ingest_prefix_out() {
        let limits = Limits::aws();
        let (fits, too_long) = ("x".repeat(256), "x".repeat(257));
        let excess = TopicExcess::Bytes { bytes: 257, bytes_max: 256 };
        assert_eq!(check_topic(&fits, &limits), Ok(()));
        assert_eq!(check_topic(&too_long, &limits), Err(excess));
        assert_eq!(check_topic(&format!("$aws/rules/r/{fits}"), &limits), Ok(()));
        assert_eq!(check_topic(&format!("$aws/rules/r/{too_long}"), &limits), Err(excess));
        let (longest, no_name) = ("n".repeat(128), "n".repeat(300));
        assert_eq!(check_topic(&format!("$aws/rules/{longest}/{fits}"), &limits), Ok(()));
        assert!(check_topic(&format!("$aws/rules/{no_name}/x"), &limits).is_err(), "no rule has that name");
        assert_eq!(check_topic("0/1/2/3/4/5/6/7", &limits), Ok(()));
        let excess = TopicExcess::Slashes { slashes: 8, slashes_max: 7 };
        assert_eq!(check_topic("0/1/2/3/4/5/6/7/8", &limits), Err(excess));
        assert_eq!(check_topic("$aws/rules/r/0/1/2/3/4/5/6/7", &limits), Ok(()));
        assert_eq!(check_topic(&too_long, &Limits::none()), Ok(()));
    }
}
