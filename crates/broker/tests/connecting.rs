//! TLS and CONNECT: who gets in, and what the log says about those who do not.

mod support;

use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, SystemTime};
use support::{
    ALLOW_ALL, Client, Cloud, Device, Options, PATIENCE, Received, Setup, TlsSetup, ca_pem, logged,
    never_logged, until,
};

#[test]
fn registered_devices_connect_over_both_tls_versions_with_and_without_sni() {
    let cloud = Cloud::start();
    let ecdsa = cloud.device(ALLOW_ALL);
    let rsa = Device::issue_rsa();
    cloud.adopt(&rsa);
    for device in [&ecdsa, &rsa] {
        for versions in [[&TLS12], [&TLS13]] {
            for sni in [true, false] {
                let tls = TlsSetup::changed(Some(device), &versions, |config| {
                    config.enable_sni = sni;
                    config.alpn_protocols = vec![b"x-amzn-mqtt-ca".to_vec(), b"mqtt".to_vec()];
                });
                let mut client = Client::connect_with(&cloud, &tls, &device.name, &Options::default());
                client.ping();
            }
        }
    }
    assert_eq!(cloud.broker.counters().handshakes_full, 8);
}

#[test]
fn a_self_signed_certificate_works_once_it_is_registered() {
    let cloud = Cloud::start();
    let dir = tempfile::tempdir().unwrap();
    let status = Command::new("openssl")
        .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out c -days 1 -subj /CN=own".split(' '))
        // Its only purpose would be to sign others: that does not matter.
        .args(["-addext", "keyUsage=critical,keyCertSign"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    let certificate = pki::certificate_der(&std::fs::read(dir.path().join("c")).unwrap()).unwrap();
    let key_pem = std::fs::read_to_string(dir.path().join("k")).unwrap();
    let id = pki::CertificateId::of_der(&certificate);
    let device = Device { name: support::unique("own"), certificate, key_pem, id };

    let mut stranger = Client::dial(cloud.broker.mqtts_addr(), &device.tls()).unwrap();
    stranger.send_connect(&device.name, &Options::default());
    stranger.expect_closed();
    logged(&["eyot::connect", &device.name, &id.to_string(), "is not registered"]);

    cloud.adopt(&device);
    cloud.connect(&device).ping();
}

#[test]
fn inactive_certificates_are_refused_without_connack() {
    let cloud = Cloud::start();
    let device = cloud.device(ALLOW_ALL);
    cloud.deactivate(&device);
    let mut client = Client::dial(cloud.broker.mqtts_addr(), &device.tls()).unwrap();
    client.send_connect(&device.name, &Options::default());
    client.expect_closed();
    let line = logged(&["eyot::connect", &format!("\"client_id\":\"{}\"", device.name), "INACTIVE"]);
    assert!(
        line.contains("WARN") && line.contains(&device.id.to_string()) && line.contains("127.0.0.1"),
        "{line}"
    );
}

#[test]
fn a_client_without_certificate_fails_the_handshake() {
    let cloud = Cloud::start();
    for versions in [[&TLS12], [&TLS13]] {
        let tls = TlsSetup::new(None, &versions);
        let refused =
            Client::dial(cloud.broker.mqtts_addr(), &tls).and_then(|mut client| client.try_receive());
        let error = refused.unwrap_err().to_string();
        // TLS 1.3 has an alert of its own for it.
        assert!(error.contains("CertificateRequired") || error.contains("HandshakeFailure"), "{error}");
    }
    logged(&["eyot::connect", "the client sent no certificate"]);
    until(|| cloud.broker.counters().handshakes_failed == 2);
}

#[test]
fn x509_version_1_is_refused_with_its_reason() {
    let cloud = Cloud::start();
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &str| {
        let output = Command::new("openssl").args(args.split(' ')).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run("req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out r -subj /CN=v1");
    run("x509 -req -in r -signkey k -out c -days 9");
    let certificate = pki::certificate_der(&std::fs::read(dir.path().join("c")).unwrap()).unwrap();
    assert_eq!(pki::parse_certificate(&certificate).unwrap().version, 1);
    let id = pki::CertificateId::of_der(&certificate);
    let key_pem = std::fs::read_to_string(dir.path().join("k")).unwrap();
    s_client(&cloud, &Device { name: support::unique("v1"), certificate, key_pem, id });
    logged(&["eyot::connect", &id.to_string(), "X.509 version 1"]);
}

/// What `openssl s_client` says when it connects with this certificate and sends nothing.
fn s_client(cloud: &Cloud, device: &Device) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
    write("ca", &ca_pem());
    write("c", &pki::to_pem("CERTIFICATE", &device.certificate));
    write("k", &device.key_pem);
    let address = cloud.broker.mqtts_addr().to_string();
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &address, "-CAfile", "ca", "-cert", "c", "-key", "k"])
        .current_dir(dir.path())
        .stdin(std::process::Stdio::null())
        .output()
        .expect("openssl is installed");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn policies_decide_who_may_connect_as_what() {
    let cloud = Cloud::start();
    let own_id = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect",
        "Resource":"arn:aws:iot:eu-west-1:123456789012:client/${iot:Connection.Thing.ThingName}"}]}"#;
    let device = cloud.device(own_id);
    cloud.connect(&device).ping();

    let refused = |options: &Options<'_>, needles: &[&str]| {
        let mut client = Client::dial(cloud.broker.mqtts_addr(), &device.tls()).unwrap();
        client.send_connect(&device.name, options);
        client.expect_closed();
        logged(needles);
    };
    let other = support::unique("other");
    refused(
        &Options { client_id: Some(&other), ..Options::default() },
        &["eyot::connect", &format!("\"client_id\":\"{other}\""), "iot:Connect", "policy-"],
    );
    refused(
        &Options { will: Some(("gone", "x")), ..Options::default() },
        &["eyot::connect", &device.name, "the will may not be published", "iot:Publish"],
    );

    let nothing = cloud.device_without_policy();
    let mut client = Client::dial(cloud.broker.mqtts_addr(), &nothing.tls()).unwrap();
    client.send_connect(&nothing.name, &Options::default());
    client.expect_closed();
    logged(&["eyot::connect", &nothing.name, "iot:Connect is not allowed: no policy is attached"]);
}

