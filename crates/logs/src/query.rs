//! GetLogEvents and FilterLogEvents.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::cursor::{Cursor, Direction};
use crate::group::{Group, Stream};
use crate::limits::{
    EVENT_OVERHEAD_BYTES, FILTER_STREAMS_MAX, PAGE_BYTES_MAX, PAGE_EVENTS_MAX, PAGE_SCANNED_BYTES_MAX,
};
use crate::pattern::Pattern;
use crate::segment::{Segment, StoredEvent};
use crate::token::{EventKey, EventsToken, decode_filter_token, encode_filter_token};
use crate::{Event, EventsPage, FilterQuery, GetQuery, Logs, LogsError, Page, StreamChoice};

impl Logs {
    /// Events of one stream (GetLogEvents). Reads files: call it where blocking is allowed.
    ///
    /// # Errors
    /// When there is no such group or stream, or the token is none of this group's.
    pub fn events(&self, query: &GetQuery<'_>) -> Result<EventsPage, LogsError> {
        let group = self.named_group(query.group)?;
        let stream = group.stream(query.stream).ok_or(LogsError::NoSuchStream)?;
        let token = query.next_token.map(|token| EventsToken::decode(token, group.id)).transpose()?;
        let start_ms = query.start_ms.unwrap_or(0).max(group.expired_before_ms(query.now_ms));
        let mut low = EventKey::start_of(start_ms);
        let mut high = match query.end_ms {
            // [AWS CloudWatch Logs, GetLogEvents] The end is not included.
            Some(end_ms) => match EventKey::start_of(end_ms.max(0)).before() {
                Some(before) => before,
                None => return Ok(empty_page(token, group.id, low)),
            },
            None => EventKey::LAST,
        };
        let direction = match token {
            Some(EventsToken::Forward(after)) => {
                low = low.max(after.after());
                Direction::Forward
            }
            Some(EventsToken::Backward(before)) => match before.before() {
                Some(before) => {
                    high = high.min(before);
                    Direction::Backward
                }
                None => return Ok(empty_page(token, group.id, low)),
            },
            None if query.from_head => Direction::Forward,
            None => Direction::Backward,
        };
        let limit = query.limit.unwrap_or(PAGE_EVENTS_MAX).clamp(1, PAGE_EVENTS_MAX);
        let segments = snapshot(&group);
        let mut cursor = Cursor::new(&*self.disk, &segments, (low, high), direction, |id| id == stream.id);
        let mut found: Vec<StoredEvent> = Vec::new();
        let mut bytes = 0;
        while found.len() < limit {
            let Some(event) = cursor.next()? else { break };
            bytes += page_bytes(&event);
            if bytes > PAGE_BYTES_MAX && !found.is_empty() {
                break;
            }
            found.push(event);
        }
        cursor.damages.drain(..).for_each(|damage| self.report(damage));
        if direction == Direction::Backward {
            found.reverse();
        }
        let (Some(first), Some(last)) = (found.first(), found.last()) else {
            return Ok(empty_page(token, group.id, low));
        };
        let next_forward_token = EventsToken::Forward(last.key).encode(group.id);
        let next_backward_token = EventsToken::Backward(first.key).encode(group.id);
        let events = found.into_iter().map(|event| output(event, &stream, &group)).collect();
        Ok(EventsPage { events, next_forward_token, next_backward_token })
    }

