//! Operations on groups and streams. Each is durable when it returns, and invisible before.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use store::{Store, Transaction};

use crate::append::Appender;
use crate::group::{GROUPS, Group, GroupRecord, GroupSettings, NEXT_NUMBER, NUMBERS, STREAMS, stream_key};
use crate::ingest::sequence_token;
use crate::limits::{DESCRIBE_ITEMS_DEFAULT, GROUPS_MAX};
use crate::names::{check_group_name, check_retention, check_stream_name, check_tags};
use crate::open::group_dir;
use crate::segment::StreamStatistics;
use crate::segment::recovery::Recovered;
use crate::token::{decode_list_token, encode_list_token};
use crate::{
    GroupClass, GroupDescription, GroupsQuery, Logs, LogsError, NewGroup, Page, StreamDescription,
    StreamOrder, StreamsQuery,
};

/// Streams that one transaction deletes, so that it stays far below the journal's largest record.
const STREAMS_PER_TRANSACTION: usize = 10_000;

impl Logs {
    /// Creates a group. Blocks until it is durable, as all operations here do.
    ///
    /// # Errors
    /// When the name, a tag or their number is not allowed, or the group exists.
    pub fn create_group(&self, new: NewGroup, now_ms: i64) -> Result<(), LogsError> {
        check_group_name(&new.name)?;
        check_tags(&new.tags)?;
        let operation = self.operation();
        {
            let groups = self.all_groups();
            if groups.by_name.contains_key(&new.name) {
                return Err(LogsError::GroupExists);
            }
            if groups.by_name.len() >= GROUPS_MAX {
                return Err(LogsError::LimitExceeded("Resource limit exceeded.".to_owned()));
            }
        }
        let settings = GroupSettings { class: new.class, retention_days: None, tags: new.tags };
        let record = GroupRecord::new(self.take_number(), now_ms, settings);
        let mut transaction = Transaction::new();
        transaction.put(GROUPS, &new.name, record.encode());
        operation.commit(transaction)?;
        let dir = group_dir(&self.dir, record.id);
        let appender = Appender::new(
            self.disk.clone(),
            dir.clone(),
            record.id,
            self.options.segment_bytes_max,
            &Recovered::default(),
        );
        self.all_groups_mut().insert(Arc::new(Group::new(&new.name, record, dir, appender, Vec::new())));
        Ok(())
    }

    /// Deletes a group with its streams and events.
    ///
    /// # Errors
    /// When there is no such group.
    pub fn delete_group(&self, name: &str) -> Result<(), LogsError> {
        let operation = self.operation();
        let group = self.named_group(name)?;
        let streams: Vec<String> = group.streams().by_name.keys().cloned().collect();
        let mut chunks = streams.chunks(STREAMS_PER_TRANSACTION);
        let mut transaction = self.deletion();
        transaction.delete(GROUPS, name);
        let mut first = chunks.next();
        // Without its group a stream is nothing: what a crash leaves of the later chunks does no harm.
        while let Some(chunk) = first {
            for stream in chunk {
                transaction.delete(STREAMS, stream_key(group.id, stream));
            }
            operation.commit(std::mem::take(&mut transaction))?;
            first = chunks.next();
        }
        operation.commit(transaction)?;
        group.deleted.store(true, Ordering::Release);
        {
            let mut groups = self.all_groups_mut();
            groups.by_name.remove(name);
            groups.by_id.remove(&group.id);
        }
        // Whoever is writing to it finishes first.
        let _appender = group.appender();
        if self.disk.exists(&group.dir)
            && let Err(error) = self.disk.remove_dir_all(&group.dir)
        {
            tracing::warn!(dir = %group.dir.display(), %error, "the next start removes what is left of a deleted group");
        }
        Ok(())
    }

    /// One group.
    ///
    /// # Errors
    /// When there is no such group.
    pub fn group(&self, name: &str) -> Result<GroupDescription, LogsError> {
        Ok(self.named_group(name)?.describe())
    }

