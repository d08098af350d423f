//! Who waits for which position, and what became of it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{Context, Poll, Waker};

use crate::{AppendError, Lost, Position};

/// Ranges of lost positions that are remembered apart, one per time that the disk was full.
///
/// Above it the two oldest are joined: positions between them then count as lost although they were not, which only
/// a caller can see who asks for the fate of an append after a thousand such times.
const LOST_RANGES_MAX: usize = 1_000;

type Callback = Box<dyn Fn(Result<Position, Lost>) + Send + Sync>;

/// The shared record of what is durable.
pub(crate) struct Ledger {
    state: Mutex<State>,
    changed: Condvar,
    /// A copy of `State::committed` that is read without the lock.
    committed: AtomicU64,
    callbacks: RwLock<Vec<Callback>>,
    /// Who moves the store on, if it has no threads.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) steps: std::sync::OnceLock<crate::steps::Driver>,
}

struct State {
    committed: Position,
    /// Positions `after < p <= up_to` that will never be durable, oldest first.
    lost: Vec<LostRange>,
    /// Set for ever by the first fatal failure.
    failed: Option<AppendError>,
    waiters: BTreeMap<(Position, u64), Waker>,
    next_waiter: u64,
}

#[derive(Clone)]
struct LostRange {
    after: Position,
    up_to: Position,
    error: AppendError,
}

impl State {
    /// The fate of a position, or `None` while it is open.
    fn outcome(&self, position: Position) -> Option<Result<Position, AppendError>> {
        let lost = self.lost.iter().rev().find(|range| range.after < position && position <= range.up_to);
        if let Some(range) = lost {
            return Some(Err(range.error.clone()));
        }
        if position <= self.committed {
            return Some(Ok(position));
        }
        self.failed.clone().map(Err)
    }
}

impl Ledger {
    pub(crate) fn new(committed: Position) -> Self {
        Self {
            state: Mutex::new(State {
                committed,
                lost: Vec::new(),
                failed: None,
                waiters: BTreeMap::new(),
                next_waiter: 0,
            }),
            changed: Condvar::new(),
            committed: AtomicU64::new(committed.0),
            callbacks: RwLock::new(Vec::new()),
            #[cfg(any(test, feature = "sim"))]
            steps: std::sync::OnceLock::new(),
        }
    }

    pub(crate) fn committed(&self) -> Position {
        Position(self.committed.load(Ordering::Acquire))
    }

    pub(crate) fn on_commit(&self, callback: Callback) {
        self.callbacks.write().unwrap_or_else(PoisonError::into_inner).push(callback);
    }

    /// Everything up to `position` that was not reported lost is durable.
    pub(crate) fn commit(&self, position: Position) {
        let mut state = self.lock();
        state.committed = position;
        self.committed.store(position.0, Ordering::Release);
        let later = state.waiters.split_off(&(Position(position.0 + 1), 0));
        let due = std::mem::replace(&mut state.waiters, later);
        drop(state);
        self.tell(&Ok(position));
        self.wake(due);
    }

    /// Everything after the committed position and up to `up_to` is lost; later appends may succeed.
    pub(crate) fn lose(&self, up_to: Position, error: AppendError) {
        self.tell(&Err(Lost { up_to, error: error.clone() }));
        let mut state = self.lock();
        let after = state.committed;
        match state.lost.last_mut() {
            Some(last) if last.after == after => last.up_to = up_to,
            _ => state.lost.push(LostRange { after, up_to, error }),
        }
        if state.lost.len() > LOST_RANGES_MAX {
            let oldest = state.lost.remove(0);
            state.lost[0].after = oldest.after;
        }
        let later = state.waiters.split_off(&(Position(up_to.0 + 1), 0));
        let due = std::mem::replace(&mut state.waiters, later);
        drop(state);
        self.wake(due);
    }

    /// Nothing after the committed position will ever be durable.
    pub(crate) fn fail(&self, error: AppendError) {
        if self.lock().failed.is_some() {
            return;
        }
        self.tell(&Err(Lost { up_to: Position(u64::MAX), error: error.clone() }));
        let mut state = self.lock();
        state.failed = Some(error);
        let due = std::mem::take(&mut state.waiters);
        drop(state);
        self.wake(due);
    }

    /// Calls back. Of a loss *before* anybody who waits for it can see it: who has changed its memory together with
    /// the append takes that back, and the client that is told of the loss may ask at once.
    fn tell(&self, news: &Result<Position, Lost>) {
        for callback in self.callbacks.read().unwrap_or_else(PoisonError::into_inner).iter() {
            callback(news.clone());
        }
    }

    fn wake(&self, due: BTreeMap<(Position, u64), Waker>) {
        self.changed.notify_all();
        for waker in due.into_values() {
            waker.wake();
        }
    }

