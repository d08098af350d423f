//! Log groups and streams: segments, append, scan, retention.

mod error;
mod model;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use store::{ConsumerId, Opening, Store, Transaction};

pub use error::{Damage, LogsError, LogsOpenError};
pub use model::*;

/// The log store's number in the journal.
pub const CONSUMER: ConsumerId = ConsumerId(1);

/// The log store.
#[derive(Debug)]
pub struct Logs(());

/// Resolves when the accepted events of a PutLogEvents batch are durable.
#[must_use = "nothing may be acknowledged before this resolves"]
#[derive(Debug)]
pub struct PutEvents(Result<PutOutcome, LogsError>);
impl PutEvents {
    /// Blocks until it resolves.
    pub fn wait(self) -> Result<PutOutcome, LogsError> {
        self.0
    }
}
impl Future for PutEvents {
    type Output = Result<PutOutcome, LogsError>;
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(self.0.clone())
    }
}

fn absent<T>() -> Result<T, LogsError> {
    Err(LogsError::Unavailable("being built".into()))
}

#[expect(unused_variables, reason = "signatures first")]
impl Logs {
    /// Opens the log store of an opened data directory; blocking. Give it to `Opening::recover` as consumer
    /// [`CONSUMER`] and then call [`Logs::attach`].
    pub fn open(opening: &Opening) -> Result<Arc<Self>, LogsOpenError> {
        Ok(Arc::new(Self(())))
    }
    /// Gives it the running store.
    pub fn attach(&self, store: &Store) {}
    /// Open, recover and attach in one: the usual way.
    pub fn start(opening: Opening) -> Result<(Store, Arc<Self>), LogsOpenError> {
        Ok((opening.recover(vec![])?, Arc::new(Self(()))))
    }
    /// What was set aside.
    pub fn damages(&self) -> Vec<Damage> {
        vec![]
    }
    /// Creates a group; durable when it returns. Blocking, as all operations here but `rule_event` and `put_events`.
    pub fn create_group(&self, group: NewGroup, now_ms: i64) -> Result<(), LogsError> {
        absent()
    }
    /// Deletes a group with all its streams and events.
    pub fn delete_group(&self, group: &str) -> Result<(), LogsError> {
        absent()
    }
    /// One group.
    pub fn group(&self, group: &str) -> Result<GroupDescription, LogsError> {
        absent()
    }
    /// Lists groups by name.
    pub fn groups(&self, query: &GroupsQuery<'_>) -> Result<Page<GroupDescription>, LogsError> {
        absent()
    }
    /// Creates a stream.
    pub fn create_stream(&self, group: &str, stream: &str, now_ms: i64) -> Result<(), LogsError> {
        absent()
    }
    /// Deletes a stream with its events.
    pub fn delete_stream(&self, group: &str, stream: &str) -> Result<(), LogsError> {
        absent()
    }
    /// Lists streams.
    pub fn streams(&self, query: &StreamsQuery<'_>) -> Result<Page<StreamDescription>, LogsError> {
        absent()
    }
    /// Sets after how many days events expire.
    pub fn put_retention(&self, group: &str, days: u32) -> Result<(), LogsError> {
        absent()
    }
    /// Events never expire.
    pub fn delete_retention(&self, group: &str) -> Result<(), LogsError> {
        absent()
    }
    /// A group's tags.
    pub fn tags(&self, group: &str) -> Result<BTreeMap<String, String>, LogsError> {
        absent()
    }
    /// Adds tags or changes their values.
    pub fn tag(&self, group: &str, tags: &BTreeMap<String, String>) -> Result<(), LogsError> {
        absent()
    }
    /// Removes tags; absent ones are no error.
    pub fn untag(&self, group: &str, keys: &[String]) -> Result<(), LogsError> {
        absent()
    }
    /// Adds a rule's event to a transaction: it is stored when the transaction is. Creates the stream when it is
    /// missing. Never blocks on the disk.
    pub fn rule_event(
        &self,
        group: &str,
        stream: &str,
        timestamp_ms: i64,
        message: &str,
        now_ms: i64,
        transaction: &mut Transaction,
    ) -> Result<(), LogsError> {
        absent()
    }
    /// Stores a batch of events (PutLogEvents). Returns at once; wait for the result or poll it.
    pub fn put_events(&self, group: &str, stream: &str, events: Vec<InputEvent>, now_ms: i64) -> PutEvents {
        PutEvents(absent())
    }
    /// Events of one stream (GetLogEvents).
    pub fn events(&self, query: &GetQuery<'_>) -> Result<EventsPage, LogsError> {
        absent()
    }
    /// Events of a group that match (FilterLogEvents), ordered by timestamp and arrival.
    pub fn filter(&self, query: &FilterQuery<'_>) -> Result<Page<Event>, LogsError> {
        absent()
    }
    /// Removes segments whose events have all expired. Call it every hour or so.
    pub fn enforce_retention(&self, now_ms: i64) {}
    /// Stops its threads. After `Store::close`.
    pub fn close(&self) {}
}