    /// Lists groups by name.
    ///
    /// # Errors
    /// When the token is none of ours, or prefix and substring are both given.
    pub fn groups(&self, query: &GroupsQuery<'_>) -> Result<Page<GroupDescription>, LogsError> {
        if query.name_prefix.is_some() && query.name_contains.is_some() {
            return Err(LogsError::invalid(
                "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
            ));
        }
        let after = query.next_token.map(|token| decode_list_token("group", token)).transpose()?;
        let prefix = query.name_prefix.unwrap_or_default();
        let limit = query.limit.unwrap_or(DESCRIBE_ITEMS_DEFAULT).max(1);
        let matching: Vec<Arc<Group>> = {
            let groups = self.all_groups();
            let from = after.as_deref().unwrap_or_default().max(prefix).to_owned();
            groups
                .by_name
                .range(from..)
                .take_while(|(name, _)| name.starts_with(prefix))
                .filter(|(name, _)| after.as_deref().is_none_or(|after| name.as_str() > after))
                .filter(|(name, _)| query.name_contains.is_none_or(|part| name.contains(part)))
                .map(|(_, group)| group)
                .filter(|group| query.class.is_none_or(|class| group.settings().class == class))
                .take(limit + 1)
                .cloned()
                .collect()
        };
        let more = matching.len() > limit;
        let items: Vec<GroupDescription> =
            matching.iter().take(limit).map(|group| group.describe()).collect();
        let next_token = items.last().filter(|_| more).map(|last| encode_list_token("group", &last.name));
        Ok(Page { items, next_token })
    }

    /// Creates a stream.
    ///
    /// # Errors
    /// When the name is not allowed, there is no such group, or the stream exists.
    pub fn create_stream(&self, group: &str, stream: &str, now_ms: i64) -> Result<(), LogsError> {
        check_stream_name(stream)?;
        let operation = self.operation();
        let group = self.named_group(group)?;
        // A rule may have named it already: both must mean the same number.
        let stream = self.stream_or_new(&group, stream, now_ms)?;
        if stream.is_durable() {
            return Err(LogsError::StreamExists);
        }
        let mut transaction = Transaction::new();
        transaction.put(STREAMS, stream_key(group.id, &stream.name), stream.record());
        operation.commit(transaction)?;
        stream.set_durable();
        Ok(())
    }

    /// Deletes a stream with its events.
    ///
    /// # Errors
    /// When there is no such group or stream.
    pub fn delete_stream(&self, group: &str, stream: &str) -> Result<(), LogsError> {
        let operation = self.operation();
        let group = self.named_group(group)?;
        let stream = group.stream(stream).ok_or(LogsError::NoSuchStream)?;
        let mut transaction = self.deletion();
        transaction.delete(STREAMS, stream_key(group.id, &stream.name));
        operation.commit(transaction)?;
        let mut streams = group.streams_mut();
        streams.by_name.remove(&stream.name);
        streams.by_id.remove(&stream.id);
        Ok(())
    }

