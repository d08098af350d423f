//! Requests of the AWS APIs: their signatures, and their inputs.
//!
//! The input's first four lines are an operation's name, an `Authorization` header, a query, and a text for every
//! label and header; the rest is the body.
#![no_main]

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use aws_api::sigv4::{Claim, Credentials, Message, Payload, SignatureError, sign};
use aws_model::{InputError, Member, Operation, Place, RequestParts, Service, Shape, shapes};
use fuzz::split_line;
use libfuzzer_sys::fuzz_target;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

const NOW_MS: i64 = 1_700_000_000_000;

fuzz_target!(|input: &str| {
    let (name, rest) = split_line(input);
    let (authorization, rest) = split_line(rest);
    let (query, rest) = split_line(rest);
    let (text, body) = split_line(rest);
    check_claim(authorization, query, text, body.as_bytes());
    check_signing(query, text, body.as_bytes());
    for operation in Service::ALL.into_iter().filter_map(|service| service.operation(name)) {
        check_input(operation, query, text, body.as_bytes());
    }
});

/// Foreign signatures are read and refused without a panic.
fn check_claim(authorization: &str, query: &str, path: &str, body: &[u8]) {
    let headers =
        [("authorization", authorization), ("x-amz-date", "20231114T221320Z"), ("host", "localhost")];
    for headers in [&headers[..], &headers[1..]] {
        let message = Message { method: "POST", path, query, headers, payload: Payload::Bytes(body) };
        match Claim::read(&message) {
            Ok(claim) => {
                assert!(!claim.access_key_id().is_empty() && !claim.region().is_empty());
                assert!(!claim.service().is_empty());
                assert!(claim.verify(&message, "a secret that nobody used", NOW_MS).is_err());
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// What one side signs, the other verifies, whatever path, query, header and body are; and nothing else.
fn check_signing(query: &str, path: &str, body: &[u8]) {
    let credentials = Credentials { access_key_id: "id", secret_access_key: "secret", session_token: None };
    let own = [("host", "localhost:4566"), ("x-amz-target", path)];
    let message = Message { method: "POST", path, query, headers: &own, payload: Payload::Bytes(body) };
    let added = sign(&message, &credentials, "us-east-1", "iot", NOW_MS);
    let mut headers = own.to_vec();
    headers.extend(added.iter().map(|(name, value)| (&**name, &**value)));
    let signed = Message { headers: &headers, ..message };
    let claim = Claim::read(&signed).expect("our own signature");
    assert_eq!(claim.verify(&signed, "secret", NOW_MS), Ok(()));
    assert_eq!(claim.verify(&signed, "another", NOW_MS), Err(SignatureError::Mismatch));
    let other = Message { payload: Payload::Bytes(b"another body"), ..signed };
    assert_eq!(claim.verify(&other, "secret", NOW_MS).is_ok(), body == b"another body");
}

fn check_input(operation: &'static Operation, query: &str, text: &str, body: &[u8]) {
    let Shape::Structure(members) = operation.input else { return };
    let labels: Vec<(&str, String)> = members
        .iter()
        .filter(|member| member.place == Place::Path)
        .map(|member| (member.wire, text.to_owned()))
        .collect();
    let query: Vec<(String, String)> = query
        .split('&')
        .filter_map(|parameter| parameter.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let header = |_: &str| (!text.is_empty()).then_some(Cow::Borrowed(text));
    let parts = RequestParts { labels: &labels, query: &query, header: &header, body };
    match operation.input(&parts) {
        Ok(values) => check_values(operation, members, values),
        Err(InputError::Invalid(violations)) => {
            assert!(!violations.is_empty());
            assert!(aws_model::summary(&violations).contains("validation error"));
        }
        Err(InputError::Malformed(reason)) => assert!(!reason.is_empty()),
    }
}

/// What the tables let through keeps their constraints, and the typed shape of the operation takes it.
fn check_values(operation: &Operation, members: &[Member], values: Map<String, Value>) {
    for member in members {
        let value = values.get(member.name);
        assert!(value.is_some() || !member.required, "{} is missing", member.name);
        match (member.shape, value) {
            (Shape::String { min, max, values, .. }, Some(Value::String(text))) => {
                let chars = text.chars().count() as u64;
                assert!(max.is_none_or(|max| chars <= max) && min.is_none_or(|min| chars >= min));
                assert!(values.is_empty() || values.contains(&text.as_str()));
            }
            (Shape::Integer { min, max }, Some(value)) => {
                let number = value.as_i64().expect("an integer");
                assert!(max.is_none_or(|max| number <= max) && min.is_none_or(|min| number >= min));
            }
            _ => {}
        }
    }
    if let Some(reads) = TYPED.get(&(operation.service, operation.name)) {
        reads(Value::Object(values)).unwrap_or_else(|error| panic!("{}: {error}", operation.name));
    }
}

type Reads = fn(Value) -> Result<(), serde_json::Error>;

fn reads<T: DeserializeOwned>(values: Value) -> Result<(), serde_json::Error> {
    serde_json::from_value::<T>(values).map(drop)
}

/// The types of the inputs of the operations that are served, where an input is more than a name or two.
static TYPED: LazyLock<HashMap<(Service, &'static str), Reads>> = LazyLock::new(|| {
    use shapes::{iot, iot_data, logs};
    macro_rules! typed {
        ($($service:ident, $module:ident: $($shape:ident)*;)*) => {
            HashMap::from([$($((
                (Service::$service, stringify!($shape).trim_end_matches("Request")),
                reads::<$module::$shape> as Reads,
            ),)*)*])
        };
    }
    typed! {
        Iot, iot: AttachPolicyRequest CreateCertificateFromCsrRequest CreatePolicyRequest CreateThingRequest
            CreateTopicRuleRequest DeleteThingRequest GetEffectivePoliciesRequest ListAttachedPoliciesRequest
            ListThingsRequest ListTopicRulesRequest RegisterCertificateWithoutCARequest ReplaceTopicRuleRequest
            TagResourceRequest TestAuthorizationRequest UpdateCertificateRequest UpdateThingRequest;
        IotData, iot_data: ListNamedShadowsForThingRequest PublishRequest UpdateThingShadowRequest;
        Logs, logs: CreateLogGroupRequest DescribeLogGroupsRequest DescribeLogStreamsRequest FilterLogEventsRequest
            GetLogEventsRequest PutLogEventsRequest PutRetentionPolicyRequest TagResourceRequest;
    }
});