/// [AWS iot] The post's device asks for 10,000 seconds and is not refused; it gets 1,200.
#[test]
fn a_keep_alive_out_of_range_is_clamped_and_not_refused() {
    let cloud = Cloud::start();
    for (asked, applied) in [(10_000, 1_200), (0, 1_200), (1, 30), (60, 60)] {
        let device = cloud.device(ALLOW_ALL);
        let options = Options { keep_alive_s: asked, ..Options::default() };
        Client::connect(&cloud, &device, &options).ping();
        logged(&["eyot::connection", &device.name, &format!("\"keep_alive_s\":{applied},")]);
    }
}

/// [MQTT311 3.1.4-2]
#[test]
fn the_second_connection_with_a_client_id_ends_the_first() {
    let cloud = Cloud::start();
    let (device, watcher) = (cloud.device(ALLOW_ALL), cloud.device(ALLOW_ALL));
    let mut watcher = cloud.connect(&watcher);
    assert_eq!(watcher.subscribe(&[("wills/+", mqtt_wire::QoS::AtMostOnce)]), [0]);
    let will = Options { will: Some(("wills/a", "gone")), ..Options::default() };
    let mut first = Client::connect(&cloud, &device, &will);
    let mut second = cloud.connect(&device);
    first.expect_closed();
    logged(&["eyot::connection", &device.name, "DUPLICATE_CLIENTID"]);
    assert_eq!(watcher.receive(), support::received("wills/a", "gone"));
    second.ping();
    assert_eq!(cloud.broker.connections(), 2);
}

#[test]
fn resumed_sessions_are_looked_at_like_full_ones() {
    let cloud = Cloud::start();
    for versions in [[&TLS12], [&TLS13]] {
        let device = cloud.device(ALLOW_ALL);
        let tls = TlsSetup::new(Some(&device), &versions);
        let mut first = Client::connect_with(&cloud, &tls, &device.name, &Options::default());
        first.ping(); // TLS 1.3 sends its ticket behind the handshake.
        let second = Client::connect_with(&cloud, &tls, &device.name, &Options::default());
        assert_eq!(second.handshake_kind(), Some(HandshakeKind::Resumed));

        cloud.deactivate(&device);
        let mut third = Client::dial(cloud.broker.mqtts_addr(), &tls).unwrap();
        assert_eq!(third.handshake_kind(), Some(HandshakeKind::Resumed), "TLS itself knows nothing of it");
        third.send_connect(&device.name, &Options::default());
        third.expect_closed();
        logged(&["eyot::connect", &device.name, "INACTIVE"]);
    }
    assert!(cloud.broker.counters().handshakes_resumed >= 4);
}

