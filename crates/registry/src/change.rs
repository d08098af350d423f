//! What operations return.

use crate::CertificateId;
use store::Position;

/// A change that is in effect, and on its way to the disk.
///
/// Before anybody is told that it was made: wait for [`position`](Done::position), and let the live connections learn
/// [`change`](Done::change).
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a change must be committed before anybody is told that it was made"]
pub struct Done<T> {
    /// What the operation gives.
    pub value: T,
    /// What must be durable; `None` when there is nothing to wait for.
    ///
    /// An operation that found everything as wanted waits too: what it found may not be durable yet.
    pub position: Option<Position>,
    /// What live connections must learn.
    pub change: Change,
}

/// What live connections must learn from a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Decisions may fall differently now: [`Registry::epoch`](crate::Registry::epoch) has risen.
    pub policies: bool,
    /// Whose decisions: only these principals need be looked up anew.
    pub principals: Vec<CertificateId>,
    /// Certificates that are no longer active: their connections end at once.
    pub dropped: Vec<CertificateId>,
}

impl Change {
    /// Nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether no connection need learn anything.
    pub fn is_none(&self) -> bool {
        !self.policies && self.dropped.is_empty()
    }

    pub(crate) fn of_principals(principals: Vec<CertificateId>) -> Self {
        Self { policies: !principals.is_empty(), principals, dropped: Vec::new() }
    }
}

/// Some of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// In the list's order.
    pub items: Vec<T>,
    /// `after` of the next page; `None` on the last one. It survives changes of the list in between.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The first items of a list that begins at the page's start. `cursor` tells an item's place.
    pub(crate) fn take(
        list: impl Iterator<Item = T>,
        limit: usize,
        cursor: impl FnOnce(&T) -> String,
    ) -> Self {
        let mut items: Vec<T> = list.take(limit.saturating_add(1)).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }

    /// Changes the items.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}

/// The order of lists by creation date. [AWS iot ListPolicies] `isAscendingOrder`, false by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    #[default]
    Descending,
}
