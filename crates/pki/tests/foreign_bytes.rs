//! Certificates and requests from strangers: read or refused, never a panic.

use pki::{Authority, ServerNames, parse_certificate, pem_to_der, to_pem};
use std::time::SystemTime;

fn authority() -> Authority {
    Authority::in_memory(&ServerNames::loopback(), SystemTime::now()).expect("an authority")
}

/// The DER with each of its bytes changed in turn, in a few ways.
fn changed(der: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..der.len()).flat_map(move |at| {
        [0x00, 0x01, 0x7f, 0x80, 0x84, 0xff, der[at] ^ 0x20].map(|byte| {
            let mut changed = der.to_vec();
            changed[at] = byte;
            changed
        })
    })
}

#[test]
fn changed_certificates_are_read_or_refused() {
    let authority = authority();
    let root = authority.ca_der();
    for der in changed(root) {
        let _ = parse_certificate(&der);
    }
    for length in 0..root.len() {
        assert!(parse_certificate(&root[..length]).is_err(), "{length}");
    }
}

#[test]
fn changed_requests_are_signed_or_refused() {
    let authority = authority();
    let request = pki::new_p256_request("pump-7").unwrap().request_pem;
    let request = pem_to_der(&request, "CERTIFICATE REQUEST").unwrap();
    for der in changed(&request) {
        let _ = authority.issue_from_csr(&to_pem("CERTIFICATE REQUEST", &der), SystemTime::now());
    }
}

/// A version that no count can follow.
#[test]
fn a_certificate_of_the_last_version_is_read() {
    let authority = authority();
    let der = authority.ca_der();
    // Certificate and TBSCertificate both begin `30 82 hi lo`; then `a0 03 02 01 02` says version 3.
    assert_eq!(
        (&der[..2], &der[4..6], &der[8..13]),
        (&[0x30, 0x82][..], &[0x30, 0x82][..], &[0xa0, 3, 2, 1, 2][..])
    );
    let version = [0xa0, 0x07, 0x02, 0x05, 0x00, 0xff, 0xff, 0xff, 0xff];
    let mut longer = [&der[..8], &version, &der[13..]].concat();
    for length_at in [2, 6] {
        let length = u16::from_be_bytes([der[length_at], der[length_at + 1]]) + 4;
        longer[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }
    assert_eq!(parse_certificate(&longer).unwrap().version, u32::MAX);
}

/// A tag of another class with the number of a SEQUENCE: DER that begins so could not be told from PEM.
#[test]
fn a_certificate_that_is_no_sequence_is_refused() {
    let mut der = authority().ca_der().to_vec();
    der[0] |= 0x80;
    for bytes in [pki::to_pem("CERTIFICATE", &der).into_bytes(), der] {
        assert!(pki::parse_certificate(&bytes).is_err());
    }
}
