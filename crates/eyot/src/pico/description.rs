//! What an image holds, without its secrets.

use std::path::Path;

use device_core::settings::{Settings, SettingsError};
use pico_image::{Uf2, firmware_bytes, partition};
use pki::CertificateInfo;
use serde_json::{Value, json};

use crate::device::Endpoint;
use crate::failure::{Context as _, Failure, Outcome};
use crate::terminal::{Paint, printable_line, say};
use crate::wall_clock;

/// What to do about a file that is not as we write it.
const REMEDY: &str = "make it again with `eyot pico image`";

/// An image, as far as everybody may know it.
#[derive(Debug)]
pub(crate) struct Description {
    board: pico_image::Board,
    firmware_bytes: Option<usize>,
    configuration: Option<Configuration>,
}

/// The configuration partition but for password, key and seed.
#[derive(Debug)]
struct Configuration {
    thing: String,
    endpoint: Endpoint,
    topic: String,
    qos: u8,
    interval_ms: u32,
    keep_alive_s: u16,
    will_topic: String,
    ntp_host: String,
    wifi_ssid: String,
    wifi_country: String,
    wifi_is_open: bool,
    certificate: CertificateInfo,
    key_fits: bool,
    server_cas: Vec<CertificateInfo>,
}

impl Description {
    /// Looks into an image.
    pub(crate) fn of(image: &Uf2, path: &Path) -> Outcome<Self> {
        let firmware_bytes = firmware_bytes(image)
            .context(|| format!("what `{}` holds is no image of ours", path.display()))
            .map_err(|failure| failure.advice(REMEDY))?;
        let configuration = match partition(image) {
            None => None,
            Some(partition) => match Settings::read(&partition[..]) {
                Ok(settings) => Some(Configuration::of(&settings, path)?),
                // Sectors of erased flash.
                Err(SettingsError::Missing) => None,
                Err(error) => {
                    return Err(Failure::new(format!(
                        "the configuration in `{}` cannot be read",
                        path.display()
                    ))
                    .because(&error)
                    .advice(REMEDY));
                }
            },
        };
        Ok(Self { board: image.board(), firmware_bytes, configuration })
    }

    /// Whether the image has a private key and a password in it.
    pub(crate) fn is_secret(&self) -> bool {
        self.configuration.is_some()
    }

    /// For people.
    pub(crate) fn show(&self, paint: Paint) -> Outcome {
        let line = |name: &str, text: String| {
            say!("{} {}", paint.bold(&format!("{name:<11}")), printable_line(&text))
        };
        line("board", self.board.to_string())?;
        let bytes = self.firmware_bytes;
        line(
            "firmware",
            bytes.map_or("none: the board keeps its own".to_owned(), |bytes| format!("{} KiB", bytes / 1024)),
        )?;
        let Some(found) = &self.configuration else {
            return line("thing", "none: the board keeps its configuration".to_owned());
        };
        line("thing", format!("{}, which is its client id too", found.thing))?;
        line("connect to", format!("{}, keep-alive {} s", found.endpoint, found.keep_alive_s))?;
        line("publish to", format!("{}, QoS {}, every {} ms", found.topic, found.qos, found.interval_ms))?;
        if !found.will_topic.is_empty() {
            line("last will", format!("to {}", found.will_topic))?;
        }
        let lock = if found.wifi_is_open { "open" } else { "with a password" };
        line("Wi-Fi", format!("{}, {lock}, country {}", found.wifi_ssid, found.wifi_country))?;
        let time =
            if found.ntp_host.is_empty() { "servers of DHCP and the Internet" } else { &found.ntp_host };
        line("time from", time.to_owned())?;
        let certificate = &found.certificate;
        line("certificate", certificate.id.to_string())?;
        line("", format!("valid {} to {}", date(certificate.not_before), date(certificate.not_after)))?;
        let fits =
            if found.key_fits { "belongs to the certificate" } else { "does NOT belong to the certificate" };
        line("key", format!("{}, {fits}", certificate.key_kind))?;
        for authority in &found.server_cas {
            line("server CA", format!("{}, until {}", authority.subject, date(authority.not_after)))?;
        }
        Ok(())
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        json!({
            "board": self.board.name(),
            "firmwareBytes": self.firmware_bytes,
            "configuration": self.configuration.as_ref().map(Configuration::json),
        })
    }
}

impl Configuration {
    fn of(settings: &Settings<'_>, path: &Path) -> Outcome<Self> {
        let readable = |der: &[u8], what: &str| {
            pki::parse_certificate(der)
                .context(|| format!("the {what} in the configuration of `{}` is unreadable", path.display()))
                .map_err(|failure| failure.advice(REMEDY))
        };
        let certificate = readable(settings.certificate, "certificate")?;
        let server_cas: Outcome<_> =
            settings.server_cas.iter().map(|der| readable(der, "certificate of a server's CA")).collect();
        Ok(Self {
            thing: settings.client_id.to_owned(),
            endpoint: Endpoint { host: settings.endpoint_host.to_owned(), port: settings.endpoint_port },
            topic: settings.topic.to_owned(),
            qos: settings.qos as u8,
            interval_ms: settings.interval_ms,
            keep_alive_s: settings.keep_alive_s,
            will_topic: settings.will.topic.to_owned(),
            ntp_host: settings.ntp_host.to_owned(),
            wifi_ssid: settings.wifi_ssid.to_owned(),
            wifi_country: settings.wifi_country.iter().copied().map(char::from).collect(),
            wifi_is_open: settings.wifi_password.is_empty(),
            key_fits: pki::keys::key_der_matches_certificate(settings.private_key, &certificate.der)
                .unwrap_or(false),
            certificate,
            server_cas: server_cas?,
        })
    }

    fn json(&self) -> Value {
        let authorities = self.server_cas.iter().map(|authority| {
            json!({ "subject": authority.subject, "sha256": authority.id.to_string(), "notAfter": authority.not_after })
        });
        json!({
            "thingName": self.thing,
            "clientId": self.thing,
            "endpoint": self.endpoint.host,
            "port": self.endpoint.port,
            "topic": self.topic,
            "qos": self.qos,
            "intervalMs": self.interval_ms,
            "keepAliveS": self.keep_alive_s,
            "willTopic": self.will_topic,
            "ntpHost": self.ntp_host,
            "wifiSsid": self.wifi_ssid,
            "wifiCountry": self.wifi_country,
            "wifiIsOpen": self.wifi_is_open,
            "certificateId": self.certificate.id.to_string(),
            "notBefore": self.certificate.not_before,
            "notAfter": self.certificate.not_after,
            "keyType": self.certificate.key_kind.to_string(),
            "keyFitsCertificate": self.key_fits,
            "serverCas": authorities.collect::<Vec<_>>(),
        })
    }
}

fn date(seconds: i64) -> String {
    wall_clock::to_date(seconds.saturating_mul(1000))
}
