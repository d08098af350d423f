//! Certificates, signing requests and private keys from foreign bytes, PEM or DER.
//!
//! The seeds are certificates and requests by openssl, whose keys were thrown away, and `*_shape.der`: the structure
//! of private keys without a key.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use libfuzzer_sys::fuzz_target;
use pki::{Authority, CertificateId, ServerNames, key_pem_to_der, parse_certificate, to_pem};

/// The same moment for all: 2023-11-14.
const NOW: Duration = Duration::from_secs(1_700_000_000);

/// Issues certificates for the signing requests that hold.
static AUTHORITY: LazyLock<Authority> =
    LazyLock::new(|| Authority::in_memory(&ServerNames::loopback(), now()).expect("an authority"));

fuzz_target!(|bytes: &[u8]| {
    check_certificate(bytes);
    // The same bytes as if somebody had sent them as PEM.
    check_certificate(to_pem("CERTIFICATE", bytes).as_bytes());
    check_request(&to_pem("CERTIFICATE REQUEST", bytes));
    check_key(&to_pem("PRIVATE KEY", bytes));
    check_key(&to_pem("EC PRIVATE KEY", bytes));
    if let Ok(text) = std::str::from_utf8(bytes) {
        check_request(text);
        check_key(text);
        check_id(text);
    }
});

fn check_certificate(bytes: &[u8]) {
    match parse_certificate(bytes) {
        Ok(info) => {
            assert_eq!(info.id, CertificateId::of_der(&info.der));
            assert!(!info.spki_der().is_empty());
            assert!(info.serial.bytes().all(|digit| digit.is_ascii_hexdigit()), "{}", info.serial);
            assert_eq!(parse_certificate(info.pem().as_bytes()).as_ref(), Ok(&info));
            assert_eq!(parse_certificate(&info.der).as_ref(), Ok(&info));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn check_request(pem: &str) {
    match AUTHORITY.issue_from_csr(pem, now()) {
        Ok(issued) => check_certificate(&issued.der),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A key that was converted is in the form that devices read, so converting it again changes nothing.
fn check_key(pem: &str) {
    let Ok(der) = key_pem_to_der(pem) else { return };
    let again = |label| key_pem_to_der(&to_pem(label, &der)).ok();
    assert!([again("RSA PRIVATE KEY"), again("EC PRIVATE KEY")].contains(&Some(der.clone())), "{der:02x?}");
}

fn check_id(text: &str) {
    if let Ok(id) = CertificateId::parse(text) {
        assert_eq!(id.to_string(), text.to_ascii_lowercase());
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + NOW
}
