//! AWS's implicit conversions. [AWS iot-sql-data-types] "Conversions".

use std::borrow::Cow;

use super::{Decimal, Value};

impl Value {
    /// A number for arithmetic: numbers, and strings that spell one. Booleans never.
    pub(crate) fn to_decimal(&self) -> Option<Decimal> {
        match self {
            Self::Number(number) => number.decimal(),
            Self::String(text) => Decimal::from_text(text),
            _ => None,
        }
    }

    /// A number rounded down to an integer.
    pub(crate) fn to_i64(&self) -> Option<i64> {
        self.to_decimal()?.to_i64()
    }

    /// Text: everything but Null and Undefined; arrays and objects as JSON.
    pub(crate) fn to_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Undefined | Self::Null => None,
            Self::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
            Self::Number(number) => Some(Cow::Borrowed(number.as_str())),
            Self::String(text) => Some(Cow::Borrowed(text)),
            Self::Array(_) | Self::Object(_) => Some(Cow::Owned(self.to_string())),
        }
    }

    /// A condition: a Boolean, or "true" or "false" in any case.
    pub(crate) fn to_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Self::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }
}
