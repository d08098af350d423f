//! How many connections may be between TCP and CONNECT.
//!
//! Each costs memory and, for a full handshake, half a millisecond of our time, and anybody can open one. Two things
//! are kept apart: a burst of honest devices, which finish within milliseconds and may queue in the kernel, and
//! clients that hold connections open without finishing, who must not shut the others out.
//!
//! The kernel's queue has one order for all, so whoever makes us wait makes everybody wait. A *young* connection
//! may do so, for a second at most. An address one of whose connections has grown old is *slow* for a while: its
//! next ones hold back nobody, and those above its share are refused at once instead of waiting.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
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

/// How long an address is slow after one of its connections has grown old.
const SLOW_FOR: Duration = Duration::from_secs(60);

/// Addresses that are remembered as slow; the longest known is forgotten first.
///
/// At about 60 bytes each 1 MiB. To be forgotten early takes 16,384 addresses that hold a connection for a second.
const SLOW_MAX: usize = 16_384;

/// The books on unfinished connections.
#[derive(Debug)]
pub(crate) struct Admission {
    unfinished_max: usize,
    per_address_max: usize,
    per_address: HashMap<IpAddr, usize>,
    unfinished: usize,
    /// In the order of their coming; finished ones stay until their time.
    entered: VecDeque<(Instant, Ticket)>,
    /// Those of `entered` that hold back others: neither finished, nor old, nor of a slow address.
    young: HashSet<u64>,
    next_ticket: u64,
    slow: SlowAddresses,
}

/// Addresses that have held a connection, and since when they did so last.
#[derive(Debug, Default)]
struct SlowAddresses {
    since: HashMap<IpAddr, Instant>,
    /// In order of time; an address that was slow again stands here more than once.
    order: VecDeque<(Instant, IpAddr)>,
}

impl SlowAddresses {
    fn remember(&mut self, address: IpAddr, now: Instant) {
        self.since.insert(address, now);
        self.order.push_back((now, address));
        while self.order.len() > SLOW_MAX {
            self.forget_oldest();
        }
    }

    fn contains(&mut self, address: IpAddr, now: Instant) -> bool {
        while self.order.front().is_some_and(|(since, _)| now.saturating_duration_since(*since) >= SLOW_FOR) {
            self.forget_oldest();
        }
        self.since.contains_key(&address)
    }

    fn forget_oldest(&mut self) {
        if let Some((since, address)) = self.order.pop_front()
            && self.since.get(&address) == Some(&since)
        {
            self.since.remove(&address);
        }
    }
}

/// One admitted connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    number: u64,
    network: IpAddr,
}

/// What to do with the next connection in the kernel's queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Take it.
    Open,
    /// Leave it there until somebody has finished or grown old.
    Wait,
}

/// The address has too many unfinished connections, or all together have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Admission {
    pub(crate) fn new(unfinished_max: usize, per_address_max: usize) -> Self {
        Self {
            unfinished_max,
            per_address_max,
            per_address: HashMap::new(),
            unfinished: 0,
            entered: VecDeque::new(),
            young: HashSet::new(),
            next_ticket: 0,
            slow: SlowAddresses::default(),
        }
    }

    /// Whether another connection may be taken from the kernel's queue.
    pub(crate) fn door(&mut self, now: Instant) -> Door {
        while let Some(&(entered, ticket)) = self.entered.front() {
            if now.saturating_duration_since(entered) < YOUNG_FOR {
                break;
            }
            self.entered.pop_front();
            if self.young.remove(&ticket.number) {
                self.slow.remember(ticket.network, now);
            }
        }
        if self.young.len() < YOUNG_MAX && self.unfinished < self.unfinished_max {
            Door::Open
        } else {
            Door::Wait
        }
    }

    /// When the door is open, or may open without anybody finishing; `None`: not before somebody does.
    pub(crate) fn opens_at(&mut self, now: Instant) -> Option<Instant> {
        match self.door(now) {
            Door::Open => Some(now),
            Door::Wait => self.entered.front().map(|(entered, _)| *entered + YOUNG_FOR),
        }
    }

    /// Takes one connection into the books.
    pub(crate) fn enter(&mut self, address: IpAddr, now: Instant) -> Result<Ticket, TooMany> {
        // Who asked at the door has found this; who becomes a client by an upgrade has not stood there.
        if self.unfinished >= self.unfinished_max {
            return Err(TooMany);
        }
        let network = network(address);
        let count = self.per_address.entry(network).or_default();
        if *count >= self.per_address_max {
            return Err(TooMany);
        }
        *count += 1;
        let ticket = Ticket { number: self.next_ticket, network };
        self.next_ticket += 1;
        self.unfinished += 1;
        if !self.slow.contains(network, now) {
            self.young.insert(ticket.number);
            self.entered.push_back((now, ticket));
        }
        Ok(ticket)
    }

    /// The connection has become a session, or has been closed.
    pub(crate) fn leave(&mut self, ticket: Ticket) {
        self.unfinished -= 1;
        self.young.remove(&ticket.number);
        if let Some(count) = self.per_address.get_mut(&ticket.network) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&ticket.network);
            }
        }
    }
}

