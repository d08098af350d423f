//! Commands that need no server.

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{eyot, fail, run, succeed};

fn openssl(dir: &std::path::Path, arguments: &str) -> Vec<u8> {
    let output =
        Command::new("openssl").args(arguments.split(' ')).current_dir(dir).output().expect("openssl runs");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn to_der_writes_what_openssl_writes() {
    for (kind, make) in [
        ("rsa", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem"),
        ("rsa-pkcs1", "genrsa -traditional -out key.pem 2048"),
        ("ec", "ecparam -name prime256v1 -genkey -out key.pem"),
        ("ec-pkcs8", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out key.pem"),
    ] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        openssl(dir.path(), make);
        openssl(dir.path(), "req -new -x509 -key key.pem -out cert.pem -subj /CN=test -days 2");
        let path = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
        succeed(&["keys", "to-der", &path("cert.pem"), &path("key.pem"), "--out", &path("out")]);
        let written = |name: &str| std::fs::read(dir.path().join("out").join(name)).expect("written");
        assert_eq!(
            written("certificate.der"),
            openssl(dir.path(), "x509 -in cert.pem -outform DER"),
            "{kind}"
        );
        assert_eq!(written("private.der"), openssl(dir.path(), "pkey -in key.pem -outform DER"), "{kind}");
        let error = fail(&["keys", "to-der", &path("key.pem"), &path("cert.pem")]);
        assert!(error.contains("the certificate comes first"), "{error}");
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    openssl(dir.path(), "ecparam -name prime256v1 -genkey -out key.pem");
    openssl(dir.path(), "ecparam -name prime256v1 -genkey -out other.pem");
    openssl(dir.path(), "req -new -x509 -key key.pem -out cert.pem -subj /CN=test -days 2");
    let path = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    let error = fail(&["keys", "to-der", &path("cert.pem"), &path("other.pem")]);
    assert!(error.contains("does not belong"), "{error}");
    assert!(!dir.path().join("private.der").exists());
}

#[test]
fn the_posts_statement_is_tried_before_it_runs() {
    let arguments = [
        "sql",
        "eval",
        "--sql",
        "SELECT *, topic() as device_id, timestamp() AS received_at",
        "--topic",
        "$aws/rules/telemetry/pico_w_simple",
        "--payload",
        r#"{"temp": 27.51254}"#,
        "--context",
        r#"{"timestamp": 1679781014810}"#,
    ];
    let expected = r#"{"temp":27.51254,"device_id":"pico_w_simple","received_at":1679781014810}"#;
    assert_eq!(succeed(&arguments), format!("{expected}\n"));
    let json: Value = serde_json::from_str(&succeed(&[&arguments[..], &["--json"]].concat())).expect("JSON");
    assert_eq!(json["outcome"], "value");
    let error = fail(&["sql", "check", "--sql", "SELECT temp FRM 'a'"]);
    assert!(error.contains("^"), "{error}");
    assert_eq!(succeed(&["sql", "check", "--sql", "SELECT temp FROM 'a'"]), "ok\n");
}

#[test]
fn batches_answer_line_by_line() {
    let batch = |arguments: &[&str], lines: &str| -> Vec<Value> {
        let mut child = eyot(arguments).stdin(Stdio::piped()).spawn().expect("it runs");
        child.stdin.take().expect("piped").write_all(lines.as_bytes()).expect("written");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success());
        support::text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let lines = "{\"id\":1,\"kind\":\"expression\",\"expression\":\"1 + 2\"}\n\nnonsense\n{\"id\":3,\"kind\":\"parse_error\",\"sql\":\"SELECT\"}\n";
    let answers = batch(&["sql", "eval", "--batch"], lines);
    assert_eq!(answers.len(), 3);
    assert_eq!((&answers[0]["id"], &answers[0]["text"]), (&1.into(), &"3".into()));
    assert_eq!(answers[1]["outcome"], "error");
    assert_eq!(answers[2]["outcome"], "parse_error");

    let allow =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}"#;
    let question = |id: u32, action: &str| {
        format!(
            "{{\"id\":{id},\"policies\":[{allow}],\"action\":\"{action}\",\"resource\":\"arn:aws:iot:us-east-1:000000000000:client/a\"}}\n"
        )
    };
    let questions = question(1, "iot:Connect") + &question(2, "iot:Publish");
    let answers = batch(&["policy", "eval", "--batch"], &questions);
    let decisions: Vec<&str> = answers.iter().filter_map(|answer| answer["decision"].as_str()).collect();
    assert_eq!(decisions, ["ALLOWED", "IMPLICIT_DENY"]);
}

#[test]
fn exit_codes_tell_usage_from_failure() {
    for arguments in
        [&["serve", "--https-port", "x"][..], &["provision"], &["provision", "no/slash"], &["nonsense"]]
    {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert_eq!(run(&["--version"]).status.code(), Some(0));
    assert_eq!(run(&["serve", "--api-host", "0.0.0.0"]).status.code(), Some(1));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = eyot(&["sql", "eval", "--batch"]).stdin(Stdio::piped()).spawn().expect("it runs");
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().expect("piped");
    // Until the pipe is closed on the other end as well.
    while stdin.write_all(b"{\"id\":1,\"kind\":\"expression\",\"expression\":\"1\"}\n").is_ok() {}
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), support::text(&output.stderr)), (Some(0), String::new()));
}
