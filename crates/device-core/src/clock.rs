//! The time of day, for certificates and late readings.

/// The largest difference between clock and a told time that one telling mends.
///
/// The board's crystal loses 3 s a day, and the time is told every hour; without an answer for days it is still right
/// within a minute. More than that is a wrong server, or a clock that was set by one.
pub const STEP_MS_MAX: u64 = 60_000;

/// The time of day. It begins unknown, and never goes back.
///
/// A told time that is up to [`STEP_MS_MAX`] behind makes the clock stand still until the true time has caught up. One
/// that is further away, in either direction, is believed only when the next told time agrees, which the caller should
/// get from another server: so one wrong answer among right ones does nothing. If then the clock turns out to be
/// *behind*, it is set. If it turns out to be *ahead*, the first answer after the start was wrong, and as the clock
/// does not go back, only a restart cures it: [`ClockError::Ahead`] tells the caller to restart.
#[derive(Clone, Debug)]
pub struct Clock {
    built_at_unix_ms: u64,
    set: Option<Set>,
    /// A time that was told and is too far away to be believed alone.
    doubtful: Option<Moment>,
}

#[derive(Clone, Copy, Debug)]
struct Set {
    told: Moment,
    /// What the clock showed when it was set: it shows nothing earlier.
    not_before_unix_ms: u64,
}

/// A time of day, and when it was told.
#[derive(Clone, Copy, Debug)]
struct Moment {
    unix_ms: u64,
    at_ms: u64,
}

impl Moment {
    const fn unix_ms(self, now_ms: u64) -> u64 {
        self.unix_ms.saturating_add(now_ms.saturating_sub(self.at_ms))
    }
}

/// Why the clock was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// No time before the firmware was built can be right.
    #[error("the told time is before this firmware was built")]
    BeforeBuild,
    /// It is far from what the clock shows. If another server says the same, it is believed.
    #[error("the told time is {by_ms} ms away from the clock, so another one has to confirm it")]
    Unconfirmed {
        /// How far.
        by_ms: u64,
    },
    /// Two told times agree that the clock is far ahead. Restart: the clock does not go back.
    #[error("the clock is {by_ms} ms ahead: it was set by a wrong server")]
    Ahead {
        /// How far.
        by_ms: u64,
    },
}

impl Clock {
    /// A clock that does not know the time. No time before `built_at_unix_ms` will be believed.
    pub const fn new(built_at_unix_ms: u64) -> Self {
        Self { built_at_unix_ms, set: None, doubtful: None }
    }

    /// A server has told the time.
    ///
    /// # Errors
    /// The time is not believed, or can no longer be.
    pub fn set(&mut self, unix_ms: u64, now_ms: u64) -> Result<(), ClockError> {
        if unix_ms < self.built_at_unix_ms {
            return Err(ClockError::BeforeBuild);
        }
        let told = Moment { unix_ms, at_ms: now_ms };
        let Some(shown_ms) = self.unix_ms(now_ms) else {
            self.set = Some(Set { told, not_before_unix_ms: unix_ms });
            return Ok(());
        };
        let by_ms = shown_ms.abs_diff(unix_ms);
        if by_ms > STEP_MS_MAX {
            let is_confirmed = self
                .doubtful
                .replace(told)
                .is_some_and(|doubtful| doubtful.unix_ms(now_ms).abs_diff(unix_ms) <= STEP_MS_MAX);
            if !is_confirmed {
                return Err(ClockError::Unconfirmed { by_ms });
            }
            if unix_ms < shown_ms {
                return Err(ClockError::Ahead { by_ms });
            }
        }
        self.doubtful = None;
        self.set = Some(Set { told, not_before_unix_ms: shown_ms });
        Ok(())
    }

