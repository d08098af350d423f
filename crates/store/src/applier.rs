//! The applier thread: durable transactions into the keyed state and to the consumers, and checkpoints.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::disk::{Disk, is_shortage};
use crate::journal::{PendingRecord, RECORD_HEADER_BYTES, Segment};
use crate::keyed::{Change, KeyedState};
use crate::store::Shared;
use crate::transaction::{Operation, Operations};
use crate::{AppendError, Consumer, ConsumerId, Position};

/// How much of the journal is applied between two checkpoints, in bytes.
///
/// A start replays at most this and what was still waiting: well under a second. Larger means fewer syncs of the
/// state and the log segments.
pub const CHECKPOINT_BYTES: u64 = 64 * 1024 * 1024;

/// How long the applier waits for room before it tries again. The backlog fills meanwhile, and appends are refused.
const SHORTAGE_RETRY: Duration = Duration::from_millis(500);

/// Shortest time between two log lines about waiting for room.
const SHORTAGE_LOG_EVERY: Duration = Duration::from_secs(30);

/// Silence after which memory is given back. A device that publishes every few seconds must not have a table written each time.
const REST_AFTER: Duration = Duration::from_secs(5);

/// What the applier owns.
pub(crate) struct Applier {
    pub(crate) shared: Arc<Shared>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) journal_dir: PathBuf,
    pub(crate) segments: Arc<Mutex<Vec<Segment>>>,
    pub(crate) consumers: HashMap<ConsumerId, Arc<dyn Consumer>>,
    pub(crate) checkpoint_bytes: u64,
    /// The position of the last checkpoint.
    pub(crate) checkpoint: Position,
    /// Bytes of records that are in memory and not in their place yet: they count for the backlog.
    pub(crate) unsettled_bytes: u64,
    pub(crate) shortage_told_at: Option<Instant>,
    /// Not before this is work tried again that found no room: each try writes, and what it writes is thrown away.
    pub(crate) retry_at: Option<Instant>,
    /// When it rests if nothing comes before.
    pub(crate) rest_at: Option<Instant>,
}

/// What the applier finds to do.
enum Work {
    Batch(Vec<PendingRecord>),
    /// Nothing new; what found no room is tried again.
    Settle,
    /// Nothing new for a while.
    Rest,
    End,
}

impl Applier {
    /// Runs until the writer ended and everything durable was applied, or something failed for ever.
    pub(crate) fn run(mut self) {
        let _end = EndOfThread(self.shared.clone());
        loop {
            let done = match self.next_work() {
                Work::Batch(batch) => self.take_in(&batch),
                Work::Settle => self.settle(),
                Work::Rest => self.rest(),
                Work::End => break,
            };
            if let Err(error) = done {
                self.shared.fail(&format!("what is in the journal cannot be applied: {error}"));
                return;
            }
        }
        if let Err(error) = self.last_checkpoint() {
            self.shared.fail(&format!("the last checkpoint failed: {error}"));
        }
    }

    /// Applies a batch as far as there is room.
    pub(crate) fn take_in(&mut self, batch: &[PendingRecord]) -> io::Result<()> {
        self.apply(batch)?;
        self.settle()
    }

