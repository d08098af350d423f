//! The server's side.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use percent_encoding::percent_decode_str;

use super::canonical::{self, Scope};
use super::{ALGORITHM, Message, Payload, TERMINATOR, date};

/// How far a client's clock may be off, in milliseconds. [AWS sigv4] "within five minutes".
pub const CLOCK_SKEW_MS_MAX: i64 = 5 * 60 * 1000;

/// Longest validity of a presigned URL, in seconds. [AWS sigv4] seven days.
const PRESIGNED_SECONDS_MAX: i64 = 7 * 24 * 60 * 60;

/// What a request says about its own signature. Well-formed, not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    access_key_id: String,
    scope: Scope,
    date_time: String,
    signed_headers: Vec<String>,
    signature: [u8; 32],
    /// Validity in seconds, of a presigned URL.
    expires_after: Option<i64>,
}

/// Why a request is not taken as signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature.
    #[error("Missing Authentication Token")]
    Missing,
    /// There is one that lacks something.
    #[error("{0}")]
    Incomplete(String),
    /// It was not made with this key, or for another request.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method."
    )]
    Mismatch,
    /// It was made too long ago.
    #[error("Signature expired: {signed} is now earlier than {earliest} ({now} - {minutes} min.)")]
    Expired {
        /// When it was signed.
        signed: String,
        /// The earliest time at which it could have been.
        earliest: String,
        /// The server's time.
        now: String,
        /// How long it is valid.
        minutes: i64,
    },
    /// It was made in the future.
    #[error("Signature not yet current: {signed} is still later than {latest} ({now} + 5 min.)")]
    NotYetCurrent {
        /// When it was signed.
        signed: String,
        /// The latest time at which it could have been.
        latest: String,
        /// The server's time.
        now: String,
    },
}

/// The service for which SDKs sign WebSockets: `X-Amz-Expires` is ignored, and `X-Amz-Security-Token` may have been
/// added after signing. [AWS iot protocols, verified 13]
pub const GATEWAY: &str = "iotdevicegateway";

/// Of temporary keys.
const TOKEN_PARAMETER: &str = "X-Amz-Security-Token";

