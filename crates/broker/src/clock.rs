//! What time it is. Asked here and nowhere else, so that a simulation can say it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The time that intervals are measured with.
#[inline]
pub(crate) fn now() -> Instant {
    #[cfg(test)]
    if let Some((now, _)) = simulated::now() {
        return now;
    }
    Instant::now()
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    #[cfg(test)]
    if let Some((_, now_ms)) = simulated::now() {
        return now_ms;
    }
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// The time of a simulation, which is its thread's alone.
#[cfg(test)]
pub(crate) mod simulated {
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    thread_local! {
        static NOW: Cell<Option<(Instant, i64)>> = const { Cell::new(None) };
    }

    pub(super) fn now() -> Option<(Instant, i64)> {
        NOW.get()
    }

    /// From now on this thread's time stands still until it is changed again.
    pub(crate) fn set(start: Instant, start_ms: i64, elapsed: Duration) {
        let elapsed_ms = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
        NOW.set(Some((start + elapsed, start_ms + elapsed_ms)));
    }
}