    /// Events of a group that match (FilterLogEvents), ordered by timestamp and arrival across all streams. Reads
    /// files: call it where blocking is allowed.
    ///
    /// A page may be empty and still have a token, when looking took long.
    ///
    /// # Errors
    /// When there is no such group or stream, the pattern cannot be used, or the token is none of this group's.
    pub fn filter(&self, query: &FilterQuery<'_>) -> Result<Page<Event>, LogsError> {
        let pattern = Pattern::parse(query.pattern.unwrap_or_default())?;
        let group = self.named_group(query.group)?;
        let streams = chosen_streams(&group, &query.streams)?;
        let start_ms = query.start_ms.unwrap_or(0).max(group.expired_before_ms(query.now_ms));
        let mut low = EventKey::start_of(start_ms);
        if let Some(token) = query.next_token {
            low = low.max(decode_filter_token(token, group.id)?.after());
        }
        // [AWS CloudWatch Logs, FilterLogEvents] The end is included.
        let high = query.end_ms.map_or(EventKey::LAST, EventKey::end_of);
        let limit = query.limit.unwrap_or(PAGE_EVENTS_MAX).clamp(1, PAGE_EVENTS_MAX);
        let segments = snapshot(&group);
        let wanted = |id| streams.contains_key(&id);
        let mut cursor = Cursor::new(&*self.disk, &segments, (low, high), Direction::Forward, wanted);
        let mut items = Vec::new();
        let (mut bytes, mut scanned) = (0, 0);
        let mut looked_at = None;
        let next_token = loop {
            let Some(event) = cursor.next()? else { break None };
            let event_bytes = page_bytes(&event);
            let page_is_full = items.len() >= limit || scanned >= PAGE_SCANNED_BYTES_MAX;
            let matches = !page_is_full && pattern.matches(&event.message);
            let too_large = matches && bytes + event_bytes > PAGE_BYTES_MAX && !items.is_empty();
            if page_is_full || too_large {
                break looked_at.map(|key| encode_filter_token(key, group.id));
            }
            looked_at = Some(event.key);
            scanned += event_bytes;
            if matches && let Some(stream) = streams.get(&event.stream) {
                bytes += event_bytes;
                items.push(output(event, stream, &group));
            }
        };
        cursor.damages.drain(..).for_each(|damage| self.report(damage));
        Ok(Page { items, next_token })
    }
}

/// The segments at this moment; what is removed meanwhile stays readable or reads as empty.
fn snapshot(group: &Group) -> Vec<Segment> {
    group.segments().clone()
}

fn page_bytes(event: &StoredEvent) -> u64 {
    event.message.len() as u64 + EVENT_OVERHEAD_BYTES
}

fn output(event: StoredEvent, stream: &Stream, group: &Group) -> Event {
    Event {
        id: event.key.id(group.id),
        stream: stream.name.clone(),
        timestamp_ms: event.key.timestamp_ms,
        ingestion_ms: event.ingestion_ms,
        message: event.message,
    }
}

/// A page without events. [AWS CloudWatch Logs, GetLogEvents] Tokens are never absent, and at the end the token is
/// the request's own; the other one leads back over what was seen.
fn empty_page(token: Option<EventsToken>, group: u32, low: EventKey) -> EventsPage {
    let (forward, backward) = match token {
        Some(EventsToken::Forward(last)) => (last, last.after()),
        Some(EventsToken::Backward(first)) => (first.before().unwrap_or(EventKey::FIRST), first),
        None => (low.before().unwrap_or(EventKey::FIRST), low),
    };
    EventsPage {
        events: Vec::new(),
        next_forward_token: EventsToken::Forward(forward).encode(group),
        next_backward_token: EventsToken::Backward(backward).encode(group),
    }
}

/// The streams that a filter looks at, by number.
fn chosen_streams(group: &Group, choice: &StreamChoice<'_>) -> Result<HashMap<u32, Arc<Stream>>, LogsError> {
    let streams = group.streams();
    let durable = |stream: &&Arc<Stream>| stream.is_durable();
    let by_id = |stream: &Arc<Stream>| (stream.id, stream.clone());
    Ok(match choice {
        StreamChoice::All => streams.by_name.values().filter(durable).map(by_id).collect(),
        StreamChoice::Prefix(prefix) => streams
            .by_name
            .range((*prefix).to_owned()..)
            .take_while(|(name, _)| name.starts_with(prefix))
            .map(|(_, stream)| stream)
            .filter(durable)
            .map(by_id)
            .collect(),
        StreamChoice::Names(names) => {
            if names.len() > FILTER_STREAMS_MAX {
                return Err(LogsError::invalid(format!(
                    "1 validation error detected: Value at 'logStreamNames' failed to satisfy constraint: Member must \
                     have length less than or equal to {FILTER_STREAMS_MAX}"
                )));
            }
            let names: HashSet<&str> = names.iter().copied().collect();
            let found: HashMap<_, _> = names
                .iter()
                .filter_map(|name| streams.by_name.get(*name))
                .filter(durable)
                .map(by_id)
                .collect();
            if found.len() < names.len() {
                return Err(LogsError::NoSuchStream);
            }
            found
        }
    })
}
