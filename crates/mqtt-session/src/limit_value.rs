//! The values of limits as text: for the command line, the settings file and the table.

use crate::rate::Rate;
use mqtt_wire::QoS;
use mqtt_wire::topic::MatchRules;
use std::ops::RangeInclusive;

/// How a limit without an end is written.
const UNLIMITED: &str = "unlimited";
/// How a keep-alive without a maximum is written.
const OFF: &str = "off";

/// A kind of value.
pub(crate) trait LimitValue: Sized {
    /// # Errors
    /// What it should have been.
    fn parse(text: &str, allowed: &RangeInclusive<u64>) -> Result<Self, String>;
    fn show(&self) -> String;
}

/// A number; `no_limit` is the one that means that there is none.
fn number(text: &str, allowed: &RangeInclusive<u64>, no_limit: Option<u64>) -> Result<u64, String> {
    if text == UNLIMITED {
        return no_limit.filter(|none| allowed.contains(none)).ok_or_else(|| wrong(allowed, no_limit));
    }
    let units = [("KiB", 1_024), ("MiB", 1_024 * 1_024)];
    let unit = units.into_iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, bytes)));
    let (digits, unit) = unit.unwrap_or((text, 1));
    let parsed = digits.trim_end().parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    parsed.filter(|number| allowed.contains(number)).ok_or_else(|| wrong(allowed, no_limit))
}

fn wrong(allowed: &RangeInclusive<u64>, no_limit: Option<u64>) -> String {
    let (least, most) = (allowed.start(), allowed.end());
    if Some(*most) == no_limit {
        format!("it must be a whole number from {least} on, or `{UNLIMITED}`")
    } else {
        format!("it must be a whole number from {least} to {most}")
    }
}

macro_rules! numbers {
    ($($type:ty, $has_no_limit:literal;)+) => { $(
        impl LimitValue for $type {
            fn parse(text: &str, allowed: &RangeInclusive<u64>) -> Result<Self, String> {
                let most = Self::MAX as u64;
                let allowed = *allowed.start()..=(*allowed.end()).min(most);
                let no_limit = $has_no_limit.then_some(most);
                Self::try_from(number(text, &allowed, no_limit)?).map_err(|_| wrong(&allowed, no_limit))
            }

            fn show(&self) -> String {
                if $has_no_limit && *self == Self::MAX { UNLIMITED.to_owned() } else { self.to_string() }
            }
        }
    )+ };
}
// Two bytes are a field of MQTT's: their largest number is a number.
numbers! { usize, true; u32, true; u16, false; }

impl LimitValue for Rate {
    fn parse(text: &str, _: &RangeInclusive<u64>) -> Result<Self, String> {
        u32::parse(text, &(1..=u64::MAX)).map(Self::per_second)
    }

    fn show(&self) -> String {
        self.count().show()
    }
}

impl LimitValue for Option<u16> {
    fn parse(text: &str, allowed: &RangeInclusive<u64>) -> Result<Self, String> {
        if text == OFF {
            return Ok(None);
        }
        u16::parse(text, allowed).map(Some).map_err(|wrong| format!("{wrong}, or `{OFF}`"))
    }

    fn show(&self) -> String {
        self.map_or_else(|| OFF.to_owned(), |number| number.to_string())
    }
}

/// One of a few words.
macro_rules! words {
    ($($type:ty { $($word:literal => $value:path),+ })+) => { $(
        impl LimitValue for $type {
            fn parse(text: &str, _: &RangeInclusive<u64>) -> Result<Self, String> {
                match text {
                    $($word => Ok($value),)+
                    _ => Err(["it must be one of", $(concat!("`", $word, "`")),+].join(" ")),
                }
            }

            fn show(&self) -> String {
                match self { $($value => $word,)+ }.to_owned()
            }
        }
    )+ };
}
words! {
    MatchRules { "aws" => MatchRules::Aws, "mqtt" => MatchRules::Mqtt }
}

/// A highest QoS: without QoS 1 nothing of ours that is kept would be acknowledged.
impl LimitValue for QoS {
    fn parse(text: &str, _: &RangeInclusive<u64>) -> Result<Self, String> {
        match text {
            "1" => Ok(Self::AtLeastOnce),
            "2" => Ok(Self::ExactlyOnce),
            _ => Err("it must be `1` or `2`".to_owned()),
        }
    }

    fn show(&self) -> String {
        self.number().to_string()
    }
}

impl LimitValue for bool {
    fn parse(text: &str, _: &RangeInclusive<u64>) -> Result<Self, String> {
        text.parse().map_err(|_| "it must be `true` or `false`".to_owned())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: RangeInclusive<u64> = 0..=u64::MAX;

    #[test]
    fn what_is_shown_can_be_given() {
        fn round<T: LimitValue + PartialEq + std::fmt::Debug>(values: &[(T, &str)]) {
            for (value, text) in values {
                assert_eq!(value.show(), *text);
                assert_eq!(T::parse(text, &ANY).as_ref(), Ok(value));
            }
        }
        round(&[(0_usize, "0"), (131_072, "131072"), (usize::MAX, "unlimited")]);
        round(&[(7_u32, "7"), (u32::MAX, "unlimited")]);
        round(&[(0_u16, "0"), (u16::MAX, "65535")]);
        round(&[(Some(1_200_u16), "1200"), (None, "off")]);
        round(&[(Rate::per_second(100), "100"), (Rate::UNLIMITED, "unlimited")]);
        round(&[(true, "true"), (false, "false")]);
        round(&[(MatchRules::Aws, "aws"), (MatchRules::Mqtt, "mqtt")]);
        round(&[(QoS::AtLeastOnce, "1"), (QoS::ExactlyOnce, "2")]);
    }

    #[test]
    fn bytes_may_be_counted_by_the_thousand() {
        assert_eq!(usize::parse("128KiB", &ANY), Ok(131_072));
        assert_eq!(usize::parse("2 MiB", &ANY), Ok(2_097_152));
        assert!(usize::parse("99999999999999MiB", &ANY).is_err(), "it does not overflow");
    }

    #[test]
    fn mistakes_are_told_with_what_is_right() {
        for text in ["", "-1", "1.5", "x", "KiB", "100001"] {
            let wrong = usize::parse(text, &(1..=100_000)).unwrap_err();
            assert_eq!(wrong, "it must be a whole number from 1 to 100000", "{text}");
        }
        let unlimited = usize::parse("unlimited", &(1..=100_000)).unwrap_err();
        assert_eq!(unlimited, "it must be a whole number from 1 to 100000");
        let none = Rate::parse("0", &ANY).unwrap_err();
        assert_eq!(none, "it must be a whole number from 1 on, or `unlimited`");
        assert_eq!(bool::parse("yes", &ANY).unwrap_err(), "it must be `true` or `false`");
        assert_eq!(MatchRules::parse("x", &ANY).unwrap_err(), "it must be one of `aws` `mqtt`");
        assert_eq!(
            Option::<u16>::parse("70000", &ANY).unwrap_err(),
            "it must be a whole number from 0 to 65535, or `off`"
        );
    }
}
