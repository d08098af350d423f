//! The Wi-Fi station: when to join, to wait for an address, to give up, and to turn the radio off and on.
//!
//! ```text
//!              ┌───────── back off ◀── failed, too late, lost ──────────┐
//!              ▼                                                        │
//!           Resting ──Join▶ Joining ──joined, AwaitAddress▶ AwaitingAddress ──address▶ Up
//!              ▲                     every third failure in a row
//!              └── radio ready ── PoweringRadio ◀──PowerCycleRadio
//! ```

use crate::backoff::{Backoff, BackoffConfig};
use crate::lamp::LedPattern;
use crate::random::Random;

/// How long joining may take. An access point that is there answers within seconds; on a busy channel in ten.
pub const JOIN_MS_MAX: u64 = 20_000;

/// How long the network may take to give an address: DHCP's first three attempts [RFC 2131 4.1].
pub const ADDRESS_MS_MAX: u64 = 15_000;

/// How long the radio may take to be ready again: its firmware of 230 KB is loaded in about 2 s.
pub const RADIO_READY_MS_MAX: u64 = 20_000;

/// After so many failures in a row the radio is turned off and on.
///
/// The radio's own firmware can hang in a state that only that ends. Three, because an access point that restarts is
/// away for two.
pub const FAILURES_BEFORE_POWER_CYCLE: u32 = 3;

/// A network that lasts this long has proved itself: the next failure is a first one.
const PROVEN_AFTER_MS: u64 = 30_000;

const BACKOFF: BackoffConfig =
    BackoffConfig { least_ms: 0, first_ceiling_ms: 1_000, last_ceiling_ms: 60_000 };

/// The Wi-Fi station's state.
///
/// After every `handle_*` call and when [`poll_timeout`](Self::poll_timeout) is due, call [`poll`](Self::poll) until it
/// returns `None`.
#[derive(Clone, Debug)]
pub struct Station {
    state: State,
    leave_is_due: bool,
    failures: u32,
    last_failure: Option<StationFailure>,
    backoff: Backoff,
    random: Random,
}

/// What the caller is to do. Each ends what an earlier one began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StationAction {
    /// Join the network, then call [`Station::handle_joined`] or [`Station::handle_join_failed`].
    Join,
    /// Wait for an address, then call [`Station::handle_address`].
    AwaitAddress,
    /// Give up joining, or leave the network: the radio must not go on trying by itself.
    Leave,
    /// Turn the radio off and on and load its firmware, then call [`Station::handle_radio_ready`].
    PowerCycleRadio,
}

/// Why the radio could not join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinFailure {
    /// No access point with this name is in reach.
    NetworkNotFound,
    /// The access point did not accept the password, or does not speak WPA2.
    WrongPassword,
    /// The radio does not say.
    Other,
}

/// What went wrong last, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StationFailure {
    /// The network is not there.
    #[error("no Wi-Fi network of this name is in reach")]
    NetworkNotFound,
    /// The password is wrong.
    #[error("the Wi-Fi network did not accept the password")]
    WrongPassword,
    /// The radio reports nothing more.
    #[error("the Wi-Fi network could not be joined")]
    NotJoined,
    /// The radio did not say anything within [`JOIN_MS_MAX`].
    #[error("joining the Wi-Fi network took too long")]
    JoinTimeout,
    /// No address came within [`ADDRESS_MS_MAX`].
    #[error("the network gave no address in time")]
    AddressTimeout,
    /// The network was there and is gone.
    #[error("the Wi-Fi network is gone")]
    LinkLost,
    /// The radio did not come back within [`RADIO_READY_MS_MAX`].
    #[error("the radio did not come back")]
    RadioTimeout,
}

/// Where the station is, for the log and the LED.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StationPhase {
    /// It waits before the next attempt.
    Resting,
    /// It joins.
    Joining,
    /// It waits for an address.
    AwaitingAddress,
    /// It has an address.
    Up,
    /// The radio is turned off and on.
    PoweringRadio,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Resting {
        until_ms: u64,
    },
    Joining {
        deadline_ms: u64,
    },
    AwaitingAddress {
        deadline_ms: u64,
        is_asked: bool,
    },
    Up {
        since_ms: u64,
    },
    /// `asked_until_ms` is `None` until the action was given out. Then the rest follows.
    PoweringRadio {
        asked_until_ms: Option<u64>,
        rest_ms: u64,
    },
}

