//! What the application and the radio's task promise the watchdog.

use core::cell::RefCell;
use device_core::Progress;
use embassy_sync::blocking_mutex::CriticalSectionMutex;
use embassy_time::Duration;

use crate::clock::now_ms;

/// Somebody who promises.
pub(crate) struct Promises(CriticalSectionMutex<RefCell<Progress>>);

/// Thread mode.
pub(crate) static APPLICATION: Promises = Promises::new();
/// The radio's task, which also keeps Wi-Fi and LED.
pub(crate) static RADIO: Promises = Promises::new();

impl Promises {
    const fn new() -> Self {
        Self(CriticalSectionMutex::new(RefCell::new(Progress::new())))
    }

    /// There will be another promise within this time, or it is stuck.
    pub(crate) fn promise(&self, within: Duration) {
        self.0.lock(|progress| progress.borrow_mut().promise(now_ms(), within.as_millis()));
    }

    /// Whether the last promise still holds.
    pub(crate) fn is_kept(&self) -> bool {
        self.0.lock(|progress| progress.borrow().is_kept(now_ms()))
    }
}
