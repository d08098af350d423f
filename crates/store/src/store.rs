//! The handle that everything durable goes through.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;

use crate::commit::{Commit, Ledger};
use crate::disk::DiskLock;
use crate::journal::{PendingRecord, RECORD_BYTES_MAX, RECORD_HEADER_BYTES};
use crate::keyed::{KeyValues, KeyedState};
use crate::metrics::{Counters, JournalMetrics};
use crate::{AppendError, Keyspace, Lost, Position, ReadError, Transaction};

/// How much may be appended and not yet applied, in bytes.
///
/// All of it is in memory. At 100 MB/s it outlasts a checkpoint of half a second; a device that sends faster than
/// the disk writes meets it, and its connection is not read until it has shrunk.
pub const BACKLOG_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// An open store. Clones share it; the last one dropped stops its threads, [`Store::close`] does it in order.
#[derive(Clone)]
pub struct Store(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    threads: Mutex<Threads>,
}

/// What ends with the store.
pub(crate) struct Threads {
    pub(crate) writer: Option<JoinHandle<()>>,
    pub(crate) applier: Option<JoinHandle<()>>,
    pub(crate) lock: Option<DiskLock>,
}

/// What callers, the writer and the applier share.
pub(crate) struct Shared {
    pub(crate) queue: Mutex<Queue>,
    /// Wakes the writer (something to write, stopping) and the applier (something to apply, stopping), and who
    /// waits for the applier.
    pub(crate) queue_changed: Condvar,
    pub(crate) ledger: Arc<Ledger>,
    /// `None` once the store was closed: others may open the directory then.
    state: RwLock<Option<Arc<dyn KeyedState>>>,
    backlog_bytes_max: u64,
    pub(crate) counters: Counters,
}

/// Transactions on their way: appended, then durable, then applied.
#[derive(Debug)]
pub(crate) struct Queue {
    /// Waits for the writer.
    pub(crate) appended: Vec<PendingRecord>,
    /// Durable, waits for the applier.
    pub(crate) durable: VecDeque<Vec<PendingRecord>>,
    /// Where the next record starts.
    pub(crate) next: Position,
    /// Everything up to here is in the keyed state.
    pub(crate) in_state: Position,
    /// Everything up to here was applied: to the keyed state and, visibly, to the consumers.
    pub(crate) applied: Position,
    /// Bytes of everything that is not applied yet.
    pub(crate) backlog_bytes: u64,
    /// Set once; nothing is appended any more.
    pub(crate) refusal: Option<AppendError>,
    /// The writer has ended: nothing will be added to `durable`.
    pub(crate) writer_ended: bool,
    /// A checkpoint is wanted when the applier ends.
    pub(crate) checkpoint_at_end: bool,
}

impl Shared {
    pub(crate) fn new(state: Arc<dyn KeyedState>, end: Position, backlog_bytes_max: u64) -> Self {
        let queue = Queue {
            appended: Vec::new(),
            durable: VecDeque::new(),
            next: end,
            in_state: end,
            applied: end,
            backlog_bytes: 0,
            refusal: None,
            writer_ended: false,
            checkpoint_at_end: false,
        };
        Self {
            queue: Mutex::new(queue),
            queue_changed: Condvar::new(),
            ledger: Arc::new(Ledger::new(end)),
            state: RwLock::new(Some(state)),
            backlog_bytes_max,
            counters: Counters::default(),
        }
    }

