//! A log store on a simulated disk.
#![allow(dead_code, reason = "each test file uses a part")]

use std::sync::Arc;

use logs::{FilterQuery, InputEvent, Logs, LogsOpenError, LogsOptions, NewGroup, Page};
use store::disk::sim::SimDisk;
use store::{Consumer, Store, StoreOptions, Transaction};

pub(crate) const NOW: i64 = 1_700_000_000_000;
pub(crate) const GROUP: &str = "iot-core-telemetry";

/// A running store and its logs; both are closed when it is dropped.
pub(crate) struct Running {
    pub(crate) store: Store,
    pub(crate) logs: Arc<Logs>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.store.close();
        self.logs.close();
    }
}

pub(crate) fn open_with(options: StoreOptions, segment_bytes_max: u64) -> Result<Running, LogsOpenError> {
    let opening = Store::open(options)?;
    let logs = Logs::open(&opening, LogsOptions { segment_bytes_max })?;
    let store = opening.recover(vec![(logs::CONSUMER, logs.clone() as Arc<dyn Consumer>)])?;
    logs.attach(&store);
    Ok(Running { store, logs })
}

pub(crate) fn open(disk: &SimDisk, segment_bytes_max: u64) -> Running {
    open_with(StoreOptions::simulated(Arc::new(disk.clone())), segment_bytes_max).unwrap()
}

/// A fresh store with one group and the streams `a` and `b`.
pub(crate) fn with_streams(disk: &SimDisk, segment_bytes_max: u64) -> Running {
    let running = open(disk, segment_bytes_max);
    running.logs.create_group(NewGroup { name: GROUP.to_owned(), ..NewGroup::default() }, NOW).unwrap();
    for stream in ["a", "b"] {
        running.logs.create_stream(GROUP, stream, NOW).unwrap();
    }
    running
}

pub(crate) fn event(timestamp_ms: i64, message: impl Into<String>) -> InputEvent {
    InputEvent { timestamp_ms, message: message.into() }
}

impl Running {
    pub(crate) fn put(&self, stream: &str, events: &[(i64, &str)]) {
        let events = events.iter().map(|&(at, message)| event(NOW + at, message)).collect();
        self.logs.put_events(GROUP, stream, events, NOW).wait().unwrap();
    }

    /// A rule's event, committed and applied.
    pub(crate) fn rule(&self, stream: &str, at: i64, message: &str) {
        let mut transaction = Transaction::new();
        self.logs.rule_event(GROUP, stream, NOW + at, message, NOW, &mut transaction).unwrap();
        let position = self.store.commit(transaction).wait().unwrap();
        self.store.wait_applied(position).unwrap();
    }

    pub(crate) fn filter(&self, query: FilterQuery<'_>) -> Page<logs::Event> {
        self.logs.filter(&FilterQuery { group: GROUP, now_ms: NOW, ..query }).unwrap()
    }

    /// All messages that match, over all pages.
    pub(crate) fn messages(&self, query: &FilterQuery<'_>) -> Vec<String> {
        let mut messages = Vec::new();
        let mut token = None;
        loop {
            let page = self.filter(FilterQuery { next_token: token.as_deref(), ..query.clone() });
            messages.extend(page.items.into_iter().map(|event| event.message));
            token = page.next_token;
            if token.is_none() {
                return messages;
            }
        }
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.messages(&FilterQuery::default())
    }
}
