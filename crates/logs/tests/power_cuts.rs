//! Power cuts, full and failing disks under rules and PutLogEvents: what was acknowledged is there, once per
//! position, in order, and nothing that nobody sent.
//!
//! `EYOT_SEEDS=1000` runs more seeds than the short run's 50.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests may, also outside of test functions")]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use logs::{LogsError, LogsOpenError, NewGroup};
use store::disk::sim::{Random, SimDisk};
use store::{OpenError, StoreOptions, Transaction};
use support::{GROUP, NOW, Running, event, open_with};

fn seeds() -> u64 {
    std::env::var("EYOT_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(50)
}

fn start(disk: &SimDisk, random: &mut Random) -> Result<Running, LogsOpenError> {
    let mut options = StoreOptions::simulated(Arc::new(disk.clone()));
    options.segment_bytes_max = 300 + random.below(3_000);
    options.checkpoint_bytes = 500 + random.below(8_000);
    open_with(options, 300 + random.below(3_000))
}

/// Every message that was ever sent, and whether it was acknowledged. Messages are `<stream> <number>`.
#[derive(Default)]
struct Model {
    sent: BTreeMap<String, bool>,
    next: u64,
}

impl Model {
    fn message(&mut self, stream: &str, random: &mut Random) -> String {
        let padding = ".".repeat(usize::try_from(random.below(120)).unwrap());
        let message = format!("{stream} {:06} {padding}", self.next);
        self.next += 1;
        self.sent.insert(message.clone(), false);
        message
    }

    fn check(&self, running: &Running, context: &str) {
        let found = running.all();
        let mut sorted = found.clone();
        sorted.sort();
        for message in &found {
            assert!(self.sent.contains_key(message), "{context}: invented {message}");
        }
        for (message, _) in self.sent.iter().filter(|(_, acknowledged)| **acknowledged) {
            assert!(sorted.binary_search(message).is_ok(), "{context}: lost {message}");
        }
        sorted.dedup();
        assert_eq!(sorted.len(), found.len(), "{context}: duplicates");
        // All have the same timestamp, so they come in order of arrival, and each stream is written by one thread.
        for stream in ["rule", "put"] {
            let of_stream: Vec<&String> =
                found.iter().filter(|message| message.starts_with(stream)).collect();
            assert!(of_stream.is_sorted(), "{context}: order of {stream}");
        }
    }
}

/// One thread publishes through rules, one puts batches, until `rounds` or until the store refuses for good.
fn work(running: &Running, model: &Mutex<Model>, random: &mut Random, rounds: u64) {
    let passes = |error: &LogsError| *error == LogsError::Shortage;
    std::thread::scope(|scope| {
        let mut rule_random = Random::new(random.next_u64());
        scope.spawn(move || {
            for _ in 0..rounds {
                let mut transaction = Transaction::new();
                let messages: Vec<String> = (0..1 + rule_random.below(3))
                    .map(|_| model.lock().unwrap().message("rule", &mut rule_random))
                    .collect();
                for message in &messages {
                    running.logs.rule_event(GROUP, "rule", NOW, message, NOW, &mut transaction).unwrap();
                }
                match running.store.commit(transaction).wait() {
                    Ok(_) => messages.into_iter().for_each(|message| {
                        model.lock().unwrap().sent.insert(message, true);
                    }),
                    Err(error) if passes(&error.clone().into()) => {}
                    Err(store::AppendError::Backlog { .. }) => {}
                    Err(_) => return,
                }
            }
        });
        let mut put_random = Random::new(random.next_u64());
        scope.spawn(move || {
            for _ in 0..rounds {
                let messages: Vec<String> = (0..1 + put_random.below(4))
                    .map(|_| model.lock().unwrap().message("put", &mut put_random))
                    .collect();
                let events = messages.iter().map(|message| event(NOW, message)).collect();
                match running.logs.put_events(GROUP, "put", events, NOW).wait() {
                    Ok(_) => messages.into_iter().for_each(|message| {
                        model.lock().unwrap().sent.insert(message, true);
                    }),
                    Err(error) if passes(&error) => {}
                    Err(_) => return,
                }
            }
        });
    });
}

fn lives(seed: u64, trouble: impl Fn(&SimDisk, &mut Random)) {
    let mut random = Random::new(seed);
    let disk = SimDisk::new(random.next_u64());
    let model = Mutex::new(Model::default());
    {
        let running = start(&disk, &mut random).unwrap();
        running.logs.create_group(NewGroup { name: GROUP.to_owned(), ..NewGroup::default() }, NOW).unwrap();
        running.logs.create_stream(GROUP, "put", NOW).unwrap();
    }
    for life in 0..4 {
        let context = format!("seed {seed}, life {life}");
        trouble(&disk, &mut random);
        match start(&disk, &mut random) {
            Ok(running) => {
                // The trouble may strike while looking; then the next life looks.
                if !disk.is_powered() {
                    continue_after_cut(&disk, running, &mut random);
                    continue;
                }
                let rounds = 5 + random.below(25);
                work(&running, &model, &mut random, rounds);
                if random.chance(70) {
                    disk.power_off();
                }
                drop(running);
            }
            Err(
                LogsOpenError::Io { .. }
                | LogsOpenError::Store(OpenError::Io { .. } | OpenError::State { .. }),
            ) => {}
            Err(other) => panic!("{context}: {other}"),
        }
        disk.power_off();
        if random.chance(25) {
            disk.restart(); // Only the process died.
        } else {
            disk.power_on(random.next_u64());
        }
        let running = start(&disk, &mut random).unwrap_or_else(|error| panic!("{context}: {error}"));
        model.lock().unwrap().check(&running, &context);
        assert_eq!(running.logs.damages(), [], "{context}: a crash is not damage");
        if random.chance(50) {
            disk.power_off();
        }
        drop(running);
        disk.power_off();
        disk.power_on(random.next_u64());
    }
    let running = start(&disk, &mut random).unwrap();
    model.lock().unwrap().check(&running, &format!("seed {seed}, at the end"));
}

fn continue_after_cut(disk: &SimDisk, running: Running, random: &mut Random) {
    drop(running);
    disk.power_off();
    disk.power_on(random.next_u64());
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
            disk.limit_bytes(Some(disk.used_bytes() + random.below(12_000)));
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
                disk.fail_write_after(random.below(120));
            } else {
                disk.fail_sync_after(random.below(120));
            }
        });
    }
}

