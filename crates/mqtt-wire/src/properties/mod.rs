//! Properties: what MQTT 5 adds to nearly every packet [MQTT5 2.2.2].
//!
//! [`Properties`] is a borrowed block of bytes that has been checked once. Nothing is copied and nothing is kept
//! beside it: who asks for a property walks the block, which is some ten bytes long in practice and mostly empty.

mod accessors;
mod carrier;
mod id;
mod placement;
mod property;
mod value;
mod writer;

pub use carrier::Carrier;
pub use id::PropertyId;
pub use placement::PlacementError;
pub use property::Property;
pub use writer::PropertiesWriter;

use crate::error::{DecodeError, EncodeError};
use crate::reader::Reader;
use crate::variable_byte_integer;
use crate::version::ProtocolVersion;
use crate::writer::Writer;
use placement::Placement;

/// The properties of a packet or a will, in the sender's order; none in MQTT 3.1.1.
///
/// ```text
/// properties := length:integer property{0..}
/// property   := id:u8 value            ; u8, u16, u32, integer, text, binary or two texts, by the identifier
/// ```
///
/// From a packet that was decoded, or from a [`PropertiesWriter`]. Two blocks are equal when their bytes are: the
/// same properties in another order are another block, as user properties have an order [MQTT5 3.3.2-18].
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Properties<'a>(
    /// INVARIANT: whole properties, each with a valid value. Whether they may stand together in a packet is checked
    /// when one is decoded or encoded.
    &'a [u8],
);

// A packet carries one or two of them, whatever its version.
const _: () = assert!(size_of::<Properties<'_>>() <= 2 * size_of::<usize>());

impl<'a> Properties<'a> {
    /// No properties.
    pub const NONE: Self = Self(&[]);

    /// Takes a block that was kept, as [`as_bytes`](Self::as_bytes) gave it.
    ///
    /// # Errors
    /// It is no block of properties that this carrier may have.
    pub fn parse(block: &'a [u8], carrier: Carrier) -> Result<Self, DecodeError> {
        check(block, carrier)?;
        Ok(Self(block))
    }

    #[inline]
    pub(crate) fn decode(body: &mut Reader<'a>, carrier: Carrier) -> Result<Self, DecodeError> {
        let length = body.integer("property length")?;
        let block = body.bytes(length, "properties")?;
        if !block.is_empty() {
            check(block, carrier)?;
        }
        Ok(Self(block))
    }

    /// Writes the block with its length, after a check that it may stand there.
    #[inline]
    pub(crate) fn encode(&self, carrier: Carrier, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if !self.is_empty() {
            self.check_placement(carrier).map_err(EncodeError::Properties)?;
        }
        writer.integer(self.0.len());
        writer.bytes(self.0);
        Ok(())
    }

    fn check_placement(&self, carrier: Carrier) -> Result<(), PlacementError> {
        let mut placement = Placement::new(carrier);
        self.raw().try_for_each(|(id, _)| placement.add(id))?;
        placement.finish()
    }

    /// Bytes on the wire, the length included; none in MQTT 3.1.1.
    #[inline]
    pub(crate) const fn encoded_len_in(&self, version: ProtocolVersion) -> usize {
        match version {
            ProtocolVersion::V311 => 0,
            ProtocolVersion::V5 => variable_byte_integer::bytes_of(self.0.len()) + self.0.len(),
        }
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The properties without the length before them, as they stand on the wire.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The properties in their order.
    pub fn iter(&self) -> impl Iterator<Item = Property<'a>> + use<'a> {
        let mut block = Reader::new(self.0);
        core::iter::from_fn(move || {
            let id = next_id(&mut block)?;
            Property::decode_value(id, &mut block).ok()
        })
    }

    /// The properties as identifier and bytes, the identifier's among them.
    fn raw(&self) -> impl Iterator<Item = (PropertyId, &'a [u8])> + use<'a> {
        let mut block = Reader::new(self.0);
        core::iter::from_fn(move || {
            let begin = block.rest();
            let id = next_id(&mut block)?;
            id.form().skip(&mut block, id.name()).ok()?;
            Some((id, &begin[..begin.len() - block.rest().len()]))
        })
    }
}

impl core::fmt::Debug for Properties<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The identifier of the next property of a checked block.
fn next_id(block: &mut Reader<'_>) -> Option<PropertyId> {
    block.u8("property").ok().and_then(PropertyId::from_byte)
}

/// Every property is known, may stand here, is there once, and has a valid value.
fn check(block: &[u8], carrier: Carrier) -> Result<(), DecodeError> {
    let mut block = Reader::new(block);
    let mut placement = Placement::new(carrier);
    while !block.is_empty() {
        let identifier = block.u8("property")?;
        let id = PropertyId::from_byte(identifier).ok_or(DecodeError::UnknownProperty { identifier })?;
        placement.add(id).map_err(DecodeError::Properties)?;
        Property::decode_value(id, &mut block)?;
    }
    placement.finish().map_err(DecodeError::Properties)
}

#[cfg(test)]
mod tests;
