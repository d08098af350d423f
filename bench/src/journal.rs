//! Appends that wait for the disk. Floor: one write and one `fdatasync` of as many bytes.

use crate::measure::compare;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use store::{Keyspace, Position, Store, StoreOptions, Transaction};

const VALUE_BYTES: usize = 200;

/// Bytes of a record besides the value: its header, and the operation with keyspace and key.
const RECORD_OVERHEAD_BYTES: usize = 16 + 19;

pub(crate) fn run(directory: &Path) {
    for writers in [1, 16, 256] {
        let directory = directory.join(format!("journal-{writers}"));
        std::fs::create_dir_all(&directory).unwrap();
        let mut raw = File::create(directory.join("raw")).unwrap();
        let bytes = vec![7; writers * (VALUE_BYTES + RECORD_OVERHEAD_BYTES)];
        let store =
            Store::open(StoreOptions::directory(directory.join("store"))).unwrap().recover(vec![]).unwrap();
        compare(
            &format!("journal: {writers} appends until they are durable"),
            || {
                let mut last = Position::NONE;
                for _ in 0..writers {
                    let mut transaction = Transaction::new();
                    transaction.put(Keyspace("bench"), b"key", [7; VALUE_BYTES]);
                    last = store.append(transaction).unwrap();
                }
                store.when_committed(last).wait().unwrap()
            },
            || {
                raw.write_all(&bytes).unwrap();
                raw.sync_data().unwrap();
            },
        );
        store.close().unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