#[test]
fn after_a_full_disk_events_are_stored_again() {
    let disk = SimDisk::new(1);
    let running = support::with_streams(&disk, 1 << 20);
    running.put("a", &[(0, "before")]);
    disk.limit_bytes(Some(disk.used_bytes() + 10));
    let refused = running.logs.put_events(GROUP, "a", vec![event(NOW + 1, "refused")], NOW).wait();
    assert_eq!(refused, Err(LogsError::Shortage));
    disk.limit_bytes(None);
    running.put("a", &[(2, "after")]);
    assert_eq!(running.all(), ["before", "after"]);
}

/// A change that was refused on a full disk has others read the state anew: they must not wait for the disk then.
#[test]
fn the_keyed_state_is_current_while_log_segments_find_no_room() {
    const KEYS: store::Keyspace = store::Keyspace("keys");
    let disk = SimDisk::new(1);
    let running = open_with(StoreOptions::simulated(Arc::new(disk.clone())), 10_000).unwrap();
    running.logs.create_group(NewGroup { name: GROUP.to_owned(), ..NewGroup::default() }, NOW).unwrap();
    let mut transaction = Transaction::new();
    running.logs.rule_event(GROUP, "rule", NOW, &"m".repeat(500), NOW, &mut transaction).unwrap();
    transaction.put(KEYS, "key", "value");
    // Room for the journal's record, and not for the segment's.
    disk.limit_bytes(Some(disk.used_bytes() + transaction.bytes_len() as u64 + 200));
    let position = running.store.commit(transaction).wait().unwrap();
    running.store.wait_in_state(position).unwrap();
    assert_eq!(running.store.get(KEYS, "key").unwrap(), Some(b"value".to_vec()));
    assert_eq!(running.all(), [""; 0], "the event waits for room");
    disk.limit_bytes(None);
    running.store.wait_applied(position).unwrap();
    assert_eq!(running.all().len(), 1);
}
