//! All rules at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use mqtt_wire::topic::filter_matches;
use tracing::warn;

use crate::{Consequences, LOG_TARGET, Message, Rule};

/// Topics that name a rule instead of being matched begin with this. [AWS iot-basic-ingest]
const BASIC_INGEST_PREFIX: &str = "$aws/rules/";

/// An immutable snapshot of the rules.
#[derive(Debug, Default)]
pub struct RuleSet {
    pub(crate) version: u64,
    pub(crate) rules: BTreeMap<String, Arc<Rule>>,
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
            rule.is_enabled() && rule.topic_filter().is_some_and(|filter| filter_matches(filter, topic))
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
            }
        }
        true
    }
}

/// A topic that names a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BasicIngest<'t> {
    /// The rule's name.
    pub rule: &'t str,
    /// What `topic()` gives: everything behind the rule's name.
    pub rest: &'t str,
}

/// Splits `$aws/rules/NAME/rest`; `None` for every other topic. A topic that ends with the name has an empty rest.
pub fn basic_ingest(topic: &str) -> Option<BasicIngest<'_>> {
    let named = topic.strip_prefix(BASIC_INGEST_PREFIX)?;
    let (rule, rest) = named.split_once('/').unwrap_or((named, ""));
    Some(BasicIngest { rule, rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_ingest_names_a_rule_and_keeps_the_rest() {
        let split = |topic| basic_ingest(topic).map(|BasicIngest { rule, rest }| (rule, rest));
        assert_eq!(split("$aws/rules/telemetry/pico_w_simple"), Some(("telemetry", "pico_w_simple")));
        assert_eq!(split("$aws/rules/r/a/b"), Some(("r", "a/b")));
        assert_eq!(split("$aws/rules/r"), Some(("r", "")));
        assert_eq!(split("$aws/things/r/a"), None);
        assert_eq!(split("aws/rules/r/a"), None);
    }
}
