//! The writer thread: group commit without a timer.
//!
//! While one `fdatasync` runs, appends gather; the next one takes them all. Under no load an append waits for one
//! sync, under any load for at most two.

use std::sync::Arc;
use std::time::Instant;

use crate::journal::{BATCH_BYTES_MAX, JournalWriter, PendingRecord, WriteError};
use crate::store::{Queue, Shared};
use crate::{AppendError, Position};

/// Runs until the store stops and everything appended was written, or a write failed for ever.
pub(crate) fn run(shared: &Arc<Shared>, mut journal: JournalWriter) {
    let _end = EndOfThread(shared);
    while let Some(batch) = next_batch(shared) {
        if !write(shared, &mut journal, batch) {
            break;
        }
    }
}

/// Writes a batch and tells of it; gives whether more can be written.
pub(crate) fn write(shared: &Shared, journal: &mut JournalWriter, batch: Vec<PendingRecord>) -> bool {
    let begun = Instant::now();
    match journal.append(&batch) {
        Ok(()) => {
            let bytes = batch.iter().map(PendingRecord::bytes).sum();
            shared.counters.committed(batch.len(), bytes, begun.elapsed());
            committed(shared, batch);
        }
        Err(WriteError::Shortage(error)) => {
            tracing::warn!(%error, "the journal cannot grow: what waited for it is refused");
            lost(shared, &batch);
        }
        Err(WriteError::Fatal(error)) => {
            shared.fail(&format!("the journal cannot be written: {error}"));
            return false;
        }
    }
    true
}

/// Tells the applier that no more comes; after a panic (a callback's), also everybody who waits.
struct EndOfThread<'a>(&'a Shared);

impl Drop for EndOfThread<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("the journal's writer panicked");
        }
        self.0.queue().writer_ended = true;
        self.0.queue_changed.notify_all();
    }
}

/// Waits for appends and takes as many as one write may hold; `None` when the store stops.
fn next_batch(shared: &Shared) -> Option<Vec<PendingRecord>> {
    let mut queue = shared.queue();
    while queue.appended.is_empty() {
        if queue.refusal.is_some() {
            return None;
        }
        queue = shared.wait(queue);
    }
    Some(take_batch(&mut queue))
}

pub(crate) fn take_batch(queue: &mut Queue) -> Vec<PendingRecord> {
    let mut bytes = 0;
    let fitting = queue
        .appended
        .iter()
        .take_while(|record| {
            bytes += record.bytes();
            bytes <= BATCH_BYTES_MAX
        })
        .count();
    let rest = queue.appended.split_off(fitting.max(1));
    std::mem::replace(&mut queue.appended, rest)
}

fn committed(shared: &Shared, batch: Vec<PendingRecord>) {
    let Some(end) = batch.last().map(|record| record.end) else { return };
    shared.ledger.commit(end);
    shared.queue().durable.push_back(batch);
    shared.queue_changed.notify_all();
}

/// Refuses the batch and everything behind it: the journal has no holes, and their positions are never reused.
fn lost(shared: &Shared, batch: &[PendingRecord]) {
    let up_to: Position = {
        let mut queue = shared.queue();
        let behind = std::mem::take(&mut queue.appended);
        let bytes: u64 = batch.iter().chain(&behind).map(PendingRecord::bytes).sum();
        queue.backlog_bytes -= bytes;
        queue.next
    };
    shared.ledger.lose(up_to, AppendError::Shortage);
}
