//! What the application promises the watchdog.

use core::cell::RefCell;
use device_core::Progress;
use embassy_sync::blocking_mutex::CriticalSectionMutex;
use embassy_time::Duration;

use crate::clock::now_ms;

static PROGRESS: CriticalSectionMutex<RefCell<Progress>> =
    CriticalSectionMutex::new(RefCell::new(Progress::new()));

/// The application will promise again within this time, or it is stuck.
pub(crate) fn promise(within: Duration) {
    PROGRESS.lock(|progress| progress.borrow_mut().promise(now_ms(), within.as_millis()));
}

/// Whether the last promise still holds.
pub(crate) fn is_kept() -> bool {
    PROGRESS.lock(|progress| progress.borrow().is_kept(now_ms()))
}
