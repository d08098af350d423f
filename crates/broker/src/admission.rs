//! How many connections may be between TCP and CONNECT.
//!
//! Each costs memory and, for a full handshake, half a millisecond of our time, and anybody can open one. Two things
//! are kept apart: a burst of honest devices, which finish within milliseconds and may queue in the kernel, and
//! clients that hold connections open without finishing, who must not shut the others out.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Unfinished connections in all.
///
/// About 40 KiB each with TLS state and a partial packet, so 80 MiB at worst.
pub const UNFINISHED_MAX: usize = 2_048;

/// Unfinished connections of one address. A whole site behind one NAT may reconnect at once; a larger number is
/// one client holding them.
pub const UNFINISHED_PER_ADDRESS_MAX: usize = 256;

/// Young connections that are worked on at once; more wait in the kernel's queue, where they cost us nothing.
///
/// Enough to keep the thread busy over any network's round trip, and few enough that a burst of 10,000 devices from
/// one address never looks like somebody holding connections.
pub(crate) const YOUNG_MAX: usize = 128;

/// A connection that is not finished after this long no longer holds back others.
const YOUNG_FOR: Duration = Duration::from_secs(1);

/// The books on unfinished connections.
#[derive(Debug)]
pub(crate) struct Admission {
    unfinished_max: usize,
    per_address_max: usize,
    per_address: HashMap<IpAddr, usize>,
    unfinished: usize,
    young: usize,
    /// In the order of their coming; finished ones stay until their time.
    entered: VecDeque<(Instant, Ticket)>,
    /// Tickets at or above this are young. Rises as `entered` is worked off.
    young_from: u64,
    next_ticket: u64,
    /// Young ones that have finished before their time, counted by `entered` still.
    finished_young: std::collections::HashSet<u64>,
}

/// One admitted connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    number: u64,
    address: IpAddr,
}

/// What to do with the next connection in the kernel's queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Take it.
    Open,
    /// Leave it there until somebody has finished or grown old.
    Wait,
}

/// The address has too many unfinished connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Admission {
    pub(crate) fn new(unfinished_max: usize, per_address_max: usize) -> Self {
        Self {
            unfinished_max,
            per_address_max,
            per_address: HashMap::new(),
            unfinished: 0,
            young: 0,
            entered: VecDeque::new(),
            young_from: 0,
            next_ticket: 0,
            finished_young: std::collections::HashSet::new(),
        }
    }

    /// Whether another connection may be taken from the kernel's queue.
    pub(crate) fn door(&mut self, now: Instant) -> Door {
        while let Some(&(entered, ticket)) = self.entered.front() {
            if now.saturating_duration_since(entered) < YOUNG_FOR {
                break;
            }
            self.entered.pop_front();
            self.young_from = ticket.number + 1;
            if !self.finished_young.remove(&ticket.number) {
                self.young -= 1;
            }
        }
        if self.young < YOUNG_MAX && self.unfinished < self.unfinished_max { Door::Open } else { Door::Wait }
    }

    /// When the door may open without anybody finishing.
    pub(crate) fn next_change(&self) -> Option<Instant> {
        self.entered.front().map(|(entered, _)| *entered + YOUNG_FOR)
    }

    /// Takes one connection into the books.
    pub(crate) fn enter(&mut self, address: IpAddr, now: Instant) -> Result<Ticket, TooMany> {
        let count = self.per_address.entry(address).or_default();
        if *count >= self.per_address_max {
            return Err(TooMany);
        }
        *count += 1;
        let ticket = Ticket { number: self.next_ticket, address };
        self.next_ticket += 1;
        self.unfinished += 1;
        self.young += 1;
        self.entered.push_back((now, ticket));
        Ok(ticket)
    }

    /// The connection has become a session, or has been closed.
    pub(crate) fn leave(&mut self, ticket: Ticket) {
        self.unfinished -= 1;
        if ticket.number >= self.young_from {
            self.young -= 1;
            self.finished_young.insert(ticket.number);
        }
        if let Some(count) = self.per_address.get_mut(&ticket.address) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&ticket.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn an_address_has_its_share_and_no_more() {
        let mut admission = Admission::new(100, 2);
        let now = Instant::now();
        let first = admission.enter(HERE, now).unwrap();
        admission.enter(HERE, now).unwrap();
        assert_eq!(admission.enter(HERE, now), Err(TooMany));
        assert!(admission.enter(THERE, now).is_ok(), "others are not concerned");
        admission.leave(first);
        assert!(admission.enter(HERE, now).is_ok());
    }

    #[test]
    fn a_burst_waits_at_the_door_and_goes_in_as_others_finish() {
        let mut admission = Admission::new(10_000, 10_000);
        let now = Instant::now();
        let tickets: Vec<_> = (0..YOUNG_MAX).map(|_| admission.enter(HERE, now).unwrap()).collect();
        assert_eq!(admission.door(now), Door::Wait);
        admission.leave(tickets[7]);
        assert_eq!(admission.door(now), Door::Open);
    }

    #[test]
    fn connections_that_do_not_finish_hold_nobody_back_for_long_but_count() {
        let mut admission = Admission::new(YOUNG_MAX + 2, 10_000);
        let start = Instant::now();
        let tickets: Vec<_> = (0..YOUNG_MAX).map(|_| admission.enter(HERE, start).unwrap()).collect();
        let later = start + YOUNG_FOR;
        assert_eq!(admission.door(later - Duration::from_millis(1)), Door::Wait);
        assert_eq!(admission.next_change(), Some(later));
        assert_eq!(admission.door(later), Door::Open);
        admission.enter(THERE, later).unwrap();
        admission.enter(THERE, later).unwrap();
        assert_eq!(admission.door(later), Door::Wait, "the limit in all holds for old ones too");
        admission.leave(tickets[0]);
        assert_eq!(admission.door(later), Door::Open);
        for ticket in &tickets[1..] {
            admission.leave(*ticket);
        }
        assert_eq!((admission.unfinished, admission.young), (2, 2));
        assert_eq!(admission.door(later + YOUNG_FOR), Door::Open);
        assert_eq!((admission.young, admission.finished_young.len()), (0, 0), "nothing is left in the books");
    }
}
