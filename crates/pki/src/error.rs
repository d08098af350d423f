//! What can go wrong, one enum per operation.

use std::path::PathBuf;

/// Why the authority could not be opened, created, or could not sign.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file of the authority could not be read or written.
    #[error("cannot use `{}`: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file of `ca/` is missing, unreadable or does not belong to the others.
    ///
    /// It is never replaced by a new one: every device would have to be given the new root.
    #[error("`{}` is damaged: {why}; restore the directory from a copy, or remove all of it to begin with a new authority that no device knows", path.display())]
    Damaged {
        /// The file that is wrong.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A name that cannot stand in a server certificate.
    #[error("`{name}` cannot stand in a server certificate: use a DNS name or an IP address")]
    InvalidName {
        /// The name as given.
        name: String,
    },
    /// The machine's clock is outside of the years that certificates can be issued in.
    #[error("the clock says year {year}: set it before issuing certificates")]
    Clock {
        /// The year that the clock shows.
        year: i32,
    },
    /// Key generation or signing failed.
    #[error("cannot sign: {0}")]
    Crypto(String),
}

impl From<rcgen::Error> for PkiError {
    fn from(error: rcgen::Error) -> Self {
        Self::Crypto(error.to_string())
    }
}

/// Why a certificate signing request was refused.
#[derive(Debug, thiserror::Error)]
pub enum CsrError {
    /// The text is not one PEM block with a request.
    #[error("not a certificate signing request: {0}")]
    Malformed(String),
    /// The request is not signed by the key it carries.
    #[error("the signature of the certificate signing request does not match its key")]
    Signature,
    /// The key or signature algorithm is not one that devices may use.
    #[error("{0} is not supported: use RSA with 2048 bits or more, or ECDSA on P-256, P-384 or P-521")]
    UnsupportedKey(String),
    /// Our side failed.
    #[error(transparent)]
    Ours(#[from] PkiError),
}

/// Why a certificate or a key could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The text holds no PEM block of the expected kind.
    #[error("no `{expected}` block found in the PEM text")]
    NoPemBlock {
        /// The label looked for.
        expected: &'static str,
    },
    /// A PEM block is cut short or its base64 is wrong.
    #[error("the PEM text is damaged")]
    DamagedPem,
    /// The bytes are not an X.509 certificate.
    #[error("not an X.509 certificate: {0}")]
    NotACertificate(String),
    /// The bytes are not a private key that is understood here.
    #[error("not an unencrypted RSA or EC private key")]
    NotAPrivateKey,
}
