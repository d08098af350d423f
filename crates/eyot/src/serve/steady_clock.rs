//! Whether the wall clock can be believed where a wrong one would destroy something.

use std::time::{Duration, Instant};

/// How far the wall clock may move against the monotonic one between two looks, and still count as steady.
///
/// NTP slews by at most 0.5 ms per second, which is 2 s per hour; leap seconds and late looks fit in as well.
const DRIFT_MAX: Duration = Duration::from_secs(60);

/// The wall clock as it was last seen beside the monotonic one.
///
/// A board without a battery, a bad NTP server or a hand on `date` can move the wall clock by years. Retention that
/// acted on it would delete every log: it asks here first, and waits for a look at which the clock had only ticked. After
/// a start there was no look before, so the first one never counts.
#[derive(Debug)]
pub(super) struct SteadyClock {
    seen_at: Instant,
    seen_ms: i64,
}

impl SteadyClock {
    /// Begins to watch.
    pub(super) fn watch(at: Instant, now_ms: i64) -> Self {
        Self { seen_at: at, seen_ms: now_ms }
    }

    /// Looks again: `Ok` when the wall clock has only ticked since the last look, else by how much it jumped, in ms.
    pub(super) fn look(&mut self, at: Instant, now_ms: i64) -> Result<(), i64> {
        let ticked_ms = i64::try_from(at.duration_since(self.seen_at).as_millis()).unwrap_or(i64::MAX);
        let jump_ms = now_ms.saturating_sub(self.seen_ms).saturating_sub(ticked_ms);
        *self = Self::watch(at, now_ms);
        if u128::from(jump_ms.unsigned_abs()) <= DRIFT_MAX.as_millis() { Ok(()) } else { Err(jump_ms) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);
    const HOUR_MS: i64 = 60 * 60 * 1_000;

    #[test]
    fn a_clock_that_only_ticks_is_steady() {
        let start = Instant::now();
        let mut clock = SteadyClock::watch(start, 5_000);
        assert_eq!(clock.look(start + HOUR, 5_000 + HOUR_MS + 1_900), Ok(()));
        assert_eq!(clock.look(start + 2 * HOUR, 5_000 + 2 * HOUR_MS), Ok(()));
    }

    #[test]
    fn a_jump_either_way_is_told_once_and_the_new_time_is_believed_after_it_held() {
        let start = Instant::now();
        let years_ms = 10 * 365 * 24 * HOUR_MS;
        let mut clock = SteadyClock::watch(start, 0);
        assert_eq!(clock.look(start + HOUR, HOUR_MS + years_ms), Err(years_ms));
        assert_eq!(clock.look(start + 2 * HOUR, 2 * HOUR_MS + years_ms), Ok(()));
        assert_eq!(clock.look(start + 3 * HOUR, 3 * HOUR_MS), Err(-years_ms));
    }

    #[test]
    fn extreme_clocks_do_not_overflow() {
        let start = Instant::now();
        let mut clock = SteadyClock::watch(start, i64::MIN);
        assert!(clock.look(start + HOUR, i64::MAX).is_err());
        assert!(clock.look(start + HOUR, i64::MIN).is_err());
    }
}
