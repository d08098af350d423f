//! The real `openssl` reads, converts and verifies what we issue, and we read what it makes.

use pki::{Authority, CsrError, KeyKind, ServerNames};
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

fn openssl(dir: &Path, args: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(args).current_dir(dir).output().expect("openssl is installed");
    assert!(
        output.status.success(),
        "openssl {args:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn text(dir: &Path, args: &[&str]) -> String {
    String::from_utf8(openssl(dir, args)).expect("openssl prints text")
}

fn authority(dir: &Path) -> Authority {
    Authority::load_or_create(&dir.join("ca"), &ServerNames::loopback(), SystemTime::now())
        .expect("a new authority")
}

#[test]
fn device_certificate_and_keys_are_what_the_post_converts_and_uses() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let authority = authority(dir);
    let issued = authority.issue_from_new_key(SystemTime::now()).unwrap();
    let keys = issued.keys.as_ref().unwrap();
    std::fs::write(dir.join("certificate.pem.crt"), &issued.certificate_pem).unwrap();
    std::fs::write(dir.join("private.pem.key"), &keys.private_key_pem).unwrap();
    std::fs::write(dir.join("public.pem.key"), &keys.public_key_pem).unwrap();

    assert!(keys.private_key_pem.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
    assert!(keys.public_key_pem.starts_with("-----BEGIN PUBLIC KEY-----\n"));
    openssl(dir, &["rsa", "-check", "-noout", "-in", "private.pem.key"]);

    // The post's own two commands.
    openssl(dir, &["x509", "-in", "certificate.pem.crt", "-out", "certificate.der", "-outform", "DER"]);
    openssl(dir, &["pkey", "-in", "private.pem.key", "-out", "private.der", "-outform", "DER"]);
    assert_eq!(std::fs::read(dir.join("certificate.der")).unwrap(), issued.der);
    assert_eq!(
        std::fs::read(dir.join("private.der")).unwrap(),
        pki::key_pem_to_der(&keys.private_key_pem).unwrap()
    );

    let ca = authority.ca_path().unwrap();
    openssl(dir, &["verify", "-x509_strict", "-CAfile", ca.to_str().unwrap(), "certificate.pem.crt"]);
    let public = text(dir, &["x509", "-in", "certificate.pem.crt", "-noout", "-pubkey"]);
    assert_eq!(public, keys.public_key_pem);
    assert_eq!(text(dir, &["pkey", "-in", "private.pem.key", "-pubout"]), keys.public_key_pem);

    let shown = text(dir, &["x509", "-in", "certificate.pem.crt", "-noout", "-text"]);
    for expected in [
        "Subject: CN = AWS IoT Certificate",
        "Not After : Dec 31 23:59:59 2049 GMT",
        "Public-Key: (2048 bit)",
        "X509v3 Key Usage: critical\n                Digital Signature",
        "X509v3 Basic Constraints: critical\n                CA:FALSE",
        "X509v3 Subject Key Identifier",
        "X509v3 Authority Key Identifier",
        "Issuer: CN = eyot Root CA ",
    ] {
        assert!(shown.contains(expected), "no `{expected}` in {shown}");
    }
    let fingerprint = text(dir, &["x509", "-in", "certificate.pem.crt", "-noout", "-fingerprint", "-sha256"]);
    let hex = fingerprint.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
    assert_eq!(issued.id.to_string(), hex);
}

#[test]
fn requests_of_openssl_are_signed_whatever_digest_it_chose() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let authority = authority(dir);
    let ca = authority.ca_path().unwrap();
    for (name, newkey, digest, kind) in [
        ("rsa", "rsa:2048", "-sha256", KeyKind::Rsa { bits: 2048 }),
        ("rsa3", "rsa:3072", "-sha512", KeyKind::Rsa { bits: 3072 }),
        ("p256", "prime256v1", "-sha256", KeyKind::P256),
        ("p384", "secp384r1", "-sha256", KeyKind::P384),
        ("p384b", "secp384r1", "-sha384", KeyKind::P384),
        ("p521", "secp521r1", "-sha512", KeyKind::P521),
        ("p521b", "secp521r1", "-sha256", KeyKind::P521),
    ] {
        let (key, csr, crt) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.crt"));
        let mut args =
            vec!["req", "-new", "-nodes", "-subj", "/CN=mine/O=me", digest, "-keyout", &key, "-out", &csr];
        let curve = format!("ec_paramgen_curve:{newkey}");
        if newkey.starts_with("rsa") {
            args.extend(["-newkey", newkey]);
        } else {
            args.extend(["-newkey", "ec", "-pkeyopt", &curve]);
        }
        openssl(dir, &args);
        let request = std::fs::read_to_string(dir.join(&csr)).unwrap();
        let issued = authority.issue_from_csr(&request, SystemTime::now()).unwrap();
        assert!(issued.keys.is_none());
        std::fs::write(dir.join(&crt), &issued.certificate_pem).unwrap();
        openssl(dir, &["verify", "-x509_strict", "-CAfile", ca.to_str().unwrap(), &crt]);
        assert_eq!(
            text(dir, &["x509", "-in", &crt, "-noout", "-pubkey"]),
            text(dir, &["pkey", "-in", &key, "-pubout"]),
            "{name}"
        );
        assert_eq!(pki::parse_certificate(&issued.der).unwrap().key_kind, kind, "{name}");
        let key_pem = std::fs::read_to_string(dir.join(&key)).unwrap();
        assert_eq!(pki::keys::key_matches_certificate(&key_pem, &issued.der), Ok(true), "{name}");

        // openssl's DER form of the key, byte for byte.
        let expected = openssl(dir, &["pkey", "-in", &key, "-outform", "DER"]);
        assert_eq!(pki::key_pem_to_der(&key_pem).unwrap(), expected, "{name}");

        let again = authority.issue_from_csr(&request, SystemTime::now()).unwrap();
        assert_ne!(
            again.id, issued.id,
            "[AWS CreateCertificateFromCsr] the same request gives a new certificate"
        );
    }
}

