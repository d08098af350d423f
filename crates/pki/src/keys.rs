//! Private keys in the forms that devices and tools want.
//!
//! AWS hands out RSA keys as PKCS#1 (`BEGIN RSA PRIVATE KEY`), and `openssl pkey -outform DER` writes RSA as PKCS#1
//! and EC as SEC 1, whatever the input was; our key generator makes PKCS#8. The conversions only move wrappers
//! around the same numbers.

use crate::der::{CONTEXT_0, CONTEXT_1, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, put, take};
use crate::{ReadError, pem};
use rcgen::{KeyPair, PublicKeyData as _};
use std::fmt;

/// The object identifier 1.2.840.113549.1.1.1, rsaEncryption.
const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// The object identifier 1.2.840.10045.2.1, id-ecPublicKey.
const OID_EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// The kind of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// RSA with a modulus of so many bits.
    Rsa {
        /// Bits of the modulus.
        bits: usize,
    },
    /// ECDSA on NIST P-256.
    P256,
    /// ECDSA on NIST P-384.
    P384,
    /// ECDSA on NIST P-521.
    P521,
    /// Something else.
    Other,
}

/// The shortest RSA modulus accepted, in bits.
///
/// [AWS iot "Create your own client certificates"] RSA keys have at least 2048 bits; rustls asks the same.
const RSA_BITS_MIN: usize = 2048;

/// The longest RSA modulus accepted, in bits: what aws-lc-rs verifies.
const RSA_BITS_MAX: usize = 8192;

impl KeyKind {
    /// Whether a client with such a key can connect. [AWS iot x509-client-certs] RSA from 2048 bits, and the NIST curves
    /// P-256, P-384 and P-521.
    pub fn is_for_clients(self) -> bool {
        match self {
            Self::Rsa { bits } => (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits),
            Self::P256 | Self::P384 | Self::P521 => true,
            Self::Other => false,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA-{bits}"),
            Self::P256 => f.write_str("P-256"),
            Self::P384 => f.write_str("P-384"),
            Self::P521 => f.write_str("P-521"),
            Self::Other => f.write_str("another kind of key"),
        }
    }
}

/// Turns a private key from PEM into the DER bytes that `openssl pkey -outform DER` writes.
///
/// RSA becomes PKCS#1, EC becomes SEC 1 with its curve named: MicroPython's mbedTLS reads both.
///
/// # Errors
/// [`ReadError::NotAPrivateKey`] for encrypted keys and other kinds, [`ReadError::DamagedPem`],
/// [`ReadError::NoPemBlock`].
pub fn key_pem_to_der(text: &str) -> Result<Vec<u8>, ReadError> {
    for block in pem::blocks(text) {
        let (label, der) = block?;
        match label {
            "RSA PRIVATE KEY" => return pkcs1(&der).ok_or(ReadError::NotAPrivateKey),
            "EC PRIVATE KEY" => return sec1(&der, None).ok_or(ReadError::NotAPrivateKey),
            "PRIVATE KEY" => return unwrap_pkcs8(&der).ok_or(ReadError::NotAPrivateKey),
            "ENCRYPTED PRIVATE KEY" => return Err(ReadError::NotAPrivateKey),
            // `openssl ecparam -genkey` writes EC PARAMETERS before the key.
            _ => {}
        }
    }
    Err(ReadError::NoPemBlock { expected: "PRIVATE KEY" })
}

/// What kind of key a private key (PEM) is.
///
/// # Errors
/// As [`key_pem_to_der`].
pub fn kind_of_private_key(key_pem: &str) -> Result<KeyKind, ReadError> {
    use x509_parser::prelude::FromDer as _;
    let key =
        KeyPair::try_from(key_pem_to_der(key_pem)?.as_slice()).map_err(|_| ReadError::NotAPrivateKey)?;
    let public = key.subject_public_key_info();
    let (_, public) =
        x509_parser::x509::SubjectPublicKeyInfo::from_der(&public).map_err(|_| ReadError::NotAPrivateKey)?;
    Ok(crate::certificate::key_kind(&public))
}

