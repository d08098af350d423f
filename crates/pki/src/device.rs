//! Device certificates.

use crate::{CertificateId, CsrError, PkiError, csr, keys, pem};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use rcgen::{RsaKeySize, SerialNumber, SubjectPublicKeyInfo};
use std::time::SystemTime;
use time::OffsetDateTime;
use time::macros::datetime;

/// The subject of every certificate that we issue. [AWS iot CreateKeysAndCertificate] AWS's own has the same.
const DEVICE_COMMON_NAME: &str = "AWS IoT Certificate";

/// Last second of a device certificate, as on AWS.
pub(crate) const DEVICE_NOT_AFTER: OffsetDateTime = datetime!(2049-12-31 23:59:59 UTC);

/// Octets of a serial number: RFC 5280 4.1.2.2 allows at most 20, and they must not read as negative.
const SERIAL_BYTES: usize = 20;

/// A new device certificate; with its keys when we made them.
#[derive(Clone)]
pub struct Issued {
    /// SHA-256 of [`Issued::der`].
    pub id: CertificateId,
    /// The certificate, as DER.
    pub der: Vec<u8>,
    /// The certificate, as PEM.
    pub certificate_pem: String,
    /// The keys, unless the device made its own and sent a signing request.
    pub keys: Option<IssuedKeys>,
}

/// The keys of a new device certificate. They are handed out once and kept nowhere.
#[derive(Clone)]
pub struct IssuedKeys {
    /// PKCS#1, `BEGIN RSA PRIVATE KEY`.
    pub private_key_pem: String,
    /// SubjectPublicKeyInfo, `BEGIN PUBLIC KEY`.
    pub public_key_pem: String,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The private key stays out of logs.
        f.debug_struct("Issued").field("id", &self.id).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for IssuedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IssuedKeys(..)")
    }
}

pub(crate) fn issue_from_new_key(issuer: &Issuer<'_, KeyPair>, now: SystemTime) -> Result<Issued, PkiError> {
    let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    let der = sign(&key, issuer, now)?;
    let pkcs1 = keys::rsa_pkcs8_to_pkcs1(key.serialized_der())
        .ok_or_else(|| PkiError::Crypto("the new RSA key is not PKCS#8".to_owned()))?;
    let keys = IssuedKeys {
        private_key_pem: pem::to_pem("RSA PRIVATE KEY", &pkcs1),
        public_key_pem: pem::to_pem("PUBLIC KEY", &key.subject_public_key_info()),
    };
    Ok(issued(der, Some(keys)))
}

pub(crate) fn issue_from_csr(
    issuer: &Issuer<'_, KeyPair>,
    csr_pem: &str,
    now: SystemTime,
) -> Result<Issued, CsrError> {
    let spki = csr::public_key_of_request(csr_pem)?;
    let key =
        SubjectPublicKeyInfo::from_der(&spki).map_err(|error| CsrError::UnsupportedKey(error.to_string()))?;
    Ok(issued(sign(&key, issuer, now)?, None))
}

fn sign(
    key: &impl PublicKeyData,
    issuer: &Issuer<'_, KeyPair>,
    now: SystemTime,
) -> Result<Vec<u8>, PkiError> {
    let now = OffsetDateTime::from(now);
    if now >= DEVICE_NOT_AFTER || now.year() < 1970 {
        return Err(PkiError::Clock { year: now.year() });
    }
    let mut params = CertificateParams::default();
    params.not_before = now;
    params.not_after = DEVICE_NOT_AFTER;
    params.serial_number = Some(random_serial()?);
    params.distinguished_name = common_name(DEVICE_COMMON_NAME);
    // Explicit, as on AWS: it also makes rcgen write the subject key identifier.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params.signed_by(key, issuer)?.der().to_vec())
}

fn issued(der: Vec<u8>, keys: Option<IssuedKeys>) -> Issued {
    Issued { id: CertificateId::of_der(&der), certificate_pem: pem::to_pem("CERTIFICATE", &der), der, keys }
}

pub(crate) fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    distinguished_name
}

pub(crate) fn random_serial() -> Result<SerialNumber, PkiError> {
    let mut bytes = [0; SERIAL_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| PkiError::Crypto("no random numbers".to_owned()))?;
    // Positive, and always of full length.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}
