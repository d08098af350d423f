//! Topic names: where a message is published to.

use super::TOPIC_BYTES_LIMIT;
use crate::error::DecodeError;
use crate::reader::Reader;

/// A topic that a message can be published to: 1 to 65,535 bytes, no wildcard, no null character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName<'a>(&'a str);

/// Why a text is not a topic name. Completes a sentence that begins with the field's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicNameError {
    /// [MQTT311 4.7.3-1]
    #[error("is empty")]
    Empty,
    /// [MQTT311 4.7.3-3]
    #[error("has more than 65,535 bytes")]
    TooLong,
    /// [MQTT311 4.7.3-2]
    #[error("holds a null character")]
    Null,
    /// [MQTT311 3.3.2-2]
    #[error("holds a wildcard (`+` or `#`)")]
    Wildcard,
}

impl<'a> TopicName<'a> {
    /// Checks a text.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(text: &'a str) -> Result<Self, TopicNameError> {
        let bytes = text.as_bytes();
        if bytes.is_empty() {
            return Err(TopicNameError::Empty);
        }
        if bytes.len() > TOPIC_BYTES_LIMIT {
            return Err(TopicNameError::TooLong);
        }
        // Without an early exit the compiler looks at many bytes at once; nearly every topic is fine.
        let forbidden = |&byte: &u8| byte == 0 || byte == b'+' || byte == b'#';
        if bytes.iter().fold(false, |found, byte| found | forbidden(byte)) {
            let null = bytes.contains(&0);
            return Err(if null { TopicNameError::Null } else { TopicNameError::Wildcard });
        }
        Ok(Self(text))
    }

    #[inline]
    pub(crate) fn decode(body: &mut Reader<'a>, field: &'static str) -> Result<Self, DecodeError> {
        Self::parse(body.utf8(field)?).map_err(|error| DecodeError::TopicName { field, error })
    }

    /// The text.
    pub const fn as_str(&self) -> &'a str {
        self.0
    }

    /// The parts between the slashes.
    pub fn levels(&self) -> core::str::Split<'a, char> {
        super::levels(self.0)
    }
}

impl core::ops::Deref for TopicName<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.0
    }
}

impl core::fmt::Display for TopicName<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    #[test]
    fn unusual_but_valid_names() {
        for text in ["/", "a", "/a//b/", " ", "$aws/rules/x", "\u{feff}a", "é/ü"] {
            assert_eq!(TopicName::parse(text).map(|name| name.as_str()), Ok(text));
        }
        assert!(TopicName::parse("/a/").unwrap().levels().eq(["", "a", ""]));
    }

    #[test]
    fn refused_names() {
        assert_eq!(TopicName::parse(""), Err(TopicNameError::Empty));
        assert_eq!(TopicName::parse("a/+"), Err(TopicNameError::Wildcard));
        assert_eq!(TopicName::parse("a#b"), Err(TopicNameError::Wildcard));
        assert_eq!(TopicName::parse("a\0"), Err(TopicNameError::Null));
        let long = String::from_utf8(std::vec![b'a'; 65_536]).unwrap();
        assert_eq!(TopicName::parse(&long), Err(TopicNameError::TooLong));
        assert!(TopicName::parse(&long[1..]).is_ok());
    }
}
