//! Topic filters: what a client subscribes to, and what a rule takes its messages from.

use super::matching::{MatchRules, filter_matches};
use super::{TOPIC_BYTES_LIMIT, TopicName};
use crate::error::DecodeError;
use crate::reader::Reader;

/// A topic filter whose wildcards stand alone in their level, `#` only in the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter<'a>(&'a str);

/// One level of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterLevel<'a> {
    /// Exactly this text.
    Text(&'a str),
    /// `+`: any text.
    Any,
    /// `#`: this level and all that follow.
    Rest,
}

/// Why a text is not a topic filter. Completes a sentence that begins with the field's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicFilterError {
    /// [MQTT311 4.7.3-1]
    #[error("is empty")]
    Empty,
    /// [MQTT311 4.7.3-3]
    #[error("has more than 65,535 bytes")]
    TooLong,
    /// [MQTT311 4.7.3-2]
    #[error("holds a null character")]
    Null,
    /// [MQTT311 4.7.1-2], [MQTT311 4.7.1-3]
    #[error("has a wildcard that is not alone in its level, or a `#` before the last level")]
    Wildcard,
}

impl<'a> TopicFilter<'a> {
    /// Checks a text.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(text: &'a str) -> Result<Self, TopicFilterError> {
        if text.is_empty() {
            return Err(TopicFilterError::Empty);
        }
        if text.len() > TOPIC_BYTES_LIMIT {
            return Err(TopicFilterError::TooLong);
        }
        if text.as_bytes().contains(&0) {
            return Err(TopicFilterError::Null);
        }
        let mut levels = super::levels(text).peekable();
        while let Some(level) = levels.next() {
            let alone = level.len() == 1;
            let last = levels.peek().is_none();
            if level.contains('+') && !alone || level.contains('#') && !(alone && last) {
                return Err(TopicFilterError::Wildcard);
            }
        }
        Ok(Self(text))
    }

    pub(crate) fn decode(body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Self::parse(body.utf8("topic filter")?).map_err(DecodeError::TopicFilter)
    }

    /// The text.
    pub const fn as_str(&self) -> &'a str {
        self.0
    }

    /// The levels with their wildcards told apart.
    pub fn levels(&self) -> impl Iterator<Item = FilterLevel<'a>> + use<'a> {
        super::levels(self.0).map(|level| match level {
            "+" => FilterLevel::Any,
            "#" => FilterLevel::Rest,
            text => FilterLevel::Text(text),
        })
    }

    /// The filter holds a wildcard, so it can match more than one topic.
    pub fn has_wildcard(&self) -> bool {
        self.0.contains(['+', '#'])
    }

    /// Whether a message on `topic` belongs to this filter.
    pub fn matches(&self, topic: TopicName<'_>, rules: MatchRules) -> bool {
        filter_matches(self.0, topic.as_str(), rules)
    }
}

impl core::ops::Deref for TopicFilter<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.0
    }
}

impl core::fmt::Display for TopicFilter<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_filters() {
        for text in ["#", "+", "/", "a/#", "+/+", "a/+/b", "/+", "$share/g/a/#", "a//#", "+/tennis/#"] {
            assert_eq!(TopicFilter::parse(text).map(|filter| filter.as_str()), Ok(text));
        }
        let filter = TopicFilter::parse("a/+/#").unwrap();
        assert!(filter.levels().eq([FilterLevel::Text("a"), FilterLevel::Any, FilterLevel::Rest]));
        assert!(filter.has_wildcard());
        assert!(!TopicFilter::parse("a/b").unwrap().has_wildcard());
    }

    /// [MQTT311 4.7.1-2] [MQTT311 4.7.1-3] [MQTT311 4.7.3-1] [MQTT311 4.7.3-2]
    #[test]
    fn refused_filters() {
        for text in ["a#", "#/a", "a/#/b", "a+", "+a/b", "a/b+", "##", "++", "+#"] {
            assert_eq!(TopicFilter::parse(text), Err(TopicFilterError::Wildcard), "{text}");
        }
        assert_eq!(TopicFilter::parse(""), Err(TopicFilterError::Empty));
        assert_eq!(TopicFilter::parse("\0"), Err(TopicFilterError::Null));
    }
}
