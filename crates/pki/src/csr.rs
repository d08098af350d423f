//! Certificate signing requests: read, checked, and reduced to the one thing taken from them, the public key.
//!
//! rcgen can read requests too, but takes the curve from the signature algorithm: a P-384 key that signed with
//! SHA-256, which is openssl's default, would come out as a broken P-256 key.

use crate::certificate::key_kind;
use crate::{CsrError, KeyKind, pem};
use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry::{self as oid, Oid};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Checks a request and gives its public key, as SubjectPublicKeyInfo in DER.
pub(crate) fn public_key_of_request(text: &str) -> Result<Vec<u8>, CsrError> {
    let der = request_der(text)?;
    let (rest, request) =
        X509CertificationRequest::from_der(&der).map_err(|error| CsrError::Malformed(error.to_string()))?;
    if !rest.is_empty() {
        return Err(CsrError::Malformed(format!("{} bytes follow it", rest.len())));
    }
    let info = &request.certification_request_info;
    let spki = &info.subject_pki;
    match key_kind(spki) {
        kind @ KeyKind::Rsa { bits } if !kind.is_for_clients() => {
            return Err(CsrError::UnsupportedKey(format!("an RSA key of {bits} bits")));
        }
        KeyKind::Other => {
            return Err(CsrError::UnsupportedKey(format!("a key of type {}", spki.algorithm.algorithm)));
        }
        _ => {}
    }
    if !is_signed_by(spki, &request.signature_algorithm.algorithm, info.raw, &request.signature_value.data)? {
        return Err(CsrError::Signature);
    }
    Ok(spki.raw.to_vec())
}

/// Whether the key signed the bytes; an unknown combination of key and algorithm is an error.
pub(crate) fn is_signed_by(
    spki: &SubjectPublicKeyInfo<'_>,
    algorithm: &Oid<'_>,
    signed: &[u8],
    signature: &[u8],
) -> Result<bool, CsrError> {
    let verification = verification(key_kind(spki), algorithm).ok_or_else(|| {
        CsrError::UnsupportedKey(format!("a {} key with the signature algorithm {algorithm}", key_kind(spki)))
    })?;
    let key = UnparsedPublicKey::new(verification, &spki.subject_public_key.data);
    Ok(key.verify(signed, signature).is_ok())
}

fn verification(kind: KeyKind, algorithm: &Oid<'_>) -> Option<&'static dyn VerificationAlgorithm> {
    let is = |oid: Oid<'_>| *algorithm == oid;
    Some(match kind {
        KeyKind::Rsa { .. } if is(oid::OID_PKCS1_SHA256WITHRSA) => &signature::RSA_PKCS1_2048_8192_SHA256,
        KeyKind::Rsa { .. } if is(oid::OID_PKCS1_SHA384WITHRSA) => &signature::RSA_PKCS1_2048_8192_SHA384,
        KeyKind::Rsa { .. } if is(oid::OID_PKCS1_SHA512WITHRSA) => &signature::RSA_PKCS1_2048_8192_SHA512,
        KeyKind::P256 if is(oid::OID_SIG_ECDSA_WITH_SHA256) => &signature::ECDSA_P256_SHA256_ASN1,
        KeyKind::P256 if is(oid::OID_SIG_ECDSA_WITH_SHA384) => &signature::ECDSA_P256_SHA384_ASN1,
        KeyKind::P256 if is(oid::OID_SIG_ECDSA_WITH_SHA512) => &signature::ECDSA_P256_SHA512_ASN1,
        KeyKind::P384 if is(oid::OID_SIG_ECDSA_WITH_SHA256) => &signature::ECDSA_P384_SHA256_ASN1,
        KeyKind::P384 if is(oid::OID_SIG_ECDSA_WITH_SHA384) => &signature::ECDSA_P384_SHA384_ASN1,
        KeyKind::P384 if is(oid::OID_SIG_ECDSA_WITH_SHA512) => &signature::ECDSA_P384_SHA512_ASN1,
        KeyKind::P521 if is(oid::OID_SIG_ECDSA_WITH_SHA256) => &signature::ECDSA_P521_SHA256_ASN1,
        KeyKind::P521 if is(oid::OID_SIG_ECDSA_WITH_SHA384) => &signature::ECDSA_P521_SHA384_ASN1,
        KeyKind::P521 if is(oid::OID_SIG_ECDSA_WITH_SHA512) => &signature::ECDSA_P521_SHA512_ASN1,
        _ => return None,
    })
}

fn request_der(text: &str) -> Result<Vec<u8>, CsrError> {
    for block in pem::blocks(text) {
        let (label, der) = block.map_err(|error| CsrError::Malformed(error.to_string()))?;
        // The second label is what old openssl and some HSM tools write.
        if matches!(label, "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
            return Ok(der);
        }
    }
    Err(CsrError::Malformed("no `CERTIFICATE REQUEST` block found in the PEM text".to_owned()))
}
