//! Which of our two certificates a client gets.

use pki::{ServerIdentities, ServerIdentity};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, SignatureScheme};
use std::sync::{Arc, PoisonError, RwLock};

/// The server's certificates, exchangeable while it runs: they are renewed under the same root.
#[derive(Debug)]
pub(crate) struct Identities(RwLock<Pair>);

#[derive(Debug, Clone)]
struct Pair {
    ecdsa: Arc<CertifiedKey>,
    rsa: Arc<CertifiedKey>,
}

impl Identities {
    pub(crate) fn new(identities: &ServerIdentities) -> Result<Self, rustls::Error> {
        Ok(Self(RwLock::new(Pair::load(identities)?)))
    }

    /// New handshakes see these certificates.
    pub(crate) fn replace(&self, identities: &ServerIdentities) -> Result<(), rustls::Error> {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Pair::load(identities)?;
        Ok(())
    }
}

impl Pair {
    fn load(identities: &ServerIdentities) -> Result<Self, rustls::Error> {
        Ok(Self { ecdsa: certified_key(&identities.ecdsa)?, rsa: certified_key(&identities.rsa)? })
    }
}

fn certified_key(identity: &ServerIdentity) -> Result<Arc<CertifiedKey>, rustls::Error> {
    let chain = identity.chain.iter().cloned().map(CertificateDer::from).collect();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key_pkcs8.clone()));
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &super::provider())?))
}

impl ResolvesServerCert for Identities {
    /// ECDSA where the client can verify it, as signing with it costs us a third of RSA; RSA for old firmware.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let pair = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let ecdsa = takes_ecdsa(hello.signature_schemes(), hello.cipher_suites());
        Some(Arc::clone(if ecdsa { &pair.ecdsa } else { &pair.rsa }))
    }
}

fn takes_ecdsa(schemes: &[SignatureScheme], suites: &[CipherSuite]) -> bool {
    // A TLS 1.2 suite names the kind of the server's key, a TLS 1.3 suite does not.
    let suite_allows = suites.iter().any(|suite| {
        matches!(
            suite,
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS13_AES_256_GCM_SHA384
                | CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        )
    });
    suite_allows && schemes.contains(&SignatureScheme::ECDSA_NISTP256_SHA256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_firmware_gets_the_rsa_certificate() {
        let (ecdsa, rsa) = (SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PKCS1_SHA256);
        let tls13 = CipherSuite::TLS13_AES_128_GCM_SHA256;
        let with_ecdsa = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
        let with_rsa = CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
        assert!(takes_ecdsa(&[rsa, ecdsa], &[tls13]));
        assert!(takes_ecdsa(&[ecdsa], &[with_rsa, with_ecdsa]));
        assert!(!takes_ecdsa(&[rsa], &[tls13, with_ecdsa]), "it cannot verify ECDSA");
        assert!(!takes_ecdsa(&[ecdsa, rsa], &[with_rsa]), "its suites are for RSA keys");
    }
}
