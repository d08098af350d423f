//! TLS on the device port: who we say we are, and what we ask of a device.
//!
//! TLS 1.2 and 1.3, a client certificate always, SNI and ALPN as the client likes. The handshake proves only that
//! the device has the key of the certificate it shows; whether that certificate may connect is decided at CONNECT,
//! from the registry. A resumed session never meets the verifier, so the decision could not sit there anyway.

mod identities;
mod verifier;

pub(crate) use identities::Identities;

use crate::TlsVersions;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use std::sync::Arc;

/// Plaintext and ciphertext that rustls may hold for one connection, in bytes, each.
///
/// One full record: the rest waits in our own outbox, whose limit we set and count.
const TLS_BUFFER_BYTES_MAX: usize = 16 * 1024;

/// Session tickets sent after a TLS 1.3 handshake.
///
/// A ticket carries the client's certificate, about 1 KiB, which a Pico-class client reads into its little memory.
const TLS13_TICKETS: usize = 1;

/// Makes connections for the device port.
#[derive(Clone)]
pub(crate) struct Tls(Arc<ServerConfig>);

impl Tls {
    pub(crate) fn new(identities: Arc<Identities>, versions: TlsVersions) -> Result<Self, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Arc::new(verifier::PossessionVerifier::new(&provider));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions.supported())?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(identities);
        // Tickets are sealed, not stored: resumption costs no memory here, and 20 µs instead of 100 in TLS 1.2.
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = TLS13_TICKETS;
        // No `alpn_protocols`: on this port whatever a client offers is fine.
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn accept(&self) -> Result<ServerConnection, rustls::Error> {
        let mut connection = ServerConnection::new(Arc::clone(&self.0))?;
        connection.set_buffer_limit(Some(TLS_BUFFER_BYTES_MAX));
        Ok(connection)
    }
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
