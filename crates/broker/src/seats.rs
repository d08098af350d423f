//! How many connections may be open, finished or not.
//!
//! Each takes a file descriptor, and a process that has none left can neither write a log segment nor answer its
//! API. So who comes when all seats are taken is turned away at the door.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The seats of one broker. Any thread takes them and gives them back.
#[derive(Debug)]
pub(crate) struct Seats {
    taken: Arc<AtomicUsize>,
    max: usize,
}

/// The seats of one connection, one for each of its file descriptors: given back when this is dropped, so that must
/// happen after the sockets are closed.
#[derive(Debug)]
pub(crate) struct Seat {
    taken: Arc<AtomicUsize>,
    count: usize,
}

impl Seats {
    pub(crate) fn new(max: usize) -> Self {
        Self { taken: Arc::default(), max }
    }

    /// So many free seats, if they are there.
    pub(crate) fn take(&self, count: usize) -> Option<Seat> {
        let seat = Seat { taken: Arc::clone(&self.taken), count };
        // The seats count before it is looked whether there were any: dropping them takes that back.
        let before = self.taken.fetch_add(count, Ordering::AcqRel);
        (before.saturating_add(count) <= self.max).then_some(seat)
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }
}

impl Seat {
    /// All of them but one, for whoever holds the connection's other descriptors.
    pub(crate) fn split_off(&mut self) -> Self {
        let others = self.count.saturating_sub(1);
        self.count -= others;
        Self { taken: Arc::clone(&self.taken), count: others }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.count, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_that_is_given_back_can_be_taken_again() {
        let seats = Seats::new(2);
        let first = seats.take(1);
        let second = seats.take(1);
        assert!(first.is_some() && second.is_some());
        assert!(seats.take(1).is_none());
        assert!(seats.take(1).is_none(), "asking in vain takes none");
        drop(first);
        let third = seats.take(1);
        assert!(third.is_some());
        assert!(seats.take(1).is_none());
    }

    #[test]
    fn seats_of_one_connection_are_given_back_one_by_one() {
        let seats = Seats::new(3);
        assert!(seats.take(4).is_none());
        let mut one = seats.take(3).unwrap();
        let others = one.split_off();
        assert!(seats.take(1).is_none());
        drop(one);
        assert!(seats.take(2).is_none());
        assert!(seats.take(1).is_some());
        drop(others);
        assert!(seats.take(3).is_some());
    }
}
