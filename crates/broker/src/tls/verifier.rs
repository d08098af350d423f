//! What a client certificate must be to pass the handshake: readable, and its key in the client's hand.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

/// Accepts every certificate whose key the client has.
///
/// [AWS iot RegisterCertificateWithoutCA] Devices come with certificates that they signed themselves, or that an
/// authority unknown to us signed, and that may be long expired: chains and dates decide nothing.
#[derive(Debug)]
pub(super) struct PossessionVerifier {
    algorithms: WebPkiSupportedAlgorithms,
    is_mandatory: bool,
}

impl PossessionVerifier {
    pub(super) fn new(provider: &CryptoProvider, is_mandatory: bool) -> Self {
        Self { algorithms: provider.signature_verification_algorithms, is_mandatory }
    }
}

impl ClientCertVerifier for PossessionVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    /// No hints: a client with one certificate sends it, and the list would not fit a small device's memory.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // The signature check parses it again; here it is about a reason that says more than "bad encoding".
        match ParsedCertificate::try_from(end_entity) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(error) => Err(Error::General(why_unusable(end_entity, &error))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn why_unusable(certificate: &[u8], error: &Error) -> String {
    match pki::parse_certificate(certificate) {
        Ok(info) if info.version < 3 => format!(
            "certificate {} is X.509 version {}, and TLS here needs version 3: have it issued again with extensions",
            info.id, info.version
        ),
        Ok(info) => format!("certificate {} cannot be used: {error}", info.id),
        Err(_) => format!("what the client sent as its certificate cannot be read: {error}"),
    }
}
