//! Reads fields from a packet's body.

use crate::error::DecodeError;
use crate::packet_id::PacketId;
use crate::variable_byte_integer;

/// What is left of a packet's body. Never reads beyond it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(body: &'a [u8]) -> Self {
        Self(body)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that is left, without consuming it.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Consumes all that is left.
    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }

    #[inline]
    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        let (&first, rest) = self.0.split_first().ok_or(DecodeError::Truncated { field })?;
        self.0 = rest;
        Ok(first)
    }

    #[inline]
    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        let (&bytes, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated { field })?;
        self.0 = rest;
        Ok(u16::from_be_bytes(bytes))
    }

    #[inline]
    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        let (&bytes, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated { field })?;
        self.0 = rest;
        Ok(u32::from_be_bytes(bytes))
    }

    /// A variable byte integer in its shortest form [MQTT5 1.5.5-1].
    #[inline]
    pub(crate) fn integer(&mut self, field: &'static str) -> Result<usize, DecodeError> {
        let read = variable_byte_integer::read(self.0).map_err(|_| DecodeError::IntegerTooLong { field })?;
        let (value, bytes) = read.ok_or(DecodeError::Truncated { field })?;
        if bytes > variable_byte_integer::bytes_of(value) {
            return Err(DecodeError::IntegerPadded { field });
        }
        self.0 = &self.0[bytes..];
        Ok(value)
    }

    /// So many bytes as they are.
    #[inline]
    pub(crate) fn bytes(&mut self, length: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(DecodeError::Truncated { field })?;
        self.0 = rest;
        Ok(bytes)
    }

    #[inline]
    pub(crate) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        PacketId::new(self.u16("packet identifier")?).ok_or(DecodeError::ZeroPacketId)
    }

    /// A two-byte length and as many bytes.
    #[inline]
    pub(crate) fn binary(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let length = usize::from(self.u16(field)?);
        self.bytes(length, field)
    }

    /// UTF-8 that may still hold characters which its field does not allow.
    #[inline]
    pub(crate) fn utf8(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        // [MQTT311 1.5.3-1] [MQTT5 1.5.4-1] Ill-formed UTF-8, surrogates included; [MQTT311 1.5.3-3] [MQTT5 1.5.4-3] a
        // BOM stays in the text.
        core::str::from_utf8(self.binary(field)?).map_err(|_| DecodeError::Utf8 { field })
    }

    /// UTF-8 without U+0000 [MQTT311 1.5.3-2] [MQTT5 1.5.4-2].
    pub(crate) fn text(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let text = self.utf8(field)?;
        if text.as_bytes().contains(&0) { Err(DecodeError::Null { field }) } else { Ok(text) }
    }

    /// Nothing may be left over.
    pub(crate) const fn finish(&self) -> Result<(), DecodeError> {
        match self.0.len() {
            0 => Ok(()),
            surplus_bytes => Err(DecodeError::Surplus { surplus_bytes }),
        }
    }
}
