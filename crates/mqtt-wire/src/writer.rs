//! Writes fields into a slice that is known to be large enough.

use crate::error::EncodeError;
use crate::fixed_header::{PacketKind, REMAINING_LENGTH_LIMIT, remaining_length_bytes};
use crate::packet_id::PacketId;

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
        let needed_bytes = 1 + remaining_length_bytes(remaining_bytes) + now_bytes;
        if out.len() < needed_bytes {
            return Err(EncodeError::BufferTooSmall { needed_bytes, buffer_bytes: out.len() });
        }
        let mut writer = Self { out, written: 0 };
        writer.u8((kind as u8) << 4 | flags);
        let mut length = remaining_bytes;
        while length > 0x7F {
            writer.u8((length & 0x7F) as u8 | 0x80);
            length >>= 7;
        }
        writer.u8(length as u8);
        Ok(writer)
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
    pub(crate) fn packet_id(&mut self, id: PacketId) {
        self.u16(id.number());
    }

    /// The bytes as they are. INVARIANT: [`begin`](Self::begin) has checked that the whole packet fits.
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

    /// UTF-8 without U+0000 [MQTT311 1.5.3-2].
    pub(crate) fn text(&mut self, field: &'static str, text: &str) -> Result<(), EncodeError> {
        if text.as_bytes().contains(&0) {
            return Err(EncodeError::Null { field });
        }
        self.binary(field, text.as_bytes())
    }

    pub(crate) const fn written(&self) -> usize {
        self.written
    }
}