    pub(crate) fn state(&self) -> io::Result<Arc<dyn KeyedState>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.clone().ok_or_else(|| io::Error::other("the store is closed"))
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wait<'a>(&'a self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        #[cfg(any(test, feature = "sim"))]
        if let Some(driver) = self.ledger.steps.get() {
            drop(queue);
            driver.step();
            return self.queue();
        }
        self.queue_changed.wait(queue).unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the store's ability to append, for ever. What is durable stays so.
    pub(crate) fn fail(&self, reason: &str) {
        let error = AppendError::Failed { reason: reason.into() };
        tracing::error!(reason, "the store failed: nothing more is accepted until the server starts anew");
        {
            let mut queue = self.queue();
            // Closing is no failure: who closes, or waits for the last to be applied, must learn of this one.
            if !matches!(queue.refusal, Some(AppendError::Failed { .. })) {
                queue.refusal = Some(error.clone());
            }
            queue.appended.clear();
        }
        self.queue_changed.notify_all();
        self.ledger.fail(error);
    }
}

impl Store {
    pub(crate) fn new(shared: Arc<Shared>, threads: Threads) -> Self {
        Self(Arc::new(Handle { shared, threads: Mutex::new(threads) }))
    }

    /// Queues a transaction for the journal and returns where it ends. Never waits for the disk.
    ///
    /// It is durable once [`committed`](Store::committed) has reached the position and no [`Lost`] that covers it
    /// was reported. An empty transaction is durable at once, at [`Position::NONE`].
    ///
    /// # Errors
    /// [`AppendError::Backlog`] when the disk is too far behind, [`AppendError::TooLarge`], and for ever
    /// [`AppendError::Failed`] or [`AppendError::Closed`]. Nothing of the transaction is stored then.
    pub fn append(&self, mut transaction: Transaction) -> Result<Position, AppendError> {
        self.append_from(&mut transaction)
    }

    /// [`append`](Store::append)s what the transaction holds and leaves it empty; refused, it stays as it is, for who
    /// waits until a [`Backlog`](AppendError::Backlog) is gone.
    ///
    /// # Errors
    /// As [`append`](Store::append).
    pub fn append_from(&self, transaction: &mut Transaction) -> Result<Position, AppendError> {
        if transaction.is_empty() {
            return Ok(Position::NONE);
        }
        let bytes = transaction.bytes_len() as u64;
        if bytes > RECORD_BYTES_MAX || transaction.has_oversized_key() {
            return Err(AppendError::TooLarge { bytes, limit_bytes: RECORD_BYTES_MAX });
        }
        let shared = &self.0.shared;
        let record_bytes = RECORD_HEADER_BYTES + bytes;
        let mut queue = shared.queue();
        if let Some(refusal) = &queue.refusal {
            return Err(refusal.clone());
        }
        if queue.backlog_bytes > 0 && queue.backlog_bytes + record_bytes > shared.backlog_bytes_max {
            return Err(AppendError::Backlog { limit_bytes: shared.backlog_bytes_max });
        }
        let end = Position(queue.next.0 + record_bytes);
        let writer_may_sleep = queue.appended.is_empty();
        queue.next = end;
        queue.backlog_bytes += record_bytes;
        queue.appended.push(PendingRecord { end, payload: std::mem::take(transaction).into_bytes() });
        drop(queue);
        if writer_may_sleep {
            shared.queue_changed.notify_all();
        }
        Ok(end)
    }

    /// [`append`](Store::append)s and waits, as a future or on the thread, until it is durable.
    pub fn commit(&self, transaction: Transaction) -> Commit {
        match self.append(transaction) {
            Ok(position) => self.when_committed(position),
            Err(error) => Commit::refused(error),
        }
    }

    /// Waits until a position that [`append`](Store::append) returned is durable.
    pub fn when_committed(&self, position: Position) -> Commit {
        Commit::waiting(self.0.shared.ledger.clone(), position)
    }

    /// Calls back once per `fdatasync` with the position that is committed now, or with what was lost.
    ///
    /// From the writer thread, so it must be quick: send a message, store a number. Callbacks live as long as the
    /// store. One call may cover any number of appends.
    pub fn on_commit(&self, callback: Box<dyn Fn(Result<Position, Lost>) + Send + Sync>) {
        self.0.shared.ledger.on_commit(callback);
    }

