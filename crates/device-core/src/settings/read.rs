//! Partition to settings.

use super::crc32::crc32;
use super::{
    HOST_BYTES_MAX, INTERVAL_MS_MIN, SERVER_CAS_MAX, Settings, SettingsError, WIFI_PASSWORD_BYTES_MAX,
    WIFI_PASSWORD_BYTES_MIN, WIFI_SSID_BYTES_MAX, Will, tag,
};
use crate::config::{CLIENT_ID_BYTES_MAX, TOPIC_BYTES_MAX, WILL_PAYLOAD_BYTES_MAX};
use core::ops::RangeInclusive;
use mqtt_wire::{QoS, TopicName};

/// Certificates in DER, one behind the other, at most [`SERVER_CAS_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DerCertificates<'a> {
    certificates: [&'a [u8]; SERVER_CAS_MAX],
    count: usize,
}

impl<'a> DerCertificates<'a> {
    /// Adds one; false when there are [`SERVER_CAS_MAX`] already.
    pub fn push(&mut self, certificate: &'a [u8]) -> bool {
        match self.certificates.get_mut(self.count) {
            Some(place) => {
                *place = certificate;
                self.count += 1;
                true
            }
            None => false,
        }
    }

    /// All of them, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.certificates[..self.count].iter().copied()
    }
}

impl<'a> Settings<'a> {
    /// Reads and checks a partition.
    ///
    /// # Errors
    /// There is none, it is damaged, or something in it cannot be used.
    pub fn read(partition: &'a [u8]) -> Result<Self, SettingsError> {
        let fields = whole(partition)?;
        let mut found = Found::default();
        for field in (Fields { rest: fields }) {
            let (tag, value) = field?;
            found.keep(tag, value)?;
        }
        found.check()
    }
}

/// The fields of a partition whose length and checksum are right.
fn whole(partition: &[u8]) -> Result<&[u8], SettingsError> {
    let (magic, rest) = partition.split_first_chunk().ok_or(SettingsError::Missing)?;
    if magic != tag::MAGIC {
        // A sector that was erased and never written is no damage, anything else may be the remains of one.
        let is_erased = magic == &[0xFF; 8];
        return Err(if is_erased { SettingsError::Missing } else { SettingsError::Damaged });
    }
    let (length, rest) = rest.split_first_chunk().ok_or(SettingsError::Damaged)?;
    let (checksum, rest) = rest.split_first_chunk().ok_or(SettingsError::Damaged)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| SettingsError::Damaged)?;
    let fields = rest.get(..length).ok_or(SettingsError::Damaged)?;
    if crc32(fields) != u32::from_le_bytes(*checksum) {
        return Err(SettingsError::Damaged);
    }
    Ok(fields)
}

struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u16, &'a [u8]), SettingsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.split().ok_or(SettingsError::Damaged);
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn split(&mut self) -> Option<(u16, &'a [u8])> {
        let (tag, rest) = self.rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        self.rest = rest;
        Some((u16::from_le_bytes(*tag), value))
    }
}

/// The fields as they lie in the partition.
#[derive(Default)]
struct Found<'a> {
    /// By tag. The last one of a kind counts.
    values: [Option<&'a [u8]>; FIELDS],
    server_cas: DerCertificates<'a>,
}

/// One more than the highest tag.
const FIELDS: usize = tag::SEED as usize + 1;

impl<'a> Found<'a> {
    fn keep(&mut self, tag: u16, value: &'a [u8]) -> Result<(), SettingsError> {
        if tag == tag::SERVER_CA {
            let has_room = self.server_cas.push(value);
            return if has_room { Ok(()) } else { Err(SettingsError::Unusable("list of server CAs")) };
        }
        match self.values.get_mut(usize::from(tag)) {
            Some(place) if tag != 0 => *place = Some(value),
            _ if tag & tag::SKIPPABLE != 0 => {}
            _ => return Err(SettingsError::UnknownField(tag)),
        }
        Ok(())
    }