    fn wait<'l>(&'l self, state: MutexGuard<'l, State>) -> MutexGuard<'l, State> {
        #[cfg(any(test, feature = "sim"))]
        if let Some(driver) = self.steps.get() {
            drop(state);
            driver.step();
            return self.lock();
        }
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Resolves when a position is durable, or known to be lost.
///
/// A future without a runtime: poll it from any executor, or [`wait`](Commit::wait) on a thread. Dropping it changes
/// nothing about the append.
#[must_use = "nothing may be acknowledged before this resolves"]
pub struct Commit {
    position: Position,
    state: CommitState,
}

enum CommitState {
    Refused(AppendError),
    Waiting { ledger: Arc<Ledger>, waiter: Option<u64> },
}

impl Commit {
    pub(crate) fn waiting(ledger: Arc<Ledger>, position: Position) -> Self {
        Self { position, state: CommitState::Waiting { ledger, waiter: None } }
    }

    pub(crate) fn refused(error: AppendError) -> Self {
        Self { position: Position::NONE, state: CommitState::Refused(error) }
    }

    /// The position that it waits for; [`Position::NONE`] when the append was refused.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Blocks the thread until the append is durable or lost.
    ///
    /// # Errors
    /// The reason why it will never be durable.
    pub fn wait(self) -> Result<Position, AppendError> {
        match &self.state {
            CommitState::Refused(error) => Err(error.clone()),
            CommitState::Waiting { ledger, .. } => {
                let mut state = ledger.lock();
                loop {
                    if let Some(outcome) = state.outcome(self.position) {
                        return outcome;
                    }
                    state = ledger.wait(state);
                }
            }
        }
    }
}

impl Future for Commit {
    type Output = Result<Position, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let position = self.position;
        match &mut self.state {
            CommitState::Refused(error) => Poll::Ready(Err(error.clone())),
            CommitState::Waiting { ledger, waiter } => {
                let mut state = ledger.lock();
                if let Some(outcome) = state.outcome(position) {
                    return Poll::Ready(outcome);
                }
                let number = *waiter.get_or_insert_with(|| {
                    state.next_waiter += 1;
                    state.next_waiter
                });
                state.waiters.insert((position, number), context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        if let CommitState::Waiting { ledger, waiter: Some(number) } = &self.state {
            ledger.lock().waiters.remove(&(self.position, *number));
        }
    }
}

impl std::fmt::Debug for Commit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Commit").field("position", &self.position).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    fn disk_full() -> AppendError {
        AppendError::Shortage
    }

    #[test]
    fn a_position_is_open_until_it_is_committed() {
        let ledger = Arc::new(Ledger::new(Position(10)));
        assert_eq!(Commit::waiting(ledger.clone(), Position(10)).wait(), Ok(Position(10)));
        assert_eq!(ledger.lock().outcome(Position(11)), None);
        ledger.commit(Position(20));
        assert_eq!(Commit::waiting(ledger, Position(11)).wait(), Ok(Position(11)));
    }

    #[test]
    fn what_was_lost_stays_lost_when_later_appends_commit() {
        let ledger = Arc::new(Ledger::new(Position(10)));
        ledger.lose(Position(20), disk_full());
        ledger.lose(Position(30), disk_full());
        ledger.commit(Position(40));
        for lost in [11, 20, 21, 30] {
            assert_eq!(Commit::waiting(ledger.clone(), Position(lost)).wait(), Err(disk_full()), "{lost}");
        }
        for kept in [10, 31, 40] {
            assert_eq!(Commit::waiting(ledger.clone(), Position(kept)).wait(), Ok(Position(kept)), "{kept}");
        }
        assert_eq!(ledger.lock().lost.len(), 1);
    }

    #[test]
    fn a_failure_is_for_ever_and_spares_what_was_committed() {
        let ledger = Arc::new(Ledger::new(Position(10)));
        let failed = AppendError::Failed { reason: "fsync".into() };
        ledger.fail(failed.clone());
        ledger.fail(AppendError::Closed);
        assert_eq!(Commit::waiting(ledger.clone(), Position(9)).wait(), Ok(Position(9)));
        assert_eq!(Commit::waiting(ledger, Position(11)).wait(), Err(failed));
    }

    struct CountWakes(AtomicUsize);

    impl Wake for CountWakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_future_is_woken_once_when_its_position_commits() {
        let ledger = Arc::new(Ledger::new(Position(0)));
        let wakes = Arc::new(CountWakes(AtomicUsize::new(0)));
        let waker = Waker::from(wakes.clone());
        let mut context = Context::from_waker(&waker);
        let mut commit = Commit::waiting(ledger.clone(), Position(5));
        let mut later = Commit::waiting(ledger.clone(), Position(6));
        assert!(Pin::new(&mut commit).poll(&mut context).is_pending());
        assert!(Pin::new(&mut commit).poll(&mut context).is_pending());
        assert!(Pin::new(&mut later).poll(&mut context).is_pending());
        ledger.commit(Position(5));
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
        assert_eq!(Pin::new(&mut commit).poll(&mut context), Poll::Ready(Ok(Position(5))));
        drop(later);
        assert!(ledger.lock().waiters.is_empty(), "a dropped future leaves nothing behind");
    }
}
