//! The threads: one writes what PutLogEvents brings, one seals full segments.
//!
//! Group commit as in the journal: while one `fdatasync` runs, batches gather, and the next one takes all of a
//! group's. Rule events do not come this way: the store's applier thread writes them.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;

use store::disk::Disk;

use crate::append::{NewEvent, WRITE_BYTES_MAX};
use crate::group::Group;
use crate::limits::PUT_BACKLOG_BYTES_MAX;
use crate::seal::seal;
use crate::segment::UnsealedSegment;
use crate::{LogsError, PutOutcome};

/// Resolves when the accepted events of a batch are durable, or known not to be.
///
/// A future without a runtime: poll it from any executor, or [`wait`](PutEvents::wait) on a thread.
#[must_use = "nothing may be acknowledged before this resolves"]
#[derive(Debug)]
pub struct PutEvents(Arc<Put>);

/// A batch on its way.
#[derive(Debug)]
pub(crate) struct Put {
    state: Mutex<PutState>,
    resolved: Condvar,
}

#[derive(Debug)]
enum PutState {
    Waiting(Option<Waker>),
    Resolved(Result<PutOutcome, LogsError>),
}

impl PutEvents {
    pub(crate) fn resolved(result: Result<PutOutcome, LogsError>) -> Self {
        Self(Arc::new(Put { state: Mutex::new(PutState::Resolved(result)), resolved: Condvar::new() }))
    }