impl Claim {
    /// Reads the `Authorization` header, or the query of a presigned URL.
    ///
    /// # Errors
    /// [`SignatureError::Missing`] and [`SignatureError::Incomplete`].
    pub fn read(message: &Message<'_>) -> Result<Self, SignatureError> {
        let header = |name: &str| {
            let mut values = message
                .headers
                .iter()
                .filter(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, value)| *value);
            let (value, more) = (values.next(), values.next());
            match more {
                Some(_) => Err(incomplete(format!("There must be one header '{name}'."))),
                None => Ok(value),
            }
        };
        if let Some(authorization) = header("authorization")?.filter(|value| !value.trim().is_empty()) {
            return Self::from_header(authorization.trim(), header("x-amz-date")?);
        }
        if query_parameters(message.query).any(|(name, _)| name.eq_ignore_ascii_case("X-Amz-Algorithm")) {
            return Self::from_query(message.query);
        }
        Err(SignatureError::Missing)
    }

    fn from_header(authorization: &str, amz_date: Option<&str>) -> Result<Self, SignatureError> {
        let (algorithm, rest) = authorization.split_once(' ').unwrap_or((authorization, ""));
        if algorithm != ALGORITHM {
            return Err(incomplete(format!("Unsupported AWS 'algorithm': this server takes {ALGORITHM}.")));
        }
        let parameter = |name: &str| {
            let parts = rest.split(',').map(str::trim);
            let mut values = parts.filter_map(|part| part.strip_prefix(name)?.strip_prefix('='));
            let (value, more) = (values.next(), values.next());
            if more.is_some() {
                return Err(incomplete(format!("Authorization header must have one '{name}' parameter.")));
            }
            value
                .filter(|value| !value.is_empty())
                .ok_or_else(|| incomplete(format!("Authorization header requires '{name}' parameter.")))
        };
        let credential = parameter("Credential")?;
        let signed_headers = parameter("SignedHeaders")?;
        let signature = parameter("Signature")?;
        let date_time = amz_date.ok_or_else(|| {
            incomplete("Authorization header requires existence of a 'X-Amz-Date' header.".to_owned())
        })?;
        Self::new(credential, signed_headers, signature, date_time, None)
    }

    fn from_query(query: &str) -> Result<Self, SignatureError> {
        let parameter = |name: &str| {
            let mut values =
                query_parameters(query).filter_map(|(known, value)| (known == name).then_some(value));
            let (value, more) = (values.next(), values.next());
            if more.is_some() {
                return Err(incomplete(format!("AWS query-string parameters must have one '{name}'.")));
            }
            value.ok_or_else(|| incomplete(format!("AWS query-string parameters must include '{name}'.")))
        };
        if parameter("X-Amz-Algorithm")? != ALGORITHM {
            return Err(incomplete(format!("X-Amz-Algorithm must be {ALGORITHM}.")));
        }
        let credential = parameter("X-Amz-Credential")?;
        let is_gateway = credential.ends_with(&format!("/{GATEWAY}/{TERMINATOR}"));
        let says_when = query_parameters(query).any(|(name, _)| name == "X-Amz-Expires");
        let expires_after = match says_when.then(|| parameter("X-Amz-Expires")).transpose()? {
            _ if is_gateway => CLOCK_SKEW_MS_MAX / 1000,
            Some(text) => {
                text.parse().ok().filter(|seconds| (0..=PRESIGNED_SECONDS_MAX).contains(seconds)).ok_or_else(
                    || incomplete("X-Amz-Expires must be a number of seconds up to a week.".to_owned()),
                )?
            }
            None => PRESIGNED_SECONDS_MAX,
        };
        Self::new(
            &credential,
            &parameter("X-Amz-SignedHeaders")?,
            &parameter("X-Amz-Signature")?,
            &parameter("X-Amz-Date")?,
            Some(expires_after),
        )
    }

    fn new(
        credential: &str,
        signed_headers: &str,
        signature: &str,
        date_time: &str,
        expires_after: Option<i64>,
    ) -> Result<Self, SignatureError> {
        let malformed = || {
            incomplete(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/{TERMINATOR}."
            ))
        };
        let fields: Vec<&str> = credential.rsplitn(5, '/').collect();
        let [terminator, service, region, date, access_key_id] = fields[..] else { return Err(malformed()) };
        let is_date = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
        if terminator != TERMINATOR || !is_date || [service, region, access_key_id].contains(&"") {
            return Err(malformed());
        }
        if date::parse(date_time).is_none() || !date_time.starts_with(date) {
            return Err(incomplete(
                "Date must be in ISO-8601 'basic format' and that of the Credential.".to_owned(),
            ));
        }
        let signed_headers: Vec<String> = signed_headers.split(';').map(str::to_owned).collect();
        if !signed_headers.iter().any(|name| name == "host") {
            return Err(incomplete("'Host' must be a 'SignedHeader' in the AWS Authorization.".to_owned()));
        }
        let signature = bytes_of_hex(signature)
            .ok_or_else(|| incomplete("Signature must be 64 hexadecimal digits.".to_owned()))?;
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            scope: Scope { date: date.to_owned(), region: region.to_owned(), service: service.to_owned() },
            date_time: date_time.to_owned(),
            signed_headers,
            signature,
            expires_after,
        })
    }

    /// Whose key it should be.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The region of the scope.
    pub fn region(&self) -> &str {
        &self.scope.region
    }

    /// The service of the scope, by its signing name.
    pub fn service(&self) -> &str {
        &self.scope.service
    }

    /// Whether it was not made too long ago, nor in the future.
    ///
    /// # Errors
    /// [`SignatureError::Expired`] and [`SignatureError::NotYetCurrent`].
    pub fn check_time(&self, now_ms: i64) -> Result<(), SignatureError> {
        let signed_ms = date::parse(&self.date_time).ok_or(SignatureError::Mismatch)?;
        let valid_ms = self.expires_after.map_or(CLOCK_SKEW_MS_MAX, |seconds| seconds * 1000);
        if now_ms.saturating_sub(signed_ms) > valid_ms {
            return Err(SignatureError::Expired {
                signed: self.date_time.clone(),
                earliest: date::format(now_ms - valid_ms),
                now: date::format(now_ms),
                minutes: valid_ms / 60_000,
            });
        }
        if signed_ms.saturating_sub(now_ms) > CLOCK_SKEW_MS_MAX {
            return Err(SignatureError::NotYetCurrent {
                signed: self.date_time.clone(),
                latest: date::format(now_ms + CLOCK_SKEW_MS_MAX),
                now: date::format(now_ms),
            });
        }
        Ok(())
    }

    /// Whether it was made for this request with this secret, and not too long ago.
    ///
    /// # Errors
    /// [`SignatureError::Expired`], [`SignatureError::NotYetCurrent`] and [`SignatureError::Mismatch`].
    pub fn verify(&self, message: &Message<'_>, secret: &str, now_ms: i64) -> Result<(), SignatureError> {
        self.check_time(now_ms)?;
        let matches = |message: &Message<'_>| {
            let expected =
                canonical::signature(message, &self.signed_headers, &self.scope, &self.date_time, secret);
            verify_slices_are_equal(expected.as_ref(), &self.signature).is_ok()
        };
        let presigned = self.expires_after.is_some();
        // A presigned URL says nothing of its body: services sign it as empty or as unsigned.
        let matches_somehow = |message: &Message<'_>| {
            let unsigned = Message { payload: Payload::Unsigned, ..*message };
            let empty = Message { payload: Payload::Bytes(b""), ..*message };
            matches(message) || presigned && (matches(&unsigned) || matches(&empty))
        };
        if matches_somehow(message) {
            return Ok(());
        }
        if presigned && self.scope.service == GATEWAY {
            let query = without_parameter(message.query, TOKEN_PARAMETER);
            if matches_somehow(&Message { query: &query, ..*message }) {
                return Ok(());
            }
        }
        Err(SignatureError::Mismatch)
    }
}

fn incomplete(reason: String) -> SignatureError {
    SignatureError::Incomplete(reason)
}

fn query_parameters(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    query.split('&').map(move |parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        (decoded(name), decoded(value))
    })
}

/// The query without a parameter.
fn without_parameter(query: &str, name: &str) -> String {
    let is_other = |parameter: &&str| parameter.split_once('=').map_or(*parameter, |(name, _)| name) != name;
    query.split('&').filter(is_other).collect::<Vec<_>>().join("&")
}

fn bytes_of_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
    }
    // `from_str_radix` takes a sign.
    text.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(bytes)
}
