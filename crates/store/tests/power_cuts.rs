//! Power cuts, full disks and failing disks at every moment: what was acknowledged is there, in order, and nothing
//! that nobody appended.
//!
//! `EYOT_SEEDS=1000` runs more seeds than the short run's 50.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests may, also outside of test functions")]

use std::collections::BTreeMap;
use std::future::Future as _;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use store::disk::sim::{Random, SimDisk};
use store::disk::{Disk, DiskFile, OpenMode, settle_file};
use store::{AppendError, Consumer, ConsumerId, Keyspace, Position, Store, StoreOptions, Transaction};

const KEYS: Keyspace = Keyspace("keys");
const COUNTER: ConsumerId = ConsumerId(9);

fn seeds() -> u64 {
    std::env::var("EYOT_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(50)
}

/// A consumer as simple as one can be: a file of numbers with their positions, cut at what it knows to be whole.
struct Numbers {
    file: Arc<dyn DiskFile>,
    state: Mutex<NumbersState>,
}

#[derive(Default)]
struct NumbersState {
    size: u64,
    highest: Position,
    numbers: Vec<u64>,
}

impl Numbers {
    fn open(disk: &SimDisk) -> io::Result<Arc<Self>> {
        let path = Path::new("/sim/numbers");
        if !disk.exists(path) {
            disk.open(path, OpenMode::CreateNew)?;
            disk.sync_dir(Path::new("/sim"))?;
        }
        let mut content = disk.open(path, OpenMode::Read)?.read_all()?;
        let mut state = NumbersState::default();
        for record in content.chunks_exact(24) {
            let word = |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().unwrap());
            if word(16) != word(0) ^ word(8) ^ 0xABCD {
                break;
            }
            state.highest = Position(word(0));
            state.numbers.push(word(8));
            state.size += 24;
        }
        content.truncate(usize::try_from(state.size).unwrap());
        settle_file(disk, path, &content)?;
        let file = disk.open(path, OpenMode::Write)?;
        Ok(Arc::new(Self { file, state: Mutex::new(state) }))
    }

    fn numbers(&self) -> Vec<u64> {
        self.state.lock().unwrap().numbers.clone()
    }
}

