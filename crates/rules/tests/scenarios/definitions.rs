//! Creating, changing and listing rules.

use std::sync::Arc;

use crate::common::{Island, NOW_MS, definition_of, republish_to, to_group};
use rules::{ActionKind, ListQuery, RuleError};
use serde_json::json;
use store::disk::sim::SimDisk;
use store::{AppendError, StoreOptions};

fn refusal(island: &Island, name: &str, definition: serde_json::Value) -> String {
    match island.rules.create(name, definition_of(definition), NOW_MS) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_rule_comes_back_as_it_was_written_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let definition = json!({
        "sql": "SELECT *, topic() as device_id, timestamp() AS received_at",
        "description": "the post's rule",
        "ruleDisabled": false,
        "actions": [to_group("iot-core-telemetry")],
        "errorAction": republish_to("errors"),
    });
    {
        let island = Island::open(StoreOptions::directory(dir.path()));
        island.rule("telemetry", definition.clone());
        island.logs.close();
        island.store.close().unwrap();
    }
    let island = Island::open(StoreOptions::directory(dir.path()));
    let rule = island.rules.rule("telemetry").unwrap();
    let mut stored = serde_json::to_value(rule.definition()).unwrap();
    // [AWS iot CreateTopicRule] The default version is filled in.
    assert_eq!(stored.as_object_mut().unwrap().remove("awsIotSqlVersion"), Some(json!("2015-10-08")));
    assert_eq!(stored, definition);
    assert_eq!((rule.created_at_ms(), rule.topic_filter(), rule.is_enabled()), (NOW_MS, None, true));
}

#[test]
fn all_24_kinds_of_actions_are_kept_unchanged() {
    let island = Island::in_memory();
    for kind in &ActionKind::ALL {
        let settings = match kind.name {
            "cloudwatchLogs" => json!({"logGroupName": "g", "roleArn": "r", "batchMode": true}),
            "republish" => json!({"topic": "t", "roleArn": "r", "headers": {"contentType": "a/b"}}),
            _ => json!({"anything": [1, {"b": null}]}),
        };
        let action = json!({ kind.name: settings });
        island.rule(kind.name, json!({"sql": "SELECT * FROM 'a'", "actions": [action]}));
        assert_eq!(island.rules.rule(kind.name).unwrap().definition().actions, [action]);
    }
    assert_eq!(island.rules.snapshot().iter().count(), 24);
}

#[test]
fn wrong_definitions_are_refused_by_name() {
    let island = Island::in_memory();
    let with_actions = |actions| json!({"sql": "SELECT * FROM 'a'", "actions": actions});
    for (name, definition, expected) in [
        ("a-b", with_actions(json!([])), "`a-b` is no rule name: 1 to 128 letters, digits and `_`"),
        ("", with_actions(json!([])), "`` is no rule name: 1 to 128 letters, digits and `_`"),
        ("r", json!({"sql": "SELEC * FROM 'a'"}), "expected `SELECT`, found `SELEC`"),
        (
            "r",
            json!({"sql": "SELECT 1 AS a", "awsIotSqlVersion": "2017"}),
            "`2017` is no SQL version: 2015-10-08, 2016-03-23 or beta",
        ),
        ("r", with_actions(json!([{"fax": {}}])), "action 1: `fax` is no kind of action"),
        ("r", with_actions(json!([{}])), "action 1: an action has exactly one kind"),
        (
            "r",
            with_actions(json!([to_group("g"), {"sns": {}, "sqs": {}}])),
            "action 2: an action has exactly one kind",
        ),
        (
            "r",
            with_actions(json!([{"republish": {"topic": "a", "qos": 2}}])),
            "action 1: republish: qos is 0 or 1, not 2",
        ),
        (
            "r",
            with_actions(json!([republish_to("${tpoic()}")])),
            "action 1: republish: topic: unknown function `tpoic`: did you mean `topic`?",
        ),
        (
            "r",
            with_actions(json!([{"cloudwatchLogs": {}}])),
            "action 1: cloudwatchLogs: missing field `logGroupName`",
        ),
        ("r", with_actions(json!(vec![to_group("g"); 11])), "a rule may have 10 actions, this has 11"),
    ] {
        assert_eq!(refusal(&island, name, definition), expected);
    }
    assert_eq!(island.rules.snapshot().iter().count(), 0);
}

#[test]
fn replacing_keeps_creation_time_and_counters() {
    let island = Island::in_memory();
    island.rule("r", json!({"sql": "SELECT * FROM 'a'"}));
    island.publish("a", "{}");
    let before = island.rules.snapshot();
    let replaced = island.rules.replace("r", definition_of(json!({"sql": "SELECT * FROM 'b'"}))).unwrap();
    assert!(replaced.position.is_some());
    let rule = island.rules.rule("r").unwrap();
    assert_eq!(
        (rule.created_at_ms(), rule.topic_filter(), rule.counters().matched()),
        (NOW_MS, Some("b"), 1)
    );
    assert!(island.rules.snapshot().version() > before.version());
    assert_eq!(before.by_name("r").unwrap().topic_filter(), Some("a"), "a snapshot never changes");
}

