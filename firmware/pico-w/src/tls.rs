//! Mutual TLS 1.2 and 1.3 with mbedtls, over a [`Tunnel`].
//!
//! The server's chain, host name and validity are always verified: against Amazon's roots, which are built in, and
//! against the configuration's. Without a known date verification fails closed.

mod error;
mod hooks;
mod roots;
mod tickets;

use core::ffi::CStr;
use device_core::settings::{HOST_BYTES_MAX, Settings};
use embedded_io_async::Write as _;
use mbedtls_rs::{
    Certificate, ClientSessionConfig, Credentials, PrivateKey, SavedSession, Session, SessionConfig, Tls,
    TlsGroup, TlsVersion, X509,
};
use static_cell::StaticCell;

use crate::entropy::{self, Generator};
use crate::tunnel::Tunnel;

pub(crate) use error::{Fault, TlsFailure};

/// The one curve that everybody has; naming it saves a second round trip.
const GROUPS: &[TlsGroup] = &[TlsGroup::Secp256r1];

/// What every connection of this board has in common.
pub(crate) struct Client {
    tls: Tls<'static>,
    config: SessionConfig<'static>,
    host: &'static str,
    /// The last session, for coming back without signing.
    saved: Option<SavedSession>,
}

/// A connection that stands.
pub(crate) struct Connection<'c> {
    session: Session<'c, Tunnel>,
    /// Where the session is saved when its ticket has come.
    saved: &'c mut Option<SavedSession>,
    awaits_ticket: bool,
}

impl Client {
    /// Prepares keys and certificates. The error says which of them cannot be used.
    pub(crate) fn new(settings: &'static Settings<'static>) -> Result<Self, &'static str> {
        static GENERATOR: StaticCell<Generator> = StaticCell::new();
        let tls = Tls::new(GENERATOR.init(entropy::fork())).map_err(|_| "TLS was started twice")?;
        hooks::install();
        let certificate =
            Certificate::new_no_copy(settings.certificate).map_err(|_| "the certificate cannot be used")?;
        let private_key = PrivateKey::new(X509::DER(settings.private_key), None)
            .map_err(|_| "the private key cannot be used")?;
        let mut config = ClientSessionConfig::new();
        config.ca_chain = Some(roots::trusted(settings)?);
        config.creds = Some(Credentials { certificate, private_key });
        config.server_name = Some(host_name(settings.endpoint_host)?);
        config.min_version = TlsVersion::Tls1_2;
        config.key_exchange_groups = Some(GROUPS);
        let config = SessionConfig::Client(config);
        Ok(Self { tls, config, host: settings.endpoint_host, saved: None })
    }

    /// Shakes hands. Takes an RSA key's 6 s of computing without a pause.
    pub(crate) async fn connect(&mut self, tunnel: Tunnel) -> Result<Connection<'_>, TlsFailure> {
        let Self { tls, config, host, saved } = self;
        let mut session = Session::new(tls.reference(), tunnel, config)?;
        // Used once: a server that forgot the session may refuse it, and TLS 1.3's tickets are for one use
        // [RFC 8446 C.4].
        let shaken = match saved.take() {
            Some(saved) => session.connect_with_session(&saved).await,
            None => session.connect().await,
        };
        if let Err(error) = shaken {
            return Err(TlsFailure::new(error, session.tls_verification_details()));
        }
        let awaits_ticket = session.tls_version() == Some(TlsVersion::Tls1_3);
        log::info!("tls: version {} with {host}", if awaits_ticket { "1.3" } else { "1.2" });
        if !awaits_ticket {
            *saved = session.save().ok();
        }
        Ok(Connection { session, saved, awaits_ticket })
    }
}

impl Connection<'_> {
    /// Reads what has come, or waits; 0 when the server hung up.
    pub(crate) async fn read(&mut self, into: &mut [u8]) -> Result<usize, TlsFailure> {
        let read = self.session.read(into).await?;
        // TLS 1.3's ticket comes before the server's first data.
        if self.awaits_ticket && read > 0 {
            self.awaits_ticket = false;
            *self.saved = self.session.save().ok();
        }
        Ok(read)
    }

    /// Writes all of it.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), TlsFailure> {
        self.session.write_all(bytes).await?;
        Ok(self.session.flush().await?)
    }

    /// Says goodbye.
    pub(crate) async fn close(mut self) {
        // The connection is given up either way.
        let _ = self.session.close().await;
    }
}

/// The host name as C wants it, for as long as the board runs.
fn host_name(host: &str) -> Result<&'static CStr, &'static str> {
    static NAME: StaticCell<[u8; HOST_BYTES_MAX + 1]> = StaticCell::new();
    let name = NAME.init([0; HOST_BYTES_MAX + 1]);
    name[..host.len()].copy_from_slice(host.as_bytes());
    CStr::from_bytes_until_nul(name).map_err(|_| "the endpoint's name is too long")
}
