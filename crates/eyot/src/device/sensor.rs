//! A room for the simulated Pico W to measure.

use std::f64::consts::TAU;
use std::time::Duration;

use device_core::{AdcReading, MilliDegrees};

/// The room's temperature in the middle, in thousandths of a degree.
const MIDDLE: f64 = 24_000.0;
/// How far it swings to both sides.
const SWING: f64 = 3_000.0;
/// How long a swing takes: short, so that a demo shows a curve.
const PERIOD_S: f64 = 60.0;
/// The converter's noise, to both sides.
const NOISE: f64 = 400.0;

/// The temperature sensor of a room.
#[derive(Debug)]
pub(super) struct Sensor {
    noise: u64,
}

impl Sensor {
    pub(super) fn new(seed: u64) -> Self {
        // Xorshift stays at zero forever.
        Self { noise: seed | 1 }
    }

    /// Reads it at a time.
    pub(super) fn read(&mut self, elapsed: Duration) -> AdcReading {
        let swing = (elapsed.as_secs_f64() / PERIOD_S * TAU).sin() * SWING;
        let temperature = MIDDLE + swing + self.fraction() * NOISE;
        AdcReading::at(MilliDegrees(temperature as i32))
    }

    /// The next number from -1 to 1.
    fn fraction(&mut self) -> f64 {
        self.noise ^= self.noise << 13;
        self.noise ^= self.noise >> 7;
        self.noise ^= self.noise << 17;
        (self.noise >> 32) as f64 / f64::from(u32::MAX) * 2.0 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_one_to_live_in() {
        let mut sensor = Sensor::new(7);
        let readings: Vec<i32> =
            (0..120).map(|second| sensor.read(Duration::from_secs(second)).temperature().0).collect();
        assert!(readings.iter().all(|reading| (20_000..28_000).contains(reading)), "{readings:?}");
        let spread = readings.iter().max().zip(readings.iter().min()).map(|(most, least)| most - least);
        assert!(spread > Some(4_000), "it has a day and a night: {spread:?}");
    }
}