impl Station {
    /// A station that joins at once; the radio is ready. Stations with other seeds come back at other times.
    pub const fn new(seed: u64) -> Self {
        Self {
            state: State::Resting { until_ms: 0 },
            leave_is_due: false,
            failures: 0,
            last_failure: None,
            backoff: Backoff::new(BACKOFF),
            random: Random::new(seed),
        }
    }

    /// The radio has joined the network.
    pub fn handle_joined(&mut self, now_ms: u64) {
        if matches!(self.state, State::Joining { .. }) {
            let deadline_ms = now_ms.saturating_add(ADDRESS_MS_MAX);
            self.state = State::AwaitingAddress { deadline_ms, is_asked: false };
        }
    }

    /// The radio could not join.
    pub fn handle_join_failed(&mut self, failure: JoinFailure, now_ms: u64) {
        if matches!(self.state, State::Joining { .. }) {
            let failure = match failure {
                JoinFailure::NetworkNotFound => StationFailure::NetworkNotFound,
                JoinFailure::WrongPassword => StationFailure::WrongPassword,
                JoinFailure::Other => StationFailure::NotJoined,
            };
            self.fail(failure, now_ms);
        }
    }

    /// The network gave an address.
    pub fn handle_address(&mut self, now_ms: u64) {
        if matches!(self.state, State::AwaitingAddress { .. }) {
            self.state = State::Up { since_ms: now_ms };
        }
    }

    /// The radio says that the network is gone, or the address is.
    pub fn handle_link_lost(&mut self, now_ms: u64) {
        match self.state {
            State::Up { since_ms } => {
                if now_ms.saturating_sub(since_ms) >= PROVEN_AFTER_MS {
                    self.failures = 0;
                    self.backoff.succeed();
                }
            }
            State::Joining { .. } | State::AwaitingAddress { .. } => {}
            State::Resting { .. } | State::PoweringRadio { .. } => return,
        }
        self.leave_is_due = true;
        self.fail(StationFailure::LinkLost, now_ms);
    }

    /// The radio is ready after [`StationAction::PowerCycleRadio`].
    pub fn handle_radio_ready(&mut self, now_ms: u64) {
        if let State::PoweringRadio { asked_until_ms: Some(_), rest_ms } = self.state {
            self.state = State::Resting { until_ms: now_ms.saturating_add(rest_ms) };
        }
    }

    /// The next thing to do; `None`: wait for news or for [`poll_timeout`](Self::poll_timeout).
    pub fn poll(&mut self, now_ms: u64) -> Option<StationAction> {
        self.handle_timeout(now_ms);
        if self.leave_is_due {
            self.leave_is_due = false;
            return Some(StationAction::Leave);
        }
        match self.state {
            State::Resting { until_ms } if now_ms >= until_ms => {
                self.state = State::Joining { deadline_ms: now_ms.saturating_add(JOIN_MS_MAX) };
                Some(StationAction::Join)
            }
            State::AwaitingAddress { deadline_ms, is_asked: false } => {
                self.state = State::AwaitingAddress { deadline_ms, is_asked: true };
                Some(StationAction::AwaitAddress)
            }
            State::PoweringRadio { asked_until_ms: None, rest_ms } => {
                let asked_until_ms = Some(now_ms.saturating_add(RADIO_READY_MS_MAX));
                self.state = State::PoweringRadio { asked_until_ms, rest_ms };
                Some(StationAction::PowerCycleRadio)
            }
            _ => None,
        }
    }

    /// When to call [`poll`](Self::poll) again at the latest; `None` while the network is up.
    pub const fn poll_timeout(&self) -> Option<u64> {
        match self.state {
            State::Resting { until_ms } => Some(until_ms),
            State::Joining { deadline_ms } | State::AwaitingAddress { deadline_ms, .. } => Some(deadline_ms),
            State::Up { .. } => None,
            State::PoweringRadio { asked_until_ms, .. } => asked_until_ms,
        }
    }

    /// Whether there is an address.
    pub const fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// Where the station is.
    pub const fn phase(&self) -> StationPhase {
        match self.state {
            State::Resting { .. } => StationPhase::Resting,
            State::Joining { .. } => StationPhase::Joining,
            State::AwaitingAddress { .. } => StationPhase::AwaitingAddress,
            State::Up { .. } => StationPhase::Up,
            State::PoweringRadio { .. } => StationPhase::PoweringRadio,
        }
    }

