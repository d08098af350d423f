//! How the messages of a subscription come: the byte behind each filter of a SUBSCRIBE [MQTT311 3.8.3] [MQTT5 3.8.3.1].

use crate::error::DecodeError;
use crate::qos::QoS;
use crate::version::ProtocolVersion;

const QOS: u8 = 0b0000_0011;
const NO_LOCAL: u8 = 0b0000_0100;
const RETAIN_AS_PUBLISHED: u8 = 0b0000_1000;
const RETAIN_HANDLING: u8 = 0b0011_0000;
const RETAIN_HANDLING_SHIFT: u8 = 4;
const RESERVED: u8 = 0b1100_0000;

/// How the messages of a subscription come. MQTT 3.1.1 knows the QoS alone; the rest is [`at_most`](Self::at_most)'s.
///
/// ```text
/// options := 0:2 retain_handling:2 retain_as_published:1 no_local:1 qos:2      ; MQTT 3.1.1: 0:6 qos:2
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriptionOptions {
    /// The highest QoS with which the messages may come.
    pub qos: QoS,
    /// What the client itself publishes does not come back to it [MQTT5 3.8.3-3].
    pub no_local: bool,
    /// Messages keep the retain flag with which they were published, instead of losing it.
    pub retain_as_published: bool,
    /// Whether retained messages are sent now.
    pub retain_handling: RetainHandling,
}

/// Whether retained messages are sent when a subscription is made [MQTT5 3.8.3.1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RetainHandling {
    /// Always.
    #[default]
    Send = 0,
    /// When there was no subscription to the same filter before.
    SendIfNew = 1,
    /// Never.
    DoNotSend = 2,
}

impl SubscriptionOptions {
    /// Messages with this QoS at most, everything else as in MQTT 3.1.1.
    pub const fn at_most(qos: QoS) -> Self {
        Self { qos, no_local: false, retain_as_published: false, retain_handling: RetainHandling::Send }
    }

    pub(super) fn decode(byte: u8, version: ProtocolVersion) -> Result<Self, DecodeError> {
        // [MQTT311 3.8.3-4] The upper six bits are 0 and the QoS is 0, 1 or 2.
        let qos = if version == ProtocolVersion::V311 { byte } else { byte & QOS };
        let qos =
            QoS::from_number(qos).ok_or(DecodeError::InvalidQoS { field: "requested QoS", value: qos })?;
        // [MQTT5 3.8.3-5]
        if byte & RESERVED != 0 {
            return Err(DecodeError::SubscriptionOptions { options: byte });
        }
        let retain_handling = match (byte & RETAIN_HANDLING) >> RETAIN_HANDLING_SHIFT {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(DecodeError::RetainHandling),
        };
        let (no_local, retain_as_published) = (byte & NO_LOCAL != 0, byte & RETAIN_AS_PUBLISHED != 0);
        Ok(Self { qos, no_local, retain_as_published, retain_handling })
    }

    pub(super) const fn byte(self) -> u8 {
        let no_local = if self.no_local { NO_LOCAL } else { 0 };
        let retain_as_published = if self.retain_as_published { RETAIN_AS_PUBLISHED } else { 0 };
        let retain_handling = (self.retain_handling as u8) << RETAIN_HANDLING_SHIFT;
        self.qos.number() | no_local | retain_as_published | retain_handling
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ProtocolVersion::{V5, V311};

    /// Every byte that MQTT 5 takes comes back; 3.1.1 takes the QoS alone.
    #[test]
    fn bytes_round_trip_or_are_refused() {
        for byte in 0..=255_u8 {
            let options = SubscriptionOptions::decode(byte, V5);
            let valid = byte & 0b11 != 3 && byte >> 4 & 0b11 != 3 && byte >> 6 == 0;
            assert_eq!(options.is_ok(), valid, "{byte:#010b}");
            assert!(options.is_err() || options.map(SubscriptionOptions::byte) == Ok(byte));
            assert_eq!(SubscriptionOptions::decode(byte, V311).is_ok(), byte < 3, "{byte:#010b}");
        }
    }

    /// [MQTT5 3.8.3.1]
    #[test]
    fn each_option_has_its_bits() {
        let neutral = SubscriptionOptions::at_most(QoS::AtMostOnce);
        let rows = [
            (0b0000_0010, SubscriptionOptions::at_most(QoS::ExactlyOnce)),
            (0b0000_0100, SubscriptionOptions { no_local: true, ..neutral }),
            (0b0000_1000, SubscriptionOptions { retain_as_published: true, ..neutral }),
            (0b0001_0000, SubscriptionOptions { retain_handling: RetainHandling::SendIfNew, ..neutral }),
            (0b0010_0000, SubscriptionOptions { retain_handling: RetainHandling::DoNotSend, ..neutral }),
        ];
        for (byte, options) in rows {
            assert_eq!(SubscriptionOptions::decode(byte, V5), Ok(options));
            assert_eq!(options.byte(), byte);
        }
    }

    #[test]
    fn what_mqtt_311_asks_for_is_the_neutral_value() {
        let options = SubscriptionOptions::decode(1, V311);
        assert_eq!(options, Ok(SubscriptionOptions::at_most(QoS::AtLeastOnce)));
    }
}
