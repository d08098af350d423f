//! Futures without a runtime: resolved by the broker's threads, awaited by anybody's executor or thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Resolves when every event loop has taken a change into account.
#[must_use = "the change is not in effect everywhere before this resolves"]
#[derive(Debug)]
pub struct Settled(Arc<Countdown>);

/// One loop's part of a [`Settled`]. Dropping it counts, so a loop that has ended keeps nobody waiting.
#[derive(Debug)]
pub(crate) struct Ticket(Arc<Countdown>);

#[derive(Debug)]
struct Countdown {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    remaining: usize,
    wakers: Vec<Waker>,
}

impl Settled {
    /// A future that resolves when `count` tickets were dropped.
    pub(crate) fn after(count: usize) -> (Self, impl Iterator<Item = Ticket>) {
        let state = Mutex::new(State { remaining: count, wakers: Vec::new() });
        let countdown = Arc::new(Countdown { state, changed: Condvar::new() });
        let tickets = Arc::clone(&countdown);
        (Self(countdown), (0..count).map(move |_| Ticket(Arc::clone(&tickets))))
    }

    /// Blocks the thread until it resolves.
    pub fn wait(self) {
        let mut state = self.0.lock();
        while state.remaining > 0 {
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Blocks the thread until it resolves or the time is over; tells whether it resolved.
    pub(crate) fn wait_for(self, timeout: std::time::Duration) -> bool {
        let state = self.0.lock();
        let (state, _) = self
            .0
            .changed
            .wait_timeout_while(state, timeout, |state| state.remaining > 0)
            .unwrap_or_else(PoisonError::into_inner);
        state.remaining == 0
    }
}

impl Future for Settled {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.remaining == 0 {
            return Poll::Ready(());
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.remaining -= 1;
        if state.remaining == 0 {
            let wakers = std::mem::take(&mut state.wakers);
            drop(state);
            self.0.changed.notify_all();
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

impl Countdown {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn resolves_and_wakes_after_the_last_ticket() {
        let (mut settled, tickets) = Settled::after(2);
        let mut tickets: Vec<_> = tickets.collect();
        let wakes = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&wakes));
        let mut context = Context::from_waker(&waker);
        assert!(Pin::new(&mut settled).poll(&mut context).is_pending());
        tickets.pop();
        assert!(Pin::new(&mut settled).poll(&mut context).is_pending());
        assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
        tickets.pop();
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
        assert!(Pin::new(&mut settled).poll(&mut context).is_ready());
        settled.wait();
    }

    #[test]
    fn a_thread_can_wait_too() {
        let (settled, tickets) = Settled::after(3);
        let thread = std::thread::spawn(move || tickets.for_each(drop));
        settled.wait();
        thread.join().unwrap();
        let (settled, _tickets) = Settled::after(0);
        settled.wait();
    }

    #[test]
    fn a_bounded_wait_ends_without_the_tickets() {
        let (settled, tickets) = Settled::after(1);
        let tickets: Vec<_> = tickets.collect();
        assert!(!settled.wait_for(std::time::Duration::ZERO));
        drop(tickets);
    }
}