    /// What went wrong last.
    pub const fn last_failure(&self) -> Option<StationFailure> {
        self.last_failure
    }

    /// What the LED shows of it. A network that gives no address is told through the next attempt, too: else three
    /// flashes would turn into two before anybody has counted them.
    pub const fn pattern(&self) -> LedPattern {
        match (self.state, self.last_failure) {
            (State::Up { .. }, _) => LedPattern::Off,
            (State::AwaitingAddress { .. }, _) | (_, Some(StationFailure::AddressTimeout)) => {
                LedPattern::NoAddress
            }
            _ => LedPattern::JoiningWifi,
        }
    }

    fn handle_timeout(&mut self, now_ms: u64) {
        match self.state {
            State::Joining { deadline_ms } if now_ms >= deadline_ms => {
                self.leave_is_due = true;
                self.fail(StationFailure::JoinTimeout, now_ms);
            }
            State::AwaitingAddress { deadline_ms, .. } if now_ms >= deadline_ms => {
                self.leave_is_due = true;
                self.fail(StationFailure::AddressTimeout, now_ms);
            }
            State::PoweringRadio { asked_until_ms: Some(deadline_ms), rest_ms } if now_ms >= deadline_ms => {
                self.last_failure = Some(StationFailure::RadioTimeout);
                self.state = State::PoweringRadio { asked_until_ms: None, rest_ms };
            }
            _ => {}
        }
    }

