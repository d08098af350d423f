//! How events come in: from rules through the journal, and from PutLogEvents directly.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use store::{Consumer, Position, Transaction};

use crate::append::NewEvent;
use crate::group::{Group, STREAMS, Stream, stream_key};
use crate::limits::{
    AGE_MS_MAX, BATCH_BYTES_MAX, BATCH_EVENTS_MAX, BATCH_SPAN_MS_MAX, EVENT_OVERHEAD_BYTES, FUTURE_MS_MAX,
    MESSAGE_BYTES_MAX,
};
use crate::names::check_stream_name;
use crate::segment::Fields;
use crate::{CONSUMER, InputEvent, Logs, LogsError, PutEvents, PutOutcome};

/// Version of the journal entry, its first byte.
const ENTRY_VERSION: u8 = 1;

impl Logs {
    /// Adds a rule's event to a transaction: it is stored when the transaction is.
    ///
    /// Creates the stream when it is missing. Never waits for the disk. Visible to readers shortly after the commit.
    ///
    /// # Errors
    /// When the group does not exist, a name is not allowed, or PutLogEvents would reject the event for its size or
    /// time. Then nothing was added.
    pub fn rule_event(
        &self,
        group: &str,
        stream: &str,
        timestamp_ms: i64,
        message: &str,
        now_ms: i64,
        transaction: &mut Transaction,
    ) -> Result<(), LogsError> {
        let group = self.named_group(group)?;
        check_message(message)?;
        if message.is_empty() {
            return Err(LogsError::invalid("The log event has no message."));
        }
        match time_verdict(timestamp_ms, group.expired_before_ms(now_ms), now_ms) {
            TimeVerdict::Accepted => {}
            TimeVerdict::TooNew => {
                return Err(LogsError::invalid("The log event is more than 2 hours in the future."));
            }
            TimeVerdict::TooOld => return Err(LogsError::invalid("The log event is more than 14 days old.")),
            TimeVerdict::Expired => {
                return Err(LogsError::invalid("The log event is older than the log group's retention."));
            }
        }
        let stream = self.stream_or_new(&group, stream, now_ms)?;
        // Until the applier has seen the stream's first event, every transaction brings the stream along: nobody
        // knows which of them will be durable.
        if !stream.is_durable() {
            transaction.put(STREAMS, stream_key(group.id, &stream.name), stream.record());
        }
        transaction.entry(CONSUMER, encode_entry(group.id, stream.id, timestamp_ms, now_ms, message));
        Ok(())
    }

    /// The stream of this name, which may not be durable yet.
    pub(crate) fn stream_or_new(
        &self,
        group: &Group,
        name: &str,
        now_ms: i64,
    ) -> Result<Arc<Stream>, LogsError> {
        if let Some(stream) = group.streams().by_name.get(name) {
            return Ok(stream.clone());
        }
        check_stream_name(name)?;
        let mut streams = group.streams_mut();
        if let Some(stream) = streams.by_name.get(name) {
            return Ok(stream.clone());
        }
        let stream = Arc::new(Stream::new(self.take_number(), name, now_ms, false));
        streams.insert(stream.clone());
        Ok(stream)
    }

    /// Stores a batch of events (PutLogEvents): durable when the result resolves. Never waits for the disk itself.
    ///
    /// Events too far in the future, too old or expired are left out and named in the outcome.
    pub fn put_events(&self, group: &str, stream: &str, events: Vec<InputEvent>, now_ms: i64) -> PutEvents {
        match self.accept(group, stream, events, now_ms) {
            Ok((_, events, outcome)) if events.is_empty() => PutEvents::resolved(Ok(outcome)),
            Ok((group, events, outcome)) => self.workers.put(group, events, outcome),
            Err(error) => PutEvents::resolved(Err(error)),
        }
    }

    fn accept(
        &self,
        group: &str,
        stream: &str,
        events: Vec<InputEvent>,
        now_ms: i64,
    ) -> Result<(Arc<Group>, Vec<NewEvent>, PutOutcome), LogsError> {
        let group = self.named_group(group)?;
        let stream = group.stream(stream).ok_or(LogsError::NoSuchStream)?;
        let (accepted, mut outcome) = check_batch(events, group.expired_before_ms(now_ms), now_ms)?;
        outcome.next_sequence_token = sequence_token(group.id, now_ms);
        let events = accepted
            .into_iter()
            .map(|event| NewEvent {
                stream: stream.id,
                timestamp_ms: event.timestamp_ms,
                ingestion_ms: now_ms,
                position: Position::NONE,
                message: event.message,
            })
            .collect();
        Ok((group, events, outcome))
    }
}

