//! Requests to inputs: what is collected from where, and what is refused in which words.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::borrow::Cow;

use aws_model::{InputError, RequestParts, Service};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A request without a network.
#[derive(Default)]
struct Request {
    labels: Vec<(&'static str, String)>,
    query: Vec<(String, String)>,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
}

impl Request {
    fn label(mut self, name: &'static str, value: &str) -> Self {
        self.labels.push((name, value.to_owned()));
        self
    }

    fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    fn body(mut self, body: &str) -> Self {
        self.body = body.as_bytes().to_vec();
        self
    }

    fn input(&self, service: Service, operation: &str) -> Result<Map<String, Value>, InputError> {
        let header = |name: &str| {
            self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| Cow::Borrowed(*value))
        };
        let parts =
            RequestParts { labels: &self.labels, query: &self.query, header: &header, body: &self.body };
        service.operation(operation).unwrap().input(&parts)
    }

    fn refusal(&self, service: Service, operation: &str) -> String {
        self.input(service, operation).unwrap_err().to_string()
    }
}

fn iot(request: Request, operation: &str) -> Result<Map<String, Value>, InputError> {
    request.input(Service::Iot, operation)
}

#[test]
fn members_come_from_their_places() {
    let request =
        Request::default().label("thingName", "pico_w").query("thingPrincipalType", "EXCLUSIVE_THING");
    let request = Request { headers: vec![("x-amzn-principal", "arn:aws:iot:x")], ..request };
    let input = iot(request, "AttachThingPrincipal").unwrap();
    assert_eq!(
        Value::Object(input),
        json!({"thingName": "pico_w", "principal": "arn:aws:iot:x", "thingPrincipalType": "EXCLUSIVE_THING"})
    );
    let request =
        Request::default().query("pageSize", "25").query("isAscendingOrder", "true").query("other", "x");
    assert_eq!(
        Value::Object(iot(request, "ListPolicies").unwrap()),
        json!({"pageSize": 25, "ascendingOrder": true})
    );
    let request = Request::default().label("thingName", "t").body(r#"{"thingTypeName": null, "unknown": 1}"#);
    assert_eq!(Value::Object(iot(request, "CreateThing").unwrap()), json!({"thingName": "t"}));
}

#[test]
fn the_body_may_be_the_payload() {
    let request =
        Request::default().label("ruleName", "telemetry").body(r#"{"sql": "SELECT *", "actions": []}"#);
    let input = iot(request, "CreateTopicRule").unwrap();
    assert_eq!(input["topicRulePayload"], json!({"sql": "SELECT *", "actions": []}));
    let missing = Request::default().label("ruleName", "telemetry").refusal(Service::Iot, "CreateTopicRule");
    assert_eq!(
        missing,
        "1 validation error detected: Value null at 'topicRulePayload' failed to satisfy constraint: Member must not be null"
    );
    let bytes = Request::default().label("topic", "a").body("\u{1}\u{2}").input(Service::IotData, "Publish");
    assert_eq!(bytes.unwrap()["topic"], "a");
}

#[test]
fn texts_are_those_of_aws() {
    let cases = [
        (
            Request::default().label("thingName", "with space"),
            "DescribeThing",
            "1 validation error detected: Value 'with space' at 'thingName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [a-zA-Z0-9:_-]+",
        ),
        (
            Request::default().label("ruleName", "with-dash"),
            "GetTopicRule",
            "1 validation error detected: Value 'with-dash' at 'ruleName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: ^[a-zA-Z0-9_]+$",
        ),
        (
            Request::default().query("maxResults", "251"),
            "ListThings",
            "1 validation error detected: Value '251' at 'maxResults' failed to satisfy constraint: \
             Member must have value less than or equal to 250",
        ),
        (
            Request::default().query("maxResults", "0"),
            "ListThings",
            "1 validation error detected: Value '0' at 'maxResults' failed to satisfy constraint: \
             Member must have value greater than or equal to 1",
        ),
        (
            Request::default().label("policyName", "p").body("{}"),
            "CreatePolicy",
            "1 validation error detected: Value null at 'policyDocument' failed to satisfy constraint: \
             Member must not be null",
        ),
        (
            Request::default()
                .label("policyName", "p")
                .body(r#"{"policyDocument": "", "tags": [{"Value": "v"}]}"#),
            "CreatePolicy",
            "1 validation error detected: Value null at 'tags.1.member.key' failed to satisfy constraint: \
             Member must not be null",
        ),
    ];
    for (request, operation, text) in cases {
        assert_eq!(request.refusal(Service::Iot, operation), text);
    }
}

#[test]
fn all_violations_are_told_at_once() {
    let long = "x".repeat(129);
    let text = Request::default()
        .label("thingName", &long)
        .body(r#"{"thingTypeName": ""}"#)
        .refusal(Service::Iot, "CreateThing");
    assert_eq!(
        text,
        format!(
            "3 validation errors detected: Value '{long}' at 'thingName' failed to satisfy constraint: Member must have \
             length less than or equal to 128; Value '' at 'thingTypeName' failed to satisfy constraint: Member must have \
             length greater than or equal to 1; Value '' at 'thingTypeName' failed to satisfy constraint: Member must \
             satisfy regular expression pattern: [a-zA-Z0-9:_-]+"
        )
    );
}

#[test]
fn enums_name_their_values() {
    let id = "0".repeat(64);
    let request = Request::default().label("certificateId", &id).query("newStatus", "NONSENSE");
    let text = request.refusal(Service::Iot, "UpdateCertificate");
    assert_eq!(
        text,
        "1 validation error detected: Value 'NONSENSE' at 'newStatus' failed to satisfy constraint: Member must satisfy \
         enum value set: [ACTIVE, INACTIVE, REVOKED, PENDING_TRANSFER, REGISTER_INACTIVE, PENDING_ACTIVATION]"
    );
}

#[test]
fn maps_name_what_all_values_must_satisfy() {
    let body = json!({"attributePayload": {"attributes": {"k": "v".repeat(801)}}}).to_string();
    let text = Request::default().label("thingName", "t").body(&body).refusal(Service::Iot, "CreateThing");
    assert!(text.contains("at 'attributePayload.attributes' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 800"), "{text}");
    let body = json!({"attributePayload": {"attributes": {"with space": "v"}}}).to_string();
    let text = Request::default().label("thingName", "t").body(&body).refusal(Service::Iot, "CreateThing");
    assert!(
        text.contains("Map keys must satisfy constraint: [Member must have length less than or equal to 128"),
        "{text}"
    );
}

#[test]
fn logs_do_not_repeat_values() {
    let text = Request::default()
        .body(r#"{"logGroupIdentifier": "arn:aws:logs:us-east-1:1:log-group:g:*"}"#)
        .refusal(Service::Logs, "DescribeLogStreams");
    // [AWS logs] verified.md 140
    assert_eq!(
        text,
        r"1 validation error detected: Value at 'logGroupIdentifier' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w#+=/:,.@-]*"
    );
}

#[test]
fn what_is_not_json_of_the_right_type_is_malformed() {
    for body in ["{", "[]", "x", "\"x\"", r#"{"policyDocument": 1}"#, r#"{"policyDocument": {"a": 1}}"#] {
        let refused = iot(Request::default().label("policyName", "p").body(body), "CreatePolicy");
        assert!(matches!(refused, Err(InputError::Malformed(_))), "{body}: {refused:?}");
    }
    for (name, value) in [("maxResults", "many"), ("maxResults", "1.5"), ("usePrefixAttributeValue", "yes")] {
        let refused = iot(Request::default().query(name, value), "ListThings");
        assert!(matches!(refused, Err(InputError::Malformed(_))), "{name}={value}");
    }
    let deep = format!("{}{}", "{\"a\":".repeat(5000), "}".repeat(5000));
    assert!(iot(Request::default().label("policyName", "p").body(&deep), "CreatePolicy").is_err());
}

#[test]
fn messages_stay_small() {
    let body =
        json!({"policyDocument": "x".repeat(500_000), "tags": vec![json!({"Key": ""}); 10_000]}).to_string();
    let text = Request::default().label("policyName", "p").body(&body).refusal(Service::Iot, "CreatePolicy");
    assert!(text.len() < 10_000, "{}", text.len());
}

#[test]
fn every_operation_is_found_by_name() {
    for service in Service::ALL {
        let operations = service.operations();
        assert!(operations.is_sorted_by_key(|operation| operation.name));
        for operation in operations {
            assert_eq!(service.operation(operation.name).map(|found| found.name), Some(operation.name));
            for code in operation.errors {
                assert!(
                    service.error_status(code).is_some_and(|status| (400..600).contains(&status)),
                    "{code}"
                );
            }
        }
    }
    assert_eq!(Service::Iot.operations().len(), 272);
    assert_eq!(Service::Logs.operations().len(), 118);
    assert_eq!(Service::Iot.error_status("ResourceNotFoundException"), Some(404));
    assert_eq!(Service::Iot.error_status("ThrottlingException"), Some(400));
    assert_eq!(Service::IotData.error_status("ThrottlingException"), Some(429));
    assert_eq!(Service::Logs.error_status("ResourceNotFoundException"), Some(400));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(300)))]

    #[test]
    fn foreign_requests_never_panic(body in ".{0,80}", name in ".{0,20}", value in ".{0,20}", index in 0_usize..1_000_000) {
        let operations: Vec<_> = Service::ALL.into_iter().flat_map(Service::operations).collect();
        let operation = operations[index % operations.len()];
        let request = Request::default().label("thingName", &value).query(&name, &value).body(&body);
        let _ = request.input(operation.service, operation.name);
    }
}
