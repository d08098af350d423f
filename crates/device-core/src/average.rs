//! One temperature out of several readings of the converter.

use crate::sensor::{AdcReading, MilliDegrees, temperature_of};

/// Readings of the converter per temperature at most. More would not tell more: the sensor is off by degrees.
pub const SAMPLES_MAX: u8 = 64;

/// Readings of the converter whose average is one temperature.
///
/// A step of the converter is 0.47 degrees and its noise is a few steps, so that the average of 16 moves smoothly where
/// single readings jump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    sum: u32,
    count: u8,
}

impl Samples {
    /// None yet.
    pub const fn new() -> Self {
        Self { sum: 0, count: 0 }
    }

    /// Adds one. Those after [`SAMPLES_MAX`] are left out.
    pub const fn add(&mut self, reading: AdcReading) {
        if self.count < SAMPLES_MAX {
            self.sum += reading.as_16_bits() as u32;
            self.count += 1;
        }
    }

    /// The average, rounded once to the nearest thousandth of a degree; `None` when nothing was added.
    pub const fn temperature(&self) -> Option<MilliDegrees> {
        if self.count == 0 { None } else { Some(temperature_of(self.sum, self.count)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(readings: &[u16]) -> Samples {
        let mut samples = Samples::new();
        readings.iter().for_each(|reading| samples.add(AdcReading::from_16_bits(*reading)));
        samples
    }

    #[test]
    fn nothing_measured_is_no_temperature() {
        assert_eq!(Samples::new().temperature(), None);
    }

    #[test]
    fn one_sample_is_its_own_average() {
        for reading in 0..=u16::MAX {
            let expected = AdcReading::from_16_bits(reading).temperature();
            assert_eq!(of(&[reading]).temperature(), Some(expected));
        }
    }

    #[test]
    fn what_is_above_the_limit_is_left_out() {
        let mut readings = std::vec![14_000; usize::from(SAMPLES_MAX)];
        let expected = of(&readings).temperature();
        readings.push(u16::MAX);
        assert_eq!(of(&readings).temperature(), expected);
    }

    proptest! {
        #[test]
        fn the_average_is_rounded_once(readings in proptest::collection::vec(any::<u16>(), 1..=64)) {
            let sum: f64 = readings.iter().map(|reading| f64::from(*reading)).sum();
            let volts = sum / readings.len() as f64 * 3.3 / 65_535.0;
            let exact = (27.0 - (volts - 0.706) / 0.001_721) * 1_000.0;
            let ours = f64::from(of(&readings).temperature().unwrap().0);
            prop_assert!((ours - exact).abs() <= 0.501, "{ours} and {exact}");
        }
    }
}
