//! Quality of service.

/// How hard the two ends try to get a message across [MQTT311 4.3].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    /// QoS 0: sent once, never acknowledged.
    #[default]
    AtMostOnce = 0,
    /// QoS 1: acknowledged with a PUBACK; may arrive more than once.
    AtLeastOnce = 1,
    /// QoS 2: the four-way exchange. AWS IoT Core does not offer it.
    ExactlyOnce = 2,
}

impl QoS {
    /// The QoS with this number; `None` above 2.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// The number that goes on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::QoS;

    #[test]
    fn numbers_round_trip_and_three_is_none() {
        for number in 0..=2 {
            assert_eq!(QoS::from_number(number).map(QoS::number), Some(number));
        }
        assert_eq!(QoS::from_number(3), None);
    }
}
