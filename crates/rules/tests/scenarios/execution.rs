//! Messages through rules, to log events and further messages.

use crate::common::{Island, failed, republish_to, republished, to_group};
use mqtt_session::Limits;
use rules::REPUBLISH_DEPTH_MAX;
use serde_json::{Value, json};
use store::StoreOptions;

const POST: &str = "SELECT *, topic() as device_id, timestamp() AS received_at";

#[test]
fn the_posts_reading_becomes_the_posts_log_event() {
    let island = Island::in_memory();
    island.group("iot-core-telemetry");
    island.rule("telemetry", json!({"sql": POST, "actions": [to_group("iot-core-telemetry")]}));
    let consequences = island.publish("$aws/rules/telemetry/pico_w_simple", r#"{"temp": 27.51254}"#);
    assert!(consequences.failures.is_empty() && consequences.republishes.is_empty());
    assert_eq!(
        island.events("iot-core-telemetry"),
        [
            r#"telemetry-2023-03-25: {"temp":27.51254,"device_id":"pico_w_simple","received_at":1679781014810}"#
        ]
    );
    let rule = island.rules.rule("telemetry").unwrap();
    assert_eq!((rule.counters().matched(), rule.counters().actions_succeeded()), (1, 1));
}

#[test]
fn basic_ingest_runs_only_the_named_rule_whatever_its_filter() {
    let island = Island::in_memory();
    island.rule(
        "r",
        json!({"sql": "SELECT topic() AS t FROM 'never/#'", "actions": [republish_to("out/${topic(2)}")]}),
    );
    island.rule("all", json!({"sql": "SELECT * FROM '#'", "actions": [republish_to("all")]}));
    assert_eq!(republished(&island.publish("$aws/rules/r/a/b", "{}")), [r#"out/b {"t":"a/b"}"#]);
    assert_eq!(republished(&island.publish("$aws/rules/unknown/a", "{}")), [""; 0]);
    let _ = island.rules.disable("r").unwrap();
    assert_eq!(republished(&island.publish("$aws/rules/r/a/b", "{}")), [""; 0]);
}

#[test]
fn filters_and_where_decide_which_rules_act() {
    let island = Island::in_memory();
    island
        .rule("hot", json!({"sql": "SELECT t FROM 'room/+' WHERE t > 30", "actions": [republish_to("hot")]}));
    island.rule("any", json!({"sql": "SELECT VALUE t FROM 'room/#'", "actions": [republish_to("any")]}));
    assert_eq!(republished(&island.publish("room/1", r#"{"t":31}"#)), ["any 31", r#"hot {"t":31}"#]);
    assert_eq!(republished(&island.publish("room/1", r#"{"t":29}"#)), ["any 29"]);
    assert_eq!(republished(&island.publish("room/1", r#"{"u":1}"#)), [""; 0], "no value, no action");
    // [AWS topics] `#` does not match the parent level.
    assert_eq!(republished(&island.publish("room", r#"{"t":31}"#)), [""; 0]);
}

#[test]
fn every_action_runs_for_itself_and_failures_are_reported_together() {
    let island = Island::in_memory();
    island.group("good");
    island.group("errors");
    island.rule(
        "r",
        json!({
            "sql": "SELECT * FROM 'a'",
            "actions": [to_group("missing"), {"sns": {"targetArn": "x"}}, to_group("good"), republish_to("b/${'+'}")],
            "errorAction": to_group("errors"),
        }),
    );
    let consequences = island.publish("a", r#"{"x":1}"#);
    assert_eq!(island.events("good"), [r#"r-2023-03-25: {"x":1}"#]);
    let failures = failed(&consequences);
    assert_eq!(failures.len(), 3, "{failures:?}");
    assert_eq!(failures[0], "CloudwatchLogsAction missing: The specified log group does not exist.");
    assert_eq!(failures[1], "SnsAction : the action `sns` is not available in eyot yet");
    assert!(
        failures[2].starts_with("RepublishAction b/+: nothing can be published to it: it "),
        "{failures:?}"
    );

    let events = island.events("errors");
    assert_eq!(events.len(), 1);
    let report: Value = serde_json::from_str(events[0].strip_prefix("r-2023-03-25: ").unwrap()).unwrap();
    assert_eq!(report["failures"].as_array().unwrap().len(), 3);
    assert_eq!(report["failures"][0]["failedAction"], "CloudwatchLogsAction");
    assert_eq!(report["failures"][0]["failedResource"], "missing");
    let expected = json!({
        "ruleName": "r", "topic": "a", "cloudwatchTraceId": "8a1c", "clientId": "pico_w_simple",
        "sourceIp": "192.0.2.7", "base64OriginalPayload": "eyJ4IjoxfQ==", "failures": report["failures"],
    });
    assert_eq!(report, expected);
    let counters = island.rules.rule("r").unwrap();
    assert_eq!((counters.counters().actions_succeeded(), counters.counters().actions_failed()), (2, 3));
}

#[test]
fn a_payload_that_is_no_json_runs_the_error_action() {
    let island = Island::in_memory();
    island.rule(
        "r",
        json!({"sql": "SELECT temp FROM 'a'", "actions": [republish_to("out")], "errorAction": republish_to("err")}),
    );
    let consequences = island.publish("a", "{\"temp\": ");
    assert_eq!(failed(&consequences), ["Sql r: the payload is not JSON: unexpected end at byte 9"]);
    assert_eq!(consequences.republishes.len(), 1);
    assert_eq!(consequences.republishes[0].topic, "err");
    assert_eq!(island.rules.rule("r").unwrap().counters().failed(), 1);
}

#[test]
fn an_error_action_that_fails_is_told_and_not_followed_by_another() {
    let island = Island::in_memory();
    island.rule(
        "r",
        json!({"sql": "SELECT * FROM 'a'", "actions": [to_group("x")], "errorAction": to_group("y")}),
    );
    let consequences = island.publish("a", "{}");
    let told: Vec<_> =
        consequences.failures.iter().map(|f| (f.resource.as_str(), f.in_error_action)).collect();
    assert_eq!(told, [("y", true), ("x", false)]);
}

#[test]
fn a_loop_of_rules_ends() {
    let island = Island::in_memory();
    island.rule("r", json!({"sql": "SELECT * FROM 'a/#'", "actions": [republish_to("a/${topic(2)}")]}));
    let (mut hops, mut depth) = (0, 0);
    loop {
        let consequences = island.publish_at_depth("a/b", "{}", depth);
        let Some(next) = consequences.republishes.first() else {
            let told = failed(&consequences);
            assert_eq!(told, ["RepublishAction a/b: 8 rules have handed this message on: they form a loop"]);
            break;
        };
        hops += 1;
        depth = next.depth;
    }
    assert_eq!(hops, REPUBLISH_DEPTH_MAX);
}

#[test]
fn reserved_topics_are_written_with_two_dollars() {
    let island = Island::in_memory();
    let sql = "SELECT TRUE AS state.reported.on, t AS state.reported.temp FROM 'a/+'";
    island.rule("r", json!({"sql": sql, "actions": [republish_to("$$aws/rules/${topic(2)}/x")]}));
    assert_eq!(
        republished(&island.publish("a/lamp", r#"{"t":1.50}"#)),
        [r#"$aws/rules/lamp/x {"state":{"reported":{"on":true,"temp":1.50}}}"#]
    );
}

/// Nobody would get such a message: the action fails, and its error action tells.
#[test]
fn what_cannot_be_published_is_a_failure() {
    let long = format!("a/{}", "x".repeat(255));
    let topics = [
        ("$$aws/things/lamp/shadow/update", "reserved topics other than"),
        ("$$SYS/x", "reserved topics other than"),
        ("$$aws/rules//x", "reserved topics other than"),
        (&long, "257 bytes, at most 256"),
        ("1/2/3/4/5/6/7/8/9", "8 slashes, at most 7"),
    ];
    for (topic, reason) in topics {
        let island = Island::in_memory();
        let definition = json!({
            "sql": "SELECT * FROM 'a'", "actions": [republish_to(topic)], "errorAction": republish_to("err"),
        });
        island.rule("r", definition);
        let consequences = island.publish("a", "{}");
        assert!(failed(&consequences)[0].contains(reason), "{topic}: {:?}", failed(&consequences));
        assert_eq!(consequences.republishes.len(), 1);
        assert_eq!(consequences.republishes[0].topic, "err");
    }
}

#[test]
fn with_relaxed_limits_a_filter_matches_its_parent_everywhere() {
    let island = Island::with(StoreOptions::in_memory(), Limits::relaxed());
    island.rule("any", json!({"sql": "SELECT VALUE t FROM 'room/#'", "actions": [republish_to("any")]}));
    assert_eq!(republished(&island.publish("room", r#"{"t":31}"#)), ["any 31"]);
}

#[test]
fn a_batch_is_one_event_per_item() {
    let island = Island::in_memory();
    island.group("g");
    let action = json!({"cloudwatchLogs": {"logGroupName": "g", "roleArn": "r", "batchMode": true}});
    island.rule("r", json!({"sql": "SELECT VALUE list FROM 'a'", "actions": [action]}));
    let batch = r#"{"list":[{"timestamp":1679781014000,"message":"one"},{"timestamp":1679781014001,"message":"two"}]}"#;
    assert_eq!(failed(&island.publish("a", batch)), [""; 0]);
    assert_eq!(island.events("g"), ["r-2023-03-25: one", "r-2023-03-25: two"]);
    let bad = failed(&island.publish("a", r#"{"list":{"timestamp":1,"message":"one"}}"#));
    assert_eq!(
        bad,
        [
            "CloudwatchLogsAction g: batchMode needs an array of objects with `timestamp` in milliseconds and `message`"
        ]
    );
    assert_eq!(island.events("g").len(), 2);
}

#[test]
fn text_and_bytes_are_logged_as_they_are() {
    let island = Island::in_memory();
    island.group("logs-of-a");
    island
        .rule("text", json!({"sql": "SELECT VALUE s FROM 'a'", "actions": [to_group("logs-of-${topic()}")]}));
    island.publish("a", r#"{"s":"it's \"hot\""}"#);
    assert_eq!(island.events("logs-of-a"), [r#"text-2023-03-25: it's "hot""#]);
    let _ = island.rules.delete("text").unwrap();
    island.rule("raw", json!({"sql": "SELECT * FROM 'a'", "actions": [to_group("logs-of-a")]}));
    assert_eq!(failed(&island.publish("a", "no json")), [""; 0]);
    assert_eq!(island.events("logs-of-a").last().unwrap(), "raw-2023-03-25: no json");
    assert_eq!(
        failed(&island.publish("a", [0xff, 0xfe])),
        ["CloudwatchLogsAction logs-of-a: the payload is no text and cannot be logged"]
    );
}

#[test]
fn no_two_uuids_of_a_message_are_equal() {
    let island = Island::in_memory();
    for name in ["r1", "r2"] {
        let definition =
            json!({"sql": "SELECT VALUE newuuid() FROM 'a'", "actions": [republish_to("${newuuid()}")]});
        island.rule(name, definition);
    }
    let messages = republished(&island.publish("a", "{}"));
    let uuids: std::collections::BTreeSet<&str> =
        messages.iter().flat_map(|message| message.split(' ')).collect();
    assert_eq!(uuids.len(), 4, "{messages:?}");
}

/// [AWS CloudWatch Logs, PutLogEvents] A message has at least one character.
#[test]
fn an_empty_message_is_no_log_event() {
    let island = Island::in_memory();
    island.group("g");
    island.rule("raw", json!({"sql": "SELECT *", "actions": [to_group("g")]}));
    let failures = failed(&island.publish("$aws/rules/raw/a", ""));
    assert_eq!(failures, ["CloudwatchLogsAction g: The log event has no message."]);
    assert_eq!(island.events("g"), [""; 0]);
}
