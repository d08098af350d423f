//! How long to wait before the next attempt to connect.

/// Exponential back-off with full jitter: a random time up to a ceiling that doubles with every failure.
///
/// When a server comes back, a thousand devices must not knock at the same moment. The least wait keeps one device
/// below AWS's one connection per second and client identifier [AWS General Reference].
#[derive(Clone, Debug)]
pub struct Backoff {
    config: BackoffConfig,
    failures: u32,
}

/// The times of a [`Backoff`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffConfig {
    /// Never less than this. Defaults to 1 s.
    pub least_ms: u64,
    /// The ceiling after the first failure. Defaults to 4 s: a thousand devices that a server lost in the same moment
    /// come back within AWS's 500 connections per second and account [AWS General Reference].
    pub first_ceiling_ms: u64,
    /// The ceiling stops to grow here. Defaults to 2 min.
    pub last_ceiling_ms: u64,
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self { least_ms: 1_000, first_ceiling_ms: 4_000, last_ceiling_ms: 120_000 }
    }
}

impl Backoff {
    /// Starts without failures.
    pub const fn new(config: BackoffConfig) -> Self {
        Self { config, failures: 0 }
    }

    /// Counts a failure and returns the time to wait. `random` is any number, evenly distributed.
    pub fn fail(&mut self, random: u32) -> u64 {
        let wait_ms = self.wait_ms(self.failures, random);
        self.failures = self.failures.saturating_add(1);
        wait_ms
    }

    /// The time to wait when others come back at the same moment, though nothing has failed here: up to the first
    /// ceiling.
    pub fn spread(&self, random: u32) -> u64 {
        self.wait_ms(0, random)
    }

    fn wait_ms(&self, failures: u32, random: u32) -> u64 {
        let BackoffConfig { least_ms, first_ceiling_ms, last_ceiling_ms } = self.config;
        let doubled = 1_u64.checked_shl(failures).unwrap_or(u64::MAX);
        let ceiling_ms = first_ceiling_ms.saturating_mul(doubled).min(last_ceiling_ms).max(least_ms);
        let span_ms = u128::from(ceiling_ms - least_ms) + 1;
        // INVARIANT: a fraction below 1 of the span is at most the span minus 1.
        least_ms + ((u128::from(random) * span_ms) >> 32) as u64
    }

    /// A connection has proved itself: the next failure is a first one.
    pub const fn succeed(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ceiling_doubles_up_to_its_last() {
        let mut backoff = Backoff::new(BackoffConfig::default());
        let ceilings = [4_000, 8_000, 16_000, 32_000, 64_000, 120_000, 120_000];
        for ceiling_ms in ceilings {
            assert_eq!(backoff.fail(u32::MAX), ceiling_ms);
        }
        backoff.succeed();
        assert_eq!(backoff.fail(u32::MAX), 4_000);
    }

    #[test]
    fn spreading_counts_no_failure() {
        let mut backoff = Backoff::new(BackoffConfig::default());
        backoff.fail(0);
        assert_eq!((backoff.spread(0), backoff.spread(u32::MAX)), (1_000, 4_000));
        assert_eq!(backoff.fail(u32::MAX), 8_000);
    }

    #[test]
    fn the_least_wait_is_never_undercut() {
        let mut backoff = Backoff::new(BackoffConfig::default());
        for _ in 0..100 {
            assert_eq!(backoff.fail(0), 1_000);
        }
    }

    proptest! {
        #[test]
        fn waits_stay_between_least_and_ceiling(
            least_ms in 0..5_000_u64, first in 0..10_000_u64, last in 0..1_000_000_u64,
            randoms in proptest::collection::vec(any::<u32>(), 1..100),
        ) {
            let config = BackoffConfig { least_ms, first_ceiling_ms: first, last_ceiling_ms: last };
            let mut backoff = Backoff::new(config);
            for random in randoms {
                let wait_ms = backoff.fail(random);
                prop_assert!((least_ms..=last.max(least_ms)).contains(&wait_ms));
            }
        }
    }
}
