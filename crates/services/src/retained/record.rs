//! A retained message as the store keeps it.
//!
//! ```text
//! key   := topic
//! value := format:u8 qos:u8 modified_at_ms:i64 expires_at_ms:i64 properties_bytes:u32 properties payload
//! ```
//! Little endian; `expires_at_ms` is [`NEVER`] for a message that stays.

use super::RetainedMessage;
use crate::LoadError;
use bytes::Bytes;

const FORMAT: u8 = 1;

const NEVER: i64 = i64::MAX;

pub(super) fn key_of(topic: &str) -> &[u8] {
    topic.as_bytes()
}

pub(super) fn write_record(message: &RetainedMessage) -> Vec<u8> {
    let properties_bytes = u32::try_from(message.properties.len()).expect("a packet has at most 256 MiB");
    let mut record = vec![FORMAT, message.qos];
    record.extend_from_slice(&message.modified_at_ms.to_le_bytes());
    record.extend_from_slice(&message.expires_at_ms.unwrap_or(NEVER).to_le_bytes());
    record.extend_from_slice(&properties_bytes.to_le_bytes());
    record.extend_from_slice(&message.properties);
    record.extend_from_slice(&message.payload);
    record
}

pub(super) fn read_record(key: &[u8], value: &[u8]) -> Result<RetainedMessage, LoadError> {
    let shown = || format!("retained message of {}", String::from_utf8_lossy(key));
    if let [format, ..] = value
        && *format > FORMAT
    {
        return Err(LoadError::NewerFormat { key: shown(), format: *format });
    }
    parse(key, value).ok_or_else(|| LoadError::Damaged { key: shown() })
}

fn parse(key: &[u8], value: &[u8]) -> Option<RetainedMessage> {
    let topic = std::str::from_utf8(key).ok().filter(|topic| !topic.is_empty())?;
    let [FORMAT, qos @ 0..=2, rest @ ..] = value else { return None };
    let (modified_at_ms, rest) = rest.split_first_chunk::<8>()?;
    let (expires_at_ms, rest) = rest.split_first_chunk::<8>()?;
    let (properties_bytes, rest) = rest.split_first_chunk::<4>()?;
    let properties_bytes = usize::try_from(u32::from_le_bytes(*properties_bytes)).ok()?;
    let (properties, payload) = rest.split_at_checked(properties_bytes)?;
    let expires_at_ms = i64::from_le_bytes(*expires_at_ms);
    Some(RetainedMessage {
        topic: topic.into(),
        payload: Bytes::copy_from_slice(payload),
        qos: *qos,
        properties: properties.into(),
        modified_at_ms: i64::from_le_bytes(*modified_at_ms),
        expires_at_ms: (expires_at_ms != NEVER).then_some(expires_at_ms),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for expires_at_ms in [None, Some(9)] {
            let message = RetainedMessage {
                topic: "a/b".into(),
                payload: Bytes::from_static(b"on"),
                qos: 1,
                properties: Box::new([1, 1]),
                modified_at_ms: 7,
                expires_at_ms,
            };
            let record = write_record(&message);
            assert_eq!(read_record(b"a/b", &record).unwrap(), message);
            for length in 0..record.len() - message.payload.len() {
                assert!(matches!(read_record(b"a/b", &record[..length]), Err(LoadError::Damaged { .. })));
            }
        }
        assert!(matches!(read_record(b"a", &[2]), Err(LoadError::NewerFormat { format: 2, .. })));
        assert!(matches!(read_record(b"\xff", &[1]), Err(LoadError::Damaged { .. })));
    }
}
