//! Numbers as text.

use std::fmt;

use super::Decimal;

/// A number with the text it was published, written or computed with, which is always valid JSON.
///
/// A number that is only copied leaves byte for byte as it came; arithmetic goes through [`Decimal`]. Equality is by
/// value: `5` equals `5.0`.
#[derive(Clone, Debug)]
pub struct Number(Box<str>);

impl Number {
    /// A number from a JSON token, which the caller has checked.
    pub(crate) fn from_json(text: &str) -> Self {
        Self(text.into())
    }

    /// A number from an SQL literal: unlike JSON's it may have leading zeros.
    pub(crate) fn from_sql(text: &str) -> Self {
        let trimmed = text.trim_start_matches('0');
        if trimmed.starts_with(|first: char| first.is_ascii_digit()) {
            Self(trimmed.into())
        } else {
            Self(format!("0{trimmed}").into())
        }
    }

    /// The number as JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value for arithmetic, rounded to 34 digits; `None` outside of AWS's range.
    pub fn decimal(&self) -> Option<Decimal> {
        Decimal::parse(&self.0)
    }

    pub(crate) fn negated(&self) -> Self {
        match self.0.strip_prefix('-') {
            Some(positive) => Self(positive.into()),
            None => Self(format!("-{}", self.0).into()),
        }
    }
}

/// The text of a whole decimal as an Int: `10.0` is `10`; anything else as it is.
///
/// [AWS iot-sql] "SQL versions", 2016-03-23: "decimal values that represent whole numbers such as 10.0 will be
/// processed as an Int value (10)".
pub(crate) fn without_zero_fraction(text: &str) -> &str {
    match text.split_once('.') {
        Some(("-0", fraction)) if fraction.bytes().all(|digit| digit == b'0') => "0",
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole,
        _ => text,
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        if self.0 == other.0 {
            return true;
        }
        match (self.decimal(), other.decimal()) {
            (Some(left), Some(right)) => left == right,
            _ => false,
        }
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self(value.to_string().into())
    }
}

impl From<Decimal> for Number {
    fn from(value: Decimal) -> Self {
        Self(value.to_string().into())
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
