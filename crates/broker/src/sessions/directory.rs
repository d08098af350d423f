//! Which sessions and groups a topic concerns, for every thread that publishes.

use super::group::Group;
use super::inbox::Inbox;
use crate::router::Trie;
use mqtt_wire::topic::MatchRules;
use mqtt_wire::{QoS, SubscriptionOptions};
use std::collections::HashMap;
use std::sync::Arc;

/// The subscriptions of persistent sessions, and all groups.
#[derive(Debug)]
pub(super) struct Directory {
    trie: Trie<Holder>,
    groups: HashMap<Arc<str>, Arc<Group>>,
    filters: usize,
}

#[derive(Debug)]
enum Holder {
    Session { inbox: Arc<Inbox>, options: SubscriptionOptions },
    Group(Arc<Group>),
}

/// A session that gets a message with QoS 1 or 2.
#[derive(Debug)]
pub(crate) struct Recipient {
    pub(crate) inbox: Arc<Inbox>,
    /// The highest of its subscriptions that match.
    pub(crate) qos: QoS,
    /// One of its subscriptions wants the retain flag as it was published [MQTT5 3.8.3.1].
    pub(crate) retain_as_published: bool,
}

impl Directory {
    pub(super) fn new(match_rules: MatchRules) -> Self {
        Self { trie: Trie::new(match_rules), groups: HashMap::new(), filters: 0 }
    }

    /// Filters of sessions, and groups.
    pub(super) fn len(&self) -> usize {
        self.filters + self.groups.len()
    }

    /// Gives whether it replaced one.
    pub(super) fn subscribe(
        &mut self,
        filter: &str,
        inbox: &Arc<Inbox>,
        options: SubscriptionOptions,
    ) -> bool {
        let is_replaced = self.unsubscribe(filter, inbox);
        self.trie.insert(filter, Holder::Session { inbox: Arc::clone(inbox), options });
        self.filters += 1;
        is_replaced
    }

    /// Gives whether there was one.
    pub(super) fn unsubscribe(&mut self, filter: &str, inbox: &Arc<Inbox>) -> bool {
        let is_it = |holder: &Holder| matches!(holder, Holder::Session { inbox: other, .. } if Arc::ptr_eq(other, inbox));
        let is_removed = self.trie.remove(filter, is_it).is_some();
        self.filters -= usize::from(is_removed);
        is_removed
    }

    /// The group of `$share/NAME/FILTER`, made if there is none; `filter` is what stands behind its name.
    pub(super) fn group(&mut self, shared: &str, filter: &str) -> Arc<Group> {
        if let Some(group) = self.groups.get(shared) {
            return Arc::clone(group);
        }
        let group = Group::new(shared.into());
        self.groups.insert(Arc::clone(&group.filter), Arc::clone(&group));
        self.trie.insert(filter, Holder::Group(Arc::clone(&group)));
        group
    }

    pub(super) fn find_group(&self, shared: &str) -> Option<&Arc<Group>> {
        self.groups.get(shared)
    }

    pub(super) fn remove_group(&mut self, group: &Arc<Group>, filter: &str) {
        self.groups.remove(&group.filter);
        self.trie
            .remove(filter, |holder| matches!(holder, Holder::Group(other) if Arc::ptr_eq(other, group)));
    }

    /// Lists who gets a message with QoS 1 or 2, each session once, and the groups.
    pub(super) fn find(&self, topic: &str, from: Option<&str>) -> (Vec<Recipient>, Vec<Arc<Group>>) {
        let (mut recipients, mut groups) = (Vec::<Recipient>::new(), Vec::new());
        self.trie.matches(topic, |holder| match holder {
            Holder::Group(group) => groups.push(Arc::clone(group)),
            // Its loop delivers what comes with QoS 0.
            Holder::Session { options, .. } if options.qos == QoS::AtMostOnce => {}
            // [MQTT5 3.8.3-3]
            Holder::Session { inbox, options } if options.no_local && from == Some(&*inbox.client_id) => {}
            Holder::Session { inbox, options } => recipients.push(Recipient {
                inbox: Arc::clone(inbox),
                qos: options.qos,
                retain_as_published: options.retain_as_published,
            }),
        });
        recipients.sort_unstable_by_key(|recipient| recipient.inbox.id);
        recipients.dedup_by(|again, first| {
            let is_same = again.inbox.id == first.inbox.id;
            if is_same {
                first.qos = first.qos.max(again.qos);
                first.retain_as_published |= again.retain_as_published;
            }
            is_same
        });
        (recipients, groups)
    }
}
