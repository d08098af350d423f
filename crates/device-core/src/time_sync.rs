//! Which time server is asked, and when.
//!
//! ```text
//! network up ─▶ configured ─▶ DHCP's ─▶ pool.ntp.org ─▶ time.aws.com ─▶ back off, and again
//!                  each: answered ─▶ again in an hour
//! ```

use crate::backoff::{Backoff, BackoffConfig};
use crate::random::Random;

/// How long the caller may take to resolve and ask one server.
pub const QUERY_MS_MAX: u64 = 3_000;

/// Between two answers. [RFC 4330 10] asks for no less than a minute; the crystal loses 0.1 s in an hour.
const AGAIN_MS: u64 = 3_600_000;

/// How far [`AGAIN_MS`] is spread to both sides, so that devices that started together do not ask together.
const AGAIN_SPREAD_MS: u64 = 360_000;

/// While the time is unknown nothing else can go on.
const BACKOFF_UNKNOWN: BackoffConfig =
    BackoffConfig { least_ms: 5_000, first_ceiling_ms: 10_000, last_ceiling_ms: 60_000 };

/// While it is known the clock goes on, and there is time.
const BACKOFF_KNOWN: BackoffConfig =
    BackoffConfig { least_ms: 60_000, first_ceiling_ms: 120_000, last_ceiling_ms: 900_000 };

/// In the order in which they are asked: the nearest first, and those of the Internet when the network has none.
const SOURCES: [TimeSource; 4] = [
    TimeSource::Configured,
    TimeSource::Dhcp,
    TimeSource::Fallback("pool.ntp.org"),
    TimeSource::Fallback("time.aws.com"),
];

/// A server to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeSource {
    /// The one of the configuration.
    Configured,
    /// The one that the network named (DHCP option 42).
    Dhcp,
    /// One of the Internet, by its name.
    Fallback(&'static str),
}

/// When the time is asked for, and whom.
///
/// After every `handle_*` call and when [`poll_timeout`](Self::poll_timeout) is due, call [`poll`](Self::poll). A
/// source that it returns is to be asked within [`QUERY_MS_MAX`], and one of [`handle_answer`](Self::handle_answer)
/// and [`handle_no_answer`](Self::handle_no_answer) to be called; until then it returns `None`.
#[derive(Clone, Debug)]
pub struct TimeSync {
    is_network_up: bool,
    has_configured: bool,
    has_dhcp: bool,
    state: State,
    is_known: bool,
    unknown_backoff: Backoff,
    known_backoff: Backoff,
    random: Random,
}

/// `source` is a place in [`SOURCES`].
#[derive(Clone, Copy, Debug)]
enum State {
    Waiting { until_ms: u64, source: usize },
    Asking { source: usize },
}

impl TimeSync {
    /// The time is unknown, and there is no network to ask. Devices with other seeds ask at other times.
    pub const fn new(seed: u64) -> Self {
        Self {
            is_network_up: false,
            has_configured: false,
            has_dhcp: false,
            state: State::Waiting { until_ms: 0, source: 0 },
            is_known: false,
            unknown_backoff: Backoff::new(BACKOFF_UNKNOWN),
            known_backoff: Backoff::new(BACKOFF_KNOWN),
            random: Random::new(seed),
        }
    }

    /// Which sources there are beside those of the Internet. A new one is asked at once while the time is unknown.
    pub const fn set_sources(&mut self, has_configured: bool, has_dhcp: bool) {
        let has_new = (has_configured && !self.has_configured) || (has_dhcp && !self.has_dhcp);
        self.has_configured = has_configured;
        self.has_dhcp = has_dhcp;
        if has_new && !self.is_known && matches!(self.state, State::Waiting { .. }) {
            self.state = State::Waiting { until_ms: 0, source: 0 };
        }
    }

    /// The network came or went. What was being asked goes unanswered; with the network the first source is asked, at
    /// once while the time is unknown, else when it is due.
    pub const fn handle_network(&mut self, is_up: bool, now_ms: u64) {
        if self.is_network_up == is_up {
            return;
        }
        self.is_network_up = is_up;
        self.state = match self.state {
            _ if !self.is_known => State::Waiting { until_ms: now_ms, source: 0 },
            State::Asking { .. } => State::Waiting { until_ms: now_ms, source: 0 },
            State::Waiting { until_ms, .. } => State::Waiting { until_ms, source: 0 },
        };
    }

