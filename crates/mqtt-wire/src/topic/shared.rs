//! Shared subscriptions: each message goes to one of a group's members [MQTT5 4.8.2].

use super::{TopicFilter, TopicFilterError};

/// How the filter of a shared subscription begins [MQTT5 4.8.2-1].
pub const SHARE_PREFIX: &str = "$share/";

/// The parts of `$share/NAME/FILTER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SharedFilter<'a> {
    /// The group: at least one character, no `/`, `+` and `#`.
    pub share_name: &'a str,
    /// Which topics the group takes.
    pub filter: TopicFilter<'a>,
}

/// Why a filter that begins as that of a shared subscription is none. Completes a sentence that begins with the
/// filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SharedFilterError {
    /// [MQTT5 4.8.2-1]
    #[error("has an empty share name")]
    ShareNameEmpty,
    /// [MQTT5 4.8.2-2]
    #[error("has a wildcard (`+` or `#`) in its share name")]
    ShareNameWildcard,
    /// [MQTT5 4.8.2-2]
    #[error("has no topic filter behind its share name")]
    FilterMissing,
    /// What stands behind the share name.
    #[error("{0}")]
    Filter(TopicFilterError),
}

impl<'a> TopicFilter<'a> {
    /// The group and the filter of a shared subscription; `None` for any other filter.
    ///
    /// MQTT 3.1.1 does not know them, and its brokers take the same spelling. The codec lets a wrong one pass, so that
    /// a server can refuse this filter alone.
    ///
    /// # Errors
    /// The filter begins with [`SHARE_PREFIX`] and does not go on as it must.
    pub fn shared(&self) -> Result<Option<SharedFilter<'a>>, SharedFilterError> {
        let Some(rest) = self.as_str().strip_prefix(SHARE_PREFIX) else { return Ok(None) };
        let (share_name, filter) = rest.split_once('/').unwrap_or((rest, ""));
        if share_name.is_empty() {
            return Err(SharedFilterError::ShareNameEmpty);
        }
        if share_name.contains(['+', '#']) {
            return Err(SharedFilterError::ShareNameWildcard);
        }
        if filter.is_empty() {
            return Err(SharedFilterError::FilterMissing);
        }
        let filter = TopicFilter::parse(filter).map_err(SharedFilterError::Filter)?;
        Ok(Some(SharedFilter { share_name, filter }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(text: &str) -> Result<Option<(&str, &str)>, SharedFilterError> {
        let shared = TopicFilter::parse(text).unwrap().shared();
        shared.map(|shared| shared.map(|shared| (shared.share_name, shared.filter.as_str())))
    }

    /// The examples of [MQTT5 4.8.2], and filters that only look alike.
    #[test]
    fn share_name_and_filter() {
        let rows = [
            ("$share/consumer1/sport/tennis/+", Some(("consumer1", "sport/tennis/+"))),
            ("$share/consumer1//finance", Some(("consumer1", "/finance"))),
            ("$share/g/#", Some(("g", "#"))),
            ("$share/g//", Some(("g", "/"))),
            ("$share/g/$share/h/a", Some(("g", "$share/h/a"))),
            ("$share", None),
            ("$shared/g/a", None),
            ("a/$share/g/a", None),
            ("+/g/a", None),
        ];
        for (text, expected) in rows {
            assert_eq!(shared(text), Ok(expected), "{text}");
        }
    }

    /// [MQTT5 4.8.2-1] [MQTT5 4.8.2-2]
    #[test]
    fn incomplete_and_wild_ones_are_refused() {
        let rows = [
            ("$share/", SharedFilterError::ShareNameEmpty),
            ("$share//a", SharedFilterError::ShareNameEmpty),
            ("$share/+/a", SharedFilterError::ShareNameWildcard),
            ("$share/#", SharedFilterError::ShareNameWildcard),
            ("$share/g", SharedFilterError::FilterMissing),
            ("$share/g/", SharedFilterError::FilterMissing),
        ];
        for (text, error) in rows {
            assert_eq!(shared(text), Err(error), "{text}");
        }
    }
}
