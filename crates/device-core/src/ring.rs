//! The readings that the server does not have yet.

use crate::sensor::MilliDegrees;

/// Readings that are kept at most.
///
/// At the post's interval of 2 s they bridge an outage of 17 minutes, and cost 8 KiB of the board's 264 KiB.
pub const READINGS_MAX: usize = 512;

/// One temperature and its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What was measured.
    pub temperature: MilliDegrees,
    /// When, on the clock that never goes back.
    pub measured_at_ms: u64,
}

/// At most [`READINGS_MAX`] readings, oldest first. When it is full, the oldest makes room and is counted.
///
/// A reading is *taken out* to be sent and *put back* when its connection is lost, so what is dropped here is never
/// under way to the server: no reading is both dropped and delivered.
#[derive(Clone, Debug)]
pub struct Ring {
    readings: [Reading; READINGS_MAX],
    /// Place of the oldest.
    first: usize,
    len: usize,
    dropped: u64,
}

impl Ring {
    /// An empty ring.
    pub const fn new() -> Self {
        let nothing = Reading { temperature: MilliDegrees(0), measured_at_ms: 0 };
        Self { readings: [nothing; READINGS_MAX], first: 0, len: 0, dropped: 0 }
    }

    /// Adds the newest; the oldest is dropped when there is no room.
    pub fn push(&mut self, reading: Reading) {
        if self.len == READINGS_MAX {
            self.pop();
            self.dropped += 1;
        }
        self.readings[self.place(self.len)] = reading;
        self.len += 1;
    }

    /// Puts one back that is older than all that are there. Without room it is the oldest, so it is dropped itself.
    pub fn put_back(&mut self, reading: Reading) {
        if self.len == READINGS_MAX {
            self.dropped += 1;
            return;
        }
        self.first = self.place(READINGS_MAX - 1);
        self.readings[self.first] = reading;
        self.len += 1;
    }

    /// The oldest.
    pub fn front(&self) -> Option<Reading> {
        self.nth(0)
    }

    /// The oldest is 0.
    pub fn nth(&self, index: usize) -> Option<Reading> {
        (index < self.len).then(|| self.readings[self.place(index)])
    }

    /// Takes the oldest out.
    pub fn pop(&mut self) -> Option<Reading> {
        let oldest = self.front()?;
        self.first = self.place(1);
        self.len -= 1;
        Some(oldest)
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many were dropped since the start.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    const fn place(&self, index: usize) -> usize {
        (self.first + index) % READINGS_MAX
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn reading(number: u64) -> Reading {
        Reading { temperature: MilliDegrees(20_000), measured_at_ms: number }
    }

    #[test]
    fn the_oldest_makes_room_and_is_counted() {
        let mut ring = Ring::new();
        for number in 0..READINGS_MAX as u64 + 3 {
            ring.push(reading(number));
        }
        assert_eq!((ring.len(), ring.dropped()), (READINGS_MAX, 3));
        assert_eq!((ring.front(), ring.nth(1)), (Some(reading(3)), Some(reading(4))));
        assert_eq!(ring.nth(READINGS_MAX), None);
    }

    #[test]
    fn what_is_put_back_is_the_oldest_and_goes_first_when_there_is_no_room() {
        let mut ring = Ring::new();
        ring.push(reading(0));
        ring.push(reading(1));
        let sent = ring.pop().unwrap();
        ring.put_back(sent);
        assert_eq!((ring.pop(), ring.dropped()), (Some(reading(0)), 0));
        for number in 2..=READINGS_MAX as u64 {
            ring.push(reading(number));
        }
        ring.put_back(sent);
        assert_eq!((ring.front(), ring.len(), ring.dropped()), (Some(reading(1)), READINGS_MAX, 1));
    }

    proptest! {
        #[test]
        fn it_is_a_queue_with_a_bound(steps in proptest::collection::vec(0..10_u8, 0..3_000)) {
            let (mut ring, mut model, mut dropped) = (Ring::new(), VecDeque::new(), 0);
            for (number, step) in steps.into_iter().enumerate() {
                let number = reading(number as u64);
                match step {
                    0..8 => {
                        ring.push(number);
                        model.push_back(number);
                        if model.len() > READINGS_MAX {
                            model.pop_front();
                            dropped += 1;
                        }
                    }
                    8 => prop_assert_eq!(ring.pop(), model.pop_front()),
                    _ => {
                        ring.put_back(number);
                        if model.len() < READINGS_MAX { model.push_front(number) } else { dropped += 1 }
                    }
                }
                prop_assert_eq!((ring.len(), ring.dropped()), (model.len(), dropped));
                prop_assert_eq!((ring.front(), ring.nth(7)), (model.front().copied(), model.get(7).copied()));
            }
        }
    }
}
