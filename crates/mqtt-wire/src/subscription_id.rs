//! Subscription identifiers of MQTT 5.

use crate::variable_byte_integer;
use core::num::NonZeroU32;

/// The number under which a client has subscribed; comes back with every message of that subscription.
///
/// 1 to 268,435,455 [MQTT5 3.8.2.1.2].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(NonZeroU32);

impl SubscriptionId {
    /// The identifier with this number; `None` for zero and for numbers that do not fit on the wire.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) if number.get() as usize <= variable_byte_integer::LIMIT => Some(Self(number)),
            _ => None,
        }
    }

    /// The number that goes on the wire.
    pub const fn number(self) -> u32 {
        self.0.get()
    }
}

impl core::fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::SubscriptionId;

    #[test]
    fn from_one_to_what_four_bytes_can_say() {
        assert_eq!(SubscriptionId::new(0), None);
        assert_eq!(SubscriptionId::new(1).map(SubscriptionId::number), Some(1));
        assert_eq!(SubscriptionId::new(268_435_455).map(SubscriptionId::number), Some(268_435_455));
        assert_eq!(SubscriptionId::new(268_435_456), None);
    }
}
