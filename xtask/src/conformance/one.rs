//! One test: its server, its process, its time.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Limits, Report, Version, misses};
use crate::server::{Folder, Server};
use crate::shell::{self, Failure, Outcome};

/// Time for one test. The longest waits 50 s for AWS's shortest keep-alive; one that waits for what never comes would
/// wait forever.
const TEST_MAX: Duration = Duration::from_secs(100);

/// The names of the suite's tests.
pub(super) fn list(suite: &Path, version: Version) -> Outcome<Vec<String>> {
    let names = shell::output(driver(suite, version).arg("--list"))?;
    Ok(names.lines().map(str::to_owned).collect())
}

/// Runs one. An error is ours, not the test's.
pub(super) fn run(
    suite: &Path,
    eyot: &Path,
    limits: Limits,
    version: Version,
    test: &str,
) -> Outcome<Report> {
    let name = format!("{}-{test}", version.name());
    let folder = Folder::new(&format!("conformance-{name}"))?;
    let more = ["--in-memory", "--limits", limits.name()];
    let mut server = Server::start(eyot, &folder, &more, log(limits, &format!("{name}.server"))?.into())?;
    let keys = folder.path().join("keys");
    let mut provision = Command::new(eyot);
    provision.args(["provision", "conformance", "--key-type", "p256", "--endpoint-url", &server.api_url]);
    shell::quietly(provision.arg("--out").arg(&keys))?;

    let started = Instant::now();
    let mut process = driver(suite, version)
        .args(["--limits", limits.name(), "--test", test, "--port", server.mqtts_port(), "--ca", &server.ca])
        .arg("--certificate")
        .arg(keys.join("certificate.pem.crt"))
        .arg("--key")
        .arg(keys.join("private.pem.key"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log(limits, &name)?)
        .spawn()
        .map_err(|error| Failure::new(format!("cannot start python3: {error}")))?;
    let ended = wait_for(&mut process, started + TEST_MAX)?;
    let why = if ended { read_why(&mut process)? } else { Some(format!("not over after {TEST_MAX:?}")) };
    if !server.is_running() {
        return Err(Failure::new(format!("the server ended during {name}; its log says why")));
    }
    let known = misses::why(version, test, limits);
    Ok(Report { version, test: test.to_owned(), time: started.elapsed(), why, known })
}

fn driver(suite: &Path, version: Version) -> Command {
    let mut command = Command::new("python3");
    command
        // Leaves no compiled files beside the sources.
        .arg("-B")
        .arg(shell::root().join("xtask/conformance/driver.py"))
        .arg("--suite")
        .arg(suite)
        .args(["--version", version.name()]);
    command
}

/// Where the suite and the server say what they do, for whoever looks into a miss.
fn log(limits: Limits, name: &str) -> Outcome<File> {
    let path: PathBuf =
        shell::target_dir().join("conformance").join(limits.name()).join(format!("{name}.log"));
    let failed = |error| Failure::new(format!("cannot write `{}`: {error}", path.display()));
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    File::create(&path).map_err(failed)
}

/// `false`: it was ended, because its time was over.
fn wait_for(process: &mut Child, deadline: Instant) -> Outcome<bool> {
    let failed = |error| Failure::new(format!("cannot wait for python3: {error}"));
    loop {
        if process.try_wait().map_err(failed)?.is_some() {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            process.kill().map_err(failed)?;
            process.wait().map_err(failed)?;
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What the driver printed: one line, which a pipe holds until we read it.
fn read_why(process: &mut Child) -> Outcome<Option<String>> {
    let mut said = String::new();
    let mut output = process.stdout.take().expect("it is piped");
    output.read_to_string(&mut said).map_err(|error| Failure::new(format!("cannot read: {error}")))?;
    let answer: Value = serde_json::from_str(&said)
        .map_err(|_| Failure::new("the driver of the tests ended without an answer; its log says why"))?;
    if answer["passed"] == true {
        return Ok(None);
    }
    Ok(Some(answer["why"].as_str().unwrap_or("it does not say why").to_owned()))
}
