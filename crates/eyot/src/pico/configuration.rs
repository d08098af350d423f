//! The configuration partition from what the user wants and what was found.

use device_core::settings::{CONFIG_BYTES, DerCertificates, SEED_BYTES, Settings, Will};
use mqtt_wire::QoS;

use crate::device::Endpoint;
use crate::failure::{Context as _, Failure, Outcome};

use super::{DeviceIdentity, Roots};

/// Bytes that a certificate may have which is not made yet: the services' have about 900 for an RSA key, 600 for P-256.
const CERTIFICATE_BYTES_MAX: usize = 2048;
/// Bytes that its key may have: RSA-2048 has up to 1219, wrapped in PKCS#8.
const PRIVATE_KEY_BYTES_MAX: usize = 1280;

/// What the board is to do, as given on the command line.
pub(crate) struct Wishes {
    /// The thing's name, which is the client id.
    pub(crate) thing: String,
    /// The Wi-Fi network's name.
    pub(crate) wifi_ssid: String,
    /// Its passphrase; empty for an open network.
    pub(crate) wifi_password: String,
    /// ISO 3166, or `XX`.
    pub(crate) wifi_country: [u8; 2],
    /// Where readings go.
    pub(crate) topic: String,
    /// 0 or 1.
    pub(crate) qos: QoS,
    /// Milliseconds between two readings.
    pub(crate) interval_ms: u32,
    /// Seconds.
    pub(crate) keep_alive_s: u16,
    /// A time server; empty for those of DHCP and the Internet.
    pub(crate) ntp_host: String,
    /// What the server publishes when the board vanishes.
    pub(crate) will: Option<LastWill>,
}

/// A message for the end.
#[derive(Debug, Clone)]
pub(crate) struct LastWill {
    /// Where.
    pub(crate) topic: String,
    /// What.
    pub(crate) payload: String,
}

impl std::fmt::Debug for Wishes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wishes").field("thing", &self.thing).finish_non_exhaustive()
    }
}

impl Wishes {
    /// The partition, with fresh random bytes. It has been read back as the firmware will read it.
    pub(crate) fn partition(
        &self,
        endpoint: &Endpoint,
        roots: &Roots,
        identity: &DeviceIdentity,
    ) -> Outcome<Box<[u8; CONFIG_BYTES]>> {
        let mut seed = [0; SEED_BYTES];
        aws_lc_rs::rand::fill(&mut seed).map_err(|_| Failure::new("the system gives no random numbers"))?;
        let settings = self.settings(endpoint, roots, &identity.certificate.der, &identity.private_key, seed);
        let partition = written(&settings)?;
        let read = Settings::read(&partition[..]).context(cannot)?;
        if read != settings {
            return Err(Failure::new(cannot()).why("what was written reads differently"));
        }
        Ok(partition)
    }

    /// Whether the partition has room for all of it, with a certificate and key that are still to be made.
    pub(crate) fn fit(&self, endpoint: &Endpoint, roots: &Roots) -> Outcome {
        let (certificate, key) = ([0; CERTIFICATE_BYTES_MAX], [0; PRIVATE_KEY_BYTES_MAX]);
        written(&self.settings(endpoint, roots, &certificate, &key, [0; SEED_BYTES])).map(drop)
    }

    fn settings<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        roots: &'a Roots,
        certificate: &'a [u8],
        private_key: &'a [u8],
        seed: [u8; SEED_BYTES],
    ) -> Settings<'a> {
        let mut server_cas = DerCertificates::default();
        // `Roots` holds as many as fit.
        let _all_fit = roots.for_board.iter().all(|authority| server_cas.push(&authority.der));
        let will = self.will.as_ref();
        Settings {
            wifi_ssid: &self.wifi_ssid,
            wifi_password: &self.wifi_password,
            wifi_country: self.wifi_country,
            endpoint_host: &endpoint.host,
            endpoint_port: endpoint.port,
            client_id: &self.thing,
            topic: &self.topic,
            qos: self.qos,
            interval_ms: self.interval_ms,
            keep_alive_s: self.keep_alive_s,
            will: will.map_or(Will::default(), |will| Will { topic: &will.topic, payload: &will.payload }),
            ntp_host: &self.ntp_host,
            server_cas,
            certificate,
            private_key,
            seed,
        }
    }
}

fn written(settings: &Settings<'_>) -> Outcome<Box<[u8; CONFIG_BYTES]>> {
    let mut partition = Box::new([0xFF; CONFIG_BYTES]);
    settings.write(&mut partition[..]).context(cannot).map_err(|failure| {
        failure.advice("give fewer --ca, or only the one that signed the server's certificate")
    })?;
    Ok(partition)
}

fn cannot() -> String {
    "the configuration cannot be written".to_owned()
}
