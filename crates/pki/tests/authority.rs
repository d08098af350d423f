//! The directory `ca/` over its life: first start, later starts, renewal, damage.

use pki::{Authority, PkiError, ServerNames};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(86_400);

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("the file is there").permissions().mode() & 0o777
}

#[test]
fn a_second_start_finds_the_same_authority() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("data/ca");
    let (names, now) = (ServerNames::loopback(), SystemTime::now());
    let first = Authority::load_or_create(&ca, &names, now).unwrap();
    let second = Authority::load_or_create(&ca, &names, now).unwrap();
    assert_eq!(first.ca_pem(), second.ca_pem());
    assert_eq!(first.server_identities(), second.server_identities());

    assert_eq!(mode(&ca), 0o700);
    for key in ["root-ca.key", "server-p256.key", "server-rsa.key"] {
        assert_eq!(mode(&ca.join(key)), 0o600, "{key}");
    }
    let info = pki::parse_certificate(first.ca_der()).unwrap();
    assert!(info.is_authority && info.subject.contains("eyot Root CA "));
    assert!(info.not_after - info.not_before >= 20 * 365 * 86_400);
}

#[test]
fn loosened_permissions_are_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca");
    let (names, now) = (ServerNames::loopback(), SystemTime::now());
    Authority::load_or_create(&ca, &names, now).unwrap();
    std::fs::set_permissions(&ca, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(ca.join("root-ca.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    Authority::load_or_create(&ca, &names, now).unwrap();
    assert_eq!((mode(&ca), mode(&ca.join("root-ca.key"))), (0o700, 0o600));
}

#[test]
fn server_certificates_are_renewed_thirty_days_before_their_end_under_the_same_root() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca");
    let (names, now) = (ServerNames::loopback(), SystemTime::now());
    let first = Authority::load_or_create(&ca, &names, now).unwrap();
    let original = first.server_identities();

    assert!(first.renew_if_due(now + 365 * DAY).unwrap().is_none(), "31 days are left");
    let renewed = first.renew_if_due(now + 367 * DAY).unwrap().expect("29 days are left");
    assert_ne!(renewed.ecdsa.chain, original.ecdsa.chain);
    assert_ne!(renewed.rsa.chain, original.rsa.chain);
    assert_eq!(renewed.ecdsa.key_pkcs8, original.ecdsa.key_pkcs8, "the key stays");
    assert!(first.renew_if_due(now + 368 * DAY).unwrap().is_none());

    let second = Authority::load_or_create(&ca, &names, now + 368 * DAY).unwrap();
    assert_eq!(second.server_identities(), renewed, "the new ones are on disk");
    assert_eq!(second.ca_pem(), first.ca_pem());
    let third = Authority::load_or_create(&ca, &names, now + 800 * DAY).unwrap();
    assert_ne!(third.server_identities(), renewed, "a start renews as well");
}

#[test]
fn server_certificates_follow_the_names() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca");
    let now = SystemTime::now();
    let loopback = Authority::load_or_create(&ca, &ServerNames::loopback(), now).unwrap();
    let names = ServerNames::new(["Board.local", "192.0.2.1", "2001:db8::1"]).unwrap();
    let lan = Authority::load_or_create(&ca, &names, now).unwrap();
    assert_ne!(lan.server_identities(), loopback.server_identities());
    assert_eq!(lan.ca_pem(), loopback.ca_pem());
    let same = Authority::load_or_create(
        &ca,
        &ServerNames::new(["2001:db8::1", "board.LOCAL", "192.0.2.1"]).unwrap(),
        now,
    );
    assert_eq!(same.unwrap().server_identities(), lan.server_identities());
}

#[test]
fn names_that_cannot_stand_in_a_certificate_are_refused() {
    for name in ["", "a b", "-x", "x-", "a..b", "é", "http://x", &"a".repeat(64)] {
        assert!(matches!(ServerNames::new([name]), Err(PkiError::InvalidName { .. })), "{name}");
    }
    assert!(ServerNames::new(["*.example.org", "my_host"]).is_ok());
}

#[test]
fn damage_is_refused_by_name_and_nothing_is_regenerated() {
    let (names, now) = (ServerNames::loopback(), SystemTime::now());
    let template = tempfile::tempdir().unwrap();
    let good = template.path().join("ca");
    Authority::load_or_create(&good, &names, now).unwrap();
    let other = template.path().join("other");
    Authority::load_or_create(&other, &names, now).unwrap();

    for file in [
        "root-ca.pem",
        "root-ca.key",
        "server-p256.pem",
        "server-p256.key",
        "server-rsa.pem",
        "server-rsa.key",
    ] {
        for how in ["missing", "cut", "text", "foreign"] {
            // A server certificate can be made again for the key that is there.
            if how == "missing" && file.starts_with("server") && file.ends_with("pem") {
                continue;
            }
            let dir = tempfile::tempdir().unwrap();
            let ca = dir.path().join("ca");
            std::fs::create_dir(&ca).unwrap();
            for entry in std::fs::read_dir(&good).unwrap() {
                let entry = entry.unwrap();
                std::fs::copy(entry.path(), ca.join(entry.file_name())).unwrap();
            }
            let path = ca.join(file);
            let text = std::fs::read_to_string(&path).unwrap();
            match how {
                "missing" => std::fs::remove_file(&path).unwrap(),
                "cut" => std::fs::write(&path, &text[..text.len() / 2]).unwrap(),
                "text" => std::fs::write(&path, "not a PEM file").unwrap(),
                _ => _ = std::fs::copy(other.join(file), &path).unwrap(),
            }
            let error = Authority::load_or_create(&ca, &names, now).unwrap_err();
            let PkiError::Damaged { path: named, .. } = &error else { panic!("{file} {how}: {error}") };
            // A key of another authority is noticed at the certificate beside it.
            assert_eq!(named.file_stem(), path.file_stem(), "{file} {how}: {error}");
            assert!(how == "missing" || path.exists());
            assert!(how != "missing" || !path.exists(), "{file} was regenerated");
        }
    }
}

#[test]
fn a_crash_in_the_first_start_leaves_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca");
    // What is there after a crash before the rename, and between the server's key and certificate.
    std::fs::create_dir(dir.path().join("ca.new")).unwrap();
    std::fs::write(dir.path().join("ca.new/root-ca.key"), "half").unwrap();
    std::fs::create_dir(&ca).unwrap();
    let (names, now) = (ServerNames::loopback(), SystemTime::now());
    let first = Authority::load_or_create(&ca, &names, now).unwrap();
    std::fs::remove_file(ca.join("server-rsa.pem")).unwrap();
    std::fs::write(ca.join("server-rsa.new"), "half").unwrap();
    let second = Authority::load_or_create(&ca, &names, now).unwrap();
    assert_eq!(first.ca_pem(), second.ca_pem());
    assert_eq!(first.server_identities().rsa.key_pkcs8, second.server_identities().rsa.key_pkcs8);
}

#[test]
fn a_clock_beyond_the_certificates_is_an_error() {
    let later = SystemTime::UNIX_EPOCH + 81 * 366 * DAY;
    let error = Authority::in_memory(&ServerNames::loopback(), later).unwrap_err();
    assert!(matches!(error, PkiError::Clock { .. }), "{error}");
    let authority = Authority::in_memory(&ServerNames::loopback(), SystemTime::now()).unwrap();
    assert!(authority.issue_from_new_key(later).is_err());
    assert!(authority.ca_path().is_none());
}
