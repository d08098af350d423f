//! Values that expressions work on.

mod convert;
mod decimal;
mod number;
mod object;

use std::fmt;

pub use decimal::Decimal;
pub use number::Number;
pub(crate) use number::without_zero_fraction;
pub use object::Object;

/// A value of AWS IoT SQL.
///
/// JSON plus Undefined: what an absent key, a failed conversion or a function outside its domain gives.
/// [AWS iot-sql-data-types].
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// No value. Omitted from results.
    #[default]
    Undefined,
    /// JSON `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An Int or a Decimal, with the text it was written with.
    Number(Number),
    /// Text.
    String(String),
    /// A list.
    Array(Vec<Value>),
    /// Members in order.
    Object(Object),
}

impl Value {
    /// The member `key` of an object.
    pub fn member(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(object) => object.get(key),
            _ => None,
        }
    }

    /// Roughly the bytes that a copy of this takes.
    pub(crate) fn weight(&self) -> u64 {
        let own = match self {
            Self::Undefined | Self::Null | Self::Bool(_) => 0,
            Self::Number(number) => number.as_str().len() as u64,
            Self::String(text) => text.len() as u64,
            Self::Array(items) => items.iter().map(Self::weight).sum(),
            Self::Object(object) => object.iter().map(|(key, value)| key.len() as u64 + value.weight()).sum(),
        };
        own + 8
    }
}

/// The value as compact JSON; Undefined prints as nothing.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        crate::json::write(self, &mut text);
        f.write_str(&text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(Number::from(value))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}
