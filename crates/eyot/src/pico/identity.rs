//! Who the board is: certificate and key as they go into flash.

use pki::{CertificateInfo, parse_certificate};

use crate::client::Api;
use crate::failure::{Context as _, Failure, Outcome};
use crate::provision::{self, CERTIFICATE_DER, DeviceFiles, PRIVATE_KEY_DER, Plan};

/// A device's certificate and key.
pub(crate) struct DeviceIdentity {
    /// The certificate.
    pub(crate) certificate: CertificateInfo,
    /// DER: PKCS#1, SEC 1 or PKCS#8.
    pub(crate) private_key: Vec<u8>,
    /// Where they lie.
    pub(crate) files: DeviceFiles,
    /// Whether they were made now.
    pub(crate) is_new: bool,
}

impl std::fmt::Debug for DeviceIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceIdentity").field("files", &self.files).finish_non_exhaustive()
    }
}

impl DeviceIdentity {
    /// Makes thing, key, certificate and policy, or finds them made.
    pub(crate) fn provisioned(api: &Api, plan: &Plan<'_>) -> Outcome<Self> {
        let made = provision::provision(api, plan)?;
        Ok(Self { is_new: !made.reused, ..Self::found(&plan.files)? })
    }

    /// The files of a device that was provisioned before.
    pub(crate) fn found(files: &DeviceFiles) -> Outcome<Self> {
        let needed = |name: &str| {
            files.find(name)?.ok_or_else(|| {
                Failure::new(format!("`{}` is missing", files.path(name).display()))
                    .advice("`eyot provision THING --out DIR` makes all files of a device")
                    .advice("`eyot keys to-der CERT KEY --out DIR` makes the two that a board needs from PEM files")
            })
        };
        let certificate = parse_certificate(&needed(CERTIFICATE_DER)?)
            .context(|| format!("`{}` is no certificate", files.path(CERTIFICATE_DER).display()))?;
        Ok(Self { certificate, private_key: needed(PRIVATE_KEY_DER)?, files: files.clone(), is_new: false })
    }
}
