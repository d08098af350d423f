//! One bucket for each of many names.

use super::{Rate, TokenBucket};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// Names that are remembered at once; the one that has been known longest is forgotten first.
///
/// A name is forgotten by itself when its bucket is full again. With AWS's limits there are at most a thousand: 500 new
/// ones a second, and a second's worth. The bound holds where those are lifted, at about 20 MiB with the longest names.
pub const KEYS_MAX: usize = 65_536;

/// Buckets by name.
#[derive(Debug, Default)]
pub struct KeyedBuckets {
    buckets: HashMap<Arc<str>, TokenBucket>,
    /// Every name of `buckets` once.
    order: VecDeque<Arc<str>>,
}

impl KeyedBuckets {
    /// Takes one from the bucket of this name.
    ///
    /// # Errors
    /// When there will be one.
    pub fn take(&mut self, name: &str, rate: Rate, now: Instant) -> Result<(), Instant> {
        if rate.is_unlimited() {
            return Ok(());
        }
        self.forget_full(now);
        if let Some(bucket) = self.buckets.get_mut(name) {
            return bucket.take(1, rate, now);
        }
        if self.order.len() >= KEYS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.buckets.remove(&oldest);
        }
        let (name, mut bucket) = (Arc::<str>::from(name), TokenBucket::full(now));
        let taken = bucket.take(1, rate, now);
        self.buckets.insert(Arc::clone(&name), bucket);
        self.order.push_back(name);
        taken
    }

    /// How many names are remembered.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Forgets two at most, so that none waits for it; each call adds one at most, so they do not pile up.
    fn forget_full(&mut self, now: Instant) {
        for _ in 0..2 {
            let Some(name) = self.order.pop_front() else { return };
            if self.buckets.get(&name).is_some_and(|bucket| bucket.is_full(now)) {
                self.buckets.remove(&name);
            } else {
                // Still in use: looked at again when all others were.
                self.order.push_back(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const ONCE: Rate = Rate::per_second(1);

    #[test]
    fn every_name_has_its_own() {
        let (mut buckets, start) = (KeyedBuckets::default(), Instant::now());
        assert_eq!(buckets.take("a", ONCE, start), Ok(()));
        assert_eq!(buckets.take("a", ONCE, start), Err(start + Duration::from_secs(1)));
        assert_eq!(buckets.take("b", ONCE, start), Ok(()));
        assert_eq!(buckets.take("a", ONCE, start + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn names_are_forgotten_when_their_buckets_are_full_again() {
        let (mut buckets, mut now) = (KeyedBuckets::default(), Instant::now());
        for number in 0..10_000 {
            assert_eq!(buckets.take(&number.to_string(), ONCE, now), Ok(()));
            now += Duration::from_millis(10);
        }
        assert!(buckets.len() <= 201, "{} names are remembered for a second", buckets.len());
        assert_eq!(buckets.len(), buckets.buckets.len());
    }

    #[test]
    fn no_more_than_the_limit_are_remembered() {
        let (mut buckets, now) = (KeyedBuckets::default(), Instant::now());
        for number in 0..KEYS_MAX + 3 {
            assert_eq!(buckets.take(&number.to_string(), ONCE, now), Ok(()));
        }
        assert_eq!((buckets.len(), buckets.buckets.len()), (KEYS_MAX, KEYS_MAX));
    }

    #[test]
    fn an_unlimited_rate_remembers_nobody() {
        let (mut buckets, now) = (KeyedBuckets::default(), Instant::now());
        assert_eq!(buckets.take("a", Rate::UNLIMITED, now), Ok(()));
        assert!(buckets.is_empty());
    }
}
