//! A server of ours as a child process, for chores that need one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::shell::{self, Failure, Outcome};

/// The server is up within a second; a busy machine takes longer.
const START_MAX: Duration = Duration::from_secs(30);

/// A running server; it ends with this value.
pub(crate) struct Server {
    process: Child,
    pub(crate) api_url: String,
    /// Address and port of MQTT over mutual TLS.
    pub(crate) mqtts: String,
    /// The CA certificate's path.
    pub(crate) ca: String,
}

impl Server {
    /// Starts one on free ports, with its data in the folder, and waits until it listens. `log` takes what it says.
    pub(crate) fn start(eyot: &Path, folder: &Folder, more: &[&str], log: Stdio) -> Outcome<Self> {
        let ready = folder.path().join("ready.json");
        let process = Command::new(eyot)
            .args(["serve", "--api-port", "0", "--mqtts-port", "0", "--data-dir"])
            .arg(folder.path().join("data"))
            .arg("--ready-file")
            .arg(&ready)
            .args(more)
            // Nobody asks for it, and two servers may not have the same.
            .env("EYOT_HTTPS_PORT", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| Failure::new(format!("cannot start `{}`: {error}", eyot.display())))?;
        let mut server = Self { process, api_url: String::new(), mqtts: String::new(), ca: String::new() };
        let ready = server.wait_for(&ready)?;
        let entry = |key: &str| ready[key].as_str().map(str::to_owned);
        let (Some(api), Some(mqtts), Some(ca)) = (entry("api"), entry("mqtts"), entry("ca")) else {
            return Err(Failure::new("the server's ready file lacks its addresses"));
        };
        (server.api_url, server.mqtts, server.ca) = (format!("http://{api}"), mqtts, ca);
        Ok(server)
    }

    fn wait_for(&mut self, ready: &Path) -> Outcome<Value> {
        let deadline = Instant::now() + START_MAX;
        loop {
            let written = fs::read_to_string(ready).ok();
            if let Some(ready) = written.and_then(|text| serde_json::from_str(&text).ok()) {
                return Ok(ready);
            }
            let has_ended = self.process.try_wait().is_ok_and(|status| status.is_some());
            if has_ended || Instant::now() >= deadline {
                return Err(Failure::new("the server did not start; `eyot serve` shows why"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether it has not ended by itself.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// The port of MQTT over mutual TLS.
    pub(crate) fn mqtts_port(&self) -> &str {
        self.mqtts.rsplit(':').next().unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A temporary folder under the target directory, removed at the end: it holds private keys.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// `name` tells the chore's folders apart; the process identifier those of two runs.
    pub(crate) fn new(name: &str) -> Outcome<Self> {
        let path = shell::target_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path)
            .map_err(|error| Failure::new(format!("cannot create `{}`: {error}", path.display())))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What remains is under the target directory.
        let _ = fs::remove_dir_all(&self.0);
    }
}
