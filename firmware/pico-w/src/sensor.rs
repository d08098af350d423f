//! The temperature sensor in the chip.

use device_core::{AdcReading, Samples};
use embassy_rp::adc::{Adc, Async, Channel, Config};

use crate::board::{Irqs, SensorPins};

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
    pub(crate) async fn read(&mut self, times: u8) -> Samples {
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
