//! Bytes to MQTT packets and back, topic names and filters; no_std, no alloc.
#![no_std]

mod qos;
pub mod topic;

pub use qos::QoS;
