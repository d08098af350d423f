//! How a broker is started, and what may go wrong.

use crate::admission::{UNFINISHED_MAX, UNFINISHED_PER_ADDRESS_MAX};
use iot_policy::PolicyDocument;
use mqtt_session::Limits;
use registry::Registry;
use rules::Rules;
use services::{IotLog, Retained};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use store::Store;

/// Time for TLS and CONNECT together.
///
/// A Pico W signs with its RSA key for seven seconds, and a slow one on bad Wi-Fi must still get in.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(30);

/// Which TLS versions devices may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsVersions {
    /// Both.
    #[default]
    Tls13And12,
    /// Only 1.3.
    Tls13,
    /// Only 1.2.
    Tls12,
}

/// Settings of a broker.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// Where MQTT over TLS listens; port 0 picks a free one, here and below.
    pub mqtts: SocketAddr,
    /// Where HTTPS and MQTT over WebSocket listen; whom [`Broker::open_web`](crate::Broker::open_web) names serves it.
    /// Defaults to nowhere.
    pub https: Option<SocketAddr>,
    /// Where what ALPN names is spoken, as on AWS's port 443. Defaults to nowhere.
    pub alpn: Option<SocketAddr>,
    /// Where MQTT is spoken without TLS, to anybody: a loopback address. Defaults to nowhere.
    pub insecure_mqtt: Option<SocketAddr>,
    /// What anybody may do there. Defaults to everything.
    pub insecure_policy: Option<Arc<PolicyDocument>>,
    /// Event loops. Defaults to half of the cores, at least one: TLS, the journal and the API want the rest.
    pub loops: usize,
    /// What clients may do. Defaults to AWS's quotas.
    pub limits: Limits,
    /// TLS versions that devices may use. Defaults to 1.2 and 1.3.
    pub tls_versions: TlsVersions,
    /// Time for TLS and CONNECT together. Defaults to [`CONNECT_DEADLINE`].
    pub connect_deadline: Duration,
    /// Connections in all, finished or not: at most what file descriptors are left for them. Defaults to no bound.
    pub connections_max: usize,
    /// Connections between TCP and CONNECT, in all. Defaults to [`UNFINISHED_MAX`].
    pub unfinished_max: usize,
    /// Connections between TCP and CONNECT, of one address. Defaults to [`UNFINISHED_PER_ADDRESS_MAX`].
    pub unfinished_per_address_max: usize,
}

impl BrokerConfig {
    /// The defaults, listening there.
    pub fn new(mqtts: SocketAddr) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            mqtts,
            https: None,
            alpn: None,
            insecure_mqtt: None,
            insecure_policy: None,
            loops: (cores / 2).max(1),
            limits: Limits::aws(),
            tls_versions: TlsVersions::default(),
            connect_deadline: CONNECT_DEADLINE,
            connections_max: usize::MAX,
            unfinished_max: UNFINISHED_MAX,
            unfinished_per_address_max: UNFINISHED_PER_ADDRESS_MAX,
        }
    }
}

/// The parts of the server that the broker works with.
#[derive(Clone)]
pub struct Parts {
    /// Who may be what.
    pub registry: Arc<Registry>,
    /// What happens to messages.
    pub rules: Arc<Rules>,
    /// Messages that are kept for later subscribers.
    pub retained: Arc<Retained>,
    /// The journal that acknowledgements wait for.
    pub store: Store,
    /// Where what clients do is logged.
    pub iot_log: Arc<IotLog>,
    /// Our certificates.
    pub identities: Arc<pki::ServerIdentities>,
}

/// Why the broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// MQTT without TLS would be reached by more than this machine.
    #[error("MQTT without TLS is for loopback addresses alone, not for {0}")]
    InsecureBeyondLoopback(SocketAddr),
    /// A thread or its event queue could not be created.
    #[error("cannot start an event loop: {0}")]
    Loop(#[source] std::io::Error),
    /// What is stored of sessions cannot be read.
    #[error("cannot load the clients' sessions")]
    Load(#[from] services::LoadError),
    /// The server's certificates are not usable.
    #[error("cannot use the server certificates: {0}")]
    Tls(#[from] rustls::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pico_that_signs_for_seven_seconds_has_time() {
        let config = BrokerConfig::new(([127, 0, 0, 1], 0).into());
        assert_eq!(config.connect_deadline, Duration::from_secs(30));
        assert_eq!((config.unfinished_max, config.unfinished_per_address_max), (2_048, 256));
    }
}
