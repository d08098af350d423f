//! `eyot serve`: ready, refusals, drain; and the commands that talk to it.

mod support;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{Server, fail, run, succeed, text};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("there").permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
}

#[test]
fn it_says_when_it_is_ready_and_drains_when_told() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let dir = parent.path().join("data");
    let server = Server::start(&dir, &[]);
    let ready = server.ready.clone();
    let members: Vec<&String> = ready.as_object().expect("an object").keys().collect();
    assert_eq!(members.len(), 9, "{ready}");
    assert!(ready["https"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")), "{ready}");
    for absent in ["alpn", "mqtt", "sntp", "console"] {
        assert_eq!(ready[absent], Value::Null, "{absent}");
    }
    assert!(Path::new(ready["ca"].as_str().expect("a path")).is_file());
    let beside: Value =
        serde_json::from_slice(&std::fs::read(dir.join("ready.json")).expect("there")).expect("JSON");
    assert_eq!(beside, ready);
    assert!(server.introduction.contains(&server.api_url()), "{}", server.introduction);
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join("ca")), 0o700);

    let log = server.stop();
    assert!(log.contains("drained"), "{log}");
    assert!(!dir.join("ready.json").exists());
    assert!(!parent.path().join("data.ready").exists());
}

#[test]
fn what_is_taken_is_named() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let dir = parent.path().join("data");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let dir_text = dir.to_str().expect("text");
    let base = ["serve", "--data-dir", dir_text];
    let error = fail(&[&base[..], &["--api-port", &port, "--mqtts-port", "0", "--https-port", "0"]].concat());
    assert!(error.contains(&port) && error.contains("--api-port"), "{error}");
    let error = fail(&[&base[..], &["--mqtts-port", &port, "--api-port", "0", "--https-port", "0"]].concat());
    assert!(error.contains(&port) && error.contains("--mqtts-port"), "{error}");
    let error = fail(&[&base[..], &["--https-port", &port, "--api-port", "0", "--mqtts-port", "0"]].concat());
    assert!(error.contains(&port) && error.contains("--https-port"), "{error}");

    let server = Server::start(&dir, &[]);
    let error = fail(&[&base[..], &["--mqtts-port", "0", "--api-port", "0", "--https-port", "0"]].concat());
    assert!(error.contains(&server.ready["pid"].to_string()), "the process that has it: {error}");
    server.stop();
}

#[test]
fn a_device_is_provisioned_connects_and_its_readings_are_read() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let dir = parent.path().join("data");
    std::fs::create_dir(&dir).expect("created");
    std::fs::write(dir.join("eyot.toml"), "api-port = 0\nmqtts-port = 0\nhttps-port = 0\n").expect("written");
    let dir_text = dir.to_str().expect("text");
    // The demo leaves log group and rule.
    succeed(&["demo", "--messages", "1", "--interval", "100ms", "--data-dir", dir_text]);
    let server = Server::start(&dir, &[]);

    for (thing, key_type) in [("pump-7", "rsa"), ("pump-8", "p256")] {
        let keys = parent.path().join(thing);
        let keys_text = keys.to_str().expect("text");
        let url = server.api_url();
        let provision = [
            "provision",
            thing,
            "--out",
            keys_text,
            "--key-type",
            key_type,
            "--endpoint-url",
            &url,
            "--json",
        ];
        let made: Value = serde_json::from_str(&succeed(&provision)).expect("JSON");
        assert_eq!(made["certificateReused"], false);
        assert_eq!(made["connection"]["port"], server.mqtts_port());
        assert!(
            made["checks"].as_array().expect("checks").iter().all(|check| check["verdict"] == "good"),
            "{made}"
        );
        for file in [
            "certificate.pem.crt",
            "private.pem.key",
            "public.pem.key",
            "certificate.der",
            "private.der",
            "root-ca.pem",
            "connection.json",
        ] {
            assert!(keys.join(file).is_file(), "{file}");
        }
        for key in ["private.pem.key", "private.der"] {
            assert_eq!(mode(&keys.join(key)), 0o600, "{key}");
        }
        let again: Value = serde_json::from_str(&succeed(&provision)).expect("JSON");
        assert_eq!(again["certificateReused"], true);
        assert_eq!(again["certificateArn"], made["certificateArn"]);

        let sent =
            succeed(&["device", thing, "--keys", keys_text, "--count", "3", "--interval", "50ms", "--json"]);
        assert_eq!(sent.lines().filter(|line| line.contains("\"published\"")).count(), 3, "{sent}");
    }

    // QoS 0 has no acknowledgement to wait for: what the device sent is in the log after the drain.
    server.stop();
    let server = Server::start(&dir, &[]);
    let tail = ["logs", "tail", "iot-core-telemetry", "--data-dir", dir_text];
    let shown = succeed(&[&tail[..], &["--json"]].concat());
    let events: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for thing in ["pump-7", "pump-8"] {
        let of_thing = events
            .iter()
            .filter(|event| event["message"].as_str().is_some_and(|message| message.contains(thing)));
        assert_eq!(of_thing.count(), 3, "{shown}");
    }
    let filtered = succeed(&[&tail[..], &["--filter-pattern", "\"pump-8\""]].concat());
    assert_eq!(filtered.lines().count(), 3, "{filtered}");
    let error = fail(&["logs", "tail", "absent", "--data-dir", dir_text]);
    assert!(error.contains("ResourceNotFoundException") && error.contains("create-log-group"), "{error}");

    let doctor = ["doctor", "--data-dir", dir_text];
    set_mode(&dir, 0o755);
    assert!(text(&run(&doctor).stdout).contains("chmod 700"));
    set_mode(&dir, 0o700);
    let findings: Value = serde_json::from_str(&succeed(&[&doctor[..], &["--json"]].concat())).expect("JSON");
    assert_eq!(findings["ok"], true, "{findings}");
    let believed = findings["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .filter(|check| check["subject"] == "certificate");
    assert_eq!(believed.count(), 1, "the running server's certificate: {findings}");
    server.stop();
}

