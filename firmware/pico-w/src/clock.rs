//! The clocks: time since start, and the date once a time server has told it.

use core::cell::RefCell;
use device_core::{Clock, ClockError};
use embassy_sync::blocking_mutex::CriticalSectionMutex;
use embassy_time::Instant;

/// No time server is believed that claims an earlier time.
pub(crate) const BUILT_AT_UNIX_MS: u64 = parse(env!("BUILT_AT_S")) * 1_000;

static CLOCK: CriticalSectionMutex<RefCell<Clock>> =
    CriticalSectionMutex::new(RefCell::new(Clock::new(BUILT_AT_UNIX_MS)));

/// Milliseconds since start. Never goes back.
pub(crate) fn now_ms() -> u64 {
    Instant::now().as_millis()
}

/// Milliseconds since 1970, once known. Never goes back.
pub(crate) fn unix_ms() -> Option<u64> {
    CLOCK.lock(|clock| clock.borrow().unix_ms(now_ms()))
}

/// A time server answered.
pub(crate) fn set(unix_ms: u64) -> Result<(), ClockError> {
    CLOCK.lock(|clock| clock.borrow_mut().set(unix_ms, now_ms()))
}

/// The number that a decimal text means, at compile time.
const fn parse(text: &str) -> u64 {
    let (digits, mut number, mut at) = (text.as_bytes(), 0, 0);
    while at < digits.len() {
        assert!(digits[at].is_ascii_digit(), "BUILT_AT_S is a number");
        number = number * 10 + (digits[at] - b'0') as u64;
        at += 1;
    }
    number
}
