//! A key that the device's owner makes, and the signing request for it.

use crate::device::common_name;
use crate::{PkiError, ReadError, pem};
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use std::fmt;

/// A new key and its certificate signing request.
#[derive(Clone)]
pub struct RequestedKey {
    /// SEC 1, `BEGIN EC PRIVATE KEY`: what `openssl ecparam -genkey` writes and small devices read.
    pub private_key_pem: String,
    /// SubjectPublicKeyInfo, `BEGIN PUBLIC KEY`.
    pub public_key_pem: String,
    /// For CreateCertificateFromCsr.
    pub request_pem: String,
}

impl fmt::Debug for RequestedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestedKey(..)")
    }
}

/// Makes a P-256 key and a signing request for it: the private key never leaves the caller.
///
/// # Errors
/// [`PkiError::Crypto`].
pub fn new_p256_request(common_name_text: &str) -> Result<RequestedKey, PkiError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let wrapped = pem::to_pem("PRIVATE KEY", key.serialized_der());
    let sec1 = crate::key_pem_to_der(&wrapped).map_err(|error| PkiError::Crypto(error.to_string()))?;
    requested(&key, pem::to_pem("EC PRIVATE KEY", &sec1), common_name_text)
}

/// A signing request for a private key (PEM) that is there already. The key is handed back as it was.
///
/// # Errors
/// [`PkiError::Crypto`] when the key cannot be read or cannot sign.
pub fn request_for_key(private_key_pem: &str, common_name_text: &str) -> Result<RequestedKey, PkiError> {
    let unreadable = |error: ReadError| PkiError::Crypto(error.to_string());
    let der = crate::key_pem_to_der(private_key_pem).map_err(unreadable)?;
    let key = KeyPair::try_from(der.as_slice())?;
    requested(&key, private_key_pem.to_owned(), common_name_text)
}

fn requested(
    key: &KeyPair,
    private_key_pem: String,
    common_name_text: &str,
) -> Result<RequestedKey, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(common_name_text);
    let request = params.serialize_request(key)?;
    Ok(RequestedKey {
        private_key_pem,
        public_key_pem: pem::to_pem("PUBLIC KEY", &key.subject_public_key_info()),
        request_pem: pem::to_pem("CERTIFICATE REQUEST", request.der()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, ServerNames};
    use std::time::SystemTime;

    #[test]
    fn its_certificate_belongs_to_the_key() {
        let made = new_p256_request("pump-7").expect("a key");
        let authority =
            Authority::in_memory(&ServerNames::loopback(), SystemTime::now()).expect("an authority");
        let issued = authority.issue_from_csr(&made.request_pem, SystemTime::now()).expect("issued");
        assert_eq!(crate::keys::key_matches_certificate(&made.private_key_pem, &issued.der), Ok(true));
        let again = request_for_key(&made.private_key_pem, "pump-7").expect("a request");
        assert_eq!(
            (&again.private_key_pem, &again.public_key_pem),
            (&made.private_key_pem, &made.public_key_pem)
        );
        let issued = authority.issue_from_csr(&again.request_pem, SystemTime::now()).expect("issued");
        assert_eq!(crate::keys::key_matches_certificate(&made.private_key_pem, &issued.der), Ok(true));
        let other = new_p256_request("pump-7").expect("another key");
        assert_eq!(crate::keys::key_matches_certificate(&other.private_key_pem, &issued.der), Ok(false));
    }
}
