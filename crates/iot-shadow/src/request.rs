//! Requests, read and checked.

use crate::{CLIENT_TOKEN_BYTES_MAX, DEPTH_MAX, REQUEST_BYTES_MAX, ShadowError};
use serde_json::{Map, Value};

/// What an update asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateRequest {
    pub(crate) state: StateChange,
    pub(crate) version: Option<u64>,
    pub(crate) client_token: Option<String>,
}

/// What becomes of the state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StateChange {
    /// `"state": null`: both sections go.
    Clear,
    Sections {
        desired: SectionChange,
        reported: SectionChange,
    },
}

/// What becomes of `desired` or `reported`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SectionChange {
    Keep,
    Clear,
    Merge(Map<String, Value>),
}

/// What a get asks for: the shadow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GetRequest {
    pub(crate) client_token: Option<String>,
}

/// What a delete asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteRequest {
    pub(crate) version: Option<u64>,
    pub(crate) client_token: Option<String>,
}

impl UpdateRequest {
    /// Reads an update.
    ///
    /// # Errors
    /// [`ShadowError`] for everything that is wrong with the request alone.
    pub fn parse(payload: &[u8]) -> Result<Self, ShadowError> {
        let mut members = object(payload)?.ok_or(ShadowError::InvalidJson)?;
        let client_token = client_token(&members)?;
        let version = version(&members)?;
        let state = match members.remove("state") {
            None => return Err(ShadowError::MissingState),
            Some(Value::Null) => StateChange::Clear,
            Some(Value::Object(state)) => StateChange::parse(state)?,
            Some(_) => return Err(ShadowError::StateNotObject),
        };
        Ok(Self { state, version, client_token })
    }

    /// The request's token, to be repeated in every answer.
    pub fn client_token(&self) -> Option<&str> {
        self.client_token.as_deref()
    }
}

impl StateChange {
    fn parse(state: Map<String, Value>) -> Result<Self, ShadowError> {
        let (mut desired, mut reported) = (SectionChange::Keep, SectionChange::Keep);
        for (name, value) in state {
            match &*name {
                "desired" => desired = SectionChange::parse(value, ShadowError::DesiredNotObject)?,
                "reported" => reported = SectionChange::parse(value, ShadowError::ReportedNotObject)?,
                _ => return Err(ShadowError::InvalidNode),
            }
        }
        Ok(Self::Sections { desired, reported })
    }
}

impl SectionChange {
    fn parse(value: Value, not_object: ShadowError) -> Result<Self, ShadowError> {
        check_nodes(&value, 0)?;
        match value {
            Value::Null => Ok(Self::Clear),
            Value::Object(members) => Ok(Self::Merge(members)),
            _ => Err(not_object),
        }
    }
}

impl GetRequest {
    /// Reads a get, whose payload is usually empty.
    ///
    /// # Errors
    /// [`ShadowError`] for a payload that is neither empty nor a request.
    pub fn parse(payload: &[u8]) -> Result<Self, ShadowError> {
        let members = object(payload)?.unwrap_or_default();
        Ok(Self { client_token: client_token(&members)? })
    }
}

impl DeleteRequest {
    /// Reads a delete, whose payload is usually empty.
    ///
    /// # Errors
    /// [`ShadowError`] for a payload that is neither empty nor a request.
    pub fn parse(payload: &[u8]) -> Result<Self, ShadowError> {
        let members = object(payload)?.unwrap_or_default();
        Ok(Self { client_token: client_token(&members)?, version: version(&members)? })
    }
}

/// The token of a request that may be wrong otherwise: its rejection repeats it too.
pub(crate) fn client_token_of(payload: &[u8]) -> Option<String> {
    client_token(&object(payload).ok()??).ok()?
}

/// Reads a JSON object; `None` for an empty payload.
fn object(payload: &[u8]) -> Result<Option<Map<String, Value>>, ShadowError> {
    if payload.len() > REQUEST_BYTES_MAX {
        return Err(ShadowError::TooLarge);
    }
    let text = std::str::from_utf8(payload).map_err(|_| ShadowError::NotUtf8)?;
    // AWS's own C demo sends the NUL that ends its string, and AWS takes it.
    let text = text.trim_end_matches(|character: char| character == '\0' || character.is_ascii_whitespace());
    if text.is_empty() {
        return Ok(None);
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(Some(members)),
        _ => Err(ShadowError::InvalidJson),
    }
}

