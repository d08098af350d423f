//! When the sensor is read.

/// A fixed grid of moments, one interval apart, that begins with the first look at it.
///
/// Neither late calls nor a slow sensor move the grid. What a long stall missed is left out: the moments are gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    interval_ms: u64,
    /// `None` before the first look.
    next_ms: Option<u64>,
}

impl Schedule {
    pub(super) const fn new(interval_ms: u64) -> Self {
        Self { interval_ms, next_ms: None }
    }

    /// When the next reading is due.
    pub(super) fn due_ms(&self) -> u64 {
        self.next_ms.unwrap_or(0)
    }

    /// Whether a reading is due now; if so, it is taken as done.
    pub(super) fn take(&mut self, now_ms: u64) -> bool {
        let due_ms = self.next_ms.unwrap_or(now_ms);
        let Some(late_ms) = now_ms.checked_sub(due_ms) else { return false };
        // At most one interval after `now`.
        let to_next_ms = self.interval_ms - late_ms % self.interval_ms;
        self.next_ms = Some(now_ms.saturating_add(to_next_ms));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    #[test]
    fn the_grid_begins_with_the_first_look_and_does_not_move() {
        let mut schedule = Schedule::new(100);
        assert_eq!(schedule.due_ms(), 0);
        let taken: std::vec::Vec<_> =
            (1_007..1_500).step_by(7).filter(|now_ms| schedule.take(*now_ms)).collect();
        assert_eq!(taken, [1_007, 1_112, 1_210, 1_308, 1_413]);
        assert_eq!(schedule.due_ms(), 1_507);
    }

    #[test]
    fn missed_moments_are_left_out() {
        let mut schedule = Schedule::new(100);
        assert!(schedule.take(0));
        assert!(schedule.take(1_050), "one for the stall");
        assert_eq!(schedule.due_ms(), 1_100);
        assert!(!schedule.take(1_099));
        assert!(schedule.take(u64::MAX));
    }
}
