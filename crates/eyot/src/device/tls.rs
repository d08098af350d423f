//! The board's side of mutual TLS: its DER files, and the root that it trusts.

use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, StreamOwned, WantsVerifier};

use crate::failure::{Context as _, Failure, Outcome};
use crate::provision::{CERTIFICATE_DER, DeviceFiles, MQTTS_PORT, PRIVATE_KEY_DER, ROOT_CA_PEM};

/// How long one address may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A TLS connection.
pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// `HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// A name or an address.
    pub(crate) host: String,
    /// 8883 unless said otherwise.
    pub(crate) port: u16,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || "write it as HOST or HOST:PORT, such as localhost:8883 or [::1]:8883".to_owned();
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or_else(malformed)?;
                (
                    host,
                    if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or_else(malformed)?) },
                )
            }
            None => match text.rsplit_once(':') {
                // More than one colon: an IPv6 address without a port.
                Some((before, _)) if before.contains(':') => (text, None),
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        if host.is_empty() || host.contains('/') {
            return Err(malformed());
        }
        let port = port.map_or(Ok(MQTTS_PORT), |port| port.parse().map_err(|_| malformed()))?;
        Ok(Self { host: host.to_owned(), port })
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Which of a host's addresses are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// All of them.
    All,
    /// IPv4 alone, as the firmware does.
    V4,
}

/// What a device authenticates with.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    config: Arc<ClientConfig>,
}

impl Identity {
    /// Loads the DER files and the root of a device's directory.
    pub(crate) fn load(files: &DeviceFiles) -> Outcome<Self> {
        let needed = |name: &str| {
            files.find(name)?.ok_or_else(|| {
                Failure::new(format!("`{}` is missing", files.path(name).display()))
                    .advice("`eyot provision THING --out DIR` makes all files of a device")
            })
        };
        let certificate = CertificateDer::from(needed(CERTIFICATE_DER)?);
        let key = PrivateKeyDer::try_from(needed(PRIVATE_KEY_DER)?).map_err(|why| {
            Failure::new(format!("`{}` is no private key", files.path(PRIVATE_KEY_DER).display())).why(why)
        })?;
        let roots = trusted(&needed(ROOT_CA_PEM)?).ok_or_else(|| {
            Failure::new(format!("`{}` holds no certificate", files.path(ROOT_CA_PEM).display()))
        })?;
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)
            .context(|| format!("key and certificate in `{}` cannot be used", files.dir().display()))?;
        Ok(Self { config: Arc::new(config) })
    }

    /// Connects and finishes the handshake.
    pub(crate) fn connect(&self, endpoint: &Endpoint) -> Outcome<TlsStream> {
        self.connect_to(endpoint, Addresses::All)
    }

    fn connect_to(&self, endpoint: &Endpoint, addresses: Addresses) -> Outcome<TlsStream> {
        let name = ServerName::try_from(endpoint.host.clone())
            .context(|| format!("`{}` is no host name", endpoint.host))?;
        let socket = tcp(endpoint, addresses).context(|| format!("cannot reach {endpoint}"))?;
        let connection = ClientConnection::new(Arc::clone(&self.config), name)
            .context(|| "cannot start TLS".to_owned())?;
        let mut stream = StreamOwned::new(connection, socket);
        stream.sock.set_read_timeout(Some(CONNECT_TIMEOUT)).context(|| "cannot set a time-out".to_owned())?;
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).context(|| format!("no TLS with {endpoint}"))?;
        }
        Ok(stream)
    }
}

/// Shakes hands as a device without a certificate would, with the TLS that it has, and verifies the server; answers when
/// its certificate ends, in seconds since 1970.
pub(crate) fn verify_server(
    tls: ConfigBuilder<ClientConfig, WantsVerifier>,
    endpoint: &Endpoint,
    addresses: Addresses,
    ca_pem: &[u8],
) -> Outcome<i64> {
    let roots = trusted(ca_pem).ok_or_else(|| Failure::new("the CA file holds no certificate"))?;
    let config = tls.with_root_certificates(roots).with_no_client_auth();
    let identity = Identity { config: Arc::new(config) };
    // With TLS 1.3 the server's refusal of a client without a certificate comes after our side is done.
    let stream = identity.connect_to(endpoint, addresses)?;
    let certificate = stream.conn.peer_certificates().and_then(<[_]>::first);
    let certificate = certificate.ok_or_else(|| Failure::new("the server showed no certificate"))?;
    let info = pki::parse_certificate(certificate)
        .context(|| "the server's certificate is unreadable".to_owned())?;
    Ok(info.not_after)
}

/// The certificates of a PEM file as trusted roots; nothing when there is none.
pub(crate) fn trusted(pem: &[u8]) -> Option<RootCertStore> {
    use rustls::pki_types::pem::PemObject as _;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem).flatten() {
        // One that webpki cannot read is none that the server has.
        let _ = roots.add(certificate);
    }
    (!roots.is_empty()).then_some(roots)
}

/// The first of the host's addresses that answers: `localhost` is often ::1 first.
fn tcp(endpoint: &Endpoint, addresses: Addresses) -> io::Result<TcpStream> {
    let mut last = io::Error::new(
        io::ErrorKind::NotFound,
        match addresses {
            Addresses::All => "the name has no address",
            Addresses::V4 => "the name has no IPv4 address",
        },
    );
    let found = (endpoint.host.as_str(), endpoint.port).to_socket_addrs()?;
    for address in found.filter(|address| addresses == Addresses::All || address.is_ipv4()) {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_hosts_with_or_without_a_port() {
        let endpoint = |text: &str| text.parse::<Endpoint>().map(|found| (found.host, found.port)).ok();
        assert_eq!(endpoint("localhost"), Some(("localhost".into(), 8883)));
        assert_eq!(endpoint("10.0.0.1:1"), Some(("10.0.0.1".into(), 1)));
        assert_eq!(endpoint("[::1]:2"), Some(("::1".into(), 2)));
        assert_eq!(endpoint("[::1]"), Some(("::1".into(), 8883)));
        assert_eq!(endpoint("fe80::1"), Some(("fe80::1".into(), 8883)));
        for text in ["", ":1", "a:x", "mqtts://a", "[::1", "[::1]x", "a:70000"] {
            assert_eq!(endpoint(text), None, "{text}");
        }
    }
}
