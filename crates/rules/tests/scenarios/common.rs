//! What every scenario needs: a store, logs and rules.

use std::sync::Arc;

use logs::{FilterQuery, Logs, NewGroup};
use mqtt_session::{Limits, basic_ingest};
use rules::{Consequences, Message, RuleDefinition, Rules};
use serde_json::{Value, json};
use store::{Store, StoreOptions};

/// 2023-03-25T21:50:14.810Z, the time of the post's example.
pub(crate) const NOW_MS: i64 = 1_679_781_014_810;

pub(crate) struct Island {
    pub(crate) store: Store,
    pub(crate) logs: Arc<Logs>,
    pub(crate) rules: Rules,
}

impl Island {
    pub(crate) fn in_memory() -> Self {
        Self::open(StoreOptions::in_memory())
    }

    pub(crate) fn open(options: StoreOptions) -> Self {
        Self::with(options, Limits::aws())
    }

    pub(crate) fn with(options: StoreOptions, limits: Limits) -> Self {
        let opening = Store::open(options).expect("the store opens");
        let (store, logs) = Logs::start(opening).expect("the logs start");
        let rules = Rules::load(&store, logs.clone(), "123456789012", limits).expect("the rules load");
        Self { store, logs, rules }
    }

    /// Creates a rule and waits until it is durable.
    pub(crate) fn rule(&self, name: &str, definition: Value) {
        let done = self.rules.create(name, definition_of(definition), NOW_MS).expect("the rule is right");
        self.store.when_committed(done.position.expect("something changed")).wait().expect("it is stored");
    }

    pub(crate) fn group(&self, name: &str) {
        let group = NewGroup { name: name.to_owned(), ..NewGroup::default() };
        self.logs.create_group(group, NOW_MS).expect("the group is created");
    }

    /// Publishes as the broker does, and makes the consequences durable.
    pub(crate) fn publish(&self, topic: &str, payload: impl AsRef<[u8]>) -> Consequences {
        self.publish_at_depth(topic, payload, 0)
    }

    pub(crate) fn publish_at_depth(&self, topic: &str, payload: impl AsRef<[u8]>, depth: u8) -> Consequences {
        let message = Message {
            topic,
            payload: payload.as_ref(),
            client_id: Some("pico_w_simple"),
            principal: Some("3f9a"),
            source_ip: Some([192, 0, 2, 7].into()),
            now_ms: NOW_MS,
            trace_id: Some("8a1c"),
            depth,
            seed: 7,
        };
        let mut consequences = Consequences::default();
        let set = self.rules.snapshot();
        if !set.ingest(&message, &mut consequences) {
            assert_eq!(basic_ingest(topic), None);
            set.matching(topic).for_each(|rule| rule.execute(&message, &mut consequences));
        }
        let transaction = std::mem::take(&mut consequences.transaction);
        if !transaction.is_empty() {
            let position = self.store.commit(transaction).wait().expect("it is stored");
            self.store.wait_applied(position).expect("it is applied");
        }
        consequences
    }

    /// `stream: message` of every event in a group.
    pub(crate) fn events(&self, group: &str) -> Vec<String> {
        let query = FilterQuery { group, now_ms: NOW_MS, ..FilterQuery::default() };
        let page = self.logs.filter(&query).expect("the group can be read");
        page.items.into_iter().map(|event| format!("{}: {}", event.stream, event.message)).collect()
    }
}

pub(crate) fn definition_of(definition: Value) -> RuleDefinition {
    serde_json::from_value(definition).expect("this is a definition")
}

pub(crate) fn to_group(group: &str) -> Value {
    json!({"cloudwatchLogs": {"logGroupName": group, "roleArn": "arn:aws:iam::123456789012:role/r"}})
}

pub(crate) fn republish_to(topic: &str) -> Value {
    json!({"republish": {"topic": topic, "qos": 1, "roleArn": "arn:aws:iam::123456789012:role/r"}})
}

/// `topic payload` of every message that the rules publish.
pub(crate) fn republished(consequences: &Consequences) -> Vec<String> {
    let text = |message: &rules::Republish| {
        format!("{} {}", message.topic, String::from_utf8_lossy(&message.payload))
    };
    consequences.republishes.iter().map(text).collect()
}

/// `action resource: error` of everything that failed.
pub(crate) fn failed(consequences: &Consequences) -> Vec<String> {
    let text =
        |failure: &rules::Failure| format!("{} {}: {}", failure.action, failure.resource, failure.error);
    consequences.failures.iter().map(text).collect()
}
