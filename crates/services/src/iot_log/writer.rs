//! The thread that brings lines to their log groups.

use super::IotLogCounts;
use logs::{InputEvent, Logs, LogsError, NewGroup};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use time::macros::format_description;

/// Lines that may wait for the thread. A tenth of a second's worth of a busy broker; the disk takes longer only when it is in
/// trouble, and a log is not worth more memory than that.
const QUEUE_LINES_MAX: usize = 8_192;

/// Bytes of the lines that wait. A line has 400 bytes, and with the longest topic and reasons 4 KiB.
const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Lines that are written at once: far below the most that the log store takes of one batch.
const BATCH_LINES_MAX: usize = 1_024;

/// Bytes of a batch; the log store's limit is 1 MiB with 26 bytes for each event.
const BATCH_BYTES_MAX: usize = 512 * 1024;

/// Shortest time between two lines of the server's own log about events that were dropped or refused.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Writer {
    sender: SyncSender<Order>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    queued_bytes: AtomicUsize,
    written: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug)]
enum Order {
    Write(Line),
    Stop,
}

/// One event on its way.
#[derive(Debug)]
struct Line {
    group: Box<str>,
    at_ms: i64,
    text: String,
}

impl Writer {
    /// Starts the thread. Without one nothing is written: it was dropped then.
    pub(super) fn start(logs: Arc<Logs>, account_id: &str) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE_LINES_MAX);
        let shared = Arc::new(Shared::default());
        let work = Work {
            logs,
            account_id: account_id.to_owned(),
            shared: Arc::clone(&shared),
            told_dropped: 0,
            told_at: None,
        };
        let thread =
            std::thread::Builder::new().name("iot-log".to_owned()).spawn(move || work.run(&receiver))?;
        Ok(Self { sender, shared, thread: Mutex::new(Some(thread)) })
    }

    /// Takes a line, or drops it when too many wait. Never waits.
    pub(super) fn queue(&self, group: &str, at_ms: i64, text: String) {
        let bytes = text.len();
        let before = self.shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let line = Line { group: group.into(), at_ms, text };
        if before + bytes > QUEUE_BYTES_MAX || self.sender.try_send(Order::Write(line)).is_err() {
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn counts(&self) -> IotLogCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Shared { written, dropped, failed, .. } = &*self.shared;
        IotLogCounts { written: of(written), dropped: of(dropped), failed: of(failed) }
    }

    /// Writes what waits and ends the thread.
    pub(super) fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        // An error means that it has ended already.
        let _ = self.sender.send(Order::Stop);
        if thread.join().is_err() {
            tracing::error!("the thread that writes {} had panicked", super::GROUP);
        }
    }
}

/// The thread's own.
struct Work {
    logs: Arc<Logs>,
    account_id: String,
    shared: Arc<Shared>,
    told_dropped: u64,
    told_at: Option<Instant>,
}

impl Work {
    fn run(mut self, receiver: &Receiver<Order>) {
        while let Ok(Order::Write(first)) = receiver.recv() {
            let mut bytes = first.text.len();
            let mut batch = vec![first];
            let mut is_last = false;
            while batch.len() < BATCH_LINES_MAX && bytes < BATCH_BYTES_MAX {
                match receiver.try_recv() {
                    Ok(Order::Write(line)) => {
                        bytes += line.text.len();
                        batch.push(line);
                    }
                    Ok(Order::Stop) => {
                        is_last = true;
                        break;
                    }
                    Err(_) => break,
                }
            }
            self.write(batch);
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.tell_dropped();
            if is_last {
                return;
            }
        }
    }

