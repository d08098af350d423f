//! Writes fields into a slice that is known to be large enough.

use crate::error::EncodeError;
use crate::fixed_header::{PacketKind, REMAINING_LENGTH_LIMIT};
use crate::packet_id::PacketId;
use crate::variable_byte_integer;

/// The place in the output where the next field goes.
#[derive(Debug)]
pub(crate) struct Writer<'o> {
    out: &'o mut [u8],
    written: usize,
}

impl<'o> Writer<'o> {
    /// Writes the fixed header. `remaining_bytes` is the packet's, `now_bytes` what of it goes into `out`: less
    /// than all when the payload travels separately.
    pub(crate) fn begin(
        out: &'o mut [u8],
        kind: PacketKind,
        flags: u8,
        remaining_bytes: usize,
        now_bytes: usize,
    ) -> Result<Self, EncodeError> {
        if remaining_bytes > REMAINING_LENGTH_LIMIT {
            return Err(EncodeError::TooLong { field: "packet", bytes: remaining_bytes });
        }
        let needed_bytes = 1 + variable_byte_integer::bytes_of(remaining_bytes) + now_bytes;
        if out.len() < needed_bytes {
            return Err(EncodeError::BufferTooSmall { needed_bytes, buffer_bytes: out.len() });
        }
        let mut writer = Self { out, written: 0 };
        writer.u8((kind as u8) << 4 | flags);
        writer.integer(remaining_bytes);
        Ok(writer)
    }

    /// A writer of something else than a whole packet, for which the caller makes sure that it fits.
    pub(crate) const fn bare(out: &'o mut [u8]) -> Self {
        Self { out, written: 0 }
    }

    pub(crate) const fn room(&self) -> usize {
        self.out.len() - self.written
    }

    /// What has been written.
    pub(crate) fn into_written(self) -> &'o [u8] {
        &self.out[..self.written]
    }

    #[inline]
    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    #[inline]
    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    #[inline]
    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    /// A variable byte integer, in the fewest bytes [MQTT5 1.5.5-1]. INVARIANT: at most its limit.
    #[inline]
    pub(crate) fn integer(&mut self, mut value: usize) {
        while value > 0x7F {
            self.u8((value & 0x7F) as u8 | 0x80);
            value >>= 7;
        }
        self.u8(value as u8);
    }

    #[inline]
    pub(crate) fn packet_id(&mut self, id: PacketId) {
        self.u16(id.number());
    }

    /// The bytes as they are. INVARIANT: [`begin`](Self::begin), or the caller of [`bare`](Self::bare), has
    /// checked that all fits.
    #[inline]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.out[self.written..][..bytes.len()].copy_from_slice(bytes);
        self.written += bytes.len();
    }

    /// A two-byte length and the bytes.
    pub(crate) fn binary(&mut self, field: &'static str, bytes: &[u8]) -> Result<(), EncodeError> {
        let length =
            u16::try_from(bytes.len()).map_err(|_| EncodeError::TooLong { field, bytes: bytes.len() })?;
        self.u16(length);
        self.bytes(bytes);
        Ok(())
    }

    /// UTF-8 without U+0000 [MQTT311 1.5.3-2] [MQTT5 1.5.4-2].
    pub(crate) fn text(&mut self, field: &'static str, text: &str) -> Result<(), EncodeError> {
        if text.as_bytes().contains(&0) {
            return Err(EncodeError::Null { field });
        }
        self.binary(field, text.as_bytes())
    }

    /// Forgets what was written behind this place.
    pub(crate) const fn go_back_to(&mut self, written: usize) {
        self.written = written;
    }

    pub(crate) const fn written(&self) -> usize {
        self.written
    }
}
