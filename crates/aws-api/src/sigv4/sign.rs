//! The client's side.

use super::canonical::{self, Scope, hex};
use super::{ALGORITHM, Message, date};

/// An access key.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// Its public half.
    pub access_key_id: &'a str,
    /// Its secret half.
    pub secret_access_key: &'a str,
    /// With temporary keys.
    pub session_token: Option<&'a str>,
}

impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Headers that proxies and HTTP libraries change on the way, which are therefore not signed.
const UNSIGNED_HEADERS: [&str; 6] =
    ["authorization", "connection", "expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"];

/// Signs a request for a service in a region: gives the headers to add to it.
///
/// `message.headers` are those that the request has already; `host` must be among them. `service` is the service's
/// signing name (`iot`, `iotdata`, `logs`, …), `now_ms` the time in epoch milliseconds.
///
/// # Examples
/// ```
/// use aws_api::sigv4::{Credentials, Message, Payload, sign};
///
/// let credentials = Credentials { access_key_id: "id", secret_access_key: "secret", session_token: None };
/// let message = Message {
///     method: "GET",
///     path: "/things",
///     query: "maxResults=10",
///     headers: &[("host", "localhost:4566")],
///     payload: Payload::Bytes(b""),
/// };
/// let added = sign(&message, &credentials, "us-east-1", "iot", 1_440_938_160_000);
/// assert_eq!(added[0], ("x-amz-date", "20150830T123600Z".to_owned()));
/// assert!(added[1].1.starts_with("AWS4-HMAC-SHA256 Credential=id/20150830/us-east-1/iot/aws4_request, "));
/// ```
pub fn sign(
    message: &Message<'_>,
    credentials: &Credentials<'_>,
    region: &str,
    service: &str,
    now_ms: i64,
) -> Vec<(&'static str, String)> {
    let date_time = date::format(now_ms);
    let mut added = vec![("x-amz-date", date_time.clone())];
    added.extend(credentials.session_token.map(|token| ("x-amz-security-token", token.to_owned())));

    let mut headers: Vec<(&str, &str)> = message.headers.to_vec();
    headers.extend(added.iter().map(|(name, value)| (*name, value.as_str())));
    let mut signed: Vec<String> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    signed.retain(|name| !UNSIGNED_HEADERS.contains(&name.as_str()));
    signed.sort();
    signed.dedup();

    let scope =
        Scope { date: date_time[..8].to_owned(), region: region.to_owned(), service: service.to_owned() };
    let message = Message { headers: &headers, ..*message };
    let signature =
        canonical::signature(&message, &signed, &scope, &date_time, credentials.secret_access_key);
    let authorization = format!(
        "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={}",
        credentials.access_key_id,
        scope.text(),
        signed.join(";"),
        hex(signature.as_ref()),
    );
    added.push(("authorization", authorization));
    added
}
