//! What goes in and out: groups, streams, events, questions and pages.

use std::collections::BTreeMap;

/// The class of a log group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum GroupClass {
    /// Everything works.
    #[default]
    #[serde(rename = "STANDARD")]
    Standard,
    /// Kept as a label; it behaves like the standard class here.
    #[serde(rename = "INFREQUENT_ACCESS")]
    InfrequentAccess,
    /// Kept as a label; takes no retention policy.
    #[serde(rename = "DELIVERY")]
    Delivery,
}

impl GroupClass {
    /// AWS's name of the class.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::InfrequentAccess => "INFREQUENT_ACCESS",
            Self::Delivery => "DELIVERY",
        }
    }

    /// The class of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Standard, Self::InfrequentAccess, Self::Delivery]
            .into_iter()
            .find(|class| class.as_str() == name)
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last one.
    pub next_token: Option<String>,
}

/// A log group to be created.
#[derive(Debug, Clone, Default)]
pub struct NewGroup {
    /// Its name, 1 to 512 of `.-_/#A-Za-z0-9`.
    pub name: String,
    /// Its class.
    pub class: GroupClass,
    /// Its tags, at most 50.
    pub tags: BTreeMap<String, String>,
}

/// A log group as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its name.
    pub name: String,
    /// When it was created, epoch milliseconds.
    pub created_ms: i64,
    /// After how many days events expire; `None`: never.
    pub retention_days: Option<u32>,
    /// Its class.
    pub class: GroupClass,
    /// Bytes of its events: messages in UTF-8 and 26 for each event.
    pub stored_bytes: u64,
}

/// Which groups to list.
#[derive(Debug, Clone, Default)]
pub struct GroupsQuery<'a> {
    /// Only names that begin so.
    pub name_prefix: Option<&'a str>,
    /// Only names that contain this.
    pub name_contains: Option<&'a str>,
    /// Only this class.
    pub class: Option<GroupClass>,
    /// At most so many; `None`: 50.
    pub limit: Option<usize>,
    /// The token of the page before.
    pub next_token: Option<&'a str>,
}

/// A log stream as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamDescription {
    /// Its name.
    pub name: String,
    /// When it was created, epoch milliseconds.
    pub created_ms: i64,
    /// Timestamp of the earliest event.
    pub first_event_ms: Option<i64>,
    /// Timestamp of the latest event.
    pub last_event_ms: Option<i64>,
    /// When the last event arrived.
    pub last_ingestion_ms: Option<i64>,
    /// Bytes of its events, counted as for groups. AWS reports 0 since 2019.
    pub stored_bytes: u64,
    /// A token for PutLogEvents, which nobody checks any more.
    pub upload_sequence_token: String,
}

/// The order of a stream list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StreamOrder {
    /// By name.
    #[default]
    Name,
    /// By the latest event's timestamp; streams without events count as oldest.
    LastEventTime,
}

/// Which streams to list.
#[derive(Debug, Clone, Default)]
pub struct StreamsQuery<'a> {
    /// The group's name.
    pub group: &'a str,
    /// Only names that begin so; not together with [`StreamOrder::LastEventTime`].
    pub name_prefix: Option<&'a str>,
    /// The order.
    pub order: StreamOrder,
    /// Last first.
    pub descending: bool,
    /// At most so many; `None`: 50.
    pub limit: Option<usize>,
    /// The token of the page before.
    pub next_token: Option<&'a str>,
}

/// An event to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputEvent {
    /// When it happened, epoch milliseconds.
    pub timestamp_ms: i64,
    /// What happened.
    pub message: String,
}

/// What became of a batch of events: those outside the indices are durable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutOutcome {
    /// Index of the first event that lies too far in the future.
    pub too_new_from: Option<usize>,
    /// Index behind the last event that is older than 14 days.
    pub too_old_to: Option<usize>,
    /// Index behind the last event that is beyond the group's retention.
    pub expired_to: Option<usize>,
    /// A token for the next call, which nobody checks any more.
    pub next_sequence_token: String,
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Unique and stable: 56 digits, ordered like the events.
    pub id: String,
    /// The stream's name.
    pub stream: String,
    /// When it happened, epoch milliseconds.
    pub timestamp_ms: i64,
    /// When it arrived, epoch milliseconds.
    pub ingestion_ms: i64,
    /// What happened.
    pub message: String,
}

/// Which events of one stream to read.
#[derive(Debug, Clone, Default)]
pub struct GetQuery<'a> {
    /// The group's name.
    pub group: &'a str,
    /// The stream's name.
    pub stream: &'a str,
    /// From this time on.
    pub start_ms: Option<i64>,
    /// Before this time (exclusive).
    pub end_ms: Option<i64>,
    /// Earliest first when there is no token; otherwise the latest.
    pub from_head: bool,
    /// At most so many; `None`: as many as fit.
    pub limit: Option<usize>,
    /// A token of another page: it decides the direction.
    pub next_token: Option<&'a str>,
    /// The time now, epoch milliseconds: expired events are hidden.
    pub now_ms: i64,
}

/// Events of one stream, earliest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsPage {
    /// The events.
    pub events: Vec<Event>,
    /// What comes later; the same token as the request's when nothing does.
    pub next_forward_token: String,
    /// What came earlier; the same token as the request's when nothing did.
    pub next_backward_token: String,
}

/// Which streams of a group a filter looks at.
#[derive(Debug, Clone, Default)]
pub enum StreamChoice<'a> {
    /// All.
    #[default]
    All,
    /// Those with these names, at most 100.
    Names(Vec<&'a str>),
    /// Those whose names begin so.
    Prefix(&'a str),
}

/// Which events of a group to look for.
#[derive(Debug, Clone, Default)]
pub struct FilterQuery<'a> {
    /// The group's name.
    pub group: &'a str,
    /// In which streams.
    pub streams: StreamChoice<'a>,
    /// From this time on.
    pub start_ms: Option<i64>,
    /// Up to this time (inclusive).
    pub end_ms: Option<i64>,
    /// What the message must look like; `None` or empty: anything.
    pub pattern: Option<&'a str>,
    /// At most so many; `None`: 10,000.
    pub limit: Option<usize>,
    /// The token of the page before.
    pub next_token: Option<&'a str>,
    /// The time now, epoch milliseconds: expired events are hidden.
    pub now_ms: i64,
}
