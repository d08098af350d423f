//! TLS on the device ports: who we say we are, and what we ask of a device.
//!
//! TLS 1.2 and 1.3, SNI as the client likes, a client certificate always for MQTT and if the client has one for HTTPS.
//! The handshake proves only that the device has the key of the certificate it shows; what that certificate may do is
//! decided at CONNECT, and with HTTPS at every request, from the registry. A resumed session never meets the verifier, so the decision could not sit there anyway.

mod alpn;
mod identities;
mod verifier;

pub(crate) use alpn::{Spoken, spoken};
pub(crate) use identities::Identities;

use crate::TlsVersions;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use std::sync::Arc;

/// Plaintext and ciphertext that rustls may hold for one connection, in bytes, each.
///
/// One full record: the rest waits in our own outbox, whose limit we set and count.
pub(crate) const TLS_BUFFER_BYTES_MAX: usize = 16 * 1024;

/// Session tickets sent after a TLS 1.3 handshake.
///
/// A ticket carries the client's certificate, about 1 KiB, which a Pico-class client reads into its little memory.
const TLS13_TICKETS: usize = 1;

/// Makes connections for the device ports.
#[derive(Clone)]
pub(crate) struct Tls {
    /// MQTT on a port of its own: whatever a client offers with ALPN is fine.
    mqtt: Arc<ServerConfig>,
    /// MQTT beside HTTPS on one port: the client has to have named it.
    mqtt_named: Arc<ServerConfig>,
    http_with_certificate: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
    http_silent: Arc<ServerConfig>,
}

impl Tls {
    pub(crate) fn new(identities: &Arc<Identities>, versions: TlsVersions) -> Result<Self, rustls::Error> {
        // One ticketer for each: a session that began without a certificate is never resumed where one is required, and
        // one with a certificate not where nobody asks for it again.
        let required = config(identities, versions, ClientCertificate::Required)?;
        let https_required = config(identities, versions, ClientCertificate::Required)?;
        let optional = config(identities, versions, ClientCertificate::Optional)?;
        Ok(Self {
            mqtt_named: named(&required, alpn::MQTT_WITH_CERTIFICATE),
            mqtt: Arc::new(required),
            http_with_certificate: named(&https_required, alpn::HTTP_WITH_CERTIFICATE),
            http: named(&optional, alpn::HTTP),
            http_silent: Arc::new(optional),
        })
    }

    /// For MQTT on a port of its own.
    pub(crate) fn accept(&self) -> Result<ServerConnection, rustls::Error> {
        connection(&self.mqtt)
    }

    /// For MQTT on the ALPN port.
    pub(crate) fn accept_named(&self) -> Result<ServerConnection, rustls::Error> {
        connection(&self.mqtt_named)
    }

    /// For HTTPS with a client that offers these. MQTT is not spoken there.
    pub(crate) fn web<'a>(&self, offered: Option<impl Iterator<Item = &'a [u8]>>) -> Arc<ServerConfig> {
        Arc::clone(match spoken(offered) {
            Spoken::HttpWithCertificate => &self.http_with_certificate,
            Spoken::Http => &self.http,
            Spoken::Mqtt | Spoken::Silent => &self.http_silent,
        })
    }
}

/// Whether a client must show a certificate. One that does must have its key, either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientCertificate {
    Required,
    Optional,
}

fn config(
    identities: &Arc<Identities>,
    versions: TlsVersions,
    certificate: ClientCertificate,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = verifier::PossessionVerifier::new(&provider, certificate == ClientCertificate::Required);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions.supported())?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::clone(identities) as Arc<dyn ResolvesServerCert>);
    // Tickets are sealed, not stored: resumption costs no memory here, and 20 µs instead of 100 in TLS 1.2.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = TLS13_TICKETS;
    Ok(config)
}

fn named(config: &ServerConfig, protocol: &[u8]) -> Arc<ServerConfig> {
    let mut config = config.clone();
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config)
}

fn connection(config: &Arc<ServerConfig>) -> Result<ServerConnection, rustls::Error> {
    let mut connection = ServerConnection::new(Arc::clone(config))?;
    connection.set_buffer_limit(Some(TLS_BUFFER_BYTES_MAX));
    Ok(connection)
}

impl TlsVersions {
    fn supported(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        match self {
            Self::Tls13And12 => &BOTH,
            Self::Tls13 => &BOTH[..1],
            Self::Tls12 => &BOTH[1..],
        }
    }
}

/// The provider whose key loader and algorithms everything here uses.
fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}
