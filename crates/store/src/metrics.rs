//! What the journal's writer does, counted for metrics: by its thread alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the classes of commit times, in microseconds: from memory to a disk in trouble.
pub const COMMIT_MICROSECONDS: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];

/// What the journal has done since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JournalMetrics {
    /// Transactions that became durable.
    pub transactions: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Commits: each one write and one fdatasync, for however many transactions.
    pub commits: u64,
    /// Time that they took, in all.
    pub commit_time: Duration,
    /// How many commits took at most as long as the class of [`COMMIT_MICROSECONDS`], and longer than the class before. Those that
    /// took longer than all are in none.
    pub commits_by_time: [u64; COMMIT_MICROSECONDS.len()],
    /// Bytes that are not in the keyed state and the log segments yet.
    pub backlog_bytes: u64,
}

/// The writer's counters.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    transactions: AtomicU64,
    bytes: AtomicU64,
    commits: AtomicU64,
    commit_nanoseconds: AtomicU64,
    commits_by_time: [AtomicU64; COMMIT_MICROSECONDS.len()],
}

impl Counters {
    /// A commit of so many transactions took so long.
    pub(crate) fn committed(&self, transactions: usize, bytes: u64, took: Duration) {
        let add = |counter: &AtomicU64, count: u64| {
            counter.fetch_add(count, Ordering::Relaxed);
        };
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        add(&self.transactions, transactions as u64);
        add(&self.bytes, bytes);
        add(&self.commits, 1);
        add(&self.commit_nanoseconds, nanoseconds);
        let class = COMMIT_MICROSECONDS.iter().position(|bound| nanoseconds <= bound * 1_000);
        if let Some(class) = class {
            add(&self.commits_by_time[class], 1);
        }
    }

    pub(crate) fn read(&self, backlog_bytes: u64) -> JournalMetrics {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        JournalMetrics {
            transactions: of(&self.transactions),
            bytes: of(&self.bytes),
            commits: of(&self.commits),
            commit_time: Duration::from_nanos(of(&self.commit_nanoseconds)),
            commits_by_time: std::array::from_fn(|class| of(&self.commits_by_time[class])),
            backlog_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_told_apart_by_their_time() {
        let counters = Counters::default();
        for microseconds in [1, 100, 101, 1_000_000, 1_000_001] {
            counters.committed(2, 10, Duration::from_micros(microseconds));
        }
        let read = counters.read(7);
        assert_eq!((read.transactions, read.bytes, read.commits, read.backlog_bytes), (10, 50, 5, 7));
        assert_eq!((read.commits_by_time[0], read.commits_by_time[1], read.commits_by_time[11]), (2, 1, 1));
        assert_eq!(read.commit_time, Duration::from_micros(2_000_203));
    }
}
