//! Times as the control plane writes them.

use serde::{Deserialize, Serialize};

/// Seconds since 1970, with a fraction: how REST-JSON services write timestamps.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EpochSeconds(pub f64);

impl EpochSeconds {
    /// From epoch milliseconds.
    pub fn from_ms(ms: i64) -> Self {
        // Exact up to the year 287,396: 2^53 milliseconds.
        Self(ms as f64 / 1000.0)
    }

    /// From whole epoch seconds.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_become_a_fraction() {
        let text = serde_json::to_string(&EpochSeconds::from_ms(1_679_781_014_810)).unwrap();
        assert_eq!(text, "1679781014.81");
        assert_eq!(EpochSeconds::from_seconds(2), EpochSeconds::from_ms(2_000));
    }
}