    /// Lists streams.
    ///
    /// # Errors
    /// When there is no such group, the token is none of ours, or a prefix is given together with the order by time.
    pub fn streams(&self, query: &StreamsQuery<'_>) -> Result<Page<StreamDescription>, LogsError> {
        if query.order == StreamOrder::LastEventTime && query.name_prefix.is_some() {
            return Err(LogsError::invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
        }
        let group = self.named_group(query.group)?;
        let kind = match (query.order, query.descending) {
            (StreamOrder::Name, false) => "name",
            (StreamOrder::Name, true) => "name-descending",
            (StreamOrder::LastEventTime, false) => "time",
            (StreamOrder::LastEventTime, true) => "time-descending",
        };
        let after = query.next_token.map(|token| decode_list_token(kind, token)).transpose()?;
        let limit = query.limit.unwrap_or(DESCRIBE_ITEMS_DEFAULT).max(1);
        let totals = group.totals();
        let prefix = query.name_prefix.unwrap_or_default();
        // The sort key as text, because it is also the token.
        let sort_key = |name: &str, statistics: Option<&StreamStatistics>| match query.order {
            StreamOrder::Name => name.to_owned(),
            StreamOrder::LastEventTime => {
                format!(
                    "{:020}/{name}",
                    statistics.map_or(0, |statistics| statistics.last_ms.saturating_add(1).max(0))
                )
            }
        };
        let mut matching: Vec<(String, StreamDescription)> = group
            .streams()
            .by_name
            .range(prefix.to_owned()..)
            .take_while(|(name, _)| name.starts_with(prefix))
            .filter(|(_, stream)| stream.is_durable())
            .map(|(name, stream)| {
                let statistics = totals.get(&stream.id);
                let description = StreamDescription {
                    name: name.clone(),
                    created_ms: stream.created_ms,
                    first_event_ms: statistics.map(|statistics| statistics.first_ms),
                    last_event_ms: statistics.map(|statistics| statistics.last_ms),
                    last_ingestion_ms: statistics.map(|statistics| statistics.ingestion_ms),
                    stored_bytes: statistics.map_or(0, |statistics| statistics.bytes),
                    upload_sequence_token: sequence_token(
                        stream.id,
                        statistics.map_or(stream.created_ms, |statistics| statistics.ingestion_ms),
                    ),
                };
                (sort_key(name, statistics), description)
            })
            .collect();
        if query.order == StreamOrder::LastEventTime {
            matching.sort_by(|left, right| left.0.cmp(&right.0));
        }
        if query.descending {
            matching.reverse();
        }
        let is_behind = |key: &str| match &after {
            None => true,
            Some(after) if query.descending => key < after.as_str(),
            Some(after) => key > after.as_str(),
        };
        let mut rest = matching.into_iter().filter(|(key, _)| is_behind(key)).peekable();
        let page: Vec<(String, StreamDescription)> = rest.by_ref().take(limit).collect();
        let more = rest.peek().is_some();
        let next_token = page.last().filter(|_| more).map(|(key, _)| encode_list_token(kind, key));
        Ok(Page { items: page.into_iter().map(|(_, description)| description).collect(), next_token })
    }

    /// Sets after how many days events expire.
    ///
    /// # Errors
    /// When AWS does not know that number of days, there is no such group, or its class is `DELIVERY`.
    pub fn put_retention(&self, group: &str, days: i64) -> Result<(), LogsError> {
        let days = check_retention(days)?;
        self.change_settings(group, |settings| {
            // [AWS verified.md 147] DELIVERY class groups take no retention.
            if settings.class == GroupClass::Delivery {
                return Err(LogsError::invalid("Log groups of the DELIVERY class have a fixed retention."));
            }
            settings.retention_days = Some(days);
            Ok(())
        })
    }

    /// Events never expire.
    ///
    /// # Errors
    /// When there is no such group.
    pub fn delete_retention(&self, group: &str) -> Result<(), LogsError> {
        self.change_settings(group, |settings| {
            settings.retention_days = None;
            Ok(())
        })
    }

    /// A group's tags.
    ///
    /// # Errors
    /// When there is no such group.
    pub fn tags(&self, group: &str) -> Result<BTreeMap<String, String>, LogsError> {
        Ok(self.named_group(group)?.settings().tags.clone())
    }

    /// Adds tags or changes their values.
    ///
    /// # Errors
    /// When a tag is not allowed, there would be more than 50, or there is no such group.
    pub fn tag(&self, group: &str, tags: &BTreeMap<String, String>) -> Result<(), LogsError> {
        self.change_settings(group, |settings| {
            settings.tags.extend(tags.clone());
            check_tags(&settings.tags)
        })
    }

    /// Removes tags; absent ones are no error.
    ///
    /// # Errors
    /// When there is no such group.
    pub fn untag(&self, group: &str, keys: &[String]) -> Result<(), LogsError> {
        self.change_settings(group, |settings| {
            settings.tags.retain(|key, _| !keys.contains(key));
            Ok(())
        })
    }

    fn change_settings(
        &self,
        group: &str,
        change: impl FnOnce(&mut GroupSettings) -> Result<(), LogsError>,
    ) -> Result<(), LogsError> {
        let operation = self.operation();
        let group = self.named_group(group)?;
        let mut settings = group.settings().clone();
        change(&mut settings)?;
        let mut transaction = Transaction::new();
        transaction.put(GROUPS, &group.name, group.record(&settings));
        operation.commit(transaction)?;
        *group.settings_mut() = settings;
        Ok(())
    }

    /// A transaction that deletes something: its number must never come again.
    fn deletion(&self) -> Transaction {
        let mut transaction = Transaction::new();
        transaction.put(NUMBERS, NEXT_NUMBER, self.next_number.load(Ordering::Acquire).to_le_bytes());
        transaction
    }

    fn operation(&self) -> Operation<'_> {
        Operation { logs: self, _lock: self.operations.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

/// One change of groups or streams at a time.
struct Operation<'a> {
    logs: &'a Logs,
    _lock: MutexGuard<'a, ()>,
}

impl Operation<'_> {
    fn commit(&self, transaction: Transaction) -> Result<(), LogsError> {
        let store: &Store = self.logs.store()?;
        store.commit(transaction).wait()?;
        Ok(())
    }
}
