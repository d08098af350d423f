//! Our certificate authority, and certificates from keys, signing requests and elsewhere.
//!
//! - [`Authority`] owns the directory `ca/`: the root, the server certificates, and the key that signs devices.
//!   Who can read that directory can make devices, so it is 0700 and its keys are 0600.
//! - [`CertificateInfo`] is what a certificate says about itself, ours or foreign.
//! - [`CertificateId`] is its name everywhere: the SHA-256 of the DER bytes, as AWS has it.
//! - The functions of [`keys`] turn PEM into the DER that small devices want.
//!
//! Whether a certificate may connect is not decided here: AWS accepts certificates of authorities it has never
//! seen (`RegisterCertificateWithoutCA`), so a chain says nothing; `registry` knows which ones are active.

mod authority;
mod certificate;
mod csr;
mod der;
mod device;
mod error;
mod files;
mod id;
pub mod keys;
mod pem;
mod request;
mod server;

pub use authority::{Authority, ROOT_CERTIFICATE};
pub use certificate::{CertificateInfo, certificate_der, parse_certificate};
pub use device::{Issued, IssuedKeys};
pub use error::{CsrError, PkiError, ReadError};
pub use id::{CertificateId, InvalidCertificateId};
pub use keys::{KeyKind, key_pem_to_der};
pub use pem::{pem_to_der, to_pem};
pub use request::{RequestedKey, new_p256_request, request_for_key};
pub use server::{ServerIdentities, ServerIdentity, ServerNames};
