//! The main job: `eyot demo`.

mod support;

use std::time::Duration;

use serde_json::Value;
use support::{eyot, run, text, within};

/// The messages of the log events in the demo's output: what stands behind the time of day.
fn messages(output: &str) -> Vec<Value> {
    output
        .lines()
        .filter_map(|line| line.split_once("  {"))
        .filter_map(|(_, rest)| serde_json::from_str(&format!("{{{rest}")).ok())
        .collect()
}

#[test]
fn it_shows_readings_arrive_and_ends() {
    let output = within(Duration::from_secs(60), || run(&["demo", "--messages", "3", "--interval", "100ms"]));
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    let messages = messages(&stdout);
    assert_eq!(messages.len(), 3, "{stdout}{stderr}");
    for message in &messages {
        let names: Vec<&String> = message.as_object().expect("an object").keys().collect();
        assert_eq!(names.len(), 3, "{message}");
        assert!(message["temp"].is_number(), "{message}");
        assert_eq!(message["device_id"], "pico_w_simple");
        assert!(message["received_at"].is_i64(), "{message}");
    }
    assert!(stdout.contains("connect your real board: "), "{stdout}");
    assert!(!stdout.contains('\x1b'), "colours are for terminals");
    let dir = stdout.lines().find_map(|line| line.split_once(" in /")).expect("it says where").1;
    assert!(!std::path::Path::new("/").join(dir).exists(), "the temporary directory is gone");
}

#[test]
fn a_directory_keeps_everything_for_the_next_run() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let dir = parent.path().join("cloud");
    std::fs::create_dir(&dir).expect("created");
    std::fs::write(dir.join("eyot.toml"), "api-port = 0\nmqtts-port = 0\nhttps-port = 0\n").expect("written");
    let arguments =
        ["demo", "--messages", "2", "--interval", "100ms", "--data-dir", dir.to_str().expect("text")];
    let certificate = dir.join("devices/pico_w_simple/certificate.pem.crt");
    let mut before = None;
    for _ in 0..2 {
        let output = eyot(&arguments).output().expect("it runs");
        assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(messages(&text(&output.stdout)).len(), 2, "only this run's events");
        let now = std::fs::read(&certificate).expect("the device's certificate");
        assert_eq!(*before.get_or_insert_with(|| now.clone()), now, "the second run uses the first one's");
    }
    assert!(!dir.join("ready.json").exists());
}
