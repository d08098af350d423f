//! Random numbers from a seed, for spreading devices in time. Not for secrets.

/// SplitMix64: one addition and three mixing steps, good enough for jitter and free of state beyond its counter.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn neighbouring_seeds_give_unrelated_numbers() {
        let (mut one, mut two) = (Random::new(1), Random::new(2));
        let differing = (0..8).map(|_| (one.next() ^ two.next()).count_ones()).sum::<u32>();
        assert!((64..192).contains(&differing), "{differing} of 256 bits differ");
    }
}
