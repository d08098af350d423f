//! Device shadow documents: merge, delta, version, metadata.
//!
//! A [`Document`] is one shadow as it is kept. [`Document::update`] applies an [`UpdateRequest`] and gives the new
//! document with the bodies that AWS publishes about it: `accepted`, `delta` when desired and reported differ, and
//! `documents`. Nothing here knows topics, things or time: `now_s` is an argument.
//!
//! [AWS iot-device-shadows] is the behaviour, with the corrections that people measured. Decided here, because no
//! source tells:
//! - an object that null members emptied is removed, one that was written empty is kept;
//! - `previous` of the first `documents` body is null.

mod delta;
mod document;
mod error;
mod merge;
mod request;

pub use document::{Deleted, Document, Updated};
pub use error::ShadowError;
pub use request::{DeleteRequest, GetRequest, UpdateRequest};

/// Largest state of a shadow, desired and reported together as compact JSON, in bytes; metadata does not count.
///
/// [AWS iot-limits] "Maximum size of a JSON state document": 8 KB.
pub const STATE_BYTES_MAX: usize = 8 * 1024;

/// Largest request, in bytes: what an MQTT message may carry. White space, nulls and unknown members are not state.
pub const REQUEST_BYTES_MAX: usize = 128 * 1024;

/// Deepest nesting of objects and arrays in a request's state, `desired` and `reported` themselves counted.
///
/// [AWS iot-device-shadows, error messages] "JSON contains too many levels of nesting; maximum is 6".
pub const DEPTH_MAX: usize = 6;

/// Longest client token, in bytes. [AWS iot-limits]
pub const CLIENT_TOKEN_BYTES_MAX: usize = 64;
