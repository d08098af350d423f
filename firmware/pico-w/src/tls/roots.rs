//! Whom the board trusts to name servers.

use alloc::string::String;
use device_core::settings::Settings;
use mbedtls_rs::{Certificate, X509};

use alloc::ffi::CString;

/// The roots of AWS's device endpoints [AWS iot server-authentication]: RSA and ECDSA.
const AMAZON: [&[u8]; 2] = [
    include_bytes!("../../certificates/amazon-root-ca-1.der"),
    include_bytes!("../../certificates/amazon-root-ca-3.der"),
];

/// Amazon's roots and those of the configuration. The error says what cannot be used.
///
/// The library takes several certificates only as PEM, so that they become for a moment.
pub(super) fn trusted(settings: &Settings<'_>) -> Result<Certificate<'static>, &'static str> {
    // Of several, the library leaves out without a word what it does not understand, such as a key on another curve.
    for certificate in settings.server_cas.iter() {
        Certificate::new_no_copy(certificate).map_err(|_| "a server CA cannot be used")?;
    }
    let mut pem = String::new();
    for certificate in AMAZON.into_iter().chain(settings.server_cas.iter()) {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        push_base64(&mut pem, certificate);
        pem.push_str("\n-----END CERTIFICATE-----\n");
    }
    let pem = CString::new(pem).map_err(|_| "a server CA cannot be used")?;
    Certificate::new(X509::PEM(&pem)).map_err(|_| "a server CA cannot be used")
}

/// Base64 [RFC 4648 4].
fn push_base64(text: &mut String, bytes: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let mut word = [0; 4];
        word[1..=group.len()].copy_from_slice(group);
        let word = u32::from_be_bytes(word);
        for place in 0..4 {
            let is_padding = place > group.len();
            let digit = (word >> (18 - 6 * place) & 0x3F) as usize;
            text.push(if is_padding { '=' } else { char::from(ALPHABET[digit]) });
        }
    }
}
