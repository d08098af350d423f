//! Sessions and their messages as the store keeps them.
//!
//! ```text
//! sessions          client id          -> format:u8 version:u8 id:u64 expiry_s:u32 left_at_ms:i64
//! session_filters   id:u64be filter    -> format:u8 options:u8
//! shared_groups     id:u64be           -> format:u8 $share/NAME/FILTER
//! session_exchanges id:u64be kind:u8 packet:u16be -> format:u8 [number:u64]
//! queued            id:u64be number:u64be -> format:u8 flags:u8
//! queued_messages   number:u64be       -> format:u8 flags:u8 expires_at_ms:i64 expiry_s:u32 topic_bytes:u16
//!                                         properties_bytes:u32 topic properties payload
//! ```
//! Numbers are little endian, but for those in keys, whose order is that of the numbers. The `id` is a session's or a
//! group's; `left_at_ms` is [`CONNECTED`] while the client is here; `expires_at_ms` is [`NEVER`] for what stays.
//! A message is there once, however many wait for it.

use crate::message::Message;
use bytes::Bytes;
use mqtt_session::Attached;
use mqtt_wire::{PacketId, ProtocolVersion, QoS, RetainHandling, SubscriptionOptions, TopicName};
use services::LoadError;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Keyspace;

pub(super) const SESSIONS: Keyspace = Keyspace("sessions");
pub(super) const FILTERS: Keyspace = Keyspace("session_filters");
pub(super) const GROUPS: Keyspace = Keyspace("shared_groups");
/// What is not finished for QoS 2, by packet identifier.
pub(super) const EXCHANGES: Keyspace = Keyspace("session_exchanges");
pub(super) const QUEUED: Keyspace = Keyspace("queued");
pub(super) const MESSAGES: Keyspace = Keyspace("queued_messages");

const FORMAT: u8 = 1;
const CONNECTED: i64 = i64::MIN;
const NEVER: i64 = i64::MAX;
const RETAIN: u8 = 0b1000;

/// A session that outlives its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SessionRecord {
    pub(super) version: ProtocolVersion,
    pub(super) id: u64,
    pub(super) expiry_s: u32,
    /// When the client left, in milliseconds since 1970; `None`: it is connected.
    pub(super) left_at_ms: Option<i64>,
}

impl SessionRecord {
    pub(super) fn write(&self) -> Vec<u8> {
        let version = match self.version {
            ProtocolVersion::V311 => 4,
            ProtocolVersion::V5 => 5,
        };
        let mut record = vec![FORMAT, version];
        record.extend_from_slice(&self.id.to_le_bytes());
        record.extend_from_slice(&self.expiry_s.to_le_bytes());
        record.extend_from_slice(&self.left_at_ms.unwrap_or(CONNECTED).to_le_bytes());
        record
    }

    pub(super) fn read(client_id: &str, value: &[u8]) -> Result<Self, LoadError> {
        let parse = || {
            let [version, rest @ ..] = value.get(1..)? else { return None };
            let version = match version {
                4 => ProtocolVersion::V311,
                5 => ProtocolVersion::V5,
                _ => return None,
            };
            let (id, rest) = rest.split_first_chunk()?;
            let (expiry_s, rest) = rest.split_first_chunk()?;
            let (left_at_ms, rest) = rest.split_first_chunk()?;
            let left_at_ms = i64::from_le_bytes(*left_at_ms);
            rest.is_empty().then(|| Self {
                version,
                id: u64::from_le_bytes(*id),
                expiry_s: u32::from_le_bytes(*expiry_s),
                left_at_ms: (left_at_ms != CONNECTED).then_some(left_at_ms),
            })
        };
        checked(|| format!("session of {client_id}"), value, parse)
    }
}

pub(super) fn write_options(options: SubscriptionOptions) -> [u8; 2] {
    let handling = match options.retain_handling {
        RetainHandling::Send => 0,
        RetainHandling::SendIfNew => 1,
        RetainHandling::DoNotSend => 2,
    };
    let (no_local, as_published) = (u8::from(options.no_local), u8::from(options.retain_as_published));
    [FORMAT, options.qos.number() | no_local << 2 | as_published << 3 | handling << 4]
}

pub(super) fn read_options(filter: &str, value: &[u8]) -> Result<SubscriptionOptions, LoadError> {
    checked(
        || format!("subscription to {filter}"),
        value,
        || {
            let &[_, options] = value else { return None };
            let retain_handling = match options >> 4 {
                0 => RetainHandling::Send,
                1 => RetainHandling::SendIfNew,
                2 => RetainHandling::DoNotSend,
                _ => return None,
            };
            Some(SubscriptionOptions {
                qos: QoS::from_number(options & 0b11)?,
                no_local: options & 0b100 != 0,
                retain_as_published: options & 0b1000 != 0,
                retain_handling,
            })
        },
    )
}

