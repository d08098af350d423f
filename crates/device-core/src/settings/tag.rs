//! The fields' tags. A tag is never used again for something else.

pub(super) const MAGIC: &[u8; 8] = b"EYOTCONF";
/// Magic, length and checksum.
pub(super) const HEADER_BYTES: usize = 16;

/// Tags with this bit may be skipped by a firmware that does not know them.
pub(super) const SKIPPABLE: u16 = 0x8000;

pub(super) const WIFI_SSID: u16 = 0x01;
pub(super) const WIFI_PASSWORD: u16 = 0x02;
pub(super) const WIFI_COUNTRY: u16 = 0x03;
pub(super) const ENDPOINT_HOST: u16 = 0x04;
pub(super) const ENDPOINT_PORT: u16 = 0x05;
pub(super) const CLIENT_ID: u16 = 0x06;
pub(super) const TOPIC: u16 = 0x07;
pub(super) const QOS: u16 = 0x08;
pub(super) const INTERVAL_MS: u16 = 0x09;
pub(super) const KEEP_ALIVE_S: u16 = 0x0A;
pub(super) const WILL_TOPIC: u16 = 0x0B;
pub(super) const WILL_PAYLOAD: u16 = 0x0C;
pub(super) const NTP_HOST: u16 = 0x0D;
/// May come several times.
pub(super) const SERVER_CA: u16 = 0x0E;
pub(super) const CERTIFICATE: u16 = 0x0F;
pub(super) const PRIVATE_KEY: u16 = 0x10;
pub(super) const SEED: u16 = 0x11;
