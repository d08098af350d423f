//! One simulated board: the device, what it measured, and what became of it.

use device_core::{AdcReading, Config, Device, Samples};
use std::collections::BTreeSet;

/// What the server's clock shows at the beginning.
pub(crate) const UNIX_MS: u64 = 1_764_000_000_000;

pub(crate) struct Board<'a> {
    pub(crate) device: Device<'a>,
    pub(crate) interval_ms: u64,
    /// When each reading was measured, by its number. Its temperature tells the number again.
    pub(crate) measured_at_ms: Vec<u64>,
    /// Its present connection. Bytes of an earlier one no longer reach it.
    pub(crate) connection: Option<u64>,
    pub(crate) has_network: bool,
    /// When it will be woken.
    pub(crate) wake_at_ms: u64,
    /// When it began to connect.
    pub(crate) knocked_at_ms: Vec<u64>,
    /// How long TLS takes it.
    pub(crate) handshake_ms: u64,
    /// Numbers whose PUBACK reached it.
    pub(crate) acknowledged: BTreeSet<usize>,
}

impl<'a> Board<'a> {
    pub(crate) fn new(client_id: &'a str, interval_ms: u64, seed: u64, handshake_ms: u64) -> Self {
        let config =
            Config { interval_ms, samples_per_reading: 1, ..Config::new(client_id, "telemetry", seed) };
        let mut device = Device::new(config).expect("a valid configuration");
        device.handle_time(UNIX_MS, 0);
        Self {
            device,
            interval_ms,
            measured_at_ms: vec![],
            connection: None,
            has_network: false,
            wake_at_ms: u64::MAX,
            knocked_at_ms: vec![],
            handshake_ms,
            acknowledged: BTreeSet::new(),
        }
    }

    pub(crate) fn measure(&mut self, now_ms: u64) {
        let number = self.measured_at_ms.len();
        self.measured_at_ms.push(now_ms);
        let mut samples = Samples::new();
        samples.add(adc_reading(number));
        self.device.handle_samples(&samples, now_ms);
    }

    /// The number of the reading in a payload; its time, if it is there, must be that of the reading.
    pub(crate) fn number(&self, payload: &str, sent_at_ms: u64) -> usize {
        let fields = payload.strip_prefix(r#"{"temp": "#).and_then(|rest| rest.strip_suffix('}'));
        let fields = fields.expect("a temperature");
        let (temperature, measured_at) = match fields.split_once(r#", "measured_at": "#) {
            Some((temperature, measured_at)) => (temperature, Some(measured_at)),
            None => (fields, None),
        };
        let number = number_of(temperature);
        let measured_at_ms = self.measured_at_ms[number];
        match measured_at {
            Some(unix_ms) => assert_eq!(unix_ms.parse(), Ok(UNIX_MS + measured_at_ms), "reading {number}"),
            None => assert!(sent_at_ms - measured_at_ms <= self.interval_ms, "reading {number} comes late"),
        }
        number
    }
}

fn adc_reading(number: usize) -> AdcReading {
    AdcReading::from_16_bits(u16::try_from(number).expect("few readings"))
}

/// Warm is a small reading of the converter, so numbers go up as temperatures go down.
fn number_of(temperature: &str) -> usize {
    let wanted: i32 = temperature.replace('.', "").parse().expect("thousandths of a degree");
    let (mut least, mut end) = (0, usize::from(u16::MAX) + 1);
    while least + 1 < end {
        let middle = usize::midpoint(least, end);
        if adc_reading(middle).temperature().0 >= wanted { least = middle } else { end = middle }
    }
    assert_eq!(adc_reading(least).temperature().0, wanted, "a temperature that was measured");
    least
}
