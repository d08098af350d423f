//! The canonical request, the string to sign, and the signature.

use std::borrow::Cow;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{ALGORITHM, Message, Payload, TERMINATOR};

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The hash that stands for a body that is not signed.
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The signature's own query parameter, which it cannot cover.
pub(super) const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";

/// What a signature is valid for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    /// `YYYYMMDD`.
    pub(super) date: String,
    pub(super) region: String,
    pub(super) service: String,
}

impl Scope {
    pub(super) fn text(&self) -> String {
        format!("{}/{}/{}/{TERMINATOR}", self.date, self.region, self.service)
    }
}

/// The signature of a message, as bytes.
pub(super) fn signature(
    message: &Message<'_>,
    signed_headers: &[String],
    scope: &Scope,
    date_time: &str,
    secret: &str,
) -> hmac::Tag {
    let canonical = request(message, signed_headers);
    let hashed = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
    let string_to_sign = format!("{ALGORITHM}\n{date_time}\n{}\n{hashed}", scope.text());
    let mut key =
        hmac::sign(&Key::new(HMAC_SHA256, format!("AWS4{secret}").as_bytes()), scope.date.as_bytes());
    for part in [&*scope.region, &*scope.service, TERMINATOR] {
        key = hmac::sign(&Key::new(HMAC_SHA256, key.as_ref()), part.as_bytes());
    }
    hmac::sign(&Key::new(HMAC_SHA256, key.as_ref()), string_to_sign.as_bytes())
}

/// The canonical request.
pub(super) fn request(message: &Message<'_>, signed_headers: &[String]) -> String {
    let mut headers = String::new();
    for name in signed_headers {
        let values = message.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let values: Vec<String> = values.map(|(_, value)| one_line(value)).collect();
        headers.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    let payload = match message.payload {
        Payload::Bytes(bytes) => Cow::Owned(hex(digest(&SHA256, bytes).as_ref())),
        Payload::Unsigned => Cow::Borrowed(UNSIGNED_PAYLOAD),
    };
    format!(
        "{}\n{}\n{}\n{headers}\n{}\n{payload}",
        message.method,
        path(message.path),
        query(message.query),
        signed_headers.join(";"),
    )
}

/// Dot segments and empty ones removed, each of the rest encoded once more.
fn path(raw: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in raw.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut path = String::new();
    for segment in &segments {
        path.push('/');
        path.extend(utf8_percent_encode(segment, RESERVED));
    }
    if path.is_empty() || raw.ends_with('/') {
        path.push('/');
    }
    path
}

/// Parameters decoded, encoded in the one way that SigV4 knows, and sorted.
fn query(raw: &str) -> String {
    let encoded = |text: &str| {
        let decoded: Vec<u8> = percent_decode_str(text).collect();
        percent_encoding::percent_encode(&decoded, RESERVED).to_string()
    };
    let mut parameters: Vec<(String, String)> = raw
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .filter(|(name, _)| *name != SIGNATURE_PARAMETER)
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    parameters.sort();
    let parameters: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    parameters.join("&")
}

/// A header's value without blanks at its ends, and with single ones inside.
fn one_line(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// Small hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_encoded_once_more() {
        assert_eq!(path("/"), "/");
        assert_eq!(path(""), "/");
        assert_eq!(path("/things/x%3Ay"), "/things/x%253Ay");
        assert_eq!(path("/a/./b/../c//d/"), "/a/c/d/");
        assert_eq!(path("/../.."), "/");
        assert_eq!(path("/-_.~"), "/-_.~");
    }

    #[test]
    fn queries_are_sorted_and_encoded() {
        assert_eq!(query(""), "");
        assert_eq!(query("b=2&a=1&a=0&c"), "a=0&a=1&b=2&c=");
        assert_eq!(query("a=x%2fy&b=%7E*"), "a=x%2Fy&b=~%2A");
        assert_eq!(query("X-Amz-Signature=00&X-Amz-Date=d"), "X-Amz-Date=d");
    }
}
