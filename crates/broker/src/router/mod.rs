//! Who gets a message: the sessions and rules of one loop whose filters match its topic.

mod trie;

use crate::slots::Key;
use mqtt_wire::SubscriptionOptions;
use mqtt_wire::topic::MatchRules;
use rules::{Rule, RuleSet};
use std::sync::Arc;
pub(crate) use trie::{FILTER_LEVELS_MAX, Trie};

/// The subscriptions of one loop's sessions, and all rules.
///
/// Rules stand in the same tree: without a rule whose filter matches, a message pays nothing for the rule engine.
#[derive(Debug)]
pub(crate) struct Router {
    trie: Trie<Subscriber>,
    rules: Arc<RuleSet>,
    sessions: usize,
}

#[derive(Debug)]
enum Subscriber {
    Session { key: Key, options: SubscriptionOptions },
    Rule(Arc<Rule>),
}

/// One subscriber of a message.
pub(crate) enum Found<'r> {
    /// A session, and how it subscribed. Once per matching filter.
    Session(Key, SubscriptionOptions),
    /// A rule.
    Rule(&'r Arc<Rule>),
}

impl Router {
    /// A router without subscriptions and rules.
    pub(crate) fn new(match_rules: MatchRules) -> Self {
        Self { trie: Trie::new(match_rules), rules: Arc::default(), sessions: 0 }
    }

    /// Subscriptions of sessions.
    pub(crate) fn subscriptions(&self) -> usize {
        self.sessions
    }

    /// The rules in force.
    pub(crate) fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// Subscribes a session; an earlier subscription with the same filter is replaced. [MQTT311 3.8.4-3]
    ///
    /// The filter has at most [`FILTER_LEVELS_MAX`] levels.
    pub(crate) fn subscribe(&mut self, filter: &str, key: Key, options: SubscriptionOptions) {
        self.unsubscribe(filter, key);
        self.trie.insert(filter, Subscriber::Session { key, options });
        self.sessions += 1;
    }

    /// Ends a session's subscription, if there is one.
    pub(crate) fn unsubscribe(&mut self, filter: &str, key: Key) {
        let removed = self.trie.remove(
            filter,
            |subscriber| matches!(subscriber, Subscriber::Session { key: other, .. } if *other == key),
        );
        self.sessions -= usize::from(removed.is_some());
    }

    /// Takes the rules of this snapshot instead of the present ones.
    pub(crate) fn use_rules(&mut self, rules: Arc<RuleSet>) {
        if rules.version() == self.rules.version() {
            return;
        }
        self.trie.remove_all(|subscriber| matches!(subscriber, Subscriber::Rule(_)));
        for rule in rules.iter().filter(|rule| rule.is_enabled()) {
            match rule.topic_filter() {
                Some(filter) if filter.split('/').count() <= FILTER_LEVELS_MAX => {
                    self.trie.insert(filter, Subscriber::Rule(Arc::clone(rule)));
                }
                Some(_) => tracing::error!(
                    target: rules::LOG_TARGET, rule = rule.name(),
                    reason = "its FROM filter has too many levels", "rule not in effect"
                ),
                // Reached by basic ingest only.
                None => {}
            }
        }
        self.rules = rules;
    }

    /// Calls back with everybody who gets a message on this topic.
    pub(crate) fn find<'r>(&'r self, topic: &str, mut found: impl FnMut(Found<'r>)) {
        self.trie.matches(topic, |subscriber| {
            found(match subscriber {
                Subscriber::Session { key, options } => Found::Session(*key, *options),
                Subscriber::Rule(rule) => Found::Rule(rule),
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::Slots;
    use mqtt_wire::QoS;

    fn sessions(router: &Router, topic: &str) -> Vec<(Key, QoS)> {
        let mut sessions = Vec::new();
        router.find(topic, |found| match found {
            Found::Session(key, options) => sessions.push((key, options.qos)),
            Found::Rule(_) => unreachable!("no rules here"),
        });
        sessions
    }

    #[test]
    fn subscribing_again_replaces() {
        let mut slots = Slots::new();
        let (one, two) = (slots.insert(()), slots.insert(()));
        let mut router = Router::new(MatchRules::Aws);
        router.subscribe("a/+", one, SubscriptionOptions::at_most(QoS::AtMostOnce));
        router.subscribe("a/+", two, SubscriptionOptions::at_most(QoS::AtMostOnce));
        router.subscribe("a/+", one, SubscriptionOptions::at_most(QoS::AtLeastOnce));
        assert_eq!(router.subscriptions(), 2);
        let mut found = sessions(&router, "a/b");
        found.sort_unstable();
        assert_eq!(found, [(one, QoS::AtLeastOnce), (two, QoS::AtMostOnce)]);
        router.unsubscribe("a/+", one);
        router.unsubscribe("a/+", one);
        assert_eq!((router.subscriptions(), sessions(&router, "a/b")), (1, vec![(two, QoS::AtMostOnce)]));
    }
}
