//! What is kept for devices and answers over MQTT and REST alike: shadows and retained messages.
//!
//! [`Shadows`] and [`Retained`] keep theirs in memory and durably. The REST API and MQTT call the same methods.

mod load;
mod retained;
mod shadows;

pub use load::{LoadError, Page};
pub use retained::{
    NotRetained, Retained, RetainedChange, RetainedChanges, RetainedLimit, RetainedLimits, RetainedMessage,
};
pub use shadows::{
    DeletedShadow, Done, SHADOW_NAME_BYTES_MAX, Shadows, ShadowsError, UpdatedShadow, VERSION_KEPT_S,
};

pub use iot_shadow::ShadowError;
