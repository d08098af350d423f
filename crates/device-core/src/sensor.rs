//! The RP2040's temperature sensor: from the analogue-digital converter to degrees.

use core::fmt;

/// What MicroPython's `read_u16()` of the temperature channel returns: 0 is 0 V, 65535 is 3.3 V.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AdcReading(u16);

/// A temperature in thousandths of a degree Celsius.
///
/// The sensor's steps are 0.47 degrees apart, so nothing is lost, and the firmware needs no floating point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MilliDegrees(pub i32);

// The formula of the RP2040 data sheet (4.9.5) with a 3.3 V reference: `27 - (V - 0.706) / 0.001721`.
const FULL_SCALE_UV: i64 = 3_300_000;
const FULL_SCALE_READING: i64 = 65_535;
const REFERENCE_UV: i64 = 706_000;
const REFERENCE_MILLI_DEGREES: i64 = 27_000;
const SLOPE_UV_PER_DEGREE: i64 = 1_721;

impl AdcReading {
    /// A reading on the scale of 16 bits.
    pub const fn from_16_bits(reading: u16) -> Self {
        Self(reading)
    }

    /// A reading of the converter itself, which has 12 bits; higher bits are ignored.
    ///
    /// Stretched as MicroPython does it: the upper bits are repeated below, so that the largest reading is 65535.
    pub const fn from_12_bits(reading: u16) -> Self {
        let reading = reading & 0x0FFF;
        Self(reading << 4 | reading >> 8)
    }

    /// The nearest reading of the converter at a temperature, for simulated sensors. Beyond the converter's range its end.
    pub fn at(temperature: MilliDegrees) -> Self {
        let drop_uv = (i64::from(temperature.0) - REFERENCE_MILLI_DEGREES) * SLOPE_UV_PER_DEGREE / 1_000;
        let steps = ((REFERENCE_UV - drop_uv) * 4_095 + FULL_SCALE_UV / 2) / FULL_SCALE_UV;
        Self::from_12_bits(steps.clamp(0, 4_095) as u16)
    }

    /// The reading on the scale of 16 bits.
    pub const fn as_16_bits(self) -> u16 {
        self.0
    }

    /// The temperature, rounded to the nearest thousandth.
    pub const fn temperature(self) -> MilliDegrees {
        temperature_of(self.0 as u32, 1)
    }
}

/// The temperature of the average of `count` readings with this sum.
pub(crate) const fn temperature_of(sum: u32, count: u8) -> MilliDegrees {
    // All in one fraction, so that it is rounded once: (V - reference) / slope with V = sum / count * scale.
    let full_scale = FULL_SCALE_READING * count as i64;
    let numerator = (sum as i64 * FULL_SCALE_UV - REFERENCE_UV * full_scale) * 1_000;
    let denominator = full_scale * SLOPE_UV_PER_DEGREE;
    let rounding = if numerator < 0 { -denominator / 2 } else { denominator / 2 };
    let above_reference = (numerator + rounding) / denominator;
    MilliDegrees((REFERENCE_MILLI_DEGREES - above_reference) as i32)
}

impl fmt::Display for MilliDegrees {
    /// `27.512`, always with three decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:03}", magnitude / 1_000, magnitude % 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    /// The post's two lines of Python.
    fn post(reading: u16) -> f64 {
        let volts = f64::from(reading) * (3.3 / 65_535.0);
        27.0 - (volts - 0.706) / 0.001_721
    }

    #[test]
    fn every_reading_agrees_with_the_posts_formula() {
        for reading in 0..=u16::MAX {
            let ours = f64::from(AdcReading::from_16_bits(reading).temperature().0) / 1_000.0;
            assert!((ours - post(reading)).abs() <= 0.000_501, "{reading}: {ours} and {}", post(reading));
        }
    }

    #[test]
    fn twelve_bits_fill_the_scale_of_sixteen() {
        assert_eq!(AdcReading::from_12_bits(0).as_16_bits(), 0);
        assert_eq!(AdcReading::from_12_bits(0x0FFF).as_16_bits(), 0xFFFF);
        assert_eq!(AdcReading::from_12_bits(0x0ABC).as_16_bits(), 0xABCA);
        assert_eq!(AdcReading::from_12_bits(0xFABC), AdcReading::from_12_bits(0x0ABC));
    }

    #[test]
    fn a_simulated_sensor_reads_back_its_temperature_within_half_a_step() {
        for temperature in (-20_000..85_000).step_by(137) {
            let read = AdcReading::at(MilliDegrees(temperature)).temperature().0;
            assert!((read - temperature).abs() <= 250, "{temperature} reads {read}");
        }
        assert_eq!(AdcReading::at(MilliDegrees(i32::MAX)).as_16_bits(), 0);
        assert_eq!(AdcReading::at(MilliDegrees(i32::MIN)).as_16_bits(), u16::MAX);
    }

    #[test]
    fn temperatures_read_as_decimals() {
        let rows =
            [(27_512, "27.512"), (27_000, "27.000"), (5, "0.005"), (-5, "-0.005"), (-12_034, "-12.034")];
        for (temperature, text) in rows {
            assert_eq!(MilliDegrees(temperature).to_string(), text);
        }
    }
}
