//! Why TLS failed, in words.

use core::fmt;
use mbedtls_rs::SessionError;
use mbedtls_rs::sys::{
    MBEDTLS_ERR_MPI_ALLOC_FAILED, MBEDTLS_ERR_PK_ALLOC_FAILED, MBEDTLS_ERR_SSL_ALLOC_FAILED,
    MBEDTLS_ERR_SSL_BAD_CERTIFICATE, MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE,
    MBEDTLS_ERR_X509_ALLOC_FAILED, MBEDTLS_ERR_X509_CERT_VERIFY_FAILED, MBEDTLS_X509_BADCERT_CN_MISMATCH,
    MBEDTLS_X509_BADCERT_EXPIRED, MBEDTLS_X509_BADCERT_EXT_KEY_USAGE, MBEDTLS_X509_BADCERT_FUTURE,
    MBEDTLS_X509_BADCERT_KEY_USAGE, MBEDTLS_X509_BADCERT_NOT_TRUSTED, MBEDTLS_X509_BADCERT_NS_CERT_TYPE,
    MbedtlsError,
};

/// Who is to blame, as far as one can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server could not prove who it is.
    ServerNotTrusted,
    /// The server did not want this board.
    Refused,
    /// The network, or the server's TLS.
    Other,
}

/// A failed handshake, read or write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TlsFailure {
    error: SessionError,
    /// What is wrong with the server's certificate; all bits set when it showed none.
    flags: u32,
}

/// In the order in which a person should hear of them: the first one that applies is the reason.
const REASONS: [(u32, &str); 7] = [
    (MBEDTLS_X509_BADCERT_NOT_TRUSTED, "it is not from an authority that this board trusts"),
    (MBEDTLS_X509_BADCERT_EXPIRED, "it has expired"),
    (MBEDTLS_X509_BADCERT_FUTURE, "it is not valid yet"),
    (MBEDTLS_X509_BADCERT_CN_MISMATCH, "it is for another host name"),
    (MBEDTLS_X509_BADCERT_EXT_KEY_USAGE, "it is not a server's"),
    (MBEDTLS_X509_BADCERT_KEY_USAGE, "it is not a server's"),
    (MBEDTLS_X509_BADCERT_NS_CERT_TYPE, "it is not a server's"),
];

impl TlsFailure {
    pub(super) const fn new(error: SessionError, flags: u32) -> Self {
        Self { error, flags }
    }

    fn code(&self) -> Option<i32> {
        match self.error {
            SessionError::MbedTls(error) => Some(error.code()),
            SessionError::Io(_) => None,
        }
    }

    pub(crate) fn fault(&self) -> Fault {
        match self.code() {
            Some(
                MBEDTLS_ERR_X509_CERT_VERIFY_FAILED
                | MBEDTLS_ERR_SSL_BAD_CERTIFICATE
                | MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE,
            ) => Fault::ServerNotTrusted,
            Some(MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) => Fault::Refused,
            _ => Fault::Other,
        }
    }
}

impl From<SessionError> for TlsFailure {
    fn from(error: SessionError) -> Self {
        Self { error, flags: 0 }
    }
}

impl From<MbedtlsError> for TlsFailure {
    fn from(error: MbedtlsError) -> Self {
        Self { error: SessionError::MbedTls(error), flags: 0 }
    }
}

/// Codes are negative: a module's number in the upper bits, and below them that of what it called.
fn is_out_of_memory(code: i32) -> bool {
    const LOW_BITS: i32 = 0x7F;
    let low = -(-code & LOW_BITS);
    matches!(code, MBEDTLS_ERR_SSL_ALLOC_FAILED | MBEDTLS_ERR_X509_ALLOC_FAILED | MBEDTLS_ERR_PK_ALLOC_FAILED)
        || low == MBEDTLS_ERR_MPI_ALLOC_FAILED
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(code) = self.code() else { return f.write_str("the connection broke") };
        match code {
            MBEDTLS_ERR_X509_CERT_VERIFY_FAILED | MBEDTLS_ERR_SSL_BAD_CERTIFICATE => {
                let reason = REASONS.iter().find(|(flag, _)| self.flags & flag != 0);
                let reason = reason.map_or("its chain cannot be verified", |(_, reason)| reason);
                write!(f, "the server's certificate is refused: {reason}")
            }
            MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE => {
                f.write_str("the server is refused: it left out a step of the handshake")
            }
            MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE => f.write_str(
                "the server refused the handshake: this board's certificate, or nothing in common; its log says why",
            ),
            code if is_out_of_memory(code) => {
                f.write_str("no memory left for TLS: use fewer or smaller certificates")
            }
            code => {
                write!(f, "TLS failed with {}{:#x}", if code < 0 { "-" } else { "" }, code.unsigned_abs())
            }
        }
    }
}
