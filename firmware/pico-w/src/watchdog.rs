//! The watchdog: it restarts a board whose application or radio's task is stuck, or whose whole interrupt executor is.

use core::fmt;
use embassy_rp::watchdog::{ResetReason, Watchdog};
use embassy_time::{Duration, Timer};

use crate::progress::{APPLICATION, RADIO};

/// Without food for this long it bites. The RP2040 cannot wait for longer than 8.388 s [RP2040 4.7.5, E1].
const PATIENCE: Duration = Duration::from_secs(8);
/// How often it is fed.
const FEED_EVERY: Duration = Duration::from_secs(1);
/// The application's first promise: everything before its loop.
const START_TIME: Duration = Duration::from_secs(30);

/// Why the board started.
#[derive(Clone, Copy)]
pub(crate) struct Restart(Option<ResetReason>);

impl Restart {
    pub(crate) fn read(watchdog: &Watchdog) -> Self {
        Self(watchdog.reset_reason())
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "started",
            Some(ResetReason::Forced) => "restarted by itself",
            Some(ResetReason::TimedOut) => "restarted by the watchdog: something was stuck",
        })
    }
}

/// Feeds it while the application keeps its promise.
#[embassy_executor::task]
pub(crate) async fn feed(mut watchdog: Watchdog) -> ! {
    APPLICATION.promise(START_TIME);
    RADIO.promise(START_TIME);
    watchdog.pause_on_debug(true);
    watchdog.start(PATIENCE);
    loop {
        match [("application", &APPLICATION), ("radio's task", &RADIO)]
            .into_iter()
            .find(|(_, who)| !who.is_kept())
        {
            None => watchdog.feed(PATIENCE),
            Some((who, _)) => log::error!("the {who} is stuck; the watchdog will restart the board"),
        }
        Timer::after(FEED_EVERY).await;
    }
}
