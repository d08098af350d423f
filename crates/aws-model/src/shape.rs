//! Types and constraints as const data.

use crate::Pattern;

/// The type of a member, with what its value must satisfy.
#[derive(Debug)]
pub enum Shape {
    /// Text.
    String {
        /// Fewest characters.
        min: Option<u64>,
        /// Most characters.
        max: Option<u64>,
        /// What the whole text must look like.
        pattern: Option<&'static Pattern>,
        /// The allowed values; empty: any.
        values: &'static [&'static str],
        /// Whether it must be kept out of messages and logs.
        sensitive: bool,
    },
    /// A whole number, of 32 or 64 bits.
    Integer {
        /// The least.
        min: Option<i64>,
        /// The greatest.
        max: Option<i64>,
    },
    /// A real number.
    Double,
    /// True or false.
    Boolean,
    /// Bytes: base64 in JSON, raw as a payload.
    Blob,
    /// Epoch seconds.
    Timestamp,
    /// Values of one type.
    List {
        /// Their type.
        member: &'static Shape,
        /// Fewest.
        min: Option<u64>,
        /// Most.
        max: Option<u64>,
    },
    /// Values by name.
    Map {
        /// The type of the names.
        key: &'static Shape,
        /// The type of the values.
        value: &'static Shape,
        /// Fewest.
        min: Option<u64>,
        /// Most.
        max: Option<u64>,
    },
    /// Members of different types. May contain itself.
    Structure(&'static [Member]),
}

/// A member of a structure.
#[derive(Debug)]
pub struct Member {
    /// Its name in the model and in JSON.
    pub name: &'static str,
    /// Its name where it is sent: a label, a query parameter or a header (in lower case).
    pub wire: &'static str,
    /// Where it is sent.
    pub place: Place,
    /// Whether it must be there.
    pub required: bool,
    /// Its type.
    pub shape: &'static Shape,
}

/// Where a member of an input is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A label of the path.
    Path,
    /// A query parameter.
    Query,
    /// A header.
    Header,
    /// A member of the JSON body.
    Body,
    /// The body itself: JSON for structures, bytes for blobs.
    Payload,
}
