//! What the device decides: connect, back off, sample, publish; `no_std`, no alloc.
//!
//! The `main.py` of a Pico W that reports its temperature, as state machines without I/O: the firmware runs them over
//! Wi-Fi, the simulated device over the host's TCP, and the tests over nothing. The caller owns transport, clock,
//! sensor and LED, and is told what to do next.
//!
//! [`Device`] measures always, and connects and publishes while it is online:
//!
//! ```text
//!              ┌────────────────────────── back off ◀──────────────────────────────┐
//!              ▼                                                                   │ lost, refused, too late
//! Offline ─▶ Resting ─OpenTransport▶ Opening ─TLS up▶ Greeting ─CONNACK▶ Connected ─┘
//!    ▲                                                 CONNECT            PUBLISH, PINGREQ
//!    └── no network, from everywhere
//! ```
//!
//! What it needs to be online is decided beside it: [`Station`] brings the board into its Wi-Fi network, [`TimeSync`]
//! chooses the time server ([`Inform`] finds the network's own, [`sntp`] speaks with it), and [`Clock`] keeps the time.
//! [`Lamp`] shows what is wrong, and [`Progress`] tells the watchdog whether anything moves.
//!
//! Every wait has a deadline, every buffer a size that is known at compile time. All times are `u64` milliseconds of
//! a clock that never goes back, such as the time since start; those in `unix_ms` count from 1970.
//!
//! ```
//! use device_core::{Action, AdcReading, Config, Device, SEND_BYTES_MAX, Samples};
//!
//! let config = Config::new("pico_w_simple", "$aws/rules/telemetry/pico_w_simple", 7);
//! let mut device = Device::new(config).unwrap();
//! let mut out = [0; SEND_BYTES_MAX];
//! let now_ms = 0;
//! device.handle_online(now_ms);
//! while let Some(action) = device.poll_action(now_ms, &mut out) {
//!     match action {
//!         Action::OpenTransport => device.handle_transport_connected(now_ms), // TCP and TLS are up
//!         Action::Send { bytes, .. } => assert_eq!(out[0], 0x10, "CONNECT, {bytes} bytes"),
//!         Action::Sample { samples } => {
//!             let mut taken = Samples::new();
//!             (0..samples).for_each(|_| taken.add(AdcReading::from_12_bits(876)));
//!             device.handle_samples(&taken, now_ms);
//!         }
//!         Action::Close(_) => {}
//!     }
//! }
//! assert!(device.poll_timeout() > Some(now_ms)); // until then: bytes, or nothing to do
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod action;
mod average;
mod backoff;
pub mod calendar;
mod clock;
mod config;
mod device;
mod dhcp_inform;
mod inbox;
mod lamp;
mod payload;
mod progress;
mod random;
mod ring;
mod sensor;
pub mod settings;
pub mod sntp;
mod station;
mod time_sync;

pub use action::{Action, CloseReason};
pub use average::{SAMPLES_MAX, Samples};
pub use backoff::{Backoff, BackoffConfig};
pub use clock::{Clock, ClockError, STEP_MS_MAX};
pub use config::{
    CLIENT_ID_BYTES_MAX, Config, ConfigError, Deadlines, SAMPLES_PER_READING, SEND_BYTES_MAX,
    TOPIC_BYTES_MAX, WILL_PAYLOAD_BYTES_MAX, telemetry_topic,
};
pub use device::{Device, INFLIGHT_MAX, Phase};
pub use dhcp_inform::{INFORM_PACKET_BYTES, Inform};
pub use lamp::{Lamp, LedPattern};
pub use mqtt_wire::PacketKind;
pub use payload::{PAYLOAD_BYTES_MAX, write_payload};
pub use progress::Progress;
pub use ring::{READINGS_MAX, Reading, Ring};
pub use sensor::{AdcReading, MilliDegrees};
pub use station::{
    ADDRESS_MS_MAX, FAILURES_BEFORE_POWER_CYCLE, JOIN_MS_MAX, JoinFailure, RADIO_READY_MS_MAX, Station,
    StationAction, StationFailure, StationPhase,
};
pub use time_sync::{QUERY_MS_MAX, TimeSource, TimeSync};
