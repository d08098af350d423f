//! Changes that the journal has no room for.

use super::*;
use std::io;
use std::sync::{Condvar, Mutex};
use store::{Consumer, ConsumerId};

/// Holds up the applier: what is appended stays in the backlog.
#[derive(Default)]
struct Plug {
    pulled: Mutex<bool>,
    changed: Condvar,
}

const PLUG: ConsumerId = ConsumerId(1);

impl Plug {
    fn pull(&self) {
        *self.pulled.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

impl Consumer for Plug {
    fn apply(&self, _: Position, _: &[u8]) -> io::Result<()> {
        drop(self.changed.wait_while(self.pulled.lock().unwrap(), |pulled| !*pulled).unwrap());
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Room for records of `BIG` and not for one more; for a small one there is some left.
struct Stalled {
    store: Store,
    retained: Retained,
    plug: Arc<Plug>,
}

const BIG: usize = 5_000;

impl Stalled {
    fn new() -> Self {
        let plug = Arc::new(Plug::default());
        let options = StoreOptions { backlog_bytes_max: 10_000, ..StoreOptions::in_memory() };
        let consumers: Vec<(ConsumerId, Arc<dyn Consumer>)> = vec![(PLUG, plug.clone())];
        let store = Store::open(options).unwrap().recover(consumers).unwrap();
        let retained = Retained::load(&store, RetainedLimits::default()).unwrap();
        change(&retained, &[keep("t", "oldest"), keep("u", "oldest")], 0);
        let mut filler = Transaction::new();
        store.append(std::mem::take(filler.entry(PLUG, vec![0; 6_000]))).unwrap();
        Self { store, retained, plug }
    }

    /// A publish that finds no room: with its transaction.
    fn stall(&self, changes: &[RetainedChange]) -> (Transaction, RetainedChanges) {
        let mut transaction = Transaction::new();
        transaction.put(Keyspace("other"), "k", vec![0; BIG]);
        let mut changes = RetainedChanges::from(changes.to_vec());
        let error = self.retained.append(&mut transaction, &mut changes, 0).unwrap_err();
        assert!(matches!(error, AppendError::Backlog { .. }), "{error}");
        (transaction, changes)
    }

    fn make_room(&self) {
        self.plug.pull();
        self.store.wait_applied(self.store.when_committed(self.last_position()).wait().unwrap()).unwrap();
    }

    fn last_position(&self) -> Position {
        self.retained.state.read().unwrap().last_position
    }

    fn is_nothing_waiting(&self) -> bool {
        self.retained.state.read().unwrap().waiting.is_empty()
    }

    /// What readers find, and what a restart would.
    fn payloads(&self, topic: &str) -> [Option<String>; 2] {
        self.store.wait_in_state(self.store.when_committed(self.last_position()).wait().unwrap()).unwrap();
        let state = RwLock::new(State::load(&self.store).unwrap()).into();
        let limits = RetainedLimits::default();
        let stored = Retained { store: self.store.clone(), limits, state, lost: Arc::default() };
        [payload(&self.retained, topic), payload(&stored, topic)]
    }
}

impl Drop for Stalled {
    /// The store waits for its applier.
    fn drop(&mut self) {
        self.plug.pull();
    }
}

fn both(payload: Option<&str>) -> [Option<String>; 2] {
    [payload.map(str::to_owned), payload.map(str::to_owned)]
}

#[test]
fn readers_see_what_waits_for_the_journal() {
    let stalled = Stalled::new();
    let changes = [keep("a", "1"), keep("t", "2"), RetainedChange::Remove("u".into()), keep("z", "3")];
    let held = stalled.stall(&changes);
    let topics = |items: Vec<Arc<RetainedMessage>>| {
        items.iter().map(|m| (m.topic.to_string(), m.payload.clone())).collect::<Vec<_>>()
    };
    let expected = [("a", "1"), ("t", "2"), ("z", "3")];
    let expected = expected.map(|(topic, payload)| (topic.to_owned(), Bytes::from(payload)));
    for (topic, payload) in [("a", Some("1")), ("t", Some("2")), ("u", None), ("z", Some("3"))] {
        assert_eq!(super::payload(&stalled.retained, topic).as_deref(), payload, "{topic}");
    }
    assert_eq!(topics(stalled.retained.list(None, 10, 0).items), expected);
    assert_eq!(topics(stalled.retained.list(Some("a"), 10, 0).items), expected[1..]);
    assert_eq!(topics(stalled.retained.matching("", None, 9, 0, |_| true).items), expected);
    // Given up, they have never been.
    drop(held);
    assert_eq!(payload(&stalled.retained, "t").as_deref(), Some("oldest"));
    assert_eq!(stalled.retained.list(None, 10, 0).items.len(), 2);
    assert!(stalled.is_nothing_waiting());
}

#[test]
fn what_waited_does_not_replace_what_came_later() {
    let stalled = Stalled::new();
    let (mut transaction, mut changes) = stalled.stall(&[keep("t", "stalled"), keep("u", "stalled")]);
    // Both fit in, and both are acknowledged.
    change(&stalled.retained, &[keep("t", "newer"), RetainedChange::Remove("u".into())], 0);
    assert_eq!(payload(&stalled.retained, "t").as_deref(), Some("newer"));
    let newer = stalled.last_position();
    stalled.make_room();
    let position = stalled.retained.append(&mut transaction, &mut changes, 0).unwrap();
    assert!(position > newer, "the rest of its transaction is kept");
    assert_eq!(stalled.payloads("t"), both(Some("newer")));
    assert_eq!(stalled.payloads("u"), both(None));
    assert!(stalled.is_nothing_waiting());
}

#[test]
fn what_was_overtaken_is_durable_when_its_successor_is() {
    let stalled = Stalled::new();
    let mut changes = RetainedChanges::from(vec![keep("t", "stalled")]);
    stalled.retained.hold(&mut changes);
    change(&stalled.retained, &[keep("t", "newer")], 0);
    let newer = stalled.last_position();
    assert_eq!(stalled.retained.append(&mut Transaction::new(), &mut changes, 0), Ok(newer));
}

#[test]
fn those_who_wait_keep_their_order_whoever_gets_room_first() {
    for first in [0, 1] {
        let stalled = Stalled::new();
        let mut publishes =
            [stalled.stall(&[keep("t", "first")]), stalled.stall(&[keep("t", "second"), keep("t", "last")])];
        assert_eq!(payload(&stalled.retained, "t").as_deref(), Some("last"));
        stalled.make_room();
        for index in [first, 1 - first] {
            let (transaction, changes) = &mut publishes[index];
            stalled.retained.append(transaction, changes, 0).unwrap();
            assert_eq!(payload(&stalled.retained, "t").as_deref(), Some("last"));
            stalled.make_room();
        }
        assert_eq!(stalled.payloads("t"), both(Some("last")));
        assert!(stalled.is_nothing_waiting());
    }
}

#[test]
fn what_the_disk_lost_takes_nothing_of_those_who_wait() {
    let stalled = Stalled::new();
    let held = stalled.stall(&[keep("t", "stalled")]);
    stalled.retained.lost.store(true, Ordering::Release);
    assert_eq!(payload(&stalled.retained, "t").as_deref(), Some("stalled"));
    drop(held);
}

#[test]
fn the_last_position_never_goes_back() {
    let stalled = Stalled::new();
    let before = stalled.last_position();
    assert!(before > Position::NONE);
    let mut nothing = RetainedChanges::default();
    assert_eq!(stalled.retained.append(&mut Transaction::new(), &mut nothing, 0), Ok(Position::NONE));
    assert_eq!(stalled.last_position(), before);
}
