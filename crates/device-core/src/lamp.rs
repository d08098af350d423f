//! What the LED tells a person who has no other sight of the board.
//!
//! The table for people is in `docs/board-led.md`.

/// A flash that is counted, in milliseconds.
const SHORT_MS: u64 = 150;
/// A flash that is told from a short one without a watch.
const LONG_MS: u64 = 600;
/// Between two flashes: long enough to count them.
const GAP_MS: u64 = 200;
/// Before the flashes begin again: long enough to know where to begin to count.
const PAUSE_MS: u64 = 1_000;
/// The flash for a reading that was sent; the post's value.
const PUBLISHED_MS: u64 = 50;

/// What the LED shows: so many flashes, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedPattern {
    /// Nothing: all is well, or nothing is known.
    Off,
    /// A reading was sent: one very short flash, once.
    Published,
    /// The board is not in the Wi-Fi network yet: two flashes, as the post's device shows then.
    JoiningWifi,
    /// It is in the network, which gave it no address: three.
    NoAddress,
    /// No server has told it the time, without which no certificate can be judged: four.
    NoTime,
    /// It connects to the server, or waits for its next attempt: five.
    Connecting,
    /// The server could not prove that it is the right one: six.
    ServerNotTrusted,
    /// The server does not want this device: seven.
    Refused,
    /// The configuration is missing, damaged, or cannot be used: long, short, long.
    ConfigurationUnusable,
}

impl LedPattern {
    /// How long each flash is, in milliseconds.
    const fn flashes(self) -> &'static [u64] {
        match self {
            Self::Off => &[],
            Self::Published => &[PUBLISHED_MS],
            Self::JoiningWifi => &[SHORT_MS; 2],
            Self::NoAddress => &[SHORT_MS; 3],
            Self::NoTime => &[SHORT_MS; 4],
            Self::Connecting => &[SHORT_MS; 5],
            Self::ServerNotTrusted => &[SHORT_MS; 6],
            Self::Refused => &[SHORT_MS; 7],
            Self::ConfigurationUnusable => &[LONG_MS, SHORT_MS, LONG_MS],
        }
    }

    /// How long the flashes of a round last, and how long it is until they begin again.
    fn round_ms(self) -> (u64, u64) {
        let flashes_ms = self.flashes().iter().map(|flash_ms| flash_ms + GAP_MS).sum::<u64>() - GAP_MS;
        (flashes_ms, flashes_ms + PAUSE_MS)
    }

    /// Whether the LED is on after so much of the pattern, and when in the pattern that changes; `None`: never.
    fn at(self, elapsed_ms: u64) -> (bool, Option<u64>) {
        let flashes = self.flashes();
        if flashes.is_empty() {
            return (false, None);
        }
        let (_, round_ms) = self.round_ms();
        let round_began_ms = elapsed_ms - elapsed_ms % round_ms;
        let mut edge_ms = round_began_ms;
        for flash_ms in flashes {
            edge_ms += flash_ms;
            if elapsed_ms < edge_ms {
                return (true, Some(edge_ms));
            }
            edge_ms += GAP_MS;
            if elapsed_ms < edge_ms {
                return (false, Some(edge_ms));
            }
        }
        (false, Some(round_began_ms + round_ms))
    }
}

/// Turns patterns into on and off.
///
/// Call [`poll`](Self::poll) after [`show`](Self::show) and whenever [`poll_timeout`](Self::poll_timeout) is due, and
/// set the LED as it says.
#[derive(Clone, Debug)]
pub struct Lamp {
    pattern: LedPattern,
    since_ms: u64,
    /// Until when the flash for a reading lasts.
    published_until_ms: Option<u64>,
    changes_at_ms: Option<u64>,
}

impl Lamp {
    /// Dark.
    pub const fn new() -> Self {
        Self { pattern: LedPattern::Off, since_ms: 0, published_until_ms: None, changes_at_ms: None }
    }

    /// Shows a pattern from its beginning. The one that is shown already goes on undisturbed.
    ///
    /// [`LedPattern::Published`] is one flash on top of what is shown.
    pub fn show(&mut self, pattern: LedPattern, now_ms: u64) {
        if pattern == LedPattern::Published {
            self.published_until_ms = Some(now_ms.saturating_add(PUBLISHED_MS));
        } else if pattern == self.pattern {
            return;
        } else {
            self.pattern = pattern;
            self.since_ms = now_ms;
        }
        self.changes_at_ms = Some(now_ms);
    }

    /// Whether the LED is on.
    pub fn poll(&mut self, now_ms: u64) -> bool {
        if let Some(until_ms) = self.published_until_ms
            && now_ms < until_ms
        {
            self.changes_at_ms = Some(until_ms);
            return true;
        }
        let (is_on, changes_after_ms) = self.pattern.at(now_ms.saturating_sub(self.since_ms));
        self.changes_at_ms = changes_after_ms.map(|after_ms| self.since_ms.saturating_add(after_ms));
        is_on
    }

    /// When to poll again; `None` while nothing will change.
    pub const fn poll_timeout(&self) -> Option<u64> {
        self.changes_at_ms
    }

    /// When the flashes of this round are over; `None` in the pause behind them, and when there are none.
    ///
    /// For whoever must turn to something else: flashes that break off would be counted wrongly.
    pub fn flashes_end_ms(&self, now_ms: u64) -> Option<u64> {
        if self.pattern.flashes().is_empty() {
            return None;
        }
        let (flashes_ms, round_ms) = self.pattern.round_ms();
        let into_ms = now_ms.saturating_sub(self.since_ms) % round_ms;
        (into_ms < flashes_ms).then(|| now_ms + (flashes_ms - into_ms))
    }

