//! Which properties may stand together.

use super::carrier::Carrier;
use super::id::PropertyId;
use crate::reason_code::ReasonCode;

/// Why properties may not stand where they stand, whatever their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// This packet does not have that property [MQTT5 2.2.2.2].
    #[error("{property} is not a property of a {carrier}")]
    NotAllowed {
        /// The property.
        property: PropertyId,
        /// Where it stands.
        carrier: Carrier,
    },
    /// A property that may stand there once is there again.
    #[error("the {property} is there more than once")]
    Repeated {
        /// The property.
        property: PropertyId,
    },
    /// [MQTT5 3.1.2.11.10]
    #[error("there is authentication data without an authentication method")]
    AuthenticationDataAlone,
}

impl PlacementError {
    pub(crate) const fn reason_code(&self) -> ReasonCode {
        match self {
            // [MQTT5 2.2.2.2] An identifier that is not valid for its packet type.
            Self::NotAllowed { .. } => ReasonCode::MalformedPacket,
            Self::Repeated { .. } | Self::AuthenticationDataAlone => ReasonCode::ProtocolError,
        }
    }
}

/// What has been seen of a block.
#[derive(Debug)]
pub(super) struct Placement {
    carrier: Carrier,
    /// One bit per identifier: all are below 64.
    seen: u64,
}

impl Placement {
    pub(super) const fn new(carrier: Carrier) -> Self {
        Self { carrier, seen: 0 }
    }

    pub(super) const fn add(&mut self, property: PropertyId) -> Result<(), PlacementError> {
        let carrier = self.carrier;
        if !property.is_allowed_in(carrier) {
            return Err(PlacementError::NotAllowed { property, carrier });
        }
        if self.has(property) && !property.may_repeat_in(carrier) {
            return Err(PlacementError::Repeated { property });
        }
        self.seen |= bit(property);
        Ok(())
    }

    pub(super) const fn finish(&self) -> Result<(), PlacementError> {
        if self.has(PropertyId::AuthenticationData) && !self.has(PropertyId::AuthenticationMethod) {
            return Err(PlacementError::AuthenticationDataAlone);
        }
        Ok(())
    }

    const fn has(&self, property: PropertyId) -> bool {
        self.seen & bit(property) != 0
    }
}

const fn bit(property: PropertyId) -> u64 {
    1 << property.byte()
}
