//! The keyed state: what the journal's puts and deletes add up to.
//!
//! Changes come from the applier thread only, in journal order, one atomic batch at a time. The state need not be
//! durable when it is changed, because the journal can be replayed over it: puts and deletes are absolute, so
//! replaying from any earlier position ends in the same state. What must be exact is the checkpoint: it is stored
//! only after everything up to it was made durable, and replay starts there. The position of the last batch is
//! stored with the batch as well; it is not trusted for skipping (an engine may make one key durable before
//! another) but a journal that ends before it has lost something acknowledged.

mod lsm;
mod memory;

use std::io;

use crate::Position;

pub(crate) use self::lsm::LsmState;
pub(crate) use self::memory::MemoryState;

/// Keys and values of a scan, ordered by key.
pub type KeyValues = Vec<(Vec<u8>, Vec<u8>)>;

/// One change, borrowed from the journal record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    Put { keyspace: &'a str, key: &'a [u8], value: &'a [u8] },
    Delete { keyspace: &'a str, key: &'a [u8] },
}

/// A keyed store that the journal is applied to.
pub(crate) trait KeyedState: Send + Sync {
    fn get(&self, keyspace: &str, key: &[u8]) -> io::Result<Option<Vec<u8>>>;
    /// All pairs of a keyspace whose keys begin with `prefix`, in key order.
    fn scan(&self, keyspace: &str, prefix: &[u8]) -> io::Result<KeyValues>;
    /// Applies changes in order, together with the position that they end at, atomically for readers.
    fn apply(&self, changes: &mut dyn Iterator<Item = Change<'_>>, position: Position) -> io::Result<()>;
    /// Writes changes to the disk when they take too much memory.
    ///
    /// # Errors
    /// After a shortage everything is still in memory, and it is called again.
    fn make_room(&self) -> io::Result<()> {
        Ok(())
    }
    /// The same, of what is worth giving back when nothing happens.
    fn rest(&self) -> io::Result<()> {
        Ok(())
    }
    /// The position of the last batch that is still there.
    fn applied(&self) -> io::Result<Position>;
    /// Where replay must start; `None` when the state was never initialised.
    fn checkpoint(&self) -> io::Result<Option<Position>>;
    /// Makes everything applied so far durable, and `checkpoint` with it or after it.
    ///
    /// # Errors
    /// After a shortage it may be called again.
    fn persist(&self, checkpoint: Position) -> io::Result<()>;
}

#[cfg(test)]
mod tests {
    //! One contract, both states.

    use super::*;
    use crate::disk::Disk;
    use crate::disk::sim::SimDisk;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::Arc;

    /// Runs a test on each implementation; `reopen` gives the same state again, from disk.
    fn on_each(test: impl Fn(&dyn Fn() -> Box<dyn KeyedState>)) {
        let dir = tempfile::tempdir().unwrap();
        test(&|| Box::new(LsmState::open(dir.path()).unwrap()));
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
        disk.create_dir_all(Path::new("/")).unwrap();
        test(&|| Box::new(MemoryState::with_snapshots(disk.clone(), "/state".into()).unwrap()));
    }

    fn put(state: &dyn KeyedState, keyspace: &str, key: &[u8], value: &[u8], position: u64) {
        state.apply(&mut std::iter::once(Change::Put { keyspace, key, value }), Position(position)).unwrap();
    }

    #[test]
    fn keyspaces_and_prefixes_are_apart() {
        on_each(|open| {
            let state = open();
            put(&*state, "a", b"bc", b"1", 1);
            put(&*state, "ab", b"c", b"2", 2);
            put(&*state, "a", b"bd", b"3", 3);
            put(&*state, "a", b"", b"4", 4);
            put(&*state, "a", b"\xff\xff", b"5", 5);
            assert_eq!(state.get("a", b"bc").unwrap(), Some(b"1".to_vec()));
            assert_eq!(state.get("ab", b"c").unwrap(), Some(b"2".to_vec()));
            assert_eq!(state.get("a", b"c").unwrap(), None);
            assert_eq!(
                state.scan("a", b"b").unwrap(),
                [(b"bc".to_vec(), b"1".to_vec()), (b"bd".to_vec(), b"3".to_vec())]
            );
            assert_eq!(state.scan("a", b"").unwrap().len(), 4);
            assert_eq!(state.scan("a", b"\xff").unwrap().len(), 1);
            assert_eq!(state.scan("b", b"").unwrap(), []);
        });
    }

    #[test]
    fn a_batch_is_applied_in_order_with_its_position() {
        on_each(|open| {
            let state = open();
            let key: &[u8] = b"k";
            let changes = [
                Change::Put { keyspace: "a", key, value: b"1" },
                Change::Delete { keyspace: "a", key },
                Change::Put { keyspace: "a", key, value: b"2" },
                Change::Delete { keyspace: "a", key: b"absent" },
            ];
            state.apply(&mut changes.into_iter(), Position(9)).unwrap();
            assert_eq!(state.get("a", b"k").unwrap(), Some(b"2".to_vec()));
            assert_eq!(state.applied().unwrap(), Position(9));
        });
    }

    #[test]
    fn a_checkpoint_and_what_it_covers_are_there_after_reopening() {
        on_each(|open| {
            let state = open();
            assert_eq!(state.checkpoint().unwrap(), None);
            put(&*state, "a", b"k", b"1", 7);
            state.persist(Position(7)).unwrap();
            drop(state);
            let state = open();
            assert_eq!(state.checkpoint().unwrap(), Some(Position(7)));
            assert_eq!(state.get("a", b"k").unwrap(), Some(b"1".to_vec()));
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]
        #[test]
        fn both_states_do_the_same(changes in proptest::collection::vec((0..3_u8, 0..20_u8, any::<Option<u8>>()), 1..100)) {
            let mut seen = Vec::new();
            let seen_cell = std::cell::RefCell::new(&mut seen);
            on_each(|open| {
                let state = open();
                let mut model = BTreeMap::new();
                for (position, (space, key, value)) in changes.iter().enumerate() {
                    let keyspace = ["a", "b", "c"][usize::from(*space)];
                    let key_bytes = [*key];
                    let value_bytes = value.map(|value| [value]);
                    let change = match &value_bytes {
                        Some(value) => Change::Put { keyspace, key: &key_bytes, value },
                        None => Change::Delete { keyspace, key: &key_bytes },
                    };
                    state.apply(&mut std::iter::once(change), Position(position as u64)).unwrap();
                    match value {
                        Some(value) => model.insert((keyspace, *key), *value),
                        None => model.remove(&(keyspace, *key)),
                    };
                }
                for keyspace in ["a", "b", "c"] {
                    let expected: KeyValues = model
                        .iter()
                        .filter(|((space, _), _)| *space == keyspace)
                        .map(|((_, key), value)| (vec![*key], vec![*value]))
                        .collect();
                    assert_eq!(state.scan(keyspace, b"").unwrap(), expected);
                }
                seen_cell.borrow_mut().push(state.scan("a", b"").unwrap());
            });
            prop_assert_eq!(&seen[0], &seen[1]);
        }
    }
}
