//! The store in a real directory with its tree: what replay makes of older and newer states, and of a journal's end.
#![expect(clippy::unwrap_used, reason = "tests may, also outside of test functions")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use store::disk::sim::Random;
use store::{Keyspace, OpenError, Store, StoreOptions, Transaction};

const KEYS: Keyspace = Keyspace("keys");

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn open(dir: &Path) -> Store {
    Store::open(StoreOptions::directory(dir)).unwrap().recover(vec![]).unwrap()
}

fn content(dir: &Path) -> Result<Model, OpenError> {
    Ok(Store::open(StoreOptions::directory(dir))?.scan(KEYS, b"").unwrap().into_iter().collect())
}

/// Appends random changes, waits until they are durable and applied, and returns the model after each.
fn change(store: &Store, random: &mut Random, model: &mut Model, count: u64) -> Vec<Model> {
    let mut models = Vec::new();
    let mut last = store.committed();
    for _ in 0..count {
        let mut transaction = Transaction::new();
        for _ in 0..1 + random.below(4) {
            let key = vec![b'k', random.below(30) as u8];
            if random.chance(30) {
                transaction.delete(KEYS, &key);
                model.remove(&key);
            } else {
                let value = random.next_u64().to_le_bytes().repeat(1 + random.below(20) as usize);
                transaction.put(KEYS, &key, &value);
                model.insert(key, value);
            }
        }
        last = store.commit(transaction).wait().unwrap();
        models.push(model.clone());
    }
    store.wait_applied(last).unwrap();
    models
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn last_segment(dir: &Path) -> PathBuf {
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir.join("journal")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files.pop().unwrap()
}

#[test]
fn replay_over_an_older_and_over_the_newest_state_ends_the_same() {
    for seed in 0..5 {
        let mut random = Random::new(seed);
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("data");
        let mut model = Model::new();
        let store = open(&dir);
        change(&store, &mut random, &mut model, 20);
        store.close().unwrap();
        // The state as the last checkpoint made it durable.
        let old_state = temporary.path().join("old-state");
        copy(&dir.join("state"), &old_state);
        let store = open(&dir);
        let models = change(&store, &mut random, &mut model, 30);

        // As a kill leaves it: everything as it is at this moment.
        let killed = temporary.path().join("killed");
        copy(&dir, &killed);
        // As a power cut may leave it: the journal, a torn record behind it, and the state of the checkpoint.
        let cut = temporary.path().join("cut");
        copy(&killed, &cut);
        fs::remove_dir_all(cut.join("state")).unwrap();
        copy(&old_state, &cut.join("state"));
        let mut file = fs::OpenOptions::new().append(true).open(last_segment(&cut)).unwrap();
        file.write_all(&vec![random.next_u64() as u8; random.below(200) as usize]).unwrap();

        assert_eq!(content(&killed).unwrap(), model, "seed {seed}");
        assert_eq!(content(&cut).unwrap(), model, "seed {seed}");
        assert_eq!(content(&cut).unwrap(), model, "seed {seed}: opening twice changes nothing");

        // A journal that lost acknowledged records: over the old state it gives a moment of the past, over a state that
        // was written since it is refused, because that already has more.
        let size = fs::metadata(last_segment(&cut)).unwrap().len();
        let shorter = size - 1 - random.below(size / 2);
        let shorten = |dir: &Path| {
            fs::OpenOptions::new().write(true).open(last_segment(dir)).unwrap().set_len(shorter).unwrap();
        };
        shorten(&cut);
        assert!(models.contains(&content(&cut).unwrap()), "seed {seed}: a state that never was");
        // Before the start drops the segments that its checkpoint covers.
        let long = temporary.path().join("long");
        copy(&killed, &long);
        open(&killed).close().unwrap();
        fs::remove_dir_all(long.join("state")).unwrap();
        copy(&killed.join("state"), &long.join("state"));
        shorten(&long);
        assert!(matches!(content(&long), Err(OpenError::Damaged { .. })), "seed {seed}");
        store.close().unwrap();
        assert_eq!(content(&dir).unwrap(), model, "seed {seed}");
    }
}

#[test]
fn a_closed_store_starts_from_its_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = StoreOptions::directory(dir.path());
    options.segment_bytes_max = 2_000;
    options.checkpoint_bytes = 5_000;
    let store = Store::open(options.clone()).unwrap().recover(vec![]).unwrap();
    let mut model = Model::new();
    change(&store, &mut Random::new(1), &mut model, 200);
    store.close().unwrap();
    let segments = fs::read_dir(dir.path().join("journal")).unwrap().count();
    assert_eq!(segments, 1, "checkpoints drop what they cover");
    assert_eq!(content(dir.path()).unwrap(), model);
}

#[test]
fn a_directory_whose_state_is_gone_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close().unwrap();
    fs::remove_dir_all(dir.path().join("state")).unwrap();
    assert!(matches!(content(dir.path()), Err(OpenError::State { .. })));
}