/// [AWS CloudWatch Logs, PutLogEvents] Sequence tokens are returned and ignored.
pub(crate) fn sequence_token(number: u32, now_ms: i64) -> String {
    format!("4{:019}{number:036}", now_ms.max(0))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimeVerdict {
    Accepted,
    TooNew,
    TooOld,
    Expired,
}

/// [AWS CloudWatch Logs, PutLogEvents] More than 2 hours ahead, more than 14 days ago, or beyond the retention.
fn time_verdict(timestamp_ms: i64, expired_before_ms: i64, now_ms: i64) -> TimeVerdict {
    if timestamp_ms > now_ms.saturating_add(FUTURE_MS_MAX) {
        TimeVerdict::TooNew
    } else if timestamp_ms < now_ms.saturating_sub(AGE_MS_MAX) {
        TimeVerdict::TooOld
    } else if timestamp_ms < expired_before_ms {
        TimeVerdict::Expired
    } else {
        TimeVerdict::Accepted
    }
}

fn check_message(message: &str) -> Result<(), LogsError> {
    let bytes = message.len() as u64;
    if bytes > MESSAGE_BYTES_MAX {
        return Err(LogsError::invalid(format!(
            "Log event too large: {bytes} bytes exceeds limit of {MESSAGE_BYTES_MAX}"
        )));
    }
    Ok(())
}

/// [AWS CloudWatch Logs, PutLogEvents] The rules for a batch: which events are stored, and which are not and why.
fn check_batch(
    events: Vec<InputEvent>,
    expired_before_ms: i64,
    now_ms: i64,
) -> Result<(Vec<InputEvent>, PutOutcome), LogsError> {
    if events.is_empty() || events.len() > BATCH_EVENTS_MAX {
        let bound =
            if events.is_empty() { "greater than or equal to 1" } else { "less than or equal to 10000" };
        return Err(LogsError::invalid(format!(
            "1 validation error detected: Value at 'logEvents' failed to satisfy constraint: Member must have length \
             {bound}"
        )));
    }
    let mut bytes = 0;
    for (event, number) in events.iter().zip(1..) {
        check_message(&event.message)?;
        if event.message.is_empty() {
            return Err(LogsError::invalid(format!(
                "1 validation error detected: Value at 'logEvents.{number}.member.message' failed to satisfy \
                 constraint: Member must have length greater than or equal to 1"
            )));
        }
        bytes += event.message.len() as u64 + EVENT_OVERHEAD_BYTES;
    }
    if bytes > BATCH_BYTES_MAX {
        return Err(LogsError::invalid(format!(
            "Upload too large: {bytes} bytes exceeds limit of {BATCH_BYTES_MAX}"
        )));
    }
    if events.windows(2).any(|pair| pair[0].timestamp_ms > pair[1].timestamp_ms) {
        return Err(LogsError::invalid(
            "Log events in a single PutLogEvents request must be in chronological order.",
        ));
    }
    let mut outcome = PutOutcome::default();
    let mut accepted = Vec::with_capacity(events.len());
    for (index, event) in events.into_iter().enumerate() {
        match time_verdict(event.timestamp_ms, expired_before_ms, now_ms) {
            TimeVerdict::Accepted => accepted.push(event),
            TimeVerdict::TooNew => {
                outcome.too_new_from.get_or_insert(index);
            }
            TimeVerdict::TooOld => outcome.too_old_to = Some(index + 1),
            TimeVerdict::Expired => outcome.expired_to = Some(index + 1),
        }
    }
    if let (Some(first), Some(last)) = (accepted.first(), accepted.last())
        && last.timestamp_ms - first.timestamp_ms > BATCH_SPAN_MS_MAX
    {
        return Err(LogsError::invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
        ));
    }
    Ok((accepted, outcome))
}

impl Consumer for Logs {
    fn apply(&self, position: Position, entry: &[u8]) -> io::Result<()> {
        let entry = Entry::decode(entry).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "a log event in the journal is not readable")
        })?;
        // A group or stream that was deleted since: its events go with it.
        let Some(group) = self.all_groups().by_id.get(&entry.group).cloned() else { return Ok(()) };
        let Some(stream) = group.streams().by_id.get(&entry.stream).cloned() else { return Ok(()) };
        stream.set_durable();
        let event = NewEvent {
            stream: entry.stream,
            timestamp_ms: entry.timestamp_ms,
            ingestion_ms: entry.ingestion_ms,
            position,
            message: entry.message.to_owned(),
        };
        if group.appender().take_from_journal(event) {
            self.unflushed.lock().unwrap_or_else(PoisonError::into_inner).push(group);
        }
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut unflushed = self.unflushed.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(group) = unflushed.last() {
            if !group.deleted.load(Ordering::Acquire) {
                let (flushed, full) = {
                    let mut appender = group.appender();
                    (appender.flush(group), appender.take_full())
                };
                self.workers.seal(group, full);
                flushed?;
            }
            unflushed.pop();
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let groups: Vec<Arc<Group>> = self.all_groups().by_name.values().cloned().collect();
        groups.iter().try_for_each(|group| group.appender().sync())
    }
}

