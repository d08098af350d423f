//! Topic names, topic filters and which of them match [MQTT311 4.7] [MQTT5 4.7].
//!
//! Two types keep the proof that a text has been checked. Limits that AWS adds (256 bytes, 7 slashes) are not
//! checked here: they depend on the server's settings.

mod filter;
mod matching;
mod name;
mod shared;

pub use filter::{FilterLevel, TopicFilter, TopicFilterError};
pub use matching::{MatchRules, filter_matches};
pub use name::{TopicName, TopicNameError};
pub use shared::{SHARE_PREFIX, SharedFilter, SharedFilterError};

/// Most bytes a topic name or filter may have [MQTT311 4.7.3-3].
pub const TOPIC_BYTES_LIMIT: usize = 65_535;

/// The parts between the slashes, empty ones included: `/a` has two.
pub fn levels(topic: &str) -> core::str::Split<'_, char> {
    topic.split('/')
}
