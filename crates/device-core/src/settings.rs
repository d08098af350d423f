//! The configuration partition: what makes one firmware image this device.
//!
//! `eyot pico image` writes it, the firmware reads it where it lies in flash. Both use this file, so neither can
//! misunderstand the other.
//!
//! ```text
//! 0    8   magic `EYOTCONF`
//! 8    4   length of the fields, little endian
//! 12   4   CRC-32 (IEEE) of the fields, little endian
//! 16   …   fields: tag u16, length u16, value; little endian, unaligned
//! ```
//! A field that an older firmware does not know makes it refuse, unless its tag says that it may be skipped. The rest
//! of the partition is erased flash.

mod crc32;
mod layout;
pub mod mark;
mod read;
mod tag;
mod write;

pub use layout::{CONFIG_ADDRESS, CONFIG_BYTES, FIRMWARE_ADDRESS, FIRMWARE_BYTES_MAX};
pub use read::DerCertificates;
pub use write::SettingsTooLarge;

use mqtt_wire::QoS;

/// Everything that differs from one device to another. The texts and keys lie in the partition.
///
/// [`Settings::read`] has checked that each value can be used; certificates and key are bytes that TLS will judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings<'a> {
    /// The network's name, 1 to 32 bytes.
    pub wifi_ssid: &'a str,
    /// The network's passphrase, 8 to 63 bytes; empty for an open network.
    pub wifi_password: &'a str,
    /// ISO 3166 code that says which radio channels are allowed, such as `DE`; `XX` for those allowed everywhere.
    pub wifi_country: [u8; 2],
    /// The server's DNS name or IPv4 address, which its certificate must show too. At most 253 bytes.
    pub endpoint_host: &'a str,
    /// The server's port, 8883 for MQTT with mutual TLS.
    pub endpoint_port: u16,
    /// Who the device is.
    pub client_id: &'a str,
    /// Where it publishes.
    pub topic: &'a str,
    /// 0 or 1.
    pub qos: QoS,
    /// Time between two readings, in milliseconds.
    pub interval_ms: u32,
    /// What the CONNECT promises, in seconds.
    pub keep_alive_s: u16,
    /// Where the server publishes that the device is gone, and what; none when the topic is empty.
    pub will: Will<'a>,
    /// Name or address of the server to ask for the time first; empty to ask those of DHCP and the Internet.
    pub ntp_host: &'a str,
    /// The certificate authorities that the server may come from beside those of AWS.
    pub server_cas: DerCertificates<'a>,
    /// The device's certificate.
    pub certificate: &'a [u8],
    /// The device's private key: PKCS#1, SEC1 or PKCS#8.
    pub private_key: &'a [u8],
    /// Random bytes of this image, one source of the device's entropy.
    pub seed: [u8; SEED_BYTES],
}

/// The last will, published by the server when the device vanishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where; empty for none.
    pub topic: &'a str,
    /// What.
    pub payload: &'a str,
}

/// Bytes of [`Settings::seed`].
pub const SEED_BYTES: usize = 32;
/// Longest name of a Wi-Fi network [IEEE 802.11 9.4.2.2].
pub const WIFI_SSID_BYTES_MAX: usize = 32;
/// Shortest passphrase [IEEE 802.11 J.4.1].
pub const WIFI_PASSWORD_BYTES_MIN: usize = 8;
/// Longest passphrase [IEEE 802.11 J.4.1].
pub const WIFI_PASSWORD_BYTES_MAX: usize = 63;
/// Longest DNS name in text [RFC 1035 2.3.4].
pub const HOST_BYTES_MAX: usize = 253;
/// Certificate authorities at most: a few roots, and each is parsed at every connect.
pub const SERVER_CAS_MAX: usize = 4;
/// Shortest interval: below, a handshake of an RSA key fills the ring.
pub const INTERVAL_MS_MIN: u32 = 100;

/// Why a partition cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// No configuration was ever written.
    #[error("there is no configuration on this board: make one with `eyot pico image`")]
    Missing,
    /// The bytes are not those that were written.
    #[error("the configuration is damaged: write it again with `eyot pico image`")]
    Damaged,
    /// A field that this firmware does not know and may not skip.
    #[error("the configuration has a field ({0:#06x}) that this firmware does not know: update the firmware")]
    UnknownField(u16),
    /// A field is not there.
    #[error("the configuration lacks the {0}")]
    Lacking(&'static str),
    /// A field has a value that cannot be used.
    #[error("the configuration's {0} cannot be used")]
    Unusable(&'static str),
}
