//! The seven ways in which the value of a property is written [MQTT5 2.2.2.2].

use crate::error::{DecodeError, EncodeError};
use crate::reader::Reader;
use crate::variable_byte_integer;
use crate::writer::Writer;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Byte,
    TwoBytes,
    FourBytes,
    /// A variable byte integer.
    Integer,
    /// A text or bytes, behind a two-byte length.
    Measured,
    /// Two texts.
    MeasuredPair,
}

impl Form {
    /// Passes over a value without looking at what it says.
    pub(super) fn skip(self, block: &mut Reader<'_>, field: &'static str) -> Result<(), DecodeError> {
        match self {
            Self::Byte => block.u8(field).map(drop),
            Self::TwoBytes => block.u16(field).map(drop),
            Self::FourBytes => block.u32(field).map(drop),
            Self::Integer => block.integer(field).map(drop),
            Self::Measured => block.binary(field).map(drop),
            Self::MeasuredPair => block.binary(field).and_then(|_| block.binary(field)).map(drop),
        }
    }
}

/// A value on its way from or to the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Byte(u8),
    TwoBytes(u16),
    FourBytes(u32),
    Integer(u32),
    Text(&'a str),
    Binary(&'a [u8]),
    TextPair(&'a str, &'a str),
}

impl Value<'_> {
    pub(super) const fn bytes_len(&self) -> usize {
        match self {
            Self::Byte(_) => 1,
            Self::TwoBytes(_) => 2,
            Self::FourBytes(_) => 4,
            Self::Integer(number) => variable_byte_integer::bytes_of(*number as usize),
            Self::Text(text) => 2 + text.len(),
            Self::Binary(bytes) => 2 + bytes.len(),
            Self::TextPair(name, value) => 2 + name.len() + 2 + value.len(),
        }
    }

    pub(super) fn encode(&self, field: &'static str, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        match *self {
            Self::Byte(value) => writer.u8(value),
            Self::TwoBytes(value) => writer.u16(value),
            Self::FourBytes(value) => writer.u32(value),
            Self::Integer(value) => writer.integer(value as usize),
            Self::Text(text) => writer.text(field, text)?,
            Self::Binary(bytes) => writer.binary(field, bytes)?,
            Self::TextPair(name, value) => {
                writer.text(field, name)?;
                writer.text(field, value)?;
            }
        }
        Ok(())
    }
}
