//! Why a connection ended.

use mqtt_wire::ReasonCode;
use std::fmt;

/// Why a connection ended, in AWS's words [AWS iot-lifecycle-events].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DisconnectReason {
    /// The client failed to authenticate, or its certificate is no longer active.
    AuthError,
    /// The client sent DISCONNECT.
    ClientInitiatedDisconnect,
    /// The client did something wrong that ended the connection.
    ClientError,
    /// The network connection broke.
    ConnectionLost,
    /// Another connection came with the same client identifier.
    DuplicateClientId,
    /// A policy does not allow what the client did.
    ForbiddenAccess,
    /// Nothing came for one and a half keep-alive periods.
    MqttKeepAliveTimeout,
    /// Our own fault.
    ServerError,
    /// The server chose to, for instance because it stops.
    ServerInitiatedDisconnect,
    /// `DeleteConnection` was called. Its `preventWillMessage` is the caller's to obey.
    ApiInitiatedDisconnect,
    /// The client exceeded a throttling limit.
    Throttled,
    /// A WebSocket connection has lasted longer than its credentials allow.
    WebsocketTtlExpiration,
    /// A custom authorizer's permission has run out.
    CustomauthTtlExpiration,
    /// Anything else.
    Unknown,
    /// Not disconnected; what connectivity data says about a connected thing.
    None,
}

impl DisconnectReason {
    /// Every reason.
    pub const ALL: [Self; 15] = [
        Self::AuthError,
        Self::ClientInitiatedDisconnect,
        Self::ClientError,
        Self::ConnectionLost,
        Self::DuplicateClientId,
        Self::ForbiddenAccess,
        Self::MqttKeepAliveTimeout,
        Self::ServerError,
        Self::ServerInitiatedDisconnect,
        Self::ApiInitiatedDisconnect,
        Self::Throttled,
        Self::WebsocketTtlExpiration,
        Self::CustomauthTtlExpiration,
        Self::Unknown,
        Self::None,
    ];

    /// The name that lifecycle events and logs carry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AuthError => "AUTH_ERROR",
            Self::ClientInitiatedDisconnect => "CLIENT_INITIATED_DISCONNECT",
            Self::ClientError => "CLIENT_ERROR",
            Self::ConnectionLost => "CONNECTION_LOST",
            Self::DuplicateClientId => "DUPLICATE_CLIENTID",
            Self::ForbiddenAccess => "FORBIDDEN_ACCESS",
            Self::MqttKeepAliveTimeout => "MQTT_KEEP_ALIVE_TIMEOUT",
            Self::ServerError => "SERVER_ERROR",
            Self::ServerInitiatedDisconnect => "SERVER_INITIATED_DISCONNECT",
            Self::ApiInitiatedDisconnect => "API_INITIATED_DISCONNECT",
            Self::Throttled => "THROTTLED",
            Self::WebsocketTtlExpiration => "WEBSOCKET_TTL_EXPIRATION",
            Self::CustomauthTtlExpiration => "CUSTOMAUTH_TTL_EXPIRATION",
            Self::Unknown => "UNKNOWN",
            Self::None => "NONE",
        }
    }

    /// What the DISCONNECT to a client of MQTT 5 says; `None`: the client ended it, or nothing reaches it any more.
    pub const fn reason_code(self) -> Option<ReasonCode> {
        match self {
            Self::ClientInitiatedDisconnect | Self::ConnectionLost | Self::None => None,
            Self::AuthError | Self::ForbiddenAccess | Self::CustomauthTtlExpiration => {
                Some(ReasonCode::NotAuthorized)
            }
            Self::ClientError => Some(ReasonCode::ProtocolError),
            Self::DuplicateClientId => Some(ReasonCode::SessionTakenOver),
            Self::MqttKeepAliveTimeout => Some(ReasonCode::KeepAliveTimeout),
            Self::ServerError | Self::Unknown => Some(ReasonCode::UnspecifiedError),
            Self::ServerInitiatedDisconnect => Some(ReasonCode::ServerShuttingDown),
            Self::ApiInitiatedDisconnect => Some(ReasonCode::AdministrativeAction),
            Self::Throttled => Some(ReasonCode::QuotaExceeded),
            Self::WebsocketTtlExpiration => Some(ReasonCode::MaximumConnectTime),
        }
    }

    /// Whether the will is published: always but after the client's own DISCONNECT [MQTT311 3.1.2-8],
    /// [MQTT311 3.1.2-10].
    pub const fn publishes_will(self) -> bool {
        !matches!(self, Self::ClientInitiatedDisconnect | Self::None)
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clients_own_disconnect_keeps_the_will_back() {
        let kept_back: Vec<_> =
            DisconnectReason::ALL.into_iter().filter(|reason| !reason.publishes_will()).collect();
        assert_eq!(kept_back, [DisconnectReason::ClientInitiatedDisconnect, DisconnectReason::None]);
    }

    #[test]
    fn every_name_is_used_once() {
        let mut names = DisconnectReason::ALL.map(DisconnectReason::name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
