//! Why a shadow request is refused: AWS's codes and texts.

use crate::DEPTH_MAX;
use serde_json::json;

/// Why a shadow request is refused. Prints AWS's text; [`code`](ShadowError::code) is the HTTP status too.
///
/// [AWS iot device-shadow-error-messages]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShadowError {
    /// Not JSON, or not an object.
    #[error("Invalid JSON")]
    InvalidJson,
    /// An update without state.
    #[error("Missing required node: state")]
    MissingState,
    /// `state` is neither object nor null.
    #[error("State node must be an object")]
    StateNotObject,
    /// `desired` is neither object nor null.
    #[error("Desired node must be an object")]
    DesiredNotObject,
    /// `reported` is neither object nor null.
    #[error("Reported node must be an object")]
    ReportedNotObject,
    /// Another member in `state`, or null in an array.
    #[error("State contains an invalid node")]
    InvalidNode,
    /// `version` is no whole number from 0 on.
    #[error("Invalid version")]
    InvalidVersion,
    /// `clientToken` is no string, or longer than [`CLIENT_TOKEN_BYTES_MAX`](crate::CLIENT_TOKEN_BYTES_MAX).
    #[error("Invalid clientToken")]
    InvalidClientToken,
    /// Deeper than [`DEPTH_MAX`].
    #[error("JSON contains too many levels of nesting; maximum is {DEPTH_MAX}")]
    TooDeep,
    /// There is no such shadow.
    #[error("No shadow exists with name: '{name}'")]
    NotFound {
        /// The thing, or `thing~shadow`.
        name: String,
    },
    /// The shadow has another version than the request asked for.
    #[error("Version conflict")]
    VersionConflict,
    /// The request or the state that it would leave is too large.
    #[error("The payload exceeds the maximum size allowed")]
    TooLarge,
    /// Not UTF-8.
    #[error("Unsupported documented encoding; supported encoding is UTF-8")]
    NotUtf8,
}

impl ShadowError {
    /// The code in a `rejected` message, and the HTTP status.
    pub const fn code(&self) -> u16 {
        match self {
            Self::NotFound { .. } => 404,
            Self::VersionConflict => 409,
            Self::TooLarge => 413,
            Self::NotUtf8 => 415,
            _ => 400,
        }
    }

    /// The body of a `rejected` message. A missing shadow is told without a time, as AWS does.
    pub fn rejected(&self, client_token: Option<&str>, now_s: i64) -> String {
        let mut body = json!({"code": self.code(), "message": self.to_string()});
        if !matches!(self, Self::NotFound { .. }) {
            body["timestamp"] = now_s.into();
        }
        if let Some(token) = client_token {
            body["clientToken"] = token.into();
        }
        body.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_shadow_is_told_as_aws_does() {
        let error = ShadowError::NotFound { name: "pico".to_owned() };
        assert_eq!(error.rejected(None, 7), r#"{"code":404,"message":"No shadow exists with name: 'pico'"}"#);
        assert_eq!(
            ShadowError::VersionConflict.rejected(Some("t"), 7),
            r#"{"clientToken":"t","code":409,"message":"Version conflict","timestamp":7}"#
        );
    }
}
