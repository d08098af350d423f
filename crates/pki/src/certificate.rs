//! What a certificate says about itself.

use crate::{CertificateId, KeyKind, ReadError, pem};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::{SubjectPublicKeyInfo, X509Version};

/// A certificate that could be read, ours or foreign. Nothing about it has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateInfo {
    /// SHA-256 of the DER bytes.
    pub id: CertificateId,
    /// The DER bytes.
    pub der: Vec<u8>,
    /// First second of validity, in seconds since 1970.
    pub not_before: i64,
    /// Last second of validity, in seconds since 1970.
    pub not_after: i64,
    /// Subject as text, such as `CN=AWS IoT Certificate`.
    pub subject: String,
    /// Issuer as text.
    pub issuer: String,
    /// Serial number in hexadecimal digits, without separators.
    pub serial: String,
    /// Kind of the public key.
    pub key_kind: KeyKind,
    /// X.509 version: 3 for nearly all; our TLS library cannot take 1 as a client certificate.
    pub version: u32,
    /// Whether the certificate says that it is an authority.
    pub is_authority: bool,
    spki: std::ops::Range<usize>,
}

impl CertificateInfo {
    /// The certificate as PEM.
    pub fn pem(&self) -> String {
        pem::to_pem("CERTIFICATE", &self.der)
    }

    /// The public key as SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> &[u8] {
        &self.der[self.spki.clone()]
    }
}

/// Reads a certificate from PEM text (its first certificate block) or from DER bytes.
///
/// # Errors
/// [`ReadError`] when there is no certificate in the bytes.
pub fn parse_certificate(input: &[u8]) -> Result<CertificateInfo, ReadError> {
    let der = certificate_der(input)?;
    // The parser looks at the tag's number alone, and takes the sixteenth of every class for a SEQUENCE. Such a
    // certificate could not be told from PEM once it is stored as DER.
    if der.first() != Some(&crate::der::SEQUENCE) {
        return Err(ReadError::NotACertificate("it is no SEQUENCE".to_owned()));
    }
    let (rest, x509) =
        X509Certificate::from_der(&der).map_err(|error| ReadError::NotACertificate(error.to_string()))?;
    if !rest.is_empty() {
        return Err(ReadError::NotACertificate(format!("{} bytes follow it", rest.len())));
    }
    let spki = x509.public_key();
    // `raw` borrows from `der`, which moves into the result, so its place is kept instead.
    let start = spki.raw.as_ptr() as usize - der.as_ptr() as usize;
    let info = CertificateInfo {
        id: CertificateId::of_der(&der),
        not_before: x509.validity().not_before.timestamp(),
        not_after: x509.validity().not_after.timestamp(),
        subject: x509.subject().to_string(),
        issuer: x509.issuer().to_string(),
        serial: x509.raw_serial_as_string().replace(':', ""),
        key_kind: key_kind(spki),
        version: match x509.version() {
            X509Version::V1 => 1,
            X509Version::V2 => 2,
            X509Version::V3 => 3,
            X509Version(other) => other.saturating_add(1),
        },
        is_authority: x509.is_ca(),
        spki: start..start + spki.raw.len(),
        der: Vec::new(),
    };
    drop(x509);
    Ok(CertificateInfo { der, ..info })
}

/// The DER bytes of a certificate given as PEM or already as DER.
///
/// # Errors
/// [`ReadError`] when the input is text without a certificate block. DER is not checked.
pub fn certificate_der(input: &[u8]) -> Result<Vec<u8>, ReadError> {
    // Every certificate is a SEQUENCE, whose tag is the digit 0: no PEM text begins with it and a length octet.
    if input.first() == Some(&crate::der::SEQUENCE) {
        return Ok(input.to_vec());
    }
    let text = std::str::from_utf8(input).map_err(|_| ReadError::NoPemBlock { expected: "CERTIFICATE" })?;
    for block in pem::blocks(text) {
        let (label, der) = block?;
        // The second label is old openssl's `x509 -trustout` form, the third NSS's.
        if matches!(label, "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE") {
            return Ok(der);
        }
    }
    Err(ReadError::NoPemBlock { expected: "CERTIFICATE" })
}

/// Tells what kind of key a SubjectPublicKeyInfo holds.
pub(crate) fn key_kind(spki: &SubjectPublicKeyInfo<'_>) -> KeyKind {
    use x509_parser::oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
    };
    use x509_parser::public_key::PublicKey;
    if spki.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = spki.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
        return match curve {
            Some(oid) if oid == OID_EC_P256 => KeyKind::P256,
            Some(oid) if oid == OID_NIST_EC_P384 => KeyKind::P384,
            Some(oid) if oid == OID_NIST_EC_P521 => KeyKind::P521,
            _ => KeyKind::Other,
        };
    }
    match spki.parsed() {
        Ok(PublicKey::RSA(rsa)) => {
            // `key_size` counts the sign octet's bits too; the modulus' own length is what people mean.
            let modulus = rsa.modulus;
            let zeros = modulus.iter().take_while(|&&octet| octet == 0).count();
            let bits = modulus
                .get(zeros)
                .map_or(0, |&top| (modulus.len() - zeros) * 8 - top.leading_zeros() as usize);
            KeyKind::Rsa { bits }
        }
        _ => KeyKind::Other,
    }
}