    /// The highest durable position. See [`Lost`] for positions below it that are not: who acknowledges by position
    /// must take the positions from [`on_commit`](Store::on_commit), in order, and not from here.
    pub fn committed(&self) -> Position {
        self.0.shared.ledger.committed()
    }

    /// What the journal has done since the start.
    pub fn metrics(&self) -> JournalMetrics {
        let backlog_bytes = self.0.shared.queue().backlog_bytes;
        self.0.shared.counters.read(backlog_bytes)
    }

    /// Why nothing can be appended any more, if so: for health checks.
    pub fn failure(&self) -> Option<AppendError> {
        self.0.shared.queue().refusal.clone()
    }

    /// Everything in a keyspace whose key begins with `prefix`, in key order, as far as it was applied.
    ///
    /// For loading and rare look-ups: it reads the disk. What was just committed may be missing, see
    /// [`wait_in_state`](Store::wait_in_state).
    ///
    /// # Errors
    /// When the disk or the engine fails.
    pub fn scan(&self, keyspace: Keyspace, prefix: impl AsRef<[u8]>) -> Result<KeyValues, ReadError> {
        Ok(self.0.shared.state()?.scan(keyspace.0, prefix.as_ref())?)
    }

    /// One value, as far as it was applied. See [`scan`](Store::scan).
    ///
    /// # Errors
    /// When the disk or the engine fails.
    pub fn get(&self, keyspace: Keyspace, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.0.shared.state()?.get(keyspace.0, key.as_ref())?)
    }

    /// Blocks until a committed position is in the keyed state, for [`scan`](Store::scan) and [`get`](Store::get). That
    /// does not wait for the disk, also not for a full one.
    ///
    /// # Errors
    /// When the store failed or was closed before.
    pub fn wait_in_state(&self, position: Position) -> Result<(), AppendError> {
        self.wait_until(|queue| queue.in_state >= position)
    }

    /// Blocks until a committed position was applied to the keyed state and the consumers, for as long as the disk has no
    /// room for what consumers write.
    ///
    /// # Errors
    /// When the store failed or was closed before.
    pub fn wait_applied(&self, position: Position) -> Result<(), AppendError> {
        self.wait_until(|queue| queue.applied >= position)
    }

    fn wait_until(&self, done: impl Fn(&Queue) -> bool) -> Result<(), AppendError> {
        let shared = &self.0.shared;
        let mut queue = shared.queue();
        loop {
            if done(&queue) {
                return Ok(());
            }
            if let Some(refusal @ AppendError::Failed { .. }) = &queue.refusal {
                return Err(refusal.clone());
            }
            queue = shared.wait(queue);
        }
    }

    /// Refuses new appends, writes and applies what was appended, makes a checkpoint and releases the directory.
    ///
    /// Consumers are let go: a consumer may hold the store without keeping it open for ever.
    ///
    /// # Errors
    /// The failure that the store had or met; what was committed is durable all the same.
    pub fn close(&self) -> Result<(), AppendError> {
        self.0.stop(true);
        match self.failure() {
            Some(AppendError::Closed) | None => Ok(()),
            Some(failure) => Err(failure),
        }
    }
}

impl Handle {
    fn stop(&self, checkpoint: bool) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut queue = self.shared.queue();
            queue.refusal.get_or_insert(AppendError::Closed);
            queue.checkpoint_at_end |= checkpoint;
        }
        self.shared.queue_changed.notify_all();
        for thread in [threads.writer.take(), threads.applier.take()].into_iter().flatten() {
            // The last handle may be dropped by a consumer on the applier thread: a thread cannot wait for itself.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                self.shared.fail("a thread of the store panicked");
            }
        }
        *self.shared.state.write().unwrap_or_else(PoisonError::into_inner) = None;
        // After the threads: whoever gets the lock may rely on nobody writing any more.
        threads.lock = None;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop(false);
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").field("committed", &self.committed()).finish_non_exhaustive()
    }
}
