//! Event ids, and the tokens that lead from page to page.
//!
//! Events are ordered by timestamp and, within one, by arrival. An event's id spells that order, so that ids are
//! unique, stable and sorted, and every token is an id with something around it: pages survive inserts, deletions
//! and restarts. A list's token holds the last key of the page before.

use crate::LogsError;

/// The last sequence number that an event may have.
///
/// A million events in every second need 290,000 years for it, so what is stored with a higher one is damaged; and
/// counting on from a stored one never overflows.
pub(crate) const SEQUENCE_MAX: u64 = u64::MAX / 2;

/// The place of an event among all events of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EventKey {
    pub(crate) timestamp_ms: i64,
    /// Counts the events of a group; starts at 1.
    pub(crate) sequence: u64,
}

impl EventKey {
    pub(crate) const FIRST: Self = Self { timestamp_ms: 0, sequence: 0 };
    pub(crate) const LAST: Self = Self { timestamp_ms: i64::MAX, sequence: u64::MAX };

    /// The first place of a millisecond.
    pub(crate) fn start_of(timestamp_ms: i64) -> Self {
        Self { timestamp_ms, sequence: 0 }
    }

    /// The last place of a millisecond.
    pub(crate) fn end_of(timestamp_ms: i64) -> Self {
        Self { timestamp_ms, sequence: u64::MAX }
    }

    /// The next place.
    pub(crate) fn after(self) -> Self {
        match self.sequence.checked_add(1) {
            Some(sequence) => Self { sequence, ..self },
            None => Self { timestamp_ms: self.timestamp_ms.saturating_add(1), sequence: 0 },
        }
    }

    /// The place before, if there is one.
    pub(crate) fn before(self) -> Option<Self> {
        match self.sequence.checked_sub(1) {
            Some(sequence) => Some(Self { sequence, ..self }),
            None if self.timestamp_ms > 0 => {
                Some(Self { timestamp_ms: self.timestamp_ms - 1, sequence: u64::MAX })
            }
            None => None,
        }
    }

    /// The event's id: `3`, 19 digits of milliseconds, 16 of the group's number, 20 of the sequence.
    pub(crate) fn id(self, group: u32) -> String {
        format!("3{:019}{group:016}{:020}", self.timestamp_ms.max(0), self.sequence)
    }

    fn parse_id(id: &str, group: u32) -> Option<Self> {
        if id.len() != 56 || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let key = Self { timestamp_ms: id[1..20].parse().ok()?, sequence: id[36..].parse().ok()? };
        (key.id(group) == id).then_some(key)
    }
}

/// A token of GetLogEvents: `f/<id>/s` for what comes after an event, `b/<id>/s` for what came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventsToken {
    Forward(EventKey),
    Backward(EventKey),
}

impl EventsToken {
    pub(crate) fn encode(self, group: u32) -> String {
        match self {
            Self::Forward(key) => format!("f/{}/s", key.id(group)),
            Self::Backward(key) => format!("b/{}/s", key.id(group)),
        }
    }

    pub(crate) fn decode(token: &str, group: u32) -> Result<Self, LogsError> {
        let inner = |prefix: &str| EventKey::parse_id(token.strip_prefix(prefix)?.strip_suffix("/s")?, group);
        match (inner("f/"), inner("b/")) {
            (Some(key), _) => Ok(Self::Forward(key)),
            (_, Some(key)) => Ok(Self::Backward(key)),
            _ => Err(LogsError::invalid_token()),
        }
    }
}

/// A token of FilterLogEvents: the last event that was looked at, and a checksum against invented ones.
pub(crate) fn encode_filter_token(key: EventKey, group: u32) -> String {
    let id = key.id(group);
    format!("{id}{:08x}", crc32c::crc32c(id.as_bytes()))
}

pub(crate) fn decode_filter_token(token: &str, group: u32) -> Result<EventKey, LogsError> {
    let id = token.get(..56).ok_or_else(LogsError::invalid_token)?;
    let key = EventKey::parse_id(id, group).ok_or_else(LogsError::invalid_token)?;
    if encode_filter_token(key, group) == token { Ok(key) } else { Err(LogsError::invalid_token()) }
}

/// A token of a list: the last item of the page before in hexadecimal, and a checksum.
pub(crate) fn encode_list_token(kind: &str, last: &str) -> String {
    let text = format!("{kind}/{last}");
    let mut token: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    token.push_str(&format!("{:08x}", crc32c::crc32c(text.as_bytes())));
    token
}

pub(crate) fn decode_list_token(kind: &str, token: &str) -> Result<String, LogsError> {
    let decode = || {
        let (hex, _) = token.split_at_checked(token.len().checked_sub(8)?)?;
        let bytes: Option<Vec<u8>> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect();
        let text = String::from_utf8(bytes?).ok()?;
        let last = text.strip_prefix(kind)?.strip_prefix('/')?.to_owned();
        (encode_list_token(kind, &last) == token).then_some(last)
    };
    decode().ok_or_else(LogsError::invalid_token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_look_like_those_of_aws_and_sort_like_their_events() {
        let early = EventKey { timestamp_ms: 1_679_781_014_810, sequence: 9 };
        let late = EventKey { timestamp_ms: 1_679_781_014_810, sequence: 10 };
        assert_eq!(early.id(7), "30000001679781014810000000000000000700000000000000000009");
        assert!(early.id(7) < late.id(7) && late.id(7) < EventKey::start_of(1_679_781_014_811).id(7));
    }

    proptest! {
        #[test]
        fn tokens_read_back_and_others_are_refused(timestamp_ms in 0..i64::MAX, sequence: u64, group: u32, name: String) {
            let key = EventKey { timestamp_ms, sequence };
            for token in [EventsToken::Forward(key), EventsToken::Backward(key)] {
                prop_assert_eq!(EventsToken::decode(&token.encode(group), group), Ok(token));
                prop_assert!(EventsToken::decode(&token.encode(group), group ^ 1).is_err());
            }
            prop_assert_eq!(decode_filter_token(&encode_filter_token(key, group), group), Ok(key));
            prop_assert_eq!(decode_list_token("g", &encode_list_token("g", &name)), Ok(name.clone()));
            prop_assert!(decode_list_token("s", &encode_list_token("g", &name)).is_err());
        }

        #[test]
        fn foreign_tokens_never_panic(token in ".*") {
            let _ = EventsToken::decode(&token, 1);
            prop_assert!(decode_filter_token(&token, 1).is_err());
            prop_assert!(decode_list_token("g", &token).is_err());
        }

        #[test]
        fn after_and_before_are_neighbours(timestamp_ms in 0..i64::MAX - 1, sequence: u64) {
            let key = EventKey { timestamp_ms, sequence };
            prop_assert_eq!(key.after().before(), Some(key));
            prop_assert!(key < key.after());
        }
    }
}
