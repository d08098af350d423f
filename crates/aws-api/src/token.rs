//! `nextToken` and `nextMarker`: where the next page begins, opaque to clients.
//!
//! A token is base64 of a checksum and the last key of the page before. It therefore survives inserts and deletions
//! between pages and restarts of the server. The checksum covers the operation's name, so that a token of one list,
//! an invented or a cut one is refused instead of giving wrong pages. It is no secret: whoever may list may list.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::ApiError;

/// Bytes of the checksum: one mistake in 2^48 goes unnoticed.
const CHECKSUM_BYTES: usize = 6;

/// The token for the page behind `key`.
pub(crate) fn encode(operation: &str, key: &str) -> String {
    let mut bytes = checksum(operation, key).to_vec();
    bytes.extend(key.as_bytes());
    STANDARD.encode(bytes)
}

/// The key in a token.
pub(crate) fn decode(operation: &str, token: &str) -> Result<String, ApiError> {
    let read = || {
        let bytes = STANDARD.decode(token).ok()?;
        let (sum, key) = bytes.split_at_checked(CHECKSUM_BYTES)?;
        let key = String::from_utf8(key.to_vec()).ok()?;
        (sum == checksum(operation, &key)).then_some(key)
    };
    read().ok_or_else(|| ApiError::invalid("The pagination token is not valid."))
}

/// The key in an optional token.
pub(crate) fn decode_option(operation: &str, token: Option<&String>) -> Result<Option<String>, ApiError> {
    token.map(|token| decode(operation, token)).transpose()
}

fn checksum(operation: &str, key: &str) -> [u8; CHECKSUM_BYTES] {
    let digest = digest(&SHA256, format!("{operation}/{key}").as_bytes());
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(&digest.as_ref()[..CHECKSUM_BYTES]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn invented_tokens_are_refused() {
        let real = encode("ListThings", "a");
        assert_eq!(decode("ListThings", &real), Ok("a".to_owned()));
        let cut = real[..real.len() - 4].to_owned();
        for token in ["", "nonsense", "AAAA", "==", "=========", "bm9uc2Vuc2U=", &cut, &real.replace('=', "")]
        {
            if token != real {
                assert!(decode("ListThings", token).is_err(), "{token}");
            }
        }
        assert!(decode("ListPolicies", &real).is_err());
    }

    proptest! {
        #[test]
        fn tokens_read_back_and_match_the_model(key in ".{0,40}", token in ".{0,40}") {
            let real = encode("ListPolicies", &key);
            prop_assert_eq!(decode("ListPolicies", &real), Ok(key));
            let text = real.trim_end_matches('=');
            // [AWS iot Marker] `[A-Za-z0-9+/]+={0,2}`
            prop_assert!(!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte)));
            prop_assert!(decode("ListPolicies", &token).is_err() || token == real);
        }
    }
}
