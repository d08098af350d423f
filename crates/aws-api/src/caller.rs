//! Who is at the other end of a connection, as far as the connection itself tells.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use broker::WebCaller;
use pki::CertificateId;

use crate::websocket::Upgrade;

/// The other end, and what the connection is to become. Every request carries it as an extension.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) peer: SocketAddr,
    /// Where it connected to; `None` when the system does not say.
    pub(crate) local: Option<SocketAddr>,
    pub(crate) door: Door,
    /// Filled by the request that turns the connection into a WebSocket.
    upgrade: Arc<Mutex<Option<Upgrade>>>,
    is_turned_away: Arc<AtomicBool>,
}

/// By which port it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Door {
    /// The API's: plain HTTP, everything.
    Api,
    /// A port for devices: HTTPS, the data plane.
    Devices {
        /// The certificate that it showed, and whose key it has.
        certificate: Option<CertificateId>,
        /// The server name that it asked TLS for.
        server_name: Option<String>,
    },
}

impl Caller {
    pub(crate) fn new(peer: SocketAddr, local: Option<SocketAddr>, door: Door) -> Self {
        Self { peer, local, door, upgrade: Arc::default(), is_turned_away: Arc::default() }
    }

    /// Whether it is on this machine, and came by an address that only this machine has.
    pub(crate) fn is_local(&self) -> bool {
        let is_loopback = |address: SocketAddr| address.ip().to_canonical().is_loopback();
        is_loopback(self.peer) && self.local.is_some_and(is_loopback)
    }

    pub(crate) fn certificate(&self) -> Option<&CertificateId> {
        match &self.door {
            Door::Devices { certificate, .. } => certificate.as_ref(),
            Door::Api => None,
        }
    }

    /// For the broker's books.
    pub(crate) fn web(&self) -> WebCaller {
        WebCaller { peer: self.peer, certificate_id: self.certificate().copied() }
    }

    pub(crate) fn server_name(&self) -> Option<&str> {
        match &self.door {
            Door::Devices { server_name, .. } => server_name.as_deref(),
            Door::Api => None,
        }
    }

    /// Nobody that we know has sent this. A connection to a port for devices ends with the answer: strangers must not hold the
    /// places of those who are known.
    pub(crate) fn turn_away(&self) {
        self.is_turned_away.store(true, Ordering::Relaxed);
    }

    pub(crate) fn ends_with_the_answer(&self) -> bool {
        self.door != Door::Api && self.is_turned_away.load(Ordering::Relaxed)
    }

    /// When the answer to this request has been sent, the connection is a WebSocket.
    pub(crate) fn upgrade(&self, upgrade: Upgrade) {
        *self.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
    }

    pub(crate) fn take_upgrade(&self) -> Option<Upgrade> {
        self.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