#[test]
fn an_empty_client_id_gets_one_and_others_out_of_bounds_are_refused() {
    let cloud = Cloud::start();
    let device = cloud.device(ALLOW_ALL);
    Client::connect(&cloud, &device, &Options { client_id: Some(""), ..Options::default() }).ping();
    for client_id in ["$aws", &"x".repeat(129)] {
        let mut client = Client::dial(cloud.broker.mqtts_addr(), &device.tls()).unwrap();
        client.send_connect(client_id, &Options::default());
        client.expect_closed();
        logged(&["eyot::connect", client_id, "client identifier"]);
    }
}

#[test]
fn what_is_not_tls_or_not_connect_is_told_and_hung_up_on() {
    let cloud = Cloud::start();
    let mut plain = TcpStream::connect(cloud.broker.mqtts_addr()).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    let peer = plain.local_addr().unwrap().to_string();
    // A CONNECT without TLS around it.
    plain.write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01a").unwrap();
    let mut rest = Vec::new();
    let _ = plain.read_to_end(&mut rest);
    logged(&["eyot::connect", &peer, "not TLS", "plain MQTT"]);

    let device = cloud.device(ALLOW_ALL);
    let mut client = Client::dial(cloud.broker.mqtts_addr(), &device.tls()).unwrap();
    client.send(&mqtt_wire::Packet::PingReq);
    client.expect_closed();
    logged(&["eyot::connect", &device.id.to_string(), "instead of CONNECT"]);

    let mut client = Client::dial(cloud.broker.mqtts_addr(), &device.tls()).unwrap();
    client.send_bytes(&[0xff; 100]).unwrap();
    client.expect_closed();
    logged(&["eyot::connect", &device.id.to_string(), "is not MQTT"]);
    cloud.connect(&device).ping();
}

#[test]
fn a_client_of_an_unknown_version_learns_that_its_version_is_the_reason() {
    let cloud = Cloud::start();
    let device = cloud.device(ALLOW_ALL);
    let mut client = Client::dial(cloud.broker.mqtts_addr(), &device.tls()).unwrap();
    client.send_bytes(b"\x10\x0d\0\x04MQTT\x06\x02\0\x3c\0\x01a").unwrap();
    // [MQTT311 3.1.2-2] Return code 1: unacceptable protocol version.
    assert_eq!(client.receive(), Received::ConnAck(vec![0x20, 2, 0, 1]));
    client.expect_closed();
    logged(&["eyot::connect", &device.id.to_string(), "level 6"]);
}

#[test]
fn a_stranger_cannot_make_us_collect_a_large_connect() {
    let cloud = Cloud::start();
    let stranger = Device::issue();
    let mut client = Client::dial(cloud.broker.mqtts_addr(), &stranger.tls()).unwrap();
    // A CONNECT that announces 100,000 bytes and is within the limits of those who are known.
    client.send_bytes(&[0x10, 0xa0, 0x8d, 0x06]).unwrap();
    client.expect_closed();
    logged(&["eyot::connect", &stranger.id.to_string(), "the first packet is too large"]);
}

#[test]
fn unfinished_connections_are_bounded_per_address_and_in_time() {
    let setup = Setup {
        unfinished_per_address_max: 4,
        connect_deadline: Duration::from_millis(1_500),
        ..Setup::default()
    };
    let cloud = Cloud::with(setup);
    let device = cloud.device(ALLOW_ALL);
    let idle: Vec<_> = (0..4).map(|_| TcpStream::connect(cloud.broker.mqtts_addr()).unwrap()).collect();
    until(|| cloud.broker.counters().accepted == 4);
    let mut fifth = TcpStream::connect(cloud.broker.mqtts_addr()).unwrap();
    fifth.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(matches!(fifth.read(&mut [0]), Ok(0) | Err(_)), "it is closed at once");
    until(|| cloud.broker.counters().refused_busy == 1);
    logged(&["eyot::connect", "too many connections of this address"]);

    // Their time passes, and there is room again.
    for mut stream in idle {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    }
    logged(&["eyot::connect", "the TLS handshake did not come in time"]);
    cloud.connect(&device).ping();

    let mut silent = Client::dial(cloud.broker.mqtts_addr(), &device.tls()).unwrap();
    silent.expect_closed();
    logged(&["eyot::connect", &device.id.to_string(), "CONNECT did not come in time"]);
    until(|| cloud.broker.counters().connects_late == 5);
}

