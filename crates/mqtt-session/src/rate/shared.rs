//! One bucket for several threads.
//!
//! If all of them took from it with every message, the bucket's memory would wander between their processors. So each
//! takes some in advance, a 256th of a second's worth, and that [`Lease`] costs a subtraction. What a thread has
//! leased and does not use is missing to the others; with AWS's 20,000 a second that is 78, and a rate below 256 is
//! taken one by one, to be exact.

use super::{Rate, SECOND_NS};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The part of a second's worth that a lease takes in advance.
const LEASES_PER_SECOND: u32 = 256;

/// A bucket that threads share.
#[derive(Debug)]
pub struct SharedBucket {
    epoch: Instant,
    /// Nanoseconds since `epoch`.
    full_at_ns: AtomicU64,
}

impl SharedBucket {
    /// A full one.
    pub const fn full(now: Instant) -> Self {
        Self { epoch: now, full_at_ns: AtomicU64::new(0) }
    }

    /// Takes so many, if there are as many.
    ///
    /// # Errors
    /// When there will be as many. Nothing was taken.
    pub fn take(&self, tokens: u64, rate: Rate, now: Instant) -> Result<(), Instant> {
        self.take_some(tokens, tokens, rate, now).map(drop)
    }

    /// Puts back what was just taken and not used.
    pub fn give_back(&self, tokens: u64, rate: Rate) {
        // What was taken has moved it on by as much.
        self.full_at_ns.fetch_sub(tokens * rate.one_ns, Ordering::Relaxed);
    }

    /// Takes `least` to `most`, as many as there are; gives how many.
    fn take_some(&self, least: u64, most: u64, rate: Rate, now: Instant) -> Result<u64, Instant> {
        let now_ns = u64::try_from(now.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX);
        let mut full_at_ns = self.full_at_ns.load(Ordering::Relaxed);
        loop {
            let from_ns = full_at_ns.max(now_ns);
            let room_ns = (now_ns + SECOND_NS).saturating_sub(from_ns);
            let taken = room_ns.checked_div(rate.one_ns).unwrap_or(most).min(most);
            if taken < least {
                let at_ns = (from_ns + rate.cost_ns(least)).saturating_sub(SECOND_NS);
                return Err(self.epoch + Duration::from_nanos(at_ns));
            }
            // Only the number counts, and nothing else is read by it.
            let then_ns = from_ns.saturating_add(taken * rate.one_ns);
            match self.full_at_ns.compare_exchange_weak(
                full_at_ns,
                then_ns,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(taken),
                Err(present) => full_at_ns = present,
            }
        }
    }
}

/// What one thread has taken of a [`SharedBucket`] in advance.
#[derive(Debug, Default)]
pub struct Lease {
    left: u64,
}

impl Lease {
    /// Takes so many, from the lease or else from the bucket.
    ///
    /// # Errors
    /// When the bucket will have as many. Nothing was taken.
    pub fn take(
        &mut self,
        tokens: u64,
        bucket: &SharedBucket,
        rate: Rate,
        now: Instant,
    ) -> Result<(), Instant> {
        if self.left < tokens {
            let missing = tokens - self.left;
            let advance = u64::from(rate.count() / LEASES_PER_SECOND);
            self.left += bucket.take_some(missing, missing.max(advance), rate, now)?;
        }
        self.left -= tokens;
        Ok(())
    }

    /// Puts back what was taken and not used.
    pub fn give_back(&mut self, tokens: u64) {
        self.left += tokens;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(lease: &mut Lease, bucket: &SharedBucket, rate: Rate, now: Instant) -> usize {
        std::iter::from_fn(|| lease.take(1, bucket, rate, now).ok()).take(100_000).count()
    }

    #[test]
    fn threads_share_one_seconds_worth() {
        let (rate, start) = (Rate::per_second(20_000), Instant::now());
        let bucket = SharedBucket::full(start);
        let (mut one, mut other) = (Lease::default(), Lease::default());
        assert_eq!(one.take(1, &bucket, rate, start), Ok(()));
        assert_eq!(taken(&mut other, &bucket, rate, start), 20_000 - 78, "one has leased a 256th");
        assert_eq!(taken(&mut one, &bucket, rate, start), 77, "and can use it");
        let later = start + Duration::from_millis(100);
        let both = taken(&mut one, &bucket, rate, later) + taken(&mut other, &bucket, rate, later);
        assert_eq!(both, 2_000);
    }

    #[test]
    fn small_rates_are_exact() {
        let (rate, start) = (Rate::per_second(5), Instant::now());
        let bucket = SharedBucket::full(start);
        let (mut one, mut other) = (Lease::default(), Lease::default());
        assert_eq!(one.take(1, &bucket, rate, start), Ok(()));
        assert_eq!(taken(&mut other, &bucket, rate, start), 4);
        let at = one.take(1, &bucket, rate, start).unwrap_err();
        assert_eq!(at, start + Duration::from_millis(200));
        assert_eq!(one.take(1, &bucket, rate, at), Ok(()));
    }

    #[test]
    fn several_at_once_are_taken_together_or_not_at_all() {
        let (rate, start) = (Rate::per_second(10), Instant::now());
        let bucket = SharedBucket::full(start);
        assert_eq!(bucket.take(8, rate, start), Ok(()));
        assert_eq!(bucket.take(3, rate, start), Err(start + Duration::from_millis(100)));
        assert_eq!(bucket.take(2, rate, start), Ok(()));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let (rate, start) = (Rate::per_second(1), Instant::now());
        let bucket = SharedBucket::full(start);
        let mut lease = Lease::default();
        assert_eq!(lease.take(1, &bucket, rate, start), Ok(()));
        lease.give_back(1);
        assert_eq!(taken(&mut lease, &bucket, rate, start), 1);
        bucket.give_back(1, rate);
        assert_eq!(taken(&mut lease, &bucket, rate, start), 1);
    }

    #[test]
    fn an_unlimited_rate_is_never_reached() {
        let start = Instant::now();
        let bucket = SharedBucket::full(start);
        assert_eq!(taken(&mut Lease::default(), &bucket, Rate::UNLIMITED, start), 100_000);
        assert_eq!(bucket.full_at_ns.load(Ordering::Relaxed), 0, "it stays full");
    }

    /// Four threads take what they can: together a second's worth, not one more.
    #[test]
    fn nothing_is_given_twice() {
        let (rate, start) = (Rate::per_second(10_000), Instant::now());
        let bucket = SharedBucket::full(start);
        let sum: usize = std::thread::scope(|scope| {
            let thread = || scope.spawn(|| taken(&mut Lease::default(), &bucket, rate, start));
            let threads = [thread(), thread(), thread(), thread()];
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(sum, 10_000);
    }
}
