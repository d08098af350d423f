//! Changes that the journal has no room for yet.
//!
//! Their publishes were delivered already, so for readers they are in effect. They keep the order in which they came:
//! whoever reaches the journal first, an earlier change of a topic never replaces a later one.

use super::{NotRetained, RetainedChange, State};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

/// A publish's changes on their way into the journal. Dropped before they are there, they have never been.
#[derive(Debug, Default)]
pub struct RetainedChanges {
    pub(super) changes: Vec<RetainedChange>,
    pub(super) refused: Vec<NotRetained>,
    /// A later change of one of the topics has reached the journal before.
    pub(super) is_overtaken: bool,
    pub(super) place: Option<Place>,
}

impl RetainedChanges {
    /// Adds one behind the others.
    pub fn push(&mut self, change: RetainedChange) {
        self.changes.push(change);
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Memory that they take, about, in bytes.
    pub fn bytes_len(&self) -> usize {
        self.changes.iter().map(RetainedChange::bytes_len).sum()
    }

    /// What [`append`](super::Retained::append) did not keep because a limit is reached.
    pub fn refused(&self) -> &[NotRetained] {
        &self.refused
    }
}

impl From<Vec<RetainedChange>> for RetainedChanges {
    fn from(changes: Vec<RetainedChange>) -> Self {
        Self { changes, refused: Vec::new(), is_overtaken: false, place: None }
    }
}

impl Drop for RetainedChanges {
    fn drop(&mut self) {
        if let Some(Place { ticket, state }) = self.place.take() {
            let mut state = state.write().unwrap_or_else(PoisonError::into_inner);
            state.waiting.leave(ticket, &self.changes);
        }
    }
}

/// Where a publish's changes wait.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) ticket: u64,
    pub(super) state: Arc<RwLock<State>>,
}

/// All changes that wait. Each belongs to a [`RetainedChanges`], whose owner limits how many there are.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Of each topic, in the order in which they came. INVARIANT: no topic without changes.
    topics: BTreeMap<Box<str>, BTreeMap<u64, RetainedChange>>,
    last_ticket: u64,
}

impl Waiting {
    /// Enters changes behind all that wait, and gives their ticket.
    pub(super) fn enter(&mut self, changes: &[RetainedChange]) -> u64 {
        self.last_ticket += 1;
        for change in changes {
            self.topics.entry(change.topic().into()).or_default().insert(self.last_ticket, change.clone());
        }
        self.last_ticket
    }

    /// Takes out the changes of one ticket.
    pub(super) fn leave(&mut self, ticket: u64, changes: &[RetainedChange]) {
        for change in changes {
            self.remove(change.topic(), |of_topic| drop(of_topic.remove(&ticket)));
        }
    }

    /// A change of this topic is in the journal: earlier ones are overtaken. Without a ticket it is the newest.
    pub(super) fn settle(&mut self, topic: &str, ticket: Option<u64>) {
        self.remove(topic, |of_topic| match ticket.and_then(|ticket| ticket.checked_add(1)) {
            Some(later) => *of_topic = of_topic.split_off(&later),
            None => of_topic.clear(),
        });
    }

    /// Whether a ticket's change of a topic still waits, and was not overtaken.
    pub(super) fn holds(&self, topic: &str, ticket: u64) -> bool {
        self.topics.get(topic).is_some_and(|of_topic| of_topic.contains_key(&ticket))
    }

    /// The newest change of a topic.
    pub(super) fn newest(&self, topic: &str) -> Option<&RetainedChange> {
        newest(self.topics.get(topic)?)
    }

    /// The newest change of each topic from `start` on.
    pub(super) fn range(&self, start: Bound<&str>) -> impl Iterator<Item = (&str, &RetainedChange)> {
        let topics = self.topics.range::<str, _>((start, Bound::Unbounded));
        topics.filter_map(|(topic, of_topic)| Some((&**topic, newest(of_topic)?)))
    }

    fn remove(&mut self, topic: &str, remove: impl FnOnce(&mut BTreeMap<u64, RetainedChange>)) {
        if let Some(of_topic) = self.topics.get_mut(topic) {
            remove(of_topic);
            if of_topic.is_empty() {
                self.topics.remove(topic);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }
}

fn newest(of_topic: &BTreeMap<u64, RetainedChange>) -> Option<&RetainedChange> {
    of_topic.last_key_value().map(|(_, change)| change)
}
