//! What appending promises besides durability: no waiting, limits, group commit, an orderly end.
#![expect(clippy::unwrap_used, reason = "tests may, also outside of test functions")]

use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use store::disk::sim::SimDisk;
use store::limits::{KEY_BYTES_MAX, RECORD_BYTES_MAX};
use store::{AppendError, Consumer, ConsumerId, Keyspace, Position, Store, StoreOptions, Transaction};

const KEYS: Keyspace = Keyspace("keys");
const GATE: ConsumerId = ConsumerId(3);

fn put(bytes: usize) -> Transaction {
    let mut transaction = Transaction::new();
    transaction.put(KEYS, b"key", vec![1; bytes]);
    transaction
}

fn in_memory() -> Store {
    Store::open(StoreOptions::in_memory()).unwrap().recover(vec![]).unwrap()
}

/// Applies an entry only when the test lets it.
struct Gate(Mutex<Receiver<()>>);

impl Consumer for Gate {
    fn apply(&self, _position: Position, _entry: &[u8]) -> io::Result<()> {
        // The test may be over.
        let _ = self.0.lock().unwrap().recv();
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn nothing_is_durable_at_once_and_costs_no_sync() {
    let store = in_memory();
    assert_eq!(store.append(Transaction::new()), Ok(Position::NONE));
    assert_eq!(store.commit(Transaction::new()).wait(), Ok(Position::NONE));
    assert_eq!(store.committed(), Position::NONE);
}

#[test]
fn what_was_applied_can_be_read() {
    let store = in_memory();
    let position = store.commit(put(3)).wait().unwrap();
    store.wait_applied(position).unwrap();
    assert_eq!(store.get(KEYS, b"key").unwrap(), Some(vec![1; 3]));
    assert_eq!(store.scan(KEYS, b"k").unwrap().len(), 1);
}

#[test]
fn what_is_too_large_is_refused_and_changes_nothing() {
    let store = in_memory();
    let largest = usize::try_from(RECORD_BYTES_MAX).unwrap();
    assert!(matches!(store.append(put(largest)), Err(AppendError::TooLarge { .. })));
    let mut long_key = Transaction::new();
    long_key.put(KEYS, vec![1; KEY_BYTES_MAX + 1], b"");
    assert!(matches!(store.append(long_key), Err(AppendError::TooLarge { .. })));
    store.commit(put(largest - 100)).wait().unwrap();
}

#[test]
fn a_backlog_refuses_and_shrinks_again() {
    let (open_gate, gate) = channel();
    let options = StoreOptions { backlog_bytes_max: 10_000, ..StoreOptions::in_memory() };
    let consumers: Vec<(ConsumerId, Arc<dyn Consumer>)> = vec![(GATE, Arc::new(Gate(Mutex::new(gate))))];
    let store = Store::open(options).unwrap().recover(consumers).unwrap();
    let mut transaction = put(6_000);
    transaction.entry(GATE, b"");
    let first = store.commit(transaction).wait().unwrap();
    // Durable, but not applied: it still counts.
    assert_eq!(store.append(put(6_000)), Err(AppendError::Backlog { limit_bytes: 10_000 }));
    let small = store.append(put(100)).unwrap();
    open_gate.send(()).unwrap();
    store.wait_applied(first).unwrap();
    store.when_committed(small).wait().unwrap();
    store.wait_applied(small).unwrap();
    store.commit(put(6_000)).wait().unwrap();
}

#[test]
fn everything_that_arrives_during_a_sync_takes_the_next_one() {
    let disk = SimDisk::new(1);
    let store =
        Store::open(StoreOptions::simulated(Arc::new(disk.clone()))).unwrap().recover(vec![]).unwrap();
    let (open_gate, gate) = channel();
    let (entered_sender, entered) = channel();
    let gate = Mutex::new(gate);
    store.on_commit(Box::new(move |committed| {
        entered_sender.send(committed.unwrap()).unwrap();
        // Holds the writer where the next sync would begin. The test may be over.
        let _ = gate.lock().unwrap().recv();
    }));
    let first = store.append(put(10)).unwrap();
    assert_eq!(entered.recv().unwrap(), first);
    let syncs = disk.syncs();
    let appended: Vec<Position> = (0..100).map(|_| store.append(put(10)).unwrap()).collect();
    let last = appended[99];
    open_gate.send(()).unwrap();
    assert_eq!(entered.recv().unwrap(), last, "one callback for all");
    assert_eq!(disk.syncs(), syncs + 1);
    drop(open_gate);
}

#[test]
fn a_closed_store_refuses_and_has_applied_everything() {
    let disk = SimDisk::new(1);
    let options = StoreOptions::simulated(Arc::new(disk));
    let store = Store::open(options.clone()).unwrap().recover(vec![]).unwrap();
    let position = store.append(put(10)).unwrap();
    store.close().unwrap();
    assert_eq!(store.append(put(10)), Err(AppendError::Closed));
    assert_eq!(store.when_committed(position).wait(), Ok(position), "what was appended before is durable");
    store.close().unwrap();
    let opening = Store::open(options).unwrap();
    assert_eq!(opening.get(KEYS, b"key").unwrap(), Some(vec![1; 10]));
}

#[test]
fn an_entry_without_a_consumer_stops_the_store_instead_of_losing_it() {
    let store = in_memory();
    let mut transaction = Transaction::new();
    transaction.entry(GATE, b"");
    let position = store.commit(transaction).wait().unwrap();
    assert!(matches!(store.wait_applied(position), Err(AppendError::Failed { .. })));
    assert!(matches!(store.append(put(1)), Err(AppendError::Failed { .. })));
    assert!(store.close().is_err());
}

#[test]
fn a_callback_that_panics_fails_the_store_instead_of_hanging_it() {
    let store = in_memory();
    store.on_commit(Box::new(|committed| assert!(committed.is_err(), "panics at the first commit")));
    let first = store.append(put(1)).unwrap();
    // The first is durable whatever its listener does; what comes later is refused, not forgotten.
    assert_eq!(store.when_committed(first).wait(), Ok(first));
    assert!(matches!(store.wait_applied(first), Err(AppendError::Failed { .. })));
    assert!(matches!(store.append(put(1)), Err(AppendError::Failed { .. })));
}
