//! The built binary, run as a user would.
#![allow(dead_code, reason = "every test file uses a part of it; expect would fail in those that use all")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// `eyot` with arguments, and without anything of the caller's environment that it would read.
pub(crate) fn eyot(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eyot"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("AWS_") || name_text.starts_with("EYOT_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs it to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    eyot(arguments).output().expect("the binary runs")
}

/// Runs it to its end, which must be good; its standard output.
pub(crate) fn succeed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}\n{}", output.status, text(&output.stderr));
    text(&output.stdout)
}

/// Runs it to its end, which must be a failure; its standard error.
pub(crate) fn fail(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A server on free ports, ended with the value.
pub(crate) struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) ready: Value,
    pub(crate) introduction: String,
    pub(crate) data_dir: PathBuf,
}

impl Server {
    /// Starts one, and waits until it says that everything listens.
    pub(crate) fn start(data_dir: &Path, flags: &[&str]) -> Self {
        let ready_file = data_dir.with_extension("ready");
        let data_text = data_dir.to_str().expect("text");
        let ready_text = ready_file.to_str().expect("text");
        let arguments = [
            "serve",
            "--data-dir",
            data_text,
            "--api-port",
            "0",
            "--mqtts-port",
            "0",
            "--https-port",
            "0",
            "--ready-file",
            ready_text,
        ];
        let arguments = [&arguments[..], flags].concat();
        let mut child = eyot(&arguments).spawn().expect("the binary runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut introduction = String::new();
        while !introduction.contains("Ctrl-C") {
            if stdout.read_line(&mut introduction).expect("readable") == 0 {
                let mut why = String::new();
                child.stderr.take().expect("piped").read_to_string(&mut why).expect("readable");
                assert!(why.is_empty(), "the server ended: {why}");
                unreachable!("it ended without a word");
            }
        }
        let ready = std::fs::read(&ready_file).expect("the ready file is there before the last line");
        let ready = serde_json::from_slice(&ready).expect("JSON");
        Self { child, stdout, ready, introduction, data_dir: data_dir.to_owned() }
    }

    pub(crate) fn api_url(&self) -> String {
        format!("http://{}", self.ready["api"].as_str().expect("listens"))
    }

    pub(crate) fn mqtts_port(&self) -> u16 {
        let address: std::net::SocketAddr =
            self.ready["mqtts"].as_str().expect("listens").parse().expect("address");
        address.port()
    }

    /// SIGTERM; the server must drain and end with 0. What it said on standard error.
    pub(crate) fn stop(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        let mut stderr = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("readable");
        let status = self.child.wait().expect("it ends");
        assert_eq!(status.code(), Some(0), "{stderr}");
        stderr
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ended already after `stop`; a failed test must not leave it running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs it, and fails when it takes longer than this.
pub(crate) fn within(longest: Duration, run: impl FnOnce() -> Output) -> Output {
    let began = Instant::now();
    let output = run();
    let took = began.elapsed();
    assert!(took <= longest, "it took {took:?}: {}{}", text(&output.stdout), text(&output.stderr));
    output
}
