//! Durations as people write them: `500ms`, `2s`, `10m`, `1h30m`, `7d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A duration from a command line or a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct HumanDuration(pub(crate) Duration);

/// Why a text is no duration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DurationError {
    #[error("`{0}` is no duration: write a number and a unit, such as 500ms, 2s, 10m, 1h30m or 7d")]
    Malformed(String),
    #[error("`{0}` has no unit: did you mean `{0}s`?")]
    NoUnit(String),
    #[error("`{0}` is longer than a century")]
    TooLong(String),
}

/// Milliseconds of each unit, longest first: the order in which they are printed.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Nobody means more, and less than this never overflows what durations are added to.
const DURATION_MS_MAX: u64 = 36_525 * 86_400_000;

impl FromStr for HumanDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let malformed = || DurationError::Malformed(text.to_owned());
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(malformed());
        }
        if rest != "0" && rest.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(DurationError::NoUnit(text.to_owned()));
        }
        let mut total_ms = 0_u64;
        while !rest.is_empty() && rest != "0" {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest.split_at(digits);
            let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, after) = after.split_at(letters);
            let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(malformed)?;
            let number: u64 = number.parse().map_err(|_| malformed())?;
            total_ms = number
                .checked_mul(*unit_ms)
                .and_then(|ms| ms.checked_add(total_ms))
                .filter(|ms| *ms <= DURATION_MS_MAX)
                .ok_or_else(|| DurationError::TooLong(text.to_owned()))?;
            rest = after;
        }
        Ok(Self(Duration::from_millis(total_ms)))
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(DURATION_MS_MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, unit_ms) in UNITS {
            if rest >= unit_ms {
                write!(f, "{}{unit}", rest / unit_ms)?;
                rest %= unit_ms;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> Result<u128, DurationError> {
        text.parse::<HumanDuration>().map(|duration| duration.0.as_millis())
    }

    #[test]
    fn numbers_with_units_add_up() {
        assert_eq!(ms("500ms"), Ok(500));
        assert_eq!(ms("2s"), Ok(2_000));
        assert_eq!(ms("10m"), Ok(600_000));
        assert_eq!(ms("1h30m"), Ok(5_400_000));
        assert_eq!(ms("7d"), Ok(604_800_000));
        assert_eq!(ms("0"), Ok(0));
        assert_eq!(ms("0s"), Ok(0));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert_eq!(ms("2"), Err(DurationError::NoUnit("2".into())));
        for text in ["", "s", "2 s", "-2s", "2.5s", "2x", "2s3", "soon", "2sm"] {
            assert_eq!(ms(text), Err(DurationError::Malformed(text.into())), "{text}");
        }
        assert_eq!(ms("99999999999d"), Err(DurationError::TooLong("99999999999d".into())));
    }

    #[test]
    fn what_is_printed_parses_to_the_same() {
        for text in ["2s", "1h30m", "500ms", "1d1ms", "0s"] {
            assert_eq!(text.parse::<HumanDuration>().map(|duration| duration.to_string()), Ok(text.into()));
        }
    }
}
