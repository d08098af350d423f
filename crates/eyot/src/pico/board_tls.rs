//! The firmware's TLS, as far as this machine can play it: what it does not know is not offered here either.

use pki::KeyKind;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{AlgorithmIdentifier, SignatureVerificationAlgorithm, alg_id};

/// What [`is_known`] asks of keys, for messages.
pub(super) const KNOWN_KEYS: &str =
    "the firmware knows keys of RSA with 2048 to 8192 bits and of P-256 alone";

/// Whether the firmware can verify what such a key signed.
pub(super) fn is_known(kind: KeyKind) -> bool {
    matches!(kind, KeyKind::P256 | KeyKind::Rsa { bits: 2048..=8192 })
}

/// TLS 1.2 and 1.3 with one curve for the exchange, AES-GCM, and signatures of RSA and P-256.
pub(super) fn provider() -> CryptoProvider {
    let mut provider = default_provider();
    provider.kx_groups = vec![kx_group::SECP256R1];
    provider.cipher_suites.retain(|suite| format!("{:?}", suite.suite()).contains("_GCM_"));
    provider.signature_verification_algorithms = known(provider.signature_verification_algorithms);
    provider
}

/// The lists have to live for ever; this is called once in a command's life.
fn known(all: WebPkiSupportedAlgorithms) -> WebPkiSupportedAlgorithms {
    let kept = |algorithms: &[&'static dyn SignatureVerificationAlgorithm]| {
        let keys = [alg_id::RSA_ENCRYPTION, alg_id::ECDSA_P256];
        let is_known = |key: AlgorithmIdentifier| keys.contains(&key);
        let kept = algorithms.iter().copied().filter(|algorithm| is_known(algorithm.public_key_alg_id()));
        &*kept.collect::<Vec<_>>().leak()
    };
    let is_offered = |scheme: SignatureScheme| {
        scheme == SignatureScheme::ECDSA_NISTP256_SHA256 || format!("{scheme:?}").starts_with("RSA_")
    };
    let offered = all.mapping.iter().filter(|(scheme, _)| is_offered(*scheme));
    let mapping = offered.map(|(scheme, algorithms)| (*scheme, kept(algorithms))).collect::<Vec<_>>();
    WebPkiSupportedAlgorithms { all: kept(all.all), mapping: mapping.leak() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_offered_than_the_firmware_knows() {
        let provider = provider();
        assert_eq!(provider.kx_groups.len(), 1);
        let suites: Vec<_> =
            provider.cipher_suites.iter().map(|suite| format!("{:?}", suite.suite())).collect();
        assert_eq!(suites.len(), 6, "{suites:?}");
        let algorithms = provider.signature_verification_algorithms;
        let schemes: Vec<_> = algorithms.mapping.iter().map(|(scheme, _)| *scheme).collect();
        assert_eq!(schemes.len(), 7, "ECDSA, and PSS and PKCS#1 with three hashes each: {schemes:?}");
        assert!(algorithms.mapping.iter().all(|(_, algorithms)| !algorithms.is_empty()));
        assert!(
            !is_known(KeyKind::P384) && !is_known(KeyKind::Other) && !is_known(KeyKind::Rsa { bits: 1024 })
        );
    }
}
