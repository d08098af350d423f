//! What is kept for devices and answers over MQTT and REST alike: shadows, retained messages, and the log of all that happens.
//!
//! [`Shadows`] and [`Retained`] keep theirs in memory and durably. The REST API and MQTT call the same methods.
//! [`IotLog`] writes what happened to the log group `AWSIotLogsV2`.

mod iot_log;
mod load;
mod retained;
mod shadows;

pub use iot_log::{
    ChangeError, EventConfiguration, EventType, GROUP as IOT_LOG_GROUP, IotLog, IotLogCounts, LogEvent,
    LogLevel, LogTarget, LoggingOptions, SettingsError, TargetType, Transport,
};
pub use load::{LoadError, Page};
pub use retained::{
    NotRetained, Retained, RetainedChange, RetainedChanges, RetainedLimit, RetainedLimits, RetainedMessage,
};
pub use shadows::{
    DeletedShadow, Done, SHADOW_NAME_BYTES_MAX, Shadows, ShadowsError, UpdatedShadow, VERSION_KEPT_S,
};

pub use iot_shadow::ShadowError;