pub(super) fn write_group(shared: &str) -> Vec<u8> {
    [&[FORMAT], shared.as_bytes()].concat()
}

/// Gives the group's filter.
pub(super) fn read_group(id: u64, value: &[u8]) -> Result<&str, LoadError> {
    checked(|| format!("group {id}"), value, || std::str::from_utf8(value.get(1..)?).ok())
}

/// The key of one session's or group's message, or of one session's filter.
pub(super) fn key_under(id: u64, rest: &[u8]) -> Vec<u8> {
    [&id.to_be_bytes(), rest].concat()
}

/// Takes a key of [`key_under`] apart.
pub(super) fn split_key(key: &[u8]) -> Option<(u64, &[u8])> {
    let (id, rest) = key.split_first_chunk()?;
    Some((u64::from_be_bytes(*id), rest))
}

pub(super) fn read_number(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.try_into().ok()?))
}

/// What a message is sent with: its QoS, and whether RETAIN is 1.
pub(super) fn write_queued(qos: QoS, retain: bool) -> [u8; 2] {
    [FORMAT, qos.number() | if retain { RETAIN } else { 0 }]
}

pub(super) fn read_queued(number: u64, value: &[u8]) -> Result<(QoS, bool), LoadError> {
    checked(
        || format!("queue entry of message {number}"),
        value,
        || match value {
            [_, flags] => Some((QoS::from_number(flags & !RETAIN)?, flags & RETAIN != 0)),
            _ => None,
        },
    )
}

/// A step of an exchange for QoS 2 that must not be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A message of the client was taken over; its PUBREL is missing.
    Taken,
    /// A message is sent to the client with this identifier; its PUBREC is missing.
    Sent,
    /// The client has taken a message over; its PUBCOMP is missing.
    Released,
}

pub(super) fn exchange_key(id: u64, step: Step, packet_id: PacketId) -> Vec<u8> {
    let [high, low] = packet_id.number().to_be_bytes();
    key_under(id, &[step as u8, high, low])
}

pub(super) fn read_exchange_key(key: &[u8]) -> Option<(u64, Step, PacketId)> {
    let (id, &[step, high, low]) = split_key(key)? else { return None };
    let step = [Step::Taken, Step::Sent, Step::Released].into_iter().find(|known| *known as u8 == step)?;
    Some((id, step, PacketId::new(u16::from_be_bytes([high, low]))?))
}

/// `number` is the message's, of [`Step::Sent`].
pub(super) fn write_exchange(number: Option<u64>) -> Vec<u8> {
    let mut record = vec![FORMAT];
    record.extend(number.into_iter().flat_map(u64::to_le_bytes));
    record
}

pub(super) fn read_exchange(value: &[u8]) -> Result<Option<u64>, LoadError> {
    checked(
        || "exchange for QoS 2".to_owned(),
        value,
        || match value {
            [_] => Some(None),
            [_, number @ ..] => Some(Some(u64::from_le_bytes(number.try_into().ok()?))),
            [] => None,
        },
    )
}

pub(super) fn write_message(message: &Message, now: Instant, now_ms: i64) -> Vec<u8> {
    let topic = message.topic();
    let properties = message.attached.properties();
    let properties = properties.as_bytes();
    let expires_at_ms = message.expires_at.map_or(NEVER, |expires_at| {
        let left_ms = expires_at.saturating_duration_since(now).as_millis();
        now_ms.saturating_add(i64::try_from(left_ms).unwrap_or(i64::MAX))
    });
    let topic_bytes = u16::try_from(topic.as_str().len()).expect("a topic has at most 65,535 bytes");
    let properties_bytes = u32::try_from(properties.len()).expect("a packet has at most 256 MiB");
    let retain = if message.retain { RETAIN } else { 0 };
    let mut record = Vec::with_capacity(16 + topic.as_str().len() + properties.len() + message.payload.len());
    record.extend_from_slice(&[FORMAT, message.qos.number() | retain]);
    record.extend_from_slice(&expires_at_ms.to_le_bytes());
    record.extend_from_slice(&message.attached.expiry_s.unwrap_or(0).to_le_bytes());
    record.extend_from_slice(&topic_bytes.to_le_bytes());
    record.extend_from_slice(&properties_bytes.to_le_bytes());
    record.extend_from_slice(topic.as_str().as_bytes());
    record.extend_from_slice(properties);
    record.extend_from_slice(&message.payload);
    record
}

