//! Filters that nearly match a topic: the usual reasons why nobody gets a message.

use mqtt_wire::topic::{MatchRules, filter_matches};

/// How a filter misses a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NearMiss {
    /// They differ in upper and lower case.
    Case,
    /// One of them begins with a slash.
    LeadingSlash,
    /// One of them ends with a slash.
    TrailingSlash,
    /// `a/#` does not match `a` on AWS.
    Parent,
    /// A `+` stands for one level, and the topic has more where the filter ends.
    Deeper,
}

impl NearMiss {
    /// A short name, for JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Case => "case",
            Self::LeadingSlash => "leading_slash",
            Self::TrailingSlash => "trailing_slash",
            Self::Parent => "parent",
            Self::Deeper => "deeper",
        }
    }

    /// What a person should know about it.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Case => "they differ in upper and lower case",
            Self::LeadingSlash => "only one of them begins with `/`",
            Self::TrailingSlash => "only one of them ends with `/`",
            Self::Parent => "`#` does not stand for its own parent here, as on AWS",
            Self::Deeper => "the topic has more levels; `+` stands for one level, `#` for all that follow",
        }
    }
}

/// How a filter misses a topic, if it does so by little. What differs in case and otherwise, too, is told as [`NearMiss::Case`].
pub fn near_miss(topic: &str, filter: &str, rules: MatchRules) -> Option<NearMiss> {
    exact_near_miss(topic, filter, rules).or_else(|| {
        let (topic, filter) = (topic.to_lowercase(), filter.to_lowercase());
        exact_near_miss(&topic, &filter, rules).map(|_| NearMiss::Case)
    })
}

fn exact_near_miss(topic: &str, filter: &str, rules: MatchRules) -> Option<NearMiss> {
    let matches = |filter: &str, topic: &str| filter_matches(filter, topic, rules);
    // Reserved topics are not what somebody meant who subscribed to `#`.
    if matches(filter, topic) || topic.starts_with('$') != filter.starts_with('$') {
        return None;
    }
    let bare = |text: &str| text.strip_prefix('/').unwrap_or(text).to_owned();
    let ended = |text: &str| text.strip_suffix('/').unwrap_or(text).to_owned();
    if matches(&filter.to_lowercase(), &topic.to_lowercase()) {
        return Some(NearMiss::Case);
    }
    if filter.starts_with('/') != topic.starts_with('/') && matches(&bare(filter), &bare(topic)) {
        return Some(NearMiss::LeadingSlash);
    }
    if filter.ends_with('/') != topic.ends_with('/') && matches(&ended(filter), &ended(topic)) {
        return Some(NearMiss::TrailingSlash);
    }
    if filter.strip_suffix("/#").is_some_and(|parent| matches(parent, topic)) {
        return Some(NearMiss::Parent);
    }
    let before = filter.strip_suffix("/+")?;
    matches(&format!("{before}/#"), topic).then_some(NearMiss::Deeper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misses_are_told_by_their_kind() {
        let near = |topic, filter| near_miss(topic, filter, MatchRules::Aws);
        assert_eq!(near("a/b", "A/+"), Some(NearMiss::Case));
        assert_eq!(near("/a/b", "a/b"), Some(NearMiss::LeadingSlash));
        assert_eq!(near("a/b", "/a/#"), Some(NearMiss::LeadingSlash));
        assert_eq!(near("a/b/", "a/b"), Some(NearMiss::TrailingSlash));
        assert_eq!(near("a", "a/#"), Some(NearMiss::Parent));
        assert_eq!(near("a/b/c", "a/+"), Some(NearMiss::Deeper));
        assert_eq!(near("/a/b", "A/B"), Some(NearMiss::Case), "and the slash");
        assert_eq!(near("a/b", "a/#"), None, "it matches");
        assert_eq!(near("a/b", "c/d"), None);
        assert_eq!(near("$aws/x", "#"), None);
    }
}