#[test]
fn disabling_deleting_and_unknown_rules() {
    let island = Island::in_memory();
    island.rule("r", json!({"sql": "SELECT * FROM 'a'"}));
    let unknown = |error| assert_eq!(error, RuleError::NoSuchRule { name: "x".to_owned() });
    unknown(island.rules.rule("x").unwrap_err());
    unknown(island.rules.enable("x").unwrap_err());
    unknown(island.rules.disable("x").unwrap_err());
    unknown(island.rules.delete("x").unwrap_err());
    unknown(island.rules.replace("x", definition_of(json!({"sql": "SELECT * FROM 'a'"}))).unwrap_err());
    assert_eq!(refusal(&island, "r", json!({"sql": "SELECT * FROM 'a'"})), "a rule `r` exists already");

    let disabled = island.rules.disable("r").unwrap();
    assert_eq!(island.rules.disable("r").unwrap(), disabled, "nothing changed the second time");
    assert!(island.rules.rule("r").unwrap().definition().rule_disabled);
    assert_eq!(island.rules.snapshot().matching("a").count(), 0);
    assert!(island.rules.enable("r").unwrap().position.is_some());
    assert_eq!(island.rules.snapshot().matching("a").count(), 1);

    assert!(island.rules.delete("r").unwrap().position.is_some());
    unknown_name(&island, "r");
}

fn unknown_name(island: &Island, name: &str) {
    assert!(island.rules.rule(name).is_err());
    assert!(island.rules.snapshot().by_name(name).is_none());
}

#[test]
fn lists_are_filtered_and_paged() {
    let island = Island::in_memory();
    for (name, filter) in [("c", "a/+"), ("a", "a/b"), ("d", "x"), ("b", "a/#")] {
        island.rule(name, json!({"sql": format!("SELECT * FROM '{filter}'")}));
    }
    let _ = island.rules.disable("d").unwrap();
    let names = |query: ListQuery<'_>| {
        let page = island.rules.list(&query);
        (page.items.iter().map(|rule| rule.name().to_owned()).collect::<Vec<_>>().join(" "), page.next)
    };
    let all = ListQuery { limit: 10, ..ListQuery::default() };
    assert_eq!(names(all), ("a b c d".to_owned(), None));
    assert_eq!(names(ListQuery { limit: 2, ..all }), ("a b".to_owned(), Some("b".to_owned())));
    assert_eq!(names(ListQuery { limit: 2, after: Some("b"), ..all }), ("c d".to_owned(), None));
    assert_eq!(names(ListQuery { disabled: Some(true), ..all }), ("d".to_owned(), None));
    assert_eq!(names(ListQuery { disabled: Some(false), limit: 3, ..all }), ("a b c".to_owned(), None));
    assert_eq!(names(ListQuery { topic: Some("a/b"), ..all }), ("a b c".to_owned(), None));
    assert_eq!(names(ListQuery { topic: Some("a/#"), ..all }), ("b".to_owned(), None));
}

/// The first one may still be lost: who is told that the rule is disabled already waits for it as well.
#[test]
fn a_change_that_is_on_its_way_is_not_confirmed_before_it_is_durable() {
    let island = Island::in_memory();
    island.rule("r", json!({"sql": "SELECT * FROM 'a'"}));
    let first = island.rules.disable("r").unwrap();
    let second = island.rules.disable("r").unwrap();
    assert!(second.position.is_some());
    assert_eq!(second.position, first.position);
}

/// What a full disk loses was answered with an error; nothing may be built upon it.
#[test]
fn a_change_that_the_disk_lost_is_gone_at_the_next_one() {
    let disk = Arc::new(SimDisk::new(1));
    let island = Island::open(StoreOptions::simulated(disk.clone()));
    island.rule("kept", json!({"sql": "SELECT * FROM 'a'"}));
    island.publish("a", "{}");

    disk.limit_bytes(Some(disk.used_bytes()));
    let definition = definition_of(json!({"sql": "SELECT * FROM 'b'"}));
    let lost = island.rules.create("lost", definition.clone(), NOW_MS).unwrap();
    let error = island.store.when_committed(lost.position.unwrap()).wait().unwrap_err();
    assert_eq!(error, AppendError::Shortage);
    disk.limit_bytes(None);

    island.rule("lost", json!({"sql": "SELECT * FROM 'c'"}));
    assert_eq!(island.rules.rule("lost").unwrap().topic_filter(), Some("c"));
    let unchanged = island.rules.enable("kept").unwrap();
    island.store.when_committed(unchanged.position.unwrap()).wait().unwrap();
    assert_eq!(island.rules.rule("kept").unwrap().counters().matched(), 1);
}