#[test]
fn sec1_key_with_its_parameters_block_converts_as_openssl_does() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    openssl(dir, &["ecparam", "-genkey", "-name", "prime256v1", "-out", "ec.key"]);
    let pem = std::fs::read_to_string(dir.join("ec.key")).unwrap();
    assert!(pem.contains("EC PARAMETERS") && pem.contains("BEGIN EC PRIVATE KEY"));
    let expected = openssl(dir, &["pkey", "-in", "ec.key", "-outform", "DER"]);
    assert_eq!(pki::key_pem_to_der(&pem).unwrap(), expected);
}

#[test]
fn weak_tampered_and_foreign_requests_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let authority = Authority::in_memory(&ServerNames::loopback(), SystemTime::now()).unwrap();
    let request = |args: &[&str]| {
        let mut all = vec!["req", "-new", "-nodes", "-subj", "/CN=x", "-keyout", "x.key"];
        all.extend(args);
        text(dir, &all)
    };
    let refused = |pem: &str| authority.issue_from_csr(pem, SystemTime::now()).unwrap_err();

    let weak = refused(&request(&["-newkey", "rsa:1024"]));
    assert!(matches!(&weak, CsrError::UnsupportedKey(what) if what.contains("1024")), "{weak}");
    let ed25519 = refused(&request(&["-newkey", "ed25519"]));
    assert!(matches!(ed25519, CsrError::UnsupportedKey(_)), "{ed25519}");

    let good = request(&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    let mut der = pki::pem_to_der(&good, "CERTIFICATE REQUEST").unwrap();
    let name = der.iter().position(|&byte| byte == b'x').unwrap();
    der[name] = b'y';
    let tampered = refused(&pki::to_pem("CERTIFICATE REQUEST", &der));
    assert!(matches!(tampered, CsrError::Signature), "{tampered}");

    der.truncate(der.len() - 3);
    for text in ["", "garbage", &pki::to_pem("CERTIFICATE REQUEST", &der), &authority.ca_pem()] {
        assert!(matches!(refused(text), CsrError::Malformed(_)), "{text}");
    }
}

#[test]
fn encrypted_keys_and_other_texts_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    openssl(
        dir,
        &[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-aes128",
            "-pass",
            "pass:secret",
            "-out",
            "e.key",
        ],
    );
    let encrypted = std::fs::read_to_string(dir.join("e.key")).unwrap();
    assert_eq!(pki::key_pem_to_der(&encrypted), Err(pki::ReadError::NotAPrivateKey));
    assert!(pki::key_pem_to_der("nothing here").is_err());
}

#[test]
fn both_server_certificates_verify_for_every_name() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let names = ServerNames::new(["pico.example.org", "192.0.2.7"]).unwrap();
    let authority = Authority::load_or_create(&dir.join("ca"), &names, SystemTime::now()).unwrap();
    let ca = authority.ca_path().unwrap();
    for file in ["ca/server-p256.pem", "ca/server-rsa.pem"] {
        let verify = |name: &[&str]| {
            let mut args =
                vec!["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", ca.to_str().unwrap()];
            args.extend(name);
            args.push(file);
            Command::new("openssl").args(&args).current_dir(dir).output().unwrap().status.success()
        };
        for name in ["localhost", "stream-localhost", "pico.example.org"] {
            assert!(verify(&["-verify_hostname", name]), "{file} {name}");
        }
        for address in ["127.0.0.1", "::1", "192.0.2.7"] {
            assert!(verify(&["-verify_ip", address]), "{file} {address}");
        }
        assert!(!verify(&["-verify_hostname", "other.example.org"]), "{file}");
    }
    let info = pki::parse_certificate(&std::fs::read(dir.join("ca/server-rsa.pem")).unwrap()).unwrap();
    assert_eq!(info.key_kind, KeyKind::Rsa { bits: 2048 });
    assert!(info.not_after - info.not_before <= 397 * 86_400);
}

#[test]
fn foreign_certificates_are_read_as_pem_and_der() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    openssl(
        dir,
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "k",
            "-out",
            "c",
            "-days",
            "3",
            "-subj",
            "/O=They/CN=theirs",
            "-set_serial",
            "0x0a0b",
        ],
    );
    let pem = std::fs::read(dir.join("c")).unwrap();
    let der = openssl(dir, &["x509", "-in", "c", "-outform", "DER"]);
    let info = pki::parse_certificate(&pem).unwrap();
    assert_eq!(info, pki::parse_certificate(&der).unwrap());
    assert_eq!(info.subject, "O=They, CN=theirs");
    assert_eq!((info.not_after - info.not_before, info.version), (3 * 86_400, 3));
    assert_eq!(info.serial, "0a0b");
    assert_eq!(info.pem().as_bytes(), pem);
    assert!(pki::parse_certificate(b"\x30\x03abc").is_err());
    assert!(pki::parse_certificate(b"garbage").is_err());
}