    /// The time of day in milliseconds since 1970, if it is known.
    pub fn unix_ms(&self, now_ms: u64) -> Option<u64> {
        self.set.map(|set| set.told.unix_ms(now_ms).max(set.not_before_unix_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BUILT: u64 = 1_764_000_000_000;
    const DAY_MS: u64 = 86_400_000;

    fn clock_at(unix_ms: u64) -> Clock {
        let mut clock = Clock::new(BUILT);
        assert_eq!(clock.set(unix_ms, 1_000), Ok(()));
        clock
    }

    #[test]
    fn it_is_unknown_until_it_is_told_and_then_goes_on() {
        assert_eq!(Clock::new(BUILT).unix_ms(5), None);
        let clock = clock_at(BUILT + 10);
        assert_eq!(clock.unix_ms(1_000), Some(BUILT + 10));
        assert_eq!(clock.unix_ms(61_000), Some(BUILT + 60_010));
    }

    #[test]
    fn no_time_before_the_build_is_believed() {
        let mut clock = Clock::new(BUILT);
        assert_eq!(clock.set(BUILT - 1, 0), Err(ClockError::BeforeBuild));
        assert_eq!(clock.unix_ms(0), None);
        assert_eq!(clock.set(BUILT, 0), Ok(()));
    }

    #[test]
    fn a_clock_that_is_ahead_stands_still_until_the_truth_has_caught_up() {
        let mut clock = clock_at(BUILT + 30_000);
        assert_eq!(clock.set(BUILT, 1_000), Ok(()));
        assert_eq!(clock.unix_ms(1_000), Some(BUILT + 30_000));
        assert_eq!(clock.unix_ms(31_000), Some(BUILT + 30_000));
        assert_eq!(clock.unix_ms(31_001), Some(BUILT + 30_001));
    }

    #[test]
    fn one_wrong_answer_among_right_ones_does_nothing() {
        let mut clock = clock_at(BUILT);
        for wrong in [BUILT + 30 * DAY_MS, BUILT + 9 * DAY_MS] {
            assert!(matches!(clock.set(wrong, 1_000), Err(ClockError::Unconfirmed { .. })));
            assert_eq!(clock.unix_ms(1_000), Some(BUILT));
        }
        assert_eq!(clock.set(BUILT + 5, 1_005), Ok(()));
        let wrong = clock.set(BUILT + 9 * DAY_MS, 1_005);
        assert_eq!(wrong, Err(ClockError::Unconfirmed { by_ms: 9 * DAY_MS - 5 }), "the right one between");
    }

    #[test]
    fn a_far_time_is_believed_when_the_next_agrees() {
        let mut clock = clock_at(BUILT);
        let late = BUILT + DAY_MS;
        assert_eq!(clock.set(late, 1_000), Err(ClockError::Unconfirmed { by_ms: DAY_MS }));
        assert_eq!(clock.set(late + 2_000, 3_100), Ok(()));
        assert_eq!(clock.unix_ms(3_100), Some(late + 2_000));
    }

    #[test]
    fn a_clock_that_was_set_far_ahead_needs_a_restart() {
        let mut clock = clock_at(BUILT + DAY_MS);
        assert_eq!(clock.set(BUILT, 1_000), Err(ClockError::Unconfirmed { by_ms: DAY_MS }));
        assert_eq!(clock.set(BUILT, 1_000), Err(ClockError::Ahead { by_ms: DAY_MS }));
        assert_eq!(clock.unix_ms(1_000), Some(BUILT + DAY_MS));
    }

    proptest! {
        #[test]
        fn it_never_goes_back(told in proptest::collection::vec((any::<i32>(), 0..100_000_u64), 1..50)) {
            let (mut clock, mut now_ms, mut shown) = (Clock::new(BUILT), 0, None);
            for (offset_ms, wait_ms) in told {
                let _ = clock.set((BUILT + now_ms).saturating_add_signed(i64::from(offset_ms / 1_000)), now_ms);
                let _ = clock.set((BUILT + now_ms).saturating_add_signed(i64::from(offset_ms)), now_ms);
                for _ in 0..2 {
                    prop_assert!(clock.unix_ms(now_ms) >= shown);
                    shown = clock.unix_ms(now_ms);
                    now_ms += wait_ms;
                }
            }
        }
    }
}
