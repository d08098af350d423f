//! When to look at which connection again.
//!
//! A connection is in here at most once, under a time that may be too early: traffic moves its real deadline on
//! without touching the heap, and only when the entry fires is the deadline asked for and the entry put back.

use crate::slots::Key;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// Entries of connections that are gone, above as many as are there, before they are looked for.
///
/// Each of them would stay for up to half an hour, a keep-alive and a half; whoever connects a thousand times a second
/// could have millions of 24 bytes.
const GONE_MAX: usize = 1_024;

/// Deadlines, the next one first.
#[derive(Debug, Default)]
pub(crate) struct Timers(BinaryHeap<Reverse<(Instant, Key)>>);

impl Timers {
    pub(crate) fn arm(&mut self, at: Instant, key: Key) {
        self.0.push(Reverse((at, key)));
    }

    /// Drops the entries of connections that are gone, when they have become more than those that are there.
    pub(crate) fn sweep(&mut self, there: usize, is_there: impl Fn(Key) -> bool) {
        if self.0.len() > 2 * there + GONE_MAX {
            self.0.retain(|Reverse((_, key))| is_there(*key));
            self.0.shrink_to(2 * there + GONE_MAX);
        }
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

    #[test]
    fn connections_that_are_gone_leave_no_crowd_behind() {
        let (mut slots, mut timers, start) = (Slots::new(), Timers::default(), Instant::now());
        let stays = slots.insert(());
        timers.arm(start, stays);
        for _ in 0..10 * GONE_MAX {
            let goes = slots.insert(());
            timers.arm(start + Duration::from_secs(1_800), goes);
            slots.remove(goes);
            timers.sweep(slots.len(), |key| slots.get(key).is_some());
            assert!(timers.0.len() <= 2 + GONE_MAX);
        }
        assert!(timers.0.capacity() <= 2 * (2 + GONE_MAX), "the memory is given back, too");
        assert_eq!(timers.pop_due(start), Some(stays));
    }
}