#[test]
fn renewed_server_certificates_are_shown_to_who_comes_next() {
    let cloud = Cloud::start();
    let renewed = pki::Authority::in_memory(&pki::ServerNames::loopback(), SystemTime::now()).unwrap();
    let mut connected = cloud.connect(&cloud.device(ALLOW_ALL));
    let before = shown_certificate(&cloud);
    assert_eq!(shown_certificate(&cloud), before);
    let identities = renewed.server_identities();
    cloud.broker.use_identities(&identities).unwrap();
    let after = shown_certificate(&cloud);
    assert_ne!(after, before);
    assert!([&identities.ecdsa, &identities.rsa].iter().any(|identity| identity.chain[0] == after));
    // Who is connected stays so.
    connected.ping();
}

/// The certificate that the server shows to somebody who looks.
fn shown_certificate(cloud: &Cloud) -> Vec<u8> {
    let shown = Command::new("openssl")
        .args(["s_client", "-connect", &cloud.broker.mqtts_addr().to_string()])
        .stdin(std::process::Stdio::null())
        .output()
        .expect("openssl");
    pki::certificate_der(&shown.stdout).expect("a certificate in what it prints")
}

#[test]
fn unfinished_connections_are_bounded_in_all_and_the_next_come_in_when_one_ends() {
    let cloud = Cloud::with(Setup { unfinished_max: 4, ..Setup::default() });
    let device = cloud.device(ALLOW_ALL);
    let mut idle: Vec<_> = (0..4).map(|_| TcpStream::connect(cloud.broker.mqtts_addr()).unwrap()).collect();
    until(|| cloud.broker.counters().accepted == 4);
    // The next waits in the kernel's queue.
    let address = cloud.broker.mqtts_addr();
    let late = std::thread::spawn(move || Client::dial(address, &device.tls()).map(|_| ()));
    // In the time in which another broker starts and lets its first client in, this one lets in nobody.
    let elsewhere = Cloud::start();
    elsewhere.connect(&elsewhere.device(ALLOW_ALL)).ping();
    assert!(!late.is_finished());
    assert_eq!(cloud.broker.counters().accepted, 4);
    idle.pop();
    late.join().unwrap().unwrap();
    assert_eq!(cloud.broker.counters().accepted, 5);
    assert_eq!(cloud.broker.counters().refused_busy, 0);
}

#[test]
fn who_comes_when_every_seat_is_taken_is_refused_and_seats_are_given_back() {
    let cloud = Cloud::with(Setup { connections_max: 2, ..Setup::default() });
    let device = cloud.device(ALLOW_ALL);
    let first = cloud.connect(&device);
    let second = TcpStream::connect(cloud.broker.mqtts_addr()).unwrap();
    until(|| cloud.broker.counters().accepted == 2);
    let mut third = TcpStream::connect(cloud.broker.mqtts_addr()).unwrap();
    third.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(matches!(third.read(&mut [0]), Ok(0) | Err(_)), "it is closed at once");
    assert_eq!(cloud.broker.counters().refused_full, 1);
    logged(&["eyot::connect", "every connection that the limit of open files allows"]);

    drop(second);
    let other = cloud.device(ALLOW_ALL);
    until(|| Client::dial(cloud.broker.mqtts_addr(), &other.tls()).is_ok());
    drop(first);
    until(|| cloud.broker.connections() == 0);
    cloud.connect(&other).ping();
}

#[test]
fn a_burst_from_one_address_is_no_flood() {
    let cloud = Cloud::with(Setup { unfinished_per_address_max: 200, ..Setup::default() });
    let device = cloud.device(ALLOW_ALL);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (cloud, device) = (&cloud, &device);
            scope.spawn(move || {
                for number in 0..40 {
                    let client_id = format!("{}-{thread}-{number}", device.name);
                    let options = Options { client_id: Some(&client_id), ..Options::default() };
                    Client::connect(cloud, device, &options).ping();
                }
            });
        }
    });
    assert_eq!((cloud.broker.counters().connects, cloud.broker.counters().refused_busy), (320, 0));
}

#[test]
fn a_port_scan_is_no_warning() {
    let cloud = Cloud::start();
    let stream = TcpStream::connect(cloud.broker.mqtts_addr()).unwrap();
    let peer = stream.local_addr().unwrap().to_string();
    drop(stream);
    logged(&["eyot::connect", &peer, "without sending anything"]);
    assert!(never_logged(&["WARN", &peer]));
}
