//! What the device decides: connect, back off, sample, publish; `no_std`, no alloc.
//!
//! The `main.py` of a Pico W that reports its temperature, as a state machine without I/O: the firmware runs it over
//! Wi-Fi, the simulated device over the host's TCP, and the tests over nothing. The caller owns transport, clock,
//! sensor and LED; [`Device`] tells it what to do next.
//!
//! ```text
//!              ┌────────────────────────── back off ◀──────────────────────────────┐
//!              ▼                                                                   │ lost, refused, too late
//!           Resting ─OpenTransport▶ Opening ─TLS up▶ Greeting ─CONNACK▶ Connected ─┘
//!                                                     CONNECT            Sample, PUBLISH, PINGREQ
//! ```
//!
//! Every wait has a deadline, every buffer a size that is known at compile time. All times are `u64` milliseconds of
//! a clock that never goes back, such as the time since start.
//!
//! ```
//! use device_core::{Action, AdcReading, Config, Device, SEND_BYTES_MAX};
//!
//! let config = Config::new("pico_w_simple", "$aws/rules/telemetry/pico_w_simple", 7);
//! let mut device = Device::new(config).unwrap();
//! let mut out = [0; SEND_BYTES_MAX];
//! let now_ms = 0;
//! while let Some(action) = device.poll_action(now_ms, &mut out) {
//!     match action {
//!         Action::OpenTransport => device.handle_transport_connected(now_ms), // TCP and TLS are up
//!         Action::Send { bytes, .. } => assert_eq!(out[0], 0x10, "CONNECT, {bytes} bytes"),
//!         Action::Sample => device.handle_reading(AdcReading::from_12_bits(876)),
//!         Action::Led(_) | Action::Close(_) => {}
//!     }
//! }
//! assert!(device.poll_timeout() > Some(now_ms)); // until then: bytes, or nothing to do
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod action;
mod backoff;
pub mod calendar;
mod config;
mod device;
mod inbox;
mod payload;
mod random;
mod sensor;
pub mod settings;

pub use action::{Action, CloseReason, LedPattern};
pub use backoff::{Backoff, BackoffConfig};
pub use config::{
    CLIENT_ID_BYTES_MAX, Config, ConfigError, Deadlines, SEND_BYTES_MAX, TOPIC_BYTES_MAX,
    WILL_PAYLOAD_BYTES_MAX, telemetry_topic,
};
pub use device::{Device, Phase};
pub use payload::{PAYLOAD_BYTES_MAX, write_payload};
pub use sensor::{AdcReading, MilliDegrees};
