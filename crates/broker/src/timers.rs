//! When to look at which connection again.
//!
//! A connection is in here at most once, under a time that may be too early: traffic moves its real deadline on
//! without touching the heap, and only when the entry fires is the deadline asked for and the entry put back.

use crate::slots::Key;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// Deadlines, the next one first.
#[derive(Debug, Default)]
pub(crate) struct Timers(BinaryHeap<Reverse<(Instant, Key)>>);

impl Timers {
    pub(crate) fn arm(&mut self, at: Instant, key: Key) {
        self.0.push(Reverse((at, key)));
    }

    /// The next entry whose time has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Key> {
        let Reverse((at, key)) = *self.0.peek()?;
        if at > now {
            return None;
        }
        self.0.pop();
        Some(key)
    }

    /// How long until the next entry is due.
    pub(crate) fn until_next(&self, now: Instant) -> Option<Duration> {
        self.0.peek().map(|Reverse((at, _))| at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::Slots;

    #[test]
    fn entries_come_out_when_they_are_due() {
        let mut slots = Slots::new();
        let (early, late) = (slots.insert(()), slots.insert(()));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::default();
        timers.arm(at(5), late);
        timers.arm(at(2), early);
        assert_eq!(timers.until_next(start), Some(Duration::from_secs(2)));
        assert_eq!(
            (timers.pop_due(at(1)), timers.pop_due(at(2)), timers.pop_due(at(2))),
            (None, Some(early), None)
        );
        assert_eq!((timers.pop_due(at(9)), timers.until_next(start)), (Some(late), None));
    }
}
