//! Topic names and topic filters, as AWS IoT Core matches them.
//!
//! Two rules differ from plain MQTT 3.1.1, which lets `a/#` match its parent `a`: AWS does not
//! ([AWS topics] "the number sign … doesn't match the parent level"). And as in MQTT, a wildcard at the first level
//! never matches a topic that begins with `$` [MQTT311 4.7.2-1].

/// Longest topic that the protocol can carry, in bytes [MQTT311 4.7.3-3]. AWS's own limit of 256 is the session's.
pub const TOPIC_BYTES_MAX: usize = 65_535;

/// Why a text is no topic name or no topic filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// [MQTT311 4.7.3-1]
    #[error("it is empty")]
    Empty,
    /// [MQTT311 4.7.3-3]
    #[error("it is longer than 65535 bytes")]
    TooLong,
    /// [MQTT311 4.7.3-2]
    #[error("it contains U+0000")]
    Null,
    /// [MQTT311 4.7.1-1] Wildcards are for filters.
    #[error("a topic name must not contain `+` or `#`")]
    Wildcard,
    /// [MQTT311 4.7.1-2]
    #[error("`#` must be the last level and stand alone in it")]
    MisplacedNumberSign,
    /// [MQTT311 4.7.1-3]
    #[error("`+` must stand alone in its level")]
    MisplacedPlus,
}

/// A topic that can be published to: no wildcards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicName<'a>(&'a str);

impl<'a> TopicName<'a> {
    /// Checks `text`.
    ///
    /// # Errors
    /// [`TopicError`] says which rule it breaks.
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        check_text(text)?;
        if text.contains(['+', '#']) { Err(TopicError::Wildcard) } else { Ok(Self(text)) }
    }

    /// The topic.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// The parts between the slashes.
    pub fn levels(self) -> impl Iterator<Item = &'a str> {
        levels(self.0)
    }
}

/// A filter that can be subscribed to: its wildcards stand alone in their levels, `#` only in the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicFilter<'a>(&'a str);

impl<'a> TopicFilter<'a> {
    /// Checks `text`.
    ///
    /// # Errors
    /// [`TopicError`] says which rule it breaks.
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        check_text(text)?;
        let mut rest = levels(text).peekable();
        while let Some(level) = rest.next() {
            if level.contains('#') && (level != "#" || rest.peek().is_some()) {
                return Err(TopicError::MisplacedNumberSign);
            }
            if level.contains('+') && level != "+" {
                return Err(TopicError::MisplacedPlus);
            }
        }
        Ok(Self(text))
    }

    /// The filter.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// The parts between the slashes.
    pub fn levels(self) -> impl Iterator<Item = &'a str> {
        levels(self.0)
    }

    /// Whether `topic` matches this filter.
    pub fn matches(self, topic: TopicName<'_>) -> bool {
        filter_matches(self.0, topic.0)
    }
}

/// The parts of a topic or filter between the slashes; empty ones count [MQTT311 4.7.3].
pub fn levels(text: &str) -> impl Iterator<Item = &str> {
    text.split('/')
}

/// Whether `topic` matches `filter`. Both are taken as they are; parse them where they come from outside.
pub fn filter_matches(filter: &str, topic: &str) -> bool {
    // [MQTT311 4.7.2-1] Wildcards at the first level do not reach reserved topics.
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic = levels(topic);
    for pattern in levels(filter) {
        match (pattern, topic.next()) {
            // [AWS topics] `#` stands for one level or more, never for none.
            ("#", Some(_)) => return true,
            ("+", Some(_)) => {}
            (pattern, Some(level)) if pattern == level => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}

fn check_text(text: &str) -> Result<(), TopicError> {
    match text {
        "" => Err(TopicError::Empty),
        _ if text.len() > TOPIC_BYTES_MAX => Err(TopicError::TooLong),
        _ if text.contains('\0') => Err(TopicError::Null),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_on_aws() {
        for (filter, topic, expected) in [
            ("sensor/#", "sensor/temperature", true),
            ("sensor/#", "sensor/temperature/room1", true),
            ("sensor/#", "sensor", false),
            ("sensor/#", "sensor/", true),
            ("#", "a/b", true),
            ("#", "$aws/things/a", false),
            ("+/a", "$aws/a", false),
            ("$aws/#", "$aws/things/a", true),
            ("$aws/+/a", "$aws/things/a", true),
            ("a/+/c", "a/b/c", true),
            ("a/+/c", "a//c", true),
            ("a/+", "a/b/c", false),
            ("a/+", "a", false),
            ("a/b", "a/b", true),
            ("a/b", "a/B", false),
            ("/a", "a", false),
            ("+/+", "/a", true),
        ] {
            assert_eq!(filter_matches(filter, topic), expected, "{filter} {topic}");
        }
    }

    #[test]
    fn names_have_no_wildcards() {
        assert_eq!(TopicName::parse("a/b").map(TopicName::as_str), Ok("a/b"));
        assert_eq!(TopicName::parse(""), Err(TopicError::Empty));
        assert_eq!(TopicName::parse("a/+"), Err(TopicError::Wildcard));
        assert_eq!(TopicName::parse("a#"), Err(TopicError::Wildcard));
        assert_eq!(TopicName::parse("a\0"), Err(TopicError::Null));
    }

    #[test]
    fn wildcards_stand_alone() {
        for filter in ["#", "+", "a/#", "+/a/+", "/", "a//b"] {
            assert_eq!(TopicFilter::parse(filter).map(TopicFilter::as_str), Ok(filter));
        }
        assert_eq!(TopicFilter::parse("a/#/b"), Err(TopicError::MisplacedNumberSign));
        assert_eq!(TopicFilter::parse("a#"), Err(TopicError::MisplacedNumberSign));
        assert_eq!(TopicFilter::parse("a/b+"), Err(TopicError::MisplacedPlus));
        assert_eq!(TopicFilter::parse(""), Err(TopicError::Empty));
    }
}
