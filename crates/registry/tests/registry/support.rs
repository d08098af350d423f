//! A registry in memory, and certificates that nobody else has.

use registry::{CertificateId, CertificateStatus, Identity, Registry, ThingConfig};
use store::{Store, StoreOptions};

pub(crate) const NOW: i64 = 1_800_000_000_000;

pub(crate) const ALLOW_ALL: &str =
    r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}"#;

pub(crate) fn identity() -> Identity {
    Identity { region: "eu-west-1".to_owned(), account_id: "000000000000".to_owned() }
}

pub(crate) fn in_memory() -> Registry {
    let store = Store::open(StoreOptions::in_memory()).unwrap().recover(vec![]).unwrap();
    Registry::load(&store, identity()).unwrap()
}

/// A self-signed P-256 certificate as PEM.
pub(crate) fn certificate() -> String {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    rcgen::CertificateParams::default().self_signed(&key).unwrap().pem()
}

/// Registers a new active certificate; gives its id and ARN.
pub(crate) fn active_certificate(registry: &Registry) -> (CertificateId, String) {
    certificate_made_at(registry, NOW)
}

pub(crate) fn certificate_made_at(registry: &Registry, now_ms: i64) -> (CertificateId, String) {
    let status = Some(CertificateStatus::Active);
    let id = registry.register_certificate_without_ca(&certificate(), status, now_ms).unwrap().value.id;
    (id, registry.identity().certificate_arn(&id))
}

pub(crate) fn config(attributes: &[(&str, &str)]) -> ThingConfig {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    ThingConfig { attributes: attributes.iter().map(owned).collect(), ..ThingConfig::default() }
}

pub(crate) fn thing(registry: &Registry, name: &str) {
    let _ = registry.create_thing(name, ThingConfig::default(), NOW).unwrap();
}

pub(crate) fn policy(registry: &Registry, name: &str) {
    let _ = registry.create_policy(name, ALLOW_ALL, Vec::new(), NOW).unwrap();
}