fn client_token(members: &Map<String, Value>) -> Result<Option<String>, ShadowError> {
    match members.get("clientToken") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(token)) if token.len() <= CLIENT_TOKEN_BYTES_MAX => Ok(Some(token.clone())),
        Some(_) => Err(ShadowError::InvalidClientToken),
    }
}

fn version(members: &Map<String, Value>) -> Result<Option<u64>, ShadowError> {
    match members.get("version") {
        None | Some(Value::Null) => Ok(None),
        Some(version) => version.as_u64().map(Some).ok_or(ShadowError::InvalidVersion),
    }
}

/// Checks depth, and that no array has a null.
fn check_nodes(value: &Value, depth: usize) -> Result<(), ShadowError> {
    match value {
        Value::Object(_) | Value::Array(_) if depth >= DEPTH_MAX => Err(ShadowError::TooDeep),
        Value::Object(members) => members.values().try_for_each(|member| check_nodes(member, depth + 1)),
        Value::Array(items) if items.iter().any(Value::is_null) => Err(ShadowError::InvalidNode),
        Value::Array(items) => items.iter().try_for_each(|item| check_nodes(item, depth + 1)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal(payload: &str) -> String {
        UpdateRequest::parse(payload.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn refusals_are_awss() {
        for (payload, text) in [
            ("", "Invalid JSON"),
            ("{", "Invalid JSON"),
            ("[]", "Invalid JSON"),
            ("{}", "Missing required node: state"),
            (r#"{"state":1}"#, "State node must be an object"),
            (r#"{"state":{"desired":1}}"#, "Desired node must be an object"),
            (r#"{"state":{"reported":[]}}"#, "Reported node must be an object"),
            (r#"{"state":{"delta":{}}}"#, "State contains an invalid node"),
            (r#"{"state":{"desired":{"a":[null]}}}"#, "State contains an invalid node"),
            (r#"{"state":{},"version":"1"}"#, "Invalid version"),
            (r#"{"state":{},"version":-1}"#, "Invalid version"),
            (r#"{"state":{},"clientToken":1}"#, "Invalid clientToken"),
        ] {
            assert_eq!(refusal(payload), text, "{payload}");
        }
        let token = |length| format!(r#"{{"state":{{}},"clientToken":"{}"}}"#, "t".repeat(length));
        assert!(UpdateRequest::parse(token(64).as_bytes()).is_ok());
        assert_eq!(refusal(&token(65)), "Invalid clientToken");
        assert_eq!(UpdateRequest::parse(b"\xff").unwrap_err().code(), 415);
        assert_eq!(UpdateRequest::parse(&vec![b' '; REQUEST_BYTES_MAX + 1]).unwrap_err().code(), 413);
    }

    #[test]
    fn desired_itself_is_the_first_of_six_levels() {
        let nested = |levels: usize| {
            format!(r#"{{"state":{{"desired":{}1{}}}}}"#, r#"{"a":"#.repeat(levels), "}".repeat(levels))
        };
        assert!(UpdateRequest::parse(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(refusal(&nested(DEPTH_MAX + 1)), "JSON contains too many levels of nesting; maximum is 6");
    }

    #[test]
    fn a_nul_or_white_space_behind_the_json_is_accepted() {
        for tail in ["\0", "\n", " \r\n\t\0\0"] {
            let payload = format!("{{\"state\":{{}}}}{tail}");
            assert!(UpdateRequest::parse(payload.as_bytes()).is_ok(), "{tail:?}");
            assert_eq!(GetRequest::parse(tail.as_bytes()), Ok(GetRequest::default()));
        }
        assert_eq!(refusal("\0{\"state\":{}}"), "Invalid JSON");
    }

    #[test]
    fn get_and_delete_take_nothing_or_an_object() {
        assert_eq!(GetRequest::parse(br#"{"clientToken":"t"}"#).unwrap().client_token.as_deref(), Some("t"));
        assert_eq!(DeleteRequest::parse(br#"{"version":3}"#).unwrap().version, Some(3));
        assert_eq!(GetRequest::parse(b"x"), Err(ShadowError::InvalidJson));
        assert_eq!(DeleteRequest::parse(b"[]"), Err(ShadowError::InvalidJson));
    }

    #[test]
    fn a_rejected_request_keeps_its_token() {
        assert_eq!(client_token_of(br#"{"state":1,"clientToken":"t"}"#).as_deref(), Some("t"));
        assert_eq!(client_token_of(b"{"), None);
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = UpdateRequest::parse(&payload);
            let _ = GetRequest::parse(&payload);
            let _ = DeleteRequest::parse(&payload);
        }
    }
}
