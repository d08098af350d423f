//! The codes of a SUBACK or UNSUBACK, one per filter of what it answers.

use crate::error::{DecodeError, EncodeError};
use crate::fixed_header::PacketKind;
use crate::reason_code::ReasonCode;
use crate::writer::Writer;

/// One code per filter, in the filters' order; read from the packet while iterating or taken from a slice for sending.
#[derive(Clone, Copy, Debug)]
pub struct ReasonCodes<'a>(Source<'a>);

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    /// INVARIANT: every byte is a reason code.
    Wire(&'a [u8]),
    List(&'a [ReasonCode]),
}

impl<'a> ReasonCodes<'a> {
    /// No codes: the UNSUBACK of MQTT 3.1.1.
    pub const NONE: Self = Self::from_slice(&[]);

    /// Codes for a packet to send. Whether it may have them is checked when it is encoded.
    pub const fn from_slice(codes: &'a [ReasonCode]) -> Self {
        Self(Source::List(codes))
    }

    /// Takes the codes of a packet that has at least one.
    pub(super) fn decode(kind: PacketKind, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if bytes.is_empty() {
            return Err(DecodeError::Truncated { field: "reason codes" });
        }
        let is_allowed = |byte| ReasonCode::from_byte(byte).is_some_and(|code| code.is_allowed_in(kind));
        match bytes.iter().find(|&&byte| !is_allowed(byte)) {
            Some(&value) => Err(DecodeError::InvalidReasonCode { kind, value }),
            None => Ok(Self(Source::Wire(bytes))),
        }
    }

    /// Takes the return codes of a SUBACK of MQTT 3.1.1, which are four of the reason codes [MQTT311 3.9.3].
    pub(super) fn decode_return_codes(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if bytes.is_empty() {
            return Err(DecodeError::Truncated { field: "return codes" });
        }
        // [MQTT311 3.9.3-2] Others are reserved.
        match bytes.iter().find(|byte| !matches!(byte, 0 | 1 | 2 | 0x80)) {
            Some(&value) => Err(DecodeError::InvalidReturnCode { kind: PacketKind::SubAck, value }),
            None => Ok(Self(Source::Wire(bytes))),
        }
    }

    /// The codes in the order of the filters.
    pub fn iter(&self) -> impl Iterator<Item = ReasonCode> + use<'a> {
        let (wire, list): (&[u8], &[_]) = match self.0 {
            Source::Wire(bytes) => (bytes, &[]),
            Source::List(codes) => (&[], codes),
        };
        wire.iter().filter_map(|&byte| ReasonCode::from_byte(byte)).chain(list.iter().copied())
    }

    /// How many codes there are.
    pub const fn len(&self) -> usize {
        match self.0 {
            Source::Wire(bytes) => bytes.len(),
            Source::List(codes) => codes.len(),
        }
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn encode(&self, kind: PacketKind, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if self.is_empty() {
            return Err(EncodeError::NoReasonCodes);
        }
        self.iter().try_for_each(|code| code.encode(kind, writer))
    }
}

impl PartialEq for ReasonCodes<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for ReasonCodes<'_> {}
