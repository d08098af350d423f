//! How many of a client's denials the log hears of.
//!
//! A client of MQTT 5 stays connected when it may not publish, and may try again as fast as it can send.

use std::time::{Duration, Instant};

/// Time between two denials of one client that are told; those between are counted.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// One client's.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    told_at: Option<Instant>,
    untold: u64,
}

impl Denials {
    /// Another one: gives how many were not told before it, if it is to be told.
    pub(crate) fn add(&mut self, now: Instant) -> Option<u64> {
        if self.told_at.is_some_and(|told_at| now.duration_since(told_at) < TELL_EVERY) {
            self.untold += 1;
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_second_is_told_and_the_others_are_counted() {
        let (mut denials, now) = (Denials::default(), Instant::now());
        let mut add = |after_ms| denials.add(now + Duration::from_millis(after_ms));
        assert_eq!(
            [add(0), add(1), add(999), add(1_000), add(2_500)],
            [Some(0), None, None, Some(2), Some(0)]
        );
    }
}
