//! Settings to partition.

use super::crc32::crc32;
use super::{Settings, tag};

/// The settings do not fit into the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration does not fit into {room} bytes: use fewer or smaller certificates")]
pub struct SettingsTooLarge {
    /// Bytes that there are.
    pub room: usize,
}

impl Settings<'_> {
    /// Writes the partition's content and returns its length. The rest of the partition should be erased flash, 0xFF.
    ///
    /// # Errors
    /// `out` is too small.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, SettingsTooLarge> {
        let room = out.len();
        let (header, fields) =
            out.split_at_mut_checked(tag::HEADER_BYTES).ok_or(SettingsTooLarge { room })?;
        let mut writer = Writer { fields, written: 0, is_full: false };
        writer.field(tag::WIFI_SSID, self.wifi_ssid.as_bytes());
        writer.field(tag::WIFI_PASSWORD, self.wifi_password.as_bytes());
        writer.field(tag::WIFI_COUNTRY, &self.wifi_country);
        writer.field(tag::ENDPOINT_HOST, self.endpoint_host.as_bytes());
        writer.field(tag::ENDPOINT_PORT, &self.endpoint_port.to_le_bytes());
        writer.field(tag::CLIENT_ID, self.client_id.as_bytes());
        writer.field(tag::TOPIC, self.topic.as_bytes());
        writer.field(tag::QOS, &[self.qos as u8]);
        writer.field(tag::INTERVAL_MS, &self.interval_ms.to_le_bytes());
        writer.field(tag::KEEP_ALIVE_S, &self.keep_alive_s.to_le_bytes());
        writer.field(tag::WILL_TOPIC, self.will.topic.as_bytes());
        writer.field(tag::WILL_PAYLOAD, self.will.payload.as_bytes());
        writer.field(tag::NTP_HOST, self.ntp_host.as_bytes());
        for certificate in self.server_cas.iter() {
            writer.field(tag::SERVER_CA, certificate);
        }
        writer.field(tag::CERTIFICATE, self.certificate);
        writer.field(tag::PRIVATE_KEY, self.private_key);
        writer.field(tag::SEED, &self.seed);
        let Writer { written, is_full: false, .. } = writer else { return Err(SettingsTooLarge { room }) };

        let length = u32::try_from(written).map_err(|_| SettingsTooLarge { room })?;
        header[..8].copy_from_slice(tag::MAGIC);
        header[8..12].copy_from_slice(&length.to_le_bytes());
        header[12..].copy_from_slice(&crc32(&fields[..written]).to_le_bytes());
        Ok(tag::HEADER_BYTES + written)
    }
}

struct Writer<'o> {
    fields: &'o mut [u8],
    written: usize,
    is_full: bool,
}

impl Writer<'_> {
    fn field(&mut self, tag: u16, value: &[u8]) {
        let Ok(length) = u16::try_from(value.len()) else {
            self.is_full = true;
            return;
        };
        self.bytes(&tag.to_le_bytes());
        self.bytes(&length.to_le_bytes());
        self.bytes(value);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        match self.fields.get_mut(self.written..).and_then(|room| room.get_mut(..bytes.len())) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.written += bytes.len();
            }
            None => self.is_full = true,
        }
    }
}