    fn check(&self) -> Result<Settings<'a>, SettingsError> {
        let wifi_password = self.text(tag::WIFI_PASSWORD, "Wi-Fi password", 0..=WIFI_PASSWORD_BYTES_MAX)?;
        if !wifi_password.is_empty() && wifi_password.len() < WIFI_PASSWORD_BYTES_MIN {
            return Err(SettingsError::Unusable("Wi-Fi password"));
        }
        let wifi_country = self.fixed(tag::WIFI_COUNTRY, "Wi-Fi country")?;
        if !wifi_country.iter().all(u8::is_ascii_uppercase) {
            return Err(SettingsError::Unusable("Wi-Fi country"));
        }
        let interval_ms = u32::from_le_bytes(self.fixed(tag::INTERVAL_MS, "interval")?);
        if interval_ms < INTERVAL_MS_MIN {
            return Err(SettingsError::Unusable("interval"));
        }
        let qos = match self.fixed(tag::QOS, "QoS")? {
            [0] => QoS::AtMostOnce,
            [1] => QoS::AtLeastOnce,
            _ => return Err(SettingsError::Unusable("QoS")),
        };
        let topic = self.text(tag::TOPIC, "topic", 1..=TOPIC_BYTES_MAX)?;
        TopicName::parse(topic).map_err(|_| SettingsError::Unusable("topic"))?;
        Ok(Settings {
            wifi_ssid: self.text(tag::WIFI_SSID, "Wi-Fi name", 1..=WIFI_SSID_BYTES_MAX)?,
            wifi_password,
            wifi_country,
            endpoint_host: self.text(tag::ENDPOINT_HOST, "endpoint", 1..=HOST_BYTES_MAX)?,
            endpoint_port: u16::from_le_bytes(self.fixed(tag::ENDPOINT_PORT, "endpoint's port")?),
            client_id: self.text(tag::CLIENT_ID, "client id", 1..=CLIENT_ID_BYTES_MAX)?,
            topic,
            qos,
            interval_ms,
            keep_alive_s: u16::from_le_bytes(self.fixed(tag::KEEP_ALIVE_S, "keep-alive")?),
            will: self.will()?,
            ntp_host: self.text(tag::NTP_HOST, "time server", 0..=HOST_BYTES_MAX)?,
            server_cas: self.server_cas,
            certificate: self.value(tag::CERTIFICATE, "certificate")?,
            private_key: self.value(tag::PRIVATE_KEY, "private key")?,
            seed: self.fixed(tag::SEED, "seed")?,
        })
    }

    fn will(&self) -> Result<Will<'a>, SettingsError> {
        let topic = self.text(tag::WILL_TOPIC, "will's topic", 0..=TOPIC_BYTES_MAX)?;
        let payload = self.text(tag::WILL_PAYLOAD, "will", 0..=WILL_PAYLOAD_BYTES_MAX)?;
        if !topic.is_empty() {
            TopicName::parse(topic).map_err(|_| SettingsError::Unusable("will's topic"))?;
        }
        Ok(Will { topic, payload })
    }

    fn value(&self, tag: u16, name: &'static str) -> Result<&'a [u8], SettingsError> {
        self.values[usize::from(tag)].ok_or(SettingsError::Lacking(name))
    }

    fn text(
        &self,
        tag: u16,
        name: &'static str,
        bytes: RangeInclusive<usize>,
    ) -> Result<&'a str, SettingsError> {
        let value = self.value(tag, name)?;
        let text = core::str::from_utf8(value).map_err(|_| SettingsError::Unusable(name))?;
        let is_usable = bytes.contains(&text.len()) && !text.contains('\0');
        if is_usable { Ok(text) } else { Err(SettingsError::Unusable(name)) }
    }

    fn fixed<const N: usize>(&self, tag: u16, name: &'static str) -> Result<[u8; N], SettingsError> {
        self.value(tag, name)?.try_into().map_err(|_| SettingsError::Unusable(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::CONFIG_BYTES;
    use proptest::prelude::*;

    fn example() -> Settings<'static> {
        let mut server_cas = DerCertificates::default();
        assert!(server_cas.push(b"first CA") && server_cas.push(b"second CA"));
        Settings {
            wifi_ssid: "home",
            wifi_password: "correct horse",
            wifi_country: *b"DE",
            endpoint_host: "eyot.local",
            endpoint_port: 8883,
            client_id: "pico_w_simple",
            topic: "$aws/rules/telemetry/pico_w_simple",
            qos: QoS::AtLeastOnce,
            interval_ms: 2_000,
            keep_alive_s: 60,
            will: Will { topic: "device/pico_w_simple/status", payload: r#"{"online": false}"# },
            ntp_host: "",
            server_cas,
            certificate: b"certificate",
            private_key: b"key",
            seed: [7; 32],
        }
    }

    fn partition(settings: &Settings<'_>) -> [u8; CONFIG_BYTES] {
        let mut partition = [0xFF; CONFIG_BYTES];
        settings.write(&mut partition).unwrap();
        partition
    }

    /// A partition that holds what `change` made of the example.
    fn read_changed(change: fn(&mut Settings<'static>)) -> Option<SettingsError> {
        let mut settings = example();
        change(&mut settings);
        Settings::read(&partition(&settings)).err()
    }

    #[test]
    fn what_was_written_is_read() {
        let partition = partition(&example());
        assert_eq!(Settings::read(&partition), Ok(example()));
    }

    #[test]
    fn erased_flash_is_no_configuration_and_a_changed_bit_is_damage() {
        assert_eq!(Settings::read(&[0xFF; CONFIG_BYTES]), Err(SettingsError::Missing));
        assert_eq!(Settings::read(&[]), Err(SettingsError::Missing));
        let mut out = [0xFF; CONFIG_BYTES];
        let length = example().write(&mut out).unwrap();
        for bit in 0..length * 8 {
            let mut damaged = out;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Settings::read(&damaged), Err(SettingsError::Damaged), "bit {bit}");
        }
        for end in 8..length {
            assert_eq!(Settings::read(&out[..end]), Err(SettingsError::Damaged), "cut at {end}");
        }
    }

    #[test]
    fn values_that_cannot_be_used_are_named() {
        use SettingsError::Unusable;
        assert_eq!(read_changed(|_| {}), None);
        assert_eq!(read_changed(|settings| settings.wifi_password = ""), None, "an open network");
        assert_eq!(read_changed(|settings| settings.wifi_ssid = ""), Some(Unusable("Wi-Fi name")));
        assert_eq!(
            read_changed(|settings| settings.wifi_password = "short"),
            Some(Unusable("Wi-Fi password"))
        );
        assert_eq!(read_changed(|settings| settings.wifi_country = *b"d3"), Some(Unusable("Wi-Fi country")));
        assert_eq!(read_changed(|settings| settings.qos = QoS::ExactlyOnce), Some(Unusable("QoS")));
        assert_eq!(read_changed(|settings| settings.interval_ms = 99), Some(Unusable("interval")));
        assert_eq!(read_changed(|settings| settings.topic = "a/#"), Some(Unusable("topic")));
        assert_eq!(read_changed(|settings| settings.will.topic = "+"), Some(Unusable("will's topic")));
        assert_eq!(read_changed(|settings| settings.endpoint_host = "a\0b"), Some(Unusable("endpoint")));
    }

    /// A partition of hand-written fields.
    fn of_fields(fields: &[u8]) -> std::vec::Vec<u8> {
        let mut partition = std::vec::Vec::from(*tag::MAGIC);
        partition.extend(u32::try_from(fields.len()).unwrap().to_le_bytes());
        partition.extend(crc32(fields).to_le_bytes());
        partition.extend(fields);
        partition
    }

    #[test]
    fn unknown_fields_are_refused_unless_they_may_be_skipped() {
        let unknown = of_fields(&[0x7F, 0, 0, 0]);
        assert_eq!(Settings::read(&unknown), Err(SettingsError::UnknownField(0x7F)));
        let skipped = of_fields(&[0x7F, 0x80, 1, 0, 9]);
        assert_eq!(Settings::read(&skipped), Err(SettingsError::Lacking("Wi-Fi password")));
        let zero = of_fields(&[0, 0, 0, 0]);
        assert_eq!(Settings::read(&zero), Err(SettingsError::UnknownField(0)));
    }

    #[test]
    fn too_many_or_too_large_certificates_do_not_fit() {
        let mut server_cas = DerCertificates::default();
        let large = [0; 5_000];
        for _ in 0..SERVER_CAS_MAX {
            assert!(server_cas.push(&large));
        }
        assert!(!server_cas.push(&large));
        let settings = Settings { server_cas, ..example() };
        assert!(settings.write(&mut [0; CONFIG_BYTES]).is_err());
        assert!(example().write(&mut [0; 10]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(fields in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = Settings::read(&fields);
            let _ = Settings::read(&of_fields(&fields));
        }
    }
}
