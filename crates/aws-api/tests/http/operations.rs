//! The operations end to end, over HTTP. The black-box tests of the repository hold them against boto3; here is what
//! they do on the wire.

use crate::server::Server;
use serde_json::{Value, json};

const PREFIX: &str = "arn:aws:iot:us-east-1:000000000000:";
const ALLOW_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

#[test]
fn things_and_their_pages() {
    let server = Server::start();
    for name in ["a", "b", "c"] {
        let created = server.iot(
            "POST",
            &format!("/things/{name}"),
            r#"{"attributePayload":{"attributes":{"k":"v"}}}"#,
        );
        assert_eq!(created.status, 200, "{created:?}");
        assert_eq!(created.json()["thingArn"], format!("{PREFIX}thing/{name}"));
    }
    let described = server.iot("GET", "/things/a", "").json();
    assert_eq!(described["version"], 1);
    assert_eq!(described["attributes"], json!({"k": "v"}));
    assert_eq!(described.get("thingTypeName"), None, "what is not there is left out");

    let mut names = Vec::new();
    let mut token = String::new();
    loop {
        let page = server.iot("GET", &format!("/things?maxResults=1{token}"), "").json();
        let things = page["things"].as_array().unwrap();
        names.extend(things.iter().map(|thing| thing["thingName"].as_str().unwrap().to_owned()));
        let Some(next) = page.get("nextToken") else { break };
        token = format!("&nextToken={}", encoded(next.as_str().unwrap()));
    }
    assert_eq!(names, ["a", "b", "c"]);
    for token in ["nonsense", "AAAA", "", "bm9uc2Vuc2U%3D"] {
        server
            .iot("GET", &format!("/things?nextToken={token}"), "")
            .assert_error(400, "InvalidRequestException");
    }

    let conflict = server.iot("POST", "/things/a", "{}");
    conflict.assert_error(409, "ResourceAlreadyExistsException");
    assert_eq!(conflict.json()["resourceArn"], format!("{PREFIX}thing/a"));
    let message = server.iot("POST", "/things/with%20space", "").assert_error(400, "InvalidRequestException");
    assert!(
        message.starts_with("1 validation error detected: Value 'with space' at 'thingName'"),
        "{message}"
    );
    server
        .iot("PATCH", "/things/a", r#"{"expectedVersion":9}"#)
        .assert_error(409, "VersionConflictException");
    assert_eq!(server.iot("DELETE", "/things/a", "").status, 200);
    server.iot("GET", "/things/a", "").assert_error(404, "ResourceNotFoundException");
}

#[test]
fn a_certificate_with_policy_and_thing() {
    let server = Server::start();
    let keys = server.iot("POST", "/keys-and-certificate?setAsActive=true", "").json();
    let (arn, id) = (keys["certificateArn"].as_str().unwrap(), keys["certificateId"].as_str().unwrap());
    assert_eq!(server.iot("POST", "/things/pico", "").status, 200);
    let policy = json!({"policyDocument": ALLOW_ALL}).to_string();
    assert_eq!(server.iot("POST", "/policies/all", &policy).json()["policyVersionId"], "1");
    let target = json!({"target": arn}).to_string();
    let attached = server.iot("PUT", "/target-policies/all", &target);
    assert_eq!((attached.status, attached.body.as_str()), (200, ""));
    let principal = [("x-amzn-principal", arn)];
    assert_eq!(server.signed("iot", "PUT", "/things/pico/principals", &principal, b"").body, "{}");

    let listed = server.iot("POST", &format!("/attached-policies/{}", encoded(arn)), "").json();
    assert_eq!(
        listed["policies"],
        json!([{"policyArn": format!("{PREFIX}policy/all"), "policyName": "all"}])
    );
    assert_eq!(server.iot("GET", "/things/pico/principals", "").json()["principals"], json!([arn]));
    let asked = json!({"principal": arn, "authInfos": [{"actionType": "PUBLISH", "resources": [format!("{PREFIX}topic/a")]}]});
    let tested = server.iot("POST", "/test-authorization?clientId=pico", &asked.to_string()).json();
    assert_eq!(tested["authResults"][0]["authDecision"], "ALLOWED");
    assert_eq!(tested["authResults"][0]["allowed"]["policies"][0]["policyName"], "all");

    let delete = format!("/certificates/{id}");
    server.iot("DELETE", &delete, "").assert_error(406, "CertificateStateException");
    assert_eq!(server.iot("PUT", &format!("{delete}?newStatus=INACTIVE"), "").status, 200);
    server.iot("DELETE", &delete, "").assert_error(409, "DeleteConflictException");
    let described = server.iot("GET", &delete, "").json();
    let description = &described["certificateDescription"];
    assert_eq!(
        (description["status"].as_str(), description["ownedBy"].as_str()),
        (Some("INACTIVE"), Some("000000000000"))
    );
    assert_eq!(description["validity"]["notAfter"], 2_524_607_999.0);
    server
        .iot("POST", "/policies/bad", r#"{"policyDocument":"{}"}"#)
        .assert_error(400, "MalformedPolicyException");
    server.iot("POST", "/policies/bad", "{").assert_error(400, "InvalidRequestException");
    let csr = r#"{"certificateSigningRequest":"nonsense"}"#;
    server.iot("POST", "/certificates", csr).assert_error(400, "InvalidRequestException");
    let pem = r#"{"certificatePem":"nonsense"}"#;
    server
        .iot("POST", "/certificate/register-no-ca", pem)
        .assert_error(400, "CertificateValidationException");
}

#[test]
fn rules_with_tags() {
    let server = Server::start();
    let rule = r#"{"sql":"SELECT * FROM 'a/+'","actions":[]}"#;
    let tags = [("x-amz-tagging", "k=v&k%202=v%202")];
    let created = server.signed("iot", "POST", "/rules/telemetry", &tags, rule.as_bytes());
    assert_eq!((created.status, created.body.as_str()), (200, ""), "{created:?}");
    let arn = format!("{PREFIX}rule/telemetry");
    let got = server.iot("GET", "/rules/telemetry", "").json();
    assert_eq!((&got["ruleArn"], &got["rule"]["awsIotSqlVersion"]), (&json!(arn), &json!("2015-10-08")));
    let tags = |expected: Value| {
        let listed = server.iot("GET", &format!("/tags?resourceArn={}", encoded(&arn)), "").json();
        assert_eq!(listed["tags"], expected);
    };
    tags(json!([{"Key": "k", "Value": "v"}, {"Key": "k 2", "Value": "v 2"}]));
    server.iot("POST", "/rules/telemetry", rule).assert_error(409, "ResourceAlreadyExistsException");
    server
        .iot("POST", "/rules/bad", r#"{"sql":"SELECT","actions":[]}"#)
        .assert_error(400, "SqlParseException");
    let denied = server.iot("GET", "/rules/none", "").assert_error(401, "UnauthorizedException");
    assert_eq!(denied, "Access to topic rule 'none' was denied");
    let listed = server.iot("GET", "/rules", "").json();
    assert_eq!(listed["rules"][0]["topicPattern"], "a/+");
    assert_eq!(server.iot("POST", "/rules/telemetry/disable", "").status, 200);
    assert_eq!(server.iot("GET", "/rules/telemetry", "").json()["rule"]["ruleDisabled"], true);
    assert_eq!(server.iot("DELETE", "/rules/telemetry", "").status, 200);
    assert_eq!(server.iot("DELETE", "/rules/telemetry", "").status, 200);

    // Tags that are refused leave no rule, and a rule made anew does not have its predecessor's.
    let reserved = [("x-amz-tagging", "aws:x=v")];
    server
        .signed("iot", "POST", "/rules/telemetry", &reserved, rule.as_bytes())
        .assert_error(400, "InvalidRequestException");
    server.iot("GET", "/rules/telemetry", "").assert_error(401, "UnauthorizedException");
    assert_eq!(server.iot("POST", "/rules/telemetry", rule).status, 200);
    tags(json!([]));
}

#[test]
fn shadows_over_rest() {
    let server = Server::start();
    let updated = server.data("POST", "/things/pico/shadow", r#"{"state":{"desired":{"led":true}}}"#);
    assert_eq!((updated.status, &updated.json()["version"]), (200, &json!(1)), "{updated:?}");
    assert_eq!(server.data("GET", "/things/pico/shadow", "").json()["state"]["delta"], json!({"led": true}));
    server.data("POST", "/things/pico/shadow?name=other", r#"{"state":{}}"#);
    let named = server.data("GET", "/api/things/shadow/ListNamedShadowsForThing/pico", "").json();
    assert_eq!(named["results"], json!(["other"]));
    let conflict = server.data("POST", "/things/pico/shadow", r#"{"state":{},"version":9}"#);
    assert_eq!(conflict.assert_error(409, "ConflictException"), "Version conflict");
    server.data("POST", "/things/pico/shadow", "{").assert_error(400, "InvalidRequestException");
    assert_eq!(server.data("DELETE", "/things/pico/shadow", "").json()["version"], 1);
    let missing =
        server.data("GET", "/things/pico/shadow", "").assert_error(404, "ResourceNotFoundException");
    assert_eq!(missing, "No shadow exists with name: 'pico'");
}

#[test]
fn a_publish_reaches_its_rule_and_the_log() {
    let server = Server::start();
    assert_eq!(server.logs("CreateLogGroup", r#"{"logGroupName":"telemetry"}"#).status, 200);
    let rule = r#"{"sql":"SELECT *, topic() AS device_id","actions":[{"cloudwatchLogs":{"logGroupName":"telemetry","roleArn":"arn:aws:iam::000000000000:role/r"}}]}"#;
    assert_eq!(server.iot("POST", "/rules/telemetry", rule).status, 200);
    let published =
        server.data("POST", "/topics/%24aws%2Frules%2Ftelemetry%2Fpico%20w?qos=1", r#"{"temp": 27.50}"#);
    assert_eq!((published.status, &published.json()["message"]), (200, &json!("OK")), "{published:?}");
    let trace_id = published.json()["traceId"].as_str().unwrap().to_owned();
    assert!(published.has(&format!("x-amzn-requestid: {trace_id}")), "{published:?}");
    let plain = server.data("POST", "/topics/$aws/rules/telemetry/a/b", r#"{"temp": 1}"#);
    assert_eq!(plain.status, 200, "{plain:?}");
    // Durable when it is answered; a moment later it is in the log.
    let messages = wait_for(|| {
        let events = server.logs("FilterLogEvents", r#"{"logGroupName":"telemetry"}"#).json();
        let events = events["events"].as_array().unwrap().clone();
        let messages: Vec<_> =
            events.iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect();
        (messages.len() == 2).then_some(messages)
    });
    assert_eq!(messages, [r#"{"temp":27.50,"device_id":"pico w"}"#, r#"{"temp":1,"device_id":"a/b"}"#]);

    for topic in ["a/b/c/d/e/f/g/h/i", &"t".repeat(257), "a%2F%2B", "%24aws%2Fevents%2Fx", "%24SYS%2Fx"] {
        let refused = server.data("POST", &format!("/topics/{topic}"), "x");
        refused.assert_error(400, "InvalidRequestException");
    }
    let large = "x".repeat(128 * 1024 + 1);
    server.data("POST", "/topics/a", &large).assert_error(400, "InvalidRequestException");
}

#[test]
fn logs_in_json_1_1() {
    let server = Server::start();
    let created = server.logs("CreateLogGroup", r#"{"logGroupName":"g","tags":{"a":"b"}}"#);
    assert_eq!((created.status, created.body.as_str()), (200, ""), "{created:?}");
    assert_eq!(server.logs("CreateLogStream", r#"{"logGroupName":"g","logStreamName":"s"}"#).status, 200);
    let now_ms =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let put = json!({"logGroupName": "g", "logStreamName": "s", "logEvents": [{"timestamp": now_ms, "message": "hello"}]});
    let put = server.logs("PutLogEvents", &put.to_string());
    assert_eq!(put.status, 200, "{put:?}");
    assert_eq!(put.json().get("rejectedLogEventsInfo"), None);
    let got = server
        .logs("GetLogEvents", r#"{"logGroupName":"g","logStreamName":"s","startFromHead":true}"#)
        .json();
    assert_eq!(got["events"][0]["message"], "hello");
    assert!(got["nextForwardToken"].as_str().unwrap().starts_with("f/"));
    let groups = server.logs("DescribeLogGroups", "{}").json();
    let arn = "arn:aws:logs:us-east-1:000000000000:log-group:g";
    assert_eq!(groups["logGroups"][0]["arn"], format!("{arn}:*"));
    assert_eq!(groups["logGroups"][0]["logGroupArn"], arn);
    let streams = server.logs("DescribeLogStreams", &json!({"logGroupIdentifier": arn}).to_string()).json();
    assert_eq!(streams["logStreams"][0]["arn"], format!("{arn}:log-stream:s"));
    let tags = server.logs("ListTagsForResource", &json!({"resourceArn": arn}).to_string()).json();
    assert_eq!(tags, json!({"tags": {"a": "b"}}));
    assert_eq!(
        server.logs("ListLogGroups", r#"{"logGroupNamePattern":"^ggg"}"#).json()["logGroups"],
        json!([])
    );

    let again = server.logs("CreateLogGroup", r#"{"logGroupName":"g"}"#);
    assert_eq!(
        again.assert_logs_error("ResourceAlreadyExistsException"),
        "The specified log group already exists"
    );
    let none = server.logs("DescribeLogStreams", r#"{"logGroupName":"none"}"#);
    assert_eq!(
        none.assert_logs_error("ResourceNotFoundException"),
        "The specified log group does not exist."
    );
    server
        .logs("CreateLogGroup", r#"{"logGroupName":"with space"}"#)
        .assert_logs_error("InvalidParameterException");
    server
        .logs("PutRetentionPolicy", r#"{"logGroupName":"g","retentionInDays":2}"#)
        .assert_logs_error("InvalidParameterException");
    for broken in ["{", "[]", r#"{"logGroupName": 5}"#] {
        server.logs("CreateLogGroup", broken).assert_logs_error("SerializationException");
    }
    for empty in ["", "{}", r#"{"logGroupName": null}"#] {
        server.logs("CreateLogGroup", empty).assert_logs_error("InvalidParameterException");
    }
}

#[test]
fn identity_and_endpoint() {
    let server = Server::start();
    let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
    let identity = server.signed("sts", "POST", "/", &form, b"Action=GetCallerIdentity&Version=2011-06-15");
    assert_eq!(identity.status, 200, "{identity:?}");
    assert!(
        identity.body.contains("<Account>000000000000</Account>") && identity.has("content-type: text/xml")
    );
    let absent = server.signed("sts", "POST", "/", &form, b"Action=AssumeRole&Version=2011-06-15");
    assert!(absent.status == 501 && absent.body.contains("<Code>NotImplemented</Code>"), "{absent:?}");
    for query in ["", "?endpointType=iot%3AData-ATS", "?endpointType=iot%3ACredentialProvider"] {
        assert_eq!(
            server.iot("GET", &format!("/endpoint{query}"), "").json()["endpointAddress"],
            "localhost"
        );
    }
    server
        .iot("GET", "/endpoint?endpointType=iot%3ANonsense", "")
        .assert_error(400, "InvalidRequestException");
}

/// Polls until there is something.
fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(std::time::Instant::now() < deadline, "nothing came");
        std::thread::yield_now();
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