    /// Writes lines, each to its group and the stream of its day.
    fn write(&mut self, batch: Vec<Line>) {
        let mut places: BTreeMap<(Box<str>, String), Vec<InputEvent>> = BTreeMap::new();
        for Line { group, at_ms, text } in batch {
            let stream = stream_name(&self.account_id, at_ms);
            places
                .entry((group, stream))
                .or_default()
                .push(InputEvent { timestamp_ms: at_ms, message: text });
        }
        for ((group, stream), mut events) in places {
            // Threads queue side by side; PutLogEvents wants the order of time.
            events.sort_by_key(|event| event.timestamp_ms);
            let count = events.len() as u64;
            let counter = match self.put(&group, &stream, events) {
                Ok(()) => &self.shared.written,
                Err(error) => {
                    self.tell_failed(&group, &error);
                    &self.shared.failed
                }
            };
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn put(&self, group: &str, stream: &str, events: Vec<InputEvent>) -> Result<(), LogsError> {
        let now_ms = events.last().map_or(0, |event| event.timestamp_ms);
        match self.logs.put_events(group, stream, events.clone(), now_ms).wait() {
            Err(LogsError::NoSuchGroup) => {
                create_group(&self.logs, group, now_ms)?;
                existing(self.logs.create_stream(group, stream, now_ms))?;
            }
            Err(LogsError::NoSuchStream) => existing(self.logs.create_stream(group, stream, now_ms))?,
            other => return other.map(drop),
        }
        self.logs.put_events(group, stream, events, now_ms).wait().map(drop)
    }

    fn tell_failed(&mut self, group: &str, error: &LogsError) {
        if self.may_tell() {
            tracing::warn!(target: "eyot::iot_log", group, %error, "log events were not written");
        }
    }

    fn tell_dropped(&mut self) {
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        if dropped > self.told_dropped && self.may_tell() {
            let events = dropped - self.told_dropped;
            self.told_dropped = dropped;
            tracing::warn!(
                target: "eyot::iot_log", events,
                "log events were dropped: more came than the disk takes; choose another level with SetV2LoggingOptions"
            );
        }
    }

    fn may_tell(&mut self) -> bool {
        let now = Instant::now();
        let may = self.told_at.is_none_or(|told_at| now.duration_since(told_at) >= TELL_EVERY);
        if may {
            self.told_at = Some(now);
        }
        may
    }
}

/// Makes a log group, unless it is there.
pub(super) fn create_group(logs: &Logs, group: &str, now_ms: i64) -> Result<(), LogsError> {
    let new = NewGroup { name: group.to_owned(), class: logs::GroupClass::Standard, tags: BTreeMap::new() };
    existing(logs.create_group(new, now_ms))
}

/// That somebody else made it is as good.
fn existing(created: Result<(), LogsError>) -> Result<(), LogsError> {
    match created {
        Err(LogsError::GroupExists | LogsError::StreamExists) => Ok(()),
        other => other,
    }
}

/// The stream of events: one per UTC day, `000000000000-2026-11-24` (docs/spec/logging.md).
fn stream_name(account_id: &str, at_ms: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_ms) * 1_000_000).ok();
    let date = moment.and_then(|moment| moment.format(format_description!("[year]-[month]-[day]")).ok());
    format!("{account_id}-{}", date.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use logs::FilterQuery;
    use store::{Store, StoreOptions};

    fn logs() -> Arc<Logs> {
        Logs::start(Store::open(StoreOptions::in_memory()).unwrap()).unwrap().1
    }

    #[test]
    fn lines_get_to_their_groups_also_after_one_was_deleted() {
        let logs = logs();
        let writer = Writer::start(Arc::clone(&logs), "1").unwrap();
        let now_ms = 1_795_490_656_560;
        writer.queue("a", now_ms, "one".to_owned());
        writer.queue("b", now_ms, "two".to_owned());
        while writer.counts().written < 2 {
            std::thread::yield_now();
        }
        logs.delete_group("a").unwrap();
        writer.queue("a", now_ms + 1, "three".to_owned());
        writer.stop();
        assert_eq!(writer.counts(), IotLogCounts { written: 3, dropped: 0, failed: 0 });
        let query = FilterQuery { group: "a", now_ms, ..FilterQuery::default() };
        let page = logs.filter(&query).unwrap();
        let found: Vec<_> = page.items.iter().map(|event| (&*event.stream, &*event.message)).collect();
        assert_eq!(found, [("1-2026-11-24", "three")]);
        writer.queue("a", now_ms, "late".to_owned());
        assert_eq!(writer.counts().dropped, 1, "nobody writes any more, and nobody waits");
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let (sender, _receiver) = sync_channel(2);
        let writer = Writer { sender, shared: Arc::default(), thread: Mutex::new(None) };
        for _ in 0..5 {
            writer.queue("a", 0, "x".to_owned());
        }
        assert_eq!((writer.counts().dropped, writer.shared.queued_bytes.load(Ordering::Relaxed)), (3, 2));
        writer.queue("a", 0, "x".repeat(QUEUE_BYTES_MAX));
        assert_eq!((writer.counts().dropped, writer.shared.queued_bytes.load(Ordering::Relaxed)), (4, 2));
    }
}
