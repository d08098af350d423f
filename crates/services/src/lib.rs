//! What answers on reserved topics and REST alike: device shadows.
//!
//! [`Shadows`] keeps them in memory and durably. The REST API and the reserved MQTT topics call the same three
//! methods; what is published about a change comes back with it.

mod shadows;

pub use shadows::{
    DeletedShadow, Done, LoadError, Page, SHADOW_NAME_BYTES_MAX, Shadows, ShadowsError, UpdatedShadow,
    VERSION_KEPT_S,
};

pub use iot_shadow::ShadowError;
