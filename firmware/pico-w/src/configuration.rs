//! The configuration partition in flash.

use device_core::settings::{CONFIG_ADDRESS, CONFIG_BYTES, Settings, SettingsError};
use embassy_time::{Duration, Timer};
use static_cell::StaticCell;

use crate::progress::APPLICATION;

/// How often a board that cannot work says so: a person who opens the serial console need not wait long.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// What the board was told to be.
pub(crate) fn read() -> Result<&'static Settings<'static>, SettingsError> {
    // SAFETY: the partition lies in flash, which is mapped for reading, and nothing writes to it while this runs.
    let partition =
        unsafe { core::slice::from_raw_parts(CONFIG_ADDRESS as usize as *const u8, CONFIG_BYTES) };
    static SETTINGS: StaticCell<Settings<'static>> = StaticCell::new();
    Settings::read(partition).map(|settings| &*SETTINGS.init(settings))
}

/// Nothing can be done but to say so, in the log and with the LED (by the network task).
#[embassy_executor::task]
pub(crate) async fn complain(error: SettingsError) -> ! {
    loop {
        log::error!("configuration: {error}");
        APPLICATION.promise(COMPLAIN_EVERY * 2);
        Timer::after(COMPLAIN_EVERY).await;
    }
}
