//! How long a client may be silent.

use crate::limits::Limits;
use crate::violation::Violation;
use std::time::{Duration, Instant};

/// The deadline that every packet of the client moves on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepAlive {
    /// After clamping; 0: no deadline.
    seconds: u16,
    heard_at: Instant,
}

impl KeepAlive {
    /// Counts from CONNACK.
    pub(crate) fn start(requested_s: u16, limits: &Limits, now: Instant) -> Self {
        // [AWS General Reference] 0 and more than 1200 become 1200, 1 to 29 become 30.
        let seconds = match (requested_s, limits.keep_alive_max_s) {
            (0, None) => 0,
            (requested, None) => requested.max(limits.keep_alive_min_s),
            (0, Some(max)) => max,
            (requested, Some(max)) => requested.max(limits.keep_alive_min_s).min(max),
        };
        Self { seconds, heard_at: now }
    }

    /// Seconds that apply; 0: no deadline.
    pub(crate) const fn seconds(&self) -> u16 {
        self.seconds
    }

    pub(crate) const fn heard(&mut self, now: Instant) {
        self.heard_at = now;
    }

    pub(crate) const fn heard_at(&self) -> Instant {
        self.heard_at
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        (self.seconds > 0).then(|| self.heard_at + self.silence_max())
    }

    pub(crate) fn check(&self, now: Instant) -> Option<Violation> {
        let late = self.deadline().is_some_and(|deadline| now >= deadline);
        let silence_s = u32::from(self.seconds) * 3 / 2;
        late.then_some(Violation::KeepAliveTimeout { keep_alive_s: self.seconds, silence_s })
    }

    /// [MQTT311 3.1.2-24] One and a half keep-alive periods: then the connection counts as broken.
    fn silence_max(&self) -> Duration {
        Duration::from_millis(u64::from(self.seconds) * 1_500)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_clamps_what_clients_ask_for() {
        let now = Instant::now();
        for (requested, applies) in
            [(0, 1_200), (1, 30), (29, 30), (30, 30), (60, 60), (1_200, 1_200), (10_000, 1_200)]
        {
            let keep_alive = KeepAlive::start(requested, &Limits::aws(), now);
            assert_eq!(keep_alive.seconds(), applies, "{requested}");
            let deadline = now + Duration::from_millis(u64::from(applies) * 1_500);
            assert_eq!(keep_alive.deadline(), Some(deadline));
        }
    }

    #[test]
    fn without_a_maximum_zero_means_never() {
        let now = Instant::now();
        assert_eq!(KeepAlive::start(0, &Limits::relaxed(), now).deadline(), None);
        assert_eq!(
            KeepAlive::start(1, &Limits::relaxed(), now).deadline(),
            Some(now + Duration::from_millis(1_500))
        );
        assert_eq!(KeepAlive::start(u16::MAX, &Limits::none(), now).seconds(), u16::MAX);
    }
}
