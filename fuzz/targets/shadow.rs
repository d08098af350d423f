//! A shadow's life: each line of the input is an update request.
#![no_main]

use fuzz::is_json;
use iot_shadow::{DeleteRequest, Document, GetRequest, STATE_BYTES_MAX, ShadowError, UpdateRequest};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// What a shadow deleted before had: versions go on from there.
const LAST_VERSION: u64 = 41;

fuzz_target!(|input: &[u8]| {
    let mut document: Option<Document> = None;
    for (line, now_s) in input.split(|&byte| byte == b'\n').zip(1_700_000_000..) {
        check_other_requests(document.as_ref(), line, now_s);
        let Ok(request) = UpdateRequest::parse(line) else { continue };
        let asked = parsed(line);
        let version = document.as_ref().map_or(LAST_VERSION, Document::version);
        match Document::update(document.as_ref(), LAST_VERSION, &request, now_s) {
            Ok(updated) => {
                assert_eq!(updated.document.version(), version + 1);
                let bodies = [Some(&updated.accepted), Some(&updated.documents), updated.delta.as_ref()];
                assert!(bodies.into_iter().flatten().all(|body| is_json(body)));
                check_state(&updated.document.state(), &asked["state"]);
                check_stored(&updated.document);
                check_delta(&updated.document, updated.delta.as_deref(), now_s);
                document = Some(updated.document);
            }
            Err(ShadowError::VersionConflict) => {
                assert!(asked["version"].as_u64().is_some_and(|wanted| wanted != version));
            }
            Err(ShadowError::TooLarge) => {}
            Err(other) => panic!("a request that was read is refused: {other}"),
        }
    }
});

/// Requests whose payload may be anything too, and the answers to bad ones.
fn check_other_requests(document: Option<&Document>, payload: &[u8], now_s: i64) {
    let token = Document::client_token_of(payload);
    if let Err(error) = UpdateRequest::parse(payload) {
        assert!(is_json(&error.rejected(token.as_deref(), now_s)));
    }
    let Some(document) = document else { return };
    if let Ok(request) = GetRequest::parse(payload) {
        assert!(is_json(&document.get(&request, now_s)));
    }
    if let Ok(request) = DeleteRequest::parse(payload)
        && let Ok(deleted) = document.delete(&request, now_s)
    {
        assert_eq!(deleted.version, document.version());
        assert!(is_json(&deleted.accepted));
    }
}

/// What was accepted is JSON, up to the NUL that some clients send behind it.
fn parsed(payload: &[u8]) -> Value {
    let text = std::str::from_utf8(payload).expect("an accepted request is text");
    serde_json::from_str(
        text.trim_end_matches(|character: char| character == '\0' || character.is_ascii_whitespace()),
    )
    .expect("an accepted request is JSON")
}

/// What was asked for is there, and what was null is gone.
fn check_state(state: &Value, asked: &Value) {
    assert!(state.to_string().len() <= STATE_BYTES_MAX);
    assert!(!has_null(state), "{state}");
    if asked.is_null() {
        assert_eq!(state, &json!({}));
    }
    check_asked(state, asked);
}

fn check_asked(state: &Value, asked: &Value) {
    for (name, wanted) in asked.as_object().into_iter().flatten() {
        match (wanted, state.get(name)) {
            (Value::Null, found) => assert_eq!(found, None, "{name}"),
            (Value::Object(_), Some(found)) => check_asked(found, wanted),
            // What was written empty may have been emptied by nulls.
            (Value::Object(_), None) => assert!(!has_scalar(wanted), "{wanted} is lost"),
            // Nulls inside of an array's objects are dropped.
            (Value::Array(wanted), found) => {
                assert_eq!(found.and_then(Value::as_array).map(Vec::len), Some(wanted.len()));
            }
            (wanted, found) => assert_eq!(found, Some(wanted), "{name}"),
        }
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        _ => false,
    }
}

fn has_scalar(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Object(members) => members.values().any(has_scalar),
        _ => true,
    }
}

/// What is stored reads back as the same, to the last digit.
fn check_stored(document: &Document) {
    let read = Document::from_stored(&document.to_stored()).expect("what was stored");
    assert_eq!(&read, document);
}

/// A device that reports the delta has nothing left to do.
fn check_delta(document: &Document, delta: Option<&str>, now_s: i64) {
    let Some(delta) = delta else { return };
    let delta: Value = serde_json::from_str(delta).expect("a body is JSON");
    let report = json!({"state": {"reported": delta["state"]}}).to_string();
    let request = UpdateRequest::parse(report.as_bytes()).expect("the delta is no deeper than desired");
    match Document::update(Some(document), 0, &request, now_s) {
        Ok(reported) => assert_eq!(reported.delta, None),
        Err(error) => assert_eq!(error, ShadowError::TooLarge),
    }
}
