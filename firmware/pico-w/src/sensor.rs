//! The temperature sensor in the chip, read in the interrupt executor: a handshake that computes for seconds in thread
//! mode leaves no gap in the readings.

use device_core::settings::INTERVAL_MS_MIN;
use device_core::{AdcReading, SAMPLES_PER_READING, Samples};
use embassy_rp::adc::{Adc, Async, Channel, Config};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel;
use embassy_time::{Duration, Ticker};
use portable_atomic::{AtomicU32, Ordering};

use crate::board::{Irqs, SensorPins};
use crate::clock::now_ms;

/// Readings that wait while thread mode computes: at the shortest interval those of an RSA key's 8 s, twice, because a
/// board waits for its flash.
const WAITING_MAX: usize = 160;
const _: () = assert!(WAITING_MAX * INTERVAL_MS_MIN as usize >= 16_000);

/// What was measured, and when.
pub(crate) type Measured = (Samples, u64);

/// The readings, oldest first. One that finds no room is lost and counted.
pub(crate) static MEASURED: channel::Channel<CriticalSectionRawMutex, Measured, WAITING_MAX> =
    channel::Channel::new();

static LOST: AtomicU32 = AtomicU32::new(0);

/// Readings that found no room since start.
pub(crate) fn lost() -> u64 {
    LOST.load(Ordering::Relaxed).into()
}

/// Measures on a fixed grid of time, forever.
#[embassy_executor::task]
pub(crate) async fn measure(mut sensor: Sensor, interval_ms: u32) -> ! {
    let mut ticker = Ticker::every(Duration::from_millis(interval_ms.into()));
    loop {
        let measured_at_ms = now_ms();
        let samples = sensor.read(SAMPLES_PER_READING).await;
        if MEASURED.try_send((samples, measured_at_ms)).is_err() {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        ticker.next().await;
    }
}

/// The sensor and its converter.
pub(crate) struct Sensor {
    adc: Adc<'static, Async>,
    channel: Channel<'static>,
}

impl Sensor {
    pub(crate) fn new(pins: SensorPins) -> Self {
        Self {
            adc: Adc::new(pins.adc, Irqs, Config::default()),
            channel: Channel::new_temp_sensor(pins.channel),
        }
    }

    /// Reads it several times. A conversion that fails is left out.
    async fn read(&mut self, times: u8) -> Samples {
        let mut samples = Samples::new();
        for _ in 0..times {
            if let Ok(reading) = self.adc.read(&mut self.channel).await {
                samples.add(AdcReading::from_12_bits(reading));
            }
        }
        samples
    }

    /// A conversion's bits, for their noise.
    pub(crate) fn noise(&mut self) -> u16 {
        self.adc.blocking_read(&mut self.channel).unwrap_or(0)
    }
}
