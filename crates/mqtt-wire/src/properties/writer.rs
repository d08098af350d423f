//! Makes a block of properties.

use super::{Properties, Property, PropertyId};
use crate::error::EncodeError;
use crate::writer::Writer;

/// Builds [`Properties`] in a slice of the caller.
///
/// It knows no packet: whether the properties may stand together is checked when the packet is encoded.
///
/// ```
/// use mqtt_wire::{PropertiesWriter, Property};
///
/// let mut buffer = [0; 64];
/// let mut writer = PropertiesWriter::new(&mut buffer);
/// writer.push(Property::ContentType("application/json")).unwrap();
/// writer.push(Property::UserProperty("line", "7")).unwrap();
/// let properties = writer.finish();
/// assert_eq!(properties.content_type(), Some("application/json"));
/// assert!(properties.user_properties().eq([("line", "7")]));
/// ```
#[derive(Debug)]
pub struct PropertiesWriter<'o>(Writer<'o>);

impl<'o> PropertiesWriter<'o> {
    /// Begins a block at the start of `out`.
    pub const fn new(out: &'o mut [u8]) -> Self {
        Self(Writer::bare(out))
    }

    /// Adds a property.
    ///
    /// # Errors
    /// It does not fit, or its value cannot be written. Nothing is added then.
    pub fn push(&mut self, property: Property<'_>) -> Result<(), EncodeError> {
        self.make_sure_of(property.encoded_len())?;
        let before = self.0.written();
        // INVARIANT of `Properties`: a part of a property never stays.
        property.encode(&mut self.0).inspect_err(|_| self.0.go_back_to(before))
    }

    /// Adds those properties of another block that are among `wanted`, in their order.
    ///
    /// # Errors
    /// They do not all fit. Those that did are in the block.
    pub fn copy(&mut self, from: &Properties<'_>, wanted: &[PropertyId]) -> Result<(), EncodeError> {
        for (id, bytes) in from.raw() {
            if wanted.contains(&id) {
                self.make_sure_of(bytes.len())?;
                self.0.bytes(bytes);
            }
        }
        Ok(())
    }

    /// The block.
    pub fn finish(self) -> Properties<'o> {
        Properties(self.0.into_written())
    }

    fn make_sure_of(&self, bytes: usize) -> Result<(), EncodeError> {
        if self.0.room() >= bytes {
            return Ok(());
        }
        let (written, room) = (self.0.written(), self.0.room());
        Err(EncodeError::NoRoomForProperties { needed_bytes: written + bytes, buffer_bytes: written + room })
    }
}