#[test]
fn a_policy_that_does_not_fit_is_found_out_before_the_board_is_flashed() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(&parent.path().join("data"), &[]);
    let policy = parent.path().join("wrong-client.json");
    std::fs::write(
        &policy,
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/somebody"}]}"#,
    )
    .expect("written");
    let keys = parent.path().join("keys");
    let url = server.api_url();
    let arguments = [
        "provision",
        "pump-9",
        "--policy",
        policy.to_str().expect("text"),
        "--out",
        keys.to_str().expect("text"),
        "--endpoint-url",
        &url,
    ];
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("IMPLICIT_DENY"), "{}", text(&output.stderr));
    server.stop();
}

#[test]
fn a_device_may_keep_its_own_key() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| parent.path().join(name).to_str().expect("text").to_owned();
    let openssl = |arguments: &str| {
        let status = Command::new("openssl").args(arguments.split(' ')).current_dir(parent.path()).output();
        assert!(status.expect("openssl runs").status.success(), "{arguments}");
    };
    openssl("ecparam -name secp384r1 -genkey -out own.key");
    openssl("req -new -key own.key -out own.csr -subj /CN=ignored");
    let server = Server::start(&parent.path().join("data"), &[]);
    let url = server.api_url();
    let csr = path("own.csr");
    let keys = path("keys");
    let provision = ["provision", "own-key", "--csr", &csr, "--out", &keys, "--endpoint-url", &url];
    let shown = succeed(&provision);
    assert!(shown.contains("there is no rule `telemetry`"), "{shown}");
    assert!(!parent.path().join("keys/private.der").exists(), "it never had the key");
    succeed(&["keys", "to-der", &path("keys/certificate.pem.crt"), &path("own.key"), "--out", &keys]);
    succeed(&["device", "own-key", "--keys", &keys, "--count", "1", "--qos", "1"]);

    let error = fail(&provision);
    assert!(error.contains("in the way"), "a certificate is not overwritten: {error}");
    let log = server.stop();
    assert!(log.contains("RuleNotFound"), "readings without a rule are told: {log}");
}

#[test]
fn without_a_server_the_error_says_how_to_start_one() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let dir = parent.path().to_str().expect("text");
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let error =
        fail(&["logs", "tail", "g", "--endpoint-url", &format!("http://{closed}"), "--data-dir", dir]);
    assert!(error.contains("eyot serve"), "{error}");
}
