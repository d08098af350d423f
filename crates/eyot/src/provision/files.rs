//! The files that a device is given: one directory, always the same names.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::directory::{self, Readers};
use crate::failure::{Context as _, Failure, Outcome};

/// The certificate, PEM; named as AWS's console names the download.
pub(crate) const CERTIFICATE_PEM: &str = "certificate.pem.crt";
/// The private key, PEM.
pub(crate) const PRIVATE_KEY_PEM: &str = "private.pem.key";
/// The public key, PEM.
pub(crate) const PUBLIC_KEY_PEM: &str = "public.pem.key";
/// The certificate, DER: what the board loads.
pub(crate) const CERTIFICATE_DER: &str = "certificate.der";
/// The private key, DER, as `openssl pkey -outform DER` writes it.
pub(crate) const PRIVATE_KEY_DER: &str = "private.der";
/// Who signed the server's certificate, PEM.
pub(crate) const ROOT_CA_PEM: &str = "root-ca.pem";
/// The same, DER, when it is one certificate: for boards that verify the server.
pub(crate) const ROOT_CA_DER: &str = "root-ca.der";
/// Where to connect, and as whom.
pub(crate) const CONNECTION: &str = "connection.json";

/// How long another eyot may work in the directory before we give up: a server that makes an RSA key on a busy machine
/// needs seconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// `connection.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Connection {
    /// Host to connect to.
    pub(crate) endpoint: String,
    /// Port of MQTT over mutual TLS.
    pub(crate) port: u16,
    /// The thing.
    pub(crate) thing_name: String,
    /// The client id: the thing's name.
    pub(crate) client_id: String,
    /// Where the post's device publishes: basic ingest of the rule `telemetry`.
    pub(crate) topic: String,
    /// The certificate's id.
    pub(crate) certificate_id: String,
}

/// A device's directory.
#[derive(Debug, Clone)]
pub(crate) struct DeviceFiles {
    dir: PathBuf,
}

impl DeviceFiles {
    /// A directory that may not exist yet.
    pub(crate) fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Path of one file.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Makes the directory, readable by its owner alone.
    pub(crate) fn create(&self) -> Outcome {
        directory::create_private(&self.dir)
            .context(|| format!("cannot create `{}`", self.dir.display()))
            .map_err(|failure| {
                failure.advice("move away what is there, or choose another directory with `eyot provision THING --out DIR`")
            })
    }

    /// Keeps other runs out of the directory until the answer is dropped.
    pub(super) fn lock(&self) -> Outcome<File> {
        let shown = self.dir.display();
        let locked = directory::lock(&self.dir, LOCK_PATIENCE)
            .context(|| format!("cannot lock `{shown}`"))
            .map_err(|failure| {
            failure
                .advice("choose a directory on a file system that has locks: eyot provision THING --out DIR")
        })?;
        locked.ok_or_else(|| {
            Failure::new(format!("another eyot is making a device in `{shown}`"))
                .advice("wait until it has ended, and run the same command again")
        })
    }

    /// Whether the files in the directory are this thing's, as far as they say.
    pub(super) fn are_of(&self, thing: &str) -> Outcome {
        match self.connection()? {
            Some(connection) if connection.thing_name != thing => Err(Failure::new(format!(
                "the files in `{}` are those of the thing `{}`",
                self.dir.display(),
                connection.thing_name
            ))
            .why("two devices with one key and one certificate could not be told apart")
            .advice(format!("choose another directory: eyot provision {thing} --out DIR"))),
            _ => Ok(()),
        }
    }

    /// A file's bytes; nothing when there is no such file.
    pub(crate) fn find(&self, name: &str) -> Outcome<Option<Vec<u8>>> {
        let path = self.path(name);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::new(format!("cannot read `{}`", path.display())).because(&error)),
        }
    }

    /// Writes a certificate in both forms. Its PEM is written last: where it is, the rest is.
    pub(crate) fn write_certificate(&self, pem: &str) -> Outcome {
        let der =
            pki::certificate_der(pem.as_bytes()).context(|| "the certificate is unreadable".to_owned())?;
        self.write(CERTIFICATE_DER, &der, Readers::All)?;
        self.write(CERTIFICATE_PEM, pem.as_bytes(), Readers::All)
    }

    /// Writes the keys in both forms, the private ones for their owner alone.
    pub(crate) fn write_keys(&self, private_pem: &str, public_pem: &str) -> Outcome {
        let der = pki::key_pem_to_der(private_pem).context(|| "the private key is unreadable".to_owned())?;
        self.write(PRIVATE_KEY_PEM, private_pem.as_bytes(), Readers::Owner)?;
        self.write(PRIVATE_KEY_DER, &der, Readers::Owner)?;
        self.write(PUBLIC_KEY_PEM, public_pem.as_bytes(), Readers::All)
    }

    /// Writes the roots; in DER too when there is just one.
    pub(crate) fn write_roots(&self, pem: &str) -> Outcome {
        if pem.matches("-----BEGIN CERTIFICATE-----").count() == 1 {
            let der = pki::certificate_der(pem.as_bytes())
                .context(|| "the CA certificate is unreadable".to_owned())?;
            self.write(ROOT_CA_DER, &der, Readers::All)?;
        }
        self.write(ROOT_CA_PEM, pem.as_bytes(), Readers::All)
    }

    /// Writes `connection.json`.
    pub(crate) fn write_connection(&self, connection: &Connection) -> Outcome {
        let mut text = serde_json::to_string_pretty(connection).context(|| "cannot write JSON".to_owned())?;
        text.push('\n');
        self.write(CONNECTION, text.as_bytes(), Readers::All)
    }

    /// `connection.json`, if it is there.
    pub(crate) fn connection(&self) -> Outcome<Option<Connection>> {
        let Some(bytes) = self.find(CONNECTION)? else { return Ok(None) };
        serde_json::from_slice(&bytes)
            .map(Some)
            .context(|| format!("`{}` is not what `eyot provision` writes", self.path(CONNECTION).display()))
            .map_err(|failure| failure.advice("remove it: the same command writes it again"))
    }

    fn write(&self, name: &str, contents: &[u8], readers: Readers) -> Outcome {
        let path = self.path(name);
        directory::write_whole(&path, contents, readers).map_err(|error| {
            directory::cannot_write(
                &path,
                &error,
                "move away what is there, or choose another directory with `eyot provision THING --out DIR`",
            )
        })
    }
}
