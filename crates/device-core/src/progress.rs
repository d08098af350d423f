//! The application's promise to the watchdog.

/// How long the firmware may take from its start to its first promise: the radio's firmware is loaded by then.
const START_MS_MAX: u64 = 30_000;

/// Until when the application has promised to come by again.
///
/// The board's watchdog bites after 8 s at most, but a handshake or a rest may take longer. So the watchdog is fed by
/// the part that cannot be held up, and only while the application keeps what it promised before its last step: each
/// step promises the time that it may take. A step that hangs breaks the promise, and the board restarts.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    kept_until_ms: u64,
}

impl Progress {
    /// Before the first promise there are 30 s since the clock's start.
    pub const fn new() -> Self {
        Self { kept_until_ms: START_MS_MAX }
    }

    /// The application will promise again within this time. What it promised before no longer counts.
    pub const fn promise(&mut self, now_ms: u64, within_ms: u64) {
        self.kept_until_ms = now_ms.saturating_add(within_ms);
    }

    /// Whether the watchdog may be fed.
    pub const fn is_kept(&self, now_ms: u64) -> bool {
        now_ms <= self.kept_until_ms
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::Progress;

    #[test]
    fn a_promise_is_kept_until_it_is_due_and_the_last_one_counts() {
        let mut progress = Progress::new();
        assert!(progress.is_kept(30_000) && !progress.is_kept(30_001));
        progress.promise(40_000, 5_000);
        assert!(progress.is_kept(45_000) && !progress.is_kept(45_001));
        progress.promise(41_000, 1_000);
        assert!(!progress.is_kept(42_001), "a shorter promise replaces a longer one");
        progress.promise(43_000, u64::MAX);
        assert!(progress.is_kept(u64::MAX));
    }
}