    fn fail(&mut self, failure: StationFailure, now_ms: u64) {
        self.last_failure = Some(failure);
        self.failures = self.failures.saturating_add(1);
        let rest_ms = self.backoff.fail(self.random.next());
        self.state = if self.failures.is_multiple_of(FAILURES_BEFORE_POWER_CYCLE) {
            // A radio that hangs would not hear that it should leave.
            self.leave_is_due = false;
            State::PoweringRadio { asked_until_ms: None, rest_ms }
        } else {
            State::Resting { until_ms: now_ms.saturating_add(rest_ms) }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use StationAction::{AwaitAddress, Join, Leave, PowerCycleRadio};
    use proptest::prelude::*;
    use std::vec::Vec;

    struct Air {
        station: Station,
        now_ms: u64,
    }

    impl Air {
        fn new() -> Self {
            Self { station: Station::new(7), now_ms: 0 }
        }

        /// Everything that is due now.
        fn now(&mut self) -> Vec<StationAction> {
            std::iter::from_fn(|| self.station.poll(self.now_ms)).collect()
        }

        /// Everything that is due at the next deadline.
        fn next(&mut self) -> Vec<StationAction> {
            self.now_ms = self.now_ms.max(self.station.poll_timeout().expect("a deadline"));
            self.now()
        }

        fn up() -> Self {
            let mut air = Self::new();
            assert_eq!(air.now(), [Join]);
            air.station.handle_joined(air.now_ms);
            assert_eq!(air.now(), [AwaitAddress]);
            air.station.handle_address(air.now_ms);
            assert_eq!((air.now(), air.station.poll_timeout()), (std::vec![], None));
            air
        }
    }

    #[test]
    fn it_joins_at_once_and_waits_for_an_address() {
        let air = Air::up();
        assert!(air.station.is_up());
        assert_eq!((air.station.phase(), air.station.pattern()), (StationPhase::Up, LedPattern::Off));
    }

    #[test]
    fn joining_ends_after_twenty_seconds_and_an_address_is_awaited_for_fifteen() {
        let mut air = Air::new();
        assert_eq!(air.now(), [Join]);
        assert_eq!(air.station.pattern(), LedPattern::JoiningWifi);
        assert_eq!((air.next(), air.now_ms), (std::vec![Leave], JOIN_MS_MAX));
        assert_eq!(air.station.phase(), StationPhase::Resting);
        assert_eq!(air.next(), [Join]);
        air.station.handle_joined(air.now_ms);
        assert_eq!(air.now(), [AwaitAddress]);
        assert_eq!(air.station.pattern(), LedPattern::NoAddress);
        let asked_ms = air.now_ms;
        assert_eq!((air.next(), air.now_ms), (std::vec![Leave], asked_ms + ADDRESS_MS_MAX));
        assert_eq!(air.station.last_failure(), Some(StationFailure::AddressTimeout));
        assert_eq!(air.next(), [Join]);
        assert_eq!(air.station.pattern(), LedPattern::NoAddress, "still what is wrong");
    }

    #[test]
    fn every_third_failure_in_a_row_turns_the_radio_off_and_on() {
        let mut air = Air::new();
        for failure in 1..=9 {
            assert_eq!(if failure == 1 { air.now() } else { air.next() }, [Join]);
            air.station.handle_join_failed(JoinFailure::NetworkNotFound, air.now_ms);
            if failure % 3 == 0 {
                assert_eq!(air.now(), [PowerCycleRadio], "failure {failure}");
                assert_eq!(air.station.phase(), StationPhase::PoweringRadio);
                air.now_ms += 2_000;
                air.station.handle_radio_ready(air.now_ms);
            }
        }
    }

    #[test]
    fn a_radio_that_does_not_come_back_is_turned_off_and_on_again() {
        let mut air = Air::new();
        for _ in 0..2 {
            air.next();
            air.station.handle_join_failed(JoinFailure::Other, air.now_ms);
        }
        air.next();
        air.station.handle_join_failed(JoinFailure::Other, air.now_ms);
        assert_eq!(air.now(), [PowerCycleRadio]);
        let asked_ms = air.now_ms;
        assert_eq!((air.next(), air.now_ms), (std::vec![PowerCycleRadio], asked_ms + RADIO_READY_MS_MAX));
    }

    #[test]
    fn a_network_that_lasted_is_joined_again_within_a_second_and_one_that_flaps_counts_as_failing() {
        let mut air = Air::up();
        air.now_ms += PROVEN_AFTER_MS;
        air.station.handle_link_lost(air.now_ms);
        let lost_ms = air.now_ms;
        assert_eq!((air.now(), air.station.pattern()), (std::vec![Leave], LedPattern::JoiningWifi));
        assert_eq!(air.next(), [Join]);
        assert!(air.now_ms <= lost_ms + 1_000);

        // Up again each time, and lost at once: the second and third failure in a row.
        for expected in [Leave, PowerCycleRadio] {
            air.station.handle_joined(air.now_ms);
            air.now();
            air.station.handle_address(air.now_ms);
            air.station.handle_link_lost(air.now_ms);
            let mut found = air.now();
            if expected == Leave {
                found.extend(air.next());
                assert_eq!(found, [Leave, Join]);
            } else {
                assert_eq!(found, [PowerCycleRadio]);
            }
        }
    }

    #[test]
    fn a_network_that_lasted_ends_a_row_of_failures() {
        let mut air = Air::new();
        for _ in 0..2 {
            air.next();
            air.station.handle_join_failed(JoinFailure::Other, air.now_ms);
        }
        assert_eq!(air.next(), [Join]);
        air.station.handle_joined(air.now_ms);
        air.station.handle_address(air.now_ms);
        air.now_ms += PROVEN_AFTER_MS;
        air.station.handle_link_lost(air.now_ms);
        assert_eq!(air.now(), [Leave], "the first failure of a new row, not the third");
    }

    #[test]
    fn news_that_come_too_late_change_nothing() {
        let mut air = Air::up();
        air.station.handle_join_failed(JoinFailure::Other, 1);
        air.station.handle_joined(1);
        air.station.handle_radio_ready(1);
        assert!(air.station.is_up());
        air.station.handle_link_lost(1);
        air.station.handle_address(1);
        air.station.handle_link_lost(1);
        assert_eq!(air.station.failures, 1);
    }

    proptest! {
        #[test]
        fn whatever_happens_it_waits_with_a_deadline_and_attempts_get_rarer(
            events in proptest::collection::vec((0..7_u8, 0..30_000_u64), 0..200), seed: u64,
        ) {
            let (mut station, mut now_ms) = (Station::new(seed), 0);
            for (event, wait_ms) in events {
                match event {
                    0 => station.handle_joined(now_ms),
                    1 => station.handle_join_failed(JoinFailure::WrongPassword, now_ms),
                    2 => station.handle_address(now_ms),
                    3 => station.handle_link_lost(now_ms),
                    4 => station.handle_radio_ready(now_ms),
                    _ => now_ms += wait_ms,
                }
                let mut actions = 0;
                while station.poll(now_ms).is_some() {
                    actions += 1;
                    prop_assert!(actions < 5, "the station does not come to rest");
                }
                match station.poll_timeout() {
                    None => prop_assert!(station.is_up()),
                    Some(timeout_ms) => prop_assert!(timeout_ms > now_ms),
                }
            }
        }
    }
}
