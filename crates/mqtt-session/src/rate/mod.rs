//! How much may happen in a second: rates, and the buckets that hold somebody to one.
//!
//! A bucket begins full with one second's worth, and fills up at its rate. All of them are kept as one point in time, the
//! one at which they will be full again (the "generic cell rate algorithm" of ATM networks): no timer fills them, and
//! one that nobody takes from costs nothing.
//!
//! - [`TokenBucket`]: one owner, one bucket.
//! - [`SharedBucket`] and [`Lease`]: one bucket for several threads, which each take some in advance.
//! - [`KeyedBuckets`]: one bucket for each of many names.

mod keyed;
mod shared;

pub use keyed::{KEYS_MAX, KeyedBuckets};
pub use shared::{Lease, SharedBucket};

use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
const SECOND_NS: u64 = 1_000_000_000;

/// How many of something are allowed in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    /// What one takes of a second, in nanoseconds, rounded down.
    one_ns: u64,
}

impl Rate {
    /// More than anybody can reach: taking one costs no time at all.
    pub const UNLIMITED: Self = Self::per_second(u32::MAX);

    /// So many in a second; 0 counts as 1.
    pub const fn per_second(count: u32) -> Self {
        let count = if count == 0 { 1 } else { count };
        Self { count, one_ns: SECOND_NS / count as u64 }
    }

    /// How many in a second; of [`UNLIMITED`](Self::UNLIMITED) it is `u32::MAX`.
    pub const fn count(self) -> u32 {
        self.count
    }

    /// Whether it is [`UNLIMITED`](Self::UNLIMITED).
    pub const fn is_unlimited(self) -> bool {
        self.count == u32::MAX
    }

    /// What so many take of a second, in nanoseconds.
    const fn cost_ns(self, tokens: u64) -> u64 {
        if tokens == 1 {
            return self.one_ns;
        }
        // Not from `one_ns`: its rounding would add up over the bytes of a large read.
        let ns = tokens as u128 * SECOND_NS as u128 / self.count as u128;
        if ns > u64::MAX as u128 { u64::MAX } else { ns as u64 }
    }
}

/// A bucket with one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    full_at: Instant,
}

impl TokenBucket {
    /// A full one.
    pub const fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes so many, if there are as many: a full bucket gives even more than a second's worth.
    ///
    /// # Errors
    /// When there will be as many. Nothing was taken.
    pub fn take(&mut self, tokens: u64, rate: Rate, now: Instant) -> Result<(), Instant> {
        let cost = Duration::from_nanos(rate.cost_ns(tokens));
        let (full_at, room) = (self.full_at.max(now) + cost, SECOND.max(cost));
        if full_at > now + room {
            return Err(full_at - room);
        }
        self.full_at = full_at;
        Ok(())
    }

    /// Takes so many, whether or not there are as many; gives when the debt is paid off, if there is one.
    pub fn charge(&mut self, tokens: u64, rate: Rate, now: Instant) -> Option<Instant> {
        self.full_at = self.full_at.max(now) + Duration::from_nanos(rate.cost_ns(tokens));
        (self.full_at > now + SECOND).then(|| self.full_at - SECOND)
    }

    /// Puts back what was taken and not used.
    pub fn give_back(&mut self, tokens: u64, rate: Rate) {
        // A bucket whose time has passed is full, however long ago that was.
        self.full_at -= Duration::from_nanos(rate.cost_ns(tokens));
    }

    /// Whether nothing was taken that has not come back by now.
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &mut TokenBucket, rate: Rate, now: Instant) -> usize {
        std::iter::from_fn(|| bucket.take(1, rate, now).ok()).take(10_000).count()
    }

    #[test]
    fn a_full_bucket_gives_a_seconds_worth_and_then_its_rate() {
        let (rate, start) = (Rate::per_second(100), Instant::now());
        let mut bucket = TokenBucket::full(start);
        assert_eq!(taken(&mut bucket, rate, start), 100);
        assert_eq!(taken(&mut bucket, rate, start + Duration::from_millis(9)), 0);
        assert_eq!(taken(&mut bucket, rate, start + Duration::from_millis(50)), 5);
        assert_eq!(taken(&mut bucket, rate, start + Duration::from_secs(3_600)), 100, "it does not overflow");
    }

    #[test]
    fn who_is_refused_is_told_when_to_come_again() {
        let (rate, start) = (Rate::per_second(4), Instant::now());
        let mut bucket = TokenBucket::full(start);
        assert_eq!(taken(&mut bucket, rate, start), 4);
        let at = bucket.take(1, rate, start).unwrap_err();
        assert_eq!(at, start + Duration::from_millis(250));
        assert_eq!(
            bucket.take(1, rate, at - Duration::from_nanos(1)),
            Err(at),
            "asking in vain takes nothing"
        );
        assert_eq!(bucket.take(1, rate, at), Ok(()));
    }

    #[test]
    fn more_than_a_seconds_worth_needs_a_full_bucket() {
        let (rate, start) = (Rate::per_second(10), Instant::now());
        let mut bucket = TokenBucket::full(start);
        assert_eq!(bucket.take(25, rate, start), Ok(()));
        assert!(bucket.take(1, rate, start + SECOND).is_err());
        assert_eq!(bucket.take(25, rate, start + Duration::from_millis(2_500)), Ok(()));
    }

    #[test]
    fn a_debt_is_paid_off_at_the_rate() {
        let (rate, start) = (Rate::per_second(1_000), Instant::now());
        let mut bucket = TokenBucket::full(start);
        assert_eq!(bucket.charge(1_000, rate, start), None);
        assert_eq!(bucket.charge(500, rate, start), Some(start + Duration::from_millis(500)));
        let later = start + Duration::from_millis(500);
        assert_eq!(bucket.charge(1, rate, later), Some(later + Duration::from_millis(1)));
        assert_eq!(bucket.charge(1, rate, start + Duration::from_secs(5)), None);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let (rate, start) = (Rate::per_second(1), Instant::now());
        let mut bucket = TokenBucket::full(start);
        assert_eq!(bucket.take(1, rate, start), Ok(()));
        assert!(!bucket.is_full(start));
        bucket.give_back(1, rate);
        assert!(bucket.is_full(start));
        assert_eq!(bucket.take(1, rate, start), Ok(()));
        assert!(bucket.take(1, rate, start).is_err());
    }

    #[test]
    fn an_unlimited_rate_is_never_reached() {
        let start = Instant::now();
        let mut bucket = TokenBucket::full(start);
        assert_eq!(taken(&mut bucket, Rate::UNLIMITED, start), 10_000);
        assert_eq!(bucket.take(1, Rate::UNLIMITED, start), Ok(()));
    }

    /// Bytes are charged by the thousands: what is lost to rounding must not add up.
    #[test]
    fn many_at_once_cost_what_they_cost_one_by_one() {
        let rate = Rate::per_second(512 * 1024);
        assert_eq!(rate.cost_ns(512 * 1024), SECOND_NS);
        assert_eq!(Rate::per_second(0), Rate::per_second(1));
    }
}