/// Whether the private key (PEM) belongs to the certificate (PEM or DER).
///
/// # Errors
/// As [`key_pem_to_der`] and [`crate::parse_certificate`].
pub fn key_matches_certificate(key_pem: &str, certificate: &[u8]) -> Result<bool, ReadError> {
    key_der_matches_certificate(&key_pem_to_der(key_pem)?, certificate)
}

/// Whether the private key (DER: PKCS#1, SEC 1 or PKCS#8) belongs to the certificate (PEM or DER).
///
/// # Errors
/// [`ReadError::NotAPrivateKey`], and as [`crate::parse_certificate`].
pub fn key_der_matches_certificate(key_der: &[u8], certificate: &[u8]) -> Result<bool, ReadError> {
    let key = KeyPair::try_from(key_der).map_err(|_| ReadError::NotAPrivateKey)?;
    let certificate = crate::parse_certificate(certificate)?;
    Ok(certificate.spki_der() == key.subject_public_key_info())
}

/// The PKCS#1 form of an RSA key in PKCS#8.
pub(crate) fn rsa_pkcs8_to_pkcs1(pkcs8: &[u8]) -> Option<Vec<u8>> {
    let (algorithm, key) = split_pkcs8(pkcs8)?;
    let (oid, _) = take(algorithm, OBJECT_IDENTIFIER)?;
    (oid == OID_RSA).then(|| key.to_vec())
}

fn unwrap_pkcs8(pkcs8: &[u8]) -> Option<Vec<u8>> {
    let (algorithm, key) = split_pkcs8(pkcs8)?;
    let (oid, parameters) = take(algorithm, OBJECT_IDENTIFIER)?;
    if oid == OID_RSA {
        pkcs1(key)
    } else if oid == OID_EC {
        sec1(key, Some(parameters))
    } else {
        None
    }
}

/// `PrivateKeyInfo ::= SEQUENCE { version INTEGER, algorithm SEQUENCE, privateKey OCTET STRING, … }` (RFC 5208).
fn split_pkcs8(pkcs8: &[u8]) -> Option<(&[u8], &[u8])> {
    let (body, _) = take(pkcs8, SEQUENCE)?;
    let (_, rest) = take(body, INTEGER)?;
    let (algorithm, rest) = take(rest, SEQUENCE)?;
    let (key, _) = take(rest, OCTET_STRING)?;
    Some((algorithm, key))
}

/// `RSAPrivateKey ::= SEQUENCE { version, modulus, … }` (RFC 8017), taken over as it is.
fn pkcs1(key: &[u8]) -> Option<Vec<u8>> {
    let (body, _) = take(key, SEQUENCE)?;
    let (_, rest) = take(body, INTEGER)?;
    take(rest, INTEGER)?;
    Some(key.to_vec())
}

/// `ECPrivateKey ::= SEQUENCE { version, privateKey OCTET STRING, [0] curve, [1] public key }` (RFC 5915).
///
/// Inside PKCS#8 the curve is usually left out, as the wrapper names it; alone it must be there.
fn sec1(key: &[u8], curve: Option<&[u8]>) -> Option<Vec<u8>> {
    let (body, _) = take(key, SEQUENCE)?;
    let (version, rest) = take(body, INTEGER)?;
    let (secret, rest) = take(rest, OCTET_STRING)?;
    let (own_curve, rest) = take(rest, CONTEXT_0).map_or((None, rest), |(curve, rest)| (Some(curve), rest));
    let public = take(rest, CONTEXT_1).map(|(public, _)| public);

    let mut out = Vec::with_capacity(key.len() + 16);
    put(&mut out, INTEGER, version);
    put(&mut out, OCTET_STRING, secret);
    put(&mut out, CONTEXT_0, own_curve.or(curve)?);
    if let Some(public) = public {
        put(&mut out, CONTEXT_1, public);
    }
    let mut whole = Vec::with_capacity(out.len() + 4);
    put(&mut whole, SEQUENCE, &out);
    Some(whole)
}
