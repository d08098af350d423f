//! How many connections may be open, finished or not.
//!
//! Each takes a file descriptor, and a process that has none left can neither write a log segment nor answer its
//! API. So who comes when all seats are taken is turned away at the door.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The seats of one broker. One thread takes them, any thread gives them back.
#[derive(Debug)]
pub(crate) struct Seats {
    taken: Arc<AtomicUsize>,
    max: usize,
}

/// One connection's seat: given back when it is dropped, so it must be dropped after the socket.
#[derive(Debug)]
pub(crate) struct Seat(Arc<AtomicUsize>);

impl Seats {
    pub(crate) fn new(max: usize) -> Self {
        Self { taken: Arc::default(), max }
    }

    /// A free seat, if there is one.
    pub(crate) fn take(&self) -> Option<Seat> {
        let seat = Seat(Arc::clone(&self.taken));
        // The seat counts before it is looked whether there was one: dropping it takes that back.
        (self.taken.fetch_add(1, Ordering::AcqRel) < self.max).then_some(seat)
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_that_is_given_back_can_be_taken_again() {
        let seats = Seats::new(2);
        let first = seats.take();
        let second = seats.take();
        assert!(first.is_some() && second.is_some());
        assert!(seats.take().is_none());
        assert!(seats.take().is_none(), "asking in vain takes none");
        drop(first);
        let third = seats.take();
        assert!(third.is_some());
        assert!(seats.take().is_none());
    }
}
