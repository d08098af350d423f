//! `eyot keys to-der`.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::directory::{self, Readers};
use crate::failure::{Context as _, Failure, Outcome};
use crate::input_file;
use crate::provision::{CERTIFICATE_DER, PRIVATE_KEY_DER};
use crate::terminal::{say, say_json};

/// Keys and certificates as files
#[derive(Debug, clap::Subcommand)]
pub(super) enum Keys {
    ToDer(ToDer),
}

/// Turn a certificate and its private key from PEM into DER, as the board wants them
///
/// The bytes are those of `openssl x509 -outform DER` and `openssl pkey -outform DER`. It is checked that the key
/// belongs to the certificate.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eyot keys to-der certificate.pem.crt private.pem.key
  eyot keys to-der cert.pem key.pem --out board/keys")]
pub(super) struct ToDer {
    /// The certificate, PEM
    #[arg(value_name = "CERT")]
    certificate: PathBuf,
    /// The private key, PEM, unencrypted
    #[arg(value_name = "KEY")]
    key: PathBuf,
    /// Directory for certificate.der and private.der [default: beside CERT]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the paths as JSON
    #[arg(long)]
    json: bool,
}

impl Keys {
    pub(super) fn run(self) -> Outcome {
        let Self::ToDer(to_der) = self;
        to_der.run()
    }
}

impl ToDer {
    fn run(self) -> Outcome {
        let certificate = read(&self.certificate)?;
        let key = read(&self.key)?;
        let certificate_der = pki::certificate_der(certificate.as_bytes()).map_err(|error| {
            let failure =
                Failure::new(format!("`{}` is no certificate", self.certificate.display())).because(&error);
            swapped(failure, &certificate, "PRIVATE KEY-----")
        })?;
        let key_der = pki::key_pem_to_der(&key).map_err(|error| {
            let failure = Failure::new(format!("`{}` is no private key", self.key.display())).because(&error);
            swapped(failure, &key, "-----BEGIN CERTIFICATE")
        })?;
        let fits = pki::keys::key_matches_certificate(&key, &certificate_der).context(|| {
            format!("cannot compare `{}` and `{}`", self.certificate.display(), self.key.display())
        })?;
        if !fits {
            return Err(Failure::new("the key does not belong to the certificate")
                .why(format!(
                    "`{}` and `{}` hold different public keys",
                    self.certificate.display(),
                    self.key.display()
                ))
                .advice("look for the key that was made together with this certificate"));
        }
        let beside = self.certificate.parent().unwrap_or(Path::new("")).to_owned();
        let out = self.out.unwrap_or(beside);
        if !out.as_os_str().is_empty() {
            directory::create_private(&out)
                .context(|| format!("cannot create `{}`", out.display()))
                .map_err(|failure| failure.advice("choose another directory with --out DIR"))?;
        }
        let (certificate_path, key_path) = (out.join(CERTIFICATE_DER), out.join(PRIVATE_KEY_DER));
        write(&key_path, &key_der, Readers::Owner)?;
        write(&certificate_path, &certificate_der, Readers::All)?;
        if self.json {
            return say_json(&json!({ "certificate": certificate_path, "private": key_path }));
        }
        say!(
            "wrote {} ({} bytes) and {} ({} bytes)",
            certificate_path.display(),
            certificate_der.len(),
            key_path.display(),
            key_der.len()
        )
    }
}

fn swapped(failure: Failure, text: &str, sign: &str) -> Failure {
    if text.contains(sign) { failure.advice("the certificate comes first, then the key") } else { failure }
}

fn read(path: &Path) -> Outcome<String> {
    let bytes = input_file::read(path, "the command line")?;
    String::from_utf8(bytes).map_err(|_| {
        Failure::new(format!("`{}` is not text", path.display())).why("PEM is text; this may be DER already")
    })
}

fn write(path: &Path, contents: &[u8], readers: Readers) -> Outcome {
    directory::write_whole(path, contents, readers)
        .map_err(|error| directory::cannot_write(path, &error, "choose another directory with --out DIR"))
}