    fn next_work(&self) -> Work {
        let mut queue = self.shared.queue();
        loop {
            if let Some(batch) = queue.durable.pop_front() {
                return Work::Batch(batch);
            }
            if queue.writer_ended {
                return Work::End;
            }
            let next = self.retry_at.map(|at| (at, Work::Settle)).or(self.rest_at.map(|at| (at, Work::Rest)));
            let Some((at, work)) = next else {
                queue = self.shared.wait(queue);
                continue;
            };
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return work;
            }
            queue =
                self.shared.queue_changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Brings a batch into memory: into the keyed state, and to the consumers. Never waits for the disk, so that whoever
    /// needs the state after a full disk finds it.
    fn apply(&mut self, batch: &[PendingRecord]) -> io::Result<()> {
        let Some(end) = batch.last().map(|record| record.end) else { return Ok(()) };
        apply_changes(&*self.shared.state()?, batch.iter().map(|record| &record.payload[..]), end)?;
        self.shared.queue().in_state = end;
        self.shared.queue_changed.notify_all();
        for record in batch {
            apply_entries(&self.consumers, record.start(), &record.payload)?;
        }
        self.unsettled_bytes += batch.iter().map(PendingRecord::bytes).sum::<u64>();
        self.rest_at = Some(Instant::now() + REST_AFTER);
        Ok(())
    }

    /// Gives memory back that a busy time has left.
    fn rest(&mut self) -> io::Result<()> {
        self.rest_at = None;
        let done = self.shared.state()?.rest();
        self.has_room(done).map(drop)
    }

    /// Brings what was applied to its place. What finds no room stays in memory and in the journal, and is tried again.
    fn settle(&mut self) -> io::Result<()> {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        self.retry_at = None;
        let state = self.shared.state()?;
        let settled = self.consumers.values().try_for_each(|consumer| consumer.flush());
        if !self.has_room(settled.and_then(|()| state.make_room()))? {
            return Ok(());
        }
        let applied = {
            let mut queue = self.shared.queue();
            queue.applied = queue.in_state;
            queue.backlog_bytes -= std::mem::take(&mut self.unsettled_bytes);
            queue.applied
        };
        self.shared.queue_changed.notify_all();
        if applied.0 - self.checkpoint.0 >= self.checkpoint_bytes {
            let done = self.checkpoint(applied);
            self.has_room(done)?;
        }
        Ok(())
    }

    /// What is in the journal and found no room is applied by the next start: nothing is lost without a checkpoint.
    pub(crate) fn last_checkpoint(&mut self) -> io::Result<()> {
        let applied = {
            let queue = self.shared.queue();
            let failed = matches!(queue.refusal, Some(AppendError::Failed { .. }));
            (queue.checkpoint_at_end && !failed).then_some(queue.in_state)
        };
        if let Some(applied) = applied.filter(|&applied| applied > self.checkpoint) {
            let done = self.checkpoint(applied);
            self.has_room(done)?;
        }
        Ok(())
    }

    /// Whether work that needs room was done; false after a shortage.
    fn has_room(&mut self, done: io::Result<()>) -> io::Result<bool> {
        match done {
            Ok(()) => Ok(true),
            Err(error) if is_shortage(&error) => {
                self.retry_at = Some(Instant::now() + SHORTAGE_RETRY);
                if self.shortage_told_at.is_none_or(|at| at.elapsed() >= SHORTAGE_LOG_EVERY) {
                    self.shortage_told_at = Some(Instant::now());
                    tracing::warn!(%error, "what is in the journal cannot be put in its place, and waits");
                }
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes everything applied durable and drops the journal behind it.
    fn checkpoint(&mut self, applied: Position) -> io::Result<()> {
        make_checkpoint(&self.consumers, &*self.shared.state()?, applied)?;
        self.checkpoint = applied;
        drop_segments(&*self.disk, &self.journal_dir, &self.segments, applied)
    }
}

/// Makes everything up to `applied` durable outside of the journal.
pub(crate) fn make_checkpoint(
    consumers: &HashMap<ConsumerId, Arc<dyn Consumer>>,
    state: &dyn KeyedState,
    applied: Position,
) -> io::Result<()> {
    for consumer in consumers.values() {
        consumer.flush()?;
        consumer.sync()?;
    }
    state.persist(applied)
}

/// After a panic (a consumer's) nobody may wait for ever.
struct EndOfThread(Arc<Shared>);

impl Drop for EndOfThread {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("applying the journal panicked");
        }
    }
}

/// Applies the puts and deletes of records as one batch.
pub(crate) fn apply_changes<'a>(
    state: &dyn KeyedState,
    payloads: impl Iterator<Item = &'a [u8]>,
    end: Position,
) -> io::Result<()> {
    let mut malformed = false;
    let mut changes = payloads.flat_map(Operations::new).filter_map(|operation| match operation {
        Ok(Operation::Put { keyspace, key, value }) => Some(Change::Put { keyspace, key, value }),
        Ok(Operation::Delete { keyspace, key }) => Some(Change::Delete { keyspace, key }),
        Ok(Operation::Entry { .. }) => None,
        Err(_) => {
            malformed = true;
            None
        }
    });
    state.apply(&mut changes, end)?;
    if malformed { Err(malformed_transaction()) } else { Ok(()) }
}

/// Gives the entries of one record to their consumers.
pub(crate) fn apply_entries(
    consumers: &HashMap<ConsumerId, Arc<dyn Consumer>>,
    record_start: Position,
    payload: &[u8],
) -> io::Result<()> {
    for operation in Operations::new(payload) {
        if let Operation::Entry { consumer, bytes, end } = operation.map_err(|_| malformed_transaction())? {
            let Some(target) = consumers.get(&consumer) else {
                return Err(io::Error::other(format!(
                    "no consumer {} for an entry of the journal",
                    consumer.0
                )));
            };
            target.apply(Position(record_start.0 + RECORD_HEADER_BYTES + end), bytes)?;
        }
    }
    Ok(())
}

fn malformed_transaction() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a journal record is not a transaction")
}

/// Drops segments whose every record lies at or below the checkpoint. The last one stays: it holds the position.
pub(crate) fn drop_segments(
    disk: &dyn Disk,
    dir: &std::path::Path,
    segments: &Mutex<Vec<Segment>>,
    checkpoint: Position,
) -> io::Result<()> {
    loop {
        // Before the file goes: its removal must not wait for a file descriptor.
        let handle = disk.open_dir(dir)?;
        let oldest = {
            let mut segments = segments.lock().unwrap_or_else(PoisonError::into_inner);
            if segments.len() < 2 || segments[0].end > checkpoint {
                return Ok(());
            }
            segments.remove(0)
        };
        disk.remove_file(&oldest.path)?;
        // One by one and oldest first: a power cut may bring back the last one only, never leave a gap.
        handle.sync()?;
    }
}
