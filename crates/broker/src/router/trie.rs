//! Topic filters as a tree of their levels.
//!
//! Each loop has one of its own and changes it in place: subscribing touches one path, matching takes no lock.
//! [AWS iot topics] `a/#` does not match `a`, unlike in the standard: [`MatchRules`] says which holds. A wildcard in the
//! first level matches no topic that begins with `$`.

use crate::spare;
use mqtt_wire::topic::MatchRules;
use std::collections::HashMap;

/// Levels that a filter may have, whatever the other limits say.
///
/// Walks and drops of the tree recurse once per level; a filter of 65,535 bytes could otherwise have 32,768 levels.
/// AWS allows eight.
pub(crate) const FILTER_LEVELS_MAX: usize = 128;

/// Values under topic filters.
#[derive(Debug)]
pub(crate) struct Trie<V> {
    root: Node<V>,
    len: usize,
    rules: MatchRules,
}

#[derive(Debug)]
struct Node<V> {
    children: HashMap<Box<str>, Node<V>>,
    /// The subtree of `+`.
    any: Option<Box<Node<V>>>,
    /// Values of filters that end here.
    here: Vec<V>,
    /// Values of filters that go on with `#`.
    below: Vec<V>,
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self { children: HashMap::new(), any: None, here: Vec::new(), below: Vec::new() }
    }
}

impl<V> Trie<V> {
    /// An empty tree.
    pub(crate) fn new(rules: MatchRules) -> Self {
        Self { root: Node::default(), len: 0, rules }
    }

    /// Adds a value under a valid filter of at most [`FILTER_LEVELS_MAX`] levels.
    pub(crate) fn insert(&mut self, filter: &str, value: V) {
        let mut node = &mut self.root;
        for level in filter.split('/') {
            node = match level {
                "#" => {
                    // Nothing follows `#` in a valid filter.
                    node.below.push(value);
                    self.len += 1;
                    return;
                }
                "+" => node.any.get_or_insert_default(),
                // A look-up with a borrowed key first: most levels exist already.
                _ if node.children.contains_key(level) => {
                    node.children.get_mut(level).expect("the key was just found")
                }
                _ => node.children.entry(level.into()).or_default(),
            };
        }
        node.here.push(value);
        self.len += 1;
    }

    /// Removes the first value under the filter that the predicate picks, and the path to it if nothing else needs it.
    pub(crate) fn remove(&mut self, filter: &str, is_it: impl Fn(&V) -> bool) -> Option<V> {
        let removed = self.root.remove(filter, &is_it);
        self.len -= usize::from(removed.is_some());
        removed
    }

    /// Removes every value that the predicate picks, wherever it is.
    pub(crate) fn remove_all(&mut self, is_it: impl Fn(&V) -> bool) {
        self.len -= self.root.remove_all(&is_it);
    }

    /// Calls back with every value whose filter matches the topic.
    pub(crate) fn matches<'t>(&'t self, topic: &str, mut found: impl FnMut(&'t V)) {
        if self.len == 0 {
            return;
        }
        // [MQTT311 4.7.2-1] Wildcards in the first level do not see `$…`.
        if topic.starts_with('$') {
            let (level, rest) = split_level(topic);
            if let Some(child) = self.root.children.get(level) {
                child.matches(rest, self.rules, &mut found);
            }
        } else {
            self.root.matches(Some(topic), self.rules, &mut found);
        }
    }
}

impl<V> Node<V> {
    /// `rest` is what follows this node's level; `None` when the topic ended with it.
    fn matches<'t>(&'t self, rest: Option<&str>, rules: MatchRules, found: &mut impl FnMut(&'t V)) {
        let Some(rest) = rest else {
            self.here.iter().for_each(&mut *found);
            if rules == MatchRules::Mqtt {
                self.below.iter().for_each(found);
            }
            return;
        };
        self.below.iter().for_each(&mut *found);
        let (level, rest) = split_level(rest);
        if let Some(child) = self.children.get(level) {
            child.matches(rest, rules, found);
        }
        if let Some(any) = &self.any {
            any.matches(rest, rules, found);
        }
    }

    fn remove(&mut self, rest: &str, is_it: &impl Fn(&V) -> bool) -> Option<V> {
        if rest == "#" {
            return take_first(&mut self.below, is_it);
        }
        let (level, after) = split_level(rest);
        let child = if level == "+" { self.any.as_deref_mut() } else { self.children.get_mut(level) }?;
        let removed = match after {
            Some(after) => child.remove(after, is_it),
            None => take_first(&mut child.here, is_it),
        };
        if child.is_empty() {
            if level == "+" {
                self.any = None;
            } else {
                self.children.remove(level);
                spare::give_back(&mut self.children);
            }
        }
        removed
    }