/// What counts as one address: a subscriber of IPv6 usually has a whole /64 to choose from.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
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
        assert_eq!(admission.opens_at(start), Some(later));
        assert_eq!(admission.opens_at(later), Some(later));
        assert_eq!(admission.door(later), Door::Open);
        admission.enter(THERE, later).unwrap();
        admission.enter(THERE, later).unwrap();
        assert_eq!(admission.door(later), Door::Wait, "the limit in all holds for old ones too");
        assert_eq!(admission.opens_at(later + YOUNG_FOR), None, "nobody is young: only an end can open it");
        admission.leave(tickets[0]);
        assert_eq!(admission.door(later), Door::Open);
        for ticket in &tickets[1..] {
            admission.leave(*ticket);
        }
        assert_eq!(admission.unfinished, 2);
        assert_eq!(admission.door(later + YOUNG_FOR), Door::Open);
        assert_eq!((admission.young.len(), admission.entered.len()), (0, 0), "nothing is left in the books");
    }

    /// Whoever holds connections for a little longer than a second, again and again, costs the others one second once.
    #[test]
    fn an_address_that_was_slow_holds_nobody_back_again_for_a_while() {
        let mut admission = Admission::new(10_000, YOUNG_MAX + 10);
        let mut now = Instant::now();
        for round in 0..3 {
            let tickets: Vec<_> = std::iter::from_fn(|| admission.enter(HERE, now).ok()).collect();
            assert_eq!(tickets.len(), YOUNG_MAX + 10, "what is above the share is refused at once");
            assert_eq!(admission.door(now) == Door::Wait, round == 0, "round {round}");
            now += YOUNG_FOR + Duration::from_millis(20);
            assert_eq!(admission.door(now), Door::Open);
            tickets.into_iter().for_each(|ticket| admission.leave(ticket));
        }
        now += SLOW_FOR;
        for _ in 0..YOUNG_MAX {
            admission.enter(HERE, now).unwrap();
        }
        assert_eq!(admission.door(now), Door::Wait, "it is trusted again");
    }

    #[test]
    fn one_slow_device_is_forgotten_after_its_time() {
        let mut slow = SlowAddresses::default();
        let start = Instant::now();
        slow.remember(HERE, start);
        slow.remember(HERE, start + SLOW_FOR / 2);
        assert!(slow.contains(HERE, start + SLOW_FOR), "the last time counts");
        assert!(!slow.contains(THERE, start));
        assert!(!slow.contains(HERE, start + SLOW_FOR * 3 / 2));
        assert!(slow.order.is_empty() && slow.since.is_empty());
        for number in 0..=SLOW_MAX {
            slow.remember(IpAddr::V4(std::net::Ipv4Addr::from_bits(u32::try_from(number).unwrap())), start);
        }
        assert_eq!(slow.since.len(), SLOW_MAX);
    }

    #[test]
    fn addresses_of_one_ipv6_network_share() {
        let mut admission = Admission::new(100, 1);
        let now = Instant::now();
        admission.enter("2001:db8::1".parse().unwrap(), now).unwrap();
        assert_eq!(admission.enter("2001:db8::2".parse().unwrap(), now), Err(TooMany));
        assert!(admission.enter("2001:db8:0:1::1".parse().unwrap(), now).is_ok());
    }
}
