//! `republish`: the result becomes a message on another topic. [AWS republish-rule-action]

use iot_sql::{Dollar, Output, SqlVersion, Template};
use mqtt_session::{Limits, basic_ingest, check_topic};
use mqtt_wire::QoS;
use mqtt_wire::topic::TopicName;
use serde::Deserialize;
use serde_json::Value;

use super::Outcome;
use crate::engine::{REPUBLISH_DEPTH_MAX, Run};
use crate::{Consequences, Republish};

pub(super) const NAME: &str = "republish";
pub(super) const CLASS: &str = "RepublishAction";

/// The compiled action.
#[derive(Debug)]
pub(crate) struct RepublishAction {
    topic: Template,
    qos: QoS,
}

/// `roleArn` is accepted and not checked: eyot has no roles. `headers` are MQTT 5's and wait for it.
#[derive(Deserialize)]
struct Settings {
    topic: String,
    #[serde(default)]
    qos: Option<u8>,
}

impl RepublishAction {
    pub(super) fn parse(settings: &Value, version: SqlVersion) -> Result<Self, String> {
        let settings: Settings = super::settings(settings)?;
        // Only here `$$` stands for one dollar: `$$aws/things/…`.
        let topic = Template::parse(&settings.topic, version, Dollar::Doubled)
            .map_err(|error| format!("topic: {error}"))?;
        // With a template in it, the topic is known when a message comes.
        if let Some(topic) = topic.as_constant() {
            TopicName::parse(topic)
                .map_err(|error| format!("nothing can be published to `{topic}`: it {error}"))?;
        }
        let qos = match settings.qos {
            None | Some(0) => QoS::AtMostOnce,
            Some(1) => QoS::AtLeastOnce,
            Some(other) => return Err(format!("qos is 0 or 1, not {other}")),
        };
        Ok(Self { topic, qos })
    }

    pub(super) fn run(&self, run: &Run<'_>, result: &Output, consequences: &mut Consequences) -> Outcome {
        let topic = self
            .topic
            .expand(&run.input)
            .map_err(|error| run.failure(CLASS, String::new(), format!("topic: {error}")))?;
        if let Err(error) = TopicName::parse(&topic) {
            let error = format!("nothing can be published to it: it {error}");
            return Err(run.failure(CLASS, topic, error));
        }
        if let Some(error) = not_for_rules(&topic, &run.rule.surroundings.limits) {
            return Err(run.failure(CLASS, topic, error));
        }
        if run.message.depth >= REPUBLISH_DEPTH_MAX {
            let error = format!("{REPUBLISH_DEPTH_MAX} rules have handed this message on: they form a loop");
            return Err(run.failure(CLASS, topic, error));
        }
        let payload = result.as_bytes().unwrap_or_default().to_vec();
        let depth = run.message.depth + 1;
        consequences.republishes.push(Republish { topic, payload, qos: self.qos, retain: false, depth });
        Ok(())
    }
}

/// Why a rule's message cannot go to a topic that devices may name, if so.
fn not_for_rules(topic: &str, limits: &Limits) -> Option<String> {
    let is_ingest = basic_ingest(topic).is_some_and(|ingest| !ingest.rule.is_empty());
    if topic.starts_with('$') && !is_ingest {
        // Nobody would get it: said here, rather than taken in silence.
        return Some("reserved topics other than `$aws/rules/NAME/…` are not available yet".to_owned());
    }
    check_topic(topic, limits).err().map(|excess| format!("nothing can be published to it: it {excess}"))
}
