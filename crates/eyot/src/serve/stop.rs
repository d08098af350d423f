//! When to end: Ctrl-C, SIGTERM, or because we say so.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::failure::{Context as _, Outcome};

/// The exit code of a program that Ctrl-C ended, by the shells' convention.
const INTERRUPTED: i32 = 130;

/// A wish to end, once said never taken back. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    shared: Arc<(Mutex<bool>, Condvar)>,
}

impl Stop {
    /// Listens for Ctrl-C and SIGTERM from now on. The second one ends the process at once: whoever presses Ctrl-C
    /// twice does not want to wait for a drain.
    pub(crate) fn on_signals() -> Outcome<Self> {
        let stop = Self::default();
        let told = stop.clone();
        let failed = || "cannot listen for signals".to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context(failed)?;
        // Registered before the thread starts: a signal right after this returns must not kill us undrained.
        let (mut interrupt, mut terminate) = {
            use tokio::signal::unix::{SignalKind, signal};
            let _inside = runtime.enter();
            (
                signal(SignalKind::interrupt()).context(failed)?,
                signal(SignalKind::terminate()).context(failed)?,
            )
        };
        let listen = move || {
            runtime.block_on(async {
                for first in [true, false] {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    if first {
                        told.now();
                    } else {
                        std::process::exit(INTERRUPTED);
                    }
                }
            });
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(listen).context(failed)?;
        Ok(stop)
    }

    /// Ends.
    pub(crate) fn now(&self) {
        let (said, changed) = &*self.shared;
        *said.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Whether it is time.
    pub(crate) fn is_said(&self) -> bool {
        *self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is said.
    pub(crate) fn wait(&self) {
        let (said, changed) = &*self.shared;
        let guard = said.lock().unwrap_or_else(PoisonError::into_inner);
        drop(changed.wait_while(guard, |said| !*said).unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until it is said, but no longer than this; whether it was.
    pub(crate) fn wait_for(&self, longest: Duration) -> bool {
        let deadline = Instant::now() + longest;
        let (said, changed) = &*self.shared;
        let mut guard = said.lock().unwrap_or_else(PoisonError::into_inner);
        while !*guard {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            guard = changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *guard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_who_waits_is_told() {
        let stop = Stop::default();
        assert!(!stop.wait_for(Duration::from_millis(1)));
        let waiting = {
            let stop = stop.clone();
            std::thread::spawn(move || stop.wait())
        };
        stop.now();
        waiting.join().expect("it ends");
        assert!(stop.is_said() && stop.wait_for(Duration::from_secs(60)));
    }
}
