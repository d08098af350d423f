//! What the operator sees when a rule does not do what it should.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::common::{Island, republish_to, to_group};

/// Collects warnings as text: target, then every field.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).expect("memory takes it");
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(event.metadata().target().to_owned());
        event.record(&mut text);
        self.0.lock().expect("no test panics here").push(text.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The warnings of one publish.
fn warnings(island: &Island, topic: &str) -> Vec<String> {
    let warnings = Warnings::default();
    tracing::subscriber::with_default(warnings.clone(), || island.publish(topic, "{}"));
    std::mem::take(&mut *warnings.0.lock().expect("no test panics here"))
}

#[test]
fn every_reason_is_logged_with_rule_topic_and_client() {
    let island = Island::in_memory();
    island.rule("fine", json!({"sql": "SELECT * FROM 'a'", "actions": [republish_to("b")]}));
    assert_eq!(warnings(&island, "a"), [""; 0]);

    for (topic, rule, reason) in [
        ("$aws/rules/unknown/x", "unknown", "rule not found"),
        ("$aws/rules/off/x", "off", "rule is disabled"),
        ("$aws/rules/lost/x", "lost", "The specified log group does not exist."),
    ] {
        if rule != "unknown" {
            let disabled = rule == "off";
            island.rule(
                rule,
                json!({"sql": "SELECT *", "ruleDisabled": disabled, "actions": [to_group("none")]}),
            );
        }
        let logged = warnings(&island, topic);
        assert_eq!(logged.len(), 1, "{logged:?}");
        assert!(logged[0].starts_with("eyot::rules"), "{logged:?}");
        for part in [
            format!("rule={rule:?}"),
            format!("topic={topic:?}"),
            "client_id=\"pico_w_simple\"".to_owned(),
            "trace_id=\"8a1c\"".to_owned(),
            format!("reason={reason:?}"),
        ] {
            assert!(logged[0].contains(&part), "{part} is missing in {logged:?}");
        }
    }
}