    /// Blocks the thread until it resolves.
    ///
    /// # Errors
    /// Why the batch was refused or is not durable.
    pub fn wait(self) -> Result<PutOutcome, LogsError> {
        let mut state = self.0.lock();
        loop {
            match &*state {
                PutState::Resolved(result) => return result.clone(),
                PutState::Waiting(_) => {
                    state = self.0.resolved.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl Future for PutEvents {
    type Output = Result<PutOutcome, LogsError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self.0.lock() {
            PutState::Resolved(result) => Poll::Ready(result.clone()),
            PutState::Waiting(waker) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Put {
    fn lock(&self) -> MutexGuard<'_, PutState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resolve(&self, result: Result<PutOutcome, LogsError>) {
        let before = std::mem::replace(&mut *self.lock(), PutState::Resolved(result));
        self.resolved.notify_all();
        if let PutState::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

/// The queues of both threads.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    queues: Mutex<Queues>,
    changed: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Queues {
    puts: Vec<QueuedPut>,
    /// Bytes of events that are queued or being written.
    put_bytes: u64,
    full: Vec<(Arc<Group>, Arc<UnsealedSegment>)>,
    stopping: bool,
}

#[derive(Debug)]
struct QueuedPut {
    group: Arc<Group>,
    events: Vec<NewEvent>,
    outcome: PutOutcome,
    put: Arc<Put>,
}

impl Drop for QueuedPut {
    fn drop(&mut self) {
        // The writer ended without deciding: nobody may wait for ever.
        if matches!(*self.put.lock(), PutState::Waiting(_)) {
            self.put.resolve(Err(LogsError::Unavailable("the log store ended".to_owned())));
        }
    }
}

impl QueuedPut {
    fn bytes(&self) -> usize {
        self.events.iter().map(NewEvent::bytes).sum()
    }
}

impl Workers {
    pub(crate) fn start(self: &Arc<Self>, disk: Arc<dyn Disk>) -> std::io::Result<()> {
        let (writer, sealer) = (self.clone(), self.clone());
        let threads = [
            std::thread::Builder::new().name("logs-writer".to_owned()).spawn(move || writer.write_puts())?,
            std::thread::Builder::new()
                .name("logs-sealer".to_owned())
                .spawn(move || sealer.seal_full(&*disk))?,
        ];
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).extend(threads);
        Ok(())
    }

    /// Writes what is queued and ends the threads; false when they have ended before.
    pub(crate) fn stop(&self) -> bool {
        if std::mem::replace(&mut self.queues().stopping, true) {
            return false;
        }
        self.changed.notify_all();
        for thread in std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner)) {
            if thread.join().is_err() {
                tracing::error!("a thread of the log store panicked");
            }
        }
        self.queues().puts.clear(); // Only a panic leaves any.
        true
    }

    /// Queues a batch of accepted events.
    pub(crate) fn put(&self, group: Arc<Group>, events: Vec<NewEvent>, outcome: PutOutcome) -> PutEvents {
        let put = Arc::new(Put { state: Mutex::new(PutState::Waiting(None)), resolved: Condvar::new() });
        let queued = QueuedPut { group, events, outcome, put: put.clone() };
        let bytes = queued.bytes() as u64;
        let mut queues = self.queues();
        if queues.stopping {
            return PutEvents::resolved(Err(LogsError::Unavailable("the log store is closed".to_owned())));
        }
        if queues.put_bytes > 0 && queues.put_bytes + bytes > PUT_BACKLOG_BYTES_MAX {
            return PutEvents::resolved(Err(LogsError::Unavailable(format!(
                "{PUT_BACKLOG_BYTES_MAX} bytes of log events wait for the disk; try again"
            ))));
        }
        queues.put_bytes += bytes;
        queues.puts.push(queued);
        drop(queues);
        self.changed.notify_all();
        PutEvents(put)
    }

    /// Queues full segments for sealing.
    pub(crate) fn seal(&self, group: &Arc<Group>, full: Vec<Arc<UnsealedSegment>>) {
        if !full.is_empty() {
            self.queues().full.extend(full.into_iter().map(|segment| (group.clone(), segment)));
            self.changed.notify_all();
        }
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `take` finds something, or the threads end and it finds nothing.
    fn next<T>(&self, mut take: impl FnMut(&mut Queues) -> Option<T>) -> Option<T> {
        let mut queues = self.queues();
        loop {
            match take(&mut queues) {
                None if !queues.stopping => {
                    queues = self.changed.wait(queues).unwrap_or_else(PoisonError::into_inner);
                }
                taken => return taken,
            }
        }
    }

    fn write_puts(&self) {
        let all = |queues: &mut Queues| (!queues.puts.is_empty()).then(|| std::mem::take(&mut queues.puts));
        while let Some(puts) = self.next(all) {
            let mut groups: BTreeMap<u32, Vec<QueuedPut>> = BTreeMap::new();
            for put in puts {
                groups.entry(put.group.id).or_default().push(put);
            }
            for puts in groups.into_values() {
                self.write_group(puts);
            }
        }
    }

    /// Writes the batches of one group, each write with one sync for as many as fit.
    fn write_group(&self, mut puts: Vec<QueuedPut>) {
        while !puts.is_empty() {
            let mut bytes = 0;
            let fitting = puts.iter().take_while(|put| {
                bytes += put.bytes();
                bytes <= WRITE_BYTES_MAX
            });
            let count = fitting.count().max(1);
            let rest = puts.split_off(count);
            let mut events = Vec::new();
            for put in &mut puts {
                events.append(&mut put.events);
            }
            let written_bytes: usize = events.iter().map(NewEvent::bytes).sum();
            let group = puts[0].group.clone();
            let result = append(&group, &events);
            self.queues().put_bytes -= written_bytes as u64;
            self.seal(&group, group.appender().take_full());
            match result {
                Ok(()) => {
                    puts.into_iter().for_each(|put| put.put.resolve(Ok(put.outcome.clone())));
                }
                Err(error) => {
                    tracing::warn!(group = group.name, %error, "log events were not stored");
                    puts.into_iter().for_each(|put| put.put.resolve(Err(error.clone())));
                }
            }
            puts = rest;
        }
    }

    fn seal_full(&self, disk: &dyn Disk) {
        while let Some((group, segment)) = self.next(|queues| {
            if queues.stopping {
                queues.full.clear(); // The next start seals them.
            }
            queues.full.pop()
        }) {
            if let Err(error) = seal(disk, &group, &segment) {
                tracing::warn!(file = %segment.path.display(), %error, "a log segment was not sealed; it is served");
            }
        }
    }
}

fn append(group: &Group, events: &[NewEvent]) -> Result<(), LogsError> {
    if group.deleted.load(Ordering::Acquire) {
        return Err(LogsError::NoSuchGroup);
    }
    Ok(group.appender().append_durably(group, events)?)
}
