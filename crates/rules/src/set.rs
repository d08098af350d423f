//! All rules at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use mqtt_session::{BasicIngest, basic_ingest};
use mqtt_wire::topic::{MatchRules, filter_matches};
use tracing::warn;

use crate::rule::Surroundings;
use crate::{Consequences, LOG_TARGET, Message, Rule, iot_log};

/// An immutable snapshot of the rules.
#[derive(Debug, Default)]
pub struct RuleSet {
    pub(crate) version: u64,
    pub(crate) rules: BTreeMap<String, Arc<Rule>>,
    pub(crate) match_rules: MatchRules,
    /// `None` of the empty set that a default is.
    pub(crate) surroundings: Option<Arc<Surroundings>>,
}

impl RuleSet {
    /// Changes with every change of a rule: equal versions are equal sets.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The rule of this name, disabled ones included.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Rule>> {
        self.rules.get(name)
    }

    /// All rules by name, disabled ones included.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules.values()
    }

    /// The enabled rules whose FROM filter matches `topic`, one by one: for callers without a trie.
    pub fn matching(&self, topic: &str) -> impl Iterator<Item = &Arc<Rule>> {
        self.iter().filter(move |rule| {
            rule.is_enabled()
                && rule.topic_filter().is_some_and(|filter| filter_matches(filter, topic, self.match_rules))
        })
    }

    /// Runs the rule that a basic-ingest message names, whatever its FROM filter says.
    ///
    /// Returns whether the message was for basic ingest at all. An unknown or disabled rule is logged and nothing
    /// else happens: the publisher is acknowledged all the same. [AWS iot-basic-ingest]
    pub fn ingest(&self, message: &Message<'_>, consequences: &mut Consequences) -> bool {
        let Some(BasicIngest { rule: name, .. }) = basic_ingest(message.topic) else { return false };
        match self.by_name(name) {
            Some(rule) if rule.is_enabled() => rule.execute(message, consequences),
            found => {
                let reason = if found.is_some() { "rule is disabled" } else { "rule not found" };
                warn!(
                    target: LOG_TARGET, rule = name, topic = message.topic, client_id = message.client_id,
                    trace_id = message.trace_id, reason, "RuleNotFound",
                );
                if let Some(surroundings) = &self.surroundings {
                    iot_log::rule_not_found(surroundings, message, name, reason);
                }
            }
        }
        true
    }
}
