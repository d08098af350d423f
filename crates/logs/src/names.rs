//! What names, tags and retentions may be.

use std::collections::BTreeMap;

use crate::LogsError;
use crate::limits::{NAME_CHARS_MAX, RETENTION_DAYS, TAGS_MAX};

/// [AWS CloudWatch Logs, CreateLogGroup] 1 to 512 of `.-_/#A-Za-z0-9`.
///
/// # Errors
/// [`LogsError::InvalidParameter`].
pub fn check_group_name(name: &str) -> Result<(), LogsError> {
    check_length(name, "logGroupName")?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/#".contains(&byte);
    if name.bytes().all(allowed) {
        Ok(())
    } else {
        Err(pattern_violation("logGroupName", r"[\.\-_/#A-Za-z0-9]+"))
    }
}

/// [AWS CloudWatch Logs, CreateLogStream] 1 to 512 characters, no `:` and no `*`.
pub(crate) fn check_stream_name(name: &str) -> Result<(), LogsError> {
    check_length(name, "logStreamName")?;
    if name.contains([':', '*']) { Err(pattern_violation("logStreamName", "[^:*]*")) } else { Ok(()) }
}

/// [AWS CloudWatch Logs, PutRetentionPolicy]
pub(crate) fn check_retention(days: i64) -> Result<u32, LogsError> {
    if let Some(allowed) = RETENTION_DAYS.into_iter().find(|allowed| i64::from(*allowed) == days) {
        return Ok(allowed);
    }
    let allowed = RETENTION_DAYS.map(|days| days.to_string()).join(", ");
    Err(LogsError::invalid(format!(
        "1 validation error detected: Value at 'retentionInDays' failed to satisfy constraint: Member must \
         satisfy enum value set: [{allowed}]"
    )))
}

/// [AWS CloudWatch Logs, TagResource] At most 50 tags; keys of 1 to 128 characters that do not begin with `aws:`,
/// values of at most 256.
pub(crate) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), LogsError> {
    if tags.len() > TAGS_MAX {
        return Err(LogsError::TooManyTags(format!("A log group can have at most {TAGS_MAX} tags.")));
    }
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > 128 {
            return Err(LogsError::invalid(format!("The tag key `{key}` must have 1 to 128 characters.")));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(LogsError::invalid("Tag keys that begin with aws: are reserved."));
        }
        if value.chars().count() > 256 {
            return Err(LogsError::invalid(format!(
                "The value of tag `{key}` must have at most 256 characters."
            )));
        }
    }
    Ok(())
}

fn check_length(name: &str, member: &str) -> Result<(), LogsError> {
    let (bound, comparison) = match name.chars().count() {
        0 => (1, "greater"),
        count if count > NAME_CHARS_MAX => (NAME_CHARS_MAX, "less"),
        _ => return Ok(()),
    };
    Err(LogsError::invalid(format!(
        "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must have \
         length {comparison} than or equal to {bound}"
    )))
}

/// The value is not repeated. [AWS verified.md 140]
fn pattern_violation(member: &str, pattern: &str) -> LogsError {
    LogsError::invalid(format!(
        "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must satisfy \
         regular expression pattern: {pattern}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "/aws/iot", "A.b-c_d#1", &"x".repeat(512)] {
            assert_eq!(check_group_name(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "a:b", "ä", &"x".repeat(513)] {
            assert!(matches!(check_group_name(bad), Err(LogsError::InvalidParameter(_))), "{bad}");
        }
        assert_eq!(check_stream_name("telemetry $LATEST [ä]"), Ok(()));
        for bad in ["", "a:b", "a*", &"x".repeat(513)] {
            assert!(check_stream_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn retention_and_tags_are_checked() {
        assert_eq!(check_retention(731), Ok(731));
        for days in [2, 0, -1, i64::from(u32::MAX) + 2] {
            assert!(check_retention(days).is_err(), "{days}");
        }
        let tags = |pairs: &[(&str, &str)]| {
            check_tags(&pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
        };
        assert_eq!(tags(&[("team", "a")]), Ok(()));
        assert!(tags(&[("aws:x", "a")]).is_err());
        assert!(tags(&[("", "a")]).is_err());
        let many: Vec<String> = (0..51).map(|number| number.to_string()).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|key| (key.as_str(), "")).collect();
        assert!(matches!(tags(&many), Err(LogsError::TooManyTags(_))));
    }
}
