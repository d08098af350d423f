//! The ready file: which addresses a running server uses.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::directory::{self, Readers};

/// Its name in the data directory, from ready to drain.
pub(crate) const FILE_NAME: &str = "ready.json";

/// The addresses of a running server; nothing for what does not listen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// The server's process.
    pub(crate) pid: u32,
    /// The AWS API, plain HTTP.
    pub(crate) api: Option<SocketAddr>,
    /// MQTT over mutual TLS.
    pub(crate) mqtts: Option<SocketAddr>,
    /// HTTPS data plane.
    pub(crate) https: Option<SocketAddr>,
    /// The listener that looks like AWS's port 443.
    pub(crate) alpn: Option<SocketAddr>,
    /// Plain MQTT.
    pub(crate) mqtt: Option<SocketAddr>,
    /// The time over SNTP, on UDP.
    pub(crate) sntp: Option<SocketAddr>,
    /// Path of the CA certificate, PEM.
    pub(crate) ca: PathBuf,
    /// The console's address.
    pub(crate) console: Option<String>,
}

impl Ready {
    /// The file of a data directory; nothing when no server wrote one, or it cannot be read.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Writes it whole.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        directory::write_whole(path, &text, Readers::All)
    }

    /// Where the API is, as a URL.
    pub(crate) fn api_url(&self) -> Option<String> {
        self.api.map(|api| format!("http://{api}"))
    }

    /// Removes the file if it is still ours: a server that took over the path keeps its own.
    pub(crate) fn remove(&self, path: &Path) {
        if Self::read(path).is_some_and(|found| found.pid == self.pid) {
            // Gone already, or on a disk that fails: nobody is helped by an error at the end of a drain.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_shape_is_what_tools_rely_on() {
        let ready = Ready {
            pid: 1,
            api: "127.0.0.1:4566".parse().ok(),
            mqtts: "127.0.0.1:8883".parse().ok(),
            https: None,
            alpn: None,
            mqtt: None,
            sntp: None,
            ca: "/d/ca/ca.pem".into(),
            console: None,
        };
        assert_eq!(
            serde_json::to_string(&ready).expect("JSON"),
            r#"{"pid":1,"api":"127.0.0.1:4566","mqtts":"127.0.0.1:8883","https":null,"alpn":null,"mqtt":null,"sntp":null,"ca":"/d/ca/ca.pem","console":null}"#
        );
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join(FILE_NAME);
        ready.write(&path).expect("written");
        assert_eq!(Ready::read(&path), Some(ready.clone()));
        Ready { pid: 2, ..ready.clone() }.remove(&path);
        assert!(path.exists(), "another server's file stays");
        ready.remove(&path);
        assert!(!path.exists());
    }
}