    /// The server that was asked told the time, and the clock took it.
    pub fn handle_answer(&mut self, now_ms: u64) {
        self.is_known = true;
        self.unknown_backoff.succeed();
        self.known_backoff.succeed();
        let spread_ms = (u64::from(self.random.next()) * (2 * AGAIN_SPREAD_MS)) >> 32;
        let until_ms = now_ms.saturating_add(AGAIN_MS - AGAIN_SPREAD_MS + spread_ms);
        self.state = State::Waiting { until_ms, source: 0 };
    }

    /// The server could not be resolved, did not answer in time, or with nothing that the clock took.
    pub fn handle_no_answer(&mut self, now_ms: u64) {
        let State::Asking { source } = self.state else { return };
        self.state = match self.source_from(source + 1) {
            Some(source) => State::Waiting { until_ms: now_ms, source },
            None => {
                let backoff = if self.is_known { &mut self.known_backoff } else { &mut self.unknown_backoff };
                let until_ms = now_ms.saturating_add(backoff.fail(self.random.next()));
                State::Waiting { until_ms, source: 0 }
            }
        };
    }

    /// The server to ask now.
    pub fn poll(&mut self, now_ms: u64) -> Option<TimeSource> {
        let State::Waiting { until_ms, source } = self.state else { return None };
        if !self.is_network_up || now_ms < until_ms {
            return None;
        }
        let source = self.source_from(source)?;
        self.state = State::Asking { source };
        Some(SOURCES[source])
    }

    /// When to call [`poll`](Self::poll) again; `None` without a network, and while a server is asked.
    pub const fn poll_timeout(&self) -> Option<u64> {
        match self.state {
            State::Waiting { until_ms, .. } if self.is_network_up => Some(until_ms),
            _ => None,
        }
    }

    /// Whether some server has told the time since the start.
    pub const fn is_known(&self) -> bool {
        self.is_known
    }

