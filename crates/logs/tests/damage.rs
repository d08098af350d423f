//! Damaged segments are set aside, named, and the rest is served.
#![expect(clippy::unwrap_used, reason = "tests may, also outside of test functions")]

mod support;

use std::path::PathBuf;

use store::disk::sim::{Random, SimDisk};
use store::disk::{Disk, OpenMode};
use support::{NOW, Running, event, open, with_streams};

fn seeds() -> u64 {
    std::env::var("EYOT_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(50)
}

fn segments(disk: &SimDisk) -> Vec<PathBuf> {
    disk.paths().into_iter().filter(|path| path.extension().is_some_and(|end| end == "events")).collect()
}

fn size(disk: &SimDisk, path: &std::path::Path) -> u64 {
    disk.open(path, OpenMode::Read).unwrap().size().unwrap()
}

/// Sixty events in several segments, closed.
fn filled(seed: u64) -> (SimDisk, Vec<String>) {
    let disk = SimDisk::new(seed);
    let running = with_streams(&disk, 1_500);
    let messages: Vec<String> = (0..60).map(|number| format!("event number {number:03}")).collect();
    for (number, message) in messages.iter().enumerate() {
        running.put("a", &[(number as i64, message)]);
    }
    drop(running);
    // Once more, so that what waited to be sealed is sealed.
    drop(open(&disk, 1_500));
    (disk, messages)
}

fn served(running: &Running) -> Vec<String> {
    running.all()
}

#[test]
fn a_flipped_bit_anywhere_loses_little_and_is_reported() {
    for seed in 0..seeds() {
        let (disk, messages) = filled(seed);
        let mut random = Random::new(seed);
        let files = segments(&disk);
        let file = &files[usize::try_from(random.below(files.len() as u64)).unwrap()];
        let at = random.below(size(&disk, file));
        disk.flip_bit(file, at, 3);
        let running = open(&disk, 1_500);
        let found = served(&running);
        let context = format!("seed {seed}, {} at {at}", file.display());
        assert!(found.is_sorted(), "{context}");
        assert!(found.iter().all(|message| messages.contains(message)), "{context}: invented");
        let files_hit = found.len() < messages.len();
        let unsealed_tail = file == files.last().unwrap();
        // The last record of the unsealed segment cannot be told from a torn one.
        assert!(
            !files_hit || !running.logs.damages().is_empty() || (unsealed_tail && found.len() == 59),
            "{context}"
        );
        assert!(found.len() >= 30, "{context}: {} are left", found.len());
        for damage in running.logs.damages() {
            assert!(damage.file.to_string_lossy().contains(".events"), "{damage}");
        }
        running.put("a", &[(100, "goes on")]);
        assert_eq!(served(&running).len(), found.len() + 1, "{context}");
        drop(running);
        assert_eq!(served(&open(&disk, 1_500)).len(), found.len() + 1, "{context}: after a restart");
    }
}

#[test]
fn a_damaged_record_of_the_unsealed_segment_costs_only_itself() {
    let disk = SimDisk::new(3);
    let running = with_streams(&disk, 1 << 20);
    running.put("a", &[(0, "first")]);
    running.put("a", &[(1, "second")]);
    running.put("a", &[(2, "third")]);
    drop(running);
    let file = segments(&disk).pop().unwrap();
    // Header 24, record 48 and `first`; then into the second's message.
    disk.flip_bit(&file, 24 + 48 + 5 + 48 + 2, 1);
    let running = open(&disk, 1 << 20);
    assert_eq!(served(&running), ["first", "third"]);
    let damages = running.logs.damages();
    assert_eq!((damages.len(), damages[0].offset), (1, 24 + 48 + 5));
    assert!(damages[0].file.to_string_lossy().ends_with(".events.damaged"));
    assert!(disk.exists(&damages[0].file));
    drop(running);
    assert_eq!(open(&disk, 1 << 20).logs.damages().len(), 1, "later starts report it as well");
}

#[test]
fn half_a_record_at_the_end_is_cut() {
    let disk = SimDisk::new(3);
    let running = with_streams(&disk, 1 << 20);
    running.put("a", &[(0, "first")]);
    drop(running);
    let path = segments(&disk).pop().unwrap();
    let file = disk.open(&path, OpenMode::Write).unwrap();
    let before = file.size().unwrap();
    file.write_all_at(before, &[5; 40]).unwrap();
    let running = open(&disk, 1 << 20);
    assert_eq!(served(&running), ["first"]);
    assert_eq!((size(&disk, &path), running.logs.damages().len()), (before, 0));
}

#[test]
fn a_block_that_decays_while_running_is_skipped_and_named() {
    let disk = SimDisk::new(3);
    let running = with_streams(&disk, 200_000);
    let large = "x".repeat(50_000);
    for number in 0..9 {
        let events = vec![event(NOW + number, format!("{number} {large}"))];
        running.logs.put_events(support::GROUP, "a", events, NOW).wait().unwrap();
    }
    drop(running);
    drop(open(&disk, 200_000));
    let running = open(&disk, 200_000);
    disk.flip_bit(&segments(&disk)[0], 1_000, 0);
    let found = served(&running);
    assert_eq!(found.len(), 8);
    assert_eq!(running.logs.damages().len(), 1);
    assert_eq!(served(&running).len(), 8);
    assert_eq!(running.logs.damages().len(), 1, "reported once");
}