/// An event in the journal. Little endian: version u8, group u32, stream u32, timestamp i64, ingestion i64, message.
struct Entry<'a> {
    group: u32,
    stream: u32,
    timestamp_ms: i64,
    ingestion_ms: i64,
    message: &'a str,
}

fn encode_entry(group: u32, stream: u32, timestamp_ms: i64, ingestion_ms: i64, message: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(25 + message.len());
    bytes.push(ENTRY_VERSION);
    bytes.extend_from_slice(&group.to_le_bytes());
    bytes.extend_from_slice(&stream.to_le_bytes());
    bytes.extend_from_slice(&timestamp_ms.to_le_bytes());
    bytes.extend_from_slice(&ingestion_ms.to_le_bytes());
    bytes.extend_from_slice(message.as_bytes());
    bytes
}

impl<'a> Entry<'a> {
    fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        let mut fields = Fields(rest);
        let entry = Self {
            group: fields.u32()?,
            stream: fields.u32()?,
            timestamp_ms: fields.i64()?,
            ingestion_ms: fields.i64()?,
            message: std::str::from_utf8(fields.0).ok()?,
        };
        (version == ENTRY_VERSION).then_some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;

    fn events(times: &[i64]) -> Vec<InputEvent> {
        times.iter().map(|&timestamp_ms| InputEvent { timestamp_ms, message: "m".to_owned() }).collect()
    }

    fn check(times: &[i64], retention_days: i64) -> Result<(usize, PutOutcome), LogsError> {
        let expired_before_ms = if retention_days == 0 { 0 } else { NOW - retention_days * DAY };
        check_batch(events(times), expired_before_ms, NOW)
            .map(|(accepted, outcome)| (accepted.len(), outcome))
    }

    #[test]
    fn events_outside_of_their_time_are_left_out_and_named() {
        let times = [
            NOW - 15 * DAY,
            NOW - 14 * DAY - 1,
            NOW - 5 * DAY,
            NOW - HOUR,
            NOW,
            NOW + 2 * HOUR,
            NOW + 3 * HOUR,
        ];
        let (accepted, outcome) = check(&times, 3).unwrap();
        assert_eq!(accepted, 3);
        assert_eq!(
            (outcome.too_old_to, outcome.expired_to, outcome.too_new_from),
            (Some(2), Some(3), Some(6))
        );
    }

    #[test]
    fn batches_have_an_order_and_a_span() {
        let message = |result: Result<_, LogsError>| result.unwrap_err().to_string();
        assert_eq!(
            message(check(&[NOW, NOW - 1], 0)),
            "Log events in a single PutLogEvents request must be in chronological order."
        );
        assert_eq!(
            message(check(&[NOW - DAY - 1, NOW], 0)),
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
        );
        assert!(check(&[NOW - DAY, NOW], 0).is_ok());
        // Only accepted events count for the span.
        assert!(check(&[NOW - 20 * DAY, NOW], 0).is_ok());
    }

    #[test]
    fn batches_have_a_size() {
        let one = |bytes: u64| {
            let message = "x".repeat(usize::try_from(bytes).unwrap());
            check_batch(vec![InputEvent { timestamp_ms: NOW, message }], 0, NOW)
        };
        assert!(one(BATCH_BYTES_MAX - EVENT_OVERHEAD_BYTES).is_ok());
        assert!(one(BATCH_BYTES_MAX - EVENT_OVERHEAD_BYTES + 1).is_err());
        let two = vec![InputEvent { timestamp_ms: NOW, message: "x".repeat(524_262) }; 2];
        assert!(check_batch(two.clone(), 0, NOW).is_ok());
        let mut more = two;
        more.push(InputEvent { timestamp_ms: NOW, message: "x".to_owned() });
        assert_eq!(
            check_batch(more, 0, NOW).unwrap_err().to_string(),
            "Upload too large: 1048603 bytes exceeds limit of 1048576"
        );
        let mut empty = events(&[NOW, NOW]);
        empty[1].message.clear();
        let refusal = check_batch(empty, 0, NOW).unwrap_err().to_string();
        assert!(refusal.contains("'logEvents.2.member.message'"), "{refusal}");
        assert!(check_batch(Vec::new(), 0, NOW).is_err());
        assert!(check_batch(events(&vec![NOW; 10_001]), 0, NOW).is_err());
        assert!(check_batch(events(&vec![NOW; 10_000]), 0, NOW).is_ok());
    }

    #[test]
    fn journal_entries_read_back() {
        let bytes = encode_entry(1, 2, -3, 4, "ä");
        let entry = Entry::decode(&bytes).unwrap();
        assert_eq!((entry.group, entry.stream, entry.timestamp_ms, entry.ingestion_ms), (1, 2, -3, 4));
        assert_eq!(entry.message, "ä");
        assert!(Entry::decode(&bytes[..24]).is_none());
    }
}