    /// The first source that there is, from this place on.
    fn source_from(&self, place: usize) -> Option<usize> {
        (place..SOURCES.len()).find(|place| match SOURCES[*place] {
            TimeSource::Configured => self.has_configured,
            TimeSource::Dhcp => self.has_dhcp,
            TimeSource::Fallback(_) => true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TimeSource::{Configured, Dhcp, Fallback};
    use proptest::prelude::*;

    const POOL: TimeSource = Fallback("pool.ntp.org");
    const AWS: TimeSource = Fallback("time.aws.com");

    fn online(has_configured: bool, has_dhcp: bool) -> TimeSync {
        let mut sync = TimeSync::new(3);
        sync.set_sources(has_configured, has_dhcp);
        sync.handle_network(true, 0);
        sync
    }

    /// Asks all in vain and returns whom, and when the next round begins.
    fn in_vain(sync: &mut TimeSync, now_ms: u64) -> (std::vec::Vec<TimeSource>, u64) {
        let mut asked = std::vec![];
        while let Some(source) = sync.poll(now_ms) {
            assert_eq!(sync.poll(now_ms), None, "one at a time");
            asked.push(source);
            sync.handle_no_answer(now_ms);
        }
        (asked, sync.poll_timeout().expect("a next round"))
    }

    #[test]
    fn sources_are_asked_in_order_and_those_that_are_not_there_are_left_out() {
        assert_eq!(in_vain(&mut online(true, true), 0).0, [Configured, Dhcp, POOL, AWS]);
        assert_eq!(in_vain(&mut online(false, true), 0).0, [Dhcp, POOL, AWS]);
        assert_eq!(in_vain(&mut online(false, false), 0).0, [POOL, AWS]);
    }

    #[test]
    fn nobody_is_asked_without_a_network() {
        let mut sync = TimeSync::new(3);
        assert_eq!((sync.poll(5), sync.poll_timeout()), (None, None));
        sync.handle_network(true, 5);
        assert_eq!(sync.poll(5), Some(POOL));
        sync.handle_network(false, 6);
        assert_eq!((sync.poll(7), sync.poll_timeout()), (None, None));
        sync.handle_network(true, 8);
        assert_eq!(sync.poll(8), Some(POOL), "from the beginning");
    }

    #[test]
    fn rounds_in_vain_get_rarer_until_they_come_every_minute() {
        let (mut sync, mut now_ms) = (online(false, false), 0);
        for round in 0..30 {
            let (_, next_ms) = in_vain(&mut sync, now_ms);
            assert!((5_000..=60_000).contains(&(next_ms - now_ms)), "round {round}: {}", next_ms - now_ms);
            now_ms = next_ms;
        }
        assert!(now_ms > 30 * 25_000, "{now_ms}");
    }

    #[test]
    fn after_an_answer_it_asks_again_in_an_hour_and_then_patiently() {
        let mut sync = online(true, false);
        assert_eq!(sync.poll(0), Some(Configured));
        sync.handle_answer(1_000);
        assert!(sync.is_known());
        let again_ms = sync.poll_timeout().unwrap();
        assert!((AGAIN_MS - AGAIN_SPREAD_MS..=AGAIN_MS + AGAIN_SPREAD_MS + 1_000).contains(&again_ms));
        assert_eq!(sync.poll(again_ms - 1), None);
        let (asked, next_ms) = in_vain(&mut sync, again_ms);
        assert_eq!(asked, [Configured, POOL, AWS]);
        assert!((60_000..=120_000).contains(&(next_ms - again_ms)), "minutes");
        assert!(sync.is_known(), "the clock goes on");
        let mut elsewhere = TimeSync::new(4);
        elsewhere.handle_network(true, 0);
        elsewhere.handle_answer(1_000);
        let elsewhere_ms = elsewhere.poll_timeout().expect("a next time");
        assert_ne!(elsewhere_ms, again_ms, "other devices ask at other times");
    }

    #[test]
    fn a_network_that_comes_back_does_not_hasten_a_known_clock() {
        let mut sync = online(false, false);
        sync.poll(0);
        sync.handle_answer(0);
        let again_ms = sync.poll_timeout();
        sync.handle_network(false, 10);
        sync.handle_network(true, 20);
        assert_eq!((sync.poll(20), sync.poll_timeout()), (None, again_ms));
    }

    #[test]
    fn a_network_that_goes_while_a_server_is_asked_asks_again_when_it_is_back() {
        let mut sync = online(true, false);
        sync.poll(0);
        sync.handle_answer(0);
        let again_ms = sync.poll_timeout().unwrap();
        assert_eq!(sync.poll(again_ms), Some(Configured));
        sync.handle_network(false, again_ms + 1);
        sync.handle_network(true, again_ms + 3);
        assert_eq!(sync.poll(again_ms + 3), Some(Configured));
    }

    #[test]
    fn a_source_that_turns_up_is_asked_at_once_while_the_time_is_unknown() {
        let mut sync = online(false, false);
        in_vain(&mut sync, 0);
        sync.set_sources(false, true);
        assert_eq!(sync.poll(1), Some(Dhcp));
        sync.handle_answer(2);
        sync.set_sources(true, true);
        assert_eq!(sync.poll(3), None);
    }

    proptest! {
        #[test]
        fn whatever_happens_there_is_a_next_time(
            events in proptest::collection::vec((0..6_u8, any::<bool>(), 0..200_000_u64), 0..100), seed: u64,
        ) {
            let (mut sync, mut now_ms, mut is_up, mut is_asking) = (TimeSync::new(seed), 0, false, false);
            for (event, flag, wait_ms) in events {
                match event {
                    0 => { sync.handle_network(flag, now_ms); is_asking &= flag == is_up; is_up = flag; }
                    1 => { sync.handle_answer(now_ms); is_asking = false; }
                    2 => { sync.handle_no_answer(now_ms); is_asking = false; }
                    3 => sync.set_sources(flag, !flag),
                    _ => now_ms += wait_ms,
                }
                is_asking |= sync.poll(now_ms).is_some();
                match sync.poll_timeout() {
                    None => prop_assert!(!is_up || is_asking),
                    Some(timeout_ms) => prop_assert!(is_up && timeout_ms > now_ms),
                }
            }
        }
    }
}