    fn remove_all(&mut self, is_it: &impl Fn(&V) -> bool) -> usize {
        let before = self.here.len() + self.below.len();
        self.here.retain(|value| !is_it(value));
        self.below.retain(|value| !is_it(value));
        let mut removed = before - self.here.len() - self.below.len();
        self.children.retain(|_, child| {
            removed += child.remove_all(is_it);
            !child.is_empty()
        });
        if let Some(any) = &mut self.any {
            removed += any.remove_all(is_it);
            if any.is_empty() {
                self.any = None;
            }
        }
        removed
    }

    fn is_empty(&self) -> bool {
        self.here.is_empty() && self.below.is_empty() && self.any.is_none() && self.children.is_empty()
    }
}

fn take_first<V>(values: &mut Vec<V>, is_it: impl Fn(&V) -> bool) -> Option<V> {
    let index = values.iter().position(is_it)?;
    let value = values.swap_remove(index);
    if values.is_empty() {
        // An emptied list gives its memory back; the node may live on for its children.
        *values = Vec::new();
    }
    Some(value)
}

fn split_level(topic: &str) -> (&str, Option<&str>) {
    topic.split_once('/').map_or((topic, None), |(level, rest)| (level, Some(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mqtt_wire::{TopicFilter, TopicName};
    use proptest::prelude::*;

    fn found(trie: &Trie<usize>, topic: &str) -> Vec<usize> {
        let mut values = Vec::new();
        trie.matches(topic, |&value| values.push(value));
        values.sort_unstable();
        values
    }

    #[test]
    fn hash_does_not_match_its_parent_and_wildcards_do_not_see_dollar() {
        let mut trie = Trie::new(MatchRules::Aws);
        for (value, filter) in ["#", "+/x", "a/#", "a", "$aws/#", "$aws/+/b"].into_iter().enumerate() {
            trie.insert(filter, value);
        }
        assert_eq!(found(&trie, "a"), [0, 3], "[AWS iot topics] `a/#` does not match `a`");
        assert_eq!(found(&trie, "a/x"), [0, 1, 2]);
        assert_eq!(found(&trie, "$aws/x"), [4], "[MQTT311 4.7.2-1]");
        assert_eq!(found(&trie, "$aws/x/b"), [4, 5]);
    }

    fn level() -> impl Strategy<Value = &'static str> {
        prop_oneof![Just("a"), Just("b"), Just(""), Just("$x")]
    }

    fn topic() -> impl Strategy<Value = String> {
        // The empty topic is not a topic.
        prop::collection::vec(level(), 1..5)
            .prop_map(|levels| levels.join("/"))
            .prop_filter("empty", |t| !t.is_empty())
    }

    fn filter() -> impl Strategy<Value = String> {
        let level = prop_oneof![3 => level(), 1 => Just("+")];
        (prop::collection::vec(level, 1..5), any::<bool>())
            .prop_map(|(mut levels, hash)| {
                if hash {
                    levels.pop();
                    levels.push("#");
                }
                levels.join("/")
            })
            .prop_filter("empty", |filter| !filter.is_empty())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(400)))]

        #[test]
        fn tree_agrees_with_comparing_every_filter(
            filters in prop::collection::vec(filter(), 0..12), gone in prop::collection::vec(any::<bool>(), 12),
            topics in prop::collection::vec(topic(), 1..6), aws in any::<bool>(),
        ) {
            let rules = if aws { MatchRules::Aws } else { MatchRules::Mqtt };
            let matches = |filter, topic| {
                TopicFilter::parse(filter).unwrap().matches(TopicName::parse(topic).unwrap(), rules)
            };
            let mut trie = Trie::new(rules);
            for (value, filter) in filters.iter().enumerate() {
                trie.insert(filter, value);
            }
            for (value, filter) in filters.iter().enumerate().filter(|(value, _)| gone[*value]) {
                prop_assert_eq!(trie.remove(filter, |&other| other == value), Some(value));
                prop_assert_eq!(trie.remove(filter, |&other| other == value), None);
            }
            for topic in &topics {
                let expected: Vec<_> = filters.iter().enumerate()
                    .filter(|(value, filter)| !gone[*value] && matches(filter, topic))
                    .map(|(value, _)| value)
                    .collect();
                prop_assert_eq!(found(&trie, topic), expected, "{}", topic);
            }
            trie.remove_all(|_| true);
            prop_assert_eq!(trie.len, 0);
            prop_assert!(trie.root.is_empty(), "emptied paths are gone");
        }
    }
}
