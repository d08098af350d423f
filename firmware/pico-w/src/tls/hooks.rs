//! What mbedtls asks the board: the date, and the time since start.

use device_core::calendar::DateTime;
use mbedtls_rs::sys::hook::timer::{MbedtlsTimer, hook_timer};
use mbedtls_rs::sys::hook::wall_clock::{MbedtlsWallClock, hook_wall_clock};
use mbedtls_rs::sys::tm;

use crate::clock;

struct Clocks;

impl MbedtlsTimer for Clocks {
    fn now(&self) -> i64 {
        i64::try_from(clock::now_ms()).unwrap_or(i64::MAX)
    }
}

impl MbedtlsWallClock for Clocks {
    /// `None` until a time server has answered: then every certificate is refused.
    fn instant(&self) -> Option<tm> {
        let now = DateTime::from_unix_s(clock::unix_ms()? / 1_000);
        Some(tm {
            tm_sec: i32::from(now.second),
            tm_min: i32::from(now.minute),
            tm_hour: i32::from(now.hour),
            tm_mday: i32::from(now.day),
            tm_mon: i32::from(now.month) - 1,
            tm_year: i32::from(now.year) - 1900,
            ..Default::default()
        })
    }
}

/// Before the first handshake.
pub(super) fn install() {
    static CLOCKS: Clocks = Clocks;
    // SAFETY: before any other use of mbedtls, and the clocks live forever.
    unsafe {
        hook_timer(Some(&CLOCKS));
        hook_wall_clock(Some(&CLOCKS));
    }
}
