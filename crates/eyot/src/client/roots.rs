//! Certificate authorities of the system: to verify AWS, and to hand a device the roots that AWS's endpoints have.

use std::fmt::Write as _;
use std::path::Path;

/// Where Linux distributions and macOS keep the authorities that the system trusts, as one PEM file.
pub(crate) const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Directories with one file per authority.
const SYSTEM_DIRECTORIES: [&str; 2] = ["/etc/ssl/certs", "/usr/share/ca-certificates/mozilla"];

/// The roots of `…-ats.iot.REGION.amazonaws.com`: RSA and ECDSA. [AWS iot server-authentication]
const AMAZON_ROOTS: [(&str, [&str; 2]); 2] = [
    ("Amazon Root CA 1", ["Amazon_Root_CA_1.pem", "Amazon_Root_CA_1.crt"]),
    ("Amazon Root CA 3", ["Amazon_Root_CA_3.pem", "Amazon_Root_CA_3.crt"]),
];

/// Amazon Root CA 1 and 3 as PEM, from the system's trusted authorities. An error names what is missing.
pub(crate) fn amazon_roots() -> Result<String, &'static str> {
    let mut pem = String::new();
    for (name, files) in AMAZON_ROOTS {
        let found = SYSTEM_DIRECTORIES
            .iter()
            .flat_map(|dir| files.iter().map(|file| Path::new(dir).join(file)))
            .find_map(|path| {
                let der = pki::parse_certificate(&std::fs::read(path).ok()?).ok()?;
                // The file's name is the distribution's; the certificate must say so itself.
                der.subject.contains(&format!("CN={name}")).then(|| der.pem())
            });
        let found = found.ok_or(name)?;
        // Writing to a String cannot fail.
        let _ = write!(pem, "{found}");
    }
    Ok(pem)
}