impl Consumer for Numbers {
    fn apply(&self, position: Position, entry: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        if position <= state.highest {
            return Ok(());
        }
        let number = u64::from_le_bytes(entry.try_into().unwrap());
        let mut record = Vec::new();
        for word in [position.0, number, position.0 ^ number ^ 0xABCD] {
            record.extend_from_slice(&word.to_le_bytes());
        }
        self.file.write_all_at(state.size, &record)?;
        state.size += 24;
        state.highest = position;
        state.numbers.push(number);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn options(disk: &SimDisk, random: &mut Random) -> StoreOptions {
    let mut options = StoreOptions::simulated(Arc::new(disk.clone()));
    // Small, so that segments, checkpoints and drops happen in a short run.
    options.segment_bytes_max = 200 + random.below(2_000);
    options.checkpoint_bytes = 300 + random.below(5_000);
    options
}

fn open(disk: &SimDisk, random: &mut Random) -> Result<(Store, Arc<Numbers>), store::OpenError> {
    let opening = Store::open(options(disk, random))?;
    let io = |source| store::OpenError::Io { path: "numbers".into(), source };
    let numbers = Numbers::open(disk).map_err(io)?;
    Ok((opening.recover(vec![(COUNTER, numbers.clone())])?, numbers))
}

/// What the test knows about the numbers that it appended, in order.
#[derive(Default)]
struct Model {
    /// Every number that was ever appended, and whether it was acknowledged.
    acknowledged: BTreeMap<u64, bool>,
    next: u64,
}

impl Model {
    fn transaction(&mut self, random: &mut Random) -> (u64, Transaction) {
        let number = self.next;
        self.next += 1;
        self.acknowledged.insert(number, false);
        let mut transaction = Transaction::new();
        let padding = vec![7; usize::try_from(random.below(300)).unwrap()];
        transaction.put(KEYS, number.to_be_bytes(), &padding);
        transaction.put(KEYS, b"last", number.to_be_bytes());
        if number > 0 {
            transaction.delete(KEYS, [b"old".as_slice(), &(number - 1).to_be_bytes()].concat());
        }
        transaction.put(KEYS, [b"old".as_slice(), &number.to_be_bytes()].concat(), b"");
        transaction.entry(COUNTER, number.to_le_bytes());
        (number, transaction)
    }

    /// Checks the reopened store: the consumer and the state agree, and both with what was promised.
    fn check(&self, store: &Store, numbers: &Numbers, context: &str) {
        let numbers = numbers.numbers();
        assert!(
            numbers.windows(2).all(|pair| pair[0] < pair[1]),
            "{context}: order or duplicates: {numbers:?}"
        );
        for number in &numbers {
            assert!(self.acknowledged.contains_key(number), "{context}: {number} was invented");
        }
        for (number, _) in self.acknowledged.iter().filter(|(_, acknowledged)| **acknowledged) {
            assert!(numbers.binary_search(number).is_ok(), "{context}: acknowledged {number} is lost");
        }
        let keys = store.scan(KEYS, b"\0").unwrap();
        let keyed: Vec<u64> =
            keys.iter().map(|(key, _)| u64::from_be_bytes(key[..].try_into().unwrap())).collect();
        assert_eq!(keyed, numbers, "{context}: the state and the consumer differ");
        let last = store.get(KEYS, b"last").unwrap().map(|last| u64::from_be_bytes(last.try_into().unwrap()));
        assert_eq!(last, numbers.last().copied(), "{context}");
        let old = store.scan(KEYS, b"old").unwrap();
        assert!(old.len() <= 1 + self.holes(&numbers), "{context}: deletes were lost: {old:?}");
    }

    /// Numbers that are missing between others: each leaves one `old` key that its successor would have deleted.
    fn holes(&self, numbers: &[u64]) -> usize {
        numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count()
    }
}

/// Appends from several threads until `rounds` are done or the store refuses for good.
fn work(store: &Store, model: &Mutex<Model>, random: &mut Random, rounds: u64) {
    std::thread::scope(|scope| {
        for _ in 0..1 + random.below(3) {
            let mut random = Random::new(random.next_u64());
            scope.spawn(move || {
                for _ in 0..rounds {
                    // Numbers follow the journal's order because they are drawn and appended under one lock.
                    let (number, result) = {
                        let mut model = model.lock().unwrap();
                        let (number, transaction) = model.transaction(&mut random);
                        (number, store.append(transaction))
                    };
                    let outcome = result.and_then(|position| store.when_committed(position).wait());
                    match outcome {
                        Ok(_) => {
                            model.lock().unwrap().acknowledged.insert(number, true);
                        }
                        Err(AppendError::Shortage | AppendError::Backlog { .. }) => {}
                        Err(_) => return,
                    }
                }
            });
        }
    });
}

/// One life after another on one disk, each ended by `trouble` and a power cut.
fn lives(seed: u64, trouble: impl Fn(&SimDisk, &mut Random)) {
    let mut random = Random::new(seed);
    let disk = SimDisk::new(random.next_u64());
    let model = Mutex::new(Model::default());
    for life in 0..4 {
        let context = format!("seed {seed}, life {life}");
        trouble(&disk, &mut random);
        match open(&disk, &mut random) {
            Ok((store, numbers)) => {
                model.lock().unwrap().check(&store, &numbers, &context);
                let rounds = 5 + random.below(40);
                work(&store, &model, &mut random, rounds);
                // Either a power cut in the middle of things or one after an orderly end.
                if random.chance(70) {
                    disk.power_off();
                }
                let _ = store.close();
            }
            // The trouble came while opening; damage must never be reported for it.
            Err(store::OpenError::Io { .. } | store::OpenError::State { .. }) => {}
            Err(other) => panic!("{context}: {other}"),
        }
        disk.power_off();
        if random.chance(25) {
            disk.restart(); // Only the process died.
        } else {
            disk.power_on(random.next_u64());
        }
    }
    let (store, numbers) = open(&disk, &mut random).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    model.lock().unwrap().check(&store, &numbers, &format!("seed {seed}, at the end"));
    store.close().unwrap();
    let (store, numbers) = open(&disk, &mut random).unwrap();
    model.lock().unwrap().check(&store, &numbers, &format!("seed {seed}, after closing"));
}

#[test]
fn a_power_cut_at_any_operation_keeps_what_was_acknowledged() {
    for seed in 0..seeds() {
        lives(seed, |disk, random| disk.power_off_after(random.below(400)));
    }
}

#[test]
fn a_full_disk_refuses_and_recovers_and_keeps_what_was_acknowledged() {
    for seed in 0..seeds() {
        lives(seed, |disk, random| {
            disk.limit_bytes(Some(disk.used_bytes() + random.below(8_000)));
            if random.chance(50) {
                disk.power_off_after(random.below(600));
            }
        });
    }
}

#[test]
fn a_failed_write_or_sync_is_never_acknowledged() {
    for seed in 0..seeds() {
        lives(seed, |disk, random| {
            if random.chance(50) {
                disk.fail_write_after(random.below(100));
            } else {
                disk.fail_sync_after(random.below(100));
            }
        });
    }
}

#[test]
fn after_a_full_disk_appends_succeed_again_and_the_lost_stay_lost() {
    let disk = SimDisk::new(1);
    let mut random = Random::new(1);
    let (store, _numbers) = open(&disk, &mut random).unwrap();
    let put = |text: &str| {
        let mut transaction = Transaction::new();
        transaction.put(KEYS, text, vec![1; 500]);
        transaction
    };
    store.commit(put("before")).wait().unwrap();
    disk.limit_bytes(Some(disk.used_bytes() + 100));
    let lost = store.append(put("lost")).unwrap();
    assert_eq!(store.when_committed(lost).wait(), Err(AppendError::Shortage));
    assert_eq!(store.commit(put("lost too")).wait(), Err(AppendError::Shortage));
    disk.limit_bytes(None);
    let after = store.commit(put("after")).wait().unwrap();
    assert!(after > lost);
    assert_eq!(store.when_committed(lost).wait(), Err(AppendError::Shortage));
    disk.power_off();
    let _ = store.close();
    disk.power_on(3);
    let (store, _numbers) = open(&disk, &mut random).unwrap();
    let keys: Vec<Vec<u8>> = store.scan(KEYS, b"").unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [b"after".to_vec(), b"before".to_vec()]);
}

#[test]
fn listeners_learn_of_the_loss_before_the_next_commit() {
    let disk = SimDisk::new(1);
    let (store, _numbers) = open(&disk, &mut Random::new(1)).unwrap();
    let news = Arc::new(Mutex::new(Vec::new()));
    let heard = news.clone();
    store.on_commit(Box::new(move |event| heard.lock().unwrap().push(event)));
    let put = |bytes: usize| {
        let mut transaction = Transaction::new();
        transaction.put(KEYS, b"key", vec![1; bytes]);
        transaction
    };
    disk.limit_bytes(Some(disk.used_bytes()));
    let lost = store.append(put(100)).unwrap();
    assert!(store.when_committed(lost).wait().is_err());
    disk.limit_bytes(None);
    let kept = store.commit(put(100)).wait().unwrap();
    // Callbacks come from the writer thread, which closing waits for.
    store.close().unwrap();
    let news = news.lock().unwrap();
    assert!(matches!(&news[0], Err(store::Lost { up_to, .. }) if *up_to == lost), "{news:?}");
    assert_eq!(news[1], Ok(kept));
}

/// A listener takes back what it changed in memory together with the append; the client that is told of the loss may
/// ask about it at once.
#[test]
fn listeners_learn_of_a_loss_before_those_who_wait_for_it() {
    let disk = SimDisk::new(1);
    let (store, _numbers) = open(&disk, &mut Random::new(1)).unwrap();
    let (lost, early) = (Arc::new(Mutex::new(Position::NONE)), Arc::new(Mutex::new(Vec::new())));
    let (asking, asked, seen) = (store.clone(), lost.clone(), early.clone());
    let appended = Arc::new(std::sync::Barrier::new(2));
    let entered = appended.clone();
    store.on_commit(Box::new(move |event| {
        if event.is_err() {
            entered.wait();
            let mut waiting = Box::pin(asking.when_committed(*asked.lock().unwrap()));
            let polled = waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            seen.lock().unwrap().push(polled.is_pending());
        }
    }));
    disk.limit_bytes(Some(disk.used_bytes()));
    let mut transaction = Transaction::new();
    transaction.put(KEYS, b"key", vec![1; 100]);
    let position = store.append(transaction).unwrap();
    *lost.lock().unwrap() = position;
    appended.wait();
    assert!(store.when_committed(position).wait().is_err());
    assert_eq!(*early.lock().unwrap(), [true]);
}

#[test]
fn a_failure_while_closing_is_told_to_who_closes_and_to_who_waits() {
    let disk = SimDisk::new(1);
    let (store, _numbers) = open(&disk, &mut Random::new(1)).unwrap();
    let mut transaction = Transaction::new();
    transaction.entry(COUNTER, 1_u64.to_le_bytes());
    store.commit(transaction).wait().unwrap();
    // The checkpoint that closing makes is the first to sync again.
    disk.fail_sync_after(0);
    assert!(matches!(store.close(), Err(AppendError::Failed { .. })));
    assert!(matches!(store.wait_applied(Position(u64::MAX)), Err(AppendError::Failed { .. })));
}
