//! Damage is told from a torn tail and refused by name; a directory is told from others.
#![expect(clippy::unwrap_used, reason = "tests may, also outside of test functions")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use store::disk::sim::SimDisk;
use store::disk::{Disk, OpenMode};
use store::{Keyspace, OpenError, Store, StoreOptions, Transaction};

const KEYS: Keyspace = Keyspace("keys");

fn options(disk: &SimDisk) -> StoreOptions {
    StoreOptions { segment_bytes_max: 1_000, ..StoreOptions::simulated(Arc::new(disk.clone())) }
}

/// Ten acknowledged records of 100 bytes, then the power goes: no checkpoint.
fn disk_with_records(count: u32) -> SimDisk {
    let disk = SimDisk::new(5);
    let store = Store::open(options(&disk)).unwrap().recover(vec![]).unwrap();
    for number in 0..count {
        let mut transaction = Transaction::new();
        transaction.put(KEYS, number.to_be_bytes(), [1; 100]);
        store.commit(transaction).wait().unwrap();
    }
    disk.power_off();
    let _ = store.close();
    disk.power_on(5);
    disk
}

fn journal_files(disk: &SimDisk) -> Vec<PathBuf> {
    disk.paths().into_iter().filter(|path| path.extension().is_some_and(|end| end == "journal")).collect()
}

fn open(disk: &SimDisk) -> Result<usize, OpenError> {
    Ok(Store::open(options(disk))?.scan(KEYS, b"").unwrap().len())
}

#[test]
fn a_flipped_bit_before_later_records_is_damage_and_named() {
    for offset in [32, 36, 40, 48, 60, 149] {
        let disk = disk_with_records(20);
        let files = journal_files(&disk);
        let last = files.last().unwrap();
        assert!(disk.open(last, OpenMode::Read).unwrap().size().unwrap() > 300);
        disk.flip_bit(last, offset, 3);
        match open(&disk) {
            Err(OpenError::Damaged { file, offset, .. }) => assert_eq!((&file, offset), (last, 32)),
            other => panic!("{offset}: {other:?}"),
        }
    }
}

#[test]
fn a_flipped_bit_in_an_earlier_segment_is_damage() {
    let disk = disk_with_records(20);
    let first = &journal_files(&disk)[0];
    let size = disk.open(first, OpenMode::Read).unwrap().size().unwrap();
    disk.flip_bit(first, size - 1, 0);
    assert!(matches!(open(&disk), Err(OpenError::Damaged { file, .. }) if file == *first));
}

#[test]
fn half_a_record_at_the_end_is_cut() {
    let disk = disk_with_records(3);
    let last = journal_files(&disk).pop().unwrap();
    let file = disk.open(&last, OpenMode::Write).unwrap();
    let size = file.size().unwrap();
    file.write_all_at(size, &[9; 30]).unwrap();
    let opening = Store::open(options(&disk)).unwrap();
    let torn = opening.torn_tail().unwrap();
    assert_eq!((torn.offset, torn.bytes), (size, 30));
    assert_eq!(opening.scan(KEYS, b"").unwrap().len(), 3);
}

#[test]
fn a_missing_segment_is_damage() {
    for missing in 0..2 {
        let disk = disk_with_records(20);
        let files = journal_files(&disk);
        assert!(files.len() > 2);
        disk.remove_file(&files[missing]).unwrap();
        assert!(matches!(open(&disk), Err(OpenError::Damaged { .. })), "{missing}");
    }
}

#[test]
fn a_journal_that_ends_before_the_state_is_damage() {
    let disk = disk_with_records(20);
    // A checkpoint makes the state know about all twenty.
    Store::open(options(&disk)).unwrap().recover(vec![]).unwrap().close().unwrap();
    let last = journal_files(&disk).pop().unwrap();
    let file = disk.open(&last, OpenMode::Write).unwrap();
    file.set_size(file.size().unwrap() - 1).unwrap();
    assert!(matches!(open(&disk), Err(OpenError::Damaged { .. })));
}

/// Positions of records behind it would overflow.
#[test]
fn a_segment_that_begins_where_no_journal_gets_is_refused() {
    let disk = disk_with_records(1);
    let path = journal_files(&disk)[0].with_file_name(format!("{:020}.journal", u64::MAX - 20));
    disk.open(&path, OpenMode::CreateNew).unwrap();
    assert!(matches!(open(&disk), Err(OpenError::Damaged { file, .. }) if file == path));
}

#[test]
fn a_lost_state_is_refused() {
    let disk = disk_with_records(3);
    disk.remove_file(Path::new("/sim/state")).unwrap();
    assert!(matches!(open(&disk), Err(OpenError::State { .. })));
}

#[test]
fn other_formats_are_refused_by_name() {
    let refusal = |format: &[u8]| {
        let disk = disk_with_records(1);
        disk.remove_file(Path::new("/sim/FORMAT")).unwrap();
        let file = disk.open(Path::new("/sim/FORMAT"), OpenMode::CreateNew).unwrap();
        file.write_all_at(0, format).unwrap();
        open(&disk).unwrap_err().to_string()
    };
    assert_eq!(refusal(b"eyot 3\n"), "data directory `/sim` has format 3, this version reads up to 2");
    assert_eq!(
        refusal(b"eyot 1\n"),
        "data directory `/sim` has format 1, of an eyot before its first release; this version reads 2"
    );
}

#[test]
fn a_second_process_learns_who_holds_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let opening = Store::open(StoreOptions::directory(dir.path())).unwrap();
    let error = Store::open(StoreOptions::directory(dir.path())).map(drop).unwrap_err();
    let expected = format!("is in use by process {}", std::process::id());
    assert!(error.to_string().ends_with(&expected), "{error}");
    drop(opening);
    Store::open(StoreOptions::directory(dir.path())).map(drop).unwrap();
}
