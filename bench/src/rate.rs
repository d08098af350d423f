//! May this message pass? Floor: counting it in an atomic number that no other thread writes.

use crate::measure::compare;
use mqtt_session::rate::{KeyedBuckets, Lease, SharedBucket, TokenBucket};
use mqtt_session::{Limits, Rate};
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(crate) fn run(_: &Path) {
    let (limits, counter) = (Limits::aws(), AtomicU64::new(0));
    let count = || counter.fetch_add(1, Ordering::Relaxed);
    // Each call is a turn of its own, and late enough for the rate to allow it.
    let mut now = Instant::now();
    let mut turn = move || {
        now += Duration::from_millis(10);
        now
    };
    let start = turn();
    let mut bucket = TokenBucket::full(start);
    compare(
        "rate: a connection's message",
        || assert!(bucket.take(1, black_box(limits.connection_publishes_per_s), turn()).is_ok()),
        count,
    );
    let (shared, mut lease) = (SharedBucket::full(start), Lease::default());
    compare(
        "rate: an account's message, leased",
        || assert!(lease.take(1, &shared, black_box(limits.account_publishes_in_per_s), turn()).is_ok()),
        count,
    );
    compare(
        "rate: an account's message, not leased",
        || assert!(shared.take(1, black_box(limits.account_publishes_in_per_s), turn()).is_ok()),
        count,
    );
    compare(
        "rate: both, without a limit",
        || {
            let now = turn();
            assert!(bucket.take(1, black_box(Rate::UNLIMITED), now).is_ok());
            assert!(lease.take(1, &shared, black_box(Rate::UNLIMITED), now).is_ok());
        },
        count,
    );
    let mut buckets = KeyedBuckets::default();
    let names: Vec<String> = (0..1_000).map(|number| format!("dt/building-7/kitchen/{number}")).collect();
    let mut next = 0;
    compare(
        "rate: one of 1,000 names",
        || {
            next = (next + 1) % names.len();
            assert!(buckets.take(&names[next], black_box(limits.topic_retained_per_s), turn()).is_ok());
        },
        count,
    );
}
