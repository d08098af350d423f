//! A store without threads: a simulation does what they would do, one step at a time, when it wants to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::AppendError;
use crate::applier::Applier;
use crate::journal::JournalWriter;
use crate::store::Shared;
use crate::writer;

/// Moves a store on that was opened with it as [`StoreOptions::steps`](crate::StoreOptions::steps). One store at a time;
/// clones share it.
///
/// Who blocks until something is durable or applied moves the store on as well: there is nobody else to wait for.
#[derive(Clone, Default)]
pub struct Steps(Arc<Mutex<Option<Parts>>>);

struct Parts {
    shared: Arc<Shared>,
    journal: JournalWriter,
    applier: Applier,
    /// As a thread would have ended: nothing more is written.
    writer_ended: bool,
    /// The same of applying.
    applier_ended: bool,
}

/// What the store itself has of its [`Steps`].
pub(crate) struct Driver(Weak<Mutex<Option<Parts>>>);

impl Driver {
    /// # Panics
    /// When there is nothing that would ever end the wait.
    pub(crate) fn step(&self) {
        let steps = self.0.upgrade().map(Steps).expect("whoever moves the store on is still there");
        assert!(steps.commit() || steps.apply(), "a wait that nothing will end");
    }
}

impl Steps {
    pub(crate) fn take_over(&self, shared: Arc<Shared>, journal: JournalWriter, applier: Applier) {
        let is_first = shared.ledger.steps.set(Driver(Arc::downgrade(&self.0))).is_ok();
        assert!(is_first, "a store is opened once");
        *self.lock() = Some(Parts { shared, journal, applier, writer_ended: false, applier_ended: false });
    }

    /// Writes and syncs what was appended, as one group commit; gives whether there was anything.
    pub fn commit(&self) -> bool {
        let mut parts = self.lock();
        let Some(Parts { shared, journal, writer_ended, .. }) = &mut *parts else { return false };
        let batch = {
            let mut queue = shared.queue();
            if queue.appended.is_empty() || *writer_ended {
                return false;
            }
            writer::take_batch(&mut queue)
        };
        *writer_ended = !writer::write(shared, journal, batch);
        true
    }

    /// Applies what one group commit made durable; gives whether there was anything.
    pub fn apply(&self) -> bool {
        let mut parts = self.lock();
        let Some(Parts { shared, applier, applier_ended, .. }) = &mut *parts else { return false };
        if *applier_ended {
            return false;
        }
        let Some(batch) = shared.queue().durable.pop_front() else { return false };
        if let Err(error) = applier.take_in(&batch) {
            shared.fail(&format!("what is in the journal cannot be applied: {error}"));
            *applier_ended = true;
        }
        true
    }

    /// What the threads do when the store is closed: the rest, and a checkpoint. Close the store afterwards.
    pub fn finish(&self) {
        if let Some(Parts { shared, .. }) = &*self.lock() {
            let mut queue = shared.queue();
            queue.refusal.get_or_insert(AppendError::Closed);
            queue.checkpoint_at_end = true;
        }
        while self.commit() || self.apply() {}
        if let Some(Parts { shared, applier, applier_ended: false, .. }) = &mut *self.lock()
            && let Err(error) = applier.last_checkpoint()
        {
            shared.fail(&format!("the last checkpoint failed: {error}"));
        }
    }

    /// Lets go of the store, as the end of the process does.
    pub fn forget(&self) {
        let parts = self.lock().take();
        drop(parts);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Parts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Steps {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Steps").finish_non_exhaustive()
    }
}