    /// What is shown, the short flash for a reading aside.
    pub const fn pattern(&self) -> LedPattern {
        self.pattern
    }
}

impl Default for Lamp {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// The changes of the LED until a time, as (when, on or off).
    fn changes(lamp: &mut Lamp, from_ms: u64, until_ms: u64) -> Vec<(u64, bool)> {
        let mut changes = std::vec![];
        let (mut now_ms, mut was_on) = (from_ms, false);
        while now_ms < until_ms {
            let is_on = lamp.poll(now_ms);
            if is_on != was_on {
                changes.push((now_ms, is_on));
                was_on = is_on;
            }
            let Some(next_ms) = lamp.poll_timeout() else { break };
            assert!(next_ms > now_ms, "{next_ms} at {now_ms}");
            now_ms = next_ms;
        }
        changes
    }

    #[test]
    fn flashes_can_be_counted_and_begin_again_after_a_pause() {
        let mut lamp = Lamp::new();
        lamp.show(LedPattern::JoiningWifi, 100);
        let expected = [(100, true), (250, false), (450, true), (600, false), (1_600, true), (1_750, false)];
        assert_eq!(changes(&mut lamp, 100, 1_900), expected);
    }

    #[test]
    fn every_state_has_its_number_of_flashes() {
        use LedPattern::{Connecting, JoiningWifi, NoAddress, NoTime, Off, Refused, ServerNotTrusted};
        let numbered = [JoiningWifi, NoAddress, NoTime, Connecting, ServerNotTrusted, Refused];
        for (pattern, expected) in numbered.into_iter().zip(2..).chain([(Off, 0)]) {
            let mut lamp = Lamp::new();
            lamp.show(pattern, 0);
            let round_ms = expected * (SHORT_MS + GAP_MS) + PAUSE_MS - GAP_MS;
            let flashes = changes(&mut lamp, 0, round_ms).iter().filter(|(_, is_on)| *is_on).count();
            assert_eq!(flashes as u64, expected, "{pattern:?}");
        }
    }

    #[test]
    fn an_unusable_configuration_is_long_short_long() {
        let mut lamp = Lamp::new();
        lamp.show(LedPattern::ConfigurationUnusable, 0);
        let expected = [
            (0, true),
            (600, false),
            (800, true),
            (950, false),
            (1_150, true),
            (1_750, false),
            (2_750, true),
        ];
        assert_eq!(changes(&mut lamp, 0, 2_751), expected);
    }

    #[test]
    fn a_reading_is_one_flash_and_then_it_goes_on_as_before() {
        let mut lamp = Lamp::new();
        lamp.show(LedPattern::Published, 1_000);
        assert_eq!(changes(&mut lamp, 1_000, 9_000), [(1_000, true), (1_050, false)]);
        assert_eq!(lamp.poll_timeout(), None);

        lamp.show(LedPattern::NoTime, 2_000);
        lamp.show(LedPattern::Published, 2_200);
        assert!(lamp.poll(2_249) && !lamp.poll(2_250));
        assert_eq!(lamp.poll_timeout(), Some(2_350), "the second of four flashes");
    }

    #[test]
    fn a_round_can_be_brought_to_its_end() {
        let mut lamp = Lamp::new();
        assert_eq!(lamp.flashes_end_ms(10), None);
        lamp.show(LedPattern::JoiningWifi, 100);
        for (now_ms, expected) in [
            (100, Some(600)),
            (420, Some(600)),
            (599, Some(600)),
            (600, None),
            (1_599, None),
            (1_600, Some(2_100)),
        ] {
            assert_eq!(lamp.flashes_end_ms(now_ms), expected, "{now_ms}");
        }
    }

    #[test]
    fn the_same_pattern_again_does_not_begin_anew() {
        let mut lamp = Lamp::new();
        lamp.show(LedPattern::Connecting, 0);
        lamp.show(LedPattern::Connecting, 140);
        assert!(lamp.poll(149) && !lamp.poll(150));
        lamp.show(LedPattern::Refused, 160);
        assert!(lamp.poll(160), "another one does");
        lamp.show(LedPattern::Off, 170);
        assert_eq!(lamp.poll_timeout(), Some(170));
        assert!(!lamp.poll(170));
        assert_eq!(lamp.poll_timeout(), None);
    }

    proptest! {
        /// Whoever polls only when asked to sees what somebody sees who polls all the time.
        #[test]
        fn the_timeout_misses_no_change(pattern in 0..9_usize, since_ms in 0..5_000_u64) {
            use LedPattern as P;
            let all = [P::Off, P::Published, P::JoiningWifi, P::NoAddress, P::NoTime, P::Connecting,
                P::ServerNotTrusted, P::Refused, P::ConfigurationUnusable];
            let mut lamp = Lamp::new();
            lamp.show(all[pattern], since_ms);
            let asked = changes(&mut lamp.clone(), since_ms, since_ms + 9_000);
            let mut seen = std::vec![];
            let mut was_on = false;
            for now_ms in since_ms..since_ms + 9_000 {
                let is_on = lamp.poll(now_ms);
                if is_on != was_on {
                    seen.push((now_ms, is_on));
                    was_on = is_on;
                }
            }
            prop_assert_eq!(asked, seen);
        }
    }
}