pub(super) fn read_message(
    number: u64,
    value: &[u8],
    now: Instant,
    now_ms: i64,
) -> Result<Arc<Message>, LoadError> {
    checked(
        || format!("queued message {number}"),
        value,
        || {
            let [flags, rest @ ..] = value.get(1..)? else { return None };
            let (expires_at_ms, rest) = rest.split_first_chunk()?;
            let (expiry_s, rest) = rest.split_first_chunk()?;
            let (topic_bytes, rest) = rest.split_first_chunk()?;
            let (properties_bytes, rest) = rest.split_first_chunk()?;
            let (topic, rest) = rest.split_at_checked(u16::from_le_bytes(*topic_bytes).into())?;
            let properties_bytes = usize::try_from(u32::from_le_bytes(*properties_bytes)).ok()?;
            let (properties, payload) = rest.split_at_checked(properties_bytes)?;
            let topic = TopicName::parse(std::str::from_utf8(topic).ok()?).ok()?;
            let expires_at_ms = i64::from_le_bytes(*expires_at_ms);
            // A clock that has been put back must not keep it for longer than its publisher allowed.
            let whole = Duration::from_secs(u32::from_le_bytes(*expiry_s).into());
            let left_ms = (expires_at_ms != NEVER).then(|| expires_at_ms.saturating_sub(now_ms).max(0));
            let left = left_ms.map(|left_ms| Duration::from_millis(left_ms.unsigned_abs()).min(whole));
            let expiry_s = left.map(|left| u32::try_from(left.as_secs()).unwrap_or(u32::MAX));
            let attached = Attached::from_stored(properties, expiry_s);
            let expires_at = left.map(|left| now + left);
            Some(Message::from_stored(
                topic,
                Bytes::copy_from_slice(payload),
                QoS::from_number(flags & !RETAIN)?,
                flags & RETAIN != 0,
                attached,
                expires_at,
            ))
        },
    )
}

fn checked<T>(
    key: impl Fn() -> String,
    value: &[u8],
    parse: impl FnOnce() -> Option<T>,
) -> Result<T, LoadError> {
    match value {
        [format, ..] if *format > FORMAT => Err(LoadError::NewerFormat { key: key(), format: *format }),
        [FORMAT, ..] => parse().ok_or_else(|| LoadError::Damaged { key: key() }),
        _ => Err(LoadError::Damaged { key: key() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written() {
        for (version, left_at_ms) in [(ProtocolVersion::V311, None), (ProtocolVersion::V5, Some(-7))] {
            let session = SessionRecord { version, id: 9, expiry_s: 3_600, left_at_ms };
            let record = session.write();
            assert_eq!(SessionRecord::read("c", &record).unwrap(), session);
            for length in 0..record.len() {
                assert!(SessionRecord::read("c", &record[..length]).is_err());
            }
        }
        for number in 0..0b11_0000 {
            if let Ok(options) = read_options("f", &[FORMAT, number]) {
                assert_eq!(write_options(options), [FORMAT, number]);
            }
        }
        assert_eq!(read_group(7, &write_group("$share/g/a")).unwrap(), "$share/g/a");
        for (qos, retain) in [(QoS::AtLeastOnce, true), (QoS::ExactlyOnce, false)] {
            assert_eq!(read_queued(1, &write_queued(qos, retain)).unwrap(), (qos, retain));
        }
        for step in [Step::Taken, Step::Sent, Step::Released] {
            let packet_id = PacketId::new(700).unwrap();
            assert_eq!(read_exchange_key(&exchange_key(3, step, packet_id)), Some((3, step, packet_id)));
        }
        for number in [None, Some(7)] {
            assert_eq!(read_exchange(&write_exchange(number)).unwrap(), number);
        }
        assert!(matches!(read_queued(1, &[2, 0]), Err(LoadError::NewerFormat { format: 2, .. })));
        assert_eq!(split_key(&key_under(3, b"a/b")), Some((3, &b"a/b"[..])));
        assert!(key_under(1, b"x") < key_under(256, b"a"), "ordered as their numbers");
    }

    #[test]
    fn a_message_keeps_what_it_was_and_the_rest_of_its_time() {
        let now = Instant::now();
        for expiry_s in [None, Some(10)] {
            let topic = TopicName::parse("a/b").unwrap();
            let attached = Attached::from_stored(&[], expiry_s);
            let message = Message::new(topic, b"on", QoS::AtLeastOnce, true, attached);
            let record = write_message(&message, now, 1_000);
            let read = read_message(1, &record, now, 4_000).unwrap();
            assert_eq!(
                (read.topic(), &read.payload, read.qos, read.retain),
                (topic, &message.payload, message.qos, true)
            );
            assert_eq!(read.is_expired(now + Duration::from_millis(7_500)), expiry_s.is_some());
            assert!(!read.is_expired(now + Duration::from_millis(6_500)));
            let put_back = read_message(1, &record, now, i64::MIN).unwrap();
            assert_eq!(put_back.is_expired(now + Duration::from_secs(10)), expiry_s.is_some());
            for length in 0..record.len() - message.payload.len() {
                assert!(read_message(1, &record[..length], now, 0).is_err());
            }
        }
    }
}
