//! How fast the journal is, beside a bare append and `fdatasync` of the same bytes.
//!
//! `cargo run --release -p store --example append_speed [directory]`
#![expect(clippy::unwrap_used, reason = "a measurement may end with a backtrace")]

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use store::{Keyspace, Store, StoreOptions, Transaction};

const RUN: Duration = Duration::from_secs(3);
const PAYLOAD_BYTES: usize = 200;

fn main() {
    let parent = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    for writers in [1, 16, 256] {
        let dir = std::path::Path::new(&parent).join(format!("append-speed-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let raw = raw_appends(&dir.join("raw"), writers);
        let journal = journal_appends(&dir.join("store"), writers);
        println!(
            "{writers:4} at once: raw {raw:8.0}/s, journal {journal:8.0}/s, {:3.0} %",
            100.0 * journal / raw
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

/// Batches of `writers` records, each batch one write and one fdatasync.
fn raw_appends(path: &std::path::Path, writers: usize) -> f64 {
    let mut file = File::create(path).unwrap();
    let batch = vec![7; writers * (PAYLOAD_BYTES + 16)];
    let start = Instant::now();
    let mut appended = 0;
    while start.elapsed() < RUN {
        file.write_all(&batch).unwrap();
        file.sync_data().unwrap();
        appended += writers;
    }
    appended as f64 / start.elapsed().as_secs_f64()
}

/// One thread keeps `writers` appends in flight and waits for the oldest, as an event loop does.
fn journal_appends(dir: &std::path::Path, writers: usize) -> f64 {
    let store = Store::open(StoreOptions::directory(dir)).unwrap().recover(vec![]).unwrap();
    let start = Instant::now();
    let mut appended = 0;
    let mut waiting = std::collections::VecDeque::new();
    while start.elapsed() < RUN {
        while waiting.len() < writers {
            let mut transaction = Transaction::new();
            transaction.put(Keyspace("k"), b"key", [7; PAYLOAD_BYTES - 17]);
            waiting.push_back(store.append(transaction).unwrap());
        }
        // All of a batch commit together: wait for the newest of them.
        let oldest = waiting.pop_front().unwrap();
        store.when_committed(oldest).wait().unwrap();
        let committed = store.committed();
        appended += 1;
        while waiting.front().is_some_and(|&position| position <= committed) {
            waiting.pop_front();
            appended += 1;
        }
    }
    let rate = appended as f64 / start.elapsed().as_secs_f64();
    store.close().unwrap();
    rate
}
