//! AWS Signature Version 4: what a client signs, and how a server checks it.
//!
//! [AWS sigv4] "Create a signed AWS API request". [`sign`] gives the headers to add to a request; [`Claim`] is what a
//! request says about its signature, in the `Authorization` header or in the query of a presigned URL, and
//! [`Claim::verify`] holds it against a secret key. Paths are taken as they are sent and encoded once more, as every
//! service but S3 wants it. The clock is an argument.

mod canonical;
mod claim;
mod date;
mod sign;
#[cfg(test)]
mod tests;

pub use claim::{CLOCK_SKEW_MS_MAX, Claim, GATEWAY, SignatureError};
pub use sign::{Credentials, sign};

/// A request as far as it is signed.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Method, in capitals.
    pub method: &'a str,
    /// Path as it is sent: percent-encoded.
    pub path: &'a str,
    /// Query as it is sent: percent-encoded, without the question mark.
    pub query: &'a str,
    /// Headers, their names in any case.
    pub headers: &'a [(&'a str, &'a str)],
    /// What is known of the body.
    pub payload: Payload<'a>,
}

/// The body as it is signed.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// Its bytes.
    Bytes(&'a [u8]),
    /// Not signed: presigned URLs of some services.
    Unsigned,
}

/// The algorithm's name.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The end of every credential scope.
const TERMINATOR: &str = "aws4_request";
