//! Why a packet does not become bytes.

use crate::fixed_header::PacketKind;
use crate::properties::PlacementError;
use crate::reason_code::ReasonCode;

/// Why a packet cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The output does not hold the packet.
    #[error("the packet needs {needed_bytes} bytes, the buffer has {buffer_bytes}")]
    BufferTooSmall {
        /// The packet's size.
        needed_bytes: usize,
        /// The buffer's size.
        buffer_bytes: usize,
    },
    /// A text or a binary field above 65,535 bytes, or a packet above 256 MiB [MQTT311 1.5.3], [MQTT311 2.2.3].
    #[error("the {field} has {bytes} bytes, more than its length field can say")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Its size.
        bytes: usize,
    },
    /// A text holds U+0000 [MQTT311 1.5.3-2], [MQTT5 1.5.4-2].
    #[error("the {field} holds a null character")]
    Null {
        /// The field with the text.
        field: &'static str,
    },
    /// A QoS 0 message with a packet identifier, or another message without one [MQTT311 2.3.1-1],
    /// [MQTT311 2.3.1-5].
    #[error("a message has a packet identifier exactly when its QoS is above 0")]
    PacketId,
    /// The DUP flag on a QoS 0 message [MQTT311 3.3.1-2], [MQTT5 3.3.1-2].
    #[error("a QoS 0 message cannot be a duplicate")]
    DuplicateQoS0,
    /// A password without a user name [MQTT311 3.1.2-22]; MQTT 5 allows it.
    #[error("a password needs a user name")]
    PasswordWithoutUserName,
    /// A SUBSCRIBE or UNSUBSCRIBE without a filter [MQTT311 3.8.3-3], [MQTT311 3.10.3-2].
    #[error("the packet needs at least one topic filter")]
    NoFilters,
    /// A CONNACK that refuses a connection and reports a session [MQTT311 3.2.2-4], [MQTT5 3.2.2-6].
    #[error("a refused connection has no session present")]
    SessionPresentOnRefusal,
    /// The packet says something that MQTT 3.1.1 has no word for, and would mean something else without it.
    #[error("MQTT 3.1.1 has no {what}")]
    NotIn311 {
        /// What it has not.
        what: &'static str,
    },
    /// A PUBLISH without a topic and without an alias that stands for one [MQTT5 3.3.2.1].
    #[error("a message needs a topic or a topic alias")]
    TopicMissing,
    /// A reason code that this packet does not have [MQTT5 2.4].
    #[error("`{code}` is not a reason code of a {kind}")]
    ReasonCode {
        /// The packet.
        kind: PacketKind,
        /// The code.
        code: ReasonCode,
    },
    /// A SUBACK or UNSUBACK without a code: it answers nothing.
    #[error("the packet needs at least one reason code")]
    NoReasonCodes,
    /// A shared subscription that asks for no messages of its own client [MQTT5 3.8.3-4].
    #[error("a shared subscription cannot have the no local option")]
    NoLocalShared,
    /// An AUTH that does not say by which method [MQTT5 3.15.2.2.2].
    #[error("an AUTH needs an authentication method")]
    AuthenticationMethodMissing,
    /// Properties that may not stand where they stand.
    #[error("{0}")]
    Properties(PlacementError),
    /// The output of a [`PropertiesWriter`](crate::PropertiesWriter) does not hold another property.
    #[error("the properties need {needed_bytes} bytes, the buffer has {buffer_bytes}")]
    NoRoomForProperties {
        /// Size of the properties so far and the next one.
        needed_bytes: usize,
        /// The buffer's size.
        buffer_bytes: usize,
    },
    /// A maximum QoS is 0 or 1 [MQTT5 3.2.2.3.4].
    #[error("a maximum QoS of 2 is said by leaving it out")]
    MaximumQoS2,
}
