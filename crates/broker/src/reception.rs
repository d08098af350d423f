//! Who is let in to try: one set of books for all ports, whichever thread takes the connection.
//!
//! The accepting thread opens a [`Pass`] for every connection that it takes; the HTTP side for one that becomes a
//! client only later, by an upgrade to WebSocket.

use crate::admission::{Admission, Door, Ticket};
use crate::carried::Carried;
use crate::counters::ThreadCounters;
use crate::seats::{Seat, Seats};
use mio::Waker;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The books, and what waits for the accepting thread.
pub(crate) struct Reception {
    admission: Mutex<Admission>,
    seats: Seats,
    /// Clients that others carry, on their way to the accepting thread: each has a pass, so there are never more than
    /// unfinished connections. `None`: nobody accepts any more.
    carried: Mutex<Option<Vec<Carried>>>,
    counters: Arc<ThreadCounters>,
    waker: Arc<Waker>,
    /// The accepting thread sleeps, or is about to, because too many are unfinished.
    waits_for_room: AtomicBool,
}

/// One connection's permission to be here: its seats until it is closed, and until then or until it is finished a place
/// among the unfinished ones.
///
/// Drop it after the connection's sockets.
pub struct Pass {
    place: Option<Place>,
    seat: Seat,
}

/// A place among the unfinished, given back when it is dropped.
struct Place {
    ticket: Ticket,
    reception: Arc<Reception>,
}

/// Why a connection is turned away before anything of it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TurnedAway {
    /// Every connection that the limit of open files allows is in use.
    #[error("every connection that the limit of open files allows is in use")]
    Full,
    /// Its address has too many connections that are not finished, or all together have.
    #[error("too many connections of this address are open without a finished CONNECT")]
    Busy,
}

impl Reception {
    pub(crate) fn new(
        admission: Admission,
        seats: Seats,
        counters: Arc<ThreadCounters>,
        waker: Arc<Waker>,
    ) -> Self {
        Self {
            admission: Mutex::new(admission),
            seats,
            carried: Mutex::new(Some(Vec::new())),
            counters,
            waker,
            waits_for_room: AtomicBool::new(false),
        }
    }

    /// A pass for a connection from this address, with so many file descriptors.
    pub(crate) fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        descriptors: usize,
        now: Instant,
    ) -> Result<Pass, TurnedAway> {
        let Some(seat) = self.seats.take(descriptors) else {
            self.counters.refused_full.increment();
            return Err(TurnedAway::Full);
        };
        let Ok(ticket) = self.admission().enter(address, now) else {
            self.counters.refused_busy.increment();
            return Err(TurnedAway::Busy);
        };
        Ok(Pass { place: Some(Place { ticket, reception: Arc::clone(self) }), seat })
    }

    /// Whether the accepting thread may take another connection.
    pub(crate) fn door(&self, now: Instant) -> Door {
        self.admission().door(now)
    }

    /// When the door is open, or may open without anybody finishing. Whoever finishes later wakes the accepting thread.
    pub(crate) fn opens_at(&self, now: Instant) -> Option<Instant> {
        // Before the look: who finishes after it sees this.
        self.waits_for_room.store(true, Ordering::SeqCst);
        self.admission().opens_at(now)
    }

    /// The accepting thread is awake.
    pub(crate) fn woke(&self) {
        self.waits_for_room.store(false, Ordering::SeqCst);
    }

    /// Hands over a client that somebody carries; dropped when nobody accepts any more.
    pub(crate) fn bring(&self, carried: Carried) {
        if let Some(waiting) = &mut *self.waiting() {
            waiting.push(carried);
        }
        self.wake();
    }

    pub(crate) fn take_carried(&self) -> Vec<Carried> {
        self.waiting().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Nobody accepts any more.
    pub(crate) fn close(&self) {
        let waiting = self.waiting().take();
        drop(waiting);
    }

    pub(crate) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            // Without it the accepting thread sees the news with the next connection.
            tracing::error!(%error, "the accepting thread could not be woken");
        }
    }

    pub(crate) fn seats_max(&self) -> usize {
        self.seats.max()
    }

    pub(crate) fn counters(&self) -> &ThreadCounters {
        &self.counters
    }

    fn admission(&self) -> MutexGuard<'_, Admission> {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Vec<Carried>>> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// The connection has shown who it is: it no longer counts as unfinished.
    pub fn finish(&mut self) {
        self.place = None;
    }

    /// Gives the seats of all descriptors but one to whoever holds those.
    #[must_use = "the seats are given back when they are dropped"]
    pub fn split(mut self) -> (Self, HeldSeats) {
        let held = HeldSeats(self.seat.split_off());
        (self, held)
    }

    /// The connection is finished; its seats are whoever's holds it.
    pub(crate) fn into_seat(self) -> Seat {
        self.seat
    }
}

/// Seats of descriptors, until they are dropped.
#[derive(Debug)]
pub struct HeldSeats(#[expect(dead_code, reason = "held for its drop")] Seat);

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pass").field("is_finished", &self.place.is_none()).finish_non_exhaustive()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.reception.admission().leave(self.ticket);
        if self.reception.waits_for_room.swap(false, Ordering::SeqCst) {
            self.reception.wake();
        }
    }
}
